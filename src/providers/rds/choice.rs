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
    /// Taken by the schedule of the instance.
    Automated,
    /// Taken by a call.
    Manual,
    /// Taken by AWS Backup.
    Awsbackup,
    /// Copied from another snapshot, whatever its type.
    Copied,
    /// Shared by another account.
    Shared,
}

impl SnapshotType {
    fn fits(self, snapshot: &Snapshot, account: Option<&str>) -> bool {
        let kind = snapshot.kind.as_deref();
        match self {
            Self::Automated => kind == Some("automated"),
            Self::Manual => kind == Some("manual"),
            Self::Awsbackup => kind == Some("awsbackup"),
            Self::Copied => snapshot.is_copy(),
            Self::Shared => is_foreign(snapshot, account),
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
    /// Only snapshots of the instance with this identity.
    pub(super) resource_id: Option<String>,
    /// The account of the site: snapshots of others are shared ones.
    pub(super) account: Option<String>,
}

fn is_foreign(snapshot: &Snapshot, account: Option<&str>) -> bool {
    snapshot.owner.as_deref().zip(account).is_some_and(|(owner, account)| owner != account)
}

/// Whether a snapshot can serve as the recovery point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can; the time of its data (UTC) and where that comes from.
    Usable { at: DateTime<Utc>, source: &'static str },
    /// It can, but nobody knows how old its data is.
    Undated,
    /// Its data is newer than wanted.
    TooNew,
    /// Its key cannot be used here.
    KeyUnusable(String),
    /// It is in another status than `available`.
    NotAvailable(String),
    /// It is of a type or an instance that is not wanted.
    NotWanted,
}

/// A snapshot and what it is good for.
#[derive(Clone, Debug)]
pub(super) struct Judged<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) standing: Standing,
    /// Whether its key can be used: `None` when it is not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
}

/// Judges every snapshot.
pub(super) fn judge<'a>(
    snapshots: &'a [Snapshot],
    keys: &BTreeMap<String, KeyCondition>,
    wanted: &Wanted,
) -> Vec<Judged<'a>> {
    let one = |snapshot: &'a Snapshot| {
        let key = snapshot.key.as_ref().and_then(|key| keys.get(key));
        let key_usable = key.and_then(KeyCondition::usable);
        Judged { snapshot, standing: standing(snapshot, key, wanted), key_usable }
    };
    snapshots.iter().map(one).collect()
}

