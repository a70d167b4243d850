//! Whether a restored instance is what was asked for: pure.

use super::config::{options_of, security_group_to_come, security_groups_of};
use super::restoring::Origin;
use super::wishes::Wishes;
use crate::journal::{Check, Outcome};
use aws_sdk_rds::types::DbInstance;
use std::collections::BTreeSet;
use std::fmt::Display;

/// What a look at the status of an instance that is being restored means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It can be connected to.
    Ready,
    /// It is still being made.
    UnderWay,
    /// It will not become ready by itself.
    Ended,
}

/// Statuses through which an instance passes on its way. The storage may still be loading when it is ready.
/// From <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html>.
pub(super) const UNDER_WAY: [&str; 15] = [
    "backing-up",
    "configuring-associated-roles",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "creating",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "upgrading",
];

/// Statuses in which RDS calls the instance operational.
pub(super) const READY: [&str; 4] =
    ["available", "storage-config-upgrade", "storage-initialization", "storage-optimization"];

/// Judges a status. One that is not known is an end: waiting for it could last for ever, and a person should look.
pub(super) fn progress_of(status: &str) -> Progress {
    if READY.contains(&status) {
        Progress::Ready
    } else if UNDER_WAY.contains(&status) {
        Progress::UnderWay
    } else {
        Progress::Ended
    }
}

/// Compares what was restored with what was asked for and with what it comes from. What the answer does not say is not
/// verified; what was not asked for is not compared.
pub(super) fn compare(asked: &Wishes, origin: &Origin, instance: &DbInstance) -> Vec<Check> {
    let mut checks = vec![
        same("class", Some(&asked.class.as_str()), instance.db_instance_class()),
        same("multi_az", Some(&asked.multi_az), instance.multi_az()),
        same(
            "publicly_accessible",
            Some(&asked.publicly_accessible),
            instance.publicly_accessible(),
        ),
        same(
            "deletion_protection",
            Some(&asked.deletion_protection),
            instance.deletion_protection(),
        ),
    ];
    checks.extend(like_the_origin(origin, instance));
    checks.extend(groups(asked, instance));
    checks.extend(wished(asked, instance));
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
            Check::not_made(name, expected.to_string(), "RDS does not say it of the instance")
        }
        (None, _) => {
            Check::not_made(name, "as in the original", "RDS does not say it of the original")
        }
    }
}

/// What the instance has of its snapshot or backup, whatever is asked for.
fn like_the_origin(origin: &Origin, instance: &DbInstance) -> [Check; 3] {
    let what = origin.what;
    [
        same(
            &format!("engine as in the {what}"),
            origin.engine.as_deref().as_ref(),
            instance.engine(),
        ),
        same(
            &format!("engine version as in the {what}"),
            origin.engine_version.as_deref().as_ref(),
            instance.engine_version(),
        ),
        same(
            &format!("encrypted as the {what}"),
            origin.encrypted.as_ref(),
            instance.storage_encrypted(),
        ),
    ]
}

fn groups(asked: &Wishes, instance: &DbInstance) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(group) = &asked.subnet_group {
        let observed = instance.db_subnet_group().and_then(|g| g.db_subnet_group_name());
        checks.push(same_name("subnet_group", group, observed));
    }
    if !asked.security_groups.is_empty() {
        let groups = instance.vpc_security_groups();
        let observed = security_groups_of(groups).filter_map(|g| g.vpc_security_group_id());
        let check = same_set("security_groups", &asked.security_groups, observed);
        checks.push(match security_group_to_come(groups) {
            Some(why) if check.outcome == Outcome::Passed => {
                Check::not_made(&check.name, &check.expected, why)
            }
            _ => check,
        });
    }
    if let Some(group) = &asked.parameter_group {
        let observed = instance.db_parameter_groups().first();
        let name = observed.and_then(|g| g.db_parameter_group_name());
        checks.push(same_name("parameter_group", group, name));
        let applied = observed.and_then(|g| g.parameter_apply_status());
        checks.push(same("parameters applied", Some(&"in-sync"), applied));
    }
    if let Some(group) = &asked.option_group {
        let observed = options_of(instance);
        let name = observed.and_then(|g| g.option_group_name());
        checks.push(same_name("option_group", group, name));
        let applied = observed.and_then(|g| g.status());
        checks.push(same("options applied", Some(&"in-sync"), applied));
    }
    checks
}

