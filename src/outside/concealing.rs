use super::etcd::{EtcdHashed, EtcdListed, EtcdLogin, EtcdMember, EtcdPieces, EtcdStatus};
use super::ladder::{
    Inspection, OwnSchema, Reading, RowsOf, RowsSum, SchemaState, SchemaWork, Sequence, Structure,
    Table,
};
use super::trial::{FolderState, FolderWork, OwnFolder, TrialEtcd, TrialRequest};
use super::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseLogin, DatabaseSession,
    HttpReply, HttpRequest, Outside, OutsideError, Rows, Secret, Secrets,
};
use crate::journal::Approval;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Another world outside, seen through what is secret: it learns the secrets that it hands out, and takes them out of
/// everything that the world says about itself. Values of queries and bodies of HTTP answers stay as they are, since
/// they are judged; they are concealed when they are written down.
pub struct Concealing {
    inner: Arc<dyn Outside>,
    secrets: Secrets,
}

impl Concealing {
    /// Around a world, with the secrets that it knows.
    pub fn new(inner: Arc<dyn Outside>) -> Self {
        let secrets = inner.secrets();
        Self { inner, secrets }
    }
}

fn clean(secrets: &Secrets, error: OutsideError) -> OutsideError {
    match error {
        OutsideError::NotRehearsed(text) => OutsideError::NotRehearsed(secrets.conceal(&text)),
        OutsideError::Unreachable(text) => OutsideError::Unreachable(secrets.conceal(&text)),
        OutsideError::Denied(text) => OutsideError::Denied(secrets.conceal(&text)),
        OutsideError::Failed(text) => OutsideError::Failed(secrets.conceal(&text)),
        OutsideError::NoAnswer => OutsideError::NoAnswer,
    }
}

fn cleaned<'a, T: 'a>(secrets: &'a Secrets, answer: Answer<'a, T>) -> Answer<'a, T> {
    Box::pin(async move { answer.await.map_err(|error| clean(secrets, error)) })
}

impl Outside for Concealing {
    fn command<'a>(&'a self, request: &'a CommandRequest) -> Answer<'a, CommandReply> {
        Box::pin(async move {
            let reply = self.inner.command(request).await;
            let reply = reply.map_err(|error| clean(&self.secrets, error))?;
            let conceal = |text: &str| {
                if reply.truncated {
                    self.secrets.conceal_beginning(text)
                } else {
                    self.secrets.conceal(text)
                }
            };
            let (stdout, stderr) = (conceal(&reply.stdout), conceal(&reply.stderr));
            Ok(CommandReply { stdout, stderr, ..reply })
        })
    }

    fn http<'a>(&'a self, request: &'a HttpRequest) -> Answer<'a, HttpReply> {
        Box::pin(async move {
            let reply = self.inner.http(request).await;
            reply.map_err(|error| clean(&self.secrets, error))
        })
    }

    fn database<'a>(&'a self, login: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        Box::pin(async move {
            self.secrets.learn(&login.password);
            let inner = self.inner.database(login).await;
            let inner = inner.map_err(|error| clean(&self.secrets, error))?;
            let session = ConcealingSession { inner, secrets: self.secrets.clone() };
            Ok(Box::new(session) as Box<dyn DatabaseSession>)
        })
    }

    fn own_schema<'a>(
        &'a self,
        login: &'a DatabaseLogin,
        schema: &'a OwnSchema,
        work: SchemaWork,
    ) -> Answer<'a, SchemaState> {
        self.secrets.learn(&login.password);
        cleaned(&self.secrets, self.inner.own_schema(login, schema, work))
    }

    fn machine(&self) -> String {
        self.inner.machine()
    }

    fn working_folder(&self) -> Result<String, OutsideError> {
        self.inner.working_folder().map_err(|error| clean(&self.secrets, error))
    }

    fn has_folder(&self, path: &str) -> bool {
        self.inner.has_folder(path)
    }

    fn temporary_folder(&self) -> String {
        self.inner.temporary_folder()
    }

    fn own_folder<'a>(
        &'a self,
        folder: &'a OwnFolder,
        work: FolderWork,
    ) -> Answer<'a, FolderState> {
        cleaned(&self.secrets, self.inner.own_folder(folder, work))
    }

    // What its programs say is concealed when it is written down, as every event is.
    fn trial_etcd<'a>(&'a self, request: &'a TrialRequest) -> Answer<'a, Box<dyn TrialEtcd>> {
        cleaned(&self.secrets, self.inner.trial_etcd(request))
    }

    fn etcd<'a>(&'a self, login: &'a EtcdLogin) -> Answer<'a, Box<dyn EtcdMember>> {
        Box::pin(async move {
            let inner = cleaned(&self.secrets, self.inner.etcd(login)).await?;
            let member = ConcealingMember { inner, secrets: self.secrets.clone() };
            Ok(Box::new(member) as Box<dyn EtcdMember>)
        })
    }

    fn prepared(&self, request: ApprovalRequest) -> Answer<'_, ApprovalRequest> {
        cleaned(&self.secrets, self.inner.prepared(request))
    }

    fn signers(&self, file: &str) -> Result<usize, OutsideError> {
        self.inner.signers(file).map_err(|error| clean(&self.secrets, error))
    }

    fn approval<'a>(&'a self, request: &'a ApprovalRequest) -> Answer<'a, Approval> {
        Box::pin(async move {
            let approval = self.inner.approval(request).await;
            approval.map_err(|error| clean(&self.secrets, error))
        })
    }

    fn environment(&self, name: &str) -> Result<Secret, OutsideError> {
        let value = self.inner.environment(name)?;
        self.secrets.learn(&value);
        Ok(value)
    }

    fn file(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        self.inner.file(path, limit).map_err(|error| clean(&self.secrets, error))
    }

    fn journal(&self, path: &str, limit: u64) -> Result<Vec<u8>, OutsideError> {
        self.inner.journal(path, limit).map_err(|error| clean(&self.secrets, error))
    }

    fn is_rehearsal(&self) -> bool {
        self.inner.is_rehearsal()
    }

    fn program(&self, name: &str, path: Option<&str>) -> Result<PathBuf, OutsideError> {
        self.inner.program(name, path).map_err(|error| clean(&self.secrets, error))
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }
}

