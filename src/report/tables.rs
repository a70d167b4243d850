//! The lists of a report, from the gathered records.

use super::fold::{Fold, Mark, ResourceFold, effective};
use super::model::Standstill;
use super::objectives::{accepted, passed_gates, waiting, waiting_for_credentials, why_not_proven};
use super::parts::{
    ApprovalReport, AttemptReport, CallReport, CheckReport, ClockMoment, FindingReport, Moment,
    PointSeen, ResourceReport, ResourceState, SiteReport, StepReport,
};
use crate::action::Registry;
use crate::ids::{SiteName, StepId};
use crate::journal::{CallSeen, ClockPoint, Failure, Outcome, ResourceKey};
use crate::plan::{Plan, PlannedStep};
use crate::scenario::Gate;
use std::cmp::Reverse;
use std::collections::BTreeMap;

pub(super) fn sites(plan: &Plan, fold: &Fold<'_>) -> Vec<SiteReport> {
    let site = |(name, site): (&SiteName, &crate::scenario::Site)| {
        let identity = fold.identities.get(name);
        SiteReport {
            site: name.clone(),
            region: site.region.clone(),
            planned_account: site.account.clone(),
            account: identity.map(|(account, _)| (*account).to_owned()),
            identity: identity.map(|(_, identity)| (*identity).to_owned()),
            lost: plan.disaster.lost.contains(name),
        }
    };
    plan.sites.iter().map(site).collect()
}

/// When the run stood still, and why.
pub(super) fn standstills(fold: &Fold<'_>) -> Vec<Standstill> {
    let absences = fold.absences.iter().map(|(left, taken_over)| {
        let torn = fold.torn_lines.get(&taken_over.seq).map(|bytes| {
            format!(
                "; the journal ended in a torn line of {bytes} bytes, which was dropped: nothing had been done because of it"
            )
        });
        let why = format!("no process was at work{}", torn.unwrap_or_default());
        (*left, *taken_over, why, vec![left.seq, taken_over.seq])
    });
    let pauses = fold.pauses.iter().map(|(start, by, end)| {
        let marks = std::iter::once(start.seq).chain(end.map(|end| end.seq)).collect();
        (*start, end.unwrap_or(fold.last), format!("halted by {by}"), marks)
    });
    let mut all: Vec<_> = absences.chain(pauses).collect();
    all.sort_by_key(|(start, ..)| start.seq);
    let standstill = |(start, end, why, evidence): (Mark, Mark, String, Vec<u64>)| Standstill {
        why,
        began: start.at,
        duration: end.since(start),
        evidence,
    };
    all.into_iter().map(standstill).collect()
}

pub(super) fn steps(plan: &Plan, fold: &Fold<'_>, path: &[StepId]) -> Vec<StepReport> {
    plan.steps.iter().map(|step| step_report(plan, step, fold, path)).collect()
}

fn step_report(plan: &Plan, step: &PlannedStep, fold: &Fold<'_>, path: &[StepId]) -> StepReport {
    let empty = super::fold::StepFold::default();
    let seen = fold.steps.get(&step.id).unwrap_or(&empty);
    let outcome = fold.outcome(&step.id);
    let started = seen.attempts.first().map(|attempt| attempt.started);
    let ended = seen.finished.map(|(mark, _)| mark);
    let marks = [started, ended, seen.left_out.map(|(mark, ..)| mark)];
    let duration = |start: Mark| ended.map(|end| end.since(start));
    StepReport {
        id: step.id.clone(),
        title: step.title.clone(),
        uses: step.uses.clone(),
        at: step.at.clone(),
        phase: step.phase,
        gate: step.gate,
        required: plan.requires(step),
        outcome,
        why: why_not_passed(step, fold, outcome),
        help: failure(step, fold).and_then(|failure| failure.help.clone()),
        started: started.map(|mark| mark.at),
        ended: ended.map(|mark| mark.at),
        offset: started.map(|mark| mark.since(fold.first)),
        duration: started.and_then(duration),
        limit: step.timeout,
        critical: path.contains(&step.id),
        needs: step.needs.iter().cloned().collect(),
        attempts: seen
            .attempts
            .iter()
            .map(|attempt| AttemptReport {
                number: attempt.number,
                started: attempt.started.at,
                failure: attempt.failure.map(|(_, failure)| failure.clone()),
            })
            .collect(),
        waits: seen.waits.iter().map(|wait| (*wait).clone()).collect(),
        waiting_for_people: waiting(fold, Some(&step.id), fold.first, fold.last),
        waiting_for_credentials: waiting_for_credentials(
            fold,
            Some(&step.id),
            fold.first,
            fold.last,
        ),
        evidence: marks.into_iter().flatten().map(|mark| mark.seq).collect(),
    }
}

