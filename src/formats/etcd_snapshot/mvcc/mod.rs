//! etcd's layer of revisions: what the bucket `key` holds, and what must hold between its entries (facts:
//! <https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/revision.go>,
//! <https://github.com/etcd-io/etcd/blob/main/api/mvccpb/kv.proto>,
//! <https://etcd.io/docs/v3.5/learning/data_model/>). Integers in keys are big-endian, values are Protocol Buffers.

mod by_key;
mod compaction;
mod history;
mod key_value;
mod lives;
mod revision;

pub(super) use by_key::{ByKey, KeyMark};
pub use compaction::Compaction;
pub(super) use compaction::read_compaction;
pub(super) use history::History;
pub(super) use key_value::KeyValue;
pub(super) use lives::{Lives, Unfollowed};
pub(super) use revision::Revision;
pub use revision::{KeyName, RevisionNumber};

/// The bucket that holds all revisions of all keys.
pub(super) const KEY_BUCKET: &[u8] = b"key";
/// The bucket of what a member notes for itself.
pub(super) const META_BUCKET: &[u8] = b"meta";
