//! What clients see, through the real SDK client under paused time.

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

#[tokio::test(start_paused = true)]
async fn every_write_makes_a_version_and_a_delete_makes_a_marker() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let first = put(&s3, "orders", "a", "one").await;
    sandbox.wait(10).await;
    let second = put(&s3, "orders", "a", "two").await;
    assert_eq!(get(&s3, "orders", "a").await, "two");
    let old = s3.get_object().bucket("orders").key("a").version_id(&first).send().await.unwrap();
    assert_eq!(old.e_tag(), Some("\"f97c5d29941bfb1b2fdab0874906ab82\"")); // md5 of "one"
    assert_eq!(&old.body.collect().await.unwrap().to_vec(), b"one");

    let deleted = s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id().unwrap().to_owned();
    assert_eq!(
        code(s3.get_object().bucket("orders").key("a").send().await),
        ("NoSuchKey".to_owned(), 404)
    );
    let read_marker = s3.get_object().bucket("orders").key("a").version_id(&marker).send().await;
    assert_eq!(code(read_marker), ("MethodNotAllowed".to_owned(), 405));

    let listed = s3.list_object_versions().bucket("orders").send().await.unwrap();
    let ids: Vec<_> = listed.versions().iter().map(|v| v.version_id().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert_eq!(listed.delete_markers()[0].is_latest(), Some(true));
    assert_eq!(listed.versions()[0].is_latest(), Some(false));
    assert_eq!(listed.versions()[1].last_modified().unwrap().secs(), 1_795_305_600);
    assert_eq!(listed.versions()[0].last_modified().unwrap().secs(), 1_795_305_610);

    s3.delete_object().bucket("orders").key("a").version_id(&marker).send().await.unwrap();
    assert_eq!(get(&s3, "orders", "a").await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_versioning_replaces_and_removes() {
    let sandbox = Sandbox::open("[{name: plain}]");
    let s3 = sandbox.source();
    assert_eq!(put(&s3, "plain", "a", "one").await, "null");
    put(&s3, "plain", "a", "two").await;
    let listed = s3.list_object_versions().bucket("plain").send().await.unwrap();
    assert_eq!(listed.versions().len(), 1);
    assert_eq!(listed.versions()[0].version_id(), Some("null"));
    s3.delete_object().bucket("plain").key("a").send().await.unwrap();
    assert!(sandbox.state.inventory().keys().eq(["s3/plain"]));
}

#[tokio::test(start_paused = true)]
async fn a_replica_appears_exactly_after_the_lag_with_the_same_version_id() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    let id = put(&s3, "orders", "a", "hello").await;
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(299).await;
    assert!(!exists(&dr, "orders-dr", "a").await);
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(1).await;
    let replica = dr.head_object().bucket("orders-dr").key("a").send().await.unwrap();
    assert_eq!(replica.version_id(), Some(id.as_str()));
    assert_eq!(replica.replication_status(), Some(&ReplicationStatus::Replica));
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Completed));
    let source = s3.head_object().bucket("orders").key("a").send().await.unwrap();
    assert_eq!(replica.e_tag(), source.e_tag());
    assert_eq!(replica.last_modified(), source.last_modified());
}

