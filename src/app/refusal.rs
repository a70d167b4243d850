//! What is said of a run that cannot be used, or not by this user.

use super::runs::RunFolder;
use crate::error::Error;
use crate::journal::{Impossible, ReadError};
use crate::outside::real::{barred, how_to_be_let_in};
use std::fs;
use std::path::{Path, PathBuf};

impl RunFolder {
    /// What is said when nothing can be done with the journal.
    pub(super) fn refused(&self, why: &dyn Refusal) -> Error {
        let journal = self.journal();
        let error = Error::broken(format!("{}: {why}", journal.display()));
        match why.io().and_then(|e| way_out(&journal, e)) {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// Why nothing can be done with a journal.
pub(super) trait Refusal: std::fmt::Display {
    /// The error of the file, when it is one.
    fn io(&self) -> Option<&std::io::Error> {
        None
    }
}

impl Refusal for &str {}

impl Refusal for Impossible {}

impl Refusal for std::io::Error {
    fn io(&self) -> Option<&std::io::Error> {
        Some(self)
    }
}

impl Refusal for ReadError {
    fn io(&self) -> Option<&std::io::Error> {
        match self {
            Self::Io(error) | Self::Unwritable(error) => Some(error),
            _ => None,
        }
    }
}

/// Whether the disk is full, or what this user may have of it.
pub(super) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What is done about a full disk: the folder of a run can be gone on with wherever it bears the run's name.
pub(super) const MAKE_ROOM: &str = "make room on the disk, or for this user there; where that cannot be done, and no process is at work \
     on the run any more, copy its folder, under the same name, to a place with room, and name that one with --runs-dir from then on";

/// What to do about an error of the disk. A file system that had errors is often mounted anew so that it can only be read.
fn way_out(whose: &Path, error: &std::io::Error) -> Option<String> {
    if is_full(error) {
        return Some(MAKE_ROOM.to_owned());
    }
    if error.kind() != std::io::ErrorKind::ReadOnlyFilesystem {
        return barred(whose, error);
    }
    Some(
        "its file system takes no writes: when no process is at work on the run any more, copy its folder, under the same name, to \
         another place, and name that one with --runs-dir; redrill reap removes what runs have made, and writes nothing here"
            .to_owned(),
    )
}

/// A file of a run that cannot be used; who may not is told whose the file, or the folder, is.
pub(super) fn cannot_be(what: &str, path: &Path, whose: &Path, error: &std::io::Error) -> Error {
    let text = format!("{} cannot be {what}: {error}", path.display());
    match way_out(whose, error) {
        Some(help) => Error::broken(text).help(help),
        None => Error::broken(text),
    }
}

/// What is said when there is no such run: in folders that are hidden from this user it may be all the same.
pub(super) fn no_such_run(text: String, looked_at: &[PathBuf]) -> Error {
    let hidden = |path: &&PathBuf| {
        let seen = fs::metadata(path);
        seen.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    };
    match looked_at.iter().find(hidden) {
        Some(path) => {
            let text = format!("{text} that this user may see: {}", path.display());
            Error::broken(format!("{text} is hidden")).help(how_to_be_let_in(path))
        }
        None => Error::bad_input(text)
            .help("redrill runs lists them; a run can also be named by its folder, or as `last`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn regression_who_may_not_use_a_run_hears_whose_it_is_and_how_it_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal.jsonl"), b"").unwrap();
        let run = RunFolder { path: folder.path().to_owned() };
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for error in [
            run.refused(&denied()),
            run.refused(&ReadError::from(denied())),
            run.refused(&ReadError::Unwritable(denied())),
            cannot_be("written", &run.journal(), &run.path, &denied()),
        ] {
            let help = error.help_text().unwrap();
            assert!(help.contains("belongs to") && help.contains("chgrp -R GROUP"), "{help}");
        }
        let read_only = || io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        for error in [
            run.refused(&ReadError::Unwritable(read_only())),
            cannot_be("written", &run.path.join("order-1.json"), &run.path, &read_only()),
        ] {
            let help = error.help_text().unwrap();
            assert!(help.contains("--runs-dir") && help.contains("redrill reap"), "{help}");
        }
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let full =
                cannot_be("written", &run.path.join("order-1.json"), &run.path, &kind.into());
            assert_eq!(full.help_text(), Some(MAKE_ROOM));
        }
        assert_eq!(run.refused(&"it does not start").help_text(), None);
        assert_eq!(run.refused(&ReadError::Empty).help_text(), None);
        let none = no_such_run("there is no run".to_owned(), &[folder.path().join("x")]);
        assert!(none.help_text().unwrap().contains("redrill runs lists them"));
    }
}
