use super::config::{ClusterConfig, read};
use super::config_items::{CHECKS, ClusterItem};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::providers::rds::{
    CompareConfigOutput, FoundConfig, Wanted, intended, judge, preflight_of_comparison, problems,
    security_group_to_come,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// `aurora.compare_config`: whether a cluster and its members are configured as intended.
pub(super) struct CompareConfig;

/// What `aurora.compare_config` is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareConfigInput {
    /// The identifier of the cluster that was restored.
    cluster: String,
    #[serde(flatten)]
    wanted: Wanted<ClusterConfig>,
}

const ABOUT: &str = "Compares a restored cluster and its members with what they should be like, item by item: engine and version, zones, \
readers, classes and the order in which members take over, storage, encryption and key, network, parameters of the cluster and of its \
members, protection, backups, authentication, certificate authorities, monitoring, logs and tags. Each item is a check with what was intended \
and what was found; each difference is a finding that says why it matters.\n\nWhat is intended is captured before the disaster by \
`aurora.capture_config`, taken from the journal of an earlier run (`earlier`), or written in the scenario. What was captured from the very \
cluster that is compared, or after it had been made, verifies nothing, and neither does what was captured of another original than the one \
that `source` names. Parameters are compared as far as somebody has set them.";

impl Action for CompareConfig {
    type Input = CompareConfigInput;
    type Output = CompareConfigOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "aurora.compare_config",
            title: "Compare the configuration of the cluster with the intended one",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBClusters",
                    why: "read the configuration of the cluster",
                },
                Permission { action: "rds:DescribeDBInstances", why: "read that of its members" },
                Permission {
                    action: "rds:DescribeDBClusterParameters",
                    why: "read changed parameters of the cluster",
                },
                Permission { action: "rds:DescribeDBParameters", why: "read those of its members" },
                Permission { action: "kms:DescribeKey", why: "the key behind an alias" },
            ],
            checks: CHECKS,
            populations: &[("differences", "compared")],
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
        input: CompareConfigInput,
    ) -> Result<CompareConfigOutput, StepError> {
        let intended = intended(cx, &input.wanted).await?;
        let read = read(cx, &input.cluster, None).await?;
        let mut config = read.config;
        // What does not protect it yet is no part of how it is configured.
        if security_group_to_come(read.cluster.vpc_security_groups()).is_some() {
            config.security_groups = None;
        }
        let [of_cluster, of_members] = read.not_in_force;
        config.cluster_parameters = config.cluster_parameters.filter(|_| of_cluster.is_empty());
        config.instance_parameters = config.instance_parameters.filter(|_| of_members.is_empty());
        for finding in of_cluster.into_iter().chain(of_members) {
            cx.finding(finding).await?;
        }
        let found = FoundConfig { config, told: read.told };
        judge(cx, &input.wanted, &intended, &found).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = InputProblem::empty(given, "cluster");
        empty.into_iter().chain(problems::<ClusterItem>(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::compare_config(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        preflight_of_comparison::<ClusterConfig>(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::config_by_hand::compare(input)
    }
}
