//! Against real servers: writes into a schema of a run's own, reads until they are fast, and which credentials work.

use crate::server_databases::{PASSWORD, Postgres, connected, context, open, step, value};
use crate::server_ladder::{COPY, FAILED, INCONCLUSIVE, Mariadb, climb, source_and_copy};
use redrill::action::Found;
use redrill::journal::FailureClass;
use redrill::outside::{DatabaseLogin, SqlValue};
use serde_json::json;
use std::path::Path;

fn own_schemas(database: &str) -> String {
    format!(
        "select count(*) from pg_namespace where nspname like 'redrill%' and current_database() = '{database}'"
    )
}

async fn count(server: &Postgres, database: &str, sql: &str) -> SqlValue {
    let login = DatabaseLogin { database: database.to_owned(), ..server.login() };
    let mut session = open(&login).await.unwrap();
    value(&mut session, sql).await
}

#[tokio::test]
async fn server_postgres_a_write_into_a_schema_of_its_own_leaves_nothing() {
    let server = Postgres::start("", |_| {});
    let with = || connected(&server, "postgres", json!({"effect": "own"}));
    let tried = step(server.folder.path(), "sql.try_write", with()).await;
    assert_eq!(tried.red(), []);
    assert_eq!(tried.output.as_ref().unwrap()["schema"], "redrill_orders_0001_data");
    let events: Vec<_> =
        tried.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let position = |kind: &str| events.iter().position(|event| event["type"] == kind).unwrap();
    assert!(position("resource_intended") < position("resource_owned"));
    assert!(position("resource_owned") < position("resource_released"));
    assert!(!serde_json::to_string(&events).unwrap().contains(PASSWORD));
    let gone = count(&server, "postgres", &own_schemas("postgres")).await;
    assert_eq!(gone, SqlValue::Integer(0));

    // A schema of this name that is somebody else's is left alone.
    server.change("create schema redrill_orders_0001_data").await;
    let tried = step(server.folder.path(), "sql.try_write", with()).await;
    let error = tried.output.unwrap_err();
    assert!(error.to_string().contains("not of this run"), "{error}");
    let there = count(&server, "postgres", &own_schemas("postgres")).await;
    assert_eq!(there, SqlValue::Integer(1));
}

/// After a crash there is nothing but the ledger: the schema is found and removed by its key.
#[tokio::test]
async fn server_postgres_a_schema_that_a_crash_left_is_found_and_removed() {
    let server = Postgres::start("", |_| {});
    let with = || connected(&server, "postgres", json!({"effect": "own"}));
    let tried = step(server.folder.path(), "sql.try_write", with()).await;
    let key = tried
        .events
        .iter()
        .find_map(|event| match event {
            redrill::journal::Event::ResourceIntended { key, .. } => Some(key.clone()),
            _ => None,
        })
        .unwrap();
    // As the crashed process had made it.
    let mark = "made by redrill, run orders-0001; may be removed";
    server
        .change(&format!(
            "create schema redrill_orders_0001_data; comment on schema redrill_orders_0001_data is '{mark}'; \
             create table redrill_orders_0001_data.trial (id int primary key, content text not null)"
        ))
        .await;
    let context = context(server.folder.path(), Default::default());
    let registry = redrill::providers::registry();
    let kind = registry.resource_kind("sql.schema").unwrap();
    let Found::Ours { id, .. } = kind.find(&context, &key, None).await.unwrap() else {
        panic!("it was not found")
    };
    kind.remove(&context, &key, &id).await.unwrap();
    assert_eq!(kind.find(&context, &key, None).await.unwrap(), Found::Gone);
    // Removing once more is harmless.
    kind.remove(&context, &key, &id).await.unwrap();
    assert!(kind.command(&key, None, "").contains("drop schema"));
}

#[tokio::test]
async fn server_postgres_a_server_without_writes_fails_and_a_user_without_rights_is_no_answer() {
    let server = Postgres::start("", |_| {});
    let reader = "create role reader login password 'swordfish'";
    server.change(reader).await;
    let password = server.file("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let with = connected(
        &server,
        "postgres",
        json!({"effect": "own", "credentials": {"password_file": password, "user": "reader"}}),
    );
    let error = step(server.folder.path(), "sql.try_write", with).await.output.unwrap_err();
    assert_eq!(error.class(), FailureClass::Denied, "{error}");
    // A standby takes no writes, whatever the session asks for.
    server.stop();
    std::fs::write(Path::new(&server.file("data")).join("standby.signal"), "").unwrap();
    server.boot("-c hot_standby=on");
    let with = connected(&server, "postgres", json!({"effect": "own"}));
    let tried = step(server.folder.path(), "sql.try_write", with).await;
    assert_eq!(tried.red(), [("write".to_owned(), FAILED)]);
    assert!(tried.check("write").observed.contains("SQLSTATE 25006"));
}

