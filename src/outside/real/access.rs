//! Files of a run that another user of this machine cannot use: whose they are, and how they are shared.

use super::user::{this_user, user_named};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What to do about an error, when a file or a folder of a run may not be used by this user.
pub fn barred(path: &Path, error: &io::Error) -> Option<String> {
    (error.kind() == io::ErrorKind::PermissionDenied).then(|| how_to_be_let_in(path))
}

/// Whose a file or a folder of a run is, and how others come to it. Where the file itself is hidden, the folder around it is told
/// of.
pub fn how_to_be_let_in(path: &Path) -> String {
    let me = this_user().unwrap_or_else(|| "another user".to_owned());
    let seen = path.ancestors().find_map(|place| Some((place, fs::metadata(place).ok()?)));
    let whose = match seen {
        Some((place, about)) => {
            let owner = user_named(about.uid());
            said(place, &owner, about.mode(), &me)
        }
        None => format!("this is {me}"),
    };
    format!("{whose}; {HOW}")
}

fn said(place: &Path, owner: &str, mode: u32, me: &str) -> String {
    format!("{} belongs to {owner} (mode {:04o}), and this is {me}", place.display(), mode & 0o7777)
}

/// The guide says more: "When others answer, too".
const HOW: &str = "people of one group share a folder of runs: chgrp -R GROUP RUNS; chmod -R g+rwX RUNS; find RUNS -type d -exec chmod g+s {} +; \
and who starts runs there has the umask 007. Without that only its owner can do it (sudo -u), and it counts as the owner's doing";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn regression_who_is_shut_out_hears_whose_the_file_is_and_how_a_group_shares_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let help = barred(&folder.path().join("approvals/x.json"), &denied).unwrap();
        let me = this_user().unwrap();
        let whose =
            format!("{} belongs to {me} (mode 0750), and this is {me}; ", folder.path().display());
        assert!(help.starts_with(&whose), "{help}");
        for words in ["chgrp -R GROUP", "chmod g+s", "umask 007", "sudo -u", "the owner's doing"] {
            assert!(help.contains(words), "{help}");
        }
        assert_eq!(barred(folder.path(), &io::Error::from(io::ErrorKind::NotFound)), None);
    }

    #[test]
    fn all_bits_of_a_mode_are_said() {
        let text = said(Path::new("runs"), "bert", 0o42750, "anna");
        assert_eq!(text, "runs belongs to bert (mode 2750), and this is anna");
    }
}
