use super::context::Context;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::suggest::nearest;
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use std::collections::BTreeMap;
use std::ops::Range;

/// What steps wait for: it exists, runs before them, and not in a circle.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    // From a step to the steps that it waits for, and where that is written.
    let mut waits: BTreeMap<(usize, usize), Range<usize>> = BTreeMap::new();
    for (index, step) in context.steps.iter().enumerate() {
        for need in &step.needs {
            let Some((target, other)) = context.step(need.text) else {
                let message = format!("there is no step {}", need.text);
                let diagnostic = context.at("RD206", need.span.clone(), message);
                found.push(match nearest(need.text, context.step_ids()) {
                    Some(near) => diagnostic.help(format!("did you mean {near}?")),
                    None => diagnostic,
                });
                continue;
            };
            waits.entry((index, target)).or_insert_with(|| need.span.clone());
            found.extend(context.later_phase(step, other, need.span.clone()));
        }
    }
    for place in &context.places {
        let Ok(template) = &place.template else { continue };
        for reference in template.references() {
            if let Some((target, _)) = reference.step().and_then(|id| context.step(id)) {
                let span = || context.inside(place.node, &reference.span);
                waits.entry((place.step, target)).or_insert_with(span);
            }
        }
    }
    report_circles(context, &waits, found);
}

fn report_circles(
    context: &Context<'_>,
    waits: &BTreeMap<(usize, usize), Range<usize>>,
    found: &mut Vec<Diagnostic>,
) {
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..context.steps.len()).map(|index| graph.add_node(index)).collect();
    for (from, to) in waits.keys() {
        graph.add_edge(nodes[*from], nodes[*to], ());
    }
    for component in tarjan_scc(&graph) {
        let mut members: Vec<usize> = component.iter().map(|node| graph[*node]).collect();
        members.sort_unstable();
        let Some(&first) = members.first() else { continue };
        if members.len() == 1 && !waits.contains_key(&(first, first)) {
            continue;
        }
        let circle = circle_from(first, &members, waits);
        let names: Vec<&str> = circle.iter().map(|index| context.steps[*index].name()).collect();
        let next = circle.get(1).copied().unwrap_or(first);
        let span =
            waits.get(&(first, next)).cloned().unwrap_or_else(|| context.steps[first].span());
        let message = format!("steps wait for each other: {}", names.join(" → "));
        found.push(context.at("RD207", span, message));
    }
}

/// The shortest way from a step back to itself.
fn circle_from(
    start: usize,
    members: &[usize],
    waits: &BTreeMap<(usize, usize), Range<usize>>,
) -> Vec<usize> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for (_, to) in waits.range((at, 0)..=(at, usize::MAX)).map(|(edge, _)| edge) {
            if *to == start {
                let mut way = vec![start, at];
                let mut here = at;
                while here != start {
                    here = came_from.get(&here).copied().unwrap_or(start);
                    way.push(here);
                }
                if at == start {
                    way.pop();
                }
                way.reverse();
                return way;
            }
            if members.contains(to) && !came_from.contains_key(to) {
                came_from.insert(*to, at);
                queue.push_back(*to);
            }
        }
    }
    vec![start, start]
}
