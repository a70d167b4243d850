//! How a run stands that has not ended: whether its process is at work, what it waits for, and what people can do.

use super::runs::Stored;
use crate::ids::StepId;
use crate::journal::{Question, RunState};
use crate::outside::ways_to_prove_for;
use chrono::SecondsFormat;

impl Stored {
    /// One word or two for a list.
    pub(super) fn in_a_word(&self, is_at_work: bool) -> &'static str {
        match self.state {
            _ if !is_at_work => "stopped",
            RunState { paused: Some(_), .. } => "halted",
            _ if !self.questions().is_empty() => "asks",
            _ => "at work",
        }
    }

    /// What is said of a run that has not ended.
    pub(super) fn how_it_stands(&self, is_at_work: bool) -> Vec<String> {
        if !is_at_work {
            return vec![format!("the run has not ended; {}", self.folder.go_on())];
        }
        let what = if self.gives_back() { ", and gives back what the run made" } else { "" };
        let mut said = vec![format!("the run has not ended: its process is at work{what}")];
        said.extend(self.state.paused.as_ref().map(|by| {
            let (go_on, abort) = (self.folder.command("continue"), self.folder.command("abort"));
            format!("halted by {by}: {go_on} lets it go on, {abort} ends it")
        }));
        said.extend(self.questions().into_iter().map(|(step, asks)| self.waits_for(step, asks)));
        said
    }

    fn gives_back(&self) -> bool {
        self.state.releasing || self.state.cancelled.is_some()
    }

    fn waits_for(&self, step: &StepId, question: &Question) -> String {
        let planned = self.plan.step(step);
        let ways = planned.map(|planned| ways_to_prove_for(&planned.with)).unwrap_or_default();
        let proof = match ways.join(" or ") {
            none if none.is_empty() => none,
            ways => format!(" with {ways}"),
        };
        // As in the journal, so that it stays on its line.
        let text = serde_json::Value::from(question.text.as_str());
        let until = question.deadline.to_rfc3339_opts(SecondsFormat::Secs, true);
        let approve = self.folder.command("approve");
        format!(
            "{step} asks {text} and waits until {until}: {approve} {step} (or redrill reject) answers{proof}"
        )
    }

    /// In the order of the steps' names. Who gives back asks nothing any more, though the question may still be open.
    fn questions(&self) -> Vec<(&StepId, &Question)> {
        if self.gives_back() {
            return Vec::new();
        }
        let is_open = |asks: &Question| asks.stands && asks.answer.is_none();
        self.state.questions.iter().filter(|(_, asks)| is_open(asks)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::{Store, tests::started};
    use crate::journal::{self, Approval, Event, WorldKind};
    use crate::plan::{self, Plan, RunMode};
    use crate::providers;
    use crate::scenario::{Source, load_text};
    use std::collections::BTreeMap;

    const SCENARIO: &str = "\
redrill: 1
name: orders-db
title: A drill that asks
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m }
steps:
  - { id: ask, uses: control.approve, with: { ask: Go on?, signed_by: approvers } }
";

    fn plan() -> Plan {
        let registry = providers::registry();
        let loaded = load_text(Source::new("x.yaml", SCENARIO), &registry);
        assert!(!loaded.has_errors(), "{}", loaded.render(false));
        let options =
            plan::Options { mode: RunMode::Drill, inputs: BTreeMap::new(), deviations: Vec::new() };
        let scenario = loaded.scenario.unwrap();
        plan::compile(&scenario, crate::ids::Digest::ZERO, &registry, options).unwrap()
    }

    /// A run after these events, and the folder that it is in.
    fn after(events: &[Event]) -> (tempfile::TempDir, Stored) {
        let root = tempfile::tempdir().unwrap();
        let (_, folder) = started(&Store::new(root.path().join("runs")), WorldKind::Real);
        let (mut journal, contents) = journal::Journal::reopen(&folder.journal()).unwrap();
        let at = contents.records[0].at;
        for event in events {
            journal.stage(at, std::time::Duration::ZERO, event.clone()).unwrap();
        }
        journal.commit().unwrap();
        let contents = journal::read(&folder.journal()).unwrap();
        let state = folder.fold(&contents.records).unwrap();
        (root, Stored { folder, plan: plan(), contents, state })
    }

    fn begun() -> [Event; 2] {
        let step = StepId::new("ask");
        let input = serde_json::Value::Null;
        let deadline = "2026-11-22T03:10:00Z".parse().unwrap();
        let text = "Go \u{1b}[2K on?".to_owned();
        [
            Event::StepStarted { step: step.clone(), attempt: 1, input },
            Event::ApprovalRequested { step, text, deadline, signed_by: None },
        ]
    }

    #[test]
    fn regression_whoever_looks_at_a_run_at_work_is_not_told_to_resume_it() {
        let [start, ask] = begun();
        let (_root, run) = after(std::slice::from_ref(&start));
        assert_eq!(run.in_a_word(true), "at work");
        assert_eq!(run.how_it_stands(true), ["the run has not ended: its process is at work"]);

        let halted = Event::RunPaused { by: "root".to_owned() };
        let (_root, run) = after(&[start.clone(), ask.clone(), halted]);
        assert_eq!(run.in_a_word(true), "halted");
        let said = run.how_it_stands(true);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].contains("halted by root: redrill continue orders-db-0001"), "{said:?}");
        let asks = "ask asks \"Go \\u001b[2K on?\" and waits until 2026-11-22T03:10:00Z: \
                    redrill approve orders-db-0001 --runs-dir ";
        assert!(said[2].starts_with(asks), "{said:?}");
        assert!(said[2].ends_with("ask (or redrill reject) answers with --sign-with KEY"));
        assert!(!said.iter().any(|line| line.contains("resume")), "{said:?}");

        // Without a process it is the other way round.
        assert_eq!(run.in_a_word(false), "stopped");
        let said = run.how_it_stands(false);
        assert!(said[0].contains("go on with: redrill resume orders-db-0001"), "{said:?}");
        assert_eq!(said.len(), 1);

        let (_root, run) = after(&[start, ask]);
        assert_eq!(run.in_a_word(true), "asks");
    }

    #[test]
    fn regression_what_was_answered_or_is_being_ended_is_waited_for_no_more() {
        let [start, ask] = begun();
        let approval = Approval {
            approved: true,
            by: "anna".to_owned(),
            identified_by: "test".to_owned(),
            comment: None,
            proof: None,
            identity: None,
        };
        let given = Event::ApprovalGiven { step: StepId::new("ask"), approval };
        let (_root, run) = after(&[start.clone(), ask.clone(), given]);
        assert_eq!(run.how_it_stands(true).len(), 1);
        let ended = Event::CancelRequested { by: "root".to_owned(), incident: true };
        for ends in [ended, Event::ReleaseStarted] {
            let (_root, run) = after(&[start.clone(), ask.clone(), ends]);
            let said = run.how_it_stands(true);
            assert!(said[0].ends_with("and gives back what the run made"), "{said:?}");
            assert_eq!((said.len(), run.in_a_word(true)), (1, "at work"), "{said:?}");
        }
    }
}
