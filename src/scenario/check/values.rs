use super::context::{Context, Place, StepView, kind_of_input, names_a_site, schema_of_kind};
use super::references::kind;
use super::shape::{validator, words_for};
use super::steps::check_site_input;
use crate::action::{ActionEntry, Registry};
use crate::limits;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::{
    ExpressionError, Found, Names, Scope, Template, resolve, resolve_known,
};
use crate::scenario::model::InputKind;
use crate::scenario::schema::written_input;
use crate::scenario::source::{Kind, Node};
use crate::time::HumanDuration;
use jsonschema::Validator;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The modes of a scenario.
pub(super) const MODES: [&str; 2] = ["drill", "recovery"];

/// Variables and inputs: declared alike, of the right type, and fitting where they are used, in both modes.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    check_modes(context, found);
    check_defaults(context, found);
    // What refers to steps only is checked by type, once, with the references.
    let known = |root: &String| matches!(root.as_str(), "vars" | "inputs" | "sites");
    let steps: BTreeSet<usize> = context
        .places
        .iter()
        .filter_map(|place| Some((place.step, place.template.as_ref().ok()?.references())))
        .filter(|(_, references)| references.iter().any(|r| r.path.first().is_some_and(known)))
        .map(|(step, _)| step)
        .collect();
    let steps: Vec<&StepView<'_>> = steps.into_iter().map(|step| &context.steps[step]).collect();
    let actions = steps.iter().filter_map(|step| step.action);
    let actions: BTreeSet<String> = actions.map(|action| action.facts.name.to_owned()).collect();
    let validators = Validators::of(context.registry, actions);
    for mode in MODES {
        let names = names_of_mode(context, mode);
        for step in &steps {
            check_step(context, step, (mode, &names), &validators, found);
        }
        for step in &context.steps {
            check_when(context, step, (mode, &names), found);
        }
        check_expressions(context, (mode, &names), found);
    }
}

fn check_modes(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for (mode, other) in [("drill", "recovery"), ("recovery", "drill")] {
        for entry in context.vars(mode) {
            if !context.vars(other).iter().any(|theirs| theirs.key == entry.key) {
                let message = format!("mode {other} has no variable {}", entry.key);
                let diagnostic = context.at("RD501", entry.key_span.clone(), message);
                found.push(diagnostic.help(format!("add it under modes.{other}.vars")));
            }
        }
    }
}

fn check_defaults(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for entry in context.inputs() {
        let Some(default) = entry.value.get("default") else { continue };
        let kind_of = kind_of_input(&entry.value);
        if matches!(default.kind, Kind::Null) || !is_of_kind(&default.to_value(), kind_of) {
            let message = format!("the default of {} does not fit its type", entry.key);
            let span = match default.kind {
                Kind::Text(_) | Kind::Bool(_) | Kind::Number(_) => default.span.clone(),
                _ => entry.key_span.clone(),
            };
            let wanted = kind(&schema_of_kind(kind_of));
            found.push(context.at("RD502", span, message).expected(wanted));
        }
    }
}

/// Whether a value is of a declared kind.
pub(crate) fn is_of_kind(value: &Value, kind: InputKind) -> bool {
    match kind {
        InputKind::Text => value.is_string(),
        InputKind::Number => value.is_number(),
        InputKind::Bool => value.is_boolean(),
        InputKind::Duration => {
            value.as_str().is_some_and(|text| text.parse::<HumanDuration>().is_ok())
        }
        InputKind::List => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
    }
}

/// What is known in a mode before a run: variables, defaults of inputs, sites. Inputs without a default are not known yet,
/// nor are variables that use them.
pub(super) struct ModeNames {
    names: Names,
    unknown: BTreeSet<(&'static str, String)>,
    /// The bytes of its variables.
    pub(super) bytes: usize,
    /// The key of the first variable that is larger than one may be, or with which all are. What comes behind is not evaluated.
    pub(super) too_large: Option<Range<usize>>,
}

impl Scope for ModeNames {
    fn look_up(&self, path: &[String]) -> Found {
        let is_unknown = |root: &'static str| match path {
            [first, name, ..] => first == root && self.unknown.contains(&(root, name.clone())),
            _ => false,
        };
        if is_unknown("inputs") || is_unknown("vars") {
            Found::Later
        } else {
            self.names.look_up(path)
        }
    }
}

pub(super) fn names_of_mode(context: &Context<'_>, mode: &str) -> ModeNames {
    let mut unknown = BTreeSet::new();
    let mut inputs = Map::new();
    for entry in context.inputs() {
        let default = entry.value.get("default").map(Node::to_value);
        match default.filter(|default| is_of_kind(default, kind_of_input(&entry.value))) {
            Some(default) => {
                inputs.insert(entry.key.clone(), default);
            }
            None => {
                unknown.insert(("inputs", entry.key.clone()));
            }
        }
    }
    let sites: Map<String, Value> =
        context.sites().iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect();
    let names = Names::default()
        .with("sites", Value::Object(sites))
        .with("inputs", Value::Object(inputs))
        .with("vars", Value::Object(Map::new()));
    let mut known = ModeNames { names, unknown, bytes: 0, too_large: None };
    let mut vars = Map::new();
    for entry in context.vars(mode) {
        let resolved = resolve(&entry.value.to_value(), &known);
        known.bytes += resolved.as_ref().map_or(0, limits::json_bytes);
        if known.bytes > limits::PLAN_VALUES_BYTES
            || resolved.as_ref().is_err_and(ExpressionError::is_too_large)
        {
            known.too_large = Some(entry.key_span.clone());
            break;
        }
        match resolved {
            Ok(value) => {
                vars.insert(entry.key.clone(), value);
            }
            Err(_) => {
                known.unknown.insert(("vars", entry.key.clone()));
            }
        }
    }
    known.names = known.names.with("vars", Value::Object(vars));
    known
}

