//! What etcd notes of itself, outside of the users' keys (facts:
//! <https://github.com/etcd-io/etcd/tree/main/server/storage/schema>, `server/lease/leasepb/lease.proto`,
//! `api/etcdserverpb/rpc.proto`, `server/etcdserver/api/membership/member.go`). How single ones are written: [`super::stored`].

use super::fault::{OwnBucket, RecordFault};
use super::mvcc::Compaction;
use super::stored::{StoredAlarm, StoredLease, StoredUser, is_json_object, is_version, role_name};
use crate::limits;
use serde::{Deserialize, Serialize, Serializer};
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::fmt;

/// How many members and alarms are listed. etcd itself advises against more than seven members.
const LISTED: usize = 100;
/// How much of a text is taken: versions are a few bytes, names and addresses some tens.
const TEXT_BYTES: usize = 256;

/// The number of a member, a cluster or a lease. Printed as etcdctl prints it: in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexId(pub u64);

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Serialize for HexId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What etcd notes of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterFacts {
    /// The version that the members agreed on, such as `3.5.0`.
    pub cluster_version: Option<String>,
    /// The version of the data's layout. Written from 3.6.
    pub storage_version: Option<String>,
    /// The number of the last entry of the log that is in the data. It differs between members.
    pub consistent_index: Option<u64>,
    /// The term of that entry. Written from 3.5.
    pub term: Option<u64>,
    /// Up to which revision history was thrown away.
    pub compaction: Compaction,
    /// The members, by number; 100 at most.
    pub members: Vec<Member>,
    /// How many members were removed since the cluster was made.
    pub members_removed: u64,
    /// Whether requests are authenticated, and for whom.
    pub auth: Auth,
    /// Alarms that were raised and not disarmed; 100 at most.
    pub alarms: Vec<Alarm>,
    /// How many leases there are.
    pub leases: u64,
    /// How many living keys hang on a lease.
    pub keys_with_lease: u64,
}

/// A member of the cluster. A restore makes new ones; these say whose backup it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its number.
    pub id: HexId,
    /// Its name; empty when it had not started yet.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Whether it only listens, without a vote.
    pub learner: bool,
}

/// etcd's own users. After a restore, whoever needs etcd needs one of them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// Whether requests are authenticated; `None` when the snapshot does not say.
    pub enabled: Option<bool>,
    /// How often users and roles were changed.
    pub revision: Option<u64>,
    /// How many users there are.
    pub users: u64,
    /// How many roles there are.
    pub roles: u64,
}

/// An alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The member for which it was raised.
    pub member: HexId,
    /// What it says.
    pub kind: AlarmKind,
}

/// What an alarm says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// `NOSPACE`: the database had reached its quota, so that etcd takes no more writes, after a restore neither.
    NoSpace,
    /// `CORRUPT`: a member's data differs from that of the others.
    Corrupt,
}

impl ClusterFacts {
    /// The cluster's number, which the snapshot does not hold: it is made from the numbers of the first members (`genID` in
    /// `server/etcdserver/api/membership/cluster.go`). Right if no member was ever added; `None` when one was removed, or
    /// when there is none. A restore makes a new number.
    pub fn cluster_id_of_first_members(&self) -> Option<HexId> {
        if self.members_removed > 0 || self.members.is_empty() || self.members.len() == LISTED {
            return None;
        }
        let ids: BTreeSet<HexId> = self.members.iter().map(|member| member.id).collect();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.0.to_be_bytes()).collect();
        let digest: [u8; 20] = Sha1::digest(bytes).into();
        digest.first_chunk().map(|bytes| HexId(u64::from_be_bytes(*bytes)))
    }
}

/// As etcd writes members (JSON).
#[derive(Deserialize)]
struct StoredMember {
    id: u64,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "isLearner")]
    learner: bool,
}

