/// CRC-32C (Castagnoli), fed in pieces.
///
/// The polynomial is that of RFC 3720 (iSCSI), bits reflected: the one that Go calls `crc32.Castagnoli`. Sixteen
/// bytes are taken at a time with sixteen tables.
#[derive(Clone, Debug)]
pub(super) struct Crc32c {
    inverted: u32,
}

const REFLECTED_POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLES_AT_ONCE: usize = 16;

static TABLES: [[u32; 256]; TABLES_AT_ONCE] = tables();

const fn tables() -> [[u32; 256]; TABLES_AT_ONCE] {
    let mut tables = [[0_u32; 256]; TABLES_AT_ONCE];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1 == 1;
            remainder >>= 1;
            if carry {
                remainder ^= REFLECTED_POLYNOMIAL;
            }
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut distance = 1;
    while distance < TABLES_AT_ONCE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[distance - 1][byte];
            tables[distance][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

impl Crc32c {
    pub(super) fn new() -> Self {
        Self { inverted: u32::MAX }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<TABLES_AT_ONCE>();
        for block in blocks {
            let mixed = u128::from_le_bytes(*block) ^ u128::from(self.inverted);
            self.inverted = mixed
                .to_le_bytes()
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
        }
        for byte in rest {
            let [low, ..] = self.inverted.to_le_bytes();
            self.inverted = (self.inverted >> 8) ^ TABLES[0][usize::from(low ^ byte)];
        }
    }

    pub(super) fn finish(&self) -> u32 {
        !self.inverted
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
