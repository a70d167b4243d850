use crate::formats::ReadAt;
use crate::formats::read_buffer::ReadBuffer;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;

/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: u64 = 32;

/// A database is a whole number of pages, so that a file with 32 bytes more than a multiple of this carries a trailer
/// (etcd's own rule, `hasChecksum` in `etcdutl/snapshot/v3_snapshot.go`).
const ALIGNMENT: u64 = 512;

/// How much is read at once while hashing.
const BLOCK_BYTES: usize = 256 * 1024;

/// A SHA-256 digest. Printed as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest(pub [u8; 32]);

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The SHA-256 that `etcdctl snapshot save` appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trailer {
    /// It is that of the bytes before it.
    Matches {
        /// The digest.
        sha256: Sha256Digest,
    },
    /// It is not: the file was changed or cut after it was written.
    Differs {
        /// The digest that the file carries.
        expected: Sha256Digest,
        /// The digest of the bytes that are there.
        found: Sha256Digest,
    },
    /// The file has none: a raw copy of a member's database, a file that was cut, or no snapshot at all. Its content
    /// can be examined, but not proven to be what etcd wrote.
    Missing,
}

impl Trailer {
    /// Hashes the file and compares, if its length says that it has a trailer.
    pub(super) fn check<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Self> {
        let body = body_bytes(length);
        if body == length {
            return Ok(Self::Missing);
        }
        let mut expected = [0; DIGEST_BYTES as usize];
        file.read_exact_at(&mut expected, body)?;
        let expected = Sha256Digest(expected);
        let found = hash(file, body)?;
        Ok(if expected == found {
            Self::Matches { sha256: found }
        } else {
            Self::Differs { expected, found }
        })
    }
}

/// The length of the database in a file of `length` bytes: all of it, or without its trailer.
pub(super) fn body_bytes(length: u64) -> u64 {
    if length % ALIGNMENT == DIGEST_BYTES { length - DIGEST_BYTES } else { length }
}

fn hash<R: ReadAt + ?Sized>(file: &R, length: u64) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    let mut block = ReadBuffer::of(BLOCK_BYTES);
    let mut offset = 0;
    while offset < length {
        let rest = usize::try_from(length - offset).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let piece = &mut block[..rest];
        file.read_exact_at(piece, offset)?;
        hasher.update(&*piece);
        offset += rest as u64;
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}
