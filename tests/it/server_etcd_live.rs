//! Running etcds 3.4 and 3.5 on loopback: members that agree, one whose database was changed, TLS with an authority of our own, and a
//! server that dies while a snapshot is read.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use crate::server_databases::{Stepped, step};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::formats::etcd_snapshot::{Soundness, hash_kv, inspect};
use redrill::ids::StepId;
use redrill::journal::Outcome;
use redrill::outside::etcd::{EtcdLogin, EtcdTls};
use redrill::outside::real::RealOutside;
use redrill::outside::{Outside, OutsideError};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn put(key: &str, value: &str) -> Value {
    json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) })
}

fn fill(etcd: &Etcd) {
    for number in 0..50 {
        etcd.put(&[put(&format!("/registry/pods/ns/{number:03}"), "first")]);
    }
    etcd.put(&[put("/registry/pods/ns/001", "second"), put("/marked", MARK)]);
}

/// A value that stands in a database file where no other bytes are like it.
const MARK: &str = "a value that is changed in one member only";

async fn compare(endpoints: &[&Etcd], more: Value) -> Stepped {
    let folder = TempDir::new().unwrap();
    let urls: Vec<String> =
        endpoints.iter().map(|etcd| format!("http://{}", etcd.client)).collect();
    let mut with = json!({ "endpoints": urls });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step(folder.path(), "etcd.compare_members", with).await
}

fn note(stepped: &Stepped, name: &str) -> String {
    let check = stepped.check(name);
    check.note.clone().unwrap_or_default()
}

#[tokio::test]
async fn server_a_backup_equals_the_running_etcd_until_that_is_compacted() {
    for variable in VERSIONS {
        let programs = Programs::named_by(variable);
        let etcd = Etcd::start(&programs);
        fill(&etcd);
        let backup = etcd.folder.path().join("backup.db");
        std::fs::write(&backup, etcd.snapshot(&programs)).unwrap();
        let stepped = compare(&[&etcd], json!({ "file": backup })).await;
        assert_eq!(stepped.red(), []);
        let found = stepped.output.unwrap();
        let last = found["revision"].as_i64().unwrap();
        let asked = etcd.ask(&programs, &["endpoint", "hashkv", "--rev", &last.to_string()]);
        assert_eq!(found["hash"], asked[0]["HashKV"]["hash"], "as etcdctl says");
        let status = etcd.ask(&programs, &["endpoint", "status"]);
        let cluster = status[0]["Status"]["header"]["cluster_id"].as_u64().unwrap();
        assert_eq!(found["cluster_id"], format!("{cluster:x}"));
        assert_eq!(found["members"][0]["version"], status[0]["Status"]["version"]);
        // Changes after the backup do not make it another one, a compaction makes it unknown.
        etcd.put(&[put("/registry/pods/ns/002", "later")]);
        assert_eq!(compare(&[&etcd], json!({ "file": backup })).await.red(), []);
        let later = (last + 1).to_string();
        assert!(
            programs
                .etcdctl(&["--endpoints", &etcd.client.to_string(), "compact", &later])
                .status
                .success()
        );
        let stepped = compare(&[&etcd], json!({ "file": backup })).await;
        assert_eq!(stepped.red(), [("backup".to_owned(), Outcome::Inconclusive)]);
        assert!(note(&stepped, "backup").contains("has compacted"), "{}", note(&stepped, "backup"));
        // All of an idle cluster's history is compacted: its last revision can be told all the same.
        std::fs::write(&backup, etcd.snapshot(&programs)).unwrap();
        assert_eq!(compare(&[&etcd], json!({ "file": backup })).await.red(), []);
        // A backup of another cluster.
        let other = Etcd::start(&programs);
        fill(&other);
        std::fs::write(&backup, other.snapshot(&programs)).unwrap();
        let red = compare(&[&etcd], json!({ "file": backup })).await.red();
        assert!(red.iter().any(|(name, _)| name == "backup"), "{red:?}");
    }
}

