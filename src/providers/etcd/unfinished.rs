//! A file that gets its name when it is whole, and that a later attempt of the same step knows as its own. Until then it stands
//! beside its place under a name that only this step has: what a killed process leaves is found by that name, and removed.

use crate::action::StepError;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where a file goes, and where it stands until it is whole.
pub(super) struct Place {
    path: PathBuf,
    unfinished: PathBuf,
}

impl Place {
    /// The place of a step, of which `mine` is the name in every attempt, and of no other step.
    pub(super) fn of(path: &str, mine: &str) -> Self {
        let path = PathBuf::from(path);
        let unfinished = folder(&path).join(format!(".{mine}.unfinished"));
        Self { path, unfinished }
    }

    /// Removes what an earlier attempt has left: its unfinished file, and that file under its name, if it came as far.
    ///
    /// # Errors
    /// When anything else is there, which stays as it is.
    pub(super) fn clear(&self) -> Result<(), StepError> {
        let (there, earlier) = (self.look(&self.path)?, self.look(&self.unfinished)?);
        let is_mine = match (&there, &earlier) {
            (Some(there), Some(earlier)) => is_same(there, earlier),
            _ => false,
        };
        // The name first: as long as the other one is there, the next attempt knows whose both are.
        if is_mine {
            self.remove(&self.path)?;
        }
        if earlier.is_some() {
            self.remove(&self.unfinished)?;
        }
        if there.is_some() && !is_mine { Err(self.there_already()) } else { Ok(()) }
    }

