//! What a step of an earlier run has captured, for when what it captured of is gone.
//!
//! Main type: [`EarlierRun`]. The journal is verified before anything of it is believed. What was captured, and whether it says
//! something about what was recovered, is for the actions to judge.

use crate::action::{Given, HandInput, InputProblem, Probe, ProbeVerdict, StepContext, StepError};
use crate::ids::StepId;
use crate::journal::{Check, Contents, Event, Outcome, RunHead, RunState, WorldKind, read_bytes};
use crate::limits::JOURNAL_BYTES;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A step of an earlier run that has captured something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlierRun {
    /// The journal of that run, `journal.jsonl` in its folder. It is verified before anything of it is believed. It may be empty
    /// as long as it is not needed.
    pub(super) journal: String,
    /// The step that captured it.
    pub(super) step: StepId,
}

/// What a step can capture for another run.
pub(super) trait Captured: DeserializeOwned {
    /// The output of the step that is it.
    const OUTPUT: &'static str;

    /// Of what it was captured, and when.
    ///
    /// # Errors
    /// Why it says nothing.
    fn origin_in_words(&self) -> Result<String, String>;
}

/// The check that says from which run something comes, for the reference of actions.
pub(super) const CHECK: (&str, &str) = (
    "evidence of the earlier run",
    "its journal verifies, and it was a real run, or a rehearsal where this is one",
);

const WHICH: &str = "it is journal.jsonl in the folder of a run in which that step has captured it; a scenario takes it from an \
                     input: --set NAME=PATH";

impl EarlierRun {
    /// False as long as nobody has named a journal.
    pub(super) fn is_given(&self) -> bool {
        !self.journal.trim().is_empty()
    }

    /// Why there is nothing to compare with, when no journal is named.
    pub(super) fn missing(what: &str) -> InputProblem {
        let text = format!(
            "earlier.journal is empty, and {what} was not captured in this run: give the journal of the last drill"
        );
        InputProblem::at("earlier.journal", text).help(WHICH)
    }

    /// What that step has captured. Where it comes from is written down as a check.
    ///
    /// # Errors
    /// When the file cannot be read, does not verify, was no run that can be believed, or that step has captured nothing in it.
    pub(super) async fn captured<C: Captured>(&self, cx: &StepContext) -> Result<C, StepError> {
        let broken = |why: &str| StepError::broken(format!("earlier: {}: {why}", self.journal));
        let bytes = cx.outside.journal(&self.journal, JOURNAL_BYTES);
        let bytes = bytes.map_err(|error| StepError::from(error).help(WHICH))?;
        let contents = read_bytes(&bytes).map_err(|error| broken(&error.to_string()))?;
        let (head, captured) =
            captured_in::<C>(&contents, &self.step).map_err(|why| broken(&why).help(WHICH))?;
        if head.run == cx.facts.run {
            return Err(broken("it is the journal of this very run").help(WHICH));
        }
        let origin = captured.origin_in_words().map_err(|why| broken(&why).help(WHICH))?;
        let is_believed = is_believed(&head, cx);
        let observed = format!("step {} of {}, {origin}", self.step, head.run);
        cx.check(evidence(&head, observed, is_believed)).await?;
        if !is_believed {
            let text =
                format!("{} was no run against AWS: what it captured is not intended", head.run);
            return Err(StepError::broken(text).help("name the journal of a real run"));
        }
        Ok(captured)
    }

    /// Whether what was captured can be had on the day, and would be believed. `None` when no journal is named.
    pub(super) fn preflight<C: Captured>(cx: &StepContext, given: &Given) -> Option<Probe> {
        let path = given.text("earlier.journal").filter(|path| !path.trim().is_empty())?;
        let step = StepId::new(given.text("earlier.step").unwrap_or_default());
        let verdict = match usable::<C>(cx, path, &step) {
            Ok(what) => ProbeVerdict::works(what),
            Err(why) => ProbeVerdict::fails(why, WHICH),
        };
        Some(Probe::new(format!("journal of the earlier run {path}"), verdict))
    }
}

/// A run against AWS counts, and in a rehearsal another rehearsal.
fn is_believed(head: &RunHead, cx: &StepContext) -> bool {
    let rehearsals = head.world.is_rehearsal() && cx.outside.is_rehearsal();
    head.world == WorldKind::Real || rehearsals
}

