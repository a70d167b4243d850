//! The action in the sandbox, with what goes wrong.

use super::check_alarms::CheckAlarms;
use crate::action::{Action, Given, HandInput, ProbeVerdict, Registry, StepError};
use crate::ids::{SiteName, StepId};
use crate::journal::{FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {} }
places:
  - account: "111111111111"
    region: eu-west-1
    alarms:
      - { name: quiet }
      - { name: "Orders: 5xx > 1 %", kind: composite, since: 2h, reason: all is well }
      - { name: red, state: alarm, since: 5m, reason: 7 errors were above 5 }
      - { name: blind, state: insufficient_data }
      - { name: settling, state: insufficient_data, turns: [{ after: 4m, to: alarm }, { after: 9m, to: ok }] }
"#;

fn drill(faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, "111111111111", "eu-west-1", faults)
}

async fn asked(drill: &Rehearsal, with: Value) -> Result<Value, StepError> {
    drill.run("cloudwatch.check_alarms", with).await
}

#[tokio::test(start_paused = true)]
async fn quiet_alarms_of_both_kinds_pass_and_are_told() {
    let drill = drill(&[]);
    let seen = asked(&drill, json!({ "alarms": ["quiet", "Orders: 5xx > 1 %"] })).await.unwrap();
    assert!(drill.checks().values().all(|outcome| *outcome == Outcome::Passed));
    assert_eq!(drill.checks().len(), 2);
    let second = json!({
        "name": "Orders: 5xx > 1 %", "kind": "composite", "state": "OK", "since": "2026-11-22T08:00:00Z",
        "reason": "all is well",
    });
    assert_eq!(seen["alarms"][1], second);
    assert_eq!(seen["last_change"], "2026-11-22T08:00:00Z");
    assert_eq!(drill.findings(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_has_gone_off_fails_with_a_finding_whatever_else_is_unclear() {
    let drill = drill(&[]);
    let with = json!({ "alarms": ["quiet", "blind", "nowhere", "red"] });
    let seen = asked(&drill, with).await.unwrap();
    assert_eq!(seen["alarms"].as_array().unwrap().len(), 3);
    let checks = drill.checks();
    assert_eq!(checks["alarm red"], Outcome::Failed);
    assert_eq!(checks["alarm quiet"], Outcome::Passed);
    assert_eq!(checks["alarm blind"], Outcome::Inconclusive);
    assert_eq!(checks["alarm nowhere"], Outcome::Inconclusive);
    assert_eq!(drill.findings(), ["cloudwatch.alarm"]);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_without_data_is_neither_good_nor_bad_news() {
    let drill = drill(&[]);
    let error = asked(&drill, json!({ "alarms": ["quiet", "blind"] })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient);
    assert!(error.to_string().contains("blind is INSUFFICIENT_DATA"), "{error}");
    assert_eq!(drill.checks()["alarm blind"], Outcome::Inconclusive);
    assert_eq!(drill.findings(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_not_there_is_named_with_what_to_do() {
    let drill = drill(&[]);
    // Names are told apart by case, and are no patterns.
    for name in ["Quiet", "quie", "qui*"] {
        let with = json!({ "alarms": ["quiet", name], "within": "10m" });
        let error = asked(&drill, with).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken, "no time brings it");
        let failure = error.into_failure();
        assert!(failure.message.ends_with(&format!("in eu-west-1: {name}")), "{}", failure.message);
        assert!(failure.help.unwrap().contains("describe-alarms"));
    }
    assert!(drill.checks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_time_it_waits_until_all_are_ok_and_judges_what_it_saw_last() {
    let drill = drill(&[]);
    asked(&drill, json!({ "alarms": ["settling"], "within": "10m" })).await.unwrap();
    assert_eq!(drill.checks()["alarm settling"], Outcome::Passed);

    let drill = self::drill(&[]);
    asked(&drill, json!({ "alarms": ["settling"], "within": "5m" })).await.unwrap();
    assert_eq!(drill.checks()["alarm settling"], Outcome::Failed);

    let drill = self::drill(&[]);
    let error = asked(&drill, json!({ "alarms": ["settling"], "within": "3m" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient);
    assert_eq!(drill.checks()["alarm settling"], Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_passes() {
    for (fault, class) in [
        ("cloudwatch:*=error:AccessDenied:403", FailureClass::Denied),
        ("cloudwatch:*=server_error", FailureClass::Transient),
        ("cloudwatch:*=garbage", FailureClass::Transient),
        ("cloudwatch:*=reset", FailureClass::Transient),
        ("cloudwatch:*=throttle", FailureClass::Throttled),
    ] {
        let drill = drill(&[fault]);
        let error = asked(&drill, json!({ "alarms": ["quiet"] })).await.unwrap_err();
        assert_eq!(error.class(), class, "{fault}: {error}");
        assert!(drill.checks().is_empty(), "{fault}");
    }
    let drill = drill(&["cloudwatch:*<2=throttle"]);
    asked(&drill, json!({ "alarms": ["quiet"] })).await.unwrap();
    assert_eq!(drill.checks()["alarm quiet"], Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn wrong_names_are_refused_before_anybody_is_asked() {
    let hundred: Vec<String> = (0..101).map(|n| format!("a{n}")).collect();
    for (alarms, why) in [
        (json!([]), "0 names are given"),
        (json!(hundred), "101 names are given"),
        (json!(["a", " "]), "a name is empty"),
        (json!(["a", "a"]), "a is given twice"),
        (json!(["a\nb"]), "a control character"),
        (json!(["復".repeat(256)]), "more than 255 characters"),
    ] {
        let drill = drill(&["cloudwatch:*=server_error"]);
        let error = asked(&drill, json!({ "alarms": alarms })).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

async fn looked(drill: &Rehearsal, alarms: Value) -> ProbeVerdict {
    let mut registry = Registry::default();
    registry.action(CheckAlarms);
    let given = Given::new(
        "orders",
        StepId::new("alarms"),
        Some(SiteName::new("dr")),
        json!({ "alarms": alarms }),
    );
    let probes = CheckAlarms.preflight(&drill.cx, &given).await;
    assert_eq!(probes.len(), 1);
    probes.into_iter().next().unwrap().verdict
}

#[tokio::test(start_paused = true)]
async fn before_the_day_only_quiet_alarms_are_good_news() {
    let drill = drill(&[]);
    assert!(matches!(looked(&drill, json!(["quiet"])).await, ProbeVerdict::Works(_)));
    let ProbeVerdict::Fails { why, .. } = looked(&drill, json!(["quiet", "red"])).await else {
        panic!("it is red");
    };
    assert_eq!(why, "red is ALARM");
    let ProbeVerdict::Fails { why, action } = looked(&drill, json!(["nowhere"])).await else {
        panic!("it is not there");
    };
    assert!(why.contains("nowhere") && action.contains("correct the name"), "{why} {action}");
    assert!(matches!(looked(&drill, json!(["blind"])).await, ProbeVerdict::Unknown(_)));
    let later = looked(&drill, json!([Given::later_mark()])).await;
    assert!(matches!(later, ProbeVerdict::NotBefore(_)), "{later:?}");
    let denied = self::drill(&["cloudwatch:*=error:AccessDenied:403"]);
    assert!(matches!(looked(&denied, json!(["quiet"])).await, ProbeVerdict::Denied(_)));
}

#[test]
fn by_hand_the_same_alarms_are_asked_for_as_words_of_the_shell() {
    let with = json!({ "alarms": ["orders-errors", "Orders: 5xx > 1 %"], "within": "5m" });
    let input = HandInput::new("alarms", Some("eu-west-1"), with, BTreeMap::new());
    let hand = CheckAlarms.by_hand(&input);
    let script = format!("aws() {{ printf '%s\\n' \"$@\"; }}\n{}", hand.commands[0]);
    let ran = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let words = String::from_utf8(ran.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    assert_eq!(&words[..4], ["cloudwatch", "describe-alarms", "--region", "eu-west-1"]);
    assert!(words.contains(&"CompositeAlarm"), "without it only metric alarms are told");
    assert_eq!(&words[words.len() - 3..], ["--alarm-names", "orders-errors", "Orders: 5xx > 1 %"]);
    assert!(hand.expected.starts_with("2 lines") && hand.expected.contains("up to 5m"));
}
