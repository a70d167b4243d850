use super::context::Context;
use super::values::{MODES, ModeNames, names_of_mode};
use crate::action::ActionEntry;
use crate::expectation::{Expectation, ValueKind};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::{Template, resolve_known};
use crate::scenario::source::Entry;
use crate::scenario::suggest::nearest;
use serde_json::Value;

/// What steps expect of their outputs: there is such an output, the expectation can be read, and it can be judged.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let modes = MODES.map(|mode| (mode, names_of_mode(context, mode)));
    for step in &context.steps {
        let Some(action) = step.action else { continue };
        for entry in step.expect {
            let Some(schema) = action.output_field(&entry.key) else {
                found.push(unknown(context, action, entry));
                continue;
            };
            if let Some(problem) = unreadable(context, entry, ValueKind::of_schema(schema), &modes)
            {
                found.push(problem);
            }
            if let Some((output, population)) =
                action.facts.populations.iter().find(|(output, _)| *output == entry.key)
                && action.output_field(population).is_none()
            {
                let message = format!(
                    "{} does not say over how many things {output} was taken",
                    action.facts.name
                );
                found.push(context.at("RD303", entry.key_span.clone(), message));
            }
        }
    }
}

fn unknown(context: &Context<'_>, action: &ActionEntry, entry: &Entry) -> Diagnostic {
    let names: Vec<&str> = action
        .output
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let message = format!("{} gives no {}", action.facts.name, entry.key);
    let diagnostic = context.at("RD301", entry.key_span.clone(), message);
    let diagnostic = diagnostic.expected(format!("one of: {}", names.join(", ")));
    match nearest(&entry.key, names) {
        Some(near) => diagnostic.help(format!("did you mean {near}?")),
        None => diagnostic,
    }
}

fn unreadable(
    context: &Context<'_>,
    entry: &Entry,
    kind: ValueKind,
    modes: &[(&str, ModeNames)],
) -> Option<Diagnostic> {
    let written = entry.value.to_value();
    let at = |why: String| {
        context.at("RD302", entry.value.span.clone(), format!("{}: {why}", entry.key))
    };
    if !entry.value.text().is_some_and(Template::is_in) {
        return Expectation::parse(&written, kind).err().map(at);
    }
    modes.iter().find_map(|(mode, names)| {
        let known = resolve_known(&written, names).ok()?;
        if known.as_str().is_some_and(Template::is_in) {
            return None;
        }
        Expectation::parse(&known, kind).err().map(|why| at(format!("in mode {mode}, {why}")))
    })
}