#[tokio::test(start_paused = true)]
async fn delete_markers_follow_the_rule_and_version_deletes_are_never_replicated() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    put(&s3, "orders", "a", "hello").await;
    let kept = put(&s3, "orders", "b", "hello").await;
    sandbox.wait(300).await;
    s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    s3.delete_object().bucket("orders").key("b").version_id(&kept).send().await.unwrap();
    assert!(exists(&dr, "orders-dr", "a").await);
    sandbox.wait(300).await;
    assert!(!exists(&dr, "orders-dr", "a").await);
    assert!(!exists(&s3, "orders", "b").await);
    assert!(exists(&dr, "orders-dr", "b").await);

    let without = Sandbox::open(&PAIR.replace("delete_markers: true", "delete_markers: false"));
    put(&without.source(), "orders", "a", "hello").await;
    without.source().delete_object().bucket("orders").key("a").send().await.unwrap();
    without.wait(600).await;
    assert!(exists(&without.replica(), "orders-dr", "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_version_deleted_before_its_replica_was_due_is_never_replicated() {
    let sandbox = Sandbox::open(PAIR);
    let id = put(&sandbox.source(), "orders", "a", "hello").await;
    let delete = sandbox.source().delete_object().bucket("orders").key("a").version_id(id);
    delete.send().await.unwrap();
    sandbox.wait(600).await;
    assert!(!exists(&sandbox.replica(), "orders-dr", "a").await);
}

#[tokio::test(start_paused = true)]
async fn stalled_replication_stays_pending_and_failing_prefixes_fail() {
    let sandbox = Sandbox::open(&PAIR.replace("failing:", "stalled_since: +1h, failing:"));
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    put(&s3, "orders", "bad/a", "x").await;
    put(&s3, "orders", "early", "x").await;
    sandbox.wait(3600).await;
    put(&s3, "orders", "late", "x").await;
    sandbox.wait(86_400).await;
    assert_eq!(status(&s3, "orders", "bad/a").await, Some(ReplicationStatus::Failed));
    assert!(!exists(&dr, "orders-dr", "bad/a").await);
    assert_eq!(status(&s3, "orders", "early").await, Some(ReplicationStatus::Completed));
    assert_eq!(status(&s3, "orders", "late").await, Some(ReplicationStatus::Pending));
    assert!(!exists(&dr, "orders-dr", "late").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_rule_or_outside_its_prefix_has_no_status() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: orders-dr}, prefix: in/, since: 2d}, {to: {bucket: orders-dr}, prefix: off/, status: Disabled}]
  objects:
    - {key: in/old, text: x, at: 3d}
    - {key: in/new, text: x, at: 1d}
    - {key: out/new, text: x, at: 1d}
    - {key: off/new, text: x, at: 1d}
- {name: orders-dr, versioning: enabled}
",
    );
    let s3 = sandbox.source();
    assert_eq!(status(&s3, "orders", "in/old").await, None);
    assert_eq!(status(&s3, "orders", "in/new").await, Some(ReplicationStatus::Completed));
    assert_eq!(status(&s3, "orders", "out/new").await, None);
    assert_eq!(status(&s3, "orders", "off/new").await, None);
    let listed = sandbox.replica().list_objects_v2().bucket("orders-dr").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().map(|o| o.key().unwrap()).collect();
    assert_eq!(keys, ["in/new"]);
}

#[tokio::test(start_paused = true)]
async fn replicas_are_not_replicated_further() {
    let sandbox = Sandbox::open(
        "
- {name: first, versioning: enabled, replication: [{to: {bucket: second}}]}
- {name: second, versioning: enabled, replication: [{to: {bucket: third-dr}}]}
- {name: third-dr, versioning: enabled}
",
    );
    put(&sandbox.source(), "first", "a", "x").await;
    put(&sandbox.source(), "second", "b", "x").await;
    sandbox.wait(600).await;
    assert!(exists(&sandbox.source(), "second", "a").await);
    assert!(!exists(&sandbox.replica(), "third-dr", "a").await);
    assert!(exists(&sandbox.replica(), "third-dr", "b").await);
}

