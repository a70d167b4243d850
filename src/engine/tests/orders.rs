//! What people and signals say while a run is under way.

use super::rig::{Ran, cancel, lasting, making, rig, step};
use crate::engine::{Keep, Order};
use crate::journal::{Event, InventoryTime, Outcome, Record};
use serde_json::json;
use std::time::Duration;

fn pause() -> Order {
    Order::Pause { by: "anna".to_owned() }
}

fn go_on() -> Order {
    Order::Continue { by: "bert".to_owned() }
}

fn incident() -> Order {
    Order::Cancel { by: "anna".to_owned(), incident: true }
}

/// The second at which something first happened.
fn second(ran: &Ran, wanted: impl Fn(&Event) -> bool) -> u64 {
    let record = ran.records.iter().find(|r| wanted(&r.event)).unwrap();
    record.elapsed_ms / 1000
}

fn started(id: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepStarted { step, .. } if step.as_str() == id)
}

#[test]
fn a_halted_run_lets_what_runs_come_to_its_end_and_starts_nothing_more() {
    let mut rig = rig(vec![step("a", lasting(60)), step("b", lasting(60)).needs("a")]);
    rig.orders = vec![(10, pause()), (500, go_on())];
    let ran = rig.run();
    assert_eq!(second(&ran, |e| matches!(e, Event::StepFinished { .. })), 60);
    assert_eq!(second(&ran, started("b")), 500);
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
    assert_eq!(ran.state().paused, None);
}

#[test]
fn a_halted_run_declares_no_disaster_and_removes_nothing() {
    let mut rig = rig(vec![step("p", lasting(60)).prepare(), step("a", making()).needs("p")]);
    rig.orders = vec![(10, pause()), (300, go_on()), (305, pause()), (900, go_on())];
    let ran = rig.run();
    assert_eq!(second(&ran, |e| matches!(e, Event::DisasterDeclared { .. })), 300);
    assert_eq!(second(&ran, |e| matches!(e, Event::ReleaseStarted)), 900);
    assert_eq!((ran.state().finished, ran.left()), (Some(Outcome::Passed), 0));
}

#[test]
fn a_halted_run_still_ends_at_the_guards_limit_and_when_it_is_cancelled() {
    let halted = || {
        let mut rig = rig(vec![step("a", making()), step("b", lasting(1)).needs("a")]);
        rig.plan.guard.max_duration = Duration::from_secs(1000).into();
        rig.orders = vec![(5, pause())];
        rig
    };
    let forgotten = halted().run();
    assert!(forgotten.state().cancelled.as_ref().unwrap().contains("guard.max_duration"));
    assert_eq!((forgotten.left(), forgotten.seconds), (0, 1000));
    let mut cancelled = halted();
    cancelled.orders.push((100, cancel()));
    let cancelled = cancelled.run();
    assert_eq!(cancelled.state().cancelled.as_deref(), Some("a test"));
    assert_eq!((cancelled.left(), cancelled.seconds), (0, 100));
}

#[test]
fn a_process_that_takes_over_finds_the_run_halted() {
    let mut first = rig(vec![step("a", lasting(60)), step("b", lasting(60)).needs("a")]);
    first.orders = vec![(10, pause()), (500, go_on())];
    let whole = first.run();
    let halted = whole.records.iter().position(|r| matches!(r.event, Event::RunPaused { .. }));
    let cut = &whole.records[..=halted.unwrap()];
    let steps = vec![step("a", lasting(60)), step("b", lasting(60)).needs("a")];
    let mut second_process = rig(steps).after(cut, 3600);
    second_process.orders = vec![(700, go_on())];
    let ran = second_process.run();
    let starts = |id: &'static str| {
        let after = ran.records[cut.len()..].iter().find(|r| started(id)(&r.event)).unwrap();
        after.elapsed_ms / 1000
    };
    // What died with the first process is not begun again either.
    assert_eq!((starts("a"), starts("b")), (700, 760));
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
}

