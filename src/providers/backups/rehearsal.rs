//! For tests: a step at a site of a sandbox estate, whose events are kept in memory.

use crate::action::{Recorder, Registry, ResourceKind, RunFacts, StepContext, StepError};
use crate::aws::{CallLog, GuardPolicy, Place, RunLimits, SiteSession};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{Check, Event, Ledger, Outcome, ResourceKey};
use crate::outside::{self, Outside, OutsideError};
use crate::sandbox::{Estate, World};
use crate::time::Clock;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// The site at which the steps of these tests happen.
const SITE: &str = "dr";

/// Keeps events, and the keys of the ledger.
struct Memory {
    policy: Arc<GuardPolicy>,
    events: Mutex<Vec<Event>>,
    keys: Mutex<BTreeSet<ResourceKey>>,
}

impl Recorder for Memory {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        if let Event::ResourceIntended { key, .. } = &event {
            self.keys.lock().unwrap().insert(key.clone());
        }
        self.policy.on_disk(&event);
        self.events.lock().unwrap().push(event);
        Box::pin(async { Ok(()) })
    }

    fn holds(&self, key: &ResourceKey) -> bool {
        self.keys.lock().unwrap().contains(key)
    }

    fn progress(&self, _: &StepId, _: &str) {}
}

/// Nothing is outside.
struct Nowhere;

impl Outside for Nowhere {
    fn command<'a>(
        &'a self,
        _: &'a outside::CommandRequest,
    ) -> BoxFuture<'a, Result<outside::CommandReply, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn http<'a>(
        &'a self,
        _: &'a outside::HttpRequest,
    ) -> BoxFuture<'a, Result<outside::HttpReply, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn database<'a>(
        &'a self,
        _: &'a outside::DatabaseLogin,
    ) -> BoxFuture<'a, Result<Box<dyn outside::DatabaseSession>, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn approval<'a>(
        &'a self,
        _: &'a outside::ApprovalRequest,
    ) -> BoxFuture<'a, Result<crate::journal::Approval, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn environment(&self, _: &str) -> Result<outside::Secret, OutsideError> {
        Err(OutsideError::NoAnswer)
    }

    fn file(&self, _: &str, _: u64) -> Result<Vec<u8>, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
}

/// The time at which requests are signed; nobody looks at it.
#[derive(Debug)]
struct Epoch;

impl TimeSource for Epoch {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// A step in a sandbox.
pub(in crate::providers) struct Rehearsal {
    pub(in crate::providers) world: World,
    pub(in crate::providers) cx: StepContext,
    memory: Arc<Memory>,
    registry: Registry,
}

impl Rehearsal {
    /// A step at a place of an estate that is written in YAML; `faults` as on a command line.
    pub(in crate::providers) fn at(
        estate: &str,
        account: &str,
        region: &str,
        faults: &[&str],
    ) -> Self {
        let estate = Estate::read("estate.yaml", estate).unwrap();
        let clock = Clock::simulated(estate.now);
        let started = clock.now();
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let world = World::open(estate, clock.clone(), faults);
        let place = Place {
            site: SiteName::new(SITE),
            account: Some(account.to_owned()),
            region: region.to_owned(),
        };
        let config = config_of(&world, account, region);
        let limits = RunLimits {
            run: RunId::new("orders-0001-test"),
            write: vec![SiteName::new(SITE)],
            canaries: Vec::new(),
        };
        let policy = Arc::new(GuardPolicy::of_run(limits, Ledger::default()));
        let session = SiteSession::new(place, &config, policy.clone());
        let memory = Arc::new(Memory { policy, events: Mutex::default(), keys: Mutex::default() });
        let facts = RunFacts {
            run: RunId::new("orders-0001-test"),
            scenario: "orders".to_owned(),
            plan: Digest::ZERO,
            seed: 1,
            expires: started + chrono::TimeDelta::hours(12),
            started,
            operator: "operator".to_owned(),
            withhold_data: false,
            is_drill: true,
        };
        let cx = StepContext {
            facts: Arc::new(facts),
            step: StepId::new("restore"),
            at: Some(SiteName::new(SITE)),
            clock,
            outside: Arc::new(Nowhere),
            sessions: Arc::new(BTreeMap::from([(SiteName::new(SITE), session)])),
            recorder: memory.clone(),
            calls: CallLog::default(),
        };
        Self { world, cx, memory, registry: crate::providers::registry() }
    }

    /// The same step in mode `recovery`.
    pub(in crate::providers) fn in_recovery(mut self) -> Self {
        let facts = RunFacts { is_drill: false, ..(*self.cx.facts).clone() };
        self.cx.facts = Arc::new(facts);
        self
    }

    /// Runs an action.
    pub(in crate::providers) async fn run(
        &self,
        action: &str,
        input: Value,
    ) -> Result<Value, StepError> {
        self.registry.get(action).unwrap().run(&self.cx, input).await
    }

    /// The outcomes of the checks so far, by name.
    pub(in crate::providers) fn checks(&self) -> BTreeMap<String, Outcome> {
        self.all_checks().into_iter().map(|check| (check.name, check.outcome)).collect()
    }

    fn all_checks(&self) -> Vec<Check> {
        let checks = self.events().into_iter().filter_map(|event| match event {
            Event::Checked { check, .. } => Some(check),
            _ => None,
        });
        checks.collect()
    }

    /// The codes of the findings so far.
    pub(in crate::providers) fn findings(&self) -> Vec<String> {
        let codes = self.events().into_iter().filter_map(|event| match event {
            Event::Found { finding, .. } => Some(finding.code),
            _ => None,
        });
        codes.collect()
    }

    /// Everything that was recorded so far.
    pub(in crate::providers) fn events(&self) -> Vec<Event> {
        self.memory.events.lock().unwrap().clone()
    }

    /// What the ledger holds: key, and the id where it is known.
    pub(in crate::providers) fn ledger(&self) -> BTreeMap<ResourceKey, Option<String>> {
        let mut ledger = BTreeMap::new();
        for event in self.events() {
            match event {
                Event::ResourceIntended { key, .. } => _ = ledger.insert(key, None),
                Event::ResourceOwned { key, id } => _ = ledger.insert(key, Some(id)),
                _ => {}
            }
        }
        ledger
    }

    /// How a kind of resource is found and removed.
    pub(in crate::providers) fn kind(&self, kind: &str) -> Arc<dyn ResourceKind> {
        self.registry.resource_kind(kind).unwrap().clone()
    }
}

fn config_of(world: &World, account: &str, region: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(world.credentials(account)))
        .endpoint_url(crate::sandbox::endpoint("aws", region))
        .http_client(world.connector())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(Epoch))
        .retry_config(RetryConfig::disabled())
        .build()
}