#[tokio::test(start_paused = true)]
async fn with_several_destinations_all_must_succeed() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: one-dr}, lag: 1m}, {to: {bucket: two-dr}, lag: 10m}]
- {name: one-dr, versioning: enabled}
- {name: two-dr, versioning: enabled}
",
    );
    put(&sandbox.source(), "orders", "a", "x").await;
    sandbox.wait(60).await;
    assert!(exists(&sandbox.replica(), "one-dr", "a").await);
    assert_eq!(status(&sandbox.source(), "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(540).await;
    assert_eq!(status(&sandbox.source(), "orders", "a").await, Some(ReplicationStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_a_place_was_lost_never_arrives() {
    for (account, region) in [(OWNER, TOKYO), (DR, OSAKA)] {
        let sandbox = Sandbox::open(PAIR);
        put(&sandbox.source(), "orders", "early", "x").await;
        sandbox.wait(300).await;
        put(&sandbox.source(), "orders", "late", "x").await;
        sandbox.wait(299).await;
        sandbox.state.lose(account, region);
        sandbox.wait(86_400).await;
        assert!(exists(&sandbox.replica(), "orders-dr", "early").await);
        assert!(!exists(&sandbox.replica(), "orders-dr", "late").await);
        let late = status(&sandbox.source(), "orders", "late").await;
        assert_eq!(late, Some(ReplicationStatus::Pending));
    }
}

#[tokio::test(start_paused = true)]
async fn the_estate_can_hold_each_way_in_which_replication_goes_wrong() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: orders-dr}}]
  objects:
    - {key: by-rule, text: hello}
    - {key: never, text: hello, replicated: never}
    - {key: pending, text: hello, replicated: pending}
    - {key: failed, text: hello, replicated: failed}
    - {key: missing, text: hello, replicated: missing}
    - {key: differs, text: hello, replicated: differs}
- {name: orders-dr, versioning: enabled}
",
    );
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    use ReplicationStatus::{Completed, Failed, Pending};
    for (key, expected, replica) in [
        ("by-rule", Some(Completed), true),
        ("never", None, false),
        ("pending", Some(Pending), false),
        ("failed", Some(Failed), false),
        ("missing", Some(Completed), false),
        ("differs", Some(Completed), true),
    ] {
        assert_eq!(status(&s3, "orders", key).await, expected, "{key}");
        assert_eq!(exists(&dr, "orders-dr", key).await, replica, "{key}");
    }
    assert_eq!(get(&dr, "orders-dr", "by-rule").await, "hello");
    let differs = get(&dr, "orders-dr", "differs").await;
    assert_ne!(differs, "hello");
    assert_eq!(differs.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_upload_arrives_without_its_framing_and_with_its_checksum() {
    let sandbox = Sandbox::open(PAIR);
    let s3 = sandbox.source();
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let put = s3.put_object().bucket("orders").key("big").body(streamed(content.clone()));
    let put = put.content_length(200_000).metadata("run", "r-1").send().await.unwrap();
    assert!(put.checksum_crc32().is_some());
    let got = s3.get_object().bucket("orders").key("big").send().await.unwrap();
    assert_eq!(got.content_length(), Some(200_000));
    assert_eq!(got.metadata().unwrap()["run"], "r-1");
    assert_eq!(got.content_encoding(), None);
    assert_eq!(got.checksum_crc32(), put.checksum_crc32());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), content);

    let part = s3.get_object().bucket("orders").key("big").range("bytes=100-199").send().await;
    let part = part.unwrap();
    assert_eq!(part.content_range(), Some("bytes 100-199/200000"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), content[100..200]);
    let beyond = s3.get_object().bucket("orders").key("big").range("bytes=200000-").send().await;
    assert_eq!(code(beyond), ("InvalidRange".to_owned(), 416));
}

#[tokio::test(start_paused = true)]
async fn generated_content_is_streamed_and_its_checksum_is_right() {
    let sandbox = Sandbox::open(
        "[{name: bulk, objects: [{key: image, size: 9 MiB, seed: 3, tags: {kind: image}}]}]",
    );
    let s3 = sandbox.source();
    let got = s3.get_object().bucket("bulk").key("image").send().await.unwrap();
    assert!(got.e_tag().unwrap().ends_with("-2\""));
    assert!(got.checksum_crc64_nvme().is_some(), "the SDK compares it while it reads");
    assert_eq!(got.body.collect().await.unwrap().to_vec().len(), 9 << 20);
    let tags = s3.get_object_tagging().bucket("bulk").key("image").send().await.unwrap();
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("kind", "image"));
}

