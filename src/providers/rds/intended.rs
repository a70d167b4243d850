//! Where an intended configuration comes from: an earlier run, and which original it was captured from.

use super::config_diff::{Config, Item, Origin};
use crate::action::{Given, InputProblem, StepContext, StepError};
use crate::ids::{SiteName, StepId};
use crate::journal::{
    Check, Contents, Event, Finding, RunHead, RunState, Severity, WorldKind, read_bytes,
};
use crate::limits::JOURNAL_BYTES;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A step of an earlier run that has captured a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::providers) struct EarlierRun {
    /// The journal of that run, `journal.jsonl` in its folder. It is verified before anything of it is believed.
    pub(in crate::providers) journal: String,
    /// The step that captured the configuration.
    pub(in crate::providers) step: StepId,
}

/// The original whose configuration is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::providers) struct SourceOf {
    /// Its identifier, its ARN or its identity (`DbiResourceId`, `DbClusterResourceId`).
    pub(in crate::providers) id: String,
    /// The site where it is, or was: its account and region must be those of the captured one.
    #[serde(default)]
    pub(in crate::providers) at: Option<SiteName>,
}

impl EarlierRun {
    /// What that step has captured. Where it comes from is written down as a check.
    ///
    /// # Errors
    /// When the file cannot be read, does not verify, or holds no configuration of that step.
    pub(super) async fn config<C: Config>(&self, cx: &StepContext) -> Result<C, StepError> {
        let broken = |why: &str| StepError::broken(format!("earlier: {}: {why}", self.journal));
        let bytes = cx.outside.file(&self.journal, JOURNAL_BYTES)?;
        let contents = read_bytes(&bytes).map_err(|error| broken(&error.to_string()))?;
        let (head, config) = captured_in::<C>(&contents, &self.step).map_err(|why| {
            broken(&why).help("name the journal of a run in which that step has captured it")
        })?;
        cx.check(evidence(&head, &self.step, config.origin())).await?;
        if head.world != WorldKind::Real {
            let text =
                format!("{} was no run against AWS: what it captured is not intended", head.run);
            return Err(StepError::broken(text).help("name the journal of a real run"));
        }
        Ok(config)
    }
}

/// What a step has captured in the run of a journal, and that run.
fn captured_in<C: Config>(contents: &Contents, step: &StepId) -> Result<(RunHead, C), String> {
    let state = RunState::of(&contents.records).map_err(|error| error.to_string())?;
    let head = state.head.ok_or("it holds no run")?;
    let output = contents.records.iter().rev().find_map(|record| match &record.event {
        Event::StepFinished { step: of, result } if of == step => Some(&result.output),
        _ => None,
    });
    let output = output.ok_or_else(|| format!("the step {step} has not ended in {}", head.run))?;
    let config = output.get("config").filter(|config| !config.is_null());
    let config = config.ok_or_else(|| format!("the step {step} of {} captured none", head.run))?;
    let config: C = serde_json::from_value(Value::clone(config)).map_err(|error| {
        format!("the step {step} of {} captured something else: {error}", head.run)
    })?;
    match config.origin().captured_at {
        Some(_) => Ok((head, config)),
        None => Err(format!("the configuration in {} has no date", head.run)),
    }
}

fn evidence(head: &RunHead, step: &StepId, origin: Origin<'_>) -> Check {
    let (name, expected) = ("evidence of the earlier run", "a verified journal of a real run");
    if head.world != WorldKind::Real {
        let why = format!("{} was a rehearsal, or ran against a test server", head.run);
        return Check::not_made(name, expected, why);
    }
    let at = origin.captured_at.map_or_else(String::new, |at| format!(" at {}", at.to_rfc3339()));
    let of = origin.arn.unwrap_or("nobody says what");
    let observed = format!("step {step} of {}, of {of}{at}", head.run);
    Check::made(name, expected, observed, true)
}

/// What can be wrong with where a configuration comes from, before the run.
pub(super) fn problems_of_origin(given: &Given) -> Vec<InputProblem> {
    let mut found: Vec<InputProblem> = ["earlier.journal", "earlier.step", "source.id"]
        .iter()
        .filter_map(|path| InputProblem::empty(given, path))
        .collect();
    for (needed, why) in [
        ("max_age", "how old it may be is for the policy to say"),
        ("source", "what it was captured of must be what was lost"),
    ] {
        if given.has("earlier") && !given.has(needed) {
            let text = format!("earlier: {needed} is missing: {why}");
            found.push(InputProblem::at("earlier", text).help(format!("add {needed}:")));
        }
    }
    found
}

