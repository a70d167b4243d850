use super::context::{Context, words};
use super::steps::check_named_site;
use crate::scenario::Guard;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::source::{Kind, Node};

/// The disaster and the guard: known sites, something left to recover at, and only steps that the guard allows.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let lost = context.lost();
    for site in &lost {
        check_named_site(context, site.text, &site.span, "RD603", found);
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
        makes += creates.len() as u64;
        if let Some(at) = step.at.as_ref().filter(|_| !creates.is_empty())
            && !write.iter().any(|site| site.text == at.text)
        {
            let message = format!("{} makes {} at {}", step.name(), creates.join(", "), at.text);
            let diagnostic = context.at("RD601", at.span.clone(), message);
            found.push(diagnostic.help(format!("if it may, add {} to guard.write", at.text)));
        }
    }
    check_count(context, guard, makes, found);
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
