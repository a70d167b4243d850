//! Running etcd members in a rehearsal: each stores what a snapshot file of the estate holds, and answers from it. Hashes are
//! computed from the file as etcd would, so that a member with another file differs as a real one does.

use super::world::World;
use crate::error::{Error, Result};
use crate::formats::etcd_snapshot::{ClusterFacts, HashKv, Inspection, NoHashKv, hash_kv, inspect};
use crate::ids::Digest;
use crate::limits;
use crate::outside::etcd::{
    EtcdHash, EtcdHashed, EtcdListed, EtcdLogin, EtcdMember, EtcdPieces, EtcdStatus,
};
use crate::outside::{Answer, OutsideError};
use crate::time::{ByteSize, HumanDuration};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Bytes of a piece of a snapshot, as etcd sends it.
const PIECE: usize = 32 << 10;

/// A member of a running etcd cluster, under its client URL. All of an estate are members of one cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdAnswer {
    /// Its name. Its number is the one that the file records under this name; another one where it records none.
    pub name: String,
    /// What it stores: a snapshot, whose path starts at the estate file.
    pub file: String,
    /// The version that it says it runs.
    #[serde(default = "some_version")]
    pub version: String,
    /// It has compacted its history up to this revision since the snapshot was taken.
    #[serde(default)]
    pub compacted: Option<i64>,
    /// It listens only, without a vote.
    #[serde(default)]
    pub learner: bool,
    /// Alarms that it reports.
    #[serde(default)]
    pub errors: Vec<String>,
    /// It does not answer.
    #[serde(default)]
    pub silent: bool,
    /// A snapshot of it breaks off after so many bytes.
    #[serde(default)]
    pub breaks_off_at: Option<ByteSize>,
    /// A byte of its snapshots is changed on the way.
    #[serde(default)]
    pub garbles: bool,
    /// How large it says its database is, where that is not the size of the file.
    #[serde(default)]
    pub database_size: Option<ByteSize>,
    /// How long a call takes.
    #[serde(default)]
    pub takes: HumanDuration,
}

fn some_version() -> String {
    "3.5.1".to_owned()
}

/// Whether every member's file is there and holds a database of etcd.
pub(super) fn check(members: &BTreeMap<String, EtcdAnswer>, directory: &Path) -> Result<()> {
    for (endpoint, member) in members {
        let stored = Stored::read(&directory.join(&member.file));
        let stored =
            stored.map_err(|e| Error::bad_input(format!("answers.etcd.{endpoint}: {e}")))?;
        if stored.inspection.revision.is_none() {
            let text =
                format!("answers.etcd.{endpoint}: {} holds no database of etcd", member.file);
            return Err(Error::bad_input(text));
        }
    }
    Ok(())
}

/// What a member stores.
struct Stored {
    bytes: Bytes,
    inspection: Inspection,
}

impl Stored {
    fn read(path: &Path) -> std::result::Result<Self, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let bytes = limits::read_file(path, limits::ESTATE_OBJECT_BYTES).map_err(failed)?;
        let inspection = inspect(&bytes[..], bytes.len() as u64).map_err(failed)?;
        Ok(Self { bytes: bytes.into(), inspection })
    }

    fn facts(&self) -> ClusterFacts {
        self.inspection.cluster.clone().unwrap_or_default()
    }

    fn cluster(&self) -> u64 {
        let recorded = self.facts().cluster_id_of_first_members();
        recorded.map_or_else(|| number("the cluster of the estate"), |id| id.0)
    }

    /// The number of the member with this name.
    fn member(&self, name: &str) -> u64 {
        let facts = self.facts();
        let recorded = facts.members.iter().find(|member| member.name == name);
        recorded.map_or_else(|| number(name), |member| member.id.0)
    }

    fn revision(&self) -> i64 {
        self.inspection.current_revision().unwrap_or(1).max(1)
    }
}

/// A number made of a name.
fn number(name: &str) -> u64 {
    let digest = Digest::of(name.as_bytes()).short(16);
    u64::from_str_radix(&digest, 16).unwrap_or(1)
}

impl World {
    /// Connects to a member that the estate has under this client URL.
    pub(super) async fn etcd(
        &self,
        login: &EtcdLogin,
    ) -> std::result::Result<Box<dyn EtcdMember>, OutsideError> {
        let (members, directory) = {
            let state = self.state();
            (state.estate.answers.etcd.clone(), state.estate.directory.clone())
        };
        let Some(answer) = members.get(&login.endpoint) else {
            return Err(OutsideError::NotRehearsed(format!("the etcd at {}", login.endpoint)));
        };
        if answer.silent {
            self.clock().sleep(login.timeout).await;
            let limit = HumanDuration(login.timeout);
            return Err(OutsideError::Unreachable(format!(
                "the member did not answer within {limit}"
            )));
        }
        let read = |answer: &EtcdAnswer| {
            Stored::read(&directory.join(&answer.file)).map_err(OutsideError::Failed)
        };
        let stored = read(answer)?;
        let list = |(endpoint, other): (&String, &EtcdAnswer)| EtcdListed {
            member: stored.member(&other.name),
            name: other.name.clone(),
            client_urls: vec![endpoint.clone()],
            learner: other.learner,
        };
        let listed = members.iter().map(list).collect();
        let takes = answer.takes.0.max(Duration::from_millis(5));
        self.clock().sleep(takes).await;
        Ok(Box::new(EstateMember {
            world: self.clone(),
            answer: answer.clone(),
            stored,
            listed,
            takes,
        }))
    }
}

