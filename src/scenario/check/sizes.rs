use super::context::Context;
use super::values::{MODES, names_of_mode};
use crate::limits;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::resolve_known_counted;
use serde_json::Value;

/// The first place at which expressions put in more than a step or a plan may have, in one of the modes. Whoever puts values in place
/// of expressions looks here first: a short text can stand for a long one in thousands of places.
pub(super) fn too_large(context: &Context<'_>) -> Option<Diagnostic> {
    MODES.into_iter().find_map(|mode| too_large_in(context, mode))
}

fn too_large_in(context: &Context<'_>, mode: &str) -> Option<Diagnostic> {
    let refused = |span, what: &str| {
        let message = format!("in mode {mode}, with expressions replaced, {what}");
        context.at("RD002", span, message).help("let fewer expressions stand for a long text")
    };
    let names = names_of_mode(context, mode);
    let [of_one, of_all] = [limits::INPUT_BYTES, limits::PLAN_VALUES_BYTES]
        .map(|most| format!("more than {}", limits::in_units(most as u64)));
    if let Some(span) = &names.too_large {
        let what = format!("this variable has {of_one}, or all have {of_all} up to here");
        return Some(refused(span.clone(), &what));
    }
    let (mut of_plan, mut of_step, mut step) = (names.bytes, 0, None);
    for place in &context.places {
        if step != Some(place.step) {
            (of_step, step) = (0, Some(place.step));
        }
        let put_in = match resolve_known_counted(&Value::from(place.text), &names) {
            Ok((_, bytes)) => bytes,
            Err(why) if why.is_too_large() => limits::INPUT_BYTES + 1,
            // That it has no value is told by others.
            Err(_) => 0,
        };
        (of_plan, of_step) = (of_plan + put_in, of_step + put_in);
        let span = || context.inside(place.node, &(0..place.text.len()));
        if of_step > limits::INPUT_BYTES {
            let name = context.steps[place.step].name();
            return Some(refused(span(), &format!("{name} has {of_one} up to here")));
        }
        if of_plan > limits::PLAN_VALUES_BYTES {
            let what = format!("variables and steps have {of_all} up to here");
            return Some(refused(span(), &what));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::limits;
    use crate::scenario::testing::{GOOD, registry};
    use crate::scenario::{Source, load_text};

    const LONG: &str = "{{inputs.long}}";

    /// The good scenario with an input of 60,000 bytes, and with something else in place of a part of it.
    fn refused(from: &str, to: &str) -> (String, String) {
        let long = format!("  long: {{ type: text, default: {} }}\n  suffix:", "x".repeat(60_000));
        assert!(GOOD.contains(from), "{from:?} is not in the scenario");
        let text = GOOD.replacen("  suffix:", &long, 1).replace(from, to);
        let loaded = load_text(Source::new("x.yaml", text), &registry());
        assert!(loaded.scenario.is_none());
        let found = loaded.diagnostics.into_iter().find(|one| one.code == "RD002").unwrap();
        let marked: String = loaded.source.text[found.span].chars().take(20).collect();
        (found.message, marked)
    }

    #[test]
    fn regression_a_step_for_which_expressions_put_in_too_much_is_named_and_not_evaluated() {
        let (message, marked) = refused("{{steps.point.arn}} in", &LONG.repeat(20));
        assert_eq!(
            message,
            "in mode drill, with expressions replaced, ask has more than 1 MiB up to here"
        );
        assert!(marked.starts_with("Restore {{inputs.lon"), "{marked}");
    }

    #[test]
    fn regression_a_scenario_whose_steps_together_are_too_large_is_refused() {
        let count = limits::INPUT_BYTES / 60_002;
        let step = |number| {
            let question = LONG.repeat(count);
            format!(
                "  - id: ask{number}\n    uses: control.approve\n    with: {{ question: \"{question}\" }}\n"
            )
        };
        let steps: String = (0..9).map(step).collect();
        let (message, _) = refused("steps:\n", &format!("steps:\n{steps}"));
        assert!(
            message.ends_with("variables and steps have more than 8 MiB up to here"),
            "{message}"
        );
    }

    #[test]
    fn regression_variables_that_are_too_large_are_refused() {
        let one = format!("vars: {{ long: \"{}\", ", LONG.repeat(20));
        let many: String = (0..150).map(|n| format!("v{n}: \"{LONG}\", ")).collect();
        for (vars, first) in [(one, "long"), (format!("vars: {{ {many}"), "v139")] {
            let (message, marked) = refused("vars: { ", &vars);
            assert!(message.contains("this variable has more than 1 MiB"), "{message}");
            assert_eq!(marked, first);
        }
    }
}
