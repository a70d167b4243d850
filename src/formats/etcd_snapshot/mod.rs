//! What an etcd snapshot file holds, and whether it can be trusted, without starting an etcd.
//!
//! Main entries: [`inspect`], whose result is an [`Inspection`], summed up by [`Inspection::soundness`]; [`hash_kv`], the number
//! on which the members of a cluster agree; [`kubernetes::take_inventory`] and [`kubernetes::compare`]. Each reads the file by
//! itself. A packed backup goes through [`super::packed::unpack`] first.
//!
//! A snapshot, as `etcdctl snapshot save` writes it, is a bbolt database followed by the 32 bytes of its SHA-256.
//! `snapshot status` never reads that trailer and bbolt has no checksums on its pages, so that a flipped byte in a
//! value looks fine there; a truncated file makes it crash. This reader checks the trailer, both meta pages, that all
//! pages are there, every page reachable from the root (identity, kind, bounds, order of keys, single reference), and
//! every revision and what revisions say of each other, leases, members, users and alarms, and computes the numbers that
//! `snapshot status` would print, to be compared with recorded ones. The hash runs on a thread of its own.
//!
//! What must not go in here: where a snapshot comes from, and what a drill thinks of it. No value of a user ever leaves this
//! module, and no key in a message: they may be secrets. Keys by which damage can be found are [`KeyName`]s, beside the
//! message; whoever shows them decides that.
//!
//! Which damage is named how is shown by the exhibits in `museum/`. Not to be told from health by anything in the file, where it was
//! there before the snapshot was saved:
//! - a value with other bytes in it, or with another name of its key in all of that key's changes;
//! - a deletion that names another key which exists;
//! - a lease, and a key that hangs on one, with another number in both; a lease with another time to live;
//! - authentication that was switched off; passwords and roles of users and keys of permissions with other bytes in them;
//! - other numbers in `consistent_index` and `term`, other names and addresses of members, another digit in the cluster's version;
//! - what a change at or below the compaction says of its key's earlier ones; one change of several of the last transaction;
//! - the only change that a compaction had left of a key, lost without a trace in its page;
//! - a change at or below the compaction that is back with a page of before, where it is the only one of its key there: of a key that
//!   was deleted by then, or in the place of a newer one (two changes of one key are told, and a deletion);
//! - the changes after the last one that is there, lost with their pages, as when a table's root is one of its own first leaves
//!   (told as [`Note::CompactedBeyond`] where a compaction went further);
//! - a good snapshot of another time or cluster.
//!
//! Against these help [`hash_kv`] of the members and [`kubernetes::compare`].
//!
//! Revisions are judged by what etcd 3.4 to 3.6 writes. In a cluster that was migrated from etcd 2 and never compacted since,
//! revisions are not counted one by one: it would be called damaged.
//!
//! The work is linear in the size of the file, whatever its bytes say: in one look no page is read twice, the pieces inside a
//! page may not overlap, depth is capped. Memory: one page with its overflow pages, the keys of the branch pages on
//! the way down, one bit per page, eight bytes per lease, and some 25 to 50 bytes per living key, however long it is. [`inspect`] follows 1.05 million keys (and
//! leases of keys) at a time, and looks again for those beyond, so that it stays below 64 MiB; [`hash_kv`] and
//! [`kubernetes::take_inventory`] do not. Real keys of an API server number some ten thousands to some hundred thousands.

mod bbolt;
mod damage;
mod fault;
mod foreign;
mod hash_kv;
#[cfg(test)]
mod hostile_tests;
mod inspection;
mod keys;
pub mod kubernetes;
mod later;
mod leases;
#[cfg(test)]
pub(crate) mod museum;
mod mvcc;
mod note;
mod records;
mod stored;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tiny_writer;
mod trailer;

pub use super::packed::Packing;
pub use bbolt::{MetaFault, MetaField, MetaState, PageFault};
pub use damage::{Damage, LostRevisions};
pub use fault::{BucketFault, OwnBucket, RecordFault, RevisionFault};
pub use foreign::Foreign;
pub use hash_kv::{HashKv, NoHashKv, hash_kv, hash_kv_moved_forward};
pub use inspection::{Completeness, Inspection, Soundness, Truncated, inspect, inspect_unpacked};
pub use mvcc::{Compaction, KeyName, RevisionNumber};
pub use note::Note;
pub use records::{Alarm, AlarmKind, Auth, ClusterFacts, HexId, Member};
pub use trailer::{Sha256Digest, Trailer};
