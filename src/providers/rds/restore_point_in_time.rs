use super::automated_backup::{AutomatedBackup, LOG_INTERVAL, Of, automated_backups};
use super::find_automated_backup::recovery_point;
use super::restoring::{Restored, checks_of_a_restore, restore};
use super::wishes::{Wishes, ask_for, problems};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Latest,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::client;
use crate::journal::{Check, RecoveryPoint};
use aws_sdk_rds::types::DbInstance;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `rds.restore_point_in_time`: restores an instance as it was at a time, as a new instance.
pub(super) struct RestorePointInTime;

/// What `rds.restore_point_in_time` is given. Nothing of it is read from the source instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestorePointInTimeInput {
    /// The automated backup to restore from: its ARN, or the identity (`DbiResourceId`) of a deleted instance of this region
    /// whose backups are retained. Either this or `instance`.
    #[serde(default)]
    pub(super) backup: Option<String>,
    /// The instance of this region to restore from, which must still be there. Either this or `backup`.
    #[serde(default)]
    pub(super) instance: Option<String>,
    /// The time to restore to (UTC), before the latest that is possible. Without it, the latest.
    #[serde(default)]
    pub(super) to: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub(super) wishes: Wishes,
}

/// What `rds.restore_point_in_time` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct RestoredToATime {
    #[serde(flatten)]
    pub(super) restored: Restored,
    /// What was committed until then is in it (UTC): the time that was asked for; without one, the latest that RDS told when the
    /// restore was asked for. Null when an attempt of which nothing is known had asked for it.
    pub(super) data_until: Option<DateTime<Utc>>,
    /// Five minutes before `data_until` (UTC): data from between both shows that the recovery did not stop too early.
    pub(super) shortly_before: Option<DateTime<Utc>>,
    /// What was committed later is not in it (UTC): the time that was asked for; without one, five minutes after RDS answered,
    /// since the latest time moves on until then.
    pub(super) nothing_after: Option<DateTime<Utc>>,
}

impl RestoredToATime {
    /// `told` is the recovery point that the step has written down, `to` the time that it was asked for (UTC).
    fn of(restored: Restored, told: Option<&RecoveryPoint>, to: Option<DateTime<Utc>>) -> Self {
        let data_until = told.map(|point| point.at);
        let latest = told.and_then(|point| point.not_newer_than).filter(|end| end.certain);
        Self {
            restored,
            data_until,
            shortly_before: data_until.map(|until| until - LOG_INTERVAL),
            nothing_after: to.or(latest.map(|end| end.at)),
        }
    }
}

impl RestorePointInTimeInput {
    fn source(&self) -> Result<Of<'_>, StepError> {
        match (&self.backup, &self.instance) {
            (Some(handle), None) => Ok(Of::handle(handle)),
            (None, Some(instance)) => Ok(Of::Instance(instance)),
            _ => Err(one_source().into()),
        }
    }
}

fn one_source() -> InputProblem {
    InputProblem::new("", "the step must name backup: or instance:, and not both")
        .help("backup: takes what rds.find_automated_backup tells as backup")
}

fn problems_of(given: &Given) -> Vec<InputProblem> {
    let source = (given.has("backup") == given.has("instance")).then(one_source);
    source.into_iter().chain(problems(given, &["backup", "instance"])).collect()
}

const ABOUT: &str = "Restores an instance to a point in time as a new instance with the parameters of the step: from an instance that still \
exists, from the retained backups of one that was deleted, or from backups that were replicated to this region. It waits until RDS calls the \
new instance available, and compares what came out with what was asked for, as rds.restore_snapshot does: RDS takes over neither groups nor \
zones, and falls back to its defaults silently.\n\nThat the time lies in the restore window is checked before anything is made. What was \
committed until then is shown by the restored data only: measure it in a later step (a watermark).";

