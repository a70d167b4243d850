use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::sync::LazyLock;
use weezl::{BitOrder, encode::Encoder};

const MOST: u64 = 256 << 10;

/// Something that is neither all the same nor all different.
fn content() -> Vec<u8> {
    (0..4_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

/// As Go does it, which has one way only.
fn lzw(content: &[u8]) -> Vec<u8> {
    Encoder::new(BitOrder::Lsb, 8).encode(content).unwrap()
}

/// A zip with these files, as Go writes them (checksum and lengths behind each) or as `zip` does.
fn zip(files: &[(&str, &[u8])], like_go: bool) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let numbers = [crc.sum(), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes);
        let numbers = numbers.concat();
        let flags = if like_go { 8_u16 } else { 0 };
        let fixed =
            [&20_u16.to_le_bytes()[..], &flags.to_le_bytes(), &8_u16.to_le_bytes(), &[0; 4]];
        let name_bytes = (name.len() as u16).to_le_bytes();
        archive.extend([b"PK\x03\x04", &fixed.concat()[..]].concat());
        archive.extend(if like_go { vec![0; 12] } else { numbers.clone() });
        archive.extend([&name_bytes[..], &[0; 2], name.as_bytes(), &packed].concat());
        if like_go {
            archive.extend([&b"PK\x07\x08"[..], &numbers].concat());
        }
        directory.extend([b"PK\x01\x02\x14\0", &fixed.concat()[..], &numbers].concat());
        directory.extend([&name_bytes[..], &[0; 16], name.as_bytes()].concat());
    }
    let end = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat();
    [archive, directory, end].concat()
}

fn snapshot_zip(like_go: bool) -> Vec<u8> {
    zip(&[("snapshot-1700000000", &content())], like_go)
}

/// The same content in every packing.
static ALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let content = content();
    vec![
        gzip(&content),
        zlib(&content),
        zstandard(&content),
        snapshot_zip(true),
        snapshot_zip(false),
    ]
});

fn open(packed: &[u8]) -> (Unpacked, Vec<u8>) {
    let mut bytes = Vec::new();
    let done = unpack(packed, &mut bytes, MOST).unwrap();
    assert_eq!(done.bytes, bytes.len() as u64);
    (done, bytes)
}

fn fault(packed: &[u8]) -> Option<PackingFault> {
    open(packed).0.fault
}

#[test]
fn every_packing_gives_back_what_was_packed() {
    let packings: Vec<_> = ALL
        .iter()
        .map(|packed| {
            let (done, bytes) = open(packed);
            assert_eq!(done.fault, None, "{:?}", done.packing);
            assert!(bytes == content(), "{:?}", done.packing);
            assert_eq!(done.packed_bytes, packed.len() as u64, "{:?}", done.packing);
            done.packing
        })
        .collect();
    let expected = [Packing::Gzip, Packing::Zlib, Packing::Zstandard, Packing::Zip, Packing::Zip];
    assert_eq!(packings, expected.map(Some));
}

/// A database of bbolt, of which only the beginning matters here.
fn database() -> Vec<u8> {
    let beginning = b"\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\xed\xda\x0c\xed\x02\0\0\0";
    [&beginning[..], &content()].concat()
}

#[test]
fn a_database_that_go_has_packed_with_lzw_is_known_by_its_beginning_and_unpacked() {
    let packed = lzw(&database());
    let (done, bytes) = open(&packed);
    assert_eq!((done.packing, done.fault), (Some(Packing::Lzw), None));
    assert!(bytes == database());
    for length in (Packing::MARK_BYTES..packed.len()).step_by(61).chain([packed.len() - 1]) {
        assert_eq!(fault(&packed[..length]), Some(PackingFault::Truncated), "{length}");
    }
    // The decoder takes up to eight bytes at once.
    let more = [&packed[..], &[0; 16]].concat();
    assert_eq!(fault(&more), Some(PackingFault::TrailingBytes));
    let zeros = [database(), vec![0; 1 << 20]].concat();
    assert_eq!(fault(&lzw(&zeros)), Some(PackingFault::TooLarge { most: MOST }));
    // What is no database may begin like anything.
    assert_eq!(open(&lzw(&content())).0.packing, None);
}

