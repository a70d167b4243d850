//! Points in time, copies, tags and promotions in the sandbox, with what goes wrong in real recoveries.

use crate::action::{Found, StepError};
use crate::journal::{ClockPoint, Event, FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use chrono::DurationRound;
use serde_json::{Value, json};

/// Automated backups that are replicated to another region, five minutes behind; an instance that was deleted, another account.
pub(super) const ESTATE: &str = r#"
estate: 1
title: orders
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
  "222222222222": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-source }]
    databases:
      - id: orders-db
        class: db.r6g.large
        kms_key: key-source
        backup_retention: 7
        tags: { system: orders }
        schedule:
          every: 24h
          at: 3h
          keep: 7d
          copies: { region: ap-northeast-3, kms_key: key-copy, lag: 20h }
        snapshots:
          - { id: "awsbackup:job-1", age: 2h, taken_by: awsbackup, tags: { system: orders } }
          - { id: before-release, age: 30m, shared_with: ["222222222222"] }
        replicated_backups: { region: ap-northeast-3, kms_key: key-copy, lag: 5m, keep: 7d }
      - id: closed-db
        deleted: 2d
        snapshots: [{ id: closed-final, age: 3d, shared_with: ["222222222222"] }]
      - { id: no-backups, backup_retention: 0 }
      - { id: orders-replica, replica_of: { id: orders-db, lag: 30s } }
  - account: "111111111111"
    region: ap-northeast-3
    kms_keys: [{ id: key-copy }, { id: key-off, state: disabled }]
    subnet_groups: [{ name: drill, vpc: vpc-drill }, { name: prod, vpc: vpc-prod }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }, { id: sg-prod, vpc: vpc-prod }]
    databases:
      - { id: orders-abroad, replica_of: { id: orders-db, region: ap-northeast-1, lag: 2m } }
  - account: "222222222222"
    region: ap-northeast-1
    kms_keys: [{ id: key-other }]
"#;

pub(super) const ACCOUNT: &str = "111111111111";

pub(super) fn at_home(faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-1", faults)
}

/// The region that is left when the other one is lost.
pub(super) fn after_the_loss(estate: &str, faults: &[&str]) -> Rehearsal {
    let drill = Rehearsal::at(estate, ACCOUNT, "ap-northeast-3", faults);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    drill
}

async fn backup(drill: &Rehearsal) -> Value {
    drill.run("rds.find_automated_backup", json!({ "of": "orders-db" })).await.unwrap()
}

fn input(backup: &Value) -> Value {
    json!({
        "backup": backup["backup"], "class": "db.r6g.large", "subnet_group": "drill", "vpc": "vpc-drill",
        "security_groups": ["sg-drill"],
    })
}

