//! Which automated backup is restored from, and what time it reaches: pure.

use super::automated_backup::AutomatedBackup;
use super::engine_versions::{Offer, Offers, named};
use crate::journal::{Finding, Severity};
use crate::providers::backups::KeyCondition;
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct WantedBackup {
    /// The data must not be newer than this (UTC).
    pub(super) not_after: DateTime<Utc>,
    /// Only backups of the instance with this identity.
    pub(super) resource_id: Option<String>,
}

/// Whether backups can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BackupStanding {
    /// They can be restored to this time (UTC), and to none that is later and wanted.
    Usable { at: DateTime<Utc> },
    /// They begin after the time that is wanted.
    TooNew,
    /// Their key cannot be used here.
    KeyUnusable(String),
    /// RDS does not offer their engine version here any more, so that nothing can be restored from them.
    VersionGone(String),
    /// They are in another status, or have no restore window.
    NotReady(String),
    /// They are of another instance.
    NotWanted,
}

/// Backups and what they are good for.
#[derive(Clone, Debug)]
pub(super) struct JudgedBackup<'a> {
    pub(super) backup: &'a AutomatedBackup,
    pub(super) standing: BackupStanding,
    /// Whether their key can be used: `None` when they are not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
}

/// Judges all backups.
pub(super) fn judge<'a>(
    backups: &'a [AutomatedBackup],
    keys: &BTreeMap<String, KeyCondition>,
    offers: &Offers,
    wanted: &WantedBackup,
) -> Vec<JudgedBackup<'a>> {
    let one = |backup: &'a AutomatedBackup| {
        let key = backup.key.as_ref().and_then(|key| keys.get(key));
        let key_usable = key.and_then(KeyCondition::usable);
        JudgedBackup { backup, standing: standing(backup, key, offers, wanted), key_usable }
    };
    backups.iter().map(one).collect()
}

fn standing(
    backup: &AutomatedBackup,
    key: Option<&KeyCondition>,
    offers: &Offers,
    wanted: &WantedBackup,
) -> BackupStanding {
    if wanted.resource_id.is_some() && wanted.resource_id != backup.resource_id {
        return BackupStanding::NotWanted;
    }
    let window = backup.earliest.zip(backup.latest).filter(|_| backup.can_be_restored());
    let Some((earliest, latest)) = window else {
        let status = backup.status.as_deref().unwrap_or("no status");
        return BackupStanding::NotReady(format!("{status}, restore window {}", backup.window()));
    };
    if let Some(KeyCondition::Unusable(why)) = key {
        return BackupStanding::KeyUnusable(why.clone());
    }
    let (engine, version) = backup.version();
    if offers.get(engine, version) == Offer::Gone {
        return BackupStanding::VersionGone(named(engine, version));
    }
    if earliest > wanted.not_after {
        return BackupStanding::TooNew;
    }
    BackupStanding::Usable { at: latest.min(wanted.not_after) }
}

/// Those that reach the latest time; of several, those that reach further back.
pub(super) fn choose<'j, 'a>(
    judged: &'j [JudgedBackup<'a>],
) -> Option<(&'j JudgedBackup<'a>, DateTime<Utc>)> {
    let usable = judged.iter().filter_map(|j| match j.standing {
        BackupStanding::Usable { at } => Some((j, at)),
        _ => None,
    });
    usable.max_by_key(|(j, at)| (*at, std::cmp::Reverse(j.backup.earliest)))
}

