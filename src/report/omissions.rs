//! What was not done or not verified: nobody should have to notice it by its absence.

use super::fold::Fold;
use super::model::Report;
use super::outcome::ObjectiveOutcome;
use super::parts::{Moment, Omission, OmissionKind};
use crate::action::Registry;
use crate::journal::Outcome;
use crate::plan::{Plan, PlannedStep};
use crate::scenario::Gate;
use std::collections::BTreeSet;

/// Everything that is missing from the proof, the run as a whole first.
pub(super) fn omissions(plan: &Plan, report: &Report, registry: &Registry) -> Vec<Omission> {
    let mut found = Vec::new();
    whole_run(plan, report, &mut found);
    objectives(plan, report, &mut found);
    steps(report, &mut found);
    checks(report, &mut found);
    scope(plan, report, &mut found);
    outside(plan, report, &mut found);
    actions(plan, registry, &mut found);
    history(report, &mut found);
    found
}

/// What the journal says of messages that reached nobody, and of a store that it went on without.
pub(super) fn of_the_journal(fold: &Fold<'_>) -> Vec<Omission> {
    let untold = fold.untold.iter().map(|(_, moment, how, why)| Omission {
        kind: OmissionKind::Run,
        what: format!("telling people ({moment}) by {how}"),
        why: (*why).to_owned(),
    });
    let left_out = fold.stores_left_out.iter().map(|why| Omission {
        kind: OmissionKind::Run,
        what: "keeping the journal in its store until the end".to_owned(),
        why: format!("the run gave back what it had made by the journal on its disk alone: {why}"),
    });
    untold.chain(left_out).collect()
}

fn add(
    found: &mut Vec<Omission>,
    kind: OmissionKind,
    what: impl Into<String>,
    why: impl Into<String>,
) {
    found.push(Omission { kind, what: what.into(), why: why.into() });
}

fn whole_run(plan: &Plan, report: &Report, found: &mut Vec<Omission>) {
    if let Some(notice) = &report.verdict.notice {
        add(found, OmissionKind::Run, "recovery on real AWS", notice.clone());
    }
    if !report.inventory.verified {
        let (what, why) = ("that nothing is left over", report.inventory.claim.clone());
        add(found, OmissionKind::Run, what, why);
    }
    if plan.disaster.lost.is_empty() {
        let why = "disaster.lost names no site: the drill could have used anything of the sources";
        add(found, OmissionKind::Run, "that the recovery works without what is lost", why);
    }
    if report.exit.unfinished {
        let why = "the journal has no last record: what happened afterwards is not known";
        add(found, OmissionKind::Run, "the end of the run", why);
    }
}

fn objectives(plan: &Plan, report: &Report, found: &mut Vec<Omission>) {
    let objectives = &report.objectives;
    let whys = [
        ("RTO", objectives.rto.as_ref().map(|rto| (rto.outcome, &rto.why))),
        ("RPO", objectives.rpo.as_ref().map(|rpo| (rpo.outcome, &rpo.why))),
        ("RLO", objectives.rlo.as_ref().map(|rlo| (rlo.outcome, &rlo.why))),
    ];
    for (name, declared) in whys {
        match declared {
            None => {
                add(found, OmissionKind::Objective, name, "the scenario declares no such target")
            }
            Some((ObjectiveOutcome::NotMeasured, why)) => {
                let why = why.clone().unwrap_or_else(|| "no reason given".to_owned());
                add(found, OmissionKind::Objective, format!("{name} as measured"), why);
            }
            Some(_) => {}
        }
    }
    let unsourced = [
        ("RTO", plan.objectives.rto.as_ref().map(|rto| &rto.authority)),
        ("RPO", plan.objectives.rpo.as_ref().map(|rpo| &rpo.authority)),
        ("RLO", plan.objectives.rlo.as_ref().map(|rlo| &rlo.authority)),
    ];
    for (name, _) in unsourced.iter().filter(|(_, authority)| *authority == Some(&None)) {
        let why = "the scenario does not say which document the number comes from";
        add(found, OmissionKind::Objective, format!("authority of the {name} target"), why);
    }
    if let Some(rpo) = &objectives.rpo
        && rpo.outcome != ObjectiveOutcome::NotMeasured
        && rpo.worst_case.is_none()
    {
        let why =
            "no step knows how often recovery points are made: the RPO of another day may be worse";
        add(found, OmissionKind::Objective, "worst case of the schedule", why);
    }
}

fn steps(report: &Report, found: &mut Vec<Omission>) {
    for step in &report.timeline.steps {
        if matches!(step.outcome, Outcome::Passed | Outcome::Failed) {
            continue;
        }
        let why = step.why.clone().unwrap_or_else(|| "no reason given".to_owned());
        add(found, OmissionKind::Step, format!("step {} ({})", step.id, step.outcome), why);
    }
}

