//! Automated backups: from them a point in time is restored. Fetching and reading them.

use super::restoring::Origin;
use crate::action::{StepContext, StepError};
use crate::client;
use crate::journal::FailureClass;
use crate::limits::LIST_PAGES;
use crate::providers::backups::time_of;
use aws_sdk_rds::operation::describe_db_instance_automated_backups::builders::DescribeDBInstanceAutomatedBackupsFluentBuilder as Describing;
use aws_sdk_rds::types::DbInstanceAutomatedBackup;
use chrono::{DateTime, TimeDelta, Utc};

/// The automated backups of an instance, in the region where they are kept. Whatever the answer does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AutomatedBackup {
    /// Only replicated ones have an ARN for sure.
    pub(super) arn: Option<String>,
    /// The instance that they are of.
    pub(super) instance: String,
    /// Its identity: survives renaming, differs when an instance is made again under its name.
    pub(super) resource_id: Option<String>,
    /// `active`, `retained`, `creating`, `replicating` for what is replicated from another region.
    pub(super) status: Option<String>,
    /// The region of the instance.
    pub(super) region: Option<String>,
    /// The earliest time to which it can be restored (UTC).
    pub(super) earliest: Option<DateTime<Utc>>,
    /// The latest (UTC).
    pub(super) latest: Option<DateTime<Utc>>,
    pub(super) engine: Option<String>,
    pub(super) engine_version: Option<String>,
    pub(super) encrypted: Option<bool>,
    pub(super) key: Option<String>,
    /// How many days they are kept.
    pub(super) retention_days: Option<i32>,
}

/// How often RDS uploads the transaction logs of an instance: until the next upload the window does not move
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html>).
pub(super) const LOG_INTERVAL: TimeDelta = TimeDelta::minutes(5);

impl AutomatedBackup {
    /// Engine and version.
    pub(super) fn version(&self) -> (Option<&str>, Option<&str>) {
        (self.engine.as_deref(), self.engine_version.as_deref())
    }

    /// What the answer says. `None` without anything by which it could be restored.
    pub(super) fn read(answer: &DbInstanceAutomatedBackup) -> Option<Self> {
        let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
        let window = answer.restore_window();
        let backup = Self {
            arn: text(answer.db_instance_automated_backups_arn()),
            instance: text(answer.db_instance_identifier())?,
            resource_id: text(answer.dbi_resource_id()),
            status: text(answer.status()),
            region: text(answer.region()),
            earliest: window.and_then(|w| w.earliest_time()).and_then(time_of),
            latest: window.and_then(|w| w.latest_time()).and_then(time_of),
            engine: text(answer.engine()),
            engine_version: text(answer.engine_version()),
            encrypted: answer.encrypted(),
            key: text(answer.kms_key_id()),
            retention_days: answer.backup_retention_period(),
        };
        backup.handle().is_some().then_some(backup)
    }

    /// By what it is restored: its ARN, or the identity of its instance where it has none.
    pub(super) fn handle(&self) -> Option<&str> {
        self.arn.as_deref().or(self.resource_id.as_deref())
    }

    /// True while nothing is known to be wrong with it.
    pub(super) fn can_be_restored(&self) -> bool {
        matches!(self.status.as_deref(), Some("active" | "retained" | "replicating"))
            && self.earliest.zip(self.latest).is_some_and(|(first, last)| first <= last)
    }

    /// True when a time (UTC) lies in its restore window; `None` when the window is not known.
    pub(super) fn reaches(&self, at: DateTime<Utc>) -> Option<bool> {
        self.earliest.zip(self.latest).map(|(first, last)| first <= at && at <= last)
    }

    /// True when RDS takes a time (UTC) to restore to: one before the latest, which is asked for in another way
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html>). Times are asked for
    /// in whole seconds. `None` when the window is not known.
    pub(super) fn takes(&self, at: DateTime<Utc>) -> Option<bool> {
        let before = self.latest.map(|latest| at.timestamp() < latest.timestamp());
        self.reaches(at).zip(before).map(|(reaches, before)| reaches && before)
    }

    /// What an instance that is restored from it must be like.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            what: "backup",
            engine: self.engine.clone(),
            engine_version: self.engine_version.clone(),
            encrypted: self.encrypted,
        }
    }

    /// Its restore window in words.
    pub(super) fn window(&self) -> String {
        let text = |at: Option<DateTime<Utc>>| {
            at.map_or_else(|| "unknown".to_owned(), |at| at.to_rfc3339())
        };
        format!("{} to {}", text(self.earliest), text(self.latest))
    }
}

