//! Helper: the built program, run in a temporary folder of its own with an environment of its own.
//!
//! Main type: [`Program`]. Nothing in here asserts what a command should do.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, and a folder in which `scenarios/` is that of the repository.
pub(crate) struct Program {
    folder: tempfile::TempDir,
}

/// What a command gave.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Program {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(repository("scenarios"), folder.path().join("scenarios"))
            .unwrap();
        Self { folder }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder, below folders that are made as needed.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Every file below `runs/`, by name.
    pub(crate) fn files_of_runs(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.path("runs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(self.folder.path()).unwrap();
                    files.push(below.display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    /// The program with nothing in its environment that this machine or a developer put there.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.wrapped(env!("CARGO_BIN_EXE_redrill"), arguments)
    }

    /// Another program in the same folder and environment.
    pub(crate) fn wrapped(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("USER", "tester")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Rehearses a scenario of the repository, with its own estate and further arguments. Gives the exit code and the
    /// report.
    pub(crate) fn rehearse(&self, scenario: &str, arguments: &[&str]) -> (i32, Value) {
        let file = format!("scenarios/{scenario}.yaml");
        let fixed = ["run", &file, "--sandbox", "--format", "json", "--quiet"];
        let ran = self.run(&[&fixed[..], arguments].concat());
        assert!(ran.stdout.starts_with('{'), "{scenario} {arguments:?}: {}", ran.stderr);
        let summary = ran.json();
        assert_eq!(summary["exit_code"], ran.code, "{scenario} {arguments:?}");
        (ran.code, summary["runs"][0]["report"].clone())
    }
}

/// The user of the tests, as the system knows them; what `USER` says counts only where it knows no name.
pub(crate) fn this_user() -> String {
    let said = Command::new("/usr/bin/id").arg("-un").output().ok();
    let said = said.filter(|said| said.status.success());
    said.map_or("tester".to_owned(), |said| {
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    })
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself, not by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// Fails unless the exit code is this one and standard error holds all of these words.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// The strings of a JSON array of objects, each made of some fields.
pub(crate) fn listed(array: &Value, line: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let mut lines: Vec<String> = array.as_array().unwrap().iter().filter_map(line).collect();
    lines.sort();
    lines
}
