use super::Decimal;
use crate::journal::Check;
use crate::limits;
use crate::time::{ByteSize, HumanDuration};
use regex::Regex;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// What kind of value an expectation is about; decides how its operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text as written by [`HumanDuration`].
    Duration,
    /// A number of bytes.
    Size,
    /// Any other number.
    Number,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// A list or a mapping, which has no order and is no single value.
    Many,
    /// Not known before the value is there (answers of queries): numbers as numbers, everything else as text.
    Any,
}

impl ValueKind {
    /// From the JSON Schema of an output.
    pub fn of_schema(schema: &Value) -> Self {
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        if let Some(choices) = choices {
            let is_value = |choice: &&Value| choice.get("type").is_none_or(|kind| kind != "null");
            let mut kinds = choices.iter().filter(is_value).map(Self::of_schema);
            let first = kinds.next().unwrap_or(Self::Any);
            return if kinds.all(|kind| kind == first) { first } else { Self::Any };
        }
        let format = schema.get("format").and_then(Value::as_str);
        match (format, only_type(schema)) {
            (Some("redrill-duration"), _) => Self::Duration,
            (Some("redrill-size"), _) => Self::Size,
            (_, Some("integer" | "number")) => Self::Number,
            (_, Some("boolean")) => Self::Bool,
            (_, Some("string")) => Self::Text,
            (_, Some("array" | "object")) => Self::Many,
            _ => Self::Any,
        }
    }
}

/// The one JSON type of a schema; that the value may also be missing does not change it.
fn only_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => {
            let mut types = types.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            types.next().filter(|_| types.next().is_none())
        }
        one => one.as_str(),
    }
}

/// A pattern by which something is checked, compiled within [`limits::PATTERN_BYTES`].
///
/// # Errors
/// When it is none, and when it is found in an empty text, too: then what was seen need not hold anything of it.
pub fn pattern(written: &str) -> Result<Regex, String> {
    let pattern = limits::pattern(written).map_err(|e| format!("not a pattern: {e}"))?;
    if pattern.is_match("") {
        return Err(format!(
            "the pattern {written:?} is found in an empty text as well, so it would check nothing"
        ));
    }
    Ok(pattern)
}

/// An expectation of one value.
#[derive(Clone, Debug)]
pub struct Expectation {
    text: String,
    kind: ValueKind,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Compare(Comparison, Operand),
    Between(Operand, Operand),
    Matches(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What is said of an expectation that could never be made.
const NOT_OF_MANY: &str = "it is a list or a mapping, which is no single value: write \"~ pattern\", which is looked for in it \
                           as JSON, or the whole of it as JSON after =";

/// Longest first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("!=", Comparison::NotEqual),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
];

#[derive(Clone, Debug)]
enum Operand {
    Duration(HumanDuration),
    Size(ByteSize),
    Number(Decimal),
    Bool(bool),
    Text(String),
}

impl Expectation {
    /// Reads an expectation as it stands in a scenario.
    ///
    /// # Errors
    /// What is wrong with it, and how it should be written.
    pub fn parse(written: &Value, kind: ValueKind) -> Result<Self, String> {
        let text = match written {
            Value::String(text) => text.trim().to_owned(),
            Value::Bool(_) | Value::Number(_) => written.to_string(),
            _ => return Err(
                "an expectation is a value or text such as \"<= 26h\", \"1..10\", \"~ pattern\""
                    .to_owned(),
            ),
        };
        let test = match written {
            Value::Number(_) => Self::parse_test(&plain(written), kind)?,
            _ => Self::parse_test(&text, kind)?,
        };
        Ok(Self { text, kind, test })
    }

