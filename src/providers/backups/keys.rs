use crate::action::{Given, Grant, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::journal::Check;
use crate::journal::FailureClass;
use aws_sdk_kms::types::KeyState;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a KMS key can be used at the step's site. An enabled key does not prove that the key policy lets this role
/// use it: only a restore proves that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) enum KeyCondition {
    /// It exists and is enabled.
    Usable,
    /// It does not exist, or is in another state than enabled; the text says which.
    Unusable(String),
    /// It could not be found out; the text says why.
    Unknown(String),
}

impl KeyCondition {
    /// True or false where it is known.
    pub(in crate::providers) fn usable(&self) -> Option<bool> {
        match self {
            Self::Usable => Some(true),
            Self::Unusable(_) => Some(false),
            Self::Unknown(_) => None,
        }
    }
}

/// The condition of some keys (ids or ARNs) at the step's site, each asked for once.
///
/// # Errors
/// Those of `kms:DescribeKey`, except a missing permission (the condition is unknown) and a key that does not exist
/// (it is unusable).
pub(in crate::providers) async fn key_conditions(
    cx: &StepContext,
    keys: BTreeSet<String>,
) -> Result<BTreeMap<String, KeyCondition>, StepError> {
    let client = client!(cx.site()?, aws_sdk_kms);
    let mut conditions = BTreeMap::new();
    for key in keys {
        let request = client.describe_key().key_id(&key);
        let answer = cx.call("kms:DescribeKey", || request.clone().send()).await;
        let condition = match answer {
            Ok(answer) => {
                let state = answer.key_metadata().and_then(|metadata| metadata.key_state());
                condition_of(state)
            }
            Err(error) if error.class() == FailureClass::NotFound => {
                KeyCondition::Unusable("does not exist here".to_owned())
            }
            Err(error) if error.class() == FailureClass::Denied => {
                KeyCondition::Unknown(error.to_string())
            }
            Err(error) => return Err(error),
        };
        conditions.insert(key, condition);
    }
    Ok(conditions)
}

/// A look at a key before the day of a drill.
pub(in crate::providers) async fn key_probe(cx: &StepContext, key: &str) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_kms);
        let request = client.describe_key().key_id(key);
        let answer = cx.call("kms:DescribeKey", || request.clone().send()).await?;
        Ok(condition_of(answer.key_metadata().and_then(|metadata| metadata.key_state())))
    };
    let judge = |condition| match condition {
        KeyCondition::Usable => {
            ProbeVerdict::works("enabled; that its policy allows the restore shows on the day")
        }
        KeyCondition::Unusable(why) => {
            ProbeVerdict::fails(why, "enable the key, or copy the backups with another one")
        }
        KeyCondition::Unknown(why) => ProbeVerdict::Unknown(why),
    };
    Probe::of(format!("KMS key {key}"), &["kms:DescribeKey"], answer.await, judge)
}

/// Adds the keys that a step uses: those of the site's account and region, since an alias does not tell its key, and the one that
/// the input names by an ARN, which may be another account's. Of the ARN of an alias only account and region are its key's
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id>).
pub(in crate::providers) fn on_keys(grant: Grant, given: &Given, input: &str) -> Grant {
    let grant = grant.on("key", "*");
    match given.text(input).filter(|key| key.starts_with("arn:")) {
        None => grant,
        Some(key) => match key.split_once(":alias/") {
            Some((place, _)) => grant.on("key", format!("{place}:key/*")),
            None => grant.on("key", given.pattern(input)),
        },
    }
}

/// Only an enabled key decrypts: <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>.
fn condition_of(state: Option<&KeyState>) -> KeyCondition {
    match state {
        Some(KeyState::Enabled) => KeyCondition::Usable,
        Some(other) => KeyCondition::Unusable(format!("is in the state {}", other.as_str())),
        None => KeyCondition::Unknown("KMS does not say in which state it is".to_owned()),
    }
}

/// The check of a snapshot's key, as far as it is known. None for what is not encrypted: there is no key to look at.
/// `service` is named where it does not say what is needed: `RDS`.
pub(in crate::providers) fn key_check(
    service: &str,
    encrypted: Option<bool>,
    condition: Option<&KeyCondition>,
) -> Option<Check> {
    let (name, expected) = ("encryption key", "enabled here");
    let unknown =
        |what: &str| Some(Check::not_made(name, expected, format!("{service} does not {what}")));
    match (condition, encrypted) {
        (Some(KeyCondition::Usable), _) => Some(Check::made(name, expected, "enabled", true)),
        (Some(KeyCondition::Unusable(why)), _) => Some(Check::made(name, expected, why, false)),
        (Some(KeyCondition::Unknown(why)), _) => Some(Check::not_made(name, expected, why)),
        (None, Some(false)) => None,
        (None, Some(true)) => unknown("name the key of the snapshot"),
        (None, None) => unknown("say whether it is encrypted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enabled_key_is_usable_and_a_silent_answer_is_unknown() {
        assert_eq!(condition_of(Some(&KeyState::Enabled)).usable(), Some(true));
        for state in [KeyState::Disabled, KeyState::PendingDeletion, KeyState::Unavailable] {
            assert_eq!(condition_of(Some(&state)).usable(), Some(false), "{state:?}");
        }
        assert_eq!(condition_of(None).usable(), None);
    }
}
