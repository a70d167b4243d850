//! The simulated STS: who one is, and sessions in other accounts.

use super::services::{Call, TOKEN, denied, token_session, unknown_action};
use super::state::later;
use super::wire::{AwsError, Params, Service, Xml, timestamp};
use crate::partition::Partition;
use std::time::Duration;

/// Answers a call to STS.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    match call.action() {
        "GetCallerIdentity" => Ok(caller_identity(&call)),
        "AssumeRole" => assume_role(call),
        other => Err(unknown_action(other)),
    }
}

fn caller_identity(call: &Call<'_>) -> Xml {
    let (account, partition) = (&call.place.account, Partition::of(&call.place.region).name);
    let session = token_session(call.asked.token.as_deref());
    let (arn, id) = match session {
        Some((role, session)) => (
            format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}"),
            format!("{}:{session}", role_id(call, account, role)),
        ),
        None => (format!("arn:{partition}:iam::{account}:user/sandbox"), "AIDASANDBOX".to_owned()),
    };
    let mut x = Xml::new();
    x.text("Arn", arn).text("UserId", id).text("Account", account);
    x
}

fn role_id(call: &Call<'_>, account: &str, role: &str) -> String {
    let digits = call.state.digits(&format!("role/{account}/{role}"), 17);
    format!("AROA{}", digits.to_uppercase())
}

fn assume_role(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let arn = params.need("RoleArn")?;
    let session = params.need("RoleSessionName")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&session.len()) || !session.chars().all(fits) {
        let what = format!(
            "1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint"
        );
        return Err(AwsError::new(400, "ValidationError", what));
    }
    let seconds = params.number::<u64>("DurationSeconds")?.unwrap_or(3600);
    if !(900..=43_200).contains(&seconds) {
        let what =
            "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint";
        return Err(AwsError::new(400, "ValidationError", what));
    }
    let refused = |why: &str| {
        let what = format!("User is not authorized to perform: sts:AssumeRole on resource: {arn}");
        denied(Service::Sts, &format!("{what}{why}"))
    };
    let (account, role) = read_role(arn).ok_or_else(|| refused(""))?;
    if !call.state.estate.knows_role(account, role) {
        return Err(refused(&match call.state.estate.has_account(account) {
            true => format!(
                " (in the estate, the account {account} has no role {role}; accounts: … roles: lists them)"
            ),
            false => format!(" (the estate has no account {account})"),
        }));
    }
    let end = later(call.now, Duration::from_secs(seconds));
    let mut x = Xml::new();
    x.nest("Credentials", |x| {
        x.text("AccessKeyId", format!("SANDBOX{account}"))
            .text("SecretAccessKey", "sandbox")
            .text("SessionToken", format!("{TOKEN}{role}/{session}/{}", end.timestamp()))
            .text("Expiration", timestamp(end));
    });
    x.nest("AssumedRoleUser", |x| {
        x.text("AssumedRoleId", format!("{}:{session}", role_id(&call, account, role)))
            .text("Arn", format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"));
    });
    Ok(x)
}

/// The account whose endpoint a call needs: to assume a role, that of the role.
pub(crate) fn account_of(action: &str, params: &Params) -> Option<String> {
    let role = params.get("RoleArn").filter(|_| action == "AssumeRole")?;
    read_role(role).map(|(account, _)| account.to_owned())
}

/// The account and the name of a role's ARN.
pub(super) fn read_role(arn: &str) -> Option<(&str, &str)> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
    Partition::named(partition)?;
    let (account, path) = rest.strip_prefix("iam::")?.split_once(":role/")?;
    Some((account, path.rsplit('/').next()?))
}
