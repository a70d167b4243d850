//! From which backup the data of a step must have come.

use super::rig::{lasting, rig, step};
use crate::engine::backup_point::backup_point;
use crate::ids::StepId;
use crate::journal::{Measure, RecoveryPoint, RunState};
use crate::plan::Plan;
use chrono::{DateTime, TimeDelta};

fn point(hour: i64) -> RecoveryPoint {
    RecoveryPoint {
        at: DateTime::UNIX_EPOCH + TimeDelta::hours(hour),
        source: "SnapshotDatabaseTime".to_owned(),
        measure: Measure::Backup,
        identity: "snapshot".to_owned(),
        worst_case: None,
    }
}

/// The hour of the point that counts for `data`.
fn of_data(plan: &Plan, points: &[(&str, Option<i64>)]) -> Option<i64> {
    let points = points.iter().map(|(step, hour)| (StepId::new(*step), hour.map(point)));
    let state = RunState { backup_points: points.collect(), ..RunState::default() };
    let found = backup_point(plan, &state, &StepId::new("data"))?;
    Some((found.at - DateTime::UNIX_EPOCH).num_hours())
}

fn chain() -> Plan {
    rig(vec![
        step("find", lasting(1)),
        step("restore", lasting(1)).needs("find"),
        step("other", lasting(1)),
        step("data", lasting(1)).needs("restore"),
    ])
    .plan
}

#[test]
fn the_backup_of_the_data_is_that_of_the_steps_before_it_and_of_no_other() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("other", Some(9))]), Some(5));
    assert_eq!(of_data(&chain(), &[("other", Some(9))]), None);
    assert_eq!(of_data(&chain(), &[("data", Some(9))]), None);
}

#[test]
fn the_nearest_step_knows_best_and_of_backups_side_by_side_the_newest_counts() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", Some(3))]), Some(3));
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", Some(7))]), Some(7));
    let both = rig(vec![
        step("a", lasting(1)),
        step("b", lasting(1)),
        step("data", lasting(1)).needs("a").needs("b"),
    ])
    .plan;
    assert_eq!(of_data(&both, &[("a", Some(5)), ("b", Some(4))]), Some(5));
}

#[test]
fn what_another_attempt_did_not_see_again_is_not_certain() {
    assert_eq!(of_data(&chain(), &[("find", Some(5)), ("restore", None)]), None);
    assert_eq!(of_data(&chain(), &[("find", None)]), None);
}