/// By what the step came to its end, if by a failure.
fn failure<'a>(step: &PlannedStep, fold: &Fold<'a>) -> Option<&'a Failure> {
    fold.steps.get(&step.id)?.finished?.1.failure.as_ref()
}

fn why_not_passed(step: &PlannedStep, fold: &Fold<'_>, outcome: Outcome) -> Option<String> {
    if outcome == Outcome::Passed {
        return None;
    }
    let seen = fold.steps.get(&step.id);
    let failure = failure(step, fold);
    let left_out = seen.and_then(|seen| seen.left_out.map(|(_, _, why)| why.to_owned()));
    let checks = fold.last_checks(&step.id).filter(|(_, check)| effective(check) == outcome);
    let checks: Vec<_> = checks.map(|(_, check)| check.name.as_str()).collect();
    if let Some(failure) = failure {
        return Some(failure.message.clone());
    }
    if let Some(why) = left_out {
        return Some(why);
    }
    if !checks.is_empty() {
        return Some(format!("check {}: {}", outcome, checks.join(", ")));
    }
    Some(match seen {
        Some(seen) if seen.finished.is_some() => "the step gives no reason".to_owned(),
        Some(seen) if !seen.attempts.is_empty() => "it began and never came to an end".to_owned(),
        _ => "it was never begun".to_owned(),
    })
}

pub(super) fn checks(plan: &Plan, fold: &Fold<'_>) -> Vec<CheckReport> {
    let last_attempt = |step: &StepId| {
        let attempts = fold.steps.get(step).and_then(|seen| seen.attempts.last());
        attempts.map_or(0, |attempt| attempt.number)
    };
    let report = fold.checks.iter().map(|(step, attempt, mark, check)| {
        let mut check = (*check).clone();
        check.outcome = effective(&check);
        CheckReport {
            step: (*step).clone(),
            attempt: *attempt,
            superseded: *attempt != last_attempt(step),
            required: plan.step(step).is_none_or(|step| step.required),
            check,
            at: mark.at,
            evidence: vec![mark.seq],
        }
    });
    report.collect()
}

/// What a step that was begun again has found again is told once, with all its records.
pub(super) fn findings(fold: &Fold<'_>) -> Vec<FindingReport> {
    let mut findings: Vec<FindingReport> = Vec::new();
    for &(step, mark, finding) in &fold.findings {
        let is_it = |told: &&mut FindingReport| told.step == *step && told.finding == *finding;
        match findings.iter_mut().find(is_it) {
            Some(told) => told.evidence.push(mark.seq),
            None => findings.push(FindingReport {
                step: step.clone(),
                finding: finding.clone(),
                at: mark.at,
                evidence: vec![mark.seq],
            }),
        }
    }
    findings.sort_by_key(|finding| Reverse(finding.finding.severity));
    findings
}

pub(super) fn recovery_points(plan: &Plan, fold: &Fold<'_>) -> Vec<PointSeen> {
    let seen = fold.points.iter().map(|(step, attempt, mark, point)| PointSeen {
        step: (*step).clone(),
        outcome: fold.outcome(step),
        does_not_count: why_not_proven(plan, fold, (step, *attempt, *mark), point),
        point: (*point).clone(),
        evidence: fold.said_before.get(&mark.seq).copied().into_iter().chain([mark.seq]).collect(),
    });
    seen.collect()
}