fn checks(report: &Report, found: &mut Vec<Omission>) {
    for check in report.checks.iter().filter(|check| !check.superseded) {
        if matches!(check.check.outcome, Outcome::Passed | Outcome::Failed) {
            continue;
        }
        let why = check.check.note.clone().unwrap_or_else(|| "no reason given".to_owned());
        add(
            found,
            OmissionKind::Check,
            format!("check {} of step {}", check.check.name, check.step),
            why,
        );
    }
    for check in report.checks.iter().filter(|check| check.superseded) {
        if check.check.outcome != Outcome::Passed {
            let what = format!("check {} of step {}", check.check.name, check.step);
            let (number, outcome) = (check.attempt, check.check.outcome);
            let why = format!("it was {outcome} in attempt {number}, and the step was tried again");
            add(found, OmissionKind::Check, what, why);
        }
    }
    for step in &report.timeline.steps {
        let made = report.checks.iter().any(|check| check.step == step.id);
        if step.gate.is_some() && step.outcome == Outcome::Passed && !made {
            let why =
                "the gate passed without a single check: only the action itself vouches for it";
            add(found, OmissionKind::Check, format!("checks of gate {}", step.id), why);
        }
    }
}

fn scope(plan: &Plan, report: &Report, found: &mut Vec<Omission>) {
    let cut_over = report.clock.iter().any(|moment| moment.moment == Moment::CutOver);
    if !cut_over {
        let why = "no step moved traffic: the time that it takes is not measured";
        add(found, OmissionKind::Scope, "cut-over", why);
    }
    if plan.is_drill() {
        let why = "a drill runs with the variables of mode drill; the runbook lists those that differ in a recovery";
        add(found, OmissionKind::Scope, "parameters of a real recovery", why);
    }
    if !plan.steps.iter().any(|step| step.gate == Some(Gate::Acceptance)) {
        let why = "no step has the gate acceptance: nothing says when the service may be used";
        add(found, OmissionKind::Scope, "acceptance", why);
    }
    let used: BTreeSet<_> = plan.steps.iter().filter_map(|step| step.at.as_ref()).collect();
    for site in report.sites.iter().filter(|site| used.contains(&site.site)) {
        if site.identity.is_none() {
            let why = "nothing in the journal says which account answered there";
            add(found, OmissionKind::Scope, format!("identity at site {}", site.site), why);
        }
    }
}

/// What is in no ledger and in no inventory: that nothing is left behind does not speak of it. A rehearsal changes nothing.
fn outside(plan: &Plan, report: &Report, found: &mut Vec<Omission>) {
    if report.rehearsal {
        return;
    }
    let began = |step: &&PlannedStep| {
        report.timeline.steps.iter().any(|one| one.id == step.id && one.started.is_some())
    };
    let external = plan.steps.iter().filter(|step| step.has_external_effect());
    for step in external.filter(began) {
        let why = "its effect is external: this program neither sees what it changed nor undoes it, so undoing it is by hand";
        add(found, OmissionKind::Scope, format!("what step {} changed outside", step.id), why);
    }
}

fn actions(plan: &Plan, registry: &Registry, found: &mut Vec<Omission>) {
    let used: BTreeSet<_> = plan.steps.iter().map(|step| step.uses.as_str()).collect();
    for name in used {
        let Some(entry) = registry.get(name) else {
            let why = "this version of the program does not know the action";
            add(found, OmissionKind::Action, name, why);
            continue;
        };
        let exercised = entry.facts.exercised;
        if exercised.aws.is_some() {
            continue;
        }
        let mut against = exercised.servers.to_vec();
        if exercised.sandbox {
            against.insert(0, "the sandbox");
        }
        let against = if against.is_empty() { "nothing".to_owned() } else { against.join(", ") };
        let why = format!(
            "this version of the action was never exercised against real AWS, only against: {against}"
        );
        add(found, OmissionKind::Action, name, why);
    }
}

fn history(report: &Report, found: &mut Vec<Omission>) {
    let known: BTreeSet<u32> = report.history.iter().map(|earlier| earlier.number).collect();
    // Counted and not listed: the number of a run is what its journal says, and may be anything.
    let earlier = report.run.number.saturating_sub(1) as usize;
    let missing = earlier.saturating_sub(known.iter().filter(|number| **number > 0).count());
    if missing > 0 {
        let shown = (1..report.run.number).filter(|number| !known.contains(number)).take(10);
        let shown: Vec<_> = shown.map(|number| number.to_string()).collect();
        let more = missing.saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let why = "their journals were not handed in: nothing is known of how they ended";
        add(found, OmissionKind::History, format!("earlier runs {}{more}", shown.join(", ")), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Event;
    use crate::report::samples::{self, Sample};
    use serde_json::json;

    /// Of a run in which these steps had an external effect: what is said of that.
    fn told(mut sample: Sample, external: &[&str]) -> Vec<Omission> {
        for step in &mut sample.plan.steps {
            if external.contains(&step.id.as_str()) {
                step.with["effect"] = json!("external");
            }
        }
        let digest = sample.plan.digest();
        if let Event::RunStarted { plan, .. } = &mut sample.tape.records[0].event {
            *plan = digest;
        }
        let mut omissions = sample.report().omissions;
        omissions.retain(|one| one.what.ends_with(" changed outside"));
        omissions
    }

    #[test]
    fn regression_what_a_step_changed_outside_is_said_where_nothing_is_left_behind() {
        // `deep` was left out.
        let told_of = told(samples::inconclusive(), &["data", "deep"]);
        let [one] = told_of.as_slice() else { panic!("{told_of:?}") };
        assert_eq!((one.kind, &*one.what), (OmissionKind::Scope, "what step data changed outside"));
        assert!(one.why.ends_with("undoing it is by hand"), "{}", one.why);
        assert!(told(samples::passed(), &[]).is_empty());
        assert!(told(samples::rehearsal(), &["data"]).is_empty());
    }
}
