use super::super::fault::RevisionFault;
use super::{KeyValue, Lives, Revision, RevisionNumber, Unfollowed};
use std::collections::BTreeMap;

/// Follows all changes in their order, and says what cannot be true of them.
pub(in super::super) struct History {
    compacted: i64,
    last: Option<RevisionNumber>,
    lives: Lives,
    /// Living keys, and those of each lease, of the parts that were followed afterwards.
    also_living: u64,
    also_leased: BTreeMap<i64, u64>,
    readable: bool,
    bumped: bool,
}

impl History {
    /// `compacted` as in [`super::Compaction::revision`].
    pub(in super::super) fn new(compacted: i64) -> Self {
        Self {
            compacted,
            last: None,
            lives: Lives::new(compacted, Unfollowed::ALL),
            also_living: 0,
            also_leased: BTreeMap::new(),
            readable: true,
            bumped: false,
        }
    }

    /// How many keys are alive, unless some revision could not be read.
    pub(in super::super) fn live_keys(&self) -> Option<u64> {
        self.readable.then_some(self.lives.count() + self.also_living)
    }

    /// As [`Lives::make_room`].
    pub(in super::super) fn make_room(&mut self, bytes: usize) {
        self.lives.make_room(bytes);
    }

    /// The parts of all keys that have still to be followed, each from the first change on. No change may follow.
    pub(in super::super) fn put_off(&mut self) -> Vec<Unfollowed> {
        let waiting = self.lives.put_off();
        if !waiting.is_empty() {
            // What they take must not come on top of what was followed until now.
            let none = Lives::new(self.compacted, Unfollowed::ALL);
            let followed = std::mem::replace(&mut self.lives, none);
            self.add(&followed);
        }
        waiting
    }

    /// Adds what following one of these parts has shown.
    pub(in super::super) fn add(&mut self, lives: &Lives) {
        self.also_living += lives.count();
        for (lease, keys) in lives.leases() {
            *self.also_leased.entry(lease).or_default() += keys;
        }
    }

    /// The last revision, unless some revision could not be read; 0 when there is none.
    pub(in super::super) fn revision(&self) -> Option<i64> {
        self.readable.then_some(self.last.map_or(0, |last| last.main))
    }

    /// Whether there was no change at all.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether `etcdutl snapshot restore --bump-revision` left its mark.
    pub(in super::super) fn bumped(&self) -> bool {
        self.bumped
    }

    /// How many living keys hang on each lease.
    pub(in super::super) fn leases(&self) -> BTreeMap<i64, u64> {
        let mut leases = self.lives.leases();
        for (lease, keys) in &self.also_leased {
            *leases.entry(*lease).or_default() += keys;
        }
        leases
    }

    /// Takes the next entry. `unbroken` says that nothing before it was lost or out of order: otherwise it is only looked
    /// at by itself, since everything after a hole contradicts everything before it.
    pub(in super::super) fn entry(
        &mut self,
        revision: Option<Revision>,
        value: &[u8],
        unbroken: bool,
    ) -> Result<(), RevisionFault> {
        let fault = self.follow(revision, value, unbroken);
        let in_doubt = [RevisionFault::Format, RevisionFault::Value, RevisionFault::NoKey];
        self.readable &= !fault.is_err_and(|fault| in_doubt.contains(&fault));
        fault
    }

    fn follow(
        &mut self,
        revision: Option<Revision>,
        value: &[u8],
        unbroken: bool,
    ) -> Result<(), RevisionFault> {
        let revision = revision.ok_or(RevisionFault::Format)?;
        let expected = self.expected(revision.number);
        let before = self.last.replace(revision.number);
        if value.is_empty() && is_mark(revision, before) {
            // `--bump-revision` leaves one such mark, which belongs to no key.
            self.bumped = true;
            return Ok(());
        }
        let stored = KeyValue::parse(value).ok_or(RevisionFault::Value)?;
        let name = stored.key.filter(|name| !name.is_empty()).ok_or(RevisionFault::NoKey)?;
        let lived = if revision.deleted {
            let lived = self.lives.end(name, revision.number);
            if stored != (KeyValue { key: stored.key, ..KeyValue::default() }) {
                return Err(RevisionFault::DeletionWithValue);
            }
            lived
        } else {
            let by_itself = stored.check(revision.number.main);
            let lived = self.lives.change(name, &stored);
            by_itself?;
            if let Some(number) = stored.strange {
                return Err(RevisionFault::Field { number });
            }
            lived
        };
        if !unbroken {
            return Ok(());
        }
        match expected {
            Some(expected) => Err(RevisionFault::Gap { expected }),
            None => lived,
        }
    }

    /// The number that should have come instead, if this one is not the next one. Numbers that go backwards are told as the
    /// order of keys.
    fn expected(&self, found: RevisionNumber) -> Option<RevisionNumber> {
        if found.main <= self.compacted {
            return None;
        }
        let last = self.last.unwrap_or_default();
        if last.main == found.main {
            let expected = RevisionNumber { sub: last.sub.saturating_add(1), ..last };
            return (found.sub > expected.sub).then_some(expected);
        }
        // An empty etcd is at revision 1, so that its first change is 2.
        let before = last.main.max(self.compacted);
        let expected = RevisionNumber { main: before.max(1).saturating_add(1), sub: 0 };
        (found > expected).then_some(expected)
    }
}