/// How many can be restored from.
pub(super) fn usable(judged: &[JudgedBackup<'_>]) -> usize {
    judged.iter().filter(|j| matches!(j.standing, BackupStanding::Usable { .. })).count()
}

/// A version that keeps backups from being restored.
pub(super) fn version_gone<'j>(judged: &'j [JudgedBackup<'_>]) -> Option<&'j str> {
    judged.iter().find_map(|j| match &j.standing {
        BackupStanding::VersionGone(version) => Some(version.as_str()),
        _ => None,
    })
}

fn finding(severity: Severity, code: &str, what: String, why: &str, action: &str) -> Finding {
    let (code, why, action) = (code.to_owned(), why.to_owned(), action.to_owned());
    Finding { severity, code, what, why, action }
}

/// Why no point in time can be restored, and what to do about it.
pub(super) fn nothing_usable(
    judged: &[JudgedBackup<'_>],
    of: &str,
    wanted: &WantedBackup,
) -> Finding {
    let nothing = |what: String, action: &str| {
        let why = "nothing could be restored from here";
        finding(Severity::Critical, "rds.no_usable_automated_backup", what, why, action)
    };
    let keys: BTreeSet<String> = judged
        .iter()
        .filter_map(|j| match &j.standing {
            BackupStanding::KeyUnusable(why) => {
                Some(format!("key {} {why}", j.backup.key.as_deref().unwrap_or("unknown")))
            }
            _ => None,
        })
        .collect();
    if !keys.is_empty() {
        let keys = keys.into_iter().collect::<Vec<_>>().join("; ");
        return nothing(
            format!("the automated backups of {of} cannot be decrypted: {keys}"),
            "keep the key of the replicated backups enabled in this region",
        );
    }
    if let Some(version) = version_gone(judged) {
        return nothing(
            format!(
                "RDS does not offer {version} here any more, of which the automated backups of {of} are"
            ),
            "upgrade the instance before its version is withdrawn; until then restore a snapshot that was upgraded",
        );
    }
    let count =
        |fits: fn(&BackupStanding) -> bool| judged.iter().filter(|j| fits(&j.standing)).count();
    if count(|s| *s == BackupStanding::TooNew) > 0 {
        return nothing(
            format!("the automated backups of {of} begin after {}", wanted.not_after),
            "keep automated backups longer, so that they reach back before the damage",
        );
    }
    let states: BTreeSet<&str> = judged
        .iter()
        .filter_map(|j| match &j.standing {
            BackupStanding::NotReady(state) => Some(state.as_str()),
            _ => None,
        })
        .collect();
    if !states.is_empty() {
        let states = states.into_iter().collect::<Vec<_>>().join("; ");
        return nothing(
            format!("no automated backup of {of} can be restored: {states}"),
            "wait until the first snapshot is complete; look into the RDS events",
        );
    }
    if !judged.is_empty() {
        return nothing(
            format!("the {} automated backups of {of} are of other instances", judged.len()),
            "check resource_id: of the step",
        );
    }
    nothing(
        format!("there is no automated backup of {of} in this region"),
        "automated backups stay in the region of their instance: replicate them here before the loss \
         (start-db-instance-automated-backups-replication), and check the name in of:",
    )
}

/// Transaction logs come every five minutes; this much later something is wrong.
const BEHIND: TimeDelta = TimeDelta::hours(1);

/// What a person should look at although a point in time can be restored.
pub(super) fn blemishes(
    judged: &[JudgedBackup<'_>],
    chosen: &JudgedBackup<'_>,
    loss_at: DateTime<Utc>,
) -> Vec<Finding> {
    [logs_behind(chosen, loss_at), several_instances(judged)].into_iter().flatten().collect()
}

/// After the loss no logs come any more.
fn logs_behind(chosen: &JudgedBackup<'_>, loss_at: DateTime<Utc>) -> Option<Finding> {
    let going_on = matches!(chosen.backup.status.as_deref(), Some("active" | "replicating"));
    let behind = loss_at - chosen.backup.latest?;
    (going_on && behind > BEHIND).then(|| {
        finding(
            Severity::Serious,
            "rds.transaction_logs_behind",
            format!(
                "the newest transaction log here was {} old, though RDS uploads one every five minutes",
                HumanDuration::from(behind).rounded_up()
            ),
            "more data would be lost than point-in-time recovery promises",
            "look into the RDS events of the replication, and alarm on the age of RestoreWindow.LatestTime",
        )
    })
}

fn several_instances(judged: &[JudgedBackup<'_>]) -> Option<Finding> {
    let wanted = judged.iter().filter(|j| j.standing != BackupStanding::NotWanted);
    let ids: BTreeSet<_> = wanted.filter_map(|j| j.backup.resource_id.as_deref()).collect();
    (ids.len() > 1).then(|| {
        let ids: Vec<_> = ids.into_iter().collect();
        finding(
            Severity::Warning,
            "rds.several_instances_of_that_name",
            format!("the backups come from different instances of that name: {}", ids.join(", ")),
            "an instance that was made again under an old name has other data than the old backups",
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

    fn backup(id: &str, from: i64, until: i64) -> AutomatedBackup {
        AutomatedBackup {
            arn: Some(format!("arn:{id}")),
            resource_id: Some("db-A".into()),
            status: Some("replicating".into()),
            earliest: Some(at(from)),
            latest: Some(at(until)),
            ..AutomatedBackup::default()
        }
    }

    fn wanted(hours: i64) -> WantedBackup {
        WantedBackup { not_after: at(hours), resource_id: None }
    }

    fn chosen(backups: &[AutomatedBackup], wanted: &WantedBackup) -> Option<(String, i64)> {
        let judged = judge(backups, &BTreeMap::new(), &Offers::default(), wanted);
        let (chosen, time) = choose(&judged)?;
        let hours = (time - DateTime::UNIX_EPOCH).num_hours();
        Some((chosen.backup.arn.clone().unwrap(), hours))
    }

    #[test]
    fn the_latest_time_that_is_wanted_is_chosen_and_never_one_outside_of_the_window() {
        let backups = [backup("old", 1, 50), backup("new", 40, 90)];
        assert_eq!(chosen(&backups, &wanted(100)), Some(("arn:new".into(), 90)));
        assert_eq!(chosen(&backups, &wanted(45)), Some(("arn:old".into(), 45)));
        assert_eq!(chosen(&backups, &wanted(20)), Some(("arn:old".into(), 20)));
        assert_eq!(chosen(&backups, &wanted(0)), None);
        let other = WantedBackup { resource_id: Some("db-B".into()), ..wanted(100) };
        assert_eq!(chosen(&backups, &other), None);
    }

    #[test]
    fn each_reason_for_having_nothing_has_its_own_words() {
        let reason = |backups: &[AutomatedBackup], keys: &BTreeMap<_, _>, wanted: &WantedBackup| {
            let judged = judge(backups, keys, &Offers::default(), wanted);
            assert!(choose(&judged).is_none() && usable(&judged) == 0);
            nothing_usable(&judged, "orders", wanted).what
        };
        let no_keys = BTreeMap::new();
        assert!(reason(&[], &no_keys, &wanted(9)).contains("no automated backup of orders in"));
        assert!(reason(&[backup("a", 5, 9)], &no_keys, &wanted(1)).contains("begin after"));
        let creating = AutomatedBackup { status: Some("creating".into()), ..backup("a", 1, 2) };
        assert!(reason(&[creating], &no_keys, &wanted(9)).contains("creating"));
        let no_window = AutomatedBackup { latest: None, ..backup("a", 1, 2) };
        assert!(reason(&[no_window], &no_keys, &wanted(9)).contains("unknown"));
        let locked = AutomatedBackup { key: Some("key-1".into()), ..backup("a", 1, 2) };
        let keys = BTreeMap::from([("key-1".to_owned(), KeyCondition::Unusable("is off".into()))]);
        assert!(reason(&[locked], &keys, &wanted(9)).contains("key-1 is off"));
        let other = WantedBackup { resource_id: Some("db-B".into()), ..wanted(9) };
        assert!(reason(&[backup("a", 1, 2)], &no_keys, &other).contains("other instances"));
    }

    #[test]
    fn logs_that_stopped_coming_are_pointed_out_and_those_of_a_deleted_instance_are_not() {
        let codes = |backup: AutomatedBackup| {
            let backups = [backup];
            let judged = judge(&backups, &BTreeMap::new(), &Offers::default(), &wanted(100));
            let (chosen, _) = choose(&judged).unwrap();
            blemishes(&judged, chosen, at(100)).len()
        };
        assert_eq!(codes(backup("a", 1, 90)), 1);
        assert_eq!(codes(backup("a", 1, 99)), 0);
        let retained = AutomatedBackup { status: Some("retained".into()), ..backup("a", 1, 50) };
        assert_eq!(codes(retained), 0);
    }

    #[test]
    fn backups_of_an_earlier_instance_of_that_name_are_pointed_out() {
        let earlier = AutomatedBackup { resource_id: Some("db-B".into()), ..backup("b", 1, 50) };
        let backups = [backup("a", 1, 99), earlier];
        let judged = judge(&backups, &BTreeMap::new(), &Offers::default(), &wanted(100));
        assert!(several_instances(&judged).is_some());
        assert!(several_instances(&judged[..1]).is_none());
    }

    #[test]
    fn a_backup_of_a_version_that_is_gone_is_not_usable() {
        let versioned = |id: &str, version: &str, until| AutomatedBackup {
            engine: Some("postgres".into()),
            engine_version: Some(version.into()),
            ..backup(id, 1, until)
        };
        let backups = [versioned("old", "13.3", 90), versioned("new", "16.4", 50)];
        let offers = Offers::gone("postgres", "13.3");
        let judged = judge(&backups, &BTreeMap::new(), &offers, &wanted(100));
        let (chosen, _) = choose(&judged).unwrap();
        assert_eq!((chosen.backup.arn.as_deref(), usable(&judged)), (Some("arn:new"), 1));
        let judged = judge(&backups[..1], &BTreeMap::new(), &offers, &wanted(100));
        assert!(choose(&judged).is_none());
        let finding = nothing_usable(&judged, "orders", &wanted(100));
        assert!(finding.what.contains("postgres 13.3"), "{finding:?}");
    }
}
