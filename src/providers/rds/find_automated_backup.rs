use super::automated_backup::{AutomatedBackup, LOG_INTERVAL, Of, automated_backups};
use super::backup_choice::{
    JudgedBackup, WantedBackup, blemishes, choose, judge, nothing_usable, usable, version_gone,
};
use super::engine_versions::{Offer, Offers, named};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Permission, Phase,
    Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::journal::{Check, Measure, RecoveryPoint};
use crate::providers::backups::{KeyCondition, age_check, key_check, key_conditions, loss};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `rds.find_automated_backup`: from what a point in time of an instance can be restored in the region of the step's site.
pub(super) struct FindAutomatedBackup;

/// What `rds.find_automated_backup` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindAutomatedBackupInput {
    /// The identifier of the instance whose automated backups are looked for. The instance itself may be gone.
    pub(super) of: String,
    /// The data must not be newer than this (UTC): the moment before a corruption. Without it, the present.
    #[serde(default)]
    pub(super) not_after: Option<DateTime<Utc>>,
    /// The oldest that the data may be; an older recovery point fails the check `age`.
    #[serde(default)]
    pub(super) max_age: Option<HumanDuration>,
    /// Only backups of the instance with this `DbiResourceId`: tells it from an earlier instance of the same name.
    #[serde(default)]
    pub(super) resource_id: Option<String>,
}

/// What `rds.find_automated_backup` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct FindAutomatedBackupOutput {
    /// By what `rds.restore_point_in_time` restores it: an ARN, or the identity of the instance.
    pub(super) backup: String,
    /// The ARN of the automated backups; those of an instance of this region may have none.
    pub(super) arn: Option<String>,
    /// The identity (`DbiResourceId`) of the instance that they are of.
    pub(super) resource_id: Option<String>,
    /// `active`, `retained` or `replicating`.
    pub(super) status: Option<String>,
    /// The region of the instance.
    pub(super) source_region: Option<String>,
    /// The earliest time to which it can be restored (UTC).
    pub(super) earliest: Option<DateTime<Utc>>,
    /// The latest (UTC).
    pub(super) latest: Option<DateTime<Utc>>,
    /// The time to restore to (UTC): the latest, or `not_after` when that is earlier. To restore to the latest, leave out `to` of
    /// the restore: RDS takes only times before it.
    pub(super) at: DateTime<Utc>,
    /// How old the data of that time was when the disaster was declared; now, where none was.
    pub(super) age: HumanDuration,
    /// How far back points in time can be restored.
    pub(super) retention: Option<HumanDuration>,
    /// How long the backups are kept, as set.
    pub(super) kept_for: Option<HumanDuration>,
    /// Whether they are encrypted.
    pub(super) encrypted: Option<bool>,
    /// Whether their KMS key exists and is enabled here; absent when they are not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
    /// The KMS key.
    pub(super) kms_key: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// Whether RDS still offers that version here; absent when that could not be found out.
    pub(super) version_offered: Option<bool>,
    /// How many automated backups of the instance were found in this region.
    pub(super) backups_considered: u64,
    /// From how many of these a wanted point in time can be restored.
    pub(super) usable_backups: u64,
    /// The longest loss that this allows: the age of the newest transaction log, and the five minutes until the next.
    pub(super) worst_case: Option<HumanDuration>,
}

const ABOUT: &str = "Lists the automated backups of the instance in the region of the step's site: its own, those retained when it was \
deleted, and those replicated from another region. It chooses the ones that reach the latest time that is wanted, whose key is enabled. \
The source instance is never asked: it may be gone.\n\nThe time of the recovery point is the end of the restore window \
(`RestoreWindow.LatestTime`), up to which transaction logs have arrived here. What was committed until then is shown by the restored \
data only. That a key is enabled does not prove that its policy allows the restore: only restoring does.";

