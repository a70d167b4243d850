use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use std::time::Duration;

/// Says what time it is and waits. Cheap to clone.
///
/// A real clock reads the system's UTC. A simulated one starts where the estate says and moves with the
/// runtime's timers: under a paused tokio runtime it jumps to the next timer whenever every task waits, so an hour
/// costs microseconds. Durations come from the monotonic clock in both.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
    start: Start,
}

#[derive(Clone, Debug)]
enum Start {
    System,
    Simulated { at: DateTime<Utc>, speed: u32 },
}

impl Clock {
    /// The system's time in UTC.
    pub fn system() -> Self {
        Self::new(Start::System)
    }

    /// A simulated time that starts at `at` and follows the timers of the runtime it is used in.
    pub fn simulated(at: DateTime<Utc>) -> Self {
        Self::new(Start::Simulated { at, speed: 1 })
    }

    /// A simulated time that runs `speed` times as fast as the runtime's timers (for `sandbox serve`).
    /// Waits through [`Clock::sleep`] are shortened accordingly.
    pub fn accelerated(at: DateTime<Utc>, speed: u32) -> Self {
        let speed = speed.max(1);
        Self::new(Start::Simulated { at, speed })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn new(start: Start) -> Self {
        let origin = tokio::time::Instant::now();
        Self { origin, start }
    }

    /// The present, in UTC, to the millisecond: finer digits would only suggest a precision that no poll has.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> DateTime<Utc> {
        match self.start {
            Start::System => Utc::now().trunc_subsecs(3),
            Start::Simulated { at, .. } => {
                let elapsed = TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX);
                let now = at.checked_add_signed(elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC);
                now.trunc_subsecs(3)
            }
        }
    }

    /// Monotonic time since this clock was made: the measure of durations, untouched by corrections of the
    /// system's time.
    pub fn elapsed(&self) -> Duration {
        let real = self.origin.elapsed();
        match self.start {
            Start::System => real,
            Start::Simulated { speed, .. } => real.saturating_mul(speed),
        }
    }

    /// Waits for `duration` of this clock's time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub async fn sleep(&self, duration: Duration) {
        let speed = match self.start {
            Start::System => 1,
            Start::Simulated { speed, .. } => speed,
        };
        tokio::time::sleep(duration / speed).await;
    }

    /// True when time is simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self.start, Start::Simulated { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_hour_passes_at_once_and_exactly() {
        let start = "2026-11-22T00:00:00Z".parse().unwrap();
        let clock = Clock::simulated(start);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), start + TimeDelta::hours(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
    }
}
