//! The action against the sandbox and against files.

use crate::journal::{FailureClass, Outcome::*};
use crate::providers::trial::Trial;
use serde_json::{Value, json};
use std::time::Duration;

fn stored(objects: &str) -> Trial {
    let dr = format!("[{{ name: backups, versioning: enabled, objects: [{objects}] }}]");
    Trial::with_buckets("[]", &dr, "dr")
}

const GOOD: &str = "{ key: good.db, file: files/cluster-state.snapshot.db, at: 3h }";

async fn verify(trial: &Trial, key: &str) -> Value {
    let input = json!({ "object": { "bucket": "backups", "key": key } });
    trial.run("etcd.verify_snapshot", input).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_good_snapshot_passes_with_the_numbers_of_etcdctl() {
    let trial = stored(GOOD);
    let found = verify(&trial, "good.db").await;
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 4);
    // As `etcdctl snapshot status` shows it: scenarios/estates/files/README.md.
    assert_eq!((&found["revision"], &found["total_keys"]), (&json!(37), &json!(42)));
    assert_eq!(found["live_keys"], 28);
    assert_eq!(found["hash"], format!("{:x}", 3_881_976_787_u32));
    assert_eq!(found["size"], 36_896);
    assert!(found["version_id"].is_string());
    assert!(found["modified_at"].as_str().unwrap().starts_with("2026-11-19T23:00:00"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn the_time_at_which_a_snapshot_was_stored_is_no_recovery_point() {
    let trial = stored(GOOD);
    let found = verify(&trial, "good.db").await;
    assert_eq!((trial.recovery_point(), &found["age"]), (None, &Value::Null));
    assert_eq!(trial.findings(), ["etcd.snapshot_time_uncertain"]);
}

#[tokio::test(start_paused = true)]
async fn one_changed_bit_fails_and_is_no_recovery_point() {
    let trial = stored("{ key: bad.db, file: files/cluster-state.flipped.db, at: 3h }");
    verify(&trial, "bad.db").await;
    assert_eq!(trial.not_passed(), [("trailing SHA-256".to_owned(), Failed)]);
    assert_eq!(trial.findings(), ["etcd.snapshot_damaged"]);
    assert_eq!(trial.recovery_point(), None);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_metadata_is_the_recovery_point() {
    let trial = stored(
        "{ key: good.db, file: files/cluster-state.snapshot.db, at: 3h, \
         metadata: { snapshot-time: '2026-11-19T22:57:00Z' } }",
    );
    let found = verify(&trial, "good.db").await;
    assert_eq!(trial.findings(), [] as [&str; 0]);
    assert_eq!(trial.recovery_point().unwrap().at.to_rfc3339(), "2026-11-19T22:57:00+00:00");
    assert!(found["age"].as_str().unwrap().starts_with("3h 3m"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn regression_the_time_that_people_take_to_decide_is_not_the_age_of_the_snapshot() {
    let trial = stored(
        "{ key: good.db, file: files/cluster-state.snapshot.db, at: 3h, \
         metadata: { snapshot-time: '2026-11-19T22:57:00Z' } }",
    );
    trial.memory.declare(trial.context.clock.now());
    tokio::time::advance(Duration::from_secs(60 * 60)).await;
    let found = verify(&trial, "good.db").await;
    assert!(found["age"].as_str().unwrap().starts_with("3h 3m"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn regression_last_months_file_under_a_new_time_is_no_recovery_point() {
    let again = |time: &str| {
        stored(&format!(
            "{{ key: last.db, file: files/cluster-state.last-month.db, at: 3h, metadata: {{ snapshot-time: '{time}' }} }}"
        ))
    };
    let trial = again("2026-11-19T22:57:00Z");
    let found = verify(&trial, "last.db").await;
    assert_eq!(trial.not_passed(), [("time of the data".to_owned(), Failed)]);
    assert_eq!(trial.findings(), ["etcd.snapshot_is_older"]);
    assert_eq!((trial.recovery_point(), &found["age"]), (None, &Value::Null));
    assert_eq!(found["newest"], "2026-10-19T22:56:51Z");
    // Under its own time it is what it says, and old.
    let trial = again("2026-10-19T22:57:00Z");
    verify(&trial, "last.db").await;
    assert_eq!((trial.not_passed(), trial.checks().len()), (vec![], 5));
    assert!(trial.recovery_point().unwrap().source.contains("borne out by the leases"));
    // Under an earlier one, the content contradicts it.
    let trial = again("2026-10-01T00:00:00Z");
    verify(&trial, "last.db").await;
    assert_eq!(trial.not_passed(), [("time of the data".to_owned(), Inconclusive)]);
    assert_eq!(trial.findings(), ["etcd.snapshot_time_uncertain"]);
    assert_eq!(trial.recovery_point(), None);
}

#[tokio::test(start_paused = true)]
async fn regression_without_a_stated_time_the_leases_are_a_lower_bound() {
    let trial = stored("{ key: last.db, file: files/cluster-state.last-month.db, at: 3h }");
    let found = verify(&trial, "last.db").await;
    let point = trial.recovery_point().unwrap();
    assert_eq!(point.at.to_rfc3339(), "2026-10-19T22:56:51+00:00");
    assert!(point.source.contains("lower bound"), "{point:?}");
    assert_eq!(found["taken_at"], "2026-10-19T22:56:51Z");
    assert_eq!(trial.findings(), ["etcd.snapshot_time_uncertain"]);
}

#[tokio::test(start_paused = true)]
async fn regression_whose_snapshot_it_is_and_what_stands_in_it_are_outputs() {
    let trial = stored(GOOD);
    let found = verify(&trial, "good.db").await;
    assert_eq!(found["cluster_id"], "cdf818194e3a8c32");
    let member = json!({ "name": "n1", "id": "8e9e05c52164694d", "learner": false,
                         "peer_urls": ["http://localhost:2380"] });
    assert_eq!(found["members"], json!([member]));
    assert_eq!((&found["alarms"], &found["compaction_in_flight"]), (&json!([]), &json!(false)));
    assert_eq!(found.get("auth_enabled"), Some(&Value::Null));
}

#[tokio::test(start_paused = true)]
async fn regression_a_backup_of_another_kind_is_inconclusive_with_what_to_do() {
    let trial = stored("{ key: state.db, text: \"SQLite format 3\\0 and so on\" }");
    verify(&trial, "state.db").await;
    assert!(trial.checks().values().all(|check| check.outcome == Inconclusive));
    assert_eq!(trial.findings(), ["etcd.not_a_snapshot"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_snapshot_never_passes() {
    let trial = stored("{ key: text.db, text: not a snapshot }, { key: empty.db, text: '' }");
    for key in ["text.db", "empty.db"] {
        verify(&trial, key).await;
        assert!(trial.checks().values().all(|check| check.outcome != Passed), "{key}");
    }
    assert_eq!(trial.recovery_point(), None);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_not_there_fails() {
    let trial = stored(GOOD);
    let input = json!({ "object": { "bucket": "backups", "key": "absent.db" } });
    let error = trial.run("etcd.verify_snapshot", input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotFound);
}

#[tokio::test(start_paused = true)]
async fn on_eks_it_never_passes() {
    let trial = stored("");
    let input = json!({ "platform": "eks" });
    let error = trial.run("etcd.verify_snapshot", input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(trial.findings(), ["etcd.no_snapshot_on_eks"]);
}

#[tokio::test(start_paused = true)]
async fn a_local_file_is_verified_and_its_own_time_is_not_trusted() {
    let trial = stored("");
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/estates/files/cluster-state.snapshot.db");
    let found = trial.run("etcd.verify_snapshot", json!({ "file": path })).await.unwrap();
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.recovery_point(), None);
    assert_eq!(found.get("age"), Some(&Value::Null));
    assert!(trial.run("etcd.verify_snapshot", json!({})).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_packed_snapshot_is_unpacked_and_one_that_was_cut_is_damaged() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let snapshot = include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(snapshot).unwrap();
    let packed = packed.finish().unwrap();
    let verified = async |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let trial = stored("");
        let found = trial.run("etcd.verify_snapshot", json!({ "file": path })).await.unwrap();
        (trial, found)
    };
    let (trial, found) = verified("whole.gz", &packed).await;
    assert_eq!((trial.not_passed(), trial.checks().len()), (Vec::new(), 5));
    assert_eq!((&found["packing"], &found["size"]), (&json!("gzip"), &json!(36_896)));
    let (trial, _) = verified("cut.gz", &packed[..packed.len() - 4]).await;
    assert_eq!(trial.not_passed(), [("packing".to_owned(), Failed)]);
    assert_eq!(trial.findings(), ["etcd.snapshot_packing_damaged"]);
    let (trial, _) = verified("half.gz", &packed[..packed.len() / 2]).await;
    assert_eq!(trial.checks()["packing"].outcome, Failed);
    assert_ne!(trial.checks()["complete"].outcome, Passed);
}

#[tokio::test(start_paused = true)]
async fn regression_what_cannot_be_unpacked_is_inconclusive_and_not_damaged() {
    const ZIP: &[u8] = include_bytes!("../../../scenarios/estates/files/k3s-server.snapshot.zip");
    let folder = tempfile::tempdir().unwrap();
    let mut encrypted = ZIP.to_vec();
    encrypted[6] |= 1;
    let mut by_lzma = ZIP.to_vec();
    by_lzma[8] = 14;
    // A frame of Zstandard with a window of 256 MiB, as `zstd --long=28` writes it.
    let wide = [&b"\x28\xb5\x2f\xfd\0\x90"[..], &[9, 0, 0, 7]].concat();
    for (name, bytes) in [("encrypted.zip", encrypted), ("lzma.zip", by_lzma), ("wide.zst", wide)] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let input = json!({ "file": path });
        let trial = stored("");
        trial.run("etcd.verify_snapshot", input.clone()).await.unwrap();
        let checks = trial.checks();
        assert!(checks.contains_key("packing") && checks.len() == 5, "{name}: {checks:?}");
        assert!(checks.values().all(|check| check.outcome == Inconclusive), "{name}: {checks:?}");
        let said = format!("{checks:?}");
        assert!(said.contains("nothing inside was checked") && !said.contains("empty"), "{said}");
        assert_eq!(trial.findings(), ["etcd.snapshot_not_unpacked"], "{name}");
        assert_eq!(trial.recovery_point(), None);
        // An error of the tool, and no failed recovery.
        let error = stored("").run("etcd.inventory", input).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken, "{name}");
    }
}

/// What is wrong with a scenario whose only step has this input.
fn complaints(with: &str) -> Vec<&'static str> {
    let expected = "{ revision: '>= 37', age: '<= 24h', size: '>= 1 KiB' }";
    complaints_of("etcd.verify_snapshot", with, expected)
}

fn complaints_of(action: &str, with: &str, expected: &str) -> Vec<&'static str> {
    let text = format!(
        "redrill: 1\nname: cluster\ntitle: The cluster\nowner: platform\n\
         disaster: {{ kind: corruption }}\nobjectives: {{ rpo: {{ target: 1d, measure: backup }} }}\n\
         sites: {{ dr: {{ region: ap-northeast-3 }} }}\nsteps:\n  - id: snapshot\n    at: dr\n    \
         uses: {action}\n    with: {with}\n    expect: {expected}\n"
    );
    let source = crate::scenario::Source::new("cluster.yaml", text);
    let loaded = crate::scenario::load_text(source, &crate::providers::registry());
    let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    errors.map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn a_scenario_gives_a_file_or_an_object_before_anything_runs() {
    assert_eq!(complaints("{ object: { bucket: backups, key: good.db } }"), [] as [&str; 0]);
    assert_eq!(complaints("{ file: good.db }"), [] as [&str; 0]);
    assert_eq!(complaints("{ platform: eks }"), [] as [&str; 0]);
    assert_eq!(complaints("{ platform: self_managed }").len(), 1);
    assert_eq!(complaints("{ file: a.db, object: { bucket: b, key: k } }").len(), 1);
}

#[test]
fn regression_a_restore_leaves_no_mark_that_looks_like_damage() {
    let asked = |bump: &str| {
        let with = format!("{{ file: good.db, bump_revision: {bump} }}");
        complaints_of("etcd.restore", &with, "{ revision: '>= 37' }").len()
    };
    assert_eq!(asked("2"), asked("1000000000"));
    assert_eq!(asked("1"), asked("2") + 1, "the least is 2");
}
