//! What a step needs of IAM, and what can be looked at before the day of a drill.

use super::credentials::{Credentials, User};
use super::reference::Reference;
use crate::action::{Given, Grant, Limit, Permission, Probe, ProbeVerdict, StepContext};
use crate::limits;
use crate::outside::OutsideError;
use crate::providers::earlier::EarlierRun;
use serde_json::Value;

/// On what the credentials of the step, of its source and of further logins use their permissions.
pub(super) fn grants(given: &Given, permissions: &[Permission]) -> Vec<Grant> {
    each_login(given).iter().flat_map(|login| grants_of(login, permissions)).collect()
}

/// The step itself, its source and its further logins, each as if it were a step.
fn each_login(given: &Given) -> Vec<Given> {
    let logins = given.known("logins").and_then(Value::as_array).into_iter().flatten();
    let others = given.known("source").into_iter().chain(logins).map(|with| {
        Given::new(&given.scenario, given.step.clone(), given.at.clone(), with.clone())
    });
    std::iter::once(given.clone()).chain(others).collect()
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
    let key = grant("kms:Decrypt")
        .map(|g| g.on("key", keys_of_secret(given)).limited(Limit::Via("secretsmanager")));
    read.into_iter().chain(key).collect()
}

/// A secret of another account is encrypted with a key of that account
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html>).
fn keys_of_secret(given: &Given) -> String {
    let arn = given.text("credentials.secret").unwrap_or_default();
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, _, region, account, ..] => {
            format!("arn:{partition}:kms:{region}:{account}:key/*")
        }
        _ => "*".to_owned(),
    }
}

/// Looks at what the logins of the step need. The database itself is not there yet.
pub(super) async fn preflight(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let why = "it is connected to on the day: users and passwords are those of its backup";
    let mut probes =
        look(cx, given, Probe::not_before("login to the restored database", why)).await;
    probes.extend(EarlierRun::preflight::<Reference>(cx, given));
    probes
}

/// The same, of a step that asks the database that lives.
pub(super) async fn preflight_of_source(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let why = "preflight asks no database: whether it takes user and password shows on the day";
    look(cx, given, Probe::not_before("login to the living source", why)).await
}

async fn look(cx: &StepContext, given: &Given, login: Probe) -> Vec<Probe> {
    let mut probes = Vec::new();
    for one in each_login(given) {
        probes.push(password(cx, &one).await);
        probes.extend(authorities(cx, &one));
    }
    probes.push(login);
    probes
}

/// Fetches the password, which is neither shown nor kept.
async fn password(cx: &StepContext, given: &Given) -> Probe {
    if given.has("credentials.iam") {
        let what = "login with a token of IAM";
        return Probe::not_before(what, "a token is for the endpoint of the day");
    }
    let credentials = given.known("credentials").cloned();
    let credentials = credentials.filter(|_| !given.comes_later("credentials"));
    let Some(credentials) =
        credentials.and_then(|value| serde_json::from_value::<Credentials>(value).ok())
    else {
        let what = match given.text("credentials.secret") {
            Some(secret) => format!("secret {secret}"),
            None => "password of the database".to_owned(),
        };
        return Probe::not_before(what, "an earlier step tells it");
    };
    let needs: &[_] =
        if credentials.secret.is_some() { &["secretsmanager:GetSecretValue"] } else { &[] };
    let what = match &credentials.secret {
        Some(secret) => format!("secret {secret}"),
        None => format!("password from {}", credentials.source()),
    };
    if let Some(verdict) = not_here(cx, &credentials) {
        return Probe::new(what, verdict);
    }
    let answer = credentials.fetch(cx, given.text("user"), ("", 0)).await;
    let judge = |user: User| ProbeVerdict::works(format!("readable, for user {}", user.name));
    Probe::of(what, needs, answer, judge).at(given.site("credentials.at"))
}

/// Why a password that this machine holds cannot be had.
fn not_here(cx: &StepContext, credentials: &Credentials) -> Option<ProbeVerdict> {
    let (error, action) = match (&credentials.password_from_env, &credentials.password_file) {
        (Some(name), _) => (
            cx.outside.environment(name).err()?,
            "set it where the drill is started, and look from there",
        ),
        (None, Some(path)) => (
            cx.outside.file(path, limits::CREDENTIAL_BYTES).err()?,
            "put the file there, readable for whoever starts the drill, and look from the same folder",
        ),
        (None, None) => return None,
    };
    Some(match error {
        OutsideError::NotRehearsed(_) => ProbeVerdict::Unknown(error.to_string()),
        error => ProbeVerdict::fails(error.to_string(), action),
    })
}

