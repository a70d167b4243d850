use crate::journal::{Finding, Severity};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};

/// How the recovery points of a retention window lie in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) struct Spacing {
    /// The distinct times of the recovery points (UTC), oldest first.
    times: Vec<DateTime<Utc>>,
    /// The end of the window (UTC): the present, or the moment before which a recovery point is wanted.
    until: DateTime<Utc>,
}

/// A stretch of time without a recovery point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) struct Gap {
    /// The recovery point before it (UTC).
    pub(in crate::providers) from: DateTime<Utc>,
    /// The recovery point after it, or the end of the window (UTC).
    pub(in crate::providers) to: DateTime<Utc>,
}

impl Gap {
    /// How long it is.
    pub(in crate::providers) fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

impl Spacing {
    /// Of recovery points at these times; later ones than `until` do not count.
    pub(in crate::providers) fn of(
        times: impl IntoIterator<Item = DateTime<Utc>>,
        until: DateTime<Utc>,
    ) -> Self {
        let mut times: Vec<_> = times.into_iter().filter(|time| *time <= until).collect();
        times.sort_unstable();
        times.dedup();
        Self { times, until }
    }

    /// The longest gap between consecutive recovery points, the one from the last to the end of the window included.
    /// `None` with fewer than two recovery points at different times, or when they reach back less than one interval of the
    /// schedule: that says nothing about it.
    pub(in crate::providers) fn worst_gap(&self, schedule: TimeDelta) -> Option<Gap> {
        self.longest_gap().filter(|_| self.times.len() >= 2 && !self.is_too_short(schedule))
    }

    /// Whether the recovery points reach back less than one interval of the schedule.
    fn is_too_short(&self, schedule: TimeDelta) -> bool {
        self.oldest().is_none_or(|oldest| self.until - oldest < schedule)
    }

    /// The finding that several recovery points are all of the last moments: two that somebody made before a drill are no
    /// schedule.
    pub(in crate::providers) fn no_history(
        &self,
        schedule: TimeDelta,
        code: &str,
    ) -> Option<Finding> {
        let oldest = self.oldest().filter(|_| self.times.len() >= 2)?;
        self.is_too_short(schedule).then(|| Finding {
            severity: Severity::Warning,
            code: code.to_owned(),
            what: format!(
                "the recovery points reach back {} only, less than one interval of the schedule ({})",
                HumanDuration::from(self.until - oldest).rounded_down(),
                HumanDuration::from(schedule)
            ),
            why: "how much a disaster at the worst moment would lose cannot be seen from them".to_owned(),
            action: "look again when the schedule has run some times; or say in schedule: how often it runs".to_owned(),
        })
    }

    /// As [`Spacing::worst_gap`]; of a single recovery point, the time since then.
    fn longest_gap(&self) -> Option<Gap> {
        let ends = self.times.iter().skip(1).chain([&self.until]);
        let gaps = self.times.iter().zip(ends).map(|(from, to)| Gap { from: *from, to: *to });
        gaps.max_by_key(Gap::length)
    }

    /// The time of the oldest recovery point (UTC). `None` when there are none.
    pub(in crate::providers) fn oldest(&self) -> Option<DateTime<Utc>> {
        self.times.first().copied()
    }

    /// The finding that a recovery point is missing from the schedule. A single one that is too old tells it, too.
    pub(in crate::providers) fn missed(&self, schedule: TimeDelta, code: &str) -> Option<Finding> {
        let gap = self.longest_gap()?;
        // Backup windows move within the day and copies take time: half an interval is room enough for both.
        let most = schedule.checked_add(&(schedule / 2))?;
        let at = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        (gap.length() > most).then(|| Finding {
            severity: Severity::Warning,
            code: code.to_owned(),
            what: format!(
                "no recovery point between {} and {} ({}), though one is due every {}",
                at(gap.from),
                at(gap.to),
                HumanDuration::from(gap.length()).rounded_up(),
                HumanDuration::from(schedule)
            ),
            why: "a disaster at the end of that gap would have lost all of it".to_owned(),
            action: "find out why the backup or its copy was missing, and alarm on it".to_owned(),
        })
    }
}

/// A time of the SDK, as this program writes times. `None` when it lies outside of what can be written.
pub(in crate::providers) fn time_of(time: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn the_worst_gap_counts_the_time_since_the_last_point() {
        let spacing = Spacing::of([at(24), at(0), at(50)], at(60));
        let day = TimeDelta::hours(24);
        assert_eq!(spacing.worst_gap(day), Some(Gap { from: at(24), to: at(50) }));
        assert_eq!(Spacing::of([at(0), at(24)], at(60)).worst_gap(day).unwrap().from, at(24));
        assert_eq!(spacing.oldest(), Some(at(0)));
    }

    #[test]
    fn one_time_says_nothing_about_a_schedule() {
        let day = TimeDelta::hours(24);
        assert_eq!(Spacing::of([], at(60)).worst_gap(day), None);
        assert_eq!(Spacing::of([], at(60)).oldest(), None);
        assert_eq!(Spacing::of([at(1), at(1)], at(60)).worst_gap(day), None);
        assert_eq!(Spacing::of([at(1), at(70)], at(60)).worst_gap(day), None);
    }

    #[test]
    fn regression_two_recovery_points_of_the_last_hours_say_nothing_about_a_daily_schedule() {
        let day = TimeDelta::hours(24);
        let fresh = Spacing::of([at(40), at(50)], at(60));
        assert_eq!(fresh.worst_gap(day), None);
        assert_eq!(fresh.no_history(day, "x").unwrap().code, "x");
        assert!(
            fresh.worst_gap(TimeDelta::hours(12)).is_some(),
            "of one that runs twice a day they do"
        );
        assert_eq!(fresh.no_history(TimeDelta::hours(12), "x"), None);
        assert_eq!(Spacing::of([at(50)], at(60)).no_history(day, "x"), None);
    }

    #[test]
    fn a_missed_recovery_point_is_found_and_a_late_one_is_not() {
        let day = TimeDelta::hours(24);
        let found = |hours: &[i64], until| {
            Spacing::of(hours.iter().map(|h| at(*h)), at(until)).missed(day, "x").is_some()
        };
        assert!(!found(&[0, 24, 49], 60));
        assert!(found(&[0, 24, 72], 80));
        assert!(found(&[0, 24], 72), "the time since the last one counts");
        assert!(!found(&[], 72), "that there is none is another finding");
    }

    #[test]
    fn a_single_recovery_point_that_is_too_old_is_a_missed_schedule() {
        let day = TimeDelta::hours(24);
        assert!(Spacing::of([at(0)], at(30)).missed(day, "x").is_none());
        assert_eq!(Spacing::of([at(0)], at(720)).missed(day, "x").unwrap().code, "x");
    }

    proptest! {
        #[test]
        fn the_worst_gap_is_never_shorter_than_the_age_of_the_newest_point(
            hours in prop::collection::vec(0i64..1000, 2..20)
        ) {
            let spacing = Spacing::of(hours.iter().map(|h| at(*h)), at(1000));
            if let Some(gap) = spacing.worst_gap(TimeDelta::hours(24)) {
                prop_assert!(gap.length() >= at(1000) - at(*hours.iter().max().unwrap()));
                prop_assert!(gap.length() <= at(1000) - spacing.oldest().unwrap());
            }
        }
    }
}
