//! What only one partition of a table has, and large objects, against a real server: no rung of rows sees that they are lost.

use crate::server_databases::{Postgres, Stepped, connected, open};
use crate::server_ladder::{COPY, FAILED, SOURCE, climb, copy, fingerprint};
use redrill::journal::Outcome;
use redrill::outside::DatabaseLogin;
use redrill::outside::ladder::fingerprint as digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A table whose partitions have more than it, and less.
const EVENTS: &str = "
create role reader login password 'swordfish';
create domain score as int;
create table customers (id int primary key);
create table events (id int not null, at int not null, amount int default 5, score score default 3, note text,
  constraint sane check (amount >= 0)) partition by range (at);
create table events_1 partition of events for values from (0) to (100);
create table events_2 (id int not null, note text not null default 'x', at int not null, amount int, score score,
  constraint sane check (amount >= 0), constraint only_2 check (at < 1000));
alter table events attach partition events_2 for values from (100) to (200);
create table events_3 partition of events (constraint only_3 check (id >= 0)) for values from (200) to (300)
  partition by range (id);
create table events_3_1 partition of events_3 for values from (0) to (10000);
create index by_at on events (at);
create index only_on_1 on events_1 (amount);
create unique index only_unique_2 on events_2 (id) where amount > 3;
create index only_on_3 on events_3 (note);
alter table events_1 add primary key (id);
alter table events_2 add constraint together unique (id, note);
alter table events_1 add constraint whose foreign key (id) references customers (id);
grant select (note) on events_1 to reader;
insert into customers select generate_series(0, 299);
insert into events select i, i, i, i, 'note' from generate_series(0, 299) i;
";

/// A source with these contents, and a logical copy of it.
async fn copied(content: &str) -> Postgres {
    let server = Postgres::start("-c autovacuum=off", |_| {});
    server.change(&format!("create database {SOURCE}")).await;
    server.change(&format!("create database {COPY}")).await;
    server.change_in(SOURCE, content).await;
    copy(&server);
    server
}

/// The schema of a database, compared with that of the living source.
async fn compared(server: &Postgres, database: &str, more: Value) -> Stepped {
    let source = connected(server, SOURCE, json!({ "at": "home" }));
    let mut with = json!({ "source": source, "schema": {} });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    climb(server, database, with).await
}

fn failed() -> Vec<(String, Outcome)> {
    vec![("schema".to_owned(), FAILED)]
}

/// A change of the copy, and how it is named.
const CHANGES: &[(&str, &str)] = &[
    ("drop index only_on_1", "partition index public.events_1 only_on_1 is missing"),
    (
        "drop index only_on_1; create index only_on_1 on events_1 (amount desc)",
        "partition index public.events_1 only_on_1 is \"btree (amount DESC)\", not \"btree (amount)\"",
    ),
    (
        "drop index only_unique_2; create index only_unique_2 on events_2 (id) where amount > 3",
        "partition unique index public.events_2 only_unique_2 is missing",
    ),
    ("drop index only_on_3", "partition index public.events_3 only_on_3 is missing"),
    (
        "create index more on events_2 (at, id)",
        "partition index public.events_2 more is not in the reference",
    ),
    (
        "alter table events_1 drop constraint events_1_pkey",
        "partition primary key public.events_1 is missing",
    ),
    (
        "alter table events_2 drop constraint together",
        "partition unique public.events_2 together is missing",
    ),
    (
        "alter table events_2 drop constraint only_2",
        "partition check public.events_2 only_2 is missing",
    ),
    (
        "alter table events_3 drop constraint only_3",
        "partition check public.events_3 only_3 is missing",
    ),
    (
        "alter table events_1 drop constraint whose",
        "partition foreign key public.events_1 whose is missing",
    ),
    (
        "alter table events_2 alter note drop not null",
        "partition column public.events_2 note is \"default 'x'::text\", not \"not null, default 'x'::text\"",
    ),
    (
        "alter table events_2 alter note drop default",
        "partition column public.events_2 note is \"not null\"",
    ),
    (
        "alter table events_2 alter amount set default 7",
        "partition column public.events_2 amount is \"default 7\", not \"no default\"",
    ),
    (
        "alter table events_1 alter amount drop default",
        "partition column public.events_1 amount is not in the reference",
    ),
    (
        "revoke select (note) on events_1 from reader",
        "grants partition public.events_1.note is missing",
    ),
    // What all partitions have from their table stands with the table.
    (
        "drop index by_at; create index by_at on only events (at)",
        "index public.events by_at is \"btree (at) (invalid)\"",
    ),
    ("alter table events drop constraint sane", "check public.events sane is missing"),
];

