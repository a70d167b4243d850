use super::context::{Context, StepView, names_a_site_to_write, walk, words};
use super::steps::{check_named_site, site_inputs};
use crate::scenario::Guard;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::expression::Template;
use crate::scenario::source::{Kind, Node};
use crate::scenario::suggest::nearest;
use std::collections::BTreeSet;

/// The disaster and the guard: known sites, something left to recover at, and only steps that the guard allows.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let lost = context.lost();
    for site in &lost {
        check_named_site(context, site.text, &site.span, "RD603", found);
    }
    let disaster = context.root.entry("disaster");
    let kind = disaster.and_then(|disaster| disaster.value.get("kind")).and_then(Node::text);
    let named = disaster.and_then(|disaster| disaster.value.get("lost"));
    let none = named.is_none_or(|node| matches!(&node.kind, Kind::List(items) if items.is_empty()));
    if let Some(disaster) = disaster.filter(|_| kind == Some("region_loss") && none) {
        let message =
            "a region is lost, and no site is: nothing would be refused after the disaster";
        let diagnostic = context.at("RD610", disaster.key_span.clone(), message);
        found.push(diagnostic.help("name the sites in it: lost: [primary]"));
    }
    let sites = context.sites();
    if !sites.is_empty()
        && sites.iter().all(|entry| context.is_lost(&entry.key))
        && let Some(last) = lost.last()
    {
        let message = "every site is lost: there is no place to recover at";
        found.push(context.at("RD604", last.span.clone(), message));
    }
    let guard = context.root.get("guard");
    let write = words(guard.and_then(|guard| guard.get("write")));
    for site in &write {
        check_named_site(context, site.text, &site.span, "RD605", found);
    }
    let mut makes = 0u64;
    for step in &context.steps {
        let effect = step.with.and_then(|with| with.get("effect")).and_then(Node::text);
        let creates = step.action.map(|action| action.facts.creates_of(effect)).unwrap_or_default();
        if creates.is_empty() {
            continue;
        }
        let others = site_inputs(step, names_a_site_to_write);
        let at_a_site: usize = creates.iter().map(|kind| how_many(context, step, kind)).sum();
        makes += (at_a_site * (1 + others.len())) as u64;
        for at in step.at.iter().chain(&others).filter(|at| !Template::is_in(at.text)) {
            if !write.iter().any(|site| site.text == at.text) {
                let message =
                    format!("{} makes {} at {}", step.name(), creates.join(", "), at.text);
                let diagnostic = context.at("RD601", at.span.clone(), message);
                found.push(diagnostic.help(format!("if it may, add {} to guard.write", at.text)));
            }
        }
    }
    check_count(context, guard, makes, found);
    check_expiry(context, guard, found);
    check_canaries(context, guard, found);
    check_external(context, guard, found);
}

/// Canaries are written into buckets, and a place that no bucket can have would be taken for a permission.
fn check_canaries(context: &Context<'_>, guard: Option<&Node>, found: &mut Vec<Diagnostic>) {
    let places = words(guard.and_then(|guard| guard.get("canaries")));
    for place in places.iter().filter(|place| !Template::is_in(place.text)) {
        let bucket = place.text.split_once('/').map_or(place.text, |(bucket, _)| bucket);
        if !may_be_a_bucket(bucket) {
            let message = format!("no bucket can be named {bucket:?}");
            let diagnostic = context.at("RD616", place.span.clone(), message);
            let help = "write a list of buckets, each with a prefix: [uploads/redrill-canary/]";
            found.push(diagnostic.help(help));
        }
    }
}

