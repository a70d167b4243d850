//! The damage museum: every kind of damage that a snapshot is known to arrive with, each named for what it is. Those that no
//! reader can tell from health stand at the end, so that nobody believes otherwise.
//!
//! Each exhibit is a small snapshot with one damage. "Sealed again" means that its SHA-256 was made to belong to it
//! afterwards, so that the trailer does not help: such are snapshots of a database that was damaged before it was saved.

use super::kubernetes::take_inventory;
use super::tiny_writer::{self as tiny, Element, FIRST_LEAF, PAGE, Snapshot};
use super::*;

/// What must be found, whatever else follows from it.
type Expected = fn(&Damage) -> bool;

struct Exhibit {
    name: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
}

/// A good snapshot with some bytes changed on its way, its SHA-256 as it was.
fn changed(name: &'static str, change: fn(&mut Vec<u8>), expected: Expected) -> Exhibit {
    let mut bytes = Snapshot::typical().sealed();
    change(&mut bytes);
    Exhibit { name, bytes, expected }
}

/// A good snapshot with its pages changed, sealed again.
fn sealed(name: &'static str, change: fn(&mut Snapshot), expected: Expected) -> Exhibit {
    let mut snapshot = Snapshot::typical();
    change(&mut snapshot);
    Exhibit { name, bytes: snapshot.sealed(), expected }
}

/// A sealed snapshot with these changes in its bucket `key`.
fn history(name: &'static str, entries: &[Element], expected: Expected) -> Exhibit {
    Exhibit { name, bytes: Snapshot::with_entries(entries).sealed(), expected }
}

/// A sealed snapshot with these buckets, and those that every etcd makes.
fn buckets(name: &'static str, buckets: Vec<Element>, expected: Expected) -> Exhibit {
    Exhibit { name, bytes: Snapshot::with_buckets(buckets).sealed(), expected }
}

macro_rules! is {
    ($pattern:pat) => {
        |damage: &Damage| matches!(damage, $pattern)
    };
}

mod content;
mod pages;

use content::{notes, records, revisions, tables, values};
use pages::{elements, free_pages, on_the_way, pages, trees};

/// Every exhibit: its name and its bytes.
pub(crate) fn exhibits() -> Vec<(&'static str, Vec<u8>)> {
    all().into_iter().map(|exhibit| (exhibit.name, exhibit.bytes)).collect()
}

fn all() -> Vec<Exhibit> {
    let of_pages = [on_the_way(), pages(), elements(), trees(), free_pages()];
    let of_content = [revisions(), values(), tables(), records(), notes()];
    of_pages.into_iter().chain(of_content).flatten().collect()
}

fn look(bytes: &[u8]) -> Inspection {
    inspect(bytes, bytes.len() as u64).unwrap()
}

#[test]
fn every_kind_of_damage_is_named_for_what_it_is() {
    let exhibits = all();
    assert!(exhibits.len() >= 40, "{}", exhibits.len());
    for Exhibit { name, bytes, expected } in exhibits {
        let found = look(&bytes);
        assert!(found.damage.iter().any(expected), "{name}: {:?}", found.damage);
        assert_eq!(found.soundness(), Soundness::Damaged, "{name}");
        assert!(serde_json::to_string(&found).is_ok(), "{name}");
        // Whatever it answers, it answers.
        let length = bytes.len() as u64;
        let _answer = hash_kv(&bytes[..], length, None, Some(2)).unwrap();
        let _answer = take_inventory(&bytes[..], length, &[]).unwrap();
    }
}

/// What the exhibits are made from is sound: otherwise they would show nothing.
#[test]
fn what_the_exhibits_are_made_from_is_sound() {
    let key =
        tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1), tiny::change(b'a', 3, 2, 2)]);
    let lease =
        tiny::inline_bucket(b"lease", &[tiny::entry(&7_u64.to_be_bytes(), b"\x08\x07\x10\x3c")]);
    for good in [
        Snapshot::typical(),
        Snapshot::with_buckets(vec![key]),
        Snapshot::with_buckets(vec![
            tiny::inline_bucket(b"key", &[tiny::leased(b'a', 2, 7)]),
            lease,
        ]),
    ] {
        let found = look(&good.sealed());
        assert_eq!((found.soundness(), found.damage), (Soundness::Sound, vec![]));
    }
}

#[test]
fn a_lost_page_says_which_revisions_it_held() {
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF + 1).fill(0);
    let number = |main| Some(RevisionNumber { main, sub: 0 });
    let lost = LostRevisions { page: 3, from: number(11), before: number(21) };
    assert_eq!(look(&snapshot.sealed()).lost_revisions, [lost]);
}

/// A copy of a member's database has no SHA-256: a changed value in it cannot be noticed, so that it is never proven.
#[test]
fn a_trailer_that_was_cut_off_leaves_the_rest_unproven() {
    let mut snapshot = Snapshot::typical();
    let value = snapshot.pages.windows(4).position(|window| window == b"vvvv").unwrap();
    snapshot.pages[value] ^= 1;
    let found = look(&snapshot.pages);
    assert_eq!(found.damage, []);
    assert!(matches!(found.soundness(), Soundness::Unproven(_)));
}

/// Nothing inside a snapshot tells these from health. Against them help the age, the revision of the snapshot before, `HashKV`
/// of the members, and a comparison of what is in it.
#[test]
fn what_no_reader_can_tell_from_health() {
    // A value that was changed before the snapshot was saved: bbolt has no checksums over pages.
    let mut changed = Snapshot::typical();
    let value = changed.pages.windows(4).position(|window| window == b"vvvv").unwrap();
    changed.pages[value] ^= 1;
    // A snapshot of another time: good in itself.
    let old = Snapshot::with_entries(&[tiny::put(2)]);
    // The only change that a compaction had left of a key, lost: nothing else in the file mentions that key.
    let meta = tiny::compacted(9, Some(9));
    let key =
        tiny::inline_bucket(b"key", &[tiny::change(b'a', 3, 3, 1), tiny::change(b'a', 10, 3, 2)]);
    let compacted = Snapshot::with_buckets(vec![key, meta]);
    for snapshot in [changed, old, compacted] {
        let found = look(&snapshot.sealed());
        assert_eq!((found.soundness(), found.damage), (Soundness::Sound, vec![]));
    }
}