#[test]
fn what_is_not_packed_is_copied() {
    for bytes in [&b""[..], b"x", b"PK", &content()] {
        let (done, copied) = open(bytes);
        assert_eq!((done.packing, done.fault), (None, None));
        assert!(copied == bytes);
    }
}

#[test]
fn an_archive_that_was_cut_is_never_whole() {
    for packed in ALL.iter() {
        for length in (4..packed.len()).step_by(61).chain(packed.len() - 40..packed.len()) {
            let (done, _) = open(&packed[..length]);
            assert_eq!(done.fault, Some(PackingFault::Truncated), "{:?} {length}", done.packing);
        }
    }
}

#[test]
fn a_changed_byte_is_noticed_or_changes_nothing() {
    for packed in ALL.iter() {
        let step = packed.len() / 300 + 1;
        for position in (0..packed.len()).step_by(step).chain(packed.len() - 60..packed.len()) {
            let mut changed = packed.clone();
            changed[position] ^= 0x10;
            let (done, bytes) = open(&changed);
            let noticed = done.fault.is_some() || done.packing.is_none();
            assert!(noticed || bytes == content(), "{:?} at {position}", done.packing);
        }
    }
}

#[test]
fn an_archive_that_holds_more_than_allowed_is_not_unpacked_further() {
    let zeros = vec![0; 1 << 20];
    for packed in [gzip(&zeros), zlib(&zeros), zstandard(&zeros), zip(&[("a", &zeros)], true)] {
        let (done, bytes) = open(&packed);
        assert_eq!(done.fault, Some(PackingFault::TooLarge { most: MOST }));
        assert!(bytes.len() as u64 <= MOST);
    }
    let many: Vec<(&str, &[u8])> = vec![("a", &zeros[..80 << 10]); 5];
    assert_eq!(fault(&zip(&many, true)), Some(PackingFault::TooLarge { most: MOST }));
    assert_eq!(
        fault(&vec![1; 300 << 10]),
        Some(PackingFault::TooLarge { most: MOST }),
        "not packed"
    );
}

#[test]
fn bytes_behind_the_end_are_told() {
    for packed in ALL.iter() {
        let done = open(&[&packed[..], b"more"].concat()).0;
        assert_eq!(done.fault, Some(PackingFault::TrailingBytes), "{:?}", done.packing);
    }
}

#[test]
fn regression_zeros_behind_a_gzip_are_no_damage() {
    let packed = gzip(&content());
    for zeros in [1, 2, 511, 2 << 20] {
        let padded = [&packed[..], &vec![0_u8; zeros]].concat();
        let (done, bytes) = open(&padded);
        assert_eq!((done.fault, done.packed_bytes), (None, padded.len() as u64), "{zeros}");
        assert!(bytes == content());
        // Anything else among them, also another member, is more than padding.
        for more in [&b"x"[..], &packed] {
            let longer = [&padded[..], more].concat();
            assert_eq!(fault(&longer), Some(PackingFault::TrailingBytes), "{zeros}");
        }
    }
    let endless = unpack(Endless(packed, vec![0], 0), io::sink(), MOST).unwrap();
    let most = inflate::PADDING_BYTES;
    assert_eq!(endless.fault, Some(PackingFault::Idle { most }));
}

#[test]
fn regression_extra_fields_of_a_zip_that_are_longer_than_all_of_them_are_malformed() {
    let good = snapshot_zip(false);
    let name = usize::from(u16::from_le_bytes([good[26], good[27]]));
    // With its own four bytes the first length is beyond 16 bits, and so is the second.
    for length in [u16::MAX, u16::MAX - 3] {
        for all in [4_u16, 8, u16::MAX] {
            let mut packed = good.clone();
            packed[28..30].copy_from_slice(&all.to_le_bytes());
            let field = [[9, 0], length.to_le_bytes()].concat();
            packed.splice(30 + name..30 + name, field);
            assert_eq!(fault(&packed), Some(PackingFault::Malformed), "{length} of {all}");
        }
    }
}

