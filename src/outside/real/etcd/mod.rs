//! Asking a member of an etcd cluster over gRPC. Four calls, all of which only read: what is not in [`Call`] cannot be asked.

mod messages;

use super::http::{causes, is_certificate};
use crate::limits;
use crate::outside::etcd::{
    EtcdHashed, EtcdListed, EtcdLogin, EtcdMember, EtcdPieces, EtcdStatus, EtcdTls,
};
use crate::outside::{Answer, OutsideError, Secret, Secrets};
use crate::time::HumanDuration;
use bytes::Bytes;
use http::uri::PathAndQuery;
use messages::Raw;
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};

/// The calls: <https://github.com/etcd-io/etcd/blob/main/api/etcdserverpb/rpc.proto>.
#[derive(Clone, Copy, Debug)]
enum Call {
    Status,
    MemberList,
    HashKv,
    Snapshot,
}

impl Call {
    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Status => "/etcdserverpb.Maintenance/Status",
            Self::MemberList => "/etcdserverpb.Cluster/MemberList",
            Self::HashKv => "/etcdserverpb.Maintenance/HashKV",
            Self::Snapshot => "/etcdserverpb.Maintenance/Snapshot",
        })
    }
}

/// Connects to a member. The key of the client's certificate becomes one of the `secrets`.
pub(super) async fn open(
    login: &EtcdLogin,
    secrets: &Secrets,
) -> Result<Box<dyn EtcdMember>, OutsideError> {
    let refused = |e: tonic::transport::Error| {
        OutsideError::Failed(format!("{}: {}", login.endpoint, innermost(&e)))
    };
    let mut endpoint = Endpoint::from_shared(login.endpoint.clone()).map_err(refused)?;
    if endpoint.uri().scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(tls(&login.tls, secrets)?).map_err(|e| {
            OutsideError::Failed(format!("TLS: {}: {}", login.endpoint, innermost(&e)))
        })?;
    }
    let endpoint = endpoint.connect_timeout(login.timeout);
    let connecting = async { endpoint.connect().await.map_err(|e| meaning(&e)) };
    let channel = in_time(login.timeout, connecting).await?;
    let client = Grpc::new(channel).max_decoding_message_size(limits::ETCD_MESSAGE_BYTES);
    let is_encrypted = endpoint.uri().scheme_str() == Some("https");
    let may_lack_certificate = is_encrypted && login.tls.certificate.is_none();
    Ok(Box::new(Member { client, timeout: login.timeout, may_lack_certificate }))
}

fn tls(tls: &EtcdTls, secrets: &Secrets) -> Result<ClientTlsConfig, OutsideError> {
    let mut config = ClientTlsConfig::new();
    let Some(authorities) = &tls.authorities else {
        return Err(OutsideError::Failed(
            "TLS: no certificate authority is given: etcd's certificates come from one of the cluster's own".to_owned(),
        ));
    };
    config = config.ca_certificate(Certificate::from_pem(pem(authorities, "CERTIFICATE")?));
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (pem(certificate, "CERTIFICATE")?, pem(key, "PRIVATE KEY")?);
            secrets.learn(&Secret::new(String::from_utf8_lossy(&key)));
            Ok(config.identity(Identity::from_pem(certificate, key)))
        }
        (None, None) => Ok(config),
        _ => Err(OutsideError::Failed(
            "TLS: a client certificate and its key belong together: only one of them is given"
                .to_owned(),
        )),
    }
}

/// A PEM file that holds at least one piece of this kind.
fn pem(file: &str, kind: &str) -> Result<Vec<u8>, OutsideError> {
    let most = limits::CERTIFICATE_BYTES;
    let content = limits::read_file(Path::new(file), most).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => OutsideError::Denied(format!("TLS: {file}: {e}")),
        _ => OutsideError::Failed(format!("TLS: {file}: {e}")),
    })?;
    // `BEGIN EC PRIVATE KEY` as well as `BEGIN PRIVATE KEY`.
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines().filter(|line| line.starts_with("-----BEGIN "));
    match lines.any(|line| line.trim_end().ends_with(&format!("{kind}-----"))) {
        true => Ok(content),
        false => Err(OutsideError::Failed(format!("TLS: {file} holds no {kind} in PEM form"))),
    }
}

struct Member {
    client: Grpc<Channel>,
    timeout: Duration,
    /// Over TLS, no certificate of ours was shown, and nothing was answered yet.
    may_lack_certificate: bool,
}

