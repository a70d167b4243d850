//! The actions in the sandbox, with what goes wrong in real recoveries.

use crate::action::{Found, WaitPlan};
use crate::aws::CallLog;
use crate::ids::StepId;
use crate::journal::{ClockPoint, Event, FailureClass, Outcome, ResourceKey};
use crate::providers::backups::rehearsal::Rehearsal;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

/// Daily snapshots at 03:00, copied to another region 40 minutes later.
const ESTATE: &str = r#"
estate: 1
title: orders
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-source }]
    databases:
      - id: orders-db
        class: db.r6g.large
        multi_az: true
        kms_key: key-source
        deletion_protection: true
        backup_retention: 7
        tags: { team: payments }
        schedule:
          every: 24h
          at: 3h
          keep: 7d
          copies: { region: ap-northeast-3, kms_key: key-copy, lag: 40m }
  - account: "111111111111"
    region: ap-northeast-3
    kms_keys: [{ id: key-copy }]
    subnet_groups: [{ name: drill, vpc: vpc-drill }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }]
"#;

const ACCOUNT: &str = "111111111111";

fn recovery_site(estate: &str, faults: &[&str]) -> Rehearsal {
    Rehearsal::at(estate, ACCOUNT, "ap-northeast-3", faults)
}

fn restore_input(snapshot: &Value) -> Value {
    json!({
        "snapshot": snapshot, "class": "db.r6g.large", "subnet_group": "drill", "security_groups": ["sg-drill"],
    })
}

async fn restored(drill: &Rehearsal) -> Result<Value, crate::action::StepError> {
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    drill.run("rds.restore_snapshot", restore_input(&point["arn"])).await
}

fn only_key(drill: &Rehearsal) -> (ResourceKey, String) {
    let ledger: Vec<_> = drill.ledger().into_iter().collect();
    assert_eq!(ledger.len(), 1, "{ledger:?}");
    (ledger[0].0.clone(), ledger[0].1.clone().unwrap_or_default())
}

/// Removes and looks until a look-up says that it is gone.
async fn release(drill: &Rehearsal) {
    let (key, id) = only_key(drill);
    let kind = drill.kind(&key.kind);
    for _ in 0..100 {
        if kind.find(&drill.cx, &key, None).await.unwrap() == Found::Gone {
            return;
        }
        kind.remove(&drill.cx, &key, &id).await.unwrap();
        drill.cx.clock.sleep(Duration::from_secs(30)).await;
    }
    panic!("it is still there");
}

