//! Comparing the configurations of instances.

use super::config::DbConfig;
use super::config_diff::{
    Item as _, compare, is_newer_minor, left_out, not_countable, not_tolerable,
};
use super::config_items::CHECKS;
use super::config_items::DbItem::{
    self, BackupRetention, Ca, Class, Encrypted, Engine, Iops, KmsKey, PubliclyAccessible,
    SecurityGroups, Storage, Vpc,
};
use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
use crate::journal::Severity::Warning;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Terms = super::config_diff::Terms<DbItem>;

fn config(value: &Value) -> DbConfig {
    serde_json::from_value(value.clone()).unwrap()
}

/// Everything is said.
fn full() -> Value {
    json!({
        "captured_at": "2026-11-20T00:00:00Z", "class": "db.r6g.large", "engine": "postgres",
        "engine_version": "16.4", "multi_az": true, "storage_type": "gp3", "storage": "400GiB",
        "iops": 12000, "storage_throughput": 500, "encrypted": true, "kms_key": "arn:key",
        "vpc": "vpc-1", "subnet_group": "prod", "security_groups": ["sg-1", "sg-2"],
        "publicly_accessible": false, "port": 5432, "parameter_group": "orders16",
        "parameters": { "work_mem": "64" }, "option_group": "default:postgres-16",
        "deletion_protection": true, "backup_retention": "7d", "iam_auth": true,
        "ca": "rds-ca-rsa2048-g1", "monitoring": "60s", "log_exports": ["postgresql"],
        "tags": { "system": "orders" },
    })
}

fn with(changes: &Value) -> Value {
    let mut all = full();
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    all
}

fn outcomes(intended: &Value, found: &Value, terms: &Terms) -> BTreeMap<String, Outcome> {
    let compared = compare(&config(intended), &config(found), terms);
    compared.into_iter().map(|one| (one.check.name, one.check.outcome)).collect()
}

#[test]
fn an_instance_as_intended_passes_every_check() {
    let outcomes = outcomes(&full(), &full(), &Terms::default());
    assert_eq!(outcomes.len(), DbItem::ALL.len());
    assert!(outcomes.values().all(|outcome| *outcome == Passed), "{outcomes:?}");
    let declared: BTreeSet<_> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert!(outcomes.keys().all(|name| declared.contains(name.as_str())));
}

#[test]
fn every_item_can_fail_and_is_a_finding_of_its_severity() {
    let other = json!({
        "class": "db.t4g.micro", "engine": "mysql", "engine_version": "15.8", "multi_az": false,
        "storage_type": "gp2", "storage": "20GiB", "iops": 3000, "storage_throughput": 125,
        "encrypted": false, "kms_key": "arn:other", "vpc": "vpc-2", "subnet_group": "default",
        "security_groups": ["sg-1"], "publicly_accessible": true, "port": 5433,
        "parameter_group": "default.postgres16", "parameters": {}, "option_group": "other",
        "deletion_protection": false, "backup_retention": "0s", "iam_auth": false,
        "ca": "rds-ca-2019", "monitoring": "0s", "log_exports": [], "tags": {},
    });
    let compared = compare(&config(&full()), &config(&with(&other)), &Terms::default());
    assert_eq!(compared.len(), DbItem::ALL.len());
    for (one, known) in compared.iter().zip(DbItem::ALL) {
        assert_eq!(one.check.outcome, Failed, "{}", one.name);
        let finding = one.finding.as_ref().unwrap();
        assert_eq!((one.name, finding.severity), (known.name, known.severity));
    }
}

#[test]
fn what_was_not_captured_or_is_not_said_verifies_nothing() {
    let silent = json!({ "captured_at": "2026-11-20T00:00:00Z" });
    let unknown = outcomes(&full(), &silent, &Terms::default());
    for (name, outcome) in &unknown {
        let nothing = ["iops", "storage_throughput", "kms_key"].contains(&name.as_str());
        assert_eq!(*outcome, if nothing { Failed } else { Inconclusive }, "{name}");
    }
    let uncaptured = outcomes(&silent, &full(), &Terms::default());
    assert_eq!((uncaptured["multi_az"], uncaptured["kms_key"]), (Inconclusive, Failed));
    assert_eq!(outcomes(&silent, &silent, &Terms::default())["iops"], Passed);
}

#[test]
fn of_what_a_person_wrote_only_that_is_compared() {
    let written = json!({ "multi_az": true, "tags": { "system": "orders" } });
    let compared = outcomes(&written, &full(), &Terms::default());
    assert_eq!(compared.keys().collect::<Vec<_>>(), ["multi_az", "tags"]);
    assert!(outcomes(&json!({}), &full(), &Terms::default()).is_empty());
}

