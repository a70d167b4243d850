use super::hosts::Hosts;
use super::operations::{OperationKind, kind_of};
use super::policy::GuardPolicy;
use super::refused::Refused;
use super::rules::Meaning;
use super::session::{CallLog, Place};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextMut, Input,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_types::region::Region;
use std::sync::Arc;

/// Stands in every client, before anything is sent: see [`Refused`] for its rules.
///
/// What is asked is judged once, before the input is serialised, with everything that others may have set in it; where it goes
/// is judged at every attempt, when the request is about to leave.
#[derive(Clone)]
pub struct Guard {
    place: Place,
    hosts: Hosts,
    policy: Arc<GuardPolicy>,
    calls: CallLog,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({})", self.place.site)
    }
}

/// Put on a request by the guard; the sealed HTTP client sends nothing without it.
#[derive(Clone, Debug)]
struct Cleared;

/// The operation under way, kept between the hooks.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// IAM prefix of the service.
    service: String,
    /// As in IAM.
    operation: String,
}

impl Storable for Judged {
    type Storer = StoreReplace<Self>;
}

impl Guard {
    pub(super) fn new(
        place: Place,
        hosts: Hosts,
        policy: Arc<GuardPolicy>,
        calls: CallLog,
    ) -> Self {
        Self { place, hosts, policy, calls }
    }

    /// Whether this may be asked here: `region` is the one in which the call takes effect.
    pub(super) fn judge(
        &self,
        service: &str,
        name: &str,
        region: Option<&str>,
        input: &Input,
    ) -> Result<Judged, Refused> {
        let (service, kind) = kind_of(service, name);
        let operation = format!("{service}:{name}");
        let Some(kind) = kind else { return Err(Refused::UnknownOperation { operation }) };
        let site = self.place.site.clone();
        self.not_lost(&operation)?;
        if region != Some(self.place.region.as_str()) {
            let found = region.unwrap_or("no region").to_owned();
            let wanted = self.place.region.clone();
            return Err(Refused::OtherRegion { operation, site, wanted, found });
        }
        if let OperationKind::Changes(rule) = kind {
            match (rule.read)(input) {
                Ok(Meaning::Asks) => {}
                Ok(Meaning::Changes(claims)) => self.policy.permit(&operation, &site, &claims)?,
                Err(unclear) => return Err(Refused::Unclear { operation, site, why: unclear.0 }),
            }
        }
        Ok(Judged { service, operation })
    }

    fn not_lost(&self, operation: &str) -> Result<(), Refused> {
        let site = &self.place.site;
        match self.policy.is_lost(site) {
            false => Ok(()),
            true => Err(Refused::SiteLost { operation: operation.to_owned(), site: site.clone() }),
        }
    }

    /// Whether a judged call may go to this address, now.
    fn may_go(&self, judged: &Judged, address: &str) -> Result<(), Refused> {
        let operation = judged.operation.clone();
        self.not_lost(&operation)?;
        let uri = address.parse::<http::Uri>().ok();
        let admitted = uri
            .as_ref()
            .is_some_and(|uri| self.hosts.admit(&judged.service, &self.place.region, uri));
        if admitted {
            return Ok(());
        }
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or("an address without a host");
        let (host, world) = (host.to_owned(), self.hosts.to_string());
        Err(Refused::OtherHost { operation, site: self.place.site.clone(), host, world })
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "redrill guard"
    }

    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let metadata =
            cfg.load::<Metadata>().ok_or("a call without an operation name is refused")?;
        let region = cfg.load::<Region>().map(Region::as_ref);
        let judged = self.judge(metadata.service(), metadata.name(), region, context.input())?;
        cfg.interceptor_state().store_put(judged);
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let judged = cfg.load::<Judged>().ok_or("a call that was not judged is refused")?;
        self.may_go(judged, context.request().uri())?;
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
            self.calls.note(
                &self.place.site,
                &judged.operation,
                response.status().is_success(),
                id,
            );
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
    use crate::aws::OPERATIONS;
    use crate::ids::SiteName;

    fn guard(policy: &Arc<GuardPolicy>) -> Guard {
        let site = SiteName::new("primary");
        let place = Place { site, account: None, region: "eu-west-1".to_owned() };
        Guard::new(place, Hosts::Aws, policy.clone(), CallLog::default())
    }

    #[test]
    fn a_lost_site_an_unknown_operation_and_another_region_are_refused() {
        let policy = Arc::new(GuardPolicy::read_only());
        let guard = guard(&policy);
        let (here, nothing) = (Some("eu-west-1"), Input::erase(()));
        let judge = |name, region| guard.judge("RDS", name, region, &nothing);
        assert!(judge("DescribeDBInstances", here).is_ok());
        let unknown = judge("DeleteEverything", here);
        assert!(matches!(unknown, Err(Refused::UnknownOperation { .. })));
        for elsewhere in [Some("eu-west-2"), Some("EU-WEST-1"), Some(""), None] {
            let refused = judge("DescribeDBInstances", elsewhere);
            assert!(matches!(refused, Err(Refused::OtherRegion { .. })), "{elsewhere:?}");
        }
        let judged = judge("DescribeDBInstances", here).unwrap();
        let address = "https://rds.eu-west-1.amazonaws.com/";
        assert_eq!(guard.may_go(&judged, address), Ok(()));
        policy.set_lost(&[SiteName::new("primary")]);
        let lost = judge("DescribeDBInstances", here);
        assert!(matches!(lost, Err(Refused::SiteLost { .. })));
        // A call that was judged before the loss does not leave after it.
        assert!(matches!(guard.may_go(&judged, address), Err(Refused::SiteLost { .. })));
    }

    #[test]
    fn an_input_of_another_type_is_refused_by_every_operation_that_changes_something() {
        let guard = guard(&Arc::new(GuardPolicy::read_only()));
        for (_, service, operations) in OPERATIONS {
            for (name, kind) in *operations {
                let judged = guard.judge(service, name, Some("eu-west-1"), &Input::erase("other"));
                match kind {
                    OperationKind::Reads => assert!(judged.is_ok(), "{name}"),
                    OperationKind::Changes(_) => {
                        assert!(matches!(judged, Err(Refused::Unclear { .. })), "{name}");
                    }
                }
            }
        }
    }
}
