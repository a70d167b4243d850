use super::helpers::{HelperFacts, helper};
use crate::limits;
use handlebars::Path;
use handlebars::template::{HelperTemplate, Parameter, Template as Parsed, TemplateElement};
use serde_json::Value;
use std::fmt;
use std::ops::Range;

/// What is wrong with an expression, or why it has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Where in the scalar, in bytes.
    pub span: Range<usize>,
    is_too_large: bool,
}

impl ExpressionError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, span, is_too_large: false }
    }

    /// Expressions put in more than [`limits::INPUT_BYTES`].
    pub(super) fn too_large(span: Range<usize>) -> Self {
        let most = limits::in_units(limits::INPUT_BYTES as u64);
        let message = format!("with its expressions replaced it is too large: the most is {most}");
        Self { is_too_large: true, ..Self::new(span, message) }
    }

    /// True when expressions put in more than [`limits::INPUT_BYTES`].
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpressionError {}

/// A path in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its names: `["steps", "point", "arn"]`.
    pub path: Vec<String>,
    /// Where in the scalar, in bytes.
    pub span: Range<usize>,
    /// The scalar is this reference and nothing else: it keeps its type.
    pub whole: bool,
    /// A helper takes it, rather than the text around it.
    pub inside_helper: bool,
    /// It may be missing: it is the first value of `default`.
    pub may_be_missing: bool,
}

impl Reference {
    /// The step that is meant, if it is one.
    pub fn step(&self) -> Option<&str> {
        match self.path.as_slice() {
            [root, step, ..] if root == "steps" => Some(step),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("."))
    }
}

/// A text with expressions, read once.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) source: String,
    pub(super) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    Expression { operand: Operand, span: Range<usize> },
}

/// What an expression consists of.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Reference(Reference),
    Literal(Value),
    Call { helper: &'static HelperFacts, operands: Vec<Operand> },
}

impl Template {
    /// True when a text holds an expression at all; every other text stands for itself.
    pub fn is_in(text: &str) -> bool {
        text.contains("{{")
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When it is not an expression, or uses more than paths and helpers.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if !Self::is_in(text) {
            return Ok(Self { source: text.to_owned(), parts: vec![Part::Text(text.to_owned())] });
        }
        check_limits(text)?;
        let parsed = Parsed::compile(text).map_err(|error| not_read(text, &error))?;
        let starts: Vec<usize> =
            parsed.mapping.iter().map(|at| offset_of(text, at.0, at.1)).collect();
        // Blocks have no entry in the mapping; they are refused, but must not shift the places of what follows.
        if starts.len() != parsed.elements.len() {
            return Err(block_error(text));
        }
        let mut parts = Vec::new();
        for (index, element) in parsed.elements.iter().enumerate() {
            let start = starts[index];
            let mut end = starts.get(index + 1).copied().unwrap_or(text.len()).max(start);
            if !matches!(element, TemplateElement::RawString(_)) {
                // The parser gives blanks between two expressions the place where they end.
                end = start + text[start..end].trim_end().len();
            }
            parts.push(part(text, element, start..end)?);
        }
        if let [Part::Expression { operand: Operand::Reference(reference), .. }] =
            parts.as_mut_slice()
        {
            reference.whole = true;
        }
        Ok(Self { source: text.to_owned(), parts })
    }

    /// The paths in it, in written order.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        for part in &self.parts {
            if let Part::Expression { operand, .. } = part {
                operand.references(&mut found);
            }
        }
        found
    }

    /// The helper whose result is the whole value.
    pub fn whole_call(&self) -> Option<&'static HelperFacts> {
        match self.parts.as_slice() {
            [Part::Expression { operand: Operand::Call { helper, .. }, .. }] => Some(helper),
            _ => None,
        }
    }

    /// True when the scalar is exactly one expression, so that its value keeps its type.
    pub fn is_whole(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Expression { .. }])
    }
}

impl Operand {
    fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Self::Reference(reference) => found.push(reference),
            Self::Literal(_) => {}
            Self::Call { operands, .. } => operands.iter().for_each(|o| o.references(found)),
        }
    }
}

