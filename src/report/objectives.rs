//! Targets and what was measured against them.

use super::fold::{Fold, Mark, effective};
use super::outcome::{
    Assumed, DecidedBy, LevelReport, Margin, ObjectiveOutcome, ObjectivesReport, PointReport,
    StepOutcome, TimeReport,
};
use crate::action::Phase;
use crate::ids::StepId;
use crate::journal::{ClockPoint, Measure, Outcome, RecoveryPoint};
use crate::plan::Plan;
use crate::scenario::{
    Gate, RecoveryLevelObjective, RecoveryPointObjective, RecoveryTimeObjective, RtoFrom,
};
use crate::time::HumanDuration;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::time::Duration;

/// Judges every objective that the plan declares.
pub(super) fn objectives(plan: &Plan, fold: &Fold<'_>, path: &[StepId]) -> ObjectivesReport {
    let declared = &plan.objectives;
    ObjectivesReport {
        rto: declared.rto.as_ref().map(|rto| recovery_time(plan, fold, rto, path)),
        rpo: declared.rpo.as_ref().map(|rpo| recovery_point(plan, fold, rpo)),
        rlo: declared.rlo.as_ref().map(|rlo| recovery_level(plan, fold, rlo)),
    }
}

/// When the last acceptance gate passed, provided that all did.
///
/// # Errors
/// Why that moment does not exist.
pub(super) fn accepted(plan: &Plan, fold: &Fold<'_>) -> Result<Mark, String> {
    let passed = passed_gates(plan, fold, Gate::Acceptance)?;
    let gates = plan.steps.iter().filter(|step| step.gate == Some(Gate::Acceptance));
    let gates: Vec<_> = gates.map(|step| &step.id).collect();
    prove_the_recovery(plan, fold, "acceptance gate", &gates)?;
    Ok(passed)
}

/// Steps that passed prove the recovery when they waited for all of it and looked at something.
fn prove_the_recovery(
    plan: &Plan,
    fold: &Fold<'_>,
    what: &str,
    proofs: &[&StepId],
) -> Result<(), String> {
    let apart = plan.recovery_apart_from(proofs);
    if let Some(step) = apart.first() {
        return Err(format!("no {what} waits for {}, a part of the recovery", step.id));
    }
    let held = |step: &&StepId| {
        fold.last_checks(step).any(|(_, check)| effective(check) == Outcome::Passed)
    };
    if !proofs.iter().any(held) {
        return Err(format!("no {what} made a check that held: nothing was looked at"));
    }
    Ok(())
}

/// When the last gate of a kind passed, provided that there is one and all did.
pub(super) fn passed_gates(plan: &Plan, fold: &Fold<'_>, gate: Gate) -> Result<Mark, String> {
    let mut last = None;
    for step in plan.steps.iter().filter(|step| step.gate == Some(gate)) {
        let Some(mark) = fold.passed_at(&step.id) else {
            let outcome = fold.outcome(&step.id);
            return Err(format!("gate {} did not pass: {outcome}", step.id));
        };
        last = last.max(Some(mark));
    }
    last.ok_or_else(|| "the scenario has no such gate".to_owned())
}

fn recovery_time(
    plan: &Plan,
    fold: &Fold<'_>,
    rto: &RecoveryTimeObjective,
    path: &[StepId],
) -> TimeReport {
    let assumed = assumptions(rto);
    let gates = plan.steps.iter().filter(|step| step.gate == Some(Gate::Acceptance));
    let mut report = TimeReport {
        target: rto.target,
        authority: rto.authority.clone(),
        definition: time_definition(rto.from, &assumed),
        outcome: ObjectiveOutcome::NotMeasured,
        why: None,
        actual: None,
        measured: None,
        assumed,
        waiting_for_people: HumanDuration::default(),
        unattended: None,
        waiting_for_credentials: HumanDuration::default(),
        margin: None,
        uncertainty: HumanDuration::default(),
        lower_bound: lower_bound(fold, accepted(plan, fold).ok()),
        gates: gates.map(|step| step.id.clone()).collect(),
        evidence: Vec::new(),
    };
    match window(plan, fold) {
        Err(why) => report.why = Some(why),
        Ok((declared, accepted)) => {
            let measured = accepted.since(declared);
            let assumed: Duration = report.assumed.iter().map(|part| part.duration.0).sum();
            let actual = HumanDuration(measured.0 + assumed);
            report.unattended = unattended(fold, declared, accepted);
            report.measured = Some(measured);
            report.waiting_for_credentials =
                waiting_for_credentials(fold, None, declared, accepted);
            report.evidence = vec![declared.seq, accepted.seq];
            judge_time(&mut report, actual);
            report.waiting_for_people = waiting(fold, None, declared, accepted);
            report.uncertainty = uncertainty(fold, path);
        }
    }
    report
}

