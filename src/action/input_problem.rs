use super::{Given, StepError};
use crate::time::HumanDuration;
use std::fmt;

/// Something wrong with an input, which can be seen without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProblem {
    /// JSON pointer of the value in the input, or of the mapping that lacks something: `/queries/0/expect`.
    pub pointer: String,
    /// What is wrong. It begins with the name of the input.
    pub message: String,
    /// What was expected there, in a few words.
    pub expected: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl InputProblem {
    /// Something wrong at a place.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        Self { pointer, message, expected: None, help: None }
    }

    /// Says what was expected there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A text that says nothing.
    pub fn empty(given: &Given, path: &str) -> Option<Self> {
        let text = given.text(path)?;
        text.trim().is_empty().then(|| Self::at(path, format!("{path} is empty")))
    }

    /// A time in which nothing can happen.
    pub fn no_time(given: &Given, path: &str) -> Option<Self> {
        let time = given.duration(path)?;
        let problem = || Self::at(path, format!("{path} is {time}")).expected("more than 0s");
        time.0.is_zero().then(problem)
    }

    /// A wait that the step's own limit ends before it is over.
    pub fn beyond_the_step(given: &Given, path: &str) -> Option<Self> {
        let (wait, limit) = (given.duration(path)?, given.timeout?);
        let message = format!("{path} is {wait}, the step ends after {limit}");
        let help = format!("raise the timeout of the step, or shorten {path}");
        (wait > limit).then(|| Self::at(path, message).help(help))
    }

    /// The same for a wait that is not given, and is this long then.
    pub fn usual_beyond_the_step(given: &Given, path: &str, usual: HumanDuration) -> Option<Self> {
        let limit = given.timeout.filter(|_| !given.has(path))?;
        let message =
            format!("{path} is {usual} where it is not given, the step ends after {limit}");
        let help = format!("raise the timeout of the step, or give it a {path} that is not longer");
        (usual > limit).then(|| Self::new("", message).help(help))
    }

    /// Tags that this program sets, or that AWS keeps for itself
    /// (<https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>).
    pub fn reserved_tags(given: &Given) -> Vec<Self> {
        let tags = given.known("tags").and_then(serde_json::Value::as_object);
        let is_reserved = |name: &&String| name.starts_with("redrill:") || name.starts_with("aws:");
        let names = tags.into_iter().flat_map(|tags| tags.keys()).filter(is_reserved);
        let problem = |name: &String| {
            let pointer = format!("/tags/{}", name.replace('~', "~0").replace('/', "~1"));
            Self::new(pointer, format!("tags: the tag name {name} is reserved"))
                .help("choose another name")
        };
        names.map(problem).collect()
    }

    /// At an input that is named by a path with dots, as [`Given`] does.
    pub fn at(path: &str, message: impl Into<String>) -> Self {
        Self::new(format!("/{}", path.replace('.', "/")), message)
    }
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.expected {
            Some(expected) => write!(f, "; expected {expected}"),
            None => Ok(()),
        }
    }
}

impl From<InputProblem> for StepError {
    fn from(problem: InputProblem) -> Self {
        let error = Self::broken(problem.to_string());
        match problem.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use serde_json::{Value, json};

    fn given(with: Value) -> Given {
        Given::new("orders-db", StepId::new("x"), None, with)
    }

    #[test]
    fn what_is_known_only_on_the_day_is_no_problem_before() {
        let later = given(json!({ "of": Given::later_mark(), "within": Given::later_mark() }));
        assert_eq!(InputProblem::empty(&later, "of"), None);
        assert_eq!(InputProblem::no_time(&later, "within"), None);
        assert!(InputProblem::empty(&given(json!({ "of": " " })), "of").is_some());
        assert!(InputProblem::no_time(&given(json!({ "within": "0s" })), "within").is_some());
    }

    #[test]
    fn a_wait_is_compared_with_the_limit_of_the_step_where_it_is_known() {
        let wait = given(json!({ "within": "1h" }));
        assert_eq!(InputProblem::beyond_the_step(&wait, "within"), None);
        let short = wait.clone().in_time("1m".parse().unwrap());
        let problem = InputProblem::beyond_the_step(&short, "within").unwrap();
        assert_eq!(problem.pointer, "/within");
        assert!(problem.message.contains("the step ends after 1m"), "{problem}");
        assert_eq!(
            InputProblem::beyond_the_step(&wait.in_time("1h".parse().unwrap()), "within"),
            None
        );
    }

    #[test]
    fn regression_a_wait_that_is_not_given_is_compared_with_the_limit_of_the_step_too() {
        let usual: HumanDuration = "30m".parse().unwrap();
        let problem = |with: Value, limit: &str| {
            let given = given(with).in_time(limit.parse().unwrap());
            InputProblem::usual_beyond_the_step(&given, "within", usual)
        };
        let found = problem(json!({}), "10m").unwrap();
        assert_eq!(found.pointer, "");
        assert_eq!(found.message, "within is 30m where it is not given, the step ends after 10m");
        assert_eq!(problem(json!({}), "30m"), None);
        assert_eq!(problem(json!({ "within": "5m" }), "10m"), None);
        assert_eq!(problem(json!({ "within": Given::later_mark() }), "10m"), None);
        let no_limit = InputProblem::usual_beyond_the_step(&given(json!({})), "within", usual);
        assert_eq!(no_limit, None);
    }

    #[test]
    fn names_of_tags_that_are_not_ours_to_give_are_found() {
        let problems = InputProblem::reserved_tags(&given(json!({
            "tags": { "redrill:run": "z", "aws:x/y": "z", "team": "sre" }
        })));
        let places: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(places, ["/tags/aws:x~1y", "/tags/redrill:run"]);
    }
}
