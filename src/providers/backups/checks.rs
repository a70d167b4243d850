use crate::action::{Given, HandInput, InputProblem};
use crate::journal::Check;
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

/// The check that the data of a recovery point is not older than the step allows; none without a limit. `age` is absent
/// when the time of the data is not known.
pub(in crate::providers) fn age_check(
    limit: Option<HumanDuration>,
    age: Option<HumanDuration>,
) -> Option<Check> {
    let limit = limit?;
    let expected = format!("<= {limit}");
    Some(match age {
        Some(age) => Check::made("age", expected, age.to_string(), age <= limit),
        None => Check::not_made("age", expected, "the time of the data is not known"),
    })
}

/// How much data a recovery point loses, in whole seconds, rounded up.
pub(in crate::providers) fn loss(length: TimeDelta) -> HumanDuration {
    HumanDuration::from(length).rounded_up()
}

/// What is wrong with the input of a search for backups, which are meant by the name of their source or by `tags`.
pub(in crate::providers) fn search_problems(given: &Given, name: &str) -> Vec<InputProblem> {
    let by_tags = match given.known("tags") {
        Some(tags) => tags.as_object().is_some_and(|tags| !tags.is_empty()),
        None => given.has("tags"),
    };
    let unclear = !given.has(name) && !by_tags;
    let problem = InputProblem::new("", "nothing says which snapshots are meant")
        .help(format!("give {name}: or tags:"));
    let times = ["schedule", "max_age", "copy_takes"].into_iter();
    let times = times.filter_map(|p| InputProblem::no_time(given, p));
    let empty = InputProblem::empty(given, name);
    unclear.then_some(problem).into_iter().chain(empty).chain(times).collect()
}

/// For a shell: keeps the lines whose first field is a time (UTC, ISO 8601), not later than the step's `not_after`.
pub(in crate::providers) fn lines_in_time(input: &HandInput) -> String {
    const DATED: &str = "$1 ~ /^[0-9]/";
    // Times are compared as text, so that they must all be written in UTC.
    let written = input.value("not_after").and_then(Value::as_str);
    let time = written.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let utc = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    match time.map(|time| utc(time.to_utc())).or_else(|| input.word("not_after")) {
        Some(limit) => format!("awk -v limit={limit} '{DATED} && $1 <= limit'"),
        None => format!("awk '{DATED}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn an_age_that_is_not_known_is_never_young_enough() {
        let hours = |hours: u64| Some(HumanDuration(Duration::from_secs(hours * 3600)));
        let outcome = |limit, age| age_check(limit, age).map(|check| check.outcome);
        assert_eq!(outcome(None, hours(1)), None);
        assert_eq!(outcome(hours(2), hours(2)), Some(Outcome::Passed));
        assert_eq!(outcome(hours(2), hours(3)), Some(Outcome::Failed));
        assert_eq!(outcome(hours(2), None), Some(Outcome::Inconclusive));
    }

    #[test]
    fn a_loss_is_shown_in_whole_seconds_and_never_shorter_than_it_is() {
        assert_eq!(loss(TimeDelta::milliseconds(56 * 3_600_000 + 80)).to_string(), "2d 8h 1s");
        assert_eq!(loss(TimeDelta::hours(26)).to_string(), "1d 2h");
    }

    #[test]
    fn a_limit_with_another_offset_is_compared_in_utc() {
        let filter = |with| {
            lines_in_time(&HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new()))
        };
        let tokyo = filter(json!({ "not_after": "2026-11-22T09:00:00+09:00" }));
        assert!(tokyo.contains("limit=2026-11-22T00:00:00Z "), "{tokyo}");
        let of_a_step = filter(json!({ "not_after": HandInput::variable_mark("look", "at") }));
        assert!(of_a_step.contains("limit=\"${LOOK_AT:?}\" "), "{of_a_step}");
        assert_eq!(filter(json!({})), "awk '$1 ~ /^[0-9]/'");
    }
}