/// The same group: RDS keeps the names of groups in lower case, whatever was asked for
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html>).
fn same_name(check: &str, expected: &str, observed: Option<&str>) -> Check {
    let observed = observed.map(str::to_ascii_lowercase);
    same(check, Some(&expected.to_ascii_lowercase()), observed)
}

/// Exactly those that were asked for: one more security group opens the instance, one less closes it.
fn same_set<'a>(check: &str, wanted: &[String], observed: impl Iterator<Item = &'a str>) -> Check {
    let wanted: BTreeSet<_> = wanted.iter().map(String::as_str).collect();
    let observed: BTreeSet<_> = observed.collect();
    let text = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
    if observed.is_empty() {
        return Check::not_made(check, text(&wanted), "RDS names none of the instance");
    }
    Check::made(check, text(&wanted), text(&observed), wanted == observed)
}

fn wished(asked: &Wishes, instance: &DbInstance) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(storage) = &asked.storage_type {
        checks.push(same("storage_type", Some(&storage.as_str()), instance.storage_type()));
    }
    if let Some(iops) = asked.iops {
        checks.push(same("iops", Some(&iops), instance.iops()));
    }
    if let Some(port) = asked.port {
        let observed = instance.endpoint().and_then(|endpoint| endpoint.port());
        checks.push(same("port", Some(&i32::from(port)), observed));
    }
    if let Some(iam_auth) = asked.iam_auth {
        let observed = instance.iam_database_authentication_enabled();
        checks.push(same("iam_auth", Some(&iam_auth), observed));
    }
    if let Some(throughput) = asked.storage_throughput {
        checks.push(same("storage_throughput", Some(&throughput), instance.storage_throughput()));
    }
    if let Some(days) = asked.retention_days() {
        checks.push(same("backup_retention", Some(&days), instance.backup_retention_period()));
    }
    if !asked.log_exports.is_empty() {
        let observed = instance.enabled_cloudwatch_logs_exports().iter().map(String::as_str);
        checks.push(logs(&asked.log_exports, observed));
    }
    if let Some(ca) = &asked.ca {
        checks.push(same("ca", Some(&ca.as_str()), instance.ca_certificate_identifier()));
    }
    if let Some(monitoring) = &asked.monitoring {
        checks.push(same(
            "monitoring",
            Some(&monitoring.seconds()),
            instance.monitoring_interval(),
        ));
    }
    checks
}

/// RDS leaves the list out where no log is sent: that is an answer, and not the one that was asked for.
fn logs<'a>(wanted: &[String], observed: impl Iterator<Item = &'a str>) -> Check {
    let mut observed = observed.peekable();
    if observed.peek().is_none() {
        return Check::made("log_exports", wanted.join(", "), "none", false);
    }
    same_set("log_exports", wanted, observed)
}

#[cfg(test)]
mod tests {
    use super::super::restoring::checks_of_a_restore;
    use super::super::wishes::Monitoring;
    use super::*;
    use crate::journal::Outcome::{Failed, Inconclusive, Passed};
    use aws_sdk_rds::types::{
        DbParameterGroupStatus, DbSubnetGroup, Endpoint, OptionGroupMembership,
        VpcSecurityGroupMembership,
    };
    use serde_json::json;
    use std::collections::BTreeMap;

    fn asked() -> Wishes {
        serde_json::from_value(json!({
            "class": "db.r6g.large", "subnet_group": "Drill",
            "security_groups": ["sg-2", "sg-1"], "port": 5432,
        }))
        .unwrap()
    }

