use crate::action::{ByHand, Given as GivenInput, HandInput, InputProblem, StepError};
use crate::expectation::pattern;
use crate::outside::Given;
use crate::time::HumanDuration;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a step of `http.check` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The address, `http` or `https`. No passwords in it: give a header from the environment.
    pub url: String,
    /// `GET` (default) or `HEAD`. Others change things, which this step must not.
    #[serde(default)]
    pub method: Method,
    /// The status that is expected (default 200).
    #[serde(default = "ok")]
    pub expect_status: u16,
    /// Headers: text, or `{from_env: NAME}` for credentials.
    #[serde(default)]
    pub headers: BTreeMap<String, Given>,
    /// A pattern (regular expression) that must be found in the first MiB of the body.
    #[serde(default)]
    pub body_matches: Option<String>,
    /// Ask again until the answer is as expected, at most this long. Without it there is one attempt.
    #[serde(default)]
    pub within: HumanDuration,
    /// How long one attempt may take (default 10s).
    #[serde(default = "ten_seconds")]
    pub attempt_timeout: HumanDuration,
    /// Follow up to five redirects, and judge the last answer. Headers go along on the same host only.
    #[serde(default)]
    pub follow_redirects: bool,
}

/// The methods that change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The body as well.
    #[default]
    Get,
    /// Status and headers only.
    Head,
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

fn ok() -> u16 {
    200
}

fn ten_seconds() -> HumanDuration {
    Duration::from_secs(10).into()
}

impl Input {
    /// The pattern.
    pub(super) fn pattern(&self) -> Result<Option<Regex>, StepError> {
        let pattern = self.body_matches.as_ref().map(|written| pattern(written));
        pattern.transpose().map_err(|e| StepError::broken(format!("body_matches: {e}")))
    }
}

/// What is wrong with an input.
pub(super) fn problems(given: &GivenInput) -> Vec<InputProblem> {
    let mut found: Vec<InputProblem> =
        given.text("url").and_then(wrong_address).into_iter().collect();
    if let Some(status) = given.known("expect_status").and_then(Value::as_u64)
        && !(100..=599).contains(&status)
    {
        let message = format!("expect_status: no answer has the status {status}");
        found.push(InputProblem::at("expect_status", message).expected("100 to 599"));
    }
    if given.text("method") == Some("HEAD") && given.has("body_matches") {
        let message = "body_matches: an answer to HEAD has no body";
        found.push(InputProblem::at("body_matches", message).help("use GET"));
    }
    if let Some(why) = given.text("body_matches").and_then(|written| pattern(written).err()) {
        found.push(InputProblem::at("body_matches", format!("body_matches: {why}")));
    }
    found.extend(InputProblem::no_time(given, "attempt_timeout"));
    found.extend(InputProblem::beyond_the_step(given, "within"));
    found
}

/// The address is not repeated where it may hold a password.
fn wrong_address(written: &str) -> Option<InputProblem> {
    let at = |message: String| InputProblem::at("url", message);
    let url = match reqwest::Url::parse(written) {
        Ok(url) => url,
        Err(why) => {
            return Some(
                at(format!("url: this is not an address: {why}")).expected("http://… or https://…"),
            );
        }
    };
    if !["http", "https"].contains(&url.scheme()) {
        return Some(at(format!("url: only http and https can be checked, not {}", url.scheme())));
    }
    let names_somebody = url.password().is_some() || !url.username().is_empty();
    let problem = || {
        at("url: a user or a password must not stand in the address".to_owned())
            .help("give the header authorization with from_env")
    };
    names_somebody.then(problem)
}

/// curl.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let mut curl =
        "curl --silent --show-error --max-time 10 --write-out '\\n%{http_code}\\n'".to_owned();
    if input.value("follow_redirects") == Some(&Value::Bool(true)) {
        curl.push_str(" --location --max-redirs 5");
    }
    if input.value("method").and_then(Value::as_str) == Some("HEAD") {
        curl.push_str(" --head");
    }
    // Through standard input, since arguments can be seen by everyone on the machine.
    let mut secrets = String::new();
    let headers = input.value("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        if let Some(text) = value.as_str() {
            let header = HandInput::quote(&format!("{name}: {text}"));
            curl.push_str(&format!(" --header {header}"));
        } else if let Some(variable) = value.get("from_env").and_then(Value::as_str) {
            let name = HandInput::quote(name);
            secrets.push_str(&format!("printf '%s: %s\\n' {name} \"${{{variable}:?}}\"; "));
        }
    }
    let url = input.word("url").unwrap_or_default();
    let command = if secrets.is_empty() {
        format!("{curl} {url}")
    } else {
        format!("{{ {secrets}}} | {curl} --header @- {url}")
    };
    let status = input.word("expect_status").unwrap_or_else(|| "200".to_owned());
    let mut expected = format!("The last line is {status}.");
    if let Some(Value::String(pattern)) = input.value("body_matches") {
        expected.push_str(&format!(" The body matches the pattern {pattern}"));
    }
    if let Some(Value::String(within)) = input.value("within") {
        expected.push_str(&format!(" It may take up to {within}: try again until then."));
    }
    ByHand {
        commands: vec![command],
        expected,
        verify: vec![],
        if_it_fails: vec![
            "Refused or timed out: look whether the service runs, and at its security group and its target's health."
                .to_owned(),
            "Certificate not verified: name the file of its authority with --cacert; do not turn verification off.".to_owned(),
            "An unexpected status: an answer of a load balancer is not an answer of the service; look at the body."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}