/// What every bucket follows, also one that was made when names could be longer and have upper-case letters and underscores
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
fn may_be_a_bucket(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let ends = [name.bytes().next(), name.bytes().next_back()];
    (3..=255).contains(&name.len())
        && name.bytes().all(|c| plain(c) || matches!(c, b'.' | b'-'))
        && ends.into_iter().flatten().all(plain)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// What the run makes must not expire while it may still be at work.
fn check_expiry(context: &Context<'_>, guard: Option<&Node>, found: &mut Vec<Diagnostic>) {
    let default = Guard::default();
    let given = |key: &str| context.duration(&["guard", key]);
    let ttl = given("ttl").unwrap_or(default.ttl);
    let longest = given("max_duration").unwrap_or(default.max_duration);
    let written = ["ttl", "max_duration"].into_iter().find_map(|key| guard?.entry(key));
    if let Some(entry) = written.filter(|_| ttl < longest) {
        let message =
            format!("what the run makes expires after {ttl}, and the run may last {longest}");
        let diagnostic = context.at("RD611", entry.key_span.clone(), message);
        found.push(diagnostic.help(format!("write ttl: {longest}, or longer")));
    }
}

/// How many things of a kind a step makes at a site, as far as its input is written out.
fn how_many(context: &Context<'_>, step: &StepView<'_>, kind: &str) -> usize {
    let with = step.with.map(Node::to_value).unwrap_or_default();
    let given = super::inputs::given(context, step, &with);
    step.action.map_or(1, |action| action.how_many(&given, kind))
}

/// What cannot be undone: named by the guard, and approved by a second person.
fn check_external(context: &Context<'_>, guard: Option<&Node>, found: &mut Vec<Diagnostic>) {
    let named = words(guard.and_then(|guard| guard.get("external")));
    let mut external = BTreeSet::new();
    for (index, step) in context.steps.iter().enumerate() {
        let Some(effect) = step.with.and_then(|with| with.get("effect")) else { continue };
        let takes_one =
            step.action.and_then(|action| super::context::field(&action.input, "effect"));
        let (Some(text), Some(_)) = (effect.text(), takes_one) else { continue };
        if Template::is_in(text) {
            let message = format!("the effect of {} is an expression", step.name());
            let diagnostic = context.at("RD609", effect.span.clone(), message);
            found.push(diagnostic.help("write none, own or external"));
        }
        if text != "external" {
            continue;
        }
        external.insert(step.name());
        if !named.iter().any(|word| word.text == step.name()) {
            let message = format!("guard.external does not name {}", step.name());
            let diagnostic = context.at("RD606", effect.span.clone(), message);
            found
                .push(diagnostic.help(format!("if it may, add {} to guard.external", step.name())));
        }
        check_approval(context, index, effect, found);
    }
    for word in named.iter().filter(|word| !external.contains(word.text)) {
        let message = format!("{} is no step with effect: external", word.text);
        let diagnostic = context.at("RD608", word.span.clone(), message);
        found.push(match nearest(word.text, external.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean {near}?")),
            None => diagnostic.help("remove it"),
        });
    }
}

/// A second person's approval is among everything that the step waits for, and one of them is more than a name.
fn check_approval(context: &Context<'_>, step: usize, effect: &Node, found: &mut Vec<Diagnostic>) {
    let name = context.steps[step].name();
    let upstream = context.upstream([step]);
    let upstream = upstream.iter().map(|index| &context.steps[*index]);
    let asked: Vec<&StepView<'_>> = upstream.filter(|step| asks_a_second_person(step)).collect();
    let Some(first) = asked.first() else {
        let message = format!("{name} needs no approval of a second person");
        found.push(context.at("RD607", effect.span.clone(), message).help(
            "add a control.approve step with second_person: true before it, and name it in needs:",
        ));
        return;
    };
    if asked.iter().any(|step| is_proven(step)) {
        return;
    }
    let chosen = |step: &&StepView<'_>| {
        let node = approvers(step).into_iter().find_map(expression_in)?;
        Some((step.name().to_owned(), node.span.clone()))
    };
    if let Some((approval, span)) = asked.iter().find_map(chosen) {
        let message = format!("who approves {name} is an expression in {approval}");
        let help = "write them out: whoever starts the run chooses what an expression says";
        found.push(context.at("RD609", span, message).help(help));
    } else {
        let message = format!("that a second person approves {name} is a typed name, and no proof");
        let help = format!("add signed_by or identified_by to {}", first.name());
        found.push(context.at("RD612", effect.span.clone(), message).help(help));
    }
}

/// Whether an approval tells by more than a name who may give it, in words that nobody can change on the command line.
fn is_proven(step: &StepView<'_>) -> bool {
    let approvers = approvers(step);
    !approvers.is_empty() && approvers.into_iter().all(|node| expression_in(node).is_none())
}

/// Who may approve: the file of signers, and the principals of AWS. Either is enough for an answer.
fn approvers<'a>(step: &StepView<'a>) -> Vec<&'a Node> {
    let given = |key: &str| {
        let node = step.with.and_then(|with| with.get(key));
        node.filter(|node| !matches!(node.kind, Kind::Null))
    };
    let principals = given("identified_by").map(|by| by.get("principals").unwrap_or(by));
    given("signed_by").into_iter().chain(principals).collect()
}

/// The first text in a value that is an expression, but for what the scenario says of its sites.
fn expression_in(node: &Node) -> Option<&Node> {
    let mut first = None;
    walk(node, None, &mut |scalar, _| {
        if first.is_none() && scalar.text().is_some_and(can_be_chosen) {
            first = Some(scalar);
        }
    });
    first
}

/// Whether a text may say something else in another run.
fn can_be_chosen(text: &str) -> bool {
    let of_sites = |template: &Template| {
        template
            .references()
            .iter()
            .all(|reference| reference.path.first().is_some_and(|first| first == "sites"))
    };
    Template::is_in(text) && !Template::parse(text).is_ok_and(|template| of_sites(&template))
}

fn asks_a_second_person(step: &StepView<'_>) -> bool {
    let second = step.with.and_then(|with| with.get("second_person"));
    step.action.is_some_and(|action| action.facts.name == "control.approve")
        && matches!(second.map(|node| &node.kind), Some(Kind::Bool(true)))
}

fn check_count(
    context: &Context<'_>,
    guard: Option<&Node>,
    makes: u64,
    found: &mut Vec<Diagnostic>,
) {
    let written = guard.and_then(|guard| guard.get("max_resources"));
    let limit = match written.map(|node| &node.kind) {
        Some(Kind::Number(number)) => number.as_u64(),
        Some(_) => None,
        None => Some(u64::from(Guard::default().max_resources)),
    };
    if let Some(limit) = limit.filter(|limit| makes > *limit) {
        let steps = context.root.entry("steps").map(|entry| entry.key_span.clone());
        let span = written.map(|node| node.span.clone()).or(steps).unwrap_or(0..0);
        let message = format!("the steps make {makes} resources, the guard allows {limit}");
        found.push(context.at("RD602", span, message).help("raise guard.max_resources"));
    }
}
