//! A whole drill that decrypts a secret with the file of the recovery kit, with good and broken estates: the verdict, and that
//! neither a key nor a value is in anything that the program writes.

use crate::program::{Program, repository};
use serde_json::{Value, json};

const KIT: &str = include_str!("../../scenarios/estates/files/encryption-config.yaml");
/// The key in it.
const KEY: &str = "lh8g11lV52GeSObBX2XQABIRCwdQilf8M8DyOt6YGPA=";
/// What the secrets hold, as it is and in base64: `vectors.py` says how they are made.
const VALUES: [&str; 2] = ["swordfish-of-the-vectors", "c3dvcmRmaXNoLW9mLXRoZS12ZWN0b3Jz"];

/// A scenario that looks for a secret in a snapshot, and an estate with the snapshot and this file.
struct Kit {
    program: Program,
    ran: Value,
    code: i32,
}

impl Kit {
    fn rehearse(secret: &str, file: Option<&str>) -> Self {
        let program = Program::new();
        let at = |name: &str| json!({ "bucket": "backups", "key": name });
        let decrypt =
            json!({ "namespace": "payments", "name": secret, "encryption_config": "kit.yaml" });
        let scenario = json!({
            "redrill": 1, "name": "kit", "title": "The keys of the recovery kit", "owner": "tester",
            "disaster": { "kind": "corruption" },
            "sites": { "dr": { "account": "222222222222", "region": "ap-northeast-3" } },
            "objectives": { "rto": { "target": "1h", "authority": "test", "from": "declared" } },
            "guard": { "max_duration": "1h" },
            "steps": [{
                "id": "objects", "at": "dr", "uses": "etcd.inventory", "phase": "verify", "gate": "acceptance",
                "with": { "object": at("latest.db"), "decrypt": decrypt },
            }],
        });
        let files = file.map(|file| json!({ "kit.yaml": file }));
        let estate = json!({
            "estate": 1, "title": "Secrets", "now": "2026-11-20T02:00:00Z", "seed": 1,
            "accounts": { "222222222222": {} },
            "places": [{
                "account": "222222222222", "region": "ap-northeast-3",
                "buckets": [{ "name": "backups", "objects": [
                    { "key": "latest.db", "file": "snapshot.db", "at": "1h" },
                ] }],
            }],
            "answers": { "files": files.unwrap_or_else(|| json!({})) },
        });
        program.write("kit.yaml", scenario.to_string());
        program.write("estate.yaml", estate.to_string());
        let snapshot = repository("scenarios/estates/files/encrypted-secrets.snapshot.db");
        program.write("snapshot.db", std::fs::read(snapshot).unwrap());
        let ran = program.run(&[
            "run",
            "kit.yaml",
            "--sandbox",
            "--estate",
            "estate.yaml",
            "--format",
            "json",
        ]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for word in VALUES.iter().chain(&[KEY]) {
            assert!(!said.contains(word), "{said}");
        }
        Self { ran: ran.json(), code: ran.code, program }
    }

    fn check(&self, name: &str) -> (String, String) {
        let checks = self.ran["runs"][0]["report"]["checks"].as_array().unwrap();
        let found = checks.iter().find(|one| one["check"]["name"] == name);
        let found = &found.unwrap_or_else(|| panic!("no {name} in {checks:#?}"))["check"];
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("outcome"), format!("{} {}", text("observed"), text("note")))
    }

    /// Every file of the run, the journal and all reports among them, and what is written of it later.
    fn is_silent(&self) {
        let files = self.program.files_of_runs();
        assert!(files.iter().any(|file| file.ends_with("journal.jsonl")), "{files:?}");
        for file in &files {
            let bytes = self.program.bytes(file);
            let text = String::from_utf8_lossy(&bytes);
            let words = VALUES.iter().chain(&[KEY]);
            words.for_each(|word| assert!(!text.contains(word), "{word} in {file}"));
        }
        let runbook = self.program.run(&["runbook", "kit.yaml"]);
        assert!(runbook.stdout.contains("--decrypt payments/"), "{}", runbook.stderr);
    }
}

#[test]
fn a_drill_whose_recovery_kit_decrypts_a_secret_passes_and_says_nothing_of_it() {
    for name in ["aescbc", "aesgcm", "secretbox"] {
        let kit = Kit::rehearse(name, Some(KIT));
        let (outcome, words) = kit.check(&format!("secret payments/{name} decrypts"));
        assert_eq!((outcome.as_str(), kit.code), ("passed", 0), "{name}: {words}");
        kit.is_silent();
    }
}

#[test]
fn a_drill_whose_recovery_kit_has_a_wrong_key_or_none_of_the_name_fails() {
    let wrong = KIT.replace(KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let renamed = KIT.replace("key1", "key2");
    for (secret, file) in [
        ("aesgcm", wrong.as_str()),
        ("secretbox", &wrong),
        ("aescbc", &renamed),
        ("damaged", KIT),
        ("moved", KIT),
        ("unheard-of", KIT),
    ] {
        let kit = Kit::rehearse(secret, Some(file));
        let (outcome, words) = kit.check(&format!("secret payments/{secret} decrypts"));
        assert_eq!((outcome.as_str(), kit.code), ("failed", 1), "{secret}: {words}");
        kit.is_silent();
    }
}

#[test]
fn a_drill_that_could_not_try_a_key_is_inconclusive() {
    for (secret, words) in [("kms", "ciphertext only"), ("plain", "not encrypted")] {
        let kit = Kit::rehearse(secret, Some(KIT));
        let (outcome, told) = kit.check(&format!("secret payments/{secret} decrypts"));
        assert_eq!((outcome.as_str(), kit.code), ("inconclusive", 2), "{secret}: {told}");
        assert!(told.contains(words), "{told}");
        kit.is_silent();
    }
    for file in [None, Some("kind: Secret"), Some(&*KIT.replace(KEY, "c3dvcmRmaXNo"))] {
        let kit = Kit::rehearse("aescbc", file);
        assert_eq!(kit.code, 2, "{file:?}");
        kit.is_silent();
        let journal = kit.program.read("runs/kit-0001/journal.jsonl");
        assert!(!journal.contains("c3dvcmRmaXNo"), "{journal}");
    }
}