#[test]
fn an_order_that_is_there_when_a_process_takes_over_comes_before_everything_else() {
    let steps = || vec![step("a", making()), step("b", making()).needs("a")];
    let whole = rig(steps()).run();
    let owned = whole.records.iter().position(|r| matches!(r.event, Event::ResourceOwned { .. }));
    let mut again = rig(steps()).after(&whole.records[..=owned.unwrap()], 60);
    again.orders = vec![(0, cancel())];
    let ran = again.run();
    assert_eq!(ran.log(), ["remove redrill-test-0001-abcdef-a"], "no step was started again");
    assert_eq!((ran.left(), ran.outcome("a")), (0, Outcome::Inconclusive));
}

#[test]
fn an_incident_removes_everything_at_once_and_keeps_nothing_of_a_drill() {
    let steps = vec![step("a", making()), step("b", making()), step("c", lasting(9000))];
    let mut kept = rig(steps.clone());
    kept.keep = Keep::For(Duration::from_secs(3600));
    kept.orders = vec![(100, incident())];
    let ran = kept.run();
    assert!(ran.state().incident);
    assert_eq!((ran.left(), ran.seconds), (0, 100));
    let mut recovery = rig(steps);
    recovery.keep = Keep::Recovered;
    recovery.orders = vec![(100, incident())];
    assert_eq!(recovery.run().left(), 2, "what is itself the recovery is never removed");
}

#[test]
fn regression_a_halted_release_goes_on_when_somebody_ends_the_run() {
    let halted = || {
        let mut rig = rig(vec![step("a", making()), step("b", making())]);
        rig.estate.0.lock().unwrap().seconds_to_vanish = 600;
        rig.orders = vec![(30, pause())];
        rig
    };
    let released = |ran: &Ran| -> Vec<u64> {
        let released = |r: &&Record| matches!(r.event, Event::ResourceReleased { .. });
        ran.records.iter().filter(released).map(|r| r.elapsed_ms / 1000).collect()
    };
    let mut ended = halted();
    ended.orders.push((5000, cancel()));
    let ended = ended.run();
    assert!(released(&ended)[1] >= 5600, "{:?}", ended.log());
    assert_eq!((ended.state().finished, ended.left()), (Some(Outcome::Passed), 0));
    // The process has died, and another one is to end the run.
    let paused = ended.records.iter().position(|r| matches!(r.event, Event::RunPaused { .. }));
    let mut again = halted().after(&ended.records[..=paused.unwrap()], 60);
    again.orders = vec![(0, cancel())];
    let again = again.run();
    assert_eq!((again.state().finished, again.left()), (Some(Outcome::Passed), 0));
}

#[test]
fn regression_a_release_that_is_halted_removes_nothing_more_until_it_goes_on() {
    let mut rig = rig(vec![step("a", making()), step("b", making())]);
    rig.estate.0.lock().unwrap().seconds_to_vanish = 600;
    rig.orders = vec![(30, pause()), (5000, go_on())];
    let ran = rig.run();
    let released = |r: &&Record| matches!(r.event, Event::ResourceReleased { .. });
    let released = ran.records.iter().filter(released).map(|r| r.elapsed_ms / 1000);
    let released: Vec<u64> = released.collect();
    assert!(released[0] < 5000 && released[1] >= 5600, "{released:?}");
    assert_eq!((ran.state().finished, ran.left()), (Some(Outcome::Passed), 0));
}