/// Every reference anywhere in a value, in order. What cannot be read is passed over: checking is for [`Template::parse`].
pub fn references(value: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) if Template::is_in(text) => {
            if let Ok(template) = Template::parse(text) {
                found.extend(template.references().into_iter().cloned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

pub(super) fn check_limits(text: &str) -> Result<(), ExpressionError> {
    let whole = 0..text.len();
    if text.len() > limits::EXPRESSION_BYTES {
        return Err(ExpressionError::new(whole, "a text with expressions has at most 64 KiB"));
    }
    if text.matches("{{").count() > limits::EXPRESSIONS {
        return Err(ExpressionError::new(whole, "one text has at most 200 expressions"));
    }
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits::EXPRESSION_DEPTH * 2 {
            return Err(ExpressionError::new(whole, "brackets are nested too deeply"));
        }
    }
    Ok(())
}

/// Byte offset of a line and column, both from 1 and the column in characters.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start =
        text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    let inside = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    start + inside
}

fn not_read(text: &str, error: &handlebars::TemplateError) -> ExpressionError {
    let at = error.pos().map_or(0, |(line, column)| offset_of(text, line, column));
    // The reader points behind the last piece that it understood; the expression that it stumbled over is there.
    let start = text[at..].find("{{").map(|found| at + found).or_else(|| text[..at].rfind("{{"));
    let start = start.unwrap_or(at);
    let end = text[start..].find("}}").map_or(text.len(), |found| start + found + 2);
    let inner = text[start..end].trim_start_matches("{{").trim_start();
    if let Some(sign @ ('#' | '/' | '>' | '*' | '^' | '!' | '&' | '{' | '~')) = inner.chars().next()
    {
        return not_allowed(&format!("{{{{{sign}"), start..end);
    }
    let message = if text[start..].contains("}}") {
        format!("{} is not an expression", &text[start..end])
    } else {
        "the expression does not end: }} is missing".to_owned()
    };
    ExpressionError::new(start..end, message).help(
        "write a path such as {{steps.restore.endpoint}}, or a helper such as {{lower vars.name}}",
    )
}

fn block_error(text: &str) -> ExpressionError {
    let start =
        text.find("{{#").or_else(|| text.find("{{{{")).or_else(|| text.find("{{")).unwrap_or(0);
    let end = text[start..].find("}}").map_or(text.len(), |found| start + found + 2);
    not_allowed("{{#", start..end)
}

fn not_allowed(what: &str, span: Range<usize>) -> ExpressionError {
    let names: Vec<_> = super::HELPERS.iter().map(|helper| helper.name).collect();
    ExpressionError::new(span, format!("{what} … is not part of the language"))
        .help(format!("paths and these helpers are: {}", names.join(", ")))
}

fn part(
    text: &str,
    element: &TemplateElement,
    span: Range<usize>,
) -> Result<Part, ExpressionError> {
    let written = &text[span.clone()];
    match element {
        TemplateElement::RawString(raw) => Ok(Part::Text(raw.clone())),
        TemplateElement::Expression(_)
            if written.starts_with("{{~") || written.ends_with("~}}") =>
        {
            Err(not_allowed("~", span))
        }
        TemplateElement::Expression(call) => {
            Ok(Part::Expression { operand: operand_of(text, call, &span, false)?, span })
        }
        TemplateElement::HtmlExpression(_) => Err(not_allowed("{{{", span)),
        TemplateElement::HelperBlock(_) => Err(not_allowed("{{#", span)),
        TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
            Err(not_allowed("{{*", span))
        }
        TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
            Err(not_allowed("{{>", span))
        }
        TemplateElement::Comment(_) => {
            Err(not_allowed("{{!", span).help("write comments as YAML comments"))
        }
        _ => Err(not_allowed("this", span)),
    }
}

/// A path, or a call of a helper.
fn operand_of(
    text: &str,
    call: &HelperTemplate,
    span: &Range<usize>,
    inside_helper: bool,
) -> Result<Operand, ExpressionError> {
    if !call.hash.is_empty() || call.block_param.is_some() {
        return Err(ExpressionError::new(span.clone(), "helpers take values without names"));
    }
    if call.params.is_empty() {
        return parameter(text, &call.name, span, inside_helper);
    }
    let name = match &call.name {
        Parameter::Name(name) => name.as_str(),
        Parameter::Path(Path::Relative((_, raw))) => raw.as_str(),
        _ => "",
    };
    let Some(facts) = helper(name) else {
        let error = not_allowed(&format!("helper {name:?}"), span.clone());
        return Err(
            match super::super::suggest::nearest(name, super::HELPERS.iter().map(|h| h.name)) {
                Some(near) => error.help(format!("did you mean {near}?")),
                None => error,
            },
        );
    };
    let (fewest, most) = facts.takes;
    if !(fewest..=most).contains(&call.params.len()) {
        let message = format!("{name} is written {}", facts.usage);
        return Err(ExpressionError::new(span.clone(), message));
    }
    let mut operands = Vec::new();
    for (index, given) in call.params.iter().enumerate() {
        let mut operand = parameter(text, given, span, true)?;
        if let Operand::Reference(reference) = &mut operand {
            reference.may_be_missing = facts.name == "default" && index == 0;
        }
        operands.push(operand);
    }
    Ok(Operand::Call { helper: facts, operands })
}

