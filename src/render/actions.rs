//! The reference of actions, from the types: for the terminal, for programs, and for `docs/actions.md`.

use crate::action::{ActionEntry, Effect, Registry, SiteUse};
use crate::time::HumanDuration;
use serde_json::{Value, json};
use std::fmt::Write;

/// All actions, for programs.
pub fn actions_json(registry: &Registry) -> Value {
    let actions: Vec<Value> = registry.actions().map(action_json).collect();
    json!({ "format": 1, "actions": actions })
}

/// One action, for programs.
pub fn action_json(entry: &ActionEntry) -> Value {
    let facts = &entry.facts;
    let permissions: Vec<Value> =
        facts.permissions.iter().map(|p| json!({ "action": p.action, "why": p.why })).collect();
    let checks: Vec<Value> =
        facts.checks.iter().map(|(name, means)| json!({ "name": name, "means": means })).collect();
    json!({
        "name": facts.name,
        "title": facts.title,
        "about": facts.about,
        "phase": facts.phase,
        "timeout": HumanDuration(facts.timeout),
        "effect": facts.effect,
        "creates": facts.creates,
        "permissions": permissions,
        "checks": checks,
        "input": *entry.input,
        "output": *entry.output,
        "exercised": {
            "sandbox": facts.exercised.sandbox,
            "servers": facts.exercised.servers,
            "aws": facts.exercised.aws,
        },
    })
}

/// One action, for the terminal.
///
/// # Errors
/// Never in practice: writing to text does not fail.
pub fn action_text(entry: &ActionEntry, registry: &Registry) -> crate::error::Result<String> {
    written(|text| describe(text, entry, registry, "", ""))
}

/// The whole reference, for `docs/actions.md`.
///
/// # Errors
/// Never in practice: writing to text does not fail.
pub fn actions_markdown(registry: &Registry) -> crate::error::Result<String> {
    written(|text| {
        writeln!(text, "# Actions\n")?;
        writeln!(text, "Generated from the types; `redrill actions NAME` prints the same.\n")?;
        for entry in registry.actions() {
            let name = entry.facts.name;
            writeln!(text, "- [`{name}`](#{}): {}", name.replace('.', ""), entry.facts.title)?;
        }
        for entry in registry.actions() {
            writeln!(text)?;
            describe(text, entry, registry, "## ", "### ")?;
        }
        Ok(())
    })
}

fn written(write: impl FnOnce(&mut String) -> std::fmt::Result) -> crate::error::Result<String> {
    let mut text = String::new();
    write(&mut text).map_err(|e| crate::error::Error::broken(e.to_string()))?;
    Ok(text)
}

fn describe(
    text: &mut String,
    entry: &ActionEntry,
    registry: &Registry,
    heading: &str,
    section: &str,
) -> std::fmt::Result {
    let facts = &entry.facts;
    writeln!(text, "{heading}{}\n\n{}.\n", facts.name, facts.title)?;
    writeln!(text, "{}\n", facts.about.trim())?;
    writeln!(
        text,
        "Phase: {} · time limit: {} · {}{}",
        facts.phase.as_str(),
        HumanDuration(facts.timeout),
        site(facts.site),
        effect(facts.effect)
    )?;
    fields(text, section, "Inputs", &entry.input, true)?;
    fields(text, section, "Outputs", &entry.output, false)?;
    list(
        text,
        section,
        "Checks that it makes by itself",
        facts.checks.iter().map(|(n, m)| format!("{n}: {m}")),
    )?;
    list(
        text,
        section,
        "Permissions",
        facts.permissions.iter().map(|p| format!("`{}`: {}", p.action, p.why)),
    )?;
    for kind in facts.creates {
        writeln!(text, "\n{section}Creates {kind}, and removes it at the end\n")?;
        let permissions = registry.resource_kind(kind).map_or(&[][..], |kind| kind.permissions());
        for permission in permissions {
            writeln!(text, "- `{}`: {}", permission.action, permission.why)?;
        }
    }
    let exercised = &facts.exercised;
    let sandbox = if exercised.sandbox { "the sandbox" } else { "not in the sandbox" };
    let servers = exercised.servers.iter().map(|server| format!(", {server}"));
    let aws = exercised
        .aws
        .map_or_else(|| "never against real AWS".to_owned(), |day| format!("real AWS on {day}"));
    writeln!(text, "\nExercised against: {sandbox}{}; {aws}.", servers.collect::<String>())
}

fn site(site: SiteUse) -> &'static str {
    match site {
        SiteUse::Required => "needs `at:`",
        SiteUse::Optional => "`at:` is optional",
        SiteUse::None => "takes no `at:`",
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => " · changes nothing",
        Effect::Own => " · makes things, which the run removes",
        Effect::External => " · may change things that the run cannot undo",
    }
}

fn list(
    text: &mut String,
    section: &str,
    title: &str,
    items: impl Iterator<Item = String>,
) -> std::fmt::Result {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{section}{title}\n")?;
    items.iter().try_for_each(|item| writeln!(text, "- {item}"))
}

fn fields(
    text: &mut String,
    section: &str,
    title: &str,
    schema: &Value,
    inputs: bool,
) -> std::fmt::Result {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    writeln!(text, "\n{section}{title}\n")?;
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    for (name, field) in properties {
        let must = if inputs && is_required(name) { ", required" } else { "" };
        let default = match field.get("default") {
            Some(default) if inputs => format!(", default {default}"),
            _ => String::new(),
        };
        let about = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(text, "- `{name}` ({}{must}{default}): {about}", kind_of(field))?;
    }
    Ok(())
}

/// The type of a field in words.
fn kind_of(field: &Value) -> String {
    if let Some(format) = field.get("format").and_then(Value::as_str) {
        match format {
            "redrill-duration" => return "duration".to_owned(),
            "redrill-size" => return "bytes".to_owned(),
            "redrill-site" => return "site".to_owned(),
            "date-time" => return "time".to_owned(),
            _ => {}
        }
    }
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
        return choices.join(" or ");
    }
    match field.get("type").and_then(Value::as_str) {
        Some("string") => "text".to_owned(),
        Some("array") => match field.get("items") {
            Some(items) => format!("list of {}", kind_of(items)),
            None => "list".to_owned(),
        },
        Some("object") => "map".to_owned(),
        Some(other) => other.to_owned(),
        None => "one of several forms".to_owned(),
    }
}
