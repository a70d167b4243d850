use super::{DR, PRIMARY, Rig, code, text};
use crate::sandbox::{Estate, endpoint};
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

fn client(rig: &Rig, place: (&str, &str)) -> aws_sdk_cloudwatch::Client {
    let builder = aws_sdk_cloudwatch::config::Builder::from(&rig.config(place.0, place.1));
    let builder = builder.endpoint_url(endpoint("monitoring", place.1));
    aws_sdk_cloudwatch::Client::from_conf(builder.build())
}

/// Name, state, reason and time of the one metric alarm of an answer.
fn metric(answer: &DescribeAlarmsOutput) -> (String, String, String, String) {
    let [alarm] = answer.metric_alarms() else { panic!("{answer:?}") };
    let since = text(alarm.state_updated_timestamp());
    assert_eq!(since, text(alarm.state_transitioned_timestamp()));
    let of = |text: Option<&str>| text.unwrap().to_owned();
    (
        of(alarm.alarm_name()),
        of(alarm.state_value().map(StateValue::as_str)),
        of(alarm.state_reason()),
        since,
    )
}

#[tokio::test(start_paused = true)]
async fn an_alarm_changes_its_state_when_the_estate_says_so() {
    let rig = Rig::open();
    let client = client(&rig, PRIMARY);
    let look = || client.describe_alarms().alarm_names("orders-errors").send();
    let seen = |state: &str, reason: &str, since: &str| {
        ("orders-errors".to_owned(), state.to_owned(), reason.to_owned(), since.to_owned())
    };
    let first = metric(&look().await.unwrap());
    assert_eq!(first, seen("OK", "below 5", "2026-11-21T00:00:00Z"));
    rig.until("2026-11-22T00:19:59Z").await;
    assert_eq!(metric(&look().await.unwrap()), first);
    rig.until("2026-11-22T00:20:00Z").await;
    let red = metric(&look().await.unwrap());
    assert_eq!(red, seen("ALARM", "above 5", "2026-11-22T00:20:00Z"));
    rig.until("2026-11-22T01:00:00Z").await;
    assert_eq!(metric(&look().await.unwrap()), seen("OK", "", "2026-11-22T01:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn only_the_types_and_states_that_were_asked_for_are_told() {
    let rig = Rig::open();
    let client = client(&rig, PRIMARY);
    let all = client.describe_alarms().send().await.unwrap();
    assert_eq!((all.metric_alarms().len(), all.composite_alarms().len()), (2, 0));
    let all = client.describe_alarms().alarm_types(AlarmType::CompositeAlarm).send().await.unwrap();
    assert!(all.metric_alarms().is_empty());
    let [composite] = all.composite_alarms() else { panic!("{all:?}") };
    assert_eq!(composite.alarm_name(), Some("orders-any"));
    assert_eq!(composite.state_value(), Some(&StateValue::InsufficientData));
    assert_eq!(text(composite.state_updated_timestamp()), "2026-11-21T21:00:00Z");
    let red = client.describe_alarms().state_value(StateValue::Alarm).send().await.unwrap();
    assert_eq!(metric(&red).0, "stock-errors");
    let by_prefix = client.describe_alarms().alarm_name_prefix("orders").send().await.unwrap();
    assert_eq!(metric(&by_prefix).0, "orders-errors");
    let none = client.describe_alarms().alarm_names("orders").send().await.unwrap();
    assert!(none.metric_alarms().is_empty(), "a name is no pattern");
    let elsewhere = super::alarms::client(&rig, DR).describe_alarms().send().await.unwrap();
    assert!(elsewhere.metric_alarms().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pages_hold_what_they_may_and_wrong_requests_are_refused() {
    let rig = Rig::open();
    let client = client(&rig, PRIMARY);
    let page = |token: Option<String>| {
        let types = [AlarmType::MetricAlarm, AlarmType::CompositeAlarm];
        let request = client.describe_alarms().set_alarm_types(Some(types.to_vec()));
        request.max_records(2).set_next_token(token).send()
    };
    let first = page(None).await.unwrap();
    assert_eq!(first.metric_alarms().len() + first.composite_alarms().len(), 2);
    let last = page(first.next_token().map(str::to_owned)).await.unwrap();
    assert_eq!(last.metric_alarms().len() + last.composite_alarms().len(), 1);
    assert_eq!(last.next_token(), None);
    assert_eq!(code(page(Some("x".to_owned())).await), "InvalidNextToken");
    let both = client.describe_alarms().alarm_names("a").alarm_name_prefix("a").send().await;
    assert_eq!(code(both), "ValidationError");
    let names = vec!["a".to_owned(); 101];
    let many = client.describe_alarms().set_alarm_names(Some(names)).send().await;
    assert_eq!(code(many), "ValidationError");
    let children = client.describe_alarms().children_of_alarm_name("orders-any").send().await;
    assert_eq!(code(children), "ValidationError");
    assert_eq!(code(client.list_dashboards().send().await), "InvalidAction");
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_arrives_in_the_protocol_of_the_client() {
    for (fault, expected) in [
        ("cloudwatch:*=throttle", "ThrottlingException"),
        ("cloudwatch:DescribeAlarms=server_error", "InternalServiceFault"),
        ("cloudwatch:DescribeAlarms=error:AccessDenied:403", "AccessDenied"),
        ("*=expired_credentials", "ExpiredTokenException"),
    ] {
        let rig = Rig::with(&[fault]);
        let refused = client(&rig, PRIMARY).describe_alarms().send().await;
        assert_eq!(code(refused), expected, "{fault}");
    }
    let rig = Rig::with(&["cloudwatch:DescribeAlarms=garbage"]);
    let garbage = client(&rig, PRIMARY).describe_alarms().send().await;
    assert!(garbage.is_err(), "{garbage:?}");
    let rig = Rig::open();
    rig.world.lose(PRIMARY.0, PRIMARY.1);
    let lost = client(&rig, PRIMARY).describe_alarms().send().await.unwrap_err();
    assert!(lost.as_service_error().is_none(), "no answer at all: {lost:?}");
    let nobody = client(&rig, ("999999999999", DR.1)).describe_alarms().send().await;
    assert_eq!(code(nobody), "InvalidClientTokenId");
}

#[test]
fn alarms_that_contradict_themselves_are_refused_with_their_place() {
    let with = |alarms: &str| {
        let text = format!(
            "estate: 1\nnow: 2026-11-22T00:00:00Z\naccounts: {{ 111111111111: {{}} }}\nplaces:\n  - account: 111111111111\n    \
             region: a\n    alarms:\n{alarms}"
        );
        Estate::read("e.yaml", &text).map(|_| ()).map_err(|error| error.to_string())
    };
    let twice = with("      - { name: a }\n      - { name: a }\n").unwrap_err();
    assert_eq!(twice, "e.yaml:9:17: alarm a stands here twice");
    let turns = "      - { name: a, turns: [{ after: 2m, to: alarm }, { after: 2m, to: ok }] }\n";
    let turns = with(turns).unwrap_err();
    assert!(turns.starts_with("e.yaml:8:") && turns.ends_with("in order of time"), "{turns}");
    assert!(with("      - { name: '' }\n").unwrap_err().contains("1 to 255 characters"));
    assert!(with("      - { name: a, state: red }\n").is_err());
    with("      - { name: a }\n      - { name: b }\n").unwrap();
}