/// Gathers [`ClusterFacts`] entry by entry.
#[derive(Default)]
pub(super) struct Records {
    pub(super) facts: ClusterFacts,
    /// Whether there is a user `root` who has the role `root`.
    pub(super) root_has_its_role: bool,
    /// How many entries have a name that no etcd up to 3.6 gives: in tables into which later ones may write more.
    pub(super) unknown: u64,
}

impl Records {
    pub(super) fn entry(
        &mut self,
        bucket: OwnBucket,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), RecordFault> {
        match bucket {
            OwnBucket::Meta => self.meta(key, value),
            OwnBucket::Lease => self.lease(key, value),
            OwnBucket::Alarm => self.alarm(key, value),
            OwnBucket::Cluster => self.cluster(key, value),
            OwnBucket::Members => self.member(key, value),
            OwnBucket::Auth => self.auth(key, value),
            OwnBucket::MembersRemoved => self.member_removed(key, value),
            OwnBucket::AuthUsers => self.user(key, value),
            OwnBucket::AuthRoles => self.role(key, value),
        }
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        match key {
            b"consistent_index" => self.facts.consistent_index = Some(counted(value)?),
            b"term" => self.facts.term = Some(counted(value)?),
            b"storageVersion" => self.facts.storage_version = Some(version(value)?),
            b"confState" if !is_json_object(value) => return Err(RecordFault::Format),
            b"confState" => {}
            b"scheduledCompactRev" | b"finishedCompactRev" => {
                let is_noted = self.facts.compaction.note(key, value);
                return if is_noted { Ok(()) } else { Err(RecordFault::Format) };
            }
            _ => self.unknown += 1,
        }
        Ok(())
    }

    fn lease(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        let id = number(key)?;
        self.facts.leases += 1;
        let stored = StoredLease::parse(value).ok_or(RecordFault::Format)?;
        if stored.id != id {
            return Err(RecordFault::Disagrees);
        }
        if stored.is_possible() { Ok(()) } else { Err(RecordFault::Impossible) }
    }

    fn alarm(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        let stored = StoredAlarm::parse(key).filter(|_| value.is_empty());
        let stored = stored.ok_or(RecordFault::Format)?;
        let kind = match stored.kind {
            1 => AlarmKind::NoSpace,
            2 => AlarmKind::Corrupt,
            _ => return Err(RecordFault::Format),
        };
        let member = HexId(stored.member);
        if self.facts.alarms.len() < LISTED {
            self.facts.alarms.push(Alarm { member, kind });
        }
        Ok(())
    }

    fn cluster(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        match key {
            b"clusterVersion" => self.facts.cluster_version = Some(version(value)?),
            b"downgrade" if !is_json_object(value) => return Err(RecordFault::Format),
            b"downgrade" => {}
            _ => self.unknown += 1,
        }
        Ok(())
    }

    fn member(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        // A record of a member takes some hundred bytes; a longer one is not even read.
        if value.len() > limits::ETCD_MEMBER_BYTES {
            return Err(RecordFault::Format);
        }
        let stored: StoredMember =
            serde_json::from_slice(value).map_err(|_| RecordFault::Format)?;
        let named = std::str::from_utf8(key).ok().and_then(|id| u64::from_str_radix(id, 16).ok());
        if named != Some(stored.id) {
            return Err(RecordFault::Disagrees);
        }
        // Without one the others could not reach it, and etcd lets nobody in like that.
        if stored.peer_urls.is_empty() {
            return Err(RecordFault::Impossible);
        }
        if self.facts.members.len() < LISTED {
            let peer_urls = stored.peer_urls.iter().take(10);
            self.facts.members.push(Member {
                id: HexId(stored.id),
                name: shortened(&stored.name),
                peer_urls: peer_urls.map(|url| shortened(url)).collect(),
                learner: stored.learner,
            });
        }
        Ok(())
    }

    fn member_removed(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        self.facts.members_removed += 1;
        let id = std::str::from_utf8(key).ok().and_then(|id| u64::from_str_radix(id, 16).ok());
        if id.is_some() && value == b"removed" { Ok(()) } else { Err(RecordFault::Format) }
    }

