//! Which snapshot is the recovery point: pure.

use super::snapshot::Snapshot;
use crate::journal::{Finding, Severity};
use crate::providers::backups::{KeyCondition, Spacing};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SnapshotType {
    /// Taken by the schedule of the cluster.
    Automated,
    /// Taken by a call.
    Manual,
    /// Taken by AWS Backup.
    Awsbackup,
    /// Copied from another snapshot, as far as RDS says so.
    Copied,
}

impl SnapshotType {
    fn fits(self, snapshot: &Snapshot) -> bool {
        let kind = snapshot.kind.as_deref();
        match self {
            Self::Automated => kind == Some("automated"),
            Self::Manual => kind == Some("manual"),
            Self::Awsbackup => kind == Some("awsbackup"),
            Self::Copied => snapshot.names_its_source,
        }
    }
}

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Of which types; none named means all.
    pub(super) types: Vec<SnapshotType>,
    /// The data must not be newer than this (UTC).
    pub(super) not_after: DateTime<Utc>,
    /// Only snapshots of the cluster with this identity.
    pub(super) resource_id: Option<String>,
    /// The tag in which the time of the data was recorded.
    pub(super) time_tag: Option<String>,
}

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
    /// It is in another status than `available`.
    NotAvailable(String),
    /// Of another type or cluster than wanted.
    NotWanted,
}

/// A snapshot and what it is good for.
#[derive(Clone, Debug)]
pub(super) struct Judged<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) standing: Standing,
    /// Whether its key can be used: `None` when it is not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
    /// From the time of the data until its copy was made; `None` when it is no copy.
    pub(super) copy_lag: Option<TimeDelta>,
}

/// Judges every snapshot.
pub(super) fn judge<'a>(
    snapshots: &'a [Snapshot],
    keys: &BTreeMap<String, KeyCondition>,
    wanted: &Wanted,
) -> Vec<Judged<'a>> {
    let one = |snapshot: &'a Snapshot| {
        let key = snapshot.key.as_ref().and_then(|key| keys.get(key));
        Judged {
            snapshot,
            standing: standing(snapshot, key, wanted),
            key_usable: key.and_then(KeyCondition::usable),
            copy_lag: snapshot.copy_lag(wanted.time_tag.as_deref()),
        }
    };
    snapshots.iter().map(one).collect()
}

fn standing(snapshot: &Snapshot, key: Option<&KeyCondition>, wanted: &Wanted) -> Standing {
    let type_fits =
        wanted.types.is_empty() || wanted.types.iter().any(|wanted| wanted.fits(snapshot));
    let identity_fits = wanted.resource_id.is_none() || wanted.resource_id == snapshot.resource_id;
    if !type_fits || !identity_fits {
        return Standing::NotWanted;
    }
    match snapshot.status.as_deref() {
        Some("available") => {}
        other => return Standing::NotAvailable(other.unwrap_or("no status").to_owned()),
    }
    if let Some(KeyCondition::Unusable(why)) = key {
        return Standing::KeyUnusable(why.clone());
    }
    match snapshot.time_of_data(wanted.time_tag.as_deref()) {
        None => Standing::Undated,
        Some((at, _)) if at > wanted.not_after => Standing::TooNew,
        Some((at, source)) => Standing::Usable { at, source },
    }
}

