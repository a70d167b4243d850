//! Servers that answer as no store does.

use super::*;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;

/// The objects of the scene's run, on a server that answers so.
fn objects(scene: &Scene, server: impl HttpConnector + Clone + 'static) -> Objects {
    let credentials = Credentials::new("AK", "sk", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-northeast-3"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url("http://127.0.0.1:1")
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(server.clone())))
        .build();
    let url: StoreUrl = STORE.parse().unwrap();
    let policy = Arc::new(crate::aws::GuardPolicy::storing(&url.place()));
    let site = super::super::site_name();
    let place = crate::aws::Place { site, account: None, region: "ap-northeast-3".into() };
    let session = crate::aws::SiteSession::new(place, &config, policy);
    Objects::new(session, url, scene.run.clone(), scene.world.clock.clone(), Arc::new(|_| {}))
}

fn answer(body: SdkBody) -> HttpConnectorFuture {
    HttpConnectorFuture::ready(Ok(HttpResponse::new(http::StatusCode::OK.into(), body)))
}

/// Says yes to everything.
#[derive(Clone, Debug)]
struct Yes;

impl HttpConnector for Yes {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        answer(match request.uri().contains("?location") {
            true => SdkBody::from("<LocationConstraint>ap-northeast-3</LocationConstraint>"),
            false => SdkBody::empty(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_the_condition_is_refused() {
    let scene = Scene::open(&[]).await;
    let objects = objects(&scene, Yes);
    let owner = Owner::this_process(&scene.run, 0, scene.world.clock.now());
    let refused = begin(&objects, &scene.plan, &scene.folder("first"), owner).await.unwrap_err();
    assert!(refused.to_string().contains("does not honour conditional writes"), "{refused}");
}

/// The first answers end in the middle of the object.
#[derive(Clone, Debug)]
struct BreaksOff(Arc<AtomicUsize>);

impl HttpConnector for BreaksOff {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let spend = |left: usize| left.checked_sub(1);
        if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err() {
            return answer(SdkBody::from("all of it"));
        }
        let pieces = [Ok(Frame::data(Bytes::from_static(b"all"))), Err(io::Error::other("cut"))];
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        answer(SdkBody::from_body_1_x(body))
    }
}

#[tokio::test(start_paused = true)]
async fn regression_an_object_whose_connection_ends_in_the_middle_is_read_again() {
    let scene = Scene::open(&[]).await;
    let read = async |broken: usize| {
        let objects = objects(&scene, BreaksOff(Arc::new(AtomicUsize::new(broken))));
        objects.read("plan.json").await
    };
    assert_eq!(read(3).await.unwrap().as_deref(), Some(&b"all of it"[..]));
    let error = read(100).await.unwrap_err();
    assert!(error.to_string().contains("plan.json cannot be read"), "{error}");
}
