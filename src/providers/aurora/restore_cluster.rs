use super::bring_up::{bring_up, tags};
use super::fidelity::Expected;
use super::input::{ClusterOutput, Settings, cluster_input, problems};
use super::snapshot::{describe_snapshot, name_for_restore};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::client;
use crate::providers::rds::Snapshot;
use aws_sdk_rds::operation::restore_db_cluster_from_snapshot::builders::RestoreDBClusterFromSnapshotFluentBuilder;
use aws_sdk_rds::types::{DbCluster, ServerlessV2ScalingConfiguration};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// `aurora.restore_cluster`: restores a cluster snapshot as a new cluster, makes its members, and waits for all of them.
pub(super) struct RestoreCluster;

cluster_input! {
    /// What `aurora.restore_cluster` is given. Nothing of it is read from the source cluster.
    RestoreClusterInput {
        /// The cluster snapshot to restore: identifier or ARN.
        snapshot: String,
        /// The version of the engine. Without it that of the snapshot; RDS by itself would take its default version.
        #[serde(default)]
        engine_version: Option<String>,
    }
}

impl Action for RestoreCluster {
    type Input = RestoreClusterInput;
    type Output = ClusterOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "aurora.restore_cluster",
            title: "Restore the cluster snapshot as a new cluster with its instances",
            about: "Restores a cluster snapshot as a new cluster with the parameters of the step, makes the instance that \
                    writes and those that read (RDS makes none by itself), waits until the cluster *and* each instance are \
                    available and joined, and compares what came out with what was asked for: RDS silently falls back to \
                    default security and parameter groups, to the default VPC and to its default version of the engine. An \
                    instance that does not join is named. Backtracking is not turned on.\n\nA cluster is available long \
                    before its instances are, and available is not yet usable: connect to it and look at the data in a \
                    later step.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3 * 3600),
            effect: Effect::Own,
            // In the order in which they are removed.
            creates: &["aurora.instance", "aurora.cluster"],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBClusterSnapshots",
                    why: "read engine, version and encryption",
                },
                Permission { action: "rds:RestoreDBClusterFromSnapshot", why: "restore" },
                Permission { action: "rds:CreateDBInstance", why: "make the instances" },
                Permission { action: "rds:AddTagsToResource", why: "tag what is made" },
                Permission { action: "rds:DescribeDBClusters", why: "wait for it and compare it" },
                Permission {
                    action: "rds:DescribeDBInstances",
                    why: "wait for the instances and compare them",
                },
                Permission {
                    action: "rds:DescribeDBSubnetGroups",
                    why: "see in which VPC it will be",
                },
                Permission { action: "iam:PassRole", why: "Enhanced Monitoring of the instances" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was available" },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
            ],
            checks: CHECKS,
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, without databases"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: RestoreClusterInput,
    ) -> Result<ClusterOutput, StepError> {
        let settings = input.settings();
        settings.check()?;
        let snapshot = usable_snapshot(cx, &input.snapshot).await?;
        let expected = expected(cx, &input, &settings, &snapshot).await?;
        let request = restore_request(cx, &input, &settings, &snapshot)?;
        let create = || async {
            let answer =
                cx.call("rds:RestoreDBClusterFromSnapshot", || request.clone().send()).await?;
            Ok(answer.db_cluster().and_then(DbCluster::db_cluster_arn).map(str::to_owned))
        };
        bring_up(cx, &settings, &expected, None, create).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given, &["snapshot"])
    }

    fn how_many(&self, given: &Given, kind: &str) -> usize {
        super::input::how_many(given, kind)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_cluster(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_cluster(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::restore_by_hand::from_snapshot(input)
    }
}

/// The checks of every cluster that is restored.
pub(super) const CHECKS: &[(&str, &str)] = &[
    ("members", "the writer and exactly as many readers as asked for have joined"),
    ("writer class", "the instance that writes is of the class asked for"),
    ("reader classes", "the instances that read are of the classes asked for"),
    ("promotion tiers", "the order in which instances take over is the one asked for"),
    ("zones", "the instances are in the zones asked for"),
    (
        "publicly_accessible",
        "instances can be reached from outside exactly when asked for, and never in a drill",
    ),
    ("deletion_protection", "deletion protection is as asked for"),
    ("vpc", "the subnet group, and then every instance, is in the VPC asked for"),
    ("subnet_group", "the subnet group is the one asked for"),
    ("security_groups", "the security groups are exactly those asked for"),
    ("cluster_parameter_group", "the cluster parameter group is the one asked for"),
    ("cluster parameters applied", "no parameter of the cluster waits for a reboot"),
    ("instance_parameter_group", "the parameter group of the instances is the one asked for"),
    ("instance parameters applied", "no parameter of an instance waits for a reboot"),
    ("port", "the port is the one asked for"),
    ("iam_auth", "IAM database authentication is as asked for"),
    ("log_exports", "exactly the logs asked for are sent to CloudWatch"),
    ("backup_retention", "automated backups are kept as long as asked for"),
    ("ca", "the authority of the instances' certificates is the one asked for"),
    ("monitoring", "Enhanced Monitoring looks at every instance as often as asked for"),
    ("kms_key", "the key of the storage is the one asked for"),
    ("engine_mode", "the engine mode is the one asked for"),
    ("serverless", "the limits of Aurora Serverless v2 are those asked for"),
    ("storage_type", "the storage type is the one asked for"),
    ("engine as in the backup", "the engine is the backup's"),
    ("engine version", "the engine version is the one asked for, else the backup's"),
    ("encrypted", "the storage is encrypted exactly when the backup is, or a key was asked for"),
];

async fn usable_snapshot(cx: &StepContext, name: &str) -> Result<Snapshot, StepError> {
    let snapshot = describe_snapshot(cx, name).await?;
    match snapshot.status.as_deref() {
        Some("available") => Ok(snapshot),
        other => Err(StepError::recovery(format!(
            "the cluster snapshot {} is not available: {}",
            snapshot.id,
            other.unwrap_or("RDS tells no status")
        ))
        .help("wait until it is available, or restore another one")),
    }
}

async fn expected(
    cx: &StepContext,
    input: &RestoreClusterInput,
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<Expected, StepError> {
    Ok(Expected {
        engine: snapshot.engine.clone(),
        engine_version: input.engine_version.clone().or_else(|| snapshot.engine_version.clone()),
        encrypted: if settings.kms_key.is_some() { Some(true) } else { snapshot.encrypted },
        key: key_asked_for(cx, settings).await?,
    })
}

/// The ARN of the key that was asked for, which may be named by an alias. `None` where none was, or where this role may not
/// look at it: the restore is tried all the same.
pub(super) async fn key_asked_for(
    cx: &StepContext,
    settings: &Settings,
) -> Result<Option<String>, StepError> {
    let Some(key) = &settings.kms_key else { return Ok(None) };
    let client = client!(cx.site()?, aws_sdk_kms);
    let request = client.describe_key().key_id(key);
    match cx.call("kms:DescribeKey", || request.clone().send()).await {
        Ok(answer) => Ok(answer.key_metadata().and_then(|key| key.arn().map(str::to_owned))),
        Err(error) if error.class() == crate::journal::FailureClass::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

/// The limits of Aurora Serverless v2, as the SDK takes them.
pub(super) fn scaling(settings: &Settings) -> Option<ServerlessV2ScalingConfiguration> {
    let limits = settings.serverless?;
    let scaling = ServerlessV2ScalingConfiguration::builder();
    Some(scaling.min_capacity(limits.min).max_capacity(limits.max).build())
}

/// A list that says something, or nothing at all.
pub(super) fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn restore_request(
    cx: &StepContext,
    input: &RestoreClusterInput,
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<RestoreDBClusterFromSnapshotFluentBuilder, StepError> {
    let site = cx.site()?;
    let client = client!(site, aws_sdk_rds);
    let named = name_for_restore(&input.snapshot, site.place().account.as_deref());
    let version = input.engine_version.clone().or_else(|| snapshot.engine_version.clone());
    Ok(client
        .restore_db_cluster_from_snapshot()
        .db_cluster_identifier(cx.name_of_mine(63))
        .snapshot_identifier(named)
        .set_engine(snapshot.engine.clone())
        .set_engine_version(version)
        .set_engine_mode(settings.engine_mode.clone())
        .set_db_subnet_group_name(settings.subnet_group.clone())
        .set_vpc_security_group_ids(some(&settings.security_groups))
        .set_db_cluster_parameter_group_name(settings.cluster_parameter_group.clone())
        .deletion_protection(settings.deletion_protection)
        .set_port(settings.port.map(i32::from))
        .set_enable_iam_database_authentication(settings.iam_auth)
        .set_enable_cloudwatch_logs_exports(some(&settings.log_exports))
        .set_kms_key_id(settings.kms_key.clone())
        .set_serverless_v2_scaling_configuration(scaling(settings))
        .set_storage_type(settings.storage_type.clone())
        .set_backup_retention_period(settings.retention_days())
        .set_tags(Some(tags(cx, settings))))
}
