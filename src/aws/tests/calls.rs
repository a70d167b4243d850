//! Real calls for every operation that changes something: with production's names, with roles swapped, and with the run's own.

use super::*;
use crate::aws::{OPERATIONS, OperationKind};
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_s3::primitives::ByteStream;
use std::collections::BTreeSet;

/// A run that owns one of each, made by the sandbox.
async fn rig_with_everything() -> Rig {
    let rig = Rig::new();
    rig.on_disk(&[
        intended("rds.db_instance", "redrill-orders"),
        intended("rds.db_snapshot", "redrill-copy"),
        intended("ebs.volume", "redrill-disk"),
        intended("ebs.snapshot", "redrill-disk-copy"),
        intended("s3.canary_object", "uploads/redrill-canary/redrill-1"),
        // In the ledger, and yet outside of guard.canaries.
        intended("s3.canary_object", "uploads/invoices/1.pdf"),
    ]);
    rig
}

/// Sends a call with production's names, and expects that it is refused for the reason given.
macro_rules! refuse {
    ($rig:expr, $tried:expr, $name:literal, $call:expr, $words:literal) => {
        let said = refused!($rig, $call);
        assert!(said.starts_with(concat!($name, " at primary was refused: ")), "{said}");
        assert!(said.contains($words), "{said}");
        $tried.insert($name);
    };
}
pub(super) use refuse;

#[tokio::test(start_paused = true)]
async fn nothing_of_production_is_changed_by_any_operation_of_the_table() {
    let rig = rig_with_everything().await;
    let before = rig.world.inventory();
    let mut tried = BTreeSet::new();
    try_instances(&rig, &mut tried).await;
    try_more_instances(&rig, &mut tried).await;
    try_database_snapshots(&rig, &mut tried).await;
    aurora::try_clusters(&rig, &mut tried).await;
    try_volumes(&rig, &mut tried).await;
    try_objects(&rig, &mut tried).await;
    assert_eq!(rig.sent(), 0);
    assert_eq!(rig.world.inventory(), before);
    assert_eq!(tried, changing_operations(), "every operation of the table is tried");
}

async fn try_instances(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let rds = rig.rds();
    let arn = "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db";
    let more = rds_tags(&[("owner", "us")]);
    refuse!(
        rig,
        tried,
        "rds:AddTagsToResource",
        rds.add_tags_to_resource().resource_name(arn).set_tags(more),
        "no intent is bound to it"
    );
    refuse!(
        rig,
        tried,
        "rds:DeleteDBInstance",
        rds.delete_db_instance().db_instance_identifier("orders-db").skip_final_snapshot(true),
        "rds.db_instance orders-db is not in the ledger of the run"
    );
    refuse!(
        rig,
        tried,
        "rds:ModifyDBInstance",
        rds.modify_db_instance().db_instance_identifier("orders-db").deletion_protection(false),
        "rds.db_instance orders-db is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:RestoreDBInstanceFromDBSnapshot",
        rds.restore_db_instance_from_db_snapshot()
            .db_instance_identifier("orders-db-2")
            .db_snapshot_identifier("before-migration")
            .set_tags(rds_tags(&TAGS)),
        "rds.db_instance orders-db-2 is not in the ledger"
    );
}

async fn try_more_instances(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let rds = rig.rds();
    refuse!(
        rig,
        tried,
        "rds:RestoreDBInstanceToPointInTime",
        rds.restore_db_instance_to_point_in_time()
            .target_db_instance_identifier("orders-db-2")
            .source_db_instance_identifier("orders-db")
            .use_latest_restorable_time(true)
            .set_tags(rds_tags(&TAGS)),
        "rds.db_instance orders-db-2 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:PromoteReadReplica",
        rds.promote_read_replica().db_instance_identifier("orders-db"),
        "rds.promoted_replica orders-db is not in the ledger"
    );
}

async fn try_database_snapshots(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let rds = rig.rds();
    refuse!(
        rig,
        tried,
        "rds:CopyDBSnapshot",
        rds.copy_db_snapshot()
            .source_db_snapshot_identifier("before-migration")
            .target_db_snapshot_identifier("before-migration-2")
            .set_tags(rds_tags(&TAGS)),
        "rds.db_snapshot before-migration-2 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:DeleteDBSnapshot",
        rds.delete_db_snapshot().db_snapshot_identifier("before-migration"),
        "rds.db_snapshot before-migration is not in the ledger"
    );
}