/// The file with the certificate authorities by which the server is verified.
fn authorities(cx: &StepContext, given: &Given) -> Option<Probe> {
    if !given.has("tls.ca") {
        return None;
    }
    let Some(file) = given.text("tls.ca") else {
        return Some(Probe::not_before(
            "certificate authorities",
            "an earlier step tells the file",
        ));
    };
    const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let action = "put the PEM file there, readable for whoever starts the drill, or correct tls.ca; for RDS it is \
                  https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";
    let verdict = match cx.outside.file(file, limits::CERTIFICATE_BYTES) {
        Ok(content) if content.windows(MARK.len()).any(|window| window == MARK) => {
            ProbeVerdict::works("readable, with certificates in PEM form")
        }
        Ok(_) => ProbeVerdict::fails(format!("{file} holds no certificate in PEM form"), action),
        Err(OutsideError::NotRehearsed(_)) => ProbeVerdict::NotBefore(
            "a rehearsal verifies no certificate, and reads none".to_owned(),
        ),
        Err(error) => ProbeVerdict::fails(error.to_string(), action),
    };
    Some(Probe::new(format!("certificate authorities {file}"), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};
    use serde_json::json;

    async fn looks(outside: FakeOutside, with: Value) -> Vec<Probe> {
        let (context, ..) = context(outside);
        preflight(&context, &Given::new("orders", StepId::new("data"), None, with)).await
    }

    fn verdict<'a>(probes: &'a [Probe], what: &str) -> &'a ProbeVerdict {
        let found = probes.iter().find(|probe| probe.what == what);
        &found.unwrap_or_else(|| panic!("no {what} in {probes:#?}")).verdict
    }

    fn held(path: &str, text: &str) -> FakeOutside {
        let mut outside = FakeOutside::default();
        outside.files.insert(path.to_owned(), text.to_owned());
        outside.environment.insert("ORDERS_PASSWORD".to_owned(), "hunter2".to_owned());
        outside
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_password_that_this_machine_does_not_hold_fails_before_the_day() {
        let by_file = json!({"user": "ro", "credentials": {"password_file": "pass"}});
        let by_variable =
            json!({"user": "ro", "credentials": {"password_from_env": "ORDERS_PASSWORD"}});
        for (with, what) in [
            (by_file, "password from the file pass"),
            (by_variable, "password from the environment variable ORDERS_PASSWORD"),
        ] {
            let without = looks(FakeOutside::default(), with.clone()).await;
            let missing = verdict(&without, what);
            assert!(matches!(missing, ProbeVerdict::Fails { .. }), "{missing:?}");
            let there = looks(held("pass", "hunter2\n"), with.clone()).await;
            assert_eq!(verdict(&there, what), &ProbeVerdict::works("readable, for user ro"));
            // Further logins and the source are no less needed.
            let nested =
                json!({"credentials": {"secret": "{{later}}"}, "logins": [with], "source": with});
            let nested = looks(FakeOutside::default(), nested).await;
            let failing = nested.iter().filter(|probe| probe.what == what);
            assert_eq!(failing.filter(|probe| &probe.verdict == missing).count(), 2, "{nested:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_file_of_authorities_that_is_of_no_use_fails_before_the_day() {
        let with = json!({"user": "ro", "credentials": {"iam": true}, "tls": {"ca": "rds.pem"}});
        let what = "certificate authorities rds.pem";
        for outside in [FakeOutside::default(), held("rds.pem", "<html>not found</html>")] {
            let probes = looks(outside, with.clone()).await;
            let found = verdict(&probes, what);
            assert!(matches!(found, ProbeVerdict::Fails { .. }), "{found:?}");
        }
        let good = held("rds.pem", "# RDS\n-----BEGIN CERTIFICATE-----\nMIIB\n");
        let probes = looks(good, with).await;
        assert!(matches!(verdict(&probes, what), ProbeVerdict::Works(_)), "{probes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_look_at_the_living_source_speaks_of_no_restored_database() {
        let (context, ..) = context(held("pass", "hunter2"));
        let with = json!({"user": "ro", "credentials": {"password_file": "pass"}});
        let given = Given::new("orders", StepId::new("baseline"), None, with);
        let probes = preflight_of_source(&context, &given).await;
        let said = format!("{probes:?}");
        assert!(!said.contains("restored") && !said.contains("backup"), "{said}");
        let login = verdict(&probes, "login to the living source");
        assert!(matches!(login, ProbeVerdict::NotBefore(_)), "{login:?}");
    }
}
