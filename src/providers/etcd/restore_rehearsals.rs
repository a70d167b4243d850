//! `etcd.restore` against the sandbox: no etcd is started.

use crate::action::{Found, StepError};
use crate::formats::etcd_snapshot::tiny_writer::{self as tiny, Snapshot};
use crate::journal::{Event, FailureClass, Outcome::*};
use crate::providers::trial::Trial;
use serde_json::{Value, json};

const BUCKET: &str = "[{ name: backups, versioning: enabled, objects: [
    { key: good.db, file: files/cluster-state.snapshot.db, at: 3h },
    { key: flipped.db, file: files/cluster-state.flipped.db, at: 3h } ] }]";

/// A step `probe` whose etcd behaves so.
fn trial(etcd: &str) -> Trial {
    Trial::with_answers(
        &BUCKET.replace('\n', " "),
        &format!("answers: {{ etcd_trials: {{ {etcd} }} }}\n"),
    )
}

async fn restored(trial: &Trial, key: &str, with: Value) -> Result<Value, StepError> {
    let mut input = json!({ "object": { "bucket": "backups", "key": key } });
    input.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    trial.run("etcd.restore", input).await
}

fn folders(trial: &Trial) -> usize {
    trial.world.inventory().keys().filter(|name| name.starts_with("folder ")).count()
}

#[tokio::test(start_paused = true)]
async fn a_good_snapshot_is_restored_compared_timed_and_removed() {
    let trial = trial("probe: { restore_takes: 20s, ready_after: 5s }");
    let with = json!({ "members": 3, "keys": ["/registry/deployments/payments/api"] });
    let found = restored(&trial, "good.db", with).await.unwrap();
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 6);
    assert_eq!(
        (&found["keys"], &found["revision"], &found["members"]),
        (&json!(28), &json!(37), &json!(3))
    );
    assert_eq!((&found["restore_took"], &found["start_took"]), (&json!("20s"), &json!("5s")));
    assert_eq!(found["took"], "25s");
    assert!(found["hash_kv"].is_string());
    assert_eq!(trial.findings(), [] as [&str; 0]);
    assert_eq!((trial.intended().len(), folders(&trial)), (1, 0));
    let released =
        trial.events().into_iter().any(|event| matches!(event, Event::ResourceReleased { .. }));
    assert!(released && trial.find(&trial.intended()[0]).await == Found::Gone);
}

#[tokio::test(start_paused = true)]
async fn what_the_restored_etcd_lacks_turns_its_checks_red() {
    let trial = trial("probe: { loses: 2 }");
    let with = json!({ "keys": ["/registry/configmaps/orders/worker"] });
    restored(&trial, "good.db", with).await.unwrap();
    let red = ["HashKV", "key /registry/configmaps/orders/worker", "keys"];
    assert_eq!(trial.not_passed(), red.map(|name| (name.to_owned(), Failed)));
    assert_eq!(trial.findings(), ["etcd.restored_differs"]);
    assert_eq!(folders(&trial), 0);
}

/// A snapshot with these keys, made at their revisions, whose history is compacted up to a revision.
fn compacted(keys: &[(u8, u8)], up_to: i64) -> tempfile::NamedTempFile {
    let entries: Vec<_> = keys.iter().map(|(name, at)| tiny::change(*name, *at, *at, 1)).collect();
    let key = tiny::inline_bucket(b"key", &entries);
    let snapshot = Snapshot::with_buckets(vec![key, tiny::compacted(up_to, Some(up_to))]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &snapshot.sealed()).unwrap();
    file
}

