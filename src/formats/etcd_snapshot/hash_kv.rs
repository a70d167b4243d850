use super::bbolt::{EntrySink, Place};
use super::damage::DamageLog;
use super::keys::{complete_layout, walk_keys};
use super::mvcc::{
    ByKey, KEY_BUCKET, KeyMark, KeyValue, Revision, RevisionNumber, read_compaction,
};
use crate::formats::ReadAt;
use crate::formats::crc32c::Crc32c;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::io;

/// What `etcdctl endpoint hashkv --rev` shows of a running member, computed from a snapshot. Members of a cluster agree on
/// it, unlike on `hash` of `snapshot status`: the same number at the same revision and compaction means the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HashKv {
    /// Up to this revision.
    pub revision: i64,
    /// `compact_revision`; -1 when nothing was ever compacted. Numbers of different compactions cannot be compared.
    pub compact_revision: i64,
    /// The number.
    pub hash: u32,
}

/// Why there is no [`HashKv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoHashKv {
    /// Not all revisions can be read: see the damage of [`super::inspect`].
    Damaged,
    /// The snapshot ends before that revision.
    Future {
        /// The last revision in it.
        last: i64,
    },
    /// History was thrown away up to a later revision, in the snapshot or by the compaction that was asked for.
    Compacted {
        /// Up to this revision.
        compact_revision: i64,
    },
}

impl fmt::Display for NoHashKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("not all revisions can be read"),
            Self::Future { last } => write!(f, "the snapshot ends at revision {last}, before that"),
            Self::Compacted { compact_revision } => {
                write!(f, "history is compacted up to revision {compact_revision}, behind that")
            }
        }
    }
}

/// Computes `HashKV` at a revision (the last one if `None`), as a member would that has compacted up to `compacted` (what the
/// snapshot says if `None`). A member that has compacted since can thus be compared with a snapshot from before.
///
/// It is the CRC-32C over the name of the bucket `key` and over all its entries up to the revision, without those that the
/// compaction throws away: entries up to it that are not the last one of a key alive at the revision, and deletions right at
/// it (`server/storage/mvcc/hash.go` of etcd: <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/hash.go>). Equal
/// to a live etcd 3.4 and 3.5, tried on both.
///
/// Reads the bucket once, or twice where something was compacted. Memory: some 50 to 100 bytes per living key, where
/// something was compacted.
///
/// # Errors
/// When the file cannot be read. Whatever is wrong with its content is [`NoHashKv`].
pub fn hash_kv<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    at: Option<i64>,
    compacted: Option<i64>,
) -> io::Result<Result<HashKv, NoHashKv>> {
    let Some(layout) = complete_layout(file, length)? else { return Ok(Err(NoHashKv::Damaged)) };
    let own = read_compaction(file, layout)?.revision();
    let compact_revision = compacted.unwrap_or(own);
    let revision = at.unwrap_or(i64::MAX);
    if compact_revision < own || revision < compact_revision {
        return Ok(Err(NoHashKv::Compacted { compact_revision: own.max(compact_revision) }));
    }
    let mut survivors = Survivors { up_to: revision, readable: true, ..Survivors::default() };
    if compact_revision >= 0 && !walk_keys(file, layout, &mut survivors)? {
        return Ok(Err(NoHashKv::Damaged));
    }
    let mut hasher = Hasher {
        crc: Crc32c::new(),
        up_to: revision,
        compact_revision,
        keep: survivors.last.values().copied().collect(),
        last: own.max(1),
        readable: survivors.readable,
    };
    hasher.crc.update(KEY_BUCKET);
    if !walk_keys(file, layout, &mut hasher)? || !hasher.readable {
        return Ok(Err(NoHashKv::Damaged));
    }
    // An empty etcd is at revision 1; one whose last changes were compacted away is where the compaction was.
    let last = hasher.last;
    Ok(match at {
        Some(wanted) if wanted > last => Err(NoHashKv::Future { last }),
        _ if compact_revision > last => Err(NoHashKv::Future { last }),
        _ => {
            Ok(HashKv { revision: at.unwrap_or(last), compact_revision, hash: hasher.crc.finish() })
        }
    })
}

