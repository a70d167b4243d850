use super::bbolt::{MetaFault, MetaField, PageFault};
use super::fault::{BucketFault, OwnBucket, RecordFault, RevisionFault};
use super::foreign::Foreign;
use super::mvcc::{KeyName, Revision, RevisionNumber};
use super::records::HexId;
use super::trailer::Sha256Digest;
use crate::formats::packed::Packing;
use serde::Serialize;
use std::fmt;

/// How many findings are listed one by one; the rest is only counted. One lost page explains the first few, and a
/// hostile file must not fill the memory.
const LISTED: usize = 100;

/// One thing that is wrong with a snapshot file. Its text says what, where, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The file has no bytes at all.
    Empty,
    /// The file is a compressed archive. The snapshot inside was not looked at.
    Packed(Packing),
    /// The file is no snapshot of etcd, and may be a sound backup of another kind. Nothing in it was looked at.
    NotASnapshot(Foreign),
    /// Neither meta page can be used, so that nothing else in the file can be found.
    NoUsableMeta,
    /// One of the two meta pages is ruined.
    Meta {
        /// Which one: 0 or 1.
        index: u8,
        /// What is wrong with it.
        fault: MetaFault,
    },
    /// The two meta pages contradict each other: one of them is damaged, or of another time.
    MetasDiffer {
        /// The first field that is not as it should be.
        field: MetaField,
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
    /// An entry of the bucket `key` is not a revision of a key, or contradicts the others.
    Revision {
        /// The page that holds it.
        page: u64,
        /// Its position in that page, from 0.
        index: u16,
        /// Its number, where that is readable.
        revision: Option<RevisionNumber>,
        /// The user's key that it belongs to, where that is readable. Not part of the text: it may be confidential.
        key: Option<KeyName>,
        /// What is wrong with it.
        fault: RevisionFault,
    },
    /// An entry of one of etcd's own tables is not what it should be.
    Record {
        /// The table.
        bucket: OwnBucket,
        /// The page that holds it.
        page: u64,
        /// Its position in that page, from 0.
        index: u16,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// One of the tables is not there that every etcd makes when it starts: what was in it is lost.
    BucketMissing {
        /// The table.
        bucket: OwnBucket,
    },
    /// `consistent_index` is not there, which every etcd writes with each change: without it, etcd would apply its log again.
    NoConsistentIndex,
    /// Requests are authenticated, and there is no user `root` who has the role `root`.
    AuthWithoutRoot,
    /// A compaction has ended that never began: one of the two notes is damaged.
    CompactionContradicts {
        /// Up to where the last one went that began, if any did.
        scheduled: Option<i64>,
        /// Up to where the last one went that ended.
        finished: i64,
    },
    /// A member had noticed that its data differs from that of the others, and had raised the alarm for it.
    CorruptAlarm {
        /// The member.
        member: HexId,
    },
    /// An incremental snapshot of Gardener's etcd-backup-restore: a list of changes, no database.
    Incremental,
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
            Self::NotASnapshot(foreign) => write!(f, "{foreign}"),
            Self::NoUsableMeta => f.write_str(
                "neither meta page is usable: this is not an etcd snapshot, or its beginning is \
                 destroyed; nothing in it can be found",
            ),
            Self::Meta { index, fault } => {
                write!(f, "meta page {index}: {fault}; the file was changed after it was written")
            }
            Self::MetasDiffer { field } => write!(
                f,
                "the two meta pages contradict each other in {field}: one of them is damaged or of another time, and an etcd may \
                 start from a state that is not this one"
            ),
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
            Self::Revision { page, index, revision: None, fault, .. } => {
                write!(f, "revision in page {page}, element {index}: {fault}")
            }
            Self::Revision { page, index, revision: Some(revision), fault, .. } => {
                write!(f, "revision {revision} in page {page}, element {index}: {fault}")
            }
            Self::Record { bucket, page, index, fault } => {
                write!(f, "entry of `{bucket}` in page {page}, element {index}: {fault}")
            }
            Self::BucketMissing { .. }
            | Self::NoConsistentIndex
            | Self::AuthWithoutRoot
            | Self::CompactionContradicts { .. }
            | Self::CorruptAlarm { .. } => self.of_own_tables(f),
            Self::Incremental => f.write_str(
                "this is an incremental snapshot, a list of changes: it restores nothing without the full \
                 one before it; nothing in it was checked",
            ),
        }
    }
}

