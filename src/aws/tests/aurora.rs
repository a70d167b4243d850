//! Real calls that change clusters and their members: with production's names, and with the run's own.

use super::calls::refuse;
use super::*;
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) async fn try_clusters(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    try_cluster_snapshots(rig, tried).await;
    let rds = rig.rds();
    refuse!(
        rig,
        tried,
        "rds:CreateDBInstance",
        rds.create_db_instance()
            .db_instance_identifier("payments-3")
            .db_cluster_identifier("payments")
            .set_tags(rds_tags(&TAGS)),
        "aurora.instance payments-3 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:DeleteDBCluster",
        rds.delete_db_cluster().db_cluster_identifier("payments").skip_final_snapshot(true),
        "aurora.cluster payments is not in the ledger of the run"
    );
    refuse!(
        rig,
        tried,
        "rds:ModifyDBCluster",
        rds.modify_db_cluster().db_cluster_identifier("payments").deletion_protection(false),
        "aurora.cluster payments is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:RestoreDBClusterFromSnapshot",
        rds.restore_db_cluster_from_snapshot()
            .db_cluster_identifier("payments-2")
            .snapshot_identifier("payments-before")
            .engine("aurora-postgresql")
            .set_tags(rds_tags(&TAGS)),
        "aurora.cluster payments-2 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:RestoreDBClusterToPointInTime",
        rds.restore_db_cluster_to_point_in_time()
            .db_cluster_identifier("payments-2")
            .source_db_cluster_identifier("payments")
            .set_tags(rds_tags(&TAGS)),
        "aurora.cluster payments-2 is not in the ledger"
    );
}

