//! Whether a restored cluster and its members are what was asked for: pure.

use super::input::Settings;
use crate::journal::{Check, Outcome};
use crate::providers::rds::{security_group_to_come, security_groups_of};
use aws_sdk_rds::types::{DbCluster, DbClusterMember, DbInstance};
use std::collections::BTreeSet;
use std::fmt::Display;

/// What a look at a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is there.
    Ready,
    /// It is still being made.
    UnderWay,
    /// It will not become ready by itself.
    Ended,
}

/// Statuses through which a cluster passes on its way. From
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html>.
pub(super) const CLUSTER_UNDER_WAY: [&str; 13] = [
    "backing-up",
    "creating",
    "failing-over",
    "maintenance",
    "migrating",
    "modifying",
    "preparing-data-migration",
    "promoting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "update-iam-db-auth",
    "upgrading",
];

/// Statuses in which a cluster takes members.
pub(super) const CLUSTER_READY: [&str; 2] = ["available", "storage-optimization"];

/// Statuses through which a member passes on its way. From the same page.
pub(super) const MEMBER_UNDER_WAY: [&str; 13] = [
    "backing-up",
    "configuring-associated-roles",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "creating",
    "maintenance",
    "modifying",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "upgrading",
];

/// Statuses in which a member can be connected to.
pub(super) const MEMBER_READY: [&str; 2] = ["available", "storage-optimization"];

/// Judges the status of a cluster. One that is not known is an end: waiting for it could last for ever, and a person should
/// look.
pub(super) fn progress_of_cluster(status: &str) -> Progress {
    progress(status, &CLUSTER_READY, &CLUSTER_UNDER_WAY)
}

/// The same for a member.
pub(super) fn progress_of_member(status: &str) -> Progress {
    progress(status, &MEMBER_READY, &MEMBER_UNDER_WAY)
}

fn progress(status: &str, ready: &[&str], under_way: &[&str]) -> Progress {
    if ready.contains(&status) {
        Progress::Ready
    } else if under_way.contains(&status) {
        Progress::UnderWay
    } else {
        Progress::Ended
    }
}

/// What the backup, or the scenario, says about the cluster besides the settings. `None`: it is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) engine: Option<String>,
    pub(super) engine_version: Option<String>,
    pub(super) encrypted: Option<bool>,
    /// The ARN of the key that was asked for; nothing where none was, or where it could not be found out.
    pub(super) key: Option<String>,
}

/// Compares what was restored with what was asked for and with the backup. What the answer does not say is not verified;
/// what was not asked for is not compared. `names` are those of the members that were asked for, the writer's first.
pub(super) fn compare(
    asked: &Settings,
    expected: &Expected,
    names: &[String],
    cluster: &DbCluster,
    instances: &[DbInstance],
) -> Vec<Check> {
    let mut checks = members(asked, names, cluster, instances);
    checks.extend(groups(asked, cluster, instances));
    checks.extend([
        same(
            "deletion_protection",
            Some(&asked.deletion_protection),
            cluster.deletion_protection(),
        ),
        same("engine as in the backup", expected.engine.as_deref().as_ref(), cluster.engine()),
        same(
            "engine version",
            expected.engine_version.as_deref().as_ref(),
            cluster.engine_version(),
        ),
        same("encrypted", expected.encrypted.as_ref(), cluster.storage_encrypted()),
    ]);
    let public = instances.iter().map(DbInstance::publicly_accessible);
    checks.push(all_the_same("publicly_accessible", &asked.publicly_accessible, public));
    checks.extend(wished(asked, expected, cluster));
    checks.extend(wished_of_members(asked, instances));
    checks
}

/// Equal, if both are known.
fn same<T: PartialEq + Display>(name: &str, expected: Option<&T>, observed: Option<T>) -> Check {
    match (expected, observed) {
        (Some(expected), Some(observed)) => {
            let holds = *expected == observed;
            Check::made(name, expected.to_string(), observed.to_string(), holds)
        }
        (Some(expected), None) => {
            Check::not_made(name, expected.to_string(), "RDS does not say it of the cluster")
        }
        (None, _) => Check::not_made(name, "as in the backup", "RDS does not say it of the backup"),
    }
}

/// Equal for every member, if it is known of every one.
fn all_the_same<T: PartialEq + Display>(
    name: &str,
    expected: &T,
    observed: impl Iterator<Item = Option<T>>,
) -> Check {
    let observed: Option<Vec<T>> = observed.collect();
    match observed.filter(|observed| !observed.is_empty()) {
        Some(observed) => {
            let holds = observed.iter().all(|one| one == expected);
            let text: BTreeSet<String> = observed.iter().map(ToString::to_string).collect();
            Check::made(name, expected.to_string(), joined(text), holds)
        }
        None => Check::not_made(name, expected.to_string(), "RDS does not say it of every member"),
    }
}

