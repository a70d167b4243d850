use super::super::bbolt::{EntrySink, Layout, Place, Walk};
use super::super::damage::DamageLog;
use super::{META_BUCKET, Revision};
use crate::formats::ReadAt;
use serde::Serialize;
use std::io;

/// Up to which revision history was thrown away (`server/storage/schema/bucket.go`). Below it, only the last change of each
/// key that existed then is left; above it, every change must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// The revision of the last compaction that was begun (`scheduledCompactRev`).
    pub scheduled: Option<i64>,
    /// The revision of the last compaction that has ended (`finishedCompactRev`).
    pub finished: Option<i64>,
}

impl Compaction {
    /// Whether a compaction had begun and not ended. Harmless: etcd goes on with it when it starts.
    pub fn in_flight(&self) -> bool {
        self.scheduled > self.finished
    }

    /// What etcd takes as `compact_revision` after it has started from this snapshot: -1 when nothing was ever compacted.
    pub fn revision(&self) -> i64 {
        self.scheduled.max(self.finished).unwrap_or(-1)
    }

    /// Up to which revision a compaction has certainly thrown history away: -1 when none has ended. etcd notes that in the transaction
    /// that takes the last entries away (`scheduleCompaction` in
    /// <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/kvstore_compaction.go>), and what is gone stays so while the next
    /// compaction is in flight. Where the two notes contradict each other, the lower one is taken.
    pub(in super::super) fn ended(&self) -> i64 {
        self.scheduled.min(self.finished).unwrap_or(-1)
    }

    /// Takes what an entry of the bucket `meta` says; `false` when it is one of the two and unreadable.
    pub(in super::super) fn note(&mut self, key: &[u8], value: &[u8]) -> bool {
        let place = match key {
            b"scheduledCompactRev" => &mut self.scheduled,
            b"finishedCompactRev" => &mut self.finished,
            _ => return true,
        };
        let revision = Revision::parse(value).filter(|revision| !revision.deleted);
        *place = revision.map(|revision| revision.number.main);
        place.is_some()
    }
}

impl EntrySink for Compaction {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        self.note(key, value);
    }
}

/// Reads the bucket `meta` ahead of everything else, because what the bucket `key` must hold depends on it. What is damaged
/// in there is told when the walk comes to it.
pub(in super::super) fn read_compaction<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
) -> io::Result<Compaction> {
    let mut walk = Walk::new(file, layout);
    let mut unheard = DamageLog::default();
    let mut compaction = Compaction::default();
    let buckets = walk.buckets(&mut unheard)?;
    if let Some(meta) = buckets.iter().find(|bucket| bucket.name == META_BUCKET) {
        walk.entries(meta, &mut compaction, &mut unheard)?;
    }
    Ok(compaction)
}
