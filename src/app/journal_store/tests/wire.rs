//! Servers that answer as no store does.

use super::*;
use crate::outside::Secret;
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

const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE/token+that=is//long";

/// The objects of the scene's run, on a server that answers so.
fn objects(scene: &Scene, server: impl HttpConnector + Clone + 'static) -> Objects {
    let token = Some(TOKEN.to_owned());
    let credentials = Credentials::new("AK", "sk", token, None, "test");
    let secrets = Secrets::default();
    secrets.learn(&Secret::new(TOKEN));
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
    let (run, clock) = (scene.run.clone(), scene.world.clock.clone());
    Objects::new(session, secrets, url, run, clock, Arc::new(|_| {}))
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

/// Repeats the session token, whatever is asked.
#[derive(Clone, Debug)]
struct Repeats;

impl HttpConnector for Repeats {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let token = request.headers().get("x-amz-security-token").unwrap_or("none");
        let error = format!("<Code>AccessDenied</Code><Message>token {token} is bad</Message>");
        let body = SdkBody::from(format!("<Error>{error}</Error>"));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(http::StatusCode::FORBIDDEN.into(), body)))
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_store_that_repeats_the_session_token_does_not_get_it_into_an_error() {
    let scene = Scene::open(&[]).await;
    let objects = objects(&scene, Repeats);
    let errors = [
        objects.region().await.unwrap_err(),
        objects.create("plan.json", b"{}").await.unwrap_err(),
        objects.read("plan.json").await.unwrap_err(),
        objects.list("journal/").await.unwrap_err(),
        objects.folders().await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("token <secret> is bad"), "{error}");
    }
    let failure = objects.try_create("self-test/1", b"x").await.unwrap_err();
    assert!(failure.message.contains("token <secret> is bad"), "{failure:?}");
}
