//! The leases of living keys, held against those that a snapshot stores.
//!
//! Main type: [`StoredLeases`]. What a lease itself must be like is judged with etcd's other records.

use super::bbolt::{EntrySink, Layout, Place};
use super::damage::DamageLog;
use super::keys::walk_bucket;
use super::note::Note;
use super::records::HexId;
use crate::formats::ReadAt;
use std::collections::BTreeSet;
use std::io;

/// How many stored leases are held in memory, at eight bytes each. Few in unit tests.
const STORED: usize = if cfg!(test) { 12 } else { 1_000_000 };

/// How many leases that are stored nowhere are told apart.
pub(super) const MISSING: usize = 50_000;

/// The leases that a snapshot stores.
#[derive(Default)]
pub(super) struct StoredLeases {
    /// In order.
    ids: Vec<i64>,
    /// There are more: nothing is held against them.
    too_many: bool,
}

impl StoredLeases {
    /// Reads them before the keys are, whose leases are then forgotten as soon as they were looked up.
    pub(super) fn read<R: ReadAt + ?Sized>(file: &R, layout: Layout) -> io::Result<Self> {
        let mut stored = Self::default();
        walk_bucket(file, layout, b"lease", &mut stored)?;
        stored.ids.sort_unstable();
        Ok(stored)
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.ids.len() * size_of::<i64>()
    }
}

impl EntrySink for StoredLeases {
    fn entry(&mut self, _: Place, key: &[u8], _: &[u8], _: &mut DamageLog) {
        // Another name is damage, which is told where records are judged.
        let Ok(id) = key.try_into().map(i64::from_be_bytes) else { return };
        if self.ids.len() < STORED {
            self.ids.push(id);
        } else {
            self.too_many = true;
            self.ids = Vec::new();
        }
    }
}

/// What is known of the leases on which living keys hang.
#[derive(Default)]
pub(super) struct Leased {
    stored: StoredLeases,
    keys: u64,
    missing: BTreeSet<i64>,
    /// How many keys hang on those.
    orphans: u64,
}

impl Leased {
    pub(super) fn on(stored: StoredLeases) -> Self {
        Self { stored, ..Self::default() }
    }

    /// Takes the leases of some living keys, one for each that has one.
    pub(super) fn add<'leases>(&mut self, leases: impl Iterator<Item = &'leases i64>) {
        for lease in leases {
            self.keys += 1;
            if self.stored.too_many || self.stored.ids.binary_search(lease).is_ok() {
                continue;
            }
            self.orphans += 1;
            if self.missing.len() < MISSING {
                self.missing.insert(*lease);
            }
        }
    }

    /// How many living keys hang on a lease.
    pub(super) fn keys(&self) -> u64 {
        self.keys
    }

    /// What is to be said of them, when all keys and all records were read.
    pub(super) fn note(&self) -> Option<Note> {
        if self.stored.too_many && self.keys > 0 {
            return Some(Note::LeasesNotCompared { most: STORED as u64 });
        }
        let first = HexId(self.missing.first()?.cast_unsigned());
        Some(Note::LeasesMissing { leases: self.missing.len() as u64, first, keys: self.orphans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leased(stored: std::ops::Range<i64>, of_keys: &[i64]) -> Leased {
        let mut leases = StoredLeases::default();
        let place = Place { page: 0, index: 0 };
        for id in stored {
            leases.entry(place, &id.to_be_bytes(), &[], &mut DamageLog::default());
        }
        let mut leased = Leased::on(leases);
        leased.add(of_keys.iter());
        leased
    }

    #[test]
    fn keys_on_leases_that_are_stored_nowhere_are_counted() {
        assert_eq!(leased(1..9, &[1, 8, 8]).note(), None);
        let missing = leased(1..9, &[1, 9, 9, 12]);
        assert_eq!(missing.keys(), 4);
        let note = Note::LeasesMissing { leases: 2, first: HexId(9), keys: 3 };
        assert_eq!(missing.note(), Some(note));
    }

    #[test]
    fn more_leases_than_are_held_prove_nothing_and_take_no_memory() {
        let most = STORED as i64;
        assert_eq!(leased(0..most, &[1]).note(), None);
        let beyond = leased(0..most + 100, &[1, -1]);
        assert_eq!(beyond.note(), Some(Note::LeasesNotCompared { most: STORED as u64 }));
        assert!(beyond.stored.bytes() < STORED * size_of::<i64>());
        assert_eq!(leased(0..most + 1, &[]).note(), None, "no key hangs on any of them");
    }
}
