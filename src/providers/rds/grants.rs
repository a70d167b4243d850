//! On what the steps of RDS use their permissions, for least privilege. Which types of resource an action can be limited to
//! is in the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html>).

use super::copying::{on_key_of_original, original_in_policy};
use super::db_instance::DbInstanceKind;
use super::db_snapshot::DbSnapshotKind;
use crate::action::{Given, Grant, Limit, Permission, ResourceKind as _};
use crate::providers::backups::on_keys;
use serde_json::Value;

pub(super) fn capture_config(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    // The group is known only when the instance has been described.
    let describe = grant("rds:DescribeDBInstances").map(|g| g.on("db", given.pattern("instance")));
    let parameters = grant("rds:DescribeDBParameters").map(|g| g.on("pg", "*"));
    describe.into_iter().chain(parameters).collect()
}

pub(super) fn compare_config(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let all = [
        grant("rds:DescribeDBInstances").map(|g| g.on("db", given.pattern("instance"))),
        // The group is known only when the instance has been described.
        grant("rds:DescribeDBParameters").map(|g| g.on("pg", "*")),
        grant("kms:DescribeKey")
            .map(|g| on_keys(g, given, "instead.kms_key"))
            .filter(|_| given.has("instead.kms_key")),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn copy_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| given.grant(permissions, action);
    let copy = grant("rds:CopyDBSnapshot").map(|g| {
        g.on("snapshot", &own)
            .on("snapshot", original_in_policy(given, "snapshot"))
            .on("og", given.pattern("option_group"))
    });
    let mut all = vec![
        copy,
        grant("rds:AddTagsToResource").map(|g| g.on("snapshot", &own)),
        grant("rds:DescribeDBSnapshots").map(|g| g.on("snapshot", &own)),
        grant("rds:DescribeEvents"),
        grant("kms:DescribeKey").map(|g| on_keys(g, given, "kms_key")),
        grant("kms:CreateGrant").map(|g| on_keys(g, given, "kms_key").limited(Limit::Via("rds"))),
    ];
    all.extend(on_key_of_original(given, permissions).into_iter().map(Some));
    let kind = DbSnapshotKind.permissions();
    // Inventories ask for all snapshots.
    let narrowed = |action| if action == "rds:DescribeDBSnapshots" { "*" } else { own.as_str() };
    let of_kind =
        |p: &Permission| given.grant(kind, p.action).map(|g| g.on("snapshot", narrowed(p.action)));
    all.extend(kind.iter().map(of_kind));
    all.into_iter().flatten().collect()
}

pub(super) fn promote_replica(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let all = [
        grant("rds:DescribeDBInstances").map(|g| g.on("db", "*")),
        grant("rds:PromoteReadReplica").map(|g| g.on("db", given.pattern("instance"))),
        grant("rds:DescribeEvents"),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn find_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let snapshots = grant("rds:DescribeDBSnapshots")
        .map(|g| g.on("db", given.pattern("of")).on("snapshot", "*"));
    let keys = grant("kms:DescribeKey").map(|g| on_keys_of_found(g, given));
    let versions = grant("rds:DescribeDBEngineVersions");
    snapshots.into_iter().chain(versions).chain(keys).collect()
}

pub(super) fn find_automated_backup(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let all = [
        // Asked by name, RDS answers only for instances that exist: so all are listed.
        grant("rds:DescribeDBInstanceAutomatedBackups").map(|g| g.on("db", "*")),
        grant("rds:DescribeDBEngineVersions"),
        grant("kms:DescribeKey").map(|g| g.on("key", "*")),
    ];
    all.into_iter().flatten().collect()
}

/// Adds the keys of the snapshots that are looked for. What another account shares is encrypted with a key of its own
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html>), and nobody names that account before.
pub(in crate::providers) fn on_keys_of_found(grant: Grant, given: &Given) -> Grant {
    let shared = given.known("shared").and_then(Value::as_bool) == Some(true);
    match shared || given.comes_later("shared") {
        true => grant.on_shared("key", "*"),
        false => grant.on("key", "*"),
    }
}

/// Adds the snapshot that is restored. One that an earlier step tells may be shared: its ARN names the account that it belongs to.
pub(in crate::providers) fn on_restored(grant: Grant, kind: &'static str, given: &Given) -> Grant {
    match given.text("snapshot") {
        Some(_) => grant.on(kind, given.pattern("snapshot")),
        None => grant.on_shared(kind, "*"),
    }
}

pub(super) fn restore_snapshot(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| {
        given.grant(permissions, action).map(|grant| on_restored(grant, "snapshot", given))
    };
    let restore = grant("rds:RestoreDBInstanceFromDBSnapshot");
    let describe = grant("rds:DescribeDBSnapshots");
    let own = restore.map(|g| new_instance(given, g));
    describe.into_iter().chain(own).chain(of_every_restore(given, permissions)).collect()
}

pub(super) fn restore_point_in_time(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let grant = |action| given.grant(permissions, action);
    let source = |g: Grant| match (given.has("instance"), given.text("backup")) {
        (true, _) => g.on("db", given.pattern("instance")),
        (false, Some(arn)) if arn.starts_with("arn:") => g.on("auto-backup", arn),
        (false, _) => g.on("auto-backup", "*"),
    };
    let restore = grant("rds:RestoreDBInstanceToPointInTime").map(source);
    let own = restore.map(|g| new_instance(given, g));
    let describe = grant("rds:DescribeDBInstanceAutomatedBackups").map(|g| g.on("db", "*"));
    describe.into_iter().chain(own).chain(of_every_restore(given, permissions)).collect()
}

/// Adds the new instance, and what it uses. What is not given is RDS's choice: a default group, or that of the original.
fn new_instance(given: &Given, grant: Grant) -> Grant {
    grant
        .on("db", given.own_names())
        .on("subgrp", given.pattern("subnet_group"))
        .on("pg", given.pattern("parameter_group"))
        .on("og", given.pattern("option_group"))
}

fn of_every_restore(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let own = given.own_names();
    let grant = |action| given.grant(permissions, action);
    let subnets =
        grant("rds:DescribeDBSubnetGroups").map(|g| g.on("subgrp", given.pattern("subnet_group")));
    let role = grant("iam:PassRole").map(|g| {
        g.on("role", given.pattern("monitoring.role"))
            .limited(Limit::To("monitoring.rds.amazonaws.com"))
    });
    let mut all = vec![
        grant("rds:AddTagsToResource").map(|g| g.on("db", &own)),
        grant("rds:DescribeDBInstances").map(|g| g.on("db", "*")),
        subnets.filter(|_| given.has("vpc")),
        role.filter(|_| given.has("monitoring")),
        grant("rds:DescribeEvents"),
        grant("kms:DescribeKey").map(|g| g.on("key", "*")),
        grant("kms:CreateGrant").map(|g| g.on("key", "*").limited(Limit::Via("rds"))),
    ];
    let kind = DbInstanceKind.permissions();
    // Inventories and shared look-ups ask for all instances, by filters or for none by name.
    let narrowed = |action| if action == "rds:DescribeDBInstances" { "*" } else { own.as_str() };
    let of_kind =
        |p: &Permission| given.grant(kind, p.action).map(|g| g.on("db", narrowed(p.action)));
    all.extend(kind.iter().map(of_kind));
    all.into_iter().flatten().collect()
}

/// What only the look before the day of the drill reads.
const PREFLIGHT: &[Permission] = &[
    Permission {
        action: "rds:DescribeDBSubnetGroups",
        why: "preflight: the subnet group is there",
    },
    Permission {
        action: "rds:DescribeDBParameterGroups",
        why: "preflight: the parameter group is there",
    },
    Permission {
        action: "ec2:DescribeSecurityGroups",
        why: "preflight: the security groups are there",
    },
    Permission {
        action: "rds:DescribeAccountAttributes",
        why: "preflight: there is room in the quota",
    },
];

pub(super) fn preflight_of_restore(given: &Given) -> Vec<Grant> {
    let grant = |action| given.grant(PREFLIGHT, action);
    let named = |input, grant: Option<Grant>| grant.filter(|_| given.text(input).is_some());
    let subnets =
        grant("rds:DescribeDBSubnetGroups").map(|g| g.on("subgrp", given.pattern("subnet_group")));
    let parameters = grant("rds:DescribeDBParameterGroups")
        .map(|g| g.on("pg", given.pattern("parameter_group")));
    let groups = grant("ec2:DescribeSecurityGroups");
    let all = [
        named("subnet_group", subnets),
        named("parameter_group", parameters),
        groups.filter(|_| !given.texts("security_groups").is_empty()),
        grant("rds:DescribeAccountAttributes"),
    ];
    all.into_iter().flatten().collect()
}

pub(super) fn preflight_of_copy(given: &Given) -> Vec<Grant> {
    given.grant(PREFLIGHT, "rds:DescribeAccountAttributes").into_iter().collect()
}
