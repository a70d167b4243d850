use super::config::{DbConfig, changed_parameters};
use super::config_diff::{CHECKS, Item, Terms, compare, names, not_countable};
use super::db_instance::describe_instance;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Permission, Phase,
    Probe, SiteUse, StepContext, StepError,
};
use crate::client;
use crate::journal::{Check, Finding, Severity};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `rds.compare_config`: whether an instance is configured as intended.
pub(super) struct CompareConfig;

/// What `rds.compare_config` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareConfigInput {
    /// The identifier of the instance that was restored.
    pub(super) instance: String,
    /// What it should be like: `config` of `rds.capture_config`, or written by hand. Of what is written by hand, only that is
    /// compared.
    pub(super) intended: DbConfig,
    /// What is intended here instead: another region has other keys, subnets and security groups. A key may be an alias.
    #[serde(default)]
    pub(super) instead: DbConfig,
    /// Items that are not compared, because a drill changes them on purpose. They are listed in the result.
    #[serde(default)]
    pub(super) vary: Vec<Item>,
    /// Items of which more is as good: `storage`, `iops`, `storage_throughput`, `backup_retention`, `monitoring`.
    #[serde(default)]
    pub(super) at_least: Vec<Item>,
    /// Items that may differ: a difference is a finding, and does not fail the step.
    #[serde(default)]
    pub(super) tolerate: Vec<Item>,
    /// Whether a newer minor version of the engine is as good.
    #[serde(default)]
    pub(super) newer_minor: bool,
    /// The oldest that a captured configuration may be.
    #[serde(default)]
    pub(super) max_age: Option<HumanDuration>,
}

/// What `rds.compare_config` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct CompareConfigOutput {
    /// How many items were compared.
    pub(super) compared: u64,
    /// How many of these differ, tolerated differences included.
    pub(super) differences: u64,
    /// The items that differ.
    pub(super) differing: Vec<String>,
    /// The items that could not be verified.
    pub(super) unverified: Vec<String>,
    /// The items that were left out because they vary on purpose.
    pub(super) varied: Vec<String>,
    /// When the intended configuration was captured (UTC).
    pub(super) captured_at: Option<DateTime<Utc>>,
    /// How old it is.
    pub(super) config_age: Option<HumanDuration>,
}

const ABOUT: &str = "Compares a restored instance with what it should be like, item by item: class, engine and version, zones, storage, \
encryption and key, network, parameters and options, protection, backups, authentication, certificate authority, monitoring, logs and tags. \
Each item is a check with what was intended and what was found; each difference is a finding that says why it matters.\n\nWhat is intended \
is captured before the disaster by `rds.capture_config`, or written in the scenario. Parameters are compared as far as somebody has set them.";

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
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: CompareConfigInput,
    ) -> Result<CompareConfigOutput, StepError> {
        let terms = terms(&input)?;
        let now = cx.clock.now();
        let age = age_of(&input.intended, now);
        if let Some(check) = age_check(input.max_age, age) {
            let is_old = check.outcome == crate::journal::Outcome::Failed;
            cx.check(check).await?;
            if is_old {
                cx.finding(outdated(age.unwrap_or_default())).await?;
            }
        }
        let intended = intended_here(cx, &input).await?;
        let found = configuration_of(cx, &input.instance).await?;
        let compared = compare(&intended, &found, &terms);
        let count = u64::try_from(compared.len()).unwrap_or(u64::MAX);
        let check = Check::made("items compared", ">= 1", count.to_string(), true);
        cx.check(check.over(count)).await?;
        let named = |of: &dyn Fn(&super::config_diff::Compared) -> bool| {
            compared.iter().filter(|one| of(one)).map(|one| one.name.to_owned()).collect::<Vec<_>>()
        };
        let differing = named(&|one| one.differs);
        let output = CompareConfigOutput {
            compared: count,
            differences: u64::try_from(differing.len()).unwrap_or(u64::MAX),
            differing,
            unverified: named(&|one| one.check.outcome == crate::journal::Outcome::Inconclusive),
            varied: names(&terms.vary),
            captured_at: input.intended.captured_at,
            config_age: age,
        };
        for one in compared {
            cx.check(one.check).await?;
            if let Some(finding) = one.finding {
                cx.finding(finding).await?;
            }
        }
        Ok(output)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::compare_config(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::compare_config(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::compare_config_by_hand::by_hand(input)
    }
}

fn terms(input: &CompareConfigInput) -> Result<Terms, StepError> {
    let terms = Terms {
        vary: input.vary.iter().copied().collect(),
        at_least: input.at_least.iter().copied().collect(),
        tolerate: input.tolerate.iter().copied().collect(),
        newer_minor: input.newer_minor,
    };
    match not_countable(&terms.at_least) {
        None => Ok(terms),
        Some(name) => {
            Err(StepError::broken(format!("at_least: there is no more or less of {name}"))
                .help("name it in tolerate: or vary:, or intend what is there with instead:"))
        }
    }
}

/// What is intended at this site: the configuration, with what is intended instead; keys as ARNs.
async fn intended_here(
    cx: &StepContext,
    input: &CompareConfigInput,
) -> Result<DbConfig, StepError> {
    let mut here = with_instead(&input.intended, &input.instead)?;
    if let Some(key) = here.kms_key.clone().filter(|key| !key.contains(":key/")) {
        let client = client!(cx.site()?, aws_sdk_kms);
        let request = client.describe_key().key_id(&key);
        let answer = cx.call("kms:DescribeKey", || request.clone().send()).await?;
        here.kms_key = answer.key_metadata().and_then(|known| known.arn()).map(str::to_owned);
    }
    Ok(here)
}

fn with_instead(intended: &DbConfig, instead: &DbConfig) -> Result<DbConfig, StepError> {
    let unreadable = |error: serde_json::Error| StepError::broken(error.to_string());
    let mut all = serde_json::to_value(intended).map_err(unreadable)?;
    let other = serde_json::to_value(instead).map_err(unreadable)?;
    if let (Some(all), Some(other)) = (all.as_object_mut(), other.as_object()) {
        let said = other.iter().filter(|(_, value)| !value.is_null());
        all.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    }
    serde_json::from_value(all).map_err(unreadable)
}

/// The configuration of an instance, with the parameters of its group where they can be read.
async fn configuration_of(cx: &StepContext, name: &str) -> Result<DbConfig, StepError> {
    let instance = describe_instance(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no instance {name} here"))
            .help("check the name, and the account and region of the step's site")
    })?;
    let mut config = DbConfig::of(&instance, None);
    if let Some(group) = &config.parameter_group {
        config.parameters = changed_parameters(cx, group).await?.ok();
    }
    Ok(config)
}

