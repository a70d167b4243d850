//! What an etcd snapshot file holds, and whether it can be trusted, without starting an etcd.
//!
//! Main entry: [`inspect`]; its result: [`Inspection`], summed up by [`Inspection::soundness`].
//!
//! A snapshot, as `etcdctl snapshot save` writes it, is a bbolt database followed by the 32 bytes of its SHA-256.
//! `snapshot status` never reads that trailer and bbolt has no checksums on its pages, so that a flipped byte in a
//! value looks fine there; a truncated file makes it crash. This reader checks the trailer, both meta pages, that all
//! pages are there, every page reachable from the root (identity, kind, bounds, order of keys, single reference), and
//! every revision, and computes the numbers that `snapshot status` would print, to be compared with recorded ones.
//!
//! What it does not do: leases, alarms, Kubernetes objects, `HashKV`. What must not go in here: where a snapshot comes
//! from, and what a drill thinks of it. No key or value of a user ever leaves this module, not even in a message: they
//! may be secrets.
//!
//! The work is linear in the size of the file, whatever its bytes say: no page is read twice, the pieces inside a
//! page may not overlap, depth is capped. Memory: one page with its overflow pages, the keys of the branch pages on
//! the way down, one bit per page, and some 32 bytes per live key.

mod bbolt;
mod damage;
mod inspection;
mod mvcc;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tiny_writer;
mod trailer;

pub use bbolt::{MetaFault, MetaState, PageFault};
pub use damage::{BucketFault, Damage, Packing, RevisionFault};
pub use inspection::{Completeness, Inspection, Soundness, Truncated, inspect};
pub use trailer::{Sha256Digest, Trailer};
