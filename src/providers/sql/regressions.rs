//! Defects that were found once: what must be said before the day, and what must not end or pass a step.

use super::*;
use crate::action::{Action, Given, StepError};
use crate::ids::{SiteName, StepId};
use crate::journal::{Event, Outcome};
use crate::outside::OutsideError;
use crate::outside::fake::{FakeOutside, FakeRecorder, context};
use crate::outside::ladder::fingerprint;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn written(more: &Value) -> Value {
    let mut input = json!({"endpoint": "db.test", "database": "orders",
        "credentials": {"password_from_env": "PASSWORD", "user": "ro"}});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

fn input(more: &Value) -> Input {
    serde_json::from_value(written(more)).unwrap()
}

fn world() -> FakeOutside {
    let mut outside = FakeOutside::default();
    outside.environment.insert("PASSWORD".into(), "hunter2".into());
    outside
}

/// Pointers of what is found wrong before anybody is asked.
fn problems(more: &Value) -> Vec<String> {
    let at = Some(SiteName::new("dr"));
    let given = Given::new("orders", StepId::new("data"), at, written(more));
    SqlCheck.check_input(&given).into_iter().map(|problem| problem.pointer).collect()
}

#[test]
fn regression_a_rung_without_anything_to_compare_with_is_found_before_the_day() {
    let source = json!({"at": "primary", "endpoint": "source.test", "database": "orders",
        "credentials": {"password_from_env": "PASSWORD", "user": "ro"}});
    for rung in ["schema", "rows", "checksums"] {
        assert_eq!(problems(&json!({rung: {}})), [format!("/{rung}")]);
        assert!(problems(&json!({rung: {}, "reference": "orders.json"})).is_empty());
        assert!(problems(&json!({rung: {}, "source": source})).is_empty());
        assert!(problems(&json!({rung: {}, "reference": Given::later_mark()})).is_empty());
    }
    let asked = json!({"reference_of": {"database": "orders"}, "max_age": "1d"});
    assert_eq!(problems(&asked), ["/reference_of", "/max_age"]);
    let earlier = json!({"schema": {}, "earlier": {"journal": "j", "step": "baseline"}});
    assert_eq!(problems(&earlier), ["/earlier", "/earlier"], "of what, and how old?");
    let mut said = earlier.as_object().unwrap().clone();
    said.extend(asked.as_object().unwrap().clone());
    assert!(problems(&said.into()).is_empty());
    let both = json!({"schema": {}, "source": source, "reference": "orders.json"});
    assert_eq!(problems(&both), ["/source"]);
    let all = json!({"rows": {"tolerance": "100%"}, "reference": "orders.json"});
    assert_eq!(problems(&all), ["/rows/tolerance"]);
}

#[test]
fn regression_a_source_that_is_the_target_is_found_before_the_day() {
    let from = |endpoint: Value, database: &str, port: Value| {
        json!({"schema": {}, "source": {"at": "dr", "endpoint": endpoint, "database": database, "port": port,
            "credentials": {"password_from_env": "PASSWORD", "user": "ro"}}})
    };
    let itself = from(json!("db.test"), "orders", json!(null));
    assert_eq!(problems(&itself), ["/source/endpoint"]);
    for other in [
        from(json!("db.test"), "other", json!(null)),
        from(json!("other.test"), "orders", json!(null)),
        from(json!("db.test"), "orders", json!(5433)),
        from(json!("db.test"), "orders", Given::later_mark()),
        from(Given::later_mark(), "orders", json!(null)),
    ] {
        assert!(problems(&other).is_empty(), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_source_that_is_the_target_is_refused_before_anything_is_asked() {
    for endpoint in ["db.test", "DB.test."] {
        let (context, outside, _) = context(world());
        let source = json!({"at": "dr", "endpoint": endpoint, "database": "orders", "port": 5432,
            "credentials": {"password_from_env": "PASSWORD", "user": "ro"}});
        let with = input(&json!({"source": source, "rows": {}}));
        let error = SqlCheck.run(&context, with).await.unwrap_err();
        assert!(error.to_string().contains("the database that is checked"), "{error}");
        assert!(outside.logins_seen.lock().unwrap().is_empty());
    }
}

fn reference(taken: DateTime<Utc>) -> Reference {
    let schema = BTreeMap::from([("column t.a".to_owned(), "integer".to_owned())]);
    Reference {
        redrill_sql_reference: 2,
        version: "15.4".into(),
        endpoint: None,
        database: None,
        taken,
        fingerprint: fingerprint(&schema),
        schema,
        not_seen: BTreeMap::new(),
        tables: BTreeMap::new(),
    }
}

/// The three comparisons with a reference that was taken so long after the beginning; the disaster is declared there.
async fn compared(after: TimeDelta) -> (Result<Output, StepError>, Arc<FakeRecorder>) {
    let (context, _, recorder) = context(world().with_database(&[]));
    let declared = Event::DisasterDeclared { kind: "region_loss".into(), lost: vec![] };
    context.recorder.record(declared).await.unwrap();
    let taken = reference(context.clock.now() + after);
    let with = json!({"reference": taken, "schema": {}, "rows": {}, "checksums": {}});
    (SqlCheck.run(&context, input(&with)).await, recorder)
}

#[tokio::test(start_paused = true)]
async fn regression_a_reference_of_after_the_declaration_proves_nothing() {
    let (output, recorder) = compared(TimeDelta::seconds(1)).await;
    output.unwrap();
    for name in ["schema", "row counts", "checksums"] {
        let check = recorder.checks().into_iter().find(|check| check.name == name).unwrap();
        assert_eq!(check.outcome, Outcome::Inconclusive, "{name}");
        assert!(check.note.unwrap().contains("after the disaster was declared"), "{name}");
    }
    // One of before it is compared: this fake database has no structure to compare.
    let (output, _) = compared(TimeDelta::seconds(-1)).await;
    assert!(output.unwrap_err().to_string().contains("structure"));
}

#[tokio::test(start_paused = true)]
async fn regression_credentials_that_cannot_be_read_do_not_end_the_step() {
    let outside = world().with_database(&[]).with_database(&[]);
    let (context, _, recorder) = context(outside);
    let login = |name: &str, variable: &str| json!({"name": name, "credentials": {"password_from_env": variable, "user": "app"}});
    let with = json!({"logins": [login("of old", "NOWHERE"), login("of today", "PASSWORD")]});
    SqlCheck.run(&context, input(&with)).await.unwrap();
    assert_eq!(recorder.outcome("login of old"), Outcome::Inconclusive);
    assert_eq!(recorder.outcome("login of today"), Outcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn regression_a_connection_that_is_not_protected_is_told() {
    for (more, words, findings) in [
        (json!({"tls": "off"}), Some("not encrypted"), 1),
        (json!({"tls": "encrypt"}), Some("certificate was not verified"), 0),
        (json!({"tls": "off", "connect": "127.0.0.1:5433"}), None, 0),
        (json!({"tls": "off", "connect": "[::1]:5433"}), None, 0),
        (json!({"tls": "off", "endpoint": "localhost"}), None, 0),
        (json!({}), None, 0),
    ] {
        let (context, _, recorder) = context(world().with_database(&[]));
        SqlCheck.run(&context, input(&more)).await.unwrap();
        let note = recorder.checks()[0].note.clone().unwrap();
        assert!(words.is_none_or(|words| note.contains(words)), "{more}: {note}");
        assert_eq!(note.contains(';'), words.is_some(), "{more}: {note}");
        let is_it = |event: &Event| match event {
            Event::Found { finding, .. } => finding.code == "sql.connection_not_encrypted",
            _ => false,
        };
        let found = recorder.events().into_iter().filter(is_it).count();
        assert_eq!(found, findings, "{more}");
    }
}

/// How a login ends that must be refused, and one that must be let in, when the server says this.
async fn logins_told(said: &str) -> (Outcome, Outcome) {
    let denied = || Err(OutsideError::Denied(said.to_owned()));
    let outside = world().with_database(&[]);
    outside.databases.lock().unwrap().extend([denied(), denied()]);
    let (context, _, recorder) = context(outside);
    let login = |name: &str, refused: bool| json!({"name": name, "refused": refused, "credentials": {"password_from_env": "PASSWORD", "user": "old"}});
    let with = json!({"logins": [login("of last year", true), login("of today", false)]});
    SqlCheck.run(&context, input(&with)).await.unwrap();
    (recorder.outcome("login of last year"), recorder.outcome("login of today"))
}

#[tokio::test(start_paused = true)]
async fn regression_only_a_refused_password_is_a_refused_login() {
    for (said, outcome) in [
        ("SQLSTATE 28P01: password authentication failed for user \"old\"", Outcome::Passed),
        ("SQLSTATE 28000: role \"old\" is not permitted to log in", Outcome::Passed),
        ("SQLSTATE 28000, error 1045: Access denied for user 'old'@'db'", Outcome::Passed),
        ("SQLSTATE 28000, error 1698: Access denied for user 'old'@'db'", Outcome::Passed),
        // The password was taken: another database would be open.
        ("SQLSTATE 42501: permission denied for database \"orders\"", Outcome::Failed),
        (
            "SQLSTATE 42000, error 1044: Access denied for user 'old'@'db' to database 'orders'",
            Outcome::Failed,
        ),
        ("SQLSTATE 42000, error 1227: Access denied; you need SUPER", Outcome::Failed),
        // Nobody looked at the password.
        ("SQLSTATE HY000, error 1129: Host 'db' is blocked", Outcome::Inconclusive),
        ("SQLSTATE HY000, error 1130: Host 'db' is not allowed to connect", Outcome::Inconclusive),
        (
            "SQLSTATE 08004, error 1251: Client does not support the authentication",
            Outcome::Inconclusive,
        ),
        ("no", Outcome::Inconclusive),
    ] {
        assert_eq!(logins_told(said).await, (outcome, Outcome::Failed), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_reference_must_be_of_the_database_that_is_meant_and_young_enough() {
    for (database, hours, outcomes) in [
        ("orders", 1, (Outcome::Passed, Outcome::Passed)),
        ("payments", 25, (Outcome::Failed, Outcome::Failed)),
    ] {
        let (context, _, recorder) = context(world().with_database(&[]));
        let taken = reference(context.clock.now() - TimeDelta::hours(hours));
        let taken = taken.of_database("db.test", database);
        let with = json!({
            "reference": taken, "rows": {}, "max_age": "1d",
            "reference_of": {"database": "orders", "endpoint": "db.test"},
        });
        // This fake database has no structure to compare.
        SqlCheck.run(&context, input(&with)).await.unwrap_err();
        let found =
            (recorder.outcome("source of the reference"), recorder.outcome("age of the reference"));
        assert_eq!(found, outcomes, "{database}");
    }
}