struct EstateMember {
    world: World,
    answer: EtcdAnswer,
    stored: Stored,
    listed: Vec<EtcdListed>,
    takes: Duration,
}

impl EstateMember {
    fn hashed(&self, revision: i64) -> std::result::Result<EtcdHashed, OutsideError> {
        let (bytes, last) = (&self.stored.bytes, self.stored.revision());
        let at = if revision == 0 { last } else { revision };
        let hash = hash_kv(&bytes[..], bytes.len() as u64, Some(at), self.answer.compacted);
        match hash.map_err(|e| OutsideError::Failed(e.to_string()))? {
            // As etcd does: the compacted revision itself is told only to who asks for the last one.
            Ok(hash) if revision != 0 && hash.compact_revision >= revision => {
                Ok(EtcdHashed::Compacted)
            }
            Ok(HashKv { compact_revision, hash, .. }) => Ok(EtcdHashed::Hash(EtcdHash {
                cluster: self.stored.cluster(),
                member: self.stored.member(&self.answer.name),
                member_revision: last,
                compact_revision,
                hash,
            })),
            Err(NoHashKv::Future { .. }) => Ok(EtcdHashed::Future),
            Err(NoHashKv::Compacted { .. }) => Ok(EtcdHashed::Compacted),
            Err(damaged @ NoHashKv::Damaged) => Err(OutsideError::Failed(damaged.to_string())),
        }
    }
}

impl EtcdMember for EstateMember {
    fn status(&mut self) -> Answer<'_, EtcdStatus> {
        Box::pin(async move {
            self.world.clock().sleep(self.takes).await;
            Ok(EtcdStatus {
                cluster: self.stored.cluster(),
                member: self.stored.member(&self.answer.name),
                revision: self.stored.revision(),
                version: self.answer.version.clone(),
                database_bytes: self
                    .answer
                    .database_size
                    .map_or(self.stored.bytes.len() as u64, |size| size.0),
                learner: self.answer.learner,
                errors: self.answer.errors.clone(),
            })
        })
    }

    fn members(&mut self) -> Answer<'_, Vec<EtcdListed>> {
        Box::pin(async move {
            self.world.clock().sleep(self.takes).await;
            Ok(self.listed.clone())
        })
    }

    fn hash_kv(&mut self, revision: i64) -> Answer<'_, EtcdHashed> {
        Box::pin(async move {
            self.world.clock().sleep(self.takes).await;
            self.hashed(revision)
        })
    }

    fn snapshot(&mut self) -> Answer<'_, Box<dyn EtcdPieces>> {
        Box::pin(async move {
            self.world.clock().sleep(self.takes).await;
            let mut bytes = self.stored.bytes.to_vec();
            if self.answer.garbles
                && let Some(byte) = bytes.get_mut(PIECE / 2)
            {
                *byte ^= 1;
            }
            let breaks_off_at = self.answer.breaks_off_at.map(|size| size.0);
            let rest = Bytes::from(bytes);
            let pieces = EstatePieces {
                world: self.world.clone(),
                rest,
                sent: 0,
                breaks_off_at,
                takes: self.takes,
            };
            Ok(Box::new(pieces) as Box<dyn EtcdPieces>)
        })
    }
}

struct EstatePieces {
    world: World,
    rest: Bytes,
    sent: u64,
    breaks_off_at: Option<u64>,
    takes: Duration,
}

impl EtcdPieces for EstatePieces {
    fn next(&mut self) -> Answer<'_, Option<Bytes>> {
        Box::pin(async move {
            self.world.clock().sleep(self.takes).await;
            if self.breaks_off_at.is_some_and(|at| self.sent >= at) {
                return Err(OutsideError::Unreachable(format!(
                    "the snapshot broke off {} bytes before its end",
                    self.rest.len()
                )));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let allowed = self.breaks_off_at.map_or(u64::MAX, |at| at - self.sent);
            let length = self.rest.len().min(PIECE).min(usize::try_from(allowed).unwrap_or(PIECE));
            let piece = self.rest.split_to(length);
            self.sent += piece.len() as u64;
            Ok(Some(piece))
        })
    }
}
