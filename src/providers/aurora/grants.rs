//! On what the steps of Aurora use their permissions, for least privilege. Which types of resource an action can be limited
//! to is in the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html>).

use super::cluster::ClusterKind;
use super::cluster_snapshot::ClusterSnapshotKind;
use super::instance::InstanceKind;
use crate::action::{Given, Grant, Limit, Permission, ResourceKind as _};
use crate::providers::backups::on_keys;
use crate::providers::rds::{
    on_key_of_original, on_keys_of_found, on_restored, original_in_policy,
};

pub(super) fn find_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let snapshots = grant("rds:DescribeDBClusterSnapshots")
        .map(|g| g.on("cluster", given.pattern("of")).on("cluster-snapshot", "*"));
    let keys = grant("kms:DescribeKey").map(|g| on_keys_of_found(g, given));
    let versions = grant("rds:DescribeDBEngineVersions");
    snapshots.into_iter().chain(versions).chain(keys).collect()
}

pub(super) fn reading_config(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let all = [
        grant("rds:DescribeDBClusters").map(|g| g.on("cluster", given.pattern("cluster"))),
        // Members and groups are known only when the cluster has been described.
        grant("rds:DescribeDBInstances").map(|g| g.on("db", "*")),
        grant("rds:DescribeDBClusterParameters").map(|g| g.on("cluster-pg", "*")),
        grant("rds:DescribeDBParameters").map(|g| g.on("pg", "*")),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn compare_config(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let key = given.grant(permissions, "kms:DescribeKey");
    let key = key.map(|g| on_keys(g, given, "instead.kms_key"));
    let key = key.filter(|_| given.has("instead.kms_key"));
    reading_config(given, permissions).into_iter().chain(key).collect()
}

pub(super) fn copy_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| given.grant(permissions, action);
    let original = original_in_policy(given, "cluster-snapshot");
    let copy = grant("rds:CopyDBClusterSnapshot")
        .map(|g| g.on("cluster-snapshot", &own).on("cluster-snapshot", original));
    let mut all = vec![
        copy,
        grant("rds:AddTagsToResource").map(|g| g.on("cluster-snapshot", &own)),
        grant("rds:DescribeDBClusterSnapshots").map(|g| g.on("cluster-snapshot", &own)),
        given
            .grant_at(given.site("original_at"), permissions, "rds:DescribeDBClusterSnapshots")
            .map(|g| g.on("cluster-snapshot", given.pattern("snapshot")))
            .filter(|_| given.has("data_time")),
        grant("kms:DescribeKey").map(|g| on_keys(g, given, "kms_key")),
        grant("kms:CreateGrant").map(|g| on_keys(g, given, "kms_key").limited(Limit::Via("rds"))),
    ];
    all.extend(on_key_of_original(given, permissions).into_iter().map(Some));
    let kind = ClusterSnapshotKind.permissions();
    // Inventories ask for all snapshots.
    let narrowed = |action: &str| if action.contains(":Describe") { "*" } else { own.as_str() };
    let of_kind = |p: &Permission| {
        given.grant(kind, p.action).map(|g| g.on("cluster-snapshot", narrowed(p.action)))
    };
    all.extend(kind.iter().map(of_kind));
    all.into_iter().flatten().collect()
}

pub(super) fn restore_cluster(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| {
        given.grant(permissions, action).map(|grant| on_restored(grant, "cluster-snapshot", given))
    };
    let restore = grant("rds:RestoreDBClusterFromSnapshot")
        .map(|g| with_groups(g.on("cluster", &own), given));
    let describe = grant("rds:DescribeDBClusterSnapshots");
    let mut all: Vec<Grant> = [describe, restore].into_iter().flatten().collect();
    all.extend(of_every_cluster(given, permissions));
    all
}

pub(super) fn restore_point_in_time(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| given.grant(permissions, action);
    // AWS asks for the same permission on the source and on the new cluster.
    let restore = grant("rds:RestoreDBClusterToPointInTime")
        .map(|g| with_groups(g.on("cluster", &own).on("cluster", given.pattern("of")), given));
    let mut all: Vec<Grant> = restore.into_iter().collect();
    all.extend(of_every_cluster(given, permissions));
    all
}

/// What is not given is RDS's choice: a default group.
fn with_groups(grant: Grant, given: &Given) -> Grant {
    grant
        .on("subgrp", given.pattern("subnet_group"))
        .on("cluster-pg", given.pattern("cluster_parameter_group"))
        .on("og", "*")
}

/// Members, waiting, comparing, releasing.
fn of_every_cluster(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| given.grant(permissions, action);
    let member = grant("rds:CreateDBInstance").map(|g| {
        g.on("cluster", &own)
            .on("db", &own)
            .on("pg", given.pattern("instance_parameter_group"))
            .on("subgrp", given.pattern("subnet_group"))
            .on("og", "*")
    });
    let role = grant("iam:PassRole").map(|g| {
        g.on("role", given.pattern("monitoring.role"))
            .limited(Limit::To("monitoring.rds.amazonaws.com"))
    });
    let subnets =
        grant("rds:DescribeDBSubnetGroups").map(|g| g.on("subgrp", given.pattern("subnet_group")));
    let mut all = vec![
        member,
        subnets.filter(|_| given.has("vpc")),
        role.filter(|_| given.has("monitoring")),
        grant("rds:AddTagsToResource").map(|g| g.on("cluster", &own).on("db", &own)),
        // Inventories and shared look-ups ask for all, by filters or for none by name.
        grant("rds:DescribeDBClusters").map(|g| g.on("cluster", "*")),
        grant("rds:DescribeDBInstances").map(|g| g.on("db", "*")),
        grant("rds:DescribeEvents"),
        grant("kms:DescribeKey").map(|g| on_keys(g, given, "kms_key")),
        grant("kms:CreateGrant").map(|g| on_keys(g, given, "kms_key").limited(Limit::Via("rds"))),
    ];
    for (kind, on) in [(ClusterKind.permissions(), "cluster"), (InstanceKind.permissions(), "db")] {
        let narrowed = |action: &str| if action.contains(":Describe") { "*" } else { own.as_str() };
        let of_kind =
            |p: &Permission| given.grant(kind, p.action).map(|g| g.on(on, narrowed(p.action)));
        all.extend(kind.iter().map(of_kind));
    }
    all.into_iter().flatten().collect()
}

/// What only the look before the day of the drill reads.
const PREFLIGHT: &[Permission] = &[
    Permission {
        action: "rds:DescribeDBSubnetGroups",
        why: "preflight: the subnet group is there",
    },
    Permission {
        action: "rds:DescribeDBClusterParameterGroups",
        why: "preflight: the cluster parameter group is there",
    },
    Permission {
        action: "rds:DescribeDBParameterGroups",
        why: "preflight: the parameter group of the instances is there",
    },
    Permission {
        action: "ec2:DescribeSecurityGroups",
        why: "preflight: the security groups are there",
    },
    Permission {
        action: "rds:DescribeAccountAttributes",
        why: "preflight: there is room in the quotas",
    },
];

pub(super) fn preflight_of_restore(given: &Given) -> Vec<Grant> {
    let grant = |action| given.grant(PREFLIGHT, action);
    let named = |input, kind, action| {
        grant(action)
            .filter(|_| given.text(input).is_some())
            .map(|g| g.on(kind, given.pattern(input)))
    };
    let groups = grant("ec2:DescribeSecurityGroups");
    let all = [
        named("subnet_group", "subgrp", "rds:DescribeDBSubnetGroups"),
        named("cluster_parameter_group", "cluster-pg", "rds:DescribeDBClusterParameterGroups"),
        named("instance_parameter_group", "pg", "rds:DescribeDBParameterGroups"),
        groups.filter(|_| !given.texts("security_groups").is_empty()),
        grant("rds:DescribeAccountAttributes"),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn preflight_of_copy(given: &Given) -> Vec<Grant> {
    given.grant(PREFLIGHT, "rds:DescribeAccountAttributes").into_iter().collect()
}