#[test]
fn members_and_frames_one_after_another_are_one_backup() {
    let (one, other) = (b"one".repeat(900), b"other".repeat(900));
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    for packed in [
        [gzip(&one), gzip(&other)].concat(),
        [zstandard(&one), skipped, zstandard(&other)].concat(),
    ] {
        let (done, bytes) = open(&packed);
        assert_eq!(done.fault, None);
        assert!(bytes == [&one[..], &other].concat());
    }
}

#[test]
fn the_backup_in_a_zip_is_found_or_its_lack_is_told() {
    let content = content();
    let state = &b"{\"desiredState\":{}}"[..];
    let (done, bytes) = open(&zip(&[("x.rkestate", state), ("x", &content)], true));
    assert_eq!(done.fault, None);
    assert!(bytes == content, "what RKE adds is left out");
    let (done, bytes) = open(&zip(&[("one", &content), ("two", b"something else")], true));
    assert_eq!(done.fault, Some(PackingFault::SeveralBackups));
    assert!(bytes == content);
    assert_eq!(fault(&zip(&[("x.rkestate", state)], true)), Some(PackingFault::NoBackup));
    assert_eq!(fault(&zip(&[("empty", b"")], true)), Some(PackingFault::NoBackup));
}

#[test]
fn what_cannot_be_unpacked_is_told() {
    let mut encrypted = snapshot_zip(false);
    encrypted[6] |= 1;
    assert_eq!(fault(&encrypted), Some(PackingFault::Encrypted));
    let mut other = snapshot_zip(false);
    other[8] = 12;
    assert_eq!(fault(&other), Some(PackingFault::Method { number: 12 }));
    let mut changed = gzip(&content());
    let length = changed.len();
    changed[length - 8] ^= 1;
    assert_eq!(fault(&changed), Some(PackingFault::Checksum));
    let mut changed = gzip(&content());
    changed[length - 4] ^= 1;
    assert_eq!(fault(&changed), Some(PackingFault::Length));
}

#[test]
fn regression_a_window_that_takes_too_much_memory_is_refused_and_is_no_damage() {
    let most = crate::limits::PACKED_WINDOW_BYTES;
    let one_segment =
        |bytes: u32| [&b"\x28\xb5\x2f\xfd\xa0"[..], &bytes.to_le_bytes(), &[1, 0, 0]].concat();
    for (packed, bytes) in [
        (frame_of_raw_blocks(&content(), 64 << 20), 64 << 20),
        // As `zstd --long=28` and `--long=31` write it; the decoder itself takes 128 MiB.
        (frame_of_raw_blocks(&content(), 256 << 20), 256 << 20),
        (frame_of_raw_blocks(&content(), 2 << 30), 2 << 30),
        (one_segment((32 << 20) + 1), (32 << 20) + 1),
    ] {
        let (done, written) = open(&packed);
        let fault = PackingFault::Window { bytes, most };
        assert_eq!((done.fault, done.packing), (Some(fault), Some(Packing::Zstandard)));
        assert!(!fault.is_damage() && written.is_empty());
    }
    let (done, bytes) = open(&frame_of_raw_blocks(&content(), most));
    assert_eq!(done.fault, None);
    assert!(bytes == content());
}

#[test]
fn regression_what_this_reader_cannot_unpack_is_no_damage() {
    for inner in ALL.iter().chain([&lzw(&database())]) {
        let expected = PackingFault::Again { packing: Packing::of(inner).unwrap() };
        for twice in [gzip(inner), zlib(inner), zstandard(inner), zip(&[("a", inner)], true)] {
            assert_eq!(fault(&twice), Some(expected));
            assert_eq!(fault(&twice[..twice.len() - 1]), Some(PackingFault::Truncated));
        }
        assert!(!expected.is_damage());
    }
    let mut stored = snapshot_zip(true);
    stored[8] = 0;
    let unknown_length = PackingFault::Method { number: 0 };
    assert_eq!(fault(&stored), Some(unknown_length));
    assert!(!unknown_length.is_damage());
    // The number of a dictionary behind the window, and an empty last block.
    let with_dictionary = b"\x28\xb5\x2f\xfd\x01\x58\x09\x01\0\0";
    assert_eq!(fault(with_dictionary), Some(PackingFault::Dictionary));
}

/// Fails after some bytes.
struct Breaks<'bytes>(&'bytes [u8]);

