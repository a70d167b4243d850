//! How a restored instance differs from what is intended: pure.

use super::config::DbConfig;
use crate::journal::{Check, Finding, Severity};
use crate::time::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What is compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    Class,
    Engine,
    EngineVersion,
    MultiAz,
    StorageType,
    Storage,
    Iops,
    StorageThroughput,
    Encrypted,
    KmsKey,
    Vpc,
    SubnetGroup,
    SecurityGroups,
    PubliclyAccessible,
    Port,
    ParameterGroup,
    Parameters,
    OptionGroup,
    DeletionProtection,
    BackupRetention,
    IamAuth,
    Ca,
    Monitoring,
    LogExports,
    Tags,
}

use Item::{
    BackupRetention, Ca, Class, DeletionProtection, Encrypted, Engine, EngineVersion, IamAuth,
    Iops, KmsKey, LogExports, Monitoring, MultiAz, OptionGroup, ParameterGroup, Parameters, Port,
    PubliclyAccessible, SecurityGroups, Storage, StorageThroughput, StorageType, SubnetGroup, Tags,
    Vpc,
};
use Severity::{Critical, Serious, Warning};

/// What is known of an item: its name in configurations, how much a difference matters, and why.
struct Known {
    item: Item,
    name: &'static str,
    severity: Severity,
    why: &'static str,
}

const fn known(item: Item, name: &'static str, severity: Severity, why: &'static str) -> Known {
    Known { item, name, severity, why }
}

const ITEMS: [Known; 25] = [
    known(Class, "class", Serious, "it may not carry the load of production"),
    known(Engine, "engine", Critical, "applications speak to another database"),
    known(EngineVersion, "engine_version", Serious, "applications were not tested against it"),
    known(MultiAz, "multi_az", Serious, "the failure of one zone takes it down"),
    known(StorageType, "storage_type", Warning, "it reads and writes at another speed"),
    known(Storage, "storage", Serious, "it may run full sooner"),
    known(Iops, "iops", Warning, "it reads and writes at another speed"),
    known(StorageThroughput, "storage_throughput", Warning, "it reads and writes at another speed"),
    known(Encrypted, "encrypted", Critical, "data at rest is not protected as the policy demands"),
    known(KmsKey, "kms_key", Serious, "others than intended can decrypt it, or take it away"),
    known(Vpc, "vpc", Critical, "it is in a network where it is not expected"),
    known(SubnetGroup, "subnet_group", Serious, "it is in subnets where it is not expected"),
    known(SecurityGroups, "security_groups", Critical, "clients cannot reach it, or others can"),
    known(PubliclyAccessible, "publicly_accessible", Critical, "it can be reached from outside"),
    known(Port, "port", Serious, "clients and security groups expect another port"),
    known(
        ParameterGroup,
        "parameter_group",
        Serious,
        "later changes of its parameters go elsewhere",
    ),
    known(Parameters, "parameters", Serious, "the database behaves differently from the original"),
    known(OptionGroup, "option_group", Serious, "features of the engine are missing, or too many"),
    known(DeletionProtection, "deletion_protection", Serious, "one call deletes it"),
    known(BackupRetention, "backup_retention", Serious, "the next disaster finds fewer backups"),
    known(IamAuth, "iam_auth", Serious, "who logs in by IAM cannot, or suddenly can"),
    known(Ca, "ca", Warning, "clients that trust one authority only cannot connect"),
    known(Monitoring, "monitoring", Warning, "trouble after the recovery is seen later"),
    known(LogExports, "log_exports", Warning, "its logs are missing where they are looked for"),
    known(Tags, "tags", Warning, "costs, backups and permissions go by tags"),
];

/// Items of which RDS says nothing where there is nothing: that is an answer.
const MAY_BE_NOTHING: [Item; 3] = [Iops, StorageThroughput, KmsKey];
/// Names that RDS keeps in lower case, whatever was asked for.
const IN_LOWER_CASE: [Item; 3] = [ParameterGroup, OptionGroup, SubnetGroup];
/// Items of which there can be more or less.
const COUNTABLE: [Item; 6] =
    [Storage, Iops, StorageThroughput, BackupRetention, Monitoring, EngineVersion];

/// Items whose difference is never only a finding.
const NEVER_TOLERATED: [Item; 4] = [PubliclyAccessible, Vpc, Encrypted, Engine];

