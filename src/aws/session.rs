use super::guard::{Guard, Sealed};
use super::hosts::Hosts;
use super::policy::GuardPolicy;
use crate::ids::SiteName;
use crate::journal::CallSeen;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_types::SdkConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A site, as far as AWS is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name in the scenario.
    pub site: SiteName,
    /// The account that must answer there, if the scenario names one.
    pub account: Option<String>,
    /// The region.
    pub region: String,
}

/// Credentials, region and transport for one site. Clients are made from it with [`client!`](crate::client).
#[derive(Clone)]
pub struct SiteSession {
    place: Place,
    config: SdkConfig,
    hosts: Hosts,
    policy: Arc<GuardPolicy>,
    calls: CallLog,
}

impl SiteSession {
    /// Seals the HTTP client of `config`, which must be complete: region, credentials, HTTP client, sleep and time.
    /// The SDK's own retries must be off in it; retrying is done, and recorded, by the step. With an endpoint in it, calls may
    /// go only there; without one, only to AWS.
    pub fn new(place: Place, config: &SdkConfig, policy: Arc<GuardPolicy>) -> Self {
        let mut builder = config.clone().into_builder();
        if let Some(open) = config.http_client() {
            builder = builder.http_client(SharedHttpClient::new(Sealed::new(open)));
        }
        let hosts = Hosts::of(config);
        Self { place, config: builder.build(), hosts, policy, calls: CallLog::default() }
    }

    /// The same session, its calls noted in `calls`.
    #[must_use]
    pub fn noting(&self, calls: CallLog) -> Self {
        Self { calls, ..self.clone() }
    }

    /// The same session under another policy: what may be changed is not the same while looking and while removing.
    #[must_use]
    pub fn under(&self, policy: Arc<GuardPolicy>) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Which site this is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// For [`client!`](crate::client): the SDK's configuration, sealed.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// For [`client!`](crate::client): the interceptor, permanent, so that no other can switch it off.
    pub fn guard(&self) -> SharedInterceptor {
        let (place, hosts) = (self.place.clone(), self.hosts.clone());
        let guard = Guard::new(place, hosts, self.policy.clone(), self.calls.clone());
        SharedInterceptor::permanent(guard)
    }
}

/// The calls that a step made, by site and operation.
#[derive(Clone, Default)]
pub struct CallLog(Arc<Mutex<BTreeMap<(SiteName, String), CallSeen>>>);

impl CallLog {
    pub(super) fn note(
        &self,
        site: &SiteName,
        operation: &str,
        ok: bool,
        request_id: Option<&str>,
    ) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = seen.entry((site.clone(), operation.to_owned())).or_insert_with(|| CallSeen {
            operation: operation.to_owned(),
            site: site.clone(),
            count: 0,
            failed: 0,
            last_request_id: None,
        });
        call.count += 1;
        call.failed += u32::from(!ok);
        if let Some(id) = request_id {
            call.last_request_id = Some(id.to_owned());
        }
    }

    /// What was noted, ordered by site and operation.
    pub fn seen(&self) -> Vec<CallSeen> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.values().cloned().collect()
    }
}
