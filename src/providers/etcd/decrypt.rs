//! A secret of a snapshot that is decrypted with the file of the recovery kit, and what that means.

use super::inventory_judge::unfounded;
use super::source::compute;
use crate::action::{Given, InputProblem, Probe, ProbeVerdict, StepContext, StepError};
use crate::formats::etcd_snapshot::kubernetes::Inventory;
use crate::formats::etcd_snapshot::kubernetes::at_rest::{
    EncryptionConfiguration, SecretProof, prove_secret,
};
use crate::journal::{Check, Finding, Severity};
use crate::limits;
use crate::outside::{OutsideError, Secret, SecretFrom};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What is said when the file cannot be used.
const HELP: &str = "name the file that the API server of the DR site is given with --encryption-provider-config, as it lies in \
                    the recovery kit";
const EXPECTED: &str = "decrypted with a key of the file, to that secret";

/// A secret, and the file whose keys must decrypt it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecryptInput {
    /// The namespace of the secret.
    pub(super) namespace: String,
    /// The name of the secret.
    pub(super) name: String,
    /// The `EncryptionConfiguration` of the recovery kit, on this machine: the file that an API server is given with
    /// `--encryption-provider-config`. Its keys are used in memory only, and never written down.
    #[schemars(extend("format" = SecretFrom::ENCRYPTION_CONFIGURATION))]
    pub(super) encryption_config: String,
}

impl DecryptInput {
    /// How the check is called.
    pub(super) fn check(&self) -> String {
        format!("secret {}/{} decrypts", self.namespace, self.name)
    }

    /// Reads the file. From then on its keys are known as secrets.
    ///
    /// # Errors
    /// When there is none, or an API server would refuse it: then nothing can be said of the snapshot.
    pub(super) fn read(&self, context: &StepContext) -> Result<EncryptionConfiguration, StepError> {
        let path = &self.encryption_config;
        let bytes = context.outside.file(path, limits::ENCRYPTION_CONFIG_BYTES)?;
        let read = configuration(bytes).map_err(|why| {
            StepError::broken(format!("decrypt: {path} is no encryption configuration: {why}"))
        });
        let configuration = read.map_err(|error| error.help(HELP))?;
        for text in configuration.key_texts() {
            context.outside.secrets().learn(&Secret::new(text.as_str()));
        }
        Ok(configuration)
    }
}

fn configuration(bytes: Vec<u8>) -> Result<EncryptionConfiguration, String> {
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    EncryptionConfiguration::read(text).map_err(|fault| fault.to_string())
}

/// What is wrong with the input.
pub(super) fn problems(given: &Given) -> Vec<InputProblem> {
    let fields = ["namespace", "name", "encryption_config"];
    fields
        .iter()
        .flat_map(|field| InputProblem::empty(given, &format!("decrypt.{field}")))
        .collect()
}

/// Whether the file can be read, before the day of a drill.
pub(super) fn probe(context: &StepContext, path: &str) -> Probe {
    let verdict = match context.outside.file(path, limits::ENCRYPTION_CONFIG_BYTES) {
        Ok(bytes) => match configuration(bytes) {
            Ok(read) => ProbeVerdict::works(format!("there, {} keys", read.key_names().len())),
            Err(why) => {
                ProbeVerdict::fails(format!("it is no encryption configuration: {why}"), HELP)
            }
        },
        Err(error @ OutsideError::NotRehearsed(_)) => ProbeVerdict::Unknown(error.to_string()),
        Err(error) => ProbeVerdict::fails(error.to_string(), HELP),
    };
    Probe::new(format!("encryption configuration {path}"), verdict)
}

