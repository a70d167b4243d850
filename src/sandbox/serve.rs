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
use crate::time::Clock;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The largest request body, in bytes: bodies are held in memory.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// The largest request line and headers together, in bytes. S3 allows 8 KiB of headers.
const LARGEST_HEAD: usize = 64 * 1024;

/// The most headers of a request.
const MOST_HEADERS: usize = 128;

/// The most connections at a time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 256;

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
            let has_room = connections.len() < MOST_CONNECTIONS;
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

/// Serves one connection. What its client does wrong ends the connection and nothing else.
async fn talk(world: World, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
    let service = service_fn(move |request| answer(world.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
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
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, LARGEST_BODY).collect())
        .await
    {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            let what = format!("The sandbox takes bodies of up to {LARGEST_BODY} bytes.");
            return Ok(refusal(http::StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge", &what));
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

fn refusal(status: http::StatusCode, code: &str, message: &str) -> http::Response<SdkBody> {
    let text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let mut response = http::Response::new(SdkBody::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/xml"));
    headers.insert("connection", http::HeaderValue::from_static("close"));
    response
}
