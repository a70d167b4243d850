//! What commands, hosts, databases and people answer in a rehearsal.

use super::etcd::EtcdAnswer;
use super::files::FileAnswer;
use super::sql::{self, QueryRefused};
use super::trial::{SimulatedEtcd, TrialAnswer};
use super::world::World;
use crate::journal::Approval;
use crate::outside::etcd::{EtcdLogin, EtcdMember};
use crate::outside::ladder::{
    Inspection, OwnSchema, Reading, RowsOf, RowsSum, SchemaState, SchemaWork, Sequence, Structure,
    Table,
};
use crate::outside::trial::{FolderState, FolderWork, OwnFolder, TrialEtcd, TrialRequest};
use crate::outside::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseLogin, DatabaseSession,
    HttpReply, HttpRequest, Outside, OutsideError, Rows, Secret, SqlValue, read_file,
};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The `answers:` of an estate: what the world outside says to which step. What is not in here is not rehearsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// What programs answer, by step.
    pub commands: BTreeMap<String, CommandAnswer>,
    /// What hosts answer, by step.
    pub http: BTreeMap<String, HttpAnswer>,
    /// What people answer, by step.
    pub approvals: BTreeMap<String, ApprovalAnswer>,
    /// Which etcds are made of snapshots, by step.
    pub etcd_trials: BTreeMap<String, TrialAnswer>,
    /// Members of a running etcd cluster, by client URL.
    pub etcd: BTreeMap<String, EtcdAnswer>,
    /// Environment variables that scenarios name for credentials. Never real ones.
    pub environment: BTreeMap<String, String>,
    /// Files that scenarios name: their text, or `{ file: PATH }`.
    pub files: BTreeMap<String, FileAnswer>,
}

/// How a program ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommandAnswer {
    /// The exit status.
    pub status: i32,
    /// What it prints.
    pub stdout: String,
    /// What it complains.
    pub stderr: String,
    /// How long it runs.
    pub takes: HumanDuration,
}

/// What a host answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// The status code.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// Headers, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long it takes.
    #[serde(default)]
    pub takes: HumanDuration,
    /// It cannot be reached.
    #[serde(default)]
    pub unreachable: bool,
}

fn ok() -> u16 {
    200
}

/// What a person answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalAnswer {
    /// Yes or no.
    pub approved: bool,
    /// Who.
    #[serde(default = "somebody")]
    pub by: String,
    /// What they write.
    #[serde(default)]
    pub comment: Option<String>,
    /// How long they take.
    #[serde(default)]
    pub after: HumanDuration,
}

fn somebody() -> String {
    "a person of the estate".to_owned()
}

/// The outside world of a rehearsal.
#[derive(Clone, Debug)]
pub struct EstateOutside {
    world: World,
}

impl EstateOutside {
    /// Answers from the estate of a world.
    pub fn new(world: World) -> Self {
        Self { world }
    }

    fn pick<T: Clone>(
        &self,
        what: &str,
        step: &str,
        of: impl FnOnce(&Answers) -> Option<&T>,
    ) -> Result<T, OutsideError> {
        let answers = self.world.answers();
        let found = of(&answers).cloned();
        found.ok_or_else(|| OutsideError::NotRehearsed(format!("the {what} of step {step}")))
    }
}

impl Outside for EstateOutside {
    fn command<'a>(&'a self, request: &'a CommandRequest) -> Answer<'a, CommandReply> {
        Box::pin(async move {
            let step = request.step.as_str();
            let answer = self.pick("command", step, |a| a.commands.get(step))?;
            self.world.clock().sleep(answer.takes.0).await;
            let (stdout, cut_out) = limited(answer.stdout, request.output_limit);
            let (stderr, cut_err) = limited(answer.stderr, request.output_limit);
            Ok(CommandReply {
                status: Some(answer.status),
                stdout,
                stderr,
                truncated: cut_out || cut_err,
                held: None,
            })
        })
    }

