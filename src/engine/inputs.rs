use crate::action::RunFacts;
use crate::journal::{RunState, StepState};
use crate::plan::{Plan, PlannedStep};
use serde_json::{Map, Value, json};

/// Whether a step can start.
pub(super) enum Ready {
    /// With this input.
    Run(Value),
    /// Not at all: `when:` is not true.
    Skip(String),
    /// A reference does not resolve.
    Cannot(String),
}

/// Resolves what a step refers to.
pub(super) fn ready(plan: &Plan, facts: &RunFacts, state: &RunState, step: &PlannedStep) -> Ready {
    let scope = scope(plan, facts, state);
    match step.when.as_ref().map(|when| (when, resolve(when, &scope))) {
        None | Some((_, Ok(Value::Bool(true)))) => {}
        Some((when, Ok(Value::Bool(false)))) => {
            return Ready::Skip(format!("when: {when} is false"));
        }
        Some((when, Ok(other))) => {
            return Ready::Cannot(format!("when: {when} is {other}, neither true nor false"));
        }
        Some((_, Err(why))) => return Ready::Cannot(why),
    }
    match resolve(&step.with, &scope) {
        Ok(input) => Ready::Run(input),
        Err(why) => Ready::Cannot(why),
    }
}

/// What expressions may refer to.
fn scope(plan: &Plan, facts: &RunFacts, state: &RunState) -> Value {
    let outputs: Map<String, Value> = state
        .steps
        .iter()
        .filter_map(|(id, step)| match step {
            StepState::Done(result) => Some((id.to_string(), result.output.clone())),
            _ => None,
        })
        .collect();
    let run = json!({ "id": facts.run, "scenario": facts.scenario, "mode": plan.mode });
    json!({ "steps": outputs, "vars": plan.vars, "inputs": plan.inputs, "sites": plan.sites, "run": run })
}

fn resolve(value: &Value, _scope: &Value) -> Result<Value, String> {
    Ok(value.clone())
}
