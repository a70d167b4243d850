use super::unreadable;
use crate::error::{Error, Result};
use crate::formats::etcd_snapshot::{Inspection, inspect, inspect_unpacked};
use crate::formats::packed::{Unpacked, packing_of, unpack_into_file};
use crate::limits;
use crate::time::ByteSize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A snapshot that can be read at any place.
pub(super) struct Opened {
    pub(super) file: File,
    /// Bytes.
    pub(super) length: u64,
    /// How it had to be unpacked, if so.
    pub(super) unpacked: Option<Unpacked>,
}

impl Opened {
    /// What is in the way of unpacking it: then nothing inside is proven.
    pub(super) fn fault(&self) -> Option<String> {
        let unpacked = self.unpacked.as_ref()?;
        let fault = unpacked.fault?;
        let packing = unpacked.packing.map_or_else(|| "the file".to_owned(), |p| p.to_string());
        Some(format!("{packing}: {fault}"))
    }

    /// Whether the packing is damaged, and not only more than this program can unpack.
    pub(super) fn is_damaged(&self) -> bool {
        let fault = self.unpacked.as_ref().and_then(|unpacked| unpacked.fault);
        fault.is_some_and(|fault| fault.is_damage())
    }

    /// Looks at what is in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn inspect(&self) -> io::Result<Inspection> {
        match &self.unpacked {
            None => inspect(&self.file, self.length),
            Some(unpacked) => inspect_unpacked(&self.file, unpacked),
        }
    }
}

/// Opens a snapshot, `-` for standard input. What is packed is unpacked into a file that nobody else can open.
///
/// # Errors
/// When it cannot be read, is larger than any snapshot, or nothing comes out of a pipe.
pub(super) fn open(path: &Path) -> Result<Opened> {
    if path == Path::new("-") {
        return piped(io::stdin().lock(), path);
    }
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let about = file.metadata().map_err(|e| unreadable(path, &e))?;
    if about.is_dir() {
        return Err(Error::bad_input(format!("{} is a folder", path.display()))
            .help("name the file of a snapshot"));
    }
    if !about.is_file() {
        // A pipe can be read once, and not at any place.
        return piped(file, path);
    }
    let length = about.len();
    if length > limits::ETCD_BYTES {
        let (size, most) = (ByteSize(length), ByteSize(limits::ETCD_BYTES));
        let text = format!("{} has {size}; more than {most} is no snapshot", path.display());
        return Err(Error::bad_input(text));
    }
    if packing_of(&file, length).map_err(|e| unreadable(path, &e))?.is_some() {
        file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(path, &e))?;
        return unpacked(file, path);
    }
    Ok(Opened { file, length, unpacked: None })
}

/// From a pipe. An empty one says more of what should have written into it than of a backup.
fn piped(from: impl Read, path: &Path) -> Result<Opened> {
    let opened = unpacked(from, path)?;
    if opened.unpacked.as_ref().is_some_and(|unpacked| unpacked.packed_bytes == 0) {
        let from =
            if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
        return Err(Error::broken(format!("{from} was empty: there is nothing to look at"))
            .help("did the command before it fail? set -o pipefail lets the shell say so"));
    }
    Ok(opened)
}

fn unpacked(from: impl Read, path: &Path) -> Result<Opened> {
    let no_room = |e: io::Error| {
        Error::broken(format!("{} cannot be unpacked: {e}", path.display()))
            .help("set TMPDIR to a private folder with room for the snapshot")
    };
    let (file, unpacked) = unpack_into_file(from, limits::ETCD_BYTES).map_err(no_room)?;
    Ok(Opened { file, length: unpacked.bytes, unpacked: Some(unpacked) })
}
