//! The sandbox on a TCP port, so that the AWS CLI, boto3, Terraform and other programs can talk to it.
//!
//! Main type: [`Server`]. One HTTP/1.1 endpoint serves all services: which one is asked, in which region and by which
//! account, follows from the signature (access key `SANDBOX` and the account's twelve digits, secret `sandbox`).
//! Buckets are addressed by path (`http://127.0.0.1:4566/bucket/key`) or as `bucket.localhost`. What the services do is
//! [`World`]'s; here are only sockets, limits and the end. Needs a real-time runtime and a clock made with
//! `Clock::accelerated`.

use super::wire::Reply;
use super::world::World;
use crate::error::{Error, Result};
use crate::limits::{self, SERVER_BODY_BYTES};
use crate::time::Clock;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A connection that sends no complete head for this long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A request whose body takes longer than this is dropped.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// So long do requests under way have to end when the server does.
const GRACE: Duration = Duration::from_secs(5);

/// Wait after an accept that failed (too many open files, say), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who may reach the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// This machine only.
    #[default]
    Loopback,
    /// Whoever reaches the address. The secret is public, so this is for closed networks such as those of containers.
    AnyAddress,
}

/// A sandbox that listens.
#[derive(Debug)]
pub struct Server {
    world: World,
    listener: TcpListener,
    address: SocketAddr,
}

/// Serves `world` on `listen` until `until` is ready, then ends requests under way and returns.
///
/// # Errors
/// As [`Server::bind`].
pub async fn serve(
    world: World,
    listen: SocketAddr,
    reach: Reach,
    until: impl Future<Output = ()>,
) -> Result<()> {
    Server::bind(world, listen, reach).await?.run(until).await;
    Ok(())
}

