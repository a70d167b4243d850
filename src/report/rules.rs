//! The rules of the verdict. Each says what must be so for a run to pass; the verdict is the worst of their effects.

use super::fold::{Fold, effective};
use super::inventory::unexpected;
use super::model::{Rule, Verdict};
use super::outcome::{Margin, ObjectiveOutcome, ObjectivesReport};
use super::parts::{InventoryReport, ResourceReport, ResourceState};
use crate::journal::{FailureClass, InventoryTime, Outcome};
use crate::plan::Plan;
use crate::time::HumanDuration;

/// Every rule, also those that hold.
pub(super) fn rules(
    plan: &Plan,
    fold: &Fold<'_>,
    objectives: &ObjectivesReport,
    (resources, inventory): (&[ResourceReport], &InventoryReport),
) -> Vec<Rule> {
    let steps = steps(plan, fold);
    let finished = finished(fold, steps.effect);
    vec![
        steps,
        checks(plan, fold),
        verified(plan, fold),
        met(objectives),
        gone(fold, resources, inventory),
        finished,
        allowed(fold),
    ]
}

/// A rule under construction.
struct Judge {
    rule: Rule,
}

impl Judge {
    fn new(id: &str, statement: &str) -> Self {
        let (id, statement) = (id.to_owned(), statement.to_owned());
        let (because, evidence) = (Vec::new(), Vec::new());
        Self {
            rule: Rule { id, statement, holds: true, effect: Verdict::Passed, because, evidence },
        }
    }

    fn broken(
        &mut self,
        effect: Verdict,
        because: String,
        evidence: impl IntoIterator<Item = u64>,
    ) {
        self.rule.holds = false;
        self.rule.effect = self.rule.effect.max(effect);
        self.rule.because.push(because);
        for seq in evidence {
            if !self.rule.evidence.contains(&seq) {
                self.rule.evidence.push(seq);
            }
        }
    }
}

/// What an outcome leaves possible.
fn effect_of(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Passed => Verdict::Passed,
        Outcome::Failed => Verdict::Failed,
        Outcome::Skipped | Outcome::NotRun | Outcome::Inconclusive => Verdict::Inconclusive,
    }
}

fn steps(plan: &Plan, fold: &Fold<'_>) -> Rule {
    let mut judge = Judge::new("steps", "Every required step ran and passed.");
    for step in plan.steps.iter().filter(|step| plan.requires(step)) {
        let outcome = fold.outcome(&step.id);
        if outcome == Outcome::Passed {
            continue;
        }
        let seen = fold.steps.get(&step.id);
        let failure = seen.and_then(|seen| seen.finished?.1.failure.as_ref());
        let why = seen.and_then(|seen| seen.left_out.map(|(_, _, why)| why));
        let why = failure.map(|failure| failure.message.as_str()).or(why);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let finished = seen.and_then(|seen| seen.finished.map(|(mark, _)| mark.seq));
        let left_out = seen.and_then(|seen| seen.left_out.map(|(mark, ..)| mark.seq));
        let begun = seen.is_some_and(|seen| !seen.attempts.is_empty());
        let text = format!("step {} {}{why}", step.id, in_words(outcome, begun));
        judge.broken(effect_of(outcome), text, finished.or(left_out));
    }
    judge.rule
}

fn in_words(outcome: Outcome, begun: bool) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Inconclusive => "is inconclusive",
        Outcome::Skipped => "was skipped",
        Outcome::NotRun if begun => "did not come to an end",
        Outcome::NotRun => "was not run",
    }
}

fn checks(plan: &Plan, fold: &Fold<'_>) -> Rule {
    let mut judge =
        Judge::new("checks", "Every check of a required step was made, over something, and held.");
    for step in plan.steps.iter().filter(|step| plan.requires(step)) {
        for (mark, check) in fold.last_checks(&step.id) {
            let outcome = effective(check);
            if outcome == Outcome::Passed {
                continue;
            }
            let text = if outcome == Outcome::Failed {
                let (name, expected, observed) = (&check.name, &check.expected, &check.observed);
                format!(
                    "check {name} of step {}: expected {expected}, observed {observed}",
                    step.id
                )
            } else {
                let why = check.note.as_deref().unwrap_or(if check.population == Some(0) {
                    "taken over nothing"
                } else {
                    "no reason given"
                });
                format!("check {} of step {}: {outcome}: {why}", check.name, step.id)
            };
            judge.broken(effect_of(outcome), text, [mark.seq]);
        }
    }
    judge.rule
}

fn verified(plan: &Plan, fold: &Fold<'_>) -> Rule {
    let mut judge =
        Judge::new("verified", "At least one check of a required step was made and held.");
    let required = plan.steps.iter().filter(|step| step.required);
    let mut made = required.flat_map(|step| fold.last_checks(&step.id));
    if !made.any(|(_, check)| effective(check) == Outcome::Passed) {
        judge.broken(Verdict::Inconclusive, "no required check was made and held".to_owned(), []);
    }
    judge.rule
}

