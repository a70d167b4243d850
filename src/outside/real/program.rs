//! Where a program is, without starting it.

use super::command::not_started;
use crate::outside::OutsideError;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are looked for without a `PATH` (execvp of the GNU C library, <https://man7.org/linux/man-pages/man3/exec.3.html>).
const WITHOUT_PATH: &str = "/bin:/usr/bin";

/// As much of a file as the line with the interpreter of a script takes (<https://man7.org/linux/man-pages/man2/execve.2.html>).
const FIRST_LINE: u64 = 256;

/// Finds a program as it would be found when it is started in a folder; without one, in that of this process.
#[expect(clippy::disallowed_methods, reason = "programs are found by the PATH of this process")]
pub(super) fn find(
    name: &str,
    path: Option<&str>,
    folder: Option<&Path>,
) -> Result<PathBuf, OutsideError> {
    let own = std::env::var("PATH").unwrap_or_else(|_| WITHOUT_PATH.to_owned());
    let found = search(name, path.unwrap_or(&own), folder.unwrap_or(Path::new("")));
    let found = found.map_err(|error| not_started(name, &error))?;
    match interpreter(&found) {
        Some(interpreter) if !interpreter.exists() => Err(OutsideError::Failed(format!(
            "{} is a script for {}, which is not there",
            found.display(),
            interpreter.display()
        ))),
        _ => Ok(found),
    }
}

/// A name with a slash is the file itself. A file that may not be run is passed over while there are more places.
fn search(name: &str, path: &str, folder: &Path) -> io::Result<PathBuf> {
    if name.contains('/') {
        let file = folder.join(name);
        return runnable(&file).map(|()| file);
    }
    let mut why = io::Error::from(ErrorKind::NotFound);
    for place in std::env::split_paths(path) {
        let file = folder.join(place).join(name);
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

fn runnable(file: &Path) -> io::Result<()> {
    let found = file.metadata()?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::PermissionDenied, "it is no file that is executable"))
}

/// The program that a script is for. A file that may be run and not read is no script that works, and not told from others.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(FIRST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(folder: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_program_is_found_as_it_would_be_started() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(first.path(), "tool", "", 0o644);
        let tool = file(second.path(), "tool", "#!/bin/sh\n", 0o755);
        let path = format!("{}:{}", first.path().display(), second.path().display());
        assert_eq!(find("tool", Some(&path), None).unwrap(), PathBuf::from(&tool));
        assert_eq!(find(&tool, Some(""), None).unwrap(), PathBuf::from(&tool));
        assert!(find("sh", None, None).is_ok());
    }

    #[test]
    fn regression_a_name_with_a_slash_is_not_said_to_be_missing_in_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = find("./no-hook.sh", None, Some(folder.path())).unwrap_err().to_string();
        assert_eq!(error, "there is no file \"./no-hook.sh\" that can be run");
        let error = find("no-hook.sh", Some(""), None).unwrap_err().to_string();
        assert_eq!(error, "there is no program \"no-hook.sh\" in the PATH");
    }

    #[test]
    fn what_is_missing_or_may_not_be_run_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let plain = file(folder.path(), "plain", "", 0o644);
        let script = file(folder.path(), "script", "#!/nowhere/python -u\n", 0o755);
        assert!(matches!(find("tool", Some(path), None), Err(OutsideError::Failed(_))));
        for name in ["plain", plain.as_str(), path] {
            assert!(matches!(find(name, Some(path), None), Err(OutsideError::Denied(_))), "{name}");
        }
        let error = find(&script, None, None).unwrap_err().to_string();
        assert!(error.contains("/nowhere/python, which is not there"), "{error}");
    }
}
