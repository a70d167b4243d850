use super::alarm::check_alarms;
use super::check_clusters::check_clusters;
use super::{AccountId, DatabaseEstate, Estate, PlaceEstate};
use crate::error::{Error, Result};
use crate::limits::{self, ESTATE_SNAPSHOTS};
use crate::sandbox::fault::can_be_met;
use crate::sandbox::{etcd, files, s3};
use crate::time::HumanDuration;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

impl Estate {
    /// Reads an estate from the text of a YAML file. `name` is the file's name, for messages.
    ///
    /// # Errors
    /// The first mistake, with its line and column: YAML that cannot be read, an unknown key, a value of the wrong
    /// kind, or something named that does not exist.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let mut estate: Self = parse(text).map_err(|e| located(name, &e))?;
        estate.directory = Path::new(name).parent().unwrap_or(Path::new("")).to_owned();
        if let Err(wrong) = check(&estate) {
            let at = locate(text, &wrong.path);
            return Err(Error::bad_input(match at {
                Some((line, column)) => format!("{name}:{line}:{column}: {}", wrong.what),
                None => format!("{name}: {}", wrong.what),
            }));
        }
        s3::check(&estate.placed_buckets(), &estate.directory, estate.now)
            .map_err(|e| Error::bad_input(format!("{name}: {e}")))?;
        etcd::check(&estate.answers.etcd, &estate.directory)
            .map_err(|e| Error::bad_input(format!("{name}: {e}")))?;
        files::check(&estate.answers.files, &estate.directory)
            .map_err(|e| Error::bad_input(format!("{name}: {e}")))?;
        Ok(estate)
    }
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_saphyr::Error> {
    let budget = serde_saphyr::budget! {
        max_aliases: 0,
        max_anchors: 0,
        max_nodes: limits::ESTATE_NODES,
        max_depth: limits::ESTATE_DEPTH,
    };
    let options = serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn located(name: &str, error: &serde_saphyr::Error) -> Error {
    let text = error.without_snippet().to_string();
    match error.location() {
        Some(at) => {
            let place = format!(" at line {}, column {}", at.line(), at.column());
            let text = text.replace(&place, "");
            // Advice for programmers, not for the author of the file.
            let words = text.trim_end_matches(", set DuplicateKeyPolicy in Options if acceptable");
            Error::bad_input(format!("{name}:{}:{}: {words}", at.line(), at.column()))
        }
        None => Error::bad_input(format!("{name}: {text}")),
    }
}

/// A mistake that the types alone do not find, and the path to it: keys and positions.
pub(super) struct Wrong {
    path: Vec<String>,
    what: String,
}

pub(super) fn wrong(path: &[&str], what: impl Into<String>) -> Wrong {
    Wrong { path: path.iter().map(|s| (*s).to_owned()).collect(), what: what.into() }
}

fn check(estate: &Estate) -> Result<(), Wrong> {
    if estate.estate != 1 {
        let what = format!("this is estate format {}; this program reads format 1", estate.estate);
        return Err(wrong(&["estate"], what));
    }
    check_faults(estate)?;
    let mut seen = BTreeSet::new();
    for (index, place) in estate.places.iter().enumerate() {
        let here = index.to_string();
        let at = ["places", here.as_str()];
        if !estate.accounts.contains_key(&place.account) {
            let what = format!("account {} is not under accounts", place.account);
            return Err(wrong(&[&at[..], &["account"]].concat(), what));
        }
        if !seen.insert((&place.account, &place.region)) {
            let what = format!("{} of {} stands here twice", place.region, place.account);
            return Err(wrong(&at, what));
        }
        check_databases(estate, place, &at)?;
        check_clusters(estate, place, &at)?;
        check_volumes(estate, place, &at)?;
        check_secrets(place, &at)?;
        check_alarms(place, &at)?;
    }
    Ok(())
}

fn check_faults(estate: &Estate) -> Result<(), Wrong> {
    for (index, fault) in estate.faults.iter().enumerate() {
        let here = index.to_string();
        if !can_be_met(&fault.on) {
            let what = format!(
                "the sandbox simulates no operation {:?}: write service:Operation",
                fault.on
            );
            return Err(wrong(&["faults", &here, "on"], what));
        }
        for (name, number) in [("nth", fault.nth), ("times", fault.times)] {
            if number == Some(0) {
                return Err(wrong(&["faults", &here, name], "calls are counted from 1"));
            }
        }
    }
    Ok(())
}

fn check_secrets(place: &PlaceEstate, at: &[&str]) -> Result<(), Wrong> {
    for (index, secret) in place.secrets.iter().enumerate() {
        let here = index.to_string();
        let path = [at, &["secrets", &here, "kms_key"]].concat();
        key_exists(Some(place), secret.kms_key.as_ref(), &path)?;
    }
    Ok(())
}

fn check_databases(estate: &Estate, place: &PlaceEstate, at: &[&str]) -> Result<(), Wrong> {
    let mut ids = BTreeSet::new();
    for (index, database) in place.databases.iter().enumerate() {
        let here = index.to_string();
        let at = [at, &["databases", &here]].concat();
        let below = |key: &'static str| [&at[..], &[key]].concat();
        if !ids.insert(&database.id) {
            return Err(wrong(&below("id"), format!("database {} stands here twice", database.id)));
        }
        key_exists(Some(place), database.kms_key.as_ref(), &below("kms_key"))?;
        let group = &database.subnet_group;
        if group != "default" && !place.subnet_groups.iter().any(|g| &g.name == group) {
            return Err(wrong(&below("subnet_group"), missing("subnet group", group)));
        }
        for group in &database.security_groups {
            if !place.security_groups.iter().any(|g| &g.id == group) {
                return Err(wrong(&below("security_groups"), missing("security group", group)));
            }
        }
        if let Some(group) = &database.parameter_group
            && !place.parameter_groups.iter().any(|g| &g.name == group)
        {
            return Err(wrong(&below("parameter_group"), missing("parameter group", group)));
        }
        if let Err((path, what)) = crate::sandbox::sql::try_out(database, estate.now) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            return Err(wrong(&[&at[..], &path].concat(), what));
        }
        if let Some(schedule) = &database.schedule {
            check_length(schedule.every, schedule.keep, &below("schedule"))?;
        }
        if let Some(copies) = database.schedule.as_ref().and_then(|s| s.copies.as_ref()) {
            let path = [&at[..], &["schedule", "copies"]].concat();
            let to = (copies.account.as_ref(), copies.region.as_str());
            let encrypted = database.kms_key.is_some();
            check_copies(estate, place, to, (encrypted, copies.kms_key.as_ref()), &path)?;
        }
        if let Some(backups) = &database.replicated_backups {
            let encryption = (database.kms_key.is_some(), backups.kms_key.as_ref());
            let to = (None, backups.region.as_str());
            check_copies(estate, place, to, encryption, &below("replicated_backups"))?;
        }
        check_replica(estate, place, database).map_err(|what| wrong(&below("replica_of"), what))?;
    }
    Ok(())
}

