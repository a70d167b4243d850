//! Damage of what etcd wrote into sound pages.

use super::*;

pub(super) fn revisions() -> Vec<Exhibit> {
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
    ]
}

/// A sealed snapshot with these changes in its bucket `key`, of which a compaction has thrown away what it can up to revision 9.
fn compacted(name: &'static str, entries: &[Element], expected: Expected) -> Exhibit {
    let snapshot = Snapshot::with_entries_and(entries, vec![tiny::compacted(9, Some(9))]);
    Exhibit { name, bytes: snapshot.sealed(), expected }
}

pub(super) fn values() -> Vec<Exhibit> {
    let change = tiny::change;
    let first = || change(b'a', 2, 2, 1);
    vec![
        Exhibit {
            name: "a value that is gone where a compaction has left a gap before it",
            bytes: {
                let entries =
                    [change(b'a', 3, 3, 1), change(b'b', 7, 7, 1), change(b'c', 10, 10, 1)];
                let compacted = vec![tiny::compacted(9, Some(9))];
                let mut snapshot = Snapshot::with_entries_and(&entries, compacted);
                snapshot.cut_value(FIRST_LEAF, 1, 0);
                snapshot.sealed()
            },
            expected: is!(Damage::Page { page: 2, fault: PageFault::Gap { index: 2 } }),
        },
        compacted(
            "a first change of a key that is older, below a compaction",
            &[change(b'a', 7, 3, 1), change(b'c', 10, 10, 1)],
            is!(Damage::Revision { fault: RevisionFault::Impossible, .. }),
        ),
        compacted(
            "an earlier change of a key, back below a compaction",
            &[change(b'a', 3, 3, 1), change(b'a', 7, 3, 2), change(b'c', 10, 10, 1)],
            is!(Damage::Revision { fault: RevisionFault::EarlierCompacted { to: 9 }, .. }),
        ),
        compacted(
            "a deletion, back below a compaction",
            &[change(b'a', 3, 3, 1), tiny::delete(1, 7), change(b'c', 10, 10, 1)],
            is!(Damage::Revision { fault: RevisionFault::DeletionCompacted { to: 9 }, .. }),
        ),
        history(
            "a value under another field",
            &[tiny::with_value(first(), b"\x0a\x01a\x10\x02\x18\x02\x20\x01\x3a\x01v")],
            is!(Damage::Revision { fault: RevisionFault::Field { number: 7 }, .. }),
        ),
        history(
            "a lease that is 0",
            &[tiny::with_value(first(), b"\x0a\x01a\x10\x02\x18\x02\x20\x01\x30\x80\x00")],
            is!(Damage::Revision { fault: RevisionFault::Field { number: 6 }, .. }),
        ),
        history(
            "a deletion that was a change",
            &[first(), tiny::with_value(tiny::delete(1, 3), b"\x0a\x01a\x10\x02\x18\x03\x20\x02")],
            is!(Damage::Revision { fault: RevisionFault::DeletionWithValue, .. }),
        ),
        history(
            "a value that is gone",
            &[first(), tiny::entry(&tiny::revision(3, false), b"")],
            is!(Damage::Revision { fault: RevisionFault::NoKey, .. }),
        ),
    ]
}

pub(super) fn tables() -> Vec<Exhibit> {
    let nested = tiny::inline_bucket(b"key", &[tiny::inline_bucket(b"inner", &[])]);
    vec![
        buckets("no users' keys at all", Vec::new(), is!(Damage::NoKeyBucket)),
        buckets(
            "an entry where only buckets belong",
            vec![tiny::entry(b"key", b"value")],
            is!(Damage::Bucket { fault: BucketFault::NotABucket, .. }),
        ),
        buckets(
            "a bucket inside a bucket",
            vec![nested],
            is!(Damage::Bucket { fault: BucketFault::Nested, .. }),
        ),
    ]
}

pub(super) fn records() -> Vec<Exhibit> {
    let key = || tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let own = |name: &[u8], key: &[u8], value: &[u8]| {
        tiny::inline_bucket(name, &[tiny::entry(key, value)])
    };
    vec![
        buckets(
            "a lease under another number",
            vec![key(), own(b"lease", &7_u64.to_be_bytes(), b"\x08\x08\x10\x3c")],
            is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Disagrees, .. }),
        ),
        buckets(
            "a member that cannot be read",
            vec![key(), own(b"members", b"8e9e05c52164694d", b"{\"id\":102")],
            is!(Damage::Record { bucket: OwnBucket::Members, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "an index of the wrong length",
            vec![key(), own(b"meta", b"consistent_index", b"\0\0\0\0")],
            is!(Damage::Record { bucket: OwnBucket::Meta, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "a lease that cannot be read",
            vec![key(), own(b"lease", &7_u64.to_be_bytes(), b"\x08\x07\x12\x3c")],
            is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "a lease for no time",
            vec![key(), own(b"lease", &7_u64.to_be_bytes(), b"\x08\x07\x18\x3c")],
            is!(Damage::Record { bucket: OwnBucket::Lease, fault: RecordFault::Impossible, .. }),
        ),
        buckets(
            "a user who cannot be read",
            vec![key(), own(b"authUsers", b"alice", b"\xff\x05alice")],
            is!(Damage::Record { bucket: OwnBucket::AuthUsers, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "a user under another name",
            vec![key(), own(b"authUsers", b"blice", b"\x0a\x05alice")],
            is!(Damage::Record { bucket: OwnBucket::AuthUsers, fault: RecordFault::Disagrees, .. }),
        ),
        buckets(
            "a role that cannot be read",
            vec![key(), own(b"authRoles", b"reader", b"\x0a\x7freader")],
            is!(Damage::Record { bucket: OwnBucket::AuthRoles, fault: RecordFault::Format, .. }),
        ),
    ]
}

pub(super) fn notes() -> Vec<Exhibit> {
    let key = || tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let own = |name: &[u8], key: &[u8], value: &[u8]| {
        tiny::inline_bucket(name, &[tiny::entry(key, value)])
    };
    vec![
        buckets(
            "a version that is none",
            vec![key(), own(b"cluster", b"clusterVersion", b"x.5.0")],
            is!(Damage::Record { bucket: OwnBucket::Cluster, fault: RecordFault::Format, .. }),
        ),
        buckets(
            "whether requests are authenticated under another name",
            vec![key(), own(b"auth", b"authEnablee", b"\x01")],
            is!(Damage::Record { bucket: OwnBucket::Auth, fault: RecordFault::Unknown, .. }),
        ),
        buckets(
            "authentication without root",
            vec![
                key(),
                own(b"auth", b"authEnabled", b"\x01"),
                own(b"authUsers", b"alice", b"\x0a\x05alice\x1a\x04root"),
            ],
            is!(Damage::AuthWithoutRoot),
        ),
        buckets(
            "the alarm CORRUPT",
            vec![own(b"alarm", b"\x08\x05\x10\x02", b""), key()],
            is!(Damage::CorruptAlarm { member: HexId(5) }),
        ),
        buckets(
            "a note of how far the member has come that is gone",
            vec![key(), tiny::inline_bucket(b"meta", &[])],
            is!(Damage::NoConsistentIndex),
        ),
        buckets(
            "a compaction that has ended and never began",
            vec![key(), tiny::compacted(1, Some(2))],
            is!(Damage::CompactionContradicts { scheduled: Some(1), finished: 2 }),
        ),
        Exhibit {
            name: "etcd's own tables gone",
            bytes: Snapshot::with_only(&[key()]).sealed(),
            expected: is!(Damage::BucketMissing { bucket: OwnBucket::Members }),
        },
    ]
}