impl Action for RestorePointInTime {
    type Input = RestorePointInTimeInput;
    type Output = RestoredToATime;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.restore_point_in_time",
            title: "Restore the instance as it was at a time",
            about: ABOUT,
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3 * 3600),
            effect: Effect::Own,
            creates: &["rds.db_instance"],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBInstanceAutomatedBackups",
                    why: "read the restore window, engine and encryption",
                },
                Permission { action: "rds:RestoreDBInstanceToPointInTime", why: "restore" },
                Permission { action: "rds:AddTagsToResource", why: "tag the new instance" },
                Permission { action: "rds:DescribeDBInstances", why: "wait for it and compare it" },
                Permission {
                    action: "rds:DescribeDBSubnetGroups",
                    why: "see in which VPC it will be",
                },
                Permission { action: "iam:PassRole", why: "Enhanced Monitoring" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was available" },
                Permission { action: "kms:DescribeKey", why: "encrypted backups" },
                Permission { action: "kms:CreateGrant", why: "encrypted backups" },
            ],
            checks: checks_of_a_restore!(
                "backup",
                ("in the restore window", "the time can be restored from these backups")
            ),
            populations: &[],
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
        input: RestorePointInTimeInput,
    ) -> Result<RestoredToATime, StepError> {
        input.wishes.check()?;
        let backup = source_of(cx, &input).await?;
        let at = time_in_the_window(cx, &backup, input.to).await?;
        let point = recovery_point(&backup, at, cx.until_the_loss());
        let latest = match input.to {
            Some(_) => {
                cx.recovery_point(point).await?;
                None
            }
            None => Some(Latest { point: Some(point), moves: LOG_INTERVAL }),
        };
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client.restore_db_instance_to_point_in_time();
        let request = ask_for!(request, cx, input.wishes);
        let request = match input.source()? {
            Of::Instance(name) => request.source_db_instance_identifier(name),
            Of::ResourceId(id) => request.source_dbi_resource_id(id),
            Of::Arn(arn) => request.source_db_instance_automated_backups_arn(arn),
        };
        let request = match input.to {
            Some(to) => request.restore_time(aws_smithy_types::DateTime::from_secs(to.timestamp())),
            None => request.use_latest_restorable_time(true),
        };
        let create = async |name: String| {
            let request = request.target_db_instance_identifier(name);
            let answer =
                cx.call("rds:RestoreDBInstanceToPointInTime", || request.clone().send()).await?;
            let arn = answer.db_instance().and_then(DbInstance::db_instance_arn);
            Ok(arn.map(str::to_owned))
        };
        let restored =
            restore(cx, &input.wishes, &backup.origin(), latest.as_ref(), create).await?;
        let told = cx.recorder.told_point(&cx.step);
        Ok(RestoredToATime::of(restored, told.as_ref(), input.to))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems_of(given)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_point_in_time(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_point_in_time(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::restoring_by_hand::to_a_time(input)
    }
}

/// The backups that the step restores from.
pub(super) async fn source_of(
    cx: &StepContext,
    input: &RestorePointInTimeInput,
) -> Result<AutomatedBackup, StepError> {
    let of = input.source()?;
    let found = automated_backups(cx, of).await?;
    // An instance that exists: backups of an earlier one of its name are not meant.
    let fits = |b: &AutomatedBackup| match of {
        Of::Instance(_) => b.status.as_deref() == Some("active"),
        Of::ResourceId(_) | Of::Arn(_) => true,
    };
    let mut found: Vec<_> = found.into_iter().filter(fits).collect();
    let name = input.backup.as_ref().or(input.instance.as_ref()).cloned().unwrap_or_default();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            Err(StepError::broken(format!("RDS describes several automated backups of {name}")))
        }
        (None, _) => Err(StepError::recovery(format!("there is no automated backup of {name} here"))
            .help("check the name, the region of the step's site and the account; an instance whose backup retention is 0 has none")),
    }
}

