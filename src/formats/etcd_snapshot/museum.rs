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

/// A sealed snapshot with these buckets.
fn buckets(name: &'static str, buckets: &[Element], expected: Expected) -> Exhibit {
    Exhibit { name, bytes: Snapshot::with_buckets(buckets).sealed(), expected }
}

macro_rules! is {
    ($pattern:pat) => {
        |damage: &Damage| matches!(damage, $pattern)
    };
}

fn on_the_way() -> Vec<Exhibit> {
    let flip = |bytes: &mut Vec<u8>| {
        let value = bytes.windows(4).position(|window| window == b"vvvv").unwrap();
        bytes[value] ^= 1;
    };
    vec![
        changed("one bit of a value", flip, is!(Damage::TrailerDiffers { .. })),
        changed(
            "one bit of the SHA-256 only",
            |bytes| *bytes.last_mut().unwrap() ^= 1,
            is!(Damage::TrailerDiffers { .. }),
        ),
        changed(
            "cut in half",
            |bytes| bytes.truncate(bytes.len() / 2),
            is!(Damage::Truncated { .. }),
        ),
        changed(
            "the last page and the SHA-256 cut off",
            |bytes| bytes.truncate(bytes.len() - 32 - PAGE),
            is!(Damage::Truncated { .. }),
        ),
        changed(
            "cut so that the rest looks like a SHA-256",
            |bytes| bytes.truncate(5 * PAGE + 32),
            is!(Damage::Truncated { need_bytes: _, have_bytes: 5120 }),
        ),
        changed("nothing arrived", Vec::clear, is!(Damage::Empty)),
        changed(
            "a message instead of a snapshot",
            |bytes| *bytes = b"Error: context deadline exceeded\n".to_vec(),
            is!(Damage::NoUsableMeta),
        ),
        changed(
            "an archive instead of a snapshot",
            |bytes| *bytes = [&[0x1F, 0x8B, 8, 0][..], &[0; 400]].concat(),
            is!(Damage::Packed(Packing::Gzip)),
        ),
        changed(
            "an incremental snapshot instead of a full one",
            |bytes| *bytes = br#"[{"etcdEvent":{"Kv":{}},"time":"2026-01-01T00:00:00Z"}]"#.to_vec(),
            is!(Damage::Incremental),
        ),
        changed(
            "the first block lost",
            |bytes| bytes[..2 * PAGE].fill(0),
            is!(Damage::NoUsableMeta),
        ),
    ]
}

fn pages() -> Vec<Exhibit> {
    vec![
        sealed(
            "the first meta page ruined",
            |snapshot| snapshot.page(0).fill(0xAA),
            is!(Damage::Meta { index: 0, fault: MetaFault::Magic { found: 0xAAAA_AAAA } }),
        ),
        sealed(
            "a byte of the second meta page changed",
            |snapshot| snapshot.page(1)[16 + 40] ^= 1,
            is!(Damage::Meta { index: 1, fault: MetaFault::Checksum }),
        ),
        sealed(
            "a leaf zeroed",
            |snapshot| snapshot.page(FIRST_LEAF).fill(0),
            is!(Damage::Page { page: 2, fault: PageFault::Number { found: 0 } }),
        ),
        sealed(
            "a page written to the place of another",
            |snapshot| {
                let other = snapshot.page(FIRST_LEAF + 1).to_vec();
                snapshot.page(FIRST_LEAF).copy_from_slice(&other);
            },
            is!(Damage::Page { page: 2, fault: PageFault::Number { found: 3 } }),
        ),
        sealed(
            "a leaf with the content of another",
            |snapshot| {
                let other = snapshot.page(FIRST_LEAF + 1).to_vec();
                snapshot.page(FIRST_LEAF)[8..].copy_from_slice(&other[8..]);
            },
            is!(Damage::Page { page: 2, fault: PageFault::Range { index: 0 } }),
        ),
        sealed(
            "the revision in a key changed",
            |snapshot| {
                let key = tiny::revision(4, false);
                let place = snapshot.pages.windows(17).position(|w| w == key).unwrap();
                snapshot.pages[place + 7] = 2;
            },
            is!(Damage::Page { page: 2, fault: PageFault::Order { index: 3 } }),
        ),
        sealed(
            "a leaf that says it is free space",
            |snapshot| snapshot.page(FIRST_LEAF)[8] = 0x10,
            is!(Damage::Page { page: 2, fault: PageFault::Kind { flags: 0x10 } }),
        ),
    ]
}

