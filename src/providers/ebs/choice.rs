//! Which snapshot is the recovery point: pure.

use super::snapshot::{Selector, Snapshot};
use crate::journal::{Finding, Severity};
use crate::providers::backups::{KeyCondition, Spacing};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a snapshot can serve as the recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can; the time of its data (UTC) and where that comes from.
    Usable { at: DateTime<Utc>, source: String },
    /// It can, but nobody knows how old its data is.
    Undated,
    /// Its data is newer than wanted.
    TooNew,
    /// Its key cannot be used here.
    KeyUnusable(String),
    /// It is in the archive.
    Archived,
    /// It is in another state than `completed`.
    NotCompleted(String),
}

/// A snapshot and what it is good for.
#[derive(Clone, Debug)]
pub(super) struct Judged<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) standing: Standing,
    /// Whether its key can be used: `None` when it is not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
    /// From the time of the data until its copy was complete; `None` when it is no copy.
    pub(super) copy_lag: Option<TimeDelta>,
}

/// Judges every snapshot; data newer than `not_after` (UTC) is not wanted.
pub(super) fn judge<'a>(
    snapshots: &'a [Snapshot],
    keys: &BTreeMap<String, KeyCondition>,
    selector: &Selector,
    not_after: DateTime<Utc>,
) -> Vec<Judged<'a>> {
    let one = |snapshot: &'a Snapshot| {
        let key = snapshot.key.as_ref().and_then(|key| keys.get(key));
        Judged {
            snapshot,
            standing: standing(snapshot, key, selector, not_after),
            key_usable: key.and_then(KeyCondition::usable),
            copy_lag: snapshot.copy_lag(selector),
        }
    };
    snapshots.iter().map(one).collect()
}

fn standing(
    snapshot: &Snapshot,
    key: Option<&KeyCondition>,
    selector: &Selector,
    not_after: DateTime<Utc>,
) -> Standing {
    match snapshot.state.as_deref() {
        Some("completed") => {}
        other => {
            let state = other.unwrap_or("no state").to_owned();
            let why = snapshot.state_message.as_deref();
            return Standing::NotCompleted(
                why.map_or(state.clone(), |why| format!("{state}: {why}")),
            );
        }
    }
    if snapshot.archived {
        return Standing::Archived;
    }
    if let Some(KeyCondition::Unusable(why)) = key {
        return Standing::KeyUnusable(why.clone());
    }
    match snapshot.time_of_data(selector) {
        None => Standing::Undated,
        Some((at, _)) if at > not_after => Standing::TooNew,
        Some((at, source)) => Standing::Usable { at, source },
    }
}

/// The newest usable snapshot; without one, the latest begun of those whose data has no known time.
pub(super) fn choose<'j, 'a>(judged: &'j [Judged<'a>]) -> Option<&'j Judged<'a>> {
    let rank = |candidate: &&'j Judged<'a>| match candidate.standing {
        Standing::Usable { at, .. } => Some((true, Some(at), candidate.snapshot.started)),
        Standing::Undated => Some((false, None, candidate.snapshot.started)),
        _ => None,
    };
    judged.iter().filter(|j| rank(j).is_some()).max_by_key(rank)
}