/// What holds others comes behind them, so that commands can be used in the order in which they stand.
pub(super) fn resources(fold: &Fold<'_>, registry: &Registry) -> Vec<ResourceReport> {
    let report = |(key, seen): (&&ResourceKey, &ResourceFold<'_>)| {
        let state = match (seen.released, seen.left) {
            (Some(_), _) => ResourceState::Released,
            (None, Some((_, true, _))) => ResourceState::Kept,
            (None, Some((_, false, _))) => ResourceState::Left,
            (None, None) if seen.id.is_some() => ResourceState::Owned,
            (None, None) => ResourceState::Intended,
        };
        let how = seen.released.map(|(_, how)| how).or(seen.left.map(|(why, ..)| why));
        let command = seen.left.map(|(_, _, command)| command.to_owned());
        ResourceReport {
            key: (*key).clone(),
            id: seen.id.map(str::to_owned),
            step: seen.step.cloned(),
            state,
            how: how.map(str::to_owned),
            command: command.filter(|_| state != ResourceState::Released),
            evidence: seen.marks.clone(),
        }
    };
    let holds_others = |key: &ResourceKey| {
        registry.resource_kind(&key.kind).is_some_and(|kind| kind.holds_others())
    };
    let mut all: Vec<_> = fold.resources.iter().map(report).collect();
    all.sort_by_key(|resource| holds_others(&resource.key));
    all
}

pub(super) fn approvals(fold: &Fold<'_>) -> Vec<ApprovalReport> {
    let report = fold.questions.iter().map(|question| {
        let answered = question.answer.map(|(mark, _)| mark);
        let until = answered.unwrap_or_else(|| fold.end_of(question.step));
        let marks = [Some(question.asked), answered];
        ApprovalReport {
            step: question.step.clone(),
            text: question.text.to_owned(),
            asked: question.asked.at,
            deadline: question.deadline,
            answered: answered.map(|mark| mark.at),
            waited: Some(until.since(question.asked)),
            approval: question.answer.map(|(_, approval)| approval.clone()),
            evidence: marks.into_iter().flatten().map(|mark| mark.seq).collect(),
        }
    });
    report.collect()
}

pub(super) fn calls(plan: &Plan, fold: &Fold<'_>) -> Vec<CallReport> {
    let mut calls: BTreeMap<(String, SiteName), (Mark, CallReport)> = BTreeMap::new();
    let finished = |step: &PlannedStep| fold.steps.get(&step.id).and_then(|seen| seen.finished);
    let by_steps = plan.steps.iter().filter_map(|step| Some((&step.id, finished(step)?)));
    let by_steps = by_steps.map(|(step, (mark, result))| (Some(step), mark, &*result.calls, false));
    let removals = fold
        .resources
        .values()
        .flat_map(|seen| seen.calls.iter().map(|(mark, calls)| (seen.step, *mark, *calls, true)));
    for (step, mark, seen, removing) in by_steps.chain(removals) {
        for call in seen {
            let key = (call.operation.clone(), call.site.clone());
            let (last, report) = calls.entry(key).or_insert_with(|| (fold.first, none_yet(call)));
            report.count += u64::from(call.count);
            report.failed += u64::from(call.failed);
            report.removing += if removing { u64::from(call.count) } else { 0 };
            report.steps.extend(step.filter(|step| !report.steps.contains(step)).cloned());
            if mark >= *last && call.last_request_id.is_some() {
                *last = mark;
                report.last_request_id.clone_from(&call.last_request_id);
            }
        }
    }
    calls.into_values().map(|(_, report)| report).collect()
}

fn none_yet(call: &CallSeen) -> CallReport {
    CallReport {
        operation: call.operation.clone(),
        site: call.site.clone(),
        count: 0,
        failed: 0,
        removing: 0,
        last_request_id: None,
        steps: Vec::new(),
    }
}

