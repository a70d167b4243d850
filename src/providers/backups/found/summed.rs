//! What the chosen backup comes to: its checks, and the recovery point that it is.

use super::Words;
use crate::journal::{Check, Measure, NewestPossible, RecoveryPoint};
use crate::providers::backups::choice::Summary;
use crate::providers::backups::{KeyCondition, age_check, key_check};
use crate::time::HumanDuration;
use chrono::TimeDelta;

/// The only time of a backup that certainly no data in it is newer than
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBSnapshot.html>).
pub(in crate::providers) const DATABASE_TIME: &str = "SnapshotDatabaseTime";

/// By how much data can be newer than any other time that is told of its backup. AWS calls `OriginalSnapshotCreateTime` the time of
/// the call, and, where it describes `SnapshotDatabaseTime`, the time at which the snapshot was completed (same page); of
/// `SnapshotCreateTime` it says only that the snapshot was taken then, and a tag says what somebody has written. If it is the
/// beginning, data that was committed while the snapshot was being taken can be in it. Longer than the half hour of the shortest
/// backup window (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.BackupWindow.html>)
/// that rarely takes; an hour leaves room.
const ABOUT: TimeDelta = TimeDelta::hours(1);

pub(super) const USABLE: &str = "usable recovery point";
pub(super) const OFFERED: &str = "engine version offered";

impl Summary {
    pub(super) fn checks(
        &self,
        words: &Words,
        encrypted: Option<bool>,
        key: Option<&KeyCondition>,
        max_age: Option<HumanDuration>,
    ) -> Vec<Check> {
        let usable = match self.usable {
            0 => {
                Check::not_made(USABLE, ">= 1", "the time of the data is not known of any snapshot")
            }
            usable => Check::made(USABLE, ">= 1", usable.to_string(), true),
        };
        let (name, expected) = ("time of the data", "known");
        let time = match (self.at, &self.source) {
            (Some(at), Some(source)) => {
                Check::made(name, expected, format!("{} ({source})", at.to_rfc3339()), true)
            }
            _ => Check::not_made(name, expected, words.no_time),
        };
        let usable = usable.over(self.considered);
        let usable = match self.lacks.filter(|_| usable.note.is_none()) {
            Some(lacks) => usable.note(lacks),
            None => usable,
        };
        let mut checks = vec![usable, time];
        checks.extend(key_check(words.service, encrypted, key));
        checks.extend(age_check(max_age, self.age));
        checks
    }

    pub(super) fn recovery_point(&self, identity: &str) -> Option<RecoveryPoint> {
        let (at, source) = (self.at?, self.source.clone()?);
        let about = NewestPossible { at: at + ABOUT, certain: false };
        Some(RecoveryPoint {
            at,
            not_newer_than: (source != DATABASE_TIME).then_some(about),
            kept_at: None,
            goes_on: false,
            source,
            measure: Measure::Backup,
            identity: identity.to_owned(),
            worst_case: self.worst_case,
        })
    }
}