#[test]
fn regression_a_removal_that_has_come_to_nothing_is_asked_for_once_more() {
    let deaf = |removals: u32| {
        let rig = rig(vec![step("a", making())]);
        rig.estate.0.lock().unwrap().deaf_removals = removals;
        rig.run()
    };
    let once = deaf(1);
    assert_eq!((once.left(), once.log().len()), (0, 3), "{:?}", once.log());
    let always = deaf(u32::MAX);
    let left = always.records.iter().find_map(|record| match &record.event {
        Event::ResourceLeft { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(left.unwrap().contains("took longer than 45m"));
    assert_eq!(always.log().len(), 3, "no third time: {:?}", always.log());
}

#[test]
fn regression_an_incident_removes_what_was_kept_before_it_came_up() {
    let steps = || vec![step("a", making()), step("b", making())];
    let mut first = rig(steps());
    first.keep = Keep::For(Duration::from_secs(3600));
    let whole = first.run();
    let kept = |r: &Record| matches!(r.event, Event::ResourceLeft { kept: true, .. });
    let first_kept = whole.records.iter().position(kept).unwrap();
    let mut again = rig(steps()).after(&whole.records[..=first_kept], 60);
    again.keep = Keep::For(Duration::from_secs(3600));
    again.estate.0.lock().unwrap().things = whole.estate.0.lock().unwrap().things.clone();
    assert_eq!(again.estate.0.lock().unwrap().things.len(), 2);
    again.orders = vec![(0, incident())];
    assert_eq!(again.run().left(), 0);
}

#[test]
fn an_incident_speeds_up_a_release_that_is_under_way() {
    let steps = vec![step("a", making()), step("b", making()), step("c", lasting(50))];
    let mut slow = rig(steps);
    slow.estate.0.lock().unwrap().seconds_to_vanish = 600;
    slow.orders = vec![(20, cancel()), (30, incident())];
    let ran = slow.run();
    assert_eq!(ran.left(), 0);
    assert!(ran.seconds < 1000, "one after the other takes 1200 s, both at once {} s", ran.seconds);
}

#[test]
fn orders_that_come_too_late_or_twice_change_nothing() {
    let steps = vec![step("a", json!({ "make": true, "seconds": 50 }))];
    let mut rig = rig(steps);
    rig.orders = vec![(10, go_on()), (20, pause()), (21, pause()), (30, cancel()), (31, cancel())];
    let ran = rig.run();
    let count =
        |wanted: &dyn Fn(&Event) -> bool| ran.records.iter().filter(|r| wanted(&r.event)).count();
    assert_eq!(count(&|e| matches!(e, Event::RunPaused { .. })), 1);
    assert_eq!(count(&|e| matches!(e, Event::RunContinued { .. })), 0);
    assert_eq!(count(&|e| matches!(e, Event::CancelRequested { .. })), 1);
}

#[test]
fn regression_what_was_under_way_in_a_cancelled_run_does_not_start_again() {
    let steps = || vec![step("a", lasting(60)), step("b", lasting(60)).needs("a")];
    let mut first = rig(steps());
    first.orders = vec![(10, cancel())];
    let whole = first.run();
    let is_cancel = |r: &Record| matches!(r.event, Event::CancelRequested { .. });
    let cancelled = whole.records.iter().position(is_cancel).unwrap();
    // The process died in the write that the end of the step was to be in, too.
    let ran = rig(steps()).after(&whole.records[..=cancelled], 30).run();
    let begun = ran.records.iter().filter(|r| matches!(r.event, Event::StepStarted { .. }));
    assert_eq!(begun.count(), 1);
    assert_eq!((ran.outcome("a"), ran.outcome("b")), (Outcome::Inconclusive, Outcome::NotRun));
    assert_eq!(ran.state().finished, Some(Outcome::Inconclusive));
}

#[test]
fn regression_what_a_cancelled_step_has_seen_fall_short_stands() {
    let mut rig = rig(vec![
        step("red", json!({ "seconds": 60, "falls_short": true })),
        step("green", lasting(60)),
    ]);
    rig.orders = vec![(10, cancel())];
    let ran = rig.run();
    assert_eq!(
        (ran.outcome("red"), ran.outcome("green")),
        (Outcome::Failed, Outcome::Inconclusive)
    );
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn regression_after_an_incident_that_came_when_things_were_kept_already_all_is_listed_once_more() {
    let mut kept = rig(vec![step("a", making())]);
    kept.keep = Keep::For(Duration::from_secs(3600));
    let kept = kept.run();
    let left = |record: &Record| matches!(record.event, Event::ResourceLeft { kept: true, .. });
    let left = kept.records.iter().position(left).unwrap();
    let mut incident = rig(vec![step("a", making())]).after(&kept.records[..=left], 5);
    incident.keep = Keep::For(Duration::from_secs(3600));
    incident.orders = vec![(0, Order::Cancel { by: "anna".to_owned(), incident: true })];
    let ran = incident.run();
    assert_eq!(ran.left(), 0);
    let place = |wanted: fn(&Event) -> bool| ran.records.iter().rposition(|r| wanted(&r.event));
    let removed = place(|event| matches!(event, Event::ResourceReleased { .. })).unwrap();
    let listed =
        place(|event| matches!(event, Event::InventoryTaken { when: InventoryTime::After, .. }));
    assert!(listed.is_some_and(|listed| listed > removed), "{:?}", ran.log());
    assert!(ran.state().finished.is_some());
}
