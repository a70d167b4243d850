//! Which recovery point the data that a step reads must have come from. Pure.

use crate::ids::StepId;
use crate::journal::{Outcome, RecoveryPoint, RunState};
use crate::plan::{Plan, PlannedStep};
use crate::scenario::expression::references;
use serde_json::Value;
use std::collections::BTreeMap;

/// By input of a step: the recovery point of the backup from which the data comes that the input leads to, along its references:
/// `endpoint: {{steps.restore.endpoint}}` leads to what `restore` has restored, and on to the step that found the backup.
///
/// That a step waits for another says nothing of its data: a drill has backups of several services and databases. A step behind
/// another one knows better (a point in time behind the window of its backups); of several backups side by side the newest
/// counts. An input is missing when no such step has established a point; when it is not certain any more, after another attempt
/// that did not see it again; and when the data is not of a backup, because a step on the way has changed what is not the run's
/// (it promoted a replica).
pub(super) fn backup_points(
    plan: &Plan,
    state: &RunState,
    step: &StepId,
) -> BTreeMap<String, RecoveryPoint> {
    let Some(Value::Object(inputs)) = plan.step(step).map(|step| &step.with) else {
        return BTreeMap::new();
    };
    let point =
        |(name, value): (&String, &Value)| Some((name.clone(), leads_to(plan, state, value)?));
    inputs.iter().filter_map(point).collect()
}

fn leads_to(plan: &Plan, state: &RunState, value: &Value) -> Option<RecoveryPoint> {
    let all = behind(plan, state, value);
    if all.iter().any(|step| step.has_external_effect()) {
        return None;
    }
    let seen: Vec<_> =
        all.into_iter().filter(|step| state.backup_points.contains_key(&step.id)).collect();
    let is_behind = |one: &PlannedStep, of: &PlannedStep| {
        behind(plan, state, &of.with).iter().any(|step| step.id == one.id)
    };
    let nearest = seen.iter().filter(|one| !seen.iter().any(|of| is_behind(one, of)));
    let points = nearest.map(|one| state.backup_points.get(&one.id).cloned().flatten());
    points.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(RecoveryPoint::newest)
}

/// The steps to which a value refers, directly or through their inputs; not those that were left out: nothing came of them.
fn behind<'a>(plan: &'a Plan, state: &RunState, value: &Value) -> Vec<&'a PlannedStep> {
    let mut all: Vec<&PlannedStep> = Vec::new();
    let mut open = steps_in(value);
    while let Some(id) = open.pop() {
        let left_out = matches!(state.outcome(&id), Some(Outcome::Skipped | Outcome::NotRun));
        let step = plan.step(&id).filter(|_| !left_out);
        if let Some(step) = step.filter(|step| all.iter().all(|known| known.id != step.id)) {
            all.push(step);
            open.extend(steps_in(&step.with));
        }
    }
    all
}

fn steps_in(value: &Value) -> Vec<StepId> {
    references(value).iter().filter_map(|reference| reference.step()).map(StepId::new).collect()
}
