use super::unreadable;
use crate::error::{Error, Result};
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
    /// What is wrong with the packing: then nothing inside is proven.
    pub(super) fn fault(&self) -> Option<String> {
        let unpacked = self.unpacked.as_ref()?;
        let fault = unpacked.fault?;
        let packing = unpacked.packing.map_or_else(|| "the file".to_owned(), |p| p.to_string());
        Some(format!("{packing}: {fault}"))
    }
}

/// Opens a snapshot, `-` for standard input. What is packed is unpacked into a file that nobody else can open.
///
/// # Errors
/// When it cannot be read, or is larger than any snapshot.
pub(super) fn open(path: &Path) -> Result<Opened> {
    if path == Path::new("-") {
        return unpacked(io::stdin().lock(), path);
    }
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let about = file.metadata().map_err(|e| unreadable(path, &e))?;
    if about.is_dir() {
        return Err(Error::bad_input(format!("{} is a folder", path.display()))
            .help("name the file of a snapshot"));
    }
    if !about.is_file() {
        // A pipe can be read once, and not at any place.
        return unpacked(file, path);
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

fn unpacked(from: impl Read, path: &Path) -> Result<Opened> {
    let no_room = |e: io::Error| {
        Error::broken(format!("{} cannot be unpacked: {e}", path.display()))
            .help("set TMPDIR to a private folder with room for the snapshot")
    };
    let (file, unpacked) = unpack_into_file(from, limits::ETCD_BYTES).map_err(no_room)?;
    Ok(Opened { file, length: unpacked.bytes, unpacked: Some(unpacked) })
}