fn parameter(
    text: &str,
    parameter: &Parameter,
    span: &Range<usize>,
    inside_helper: bool,
) -> Result<Operand, ExpressionError> {
    match parameter {
        Parameter::Literal(value) => Ok(Operand::Literal(value.clone())),
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(call) => operand_of(text, call, span, true),
            _ => Err(not_allowed("this", span.clone())),
        },
        Parameter::Path(Path::Relative((_, raw))) | Parameter::Name(raw) => {
            path(text, raw, span, inside_helper)
        }
        Parameter::Path(Path::Local((_, _, raw))) => Err(not_allowed(raw, span.clone())),
        _ => Err(not_allowed("this", span.clone())),
    }
}

fn path(
    text: &str,
    raw: &str,
    span: &Range<usize>,
    inside_helper: bool,
) -> Result<Operand, ExpressionError> {
    let written = text.get(span.clone()).unwrap_or_default();
    let start = span.start + written.find(raw).unwrap_or_default();
    let place = start..(start + raw.len()).min(text.len());
    let names = names_of(raw).ok_or_else(|| {
        not_allowed(raw, place.clone()).help("write a path with dots: steps.restore.endpoint")
    })?;
    Ok(Operand::Reference(Reference {
        path: names,
        span: place,
        whole: false,
        inside_helper,
        may_be_missing: false,
    }))
}

/// The names of a path with dots; odd ones stand in brackets: `tags.[Cost Center]`.
fn names_of(raw: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = raw;
    loop {
        let (name, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            }
        };
        let plain = !rest.starts_with('[');
        if name.is_empty() || (plain && (name == "this" || name.contains(['/', '@', '[', ']']))) {
            return None;
        }
        names.push(name.to_owned());
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(names),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(text: &str) -> String {
        Template::parse(text).unwrap_err().message
    }

    #[test]
    fn references_know_their_place_in_the_scalar() {
        let text = "ä {{steps.a.arn}} and {{concat vars.x (lower inputs.[y z])}}";
        let template = Template::parse(text).unwrap();
        let found: Vec<_> =
            template.references().iter().map(|r| (r.to_string(), &text[r.span.clone()])).collect();
        let expected =
            [("steps.a.arn", "steps.a.arn"), ("vars.x", "vars.x"), ("inputs.y z", "inputs.[y z]")]
                .map(|(path, written)| (path.to_owned(), written));
        assert_eq!(found, expected);
        assert!(!template.is_whole());
        assert!(Template::parse("{{ steps.a.b }}").unwrap().references()[0].whole);
        assert_eq!(references(&json!({ "a": ["{{vars.x}}", 1, "{{"] })).len(), 1);
    }

    #[test]
    fn everything_but_paths_and_helpers_is_refused() {
        for text in [
            "{{#if vars.x}}a{{/if}}",
            "a {{#each vars.x}}{{this}}{{/each}} b",
            "{{> other}}",
            "{{#> other}}x{{/other}}",
            "{{#*inline \"x\"}}{{> x}}{{/inline}}{{> x}}",
            "{{* decorate x}}",
            "{{{vars.x}}}",
            "{{& vars.x}}",
            "{{!-- note --}}",
            "{{! note }}",
            "{{@root.vars.x}}",
            "{{../vars.x}}",
            "{{this}}",
            "{{this.x}}",
            "{{./x}}",
            "{{vars/x}}",
            "{{~ vars.x}}",
            "{{vars.x ~}}",
            "{{lookup vars \"x\"}}",
            "{{log vars.x}}",
            "{{default vars.x}}",
            "{{lower vars.x name=1}}",
            "{{{{raw}}}} {{x}} {{{{/raw}}}}",
            "{{else}}",
            "{{vars.x",
            "{{}}",
            "{{vars..x}}",
            "{{/if}}",
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(
                error.span.end <= text.len() && text.get(error.span.clone()).is_some(),
                "{text}"
            );
        }
        assert!(message("{{#if vars.x}}a{{/if}}").contains("{{#"));
        assert!(message("{{vars.x").contains("does not end"));
        let misspelt = Template::parse("{{lowr vars.x}}").unwrap_err();
        assert_eq!(misspelt.help.unwrap(), "did you mean lower?");
    }

    #[test]
    fn reading_is_bounded() {
        assert!(message(&"{{vars.x}}".repeat(201)).contains("200"));
        assert!(message(&format!("{{{{{}", "(".repeat(5000))).contains("nested"));
        assert!(
            message(&format!("{{{{{}}}}}", "x".repeat(limits::EXPRESSION_BYTES)))
                .contains("64 KiB")
        );
    }
}
