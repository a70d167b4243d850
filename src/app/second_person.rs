//! Approvals of a second person, when a run is gone on with: who has said yes may be its operator now.

use super::runs::RunFolder;
use crate::error::{Error, Result};
use crate::ids::{RunId, StepId};
use crate::journal::{Approval, ApproverIdentity, Event, Record, RunState, StepState};
use crate::outside::real::RunIdentity;
use crate::outside::{Principal, RunBy, UNKNOWN_USER, is_same_person, why_the_same_person};
use crate::plan::{Plan, PlannedStep};
use std::collections::{BTreeMap, BTreeSet};

/// What is still to be done on the word of somebody who would be its operator now.
#[derive(Debug, PartialEq, Eq)]
struct OwnWord {
    step: StepId,
    asked: StepId,
    by: String,
}

/// Who would go on with a run.
pub(super) struct GoesOn {
    /// As the operating system names them.
    pub(super) user: String,
    /// What they show AWS; none in a rehearsal, in which nobody has answered by AWS either.
    pub(super) identity: Option<RunIdentity>,
}

/// Refuses to go on with a run whose second person this is.
///
/// # Errors
/// A refusal, also where AWS does not say who this is and somebody whom it knows has said yes.
pub(super) fn hold(
    folder: &RunFolder,
    plan: &Plan,
    (records, state): (&[Record], &RunState),
    goes_on: &GoesOn,
) -> Result<()> {
    let given = given(plan, records);
    let own = |is_own: &dyn Fn(&Approval) -> bool| own_word(plan, state, &given, is_own);
    let by_name = |yes: &Approval| is_by(yes, &goes_on.user);
    let mut found = own(&by_name);
    let known = given.values().find_map(|yes| yes.identity.as_ref());
    // AWS is asked only where it matters: names of the system say nothing of who is known to AWS by another one.
    if let (None, Some(known), Some(_)) =
        (&found, known, own(&|yes| by_name(yes) || yes.identity.is_some()))
    {
        let me = who_goes_on(folder, goes_on, &known.region)?;
        found =
            own(&|yes| by_name(yes) || yes.identity.as_ref().is_some_and(|one| is_me(&me, one)));
    }
    let Some(OwnWord { step, asked, by }) = found else { return Ok(()) };
    let text = format!(
        "{by} has approved {asked} as the second person, and {} would now do {step} on that word; nothing was done",
        goes_on.user
    );
    Err(Error::refused(text).help(somebody_else(folder)))
}

fn somebody_else(folder: &RunFolder) -> String {
    format!(
        "let somebody else go on with it ({}), or give back what it made: {}",
        folder.go_on(),
        folder.command("abort")
    )
}

/// Who this is, as the STS of a region says.
fn who_goes_on(folder: &RunFolder, goes_on: &GoesOn, region: &str) -> Result<RunBy> {
    let unknown = |why: String| {
        let text = format!(
            "somebody whom AWS knows has approved as the second person, and whether that is who goes on now is not known: {why}; \
             nothing was done"
        );
        Error::refused(text).help(somebody_else(folder))
    };
    let Some(identity) = &goes_on.identity else {
        return Err(unknown("a rehearsal shows AWS nothing".to_owned()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    let (run, step) = (RunId::new(folder.name()), StepId::new("resume"));
    let asked = runtime.block_on(identity.at_work(&run, region, &step));
    asked.map_err(|why| unknown(why.to_string()))
}

fn is_me(me: &RunBy, one: &ApproverIdentity) -> bool {
    let ApproverIdentity { arn, account, user_id, .. } = one.clone();
    why_the_same_person(me, &Principal { arn, account, user_id }).is_some()
}

/// A step that has not ended, and rests on the yes of whoever goes on: because it follows upon that question at once, or because it
/// cannot be undone and nobody else has said yes, or will be asked.
fn own_word(
    plan: &Plan,
    state: &RunState,
    given: &BTreeMap<&StepId, &Approval>,
    is_own: &dyn Fn(&Approval) -> bool,
) -> Option<OwnWord> {
    let own: BTreeSet<&StepId> =
        given.iter().filter(|(_, yes)| is_own(yes)).map(|(asked, _)| *asked).collect();
    let second: BTreeSet<&StepId> =
        plan.steps.iter().filter(|step| asks_a_second_person(step)).map(|step| &step.id).collect();
    plan.steps.iter().filter(|step| is_to_do(state, &step.id)).find_map(|step| {
        let asked = rests_on(plan, step, &second, &own)?;
        let by = given.get(asked)?.by.clone();
        Some(OwnWord { step: step.id.clone(), asked: asked.clone(), by })
    })
}

fn rests_on<'a>(
    plan: &'a Plan,
    step: &'a PlannedStep,
    second: &BTreeSet<&'a StepId>,
    own: &BTreeSet<&'a StepId>,
) -> Option<&'a StepId> {
    let at_once = step.needs.iter().find(|id| own.contains(id));
    if at_once.is_some() || !step.has_external_effect() {
        return at_once;
    }
    let upstream = plan.upstream(&step.needs);
    let mut asked = upstream.intersection(second).copied().peekable();
    let one = asked.peek().copied();
    one.filter(|_| asked.all(|id| own.contains(id)))
}

/// The yes that was given to each question which only a second person may answer.
fn given<'a>(plan: &'a Plan, records: &'a [Record]) -> BTreeMap<&'a StepId, &'a Approval> {
    let yes = records.iter().filter_map(|record| match &record.event {
        Event::ApprovalGiven { step, approval } if approval.approved => Some((step, approval)),
        _ => None,
    });
    yes.filter(|(step, _)| plan.step(step).is_some_and(asks_a_second_person)).collect()
}

