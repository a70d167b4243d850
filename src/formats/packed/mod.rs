//! What a backup is packed in, recognised by its content and never by its name.
//!
//! Main entry: [`unpack`]. It reads a stream once (a file, the body of an answer, standard input), writes what is inside, and
//! never more than it is allowed to: an archive of a few bytes may hold terabytes. Memory: some hundred kilobytes; for
//! Zstandard its window besides, up to [`crate::limits::PACKED_WINDOW_BYTES`]. What is wrong with the packing is a [`PackingFault`]
//! beside what could be unpacked, and may be no damage: see [`PackingFault::is_damage`]. [`std::io::Error`] means that the stream could
//! not be read or the rest not written.
//!
//! | written by | packing |
//! |---|---|
//! | `etcdctl snapshot save`, kubeadm, OpenShift | none |
//! | kOps (etcd-manager): `etcd.backup.gz` | gzip |
//! | k3s, RKE2, RKE: `….zip`, when told to compress | zip, one file (RKE adds its state as JSON) |
//! | Gardener: `Full-…` with `.gz`, `.zlib`, or neither | gzip, zlib, none |
//! | Gardener with `compressionPolicy: lzw`: `Full-….Z` | LZW of Go |
//! | people | Zstandard |

mod inflate;
mod lzw;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod zip;
mod zstandard;

use super::ReadAt;
use serde::Serialize;
use sink::Sink;
use source::Source;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};

/// How a file is packed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// `1F 8B`: <https://www.rfc-editor.org/rfc/rfc1952>.
    Gzip,
    /// `PK 03 04`: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.
    Zip,
    /// `78` and a level: <https://www.rfc-editor.org/rfc/rfc1950>.
    Zlib,
    /// `28 B5 2F FD`: <https://www.rfc-editor.org/rfc/rfc8878>.
    Zstandard,
    /// The LZW of Go around a database of bbolt: <https://pkg.go.dev/compress/lzw>.
    Lzw,
}

/// How a file begins that is packed with Go's LZW (least significant bit first, literals of eight bits) and holds a bbolt database,
/// whose first 22 bytes are always the same: number and kind of page 0, the magic number, and the version. LZW has no mark of its own.
const LZW_OF_BBOLT: [u8; Packing::MARK_BYTES] =
    [0x00, 0x01, 0x08, 0x1C, 0x28, 0x90, 0x00, 0xC1, 0x81, 0xED, 0xB4];

impl Packing {
    /// How many bytes of a file tell how it is packed.
    pub const MARK_BYTES: usize = 11;

    /// What a file that begins like this is packed with. [`Self::MARK_BYTES`] are enough.
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            _ if first.starts_with(&LZW_OF_BBOLT) => Some(Self::Lzw),
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..] => Some(Self::Zlib),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstandard),
            _ => None,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zip => "zip",
            Self::Zlib => "zlib",
            Self::Zstandard => "zstd",
            Self::Lzw => "LZW",
        })
    }
}

/// Why what is packed was not unpacked, or is not what was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackingFault {
    /// It ends before its end: an upload or a write that broke off.
    Truncated,
    /// It cannot be read on from some place.
    Malformed,
    /// The checksum in it is not that of what was unpacked.
    Checksum,
    /// The length in it is not that of what was unpacked.
    Length,
    /// Other bytes follow its end.
    TrailingBytes,
    /// What it holds is larger than allowed.
    TooLarge {
        /// How many bytes are allowed.
        most: u64,
    },
    /// It goes on and on without anything that is packed in it.
    Idle {
        /// For more than so many bytes.
        most: u64,
    },
    /// Its content is encrypted.
    Encrypted,
    /// A way of packing that this reader does not know.
    Method {
        /// Its number in the zip file; 0, stored as it is, where the length of it is not told before it.
        number: u16,
    },
    /// A window of Zstandard that would take more memory than this reader has for it.
    Window {
        /// Its bytes.
        bytes: u64,
        /// How many are allowed.
        most: u64,
    },
    /// It is packed with a dictionary that is not in it.
    Dictionary,
    /// What it holds is packed once more.
    Again {
        /// With what.
        packing: Packing,
    },
    /// It holds no file that could be a backup.
    NoBackup,
    /// It holds several: nobody knows which one is meant. The first one was unpacked.
    SeveralBackups,
}

impl PackingFault {
    /// Whether the file is at fault. Otherwise this reader is, for which it is too much: the backup may be sound, and nothing of it is
    /// known.
    pub fn is_damage(self) -> bool {
        match self {
            Self::Truncated
            | Self::Malformed
            | Self::Checksum
            | Self::Length
            | Self::TrailingBytes
            | Self::Idle { .. }
            | Self::NoBackup => true,
            Self::TooLarge { .. }
            | Self::Encrypted
            | Self::Method { .. }
            | Self::Window { .. }
            | Self::Dictionary
            | Self::Again { .. }
            | Self::SeveralBackups => false,
        }
    }
}

