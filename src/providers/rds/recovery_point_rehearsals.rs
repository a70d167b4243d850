//! Which snapshots are recovery points, and what is copied and restored of them, in the sandbox.

use super::point_in_time_rehearsals::{ACCOUNT, ESTATE, after_the_loss, at_home};
use crate::journal::{FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn regression_a_copy_within_the_region_is_compared_with_the_key_of_its_original() {
    let drill = at_home(&[]);
    let input = json!({ "snapshot": "before-release" });
    let copy = drill.run("rds.copy_snapshot", input).await.unwrap();
    assert!(copy["kms_key"].as_str().unwrap().contains("key-source"), "{copy}");
    assert_eq!(drill.checks()["encryption key"], Outcome::Passed);
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
}

#[tokio::test(start_paused = true)]
async fn regression_snapshots_of_a_version_that_is_gone_are_no_recovery_points() {
    let gone = ESTATE.replace(
        "    kms_keys: [{ id: key-copy }",
        "    engine_versions_gone: [postgres 16.4]\n    kms_keys: [{ id: key-copy }",
    );
    let drill = after_the_loss(&gone, &[]);
    let error = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.to_string().contains("postgres 16.4 is not offered here"), "{error}");
    let checks = drill.checks();
    assert_eq!(checks["usable recovery point"], Outcome::Failed);
    assert_eq!(checks["engine version offered"], Outcome::Failed);
    // Who may not ask sees what is there, and that nobody knows.
    let fault = "rds:DescribeDBEngineVersions=error:AccessDenied:403";
    let dark = after_the_loss(&gone, &[fault]);
    let point = dark.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert!(point["usable_snapshots"].as_u64().unwrap() > 0 && point["version_offered"].is_null());
    assert_eq!(dark.checks()["engine version offered"], Outcome::Inconclusive);
}

/// RDS tells no times of its snapshots; the job that copies them tags them.
fn untold(more: &str) -> String {
    ESTATE
        .replace(
            "        backup_retention: 7\n",
            "        backup_retention: 7\n        untold: [SnapshotDatabaseTime, OriginalSnapshotCreateTime]\n",
        )
        .replace("lag: 20h }", "lag: 20h, time_tag: data-time }")
        .replace("{ id: before-release, age: 30m,", &format!("{{ id: before-release, age: 60d{more},"))
}

#[tokio::test(start_paused = true)]
async fn a_tag_tells_the_time_of_a_copy_where_rds_does_not() {
    let drill = after_the_loss(&untold(""), &[]);
    let silent = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert_eq!((&silent["at"], &silent["usable_snapshots"]), (&Value::Null, &json!(0)));
    let input = json!({ "of": "orders-db", "time_tag": "data-time" });
    let point = drill.run("rds.find_snapshot", input).await.unwrap();
    assert_eq!(point["at"], "2026-11-21T03:00:00Z", "{point}");
    assert_eq!(point["source"], "tag data-time");
}

#[tokio::test(start_paused = true)]
async fn regression_a_wrong_tag_does_not_make_an_old_snapshot_the_newest() {
    let tag = ", tags: { data-time: \"2026-11-22T09:59:00Z\" }";
    let drill = Rehearsal::at(&untold(tag), ACCOUNT, "ap-northeast-1", &[]);
    let input = json!({ "of": "orders-db", "time_tag": "data-time" });
    let point = drill.run("rds.find_snapshot", input).await.unwrap();
    assert_eq!(point["kind"], "automated", "{point}");
    assert_eq!(point["at"], "2026-11-22T03:00:00Z");
    assert!(drill.findings().contains(&"rds.time_tag_wrong".to_owned()), "{:?}", drill.findings());
}

#[tokio::test(start_paused = true)]
async fn regression_an_old_snapshot_that_somebody_took_makes_no_gap_in_a_healthy_schedule() {
    let old = ESTATE.replace("id: before-release, age: 30m", "id: before-release, age: 60d");
    let drill = Rehearsal::at(&old, ACCOUNT, "ap-northeast-1", &[]);
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert_eq!(point["worst_gap"], "1d", "{point}");
    assert!(point["retention"].as_str().unwrap().starts_with("6d"), "{point}");
    assert!(!drill.findings().contains(&"rds.schedule_missed".to_owned()));
    let manual = json!({ "of": "orders-db", "types": ["manual", "automated"], "schedule": "6h" });
    drill.run("rds.find_snapshot", manual).await.unwrap();
    assert!(drill.findings().contains(&"rds.schedule_missed".to_owned()), "it can still be found");
}

#[tokio::test(start_paused = true)]
async fn regression_a_restore_without_a_subnet_group_is_pointed_out() {
    let drill = at_home(&[]);
    let input = json!({ "instance": "orders-db", "class": "db.r6g.large" });
    drill.run("rds.restore_point_in_time", input).await.unwrap();
    assert!(drill.findings().contains(&"rds.default_subnet_group".to_owned()));
}
