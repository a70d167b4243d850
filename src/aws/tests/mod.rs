//! The guard: its table against the SDK's sources, real calls of the SDK's clients into a sandbox behind a counter, and
//! properties of the decision.

mod aurora;
mod calls;
mod more_calls;
mod properties;
mod sources;

use super::{GuardPolicy, Place, Refused, RunLimits, SiteSession};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Event, Ledger, ResourceKey};
use crate::sandbox::{Estate, World, endpoint};
use crate::time::Clock;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_rds::config::BehaviorVersion;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// Production: an instance with a snapshot, a cluster and a volume with one, and a bucket.
const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {} }
places:
  - account: "111111111111"
    region: ap-northeast-1
    databases:
      - id: orders-db
        deletion_protection: true
        snapshots: [{ id: before-migration, age: 3d }]
    clusters:
      - id: payments
        deletion_protection: true
        instances: [{ id: payments-1 }]
        snapshots: [{ id: payments-before, age: 3d }]
    volumes:
      - { id: vol-0prod, size: 8, schedule: { every: 6h, keep: 1d } }
    buckets:
      - { name: uploads, versioning: enabled, objects: [{ key: invoices/1.pdf, text: paid }] }
"#;

const ACCOUNT: &str = "111111111111";
const REGION: &str = "ap-northeast-1";
const RUN: &str = "orders-0001-test";
const STEP: &str = "restore";
const SITE: &str = "primary";

/// The tags of what the step makes.
const TAGS: [(&str, &str); 3] =
    [("redrill:run", RUN), ("redrill:step", STEP), ("redrill:expires", "2026-11-22T22:00:00Z")];

/// Counts what would leave the process.
#[derive(Clone, Debug)]
struct Counting {
    open: SharedHttpClient,
    sent: Arc<AtomicUsize>,
}

impl HttpClient for Counting {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let open = self.open.http_connector(settings, components);
        SharedHttpConnector::new(CountingConnector { open, sent: self.sent.clone() })
    }
}

#[derive(Debug)]
struct CountingConnector {
    open: SharedHttpConnector,
    sent: Arc<AtomicUsize>,
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.open.call(request)
    }
}

#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// A run at one site, and what its calls reach.
struct Rig {
    world: World,
    clock: Clock,
    policy: Arc<GuardPolicy>,
    session: SiteSession,
    sent: Arc<AtomicUsize>,
}

fn limits() -> RunLimits {
    RunLimits {
        run: RunId::new(RUN),
        write: vec![SiteName::new(SITE)],
        canaries: vec!["uploads/redrill-canary/".to_owned()],
    }
}

fn key(kind: &str, name: &str) -> ResourceKey {
    ResourceKey { kind: kind.to_owned(), name: name.to_owned(), site: SiteName::new(SITE) }
}

fn intended(kind: &str, name: &str) -> Event {
    Event::ResourceIntended { step: StepId::new(STEP), key: key(kind, name) }
}

fn owned(kind: &str, name: &str, id: &str) -> Event {
    Event::ResourceOwned { key: key(kind, name), id: id.to_owned() }
}

impl Rig {
    /// A run whose ledger is empty.
    fn new() -> Self {
        Self::with(GuardPolicy::of_run(limits(), Ledger::default()))
    }

    fn with(policy: GuardPolicy) -> Self {
        let estate = Estate::read("estate.yaml", ESTATE).unwrap();
        let clock = Clock::simulated(estate.now);
        let world = World::open(estate, clock.clone(), Vec::new());
        let sent = Arc::new(AtomicUsize::new(0));
        let policy = Arc::new(policy);
        let config = Self::config(&world, &clock, &sent, &endpoint("s3", REGION));
        let session = SiteSession::new(place(), &config, policy.clone());
        Self { world, clock, policy, session, sent }
    }

    fn config(world: &World, clock: &Clock, sent: &Arc<AtomicUsize>, endpoint: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(world.credentials(ACCOUNT)))
            .endpoint_url(endpoint)
            .http_client(Counting { open: world.connector(), sent: sent.clone() })
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(VirtualTime(clock.clone())))
            .retry_config(RetryConfig::disabled())
            .build()
    }

    /// The ledger on disk goes on by these events.
    fn on_disk(&self, events: &[Event]) {
        events.iter().for_each(|event| self.policy.on_disk(event));
    }

    /// How many requests have left so far.
    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    fn rds(&self) -> aws_sdk_rds::Client {
        crate::client!(self.session, aws_sdk_rds)
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        crate::client!(self.session, aws_sdk_ec2)
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        crate::client!(self.session, aws_sdk_s3)
    }
}

fn place() -> Place {
    let account = Some(ACCOUNT.to_owned());
    Place { site: SiteName::new(SITE), account, region: REGION.to_owned() }
}

/// The refusal in an error.
fn refusal(error: &(dyn Error + 'static)) -> Option<Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        next = error.source();
    }
    None
}

/// Sends a call and expects that the guard refuses it and nothing leaves. Gives the refusal as text.
macro_rules! refused {
    ($rig:expr, $call:expr) => {{
        let before = $rig.sent();
        let error = $call.send().await.expect_err("the call passed");
        assert_eq!($rig.sent(), before, "something was sent: {error:?}");
        let refused = $crate::aws::tests::refusal(&error);
        refused.unwrap_or_else(|| panic!("not refused: {error:?}")).to_string()
    }};
}

/// Sends a call and expects that it leaves, once, and that the service does what it asks.
macro_rules! passes {
    ($rig:expr, $call:expr) => {{
        let before = $rig.sent();
        let answer = $call.send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!($rig.sent(), before + 1);
        answer
    }};
}
use {passes, refused};

fn rds_tags(tags: &[(&str, &str)]) -> Option<Vec<aws_sdk_rds::types::Tag>> {
    let tag = |(key, value): &(&str, &str)| {
        aws_sdk_rds::types::Tag::builder().key(*key).value(*value).build()
    };
    Some(tags.iter().map(tag).collect())
}

fn ec2_tags(tags: &[(&str, &str)]) -> Vec<aws_sdk_ec2::types::Tag> {
    let tag = |(key, value): &(&str, &str)| {
        aws_sdk_ec2::types::Tag::builder().key(*key).value(*value).build()
    };
    tags.iter().map(tag).collect()
}

/// Tags for what is to be made: those of the step, and the name.
fn specification(
    of: aws_sdk_ec2::types::ResourceType,
    tags: &[(&str, &str)],
    name: &str,
) -> aws_sdk_ec2::types::TagSpecification {
    let tags = [tags, &[("redrill:name", name)]].concat();
    aws_sdk_ec2::types::TagSpecification::builder()
        .resource_type(of)
        .set_tags(Some(ec2_tags(&tags)))
        .build()
}

/// A deletion of several keys.
fn deletion(keys: &[&str]) -> aws_sdk_s3::types::Delete {
    let object =
        |key: &&str| aws_sdk_s3::types::ObjectIdentifier::builder().key(*key).build().unwrap();
    let objects = Some(keys.iter().map(object).collect());
    aws_sdk_s3::types::Delete::builder().set_objects(objects).build().unwrap()
}