/// From when to when the recovery time runs.
///
/// # Errors
/// Why it cannot be measured.
fn window(plan: &Plan, fold: &Fold<'_>) -> Result<(Mark, Mark), String> {
    let declared = fold.declared.ok_or("the disaster was never declared")?;
    let accepted = accepted(plan, fold)?;
    if accepted < declared {
        return Err("the acceptance gates passed before the disaster was declared".to_owned());
    }
    match clock_went_back(fold, declared, accepted) {
        None => Ok((declared, accepted)),
        Some(by) => Err(format!(
            "the clock of the process that went on was {by} behind the last record of the one before, so nobody can say how \
             long nothing was at work"
        )),
    }
}

/// How far the clock went back between two processes of the run, between these two marks.
fn clock_went_back(fold: &Fold<'_>, from: Mark, until: Mark) -> Option<HumanDuration> {
    let within = |(last, next): &&(Mark, Mark)| last.seq >= from.seq && next.seq <= until.seq;
    let back = fold.absences.iter().filter(within).map(|(last, next)| last.at - next.at);
    back.filter(|back| *back > TimeDelta::zero()).max().map(HumanDuration::from)
}

/// Compares the actual with the target. Where it is over the target only because the drill waited for its own expired
/// credentials, or because no process of it was at work, nobody can say what the recovery alone would have taken: what AWS
/// does goes on without us, what we do does not. So it counts as not measured, never as missed or met.
fn judge_time(report: &mut TimeReport, actual: HumanDuration) {
    let margin = Margin::between(report.target, actual);
    let waited = report.waiting_for_credentials;
    let unattended = report.unattended.unwrap_or_default();
    let at_least = HumanDuration(actual.0.saturating_sub(waited.0).saturating_sub(unattended.0));
    if margin.over && at_least <= report.target {
        let causes = [
            ("no process of the run was at work", unattended),
            ("the run waited for expired credentials", waited),
        ];
        let causes = causes.iter().filter(|(_, time)| !time.0.is_zero());
        let causes: Vec<_> = causes.map(|(what, time)| format!("{what} for {time}")).collect();
        report.why = Some(format!(
            "{}; the recovery alone took between {at_least} and {actual}, and the target of {} lies between",
            causes.join(", "),
            report.target
        ));
        return;
    }
    report.outcome = if margin.over { ObjectiveOutcome::Missed } else { ObjectiveOutcome::Met };
    report.actual = Some(actual);
    report.margin = Some(margin);
}

/// Why a measured time is less than a real recovery takes, if so.
fn lower_bound(fold: &Fold<'_>, accepted: Option<Mark>) -> Option<String> {
    let cut_over = fold.reached.iter().filter(|(step, point, ..)| {
        *point == ClockPoint::CutOver && fold.outcome(step) == Outcome::Passed
    });
    let mut cut_over = cut_over.map(|(.., mark)| *mark).peekable();
    if cut_over.peek().is_none() {
        return Some("nothing was cut over: moving traffic to the restored side takes time that is not in this value".to_owned());
    }
    let is_later = accepted.is_none_or(|accepted| cut_over.any(|mark| mark > accepted));
    is_later.then(|| {
        "traffic was moved after the last acceptance gate: that time is not in this value"
            .to_owned()
    })
}

fn assumptions(rto: &RecoveryTimeObjective) -> Vec<Assumed> {
    let part = |what: &str, duration| Assumed { what: what.to_owned(), duration };
    let detect = part("from the disaster to its detection", rto.assume.detect);
    let decide = part("from detection to the decision to recover", rto.assume.decide);
    match rto.from {
        RtoFrom::Occurred => vec![detect, decide],
        RtoFrom::Detected => vec![decide],
        RtoFrom::Declared => Vec::new(),
    }
}

fn time_definition(from: RtoFrom, assumed: &[Assumed]) -> String {
    let start = match from {
        RtoFrom::Occurred => "the disaster",
        RtoFrom::Detected => "the detection of the disaster",
        RtoFrom::Declared => "the declaration of the disaster",
    };
    let mut text = format!("From {start} to the end of the last acceptance gate.");
    if from != RtoFrom::Declared {
        let parts = assumed.iter().map(|part| format!("{} {}", part.duration, part.what));
        let parts = parts.collect::<Vec<_>>().join(", ");
        text.push_str(&format!(
            " Measured from the declaration on; assumed, because a drill does not wait for it: {parts}."
        ));
    }
    text.push_str(" Waiting for people counts.");
    text
}

