//! A snapshot that arrives from a running member.

use super::fetch::{check_size, no_room};
use super::stored::computed;
use crate::action::{StepContext, StepError};
use crate::formats::ReadAt as _;
use crate::formats::etcd_snapshot::{HashKv, Inspection, NoHashKv, hash_kv, inspect};
use crate::outside::OutsideError;
use crate::outside::etcd::EtcdMember;
use crate::time::ByteSize;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// How much arrives between two words of progress, in bytes.
const PROGRESS: u64 = 256 << 20;
/// How much is read at once to compute the digest, in bytes.
const BUFFER: usize = 1 << 20;

/// A snapshot that has arrived, and was looked at.
pub(super) struct Taken {
    pub(super) file: File,
    /// Where it is, when it is to become a file with a name; removed when it does not.
    path: Option<TempPath>,
    /// Bytes.
    pub(super) length: u64,
    /// Of the whole file.
    pub(super) sha256: [u8; 32],
    pub(super) inspection: Inspection,
}

/// Whether a file can be made there.
///
/// # Errors
/// When something is there already, or in a rehearsal, which writes nothing.
pub(super) fn may_be_made(context: &StepContext, path: &str) -> Result<(), StepError> {
    if context.clock.is_simulated() {
        return Err(OutsideError::NotRehearsed(format!("writing {path}")).into());
    }
    match Path::new(path).symlink_metadata() {
        Ok(_) => Err(there_already(path)),
        Err(_) => Ok(()),
    }
}

fn there_already(path: &str) -> StepError {
    StepError::broken(format!("{path} is there already, and is not overwritten"))
        .help("remove it, or name another file")
}

/// Reads the database of a member into a temporary file, which nobody else can open.
///
/// # Errors
/// [`crate::journal::FailureClass::Transient`] when it breaks off.
pub(super) async fn take(
    context: &StepContext,
    member: &mut dyn EtcdMember,
    to: Option<&str>,
) -> Result<Taken, StepError> {
    let (mut file, path) = open(to)?;
    let mut pieces = member.snapshot().await?;
    let (mut length, mut told): (u64, u64) = (0, 0);
    while let Some(piece) = pieces.next().await? {
        length += piece.len() as u64;
        check_size("the snapshot of the member", length)?;
        file.write_all(&piece).map_err(|e| no_room(&e))?;
        if length - told >= PROGRESS {
            told = length;
            context.progress(&format!("{} have arrived", ByteSize(length)));
        }
    }
    file.flush().and_then(|()| file.sync_all()).map_err(|e| no_room(&e))?;
    let read = file.try_clone().map_err(|e| no_room(&e))?;
    let look = move || Ok((digest(&read, length)?, inspect(&read, length)?));
    let (sha256, inspection) = computed(context, look).await?;
    Ok(Taken { file, path, length, sha256, inspection })
}

/// A file without a name, or one beside the place that it will have.
fn open(to: Option<&str>) -> Result<(File, Option<TempPath>), StepError> {
    let Some(to) = to else {
        return Ok((tempfile::tempfile().map_err(|e| no_room(&e))?, None));
    };
    let folder = Path::new(to).parent().filter(|folder| *folder != Path::new(""));
    let folder: PathBuf = folder.unwrap_or(Path::new(".")).to_owned();
    // With mode 0600, whatever the umask says.
    let (file, path) = NamedTempFile::new_in(&folder)
        .map_err(|e| {
            StepError::broken(format!("no file can be made in {}: {e}", folder.display()))
        })?
        .into_parts();
    Ok((file, Some(path)))
}

fn digest(file: &File, length: u64) -> std::io::Result<[u8; 32]> {
    let (mut hasher, mut buffer, mut at) = (Sha256::new(), vec![0; BUFFER], 0);
    while at < length {
        let most = usize::try_from(length - at).unwrap_or(BUFFER).min(BUFFER);
        file.read_exact_at(&mut buffer[..most], at)?;
        hasher.update(&buffer[..most]);
        at += most as u64;
    }
    Ok(hasher.finalize().into())
}

impl Taken {
    /// Its hash at a revision, as a member computes it that has compacted so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn hash_at(
        &self,
        context: &StepContext,
        revision: i64,
        compacted: Option<i64>,
    ) -> Result<Result<HashKv, NoHashKv>, StepError> {
        let (file, length) = (self.file.try_clone().map_err(|e| no_room(&e))?, self.length);
        computed(context, move || hash_kv(&file, length, Some(revision), compacted)).await
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When something is there by now.
    pub(super) fn keep_as(self, path: &str) -> Result<(), StepError> {
        let Some(temporary) = self.path else {
            return Err(StepError::broken("the snapshot has no file that could be named"));
        };
        temporary.persist_noclobber(path).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => there_already(path),
            _ => StepError::broken(format!("{path} cannot be made: {}", e.error)),
        })
    }
}