impl Member {
    async fn ask(&mut self, call: Call, request: Vec<u8>) -> Result<Bytes, Status> {
        let client = &mut self.client;
        let asked = async {
            client.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
            client.unary(Request::new(request), call.path(), Raw).await
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => {
                let answer = answer?.into_inner();
                self.may_lack_certificate = false;
                Ok(answer)
            }
            Err(_) => Err(Status::deadline_exceeded(late(self.timeout))),
        }
    }

    /// What a refusal means. In TLS 1.3 the handshake is over for us before the member misses our certificate: whether its
    /// alert or the end of the connection is seen first is chance, and an end alone says nothing of certificates.
    fn said(&self, status: Status) -> OutsideError {
        match said(status) {
            OutsideError::Unreachable(text) if self.may_lack_certificate => {
                OutsideError::Unreachable(format!(
                    "{text} (no client certificate was shown: `certificate` and `key` of `tls`, if the member wants one)"
                ))
            }
            meant => meant,
        }
    }
}

impl EtcdMember for Member {
    fn status(&mut self) -> Answer<'_, EtcdStatus> {
        Box::pin(async move {
            let answer = self.ask(Call::Status, Vec::new()).await;
            let answer = answer.map_err(|status| self.said(status))?;
            messages::status(&answer).ok_or_else(|| odd("Status"))
        })
    }

    fn members(&mut self) -> Answer<'_, Vec<EtcdListed>> {
        Box::pin(async move {
            let answer = self.ask(Call::MemberList, Vec::new()).await;
            let answer = answer.map_err(|status| self.said(status))?;
            messages::members(&answer).ok_or_else(|| odd("MemberList"))
        })
    }

    fn hash_kv(&mut self, revision: i64) -> Answer<'_, EtcdHashed> {
        Box::pin(async move {
            match self.ask(Call::HashKv, messages::hash_request(revision)).await {
                Ok(answer) => {
                    let hash = messages::hash(&answer).ok_or_else(|| odd("HashKV"))?;
                    Ok(EtcdHashed::Hash(hash))
                }
                Err(status) => out_of_range(&status).ok_or_else(|| self.said(status)),
            }
        })
    }

    fn snapshot(&mut self) -> Answer<'_, Box<dyn EtcdPieces>> {
        Box::pin(async move {
            let (client, timeout) = (&mut self.client, self.timeout);
            let asked = async {
                client.ready().await.map_err(|e| meaning(&e))?;
                let request = Request::new(Vec::new());
                let answer = client.server_streaming(request, Call::Snapshot.path(), Raw).await;
                answer.map_err(said)
            };
            let stream = in_time(timeout, asked).await?.into_inner();
            Ok(Box::new(Pieces { stream, timeout, remaining: None }) as Box<dyn EtcdPieces>)
        })
    }
}

/// `ErrGRPCCompacted` and `ErrGRPCFutureRev`:
/// <https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go>.
fn out_of_range(status: &Status) -> Option<EtcdHashed> {
    let about = |text: &str| status.code() == Code::OutOfRange && status.message().contains(text);
    if about("required revision has been compacted") {
        Some(EtcdHashed::Compacted)
    } else {
        about("required revision is a future revision").then_some(EtcdHashed::Future)
    }
}

struct Pieces {
    stream: Streaming<Bytes>,
    timeout: Duration,
    /// How many bytes of the database are still to come, as the member said last.
    remaining: Option<u64>,
}

impl EtcdPieces for Pieces {
    fn next(&mut self) -> Answer<'_, Option<Bytes>> {
        Box::pin(async move {
            let stream = &mut self.stream;
            let arriving = async { stream.message().await.map_err(said) };
            let Some(message) = in_time(self.timeout, arriving).await? else {
                return match self.remaining {
                    Some(0) => Ok(None),
                    Some(bytes) => Err(broken_off(format!("{bytes} bytes before its end"))),
                    None => Err(broken_off("before it began".to_owned())),
                };
            };
            let (blob, remaining) = messages::piece(&message).ok_or_else(|| odd("Snapshot"))?;
            self.remaining = Some(remaining);
            Ok(Some(blob))
        })
    }
}

fn broken_off(whence: String) -> OutsideError {
    OutsideError::Unreachable(format!("the snapshot broke off {whence}"))
}

fn odd(call: &str) -> OutsideError {
    OutsideError::Failed(format!("the answer to {call} is none that an etcd gives"))
}

fn late(limit: Duration) -> String {
    format!("the member did not answer within {}", HumanDuration(limit))
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, OutsideError>>,
) -> Result<T, OutsideError> {
    let answer = tokio::time::timeout(limit, work).await;
    answer.unwrap_or_else(|_| Err(OutsideError::Unreachable(late(limit))))
}

