use super::{DR, PRIMARY, Rig, code};
use aws_sdk_rds::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rds::types::DbInstance;

async fn restore(
    rig: &Rig,
) -> Result<(), SdkError<aws_sdk_rds::operation::restore_db_instance_from_db_snapshot::RestoreDBInstanceFromDBSnapshotError>>
{
    rig.rds(DR)
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier("drill-1")
        .db_snapshot_identifier("orders-db-2026-11-21-03-05-copy")
        .send()
        .await
        .map(|_| ())
}

async fn drill_instance(rig: &Rig) -> Option<DbInstance> {
    let all = rig.rds(DR).describe_db_instances().send().await.unwrap();
    all.db_instances().first().cloned()
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_has_no_effect_and_the_next_one_has() {
    let rig = Rig::with(&["rds:RestoreDBInstanceFromDBSnapshot#1=throttle"]);
    assert_eq!(code(restore(&rig).await), "Throttling");
    assert!(drill_instance(&rig).await.is_none());
    restore(&rig).await.unwrap();
    assert!(drill_instance(&rig).await.is_some());
    let rig = Rig::with(&["ec2:*=throttle"]);
    assert_eq!(code(rig.ec2(DR).describe_volumes().send().await), "RequestLimitExceeded");
}

#[tokio::test(start_paused = true)]
async fn a_server_error_and_a_chosen_error_have_no_effect() {
    let rig = Rig::with(&[
        "rds:Restore*<1=server_error",
        "rds:Restore*#2=error:InsufficientDBInstanceCapacity:400",
    ]);
    assert_eq!(code(restore(&rig).await), "InternalFailure");
    let typed = restore(&rig).await.unwrap_err().into_service_error();
    assert!(typed.is_insufficient_db_instance_capacity_fault());
    assert!(drill_instance(&rig).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_reply_the_effect_is_there() {
    let rig = Rig::with(&["rds:Restore*#1=lost_reply"]);
    let begin = rig.clock.now();
    let lost = restore(&rig).await.unwrap_err();
    assert!(matches!(&lost, SdkError::DispatchFailure(d) if d.is_timeout()), "{lost:?}");
    assert!((rig.clock.now() - begin).to_std().unwrap() >= crate::sandbox::READ_TIMEOUT);
    assert!(drill_instance(&rig).await.is_some());
    assert_eq!(code(restore(&rig).await), "DBInstanceAlreadyExists");
}

#[tokio::test(start_paused = true)]
async fn after_a_reset_there_is_no_effect() {
    let rig = Rig::with(&["rds:Restore*#1=reset"]);
    let lost = restore(&rig).await.unwrap_err();
    assert!(matches!(&lost, SdkError::DispatchFailure(d) if d.is_io()), "{lost:?}");
    assert!(drill_instance(&rig).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_takes_its_time_and_garbage_is_no_answer() {
    let rig = Rig::with(&[
        "rds:DescribeDBInstances@ap-northeast-3#1=slow:30s",
        "rds:DescribeDBInstances@ap-northeast-3#2=garbage",
    ]);
    let begin = rig.clock.now();
    rig.rds(DR).describe_db_instances().send().await.unwrap();
    assert_eq!((rig.clock.now() - begin).num_seconds(), 30);
    let garbage = rig.rds(DR).describe_db_instances().send().await.unwrap_err();
    assert_eq!(garbage.code(), None, "{garbage:?}");
    rig.rds(PRIMARY).describe_db_instances().send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_stuck_stays_in_its_first_state_and_can_be_deleted() {
    let rig = Rig::with(&["rds:RestoreDBInstanceFromDBSnapshot=stuck"]);
    restore(&rig).await.unwrap();
    rig.wait("2d").await;
    assert_eq!(drill_instance(&rig).await.unwrap().db_instance_status(), Some("creating"));
    let delete = rig.rds(DR).delete_db_instance().db_instance_identifier("drill-1");
    delete.skip_final_snapshot(true).send().await.unwrap();
    rig.wait("5m").await;
    assert!(drill_instance(&rig).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_ends_in_failure() {
    let rig = Rig::with(&["rds:RestoreDBInstanceFromDBSnapshot=broken", "ec2:CreateVolume=broken"]);
    restore(&rig).await.unwrap();
    rig.wait("15m").await;
    let instance = drill_instance(&rig).await.unwrap();
    assert_eq!(instance.db_instance_status(), Some("incompatible-restore"));
    assert!(instance.endpoint().is_none());
    let ec2 = rig.ec2(DR);
    ec2.create_volume().availability_zone("ap-northeast-3a").size(1).send().await.unwrap();
    rig.wait("1m").await;
    let volumes = ec2.describe_volumes().send().await.unwrap();
    assert_eq!(volumes.volumes()[0].state().unwrap().as_str(), "error");
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_estate_count_too() {
    let text =
        format!("{}\nfaults:\n  - {{ on: 'rds:*', nth: 2, do: {{ slow: 1h }} }}\n", super::ESTATE);
    let rig = Rig::of(&text, &[]);
    let begin = rig.clock.now();
    rig.rds(DR).describe_db_instances().send().await.unwrap();
    rig.rds(DR).describe_db_instances().send().await.unwrap();
    assert_eq!((rig.clock.now() - begin).num_minutes(), 60);
}

#[tokio::test(start_paused = true)]
async fn copies_and_deletions_can_be_stuck_and_broken_too() {
    let rig = Rig::with(&[
        "rds:CopyDBSnapshot#1=stuck",
        "rds:CopyDBSnapshot#2=broken",
        "rds:DeleteDBInstance=stuck",
    ]);
    let rds = rig.rds(DR);
    for name in ["first", "second"] {
        let copy = rds.copy_db_snapshot().kms_key_id("dr-key").target_db_snapshot_identifier(name);
        let source = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
        copy.source_db_snapshot_identifier(source).send().await.unwrap();
    }
    restore(&rig).await.unwrap();
    rig.wait("1h").await;
    let delete = rds.delete_db_instance().db_instance_identifier("drill-1");
    delete.skip_final_snapshot(true).send().await.unwrap();
    rig.wait("2d").await;
    assert_eq!(drill_instance(&rig).await.unwrap().db_instance_status(), Some("deleting"));
    for (name, state) in [("first", "creating"), ("second", "failed")] {
        let found = rds.describe_db_snapshots().db_snapshot_identifier(name).send().await.unwrap();
        assert_eq!(found.db_snapshots()[0].status(), Some(state), "{name}");
    }
    assert_eq!(code(restore(&rig).await), "DBInstanceAlreadyExists");
}
