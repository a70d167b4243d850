use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use s3s::crypto::{Checksum as _, Crc64Nvme, Md5};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::OnceLock;

/// Pseudo-random content repeats this block, so that gigabytes need no memory and parts of an upload have equal digests.
const BLOCK: usize = 64 * 1024;

/// The part size that the AWS CLI and the SDK transfer managers use by default, in bytes.
const PART: u64 = 8 * 1024 * 1024;

/// What an object holds: given bytes, or pseudo-random bytes made when they are read.
#[derive(Debug)]
pub(super) struct Content {
    source: Source,
    digest: OnceLock<Md5Digest>,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    Generated { size: u64, block: Bytes },
}

/// The MD5 of a content, in the form in which S3 puts it into the ETag of an unencrypted object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Md5Digest {
    /// MD5 of the content, or MD5 of the parts' MD5s.
    pub(super) digest: [u8; 16],
    /// Number of parts of a multipart upload.
    pub(super) parts: Option<u64>,
}

impl Md5Digest {
    /// As in an ETag, without the quotes.
    pub(super) fn to_etag(&self) -> String {
        match self.parts {
            None => hex::encode(self.digest),
            Some(parts) => format!("{}-{parts}", hex::encode(self.digest)),
        }
    }
}

impl Content {
    pub(super) fn from_bytes(bytes: Bytes) -> Self {
        Self { source: Source::Bytes(bytes), digest: OnceLock::new() }
    }

    /// The parts of a multipart upload, one after the other. The ETag tells that they were parts.
    pub(super) fn from_parts(parts: &[Bytes]) -> Self {
        let mut md5 = Md5::new();
        parts.iter().for_each(|part| md5.update(&Md5::checksum(part)));
        let digest = Md5Digest { digest: md5.finalize(), parts: Some(parts.len() as u64) };
        Self { source: Source::Bytes(parts.concat().into()), digest: OnceLock::from(digest) }
    }

    /// `size` pseudo-random bytes, chosen by `seed`.
    pub(super) fn generated(size: u64, seed: u64) -> Self {
        let block = random_block(seed);
        Self { source: Source::Generated { size, block }, digest: OnceLock::new() }
    }

    /// A content of the same size that differs (an empty one becomes one byte long).
    pub(super) fn damaged(&self) -> Self {
        match &self.source {
            Source::Bytes(bytes) => {
                let mut bytes = bytes.to_vec();
                match bytes.first_mut() {
                    Some(first) => *first ^= 1,
                    None => bytes.push(0),
                }
                Self::from_bytes(bytes.into())
            }
            Source::Generated { size, block } => {
                let mut block = block.to_vec();
                block[0] ^= 1;
                let source = Source::Generated { size: *size, block: block.into() };
                Self { source, digest: OnceLock::new() }
            }
        }
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Generated { size, .. } => *size,
        }
    }

    pub(super) fn md5(&self) -> &Md5Digest {
        self.digest.get_or_init(|| match &self.source {
            Source::Generated { size, .. } if *size > PART => self.multipart_md5(*size),
            _ => Md5Digest { digest: self.md5_of(0..self.size()), parts: None },
        })
    }

    fn md5_of(&self, range: Range<u64>) -> [u8; 16] {
        let mut md5 = Md5::new();
        self.chunks(range).for_each(|chunk| md5.update(&chunk));
        md5.finalize()
    }

    fn multipart_md5(&self, size: u64) -> Md5Digest {
        let whole_part = self.md5_of(0..PART);
        let mut md5 = Md5::new();
        (0..size / PART).for_each(|_| md5.update(&whole_part));
        if !size.is_multiple_of(PART) {
            md5.update(&self.md5_of(size - size % PART..size));
        }
        Md5Digest { digest: md5.finalize(), parts: Some(size.div_ceil(PART)) }
    }

    /// CRC-64/NVME in base64, the checksum that S3 adds to objects which came without one.
    pub(super) fn crc64nvme(&self) -> String {
        let mut crc = Crc64Nvme::new();
        self.chunks(0..self.size()).for_each(|chunk| crc.update(&chunk));
        STANDARD.encode(crc.finalize())
    }

    /// The bytes of `range`, in pieces. The range must lie within the content.
    fn chunks(&self, range: Range<u64>) -> Box<dyn Iterator<Item = Bytes> + Send + Sync> {
        match &self.source {
            Source::Bytes(bytes) => {
                let within = to_index(range.start)..to_index(range.end).min(bytes.len());
                Box::new(std::iter::once(bytes.slice(within)))
            }
            Source::Generated { block, .. } => {
                let block = block.clone();
                let mut next = range.start;
                Box::new(std::iter::from_fn(move || {
                    let left = range.end.checked_sub(next).filter(|left| *left > 0)?;
                    let offset = to_index(next % BLOCK as u64);
                    let length = (BLOCK - offset).min(to_index(left));
                    next += length as u64;
                    Some(block.slice(offset..offset + length))
                }))
            }
        }
    }

    /// The bytes of `range` as a stream. The range must lie within the content.
    pub(super) fn stream(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync + use<> {
        stream::iter(self.chunks(range).filter(|chunk| !chunk.is_empty()).map(Ok))
    }
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough for content that only has to look arbitrary.
fn random_block(seed: u64) -> Bytes {
    let mut state = seed;
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        block.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(content: &Content, range: Range<u64>) -> Vec<u8> {
        content.chunks(range).flatten().collect()
    }

    #[test]
    fn the_md5_of_given_bytes_is_the_known_one() {
        let content = Content::from_bytes(Bytes::from_static(b"hello"));
        assert_eq!(content.md5().to_etag(), "5d41402abc4b2a76b9719d911017c592");
    }

    #[test]
    fn a_range_of_generated_content_is_a_part_of_the_whole() {
        let content = Content::generated(200_000, 7);
        let whole = bytes_of(&content, 0..200_000);
        assert_eq!(whole.len(), 200_000);
        assert_eq!(bytes_of(&content, 65_000..131_500), whole[65_000..131_500]);
        assert_ne!(whole, bytes_of(&Content::generated(200_000, 8), 0..200_000));
    }

    #[test]
    fn a_large_content_has_the_etag_of_a_multipart_upload() {
        let size = 2 * PART + 5;
        let content = Content::generated(size, 1);
        let whole = bytes_of(&content, 0..size);
        let parts: Vec<u8> = whole.chunks(PART as usize).flat_map(Md5::checksum).collect();
        let expected = format!("{}-3", hex::encode(Md5::checksum(&parts)));
        assert_eq!(content.md5().to_etag(), expected);
    }

    #[test]
    fn damaged_content_has_the_same_size_and_another_digest() {
        for content in [Content::generated(100, 1), Content::from_bytes(Bytes::from_static(b"abc"))]
        {
            let damaged = content.damaged();
            assert_eq!(damaged.size(), content.size());
            assert_ne!(damaged.md5(), content.md5());
        }
    }
}
