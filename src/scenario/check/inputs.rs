use super::context::{Context, StepView, words};
use super::values::{MODES, names_of_mode};
use crate::action::{Given, InputProblem};
use crate::ids::{SiteName, StepId};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::{Template, resolve_known};
use crate::scenario::source::{Kind, Node};
use crate::time::HumanDuration;
use serde_json::{Map, Value};
use std::ops::Range;

/// What actions say of their inputs, as far as these are known before a run: an input that cannot work is found here, and not
/// on the day behind a restore of hours.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for mode in MODES {
        let names = names_of_mode(context, mode);
        for step in &context.steps {
            let written = match step.with.map(Node::to_value) {
                None => Value::Object(Map::new()),
                Some(map @ Value::Object(_)) => map,
                Some(_) => continue,
            };
            let (Some(action), Ok(known)) = (step.action, resolve_known(&written, &names)) else {
                continue;
            };
            for problem in action.check_input(&given(context, step, &known)) {
                add(context, step, mode, problem, found);
            }
        }
    }
}

/// The input of a step as far as it is known before a run.
pub(super) fn given(context: &Context<'_>, step: &StepView<'_>, with: &Value) -> Given {
    let id = StepId::new(step.id.as_ref().map_or("", |id| id.text));
    let at = step.at.as_ref().map(|at| SiteName::new(at.text));
    let timeout = step.node.get("timeout").and_then(Node::text).and_then(|text| text.parse().ok());
    let usual = step.action.map(|action| HumanDuration(action.facts.timeout));
    let canaries = words(context.root.get("guard").and_then(|guard| guard.get("canaries")));
    let given = Given::new("", id, at, without_expressions(with));
    let given = given.with_canaries(canaries.iter().map(|word| word.text.to_owned()));
    match timeout.or(usual) {
        Some(timeout) => given.in_time(timeout),
        None => given,
    }
}

/// What still is an expression is known only on the day.
fn without_expressions(value: &Value) -> Value {
    match value {
        Value::String(text) if Template::is_in(text) => Given::later_mark(),
        Value::Array(items) => items.iter().map(without_expressions).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), without_expressions(field))).collect()
        }
        other => other.clone(),
    }
}

/// One mistake, one message: a value that is wrong otherwise has been told, and both modes may share it.
fn add(
    context: &Context<'_>,
    step: &StepView<'_>,
    mode: &str,
    problem: InputProblem,
    found: &mut Vec<Diagnostic>,
) {
    let meant = step.with.map_or(step.node, |with| with.find(&problem.pointer));
    let span = mark(context, step, &problem.pointer);
    let whole = span.start..end_of(meant).max(span.end);
    if found.iter().any(|other| other.is_error() && whole.contains(&other.span.start)) {
        return;
    }
    let by_mode = meant.text().is_some_and(Template::is_in);
    let message =
        if by_mode { format!("in mode {mode}, {}", problem.message) } else { problem.message };
    let mut diagnostic = context.at("RD223", span, message);
    (diagnostic.expected, diagnostic.help) = (problem.expected, problem.help);
    found.push(diagnostic);
}

/// Where the last scalar ends that stands in there.
fn end_of(node: &Node) -> usize {
    let inside = node.items().iter().chain(node.entries().iter().map(|entry| &entry.value));
    inside.map(end_of).max().unwrap_or(0).max(node.span.end)
}

/// Where to point: at a scalar, else at the key of a list or a mapping, else at `with` or the step.
fn mark(context: &Context<'_>, step: &StepView<'_>, pointer: &str) -> Range<usize> {
    let Some(with) = step.with else { return step.span() };
    let node = with.find(pointer);
    match node.kind {
        Kind::List(_) | Kind::Map(_) | Kind::Null => {
            let key =
                pointer.rsplit_once('/').and_then(|(parent, key)| with.find(parent).entry(key));
            let key = key.or_else(|| step.node.entry("with")).map(|entry| entry.key_span.clone());
            key.unwrap_or_else(|| step.span())
        }
        _ => match node.text().filter(|text| Template::is_in(text)) {
            Some(text) => context.inside(node, &(0..text.len())),
            None => node.span.clone(),
        },
    }
}
