use super::operations::{OperationKind, kind_of};
use super::session::CallLog;
use crate::ids::SiteName;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What a run may do, shared by all its clients.
#[derive(Debug, Default)]
pub struct GuardPolicy {
    lost: Mutex<BTreeSet<SiteName>>,
    /// Set for the journal's store: the only place, as `bucket/prefix`, in which objects may be written.
    storing: Option<String>,
}

impl GuardPolicy {
    /// Reading, and writing objects below `place` (a bucket, with an optional prefix).
    pub fn storing(place: &str) -> Self {
        Self { storing: Some(place.to_owned()), ..Self::default() }
    }

    /// From now on every call to exactly these sites is refused, reads included.
    pub fn set_lost(&self, sites: &[SiteName]) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = sites.iter().cloned().collect();
    }

    /// Whether a change may be made as far as the journal's store is concerned, if this is its policy.
    fn permits_storing(&self, operation: &str, host: &str, path: &str) -> Result<(), Refused> {
        let Some(place) = &self.storing else { return Ok(()) };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // The bucket stands before the host or first in the path.
        let key = if host.starts_with(&format!("{bucket}.")) {
            path.strip_prefix('/')
        } else {
            path.strip_prefix(&format!("/{bucket}/"))
        };
        let below = |key: &str| prefix.is_empty() || key.starts_with(&format!("{prefix}/"));
        if operation == "s3:PutObject" && key.is_some_and(below) {
            return Ok(());
        }
        let (operation, path, place) = (operation.to_owned(), path.to_owned(), place.clone());
        Err(Refused::OutsideTheStore { operation, path, place })
    }

    fn is_lost(&self, site: &SiteName) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(site)
    }
}

/// Why the guard stopped a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The site is lost.
    #[error("{operation} at {site} was refused: the site is lost since the disaster was declared")]
    SiteLost {
        /// The operation, as in IAM.
        operation: String,
        /// The lost site.
        site: SiteName,
    },
    /// The table does not know the operation.
    #[error("{operation} was refused: the guard does not know this operation")]
    UnknownOperation {
        /// The operation, as in IAM.
        operation: String,
    },
    /// The journal's store may only be written below its own place.
    #[error("{operation} of {path} was refused: only objects below {place} are written here")]
    OutsideTheStore {
        /// The operation, as in IAM.
        operation: String,
        /// The path that would have been written.
        path: String,
        /// The store, as `bucket/prefix`.
        place: String,
    },
    /// It would change something at a real endpoint, for which this version has no guard yet.
    #[error(
        "{operation} at {host} was refused: this version changes things only in the sandbox and on loopback addresses"
    )]
    RealEndpoint {
        /// The operation, as in IAM.
        operation: String,
        /// The host that would have been called.
        host: String,
    },
}

/// Stands in every client, before anything is sent: see [`Refused`] for its rules.
#[derive(Clone)]
pub struct Guard {
    site: SiteName,
    policy: Arc<GuardPolicy>,
    calls: CallLog,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({})", self.site)
    }
}

/// Put on a request by the guard; the sealed HTTP client sends nothing without it.
#[derive(Clone, Debug)]
struct Cleared;

/// The operation under way, kept between the hooks.
#[derive(Clone, Debug)]
struct Judged {
    operation: String,
    kind: OperationKind,
}

impl Storable for Judged {
    type Storer = StoreReplace<Self>;
}

impl Guard {
    pub(super) fn new(site: SiteName, policy: Arc<GuardPolicy>, calls: CallLog) -> Self {
        Self { site, policy, calls }
    }

    fn judge(&self, service: &str, name: &str) -> Result<Judged, Refused> {
        let (prefix, kind) = kind_of(service, name);
        let operation = format!("{prefix}:{name}");
        let Some(kind) = kind else { return Err(Refused::UnknownOperation { operation }) };
        if self.policy.is_lost(&self.site) {
            return Err(Refused::SiteLost { operation, site: self.site.clone() });
        }
        Ok(Judged { operation, kind })
    }
}