/// The newest usable snapshot; without one, the latest made of those whose data has no known time.
pub(super) fn choose<'j, 'a>(judged: &'j [Judged<'a>]) -> Option<&'j Judged<'a>> {
    let rank = |candidate: &&'j Judged<'a>| match candidate.standing {
        Standing::Usable { at, .. } => Some((true, Some(at), candidate.snapshot.created)),
        Standing::Undated => Some((false, None, candidate.snapshot.created)),
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
        finding(Severity::Critical, "aurora.no_usable_recovery_point", what, why, action)
    };
    let broken_keys = count(|s| matches!(s, Standing::KeyUnusable(_)));
    if broken_keys > 0 {
        return nothing(
            format!("{broken_keys} cluster snapshots cannot be decrypted: {}", keys_of(judged)),
            "keep the key of the copies enabled in this region; name a key of this region when copying (KmsKeyId)",
        );
    }
    let too_new = count(|s| *s == Standing::TooNew);
    if too_new > 0 {
        return nothing(
            format!("all {too_new} usable cluster snapshots are newer than {not_after}"),
            "keep recovery points longer, so that one from before the damage exists",
        );
    }
    let unfinished = count(|s| matches!(s, Standing::NotAvailable(_)));
    if unfinished > 0 {
        return nothing(
            format!("none of {unfinished} cluster snapshots is available: {}", states_of(judged)),
            "wait for those being created or copied; look into the RDS events of those that failed",
        );
    }
    if !judged.is_empty() {
        return nothing(
            format!("{} cluster snapshots exist here, none of the wanted types", judged.len()),
            "check types: and resource_id: of the step",
        );
    }
    nothing(
        "no cluster snapshot in this region fits the selectors".to_owned(),
        "automated snapshots stay in the region of their cluster: copy them here before the loss (a copy rule in AWS Backup, \
         or copy-db-cluster-snapshot on a schedule), and check of: and tags: of the step",
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
        Standing::NotAvailable(state) => Some(state.as_str()),
        _ => None,
    });
    states.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn ids_where(judged: &[Judged<'_>], fits: impl Fn(&Judged<'_>) -> bool) -> Vec<String> {
    judged.iter().filter(|j| fits(j)).map(|j| j.snapshot.id.clone()).collect()
}

/// Statuses that every snapshot passes through; a snapshot in one of them needs nobody's attention.
const PASSING_STATUSES: [&str; 3] = ["copying", "creating", "deleting"];

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
            "aurora.snapshot_without_key",
            format!("{} cannot be decrypted: {}", locked.join(", "), keys_of(judged)),
            "these recovery points are lost, however many there seem to be",
            "enable the key, or copy the snapshots with a key that is usable here",
        ));
    }
    let failed = ids_where(judged, |j| match &j.standing {
        Standing::NotAvailable(state) => !PASSING_STATUSES.contains(&state.as_str()),
        _ => false,
    });
    if !failed.is_empty() {
        found.push(finding(
            Severity::Warning,
            "aurora.snapshot_not_available",
            format!("not available ({}): {}", states_of(judged), failed.join(", ")),
            "they cannot be restored",
            "look into the RDS events of these snapshots",
        ));
    }
    let undated = ids_where(judged, |j| j.standing == Standing::Undated);
    if !undated.is_empty() {
        found.push(finding(
            Severity::Warning,
            "aurora.time_of_data_unknown",
            format!("RDS does not say how old the data is in {}", undated.join(", ")),
            "a copied cluster snapshot carries the time of the copy only, so that no RPO can be measured from it",
            "record the time of the original in a tag of the copy, and name it in time_tag:; or measure it from the restored \
             data, with a watermark query over a heartbeat table",
        ));
    }
    found.extend(spacing.missed(schedule, "aurora.schedule_missed"));
    found.extend(several_clusters(judged));
    found
}