impl fmt::Display for PackingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str(
                "it ends before its end: the upload or the write broke off, and what is missing is lost",
            ),
            Self::Malformed => f.write_str("it is damaged; what follows the damage is lost"),
            Self::Checksum => {
                f.write_str("its checksum is not that of its content: it was changed after it was written")
            }
            Self::Length => f.write_str("it names another length than its content has"),
            Self::TrailingBytes => f.write_str("other bytes follow its end"),
            Self::TooLarge { most } => {
                write!(f, "it holds more than {most} bytes, which this reader does not unpack")
            }
            Self::Idle { most } => {
                write!(f, "more than {most} bytes follow each other in which nothing is packed: it was not read on")
            }
            Self::Encrypted => f.write_str("it is encrypted: decrypt it first"),
            Self::Method { number: 0 } => {
                f.write_str("it holds a file as it is and does not say before it how long it is")
            }
            Self::Window { bytes, most } => write!(
                f,
                "its window takes {bytes} bytes of memory, and this reader has {most} for it"
            ),
            Self::Dictionary => f.write_str("it is packed with a dictionary that is not in it"),
            Self::Again { packing } => write!(f, "what it holds is packed once more, with {packing}"),
            Self::Method { number } => {
                write!(f, "it is packed with method {number} of zip, which this reader does not know")
            }
            Self::NoBackup => f.write_str("there is no file in it that could be a backup"),
            Self::SeveralBackups => {
                f.write_str("there are several files in it that could be the backup")
            }
        }
    }
}

/// What [`unpack`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unpacked {
    /// What it was packed with; `None`: with nothing, it was copied.
    pub packing: Option<Packing>,
    /// Bytes that were read.
    pub packed_bytes: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// What is wrong with the packing. What was written is then not all, or not what was packed.
    pub fault: Option<PackingFault>,
}

/// Why unpacking ended early: the stream or the target failed, or the packing is at fault.
enum Stop {
    Io(io::Error),
    Fault(PackingFault),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<PackingFault> for Stop {
    fn from(fault: PackingFault) -> Self {
        Self::Fault(fault)
    }
}

/// Copies `packed` into `into`, without what it is packed in, and no more than `most` bytes. One packing is taken off, never
/// a second one inside.
///
/// # Errors
/// When `packed` cannot be read or `into` not be written. A packing that is at fault is no error: see [`Unpacked::fault`].
pub fn unpack<R: Read, W: Write>(packed: R, into: W, most: u64) -> io::Result<Unpacked> {
    let mut source = Source::new(packed);
    let mut sink = Sink::new(into, most);
    let packing = Packing::of(source.peek(Packing::MARK_BYTES)?);
    let ended = match packing {
        None => copy(&mut source, &mut sink),
        Some(Packing::Gzip) => inflate::gzip(&mut source, &mut sink),
        Some(Packing::Zlib) => inflate::zlib(&mut source, &mut sink),
        Some(Packing::Zip) => zip::zip(&mut source, &mut sink),
        Some(Packing::Zstandard) => zstandard::zstandard(&mut source, &mut sink),
        Some(Packing::Lzw) => lzw::lzw(&mut source, &mut sink),
    };
    let inside = Packing::of(sink.beginning()).filter(|_| packing.is_some());
    let fault = match ended {
        Ok(()) => inside.map(|packing| PackingFault::Again { packing }),
        Err(Stop::Fault(fault)) => Some(fault),
        Err(Stop::Io(error)) => return Err(error),
    };
    sink.flush()?;
    Ok(Unpacked { packing, packed_bytes: source.read_bytes(), bytes: sink.bytes(), fault })
}

/// As [`unpack`], into a file without a name, in the folder for temporary files: nobody else can open it, and the system removes
/// it with the process, however that ends.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_into_file<R: Read>(packed: R, most: u64) -> io::Result<(File, Unpacked)> {
    let mut file = tempfile::tempfile()?;
    let unpacked = unpack(packed, &mut file, most)?;
    Ok((file, unpacked))
}

/// How a file of `length` bytes is packed.
///
/// # Errors
/// When it cannot be read.
pub fn packing_of<F: ReadAt + ?Sized>(file: &F, length: u64) -> io::Result<Option<Packing>> {
    let mut first = [0; Packing::MARK_BYTES];
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(first.len());
    let first = first.get_mut(..length).unwrap_or_default();
    file.read_exact_at(first, 0)?;
    Ok(Packing::of(first))
}

fn copy<R: Read, W: Write>(source: &mut Source<R>, sink: &mut Sink<W>) -> Result<(), Stop> {
    loop {
        let piece = source.piece()?;
        let length = piece.len();
        if length == 0 {
            return Ok(());
        }
        sink.take(piece)?;
        source.consume(length);
    }
}