impl Read for Breaks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn a_stream_that_breaks_off_is_an_error_and_not_a_fault() {
    for packed in ALL.iter() {
        for length in [0, 3, 12, packed.len() / 2, packed.len() - 1] {
            let broken = unpack(Breaks(&packed[..length]), io::sink(), MOST);
            assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_behind_a_mark_never_hang(
        mark in 0_usize..6,
        noise in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        let marks = [&b"\x1f\x8b\x08\0"[..], b"PK\x03\x04", b"\x78\x9c", b"\x28\xb5\x2f\xfd", b"", &LZW_OF_BBOLT];
        let (done, bytes) = open(&[marks[mark], &noise].concat());
        prop_assert!(bytes.len() as u64 <= MOST);
        prop_assert!(done.packed_bytes <= (marks[mark].len() + noise.len()) as u64);
    }

    #[test]
    fn changed_archives_never_hang(
        which in 0_usize..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut packed = ALL[which].clone();
        for (position, byte) in changes {
            let position = position.index(packed.len());
            packed[position] = byte;
        }
        let (done, bytes) = open(&packed);
        prop_assert!(done.fault.is_some() || done.packing.is_none() || bytes == content());
    }
}

/// A stream that never ends: the same bytes for ever behind a beginning.
struct Endless(Vec<u8>, Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *into {
            let at = self.2;
            *byte = match self.0.get(at) {
                Some(byte) => *byte,
                None => self.1[(at - self.0.len()) % self.1.len()],
            };
            self.2 += 1;
        }
        Ok(into.len())
    }
}

#[test]
fn regression_packings_that_hold_nothing_for_ever_are_given_up() {
    // A frame of Zstandard that is to be skipped, with eight bytes in it.
    let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 8, 0, 0, 0][..], &[7; 8]].concat();
    // A header of gzip, and empty blocks that are not the last one: RFC 1951, 3.2.4.
    let header = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
    let named = [0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3];
    for (begins, goes_on) in [
        (gzip(b""), gzip(b"")),
        (zstandard(b""), skipped),
        (header.to_vec(), vec![0, 0, 0, 0xFF, 0xFF]),
        (named.to_vec(), b"a name without end".to_vec()),
    ] {
        let mut written = Vec::new();
        let unpacked = unpack(Endless(begins, goes_on, 0), &mut written, MOST).unwrap();
        let most = crate::limits::PACKED_IDLE_BYTES;
        assert_eq!(unpacked.fault, Some(PackingFault::Idle { most }), "{:?}", unpacked.packing);
        assert!(unpacked.packed_bytes < most + MOST && written.is_empty());
    }
}

/// A frame of Zstandard as `zstd` writes one of what cannot be packed (RFC 8878, 3.1.1): a window of so many bytes, a power of
/// two, and blocks of 128 KiB as they are.
fn frame_of_raw_blocks(content: &[u8], window: u64) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\0".to_vec();
    frame.push((window.ilog2() as u8 - 10) << 3);
    let blocks = content.len().div_ceil(128 << 10);
    for (index, block) in content.chunks(128 << 10).enumerate() {
        let is_last = u32::from(index + 1 == blocks);
        frame.extend(&(((block.len() as u32) << 3) | is_last).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

#[test]
fn regression_a_window_that_the_decoder_holds_back_is_no_idling() {
    // Encrypted secrets do not get smaller: a whole window of them goes in before anything comes out.
    let content: Vec<u8> = (0..5 << 18_u32)
        .flat_map(|number: u32| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for window in [2 << 20, 8 << 20] {
        let mut bytes = Vec::new();
        let packed = frame_of_raw_blocks(&content, window);
        let done = unpack(&packed[..], &mut bytes, 16 << 20).unwrap();
        assert_eq!((done.fault, done.packing), (None, Some(Packing::Zstandard)), "{window}");
        assert!(bytes == content);
    }
    // Blocks without content for ever are given up all the same, a window later.
    let begins = frame_of_raw_blocks(b"", 2 << 20);
    let done = unpack(Endless(begins, vec![0, 0, 0], 0), io::sink(), MOST).unwrap();
    let most = crate::limits::PACKED_IDLE_BYTES + (2 << 20);
    assert_eq!(done.fault, Some(PackingFault::Idle { most }));
}
