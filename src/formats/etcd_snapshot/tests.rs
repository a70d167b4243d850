use super::bbolt::{MetaFault, MetaField, MetaState, PageFault};
use super::tiny_writer::{self as tiny, FIRST_LEAF, PAGE, Snapshot};
use super::*;
use crate::limits;
use std::io;

fn look(bytes: &[u8]) -> Inspection {
    inspect(bytes, bytes.len() as u64).unwrap()
}

/// The damage of a file whose trailer was made to belong to it again, so that only the structure can tell.
fn damage(snapshot: &Snapshot) -> Vec<Damage> {
    look(&snapshot.sealed()).damage
}

fn page(page: usize, fault: PageFault) -> Damage {
    Damage::Page { page: page as u64, fault }
}

#[test]
fn a_good_snapshot_is_sound_and_its_numbers_are_known() {
    let found = look(&Snapshot::typical().sealed());
    assert_eq!(found.damage, []);
    assert_eq!(found.soundness(), Soundness::Sound);
    assert_eq!(found.complete, Completeness::Complete);
    assert_eq!(found.metas, [9, 8].map(|transaction| MetaState::Valid { transaction }));
    assert_eq!(found.revision, Some(tiny::LAST_REVISION));
    assert_eq!(found.entries, Some(tiny::ENTRIES));
    assert_eq!(found.live_keys, Some(tiny::LIVE_KEYS));
    assert_eq!(found.page_size, Some(PAGE as u32));
    assert_eq!(found.database_bytes(), Some(found.size_bytes - 32));
}

#[test]
fn a_changed_value_is_noticed_by_the_trailer_and_by_the_hash_only() {
    let mut snapshot = Snapshot::typical();
    let good = look(&snapshot.sealed());
    let position = snapshot.pages.windows(4).position(|window| window == b"vvvv").unwrap();
    let mut flipped = snapshot.sealed();
    flipped[position] ^= 1;
    let found = look(&flipped);
    assert!(matches!(found.trailer, Trailer::Differs { .. }));
    assert!(matches!(found.damage[..], [Damage::TrailerDiffers { .. }]));
    assert_eq!(found.soundness(), Soundness::Damaged);

    snapshot.pages[position] ^= 1;
    let resealed = look(&snapshot.sealed());
    assert_eq!(resealed.damage, []);
    assert_ne!(resealed.hash, good.hash);
    assert_eq!(resealed.hash, found.hash);
}

#[test]
fn without_a_trailer_nothing_is_proven() {
    let found = look(&Snapshot::typical().pages);
    assert_eq!(found.trailer, Trailer::Missing);
    assert_eq!(found.damage, []);
    assert!(matches!(found.soundness(), Soundness::Unproven(reasons) if reasons.len() == 1));
}

#[test]
fn a_snapshot_without_keys_proves_nothing() {
    let found = look(&Snapshot::with_entries(&[]).sealed());
    assert_eq!((found.revision, found.live_keys, found.entries), (Some(0), Some(0), Some(1)));
    assert!(matches!(found.soundness(), Soundness::Unproven(reasons) if reasons.len() == 1));
}

#[test]
fn a_mark_left_by_bump_revision_counts_as_revision_but_not_as_key() {
    let mark = tiny::entry(&tiny::revision(1_000_061, false), b"");
    let found = look(&Snapshot::with_entries(&[tiny::put(2), mark]).sealed());
    assert_eq!(found.soundness(), Soundness::Sound);
    assert_eq!((found.revision, found.live_keys), (Some(1_000_061), Some(1)));
    assert_eq!(found.total_key_from_3_6(), Some(2), "etcdutl counts it");
    assert_eq!(found.notes, [Note::RevisionBumped]);
}

#[test]
fn files_that_are_no_snapshots_are_called_what_they_are() {
    let text = b"apiVersion: v1\nkind: List\n".repeat(500);
    let gzip = [&[0x1F, 0x8B, 8, 0], &text[..]].concat();
    for (bytes, expected) in [
        (&b""[..], Damage::Empty),
        (&text, Damage::NoUsableMeta),
        (&gzip, Damage::Packed(Packing::Gzip)),
        (b"[{\"etcdEvent\":{},\"time\":\"x\"}]", Damage::Incremental),
        (b"PK\x03\x04", Damage::Packed(Packing::Zip)),
        (b"\x28\xB5\x2F\xFD", Damage::Packed(Packing::Zstandard)),
        (b"\0\x01\x08\x1C\x28\x90\0\xC1\x81\xED\xB4", Damage::Packed(Packing::Lzw)),
        (b"x", Damage::NoUsableMeta),
    ] {
        let found = look(bytes);
        assert_eq!(found.damage, [expected]);
        assert_eq!(found.complete, Completeness::Unknown);
        assert_eq!((found.revision, found.hash), (None, None));
    }
}