/// How long the run waited for people between two moments, simultaneous questions counted once.
pub(super) fn waiting(
    fold: &Fold<'_>,
    of: Option<&StepId>,
    from: Mark,
    until: Mark,
) -> HumanDuration {
    let questions =
        fold.questions.iter().filter(|question| of.is_none_or(|of| of == question.step));
    let questions = questions.map(|question| {
        let end = question.answer.map_or(fold.end_of(question.step), |(mark, _)| mark);
        (question.asked.ms, end.ms)
    });
    let pauses = fold.pauses.iter().filter(|_| of.is_none());
    let pauses = pauses.map(|(start, _, end)| (start.ms, end.unwrap_or(fold.last).ms));
    let spans = questions.chain(pauses);
    covered(spans, from, until)
}

/// How long no process of the run was at work between two moments, if there was such a time.
fn unattended(fold: &Fold<'_>, from: Mark, until: Mark) -> Option<HumanDuration> {
    let spans = fold.absences.iter().map(|(left, taken_over)| (left.ms, taken_over.ms));
    Some(covered(spans, from, until)).filter(|time| !time.0.is_zero())
}

/// How long the run waited for expired credentials between two moments, simultaneous waits counted once.
pub(super) fn waiting_for_credentials(
    fold: &Fold<'_>,
    of: Option<&StepId>,
    from: Mark,
    until: Mark,
) -> HumanDuration {
    let waits = fold.credential_waits.iter().filter(|wait| of.is_none_or(|of| of == wait.step));
    let spans = waits
        .map(|wait| (wait.from_ms, wait.until_ms.unwrap_or_else(|| fold.end_of(wait.step).ms)));
    covered(spans, from, until)
}

/// How much of the time between two moments the spans (milliseconds) cover, each moment counted once.
fn covered(spans: impl Iterator<Item = (u64, u64)>, from: Mark, until: Mark) -> HumanDuration {
    let spans = spans.map(|(start, end)| (start.max(from.ms), end.min(until.ms)));
    let mut spans: Vec<_> = spans.filter(|(start, end)| start < end).collect();
    spans.sort_unstable();
    let mut covered_until = 0;
    let mut total = 0;
    for (start, end) in spans {
        total += end.saturating_sub(start.max(covered_until));
        covered_until = covered_until.max(end);
    }
    Duration::from_millis(total).into()
}

/// How much earlier the recovery may have come to its end: every wait on the critical path ended between two polls.
fn uncertainty(fold: &Fold<'_>, path: &[StepId]) -> HumanDuration {
    let waits = path.iter().filter_map(|id| fold.steps.get(id)).flat_map(|step| &step.waits);
    let brackets = waits.filter_map(|wait| Some(wait.first_ready - wait.last_not_ready?));
    brackets.sum::<TimeDelta>().into()
}

const POINT_DEFINITION: &str = "The moment of the declaration minus the time of the newest data proven recovered. The disaster is taken to \
     happen when it is declared: a drill does not wait for detection and decision. Of each passed step the newest point \
     counts, of several steps the oldest of these. The verdict uses the worse of this loss of the day and the longest \
     loss that the schedule allows.";

/// Why the time of a recovery point, seen in an attempt at a step, proves nothing for the objective, if so.
pub(super) fn why_not_proven(
    plan: &Plan,
    fold: &Fold<'_>,
    (step, attempt, mark): (&StepId, u32, Mark),
    point: &RecoveryPoint,
) -> Option<String> {
    let outcome = fold.outcome(step);
    let is_prepared = plan.step(step).is_some_and(|step| step.phase == Phase::Prepare);
    let wanted = plan.objectives.rpo.as_ref().map(|rpo| rpo.measure);
    if outcome != Outcome::Passed {
        Some(format!("step {outcome}"))
    } else if attempt != fold.attempts_of(step) {
        Some("the step was tried again".to_owned())
    } else if is_prepared && point.measure == Measure::Data {
        Some("read before the disaster, so not from recovered data".to_owned())
    } else if is_lost(plan, fold, (step, mark), point) {
        Some("the backup was seen at a site that was lost afterwards".to_owned())
    } else if wanted == Some(Measure::Data) && point.measure == Measure::Backup {
        Some("the target is about the data itself".to_owned())
    } else {
        None
    }
}

