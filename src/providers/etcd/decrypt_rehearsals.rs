//! `etcd.inventory` with a secret that must be decrypted, against the sandbox.

use crate::action::ProbeVerdict;
use crate::journal::{FailureClass, Outcome, Outcome::*};
use crate::outside::Concealing;
use crate::providers::trial::Trial;
use serde_json::{Value, json};
use std::sync::Arc;

const BUCKET: &str = "[{ name: backups, versioning: enabled, objects: [\
    { key: encrypted.db, file: files/encrypted-secrets.snapshot.db, at: 3h }, \
    { key: other.db, file: files/cluster-state.snapshot.db, at: 3h } ] }]";
const KIT: &str = include_str!("../../../scenarios/estates/files/encryption-config.yaml");
/// The key in it, and what is encrypted: `vectors.py` says how.
const KEY: &str = "lh8g11lV52GeSObBX2XQABIRCwdQilf8M8DyOt6YGPA=";
const VALUE: &str = "swordfish-of-the-vectors";

/// A recovery kit with this file.
fn kit(file: &str) -> Trial {
    let answers = json!({ "files": { "encryption.yaml": file } });
    Trial::with_answers(BUCKET, &format!("answers: {answers}\n"))
}

async fn decrypt(trial: &Trial, name: &str) -> Result<Value, crate::action::StepError> {
    let decrypt =
        json!({ "namespace": "payments", "name": name, "encryption_config": "encryption.yaml" });
    let object = json!({ "bucket": "backups", "key": "encrypted.db" });
    trial.run("etcd.inventory", json!({ "object": object, "decrypt": decrypt })).await
}

/// The outcome, what was observed, and the findings.
async fn judged(file: &str, name: &str) -> (Outcome, String, Vec<String>) {
    let trial = kit(file);
    decrypt(&trial, name).await.unwrap();
    let check = trial.checks()[&format!("secret payments/{name} decrypts")].clone();
    let lost = |code: &String| code == "etcd.secret_not_decrypted";
    let words = format!("{} {}", check.observed, check.note.unwrap_or_default());
    (check.outcome, words, trial.findings().into_iter().filter(lost).collect())
}

#[tokio::test(start_paused = true)]
async fn with_the_recovery_kit_each_provider_s_secret_is_decrypted() {
    for name in ["aescbc", "aesgcm", "secretbox"] {
        let (outcome, words, findings) = judged(KIT, name).await;
        assert_eq!((outcome, findings.len()), (Passed, 0), "{name}: {words}");
        assert!(words.contains(&format!("decrypted with {name}:v1:key1")), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_kit_cannot_decrypt_fails_and_is_a_finding() {
    let wrong = KIT.replace(KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let renamed = KIT.replace("key1", "key2");
    for (file, name, words) in [
        (wrong.as_str(), "aesgcm", "aesgcm:v1:key1 of the file does not decrypt it"),
        (&wrong, "secretbox", "secretbox:v1:key1 of the file does not decrypt it"),
        (&renamed, "aescbc", "it is encrypted with aescbc:v1:key1; the file has aescbc:v1:key2"),
        (KIT, "damaged", "aesgcm:v1:key1 of the file does not decrypt it"),
        (KIT, "moved", "decrypted with secretbox:v1:key1, it is a secret of another name"),
    ] {
        let (outcome, told, findings) = judged(file, name).await;
        assert_eq!((outcome, findings.len()), (Failed, 1), "{name}: {told}");
        assert!(told.contains(words), "{name}: {told}");
    }
    let (outcome, told, findings) = judged(KIT, "unheard-of").await;
    assert_eq!((outcome, findings.len()), (Failed, 0), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_no_key_of_the_kit_was_tried_on_is_not_proven() {
    for (name, words) in [("kms", "ciphertext only: kms:v2:vault"), ("plain", "no key was tried")] {
        let (outcome, told, findings) = judged(KIT, name).await;
        assert_eq!((outcome, findings.len()), (Inconclusive, 0), "{told}");
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_encryption_configuration_is_an_error_of_the_tool() {
    let broken = KIT.replace(KEY, "c3dvcmRmaXNo");
    for (file, class) in [(broken.as_str(), FailureClass::Broken), ("{}", FailureClass::Broken)] {
        let error = decrypt(&kit(file), "aescbc").await.unwrap_err();
        assert_eq!(error.class(), class);
        assert!(error.to_string().contains("encryption.yaml is no encryption configuration"));
        assert!(!error.to_string().contains("c3dvcmRmaXNo"), "{error}");
    }
    let trial = Trial::with_answers(BUCKET, "");
    let error = decrypt(&trial, "aescbc").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotRehearsed);
}

/// The keys are known as secrets, and neither they nor a value are in anything that is written down.
#[tokio::test(start_paused = true)]
async fn no_key_and_no_value_is_written_down() {
    for name in ["aescbc", "aesgcm", "secretbox", "damaged", "moved", "plain"] {
        let mut trial = kit(KIT);
        // As in a run: this one remembers secrets.
        trial.context.outside = Arc::new(Concealing::new(trial.context.outside.clone()));
        let output = decrypt(&trial, name).await.unwrap();
        let written = format!("{output} {}", serde_json::to_string(&trial.events()).unwrap());
        let plain = "c3dvcmRmaXNoLW9mLXRoZS12ZWN0b3Jz";
        assert!(![KEY, VALUE, plain].iter().any(|word| written.contains(word)), "{written}");
        let concealed = trial.context.outside.secrets().conceal(&format!("the key is {KEY}"));
        assert!(!concealed.contains(KEY), "{concealed}");
    }
}

#[test]
fn whether_the_file_can_be_read_is_seen_before_the_day() {
    for (file, works) in [(KIT, true), ("kind: Secret", false)] {
        let probe = super::decrypt::probe(&kit(file).context, "encryption.yaml");
        assert_eq!(matches!(probe.verdict, ProbeVerdict::Works(_)), works, "{probe:?}");
    }
    let unknown =
        super::decrypt::probe(&Trial::with_answers(BUCKET, "").context, "encryption.yaml");
    assert!(matches!(unknown.verdict, ProbeVerdict::Unknown(_)), "{unknown:?}");
}
