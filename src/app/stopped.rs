//! A run that could not be gone on with.

use super::journal_store;
use super::refusal::is_full;
use super::runs::RunFolder;
use crate::engine::DriveError;
use crate::error::{Error, ExitCode};

/// Why a run could not be gone on with.
pub(super) struct Stopped {
    pub(super) error: Error,
    /// Its store did not do its part: what it made can be given back without it.
    pub(super) by_store: bool,
}

impl Stopped {
    /// By what the store did not do. What it refuses, because another process holds the run, is no failure of the store.
    pub(super) fn in_store(error: Error, folder: &RunFolder) -> Self {
        if error.exit_code() == ExitCode::Refused {
            return Self { error, by_store: false };
        }
        let help = [error.help_text().unwrap_or_default(), &folder.without_store()];
        let help: Vec<&str> = help.into_iter().filter(|part| !part.is_empty()).collect();
        let help = help.join("; ");
        Self { error: error.help(help), by_store: true }
    }

    /// In the middle, by what the engine says.
    pub(super) fn in_the_middle(folder: &RunFolder, error: &DriveError) -> Self {
        let of_journal = match error {
            DriveError::Journal(why) => Some(why),
            _ => None,
        };
        let of_store = of_journal.is_some_and(journal_store::is_of_the_store);
        let by_store = of_store && !folder.is_rehearsal();
        let help = match of_journal.and_then(journal_store::taken_over_at) {
            Some(address) => taken_over(folder, address),
            None if by_store => format!("{}; {}", folder.stopped_now(), folder.without_store()),
            None if of_journal.is_some_and(is_full) => folder.stopped_on_a_full_disk(),
            None => folder.stopped_now(),
        };
        Self { error: Error::broken(format!("the run stopped: {error}")).help(help), by_store }
    }
}

/// What is said of a run that another process goes on with: the journal of this folder ends with records that the store never had.
fn taken_over(folder: &RunFolder, address: &str) -> String {
    format!(
        "that process goes on with the run, and nothing is to be done here; should it end early: move {} away, whose last records the \
         store does not have, and go on with: redrill resume {address} --take-over",
        folder.path.display()
    )
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { error, by_store: false }
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        stopped.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::{Store, tests::started};
    use crate::journal::WorldKind;
    use std::io::{Error as IoError, ErrorKind};

    /// `resume` on the full disk was told to resume, and so on.
    #[test]
    fn regression_whoever_stopped_on_a_full_disk_is_told_to_make_room_or_to_move() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (_, real) = started(&store, WorldKind::Real);
        let estate = "estate".to_owned();
        let (_, rehearsal) = started(&store, WorldKind::Rehearsal { estate });
        let help = |folder: &RunFolder, kind: ErrorKind| {
            let stopped = Stopped::in_the_middle(folder, &DriveError::Journal(IoError::from(kind)));
            stopped.error.help_text().unwrap().to_owned()
        };
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            let said = help(&real, kind);
            for words in [
                "the journal is whole: make room",
                "under the same name",
                "redrill abort orders-db-0001",
            ] {
                assert!(said.contains(words), "no {words:?} in: {said}");
            }
            assert!(!said.contains("go on with: "), "{said}");
            assert_eq!(help(&rehearsal, kind), rehearsal.stopped_now());
        }
        assert_eq!(help(&real, ErrorKind::Other), real.stopped_now());
        // What was cut off of the last write is no part of it.
        let torn = [&std::fs::read(real.journal()).unwrap()[..], b"{\"seq\":1,"].concat();
        std::fs::write(real.journal(), torn).unwrap();
        assert!(help(&real, ErrorKind::StorageFull).contains("the journal is whole"));
        // What is no journal is not called whole.
        std::fs::write(real.journal(), b"{}\n").unwrap();
        assert_eq!(help(&real, ErrorKind::StorageFull), real.stopped_now());
    }
}