    fn user(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        self.facts.auth.users += 1;
        let stored = StoredUser::parse(value).ok_or(RecordFault::Format)?;
        if stored.name != key {
            return Err(RecordFault::Disagrees);
        }
        self.root_has_its_role |= key == b"root" && stored.has_role_root;
        Ok(())
    }

    fn role(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        self.facts.auth.roles += 1;
        let name = role_name(value).ok_or(RecordFault::Format)?;
        if name == key { Ok(()) } else { Err(RecordFault::Disagrees) }
    }

    fn auth(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordFault> {
        match (key, value) {
            (b"authEnabled", [0]) => self.facts.auth.enabled = Some(false),
            (b"authEnabled", [1]) => self.facts.auth.enabled = Some(true),
            (b"authEnabled", _) => return Err(RecordFault::Format),
            (b"authRevision", _) => self.facts.auth.revision = Some(counted(value)?),
            // Of these two depends who may do what: an entry that went by another name is one of them.
            _ => return Err(RecordFault::Unknown),
        }
        Ok(())
    }
}

/// Eight bytes, the most significant first.
fn number(bytes: &[u8]) -> Result<u64, RecordFault> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| RecordFault::Format)
}

/// The same where it counts what happens one by one, and so never comes near its end.
fn counted(bytes: &[u8]) -> Result<u64, RecordFault> {
    let counted = number(bytes)?;
    if i64::try_from(counted).is_ok() { Ok(counted) } else { Err(RecordFault::Impossible) }
}

fn version(bytes: &[u8]) -> Result<String, RecordFault> {
    let version = std::str::from_utf8(bytes).ok().filter(|text| is_version(text));
    version.map(shortened).ok_or(RecordFault::Format)
}

