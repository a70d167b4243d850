use super::estate::PlacedBucket;
use super::service::{Frontend, SandboxAuth, SandboxHost};
use super::store::{Place, Store};
use super::{listing, seeding};
use crate::error::Result;
use crate::time::Clock;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All buckets of an estate behind the S3 protocol. Cheap to clone; clones share their buckets.
#[derive(Clone)]
pub struct S3State {
    shared: Arc<Shared>,
    service: S3Service,
}

/// What the operations work on.
pub(super) struct Shared {
    store: Mutex<Store>,
    pub(super) clock: Clock,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for S3State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3State").finish_non_exhaustive()
    }
}

impl S3State {
    /// Opens the buckets at the clock's present. `directory` is where `file:` paths start; `seed` chooses version ids.
    ///
    /// # Errors
    /// Bad input: a name or key that S3 would refuse, two buckets of one name, an object without content, a file that
    /// cannot be read, rules that contradict the estate.
    pub fn open(
        buckets: &[PlacedBucket],
        directory: &Path,
        clock: Clock,
        seed: u64,
    ) -> Result<Self> {
        let store = seeding::seed_store(buckets, directory, clock.now(), seed)?;
        let shared = Arc::new(Shared { store: Mutex::new(store), clock });
        let mut builder = S3ServiceBuilder::new(Frontend(Arc::clone(&shared)));
        builder.set_auth(SandboxAuth);
        builder.set_host(SandboxHost);
        let mut config = S3Config::default();
        // Signatures carry virtual time, which `s3s` would compare with the system's.
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Ok(Self { shared, service: builder.build() })
    }

    /// Answers a request of an S3 client. Account and region come from its signature, which is checked
    /// (access key `SANDBOX` and the account, secret `sandbox`).
    pub async fn handle(&self, request: HttpRequest) -> HttpResponse {
        let is_head = request.method() == "HEAD";
        let Ok(mut request) = request.try_into_http1x() else { return broken() };
        // Without this header every signature is wrong; HTTP clients add it, the SDK alone does not.
        let host = request.uri().authority().map(|a| http::HeaderValue::from_str(a.as_str()));
        if let Some(Ok(host)) = host
            && !request.headers().contains_key("host")
        {
            request.headers_mut().insert("host", host);
        }
        let answered = self.service.call(request.map(s3s::Body::http_body_unsync)).await;
        let Ok(response) = answered else { return broken() };
        let bodiless = is_head || response.status() == http::StatusCode::NOT_MODIFIED;
        let response = response.map(|body| match bodiless {
            true => SdkBody::empty(),
            false => SdkBody::from_body_1_x(body),
        });
        HttpResponse::try_from(response).unwrap_or_else(|_| broken())
    }

    /// From now on nothing is replicated out of or into this place. (That its buckets cannot be reached is the
    /// business of whoever passes the requests on.)
    pub fn lose(&self, account: &str, region: &str) {
        let place = Place { account: account.to_owned(), region: region.to_owned() };
        let now = self.shared.clock.now();
        self.shared.lock().lose(place, now);
    }

    /// Every bucket, version and delete marker that can be seen now, with a short description: for comparing the state
    /// before and after.
    pub fn inventory(&self) -> BTreeMap<String, String> {
        listing::inventory(&self.shared.lock(), self.shared.clock.now())
    }
}

/// What `s3s` could not even answer with an error.
fn broken() -> HttpResponse {
    let status = StatusCode::from(http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::new(status, SdkBody::from("<Error><Code>InternalError</Code></Error>"))
}
