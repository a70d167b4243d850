use super::helpers::as_text;
use super::template::{ExpressionError, Operand, Part, Reference, Template, check_limits};
use crate::ids::StepId;
use crate::limits;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A value.
    Value(Value),
    /// Nothing, and why.
    Missing(String),
    /// It is not known yet: steps and the run, before there is a run.
    Later,
}

/// What references stand for. [`Names`] is the usual one; the runbook gives names of shell variables instead of values.
pub trait Scope {
    /// What a path stands for.
    fn look_up(&self, path: &[String]) -> Found;
}

/// Values by name: `vars`, `inputs`, `sites`, `steps`, `run`. What has not been added is not known yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    roots: BTreeMap<String, Value>,
}

impl Names {
    /// Adds everything under one first name: `names.with("vars", …)`.
    #[must_use]
    pub fn with(mut self, root: &str, value: Value) -> Self {
        self.roots.insert(root.to_owned(), value);
        self
    }

    /// Adds the outputs of a step that has ended. From the first one on, every other step counts as missing.
    pub fn add_step(&mut self, step: &StepId, outputs: Value) {
        let steps =
            self.roots.entry("steps".to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(steps) = steps {
            steps.insert(step.to_string(), outputs);
        }
    }
}

impl Scope for Names {
    fn look_up(&self, path: &[String]) -> Found {
        let Some((root, rest)) = path.split_first() else {
            return Found::Missing("an empty path".to_owned());
        };
        let Some(mut value) = self.roots.get(root) else { return Found::Later };
        for (index, name) in rest.iter().enumerate() {
            let next = match value {
                Value::Object(fields) => fields.get(name),
                Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
                _ => None,
            };
            match next {
                Some(found) => value = found,
                None if root == "steps" && index == 0 => {
                    return Found::Missing(format!("step {name} has no outputs: it did not pass"));
                }
                None => {
                    return Found::Missing(format!("{} has no {name}", path[..=index].join(".")));
                }
            }
        }
        if value.is_null() {
            return Found::Missing(format!("{} has no value", path.join(".")));
        }
        Found::Value(value.clone())
    }
}

/// How many bytes expressions may still put into a value. They are counted before they are kept: a short text can stand for a long
/// one in thousands of places.
struct Room(Cell<usize>);

impl Room {
    fn new() -> Self {
        Self(Cell::new(limits::INPUT_BYTES))
    }

    fn take(&self, value: &Value, span: &Range<usize>) -> Result<(), ExpressionError> {
        let left = self.0.get().checked_sub(limits::json_bytes(value));
        self.0.set(left.ok_or_else(|| ExpressionError::too_large(span.clone()))?);
        Ok(())
    }

    fn taken(&self) -> usize {
        limits::INPUT_BYTES - self.0.get()
    }
}

/// Replaces every expression in a value by what it stands for.
///
/// # Errors
/// When something is missing, not known yet, or cannot be part of a text, and when expressions put in more than
/// [`limits::INPUT_BYTES`].
pub fn resolve(value: &Value, scope: &dyn Scope) -> Result<Value, ExpressionError> {
    let room = Room::new();
    resolve_where(value, &|text| {
        let template = Template::parse(text)?;
        match template.evaluate(scope, &room)? {
            Evaluated::Value(value) => Ok(value),
            Evaluated::Later(reference) => Err(ExpressionError::new(
                reference.span.clone(),
                format!("{reference} is not known here"),
            )),
        }
    })
}

/// Replaces what is known by now and leaves the other expressions standing, so that [`resolve`] later gives the same
/// as if everything had been known at once. Text that only looks like an expression is written so that it is not read as
/// one: `{{str "…"}}`. An expression that mixes both keeps both; so the later scope must know the earlier names, too.
///
/// # Errors
/// As for [`resolve`], except that nothing has to be known yet.
pub fn resolve_known(value: &Value, scope: &dyn Scope) -> Result<Value, ExpressionError> {
    resolve_known_counted(value, scope).map(|(known, _)| known)
}

/// As [`resolve_known`], with the number of bytes that expressions have put in.
///
/// # Errors
/// As for [`resolve_known`].
pub(crate) fn resolve_known_counted(
    value: &Value,
    scope: &dyn Scope,
) -> Result<(Value, usize), ExpressionError> {
    let room = Room::new();
    let known = resolve_where(value, &|text| Template::parse(text)?.evaluate_known(scope, &room))?;
    Ok((known, room.taken()))
}

type ResolveText<'a> = &'a dyn Fn(&str) -> Result<Value, ExpressionError>;

fn resolve_where(value: &Value, text: ResolveText<'_>) -> Result<Value, ExpressionError> {
    match value {
        Value::String(written) if Template::is_in(written) => text(written),
        Value::Array(items) => items
            .iter()
            .map(|item| resolve_where(item, text))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(fields) => {
            let resolved = fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), resolve_where(field, text)?)))
                .collect::<Result<Map<_, _>, _>>()?;
            Ok(Value::Object(resolved))
        }
        other => Ok(other.clone()),
    }
}

