use crate::action::{ByHand, Effect, Given as GivenInput, HandInput, InputProblem, StepError};
use crate::expectation::pattern;
use crate::outside::{Given, Holding};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a step of `exec.run` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [{
    "if": { "properties": { "effect": { "const": "own" } }, "required": ["effect"] },
    "then": { "required": ["undo", "find"] }
}]))]
pub struct Input {
    /// Program and arguments. There is no shell: nothing is expanded. It runs in the folder in which redrill was started. Arguments
    /// are written down: no passwords in them.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// Environment variables: text, or `{from_env: NAME}` for credentials. The program gets these and PATH, HOME, LANG
    /// and TZ, nothing else. A name, also one after `from_env`, has letters (a-z, A-Z), digits and `_`, and does not begin
    /// with a digit: a shell can set no other.
    #[serde(default)]
    pub env: BTreeMap<String, Given>,
    /// What the program reads on standard input.
    #[serde(default)]
    pub stdin: Option<String>,
    /// What the program changes: `none`, `own` (something that `undo` removes and `find` finds) or `external` (what cannot
    /// be undone: `guard.external` must name the step, and a second person must have approved).
    pub effect: Effect,
    /// With `effect: own`: program and arguments that remove what was made. It may be run more than once, and runs, as `find`
    /// does, in the folder in which the program ran.
    #[serde(default)]
    pub undo: Option<Vec<String>>,
    /// With `effect: own`: program and arguments that look for what was made: exit status 0 when it is there, 1 when it
    /// is gone, anything else when that cannot be known.
    #[serde(default)]
    pub find: Option<Vec<String>>,
    /// With `effect: none`: whether the program is kept from writing files, by the system: `when_possible` (default; the check of
    /// its exit status says whether it was), `required` (it is not run where the system cannot), or `no`.
    #[serde(default)]
    pub hold: Hold,
    /// With `effect: none`: files and folders that the program may write to all the same: caches, logs. They must be there; `~/`
    /// at the beginning is the home folder. It may always write to a temporary folder of its own, `TMPDIR`.
    #[serde(default)]
    pub may_write: Vec<String>,
    /// The exit status that is expected (default 0).
    #[serde(default)]
    pub expect_exit: i32,
    /// A pattern (regular expression) that must be found in standard output.
    #[serde(default)]
    pub stdout_matches: Option<String>,
    /// How standard output is read: `text` (default), or `json`, which gives the output `json`.
    #[serde(default)]
    pub parse: Parse,
}

/// Whether a program is kept from writing files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Where the system can.
    #[default]
    WhenPossible,
    /// It is not run where the system cannot.
    Required,
    /// It is not: it needs more rights than it has by itself (`sudo`, `ping`), which the system then refuses.
    No,
}

/// How output is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parse {
    /// As text.
    #[default]
    Text,
    /// As one JSON value.
    Json,
}

impl Input {
    /// What keeps the program from writing.
    pub(super) fn holding(&self) -> Option<Holding> {
        (self.effect == Effect::None && self.hold != Hold::No).then(|| Holding {
            required: self.hold == Hold::Required,
            may_write: self.may_write.clone(),
        })
    }

    /// The pattern.
    pub(super) fn pattern(&self) -> Result<Option<Regex>, StepError> {
        let pattern = self.stdout_matches.as_ref().map(|written| pattern(written));
        pattern.transpose().map_err(|e| StepError::broken(format!("stdout_matches: {e}")))
    }
}

/// What is wrong with an input.
pub(super) fn problems(given: &GivenInput) -> Vec<InputProblem> {
    let mut found: Vec<InputProblem> = no_program(given, "argv").into_iter().collect();
    found.extend(no_variable(given));
    for name in ["undo", "find"] {
        let needed = given.text("effect") == Some("own") && !given.has(name);
        let problem = || InputProblem::new("", format!("{name}: effect: own needs it"));
        found.extend(needed.then(problem).or_else(|| no_program(given, name)));
    }
    let about_writing =
        given.has("may_write") || given.text("hold").is_some_and(|hold| hold != "when_possible");
    if about_writing && given.text("effect").is_some_and(|effect| effect != "none") {
        let text = "hold and may_write are for effect: none: any other effect is one of writing";
        found.push(InputProblem::new("", text));
    }
    if let Some(why) = given.text("stdout_matches").and_then(|written| pattern(written).err()) {
        found.push(InputProblem::at("stdout_matches", format!("stdout_matches: {why}")));
    }
    found
}

