use super::comparing::{CompareConfigOutput, FoundConfig, Wanted, intended, judge, problems};
use super::config::{
    DbConfig, changed_parameters, not_in_force, options_not_in_force, options_of,
    security_group_to_come,
};
use super::config_items::{CHECKS, DbItem};
use super::config_origin::told_of;
use super::db_instance::describe_instance;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use aws_sdk_rds::types::DbInstance;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// `rds.compare_config`: whether an instance is configured as intended.
pub(super) struct CompareConfig;

/// What `rds.compare_config` is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareConfigInput {
    /// The identifier of the instance that was restored.
    instance: String,
    #[serde(flatten)]
    wanted: Wanted<DbConfig>,
}

const ABOUT: &str = "Compares a restored instance with what it should be like, item by item: class, engine and version, zones, storage, \
encryption and key, network, parameters and options, protection, backups, authentication, certificate authority, monitoring, logs and tags. \
Each item is a check with what was intended and what was found; each difference is a finding that says why it matters.\n\nWhat is intended \
is captured before the disaster by `rds.capture_config`, taken from the journal of an earlier run (`earlier`), or written in the scenario. \
What was captured from the very instance that is compared, or after it had been made, verifies nothing, and neither does what was captured \
of another original than the one that `source` names. Parameters are compared as far as somebody has set them.";

impl Action for CompareConfig {
    type Input = CompareConfigInput;
    type Output = CompareConfigOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.compare_config",
            title: "Compare the configuration with the intended one",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "rds:DescribeDBInstances", why: "read the configuration" },
                Permission { action: "rds:DescribeDBParameters", why: "read changed parameters" },
                Permission { action: "kms:DescribeKey", why: "the key behind an alias" },
            ],
            checks: CHECKS,
            populations: &[("differences", "compared")],
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
        input: CompareConfigInput,
    ) -> Result<CompareConfigOutput, StepError> {
        let intended = intended(cx, &input.wanted).await?;
        let instance = instance_of(cx, &input.instance).await?;
        let config = configuration_of(cx, &instance).await?;
        let found = FoundConfig { config, told: told_of(&instance) };
        judge(cx, &input.wanted, &intended, &found).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = InputProblem::empty(given, "instance");
        empty.into_iter().chain(problems::<DbItem>(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::compare_config(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::compare_config::<DbConfig>(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::compare_config_by_hand::by_hand(input)
    }
}

async fn instance_of(cx: &StepContext, name: &str) -> Result<DbInstance, StepError> {
    describe_instance(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no instance {name} here"))
            .help("check the name, and the account and region of the step's site")
    })
}

/// The configuration of an instance, with the parameters of its group where they can be read and it runs with them.
async fn configuration_of(cx: &StepContext, instance: &DbInstance) -> Result<DbConfig, StepError> {
    let mut config = DbConfig::of(instance, None);
    let status = options_of(instance).and_then(|group| group.status());
    let of_options = config.option_group.as_deref();
    if let Some(finding) = of_options.and_then(|group| options_not_in_force(group, status)) {
        config.option_group = None;
        cx.finding(finding).await?;
    }
    if security_group_to_come(instance.vpc_security_groups()).is_some() {
        config.security_groups = None;
    }
    let Some(group) = &config.parameter_group else { return Ok(config) };
    let status = instance.db_parameter_groups().first().and_then(|g| g.parameter_apply_status());
    match not_in_force("rds", group, status) {
        Some(finding) => cx.finding(finding).await?,
        None => config.parameters = changed_parameters(cx, group).await?.ok(),
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn regression_terms_that_mean_nothing_are_found_before_the_run() {
        let places = |with: Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with);
            CompareConfig.check_input(&given).into_iter().map(|p| p.pointer).collect::<Vec<_>>()
        };
        let wrong =
            json!({ "instance": "", "intended": {}, "at_least": ["class"], "tolerate": ["vpc"] });
        assert_eq!(places(wrong), ["/instance", "/at_least", "/tolerate"]);
        let fine = json!({ "instance": Given::later_mark(), "intended": {}, "at_least": ["iops"], "tolerate": ["tags"] });
        assert_eq!(places(fine), Vec::<String>::new());
    }

    #[test]
    fn regression_what_keeps_data_of_production_in_is_not_left_out_of_a_drill() {
        let with = |vary: Value| json!({ "instance": "a", "intended": {}, "vary": vary });
        let found = |vary: Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with(vary));
            CompareConfig.check_input(&given)
        };
        for item in ["engine", "encrypted", "vpc", "publicly_accessible"] {
            let problems = found(json!(["class", item]));
            let [problem] = &problems[..] else { panic!("{item}: {problems:?}") };
            assert!(problem.pointer == "/vary" && problem.message.contains(item), "{problem:?}");
            assert!(problem.help.as_ref().unwrap().contains(&format!("instead: {{ {item}:")));
        }
        assert!(found(json!(["class", "multi_az", "subnet_group", "tags"])).is_empty());
        assert!(found(Given::later_mark()).is_empty());
    }

    #[test]
    fn regression_parameters_that_the_server_does_not_run_with_are_told() {
        assert_eq!(not_in_force("rds", "prod", Some("in-sync")), None);
        assert_eq!(options_not_in_force("prod", Some("in-sync")), None);
        for status in [Some("pending-apply"), Some("failed"), None] {
            let finding = options_not_in_force("prod", status).unwrap();
            assert!(finding.what.contains(status.unwrap_or("does not tell")), "{finding:?}");
        }
        for (status, said) in [(Some("pending-reboot"), "pending-reboot"), (None, "does not tell")]
        {
            let finding = not_in_force("rds", "prod", status).unwrap();
            assert!(finding.what.contains("prod is") && finding.what.contains(said));
        }
    }

    #[test]
    fn an_earlier_run_is_given_with_the_age_and_the_source_that_it_must_have() {
        let messages = |with: Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with);
            CompareConfig.check_input(&given).into_iter().map(|p| p.message).collect::<Vec<_>>()
        };
        let earlier = json!({ "journal": "journal.jsonl", "step": "config" });
        let bare = messages(json!({ "instance": "a", "earlier": earlier }));
        assert!(bare.iter().any(|m| m.contains("max_age")), "{bare:?}");
        assert!(bare.iter().any(|m| m.contains("source")), "{bare:?}");
        let source = json!({ "id": "orders-db" });
        let full =
            json!({ "instance": "a", "earlier": earlier, "max_age": "8d", "source": source });
        assert_eq!(messages(full), Vec::<String>::new());
        let both = json!({ "instance": "a", "intended": {}, "earlier": earlier, "max_age": "8d", "source": source });
        assert_eq!((messages(both).len(), messages(json!({ "instance": "a" })).len()), (1, 1));
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        let unknown = json!({ "instance": "a", "intended": {}, "vary": ["zones"] });
        assert!(serde_json::from_value::<CompareConfigInput>(unknown).is_err());
        let misspelt = json!({ "instance": "a", "intended": { "multi_zone": true } });
        assert!(serde_json::from_value::<CompareConfigInput>(misspelt).is_err());
        let key = json!({ "instance": "a", "intended": {}, "varies": ["class"] });
        assert!(serde_json::from_value::<CompareConfigInput>(key).is_err());
    }
}