#[tokio::test]
async fn server_a_member_whose_database_was_changed_is_found_and_named() {
    for variable in VERSIONS {
        let programs = Programs::named_by(variable);
        let mut cluster = Etcd::cluster_of_three(&programs);
        fill(&cluster[0]);
        let all: Vec<&Etcd> = cluster.iter().collect();
        let stepped = compare(&all, json!({})).await;
        assert_eq!(stepped.red(), []);
        let found = stepped.output.unwrap();
        assert_eq!((&found["voting_members"], &found["compared_members"]), (&json!(3), &json!(3)));
        let stepped = compare(&all[..1], json!({ "all_members": true })).await;
        assert_eq!(stepped.red(), []);
        assert_eq!(stepped.output.unwrap()["compared_members"], 3);
        // What is read of a member is on its disk.
        cluster[2].snapshot(&programs);
        cluster[2].stop();
        let stepped = compare(&cluster.iter().collect::<Vec<_>>(), json!({})).await;
        let inconclusive = |name: &str| (name.to_owned(), Outcome::Inconclusive);
        assert_eq!(stepped.red(), [inconclusive("every member"), inconclusive("same data")]);
        assert!(
            note(&stepped, "every member").starts_with("n3: "),
            "{}",
            note(&stepped, "every member")
        );
        let database = cluster[2].folder.path().join("data/member/snap/db");
        change(&database, MARK.as_bytes());
        cluster[2].start_again(&programs);
        let all: Vec<&Etcd> = cluster.iter().collect();
        let stepped = compare(&all, json!({})).await;
        assert_eq!(stepped.red(), [("same data".to_owned(), Outcome::Failed)]);
        assert_eq!(stepped.output.as_ref().unwrap()["differing"], json!(["n3"]));
        // A backup of the wrong member is not what the cluster stores, and that of a right one is.
        for (member, expected) in [(2, Outcome::Failed), (0, Outcome::Passed)] {
            let backup = cluster[0].folder.path().join("backup.db");
            std::fs::write(&backup, cluster[member].snapshot(&programs)).unwrap();
            let stepped = compare(&all, json!({ "file": backup })).await;
            assert_eq!(stepped.check("backup").outcome, expected);
        }
    }
}

/// Changes one bit of a value wherever a page of a stopped member's database holds it. bbolt has no checksums on its pages.
fn change(database: &Path, value: &[u8]) {
    let mut bytes = std::fs::read(database).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - value.len()).filter(|at| bytes[*at..].starts_with(value)).collect();
    assert!(!places.is_empty(), "the value is not in {}", database.display());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(database, bytes).unwrap();
}

