//! Steps that watch while the others are under way.

use super::rig::{cancel, lasting, making, rig, step};
use crate::journal::{Event, Outcome};
use crate::plan::PlannedStep;
use serde_json::{Value, json};

/// The work of a step that watches, and what is expected of it.
fn light(with: Value) -> PlannedStep {
    step("watch", with).expecting("value", ">= 0")
}

#[test]
fn a_watch_looks_until_the_others_are_over_and_then_a_last_time() {
    let steps = vec![
        light(json!({})).prepare().watching(60),
        step("p", lasting(100)).prepare(),
        step("a", lasting(190)).needs("p"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
    assert_eq!(ran.outcome("watch"), Outcome::Passed);
    assert_eq!(ran.seconds, 290);
    // At 0, 60, 120, 180, 240 and at the end.
    assert_eq!(ran.log().iter().filter(|l| *l == "start watch").count(), 6);
}

#[test]
fn a_watch_that_turns_red_cancels_the_run_and_what_was_made_is_removed() {
    let steps = vec![
        light(json!({ "red_after": 150 })).watching(60),
        step("a", making()),
        step("b", lasting(5000)).needs("a"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.state().cancelled.as_deref(), Some("the watch watch failed"));
    assert_eq!(ran.outcome("b"), Outcome::Inconclusive);
    assert_eq!((ran.left(), ran.seconds), (0, 180));
}

#[test]
fn a_watch_that_cannot_look_cancels_the_run_after_as_many_attempts_as_it_has() {
    let steps = |failures| {
        let mut watch = light(json!({})).watching(60);
        watch.retry.attempts = 3;
        rig(vec![watch, step("a", lasting(500))]).fails_at_first("watch", failures).run()
    };
    assert_eq!(steps(2).state().finished, Some(Outcome::Passed));
    let blind = steps(3);
    assert_eq!(blind.outcome("watch"), Outcome::Inconclusive);
    assert!(blind.state().cancelled.is_some());
    assert_ne!(blind.state().finished, Some(Outcome::Passed));
}

#[test]
fn regression_credentials_that_ran_out_for_one_look_do_not_end_the_drill_and_the_wait_for_them_has_an_end()
 {
    let ran = |failures| {
        let mut watch = light(json!({ "expired": true })).watching(60);
        watch.retry.attempts = 3;
        rig(vec![watch, step("a", lasting(500))]).fails_at_first("watch", failures).run()
    };
    let back = ran(2);
    assert_eq!(back.state().finished, Some(Outcome::Passed));
    assert_eq!(back.outcome("watch"), Outcome::Passed);
    let waits = back.records.iter().filter_map(|record| match &record.event {
        Event::CredentialsExpired { .. } => Some("expired"),
        Event::CredentialsWaited { renewed, .. } => Some(if *renewed { "renewed" } else { "over" }),
        _ => None,
    });
    assert_eq!(waits.collect::<Vec<_>>(), ["expired", "over", "expired", "over"]);
    let blind = ran(3);
    assert_eq!(blind.outcome("watch"), Outcome::Inconclusive);
    assert!(blind.state().cancelled.is_some());
}

#[test]
fn a_watch_goes_on_in_the_process_that_takes_over() {
    let steps = || {
        let red = light(json!({ "red_after": 40 })).watching(30);
        vec![red, step("a", lasting(100))]
    };
    let first = rig(steps()).run();
    let begun = first.records.iter().position(|r| matches!(r.event, Event::StepStarted { .. }));
    let ran = rig(steps()).after(&first.records[..=begun.unwrap() + 1], 10).run();
    assert_eq!(ran.state().cancelled.as_deref(), Some("the watch watch failed"));
}

#[test]
fn only_the_first_and_the_last_look_are_written_down() {
    let watch = light(json!({ "value": 3 })).watching(10);
    let ran = rig(vec![watch, step("a", lasting(1000))]).run();
    let checks = ran.records.iter().filter(|r| matches!(r.event, Event::Checked { .. })).count();
    assert_eq!(checks, 1, "what the outputs should be is judged once, at the end");
    assert_eq!(ran.outcome("watch"), Outcome::Passed);
}

#[test]
fn a_watch_ends_with_a_run_that_is_cancelled_or_stops() {
    let steps = || vec![light(json!({})).watching(10), step("a", lasting(100))];
    let mut cancelled = rig(steps());
    cancelled.orders = vec![(50, cancel())];
    assert_eq!(cancelled.run().seconds, 50);
    let stopped = rig(vec![steps().remove(0), step("a", json!({ "end": "fail", "seconds": 35 }))]);
    let stopped = stopped.run();
    assert_eq!(stopped.state().finished, Some(Outcome::Failed));
    assert_eq!(stopped.outcome("watch"), Outcome::Passed);
}

#[test]
fn regression_a_watch_that_checks_nothing_is_not_green() {
    let mut blind = step("watch", lasting(0)).watching(60);
    blind.retry.attempts = 2;
    let ran = rig(vec![blind, step("a", lasting(500))]).run();
    assert_eq!(ran.outcome("watch"), Outcome::Inconclusive);
    assert_eq!(ran.seconds, 60, "the second empty look ends it");
    assert_ne!(ran.state().finished, Some(Outcome::Passed));
}

#[test]
fn regression_the_look_that_ended_a_watch_without_an_answer_stands_among_its_checks() {
    // The first look is green, all others find nobody.
    let mut watch = light(json!({ "checks": "answers", "red_after": 50 })).watching(60);
    watch.retry.attempts = 1;
    let ran = rig(vec![watch, step("a", lasting(500))]).run();
    let checks: Vec<_> = ran
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Checked { check, .. } => Some((check.name.as_str(), check.outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(checks, [("answers", Outcome::Passed), ("answers", Outcome::Inconclusive)]);
    assert!(ran.state().cancelled.is_some());
}

#[test]
fn regression_a_look_that_takes_too_long_is_tried_again() {
    let looks = |attempts| {
        let mut slow = light(lasting(30)).watching(60).within(20);
        slow.retry.attempts = attempts;
        rig(vec![slow, step("a", lasting(500))]).run()
    };
    let ran = looks(3);
    assert_eq!(ran.outcome("watch"), Outcome::Failed);
    // Three looks of 20 seconds, with a minute between them.
    assert_eq!((looks(1).seconds, ran.seconds), (20, 180));
}

#[test]
fn regression_a_run_that_its_watch_has_ended_starts_nothing_again_when_the_process_died_before_it_said_so()
 {
    let steps = || {
        let red = light(json!({ "red_after": 40 })).watching(30);
        vec![red, step("a", making()), step("b", lasting(5000))]
    };
    let first = rig(steps()).run();
    let is_red = |record: &crate::journal::Record| matches!(&record.event, Event::StepFinished { step, .. } if step.as_str() == "watch");
    let red = first.records.iter().position(is_red).unwrap();
    assert!(matches!(first.records[red + 1].event, Event::CancelRequested { .. }));
    // A torn write: the end of the watch is on disk, and that of the run is not.
    let ran = rig(steps()).after(&first.records[..=red], 10).run();
    assert!(ran.state().cancelled.is_some());
    assert!(!ran.log().contains(&"start b".to_owned()), "{:?}", ran.log());
    assert_eq!((ran.outcome("b"), ran.left()), (Outcome::Inconclusive, 0));
}
