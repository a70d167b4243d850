//! The records of a run, gathered by what they are about.

use super::build::ReportError;
use crate::ids::{SiteName, StepId};
use crate::journal::{
    Approval, CallSeen, Check, ClockPoint, Event, Failure, Finding, Inventory, InventoryTime,
    LimitsFile, Outcome, Record, RecoveryPoint, ResourceKey, StepResult, Wait,
};
use crate::plan::Plan;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// A record's place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// Milliseconds since the first record by monotonic clocks, so that a wall clock that is set does not change a
    /// measure; over a resume, by the gap that the resuming process noted.
    pub(super) ms: u64,
    pub(super) at: DateTime<Utc>,
}

impl Mark {
    pub(super) fn since(self, earlier: Self) -> HumanDuration {
        Duration::from_millis(self.ms.saturating_sub(earlier.ms)).into()
    }
}

/// One attempt of a step.
#[derive(Clone, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) number: u32,
    pub(super) started: Mark,
    pub(super) failure: Option<(Mark, &'a Failure)>,
}

/// What the records say about one step.
#[derive(Clone, Debug, Default)]
pub(super) struct StepFold<'a> {
    pub(super) attempts: Vec<Attempt<'a>>,
    pub(super) finished: Option<(Mark, &'a StepResult)>,
    pub(super) left_out: Option<(Mark, Outcome, &'a str)>,
    pub(super) waits: Vec<&'a Wait>,
}

/// A question to a person.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) step: &'a StepId,
    pub(super) text: &'a str,
    pub(super) deadline: DateTime<Utc>,
    pub(super) asked: Mark,
    pub(super) answer: Option<(Mark, &'a Approval)>,
}

/// A time in which the run waited for expired credentials.
#[derive(Clone, Debug)]
pub(super) struct CredentialWait<'a> {
    pub(super) step: &'a StepId,
    pub(super) site: &'a SiteName,
    /// Of the run's time; the end is absent when the step was stopped meanwhile.
    pub(super) from_ms: u64,
    pub(super) until_ms: Option<u64>,
    pub(super) renewed: bool,
}

