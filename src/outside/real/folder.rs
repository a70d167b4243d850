//! Folders of a run's own on this machine.

use crate::ids::Digest;
use crate::outside::OutsideError;
use crate::outside::trial::{FOLDER_MARK, FolderState, FolderWork, OwnFolder};
use crate::time::Clock;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Processes that were just killed may still write while their folder is removed.
const ATTEMPTS: u32 = 5;

/// How long they are given.
const PAUSE: Duration = Duration::from_millis(100);

/// Where Linux tells the name of the machine, and where systems keep it.
const MACHINE: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];

/// Where systems keep what tells machines of one name apart.
/// <https://www.freedesktop.org/software/systemd/man/latest/machine-id.html>
const MACHINE_ID: &str = "/etc/machine-id";

/// The name of this machine, with what tells it from others of that name where the system has that. The id itself is not to leave
/// the machine, so it is a digest of it.
pub(super) fn machine() -> String {
    let read = |path: &str| {
        let text = fs::read_to_string(path).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let name = MACHINE.into_iter().find_map(read);
    let name = name.unwrap_or_else(|| "a machine without a name".to_owned());
    let Some(id) = read(MACHINE_ID) else { return name };
    let digest = Digest::of(format!("redrill {id}").as_bytes()).to_string();
    let short: String = digest.trim_start_matches("sha256:").chars().take(8).collect();
    format!("{name} ({short})")
}

/// The folder in which this process works.
pub(super) fn working() -> Result<String, OutsideError> {
    let failed = |why: &str| OutsideError::Failed(format!("the folder of this process {why}"));
    let folder = std::env::current_dir().map_err(|e| failed(&format!("cannot be told: {e}")))?;
    folder.into_os_string().into_string().map_err(|_| failed("has a name that is not UTF-8"))
}

/// Works on a thread of its own: there may be gigabytes to remove.
pub(super) async fn work(
    folder: &OwnFolder,
    work: FolderWork,
    clock: &Clock,
) -> Result<FolderState, OutsideError> {
    folder.verify()?;
    let path = &folder.path;
    let failed = |why: String| OutsideError::Failed(format!("the folder {path}: {why}"));
    let mut attempts = ATTEMPTS;
    loop {
        attempts -= 1;
        let folder = folder.clone();
        let done = tokio::task::spawn_blocking(move || carry_out(&folder, work)).await;
        match done.map_err(|error| failed(error.to_string()))? {
            Ok(state) => return Ok(state),
            Err(_) if attempts > 0 => clock.sleep(PAUSE).await,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(OutsideError::Denied(format!("the folder {path}: {error}")));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

fn carry_out(folder: &OwnFolder, work: FolderWork) -> io::Result<FolderState> {
    let state = find(folder)?;
    match (work, &state) {
        (FolderWork::Find, _) | (_, FolderState::Foreign(_)) => Ok(state),
        (FolderWork::Remove, FolderState::Gone) => {
            remove(&unfinished(folder))?;
            Ok(state)
        }
        (FolderWork::Remove, FolderState::Ours) => {
            remove_ours(folder)?;
            Ok(FolderState::Gone)
        }
        (FolderWork::Make, _) => {
            if state == FolderState::Ours {
                remove_ours(folder)?;
            }
            make(folder)?;
            find(folder)
        }
    }
}

/// Whose it is. Another user could have made a folder of that name, to read what is put there.
fn find(folder: &OwnFolder) -> io::Result<FolderState> {
    let about = match fs::symlink_metadata(&folder.path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FolderState::Gone),
        Err(error) => return Err(error),
    };
    let foreign = |why: &str| Ok(FolderState::Foreign(why.to_owned()));
    if !about.is_dir() {
        return foreign("it is no folder");
    }
    if about.uid() != tempfile::tempfile()?.metadata()?.uid() {
        return foreign("it belongs to another user");
    }
    if about.mode() & 0o077 != 0 {
        return foreign("others may read it");
    }
    match fs::read_to_string(Path::new(&folder.path).join(FOLDER_MARK)) {
        Ok(mark) => Ok(folder.judge(Some(&mark))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(folder.judge(Some(""))),
        Err(error) => Err(error),
    }
}

/// It gets its name once it says whose it is: there is never one of ours that does not.
fn make(folder: &OwnFolder) -> io::Result<()> {
    let unfinished = unfinished(folder);
    remove(&unfinished)?;
    DirBuilder::new().mode(0o700).create(&unfinished)?;
    fs::write(unfinished.join(FOLDER_MARK), &folder.mark)?;
    fs::rename(unfinished, &folder.path)
}

fn unfinished(folder: &OwnFolder) -> PathBuf {
    PathBuf::from(format!("{}.unfinished", folder.path))
}

/// Wherever this is broken off, what still lies there says whose it is, and is removed by another attempt: without its mark, a
/// folder is nobody's, and stays.
fn remove_ours(folder: &OwnFolder) -> io::Result<()> {
    empty(folder)?;
    // It loses its name with its mark.
    let nameless = unfinished(folder);
    remove(&nameless)?;
    fs::rename(&folder.path, &nameless)?;
    remove(&nameless)
}

/// Removes everything but the mark.
fn empty(folder: &OwnFolder) -> io::Result<()> {
    for entry in fs::read_dir(&folder.path)? {
        let entry = entry?;
        if entry.file_name() != FOLDER_MARK {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file or a folder with everything in it, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error)
            if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use std::os::unix::fs::PermissionsExt;

    fn folder(inside: &tempfile::TempDir) -> OwnFolder {
        let path = inside.path().join("redrill-cluster-0001-restore");
        OwnFolder::of(path.to_str().unwrap(), &RunId::new("cluster-0001"))
    }

    #[test]
    fn a_folder_of_its_own_is_private_and_is_removed_with_everything_in_it() {
        let inside = tempfile::tempdir().unwrap();
        let folder = folder(&inside);
        assert_eq!(carry_out(&folder, FolderWork::Find).unwrap(), FolderState::Gone);
        assert_eq!(carry_out(&folder, FolderWork::Make).unwrap(), FolderState::Ours);
        let about = fs::metadata(&folder.path).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o700);
        fs::create_dir_all(Path::new(&folder.path).join("m1/member")).unwrap();
        assert_eq!(carry_out(&folder, FolderWork::Make).unwrap(), FolderState::Ours);
        assert!(!Path::new(&folder.path).join("m1").exists(), "made anew, it is empty");
        assert_eq!(carry_out(&folder, FolderWork::Remove).unwrap(), FolderState::Gone);
        assert_eq!(carry_out(&folder, FolderWork::Remove).unwrap(), FolderState::Gone);
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 0);
    }

    #[test]
    fn regression_a_removal_that_was_broken_off_is_taken_up_again() {
        let inside = tempfile::tempdir().unwrap();
        let folder = folder(&inside);
        let path = Path::new(&folder.path);
        // As when it was killed with everything but the mark gone, and something comes after it.
        carry_out(&folder, FolderWork::Make).unwrap();
        fs::create_dir_all(path.join("a/member")).unwrap();
        fs::write(path.join("z.log"), "secret").unwrap();
        empty(&folder).unwrap();
        let left: Vec<_> =
            fs::read_dir(path).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(left, [FOLDER_MARK], "the mark goes last");
        assert_eq!(carry_out(&folder, FolderWork::Find).unwrap(), FolderState::Ours);
        fs::write(path.join("late.log"), "secret").unwrap();
        assert_eq!(carry_out(&folder, FolderWork::Remove).unwrap(), FolderState::Gone);
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 0);
        // As when it was killed after it took the name away.
        carry_out(&folder, FolderWork::Make).unwrap();
        fs::rename(path, unfinished(&folder)).unwrap();
        assert_eq!(carry_out(&folder, FolderWork::Remove).unwrap(), FolderState::Gone);
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_of_the_run_is_left_alone() {
        let inside = tempfile::tempdir().unwrap();
        let folder = folder(&inside);
        let path = Path::new(&folder.path);
        let is_left = |why: &str| {
            for work in [FolderWork::Find, FolderWork::Make, FolderWork::Remove] {
                let state = carry_out(&folder, work).unwrap();
                assert!(
                    matches!(&state, FolderState::Foreign(said) if said.contains(why)),
                    "{state:?}"
                );
            }
        };
        fs::write(path, "").unwrap();
        is_left("no folder");
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(inside.path(), path).unwrap();
        is_left("no folder");
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        is_left("others may read it");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        is_left("nothing in it says");
        fs::write(path.join(FOLDER_MARK), "made by redrill, run other; may be removed").unwrap();
        is_left("run other");
    }
}