fn several_clusters(judged: &[Judged<'_>]) -> Option<Finding> {
    let wanted = judged.iter().filter(|j| j.standing != Standing::NotWanted);
    let ids: BTreeSet<_> = wanted.filter_map(|j| j.snapshot.resource_id.as_deref()).collect();
    (ids.len() > 1).then(|| {
        let ids: Vec<_> = ids.into_iter().collect();
        finding(
            Severity::Warning,
            "aurora.several_clusters",
            format!("the snapshots come from different clusters: {}", ids.join(", ")),
            "a cluster that was made again under an old name has other data than the old snapshots",
            "name the cluster that counts with resource_id: (DbClusterResourceId)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn snapshot(id: &str, hours: i64) -> Snapshot {
        Snapshot {
            arn: format!("arn:{id}"),
            id: id.to_owned(),
            status: Some("available".to_owned()),
            kind: Some("automated".to_owned()),
            created: Some(at(hours)),
            encrypted: Some(false),
            ..Snapshot::default()
        }
    }

    fn copy(id: &str, hours: i64) -> Snapshot {
        let kind = Some("manual".to_owned());
        Snapshot { kind, names_its_source: true, ..snapshot(id, hours) }
    }

    fn wanted() -> Wanted {
        Wanted { types: Vec::new(), not_after: at(1000), resource_id: None, time_tag: None }
    }

    fn chosen(snapshots: &[Snapshot], wanted: &Wanted) -> Option<String> {
        choose(&judge(snapshots, &BTreeMap::new(), wanted)).map(|j| j.snapshot.id.clone())
    }

    #[test]
    fn the_newest_available_snapshot_of_known_time_wins() {
        let creating = Snapshot { status: Some("creating".into()), ..snapshot("creating", 90) };
        let silent = Snapshot { status: None, ..snapshot("silent", 91) };
        let all = [snapshot("old", 1), snapshot("new", 2), creating, silent, copy("copy", 93)];
        assert_eq!(chosen(&all, &wanted()), Some("new".into()));
        assert_eq!(chosen(&[copy("copy", 93)], &wanted()), Some("copy".into()), "better than none");
        assert_eq!(chosen(&all, &Wanted { not_after: at(1), ..wanted() }), Some("old".into()));
        let copies = Wanted { types: vec![SnapshotType::Copied], ..wanted() };
        assert_eq!(chosen(&all, &copies), Some("copy".into()));
        let other = Wanted { resource_id: Some("cluster-OTHER".into()), ..wanted() };
        assert_eq!(chosen(&all, &other), None);
    }

    #[test]
    fn each_reason_for_having_nothing_has_its_own_words_and_fix() {
        let reason = |snapshots: &[Snapshot], keys: &BTreeMap<_, _>, wanted: &Wanted| {
            let judged = judge(snapshots, keys, wanted);
            assert!(choose(&judged).is_none());
            nothing_usable(&judged, wanted.not_after)
        };
        let none = BTreeMap::new();
        assert!(reason(&[], &none, &wanted()).action.contains("stay in the region"));
        let failed = Snapshot { status: Some("failed".into()), ..snapshot("f", 1) };
        assert!(reason(&[failed], &none, &wanted()).what.contains("available: failed"));
        let locked = Snapshot { key: Some("key-1".into()), ..snapshot("l", 1) };
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unusable("is off".into()))]);
        assert!(reason(&[locked], &keys, &wanted()).what.contains("key-1 is off"));
        let early = Wanted { not_after: at(0), ..wanted() };
        assert!(reason(&[snapshot("n", 1)], &none, &early).what.contains("newer than"));
        let copies = Wanted { types: vec![SnapshotType::Copied], ..wanted() };
        assert!(reason(&[snapshot("n", 1)], &none, &copies).action.contains("types:"));
    }

    #[test]
    fn what_is_wrong_beside_the_recovery_point_is_pointed_out() {
        let locked = Snapshot { key: Some("key-1".into()), ..snapshot("locked", 90) };
        let failed = Snapshot { status: Some("failed".into()), ..snapshot("failed", 3) };
        let passing = Snapshot { status: Some("copying".into()), ..snapshot("passing", 3) };
        let other = Snapshot { resource_id: Some("cluster-A".into()), ..snapshot("other", 4) };
        let first = Snapshot { resource_id: Some("cluster-B".into()), ..snapshot("first", 5) };
        let snapshots = [locked, failed, passing, other, first, copy("undated", 6)];
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unusable("is off".into()))]);
        let judged = judge(&snapshots, &keys, &wanted());
        let spacing = Spacing::of(usable_times(&judged), at(100));
        let found = blemishes(&judged, &spacing, TimeDelta::hours(24));
        let codes: Vec<_> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(
            codes,
            [
                "aurora.snapshot_without_key",
                "aurora.snapshot_not_available",
                "aurora.time_of_data_unknown",
                "aurora.schedule_missed",
                "aurora.several_clusters"
            ]
        );
        assert!(!found[1].what.contains("passing"), "{}", found[1].what);
    }

    #[test]
    fn an_unknown_key_does_not_make_a_snapshot_unusable_nor_its_key_usable() {
        let locked = [Snapshot { key: Some("key-1".into()), ..snapshot("l", 1) }];
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unknown("denied".into()))]);
        let judged = judge(&locked, &keys, &wanted());
        assert_eq!(choose(&judged).unwrap().key_usable, None);
    }
}