/// How backups are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of<'a> {
    /// All of an instance of that name. Every one of the region is listed for it: asked by name, RDS answers only for an
    /// instance that exists
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstanceAutomatedBackups.html>).
    Instance(&'a str),
    /// By `DbiResourceId`.
    ResourceId(&'a str),
    /// By the ARN of replicated backups.
    Arn(&'a str),
}

impl<'a> Of<'a> {
    /// An ARN, or the identity of an instance.
    pub(super) fn handle(handle: &'a str) -> Self {
        if handle.starts_with("arn:") { Self::Arn(handle) } else { Self::ResourceId(handle) }
    }

    fn ask(self, request: Describing) -> Describing {
        match self {
            Self::Instance(_) => request,
            Self::ResourceId(id) => request.dbi_resource_id(id),
            Self::Arn(arn) => request.db_instance_automated_backups_arn(arn),
        }
    }

    fn fits(self, backup: &AutomatedBackup) -> bool {
        match self {
            Self::Instance(name) => backup.instance.eq_ignore_ascii_case(name),
            Self::ResourceId(id) => backup.resource_id.as_deref() == Some(id),
            Self::Arn(arn) => backup.arn.as_deref() == Some(arn),
        }
    }
}

/// The automated backups in the region of the step's site, replicated and retained ones included. The instance itself is not
/// asked: it may be gone.
///
/// # Errors
/// Those of the call, except that there are none.
pub(super) async fn automated_backups(
    cx: &StepContext,
    of: Of<'_>,
) -> Result<Vec<AutomatedBackup>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let first = of.ask(client.describe_db_instance_automated_backups().max_records(100));
    let mut found = Vec::new();
    let mut marker = None;
    for _ in 0..LIST_PAGES {
        let request = first.clone().set_marker(marker.clone());
        let answer =
            cx.call("rds:DescribeDBInstanceAutomatedBackups", || request.clone().send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.class() == FailureClass::NotFound && marker.is_none() => {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let read = answer.db_instance_automated_backups().iter().filter_map(AutomatedBackup::read);
        found.extend(read.filter(|backup| of.fits(backup)));
        match answer.marker().filter(|next| !next.is_empty()) {
            None => return Ok(found),
            Some(next) => marker = Some(next.to_owned()),
        }
    }
    Err(StepError::broken(format!(
        "the list of automated backups did not end after {LIST_PAGES} pages"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::RestoreWindow;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn answer() -> aws_sdk_rds::types::builders::DbInstanceAutomatedBackupBuilder {
        let hour = |h: i64| aws_smithy_types::DateTime::from_secs(h * 3600);
        let window = RestoreWindow::builder().earliest_time(hour(1)).latest_time(hour(9)).build();
        DbInstanceAutomatedBackup::builder()
            .db_instance_identifier("orders-db")
            .dbi_resource_id("db-A")
            .status("retained")
            .restore_window(window)
    }

    #[test]
    fn a_backup_without_anything_to_restore_it_by_is_none() {
        let nameless = DbInstanceAutomatedBackup::builder().db_instance_identifier("a").build();
        assert_eq!(AutomatedBackup::read(&nameless), None);
        let read = AutomatedBackup::read(&answer().build()).unwrap();
        assert_eq!(read.handle(), Some("db-A"));
        let arn = "arn:aws:rds:eu-west-1:111111111111:auto-backup:ab-1";
        let replicated = answer().db_instance_automated_backups_arn(arn).build();
        assert_eq!(AutomatedBackup::read(&replicated).unwrap().handle(), Some(arn));
        assert_eq!(Of::handle(arn), Of::Arn(arn));
        assert_eq!(Of::handle("db-A"), Of::ResourceId("db-A"));
    }

    #[test]
    fn only_times_within_the_window_can_be_restored_and_no_window_is_unknown() {
        let read = AutomatedBackup::read(&answer().build()).unwrap();
        assert!(read.can_be_restored());
        assert_eq!([1, 9, 0, 10].map(|h| read.reaches(at(h)).unwrap()), [true, true, false, false]);
        let takes = [1, 8, 9, 0].map(|h| read.takes(at(h)).unwrap());
        assert_eq!(takes, [true, true, false, false], "the latest is not asked for by its time");
        let silent = AutomatedBackup { latest: None, ..read.clone() };
        assert_eq!((silent.reaches(at(3)), silent.can_be_restored()), (None, false));
        let failing = AutomatedBackup { status: Some("creating".into()), ..read };
        assert!(!failing.can_be_restored());
    }
}
