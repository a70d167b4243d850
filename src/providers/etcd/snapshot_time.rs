//! When a snapshot was taken, as far as anybody says so and its content bears it out. Pure.

use super::fetch::TIME_MARK;
use crate::formats::etcd_snapshot::kubernetes::{Inventory, NewestTime, TimeSource};
use crate::journal::{Check, Finding, Measure, RecoveryPoint, Severity};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// By how much clocks may differ, and how long a snapshot may take from the time that is noted before it.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// By how much the newest lease may be older than the snapshot. Nodes renew theirs every ten seconds, leaders every two
/// (<https://kubernetes.io/docs/concepts/architecture/leases/>); an API server may be out of service for a while.
const STALE: TimeDelta = TimeDelta::minutes(10);

/// The check of what is stated against the content.
pub(super) const CHECK: &str = "time of the data";

/// What is known about when a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// From the scenario (UTC).
    pub(super) stated: Option<DateTime<Utc>>,
    /// From the object's metadata, as written there.
    pub(super) marked: Option<String>,
    /// When the object version or the file was written (UTC).
    pub(super) modified: Option<DateTime<Utc>>,
    /// The newest time that an object in it says of itself.
    pub(super) newest: Option<NewestTime>,
    /// The newest time of a lease in it that is renewed every few seconds.
    pub(super) heartbeat: Option<NewestTime>,
}

impl Times {
    /// With what the content says.
    pub(super) fn seen_in(self, inventory: &Inventory) -> Self {
        let (newest, heartbeat) = (inventory.newest.clone(), inventory.heartbeat.clone());
        Self { newest, heartbeat, ..self }
    }
}

/// What was found out about the time of a sound snapshot.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) point: Option<RecoveryPoint>,
    pub(super) check: Option<Check>,
    pub(super) findings: Vec<Finding>,
}

/// The recovery point of a sound snapshot, with findings about how far its time can be trusted.
///
/// A snapshot carries no time. Sound are a time that the scenario or the object's metadata gives, if it is not later than
/// the upload, and the content does not contradict it. `LastModified` says when this copy was stored: after the snapshot by the
/// duration of the upload, or by years when an old one was copied again. A file's own time says as little. Neither is used: from
/// them no loss can be measured. Where nothing is stated, a lease that is renewed every few seconds gives a lower bound.
pub(super) fn recovery_point(times: &Times, identity: &str) -> Judged {
    let mut judged = Judged::default();
    let marked = times.marked.as_deref().map(DateTime::parse_from_rfc3339);
    if let Some(Err(_)) = marked {
        let what = format!("the object's metadata {TIME_MARK} is not a time as in RFC 3339");
        judged.findings.push(uncertain(Severity::Warning, what));
    }
    let marked = marked.and_then(Result::ok).map(|time| time.to_utc());
    let mark = format!("metadata {TIME_MARK} of the object");
    let given = times.stated.map(|at| (at, "taken_at of the scenario".to_owned()));
    let found = match given.or(marked.map(|at| (at, mark))) {
        Some((at, source)) => stated(at, source, times, &mut judged),
        None => lower_bound(times, &mut judged),
    };
    judged.point = found.map(|(at, source)| RecoveryPoint {
        at,
        source,
        measure: Measure::Backup,
        identity: identity.to_owned(),
        worst_case: None,
        not_newer_than: None,
        kept_at: None,
        goes_on: false,
    });
    judged
}