/// The checks that a comparison can make, for the reference.
pub(super) const CHECKS: &[(&str, &str)] = &[
    ("items compared", "at least one item could be compared"),
    (
        "origin of the intended configuration",
        "it was captured from another instance, before this one was made",
    ),
    ("age of the intended configuration", "it is not older than max_age"),
    ("class", "the instance class is the intended one"),
    ("engine", "the engine is the intended one"),
    ("engine_version", "its version is the intended one"),
    ("multi_az", "a standby exists exactly when intended"),
    ("storage_type", "the storage type is the intended one"),
    ("storage", "the storage has the intended size"),
    ("iops", "the provisioned I/O is the intended one"),
    ("storage_throughput", "the provisioned throughput is the intended one"),
    ("encrypted", "the storage is encrypted exactly when intended"),
    ("kms_key", "the key is the intended one"),
    ("vpc", "the VPC is the intended one"),
    ("subnet_group", "the subnet group is the intended one"),
    ("security_groups", "the security groups are exactly the intended ones"),
    ("publicly_accessible", "it can be reached from outside exactly when intended"),
    ("port", "the port is the intended one"),
    ("parameter_group", "the parameter group is the intended one"),
    ("parameters", "the parameters that differ from the engine's default are the intended ones"),
    ("option_group", "the option group is the intended one"),
    ("deletion_protection", "deletion protection is as intended"),
    ("backup_retention", "automated backups are kept as long as intended"),
    ("iam_auth", "IAM database authentication is as intended"),
    ("ca", "the authority of the server certificate is the intended one"),
    ("monitoring", "Enhanced Monitoring looks as often as intended"),
    ("log_exports", "the logs sent to CloudWatch are exactly the intended ones"),
    ("tags", "every intended tag is there"),
];

/// What the scenario allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// Not compared: a drill changes it on purpose.
    pub(super) vary: BTreeSet<Item>,
    /// More than intended is as good.
    pub(super) at_least: BTreeSet<Item>,
    /// A difference is a finding, and fails nothing.
    pub(super) tolerate: BTreeSet<Item>,
    /// A newer minor version is as good.
    pub(super) newer_minor: bool,
}

/// The comparison of one item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) check: Check,
    pub(super) finding: Option<Finding>,
    pub(super) differs: bool,
}

/// The names of items, in the order of the table.
pub(super) fn names(items: &BTreeSet<Item>) -> Vec<String> {
    let in_it = ITEMS.iter().filter(|known| items.contains(&known.item));
    in_it.map(|known| known.name.to_owned()).collect()
}

/// An item that cannot be `at_least`, if there is one.
pub(super) fn not_countable(items: &BTreeSet<Item>) -> Option<&'static str> {
    let countable = |item: &Item| COUNTABLE.contains(item) && *item != EngineVersion;
    let wrong = ITEMS.iter().find(|known| items.contains(&known.item) && !countable(&known.item));
    wrong.map(|known| known.name)
}

/// Compares what was found with what is intended. Of a configuration that a person wrote, only what is written is compared;
/// of a captured one, everything: what could not be captured is not verified.
pub(super) fn compare(intended: &DbConfig, found: &DbConfig, terms: &Terms) -> Vec<Compared> {
    let captured = intended.captured_at.is_some();
    let (intended, found) = (fields(intended), fields(found));
    let wanted = ITEMS.iter().filter(|known| !terms.vary.contains(&known.item));
    let wanted = wanted.filter_map(|known| {
        let side = |of: &Map<String, Value>| of.get(known.name).filter(|v| !v.is_null()).cloned();
        let (intended, found) = (side(&intended), side(&found));
        (captured || intended.is_some()).then(|| judge(known, intended, found, terms))
    });
    wanted.collect()
}

/// What is left out because it varies on purpose, with both values, so that whoever reads the report sees what was not
/// compared.
pub(super) fn left_out(intended: &DbConfig, found: &DbConfig, terms: &Terms) -> Vec<String> {
    let (intended, found) = (fields(intended), fields(found));
    let left_out = ITEMS.iter().filter(|known| terms.vary.contains(&known.item));
    let values = left_out.map(|known| {
        let side = |of: &Map<String, Value>| {
            let value = of.get(known.name).filter(|v| !v.is_null());
            value.map_or_else(|| "not said".to_owned(), |value| said(known.item, Some(value)))
        };
        format!("{}: {}, intended is {}", known.name, side(&found), side(&intended))
    });
    values.collect()
}

/// An item of which a difference cannot be tolerated, if one is named: it would lay data of production open, or be another
/// database.
pub(super) fn not_tolerable(items: &BTreeSet<Item>) -> Option<&'static str> {
    let wrong = |known: &&Known| NEVER_TOLERATED.contains(&known.item);
    ITEMS.iter().filter(|known| items.contains(&known.item)).find(wrong).map(|known| known.name)
}