#[tokio::test(start_paused = true)]
async fn regression_a_snapshot_whose_whole_history_is_compacted_is_compared() {
    // Up to the last change, and up to a deletion of which nothing is left.
    for (keys, up_to) in [(&[(b'a', 2), (b'b', 3)][..], 3), (&[(b'a', 2)], 5)] {
        let trial = trial("probe: { loses: 0 }");
        let file = compacted(keys, up_to);
        let found = trial.run("etcd.restore", json!({ "file": file.path() })).await.unwrap();
        assert_eq!(trial.not_passed(), []);
        assert_eq!((&found["revision"], &found["keys"]), (&json!(up_to), &json!(keys.len())));
        assert!(found["hash_kv"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_not_restored() {
    let trial = trial("probe: {}");
    let error = restored(&trial, "flipped.db", json!({})).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(trial.not_passed(), [("sound snapshot".to_owned(), Failed)]);
    assert_eq!(trial.intended(), []);
}

#[tokio::test(start_paused = true)]
async fn members_that_do_not_answer_fail_and_leave_nothing() {
    for etcd in ["probe: { does_not_start: no }", "probe: { ready_after: 3m }"] {
        let trial = trial(etcd);
        let error = restored(&trial, "good.db", json!({})).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Recovery, "{etcd}");
        assert_eq!(trial.not_passed(), [("members answer".to_owned(), Failed)]);
        assert_eq!(trial.findings(), ["etcd.snapshot_not_restorable"]);
        assert_eq!(folders(&trial), 0, "{etcd}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_member_of_another_version_that_does_not_start_is_inconclusive() {
    for version in ["3.4.23", "3.6.4"] {
        let trial = trial(&format!("probe: {{ does_not_start: no, version: {version} }}"));
        let error = restored(&trial, "good.db", json!({})).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken, "{version}");
        let both = format!("of etcd {version}, the snapshot of cluster version 3.5.0");
        assert!(error.to_string().contains(&both), "{error}");
        assert!(error.into_failure().help.is_some_and(|help| help.contains("programs:")));
        assert_eq!(trial.not_passed(), [("members answer".to_owned(), Inconclusive)]);
        assert_eq!((trial.findings(), folders(&trial)), (vec!["etcd.other_version".to_owned()], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn regression_an_etcd_that_cannot_be_asked_says_nothing_of_the_snapshot() {
    let trial = trial("probe: { breaks: the restored etcd asks for a password }");
    let error = restored(&trial, "good.db", json!({})).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(error.to_string().contains("asks for a password"), "{error}");
    assert_eq!(trial.not_passed(), [("members answer".to_owned(), Inconclusive)]);
    assert_eq!((trial.findings().len(), folders(&trial)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_programs_or_answers_nothing_is_said_of_the_snapshot() {
    for (etcd, class) in [
        ("probe: { missing: true }", FailureClass::Broken),
        ("probe: { refuses: no space left on device }", FailureClass::Broken),
        ("", FailureClass::NotRehearsed),
    ] {
        let trial = trial(etcd);
        let error = restored(&trial, "good.db", json!({})).await.unwrap_err();
        assert_eq!(error.class(), class, "{etcd}");
        assert!(trial.checks().values().all(|check| check.outcome != Failed), "{etcd}");
        assert_eq!((trial.findings().len(), folders(&trial)), (0, 0), "{etcd}");
        let help = error.into_failure().help;
        assert_eq!(help.is_some_and(|help| help.contains("etcd-server")), etcd.contains("missing"));
    }
}

#[tokio::test(start_paused = true)]
async fn programs_that_cannot_move_the_revision_forward_are_a_finding() {
    let trial = trial("probe: { bump_revision: false, version: 3.4.23 }");
    let found = restored(&trial, "good.db", json!({})).await.unwrap();
    assert_eq!(trial.findings(), ["etcd.other_version", "etcd.no_bump_revision"]);
    assert_eq!(
        (&found["etcd_version"], &found["knows_bump_revision"]),
        (&json!("3.4.23"), &json!(false))
    );
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_moves_the_revision_forward_is_compared_with_what_it_leaves() {
    let trial = trial("probe: { version: 3.5.21 }");
    let with = json!({
        "members": 3, "bump_revision": 1_000_000_000, "keys": ["/registry/deployments/payments/api"],
    });
    let found = restored(&trial, "good.db", with).await.unwrap();
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 8);
    assert_eq!((&found["revision"], &found["moved_to"]), (&json!(37), &json!(1_000_000_037)));
    assert_eq!((&found["keys"], trial.findings().len()), (&json!(28), 0));
    let as_it_is = restored(&usual(), "good.db", json!({})).await.unwrap();
    assert!(found["hash_kv"].is_string() && found["hash_kv"] != as_it_is["hash_kv"]);
    assert_eq!(as_it_is["moved_to"], Value::Null);
}

fn usual() -> Trial {
    trial("probe: {}")
}

#[tokio::test(start_paused = true)]
async fn programs_that_move_it_wrongly_or_lose_keys_turn_their_checks_red() {
    let wrong = |name: &str| (name.to_owned(), Failed);
    let hash = ("HashKV".to_owned(), Inconclusive);
    for (etcd, red) in [
        ("bumps_by: 10", vec![hash.clone(), wrong("history compacted"), wrong("moved forward")]),
        ("bumps_by: 5000", vec![hash.clone(), wrong("history compacted"), wrong("moved forward")]),
        ("marks_nothing: true", vec![hash, wrong("history compacted")]),
        ("loses: 2", vec![wrong("HashKV"), wrong("keys")]),
    ] {
        let trial = trial(&format!("probe: {{ {etcd} }}"));
        restored(&trial, "good.db", json!({ "bump_revision": 1000 })).await.unwrap();
        assert_eq!(trial.not_passed(), red, "{etcd}");
    }
}

#[tokio::test(start_paused = true)]
async fn programs_that_cannot_move_it_restore_the_snapshot_as_it_is_and_prove_no_more() {
    let trial = trial("probe: { bump_revision: false, version: 3.5.1 }");
    let found = restored(&trial, "good.db", json!({ "bump_revision": 1000 })).await.unwrap();
    let unproven = ["history compacted", "moved forward"];
    assert_eq!(trial.not_passed(), unproven.map(|name| (name.to_owned(), Inconclusive)));
    let words = "etcdutl beside etcd 3.5.1 does not know --bump-revision and --mark-compacted";
    let check = trial.checks()["moved forward"].clone();
    assert!(format!("{} {:?}", check.observed, check.note).contains(words), "{check:?}");
    assert_eq!(trial.findings(), ["etcd.no_bump_revision"]);
    assert_eq!((&found["keys"], &found["moved_to"]), (&json!(28), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_was_given_up_is_found_and_removed_by_its_ledger() {
    let trial = trial("probe: { restore_takes: 1h }");
    let given_up = restored(&trial, "good.db", json!({}));
    let given_up = tokio::time::timeout(std::time::Duration::from_secs(600), given_up).await;
    assert!(given_up.is_err());
    assert_eq!(folders(&trial), 1);
    trial.release().await;
    assert_eq!(folders(&trial), 0);
}

#[tokio::test(start_paused = true)]
async fn on_eks_it_never_passes() {
    let trial = trial("");
    let error = trial.run("etcd.restore", json!({ "platform": "eks" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(trial.findings(), ["etcd.no_snapshot_on_eks"]);
}
