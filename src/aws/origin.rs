//! Marks every answer with the site that it came from, so that an error can be told to the right site's credentials and
//! budget. Decides nothing.

use crate::ids::SiteName;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// On an answer: the site that it came from.
#[derive(Clone, Debug)]
pub(super) struct FromSite(pub(super) SiteName);

/// An HTTP client that marks what it brings back.
#[derive(Debug)]
pub(super) struct Marking {
    pub(super) site: SiteName,
    pub(super) inner: SharedHttpClient,
}

impl HttpClient for Marking {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(MarkingConnector { site: self.site.clone(), inner })
    }
}

#[derive(Debug)]
struct MarkingConnector {
    site: SiteName,
    inner: SharedHttpConnector,
}

impl HttpConnector for MarkingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (site, sent) = (self.site.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            let mut answer = sent.await?;
            answer.add_extension(FromSite(site));
            Ok(answer)
        })
    }
}
