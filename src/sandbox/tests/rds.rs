use super::{DR, PRIMARY, Rig, text};
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, DbSnapshot};

async fn instance(rds: &Client, id: &str) -> DbInstance {
    let found = rds.describe_db_instances().db_instance_identifier(id).send().await.unwrap();
    found.db_instances()[0].clone()
}

async fn snapshots(rds: &Client, of: &str) -> Vec<DbSnapshot> {
    let mut pages = rds
        .describe_db_snapshots()
        .db_instance_identifier(of)
        .into_paginator()
        .page_size(20)
        .send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        all.extend(page.unwrap().db_snapshots().to_vec());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_restored_instance_becomes_available_in_virtual_time_with_the_defaults_of_the_service() {
    let rig = Rig::open();
    let rds = rig.rds(DR);
    let begin = rig.clock.now();
    let made = rds
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier("drill-1")
        .db_snapshot_identifier("orders-db-2026-11-21-03-05-copy")
        .db_subnet_group_name("drill")
        .send()
        .await
        .unwrap();
    let made = made.db_instance().unwrap();
    assert_eq!(made.db_instance_status(), Some("creating"));
    assert!(made.endpoint().is_none());
    let mut seen = vec!["creating".to_owned()];
    loop {
        rig.wait("15s").await;
        let status = instance(&rds, "drill-1").await.db_instance_status.unwrap();
        if seen.last() != Some(&status) {
            seen.push(status.clone());
        }
        if status == "available" {
            break;
        }
    }
    assert_eq!(seen, ["creating", "backing-up", "available"]);
    let took = (rig.clock.now() - begin).num_seconds();
    assert!((720..740).contains(&took), "{took}");
    let done = instance(&rds, "drill-1").await;
    assert_eq!(done.multi_az(), Some(false));
    assert_eq!(done.deletion_protection(), Some(false));
    assert_eq!(done.db_parameter_groups()[0].db_parameter_group_name(), Some("default.postgres16"));
    assert_eq!(done.vpc_security_groups()[0].vpc_security_group_id(), Some("sg-default"));
    assert_eq!(done.db_subnet_group().unwrap().vpc_id(), Some("vpc-drill"));
    assert_eq!(done.db_instance_class(), Some("db.r6g.4xlarge"));
    assert_eq!(done.storage_encrypted(), Some(true));
    assert!(done.kms_key_id().unwrap().ends_with("key/dr-key"));
    let host = done.endpoint().unwrap().address().unwrap();
    assert!(host.starts_with("drill-1.") && host.ends_with(".ap-northeast-3.rds.sandbox.invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_instance_is_gone_after_a_while_with_its_automated_snapshots() {
    let rig = Rig::open();
    let rds = rig.rds(DR);
    let before = rig.world.lasting_inventory();
    rds.restore_db_instance_from_db_snapshot()
        .db_instance_identifier("drill-1")
        .db_snapshot_identifier("orders-db-2026-11-21-03-05-copy")
        .send()
        .await
        .unwrap();
    rig.wait("13m").await;
    let automated = snapshots(&rds, "drill-1").await;
    assert_eq!(automated.len(), 1);
    assert_eq!(automated[0].snapshot_type(), Some("automated"));
    let deleted = rds
        .delete_db_instance()
        .db_instance_identifier("drill-1")
        .skip_final_snapshot(true)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.db_instance().unwrap().db_instance_status(), Some("deleting"));
    rig.wait("1m").await;
    assert_eq!(instance(&rds, "drill-1").await.db_instance_status(), Some("deleting"));
    rig.wait("4m").await;
    let after = rds.describe_db_instances().db_instance_identifier("drill-1").send().await;
    assert_eq!(super::code(after), "DBInstanceNotFound");
    assert!(snapshots(&rds, "drill-1").await.is_empty());
    assert_eq!(rig.world.lasting_inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn a_copy_carries_its_own_time_and_the_times_of_its_original() {
    let rig = Rig::open();
    let original = snapshots(&rig.rds(PRIMARY), "orders-db").await;
    let copies = snapshots(&rig.rds(DR), "orders-db").await;
    let original = original
        .iter()
        .find(|s| s.db_snapshot_identifier() == Some("rds:orders-db-2026-11-21-03-05"));
    let copy = copies
        .iter()
        .find(|s| s.db_snapshot_identifier() == Some("orders-db-2026-11-21-03-05-copy"));
    let (original, copy) = (original.unwrap(), copy.unwrap());
    assert_eq!(text(original.snapshot_create_time()), "2026-11-21T03:05:00Z");
    assert_eq!(text(copy.snapshot_create_time()), "2026-11-21T03:35:00Z");
    assert_eq!(text(copy.original_snapshot_create_time()), "2026-11-21T03:05:00Z");
    assert_eq!(text(copy.snapshot_database_time()), "2026-11-21T03:05:00Z");
    assert_eq!(copy.source_db_snapshot_identifier(), original.db_snapshot_arn());
    assert_eq!(copy.source_region(), Some("ap-northeast-1"));
    assert_eq!(copy.snapshot_type(), Some("manual"));
    assert!(copy.kms_key_id().unwrap().contains("ap-northeast-3"));
}

#[tokio::test(start_paused = true)]
async fn snapshots_appear_expire_and_are_missing_where_they_were_not_taken() {
    let rig = Rig::open();
    let rds = rig.rds(PRIMARY);
    let days = |all: &[DbSnapshot]| -> Vec<String> {
        let own = all.iter().filter(|s| s.snapshot_type() == Some("automated"));
        own.map(|s| s.db_snapshot_identifier().unwrap()[14..24].to_owned()).collect()
    };
    let week = ["2026-11-15", "2026-11-16", "2026-11-17", "2026-11-18", "2026-11-20", "2026-11-21"];
    assert_eq!(days(&snapshots(&rds, "orders-db").await), week);
    rig.until("2026-11-22T03:06:00Z").await;
    let now = snapshots(&rds, "orders-db").await;
    assert_eq!(days(&now)[..1], ["2026-11-16"], "the oldest has expired");
    let newest = now.iter().find(|s| s.status() == Some("creating")).unwrap();
    assert!(newest.snapshot_create_time().is_none());
    assert_eq!(newest.percent_progress(), Some(10));
    rig.until("2026-11-22T03:16:00Z").await;
    assert!(snapshots(&rds, "orders-db").await.iter().all(|s| s.status() == Some("available")));
}

#[tokio::test(start_paused = true)]
async fn more_than_a_hundred_snapshots_come_in_pages() {
    let rig = Rig::open();
    let rds = rig.rds(PRIMARY);
    let first = rds.describe_db_snapshots().db_instance_identifier("hourly").send().await.unwrap();
    assert_eq!(first.db_snapshots().len(), 100);
    assert!(first.marker().is_some());
    let all = snapshots(&rds, "hourly").await;
    assert_eq!(all.len(), 144);
    let mut ids: Vec<_> = all.iter().map(|s| s.db_snapshot_identifier().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 144);
    let wrong = rds.describe_db_snapshots().max_records(5).send().await;
    assert_eq!(super::code(wrong), "InvalidParameterValue");
    let wrong = rds.describe_db_snapshots().marker("x").send().await;
    assert_eq!(super::code(wrong), "InvalidParameterValue");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_pending_then_modifying_then_done() {
    let rig = Rig::open();
    let rds = rig.rds(PRIMARY);
    let change = || rds.modify_db_instance().db_instance_identifier("hourly");
    let changed = change().multi_az(true).apply_immediately(true).send().await.unwrap();
    let changed = changed.db_instance().unwrap();
    assert_eq!(changed.db_instance_status(), Some("available"));
    assert_eq!(changed.pending_modified_values().unwrap().multi_az(), Some(true));
    rig.wait("1m").await;
    let now = instance(&rds, "hourly").await;
    assert_eq!((now.db_instance_status(), now.multi_az()), (Some("modifying"), Some(false)));
    assert_eq!(super::code(change().multi_az(false).send().await), "InvalidDBInstanceState");
    rig.wait("5m").await;
    let now = instance(&rds, "hourly").await;
    assert_eq!((now.db_instance_status(), now.multi_az()), (Some("available"), Some(true)));
    change().allocated_storage(30).send().await.unwrap();
    rig.wait("1h").await;
    let now = instance(&rds, "hourly").await;
    assert_eq!(now.allocated_storage(), Some(20), "the maintenance window never comes");
    assert_eq!(now.pending_modified_values().unwrap().allocated_storage(), Some(30));
}

#[tokio::test(start_paused = true)]
async fn copying_goes_through_its_states_and_keeps_the_time_of_the_data() {
    let rig = Rig::open();
    let rds = rig.rds(DR);
    let source = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
    let copy = rds
        .copy_db_snapshot()
        .source_db_snapshot_identifier(source)
        .target_db_snapshot_identifier("mine")
        .kms_key_id("dr-key")
        .copy_tags(true)
        .send()
        .await
        .unwrap();
    let copy = copy.db_snapshot().unwrap();
    assert_eq!(copy.status(), Some("creating"));
    assert!(copy.snapshot_create_time().is_none());
    rig.wait("11m").await;
    let now = rds.describe_db_snapshots().db_snapshot_identifier("mine").send().await.unwrap();
    let now = &now.db_snapshots()[0];
    assert_eq!(now.status(), Some("available"));
    assert_eq!(text(now.original_snapshot_create_time()), "2026-10-23T00:00:00Z");
    assert!(text(now.snapshot_create_time()).starts_with("2026-11-22T00:00:00"));
    assert_eq!(now.tag_list()[0].key(), Some("why"));
    rds.delete_db_snapshot().db_snapshot_identifier("mine").send().await.unwrap();
    let gone = rds.describe_db_snapshots().db_snapshot_identifier("mine").send().await;
    assert_eq!(super::code(gone), "DBSnapshotNotFound");
}

#[tokio::test(start_paused = true)]
async fn shared_snapshots_are_seen_only_by_those_who_ask_for_them() {
    let rig = Rig::open();
    let neighbour = rig.rds(("222222222222", "ap-northeast-1"));
    let own = neighbour.describe_db_snapshots().send().await.unwrap();
    assert!(own.db_snapshots().is_empty());
    let shared = neighbour.describe_db_snapshots().snapshot_type("shared").send().await.unwrap();
    assert_eq!(shared.db_snapshots()[0].db_snapshot_identifier(), Some("before-migration"));
    let both = neighbour.describe_db_snapshots().include_shared(true).send().await.unwrap();
    assert_eq!(both.db_snapshots().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tags_groups_backups_and_events_are_told() {
    let rig = Rig::open();
    let rds = rig.rds(PRIMARY);
    let arn = "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db";
    let tag = aws_sdk_rds::types::Tag::builder().key("a").value("<b>").build();
    rds.add_tags_to_resource().resource_name(arn).tags(tag).send().await.unwrap();
    let tags = rds.list_tags_for_resource().resource_name(arn).send().await.unwrap();
    assert_eq!(tags.tag_list()[0].value(), Some("<b>"));
    assert_eq!(tags.tag_list().len(), 2);
    let group = rds.describe_db_parameters().db_parameter_group_name("orders-pg16").send().await;
    let group = group.unwrap();
    assert_eq!(group.parameters()[0].parameter_name(), Some("max_connections"));
    assert_eq!(group.parameters()[0].parameter_value(), Some("400"));
    let groups = rds.describe_db_parameter_groups().send().await.unwrap();
    assert_eq!(groups.db_parameter_groups().len(), 2);
    let subnets =
        rds.describe_db_subnet_groups().db_subnet_group_name("prod").send().await.unwrap();
    assert_eq!(subnets.db_subnet_groups()[0].subnets().len(), 1);
    rig.wait("7m").await;
    let backups = rds.describe_db_instance_automated_backups().send().await.unwrap();
    let backup = &backups.db_instance_automated_backups()[0];
    assert_eq!(backup.db_instance_identifier(), Some("orders-db"));
    let window = backup.restore_window().unwrap();
    assert_eq!(text(window.latest_time()), "2026-11-22T00:00:00Z");
    rds.restore_db_instance_from_db_snapshot()
        .db_instance_identifier("again")
        .db_snapshot_identifier("emptied")
        .send()
        .await
        .unwrap();
    let events =
        || rds.describe_events().source_identifier("again").source_type("db-instance".into());
    assert!(events().send().await.unwrap().events().is_empty());
    rig.wait("13m").await;
    let told = events().send().await.unwrap();
    let messages: Vec<_> = told.events().iter().map(|e| e.message().unwrap()).collect();
    assert_eq!(
        messages,
        ["Backing up DB instance", "Restored from snapshot emptied", "Finished DB Instance backup"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_answers_nobody_and_its_backups_stop() {
    let rig = Rig::open();
    rig.until("2026-11-22T03:20:00Z").await;
    rig.world.lose(PRIMARY.0, PRIMARY.1);
    let before = rig.clock.now();
    let lost = rig.rds(PRIMARY).describe_db_instances().send().await.unwrap_err();
    assert!(matches!(&lost, aws_sdk_rds::error::SdkError::DispatchFailure(d) if d.is_timeout()));
    let waited = (rig.clock.now() - before).to_std().unwrap();
    assert_eq!(waited, crate::sandbox::CONNECT_TIMEOUT);
    rig.wait("3d").await;
    let rds = rig.rds(DR);
    let copies = snapshots(&rds, "orders-db").await;
    let last = copies.last().unwrap();
    assert_eq!(last.db_snapshot_identifier(), Some("orders-db-2026-11-22-03-05-copy"));
    assert_eq!(last.status(), Some("creating"), "the copy that was under way is never finished");
    assert!(copies[..copies.len() - 1].iter().all(|s| s.status() == Some("available")));
    let source = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:before-migration";
    let copy = rds
        .copy_db_snapshot()
        .source_db_snapshot_identifier(source)
        .target_db_snapshot_identifier("mine")
        .kms_key_id("dr-key")
        .send()
        .await;
    assert_eq!(super::code(copy), "ServiceUnavailable");
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_get_the_same_answers() {
    let mut told = Vec::new();
    for _ in 0..2 {
        let rig = Rig::open();
        let rds = rig.rds(DR);
        let made = rds
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier("drill-1")
            .db_snapshot_identifier("orders-db-2026-11-21-03-05-copy")
            .send()
            .await
            .unwrap();
        let ids = aws_sdk_rds::operation::RequestId::request_id(&made).map(str::to_owned);
        assert!(ids.is_some());
        rig.wait("1h").await;
        let all = rds.describe_db_snapshots().send().await.unwrap();
        told.push(format!("{made:?} {all:?} {ids:?} {:?}", rig.world.inventory()));
    }
    assert_eq!(told[0], told[1]);
}
