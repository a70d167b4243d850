use super::{StepContext, StepError};
use crate::journal::{Event, Wait};
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
    /// Looks again and again until `look` says that it is ready, an error comes, or the limit is reached. An error is
    /// never taken for "not yet". The bracket between the last look that found it not ready and the first that found
    /// it ready is written to the journal.
    ///
    /// # Errors
    /// The error of a look; [`crate::journal::FailureClass::TimedOut`] at the limit.
    pub async fn wait<T, F>(
        &self,
        plan: &WaitPlan,
        mut look: impl FnMut() -> F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<Look<T>, StepError>>,
    {
        let began = self.clock.elapsed();
        let mut last_not_ready = None;
        let mut polls = 0;
        loop {
            // The moment before the call: what it reports was true no earlier and no later than the call itself.
            let asked = self.clock.now();
            polls += 1;
            match look().await? {
                Look::Ready(value) => {
                    let first_ready = self.clock.now();
                    let wait = Wait { what: plan.what.clone(), last_not_ready, first_ready, polls };
                    self.recorder.record(Event::Waited { step: self.step.clone(), wait }).await?;
                    return Ok(value);
                }
                Look::NotYet(state) => {
                    last_not_ready = Some(asked);
                    let elapsed = self.clock.elapsed().saturating_sub(began);
                    if elapsed >= plan.limit {
                        return Err(StepError::timed_out(format!(
                            "{} took longer than {}; last seen: {state}",
                            plan.what,
                            crate::time::HumanDuration(plan.limit),
                        )));
                    }
                    self.progress(&format!("{}: {state}", plan.what));
                    let left = plan.limit.saturating_sub(elapsed);
                    self.clock.sleep(plan.pause(elapsed).min(left)).await;
                }
            }
        }
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
}
