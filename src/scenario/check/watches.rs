use super::context::{Context, StepView};
use crate::action::Effect;
use crate::scenario::diagnostic::Diagnostic;

/// Watches: they only look, at something that can turn red, and nothing waits for them.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for step in &context.steps {
        let (Some(watch), Some(action)) = (step.watch, step.action) else { continue };
        if changes_something(step) {
            let message =
                format!("{} uses {}, which changes something", step.name(), action.facts.name);
            found.push(context.at("RD213", watch.span.clone(), message));
        } else if action.facts.checks.is_empty() && step.expect.is_empty() {
            let message = format!("nothing can turn the watch {} red", step.name());
            let diagnostic = context.at("RD214", watch.span.clone(), message);
            found.push(diagnostic.help("add expect:, or use an action that makes checks"));
        }
    }
    let is_watch = |id: &str| context.step(id).is_some_and(|(_, step)| step.watch.is_some());
    for need in context.steps.iter().flat_map(|step| &step.needs) {
        if is_watch(need.text) {
            let message = format!("{} is a watch: it ends after all other steps", need.text);
            found.push(context.at("RD215", need.span.clone(), message));
        }
    }
    for place in &context.places {
        let Ok(template) = &place.template else { continue };
        for reference in template.references() {
            if let Some(id) = reference.step().filter(|id| is_watch(id)) {
                let message = format!("{id} is a watch: its outputs come after all other steps");
                let span = context.inside(place.node, &reference.span);
                found.push(context.at("RD215", span, message));
            }
        }
    }
}

/// What the scenario says, where the action lets it say so; else what the action says.
fn changes_something(step: &StepView<'_>) -> bool {
    let Some(action) = step.action else { return false };
    let written = step.with.and_then(|with| with.get("effect")).and_then(|node| node.text());
    action.facts.effect_of(written) != Effect::None
}