#[tokio::test]
async fn server_mariadb_a_write_into_a_database_of_its_own_leaves_nothing() {
    let both = Mariadb::make("writes").await;
    let with = both.connected(&both.copy, json!({"effect": "own"}));
    let tried = step(both.folder.path(), "sql.try_write", with).await;
    assert_eq!(tried.red(), []);
    let mut session = open(&both.login).await.unwrap();
    let left = "select count(*) from information_schema.schemata where schema_name like 'redrill\\_orders\\_0001%'";
    assert_eq!(value(&mut session, left).await, SqlValue::Integer(0));
    both.drop_both().await;
}

#[tokio::test]
async fn server_postgres_pages_are_read_until_they_are_fast() {
    let server = source_and_copy(2_000).await;
    let with = json!({"warm_up": true, "p95": "30s", "samples": 100});
    let read = step(server.folder.path(), "sql.hydrate", connected(&server, COPY, with)).await;
    assert_eq!(read.red(), []);
    let output = read.output.as_ref().unwrap();
    // One round before each of the eight parts, and one behind the last.
    assert_eq!(output["rounds"], 9);
    // Five pages of each table, and none of the empty one.
    assert_eq!(output["reads"], 9 * 19 * 5);
    assert!(output["last"]["p50_us"].as_u64().unwrap() > 0);
    let reached = read
        .events
        .iter()
        .any(|event| serde_json::to_value(event).is_ok_and(|event| event["point"] == "hydrated"));
    assert!(reached, "{:?}", read.events);
    // A limit that cannot be kept, and a table without pages.
    let with = json!({"p95": "1ms", "within": "0s", "samples": 20, "tables": ["lines"]});
    let slow = step(server.folder.path(), "sql.hydrate", connected(&server, COPY, with)).await;
    assert!(slow.output.is_ok());
    let with = json!({"tables": ["archive"]});
    let none = step(server.folder.path(), "sql.hydrate", connected(&server, COPY, with)).await;
    assert_eq!(none.red(), [("read latency".to_owned(), INCONCLUSIVE)]);
}

#[tokio::test]
async fn server_mariadb_pages_are_chosen_by_keys_of_whole_numbers() {
    let both = Mariadb::make("hydrates").await;
    let with = |tables: serde_json::Value| {
        let more = json!({"warm_up": true, "p95": "30s", "samples": 60, "tables": tables});
        both.connected(&both.copy, more)
    };
    let read = step(both.folder.path(), "sql.hydrate", with(json!(["customers", "orders"]))).await;
    assert_eq!(read.red(), []);
    let read = step(both.folder.path(), "sql.hydrate", with(json!(null))).await;
    assert_eq!(read.red(), [("read latency".to_owned(), INCONCLUSIVE)]);
    let note = read.check("read latency").note.clone().unwrap();
    assert!(note.contains("codes has no key of whole numbers"), "{note}");
    both.drop_both().await;
}

/// A restored database has the users and passwords of its recovery point.
#[tokio::test]
async fn server_postgres_which_credentials_work_is_a_check() {
    let server = Postgres::start("", |_| {});
    server.change("create role app login password 'of-the-backup'").await;
    let file = |name: &str, text: &str| {
        let path = server.file(name);
        std::fs::write(&path, text).unwrap();
        json!({"password_file": path, "user": "app"})
    };
    let logins = json!({"logins": [
        {"name": "the application", "credentials": file("old", "of-the-backup")},
        {"name": "with today's password", "credentials": file("new", "of-today")},
        {"name": "that was taken away", "credentials": file("gone", "of-last-year"), "refused": true},
    ]});
    let climbed = climb(&server, "postgres", logins).await;
    assert_eq!(climbed.red(), [("login with today's password".to_owned(), FAILED)]);
    assert!(climbed.check("login with today's password").observed.contains("28P01"));
}
