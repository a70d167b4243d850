//! Comparing something restored with the configuration that was intended: what instances and clusters have in common.

use super::config_diff::{
    Compared, Config, Item, Terms, compare, left_out, names, not_countable, not_tolerable,
};
use super::config_origin::{Told, origin_check};
use super::intended::{SourceOf, problems_of_origin, source_check};
use crate::action::{Given, InputProblem, StepContext, StepError};
use crate::client;
use crate::journal::{Check, Finding, Outcome, Severity};
use crate::providers::earlier::EarlierRun;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is intended, and how much of it is compared.
#[derive(Deserialize, JsonSchema)]
#[serde(bound = "")]
pub(in crate::providers) struct Wanted<C: Config> {
    /// What it should be like: `config` of the action that captures it, or written by hand. Of what is written by hand, only
    /// that is compared. `"{{default steps.config.config null}}"` gives nothing where that step is not run: in a recovery, when its
    /// site is lost. Then `earlier` is taken.
    #[serde(default)]
    pub(in crate::providers) intended: Option<C>,
    /// What it should be like, as a step of an earlier run has captured it: for when the original is gone. With `max_age` and
    /// `source`. It is read only when `intended` gives nothing.
    #[serde(default)]
    pub(in crate::providers) earlier: Option<EarlierRun>,
    /// Of what the configuration must have been captured: of another original it says nothing.
    #[serde(default)]
    pub(in crate::providers) source: Option<SourceOf>,
    /// What is intended here instead: another region has other keys, subnets and security groups. A key may be an alias.
    #[serde(default)]
    pub(in crate::providers) instead: Option<C>,
    /// Items that are not compared, because a drill changes them on purpose. They are listed in the result, with both values. Not
    /// `engine`, `encrypted`, `vpc` and `publicly_accessible`: what is right here stands in `instead`.
    #[serde(default)]
    pub(in crate::providers) vary: Vec<C::Item>,
    /// Items of which more is as good: sizes, rates, numbers and times, such as `backup_retention`.
    #[serde(default)]
    pub(in crate::providers) at_least: Vec<C::Item>,
    /// Items that may differ: a difference is a finding, and does not fail the step. Not `engine`, `encrypted`, `vpc` and
    /// `publicly_accessible`.
    #[serde(default)]
    pub(in crate::providers) tolerate: Vec<C::Item>,
    /// Whether a newer minor version of the engine is as good.
    #[serde(default)]
    pub(in crate::providers) newer_minor: bool,
    /// The oldest that a captured configuration may be.
    #[serde(default)]
    pub(in crate::providers) max_age: Option<HumanDuration>,
}

/// What a comparison tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(in crate::providers) struct CompareConfigOutput {
    /// How many items were compared, those apart that could not be verified.
    pub(in crate::providers) compared: u64,
    /// How many of these differ, tolerated differences included.
    pub(in crate::providers) differences: u64,
    /// The items that differ.
    pub(in crate::providers) differing: Vec<String>,
    /// The items that could not be verified.
    pub(in crate::providers) unverified: Vec<String>,
    /// The items that were left out because they vary on purpose.
    pub(in crate::providers) varied: Vec<String>,
    /// When the intended configuration was captured (UTC).
    pub(in crate::providers) captured_at: Option<DateTime<Utc>>,
    /// Of what it was captured: the ARN.
    pub(in crate::providers) captured_of: Option<String>,
    /// How old it is.
    pub(in crate::providers) config_age: Option<HumanDuration>,
}

/// What was found of what is compared.
pub(in crate::providers) struct FoundConfig<C> {
    pub(in crate::providers) config: C,
    pub(in crate::providers) told: Told,
}

/// The configuration that is intended, before anything is looked at: written, captured in this run, or in an earlier one.
///
/// # Errors
/// When it cannot be read, or the terms mean nothing.
pub(in crate::providers) async fn intended<C: Config>(
    cx: &StepContext,
    wanted: &Wanted<C>,
) -> Result<C, StepError> {
    terms(wanted)?;
    match (&wanted.intended, &wanted.earlier) {
        (Some(config), _) => Ok(config.clone()),
        (None, Some(earlier)) if earlier.is_given() => earlier.captured(cx).await,
        (None, Some(_)) => Err(EarlierRun::missing("the configuration").into()),
        (None, None) => Err(no_intention().into()),
    }
}