#[tokio::test]
async fn server_postgres_regression_what_only_one_partition_has_is_compared() {
    let server = copied(EVENTS).await;
    let healthy = compared(&server, COPY, json!({ "rows": {}, "checksums": {} })).await;
    assert_eq!(healthy.red(), []);
    for (number, (change, says)) in CHANGES.iter().enumerate() {
        let name = format!("changed_{number}");
        server.change(&format!("create database {name} template {COPY}")).await;
        server.change_in(&name, change).await;
        let climbed = compared(&server, &name, json!({})).await;
        assert_eq!(climbed.red(), failed(), "{change}");
        let observed = &climbed.check("schema").observed;
        assert!(observed.contains(says), "{change}: {observed}");
    }
    // Whoever lets partitions differ lets differ what they have.
    for (change, repair, pattern) in [
        ("drop index only_on_1", "create index only_on_1 on events_1 (amount)", "partition *"),
        (
            "revoke select (note) on events_1 from reader",
            "grant select (note) on events_1 to reader",
            "grants *",
        ),
    ] {
        server.change_in(COPY, change).await;
        assert_eq!(compared(&server, COPY, json!({})).await.red(), failed(), "{change}");
        let but = json!({ "schema": { "ignore": [pattern] } });
        assert_eq!(compared(&server, COPY, but).await.red(), [], "{change}");
        server.change_in(COPY, repair).await;
        assert_eq!(compared(&server, COPY, json!({})).await.red(), [], "{repair}");
    }
}

/// Committed before these were held.
#[tokio::test]
async fn server_postgres_regression_a_reference_of_format_2_says_what_it_lacks_of_partitions() {
    let content = format!("{EVENTS} select lo_from_bytea(0, 'a large object')");
    let server = copied(&content).await;
    let (code, written) = fingerprint(&server, &["--rows"]);
    assert_eq!(code, Some(0), "{written}");
    let mut reference: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(reference["redrill_sql_reference"], 3);
    let objects: BTreeMap<String, String> =
        serde_json::from_value(reference["schema"].clone()).unwrap();
    let is_newer = |name: &str| {
        let rest = name.strip_prefix("partition ");
        rest.is_some_and(|rest| !rest.starts_with("public."))
            || name.starts_with("grants partition ")
            || name.starts_with("large objects ")
    };
    let all = objects.len();
    let older: BTreeMap<_, _> = objects.into_iter().filter(|(name, _)| !is_newer(name)).collect();
    assert!(
        older.len() + 14 <= all && older.contains_key("partition public.events_2"),
        "{older:?}"
    );
    let file = server.file("reference.json");
    let rungs = json!({ "reference": file, "schema": {}, "rows": {} });
    std::fs::write(&file, &written).unwrap();
    assert_eq!(climb(&server, COPY, rungs.clone()).await.red(), []);
    server.change_in(COPY, "drop index only_on_1").await;
    assert_eq!(climb(&server, COPY, rungs.clone()).await.red(), failed());
    reference["redrill_sql_reference"] = json!(2);
    reference["fingerprint"] = json!(digest(&older));
    reference["schema"] = json!(older);
    std::fs::write(&file, reference.to_string()).unwrap();
    let climbed = climb(&server, COPY, rungs.clone()).await;
    assert_eq!(climbed.red(), []);
    let note = climbed.check("schema").note.clone().unwrap();
    for lacking in ["format 2", "partition index", "partition column", "large objects"] {
        assert!(note.contains(lacking), "{lacking}: {note}");
    }
    assert!(!note.contains("row security"), "{note}");
    server.change_in(COPY, "drop index by_at").await;
    assert_eq!(climb(&server, COPY, rungs).await.red(), failed());
}

#[tokio::test]
async fn server_postgres_regression_a_large_object_that_is_lost_is_seen() {
    let content = "create role reader login password 'swordfish'; \
         create table documents (id int primary key, body oid not null); \
         insert into documents select i, lo_from_bytea(0, decode(md5(i::text), 'hex')) from generate_series(1, 20) i";
    let server = copied(content).await;
    assert_eq!(compared(&server, COPY, json!({ "rows": {}, "checksums": {} })).await.red(), []);
    server.change_in(COPY, "select lo_unlink(body) from documents where id = 7").await;
    let lost = compared(&server, COPY, json!({ "rows": {}, "checksums": {} })).await;
    assert_eq!(lost.red(), failed());
    let observed = &lost.check("schema").observed;
    assert!(observed.contains("large objects count is \"19\", not \"20\""), "{observed}");
    // As many, and not the same ones.
    server.change_in(COPY, "select lo_from_bytea(0, 'another')").await;
    let other = compared(&server, COPY, json!({})).await;
    assert_eq!(other.red(), failed());
    let observed = &other.check("schema").observed;
    assert!(observed.starts_with("1 difference: large objects sum of numbers is"), "{observed}");
    // Nobody has to be a superuser to see it.
    let password = server.file("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let credentials = json!({ "password_file": password, "user": "reader" });
    let seen = compared(&server, COPY, json!({ "credentials": credentials })).await;
    assert_eq!(seen.red(), failed());
    let but = json!({ "schema": { "ignore": ["large objects *"] } });
    assert_eq!(compared(&server, COPY, but).await.red(), []);
    server.change_in(COPY, "select lo_unlink(oid) from pg_largeobject_metadata").await;
    let none = compared(&server, COPY, json!({})).await;
    assert_eq!(none.red(), failed());
    let observed = &none.check("schema").observed;
    assert!(observed.contains("large objects count is missing"), "{observed}");
    // Where there are none, there is no object of the kind.
    let login = DatabaseLogin { database: COPY.to_owned(), ..server.login() };
    let structure = open(&login).await.unwrap().structure().await.unwrap();
    assert!(!structure.objects.keys().any(|name| name.starts_with("large")));
}
