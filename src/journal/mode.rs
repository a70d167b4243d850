use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Files of a run are their user's alone.
pub(super) const PRIVATE: u32 = 0o600;

/// setgid: what is made in such a folder is of the folder's group (`chmod g+s`).
const SHARED: u32 = 0o2000;

/// Lets the group come to a file of a run as far as to the folder that it is in, when that folder was set up for a group (setgid);
/// else it stays as it is.
///
/// # Errors
/// When the file's permissions cannot be changed.
pub fn share_as_its_folder(file: &File, folder: &Path) -> io::Result<()> {
    let shared = shared_bits(fs::metadata(folder)?.mode());
    let mode = file.metadata()?.mode() & 0o777;
    if mode | shared == mode {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode | shared))
}

/// What the group may do with files in a folder of this mode.
fn shared_bits(folder: u32) -> u32 {
    if folder & SHARED == 0 { 0 } else { folder & 0o060 }
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;

    #[test]
    fn regression_a_journal_is_its_users_alone_unless_the_folder_is_set_up_for_a_group() {
        for (folder_mode, expected) in [
            (0o755, 0o600),
            (0o770, 0o600),
            (0o777, 0o600),
            (0o2770, 0o660),
            (0o2775, 0o660),
            (0o2750, 0o640),
            (0o2700, 0o600),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
            let path = folder.path().join("journal.jsonl");
            drop(Journal::create(&path).unwrap());
            let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
            assert_eq!(mode, expected, "{mode:o} in a folder {folder_mode:o}");
        }
    }
}
