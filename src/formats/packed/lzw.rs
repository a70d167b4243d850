//! LZW as Go writes it (<https://pkg.go.dev/compress/lzw>): the least significant bit first, literals of eight bits. It carries no
//! checksum: what is inside has to prove itself. A few bytes behind its end are not noticed.

use super::sink::Sink;
use super::source::Source;
use super::{PackingFault, Stop};
use std::io::{Read, Write};
use weezl::decode::Decoder;
use weezl::{BitOrder, LzwStatus};

const BLOCK_BYTES: usize = 64 * 1024;
const LITERAL_BITS: u8 = 8;

/// One stream.
pub(super) fn lzw<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    let mut decoder = Decoder::new(BitOrder::Lsb, LITERAL_BITS);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let piece = source.piece()?;
        let at_end = piece.is_empty();
        let decoded = decoder.decode_bytes(piece, &mut block);
        let (read, written) = (decoded.consumed_in, decoded.consumed_out);
        source.consume(read);
        sink.take(block.get(..written).unwrap_or_default())?;
        if written > 0 {
            source.has_given();
        }
        source.is_of_use()?;
        match decoded.status.map_err(|_| PackingFault::Malformed)? {
            LzwStatus::Done => break,
            _ if at_end && written == 0 => return Err(PackingFault::Truncated.into()),
            _ if read == 0 && written == 0 => return Err(PackingFault::Malformed.into()),
            LzwStatus::Ok | LzwStatus::NoProgress => {}
        }
    }
    if source.at_end()? { Ok(()) } else { Err(PackingFault::TrailingBytes.into()) }
}
