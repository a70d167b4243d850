//! A stored snapshot as the hashes of members are compared with it.

use super::fetch::Snapshot;
use crate::action::{StepContext, StepError};
use crate::formats::etcd_snapshot::{
    HashKv, Inspection, NoHashKv, Soundness, hash_kv, inspect, inspect_unpacked,
};
use crate::formats::packed::{Unpacked, packing_of, unpack_into_file};
use crate::limits;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};

/// A snapshot, unpacked.
pub(super) struct Stored {
    file: File,
    length: u64,
    pub(super) inspection: Inspection,
    /// What it was packed in, if it was.
    pub(super) unpacked: Option<Unpacked>,
}

impl Stored {
    /// Unpacks and inspects a snapshot.
    ///
    /// # Errors
    /// When the file cannot be read. Whatever is wrong with its content stands in the inspection.
    pub(super) async fn read(context: &StepContext, snapshot: Snapshot) -> Result<Self, StepError> {
        let (mut file, length) = (snapshot.file, snapshot.length);
        computed(context, move || {
            if packing_of(&file, length)?.is_none() {
                let inspection = inspect(&file, length)?;
                return Ok(Self { file, length, inspection, unpacked: None });
            }
            file.seek(SeekFrom::Start(0))?;
            let (content, unpacked) = unpack_into_file(&file, limits::ETCD_BYTES)?;
            let inspection = inspect_unpacked(&content, &unpacked)?;
            let length = unpacked.bytes;
            Ok(Self { file: content, length, inspection, unpacked: Some(unpacked) })
        })
        .await
    }

    /// The revision at which an etcd is that starts from it, or why it is compared with nothing. `HashKV` is over the keys only: it is the same in a snapshot
    /// whose other bytes were changed, and which etcd therefore refuses.
    pub(super) fn comparable(&self) -> Result<i64, String> {
        let damaged = || "the snapshot is damaged: look at it with etcd.verify_snapshot".to_owned();
        if let Some(fault) = self.unpacked.as_ref().and_then(|unpacked| unpacked.fault) {
            return Err(fault.to_string());
        }
        match self.inspection.soundness() {
            Soundness::Sound => self.inspection.current_revision().ok_or_else(damaged),
            Soundness::Unproven(reasons) => Err(reasons.join("; ")),
            Soundness::Damaged => Err(damaged()),
            Soundness::Foreign(foreign) => Err(foreign.what().to_owned()),
        }
    }

    /// Its hash at a revision, for each of these compactions.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn hashes(
        &self,
        context: &StepContext,
        revision: i64,
        compactions: impl IntoIterator<Item = i64>,
    ) -> Result<BTreeMap<i64, Result<HashKv, NoHashKv>>, StepError> {
        let file = self.file.try_clone().map_err(|e| unreadable(&e))?;
        let (length, compactions): (u64, Vec<i64>) =
            (self.length, compactions.into_iter().collect());
        computed(context, move || {
            let hash = |compacted: i64| {
                Ok((compacted, hash_kv(&file, length, Some(revision), Some(compacted))?))
            };
            compactions.into_iter().map(hash).collect()
        })
        .await
    }
}

/// In a real run on a thread of its own, since it computes for seconds; in a rehearsal in place, since paused time does not wait
/// for threads.
pub(super) async fn computed<T: Send + 'static>(
    context: &StepContext,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StepError> {
    if context.clock.is_simulated() {
        return work().map_err(|e| unreadable(&e));
    }
    let ended = tokio::task::spawn_blocking(work).await;
    ended
        .map_err(|e| StepError::broken(format!("the inspection did not end: {e}")))?
        .map_err(|e| unreadable(&e))
}

fn unreadable(error: &io::Error) -> StepError {
    StepError::broken(format!("the snapshot cannot be read: {error}"))
}
