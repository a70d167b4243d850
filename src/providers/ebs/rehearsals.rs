//! The actions in the sandbox, with what goes wrong in real recoveries.

use crate::action::{Found, Given, ProbeVerdict, StepError};
use crate::ids::{SiteName, StepId};
use crate::journal::{FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

/// Snapshots every six hours, copied to another region an hour later.
const ESTATE: &str = r#"
estate: 1
title: ledger disk
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    volumes:
      - id: vol-0aaaaaaaaaaaaaaa1
        size: 20
        tags: { app: ledger }
        schedule:
          every: 6h
          keep: 3d
          copies: { region: ap-northeast-3, lag: 1h, copy_tags: true }
  - account: "111111111111"
    region: ap-northeast-3
"#;

const ACCOUNT: &str = "111111111111";

fn at(region: &str, faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, ACCOUNT, region, faults)
}

async fn restored(drill: &Rehearsal) -> Result<Value, StepError> {
    let by_tag = json!({ "tags": { "app": "ledger" } });
    let point = drill.run("ebs.find_snapshot", by_tag).await.unwrap();
    let input = json!({ "snapshot": point["id"], "availability_zone": "ap-northeast-3a" });
    drill.run("ebs.restore_volume", input).await
}

fn volumes(drill: &Rehearsal) -> usize {
    let all = drill.world.inventory();
    all.keys().filter(|name| name.contains("ap-northeast-3") && name.contains("volume/")).count()
}

/// Removes and looks until a look-up by name alone says that it is gone.
async fn release(drill: &Rehearsal) {
    let (key, id) = drill.ledger().into_iter().next().unwrap();
    let kind = drill.kind(&key.kind);
    let id = match kind.find(&drill.cx, &key, id.as_deref()).await.unwrap() {
        Found::Ours { id, .. } => id,
        other => panic!("{other:?}"),
    };
    for _ in 0..100 {
        if kind.find(&drill.cx, &key, None).await.unwrap() == Found::Gone {
            assert_eq!(kind.find(&drill.cx, &key, Some(&id)).await.unwrap(), Found::Gone);
            return;
        }
        kind.remove(&drill.cx, &key, &id).await.unwrap();
        drill.cx.clock.sleep(std::time::Duration::from_secs(5)).await;
    }
    panic!("it is still there");
}

#[tokio::test(start_paused = true)]
async fn a_first_hand_snapshot_is_as_old_as_its_start() {
    let drill = at("ap-northeast-1", &[]);
    let input = json!({ "volume": "vol-0aaaaaaaaaaaaaaa1", "schedule": "6h", "max_age": "6h" });
    let point = drill.run("ebs.find_snapshot", input).await.unwrap();
    assert!(point["at"].as_str().unwrap().starts_with("2026-11-22T06:00"), "{point}");
    assert_eq!(point["worst_gap"], "6h");
    assert!(point["copy_lag"].is_null());
    let checks = drill.checks();
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    assert_eq!(drill.findings(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_a_recorded_time_is_inconclusive_and_can_still_be_restored() {
    let drill = at("ap-northeast-3", &[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let volume = restored(&drill).await.unwrap();
    let mut checks = drill.checks();
    assert_eq!(checks.remove("time of the data"), Some(Outcome::Inconclusive));
    assert_eq!(checks.remove("usable recovery point"), Some(Outcome::Inconclusive));
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    assert_eq!(drill.findings(), ["ebs.time_of_data_unknown"]);
    assert_eq!((&volume["state"], &volume["size"]), (&json!("available"), &json!(20u64 << 30)));
    assert!(volume["available_after"].is_string());
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn copies_that_carry_the_time_of_their_data_are_a_recovery_point() {
    let tagged = ESTATE
        .replace("          keep: 3d\n", "          keep: 3d\n          time_tag: data-time\n");
    let drill = Rehearsal::at(&tagged, ACCOUNT, "ap-northeast-3", &[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let input = json!({ "tags": { "app": "ledger" }, "time_tag": "data-time", "schedule": "6h" });
    let point = drill.run("ebs.find_snapshot", input).await.unwrap();
    // The one of 06:00 took five minutes and an hour more to arrive: its StartTime says 06:05.
    assert_eq!(
        (&point["at"], &point["source"]),
        (&json!("2026-11-22T06:00:00Z"), &json!("tag data-time"))
    );
    assert_eq!((&point["worst_gap"], &point["copy_lag"]), (&json!("6h"), &json!("1h 5m")));
    assert_eq!(point["worst_case"], "7h 5m");
    let checks = drill.checks();
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
}

#[tokio::test(start_paused = true)]
async fn copies_keep_no_volume_so_that_looking_by_volume_finds_nothing() {
    let drill = at("ap-northeast-3", &[]);
    let by_volume = json!({ "volume": "vol-0aaaaaaaaaaaaaaa1" });
    let error = drill.run("ebs.find_snapshot", by_volume).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.into_failure().help.unwrap().contains("by tags"));
    let nothing = drill.run("ebs.find_snapshot", json!({})).await.unwrap_err();
    assert_eq!(nothing.class(), FailureClass::Broken);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_nothing_twice() {
    let drill = at("ap-northeast-3", &["ec2:CreateVolume#1=lost_reply"]);
    restored(&drill).await.unwrap();
    assert_eq!(volumes(&drill), 1);
    release(&drill).await;
    assert_eq!(volumes(&drill), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_adopts_what_the_first_one_made() {
    let drill = at("ap-northeast-3", &[]);
    let first = restored(&drill).await.unwrap();
    let second = restored(&drill).await.unwrap();
    assert_eq!(first["id"], second["id"]);
    assert!(second["available_after"].is_null());
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_ends_in_error_fails_the_step() {
    let drill = at("ap-northeast-3", &["ec2:CreateVolume=broken"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(drill.ledger().len(), 1, "what it left behind is in the ledger");
}

/// A snapshot under a key that is disabled.
const LOCKED: &str = r#"
estate: 1
title: locked disk
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-3
    kms_keys: [{ id: alias/locked, state: disabled }]
    volumes:
      - id: vol-0aaaaaaaaaaaaaaa1
        size: 20
        kms_key: alias/locked
        snapshots: [{ id: snap-0dddddddddddddd01, age: 1h }]
"#;

#[tokio::test(start_paused = true)]
async fn regression_the_key_of_a_snapshot_that_is_named_is_looked_at_before_the_day() {
    let drill = Rehearsal::at(LOCKED, ACCOUNT, "ap-northeast-3", &[]);
    let with = json!({ "snapshot": "snap-0dddddddddddddd01" });
    let given = Given::new("ledger", StepId::new("restore"), Some(SiteName::new("dr")), with);
    let probes = super::preflight::restore_volume(&drill.cx, &given).await;
    let of = |what: &str| probes.iter().find(|probe| probe.what.starts_with(what)).unwrap();
    assert_eq!(of("snapshot snap-").verdict, ProbeVerdict::works("completed"));
    assert!(matches!(of("KMS key ").verdict, ProbeVerdict::Fails { .. }), "{probes:#?}");
}