fn joined(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

/// The members of a cluster by role.
pub(super) struct Roles<'c> {
    pub(super) writers: Vec<&'c str>,
    pub(super) readers: Vec<&'c str>,
}

pub(super) fn roles(cluster: &DbCluster) -> Roles<'_> {
    let of_role = |writes: bool| {
        let members = cluster.db_cluster_members().iter();
        let members = members.filter(|m| m.is_cluster_writer().unwrap_or(false) == writes);
        let mut names: Vec<_> =
            members.filter_map(DbClusterMember::db_instance_identifier).collect();
        names.sort_unstable();
        names
    };
    Roles { writers: of_role(true), readers: of_role(false) }
}

/// Members that were asked for and have not joined.
pub(super) fn missing(names: &[String], cluster: &DbCluster) -> Vec<String> {
    let roles = roles(cluster);
    let joined = |name: &&String| {
        let same = |member: &&str| member.eq_ignore_ascii_case(name);
        roles.writers.iter().chain(&roles.readers).any(same)
    };
    names.iter().filter(|name| !joined(name)).cloned().collect()
}

fn members(
    asked: &Settings,
    names: &[String],
    cluster: &DbCluster,
    instances: &[DbInstance],
) -> Vec<Check> {
    let roles = roles(cluster);
    let count = |writers: usize, readers: usize| format!("writers: {writers}, readers: {readers}");
    let (expected, observed) =
        (count(1, asked.readers.len()), count(roles.writers.len(), roles.readers.len()));
    let missing = missing(names, cluster);
    let holds = expected == observed && missing.is_empty();
    let observed = match missing.is_empty() {
        true => observed,
        false => format!("{observed}; {} did not join", missing.join(", ")),
    };
    let mut checks = vec![Check::made("members", expected, observed, holds)];
    let class = |name: &str| {
        let same = |i: &&DbInstance| {
            i.db_instance_identifier().is_some_and(|id| id.eq_ignore_ascii_case(name))
        };
        instances.iter().find(same).and_then(DbInstance::db_instance_class)
    };
    let writes = roles.writers.first().and_then(|name| class(name));
    checks.push(same("writer class", Some(&asked.writer.class.as_str()), writes));
    if !asked.readers.is_empty() {
        let mut wanted: Vec<&str> = asked.readers.iter().map(|r| r.class.as_str()).collect();
        wanted.sort_unstable();
        let read: Option<Vec<&str>> = roles.readers.iter().map(|name| class(name)).collect();
        let read = read.map(|mut classes| {
            classes.sort_unstable();
            classes.join(", ")
        });
        checks.push(same("reader classes", Some(&wanted.join(", ")), read));
    }
    let by_name: Vec<_> = names.iter().zip(asked.members()).collect();
    let tiers = by_name.iter().filter_map(|(name, m)| Some((name.as_str(), i32::from(m.tier?))));
    checks.extend(of_each("promotion tiers", tiers.collect(), |name| {
        let same = |m: &&DbClusterMember| {
            m.db_instance_identifier().is_some_and(|id| id.eq_ignore_ascii_case(name))
        };
        cluster.db_cluster_members().iter().find(same)?.promotion_tier()
    }));
    let zones = by_name.iter().filter_map(|(name, m)| Some((name.as_str(), m.zone.clone()?)));
    checks.extend(of_each("zones", zones.collect(), |name| {
        let same = |i: &&DbInstance| {
            i.db_instance_identifier().is_some_and(|id| id.eq_ignore_ascii_case(name))
        };
        instances.iter().find(same)?.availability_zone().map(str::to_owned)
    }));
    checks
}

/// What was asked for of some members, by name; no check where it was asked for of none.
fn of_each<T: PartialEq + Display>(
    check: &str,
    wanted: Vec<(&str, T)>,
    observed: impl Fn(&str) -> Option<T>,
) -> Option<Check> {
    if wanted.is_empty() {
        return None;
    }
    let text =
        |all: &[(&str, T)]| joined(all.iter().map(|(name, value)| format!("{name}: {value}")));
    let found: Option<Vec<(&str, T)>> =
        wanted.iter().map(|(name, _)| Some((*name, observed(name)?))).collect();
    Some(match found {
        Some(found) => Check::made(check, text(&wanted), text(&found), wanted == found),
        None => Check::not_made(check, text(&wanted), "RDS does not say it of every member"),
    })
}

