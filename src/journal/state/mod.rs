use super::{
    Approval, Check, Event, Holding, InventoryTime, Ledger, Measure, Outcome, Record,
    RecoveryPoint, StepResult, WorldKind,
};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Where a run stands: a fold of its journal, live or recovered.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// What the first record says.
    pub head: Option<RunHead>,
    /// Who started the run or went on with it, as the system knows them.
    pub operators: BTreeSet<String>,
    /// The account that each site was seen to be.
    pub accounts: BTreeMap<SiteName, String>,
    /// ARNs of those whom the sites have seen, of all processes: where a site has no role, whoever ran the process.
    pub identities: BTreeSet<String>,
    /// The steps that were touched; one that is not in here is waiting.
    pub steps: BTreeMap<StepId, StepState>,
    /// How many steps have an outcome.
    pub over: usize,
    /// How many steps have an attempt under way.
    pub running: usize,
    /// Steps whose attempt died with its process, and that have not begun again.
    pub orphans: BTreeSet<StepId>,
    /// How many attempts at each step have failed. Those that died with their process are not among them.
    pub failed_attempts: BTreeMap<StepId, u32>,
    /// Steps that failed or were inconclusive, in the order in which they ended.
    pub fell_short: Vec<StepId>,
    /// When the disaster was declared.
    pub disaster: Option<DateTime<Utc>>,
    /// The resources.
    pub ledger: Ledger,
    /// When the first attempt at each step began.
    pub first_begun: BTreeMap<StepId, DateTime<Utc>>,
    /// When each step was first known to have made the newest of its resources.
    pub made: BTreeMap<StepId, DateTime<Utc>>,
    /// The newest recovery point of a backup that each step has established; none when it is not certain: another attempt at
    /// the step has begun since then and did not see it again, or had asked for something by then.
    pub backup_points: BTreeMap<StepId, Option<RecoveryPoint>>,
    /// The recovery point that each step has told last, in whichever attempt.
    pub points: BTreeMap<StepId, RecoveryPoint>,
    /// The question that each step has asked last, in whichever attempt.
    pub questions: BTreeMap<StepId, Question>,
    /// The inventories that were taken.
    pub inventories: BTreeSet<InventoryTime>,
    /// Something that carried the tags of the run before it had made anything: another run has the same id.
    pub of_another_run: Option<String>,
    /// Who or what ended the run early.
    pub cancelled: Option<String>,
    /// True when it was ended early because a real incident needs the capacity.
    pub incident: bool,
    /// Who halted the run, until it goes on.
    pub paused: Option<String>,
    /// Steps are over; resources are being removed.
    pub releasing: bool,
    /// The run is over.
    pub finished: Option<Outcome>,
    /// Time in which no process ran, all gaps together. The limits of steps and of the run do not count it; the clocks of
    /// the objectives do.
    pub idle: TimeDelta,
    /// When the last record was written.
    pub last_at: Option<DateTime<Utc>>,
    /// How many records were applied.
    pub records: u64,
}

/// A question to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Since when it stands.
    pub at: DateTime<Utc>,
    /// Until when it stands.
    pub deadline: DateTime<Utc>,
    /// The file of those who may sign the answer, by its whole path; none when anybody may answer, or an earlier version asked.
    pub signed_by: Option<String>,
    /// True until the attempt that asked it has ended: it is under way, or has died with its process.
    pub stands: bool,
    /// What was said to it while it stood, and when. A process that dies before it acts on an answer takes none of it back.
    pub answer: Option<(Approval, DateTime<Utc>)>,
}

/// What the first record of a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// The run.
    pub run: RunId,
    /// Its number among the runs of the scenario.
    pub number: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// `drill` or `recovery`.
    pub mode: String,
    /// Real or a rehearsal.
    pub world: WorldKind,
    /// Program and version that began the run.
    pub tool: String,
    /// Seed of everything that looks random.
    pub seed: u64,
    /// Who started it, as the system knows them.
    pub operator: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When its resources may be removed by anyone.
    pub expires: DateTime<Utc>,
    /// How long its resources are kept on the operator's word.
    pub keep: Option<HumanDuration>,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq)]
pub enum StepState {
    /// An attempt is under way.
    Running {
        /// Which one, from 1.
        attempt: u32,
        /// When the first attempt began; later by the time that dead processes and halts have cost.
        since: DateTime<Utc>,
        /// When this attempt began.
        began: DateTime<Utc>,
        /// The checks of this attempt.
        checks: Vec<Check>,
    },
    /// An attempt failed; another one is to come.
    Retrying {
        /// How many attempts were made.
        attempts: u32,
        /// When the first attempt began; later by the time that dead processes and halts have cost.
        since: DateTime<Utc>,
        /// Not before this time.
        retry_at: DateTime<Utc>,
    },
    /// It came to its end.
    Done(StepResult),
    /// It is not run.
    LeftOut {
        /// `skipped` or `not_run`.
        outcome: Outcome,
        /// Why.
        why: String,
    },
}