/// What the records say about one resource.
#[derive(Clone, Debug, Default)]
pub(super) struct ResourceFold<'a> {
    pub(super) step: Option<&'a StepId>,
    pub(super) id: Option<&'a str>,
    pub(super) released: Option<(Mark, &'a str)>,
    /// Why, whether on purpose, and the command that deletes it.
    pub(super) left: Option<(&'a str, bool, &'a str)>,
    pub(super) marks: Vec<u64>,
    /// The calls by which it was removed, or looked for.
    pub(super) calls: Vec<(Mark, &'a [CallSeen])>,
}

/// All records, gathered.
#[derive(Debug)]
pub(super) struct Fold<'a> {
    pub(super) started: &'a Event,
    pub(super) first: Mark,
    pub(super) last: Mark,
    pub(super) identities: BTreeMap<&'a SiteName, (&'a str, &'a str)>,
    pub(super) declared: Option<Mark>,
    pub(super) steps: BTreeMap<&'a StepId, StepFold<'a>>,
    /// Step, attempt, mark, check.
    pub(super) checks: Vec<(&'a StepId, u32, Mark, &'a Check)>,
    pub(super) findings: Vec<(&'a StepId, Mark, &'a Finding)>,
    /// Step, attempt, mark, point.
    pub(super) points: Vec<(&'a StepId, u32, Mark, &'a RecoveryPoint)>,
    /// Records of points that were told before with less, and the record that did.
    pub(super) said_before: BTreeMap<u64, u64>,
    /// Step, which moment, its time, who says so, mark.
    pub(super) reached: Vec<(&'a StepId, ClockPoint, DateTime<Utc>, &'a str, Mark)>,
    pub(super) resources: BTreeMap<&'a ResourceKey, ResourceFold<'a>>,
    /// By time: the record, and what each listing has shown.
    pub(super) inventories: BTreeMap<InventoryTime, (Mark, &'a [Inventory])>,
    pub(super) questions: Vec<Question<'a>>,
    pub(super) credential_waits: Vec<CredentialWait<'a>>,
    pub(super) cancelled: Vec<(Mark, &'a str)>,
    /// Who said that a real incident needs the capacity.
    pub(super) incident: Option<(Mark, &'a str)>,
    /// Stretches in which no process ran: the last record before, and the one of the process that took over.
    pub(super) absences: Vec<(Mark, Mark)>,
    /// By the record of the process that took over: how long the torn line was that it dropped.
    pub(super) torn_lines: BTreeMap<u64, u64>,
    /// Stretches in which the run was halted: when, by whom, and when it went on.
    pub(super) pauses: Vec<(Mark, &'a str, Option<Mark>)>,
    /// Messages that reached nobody: which moment, by which way, why.
    pub(super) untold: Vec<(Mark, &'static str, &'a str, &'a str)>,
    /// Why a process went on without the store of the journal.
    pub(super) stores_left_out: Vec<&'a str>,
    /// The limits of the organisation that any of its processes was held to, each file once.
    pub(super) limits: Vec<&'a LimitsFile>,
    pub(super) finished: Option<(Mark, Outcome)>,
}

impl<'a> Fold<'a> {
    /// Gathers the records of a run of `plan`.
    ///
    /// # Errors
    /// A [`ReportError`] when they are not the journal of a run, have a gap, or speak of steps that the plan lacks.
    pub(super) fn of(plan: &Plan, records: &'a [Record]) -> Result<Self, ReportError> {
        let first = records.first().ok_or(ReportError::Empty)?;
        if !matches!(first.event, Event::RunStarted { .. }) {
            return Err(ReportError::NoStart);
        }
        let mark = Mark { seq: first.seq, ms: 0, at: first.at };
        let mut fold = Self::new(&first.event, mark);
        let mut before = first;
        let mut ms = 0_u64;
        for (index, record) in records.iter().enumerate() {
            if record.seq != index as u64 {
                return Err(ReportError::Gap { expected: index as u64, found: record.seq });
            }
            ms = ms.saturating_add(match record.event {
                Event::RunResumed { gap_ms, .. } => gap_ms,
                _ => record.elapsed_ms.saturating_sub(before.elapsed_ms),
            });
            before = record;
            let mark = Mark { seq: record.seq, ms, at: record.at };
            if let Some(step) = record.event.step()
                && plan.step(step).is_none()
            {
                return Err(ReportError::UnknownStep { step: step.clone(), seq: record.seq });
            }
            let previous = std::mem::replace(&mut fold.last, mark);
            fold.apply(previous, mark, &record.event)?;
        }
        Ok(fold)
    }

    fn new(started: &'a Event, mark: Mark) -> Self {
        Self {
            started,
            first: mark,
            last: mark,
            identities: BTreeMap::new(),
            declared: None,
            steps: BTreeMap::new(),
            checks: Vec::new(),
            findings: Vec::new(),
            points: Vec::new(),
            said_before: BTreeMap::new(),
            reached: Vec::new(),
            resources: BTreeMap::new(),
            inventories: BTreeMap::new(),
            questions: Vec::new(),
            credential_waits: Vec::new(),
            cancelled: Vec::new(),
            incident: None,
            absences: Vec::new(),
            torn_lines: BTreeMap::new(),
            pauses: Vec::new(),
            untold: Vec::new(),
            stores_left_out: Vec::new(),
            limits: Vec::new(),
            finished: None,
        }
    }

    fn apply(&mut self, before: Mark, mark: Mark, event: &'a Event) -> Result<(), ReportError> {
        match event {
            Event::RunStarted { .. } if mark.seq > 0 => {
                return Err(ReportError::contradiction(mark.seq, "the run starts a second time"));
            }
            Event::RunStarted { limits, .. } => self.hold(limits),
            Event::ReleaseStarted => {}
            Event::SiteIdentified { site, account, identity, .. } => {
                self.identities.insert(site, (account, identity));
            }
            Event::DisasterDeclared { .. } => {
                if self.declared.replace(mark).is_some() {
                    let twice = "the disaster is declared a second time";
                    return Err(ReportError::contradiction(mark.seq, twice));
                }
            }
            Event::CancelRequested { by, incident } => {
                self.cancelled.push((mark, by));
                self.end_pause(mark);
                if *incident {
                    self.incident.get_or_insert((mark, by));
                }
            }
            Event::RunPaused { by } => self.pauses.push((mark, by, None)),
            Event::RunContinued { .. } => self.end_pause(mark),
            Event::InventoryTaken { when, seen } => {
                self.inventories.insert(*when, (mark, seen));
            }
            Event::RunResumed { torn_bytes, limits, without_store, .. } => {
                self.absences.push((before, mark));
                self.torn_lines.extend((*torn_bytes > 0).then_some((mark.seq, *torn_bytes)));
                self.stores_left_out.extend(without_store.as_deref());
                self.hold(limits);
            }
            Event::RunFinished { outcome } => self.finished = Some((mark, *outcome)),
            Event::Notified { moment, how, problem: Some(problem), .. } => {
                self.untold.push((mark, moment.as_str(), how, problem));
            }
            Event::Notified { .. } => {}
            Event::ResourceIntended { .. }
            | Event::ResourceOwned { .. }
            | Event::ResourceReleased { .. }
            | Event::ResourceLeft { .. } => self.apply_resource(mark, event),
            Event::CredentialsExpired { .. } | Event::CredentialsWaited { .. } => {
                return self.apply_credentials(mark, event);
            }
            _ => return self.apply_step(mark, event),
        }
        Ok(())
    }

    fn end_pause(&mut self, mark: Mark) {
        if let Some((.., until @ None)) = self.pauses.last_mut() {
            *until = Some(mark);
        }
    }

    fn hold(&mut self, limits: &'a [LimitsFile]) {
        for file in limits {
            if !self.limits.contains(&file) {
                self.limits.push(file);
            }
        }
    }

    fn apply_step(&mut self, mark: Mark, event: &'a Event) -> Result<(), ReportError> {
        match event {
            Event::StepStarted { step, attempt, .. } => {
                let attempt = Attempt { number: *attempt, started: mark, failure: None };
                self.steps.entry(step).or_default().attempts.push(attempt);
            }
            Event::AttemptFailed { step, failure, .. } => {
                if let Some(attempt) = self.steps.entry(step).or_default().attempts.last_mut() {
                    attempt.failure = Some((mark, failure));
                }
            }
            Event::Checked { step, check } => {
                let attempt = self.attempts_of(step);
                self.checks.push((step, attempt, mark, check));
            }
            Event::Found { step, finding } => self.findings.push((step, mark, finding)),
            Event::Waited { step, wait } => self.steps.entry(step).or_default().waits.push(wait),
            Event::RecoveryPointSeen { step, point } => {
                let attempt = self.attempts_of(step);
                // A restore of the latest tells its point before it asks, and once more when it knows how new the data can be.
                let same = |(of, tried, _, said): &(&StepId, u32, Mark, &RecoveryPoint)| {
                    (*of, *tried) == (step, attempt) && said.is_completed_by(point)
                };
                if let Some(at) = self.points.iter().position(same) {
                    let (.., before, _) = self.points.remove(at);
                    self.said_before.insert(mark.seq, before.seq);
                }
                self.points.push((step, attempt, mark, point));
            }
            Event::Reached { step, point, at, source } => {
                self.reached.push((step, *point, *at, source, mark));
            }
            Event::ApprovalRequested { step, text, deadline, .. } => {
                let deadline = *deadline;
                self.questions.push(Question { step, text, deadline, asked: mark, answer: None });
            }
            Event::ApprovalGiven { step, approval } => {
                let open = |question: &&mut Question<'_>| {
                    question.step == step && question.answer.is_none()
                };
                let Some(question) = self.questions.iter_mut().rev().find(open) else {
                    let unasked = format!("step {step} has an answer that nobody asked for");
                    return Err(ReportError::contradiction(mark.seq, unasked));
                };
                question.answer = Some((mark, approval));
            }
            Event::StepFinished { step, result } => {
                let fold = self.steps.entry(step).or_default();
                if fold.finished.replace((mark, result)).is_some() {
                    let twice = format!("step {step} ends a second time");
                    return Err(ReportError::contradiction(mark.seq, twice));
                }
            }
            Event::StepLeftOut { step, outcome, why } => {
                let fold = self.steps.entry(step).or_default();
                if *outcome == Outcome::Passed {
                    let wrong = format!("step {step} was left out and counts as passed");
                    return Err(ReportError::contradiction(mark.seq, wrong));
                }
                fold.left_out = Some((mark, *outcome, why));
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_credentials(&mut self, mark: Mark, event: &'a Event) -> Result<(), ReportError> {
        match event {
            Event::CredentialsExpired { step, site, .. } => {
                let (from_ms, until_ms, renewed) = (mark.ms, None, false);
                self.credential_waits.push(CredentialWait {
                    step,
                    site,
                    from_ms,
                    until_ms,
                    renewed,
                });
            }
            Event::CredentialsWaited { step, site, renewed, waited_ms } => {
                let open = |wait: &&mut CredentialWait<'_>| {
                    wait.step == step && wait.site == site && wait.until_ms.is_none()
                };
                let Some(wait) = self.credential_waits.iter_mut().rev().find(open) else {
                    let unasked =
                        format!("step {step} waited for credentials that were not expired");
                    return Err(ReportError::contradiction(mark.seq, unasked));
                };
                // It began with the first refusal, a moment before it was written down.
                wait.from_ms = mark.ms.saturating_sub(*waited_ms).min(wait.from_ms);
                wait.until_ms = Some(mark.ms);
                wait.renewed = *renewed;
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_resource(&mut self, mark: Mark, event: &'a Event) {
        let key = match event {
            Event::ResourceIntended { key, .. }
            | Event::ResourceOwned { key, .. }
            | Event::ResourceReleased { key, .. }
            | Event::ResourceLeft { key, .. } => key,
            _ => return,
        };
        let fold = self.resources.entry(key).or_default();
        fold.marks.push(mark.seq);
        match event {
            Event::ResourceIntended { step, .. } => {
                fold.step = Some(step);
                // Made again after a release: what was said about the earlier one does not hold for this one.
                fold.released = None;
                fold.left = None;
            }
            Event::ResourceOwned { id, .. } => fold.id = Some(id),
            Event::ResourceReleased { how, calls, .. } => {
                fold.released = Some((mark, how));
                fold.calls.push((mark, calls));
            }
            Event::ResourceLeft { why, kept, command, calls, .. } => {
                fold.calls.push((mark, calls));
                fold.released = None;
                fold.left = Some((why, *kept, command));
            }
            _ => {}
        }
    }

    /// The number of the last attempt at a step; 0 before the first.
    pub(super) fn attempts_of(&self, step: &StepId) -> u32 {
        let attempts = self.steps.get(step).map(|fold| fold.attempts.as_slice());
        attempts.and_then(<[_]>::last).map_or(0, |attempt| attempt.number)
    }

    /// How a step ended: the worst of its result and of the checks of its last attempt. `NotRun` when nothing says that
    /// it came to an end.
    pub(super) fn outcome(&self, step: &StepId) -> Outcome {
        let Some(fold) = self.steps.get(step) else { return Outcome::NotRun };
        match (&fold.finished, &fold.left_out) {
            (Some((_, result)), _) => {
                let checks = self.last_checks(step).map(|(_, check)| effective(check));
                // Skipped and not run stay what they are: a step with such a result made no checks that count.
                Outcome::worst(checks.chain([result.outcome])).unwrap_or(Outcome::NotRun)
            }
            (None, Some((_, outcome, _))) => *outcome,
            (None, None) => Outcome::NotRun,
        }
    }

    /// The checks of the last attempt of a step.
    pub(super) fn last_checks(&self, step: &StepId) -> impl Iterator<Item = (Mark, &'a Check)> {
        let last = self.attempts_of(step);
        let of_step = move |(_, attempt, _, _): &&(&StepId, u32, Mark, &Check)| *attempt == last;
        let checks = self.checks.iter().filter(of_step);
        checks.filter(move |(of, ..)| *of == step).map(|(_, _, mark, check)| (*mark, *check))
    }

    /// When a step ended; the last record when nothing says so.
    pub(super) fn end_of(&self, step: &StepId) -> Mark {
        let finished = self.steps.get(step).and_then(|fold| fold.finished);
        finished.map_or(self.last, |(mark, _)| mark)
    }

    /// When a step ended, if it passed.
    pub(super) fn passed_at(&self, step: &StepId) -> Option<Mark> {
        let (mark, _) = self.steps.get(step)?.finished?;
        (self.outcome(step) == Outcome::Passed).then_some(mark)
    }
}

/// The outcome of a check, whatever it says of itself: over nothing it cannot pass.
pub(super) fn effective(check: &Check) -> Outcome {
    if check.outcome == Outcome::Passed && check.population == Some(0) {
        Outcome::Inconclusive
    } else {
        check.outcome
    }
}
