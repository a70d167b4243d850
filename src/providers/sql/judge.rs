//! From answers to checks. Pure.

use crate::journal::{Check, Finding, RecoveryPoint, Severity};
use crate::outside::{OutsideError, Rows, SqlValue};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

/// Clocks differ a little; data from farther ahead was not committed yet.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

const FROM_THE_BACKUP: &str = "newest data is from the backup";

/// How far the clock of who writes the watermark may be ahead of the one that timed the backup.
const CLOCK_ALLOWANCE: TimeDelta = TimeDelta::seconds(60);

/// Why a query gave no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoValue {
    pub(super) why: String,
    /// True when the server says that the data is damaged: that is an observation, and the check fails.
    pub(super) damaged: bool,
}

impl NoValue {
    fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), damaged: false }
    }

    /// The check that could not be made, or that damage has made fail.
    pub(super) fn check(self, name: &str, expected: &str) -> Check {
        if self.damaged {
            Check::made(name, expected, self.why, false)
        } else {
            Check::not_made(name, expected, self.why)
        }
    }
}

/// The one value of an answer. `Err(Err(…))` when the database was lost, so that no query can be asked any more.
pub(super) fn one_value(
    answer: Result<Rows, OutsideError>,
    withhold: bool,
) -> Result<SqlValue, Result<NoValue, OutsideError>> {
    let rows = answer.map_err(|error| no_value(error, withhold))?;
    match rows.rows.as_slice() {
        [] => Err(Ok(NoValue::because("the query gave no row"))),
        [row] => match row.as_slice() {
            [SqlValue::Null] => Err(Ok(NoValue::because("the query gave null"))),
            [value] => Ok(value.clone()),
            columns => Err(Ok(NoValue::because(format!(
                "the query gave {} columns; one value is needed",
                columns.len()
            )))),
        },
        rows => Err(Ok(NoValue::because(format!(
            "the query gave {} rows; one value is needed",
            rows.len()
        )))),
    }
}

/// What an error means for the check that was asking: `Err` when the database was lost.
pub(super) fn no_value(error: OutsideError, withhold: bool) -> Result<NoValue, OutsideError> {
    let damaged = error.says_damaged();
    match error {
        OutsideError::Failed(text) | OutsideError::Denied(text) => {
            Ok(NoValue { why: shown_error(text, withhold), damaged })
        }
        lost => Err(lost),
    }
}

/// Messages of servers may repeat data; their codes do not.
fn shown_error(text: String, withhold: bool) -> String {
    match text.split_once(": ") {
        Some((code, _)) if withhold && code.starts_with("SQLSTATE ") => {
            format!("{code} (message withheld)")
        }
        _ => text,
    }
}

/// A value as expectations read it.
pub(super) fn json(value: &SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(number) => Value::from(*number),
        // Neither infinite nor undefined numbers exist in JSON.
        SqlValue::Float(number) => serde_json::Number::from_f64(*number)
            .map_or_else(|| Value::from(number.to_string()), Value::Number),
        SqlValue::Text(text) => Value::from(text.as_str()),
        SqlValue::Bool(value) => Value::from(*value),
        SqlValue::Time(time) => Value::from(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
    }
}