/// Whether the configuration was captured of the original that is meant. The finding is there when it was of another one.
///
/// # Errors
/// When there is no such site.
pub(super) fn source_check<I: Item>(
    source: &SourceOf,
    cx: &StepContext,
    origin: Origin<'_>,
) -> Result<(Check, Option<Finding>), StepError> {
    let place = source.at.as_ref().map(|at| cx.site_named(at)).transpose()?;
    let place = place.as_ref().map(|session| session.place());
    let place = place.map(|place| (place.account.as_deref(), place.region.as_str()));
    Ok(judge_source::<I>(source, place, origin))
}

fn judge_source<I: Item>(
    source: &SourceOf,
    place: Option<(Option<&str>, &str)>,
    origin: Origin<'_>,
) -> (Check, Option<Finding>) {
    let name = "source of the intended configuration";
    let mut expected = source.id.clone();
    if let Some((account, region)) = place {
        let account = account.map_or_else(String::new, |account| format!(" of {account}"));
        expected = format!("{expected} in {region}{account}");
    }
    let Some(arn) = origin.arn else {
        let why = match origin.captured_at {
            Some(_) => "nobody says of what it was captured",
            None => "it was written by hand",
        };
        return (Check::not_made(name, expected, why), None);
    };
    let observed = match origin.resource_id {
        Some(identity) => format!("{arn} ({identity})"),
        None => arn.to_owned(),
    };
    let holds = is_named(&source.id, origin) && place.is_none_or(|place| is_at(arn, place));
    let finding = || Finding {
        severity: Severity::Serious,
        code: format!("{}.config_of_another_source", I::SERVICE),
        what: format!("the intended configuration was captured of {observed}, not of {expected}"),
        why: format!("what another {} is like says nothing of the one that was lost", I::OF),
        action: "capture the configuration of the original that is recovered, before the disaster"
            .to_owned(),
    };
    let finding = (!holds).then(finding);
    (Check::made(name, expected, observed, holds), finding)
}

/// Whether it is what is named: by identifier, ARN or identity. RDS keeps identifiers in lower case.
fn is_named(id: &str, origin: Origin<'_>) -> bool {
    let arn = origin.arn.unwrap_or_default();
    let name = arn.rsplit(':').next().unwrap_or_default();
    let identity = origin.resource_id.unwrap_or_default();
    [arn, name, identity].iter().any(|known| !known.is_empty() && known.eq_ignore_ascii_case(id))
}

