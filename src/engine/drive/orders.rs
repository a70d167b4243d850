//! What people and signals order.

use super::{DriveError, Loop, UnderWay};
use crate::action::StepError;
use crate::aws::CallLog;
use crate::engine::attempt::result_of_failure;
use crate::engine::recorder::look;
use crate::engine::world::Order;
use crate::ids::StepId;
use crate::journal::{Check, Event, StepState};

impl Loop<'_> {
    /// Does as told, as far as it still means anything.
    pub(super) fn obey(&mut self, order: Order) -> Result<(), DriveError> {
        let (over, urgent, paused) = look(&self.state, |state| {
            (state.cancelled.is_some() || state.releasing, state.incident, state.paused.is_some())
        });
        match order {
            Order::Cancel { by, incident } if !over => self.cancel(by, incident),
            Order::Cancel { by, incident: true } if !urgent => {
                self.stage(Event::CancelRequested { by, incident: true })
            }
            // There is nothing left to end but the halt, which keeps what is to be removed.
            Order::Cancel { by, .. } if paused => self.stage(Event::RunContinued { by }),
            // Somebody wants to look at what is being removed; an incident does not wait for that.
            Order::Pause { by } if !paused && !urgent => self.stage(Event::RunPaused { by }),
            Order::Continue { by } if paused => self.stage(Event::RunContinued { by }),
            Order::Cancel { .. } | Order::Pause { .. } | Order::Continue { .. } => Ok(()),
        }
    }

    /// Ends the run early: what runs is stopped, releasing follows.
    pub(super) fn cancel(&mut self, by: String, incident: bool) -> Result<(), DriveError> {
        self.tasks.abort_all();
        self.under_way.retain(|u| matches!(u, UnderWay::Release(_)));
        self.stage(Event::CancelRequested { by: by.clone(), incident })?;
        self.end_what_runs(&by)
    }

    /// Writes down the end of what was under way when the run was cancelled.
    pub(super) fn end_what_runs(&mut self, by: &str) -> Result<(), DriveError> {
        let running: Vec<(StepId, Vec<Check>)> = look(&self.state, |state| {
            let running = state.steps.iter().filter_map(|(id, step)| match step {
                StepState::Running { checks, .. } => Some((id.clone(), checks.clone())),
                _ => None,
            });
            running.collect()
        });
        for (step, checks) in running {
            let error = StepError::broken(format!("the run was cancelled: {by}"));
            // What it has seen fall short until then stands.
            let mut result = result_of_failure(error, &checks);
            result.calls = self.calls.get(&step).map(CallLog::seen).unwrap_or_default();
            self.stage(Event::StepFinished { step, result })?;
        }
        Ok(())
    }
}
