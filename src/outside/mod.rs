//! What leaves the process and is not AWS: commands, HTTP, databases, people.
//!
//! Main type: [`Outside`]. In a real run it is [`real`]; in a rehearsal the estate answers, because paused time cannot
//! wait for the outside world. What the estate does not answer is [`OutsideError::NotRehearsed`], never a pass.

use crate::ids::{Digest, RunId, StepId};
use crate::journal::Approval;
use crate::limits;
use chrono::{DateTime, Utc};
use etcd::{EtcdLogin, EtcdMember};
use futures_util::future::BoxFuture;
use ladder::{
    Inspection, OwnSchema, Reading, RowsOf, RowsSum, SchemaState, SchemaWork, Sequence, Structure,
    Table,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use trial::{FolderState, FolderWork, OwnFolder, TrialEtcd, TrialRequest};

mod concealing;
pub mod etcd;
#[cfg(test)]
pub(crate) mod fake;
mod given;
pub mod ladder;
mod principal;
pub mod real;
mod secret;
mod secrets;
pub mod trial;

pub use concealing::Concealing;
pub use given::{Given, conceal};
pub(crate) use principal::why_the_same_person;
pub use principal::{AllowedPrincipals, Principal, RunBy, is_same_person};
pub use secret::Secret;
pub(crate) use secret::SecretFrom;
pub use secrets::Secrets;

/// The world outside, as far as steps may use it.
pub trait Outside: Send + Sync {
    /// Runs a program without a shell and waits for its end.
    fn command<'a>(&'a self, request: &'a CommandRequest) -> Answer<'a, CommandReply>;
    /// Sends one HTTP request.
    fn http<'a>(&'a self, request: &'a HttpRequest) -> Answer<'a, HttpReply>;
    /// Opens a read-only session with a database.
    fn database<'a>(&'a self, login: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>>;
    /// Makes, finds or removes a schema of a run's own in a database, and writes into it: the one way in which a database is
    /// changed.
    fn own_schema<'a>(
        &'a self,
        _login: &'a DatabaseLogin,
        schema: &'a OwnSchema,
        _work: SchemaWork,
    ) -> Answer<'a, SchemaState> {
        unknown(&format!("the schema {}", schema.name))
    }
    /// The name of this machine: folders are on one machine, and are not gone because another one has none of that name.
    fn machine(&self) -> String {
        "this machine".to_owned()
    }
    /// The folder in which this process, and so every program that it starts without another one, works: an absolute path.
    ///
    /// # Errors
    /// When it is not there any more, or cannot be written down.
    fn working_folder(&self) -> Result<String, OutsideError> {
        Ok("/".to_owned())
    }
    /// Whether there is a folder of this path on this machine.
    fn has_folder(&self, _path: &str) -> bool {
        true
    }

    /// The folder in which temporary files of this machine lie.
    fn temporary_folder(&self) -> String {
        "/tmp".to_owned()
    }
    /// Makes, finds or removes a folder of a run's own on this machine.
    fn own_folder<'a>(
        &'a self,
        folder: &'a OwnFolder,
        _work: FolderWork,
    ) -> Answer<'a, FolderState> {
        unknown(&format!("the folder {}", folder.path))
    }
    /// Finds the programs of etcd that make an etcd of a snapshot; nothing is started yet.
    fn trial_etcd<'a>(&'a self, request: &'a TrialRequest) -> Answer<'a, Box<dyn TrialEtcd>> {
        unknown(&format!("the etcd of step {}", request.step))
    }
    /// Connects to a member of an etcd cluster. It can only be asked.
    fn etcd<'a>(&'a self, login: &'a EtcdLogin) -> Answer<'a, Box<dyn EtcdMember>> {
        etcd::unknown(login)
    }
    /// Finds out all that a question depends on, before it is written down and told: the whole path of the file of those who may
    /// sign the answer, and who asks, as AWS knows them. Fails when nobody could answer. A rehearsal leaves it as it is.
    fn prepared(&self, request: ApprovalRequest) -> Answer<'_, ApprovalRequest> {
        Box::pin(async move { Ok(request) })
    }
    /// How many lines a file of allowed signers has: it is looked at, and nobody is asked.
    ///
    /// # Errors
    /// When nobody could answer by it.
    fn signers(&self, file: &str) -> Result<usize, OutsideError> {
        Err(OutsideError::NotRehearsed(format!("the file of allowed signers {file}")))
    }
    /// Asks a person and waits for the answer until the deadline.
    fn approval<'a>(&'a self, request: &'a ApprovalRequest) -> Answer<'a, Approval>;
    /// The value of an environment variable that a scenario names for a credential.
    ///
    /// # Errors
    /// When it is not set.
    fn environment(&self, name: &str) -> Result<Secret, OutsideError>;
    /// The content of a file that a scenario names, at most `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be read or is larger.
    fn file(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError>;
    /// The journal of an earlier run, at most `limit` bytes. It is this program's own record: a rehearsal reads it, too.
    ///
    /// # Errors
    /// When it cannot be read or is larger.
    fn journal(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        self.file(path, limit)
    }
    /// True where the estate answers.
    fn is_rehearsal(&self) -> bool {
        false
    }
    /// Where a program is that a scenario names, if it can be run: looked for, not started. `path` is the `PATH` that it is given,
    /// when that is not the one of this process.
    ///
    /// # Errors
    /// When it is not there, or may not be run.
    fn program(&self, name: &str, _path: Option<&str>) -> Result<PathBuf, OutsideError> {
        Err(OutsideError::NotRehearsed(format!("the program {name}")))
    }
    /// The secrets that this world knows: what an action reads elsewhere (a file, a secret store) it must add here, so
    /// that it is taken out of everything that is written down. An input that names a file or a variable for one is also named in
    /// `engine/drive/learn_again.rs`, for the process that goes on with a run. Without a memory of its own, a world forgets.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }
}