/// A time that somebody states, unless something contradicts it.
fn stated(
    at: DateTime<Utc>,
    source: String,
    times: &Times,
    judged: &mut Judged,
) -> Option<(DateTime<Utc>, String)> {
    // LastModified has whole seconds.
    if times.modified.is_some_and(|m| at.timestamp() > m.timestamp()) {
        let what = format!("{source} is later than the time at which the snapshot was stored");
        contradicted(at, what, judged);
        return None;
    }
    if let Some(newest) = times.newest.as_ref().filter(|newest| newest.at > at + SKEW) {
        let what = format!(
            "{source} is {}, and in the snapshot stands what was written later: {}",
            written(at),
            said(newest)
        );
        contradicted(at, what, judged);
        return None;
    }
    let Some(heartbeat) = &times.heartbeat else {
        return Some((at, source));
    };
    let is_of_then = heartbeat.at >= at - STALE;
    let expected =
        format!("leases renewed within {} minutes of {}", STALE.num_minutes(), written(at));
    judged.check = Some(Check::made(CHECK, expected, said(heartbeat), is_of_then));
    if is_of_then {
        return Some((at, format!("{source}, borne out by the leases in the snapshot")));
    }
    judged.findings.push(Finding {
        severity: Severity::Critical,
        code: "etcd.snapshot_is_older".to_owned(),
        what: format!(
            "{source} is {}, and nothing in the snapshot was renewed after {}: {}",
            written(at),
            written(heartbeat.at),
            said(heartbeat)
        ),
        why: "nodes and controllers renew their leases every few seconds: this is an older snapshot under a new time, or one of a \
              cluster that had stopped, and what was written since is not in it"
            .to_owned(),
        action: "find out which file the backup job uploads, and restore from one whose leases are of the time that it states"
            .to_owned(),
    });
    None
}

/// A stated time that cannot be right. Which one is, nobody knows.
fn contradicted(at: DateTime<Utc>, what: String, judged: &mut Judged) {
    let expected = format!("nothing contradicts {}", written(at));
    judged.check = Some(Check::not_made(CHECK, expected, what.as_str()));
    judged.findings.push(uncertain(Severity::Serious, what));
}

/// What the content says by itself, where nothing is stated.
fn lower_bound(times: &Times, judged: &mut Judged) -> Option<(DateTime<Utc>, String)> {
    let stored = times
        .modified
        .map(|at| format!("; this copy was stored at {}", written(at)))
        .unwrap_or_default();
    let newest = times
        .newest
        .as_ref()
        .map(|newest| format!("; it is from after {}: {}", written(newest.at), said(newest)))
        .unwrap_or_default();
    let what = format!("nothing says when the snapshot was taken{stored}{newest}");
    judged.findings.push(uncertain(Severity::Warning, what));
    let heartbeat = times.heartbeat.as_ref()?;
    if times.modified.is_some_and(|modified| heartbeat.at > modified + SKEW) {
        let what = format!(
            "in the snapshot stands what was written after it was stored: {}",
            said(heartbeat)
        );
        judged.findings.push(uncertain(Severity::Serious, what));
        return None;
    }
    let source =
        "the newest lease in the snapshot, a lower bound: the snapshot is from then or later";
    Some((heartbeat.at, source.to_owned()))
}

