use super::describing::describe_snapshot;
use super::restoring::{Restored, checks_of_a_restore, restore};
use super::snapshot::Snapshot;
use super::wishes::{Wishes, ask_for, problems};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::client;
use aws_sdk_rds::types::DbInstance;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// `rds.restore_snapshot`: restores a DB snapshot as a new instance and waits until it is available.
pub(super) struct RestoreSnapshot;

/// What `rds.restore_snapshot` is given. Nothing of it is read from the source instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreSnapshotInput {
    /// The snapshot to restore: identifier or ARN.
    pub(super) snapshot: String,
    #[serde(flatten)]
    pub(super) wishes: Wishes,
}

impl Action for RestoreSnapshot {
    type Input = RestoreSnapshotInput;
    type Output = Restored;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.restore_snapshot",
            title: "Restore the snapshot as a new instance",
            about: "Restores a DB snapshot as a new instance with the parameters of the step, waits until RDS calls it \
                    available, and compares what came out with what was asked for: RDS silently falls back to default \
                    security, parameter and option groups, to a single zone and to the default VPC.\n\nAvailable is not \
                    yet usable: connect to it and look at the data in a later step. Blocks are loaded from the snapshot \
                    when they are first read, so that it is slow at first.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3 * 3600),
            effect: Effect::Own,
            creates: &["rds.db_instance"],
            permissions: &[
                Permission { action: "rds:DescribeDBSnapshots", why: "read engine and encryption" },
                Permission { action: "rds:RestoreDBInstanceFromDBSnapshot", why: "restore" },
                Permission { action: "rds:AddTagsToResource", why: "tag the new instance" },
                Permission { action: "rds:DescribeDBInstances", why: "wait for it and compare it" },
                Permission {
                    action: "rds:DescribeDBSubnetGroups",
                    why: "see in which VPC it will be",
                },
                Permission { action: "iam:PassRole", why: "Enhanced Monitoring" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was available" },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
            ],
            checks: checks_of_a_restore!("snapshot"),
            populations: &[],
            proves: &[],
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
        input: RestoreSnapshotInput,
    ) -> Result<Restored, StepError> {
        input.wishes.check()?;
        let origin = usable_snapshot(cx, &input).await?.origin();
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client.restore_db_instance_from_db_snapshot();
        let request = ask_for!(request, cx, input.wishes).db_snapshot_identifier(&input.snapshot);
        let create = async |name: String| {
            let request = request.db_instance_identifier(name);
            let answer =
                cx.call("rds:RestoreDBInstanceFromDBSnapshot", || request.clone().send()).await?;
            let arn = answer.db_instance().and_then(DbInstance::db_instance_arn);
            Ok(arn.map(str::to_owned))
        };
        restore(cx, &input.wishes, &origin, None, create).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given, &["snapshot"])
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_snapshot(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_snapshot(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::restoring_by_hand::of_snapshot(input)
    }
}

async fn usable_snapshot(
    cx: &StepContext,
    input: &RestoreSnapshotInput,
) -> Result<Snapshot, StepError> {
    let snapshot = describe_snapshot(cx, &input.snapshot).await?;
    match snapshot.status.as_deref() {
        Some("available") => Ok(snapshot),
        other => Err(StepError::recovery(format!(
            "the snapshot {} is not available: {}",
            snapshot.id,
            other.unwrap_or("RDS tells no status")
        ))
        .help("wait until it is available, or restore another one")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wishes::twenty_minutes;
    use super::*;
    use serde_json::json;

    #[test]
    fn drills_are_private_unprotected_and_single_unless_the_scenario_says_otherwise() {
        let input: RestoreSnapshotInput =
            serde_json::from_value(json!({ "snapshot": "s", "class": "c" })).unwrap();
        assert!(
            !input.wishes.publicly_accessible
                && !input.wishes.deletion_protection
                && !input.wishes.multi_az
        );
        assert_eq!(input.wishes.expected_duration, twenty_minutes());
        let unknown = json!({ "snapshot": "s", "class": "c", "multi_zone": true });
        assert!(serde_json::from_value::<RestoreSnapshotInput>(unknown).is_err());
    }
}
