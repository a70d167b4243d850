use super::mvcc::RevisionNumber;
use serde::Serialize;
use std::fmt;

/// What can be wrong with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Its name is far longer than that of any bucket of etcd; its content was not read.
    Name {
        /// Bytes of the name.
        bytes: usize,
    },
    /// More buckets than any etcd has (about ten): the rest was not read.
    TooMany,
}

/// What can be wrong with an entry of the bucket `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// A revision is not there that nothing compacted: a change is lost.
    Gap {
        /// The revision that should have come instead.
        expected: RevisionNumber,
    },
    /// The version does not follow from the changes before: one is lost, or this one is damaged.
    Version {
        /// The version that should stand here.
        expected: i64,
        /// The version that stands here.
        found: i64,
    },
    /// The creation revision is not that of the changes before.
    Created {
        /// The revision that should stand here.
        expected: i64,
        /// The revision that stands here.
        found: i64,
    },
    /// A deletion of a key that did not exist: its changes are lost.
    DeletedAbsent,
    /// A field of the value that no etcd up to 3.6 writes, or not so. What was in it is lost to etcd.
    Field {
        /// The field's number.
        number: u64,
    },
    /// A deletion that says more than which key it deletes.
    DeletionWithValue,
    /// Before it an earlier change of its key stands, of which a compaction leaves the last one only: an old page is back, or one of
    /// the two names another key than it did.
    EarlierCompacted {
        /// Up to which revision a compaction has ended.
        to: i64,
    },
    /// A deletion below a compaction, which leaves none there.
    DeletionCompacted {
        /// Up to which revision a compaction has ended.
        to: i64,
    },
}

/// The tables in which etcd keeps what it knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnBucket {
    /// How far a member has come.
    Meta,
    /// Leases: keys that end by themselves.
    Lease,
    /// Alarms that were raised and not disarmed.
    Alarm,
    /// The version that the cluster agreed on.
    Cluster,
    /// The members.
    Members,
    /// Members that were removed.
    MembersRemoved,
    /// Whether requests are authenticated.
    Auth,
    /// Users of etcd.
    AuthUsers,
    /// Roles of etcd.
    AuthRoles,
}

/// What can be wrong with an entry of one of [`OwnBucket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordFault {
    /// It is not written as etcd writes it.
    Format,
    /// Its name and its content are those of two different things.
    Disagrees,
    /// It can be read, and says what cannot be.
    Impossible,
    /// There is no entry of this name in any etcd up to 3.6.
    Unknown,
}

impl OwnBucket {
    /// Each of them: etcd 3.4 to 3.6 makes all of them when it starts, whatever it then writes into them (seen with 3.4 and 3.5;
    /// <https://github.com/etcd-io/etcd/blob/main/server/storage/schema/bucket.go>).
    pub(super) const ALL: [Self; 9] = [
        Self::Meta,
        Self::Lease,
        Self::Alarm,
        Self::Cluster,
        Self::Members,
        Self::MembersRemoved,
        Self::Auth,
        Self::AuthUsers,
        Self::AuthRoles,
    ];

    /// The bucket of this name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"meta" => Self::Meta,
            b"lease" => Self::Lease,
            b"alarm" => Self::Alarm,
            b"cluster" => Self::Cluster,
            b"members" => Self::Members,
            b"members_removed" => Self::MembersRemoved,
            b"auth" => Self::Auth,
            b"authUsers" => Self::AuthUsers,
            b"authRoles" => Self::AuthRoles,
            _ => return None,
        })
    }
}

impl fmt::Display for OwnBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Meta => "meta",
            Self::Lease => "lease",
            Self::Alarm => "alarm",
            Self::Cluster => "cluster",
            Self::Members => "members",
            Self::MembersRemoved => "members_removed",
            Self::Auth => "auth",
            Self::AuthUsers => "authUsers",
            Self::AuthRoles => "authRoles",
        })
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "it is not written as etcd writes it; etcd may not start from it",
            Self::Disagrees => "its name and its content belong to two different things",
            Self::Impossible => "it says what no etcd ever stores; what it was is lost",
            Self::Unknown => {
                "no etcd up to 3.6 has an entry of this name; the one that was there is lost"
            }
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
            Self::Name { bytes } => {
                write!(
                    f,
                    "its name has {bytes} bytes, which no bucket has; its content was not read"
                )
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
            Self::Gap { expected } => {
                write!(
                    f,
                    "revision {expected} should come before it and is not there; a change is lost"
                )
            }
            Self::Version { expected, found } => write!(
                f,
                "it is change {found} of its key, after {} were found; a change is lost or damaged",
                expected.saturating_sub(1)
            ),
            Self::Created { expected, found } => write!(
                f,
                "it says that its key was made at {found}, the changes before say {expected}; one of \
                 them is lost or damaged"
            ),
            Self::DeletedAbsent => {
                f.write_str("it deletes a key that did not exist; the changes of that key are lost")
            }
            Self::Field { number } => write!(
                f,
                "field {number} of its value is not as etcd writes it: the value is damaged, and etcd would read another one"
            ),
            Self::DeletionWithValue => f.write_str(
                "it deletes a key and says more than which: it was another change, or is damaged",
            ),
            Self::EarlierCompacted { to } => write!(
                f,
                "an earlier change of its key stands although the compaction up to revision {to} has \
                 taken it away; one of the two is damaged, or a page of before is back"
            ),
            Self::DeletionCompacted { to } => write!(
                f,
                "it is a deletion and stands although the compaction up to revision {to} has taken it \
                 away; it is damaged, or a page of before is back"
            ),
        }
    }
}
