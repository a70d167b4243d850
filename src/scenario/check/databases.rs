//! Databases that the drill writes into: those that it makes, and those that the guard names.

use super::context::{Context, StepView, words};
use crate::action::Effect;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::Template;
use crate::scenario::source::Node;
use crate::scenario::suggest::nearest;
use std::collections::BTreeSet;

/// The kind of what steps make inside of databases: no call of AWS that a guard could see, but a connection.
const IN_A_DATABASE: &str = "sql.schema";

/// The kind of what programs make: what such a step gives is what the program prints.
const OF_A_PROGRAM: &str = "exec.effect";

/// The inputs of such a step that say where it connects to.
const WHERE: [&str; 2] = ["endpoint", "connect"];

/// Whoever writes into a database writes into one that a step of the run makes, or that the guard names.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let named = words(context.root.get("guard").and_then(|guard| guard.get("databases")));
    let mut written = BTreeSet::new();
    for step in context.steps.iter().filter(|step| writes(step)) {
        let places = WHERE.iter().filter_map(|name| step.with?.get(name));
        for (node, text) in places.filter_map(|node| Some((node, node.text()?))) {
            if Template::is_in(text) {
                found.extend(not_of_the_run(context, step, node, text));
                continue;
            }
            let (host, place) = (host_of(text), text.to_ascii_lowercase());
            let is_it = |word: &str| [&host, &place].contains(&&word.to_ascii_lowercase());
            if !named.iter().any(|word| is_it(word.text)) {
                let message = format!(
                    "{} writes into {host}, which guard.databases does not name",
                    step.name()
                );
                found.push(context.at("RD613", node.span.clone(), message).help(format!(
                    "take it from the step that makes the database, or, if the drill may write into it, add {host} to guard.databases"
                )));
            }
            written.extend([host, place]);
        }
    }
    for word in named.iter().filter(|word| !written.contains(&word.text.to_ascii_lowercase())) {
        let message = format!("no step writes into a database at {}", word.text);
        let diagnostic = context.at("RD614", word.span.clone(), message);
        found.push(match nearest(word.text, written.iter().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean {near}?")),
            None => diagnostic.help("remove it"),
        });
    }
}

/// The effect that the step declares, or that its action has.
fn effect(step: &StepView<'_>) -> Option<&'static str> {
    let written = step.with.and_then(|with| with.get("effect")).and_then(Node::text);
    match step.action?.facts.effect_of(written) {
        Effect::None => None,
        Effect::Own => Some("own"),
        Effect::External => Some("external"),
    }
}

fn writes(step: &StepView<'_>) -> bool {
    let creates = step.action.map(|action| action.facts.creates_of(effect(step)));
    creates.is_some_and(|kinds| kinds.contains(&IN_A_DATABASE))
}

/// What is wrong with an expression that says where to write: it must be an output of a step that makes or changes something, as it
/// is. What is wrong with it otherwise is said elsewhere.
fn not_of_the_run(
    context: &Context<'_>,
    step: &StepView<'_>,
    node: &Node,
    text: &str,
) -> Option<Diagnostic> {
    let template = Template::parse(text).ok()?;
    let references = template.references();
    let of_step = match references.as_slice() {
        [reference] if reference.whole => reference.step(),
        _ => None,
    };
    let why = match of_step {
        Some(name) => {
            let (_, source) = context.step(name)?;
            let creates = source.action?.facts.creates;
            match effect(source) {
                None => format!("and {name} makes nothing"),
                Some(_) if creates.contains(&OF_A_PROGRAM) => {
                    format!("and {name} runs a program, which may print any host")
                }
                Some(_) => return None,
            }
        }
        None => "which is no output of a step alone".to_owned(),
    };
    let message = format!("{} writes into the database at {text}, {why}", step.name());
    Some(context.at("RD613", node.span.clone(), message).help(
        "take it from the step that makes the database, or, if the drill may write into another one, write the host out and name it in \
         guard.databases",
    ))
}

/// The host of `host`, `host:port` and `[host]:port`, in small letters.
fn host_of(text: &str) -> String {
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let host = match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => text,
    };
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}
