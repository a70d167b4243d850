//! An etcd that is made of a snapshot, without etcd's programs: it answers what the snapshot holds, unless the estate says
//! otherwise. No file is written.

use super::world::World;
use crate::formats::etcd_snapshot::{
    NoHashKv, hash_kv, hash_kv_moved_forward, inspect, kubernetes::take_inventory,
};
use crate::outside::trial::{
    FolderState, FolderWork, MemberHash, OwnFolder, TrialEtcd, TrialHashes, TrialPrograms,
    TrialRequest, Tried,
};
use crate::outside::{Answer, OutsideError};
use crate::time::{Clock, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// How an etcd behaves that is made of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrialAnswer {
    /// The version of its programs.
    pub version: String,
    /// They know `--bump-revision` and `--mark-compacted`.
    pub bump_revision: bool,
    /// By how much they move the revision forward, where that is not what they are asked for.
    pub bumps_by: Option<u64>,
    /// They move the revision forward, and call nothing compacted.
    pub marks_nothing: bool,
    /// They are not there.
    pub missing: bool,
    /// How long restoring all members takes.
    pub restore_takes: HumanDuration,
    /// Restoring is refused, with these words.
    pub refuses: Option<String>,
    /// How long the members take until they answer.
    pub ready_after: HumanDuration,
    /// A member ends right away, with these words.
    pub does_not_start: Option<String>,
    /// Starting is given up with these words, which say nothing of the snapshot: it asks for a password, there is no room.
    pub breaks: Option<String>,
    /// So many keys are missing in the last member.
    pub loses: u64,
}

impl Default for TrialAnswer {
    fn default() -> Self {
        Self {
            version: "3.5.21".to_owned(),
            bump_revision: true,
            bumps_by: None,
            marks_nothing: false,
            missing: false,
            restore_takes: HumanDuration(Duration::from_secs(4)),
            refuses: None,
            ready_after: HumanDuration(Duration::from_secs(3)),
            does_not_start: None,
            breaks: None,
            loses: 0,
        }
    }
}

/// A simulated etcd.
pub(super) struct SimulatedEtcd {
    answer: TrialAnswer,
    about: TrialPrograms,
    request: TrialRequest,
    clock: Clock,
}

impl SimulatedEtcd {
    /// # Errors
    /// Where the estate says that there are no programs.
    pub(super) fn open(
        answer: TrialAnswer,
        request: &TrialRequest,
        clock: Clock,
    ) -> Result<Self, OutsideError> {
        if answer.missing {
            return Err(OutsideError::Failed(
                "there is no program \"etcd\" in the PATH".to_owned(),
            ));
        }
        let about = TrialPrograms {
            version: answer.version.clone(),
            tool: "etcdutl".to_owned(),
            knows_bump_revision: answer.bump_revision,
        };
        Ok(Self { answer, about, request: request.clone(), clock })
    }

    /// By how much the revision was moved forward.
    fn forward(&self) -> Option<u64> {
        let asked = self.request.forward_with(&self.about)?;
        Some(self.answer.bumps_by.unwrap_or(asked))
    }

    /// Every member, which was moved forward.
    fn moved(&self, by: u64) -> Result<TrialHashes, OutsideError> {
        let moved = self.look(|file, length| Ok(hash_kv_moved_forward(file, length, by)?.ok()))?;
        let compacted = if self.answer.marks_nothing { -1 } else { moved.compact_revision };
        Ok(self.all(moved.hash, compacted, moved.revision))
    }

    /// Every member, of which the last may lack keys: whatever is missing, its number is another one.
    fn all(&self, hash: u32, compact_revision: i64, revision: i64) -> TrialHashes {
        let (members, loses) = (self.request.members, self.answer.loses > 0);
        let member = |number: u32| MemberHash {
            member: format!("m{number}"),
            hash: hash ^ u32::from(loses && number == members),
            compact_revision,
            revision,
        };
        TrialHashes::All((1..=members).map(member).collect())
    }

