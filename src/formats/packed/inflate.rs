//! DEFLATE (<https://www.rfc-editor.org/rfc/rfc1951>) and its two wrappers, gzip and zlib.

use super::sink::Sink;
use super::source::Source;
use super::{PackingFault, Stop};
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{Read, Write};

const BLOCK_BYTES: usize = 64 * 1024;

/// Unpacks one stream.
pub(super) fn inflate<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    mut decoder: Decompress,
) -> Result<(), Stop> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let piece = source.piece()?;
        let at_end = piece.is_empty();
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(piece, &mut block, FlushDecompress::None);
        let status = status.map_err(|_| PackingFault::Malformed)?;
        let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (read, written) =
            (length(decoder.total_in() - read), length(decoder.total_out() - written));
        source.consume(read);
        sink.take(block.get(..written).unwrap_or_default())?;
        if written > 0 {
            source.has_given();
        }
        source.is_of_use()?;
        match status {
            Status::StreamEnd => return Ok(()),
            _ if at_end && written == 0 => return Err(PackingFault::Truncated.into()),
            _ if read == 0 && written == 0 => return Err(PackingFault::Malformed.into()),
            _ => {}
        }
    }
}

/// How many zeros behind a gzip are passed over: blocks of tapes and copies have some megabytes.
pub(super) const PADDING_BYTES: u64 = 64 << 20;

/// One or more gzip members.
pub(super) fn gzip<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    let mut before = 0;
    loop {
        gzip_header(source)?;
        inflate(source, sink, Decompress::new(false))?;
        let [crc, length] = [source.take::<4>()?, source.take::<4>()?].map(u32::from_le_bytes);
        if crc != sink.crc() {
            return Err(PackingFault::Checksum.into());
        }
        // The length is only given modulo 2^32.
        if u64::from(length) != (sink.part_bytes() - before) & u64::from(u32::MAX) {
            return Err(PackingFault::Length.into());
        }
        if source.at_end()? {
            return Ok(());
        }
        if !source.peek(2)?.starts_with(&[0x1F, 0x8B]) {
            return only_zeros(source);
        }
        before = sink.next_member();
    }
}

/// Zeros up to the end, as copying in whole blocks adds them: `gzip -t` and `gzip -d` pass over them without a word (seen with GNU
/// gzip; `get_method` in <https://git.savannah.gnu.org/cgit/gzip.git/tree/gzip.c>).
fn only_zeros<R: Read>(source: &mut Source<R>) -> Result<(), Stop> {
    let mut zeros = 0;
    loop {
        let piece = source.piece()?;
        let length = piece.len();
        zeros += length as u64;
        if zeros > PADDING_BYTES {
            return Err(PackingFault::Idle { most: PADDING_BYTES }.into());
        }
        if length == 0 {
            return Ok(());
        }
        if piece.iter().any(|byte| *byte != 0) {
            return Err(PackingFault::TrailingBytes.into());
        }
        source.consume(length);
    }
}

fn gzip_header<R: Read>(source: &mut Source<R>) -> Result<(), Stop> {
    let [magic, other_magic, method, flags, ..] = source.take::<10>()?;
    if [magic, other_magic, method] != [0x1F, 0x8B, 8] || flags & 0xE0 != 0 {
        return Err(PackingFault::Malformed.into());
    }
    if flags & 4 != 0 {
        let extra = u16::from_le_bytes(source.take()?);
        source.skip(extra.into())?;
    }
    // A name and a comment, each up to a zero.
    for flag in [8, 16] {
        while flags & flag != 0 && source.take::<1>()? != [0] {}
    }
    if flags & 2 != 0 {
        source.skip(2)?;
    }
    Ok(())
}

/// A zlib stream, whose checksum the decoder compares.
pub(super) fn zlib<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    inflate(source, sink, Decompress::new(true))?;
    if source.at_end()? { Ok(()) } else { Err(PackingFault::TrailingBytes.into()) }
}