/// Compares what was found with what is intended, and writes every check and finding down.
///
/// # Errors
/// Those of `kms:DescribeKey` for an alias, and of the journal.
pub(in crate::providers) async fn judge<C: Config>(
    cx: &StepContext,
    wanted: &Wanted<C>,
    intended: &C,
    found: &FoundConfig<C>,
) -> Result<CompareConfigOutput, StepError> {
    let (terms, origin) = (terms(wanted)?, intended.origin());
    let age = age_of(origin.captured_at, cx.clock.now());
    if let Some(check) = age_check(wanted.max_age, age) {
        let is_old = check.outcome == Outcome::Failed;
        cx.check(check).await?;
        if is_old {
            cx.finding(outdated::<C::Item>(age.unwrap_or_default())).await?;
        }
    }
    let here = intended_here(cx, intended, wanted.instead.as_ref()).await?;
    let mut says_something = true;
    if let Some(source) = &wanted.source {
        let (check, finding) = source_check::<C::Item>(source, cx, intended.origin())?;
        says_something &= check.outcome == Outcome::Passed;
        cx.check(check).await?;
        if let Some(finding) = finding {
            cx.finding(finding).await?;
        }
    }
    if let Some(check) = origin_check(origin, &found.told, cx.facts.started) {
        says_something &= check.outcome == Outcome::Passed;
        cx.check(check).await?;
    }
    let compared = if says_something { compare(&here, &found.config, &terms) } else { Vec::new() };
    let verified = compared.iter().filter(|one| one.check.outcome != Outcome::Inconclusive);
    let count = u64::try_from(verified.count()).unwrap_or(u64::MAX);
    cx.check(items_compared(count, &left_out(&here, &found.config, &terms))).await?;
    let mut output = told(&compared, count);
    output.varied = names(&terms.vary);
    output.captured_at = origin.captured_at;
    output.captured_of = origin.arn.map(str::to_owned);
    output.config_age = age;
    for one in compared {
        cx.check(one.check).await?;
        if let Some(finding) = one.finding {
            cx.finding(finding).await?;
        }
    }
    Ok(output)
}

fn told(compared: &[Compared], count: u64) -> CompareConfigOutput {
    let named = |of: &dyn Fn(&Compared) -> bool| {
        compared.iter().filter(|one| of(one)).map(|one| one.name.to_owned()).collect::<Vec<_>>()
    };
    let differing = named(&|one| one.differs);
    CompareConfigOutput {
        compared: count,
        differences: u64::try_from(differing.len()).unwrap_or(u64::MAX),
        differing,
        unverified: named(&|one| one.check.outcome == Outcome::Inconclusive),
        varied: Vec::new(),
        captured_at: None,
        captured_of: None,
        config_age: None,
    }
}

/// What is wrong with the terms of a comparison, as far as it is known before the run.
pub(in crate::providers) fn problems<I: Item>(given: &Given) -> Vec<InputProblem> {
    let items = |path| given.texts(path).into_iter().filter_map(item_named::<I>).collect();
    let wrong = [
        at_least_problem(&items("at_least")),
        safety_problem("tolerate", &items("tolerate")),
        safety_problem("vary", &items("vary")),
    ];
    let is_nothing = !given.has("intended") && !given.has("earlier");
    let all = wrong.into_iter().flatten().chain(is_nothing.then(no_intention));
    all.chain(problems_of_origin(given)).collect()
}

fn no_intention() -> InputProblem {
    InputProblem::new("", "the step must give intended:, earlier: or both").help(
        "intended: takes config of the step that captures it; earlier: names the journal of an earlier run, and that step",
    )
}

fn terms<C: Config>(wanted: &Wanted<C>) -> Result<Terms<C::Item>, StepError> {
    let terms = Terms {
        vary: wanted.vary.iter().copied().collect(),
        at_least: wanted.at_least.iter().copied().collect(),
        tolerate: wanted.tolerate.iter().copied().collect(),
        newer_minor: wanted.newer_minor,
    };
    let wrong = at_least_problem(&terms.at_least)
        .or_else(|| safety_problem("tolerate", &terms.tolerate))
        .or_else(|| safety_problem("vary", &terms.vary));
    match wrong {
        None => Ok(terms),
        Some(problem) => Err(problem.into()),
    }
}

