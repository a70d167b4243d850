//! What a step needs of IAM, and what can be looked at before the day of a drill.

use super::credentials::Credentials;
use crate::action::{Given, Grant, Limit, Permission, Probe, ProbeVerdict, StepContext};
use serde_json::Value;

/// On what the credentials of the step, of its source and of further logins use their permissions.
pub(super) fn grants(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let logins = given.known("logins").and_then(Value::as_array).into_iter().flatten();
    let others = given.known("source").into_iter().chain(logins).map(|with| {
        Given::new(&given.scenario, given.step.clone(), given.at.clone(), with.clone())
    });
    let mut all = grants_of(given, permissions);
    all.extend(others.flat_map(|other| grants_of(&other, permissions)));
    all
}

fn grants_of(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    let site = given.site("credentials.at");
    let grant = |action| given.grant_at(site.clone(), permissions, action);
    if given.has("credentials.iam") {
        // The id of the instance is not known before it is there.
        let user = if given.has("user") { "user" } else { "credentials.user" };
        let on = format!("*/{}", given.pattern(user));
        return grant("rds-db:connect").map(|g| g.on("db-user", on)).into_iter().collect();
    }
    if !given.has("credentials.secret") {
        return Vec::new();
    }
    let read = grant("secretsmanager:GetSecretValue")
        .map(|g| g.on("Secret", given.pattern("credentials.secret")));
    let key = grant("kms:Decrypt").map(|g| g.on("key", "*").limited(Limit::Via("secretsmanager")));
    read.into_iter().chain(key).collect()
}

/// Fetches the password, which is neither shown nor kept. The database itself is not there yet.
pub(super) async fn preflight(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let secret = given.text("credentials.secret");
    let what = match secret {
        Some(secret) => format!("secret {secret}"),
        None => "password of the database".to_owned(),
    };
    let credentials = given.known("credentials").cloned();
    let credentials = credentials.filter(|_| !given.comes_later("credentials"));
    if given.has("credentials.iam") {
        let what = "login with a token of IAM";
        return vec![Probe::not_before(what, "a token is for the endpoint of the day")];
    }
    let Some(credentials) =
        credentials.and_then(|value| serde_json::from_value::<Credentials>(value).ok())
    else {
        return vec![Probe::not_before(what, "an earlier step tells it")];
    };
    let needs: &[_] = if secret.is_some() { &["secretsmanager:GetSecretValue"] } else { &[] };
    let answer = credentials.fetch(cx, given.text("user"), ("", 0)).await;
    let judge = |user: super::credentials::User| {
        ProbeVerdict::works(format!("readable, for user {}", user.name))
    };
    let database = "it is connected to on the day: users and passwords are those of its backup";
    vec![
        Probe::of(what, needs, answer, judge).at(given.site("credentials.at")),
        Probe::not_before("login to the restored database", database),
    ]
}