async fn try_cluster_snapshots(rig: &Rig, tried: &mut BTreeSet<&'static str>) {
    let rds = rig.rds();
    refuse!(
        rig,
        tried,
        "rds:CopyDBClusterSnapshot",
        rds.copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier("payments-before")
            .target_db_cluster_snapshot_identifier("payments-before-2")
            .set_tags(rds_tags(&TAGS)),
        "aurora.cluster_snapshot payments-before-2 is not in the ledger"
    );
    refuse!(
        rig,
        tried,
        "rds:DeleteDBClusterSnapshot",
        rds.delete_db_cluster_snapshot().db_cluster_snapshot_identifier("payments-before"),
        "aurora.cluster_snapshot payments-before is not in the ledger"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_cluster_snapshot_is_made_tagged_and_deleted_only_under_the_name_of_the_intent()
{
    let rig = Rig::new();
    // The name of an instance's snapshot gives no right to one of a cluster.
    rig.on_disk(&[
        intended("aurora.cluster_snapshot", "redrill-copy"),
        intended("rds.db_snapshot", "redrill-other"),
    ]);
    let rds = rig.rds();
    let copy = |source: &str, target: &str| {
        rds.copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier(source)
            .target_db_cluster_snapshot_identifier(target)
            .set_tags(rds_tags(&TAGS))
    };
    for target in ["payments-before", "redrill-other"] {
        let said = refused!(rig, copy("redrill-copy", target));
        let expected = format!("aurora.cluster_snapshot {target} is not in the ledger");
        assert!(said.contains(&expected), "{said}");
    }
    let own = || copy("payments-before", "redrill-copy");
    let said = refused!(rig, own().set_tags(rds_tags(&TAGS[1..])));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let said = refused!(rig, own().copy_tags(true));
    assert!(said.contains("it sets copy_tags, which has no role"), "{said}");
    let said = refused!(rig, own().pre_signed_url("https://rds.invalid/?secret"));
    assert!(said.contains("it sets a field that has no role"), "withheld by the SDK: {said}");
    let made = passes!(rig, own());
    let arn = made.db_cluster_snapshot().unwrap().db_cluster_snapshot_arn().unwrap().to_owned();
    rig.clock.sleep(Duration::from_secs(7200)).await;
    rig.on_disk(&[owned("aurora.cluster_snapshot", "redrill-copy", &arn)]);
    let tag = |arn: &str| {
        let later = rds_tags(&[("redrill:expires", "2026-11-23T22:00:00Z")]);
        rds.add_tags_to_resource().resource_name(arn).set_tags(later)
    };
    passes!(rig, tag(&arn));
    let said = refused!(rig, tag(&arn.replace("redrill-copy", "payments-before")));
    assert!(said.contains("no intent is bound to it"), "{said}");
    let delete = |name: &str| rds.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(name);
    refused!(rig, delete("payments-before"));
    passes!(rig, delete("redrill-copy"));
}

fn rig_of_a_cluster() -> Rig {
    let rig = Rig::new();
    rig.on_disk(&[
        intended("aurora.cluster", "redrill-payments"),
        intended("aurora.instance", "redrill-payments-1"),
    ]);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_restored_changed_and_deleted_only_under_the_name_of_the_intent() {
    let rig = rig_of_a_cluster();
    let rds = rig.rds();
    let restore = || {
        rds.restore_db_cluster_from_snapshot()
            .db_cluster_identifier("redrill-payments")
            .snapshot_identifier("payments-before")
            .engine("aurora-postgresql")
    };
    let said = refused!(rig, restore());
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let own = || restore().set_tags(rds_tags(&TAGS));
    let said = refused!(rig, own().backtrack_window(3600));
    assert!(said.contains("it sets backtrack_window"), "{said}");
    let made = passes!(rig, own());
    let arn = made.db_cluster().unwrap().db_cluster_arn().unwrap().to_owned();
    rig.clock.sleep(Duration::from_secs(7200)).await;
    let modify = || rds.modify_db_cluster().db_cluster_identifier("redrill-payments");
    passes!(rig, modify().deletion_protection(false).apply_immediately(true));
    let said = refused!(rig, modify().master_user_password("hunter2"));
    assert!(said.contains("it sets") && !said.contains("hunter2"), "{said}");
    rig.on_disk(&[owned("aurora.cluster", "redrill-payments", &arn)]);
    let tag = |tags| rds.add_tags_to_resource().resource_name(&arn).set_tags(rds_tags(tags));
    passes!(rig, tag(&[("redrill:expires", "2026-11-23T22:00:00Z")]));
    let said = refused!(rig, tag(&[("redrill:run", "orders-0002-test")]));
    assert!(said.contains("would lose what its tag redrill:run says"), "{said}");
    let delete = || rds.delete_db_cluster().db_cluster_identifier("redrill-payments");
    let said = refused!(rig, delete().final_db_snapshot_identifier("payments-final"));
    assert!(said.contains("it sets final_db_snapshot_identifier"), "{said}");
    passes!(rig, delete().skip_final_snapshot(true).delete_automated_backups(true));
}

#[tokio::test(start_paused = true)]
async fn an_instance_joins_only_a_cluster_of_the_run_and_brings_no_data_of_its_own() {
    let rig = rig_of_a_cluster();
    let rds = rig.rds();
    let restore = rds
        .restore_db_cluster_from_snapshot()
        .db_cluster_identifier("redrill-payments")
        .snapshot_identifier("payments-before")
        .engine("aurora-postgresql")
        .set_tags(rds_tags(&TAGS));
    passes!(rig, restore);
    rig.clock.sleep(Duration::from_secs(7200)).await;
    let create = |name: &str, cluster: &str| {
        rds.create_db_instance()
            .db_instance_identifier(name)
            .db_cluster_identifier(cluster)
            .db_instance_class("db.r6g.large")
            .engine("aurora-postgresql")
            .set_tags(rds_tags(&TAGS))
    };
    // Into the cluster of production, under a name of one's own.
    let said = refused!(rig, create("redrill-payments-1", "payments"));
    assert!(said.contains("aurora.cluster payments is not in the ledger"), "{said}");
    let said = refused!(rig, create("payments-3", "redrill-payments"));
    assert!(said.contains("aurora.instance payments-3 is not in the ledger"), "{said}");
    let own = || create("redrill-payments-1", "redrill-payments");
    let said = refused!(rig, own().set_db_cluster_identifier(None));
    assert!(said.contains("db_cluster_identifier is missing"), "{said}");
    let said = refused!(rig, own().set_tags(None));
    assert!(said.contains("made without the tag redrill:run"), "{said}");
    let said = refused!(rig, own().master_username("root").master_user_password("hunter2"));
    assert!(said.contains("it sets") && !said.contains("hunter2"), "{said}");
    let made =
        passes!(rig, own().monitoring_interval(0).ca_certificate_identifier("rds-ca-rsa2048-g1"));
    let arn = made.db_instance().unwrap().db_instance_arn().unwrap().to_owned();
    // AWS knows a member as a DB instance; the ledger as a member.
    rig.on_disk(&[owned("aurora.instance", "redrill-payments-1", &arn)]);
    let expires = [("redrill:expires", "2026-11-23T22:00:00Z")];
    let tag = rds.add_tags_to_resource().resource_name(&arn).set_tags(rds_tags(&expires));
    passes!(rig, tag);
    let delete = |name: &str| {
        rds.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true)
    };
    let said = refused!(rig, delete("payments-1"));
    assert!(said.contains("rds.db_instance payments-1 is not in the ledger"), "{said}");
    passes!(rig, delete("redrill-payments-1"));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_member_does_not_let_an_instance_be_restored_under_it() {
    let rig = rig_of_a_cluster();
    let rds = rig.rds();
    let restore = rds
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier("redrill-payments-1")
        .db_snapshot_identifier("before-migration")
        .set_tags(rds_tags(&TAGS));
    let said = refused!(rig, restore);
    assert!(said.contains("rds.db_instance redrill-payments-1 is not in the ledger"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_for_another_run_is_exactly_the_member_or_the_cluster_that_was_named() {
    let member = key("aurora.instance", "payments-1");
    let rig = Rig::with(GuardPolicy::removing([(member, None)]));
    let rds = rig.rds();
    passes!(
        rig,
        rds.delete_db_instance().db_instance_identifier("payments-1").skip_final_snapshot(true)
    );
    refused!(
        rig,
        rds.delete_db_instance().db_instance_identifier("orders-db").skip_final_snapshot(true)
    );
    refused!(
        rig,
        rds.delete_db_cluster().db_cluster_identifier("payments").skip_final_snapshot(true)
    );
    refused!(
        rig,
        rds.modify_db_cluster().db_cluster_identifier("payments").deletion_protection(false)
    );
}
