use super::context::{Context, Place, StepView, field, kind_of_input, schema_of_kind};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::{Reference, Template};
use crate::scenario::source::Node;
use crate::scenario::suggest::nearest;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::ops::Range;

/// The first names that a path can begin with.
const ROOTS: [&str; 5] = ["steps", "vars", "inputs", "sites", "run"];

/// Every expression: can it be read, does it stand where it may, is there what it refers to, and does that fit.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    check_other_places(context, found);
    for mode in ["drill", "recovery"] {
        for entry in context.vars(mode) {
            entry.value.each_text(&mut |node, text| check_variable(context, node, text, found));
        }
    }
    for place in &context.places {
        match &place.template {
            Err(error) => found.push(context.expression_error(place.node, error)),
            Ok(template) => {
                for reference in template.references() {
                    Use { context, place, reference }.check(found);
                }
                check_call(context, place, template, found);
            }
        }
    }
}

/// Expressions where none may stand. The description is Markdown and may show some.
fn check_other_places(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let mut see = |node: &Node, text: &str| {
        if let Some(at) = text.find("{{") {
            let end = text[at..].find("}}").map_or(text.len(), |end| at + end + 2);
            let span = context.inside(node, &(at..end));
            found.push(
                context.at("RD102", span, "no expression can stand here").help(
                    "expressions stand under with, when and expect of steps, and in the variables of modes",
                ),
            );
        }
    };
    for entry in context.root.entries() {
        match entry.key.as_str() {
            "about" | "modes" => {}
            "steps" => {
                for field in entry.value.items().iter().flat_map(Node::entries) {
                    if !matches!(field.key.as_str(), "with" | "when" | "expect") {
                        field.value.each_text(&mut see);
                    }
                }
            }
            _ => entry.value.each_text(&mut see),
        }
    }
}

/// Variables are known before anything else, so they can only use what is given from outside.
fn check_variable(context: &Context<'_>, node: &Node, text: &str, found: &mut Vec<Diagnostic>) {
    if !Template::is_in(text) {
        return;
    }
    match Template::parse(text) {
        Err(error) => found.push(context.expression_error(node, &error)),
        Ok(template) => {
            for reference in template.references() {
                let span = context.inside(node, &reference.span);
                match reference.path.as_slice() {
                    [root, rest @ ..] if root == "inputs" => {
                        input(context, rest, span, found);
                    }
                    [root, rest @ ..] if root == "sites" => {
                        site(context, rest, span, found);
                    }
                    _ => {
                        let message = format!("a variable cannot use {reference}");
                        found.push(
                            context.at("RD103", span, message).expected("inputs.… or sites.…"),
                        );
                    }
                }
            }
        }
    }
}

/// One use of a reference in a step.
struct Use<'a> {
    context: &'a Context<'a>,
    place: &'a Place<'a>,
    reference: &'a Reference,
}