#[test]
fn one_ruined_meta_page_is_damage_and_the_other_one_is_used() {
    for index in [0, 1] {
        let mut snapshot = Snapshot::typical();
        snapshot.page(index)[16 + 48] ^= 1;
        let found = look(&snapshot.sealed());
        let index = index as u8;
        assert_eq!(found.damage, [Damage::Meta { index, fault: MetaFault::Checksum }]);
        assert_eq!(found.revision, Some(tiny::LAST_REVISION));
    }
    let mut snapshot = Snapshot::typical();
    snapshot.page(0).fill(0);
    let fault = MetaFault::Magic { found: 0 };
    assert_eq!(damage(&snapshot), [Damage::Meta { index: 0, fault }]);
    snapshot.page(1).fill(0);
    assert_eq!(damage(&snapshot), [Damage::NoUsableMeta]);
}

#[test]
fn a_truncated_file_says_how_much_is_missing_and_counts_nothing() {
    let sealed = Snapshot::typical().sealed();
    let need_bytes = sealed.len() as u64 - 32;
    for (length, have_bytes) in [(4 * PAGE, 4 * PAGE), (4 * PAGE + 32, 4 * PAGE), (5000, 5000)] {
        let found = look(&sealed[..length]);
        let have_bytes = have_bytes as u64;
        assert_eq!(found.complete, Completeness::Truncated(Truncated { need_bytes, have_bytes }));
        assert_eq!(found.damage.last(), Some(&Damage::Truncated { need_bytes, have_bytes }));
        assert_eq!((found.revision, found.entries, found.live_keys), (None, None, None));
    }
}

#[test]
fn a_zeroed_page_is_named_and_nothing_is_counted() {
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF).fill(0);
    let found = look(&snapshot.sealed());
    assert_eq!(found.damage, [page(FIRST_LEAF, PageFault::Number { found: 0 })]);
    assert_eq!((found.revision, found.hash, found.live_keys), (None, None, None));
}

#[test]
fn a_page_of_the_wrong_kind_is_named() {
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF)[8] = 0x10;
    assert_eq!(damage(&snapshot), [page(FIRST_LEAF, PageFault::Kind { flags: 0x10 })]);
}

#[test]
fn overflow_past_the_end_is_named() {
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF)[12] = 200;
    assert_eq!(damage(&snapshot), [page(FIRST_LEAF, PageFault::Overflow { pages: 200 })]);
}

#[test]
fn a_page_that_claims_gigabytes_is_named() {
    let mut snapshot = Snapshot::typical();
    let root = snapshot.root();
    // So many pages that the claim lies within the file.
    for _ in 0..limits::ETCD_SPAN_BYTES / PAGE as u64 {
        snapshot.add_page(2, &[], 0);
    }
    snapshot.write_metas(root, u64::MAX);
    let claimed = u32::try_from(limits::ETCD_SPAN_BYTES / PAGE as u64).unwrap();
    snapshot.page(FIRST_LEAF)[12..16].copy_from_slice(&claimed.to_le_bytes());
    let bytes = limits::ETCD_SPAN_BYTES + PAGE as u64;
    let bytes_of_it = snapshot.sealed();
    let seen = inspect(&bytes_of_it[..], bytes_of_it.len() as u64).unwrap();
    let note = Note::PageNotChecked { page: FIRST_LEAF as u64, bytes };
    assert!(seen.notes.contains(&note), "{:?}", seen.notes);
    assert_eq!((seen.entries, &seen.damage[..]), (None, &[][..]));
    assert!(matches!(seen.soundness(), Soundness::Unproven(_)));
}

