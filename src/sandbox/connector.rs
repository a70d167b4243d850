//! The way of the SDK's requests into the world: an HTTP client without a network.

use super::wire::{ConnectionFailure, Reply};
use super::world::World;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::retry::ErrorKind;

/// Hands each request to the world and turns its reply into what an HTTP client would say.
#[derive(Clone, Debug)]
pub(crate) struct Connector(pub(crate) World);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            match world.handle(request).await {
                Reply::Response(response) => Ok(response),
                Reply::Unreachable(ConnectionFailure::Timeout) => {
                    Err(ConnectorError::timeout("the simulated host did not answer".into()))
                }
                Reply::Unreachable(ConnectionFailure::Reset) => {
                    Err(ConnectorError::io("the simulated connection was reset".into()))
                }
                // As the SDK's client does it (`to_connector_error` of aws-smithy-http-client).
                Reply::Unreachable(ConnectionFailure::Closed) => {
                    let text = "the simulated connection was closed before the answer";
                    Err(ConnectorError::other(text.into(), Some(ErrorKind::TransientError)))
                }
            }
        })
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
