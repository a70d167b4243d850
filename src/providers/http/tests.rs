use super::*;
use crate::action::{
    Action, Given as GivenInput, HandInput, ProbeVerdict, Registry, StepContext, StepError,
};
use crate::ids::StepId;
use crate::journal::{FailureClass, Outcome};
use crate::outside::OutsideError;
use crate::outside::fake::{FakeOutside, context};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn input(value: Value) -> Input {
    serde_json::from_value(value).unwrap()
}

fn refused(outside: FakeOutside) -> FakeOutside {
    let refused = OutsideError::Unreachable("connection refused".into());
    outside.replies.lock().unwrap().push_back(Err(refused));
    outside
}

#[tokio::test(start_paused = true)]
async fn the_expected_answer_passes() {
    let (context, _, recorder) = context(FakeOutside::default().with_reply(200, &[], "ready: yes"));
    let input = input(json!({"url": "http://a.test/", "body_matches": "ready: (yes|ok)"}));
    assert_eq!(HttpCheck.run(&context, input).await.unwrap().status, 200);
    assert_eq!(recorder.outcome("status"), Outcome::Passed);
    assert_eq!(recorder.outcome("body"), Outcome::Passed);
    assert!(!recorder.written().contains("ready: yes"), "bodies are not written down");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_status_and_a_wrong_body_fail() {
    let (context, _, recorder) = context(FakeOutside::default().with_reply(503, &[], "sorry"));
    let input = input(json!({"url": "http://a.test/", "body_matches": "ready"}));
    HttpCheck.run(&context, input).await.unwrap();
    assert_eq!(recorder.outcome("status"), Outcome::Failed);
    assert_eq!(recorder.outcome("body"), Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn it_asks_again_within_its_time() {
    let outside = refused(FakeOutside::default()).with_reply(503, &[], "").with_reply(200, &[], "");
    let (context, outside, recorder) = context(outside);
    let input = input(json!({"url": "http://a.test/", "within": "1m"}));
    HttpCheck.run(&context, input).await.unwrap();
    assert_eq!(recorder.outcome("status"), Outcome::Passed);
    assert_eq!(outside.requests_seen.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_reached_has_failed() {
    let (context, _, recorder) = context(refused(FakeOutside::default()));
    let input = input(json!({"url": "http://a.test/"}));
    let error = HttpCheck.run(&context, input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut);
    assert!(error.to_string().contains("at the one attempt: connection refused"), "{error}");
    assert!(recorder.checks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn redirects_are_answers_unless_they_are_to_be_followed() {
    let moved = [("location", "https://b.test/login")];
    let outside = FakeOutside::default().with_reply(302, &moved, "");
    let (context_1, _, recorder) = context(outside);
    HttpCheck.run(&context_1, input(json!({"url": "http://a.test/"}))).await.unwrap();
    assert_eq!(recorder.outcome("status"), Outcome::Failed);

    let mut outside = FakeOutside::default().with_reply(302, &moved, "").with_reply(200, &[], "");
    outside.environment.insert("TOKEN".into(), "hunter2".into());
    let (context_2, outside, recorder) = context(outside);
    let input = input(json!({"url": "http://a.test/", "follow_redirects": true,
        "headers": {"authorization": {"from_env": "TOKEN"}}}));
    HttpCheck.run(&context_2, input).await.unwrap();
    assert_eq!(recorder.outcome("status"), Outcome::Passed);
    let seen = outside.requests_seen.lock().unwrap();
    assert_eq!(seen[0].headers["authorization"].reveal(), "hunter2");
    assert_eq!(seen[1].url, "https://b.test/login");
    assert!(seen[1].headers.is_empty(), "credentials do not go to another host");
}

/// As the engine runs it.
async fn run(context: &StepContext, with: Value) -> Result<Value, StepError> {
    let mut registry = Registry::default();
    registry.action(HttpCheck);
    registry.get("http.check").unwrap().run(context, with).await
}

#[tokio::test(start_paused = true)]
async fn regression_a_pattern_that_every_body_matches_is_refused() {
    for vacuous in ["", ".*", "x*", "^"] {
        let (context, outside, recorder) =
            context(FakeOutside::default().with_reply(200, &[], "sorry"));
        let with = json!({"url": "http://a.test/", "body_matches": vacuous});
        let error = run(&context, with).await.unwrap_err();
        assert!(error.to_string().contains("would check nothing"), "{vacuous:?}: {error}");
        assert!(outside.requests_seen.lock().unwrap().is_empty() && recorder.checks().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_input_is_refused_before_anything_is_sent() {
    for (wrong, why) in [
        (json!({"url": "ftp://a.test/"}), "only http and https"),
        (json!({"url": "http://u:p@a.test/"}), "password must not stand"),
        (json!({"url": "http://a.test/", "method": "HEAD", "body_matches": "x"}), "no body"),
        (json!({"url": "http://a.test/", "body_matches": "("}), "body_matches"),
        (json!({"url": "not a url"}), "not an address"),
        (json!({"url": "http://a.test/", "expect_status": 999}), "no answer has the status 999"),
    ] {
        let (context, outside, _) = context(FakeOutside::default());
        let error = run(&context, wrong).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(outside.requests_seen.lock().unwrap().is_empty());
    }
    assert!(serde_json::from_value::<Input>(json!({"url": "http://a", "method": "POST"})).is_err());
}

#[test]
fn by_hand_secrets_do_not_become_arguments() {
    let with = json!({"url": HandInput::variable_mark("lb", "url"),
        "headers": {"accept": "text/plain", "x-token": {"from_env": "TOKEN"}}});
    let hand = HttpCheck.by_hand(&HandInput::new("health", None, with, BTreeMap::new()));
    assert_eq!(
        hand.commands[0],
        "{ printf '%s: %s\\n' x-token \"${TOKEN:?}\"; } | curl --silent --show-error --max-time 10 \
         --write-out '\\n%{http_code}\\n' --header 'accept: text/plain' --header @- \"${LB_URL:?}\""
    );
}

#[tokio::test(start_paused = true)]
async fn regression_a_variable_of_a_header_that_is_not_set_fails_before_the_day() {
    let mut outside = FakeOutside::default();
    outside.environment.insert("TOKEN".into(), "hunter2".into());
    let (context, outside, _) = context(outside);
    let with = json!({"url": "http://a.test/", "headers": {
        "a": "text", "b": {"from_env": "TOKEN"}, "c": {"from_env": "NEVER_SET"},
    }});
    let given = GivenInput::new("orders", StepId::new("ready"), None, with);
    let probes = HttpCheck.preflight(&context, &given).await;
    let seen: Vec<_> = probes.iter().map(|probe| (&*probe.what, &probe.verdict)).collect();
    let works = ProbeVerdict::works("set");
    let [(one, found), (other, missing), (_, ProbeVerdict::NotBefore(_))] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!((*one, *found), ("environment variable TOKEN", &works));
    assert_eq!(*other, "environment variable NEVER_SET");
    assert!(matches!(missing, ProbeVerdict::Fails { .. }), "{missing:?}");
    assert!(outside.requests_seen.lock().unwrap().is_empty(), "nothing is asked");
}
