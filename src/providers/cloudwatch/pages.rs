//! Answers that no CloudWatch should give.

use super::check_alarms::ask;
use crate::action::StepError;
use crate::outside::fake::{FakeOutside, context_with};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_cbor::Encoder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers every request with the same bytes.
#[derive(Clone, Debug)]
struct Parrot {
    says: Vec<u8>,
    asked: Arc<AtomicU32>,
}

impl HttpConnector for Parrot {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answer =
            HttpResponse::new(200.try_into().unwrap(), SdkBody::from(self.says.clone()));
        answer.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
        HttpConnectorFuture::ready(Ok(answer))
    }
}

impl HttpClient for Parrot {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// What becomes of a question for one alarm, and how often it was asked.
async fn asked(fill: impl FnOnce(&mut Encoder)) -> (Result<Vec<String>, StepError>, u32) {
    let mut says = Encoder::new(Vec::new());
    fill(&mut says);
    let parrot = Parrot { says: says.into_writer(), asked: Arc::default() };
    let keys = Credentials::new("AKIDEXAMPLE", "key", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("ap-northeast-3"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .http_client(SharedHttpClient::new(parrot.clone()))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build();
    let (context, ..) = context_with(FakeOutside::default(), config);
    let answer = ask(&context, &["a".to_owned()]).await;
    let names = answer.map(|all| all.into_iter().map(|alarm| alarm.state).collect());
    (names, parrot.asked.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_list_of_alarms_that_does_not_end_is_given_up() {
    let (answer, times) = asked(|says| {
        says.map(1).str("NextToken").str("more");
    })
    .await;
    let error = answer.unwrap_err();
    assert!(error.to_string().contains("did not end after 100 pages"), "{error}");
    assert_eq!(times, 100);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_without_a_state_has_none_and_one_without_a_name_is_nobodys() {
    let (answer, _) = asked(|says| {
        says.map(1).str("MetricAlarms").array(2);
        says.map(1).str("AlarmName").str("a");
        says.map(1).str("StateValue").str("OK");
    })
    .await;
    assert_eq!(answer.unwrap(), ["no state"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_holds_no_alarm() {
    let (answer, times) = asked(|says| _ = says.map(0)).await;
    assert_eq!((answer.unwrap(), times), (Vec::new(), 1));
}
