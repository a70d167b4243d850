//! The actions that ask running members, against the sandbox.

use crate::formats::etcd_snapshot::tiny_writer::{self as tiny, Snapshot};
use crate::formats::etcd_snapshot::{hash_kv, inspect};
use crate::journal::{FailureClass, Outcome::*};
use crate::providers::trial::Trial;
use serde_json::{Value, json};
use sha2::Digest as _;

/// An estate with members `n1` to `n3`: of each, what is different from a good one.
fn members(different: [&str; 3]) -> Trial {
    let of = |(n, more): (usize, &str)| {
        let file =
            if more.contains("file:") { "" } else { "file: files/cluster-of-three.snapshot.db, " };
        format!("    \"{}\": {{ name: n{n}, {file}{more} }}\n", url(n))
    };
    let answers: String = (1..).zip(different).map(of).collect();
    let bucket = "[{ name: backups, versioning: enabled, objects: [\
        { key: three.db, file: files/cluster-of-three.snapshot.db, at: 1m }, \
        { key: one.db, file: files/cluster-state.snapshot.db, at: 1m }, \
        { key: text.db, text: not a snapshot }] }]";
    Trial::with_answers(bucket, &format!("answers:\n  etcd:\n{answers}"))
}

fn url(n: usize) -> String {
    format!("http://10.0.0.{n}:2379")
}

fn urls() -> Vec<String> {
    (1..=3).map(url).collect()
}

async fn compare(trial: &Trial, more: Value) -> Value {
    let mut input = json!({ "endpoints": urls() });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    trial.run("etcd.compare_members", input).await.unwrap()
}

fn object(key: &str) -> Value {
    json!({ "object": { "bucket": "backups", "key": key } })
}

