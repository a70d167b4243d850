//! The actions in the sandbox, with what goes wrong in real recoveries.

use crate::action::{Found, Listing, StepError};
use crate::journal::{ClockPoint, Event, FailureClass, Outcome, ResourceKey};
use crate::providers::backups::rehearsal::Rehearsal;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::time::Duration;

/// A cluster with daily snapshots at 03:00, copied to another region 40 minutes later by a job that tags the copies.
pub(super) const ESTATE: &str = r#"
estate: 1
title: payments
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-source }]
    clusters:
      - id: payments
        kms_key: key-source
        port: 5433
        database: payments
        users: { reader: secret }
        deletion_protection: true
        instances: [{ id: payments-1, class: db.r6g.large, tier: 0 }, { id: payments-2, class: db.r6g.large }]
        restore_takes: 10m
        instance_takes: 8m
        schedule:
          every: 24h
          at: 3h
          keep: 7d
          copies: { region: ap-northeast-3, kms_key: key-copy, lag: 40m, time_tag: data-time, tags: { app: payments } }
        data: { heartbeat: { table: beat, column: at, every: 1m } }
  - account: "111111111111"
    region: ap-northeast-3
    kms_keys: [{ id: key-copy }, { id: alias/other }]
    subnet_groups: [{ name: drill, vpc: vpc-drill }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }]
    cluster_parameter_groups: [{ name: payments, family: aurora-postgresql16 }]
    parameter_groups: [{ name: payments-instance, family: aurora-postgresql16 }]
"#;

pub(super) const ACCOUNT: &str = "111111111111";
pub(super) const RESTORE: &str = "aurora.restore_cluster";
const PITR: &str = "aurora.restore_cluster_point_in_time";

pub(super) fn recovery_site(faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-3", faults)
}

fn home(faults: &[&str]) -> Rehearsal {
    Rehearsal::at(ESTATE, ACCOUNT, "ap-northeast-1", faults)
}

pub(super) fn point_input() -> Value {
    json!({ "of": "payments", "time_tag": "data-time" })
}

const ROLE: &str = "arn:aws:iam::111111111111:role/monitoring";

pub(super) fn restore_input(snapshot: &Value) -> Value {
    json!({
        "snapshot": snapshot, "subnet_group": "drill", "security_groups": ["sg-drill"],
        "writer": { "class": "db.r6g.large", "tier": 0 }, "readers": [{ "class": "db.r6g.xlarge", "tier": 1 }],
    })
}

pub(super) async fn restored_as(
    drill: &Rehearsal,
    change: impl Fn(&mut Value),
) -> Result<Value, StepError> {
    let point = drill.run("aurora.find_snapshot", point_input()).await.unwrap();
    let mut input = restore_input(&point["arn"]);
    change(&mut input);
    drill.run(RESTORE, input).await
}

async fn restored(drill: &Rehearsal) -> Result<Value, StepError> {
    restored_as(drill, |_| {}).await
}

fn minutes(value: &Value) -> u64 {
    let text: crate::time::HumanDuration = value.as_str().unwrap().parse().unwrap();
    text.0.as_secs() / 60
}

