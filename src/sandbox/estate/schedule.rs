use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};

/// The regular times of a schedule: `at` after each multiple of `every` since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cadence {
    every: i64,
    at: i64,
}

impl Cadence {
    /// A cadence. `every` is at least one second.
    pub(crate) fn new(every: HumanDuration, at: HumanDuration) -> Self {
        let milliseconds =
            |d: HumanDuration| i64::try_from(d.0.as_millis()).unwrap_or(i64::MAX / 4);
        Self { every: milliseconds(every).max(1000), at: milliseconds(at) }
    }

    /// The number of the latest slot that is not after `time`.
    pub(crate) fn slot_at(&self, time: DateTime<Utc>) -> i64 {
        (time.timestamp_millis() - self.at).div_euclid(self.every)
    }

    /// The time of a slot.
    pub(crate) fn time_of(&self, slot: i64) -> DateTime<Utc> {
        let milliseconds = slot.saturating_mul(self.every).saturating_add(self.at);
        DateTime::UNIX_EPOCH
            .checked_add_signed(TimeDelta::milliseconds(milliseconds))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_schedule_has_one_slot_a_day_at_its_offset() {
        let cadence = Cadence::new("24h".parse().unwrap(), "3h 5m".parse().unwrap());
        let noon: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let slot = cadence.slot_at(noon);
        assert_eq!(cadence.time_of(slot).to_rfc3339(), "2026-11-22T03:05:00+00:00");
        assert_eq!(cadence.time_of(slot - 1).to_rfc3339(), "2026-11-21T03:05:00+00:00");
        assert_eq!(cadence.slot_at(cadence.time_of(slot)), slot);
    }
}
