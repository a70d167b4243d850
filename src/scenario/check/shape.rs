use crate::action::Registry;
use crate::limits;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::schema::language;
use crate::scenario::source::{Kind, Node, Source};
use crate::scenario::suggest::nearest;
use crate::time::{ByteSize, HumanDuration};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use std::ops::Range;

/// Checks a document against the schema of the language: all errors, in the language of the scenario.
pub(super) fn check(source: &Source, root: &Node, registry: &Registry) -> Vec<Diagnostic> {
    let language = registry.derived(Language::of);
    let validator = match &language.validator {
        Ok(validator) => validator,
        Err(why) => return vec![Diagnostic::new("RD011", source, 0..0, why.clone())],
    };
    let json = root.to_value();
    let shape = Shape { source, root, json: &json, schema: &language.schema };
    let all = validator.iter_errors(&json).flat_map(|error| shape.describe(&error));
    // One more than is shown, so that it is seen that there are more.
    all.take(limits::SCENARIO_ERRORS + 1).collect()
}

/// The schema of the language with all actions, ready to check with.
struct Language {
    schema: Value,
    validator: Result<Validator, String>,
}

impl Language {
    fn of(registry: &Registry) -> Self {
        let schema = language(registry);
        Self { validator: validator(&schema), schema }
    }
}

/// A validator that knows our units.
///
/// # Errors
/// When the schema is none, which is a bug of an action's type.
pub(super) fn validator(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .with_format("redrill-duration", |text: &str| text.parse::<HumanDuration>().is_ok())
        .with_format("redrill-size", |text: &str| text.parse::<ByteSize>().is_ok())
        .should_validate_formats(true)
        .build(schema)
        .map_err(|error| format!("the schema of the language cannot be used: {error}"))
}

struct Shape<'a> {
    source: &'a Source,
    root: &'a Node,
    json: &'a Value,
    schema: &'a Value,
}

