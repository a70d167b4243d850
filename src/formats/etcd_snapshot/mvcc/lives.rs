use super::super::fault::RevisionFault;
use super::by_key::{ByKey, KeyMark, Part};
use super::{Compaction, KeyValue, RevisionNumber};

/// How many living keys, and leases of them, are followed at a time: with [`EACH_BYTES`] for each, less than 50 MiB. Few in unit
/// tests, so that the snapshots there have several parts.
const AT_A_TIME: usize = if cfg!(test) { 24 } else { 1_050_000 };

/// About what following one of them takes.
const EACH_BYTES: usize = 40;

/// A key that exists: when it was made, and how often it was changed since.
#[derive(Clone, Copy)]
struct Life {
    created: i64,
    version: i64,
}

/// A part of the keys that has to be followed from the first change on.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Unfollowed {
    part: Part,
    /// What is wrong with so many changes of it has been told.
    told: u64,
    /// How many of it there is room for.
    at_a_time: usize,
}

impl Unfollowed {
    /// All keys, of which nothing has been told.
    pub(in super::super) const ALL: Self = Self { part: Part::ALL, told: 0, at_a_time: AT_A_TIME };
}

/// Follows what changes say of each key of a part, in their order. When there are too many keys, it follows half of the part from
/// then on, and says which other ones have to be followed from the beginning.
pub(in super::super) struct Lives {
    /// What came before may have been thrown away: [`Compaction::revision`].
    compacted: i64,
    /// What came before has been thrown away: [`Compaction::ended`].
    thrown_away: i64,
    part: Part,
    /// How many changes there were, of whichever key.
    seen: u64,
    told: u64,
    put_off: Vec<Unfollowed>,
    at_a_time: usize,
    living: ByKey<Life>,
    /// The leases that will end keys: not every key has one.
    leases: ByKey<i64>,
}

impl Lives {
    pub(in super::super) fn new(compaction: Compaction, part: Unfollowed) -> Self {
        let Unfollowed { part, told, at_a_time } = part;
        Self {
            compacted: compaction.revision(),
            thrown_away: compaction.ended(),
            part,
            seen: 0,
            told,
            put_off: Vec::new(),
            at_a_time,
            living: ByKey::default(),
            leases: ByKey::default(),
        }
    }

    /// How many keys of the part are alive.
    pub(in super::super) fn count(&self) -> u64 {
        self.living.len() as u64
    }

    /// The lease of each living key that hangs on one.
    pub(in super::super) fn leases(&self) -> impl Iterator<Item = &i64> {
        self.leases.values()
    }

    /// The parts that were not followed. There will be no more room for them than there was for this one.
    pub(in super::super) fn put_off(&mut self) -> Vec<Unfollowed> {
        let at_a_time = self.at_a_time;
        let parts = std::mem::take(&mut self.put_off).into_iter();
        parts.map(|part| Unfollowed { at_a_time, ..part }).collect()
    }

    /// A key was deleted.
    ///
    /// # Errors
    /// When it was not there, or a compaction has left what it takes away.
    pub(in super::super) fn end(
        &mut self,
        name: &[u8],
        number: RevisionNumber,
    ) -> Result<(), RevisionFault> {
        let ended = self.ended(KeyMark::of(name), number);
        self.once(ended)
    }

    /// A key was changed.
    ///
    /// # Errors
    /// When that does not follow from its change before, or a compaction has left both.
    pub(in super::super) fn change(
        &mut self,
        name: &[u8],
        stored: &KeyValue<'_>,
    ) -> Result<(), RevisionFault> {
        let changed = self.changed(KeyMark::of(name), stored);
        self.once(changed)
    }

    /// What was told before the part was put off is not told again.
    fn once(&mut self, result: Result<(), RevisionFault>) -> Result<(), RevisionFault> {
        self.seen += 1;
        if self.seen <= self.told { Ok(()) } else { result }
    }

    /// A compaction takes each deletion below it away, with the changes before. One right at its revision is taken away by etcd up to
    /// 3.5.15 (seen with 3.4.23 and 3.5.1) and left by later ones (<https://github.com/etcd-io/etcd/pull/18274>, and 18474 and 18475
    /// for 3.5 and 3.4), while the changes before it go in all of them (`compact` in
    /// <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/key_index.go>).
    fn ended(&mut self, mark: KeyMark, number: RevisionNumber) -> Result<(), RevisionFault> {
        if !self.part.has(mark) {
            return Ok(());
        }
        self.leases.remove(mark);
        let existed = self.living.remove(mark).is_some();
        let to = self.thrown_away;
        if number.main < to {
            Err(RevisionFault::DeletionCompacted { to })
        } else if existed && number.main == to {
            Err(RevisionFault::EarlierCompacted { to })
        } else if existed || number.main <= self.compacted {
            Ok(())
        } else {
            Err(RevisionFault::DeletedAbsent)
        }
    }

