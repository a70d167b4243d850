//! For tests of providers: what a step stands on. Events in memory, and sessions in a sandbox.

use crate::action::{Recorder, RunFacts, StepError};
use crate::aws::{GuardPolicy, Place, SiteSession};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{Check, Event, RecoveryPoint, ResourceKey};
use crate::sandbox::{World, endpoint};
use crate::time::Clock;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_types::retry::RetryConfig;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// A journal in memory, which the guard hears of as if it were on disk.
pub(super) struct Memory {
    events: Mutex<Vec<Event>>,
    declared: Mutex<Option<DateTime<Utc>>>,
    policy: Arc<GuardPolicy>,
}

impl Memory {
    pub(super) fn new(policy: Arc<GuardPolicy>) -> Self {
        Self { events: Mutex::default(), declared: Mutex::default(), policy }
    }

    /// The disaster was declared at this time (UTC).
    pub(super) fn declare(&self, at: DateTime<Utc>) {
        *self.declared.lock().unwrap() = Some(at);
    }

    /// Everything that was recorded so far.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    fn collect<T>(&self, pick: impl FnMut(Event) -> Option<T>) -> Vec<T> {
        self.events().into_iter().filter_map(pick).collect()
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        self.collect(|event| match event {
            Event::Checked { check, .. } => Some(check),
            _ => None,
        })
    }

    /// The codes of the findings.
    pub(super) fn findings(&self) -> Vec<String> {
        self.collect(|event| match event {
            Event::Found { finding, .. } => Some(finding.code),
            _ => None,
        })
    }

    /// What was intended, in that order.
    pub(super) fn intended(&self) -> Vec<ResourceKey> {
        self.collect(|event| match event {
            Event::ResourceIntended { key, .. } => Some(key),
            _ => None,
        })
    }
}

impl Recorder for Memory {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        self.policy.on_disk(&event);
        self.events.lock().unwrap().push(event);
        Box::pin(std::future::ready(Ok(())))
    }

    fn holds(&self, wanted: &ResourceKey) -> bool {
        self.intended().contains(wanted)
    }

    fn declared(&self) -> Option<DateTime<Utc>> {
        *self.declared.lock().unwrap()
    }

    fn told_point(&self, wanted: &StepId) -> Option<RecoveryPoint> {
        let told = |event| match event {
            Event::RecoveryPointSeen { step, point } if step == *wanted => Some(point),
            _ => None,
        };
        self.collect(told).pop()
    }

    fn progress(&self, _: &StepId, _: &str) {}
}

/// A drill's facts.
pub(super) fn facts(run: &str, scenario: &str, clock: &Clock) -> RunFacts {
    let started = clock.now();
    RunFacts {
        run: RunId::new(run),
        scenario: scenario.to_owned(),
        plan: Digest::of(b"plan"),
        seed: 7,
        expires: started + chrono::TimeDelta::hours(12),
        started,
        operators: vec!["operator".to_owned()],
        withhold_data: false,
        is_drill: true,
        expected: Default::default(),
    }
}

#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// A site of a world: its name, account and region.
pub(super) fn session(
    world: &World,
    clock: &Clock,
    policy: &Arc<GuardPolicy>,
    (site, account, region): (&str, &str, &str),
) -> (SiteName, SiteSession) {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(world.credentials(account)))
        .endpoint_url(endpoint("s3", region))
        .http_client(world.connector())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(VirtualTime(clock.clone())))
        .retry_config(RetryConfig::disabled())
        .build();
    let place = Place {
        site: SiteName::new(site),
        account: Some(account.to_owned()),
        region: region.to_owned(),
    };
    (place.site.clone(), SiteSession::new(place, &config, policy.clone()))
}
