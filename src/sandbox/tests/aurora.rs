//! Clusters as the real SDK clients see them.

use super::{DR, PRIMARY, Rig, code, text};
use crate::sandbox::{DatabaseLogin, QueryRefused, SqlValue};
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, Filter, SourceType};

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {}, "222222222222": {} }
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-home }]
    clusters:
      - id: payments
        kms_key: key-home
        port: 5433
        database: payments
        users: { reader: secret }
        log_exports: [postgresql]
        deletion_protection: true
        instances: [{ id: payments-1, tier: 0 }, { id: payments-2, class: db.r6g.xlarge }]
        schedule:
          every: 24h
          at: 3h
          keep: 7d
          takes: 10m
          skipped: [2]
          copies:
            account: "222222222222"
            region: ap-northeast-3
            kms_key: key-dr
            lag: 20m
            time_tag: data-time
            damage: ["delete from ledger where id = 2"]
        snapshots: [{ id: before-migration, age: 3d, tags: { why: migration } }]
        data:
          sql: [create table ledger (id integer), "insert into ledger values (1), (2)"]
          heartbeat: { table: beat, column: at, every: 1m }
      - { id: catalog, engine: aurora-mysql, version: 8.0.mysql_aurora.3.05.2, snapshots: [{ id: plain, age: 1d }] }
  - { account: "111111111111", region: ap-northeast-3, kms_keys: [{ id: key-osaka }] }
  - account: "222222222222"
    region: ap-northeast-3
    kms_keys: [{ id: key-dr }]
    subnet_groups: [{ name: drill, vpc: vpc-drill }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }, { id: sg-else, vpc: vpc-else }]
    cluster_parameter_groups:
      - { name: payments, family: aurora-postgresql16 }
      - { name: wrong, family: aurora-mysql8.0 }
"#;

const COPY: &str = "payments-2026-11-22-03-00-copy";

fn rig(faults: &[&str]) -> Rig {
    Rig::of(ESTATE, faults)
}

async fn cluster(rds: &Client, id: &str) -> DbCluster {
    let found = rds.describe_db_clusters().db_cluster_identifier(id).send().await.unwrap();
    found.db_clusters()[0].clone()
}

/// A cluster that is restored in the recovery region, and available.
async fn restored(rig: &Rig) -> Client {
    let rds = rig.rds(DR);
    let restore = rds.restore_db_cluster_from_snapshot().db_cluster_identifier("drill");
    restore.snapshot_identifier(COPY).engine("aurora-postgresql").send().await.unwrap();
    rig.wait("11m").await;
    rds
}