fn elements() -> Vec<Exhibit> {
    vec![
        sealed(
            "more elements than fit",
            |snapshot| snapshot.page(FIRST_LEAF)[10..12].fill(0xFF),
            is!(Damage::Page { page: 2, fault: PageFault::ElementTable { count: u16::MAX } }),
        ),
        sealed(
            "an element outside of its page",
            |snapshot| snapshot.page(FIRST_LEAF)[16 + 14] = 0xFF,
            is!(Damage::Page { page: 2, fault: PageFault::Extent { index: 0 } }),
        ),
        sealed(
            "an element of a kind that does not exist",
            |snapshot| snapshot.page(FIRST_LEAF)[16] = 8,
            is!(Damage::Page { page: 2, fault: PageFault::Flags { index: 0 } }),
        ),
        sealed(
            "a page that claims pages past the end",
            |snapshot| snapshot.page(FIRST_LEAF)[12] = 200,
            is!(Damage::Page { page: 2, fault: PageFault::Overflow { pages: 200 } }),
        ),
        sealed(
            "a page that claims the next one",
            |snapshot| snapshot.page(FIRST_LEAF)[12] = 1,
            is!(Damage::Page { page: 3, fault: PageFault::ReachedTwice }),
        ),
    ]
}

/// The page of the branch above the leaves in [`Snapshot::typical`]: the last one before the list of buckets.
fn branch_of(snapshot: &Snapshot) -> usize {
    usize::try_from(snapshot.root()).unwrap() - 1
}

/// Lets the second child of the branch be another page.
fn redirect(snapshot: &mut Snapshot, to: u64) {
    let branch = branch_of(snapshot);
    snapshot.page(branch)[16 + 16 + 8..][..8].copy_from_slice(&to.to_le_bytes());
}

fn trees() -> Vec<Exhibit> {
    vec![
        sealed(
            "a branch that leads back to itself",
            |snapshot| redirect(snapshot, branch_of(snapshot) as u64),
            is!(Damage::Page { fault: PageFault::ReachedTwice, .. }),
        ),
        sealed(
            "a leaf with two parents",
            |snapshot| redirect(snapshot, FIRST_LEAF as u64),
            is!(Damage::Page { page: 2, fault: PageFault::ReachedTwice }),
        ),
        sealed(
            "a branch that leads out of the file",
            |snapshot| redirect(snapshot, 1 << 40),
            is!(Damage::Page { page: 0x100_0000_0000, fault: PageFault::OutOfRange { .. } }),
        ),
        sealed(
            "a branch without children",
            |snapshot| {
                let branch = branch_of(snapshot);
                snapshot.page(branch)[10] = 0;
            },
            is!(Damage::Page { fault: PageFault::NoChildren, .. }),
        ),
        sealed(
            "a leaf cut out of its branch",
            |snapshot| {
                // The children behind the second one move up by one place; their keys stay where they are.
                let branch = branch_of(snapshot);
                let page = snapshot.page(branch);
                page[10] -= 1;
                let count = usize::from(page[10]);
                for child in 1..count {
                    let from = 16 + 16 * (child + 1);
                    let mut element = page[from..from + 16].to_vec();
                    // Positions are counted from the element.
                    element[0] += 16;
                    page[from - 16..from].copy_from_slice(&element);
                }
            },
            is!(Damage::Revision {
                revision: Some(RevisionNumber { main: 21, sub: 0 }),
                fault: RevisionFault::Gap { expected: RevisionNumber { main: 11, sub: 0 } },
                ..
            }),
        ),
        sealed(
            "a page that is free and in use",
            |snapshot| {
                let root = snapshot.root();
                let list = snapshot.add_page(0x10, &root.to_le_bytes(), 1);
                snapshot.write_metas(root, list);
            },
            is!(Damage::FreePageInUse { .. }),
        ),
        sealed(
            "a list of free pages longer than its page",
            |snapshot| {
                let root = snapshot.root();
                let list = snapshot.add_page(0x10, &[], 500);
                snapshot.write_metas(root, list);
            },
            is!(Damage::Page { fault: PageFault::FreeList, .. }),
        ),
    ]
}

