//! Points in time, automated backups, replicas and versions of engines as an SDK client sees them.

use super::{Rig, code};
use aws_sdk_rds::operation::restore_db_instance_to_point_in_time::builders::RestoreDBInstanceToPointInTimeFluentBuilder as Restore;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T00:02:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    databases:
      - id: orders-db
        database: orders
        users: { reader: canary }
        replicated_backups: { region: ap-northeast-3, lag: 10m, keep: 2d, damage: ["delete from beats"] }
        data: { heartbeat: { table: beats, column: at, every: 1m } }
      - { id: no-backups, backup_retention: 0 }
  - account: "111111111111"
    region: ap-northeast-3
    engine_versions_gone: [postgres 13.3]
    databases:
      - { id: replica, replica_of: { id: orders-db, region: ap-northeast-1, lag: 3m } }
"#;

const HOME: (&str, &str) = ("111111111111", "ap-northeast-1");
const DR: (&str, &str) = ("111111111111", "ap-northeast-3");

fn at(text: &str) -> DateTime {
    DateTime::from_str(text, Format::DateTime).unwrap()
}

fn restore(rig: &Rig) -> Restore {
    let call = rig.rds(HOME).restore_db_instance_to_point_in_time();
    call.target_db_instance_identifier("restored").source_db_instance_identifier("orders-db")
}

#[tokio::test(start_paused = true)]
async fn a_restore_names_one_source_and_one_time_within_the_window() {
    let rig = Rig::of(ESTATE, &[]);
    let (early, late) = (at("2026-11-01T00:00:00Z"), at("2026-11-22T00:01:00Z"));
    let source = rig.rds(HOME).describe_db_instances().db_instance_identifier("orders-db");
    let source = source.send().await.unwrap();
    let latest = *source.db_instances()[0].latest_restorable_time().unwrap();
    for (call, expected) in [
        (restore(&rig), "InvalidParameterCombination"),
        (
            restore(&rig).restore_time(late).use_latest_restorable_time(true),
            "InvalidParameterCombination",
        ),
        (
            restore(&rig).source_dbi_resource_id("db-A").use_latest_restorable_time(true),
            "InvalidParameterCombination",
        ),
        (restore(&rig).restore_time(early), "InvalidParameterValue"),
        (restore(&rig).restore_time(late), "InvalidParameterValue"),
        (restore(&rig).restore_time(latest), "InvalidParameterValue"),
        (
            restore(&rig).source_db_instance_identifier("x").use_latest_restorable_time(true),
            "DBInstanceNotFound",
        ),
        (
            restore(&rig)
                .source_db_instance_identifier("no-backups")
                .use_latest_restorable_time(true),
            "PointInTimeRestoreNotEnabled",
        ),
    ] {
        assert_eq!(code(call.send().await), expected);
    }
    restore(&rig).use_latest_restorable_time(true).send().await.unwrap();
    let again = restore(&rig).use_latest_restorable_time(true).send().await;
    assert_eq!(code(again), "DBInstanceAlreadyExists");
}

#[tokio::test(start_paused = true)]
async fn a_restored_instance_takes_over_neither_zones_nor_groups() {
    let estate = ESTATE.replace(
        "        database: orders\n",
        "        database: orders\n        multi_az: true\n        deletion_protection: true\n        log_exports: [postgresql]\n",
    );
    let rig = Rig::of(&estate, &[]);
    let answer = restore(&rig).use_latest_restorable_time(true).send().await.unwrap();
    let restored = answer.db_instance().unwrap();
    assert_eq!((restored.multi_az(), restored.deletion_protection()), (Some(false), Some(false)));
    assert!(restored.enabled_cloudwatch_logs_exports().is_empty());
    assert_eq!(
        restored.db_parameter_groups()[0].db_parameter_group_name(),
        Some("default.postgres16")
    );
}

#[tokio::test(start_paused = true)]
async fn replicated_backups_end_with_the_loss_of_their_region_and_keep_their_window() {
    let rig = Rig::of(ESTATE, &[]);
    let window = async || {
        let answer = rig.rds(DR).describe_db_instance_automated_backups().send().await.unwrap();
        let backup = answer
            .db_instance_automated_backups()
            .iter()
            .find(|b| b.db_instance_identifier() == Some("orders-db"));
        let backup = backup.unwrap();
        assert_eq!(
            (backup.region(), backup.status()),
            (Some("ap-northeast-1"), Some("replicating"))
        );
        let window = backup.restore_window().unwrap();
        (*window.earliest_time().unwrap(), *window.latest_time().unwrap())
    };
    assert_eq!(window().await.1, at("2026-11-21T23:50:00Z"));
    rig.world.lose(HOME.0, HOME.1);
    rig.until("2026-11-22T06:00:00Z").await;
    let (earliest, latest) = window().await;
    assert_eq!(latest, at("2026-11-21T23:50:00Z"));
    assert!(earliest >= at("2026-11-20T06:00:00Z"), "what is older than two days has expired");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_deleted_leaves_its_backups_only_when_asked_to() {
    for (keep, left) in [(true, 1), (false, 0)] {
        let rig = Rig::of(ESTATE, &[]);
        let rds = rig.rds(HOME);
        let call = rds.delete_db_instance().db_instance_identifier("orders-db");
        let call = call.skip_final_snapshot(true).delete_automated_backups(!keep);
        call.send().await.unwrap();
        rig.until("2026-11-22T01:00:00Z").await;
        let answer = rds.describe_db_instance_automated_backups().send().await.unwrap();
        let retained = answer
            .db_instance_automated_backups()
            .iter()
            .filter(|b| b.status() == Some("retained"));
        assert_eq!(retained.count(), left);
        if keep {
            let backup = &answer.db_instance_automated_backups()[0];
            let call = rds.restore_db_instance_to_point_in_time();
            let call = call.source_dbi_resource_id(backup.dbi_resource_id().unwrap());
            let call = call.target_db_instance_identifier("again").use_latest_restorable_time(true);
            call.send().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_is_not_listed_and_any_other_is() {
    let rig = Rig::of(ESTATE, &[]);
    let listed = async |place, engine: &str, version: &str| {
        let call = rig.rds(place).describe_db_engine_versions();
        let answer = call.engine(engine).engine_version(version).send().await.unwrap();
        answer.db_engine_versions().len()
    };
    assert_eq!(listed(DR, "postgres", "13.3").await, 0);
    assert_eq!(listed(HOME, "postgres", "13.3").await, 1);
    assert_eq!(listed(DR, "postgres", "16.4").await, 1);
    assert_eq!(listed(DR, "postgers", "16.4").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_promoted_once_and_is_none_any_more() {
    let rig = Rig::of(ESTATE, &[]);
    let rds = rig.rds(DR);
    let source = async || {
        let call = rds.describe_db_instances().db_instance_identifier("replica");
        let answer = call.send().await.unwrap();
        let replica = &answer.db_instances()[0];
        replica.read_replica_source_db_instance_identifier().map(str::to_owned)
    };
    assert_eq!(source().await.unwrap(), "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db");
    let promote = || rds.promote_read_replica().db_instance_identifier("replica");
    promote().backup_retention_period(14).send().await.unwrap();
    rig.until("2026-11-22T00:04:00Z").await;
    assert_eq!(code(promote().send().await), "InvalidDBInstanceState");
    rig.until("2026-11-22T00:10:00Z").await;
    assert_eq!(source().await, None);
    assert_eq!(code(promote().send().await), "InvalidDBInstanceState");
}