/// What a refusal of the member means, or of the way to it. A certificate that is not right stays so; who does not listen,
/// or is electing a leader, may answer later.
fn said(status: Status) -> OutsideError {
    if status.source().is_some() {
        return meaning(&status);
    }
    // Not cut here: a secret that was cut through could not be told any more. A message is a header, of 16 KiB at most.
    let text = status.message().to_owned();
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted => OutsideError::Unreachable(text),
        Code::Unauthenticated | Code::PermissionDenied => OutsideError::Denied(text),
        code => OutsideError::Failed(format!("{code:?}: {text}")),
    }
}

/// What an error of the connection means.
fn meaning(error: &(dyn Error + 'static)) -> OutsideError {
    let text = innermost(error);
    // What rustls says when the server wants a certificate, or does not take the one that it was shown.
    let alert = text.contains("received fatal alert");
    if alert && text.to_ascii_lowercase().contains("certificate") {
        OutsideError::Denied(format!(
            "TLS: the member misses a client certificate, or does not take it: {text}"
        ))
    } else if alert || is_certificate(error) {
        OutsideError::Failed(format!("TLS: {text}"))
    } else {
        OutsideError::Unreachable(text)
    }
}

/// The outermost text says little: the reason is the innermost one.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_of_the_history_is_told_from_other_refusals() {
        let compacted =
            Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        assert_eq!(out_of_range(&compacted), Some(EtcdHashed::Compacted));
        let future =
            Status::out_of_range("etcdserver: mvcc: required revision is a future revision");
        assert_eq!(out_of_range(&future), Some(EtcdHashed::Future));
        assert_eq!(out_of_range(&Status::out_of_range("else")), None);
        assert_eq!(out_of_range(&Status::internal(compacted.message())), None);
    }

    #[test]
    fn a_member_without_a_leader_may_answer_later_and_a_refusal_is_final() {
        assert!(matches!(said(Status::unavailable("no leader")), OutsideError::Unreachable(_)));
        assert!(matches!(said(Status::permission_denied("no")), OutsideError::Denied(_)));
        let odd = said(Status::invalid_argument("etcdserver: user name is empty"));
        assert_eq!(
            odd,
            OutsideError::Failed("InvalidArgument: etcdserver: user name is empty".into())
        );
    }

    #[test]
    fn regression_a_secret_at_any_place_of_a_long_message_is_whole_when_it_is_looked_for() {
        let secrets = Secrets::default();
        secrets.learn(&Secret::new("swordfish and chips"));
        let long = "x".repeat(1015);
        let meant = said(Status::unavailable(format!("{long}swordfish and chips{long}")));
        let concealed = secrets.conceal(&meant.to_string());
        assert!(concealed.contains(&format!("{long}<secret>{long}")), "{concealed}");
    }

    fn reason(tls_of: EtcdTls) -> String {
        tls(&tls_of, &Secrets::default()).unwrap_err().to_string()
    }

    #[test]
    fn without_an_authority_or_with_half_of_a_certificate_nobody_is_connected_to() {
        assert!(reason(EtcdTls::default()).contains("no certificate authority"));
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path.to_str().unwrap().to_owned())
        };
        let authorities =
            path("ca", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
        let half = EtcdTls {
            authorities: authorities.clone(),
            certificate: authorities.clone(),
            ..EtcdTls::default()
        };
        assert!(reason(half.clone()).contains("belong together"));
        let no_key = EtcdTls { key: authorities, ..half };
        assert!(reason(no_key.clone()).contains("holds no PRIVATE KEY"));
        let html = EtcdTls { authorities: path("html", "<html>"), ..EtcdTls::default() };
        assert!(reason(html).contains("holds no CERTIFICATE"));
        let key = path(
            "key",
            "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END EC PRIVATE KEY-----\n",
        );
        let secrets = Secrets::default();
        tls(&EtcdTls { key, ..no_key }, &secrets).unwrap();
        assert_eq!(secrets.conceal("it was c2VjcmV0LWJ5dGVz"), "it was <secret>");
    }

    #[tokio::test]
    async fn who_does_not_listen_is_unreachable_and_a_wrong_address_is_an_error() {
        let login = |endpoint: &str| EtcdLogin {
            step: crate::ids::StepId::new("step"),
            endpoint: endpoint.to_owned(),
            tls: EtcdTls::default(),
            timeout: Duration::from_secs(5),
        };
        let of =
            async |endpoint: &str| open(&login(endpoint), &Secrets::default()).await.err().unwrap();
        assert!(matches!(of("http://127.0.0.1:1").await, OutsideError::Unreachable(_)));
        assert!(matches!(of("no address at all").await, OutsideError::Failed(_)));
        let refused = of("https://127.0.0.1:1").await;
        assert!(refused.to_string().contains("no certificate authority"), "{refused}");
    }
}