fn revisions() -> Vec<Exhibit> {
    let change = tiny::change;
    let first = || change(b'a', 2, 2, 1);
    vec![
        history(
            "a key that is no revision",
            &[tiny::entry(b"what is this", b"")],
            is!(Damage::Revision { fault: RevisionFault::Format, revision: None, .. }),
        ),
        history(
            "a value that cannot be read",
            &[tiny::with_value(first(), b"\x0a\x7fa")],
            is!(Damage::Revision { fault: RevisionFault::Value, .. }),
        ),
        history(
            "a value that names no key",
            &[tiny::with_value(first(), b"\x10\x02\x18\x02\x20\x01")],
            is!(Damage::Revision { fault: RevisionFault::NoKey, .. }),
        ),
        history(
            "a value stored under another revision",
            &[
                first(),
                tiny::with_value(change(b'b', 3, 3, 1), b"\x0a\x01b\x10\x02\x18\x02\x20\x01"),
            ],
            is!(Damage::Revision { fault: RevisionFault::Modified { stored: 3, named: 2 }, .. }),
        ),
        history(
            "a key made after it was changed",
            &[change(b'a', 2, 9, 1)],
            is!(Damage::Revision { fault: RevisionFault::Impossible, .. }),
        ),
        history(
            "a change lost from the middle",
            &[first(), change(b'b', 4, 4, 1)],
            is!(Damage::Revision { fault: RevisionFault::Gap { .. }, .. }),
        ),
        history(
            "a change lost and the numbers closed up",
            &[first(), change(b'b', 3, 3, 1), change(b'a', 4, 2, 3)],
            is!(Damage::Revision { fault: RevisionFault::Version { expected: 2, found: 3 }, .. }),
        ),
        history(
            "a key that changes its age",
            &[first(), change(b'b', 3, 3, 1), change(b'a', 4, 3, 2)],
            is!(Damage::Revision { fault: RevisionFault::Created { expected: 2, found: 3 }, .. }),
        ),
        history(
            "a deletion of what never was",
            &[first(), tiny::delete(1, 3)],
            is!(Damage::Revision { fault: RevisionFault::DeletedAbsent, .. }),
        ),
        history(
            "a lease that is gone",
            &[tiny::leased(b'a', 2, 7)],
            is!(Damage::LeaseMissing { lease: HexId(7), keys: 1 }),
        ),
    ]
}

fn tables() -> Vec<Exhibit> {
    let key = || tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let own = |name: &[u8], key: &[u8], value: &[u8]| {
        tiny::inline_bucket(name, &[tiny::entry(key, value)])
    };
    let nested = tiny::inline_bucket(b"key", &[tiny::inline_bucket(b"inner", &[])]);
    vec![
        buckets(
            "no users' keys at all",
            &[tiny::inline_bucket(b"meta", &[])],
            is!(Damage::NoKeyBucket),
        ),
        buckets(
            "an entry where only buckets belong",
            &[tiny::entry(b"key", b"value")],
            is!(Damage::Bucket { fault: BucketFault::NotABucket, .. }),
        ),
        buckets(
            "a bucket inside a bucket",
            &[nested],
            is!(Damage::Bucket { fault: BucketFault::Nested, .. }),
        ),
        buckets(
            "a lease under another number",
            &[key(), own(b"lease", &7_u64.to_be_bytes(), b"\x08\x08\x10\x3c")],
            is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Disagrees, .. }),
        ),
        buckets(
            "a member that cannot be read",
            &[key(), own(b"members", b"8e9e05c52164694d", b"{\"id\":102")],
            is!(Damage::Record { bucket: OwnBucket::Members, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "an index of the wrong length",
            &[key(), own(b"meta", b"consistent_index", b"\0\0\0\0")],
            is!(Damage::Record { bucket: OwnBucket::Meta, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "the alarm CORRUPT",
            &[own(b"alarm", b"\x08\x05\x10\x02", b""), key()],
            is!(Damage::CorruptAlarm { member: HexId(5) }),
        ),
    ]
}

fn all() -> Vec<Exhibit> {
    let rooms = [on_the_way(), pages(), elements(), trees(), revisions(), tables()];
    rooms.into_iter().flatten().collect()
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
        Snapshot::with_buckets(&[key]),
        Snapshot::with_buckets(&[tiny::inline_bucket(b"key", &[tiny::leased(b'a', 2, 7)]), lease]),
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
    let revision = tiny::revision(9, false);
    let meta = tiny::inline_bucket(b"meta", &[tiny::entry(b"scheduledCompactRev", &revision)]);
    let key =
        tiny::inline_bucket(b"key", &[tiny::change(b'a', 3, 3, 1), tiny::change(b'a', 10, 3, 2)]);
    let compacted = Snapshot::with_buckets(&[key, meta]);
    for snapshot in [changed, old, compacted] {
        let found = look(&snapshot.sealed());
        assert_eq!((found.soundness(), found.damage), (Soundness::Sound, vec![]));
    }
}