/// A value as people read it.
pub(super) fn shown(value: &SqlValue) -> String {
    let json = json(value);
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// How many things an aggregate was taken over.
pub(super) fn population(value: &SqlValue) -> Result<u64, NoValue> {
    let count = match value {
        SqlValue::Integer(count) => u64::try_from(*count).ok(),
        SqlValue::Text(text) => text.parse().ok(),
        _ => None,
    };
    count.ok_or_else(|| NoValue::because("the population is not a count"))
}

/// The time that a watermark gave.
pub(super) fn watermark(value: &SqlValue, now: DateTime<Utc>) -> Result<DateTime<Utc>, NoValue> {
    let time = match value {
        SqlValue::Time(time) => Some(*time),
        SqlValue::Text(text) => DateTime::parse_from_rfc3339(text).ok().map(|t| t.to_utc()),
        _ => None,
    };
    match time {
        None => Err(NoValue::because(
            "the value is not a time: give a timestamp, or text such as 2026-11-22T03:00:00Z",
        )),
        Some(time) if time > now + AHEAD => Err(NoValue::because(format!(
            "the newest time lies ahead of now ({}): the clocks differ, or the column is not the time of the commit",
            time.to_rfc3339_opts(SecondsFormat::Secs, true)
        ))),
        Some(time) => Ok(time),
    }
}

/// Whether data of this time can have come from the backup: what was restored holds nothing that is newer than its recovery
/// point, or than its end where the service chose the point only when it restored. Where nobody can say how new the data in it
/// can be, newer data leaves the check open up to a limit. The finding is there exactly when the check does not hold.
pub(super) fn from_the_backup(
    newest: DateTime<Utc>,
    backup: &RecoveryPoint,
) -> (Check, Option<Finding>) {
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let (newest_at, backup_at) = (written(newest), written(backup.newest()));
    let holds = newest <= backup.newest() + CLOCK_ALLOWANCE;
    let allowed = HumanDuration::from(CLOCK_ALLOWANCE);
    let (name, expected) = (FROM_THE_BACKUP, format!("<= {backup_at}, with {allowed} for clocks"));
    let of_it = format!("the recovery point of {} ({})", backup.identity, backup.source);
    let doubtful = backup.not_newer_than.filter(|newest| !newest.certain).map(|newest| newest.at);
    if let Some(until) = doubtful.filter(|until| !holds && newest <= *until + CLOCK_ALLOWANCE) {
        let why = format!("{newest_at}, and the time of the backup is not exact");
        return (
            Check::not_made(name, expected, why).note(of_it),
            Some(perhaps_newer(newest, backup, until)),
        );
    }
    let check = Check::made(name, expected, &*newest_at, holds).note(of_it);
    let finding = || {
        Finding {
        severity: Severity::Critical,
        code: "sql.newer_than_the_backup".to_owned(),
        what: format!(
            "the newest data is of {newest_at}, and the backup that was restored holds nothing after {backup_at} ({}, {})",
            backup.identity, backup.source
        ),
        why: "the database that was looked at is not the restored one, or somebody has written into it since, or the clock of \
              who writes the watermark is ahead: then what was checked says nothing of the backup"
            .to_owned(),
        action: "see which database the endpoint leads to; compare the clock that writes the watermark with true time; keep \
                 writers away from what was restored until it is accepted"
            .to_owned(),
    }
    };
    (check, (!holds).then(finding))
}

fn perhaps_newer(newest: DateTime<Utc>, backup: &RecoveryPoint, until: DateTime<Utc>) -> Finding {
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Finding {
        severity: Severity::Warning,
        code: "sql.perhaps_newer_than_the_backup".to_owned(),
        what: format!(
            "the newest data is of {}, later than {} of the backup ({}, {}); up to {} it may have been in it",
            written(newest),
            written(backup.at),
            backup.identity,
            backup.source,
            written(until)
        ),
        why: "what AWS says of the time of such a backup does not tell whether it was the beginning or the end of taking it: so the \
              data may come from the backup, or from another database"
            .to_owned(),
        action: "see which database the endpoint leads to; measure with snapshots that tell SnapshotDatabaseTime, or let the writer of \
                 the watermark pause while the snapshot is taken"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Measure, NewestPossible, Outcome};

    fn rows(rows: Vec<Vec<SqlValue>>) -> Result<Rows, OutsideError> {
        Ok(Rows { columns: vec![], rows })
    }

    fn without_value(answer: Result<Rows, OutsideError>) -> NoValue {
        one_value(answer, false).unwrap_err().unwrap()
    }

    #[test]
    fn only_exactly_one_value_can_be_judged() {
        assert_eq!(
            one_value(rows(vec![vec![SqlValue::Integer(1)]]), false),
            Ok(SqlValue::Integer(1))
        );
        for (answer, why) in [
            (rows(vec![]), "no row"),
            (rows(vec![vec![SqlValue::Null]]), "null"),
            (rows(vec![vec![SqlValue::Integer(1), SqlValue::Integer(2)]]), "2 columns"),
            (rows(vec![vec![SqlValue::Integer(1)], vec![SqlValue::Integer(1)]]), "2 rows"),
        ] {
            let no_value = without_value(answer);
            assert!(no_value.why.contains(why), "{no_value:?}");
            assert_eq!(no_value.check("x", "= 1").outcome, Outcome::Inconclusive);
        }
    }

    #[test]
    fn damage_fails_a_check_and_other_errors_leave_it_open() {
        let said = |text: &str| without_value(Err(OutsideError::Failed(text.to_owned())));
        let outcome = |text: &str| said(text).check("x", "= 0").outcome;
        assert_eq!(outcome("SQLSTATE XX001: invalid page in block 3"), Outcome::Failed);
        assert_eq!(
            outcome("SQLSTATE HY000, error 1034: Index for table is corrupt"),
            Outcome::Failed
        );
        assert_eq!(
            outcome("SQLSTATE 42P01: relation \"ledger\" does not exist"),
            Outcome::Inconclusive
        );
        assert_eq!(
            outcome("SQLSTATE 22P02: bad input: \"SQLSTATE XX001: x\""),
            Outcome::Inconclusive
        );
    }

    #[test]
    fn messages_of_servers_are_withheld_with_the_data() {
        let text = "SQLSTATE 22P02: invalid input syntax for type integer: \"4111111111111111\"";
        let no_value =
            one_value(Err(OutsideError::Failed(text.into())), true).unwrap_err().unwrap();
        assert_eq!(no_value.why, "SQLSTATE 22P02 (message withheld)");
    }

    #[test]
    fn a_lost_database_is_not_an_answer() {
        let lost = Err(OutsideError::Unreachable("reset".into()));
        assert!(matches!(one_value(lost, false), Err(Err(OutsideError::Unreachable(_)))));
    }

    #[test]
    fn a_watermark_must_be_a_plausible_time() {
        let now: DateTime<Utc> = "2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(watermark(&SqlValue::Time(now), now), Ok(now));
        assert_eq!(watermark(&SqlValue::Text("2026-11-22T12:00:00+09:00".into()), now), Ok(now));
        assert!(watermark(&SqlValue::Time(now + TimeDelta::hours(9)), now).is_err());
        assert!(watermark(&SqlValue::Integer(1_795_000_000), now).is_err());
    }

    #[test]
    fn a_population_is_a_count() {
        assert_eq!(population(&SqlValue::Integer(3)), Ok(3));
        assert_eq!(population(&SqlValue::Text("3".into())), Ok(3));
        assert!(population(&SqlValue::Integer(-1)).is_err());
        assert!(population(&SqlValue::Text("many".into())).is_err());
    }

    #[test]
    fn data_that_is_newer_than_its_backup_was_not_restored_from_it() {
        let at: DateTime<Utc> = "2026-11-19T18:00:00Z".parse().unwrap();
        let backup = RecoveryPoint {
            at,
            source: "SnapshotDatabaseTime".to_owned(),
            measure: Measure::Backup,
            identity: "arn:aws:rds:snapshot".to_owned(),
            worst_case: None,
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        };
        for seconds in [-86_400, -1, 0, 60] {
            let (check, finding) = from_the_backup(at + TimeDelta::seconds(seconds), &backup);
            assert_eq!((check.outcome, finding), (Outcome::Passed, None), "{seconds}");
        }
        let (check, finding) = from_the_backup(at + TimeDelta::seconds(61), &backup);
        assert_eq!(check.outcome, Outcome::Failed);
        assert_eq!(check.expected, "<= 2026-11-19T18:00:00Z, with 1m for clocks");
        let what = finding.unwrap().what;
        assert!(what.contains("2026-11-19T18:01:01Z") && what.contains("2026-11-19T18:00:00Z"));
    }

    #[test]
    fn regression_the_latest_moves_on_until_it_is_restored() {
        let at: DateTime<Utc> = "2026-11-22T09:55:00Z".parse().unwrap();
        let ends = |minutes, certain| RecoveryPoint {
            at,
            source: "LatestRestorableTime".to_owned(),
            measure: Measure::Backup,
            identity: "backup".to_owned(),
            worst_case: None,
            not_newer_than: Some(NewestPossible { at: at + TimeDelta::minutes(minutes), certain }),
            kept_at: None,
            goes_on: false,
        };
        let judged = |minutes: i64, backup: &RecoveryPoint| {
            let (check, finding) = from_the_backup(at + TimeDelta::minutes(minutes), backup);
            assert_eq!(finding.is_none(), check.outcome == Outcome::Passed, "{check:?}");
            (check.outcome, finding.map(|finding| finding.severity))
        };
        let latest = ends(20, true);
        assert_eq!(judged(19, &latest), (Outcome::Passed, None));
        assert_eq!(judged(21, &latest), (Outcome::Passed, None), "a minute is for clocks");
        assert_eq!(judged(22, &latest), (Outcome::Failed, Some(Severity::Critical)));
        // Of a snapshot whose time is not exact nobody can say.
        let about = ends(60, false);
        assert_eq!(judged(1, &about), (Outcome::Passed, None));
        assert_eq!(judged(2, &about), (Outcome::Inconclusive, Some(Severity::Warning)));
        assert_eq!(judged(61, &about), (Outcome::Inconclusive, Some(Severity::Warning)));
        assert_eq!(judged(62, &about), (Outcome::Failed, Some(Severity::Critical)));
    }
}