/// The time that the restore gives (UTC).
async fn time_in_the_window(
    cx: &StepContext,
    backup: &AutomatedBackup,
    to: Option<DateTime<Utc>>,
) -> Result<DateTime<Utc>, StepError> {
    let check = window_check(backup, to);
    let outcome = check.outcome;
    cx.check(check).await?;
    match (outcome, to.or(backup.latest)) {
        (crate::journal::Outcome::Passed, Some(at)) => Ok(at),
        (crate::journal::Outcome::Failed, _) => Err(StepError::recovery(format!(
            "{} cannot be restored: the restore window is {}",
            to.map_or_else(|| "nothing".to_owned(), |to| to.to_rfc3339()),
            backup.window()
        ))
        .help(match to {
            Some(to) if backup.latest == Some(to) => {
                "nothing was made: RDS takes only times before the latest; leave out to: for that"
            }
            _ => "nothing was made: take a time within the window, or an older snapshot",
        })),
        _ => Err(StepError::broken("RDS does not say to which times it can be restored")
            .help("nothing was made: look at the automated backups in the console")),
    }
}

fn window_check(backup: &AutomatedBackup, to: Option<DateTime<Utc>>) -> Check {
    let name = "in the restore window";
    match to {
        Some(to) => {
            let expected = to.to_rfc3339();
            match backup.takes(to) {
                Some(holds) => Check::made(name, expected, backup.window(), holds),
                None => Check::not_made(name, expected, "RDS does not say the restore window"),
            }
        }
        None => match backup.reaches(backup.latest.unwrap_or_default()) {
            Some(holds) => Check::made(name, "the latest time", backup.window(), holds),
            None => Check::not_made(name, "the latest time", "RDS does not say the restore window"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn input(source: &Value) -> RestorePointInTimeInput {
        let mut all = json!({ "class": "db.r6g.large" });
        all.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn exactly_one_source_is_named() {
        assert!(input(&json!({})).source().is_err());
        assert!(input(&json!({ "backup": "db-A", "instance": "orders" })).source().is_err());
        let arn = "arn:aws:rds:eu-west-1:111111111111:auto-backup:ab-1";
        assert_eq!(input(&json!({ "backup": arn })).source().unwrap(), Of::Arn(arn));
        let of_resource = input(&json!({ "backup": "db-A" }));
        assert_eq!(of_resource.source().unwrap(), Of::ResourceId("db-A"));
        let of_instance = input(&json!({ "instance": "orders" }));
        assert_eq!(of_instance.source().unwrap(), Of::Instance("orders"));
        let unknown = json!({ "class": "c", "instance": "a", "until": "x" });
        assert!(serde_json::from_value::<RestorePointInTimeInput>(unknown).is_err());
    }

    #[test]
    fn regression_no_source_or_two_are_found_before_the_run() {
        let problems = |with: Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with);
            problems_of(&given).len()
        };
        assert_eq!(problems(json!({ "class": "c" })), 1);
        assert_eq!(problems(json!({ "class": "c", "instance": "a", "backup": "b" })), 1);
        assert_eq!(problems(json!({ "class": "c", "backup": Given::later_mark() })), 0);
    }

    #[test]
    fn a_time_outside_of_the_window_fails_and_an_unknown_window_verifies_nothing() {
        let backup = AutomatedBackup {
            earliest: Some(at(1)),
            latest: Some(at(9)),
            ..AutomatedBackup::default()
        };
        let outcome = |backup: &AutomatedBackup, to| window_check(backup, to).outcome;
        assert_eq!(outcome(&backup, None), Outcome::Passed);
        assert_eq!(outcome(&backup, Some(at(5))), Outcome::Passed);
        assert_eq!(
            outcome(&backup, Some(at(9))),
            Outcome::Failed,
            "RDS takes times before it only"
        );
        assert_eq!(outcome(&backup, Some(at(10))), Outcome::Failed);
        assert_eq!(outcome(&backup, Some(at(0))), Outcome::Failed);
        let silent = AutomatedBackup::default();
        assert_eq!(outcome(&silent, None), Outcome::Inconclusive);
        assert_eq!(outcome(&silent, Some(at(5))), Outcome::Inconclusive);
    }
}