    fn changed(&mut self, mark: KeyMark, stored: &KeyValue<'_>) -> Result<(), RevisionFault> {
        if !self.part.has(mark) {
            return Ok(());
        }
        match stored.lease {
            0 => self.leases.remove(mark),
            lease => self.leases.insert(mark, lease),
        };
        let KeyValue { create_revision: created, mod_revision, version, .. } = *stored;
        let before = self.living.insert(mark, Life { created, version });
        if before.is_some() && mod_revision <= self.thrown_away {
            // Of several changes of a key up to there, a compaction leaves the last one only (`scheduleCompaction` in
            // <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/kvstore_compaction.go>; so in 2,700 snapshots of 3.4.23
            // and 3.5.1: after compactions at puts and at deletions, while the next one ran, after kills, defragmentation and restores).
            // This one is not held against the one before: both are of another time, or one of another key.
            return Err(RevisionFault::EarlierCompacted { to: self.thrown_away });
        }
        let (expected_created, expected_version) = match before {
            Some(before) => (before.created, before.version.saturating_add(1)),
            None => {
                // The change that takes too much room is judged after this, and is told by whoever follows it now.
                if self.followed() > self.at_a_time && self.put_off_half(self.seen + 1) {
                    self.forget_what_is_put_off();
                }
                // What came before may have been thrown away.
                if mod_revision <= self.compacted {
                    return Ok(());
                }
                (mod_revision, 1)
            }
        };
        if created == expected_created && version == expected_version {
            return Ok(());
        }
        // The next change is compared with what this one should have been: one fault is told once.
        if self.part.has(mark) {
            let life = Life { created: expected_created, version: expected_version };
            self.living.insert(mark, life);
        }
        Err(if created == expected_created {
            RevisionFault::Version { expected: expected_version, found: version }
        } else {
            RevisionFault::Created { expected: expected_created, found: created }
        })
    }

    /// So many bytes are needed elsewhere from now on: fewer keys are followed at a time.
    pub(in super::super) fn make_room(&mut self, bytes: usize) {
        let fewer = AT_A_TIME.saturating_sub(bytes / EACH_BYTES).max(AT_A_TIME / 4);
        self.at_a_time = self.at_a_time.min(fewer);
        while self.followed() > self.at_a_time {
            // Memory that is given back in several steps does not all go back to the system.
            let mut expected = self.followed();
            while expected > self.at_a_time {
                if !self.put_off_half(self.seen) {
                    return self.forget_what_is_put_off();
                }
                expected /= 2;
            }
            self.forget_what_is_put_off();
        }
    }

    fn followed(&self) -> usize {
        self.living.len() + self.leases.len()
    }

    /// Puts off one half of what is followed, of which the first `told` changes have been told. `false` when there are no halves.
    fn put_off_half(&mut self, told: u64) -> bool {
        let Some([kept, other]) = self.part.halves() else { return false };
        self.part = kept;
        let told = self.told.max(told);
        self.put_off.push(Unfollowed { part: other, told, at_a_time: self.at_a_time });
        true
    }

    fn forget_what_is_put_off(&mut self) {
        self.living.keep_part(self.part);
        self.leases.keep_part(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A change of one of forty keys: it is put with this version and lease, or deleted.
    #[derive(Clone, Debug)]
    struct Change {
        key: u8,
        put: Option<(i64, i64)>,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let put = proptest::option::weighted(0.8, (1..4_i64, 0..3_i64));
        proptest::collection::vec(
            (0..40_u8, put).prop_map(|(key, put)| Change { key, put }),
            0..200,
        )
    }

    /// What following all changes says of each that is wrong.
    fn follow(
        lives: &mut Lives,
        changes: &[Change],
        room_at: Option<usize>,
    ) -> Vec<(usize, RevisionFault)> {
        let mut faults = Vec::new();
        for (place, Change { key, put }) in changes.iter().enumerate() {
            if room_at == Some(place) {
                lives.make_room(usize::MAX);
            }
            let (main, name) = (place as i64 + 2, [*key]);
            let lived = match put {
                None => lives.end(&name, RevisionNumber { main, sub: 0 }),
                Some((version, lease)) => {
                    let (version, lease) = (*version, *lease);
                    let stored = KeyValue {
                        create_revision: main - version + 1,
                        mod_revision: main,
                        version,
                        lease,
                        ..KeyValue::default()
                    };
                    lives.change(&name, &stored)
                }
            };
            faults.extend(lived.err().map(|fault| (place, fault)));
        }
        faults
    }

    proptest! {
        #[test]
        fn followed_part_by_part_changes_say_what_they_say_when_followed_at_once(
            changes in changes(),
            compacted in -1..50_i64,
            begun in -1..50_i64,
            room_at in 0..200_usize,
        ) {
            let finished = Some(compacted);
            let compaction = Compaction { scheduled: finished.max(Some(begun)), finished };
            let mut whole = Lives::new(compaction, Unfollowed::ALL);
            whole.at_a_time = usize::MAX;
            let expected = follow(&mut whole, &changes, None);
            let mut waiting = vec![Unfollowed::ALL];
            let (mut faults, mut count, mut leases) = (Vec::new(), 0, Vec::new());
            while let Some(part) = waiting.pop() {
                let mut lives = Lives::new(compaction, part);
                lives.at_a_time = 12;
                faults.extend(follow(&mut lives, &changes, Some(room_at)));
                count += lives.count();
                leases.extend(lives.leases().copied());
                waiting.extend(lives.put_off());
            }
            faults.sort_by_key(|(place, _)| *place);
            prop_assert_eq!(faults, expected);
            leases.sort_unstable();
            let mut all: Vec<i64> = whole.leases().copied().collect();
            all.sort_unstable();
            prop_assert_eq!((count, leases), (whole.count(), all));
        }
    }
}
