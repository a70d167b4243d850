//! Which recovery point the data that a step reads must have come from. Pure.

use crate::ids::StepId;
use crate::journal::{RecoveryPoint, RunState};
use crate::plan::Plan;
use std::collections::BTreeSet;

/// The recovery point of the backup that a step's data came from, as steps that it waits for have established it. A step
/// behind another one knows better (a point in time behind the window of its backups); of several backups side by side the
/// newest counts. `None` when no such step has established one, and when it is not certain any more: after another attempt
/// that did not see it again.
pub(super) fn backup_point(plan: &Plan, state: &RunState, step: &StepId) -> Option<RecoveryPoint> {
    let seen: Vec<&StepId> = before(plan, step)
        .into_iter()
        .filter(|earlier| state.backup_points.contains_key(*earlier))
        .collect();
    let behind: Vec<BTreeSet<&StepId>> = seen.iter().map(|of| before(plan, of)).collect();
    let nearest = seen.iter().filter(|one| !behind.iter().any(|before| before.contains(*one)));
    let points = nearest.map(|one| state.backup_points.get(*one).cloned().flatten());
    points.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|point| point.at)
}

/// The steps that a step waits for, directly or through others.
fn before<'a>(plan: &'a Plan, of: &StepId) -> BTreeSet<&'a StepId> {
    let mut all = BTreeSet::new();
    let mut open: Vec<&StepId> = plan.step(of).into_iter().flat_map(|step| &step.needs).collect();
    while let Some(step) = open.pop().and_then(|id| plan.step(id)) {
        if all.insert(&step.id) {
            open.extend(&step.needs);
        }
    }
    all
}