/// What a journal holds for a run like this one.
fn usable<C: Captured>(cx: &StepContext, path: &str, step: &StepId) -> Result<String, String> {
    let bytes = cx.outside.journal(path, JOURNAL_BYTES).map_err(|error| error.to_string())?;
    let contents = read_bytes(&bytes).map_err(|error| error.to_string())?;
    let (head, captured) = captured_in::<C>(&contents, step)?;
    let origin = captured.origin_in_words()?;
    if !is_believed(&head, cx) {
        return Err(format!(
            "{} was no run against AWS: what it captured is not intended",
            head.run
        ));
    }
    Ok(format!(
        "step {step} of {}, {origin}; {} records, verified",
        head.run,
        contents.records.len()
    ))
}

/// Where a person finds what was captured, in a sentence.
pub(super) fn by_hand(input: &HandInput, output: &str) -> Option<String> {
    let step = input.value("earlier.step")?.as_str()?;
    let line = HandInput::quote(&format!("\"step_finished\",\"step\":\"{step}\""));
    let journal = input.word("earlier.journal").filter(|path| path != "''");
    let (place, file) = match &journal {
        Some(path) => (path.as_str(), path.as_str()),
        None => (
            "the journal of the last drill (journal.jsonl in the folder of its run)",
            "journal.jsonl",
        ),
    };
    Some(format!(
        "what was captured stands in {place}, as `{output}` of the last step_finished of the step {step}: \
         `grep {line} {file} | tail -n 1 | jq .event.result.output.{output}` shows it."
    ))
}

/// What a step has captured in the run of a journal, and that run.
fn captured_in<C: Captured>(contents: &Contents, step: &StepId) -> Result<(RunHead, C), String> {
    let state = RunState::of(&contents.records).map_err(|error| error.to_string())?;
    let head = state.head.ok_or("it holds no run")?;
    let result = contents.records.iter().rev().find_map(|record| match &record.event {
        Event::StepFinished { step: of, result } if of == step => Some(result),
        _ => None,
    });
    let result = result.ok_or_else(|| format!("the step {step} has not ended in {}", head.run))?;
    if result.outcome != Outcome::Passed {
        let how = result.outcome;
        return Err(format!(
            "the step {step} of {} ended as {how}: what it captured is not believed",
            head.run
        ));
    }
    let captured = result.output.get(C::OUTPUT).filter(|captured| !captured.is_null());
    let captured =
        captured.ok_or_else(|| format!("the step {step} of {} captured none", head.run))?;
    let captured: C = serde_json::from_value(Value::clone(captured)).map_err(|error| {
        format!("the step {step} of {} captured something else: {error}", head.run)
    })?;
    Ok((head, captured))
}