    /// Makes the file anew, readable and writable by this user only.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(self) -> Result<(File, Unfinished), StepError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&self.unfinished).map_err(|e| self.failed("made", &e))?;
        Ok((file, Unfinished { place: self, has_name: false }))
    }

    fn look(&self, path: &Path) -> Result<Option<Metadata>, StepError> {
        match path.symlink_metadata() {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failed("made", &e)),
        }
    }

    fn remove(&self, path: &Path) -> Result<(), StepError> {
        let failed = |e: io::Error| {
            let text = format!("{} of an earlier attempt cannot be removed: {e}", path.display());
            StepError::broken(text).help("remove it: it may hold every secret of the cluster")
        };
        fs::remove_file(path).map_err(failed)
    }

    fn failed(&self, what: &str, error: &io::Error) -> StepError {
        StepError::broken(format!("{} cannot be {what}: {error}", self.path.display()))
    }

    fn there_already(&self) -> StepError {
        let path = self.path.display();
        StepError::broken(format!("{path} is there already, and is not overwritten"))
            .help("remove it, or name another file")
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether both are one file under two names.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A file on its way to its name. Dropped before it has one, it is removed.
pub(super) struct Unfinished {
    place: Place,
    has_name: bool,
}

impl Unfinished {
    /// Gives the file its name, over no other file. It keeps the other one until [`Unfinished::end`]: whoever comes later, after a
    /// crash, sees by it that the file is of this step.
    ///
    /// # Errors
    /// When something is there by now, or the folder cannot be written.
    pub(super) fn give_name(&mut self) -> Result<(), StepError> {
        let place = &self.place;
        fs::hard_link(&place.unfinished, &place.path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => place.there_already(),
            _ => place
                .failed("made", &e)
                .help("name a file on a file system that gives a file two names (hard links)"),
        })?;
        self.has_name = true;
        let written = File::open(folder(&place.path)).and_then(|folder| folder.sync_all());
        written.map_err(|e| place.failed("kept", &e))
    }

    /// Takes away the name of the time when it was unfinished: from now on it belongs to nobody.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn end(self) -> Result<(), StepError> {
        self.place.remove(&self.place.unfinished)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.has_name {
            // Nobody can be told here; the next attempt tries again, and says so.
            let _ = fs::remove_file(&self.place.unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    /// A folder, and the place `taken.db` in it of a step whose name is `mine`.
    fn place() -> (TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = in_folder(&folder);
        (folder, place)
    }

    fn in_folder(folder: &TempDir) -> Place {
        Place::of(folder.path().join("taken.db").to_str().unwrap(), "mine")
    }

    fn left(folder: &TempDir) -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn written(place: Place) -> Unfinished {
        let (mut file, unfinished) = place.begin().unwrap();
        file.write_all(b"a secret").unwrap();
        unfinished
    }

    /// A killed process drops nothing.
    fn killed(unfinished: Unfinished) {
        std::mem::forget(unfinished);
    }

    #[test]
    fn a_file_gets_its_name_and_leaves_nothing_else() {
        let (folder, place) = place();
        place.clear().unwrap();
        let mut unfinished = written(place);
        let path = folder.path().join(".mine.unfinished");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        unfinished.give_name().unwrap();
        unfinished.end().unwrap();
        assert_eq!(left(&folder), ["taken.db"]);
        assert_eq!(fs::read(folder.path().join("taken.db")).unwrap(), b"a secret");
    }

    #[test]
    fn a_file_that_was_not_finished_is_removed() {
        let (folder, place) = place();
        drop(written(place));
        assert_eq!(left(&folder), [""; 0]);
    }

    #[test]
    fn regression_what_a_killed_attempt_left_is_found_by_its_name_and_removed() {
        let (folder, place) = place();
        killed(written(place));
        assert_eq!(left(&folder), [".mine.unfinished"]);
        in_folder(&folder).clear().unwrap();
        assert_eq!(left(&folder), [""; 0]);
        // What another step left is not touched.
        let other = Place::of(folder.path().join("taken.db").to_str().unwrap(), "other");
        killed(written(other));
        in_folder(&folder).clear().unwrap();
        assert_eq!(left(&folder), [".other.unfinished"]);
    }

    #[test]
    fn regression_a_file_that_a_killed_attempt_had_named_is_made_again() {
        let (folder, place) = place();
        let mut unfinished = written(place);
        unfinished.give_name().unwrap();
        killed(unfinished);
        assert_eq!(left(&folder), [".mine.unfinished", "taken.db"]);
        in_folder(&folder).clear().unwrap();
        assert_eq!(left(&folder), [""; 0]);
    }

    #[test]
    fn regression_an_attempt_that_ends_after_the_file_has_its_name_leaves_the_proof_whose_it_is() {
        let (folder, place) = place();
        let mut unfinished = written(place);
        unfinished.give_name().unwrap();
        drop(unfinished);
        in_folder(&folder).clear().unwrap();
        assert_eq!(left(&folder), [""; 0]);
    }

    #[test]
    fn what_is_of_somebody_else_is_never_removed_nor_overwritten() {
        let (folder, place) = place();
        killed(written(place));
        let path = folder.path().join("taken.db");
        fs::write(&path, "of somebody else").unwrap();
        let refused = |error: StepError| error.to_string().contains("is not overwritten");
        assert!(refused(in_folder(&folder).clear().unwrap_err()));
        assert_eq!(left(&folder), ["taken.db"], "the secret of the earlier attempt is removed");
        // It comes while the file is on its way.
        let mut unfinished = written(in_folder(&folder));
        assert!(refused(unfinished.give_name().unwrap_err()));
        drop(unfinished);
        assert_eq!(fs::read(&path).unwrap(), b"of somebody else");
        assert_eq!(left(&folder), ["taken.db"]);
    }

    #[test]
    fn a_symbolic_link_to_the_unfinished_file_is_of_somebody_else() {
        let (folder, place) = place();
        killed(written(place));
        let (path, earlier) =
            (folder.path().join("taken.db"), folder.path().join(".mine.unfinished"));
        std::os::unix::fs::symlink(earlier, path).unwrap();
        assert!(in_folder(&folder).clear().is_err());
        assert_eq!(left(&folder), ["taken.db"]);
    }

    #[test]
    fn a_file_without_a_folder_stands_in_the_present_one() {
        assert_eq!(Place::of("taken.db", "mine").unfinished, Path::new("./.mine.unfinished"));
    }
}
