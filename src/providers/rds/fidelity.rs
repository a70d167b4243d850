//! Whether a restored instance is what was asked for: pure.

use super::restore_snapshot::RestoreSnapshotInput;
use super::snapshot::Snapshot;
use crate::journal::Check;
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

/// Compares what was restored with what was asked for and with the snapshot. What the answer does not say is not
/// verified; what was not asked for is not compared.
pub(super) fn compare(
    asked: &RestoreSnapshotInput,
    snapshot: &Snapshot,
    instance: &DbInstance,
) -> Vec<Check> {
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
        same("engine as in the snapshot", snapshot.engine.as_deref().as_ref(), instance.engine()),
        same(
            "engine version as in the snapshot",
            snapshot.engine_version.as_deref().as_ref(),
            instance.engine_version(),
        ),
        encrypted(snapshot, instance),
    ];
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
            Check::not_made(name, "as in the snapshot", "RDS does not say it of the snapshot")
        }
    }
}

/// Restoring an unencrypted snapshot with a key encrypts the instance; the other way round is not possible.
fn encrypted(snapshot: &Snapshot, instance: &DbInstance) -> Check {
    same("encrypted as the snapshot", snapshot.encrypted.as_ref(), instance.storage_encrypted())
}

fn groups(asked: &RestoreSnapshotInput, instance: &DbInstance) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(group) = &asked.subnet_group {
        let observed = instance.db_subnet_group().and_then(|g| g.db_subnet_group_name());
        checks.push(same_name("subnet_group", group, observed));
    }
    if !asked.security_groups.is_empty() {
        checks.push(security_groups(asked, instance));
    }
    if let Some(group) = &asked.parameter_group {
        let observed = instance.db_parameter_groups().first();
        let name = observed.and_then(|g| g.db_parameter_group_name());
        checks.push(same_name("parameter_group", group, name));
        let applied = observed.and_then(|g| g.parameter_apply_status());
        checks.push(same("parameters applied", Some(&"in-sync"), applied));
    }
    if let Some(group) = &asked.option_group {
        let observed = instance.option_group_memberships().first();
        let name = observed.and_then(|g| g.option_group_name());
        checks.push(same_name("option_group", group, name));
    }
    checks
}

/// The same group: RDS keeps the names of groups in lower case, whatever was asked for
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html>).
fn same_name(check: &str, expected: &str, observed: Option<&str>) -> Check {
    let observed = observed.map(str::to_ascii_lowercase);
    same(check, Some(&expected.to_ascii_lowercase()), observed)
}

/// Exactly those that were asked for: one more opens the instance, one less closes it.
fn security_groups(asked: &RestoreSnapshotInput, instance: &DbInstance) -> Check {
    let wanted: BTreeSet<_> = asked.security_groups.iter().map(String::as_str).collect();
    let observed: BTreeSet<_> =
        instance.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).collect();
    let text = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
    if observed.is_empty() {
        return Check::not_made(
            "security_groups",
            text(&wanted),
            "RDS names no security group of the instance",
        );
    }
    Check::made("security_groups", text(&wanted), text(&observed), wanted == observed)
}

fn wished(asked: &RestoreSnapshotInput, instance: &DbInstance) -> Vec<Check> {
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
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
    use aws_sdk_rds::types::{DbSubnetGroup, Endpoint, VpcSecurityGroupMembership};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn asked() -> RestoreSnapshotInput {
        serde_json::from_value(json!({
            "snapshot": "s", "class": "db.r6g.large", "subnet_group": "Drill",
            "security_groups": ["sg-2", "sg-1"], "port": 5432,
        }))
        .unwrap()
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            engine: Some("postgres".into()),
            engine_version: Some("16.4".into()),
            encrypted: Some(true),
            ..Snapshot::default()
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
        let mut snapshot = snapshot();
        snapshot.engine = Some("mysql".into());
        snapshot.engine_version = Some("8.0".into());
        snapshot.encrypted = Some(false);
        for check in compare(&asked, &snapshot, &restored(&["sg-1"])) {
            assert_eq!(check.outcome, Failed, "{}", check.name);
        }
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
