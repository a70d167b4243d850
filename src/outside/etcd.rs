//! A member of an etcd cluster, as far as steps may ask it: nothing in here changes it.
//!
//! The calls are those of `rpc.proto`: <https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto>.

use super::{Answer, OutsideError};
use crate::ids::StepId;
use bytes::Bytes;
use std::time::Duration;

/// Where a member of an etcd cluster is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdLogin {
    /// The step it belongs to.
    pub step: StepId,
    /// Its client URL: `https://10.0.0.1:2379`, or with `http` where the connection is not encrypted.
    pub endpoint: String,
    /// How the connection is protected; used with `https`.
    pub tls: EtcdTls,
    /// How long connecting, a call, or a piece of a snapshot may take.
    pub timeout: Duration,
}

/// How the connection to a member is protected. etcd has authorities of its own: no public one is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdTls {
    /// The file with the certificate authorities of the cluster, in PEM form.
    pub authorities: Option<String>,
    /// The file with the client's certificate, in PEM form.
    pub certificate: Option<String>,
    /// The file with its key, in PEM form.
    pub key: Option<String>,
    /// The name that the member's certificate must carry, where it is not that of the endpoint.
    pub server_name: Option<String>,
}

/// A member that was reached. It can only be asked.
pub trait EtcdMember: Send {
    /// How it is (`Maintenance.Status`).
    fn status(&mut self) -> Answer<'_, EtcdStatus>;
    /// Which members the cluster has, as this one knows it (`Cluster.MemberList`, not confirmed by the others).
    fn members(&mut self) -> Answer<'_, Vec<EtcdListed>>;
    /// The hash of all changes up to a revision, 0 for the last one (`Maintenance.HashKV`).
    fn hash_kv(&mut self, revision: i64) -> Answer<'_, EtcdHashed>;
    /// Begins to read its database (`Maintenance.Snapshot`).
    fn snapshot(&mut self) -> Answer<'_, Box<dyn EtcdPieces>>;
}

/// A snapshot on its way.
pub trait EtcdPieces: Send {
    /// The next piece; `None` when the member says that all was sent. Whether all has arrived is for the reader to see.
    fn next(&mut self) -> Answer<'_, Option<Bytes>>;
}

/// How a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdStatus {
    /// The number of the cluster.
    pub cluster: u64,
    /// The number of the member.
    pub member: u64,
    /// The last revision that it has applied.
    pub revision: i64,
    /// The version of etcd that runs there: `3.5.9`.
    pub version: String,
    /// Bytes of its database file.
    pub database_bytes: u64,
    /// Whether it only listens, without a vote: it answers no other question.
    pub learner: bool,
    /// What it says is wrong: alarms.
    pub errors: Vec<String>,
}

/// A member as another one lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdListed {
    /// The number of the member.
    pub member: u64,
    /// Its name; empty when it has not started yet.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it only listens, without a vote.
    pub learner: bool,
}

/// What a member answers when it is asked for its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdHashed {
    /// The hash.
    Hash(EtcdHash),
    /// It has thrown away history up to a later revision, or up to this one.
    Compacted,
    /// It is not there yet.
    Future,
}

/// The hash of all changes up to a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtcdHash {
    /// The last revision of the member when it was asked.
    pub member_revision: i64,
    /// Up to this revision history was thrown away; -1 when nothing ever was. Hashes with different ones cannot be compared.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}

/// The answer of a world that knows no etcd.
pub(super) fn unknown<'a, T: Send + 'a>(login: &EtcdLogin) -> Answer<'a, T> {
    let error = OutsideError::NotRehearsed(format!("the etcd at {}", login.endpoint));
    Box::pin(std::future::ready(Err(error)))
}