/// Reads a file of this machine, at most `limit` bytes. A pipe or a device is none: a step that is tried again, and a process that
/// goes on with the run, read it once more, and would wait for what nobody writes.
///
/// # Errors
/// When it is no file, cannot be read or is larger.
pub(crate) fn read_file(path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::PermissionDenied => OutsideError::Denied(format!("{path}: {e}")),
        _ => OutsideError::Failed(format!("{path}: {e}")),
    };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let why = format!("{path} is no file that can be read more than once: name a regular file");
        return Err(OutsideError::Failed(why));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    limits::read_at_most(file, limit).map_err(|e| match e.kind() {
        std::io::ErrorKind::FileTooLarge => {
            OutsideError::Failed(format!("{path} is larger than {limit} bytes"))
        }
        _ => failed(e),
    })
}

/// What an [`Outside`] gives: a future of an answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, OutsideError>>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutsideError {
    /// A rehearsal, and the estate's `answers:` say nothing about it.
    #[error("the estate has no answer for {0}")]
    NotRehearsed(String),
    /// It could not be reached, or not in time: another attempt may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// It refused: wrong credentials, missing permission.
    #[error("{0}")]
    Denied(String),
    /// It was reached and said no: an SQL error, a missing program.
    #[error("{0}")]
    Failed(String),
    /// Nobody answered before the deadline.
    #[error("nobody answered before the deadline")]
    NoAnswer,
}

/// Whether what an earlier process wrote down as its machine ([`Outside::machine`]) is this one. Earlier versions wrote the name alone.
pub fn is_same_machine(written: &str, here: &str) -> bool {
    let name = here.strip_suffix(')').and_then(|here| here.rsplit_once(" ("));
    written == here || name.is_some_and(|(name, _)| name == written)
}

/// Codes by which a server says that what it stores is damaged: PostgreSQL data_corrupted and index_corrupted; MySQL
/// ER_NOT_KEYFILE, ER_CRASHED_ON_USAGE, ER_CRASHED_ON_REPAIR, ER_INDEX_CORRUPT, ER_TABLE_CORRUPT, and MariaDB's
/// HA_ERR_CRASHED. The texts are those of [`real`].
const DAMAGE: [&str; 8] = [
    "SQLSTATE XX001:",
    "SQLSTATE XX002:",
    ", error 126:",
    ", error 1034:",
    ", error 1194:",
    ", error 1195:",
    ", error 1712:",
    ", error 1877:",
];

