use super::config::{DbConfig, changed_parameters};
use super::config_diff::{
    CHECKS, Item, Terms, compare, left_out, names, not_countable, not_tolerable,
};
use super::config_origin::{origin_check, told_of};
use super::db_instance::describe_instance;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::client;
use crate::journal::{Check, Finding, Outcome, Severity};
use crate::time::HumanDuration;
use aws_sdk_rds::types::DbInstance;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
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
    /// Items that are not compared, because a drill changes them on purpose. They are listed in the result, with both values.
    #[serde(default)]
    pub(super) vary: Vec<Item>,
    /// Items of which more is as good: `storage`, `iops`, `storage_throughput`, `backup_retention`, `monitoring`.
    #[serde(default)]
    pub(super) at_least: Vec<Item>,
    /// Items that may differ: a difference is a finding, and does not fail the step. Not `engine`, `encrypted`, `vpc` and
    /// `publicly_accessible`.
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
    /// How many items were compared, those apart that could not be verified.
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
is captured before the disaster by `rds.capture_config`, or written in the scenario. What was captured from the very instance that is \
compared, or after it had been made, verifies nothing. Parameters are compared as far as somebody has set them.";

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
            let is_old = check.outcome == Outcome::Failed;
            cx.check(check).await?;
            if is_old {
                cx.finding(outdated(age.unwrap_or_default())).await?;
            }
        }
        let intended = intended_here(cx, &input).await?;
        let instance = instance_of(cx, &input.instance).await?;
        let found = configuration_of(cx, &instance).await?;
        let origin = origin_check(&input.intended, &told_of(&instance), cx.facts.started);
        let of_another = origin.as_ref().is_none_or(|check| check.outcome == Outcome::Passed);
        if let Some(check) = origin {
            cx.check(check).await?;
        }
        let compared = if of_another { compare(&intended, &found, &terms) } else { Vec::new() };
        let verified = compared.iter().filter(|one| one.check.outcome != Outcome::Inconclusive);
        let count = u64::try_from(verified.count()).unwrap_or(u64::MAX);
        cx.check(items_compared(count, &left_out(&intended, &found, &terms))).await?;
        let named = |of: &dyn Fn(&super::config_diff::Compared) -> bool| {
            compared.iter().filter(|one| of(one)).map(|one| one.name.to_owned()).collect::<Vec<_>>()
        };
        let differing = named(&|one| one.differs);
        let output = CompareConfigOutput {
            compared: count,
            differences: u64::try_from(differing.len()).unwrap_or(u64::MAX),
            differing,
            unverified: named(&|one| one.check.outcome == Outcome::Inconclusive),
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

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let items = |path| given.texts(path).into_iter().filter_map(item_named).collect();
        let wrong = [at_least_problem(&items("at_least")), tolerate_problem(&items("tolerate"))];
        let empty = InputProblem::empty(given, "instance");
        empty.into_iter().chain(wrong.into_iter().flatten()).collect()
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
    match at_least_problem(&terms.at_least).or_else(|| tolerate_problem(&terms.tolerate)) {
        None => Ok(terms),
        Some(problem) => Err(problem.into()),
    }
}

/// The item of that name; what is none is for the schema to say.
fn item_named(name: &str) -> Option<Item> {
    serde_json::from_value(Value::String(name.to_owned())).ok()
}

fn at_least_problem(items: &BTreeSet<Item>) -> Option<InputProblem> {
    let name = not_countable(items)?;
    let what = format!("at_least: there is no more or less of {name}");
    Some(
        InputProblem::at("at_least", what)
            .help("name it in tolerate: or vary:, or intend what is there with instead:"),
    )
}

fn tolerate_problem(items: &BTreeSet<Item>) -> Option<InputProblem> {
    let name = not_tolerable(items)?;
    let what = format!("tolerate: a difference in {name} is never only a finding");
    Some(
        InputProblem::at("tolerate", what)
            .help("intend what is right here with instead:, or leave it out openly with vary:"),
    )
}

fn items_compared(count: u64, left_out: &[String]) -> Check {
    let check = Check::made("items compared", ">= 1", count.to_string(), true).over(count);
    if left_out.is_empty() {
        return check;
    }
    let told = format!("left out on purpose: {}", left_out.join("; "));
    let note = match &check.note {
        Some(note) => format!("{note}; {told}"),
        None => told,
    };
    check.note(note)
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

async fn instance_of(cx: &StepContext, name: &str) -> Result<DbInstance, StepError> {
    describe_instance(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no instance {name} here"))
            .help("check the name, and the account and region of the step's site")
    })
}

/// The configuration of an instance, with the parameters of its group where they can be read.
async fn configuration_of(cx: &StepContext, instance: &DbInstance) -> Result<DbConfig, StepError> {
    let mut config = DbConfig::of(instance, None);
    if let Some(group) = &config.parameter_group {
        config.parameters = changed_parameters(cx, group).await?.ok();
    }
    Ok(config)
}

/// How old it is. What says that it was captured in the future has no age that is known.
fn age_of(intended: &DbConfig, now: DateTime<Utc>) -> Option<HumanDuration> {
    let at = intended.captured_at.filter(|at| *at <= now)?;
    Some(HumanDuration::from(now - at).rounded_up())
}

fn age_check(limit: Option<HumanDuration>, age: Option<HumanDuration>) -> Option<Check> {
    let (name, limit) = ("age of the intended configuration", limit?);
    let expected = format!("<= {limit}");
    Some(match age {
        Some(age) => Check::made(name, expected, age.to_string(), age <= limit),
        None => Check::not_made(
            name,
            expected,
            "it does not say when it was captured, or a time in the future",
        ),
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
    use serde_json::json;

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
    fn regression_a_configuration_of_the_future_has_no_age() {
        let captured = |at| DbConfig { captured_at: Some(at), ..DbConfig::default() };
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(5);
        let hour = chrono::TimeDelta::hours(1);
        assert_eq!(age_of(&captured(now - hour), now), Some("1h".parse().unwrap()));
        assert_eq!(age_of(&captured(now + hour), now), None);
    }

    #[test]
    fn regression_what_was_left_out_is_told_where_items_are_counted() {
        let check = items_compared(3, &["class: a, intended is b".to_owned()]);
        assert_eq!(check.note.as_deref(), Some("left out on purpose: class: a, intended is b"));
        assert_eq!((check.outcome, check.population), (Outcome::Passed, Some(3)));
        let nothing = items_compared(0, &["class: a, intended is b".to_owned()]);
        assert_eq!(nothing.outcome, Outcome::Inconclusive);
        assert!(nothing.note.unwrap().ends_with("class: a, intended is b"));
        assert_eq!(items_compared(3, &[]).note, None);
    }

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
    fn names_that_mean_nothing_are_refused() {
        assert!(terms(&input(&json!({ "at_least": ["ca"] }))).is_err());
        assert!(terms(&input(&json!({ "tolerate": ["encrypted"] }))).is_err());
        assert!(terms(&input(&json!({ "at_least": ["iops"], "vary": ["ca"] }))).is_ok());
        let unknown = json!({ "instance": "a", "intended": {}, "vary": ["zones"] });
        assert!(serde_json::from_value::<CompareConfigInput>(unknown).is_err());
        let misspelt = json!({ "instance": "a", "intended": { "multi_zone": true } });
        assert!(serde_json::from_value::<CompareConfigInput>(misspelt).is_err());
    }
}
