//! Zstandard: frames one after another, those that are to be skipped among them.

use super::sink::Sink;
use super::source::Source;
use super::{PackingFault, Stop};
use crate::limits::PACKED_WINDOW_BYTES;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{Read, Write};

const BLOCK_BYTES: usize = 64 * 1024;
/// The longest header of a frame (RFC 8878, 3.1.1.1): magic number, descriptor, window, dictionary, length of the content.
const HEADER_BYTES: usize = 4 + 1 + 1 + 4 + 8;

pub(super) fn zstandard<R: Read, W: Write>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
) -> Result<(), Stop> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(PACKED_WINDOW_BYTES);
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
    // A decoder keeps a whole window to itself, since what follows may refer to it: 2 MiB for what `zstd` writes unless it is told
    // otherwise. What does not get smaller by packing is as long packed as that.
    let window = window_bytes(source.peek(HEADER_BYTES)?).unwrap_or(0);
    if window > PACKED_WINDOW_BYTES {
        return Err(PackingFault::Window { bytes: window, most: PACKED_WINDOW_BYTES }.into());
    }
    source.may_hold_back(window);
    if let Err(error) = decoder.reset(&mut *source) {
        return Err(match error {
            FrameDecoderError::ReadFrameHeaderError(
                ReadFrameHeaderError::MagicNumberReadError(_),
            ) => PackingFault::Malformed.into(),
            FrameDecoderError::DictNotProvided { .. } => PackingFault::Dictionary.into(),
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
    source.may_hold_back(0);
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(stored), Some(computed)) if stored != computed => Err(PackingFault::Checksum.into()),
        _ => Ok(()),
    }
}

/// How far back in the content a frame may refer to, by its header (RFC 8878, 3.1.1.1); `None` where that is cut off.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    let (descriptor, rest) = frame.get(4..)?.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is the content: its length stands behind the number of the dictionary.
    let length = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    match descriptor >> 6 {
        0 => length.first().map(|byte| u64::from(*byte)),
        1 => length.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes)) + 256),
        2 => length.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
        _ => length.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_a_frame_is_read_from_its_header() {
        let of = |rest: &[u8]| window_bytes(&[&[0x28, 0xB5, 0x2F, 0xFD], rest].concat());
        assert_eq!(of(&[0, 11 << 3]), Some(2 << 20), "as zstd writes it");
        assert_eq!(of(&[0, (17 << 3) | 1, 9]), Some((128 << 20) / 8 * 9));
        assert_eq!(of(&[0x20, 77]), Some(77));
        assert_eq!(of(&[0x61, 9, 1, 1]), Some(257 + 256), "behind a dictionary of one byte");
        assert_eq!(of(&[0xA0, 1, 2, 0, 0]), Some(513));
        assert_eq!(of(&[0xE3, 9, 9, 9, 9, 1, 0, 0, 0, 1, 0, 0, 0]), Some((1 << 32) + 1));
        for cut in [&[][..], &[0], &[0x61, 9, 1], &[0xE0, 1, 0, 0]] {
            assert_eq!(of(cut), None, "{cut:?}");
        }
    }
}