    fn snapshot() -> Origin {
        Origin {
            what: "snapshot",
            engine: Some("postgres".into()),
            engine_version: Some("16.4".into()),
            encrypted: Some(true),
        }
    }

    fn restored(groups: &[&str]) -> DbInstance {
        let group = |id: &&str| VpcSecurityGroupMembership::builder().vpc_security_group_id(*id);
        DbInstance::builder()
            .db_instance_class("db.r6g.large")
            .multi_az(false)
            .publicly_accessible(false)
            .deletion_protection(false)
            .engine("postgres")
            .engine_version("16.4")
            .storage_encrypted(true)
            .db_subnet_group(DbSubnetGroup::builder().db_subnet_group_name("drill").build())
            .set_vpc_security_groups(Some(groups.iter().map(|g| group(g).build()).collect()))
            .endpoint(Endpoint::builder().address("a").port(5432).build())
            .build()
    }

    fn outcomes(instance: &DbInstance) -> BTreeMap<String, Outcome> {
        let checks = compare(&asked(), &snapshot(), instance);
        checks.into_iter().map(|check| (check.name, check.outcome)).collect()
    }

    #[test]
    fn an_instance_as_asked_for_passes_every_check() {
        let outcomes = outcomes(&restored(&["sg-1", "sg-2"]));
        assert_eq!(outcomes.len(), 10, "{outcomes:?}");
        assert!(outcomes.values().all(|outcome| *outcome == Passed), "{outcomes:?}");
    }

    #[test]
    fn names_of_groups_are_compared_as_rds_keeps_them() {
        assert_eq!(same_name("parameter_group", "Prod-PG16", Some("prod-pg16")).outcome, Passed);
        assert_eq!(same_name("parameter_group", "Prod-PG16", Some("default")).outcome, Failed);
        assert_eq!(same_name("parameter_group", "Prod-PG16", None).outcome, Inconclusive);
    }

    #[test]
    fn a_security_group_too_many_or_too_few_fails() {
        for groups in [&["sg-1", "sg-2", "sg-3"][..], &["sg-1"], &["sg-default"]] {
            assert_eq!(outcomes(&restored(groups))["security_groups"], Failed, "{groups:?}");
        }
    }

    #[test]
    fn regression_an_option_group_that_is_not_in_force_is_not_that_asked_for() {
        let group = |name: &str, status: &str| {
            OptionGroupMembership::builder().option_group_name(name).status(status).build()
        };
        let asked = Wishes { option_group: Some("orders".into()), ..asked() };
        let judged = |groups: Vec<OptionGroupMembership>| {
            let mut instance = restored(&["sg-1", "sg-2"]);
            instance.option_group_memberships = Some(groups);
            let checks = compare(&asked, &snapshot(), &instance);
            let outcome = |name: &str| checks.iter().find(|c| c.name == name).unwrap().outcome;
            (outcome("option_group"), outcome("options applied"))
        };
        assert_eq!(judged(vec![group("orders", "in-sync")]), (Passed, Passed));
        for status in ["pending-apply", "pending-maintenance-apply", "applying", "failed"] {
            assert_eq!(judged(vec![group("orders", status)]), (Passed, Failed), "{status}");
            // While it is changed, the one that goes may stand first.
            for going in ["pending-removal", "pending-maintenance-removal", "removing"] {
                let both = vec![group("default", going), group("orders", status)];
                assert_eq!(judged(both), (Passed, Failed), "{going}");
            }
        }
        assert_eq!(judged(vec![group("orders", "removing")]), (Inconclusive, Inconclusive));
    }

