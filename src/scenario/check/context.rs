use crate::action::{ActionEntry, Phase, Registry};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::{ExpressionError, Template};
use crate::scenario::model::{DisasterKind, InputKind, Site};
use crate::scenario::source::{Entry, Kind, Node, Source};
use crate::time::HumanDuration;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Range;

/// A text and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
}

/// As much of a step as could be read.
pub(super) struct StepView<'a> {
    pub(super) node: &'a Node,
    pub(super) id: Option<Word<'a>>,
    pub(super) at: Option<Word<'a>>,
    pub(super) needs: Vec<Word<'a>>,
    /// Written, or that of the action.
    pub(super) phase: Option<Phase>,
    pub(super) gate: Option<Word<'a>>,
    pub(super) with: Option<&'a Node>,
    pub(super) when: Option<&'a Node>,
    pub(super) expect: &'a [Entry],
    /// Set for a watch.
    pub(super) watch: Option<&'a Node>,
    pub(super) required: bool,
    pub(super) action: Option<&'a ActionEntry>,
}

impl StepView<'_> {
    /// The step as people call it.
    pub(super) fn name(&self) -> &str {
        self.id.as_ref().map_or("this step", |id| id.text)
    }

    /// Where to point when the step as a whole is meant.
    pub(super) fn span(&self) -> Range<usize> {
        let first = self.node.entries().first().map(|entry| entry.key_span.clone());
        let id = self.id.as_ref().map(|id| id.span.clone());
        id.or(first).unwrap_or_else(|| self.node.span.clone())
    }
}

/// An expression of a step, with what is known about its place.
pub(super) struct Place<'a> {
    /// Position of the step in the scenario.
    pub(super) step: usize,
    /// The scalar.
    pub(super) node: &'a Node,
    pub(super) text: &'a str,
    /// It stands under `expect:`.
    pub(super) in_expectation: bool,
    /// What it was read as.
    pub(super) template: Result<Template, ExpressionError>,
    /// The schema of the value at this place, where it is known.
    pub(super) schema: Option<Value>,
}