/// Computes what a member answers that was restored with `--bump-revision by --mark-compacted`, asked for its last revision. It is the
/// hash of the last change of every living key, with the revisions at which that was made and first made, its version and its lease:
/// older changes are thrown away, and cannot be compared any more.
///
/// Behind the last entry, `by` revisions later, such a restore writes one without a name and a value, and asks for a compaction up
/// to it (`modifyLatestRevision` in <https://github.com/etcd-io/etcd/blob/main/etcdutl/snapshot/v3_snapshot.go>); etcd begins with that
/// compaction when it starts (`restore` in <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/kvstore.go>).
///
/// # Errors
/// When the file cannot be read. Whatever is wrong with its content is [`NoHashKv`].
pub fn hash_kv_moved_forward<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    by: u64,
) -> io::Result<Result<HashKv, NoHashKv>> {
    let Some(layout) = complete_layout(file, length)? else { return Ok(Err(NoHashKv::Damaged)) };
    let own = read_compaction(file, layout)?.revision();
    let mut survivors = Survivors { up_to: i64::MAX, readable: true, ..Survivors::default() };
    if !walk_keys(file, layout, &mut survivors)? || !survivors.readable {
        return Ok(Err(NoHashKv::Damaged));
    }
    // No cluster comes near the last number: who has it is damaged.
    let Some(main) = survivors.newest.checked_add_unsigned(by) else {
        return Ok(Err(NoHashKv::Damaged));
    };
    if own >= main {
        return Ok(Err(NoHashKv::Compacted { compact_revision: own }));
    }
    // A mark of an earlier restore is a change of the same nameless key.
    survivors.last.remove(KeyMark::of(&[]));
    let mark = RevisionNumber { main, sub: 0 };
    let mut hasher = Hasher {
        crc: Crc32c::new(),
        up_to: main,
        compact_revision: main,
        keep: survivors.last.values().copied().chain([mark]).collect(),
        last: own,
        readable: true,
    };
    hasher.crc.update(KEY_BUCKET);
    if !walk_keys(file, layout, &mut hasher)? || !hasher.readable {
        return Ok(Err(NoHashKv::Damaged));
    }
    hasher.crc.update(&mark.to_key());
    Ok(Ok(HashKv { revision: main, compact_revision: main, hash: hasher.crc.finish() }))
}

/// Finds the last entry of each key that is alive at a revision: what a compaction there would leave.
#[derive(Default)]
struct Survivors {
    up_to: i64,
    last: ByKey<RevisionNumber>,
    /// Of the last entry, alive or not.
    newest: i64,
    readable: bool,
}

impl EntrySink for Survivors {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let (Some(revision), Some(stored)) = (Revision::parse(key), KeyValue::parse(value)) else {
            self.readable = false;
            return;
        };
        if revision.number.main > self.up_to {
            return;
        }
        self.newest = self.newest.max(revision.number.main);
        // The mark of `--bump-revision` names no key; etcd takes it for a change of the key with the empty name.
        let mark = KeyMark::of(stored.key.unwrap_or_default());
        if revision.deleted {
            self.last.remove(mark);
        } else {
            self.last.insert(mark, revision.number);
        }
    }
}

struct Hasher {
    crc: Crc32c,
    up_to: i64,
    compact_revision: i64,
    keep: HashSet<RevisionNumber>,
    last: i64,
    readable: bool,
}

