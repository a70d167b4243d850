//! What clients see, through the real SDK client under paused time.

mod buckets;
mod listings;
mod objects;
mod replication;
mod world;

use super::*;
use crate::time::Clock;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{AsyncSleep, Credentials, Region, SharedAsyncSleep, Sleep};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{
    BucketVersioningStatus, Delete, EncodingType, ObjectIdentifier, ReplicationStatus,
    VersioningConfiguration,
};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use std::path::Path;
use std::time::{Duration, SystemTime};

const OWNER: &str = "111111111111";
const DR: &str = "222222222222";
const TOKYO: &str = "ap-northeast-1";
const OSAKA: &str = "ap-northeast-3";

#[derive(Clone, Debug)]
struct Wire(S3State);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let state = self.0.clone();
        HttpConnectorFuture::new(async move { Ok(state.handle(request).await) })
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

impl AsyncSleep for VirtualTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.0.clone();
        Sleep::new(async move { clock.sleep(duration).await })
    }
}

struct Sandbox {
    state: S3State,
    clock: Clock,
}

impl Sandbox {
    /// Opens the YAML list of buckets; those whose name ends in `-dr` are in the second account and region.
    fn open(yaml: &str) -> Self {
        Self::try_open(yaml).unwrap()
    }

    fn try_open(yaml: &str) -> crate::error::Result<Self> {
        let buckets: Vec<BucketEstate> = serde_saphyr::from_str(yaml).unwrap();
        let place = |bucket: BucketEstate| {
            let (account, region) =
                if bucket.name.ends_with("-dr") { (DR, OSAKA) } else { (OWNER, TOKYO) };
            PlacedBucket { account: account.to_owned(), region: region.to_owned(), bucket }
        };
        let placed: Vec<PlacedBucket> = buckets.into_iter().map(place).collect();
        let clock = Clock::simulated("2026-11-22T00:00:00Z".parse().unwrap());
        let state = S3State::open(&placed, Path::new("."), clock.clone(), 7)?;
        Ok(Self { state, clock })
    }

    fn client(&self, account: &str, region: &str) -> Client {
        let key = format!("SANDBOX{account}");
        self.client_with(Credentials::new(key, "sandbox", None, None, "test"), region)
    }

    fn client_with(&self, credentials: Credentials, region: &str) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .credentials_provider(credentials)
            .region(Region::new(region.to_owned()))
            .endpoint_url(format!("https://s3.{region}.sandbox.invalid"))
            .http_client(Wire(self.state.clone()))
            .retry_config(RetryConfig::disabled())
            .time_source(SharedTimeSource::new(VirtualTime(self.clock.clone())))
            .sleep_impl(SharedAsyncSleep::new(VirtualTime(self.clock.clone())))
            .build();
        Client::from_conf(config)
    }

    fn source(&self) -> Client {
        self.client(OWNER, TOKYO)
    }

    fn replica(&self) -> Client {
        self.client(DR, OSAKA)
    }

    async fn wait(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }
}

const PAIR: &str = "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: orders-dr}, lag: 5m, delete_markers: true, failing: [bad/]}]
- {name: orders-dr, versioning: enabled}
";

fn body(text: &str) -> ByteStream {
    ByteStream::from(text.as_bytes().to_vec())
}

/// A body whose length is not known to the client's signer: it is sent aws-chunked with a checksum in the trailer.
fn streamed(bytes: Vec<u8>) -> ByteStream {
    let chunks: Vec<Vec<u8>> = bytes.chunks(10_000).map(<[u8]>::to_vec).collect();
    let frames = chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(http_body_frame(chunk)));
    let stream = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    ByteStream::new(SdkBody::from_body_1_x(stream))
}

fn http_body_frame(chunk: Vec<u8>) -> hyper::body::Frame<bytes::Bytes> {
    hyper::body::Frame::data(chunk.into())
}

async fn put(client: &Client, bucket: &str, key: &str, text: &str) -> String {
    let put = client.put_object().bucket(bucket).key(key).body(body(text)).send().await.unwrap();
    put.version_id().unwrap_or("null").to_owned()
}

async fn get(client: &Client, bucket: &str, key: &str) -> String {
    let got = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    String::from_utf8(got.body.collect().await.unwrap().to_vec()).unwrap()
}

async fn status(client: &Client, bucket: &str, key: &str) -> Option<ReplicationStatus> {
    let head = client.head_object().bucket(bucket).key(key).send().await.unwrap();
    head.replication_status().cloned()
}

async fn exists(client: &Client, bucket: &str, key: &str) -> bool {
    client.head_object().bucket(bucket).key(key).send().await.is_ok()
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> (String, u16) {
    let error = result.unwrap_err();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (error.code().unwrap_or("").to_owned(), status)
}
