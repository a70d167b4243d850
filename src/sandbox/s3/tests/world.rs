//! S3 as a part of the world: faults, lost places, assumed roles.

use super::*;
use crate::sandbox::{Estate, World};

const ESTATE: &str = "
estate: 1
now: 2026-11-22T00:00:00Z
accounts: {'111111111111': {roles: [drill]}, '222222222222': {roles: [drill]}}
places:
  - account: '111111111111'
    region: ap-northeast-1
    buckets:
      - {name: orders, versioning: enabled, replication: [{to: {bucket: orders-dr}, lag: 5m}]}
  - account: '222222222222'
    region: ap-northeast-3
    buckets: [{name: orders-dr, versioning: enabled}]
";

struct Rig {
    world: World,
    clock: Clock,
}

impl Rig {
    fn open(faults: &[&str]) -> Self {
        let estate = Estate::read("estate.yaml", ESTATE).unwrap();
        let clock = Clock::simulated(estate.now);
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        Self { world: World::open(estate, clock.clone(), faults), clock }
    }

    fn config(
        &self,
        credentials: Credentials,
        region: &str,
        service: &str,
    ) -> aws_types::SdkConfig {
        let time = || VirtualTime(self.clock.clone());
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
        aws_types::SdkConfig::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .credentials_provider(provider)
            .region(Region::new(region.to_owned()))
            .endpoint_url(crate::sandbox::endpoint(service, region))
            .http_client(self.world.connector())
            .retry_config(RetryConfig::disabled())
            .time_source(SharedTimeSource::new(time()))
            .sleep_impl(SharedAsyncSleep::new(time()))
            .build()
    }

    fn s3(&self, account: &str, region: &str) -> Client {
        Client::new(&self.config(self.world.credentials(account), region, "s3"))
    }
}

#[tokio::test(start_paused = true)]
async fn faults_meet_operations_of_s3_by_their_names() {
    let rig = Rig::open(&["s3:PutObject#1=throttle", "s3:PutObject#2=lost_reply"]);
    let s3 = rig.s3(OWNER, TOKYO);
    let write = |key: &str| s3.put_object().bucket("orders").key(key).body(body("x")).send();
    assert_eq!(code(write("throttled").await), ("SlowDown".to_owned(), 503));
    let lost = write("unanswered").await.unwrap_err();
    assert!(lost.raw_response().is_none(), "{lost:?}");
    assert!(!exists(&s3, "orders", "throttled").await);
    assert!(exists(&s3, "orders", "unanswered").await, "the effect happened");
    let answered = write("answered").await.unwrap();
    let other = write("other").await.unwrap();
    use aws_sdk_s3::operation::RequestId;
    assert!(answered.request_id().is_some());
    assert_ne!(answered.request_id(), other.request_id());
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_answers_nothing_and_sends_no_more_replicas() {
    let rig = Rig::open(&[]);
    let (s3, dr) = (rig.s3(OWNER, TOKYO), rig.s3(DR, OSAKA));
    put(&s3, "orders", "early", "x").await;
    rig.clock.sleep(Duration::from_secs(600)).await;
    put(&s3, "orders", "late", "x").await;
    rig.world.lose(OWNER, TOKYO);
    let lost = s3.head_bucket().bucket("orders").send().await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    rig.clock.sleep(Duration::from_secs(600)).await;
    assert!(exists(&dr, "orders-dr", "early").await);
    assert!(!exists(&dr, "orders-dr", "late").await);
}

#[tokio::test(start_paused = true)]
async fn an_assumed_role_reaches_the_buckets_of_its_account() {
    let rig = Rig::open(&[]);
    let caller = rig.world.credentials("000000000000");
    let sts = aws_sdk_sts::Client::new(&rig.config(caller, OSAKA, "sts"));
    let role = format!("arn:aws:iam::{DR}:role/drill");
    let assumed = sts.assume_role().role_arn(role).role_session_name("r-1").send().await.unwrap();
    let keys = assumed.credentials().unwrap();
    let session = Credentials::new(
        keys.access_key_id(),
        keys.secret_access_key(),
        Some(keys.session_token().to_owned()),
        None,
        "test",
    );
    let s3 = Client::new(&rig.config(session, OSAKA, "s3"));
    put(&s3, "orders-dr", "canary", "x").await;
    assert!(rig.world.inventory().keys().any(|key| key.starts_with("s3/orders-dr/canary@")));
}

#[test]
fn an_estate_with_impossible_buckets_is_refused_when_it_is_read() {
    let wrong = ESTATE.replace("name: orders-dr", "name: orders");
    let message = Estate::read("estate.yaml", &wrong).unwrap_err().to_string();
    assert!(message.starts_with("estate.yaml: the estate has two buckets"), "{message}");
    let unknown = ESTATE.replace("lag: 5m", "lagg: 5m");
    let message = Estate::read("estate.yaml", &unknown).unwrap_err().to_string();
    assert!(message.starts_with("estate.yaml:9:"), "{message}");
}
