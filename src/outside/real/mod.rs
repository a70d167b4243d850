//! The world outside as it is: programs, HTTP, databases, people.
//!
//! Main type: [`RealOutside`]. Only real runs use it: what happens outside the process cannot be waited for while time
//! is simulated. Judging answers does not belong here; that is for the actions.

mod access;
mod approval;
mod command;
mod database;
mod etcd;
mod folder;
mod hold;
mod http;
mod mysql;
mod own_schema;
mod postgres;
mod program;
mod terminal;
mod trial;
mod user;
mod values;

pub use access::{barred, how_to_be_let_in};
pub use approval::{GivenAnswer, RunIdentity, ShownBy, answer_approval};
pub use mysql::reads;
pub use user::this_user;

use super::etcd::{EtcdLogin, EtcdMember};
use super::ladder::{OwnSchema, SchemaState, SchemaWork};
use super::trial::{FolderState, FolderWork, OwnFolder, TrialEtcd, TrialRequest};
use super::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseEngine, DatabaseLogin,
    DatabaseSession, HttpReply, HttpRequest, Outside, OutsideError, Secret, Secrets, read_file,
};
use crate::journal::Approval;
use crate::time::Clock;
use std::path::{Path, PathBuf};
use terminal::Terminal;

/// The world outside in a real run.
pub struct RealOutside {
    run_dir: PathBuf,
    clock: Clock,
    terminal: Terminal,
    secrets: Secrets,
    identity: Option<RunIdentity>,
}

impl RealOutside {
    /// For the run whose journal is in `run_dir`: approvals are asked for and answered there.
    pub fn new(run_dir: impl Into<PathBuf>) -> Self {
        Self::with_clock(run_dir, Clock::system())
    }

    /// As [`RealOutside::new`], with the clock that says when approvals are due.
    pub fn with_clock(run_dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            run_dir: run_dir.into(),
            clock,
            terminal: Terminal::standard_input(),
            secrets: Secrets::default(),
            identity: None,
        }
    }

    /// Says who the run is at AWS: for approvals by those whom AWS knows.
    #[must_use]
    pub fn identified(mut self, identity: RunIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Where people answer.
    fn people(&self) -> approval::Place<'_> {
        approval::Place {
            run_dir: &self.run_dir,
            clock: &self.clock,
            terminal: &self.terminal,
            identity: self.identity.as_ref(),
            secrets: &self.secrets,
        }
    }
}

impl Outside for RealOutside {
    fn command<'a>(&'a self, request: &'a CommandRequest) -> Answer<'a, CommandReply> {
        let is_plain = request.stdin.is_none() && request.hold.is_none();
        if request.ends_with_us && is_plain {
            return Box::pin(command::run_with_us(request));
        }
        Box::pin(command::run(request))
    }

    fn http<'a>(&'a self, request: &'a HttpRequest) -> Answer<'a, HttpReply> {
        Box::pin(http::send(request, &self.clock))
    }

    fn database<'a>(&'a self, login: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        match login.engine {
            DatabaseEngine::Postgres => Box::pin(postgres::open(login)),
            DatabaseEngine::Mysql => Box::pin(mysql::open(login)),
        }
    }

    fn own_schema<'a>(
        &'a self,
        login: &'a DatabaseLogin,
        schema: &'a OwnSchema,
        work: SchemaWork,
    ) -> Answer<'a, SchemaState> {
        Box::pin(own_schema::work(login, schema, work))
    }

    fn machine(&self) -> String {
        folder::machine()
    }

    fn working_folder(&self) -> Result<String, OutsideError> {
        folder::working()
    }

    fn has_folder(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }

    fn temporary_folder(&self) -> String {
        std::env::temp_dir().to_string_lossy().into_owned()
    }

    fn own_folder<'a>(
        &'a self,
        folder: &'a OwnFolder,
        work: FolderWork,
    ) -> Answer<'a, FolderState> {
        Box::pin(folder::work(folder, work, &self.clock))
    }

    fn trial_etcd<'a>(&'a self, request: &'a TrialRequest) -> Answer<'a, Box<dyn TrialEtcd>> {
        Box::pin(trial::open(request, &self.clock))
    }

    fn etcd<'a>(&'a self, login: &'a EtcdLogin) -> Answer<'a, Box<dyn EtcdMember>> {
        Box::pin(etcd::open(login, &self.secrets))
    }

    fn prepared(&self, request: ApprovalRequest) -> Answer<'_, ApprovalRequest> {
        Box::pin(async move { approval::prepared(&self.people(), request).await })
    }

    fn signers(&self, file: &str) -> Result<usize, OutsideError> {
        approval::signers_in(file)
    }

    fn approval<'a>(&'a self, request: &'a ApprovalRequest) -> Answer<'a, Approval> {
        Box::pin(async move { approval::ask(&self.people(), request).await })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where steps read the environment")]
    fn environment(&self, name: &str) -> Result<Secret, OutsideError> {
        match std::env::var(name) {
            Ok(value) => Ok(Secret::new(value)),
            Err(std::env::VarError::NotPresent) => {
                Err(OutsideError::Denied(format!("the environment variable {name} is not set")))
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(OutsideError::Failed(format!("the environment variable {name} is not UTF-8")))
            }
        }
    }

    fn file(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        read_file(path, limit)
    }

    fn program(&self, name: &str, path: Option<&str>) -> Result<PathBuf, OutsideError> {
        program::find(name, path, None)
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_a_limit_and_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let (outside, path) = (RealOutside::new(folder.path()), path.to_str().unwrap());
        assert_eq!(outside.file(path, 8).unwrap(), b"hunter2\n");
        assert!(outside.file(path, 7).unwrap_err().to_string().contains("larger than 7 bytes"));
        assert!(matches!(outside.file("/nowhere/at/all", 7), Err(OutsideError::Failed(_))));
    }

    /// A step is tried again, and a run is resumed: a pipe would be waited for then, with nobody at its other end.
    #[test]
    fn regression_what_can_be_read_only_once_is_no_file_of_a_step() {
        let outside = RealOutside::new("unused");
        let refused = outside.file("/dev/zero", 7).unwrap_err();
        assert!(matches!(refused, OutsideError::Failed(text) if text.contains("regular file")));
    }

    #[test]
    fn a_variable_that_is_not_set_is_a_missing_credential() {
        let outside = RealOutside::new("unused");
        let missing = outside.environment("REDRILL_TEST_NEVER_SET").unwrap_err();
        assert!(matches!(missing, OutsideError::Denied(text) if text.contains("NEVER_SET")));
        assert!(!outside.environment("PATH").unwrap().reveal().is_empty());
    }
}
