//! bbolt, the file format under etcd: meta pages, pages, and a walk over the tree.
//!
//! Facts from bbolt's own source (`page.go`, `meta.go`, `bucket.go`, `node.go`, `tx_check.go` of go.etcd.io/bbolt);
//! all integers are little-endian. Knows nothing of revisions; [`Walk`] is the main type.

mod ahead;
mod bytes;
mod meta;
mod page;
mod walk;

pub use meta::{MetaFault, MetaField, MetaState};
pub use page::PageFault;

#[cfg(test)]
pub(super) use meta::fnv1a;
pub(super) use meta::{Layout, Metas};
pub(super) use page::Place;
pub(super) use walk::{EntrySink, Walk};
