//! Attempts at steps: how they begin, again after a process died, and what follows from their end.

use super::{DriveError, Effect, Ended, Loop, UnderWay};
use crate::action::{StepContext, StepError};
use crate::aws::CallLog;
use crate::engine::attempt::{Attempt, result_of, result_of_failure, run_once};
use crate::engine::backup_point::backup_points;
use crate::engine::inputs::{self, Ready};
use crate::engine::recorder::{ToLoop, look};
use crate::engine::watch::keep_watch;
use crate::ids::{SiteName, StepId};
use crate::journal::{Event, Outcome, StepState};
use crate::plan::PlannedStep;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

impl Loop<'_> {
    pub(super) fn start(
        &mut self,
        id: &StepId,
        attempt: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriveError> {
        let Some(step) = self.plan.step(id).cloned() else { return Ok(()) };
        match look(&self.state, |s| inputs::ready(self.plan, &self.facts, s, &step, attempt)) {
            Ready::Skip(why) => {
                let outcome = Outcome::Skipped;
                self.stage(Event::StepLeftOut { step: id.clone(), outcome, why })
            }
            Ready::Cannot(why) => {
                let input = serde_json::Value::Null;
                self.stage(Event::StepStarted { step: id.clone(), attempt, input })?;
                let result = result_of_failure(StepError::broken(why), &[]);
                self.stage(Event::StepFinished { step: id.clone(), result })
            }
            Ready::Run(input) => {
                let event = Event::StepStarted { step: id.clone(), attempt, input: input.clone() };
                self.stage(event)?;
                let since = look(&self.state, |state| match state.steps.get(id) {
                    Some(StepState::Running { since, .. }) => *since,
                    _ => self.world.clock.now(),
                });
                self.under_way.push(UnderWay::Step(id.clone()));
                effects.push(Effect::Run { step: Box::new(step), input, since });
                Ok(())
            }
        }
    }

    /// Steps that were running when an earlier process died start again; what they made is found in the ledger. In a
    /// cancelled run they are over, and in a halted one they wait.
    pub(super) fn restart_orphans(&mut self, effects: &mut Vec<Effect>) -> Result<(), DriveError> {
        if let Some(by) = look(&self.state, |state| state.cancelled.clone()) {
            return self.end_what_runs(&by);
        }
        if look(&self.state, |state| state.paused.is_some()) {
            return Ok(());
        }
        let orphans: Vec<(StepId, u32)> = look(&self.state, |state| {
            let running = state.steps.iter().filter_map(|(id, step)| match step {
                StepState::Running { attempt, .. } => Some((id.clone(), *attempt)),
                _ => None,
            });
            running
                .filter(|(id, _)| !self.under_way.contains(&UnderWay::Step(id.clone())))
                .collect()
        });
        for (step, attempt) in orphans {
            self.start(&step, attempt + 1, effects)?;
        }
        Ok(())
    }

    pub(super) fn spawn_step(
        &mut self,
        step: PlannedStep,
        input: serde_json::Value,
        since: DateTime<Utc>,
    ) {
        let Some(action) = self.registry.get(&step.uses).cloned() else {
            // Plans are checked against the registry; this one comes from another version.
            let error = StepError::broken(format!("there is no action {}", step.uses));
            let ended = Ended::Step(step.id.clone(), Attempt::Failed(error), CallLog::default());
            self.tasks.spawn(async move { ended });
            return;
        };
        let calls = self.calls.entry(step.id.clone()).or_default().clone();
        let context = self.context(step.id.clone(), step.at.clone(), calls.clone());
        let spent = (self.world.clock.now() - since).to_std().unwrap_or_default();
        let left = step.timeout.0.saturating_sub(spent);
        let id = step.id.clone();
        let over = self.watches_over.subscribe();
        self.tasks.spawn(async move {
            let work = async move {
                match step.watch {
                    Some(every) => keep_watch(context, step, action, input, every.0, over).await,
                    None => run_once(context, step, action, input, left).await,
                }
            };
            let attempt = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                Attempt::Failed(StepError::broken("the action panicked: this is a bug of redrill"))
            });
            Ended::Step(id, attempt, calls)
        });
    }

    pub(super) fn context(
        &self,
        step: StepId,
        at: Option<SiteName>,
        calls: CallLog,
    ) -> StepContext {
        let limit = self.plan.step(&step).map_or(Duration::MAX, |step| step.timeout.0);
        let (requests, state) = (self.requests.clone(), self.state.clone());
        // What it waits for is over: nothing can change this any more.
        let backups = look(&self.state, |state| backup_points(self.plan, state, &step));
        let recorder = ToLoop { requests, state, limit, backups };
        StepContext {
            facts: self.facts.clone(),
            step,
            at,
            clock: self.world.clock.clone(),
            outside: self.outside.clone(),
            sessions: self.world.sessions.clone(),
            recorder: Arc::new(recorder),
            calls,
        }
    }

    pub(super) fn step_ended(
        &mut self,
        step: StepId,
        attempt: Attempt,
        calls: &CallLog,
    ) -> Result<(), DriveError> {
        let state = look(&self.state, |state| state.steps.get(&step).cloned());
        let Some(StepState::Running { attempt: number, since, checks: earlier, .. }) = state else {
            // It was cancelled, and its end is written down already.
            return Ok(());
        };
        let mut result = match attempt {
            Attempt::Done { output, checks } => {
                for check in &checks {
                    self.stage(Event::Checked { step: step.clone(), check: check.clone() })?;
                }
                result_of(output, &[earlier, checks].concat())
            }
            Attempt::Failed(error) => {
                if let Some(retry_at) = self.retry_at(&step, &error, since) {
                    let failure = error.into_failure();
                    let event = Event::AttemptFailed { step, attempt: number, failure, retry_at };
                    return self.stage(event);
                }
                result_of_failure(error, &earlier)
            }
        };
        result.calls = calls.seen();
        self.stage(Event::StepFinished { step, result })
    }

    /// When a failed attempt is followed by another one: only for what may pass, within the policy and the time limit.
    pub(super) fn retry_at(
        &self,
        id: &StepId,
        error: &StepError,
        since: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let step = self.plan.step(id)?;
        let failed = look(&self.state, |state| state.failed_attempts.get(id).copied());
        let attempts = failed.unwrap_or(0) + 1;
        // A watch has its own patience.
        if !error.class().may_pass() || step.watch.is_some() {
            return None;
        }
        let mut schedule = step.retry.schedule(self.facts.seed, id.as_str());
        let pause = (0..attempts).map(|_| schedule.next_pause()).last()??;
        let retry_at = self.world.clock.now() + pause;
        (retry_at < since + step.timeout.0).then_some(retry_at)
    }
}
