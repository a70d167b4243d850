//! The walls between modules: who may use whom. `docs/architecture.md` says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the modules of this crate that it may not use, its tests apart.
const WALLS: &[(&str, &str)] = &[
    ("ids.rs", "action app aws cli engine journal plan providers report sandbox scenario"),
    ("time", "action app aws cli engine journal plan providers report sandbox scenario"),
    ("error.rs", "action app aws cli engine journal plan providers report sandbox"),
    ("journal", "action app aws cli engine outside plan providers report sandbox scenario"),
    ("formats", "action app aws cli engine journal outside plan providers sandbox"),
    ("aws", "action app cli engine outside plan providers report sandbox scenario"),
    ("action", "app cli engine plan providers report render sandbox scenario"),
    ("scenario", "app cli engine plan providers report render sandbox aws"),
    ("plan", "app cli engine providers report render sandbox aws outside"),
    ("engine", "app cli providers report render sandbox"),
    ("reap", "app cli providers report render sandbox scenario"),
    ("iam", "app aws cli engine outside providers render report sandbox"),
    ("preflight", "app aws cli engine outside providers render report sandbox"),
    ("organisation", "action app aws cli engine outside providers reap render report sandbox"),
    ("report", "app aws cli engine outside providers render sandbox"),
    ("render", "app aws cli engine outside providers sandbox"),
    ("providers", "app cli engine plan report render sandbox scenario"),
    ("sandbox", "action app aws cli engine plan providers report render scenario"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return if path.is_file() { vec![path.to_owned()] } else { Vec::new() };
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    let below = entries.iter().flat_map(|entry| files_below(entry));
    below.filter(|file| file.extension().is_some_and(|e| e == "rs")).collect()
}

/// Files that exist for tests only: those that a `mod` line under `#[cfg(test)]` names.
fn test_files() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for file in files_below(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let name = pair[1].split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';'));
            if let (true, Some(name)) = (pair[0].trim().starts_with("#[cfg(test)]"), name) {
                let folder = match file.file_name().unwrap().to_str().unwrap() {
                    "mod.rs" | "lib.rs" => file.parent().unwrap().to_owned(),
                    _ => file.with_extension(""),
                };
                found.extend(
                    files_below(&folder.join(name))
                        .into_iter()
                        .filter(|_| folder.join(name).is_dir()),
                );
                found.insert(folder.join(format!("{name}.rs")));
            }
        }
    }
    found
}

