use crate::action::ActionEntry;
use crate::expectation::{Expectation, ValueKind};
use crate::journal::Check;
use crate::plan::PlannedStep;
use serde_json::Value;

/// Judges the outputs of a step against what the scenario expects of them.
pub(super) fn judge_outputs(
    step: &PlannedStep,
    action: &ActionEntry,
    output: &Value,
) -> Vec<Check> {
    step.expect.iter().map(|(name, written)| judge(name, written, action, output)).collect()
}

fn judge(name: &str, written: &Value, action: &ActionEntry, output: &Value) -> Check {
    let kind = action.output_field(name).map_or(ValueKind::Any, ValueKind::of_schema);
    let expectation = match Expectation::parse(written, kind) {
        Ok(expectation) => expectation,
        // The checker refuses such scenarios; a plan from elsewhere must not pass by it.
        Err(why) => return Check::not_made(name, written.to_string(), why),
    };
    let observed = output.get(name).unwrap_or(&Value::Null);
    let check = expectation.judge(name, observed, shown(observed, kind));
    let populations = action.facts.populations.iter();
    match populations.filter(|(aggregate, _)| *aggregate == name).map(|(_, of)| *of).next() {
        None => check,
        Some(population) => match output.get(population).and_then(Value::as_u64) {
            Some(count) => check.over(count),
            None => Check::not_made(name, check.expected, "its population is not known"),
        },
    }
}

fn shown(value: &Value, kind: ValueKind) -> String {
    match (value, kind) {
        (Value::Number(bytes), ValueKind::Size) => bytes
            .as_u64()
            .map_or_else(|| bytes.to_string(), |n| crate::time::ByteSize(n).to_string()),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}
