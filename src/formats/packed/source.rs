use super::{PackingFault, Stop};
use crate::limits;
use std::io::{self, Read};

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// A stream that can be looked into before it is consumed.
pub(super) struct Source<R> {
    inner: R,
    block: Vec<u8>,
    from: usize,
    to: usize,
    read: u64,
    /// Bytes that were consumed since the last ones in which something was packed.
    idle: u64,
    /// More of them that may follow each other: what a decoder holds back.
    held_back: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R) -> Self {
        let block = vec![0; BLOCK_BYTES];
        Self { inner, block, from: 0, to: 0, read: 0, idle: 0, held_back: 0, failed: None }
    }

    /// Bytes that were consumed.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read
    }

    /// What comes next, nothing at the end.
    pub(super) fn piece(&mut self) -> io::Result<&[u8]> {
        self.peek(1)?;
        Ok(self.block.get(self.from..self.to).unwrap_or_default())
    }

    /// What comes next, at least `bytes` of it where the stream has so many; `bytes` is at most a few hundred.
    pub(super) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        if self.to - self.from < bytes {
            self.block.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        while self.to - self.from < bytes {
            let free = self.block.get_mut(self.to..).unwrap_or_default();
            match self.inner.read(free) {
                Ok(0) => break,
                Ok(count) => self.to += count.min(free.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.block.get(self.from..self.to).unwrap_or_default())
    }

    /// Passes over bytes that [`Self::piece`] or [`Self::peek`] gave.
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.to - self.from);
        self.from += bytes;
        self.read += bytes as u64;
        self.idle += bytes as u64;
    }

    /// Says that something was unpacked.
    pub(super) fn has_given(&mut self) {
        self.idle = 0;
    }

    /// Says how many bytes the decoder takes at most before it gives the first one.
    pub(super) fn may_hold_back(&mut self, bytes: u64) {
        self.held_back = bytes;
    }

    /// Refuses a stream that goes on and on with nothing in it: standard input may never end.
    pub(super) fn is_of_use(&self) -> Result<(), PackingFault> {
        let most = limits::PACKED_IDLE_BYTES + self.held_back;
        if self.idle > most { Err(PackingFault::Idle { most }) } else { Ok(()) }
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.is_of_use()?;
        let taken = self.peek(N)?.first_chunk().copied().ok_or(PackingFault::Truncated)?;
        self.consume(N);
        Ok(taken)
    }

    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), Stop> {
        while bytes > 0 {
            self.is_of_use()?;
            let length = self.piece()?.len();
            if length == 0 {
                return Err(PackingFault::Truncated.into());
            }
            let now = usize::try_from(bytes).unwrap_or(usize::MAX).min(length);
            self.consume(now);
            bytes -= now as u64;
        }
        Ok(())
    }

    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.piece()?.is_empty())
    }

    /// What stopped a decoder that reads by itself: the stream, its end, or what was in it.
    pub(super) fn why_it_stopped(&mut self) -> Stop {
        match self.failed.take().map_or_else(|| self.at_end(), Err) {
            Err(error) => Stop::Io(error),
            Ok(true) => PackingFault::Truncated.into(),
            Ok(false) => PackingFault::Malformed.into(),
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = match self.piece() {
            Ok(piece) => piece,
            Err(error) => {
                let same = io::Error::from(error.kind());
                self.failed = Some(error);
                return Err(same);
            }
        };
        let count = piece.len().min(into.len());
        if let (Some(into), Some(piece)) = (into.get_mut(..count), piece.get(..count)) {
            into.copy_from_slice(piece);
        }
        self.consume(count);
        Ok(count)
    }
}