/// Safe to show, and not longer than anybody wants to read.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bucket: OwnBucket, key: &[u8], value: &[u8]) -> Result<ClusterFacts, RecordFault> {
        let mut records = Records::default();
        records.entry(bucket, key, value)?;
        Ok(records.facts)
    }

    #[test]
    fn a_member_is_read_as_etcd_writes_it() {
        let value = br#"{"id":10276657743932975437,"peerURLs":["http://n1:2380"],"name":"n1","clientURLs":["http://n1:2379"]}"#;
        let facts = read(OwnBucket::Members, b"8e9e05c52164694d", value).unwrap();
        let expected = Member {
            id: HexId(0x8e9e_05c5_2164_694d),
            name: "n1".to_owned(),
            peer_urls: vec!["http://n1:2380".to_owned()],
            learner: false,
        };
        assert_eq!(facts.members, [expected]);
        // The pair that every etcd with default settings has.
        assert_eq!(facts.cluster_id_of_first_members(), Some(HexId(0xcdf8_1819_4e3a_8c32)));
        let other = read(OwnBucket::Members, b"8e9e05c52164694e", value);
        assert_eq!(other, Err(RecordFault::Disagrees));
    }

    #[test]
    fn what_is_not_written_as_etcd_writes_it_is_told() {
        for (bucket, key, value) in [
            (OwnBucket::Meta, &b"consistent_index"[..], &b"short"[..]),
            (OwnBucket::Meta, b"term", b""),
            (OwnBucket::Meta, b"scheduledCompactRev", b"1234567812345678x"),
            (OwnBucket::Meta, b"storageVersion", b"\xff"),
            (OwnBucket::Meta, b"confState", b"x\"voters\":[1]}"),
            (OwnBucket::Lease, b"1234567", b"\x08\x07"),
            (OwnBucket::Lease, &7_u64.to_be_bytes(), b"\x10\x07"),
            (OwnBucket::Lease, &7_u64.to_be_bytes(), b"\x08\x07\x12\x3c"),
            (OwnBucket::Alarm, b"\x08\x01", b""),
            (OwnBucket::Alarm, b"\x08\x01\x10\x09", b""),
            (OwnBucket::Alarm, b"\x08\x01\x10\x01\x18\x01", b""),
            (OwnBucket::Alarm, b"\x08\x01\x10\x01", b"x"),
            (OwnBucket::Cluster, b"clusterVersion", b"\xff"),
            (OwnBucket::Cluster, b"clusterVersion", b""),
            (OwnBucket::Cluster, b"clusterVersion", b"x.5.0"),
            (OwnBucket::Cluster, b"downgrade", b"{\"enabled\":"),
            (OwnBucket::MembersRemoved, b"8e9e05c52164694x", b"removed"),
            (OwnBucket::MembersRemoved, b"8e9e05c52164694d", b""),
            (OwnBucket::AuthUsers, b"root", b""),
            (OwnBucket::AuthUsers, b"root", b"\xff\x04root"),
            (OwnBucket::AuthRoles, b"reader", b"\x0a\x7freader"),
            (OwnBucket::Members, b"1", b"{"),
            (OwnBucket::Members, b"1", &[b' '; limits::ETCD_MEMBER_BYTES + 1]),
            (OwnBucket::Auth, b"authEnabled", b"\x02"),
            (OwnBucket::Auth, b"authRevision", b"1"),
        ] {
            assert_eq!(read(bucket, key, value), Err(RecordFault::Format), "{bucket} {key:?}");
        }
        for (bucket, key, value) in [
            (OwnBucket::Lease, &7_u64.to_be_bytes()[..], &b"\x08\x08\x10\x3c"[..]),
            (OwnBucket::AuthUsers, b"bob", b"\x0a\x05alice"),
            (OwnBucket::AuthRoles, b"writer", b"\x0a\x06reader"),
        ] {
            assert_eq!(read(bucket, key, value), Err(RecordFault::Disagrees), "{bucket} {key:?}");
        }
        for (bucket, key, value) in [
            (OwnBucket::Meta, &b"term"[..], &(1_u64 << 63).to_be_bytes()[..]),
            (OwnBucket::Lease, &7_u64.to_be_bytes(), b"\x08\x07"),
            (OwnBucket::Lease, &7_u64.to_be_bytes(), b"\x08\x07\x18\x3c"),
            (OwnBucket::Members, b"1", b"{\"id\":1}"),
        ] {
            assert_eq!(read(bucket, key, value), Err(RecordFault::Impossible), "{bucket} {key:?}");
        }
        let other = read(OwnBucket::Auth, b"authEnablee", b"\x01");
        assert_eq!(other, Err(RecordFault::Unknown));
    }

    #[test]
    fn alarms_and_auth_are_read() {
        let facts = read(OwnBucket::Alarm, b"\x08\x05\x10\x01", b"").unwrap();
        assert_eq!(facts.alarms, [Alarm { member: HexId(5), kind: AlarmKind::NoSpace }]);
        let facts = read(OwnBucket::Auth, b"authEnabled", b"\x01").unwrap();
        assert_eq!(facts.auth.enabled, Some(true));
        let facts = read(OwnBucket::AuthUsers, b"root", b"\x0a\x04root").unwrap();
        assert_eq!(facts.auth.users, 1);
        let facts = read(OwnBucket::AuthRoles, b"root", b"\x0a\x04root").unwrap();
        assert_eq!(facts.auth.roles, 1);
        let facts = read(OwnBucket::MembersRemoved, b"8e9e05c52164694d", b"removed").unwrap();
        assert_eq!(facts.members_removed, 1);
    }

    #[test]
    fn whether_root_has_its_role_is_read() {
        let has_it = |name: &[u8], value: &[u8]| {
            let mut records = Records::default();
            records.entry(OwnBucket::AuthUsers, name, value).unwrap();
            records.root_has_its_role
        };
        assert!(has_it(b"root", b"\x0a\x04root\x12\x01p\x1a\x05other\x1a\x04root\x22\x00"));
        assert!(!has_it(b"root", b"\x0a\x04root\x12\x01p"));
        assert!(!has_it(b"toor", b"\x0a\x04toor\x1a\x04root"));
    }
}
