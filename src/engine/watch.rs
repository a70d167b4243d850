//! A step that watches: it looks again and again while the others are under way, and ends the run when it falls short.

use super::attempt::{Attempt, run_once};
use crate::action::{ActionEntry, Recorder, StepContext, StepError};
use crate::ids::{SiteName, StepId};
use crate::journal::{
    Approval, Check, Event, FailureClass, Outcome, Question, RecoveryPoint, ResourceKey,
};
use crate::plan::PlannedStep;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Looks at once, every `every`, and a last time when the others are `over`. Ends early with the look that fell short,
/// or with the last of as many failed looks in a row as the step may have attempts. A look that makes no check counts as a
/// failed one, and so does one that takes longer than the step's limit.
///
/// A look that has waited for credentials to its limit is a failed one, too, and no more: the next may find them renewed.
///
/// Only the first look and the last one are written down: what lies between was as expected.
pub(super) async fn keep_watch(
    context: StepContext,
    step: PlannedStep,
    action: ActionEntry,
    input: Value,
    every: Duration,
    mut over: watch::Receiver<bool>,
) -> Attempt {
    let held = Arc::new(HeldBack::new(context.recorder.clone()));
    let looking = StepContext { recorder: held.clone(), ..context.clone() };
    let (mut looks, mut failures, mut checked) = (0_u64, 0, Vec::<Check>::new());
    loop {
        let is_last = *over.borrow_and_update();
        let (limit, waited) = (step.timeout.0, context.waited_for_credentials());
        let attempt =
            run_once(looking.clone(), step.clone(), action.clone(), input.clone(), limit).await;
        let attempt = held.must_have_looked(attempt);
        let waited = context.waited_for_credentials().saturating_sub(waited);
        if let Err(error) = held.waits_no_longer(&step.id, waited).await {
            return Attempt::Failed(error);
        }
        looks += 1;
        failures = if matches!(attempt, Attempt::Failed(_)) { failures + 1 } else { 0 };
        let ends = is_last
            || match &attempt {
                Attempt::Done { checks, .. } => {
                    checks.iter().any(|c| c.outcome != Outcome::Passed) || held.fell_short()
                }
                Attempt::Failed(error) => {
                    let class = error.class();
                    // A look has a limit of its own: the next one may be within it.
                    let passes = [FailureClass::TimedOut, FailureClass::CredentialsExpired];
                    let for_good = !class.may_pass() && !passes.contains(&class);
                    for_good || failures >= step.retry.attempts
                }
            };
        if let (true, Attempt::Failed(error)) = (ends, &attempt) {
            held.not_made(&step.id, &checked, &format!("look {looks}: {error}"));
        }
        let seen = held.checks();
        if !seen.is_empty() {
            checked = seen;
        }
        if (ends || looks == 1)
            && let Err(error) = held.write_down().await
        {
            return Attempt::Failed(error);
        }
        if ends {
            return attempt;
        }
        held.forget();
        let next = crate::time::HumanDuration(every);
        context.progress(&format!("watching: look {looks}, the next in {next}"));
        tokio::select! {
            biased;
            _ = over.changed() => {}
            () = context.clock.sleep(every) => {}
        }
    }
}

/// Holds back what a look writes down, until it is known whether anybody wants to read it.
struct HeldBack {
    journal: Arc<dyn Recorder>,
    events: Mutex<Vec<Event>>,
    /// Sites whose credentials the look waits for.
    waits_for: Mutex<BTreeSet<SiteName>>,
}

impl HeldBack {
    fn new(journal: Arc<dyn Recorder>) -> Self {
        Self { journal, events: Mutex::default(), waits_for: Mutex::default() }
    }

    fn waits_for(&self) -> std::sync::MutexGuard<'_, BTreeSet<SiteName>> {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look that was cut off at its limit does not say that its wait for credentials is over. The next one waits anew.
    async fn waits_no_longer(&self, step: &StepId, waited: Duration) -> Result<(), StepError> {
        let sites = std::mem::take(&mut *self.waits_for());
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        for site in sites {
            let (step, renewed) = (step.clone(), false);
            let event = Event::CredentialsWaited { step, site, renewed, waited_ms };
            self.journal.record(event).await?;
        }
        Ok(())
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fell_short(&self) -> bool {
        let short = |event: &Event| matches!(event, Event::Checked { check, .. } if check.outcome != Outcome::Passed);
        self.events().iter().any(short)
    }

    /// A look that checked nothing has seen nothing.
    fn must_have_looked(&self, attempt: Attempt) -> Attempt {
        match attempt {
            Attempt::Done { checks, .. } if checks.is_empty() && !self.has_checked() => {
                Attempt::Failed(StepError::transient("the look made no check"))
            }
            other => other,
        }
    }

    fn has_checked(&self) -> bool {
        self.events().iter().any(|event| matches!(event, Event::Checked { .. }))
    }

    fn checks(&self) -> Vec<Check> {
        let check = |event: &Event| match event {
            Event::Checked { check, .. } => Some(check.clone()),
            _ => None,
        };
        self.events().iter().filter_map(check).collect()
    }

    /// A look that ended the watch without an answer: what earlier looks have checked could not be checked any more. Without
    /// this only the first look, which was as expected, would stand among the checks.
    fn not_made(&self, step: &StepId, earlier: &[Check], why: &str) {
        if self.has_checked() {
            return;
        }
        let event = |check: &Check| Event::Checked {
            step: step.clone(),
            check: Check::not_made(&check.name, &check.expected, why),
        };
        self.events().extend(earlier.iter().map(event));
    }

    fn forget(&self) {
        self.events().clear();
    }

    async fn write_down(&self) -> Result<(), StepError> {
        let events = std::mem::take(&mut *self.events());
        for event in events {
            self.journal.record(event).await?;
        }
        Ok(())
    }
}

impl Recorder for HeldBack {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        match &event {
            // Intents must be on disk before their effects.
            Event::ResourceIntended { .. } | Event::ResourceOwned { .. } => {}
            // Somebody has to hear of them now.
            Event::CredentialsExpired { site, .. } => _ = self.waits_for().insert(site.clone()),
            Event::CredentialsWaited { site, .. } => _ = self.waits_for().remove(site),
            // Whatever a watch observes can wait.
            _ => {
                self.events().push(event);
                return Box::pin(async { Ok(()) });
            }
        }
        self.journal.record(event)
    }

    fn holds(&self, key: &ResourceKey) -> bool {
        self.journal.holds(key)
    }

    fn held_for(&self, step: &StepId, kind: &str) -> Vec<ResourceKey> {
        self.journal.held_for(step, kind)
    }

    fn late_from(&self, step: &StepId) -> Option<DateTime<Utc>> {
        self.journal.late_from(step)
    }

    fn first_begun(&self, step: &StepId) -> Option<DateTime<Utc>> {
        self.journal.first_begun(step)
    }

    fn declared(&self) -> Option<DateTime<Utc>> {
        self.journal.declared()
    }

    fn backup_point(&self, input: &str) -> Option<RecoveryPoint> {
        self.journal.backup_point(input)
    }

    fn told_point(&self, step: &StepId) -> Option<RecoveryPoint> {
        self.journal.told_point(step)
    }

    fn asked(&self, step: &StepId) -> Option<Question> {
        self.journal.asked(step)
    }

    fn answered(&self, step: &StepId) -> Option<(Approval, Duration)> {
        self.journal.answered(step)
    }

    fn ran_as(&self) -> Vec<String> {
        self.journal.ran_as()
    }

    fn progress(&self, step: &StepId, text: &str) {
        self.journal.progress(step, text);
    }
}