fn asks_a_second_person(step: &PlannedStep) -> bool {
    step.uses == "control.approve" && step.with["second_person"] == true
}

/// Where the system cannot tell who goes on, only AWS can tell that it is somebody else.
fn is_by(approval: &Approval, goes_on: &str) -> bool {
    let unknown = goes_on == UNKNOWN_USER && approval.identity.is_none();
    unknown || is_same_person(goes_on, &approval.by)
}

fn is_to_do(state: &RunState, step: &StepId) -> bool {
    !matches!(state.steps.get(step), Some(StepState::Done(_) | StepState::LeftOut { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::journal::{Outcome, StepResult};
    use crate::plan::{self, RunMode};
    use crate::providers;
    use crate::scenario::{Source, load_text};
    use std::path::PathBuf;

    const SCENARIO: &str = "\
redrill: 1
name: switched
title: A drill that changes what cannot be undone
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m, external: [switch] }
steps:
  - { id: ask, uses: control.approve, with: { ask: Go on?, second_person: true } }
  - { id: look, uses: exec.run, phase: recover, needs: [ask], with: { argv: [a], effect: none } }
  - { id: other, uses: control.approve, needs: [look], with: { ask: Sure?, second_person: true } }
  - { id: between, uses: exec.run, phase: recover, needs: [other], with: { argv: [a], effect: none } }
  - { id: switch, uses: exec.run, needs: [between], with: { argv: [a], effect: external } }
  - { id: after, uses: exec.run, needs: [switch], with: { argv: [a], effect: none } }
";

    fn plan() -> Plan {
        let registry = providers::registry();
        let loaded = load_text(Source::new("x.yaml", SCENARIO), &registry);
        assert!(!loaded.has_errors(), "{}", loaded.render(false));
        let options =
            plan::Options { mode: RunMode::Drill, inputs: BTreeMap::new(), deviations: Vec::new() };
        plan::compile(&loaded.scenario.unwrap(), Digest::ZERO, &registry, options).unwrap()
    }

    /// What is refused when somebody goes on with a run, of which these steps are done and these questions answered.
    fn refused(done: &[&str], yes: &[(&str, &str)], goes_on: &str) -> Option<(String, String)> {
        let result = StepResult {
            outcome: Outcome::Passed,
            output: serde_json::Value::Null,
            failure: None,
            calls: Vec::new(),
        };
        let ended = |id: &&str| (StepId::new(*id), StepState::Done(result.clone()));
        let state = RunState { steps: done.iter().map(ended).collect(), ..RunState::default() };
        let records = yes.iter().zip(0..).map(|((step, by), seq)| Record {
            seq,
            at: chrono::DateTime::UNIX_EPOCH,
            elapsed_ms: 0,
            prev: Digest::ZERO,
            event: Event::ApprovalGiven {
                step: StepId::new(*step),
                approval: Approval {
                    approved: true,
                    by: (*by).to_owned(),
                    identified_by: "test".to_owned(),
                    comment: None,
                    proof: None,
                    identity: None,
                },
            },
        });
        let records: Vec<Record> = records.collect();
        let plan = plan();
        let own = own_word(&plan, &state, &given(&plan, &records), &|yes| is_by(yes, goes_on))?;
        Some((own.step.to_string(), own.asked.to_string()))
    }

    fn some(step: &str, asked: &str) -> Option<(String, String)> {
        Some((step.to_owned(), asked.to_owned()))
    }

    #[test]
    fn regression_the_commands_for_somebody_else_find_the_folder_of_the_runs() {
        let folder = RunFolder { path: PathBuf::from("/srv/team/orders-db-0001") };
        let said = somebody_else(&folder);
        for verb in ["resume", "abort"] {
            let command = format!("redrill {verb} orders-db-0001 --runs-dir /srv/team");
            assert!(said.contains(&command), "{said}");
        }
    }

    #[test]
    fn regression_nobody_goes_on_with_a_run_on_their_own_yes() {
        let anna = [("ask", "anna@example.com")];
        assert_eq!(refused(&["ask"], &anna, "anna"), some("look", "ask"));
        assert_eq!(refused(&["ask"], &anna, "carl"), None);
        assert_eq!(refused(&["ask"], &anna, UNKNOWN_USER), some("look", "ask"), "nobody can tell");
        assert_eq!(refused(&[], &[], "anna"), None, "she will be asked for another one");
        // What followed upon her yes is done, and somebody else will be asked before the switch.
        assert_eq!(refused(&["ask", "look"], &anna, "anna"), None);
    }

    #[test]
    fn what_cannot_be_undone_needs_the_word_of_one_who_does_not_run_it() {
        let done = ["ask", "look", "other", "between"];
        let both = [("ask", "anna, oncall"), ("other", "anna")];
        assert_eq!(refused(&done, &both, "anna"), some("switch", "ask"));
        let carl_too = [("ask", "anna"), ("other", "carl")];
        assert_eq!(refused(&done, &carl_too, "anna"), None);
        let done = [&done[..], &["switch"]].concat();
        assert_eq!(refused(&done, &both, "anna"), None, "it is done");
    }
}
