//! From which backup the data of a step must have come.

use super::rig::{lasting, rig, step};
use crate::engine::backup_point::backup_points;
use crate::ids::StepId;
use crate::journal::{Measure, NewestPossible, Outcome, RecoveryPoint, RunState, StepState};
use crate::plan::{Plan, PlannedStep};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
}

fn point(hour: i64) -> RecoveryPoint {
    RecoveryPoint {
        at: at(hour),
        source: "SnapshotDatabaseTime".to_owned(),
        measure: Measure::Backup,
        identity: "snapshot".to_owned(),
        worst_case: None,
        not_newer_than: None,
        kept_at: None,
        goes_on: false,
    }
}

fn seen(points: &[(&str, Option<i64>)]) -> RunState {
    let points = points.iter().map(|(step, hour)| (StepId::new(*step), hour.map(point)));
    RunState { backup_points: points.collect(), ..RunState::default() }
}

/// The hour of the point that counts for the endpoint of `data`.
fn in_state(plan: &Plan, state: &RunState) -> Option<i64> {
    let found = backup_points(plan, state, &StepId::new("data"));
    assert!(found.keys().all(|input| input == "endpoint"), "{found:?}");
    found.get("endpoint").map(|point| (point.at - DateTime::UNIX_EPOCH).num_hours())
}

fn of_data(plan: &Plan, points: &[(&str, Option<i64>)]) -> Option<i64> {
    in_state(plan, &seen(points))
}

/// A step whose input refers to others, which it therefore waits for.
fn from(id: &str, input: &str, value: &str, needs: &[&str]) -> PlannedStep {
    needs.iter().fold(step(id, json!({ input: value })), |step, need| step.needs(need))
}

fn data(endpoint: &str, needs: &[&str]) -> PlannedStep {
    from("data", "endpoint", endpoint, needs)
}

fn restore() -> PlannedStep {
    from("restore", "snapshot", "{{steps.find.arn}}", &["find"])
}

/// The data step also waits for the backup of something else.
fn chain() -> Plan {
    rig(vec![
        step("find", lasting(1)),
        restore(),
        step("other", lasting(1)),
        data("{{steps.restore.endpoint}}", &["restore", "other"]),
    ])
    .plan
}

#[test]
fn the_backup_of_the_data_is_that_of_the_steps_before_it() {
    assert_eq!(of_data(&chain(), &[("find", Some(5))]), Some(5));
    assert_eq!(of_data(&chain(), &[("data", Some(9))]), None);
    let written = rig(vec![step("find", lasting(1)), data("db.example", &["find"])]).plan;
    assert_eq!(of_data(&written, &[("find", Some(5))]), None, "nobody knows where it leads");
}

#[test]
fn regression_the_backup_of_something_else_is_not_compared_with_the_data() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("other", Some(9))]), Some(5));
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("other", Some(1))]), Some(5));
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("other", None)]), Some(5));
    assert_eq!(of_data(&chain(), &[("other", Some(9))]), None);
}

#[test]
fn the_nearest_step_knows_best_and_of_backups_side_by_side_the_newest_counts() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", Some(3))]), Some(3));
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", Some(7))]), Some(7));
    let endpoint = "{{default steps.a.endpoint steps.b.endpoint}}";
    let both = rig(vec![step("a", lasting(1)), step("b", lasting(1)), data(endpoint, &["a", "b"])]);
    assert_eq!(of_data(&both.plan, &[("a", Some(5)), ("b", Some(4))]), Some(5));
    let mut moving = seen(&[("a", Some(5)), ("b", Some(4))]);
    let later = NewestPossible { at: at(6), certain: true };
    let b = moving.backup_points.get_mut(&StepId::new("b")).unwrap().as_mut().unwrap();
    b.not_newer_than = Some(later);
    assert_eq!(in_state(&both.plan, &moving), Some(4), "data of it can be newer");
}

#[test]
fn what_another_attempt_did_not_see_again_is_not_certain() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", None)]), None);
    assert_eq!(of_data(&chain(), &[("find", None)]), None);
}

#[test]
fn regression_what_was_promoted_is_of_no_backup() {
    let input = json!({ "instance": "{{steps.restore.id}}", "effect": "external" });
    let promote = step("promote", input).needs("restore");
    let endpoint = "{{default steps.promote.endpoint steps.restore.endpoint}}";
    let plan = rig(vec![
        step("find", lasting(1)),
        restore(),
        promote,
        data(endpoint, &["promote", "restore"]),
    ])
    .plan;
    let mut state = seen(&[("find", Some(5))]);
    assert_eq!(in_state(&plan, &state), None);
    let skipped = StepState::LeftOut { outcome: Outcome::Skipped, why: "a drill".to_owned() };
    state.steps.insert(StepId::new("promote"), skipped);
    assert_eq!(in_state(&plan, &state), Some(5), "a drill leaves the promotion out");
}