/// The value of an expression, or the reference that is not known yet.
enum Evaluated<'a> {
    Value(Value),
    Later(&'a Reference),
}

impl Template {
    fn evaluate(&self, scope: &dyn Scope, room: &Room) -> Result<Evaluated<'_>, ExpressionError> {
        if let [Part::Expression { operand, span }] = self.parts.as_slice() {
            return operand.evaluate(scope, span, room);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(raw) => text.push_str(raw),
                Part::Expression { operand, span } => match operand.evaluate(scope, span, room)? {
                    Evaluated::Value(value) => text.push_str(&inside_text(&value, span)?),
                    later @ Evaluated::Later(_) => return Ok(later),
                },
            }
        }
        Ok(Evaluated::Value(Value::String(text)))
    }

    fn evaluate_known(&self, scope: &dyn Scope, room: &Room) -> Result<Value, ExpressionError> {
        let before = room.0.get();
        if let Evaluated::Value(value) = self.evaluate(scope, room)? {
            return Ok(quoted(value));
        }
        // What it had put in is evaluated again.
        room.0.set(before);
        let (mut text, mut literal) = (String::new(), String::new());
        for part in &self.parts {
            match part {
                Part::Text(raw) => literal.push_str(raw),
                Part::Expression { operand, span } => match operand.evaluate(scope, span, room)? {
                    Evaluated::Value(value) => literal.push_str(&inside_text(&value, span)?),
                    Evaluated::Later(_) => {
                        text.push_str(&as_literal(&std::mem::take(&mut literal)));
                        text.push_str(&self.source[span.clone()]);
                    }
                },
            }
        }
        text.push_str(&as_literal(&literal));
        // It is read again when the rest is known.
        check_limits(&text).map_err(|why| {
            let message = format!("with what is known before the run put in, {why}");
            ExpressionError::new(0..self.source.len(), message)
        })?;
        Ok(Value::String(text))
    }
}

fn inside_text(value: &Value, span: &Range<usize>) -> Result<String, ExpressionError> {
    as_text(value).map_err(|message| ExpressionError::new(span.clone(), message))
}

/// A text that stands for itself when it is read as a template beside others.
fn as_literal(text: &str) -> String {
    if !text.contains(['{', '\\']) {
        return text.to_owned();
    }
    let json = Value::from(text).to_string().replace('{', "\\u007b").replace('}', "\\u007d");
    format!("{{{{str {json}}}}}")
}

/// A value in which nothing is read as an expression.
fn quoted(value: Value) -> Value {
    match value {
        Value::String(text) if Template::is_in(&text) => Value::String(as_literal(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(quoted).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, field)| (name, quoted(field))).collect())
        }
        other => other,
    }
}

