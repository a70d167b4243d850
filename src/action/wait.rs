use super::{StepContext, StepError};
use crate::journal::{Event, Wait};
use chrono::{DateTime, Utc};
use std::future::Future;
use std::time::Duration;

/// What one look at something that is waited for has shown.
#[derive(Debug)]
pub enum Look<T> {
    /// It is ready.
    Ready(T),
    /// It is not ready yet; the text says in which state it is.
    NotYet(String),
}

/// How something is waited for.
#[derive(Clone, Debug)]
pub struct WaitPlan {
    /// What is waited for, in a few words: `instance available`.
    pub what: String,
    /// The longest wait. The step's own limit applies as well.
    pub limit: Duration,
    /// How long it is expected to take: looks are rare until then, and closer together near it.
    pub expected: Duration,
    /// The shortest pause between two looks.
    pub shortest: Duration,
    /// The longest pause between two looks.
    pub longest: Duration,
}

impl WaitPlan {
    /// A wait with pauses from 2 to 30 seconds.
    pub fn new(what: impl Into<String>, expected: Duration, limit: Duration) -> Self {
        Self {
            what: what.into(),
            limit,
            expected,
            shortest: Duration::from_secs(2),
            longest: Duration::from_secs(30),
        }
    }

    /// The pause after a look at `elapsed` since the beginning: a tenth of the distance to the expected moment, within
    /// the limits.
    fn pause(&self, elapsed: Duration) -> Duration {
        let distance = self.expected.abs_diff(elapsed);
        (distance / 10).clamp(self.shortest, self.longest)
    }
}

impl StepContext {
    /// A wait with the time that it took in earlier runs of the scenario, if it has taken place: that is this database, with
    /// this much data, and not what the action or the scenario can guess.
    pub(super) fn as_remembered(&self, plan: &WaitPlan) -> WaitPlan {
        let remembered = self.facts.expected.time(&self.step, &plan.what);
        WaitPlan { expected: remembered.unwrap_or(plan.expected), ..plan.clone() }
    }

    /// Looks again and again until `look` says that it is ready, an error comes that stays, or the limit is reached. An error
    /// is never taken for "not yet": one that may pass (throttling, a service that fails for a moment) says nothing, and the
    /// next look follows. The bracket between the last look that found it not ready and the first that found
    /// it ready is written to the journal.
    ///
    /// # Errors
    /// The error of a look; at the limit [`crate::journal::FailureClass::TimedOut`], or the error of the last look when that
    /// could not see it.
    pub async fn wait<T, F>(
        &self,
        plan: &WaitPlan,
        mut look: impl FnMut() -> F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<Look<T>, StepError>>,
    {
        let plan = &self.as_remembered(plan);
        let mut progress = Progress::begin(self);
        loop {
            // The moment before the call: what it reports was true no earlier and no later than the call itself.
            let asked = self.clock.now();
            let pause = match look().await {
                Ok(Look::Ready(value)) => return progress.ready(self, plan, value).await,
                Ok(Look::NotYet(state)) => progress.not_yet(self, plan, asked, &state)?,
                Err(error) => progress.unseen(self, plan, asked, error)?,
            };
            self.clock.sleep(pause).await;
        }
    }
}

/// What a wait has seen so far.
pub(super) struct Progress {
    began: Duration,
    /// How long credentials had been waited for when it began: that time is not the wait's.
    waited_before: Duration,
    last_not_ready: Option<DateTime<Utc>>,
    last_state: Option<String>,
    polls: u32,
}

impl Progress {
    pub(super) fn begin(context: &StepContext) -> Self {
        let began = context.clock.elapsed();
        let waited_before = context.waited_for_credentials();
        Self { began, waited_before, last_not_ready: None, last_state: None, polls: 0 }
    }

    /// A look has found it ready: writes down the bracket.
    pub(super) async fn ready<T>(
        mut self,
        context: &StepContext,
        plan: &WaitPlan,
        value: T,
    ) -> Result<T, StepError> {
        self.polls += 1;
        context.calls.saw_the_end();
        let wait = Wait {
            what: plan.what.clone(),
            last_not_ready: self.last_not_ready,
            first_ready: context.clock.now(),
            polls: self.polls,
        };
        context.recorder.record(Event::Waited { step: context.step.clone(), wait }).await?;
        Ok(value)
    }

    /// A look that began at `asked` has found it not ready. The pause before the next one.
    pub(super) fn not_yet(
        &mut self,
        context: &StepContext,
        plan: &WaitPlan,
        asked: DateTime<Utc>,
        state: &str,
    ) -> Result<Duration, StepError> {
        self.polls += 1;
        self.last_not_ready = Some(asked);
        self.last_state = Some(state.to_owned());
        context.calls.saw(&plan.what, state);
        let elapsed = self.elapsed(context);
        if context.recorder.late_from(&context.step).is_some_and(|late| asked >= late) {
            return Err(StepError::timed_out(format!(
                "{} took longer than the step's limit; last seen: {state}",
                plan.what
            )));
        }
        if plan.limit.is_zero() {
            let text = format!("{} did not come at the one attempt: {state}", plan.what);
            return Err(StepError::timed_out(text));
        }
        if elapsed >= plan.limit {
            return Err(StepError::timed_out(format!(
                "{} took longer than {}; last seen: {state}",
                plan.what,
                crate::time::HumanDuration(plan.limit),
            )));
        }
        context.progress(&format!("{}: {state}", plan.what));
        let left = plan.limit.saturating_sub(elapsed);
        Ok(plan.pause(elapsed).min(left))
    }

