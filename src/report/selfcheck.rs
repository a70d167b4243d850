//! A second opinion on a report before anybody sees it.
//!
//! It reads the records anew and plainly, without the gathering that the report was made from, so that a mistake in that
//! does not confirm itself.

use super::build::ReportError;
use super::model::{Report, Verdict};
use super::outcome::ObjectiveOutcome;
use crate::ids::StepId;
use crate::journal::{Event, InventoryTime, Outcome, Record, ResourceKey};
use crate::plan::Plan;
use std::collections::BTreeSet;

/// Compares a report with the records it was made from, and with itself.
///
/// # Errors
/// The first contradiction.
pub(super) fn check(plan: &Plan, records: &[Record], report: &Report) -> Result<(), ReportError> {
    counts(plan, records, report)?;
    objectives(report)?;
    if report.verdict.outcome == Verdict::Passed {
        nothing_speaks_against_passing(plan, records, report)?;
    }
    depth(records, report)?;
    citations(records, report)
}

/// What is called shown was shown by checks that were made over something and held, and a rung that is called reached has no
/// part without.
fn depth(records: &[Record], report: &Report) -> Result<(), ReportError> {
    let holds = |seq: &u64| {
        let record = usize::try_from(*seq).ok().and_then(|index| records.get(index));
        matches!(record.map(|record| &record.event), Some(Event::Checked { check, .. })
            if check.outcome == Outcome::Passed && check.population != Some(0))
    };
    for rung in report.depth.iter().flat_map(|ladder| &ladder.rungs) {
        for part in &rung.parts {
            let shown = part.outcome == Outcome::Passed;
            let seen = !part.evidence.is_empty() && part.evidence.iter().all(holds);
            if shown && !seen || rung.reached && !shown {
                let what = format!("rung {} is called reached without {}", rung.rung, part.what);
                return Err(contradiction(what));
            }
        }
        if rung.reached && rung.parts.is_empty() {
            return Err(contradiction(format!("rung {} asks for nothing", rung.rung)));
        }
    }
    Ok(())
}

fn contradiction(what: impl Into<String>) -> ReportError {
    ReportError::Contradiction(format!("the report contradicts the journal: {}", what.into()))
}

/// Nothing was lost on the way, and the exit code fits.
fn counts(plan: &Plan, records: &[Record], report: &Report) -> Result<(), ReportError> {
    let count =
        |wanted: fn(&Event) -> bool| records.iter().filter(|record| wanted(&record.event)).count();
    let pairs = [
        ("steps", plan.steps.len(), report.timeline.steps.len()),
        ("checks", count(|event| matches!(event, Event::Checked { .. })), report.checks.len()),
        (
            "findings",
            count(|event| matches!(event, Event::Found { .. })),
            report.findings.iter().map(|finding| finding.evidence.len()).sum(),
        ),
        (
            "recovery points",
            count(|event| matches!(event, Event::RecoveryPointSeen { .. })),
            report.recovery_points.iter().map(|point| point.evidence.len()).sum(),
        ),
        (
            "questions to people",
            count(|event| matches!(event, Event::ApprovalRequested { .. })),
            report.approvals.len(),
        ),
        ("resources left behind", left_behind(records).len(), report.exit.left_behind),
    ];
    for (what, journal, reported) in pairs {
        if journal != reported {
            return Err(contradiction(format!("{journal} {what} there, {reported} here")));
        }
    }
    let passed = report.verdict.outcome == Verdict::Passed;
    if (report.exit.code == 0) != passed {
        return Err(contradiction(format!(
            "exit code {} for a verdict {}",
            report.exit.code, report.verdict.text
        )));
    }
    if passed && report.verdict.rules.iter().any(|rule| !rule.holds) {
        return Err(contradiction("it passed although a rule does not hold"));
    }
    Ok(())
}

