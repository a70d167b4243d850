use super::HumanDuration;
use crate::ids::Digest;
use backoff::backoff::Backoff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often, and with what pauses, something is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// How often it is tried in all, the first time included.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// The pause after the first failure; each later one is twice as long.
    #[serde(default = "two_seconds")]
    pub pause: HumanDuration,
    /// The longest pause.
    #[serde(default = "one_minute")]
    pub longest: HumanDuration,
}

fn three() -> u32 {
    3
}

fn two_seconds() -> HumanDuration {
    Duration::from_secs(2).into()
}

fn one_minute() -> HumanDuration {
    Duration::from_secs(60).into()
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: three(), pause: two_seconds(), longest: one_minute() }
    }
}

impl RetryPolicy {
    /// Tries once and never again.
    pub fn once() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// The pauses of this policy. The jitter depends on `seed` and `what` alone, so that the order in which concurrent
    /// steps fail cannot change it, and the same seed gives the same journal.
    pub fn schedule(&self, seed: u64, what: &str) -> RetrySchedule {
        // The policy type of `backoff` only: its own jitter and its clock are switched off, since both would read
        // the process's randomness and time.
        let policy = backoff::ExponentialBackoff {
            initial_interval: self.pause.0.min(self.longest.0),
            current_interval: self.pause.0.min(self.longest.0),
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: self.longest.0,
            max_elapsed_time: None,
            ..backoff::ExponentialBackoff::default()
        };
        let (attempts, what) = (self.attempts, what.to_owned());
        RetrySchedule { policy, attempts, failed: 0, seed, what, shortest: 0.5 }
    }
}

/// The pauses between the attempts at one thing; see [`RetryPolicy::schedule`].
pub struct RetrySchedule {
    policy: backoff::ExponentialBackoff,
    attempts: u32,
    failed: u32,
    seed: u64,
    what: String,
    /// The shortest part of the exponential pause that is taken.
    shortest: f64,
}

impl RetrySchedule {
    /// Lets pauses be anything from nothing to the whole exponential pause, as the SDKs do: many callers that failed
    /// together spread best so. For calls; a step that is tried again waits for at least half of the pause.
    #[must_use]
    pub fn full_jitter(mut self) -> Self {
        self.shortest = 0.0;
        self
    }

    /// Notes a failure. The pause before the next attempt, or `None` when no attempt is left.
    ///
    /// Equal jitter: between half of the exponential pause and all of it; with full jitter, between nothing and all of it.
    pub fn next_pause(&mut self) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.attempts {
            return None;
        }
        let pause = self.policy.next_backoff()?;
        Some(pause.mul_f64(self.shortest + (1.0 - self.shortest) * self.jitter()))
    }

    /// A number from 0 to 1 that only the seed, the name and the count of failures decide.
    fn jitter(&self) -> f64 {
        let digest = Digest::of(format!("{}/{}/{}", self.seed, self.what, self.failed).as_bytes());
        let mut four = [0; 4];
        four.copy_from_slice(&digest.as_bytes()[..4]);
        f64::from(u32::from_le_bytes(four)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pauses(policy: &RetryPolicy, seed: u64) -> Vec<Duration> {
        let mut schedule = policy.schedule(seed, "restore");
        std::iter::from_fn(|| schedule.next_pause()).collect()
    }

    proptest! {
        #[test]
        fn pauses_are_bounded_repeatable_and_one_fewer_than_attempts(seed: u64, attempts in 1u32..20) {
            let policy = RetryPolicy { attempts, ..RetryPolicy::default() };
            let first = pauses(&policy, seed);
            prop_assert_eq!(first.len() + 1, attempts as usize);
            prop_assert!(first.iter().all(|p| *p <= policy.longest.0 && *p >= policy.pause.0 / 2));
            prop_assert_eq!(first, pauses(&policy, seed));
        }
    }

    #[test]
    fn full_jitter_uses_the_whole_range_and_stays_within_it() {
        let policy = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
        let first = |seed| policy.schedule(seed, "call").full_jitter().next_pause().unwrap();
        let pauses: Vec<Duration> = (0..200).map(first).collect();
        assert!(pauses.iter().all(|pause| *pause <= policy.pause.0));
        assert!(pauses.iter().any(|pause| *pause < policy.pause.0 / 10));
        assert!(pauses.iter().any(|pause| *pause > policy.pause.0 / 10 * 9));
    }

    #[test]
    fn regression_the_first_pause_is_not_longer_than_the_longest_either() {
        let pause = "10m".parse().unwrap();
        let policy = RetryPolicy { attempts: 5, pause, ..RetryPolicy::default() };
        assert!(pauses(&policy, 1).iter().all(|pause| *pause <= policy.longest.0));
    }

    #[test]
    fn another_seed_gives_other_pauses() {
        let policy = RetryPolicy { attempts: 10, ..RetryPolicy::default() };
        assert_ne!(pauses(&policy, 1), pauses(&policy, 2));
    }
}
