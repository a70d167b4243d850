use super::{DR, PRIMARY, Rig, code};
use aws_sdk_rds::operation::restore_db_instance_from_db_snapshot::builders::RestoreDBInstanceFromDBSnapshotFluentBuilder as Restore;

const COPY: &str = "orders-db-2026-11-21-03-05-copy";

fn restore(rig: &Rig) -> Restore {
    rig.rds(DR)
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier("drill-1")
        .db_snapshot_identifier(COPY)
        .db_subnet_group_name("drill")
}

#[tokio::test(start_paused = true)]
async fn what_a_restore_refers_to_must_exist_and_fit() {
    let rig = Rig::open();
    let before = rig.world.lasting_inventory();
    let try_it = |change: fn(Restore) -> Restore| {
        let call = change(restore(&rig));
        async move { code(call.send().await) }
    };
    assert_eq!(try_it(|r| r.db_snapshot_identifier("x")).await, "DBSnapshotNotFound");
    assert_eq!(try_it(|r| r.db_subnet_group_name("x")).await, "DBSubnetGroupNotFoundFault");
    assert_eq!(try_it(|r| r.db_parameter_group_name("x")).await, "DBParameterGroupNotFound");
    assert_eq!(try_it(|r| r.db_parameter_group_name("pg15")).await, "InvalidParameterCombination");
    assert_eq!(try_it(|r| r.vpc_security_group_ids("sg-x")).await, "InvalidParameterValue");
    assert_eq!(
        try_it(|r| r.vpc_security_group_ids("sg-elsewhere")).await,
        "InvalidVPCNetworkStateFault"
    );
    assert_eq!(try_it(|r| r.db_instance_identifier("-x")).await, "InvalidParameterValue");
    assert_eq!(
        try_it(|r| r.multi_az(true).availability_zone("ap-northeast-3a")).await,
        "InvalidParameterCombination"
    );
    assert_eq!(try_it(|r| r.set_db_instance_identifier(None)).await, "MissingParameter");
    let foreign = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
    let call = restore(&rig).db_snapshot_identifier(foreign);
    assert_eq!(code(call.send().await), "DBSnapshotNotFound", "it is in another region");
    assert_eq!(rig.world.lasting_inventory(), before);
    restore(&rig).send().await.unwrap();
    assert_eq!(code(restore(&rig).send().await), "DBInstanceAlreadyExists");
    let typed = restore(&rig).send().await.unwrap_err().into_service_error();
    assert!(typed.is_db_instance_already_exists_fault());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_under_a_key_that_cannot_be_used_cannot_be_restored() {
    let text = super::ESTATE.replace("{ id: dr-key }", "{ id: dr-key, state: pending_deletion }");
    let rig = Rig::of(&text, &[]);
    let typed = restore(&rig).send().await.unwrap_err().into_service_error();
    assert!(typed.is_kms_key_not_accessible_fault());
    let text = super::ESTATE.replace("{ id: dr-key }", "{ id: dr-key, denied: true }");
    let rig = Rig::of(&text, &[]);
    assert_eq!(code(restore(&rig).send().await), "KMSKeyNotAccessibleFault");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_being_made_cannot_be_restored() {
    let rig = Rig::open();
    rig.until("2026-11-22T03:20:00Z").await;
    let call = restore(&rig).db_snapshot_identifier("orders-db-2026-11-22-03-05-copy");
    assert_eq!(code(call.send().await), "InvalidDBSnapshotState");
}

#[tokio::test(start_paused = true)]
async fn copies_need_a_usable_key_a_free_name_and_a_source() {
    let rig = Rig::open();
    let rds = rig.rds(DR);
    let source = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
    let copy = || {
        rds.copy_db_snapshot()
            .source_db_snapshot_identifier(source)
            .target_db_snapshot_identifier("mine")
    };
    assert_eq!(code(copy().send().await), "InvalidParameterValue", "encrypted, no key");
    let reserved = aws_sdk_rds::types::Tag::builder().key("aws:x").value("y").build();
    let tagged = copy().kms_key_id("dr-key").tags(reserved);
    assert_eq!(code(tagged.send().await), "InvalidParameterValue");
    for key in ["off-key", "no-key", "alias/orders", "x"] {
        assert_eq!(code(copy().kms_key_id(key).send().await), "KMSKeyNotAccessibleFault", "{key}");
    }
    let taken = copy().kms_key_id("dr-key").target_db_snapshot_identifier(COPY);
    assert_eq!(code(taken.send().await), "DBSnapshotAlreadyExists");
    let private = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:emptied";
    let not_shared = copy().kms_key_id("dr-key").source_db_snapshot_identifier(private);
    assert_eq!(code(not_shared.send().await), "DBSnapshotNotFound");
    let automated = rig
        .rds(PRIMARY)
        .delete_db_snapshot()
        .db_snapshot_identifier("rds:orders-db-2026-11-21-03-05")
        .send()
        .await;
    assert_eq!(code(automated), "InvalidDBSnapshotState");
}

#[tokio::test(start_paused = true)]
async fn deleting_follows_the_rules_of_protection_and_final_snapshots() {
    let rig = Rig::open();
    let rds = rig.rds(PRIMARY);
    let delete = |id: &str| rds.delete_db_instance().db_instance_identifier(id);
    let protected = delete("orders-db").skip_final_snapshot(true).send().await;
    assert_eq!(code(protected), "InvalidParameterCombination");
    assert_eq!(code(delete("hourly").send().await), "InvalidParameterCombination");
    let both = delete("hourly").skip_final_snapshot(true).final_db_snapshot_identifier("last");
    assert_eq!(code(both.send().await), "InvalidParameterCombination");
    let taken = delete("hourly").final_db_snapshot_identifier("emptied").send().await;
    assert_eq!(code(taken), "DBSnapshotAlreadyExists");
    assert_eq!(code(delete("x").skip_final_snapshot(true).send().await), "DBInstanceNotFound");
    delete("hourly").final_db_snapshot_identifier("last").send().await.unwrap();
    let again = delete("hourly").skip_final_snapshot(true).send().await;
    assert_eq!(code(again), "InvalidDBInstanceState");
    rig.wait("10m").await;
    let left = rds.describe_db_snapshots().db_instance_identifier("hourly").send().await.unwrap();
    let left: Vec<_> = left.db_snapshots().iter().map(|s| s.db_snapshot_identifier()).collect();
    assert_eq!(left, [Some("last")]);
    let missing = rds.modify_db_instance().db_instance_identifier("hourly").send().await;
    assert_eq!(code(missing), "DBInstanceNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_copy_fails_when_its_source_is_deleted_under_it() {
    let rig = Rig::open();
    let (rds, home) = (rig.rds(DR), rig.rds(PRIMARY));
    let source = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
    let copy = rds.copy_db_snapshot().source_db_snapshot_identifier(source).kms_key_id("dr-key");
    copy.target_db_snapshot_identifier("mine").send().await.unwrap();
    home.delete_db_snapshot().db_snapshot_identifier("before-migration").send().await.unwrap();
    let found = rds.describe_db_snapshots().db_snapshot_identifier("mine").send().await.unwrap();
    assert_eq!(found.db_snapshots()[0].status(), Some("failed"));
    rds.delete_db_snapshot().db_snapshot_identifier("mine").send().await.unwrap();
}
