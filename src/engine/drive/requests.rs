//! What steps ask to be written down, and whether they may.

use super::{DriveError, Loop};
use crate::action::StepError;
use crate::aws::lies_in;
use crate::engine::recorder::{Request, look};
use crate::journal::{Event, Failure, FailureClass};

impl Loop<'_> {
    pub(super) fn answer(&mut self, request: Request) -> Result<(), DriveError> {
        match request {
            Request::Progress(step, text) => {
                self.observer.progress(&step, &self.secrets.conceal(&text));
            }
            Request::Record(event, on_disk) => match self.permit(&event) {
                Err(error) => drop(on_disk.send(Err(error))),
                Ok(()) => {
                    self.stage(*event)?;
                    self.acknowledge.push(on_disk);
                }
            },
        }
        Ok(())
    }

    /// Whether a step may write this: limits of the guard, and nothing from a step that is over.
    pub(super) fn permit(&self, event: &Event) -> Result<(), StepError> {
        let refused = |message: String| {
            Err(Failure { class: FailureClass::Refused, code: None, message, help: None }.into())
        };
        match event {
            // What it makes now would come after the removal of everything else.
            Event::ResourceIntended { step, .. } if !self.is_running(step) => {
                Err(StepError::broken("the step is over"))
            }
            Event::ResourceIntended { key, .. } => {
                let guard = &self.plan.guard;
                let (made, again) = look(&self.state, |state| {
                    (state.ledger.len(), state.ledger.get(key).is_some())
                });
                if !guard.write.contains(&key.site) {
                    return refused(format!(
                        "{key} was not made: guard.write does not name {}",
                        key.site
                    ));
                }
                let kind = self.registry.resource_kind(&key.kind);
                let named = |place: &String| lies_in(&key.name, place);
                if kind.is_some_and(|kind| kind.is_canary()) && !guard.canaries.iter().any(named) {
                    return refused(format!(
                        "{key} was not made: guard.canaries does not name its place"
                    ));
                }
                if made >= guard.max_resources as usize && !again {
                    let limit = guard.max_resources;
                    return refused(format!("{key} was not made: guard.max_resources is {limit}"));
                }
                Ok(())
            }
            Event::Checked { step, .. } if !self.is_running(step) => {
                Err(StepError::broken("the step is over"))
            }
            _ => Ok(()),
        }
    }
}
