use super::{Plan, PlannedStep};
use crate::action::{Given, Grant, Registry};
use crate::ids::StepId;
use crate::scenario::expression::references;
use serde_json::Value;

/// A permission that a step needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepGrant {
    /// The permission, where and on what.
    pub grant: Grant,
    /// The step.
    pub step: StepId,
}

/// The input of a step as it is known before the run.
pub fn given(plan: &Plan, step: &PlannedStep) -> Given {
    Given::new(&plan.name, step.id.clone(), step.at.clone(), marked(&step.with))
        .with_canaries(plan.guard.canaries.iter().cloned())
}

/// An input in which everything that is known only on the day is marked so.
pub(super) fn marked(value: &Value) -> Value {
    match value {
        Value::String(_) if !references(value).is_empty() => Given::later_mark(),
        Value::Array(items) => items.iter().map(marked).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), marked(field))).collect()
        }
        other => other.clone(),
    }
}

/// Everything that the steps need of IAM, removing what they make included, in the order of the steps.
pub fn grants(plan: &Plan, registry: &Registry) -> Vec<StepGrant> {
    let mut all = Vec::new();
    for step in &plan.steps {
        let Some(action) = registry.get(&step.uses) else { continue };
        let given = given(plan, step);
        let mut grants = action.grants(&given);
        // What removing needs, for kinds whose action does not say on what. Where it uses the same for the same, the action has said
        // whether the input asks for it.
        let kinds = step.creates.iter().filter_map(|kind| registry.resource_kind(kind));
        let permissions: Vec<_> = kinds.flat_map(|kind| kind.permissions()).copied().collect();
        for permission in &permissions {
            let is_said = action.facts.permissions.contains(permission);
            if !is_said && !grants.iter().any(|grant| grant.action == permission.action) {
                grants.extend(given.grant(&permissions, permission.action));
            }
        }
        all.extend(grants.into_iter().map(|grant| StepGrant { grant, step: step.id.clone() }));
    }
    all
}
