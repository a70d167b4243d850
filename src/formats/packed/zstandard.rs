//! Zstandard: frames one after another, those that are to be skipped among them.

use super::sink::Sink;
use super::source::Source;
use super::{PackingFault, Stop};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{Read, Write};

const BLOCK_BYTES: usize = 64 * 1024;

pub(super) fn zstandard<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    let mut decoder = FrameDecoder::new();
    let mut block = vec![0; BLOCK_BYTES];
    while !source.at_end()? {
        match source.peek(4)?.first_chunk() {
            // RFC 8878, 3.1.2.
            Some([0x50..=0x5F, 0x2A, 0x4D, 0x18]) => {
                source.skip(4)?;
                let length = u32::from_le_bytes(source.take()?);
                source.skip(length.into())?;
            }
            Some([0x28, 0xB5, 0x2F, 0xFD]) => frame(source, sink, &mut decoder, &mut block)?,
            _ => return Err(PackingFault::TrailingBytes.into()),
        }
    }
    Ok(())
}

fn frame<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    decoder: &mut FrameDecoder,
    block: &mut [u8],
) -> Result<(), Stop> {
    if let Err(error) = decoder.reset(&mut *source) {
        return Err(match error {
            FrameDecoderError::ReadFrameHeaderError(
                ReadFrameHeaderError::MagicNumberReadError(_),
            )
            | FrameDecoderError::WindowSizeTooBig { .. } => PackingFault::Malformed.into(),
            _ => source.why_it_stopped(),
        });
    }
    while !decoder.is_finished() {
        let strategy = BlockDecodingStrategy::UptoBlocks(1);
        if decoder.decode_blocks(&mut *source, strategy).is_err() {
            return Err(source.why_it_stopped());
        }
        let before = sink.total();
        collect(decoder, sink, block)?;
        if sink.total() > before {
            source.has_given();
        }
        source.is_of_use()?;
    }
    let before = sink.total();
    collect(decoder, sink, block)?;
    if sink.total() > before {
        source.has_given();
    }
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(stored), Some(computed)) if stored != computed => Err(PackingFault::Checksum.into()),
        _ => Ok(()),
    }
}

fn collect<W: Write>(
    decoder: &mut FrameDecoder,
    sink: &mut Sink<W>,
    block: &mut [u8],
) -> Result<(), Stop> {
    while decoder.can_collect() > 0 {
        let count = decoder.read(block)?;
        if count == 0 {
            break;
        }
        sink.take(block.get(..count).unwrap_or_default())?;
    }
    Ok(())
}