/// True for a backup that was seen only where the disaster has come since: it was there, and is no more, and so is its schedule.
fn is_lost(
    plan: &Plan,
    fold: &Fold<'_>,
    (step, mark): (&StepId, Mark),
    point: &RecoveryPoint,
) -> bool {
    let of_the_step = || plan.step(step).and_then(|step| step.at.as_ref());
    let at = point.kept_at.as_ref().or_else(of_the_step);
    point.measure == Measure::Backup
        && at.is_some_and(|at| plan.disaster.lost.contains(at))
        && fold.declared.is_none_or(|declared| mark < declared)
}

fn recovery_point(plan: &Plan, fold: &Fold<'_>, rpo: &RecoveryPointObjective) -> PointReport {
    let mut report = PointReport {
        target: rpo.target,
        authority: rpo.authority.clone(),
        definition: POINT_DEFINITION.to_owned(),
        required: rpo.measure,
        outcome: ObjectiveOutcome::NotMeasured,
        why: None,
        actual: None,
        decided_by: None,
        of_the_day: None,
        worst_case: None,
        newest: None,
        source: None,
        measured_from: None,
        margin: None,
        notes: Vec::new(),
        evidence: Vec::new(),
    };
    let proven = fold.points.iter().filter(|(step, attempt, mark, point)| {
        why_not_proven(plan, fold, (step, *attempt, *mark), point).is_none()
    });
    let proven: Vec<_> = proven.map(|(step, _, mark, point)| (*step, *mark, *point)).collect();
    let decisive = decisive_point(&proven, rpo.measure);
    match (fold.declared, decisive) {
        (None, _) => report.why = Some("the disaster was never declared".to_owned()),
        (_, None) => report.why = Some(nothing_proven(fold, rpo.measure)),
        (Some(declared), Some((mark, point)))
            if is_from_the_future(fold, declared, mark, point) =>
        {
            let ahead = HumanDuration::from(point.at - declared.at);
            report.newest = Some(point.at);
            report.source = Some(point.source.clone());
            report.evidence = vec![declared.seq, mark.seq];
            report.why = Some(format!(
                "the newest data is {ahead} younger than the declaration, so it was not read from what was recovered, or the \
                 source was still being copied, and the step that read it does not know how far the copy may be behind"
            ));
        }
        (Some(declared), Some((mark, point))) => {
            // The schedule's worst case also counts where its step failed: it can only make the result worse.
            let worst = fold.points.iter();
            let worst =
                worst.filter(|(step, _, mark, point)| !is_lost(plan, fold, (step, *mark), point));
            let worst = worst.filter_map(|(.., mark, point)| Some((point.worst_case?, *mark)));
            let worst = worst.max();
            measure_point(&mut report, worst, (declared, mark), point);
        }
    }
    report
}

/// True for data that cannot come from before the disaster. A step that compares a living copy with its source may see such
/// data: it knows how far the copy may be behind, and that decides.
fn is_from_the_future(fold: &Fold<'_>, declared: Mark, mark: Mark, point: &RecoveryPoint) -> bool {
    let step = fold.points.iter().find(|(.., seen, _)| seen.seq == mark.seq).map(|found| found.0);
    let knows_the_lag =
        fold.points.iter().any(|(of, .., point)| Some(*of) == step && point.worst_case.is_some());
    point.at > declared.at && !knows_the_lag
}