fn said(newest: &NewestTime) -> String {
    let what = match newest.source {
        TimeSource::Created => "made",
        TimeSource::Changed => "changed",
        TimeSource::Renewed => "renewed",
    };
    format!("{} {what} at {} (revision {})", newest.resource, written(newest.at), newest.revision)
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn uncertain(severity: Severity, what: String) -> Finding {
    Finding {
        severity,
        code: "etcd.snapshot_time_uncertain".to_owned(),
        what,
        why: "the loss of data is measured from that time".to_owned(),
        action: format!(
            "let the backup job note the time before it takes the snapshot, and upload with metadata {TIME_MARK}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{Failed, Inconclusive, Passed};

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
    }

    fn lease(seconds: i64) -> Option<NewestTime> {
        let (source, resource) = (TimeSource::Renewed, "leases".to_owned());
        Some(NewestTime { at: time(seconds), source, resource, revision: 7 })
    }

    /// A snapshot that says to be of second 1000, with a lease that was renewed then.
    fn leased(seconds: i64) -> Times {
        let (newest, heartbeat) = (lease(seconds), lease(seconds));
        Times {
            stated: Some(time(1000)),
            modified: Some(time(9000)),
            newest,
            heartbeat,
            ..Times::default()
        }
    }

    #[test]
    fn the_most_trustworthy_time_is_used() {
        let all = Times {
            stated: Some(time(1)),
            marked: Some(time(2).to_rfc3339()),
            modified: Some(time(9)),
            ..Times::default()
        };
        let at = |times: &Times| recovery_point(times, "x").point.map(|point| point.at);
        assert_eq!(at(&all), Some(time(1)));
        let marked = Times { stated: None, ..all.clone() };
        assert_eq!(at(&marked), Some(time(2)));
    }

    #[test]
    fn the_time_at_which_a_copy_was_stored_is_not_the_time_of_its_data() {
        let stored = Times { modified: Some(time(9)), ..Times::default() };
        let judged = recovery_point(&stored, "x");
        assert_eq!((judged.point, judged.findings[0].severity), (None, Severity::Warning));
        let unreadable = Times { marked: Some("yesterday".into()), ..stored };
        let judged = recovery_point(&unreadable, "x");
        assert_eq!((judged.point, judged.findings.len()), (None, 2));
    }

    #[test]
    fn a_time_that_cannot_be_right_is_no_recovery_point() {
        let late = Times { stated: Some(time(10)), modified: Some(time(9)), ..Times::default() };
        let judged = recovery_point(&late, "x");
        assert_eq!((judged.point, judged.check.unwrap().outcome), (None, Inconclusive));
        let file = Times { modified: Some(time(9)), ..Times::default() };
        let judged = recovery_point(&file, "x");
        assert_eq!((judged.point, judged.findings.len()), (None, 1));
    }

    #[test]
    fn regression_a_time_is_believed_only_as_far_as_the_leases_in_the_snapshot_bear_it_out() {
        let judged = recovery_point(&leased(995), "x");
        assert_eq!(judged.point.unwrap().at, time(1000));
        assert_eq!((judged.check.unwrap().outcome, judged.findings.len()), (Passed, 0));
        // Last month's file under a new time.
        let judged = recovery_point(&leased(1000 - 30 * 86_400), "x");
        assert_eq!((judged.point, judged.check.unwrap().outcome), (None, Failed));
        assert_eq!(judged.findings[0].code, "etcd.snapshot_is_older");
        // Of a lease ten minutes before nobody knows.
        let border = STALE.num_seconds();
        assert!(recovery_point(&leased(1000 - border), "x").point.is_some());
        assert!(recovery_point(&leased(1000 - border - 1), "x").point.is_none());
    }

    #[test]
    fn regression_what_was_written_after_the_stated_time_contradicts_it() {
        let border = SKEW.num_seconds();
        assert!(recovery_point(&leased(1000 + border), "x").point.is_some());
        let judged = recovery_point(&leased(1000 + border + 1), "x");
        assert_eq!((judged.point, judged.check.unwrap().outcome), (None, Inconclusive));
        assert_eq!(judged.findings[0].severity, Severity::Serious);
        assert!(judged.findings[0].what.contains("written later"), "{:?}", judged.findings);
    }

    #[test]
    fn what_is_old_in_a_snapshot_without_leases_says_nothing_of_its_age() {
        let judged = recovery_point(&Times { heartbeat: None, ..leased(-86_400) }, "x");
        assert_eq!((judged.point.unwrap().at, judged.findings.len()), (time(1000), 0));
    }

    #[test]
    fn regression_without_a_stated_time_the_leases_are_a_lower_bound() {
        let judged = recovery_point(&Times { stated: None, ..leased(995) }, "x");
        let point = judged.point.unwrap();
        assert_eq!(point.at, time(995));
        assert!(point.source.contains("lower bound"), "{point:?}");
        assert_eq!(judged.findings[0].severity, Severity::Warning);
        // Without a lease it is told and not measured.
        let judged = recovery_point(&Times { stated: None, heartbeat: None, ..leased(995) }, "x");
        assert_eq!(judged.point, None);
        assert!(judged.findings[0].what.contains("it is from after"), "{:?}", judged.findings);
        let ahead = Times { stated: None, modified: Some(time(0)), ..leased(995) };
        assert_eq!(recovery_point(&ahead, "x").point, None);
    }
}
