use super::bbolt::{EntrySink, Layout, Metas, Walk};
use super::damage::DamageLog;
use super::mvcc::KEY_BUCKET;
use super::trailer::body_bytes;
use crate::formats::ReadAt;
use std::io;

/// Where the database is in a file that holds all of it; `None` when no meta page is usable or pages are missing.
pub(super) fn complete_layout<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
) -> io::Result<Option<Layout>> {
    if let Some(last) = length.checked_sub(1) {
        file.read_exact_at(&mut [0], last)?;
    }
    let body = body_bytes(length);
    let layout = Metas::read(file, body)?.layout;
    Ok(layout.filter(|layout| layout.bytes() <= body))
}

/// Hands every entry of the bucket `key` to `sink`, in order. Says whether there is such a bucket and all of it was read,
/// each entry in its place.
pub(super) fn walk_keys<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    sink: &mut dyn EntrySink,
) -> io::Result<bool> {
    walk_bucket(file, layout, KEY_BUCKET, sink)
}

/// As [`walk_keys`], of the bucket of this name.
pub(super) fn walk_bucket<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    name: &[u8],
    sink: &mut dyn EntrySink,
) -> io::Result<bool> {
    let mut walk = Walk::new(file, layout);
    let mut log = DamageLog::default();
    let buckets = walk.buckets(&mut log)?;
    let Some(bucket) = buckets.iter().find(|bucket| bucket.name == name) else {
        return Ok(false);
    };
    walk.entries(bucket, sink, &mut log)?;
    Ok(log.unbroken() && log.everything_read())
}
