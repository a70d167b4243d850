use crate::action::RunFacts;
use crate::journal::{RunState, StepState};
use crate::limits;
use crate::plan::{Plan, PlannedStep, is_external};
use crate::scenario::expression::{Names, resolve};
use serde_json::{Value, json};

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
pub(super) fn ready(
    plan: &Plan,
    facts: &RunFacts,
    state: &RunState,
    step: &PlannedStep,
    attempt: u32,
) -> Ready {
    let scope = scope(plan, facts, state, step);
    match step.when.as_ref().map(|when| (when, resolve(when, &scope))) {
        None | Some((_, Ok(Value::Bool(true)))) => {}
        Some((when, Ok(Value::Bool(false)))) => {
            return Ready::Skip(format!("when: {when} is false"));
        }
        Some((when, Ok(other))) => {
            return Ready::Cannot(format!("when: {when} is {other}, neither true nor false"));
        }
        Some((_, Err(why))) => return Ready::Cannot(why.to_string()),
    }
    match resolve(&step.with, &scope) {
        Ok(input) => {
            let bytes = limits::json_bytes(&input);
            if bytes > limits::INPUT_BYTES {
                let most = limits::in_units(limits::INPUT_BYTES as u64);
                return Ready::Cannot(format!("its input has {bytes} bytes; the most is {most}"));
            }
            match must_not(plan, step, attempt, &input) {
                Some(why) => Ready::Cannot(why),
                None => Ready::Run(input),
            }
        }
        Err(why) => Ready::Cannot(why.to_string()),
    }
}

/// What a step that has begun was given. What does not resolve any more is as the plan has it.
pub(super) fn given(plan: &Plan, facts: &RunFacts, state: &RunState, step: &PlannedStep) -> Value {
    let resolved = resolve(&step.with, &scope(plan, facts, state, step));
    resolved.unwrap_or_else(|_| step.with.clone())
}

/// Why an attempt at what cannot be undone must not be made, if so. The scenario's check has seen to the guard's entry and to
/// the approval; a plan that did not pass it stops here.
fn must_not(plan: &Plan, step: &PlannedStep, attempt: u32, input: &Value) -> Option<String> {
    if !is_external(input) {
        return None;
    }
    if !plan.guard.external.contains(&step.id) {
        return Some(format!("effect: external: guard.external does not name {}", step.id));
    }
    (attempt > 1).then(|| {
        "effect: external: an earlier attempt may have changed it already, which cannot be undone: look at it, and go on by \
         hand"
            .to_owned()
    })
}

/// What expressions of a step may refer to. References imply needs, so the outputs of what it needs are enough.
fn scope(plan: &Plan, facts: &RunFacts, state: &RunState, step: &PlannedStep) -> Names {
    let run = json!({ "id": facts.run, "scenario": facts.scenario, "mode": plan.mode });
    let mut names = plan.names().with("run", run).with("steps", json!({}));
    for id in &step.needs {
        if let Some(StepState::Done(result)) = state.steps.get(id) {
            names.add_step(id, result.output.clone());
        }
    }
    names
}