fn age_of(intended: &DbConfig, now: DateTime<Utc>) -> Option<HumanDuration> {
    intended.captured_at.map(|at| HumanDuration::from(now - at).rounded_up())
}

fn age_check(limit: Option<HumanDuration>, age: Option<HumanDuration>) -> Option<Check> {
    let (name, limit) = ("age of the intended configuration", limit?);
    let expected = format!("<= {limit}");
    Some(match age {
        Some(age) => Check::made(name, expected, age.to_string(), age <= limit),
        None => Check::not_made(name, expected, "it does not say when it was captured"),
    })
}

fn outdated(age: HumanDuration) -> Finding {
    Finding {
        severity: Severity::Serious,
        code: "rds.config_outdated".to_owned(),
        what: format!("the intended configuration was captured {age} ago"),
        why: "what has changed since then would be lost in a recovery, and nobody would notice"
            .to_owned(),
        action: "capture it again, at least as often as the policy demands".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use serde_json::{Value, json};

    fn input(more: &Value) -> CompareConfigInput {
        let mut all = json!({ "instance": "a", "intended": { "multi_az": true } });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_is_intended_instead_replaces_what_was_captured_and_nothing_else() {
        let input = input(&json!({
            "intended": { "multi_az": true, "kms_key": "arn:a:key/1", "security_groups": ["sg-1"] },
            "instead": { "security_groups": ["sg-2"], "multi_az": false },
        }));
        let here = with_instead(&input.intended, &input.instead).unwrap();
        assert_eq!(here.security_groups, Some(vec!["sg-2".to_owned()]));
        assert_eq!((here.multi_az, here.kms_key.as_deref()), (Some(false), Some("arn:a:key/1")));
    }

    #[test]
    fn an_old_configuration_fails_and_one_without_a_date_verifies_nothing() {
        let day = Some("1d".parse().unwrap());
        let outcome = |age: Option<&str>| {
            age_check(day, age.map(|age| age.parse().unwrap())).unwrap().outcome
        };
        assert_eq!(outcome(Some("23h")), Outcome::Passed);
        assert_eq!(outcome(Some("25h")), Outcome::Failed);
        assert_eq!(outcome(None), Outcome::Inconclusive);
        assert!(age_check(None, None).is_none());
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        assert!(terms(&input(&json!({ "at_least": ["ca"] }))).is_err());
        assert!(terms(&input(&json!({ "at_least": ["iops"], "vary": ["ca"] }))).is_ok());
        let unknown = json!({ "instance": "a", "intended": {}, "vary": ["zones"] });
        assert!(serde_json::from_value::<CompareConfigInput>(unknown).is_err());
        let misspelt = json!({ "instance": "a", "intended": { "multi_zone": true } });
        assert!(serde_json::from_value::<CompareConfigInput>(misspelt).is_err());
    }
}