/// A replica is one of another database of the same account that is no replica itself.
fn check_replica(
    estate: &Estate,
    place: &PlaceEstate,
    database: &DatabaseEstate,
) -> Result<(), String> {
    let Some(of) = &database.replica_of else { return Ok(()) };
    let region = of.region.as_ref().unwrap_or(&place.region);
    let there = estate.places.iter().find(|p| p.account == place.account && &p.region == region);
    let is_source = |d: &DatabaseEstate| d.id == of.id && d.replica_of.is_none();
    match there.is_some_and(|p| p.databases.iter().any(is_source)) {
        true => Ok(()),
        false => Err(format!("there is no database {:?} in {region} to replicate", of.id)),
    }
}

fn check_volumes(estate: &Estate, place: &PlaceEstate, at: &[&str]) -> Result<(), Wrong> {
    let mut ids = BTreeSet::new();
    for (index, volume) in place.volumes.iter().enumerate() {
        let here = index.to_string();
        let at = [at, &["volumes", &here]].concat();
        if !ids.insert(&volume.id) {
            let path = [&at[..], &["id"]].concat();
            return Err(wrong(&path, format!("volume {} stands here twice", volume.id)));
        }
        let path = [&at[..], &["kms_key"]].concat();
        key_exists(Some(place), volume.kms_key.as_ref(), &path)?;
        if let Some(schedule) = &volume.schedule {
            let path = [&at[..], &["schedule"]].concat();
            check_length(schedule.every, schedule.keep, &path)?;
        }
        if let Some(copies) = volume.schedule.as_ref().and_then(|s| s.copies.as_ref()) {
            let path = [&at[..], &["schedule", "copies"]].concat();
            let to = (copies.account.as_ref(), copies.region.as_str());
            let encrypted = volume.kms_key.is_some();
            check_copies(estate, place, to, (encrypted, copies.kms_key.as_ref()), &path)?;
        }
    }
    Ok(())
}