fn met(objectives: &ObjectivesReport) -> Rule {
    let mut judge = Judge::new("objectives", "Every declared objective was measured and met.");
    let mut add = |name: &str, outcome, detail: String, evidence: &[u64]| match outcome {
        ObjectiveOutcome::Met => {}
        ObjectiveOutcome::Missed => {
            let text = format!("{name} missed: {detail}");
            judge.broken(Verdict::Failed, text, evidence.iter().copied());
        }
        ObjectiveOutcome::NotMeasured => {
            let text = format!("{name} not measured: {detail}");
            judge.broken(Verdict::Inconclusive, text, evidence.iter().copied());
        }
    };
    let value = |target,
                 actual: Option<HumanDuration>,
                 margin: Option<Margin>,
                 why: &Option<String>| {
        match (actual, margin, why) {
            (Some(actual), Some(margin), _) => format!("{actual} of {target}, {} over", margin.by),
            (_, _, Some(why)) => why.clone(),
            _ => "no value".to_owned(),
        }
    };
    if let Some(rto) = &objectives.rto {
        add("RTO", rto.outcome, value(rto.target, rto.actual, rto.margin, &rto.why), &rto.evidence);
    }
    if let Some(rpo) = &objectives.rpo {
        add("RPO", rpo.outcome, value(rpo.target, rpo.actual, rpo.margin, &rpo.why), &rpo.evidence);
    }
    if let Some(rlo) = &objectives.rlo {
        add("RLO", rlo.outcome, rlo.why.clone().unwrap_or_default(), &rlo.evidence);
    }
    judge.rule
}

fn gone(fold: &Fold<'_>, resources: &[ResourceReport], inventory: &InventoryReport) -> Rule {
    let mut judge =
        Judge::new("resources", "Everything that the run made is gone, or kept on purpose.");
    for resource in resources.iter().filter(|resource| resource.state.is_left_behind()) {
        let text = format!("{}: {}", resource.key, resource.state.as_str());
        judge.broken(Verdict::Inconclusive, text, resource.evidence.last().copied());
    }
    for key in unexpected(&inventory.lines) {
        let text = format!("{key}: still there after the run, by inventory");
        let listed = fold.inventories.get(&InventoryTime::After).map(|(mark, _)| mark.seq);
        judge.broken(Verdict::Inconclusive, text, listed);
    }
    judge.rule
}

fn finished(fold: &Fold<'_>, steps: Verdict) -> Rule {
    let mut judge = Judge::new(
        "finished",
        "The run came to its own end, and says nothing worse of itself than its steps.",
    );
    for (mark, by) in &fold.cancelled {
        let because = match fold.incident {
            Some((incident, _)) if incident == *mark => ": a real incident needed the capacity",
            _ => "",
        };
        let text = format!("the run was cancelled by {by}{because}");
        judge.broken(Verdict::Inconclusive, text, [mark.seq]);
    }
    match fold.finished {
        None => {
            let text = "the journal does not end: the process was stopped, or is still at work";
            judge.broken(Verdict::Inconclusive, text.to_owned(), [fold.last.seq]);
        }
        Some((_, outcome)) if effect_of(outcome) <= steps => {}
        Some((mark, outcome)) => {
            let text = format!("the steps of the run ended as {outcome}");
            judge.broken(effect_of(outcome), text, [mark.seq]);
        }
    }
    judge.rule
}

fn allowed(fold: &Fold<'_>) -> Rule {
    let mut judge = Judge::new("guard", "The guard refused no call.");
    for (seq, text) in failures(fold, FailureClass::Refused) {
        judge.broken(Verdict::Inconclusive, format!("refused: {text}"), [seq]);
    }
    judge.rule
}

/// Ends of steps and of attempts in a kind of failure: the record, and step and message.
pub(super) fn failures(fold: &Fold<'_>, class: FailureClass) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for (id, step) in &fold.steps {
        let attempts = step.attempts.iter().filter_map(|attempt| attempt.failure);
        let end = step.finished.and_then(|(mark, result)| Some((mark, result.failure.as_ref()?)));
        for (mark, failure) in attempts.chain(end).filter(|(_, failure)| failure.class == class) {
            found.push((mark.seq, format!("step {id}: {}", failure.message)));
        }
    }
    found.sort();
    found
}

/// Resources that stay because somebody asked for it.
pub(super) fn resource_deviations(resources: &[ResourceReport]) -> Vec<String> {
    let kept = resources.iter().filter(|resource| resource.state == ResourceState::Kept);
    kept.map(|resource| format!("kept on purpose: {}", resource.key)).collect()
}

/// A real incident ends what a drill was allowed to keep: the deviations say what became of it.
pub(super) fn of_an_incident(
    plan: &Plan,
    fold: &Fold<'_>,
    resources: &[ResourceReport],
    deviations: &mut Vec<String>,
) {
    let Some((_, by)) = fold.incident else { return };
    let is_kept = resources.iter().any(|resource| resource.state == ResourceState::Kept);
    if plan.is_drill() && !is_kept {
        for deviation in deviations.iter_mut().filter(|said| said.starts_with("--keep ")) {
            let option = deviation.split(':').next().unwrap_or_default();
            *deviation = format!("{option}: given up, since a real incident needed the capacity");
        }
    }
    deviations.push(format!(
        "--incident by {by}: a real incident needed the capacity; what the run had made was removed all at once"
    ));
}
