use super::bbolt::{MetaFault, PageFault};
use super::trailer::Sha256Digest;
use std::fmt;

/// How many findings are listed one by one; the rest is only counted. One lost page explains the first few, and a
/// hostile file must not fill the memory.
const LISTED: usize = 100;

/// One thing that is wrong with a snapshot file. Its text says what, where, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file has no bytes at all.
    Empty,
    /// The file is a compressed archive. The snapshot inside was not looked at.
    Packed(Packing),
    /// Neither meta page can be used, so that nothing else in the file can be found.
    NoUsableMeta,
    /// One of the two meta pages is ruined.
    Meta {
        /// Which one: 0 or 1.
        index: u8,
        /// What is wrong with it.
        fault: MetaFault,
    },
    /// The SHA-256 at the end is not that of the bytes before it.
    TrailerDiffers {
        /// The digest that the file carries.
        expected: Sha256Digest,
        /// The digest of the bytes that are there.
        found: Sha256Digest,
    },
    /// The file ends before the last page that the database uses.
    Truncated {
        /// Bytes up to the high-water mark.
        need_bytes: u64,
        /// Bytes in the file, without the trailer.
        have_bytes: u64,
    },
    /// A page of the tree cannot be what it should be.
    Page {
        /// The page's number: its offset in the file is this times the page size.
        page: u64,
        /// What is wrong with it.
        fault: PageFault,
    },
    /// A page is listed as free although the tree uses it: the next write would overwrite data.
    FreePageInUse {
        /// The page's number.
        page: u64,
    },
    /// A bucket (bbolt's word for a table) cannot be read.
    Bucket {
        /// The page that holds its entry in the list of buckets.
        page: u64,
        /// Its position in that page, from 0.
        index: u16,
        /// What is wrong with it.
        fault: BucketFault,
    },
    /// There is no bucket `key`, where etcd keeps all data.
    NoKeyBucket,
    /// An entry of the bucket `key` is not a revision of a key.
    Revision {
        /// The page that holds it.
        page: u64,
        /// Its position in that page, from 0.
        index: u16,
        /// What is wrong with it.
        fault: RevisionFault,
    },
}

/// How a file is packed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952: `1F 8B`. kOps' etcd-manager and gardener write these.
    Gzip,
    /// `PK 03 04`. k3s and RKE2 write these when told to compress.
    Zip,
    /// RFC 8878: `28 B5 2F FD`.
    Zstandard,
}

/// What can be wrong with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketFault {
    /// The list of buckets holds an entry that is not one. etcd writes only buckets there.
    NotABucket,
    /// A bucket inside a bucket. etcd never writes one; its content was not read.
    Nested,
    /// The entry is too short for the 16 bytes of a bucket's header, or far too long for a bucket stored in place.
    Length {
        /// Bytes of the entry.
        bytes: usize,
    },
    /// More buckets than any etcd has (about ten): the rest was not read.
    TooMany,
}

/// What can be wrong with an entry of the bucket `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionFault {
    /// The entry's key is not a revision: 8 bytes, `_`, 8 bytes, and perhaps `t` for a deletion.
    Format,
    /// The entry's value is not a readable `mvccpb.KeyValue`.
    Value,
    /// The value names no key.
    NoKey,
    /// The value says that it belongs to another revision.
    Modified {
        /// The revision under which it is stored.
        stored: i64,
        /// The revision that the value names.
        named: i64,
    },
    /// The value's creation revision or version contradict its revision.
    Impossible,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty: there is no snapshot in it"),
            Self::Packed(packing) => {
                write!(
                    f,
                    "the file is packed with {packing}: unpack it; nothing inside was checked"
                )
            }
            Self::NoUsableMeta => f.write_str(
                "neither meta page is usable: this is not an etcd snapshot, or its beginning is \
                 destroyed; nothing in it can be found",
            ),
            Self::Meta { index, fault } => {
                write!(f, "meta page {index}: {fault}; the file was changed after it was written")
            }
            Self::TrailerDiffers { expected, found } => write!(
                f,
                "the SHA-256 at the end is {expected}, that of the content is {found}: the file was \
                 changed or cut after it was written, and `etcdctl snapshot restore` refuses it"
            ),
            Self::Truncated { need_bytes, have_bytes } => write!(
                f,
                "the file is cut off: the database needs {need_bytes} bytes, {have_bytes} are there; \
                 pages are missing, and it cannot be restored"
            ),
            Self::Page { page, fault } => write!(f, "page {page}: {fault}"),
            Self::FreePageInUse { page } => write!(
                f,
                "page {page} is listed as free and in use at once: the next write would destroy data"
            ),
            Self::Bucket { page, index, fault } => {
                write!(f, "bucket in page {page}, element {index}: {fault}")
            }
            Self::NoKeyBucket => f.write_str(
                "there is no bucket `key`: the database is not etcd's, or all of its data is lost",
            ),
            Self::Revision { page, index, fault } => {
                write!(f, "revision in page {page}, element {index}: {fault}")
            }
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zip => "zip",
            Self::Zstandard => "zstd",
        })
    }
}

impl fmt::Display for BucketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABucket => {
                f.write_str("a plain entry stands where only buckets belong; a bucket is lost")
            }
            Self::Nested => {
                f.write_str("a bucket inside a bucket, which etcd never writes; it was not read")
            }
            Self::Length { bytes } => {
                write!(f, "its header has {bytes} bytes, which no bucket has; its content is lost")
            }
            Self::TooMany => f.write_str("more buckets than any etcd has; the rest was not read"),
        }
    }
}

impl fmt::Display for RevisionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("its number is malformed; etcd cannot load it"),
            Self::Value => f.write_str("its value is unreadable; etcd would stop while starting"),
            Self::NoKey => f.write_str("its value names no key; the change it held is lost"),
            Self::Modified { stored, named } => {
                write!(
                    f,
                    "stored under {stored}, its value says {named}; one of the two is damaged"
                )
            }
            Self::Impossible => f.write_str(
                "its creation revision or version is impossible for it; the value is damaged",
            ),
        }
    }
}

/// Findings as they come up, and whether anything could not be read because of them.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    pub(super) listed: Vec<Damage>,
    pub(super) not_listed: u64,
    unread: bool,
}

impl DamageLog {
    /// Something is wrong, but everything could be read.
    pub(super) fn wrong(&mut self, damage: Damage) {
        if self.listed.len() < LISTED {
            self.listed.push(damage);
        } else {
            self.not_listed = self.not_listed.saturating_add(1);
        }
    }

    /// Something is wrong and entries could not be read for it, so that counts over them would be lies.
    pub(super) fn lost(&mut self, damage: Damage) {
        self.unread = true;
        self.wrong(damage);
    }

    /// Whether everything was read.
    pub(super) fn everything_read(&self) -> bool {
        !self.unread
    }
}