fn groups(asked: &Settings, cluster: &DbCluster, instances: &[DbInstance]) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(group) = &asked.subnet_group {
        checks.push(same_name("subnet_group", group, cluster.db_subnet_group()));
    }
    if !asked.security_groups.is_empty() {
        let groups = cluster.vpc_security_groups();
        let observed = security_groups_of(groups).filter_map(|g| g.vpc_security_group_id());
        let check = same_set("security_groups", &asked.security_groups, &observed.collect());
        checks.push(match security_group_to_come(groups) {
            Some(why) if check.outcome == Outcome::Passed => {
                Check::not_made(&check.name, &check.expected, why)
            }
            _ => check,
        });
    }
    if let Some(group) = &asked.cluster_parameter_group {
        let observed = cluster.db_cluster_parameter_group();
        checks.push(same_name("cluster_parameter_group", group, observed));
        let applied = cluster.db_cluster_members().iter();
        let applied = applied.map(DbClusterMember::db_cluster_parameter_group_status);
        checks.push(all_the_same("cluster parameters applied", &"in-sync", applied));
    }
    if let Some(group) = &asked.instance_parameter_group {
        let first = |i: &DbInstance| i.db_parameter_groups().first().cloned();
        let names = instances
            .iter()
            .map(|i| Some(first(i)?.db_parameter_group_name()?.to_ascii_lowercase()));
        let wanted = group.to_ascii_lowercase();
        checks.push(all_the_same("instance_parameter_group", &wanted, names));
        let applied =
            instances.iter().map(|i| Some(first(i)?.parameter_apply_status()?.to_owned()));
        let in_sync = "in-sync".to_owned();
        checks.push(all_the_same("instance parameters applied", &in_sync, applied));
    }
    checks
}

/// The same group: RDS keeps the names of groups in lower case, whatever was asked for
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBClusterParameterGroup.html>).
fn same_name(check: &str, expected: &str, observed: Option<&str>) -> Check {
    let observed = observed.map(str::to_ascii_lowercase);
    same(check, Some(&expected.to_ascii_lowercase()), observed)
}

/// Exactly those that were asked for: one more or one less is another cluster.
fn same_set(check: &str, wanted: &[String], observed: &BTreeSet<&str>) -> Check {
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let text = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
    if observed.is_empty() && check == "security_groups" {
        return Check::not_made(check, text(&wanted), "RDS names no security group of the cluster");
    }
    let seen = if observed.is_empty() { "none".to_owned() } else { text(observed) };
    Check::made(check, text(&wanted), seen, wanted == *observed)
}

fn wished(asked: &Settings, expected: &Expected, cluster: &DbCluster) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(port) = asked.port {
        checks.push(same("port", Some(&i32::from(port)), cluster.port()));
    }
    if let Some(iam_auth) = asked.iam_auth {
        let observed = cluster.iam_database_authentication_enabled();
        checks.push(same("iam_auth", Some(&iam_auth), observed));
    }
    if !asked.log_exports.is_empty() {
        let logs = cluster.enabled_cloudwatch_logs_exports().iter().map(String::as_str).collect();
        checks.push(same_set("log_exports", &asked.log_exports, &logs));
    }
    if let Some(days) = asked.retention_days() {
        let (wanted, kept) = (format!("{days}d"), cluster.backup_retention_period());
        checks.push(same("backup_retention", Some(&wanted), kept.map(|days| format!("{days}d"))));
    }
    if let Some(key) = &asked.kms_key {
        checks.push(match &expected.key {
            Some(arn) => same("kms_key", Some(&arn.as_str()), cluster.kms_key_id()),
            None => Check::not_made("kms_key", key, "the ARN of the key could not be found out"),
        });
    }
    if let Some(mode) = &asked.engine_mode {
        checks.push(same("engine_mode", Some(&mode.as_str()), cluster.engine_mode()));
    }
    if let Some(limits) = asked.serverless {
        let text = |min: f64, max: f64| format!("{min} to {max}");
        let observed = cluster.serverless_v2_scaling_configuration();
        let observed = observed.and_then(|o| Some(text(o.min_capacity()?, o.max_capacity()?)));
        checks.push(same("serverless", Some(&text(limits.min, limits.max)), observed));
    }
    if let Some(storage) = &asked.storage_type {
        checks.push(same("storage_type", Some(&storage.as_str()), cluster.storage_type()));
    }
    checks
}

fn wished_of_members(asked: &Settings, instances: &[DbInstance]) -> Vec<Check> {
    let ca = asked.ca.as_deref().map(|ca| {
        all_the_same("ca", &ca, instances.iter().map(DbInstance::ca_certificate_identifier))
    });
    let text = |seconds: i32| format!("every {seconds} s");
    let monitoring = asked.monitoring.as_ref().map(|monitoring| {
        let looks = instances.iter().map(|i| i.monitoring_interval().map(text));
        all_the_same("monitoring", &text(monitoring.seconds()), looks)
    });
    ca.into_iter().chain(monitoring).collect()
}

#[cfg(test)]
#[path = "fidelity_tests.rs"]
mod tests;