/// A schedule that would fill the memory is a mistake.
pub(super) fn check_length(
    every: HumanDuration,
    keep: HumanDuration,
    at: &[&str],
) -> Result<(), Wrong> {
    let kept = keep.0.as_secs() / every.0.as_secs().max(1);
    if every.0.as_secs() == 0 || kept > ESTATE_SNAPSHOTS {
        let what = format!(
            "a schedule keeps at most {ESTATE_SNAPSHOTS} snapshots, with at least 1s between them"
        );
        return Err(wrong(at, what));
    }
    Ok(())
}

pub(super) fn check_copies(
    estate: &Estate,
    from: &PlaceEstate,
    to: (Option<&AccountId>, &str),
    encryption: (bool, Option<&String>),
    at: &[&str],
) -> Result<(), Wrong> {
    let account = to.0.unwrap_or(&from.account);
    if !estate.accounts.contains_key(account) {
        let what = format!("account {account} is not under accounts");
        return Err(wrong(&[at, &["account"]].concat(), what));
    }
    let place = estate.places.iter().find(|p| &p.account == account && p.region == to.1);
    if place.is_some_and(|p| std::ptr::eq(p, from)) {
        return Err(wrong(at, "a copy goes to another region or account"));
    }
    match encryption {
        (true, None) => {
            Err(wrong(at, "the original is encrypted: a copy needs a kms_key of its own"))
        }
        (_, key) => key_exists(place, key, &[at, &["kms_key"]].concat()),
    }
}

pub(super) fn key_exists(
    place: Option<&PlaceEstate>,
    key: Option<&String>,
    at: &[&str],
) -> Result<(), Wrong> {
    let Some(key) = key else { return Ok(()) };
    let known = place.is_some_and(|p| p.kms_keys.iter().any(|k| &k.id == key));
    if known || key.starts_with("alias/aws/") {
        return Ok(());
    }
    Err(wrong(at, missing("KMS key", key)))
}

pub(super) fn missing(what: &str, name: &str) -> String {
    format!("there is no {what} {name:?} in this place of the estate")
}

/// The line and column of the deepest part of `path` that the text has.
fn locate(text: &str, path: &[String]) -> Option<(u64, u64)> {
    let mut node: Node = parse(text).ok()?;
    for step in path {
        let next = match node.0.value {
            Kind::Map(entries) => entries.into_iter().find(|(key, _)| key == step).map(|e| e.1),
            Kind::List(items) => step.parse().ok().and_then(|i: usize| items.into_iter().nth(i)),
            Kind::Scalar => None,
        };
        let Some(next) = next else { return Some(position(node.0.referenced)) };
        node = next;
    }
    Some(position(node.0.referenced))
}

fn position(at: Location) -> (u64, u64) {
    (at.line(), at.column())
}

/// The text as a tree that knows where everything stands.
struct Node(Spanned<Kind>);

