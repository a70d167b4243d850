//! Numbers, times and outcomes as people read them.

use crate::journal::Outcome;
use crate::report::{Margin, ObjectiveOutcome, Verdict};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A measured duration, rounded up to a second from ten seconds on, so that it never looks better than it is. Hours up to
/// two days, as objectives are written.
pub(super) fn duration(duration: HumanDuration) -> String {
    let seconds = duration.0.as_secs() + u64::from(duration.0.subsec_nanos() > 0);
    if duration.0 < Duration::from_secs(10) { duration.to_string() } else { whole(seconds) }
}

/// A margin, rounded so that it fits an actual that was rounded up.
pub(super) fn margin(margin: Margin) -> String {
    if margin.over {
        format!("{} over", duration(margin.by))
    } else if margin.by.0 < Duration::from_secs(10) {
        format!("{} left", margin.by)
    } else {
        format!("{} left", whole(margin.by.0.as_secs()))
    }
}

fn whole(seconds: u64) -> String {
    let days = if seconds >= 48 * 3600 { seconds / 86_400 } else { 0 };
    let rest = seconds - days * 86_400;
    let parts = [(days, "d"), (rest / 3600, "h"), (rest / 60 % 60, "m"), (rest % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let text = parts.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A moment with its date: `2026-11-20 01:00:22 UTC`.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A moment in UTC beside others: `01:00:22`, with its date when that is not the day on which the run started.
pub(super) fn time_of_day(at: DateTime<Utc>, started: DateTime<Utc>) -> String {
    let same_day = at.date_naive() == started.date_naive();
    at.format(if same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

/// A number of things in words: `1 step`, `2 steps`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A word for styles: one of `pass`, `fail`, `open`, `none`.
pub(super) fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed => "fail",
        Outcome::Inconclusive => "open",
        Outcome::Skipped | Outcome::NotRun => "none",
    }
}

/// A sign that says the same as the colour.
pub(super) fn sign(class: &str) -> &'static str {
    match class {
        "pass" => "✓",
        "fail" => "✗",
        "open" => "?",
        _ => "–",
    }
}

pub(super) fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "pass",
        Verdict::Inconclusive => "open",
        Verdict::Failed => "fail",
    }
}

pub(super) fn objective_class(outcome: ObjectiveOutcome) -> &'static str {
    match outcome {
        ObjectiveOutcome::Met => "pass",
        ObjectiveOutcome::NotMeasured => "open",
        ObjectiveOutcome::Missed => "fail",
    }
}

/// A count with thousands set apart: `18 204 311`, with narrow no-break spaces.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_never_shown_shorter_than_it_is() {
        let shown = |ms| duration(Duration::from_millis(ms).into());
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(300), "300ms");
        assert_eq!(shown(14_400_001), "4h 1s");
        assert_eq!(shown(93_600_000), "26h");
        assert_eq!(shown(1_000 * 86_400 * 3), "3d");
    }

    #[test]
    fn actual_and_margin_as_shown_add_up_to_the_target() {
        let by = Duration::from_millis(3_599_700).into();
        assert_eq!(margin(Margin { over: false, by }), "59m 59s left");
        assert_eq!(duration(Duration::from_millis(10_800_300).into()), "3h 1s");
    }

    #[test]
    fn regression_a_time_of_another_day_says_which() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let started = at("2026-11-20T23:50:00Z");
        assert_eq!(time_of_day(at("2026-11-20T23:59:59Z"), started), "23:59:59");
        assert_eq!(time_of_day(at("2026-11-21T00:10:00Z"), started), "2026-11-21 00:10:00");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(18_204_311), "18\u{202f}204\u{202f}311");
        assert_eq!(count(7), "7");
    }
}