/// The item of that name; what is none is for the schema to say.
fn item_named<I: Item>(name: &str) -> Option<I> {
    serde_json::from_value(Value::String(name.to_owned())).ok()
}

fn at_least_problem<I: Item>(items: &BTreeSet<I>) -> Option<InputProblem> {
    let name = not_countable(items)?;
    let what = format!("at_least: there is no more or less of {name}");
    Some(
        InputProblem::at("at_least", what)
            .help("name it in tolerate: or vary:, or intend what is there with instead:"),
    )
}

/// What lays data of production open, or is another database, is compared whatever the scenario says.
fn safety_problem<I: Item>(path: &str, items: &BTreeSet<I>) -> Option<InputProblem> {
    let name = not_tolerable(items)?;
    let what = match path {
        "vary" => format!("vary: {name} is always compared: it is no item that a drill leaves out"),
        _ => format!("{path}: a difference in {name} is never only a finding"),
    };
    let help = format!("say what is right here with instead: {{ {name}: … }}");
    Some(InputProblem::at(path, what).help(help))
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
async fn intended_here<C: Config>(
    cx: &StepContext,
    intended: &C,
    instead: Option<&C>,
) -> Result<C, StepError> {
    let mut here = fields(intended)?;
    let other = instead.map(fields).transpose()?.unwrap_or_default();
    here.extend(other.into_iter().filter(|(_, value)| !value.is_null()));
    let here: C = of_fields(here)?;
    let Some(key) = here.kms_key().filter(|key| !key.contains(":key/")) else { return Ok(here) };
    let client = client!(cx.site()?, aws_sdk_kms);
    let request = client.describe_key().key_id(key);
    let answer = cx.call("kms:DescribeKey", || request.clone().send()).await?;
    let arn = answer.key_metadata().and_then(|known| known.arn());
    let mut known = fields(&here)?;
    known.insert("kms_key".to_owned(), arn.map_or(Value::Null, Value::from));
    of_fields(known)
}

fn fields<C: Config>(config: &C) -> Result<serde_json::Map<String, Value>, StepError> {
    match serde_json::to_value(config).map_err(|error| StepError::broken(error.to_string()))? {
        Value::Object(fields) => Ok(fields),
        other => Err(StepError::broken(format!("{other} is no configuration"))),
    }
}

fn of_fields<C: Config>(fields: serde_json::Map<String, Value>) -> Result<C, StepError> {
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| StepError::broken(error.to_string()))
}

/// How old it is. What says that it was captured in the future has no age that is known.
fn age_of(captured_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<HumanDuration> {
    let at = captured_at.filter(|at| *at <= now)?;
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

fn outdated<I: Item>(age: HumanDuration) -> Finding {
    Finding {
        severity: Severity::Serious,
        code: format!("{}.config_outdated", I::SERVICE),
        what: format!("the intended configuration was captured {age} ago"),
        why: "what has changed since then would be lost in a recovery, and nobody would notice"
            .to_owned(),
        action: "capture it again, at least as often as the policy demands".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::{FakeOutside, context};
    use crate::providers::rds::config::DbConfig;
    use chrono::TimeDelta;
    use serde_json::json;

    fn config(value: Value) -> DbConfig {
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_intended_instead_replaces_what_was_captured_and_nothing_else() {
        let captured = config(json!({
            "multi_az": true, "kms_key": "arn:a:key/1", "security_groups": ["sg-1"],
        }));
        let instead = config(json!({ "security_groups": ["sg-2"], "multi_az": false }));
        let (cx, ..) = context(FakeOutside::default());
        let here = intended_here(&cx, &captured, Some(&instead)).await.unwrap();
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
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(5);
        let hour = TimeDelta::hours(1);
        assert_eq!(age_of(Some(now - hour), now), Some("1h".parse().unwrap()));
        assert_eq!(age_of(Some(now + hour), now), None);
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
}
