//! What can be looked at before the day of a drill: whether the programs and variables are there.

use crate::action::{Given, Probe, StepContext};
use serde_json::Value;

/// Looks for the programs and the variables of a step, and starts nothing.
pub(super) fn preflight(context: &StepContext, given: &Given) -> Vec<Probe> {
    let lists = ["argv", "undo", "find"].into_iter().filter(|list| given.has(list));
    let mut probes: Vec<Probe> = lists.map(|list| program(context, given, list)).collect();
    let variables = given.known("env").and_then(Value::as_object).into_iter().flatten();
    let named = variables.filter_map(|(_, value)| value.get("from_env").and_then(Value::as_str));
    probes.extend(named.map(|name| Probe::of_variable(&*context.outside, name)));
    let name = given.text("argv.0").unwrap_or("the program");
    probes.push(Probe::not_before(format!("what {name} does"), "it is run on the day only"));
    probes
}

fn program(context: &StepContext, given: &Given, list: &str) -> Probe {
    let Some(name) = given.text(&format!("{list}.0")) else {
        return Probe::not_before(format!("the program of {list}"), "an earlier step tells it");
    };
    if given.comes_later("env.PATH") {
        return Probe::not_before(format!("program {name}"), "an earlier step tells the PATH");
    }
    let help = format!(
        "install it, make it executable, or correct {list}; look from the folder and as the user of the drill"
    );
    Probe::of_program(&*context.outside, name, given.text("env.PATH"), &help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ProbeVerdict;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};
    use crate::outside::real::RealOutside;
    use serde_json::json;
    use std::sync::Arc;

    fn outcomes(probes: &[Probe]) -> Vec<(&str, &str)> {
        let word = |verdict: &ProbeVerdict| match verdict {
            ProbeVerdict::Works(_) => "works",
            ProbeVerdict::Fails { .. } => "fails",
            ProbeVerdict::NotBefore(_) => "not before",
            other => panic!("{other:?}"),
        };
        probes.iter().map(|probe| (probe.what.as_str(), word(&probe.verdict))).collect()
    }

    fn given(with: Value) -> Given {
        Given::new("orders", StepId::new("smoke"), None, with)
    }

    #[test]
    fn regression_a_program_or_a_variable_that_is_not_there_fails_before_the_day() {
        let (mut context, ..) = context(FakeOutside::default());
        context.outside = Arc::new(RealOutside::new("unused"));
        let given = given(json!({
            "argv": ["sh", "-c", "true"], "effect": "own", "find": ["/nowhere/find"], "undo": ["redrill-no-such-tool"],
            "env": {"A": "text", "B": {"from_env": "REDRILL_TEST_NEVER_SET"}, "C": {"from_env": "PATH"}},
        }));
        let wanted = [
            ("program sh", "works"),
            ("program redrill-no-such-tool", "fails"),
            ("program /nowhere/find", "fails"),
            ("environment variable REDRILL_TEST_NEVER_SET", "fails"),
            ("environment variable PATH", "works"),
            ("what sh does", "not before"),
        ];
        assert_eq!(outcomes(&preflight(&context, &given)), wanted);
    }

    #[test]
    fn a_rehearsal_looks_for_no_program_of_this_machine() {
        let (context, ..) = context(FakeOutside::default());
        let probes = preflight(&context, &given(json!({"argv": ["sh"], "effect": "none"})));
        assert_eq!(
            outcomes(&probes),
            [("program sh", "not before"), ("what sh does", "not before")]
        );
    }
}