/// Whether an entry without a value may be the mark of `--bump-revision`, which leaps forward; any other one has lost its value. That of
/// `--bump-revision 1`, which nobody has a use for, is not told from one: it counts as damage until a compaction takes it away.
fn is_mark(revision: Revision, before: Option<RevisionNumber>) -> bool {
    // An empty etcd is at revision 1.
    let next = before.map_or(1, |before| before.main).saturating_add(1);
    !revision.deleted && revision.number.sub == 0 && revision.number.main > next
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One change of the key `name`: revision, sub, created, version; version 0 is a deletion.
    fn entry(
        history: &mut History,
        name: u8,
        (main, sub): (u8, i64),
        created: u8,
        version: u8,
    ) -> Result<(), RevisionFault> {
        let number = RevisionNumber { main: main.into(), sub };
        let revision = Revision { number, deleted: version == 0 };
        let value = match version {
            0 => vec![0x0A, 1, name],
            _ => vec![0x0A, 1, name, 0x10, created, 0x18, main, 0x20, version, 0x30, 7],
        };
        history.entry(Some(revision), &value, true)
    }

    #[test]
    fn a_life_of_a_key_from_making_to_deletion_and_again() {
        let mut history = History::new(-1);
        for (revision, created, version) in
            [((2, 0), 2, 1), ((3, 0), 2, 2), ((4, 0), 2, 0), ((5, 0), 5, 1), ((6, 0), 5, 2)]
        {
            assert_eq!(entry(&mut history, b'k', revision, created, version), Ok(()));
        }
        assert_eq!((history.live_keys(), history.revision()), (Some(1), Some(6)));
        assert_eq!(history.leases(), BTreeMap::from([(7, 1)]));
    }

    #[test]
    fn what_contradicts_earlier_changes_is_told_once() {
        let mut history = History::new(-1);
        entry(&mut history, b'k', (2, 0), 2, 1).unwrap();
        entry(&mut history, b'y', (3, 0), 3, 1).unwrap();
        let wrong = RevisionFault::Version { expected: 2, found: 3 };
        assert_eq!(entry(&mut history, b'k', (4, 0), 2, 3), Err(wrong));
        assert_eq!(entry(&mut history, b'k', (5, 0), 2, 3), Ok(()), "as if it had been right");
        let wrong = RevisionFault::Created { expected: 2, found: 3 };
        assert_eq!(entry(&mut history, b'k', (6, 0), 3, 4), Err(wrong));
        assert_eq!(entry(&mut history, b'x', (7, 0), 0, 0), Err(RevisionFault::DeletedAbsent));
        let wrong = RevisionFault::Created { expected: 8, found: 4 };
        assert_eq!(entry(&mut history, b'n', (8, 0), 4, 2), Err(wrong));
    }

    #[test]
    fn a_missing_revision_is_told_unless_it_was_compacted() {
        let gap = |main, sub| Err(RevisionFault::Gap { expected: RevisionNumber { main, sub } });
        let mut history = History::new(-1);
        assert_eq!(entry(&mut history, b'a', (3, 0), 3, 1), gap(2, 0));
        assert_eq!(entry(&mut history, b'b', (5, 0), 5, 1), gap(4, 0));
        assert_eq!(entry(&mut history, b'c', (5, 2), 5, 1), gap(5, 1));
        assert_eq!(entry(&mut history, b'd', (6, 1), 6, 1), gap(6, 0));

        let mut history = History::new(9);
        assert_eq!(entry(&mut history, b'a', (4, 1), 2, 3), Ok(()));
        assert_eq!(entry(&mut history, b'b', (8, 0), 0, 0), Ok(()), "a deletion may be left");
        assert_eq!(entry(&mut history, b'c', (11, 0), 11, 1), gap(10, 0));
        let mut history = History::new(9);
        assert_eq!(entry(&mut history, b'c', (10, 0), 10, 1), Ok(()));
    }

    #[test]
    fn regression_an_empty_value_is_the_mark_of_a_bump_only_where_it_leaps_forward() {
        let empty = |history: &mut History, main, sub| {
            let number = RevisionNumber { main, sub };
            history.entry(Some(Revision { number, deleted: false }), b"", true)
        };
        let mut history = History::new(-1);
        entry(&mut history, b'k', (2, 0), 2, 1).unwrap();
        assert_eq!(empty(&mut history, 3, 0), Err(RevisionFault::NoKey));
        assert_eq!(empty(&mut history, 9, 1), Err(RevisionFault::NoKey));
        assert!(!history.bumped());
        assert_eq!(empty(&mut history, 1_000_009, 0), Ok(()));
        assert!(history.bumped());
        assert_eq!(empty(&mut History::new(-1), 2, 0), Err(RevisionFault::NoKey));
    }

    #[test]
    fn behind_a_hole_entries_are_judged_by_themselves() {
        let mut history = History::new(-1);
        let number = RevisionNumber { main: 90, sub: 0 };
        let revision = Some(Revision { number, deleted: false });
        let good = [0x0A, 1, b'k', 0x10, 2, 0x18, 90, 0x20, 7];
        assert_eq!(history.entry(revision, &good, false), Ok(()));
        let wrong = RevisionFault::Modified { stored: 90, named: 89 };
        let bad = [0x0A, 1, b'k', 0x10, 2, 0x18, 89, 0x20, 7];
        assert_eq!(history.entry(revision, &bad, false), Err(wrong));
    }
}