fn fields(config: &DbConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn judge(known: &Known, intended: Option<Value>, found: Option<Value>, terms: &Terms) -> Compared {
    let may_be_nothing = MAY_BE_NOTHING.contains(&known.item);
    let unverified = |expected: String, why: &str| Compared {
        name: known.name,
        check: Check::not_made(known.name, expected, why),
        finding: None,
        differs: false,
    };
    let (expected, observed) = match (&intended, &found) {
        (None, _) if !may_be_nothing => {
            return unverified("as captured".to_owned(), "it could not be captured");
        }
        (Some(intended), None) if !may_be_nothing => {
            return unverified(text(intended), "RDS does not say it of the instance");
        }
        (intended, found) => {
            (said(known.item, intended.as_ref()), said(known.item, found.as_ref()))
        }
    };
    let difference = difference(known, intended.as_ref(), found.as_ref(), terms);
    let Some(observed) = difference.map(|words| words.unwrap_or_else(|| observed.clone())) else {
        let check = Check::made(known.name, expected, observed, true);
        return Compared { name: known.name, check, finding: None, differs: false };
    };
    let tolerated = terms.tolerate.contains(&known.item);
    let finding = differing(known, &expected, &observed, tolerated);
    let mut check = Check::made(known.name, expected, observed, tolerated);
    if tolerated {
        check = check.note("it differs, which the scenario tolerates");
    }
    Compared { name: known.name, check, finding: Some(finding), differs: true }
}

fn differing(known: &Known, expected: &str, observed: &str, tolerated: bool) -> Finding {
    Finding {
        severity: if tolerated { known.severity.min(Warning) } else { known.severity },
        code: "rds.config_differs".to_owned(),
        what: format!("{} is {observed}, intended is {expected}", known.name),
        why: known.why.to_owned(),
        action: format!(
            "set it in the restore, or say that it differs on purpose (vary: [{}])",
            known.name
        ),
    }
}

/// `Some` when they differ, with words for the observed side where the values alone say too much or too little.
fn difference(
    known: &Known,
    intended: Option<&Value>,
    found: Option<&Value>,
    terms: &Terms,
) -> Option<Option<String>> {
    if intended == found {
        return None;
    }
    let (Some(intended), Some(found)) = (intended, found) else { return Some(None) };
    if IN_LOWER_CASE.contains(&known.item) {
        let same = text(intended).eq_ignore_ascii_case(&text(found));
        return (!same).then_some(None);
    }
    match known.item {
        SecurityGroups | LogExports => {
            let set = |v: &Value| {
                let items = v.as_array().map_or(&[][..], Vec::as_slice);
                items.iter().map(text).collect::<BTreeSet<_>>()
            };
            (set(intended) != set(found)).then_some(None)
        }
        Tags => missing_tags(intended, found).map(Some),
        Parameters => changed(intended, found).map(Some),
        EngineVersion if terms.newer_minor && is_newer_minor(&text(intended), &text(found)) => None,
        item if terms.at_least.contains(&item) && is_at_least(intended, found) => None,
        _ => Some(None),
    }
}

fn is_at_least(intended: &Value, found: &Value) -> bool {
    let amount = |value: &Value| match value {
        Value::Number(number) => number.as_u64().map(u128::from),
        Value::String(text) => text
            .parse::<HumanDuration>()
            .map(|duration| duration.0.as_nanos())
            .ok()
            .or_else(|| text.parse::<ByteSize>().ok().map(|size| u128::from(size.0))),
        _ => None,
    };
    amount(intended).zip(amount(found)).is_some_and(|(wanted, found)| found >= wanted)
}

/// The same major version, and not older. What is major depends on the engine: the first number of PostgreSQL from 10 on,
/// two numbers of MySQL and MariaDB. Two numbers are the stricter reading: a version of three numbers has a major of two.
fn is_newer_minor(intended: &str, found: &str) -> bool {
    let numbers = |version: &str| {
        version.split('.').map(str::parse::<u64>).collect::<Result<Vec<_>, _>>().ok()
    };
    let Some((intended, found)) = numbers(intended).zip(numbers(found)) else { return false };
    let major = if intended.len() > 2 { 2 } else { 1 };
    intended.len() == found.len()
        && intended.get(..major) == found.get(..major)
        && found >= intended
}

/// The intended tags that are missing or have another value. Tags of AWS and of this program are of no interest.
fn missing_tags(intended: &Value, found: &Value) -> Option<String> {
    let missing: Vec<_> = entries(intended)
        .filter(|(name, _)| !name.starts_with("aws:") && !name.starts_with("redrill:"))
        .filter(|(name, value)| found.get(name.as_str()) != Some(value))
        .map(|(name, _)| match found.get(name.as_str()) {
            Some(other) => format!("{name}={}", text(other)),
            None => format!("{name} is missing"),
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// The parameters of either side that differ.
fn changed(intended: &Value, found: &Value) -> Option<String> {
    let names = entries(intended).chain(entries(found)).map(|(name, _)| name);
    let names: BTreeSet<&String> = names.collect();
    let value = |of: &Value, name: &str| {
        of.get(name).map_or_else(|| "the engine's default".to_owned(), text)
    };
    let differing =
        names.into_iter().filter(|name| intended.get(name.as_str()) != found.get(name.as_str()));
    let differing: Vec<_> = differing
        .map(|name| {
            format!("{name} is {} instead of {}", value(found, name), value(intended, name))
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn said(item: Item, value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => match value.as_u64().filter(|_| item == Storage) {
            Some(bytes) => ByteSize(bytes).to_string(),
            None => text(value),
        },
    }
}

/// A value as a person writes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => "none".to_owned(),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", text(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
    use serde_json::json;
    use std::collections::BTreeMap;

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
        assert_eq!(outcomes.len(), ITEMS.len());
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
        assert_eq!(compared.len(), ITEMS.len());
        for (one, known) in compared.iter().zip(&ITEMS) {
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
}