struct ConcealingSession {
    inner: Box<dyn DatabaseSession>,
    secrets: Secrets,
}

impl DatabaseSession for ConcealingSession {
    fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
        Box::pin(async move {
            let rows = self.inner.query(sql).await;
            rows.map_err(|error| clean(&self.secrets, error))
        })
    }

    fn structure(&mut self) -> Answer<'_, Structure> {
        cleaned(&self.secrets, self.inner.structure())
    }

    fn setting<'a>(&'a mut self, name: &'a str) -> Answer<'a, Option<String>> {
        cleaned(&self.secrets, self.inner.setting(name))
    }

    fn count<'a>(&'a mut self, table: &'a Table) -> Answer<'a, u64> {
        cleaned(&self.secrets, self.inner.count(table))
    }

    fn has_rows<'a>(&'a mut self, table: &'a Table) -> Answer<'a, bool> {
        cleaned(&self.secrets, self.inner.has_rows(table))
    }

    fn boundaries<'a>(&'a mut self, table: &'a Table, parts: u32) -> Answer<'a, Vec<String>> {
        cleaned(&self.secrets, self.inner.boundaries(table, parts))
    }

    fn checksum<'a>(&'a mut self, rows: &'a RowsOf<'a>) -> Answer<'a, RowsSum> {
        cleaned(&self.secrets, self.inner.checksum(rows))
    }

    fn sequences(&mut self) -> Answer<'_, Vec<Sequence>> {
        cleaned(&self.secrets, self.inner.sequences())
    }

    fn latencies<'a>(&'a mut self, reading: &'a Reading<'a>) -> Answer<'a, Vec<Duration>> {
        cleaned(&self.secrets, self.inner.latencies(reading))
    }

    fn warm<'a>(&'a mut self, table: &'a Table, part: u32, parts: u32) -> Answer<'a, ()> {
        cleaned(&self.secrets, self.inner.warm(table, part, parts))
    }

    fn inspect<'a>(&'a mut self, tables: &'a [Table]) -> Answer<'a, Inspection> {
        cleaned(&self.secrets, self.inner.inspect(tables))
    }
}

/// Pieces of a snapshot stay as they are: they are the backup.
struct ConcealingMember {
    inner: Box<dyn EtcdMember>,
    secrets: Secrets,
}

impl EtcdMember for ConcealingMember {
    fn status(&mut self) -> Answer<'_, EtcdStatus> {
        cleaned(&self.secrets, self.inner.status())
    }

    fn members(&mut self) -> Answer<'_, Vec<EtcdListed>> {
        cleaned(&self.secrets, self.inner.members())
    }

    fn hash_kv(&mut self, revision: i64) -> Answer<'_, EtcdHashed> {
        cleaned(&self.secrets, self.inner.hash_kv(revision))
    }

    fn snapshot(&mut self) -> Answer<'_, Box<dyn EtcdPieces>> {
        cleaned(&self.secrets, self.inner.snapshot())
    }
}