fn check_step(
    context: &Context<'_>,
    step: &StepView<'_>,
    (mode, names): (&str, &ModeNames),
    validators: &Validators,
    found: &mut Vec<Diagnostic>,
) {
    if let Some(with) = step.with
        && let Some(action) = step.action
        && let Ok(resolved) = resolve_known(&with.to_value(), names)
    {
        for problem in validators.check(action.facts.name, &resolved) {
            let node = with.find(&problem.pointer);
            let Some(text) = node.text().filter(|text| Template::is_in(text)) else { continue };
            // One mistake, one message: a type that cannot fit has been told, and both modes may share the value.
            let told =
                |other: &Diagnostic| other.code == "RD117" && node.span.contains(&other.span.start);
            if found.iter().any(told) {
                continue;
            }
            let span = context.inside(node, &(0..text.len()));
            let message = format!("in mode {mode}, {}", problem.message);
            let mut diagnostic = context.at("RD117", span, message);
            diagnostic.expected = problem.expected;
            found.push(diagnostic);
        }
    }
}

/// What is known before the run has a value wherever it is used: the part that is meant is there, and can stand there.
fn check_expressions(
    context: &Context<'_>,
    (mode, names): (&str, &ModeNames),
    found: &mut Vec<Diagnostic>,
) {
    let mut refuse = |node: &Node, why: &ExpressionError| {
        let told = |other: &Diagnostic| other.is_error() && node.span.contains(&other.span.start);
        if !found.iter().any(told) {
            let message = format!("in mode {mode}, {why}");
            found.push(context.at("RD117", context.inside(node, &why.span), message));
        }
    };
    for entry in context.vars(mode) {
        entry.value.each_text(&mut |node, text| {
            if let Err(why) = resolve_known(&Value::from(text), names) {
                refuse(node, &why);
            }
        });
    }
    let mut sites = Vec::new();
    for place in context.places.iter().filter(|place| lacks_no_variable(context, mode, place)) {
        let is_site = place.schema.as_ref().is_some_and(names_a_site);
        match resolve_known(&Value::from(place.text), names) {
            Err(why) => refuse(place.node, &why),
            Ok(Value::String(name)) if is_site && !Template::is_in(&name) => {
                sites.push((place, name));
            }
            Ok(_) => {}
        }
    }
    for (place, name) in sites {
        let span = context.inside(place.node, &(0..place.text.len()));
        check_site_input(context, &context.steps[place.step], &name, &span, found);
    }
}

/// False for an expression that can be read, and uses a variable that this mode lacks: that has been told.
fn lacks_no_variable(context: &Context<'_>, mode: &str, place: &Place<'_>) -> bool {
    let Ok(template) = &place.template else { return false };
    let declared = |name: &String| context.vars(mode).iter().any(|entry| entry.key == *name);
    template.references().iter().all(|reference| match reference.path.as_slice() {
        [root, name, ..] if root == "vars" => declared(name),
        _ => true,
    })
}

fn check_when(
    context: &Context<'_>,
    step: &StepView<'_>,
    (mode, names): (&str, &ModeNames),
    found: &mut Vec<Diagnostic>,
) {
    if let Some(when) = step.when
        && let Ok(resolved) = resolve_known(&when.to_value(), names)
        && !resolved.is_boolean()
        && !resolved.as_str().is_some_and(Template::is_in)
        && !found.iter().any(|other| other.code == "RD117" && when.span.contains(&other.span.start))
    {
        let message = format!("in mode {mode}, when: of {} is {resolved}", step.name());
        found.push(context.at("RD117", when.span.clone(), message).expected("true or false"));
    }
}

/// Checks the inputs of actions after variables and inputs have been put in.
pub(crate) struct Validators {
    by_action: BTreeMap<String, Arc<Validator>>,
}

/// The validators of inputs that were needed so far.
#[derive(Default)]
struct Known(Mutex<BTreeMap<String, Arc<Validator>>>);

impl Known {
    fn validator(&self, entry: &ActionEntry) -> Option<Arc<Validator>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = known.get(entry.facts.name) {
            return Some(validator.clone());
        }
        let made = Arc::new(validator(&written_input(entry)).ok()?);
        known.insert(entry.facts.name.to_owned(), made.clone());
        Some(made)
    }
}

/// A value that does not fit.
pub(crate) struct Problem {
    /// JSON pointer of the value.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What was expected.
    pub(crate) expected: Option<String>,
}

impl Validators {
    /// For some actions of a registry.
    pub(crate) fn of(registry: &Registry, actions: impl IntoIterator<Item = String>) -> Self {
        let known = registry.derived(|_| Known::default());
        let build = |name: String| {
            let validator = known.validator(registry.get(&name)?)?;
            Some((name, validator))
        };
        Self { by_action: actions.into_iter().filter_map(build).collect() }
    }

    /// What does not fit in the input of an action; references to steps may still stand in it.
    pub(crate) fn check(&self, action: &str, input: &Value) -> Vec<Problem> {
        let Some(validator) = self.by_action.get(action) else { return Vec::new() };
        let describe = |error: jsonschema::ValidationError<'_>| {
            let pointer = error.instance_path().as_str().to_owned();
            let found = error.instance().to_string();
            let words = words_for(found, &format!("/with{pointer}"), &error, None);
            Problem { pointer, message: words.message, expected: words.expected }
        };
        validator.iter_errors(input).map(describe).collect()
    }
}