/// The code of a file without its in-file tests and comments.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let tests = test_files();
    let mut broken = Vec::new();
    for (module, forbidden) in WALLS {
        for file in files_below(&source().join(module)) {
            if tests.contains(&file) {
                continue;
            }
            let code = code_of(&file);
            for other in forbidden.split(' ') {
                if code.contains(&format!("crate::{other}::"))
                    || code.contains(&format!("crate::{other};"))
                {
                    broken.push(format!(
                        "{} uses {other}",
                        file.strip_prefix(source()).unwrap().display()
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn providers_never_use_each_other() {
    let tests = test_files();
    let folders: Vec<String> = fs::read_dir(source().join("providers"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(folders.len() >= 8, "the providers were not found: {folders:?}");
    // What backups have in common is shared: schedules and keys. And clusters of Aurora are one service with instances of RDS:
    // statuses of snapshots and offers of engine versions are the same there, and must not be known twice.
    let one_service = |user: &str, used: &str| user == "aurora" && used == "rds";
    for folder in folders.iter().filter(|folder| *folder != "backups") {
        for file in files_below(&source().join("providers").join(folder)) {
            if tests.contains(&file) {
                continue;
            }
            let code = code_of(&file);
            let others = folders.iter().filter(|other| *other != folder && *other != "backups");
            for other in others.filter(|other| !one_service(folder, other)) {
                assert!(
                    !code.contains(&format!("providers::{other}")),
                    "{} uses {other}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_provider_is_registered() {
    let registry = redrill::providers::registry();
    let services: BTreeSet<String> =
        registry.actions().map(|a| a.facts.name.split('.').next().unwrap().to_owned()).collect();
    for entry in fs::read_dir(source().join("providers")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && name != "backups" {
            assert!(services.contains(&name), "no action of {name} is registered");
        }
    }
}

#[test]
fn every_kind_of_resource_that_an_action_makes_can_be_found_and_removed() {
    let registry = redrill::providers::registry();
    for action in registry.actions() {
        for kind in action.facts.creates {
            assert!(registry.resource_kind(kind).is_some(), "{} makes {kind}", action.facts.name);
        }
    }
}

/// What would go past the guard, or change a call after the guard has judged it. The decision is made once per call, over its
/// typed input; afterwards only the address is looked at again.
const PAST_THE_GUARD: &[(&str, &str)] = &[
    (".presigned(", "a presigned address can be used later, unseen"),
    (".customize(", "a customised call can be changed after it was judged"),
    (".mutate_request(", "the request would be changed after it was judged"),
    (".map_request(", "the request would be changed after it was judged"),
    (".config_override(", "the call would have another configuration than its site"),
    ("disable_interceptor", "the guard must not be switched off"),
    (".wait_until_", "the SDK's waiters jitter with their own randomness; use StepContext::wait"),
    ("sdk_rds::Client::new(", "use client!"),
    ("sdk_ec2::Client::new(", "use client!"),
    ("sdk_s3::Client::new(", "use client!"),
    ("sdk_sts::Client::new(", "use client!"),
    ("sdk_kms::Client::new(", "use client!"),
    ("sdk_secretsmanager::Client::new(", "use client!"),
    ("sdk_cloudwatch::Client::new(", "use client!"),
    ("Client::from_conf(", "use client!"),
    ("aws_sigv4", "only approvals sign requests by themselves"),
];

/// Where approvers' requests to STS are signed and sent.
const SIGNS_BY_ITSELF: &str = "outside/real/approval/sts.rs";

#[test]
fn nothing_goes_past_the_guard() {
    let tests = test_files();
    let mut found = Vec::new();
    let (mut seen_the_macro, mut seen_the_signer) = (false, false);
    for file in files_below(&source()).into_iter().filter(|file| !tests.contains(file)) {
        let code = code_of(&file);
        let name = file.strip_prefix(source()).unwrap().display().to_string();
        for (text, why) in PAST_THE_GUARD {
            let times = code.matches(text).count();
            // The macro itself, which is the one place where clients are built.
            if name == "aws/mod.rs" && *text == "Client::from_conf(" {
                assert_eq!(times, 1);
                seen_the_macro = true;
            } else if name == SIGNS_BY_ITSELF && *text == "aws_sigv4" {
                // One operation, which only reads.
                assert!(
                    code.contains("Action=GetCallerIdentity&")
                        && !code.contains("format!(\"Action")
                );
                seen_the_signer = true;
            } else if times > 0 {
                found.push(format!("{name} uses {text}: {why}"));
            }
        }
        // Who may change what is said in few places: the engine for a run, the program's verbs for the rest.
        let may_say = ["aws/policy.rs", "engine/drive/mod.rs"].contains(&name.as_str());
        if code.contains(".begin_run(") && !may_say {
            found.push(format!("{name} begins a run for the guard: only the engine does"));
        }
    }
    assert!(seen_the_macro, "the macro client! was not found in aws/mod.rs");
    assert!(seen_the_signer, "{SIGNS_BY_ITSELF} was not found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Where a running etcd is asked.
const ASKS_ETCD: &str = "outside/real/etcd/";

#[test]
fn a_running_etcd_is_only_read() {
    let tests = test_files();
    let mut called = BTreeSet::new();
    for file in files_below(&source()).into_iter().filter(|file| !tests.contains(file)) {
        let code = code_of(&file);
        let name = file.strip_prefix(source()).unwrap().display().to_string();
        let speaks = code.contains("tonic::") || code.contains("\"/etcdserverpb.");
        assert!(!speaks || name.starts_with(ASKS_ETCD), "{name} speaks gRPC by itself");
        for call in code.split("\"/etcdserverpb.").skip(1) {
            called.insert(call.split('"').next().unwrap_or_default().to_owned());
        }
    }
    let reads =
        ["Cluster/MemberList", "Maintenance/HashKV", "Maintenance/Snapshot", "Maintenance/Status"];
    assert_eq!(called, BTreeSet::from(reads.map(str::to_owned)));
}
