//! The table against the sources of the SDK that this program is built with: every operation of every client, every field of
//! every input that is judged, and the names of AWS's hosts.

use crate::aws::guard::Guard;
use crate::aws::hosts::{AWS_SUFFIXES, Hosts};
use crate::aws::rules::REFUSED_OF_PUT_OBJECT;
use crate::aws::{CallLog, GuardPolicy, OPERATIONS, OperationKind, Refused};
use crate::partition::Partition;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// The folders of the SDK's crates for services that this program names as its own dependencies. Fails when they cannot be
/// found: a comparison that was not made must not pass.
fn sdk_crates() -> &'static BTreeMap<String, PathBuf> {
    static CRATES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    CRATES.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let asked = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(["--manifest-path", manifest])
            .output()
            .expect(
                "cargo metadata must tell where the SDK's sources are, but cargo cannot be started",
            );
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(
            asked.status.success(),
            "cargo metadata must tell where the SDK's sources are: {said}"
        );
        let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let named = |name: &str| {
            let found = packages.iter().filter(|package| package["name"] == name);
            let found: Vec<&Value> = found.collect();
            assert_eq!(found.len(), 1, "{name} must be there once, not {} times", found.len());
            found[0]
        };
        let wanted = named("redrill")["dependencies"].as_array().unwrap().iter();
        let wanted = wanted.filter_map(|dependency| dependency["name"].as_str());
        let folders = wanted.filter(|name| name.starts_with("aws-sdk-")).map(|name| {
            let manifest = Path::new(named(name)["manifest_path"].as_str().unwrap());
            let folder = manifest.parent().unwrap().join("src");
            assert!(
                folder.join("operation").is_dir(),
                "the sources of {name} are not in {folder:?}"
            );
            (name.to_owned(), folder)
        });
        folders.collect()
    })
}

/// An operation of the SDK: its service and name as in its metadata, and the stem of its file.
struct SdkOperation {
    service: String,
    name: String,
    folder: PathBuf,
}

