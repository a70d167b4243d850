//! The engine, driven with small actions of its own under paused time.

mod backup_points;
mod elsewhere;
mod guard;
mod hooks;
mod orders;
mod recovery;
mod rig;
mod watches;

use super::Keep;
use crate::action::StepError;
use crate::ids::StepId;
use crate::journal::{Event, Outcome, Record, StepState};
use crate::time::RetryPolicy;
use rig::{cancel, ending, lasting, making, rig, step};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn steps_run_as_soon_as_their_needs_are_met_and_together_where_they_can() {
    let ran = rig(vec![
        step("a", lasting(60)),
        step("b", lasting(100)),
        step("c", lasting(60)).needs("a"),
        step("d", lasting(1)).needs("b").needs("c"),
    ])
    .run();
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
    assert_eq!(ran.seconds, 121);
    assert_eq!(ran.log(), ["start a", "start b", "start c", "start d"]);
}

#[test]
fn the_disaster_is_declared_after_the_last_prepare_step_and_before_any_other() {
    let ran = rig(vec![step("recover", lasting(1)), step("prepare", lasting(50)).prepare()]).run();
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        ran.records.iter().position(|r| wanted(&r.event)).unwrap()
    };
    let ended =
        place(&|e| matches!(e, Event::StepFinished { step, .. } if step.as_str() == "prepare"));
    let declared = place(&|e| matches!(e, Event::DisasterDeclared { .. }));
    let started =
        place(&|e| matches!(e, Event::StepStarted { step, .. } if step.as_str() == "recover"));
    assert!(ended < declared && declared < started);
}

