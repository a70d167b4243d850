use super::leases::MISSING;
use super::records::HexId;
use serde::Serialize;
use std::fmt;

/// Something that a person who restores the snapshot should know, and that is no damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// A compaction had begun and not ended.
    CompactionInFlight {
        /// The revision up to which it goes.
        to: i64,
    },
    /// History was thrown away up to a revision behind the last change that is there. Either all changes between them were deletions,
    /// or they are lost with what they changed: nothing in the file tells.
    CompactedBeyond {
        /// The last change that is there.
        last: i64,
        /// The revision up to which history was thrown away, at which an etcd starts.
        to: i64,
    },
    /// The alarm NOSPACE stands.
    NoSpaceAlarm {
        /// The member for which it was raised.
        member: HexId,
    },
    /// Requests are authenticated.
    AuthEnabled {
        /// How many users there are.
        users: u64,
    },
    /// There are users, and nothing says whether requests are authenticated.
    AuthNotSaid {
        /// How many users there are.
        users: u64,
    },
    /// The mark of an earlier restore with `--bump-revision` stands.
    RevisionBumped,
    /// The file is longer than the database in it.
    LongerThanNeeded {
        /// Bytes behind the last page.
        bytes: u64,
    },
    /// Keys hang on leases that are not there: etcd starts from it, and these keys never end. It leaves none such behind by itself
    /// (`Revoke` in <https://github.com/etcd-io/etcd/blob/main/server/lease/lessor.go> removes both at once), so that the rest is not
    /// proven either.
    LeasesMissing {
        /// How many leases.
        leases: u64,
        /// One of them.
        first: HexId,
        /// How many keys, of all of them.
        keys: u64,
    },
    /// There are more leases than this reader holds in memory: whether keys hang on some that are not there was not looked at.
    LeasesNotCompared {
        /// How many it would hold.
        most: u64,
    },
    /// There are entries in etcd's own tables whose names this reader does not know: of a later etcd, or of one whose name was changed.
    UnknownEntries {
        /// How many.
        count: u64,
    },
    /// A page with its overflow pages is larger than what this reader loads
    /// ([`crate::limits::ETCD_SPAN_BYTES`], [`crate::limits::ETCD_BRANCH_BYTES`]).
    PageNotChecked {
        /// The page's number.
        page: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// There are entries that are not as any etcd up to 3.6 writes them, and the snapshot says that a later one has written it.
    NotUnderstood {
        /// How many.
        count: u64,
    },
    /// There are tables that this reader does not know: of a later etcd, or of something else. They are part of the hash.
    UnknownBuckets {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CompactionInFlight { to } => write!(
                f,
                "a compaction up to revision {to} had begun and not ended: etcd goes on with it when it starts"
            ),
            Self::CompactedBeyond { last, to } => write!(
                f,
                "history was thrown away up to revision {to}, and the last change that is there is {last}: all between them were \
                 deletions, or they are lost, which nothing in the file tells; compare with a member or with the backup before"
            ),
            Self::NoSpaceAlarm { member } => write!(
                f,
                "the alarm NOSPACE stands for member {member}: a cluster restored from this takes no writes \
                 until there is room under the quota and `etcdctl alarm disarm` was called"
            ),
            Self::AuthEnabled { users } => write!(
                f,
                "requests are authenticated, with {users} users: whoever needs the restored etcd needs one \
                 of their passwords or certificates"
            ),
            Self::AuthNotSaid { users } => write!(
                f,
                "there are {users} users, and nothing says whether requests are authenticated: an etcd that starts from this \
                 answers everybody, which is right only if authentication was never enabled"
            ),
            Self::RevisionBumped => f.write_str(
                "the cluster was once restored with --bump-revision, which left its mark",
            ),
            Self::LongerThanNeeded { bytes } => write!(
                f,
                "{bytes} bytes follow the last page: a copy of a member's database, or something appended"
            ),
            Self::LeasesMissing { leases, first, keys } => write!(
                f,
                "{keys} keys hang on {}{leases} leases that are not there, such as {first}: they never end by themselves",
                if *leases < MISSING as u64 { "" } else { "at least " }
            ),
            Self::LeasesNotCompared { most } => write!(
                f,
                "there are more than {most} leases: whether keys hang on others, which are not there, was not looked at"
            ),
            Self::PageNotChecked { page, bytes } => write!(
                f,
                "page {page} has {bytes} bytes, more than this reader loads: what it holds was not checked, and nothing was counted"
            ),
            Self::UnknownEntries { count } => write!(
                f,
                "{count} entries of `meta` and `cluster` have names that no etcd up to 3.6 gives; their content was not judged"
            ),
            Self::NotUnderstood { count } => write!(
                f,
                "{count} entries are not as an etcd up to 3.6 writes them, and the snapshot is of a later one: they were not judged"
            ),
            Self::UnknownBuckets { count } => {
                write!(f, "{count} tables are unknown to this reader; their content was not judged")
            }
        }
    }
}