/// Per step the newest point of the measure, of these the oldest. A point read from the data itself is better than the
/// demanded description of the backup, and taken when there is no description.
fn decisive_point<'a>(
    proven: &[(&StepId, Mark, &'a RecoveryPoint)],
    measure: Measure,
) -> Option<(Mark, &'a RecoveryPoint)> {
    let of_measure = |wanted: Measure| {
        let mut newest: BTreeMap<&StepId, (Mark, &'a RecoveryPoint)> = BTreeMap::new();
        for (step, mark, point) in proven.iter().filter(|(.., point)| point.measure == wanted) {
            let best = newest.entry(step).or_insert((*mark, point));
            if point.at > best.1.at {
                *best = (*mark, point);
            }
        }
        newest.into_values().min_by_key(|(mark, point)| (point.at, *mark))
    };
    match measure {
        Measure::Data => of_measure(Measure::Data),
        Measure::Backup => of_measure(Measure::Backup).or_else(|| of_measure(Measure::Data)),
    }
}

fn nothing_proven(fold: &Fold<'_>, measure: Measure) -> String {
    let wanted = match measure {
        Measure::Data => "in the recovered data",
        Measure::Backup => "of a backup",
    };
    if fold.points.is_empty() {
        format!("no step found a recovery point {wanted}")
    } else {
        format!(
            "no passed step proved a recovery point {wanted}; those that were seen do not count"
        )
    }
}

fn measure_point(
    report: &mut PointReport,
    worst: Option<(HumanDuration, Mark)>,
    (declared, seen): (Mark, Mark),
    point: &RecoveryPoint,
) {
    if point.at > declared.at {
        let ahead = HumanDuration::from(point.at - declared.at);
        report.notes.push(format!(
            "the newest data is {ahead} younger than the declaration: the source was still being written or copied, \
             which a real disaster would have ended. The loss of the day counts as none"
        ));
    }
    // Of a copy that goes on, the way from the look to the loss is not known, and nothing is lost by not looking.
    let until = if point.goes_on { declared.at.min(seen.at) } else { declared.at };
    if until < declared.at {
        let before = HumanDuration::from(declared.at - until);
        report.notes.push(format!(
            "the copy goes on being written: it was looked at {before} before the declaration, and how far it was behind then is \
             the loss of the day"
        ));
    }
    let of_the_day = HumanDuration::from(until - point.at);
    let schedule = worst.filter(|(worst, _)| *worst > of_the_day);
    if worst.is_none() {
        report.notes.push(
            "no step knows the schedule: the loss of the day decides, and a later disaster may lose more".to_owned(),
        );
    }
    let (actual, decided_by) = match schedule {
        Some((worst, _)) => (worst, DecidedBy::Schedule),
        None => (of_the_day, DecidedBy::Day),
    };
    let margin = Margin::between(report.target, actual);
    report.outcome = if margin.over { ObjectiveOutcome::Missed } else { ObjectiveOutcome::Met };
    report.actual = Some(actual);
    report.decided_by = Some(decided_by);
    report.of_the_day = Some(of_the_day);
    report.worst_case = worst.map(|(worst, _)| worst);
    report.newest = Some(point.at);
    report.source = Some(point.source.clone());
    report.measured_from = Some(point.measure);
    report.margin = Some(margin);
    report.evidence = vec![declared.seq, seen.seq];
    report.evidence.extend(worst.map(|(_, mark)| mark.seq).filter(|seq| *seq != seen.seq));
    // What the copy did since it was looked at, nobody knows: where that alone decides, nothing is measured.
    let at_worst = HumanDuration::from(declared.at - point.at);
    if !margin.over && Margin::between(report.target, at_worst).over {
        report.outcome = ObjectiveOutcome::NotMeasured;
        (report.actual, report.margin, report.decided_by) = (None, None, None);
        report.why = Some(format!(
            "the loss lies between {of_the_day} and {at_worst}: nobody has looked at the copy since"
        ));
    }
}

fn recovery_level(plan: &Plan, fold: &Fold<'_>, rlo: &RecoveryLevelObjective) -> LevelReport {
    let named: Vec<&StepId> = rlo.proven_by.iter().collect();
    let outcome_of =
        |step: &StepId| StepOutcome { step: step.clone(), outcome: fold.outcome(step) };
    let proven_by: Vec<_> = rlo.proven_by.iter().map(outcome_of).collect();
    let names = |wanted: &dyn Fn(Outcome) -> bool| {
        let steps = proven_by.iter().filter(|proof| wanted(proof.outcome));
        steps.map(|proof| proof.step.to_string()).collect::<Vec<_>>().join(", ")
    };
    let failed = names(&|outcome| outcome == Outcome::Failed);
    let open = names(&|outcome| outcome != Outcome::Passed);
    let (outcome, why) = if proven_by.is_empty() {
        (ObjectiveOutcome::NotMeasured, Some("no step is named that proves it".to_owned()))
    } else if !failed.is_empty() {
        (ObjectiveOutcome::Missed, Some(format!("failed: {failed}")))
    } else if !open.is_empty() {
        (ObjectiveOutcome::NotMeasured, Some(format!("not proven by: {open}")))
    } else if let Err(why) = prove_the_recovery(plan, fold, "step of proven_by", &named) {
        (ObjectiveOutcome::NotMeasured, Some(why))
    } else {
        (ObjectiveOutcome::Met, None)
    };
    let marks = rlo.proven_by.iter().filter_map(|step| fold.steps.get(step)?.finished);
    LevelReport {
        target: rlo.target.clone(),
        authority: rlo.authority.clone(),
        definition: "Every step that is named as its proof has passed; together they waited for all of the recovery, and at \
                     least one made a check that held.".to_owned(),
        evidence: marks.map(|(mark, _)| mark.seq).collect(),
        proven_by,
        outcome,
        why,
    }
}
