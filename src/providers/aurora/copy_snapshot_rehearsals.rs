//! Copies of cluster snapshots across regions and accounts, in the sandbox.

use crate::action::Found;
use crate::journal::{FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

const ESTATE: &str = r#"
estate: 1
title: payments
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: alias/payments }]
    clusters:
      - id: payments
        kms_key: alias/payments
        instances: [{ id: payments-1 }]
        snapshots: [{ id: nightly, age: 1h }]
  - account: "111111111111"
    region: ap-northeast-3
    kms_keys: [{ id: alias/payments-dr }, { id: alias/off, state: disabled }]
"#;

const ORIGINAL: &str = "arn:aws:rds:ap-northeast-1:111111111111:cluster-snapshot:nightly";

fn drill(faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, "111111111111", "ap-northeast-3", faults)
}

/// A scenario that has the site of the original, too.
fn of_two_sites() -> Rehearsal {
    drill(&[]).with_site("home", "111111111111", "ap-northeast-1")
}

fn input() -> Value {
    json!({ "snapshot": ORIGINAL, "kms_key": "alias/payments-dr",
        "data_time": "2026-11-22T08:55:00Z", "time_tag": "data-time" })
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_under_the_key_of_its_region_and_tells_of_which_time_its_data_is() {
    let drill = of_two_sites();
    let copy = drill.run("aurora.copy_snapshot", input()).await.unwrap();
    assert_eq!(copy["at"], json!("2026-11-22T08:55:00Z"));
    assert!(copy["kms_key"].as_str().unwrap().contains(":ap-northeast-3:"), "{copy}");
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    // What a drill made is no recovery point of a schedule: it has to be named.
    let mut wanted = json!({ "of": "payments", "time_tag": "data-time" });
    let error = drill.run("aurora.find_snapshot", wanted.clone()).await.unwrap_err();
    assert!(error.to_string().contains("were made by drills"), "{error}");
    wanted["own_copy"] = copy["arn"].clone();
    let found = drill.run("aurora.find_snapshot", wanted).await.unwrap();
    assert_eq!((&found["arn"], &found["at"]), (&copy["arn"], &copy["at"]));
    assert!(found["worst_gap"].is_null() && found["copy_lag"].is_null(), "{found}");
}

#[tokio::test(start_paused = true)]
async fn regression_a_time_after_the_original_was_taken_is_refused_and_nothing_is_copied() {
    for (data_time, accepted) in [
        ("2026-11-22T09:00:00Z", true),
        ("2026-11-22T09:00:01Z", false),
        ("2026-11-22T10:02:00Z", false),
    ] {
        let drill = of_two_sites();
        let mut with = input();
        with["data_time"] = json!(data_time);
        let copied = drill.run("aurora.copy_snapshot", with).await;
        assert_eq!(copied.is_ok(), accepted, "{data_time}: {copied:?}");
        if let Err(error) = copied {
            assert!(error.to_string().contains("is later than the snapshot"), "{error}");
            assert!(drill.ledger().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_time_that_nobody_can_confirm_is_not_verified() {
    let denied = ["rds:DescribeDBClusterSnapshots@ap-northeast-1=error:AccessDenied:403"];
    let dark = drill(&denied).with_site("home", "111111111111", "ap-northeast-1");
    let another = drill(&[]).with_site("home", "222222222222", "ap-northeast-1");
    for drill in [drill(&[]), dark, another] {
        let copy = drill.run("aurora.copy_snapshot", input()).await.unwrap();
        assert_eq!(copy["at"], json!("2026-11-22T08:55:00Z"), "as it was written");
        assert_eq!(drill.checks()["time of the data"], Outcome::Inconclusive);
    }
    let named = drill(&[]).with_site("any", "111111111111", "ap-northeast-1");
    let mut with = input();
    with["original_at"] = json!("any");
    named.run("aurora.copy_snapshot", with).await.unwrap();
    assert_eq!(named.checks()["time of the data"], Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_copy_on_which_nobody_wrote_the_time_of_its_data_tells_none() {
    let drill = drill(&[]);
    let bare = json!({ "snapshot": ORIGINAL, "kms_key": "alias/payments-dr" });
    let copy = drill.run("aurora.copy_snapshot", bare).await.unwrap();
    assert!(copy["at"].is_null());
    assert_eq!(drill.checks()["time of the data"], Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn data_that_is_younger_than_its_copy_is_not_believed() {
    let drill = drill(&[]);
    let mut with = input();
    with["data_time"] = json!("2026-11-23T08:55:00Z");
    let copy = drill.run("aurora.copy_snapshot", with).await.unwrap();
    assert!(copy["at"].is_null());
    let checks = drill.checks();
    assert_eq!(checks["time of the data"], Outcome::Inconclusive);
    assert_eq!((checks["complete"], checks["encryption key"]), (Outcome::Passed, Outcome::Passed));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_ends_otherwise_fails_the_step_and_is_not_called_complete() {
    let drill = drill(&["rds:CopyDBClusterSnapshot#1=broken"]);
    let error = drill.run("aurora.copy_snapshot", input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery, "{error}");
    assert_eq!(drill.checks()["complete"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_off_or_missing_ends_the_copy() {
    for key in [json!("alias/off"), Value::Null] {
        let drill = drill(&[]);
        let with = json!({ "snapshot": ORIGINAL, "kms_key": key });
        let error = drill.run("aurora.copy_snapshot", with).await.unwrap_err();
        assert_ne!(error.class(), FailureClass::Transient, "{error}");
        assert!(drill.run("aurora.find_snapshot", json!({ "of": "payments" })).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_copies_nothing_twice_and_the_copy_is_removed_by_its_name() {
    let drill = drill(&["rds:CopyDBClusterSnapshot#1=lost_reply"]);
    let copy = drill.run("aurora.copy_snapshot", input()).await.unwrap();
    let made = drill.world.inventory();
    let copies =
        made.keys().filter(|name| name.contains("ap-northeast-3:111111111111:cluster-snap"));
    assert_eq!(copies.count(), 1);
    let key = drill.ledger().into_keys().find(|key| key.kind == "aurora.cluster_snapshot").unwrap();
    let kind = drill.kind("aurora.cluster_snapshot");
    let Found::Ours { id, .. } = kind.find(&drill.cx, &key, None).await.unwrap() else {
        panic!("{key} is not found")
    };
    assert_eq!(json!(id), copy["arn"]);
    kind.remove(&drill.cx, &key, &id).await.unwrap();
    assert_eq!(kind.find(&drill.cx, &key, None).await.unwrap(), Found::Gone);
}