    #[test]
    fn regression_a_security_group_that_comes_or_goes_protects_nothing() {
        let judged = |more: &str, status: &str| {
            let mut instance = restored(&["sg-1"]);
            let group = VpcSecurityGroupMembership::builder().vpc_security_group_id(more);
            let groups = instance.vpc_security_groups.get_or_insert_default();
            groups.push(group.status(status).build());
            outcomes(&instance)["security_groups"]
        };
        assert_eq!(judged("sg-2", "active"), Passed);
        assert_eq!(judged("sg-2", "adding"), Inconclusive);
        assert_eq!(judged("sg-2", "removing"), Failed);
        assert_eq!(judged("sg-9", "adding"), Failed);
    }

    #[test]
    fn an_answer_that_says_nothing_verifies_nothing() {
        let outcomes = outcomes(&DbInstance::builder().build());
        assert!(outcomes.values().all(|outcome| *outcome == Inconclusive), "{outcomes:?}");
    }

    #[test]
    fn every_kind_of_check_can_fail() {
        let mut asked = asked();
        asked.class = "db.r6g.4xlarge".into();
        (asked.multi_az, asked.publicly_accessible, asked.deletion_protection) = (true, true, true);
        asked.subnet_group = Some("prod".into());
        asked.security_groups = vec!["sg-9".into()];
        asked.port = Some(5433);
        asked.storage_type = Some("io2".into());
        (asked.iops, asked.storage_throughput) = (Some(3000), Some(500));
        (asked.iam_auth, asked.ca) = (Some(true), Some("rds-ca-ecc384-g1".into()));
        asked.backup_retention = Some("7d".parse().unwrap());
        asked.log_exports = vec!["postgresql".into()];
        asked.option_group = Some("orders".into());
        asked.parameter_group = Some("orders".into());
        asked.monitoring = Some(Monitoring { every: "60s".parse().unwrap(), role: "r".into() });
        let mut snapshot = snapshot();
        snapshot.engine = Some("mysql".into());
        snapshot.engine_version = Some("8.0".into());
        snapshot.encrypted = Some(false);
        let checks = compare(&asked, &snapshot, &as_rds_likes_it());
        let names: BTreeSet<_> = checks.iter().map(|check| check.name.clone()).collect();
        for check in checks {
            assert_eq!(check.outcome, Failed, "{}", check.name);
        }
        let declared: &[(&str, &str)] = checks_of_a_restore!("snapshot");
        for (name, _) in declared.iter().filter(|(name, _)| *name != "vpc") {
            assert!(names.contains(*name), "{name} cannot fail");
        }
    }

    /// Everything is said, and everything is a default.
    fn as_rds_likes_it() -> DbInstance {
        let parameters = DbParameterGroupStatus::builder()
            .db_parameter_group_name("default.postgres16")
            .parameter_apply_status("pending-reboot");
        let options = OptionGroupMembership::builder()
            .option_group_name("default:postgres-16")
            .status("pending-apply");
        let mut instance = restored(&["sg-1"]);
        instance.db_parameter_groups = Some(vec![parameters.build()]);
        instance.option_group_memberships = Some(vec![options.build()]);
        instance.storage_type = Some("gp3".into());
        (instance.iops, instance.storage_throughput) = (Some(12000), Some(125));
        instance.iam_database_authentication_enabled = Some(false);
        instance.ca_certificate_identifier = Some("rds-ca-rsa2048-g1".into());
        (instance.backup_retention_period, instance.monitoring_interval) = (Some(1), Some(0));
        instance
    }

    #[test]
    fn only_known_statuses_are_waited_for() {
        assert_eq!(progress_of("available"), Progress::Ready);
        for status in ["creating", "backing-up", "modifying"] {
            assert_eq!(progress_of(status), Progress::UnderWay, "{status}");
        }
        for status in [
            "failed",
            "incompatible-restore",
            "incompatible-network",
            "incompatible-parameters",
            "storage-full",
            "deleting",
            "stopped",
            "something-new",
        ] {
            assert_eq!(progress_of(status), Progress::Ended, "{status}");
        }
    }
}