#[tokio::test(start_paused = true)]
async fn odd_keys_survive_writing_reading_and_url_encoded_listings() {
    let sandbox = Sandbox::open("[{name: odd, versioning: enabled}]");
    let s3 = sandbox.source();
    let keys =
        ["\u{1}control", "a b", "a+b", "a/../b", "a//b", "ünï/復旧", "per%cent", "q?x=1&y#z"];
    for key in keys {
        put(&s3, "odd", key, key).await;
        assert_eq!(get(&s3, "odd", key).await, key);
    }
    let list = s3.list_objects_v2().bucket("odd").encoding_type(EncodingType::Url);
    let listed = list.send().await.unwrap();
    assert_eq!(listed.encoding_type(), Some(&EncodingType::Url));
    let mut shown: Vec<_> = listed.contents().iter().map(|o| o.key().unwrap()).collect();
    shown.sort_unstable();
    assert!(shown.contains(&"%01control"));
    assert!(shown.contains(&"a+b") && shown.contains(&"a%2Bb"), "{shown:?}");
    assert!(shown.contains(&"%C3%BCn%C3%AF/%E5%BE%A9%E6%97%A7"));
    assert_eq!(shown.len(), keys.len());
    let versions = s3.list_object_versions().bucket("odd").encoding_type(EncodingType::Url);
    assert_eq!(versions.send().await.unwrap().versions().len(), keys.len());
    let raw = s3.list_objects_v2().bucket("odd").send().await;
    assert!(raw.is_err(), "as with S3, a control character makes the plain listing unreadable");
}

