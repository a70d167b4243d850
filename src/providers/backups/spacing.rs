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
    /// `None` with fewer than two recovery points at different times: one point says nothing about a schedule.
    pub(in crate::providers) fn worst_gap(&self) -> Option<Gap> {
        if self.times.len() < 2 {
            return None;
        }
        let ends = self.times.iter().skip(1).chain([&self.until]);
        let gaps = self.times.iter().zip(ends).map(|(from, to)| Gap { from: *from, to: *to });
        gaps.max_by_key(Gap::length)
    }

    /// How far back the recovery points reach from the end of the window. `None` when there are none.
    pub(in crate::providers) fn reach(&self) -> Option<TimeDelta> {
        self.times.first().map(|oldest| self.until - *oldest)
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
        assert_eq!(spacing.worst_gap(), Some(Gap { from: at(24), to: at(50) }));
        assert_eq!(Spacing::of([at(0), at(24)], at(60)).worst_gap().unwrap().from, at(24));
        assert_eq!(spacing.reach(), Some(TimeDelta::hours(60)));
    }

    #[test]
    fn one_time_says_nothing_about_a_schedule() {
        assert_eq!(Spacing::of([], at(60)).worst_gap(), None);
        assert_eq!(Spacing::of([], at(60)).reach(), None);
        assert_eq!(Spacing::of([at(1), at(1)], at(60)).worst_gap(), None);
        assert_eq!(Spacing::of([at(1), at(70)], at(60)).worst_gap(), None);
    }

    proptest! {
        #[test]
        fn the_worst_gap_is_never_shorter_than_the_age_of_the_newest_point(
            hours in prop::collection::vec(0i64..1000, 2..20)
        ) {
            let spacing = Spacing::of(hours.iter().map(|h| at(*h)), at(1000));
            if let Some(gap) = spacing.worst_gap() {
                prop_assert!(gap.length() >= at(1000) - at(*hours.iter().max().unwrap()));
                prop_assert!(gap.length() <= spacing.reach().unwrap());
            }
        }
    }
}
