use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C (Castagnoli), fed in pieces.
///
/// The polynomial is that of RFC 3720 (iSCSI), bits reflected: the one that Go calls `crc32.Castagnoli`.
#[derive(Clone, Debug)]
pub(super) struct Crc32c(Digest);

impl Crc32c {
    pub(super) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(&self) -> u32 {
        // It is given in 64 bits, for the longer ones.
        u32::try_from(self.0.finalize()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(pieces: &[&[u8]]) -> u32 {
        let mut crc = Crc32c::new();
        pieces.iter().for_each(|piece| crc.update(piece));
        crc.finish()
    }

    #[test]
    fn equals_the_published_examples() {
        // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
        assert_eq!(crc(&[b"123456789"]), 0xE306_9283);
        assert_eq!(crc(&[&[0; 32]]), 0x8A91_36AA);
        assert_eq!(crc(&[&[0xFF; 32]]), 0x62A8_AB43);
        assert_eq!(crc(&[]), 0);
    }

    #[test]
    fn does_not_depend_on_how_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(crc(&[head, tail]), crc(&[&bytes]), "cut at {cut}");
        }
    }
}
