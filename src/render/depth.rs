//! How deep a recovery was verified, in words.

use super::format::{outcome_class, sign};
use super::view::{evidence, outcome, sentence};
use crate::journal::Outcome;
use crate::report::{DepthReport, PartReport, Report, RungReport};
use serde_json::{Value, json};

/// The result of a ladder in one sentence: the rung, and what it means. Of a rehearsal it says that it is one.
pub(super) fn claim(report: &Report, ladder: &DepthReport) -> String {
    let depth = if report.rehearsal { "Rehearsed depth" } else { "Depth" };
    let top = ladder.rungs.last().map_or("", |rung| rung.rung.as_str());
    let mut said = match &ladder.reached {
        Some(rung) => {
            format!("{depth}, {}: {rung} of {top}, {}.", ladder.service, ladder.meaning)
        }
        None => format!("{depth}, {}: {}.", ladder.service, ladder.meaning),
    };
    if !ladder.above_a_gap.is_empty() {
        let above = ladder.above_a_gap.join(", ");
        said.push_str(&format!(" Above a gap: {above}."));
    }
    said
}

/// What is missing for the next rung; nothing at the top.
pub(super) fn missing(ladder: &DepthReport) -> Option<String> {
    let next = ladder.rungs.iter().find(|rung| !rung.reached)?;
    Some(format!("Missing for {}: {}.", next.rung, ladder.missing.join("; ")))
}

pub(super) fn view(report: &Report) -> Vec<Value> {
    let ladder = report.depth.iter().map(|ladder| {
        json!({ "claim": claim(report, ladder), "missing": missing(ladder),
            "rungs": ladder.rungs.iter().map(rung).collect::<Vec<_>>() })
    });
    ladder.collect()
}

fn rung(rung: &RungReport) -> Value {
    let class = if rung.reached { "pass" } else { worst_class(&rung.parts) };
    let word = if rung.reached { "reached" } else { "not reached" };
    let mut records: Vec<u64> =
        rung.parts.iter().flat_map(|part| part.evidence.iter().copied()).collect();
    records.sort_unstable();
    records.dedup();
    json!({ "rung": rung.rung, "meaning": sentence(&rung.meaning), "class": class, "sign": sign(class),
        "word": word, "evidence": evidence(&records), "parts": rung.parts.iter().map(part).collect::<Vec<_>>() })
}

fn worst_class(parts: &[PartReport]) -> &'static str {
    let worst = Outcome::worst(parts.iter().map(|part| part.outcome));
    outcome_class(worst.unwrap_or(Outcome::NotRun))
}

fn part(part: &PartReport) -> Value {
    json!({ "what": part.what, "how": part.how, "outcome": outcome(part.outcome) })
}