    fn parse_test(text: &str, kind: ValueKind) -> Result<Test, String> {
        if let Some(written) = text.strip_prefix('~') {
            return pattern(written.trim()).map(Test::Matches);
        }
        if let Some((comparison, operand)) =
            COMPARISONS.iter().find_map(|(sign, c)| Some((*c, text.strip_prefix(sign)?)))
        {
            let operand = Operand::parse(operand.trim(), kind)?;
            if kind == ValueKind::Many && comparison != Comparison::Equal {
                return Err(NOT_OF_MANY.to_owned());
            }
            let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            if ordered && matches!(operand, Operand::Bool(_) | Operand::Text(_)) {
                return Err(format!("{text:?} orders values that have no order: use = or !="));
            }
            return Ok(Test::Compare(comparison, operand));
        }
        if let Some((low, high)) = text.split_once("..")
            && !matches!(kind, ValueKind::Text | ValueKind::Many)
        {
            let (low, high) =
                (Operand::parse(low.trim(), kind)?, Operand::parse(high.trim(), kind)?);
            // Texts have no order: `../orders` stands for itself.
            if !matches!((&low, &high), (Operand::Text(_), Operand::Text(_))) {
                return match low.compare(&high) {
                    Some(Ordering::Less | Ordering::Equal) => Ok(Test::Between(low, high)),
                    Some(Ordering::Greater) => {
                        Err(format!("{text:?} is an empty range: the smaller value stands first"))
                    }
                    None => Err(format!("{text:?} is no range of numbers")),
                };
            }
        }
        Ok(Test::Compare(Comparison::Equal, Operand::parse(text, kind)?))
    }

    /// The longest duration that it allows; `None` when it sets no upper limit, or is of another kind.
    pub fn longest(&self) -> Option<HumanDuration> {
        match &self.test {
            Test::Between(_, Operand::Duration(most))
            | Test::Compare(
                Comparison::Less | Comparison::AtMost | Comparison::Equal,
                Operand::Duration(most),
            ) => Some(*most),
            _ => None,
        }
    }

    /// Judges a value. A value of another kind than expected, or no value, makes the check inconclusive.
    pub fn judge(&self, name: &str, observed: &Value, shown: impl Into<String>) -> Check {
        if observed.is_null() {
            return Check::not_made(name, &self.text, "there is no value");
        }
        match self.holds(observed) {
            Some(holds) => Check::made(name, &self.text, shown, holds),
            // There was a value: it is shown, so that somebody can see why it is none to compare with.
            None => Check {
                observed: shown.into(),
                ..Check::not_made(
                    name,
                    &self.text,
                    "the value cannot be compared with the expectation",
                )
            },
        }
    }

    fn holds(&self, observed: &Value) -> Option<bool> {
        match &self.test {
            Test::Matches(pattern) => Some(pattern.is_match(&plain(observed))),
            Test::Between(low, high) => {
                let value = Operand::observed(observed, self.kind)?;
                let (above, below) = (value.compare(low)?, value.compare(high)?);
                Some(above != Ordering::Less && below != Ordering::Greater)
            }
            // A list is of course not the one value that it is compared with.
            Test::Compare(Comparison::NotEqual, _)
                if observed.is_array() || observed.is_object() =>
            {
                None
            }
            Test::Compare(comparison, operand) => {
                let value = Operand::observed(observed, self.kind)?;
                let order = value.compare(operand);
                Some(match comparison {
                    Comparison::Equal => order? == Ordering::Equal,
                    Comparison::NotEqual => order? != Ordering::Equal,
                    Comparison::Less => order? == Ordering::Less,
                    Comparison::AtMost => order? != Ordering::Greater,
                    Comparison::Greater => order? == Ordering::Greater,
                    Comparison::AtLeast => order? != Ordering::Less,
                })
            }
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A value as an expectation would be written: text without quotes, numbers without exponents.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        other => other.to_string(),
    }
}

impl Operand {
    fn parse(text: &str, kind: ValueKind) -> Result<Self, String> {
        let number = || text.parse().map(Self::Number);
        let not = |what: &str| format!("{text:?} is not {what}");
        match kind {
            ValueKind::Duration => text.parse().map(Self::Duration),
            ValueKind::Size => {
                text.parse::<u64>().map(ByteSize).or_else(|_| text.parse()).map(Self::Size)
            }
            ValueKind::Number => number().map_err(|()| not("a number")),
            ValueKind::Bool => text.parse().map(Self::Bool).map_err(|_| not("true or false")),
            ValueKind::Text => Ok(Self::Text(text.to_owned())),
            ValueKind::Many if text.starts_with(['[', '{']) => Ok(Self::Text(text.to_owned())),
            ValueKind::Many => Err(NOT_OF_MANY.to_owned()),
            ValueKind::Any => Ok(number().unwrap_or_else(|()| Self::Text(text.to_owned()))),
        }
    }

