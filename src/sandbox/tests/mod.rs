//! The sandbox as the real SDK clients see it.

mod alarms;
mod aurora;
mod ec2;
mod faults;
mod other_services;
mod rds;
mod rds_errors;
mod rds_point_in_time;
mod requests;
mod sql;

use super::{Estate, World, endpoint};
use crate::time::Clock;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use std::time::{Duration, SystemTime};

pub(super) const ESTATE: &str = include_str!("estate.yaml");
pub(super) const PRIMARY: (&str, &str) = ("111111111111", "ap-northeast-1");
pub(super) const DR: (&str, &str) = ("222222222222", "ap-northeast-3");

/// A world and clients for it.
pub(super) struct Rig {
    pub(super) world: World,
    pub(super) clock: Clock,
}

#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

impl Rig {
    pub(super) fn open() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(faults: &[&str]) -> Self {
        Self::of(ESTATE, faults)
    }

    pub(super) fn of(text: &str, faults: &[&str]) -> Self {
        let estate = Estate::read("estate.yaml", text).unwrap();
        let clock = Clock::simulated(estate.now);
        let faults = faults.iter().map(|f| f.parse().unwrap()).collect();
        Self { world: World::open(estate, clock.clone(), faults), clock }
    }

    pub(super) fn config(&self, account: &str, region: &str) -> SdkConfig {
        let credentials = self.world.credentials(account);
        self.config_with(SharedCredentialsProvider::new(credentials), region)
    }

    pub(super) fn config_with(
        &self,
        credentials: SharedCredentialsProvider,
        region: &str,
    ) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(aws_sdk_rds::config::BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials)
            .http_client(self.world.connector())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(VirtualTime(self.clock.clone())))
            .retry_config(RetryConfig::disabled())
            .build()
    }

    pub(super) fn rds(&self, place: (&str, &str)) -> aws_sdk_rds::Client {
        let config = self.config(place.0, place.1);
        let builder = aws_sdk_rds::config::Builder::from(&config);
        aws_sdk_rds::Client::from_conf(builder.endpoint_url(endpoint("rds", place.1)).build())
    }

    pub(super) fn ec2(&self, place: (&str, &str)) -> aws_sdk_ec2::Client {
        let config = self.config(place.0, place.1);
        let builder = aws_sdk_ec2::config::Builder::from(&config);
        aws_sdk_ec2::Client::from_conf(builder.endpoint_url(endpoint("ec2", place.1)).build())
    }

    pub(super) async fn wait(&self, duration: &str) {
        let duration: crate::time::HumanDuration = duration.parse().unwrap();
        self.clock.sleep(duration.0).await;
    }

    pub(super) async fn until(&self, time: &str) {
        let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
        let rest = (time - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
        self.clock.sleep(rest).await;
    }
}

/// The code of the error that a service answered with.
pub(super) fn code<
    T: std::fmt::Debug,
    E: ProvideErrorMetadata + std::fmt::Debug,
    R: std::fmt::Debug,
>(
    result: Result<T, SdkError<E, R>>,
) -> String {
    match result.unwrap_err() {
        SdkError::ServiceError(e) => {
            let meta = e.err().meta();
            assert!(meta.message().is_some_and(|m| !m.is_empty()), "{meta:?}");
            meta.code().unwrap().to_owned()
        }
        other => panic!("not an answer: {other:?}"),
    }
}

/// A time of the SDK as text.
pub(super) fn text(time: Option<&aws_smithy_types::DateTime>) -> String {
    let time = time.map(|t| t.fmt(aws_smithy_types::date_time::Format::DateTime).unwrap());
    time.unwrap_or_default()
}