/// Decrypts the secret, and writes down what came of it.
///
/// # Errors
/// When the snapshot cannot be read.
pub(super) async fn prove(
    context: &StepContext,
    asked: DecryptInput,
    file: EncryptionConfiguration,
    (content, length): (Arc<File>, u64),
    inventory: &Inventory,
) -> Result<(), StepError> {
    let name = asked.check();
    let DecryptInput { namespace, name: secret, .. } = asked;
    let proven = move || prove_secret(&*content, length, &namespace, &secret, &file);
    let proof = compute(context, proven).await?;
    let (check, finding) = match proof {
        Ok(proof) => judged(&name, &proof, inventory.objects),
        Err(damaged) => (Check::not_made(name, EXPECTED, damaged.to_string()), None),
    };
    context.check(check).await?;
    if let Some(finding) = finding {
        context.finding(finding).await?;
    }
    Ok(())
}

/// A check of this name, and a finding where a restore would not bring the secret back. A snapshot without objects of Kubernetes
/// proves nothing.
fn judged(name: &str, proof: &SecretProof, objects: u64) -> (Check, Option<Finding>) {
    if objects == 0 {
        return (unfounded(Check::not_made(name, EXPECTED, "")), None);
    }
    let observed = proof.to_string();
    match proof.is_readable() {
        None => (Check::not_made(name, EXPECTED, observed), None),
        Some(true) => (Check::made(name, EXPECTED, observed, true).over(1), None),
        Some(false) => {
            let is_there = *proof != SecretProof::Missing;
            let finding = is_there.then(|| lost(format!("{name}: no: {observed}")));
            (Check::made(name, EXPECTED, observed, false), finding)
        }
    }
}

fn lost(what: String) -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "etcd.secret_not_decrypted".to_owned(),
        what,
        why: "an API server that is given this file cannot read the secret from this snapshot: after a restore it is lost, and \
              secrets cannot be listed"
            .to_owned(),
        action: "put the encryption configuration that the cluster uses into the recovery kit each time it changes, with every \
                 key that still encrypts something, and decrypt a secret with it"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::etcd_snapshot::kubernetes::at_rest::Mismatch;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};

    /// The outcome, the words, and whether there is a finding.
    fn said(proof: &SecretProof) -> (Outcome, String, bool) {
        let (check, finding) = judged("secret payments/api decrypts", proof, 7);
        let words = format!("{} {}", check.observed, check.note.unwrap_or_default());
        (check.outcome, words, finding.is_some())
    }

    #[test]
    fn only_a_secret_that_was_decrypted_and_is_the_one_passes() {
        let key = || "aescbc:v1:key1".to_owned();
        for (proof, outcome, words, is_lost) in [
            (SecretProof::Decrypted { key: key() }, Passed, "with aescbc:v1:key1", false),
            (SecretProof::NotEncrypted { is_read: true }, Inconclusive, "no key was tried", false),
            (
                SecretProof::CiphertextOnly { service: "kms:v2:vault".to_owned() },
                Inconclusive,
                "ciphertext only: kms:v2:vault",
                false,
            ),
            (SecretProof::NotCompared { key: key() }, Inconclusive, "CBOR", false),
            (SecretProof::Missing, Failed, "no such secret", false),
            (SecretProof::NotEncrypted { is_read: false }, Failed, "no identity provider", true),
            (
                SecretProof::NoKey { key: key(), known: vec!["secretbox:v1:key2".to_owned()] },
                Failed,
                "with aescbc:v1:key1; the file has secretbox:v1:key2",
                true,
            ),
            (
                SecretProof::Refused { key: key() },
                Failed,
                "aescbc:v1:key1 of the file does not decrypt it",
                true,
            ),
            (
                SecretProof::Other { key: key(), mismatch: Mismatch::Name },
                Failed,
                "a secret of another name",
                true,
            ),
        ] {
            let (found, text, finding) = said(&proof);
            assert_eq!((found, finding), (outcome, is_lost), "{proof:?}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_snapshot_without_objects_proves_nothing_of_its_secrets() {
        let key = "aescbc:v1:key1".to_owned();
        for proof in [SecretProof::Missing, SecretProof::Decrypted { key }] {
            let (check, finding) = judged("secret payments/api decrypts", &proof, 0);
            assert_eq!((check.outcome, finding), (Inconclusive, None), "{proof:?}");
        }
    }
}
