//! etcd's own layer: revisions of keys, stored in the bucket `key` (facts: `server/storage/mvcc/revision.go` and
//! `api/mvccpb/kv.proto` of etcd). Integers in keys are big-endian, values are Protocol Buffers.

use super::bbolt::{EntrySink, Place};
use super::damage::{Damage, DamageLog, RevisionFault};
use crate::formats::crc32c::Crc32c;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The bucket that holds all revisions of all keys.
const KEY_BUCKET: &[u8] = b"key";
/// Bytes of a revision: 8, `_`, 8. A deletion has one more: `t`.
const REVISION_BYTES: usize = 17;

/// What `etcdctl snapshot status` counts, gathered entry by entry.
pub(super) struct Tally {
    hash: Crc32c,
    pub(super) entries: u64,
    revision: i64,
    in_key_bucket: bool,
    pub(super) key_bucket_found: bool,
    revisions_readable: bool,
    live: BTreeSet<KeyDigest>,
}

/// Stands for a user's key, so that memory does not grow with the length of keys: half a SHA-256.
type KeyDigest = [u8; 16];

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            hash: Crc32c::new(),
            entries: 0,
            revision: 0,
            in_key_bucket: false,
            key_bucket_found: false,
            revisions_readable: true,
            live: BTreeSet::new(),
        }
    }

    /// The entries that follow belong to this bucket.
    pub(super) fn begin_bucket(&mut self, name: &[u8]) {
        self.hash.update(name);
        self.in_key_bucket = name == KEY_BUCKET;
        self.key_bucket_found |= self.in_key_bucket;
    }

    /// The CRC-32C over all names of buckets, keys and values so far.
    pub(super) fn hash(&self) -> u32 {
        self.hash.finish()
    }

    /// How many keys are alive, unless some revision could not be read.
    pub(super) fn live_keys(&self) -> Option<u64> {
        self.revisions_readable.then_some(self.live.len() as u64)
    }

    /// The last revision, unless some revision could not be read.
    pub(super) fn revision(&self) -> Option<i64> {
        self.revisions_readable.then_some(self.revision)
    }

    fn revision_entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), RevisionFault> {
        let revision = Revision::parse(key).ok_or(RevisionFault::Format)?;
        self.revision = revision.main;
        if value.is_empty() && !revision.deleted {
            // `etcdutl snapshot restore --bump-revision` leaves one such mark, which belongs to no key.
            return Ok(());
        }
        let stored = KeyValue::parse(value).ok_or(RevisionFault::Value)?;
        let name = stored.key.filter(|name| !name.is_empty()).ok_or(RevisionFault::NoKey)?;
        let digest = key_digest(name);
        if revision.deleted {
            self.live.remove(&digest);
            return Ok(());
        }
        self.live.insert(digest);
        stored.check(revision.main)
    }
}

impl EntrySink for Tally {
    fn entry(&mut self, place: Place, key: &[u8], value: &[u8], log: &mut DamageLog) {
        self.hash.update(key);
        self.hash.update(value);
        self.entries += 1;
        if self.in_key_bucket
            && let Err(fault) = self.revision_entry(key, value)
        {
            let in_doubt = matches!(
                fault,
                RevisionFault::Format | RevisionFault::Value | RevisionFault::NoKey
            );
            self.revisions_readable &= !in_doubt;
            log.wrong(Damage::Revision { page: place.page, index: place.index, fault });
        }
    }
}

fn key_digest(name: &[u8]) -> KeyDigest {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let (half, _) = digest.as_chunks::<16>();
    half.first().copied().unwrap_or_default()
}

/// The key of an entry: in which transaction a key changed, and whether it was deleted.
#[derive(Debug, PartialEq, Eq)]
struct Revision {
    main: i64,
    deleted: bool,
}

impl Revision {
    fn parse(key: &[u8]) -> Option<Self> {
        let (revision, mark) = key.split_at_checked(REVISION_BYTES)?;
        let (main, rest) = revision.split_first_chunk::<8>()?;
        let (separator, sub) = rest.split_first()?;
        let deleted = match mark {
            [] => false,
            [b't'] => true,
            _ => return None,
        };
        let main = i64::from_be_bytes(*main);
        let sub = i64::from_be_bytes(*sub.first_chunk()?);
        (*separator == b'_' && main >= 0 && sub >= 0).then_some(Self { main, deleted })
    }
}