#[test]
fn a_failed_prepare_step_means_that_no_disaster_is_declared() {
    let ran =
        rig(vec![step("prepare", ending("fail")).prepare(), step("recover", lasting(1))]).run();
    assert_eq!(ran.state().disaster, None);
    assert_eq!(ran.outcome("recover"), Outcome::NotRun);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn a_bad_backup_fails_and_a_broken_tool_is_inconclusive() {
    assert_eq!(rig(vec![step("a", ending("fail"))]).run().state().finished, Some(Outcome::Failed));
    assert_eq!(
        rig(vec![step("a", ending("break"))]).run().state().finished,
        Some(Outcome::Inconclusive)
    );
    assert_eq!(
        rig(vec![step("a", ending("panic"))]).run().state().finished,
        Some(Outcome::Inconclusive)
    );
}

#[test]
fn an_unmet_expectation_fails_the_step_and_an_empty_population_makes_it_inconclusive() {
    let met = rig(vec![step("a", json!({ "value": 3 })).expecting("value", "<= 3")]).run();
    assert_eq!(met.outcome("a"), Outcome::Passed);
    let unmet = rig(vec![step("a", json!({ "value": 4 })).expecting("value", "<= 3")]).run();
    assert_eq!(unmet.outcome("a"), Outcome::Failed);
    let vacuous = rig(vec![step("a", ending("nothing")).expecting("value", "<= 3")]).run();
    assert_eq!(vacuous.outcome("a"), Outcome::Inconclusive);
    let absent = rig(vec![step("a", lasting(0)).expecting("nothing_of_that_name", "= 1")]).run();
    assert_eq!(absent.outcome("a"), Outcome::Inconclusive);
}

#[test]
fn continue_lets_others_go_on_but_never_turns_the_failure_green() {
    let steps = vec![
        step("a", ending("fail")).going_on(),
        step("b", lasting(1)),
        step("c", lasting(1)).needs("a"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.outcome("b"), Outcome::Passed);
    assert_eq!(ran.outcome("c"), Outcome::NotRun);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn with_continue_an_unmet_expectation_leaves_the_output_usable() {
    let steps = vec![
        step("a", json!({ "value": 4 })).expecting("value", "<= 3").going_on(),
        step("b", lasting(1)).needs("a"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.outcome("b"), Outcome::Passed);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let ran = rig(vec![step("a", lasting(1))]).fails_at_first("a", 2).run();
    assert_eq!(ran.outcome("a"), Outcome::Passed);
    assert_eq!(ran.log(), ["start a", "start a", "start a"]);
    let ran = rig(vec![step("a", lasting(1))]).fails_at_first("a", 3).run();
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(rig(vec![step("a", ending("fail"))]).run().log(), ["start a"]);
}

#[test]
fn a_step_ends_at_its_limit() {
    let ran = rig(vec![step("a", lasting(500)).within(30)]).run();
    assert_eq!(ran.outcome("a"), Outcome::Failed);
    assert_eq!(ran.seconds, 30);
}

#[test]
fn a_run_ends_at_the_guards_limit_and_removes_what_it_made() {
    let mut rig = rig(vec![step("a", json!({ "make": true, "seconds": 3000 }))]);
    rig.plan.guard.max_duration = Duration::from_secs(100).into();
    let ran = rig.run();
    assert!(ran.state().cancelled.as_ref().unwrap().contains("guard.max_duration"));
    assert_eq!(ran.left(), 0);
}

#[test]
fn a_step_is_skipped_when_its_condition_is_false_and_those_that_need_it_are_not_run() {
    let steps = vec![step("a", lasting(1)).when(json!(false)), step("b", lasting(1)).needs("a")];
    let ran = rig(steps).run();
    assert_eq!((ran.outcome("a"), ran.outcome("b")), (Outcome::Skipped, Outcome::Skipped));
    assert_eq!(
        ran.state().finished,
        Some(Outcome::Inconclusive),
        "a required step that did not run"
    );
    assert!(ran.log().is_empty());
}

#[test]
fn a_step_that_says_what_to_take_instead_runs_after_a_step_that_is_skipped_and_after_no_other() {
    let instead = |id: &str| {
        let mut step = step(id, lasting(1)).needs("a");
        step.may_be_skipped.insert(StepId::new("a"));
        step
    };
    let ran = rig(vec![step("a", lasting(1)).when(json!(false)), instead("b")]).run();
    assert_eq!((ran.outcome("a"), ran.outcome("b")), (Outcome::Skipped, Outcome::Passed));
    let ran = rig(vec![step("a", ending("fail")).going_on(), instead("b")]).run();
    assert_eq!((ran.outcome("a"), ran.outcome("b")), (Outcome::Failed, Outcome::NotRun));
    let ran = rig(vec![step("a", lasting(9)), instead("b")]).run();
    assert_eq!(ran.outcome("b"), Outcome::Passed, "it waits all the same");
}

#[test]
fn what_was_made_is_removed_in_reverse_order_whatever_the_end() {
    for end in ["", "fail", "break", "panic"] {
        let steps = vec![
            step("a", making()),
            step("b", making()).needs("a"),
            step("c", ending(end)).needs("b"),
        ];
        let ran = rig(steps).run();
        assert_eq!(ran.left(), 0, "{end}");
        let removed: Vec<String> =
            ran.log().into_iter().filter(|l| l.starts_with("remove")).collect();
        assert_eq!(
            removed,
            ["remove redrill-test-0001-abcdef-b", "remove redrill-test-0001-abcdef-a"]
        );
    }
}

#[test]
fn an_interrupted_run_stops_removes_and_reports() {
    let mut rig = rig(vec![
        step("a", json!({ "make": true, "seconds": 500 })),
        step("b", lasting(1)).needs("a"),
    ]);
    rig.orders = vec![(60, cancel())];
    let ran = rig.run();
    assert_eq!(ran.state().cancelled.as_deref(), Some("a test"));
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(ran.outcome("b"), Outcome::NotRun);
    assert_eq!((ran.left(), ran.seconds), (0, 60));
}

#[test]
fn what_cannot_be_removed_is_left_with_the_command_that_removes_it() {
    let rig = rig(vec![step("a", making())]);
    rig.estate.0.lock().unwrap().cannot_delete = true;
    let ran = rig.run();
    let left = ran.records.iter().find_map(|r| match &r.event {
        Event::ResourceLeft { command, kept: false, .. } => Some(command.clone()),
        _ => None,
    });
    assert_eq!(left.as_deref(), Some("remove-thing redrill-test-0001-abcdef-a"));
}

#[test]
fn regression_an_error_of_a_moment_in_the_last_look_for_what_was_removed_is_borne() {
    let ended = |last_looks: Vec<StepError>| {
        let rig = rig(vec![step("a", making())]);
        rig.estate.0.lock().unwrap().last_looks = Some(last_looks);
        let ran = rig.run();
        let removed = ran.log().iter().filter(|line| line.starts_with("remove")).count();
        assert_eq!(removed, 1, "its removal is not asked for again");
        let mut ends = ran.records.into_iter().filter_map(|r| match r.event {
            Event::ResourceReleased { how, .. } => Some(how),
            Event::ResourceLeft { why, kept: false, .. } => Some(why),
            _ => None,
        });
        ends.next().unwrap()
    };
    let passes = || StepError::transient("no answer in time");
    let stays = || StepError::denied("no permission to look");
    assert_eq!(ended(vec![]), "deleted");
    // What is looked for from the beginning again would be "already gone".
    assert_eq!(ended(vec![passes()]), "deleted");
    assert_eq!(ended(vec![passes(), passes(), passes()]), "deleted");
    assert_eq!(ended(vec![stays()]), "no permission to look");
    assert_eq!(ended(vec![stays(), passes()]), "no permission to look");
}

#[test]
fn regression_a_copy_that_may_still_come_of_what_could_not_be_removed_counts_as_left() {
    let left = |cannot_delete| {
        let rig = rig(vec![step("a", json!({ "make": true, "copied": true }))]);
        rig.estate.0.lock().unwrap().cannot_delete = cannot_delete;
        let ran = rig.run();
        let commands = ran.records.iter().filter_map(|r| match &r.event {
            Event::ResourceLeft { command, .. } => Some(command.clone()),
            _ => None,
        });
        commands.collect::<Vec<_>>()
    };
    assert!(left(false).is_empty());
    let original = "remove-thing redrill-test-0001-abcdef-a";
    assert_eq!(left(true), [original.to_owned(), format!("{original}-copy")]);
}

#[test]
fn what_was_made_without_an_answer_and_is_seen_late_is_removed_all_the_same() {
    let mut making = step("a", json!({ "make": true, "lose_reply": true }));
    making.retry = RetryPolicy::once();
    let rig = rig(vec![making]);
    // Neither the step's own look nor the first three of the release see it.
    rig.estate.0.lock().unwrap().late_looks = 4;
    let ran = rig.run();
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(ran.left(), 0);
    // The guard lets only what the ledger knows by its id be removed, so that is written down first.
    let place = |wanted: fn(&Event) -> bool| ran.records.iter().position(|r| wanted(&r.event));
    let owned = place(|event| matches!(event, Event::ResourceOwned { .. })).unwrap();
    assert!(owned < place(|event| matches!(event, Event::ResourceReleased { .. })).unwrap());
}

#[test]
fn regression_what_is_owned_and_not_seen_yet_is_removed_all_the_same() {
    // That the first looks of the release do not see what was made is no sign that it is gone.
    for late_looks in [1, 3] {
        let rig = rig(vec![step("a", making())]);
        rig.estate.0.lock().unwrap().late_looks = late_looks;
        let ran = rig.run();
        assert_eq!(ran.outcome("a"), Outcome::Passed);
        assert_eq!(ran.left(), 0, "{late_looks}");
    }
}

#[test]
fn an_external_effect_is_attempted_once_and_only_when_the_guard_names_the_step() {
    let external = || step("switch", json!({ "effect": "external" }));
    let ran = rig(vec![external()]).run();
    assert_eq!(ran.outcome("switch"), Outcome::Inconclusive);
    assert!(ran.log().is_empty(), "not even started");
    let named = || {
        let mut named = rig(vec![external()]);
        named.plan.guard.external = vec![StepId::new("switch")];
        named
    };
    let whole = named().run();
    assert_eq!(whole.log(), ["start switch"]);
    // The process died while it ran: whether it had its effect, nobody knows.
    let started = |r: &Record| matches!(r.event, Event::StepStarted { .. });
    let cut = whole.records.iter().position(started).unwrap();
    let resumed = named().after(&whole.records[..=cut], 0).run();
    assert_eq!(resumed.outcome("switch"), Outcome::Inconclusive);
    assert!(resumed.log().is_empty(), "not a second time");
}

#[test]
fn keeping_leaves_it_on_purpose() {
    let mut rig = rig(vec![step("a", making())]);
    rig.keep = Keep::For(Duration::from_secs(3600));
    let ran = rig.run();
    assert_eq!(ran.left(), 1);
    assert!(ran.state().ledger.left_behind().is_empty());
}

#[test]
fn a_recovery_keeps_what_it_brought_back_and_says_so() {
    let mut rig = rig(vec![step("a", making())]);
    rig.plan.mode = "recovery".to_owned();
    rig.keep = Keep::of(&rig.plan, None);
    let ran = rig.run();
    assert_eq!(ran.left(), 1);
    let why = ran.records.iter().find_map(|r| match &r.event {
        Event::ResourceLeft { why, kept: true, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.unwrap().contains("mode recovery removes nothing"));
}

#[test]
fn the_guard_limits_where_and_how_many_things_are_made() {
    let mut elsewhere = rig(vec![step("a", making())]);
    elsewhere.plan.guard.write.clear();
    let ran = elsewhere.run();
    assert_eq!((ran.outcome("a"), ran.left()), (Outcome::Inconclusive, 0));
    assert!(ran.state().ledger.is_empty());
    let mut few = rig(vec![step("a", making()), step("b", making()).needs("a")]);
    few.plan.guard.max_resources = 1;
    assert_eq!(few.run().outcome("b"), Outcome::Inconclusive);
}

#[test]
fn the_intent_is_on_disk_before_anything_is_made() {
    // With room for n writes only: whatever exists afterwards was intended on disk.
    for writes in 0..8 {
        let mut rig = rig(vec![step("a", making()), step("b", making()).needs("a")]);
        rig.disk.full_after = Some(writes);
        let estate = rig.estate.clone();
        let ran = rig.run();
        let intended: BTreeSet<String> = ran
            .records
            .iter()
            .filter_map(|r| match &r.event {
                Event::ResourceIntended { key, .. } => Some(key.name.clone()),
                _ => None,
            })
            .collect();
        let made = estate.0.lock().unwrap().things.clone();
        assert!(made.is_subset(&intended), "{writes} writes: {made:?} without {intended:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_byte_for_byte() {
    let bytes = || {
        let steps =
            vec![step("a", making()), step("b", lasting(3)), step("c", lasting(4)).needs("a")];
        let rig = rig(steps).fails_at_first("c", 1);
        let disk = rig.disk.clone();
        assert!(rig.run().result.is_ok());
        disk.bytes.lock().unwrap().clone()
    };
    assert_eq!(bytes(), bytes());
}

/// Promise 2 of the design, exhaustively: the journal cut after every record, and then resumed.
#[test]
fn a_run_cut_after_any_record_resumes_to_the_same_outcome_and_leaves_nothing() {
    let steps = || {
        vec![
            step("p", lasting(5)).prepare(),
            step("a", making()),
            step("b", json!({ "make": true, "value": 2 })).needs("a").expecting("value", "= 2"),
            step("c", lasting(4)).needs("a"),
        ]
    };
    let whole = rig(steps()).run();
    assert_eq!(whole.state().finished, Some(Outcome::Passed));
    for cut in 1..whole.records.len() {
        let ran = rig(steps()).after(&whole.records[..cut], 0).run();
        assert_eq!(ran.state().finished, Some(Outcome::Passed), "cut after record {cut}");
        assert_eq!(ran.left(), 0, "cut after record {cut}");
        let twice = |id: &str| {
            let over = ran.records.iter().filter(
                |r| matches!(&r.event, Event::StepFinished { step, .. } if step.as_str() == id),
            );
            over.count() > 1
        };
        assert!(!["p", "a", "b", "c"].iter().any(|id| twice(id)), "cut after record {cut}");
    }
}

/// A bug that was: `resume` after a long gap ended a running step at once as timed out, and so as failed.
#[test]
fn time_in_which_no_process_ran_does_not_count_against_limits() {
    let steps = || vec![step("a", lasting(60)).within(100), step("b", lasting(60)).needs("a")];
    let whole = rig(steps()).run();
    let a_day = 24 * 3600;
    for cut in 1..whole.records.len() {
        let mut again = rig(steps()).after(&whole.records[..cut], a_day);
        again.plan.guard.max_duration = Duration::from_secs(500).into();
        let ran = again.run();
        assert_eq!(ran.state().finished, Some(Outcome::Passed), "cut after record {cut}");
        assert_eq!(ran.state().cancelled, None, "cut after record {cut}");
    }
}

#[test]
fn regression_a_drill_does_not_go_on_with_what_anybody_may_have_removed_by_now() {
    let steps = || vec![step("a", json!({ "make": true })), step("b", lasting(60)).needs("a")];
    let whole = rig(steps()).run();
    let owned = |r: &Record| matches!(r.event, Event::ResourceOwned { .. });
    let made = whole.records.iter().position(owned).unwrap();
    // What the rig's runs make expires after two days.
    let three_days = 3 * 24 * 3600;
    let ran = rig(steps()).after(&whole.records[..=made], three_days).run();
    let why = ran.state().cancelled.clone().unwrap();
    assert!(why.contains("guard.ttl") && why.contains("time without a process counts"), "{why}");
    assert!(ran.estate.0.lock().unwrap().things.is_empty());
    let mut recovery = rig(steps()).after(&whole.records[..=made], three_days);
    recovery.plan.mode = "recovery".to_owned();
    assert_eq!(recovery.run().state().cancelled, None, "nothing of a recovery expires");
}

#[test]
fn regression_attempts_that_died_with_their_process_do_not_use_up_the_retries() {
    let steps = || vec![step("a", lasting(1))];
    let begins = |records: &[Record]| {
        let begun = |r: &Record| matches!(r.event, Event::StepStarted { .. });
        records.iter().rposition(begun).unwrap()
    };
    let mut records = rig(steps()).run().records;
    // Each of three processes writes that an attempt begins, and dies.
    for _ in 1..=3 {
        records.truncate(begins(&records) + 1);
        records = rig(steps()).after(&records, 0).run().records;
    }
    records.truncate(begins(&records) + 1);
    let ran = rig(steps()).fails_at_first("a", 1).after(&records, 0).run();
    let begun = ran.records.iter().filter(|r| matches!(r.event, Event::StepStarted { .. }));
    assert_eq!((ran.outcome("a"), begun.count()), (Outcome::Passed, 6));
}

#[test]
fn regression_a_process_that_dies_gives_a_slow_recovery_no_more_time() {
    let ready_after =
        |seconds: i64| vec![step("a", json!({ "make": true, "ready_after": seconds })).within(100)];
    let whole = rig(ready_after(170)).run();
    assert_eq!(whole.outcome("a"), Outcome::Failed, "it takes longer than its limit");
    let owned = |r: &Record| matches!(r.event, Event::ResourceOwned { .. });
    let made = whole.records.iter().position(owned).unwrap();
    let resumed = |seconds, gap| {
        let ran = rig(ready_after(seconds)).after(&whole.records[..=made], gap).run();
        ran.outcome("a")
    };
    // Somebody looks again after 90 seconds, and at 100 it is still not ready.
    assert_eq!(resumed(170, 90), Outcome::Failed);
    // Nobody can say that what is ready after a gap was not ready in time.
    assert_eq!(resumed(170, 200), Outcome::Passed);
    assert_eq!(resumed(95, 90), Outcome::Passed);
}

#[test]
fn a_step_is_never_both_running_and_over() {
    let ran = rig(vec![step("a", lasting(1)), step("b", lasting(2)).needs("a")]).run();
    let over = |s: &StepState| s.outcome().is_some();
    assert!(ran.state().steps.values().all(over));
    assert_eq!(ran.state().steps.len(), 2);
}
