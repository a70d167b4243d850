use super::config::{ClusterConfig, Read, read};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::journal::Check;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `aurora.capture_config`: writes down what a snapshot does not know about its cluster.
pub(super) struct CaptureConfig;

/// What `aurora.capture_config` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureConfigInput {
    /// The identifier of the cluster.
    pub(super) cluster: String,
}

/// What `aurora.capture_config` tells. What RDS does not say is absent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct CaptureConfigOutput {
    /// The identifier of the cluster.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: Option<String>,
    /// Its identity (`DbClusterResourceId`), which differs from an earlier or later cluster of the same name.
    pub(super) resource_id: Option<String>,
    /// Its status.
    pub(super) status: Option<String>,
    /// The host name at which the member answers that writes.
    pub(super) endpoint: Option<String>,
    /// The host name at which members answer that read.
    pub(super) reader_endpoint: Option<String>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// Whether its members are in several zones.
    pub(super) multi_az: Option<bool>,
    /// How many members read.
    pub(super) readers: Option<u64>,
    /// The instance classes of its members, sorted.
    pub(super) classes: Option<Vec<String>>,
    /// Whether the storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key of the storage.
    pub(super) kms_key: Option<String>,
    /// The DB subnet group.
    pub(super) subnet_group: Option<String>,
    /// The VPC security groups, sorted.
    pub(super) security_groups: Option<Vec<String>>,
    /// The cluster parameter group.
    pub(super) cluster_parameter_group: Option<String>,
    /// Whether it is protected from deletion.
    pub(super) deletion_protection: Option<bool>,
    /// How long automated backups are kept.
    pub(super) backup_retention: Option<HumanDuration>,
    /// Whether IAM database authentication is on.
    pub(super) iam_auth: Option<bool>,
    /// How many parameters of its groups differ from the engine's default; absent when a group could not be read.
    pub(super) parameters_changed: Option<u64>,
    /// When this was captured (UTC).
    pub(super) captured_at: DateTime<Utc>,
    /// All of it that another cluster can be compared with, dated: `intended:` of `aurora.compare_config`.
    pub(super) config: ClusterConfig,
}

/// What reading a configuration needs.
pub(super) const PERMISSIONS: [Permission; 4] = [
    Permission { action: "rds:DescribeDBClusters", why: "read the configuration of the cluster" },
    Permission { action: "rds:DescribeDBInstances", why: "read that of its members" },
    Permission {
        action: "rds:DescribeDBClusterParameters",
        why: "read changed parameters of the cluster",
    },
    Permission { action: "rds:DescribeDBParameters", why: "read those of its members" },
];

impl Action for CaptureConfig {
    type Input = CaptureConfigInput;
    type Output = CaptureConfigOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "aurora.capture_config",
            title: "Capture the configuration of the cluster",
            about: "Writes down, before the disaster, what a snapshot does not know about its cluster and its members: \
                    classes, readers, zones, storage, groups, changed parameters, port, protection, backup retention, key, \
                    authorities, monitoring, logs and tags. Say under `expect:` what the policy demands of it (`multi_az: \
                    true`, `readers: \">= 1\"`).\n\nAfter the disaster the cluster is gone, so later steps take their values \
                    from here, from the journal of an earlier run, or from the scenario.",
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: std::time::Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &PERMISSIONS,
            checks: &[(
                "parameters read",
                "the parameter groups of the cluster and of its members could be read",
            )],
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
        input: CaptureConfigInput,
    ) -> Result<CaptureConfigOutput, StepError> {
        let now = cx.clock.now();
        let read = read(cx, &input.cluster, Some(now)).await?;
        let changed = changed(&read.config);
        let (name, expected) = ("parameters read", "readable");
        cx.check(match (changed, read.unread.is_empty()) {
            (Some(count), true) => Check::made(name, expected, format!("{count} changed"), true),
            _ => Check::not_made(name, expected, read.unread.join("; ")),
        })
        .await?;
        Ok(told(input.cluster, read, changed, now))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        InputProblem::empty(given, "cluster").into_iter().collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::reading_config(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::capture_config(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::config_by_hand::capture(input)
    }
}

/// How many parameters somebody has set, if all groups could be read.
fn changed(config: &ClusterConfig) -> Option<u64> {
    let (cluster, members) =
        config.cluster_parameters.as_ref().zip(config.instance_parameters.as_ref())?;
    u64::try_from(cluster.len() + members.len()).ok()
}

fn told(id: String, read: Read, changed: Option<u64>, now: DateTime<Utc>) -> CaptureConfigOutput {
    let Read { cluster, config, .. } = read;
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    CaptureConfigOutput {
        id,
        arn: config.arn.clone(),
        resource_id: config.resource_id.clone(),
        status: text(cluster.status()),
        endpoint: text(cluster.endpoint()),
        reader_endpoint: text(cluster.reader_endpoint()),
        port: config.port,
        engine: config.engine.clone(),
        engine_version: config.engine_version.clone(),
        multi_az: config.multi_az,
        readers: config.readers,
        classes: config.classes.clone(),
        encrypted: config.encrypted,
        kms_key: config.kms_key.clone(),
        subnet_group: config.subnet_group.clone(),
        security_groups: config.security_groups.clone(),
        cluster_parameter_group: config.cluster_parameter_group.clone(),
        deletion_protection: config.deletion_protection,
        backup_retention: config.backup_retention,
        iam_auth: config.iam_auth,
        parameters_changed: changed,
        captured_at: now,
        config,
    }
}