impl Shape<'_> {
    fn at(&self, code: &'static str, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, self.source, span, message)
    }

    fn describe(&self, error: &ValidationError<'_>) -> Vec<Diagnostic> {
        let pointer = error.instance_path().as_str().to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let first = unexpected.iter().take(limits::SCENARIO_ERRORS + 1);
                first.map(|key| self.unknown_key(&pointer, key, error)).collect()
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.no_form(&pointer, error, context)
            }
            ValidationErrorKind::OneOfMultipleValid { .. } => {
                let message = format!("{} is given in several ways at once", place(&pointer));
                let diagnostic = self.at("RD011", self.value_mark(&pointer), message);
                let keys = self.alternatives(error);
                let expected = format!("only one of: {}", keys.join(", "));
                vec![if keys.is_empty() { diagnostic } else { diagnostic.expected(expected) }]
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                if self.is_misspelt(&pointer, key, error) {
                    return Vec::new();
                }
                vec![self.missing_key(&pointer, key, error)]
            }
            // That it is not even text has been said.
            ValidationErrorKind::Enum { .. }
                if !error.instance().is_string() && self.beside(error, "type").is_some() =>
            {
                Vec::new()
            }
            _ => vec![self.wrong_value(&pointer, error)],
        }
    }

    fn unknown_key(&self, pointer: &str, key: &str, error: &ValidationError<'_>) -> Diagnostic {
        let node = self.root.find(pointer);
        let span = node.entry(key).map_or_else(|| self.mark(pointer), |e| e.key_span.clone());
        let known: Vec<&str> = self
            .beside(error, "properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let diagnostic = match self.action_of_with(pointer) {
            Some(action) => self.at("RD221", span, format!("{action} has no input {key}")),
            None => self.at("RD003", span, format!("unknown key {key} in {}", place(pointer))),
        };
        let diagnostic = diagnostic.expected(format!("one of: {}", known.join(", ")));
        match nearest(key, known) {
            Some(near) => diagnostic.help(format!("did you mean {near}?")),
            None => diagnostic,
        }
    }

    /// True when an unknown key of the mapping is meant to be this one: that message says it all.
    fn is_misspelt(&self, pointer: &str, key: &str, error: &ValidationError<'_>) -> bool {
        let known = self.beside(error, "properties");
        let is_known = |name: &str| known.is_some_and(|known| known.get(name).is_some());
        let closed = self.beside(error, "additionalProperties") == Some(&Value::Bool(false));
        let entries = self.root.find(pointer).entries();
        closed && entries.iter().any(|e| !is_known(&e.key) && nearest(&e.key, [key]).is_some())
    }

    fn missing_key(&self, pointer: &str, key: &str, error: &ValidationError<'_>) -> Diagnostic {
        let about = self
            .beside(error, "properties")
            .and_then(|properties| properties.get(key)?.get("description")?.as_str())
            .and_then(|text| text.lines().next())
            .map(str::to_owned);
        let is_step = step_of(pointer).is_some_and(|(_, rest)| rest.is_empty());
        let diagnostic = match (self.action_of_with(pointer), is_step && key == "with") {
            (Some(action), _) => {
                self.at("RD222", self.mark(pointer), format!("{action} needs the input {key}"))
            }
            (None, true) => {
                let needed = self.beside(error, "properties/with/required").map(list_of);
                let action = self.action_of_step(pointer).unwrap_or("the action");
                let needed = needed.unwrap_or_default();
                self.at("RD222", self.mark(pointer), format!("{action} needs inputs: {needed}"))
                    .help("give them under with:")
            }
            _ => {
                let message = format!("{} has no {key}, which must be there", place(pointer));
                self.at("RD004", self.mark(pointer), message)
            }
        };
        match about {
            Some(about) if key != "with" => diagnostic.help(format!("{key}: {about}")),
            _ => diagnostic,
        }
    }

    fn wrong_value(&self, pointer: &str, error: &ValidationError<'_>) -> Diagnostic {
        let node = self.root.find(pointer);
        let span = self.value_mark(pointer);
        let words = words_for(node.kind_word(), pointer, error, self.beside(error, "format"));
        let mut diagnostic = self.at(words.code, span, words.message);
        if words.code == "RD006" && pointer.ends_with("/uses") {
            diagnostic = self.at(
                "RD202",
                self.value_mark(pointer),
                format!("there is no action {}", node.shown()),
            );
            diagnostic.expected = None;
        } else {
            diagnostic.expected = words.expected;
        }
        diagnostic.help = words.help;
        if pointer == "/redrill" {
            let help = "this program reads version 1 of the language: write redrill: 1, or take a newer program";
            diagnostic.help = Some(help.to_owned());
        }
        diagnostic
    }

    /// None of several forms fits: the errors of the one that is meant, if that can be told.
    fn no_form(
        &self,
        pointer: &str,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
    ) -> Vec<Diagnostic> {
        let keys = self.alternatives(error);
        if !keys.is_empty() && matches!(self.root.find(pointer).kind, Kind::Map(_)) {
            let message = format!("{} lacks a key that must be there", place(pointer));
            let diagnostic = self.at("RD004", self.mark(pointer), message);
            return vec![diagnostic.expected(format!("one of: {}", keys.join(", ")))];
        }
        let wrong_type = |errors: &[ValidationError<'static>]| {
            errors.iter().any(|one| {
                one.instance_path().as_str() == pointer
                    && matches!(one.kind(), ValidationErrorKind::Type { .. })
            })
        };
        let meant = context
            .iter()
            .filter(|errors| !errors.is_empty() && !wrong_type(errors))
            .min_by_key(|errors| errors.len());
        if let Some(meant) = meant {
            return meant.iter().flat_map(|one| self.describe(one)).collect();
        }
        let forms = ["anyOf", "oneOf"]
            .iter()
            .filter_map(|key| self.beside(error, key)?.as_array())
            .flatten()
            .filter_map(|form| form.get("description").or_else(|| form.get("type")))
            .filter_map(|words| words.as_str()?.lines().next())
            .collect::<Vec<_>>();
        let node = self.root.find(pointer);
        let message =
            format!("{} is {}, which is none of its forms", place(pointer), node.kind_word());
        let diagnostic = self.at("RD011", self.value_mark(pointer), message);
        vec![if forms.is_empty() { diagnostic } else { diagnostic.expected(forms.join(", or ")) }]
    }

    /// The keys of which exactly one must be there, where the schema says no more than that.
    fn alternatives(&self, error: &ValidationError<'_>) -> Vec<String> {
        let Some(Value::Array(forms)) = self.beside(error, "oneOf") else { return Vec::new() };
        let key = |form: &'_ Value| match form.as_object().filter(|form| form.len() == 1) {
            Some(form) => form.get("required")?.as_array()?.first()?.as_str().map(str::to_owned),
            None => None,
        };
        let keys: Option<Vec<String>> = forms.iter().map(key).collect();
        keys.unwrap_or_default()
    }

    /// A keyword of the same schema as the one that was offended.
    fn beside(&self, error: &ValidationError<'_>, keyword: &str) -> Option<&Value> {
        let path = error.schema_path().as_str();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.schema.pointer(&format!("{parent}/{keyword}"))
    }

    /// The action of a step whose `with` is meant.
    fn action_of_with(&self, pointer: &str) -> Option<&str> {
        let (step, rest) = step_of(pointer)?;
        (rest == "/with").then(|| self.action_of_step(step)).flatten()
    }

    fn action_of_step(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.get("uses")?.as_str()
    }

    /// Where to point when something is missing in a mapping: at its key, or at the first key of an item of a list.
    fn mark(&self, pointer: &str) -> Range<usize> {
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(entry) = self.root.find(parent).entry(key)
        {
            return entry.key_span.clone();
        }
        let node = self.root.find(pointer);
        node.entries().first().map_or_else(|| node.span.clone(), |entry| entry.key_span.clone())
    }

    /// Where to point when a value is wrong: at a scalar, else at its key.
    fn value_mark(&self, pointer: &str) -> Range<usize> {
        let node = self.root.find(pointer);
        match node.kind {
            Kind::List(_) | Kind::Map(_) | Kind::Null => self.mark(pointer),
            _ => node.span.clone(),
        }
    }
}