impl Use<'_> {
    fn check(&self, found: &mut Vec<Diagnostic>) {
        let span = self.context.inside(self.place.node, &self.reference.span);
        let Some((root, rest)) = self.reference.path.split_first() else { return };
        if self.place.in_expectation && matches!(root.as_str(), "steps" | "run") {
            let message = format!("an expectation cannot use {}", self.reference);
            let diagnostic = self.context.at("RD103", span, message);
            found.push(diagnostic.expected("vars.…, inputs.… or sites.…"));
            return;
        }
        let schema = match root.as_str() {
            "steps" => self.output(rest, &span, found),
            "vars" => {
                variable(self.context, rest, span.clone(), found);
                None
            }
            "inputs" => input(self.context, rest, span.clone(), found),
            "sites" => site(self.context, rest, span.clone(), found),
            "run" => run(self.context, rest, span.clone(), found),
            other => {
                let message = format!("nothing is called {other}");
                let diagnostic = self.context.at("RD103", span.clone(), message);
                let diagnostic = diagnostic.expected(format!("one of: {}", ROOTS.join(", ")));
                found.push(match nearest(other, ROOTS) {
                    Some(near) => diagnostic.help(format!("did you mean {near}?")),
                    None => diagnostic,
                });
                None
            }
        };
        if let Some(schema) = schema {
            self.check_type(&schema, span, found);
        }
    }

    /// The schema of an output of a step.
    fn output(
        &self,
        path: &[String],
        span: &Range<usize>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Cow<'static, Value>> {
        let context = self.context;
        let id = path.first()?;
        let Some((index, target)) = context.step(id) else {
            let diagnostic = context.at("RD110", span.clone(), format!("there is no step {id}"));
            found.push(match nearest(id, context.step_ids()) {
                Some(near) => diagnostic.help(format!("did you mean {near}?")),
                None => diagnostic,
            });
            return None;
        };
        self.check_order(index, target, span, found);
        let action = target.action?;
        let mut schema = &*action.output;
        if path.len() < 2 {
            let message = format!("steps.{id} is a step, not a value");
            let expected = format!("one of its outputs: {}", names(schema).join(", "));
            found.push(context.at("RD111", span.clone(), message).expected(expected));
            return None;
        }
        for name in &path[1..] {
            let next = match name.parse::<usize>() {
                Ok(_) if schema.get("items").is_some() => schema.get("items"),
                _ => field(schema, name),
            };
            match next {
                Some(next) => schema = next,
                // Not described any further: only the run can tell.
                None if names(schema).is_empty() && !is_scalar(schema) => return None,
                None => {
                    let message = format!("{} gives no {name}", action.facts.name);
                    let known = names(schema);
                    let diagnostic = context.at("RD111", span.clone(), message);
                    let diagnostic = diagnostic.expected(format!("one of: {}", known.join(", ")));
                    found.push(match nearest(name, known) {
                        Some(near) => diagnostic.help(format!("did you mean {near}?")),
                        None => diagnostic,
                    });
                    return None;
                }
            }
        }
        Some(Cow::Owned(schema.clone()))
    }

    fn check_order(
        &self,
        index: usize,
        target: &StepView<'_>,
        span: &Range<usize>,
        found: &mut Vec<Diagnostic>,
    ) {
        let step = &self.context.steps[self.place.step];
        found.extend(self.context.later_phase(step, target, span.clone()));
        let same_condition = match (step.when, target.when) {
            (_, None) => true,
            (Some(own), Some(other)) => own.to_value() == other.to_value(),
            (None, Some(_)) => false,
        };
        if !same_condition && !self.reference.may_be_missing && index != self.place.step {
            let message = format!("{} may be left out, and then has no value", target.name());
            found.push(self.context.at("RD115", span.clone(), message).help(format!(
                "give {} the same when:, or write {{{{default {} …}}}}",
                step.name(),
                self.reference
            )));
        }
    }

    fn check_type(&self, given: &Value, span: Range<usize>, found: &mut Vec<Diagnostic>) {
        let reference = self.reference;
        if reference.inside_helper {
            return;
        }
        if !reference.whole {
            if matches!(given["type"].as_str(), Some("array" | "object")) {
                let message = format!("{reference} is {}, and part of a text here", kind(given));
                found.push(self.context.at("RD118", span, message));
            }
            return;
        }
        if let Some(wanted) = &self.place.schema
            && !fits(given, wanted)
        {
            let message = format!("{reference} is {}", kind(given));
            found.push(self.context.at("RD117", span, message).expected(kind(wanted)));
        }
    }
}

/// The result of a helper, where it is the whole value.
fn check_call(
    context: &Context<'_>,
    place: &Place<'_>,
    template: &Template,
    found: &mut Vec<Diagnostic>,
) {
    let given = match (template.whole_call(), template.is_whole()) {
        (Some(helper), _) => helper.gives,
        (None, true) => None,
        (None, false) => Some("string"),
    };
    // A longer text may spell a duration or another form of text; only its type is known.
    let Some(given) = given else { return };
    if let Some(wanted) = &place.schema
        && let Some(types) = types(wanted)
        && !types.contains(&given)
    {
        let message = format!("this is {}", kind(&json!({ "type": given })));
        let span = context.inside(place.node, &(0..place.text.len()));
        found.push(context.at("RD117", span, message).expected(kind(wanted)));
    }
}

fn variable(
    context: &Context<'_>,
    path: &[String],
    span: Range<usize>,
    found: &mut Vec<Diagnostic>,
) {
    let names: Vec<&str> = ["drill", "recovery"]
        .iter()
        .flat_map(|mode| context.vars(mode))
        .map(|entry| entry.key.as_str())
        .collect();
    let name = path.first().map_or("", String::as_str);
    if !names.contains(&name) {
        let diagnostic = context.at("RD112", span, format!("there is no variable {name:?}"));
        found.push(match nearest(name, names) {
            Some(near) => diagnostic.help(format!("did you mean {near}?")),
            None => diagnostic.help("declare it under modes.drill.vars and modes.recovery.vars"),
        });
    }
}

