//! What must hold for all inputs: no panic, no loop, no more reading than the file is long a few times, never sound.

use super::kubernetes::take_inventory;
use super::tiny_writer::{self as tiny, FIRST_LEAF, PAGE, Snapshot};
use super::*;
use crate::formats::ReadAt;
use proptest::prelude::*;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

const REAL: &[u8] = include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

/// Counts the bytes that the reader asks for.
struct Counting<'bytes> {
    bytes: &'bytes [u8],
    read: AtomicU64,
}

impl ReadAt for Counting<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(buffer, offset)
    }
}

/// Inspects, and checks what must hold for all inputs.
fn survives(bytes: &[u8]) -> Inspection {
    let counting = Counting { bytes, read: AtomicU64::new(0) };
    let found = inspect(&counting, bytes.len() as u64).unwrap();
    // Once for the trailer, once for the tree, once for the bucket `meta` ahead of it, up to five times for further parts of the
    // keys (which are small in tests), and up to 17 looks at where a meta page might be.
    let most = 8 * bytes.len() as u64 + 17 * 80 + 16 + 32 + 1;
    let read = counting.read.load(Ordering::Relaxed);
    assert!(read <= most, "read {read} of {}", bytes.len());
    assert!(found.damage.len() <= 100);
    assert!(found.damage_not_listed == 0 || found.damage.len() == 100);
    if found.complete != Completeness::Complete {
        assert_eq!((found.revision, found.entries, found.hash), (None, None, None));
        assert_ne!(found.soundness(), Soundness::Sound);
    }
    for damage in &found.damage {
        assert!(!damage.to_string().contains("registry"), "{damage}");
    }
    let length = bytes.len() as u64;
    let inventory = take_inventory(bytes, length, &[]).unwrap();
    if let (Ok(inventory), Some(live_keys)) = (&inventory, found.live_keys) {
        assert_eq!(
            (inventory.keys, Some(inventory.revision)),
            (live_keys, found.current_revision())
        );
    }
    let hash_kv = hash_kv(bytes, length, None, None).unwrap();
    if found.damage.is_empty() && found.complete == Completeness::Complete {
        assert!(inventory.is_ok() && hash_kv.is_ok(), "{inventory:?} {hash_kv:?}");
    }
    found
}

#[test]
fn a_good_snapshot_cut_anywhere_is_never_sound() {
    let sealed = Snapshot::with_entries(&[tiny::put(1), tiny::delete(1, 2)]).sealed();
    for length in 0..sealed.len() {
        assert_ne!(survives(&sealed[..length]).soundness(), Soundness::Sound, "length {length}");
    }
}

#[test]
fn any_single_flipped_bit_is_noticed() {
    let mut sealed = Snapshot::with_entries(&[tiny::put(1), tiny::put(2)]).sealed();
    for position in 0..sealed.len() {
        sealed[position] ^= 1 << (position % 8);
        assert_eq!(survives(&sealed).soundness(), Soundness::Damaged, "byte {position}");
        sealed[position] ^= 1 << (position % 8);
    }
}

/// Overflow pages have no header: when those change places, only the trailer can tell.
#[test]
fn pages_that_changed_places_are_never_sound() {
    let mut good = Snapshot::typical();
    let pages: Vec<usize> = (FIRST_LEAF..good.pages.len() / PAGE)
        .filter(|number| good.page(*number).starts_with(&number.to_le_bytes()))
        .collect();
    assert_eq!(pages.len(), 9, "seven leaves, their branch and the list of buckets");
    for (one, other) in pages.iter().flat_map(|one| pages.iter().map(move |other| (*one, *other))) {
        if one != other {
            let mut snapshot = Snapshot { pages: good.pages.clone() };
            let moved = good.page(one).to_vec();
            snapshot.page(one).copy_from_slice(good.page(other));
            snapshot.page(other).copy_from_slice(&moved);
            let found = survives(&snapshot.sealed());
            assert_eq!(found.soundness(), Soundness::Damaged, "{one} and {other}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_pass(bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
        prop_assert_ne!(survives(&bytes).soundness(), Soundness::Sound);
    }

    /// The meta pages stay good, so that the reader walks into the noise.
    #[test]
    fn random_pages_behind_good_meta_pages_never_hang(
        noise in proptest::collection::vec(any::<u8>(), 4000..6000),
        root in 0_u64..10,
    ) {
        let mut snapshot = Snapshot::with_entries(&[tiny::put(1)]);
        let room = snapshot.pages.len() + 4 * PAGE;
        snapshot.pages.resize(room, 0);
        snapshot.write_metas(root, u64::MAX);
        for (place, byte) in snapshot.pages[2 * PAGE + 16..].iter_mut().zip(noise) {
            *place = byte;
        }
        survives(&snapshot.sealed());
    }

    /// Resealed, so that only the structure can tell.
    #[test]
    fn changed_headers_and_tables_never_hang(
        changes in proptest::collection::vec((2_usize..16, 0_usize..256, any::<u8>()), 1..12),
    ) {
        let mut snapshot = Snapshot::typical();
        for (page, offset, byte) in changes {
            snapshot.page(page)[offset] = byte;
        }
        survives(&snapshot.sealed());
    }

    /// A file that a real etcd wrote, with a few bytes changed; resealed half of the time.
    #[test]
    fn changes_to_a_real_snapshot_never_hang_and_never_pass_unsealed(
        changes in proptest::collection::vec((0..REAL.len() - 32, 1..=u8::MAX), 1..20),
        reseal in any::<bool>(),
    ) {
        let mut changed = Snapshot { pages: REAL[..REAL.len() - 32].to_vec() };
        for (position, flips) in changes {
            changed.pages[position] ^= flips;
        }
        prop_assume!(changed.pages != REAL[..REAL.len() - 32]);
        if reseal {
            survives(&changed.sealed());
        } else {
            let file = [&changed.pages, &REAL[REAL.len() - 32..]].concat();
            prop_assert_eq!(survives(&file).soundness(), Soundness::Damaged);
        }
    }
}