impl Operand {
    fn evaluate<'a>(
        &'a self,
        scope: &dyn Scope,
        span: &Range<usize>,
        room: &Room,
    ) -> Result<Evaluated<'a>, ExpressionError> {
        match self {
            Self::Literal(value) => Ok(Evaluated::Value(value.clone())),
            Self::Reference(reference) => match scope.look_up(&reference.path) {
                Found::Value(value) => {
                    room.take(&value, span)?;
                    Ok(Evaluated::Value(value))
                }
                Found::Later => Ok(Evaluated::Later(reference)),
                Found::Missing(_) if reference.may_be_missing => Ok(Evaluated::Value(Value::Null)),
                Found::Missing(why) => Err(ExpressionError::new(reference.span.clone(), why)),
            },
            Self::Call { helper, operands } => {
                let before = room.0.get();
                let mut values = Vec::with_capacity(operands.len());
                for operand in operands {
                    match operand.evaluate(scope, span, room)? {
                        Evaluated::Value(value) => values.push(value),
                        later @ Evaluated::Later(_) => {
                            room.0.set(before);
                            return Ok(later);
                        }
                    }
                }
                let value = (helper.apply)(&values)
                    .map_err(|message| ExpressionError::new(span.clone(), message))?;
                // What a helper takes is gone once it has given its result.
                room.0.set(before);
                room.take(&value, span)?;
                Ok(Evaluated::Value(value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn names() -> Names {
        let steps = json!({ "point": { "arn": "arn:x", "count": 3, "gone": null,
            "tags": { "Cost Center": "7" }, "list": ["a", "b"] } });
        Names::default()
            .with("steps", steps)
            .with(
                "vars",
                json!({ "class": "db.r6g.large", "groups": ["sg-1"], "odd": "{{vars.class}} \\" }),
            )
            .with("inputs", json!({ "deep": true, "Name": "ABC" }))
    }

    fn value(text: &str) -> Value {
        resolve(&json!(text), &names()).unwrap()
    }

    fn error(text: &str) -> String {
        resolve(&json!(text), &names()).unwrap_err().message
    }

    #[test]
    fn regression_a_short_text_that_stands_for_a_long_one_many_times_is_given_up_while_it_grows() {
        let long = "x".repeat(limits::INPUT_BYTES / 10);
        let list = ["{{inputs.long}}"; 11];
        let names = Names::default().with("inputs", json!({ "long": long, "quote": "\"\"" }));
        let many: Vec<String> = vec![list.concat(); 1_000];
        // Each doubles what it is given, so that a few dozen would take all memory there is.
        let doubled = format!("{{{{{}json inputs.quote{}}}}}", "json (".repeat(20), ")".repeat(20));
        for value in [json!(list), json!(list.concat()), json!(many), json!(doubled)] {
            let error = resolve(&value, &names).unwrap_err();
            assert!(error.is_too_large(), "{error}");
            assert!(resolve_known(&value, &names).unwrap_err().is_too_large());
        }
        assert!(resolve(&json!(list[..9].concat()), &names).is_ok());
        // What is computed on the way, and what is looked at twice, is not counted.
        let nested = ["{{lower (lower (lower (lower (lower inputs.long))))}}"; 9];
        assert!(resolve(&json!(nested), &names).is_ok());
        let short = "x".repeat(60_000);
        let names = names.with("vars", json!({ "short": short }));
        let partly = ["{{vars.short}}{{steps.a.b}}"; 17];
        assert!(resolve_known(&json!(partly), &names).is_ok());
        let (_, bytes) = resolve_known_counted(&json!(["{{inputs.quote}}", "x"]), &names).unwrap();
        assert_eq!(bytes, 6);
    }

    #[test]
    fn regression_a_text_that_could_not_be_read_on_the_day_is_refused_before() {
        let long = "x".repeat(limits::EXPRESSION_BYTES);
        let names = Names::default().with("inputs", json!({ "long": long }));
        let written = json!("{{inputs.long}} of {{steps.a.b}}");
        let error = resolve_known(&written, &names).unwrap_err().to_string();
        let told =
            "with what is known before the run put in, a text with expressions has at most 64 KiB";
        assert_eq!(error, told);
        // Each brace beside an expression becomes one.
        let braces = json!("{{steps.a.b}} {} ".repeat(limits::EXPRESSIONS - 1));
        let error = resolve_known(&braces, &names).unwrap_err().to_string();
        assert!(error.contains("one text has at most 200 expressions"), "{error}");
    }

    #[test]
    fn regression_blanks_between_two_expressions_are_not_doubled_when_only_one_is_known() {
        let early = Names::default().with("vars", serde_json::json!({ "b": "b" }));
        let late = early.clone().with("inputs", serde_json::json!({ "a": "a" }));
        for text in ["{{inputs.a}} {{vars.b}}", "{{inputs.a}}\n  {{vars.b}} {{inputs.a}}"] {
            let value = Value::from(text);
            let known = resolve_known(&value, &early).unwrap();
            assert_eq!(resolve(&known, &late), resolve(&value, &late), "{known}");
        }
    }

    #[test]
    fn a_whole_value_keeps_its_type_and_a_part_becomes_text() {
        assert_eq!(value("{{steps.point.count}}"), json!(3));
        assert_eq!(value(" {{steps.point.count}}"), json!(" 3"));
        assert_eq!(value("{{vars.groups}}"), json!(["sg-1"]));
        assert_eq!(value("n={{steps.point.count}} {{vars.class}}"), json!("n=3 db.r6g.large"));
        assert_eq!(value("{{steps.point.list.1}}"), json!("b"));
        assert_eq!(value("{{steps.point.tags.[Cost Center]}}"), json!("7"));
        assert_eq!(value("{{str steps.point.count}}"), json!("3"));
        assert_eq!(value("<{{vars.class}}> & 'x'"), json!("<db.r6g.large> & 'x'"));
    }

    #[test]
    fn a_missing_value_is_always_an_error() {
        assert!(error("{{steps.other.arn}}").contains("step other"));
        assert!(error("{{steps.point.zz}}").contains("steps.point has no zz"));
        assert!(error("{{steps.point.gone}}").contains("no value"));
        assert!(error("x{{vars.zz}}").contains("vars has no zz"));
        assert!(error("{{run.id}}").contains("not known here"));
        assert!(error("{{concat vars.class vars.zz}}").contains("zz"));
        assert_eq!(value("{{default steps.other.arn \"none\"}}"), json!("none"));
        assert_eq!(value("{{default steps.point.gone 5}}"), json!(5));
    }

    #[test]
    fn lists_and_mappings_are_not_part_of_a_text() {
        assert!(error("x {{vars.groups}}").contains("a list cannot"));
        assert!(error("x {{steps.point.tags}}").contains("a mapping cannot"));
        assert_eq!(value("x {{json vars.groups}}"), json!("x [\"sg-1\"]"));
    }

    #[test]
    fn helpers_compute_without_guessing() {
        assert_eq!(value("{{lower inputs.Name}}"), json!("abc"));
        assert_eq!(value("{{concat vars.class \"-\" steps.point.count}}"), json!("db.r6g.large-3"));
        assert_eq!(value("{{and inputs.deep (not false)}}"), json!(true));
        assert_eq!(value("{{or (eq inputs.Name 'ABC') false}}"), json!(true));
        assert!(error("{{not inputs.Name}}").contains("not true or false"));
    }

    #[test]
    fn text_that_comes_out_is_never_read_again() {
        assert_eq!(value("{{vars.odd}}"), json!("{{vars.class}} \\"));
        let known = Names::default().with("vars", json!({ "odd": "{{vars.class}} \\" }));
        for written in
            ["{{vars.odd}}", "a {{vars.odd}}{{steps.point.arn}}", "\\{{x}} {{steps.point.arn}}"]
        {
            let half = resolve_known(&json!(written), &known).unwrap();
            assert_eq!(resolve(&half, &names()), resolve(&json!(written), &names()), "{half}");
        }
    }

    #[test]
    fn what_is_not_known_yet_stays_standing() {
        let known = Names::default().with("vars", json!({ "class": "c", "list": [1] }));
        let half = |text: &str| resolve_known(&json!(text), &known).unwrap();
        assert_eq!(half("{{vars.class}}-{{steps.a.arn}}"), json!("c-{{steps.a.arn}}"));
        assert_eq!(half("{{vars.list}}"), json!([1]));
        assert_eq!(
            half("{{concat vars.class steps.a.b}}"),
            json!("{{concat vars.class steps.a.b}}")
        );
        assert!(resolve_known(&json!("{{vars.zz}}"), &known).is_err());
    }

    proptest! {
        #[test]
        fn resolving_in_two_goes_gives_the_same_as_in_one(
            before in "[a{}\\\\ \"é\n]{0,6}", inner in "[a{}\\\\ \"'é\n]{0,8}", after in "[a{}\\\\ ]{0,6}",
        ) {
            let early = Names::default().with("vars", json!({ "x": inner }));
            let late = early.clone().with("steps", json!({ "s": { "y": "late" } }));
            for written in [format!("{before}{{{{vars.x}}}}{after}{{{{steps.s.y}}}}"), format!("{{{{vars.x}}}}{after}")] {
                let Ok(at_once) = resolve(&json!(written), &late) else { continue };
                let half = resolve_known(&json!(written), &early).unwrap();
                prop_assert_eq!(resolve(&half, &late).unwrap(), at_once, "{}", half);
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[{}#>/!&*~@. ()\\[\\]'\"\\\\a-cvars\n=é-]{0,40}") {
            let _ = Template::parse(&text).map(|template| template.references().len());
        }
    }
}
