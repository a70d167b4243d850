use crate::action::{Recorder, StepError};
use crate::ids::StepId;
use crate::journal::{
    Approval, Event, Holding, Question, RecoveryPoint, ResourceKey, RunState, StepState,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What steps ask of the loop.
pub(super) enum Request {
    /// Write this down, and answer when it is on disk.
    Record(Box<Event>, oneshot::Sender<Result<(), StepError>>),
    /// Show this.
    Progress(StepId, String),
}

/// The state of the run, shared with the steps for look-ups in the ledger. Only the loop changes it.
pub(super) type SharedState = Arc<Mutex<RunState>>;

pub(super) fn look<T>(state: &SharedState, at: impl FnOnce(&RunState) -> T) -> T {
    at(&state.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sends what steps write down to the loop, which is the only writer.
pub(super) struct ToLoop {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) state: SharedState,
    /// The limit of the step.
    pub(super) limit: Duration,
    /// By input of the step: the recovery point of the backup from which the data must have come that it leads to.
    pub(super) backups: BTreeMap<String, RecoveryPoint>,
}

impl Recorder for ToLoop {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        let gone = || StepError::broken("the run has ended");
        Box::pin(async move {
            let (answer, on_disk) = oneshot::channel();
            let request = Request::Record(Box::new(event), answer);
            self.requests.send(request).map_err(|_| gone())?;
            on_disk.await.map_err(|_| gone())?
        })
    }

    fn holds(&self, key: &ResourceKey) -> bool {
        let held = |holding: &Holding| !matches!(holding, Holding::Released { .. });
        look(&self.state, |state| state.ledger.get(key).is_some_and(held))
    }

    fn held_for(&self, step: &StepId, kind: &str) -> Vec<ResourceKey> {
        let is_of_it = |holding: &Holding| match holding {
            Holding::Intended { step: of }
            | Holding::Owned { step: of, .. }
            | Holding::Left { step: of, .. } => of == step,
            Holding::Released { .. } => false,
        };
        look(&self.state, |state| {
            let all = state.ledger.all().into_iter();
            let held = all.filter(|(key, holding)| key.kind == kind && is_of_it(holding));
            held.map(|(key, _)| key.clone()).collect()
        })
    }

    fn late_from(&self, step: &StepId) -> Option<DateTime<Utc>> {
        let made = look(&self.state, |state| {
            // Removing what it made afterwards has limits of its own.
            let runs = matches!(state.steps.get(step), Some(StepState::Running { .. }));
            state.made.get(step).copied().filter(|_| runs)
        })?;
        made.checked_add_signed(TimeDelta::from_std(self.limit).ok()?)
    }

    fn first_begun(&self, step: &StepId) -> Option<DateTime<Utc>> {
        look(&self.state, |state| state.first_begun.get(step).copied())
    }

    fn declared(&self) -> Option<DateTime<Utc>> {
        look(&self.state, |state| state.disaster)
    }

    fn backup_point(&self, input: &str) -> Option<RecoveryPoint> {
        self.backups.get(input).cloned()
    }

    fn told_point(&self, step: &StepId) -> Option<RecoveryPoint> {
        look(&self.state, |state| state.points.get(step).cloned())
    }

    fn asked(&self, step: &StepId) -> Option<Question> {
        look(&self.state, |state| state.questions.get(step).cloned())
    }

    fn answered(&self, step: &StepId) -> Option<(Approval, Duration)> {
        look(&self.state, |state| {
            let asked = state.questions.get(step)?;
            let (approval, at) = asked.answer.as_ref()?;
            Some((approval.clone(), (*at - asked.at).to_std().unwrap_or_default()))
        })
    }

    fn ran_as(&self) -> Vec<String> {
        look(&self.state, |state| state.identities.iter().cloned().collect())
    }

    fn progress(&self, step: &StepId, text: &str) {
        // Nobody listens any more when the run has ended: nothing is lost.
        let _ = self.requests.send(Request::Progress(step.clone(), text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn regression_what_a_step_has_removed_is_not_held_so_that_a_later_attempt_can_make_it_again() {
        let (requests, _incoming) = mpsc::unbounded_channel();
        let state = SharedState::default();
        let (limit, backups) = (Duration::from_secs(60), BTreeMap::new());
        let recorder = ToLoop { requests, state: state.clone(), limit, backups };
        let (kind, name) = ("test.thing".to_owned(), "a".to_owned());
        let key = ResourceKey { kind, name, site: SiteName::new("dr") };
        let held_after = |event: Event| {
            state.lock().unwrap().ledger.apply(&event).unwrap();
            recorder.holds(&key)
        };
        let step = StepId::new("try");
        assert!(!recorder.holds(&key));
        assert!(held_after(Event::ResourceIntended { step, key: key.clone() }));
        assert!(held_after(Event::ResourceOwned { key: key.clone(), id: "id".to_owned() }));
        let (how, calls) = ("deleted".to_owned(), Vec::new());
        assert!(!held_after(Event::ResourceReleased { key: key.clone(), how, calls }));
    }
}