    fn look<T>(
        &self,
        look: impl FnOnce(&std::fs::File, u64) -> io::Result<Option<T>>,
    ) -> Result<T, OutsideError> {
        let failed = |why: String| OutsideError::Failed(format!("the simulated etcd: {why}"));
        let seen = look(&self.request.snapshot, self.request.length);
        let seen = seen.map_err(|error| failed(error.to_string()))?;
        seen.ok_or_else(|| failed("the snapshot cannot be read".to_owned()))
    }
}

impl TrialEtcd for SimulatedEtcd {
    fn programs(&self) -> &TrialPrograms {
        &self.about
    }

    fn restore(&mut self) -> Answer<'_, Tried> {
        Box::pin(async move {
            self.clock.sleep(self.answer.restore_takes.0).await;
            Ok(self.answer.refuses.clone().map_or(Tried::Done, Tried::Refused))
        })
    }

    fn start(&mut self) -> Answer<'_, Tried> {
        Box::pin(async move {
            let within = self.request.ready_within;
            let takes = self.answer.ready_after.0;
            self.clock.sleep(takes.min(within)).await;
            if let Some(said) = &self.answer.breaks {
                return Err(OutsideError::Failed(said.clone()));
            }
            if let Some(said) = &self.answer.does_not_start {
                return Ok(Tried::Refused(format!("m1 ended: {said}")));
            }
            Ok(if takes > within {
                Tried::Refused(format!("m1 did not answer within {}", HumanDuration(within)))
            } else {
                Tried::Done
            })
        })
    }

    /// As etcd does it: the revision up to which it has compacted is told only to who asks for the last one.
    fn hash_kv(&mut self, revision: i64) -> Answer<'_, TrialHashes> {
        Box::pin(async move {
            if let Some(by) = self.forward() {
                return if revision == 0 { self.moved(by) } else { Ok(TrialHashes::Compacted) };
            }
            let last =
                self.look(|file, length| Ok(inspect(file, length)?.current_revision()))?.max(1);
            let at = if revision == 0 { last } else { revision };
            let own = self.look(|file, length| {
                Ok(match hash_kv(file, length, Some(at), None)? {
                    Ok(hash) => Some(Ok(hash)),
                    Err(NoHashKv::Compacted { .. }) => Some(Err(())),
                    Err(_) => None,
                })
            })?;
            let Ok(own) = own else { return Ok(TrialHashes::Compacted) };
            if revision != 0 && own.compact_revision >= revision {
                return Ok(TrialHashes::Compacted);
            }
            Ok(self.all(own.hash, own.compact_revision, last))
        })
    }

    fn count<'a>(&'a mut self, key: Option<&'a str>, revision: i64) -> Answer<'a, u64> {
        Box::pin(async move {
            let facts = self.look(|file, length| Ok(inspect(file, length)?.cluster))?;
            if revision < facts.compaction.revision() {
                let text = "etcdctl: Error: etcdserver: mvcc: required revision has been compacted";
                return Err(OutsideError::Failed(text.to_owned()));
            }
            let Some(key) = key else {
                let keys = self.look(|file, length| Ok(inspect(file, length)?.live_keys))?;
                return Ok(keys.saturating_sub(self.answer.loses));
            };
            let asked = [key.to_owned()];
            let taken = self.look(|file, length| Ok(take_inventory(file, length, &asked)?.ok()))?;
            Ok(taken.named.values().flatten().count() as u64)
        })
    }

    fn stop(&mut self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl World {
    /// Does something with a folder of a run's own, of which only path and mark are kept. Its path has been verified.
    pub(crate) fn own_folder(&self, folder: &OwnFolder, work: FolderWork) -> FolderState {
        let mut state = self.state();
        let found = folder.judge(state.folders.get(&folder.path).map(String::as_str));
        match (work, &found) {
            (FolderWork::Find, _) | (_, FolderState::Foreign(_)) => found,
            (FolderWork::Make, _) => {
                state.folders.insert(folder.path.clone(), folder.mark.clone());
                FolderState::Ours
            }
            (FolderWork::Remove, _) => {
                state.folders.remove(&folder.path);
                FolderState::Gone
            }
        }
    }
}
