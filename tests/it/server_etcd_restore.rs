//! Against real etcds: a snapshot is restored into etcds of the step's own, compared with its origin, and leaves nothing.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use crate::server_databases::{Events, Stepped, context, outcomes, step};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::action::Found;
use redrill::journal::{Event, FailureClass, Outcome};
use redrill::time::Clock;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const NAMED: &str = "/registry/configmaps/shop/number-7";

/// An etcd with some history, of which some is compacted.
fn lived() -> Vec<(Programs, Etcd)> {
    let start = |variable: &&str| {
        let programs = Programs::named_by(variable);
        let etcd = Etcd::start(&programs);
        for round in 0..3 {
            for number in 0..40 {
                let key = format!("/registry/configmaps/shop/number-{number}");
                etcd.put(&[json!({ "key": BASE64.encode(key), "value": BASE64.encode(format!("round {round}")) })]);
            }
            if round == 1 {
                etcd.call("/v3/kv/compaction", &json!({ "revision": 60, "physical": true }));
            }
        }
        let gone = BASE64.encode("/registry/configmaps/shop/number-3");
        etcd.call("/v3/kv/deleterange", &json!({ "key": gone }));
        (programs, etcd)
    };
    VERSIONS.iter().map(start).collect()
}

/// The input of a step that restores the snapshot in this folder, and works there.
fn restoring(folder: &TempDir, programs: &Programs, members: u32) -> Value {
    json!({
        "file": folder.path().join("snapshot.db"), "folder": folder.path(), "programs": programs.0,
        "members": members, "keys": [NAMED],
    })
}

fn stored(snapshot: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("snapshot.db"), snapshot).unwrap();
    folder
}

/// Processes whose command names this folder.
fn running_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| {
        let command = fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    commands.filter(|command| command.contains(folder)).collect()
}

/// The checks that did not pass, of a step that gave an error.
fn red(tried: &Stepped) -> Vec<(&str, Outcome)> {
    outcomes(&tried.events).into_iter().filter(|(_, outcome)| *outcome != Outcome::Passed).collect()
}

fn assert_nothing_is_left(folder: &TempDir) {
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["snapshot.db"]);
    assert_eq!(running_in(folder.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn server_etcd_a_snapshot_is_restored_with_one_and_three_members_and_is_equal() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let (keys, revision) = etcd.count();
        let rev = revision.to_string();
        let origin = etcd.ask(&programs, &["endpoint", "hashkv", "--rev", &rev]);
        let origin = origin[0]["HashKV"]["hash"].as_u64().unwrap();
        for members in [1, 3] {
            let tried =
                step(folder.path(), "etcd.restore", restoring(&folder, &programs, members)).await;
            assert_eq!(tried.red(), []);
            let output = tried.output.as_ref().unwrap();
            assert_eq!((&output["keys"], &output["revision"]), (&json!(keys), &json!(revision)));
            assert_eq!(output["hash_kv"], format!("{origin:x}"), "{output}");
            assert_eq!(output["members"], members);
            assert_nothing_is_left(&folder);
            let events: Vec<Value> =
                tried.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
            let position =
                |kind: &str| events.iter().position(|event| event["type"] == kind).unwrap();
            assert!(position("resource_intended") < position("resource_owned"));
            assert!(position("resource_owned") < position("resource_released"));
            assert!(!serde_json::to_string(&events).unwrap().contains("round 2"));
        }
    }
}

#[tokio::test]
async fn server_etcd_what_is_damaged_or_has_no_digest_is_refused_and_leaves_nothing() {
    for (programs, etcd) in lived() {
        let good = etcd.snapshot(&programs);
        let at = good.windows(7).position(|some| some == b"round 2").unwrap();
        let mut changed = good.clone();
        changed[at] ^= 1;
        let folder = stored(&changed);
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
        assert_eq!(tried.output.as_ref().unwrap_err().class(), FailureClass::Recovery);
        assert_eq!(red(&tried), [("sound snapshot", Outcome::Failed)]);
        assert!(!tried.events.iter().any(|event| matches!(event, Event::ResourceIntended { .. })));
        assert_nothing_is_left(&folder);

        // Nothing is wrong with it as far as it can be read; etcd's own program asks for the digest.
        let folder = stored(&good[..good.len() - 32]);
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
        let error = tried.output.as_ref().unwrap_err();
        assert_eq!(error.class(), FailureClass::Recovery, "{error}");
        assert!(error.to_string().contains("hash"), "{error}");
        let wanted = [("restored", Outcome::Failed), ("sound snapshot", Outcome::Inconclusive)];
        assert_eq!(red(&tried), wanted);
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_a_restore_that_is_given_up_kills_its_members_and_is_removed_by_its_ledger() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let events = Arc::new(Events::default());
        let context = context(folder.path(), events.clone());
        let registry = redrill::providers::registry();
        let action = registry.get("etcd.restore").unwrap();
        let with = restoring(&folder, &programs, 3);
        let until_they_run = async {
            while running_in(folder.path())
                .iter()
                .filter(|one| one.contains("--listen-peer-urls"))
                .count()
                < 3
            {
                Clock::system().sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            biased;
            () = until_they_run => {}
            ended = action.run(&context, with) => panic!("it ended before its members were seen: {ended:?}"),
        }
        let mut looks = 0;
        while !running_in(folder.path()).is_empty() {
            looks += 1;
            assert!(looks < 500, "members outlive the step: {:?}", running_in(folder.path()));
            Clock::system().sleep(Duration::from_millis(10)).await;
        }
        let intended = events.0.lock().unwrap().iter().find_map(|event| match event {
            Event::ResourceIntended { key, .. } => Some(key.clone()),
            _ => None,
        });
        let key = intended.unwrap();
        let kind = registry.resource_kind(&key.kind).unwrap();
        let Found::Ours { id, .. } = kind.find(&context, &key, None).await.unwrap() else {
            panic!("the folder was not found")
        };
        assert_eq!(
            fs::metadata(&id)
                .map(|about| std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777)
                .unwrap(),
            0o700
        );
        assert!(kind.command(&key, None, "").starts_with("rm -rf -- "));
        kind.remove(&context, &key, &id).await.unwrap();
        assert_eq!(kind.find(&context, &key, None).await.unwrap(), Found::Gone);
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_without_its_programs_nothing_is_said_of_the_snapshot() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let nowhere = Programs(folder.path().join("nowhere"));
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &nowhere, 1)).await;
        assert_eq!(red(&tried), []);
        let failure = tried.output.unwrap_err().into_failure();
        assert_eq!(failure.class, FailureClass::Broken);
        assert!(failure.message.contains("there is no program \"etcd\""), "{}", failure.message);
        assert!(failure.help.unwrap().contains("etcd-server"));
        assert_nothing_is_left(&folder);
    }
}
