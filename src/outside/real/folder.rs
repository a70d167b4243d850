//! Folders of a run's own on this machine.

use crate::outside::OutsideError;
use crate::outside::trial::{FOLDER_MARK, FolderState, FolderWork, OwnFolder};
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Processes that were just killed may still write while their folder is removed.
const ATTEMPTS: u32 = 5;

/// Where Linux tells the name of the machine, and where systems keep it.
const MACHINE: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];

/// The name of this machine.
pub(super) fn machine() -> String {
    let read = |path: &&str| {
        let name = fs::read_to_string(path).ok()?.trim().to_owned();
        (!name.is_empty()).then_some(name)
    };
    MACHINE.iter().find_map(read).unwrap_or_else(|| "a machine without a name".to_owned())
}

/// Works on a thread of its own: there may be gigabytes to remove.
pub(super) async fn work(
    folder: &OwnFolder,
    work: FolderWork,
) -> Result<FolderState, OutsideError> {
    folder.verify()?;
    let folder = folder.clone();
    let path = folder.path.clone();
    let done = tokio::task::spawn_blocking(move || carry_out(&folder, work)).await;
    let failed = |why: String| OutsideError::Failed(format!("the folder {path}: {why}"));
    done.map_err(|error| failed(error.to_string()))?.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => OutsideError::Denied(format!("the folder {path}: {error}")),
        _ => failed(error.to_string()),
    })
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
            remove(Path::new(&folder.path))?;
            Ok(FolderState::Gone)
        }
        (FolderWork::Make, _) => {
            remove(Path::new(&folder.path))?;
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

fn remove(path: &Path) -> io::Result<()> {
    let mut attempts = ATTEMPTS;
    loop {
        attempts -= 1;
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error)
                if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() =>
            {
                return Ok(());
            }
            Err(_) if attempts > 0 => {}
            Err(error) => return Err(error),
        }
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