pub(super) fn clock(plan: &Plan, fold: &Fold<'_>) -> Vec<ClockMoment> {
    let mut moments = Vec::new();
    // By monotonic clocks, as the RTO is measured: what a wall clock that was set says would contradict it.
    let since = |mark: Mark| {
        let declared = fold.declared.filter(|declared| mark >= *declared)?;
        Some(mark.since(declared))
    };
    let mut add = |moment, mark: Mark, step: Option<&StepId>, source: &str| {
        moments.push(ClockMoment {
            moment,
            at: mark.at,
            since_declared: since(mark),
            step: step.cloned(),
            source: source.to_owned(),
            evidence: vec![mark.seq],
        });
    };
    if let Some(declared) = fold.declared {
        add(Moment::Occurred, declared, None, "taken as the declaration");
        add(Moment::Detected, declared, None, "taken as the declaration");
        add(Moment::Declared, declared, None, "journal");
        let begun = fold.steps.iter().filter_map(|(id, step)| {
            let started = step.attempts.first()?.started;
            (started > declared).then_some((started, *id))
        });
        if let Some((mark, step)) = begun.min() {
            add(Moment::FirstAction, mark, Some(step), "journal");
        }
    }
    if let Ok(mark) = accepted(plan, fold) {
        add(Moment::Accepted, mark, None, "journal");
    }
    if let Ok(mark) = passed_gates(plan, fold, Gate::Assurance) {
        add(Moment::Assured, mark, None, "journal");
    }
    let released = fold.resources.values().map(|seen| seen.released.map(|(mark, _)| mark));
    if let Some(Some(last)) = released.collect::<Option<Vec<_>>>().map(|all| all.into_iter().max())
    {
        add(Moment::Released, last, None, "journal");
    }
    let reached = fold.reached.iter().map(|(step, point, at, source, mark)| {
        // The service's own time can only be compared with the wall clock.
        let since = fold.declared.map(|declared| *at - declared.at);
        ClockMoment {
            moment: moment_of(*point),
            at: *at,
            since_declared: since
                .filter(|since| *since >= chrono::TimeDelta::zero())
                .map(Into::into),
            step: Some((*step).clone()),
            source: (*source).to_owned(),
            evidence: vec![mark.seq],
        }
    });
    moments.extend(reached);
    moments.sort_by_key(|moment| (moment.at, moment.moment));
    moments
}

fn moment_of(point: ClockPoint) -> Moment {
    match point {
        ClockPoint::ResourceAvailable => Moment::ResourceAvailable,
        ClockPoint::DataReadable => Moment::DataReadable,
        ClockPoint::Hydrated => Moment::Hydrated,
        ClockPoint::CutOver => Moment::CutOver,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Event;
    use crate::report::samples;

    #[test]
    fn regression_what_holds_others_stands_behind_them() {
        let mut sample = samples::cancelled();
        let records = &mut sample.tape.records;
        let intends = |event: &Event| matches!(event, Event::ResourceIntended { .. });
        let at = records.iter().position(|record| intends(&record.event)).unwrap();
        for kind in ["aurora.cluster", "aurora.instance"] {
            let mut record = records[at].clone();
            let (kind, name, site) = (kind.to_owned(), "x".to_owned(), SiteName::new("dr"));
            let key = ResourceKey { kind, name, site };
            record.event = Event::ResourceIntended { step: StepId::new("restore"), key };
            records.insert(at, record);
        }
        for (seq, record) in (0..).zip(records) {
            record.seq = seq;
        }
        let fold = Fold::of(&sample.plan, &sample.tape.records).unwrap();
        let made = resources(&fold, &crate::providers::registry());
        let kinds: Vec<&str> = made.iter().map(|one| one.key.kind.as_str()).collect();
        assert_eq!(kinds, ["aurora.instance", "rds.db_instance", "aurora.cluster"]);
    }
}
