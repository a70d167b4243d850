use super::{Check, Event, InventoryTime, Ledger, Outcome, Record, StepResult, WorldKind};
use crate::ids::{Digest, RunId, StepId};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Where a run stands: a fold of its journal, live or recovered.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// What the first record says.
    pub head: Option<RunHead>,
    /// The steps that were touched; one that is not in here is waiting.
    pub steps: BTreeMap<StepId, StepState>,
    /// How many steps have an outcome.
    pub over: usize,
    /// How many steps have an attempt under way.
    pub running: usize,
    /// Steps that failed or were inconclusive, in the order in which they ended.
    pub fell_short: Vec<StepId>,
    /// When the disaster was declared.
    pub disaster: Option<DateTime<Utc>>,
    /// The resources.
    pub ledger: Ledger,
    /// The inventories that were taken.
    pub inventories: BTreeSet<InventoryTime>,
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
        /// When the first attempt began; later by the time in which no process ran.
        since: DateTime<Utc>,
        /// The checks of this attempt.
        checks: Vec<Check>,
    },
    /// An attempt failed; another one is to come.
    Retrying {
        /// How many attempts were made.
        attempts: u32,
        /// When the first attempt began; later by the time in which no process ran.
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
        self.ledger.apply(&record.event)?;
        match &record.event {
            Event::RunStarted {
                run,
                number,
                scenario,
                plan,
                mode,
                world,
                operator,
                seed,
                expires,
                keep,
                ..
            } => {
                self.head = Some(RunHead {
                    run: run.clone(),
                    number: *number,
                    scenario: scenario.clone(),
                    plan: *plan,
                    mode: mode.clone(),
                    world: world.clone(),
                    operator: operator.clone(),
                    seed: *seed,
                    started: record.at,
                    expires: *expires,
                    keep: *keep,
                });
            }
            Event::DisasterDeclared { .. } if self.disaster.is_some() => {
                return Err("the disaster was declared before".to_owned());
            }
            Event::DisasterDeclared { .. } => self.disaster = Some(record.at),
            Event::CancelRequested { by, incident } => {
                self.cancelled.get_or_insert_with(|| by.clone());
                self.incident |= incident;
            }
            Event::RunPaused { by } => self.paused = Some(by.clone()),
            Event::RunContinued { .. } => self.paused = None,
            Event::InventoryTaken { when, .. } => {
                self.inventories.insert(*when);
            }
            Event::ReleaseStarted => self.releasing = true,
            Event::RunFinished { outcome } => self.finished = Some(*outcome),
            Event::RunResumed { gap_ms, .. } => self.sit_out(*gap_ms)?,
            _ => self.change_step(record)?,
        }
        Ok(())
    }

    /// No process ran for a while: what was under way has not used its time.
    fn sit_out(&mut self, gap_ms: u64) -> Result<(), String> {
        let too_long = || format!("no run waits for {gap_ms} ms");
        let gap = i64::try_from(gap_ms).ok().and_then(TimeDelta::try_milliseconds);
        let gap = gap.ok_or_else(too_long)?;
        self.idle = self.idle.checked_add(&gap).ok_or_else(too_long)?;
        for step in self.steps.values_mut() {
            if let StepState::Running { since, .. } | StepState::Retrying { since, .. } = step {
                *since = since.checked_add_signed(gap).ok_or_else(too_long)?;
            }
        }
        Ok(())
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
                let running = StepState::Running { attempt: *attempt, since, checks: Vec::new() };
                self.set(step, running);
            }
            Event::AttemptFailed { step, attempt, retry_at, .. } => {
                let (since, _) = self.running(step)?;
                let retrying =
                    StepState::Retrying { attempts: *attempt, since, retry_at: *retry_at };
                self.set(step, retrying);
            }
            Event::Checked { step, check } => self.running(step)?.1.push(check.clone()),
            Event::StepFinished { step, result } => {
                self.running(step)?;
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
