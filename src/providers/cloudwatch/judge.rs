//! What the states of alarms mean. Pure.

use crate::action::StepError;
use crate::journal::{Check, Finding, Severity};
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;

/// What every alarm is expected to say.
const OK: &str = "OK";

/// How much of a reason is shown. CloudWatch keeps 1023 characters, and anybody who may set the state of an alarm writes them
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html>).
const REASON_CHARACTERS: usize = 300;

/// An alarm as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Alarm {
    /// Its name.
    pub(super) name: String,
    /// `metric` or `composite`.
    pub(super) kind: &'static str,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`, as CloudWatch says it.
    pub(super) state: String,
    /// When it went over into this state (UTC); where that is not told, when CloudWatch last looked.
    pub(super) since: Option<DateTime<Utc>>,
    /// Why, in the words of CloudWatch or of whoever has set the state; at most 300 characters.
    pub(super) reason: String,
}

impl Alarm {
    fn reading(&self) -> Reading {
        match self.state.as_str() {
            OK => Reading::Quiet,
            "ALARM" => Reading::Red,
            _ => Reading::Unclear,
        }
    }

    /// `ALARM since 2026-11-22T02:00:00Z: 3 datapoints were above 5`
    fn told(&self) -> String {
        let since = self.since.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let since = since.map_or_else(String::new, |at| format!(" since {at}"));
        match self.reason.as_str() {
            "" => format!("{}{since}", self.state),
            reason => format!("{}{since}: {reason}", self.state),
        }
    }
}

/// A reason in one line, and no longer than it may be.
pub(super) fn shown(reason: &str) -> String {
    let plain = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.take(REASON_CHARACTERS).collect();
    if reason.chars().nth(REASON_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

/// What one alarm says about what it watches. The worst one last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    Quiet,
    Unclear,
    Red,
}

/// What alarms that were asked for say together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    /// One for each alarm that was asked for, in that order.
    pub(super) checks: Vec<Check>,
    /// One for each alarm in ALARM.
    pub(super) findings: Vec<Finding>,
    /// Those that were seen, in the order in which they were asked for.
    pub(super) seen: Vec<Alarm>,
    missing: Vec<String>,
    readings: Vec<(String, Reading)>,
}

/// Judges the answer to a question for these alarms.
pub(super) fn judge(asked: &[String], answered: &[Alarm]) -> Judged {
    let mut judged = Judged {
        checks: Vec::new(),
        findings: Vec::new(),
        seen: Vec::new(),
        missing: Vec::new(),
        readings: Vec::new(),
    };
    for name in asked {
        // Names are unique in a region; were one told twice, its worst state would count.
        let of_name = answered.iter().filter(|alarm| alarm.name == *name);
        match of_name.max_by_key(|alarm| alarm.reading()) {
            Some(alarm) => judged.take(alarm),
            None => {
                judged.missing.push(name.clone());
                judged.checks.push(Check::not_made(title(name), OK, "there is no such alarm"));
            }
        }
    }
    judged
}

fn title(name: &str) -> String {
    format!("alarm {name}")
}

impl Judged {
    fn take(&mut self, alarm: &Alarm) {
        let (told, reading) = (alarm.told(), alarm.reading());
        self.checks.push(match reading {
            Reading::Unclear => Check::not_made(title(&alarm.name), OK, told),
            _ => Check::made(title(&alarm.name), OK, told, reading == Reading::Quiet),
        });
        if reading == Reading::Red {
            self.findings.push(red(alarm));
        }
        self.readings.push((alarm.name.clone(), reading));
        self.seen.push(alarm.clone());
    }

    /// True when every alarm that was asked for is there and says OK.
    pub(super) fn all_quiet(&self) -> bool {
        let quiet = |(_, reading): &(String, Reading)| *reading == Reading::Quiet;
        self.missing.is_empty() && !self.readings.is_empty() && self.readings.iter().all(quiet)
    }

    fn some_red(&self) -> bool {
        self.readings.iter().any(|(_, reading)| *reading == Reading::Red)
    }

    /// Alarms that are not there, where nothing else is known already: no time brings them.
    pub(super) fn not_there(&self, region: &str) -> Option<StepError> {
        if self.missing.is_empty() || self.some_red() {
            return None;
        }
        let (names, is) =
            (self.missing.join(", "), if self.missing.len() == 1 { "is" } else { "are" });
        let message =
            format!("no metric or composite alarm of this name {is} in {region}: {names}");
        Some(StepError::broken(message).help(
            "correct the name (upper and lower case count) or the site, as aws cloudwatch describe-alarms lists them; a log \
             alarm is seen through a composite alarm",
        ))
    }

    /// Alarms that cannot tell, where none is red: what they watch may be well, and nobody knows.
    pub(super) fn cannot_tell(&self) -> Option<StepError> {
        if self.all_quiet() || self.some_red() {
            return None;
        }
        Some(StepError::transient(format!("the alarms cannot tell: {}", self.state())))
    }

