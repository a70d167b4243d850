//! The virtual world: an estate in motion, reached through the SDK's requests.
//!
//! Main type: [`World`]. It decides who is asked, whether the call goes wrong, and when the answer arrives; what an
//! operation does belongs to the services.

use super::cbor;
use super::connector::Connector;
use super::estate::{AccountId, Estate};
use super::fault::{Fault, FaultEffect};
use super::fault_table::{Arriving, Met};
use super::s3::{self, S3State};
use super::services::{self, Call, Mark};
use super::state::{PlaceKey, State};
use super::sts;
use super::wire::{
    AwsError, ConnectionFailure, Params, Reply, Scope, Service, error_answer, respond,
};
use crate::error::Error;
use crate::time::Clock;
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::shared::IntoShared;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After this long without a connection the simulated caller gives up, as the SDK does by default.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// After this long without an answer the simulated caller gives up.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A simulated AWS. Clones share one state.
#[derive(Clone, Debug)]
pub struct World(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// The buckets, or what is wrong with them in an estate that was not read from a file.
    s3: Result<S3State, Error>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// The host of a service in a region, as a URL for `endpoint_url`. Real AWS has no such host.
pub fn endpoint(service: &str, region: &str) -> String {
    format!("https://{service}.{region}.sandbox.invalid")
}

impl World {
    /// Sets an estate in motion. `faults` come before those of the estate.
    pub fn open(estate: Estate, clock: Clock, faults: Vec<Fault>) -> Self {
        let buckets = estate.placed_buckets();
        let s3 = S3State::open(&buckets, &estate.directory, clock.clone(), estate.seed);
        let state = State::open(estate, faults);
        Self(Arc::new(Shared { clock, state: Mutex::new(state), s3 }))
    }

    /// The HTTP client for an SDK configuration. Nothing leaves the process.
    pub fn connector(&self) -> SharedHttpClient {
        Connector(self.clone()).into_shared()
    }

    /// The credentials of an account. Those of account `000000000000` belong to the caller who assumes roles.
    pub fn credentials(&self, account: &str) -> Credentials {
        Credentials::new(format!("SANDBOX{account}"), "sandbox", None, None, "redrill sandbox")
    }

    /// The world's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What commands, real hosts and people answer, as the estate says.
    pub fn answers(&self) -> super::answers::Answers {
        self.state().estate.answers.clone()
    }

    /// Takes a place down: from now on every call to it fails after [`CONNECT_TIMEOUT`], and its databases refuse.
    /// Backups that it was copying elsewhere are never finished.
    pub fn lose(&self, account: &str, region: &str) {
        let now = self.0.clock.now();
        self.state().lose(PlaceKey::new(account, region), now);
        if let Ok(s3) = &self.0.s3 {
            s3.lose(account, region);
        }
    }

    /// Lets a lost place be called again, as when a drill is over and what it made there is to be removed. Backups
    /// that were not finished when it was lost stay so.
    pub fn regain(&self, account: &str, region: &str) {
        self.state().regained.insert(PlaceKey::new(account, region));
    }

    /// The account of the first place in a region, for sites that name none; the caller's own where there is none.
    pub fn some_account(&self, region: &str) -> String {
        let state = self.state();
        let place = state.estate.places.iter().find(|place| place.region == region);
        place.map_or_else(|| AccountId::CALLER.to_owned(), |place| place.account.to_string())
    }

    /// Everything that exists now: a name that is unique in the world, and what can be said of it in a line
    /// (status and tags). What a schedule made says so first, as it comes and goes with time.
    pub fn inventory(&self) -> BTreeMap<String, String> {
        let now = self.0.clock.now();
        let mut state = self.state();
        state.advance(now);
        let mut all = state.inventory(now);
        if let Ok(s3) = &self.0.s3 {
            all.extend(s3.inventory());
        }
        all
    }

    /// As [`World::inventory`], without what schedules make and take away: to compare the world before a run with
    /// the world after it.
    pub fn lasting_inventory(&self) -> BTreeMap<String, String> {
        let mut all = self.inventory();
        all.retain(|_, line| !line.starts_with("scheduled "));
        all
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held can only have come from a test.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one signed HTTP request. Service, region and account come from its signature's scope.
    pub async fn handle(&self, request: HttpRequest) -> Reply {
        let Some(asked) = Asked::read(request).await else {
            return Reply::Unreachable(ConnectionFailure::Reset);
        };
        let in_cbor =
            asked.service == Some(Service::CloudWatch) && cbor::is_spoken_by(&asked.request);
        let arrival = self.state().arrive(&asked, self.0.clock.now());
        let reply = match arrival.verdict {
            Verdict::Lost => {
                self.0.clock.sleep(CONNECT_TIMEOUT).await;
                return Reply::Unreachable(ConnectionFailure::Timeout);
            }
            Verdict::Reset => Reply::Unreachable(broken_off(&arrival.request_id)),
            Verdict::Answer(Reply::Response(answer)) if in_cbor => {
                Reply::Response(cbor::translate(answer))
            }
            Verdict::Answer(reply) => reply,
            Verdict::Object => self.answer_s3(asked, &arrival.request_id).await,
        };
        self.0.clock.sleep(arrival.latency).await;
        match arrival.fault {
            // There is no answer that anything could become of.
            _ if matches!(reply, Reply::Unreachable(_)) => {}
            Some(FaultEffect::LostReply) => {
                self.0.clock.sleep(READ_TIMEOUT).await;
                return Reply::Unreachable(ConnectionFailure::Timeout);
            }
            Some(FaultEffect::Garbage) => {
                let garbage = "\u{7f}ELF <not what<< the protocol says";
                let refused =
                    matches!(&reply, Reply::Response(answer) if !answer.status().is_success());
                // A status of 200 would say that what was refused has been done.
                let status = if refused { 502 } else { 200 };
                return Reply::Response(respond(status, "text/xml", garbage, &arrival.request_id));
            }
            _ => {}
        }
        reply
    }

    /// The one call site of the simulated S3. It takes account and region from the signature, which it checks.
    async fn answer_s3(&self, asked: Asked, request_id: &str) -> Reply {
        let s3 = match &self.0.s3 {
            Ok(s3) => s3,
            Err(wrong) => {
                let error = AwsError::new(500, "InternalError", wrong.to_string());
                return Reply::Response(error_answer(Service::S3, &error, request_id));
            }
        };
        let mut response = s3.handle(asked.request).await;
        response.headers_mut().insert("x-amz-request-id", request_id.to_owned());
        Reply::Response(response)
    }
}

/// A request, read as far as is needed to know who asks what.
pub(crate) struct Asked {
    pub(crate) scope: Option<Scope>,
    pub(crate) service: Option<Service>,
    pub(crate) action: String,
    pub(crate) params: Params,
    pub(crate) json: serde_json::Value,
    pub(crate) token: Option<String>,
    /// What the client calls this attempt at the call, where it says so.
    attempt: Option<String>,
    pub(crate) request: HttpRequest,
}

impl Asked {
    /// `None` when the request's body breaks off.
    async fn read(mut request: HttpRequest) -> Option<Self> {
        let scope = Scope::of(&request);
        let service = scope.as_ref().and_then(|s| Service::from_scope(&s.service));
        let token = request.headers().get("x-amz-security-token").map(str::to_owned);
        let attempt = attempt(&request);
        let mut params = Params::default();
        let mut json = serde_json::Value::Null;
        let action = match service {
            None => request.method().to_owned(),
            Some(Service::S3) => {
                s3::operation_name(&request).unwrap_or(request.method()).to_owned()
            }
            Some(Service::Rds | Service::Ec2 | Service::Sts) => {
                params = Params::from_form(&body(&mut request).await?);
                params.get("Action").unwrap_or_default().to_owned()
            }
            Some(Service::Kms | Service::SecretsManager) => {
                json = serde_json::from_slice(&body(&mut request).await?).unwrap_or_default();
                target(&request)
            }
            Some(Service::CloudWatch) if cbor::is_spoken_by(&request) => {
                // What cannot be read becomes null, which the operation refuses.
                json = cbor::read(&body(&mut request).await?).unwrap_or_default();
                cbor::operation(&request).unwrap_or_default().to_owned()
            }
            Some(Service::CloudWatch) => {
                json = serde_json::from_slice(&body(&mut request).await?).unwrap_or_default();
                target(&request)
            }
        };
        Some(Self { scope, service, action, params, json, token, attempt, request })
    }
}

/// The operation, as the JSON protocols name it.
fn target(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// One of the two ways in which a connection breaks, which the SDK tells apart.
fn broken_off(request_id: &str) -> ConnectionFailure {
    let is_even = request_id.bytes().last().is_some_and(|digit| digit % 2 == 0);
    if is_even { ConnectionFailure::Reset } else { ConnectionFailure::Closed }
}

/// The SDKs name a call in one header, and number their attempts at it in another: what arrives twice has both in common.
fn attempt(request: &HttpRequest) -> Option<String> {
    let call = request.headers().get("amz-sdk-invocation-id")?;
    let number = request.headers().get("amz-sdk-request").unwrap_or_default();
    Some(format!("{call} {number}"))
}

async fn body(request: &mut HttpRequest) -> Option<Vec<u8>> {
    // Read as a stream even when it is in memory: otherwise the SDK's protection against stalled uploads never
    // learns that all of it has been sent, and gives up on a slow answer.
    let body = std::mem::replace(request.body_mut(), SdkBody::taken());
    Some(body.collect().await.ok()?.to_bytes().to_vec())
}

/// What became of a request when it arrived.
pub(crate) struct Arrival {
    request_id: String,
    latency: Duration,
    /// What becomes of the answer.
    fault: Option<FaultEffect>,
    verdict: Verdict,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are answers, and each is moved once")]
enum Verdict {
    Lost,
    Reset,
    Answer(Reply),
    /// For the simulated S3, which answers asynchronously.
    Object,
}

impl State {
    /// Counts a call, decides what goes wrong with it, and lets it have its effect.
    fn arrive(&mut self, asked: &Asked, now: chrono::DateTime<chrono::Utc>) -> Arrival {
        self.advance(now);
        let request_id = self.next_request_id();
        let mut latency = self.estate.latency.0;
        let region = asked.scope.as_ref().map_or("", |s| s.region.as_str());
        let name = asked.service.map_or("unknown", Service::name);
        let since_opened = (now - self.estate.now).to_std().unwrap_or_default();
        let call = format!("{name}:{}", asked.action);
        let attempt = asked.attempt.as_deref();
        let arriving = Arriving { call: &call, region, attempt, since_opened };
        let met = self.faults.meet(arriving);
        if let Some(FaultEffect::Slow(by)) = &met.pace {
            latency += by.0;
        }
        let account = match self.authenticate(asked, now) {
            Ok(account) => account,
            Err(error) => {
                let service = asked.service.unwrap_or(Service::Rds);
                let reply = Reply::Response(error_answer(service, &error, &request_id));
                let verdict = Verdict::Answer(reply);
                return Arrival { request_id, latency, fault: met.reply, verdict };
            }
        };
        let place = PlaceKey::new(&account, region);
        // STS is as regional as the rest: with a place goes the way to assume a role in it.
        let needed = match asked.service {
            Some(Service::Sts) => sts::account_of(&asked.action, &asked.params),
            _ => None,
        };
        let needed = needed.map_or_else(|| place.clone(), |of| PlaceKey::new(&of, region));
        let verdict = if self.lost.contains_key(&needed) && !self.regained.contains(&needed) {
            Verdict::Lost
        } else {
            self.perform(asked, arriving, (place, now), &met, &request_id)
        };
        Arrival { request_id, latency, fault: met.reply, verdict }
    }

    fn perform(
        &mut self,
        asked: &Asked,
        arriving: Arriving<'_>,
        (place, now): (PlaceKey, chrono::DateTime<chrono::Utc>),
        met: &Met,
        request_id: &str,
    ) -> Verdict {
        let service = asked.service.unwrap_or(Service::Rds);
        let refused = match &met.refusal {
            Some(FaultEffect::Reset) => return Verdict::Reset,
            Some(FaultEffect::Throttle) => Some(services::throttled(service)),
            Some(FaultEffect::ServerError) => Some(services::server_error(service)),
            Some(FaultEffect::ExpiredCredentials(_)) => Some(services::expired(service)),
            Some(FaultEffect::Error(e)) => {
                Some(AwsError::new(e.status, e.code.clone(), e.message.clone()))
            }
            _ => None,
        };
        if let Some(error) = refused {
            return Verdict::Answer(Reply::Response(error_answer(service, &error, request_id)));
        }
        if service == Service::S3 {
            return Verdict::Object;
        }
        let mark = match met.creation {
            Some(FaultEffect::Stuck) => Some(Mark::Stuck),
            Some(FaultEffect::Broken) => Some(Mark::Broken),
            _ => None,
        };
        let blind_since = match &met.sight {
            Some(FaultEffect::Stale(by)) => {
                chrono::TimeDelta::from_std(by.0).ok().map(|by| now - by)
            }
            _ => None,
        };
        let made = Cell::new(false);
        let call = Call { state: self, place, now, asked, mark, made: &made, blind_since };
        let answer = services::answer(service, call, request_id);
        if made.get() && answer.status().is_success() {
            self.faults.made(arriving);
        }
        Verdict::Answer(Reply::Response(answer))
    }

    /// The account that signed the request.
    fn authenticate(
        &self,
        asked: &Asked,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<String, AwsError> {
        let scope = asked.scope.as_ref().ok_or_else(|| {
            AwsError::new(
                403,
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            )
        })?;
        let service = asked.service.ok_or_else(|| {
            let what = format!("The sandbox does not simulate the service {}.", scope.service);
            AwsError::new(404, "InvalidAction", what)
        })?;
        let account = scope.access_key.strip_prefix("SANDBOX").unwrap_or_default();
        let known = account == AccountId::CALLER
            || AccountId::new(account).is_ok_and(|a| self.estate.accounts.contains_key(&a));
        if !known {
            let what = "The security token included in the request is invalid.";
            return Err(AwsError::new(403, "InvalidClientTokenId", what));
        }
        if services::token_expired(asked.token.as_deref(), now) {
            return Err(services::expired(service));
        }
        if account == AccountId::CALLER && service != Service::Sts {
            let what = "The caller may only assume roles: it has no resources of its own.";
            return Err(services::denied(service, what));
        }
        Ok(account.to_owned())
    }
}