/// An authority, and certificates of it: of a server on loopback, and of a client.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("server.ext"), "subjectAltName=DNS:etcd.test,IP:127.0.0.1\n")
        .unwrap();
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let mut all = vec![
        format!("req -x509 {key} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"),
        format!("req -x509 {key} -days 2 -subj /CN=other -keyout other.key -out other.pem"),
    ];
    for name in ["server", "client"] {
        all.push(format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        all.push(format!(
            "x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.ext -out {name}.pem"
        ));
    }
    for arguments in all {
        let mut command = Command::new("openssl");
        let ended = command.args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[tokio::test]
async fn server_only_the_right_certificates_make_a_member_believed() {
    for variable in VERSIONS {
        let programs = Programs::named_by(variable);
        let folder = TempDir::new().unwrap();
        certificates(folder.path());
        let etcd = Etcd::with_tls(&programs, folder.path());
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let url = format!("https://{}", etcd.client);
        let right = json!({ "ca": file("ca.pem"), "certificate": file("client.pem"), "key": file("client.key") });
        let of = async |changes: &[(&str, Value)]| {
            let mut tls = right.clone();
            changes.iter().for_each(|(name, value)| tls[*name] = value.clone());
            let with = json!({ "endpoints": [url], "tls": tls });
            step(folder.path(), "etcd.compare_members", with).await
        };
        let good = of(&[]).await;
        // A cluster of one without a backup has nothing to be compared with; everything else is well.
        assert_eq!(good.red(), [("same data".to_owned(), Outcome::Inconclusive)]);
        let named = of(&[("server_name", json!("etcd.test"))]).await;
        assert_eq!(named.check("every member").outcome, Outcome::Passed);
        for (what, changes, word) in [
            ("another name", vec![("server_name", json!("other.test"))], "other.test"),
            ("another authority", vec![("ca", json!(file("other.pem")))], "UnknownIssuer"),
            (
                "no client certificate",
                vec![("certificate", Value::Null), ("key", Value::Null)],
                "certificate",
            ),
        ] {
            let stepped = of(&changes).await;
            let red = stepped.red();
            assert!(
                red.iter().all(|(_, outcome)| *outcome == Outcome::Inconclusive),
                "{what}: {red:?}"
            );
            assert_eq!(red.len(), 3, "{what}: nothing is believed");
            let why = note(&stepped, "every member");
            assert!(why.contains("TLS: ") && why.contains(word), "{what}: {why}");
        }
    }
}

fn login(etcd: &Etcd) -> EtcdLogin {
    EtcdLogin {
        step: StepId::new("step"),
        endpoint: format!("http://{}", etcd.client),
        tls: EtcdTls::default(),
        timeout: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn server_a_snapshot_of_an_etcd_that_dies_breaks_off_and_never_ends_well() {
    for variable in VERSIONS {
        let programs = Programs::named_by(variable);
        let mut etcd = Etcd::start(&programs);
        // More than connections hold on the way.
        let value = "x".repeat(200_000);
        for number in 0..200 {
            etcd.put(&[put(&format!("/large/{number}"), &value)]);
        }
        let folder = TempDir::new().unwrap();
        let outside = RealOutside::new(folder.path());
        let login = login(&etcd);
        let mut member = outside.etcd(&login).await.unwrap();
        let mut pieces = member.snapshot().await.unwrap();
        let first = pieces.next().await.unwrap().unwrap();
        assert!(!first.is_empty());
        etcd.stop();
        let ended = loop {
            match pieces.next().await {
                Ok(Some(_)) => {}
                ended => break ended,
            }
        };
        assert!(matches!(ended, Err(OutsideError::Unreachable(_))), "{ended:?}");
    }
}

#[tokio::test]
async fn server_a_snapshot_is_taken_into_a_new_private_file_and_over_no_other() {
    for variable in VERSIONS {
        let programs = Programs::named_by(variable);
        let etcd = Etcd::start(&programs);
        fill(&etcd);
        let path = etcd.folder.path().join("taken.db");
        let with = json!({ "endpoint": format!("http://{}", etcd.client), "file": path });
        let stepped = step(etcd.folder.path(), "etcd.take_snapshot", with.clone()).await;
        assert_eq!(stepped.red(), []);
        let found = stepped.output.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let seen = inspect(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(
            (seen.soundness(), found["size"].as_u64()),
            (Soundness::Sound, Some(bytes.len() as u64))
        );
        let last = seen.revision.unwrap();
        let asked = etcd.ask(&programs, &["endpoint", "hashkv", "--rev", &last.to_string()]);
        assert_eq!(found["hash_kv"], asked[0]["HashKV"]["hash"]);
        let own = hash_kv(&bytes[..], bytes.len() as u64, None, None).unwrap().unwrap();
        assert_eq!(found["hash_kv"], own.hash);
        // etcdctl takes it for one of its own.
        let status =
            programs.etcdctl(&["snapshot", "status", path.to_str().unwrap(), "-w", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["revision"], found["revision"]);
        let again = step(etcd.folder.path(), "etcd.take_snapshot", with).await;
        assert!(again.output.unwrap_err().to_string().contains("is not overwritten"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let left: Vec<_> = std::fs::read_dir(etcd.folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 3, "nothing but data, log and the snapshot: {left:?}");
    }
}