    fn http<'a>(&'a self, request: &'a HttpRequest) -> Answer<'a, HttpReply> {
        Box::pin(async move {
            let step = request.step.as_str();
            let answer = self.pick("HTTP request", step, |a| a.http.get(step))?;
            let takes = answer.takes.0;
            self.world.clock().sleep(takes.min(request.timeout)).await;
            if answer.unreachable || takes > request.timeout {
                return Err(OutsideError::Unreachable(format!(
                    "{} cannot be reached",
                    request.url
                )));
            }
            let (body, _) = limited(answer.body, request.body_limit);
            Ok(HttpReply { status: answer.status, headers: answer.headers, body, took: takes })
        })
    }

    fn database<'a>(&'a self, login: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        Box::pin(async move {
            let login = sql_login(login);
            self.world.clock().sleep(Duration::from_millis(20)).await;
            // Logging in is known to work only once something was asked.
            self.world.query(&login, "select 1").map_err(|e| refused(&e))?;
            let session: Box<dyn DatabaseSession> =
                Box::new(EstateSession { world: self.world.clone(), login });
            Ok(session)
        })
    }

    fn own_schema<'a>(
        &'a self,
        login: &'a DatabaseLogin,
        schema: &'a OwnSchema,
        work: SchemaWork,
    ) -> Answer<'a, SchemaState> {
        Box::pin(async move {
            schema.verify()?;
            self.world.clock().sleep(Duration::from_millis(20)).await;
            let login = sql_login(login);
            self.world.own_schema(&login, schema, work).map_err(|e| refused(&e))
        })
    }

    fn own_folder<'a>(
        &'a self,
        folder: &'a OwnFolder,
        work: FolderWork,
    ) -> Answer<'a, FolderState> {
        Box::pin(async move {
            folder.verify()?;
            self.world.clock().sleep(Duration::from_millis(5)).await;
            Ok(self.world.own_folder(folder, work))
        })
    }

    fn trial_etcd<'a>(&'a self, request: &'a TrialRequest) -> Answer<'a, Box<dyn TrialEtcd>> {
        Box::pin(async move {
            let step = request.step.as_str();
            let answer = self.pick("restored etcd", step, |a| a.etcd_trials.get(step))?;
            let etcd = SimulatedEtcd::open(answer, request, self.world.clock().clone())?;
            Ok(Box::new(etcd) as Box<dyn TrialEtcd>)
        })
    }

    fn etcd<'a>(&'a self, login: &'a EtcdLogin) -> Answer<'a, Box<dyn EtcdMember>> {
        Box::pin(self.world.etcd(login))
    }

    fn approval<'a>(&'a self, request: &'a ApprovalRequest) -> Answer<'a, Approval> {
        Box::pin(async move {
            let step = request.step.as_str();
            let answer = self.pick("approval", step, |a| a.approvals.get(step))?;
            let clock = self.world.clock();
            let within = (request.deadline - clock.now()).to_std().unwrap_or_default();
            clock.sleep(answer.after.0.min(within)).await;
            if answer.after.0 >= within {
                return Err(OutsideError::NoAnswer);
            }
            Ok(Approval {
                approved: answer.approved,
                by: answer.by,
                identified_by: "answers of the estate".to_owned(),
                comment: answer.comment,
                proof: None,
                identity: None,
            })
        })
    }

    fn environment(&self, name: &str) -> Result<Secret, OutsideError> {
        let value = self.world.answers().environment.get(name).map(Secret::new);
        value.ok_or_else(|| OutsideError::NotRehearsed(format!("the environment variable {name}")))
    }

    fn file(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        let found = self.world.answers().files.get(path).cloned();
        let found = found.ok_or_else(|| OutsideError::NotRehearsed(format!("the file {path}")))?;
        let directory = self.world.state().estate.directory.clone();
        found.bytes(&directory, limit).map_err(|error| match error {
            OutsideError::Failed(why) => OutsideError::Failed(format!("{path}: {why}")),
            other => other,
        })
    }

    fn journal(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        read_file(path, limit)
    }

    fn is_rehearsal(&self) -> bool {
        true
    }
}

fn sql_login(login: &DatabaseLogin) -> sql::DatabaseLogin {
    sql::DatabaseLogin {
        host: login.host.clone(),
        port: login.port,
        user: login.user.clone(),
        password: login.password.reveal().to_owned(),
        database: login.database.clone(),
    }
}

fn limited(mut text: String, limit: usize) -> (String, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    text.truncate(text.floor_char_boundary(limit));
    (text, true)
}