fn sdk_operations() -> Vec<SdkOperation> {
    let metadata = Regex::new(r#"Metadata::new\(\s*"([^"]+)",\s*"([^"]+)""#).unwrap();
    let mut found = Vec::new();
    for folder in sdk_crates().values() {
        for entry in std::fs::read_dir(folder.join("operation")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let names = metadata.captures(&text);
            let names = names.unwrap_or_else(|| panic!("{path:?} names no operation"));
            let (name, service) = (names[1].to_owned(), names[2].to_owned());
            found.push(SdkOperation { service, name, folder: path.with_extension("") });
        }
    }
    found
}

#[test]
fn every_client_of_the_program_is_in_the_table() {
    let services: BTreeSet<String> = sdk_operations().into_iter().map(|o| o.service).collect();
    let table: BTreeSet<String> =
        OPERATIONS.iter().map(|(_, name, _)| (*name).to_owned()).collect();
    assert_eq!(services, table);
}

#[test]
fn of_all_operations_of_the_sdk_exactly_those_in_the_table_pass() {
    let place = super::place();
    let policy = Arc::new(GuardPolicy::read_only());
    let guard = Guard::new(place.clone(), Hosts::Aws, policy, CallLog::default());
    let mut known: BTreeMap<(String, String), OperationKind> = BTreeMap::new();
    for (_, service, operations) in OPERATIONS {
        let keyed = |name: &str| ((*service).to_owned(), name.to_owned());
        known.extend(operations.iter().map(|(name, kind)| (keyed(name), *kind)));
    }
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for SdkOperation { service, name, .. } in sdk_operations() {
        let judged = guard.judge(&service, &name, Some(&place.region), &Input::erase(()));
        match (known.remove(&(service.clone(), name.clone())), judged) {
            (Some(OperationKind::Reads), Ok(_)) => {}
            // It is known, and what was given is not its input.
            (Some(OperationKind::Changes(_)), Err(Refused::Unclear { .. })) => {}
            (None, Err(Refused::UnknownOperation { .. })) => {}
            (_, judged) => panic!("{service}:{name}: {judged:?}"),
        }
        *counted.entry(service).or_default() += 1;
    }
    assert!(known.is_empty(), "the SDK has no such operations: {:?}", known.keys());
    // Otherwise the sources were not read.
    for (service, least) in
        [("EC2", 600), ("KMS", 40), ("RDS", 150), ("S3", 90), ("STS", 8), ("Secrets Manager", 20)]
    {
        let found = counted.get(service).copied().unwrap_or_default();
        assert!(found >= least, "only {found} operations of {service} were found");
    }
}

/// The fields of an operation's input.
fn input_fields(operation: &SdkOperation) -> BTreeSet<String> {
    let stem = operation.folder.file_name().unwrap().to_str().unwrap();
    let path = operation.folder.join(format!("_{stem}_input.rs"));
    let text = std::fs::read_to_string(&path).unwrap();
    let body = text.split("Input {").nth(1).unwrap().split("\n}").next().unwrap();
    let fields = Regex::new(r"(?m)^    pub ([a-z0-9_]+):").unwrap();
    fields.captures_iter(body).map(|field| field[1].to_owned()).collect()
}

#[test]
fn every_field_with_a_role_exists_and_those_without_one_are_refused() {
    let operations = sdk_operations();
    let mut compared = 0;
    for (_, service, table) in OPERATIONS {
        for (name, kind) in *table {
            let OperationKind::Changes(rule) = kind else { continue };
            let operation = operations.iter().find(|o| o.service == *service && o.name == *name);
            let fields = input_fields(operation.unwrap());
            let roles: BTreeSet<String> =
                rule.fields.iter().map(|(field, _)| (*field).to_owned()).collect();
            assert_eq!(roles.len(), rule.fields.len(), "{name} has a field twice");
            assert!(roles.is_subset(&fields), "{name}: {roles:?} of {fields:?}");
            if *name == "PutObject" {
                let refused = REFUSED_OF_PUT_OBJECT.iter().map(|field| (*field).to_owned());
                let refused: BTreeSet<String> = refused.collect();
                assert!(roles.is_disjoint(&refused), "a field of {name} has a role and is refused");
                let judged: BTreeSet<String> = roles.union(&refused).cloned().collect();
                assert_eq!(judged, fields, "each field of {name} has a role or is refused");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 23);
}

#[test]
fn the_hosts_of_aws_are_those_that_the_sdk_knows() {
    let suffix = Regex::new(r#"nsSuffix\\":\\"([a-z0-9.-]+)\\""#).unwrap();
    for (name, folder) in sdk_crates() {
        let text = std::fs::read_to_string(folder.join("endpoint_lib.rs")).unwrap();
        let found: BTreeSet<&str> =
            suffix.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
        assert_eq!(found, AWS_SUFFIXES.iter().copied().collect(), "{name}");
    }
}

#[test]
fn the_partitions_of_aws_are_those_that_the_sdk_knows() {
    let described = r#"\\"dnsSuffix\\":\\"([a-z0-9.-]+)\\",\\"dualStackDnsSuffix\\":\\"[a-z0-9.-]+\\",\\"implicitGlobalRegion\\":\\"([a-z0-9-]+)\\",\\"name\\":\\"([a-z-]+)\\""#;
    let described = Regex::new(described).unwrap();
    for (name, folder) in sdk_crates() {
        let text = std::fs::read_to_string(folder.join("endpoint_lib.rs")).unwrap();
        let mut partitions = 0;
        for found in described.captures_iter(&text) {
            let (_, [suffix, region, partition]) = found.extract();
            let ours = Partition::of(region);
            assert_eq!((ours.name, ours.suffix), (partition, suffix), "{name}: {region}");
            partitions += 1;
        }
        assert!(partitions >= 8, "only {partitions} partitions of {name} were found");
    }
}
