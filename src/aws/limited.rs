use crate::limits;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// An HTTP client whose answers end at a limit: the SDK holds them in memory, and who answers is not always AWS. Only the
/// content of objects, which is not held, may be longer.
pub fn limited(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(LimitedClient(client))
}

#[derive(Debug)]
struct LimitedClient(SharedHttpClient);

impl HttpClient for LimitedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(LimitedConnector(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct LimitedConnector(SharedHttpConnector);

impl HttpConnector for LimitedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let most = most_of(request.uri());
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| SdkBody::from_body_1_x(Limited::new(body, most))))
        })
    }
}

/// The SDK names the operation in the address of S3's: that is our own word, not that of who answers.
fn most_of(uri: &str) -> usize {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|part| part == "x-id=GetObject") {
        usize::try_from(limits::ETCD_BYTES).unwrap_or(usize::MAX)
    } else {
        limits::AWS_ANSWER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_content_of_objects_may_be_long() {
        assert!(
            most_of("https://b.s3.eu-west-1.amazonaws.com/k?versionId=1&x-id=GetObject") > 1 << 30
        );
        for short in [
            "https://rds.eu-west-1.amazonaws.com/",
            "https://b.s3.amazonaws.com/x-id=GetObject?list",
        ] {
            assert_eq!(most_of(short), limits::AWS_ANSWER_BYTES);
        }
    }
}