    /// A look that began at `asked` ended with an error. The pause before the next one, as long as it may be: a service that
    /// is busy is left alone.
    pub(super) fn unseen(
        &mut self,
        context: &StepContext,
        plan: &WaitPlan,
        asked: DateTime<Utc>,
        error: StepError,
    ) -> Result<Duration, StepError> {
        if !error.class().may_pass() {
            return Err(error);
        }
        self.polls += 1;
        context.calls.saw_nothing(&plan.what, context.clock.elapsed());
        let elapsed = self.elapsed(context);
        let late = context.recorder.late_from(&context.step).is_some_and(|late| asked >= late);
        if late || elapsed >= plan.limit {
            let seen = self.last_state.as_deref().unwrap_or("nothing");
            return Err(error.noting(&format!("{} was waited for; last seen: {seen}", plan.what)));
        }
        context.progress(&format!("{}: not seen: {error}", plan.what));
        Ok(plan.longest.min(plan.limit.saturating_sub(elapsed)))
    }

    /// How long it has been waited for; the time in which credentials were is not the wait's.
    fn elapsed(&self, context: &StepContext) -> Duration {
        let waited = context.waited_for_credentials().saturating_sub(self.waited_before);
        context.clock.elapsed().saturating_sub(self.began).saturating_sub(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_rare_far_from_the_expected_moment_and_close_near_it() {
        let minute = Duration::from_secs(60);
        let plan = WaitPlan::new("instance available", 20 * minute, 60 * minute);
        assert_eq!(plan.pause(Duration::ZERO), Duration::from_secs(30));
        assert_eq!(plan.pause(19 * minute), Duration::from_secs(6));
        assert_eq!(plan.pause(20 * minute), Duration::from_secs(2));
        assert_eq!(plan.pause(50 * minute), Duration::from_secs(30));
    }

    /// A wait of an hour for something that is ready at a minute, where looks between two others are throttled.
    async fn waited(ready: u64, throttled: std::ops::Range<u64>) -> Result<(), StepError> {
        let (context, ..) =
            crate::outside::fake::context(crate::outside::fake::FakeOutside::default());
        let minute = Duration::from_secs(60);
        let plan = WaitPlan::new("instance available", 20 * minute, 60 * minute);
        let look = || {
            let minutes = context.clock.elapsed().as_secs() / 60;
            std::future::ready(match minutes {
                _ if throttled.contains(&minutes) => Err(StepError::transient("it fails")),
                _ if minutes >= ready => Ok(Look::Ready(())),
                _ => Ok(Look::NotYet("creating".into())),
            })
        };
        context.wait(&plan, look).await
    }

    #[tokio::test(start_paused = true)]
    async fn regression_looks_that_are_throttled_for_a_while_do_not_end_a_wait() {
        waited(20, 5..15).await.unwrap();
        let error = waited(20, 15..90).await.unwrap_err();
        assert_eq!(error.class(), crate::journal::FailureClass::Transient, "it may be ready");
        assert!(error.to_string().ends_with("last seen: creating"), "{error}");
        let error = waited(90, 5..15).await.unwrap_err();
        assert_eq!(error.class(), crate::journal::FailureClass::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_twenty_minutes_before_is_looked_at_closely_after_twenty_minutes() {
        let (context, ..) =
            crate::outside::fake::context(crate::outside::fake::FakeOutside::default());
        let minute = Duration::from_secs(60);
        let guess = WaitPlan::new("instance available", 5 * minute, 60 * minute);
        assert_eq!(context.as_remembered(&guess).expected, 5 * minute, "without earlier runs");
        let waits = [crate::journal::StepWait {
            step: context.step.clone(),
            what: "instance available".into(),
            took: 20 * minute,
        }];
        let mut facts = (*context.facts).clone();
        facts.expected = super::super::ExpectedTimes::of(waits);
        let context = StepContext { facts: std::sync::Arc::new(facts), ..context };
        let asked = |plan: WaitPlan| {
            let (context, clock) = (context.clone(), context.clock.clone());
            async move {
                let (began, mut looks) = (clock.elapsed(), Vec::new());
                let look = || {
                    let elapsed = clock.elapsed() - began;
                    looks.push(elapsed);
                    let ready = elapsed >= 20 * minute;
                    let seen =
                        if ready { Look::Ready(()) } else { Look::NotYet("creating".into()) };
                    std::future::ready(Ok(seen))
                };
                context.wait(&plan, look).await.unwrap();
                looks
            }
        };
        let late = |looks: Vec<Duration>| looks[looks.len() - 1] - 20 * minute;
        let remembered = asked(guess.clone()).await;
        let guessed = asked(WaitPlan { what: "another thing".into(), ..guess }).await;
        assert!(late(remembered.clone()) <= Duration::from_secs(2), "{remembered:?}");
        assert!(late(guessed) > Duration::from_secs(2), "the guess alone finds it later");
    }
}