/// The pointer of the step that a pointer leads into, and what comes after it.
fn step_of(pointer: &str) -> Option<(&str, &str)> {
    let rest = pointer.strip_prefix("/steps/")?;
    let digits = rest.find('/').unwrap_or(rest.len());
    Some(pointer.split_at("/steps/".len() + digits))
}

fn list_of(names: &Value) -> String {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// A pointer as people would say it: `steps[2].with.port`.
fn place(pointer: &str) -> String {
    let mut text = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{part}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    if text.is_empty() { "the scenario".to_owned() } else { text }
}

impl Node {
    /// What stands there, in words.
    pub(crate) fn kind_word(&self) -> String {
        match &self.kind {
            Kind::Null => "empty".to_owned(),
            Kind::Bool(value) => format!("{value}"),
            Kind::Number(number) => format!("the number {number}"),
            Kind::Text(text) => format!("the text {}", short(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    fn shown(&self) -> String {
        self.text().map_or_else(|| self.kind_word(), short)
    }
}

fn short(text: &str) -> String {
    if text.chars().count() > 40 {
        format!("{:?}…", text.chars().take(40).collect::<String>())
    } else {
        format!("{text:?}")
    }
}

/// What is wrong with one value.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) expected: Option<String>,
    pub(super) help: Option<String>,
}

/// What is wrong with one value: `found` says what stands there, `format` is the format that its schema asks for.
pub(super) fn words_for(
    found: String,
    pointer: &str,
    error: &ValidationError<'_>,
    format: Option<&Value>,
) -> Words {
    use ValidationErrorKind as K;
    let name = place(pointer);
    let is = |code, expected: String| Words {
        code,
        message: format!("{name} is {found}"),
        expected: Some(expected),
        help: None,
    };
    match error.kind() {
        K::Type { kind } => match format.and_then(Value::as_str) {
            Some("redrill-duration") => Words {
                help: Some("write a number and a unit, such as 90s, 15m, 4h or 7d".to_owned()),
                ..is("RD007", "a duration".to_owned())
            },
            _ => {
                let mut words = is("RD005", types_word(kind));
                if error.instance().is_number() && types_word(kind).contains("text") {
                    words.help = Some(format!("quote it: \"{}\"", error.instance()));
                }
                words
            }
        },
        K::Format { format } => {
            let text = error.instance().as_str().unwrap_or_default();
            let (expected, help) = match format.as_str() {
                "redrill-duration" => ("a duration", text.parse::<HumanDuration>().err()),
                "redrill-size" => ("a size", text.parse::<ByteSize>().err()),
                other => (other, None),
            };
            Words { help, ..is("RD007", expected.to_owned()) }
        }
        K::Enum { options } => {
            let names: Vec<&str> = options
                .as_array()
                .map(|options| options.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let near =
                nearest(error.instance().as_str().unwrap_or_default(), names.iter().copied());
            Words {
                help: near.map(|near| format!("did you mean {near}?")),
                ..is("RD006", format!("one of: {}", names.join(", ")))
            }
        }
        K::Constant { expected_value } => is("RD006", expected_value.to_string()),
        K::Pattern { pattern } => is("RD008", format!("something that matches {pattern}")),
        K::Minimum { limit } => is("RD009", format!("at least {limit}")),
        K::Maximum { limit } => is("RD009", format!("at most {limit}")),
        K::ExclusiveMinimum { limit } => is("RD009", format!("more than {limit}")),
        K::ExclusiveMaximum { limit } => is("RD009", format!("less than {limit}")),
        K::MinItems { limit } => is("RD009", format!("at least {limit} items")),
        K::MaxItems { limit } => is("RD009", format!("at most {limit} items")),
        K::MinLength { limit } => is("RD009", format!("at least {limit} characters")),
        K::MaxLength { limit } => is("RD009", format!("at most {limit} characters")),
        _ => Words { message: format!("{name}: {error}"), ..is("RD011", String::new()) },
    }
}

fn types_word(kind: &TypeKind) -> String {
    let names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect(),
    };
    let words = names.iter().map(|name| match name.as_str() {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    });
    words.collect::<Vec<_>>().join(" or ")
}