impl Action for FindAutomatedBackup {
    type Input = FindAutomatedBackupInput;
    type Output = FindAutomatedBackupOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.find_automated_backup",
            title: "Find the automated backup that reaches the latest time",
            about: ABOUT,
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBInstanceAutomatedBackups",
                    why: "list the automated backups",
                },
                Permission {
                    action: "rds:DescribeDBEngineVersions",
                    why: "see whether the engine version is still offered",
                },
                Permission { action: "kms:DescribeKey", why: "see whether their keys are enabled" },
            ],
            checks: &[
                ("usable recovery point", "a wanted point in time can be restored here"),
                ("encryption key", "the key of the chosen backup exists and is enabled here"),
                ("engine version offered", "RDS still offers the version of the engine here"),
                ("age", "the data is not older than max_age"),
            ],
            populations: &[("retention", "usable_backups"), ("worst_case", "usable_backups")],
            proves: &[Proof::RecoveryPointOfBackup { kept_at: "", unless: None }],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5 with PostgreSQL 15"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindAutomatedBackupInput,
    ) -> Result<FindAutomatedBackupOutput, StepError> {
        let now = cx.clock.now();
        let wanted = WantedBackup {
            not_after: input.not_after.map_or(now, |limit| limit.min(now)),
            resource_id: input.resource_id,
        };
        let backups = automated_backups(cx, Of::Instance(&input.of)).await?;
        let keys = backups.iter().filter_map(|b| b.key.clone()).collect();
        let keys = key_conditions(cx, keys).await?;
        let offers = Offers::of(cx, backups.iter().map(AutomatedBackup::version).collect()).await?;
        let judged = judge(&backups, &keys, &offers, &wanted);
        let Some((chosen, at)) = choose(&judged) else {
            let check = Check::made("usable recovery point", ">= 1", "0", false);
            cx.check(check.over(count(judged.len()))).await?;
            if let Some(gone) = version_gone(&judged) {
                cx.check(Offer::Gone.check(gone)).await?;
            }
            let finding = nothing_usable(&judged, &input.of, &wanted);
            let error = StepError::recovery(finding.what.clone()).help(finding.action.clone());
            cx.finding(finding).await?;
            return Err(error);
        };
        let (engine, version) = chosen.backup.version();
        let offer = offers.get(engine, version);
        let loss_at = cx.until_the_loss();
        let output = told(chosen, &judged, at, &offer, loss_at);
        let key = chosen.backup.key.as_ref().and_then(|key| keys.get(key));
        for check in checks(&output, key, &offer, input.max_age) {
            cx.check(check).await?;
        }
        for finding in blemishes(&judged, chosen, loss_at) {
            cx.finding(finding).await?;
        }
        cx.recovery_point(recovery_point(chosen.backup, at, loss_at)).await?;
        Ok(output)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::find_automated_backup(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::find_automated_backup(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::find_automated_backup_by_hand::by_hand(input)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The recovery point that restoring to `at` gives. RDS does not upload logs more often than every five minutes, so that just
/// before the next upload that much more is lost. After the loss (UTC) nothing more arrives.
pub(super) fn recovery_point(
    backup: &AutomatedBackup,
    at: DateTime<Utc>,
    loss_at: DateTime<Utc>,
) -> RecoveryPoint {
    let is_latest = backup.latest == Some(at);
    RecoveryPoint {
        at,
        source: if is_latest { "RestoreWindow.LatestTime" } else { "the time that was asked for" }
            .to_owned(),
        measure: Measure::Backup,
        identity: backup.handle().unwrap_or_default().to_owned(),
        worst_case: backup
            .latest
            .map(|latest| loss((loss_at - latest).max(TimeDelta::zero()) + LOG_INTERVAL)),
        not_newer_than: None,
        kept_at: None,
        goes_on: false,
    }
}

fn told(
    chosen: &JudgedBackup<'_>,
    judged: &[JudgedBackup<'_>],
    at: DateTime<Utc>,
    offer: &Offer,
    loss_at: DateTime<Utc>,
) -> FindAutomatedBackupOutput {
    let backup = chosen.backup;
    let days = backup.retention_days.and_then(|days| u64::try_from(days).ok());
    FindAutomatedBackupOutput {
        backup: backup.handle().unwrap_or_default().to_owned(),
        arn: backup.arn.clone(),
        resource_id: backup.resource_id.clone(),
        status: backup.status.clone(),
        source_region: backup.region.clone(),
        earliest: backup.earliest,
        latest: backup.latest,
        at,
        age: loss(loss_at - at),
        retention: backup.earliest.map(|first| HumanDuration::from(loss_at - first).rounded_down()),
        kept_for: days.map(|days| HumanDuration(Duration::from_secs(days * 86_400))),
        encrypted: backup.encrypted,
        key_usable: chosen.key_usable,
        kms_key: backup.key.clone(),
        engine: backup.engine.clone(),
        engine_version: backup.engine_version.clone(),
        version_offered: offer.known(),
        backups_considered: count(judged.len()),
        usable_backups: count(usable(judged)),
        worst_case: recovery_point(backup, at, loss_at).worst_case,
    }
}

fn checks(
    output: &FindAutomatedBackupOutput,
    key: Option<&KeyCondition>,
    offer: &Offer,
    max_age: Option<HumanDuration>,
) -> Vec<Check> {
    let usable = output.usable_backups.to_string();
    let version = named(output.engine.as_deref(), output.engine_version.as_deref());
    let mut checks = vec![
        Check::made("usable recovery point", ">= 1", usable, true).over(output.backups_considered),
        offer.check(&version),
    ];
    checks.extend(key_check("RDS", output.encrypted, key));
    checks.extend(age_check(max_age, Some(output.age)));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_is_the_age_of_the_newest_log_and_the_time_until_the_next() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let backup = AutomatedBackup { latest: Some(at(100)), ..AutomatedBackup::default() };
        let point = recovery_point(&backup, at(100), at(108));
        assert_eq!(point.worst_case, Some("13m".parse().unwrap()));
        assert_eq!(point.source, "RestoreWindow.LatestTime");
        let earlier = recovery_point(&backup, at(50), at(108));
        assert_eq!((earlier.at, earlier.source.as_str()), (at(50), "the time that was asked for"));
        let silent = AutomatedBackup::default();
        assert_eq!(recovery_point(&silent, at(1), at(2)).worst_case, None);
    }
}
