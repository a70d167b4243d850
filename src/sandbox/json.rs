//! The simulated KMS and Secrets Manager.

use super::services::{Call, denied, unknown_action};
use super::state::{PlaceKey, uuid};
use super::wire::{AwsError, Service};
use serde_json::{Value, json};

/// Answers a call to KMS or Secrets Manager.
pub(crate) fn answer(service: Service, call: Call<'_>) -> Result<Value, AwsError> {
    match (service, call.action()) {
        (Service::Kms, "DescribeKey") => describe_key(&call),
        (Service::SecretsManager, "GetSecretValue") => secret_value(&call),
        (_, other) => Err(unknown_action(other)),
    }
}

fn need<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str, AwsError> {
    call.asked
        .json
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| AwsError::new(400, "ValidationException", format!("{name} is missing.")))
}

fn describe_key(call: &Call<'_>) -> Result<Value, AwsError> {
    let name = need(call, "KeyId")?;
    let owner = owner_of(name, &call.place);
    if owner != call.place && !call.state.shares_key(&owner, name, &call.place.account) {
        let what =
            format!("The caller is not authorized to perform: kms:DescribeKey on resource: {name}");
        return Err(denied(Service::Kms, &what));
    }
    let Some(key) = call.state.find_key(&owner, name) else {
        let what = match name.contains("alias/") {
            true => format!("Alias {name} is not found."),
            false => {
                format!("Key '{}' does not exist", call.place.arn("kms", &format!("key/{name}")))
            }
        };
        return Err(AwsError::new(400, "NotFoundException", what));
    };
    if key.denied {
        let what = format!(
            "The caller is not authorized to perform: kms:DescribeKey on resource: {}",
            key.arn
        );
        return Err(denied(Service::Kms, &what));
    }
    let manager = if key.managed_by_aws { "AWS" } else { "CUSTOMER" };
    let created = call.state.estate.now.timestamp() - 400 * 86_400;
    Ok(json!({ "KeyMetadata": {
        "AWSAccountId": owner.account,
        "KeyId": key.id(),
        "Arn": key.arn,
        "CreationDate": created,
        "Enabled": key.state == super::estate::KmsKeyState::Enabled,
        "Description": "",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.state.wire(),
        "Origin": "AWS_KMS",
        "KeyManager": manager,
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    } }))
}

/// Where a key belongs: its ARN may name another account.
fn owner_of(name: &str, here: &PlaceKey) -> PlaceKey {
    let mut parts = name.splitn(6, ':');
    let named = (parts.next() == Some("arn"))
        .then(|| Some((parts.nth(2)?, parts.next()?)))
        .flatten()
        .filter(|(region, account)| *region == here.region && *account != here.account);
    named.map_or_else(|| here.clone(), |(region, account)| PlaceKey::new(account, region))
}

fn secret_value(call: &Call<'_>) -> Result<Value, AwsError> {
    let name = need(call, "SecretId")?;
    let arn_of = |secret: &str| {
        let code = call.state.digits(&format!("secret/{}/{secret}", call.place.region), 6);
        call.place.arn("secretsmanager", &format!("secret:{secret}-{code}"))
    };
    let spec = call.state.places.get(&call.place).and_then(|p| p.spec.as_ref());
    let found =
        spec.and_then(|s| s.secrets.iter().find(|s| s.name == name || arn_of(&s.name) == name));
    let missing = || {
        let what = "Secrets Manager can't find the specified secret.";
        AwsError::new(400, "ResourceNotFoundException", what)
    };
    let secret = found.ok_or_else(missing)?;
    if secret.denied {
        let what = "The caller is not authorized to perform: secretsmanager:GetSecretValue";
        return Err(denied(Service::SecretsManager, what));
    }
    if let Some(key) = &secret.kms_key
        && !call.state.find_key(&call.place, key).is_some_and(|k| k.usable())
    {
        let what =
            "Secrets Manager can't decrypt the protected secret text using the provided KMS key.";
        return Err(AwsError::new(400, "DecryptionFailure", what));
    }
    let version = uuid(&call.state.digits(&format!("version/{}", secret.name), 32));
    let stage = call.asked.json.get("VersionStage").and_then(Value::as_str);
    let asked_version = call.asked.json.get("VersionId").and_then(Value::as_str);
    if stage.is_some_and(|s| s != "AWSCURRENT") || asked_version.is_some_and(|v| v != version) {
        return Err(missing());
    }
    let text = match &secret.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(json!({
        "ARN": arn_of(&secret.name),
        "Name": secret.name,
        "VersionId": version,
        "SecretString": text,
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": call.state.estate.now.timestamp() - 400 * 86_400,
    }))
}
