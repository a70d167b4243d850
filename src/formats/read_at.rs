use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Positioned reads from something of known length: a file, or bytes in memory.
///
/// Several readers may share one source, because there is no cursor to disturb.
pub trait ReadAt {
    /// Fills `buffer` with the bytes that begin `offset` bytes after the start.
    ///
    /// # Errors
    /// When the source cannot be read, or ends before the buffer is full
    /// ([`io::ErrorKind::UnexpectedEof`]).
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let wanted = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(wanted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_memory_end_where_they_end() {
        let source: &[u8] = b"abcdef";
        let mut two = [0; 2];
        source.read_exact_at(&mut two, 4).unwrap();
        assert_eq!(&two, b"ef");
        for offset in [5, 6, u64::MAX] {
            let error = source.read_exact_at(&mut two, offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "offset {offset}");
        }
    }
}
