//! The damage museum over again, on files that real etcds wrote: each kind of damage that can be done to a file in place is done to a
//! snapshot of etcd 3.4 and of 3.5, and must be named as the exhibit of the same name in `src/formats/etcd_snapshot/museum` is.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use crate::etcd_tree::{Entry, PAGE, Tree, fnv1a, number_at, put_number};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::formats::etcd_snapshot::kubernetes::take_inventory;
use redrill::formats::etcd_snapshot::{
    BucketFault, Damage, Inspection, MetaFault, MetaField, OwnBucket, Packing, PageFault,
    RecordFault, RevisionFault, Soundness, hash_kv, inspect,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;

/// What the exhibits are called in the museum.
const MUSEUM: [&str; 2] = [
    include_str!("../../src/formats/etcd_snapshot/museum/pages.rs"),
    include_str!("../../src/formats/etcd_snapshot/museum/content.rs"),
];

/// A snapshot of a real etcd, and what it consists of.
struct Original {
    bytes: Vec<u8>,
    tree: Tree,
}

/// What a change does to the bytes of a good snapshot, its SHA-256 included.
type Change = fn(&Original, &mut Vec<u8>);
type Expected = fn(&Damage) -> bool;

struct Exhibit {
    name: &'static str,
    change: Change,
    /// Whether the SHA-256 is made to belong to it afterwards: the damage was there before the snapshot was saved.
    sealed: bool,
    expected: Expected,
}

const fn on_the_way(name: &'static str, change: Change, expected: Expected) -> Exhibit {
    Exhibit { name, change, sealed: false, expected }
}

const fn before(name: &'static str, change: Change, expected: Expected) -> Exhibit {
    Exhibit { name, change, sealed: true, expected }
}

macro_rules! is {
    ($pattern:pat) => {
        |damage: &Damage| matches!(damage, $pattern)
    };
}

impl Original {
    fn of(bytes: Vec<u8>) -> Self {
        Self { tree: Tree::of(&bytes), bytes }
    }

    /// An etcd with a short life: objects, one of many pages, a lease, changes, deletions, a compaction, and changes behind it.
    fn lived(etcd: &Etcd) {
        let put = |number: usize, round: usize| {
            let value = format!("image: registry.example/app:{round}\n").repeat(3);
            json!({ "key": BASE64.encode(name(number)), "value": BASE64.encode(value) })
        };
        let rounds = |range: std::ops::Range<usize>| {
            for round in range {
                for number in 0..30 {
                    etcd.put(&[put(number, round)]);
                }
            }
        };
        rounds(0..2);
        etcd.call("/v3/kv/compaction", &json!({ "revision": 40, "physical": true }));
        let huge = BASE64.encode("x".repeat(30_000));
        etcd.put(&[json!({ "key": BASE64.encode("/registry/configmaps/ns/huge"), "value": huge })]);
        let lease = etcd.call("/v3/lease/grant", &json!({ "TTL": 3600 }));
        let leased = BASE64.encode("/registry/masterleases/1");
        etcd.put(&[json!({ "key": leased, "value": leased, "lease": lease["ID"] })]);
        rounds(2..6);
        etcd.call("/v3/kv/deleterange", &json!({ "key": BASE64.encode(name(7)) }));
        etcd.put(&[put(8, 9)]);
    }

    fn made_by(programs: &Programs) -> Self {
        let etcd = Etcd::start(programs);
        Self::lived(&etcd);
        Self::of(etcd.snapshot(programs))
    }

    /// Changes behind the compaction, of keys that are there from before it.
    fn changes(&self) -> Vec<&Entry> {
        let all = self.tree.entries.iter().filter(|entry| entry.bucket == b"key");
        all.filter(|entry| number_of(&self.bytes, entry) > 70).collect()
    }

    /// A change of a key that was changed before, in the middle of its leaf.
    fn change(&self) -> &Entry {
        let mut puts =
            self.changes().into_iter().filter(|one| one.key_bytes == 17 && one.index > 0);
        puts.nth(20).unwrap()
    }

    fn deletion(&self) -> &Entry {
        self.changes().into_iter().find(|entry| entry.key_bytes == 18).unwrap()
    }

    /// The first entry of one of etcd's own tables whose key begins so.
    fn own(&self, bucket: &[u8], key: &[u8]) -> &Entry {
        let found = self.tree.entries.iter().find(|entry| {
            entry.bucket == bucket && self.bytes[entry.key..][..entry.key_bytes].starts_with(key)
        });
        found.unwrap_or_else(|| panic!("no {} in {}", key.escape_ascii(), bucket.escape_ascii()))
    }

    /// A leaf of the users' keys behind which another one begins, in the file and in the tree.
    fn leaf(&self) -> usize {
        let leaves = &self.tree.leaves;
        let next = |page: &&usize| leaves.contains(&(**page + 1));
        *leaves.iter().find(next).expect("two leaves side by side")
    }

    /// The branch above the leaves.
    fn branch(&self) -> usize {
        *self.tree.branches.first().expect("a branch above the leaves")
    }

    /// The page of a child of the branch.
    fn child(&self, index: usize) -> usize {
        number_at(&self.bytes, self.branch() * PAGE + 16 + 16 * index + 8)
    }
}

fn name(number: usize) -> String {
    format!("/registry/pods/ns/pod-{number:02}")
}

/// The main revision of an entry of the bucket `key`.
fn number_of(bytes: &[u8], entry: &Entry) -> i64 {
    i64::from_be_bytes(bytes[entry.key..][..8].try_into().unwrap())
}

/// Where a field of a stored change is, which is a varint: 2 made, 3 changed, 4 version. Behind its key, which is shorter than 128.
fn field(bytes: &[u8], entry: &Entry, wanted: u8) -> usize {
    let mut at = entry.value + 2 + usize::from(bytes[entry.value + 1]);
    for tag in 2..wanted {
        assert_eq!(bytes[at], tag << 3);
        at += 1;
        while bytes[at] & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    assert_eq!(bytes[at], wanted << 3);
    at + 1
}

fn seal(bytes: &mut [u8]) {
    let body = bytes.len() - 32;
    let digest = Sha256::digest(&bytes[..body]);
    bytes[body..].copy_from_slice(&digest);
}

/// Lets both meta pages say something else, and makes their checksums belong to it.
fn metas(bytes: &mut [u8], change: fn(&mut [u8])) {
    for page in 0..2 {
        let body = &mut bytes[page * PAGE + 16..][..64];
        change(body);
        let sum = fnv1a(&body[..56]);
        body[56..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Puts a page behind the others that lists free pages, as etcd does not, and lets the meta pages name it.
fn list_of_free_pages(original: &Original, bytes: &mut Vec<u8>, count: u16, first: u64) {
    let body = bytes.len() - 32;
    let number = body / PAGE;
    assert_eq!(number, number_at(&original.bytes, 16 + 40), "the high-water mark");
    let mut page = vec![0; PAGE];
    put_number(&mut page, 0, number as u64);
    page[8] = 0x10;
    page[10..12].copy_from_slice(&count.to_le_bytes());
    put_number(&mut page, 16, first);
    bytes.splice(body..body, page);
    metas(bytes, |body| {
        let mark = number_at(body, 40) as u64;
        put_number(body, 32, mark);
        put_number(body, 40, mark + 1);
    });
}

const ON_THE_WAY: &[Exhibit] = &[
    on_the_way(
        "one bit of a value",
        |original, bytes| bytes[original.change().value + 40] ^= 1,
        is!(Damage::TrailerDiffers { .. }),
    ),
    on_the_way(
        "one bit of the SHA-256 only",
        |_, bytes| *bytes.last_mut().unwrap() ^= 1,
        is!(Damage::TrailerDiffers { .. }),
    ),
    on_the_way(
        "cut in half",
        |_, bytes| bytes.truncate(bytes.len() / 2),
        is!(Damage::Truncated { .. }),
    ),
    on_the_way(
        "the last page and the SHA-256 cut off",
        |_, bytes| bytes.truncate(bytes.len() - 32 - PAGE),
        is!(Damage::Truncated { .. }),
    ),
    on_the_way(
        "cut so that the rest looks like a SHA-256",
        |_, bytes| bytes.truncate(5 * PAGE + 32),
        is!(Damage::Truncated { have_bytes: 20_480, .. }),
    ),
    on_the_way("nothing arrived", |_, bytes| bytes.clear(), is!(Damage::Empty)),
    on_the_way(
        "a message instead of a snapshot",
        |_, bytes| *bytes = b"Error: context deadline exceeded\n".to_vec(),
        is!(Damage::NoUsableMeta),
    ),
    on_the_way(
        "an archive instead of a snapshot",
        |_, bytes| *bytes = [&[0x1F, 0x8B, 8, 0][..], &bytes[..400]].concat(),
        is!(Damage::Packed(Packing::Gzip)),
    ),
    on_the_way(
        "an incremental snapshot instead of a full one",
        |_, bytes| *bytes = br#"[{"etcdEvent":{"Kv":{}},"time":"2026-01-01T00:00:00Z"}]"#.to_vec(),
        is!(Damage::Incremental),
    ),
    on_the_way(
        "the first block lost",
        |_, bytes| bytes[..2 * PAGE].fill(0),
        is!(Damage::NoUsableMeta),
    ),
];

const PAGES: &[Exhibit] = &[
    before(
        "the first meta page ruined",
        |_, bytes| bytes[..PAGE].fill(0xAA),
        is!(Damage::Meta { index: 0, fault: MetaFault::Magic { found: 0xAAAA_AAAA } }),
    ),
    before(
        "a byte of the second meta page changed",
        |_, bytes| bytes[PAGE + 16 + 40] ^= 1,
        is!(Damage::Meta { index: 1, fault: MetaFault::Checksum }),
    ),
    before(
        "two meta pages of one number, the first one of another time",
        |original, bytes| {
            let number = number_at(bytes, 16 + 48) as u64;
            let root = original.leaf() as u64;
            put_number(bytes, PAGE + 16 + 48, number);
            put_number(bytes, 16 + 16, root);
            metas(bytes, |_| {});
        },
        is!(Damage::MetasDiffer { field: MetaField::Transaction }),
    ),
    before(
        "a meta page that leads to the state before",
        |original, bytes| {
            let root = original.leaf() as u64;
            put_number(bytes, 16 + 16, root);
            metas(bytes, |_| {});
        },
        is!(Damage::MetasDiffer { field: MetaField::Root }),
    ),
    before(
        "a leaf zeroed",
        |original, bytes| bytes[original.leaf() * PAGE..][..PAGE].fill(0),
        is!(Damage::Page { fault: PageFault::Number { found: 0 }, .. }),
    ),
    before(
        "a page written to the place of another",
        |original, bytes| {
            let at = original.leaf() * PAGE;
            bytes.copy_within(at + PAGE..at + 2 * PAGE, at);
        },
        is!(Damage::Page { fault: PageFault::Number { .. }, .. }),
    ),
    before(
        "a leaf with the content of another",
        |original, bytes| {
            let at = original.leaf() * PAGE;
            bytes.copy_within(at + PAGE + 8..at + 2 * PAGE, at + 8);
        },
        is!(Damage::Page { fault: PageFault::Range { .. }, .. }),
    ),
    before(
        "the revision in a key changed",
        |original, bytes| bytes[original.change().key + 7] = 0,
        is!(Damage::Page { fault: PageFault::Order { .. } | PageFault::Range { .. }, .. }),
    ),
    before(
        "a leaf that says it is free space",
        |original, bytes| bytes[original.leaf() * PAGE + 8] = 0x10,
        is!(Damage::Page { fault: PageFault::Kind { flags: 0x10 }, .. }),
    ),
    before(
        "more elements than fit",
        |original, bytes| bytes[original.leaf() * PAGE + 10..][..2].fill(0xFF),
        is!(Damage::Page { fault: PageFault::ElementTable { count: u16::MAX }, .. }),
    ),
    before(
        "an element outside of its page",
        |original, bytes| bytes[original.leaf() * PAGE + 16 + 14] = 0xFF,
        is!(Damage::Page { fault: PageFault::Extent { index: 0 }, .. }),
    ),
    before(
        "an element of a kind that does not exist",
        |original, bytes| bytes[original.leaf() * PAGE + 16] = 8,
        is!(Damage::Page { fault: PageFault::Flags { index: 0 }, .. }),
    ),
    before(
        "the last change of a leaf lost",
        |original, bytes| bytes[last_leaf(original) * PAGE + 10] -= 1,
        is!(Damage::Page { fault: PageFault::Gap { index: 0 }, .. }),
    ),
    before(
        "a value cut short",
        |original, bytes| {
            let change = original.change();
            let without_value = field(bytes, change, 4) + 1 - change.value;
            bytes[change.element + 12..][..4]
                .copy_from_slice(&(without_value as u32).to_le_bytes());
        },
        is!(Damage::Page { fault: PageFault::Gap { .. } | PageFault::Leftover, .. }),
    ),
    before(
        "the last value of a leaf cut short",
        |original, bytes| {
            let leaf = last_leaf(original);
            let last = original.tree.entries.iter().rfind(|one| one.page == leaf).unwrap();
            bytes[last.element + 12] -= 1;
        },
        is!(Damage::Page { fault: PageFault::Leftover, .. }),
    ),
    before(
        "a leaf emptied by its count",
        |original, bytes| bytes[original.leaf() * PAGE + 10..][..2].fill(0),
        is!(Damage::Page { fault: PageFault::Leftover, .. }),
    ),
    before(
        "a table stored in place emptied by its count",
        |original, bytes| {
            let cluster = original.tree.buckets.iter().find(|one| one.name == b"cluster").unwrap();
            bytes[cluster.key + 7 + 16 + 10] = 0;
        },
        is!(Damage::Page { fault: PageFault::Leftover, .. }),
    ),
    before(
        "a page that claims pages past the end",
        |original, bytes| bytes[original.leaf() * PAGE + 14] = 1,
        is!(Damage::Page { fault: PageFault::Overflow { pages: 65_536 }, .. }),
    ),
    before(
        "a page that claims the next one",
        |original, bytes| bytes[original.leaf() * PAGE + 12] = 1,
        is!(Damage::Page { fault: PageFault::ReachedTwice, .. }),
    ),
];

const TREES: &[Exhibit] = &[
    before(
        "a branch that leads back to itself",
        |original, bytes| {
            let branch = original.branch();
            put_number(bytes, branch * PAGE + 16 + 16 + 8, branch as u64);
        },
        is!(Damage::Page { fault: PageFault::ReachedTwice, .. }),
    ),
    before(
        "a leaf with two parents",
        |original, bytes| {
            let first = original.child(0) as u64;
            put_number(bytes, original.branch() * PAGE + 16 + 16 + 8, first);
        },
        is!(Damage::Page { fault: PageFault::ReachedTwice, .. }),
    ),
    before(
        "a branch that leads out of the file",
        |original, bytes| put_number(bytes, original.branch() * PAGE + 16 + 16 + 8, 1 << 40),
        is!(Damage::Page { page: 0x100_0000_0000, fault: PageFault::OutOfRange { .. } }),
    ),
    before(
        "a branch without children",
        |original, bytes| bytes[original.branch() * PAGE + 10..][..2].fill(0),
        is!(Damage::Page { fault: PageFault::NoChildren, .. }),
    ),
    before(
        "a leaf cut out of its branch",
        |original, bytes| {
            // The last but one: its changes are behind the compaction. The one behind it moves up, its key stays where it is.
            let at = original.branch() * PAGE;
            let count = usize::from(bytes[at + 10]);
            let last = at + 16 + 16 * (count - 1);
            let mut element = bytes[last..last + 16].to_vec();
            let position = u32::from_le_bytes(element[..4].try_into().unwrap()) + 16;
            element[..4].copy_from_slice(&position.to_le_bytes());
            bytes[last - 16..last].copy_from_slice(&element);
            bytes[at + 10] -= 1;
        },
        is!(Damage::Revision { fault: RevisionFault::Gap { .. }, .. }),
    ),
    before(
        "the last child of a branch lost",
        |original, bytes| bytes[original.branch() * PAGE + 10] -= 1,
        is!(Damage::Page { fault: PageFault::Gap { index: 0 }, .. }),
    ),
    before(
        "a page that is free and in use",
        |original, bytes| {
            let used = original.leaf() as u64;
            list_of_free_pages(original, bytes, 1, used);
        },
        is!(Damage::FreePageInUse { .. }),
    ),
    before(
        "a list of free pages longer than its page",
        |original, bytes| list_of_free_pages(original, bytes, 5000, 0),
        is!(Damage::Page { fault: PageFault::FreeList, .. }),
    ),
];

/// The leaf with the newest changes.
fn last_leaf(original: &Original) -> usize {
    original.changes().last().unwrap().page
}

/// A change that the compaction has left of a key which was changed before it.
fn below_the_compaction(original: &Original) -> &Entry {
    let mut keys = original.tree.entries.iter().filter(|one| one.bucket == b"key");
    keys.find(|one| number_of(&original.bytes, one) > 31).unwrap()
}

const REVISIONS: &[Exhibit] = &[
    before(
        "a value that is gone where a compaction has left a gap before it",
        |original, bytes| {
            let first = original.tree.entries.iter().find(|one| one.bucket == b"key").unwrap();
            bytes[first.element + 12..][..4].fill(0);
        },
        is!(Damage::Page { fault: PageFault::Gap { index: 1 }, .. }),
    ),
    before(
        "a first change of a key that is older, below a compaction",
        |original, bytes| {
            let at = field(bytes, below_the_compaction(original), 4);
            assert_eq!(bytes[at], 2);
            bytes[at] = 1;
        },
        is!(Damage::Revision { fault: RevisionFault::Impossible, .. }),
    ),
    before(
        "a value under another field",
        |original, bytes| {
            let value = field(bytes, original.change(), 4) + 1;
            assert_eq!(bytes[value], 0x2A);
            bytes[value] = 0x3A;
        },
        is!(Damage::Revision { fault: RevisionFault::Field { number: 7 }, .. }),
    ),
    before(
        "a key that is no revision",
        |original, bytes| bytes[original.change().key + 8] = b'x',
        is!(Damage::Revision { fault: RevisionFault::Format, revision: None, .. }),
    ),
    before(
        "a value that cannot be read",
        |original, bytes| bytes[original.change().value + 1..][..4].fill(0xFF),
        is!(Damage::Revision { fault: RevisionFault::Value, .. }),
    ),
    before(
        "a value that names no key",
        |original, bytes| bytes[original.change().value] = 0x3A,
        is!(Damage::Revision { fault: RevisionFault::NoKey, .. }),
    ),
    before(
        "a value stored under another revision",
        |original, bytes| {
            let at = field(bytes, original.change(), 3);
            bytes[at] ^= 1;
        },
        is!(Damage::Revision { fault: RevisionFault::Modified { .. }, .. }),
    ),
    before(
        "a key made after it was changed",
        |original, bytes| {
            let at = field(bytes, original.change(), 2);
            bytes[at] = 0x7F;
        },
        is!(Damage::Revision { fault: RevisionFault::Impossible, .. }),
    ),
    before(
        "a change lost from the middle",
        |original, bytes| {
            // The last element of a leaf of which another one follows.
            let leaf = original.changes()[20].page;
            bytes[leaf * PAGE + 10] -= 1;
        },
        is!(Damage::Revision { fault: RevisionFault::Gap { .. }, .. }),
    ),
    before(
        "a key that changes its age",
        |original, bytes| {
            let at = field(bytes, original.change(), 2);
            bytes[at] ^= 1;
        },
        is!(Damage::Revision { fault: RevisionFault::Created { .. }, .. }),
    ),
    before(
        "a deletion of what never was",
        |original, bytes| {
            let deletion = original.deletion();
            bytes[deletion.value + deletion.value_bytes - 1] = b'x';
        },
        is!(Damage::Revision { fault: RevisionFault::DeletedAbsent, .. }),
    ),
    before(
        "a value that is gone",
        |original, bytes| bytes[original.change().element + 12..][..4].fill(0),
        is!(Damage::Revision { fault: RevisionFault::NoKey, .. }),
    ),
];

/// Renames a bucket of etcd's by its last letter, so that the order of the names stays.
fn rename(original: &Original, bytes: &mut [u8], name: &[u8], letter: u8) {
    let bucket = original.tree.buckets.iter().find(|bucket| bucket.name == name).unwrap();
    bytes[bucket.key + name.len() - 1] = letter;
}

const TABLES: &[Exhibit] = &[
    before(
        "no users' keys at all",
        |original, bytes| rename(original, bytes, b"key", b'x'),
        is!(Damage::NoKeyBucket),
    ),
    before(
        "an entry where only buckets belong",
        |original, bytes| {
            let alarm = original.tree.buckets.iter().find(|one| one.name == b"alarm").unwrap();
            bytes[alarm.element] = 0;
        },
        is!(Damage::Bucket { fault: BucketFault::NotABucket, .. }),
    ),
    before(
        "a bucket inside a bucket",
        |original, bytes| bytes[original.change().element] = 1,
        is!(Damage::Bucket { fault: BucketFault::Nested, .. }),
    ),
    before(
        "a lease under another number",
        |original, bytes| {
            let lease = original.own(b"lease", b"");
            bytes[lease.key + 7] ^= 1;
        },
        is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Disagrees, .. }),
    ),
    before(
        "a lease that cannot be read",
        |original, bytes| {
            // It ends with the seconds for which it was granted: 3600.
            let lease = original.own(b"lease", b"");
            let seconds = lease.value + lease.value_bytes - 3;
            assert_eq!(bytes[seconds..seconds + 3], [0x10, 0x90, 0x1C]);
            bytes[seconds] = 0x12;
        },
        is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Format, .. }),
    ),
    before(
        "a version that is none",
        |original, bytes| bytes[original.own(b"cluster", b"clusterVersion").value] = b'x',
        is!(Damage::Record { bucket: OwnBucket::Cluster, fault: RecordFault::Format, .. }),
    ),
    before(
        "a member that cannot be read",
        |original, bytes| bytes[original.own(b"members", b"").value] = b'x',
        is!(Damage::Record { bucket: OwnBucket::Members, fault: RecordFault::Format, .. }),
    ),
    before(
        "an index of the wrong length",
        |original, bytes| bytes[original.own(b"meta", b"consistent_index").element + 12] = 4,
        is!(Damage::Record { bucket: OwnBucket::Meta, fault: RecordFault::Format, .. }),
    ),
    before(
        "a note of how far the member has come that is gone",
        |original, bytes| {
            let index = original.own(b"meta", b"consistent_index");
            bytes[index.key + index.key_bytes - 1] = b'y';
        },
        is!(Damage::NoConsistentIndex),
    ),
    before(
        "a compaction that has ended and never began",
        |original, bytes| bytes[original.own(b"meta", b"finishedCompactRev").value + 7] += 1,
        is!(Damage::CompactionContradicts { scheduled: Some(40), finished: 41 }),
    ),
    before(
        "etcd's own tables gone",
        |original, bytes| rename(original, bytes, b"members", b'_'),
        is!(Damage::BucketMissing { bucket: OwnBucket::Members }),
    ),
];

const ROOMS: [&[Exhibit]; 5] = [ON_THE_WAY, PAGES, TREES, REVISIONS, TABLES];

fn look(bytes: &[u8]) -> Inspection {
    inspect(bytes, bytes.len() as u64).unwrap()
}

#[test]
fn server_etcd_damage_of_real_snapshots_is_named_as_in_the_museum() {
    for programs in VERSIONS.map(Programs::named_by) {
        let original = Original::made_by(&programs);
        let good = look(&original.bytes);
        assert_eq!((good.soundness(), &good.damage[..]), (Soundness::Sound, &[][..]));
        for Exhibit { name, change, sealed, expected } in ROOMS.into_iter().flatten() {
            assert!(MUSEUM.iter().any(|room| room.contains(&format!("\"{name}\""))), "{name}");
            let mut bytes = original.bytes.clone();
            change(&original, &mut bytes);
            assert_ne!(bytes, original.bytes, "{name}: nothing was changed");
            if *sealed {
                seal(&mut bytes);
            }
            let found = look(&bytes);
            assert!(found.damage.iter().any(expected), "{name}: {:?}", found.damage);
            assert_eq!(found.soundness(), Soundness::Damaged, "{name}");
            if *sealed {
                assert!(!found.damage.iter().any(is!(Damage::TrailerDiffers { .. })), "{name}");
            }
            // Whatever it answers, it answers.
            let length = bytes.len() as u64;
            let _answer = hash_kv(&bytes[..], length, None, Some(2)).unwrap();
            let _answer = take_inventory(&bytes[..], length, &[]).unwrap();
        }
    }
}

/// The alarm of an etcd that has found out by itself that a member differs. It was raised as etcd raises it, by a call to itself.
#[test]
fn server_etcd_the_alarm_corrupt_of_a_real_etcd_is_named() {
    for programs in VERSIONS.map(Programs::named_by) {
        let etcd = Etcd::start(&programs);
        etcd.put(&[json!({ "key": BASE64.encode("a"), "value": BASE64.encode("b") })]);
        let status = etcd.ask(&programs, &["endpoint", "status"]);
        let member = status[0]["Status"]["header"]["member_id"].as_u64().unwrap();
        let raise =
            json!({ "action": "ACTIVATE", "memberID": member.to_string(), "alarm": "CORRUPT" });
        let raised: Value = etcd.call("/v3/maintenance/alarm", &raise);
        assert!(raised.to_string().contains("CORRUPT"), "{raised}");
        let found = look(&etcd.snapshot(&programs));
        let is_it = |damage: &Damage| matches!(damage, Damage::CorruptAlarm { member: one } if one.0 == member);
        assert!(found.damage.iter().any(is_it), "{:?}", found.damage);
        assert_eq!(found.soundness(), Soundness::Damaged);
    }
}

/// A copy of the file that etcd works on: nothing notices a changed value, so that it is never proven.
#[test]
fn server_etcd_a_trailer_that_was_cut_off_leaves_the_rest_unproven() {
    for programs in VERSIONS.map(Programs::named_by) {
        let original = Original::made_by(&programs);
        let mut bytes = original.bytes.clone();
        bytes[original.change().value + 40] ^= 1;
        bytes.truncate(bytes.len() - 32);
        let found = look(&bytes);
        assert_eq!(found.damage, []);
        assert!(matches!(found.soundness(), Soundness::Unproven(_)));
        // The same, sealed again: no reader can tell it from health.
        let mut sealed = original.bytes.clone();
        sealed[original.change().value + 40] ^= 1;
        seal(&mut sealed);
        assert_eq!(look(&sealed).soundness(), Soundness::Sound);
    }
}

/// The kinds that are measured in the corruption matrix of the official tools, by what `etcdctl snapshot status` says of them: it ends
/// well on some of them, and this reader on none.
#[test]
fn server_etcd_what_snapshot_status_shows_as_good_is_damaged_here() {
    const SHOWN_AS_GOOD: [&str; 3] =
        ["one bit of a value", "one bit of the SHA-256 only", "the first meta page ruined"];
    for programs in VERSIONS.map(Programs::named_by) {
        let original = Original::made_by(&programs);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("snapshot.db");
        let all = || ROOMS.into_iter().flatten();
        for exhibit in all().filter(|exhibit| SHOWN_AS_GOOD.contains(&exhibit.name)) {
            let mut bytes = original.bytes.clone();
            (exhibit.change)(&original, &mut bytes);
            fs::write(&file, &bytes).unwrap();
            let status = programs.etcdctl(&["snapshot", "status", file.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&status.stderr).into_owned();
            assert!(status.status.success(), "{}: {said}", exhibit.name);
            assert_eq!(look(&bytes).soundness(), Soundness::Damaged, "{}", exhibit.name);
        }
    }
}