fn standing(snapshot: &Snapshot, key: Option<&KeyCondition>, wanted: &Wanted) -> Standing {
    let account = wanted.account.as_deref();
    let type_fits =
        wanted.types.is_empty() || wanted.types.iter().any(|t| t.fits(snapshot, account));
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
    match snapshot.time_of_data() {
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

/// How many of the usable snapshots are copies.
pub(super) fn usable_copies(judged: &[Judged<'_>]) -> usize {
    let usable = judged.iter().filter(|j| matches!(j.standing, Standing::Usable { .. }));
    usable.filter(|j| j.snapshot.is_copy()).count()
}

/// The longest lag of the usable snapshots that are copies.
pub(super) fn longest_copy_lag(judged: &[Judged<'_>]) -> Option<TimeDelta> {
    let usable = judged.iter().filter(|j| matches!(j.standing, Standing::Usable { .. }));
    usable.filter_map(|j| j.snapshot.copy_lag()).max()
}

/// Why there is no recovery point, and what to do about it.
pub(super) fn nothing_usable(judged: &[Judged<'_>], of: &str, wanted: &Wanted) -> Finding {
    let count = |fits: fn(&Standing) -> bool| judged.iter().filter(|j| fits(&j.standing)).count();
    let finding = |what: String, action: &str| Finding {
        severity: Severity::Critical,
        code: "rds.no_usable_recovery_point".to_owned(),
        what,
        why: "nothing could be restored from here".to_owned(),
        action: action.to_owned(),
    };
    let broken_keys = count(|s| matches!(s, Standing::KeyUnusable(_)));
    if broken_keys > 0 {
        return finding(
            format!("{broken_keys} snapshots of {of} cannot be decrypted: {}", keys_of(judged)),
            "keep the key of the copies enabled in this region; name a key of this region when copying (KmsKeyId)",
        );
    }
    let too_new = count(|s| matches!(s, Standing::TooNew));
    if too_new > 0 {
        return finding(
            format!("all {too_new} usable snapshots of {of} are newer than {}", wanted.not_after),
            "keep recovery points longer, so that one from before the damage exists",
        );
    }
    let unfinished = count(|s| matches!(s, Standing::NotAvailable(_)));
    if unfinished > 0 {
        return finding(
            format!("none of {unfinished} snapshots of {of} is available: {}", states_of(judged)),
            "wait for those being created or copied; look into the RDS events of those that failed",
        );
    }
    if !judged.is_empty() {
        return finding(
            format!("{} snapshots of {of} exist here, none of the wanted types", judged.len()),
            "check types: and resource_id: of the step",
        );
    }
    finding(
        format!("there is no snapshot of {of} in this region"),
        "automated snapshots stay in the region of their instance: copy them here before the loss (a copy rule in AWS \
         Backup, replicated automated backups, or copy-db-snapshot on a schedule), and check the name in of:",
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

/// What a person should look at although there is a recovery point.
pub(super) fn blemishes(
    judged: &[Judged<'_>],
    chosen: &Judged<'_>,
    spacing: &Spacing,
    schedule: TimeDelta,
) -> Vec<Finding> {
    let findings = [
        newer_without_key(judged, chosen),
        failed_snapshots(judged),
        undated_snapshots(judged),
        spacing.missed(schedule, "rds.schedule_missed"),
        several_instances(judged),
    ];
    findings.into_iter().flatten().collect()
}

fn finding(severity: Severity, code: &str, what: String, why: &str, action: &str) -> Finding {
    let (code, why, action) = (code.to_owned(), why.to_owned(), action.to_owned());
    Finding { severity, code, what, why, action }
}

fn newer_without_key(judged: &[Judged<'_>], chosen: &Judged<'_>) -> Option<Finding> {
    let chosen_at = chosen.snapshot.time_of_data().map(|(at, _)| at);
    let newer = |j: &&Judged<'_>| {
        matches!(j.standing, Standing::KeyUnusable(_))
            && j.snapshot.time_of_data().map(|(at, _)| at) > chosen_at
    };
    let newer = judged.iter().filter(newer).count();
    (newer > 0).then(|| {
        finding(
            Severity::Serious,
            "rds.newer_snapshot_without_key",
            format!("{newer} newer snapshots cannot be decrypted: {}", keys_of(judged)),
            "more data would be lost than the snapshots suggest",
            "enable the key, or copy the snapshots with a key that is usable here",
        )
    })
}

/// Statuses that every snapshot passes through; a snapshot in one of them needs nobody's attention.
const PASSING_STATUSES: [&str; 3] = ["copying", "creating", "deleting"];

fn failed_snapshots(judged: &[Judged<'_>]) -> Option<Finding> {
    let failed = |j: &&Judged<'_>| match &j.standing {
        Standing::NotAvailable(state) => !PASSING_STATUSES.contains(&state.as_str()),
        _ => false,
    };
    let failed: Vec<_> = judged.iter().filter(failed).map(|j| j.snapshot.id.as_str()).collect();
    (!failed.is_empty()).then(|| {
        finding(
            Severity::Warning,
            "rds.snapshot_not_available",
            format!("not available ({}): {}", states_of(judged), failed.join(", ")),
            "they cannot be restored",
            "look into the RDS events of these snapshots",
        )
    })
}

fn undated_snapshots(judged: &[Judged<'_>]) -> Option<Finding> {
    let undated = judged.iter().filter(|j| j.standing == Standing::Undated);
    let undated: Vec<_> = undated.map(|j| j.snapshot.id.as_str()).collect();
    (!undated.is_empty()).then(|| {
        finding(
            Severity::Warning,
            "rds.time_of_data_unknown",
            format!("RDS does not say how old the data is in {}", undated.join(", ")),
            "without it no RPO can be measured from the snapshot",
            "measure it from the restored data: a watermark query over a heartbeat table",
        )
    })
}

fn several_instances(judged: &[Judged<'_>]) -> Option<Finding> {
    let wanted = judged.iter().filter(|j| j.standing != Standing::NotWanted);
    let ids: BTreeSet<_> = wanted.filter_map(|j| j.snapshot.resource_id.as_deref()).collect();
    (ids.len() > 1).then(|| {
        let ids: Vec<_> = ids.into_iter().collect();
        finding(
            Severity::Warning,
            "rds.several_instances_of_that_name",
            format!("the snapshots come from different instances of that name: {}", ids.join(", ")),
            "an instance that was made again under an old name has other data than the old snapshots",
            "name the instance that counts with resource_id: (DbiResourceId)",
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
            original_created: Some(at(hours)),
            encrypted: Some(false),
            ..Snapshot::default()
        }
    }

    fn wanted() -> Wanted {
        Wanted { types: Vec::new(), not_after: at(1000), resource_id: None, account: None }
    }

    fn no_keys() -> BTreeMap<String, KeyCondition> {
        BTreeMap::new()
    }

    fn chosen(snapshots: &[Snapshot], wanted: &Wanted) -> Option<String> {
        choose(&judge(snapshots, &no_keys(), wanted)).map(|j| j.snapshot.id.clone())
    }

    #[test]
    fn the_snapshot_with_the_newest_data_wins_however_late_another_was_copied() {
        let mut copy = snapshot("copy", 10);
        copy.created = Some(at(90));
        assert_eq!(chosen(&[snapshot("new", 50), copy], &wanted()), Some("new".into()));
    }

    #[test]
    fn a_dated_snapshot_is_preferred_and_an_undated_one_is_better_than_none() {
        let mut undated = snapshot("undated", 90);
        undated.original_created = None;
        undated.kind = Some("manual".into());
        let both = [undated.clone(), snapshot("dated", 1)];
        assert_eq!(chosen(&both, &wanted()), Some("dated".into()));
        assert_eq!(chosen(&[undated], &wanted()), Some("undated".into()));
    }

    #[test]
    fn only_what_is_available_wanted_and_old_enough_is_chosen() {
        let mut creating = snapshot("creating", 90);
        creating.status = Some("creating".into());
        let mut silent = snapshot("silent", 91);
        silent.status = None;
        let all = [creating, silent, snapshot("first", 10), snapshot("second", 20)];
        assert_eq!(chosen(&all, &wanted()), Some("second".into()));
        let before = Wanted { not_after: at(15), ..wanted() };
        assert_eq!(chosen(&all, &before), Some("first".into()));
        let copies = Wanted { types: vec![SnapshotType::Copied], ..wanted() };
        assert_eq!(chosen(&all, &copies), None);
        let other = Wanted { resource_id: Some("db-OTHER".into()), ..wanted() };
        assert_eq!(chosen(&all, &other), None);
    }

    #[test]
    fn a_snapshot_whose_key_is_gone_is_not_chosen_and_one_whose_key_is_unknown_is_not_called_usable()
     {
        let mut locked = snapshot("locked", 90);
        locked.key = Some("key-1".into());
        let snapshots = [snapshot("open", 10), locked];
        let keys = |condition| BTreeMap::from([("key-1".to_owned(), condition)]);
        let judged = judge(&snapshots, &keys(KeyCondition::Unusable("is gone".into())), &wanted());
        let best = choose(&judged).unwrap();
        assert_eq!(best.snapshot.id, "open");
        let spacing = Spacing::of(usable_times(&judged), at(100));
        let found = blemishes(&judged, best, &spacing, TimeDelta::hours(24));
        assert_eq!(found[0].code, "rds.newer_snapshot_without_key");
        assert!(found[0].what.contains("key-1 is gone"), "{}", found[0].what);
        let judged = judge(&snapshots, &keys(KeyCondition::Unknown("denied".into())), &wanted());
        let best = choose(&judged).unwrap();
        assert_eq!((best.snapshot.id.as_str(), best.key_usable), ("locked", None));
    }

    #[test]
    fn each_reason_for_having_nothing_has_its_own_words_and_fix() {
        let reason = |snapshots: &[Snapshot], keys: &BTreeMap<_, _>, wanted: &Wanted| {
            let judged = judge(snapshots, keys, wanted);
            assert!(choose(&judged).is_none());
            nothing_usable(&judged, "orders", wanted)
        };
        let nothing = reason(&[], &no_keys(), &wanted());
        assert!(nothing.what.contains("no snapshot of orders in this region"));
        assert!(nothing.action.contains("stay in the region"));
        let mut failed = snapshot("f", 1);
        failed.status = Some("failed".into());
        assert!(reason(&[failed], &no_keys(), &wanted()).what.contains("available: failed"));
        let mut locked = snapshot("l", 1);
        locked.key = Some("key-1".into());
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unusable("is off".into()))]);
        assert!(reason(&[locked], &keys, &wanted()).what.contains("key-1 is off"));
        let early = Wanted { not_after: at(0), ..wanted() };
        assert!(reason(&[snapshot("n", 1)], &no_keys(), &early).what.contains("newer than"));
        let copies = Wanted { types: vec![SnapshotType::Copied], ..wanted() };
        assert!(reason(&[snapshot("n", 1)], &no_keys(), &copies).action.contains("types:"));
    }

    #[test]
    fn what_another_account_owns_is_shared() {
        let shared = Snapshot { owner: Some("222222222222".into()), ..snapshot("s", 1) };
        let wanted = |account: &str| Wanted {
            types: vec![SnapshotType::Shared],
            account: Some(account.to_owned()),
            ..wanted()
        };
        assert!(chosen(std::slice::from_ref(&shared), &wanted("111111111111")).is_some());
        assert!(chosen(&[shared], &wanted("222222222222")).is_none());
    }

    #[test]
    fn a_failed_snapshot_is_pointed_out_and_one_on_its_way_is_not() {
        let in_status = |status: &str| {
            let snapshots = [Snapshot { status: Some(status.into()), ..snapshot("s", 1) }];
            failed_snapshots(&judge(&snapshots, &no_keys(), &wanted())).is_some()
        };
        assert!(in_status("failed") && in_status("incompatible-restore"));
        assert!(!in_status("creating") && !in_status("copying") && !in_status("deleting"));
    }

    #[test]
    fn snapshots_of_an_earlier_instance_of_that_name_are_pointed_out() {
        let (mut old, mut new) = (snapshot("old", 1), snapshot("new", 2));
        old.resource_id = Some("db-A".into());
        new.resource_id = Some("db-B".into());
        let snapshots = [old, new];
        assert!(several_instances(&judge(&snapshots, &no_keys(), &wanted())).is_some());
        let only = Wanted { resource_id: Some("db-B".into()), ..wanted() };
        assert!(several_instances(&judge(&snapshots, &no_keys(), &only)).is_none());
    }
}
