//! Readers of what backups contain. No network, no AWS; every offset bounded, whatever the file says.
//!
//! Main entries: [`packed::unpack`], then [`etcd_snapshot::inspect`]. A reader takes its bytes through [`ReadAt`], finishes on every input in time
//! that is linear in the size of the file, and never panics: a damaged backup is a *finding* in the reader's result; an
//! [`std::io::Error`] means that the file could not be read at all. What must not go in here: anything that decides
//! whether a drill passed, and anything that fetches a backup from somewhere.

mod crc32c;
pub mod etcd_snapshot;
pub mod packed;
pub(crate) mod protobuf;
mod read_at;
mod read_buffer;

pub use read_at::ReadAt;