#[test]
fn what_varies_on_purpose_is_not_compared_and_what_is_tolerated_is_still_a_finding() {
    let small = with(&json!({ "class": "db.t4g.micro", "ca": "rds-ca-ecc384-g1" }));
    let terms = Terms { vary: [Class].into(), tolerate: [Ca].into(), ..Terms::default() };
    let compared = compare(&config(&full()), &config(&small), &terms);
    assert!(compared.iter().all(|one| one.name != "class"));
    let ca = compared.iter().find(|one| one.name == "ca").unwrap();
    assert_eq!((ca.check.outcome, ca.differs), (Passed, true));
    assert!(ca.check.note.as_ref().unwrap().contains("tolerates"));
    assert_eq!(ca.finding.as_ref().unwrap().severity, Warning);
    let groups = Terms { tolerate: [SecurityGroups].into(), ..Terms::default() };
    let found = with(&json!({ "security_groups": ["sg-9"] }));
    let compared = compare(&config(&full()), &config(&found), &groups);
    let groups = compared.iter().find(|one| one.name == "security_groups").unwrap();
    assert_eq!(groups.finding.as_ref().unwrap().severity, Warning);
}

#[test]
fn regression_what_varies_is_told_with_both_values() {
    let small = with(&json!({ "class": "db.t4g.micro", "storage": "20GiB", "ca": null }));
    let terms = Terms { vary: [Class, Storage, Ca].into(), ..Terms::default() };
    assert_eq!(
        left_out(&config(&full()), &config(&small), &terms),
        [
            "class: db.t4g.micro, intended is db.r6g.large",
            "storage: 20 GiB, intended is 400 GiB",
            "ca: not said, intended is rds-ca-rsa2048-g1",
        ]
    );
    assert!(left_out(&config(&full()), &config(&small), &Terms::default()).is_empty());
}

#[test]
fn regression_what_lays_data_open_cannot_be_tolerated() {
    for item in [PubliclyAccessible, Vpc, Encrypted, Engine] {
        assert!(not_tolerable(&[Class, item].into()).is_some(), "{item:?}");
    }
    assert_eq!(not_tolerable(&[Class, SecurityGroups, KmsKey].into()), None);
}

#[test]
fn more_is_as_good_only_where_the_scenario_says_so() {
    let more = with(&json!({ "iops": 16000, "backup_retention": "14d", "storage": "1TiB" }));
    let strict = outcomes(&full(), &more, &Terms::default());
    assert_eq!((strict["iops"], strict["storage"]), (Failed, Failed));
    let at_least = [Iops, BackupRetention, Storage].into();
    let terms = Terms { at_least, ..Terms::default() };
    let generous = outcomes(&full(), &more, &terms);
    assert!(["iops", "backup_retention", "storage"].iter().all(|n| generous[*n] == Passed));
    let less = with(&json!({ "iops": 3000, "backup_retention": "1d", "storage": "20GiB" }));
    let outcomes = outcomes(&full(), &less, &terms);
    assert!(["iops", "backup_retention", "storage"].iter().all(|n| outcomes[*n] == Failed));
    assert_eq!(not_countable(&[Iops, Ca].into()), Some("ca"));
    assert_eq!(not_countable(&[Iops].into()), None);
}

#[test]
fn only_a_newer_minor_version_is_as_good() {
    for (intended, found, good) in [
        ("16.4", "16.6", true),
        ("16.4", "16.4", true),
        ("16.4", "16.3", false),
        ("16.4", "17.0", false),
        ("8.0.35", "8.0.36", true),
        ("8.0.35", "8.4.1", false),
        ("16.4", "latest", false),
        ("8.0.mysql_aurora.3.04.0", "8.0.mysql_aurora.3.05.2", true),
        ("8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.04.0", false),
        ("8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.4.00.0", false),
        ("5.7.mysql_aurora.2.11.1", "8.0.mysql_aurora.2.12.0", false),
    ] {
        assert_eq!(is_newer_minor(intended, found), good, "{intended} {found}");
    }
}

#[test]
fn differing_parameters_and_tags_are_named_with_both_values() {
    let found = with(&json!({
        "parameters": { "work_mem": "4", "log_statement": "all" }, "tags": { "team": "a" },
    }));
    let compared = compare(&config(&full()), &config(&found), &Terms::default());
    let observed = |name| {
        let one = compared.iter().find(|one| one.name == name).unwrap();
        one.check.observed.clone()
    };
    assert_eq!(
        observed("parameters"),
        "log_statement is all instead of the engine's default, work_mem is 4 instead of 64"
    );
    assert_eq!(observed("tags"), "system is missing");
    let more = with(&json!({ "tags": { "system": "orders", "redrill:run": "x" } }));
    assert_eq!(outcomes(&full(), &more, &Terms::default())["tags"], Passed);
}