/// A name under `env` that is none of a variable: a runbook could not set it.
fn no_variable(given: &GivenInput) -> Option<InputProblem> {
    let is_variable = |name: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        plain && name.starts_with(|first: char| !first.is_ascii_digit())
    };
    let later = GivenInput::later_mark();
    let variables = given.known("env")?.as_object()?.iter();
    let mut named = variables.flat_map(|(name, value)| {
        let from = value.get("from_env").filter(|from| **from != later).and_then(Value::as_str);
        std::iter::once(name.as_str()).chain(from)
    });
    let odd = named.find(|name| !is_variable(name))?;
    let text = format!("env: {odd:?} is no name of an environment variable");
    Some(
        InputProblem::at("env", text).expected("letters, digits and _, not beginning with a digit"),
    )
}

/// A list of words that is given, and does not begin with a program.
fn no_program(given: &GivenInput, name: &str) -> Option<InputProblem> {
    let words = given.known(name)?.as_array()?;
    let is_empty = words.first().is_none_or(|word| word.as_str() == Some(""));
    let problem = || {
        InputProblem::at(name, format!("{name}: a program is needed"))
            .expected("the program, then its arguments")
    };
    is_empty.then(problem)
}

/// The program itself.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let mut environment = String::new();
    let variables = input.value("env").and_then(Value::as_object);
    for (name, value) in variables.into_iter().flatten() {
        if let Some(text) = value.as_str() {
            environment.push_str(&format!("{name}={} ", HandInput::quote(text)));
        } else if let Some(variable) = value.get("from_env").and_then(Value::as_str) {
            environment.push_str(&format!("{name}=\"${{{variable}:?}}\" "));
        }
    }
    let command = |argv: &str| input.words(argv).map(|words| format!("{environment}{words}"));
    let mut run = command("argv").unwrap_or_default();
    // A program that reads standard input would read the commands that are pasted after it.
    run = match input.word("stdin") {
        Some(stdin) => format!("printf '%s' {stdin} | {run}"),
        None => format!("{run} </dev/null"),
    };
    if input.value("parse").and_then(Value::as_str) == Some("json") {
        run = format!("{}=\"$({run})\"", input.sets("json"));
    }
    let exit = input.word("expect_exit").unwrap_or_else(|| "0".to_owned());
    let status = input.sets("status");
    let mut expected = format!("The last line is: exit status {exit}, expected {exit}.");
    if let Some(Value::String(pattern)) = input.value("stdout_matches") {
        expected.push_str(&format!(" The output matches the pattern {pattern}"));
    }
    let undo = command("undo").map(|undo| format!("Undo it when the drill is over: {undo}"));
    let find = command("find")
        .map(|find| format!("{find}    # exit status 0: it is there; 1: it is gone"));
    ByHand {
        // No status at all when the program was not even started: a variable that is not set ends the line.
        commands: vec![
            format!("{status}="),
            format!("if {run}; then {status}=0; else {status}=$?; fi"),
            format!("echo \"exit status ${{{status}:-none: it was not run}}, expected {exit}\""),
            format!("[ \"${status}\" = {exit} ]"),
        ],
        expected,
        needs: program(input).into_iter().collect(),
        remove: command("undo").into_iter().collect(),
        verify: find.into_iter().collect(),
        if_it_fails: undo
            .into_iter()
            .chain([
                "Exit status 126 or 127: the program cannot be run, or is not on this host; nothing was checked.".to_owned(),
                "Read what it wrote to standard error.".to_owned(),
            ])
            .collect(),
            ..ByHand::default()
        }
}

/// The program and where it must be, for the list of what must be there before.
fn program(input: &HandInput) -> Option<String> {
    let Value::Array(argv) = input.value("argv")? else { return None };
    let name = argv.first()?.as_str()?;
    Some(format!(
        "The program {name} on the host of this shell (command -v {} finds it), and what it works on within its reach: volumes \
         attached, files there, hosts known",
        HandInput::quote(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use serde_json::json;

    #[test]
    fn regression_what_no_shell_could_set_is_no_name_of_a_variable() {
        let found = |env: Value| {
            let with = json!({ "argv": ["true"], "env": env });
            let given = GivenInput::new("orders", StepId::new("x"), None, with);
            problems(&given).iter().map(|one| one.message.clone()).collect::<Vec<_>>()
        };
        let good = json!({ "A": "x", "_b2": { "from_env": "HOME" }, "C": { "from_env": GivenInput::later_mark() } });
        assert!(found(good).is_empty());
        for (name, from) in [("A\u{202e}B", "HOME"), ("2A", "HOME"), ("", "HOME"), ("A", "B;rm")] {
            let mut env = serde_json::Map::new();
            env.insert(name.to_owned(), json!({ "from_env": from }));
            let found = found(env.into());
            assert_eq!(found.len(), 1, "{name:?} {from:?}: {found:?}");
        }
    }
}