    /// A value that was seen; `None` when it is of another kind. It may lie far beyond what people write.
    fn observed(value: &Value, kind: ValueKind) -> Option<Self> {
        match (kind, value) {
            (ValueKind::Duration, Value::String(text)) => {
                HumanDuration::measured(text).ok().map(Self::Duration)
            }
            _ => Self::parse(&plain(value), kind).ok(),
        }
    }

    /// `None` when the two cannot be compared.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Size(a), Self::Size(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.compare(*b),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
    use serde_json::json;

    fn judge(written: Value, kind: ValueKind, observed: Value) -> Outcome {
        Expectation::parse(&written, kind).unwrap().judge("x", &observed, "").outcome
    }

    #[test]
    fn values_are_judged_by_kind() {
        use ValueKind::*;
        assert_eq!(judge(json!("<= 26h"), Duration, json!("1d 2h")), Passed);
        assert_eq!(judge(json!("<= 26h"), Duration, json!("1d 2h 1s")), Failed);
        assert_eq!(judge(json!(">= 5 GiB"), Size, json!(5_368_709_120u64)), Passed);
        assert_eq!(judge(json!("= 0"), Any, json!("0.00")), Passed);
        assert_eq!(judge(json!("= 0"), Any, json!("0.01")), Failed);
        assert_eq!(judge(json!(0), Any, json!(0)), Passed);
        assert_eq!(judge(json!("1..10"), Number, json!(10)), Passed);
        assert_eq!(judge(json!("1..10"), Number, json!(11)), Failed);
        assert_eq!(judge(json!(true), Bool, json!(false)), Failed);
        assert_eq!(judge(json!("~ ^db\\.r6g"), Text, json!("db.r6g.large")), Passed);
        assert_eq!(judge(json!("available"), Text, json!("available")), Passed);
    }

    #[test]
    fn what_cannot_be_compared_is_inconclusive() {
        assert_eq!(judge(json!("<= 26h"), ValueKind::Duration, json!(null)), Inconclusive);
        assert_eq!(judge(json!("= 0"), ValueKind::Any, json!("none")), Inconclusive);
        assert_eq!(judge(json!("> 0"), ValueKind::Number, json!([1])), Inconclusive);
        assert_eq!(judge(json!("!= 0"), ValueKind::Any, json!("none")), Inconclusive);
    }

    #[test]
    fn regression_a_value_that_cannot_be_compared_is_shown() {
        let expectation = Expectation::parse(&json!("= 0"), ValueKind::Any).unwrap();
        let check = expectation.judge("x", &json!("none"), "none");
        assert_eq!((check.outcome, check.observed.as_str()), (Inconclusive, "none"));
    }

    #[test]
    fn regression_an_output_that_may_be_missing_keeps_its_kind() {
        let kind = |schema: Value| ValueKind::of_schema(&schema);
        assert_eq!(kind(json!({ "type": ["boolean", "null"] })), ValueKind::Bool);
        assert_eq!(kind(json!({ "type": ["string", "null"] })), ValueKind::Text);
        assert_eq!(kind(json!({ "type": ["integer", "null"] })), ValueKind::Number);
        assert_eq!(kind(json!({ "type": ["integer", "string"] })), ValueKind::Any);
        let choice = json!({ "anyOf": [{ "type": "string", "enum": ["a"] }, { "type": "null" }] });
        assert_eq!(kind(choice), ValueKind::Text);
        assert_eq!(
            judge(json!("= 8.00"), kind(json!({ "type": ["string", "null"] })), json!("8.0")),
            Failed
        );
    }