impl OutsideError {
    /// True when a database server says by its code that what it stores is damaged.
    pub fn says_damaged(&self) -> bool {
        let (Self::Failed(text) | Self::Denied(text)) = self else { return false };
        let head = text.split_once(": ").map_or(text.as_str(), |(head, _)| head);
        text.starts_with("SQLSTATE ")
            && DAMAGE.iter().any(|code| format!("{head}:").ends_with(code))
    }
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    /// The step it belongs to: what the estate's answers are found by.
    pub step: StepId,
    /// Program and arguments; no shell.
    pub argv: Vec<String>,
    /// Additional environment.
    pub environment: BTreeMap<String, Secret>,
    /// What it reads on standard input.
    pub stdin: Option<String>,
    /// How long it may run; then it and its children are killed.
    pub timeout: Duration,
    /// How many bytes of each output stream are kept.
    pub output_limit: usize,
    /// The folder in which it runs; without it, that of this process.
    pub folder: Option<PathBuf>,
    /// Set when it must not write.
    pub hold: Option<Holding>,
    /// It is killed when this process ends, however that happens (where it reads no input and is not held): what has an effect
    /// must not go on beside the process that goes on with the run.
    pub ends_with_us: bool,
}

/// A program that must not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// It is not run when the system cannot keep it from writing.
    pub required: bool,
    /// Files and folders that it may write to all the same; `~/` at the beginning is the home folder.
    pub may_write: Vec<String>,
}

/// Whether a program was kept from writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It was, by this.
    By(String),
    /// It was not, and why.
    Not(String),
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReply {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// The beginning of standard output.
    pub stdout: String,
    /// The beginning of standard error.
    pub stderr: String,
    /// True when output was cut at the limit.
    pub truncated: bool,
    /// Whether it was kept from writing, when that was asked for and it was really run.
    pub held: Option<Held>,
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The step it belongs to.
    pub step: StepId,
    /// `GET`, `HEAD`, `POST`, …
    pub method: String,
    /// Absolute URL, `http` or `https`.
    pub url: String,
    /// Headers.
    pub headers: BTreeMap<String, Secret>,
    /// The body, if any.
    pub body: Option<String>,
    /// How long it may take in all.
    pub timeout: Duration,
    /// How many bytes of the body are kept.
    pub body_limit: usize,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The beginning of the body, as text.
    pub body: String,
    /// How long it took.
    pub took: Duration,
}

/// Where a database is and who asks.
#[derive(Clone, Debug)]
pub struct DatabaseLogin {
    /// The step it belongs to.
    pub step: StepId,
    /// The kind of server.
    pub engine: DatabaseEngine,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The database in the server.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
}

/// Kinds of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseEngine {
    /// PostgreSQL and Aurora PostgreSQL.
    Postgres,
    /// MySQL, MariaDB and Aurora MySQL.
    Mysql,
}

/// How a database connection is protected.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Tls {
    /// Encrypted; certificate and host name are verified by the public authorities that the driver brings along (Mozilla's).
    #[default]
    Verify,
    /// As `Verify`, by the authorities in this PEM file as well: the driver adds them to the public ones.
    VerifyWith(String),
    /// Encrypted, certificate not verified.
    Encrypt,
    /// Not encrypted: loopback and tunnels.
    Off,
}

/// A read-only session with a database.
///
/// Besides queries it answers what the rungs of a data check need, each kind of server in its own way. What a session does
/// not know is [`OutsideError::NotRehearsed`], never a pass.
pub trait DatabaseSession: Send {
    /// Runs one query and reads its whole answer (at most 1,000 rows).
    fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows>;
    /// Reads how the database is built.
    fn structure(&mut self) -> Answer<'_, Structure> {
        unknown("the structure of the database")
    }
    /// Reads a setting of the server; `None` when there is none of this name.
    fn setting<'a>(&'a mut self, name: &'a str) -> Answer<'a, Option<String>> {
        unknown(&format!("the setting {name}"))
    }
    /// Counts the rows of a table.
    fn count<'a>(&'a mut self, table: &'a Table) -> Answer<'a, u64> {
        unknown(&format!("the rows of {}", table.name))
    }
    /// Whether a table holds any row, without counting more of them than need be.
    fn has_rows<'a>(&'a mut self, table: &'a Table) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.count(table).await? > 0) })
    }
    /// Keys that cut a table into about `parts` parts: fewer where that is not possible.
    fn boundaries<'a>(&'a mut self, table: &'a Table, _parts: u32) -> Answer<'a, Vec<String>> {
        unknown(&format!("the keys of {}", table.name))
    }
    /// The checksum of rows, read in the order of the key. It takes memory for one row, not for all.
    fn checksum<'a>(&'a mut self, rows: &'a RowsOf<'a>) -> Answer<'a, RowsSum> {
        unknown(&format!("a checksum of {}", rows.table.name))
    }
    /// Reads how far the sequences of columns are.
    fn sequences(&mut self) -> Answer<'_, Vec<Sequence>> {
        unknown("the sequences")
    }
    /// Reads pages of a table one by one, and says how long each took: none for an empty table.
    fn latencies<'a>(&'a mut self, reading: &'a Reading<'a>) -> Answer<'a, Vec<Duration>> {
        unknown(&format!("the latency of reads of {}", reading.table.name))
    }
    /// Reads all rows in the `part`-th (from 0) of `parts` parts of a table, so that its storage loads them.
    fn warm<'a>(&'a mut self, table: &'a Table, _part: u32, _parts: u32) -> Answer<'a, ()> {
        unknown(&format!("reading {} as a whole", table.name))
    }
    /// Lets the server inspect these tables and their indexes for damage.
    fn inspect<'a>(&'a mut self, _tables: &'a [Table]) -> Answer<'a, Inspection> {
        unknown("an inspection of tables")
    }
}

