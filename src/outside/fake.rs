//! For unit tests of actions: a world outside that answers from a script, and a journal that is kept in memory.

use super::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseLogin, DatabaseSession,
    HttpReply, HttpRequest, Outside, OutsideError, Rows, Secret, SqlValue,
};
use crate::action::{Recorder, RunFacts, StepContext, StepError};
use crate::aws::{CallLog, GuardPolicy, Place, SiteSession};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{Approval, Check, Event, Outcome, Question, RecoveryPoint, ResourceKey};
use crate::outside::ladder::{OwnSchema, SchemaState, SchemaWork, Structure, Table, TableName};
use crate::time::Clock;
use aws_types::SdkConfig;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When the time of a context begins.
const START: &str = "2026-11-22T03:00:00Z";

type Script<T> = Mutex<VecDeque<Result<T, OutsideError>>>;
type Answers = BTreeMap<String, Result<Rows, OutsideError>>;

/// Answers in the order in which they were added; what has no answer is not rehearsed.
#[derive(Default)]
pub(crate) struct FakeOutside {
    pub(crate) commands: Script<CommandReply>,
    pub(crate) commands_seen: Mutex<Vec<CommandRequest>>,
    pub(crate) replies: Script<HttpReply>,
    pub(crate) requests_seen: Mutex<Vec<HttpRequest>>,
    /// For each attempt to connect: the answers by query.
    pub(crate) databases: Script<Answers>,
    /// The tables of every database; without any, how a database is built is not known.
    pub(crate) tables: Vec<&'static str>,
    pub(crate) logins_seen: Mutex<Vec<DatabaseLogin>>,
    /// For each work on a schema of a run's own: how it went.
    pub(crate) schemas: Script<SchemaState>,
    pub(crate) approvals: Script<Approval>,
    pub(crate) approvals_seen: Mutex<Vec<ApprovalRequest>>,
    /// Where the files of allowed signers are that questions name; none, where nobody could answer.
    pub(crate) signers_in: Option<&'static str>,
    /// A file that is not on this machine.
    pub(crate) missing: Option<&'static str>,
    /// True where AWS cannot say who asks.
    pub(crate) sts_is_silent: bool,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) is_rehearsal: bool,
    /// Its name, where it is not `this machine`.
    pub(crate) machine: Option<String>,
    /// Where it works, where that is not `/`.
    pub(crate) folder: Option<String>,
    /// A folder that is not there.
    pub(crate) no_folder: Option<String>,
}

fn next<T>(script: &Script<T>, what: &str) -> Result<T, OutsideError> {
    let next = script.lock().unwrap().pop_front();
    next.unwrap_or_else(|| Err(OutsideError::NotRehearsed(what.to_owned())))
}

impl FakeOutside {
    pub(crate) fn with_command(self, status: i32, stdout: &str) -> Self {
        self.commands.lock().unwrap().push_back(Ok(CommandReply {
            status: Some(status),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            truncated: false,
            held: None,
        }));
        self
    }

    pub(crate) fn with_reply(self, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        self.replies.lock().unwrap().push_back(Ok(HttpReply {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
            took: Duration::from_millis(20),
        }));
        self
    }

    /// A database that lets us in and answers these queries besides `select 1`.
    pub(crate) fn with_database(
        self,
        answers: &[(&str, Result<Vec<SqlValue>, OutsideError>)],
    ) -> Self {
        let rows = |values: Vec<SqlValue>| Rows {
            columns: vec!["value".into()],
            rows: values.into_iter().map(|value| vec![value]).collect(),
        };
        let mut all = Answers::from([("select 1".into(), Ok(rows(vec![SqlValue::Integer(1)])))]);
        for (sql, answer) in answers {
            all.insert((*sql).to_owned(), answer.clone().map(rows));
        }
        self.databases.lock().unwrap().push_back(Ok(all));
        self
    }
}

struct FakeSession {
    answers: Answers,
    tables: Vec<&'static str>,
}

impl DatabaseSession for FakeSession {
    fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
        let missing = || Err(OutsideError::NotRehearsed(sql.to_owned()));
        let answer = self.answers.get(sql).cloned().unwrap_or_else(missing);
        Box::pin(async { answer })
    }

    fn structure(&mut self) -> Answer<'_, Structure> {
        let tables = self.tables.iter().map(|name| Table {
            name: TableName::in_schema("public", *name),
            columns: Vec::new(),
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: true,
        });
        let structure = Structure { tables: tables.collect(), ..Structure::default() };
        let missing = || OutsideError::NotRehearsed("the structure of the database".to_owned());
        let answer = if self.tables.is_empty() { Err(missing()) } else { Ok(structure) };
        Box::pin(async { answer })
    }
}