fn evidence(head: &RunHead, observed: String, is_believed: bool) -> Check {
    let (name, expected) = (CHECK.0, "a verified journal of a real run");
    if !is_believed {
        let why = format!("{} was a rehearsal, or ran against a test server", head.run);
        return Check::not_made(name, expected, why);
    }
    let check = Check::made(name, expected, observed, true);
    match head.world.is_rehearsal() {
        true => check.note("a rehearsal, which is enough for one"),
        false => check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, RunId};
    use crate::journal::{FORMAT, Journal, Sink, StepResult};
    use crate::outside::fake::{FakeOutside, context};
    use chrono::DateTime;
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<Vec<u8>>>);

    impl Sink for Disk {
        fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }
    }

    /// The journal of a run in which a step gave this output.
    fn journal(run: &str, world: WorldKind, step: &str, output: Value) -> String {
        ended(run, world, step, (Outcome::Passed, output))
    }

    fn ended(
        run: &str,
        world: WorldKind,
        step: &str,
        (outcome, output): (Outcome, Value),
    ) -> String {
        let disk = Disk::default();
        let mut journal = Journal::new(disk.clone());
        let step = StepId::new(step);
        let result = StepResult { outcome, output, failure: None, calls: Vec::new() };
        let events = [
            Event::RunStarted {
                format: FORMAT,
                run: RunId::new(run),
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
                limits: Vec::new(),
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

    const RUN: &str = "orders-0007-abcdef";

    /// What is captured in these tests.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Number {
        number: u64,
    }

    impl Captured for Number {
        const OUTPUT: &'static str = "found";

        fn origin_in_words(&self) -> Result<String, String> {
            if self.number == 0 {
                Err("nothing was counted".to_owned())
            } else {
                Ok("of it".to_owned())
            }
        }
    }

    async fn taken(text: String, is_rehearsal: bool) -> (Result<Number, StepError>, Vec<Check>) {
        let mut outside = FakeOutside { is_rehearsal, ..FakeOutside::default() };
        outside.files.insert("journal.jsonl".to_owned(), text);
        let (cx, _, recorder) = context(outside);
        let step = StepId::new("count");
        let earlier = EarlierRun { journal: "journal.jsonl".to_owned(), step };
        (earlier.captured(&cx).await, recorder.checks())
    }

    fn of(world: WorldKind, found: Value) -> String {
        journal(RUN, world, "count", json!({ "found": found }))
    }

    fn rehearsal() -> WorldKind {
        WorldKind::Rehearsal { estate: "estate".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_has_captured_is_told_with_its_run_and_its_origin() {
        let (found, checks) = taken(of(WorldKind::Real, json!({ "number": 3 })), false).await;
        assert_eq!(found.unwrap(), Number { number: 3 });
        assert_eq!((checks.len(), checks[0].outcome), (1, Outcome::Passed));
        assert_eq!(checks[0].observed, "step count of orders-0007-abcdef, of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rehearsal_is_no_evidence_but_for_another_rehearsal() {
        let text = || of(rehearsal(), json!({ "number": 3 }));
        let (found, checks) = taken(text(), false).await;
        assert!(found.is_err());
        assert_eq!(checks[0].outcome, Outcome::Inconclusive);
        let (found, checks) = taken(text(), true).await;
        assert_eq!((found.unwrap().number, checks[0].outcome), (3, Outcome::Passed));
        assert!(checks[0].note.as_deref().unwrap().contains("rehearsal"));
        let test_server = WorldKind::Endpoint { url: "http://127.0.0.1:5000".to_owned() };
        let (found, _) = taken(of(test_server, json!({ "number": 3 })), true).await;
        assert!(found.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_was_changed_or_holds_nothing_of_the_kind_is_refused() {
        let good = of(WorldKind::Real, json!({ "number": 3 }));
        let (changed, checks) = taken(good.replace("\"number\":3}", "\"number\":4}"), false).await;
        assert!(changed.unwrap_err().to_string().contains("does not verify"));
        assert!(checks.is_empty());
        for (found, why) in [
            (Value::Null, "captured none"),
            (json!({ "number": 0 }), "nothing was counted"),
            (json!({ "numbers": 3 }), "something else"),
        ] {
            let (found, checks) = taken(of(WorldKind::Real, found), false).await;
            let error = found.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(checks.is_empty(), "{why}");
        }
        let (nothing, _) = taken(String::new(), false).await;
        assert!(nothing.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn regression_what_a_step_has_captured_that_failed_is_not_believed() {
        for outcome in [Outcome::Failed, Outcome::Inconclusive] {
            let output = json!({ "found": { "number": 3 } });
            let (found, checks) =
                taken(ended(RUN, WorldKind::Real, "count", (outcome, output)), false).await;
            let why = found.unwrap_err().to_string();
            assert!(why.contains("is not believed"), "{why}");
            assert!(checks.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_no_evidence_of_itself() {
        let (cx, ..) = context(FakeOutside::default());
        let found = json!({ "found": { "number": 3 } });
        let own = journal(cx.facts.run.as_str(), WorldKind::Real, "count", found);
        let (found, checks) = taken(own, false).await;
        assert!(found.unwrap_err().to_string().contains("this very run"));
        assert!(checks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_is_not_there_is_found_before_the_day() {
        let mut outside = FakeOutside::default();
        outside.files.insert("good".to_owned(), of(WorldKind::Real, json!({ "number": 3 })));
        outside.files.insert("bad".to_owned(), "nonsense\n".to_owned());
        outside.files.insert("empty".to_owned(), of(WorldKind::Real, Value::Null));
        outside.files.insert("rehearsal".to_owned(), of(rehearsal(), json!({ "number": 3 })));
        let (cx, ..) = context(outside);
        let verdict = |journal: &str| {
            let with = json!({ "earlier": { "journal": journal, "step": "count" } });
            let given = Given::new("s", StepId::new("compare"), None, with);
            EarlierRun::preflight::<Number>(&cx, &given).map(|probe| probe.verdict)
        };
        assert_eq!(verdict(""), None);
        assert!(matches!(verdict("good"), Some(ProbeVerdict::Works(_))));
        for unusable in ["bad", "absent", "empty", "rehearsal"] {
            assert!(matches!(verdict(unusable), Some(ProbeVerdict::Fails { .. })), "{unusable}");
        }
    }
}
