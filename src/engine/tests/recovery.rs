//! What is different when it is no drill.

use super::rig::{Ran, ending, lasting, rig, step};
use crate::ids::{SiteName, StepId};
use crate::journal::{Event, Outcome};
use crate::plan::PlannedStep;
use serde_json::json;

fn recovery(steps: Vec<PlannedStep>) -> Ran {
    let mut rig = rig(steps);
    rig.plan.mode = "recovery".to_owned();
    rig.plan.disaster.lost = vec![SiteName::new("primary")];
    rig.run()
}

/// A step that takes so many seconds at a site that is lost.
fn at_the_lost_site(id: &str, seconds: u64) -> PlannedStep {
    let mut step = step(id, lasting(seconds)).prepare();
    step.at = Some(SiteName::new("primary"));
    step
}

#[test]
fn regression_the_clock_of_a_recovery_runs_before_any_step() {
    let ran = recovery(vec![step("prepare", lasting(300)).prepare(), step("recover", lasting(1))]);
    let declared = ran.records.iter().find(|r| matches!(r.event, Event::DisasterDeclared { .. }));
    assert_eq!(declared.unwrap().seq, 1, "right after the start of the run");
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
    assert_eq!(ran.seconds, 300, "what is prepared holds nothing up");
}

#[test]
fn regression_a_recovery_waits_for_nothing_at_a_lost_site() {
    let steps = vec![
        at_the_lost_site("config", 300),
        step("recover", lasting(1)),
        step("compare", lasting(1)).needs("config"),
    ];
    let ran = recovery(steps);
    assert_eq!(ran.outcome("config"), Outcome::NotRun);
    assert_eq!(
        (ran.outcome("recover"), ran.outcome("compare")),
        (Outcome::Passed, Outcome::NotRun)
    );
    assert_eq!(ran.state().finished, Some(Outcome::Inconclusive), "the comparison was not made");
    assert_eq!(ran.seconds, 1);
}

#[test]
fn in_a_recovery_a_step_can_say_what_to_take_instead_of_what_is_out_of_reach() {
    let mut compare = step("compare", lasting(1)).needs("config");
    compare.may_be_skipped.insert(StepId::new("config"));
    let ran = recovery(vec![at_the_lost_site("config", 300), compare]);
    assert_eq!(ran.outcome("config"), Outcome::NotRun);
    assert_eq!(ran.outcome("compare"), Outcome::Passed, "it answers for what was prepared for it");
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
}

#[test]
fn in_a_recovery_what_was_prepared_for_nobody_is_missed_all_the_same() {
    let optional = {
        let mut compare = step("compare", lasting(1)).needs("config");
        compare.may_be_skipped.insert(StepId::new("config"));
        compare.required = false;
        compare
    };
    for steps in [
        vec![at_the_lost_site("config", 1), step("recover", lasting(1))],
        vec![at_the_lost_site("config", 1), step("recover", lasting(1)), optional],
    ] {
        let ran = recovery(steps);
        assert_eq!(ran.outcome("recover"), Outcome::Passed);
        assert_eq!(ran.state().finished, Some(Outcome::Inconclusive));
    }
}

#[test]
fn in_a_recovery_what_was_prepared_through_another_step_is_answered_for() {
    let mut baseline = at_the_lost_site("baseline", 1);
    baseline.needs.insert(StepId::new("config"));
    let mut compare = step("compare", lasting(1)).needs("baseline");
    compare.may_be_skipped.insert(StepId::new("baseline"));
    let ran = recovery(vec![at_the_lost_site("config", 1), baseline, compare]);
    assert_eq!(ran.outcome("compare"), Outcome::Passed);
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
}

#[test]
fn in_a_recovery_nothing_that_cannot_be_prepared_stops_the_rest() {
    for end in ["fail", "break"] {
        let ran = recovery(vec![
            step("prepare", ending(end)).prepare(),
            step("recover", lasting(9)),
            step("verify", lasting(1)).needs("recover"),
        ]);
        assert_eq!(ran.outcome("verify"), Outcome::Passed, "{end}");
        assert_ne!(ran.state().finished, Some(Outcome::Passed), "{end}");
    }
}

#[test]
fn in_a_recovery_a_condition_does_not_run_what_is_out_of_reach() {
    let ran = recovery(vec![
        at_the_lost_site("config", 1).when(json!(true)),
        step("recover", lasting(1)),
    ]);
    assert_eq!(ran.outcome("config"), Outcome::NotRun);
}

#[test]
fn regression_a_recovery_waits_for_the_word_of_a_person_and_a_no_stops_it() {
    for (end, recovered) in [("", Outcome::Passed), ("fail", Outcome::NotRun)] {
        let mut ask = step("ask", json!({ "seconds": 300, "end": end })).prepare();
        ask.uses = "control.approve".to_owned();
        let ran = recovery(vec![ask, step("recover", lasting(1))]);
        assert_eq!(ran.outcome("recover"), recovered, "{end}");
        let declared = |event: &Event| matches!(event, Event::DisasterDeclared { .. });
        assert!(declared(&ran.records[1].event), "the clock runs meanwhile");
        assert!(ran.seconds >= 300);
    }
}

#[test]
fn regression_a_question_that_could_not_be_asked_is_no_yes() {
    let mut ask = step("ask", lasting(1)).prepare().needs("config");
    ask.uses = "control.approve".to_owned();
    let ran = recovery(vec![at_the_lost_site("config", 1), ask, step("recover", lasting(1))]);
    assert_eq!((ran.outcome("ask"), ran.outcome("recover")), (Outcome::NotRun, Outcome::NotRun));
}