impl Outside for FakeOutside {
    fn command<'a>(&'a self, request: &'a CommandRequest) -> Answer<'a, CommandReply> {
        self.commands_seen.lock().unwrap().push(request.clone());
        let answer = next(&self.commands, &request.argv.join(" "));
        Box::pin(async { answer })
    }

    fn http<'a>(&'a self, request: &'a HttpRequest) -> Answer<'a, HttpReply> {
        self.requests_seen.lock().unwrap().push(request.clone());
        let answer = next(&self.replies, &request.url);
        Box::pin(async { answer })
    }

    fn database<'a>(&'a self, login: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        self.logins_seen.lock().unwrap().push(login.clone());
        let answer = next(&self.databases, &login.host);
        let tables = self.tables.clone();
        Box::pin(async {
            let session = FakeSession { answers: answer?, tables };
            Ok(Box::new(session) as Box<dyn DatabaseSession>)
        })
    }

    fn own_schema<'a>(
        &'a self,
        _login: &'a DatabaseLogin,
        schema: &'a OwnSchema,
        _work: SchemaWork,
    ) -> Answer<'a, SchemaState> {
        let answer = next(&self.schemas, &schema.name);
        Box::pin(async { answer })
    }

    fn approval<'a>(&'a self, request: &'a ApprovalRequest) -> Answer<'a, Approval> {
        self.approvals_seen.lock().unwrap().push(request.clone());
        let answer = next(&self.approvals, &request.text);
        Box::pin(async { answer })
    }

    fn prepared(&self, request: ApprovalRequest) -> Answer<'_, ApprovalRequest> {
        let nobody = || OutsideError::Failed("nobody could answer".to_owned());
        let before = request.signed_before.clone();
        let before = before.filter(|file| self.missing != Some(file.as_str()));
        let whole = |named: String| {
            let path = self.signers_in.map(|folder| std::path::Path::new(folder).join(named));
            path.map(|path| path.display().to_string()).ok_or_else(nobody)
        };
        let signed_by = before.or_else(|| request.signed_by.clone()).map(whole).transpose();
        let prepared = if self.sts_is_silent {
            Err(OutsideError::Unreachable("STS does not answer".to_owned()))
        } else {
            signed_by.map(|signed_by| ApprovalRequest { signed_by, ..request })
        };
        Box::pin(std::future::ready(prepared))
    }

    fn environment(&self, name: &str) -> Result<Secret, OutsideError> {
        let missing = || OutsideError::Denied(format!("{name} is not set"));
        self.environment.get(name).map(Secret::new).ok_or_else(missing)
    }

    fn file(&self, path: &str, _limit: u64) -> Result<Vec<u8>, OutsideError> {
        let missing = || OutsideError::Failed(format!("{path} is not there"));
        self.files.get(path).map(|text| text.clone().into_bytes()).ok_or_else(missing)
    }

    fn is_rehearsal(&self) -> bool {
        self.is_rehearsal
    }

    fn machine(&self) -> String {
        self.machine.clone().unwrap_or_else(|| "this machine".to_owned())
    }

    fn working_folder(&self) -> Result<String, OutsideError> {
        Ok(self.folder.clone().unwrap_or_else(|| "/".to_owned()))
    }

    fn has_folder(&self, path: &str) -> bool {
        self.no_folder.as_deref() != Some(path)
    }
}

/// Keeps events.
#[derive(Default)]
pub(crate) struct FakeRecorder(Mutex<Vec<Event>>, Mutex<Option<RecoveryPoint>>);

impl FakeRecorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn checks(&self) -> Vec<Check> {
        let checks = self.events().into_iter().filter_map(|event| match event {
            Event::Checked { check, .. } => Some(check),
            _ => None,
        });
        checks.collect()
    }

    /// The outcome of the check of this name.
    pub(crate) fn outcome(&self, name: &str) -> Outcome {
        self.checks().iter().find(|check| check.name == name).unwrap().outcome
    }

    /// An earlier step has established this recovery point of the backup.
    pub(crate) fn restored_from(&self, point: RecoveryPoint) {
        *self.1.lock().unwrap() = Some(point);
    }

    /// Everything that would be written down.
    pub(crate) fn written(&self) -> String {
        serde_json::to_string(&self.events()).unwrap()
    }
}