#[tokio::test(start_paused = true)]
async fn pages_cover_everything_once_and_in_order() {
    let sandbox = Sandbox::open(
        "
- name: many
  versioning: enabled
  objects:
    - {key: 'data/{n}', text: x, count: 1200, at: 2d, every: 1s}
    - {key: data/000500, text: y, at: 1d}
    - {key: data/000501, text: y, at: 1d, deleted: 1h}
    - {key: zebra, text: y}
",
    );
    let s3 = sandbox.source();
    let first = s3.list_objects_v2().bucket("many").send().await.unwrap();
    assert_eq!((first.key_count(), first.is_truncated()), (Some(1000), Some(true)));
    let token = first.next_continuation_token().unwrap();
    let second = s3.list_objects_v2().bucket("many").continuation_token(token);
    let second = second.send().await.unwrap();
    assert_eq!((second.key_count(), second.is_truncated()), (Some(200), Some(false)));
    let mut all: Vec<&str> = first.contents().iter().map(|o| o.key().unwrap()).collect();
    all.extend(second.contents().iter().map(|o| o.key().unwrap()));
    assert!(all.is_sorted());
    assert!(!all.contains(&"data/000501"), "hidden by its delete marker");

    for size in [1, 2, 7, 1000] {
        let (mut key, mut version) = (None, None);
        let mut seen = Vec::new();
        loop {
            let page = s3.list_object_versions().bucket("many").prefix("data/00050").max_keys(size);
            let page = page.set_key_marker(key).set_version_id_marker(version);
            let page = page.send().await.unwrap();
            let versions = page.versions().iter().map(|v| v.version_id().unwrap().to_owned());
            seen.extend(versions);
            let markers = page.delete_markers().iter().map(|m| m.version_id().unwrap().to_owned());
            seen.extend(markers);
            if page.is_truncated() != Some(true) {
                break;
            }
            key = page.next_key_marker().map(str::to_owned);
            version = page.next_version_id_marker().map(str::to_owned);
        }
        assert_eq!(seen.len(), 10 + 1 + 2, "page size {size}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 13, "page size {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn delimiters_group_keys_across_pages() {
    let sandbox = Sandbox::open(
        "
- name: tree
  objects:
    - {key: 'a/{n}', text: x, count: 5}
    - {key: b, text: x}
    - {key: c/d/e, text: x}
    - {key: f, text: x}
",
    );
    let s3 = sandbox.source();
    let mut token = None;
    let mut seen = Vec::new();
    loop {
        let page = s3.list_objects_v2().bucket("tree").delimiter("/").max_keys(1);
        let page = page.set_continuation_token(token).send().await.unwrap();
        seen.extend(page.common_prefixes().iter().map(|p| p.prefix().unwrap().to_owned()));
        seen.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a/", "b", "c/", "f"]);
    let inside = s3.list_objects_v2().bucket("tree").prefix("c/").delimiter("/");
    assert_eq!(inside.send().await.unwrap().common_prefixes()[0].prefix(), Some("c/d/"));
    let after = s3.list_objects_v2().bucket("tree").start_after("a/000003").send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("a/000004"));
}

#[tokio::test(start_paused = true)]
async fn many_keys_are_deleted_in_one_call() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let first = put(&s3, "orders", "a", "x").await;
    put(&s3, "orders", "b", "x").await;
    let object = |key: &str| ObjectIdentifier::builder().key(key);
    let delete = Delete::builder()
        .objects(object("a").version_id(&first).build().unwrap())
        .objects(object("b").build().unwrap())
        .objects(object("absent").build().unwrap())
        .build()
        .unwrap();
    let deleted = s3.delete_objects().bucket("orders").delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert_eq!(deleted.deleted()[0].version_id(), Some(first.as_str()));
    assert_eq!(deleted.deleted()[1].delete_marker(), Some(true));
    assert!(deleted.errors().is_empty());
    assert!(!exists(&s3, "orders", "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_does_not_replace() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let s3 = sandbox.source();
    let create = || s3.put_object().bucket("orders").key("a").if_none_match("*").body(body("x"));
    create().send().await.unwrap();
    assert_eq!(code(create().send().await), ("PreconditionFailed".to_owned(), 412));
    s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    create().send().await.unwrap();
    let etag = s3.head_object().bucket("orders").key("a").send().await.unwrap();
    let unchanged = s3.get_object().bucket("orders").key("a").if_none_match(etag.e_tag().unwrap());
    assert_eq!(code(unchanged.send().await).1, 304);
}

#[tokio::test(start_paused = true)]
async fn the_bucket_says_how_it_is_configured() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    let versioning = s3.get_bucket_versioning().bucket("orders").send().await.unwrap();
    assert_eq!(versioning.status(), Some(&BucketVersioningStatus::Enabled));
    let location = s3.get_bucket_location().bucket("orders").send().await.unwrap();
    assert_eq!(location.location_constraint().map(|l| l.as_str()), Some(TOKYO));
    let head = s3.head_bucket().bucket("orders").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some(TOKYO));
    let replication = s3.get_bucket_replication().bucket("orders").send().await.unwrap();
    let rule = &replication.replication_configuration().unwrap().rules()[0];
    assert_eq!(rule.destination().unwrap().bucket(), "arn:aws:s3:::orders-dr");
    assert_eq!(rule.status().as_str(), "Enabled");
    let none = dr.get_bucket_replication().bucket("orders-dr").send().await;
    let expected = ("ReplicationConfigurationNotFoundError".to_owned(), 404);
    assert_eq!(code(none), expected);

    let suspend = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended);
    let refused = s3.put_bucket_versioning().bucket("orders");
    let refused = refused.versioning_configuration(suspend.build()).send().await;
    assert_eq!(code(refused), ("InvalidBucketState".to_owned(), 409));
}

#[tokio::test(start_paused = true)]
async fn a_rule_set_by_a_client_concerns_later_writes() {
    let sandbox = Sandbox::open(PAIR);
    let s3 = sandbox.source();
    let shown = s3.get_bucket_replication().bucket("orders").send().await.unwrap();
    s3.delete_bucket_replication().bucket("orders").send().await.unwrap();
    put(&s3, "orders", "before", "x").await;
    sandbox.wait(1).await;
    let set = s3.put_bucket_replication().bucket("orders");
    let set = set.set_replication_configuration(shown.replication_configuration().cloned());
    set.send().await.unwrap();
    put(&s3, "orders", "after", "x").await;
    sandbox.wait(600).await;
    assert_eq!(status(&s3, "orders", "before").await, None);
    assert_eq!(status(&s3, "orders", "after").await, Some(ReplicationStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_codes_of_s3() {
    let sandbox = Sandbox::open(
        "
- {name: orders, versioning: enabled, objects: [{key: a, text: x}]}
- {name: other-dr, readers: ['111111111111'], objects: [{key: a, text: x}]}
- {name: locked, kms: {key: 'arn:aws:kms:ap-northeast-1:111111111111:key/1', usable: false}, objects: [{key: a, text: x}]}
",
    );
    let s3 = sandbox.source();
    let get = |client: &Client, bucket: &str, key: &str| {
        client.get_object().bucket(bucket).key(key).send()
    };
    let check = |(found, status): (String, u16), expected: &str, expected_status: u16| {
        assert_eq!((found.as_str(), status), (expected, expected_status));
    };
    check(code(get(&s3, "absent", "a").await), "NoSuchBucket", 404);
    check(code(get(&s3, "orders", "absent").await), "NoSuchKey", 404);
    let head = s3.head_object().bucket("orders").key("absent").send().await;
    check(code(head), "NotFound", 404);
    let version = s3.get_object().bucket("orders").key("a");
    let unknown = version.clone().version_id("x".repeat(32)).send().await;
    check(code(unknown), "NoSuchVersion", 404);
    check(code(version.version_id("x").send().await), "InvalidArgument", 400);
    check(code(get(&s3, "locked", "a").await), "KMS.DisabledException", 400);

    let stranger = sandbox.client(DR, TOKYO);
    check(code(get(&stranger, "orders", "a").await), "AccessDenied", 403);
    let reader = sandbox.client(OWNER, OSAKA);
    assert!(get(&reader, "other-dr", "a").await.is_ok());
    let write = reader.put_object().bucket("other-dr").key("b").body(body("x")).send().await;
    check(code(write), "AccessDenied", 403);

    let elsewhere = sandbox.client(OWNER, OSAKA);
    let redirected = get(&elsewhere, "orders", "a").await;
    let response = redirected.as_ref().unwrap_err().raw_response().unwrap();
    assert_eq!(response.headers().get("x-amz-bucket-region"), Some(TOKYO));
    check(code(redirected), "PermanentRedirect", 301);

    let credentials = |key: &str, secret: &str| Credentials::new(key, secret, None, None, "test");
    let unknown = sandbox.client_with(credentials("AKIAEXAMPLE", "sandbox"), TOKYO);
    check(code(get(&unknown, "orders", "a").await), "InvalidAccessKeyId", 403);
    let wrong = sandbox.client_with(credentials("SANDBOX111111111111", "guess"), TOKYO);
    check(code(get(&wrong, "orders", "a").await), "SignatureDoesNotMatch", 403);
}

#[tokio::test(start_paused = true)]
async fn the_same_estate_and_calls_give_the_same_bytes() {
    let mut inventories = Vec::new();
    for _ in 0..2 {
        let sandbox = Sandbox::open(PAIR);
        put(&sandbox.source(), "orders", "a", "one").await;
        put(&sandbox.source(), "orders", "a", "two").await;
        sandbox.source().delete_object().bucket("orders").key("a").send().await.unwrap();
        sandbox.wait(600).await;
        inventories.push(sandbox.state.inventory());
    }
    assert_eq!(inventories[0], inventories[1]);
    assert_eq!(inventories[0].len(), 2 + 3 + 3, "{:?}", inventories[0]);
}

#[tokio::test(start_paused = true)]
async fn an_object_may_be_written_in_the_future() {
    let sandbox = Sandbox::open(
        "[{name: orders, versioning: enabled, objects: [{key: a, text: x, at: +1h}]}]",
    );
    assert!(!exists(&sandbox.source(), "orders", "a").await);
    sandbox.wait(3600).await;
    assert!(exists(&sandbox.source(), "orders", "a").await);
}

#[test]
fn mistakes_in_an_estate_are_explained() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let message = |yaml: &str| {
        runtime.block_on(async { Sandbox::try_open(yaml).map(|_| ()).unwrap_err().to_string() })
    };
    assert!(message("[{name: A}]").contains("not a bucket name"));
    assert!(message("[{name: orders}, {name: orders}]").contains("two buckets"));
    assert!(message("[{name: orders, objects: [{key: a}]}]").contains("exactly one of"));
    let rule = "replication: [{to: {bucket: orders-dr, region: us-east-1}}]";
    assert!(message(&format!("[{{name: orders, {rule}}}]")).contains("versioning: enabled"));
    let both = format!("[{{name: orders, versioning: enabled, {rule}}}, {{name: orders-dr}}]");
    assert!(message(&both).contains("not where the rule says"));
    let lost = "[{name: orders, objects: [{key: a, text: x, replicated: missing}]}]";
    assert!(message(lost).contains("no replication rule applies"));
    let absent = "[{name: orders, objects: [{key: a, file: does/not/exist}]}]";
    assert!(message(absent).contains("cannot read"));
}

#[tokio::test(start_paused = true)]
async fn every_simulated_operation_has_its_name_and_is_refused_without_a_signature() {
    let sandbox = Sandbox::open("[{name: orders, versioning: enabled}]");
    let bucket = "https://s3.ap-northeast-1.sandbox.invalid/orders";
    for (operation, method, path) in [
        ("CreateBucket", "PUT", "-new"),
        ("DeleteBucket", "DELETE", "-absent"),
        ("DeleteBucketReplication", "DELETE", "?replication"),
        ("DeleteObject", "DELETE", "/a"),
        ("DeleteObjects", "POST", "?delete"),
        ("GetBucketLocation", "GET", "?location"),
        ("GetBucketReplication", "GET", "?replication"),
        ("GetBucketVersioning", "GET", "?versioning"),
        ("GetObject", "GET", "/a"),
        ("GetObjectTagging", "GET", "/a?tagging"),
        ("HeadBucket", "HEAD", ""),
        ("HeadObject", "HEAD", "/a"),
        ("ListBuckets", "GET", "/../"),
        ("ListObjectVersions", "GET", "?versions"),
        ("ListObjectsV2", "GET", "?list-type=2"),
        ("PutBucketReplication", "PUT", "?replication"),
        ("PutBucketVersioning", "PUT", "?versioning"),
        ("PutObject", "PUT", "/a"),
    ] {
        let mut request = HttpRequest::empty();
        request.set_method(method).unwrap();
        let uri = match path {
            "/../" => "https://s3.ap-northeast-1.sandbox.invalid/".to_owned(),
            path => format!("{bucket}{path}"),
        };
        request.set_uri(uri).unwrap();
        assert_eq!(operation_name(&request), Some(operation));
        assert!(FIDELITY.iter().any(|listed| listed.name == operation), "{operation}");
        let response = sandbox.state.handle(request).await;
        assert_eq!(response.status().as_u16(), 403, "{operation}");
    }
    assert_eq!(FIDELITY.len(), 18);
}

#[tokio::test(start_paused = true)]
async fn buckets_are_made_listed_and_deleted_when_empty() {
    use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
    let sandbox = Sandbox::open("[{name: orders}, {name: other-dr}]");
    let s3 = sandbox.source();
    let here = BucketLocationConstraint::from(TOKYO);
    let here = CreateBucketConfiguration::builder().location_constraint(here).build();
    let create = |name: &str| {
        s3.create_bucket().bucket(name).create_bucket_configuration(here.clone()).send()
    };
    create("copies").await.unwrap();
    assert_eq!(code(create("copies").await), ("BucketAlreadyOwnedByYou".to_owned(), 409));
    assert_eq!(code(create("other-dr").await), ("BucketAlreadyExists".to_owned(), 409));
    let listed = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().map(|b| b.name().unwrap()).collect();
    assert_eq!(names, ["copies", "orders"]);
    put(&s3, "copies", "a", "x").await;
    let delete = || s3.delete_bucket().bucket("copies").send();
    assert_eq!(code(delete().await), ("BucketNotEmpty".to_owned(), 409));
    s3.delete_object().bucket("copies").key("a").send().await.unwrap();
    delete().await.unwrap();
    assert_eq!(code(s3.head_bucket().bucket("copies").send().await), ("NotFound".to_owned(), 404));
}

#[test]
fn requests_are_named_for_faults() {
    let name = |method: &str, uri: &str| {
        let mut request = HttpRequest::empty();
        request.set_method(method).unwrap();
        request.set_uri(uri).unwrap();
        operation_name(&request)
    };
    let host = "https://orders.s3.ap-northeast-1.sandbox.invalid";
    assert_eq!(name("GET", &format!("{host}/?versions")), Some("ListObjectVersions"));
    assert_eq!(name("GET", &format!("{host}/?list-type=2")), Some("ListObjectsV2"));
    assert_eq!(name("PUT", &format!("{host}/a/b?x-id=PutObject")), Some("PutObject"));
    assert_eq!(name("HEAD", "http://127.0.0.1:1/orders/a"), Some("HeadObject"));
    assert_eq!(name("GET", "http://127.0.0.1:1/orders/"), None);
    assert_eq!(name("PUT", "http://127.0.0.1:1/orders?acl"), None);
    assert_eq!(name("GET", "http://127.0.0.1:1/"), Some("ListBuckets"));
}