    /// Those that are not OK, in a few words.
    pub(super) fn state(&self) -> String {
        let loud = self.seen.iter().filter(|alarm| alarm.reading() != Reading::Quiet);
        let mut words: Vec<String> =
            loud.map(|alarm| format!("{} is {}", alarm.name, alarm.state)).collect();
        words.extend(self.missing.iter().map(|name| format!("{name} is not there")));
        words.join(", ")
    }

    /// When the last of the alarms changed (UTC).
    pub(super) fn last_change(&self) -> Option<DateTime<Utc>> {
        self.seen.iter().filter_map(|alarm| alarm.since).max()
    }
}

fn red(alarm: &Alarm) -> Finding {
    Finding {
        severity: Severity::Serious,
        code: "cloudwatch.alarm".to_owned(),
        what: format!("The alarm {} is {}", alarm.name, alarm.told()),
        why: "What it watches is not well. While a drill is under way, the drill may be the cause".to_owned(),
        action: "Look at what the alarm watches before anything else, and repeat the drill when it has been OK for a while"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{FailureClass, Outcome};

    fn alarm(name: &str, state: &str) -> Alarm {
        Alarm {
            name: name.into(),
            kind: "metric",
            state: state.into(),
            since: "2026-11-22T02:00:00Z".parse().ok(),
            reason: "so it is".into(),
        }
    }

    fn of(asked: &[&str], answered: &[Alarm]) -> Judged {
        judge(&asked.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), answered)
    }

    fn outcomes(judged: &Judged) -> Vec<Outcome> {
        judged.checks.iter().map(|check| check.outcome).collect()
    }

    #[test]
    fn only_ok_passes() {
        for (state, outcome) in [
            ("OK", Outcome::Passed),
            ("ALARM", Outcome::Failed),
            ("INSUFFICIENT_DATA", Outcome::Inconclusive),
            ("SOMETHING_NEW", Outcome::Inconclusive),
            ("ok", Outcome::Inconclusive),
            ("", Outcome::Inconclusive),
        ] {
            let judged = of(&["a"], &[alarm("a", state)]);
            assert_eq!(outcomes(&judged), [outcome], "{state:?}");
            assert_eq!(judged.all_quiet(), outcome == Outcome::Passed, "{state:?}");
            let blind = judged.cannot_tell().map(|error| error.class());
            let expected = (outcome == Outcome::Inconclusive).then_some(FailureClass::Transient);
            assert_eq!(blind, expected, "{state:?}");
            assert_eq!(judged.findings.len(), usize::from(outcome == Outcome::Failed), "{state:?}");
        }
    }

    #[test]
    fn an_alarm_that_is_not_there_never_passes_and_is_named() {
        let judged = of(&["there", "gone", "Lost"], &[alarm("there", "OK"), alarm("other", "OK")]);
        assert_eq!(
            outcomes(&judged),
            [Outcome::Passed, Outcome::Inconclusive, Outcome::Inconclusive]
        );
        assert!(!judged.all_quiet());
        let error = judged.not_there("eu-west-1").unwrap();
        assert_eq!(error.class(), FailureClass::Broken);
        assert!(error.to_string().ends_with("in eu-west-1: gone, Lost"), "{error}");
        assert!(error.into_failure().help.unwrap().contains("describe-alarms"));
        assert!(of(&["a"], &[alarm("A", "OK")]).not_there("eu-west-1").is_some());
    }

    #[test]
    fn a_red_alarm_is_told_whatever_the_others_say() {
        let judged = of(
            &["gone", "red", "blind"],
            &[alarm("blind", "INSUFFICIENT_DATA"), alarm("red", "ALARM")],
        );
        assert_eq!(
            outcomes(&judged),
            [Outcome::Inconclusive, Outcome::Failed, Outcome::Inconclusive]
        );
        assert!(judged.not_there("eu-west-1").is_none() && judged.cannot_tell().is_none());
        assert_eq!(judged.findings.len(), 1);
        assert!(
            judged.findings[0].what.contains("red is ALARM since 2026-11-22T02:00:00Z: so it is")
        );
        assert_eq!(judged.state(), "red is ALARM, blind is INSUFFICIENT_DATA, gone is not there");
    }

    #[test]
    fn nothing_asked_or_nothing_answered_is_not_quiet() {
        assert!(!of(&[], &[alarm("a", "OK")]).all_quiet());
        assert!(!of(&["a"], &[]).all_quiet());
    }

    #[test]
    fn of_two_alarms_of_one_name_the_worse_one_counts() {
        for twice in [["OK", "ALARM"], ["ALARM", "OK"]] {
            let answered = twice.map(|state| alarm("a", state));
            assert_eq!(outcomes(&of(&["a"], &answered)), [Outcome::Failed]);
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(shown("two\nlines\u{1b}[31m"), "two lines [31m");
        let long = "復".repeat(REASON_CHARACTERS + 1);
        assert_eq!(shown(&long).chars().count(), REASON_CHARACTERS + 1);
        assert!(shown(&long).ends_with('…'));
        assert_eq!(shown(&long[3..]), &long[3..]);
    }
}