/// Whether an ARN (`arn:PARTITION:rds:REGION:ACCOUNT:…`) is of that account and region.
fn is_at(arn: &str, (account, region): (Option<&str>, &str)) -> bool {
    let mut parts = arn.split(':').skip(3);
    parts.next() == Some(region) && {
        let of = parts.next();
        account.is_none_or(|account| of == Some(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, RunId};
    use crate::journal::{FORMAT, Journal, Outcome, Sink, StepResult};
    use crate::outside::fake::{FakeOutside, context};
    use crate::providers::rds::config::DbConfig;
    use crate::providers::rds::config_items::DbItem;
    use chrono::DateTime;
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const ARN: &str = "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db";
    const PLACE: (Option<&str>, &str) = (Some("111111111111"), "ap-northeast-1");

    fn judged(id: &str, place: Option<(Option<&str>, &str)>) -> (Outcome, bool) {
        let source = SourceOf { id: id.to_owned(), at: None };
        let origin = Origin {
            captured_at: Some(DateTime::UNIX_EPOCH),
            arn: Some(ARN),
            resource_id: Some("db-ABC"),
        };
        let (check, finding) = judge_source::<DbItem>(&source, place, origin);
        (check.outcome, finding.is_some())
    }

    #[test]
    fn only_what_was_captured_of_the_named_original_says_something() {
        for id in ["orders-db", "Orders-DB", ARN, "db-ABC"] {
            assert_eq!(judged(id, Some(PLACE)), (Outcome::Passed, false), "{id}");
        }
        assert_eq!(judged("orders", Some(PLACE)), (Outcome::Failed, true));
        assert_eq!(judged("orders-db", Some((None, "ap-northeast-3"))), (Outcome::Failed, true));
        let other_account = Some((Some("222222222222"), "ap-northeast-1"));
        assert_eq!(judged("orders-db", other_account), (Outcome::Failed, true));
        assert_eq!(judged("orders-db", None), (Outcome::Passed, false));
    }

    #[test]
    fn what_nobody_says_verifies_nothing() {
        let source = SourceOf { id: "orders-db".to_owned(), at: None };
        let (check, finding) = judge_source::<DbItem>(&source, None, Origin::default());
        assert_eq!((check.outcome, finding), (Outcome::Inconclusive, None));
    }

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Vec<u8>>>);

    impl Sink for Disk {
        fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }
    }

    /// The journal of a run in which the step `config` gave this output.
    fn journal(world: WorldKind, output: Value) -> String {
        let disk = Disk::default();
        let mut journal = Journal::new(disk.clone());
        let step = StepId::new("config");
        let result =
            StepResult { outcome: Outcome::Passed, output, failure: None, calls: Vec::new() };
        let events = [
            Event::RunStarted {
                format: FORMAT,
                run: RunId::new("orders-0007-abcdef"),
                number: 7,
                scenario: "orders".to_owned(),
                plan: Digest::ZERO,
                scenario_digest: Digest::ZERO,
                mode: "drill".to_owned(),
                world,
                tool: "test".to_owned(),
                operator: "test".to_owned(),
                seed: 1,
                expires: DateTime::UNIX_EPOCH,
                keep: None,
                deviations: Vec::new(),
            },
            Event::StepStarted { step: step.clone(), attempt: 1, input: Value::Null },
            Event::StepFinished { step, result },
        ];
        for event in events {
            journal.stage(DateTime::UNIX_EPOCH, Duration::ZERO, event).unwrap();
        }
        journal.commit().unwrap();
        let bytes = disk.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    async fn taken(text: String) -> (Result<DbConfig, StepError>, Vec<Check>) {
        let mut outside = FakeOutside::default();
        outside.files.insert("journal.jsonl".to_owned(), text);
        let (cx, _, recorder) = context(outside);
        let step = StepId::new("config");
        let earlier = EarlierRun { journal: "journal.jsonl".to_owned(), step };
        (earlier.config(&cx).await, recorder.checks())
    }

    fn captured() -> Value {
        json!({ "config": {
            "captured_at": "2026-11-20T02:00:00Z", "arn": ARN, "resource_id": "db-ABC", "multi_az": true,
        } })
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_has_captured_is_told_with_its_run_its_date_and_its_origin() {
        let (config, checks) = taken(journal(WorldKind::Real, captured())).await;
        assert_eq!(config.unwrap().multi_az, Some(true));
        assert_eq!((checks.len(), checks[0].outcome), (1, Outcome::Passed));
        for part in ["orders-0007-abcdef", "2026-11-20T02:00:00", ARN] {
            assert!(checks[0].observed.contains(part), "{part} in {}", checks[0].observed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rehearsal_is_no_evidence_of_what_production_was_like() {
        let world = WorldKind::Rehearsal { estate: "estate".to_owned() };
        let (config, checks) = taken(journal(world, captured())).await;
        assert!(config.is_err());
        assert_eq!(checks[0].outcome, Outcome::Inconclusive);
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_was_changed_or_holds_no_dated_configuration_is_refused() {
        let good = journal(WorldKind::Real, captured());
        let (changed, checks) =
            taken(good.replace("\"multi_az\":true", "\"multi_az\":false")).await;
        assert!(changed.unwrap_err().to_string().contains("does not verify"));
        assert!(checks.is_empty());
        for (output, why) in [
            (json!({}), "captured none"),
            (json!({ "config": { "multi_az": true } }), "no date"),
            (json!({ "config": { "snapshot": "x" } }), "something else"),
        ] {
            let (config, _) = taken(journal(WorldKind::Real, output)).await;
            let error = config.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let (nothing, _) = taken(String::new()).await;
        assert!(nothing.is_err());
    }
}