/// Removes what the ledger holds, the newest first, each until a look-up says that it is gone.
async fn release(drill: &Rehearsal) {
    let intended: Vec<ResourceKey> = drill
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::ResourceIntended { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    for key in intended.iter().rev() {
        let kind = drill.kind(&key.kind);
        for look in 0.. {
            assert!(look < 100, "{key} is still there");
            if kind.find(&drill.cx, key, None).await.unwrap() == Found::Gone {
                break;
            }
            kind.remove(&drill.cx, key, "").await.unwrap();
            drill.cx.clock.sleep(Duration::from_secs(30)).await;
        }
    }
    let left = drill.world.lasting_inventory();
    assert!(left.keys().all(|name| !name.contains("redrill-")), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn the_copy_in_the_other_region_is_found_with_the_time_of_its_data() {
    let drill = recovery_site(&[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let point = drill.run("aurora.find_snapshot", point_input()).await.unwrap();
    let at: DateTime<Utc> = point["at"].as_str().unwrap().parse().unwrap();
    assert_eq!(at.to_rfc3339(), "2026-11-22T03:00:00+00:00", "{point}");
    assert_eq!(point["source"], "tag data-time");
    assert_eq!((&point["key_usable"], &point["encrypted"]), (&json!(true), &json!(true)));
    assert_eq!(point["copy_lag"], "45m");
    assert!(point["worst_gap"].is_string() && point["worst_case"].is_string(), "{point}");
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    let by_tag = json!({ "tags": { "app": "payments" }, "time_tag": "data-time" });
    let same = drill.run("aurora.find_snapshot", by_tag).await.unwrap();
    assert_eq!(same["arn"], point["arn"]);
    let neither = drill.run("aurora.find_snapshot", json!({})).await.unwrap_err();
    assert_eq!(neither.class(), FailureClass::Broken);
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_a_tag_is_restorable_and_its_time_is_inconclusive() {
    let drill = recovery_site(&[]);
    let point = drill.run("aurora.find_snapshot", json!({ "of": "payments" })).await.unwrap();
    assert!(point["at"].is_null() && point["arn"].is_string(), "{point}");
    assert_eq!(drill.checks()["time of the data"], Outcome::Inconclusive);
    assert_eq!(drill.checks()["usable recovery point"], Outcome::Inconclusive);
    assert!(drill.findings().contains(&"aurora.time_of_data_unknown".to_owned()));
    let measured = drill.events().iter().any(|e| matches!(e, Event::RecoveryPointSeen { .. }));
    assert!(!measured);
    let here = home(&[]);
    let point = here.run("aurora.find_snapshot", json!({ "of": "payments" })).await.unwrap();
    assert!(point["source"].as_str().unwrap().starts_with("SnapshotCreateTime"), "{point}");
}

#[tokio::test(start_paused = true)]
async fn regions_without_copies_or_without_a_key_have_no_recovery_point() {
    let without = ESTATE.lines().filter(|line| !line.contains("copies:"));
    let without = without.collect::<Vec<_>>().join("\n");
    let disabled = ESTATE.replace("{ id: key-copy }", "{ id: key-copy, state: disabled }");
    for (estate, words) in [(without, "no cluster snapshot of payments in"), (disabled, "Disabled")]
    {
        let drill = Rehearsal::at(&estate, ACCOUNT, "ap-northeast-3", &[]);
        let error = drill.run("aurora.find_snapshot", point_input()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.class(), FailureClass::Recovery);
        assert_eq!(drill.findings(), ["aurora.no_usable_recovery_point"]);
        assert_eq!(drill.checks()["usable recovery point"], Outcome::Failed);
    }
    let drill = recovery_site(&["kms:DescribeKey=error:AccessDeniedException:400"]);
    drill.run("aurora.find_snapshot", point_input()).await.unwrap();
    assert_eq!(drill.checks()["encryption key"], Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn a_missed_copy_is_a_finding_and_shows_in_the_worst_gap() {
    let skipped = ESTATE.replace("lag: 40m,", "lag: 40m, skipped: [2, 3],");
    let drill = Rehearsal::at(&skipped, ACCOUNT, "ap-northeast-3", &[]);
    let mut input = point_input();
    input["max_age"] = json!("1h");
    let point = drill.run("aurora.find_snapshot", input).await.unwrap();
    assert!(drill.findings().contains(&"aurora.schedule_missed".to_owned()));
    assert!(point["worst_gap"].as_str().unwrap().starts_with("3d"), "{point}");
    assert_eq!(drill.checks()["age"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_restored_with_its_members_compared_timed_by_events_and_released() {
    let drill = recovery_site(&[]);
    drill.world.lose(ACCOUNT, "ap-northeast-1");
    let output = restored(&drill).await.unwrap();
    assert_eq!((&output["status"], &output["members"]), (&json!("available"), &json!(2)));
    assert_eq!((&output["port"], &output["engine"]), (&json!(5433), &json!("aurora-postgresql")));
    assert!(output["writer"].as_str().unwrap().ends_with("-1"), "{output}");
    assert_eq!(output["readers"].as_array().unwrap().len(), 1);
    let endpoint = output["endpoint"].as_str().unwrap();
    assert!(endpoint.contains(".cluster-") && !endpoint.contains("-ro-"), "{endpoint}");
    assert!(output["reader_endpoint"].as_str().unwrap().contains(".cluster-ro-"), "{output}");
    // The cluster takes ten minutes, and its members eight more.
    assert_eq!(minutes(&output["cluster_after"]), 10, "{output}");
    assert_eq!(minutes(&output["available_after"]), 18, "{output}");
    let checks = drill.checks();
    assert!(checks.len() > 10, "{checks:?}");
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    let by_event = drill.events().into_iter().any(|event| {
        matches!(&event, Event::Reached { point: ClockPoint::ResourceAvailable, source, .. }
            if source == "RDS event: DB instance created")
    });
    assert!(by_event);
    assert_eq!(drill.ledger().len(), 3);
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn everything_that_rds_chooses_badly_is_as_the_step_says() {
    let drill = recovery_site(&[]);
    let output = restored_as(&drill, |input| {
        let all = json!({
            "writer": { "class": "db.serverless", "tier": 0, "zone": "ap-northeast-3b" },
            "cluster_parameter_group": "payments", "instance_parameter_group": "payments-instance",
            "port": 5555, "iam_auth": true, "log_exports": ["postgresql"], "kms_key": "alias/other",
            "engine_mode": "provisioned", "serverless": { "min": 0.5, "max": 8.0 }, "storage_type": "aurora-iopt1",
            "deletion_protection": true, "publicly_accessible": true, "vpc": "vpc-drill", "tags": { "team": "payments" },
            "backup_retention": "14d", "ca": "rds-ca-ecc384-g1", "monitoring": { "every": "60s", "role": ROLE },
        });
        input.as_object_mut().unwrap().extend(all.as_object().unwrap().clone());
    });
    output.await.unwrap();
    let checks = drill.checks();
    let named = super::restore_cluster::CHECKS.iter().map(|(name, _)| *name);
    for name in named {
        // It is as the step says, and no drill may say it.
        let is_open = name == "publicly_accessible";
        let outcome = if is_open { Outcome::Failed } else { Outcome::Passed };
        assert_eq!(checks[name], outcome, "{name}");
    }
    let line = |kind: &str| {
        let all = drill.world.inventory();
        let of_kind =
            |(name, _): &(&String, &String)| name.contains(kind) && name.contains("redrill-");
        all.iter().find(of_kind).unwrap().1.clone()
    };
    assert!(line(":cluster:").contains("team=payments") && line(":db:").contains("team=payments"));
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_not_compared_and_a_default_security_group_is_a_finding() {
    let drill = recovery_site(&[]);
    restored_as(&drill, |input| {
        *input = json!({ "snapshot": input["snapshot"], "writer": { "class": "db.r6g.large" } });
    })
    .await
    .unwrap();
    assert!(drill.findings().contains(&"aurora.default_security_group".to_owned()));
    let checks = drill.checks();
    assert!(!checks.contains_key("security_groups") && !checks.contains_key("reader classes"));
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_join_is_named() {
    let drill = recovery_site(&["rds:CreateDBInstance#2=broken"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    let text = error.to_string();
    assert!(text.contains("-2 did not join the cluster redrill-"), "{text}");
    assert!(text.contains("incompatible-network"), "{text}");
    assert!(error.into_failure().help.unwrap().contains("subnet group"));
    assert_eq!(drill.ledger().len(), 3, "what it left behind is in the ledger");
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_stays_creating_is_named_when_the_wait_ends() {
    let drill = recovery_site(&["rds:CreateDBInstance#1=stuck"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut);
    let text = error.to_string();
    assert!(text.contains("instance redrill-") && text.contains("-1 did not join"), "{text}");
    assert!(text.contains("longer than 1h 30m"), "{text}");
    assert!(text.contains("last seen: creating"), "{text}");
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_ends_in_another_state_fails_before_any_instance_is_made() {
    let drill = recovery_site(&["rds:RestoreDBClusterFromSnapshot=broken"]);
    let error = restored(&drill).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(error.to_string().contains("inaccessible-encryption-credentials"), "{error}");
    assert_eq!(drill.ledger().len(), 1);
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_not_available_is_not_restored() {
    let drill = recovery_site(&[]);
    let error = drill.run(RESTORE, restore_input(&json!("no-such"))).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
    let serverless = json!({ "class": "db.serverless" });
    let error =
        restored_as(&drill, |input| input["writer"] = serverless.clone()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(drill.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_answers_make_nothing_twice() {
    let faults =
        ["rds:RestoreDBClusterFromSnapshot#1=lost_reply", "rds:CreateDBInstance#1=lost_reply"];
    let drill = recovery_site(&faults);
    restored(&drill).await.unwrap();
    let made = drill.world.inventory();
    let count =
        |kind: &str| made.keys().filter(|n| n.contains(kind) && n.contains("redrill-")).count();
    assert_eq!((count(":cluster:"), count(":db:")), (1, 2));
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_adopts_what_the_first_one_made() {
    let drill = recovery_site(&["rds:CreateDBInstance#2=error:InsufficientDBInstanceCapacity:400"]);
    let error = restored(&drill).await.unwrap_err();
    assert!(error.to_string().contains("InsufficientDBInstanceCapacity"), "{error}");
    let second = restored(&drill).await.unwrap();
    assert_eq!(second["members"], 2);
    assert!(second["available_after"].is_null(), "it was not this attempt that asked for it");
    release(&drill).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_visible_yet_is_waited_for_and_throttled_calls_are_made_again() {
    for faults in [
        ["rds:DescribeDBClusters<3=stale:10m", "rds:DescribeDBInstances<3=stale:10m"],
        ["rds:*<2=throttle", "kms:*<1=throttle"],
    ] {
        let drill = recovery_site(&faults);
        assert_eq!(restored(&drill).await.unwrap()["status"], "available");
        release(&drill).await;
    }
}

#[tokio::test(start_paused = true)]
async fn clusters_and_instances_of_somebody_else_are_never_removed() {
    let drill = home(&[]);
    for (kind, name) in [("aurora.cluster", "payments"), ("aurora.instance", "payments-1")] {
        let site = drill.cx.at.clone().unwrap();
        let key = ResourceKey { kind: kind.to_owned(), name: name.to_owned(), site };
        let kind = drill.kind(kind);
        let found = kind.find(&drill.cx, &key, None).await.unwrap();
        assert!(matches!(found, Found::Foreign { .. }), "{found:?}");
        assert!(kind.remove(&drill.cx, &key, name).await.is_err());
        let now = drill.cx.clock.now();
        assert!(!kind.set_expiry(&drill.cx, &key, name, now).await.unwrap());
    }
    let there = drill.world.inventory();
    assert!(there.keys().any(|name| name.ends_with(":cluster:payments")));
    assert!(there.keys().any(|name| name.ends_with(":db:payments-1")));
}

async fn listed(drill: &Rehearsal, kind: &str) -> (u64, Vec<String>) {
    match drill.kind(kind).list(&drill.cx, None).await.unwrap() {
        Listing::Seen { total, ours } => {
            (total.unwrap(), ours.into_iter().map(|listed| listed.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_made_is_listed_once_by_its_tags_and_says_until_when_it_is_kept() {
    let drill = recovery_site(&[]);
    let output = restored(&drill).await.unwrap();
    let name = output["id"].as_str().unwrap().to_owned();
    assert_eq!(listed(&drill, "aurora.cluster").await, (1, vec![name.clone()]));
    let (total, members) = listed(&drill, "aurora.instance").await;
    assert_eq!((total, members.len()), (2, 2));
    assert_eq!(
        listed(&drill, "rds.db_instance").await,
        (0, Vec::new()),
        "members are not listed twice"
    );
    let until: DateTime<Utc> = "2026-12-01T00:00:00Z".parse().unwrap();
    for (key, id) in drill.ledger() {
        let kind = drill.kind(&key.kind);
        assert!(kind.set_expiry(&drill.cx, &key, &id.unwrap(), until).await.unwrap(), "{key}");
    }
    let tagged =
        drill.world.inventory().into_values().filter(|l| l.contains("2026-12-01T00:00:00Z"));
    assert_eq!(tagged.count(), 3);
    release(&drill).await;
}

fn pitr_input(with: Value) -> Value {
    let mut input =
        json!({ "of": "payments", "writer": { "class": "db.r6g.large" }, "port": 5433 });
    input.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    input
}

fn measured(drill: &Rehearsal) -> Option<DateTime<Utc>> {
    drill.events().into_iter().find_map(|event| match event {
        Event::RecoveryPointSeen { point, .. } => Some(point.at),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn regression_a_later_attempt_tells_the_latest_time_of_when_the_cluster_was_asked_for() {
    for kind in ["full-copy", "copy-on-write"] {
        let drill = home(&[]);
        let input = pitr_input(json!({ "restore_type": kind }));
        drill.run(PITR, input.clone()).await.unwrap();
        drill.cx.clock.sleep(Duration::from_secs(3600)).await;
        drill.run(PITR, input).await.unwrap();
        let points = drill.events().into_iter().filter_map(|event| match event {
            Event::RecoveryPointSeen { point, .. } => Some(point.at),
            _ => None,
        });
        let points: Vec<_> = points.collect();
        assert_eq!(points, [points[0]; 3], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_cluster_that_was_never_accepted_leaves_no_latest_time_to_a_later_attempt() {
    for (kind, moves) in [("full-copy", 5), ("copy-on-write", 0)] {
        let drill = home(&["rds:RestoreDBClusterToPointInTime<5=throttle"]);
        let input = pitr_input(json!({ "restore_type": kind }));
        let error = drill.run(PITR, input.clone()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Throttled, "{error}");
        drill.cx.clock.sleep(Duration::from_secs(3600)).await;
        let again = drill.cx.clock.now();
        drill.run(PITR, input).await.unwrap();
        let told = drill.events().into_iter().rev().find_map(|event| match event {
            Event::RecoveryPointSeen { point, .. } => Some(point),
            _ => None,
        });
        let last = told.unwrap();
        assert!((again - last.at).num_minutes() < 5, "{kind}: {last:?} is of when it was made");
        let end = last.not_newer_than.unwrap();
        let after = end.at - again;
        assert!(
            end.certain && (moves..=moves + 1).contains(&after.num_minutes()),
            "{kind}: {after}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_restored_to_a_time_to_the_latest_and_as_a_clone() {
    let to = json!({ "to": "2026-11-21T22:30:00Z" });
    let drill = home(&[]);
    let output = drill.run(PITR, pitr_input(to)).await.unwrap();
    assert_eq!(output["status"], "available");
    assert_eq!(measured(&drill).unwrap().to_rfc3339(), "2026-11-21T22:30:00+00:00");
    let checks = drill.checks();
    assert_eq!(checks["restorable time"], Outcome::Passed);
    assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
    release(&drill).await;
    for kind in ["full-copy", "copy-on-write"] {
        let drill = home(&[]);
        drill.run(PITR, pitr_input(json!({ "restore_type": kind }))).await.unwrap();
        let lag = drill.cx.facts.started - measured(&drill).unwrap();
        assert!(lag.num_minutes() < 5, "{lag}");
        release(&drill).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_restored_to_is_said_and_nothing_is_left() {
    let drill = home(&[]);
    let early = pitr_input(json!({ "to": "2026-10-01T00:00:00Z" }));
    let error = drill.run(PITR, early).await.unwrap_err();
    assert!(error.to_string().contains("InvalidRestoreFault"), "{error}");
    assert_eq!(drill.checks()["restorable time"], Outcome::Failed);
    release(&drill).await;
    let drill = home(&[]);
    let both = json!({ "to": "2026-11-21T22:30:00Z", "restore_type": "copy-on-write" });
    let error = drill.run(PITR, pitr_input(both)).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    let gone = drill.run(PITR, pitr_input(json!({ "of": "gone" }))).await.unwrap_err();
    assert_eq!(gone.class(), FailureClass::Recovery);
    assert!(drill.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_join_is_named_after_a_point_in_time_as_well() {
    let drill = home(&["rds:CreateDBInstance=broken"]);
    let error = drill.run(PITR, pitr_input(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("-1 did not join the cluster"), "{error}");
    release(&drill).await;
}
