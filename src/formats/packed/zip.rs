//! Zip as a stream: each file comes with a header of its own, so that the directory at the end is not needed to unpack. It is
//! read all the same: without it the archive was cut.

use super::inflate::inflate;
use super::sink::Sink;
use super::source::Source;
use super::{PackingFault, Stop};
use flate2::Decompress;
use std::io::{Read, Write};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The header before a file.
struct Entry {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    length: u64,
    zip64: bool,
    folder: bool,
}

impl Entry {
    /// Checksum and lengths follow the content instead of preceding it.
    fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

pub(super) fn zip<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    let mut backups = 0_u32;
    while source.peek(4)?.starts_with(b"PK\x03\x04") {
        let entry = read_entry(source)?;
        if entry.folder {
            source.skip(entry.packed)?;
            continue;
        }
        let is_backup = unpack_entry(source, sink, &entry, backups > 0)?;
        backups = backups.saturating_add(u32::from(is_backup));
    }
    directory(source)?;
    match backups {
        0 => Err(PackingFault::NoBackup.into()),
        1 => Ok(()),
        _ => Err(PackingFault::SeveralBackups.into()),
    }
}

fn read_entry<R: Read>(source: &mut Source<R>) -> Result<Entry, Stop> {
    let header = source.take::<30>()?;
    let short = |at: usize| match header.get(at..at + 2) {
        Some([low, high]) => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    let long = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
    let mut entry = Entry {
        flags: short(6),
        method: short(8),
        crc: long(14),
        packed: long(18).into(),
        length: long(22).into(),
        zip64: false,
        folder: false,
    };
    let mut last = 0;
    for _ in 0..short(26) {
        [last] = source.take()?;
    }
    entry.folder = last == b'/';
    extra(source, &mut entry, short(28))?;
    Ok(entry)
}

/// The extra fields, of which only the one with 64-bit lengths matters.
fn extra<R: Read>(source: &mut Source<R>, entry: &mut Entry, bytes: u16) -> Result<(), Stop> {
    let mut left = bytes;
    while left >= 4 {
        let [kind, length] = [source.take::<2>()?, source.take()?].map(u16::from_le_bytes);
        left = (left - 4).checked_sub(length).ok_or(PackingFault::Malformed)?;
        let mut unread = length;
        if kind == 1 {
            entry.zip64 = true;
            for field in [&mut entry.length, &mut entry.packed] {
                if *field == u64::from(u32::MAX) && unread >= 8 {
                    *field = u64::from_le_bytes(source.take()?);
                    unread -= 8;
                }
            }
        }
        source.skip(unread.into())?;
    }
    source.skip(left.into())
}

/// Unpacks a file. What cannot be the backup (the state of RKE, which is JSON, and every file after the backup) is read, but
/// not written. Says whether it could be the backup.
fn unpack_entry<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    entry: &Entry,
    taken: bool,
) -> Result<bool, Stop> {
    if entry.flags & 1 != 0 {
        return Err(PackingFault::Encrypted.into());
    }
    let is_json = match entry.method {
        STORED => source.peek(1)?.first() == Some(&b'{'),
        DEFLATED => begins_with_brace(source.peek(BEGINNING)?),
        number => return Err(PackingFault::Method { number }.into()),
    };
    sink.begin(taken || is_json);
    if entry.method == DEFLATED {
        inflate(source, sink, Decompress::new(false))?;
    } else if entry.has_descriptor() {
        // Only the directory at the end says where it ends.
        return Err(PackingFault::Method { number: STORED }.into());
    } else {
        stored(source, sink, entry.packed)?;
    }
    let (crc, length) = if entry.has_descriptor() {
        descriptor(source, entry, sink.part_bytes())?
    } else {
        (entry.crc, entry.length)
    };
    if crc != sink.crc() {
        return Err(PackingFault::Checksum.into());
    }
    if length != sink.part_bytes() {
        return Err(PackingFault::Length.into());
    }
    Ok(!is_json && length > 0)
}

/// How much packed content is looked at to see how the unpacked content begins.
const BEGINNING: usize = 512;

fn begins_with_brace(packed: &[u8]) -> bool {
    let mut first = [0; 1];
    let mut decoder = Decompress::new(false);
    let unpacked = decoder.decompress(packed, &mut first, flate2::FlushDecompress::None);
    unpacked.is_ok() && decoder.total_out() == 1 && first == [b'{']
}

fn stored<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    bytes: u64,
) -> Result<(), Stop> {
    let mut left = bytes;
    while left > 0 {
        let piece = source.piece()?;
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let Some(piece) = piece.get(..now).filter(|piece| !piece.is_empty()) else {
            return Err(PackingFault::Truncated.into());
        };
        sink.take(piece)?;
        source.consume(now);
        source.has_given();
        left -= now as u64;
    }
    Ok(())
}

/// The checksum and the length behind a file. Lengths have eight bytes where four are not enough, or where the header said so.
fn descriptor<R: Read>(
    source: &mut Source<R>,
    entry: &Entry,
    unpacked: u64,
) -> Result<(u32, u64), Stop> {
    if source.peek(4)?.starts_with(b"PK\x07\x08") {
        source.consume(4);
    }
    let crc = u32::from_le_bytes(source.take()?);
    if entry.zip64 || unpacked > u64::from(u32::MAX) {
        source.take::<8>()?;
        return Ok((crc, u64::from_le_bytes(source.take()?)));
    }
    source.take::<4>()?;
    Ok((crc, u32::from_le_bytes(source.take()?).into()))
}

/// The directory, up to the record that ends the archive.
fn directory<R: Read>(source: &mut Source<R>) -> Result<(), Stop> {
    loop {
        let fixed = match source.take::<4>()? {
            [b'P', b'K', 1, 2] => 42,
            // The record and the locator of zip64.
            [b'P', b'K', 6, 6] => {
                let bytes = u64::from_le_bytes(source.take()?);
                source.skip(bytes)?;
                continue;
            }
            [b'P', b'K', 6, 7] => 16,
            [b'P', b'K', 5, 6] => {
                source.skip(16)?;
                let comment = u16::from_le_bytes(source.take()?);
                source.skip(comment.into())?;
                let at_end = source.at_end()?;
                return if at_end { Ok(()) } else { Err(PackingFault::TrailingBytes.into()) };
            }
            _ => return Err(PackingFault::Malformed.into()),
        };
        if fixed == 16 {
            source.skip(16)?;
            continue;
        }
        source.skip(24)?;
        let lengths = [source.take::<2>()?, source.take()?, source.take()?].map(u16::from_le_bytes);
        source.skip(fixed - 24 - 6)?;
        source.skip(lengths.iter().map(|length| u64::from(*length)).sum())?;
    }
}