/// A scenario as far as it could be read, for all checks.
pub(super) struct Context<'a> {
    pub(super) source: &'a Source,
    pub(super) root: &'a Node,
    pub(super) registry: &'a Registry,
    pub(super) steps: Vec<StepView<'a>>,
    /// All expressions of all steps.
    pub(super) places: Vec<Place<'a>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(source: &'a Source, root: &'a Node, registry: &'a Registry) -> Self {
        let steps = root.get("steps").map(Node::items).unwrap_or_default();
        let steps: Vec<_> = steps.iter().map(|node| step_view(node, registry)).collect();
        let places = places(&steps);
        Self { source, root, registry, steps, places }
    }

    pub(super) fn at(
        &self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(code, self.source, span, message)
    }

    /// A step by name; the first of several.
    pub(super) fn step(&self, id: &str) -> Option<(usize, &StepView<'a>)> {
        let has_id = |step: &StepView<'_>| step.id.as_ref().is_some_and(|word| word.text == id);
        self.steps.iter().enumerate().find(|(_, step)| has_id(step))
    }

    pub(super) fn step_ids(&self) -> impl Iterator<Item = &'a str> {
        self.steps.iter().filter_map(|step| step.id.as_ref().map(|id| id.text))
    }

    pub(super) fn sites(&self) -> &'a [Entry] {
        self.section("sites")
    }

    pub(super) fn site(&self, name: &str) -> Option<&'a Node> {
        self.sites().iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    pub(super) fn inputs(&self) -> &'a [Entry] {
        self.section("inputs")
    }

    pub(super) fn vars(&self, mode: &str) -> &'a [Entry] {
        let mode = self.root.get("modes").and_then(|modes| modes.get(mode));
        mode.and_then(|mode| mode.get("vars")).map(Node::entries).unwrap_or_default()
    }

    pub(super) fn lost(&self) -> Vec<Word<'a>> {
        words(self.root.get("disaster").and_then(|disaster| disaster.get("lost")))
    }

    /// True for a lost site, and for another name of its place, see [`Site::is_lost_with`].
    pub(super) fn is_lost(&self, site: &str) -> bool {
        let kind = self.root.get("disaster").and_then(|disaster| disaster.get("kind"));
        let kind = if kind.and_then(Node::text) == Some("region_loss") {
            DisasterKind::RegionLoss
        } else {
            DisasterKind::Deletion
        };
        let place = |name: &str| {
            let node = self.site(name)?;
            let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
            Some(Site { account: text("account"), region: text("region")?, role: None })
        };
        let here = place(site);
        let goes_too = |lost: &str| {
            let there = place(lost).zip(here.as_ref());
            there.is_some_and(|(lost, here)| lost.is_lost_with(here, kind))
        };
        self.lost().iter().any(|lost| lost.text == site || goes_too(lost.text))
    }

    /// Steps and everything that they wait for, directly or through others: by `needs` and by references that must have a value.
    pub(super) fn upstream(&self, of: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let (mut all, mut open) = (BTreeSet::new(), of.into_iter().collect::<Vec<_>>());
        while let Some(index) = open.pop() {
            let Some(view) = self.steps.get(index).filter(|_| all.insert(index)) else { continue };
            let needs = view.needs.iter().map(|need| need.text.to_owned());
            let places = self.places.iter().filter(|place| place.step == index);
            let references = places.filter_map(|place| place.template.as_ref().ok());
            // What a step can do without may be skipped.
            let references = references
                .flat_map(Template::references)
                .filter(|reference| !reference.may_be_missing);
            let references = references.filter_map(|reference| reference.step().map(str::to_owned));
            for id in needs.chain(references) {
                open.extend(self.step(&id).map(|(index, _)| index));
            }
        }
        all
    }

    /// What is wrong when a step waits for one that only a later phase runs.
    pub(super) fn later_phase(
        &self,
        step: &StepView<'_>,
        other: &StepView<'_>,
        span: Range<usize>,
    ) -> Option<Diagnostic> {
        let phases = step.phase.zip(other.phase).filter(|(own, others)| others > own);
        let (own, others) = phases.map(|(own, others)| (own.as_str(), others.as_str()))?;
        let (early, late) = (step.name(), other.name());
        let message = format!("{early} runs in phase {own}, {late} only in {others}");
        let help = format!("write phase: {own} for {late}, or phase: {others} for {early}");
        Some(self.at("RD116", span, message).help(help))
    }

    fn section(&self, name: &str) -> &'a [Entry] {
        self.root.get(name).map(Node::entries).unwrap_or_default()
    }

    /// The duration at a path of keys, if one can be read there.
    pub(super) fn duration(&self, path: &[&str]) -> Option<HumanDuration> {
        let node = path.iter().try_fold(self.root, |node, key| node.get(key))?;
        node.text()?.parse().ok()
    }

    /// Where a part of a scalar stands in the file. The n-th `{{` of the value is the n-th `{{` of what is written, however
    /// it is quoted or folded.
    pub(super) fn inside(&self, node: &Node, part: &Range<usize>) -> Range<usize> {
        let (Some(value), Some(raw)) = (node.text(), self.source.text.get(node.span.clone()))
        else {
            return node.span.clone();
        };
        let Some(wanted) = value.get(part.clone()) else { return node.span.clone() };
        let before = value[..part.start].matches("{{").count();
        let begins = value[part.start..].starts_with("{{");
        let nth = if begins { Some(before) } else { before.checked_sub(1) };
        let from = nth.and_then(|nth| raw.match_indices("{{").nth(nth)).map_or(0, |(at, _)| at);
        match raw[from..].find(wanted) {
            Some(at) => {
                let start = node.span.start + from + at;
                start..start + wanted.len()
            }
            None => node.span.clone(),
        }
    }

    pub(super) fn expression_error(&self, node: &Node, error: &ExpressionError) -> Diagnostic {
        let span = self.inside(node, &error.span);
        let diagnostic = self.at("RD101", span, &error.message);
        match &error.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

fn places<'a>(steps: &[StepView<'a>]) -> Vec<Place<'a>> {
    let is_true = json!({ "type": "boolean" });
    let mut found = Vec::new();
    for (step, view) in steps.iter().enumerate() {
        let mut add = |node: &'a Node, schema: Option<&Value>, in_expectation: bool| {
            if let Some(text) = node.text().filter(|text| Template::is_in(text)) {
                let (template, schema) = (Template::parse(text), schema.cloned());
                found.push(Place { step, node, text, in_expectation, template, schema });
            }
        };
        if let Some(with) = view.with {
            let input = view.action.map(|action| &*action.input);
            walk(with, input, &mut |node, schema| add(node, schema, false));
        }
        if let Some(when) = view.when {
            walk(when, Some(&is_true), &mut |node, schema| add(node, schema, false));
        }
        for entry in view.expect {
            walk(&entry.value, None, &mut |node, schema| add(node, schema, true));
        }
    }
    found
}