impl Damage {
    /// What only etcd's own tables together tell.
    fn of_own_tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BucketMissing { bucket } => write!(
                f,
                "there is no bucket `{bucket}`, which every etcd makes when it starts: what was in it is lost"
            ),
            Self::NoConsistentIndex => f.write_str(
                "`meta` holds no consistent_index, which etcd writes with every change: that table was damaged",
            ),
            Self::AuthWithoutRoot => f.write_str(
                "requests are authenticated, and there is no user root with the role root, without whom etcd never enables that: \
                 users are lost, and perhaps nobody can use a restored etcd",
            ),
            Self::CompactionContradicts { scheduled, finished } => write!(
                f,
                "a compaction up to revision {finished} has ended, and the last one that began goes up to {}: one of the two \
                 is damaged",
                scheduled.map_or_else(|| "none".to_owned(), |revision| revision.to_string())
            ),
            Self::CorruptAlarm { member } => write!(
                f,
                "the alarm CORRUPT stands for member {member}: its data differs from that of the others, \
                 and nobody knows whose is right"
            ),
            _ => Ok(()),
        }
    }

    /// The user's key that it belongs to, where one is known. It may be confidential: whoever writes it down decides that.
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::Revision { key, .. } => key.as_ref(),
            _ => None,
        }
    }
}

/// Changes that a page held which cannot be read, as far as the pages above it tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LostRevisions {
    /// The page: [`Damage::Page`] says what is wrong with it.
    pub page: u64,
    /// The first revision that it may have held; `None` when it may have been the very first.
    pub from: Option<RevisionNumber>,
    /// The first revision behind it; `None` when nothing comes behind it.
    pub before: Option<RevisionNumber>,
}

impl fmt::Display for LostRevisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, from, before } = self;
        write!(f, "page {page} held the changes from ")?;
        match from {
            Some(from) => write!(f, "revision {from}")?,
            None => f.write_str("the first one")?,
        }
        match before {
            Some(before) => write!(f, " up to that before revision {before}: they are lost"),
            None => f.write_str(" up to the last one: they are lost"),
        }
    }
}

/// Findings as they come up, and whether anything could not be read because of them.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    pub(super) listed: Vec<Damage>,
    pub(super) not_listed: u64,
    pub(super) lost_revisions: Vec<LostRevisions>,
    /// The first page that was not checked, and its bytes.
    pub(super) not_checked: Option<(u64, u64)>,
    unread: bool,
    broken: bool,
}

impl DamageLog {
    /// Something is wrong, but everything could be read.
    pub(super) fn wrong(&mut self, damage: Damage) {
        self.broken |= matches!(damage, Damage::Page { .. });
        self.list(damage);
    }

    fn list(&mut self, damage: Damage) {
        if self.listed.len() < LISTED {
            self.listed.push(damage);
        } else {
            self.not_listed = self.not_listed.saturating_add(1);
        }
    }

    /// Something is wrong with the whole file, which is told before all details.
    pub(super) fn first(&mut self, damage: Damage) {
        self.listed.insert(0, damage);
        if self.listed.len() > LISTED {
            self.listed.pop();
            self.not_listed = self.not_listed.saturating_add(1);
        }
    }

    /// Something is wrong and entries could not be read for it, so that counts over them would be lies.
    pub(super) fn lost(&mut self, damage: Damage) {
        self.unread = true;
        self.broken = true;
        self.wrong(damage);
    }

    /// Something stands in a page beside its elements: what it was is lost, and what the elements say of each other tells more of it.
    pub(super) fn beside(&mut self, page: u64, fault: PageFault) {
        self.unread = true;
        self.list(Damage::Page { page, fault });
    }

    /// A page is larger than what is loaded: what it holds is not known, and nothing is wrong with it.
    pub(super) fn not_checked(&mut self, page: u64, bytes: u64) {
        self.unread = true;
        self.broken = true;
        self.not_checked.get_or_insert((page, bytes));
    }

    /// A page is lost whose keys lay in this range.
    pub(super) fn lost_page(
        &mut self,
        page: u64,
        fault: PageFault,
        at_least: Option<&[u8]>,
        below: Option<&[u8]>,
    ) {
        self.lost(Damage::Page { page, fault });
        let number = |key| Revision::parse(key).map(|revision| revision.number);
        let (from, before) = (at_least.and_then(number), below.and_then(number));
        // Only keys of the bucket `key` are revisions.
        if (from.is_some() || before.is_some()) && self.lost_revisions.len() < LISTED {
            self.lost_revisions.push(LostRevisions { page, from, before });
        }
    }

    /// Whether everything was read.
    pub(super) fn everything_read(&self) -> bool {
        !self.unread
    }

    /// Whether everything was read, each entry in its place, so that what entries say of each other means something.
    pub(super) fn unbroken(&self) -> bool {
        !self.broken
    }
}
