//! `etcd.inventory` against the sandbox and against files.

use crate::journal::{FailureClass, Outcome::*};
use crate::providers::trial::Trial;
use serde_json::{Value, json};

const BUCKET: &str = "[{ name: backups, versioning: enabled, objects: [
    { key: good.db, file: files/cluster-state.snapshot.db, at: 3h },
    { key: flipped.db, file: files/cluster-state.flipped.db, at: 3h },
    { key: text.db, text: not a snapshot }, { key: empty.db, text: '' } ] }]";

fn trial() -> Trial {
    Trial::with_answers(&BUCKET.replace('\n', " "), "")
}

async fn counted(trial: &Trial, key: &str, with: Value) -> Result<Value, crate::action::StepError> {
    let mut input = json!({ "object": { "bucket": "backups", "key": key } });
    input.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    trial.run("etcd.inventory", input).await
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_counted_by_resource_group_and_namespace() {
    let trial = trial();
    let wanted = json!({
        "counts": [
            { "resource": "pods", "expect": "= 9" },
            { "resource": "pods", "namespace": "payments", "expect": ">= 3" },
        ],
        "exist": [
            { "resource": "deployments", "namespace": "payments", "name": "api" },
            { "resource": "nodes", "name": "node-a" },
            { "resource": "services", "namespace": "orders", "name": "web" },
        ],
        "secrets_encrypted": true,
        "recovery_kit": ["key1"],
    });
    let found = counted(&trial, "good.db", wanted).await.unwrap();
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 10);
    assert_eq!((&found["revision"], &found["objects"]), (&json!(37), &json!(27)));
    assert_eq!(
        (&found["resources"]["pods"], &found["resources"]["configmaps"]),
        (&json!(9), &json!(2))
    );
    assert_eq!(found["namespaces"]["payments"], 7);
    assert_eq!(found["groups"]["built-in"], 27);
    assert_eq!((&found["secrets"], &found["plain_secrets"]), (&json!(3), &json!(0)));
    assert_eq!(found["encryption_keys"], json!({ "aescbc:v1:key1": 3 }));
    assert_eq!(found["bootstrap"], false);
    assert_eq!(trial.findings(), [] as [&str; 0]);
}

/// A recovery kit with this token.
fn kit(token: &str) -> Trial {
    let answers = json!({ "files": { "token": token } });
    Trial::with_answers(&BUCKET.replace('\n', " "), &format!("answers: {answers}\n"))
}

#[tokio::test(start_paused = true)]
async fn a_server_of_k3s_starts_from_no_snapshot_without_bootstrap_data() {
    let trial = kit("K10ab::server:swordfish-of-the-kit\n");
    let wanted = json!({ "platform": "k3s", "server_token": "token" });
    let found = counted(&trial, "good.db", wanted).await.unwrap();
    let red = [("bootstrap data", Failed), ("server token", Inconclusive)];
    assert_eq!(trial.not_passed(), red.map(|(name, outcome)| (name.to_owned(), outcome)));
    assert!(trial.findings().contains(&"etcd.no_bootstrap_data".to_owned()));
    let written = format!("{found} {}", serde_json::to_string(&trial.events()).unwrap());
    assert!(!written.contains("swordfish"), "{written}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_read_is_an_error_of_the_tool() {
    for token in ["K10ab", "one\ntwo"] {
        let error = counted(&kit(token), "good.db", json!({ "server_token": "token" })).await;
        let error = error.unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken);
        assert!(error.to_string().contains("token is no server token"), "{error}");
        assert!(!error.to_string().contains(token), "{error}");
    }
    let error = counted(&trial(), "good.db", json!({ "server_token": "token" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotRehearsed);
}

#[tokio::test(start_paused = true)]
async fn a_server_token_above_the_limit_is_refused() {
    let long = "x".repeat(usize::try_from(crate::limits::SERVER_TOKEN_BYTES).unwrap() + 1);
    let error = counted(&kit(&long), "good.db", json!({ "server_token": "token" })).await;
    let error = error.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(error.to_string().contains("larger than"), "{error}");
    let probe = super::bootstrap::probe(&kit(&long).context, "token");
    assert!(matches!(probe.verdict, crate::action::ProbeVerdict::Fails { .. }), "{probe:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_turns_its_check_red() {
    let trial = trial();
    let wanted = json!({
        "counts": [{ "resource": "pods", "expect": ">= 10" }],
        "exist": [{ "resource": "configmaps", "namespace": "orders", "name": "worker" }],
        "recovery_kit": ["key2"],
    });
    counted(&trial, "good.db", wanted).await.unwrap();
    let red = [
        ("configmaps orders/worker exists", Failed),
        ("encryption keys in the recovery kit", Failed),
        ("pods", Failed),
    ];
    assert_eq!(trial.not_passed(), red.map(|(name, outcome)| (name.to_owned(), outcome)));
    assert_eq!(trial.findings(), ["etcd.encryption_key_not_in_kit"]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_not_counted() {
    for key in ["flipped.db", "text.db", "empty.db"] {
        let trial = trial();
        let error = counted(&trial, key, json!({})).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Recovery, "{key}");
        assert_eq!(trial.checks().len(), 1, "{key}");
        assert_eq!(trial.checks()["sound snapshot"].outcome, Failed, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_baseline_is_read_and_one_that_is_none_is_an_error_of_the_tool() {
    use crate::formats::etcd_snapshot::kubernetes::{KeptInventory, take_inventory};
    let bytes = include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");
    let mut before = take_inventory(&bytes[..], bytes.len() as u64, &[]).unwrap().unwrap();
    before.revision -= 1;
    let same = serde_json::to_string(&KeptInventory::new(before.clone(), Vec::new())).unwrap();
    let pods = before.resources.iter_mut().find(|one| one.resource == "pods").unwrap();
    pods.objects += 1;
    *pods.namespaces.get_mut("payments").unwrap() += 1;
    let more = serde_json::to_string(&KeptInventory::new(before, Vec::new())).unwrap();
    let answers = json!({ "files": { "same.json": same, "more.json": more, "other.json": "{}" } });
    let trial =
        || Trial::with_answers(&BUCKET.replace('\n', " "), &format!("answers: {answers}\n"));
    let against = |file: &str| json!({ "baseline": { "file": file } });
    let good = trial();
    counted(&good, "good.db", against("same.json")).await.unwrap();
    assert_eq!(good.checks()["baseline"].outcome, Passed);
    let fewer = trial();
    counted(&fewer, "good.db", against("more.json")).await.unwrap();
    assert_eq!(fewer.checks()["baseline"].outcome, Failed);
    assert_eq!(fewer.findings()[0], "etcd.differs_from_baseline");
    let tolerated = trial();
    let with =
        json!({ "baseline": { "file": "more.json", "resources": { "pods": { "objects": 1 } } } });
    counted(&tolerated, "good.db", with).await.unwrap();
    assert_eq!(tolerated.checks()["baseline"].outcome, Passed);
    for (file, class) in
        [("other.json", FailureClass::Broken), ("absent.json", FailureClass::NotRehearsed)]
    {
        let error = counted(&trial(), "good.db", against(file)).await.unwrap_err();
        assert_eq!(error.class(), class, "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_eks_it_never_passes() {
    let trial = trial();
    let error = trial.run("etcd.inventory", json!({ "platform": "eks" })).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(trial.findings(), ["etcd.no_snapshot_on_eks"]);
}
