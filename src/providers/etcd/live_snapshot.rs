//! A snapshot that arrives from a running member.

use super::fetch::{check_size, no_room};
use super::stored::computed;
use super::unfinished::{Place, Unfinished};
use crate::action::{StepContext, StepError};
use crate::formats::etcd_snapshot::{HashKv, Inspection, NoHashKv, hash_kv, inspect};
use crate::journal::Finding;
use crate::outside::OutsideError;
use crate::outside::etcd::EtcdMember;
use crate::time::ByteSize;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Write as _;

/// How much arrives between two words of progress, in bytes.
const PROGRESS: u64 = 256 << 20;

/// A snapshot that has arrived, and was looked at.
pub(super) struct Taken {
    pub(super) file: File,
    /// When it is to become a file with a name; removed when it does not.
    unfinished: Option<Unfinished>,
    /// Bytes.
    pub(super) length: u64,
    /// Of the whole file.
    pub(super) sha256: [u8; 32],
    pub(super) inspection: Inspection,
}

/// Where the file of the step goes. What an earlier attempt has left there is removed.
///
/// # Errors
/// When something else is there already, or in a rehearsal, which writes nothing.
pub(super) fn place(context: &StepContext, path: &str) -> Result<Place, StepError> {
    if context.clock.is_simulated() {
        return Err(OutsideError::NotRehearsed(format!("writing {path}")).into());
    }
    let place = Place::of(path, &context.name_of_mine(100));
    place.clear()?;
    Ok(place)
}

/// Reads the database of a member into a temporary file, which no other user can open. Its digest is of what arrives; what is looked
/// at then is what stands in the file.
///
/// # Errors
/// [`crate::journal::FailureClass::Transient`] when it breaks off.
pub(super) async fn take(
    context: &StepContext,
    member: &mut dyn EtcdMember,
    to: Option<Place>,
) -> Result<Taken, StepError> {
    let (mut file, unfinished) = open(to)?;
    let mut pieces = member.snapshot().await?;
    let (mut length, mut told): (u64, u64) = (0, 0);
    let mut arrived = Sha256::new();
    while let Some(piece) = pieces.next().await? {
        length += piece.len() as u64;
        check_size("the snapshot of the member", length)?;
        arrived.update(&piece);
        file.write_all(&piece).map_err(|e| no_room(&e))?;
        if length - told >= PROGRESS {
            told = length;
            context.progress(&format!("{} have arrived", ByteSize(length)));
        }
    }
    file.flush().and_then(|()| file.sync_all()).map_err(|e| no_room(&e))?;
    let read = file.try_clone().map_err(|e| no_room(&e))?;
    let inspection = computed(context, move || inspect(&read, length)).await?;
    Ok(Taken { file, unfinished, length, sha256: arrived.finalize().into(), inspection })
}

/// A file without a name, or one that is to get its name.
fn open(to: Option<Place>) -> Result<(File, Option<Unfinished>), StepError> {
    let Some(place) = to else {
        return Ok((tempfile::tempfile().map_err(|e| no_room(&e))?, None));
    };
    let (file, unfinished) = place.begin()?;
    Ok((file, Some(unfinished)))
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

    /// Gives the file its name, and writes down that it stays. A run that is killed before that takes it again.
    ///
    /// # Errors
    /// When something is there by now, and those of the journal.
    pub(super) async fn keep(self, context: &StepContext, stays: Finding) -> Result<(), StepError> {
        let Some(mut unfinished) = self.unfinished else {
            return Err(StepError::broken("the snapshot has no file that could be named"));
        };
        unfinished.give_name()?;
        context.finding(stays).await?;
        unfinished.end()
    }
}
