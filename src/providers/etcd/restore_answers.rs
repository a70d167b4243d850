//! What a restored etcd is asked, and what its answers are held against.

use super::restore::{RestoreOutput, Trial};
use super::restore_judge::{self, Answers, Forward};
use super::source::{Seen, compute};
use crate::action::{StepContext, StepError};
use crate::formats::etcd_snapshot::{HashKv, NoHashKv, hash_kv, hash_kv_moved_forward};
use crate::outside::OutsideError;
use crate::outside::trial::{MemberHash, TrialEtcd, TrialHashes, TrialPrograms};
use crate::time::HumanDuration;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// What is computed from the snapshot, by the revision up to which a member has thrown history away.
type Expected = BTreeMap<i64, Result<HashKv, NoHashKv>>;

impl Trial<'_> {
    /// What the members answer at a revision, and what is computed from the snapshot, by the revision up to which history is gone.
    async fn hashes(
        &self,
        etcd: &mut dyn TrialEtcd,
        revision: i64,
        forward: &Forward,
    ) -> Result<(Result<Vec<MemberHash>, OutsideError>, Expected), StepError> {
        let hashes = match forward.to() {
            None => hashes_at(etcd, revision).await,
            Some((to, _)) => hashes_behind_the_mark(etcd, to).await,
        };
        let expected = match (&hashes, forward.to()) {
            (Err(_), _) => Expected::new(),
            (Ok(hashes), None) => {
                expected_hashes(self.context, self.seen, revision, hashes).await?
            }
            (Ok(_), Some((to, by))) => {
                expected_behind_the_mark(self.context, self.seen, to, by).await?
            }
        };
        Ok((hashes, expected))
    }

    /// Asks for everything, and writes down what it means. The times are left out.
    pub(super) async fn ask(
        &self,
        etcd: &mut dyn TrialEtcd,
        programs: TrialPrograms,
    ) -> Result<RestoreOutput, StepError> {
        let context = self.context;
        let revision = self.seen.inspection.current_revision();
        let revision = revision.ok_or_else(|| StepError::broken("the snapshot has no revision"))?;
        // Of an empty etcd, which is at revision 1, nothing was changed.
        let last = self.seen.inspection.revision.unwrap_or(revision);
        let forward = Forward::of(self.input.bump_revision, &programs, last);
        let asked = forward.to().map_or(revision.max(1), |(to, _)| to);
        let (hashes, expected) = self.hashes(etcd, asked, &forward).await?;
        let count = etcd.count(None, asked).await;
        let mut named = Vec::new();
        for key in &self.input.keys {
            named.push((key.clone(), etcd.count(Some(key), asked).await));
        }
        let live_keys = self.seen.inspection.live_keys;
        let moved_to = forward.to().map(|(to, _)| to);
        let answers = Answers { forward, hashes, expected, count, live_keys, named };
        let shown = |said: &str| context.data(said);
        let judged = restore_judge::judged(&answers, asked, &shown);
        for check in judged.checks {
            context.check(check).await?;
        }
        for finding in judged.findings {
            context.finding(finding).await?;
        }
        Ok(RestoreOutput {
            etcd_version: programs.version,
            tool: programs.tool,
            knows_bump_revision: programs.knows_bump_revision,
            moved_to,
            members: self.input.members,
            revision,
            keys: answers.count.unwrap_or_default(),
            hash_kv: judged.agreed.map(|hash| format!("{hash:x}")),
            restore_took: HumanDuration::default(),
            start_took: HumanDuration::default(),
            took: HumanDuration::default(),
        })
    }
}

/// The hashes of members that were moved forward, at their last revision, which is where they were moved to. Where one has gone on since,
/// as when a lease runs out, newer versions of etcd still tell that of before.
async fn hashes_behind_the_mark(
    etcd: &mut dyn TrialEtcd,
    to: i64,
) -> Result<Vec<MemberHash>, OutsideError> {
    let last = all_of(etcd.hash_kv(0).await?, to)?;
    if !last.iter().any(|hash| hash.revision > to && hash.compact_revision == to) {
        return Ok(last);
    }
    all_of(etcd.hash_kv(to).await?, to)
}

fn all_of(hashes: TrialHashes, revision: i64) -> Result<Vec<MemberHash>, OutsideError> {
    match hashes {
        TrialHashes::All(hashes) => Ok(hashes),
        TrialHashes::Compacted => Err(gone_on(revision)),
    }
}

fn gone_on(revision: i64) -> OutsideError {
    OutsideError::Failed(format!(
        "history is compacted up to revision {revision}, and a member has gone on since, as when a lease runs out: no hash tells of \
         that revision any more"
    ))
}

/// The hashes of all members at a revision. etcd refuses the one up to which it has compacted, unless that is the last one and no
/// revision is named: a snapshot whose whole history is compacted.
async fn hashes_at(
    etcd: &mut dyn TrialEtcd,
    revision: i64,
) -> Result<Vec<MemberHash>, OutsideError> {
    if let TrialHashes::All(hashes) = etcd.hash_kv(revision).await? {
        return Ok(hashes);
    }
    match etcd.hash_kv(0).await? {
        TrialHashes::All(hashes) if hashes.iter().all(|hash| hash.revision == revision) => {
            Ok(hashes)
        }
        _ => Err(gone_on(revision)),
    }
}

/// What members have that were moved forward.
async fn expected_behind_the_mark(
    context: &StepContext,
    seen: &Seen,
    to: i64,
    by: u64,
) -> Result<Expected, StepError> {
    let (content, length): (Arc<File>, u64) = (seen.content.clone(), seen.length);
    let own = compute(context, move || hash_kv_moved_forward(&*content, length, by)).await?;
    Ok(Expected::from([(to, own)]))
}

async fn expected_hashes(
    context: &StepContext,
    seen: &Seen,
    revision: i64,
    hashes: &[MemberHash],
) -> Result<Expected, StepError> {
    let (content, length): (Arc<File>, u64) = (seen.content.clone(), seen.length);
    let mut compactions: Vec<i64> = hashes.iter().map(|hash| hash.compact_revision).collect();
    compactions.sort_unstable();
    compactions.dedup();
    compute(context, move || {
        let of = |compacted: i64| -> io::Result<_> {
            Ok((compacted, hash_kv(&*content, length, Some(revision), Some(compacted))?))
        };
        compactions.into_iter().map(of).collect()
    })
    .await
}
