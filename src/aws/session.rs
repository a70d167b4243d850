use super::budget::RetryBudget;
use super::credentials::{RenewingCredentials, SiteCredentials};
use super::guard::{Guard, Sealed};
use super::hosts::Hosts;
use super::origin::Marking;
use super::policy::GuardPolicy;
use crate::ids::SiteName;
use crate::journal::CallSeen;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_types::SdkConfig;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    renewing: Option<RenewingCredentials>,
    shared: Arc<Shared>,
}

/// What all sessions of one site share during a run.
#[derive(Default)]
struct Shared {
    credentials: SiteCredentials,
    budget: RetryBudget,
    kept: Mutex<BTreeMap<&'static str, Arc<dyn Any + Send + Sync>>>,
}

impl SiteSession {
    /// Seals the HTTP client of `config`, which must be complete: region, credentials, HTTP client, sleep and time.
    /// The SDK's own retries must be off in it; retrying is done, and recorded, by the step. With an endpoint in it, calls may
    /// go only there; without one, only to AWS.
    pub fn new(place: Place, config: &SdkConfig, policy: Arc<GuardPolicy>) -> Self {
        let mut builder = config.clone().into_builder();
        if let Some(open) = config.http_client() {
            let marking = Marking { site: place.site.clone(), inner: open };
            let sealed = Sealed::new(SharedHttpClient::new(marking));
            builder = builder.http_client(SharedHttpClient::new(sealed));
        }
        let (hosts, config, calls) = (Hosts::of(config), builder.build(), CallLog::default());
        Self { place, config, hosts, policy, calls, renewing: None, shared: Arc::default() }
    }

    /// Says how the credentials in the configuration are fetched anew.
    #[must_use]
    pub fn renewing(mut self, credentials: RenewingCredentials) -> Self {
        self.renewing = Some(credentials);
        self
    }

    /// From the next call on, credentials are those that files and environment give then.
    pub fn renew_credentials(&self) {
        if let Some(renewing) = &self.renewing {
            renewing.forget();
        }
    }

    /// From now on only credentials of this account are used at the site, whatever is renewed.
    pub fn pin_account(&self, account: &str) {
        if let Some(renewing) = &self.renewing {
            renewing.pin_account(account);
        }
    }

    /// What is known of the site's credentials.
    pub fn credentials(&self) -> &SiteCredentials {
        &self.shared.credentials
    }

    /// What is left of the site's retries.
    pub fn budget(&self) -> &RetryBudget {
        &self.shared.budget
    }

    /// Something of which the site has one in a run, made when it is first asked for. `None` when another type is kept
    /// under that name.
    pub fn one_of<T: Any + Send + Sync + Default>(&self, name: &'static str) -> Option<Arc<T>> {
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.entry(name).or_insert_with(|| Arc::new(T::default()));
        one.clone().downcast().ok()
    }

    /// The same session, its calls noted in `calls`.
    #[must_use]
    pub fn noting(&self, calls: CallLog) -> Self {
        Self { calls, ..self.clone() }
    }

    /// Whether the site is lost: nothing there may be asked any more, services apart from AWS included.
    pub fn is_lost(&self) -> bool {
        self.policy.is_lost(&self.place.site)
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
        let calls = CallLog { heard_by: Some(self.shared.clone()), ..self.calls.clone() };
        let (place, hosts) = (self.place.clone(), self.hosts.clone());
        let guard = Guard::new(place, hosts, self.policy.clone(), calls);
        SharedInterceptor::permanent(guard)
    }
}

/// The calls that a step made, by site and operation.
#[derive(Clone, Default)]
pub struct CallLog {
    seen: Arc<Mutex<BTreeMap<(SiteName, String), CallSeen>>>,
    /// Since when, on the run's clock, nothing was answered although something was asked.
    unanswered: Arc<Mutex<Option<Duration>>>,
    /// What is waited for, as it was seen last.
    last_look: Arc<Mutex<Option<LastLook>>>,
    /// The site's own book-keeping: that its credentials work, and that its service answers.
    heard_by: Option<Arc<Shared>>,
}

/// What is waited for, as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastLook {
    /// What is waited for.
    pub(crate) what: String,
    /// The state in which it was seen; `None` when no look was answered yet.
    pub(crate) state: Option<String>,
    /// Since when, on the run's clock, looks were only answered by errors.
    pub(crate) blind_since: Option<Duration>,
}

impl CallLog {
    /// A look has shown this state.
    pub(crate) fn saw(&self, what: &str, state: &str) {
        let look =
            LastLook { what: what.to_owned(), state: Some(state.to_owned()), blind_since: None };
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }

    /// A look has shown nothing, at this time of the run's clock.
    pub(crate) fn saw_nothing(&self, what: &str, now: Duration) {
        let mut look = self.last_look.lock().unwrap_or_else(PoisonError::into_inner);
        let before = look.take().filter(|look| look.what == what);
        let state = before.as_ref().and_then(|look| look.state.clone());
        let blind_since = before.and_then(|look| look.blind_since).or(Some(now));
        *look = Some(LastLook { what: what.to_owned(), state, blind_since });
    }

    /// The wait is over.
    pub(crate) fn saw_the_end(&self) {
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is waited for now, as it was seen last.
    pub(crate) fn last_look(&self) -> Option<LastLook> {
        self.last_look.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(
        &self,
        site: &SiteName,
        operation: &str,
        ok: bool,
        request_id: Option<&str>,
    ) {
        if let Some(shared) = self.heard_by.as_ref().filter(|_| ok) {
            shared.credentials.note_success();
            shared.budget.reward(operation);
        }
        self.answered();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Something is asked at this time of the run's clock.
    pub(crate) fn asks(&self, now: Duration) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.get_or_insert(now);
    }

    /// What was asked last was answered, to this step or to another that asked for both.
    pub(crate) fn answered(&self) {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Since when nothing was answered, on the run's clock; `None` when the last call was.
    pub(crate) fn unanswered_since(&self) -> Option<Duration> {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a call to the site was answered.
    pub fn has_called(&self, site: &SiteName) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.keys().any(|(called, _)| called == site)
    }

    /// What was noted, ordered by site and operation.
    pub fn seen(&self) -> Vec<CallSeen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.values().cloned().collect()
    }
}