fn with(mut input: Value, more: &Value) -> Value {
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

async fn restored(drill: &Rehearsal) -> Result<Value, StepError> {
    let found = backup(drill).await;
    drill.run("rds.restore_point_in_time", input(&found)).await
}

fn seen_points(drill: &Rehearsal) -> Vec<String> {
    let points = drill.events().into_iter().filter_map(|event| match event {
        Event::RecoveryPointSeen { point, .. } => Some(point.at.to_rfc3339()),
        _ => None,
    });
    points.collect()
}

#[tokio::test(start_paused = true)]
async fn the_latest_time_of_replicated_backups_is_restored_when_the_source_is_gone() {
    let drill = after_the_loss(ESTATE, &[]);
    let found = backup(&drill).await;
    assert_eq!(found["at"], "2026-11-22T09:55:00Z");
    assert_eq!(found["status"], "replicating");
    assert_eq!((&found["key_usable"], &found["version_offered"]), (&json!(true), &json!(true)));
    assert!(found["retention"].as_str().unwrap().starts_with("7d"), "{found}");
    let output = drill.run("rds.restore_point_in_time", input(&found)).await.unwrap();
    assert_eq!((&output["status"], &output["encrypted"]), (&json!("available"), &json!(true)));
    let checks = drill.checks();
    assert!(checks.contains_key("in the restore window") && checks.contains_key("vpc"));
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    // Of the backup, before the restore was asked for, and with its end.
    assert_eq!(seen_points(&drill), ["2026-11-22T09:55:00+00:00"; 3]);
    let by_event = drill.events().into_iter().any(|event| {
        matches!(&event, Event::Reached { point: ClockPoint::ResourceAvailable, source, .. }
            if source.starts_with("RDS event"))
    });
    assert!(by_event, "the moment is that of an event");
}

#[tokio::test(start_paused = true)]
async fn regression_a_later_attempt_tells_the_latest_time_of_when_the_restore_was_asked_for() {
    let drill = at_home(&[]);
    let input = json!({ "instance": "orders-db", "class": "db.r6g.large" });
    let first = drill.run("rds.restore_point_in_time", input.clone()).await.unwrap();
    drill.cx.clock.sleep(std::time::Duration::from_secs(3600)).await;
    let end = last_end(&drill);
    let again = drill.run("rds.restore_point_in_time", input).await.unwrap();
    for told in [first, again] {
        let sides = (&told["shortly_before"], &told["data_until"]);
        assert_eq!(sides, (&json!("2026-11-22T09:50:00Z"), &json!("2026-11-22T09:55:00Z")));
        let after = told["nothing_after"].as_str().unwrap();
        assert!(after.starts_with("2026-11-22T10:05"), "five minutes after the answer: {after}");
    }
    assert_eq!(seen_points(&drill), ["2026-11-22T09:55:00+00:00"; 3]);
    assert_eq!([end.as_str(), &last_end(&drill)], ["2026-11-22T10:05:00+00:00"; 2]);
}

/// Until when data of the point that was told last can be, to the minute.
fn last_end(drill: &Rehearsal) -> String {
    let end = drill.events().into_iter().rev().find_map(|event| match event {
        Event::RecoveryPointSeen { point, .. } => point.not_newer_than,
        _ => None,
    });
    let end = end.unwrap();
    assert!(end.certain);
    end.at.duration_trunc(chrono::TimeDelta::minutes(1)).unwrap().to_rfc3339()
}

#[tokio::test(start_paused = true)]
async fn regression_a_restore_that_was_never_accepted_leaves_no_latest_time_to_a_later_attempt() {
    let drill = at_home(&["rds:RestoreDBInstanceToPointInTime<5=throttle"]);
    let input = json!({ "instance": "orders-db", "class": "db.r6g.large" });
    let error = drill.run("rds.restore_point_in_time", input.clone()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Throttled, "{error}");
    assert_eq!(drill.ledger().len(), 1, "it was intended");
    drill.cx.clock.sleep(std::time::Duration::from_secs(3600)).await;
    drill.run("rds.restore_point_in_time", input).await.unwrap();
    let points = seen_points(&drill);
    assert_eq!(points[0], "2026-11-22T09:55:00+00:00");
    assert_eq!(points[1..], ["2026-11-22T10:55:00+00:00"; 2], "as of when it was made");
    assert_eq!(last_end(&drill), "2026-11-22T11:05:00+00:00");
}

#[tokio::test(start_paused = true)]
async fn regression_the_end_of_the_window_is_not_asked_for_by_its_time() {
    let drill = after_the_loss(ESTATE, &[]);
    let found = backup(&drill).await;
    let latest = with(input(&found), &json!({ "to": found["latest"] }));
    let error = drill.run("rds.restore_point_in_time", latest).await.unwrap_err();
    assert!(error.into_failure().help.unwrap().contains("leave out to:"));
    assert_eq!(drill.checks()["in the restore window"], Outcome::Failed);
    assert!(drill.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn regression_the_time_that_people_take_after_the_loss_is_not_the_backups() {
    let drill = after_the_loss(ESTATE, &[]);
    drill.declare();
    drill.cx.clock.sleep(std::time::Duration::from_secs(2 * 3600)).await;
    let wanted = json!({ "of": "orders-db", "max_age": "20m" });
    let found = drill.run("rds.find_automated_backup", wanted).await.unwrap();
    assert_eq!((&found["age"], &found["worst_case"]), (&json!("5m"), &json!("10m")), "{found}");
    assert_eq!(drill.checks()["age"], Outcome::Passed);
    assert_eq!(drill.findings(), Vec::<String>::new(), "no logs can come any more");
    let snapshot = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert_eq!((&snapshot["age"], &snapshot["worst_gap"]), (&json!("1d 7h"), &json!("1d 7h")));
}

#[tokio::test(start_paused = true)]
async fn a_wished_time_is_restored_and_one_outside_of_the_window_makes_nothing() {
    let drill = at_home(&[]);
    let wish = |to: &str| json!({ "instance": "orders-db", "class": "db.r6g.large", "to": to, "backup_retention": "0s" });
    for outside in ["2026-11-22T09:59:00Z", "2026-11-01T00:00:00Z"] {
        let error = drill.run("rds.restore_point_in_time", wish(outside)).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Recovery);
        assert_eq!(drill.checks()["in the restore window"], Outcome::Failed);
    }
    assert!(drill.ledger().is_empty());
    let output =
        drill.run("rds.restore_point_in_time", wish("2026-11-20T12:34:56Z")).await.unwrap();
    assert_eq!(output["status"], "available");
    assert_eq!(seen_points(&drill), ["2026-11-20T12:34:56+00:00"]);
    let sides = (&output["data_until"], &output["nothing_after"]);
    assert_eq!(sides, (&json!("2026-11-20T12:34:56Z"), &json!("2026-11-20T12:34:56Z")));
    assert_eq!(output["shortly_before"], "2026-11-20T12:29:56Z");
    assert_eq!(drill.checks()["backup_retention"], Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn retained_backups_of_a_deleted_instance_are_restored_by_its_identity() {
    let drill = at_home(&[]);
    let found = drill.run("rds.find_automated_backup", json!({ "of": "closed-db" })).await.unwrap();
    assert_eq!(
        (&found["status"], &found["at"]),
        (&json!("retained"), &json!("2026-11-20T10:00:00Z"))
    );
    let by_identity = json!({ "backup": found["resource_id"], "class": "db.r6g.large" });
    let output = drill.run("rds.restore_point_in_time", by_identity).await.unwrap();
    assert_eq!(output["status"], "available");
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_automated_backups_has_no_point_in_time() {
    let drill = at_home(&[]);
    let of = json!({ "of": "no-backups" });
    let error = drill.run("rds.find_automated_backup", of).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(drill.findings(), ["rds.no_usable_automated_backup"]);
    let input = json!({ "instance": "no-backups", "class": "db.r6g.large" });
    let error = drill.run("rds.restore_point_in_time", input).await.unwrap_err();
    assert!(error.into_failure().help.unwrap().contains("backup retention is 0"));
    assert!(drill.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn everything_that_can_be_wished_for_is_asked_for_and_compared() {
    let drill = after_the_loss(ESTATE, &[]);
    let found = backup(&drill).await;
    let wishes = json!({
        "storage_type": "io2", "iops": 16000, "storage_throughput": 1000, "port": 5433, "iam_auth": true,
        "backup_retention": "14d", "log_exports": ["postgresql", "upgrade"], "ca": "rds-ca-ecc384-g1",
        "monitoring": { "every": "60s", "role": "arn:aws:iam::111111111111:role/monitoring" },
        "parameter_group": "default.postgres16", "option_group": "default:postgres-16", "multi_az": true,
        "deletion_protection": true,
    });
    drill.run("rds.restore_point_in_time", with(input(&found), &wishes)).await.unwrap();
    let checks = drill.checks();
    for name in ["storage_throughput", "backup_retention", "log_exports", "ca", "monitoring"] {
        assert_eq!(checks[name], Outcome::Passed, "{name}");
    }
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_subnet_group_in_another_vpc_makes_nothing_and_a_public_address_is_a_finding() {
    let drill = after_the_loss(ESTATE, &[]);
    let found = backup(&drill).await;
    let elsewhere = with(input(&found), &json!({ "subnet_group": "prod" }));
    let error = drill.run("rds.restore_point_in_time", elsewhere).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(drill.checks()["vpc"], Outcome::Failed);
    assert!(drill.ledger().is_empty());
    let public = with(input(&found), &json!({ "publicly_accessible": true }));
    drill.run("rds.restore_point_in_time", public).await.unwrap();
    assert!(drill.findings().contains(&"rds.publicly_accessible".to_owned()));
    assert_eq!(drill.checks()["publicly_accessible"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_ends_otherwise_fails_and_each_fault_is_red() {
    let point = "rds:RestoreDBInstanceToPointInTime";
    for (fault, words) in [
        (format!("{point}=broken"), "incompatible-restore"),
        (format!("{point}=error:InsufficientDBInstanceCapacity"), "InsufficientDBInstanceCapacity"),
        (format!("{point}=error:KMSKeyNotAccessibleFault"), "KMSKeyNotAccessibleFault"),
        (format!("{point}=error:DBParameterGroupNotFound:404"), "DBParameterGroupNotFound"),
    ] {
        let drill = after_the_loss(ESTATE, &[&fault]);
        let error = restored(&drill).await.unwrap_err();
        assert!(error.to_string().contains(words), "{fault}: {error}");
        assert!(
            matches!(error.class(), FailureClass::Recovery | FailureClass::NotFound),
            "{fault}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_never_ends_times_out() {
    let drill = after_the_loss(ESTATE, &["rds:RestoreDBInstanceToPointInTime=stuck"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut);
    assert!(error.to_string().contains("creating"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn throttling_through_the_whole_restore_delays_it_and_loses_nothing() {
    let each = [
        "DescribeDBInstanceAutomatedBackups",
        "DescribeDBEngineVersions",
        "DescribeDBSubnetGroups",
        "RestoreDBInstanceToPointInTime",
        "DescribeDBInstances",
        "DescribeEvents",
    ];
    let faults: Vec<_> = each.iter().map(|call| format!("rds:{call}<2=throttle")).collect();
    let faults: Vec<_> = faults.iter().map(String::as_str).chain(["kms:*<2=throttle"]).collect();
    let drill = after_the_loss(ESTATE, &faults);
    assert_eq!(restored(&drill).await.unwrap()["status"], "available");
    assert_eq!(drill.ledger().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_restores_nothing_twice() {
    let drill = after_the_loss(ESTATE, &["rds:RestoreDBInstanceToPointInTime#1=lost_reply"]);
    restored(&drill).await.unwrap();
    let made = drill.world.inventory();
    let made =
        made.keys().filter(|name| name.contains("ap-northeast-3") && name.contains(":db:redrill-"));
    assert_eq!(made.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_and_one_that_cannot_be_looked_up_are_not_the_same() {
    let gone = ESTATE.replace(
        "    kms_keys: [{ id: key-copy }",
        "    engine_versions_gone: [postgres 16.4]\n    kms_keys: [{ id: key-copy }",
    );
    let drill = after_the_loss(&gone, &[]);
    let wanted = json!({ "of": "orders-db" });
    let error = drill.run("rds.find_automated_backup", wanted).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.to_string().contains("postgres 16.4"), "{error}");
    assert_eq!(drill.checks()["usable recovery point"], Outcome::Failed);
    assert_eq!(drill.checks()["engine version offered"], Outcome::Failed);
    let denied = ["rds:DescribeDBEngineVersions=error:AccessDenied:403"];
    let drill = after_the_loss(ESTATE, &denied);
    assert!(backup(&drill).await["version_offered"].is_null());
    assert_eq!(drill.checks()["engine version offered"], Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn a_copy_made_twenty_hours_later_is_as_old_as_its_original() {
    let drill = after_the_loss(ESTATE, &[]);
    let point = drill.run("rds.find_snapshot", json!({ "of": "orders-db" })).await.unwrap();
    assert!(point["at"].as_str().unwrap().starts_with("2026-11-21T03:"), "{point}");
    assert!(point["in_region_since"].as_str().unwrap().starts_with("2026-11-21T23:"), "{point}");
    assert!(point["copy_lag"].as_str().unwrap().starts_with("20h"), "{point}");
    assert_eq!(point["copies"], point["usable_snapshots"]);
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_aws_backup_are_found_and_so_are_those_with_certain_tags() {
    let drill = at_home(&[]);
    let tagged = json!({ "tags": { "system": "orders" } });
    let point = drill.run("rds.find_snapshot", tagged).await.unwrap();
    assert_eq!((&point["kind"], &point["snapshots_considered"]), (&json!("awsbackup"), &json!(1)));
    let neither = drill.run("rds.find_snapshot", json!({})).await.unwrap_err();
    assert!(neither.to_string().contains("nothing says which snapshots are meant"));
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_other_accounts_are_found_only_when_asked_for() {
    let drill = Rehearsal::at(ESTATE, "222222222222", "ap-northeast-1", &[]);
    let own = json!({ "of": "closed-db" });
    assert!(drill.run("rds.find_snapshot", own).await.is_err());
    let shared = json!({ "of": "closed-db", "shared": true, "types": ["shared"] });
    let point = drill.run("rds.find_snapshot", shared).await.unwrap();
    assert_eq!((&point["id"], &point["owner"]), (&json!("closed-final"), &json!(ACCOUNT)));
    let error = drill.run("rds.find_snapshot", json!({ "of": "orders-db", "shared": true }));
    let error = error.await.unwrap_err().to_string();
    assert!(error.ends_with("are shared by another account and encrypted"), "{error}");
    // Whoever shares it shares its key: it can be copied.
    let to_copy = json!({ "of": "orders-db", "shared": true, "to_copy": true });
    let point = drill.run("rds.find_snapshot", to_copy).await.unwrap();
    assert_eq!((&point["id"], &point["key_usable"]), (&json!("before-release"), &json!(true)));
}

async fn copied(drill: &Rehearsal, key: &str) -> Result<Value, StepError> {
    let arn = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-release";
    drill.run("rds.copy_snapshot", json!({ "snapshot": arn, "kms_key": key })).await
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_copied_with_a_key_of_the_region_and_the_copy_is_released() {
    let drill = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-3", &[]);
    let copy = copied(&drill, "key-copy").await.unwrap();
    assert_eq!(copy["at"], "2026-11-22T09:30:00Z");
    assert!(copy["available_source"].as_str().unwrap().starts_with("RDS event: Finished copy"));
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    let ledger = drill.ledger();
    let (key, id) = ledger.iter().next().unwrap();
    let kind = drill.kind(&key.kind);
    assert!(matches!(kind.find(&drill.cx, key, None).await.unwrap(), Found::Ours { .. }));
    kind.remove(&drill.cx, key, id.as_deref().unwrap()).await.unwrap();
    assert_eq!(kind.find(&drill.cx, key, None).await.unwrap(), Found::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_a_usable_key_of_a_lost_original_or_one_that_fails_is_red() {
    let drill = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-3", &[]);
    for key in ["key-off", "key-that-is-not-there"] {
        let error = copied(&drill, key).await.unwrap_err();
        assert!(error.to_string().contains("KMSKeyNotAccessible"), "{key}: {error}");
    }
    let lost = after_the_loss(ESTATE, &[]);
    assert!(copied(&lost, "key-copy").await.is_err());
    let broken = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-3", &["rds:CopyDBSnapshot=broken"]);
    let error = copied(&broken, "key-copy").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(broken.checks()["complete"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_deleted_between_finding_and_restoring_fails_the_restore() {
    let drill = at_home(&[]);
    let missing = json!({ "snapshot": "gone-meanwhile", "class": "db.r6g.large" });
    let error = drill.run("rds.restore_snapshot", missing).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
    assert!(drill.ledger().is_empty());
    // It was there when the step looked, and is gone when RDS does.
    let fault = "rds:RestoreDBInstanceFromDBSnapshot=error:DBSnapshotNotFound:404";
    let drill = at_home(&[fault]);
    let input = json!({ "snapshot": "before-release", "class": "db.r6g.large" });
    let error = drill.run("rds.restore_snapshot", input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
}

fn promotion() -> Value {
    json!({ "instance": "orders-replica", "effect": "external", "backup_retention": "14d" })
}

#[tokio::test(start_paused = true)]
async fn a_drill_promotes_nothing() {
    let drill = at_home(&[]);
    let error = drill.run("rds.promote_replica", promotion()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(drill.ledger().is_empty() && drill.checks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_promoted_in_a_recovery_and_never_removed() {
    let drill = at_home(&[]).in_recovery();
    let output = drill.run("rds.promote_replica", promotion()).await.unwrap();
    assert_eq!(
        (&output["replica_of"], &output["status"]),
        (&json!("orders-db"), &json!("available"))
    );
    assert!(output["promoted_after"].is_string());
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    let by_event = drill.events().into_iter().any(|event| {
        matches!(&event, Event::Reached { source, .. } if source.contains("Promoted Read Replica"))
    });
    assert!(by_event);
    let again = drill.run("rds.promote_replica", promotion()).await.unwrap();
    assert_eq!((&again["status"], &again["promoted_after"]), (&json!("available"), &Value::Null));
    let ledger = drill.ledger();
    let (key, id) = ledger.iter().next().unwrap();
    let kind = drill.kind(&key.kind);
    let refused = kind.remove(&drill.cx, key, id.as_deref().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("production now"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_in_another_region_is_promoted_when_its_source_is_lost() {
    let drill = after_the_loss(ESTATE, &[]).in_recovery();
    let abroad = json!({ "instance": "orders-abroad", "effect": "external" });
    let output = drill.run("rds.promote_replica", abroad).await.unwrap();
    let source = "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db";
    assert_eq!((&output["replica_of"], &output["status"]), (&json!(source), &json!("available")));
}

#[tokio::test(start_paused = true)]
async fn only_a_replica_is_promoted_and_a_promotion_that_fails_is_red() {
    let drill = at_home(&[]).in_recovery();
    let source = json!({ "instance": "orders-db", "effect": "external" });
    let error = drill.run("rds.promote_replica", source).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(drill.checks()["is a read replica"], Outcome::Failed);
    assert!(drill.ledger().is_empty());
    let drill = at_home(&["rds:PromoteReadReplica=broken"]).in_recovery();
    let error = drill.run("rds.promote_replica", promotion()).await.unwrap_err();
    assert!(error.to_string().contains("failed"), "{error}");
    let drill = at_home(&["rds:PromoteReadReplica#1=lost_reply"]).in_recovery();
    let promoted = drill.run("rds.promote_replica", promotion()).await;
    assert!(promoted.is_ok_and(|output| output["status"] == "available"));
}

#[tokio::test(start_paused = true)]
async fn regression_a_promotion_that_rds_refuses_for_now_is_asked_for_again() {
    let refused = "rds:PromoteReadReplica#1=error:InvalidDBInstanceState:400";
    let drill = at_home(&[refused]).in_recovery();
    let error = drill.run("rds.promote_replica", promotion()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient, "{error}");
    assert!(!drill.checks().contains_key("stands alone"));
    let promoted = drill.run("rds.promote_replica", promotion()).await.unwrap();
    assert!(promoted["promoted_after"].is_string());
}

#[tokio::test(start_paused = true)]
async fn regression_the_copy_that_a_drill_made_is_found_only_when_it_is_named() {
    let drill = Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-3", &[]);
    let wanted = json!({ "of": "orders-db" });
    let before = drill.run("rds.find_snapshot", wanted.clone()).await.unwrap();
    let copy = copied(&drill, "key-copy").await.unwrap();
    let after = drill.run("rds.find_snapshot", wanted.clone()).await.unwrap();
    assert_eq!(after["arn"], before["arn"], "the schedule's");
    assert!(drill.findings().contains(&"rds.made_by_a_drill".to_owned()), "{:?}", drill.findings());
    for name in [&copy["arn"], &copy["id"]] {
        let named = with(wanted.clone(), &json!({ "own_copy": name }));
        let found = drill.run("rds.find_snapshot", named).await.unwrap();
        assert_eq!((&found["arn"], &found["at"]), (&copy["arn"], &copy["at"]));
        for field in ["worst_gap", "copy_lag", "retention"] {
            assert_eq!(found[field], after[field], "{field} is the schedule's");
        }
    }
    // In a disaster whatever is there is taken.
    let found = drill.in_recovery().run("rds.find_snapshot", wanted).await.unwrap();
    assert_eq!(found["arn"], copy["arn"]);
}