impl Server {
    /// Starts to listen; port 0 chooses a free one.
    ///
    /// # Errors
    /// Refused when the address is not a loopback address and `reach` does not allow more; broken when the
    /// address is taken or not this machine's.
    pub async fn bind(world: World, listen: SocketAddr, reach: Reach) -> Result<Self> {
        if reach == Reach::Loopback && !listen.ip().is_loopback() {
            return Err(Error::refused(format!(
                "{} can be reached from other machines, and the sandbox's secret is public",
                listen.ip()
            ))
            .help("Listen on 127.0.0.1 or ::1, or allow other addresses explicitly."));
        }
        let failed = |e: std::io::Error| Error::broken(format!("cannot listen on {listen}: {e}"));
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { world, listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value for `--endpoint-url`, `AWS_ENDPOINT_URL` and the like.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until `until` is ready, then ends requests under way (for at most five seconds).
    pub async fn run(self, until: impl Future<Output = ()>) {
        let real_time = Clock::system();
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut until = pin!(until);
        loop {
            let has_room = connections.len() < limits::SERVER_CONNECTIONS;
            tokio::select! {
                biased;
                () = &mut until => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(talk(self.world.clone(), stream, stopping.clone()));
                    }
                    Err(_) => real_time.sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(self.listener);
        // Fails only when no connection is left to hear it.
        let _ = stop.send(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// Serves one connection that was made in another way than through a port, until it ends: for tests, which have no time for
/// sockets.
pub async fn serve_connection<S>(world: World, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (_never_stops, stopping) = watch::channel(false);
    talk(world, stream, stopping).await;
}

/// Serves one connection. What its client does wrong ends the connection and nothing else.
async fn talk<S>(world: World, stream: S, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| answer(world.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(limits::SERVER_HEAD_BYTES)
        .max_headers(limits::SERVER_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The simulated network did not answer: the connection is closed without a word.
#[derive(Debug, thiserror::Error)]
#[error("the simulated connection broke")]
struct Unanswered;

async fn answer(
    world: World,
    request: http::Request<Incoming>,
) -> std::result::Result<http::Response<SdkBody>, Unanswered> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > SERVER_BODY_BYTES as u64 {
        return Ok(too_large());
    }
    let body =
        match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, SERVER_BODY_BYTES).collect())
            .await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
                return Ok(too_large());
            }
            Ok(Err(_)) | Err(_) => return Err(Unanswered),
        };
    let Some(request) = to_sdk(head, body) else {
        let what = "The request's headers are not text.";
        return Ok(refusal(http::StatusCode::BAD_REQUEST, "BadRequest", what));
    };
    match world.handle(request).await {
        Reply::Response(response) => response.try_into_http1x().map_err(|_| Unanswered),
        Reply::Unreachable(_) => Err(Unanswered),
    }
}

fn to_sdk(head: http::request::Parts, body: Bytes) -> Option<HttpRequest> {
    let request = http::Request::from_parts(head, SdkBody::from(body));
    HttpRequest::try_from(request).ok()
}

fn too_large() -> http::Response<SdkBody> {
    let what = format!("The sandbox takes bodies of up to {SERVER_BODY_BYTES} bytes.");
    refusal(http::StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge", &what)
}

fn refusal(status: http::StatusCode, code: &str, message: &str) -> http::Response<SdkBody> {
    let text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let mut response = http::Response::new(SdkBody::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/xml"));
    headers.insert("connection", http::HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;
    use crate::sandbox::Estate;
    use aws_credential_types::Credentials;
    use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
    use aws_sdk_s3::primitives::ByteStream;
    use aws_smithy_http_client::tls;
    use aws_smithy_types::retry::RetryConfig;
    use aws_types::SdkConfig;
    use aws_types::region::Region;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    const ESTATE: &str = "
estate: 1
now: 2026-11-22T00:00:00Z
accounts: {'111111111111': {roles: [drill]}}
places:
  - account: '111111111111'
    region: ap-northeast-1
    buckets: [{name: orders, versioning: enabled}]
  - account: '111111111111'
    region: ap-northeast-3
    buckets: [{name: orders-dr, versioning: enabled, objects: [{key: a, text: hello}]}]
";

    struct Running {
        world: World,
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<()>,
    }

    async fn start() -> Running {
        let estate = Estate::read("estate.yaml", ESTATE).unwrap();
        let clock = Clock::accelerated(estate.now, 1000);
        let world = World::open(estate, clock, Vec::new());
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(world.clone(), listen, Reach::Loopback).await.unwrap();
        let address = server.address();
        assert_eq!(server.url(), format!("http://{address}"));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Running { world, address, stop, ended }
    }

    impl Running {
        fn config(&self, region: &str) -> SdkConfig {
            let credentials =
                Credentials::new("SANDBOX111111111111", "sandbox", None, None, "test");
            let provider =
                aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
            let client = aws_smithy_http_client::Builder::new()
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                .build_https();
            SdkConfig::builder()
                .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
                .credentials_provider(provider)
                .region(Region::new(region.to_owned()))
                .endpoint_url(format!("http://{}", self.address))
                .http_client(client)
                .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                    aws_smithy_async::rt::sleep::TokioSleep::new(),
                ))
                .retry_config(RetryConfig::disabled())
                .build()
        }

        async fn raw(&self, bytes: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // A reset instead of an answer is as good an end.
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        }
    }

    fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(config)
    }

    #[tokio::test]
    async fn real_clients_reach_all_services_through_one_port() {
        let running = start().await;
        let config = running.config("ap-northeast-1");
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let put = s3(&config).put_object().bucket("orders").key("a b/\u{5fa9}");
        put.body(ByteStream::from(content.clone())).send().await.unwrap();
        let got =
            s3(&config).get_object().bucket("orders").key("a b/\u{5fa9}").send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), content);
        let other = s3(&running.config("ap-northeast-3"));
        let head = other.head_object().bucket("orders-dr").key("a").send().await.unwrap();
        assert_eq!(head.content_length(), Some(5));
        let wrong_region = other.get_object().bucket("orders").key("a").send().await.unwrap_err();
        assert_eq!(wrong_region.code(), Some("AuthorizationHeaderMalformed"));

        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        assert_eq!(identity.unwrap().account(), Some("111111111111"));
        let databases = aws_sdk_rds::Client::new(&config).describe_db_instances().send().await;
        assert!(databases.unwrap().db_instances().is_empty());
        let volumes = aws_sdk_ec2::Client::new(&config).describe_volumes().send().await;
        assert!(volumes.unwrap().volumes().is_empty());
        let absent = aws_sdk_kms::Client::new(&config).describe_key().key_id("absent").send().await;
        assert_eq!(absent.unwrap_err().code(), Some("NotFoundException"));
    }

    #[tokio::test]
    async fn a_lost_place_does_not_answer() {
        let running = start().await;
        running.world.lose("111111111111", "ap-northeast-1");
        let lost = s3(&running.config("ap-northeast-1")).list_buckets().send().await.unwrap_err();
        assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
        let alive = s3(&running.config("ap-northeast-3"));
        alive.head_bucket().bucket("orders-dr").send().await.unwrap();
    }

    #[tokio::test]
    async fn rubbish_is_refused_and_does_not_hurt_others() {
        let running = start().await;
        let status = |answer: &str| answer.split(' ').nth(1).unwrap_or("none").to_owned();
        assert_eq!(status(&running.raw(b"\x00\xff rubbish\r\n\r\n").await), "400");
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
        assert_eq!(status(&running.raw(long.as_bytes()).await), "431");
        let many: String = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{many}\r\n");
        assert_eq!(status(&running.raw(many.as_bytes()).await), "431");
        let large = b"PUT /orders/a HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n";
        assert_eq!(status(&running.raw(large).await), "413");
        let unsigned = b"GET /orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        assert_eq!(status(&running.raw(unsigned).await), "403");
        for header in ["host", "authorization", "x-amz-date"] {
            let head = format!("GET / HTTP/1.1\r\nconnection: close\r\n{header}: ");
            let binary = [head.as_bytes(), b"\xff\xfe\r\n\r\n"].concat();
            let answer = status(&running.raw(&binary).await);
            assert!(answer.starts_with('4'), "{header}: {answer}");
        }
        let alive = s3(&running.config("ap-northeast-1"));
        alive.head_bucket().bucket("orders").send().await.unwrap();
    }

    #[tokio::test]
    async fn further_connections_wait_until_there_is_room() {
        const ASK: &[u8] = b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n";
        async fn ask(stream: &mut TcpStream) {
            stream.write_all(ASK).await.unwrap();
            let mut answer = [0; 8192];
            assert!(stream.read(&mut answer).await.unwrap() > 0);
        }
        let running = start().await;
        let mut open = Vec::new();
        for _ in 0..limits::SERVER_CONNECTIONS {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            ask(&mut stream).await;
            open.push(stream);
        }
        let mut further = TcpStream::connect(running.address).await.unwrap();
        further.write_all(ASK).await.unwrap();
        // The others are served as before, and it is not.
        for stream in &mut open {
            ask(stream).await;
        }
        let mut byte = [0];
        assert!(further.try_read(&mut byte).is_err(), "there was no room for it");
        open.pop();
        assert_eq!(further.read(&mut byte).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn it_listens_beyond_this_machine_only_when_told_to() {
        let running = start().await;
        let listen: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let refused = Server::bind(running.world.clone(), listen, Reach::Loopback).await;
        assert_eq!(refused.unwrap_err().exit_code(), ExitCode::Refused);
        assert!(Server::bind(running.world.clone(), listen, Reach::AnyAddress).await.is_ok());
        let taken = Server::bind(running.world.clone(), running.address, Reach::Loopback).await;
        assert_eq!(taken.unwrap_err().exit_code(), ExitCode::Inconclusive);
    }

    #[tokio::test]
    async fn it_ends_with_idle_connections_open() {
        let running = start().await;
        let client = s3(&running.config("ap-northeast-1"));
        client.head_bucket().bucket("orders").send().await.unwrap();
        let idle = TcpStream::connect(running.address).await.unwrap();
        running.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), running.ended).await.unwrap().unwrap();
        drop(idle);
        assert!(TcpStream::connect(running.address).await.is_err());
    }
}
