//! The simulated CloudWatch: alarms and their states.

use super::estate::{AlarmEstate, AlarmKind, AlarmState};
use super::page::page;
use super::services::{Call, unknown_action};
use super::wire::AwsError;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// What is not simulated of `DescribeAlarms`: a request with it is refused.
const NOT_SIMULATED: [&str; 3] = ["ChildrenOfAlarmName", "ParentsOfAlarmName", "ActionPrefix"];

/// Answers a call to CloudWatch.
pub(crate) fn answer(call: Call<'_>) -> Result<Value, AwsError> {
    match call.action() {
        "DescribeAlarms" => describe_alarms(&call),
        other => Err(unknown_action(other)),
    }
}

fn invalid(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationError", what)
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
fn describe_alarms(call: &Call<'_>) -> Result<Value, AwsError> {
    let asked = &call.asked.json;
    if !asked.is_object() {
        return Err(AwsError::new(400, "SerializationException", "the request cannot be read"));
    }
    if let Some(name) = NOT_SIMULATED.iter().find(|name| asked.get(**name).is_some()) {
        return Err(invalid(format!("the sandbox does not simulate {name}")));
    }
    let (names, prefix) = (texts(asked, "AlarmNames")?, text(asked, "AlarmNamePrefix")?);
    if names.is_some() && prefix.is_some() {
        return Err(invalid("AlarmNames and AlarmNamePrefix cannot stand together"));
    }
    if names.as_ref().is_some_and(|names| names.len() > 100) {
        return Err(invalid("AlarmNames must have at most 100 members"));
    }
    let size = match asked.get("MaxRecords") {
        None => 50,
        Some(number) => number
            .as_u64()
            .filter(|n| (1..=100).contains(n))
            .ok_or_else(|| invalid("MaxRecords must be between 1 and 100"))?,
    };
    let types = texts(asked, "AlarmTypes")?.unwrap_or_else(|| vec![AlarmKind::Metric.wire()]);
    let state = text(asked, "StateValue")?;
    let wanted = |alarm: &AlarmEstate, is: AlarmState| {
        names.as_ref().is_none_or(|names| names.contains(&alarm.name.as_str()))
            && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix))
            && types.contains(&alarm.kind.wire())
            && state.is_none_or(|state| is.wire() == state)
    };
    let start = call.state.estate.now;
    let spec = call.state.places.get(&call.place).and_then(|place| place.spec.as_ref());
    let all = spec.iter().flat_map(|spec| &spec.alarms);
    let found = all.map(|alarm| (alarm, alarm.at(start, call.now)));
    let found = found.filter(|(alarm, (is, ..))| wanted(alarm, *is));
    let told =
        found.map(|(alarm, seen)| (alarm.name.clone(), (alarm.kind, told(call, alarm, seen))));
    let page = page(told.collect(), text(asked, "NextToken")?, usize::try_from(size).unwrap_or(1))
        .map_err(|_| AwsError::new(400, "InvalidNextToken", "The next token is not valid."))?;
    let of = |kind: AlarmKind| {
        let alarms = page.items.iter().filter(|(of, _)| *of == kind);
        Value::Array(alarms.map(|(_, alarm)| alarm.clone()).collect())
    };
    let mut answer = json!({
        "MetricAlarms": of(AlarmKind::Metric),
        "CompositeAlarms": of(AlarmKind::Composite),
    });
    if let Some(next) = page.next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn text<'a>(asked: &'a Value, name: &str) -> Result<Option<&'a str>, AwsError> {
    let wrong = || invalid(format!("{name} is not a text"));
    asked.get(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
}

fn texts<'a>(asked: &'a Value, name: &str) -> Result<Option<Vec<&'a str>>, AwsError> {
    let wrong = || invalid(format!("{name} is not a list of texts"));
    let Some(value) = asked.get(name) else { return Ok(None) };
    let items = value.as_array().ok_or_else(wrong)?;
    items.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
}

/// Times are seconds, as in the JSON of AWS.
fn told(
    call: &Call<'_>,
    alarm: &AlarmEstate,
    (state, since, reason): (AlarmState, DateTime<Utc>, &str),
) -> Value {
    let seconds = |at: DateTime<Utc>| json!(at.timestamp_millis() as f64 / 1000.0);
    let mut fields = Map::from_iter([
        ("AlarmName".to_owned(), json!(alarm.name)),
        (
            "AlarmArn".to_owned(),
            json!(call.place.arn("cloudwatch", &format!("alarm:{}", alarm.name))),
        ),
        ("ActionsEnabled".to_owned(), json!(true)),
        ("StateValue".to_owned(), json!(state.wire())),
        ("StateReason".to_owned(), json!(reason)),
        ("StateUpdatedTimestamp".to_owned(), seconds(since)),
        ("StateTransitionedTimestamp".to_owned(), seconds(since)),
    ]);
    match alarm.kind {
        AlarmKind::Metric => {
            fields.insert("Namespace".to_owned(), json!("redrill/sandbox"));
            fields.insert("MetricName".to_owned(), json!(alarm.name));
        }
        AlarmKind::Composite => {
            fields.insert("AlarmRule".to_owned(), json!("FALSE"));
        }
    }
    Value::Object(fields)
}