fn refused(why: &QueryRefused) -> OutsideError {
    let text = why.to_string();
    match why {
        QueryRefused::UnknownHost(_) | QueryRefused::Refused(_) | QueryRefused::TimedOut(_) => {
            OutsideError::Unreachable(text)
        }
        // As PostgreSQL says it.
        QueryRefused::Authentication(_) => OutsideError::Denied(format!("SQLSTATE 28P01: {text}")),
        QueryRefused::Sql(_) => OutsideError::Failed(text),
    }
}

struct EstateSession {
    world: World,
    login: sql::DatabaseLogin,
}

impl EstateSession {
    /// Looks at the content, after the time that a query takes.
    fn look<'a, T: Send + 'a>(
        &'a self,
        look: impl FnOnce(&sql::Contents<'_>) -> Result<T, QueryRefused> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            self.world.clock().sleep(Duration::from_millis(20)).await;
            self.world.with_contents(&self.login, look).map_err(|e| refused(&e))
        })
    }
}

impl DatabaseSession for EstateSession {
    fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
        Box::pin(async move {
            self.world.clock().sleep(Duration::from_millis(20)).await;
            let rows = self.world.read(&self.login, sql).map_err(|e| refused(&e))?;
            let convert = |row: Vec<sql::SqlValue>| row.into_iter().map(value).collect();
            Ok(Rows { columns: rows.columns, rows: rows.rows.into_iter().map(convert).collect() })
        })
    }

    fn structure(&mut self) -> Answer<'_, Structure> {
        self.look(|contents| contents.structure())
    }

    fn setting<'a>(&'a mut self, name: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let found = self.look(|contents| Ok(contents.setting(name))).await?;
            let unknown = || OutsideError::NotRehearsed(format!("the setting {name}"));
            found.map(Some).ok_or_else(unknown)
        })
    }

    fn count<'a>(&'a mut self, table: &'a Table) -> Answer<'a, u64> {
        self.look(|contents| contents.count(table))
    }

    fn boundaries<'a>(&'a mut self, table: &'a Table, parts: u32) -> Answer<'a, Vec<String>> {
        self.look(move |contents| contents.boundaries(table, parts))
    }

    fn checksum<'a>(&'a mut self, rows: &'a RowsOf<'a>) -> Answer<'a, RowsSum> {
        self.look(|contents| contents.checksum(rows))
    }

    fn sequences(&mut self) -> Answer<'_, Vec<Sequence>> {
        self.look(|contents| contents.sequences())
    }

    fn latencies<'a>(&'a mut self, reading: &'a Reading<'a>) -> Answer<'a, Vec<Duration>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(reading.places.len());
            for place in reading.places {
                let look = |contents: &sql::Contents<'_>| contents.latency(reading.table, *place);
                let latency = self.world.with_contents(&self.login, look);
                let Some(latency) = latency.map_err(|e| refused(&e))? else { break };
                self.world.clock().sleep(latency).await;
                all.push(latency);
            }
            Ok(all)
        })
    }

    fn warm<'a>(&'a mut self, table: &'a Table, part: u32, parts: u32) -> Answer<'a, ()> {
        Box::pin(async move {
            let takes = self.world.with_contents(&self.login, |c| Ok(c.warming_takes()));
            let takes = takes.map_err(|e| refused(&e))?;
            self.world.clock().sleep(takes / parts.max(1)).await;
            let warmed = self.world.warmed(&self.login, table, part, parts);
            warmed.map_err(|e| refused(&e))
        })
    }

    fn inspect<'a>(&'a mut self, tables: &'a [Table]) -> Answer<'a, Inspection> {
        self.look(|contents| contents.inspect(tables))
    }
}

fn value(value: sql::SqlValue) -> SqlValue {
    match value {
        sql::SqlValue::Null => SqlValue::Null,
        sql::SqlValue::Integer(number) => SqlValue::Integer(number),
        sql::SqlValue::Real(number) => SqlValue::Float(number),
        sql::SqlValue::Text(text) => SqlValue::Text(text),
        sql::SqlValue::Blob(bytes) => SqlValue::Text(hex::encode(bytes)),
    }
}