#[test]
fn a_page_that_lists_more_than_any_is_not_checked() {
    let mut snapshot = Snapshot::typical();
    let (root, pages) = (snapshot.root(), limits::ETCD_BRANCH_BYTES / PAGE as u64);
    for _ in 0..pages {
        snapshot.add_page(2, &[], 0);
    }
    snapshot.write_metas(root, u64::MAX);
    // The page before the root lists those of the bucket `key`.
    let branch = usize::try_from(root).unwrap() - 1;
    snapshot.page(branch)[12..16].copy_from_slice(&u32::try_from(pages).unwrap().to_le_bytes());
    let bytes = snapshot.sealed();
    let seen = inspect(&bytes[..], bytes.len() as u64).unwrap();
    let note = Note::PageNotChecked {
        page: branch as u64,
        bytes: limits::ETCD_BRANCH_BYTES + PAGE as u64,
    };
    assert!(seen.notes.contains(&note), "{:?}", seen.notes);
    assert!(matches!(seen.soundness(), Soundness::Unproven(_)));
}

#[test]
fn a_page_that_overlaps_another_one_is_named() {
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF)[12] = 1;
    let found = damage(&snapshot);
    assert!(found.contains(&page(FIRST_LEAF + 1, PageFault::ReachedTwice)), "{found:?}");
}

#[test]
fn elements_outside_of_the_page_or_over_another_are_named() {
    let second = 16 + 16;
    for (offset, value) in [(second + 4, 0xFF), (second + 4, 16), (second + 14, 0xFF)] {
        let mut snapshot = Snapshot::typical();
        snapshot.page(FIRST_LEAF)[offset] = value;
        if offset == second + 4 {
            snapshot.page(FIRST_LEAF)[offset + 1] = if value == 16 { 0 } else { 0xFF };
        }
        assert_eq!(damage(&snapshot), [page(FIRST_LEAF, PageFault::Extent { index: 1 })]);
    }
    let mut snapshot = Snapshot::typical();
    snapshot.page(FIRST_LEAF)[10..12].fill(0xFF);
    assert_eq!(damage(&snapshot), [page(FIRST_LEAF, PageFault::ElementTable { count: u16::MAX })]);
}

