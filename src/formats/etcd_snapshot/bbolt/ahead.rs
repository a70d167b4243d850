use crate::formats::ReadAt;
use crate::formats::read_buffer::ReadBuffer;
use std::io;

/// The most that is read ahead.
const MOST_BYTES: u64 = 128 << 10;

/// Reads pieces of a file, and more than a piece at a time once they follow each other: a tree that was written in order takes a
/// thirtieth of the calls, and one that was not takes no more than before.
#[derive(Default)]
pub(super) struct Ahead {
    /// What was read, and where in the file it begins.
    block: ReadBuffer,
    start: u64,
    /// Where the last piece ended.
    next: u64,
    /// How much is read at a time while pieces follow each other.
    bytes: u64,
}

impl Ahead {
    /// Fills `piece` with what stands at `offset`. Nothing is read at or behind `end`, up to which the caller knows the file to be there,
    /// but for the piece itself.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn read<R: ReadAt + ?Sized>(
        &mut self,
        file: &R,
        piece: &mut [u8],
        offset: u64,
        end: u64,
    ) -> io::Result<()> {
        let length = piece.len() as u64;
        let follows = offset == self.next || offset == self.start + self.block.len() as u64;
        self.next = offset.saturating_add(length);
        if let Some(held) = self.held(offset, piece.len()) {
            piece.copy_from_slice(held);
            return Ok(());
        }
        self.bytes = match follows {
            true => (self.bytes * 2).clamp(length, MOST_BYTES.max(length)),
            false => self.bytes / 2,
        };
        let bytes = self.bytes.min(end.saturating_sub(offset));
        if !follows || bytes <= length {
            return file.read_exact_at(piece, offset);
        }
        // Should it fail, nothing is held.
        let mut block = std::mem::take(&mut self.block);
        block.resize(usize::try_from(bytes).map_err(io::Error::other)?);
        file.read_exact_at(&mut block, offset)?;
        (self.block, self.start) = (block, offset);
        piece.copy_from_slice(self.held(offset, piece.len()).unwrap_or_default());
        Ok(())
    }

    fn held(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.block.get(from..from.checked_add(length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Counts the calls.
    struct Counted {
        bytes: Vec<u8>,
        calls: Cell<usize>,
    }

    impl Counted {
        fn new(length: usize) -> Self {
            let bytes = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            Self { bytes, calls: Cell::new(0) }
        }

        fn read(&self, ahead: &mut Ahead, offset: usize, length: usize) -> io::Result<()> {
            let mut piece = vec![0; length];
            let end = self.bytes.len() as u64;
            ahead.read(self, &mut piece, offset as u64, end)?;
            assert_eq!(piece, self.bytes[offset..offset + length]);
            Ok(())
        }
    }

    impl ReadAt for Counted {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.calls.set(self.calls.get() + 1);
            self.bytes[..].read_exact_at(buffer, offset)
        }
    }

    #[test]
    fn what_follows_each_other_takes_few_calls_and_what_does_not_takes_one_each() {
        let file = Counted::new(4096 * 1000);
        let mut ahead = Ahead::default();
        for page in 0..1000 {
            file.read(&mut ahead, page * 4096, 4096).unwrap();
        }
        assert!(file.calls.get() < 50, "{} calls", file.calls.get());
        file.calls.set(0);
        let mut ahead = Ahead::default();
        for page in (0..1000).map(|page| page * 7 % 1000) {
            file.read(&mut ahead, page * 4096, 4096).unwrap();
        }
        assert!(file.calls.get() <= 1000, "{} calls", file.calls.get());
    }

    #[test]
    fn a_look_elsewhere_does_not_lose_what_was_read_ahead() {
        let file = Counted::new(4096 * 1000);
        let mut ahead = Ahead::default();
        for page in 0..900 {
            file.read(&mut ahead, page * 4096, 4096).unwrap();
            if page % 100 == 0 {
                file.read(&mut ahead, 950 * 4096, 4096).unwrap();
            }
        }
        assert!(file.calls.get() < 100, "{} calls", file.calls.get());
    }

    proptest! {
        #[test]
        fn whatever_is_read_in_whichever_order_is_what_stands_there(
            pieces in proptest::collection::vec((0..40_usize, 1..4_usize, any::<bool>()), 0..60),
        ) {
            let file = Counted::new(64 * 50);
            let (mut ahead, mut next) = (Ahead::default(), 0);
            for (page, pages, goes_on) in pieces {
                let page = if goes_on && next + pages <= 50 { next } else { page };
                file.read(&mut ahead, page * 64, pages * 64).unwrap();
                next = page + pages;
            }
        }
    }
}
