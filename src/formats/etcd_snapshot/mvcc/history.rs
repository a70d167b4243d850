use super::super::fault::RevisionFault;
use super::super::leases::{Leased, StoredLeases};
use super::{Compaction, KeyValue, Lives, Revision, RevisionNumber, Unfollowed};

/// Follows all changes in their order, and says what cannot be true of them.
pub(in super::super) struct History {
    compaction: Compaction,
    last: Option<RevisionNumber>,
    lives: Lives,
    /// Living keys of the parts that were followed to the end.
    also_living: u64,
    /// Their leases.
    leased: Leased,
    readable: bool,
    bumped: bool,
}

impl History {
    pub(in super::super) fn new(compaction: Compaction, stored: StoredLeases) -> Self {
        let mut lives = Lives::new(compaction, Unfollowed::ALL);
        lives.make_room(stored.bytes());
        Self {
            compaction,
            last: None,
            lives,
            also_living: 0,
            leased: Leased::on(stored),
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
            let none = Lives::new(self.compaction, Unfollowed::ALL);
            let followed = std::mem::replace(&mut self.lives, none);
            self.add(&followed);
        }
        waiting
    }

    /// Adds what following one of these parts has shown.
    pub(in super::super) fn add(&mut self, lives: &Lives) {
        self.also_living += lives.count();
        self.leased.add(lives.leases());
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

    /// What is known of the leases of living keys. No change may follow.
    pub(in super::super) fn leased(&mut self) -> &Leased {
        let none = Lives::new(self.compaction, Unfollowed::ALL);
        let followed = std::mem::replace(&mut self.lives, none);
        self.add(&followed);
        &self.leased
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
        let compacted = self.compaction.revision();
        if found.main <= compacted {
            return None;
        }
        let last = self.last.unwrap_or_default();
        if last.main == found.main {
            let expected = RevisionNumber { sub: last.sub.saturating_add(1), ..last };
            return (found.sub > expected.sub).then_some(expected);
        }
        // An empty etcd is at revision 1, so that its first change is 2.
        let before = last.main.max(compacted);
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

    fn following(compaction: Compaction) -> History {
        History::new(compaction, StoredLeases::default())
    }

    /// One that has ended.
    fn up_to(revision: i64) -> Compaction {
        Compaction { scheduled: Some(revision), finished: Some(revision) }
    }

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
        let mut history = following(Compaction::default());
        for (revision, created, version) in
            [((2, 0), 2, 1), ((3, 0), 2, 2), ((4, 0), 2, 0), ((5, 0), 5, 1), ((6, 0), 5, 2)]
        {
            assert_eq!(entry(&mut history, b'k', revision, created, version), Ok(()));
        }
        assert_eq!((history.live_keys(), history.revision()), (Some(1), Some(6)));
        assert_eq!(history.leased().keys(), 1);
        assert_eq!(history.live_keys(), Some(1), "as before");
    }

    #[test]
    fn what_contradicts_earlier_changes_is_told_once() {
        let mut history = following(Compaction::default());
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
        let mut history = following(Compaction::default());
        assert_eq!(entry(&mut history, b'a', (3, 0), 3, 1), gap(2, 0));
        assert_eq!(entry(&mut history, b'b', (5, 0), 5, 1), gap(4, 0));
        assert_eq!(entry(&mut history, b'c', (5, 2), 5, 1), gap(5, 1));
        assert_eq!(entry(&mut history, b'd', (6, 1), 6, 1), gap(6, 0));

        let mut history = following(up_to(9));
        assert_eq!(entry(&mut history, b'a', (4, 1), 2, 3), Ok(()));
        assert_eq!(entry(&mut history, b'b', (9, 0), 0, 0), Ok(()), "a deletion may be left");
        assert_eq!(entry(&mut history, b'c', (11, 0), 11, 1), gap(10, 0));
        let mut history = following(up_to(9));
        assert_eq!(entry(&mut history, b'c', (10, 0), 10, 1), Ok(()));
    }

    /// Two changes of `a` and its deletion, at the revisions 3, 5 and 7, and what is told of them.
    fn told_of(compaction: Compaction) -> [Result<(), RevisionFault>; 3] {
        let mut history = following(compaction);
        [((3, 0), 1), ((5, 0), 2), ((7, 0), 0)]
            .map(|(revision, version)| entry(&mut history, b'a', revision, 3, version))
    }

    #[test]
    fn what_a_compaction_has_taken_away_and_stands_is_told() {
        let earlier = |to| Err(RevisionFault::EarlierCompacted { to });
        let deletion = |to| Err(RevisionFault::DeletionCompacted { to });
        let gap = |main| Err(RevisionFault::Gap { expected: RevisionNumber { main, sub: 0 } });
        for (to, expected) in [
            (9, [Ok(()), earlier(9), deletion(9)]),
            (8, [Ok(()), earlier(8), deletion(8)]),
            (7, [Ok(()), earlier(7), earlier(7)]),
            (6, [Ok(()), earlier(6), Ok(())]),
            (5, [Ok(()), earlier(5), gap(6)]),
            (4, [Ok(()), Ok(()), gap(6)]),
        ] {
            assert_eq!(told_of(up_to(to)), expected, "up to {to}");
        }
        let nothing: [Result<(), RevisionFault>; 3] = [Ok(()); 3];
        // One that has begun has taken away what it has come to, and nobody knows what that is.
        for finished in [None, Some(-1), Some(2), Some(4)] {
            let begun = Compaction { scheduled: Some(9), finished };
            assert_eq!(told_of(begun), nothing, "{finished:?}");
        }
        // The one before has ended.
        let next = Compaction { scheduled: Some(9), finished: Some(5) };
        assert_eq!(told_of(next), [Ok(()), earlier(5), Ok(())]);
        // Of two that contradict each other, the lower one.
        let contradiction = Compaction { scheduled: Some(4), finished: Some(9) };
        assert_eq!(told_of(contradiction), nothing);
    }

    #[test]
    fn what_a_compaction_leaves_is_no_contradiction() {
        // The last change of each key, a deletion right at the compaction, and whatever comes behind.
        let mut compacted = following(up_to(9));
        for (name, revision, created, version) in [
            (b'a', (4, 0), 2, 3),
            (b'b', (9, 0), 9, 1),
            (b'd', (9, 1), 0, 0),
            (b'b', (10, 0), 9, 2),
            (b'a', (11, 0), 2, 0),
            (b'd', (12, 0), 12, 1),
            (b'a', (13, 0), 13, 1),
        ] {
            let told = entry(&mut compacted, name, revision, created, version);
            assert_eq!(told, Ok(()), "{revision:?}");
        }
        assert_eq!(compacted.live_keys(), Some(3));
    }

    #[test]
    fn what_stands_although_it_was_compacted_is_told_once() {
        let mut compacted = following(up_to(9));
        entry(&mut compacted, b'a', (3, 0), 3, 1).unwrap();
        let earlier = Err(RevisionFault::EarlierCompacted { to: 9 });
        assert_eq!(entry(&mut compacted, b'a', (8, 0), 2, 5), earlier);
        assert_eq!(entry(&mut compacted, b'a', (10, 0), 2, 6), Ok(()), "it follows from that one");
    }

    #[test]
    fn regression_an_empty_value_is_the_mark_of_a_bump_only_where_it_leaps_forward() {
        let empty = |history: &mut History, main, sub| {
            let number = RevisionNumber { main, sub };
            history.entry(Some(Revision { number, deleted: false }), b"", true)
        };
        let mut history = following(Compaction::default());
        entry(&mut history, b'k', (2, 0), 2, 1).unwrap();
        assert_eq!(empty(&mut history, 3, 0), Err(RevisionFault::NoKey));
        assert_eq!(empty(&mut history, 9, 1), Err(RevisionFault::NoKey));
        assert!(!history.bumped());
        assert_eq!(empty(&mut history, 1_000_009, 0), Ok(()));
        assert!(history.bumped());
        assert_eq!(empty(&mut following(Compaction::default()), 2, 0), Err(RevisionFault::NoKey));
    }

    #[test]
    fn behind_a_hole_entries_are_judged_by_themselves() {
        let mut history = following(Compaction::default());
        let number = RevisionNumber { main: 90, sub: 0 };
        let revision = Some(Revision { number, deleted: false });
        let good = [0x0A, 1, b'k', 0x10, 2, 0x18, 90, 0x20, 7];
        assert_eq!(history.entry(revision, &good, false), Ok(()));
        let wrong = RevisionFault::Modified { stored: 90, named: 89 };
        let bad = [0x0A, 1, b'k', 0x10, 2, 0x18, 89, 0x20, 7];
        assert_eq!(history.entry(revision, &bad, false), Err(wrong));
    }
}