impl EntrySink for Hasher {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let Some(Revision { number, deleted }) = Revision::parse(key) else {
            self.readable = false;
            return;
        };
        self.last = self.last.max(number.main);
        if number.main > self.up_to {
            return;
        }
        let thrown_away = number.main <= self.compact_revision
            && !self.keep.is_empty()
            && !self.keep.contains(&number);
        let deleted_there = deleted && number.main == self.compact_revision;
        if !thrown_away && !deleted_there {
            self.crc.update(key);
            self.crc.update(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny_writer::{self as tiny, Snapshot};
    use super::*;

    const REAL: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn hash(bytes: &[u8], at: Option<i64>, compacted: Option<i64>) -> Result<HashKv, NoHashKv> {
        hash_kv(bytes, bytes.len() as u64, at, compacted).unwrap()
    }

    #[test]
    fn a_snapshot_that_a_compaction_would_change_in_nothing_has_one_number() {
        // Revisions 2 and 3 make a key each: a compaction at 3 throws nothing away.
        let bytes = Snapshot::with_entries(&[tiny::put(2), tiny::put(3)]).sealed();
        let all = hash(&bytes, None, None).unwrap();
        assert_eq!((all.revision, all.compact_revision), (3, -1));
        assert_eq!(hash(&bytes, Some(3), Some(3)).unwrap().hash, all.hash);
        assert_ne!(hash(&bytes, Some(2), None).unwrap().hash, all.hash);
    }

    #[test]
    fn what_a_compaction_throws_away_is_left_out() {
        let history = [tiny::put(2), tiny::delete(2, 3), tiny::put(4)];
        let bytes = Snapshot::with_entries(&history).sealed();
        let left = Snapshot::with_entries(&history[2..]).sealed();
        let compacted = hash(&bytes, Some(4), Some(3)).unwrap();
        assert_eq!(compacted.hash, hash(&left, Some(4), None).unwrap().hash);
        assert_ne!(compacted.hash, hash(&bytes, Some(4), None).unwrap().hash);
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let bytes = Snapshot::with_entries(&[tiny::put(2), tiny::put(3)]).sealed();
        assert_eq!(hash(&bytes, Some(4), None), Err(NoHashKv::Future { last: 3 }));
        assert_eq!(hash(&bytes, None, Some(4)), Err(NoHashKv::Future { last: 3 }));
        let compacted = Err(NoHashKv::Compacted { compact_revision: 3 });
        assert_eq!(hash(&bytes, Some(2), Some(3)), compacted);
        assert_eq!(hash(&bytes[..3000], None, None), Err(NoHashKv::Damaged));
        let mut zeroed = Snapshot::typical();
        zeroed.page(tiny::FIRST_LEAF).fill(0);
        assert_eq!(hash(&zeroed.sealed(), None, None), Err(NoHashKv::Damaged));
    }

    fn moved(bytes: &[u8], by: u64) -> Result<HashKv, NoHashKv> {
        hash_kv_moved_forward(bytes, bytes.len() as u64, by).unwrap()
    }

    /// A store with this history and its mark, as it is after its compaction.
    fn with_mark(history: &[tiny::Element], at: i64) -> HashKv {
        let mark = tiny::entry(&tiny::revision(at, false), b"");
        let key = tiny::inline_bucket(b"key", &[history, &[mark]].concat());
        let bytes = Snapshot::with_buckets(vec![key, tiny::compacted(at, Some(at))]).sealed();
        hash(&bytes, None, None).unwrap()
    }

    #[test]
    fn a_store_that_is_moved_forward_has_the_number_of_what_its_compaction_leaves() {
        let history = [tiny::put(2), tiny::delete(2, 3), tiny::put(4)];
        let bytes = Snapshot::with_entries(&history).sealed();
        let forward = moved(&bytes, 1000).unwrap();
        assert_eq!((forward.revision, forward.compact_revision), (1004, 1004));
        assert_eq!(forward, with_mark(&history, 1004));
        assert_eq!(forward.hash, with_mark(&history[2..], 1004).hash, "history is thrown away");
        assert_ne!(forward.hash, moved(&bytes, 1001).unwrap().hash);
        // Moved forward a second time: the first mark is an older change of the same nameless key.
        let mark = tiny::entry(&tiny::revision(1004, false), b"");
        let again = Snapshot::with_entries(&[&history[..], &[mark]].concat()).sealed();
        assert_eq!(moved(&again, 1000).unwrap(), with_mark(&history[2..], 2004));
        // With nothing alive, the mark is all that is left.
        let nothing = Snapshot::with_entries(&history[..2]).sealed();
        assert_eq!(moved(&nothing, 1000).unwrap().hash, with_mark(&[], 1003).hash);
    }

    /// What etcd 3.4.23 and 3.5.1 answered that were started from this snapshot with such a mark.
    #[test]
    fn a_real_snapshot_that_is_moved_forward_has_the_number_of_a_real_etcd() {
        let number = HashKv { revision: 1037, compact_revision: 1037, hash: 3_879_427_824 };
        assert_eq!(moved(REAL, 1000), Ok(number));
    }

    #[test]
    fn what_cannot_be_moved_forward_is_refused() {
        let key = tiny::inline_bucket(b"key", &[tiny::put(2)]);
        let bytes = Snapshot::with_buckets(vec![key, tiny::compacted(9, Some(9))]).sealed();
        assert_eq!(moved(&bytes, 7), Err(NoHashKv::Compacted { compact_revision: 9 }));
        assert_eq!(moved(&bytes, 8).unwrap().revision, 10);
        assert_eq!(moved(&bytes, u64::MAX), Err(NoHashKv::Damaged));
        assert_eq!(moved(&bytes[..3000], 1), Err(NoHashKv::Damaged));
        let mut zeroed = Snapshot::typical();
        zeroed.page(tiny::FIRST_LEAF).fill(0);
        assert_eq!(moved(&zeroed.sealed(), 1), Err(NoHashKv::Damaged));
    }

    #[test]
    fn one_changed_byte_changes_the_number() {
        let good = hash(REAL, None, None).unwrap();
        assert_eq!(good.revision, 37);
        let mut changed = REAL.to_vec();
        changed[15_820] = b'2';
        assert_ne!(hash(&changed, None, None).unwrap().hash, good.hash);
        assert_ne!(moved(&changed, 9).unwrap().hash, moved(REAL, 9).unwrap().hash);
    }
}
