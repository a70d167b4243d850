//! How fast the newest reads of each table were, and whether they are enough to tell. Pure.

use super::hydrate::Latency;
use std::time::Duration;

/// As many reads of a table as it takes to speak of 95 of 100 of them.
const ENOUGH: usize = 20;

/// The newest reads of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    table: String,
    reads: Vec<Duration>,
    /// How long the first ones took.
    first: Option<Latency>,
    /// It has fewer rows or pages than were asked for: there is no more to read.
    is_small: bool,
    /// It could not be read, which is told apart.
    pub(super) is_left_out: bool,
}

/// How a table stands, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// 95 of 100 reads are fast enough.
    Fast,
    /// None but perhaps one was slow, of fewer than it takes.
    TooFew,
    /// They are not fast enough.
    Slow,
}

/// The table whose reads are the slowest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slowest {
    /// Its name.
    pub(super) table: String,
    /// Of how many that were read.
    pub(super) of: usize,
    /// How long its first reads took.
    pub(super) first: Latency,
    /// How long its newest reads took.
    pub(super) last: Latency,
}

impl Recent {
    pub(super) fn of(table: String) -> Self {
        Self { table, ..Self::default() }
    }

    /// Adds what was read in a round. A round with enough reads stands for itself; and what was slow is not held against a table
    /// that is loaded by now.
    pub(super) fn take(&mut self, took: &[Duration], asked: usize, limit: Duration) {
        self.is_small = took.len() < asked;
        if asked >= ENOUGH || self.is_small || self.standing(limit) == Standing::Slow {
            self.reads.clear();
        }
        self.reads.extend(took);
        let old = self.reads.len().saturating_sub(asked.max(ENOUGH));
        self.reads.drain(..old);
        self.first = self.first.or_else(|| Latency::of(took.to_vec()));
    }

    /// In microseconds, as latencies are told.
    fn standing(&self, limit: Duration) -> Standing {
        let count = self.reads.len();
        let slow = self.reads.iter().filter(|read| read.as_micros() > limit.as_micros()).count();
        // As many as may be above the time that 95 of 100 did not exceed.
        let may_be_slow = count - (count * 95).div_ceil(100);
        match self.is_small || count >= ENOUGH {
            true if slow <= may_be_slow => Standing::Fast,
            false if slow <= 1 => Standing::TooFew,
            _ => Standing::Slow,
        }
    }
}

/// That of the table that stands worst. Tables that could not be read are told apart.
pub(super) fn standing(all: &[Recent], limit: Duration) -> Standing {
    let read = all.iter().filter(|recent| !recent.is_left_out);
    read.map(|recent| recent.standing(limit)).max().unwrap_or(Standing::Slow)
}

/// The table that stands worst, and takes longest. `None` when none was read.
pub(super) fn slowest(all: &[Recent], limit: Duration) -> Option<Slowest> {
    let read: Vec<_> = all
        .iter()
        .filter_map(|recent| Some((recent, recent.first?, Latency::of(recent.reads.clone())?)))
        .collect();
    let worst =
        read.iter().max_by_key(|(recent, _, last)| (recent.standing(limit), last.p95_us))?;
    let (recent, first, last) = *worst;
    Some(Slowest { table: recent.table.clone(), of: read.len(), first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);
    const FAST: Duration = Duration::from_millis(1);
    const SLOW: Duration = Duration::from_millis(50);

    fn read(table: &str, took: &[Duration], asked: usize) -> Recent {
        let mut recent = Recent::of(table.to_owned());
        recent.take(took, asked, LIMIT);
        recent
    }

    #[test]
    fn regression_a_table_that_is_cold_does_not_hide_behind_many_that_are_warm() {
        let mut all: Vec<_> = (0..24).map(|n| read(&format!("warm_{n}"), &[FAST], 8)).collect();
        assert_eq!(standing(&all, LIMIT), Standing::Fast);
        all.insert(7, read("ledger_big", &[SLOW; 8], 8));
        assert_eq!(standing(&all, LIMIT), Standing::Slow);
        let worst = slowest(&all, LIMIT).unwrap();
        assert_eq!((worst.table.as_str(), worst.of), ("ledger_big", 25));
        assert_eq!((worst.first.p95_us, worst.last.p95_us), (50_000, 50_000));
    }

    #[test]
    fn it_takes_enough_reads_to_call_a_table_fast_unless_it_has_no_more() {
        let mut large = read("large", &[FAST; 8], 8);
        assert_eq!(large.standing(LIMIT), Standing::TooFew);
        for (rounds, stands) in [(2, Standing::TooFew), (3, Standing::Fast), (4, Standing::Fast)] {
            large.take(&[FAST; 8], 8, LIMIT);
            assert_eq!(large.standing(LIMIT), stands, "round {rounds}");
        }
        assert_eq!(large.reads.len(), ENOUGH);
        assert_eq!(read("small", &[FAST; 3], 8).standing(LIMIT), Standing::Fast);
        assert_eq!(read("one page", &[SLOW], 8).standing(LIMIT), Standing::Slow);
        assert_eq!(read("empty", &[], 8).standing(LIMIT), Standing::Fast);
    }

    #[test]
    fn of_twenty_reads_one_may_be_slow() {
        let with = |slow: usize| [vec![SLOW; slow], vec![FAST; 20 - slow]].concat();
        assert_eq!(read("orders", &with(1), 20).standing(LIMIT), Standing::Fast);
        assert_eq!(read("orders", &with(2), 20).standing(LIMIT), Standing::Slow);
        let mut few = read("orders", &[SLOW], 1);
        assert_eq!(few.standing(LIMIT), Standing::TooFew);
        few.take(&[SLOW], 1, LIMIT);
        assert_eq!(few.standing(LIMIT), Standing::Slow);
    }

    #[test]
    fn what_was_slow_before_is_not_held_against_a_table_that_is_loaded() {
        let mut recent = read("orders", &[SLOW; 8], 8);
        for _ in 0..3 {
            recent.take(&[FAST; 8], 8, LIMIT);
        }
        assert_eq!(recent.standing(LIMIT), Standing::Fast);
        let worst = slowest(std::slice::from_ref(&recent), LIMIT).unwrap();
        assert_eq!((worst.first.p95_us, worst.last.p95_us), (50_000, 1_000));
        let mut each = read("orders", &[SLOW; 200], 200);
        each.take(&[FAST; 200], 200, LIMIT);
        assert_eq!(each.standing(LIMIT), Standing::Fast);
    }

    #[test]
    fn tables_that_could_not_be_read_are_not_called_fast() {
        let left_out = Recent { is_left_out: true, ..Recent::of("hidden".to_owned()) };
        assert_eq!(standing(std::slice::from_ref(&left_out), LIMIT), Standing::Slow);
        assert_eq!(slowest(std::slice::from_ref(&left_out), LIMIT), None);
        let all = [left_out, read("orders", &[FAST; 20], 20)];
        assert_eq!(standing(&all, LIMIT), Standing::Fast);
        assert_eq!(slowest(&all, LIMIT).unwrap().of, 1);
    }
}
