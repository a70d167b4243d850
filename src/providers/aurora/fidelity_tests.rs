use super::super::restore_cluster::RestoreClusterInput;
use super::*;
use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
use aws_sdk_rds::types::{
    DbParameterGroupStatus, ServerlessV2ScalingConfigurationInfo, VpcSecurityGroupMembership,
};
use serde_json::json;
use std::collections::BTreeMap;

fn asked() -> Settings {
    let input = json!({
        "snapshot": "s",
        "writer": { "class": "db.r6g.large", "tier": 0, "zone": "a" },
        "readers": [{ "class": "db.r6g.xlarge", "tier": 1 }],
        "subnet_group": "Drill", "security_groups": ["sg-2", "sg-1"],
        "cluster_parameter_group": "Payments", "instance_parameter_group": "Payments-Instance",
        "port": 5432, "iam_auth": true, "log_exports": ["postgresql"], "kms_key": "alias/dr",
        "engine_mode": "provisioned", "serverless": { "min": 0.5, "max": 8.0 }, "storage_type": "aurora-iopt1",
        "backup_retention": "7d", "ca": "rds-ca-rsa2048-g1", "monitoring": { "every": "60s", "role": "r" },
    });
    serde_json::from_value::<RestoreClusterInput>(input).unwrap().settings()
}

fn expected() -> Expected {
    Expected {
        engine: Some("aurora-postgresql".into()),
        engine_version: Some("16.4".into()),
        encrypted: Some(true),
        key: Some("arn:key".into()),
    }
}

fn names() -> Vec<String> {
    vec!["drill-1".into(), "drill-2".into()]
}

fn member(name: &str, writes: bool, tier: i32) -> DbClusterMember {
    DbClusterMember::builder()
        .db_instance_identifier(name)
        .is_cluster_writer(writes)
        .promotion_tier(tier)
        .db_cluster_parameter_group_status("in-sync")
        .build()
}

fn instance(name: &str, class: &str) -> DbInstance {
    let group = DbParameterGroupStatus::builder()
        .db_parameter_group_name("payments-instance")
        .parameter_apply_status("in-sync");
    DbInstance::builder()
        .db_instance_identifier(name)
        .db_instance_class(class)
        .availability_zone("a")
        .publicly_accessible(false)
        .ca_certificate_identifier("rds-ca-rsa2048-g1")
        .monitoring_interval(60)
        .db_parameter_groups(group.build())
        .build()
}

fn restored() -> (DbCluster, Vec<DbInstance>) {
    let group = |id: &str| VpcSecurityGroupMembership::builder().vpc_security_group_id(id).build();
    let limits =
        ServerlessV2ScalingConfigurationInfo::builder().min_capacity(0.5).max_capacity(8.0);
    let cluster = DbCluster::builder()
        .db_cluster_members(member("drill-1", true, 0))
        .db_cluster_members(member("drill-2", false, 1))
        .db_subnet_group("drill")
        .vpc_security_groups(group("sg-1"))
        .vpc_security_groups(group("sg-2"))
        .db_cluster_parameter_group("payments")
        .deletion_protection(false)
        .engine("aurora-postgresql")
        .engine_version("16.4")
        .engine_mode("provisioned")
        .storage_encrypted(true)
        .kms_key_id("arn:key")
        .port(5432)
        .backup_retention_period(7)
        .iam_database_authentication_enabled(true)
        .enabled_cloudwatch_logs_exports("postgresql")
        .serverless_v2_scaling_configuration(limits.build())
        .storage_type("aurora-iopt1");
    let instances = vec![instance("drill-1", "db.r6g.large"), instance("drill-2", "db.r6g.xlarge")];
    (cluster.build(), instances)
}

fn outcomes(
    asked: &Settings,
    expected: &Expected,
    (cluster, instances): &(DbCluster, Vec<DbInstance>),
) -> BTreeMap<String, Outcome> {
    let checks = compare(asked, expected, &names(), cluster, instances);
    checks.into_iter().map(|check| (check.name, check.outcome)).collect()
}

#[test]
fn a_cluster_as_asked_for_passes_every_check() {
    let outcomes = outcomes(&asked(), &expected(), &restored());
    assert_eq!(outcomes.len(), 26, "{outcomes:?}");
    assert!(outcomes.values().all(|outcome| *outcome == Passed), "{outcomes:?}");
}