/// The fields of `mvccpb.KeyValue` that matter here; absent ones are 0, as Protocol Buffers say.
#[derive(Debug, Default, PartialEq, Eq)]
struct KeyValue<'value> {
    key: Option<&'value [u8]>,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
}

impl<'value> KeyValue<'value> {
    fn parse(mut rest: &'value [u8]) -> Option<Self> {
        let mut parsed = Self::default();
        while !rest.is_empty() {
            let tag = take_varint(&mut rest)?;
            match (tag >> 3, tag & 7) {
                (0, _) => return None,
                (1, 2) => parsed.key = Some(take_bytes(&mut rest)?),
                (2, 0) => parsed.create_revision = take_varint(&mut rest)?.cast_signed(),
                (3, 0) => parsed.mod_revision = take_varint(&mut rest)?.cast_signed(),
                (4, 0) => parsed.version = take_varint(&mut rest)?.cast_signed(),
                // 5 is the value, 6 the lease; both must have their own type.
                (5, 2) => drop(take_bytes(&mut rest)?),
                (6, 0) => drop(take_varint(&mut rest)?),
                (1..=6, _) => return None,
                (_, 0) => drop(take_varint(&mut rest)?),
                (_, 1) => rest = rest.get(8..)?,
                (_, 2) => drop(take_bytes(&mut rest)?),
                (_, 5) => rest = rest.get(4..)?,
                _ => return None,
            }
        }
        Some(parsed)
    }

    /// What holds for every stored change: it names its own revision, the key was created then or before, and the
    /// version counts the changes since.
    fn check(&self, stored: i64) -> Result<(), RevisionFault> {
        if self.mod_revision != stored {
            return Err(RevisionFault::Modified { stored, named: self.mod_revision });
        }
        let possible = (1..=stored).contains(&self.create_revision) && self.version >= 1;
        if possible { Ok(()) } else { Err(RevisionFault::Impossible) }
    }
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_bytes<'value>(rest: &mut &'value [u8]) -> Option<&'value [u8]> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision_key(main: i64, mark: &[u8]) -> Vec<u8> {
        [&main.to_be_bytes()[..], b"_", &0_i64.to_be_bytes(), mark].concat()
    }

    #[test]
    fn a_revision_is_seventeen_bytes_and_a_deletion_one_more() {
        let parsed = |main, mark| Revision::parse(&revision_key(main, mark));
        assert_eq!(parsed(300, b""), Some(Revision { main: 300, deleted: false }));
        assert_eq!(parsed(300, b"t"), Some(Revision { main: 300, deleted: true }));
        for (main, mark) in [(300, &b"x"[..]), (300, b"tt"), (-1, b"")] {
            assert_eq!(parsed(main, mark), None, "{main} {mark:?}");
        }
        assert_eq!(Revision::parse(b"short"), None);
        assert_eq!(Revision::parse(&[0; 17]), None, "no underscore");
    }

    #[test]
    fn a_key_value_is_read_field_by_field_and_unknown_fields_are_skipped() {
        // key "k", create 5, mod 300, version 2, value "v", lease 7, then unknown fields 15 and 16.
        let bytes = b"\x0a\x01k\x10\x05\x18\xac\x02\x20\x02\x2a\x01v\x30\x07\x78\x01\x85\x01abcd";
        let parsed = KeyValue::parse(bytes).unwrap();
        let expected =
            KeyValue { key: Some(b"k"), create_revision: 5, mod_revision: 300, version: 2 };
        assert_eq!(parsed, expected);
        for cut in [1, 2, 4, 7, 12] {
            assert_eq!(KeyValue::parse(&bytes[..cut]), None, "cut after {cut}");
        }
        assert_eq!(KeyValue::parse(&[0xFF; 12]), None, "a varint without an end");
    }

    #[test]
    fn impossible_revisions_are_told() {
        let at = |create_revision, mod_revision, version| {
            KeyValue { key: None, create_revision, mod_revision, version }.check(9)
        };
        assert_eq!(at(9, 9, 1), Ok(()));
        assert_eq!(at(2, 9, 5), Ok(()));
        assert_eq!(at(2, 8, 5), Err(RevisionFault::Modified { stored: 9, named: 8 }));
        for (create, version) in [(10, 1), (0, 1), (-3, 1), (3, 0)] {
            assert_eq!(at(create, 9, version), Err(RevisionFault::Impossible));
        }
    }
}
