//! An etcd that is restored from a snapshot on this machine, asked, and thrown away, and the folder that it lies in.

use super::{Answer, OutsideError};
use crate::ids::{RunId, StepId};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A folder of a run's own on this machine, for copies of backups: nobody else may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFolder {
    /// Its path.
    pub path: String,
    /// What a file in it says of whose it is.
    pub mark: String,
}

/// The file in a folder of a run's own that says whose it is.
pub const FOLDER_MARK: &str = "made-by-redrill";

impl OwnFolder {
    /// That of a run.
    pub fn of(path: impl Into<String>, run: &RunId) -> Self {
        Self { path: path.into(), mark: format!("made by redrill, run {run}; may be removed") }
    }

    /// Refuses paths that this program would not give: the folder is removed with everything in it.
    ///
    /// # Errors
    /// When the path is not absolute, leads through `..`, or does not end in a name that begins with `redrill-`.
    pub fn verify(&self) -> Result<(), OutsideError> {
        let path = Path::new(&self.path);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        if path.is_absolute() && plain && name.len() > 8 && name.starts_with("redrill-") {
            return Ok(());
        }
        Err(OutsideError::Failed(format!("{:?} is no folder of a run's own", self.path)))
    }

    /// Whose it is, by the mark that was found in it; `None` when there is no such folder.
    pub fn judge(&self, found: Option<&str>) -> FolderState {
        match found {
            None => FolderState::Gone,
            Some(mark) if mark == self.mark => FolderState::Ours,
            Some("") => FolderState::Foreign("nothing in it says whose it is".to_owned()),
            Some(other) => FolderState::Foreign(format!("it says {other:?}")),
        }
    }
}

/// What is done with a folder of a run's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderWork {
    /// Makes it, empty; what an earlier attempt has left in it is removed.
    Make,
    /// Looks for it.
    Find,
    /// Removes it with everything in it.
    Remove,
}

/// What has become of a folder of a run's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderState {
    /// It is not there.
    Gone,
    /// It is there.
    Ours,
    /// Something of that name is there, and it is not of this run: why.
    Foreign(String),
}

/// An etcd to be made of a snapshot.
#[derive(Clone, Debug)]
pub struct TrialRequest {
    /// The step it belongs to.
    pub step: StepId,
    /// The folder that it lies in, which is there, and empty.
    pub folder: OwnFolder,
    /// The snapshot, unpacked.
    pub snapshot: Arc<File>,
    /// Bytes of the snapshot.
    pub length: u64,
    /// How many members it has.
    pub members: u32,
    /// The folder of etcd's programs. Without it, they are looked for in the `PATH`.
    pub programs: Option<String>,
    /// How long its members may take to answer.
    pub ready_within: Duration,
    /// By how much the revision is to be moved forward (`--bump-revision`, `--mark-compacted`), where the programs can do that.
    pub bump_revision: Option<u64>,
}

impl TrialRequest {
    /// By how much these programs move the revision forward: not at all where they do not know how.
    pub fn forward_with(&self, programs: &TrialPrograms) -> Option<u64> {
        self.bump_revision.filter(|_| programs.knows_bump_revision)
    }
}

/// By which programs an etcd is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialPrograms {
    /// The version of etcd, as it says itself: `3.5.21`.
    pub version: String,
    /// The program that restores: `etcdutl`, or `etcdctl` before 3.5.
    pub tool: String,
    /// Whether that program knows `--bump-revision` and `--mark-compacted`: it says so itself.
    pub knows_bump_revision: bool,
}

/// How a part of the work ended, where the programs could be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Well.
    Done,
    /// Not: what the programs say. It may name what is in the snapshot.
    Refused(String),
}

/// What a member answers to `HashKV`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHash {
    /// Which member.
    pub member: String,
    /// The number.
    pub hash: u32,
    /// Up to which revision the member has thrown history away; -1 when it has not.
    pub compact_revision: i64,
    /// The last revision that the member has.
    pub revision: i64,
}

/// What all members answer to `HashKV`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialHashes {
    /// Each has one.
    All(Vec<MemberHash>),
    /// A member has compacted up to that revision or further, and refuses it.
    Compacted,
}

/// An etcd of one's own, which nobody else can ask. Its processes are killed when it is dropped, and when this process ends,
/// however that happens.
pub trait TrialEtcd: Send {
    /// Which programs make it.
    fn programs(&self) -> &TrialPrograms;
    /// Restores the snapshot for every member, with its digest verified, moved forward as far as was asked and its program knows how.
    ///
    /// An error says nothing of the snapshot: a program was killed, or this machine lacks something.
    fn restore(&mut self) -> Answer<'_, Tried>;
    /// Starts every member and waits until each answers a read that the others agree to.
    ///
    /// An error says nothing of the snapshot: the etcd asks for a password, a member was killed, or this machine lacks something.
    fn start(&mut self) -> Answer<'_, Tried>;
    /// Asks every member for `HashKV` at a revision; 0 stands for the last one.
    fn hash_kv(&mut self, revision: i64) -> Answer<'_, TrialHashes>;
    /// Counts the keys, or those of one name, as they were at a revision: keys with a lease go while it is asked.
    fn count<'a>(&'a mut self, key: Option<&'a str>, revision: i64) -> Answer<'a, u64>;
    /// Ends every member.
    fn stop(&mut self) -> Answer<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_its_own_are_ever_removed() {
        let run = RunId::new("cluster-0001-3fa9");
        let ours = OwnFolder::of("/tmp/redrill-cluster-0001-3fa9-restore", &run);
        assert_eq!(ours.verify(), Ok(()));
        for path in [
            "/",
            "/tmp",
            "/tmp/redrill-",
            "redrill-a",
            "/tmp/redrill-a/..",
            "/tmp/../redrill-a",
            "",
        ] {
            assert!(OwnFolder::of(path, &run).verify().is_err(), "{path}");
        }
        assert_eq!(ours.judge(None), FolderState::Gone);
        assert_eq!(ours.judge(Some(&ours.mark)), FolderState::Ours);
        let other = OwnFolder::of("/tmp/redrill-a", &RunId::new("cluster-0002-17bc")).mark;
        for mark in ["", other.as_str()] {
            assert!(matches!(ours.judge(Some(mark)), FolderState::Foreign(_)), "{mark}");
        }
    }
}