#[test]
fn a_changed_key_is_out_of_order_and_its_value_belongs_elsewhere() {
    let mut snapshot = Snapshot::typical();
    let place = snapshot.pages.windows(17).position(|w| w == tiny::revision(4, false)).unwrap();
    snapshot.pages[place + 7] = 2;
    let expected = [
        Damage::Revision {
            page: FIRST_LEAF as u64,
            index: 3,
            revision: Some(RevisionNumber { main: 2, sub: 0 }),
            key: Some(KeyName::new(b"/registry/pods/ns/pod-04")),
            fault: RevisionFault::Modified { stored: 2, named: 4 },
        },
        page(FIRST_LEAF, PageFault::Order { index: 3 }),
    ];
    let found = damage(&snapshot);
    assert!(expected.iter().all(|damage| found.contains(damage)), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_leaf_in_the_place_of_another_is_out_of_range() {
    let mut snapshot = Snapshot::typical();
    let other = snapshot.page(FIRST_LEAF + 1).to_vec();
    snapshot.page(FIRST_LEAF)[8..].copy_from_slice(&other[8..]);
    assert!(damage(&snapshot).contains(&page(FIRST_LEAF, PageFault::Range { index: 0 })));
}

#[test]
fn a_cycle_ends() {
    let mut snapshot = Snapshot::typical();
    let branch = snapshot.root() as usize - 1;
    // The branch's second child becomes the branch itself.
    snapshot.page(branch)[16 + 16 + 8..][..8].copy_from_slice(&(branch as u64).to_le_bytes());
    assert_eq!(damage(&snapshot), [page(branch, PageFault::ReachedTwice)]);
}

#[test]
fn a_chain_of_branches_is_not_followed_for_ever() {
    let mut snapshot = Snapshot::with_entries(&[tiny::put(1)]);
    let mut child = 2;
    for _ in 0..60 {
        child = snapshot.add_page(1, &tiny::branch(&[(tiny::revision(1, false), child)]), 1);
    }
    let buckets = [tiny::bucket(b"key", child)];
    let root = snapshot.add_page(2, &tiny::leaf(&buckets), 1);
    snapshot.write_metas(root, u64::MAX);
    assert!(matches!(damage(&snapshot)[..], [Damage::Page { fault: PageFault::TooDeep, .. }]));
}

#[test]
fn a_page_that_is_free_and_used_is_named() {
    let mut snapshot = Snapshot::typical();
    let root = snapshot.root();
    let numbers = [FIRST_LEAF as u64, root].map(u64::to_le_bytes).concat();
    let list = snapshot.add_page(0x10, &numbers, 2);
    snapshot.write_metas(root, list);
    let expected = [FIRST_LEAF as u64, root].map(|page| Damage::FreePageInUse { page });
    assert_eq!(damage(&snapshot), expected);
}

#[test]
fn a_list_of_free_pages_that_does_not_fit_is_named() {
    let mut snapshot = Snapshot::typical();
    let root = snapshot.root();
    let list = snapshot.add_page(0x10, &[], 500);
    snapshot.write_metas(root, list);
    assert_eq!(damage(&snapshot), [page(list as usize, PageFault::FreeList)]);
}

#[test]
fn buckets_that_etcd_never_writes_are_named() {
    let fault = |buckets: &[tiny::Element]| match damage(&Snapshot::with_only(buckets))[..] {
        [Damage::Bucket { fault, .. }, ..] => fault,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(fault(&[tiny::entry(b"key", b"value")]), BucketFault::NotABucket);
    let nested = tiny::inline_bucket(b"key", &[tiny::inline_bucket(b"inner", &[])]);
    assert_eq!(fault(&[nested]), BucketFault::Nested);
    assert_eq!(damage(&Snapshot::with_buckets(Vec::new())), [Damage::NoKeyBucket]);
    let long = tiny::inline_bucket(&[b'n'; limits::ETCD_BUCKET_NAME_BYTES + 1], &[]);
    assert_eq!(fault(&[long]), BucketFault::Name { bytes: limits::ETCD_BUCKET_NAME_BYTES + 1 });
    let many: Vec<_> = (0..=limits::ETCD_BUCKETS)
        .map(|number| tiny::inline_bucket(format!("{number:04}").as_bytes(), &[]))
        .collect();
    assert_eq!(fault(&many), BucketFault::TooMany);
    let large = tiny::entry(b"x", &vec![0; limits::ETCD_INLINE_BYTES]);
    let large = tiny::inline_bucket(b"key", &[large]);
    assert!(matches!(fault(&[large]), BucketFault::Length { .. }));
}

#[test]
fn revisions_that_etcd_cannot_load_are_named_and_not_counted() {
    let value = b"\x0a\x01k\x10\x03\x18\x03\x20\x01";
    for (key, value, fault) in [
        (b"not a revision".to_vec(), &value[..], RevisionFault::Format),
        (tiny::revision(3, false), b"\x0a\x7fk", RevisionFault::Value),
        (tiny::revision(3, false), b"\x10\x03\x18\x03\x20\x01", RevisionFault::NoKey),
        (tiny::revision(3, true), b"", RevisionFault::NoKey),
    ] {
        let found = look(&Snapshot::with_entries(&[tiny::entry(&key, value)]).sealed());
        let (revision, key) = match fault {
            RevisionFault::Format => (None, Some(KeyName::new(b"k"))),
            _ => (Some(RevisionNumber { main: 3, sub: 0 }), None),
        };
        let expected = Damage::Revision { page: 2, index: 0, revision, key, fault };
        assert_eq!(found.damage, [expected]);
        assert_eq!((found.revision, found.live_keys), (None, None));
        assert_eq!(found.entries, Some(2));
    }
}

#[test]
fn every_damage_says_where_it_is_and_what_it_means() {
    let digest = |byte| Sha256Digest([byte; 32]);
    let texts: Vec<String> = [
        Damage::TrailerDiffers { expected: digest(0xAB), found: digest(0xCD) },
        Damage::Truncated { need_bytes: 4096, have_bytes: 1024 },
        Damage::Meta { index: 1, fault: MetaFault::Checksum },
        page(7, PageFault::Number { found: 0 }),
        page(7, PageFault::Order { index: 3 }),
        Damage::Bucket { page: 7, index: 3, fault: BucketFault::NotABucket },
        Damage::Revision {
            page: 7,
            index: 3,
            revision: Some(RevisionNumber { main: 90, sub: 0 }),
            key: Some(KeyName::new(b"/registry/secrets/ns/name")),
            fault: RevisionFault::Value,
        },
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    the SHA-256 at the end is abababababababababababababababababababababababababababababababab, that of the content is cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd: the file was changed or cut after it was written, and `etcdctl snapshot restore` refuses it
    the file is cut off: the database needs 4096 bytes, 1024 are there; pages are missing, and it cannot be restored
    meta page 1: its checksum does not belong to its content; the file was changed after it was written
    page 7: its header says that it is page 0: it was overwritten, zeroed or misplaced; what it held is lost
    page 7: the key of element 3 is out of order; lookups miss data
    bucket in page 7, element 3: a plain entry stands where only buckets belong; a bucket is lost
    revision 90 in page 7, element 3: its value is unreadable; etcd would stop while starting
    ");
}

#[test]
fn a_file_shorter_than_announced_is_an_error_not_a_finding() {
    let sealed = Snapshot::typical().sealed();
    for announced in [sealed.len() as u64 + 1024, u64::MAX] {
        let error = inspect(&sealed[..], announced).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{announced}");
    }
}

#[test]
fn regression_a_truncated_file_and_one_of_another_kind_are_not_hashed() {
    /// Fails when anything behind the beginning is read.
    struct Beginning(Vec<u8>);
    impl crate::formats::ReadAt for Beginning {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let last = self.0.len() as u64 - 1;
            assert!(offset + buffer.len() as u64 <= 3 * PAGE as u64 || offset == last, "{offset}");
            self.0[..].read_exact_at(buffer, offset)
        }
    }
    let mut cut = Snapshot::typical().sealed();
    cut.truncate(8 * PAGE + 32);
    let found = inspect(&Beginning(cut.clone()), cut.len() as u64).unwrap();
    assert!(matches!(found.damage[..], [Damage::Truncated { .. }]), "{:?}", found.damage);
    let sqlite = [&b"SQLite format 3\0"[..], &[0; 8 * PAGE + 16]].concat();
    assert_eq!(sqlite.len() % 512, 32);
    // Where a second meta page might be is looked at, too.
    let found = inspect(&sqlite[..], sqlite.len() as u64).unwrap();
    assert_eq!(
        (found.trailer, found.damage),
        (Trailer::Missing, vec![Damage::NotASnapshot(Foreign::Sqlite)])
    );
}

#[test]
fn regression_a_backup_of_another_kind_is_not_called_damaged() {
    let found = look(&[&b"SQLite format 3\0"[..], &[0; 4096]].concat());
    assert_eq!(found.soundness(), Soundness::Foreign(Foreign::Sqlite));
    assert_eq!(found.complete, Completeness::Unknown);
    assert!(found.damage[0].to_string().contains("sqlite3"), "{}", found.damage[0]);
}

#[test]
fn regression_a_missing_table_of_etcds_own_is_damage() {
    let key = tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let all = tiny::with_tables(vec![key.clone()]);
    assert_eq!(damage(&Snapshot::with_only(&all)), []);
    for bucket in OwnBucket::ALL {
        let mut less = all.clone();
        less.retain(|one| !one.is_called(&bucket.to_string()));
        assert_eq!(damage(&Snapshot::with_only(&less)), [Damage::BucketMissing { bucket }]);
    }
    let meta = tiny::inline_bucket(b"meta", &[]);
    let found = damage(&Snapshot::with_buckets(vec![key, meta.clone()]));
    assert_eq!(found, [Damage::NoConsistentIndex]);
    // An etcd 3.4 that has never changed anything has none either.
    let empty = tiny::inline_bucket(b"key", &[]);
    assert_eq!(damage(&Snapshot::with_buckets(vec![empty, meta])), []);
}

#[test]
fn regression_an_orphaned_lease_is_no_damage_and_proves_nothing() {
    let entries = [tiny::leased(b'a', 2, 7), tiny::leased(b'b', 3, 7), tiny::leased(b'c', 4, 9)];
    let found = look(&Snapshot::with_entries(&entries).sealed());
    assert!(matches!(found.soundness(), Soundness::Unproven(why) if why[0].contains("leases")));
    assert_eq!(found.damage, []);
    assert_eq!(found.notes, [Note::LeasesMissing { leases: 2, first: HexId(7), keys: 3 }]);
}

/// A key at revision 2, changes up to 5 that a compaction has thrown away, and what is noted of that compaction.
fn compacted_behind_the_last_change(scheduled: i64, finished: Option<i64>) -> Inspection {
    let key = tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let meta = tiny::compacted(scheduled, finished);
    look(&Snapshot::with_buckets(vec![key, meta]).sealed())
}

#[test]
fn regression_a_compaction_beyond_the_last_change_is_proven_by_both_notes_only() {
    let found = compacted_behind_the_last_change(5, Some(5));
    assert_eq!((found.soundness(), &found.damage), (Soundness::Sound, &vec![]));
    assert_eq!(found.notes, [Note::CompactedBeyond { last: 2, to: 5 }]);
    assert_eq!((found.revision, found.current_revision()), (Some(2), Some(5)));
    // One of the two notes is damaged: the changes that it would throw away are not proven.
    for (scheduled, finished) in [(1 << 40, Some(2)), (1 << 40, None)] {
        let found = compacted_behind_the_last_change(scheduled, finished);
        assert!(
            matches!(found.soundness(), Soundness::Unproven(why) if why[0].contains("only once"))
        );
        assert_eq!((found.revision, found.current_revision()), (Some(2), Some(2)));
    }
    let found = compacted_behind_the_last_change(2, Some(9));
    let contradiction = Damage::CompactionContradicts { scheduled: Some(2), finished: 9 };
    assert_eq!(found.damage, [contradiction]);
    // One that has begun, up to the last change, is harmless.
    assert_eq!(compacted_behind_the_last_change(2, None).soundness(), Soundness::Sound);
}

#[test]
fn regression_of_two_meta_pages_of_one_number_the_first_is_in_force_as_in_bbolt() {
    let mut snapshot = Snapshot::typical();
    let root = snapshot.root();
    // What etcd would start from: a database in which nothing stands.
    let empty = tiny::with_tables(vec![tiny::inline_bucket(b"key", &[])]);
    let old = snapshot.add_page(2, &tiny::leaf(&empty), empty.len());
    snapshot.write_meta(0, old, u64::MAX, 9);
    snapshot.write_meta(1, root, u64::MAX, 9);
    let contradiction = Damage::MetasDiffer { field: MetaField::Transaction };
    for bytes in [snapshot.sealed(), snapshot.pages.clone()] {
        let found = look(&bytes);
        assert_eq!((found.damage, found.revision), (vec![contradiction.clone()], Some(0)));
    }
    // In the file of a running member each page is of a transaction of its own.
    snapshot.write_meta(1, root, u64::MAX, 10);
    let found = look(&snapshot.pages);
    assert_eq!((found.damage, found.revision), (vec![], Some(tiny::LAST_REVISION)));
    assert_eq!(damage(&snapshot), [contradiction]);
}

#[test]
fn regression_bytes_between_elements_and_behind_the_last_one_are_what_was_lost() {
    // Also in the first leaf behind a compaction, where no change tells of the one before.
    let entries =
        [tiny::change(b'a', 3, 3, 1), tiny::change(b'b', 7, 7, 1), tiny::change(b'c', 10, 10, 1)];
    let good = Snapshot::with_entries_and(&entries, vec![tiny::compacted(9, Some(9))]);
    assert_eq!(look(&good.sealed()).soundness(), Soundness::Sound);
    let mut fewer = good;
    fewer.page(FIRST_LEAF)[10] = 2;
    let found = look(&fewer.sealed());
    assert_eq!(found.damage, [page(FIRST_LEAF, PageFault::Gap { index: 0 })]);
    assert_eq!((found.revision, found.live_keys, found.hash), (None, None, None));
}

#[test]
fn regression_what_stands_in_users_and_nothing_says_is_told() {
    let key = tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let root = tiny::entry(b"root", b"\x0a\x04root\x12\x02pw\x1a\x04root");
    let users = tiny::inline_bucket(b"authUsers", &[root]);
    let found = look(&Snapshot::with_buckets(vec![key.clone(), users.clone()]).sealed());
    assert_eq!(
        (found.soundness(), found.notes),
        (Soundness::Sound, vec![Note::AuthNotSaid { users: 1 }])
    );
    let auth = |enabled| tiny::inline_bucket(b"auth", &[tiny::entry(b"authEnabled", enabled)]);
    let found = look(&Snapshot::with_buckets(vec![key.clone(), users, auth(b"\x01")]).sealed());
    assert_eq!((found.damage, found.notes), (vec![], vec![Note::AuthEnabled { users: 1 }]));
    let nobody = Snapshot::with_buckets(vec![key.clone(), auth(b"\x01")]);
    assert_eq!(damage(&nobody), [Damage::AuthWithoutRoot]);
    assert_eq!(damage(&Snapshot::with_buckets(vec![key, auth(b"\x00")])), []);
}

#[test]
fn regression_what_goes_by_an_unknown_name_in_etcds_own_tables_is_told() {
    let key = tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
    let cluster = tiny::inline_bucket(b"cluster", &[tiny::entry(b"clusterVersios", b"3.5.0")]);
    let meta = tiny::meta(&[(b"tern", &[0; 8])]);
    let found = look(&Snapshot::with_buckets(vec![key, cluster, meta]).sealed());
    assert_eq!((found.damage, found.notes), (vec![], vec![Note::UnknownEntries { count: 2 }]));
}