/// Resources of which the last word is neither that they are gone nor that they stay on purpose, and those that a listing
/// at the end has shown all the same.
fn left_behind(records: &[Record]) -> BTreeSet<ResourceKey> {
    let (mut left, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for record in records {
        match &record.event {
            Event::ResourceIntended { key, .. } | Event::ResourceLeft { key, kept: false, .. } => {
                left.insert(key.clone());
            }
            Event::ResourceReleased { key, .. } => {
                left.remove(key);
            }
            Event::ResourceLeft { key, kept: true, .. } => {
                left.remove(key);
                kept.insert((&key.kind, &key.name));
            }
            Event::InventoryTaken { when: InventoryTime::After, seen } => {
                for (listed, item) in seen.iter().flat_map(|s| s.ours.iter().map(move |i| (s, i))) {
                    let name = (&listed.kind, &item.name);
                    let known = left.iter().any(|key| (&key.kind, &key.name) == name);
                    if !known && !kept.contains(&name) {
                        left.insert(ResourceKey {
                            kind: listed.kind.clone(),
                            name: item.name.clone(),
                            site: listed.site.clone(),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    left
}

/// An objective is met exactly when it has a value within its target.
fn objectives(report: &Report) -> Result<(), ReportError> {
    let rto =
        report.objectives.rto.as_ref().map(|rto| ("RTO", rto.outcome, rto.actual, rto.target));
    let rpo =
        report.objectives.rpo.as_ref().map(|rpo| ("RPO", rpo.outcome, rpo.actual, rpo.target));
    for (name, outcome, actual, target) in [rto, rpo].into_iter().flatten() {
        let expected = match actual {
            None => ObjectiveOutcome::NotMeasured,
            Some(actual) if actual > target => ObjectiveOutcome::Missed,
            Some(_) => ObjectiveOutcome::Met,
        };
        if expected != outcome {
            return Err(contradiction(format!("the {name} is called {outcome} and is {expected}")));
        }
    }
    Ok(())
}

fn nothing_speaks_against_passing(
    plan: &Plan,
    records: &[Record],
    report: &Report,
) -> Result<(), ReportError> {
    let required = |step: &StepId| plan.step(step).is_none_or(|step| step.required);
    let mut proven = 0;
    for step in plan.steps.iter().filter(|step| plan.requires(step)) {
        let passed = records.iter().any(|record| {
            matches!(&record.event, Event::StepFinished { step: of, result }
                if *of == step.id && result.outcome == Outcome::Passed)
        });
        if !passed {
            return Err(contradiction(format!(
                "passed although required step {} did not",
                step.id
            )));
        }
    }
    for (index, record) in records.iter().enumerate() {
        if let Event::Checked { step, check } = &record.event
            && required(step)
        {
            let again = records[index..].iter().any(
                |later| matches!(&later.event, Event::StepStarted { step: of, .. } if of == step),
            );
            let holds = check.outcome == Outcome::Passed && check.population != Some(0);
            if !holds && !again {
                let what =
                    format!("passed although check {} of step {step} did not hold", check.name);
                return Err(contradiction(what));
            }
            proven += usize::from(holds && !again);
        }
    }
    if proven == 0 {
        return Err(contradiction("passed although no required check was made"));
    }
    if !left_behind(records).is_empty() {
        return Err(contradiction("passed although resources were left behind"));
    }
    if report.objectives.outcomes().iter().any(|(_, outcome)| *outcome != ObjectiveOutcome::Met) {
        return Err(contradiction("passed although an objective was not met"));
    }
    let ended = matches!(
        records.last().map(|record| &record.event),
        Some(Event::RunFinished { outcome: Outcome::Passed })
    );
    if !ended {
        return Err(contradiction("passed although the run did not come to a good end"));
    }
    Ok(())
}

/// Every citation points at a record.
fn citations(records: &[Record], report: &Report) -> Result<(), ReportError> {
    let objectives = &report.objectives;
    let cited = objectives.rto.iter().flat_map(|rto| &rto.evidence);
    let cited = cited.chain(objectives.rpo.iter().flat_map(|rpo| &rpo.evidence));
    let cited = cited.chain(objectives.rlo.iter().flat_map(|rlo| &rlo.evidence));
    let cited = cited.chain(report.verdict.rules.iter().flat_map(|rule| &rule.evidence));
    let parts = report.depth.iter().flat_map(|ladder| &ladder.rungs).flat_map(|r| &r.parts);
    let cited = cited.chain(parts.flat_map(|part| &part.evidence));
    let cited = cited.chain(report.timeline.steps.iter().flat_map(|step| &step.evidence));
    let cited = cited.chain(report.checks.iter().flat_map(|check| &check.evidence));
    let cited = cited.chain(report.clock.iter().flat_map(|moment| &moment.evidence));
    let cited = cited.chain(report.findings.iter().flat_map(|finding| &finding.evidence));
    let cited = cited.chain(report.recovery_points.iter().flat_map(|point| &point.evidence));
    let cited = cited.chain(report.resources.iter().flat_map(|resource| &resource.evidence));
    let cited = cited.chain(report.approvals.iter().flat_map(|approval| &approval.evidence));
    let cited = cited.chain(report.run.standstills.iter().flat_map(|still| &still.evidence));
    for seq in cited {
        if *seq >= records.len() as u64 {
            return Err(contradiction(format!("it cites record {seq}, which is not there")));
        }
    }
    Ok(())
}