async fn add_member(rds: &Client, id: &str) {
    let create = rds.create_db_instance().db_instance_identifier(id).db_cluster_identifier("drill");
    let create = create.engine("aurora-postgresql").db_instance_class("db.r6g.large");
    create.send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restored_cluster_has_the_defaults_of_the_service_and_no_members() {
    let rig = rig(&[]);
    let rds = restored(&rig).await;
    let made = cluster(&rds, "drill").await;
    assert_eq!((made.status(), made.db_cluster_members().len()), (Some("available"), 0));
    assert_eq!((made.port(), made.deletion_protection()), (Some(5433), Some(false)));
    assert_eq!(made.db_cluster_parameter_group(), Some("default.aurora-postgresql16"));
    assert_eq!(made.vpc_security_groups()[0].vpc_security_group_id(), Some("sg-default"));
    assert_eq!(made.db_subnet_group(), Some("default"));
    assert!(made.enabled_cloudwatch_logs_exports().is_empty());
    assert_eq!(made.kms_key_id(), Some("arn:aws:kms:ap-northeast-3:222222222222:key/key-dr"));
    assert_eq!(made.iam_database_authentication_enabled(), Some(false));
}

#[tokio::test(start_paused = true)]
async fn members_become_available_after_their_cluster_and_the_first_one_writes() {
    let rig = rig(&[]);
    let rds = restored(&rig).await;
    for id in ["drill-b", "drill-a"] {
        add_member(&rds, id).await;
    }
    let status = async |id: &str| {
        let found = rds.describe_db_instances().db_instance_identifier(id).send().await.unwrap();
        found.db_instances()[0].db_instance_status().unwrap().to_owned()
    };
    assert_eq!(cluster(&rds, "drill").await.status(), Some("available"));
    assert_eq!(status("drill-a").await, "creating");
    rig.wait("9m").await;
    assert_eq!(status("drill-a").await, "available");
    let members = cluster(&rds, "drill").await.db_cluster_members().to_vec();
    let roles: Vec<_> = members
        .iter()
        .map(|m| (m.db_instance_identifier().unwrap(), m.is_cluster_writer().unwrap()))
        .collect();
    assert_eq!(roles, [("drill-b", true), ("drill-a", false)]);
    let filter = Filter::builder().name("db-cluster-id").values("drill").build();
    let found = rds.describe_db_instances().filters(filter).send().await.unwrap();
    assert_eq!(found.db_instances().len(), 2);
    assert_eq!(found.db_instances()[0].db_cluster_identifier(), Some("drill"));
    let events = rds.describe_events().source_type(SourceType::DbInstance);
    let events = events.source_identifier("drill-a").send().await.unwrap();
    assert_eq!(events.events()[0].message(), Some("DB instance created"));
}

fn login(host: &str) -> DatabaseLogin {
    DatabaseLogin {
        host: host.to_owned(),
        port: 5433,
        user: "reader".to_owned(),
        password: "secret".to_owned(),
        database: "payments".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_answer_with_the_data_of_the_snapshot_once_a_member_is_there() {
    let rig = rig(&[]);
    let rds = restored(&rig).await;
    let made = cluster(&rds, "drill").await;
    let (writer, reader) = (made.endpoint().unwrap(), made.reader_endpoint().unwrap());
    let ask = |host: &str, sql: &str| rig.world.read(&login(host), sql);
    let refused = ask(writer, "select 1").unwrap_err();
    assert!(matches!(refused, QueryRefused::UnknownHost(_)), "{refused}");
    add_member(&rds, "drill-1").await;
    add_member(&rds, "drill-2").await;
    rig.wait("9m").await;
    for host in [writer, reader] {
        let count = ask(host, "select count(*) from ledger").unwrap();
        assert_eq!(count.rows[0][0], SqlValue::Integer(1), "the damage of the copies");
        let beat = ask(host, "select max(at) from beat").unwrap();
        assert_eq!(beat.rows[0][0], SqlValue::Text("2026-11-22T03:00:00Z".to_owned()));
    }
    // What is written through the writer is read through the reader: there is one storage.
    rig.world.query(&login(writer), "insert into ledger values (9)").unwrap();
    let count = ask(reader, "select count(*) from ledger").unwrap();
    assert_eq!(count.rows[0][0], SqlValue::Integer(2));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_group_is_read_only_takes_no_writes_at_its_endpoint() {
    let set = "{ default_transaction_read_only: \"1\" }";
    let group = "{ name: payments, family: aurora-postgresql16";
    assert!(ESTATE.contains(&format!("{group} }}")));
    let estate = ESTATE.replace(group, &format!("{group}, parameters: {set}"));
    let rig = Rig::of(&estate, &[]);
    let rds = rig.rds(DR);
    let restore = rds.restore_db_cluster_from_snapshot().db_cluster_identifier("drill");
    let restore = restore.snapshot_identifier(COPY).engine("aurora-postgresql");
    restore.db_cluster_parameter_group_name("payments").send().await.unwrap();
    rig.wait("11m").await;
    add_member(&rds, "drill-1").await;
    rig.wait("9m").await;
    let made = cluster(&rds, "drill").await;
    let write = rig.world.query(&login(made.endpoint().unwrap()), "insert into ledger values (9)");
    let refused = write.unwrap_err().to_string();
    assert!(refused.starts_with("SQLSTATE 25006"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn copies_carry_their_own_time_name_their_source_and_have_the_tag_of_the_copying_job() {
    let rig = rig(&[]);
    let all = async |place| {
        let found = rig.rds(place).describe_db_cluster_snapshots();
        let found = found.db_cluster_identifier("payments").send().await.unwrap();
        found.db_cluster_snapshots().to_vec()
    };
    let (home, copies) = (all(PRIMARY).await, all(DR).await);
    // Seven days, one of them skipped; and one that somebody made.
    assert_eq!((home.len(), copies.len()), (7, 6));
    let original = home
        .iter()
        .find(|s| s.db_cluster_snapshot_identifier() == Some("rds:payments-2026-11-22-03-00"));
    let original = original.unwrap();
    assert_eq!(original.source_db_cluster_snapshot_arn(), None);
    assert_eq!(text(original.snapshot_create_time()), "2026-11-22T03:00:00Z");
    let copy = copies.iter().find(|s| s.db_cluster_snapshot_identifier() == Some(COPY)).unwrap();
    assert_eq!((copy.snapshot_type(), copy.status()), (Some("manual"), Some("available")));
    assert_eq!(copy.source_db_cluster_snapshot_arn(), original.db_cluster_snapshot_arn());
    assert_eq!(text(copy.snapshot_create_time()), "2026-11-22T03:30:00Z");
    let tag = &copy.tag_list()[0];
    assert_eq!((tag.key(), tag.value()), (Some("data-time"), Some("2026-11-22T03:00:00Z")));
    let by_arn = rig.rds(DR).describe_db_cluster_snapshots();
    let by_arn = by_arn.db_cluster_snapshot_identifier(copy.db_cluster_snapshot_arn().unwrap());
    assert_eq!(by_arn.send().await.unwrap().db_cluster_snapshots().len(), 1);
    let missing = rig.rds(DR).describe_db_cluster_snapshots();
    let missing = missing.db_cluster_snapshot_identifier("no-such").send().await;
    assert_eq!(code(missing), "DBClusterSnapshotNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn a_copy_by_a_call_is_under_a_key_of_its_region_knows_its_own_time_and_can_be_deleted() {
    let rig = rig(&[]);
    let osaka = rig.rds((PRIMARY.0, DR.1));
    let source = "arn:aws:rds:ap-northeast-1:111111111111:cluster-snapshot:before-migration";
    let copy = |source: &str| {
        osaka
            .copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier(source)
            .target_db_cluster_snapshot_identifier("mine")
    };
    // Keys do not leave their region, and what is not encrypted takes none.
    assert_eq!(code(copy(source).send().await), "InvalidParameterValue");
    let refused = copy(source).kms_key_id("key-home").send().await;
    assert_eq!(code(refused), "KMSKeyNotAccessibleFault");
    let plain = source.replace("before-migration", "plain");
    let refused = copy(&plain).kms_key_id("key-osaka").send().await;
    assert_eq!(code(refused), "InvalidParameterCombination");
    let missing = copy("nothing").send().await;
    assert_eq!(code(missing), "DBClusterSnapshotNotFoundFault");
    let own = || copy(source).kms_key_id("key-osaka");
    let made = own().copy_tags(true).send().await.unwrap();
    assert_eq!(made.db_cluster_snapshot().unwrap().status(), Some("copying"));
    assert_eq!(code(own().send().await), "DBClusterSnapshotAlreadyExistsFault");
    let delete = || osaka.delete_db_cluster_snapshot().db_cluster_snapshot_identifier("mine");
    assert_eq!(code(delete().send().await), "InvalidDBClusterSnapshotStateFault");
    rig.wait("20m").await;
    let find = || osaka.describe_db_cluster_snapshots().db_cluster_snapshot_identifier("mine");
    let found = find().send().await.unwrap();
    let found = &found.db_cluster_snapshots()[0];
    assert_eq!((found.status(), found.snapshot_type()), (Some("available"), Some("manual")));
    assert_eq!(found.source_db_cluster_snapshot_arn(), Some(source));
    let created = text(found.snapshot_create_time());
    assert!(
        created.starts_with("2026-11-22T10:00:"),
        "that of the copying, not of the data: {created}"
    );
    assert!(found.kms_key_id().unwrap().contains(":ap-northeast-3:"));
    assert_eq!(found.tag_list()[0].key(), Some("why"));
    delete().send().await.unwrap();
    assert_eq!(code(find().send().await), "DBClusterSnapshotNotFoundFault");
    let home = rig.rds(PRIMARY).delete_db_cluster_snapshot();
    let automated = home.db_cluster_snapshot_identifier("rds:payments-2026-11-22-03-00");
    assert_eq!(code(automated.send().await), "InvalidDBClusterSnapshotStateFault");
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_cluster_snapshot_fails_when_its_source_is_deleted_under_it() {
    let rig = rig(&[]);
    let osaka = rig.rds((PRIMARY.0, DR.1));
    let source = "arn:aws:rds:ap-northeast-1:111111111111:cluster-snapshot:before-migration";
    let copy = osaka.copy_db_cluster_snapshot().kms_key_id("key-osaka");
    let copy = copy.source_db_cluster_snapshot_identifier(source);
    copy.target_db_cluster_snapshot_identifier("mine").send().await.unwrap();
    let home = rig.rds(PRIMARY).delete_db_cluster_snapshot();
    home.db_cluster_snapshot_identifier("before-migration").send().await.unwrap();
    let found = osaka.describe_db_cluster_snapshots().db_cluster_snapshot_identifier("mine");
    let found = found.send().await.unwrap();
    assert_eq!(found.db_cluster_snapshots()[0].status(), Some("failed"));
    let delete = osaka.delete_db_cluster_snapshot().db_cluster_snapshot_identifier("mine");
    delete.send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn copies_that_were_under_way_when_the_region_was_lost_are_never_finished() {
    let rig = rig(&[]);
    rig.until("2026-11-23T03:15:00Z").await;
    rig.world.lose(PRIMARY.0, PRIMARY.1);
    rig.wait("5h").await;
    let copy = rig.rds(DR).describe_db_cluster_snapshots();
    let copy = copy.db_cluster_snapshot_identifier("payments-2026-11-23-03-00-copy");
    let found = copy.send().await.unwrap();
    assert_eq!(found.db_cluster_snapshots()[0].status(), Some("creating"));
    assert!(found.db_cluster_snapshots()[0].snapshot_create_time().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_refused_where_aws_refuses_it() {
    let rig = rig(&[]);
    let rds = rig.rds(DR);
    let restore = |id: &str| {
        let restore = rds.restore_db_cluster_from_snapshot().db_cluster_identifier(id);
        restore.snapshot_identifier(COPY).engine("aurora-postgresql")
    };
    for (wrong, refusal) in [
        (restore("a").snapshot_identifier("no-such"), "DBClusterSnapshotNotFoundFault"),
        (restore("a").engine("aurora-mysql"), "InvalidParameterValue"),
        (restore("a").db_subnet_group_name("none"), "DBSubnetGroupNotFoundFault"),
        (restore("a").vpc_security_group_ids("sg-none"), "InvalidParameterValue"),
        (
            restore("a").db_subnet_group_name("drill").vpc_security_group_ids("sg-else"),
            "InvalidVPCNetworkStateFault",
        ),
        (restore("a").db_cluster_parameter_group_name("none"), "DBClusterParameterGroupNotFound"),
        (restore("a").db_cluster_parameter_group_name("wrong"), "InvalidParameterCombination"),
        (restore("a").kms_key_id("none"), "KMSKeyNotAccessibleFault"),
        (restore("not--a-name"), "InvalidParameterValue"),
    ] {
        assert_eq!(code(wrong.send().await), refusal);
    }
    restore("drill").send().await.unwrap();
    assert_eq!(code(restore("drill").send().await), "DBClusterAlreadyExistsFault");
    let member = || {
        let create = rds.create_db_instance().db_instance_identifier("drill-1");
        create.db_instance_class("db.r6g.large").engine("aurora-postgresql")
    };
    let early = member().db_cluster_identifier("drill").send().await;
    assert_eq!(code(early), "InvalidDBClusterStateFault", "the cluster is not available yet");
    rig.wait("11m").await;
    for (wrong, refusal) in [
        (member().db_cluster_identifier("none"), "DBClusterNotFoundFault"),
        (member(), "InvalidParameterValue"),
        (member().db_cluster_identifier("drill").engine("postgres"), "InvalidParameterCombination"),
        (
            member().db_cluster_identifier("drill").db_instance_class("db.serverless"),
            "InvalidDBClusterStateFault",
        ),
        (
            member().db_cluster_identifier("drill").db_parameter_group_name("none"),
            "DBParameterGroupNotFound",
        ),
        (member().db_cluster_identifier("drill").promotion_tier(16), "InvalidParameterValue"),
    ] {
        assert_eq!(code(wrong.send().await), refusal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_goes_only_after_its_members_and_without_protection() {
    let rig = rig(&[]);
    let rds = rig.rds(PRIMARY);
    let delete = || rds.delete_db_cluster().db_cluster_identifier("payments");
    let protected = delete().skip_final_snapshot(true).send().await;
    assert_eq!(code(protected), "InvalidParameterCombination");
    let modify = rds.modify_db_cluster().db_cluster_identifier("payments");
    modify.deletion_protection(false).send().await.unwrap();
    let full = delete().skip_final_snapshot(true).send().await;
    assert_eq!(code(full), "InvalidDBClusterStateFault");
    let member = |id: &str| rds.delete_db_instance().db_instance_identifier(id);
    let last = member("payments-1").final_db_snapshot_identifier("last").send().await;
    assert_eq!(code(last), "InvalidParameterCombination");
    member("payments-1").send().await.unwrap();
    rig.wait("5m").await;
    let members = cluster(&rds, "payments").await.db_cluster_members().to_vec();
    assert_eq!(
        (members.len(), members[0].is_cluster_writer()),
        (1, Some(true)),
        "the other one writes"
    );
    member("payments-2").skip_final_snapshot(true).send().await.unwrap();
    assert_eq!(
        code(delete().send().await),
        "InvalidParameterCombination",
        "no final snapshot named"
    );
    delete().skip_final_snapshot(true).send().await.unwrap();
    assert_eq!(cluster(&rds, "payments").await.status(), Some("deleting"));
    rig.wait("7m").await;
    let gone = rds.describe_db_clusters().db_cluster_identifier("payments").send().await;
    assert_eq!(code(gone), "DBClusterNotFoundFault");
    let left = rds.describe_db_cluster_snapshots().send().await.unwrap();
    let left: Vec<_> =
        left.db_cluster_snapshots().iter().map(|s| s.snapshot_type().unwrap()).collect();
    assert_eq!(left, ["manual", "manual"], "automated ones go with their cluster");
}

#[tokio::test(start_paused = true)]
async fn a_point_in_time_is_a_time_of_the_window_and_a_clone_is_of_now() {
    let rig = rig(&[]);
    let rds = rig.rds(PRIMARY);
    let source = cluster(&rds, "payments").await;
    assert_eq!(text(source.earliest_restorable_time()), "2026-11-15T09:58:00Z");
    assert_eq!(text(source.latest_restorable_time()), "2026-11-22T09:58:00Z");
    let restore = |id: &str| {
        let restore = rds.restore_db_cluster_to_point_in_time().db_cluster_identifier(id);
        restore.source_db_cluster_identifier("payments")
    };
    let at = |secs| aws_smithy_types::DateTime::from_secs(secs);
    let noon = at(1_795_262_400);
    for (wrong, refusal) in [
        (restore("a"), "InvalidParameterCombination"),
        (
            restore("a").restore_to_time(noon).use_latest_restorable_time(true),
            "InvalidParameterCombination",
        ),
        (
            restore("a").restore_to_time(noon).restore_type("copy-on-write"),
            "InvalidParameterCombination",
        ),
        (restore("a").restore_to_time(at(1)), "InvalidRestoreFault"),
        (
            restore("a").restore_to_time(*source.latest_restorable_time().unwrap()),
            "InvalidRestoreFault",
        ),
        (
            restore("a").source_db_cluster_identifier("none").use_latest_restorable_time(true),
            "DBClusterNotFoundFault",
        ),
    ] {
        assert_eq!(code(wrong.send().await), refusal);
    }
    restore("earlier").restore_to_time(noon).send().await.unwrap();
    let clone = restore("clone").use_latest_restorable_time(true).restore_type("copy-on-write");
    clone.send().await.unwrap();
    rig.wait("11m").await;
    assert_eq!(cluster(&rds, "earlier").await.port(), Some(5432), "the engine's, not the source's");
    for (id, beat) in [("earlier", "2026-11-21T12:00:00Z"), ("clone", "2026-11-22T10:00:00Z")] {
        let create = rds.create_db_instance().db_instance_identifier(format!("{id}-1"));
        let create = create.db_cluster_identifier(id).engine("aurora-postgresql");
        create.db_instance_class("db.r6g.large").send().await.unwrap();
        rig.wait("9m").await;
        let host = cluster(&rds, id).await.endpoint().unwrap().to_owned();
        let login = DatabaseLogin { port: 5432, ..login(&host) };
        let found = rig.world.read(&login, "select max(at) from beat").unwrap();
        assert_eq!(found.rows[0][0], SqlValue::Text(beat.to_owned()), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_leave_members_creating_or_failed_and_clusters_unusable() {
    let faults = ["rds:CreateDBInstance#1=stuck", "rds:CreateDBInstance#2=broken"];
    let rig = rig(&faults);
    let rds = restored(&rig).await;
    add_member(&rds, "drill-1").await;
    add_member(&rds, "drill-2").await;
    rig.wait("5h").await;
    let found = rds.describe_db_instances().send().await.unwrap();
    let states: Vec<_> =
        found.db_instances().iter().map(|i| i.db_instance_status().unwrap()).collect();
    assert_eq!(states, ["creating", "incompatible-network"]);
    let rig = self::rig(&["rds:RestoreDBClusterFromSnapshot=broken"]);
    let rds = restored(&rig).await;
    assert_eq!(cluster(&rds, "drill").await.status(), Some("inaccessible-encryption-credentials"));
}

#[tokio::test(start_paused = true)]
async fn groups_of_both_engines_and_quotas_are_told() {
    let rig = rig(&[]);
    let rds = rig.rds(PRIMARY);
    let groups = rds.describe_db_cluster_parameter_groups().send().await.unwrap();
    let names: Vec<_> = groups
        .db_cluster_parameter_groups()
        .iter()
        .map(|g| g.db_cluster_parameter_group_name().unwrap())
        .collect();
    assert_eq!(names, ["default.aurora-mysql8.0", "default.aurora-postgresql16"]);
    let quotas = rds.describe_account_attributes().send().await.unwrap();
    let used: Vec<_> = quotas
        .account_quotas()
        .iter()
        .map(|q| (q.account_quota_name().unwrap(), q.used().unwrap()))
        .collect();
    assert_eq!(used[..2], [("DBInstances", 2), ("DBClusters", 2)]);
    let names: Vec<_> = used[2..].iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ManualSnapshots", "ManualClusterSnapshots"]);
}