fn input(
    context: &Context<'_>,
    path: &[String],
    span: Range<usize>,
    found: &mut Vec<Diagnostic>,
) -> Option<Cow<'static, Value>> {
    let name = path.first().map_or("", String::as_str);
    if let Some(entry) = context.inputs().iter().find(|entry| entry.key == name) {
        let schema = schema_of_kind(kind_of_input(&entry.value));
        return match path {
            [_] => Some(Cow::Owned(schema)),
            [_, ..] if schema["type"] == "array" => schema.get("items").cloned().map(Cow::Owned),
            _ => {
                let message = format!("the input {name} has no parts");
                found.push(context.at("RD113", span, message));
                None
            }
        };
    }
    let names = context.inputs().iter().map(|entry| entry.key.as_str());
    let diagnostic = context.at("RD113", span, format!("there is no input {name:?}"));
    found.push(match nearest(name, names) {
        Some(near) => diagnostic.help(format!("did you mean {near}?")),
        None => diagnostic.help("declare it under inputs"),
    });
    None
}

fn site(
    context: &Context<'_>,
    path: &[String],
    span: Range<usize>,
    found: &mut Vec<Diagnostic>,
) -> Option<Cow<'static, Value>> {
    let wrong = match path {
        [name, key] if key == "region" || key == "account" => match context.site(name) {
            Some(site) if site.get(key).is_some() => {
                return Some(Cow::Owned(json!({ "type": "string" })));
            }
            Some(_) => format!("site {name} does not say its {key}"),
            None => format!("there is no site {name}"),
        },
        [name, ..] if context.site(name).is_none() => format!("there is no site {name}"),
        _ => format!("sites.{} is not known", path.join(".")),
    };
    found.push(context.at("RD114", span, wrong).expected("sites.<name>.region or .account"));
    None
}

fn run(
    context: &Context<'_>,
    path: &[String],
    span: Range<usize>,
    found: &mut Vec<Diagnostic>,
) -> Option<Cow<'static, Value>> {
    match path {
        [key] if ["id", "scenario", "mode"].contains(&key.as_str()) => {
            Some(Cow::Owned(json!({ "type": "string" })))
        }
        _ => {
            let message = format!("run.{} is not known", path.join("."));
            found.push(
                context.at("RD114", span, message).expected("run.id, run.scenario or run.mode"),
            );
            None
        }
    }
}

fn names(schema: &Value) -> Vec<&str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn is_scalar(schema: &Value) -> bool {
    matches!(schema["type"].as_str(), Some("string" | "integer" | "number" | "boolean"))
}

/// The JSON types that a schema allows; `None` when it does not say.
fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type") {
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(many)) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// What a schema describes, in words.
pub(super) fn kind(schema: &Value) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("redrill-duration") => return "a duration".to_owned(),
        Some("redrill-size") => return "a size".to_owned(),
        Some("date-time") => return "a time".to_owned(),
        _ => {}
    }
    let word = |name: &str| match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "something else",
    };
    types(schema).map_or_else(
        || "something else".to_owned(),
        |names| names.into_iter().map(word).collect::<Vec<_>>().join(" or "),
    )
}

/// Whether a value of one schema can be used where another is asked for. Doubt is a yes: the run checks again.
pub(super) fn fits(given: &Value, wanted: &Value) -> bool {
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = given.get(key) {
            return choices.iter().any(|choice| fits(choice, wanted));
        }
        if let Some(Value::Array(choices)) = wanted.get(key) {
            return choices.iter().any(|choice| fits(given, choice));
        }
    }
    let (Some(have), Some(want)) = (types(given), types(wanted)) else { return true };
    let number = |name: &&str| matches!(*name, "integer" | "number");
    let common =
        have.iter().any(|one| want.contains(one) || (number(one) && want.iter().any(number)));
    if !common {
        return false;
    }
    let format =
        |schema: &'_ Value| schema.get("format").and_then(Value::as_str).map(str::to_owned);
    let strict = ["redrill-duration", "redrill-size", "date-time"];
    if let Some(wanted_format) = format(wanted).filter(|name| strict.contains(&name.as_str()))
        && have.contains(&"string")
        && format(given).as_ref() != Some(&wanted_format)
    {
        return false;
    }
    match (given.get("items"), wanted.get("items")) {
        (Some(given), Some(wanted)) => fits(given, wanted),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_formats_decide_whether_a_value_fits() {
        let text = json!({ "type": "string" });
        let duration = json!({ "type": "string", "format": "redrill-duration" });
        let size = json!({ "type": ["integer", "string"], "format": "redrill-size" });
        let count = json!({ "type": "integer", "format": "uint16" });
        let texts = json!({ "type": "array", "items": text });
        assert!(fits(&duration, &text) && fits(&count, &size) && fits(&size, &count));
        assert!(fits(&json!({ "type": "number" }), &count) && fits(&json!(true), &count));
        assert!(!fits(&text, &duration) && !fits(&text, &size) && !fits(&count, &text));
        assert!(!fits(&texts, &text) && !fits(&texts, &json!({ "type": "array", "items": count })));
        assert!(fits(&text, &json!({ "anyOf": [count, text] })));
    }
}