/// Hosts at which changes are allowed: the sandbox and this machine.
fn is_harmless(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.ends_with(".sandbox.invalid")
        || host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "redrill guard"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let metadata =
            cfg.load::<Metadata>().ok_or("a call without an operation name is refused")?;
        let judged = self.judge(metadata.service(), metadata.name())?;
        cfg.interceptor_state().store_put(judged);
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let judged = cfg.load::<Judged>().ok_or("a call that was not judged is refused")?.clone();
        let uri: http::Uri = context.request().uri().parse()?;
        let host = uri.host().unwrap_or_default().to_owned();
        if judged.kind == OperationKind::Changes && !is_harmless(&host) {
            return Err(Refused::RealEndpoint { operation: judged.operation, host }.into());
        }
        if judged.kind == OperationKind::Changes {
            self.policy.permits_storing(&judged.operation, &host, uri.path())?;
        }
        context.request_mut().add_extension(Cleared);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(judged) = cfg.load::<Judged>() {
            let response = context.response();
            let id = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"]
                .iter()
                .find_map(|name| response.headers().get(*name));
            self.calls.note(&self.site, &judged.operation, response.status().is_success(), id);
        }
        Ok(())
    }
}

/// An HTTP client that sends only what the guard has cleared.
#[derive(Debug)]
pub(super) struct Sealed(SharedHttpClient);

impl Sealed {
    pub(super) fn new(open: SharedHttpClient) -> Self {
        Self(open)
    }
}

impl HttpClient for Sealed {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(SealedConnector(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct SealedConnector(SharedHttpConnector);

impl HttpConnector for SealedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.extension::<Cleared>().is_none() {
            let refused = ConnectorError::user("the call did not pass the guard".into());
            return HttpConnectorFuture::ready(Err(refused));
        }
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_harmless_only_in_the_sandbox_and_on_this_machine() {
        for host in
            ["rds.eu-west-1.sandbox.invalid", "127.0.0.1", "[::1]", "localhost", "127.9.9.9"]
        {
            assert!(is_harmless(host), "{host}");
        }
        for host in [
            "rds.ap-northeast-1.amazonaws.com",
            "10.0.0.1",
            "localhost.example.com",
            "",
            "sandbox.invalid.example.com",
        ] {
            assert!(!is_harmless(host), "{host}");
        }
    }

    #[test]
    fn the_journals_store_is_written_below_its_own_place_only() {
        let policy = GuardPolicy::storing("drills/redrill");
        let may = |operation: &str, host: &str, path: &str| {
            policy.permits_storing(operation, host, path).is_ok()
        };
        let host = "s3.eu-west-1.sandbox.invalid";
        assert!(may("s3:PutObject", host, "/drills/redrill/run/journal/0.jsonl"));
        assert!(may("s3:PutObject", "drills.s3.eu-west-1.sandbox.invalid", "/redrill/run/x"));
        for (operation, path) in [
            ("s3:PutObject", "/drills/other/x"),
            ("s3:PutObject", "/drills/redrill-other/x"),
            ("s3:PutObject", "/production/redrill/x"),
            ("s3:DeleteObject", "/drills/redrill/run/journal/0.jsonl"),
            ("rds:DeleteDBInstance", "/"),
        ] {
            assert!(!may(operation, host, path), "{operation} {path}");
        }
    }

    #[test]
    fn a_lost_site_and_an_unknown_operation_are_refused() {
        let policy = Arc::new(GuardPolicy::default());
        let guard = Guard::new(SiteName::new("primary"), policy.clone(), CallLog::default());
        assert!(guard.judge("RDS", "DescribeDBInstances").is_ok());
        assert!(matches!(
            guard.judge("RDS", "DeleteEverything"),
            Err(Refused::UnknownOperation { .. })
        ));
        policy.set_lost(&[SiteName::new("primary")]);
        assert!(matches!(guard.judge("RDS", "DescribeDBInstances"), Err(Refused::SiteLost { .. })));
    }
}