async fn try_volumes(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let ec2 = rig.ec2();
    refuse!(
        rig,
        tried,
        "ec2:CopySnapshot",
        ec2.copy_snapshot()
            .source_region(REGION)
            .source_snapshot_id("snap-1")
            .tag_specifications(specification(ResourceType::Snapshot, &TAGS, "prod-copy")),
        "ebs.snapshot prod-copy is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "ec2:CreateTags",
        ec2.create_tags().resources("vol-0prod").set_tags(Some(ec2_tags(&[("owner", "us")]))),
        "ebs.volume vol-0prod is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "ec2:CreateVolume",
        ec2.create_volume()
            .availability_zone("ap-northeast-1a")
            .size(8)
            .client_token("prod-disk")
            .tag_specifications(specification(ResourceType::Volume, &TAGS, "prod-disk")),
        "ebs.volume prod-disk is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "ec2:DeleteSnapshot",
        ec2.delete_snapshot().snapshot_id("snap-1"),
        "ebs.snapshot snap-1 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "ec2:DeleteVolume",
        ec2.delete_volume().volume_id("vol-0prod"),
        "ebs.volume vol-0prod is not in the ledger"
    );
}

async fn try_objects(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let s3 = rig.s3();
    refuse!(
        rig,
        tried,
        "s3:DeleteObject",
        s3.delete_object().bucket("uploads").key("invoices/1.pdf"),
        "guard.canaries does not name its place"
    );
    refuse!(
        rig,
        tried,
        "s3:DeleteObjects",
        s3.delete_objects().bucket("uploads").delete(deletion(&["invoices/1.pdf"])),
        "guard.canaries does not name its place"
    );
    refuse!(
        rig,
        tried,
        "s3:PutObject",
        s3.put_object().bucket("uploads").key("invoices/1.pdf").body(ByteStream::from_static(b"x")),
        "guard.canaries does not name its place"
    );
}