#[tokio::test(start_paused = true)]
async fn the_copy_in_the_other_region_is_found_with_the_time_of_its_data() {
    let drill = recovery_site(ESTATE, &[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    let at: chrono::DateTime<chrono::Utc> = point["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(at.to_rfc3339()[..13].to_owned(), "2026-11-22T03", "{point}");
    assert_eq!((&point["key_usable"], &point["encrypted"]), (&json!(true), &json!(true)));
    assert!(point["copy_lag"].is_string() && point["worst_gap"].is_string(), "{point}");
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    let seen = drill.events().into_iter().any(|event| {
        matches!(&event, Event::RecoveryPointSeen { point, .. } if point.at == at && point.worst_case.is_some())
    });
    assert!(seen);
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_compared_timed_by_the_events_of_rds_and_released() {
    let drill = recovery_site(ESTATE, &[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let output = restored(&drill).await.unwrap();
    assert_eq!(output["status"], "available");
    assert!(output["endpoint"].is_string() && output["available_after"].is_string(), "{output}");
    let checks = drill.checks();
    assert!(checks.len() > 10, "{checks:?}");
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    let by_event = drill.events().into_iter().any(|event| {
        matches!(&event, Event::Reached { point: ClockPoint::ResourceAvailable, source, .. }
            if source.starts_with("RDS event"))
    });
    assert!(by_event);
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_nothing_twice() {
    let drill = recovery_site(ESTATE, &["rds:RestoreDBInstanceFromDBSnapshot#1=lost_reply"]);
    restored(&drill).await.unwrap();
    let instances = |all: std::collections::BTreeMap<String, String>| {
        all.keys().filter(|name| name.contains("ap-northeast-3") && name.contains(":db:")).count()
    };
    assert_eq!(instances(drill.world.inventory()), 1);
    release(&drill).await;
    assert_eq!(instances(drill.world.inventory()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_adopts_what_the_first_one_made() {
    let drill = recovery_site(ESTATE, &[]);
    let first = restored(&drill).await.unwrap();
    let second = restored(&drill).await.unwrap();
    assert_eq!(first["arn"], second["arn"]);
    assert!(second["available_after"].is_null(), "it was not this attempt that asked for it");
    release(&drill).await;
}

/// Removes so many instances at the same time, and waits for all of them; how often they were looked up meanwhile.
async fn look_ups_of_removing(count: usize) -> u32 {
    let mut drill = recovery_site(ESTATE, &[]);
    for number in 0..count {
        drill.cx.step = StepId::new(format!("restore-{number}"));
        restored(&drill).await.unwrap();
    }
    let kind = drill.kind("rds.db_instance");
    let all = drill.ledger();
    assert_eq!(all.len(), count);
    for (key, id) in &all {
        kind.remove(&drill.cx, key, id.as_deref().unwrap()).await.unwrap();
    }
    drill.cx.calls = CallLog::default();
    let hour = Duration::from_secs(60 * 60);
    let plan = WaitPlan::new("instance gone", Duration::from_secs(300), hour);
    let stands = |state: &str| {
        assert_eq!(state, "deleting");
        Ok(())
    };
    let waits = all.iter().map(|(key, id)| {
        kind.vanishes(&drill.cx, key, id.as_deref().unwrap(), &plan, &stands).unwrap()
    });
    for vanished in join_all(waits).await {
        vanished.unwrap();
    }
    let seen = drill.cx.calls.seen().into_iter();
    let looks = seen.filter(|call| call.operation == "rds:DescribeDBInstances").map(|c| c.count);
    let looks = looks.sum();
    for key in all.keys() {
        assert_eq!(kind.find(&drill.cx, key, None).await.unwrap(), Found::Gone);
    }
    looks
}

#[tokio::test(start_paused = true)]
async fn regression_many_that_are_removed_at_once_are_looked_up_together() {
    let one = look_ups_of_removing(1).await;
    assert!(one > 5, "{one}");
    // Each that comes to the others looks at once, or is taken along.
    let many = look_ups_of_removing(25).await;
    assert!(many <= one + 1, "{many} look-ups for 25, {one} for one");
}

#[tokio::test(start_paused = true)]
async fn deletion_protection_of_our_own_does_not_stop_the_release() {
    let drill = recovery_site(ESTATE, &[]);
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    let mut input = restore_input(&point["arn"]);
    input["deletion_protection"] = json!(true);
    drill.run("rds.restore_snapshot", input).await.unwrap();
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_somebody_else_is_never_removed() {
    let drill = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-1", &[]);
    let key = ResourceKey {
        kind: "rds.db_instance".to_owned(),
        name: "orders-db".to_owned(),
        site: drill.cx.at.clone().unwrap(),
    };
    let kind = drill.kind(&key.kind);
    let found = kind.find(&drill.cx, &key, None).await.unwrap();
    assert!(matches!(found, Found::Foreign { .. }), "{found:?}");
    assert!(kind.remove(&drill.cx, &key, "orders-db").await.is_err());
    assert!(drill.world.inventory().keys().any(|name| name.ends_with(":db:orders-db")));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_ends_in_another_state_fails_at_once() {
    let drill = recovery_site(ESTATE, &["rds:RestoreDBInstanceFromDBSnapshot=broken"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.to_string().contains("incompatible-restore"), "{error}");
    assert_eq!(drill.ledger().len(), 1, "what it left behind is in the ledger");
}

#[tokio::test(start_paused = true)]
async fn a_region_without_copies_has_no_recovery_point_and_says_what_to_do() {
    let without = ESTATE
        .replace("          copies: { region: ap-northeast-3, kms_key: key-copy, lag: 40m }\n", "");
    let drill = recovery_site(&without, &[]);
    let error = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.into_failure().help.unwrap().contains("stay in the region"));
    assert_eq!(drill.findings(), ["rds.no_usable_recovery_point"]);
    assert_eq!(drill.checks()["usable recovery point"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_key_is_no_recovery_point_and_a_denied_look_is_inconclusive() {
    let disabled = ESTATE.replace("{ id: key-copy }", "{ id: key-copy, state: disabled }");
    let drill = recovery_site(&disabled, &[]);
    let error = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap_err();
    assert!(error.to_string().contains("Disabled"), "{error}");
    let drill = recovery_site(ESTATE, &["kms:DescribeKey=error:AccessDeniedException:400"]);
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert!(point["key_usable"].is_null());
    assert_eq!(drill.checks()["encryption key"], Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn a_missed_copy_is_a_finding_and_shows_in_the_worst_gap() {
    let skipped = ESTATE.replace("lag: 40m }", "lag: 40m, skipped: [2, 3] }");
    let drill = recovery_site(&skipped, &[]);
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert!(drill.findings().contains(&"rds.schedule_missed".to_owned()), "{:?}", drill.findings());
    assert!(point["worst_gap"].as_str().unwrap().starts_with("3d"), "{point}");
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_made_again() {
    let drill = recovery_site(ESTATE, &["rds:*<2=throttle"]);
    restored(&drill).await.unwrap();
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn the_configuration_of_the_source_is_captured() {
    let drill = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-1", &[]);
    let config = drill.run("rds.capture_config", json!({ "instance": "orders-db" })).await.unwrap();
    for (name, expected) in [
        ("multi_az", json!(true)),
        ("deletion_protection", json!(true)),
        ("backup_retention", json!("7d")),
        ("class", json!("db.r6g.large")),
        ("encrypted", json!(true)),
        ("tags", json!({ "team": "payments" })),
    ] {
        assert_eq!(config[name], expected, "{name}");
    }
    assert_eq!(drill.checks()["parameters read"], Outcome::Passed);
    let error = drill.run("rds.capture_config", json!({ "instance": "gone" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
}

#[tokio::test(start_paused = true)]
async fn regression_an_instance_that_is_not_visible_yet_is_waited_for() {
    let drill = recovery_site(ESTATE, &["rds:DescribeDBInstances<3=stale:10m"]);
    assert_eq!(restored(&drill).await.unwrap()["status"], "available");
}

#[tokio::test(start_paused = true)]
async fn regression_an_instance_that_exists_already_and_is_not_visible_yet_is_adopted() {
    let faults =
        ["rds:RestoreDBInstanceFromDBSnapshot#1=lost_reply", "rds:DescribeDBInstances<2=stale:10m"];
    let drill = recovery_site(ESTATE, &faults);
    assert_eq!(restored(&drill).await.unwrap()["status"], "available");
    only_key(&drill);
}
