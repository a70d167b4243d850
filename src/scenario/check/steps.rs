use super::context::{Context, StepView, Word, names_a_site, walk};
use crate::action::{Phase, SiteUse};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::Template;
use crate::scenario::source::{Kind, Node};
use crate::scenario::suggest::nearest;
use crate::time::HumanDuration;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// Each step by itself: its name, its site, its gate, its limits.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for step in &context.steps {
        if let Some(id) = &step.id
            && !seen.insert(id.text)
        {
            let message = format!("another step is called {} already", id.text);
            found.push(context.at("RD201", id.span.clone(), message));
        }
        check_site(context, step, found);
        check_gate(context, step, found);
        check_timeout(context, step, found);
        check_site_inputs(context, step, found);
    }
    if let Some(first) = context.steps.first()
        && context.steps.iter().all(|step| !step.required)
    {
        let diagnostic = context.at("RD409", first.span(), "no step is required");
        found
            .push(diagnostic.help("take required: false away where the drill depends on the step"));
    }
}

fn check_site(context: &Context<'_>, step: &StepView<'_>, found: &mut Vec<Diagnostic>) {
    let uses = step.action.map(|action| (action.facts.name, action.facts.site));
    match (&step.at, uses) {
        (None, Some((action, SiteUse::Required))) if step.node.get("at").is_none() => {
            let names: Vec<&str> = context.sites().iter().map(|entry| entry.key.as_str()).collect();
            let message = format!("{} uses {action}, which happens at a site", step.name());
            let diagnostic = context.at("RD204", step.span(), message);
            found.push(diagnostic.help(format!("add at: with one of: {}", names.join(", "))));
        }
        (Some(at), Some((action, SiteUse::None))) => {
            let message = format!("{action} does not happen at a site");
            found.push(context.at("RD205", at.span.clone(), message).help("remove at:"));
        }
        (Some(at), _) => check_named_site(context, at.text, &at.span, "RD203", found),
        _ => {}
    }
    if let Some(at) = &step.at
        && is_after_the_disaster(step)
        && context.is_lost(at.text)
    {
        let message = format!("{} runs at {}, which is lost by then", step.name(), at.text);
        found.push(context.at("RD210", at.span.clone(), message).help(
            "move it to phase prepare when it must be done before the disaster, or to a site that is left",
        ));
    }
}

/// A watch goes on to the end, whatever its phase.
fn is_after_the_disaster(step: &StepView<'_>) -> bool {
    step.watch.is_some() || step.phase.is_some_and(|phase| phase != Phase::Prepare)
}

/// Says so when there is no such site.
pub(super) fn check_named_site(
    context: &Context<'_>,
    name: &str,
    span: &Range<usize>,
    code: &'static str,
    found: &mut Vec<Diagnostic>,
) {
    if context.site(name).is_some() {
        return;
    }
    let names: Vec<&str> = context.sites().iter().map(|entry| entry.key.as_str()).collect();
    let diagnostic = context.at(code, span.clone(), format!("there is no site {name}"));
    let diagnostic = diagnostic.expected(format!("one of: {}", names.join(", ")));
    found.push(match nearest(name, names) {
        Some(near) => diagnostic.help(format!("did you mean {near}?")),
        None => diagnostic,
    });
}

fn check_gate(context: &Context<'_>, step: &StepView<'_>, found: &mut Vec<Diagnostic>) {
    let Some(gate) = &step.gate else { return };
    if step.phase.is_some_and(|phase| phase != Phase::Verify) {
        let message = format!("{} is not a verify step, so it is no gate", step.name());
        let diagnostic = context.at("RD208", gate.span.clone(), message);
        found.push(diagnostic.help("add phase: verify, or remove gate:"));
    } else if step.watch.is_some() {
        let message = format!("{} is a watch, which ends after all gates", step.name());
        let diagnostic = context.at("RD208", gate.span.clone(), message);
        found.push(diagnostic.help("remove gate:, or make the check a step of its own"));
    }
    if gate.text != "acceptance" {
        return;
    }
    let optional = step.node.get("required").filter(|_| !step.required);
    for (node, why) in [(optional, "is not required"), (step.when, "may be left out")] {
        if let Some(node) = node {
            let message = format!("{} ends the clock of the RTO, but {why}", step.name());
            found.push(context.at("RD209", node.span.clone(), message));
        }
    }
}

fn check_timeout(context: &Context<'_>, step: &StepView<'_>, found: &mut Vec<Diagnostic>) {
    for (key, node) in [("timeout", step.node.get("timeout")), ("watch", step.watch)] {
        let Some(node) = node else { continue };
        let written: Option<HumanDuration> = node.text().and_then(|text| text.parse().ok());
        if written.is_some_and(|written| written.0 < Duration::from_secs(1)) {
            let message =
                format!("{key} of {} is no time in which anything could be done", step.name());
            found.push(context.at("RD009", node.span.clone(), message).expected("at least 1s"));
        }
    }
    let Some(node) = step.node.get("timeout") else { return };
    let timeout: Option<HumanDuration> = node.text().and_then(|text| text.parse().ok());
    let limit = longest_run(context);
    if let Some(timeout) = timeout.filter(|timeout| *timeout > limit) {
        let message =
            format!("the timeout of {} is {timeout}, the run ends after {limit}", step.name());
        found
            .push(context.at("RD212", node.span.clone(), message).help("raise guard.max_duration"));
    }
}

fn longest_run(context: &Context<'_>) -> HumanDuration {
    let default = crate::scenario::Guard::default().max_duration;
    context.duration(&["guard", "max_duration"]).unwrap_or(default)
}

/// Sites among the inputs: `credentials: { secret: …, at: dr }`.
fn check_site_inputs(context: &Context<'_>, step: &StepView<'_>, found: &mut Vec<Diagnostic>) {
    for word in site_inputs(step, names_a_site).iter().filter(|word| !Template::is_in(word.text)) {
        check_site_input(context, step, word.text, &word.span, found);
    }
}

/// One site among the inputs: there is such a site, and it is not lost.
pub(super) fn check_site_input(
    context: &Context<'_>,
    step: &StepView<'_>,
    name: &str,
    span: &Range<usize>,
    found: &mut Vec<Diagnostic>,
) {
    check_named_site(context, name, span, "RD203", found);
    if is_after_the_disaster(step) && context.is_lost(name) {
        let message = format!("{} needs {name}, which is lost by then", step.name());
        found.push(context.at("RD211", span.clone(), message).help(
            "a drill that reads the lost site has proven nothing: keep a copy at a site that is left",
        ));
    }
}

/// What stands where the inputs of a step name sites of which the schema says this, expressions included.
pub(super) fn site_inputs<'a>(
    step: &StepView<'a>,
    is_meant: impl Fn(&Value) -> bool,
) -> Vec<Word<'a>> {
    let (Some(with), Some(action)) = (step.with, step.action) else { return Vec::new() };
    let mut sites = Vec::new();
    walk(with, Some(&action.input), &mut |node: &'a Node, schema| {
        if let (true, Kind::Text(text)) = (schema.is_some_and(&is_meant), &node.kind) {
            sites.push(Word { text, span: node.span.clone() });
        }
    });
    sites
}