    #[test]
    fn regression_a_list_does_not_pass_because_it_is_not_one_of_its_items() {
        let groups = json!(["sg-prod"]);
        assert_eq!(judge(json!("!= sg-prod"), ValueKind::Any, groups.clone()), Inconclusive);
        assert_eq!(judge(json!("~ sg-prod"), ValueKind::Any, groups), Passed);
    }

    #[test]
    fn regression_two_dots_between_texts_are_no_range() {
        assert_eq!(judge(json!("../orders"), ValueKind::Any, json!("../orders")), Passed);
        assert_eq!(judge(json!("../orders"), ValueKind::Any, json!("+")), Failed);
        assert!(Expectation::parse(&json!("1..ten"), ValueKind::Any).is_err());
    }

    #[test]
    fn regression_very_small_large_and_long_values_are_judged() {
        assert_eq!(judge(json!("< 0.001"), ValueKind::Number, json!(1e-7)), Passed);
        assert_eq!(judge(json!("< 0.001"), ValueKind::Number, json!(1e21)), Failed);
        assert_eq!(judge(json!(1e-7), ValueKind::Number, json!(1e-7)), Passed);
        assert_eq!(judge(json!("<= 26h"), ValueKind::Duration, json!("20000d")), Failed);
    }

    #[test]
    fn regression_a_pattern_that_holds_for_everything_is_refused() {
        for written in ["~", "~ ", "~ .*", "~ x*", "~ ^", "~ (a|)"] {
            let error = Expectation::parse(&json!(written), ValueKind::Text).unwrap_err();
            assert!(error.contains("check nothing"), "{error}");
        }
    }

    #[test]
    fn regression_what_can_never_be_made_of_a_list_is_refused() {
        let parse = |written: &str| Expectation::parse(&json!(written), ValueKind::Many);
        for written in ["!= x", "x", "= 3", "> 1", "1..3"] {
            assert!(parse(written).unwrap_err().contains("a list or a mapping"), "{written}");
        }
        let judge = |written: &str| parse(written).unwrap().judge("x", &json!(["a"]), "").outcome;
        assert_eq!((judge("~ \"a\""), judge("= [\"a\"]"), judge("[]")), (Passed, Passed, Failed));
        let list = json!({ "type": "array", "items": { "type": "string" } });
        assert_eq!(ValueKind::of_schema(&list), ValueKind::Many);
    }

    #[test]
    fn the_upper_limit_of_a_duration_is_known() {
        let longest = |written: &str| {
            let longest =
                Expectation::parse(&json!(written), ValueKind::Duration).unwrap().longest();
            longest.map(|longest| longest.to_string())
        };
        assert_eq!(longest("<= 26h"), longest("1h..26h"));
        assert_eq!(longest("<= 26h"), Some("1d 2h".to_owned()));
        assert_eq!(longest(">= 26h"), None);
    }

    #[test]
    fn wrong_expectations_are_refused_when_they_are_read() {
        let wrong = |written: Value, kind| Expectation::parse(&written, kind).unwrap_err();
        assert!(wrong(json!("<= 26"), ValueKind::Duration).contains("write a number and a unit"));
        assert!(wrong(json!("> soon"), ValueKind::Any).contains("no order"));
        assert!(wrong(json!("10..1"), ValueKind::Number).contains("empty range"));
        assert!(wrong(json!("~ ("), ValueKind::Text).contains("not a pattern"));
        assert!(wrong(json!([1]), ValueKind::Any).contains("an expectation is"));
    }
}