/// The times of the data of all usable snapshots (UTC).
pub(super) fn usable_times(judged: &[Judged<'_>]) -> Vec<DateTime<Utc>> {
    let times = judged.iter().filter_map(|j| match j.standing {
        Standing::Usable { at, .. } => Some(at),
        _ => None,
    });
    times.collect()
}

/// The longest lag of the usable snapshots that are copies.
pub(super) fn longest_copy_lag(judged: &[Judged<'_>]) -> Option<TimeDelta> {
    let usable = judged.iter().filter(|j| matches!(j.standing, Standing::Usable { .. }));
    usable.filter_map(|j| j.copy_lag).max()
}

fn finding(severity: Severity, code: &str, what: String, why: &str, action: &str) -> Finding {
    let (code, why, action) = (code.to_owned(), why.to_owned(), action.to_owned());
    Finding { severity, code, what, why, action }
}

/// Why there is no recovery point, and what to do about it.
pub(super) fn nothing_usable(judged: &[Judged<'_>], not_after: DateTime<Utc>) -> Finding {
    let count = |fits: fn(&Standing) -> bool| judged.iter().filter(|j| fits(&j.standing)).count();
    let nothing = |what: String, action: &str| {
        let why = "nothing could be restored from here";
        finding(Severity::Critical, "ebs.no_usable_recovery_point", what, why, action)
    };
    let broken_keys = count(|s| matches!(s, Standing::KeyUnusable(_)));
    if broken_keys > 0 {
        return nothing(
            format!("{broken_keys} snapshots cannot be decrypted: {}", keys_of(judged)),
            "keep the key of the copies enabled in this region; name a key of this region when copying",
        );
    }
    let archived = count(|s| *s == Standing::Archived);
    if archived > 0 {
        return nothing(
            format!("all {archived} completed snapshots are in the archive"),
            "keep the newest ones in the standard tier; restore-snapshot-tier takes up to 72 hours",
        );
    }
    let too_new = count(|s| *s == Standing::TooNew);
    if too_new > 0 {
        return nothing(
            format!("all {too_new} usable snapshots are newer than {not_after}"),
            "keep recovery points longer, so that one from before the damage exists",
        );
    }
    if !judged.is_empty() {
        return nothing(
            format!("none of {} snapshots is completed: {}", judged.len(), states_of(judged)),
            "wait for those that are pending; a copy in error mostly lacks permission on its key",
        );
    }
    nothing(
        "no snapshot fits the selectors in this region".to_owned(),
        "snapshots stay in their region: copy them here before the loss (Data Lifecycle Manager or AWS Backup), and select \
         the copies by tags, since they do not keep the id of the volume",
    )
}

fn keys_of(judged: &[Judged<'_>]) -> String {
    let keys = judged.iter().filter_map(|j| match &j.standing {
        Standing::KeyUnusable(why) => {
            Some(format!("key {} {why}", j.snapshot.key.as_deref().unwrap_or("unknown")))
        }
        _ => None,
    });
    keys.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
}

fn states_of(judged: &[Judged<'_>]) -> String {
    let states = judged.iter().filter_map(|j| match &j.standing {
        Standing::NotCompleted(state) => Some(state.as_str()),
        _ => None,
    });
    states.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn ids_where(judged: &[Judged<'_>], fits: impl Fn(&Judged<'_>) -> bool) -> Vec<String> {
    judged.iter().filter(|j| fits(j)).map(|j| j.snapshot.id.clone()).collect()
}

/// What a person should look at although there is a recovery point.
pub(super) fn blemishes(
    judged: &[Judged<'_>],
    spacing: &Spacing,
    schedule: TimeDelta,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let locked = ids_where(judged, |j| matches!(j.standing, Standing::KeyUnusable(_)));
    if !locked.is_empty() {
        found.push(finding(
            Severity::Serious,
            "ebs.snapshot_without_key",
            format!("{} cannot be decrypted: {}", locked.join(", "), keys_of(judged)),
            "these recovery points are lost, however many there seem to be",
            "enable the key, or copy the snapshots with a key that is usable here",
        ));
    }
    let archived = ids_where(judged, |j| j.standing == Standing::Archived);
    if !archived.is_empty() {
        found.push(finding(
            Severity::Warning,
            "ebs.snapshot_archived",
            format!("in the archive: {}", archived.join(", ")),
            "bringing a snapshot back from the archive takes 24 to 72 hours",
            "do not count on archived snapshots for recovery within a day",
        ));
    }
    let failed = ids_where(
        judged,
        |j| matches!(&j.standing, Standing::NotCompleted(state) if !state.starts_with("pending")),
    );
    if !failed.is_empty() {
        found.push(finding(
            Severity::Warning,
            "ebs.snapshot_not_completed",
            format!("not completed ({}): {}", states_of(judged), failed.join(", ")),
            "they cannot be restored",
            "read their state message; a copy in error mostly lacks permission on its key",
        ));
    }
    let undated = ids_where(judged, |j| j.standing == Standing::Undated);
    if !undated.is_empty() {
        found.push(finding(
            Severity::Warning,
            "ebs.time_of_data_unknown",
            format!("EC2 does not say how old the data is in {}", undated.join(", ")),
            "a copied snapshot carries the time of the copy only, so that no RPO can be measured from it",
            "record the time of the original in a tag that is copied along, and name it in time_tag:",
        ));
    }
    found.extend(spacing.missed(schedule, "ebs.schedule_missed"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn selector() -> Selector {
        Selector { volume: Some("vol-1".into()), ..Selector::default() }
    }

    fn snapshot(id: &str, hours: i64) -> Snapshot {
        Snapshot {
            id: id.to_owned(),
            volume: Some("vol-1".to_owned()),
            state: Some("completed".to_owned()),
            started: Some(at(hours)),
            ..Snapshot::default()
        }
    }

    fn judged<'a>(
        snapshots: &'a [Snapshot],
        keys: &BTreeMap<String, KeyCondition>,
    ) -> Vec<Judged<'a>> {
        judge(snapshots, keys, &selector(), at(1000))
    }

    #[test]
    fn the_newest_completed_snapshot_of_known_time_wins() {
        let pending = Snapshot { state: Some("pending".into()), ..snapshot("pending", 90) };
        let silent = Snapshot { state: None, ..snapshot("silent", 91) };
        let archived = Snapshot { archived: true, ..snapshot("archived", 92) };
        let copy = Snapshot { says_copied: true, ..snapshot("copy", 93) };
        let all = [snapshot("old", 1), snapshot("new", 2), pending, silent, archived, copy.clone()];
        let judged_all = judged(&all, &BTreeMap::new());
        assert_eq!(choose(&judged_all).unwrap().snapshot.id, "new");
        let codes: Vec<_> = blemishes(&judged_all, &Spacing::of([], at(0)), TimeDelta::hours(24))
            .into_iter()
            .map(|finding| finding.code)
            .collect();
        assert_eq!(
            codes,
            ["ebs.snapshot_archived", "ebs.snapshot_not_completed", "ebs.time_of_data_unknown"]
        );
        let only_copy = [copy];
        let judged_copy = judged(&only_copy, &BTreeMap::new());
        assert_eq!(choose(&judged_copy).unwrap().standing, Standing::Undated);
    }

    #[test]
    fn each_reason_for_having_nothing_has_its_own_words() {
        let nothing = |snapshots: &[Snapshot], keys: &BTreeMap<String, KeyCondition>| {
            let judged = judged(snapshots, keys);
            assert!(choose(&judged).is_none());
            nothing_usable(&judged, at(1000)).what
        };
        let none = BTreeMap::new();
        assert!(nothing(&[], &none).contains("no snapshot fits"));
        let error = Snapshot {
            state: Some("error".into()),
            state_message: Some("Given key ID is not accessible".into()),
            ..snapshot("e", 1)
        };
        assert!(nothing(&[error], &none).contains("error: Given key ID is not accessible"));
        let archived = Snapshot { archived: true, ..snapshot("a", 1) };
        assert!(nothing(&[archived], &none).contains("archive"));
        let locked = Snapshot { key: Some("key-1".into()), ..snapshot("l", 1) };
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unusable("is off".into()))]);
        assert!(nothing(&[locked], &keys).contains("key-1 is off"));
        assert!(nothing(&[snapshot("late", 2000)], &none).contains("newer than"));
    }

    #[test]
    fn an_unknown_key_does_not_make_a_snapshot_unusable_nor_its_key_usable() {
        let locked = [Snapshot { key: Some("key-1".into()), ..snapshot("l", 1) }];
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unknown("denied".into()))]);
        let judged = judged(&locked, &keys);
        assert_eq!(choose(&judged).unwrap().key_usable, None);
    }
}