#[tokio::test(start_paused = true)]
async fn members_that_agree_pass_with_the_hash_of_etcdctl() {
    let trial = members(["", "", ""]);
    let found = compare(&trial, json!({})).await;
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 3);
    // As `etcdctl endpoint hashkv` showed it of the running cluster: scenarios/estates/files/README.md.
    assert_eq!((&found["hash"], &found["revision"]), (&json!(3_924_699_373_u32), &json!(9)));
    assert_eq!((&found["compact_revision"], &found["compared_members"]), (&json!(-1), &json!(3)));
    assert_eq!(found["cluster_id"], format!("{:x}", 6_569_853_355_132_584_606_u64));
    assert_eq!(found["members"][1]["id"], "30ba237d4c4e09cf");
    // The endpoints are no loopback addresses.
    assert_eq!(trial.findings(), ["etcd.connection_not_encrypted"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_differs_fails_and_is_named() {
    let trial = members(["", "", "file: files/cluster-of-three.differs.db"]);
    let found = compare(&trial, object("three.db")).await;
    assert_eq!(trial.not_passed(), [("same data".to_owned(), Failed)]);
    assert_eq!(found["differing"], json!(["n3"]));
    assert_eq!(found["hash"], Value::Null);
    assert!(trial.findings().contains(&"etcd.members_differ".to_owned()));
    assert_eq!(trial.checks()["backup"].observed, "as n1, n2; not as n3");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_answer_is_inconclusive_and_never_passed() {
    let trial = members(["", "silent: true", ""]);
    let found = compare(&trial, json!({})).await;
    let inconclusive = |name: &str| (name.to_owned(), Inconclusive);
    assert_eq!(trial.not_passed(), [inconclusive("every member"), inconclusive("same data")]);
    assert!(trial.checks()["every member"].note.as_deref().unwrap().starts_with("n2: "));
    assert_eq!(found["compared_members"], 2);
    let nobody = members(["silent: true"; 3]);
    compare(&nobody, object("three.db")).await;
    // What the backup is needs nobody's answer; everything else does.
    let mut checks = nobody.checks();
    assert_eq!(checks.remove("sound snapshot").unwrap().outcome, Passed);
    assert!(checks.values().all(|check| check.outcome == Inconclusive), "{checks:?}");
}

/// A file of the estates.
fn stored(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/estates/files/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Compares members that agree with a backup of these bytes.
async fn with_backup(bytes: &[u8]) -> (Trial, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup.db");
    std::fs::write(&path, bytes).unwrap();
    let trial = members(["", "", ""]);
    let found = compare(&trial, json!({ "file": path })).await;
    (trial, found)
}

#[tokio::test(start_paused = true)]
async fn a_backup_equals_the_running_cluster_or_does_not() {
    let trial = members(["", "", ""]);
    let found = compare(&trial, object("three.db")).await;
    assert_eq!((trial.not_passed(), &found["backup_revision"]), (vec![], &json!(9)));
    assert_eq!(trial.checks().len(), 6);
    // A sound snapshot of other data.
    let mut differs = stored("cluster-of-three.differs.db");
    let content = differs.len() - 32;
    let digest = sha2::Sha256::digest(&differs[..content]);
    differs[content..].copy_from_slice(&digest);
    let (trial, _) = with_backup(&differs).await;
    assert_eq!(trial.not_passed(), [("backup".to_owned(), Failed)]);
    let trial = members(["", "", ""]);
    compare(&trial, object("one.db")).await;
    let failed = |name: &str| (name.to_owned(), Failed);
    assert_eq!(trial.not_passed(), [failed("backup"), failed("recorded members")]);
}

/// The place of a byte behind the keys, so that `HashKV` does not tell when it is changed: only the SHA-256 does.
fn place_outside_of_the_keys(bytes: &[u8]) -> usize {
    let of = |bytes: &[u8]| {
        let (length, sound) = (bytes.len() as u64, inspect(bytes, bytes.len() as u64).unwrap());
        (hash_kv(bytes, length, None, None).unwrap().ok(), sound.damage.len())
    };
    let (hash, damage) = of(bytes);
    assert!(hash.is_some() && damage == 0);
    let mut changed = bytes.to_vec();
    let is_one = |at: &usize| {
        changed[*at] ^= 1;
        let same = of(&changed) == (hash, 1);
        changed[*at] ^= 1;
        same
    };
    (2 * 4096..bytes.len() - 32).rev().find(is_one).unwrap()
}

#[tokio::test(start_paused = true)]
async fn regression_a_backup_with_a_wrong_sha_256_is_damaged_although_its_keys_are_the_same() {
    let mut bytes = stored("cluster-of-three.snapshot.db");
    let at = place_outside_of_the_keys(&bytes);
    bytes[at] ^= 1;
    let (trial, found) = with_backup(&bytes).await;
    let expected = [("backup".to_owned(), Inconclusive), ("sound snapshot".to_owned(), Failed)];
    assert_eq!(trial.not_passed(), expected);
    assert!(trial.checks()["backup"].note.as_deref().unwrap().contains("is damaged"));
    assert!(trial.findings().contains(&"etcd.snapshot_damaged".to_owned()));
    assert_eq!(found["backup_revision"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn regression_a_backup_without_a_sha_256_is_never_what_the_members_store() {
    let bytes = stored("cluster-of-three.snapshot.db");
    let (trial, _) = with_backup(&bytes[..bytes.len() - 32]).await;
    let expected =
        [("backup".to_owned(), Inconclusive), ("sound snapshot".to_owned(), Inconclusive)];
    assert_eq!(trial.not_passed(), expected);
    assert!(trial.checks()["backup"].note.as_deref().unwrap().contains("no SHA-256"));
    assert!(trial.findings().contains(&"etcd.snapshot_unproven".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_backup_whose_revision_the_members_have_compacted_is_inconclusive() {
    // The last revision is that of a backup: members can tell it although all before is compacted.
    let trial = members(["compacted: 9", "compacted: 9", "compacted: 9"]);
    compare(&trial, object("three.db")).await;
    assert_eq!(trial.not_passed(), []);
    let files = ["compacted: 30, file: files/cluster-state.snapshot.db"; 3];
    let trial = members(files);
    compare(&trial, object("three.db")).await;
    assert_eq!(trial.checks()["backup"].outcome, Inconclusive);
    assert!(trial.checks()["backup"].note.as_deref().unwrap().contains("has compacted"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_snapshot_is_never_what_the_members_store() {
    let trial = members(["", "", ""]);
    let found = compare(&trial, object("text.db")).await;
    assert_eq!(trial.checks()["backup"].outcome, Inconclusive);
    assert_eq!(trial.checks()["recorded members"].outcome, Inconclusive);
    assert_eq!(found["backup_revision"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn compactions_that_never_come_together_are_inconclusive() {
    let trial = members(["compacted: 4", "", ""]);
    compare(&trial, json!({})).await;
    assert_eq!(trial.not_passed(), [("same data".to_owned(), Inconclusive)]);
}

#[tokio::test(start_paused = true)]
async fn all_members_are_found_through_one() {
    let trial = members(["", "", ""]);
    let input = json!({ "endpoints": [url(2)], "all_members": true });
    let found = trial.run("etcd.compare_members", input).await.unwrap();
    assert_eq!((trial.not_passed(), &found["compared_members"]), (vec![], &json!(3)));
    let trial = members(["", "", ""]);
    let input = json!({ "endpoints": [url(2), url(2)] });
    trial.run("etcd.compare_members", input).await.unwrap();
    let note = trial.checks()["every member"].note.clone().unwrap();
    assert!(note.contains("n1: was not asked") && note.contains("n3: was not asked"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_one_is_compared_with_its_backup_only() {
    let one = |more: &str| {
        let member = format!(
            "    \"{}\": {{ name: n1, file: files/cluster-state.snapshot.db{more} }}\n",
            url(1)
        );
        let bucket = "[{ name: backups, objects: [{ key: one.db, file: files/cluster-state.snapshot.db, at: 1m }] }]";
        Trial::with_answers(bucket, &format!("answers:\n  etcd:\n{member}"))
    };
    let trial = one("");
    let mut input = json!({ "endpoints": [url(1)] });
    trial.run("etcd.compare_members", input.clone()).await.unwrap();
    assert_eq!(trial.not_passed(), [("same data".to_owned(), Inconclusive)]);
    let trial = one(", learner: false");
    input["object"] = json!({ "bucket": "backups", "key": "one.db" });
    trial.run("etcd.compare_members", input).await.unwrap();
    assert_eq!((trial.not_passed(), trial.checks().len()), (vec![], 5));
}

#[tokio::test(start_paused = true)]
async fn another_cluster_than_the_named_one_fails() {
    let trial = members(["", "", ""]);
    compare(&trial, json!({ "cluster_id": "5" })).await;
    assert_eq!(trial.not_passed(), [("one cluster".to_owned(), Failed)]);
}

#[tokio::test(start_paused = true)]
async fn an_estate_without_that_etcd_has_no_answer() {
    let trial = members(["", "", ""]);
    let input = json!({ "endpoints": ["http://10.9.9.9:2379"] });
    let error = trial.run("etcd.compare_members", input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotRehearsed);
    for wrong in [
        json!({ "endpoints": ["10.0.0.1:2379"] }),
        json!({ "endpoints": ["https://10.0.0.1:2379"] }),
    ] {
        let error = trial.run("etcd.compare_members", wrong).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken);
    }
}

async fn take(trial: &Trial, member: usize) -> Result<Value, crate::action::StepError> {
    let input = json!({ "endpoint": url(member), "object": { "bucket": "uploads-dr" } });
    trial.run("etcd.take_snapshot", input).await
}

/// As [`members`], with a bucket in which the guard of trials lets canaries be written.
fn with_place(first: &str) -> Trial {
    let file = "file: files/cluster-of-three.snapshot.db";
    let answers =
        format!("answers:\n  etcd:\n    \"{}\": {{ name: n1, {file}, {first} }}\n", url(1));
    Trial::with_answers("[{ name: uploads-dr, versioning: enabled }]", &answers)
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_taken_stored_verified_and_removed_at_the_end() {
    let trial = with_place("");
    let found = take(&trial, 1).await.unwrap();
    assert_eq!((trial.not_passed(), trial.checks().len()), (vec![], 5));
    assert_eq!((&found["hash_kv"], &found["revision"]), (&json!(3_924_699_373_u32), &json!(9)));
    assert_eq!(
        (&found["size"], &found["hash"]),
        (&json!(20_512), &json!(format!("{:x}", 2_928_398_503_u32)))
    );
    let key = found["key"].as_str().unwrap();
    assert!(key.starts_with("redrill-canary/redrill-uploads-0001-3fa9-"), "{key}");
    // What was stored is the same, with its time: a recovery point for who verifies it.
    let input = json!({ "object": { "bucket": "uploads-dr", "key": key } });
    let verified = trial.run("etcd.verify_snapshot", input).await.unwrap();
    assert_eq!((&verified["size"], &verified["revision"]), (&found["size"], &found["revision"]));
    assert_eq!(
        trial.recovery_point().unwrap().identity,
        format!("s3://uploads-dr/{key}?versionId={}", found["version_id"].as_str().unwrap())
    );
    let [intended] = &trial.intended()[..] else { panic!("{:?}", trial.intended()) };
    assert_eq!(intended.name, format!("uploads-dr/{key}"));
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_breaks_off_or_is_changed_on_the_way_is_stored_nowhere() {
    let torn = with_place("breaks_off_at: 9KiB");
    let error = take(&torn, 1).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient);
    assert!(error.to_string().contains("broke off"), "{error}");
    let garbled = with_place("garbles: true");
    let error = take(&garbled, 1).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert!(garbled.not_passed().contains(&("trailing SHA-256".to_owned(), Failed)));
    let learner = with_place("learner: true");
    assert_eq!(take(&learner, 1).await.unwrap_err().class(), FailureClass::Broken);
    for trial in [torn, garbled, learner] {
        assert_eq!(trial.intended(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_snapshot_that_is_not_proven_is_inconclusive_and_stored_nowhere() {
    // A key's lease is stored nowhere: nothing is damaged, and whether something is lost is not known.
    let orphaned = Snapshot::with_entries(&[tiny::put(2), tiny::leased(b'b', 3, 7)]).sealed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orphaned.db");
    std::fs::write(&path, orphaned).unwrap();
    let member = format!("file: {}", path.display());
    let answers = format!("answers:\n  etcd:\n    \"{}\": {{ name: n1, {member} }}\n", url(1));
    let trial = Trial::with_answers("[{ name: uploads-dr, versioning: enabled }]", &answers);
    let error = take(&trial, 1).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken, "{error}");
    assert!(error.to_string().contains("not proven to be sound, and was not stored"), "{error}");
    assert!(
        trial.findings().contains(&"etcd.snapshot_unproven".to_owned()),
        "{:?}",
        trial.findings()
    );
    assert!(trial.checks().values().all(|check| check.outcome != Failed), "{:?}", trial.checks());
    assert_eq!(trial.intended(), []);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_s3_does_not_take_is_refused_before_it_is_read() {
    let large = with_place("database_size: 5GiB");
    let error = take(&large, 1).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(error.to_string().contains("one call to S3 writes 5 GiB at most"), "{error}");
    assert_eq!((large.intended(), large.checks().len()), (vec![], 0));
    // With the SHA-256 behind it, it has 5 GiB.
    let fits = with_place(&format!("database_size: {}", (5_u64 << 30) - 32));
    take(&fits, 1).await.unwrap();
    assert_eq!(fits.not_passed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_stores_its_own_snapshot_and_the_first_one_goes_with_it() {
    let trial = with_place("");
    let first = take(&trial, 1).await.unwrap();
    let second = take(&trial, 1).await.unwrap();
    assert_eq!(first["key"], second["key"]);
    assert_ne!(first["version_id"], second["version_id"]);
    assert_eq!(trial.intended().len(), 1);
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn the_guard_lets_no_snapshot_be_written_where_it_names_no_place() {
    let trial = with_place("");
    let input =
        json!({ "endpoint": url(1), "object": { "bucket": "uploads-dr", "prefix": "data/" } });
    let error = trial.run("etcd.take_snapshot", input).await.unwrap_err();
    assert!(error.to_string().contains("guard"), "{error}");
    assert_eq!(error.class(), FailureClass::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_writes_no_file() {
    let trial = with_place("");
    let input = json!({ "endpoint": url(1), "file": "snapshot.db" });
    let error = trial.run("etcd.take_snapshot", input).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotRehearsed);
}
