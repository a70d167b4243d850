use super::{Packing, PackingFault, Stop};
use flate2::Crc;
use std::io::{self, Write};

/// Takes what was unpacked, up to a limit, and computes its CRC-32.
pub(super) struct Sink<W> {
    into: W,
    most: u64,
    written: u64,
    /// Of all parts, silent ones too: they take time as well.
    total: u64,
    taken: u64,
    crc: Crc,
    silent: bool,
    beginning: Vec<u8>,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(into: W, most: u64) -> Self {
        let (crc, beginning) = (Crc::new(), Vec::new());
        Self { into, most, written: 0, total: 0, taken: 0, crc, silent: false, beginning }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.total > self.most {
            return Err(PackingFault::TooLarge { most: self.most }.into());
        }
        self.crc.update(bytes);
        if !self.silent {
            let missing = Packing::MARK_BYTES.saturating_sub(self.beginning.len());
            self.beginning.extend(bytes.iter().take(missing));
            self.into.write_all(bytes)?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    /// Begins a new part with a checksum and a length of its own; a silent one is only checked and not written.
    pub(super) fn begin(&mut self, silent: bool) {
        self.crc = Crc::new();
        self.taken = 0;
        self.silent = silent;
    }

    /// Begins another checksum without another limit. Gives the bytes so far.
    pub(super) fn next_member(&mut self) -> u64 {
        self.crc = Crc::new();
        self.taken
    }

    /// How what was written begins, as far as it tells whether that is packed again.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// The CRC-32 of this part.
    pub(super) fn crc(&self) -> u32 {
        self.crc.sum()
    }

    /// Bytes of this part.
    pub(super) fn part_bytes(&self) -> u64 {
        self.taken
    }

    /// Bytes that were taken, of all parts, silent ones too.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that were written, of all parts.
    pub(super) fn bytes(&self) -> u64 {
        self.written
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