impl Recorder for FakeRecorder {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        self.0.lock().unwrap().push(event);
        Box::pin(async { Ok(()) })
    }

    fn holds(&self, wanted: &ResourceKey) -> bool {
        let is_held = |event: &Event| match event {
            Event::ResourceIntended { key, .. } | Event::ResourceOwned { key, .. } => key == wanted,
            _ => false,
        };
        self.events().iter().any(is_held)
    }

    fn held_for(&self, step: &StepId, kind: &str) -> Vec<ResourceKey> {
        let of_it = |event| match event {
            Event::ResourceIntended { step: of, key } if of == *step && key.kind == kind => {
                Some(key)
            }
            _ => None,
        };
        self.events().into_iter().filter_map(of_it).collect()
    }

    /// When the context's time began, once it was written down.
    fn declared(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        let is_it = |event: &Event| matches!(event, Event::DisasterDeclared { .. });
        self.events().iter().any(is_it).then(|| START.parse().unwrap())
    }

    fn backup_point(&self, input: &str) -> Option<RecoveryPoint> {
        self.1.lock().unwrap().clone().filter(|_| input == "endpoint")
    }

    fn asked(&self, step: &StepId) -> Option<Question> {
        self.events().into_iter().rev().find_map(|event| match event {
            Event::ApprovalRequested { step: of, text, deadline, signed_by } if of == *step => {
                let at = START.parse().unwrap();
                Some(Question { text, at, deadline, signed_by, stands: true, answer: None })
            }
            _ => None,
        })
    }

    /// Whatever was answered, as if its process had died then.
    fn answered(&self, step: &StepId) -> Option<(Approval, Duration)> {
        let of_it = |event| match event {
            Event::ApprovalGiven { step: of, approval } if of == *step => Some(approval),
            _ => None,
        };
        self.events().into_iter().rev().find_map(of_it).map(|yes| (yes, Duration::from_secs(90)))
    }

    fn ran_as(&self) -> Vec<String> {
        let identity = |event| match event {
            Event::SiteIdentified { identity, .. } => Some(identity),
            _ => None,
        };
        self.events().into_iter().filter_map(identity).collect()
    }

    fn progress(&self, _step: &StepId, _text: &str) {}
}

/// A step `step` at the site `dr` of a run that began on 2026-11-22, with simulated time.
pub(crate) fn context(outside: FakeOutside) -> (StepContext, Arc<FakeOutside>, Arc<FakeRecorder>) {
    context_with(outside, SdkConfig::builder().build())
}

/// As [`context`], with a configuration for the site.
pub(crate) fn context_with(
    outside: FakeOutside,
    config: SdkConfig,
) -> (StepContext, Arc<FakeOutside>, Arc<FakeRecorder>) {
    let (outside, recorder) = (Arc::new(outside), Arc::new(FakeRecorder::default()));
    let start = START.parse().unwrap();
    let site = SiteName::new("dr");
    let place = Place { site: site.clone(), account: None, region: "ap-northeast-3".to_owned() };
    let session = SiteSession::new(place, &config, Arc::new(GuardPolicy::default()));
    let facts = RunFacts {
        run: RunId::new("orders-0001"),
        scenario: "orders".to_owned(),
        plan: Digest::of(b"plan"),
        seed: 1,
        expires: start,
        started: start,
        operators: vec!["operator".to_owned()],
        withhold_data: false,
        is_drill: true,
        expected: Default::default(),
    };
    let context = StepContext {
        facts: Arc::new(facts),
        step: StepId::new("step"),
        at: Some(site.clone()),
        clock: Clock::simulated(start),
        outside: outside.clone(),
        sessions: Arc::new(BTreeMap::from([(site, session)])),
        recorder: recorder.clone(),
        calls: CallLog::default(),
    };
    (context, outside, recorder)
}

/// The same context, in a run whose data class withholds what was read.
pub(crate) fn withholding(mut context: StepContext) -> StepContext {
    let facts = RunFacts { withhold_data: true, ..(*context.facts).clone() };
    context.facts = Arc::new(facts);
    context
}