enum Kind {
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Kind>::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

macro_rules! scalars {
    ($($visit:ident: $of:ty),+) => {$(
        fn $visit<E: serde::de::Error>(self, _: $of) -> Result<Kind, E> {
            Ok(Kind::Scalar)
        }
    )+};
}

impl<'de> serde::de::Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str,
        visit_i128: i128, visit_u128: u128);

    fn visit_unit<E: serde::de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Kind::Map(entries))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "estate: 1\nnow: 2026-11-22T00:00:00Z\naccounts: { 111111111111: { roles: [drill] } }\n";

    fn message(rest: &str) -> String {
        Estate::read("e.yaml", &format!("{HEAD}{rest}")).unwrap_err().to_string()
    }

    #[test]
    fn a_minimal_estate_is_read_with_its_defaults() {
        let estate = Estate::read("e.yaml", HEAD).unwrap();
        assert_eq!(estate.accounts.keys().next().unwrap().as_str(), "111111111111");
        assert_eq!(estate.seed, 0);
        assert!(estate.places.is_empty());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_position() {
        let text = message("places:\n  - { account: 111111111111, region: a, databses: [] }\n");
        assert!(text.starts_with("e.yaml:5:"), "{text}");
        assert!(text.contains("databses"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn a_wrong_duration_is_named_with_its_position() {
        let text = message("latency: 4x\n");
        assert!(text.starts_with("e.yaml:4:10: "), "{text}");
        assert!(text.contains("not a duration"), "{text}");
    }

    #[test]
    fn something_named_that_does_not_exist_is_an_error_with_its_position() {
        let place = "places:\n  - account: '111111111111'\n    region: ap-northeast-1\n    databases:\n      - id: a\n        kms_key: nowhere\n";
        assert_eq!(
            message(place),
            "e.yaml:9:18: there is no KMS key \"nowhere\" in this place of the estate"
        );
    }

    #[test]
    fn a_fault_that_no_call_can_meet_is_an_error_with_its_position() {
        let text = message("faults:\n  - { on: rds:RestoreDbInstance, do: throttle }\n");
        assert!(text.starts_with("e.yaml:5:") && text.contains("simulates no operation"), "{text}");
        let text = message("faults:\n  - { on: 'rds:*', nth: 0, do: throttle }\n");
        assert!(text.ends_with("calls are counted from 1"), "{text}");
    }

    #[test]
    fn an_encrypted_original_needs_a_key_for_its_copies() {
        let place = "places:\n  - account: 111111111111\n    region: a\n    kms_keys: [{ id: k }]\n    databases:\n      - id: a\n        kms_key: k\n        schedule: { every: 1d, keep: 7d, copies: { region: b } }\n";
        let text = message(place);
        assert!(text.starts_with("e.yaml:11:"), "{text}");
        assert!(text.contains("needs a kms_key"), "{text}");
    }

    #[test]
    fn aliases_another_version_and_unknown_accounts_are_refused() {
        let text = message("title: &a x\nanswers: *a\n");
        assert!(text.starts_with("e.yaml:") && text.contains("anchor"), "{text}");
        assert_eq!(message("now: x\n"), "e.yaml:4:1: duplicate mapping key: now");
        let other = HEAD.replace("estate: 1", "estate: 2");
        let text = Estate::read("e.yaml", &other).unwrap_err().to_string();
        assert!(text.starts_with("e.yaml:1:9: "), "{text}");
        let text = message("places: [{ account: '222222222222', region: a }]\n");
        assert!(text.contains("222222222222 is not under accounts"), "{text}");
    }

    #[test]
    fn the_published_schema_accepts_what_the_reader_accepts() {
        let text = include_str!("../tests/estate.yaml");
        Estate::read("estate.yaml", text).unwrap();
        let schema = serde_json::to_value(schemars::schema_for!(Estate)).unwrap();
        let written: serde_json::Value = parse(text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = validator.iter_errors(&written).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let mut wrong = written;
        wrong["places"][0]["databases"][0]["prot"] = 1.into();
        assert!(!validator.is_valid(&wrong));
    }
}