#[test]
fn every_kind_of_check_can_fail() {
    let other = json!({
        "snapshot": "s",
        "writer": { "class": "db.r6g.4xlarge", "tier": 5, "zone": "c" },
        "readers": [{ "class": "db.r6g.4xlarge", "tier": 5 }, { "class": "db.r6g.4xlarge" }],
        "subnet_group": "prod", "security_groups": ["sg-9"], "cluster_parameter_group": "prod",
        "instance_parameter_group": "prod", "port": 5433, "iam_auth": false, "log_exports": ["audit"],
        "kms_key": "alias/other", "engine_mode": "serverless", "serverless": { "min": 1.0, "max": 8.0 },
        "storage_type": "aurora", "deletion_protection": true, "publicly_accessible": true,
        "backup_retention": "14d", "ca": "rds-ca-ecc384-g1", "monitoring": { "every": "5s", "role": "r" },
    });
    let other = serde_json::from_value::<RestoreClusterInput>(other).unwrap().settings();
    let elsewhere = Expected {
        engine: Some("aurora-mysql".into()),
        engine_version: Some("8.0".into()),
        encrypted: Some(false),
        key: Some("arn:other".into()),
    };
    let outcomes = outcomes(&other, &elsewhere, &restored());
    let applied = ["cluster parameters applied", "instance parameters applied"];
    assert_eq!(outcomes.len(), 26, "{outcomes:?}");
    for (name, outcome) in outcomes {
        let wanted = if applied.contains(&name.as_str()) { Passed } else { Failed };
        assert_eq!(outcome, wanted, "{name}");
    }
    let (mut cluster, mut instances) = restored();
    let pending =
        DbClusterMember::builder().db_instance_identifier("drill-1").is_cluster_writer(true);
    let pending = pending.db_cluster_parameter_group_status("pending-reboot").build();
    cluster.db_cluster_members.as_mut().unwrap()[0] = pending;
    let group = DbParameterGroupStatus::builder()
        .db_parameter_group_name("payments-instance")
        .parameter_apply_status("pending-reboot");
    instances[1].db_parameter_groups = Some(vec![group.build()]);
    let outcomes = self::outcomes(&asked(), &expected(), &(cluster, instances));
    assert!(applied.iter().all(|name| outcomes[*name] == Failed), "{outcomes:?}");
    assert_eq!(outcomes["promotion tiers"], Inconclusive);
}

#[test]
fn an_answer_that_says_nothing_verifies_nothing_and_a_cluster_without_members_fails() {
    let nothing = (DbCluster::builder().build(), Vec::new());
    let outcomes = outcomes(&asked(), &Expected::default(), &nothing);
    for (name, outcome) in outcomes {
        let wanted = match name.as_str() {
            "members" | "log_exports" => Failed,
            "reader classes" => Failed,
            _ => Inconclusive,
        };
        assert_eq!(outcome, wanted, "{name}");
    }
}

#[test]
fn a_member_that_did_not_join_is_named() {
    let (mut cluster, instances) = restored();
    cluster.db_cluster_members.as_mut().unwrap().pop();
    let checks = compare(&asked(), &expected(), &names(), &cluster, &instances);
    let members = checks.iter().find(|check| check.name == "members").unwrap();
    assert_eq!(members.outcome, Failed);
    assert!(members.observed.contains("drill-2 did not join"), "{members:?}");
}

#[test]
fn two_members_of_one_class_may_change_places_and_two_of_different_classes_may_not() {
    let (mut cluster, mut instances) = restored();
    let swapped = vec![member("drill-1", false, 0), member("drill-2", true, 1)];
    cluster.db_cluster_members = Some(swapped);
    let outcomes_of = |instances: &[DbInstance], asked: &Settings| {
        outcomes(asked, &expected(), &(cluster.clone(), instances.to_vec()))
    };
    let found = outcomes_of(&instances, &asked());
    assert_eq!((found["writer class"], found["reader classes"]), (Failed, Failed));
    instances[1].db_instance_class = Some("db.r6g.large".into());
    let mut alike = asked();
    alike.readers[0].class = "db.r6g.large".into();
    let found = outcomes_of(&instances, &alike);
    assert_eq!((found["writer class"], found["members"]), (Passed, Passed));
}

#[test]
fn only_known_statuses_are_waited_for() {
    assert_eq!(progress_of_cluster("available"), Progress::Ready);
    assert_eq!(progress_of_cluster("creating"), Progress::UnderWay);
    for status in
        ["inaccessible-encryption-credentials", "migration-failed", "cloning-failed", "new"]
    {
        assert_eq!(progress_of_cluster(status), Progress::Ended, "{status}");
    }
    assert_eq!(progress_of_member("available"), Progress::Ready);
    assert_eq!(progress_of_member("configuring-log-exports"), Progress::UnderWay);
    for status in ["incompatible-network", "incompatible-parameters", "failed", "deleting", "new"] {
        assert_eq!(progress_of_member(status), Progress::Ended, "{status}");
    }
}