fn unknown<'a, T: Send + 'a>(what: &str) -> Answer<'a, T> {
    let error = OutsideError::NotRehearsed(what.to_owned());
    Box::pin(std::future::ready(Err(error)))
}

/// The answer of a query.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<SqlValue>>,
}

impl Rows {
    /// The first value of the first row.
    pub fn single(&self) -> Option<&SqlValue> {
        self.rows.first().and_then(|row| row.first())
    }
}

/// A value that a query gave.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating number.
    Float(f64),
    /// Text; also exact decimals, so that no digit is lost.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A time with its offset; times without one are taken as UTC.
    Time(DateTime<Utc>),
}

/// Stands for the user of the system when it cannot be known.
pub const UNKNOWN_USER: &str = "unknown user";

/// The options of `redrill approve` and `redrill reject` by which an answer shows whose it is, where the step has `signed_by` or
/// `identified_by`: any one of them is enough. None where a name is.
pub fn ways_to_prove(signed_by: bool, identified_by: bool) -> Vec<&'static str> {
    let by_key = signed_by.then_some("--sign-with KEY");
    let by_aws = identified_by.then_some("--with-aws-identity");
    by_key.into_iter().chain(by_aws).collect()
}

/// The same for what a step is given.
pub fn ways_to_prove_for(with: &serde_json::Value) -> Vec<&'static str> {
    let given = |name: &str| with.get(name).is_some_and(|value| !value.is_null());
    ways_to_prove(given("signed_by"), given("identified_by"))
}

impl SqlValue {
    /// What it takes in memory, in bytes, beside its own fixed size.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Null | Self::Integer(_) | Self::Float(_) | Self::Bool(_) | Self::Time(_) => 0,
        }
    }
}

/// A question to a person.
#[derive(Clone, Debug)]
pub struct ApprovalRequest {
    /// The run that asks.
    pub run: RunId,
    /// Digest of its plan: an approval is for this plan and no other.
    pub plan: Digest,
    /// The step that asks.
    pub step: StepId,
    /// What is asked.
    pub text: String,
    /// Until when an answer is waited for (UTC): the time that stands in the journal, which is also what is signed.
    pub deadline: DateTime<Utc>,
    /// Until when it stood, as the journal says, when it was asked before: in an earlier attempt, or by a process that has died.
    pub told: Option<DateTime<Utc>>,
    /// Set when the answer must be signed: the file of allowed signers, as `man ssh-keygen` describes it.
    pub signed_by: Option<String>,
    /// That file as the journal names it, when the question was asked before. It counts in place of the other one where it may be
    /// on this machine.
    pub signed_before: Option<String>,
    /// Set when whoever answers may show by their AWS credentials who they are. With `signed_by`, too, one of both is enough.
    pub identified_by: Option<AllowedPrincipals>,
    /// Who may not be the one who answers: the operators of the run. Empty when anybody may.
    pub not: Vec<String>,
    /// Who asks, as AWS knows them: known once the question is [prepared](Outside::prepared) and AWS is to tell people apart.
    pub run_by: Option<RunBy>,
    /// ARNs by which the sites knew the processes of the run, those before this one too.
    pub ran_as: Vec<String>,
}