fn word(node: &Node) -> Option<Word<'_>> {
    node.text().map(|text| Word { text, span: node.span.clone() })
}

pub(super) fn words(node: Option<&Node>) -> Vec<Word<'_>> {
    node.map(Node::items).unwrap_or_default().iter().filter_map(word).collect()
}

fn step_view<'a>(node: &'a Node, registry: &'a Registry) -> StepView<'a> {
    let text = |key: &str| node.get(key).and_then(word);
    let uses = text("uses");
    let action = uses.as_ref().and_then(|uses| registry.get(uses.text));
    let phase = match node.get("phase") {
        Some(written) => match written.text() {
            Some("prepare") => Some(Phase::Prepare),
            Some("recover") => Some(Phase::Recover),
            Some("verify") => Some(Phase::Verify),
            _ => None,
        },
        None => action.map(|action| action.facts.phase),
    };
    StepView {
        node,
        id: text("id"),
        at: text("at"),
        needs: words(node.get("needs")),
        phase,
        gate: text("gate"),
        with: node.get("with"),
        when: node.get("when"),
        expect: node.get("expect").map(Node::entries).unwrap_or_default(),
        watch: node.get("watch"),
        required: !matches!(node.get("required").map(|n| &n.kind), Some(Kind::Bool(false))),
        action,
    }
}

/// Calls `see` with every scalar and the schema of its place.
pub(super) fn walk<'a>(
    node: &'a Node,
    schema: Option<&Value>,
    see: &mut dyn FnMut(&'a Node, Option<&Value>),
) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                walk(&entry.value, schema.and_then(|schema| field(schema, &entry.key)), see);
            }
        }
        Kind::List(items) => {
            let schema = schema.and_then(|schema| branch(schema, &|one| one.get("items")));
            items.iter().for_each(|item| walk(item, schema, see));
        }
        _ => see(node, schema),
    }
}

/// Calls `see` with every text of an input and the schema of its place, as far as the schema knows the place.
pub(crate) fn each_text<'a>(
    value: &'a Value,
    schema: &Value,
    see: &mut dyn FnMut(&'a str, &Value),
) {
    match value {
        Value::String(text) => see(text, schema),
        Value::Object(fields) => {
            for (name, value) in fields {
                field(schema, name).into_iter().for_each(|schema| each_text(value, schema, see));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = branch(schema, &|one| one.get("items")) {
                items.iter().for_each(|item| each_text(item, schema, see));
            }
        }
        _ => {}
    }
}

/// The schema of a field of a mapping.
pub(crate) fn field<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    branch(schema, &|one| {
        let named = one.get("properties").and_then(|properties| properties.get(key));
        named.or_else(|| one.get("additionalProperties").filter(|other| other.is_object()))
    })
}

/// Whether a value names a site, by its schema.
pub(crate) fn names_a_site(schema: &Value) -> bool {
    schema["format"] == "redrill-site"
}

/// Whether it names a site at which the action makes something, besides that of the step: the copy of a canary. At others something
/// is read, such as a secret.
pub(crate) fn names_a_site_to_write(schema: &Value) -> bool {
    names_a_site(schema) && schema["x-redrill-makes"] == true
}

/// What the schema itself, or the first of its alternatives that can, answers.
fn branch<'s>(
    schema: &'s Value,
    ask: &dyn Fn(&'s Value) -> Option<&'s Value>,
) -> Option<&'s Value> {
    ask(schema).or_else(|| {
        ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten()
            .find_map(|one| branch(one, ask))
    })
}

/// The schema of the values of a kind of input.
pub(super) fn schema_of_kind(kind: InputKind) -> Value {
    match kind {
        InputKind::Text => json!({ "type": "string" }),
        InputKind::Number => json!({ "type": "number" }),
        InputKind::Bool => json!({ "type": "boolean" }),
        InputKind::Duration => json!({ "type": "string", "format": "redrill-duration" }),
        InputKind::List => json!({ "type": "array", "items": { "type": "string" } }),
    }
}

/// The declared kind of an input; text when that cannot be read.
pub(super) fn kind_of_input(declaration: &Node) -> InputKind {
    match declaration.get("type").and_then(Node::text) {
        Some("number") => InputKind::Number,
        Some("bool") => InputKind::Bool,
        Some("duration") => InputKind::Duration,
        Some("list") => InputKind::List,
        _ => InputKind::Text,
    }
}