impl StepState {
    /// The outcome, once there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Running { .. } | Self::Retrying { .. } => None,
            Self::Done(result) => Some(result.outcome),
            Self::LeftOut { outcome, .. } => Some(*outcome),
        }
    }
}

/// A record that cannot follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} cannot be: {why}")]
pub struct Impossible {
    /// Which record.
    pub seq: u64,
    /// Why.
    pub why: String,
}

impl RunState {
    /// The state after some records.
    ///
    /// # Errors
    /// When one cannot follow those before it.
    pub fn of(records: &[Record]) -> Result<Self, Impossible> {
        let mut state = Self::default();
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// The one place where the state of a run changes.
    ///
    /// # Errors
    /// When the record cannot follow those before it.
    pub fn apply(&mut self, record: &Record) -> Result<(), Impossible> {
        self.change(record).map_err(|why| Impossible { seq: record.seq, why })?;
        self.last_at = Some(record.at);
        self.records += 1;
        Ok(())
    }

    fn change(&mut self, record: &Record) -> Result<(), String> {
        if self.finished.is_some() {
            return Err("the run is over".to_owned());
        }
        if self.head.is_none() != matches!(record.event, Event::RunStarted { .. }) {
            return Err("the run starts exactly once, with the first record".to_owned());
        }
        if let Event::ResourceOwned { key, .. } = &record.event
            && let Some(Holding::Intended { step }) = self.ledger.get(key)
        {
            self.made.insert(step.clone(), record.at);
        }
        self.ledger.apply(&record.event)?;
        if self.paused.is_some() && !matches!(record.event, Event::RunResumed { .. }) {
            self.stand_still(record.at);
        }
        match &record.event {
            Event::RunStarted { .. } => self.begin(record),
            Event::SiteIdentified { site, account, identity, .. } => {
                self.identities.insert(identity.clone());
                let known = self.accounts.entry(site.clone()).or_insert_with(|| account.clone());
                if known != account {
                    return Err(format!(
                        "the site {site} was account {known}, and is {account} now"
                    ));
                }
            }
            Event::DisasterDeclared { .. } if self.disaster.is_some() => {
                return Err("the disaster was declared before".to_owned());
            }
            Event::DisasterDeclared { .. } => self.disaster = Some(record.at),
            Event::CancelRequested { by, incident } => {
                self.cancelled.get_or_insert_with(|| by.clone());
                self.incident |= incident;
                self.paused = None;
                if !self.ledger.outstanding().is_empty() {
                    // What was kept is to be removed: the last listing was not the last.
                    self.inventories.remove(&InventoryTime::After);
                }
            }
            Event::RunPaused { by } => self.paused = Some(by.clone()),
            Event::RunContinued { .. } => self.paused = None,
            Event::InventoryTaken { when, seen } => {
                let mut ours = seen.iter().flat_map(|one| &one.ours).map(|item| item.name.clone());
                if *when == InventoryTime::Before {
                    self.of_another_run = ours.next();
                }
                // One that was under way when an incident came shows what is still to be removed.
                if *when == InventoryTime::Before || self.ledger.outstanding().is_empty() {
                    self.inventories.insert(*when);
                }
            }
            Event::ReleaseStarted => self.releasing = true,
            Event::RunFinished { outcome } => self.finished = Some(*outcome),
            Event::RunResumed { gap_ms, operator, .. } => {
                self.operators.extend(operator.clone());
                self.sit_out(*gap_ms)?;
                self.resume(record.at);
            }
            _ => self.change_step(record)?,
        }
        Ok(())
    }

    fn begin(&mut self, record: &Record) {
        let Event::RunStarted {
            run,
            number,
            scenario,
            plan,
            mode,
            world,
            tool,
            operator,
            seed,
            expires,
            keep,
            ..
        } = &record.event
        else {
            return;
        };
        self.head = Some(RunHead {
            run: run.clone(),
            number: *number,
            scenario: scenario.clone(),
            plan: *plan,
            mode: mode.clone(),
            world: world.clone(),
            tool: tool.clone(),
            operator: operator.clone(),
            seed: *seed,
            started: record.at,
            expires: *expires,
            keep: *keep,
        });
        self.operators.insert(operator.clone());
    }

    /// No process ran for a while.
    fn sit_out(&mut self, gap_ms: u64) -> Result<(), String> {
        let gap = i64::try_from(gap_ms).ok().and_then(TimeDelta::try_milliseconds);
        let idle = gap.and_then(|gap| self.idle.checked_add(&gap));
        self.idle = idle.ok_or_else(|| format!("no run waits for {gap_ms} ms"))?;
        Ok(())
    }

    /// Nothing begins in a halted run: this does not count towards the limits of steps that have no attempt under way.
    fn stand_still(&mut self, at: DateTime<Utc>) {
        let passed = (at - self.last_at.unwrap_or(at)).max(TimeDelta::zero());
        for (id, step) in &mut self.steps {
            match step {
                StepState::Running { since, began, .. } if self.orphans.contains(id) => {
                    *since += passed;
                    *began += passed;
                }
                StepState::Retrying { since, .. } => *since += passed,
                _ => {}
            }
        }
    }

    /// Time in which no process worked does not count towards the limits of steps, and neither does an attempt that died
    /// with its process: otherwise a step would fail because of it.
    fn resume(&mut self, at: DateTime<Utc>) {
        let last = self.last_at.unwrap_or(at);
        for (id, step) in &mut self.steps {
            match step {
                StepState::Running { since, began, .. } => {
                    *since += (at - *began).max(TimeDelta::zero());
                    *began = at;
                    self.orphans.insert(id.clone());
                }
                StepState::Retrying { since, .. } => *since += (at - last).max(TimeDelta::zero()),
                StepState::Done(_) | StepState::LeftOut { .. } => {}
            }
        }
    }

    fn change_step(&mut self, record: &Record) -> Result<(), String> {
        match &record.event {
            Event::StepStarted { step, attempt, .. } => {
                let since = match self.steps.get(step) {
                    None => record.at,
                    Some(StepState::Running { since, .. } | StepState::Retrying { since, .. }) => {
                        *since
                    }
                    Some(_) => return Err(format!("the step {step} is over")),
                };
                self.orphans.remove(step);
                self.first_begun.entry(step.clone()).or_insert(record.at);
                let (attempt, began) = (*attempt, record.at);
                let running = StepState::Running { attempt, since, began, checks: Vec::new() };
                self.set(step, running);
                if let Some(point) = self.backup_points.get_mut(step) {
                    *point = None;
                }
            }
            Event::AttemptFailed { step, attempt, retry_at, .. } => {
                let (since, _) = self.running(step)?;
                let retrying =
                    StepState::Retrying { attempts: *attempt, since, retry_at: *retry_at };
                self.set(step, retrying);
                *self.failed_attempts.entry(step.clone()).or_default() += 1;
                self.withdraw(step);
            }
            Event::ApprovalRequested { step, text, deadline, signed_by } => {
                let question = Question {
                    text: text.clone(),
                    at: record.at,
                    deadline: *deadline,
                    signed_by: signed_by.clone(),
                    stands: true,
                    answer: None,
                };
                self.questions.insert(step.clone(), question);
            }
            Event::ApprovalGiven { step, approval } => {
                if let Some(asked) = self.questions.get_mut(step).filter(|asked| asked.stands) {
                    asked.answer = Some((approval.clone(), record.at));
                }
            }
            Event::Checked { step, check } => self.running(step)?.1.push(check.clone()),
            Event::RecoveryPointSeen { step, point } => {
                self.points.insert(step.clone(), point.clone());
                if point.measure == Measure::Backup {
                    self.see_backup(step, point);
                }
            }
            Event::StepFinished { step, result } => {
                self.running(step)?;
                self.withdraw(step);
                self.set(step, StepState::Done(result.clone()));
            }
            Event::StepLeftOut { step, outcome, why } => {
                if self.outcome(step).is_some() {
                    return Err(format!("the step {step} is over"));
                }
                self.set(step, StepState::LeftOut { outcome: *outcome, why: why.clone() });
            }
            _ => {}
        }
        Ok(())
    }

    /// The attempt that asked has ended: what was said to it counts for no other one.
    fn withdraw(&mut self, step: &StepId) {
        if let Some(question) = self.questions.get_mut(step) {
            (question.stands, question.answer) = (false, None);
        }
    }

    /// What a step says of the backup. Once it has asked for something, it says again what it had said before it asked: see
    /// `own_latest`.
    fn see_backup(&mut self, step: &StepId, point: &RecoveryPoint) {
        let known = self.backup_points.entry(step.clone()).or_default();
        // Of the same point the later word counts: it may know more of how new the data can be.
        if known.as_ref().is_none_or(|known| known.at <= point.at) {
            *known = Some(point.clone());
        }
    }

    /// The one place where the state of a step changes; the counters follow.
    fn set(&mut self, step: &StepId, next: StepState) {
        let outcome = next.outcome();
        self.running += usize::from(matches!(next, StepState::Running { .. }));
        self.over += usize::from(outcome.is_some());
        if matches!(outcome, Some(Outcome::Failed | Outcome::Inconclusive)) {
            self.fell_short.push(step.clone());
        }
        if let Some(StepState::Running { .. }) = self.steps.insert(step.clone(), next) {
            self.running -= 1;
        }
    }

    fn running(&mut self, step: &StepId) -> Result<(DateTime<Utc>, &mut Vec<Check>), String> {
        match self.steps.get_mut(step) {
            Some(StepState::Running { since, checks, .. }) => Ok((*since, checks)),
            _ => Err(format!("the step {step} is not running")),
        }
    }

    /// The outcome of a step, once there is one.
    pub fn outcome(&self, step: &StepId) -> Option<Outcome> {
        self.steps.get(step).and_then(StepState::outcome)
    }
}

#[cfg(test)]
mod tests;