fn changing_operations() -> BTreeSet<&'static str> {
    let all = OPERATIONS.iter().flat_map(|(prefix, _, operations)| {
        operations.iter().filter_map(move |(name, kind)| match kind {
            OperationKind::Changes(_) => Some(&*format!("{prefix}:{name}").leak()),
            OperationKind::Reads => None,
        })
    });
    all.collect()
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_snapshot_reads_its_source_and_makes_its_target_and_never_the_other_way() {
    let rig = rig_with_everything().await;
    let rds = rig.rds();
    let copy = |source: &str, target: &str| {
        rds.copy_db_snapshot()
            .source_db_snapshot_identifier(source)
            .target_db_snapshot_identifier(target)
    };
    let tagged = |source: &str, target: &str| copy(source, target).set_tags(rds_tags(&TAGS));
    let said = refused!(rig, tagged("redrill-copy", "before-migration"));
    assert!(said.contains("rds.db_snapshot before-migration is not in the ledger"), "{said}");
    for (tags, missing) in [
        (&TAGS[1..], "redrill:run=orders-0001-test"),
        (&TAGS[..1], "redrill:step=restore"),
        (&TAGS[..2], "redrill:expires"),
        (&[("redrill:run", "orders-0002-test"), TAGS[1], TAGS[2]], "redrill:run=orders-0001-test"),
    ] {
        let said = refused!(rig, copy("before-migration", "redrill-copy").set_tags(rds_tags(tags)));
        assert!(said.contains(&format!("made without the tag {missing}")), "{said}");
    }
    let twice = [TAGS[0], TAGS[1], TAGS[2], ("redrill:run", "orders-0002-test")];
    let said = refused!(rig, copy("before-migration", "redrill-copy").set_tags(rds_tags(&twice)));
    assert!(said.contains("the tag redrill:run stands twice"), "{said}");
    let said = refused!(rig, tagged("before-migration", "redrill-copy").copy_tags(true));
    assert!(said.contains("it sets copy_tags, which has no role"), "{said}");
    passes!(rig, tagged("before-migration", "redrill-copy"));
    rig.clock.sleep(std::time::Duration::from_secs(7200)).await;
    passes!(rig, rds.delete_db_snapshot().db_snapshot_identifier("redrill-copy"));
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_restored_changed_and_deleted_only_under_the_name_of_the_intent() {
    let rig = rig_with_everything().await;
    let rds = rig.rds();
    let restore = |name: &str| {
        rds.restore_db_instance_from_db_snapshot()
            .db_instance_identifier(name)
            .db_snapshot_identifier("before-migration")
    };
    let said = refused!(rig, restore("redrill-orders"));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let own =
        || restore("redrill-orders").set_tags(rds_tags(&TAGS)).db_instance_class("db.t3.small");
    let said = refused!(rig, own().master_user_secret_kms_key_id("key"));
    assert!(said.contains("it sets master_user_secret_kms_key_id"), "{said}");
    // Swapped: the snapshot restored over the source.
    let swapped = restore("orders-db").db_snapshot_identifier("redrill-copy");
    let said = refused!(rig, swapped.set_tags(rds_tags(&TAGS)));
    assert!(said.contains("rds.db_instance orders-db is not in the ledger"), "{said}");
    let made = passes!(rig, own());
    let arn = made.db_instance().unwrap().db_instance_arn().unwrap().to_owned();
    rig.clock.sleep(std::time::Duration::from_secs(7200)).await;

    let modify = || rds.modify_db_instance().db_instance_identifier("redrill-orders");
    passes!(rig, modify().deletion_protection(false).apply_immediately(true));
    let said = refused!(rig, modify().new_db_instance_identifier("orders-db-old"));
    assert!(said.contains("it sets new_db_instance_identifier"), "{said}");
    let said = refused!(rig, modify().master_user_password("hunter2").storage_type("io2"));
    assert!(
        said.contains("it sets") && !said.contains("hunter2") && !said.contains("io2"),
        "{said}"
    );

    let tag = |tags| rds.add_tags_to_resource().resource_name(&arn).set_tags(rds_tags(tags));
    let said = refused!(rig, tag(&[("owner", "us")]));
    assert!(said.contains("no intent is bound to it"), "not yet bound: {said}");
    rig.on_disk(&[owned("rds.db_instance", "redrill-orders", &arn)]);
    passes!(rig, tag(&[("owner", "us"), ("redrill:expires", "2026-11-23T22:00:00Z"), TAGS[0]]));
    let said = refused!(rig, tag(&[("redrill:run", "orders-0002-test")]));
    assert!(said.contains("would lose what its tag redrill:run says"), "{said}");

    let delete = || rds.delete_db_instance().db_instance_identifier("redrill-orders");
    let said = refused!(rig, delete().final_db_snapshot_identifier("orders-final"));
    assert!(said.contains("it sets final_db_snapshot_identifier"), "{said}");
    passes!(rig, delete().skip_final_snapshot(true).delete_automated_backups(true));
    // Once a look-up has said that it is gone, the name is not the run's any more.
    let how = "deleted".to_owned();
    let gone = Event::ResourceReleased {
        key: key("rds.db_instance", "redrill-orders"),
        how,
        calls: Vec::new(),
    };
    rig.on_disk(&[gone]);
    let said = refused!(rig, delete().skip_final_snapshot(true));
    assert!(said.contains("its ledger says deleted"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_made_under_token_and_tags_and_deleted_by_the_id_that_was_bound() {
    let rig = rig_with_everything().await;
    let ec2 = rig.ec2();
    let create = |token: &str, name: &str, tags: &[(&str, &str)]| {
        ec2.create_volume()
            .availability_zone("ap-northeast-1a")
            .size(8)
            .client_token(token)
            .tag_specifications(specification(ResourceType::Volume, tags, name))
    };
    let foreign = [("redrill:run", "orders-0002-test"), TAGS[1], TAGS[2]];
    let said = refused!(rig, create("redrill-disk", "redrill-disk", &foreign));
    assert!(said.contains("made without the tag redrill:run=orders-0001-test"), "{said}");
    let said = refused!(rig, create("redrill-disk", "redrill-other", &TAGS));
    assert!(said.contains("its client token is not the name"), "{said}");
    let without_token = create("redrill-disk", "redrill-disk", &TAGS).set_client_token(None);
    let said = refused!(rig, without_token);
    assert!(said.contains("its client token is not the name"), "the SDK's own token: {said}");
    let without_tags = create("redrill-disk", "redrill-disk", &TAGS).set_tag_specifications(None);
    let said = refused!(rig, without_tags);
    assert!(said.contains("0 tag specifications"), "{said}");
    let wrong = specification(ResourceType::Instance, &TAGS, "redrill-disk");
    let said = refused!(
        rig,
        create("redrill-disk", "redrill-disk", &TAGS).set_tag_specifications(Some(vec![wrong]))
    );
    assert!(said.contains("its tags are not for the volume"), "{said}");
    let said =
        refused!(rig, create("redrill-disk", "redrill-disk", &TAGS).multi_attach_enabled(true));
    assert!(said.contains("it sets multi_attach_enabled"), "{said}");

    let made = passes!(rig, create("redrill-disk", "redrill-disk", &TAGS));
    let id = made.volume_id().unwrap();
    rig.clock.sleep(std::time::Duration::from_secs(60)).await;
    // Named by an intent, but the id is not bound yet: a look-up by tags must come first.
    let said = refused!(rig, ec2.delete_volume().volume_id(id));
    assert!(said.contains("no intent is bound to it"), "{said}");
    rig.on_disk(&[owned("ebs.volume", "redrill-disk", id)]);
    let tag = |id: &str, tags| ec2.create_tags().resources(id).set_tags(Some(ec2_tags(tags)));
    passes!(rig, tag(id, &[("a", "b")]));
    let said = refused!(rig, tag(id, &[("a", "b")]).resources("vol-0prod"));
    assert!(said.contains("ebs.volume vol-0prod is not in the ledger"), "{said}");
    let said = refused!(rig, tag(id, &[("redrill:name", "other")]));
    assert!(said.contains("would lose what its tag redrill:name says"), "{said}");
    let said = refused!(rig, tag("i-0prod", &[("a", "b")]));
    assert!(said.contains("i-0prod is neither a volume nor a snapshot"), "{said}");
    // The id of a volume is none of a snapshot.
    let said = refused!(rig, ec2.delete_snapshot().snapshot_id(id));
    assert!(said.contains("is not in the ledger"), "{said}");
    passes!(rig, ec2.delete_volume().volume_id(id));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_copied_under_its_tags_and_deleted_by_its_id() {
    let rig = rig_with_everything().await;
    let ec2 = rig.ec2();
    let found = passes!(rig, ec2.describe_snapshots().owner_ids("self"));
    let source = found.snapshots()[0].snapshot_id().unwrap().to_owned();
    let copy = |of: ResourceType, tags: &[(&str, &str)]| {
        ec2.copy_snapshot()
            .source_region(REGION)
            .source_snapshot_id(&source)
            .tag_specifications(specification(of, tags, "redrill-disk-copy"))
    };
    let said = refused!(rig, copy(ResourceType::Volume, &TAGS));
    assert!(said.contains("its tags are not for the snapshot"), "{said}");
    let said = refused!(rig, copy(ResourceType::Snapshot, &[]));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let said = refused!(rig, copy(ResourceType::Snapshot, &TAGS).presigned_url("https://x"));
    assert!(said.contains("it sets a field that has no role"), "withheld by the SDK: {said}");
    let made = passes!(rig, copy(ResourceType::Snapshot, &TAGS));
    let id = made.snapshot_id().unwrap();
    rig.on_disk(&[owned("ebs.snapshot", "redrill-disk-copy", id)]);
    // Swapped: the source in place of the copy.
    let said = refused!(rig, ec2.delete_snapshot().snapshot_id(&source));
    assert!(said.contains("is not in the ledger"), "{said}");
    rig.clock.sleep(std::time::Duration::from_secs(3600)).await;
    passes!(rig, ec2.delete_snapshot().snapshot_id(id));
}

#[tokio::test(start_paused = true)]
async fn canaries_are_written_and_deleted_only_where_the_guard_says_and_only_the_runs_own() {
    let rig = rig_with_everything().await;
    let s3 = rig.s3();
    let put = |key: &str| {
        let put = s3.put_object().bucket("uploads").key(key).body(ByteStream::from_static(b"x"));
        TAGS.iter().fold(put, |put, (tag, value)| put.metadata(tag.replace(':', "-"), *value))
    };
    let canary = "redrill-canary/redrill-1";
    let said = refused!(rig, put("redrill-canary/redrill-2"));
    assert!(said.contains("uploads/redrill-canary/redrill-2 is not in the ledger"), "{said}");
    let said = refused!(rig, put("invoices/1.pdf"));
    assert!(said.contains("guard.canaries does not name its place"), "{said}");
    let said = refused!(rig, put(canary).set_metadata(None));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let said = refused!(rig, put(canary).metadata("redrill-run", "orders-0002-test"));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let said = refused!(rig, put(canary).acl(aws_sdk_s3::types::ObjectCannedAcl::PublicRead));
    assert!(said.contains("it sets acl"), "{said}");
    let said = refused!(rig, put(canary).bucket("other"));
    assert!(said.contains("guard.canaries does not name its place"), "{said}");
    passes!(rig, put(canary));

    let delete = |keys: &[&str]| s3.delete_objects().bucket("uploads").delete(deletion(keys));
    let said = refused!(rig, delete(&[canary, "invoices/1.pdf"]));
    assert!(said.contains("uploads/invoices/1.pdf may not be changed"), "{said}");
    let said = refused!(rig, delete(&[canary, "redrill-canary/redrill-2"]));
    assert!(said.contains("redrill-2 is not in the ledger"), "{said}");
    let said = refused!(rig, s3.delete_objects().bucket("uploads").delete(deletion(&[])));
    assert!(said.contains("it names nothing that it would change"), "{said}");
    let bypass = s3.delete_object().bucket("uploads").key(canary).bypass_governance_retention(true);
    let said = refused!(rig, bypass);
    assert!(said.contains("it sets bypass_governance_retention"), "{said}");
    passes!(rig, delete(&[canary]));
    passes!(rig, s3.delete_object().bucket("uploads").key(canary));
}
