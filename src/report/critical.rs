//! Which steps held up the recovery.

use super::fold::Fold;
use crate::ids::StepId;
use crate::plan::Plan;
use crate::scenario::Gate;

/// The chain of steps that ends at the last acceptance gate. Going back from there, each step is preceded by the one among
/// its needs that ended last: that is the one it waited for. Steps that ended before the disaster was declared held up
/// nothing. Empty when no acceptance gate came to an end.
pub(super) fn critical_path(plan: &Plan, fold: &Fold<'_>) -> Vec<StepId> {
    let ended = |id: &StepId| {
        let (mark, _) = fold.steps.get(id)?.finished?;
        let counts = fold.declared.is_none_or(|declared| mark > declared);
        counts.then_some(mark)
    };
    let gates = plan.steps.iter().filter(|step| step.gate == Some(Gate::Acceptance));
    let mut path = Vec::new();
    let mut next = gates.filter_map(|gate| Some((ended(&gate.id)?, &gate.id))).max();
    while let Some((_, id)) = next {
        path.push(id.clone());
        let needs = plan.step(id).map(|step| &step.needs).into_iter().flatten();
        // A plan has no circles; a chain longer than the plan would be one.
        next = if path.len() > plan.steps.len() {
            None
        } else {
            needs.filter_map(|need| Some((ended(need)?, need))).max()
        };
    }
    path.reverse();
    path
}
