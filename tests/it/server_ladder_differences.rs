//! The rungs of `sql.check` and `sql.hydrate` against real servers: differences that are easy to overlook, and healthy
//! copies that are easy to take for damaged ones.

use crate::server_databases::{Postgres, Stepped, connected, open, step, value};
use crate::server_ladder::{
    COPY, FAILED, INCONCLUSIVE, Mariadb, SOURCE, climb, copy, fingerprint, source_and_copy,
};
use redrill::journal::Outcome;
use redrill::outside::DatabaseLogin;
use redrill::outside::ladder::{KINDS_SINCE_FORMAT_2, fingerprint as digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn failed(names: &[&str]) -> Vec<(String, Outcome)> {
    names.iter().map(|name| ((*name).to_owned(), FAILED)).collect()
}

fn inconclusive(name: &str) -> Vec<(String, Outcome)> {
    vec![(name.to_owned(), INCONCLUSIVE)]
}

/// A source with these contents, and a logical copy of it.
async fn copied(content: &str) -> Postgres {
    let server = Postgres::start("-c autovacuum=off", |_| {});
    server.change(&format!("create database {SOURCE}")).await;
    server.change(&format!("create database {COPY}")).await;
    server.change_in(SOURCE, content).await;
    copy(&server);
    server
}

/// These rungs, compared with the living source.
async fn compared(server: &Postgres, database: &str, rungs: Value) -> Stepped {
    let mut with = json!({"source": connected(server, SOURCE, json!({"at": "home"}))});
    with.as_object_mut().unwrap().extend(rungs.as_object().unwrap().clone());
    climb(server, database, with).await
}

#[tokio::test]
async fn server_postgres_regression_a_database_is_not_compared_with_itself() {
    let server = source_and_copy(10).await;
    let itself = |more: Value| connected(&server, COPY, more);
    let elsewhere = format!("127.0.0.1:{}", server.port);
    for source in [
        itself(json!({"at": "home"})),
        itself(json!({"at": "home", "endpoint": "other.test", "connect": elsewhere})),
        itself(json!({"at": "home", "endpoint": "Orders.Test.", "connect": "localhost:1"})),
    ] {
        let climbed = climb(&server, COPY, json!({"source": source, "schema": {}})).await;
        let error = climbed.output.unwrap_err();
        assert!(error.to_string().contains("is the database that is checked"), "{error}");
    }
    assert_eq!(compared(&server, COPY, json!({"schema": {}})).await.red(), []);
}

/// Values that are equal to their type, and not the same.
const EQUAL: &str = "create extension citext; \
     create collation either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
     create domain name_of_either_case as text collate either_case; create type named as (rank int, name citext); \
     create table folded (id int primary key, v citext); create table listed (id int primary key, v citext[]); \
     create table within (id int primary key, v named); create table collated (id int primary key, v text collate either_case); \
     create table by_domain (id int primary key, v name_of_either_case); \
     create table doubles (id int primary key, v float8); create table singles (id int primary key, v float4); \
     create table spans (id int primary key, v interval); create table blanks (id int primary key, v bpchar); \
     create table plain (id int primary key, v text, c text collate \"C\", n numeric, code char(3), at timestamptz, raw bytea, \
     j jsonb, tags text[]); \
     insert into folded select i, 'alpha' from generate_series(1, 20) i; \
     insert into listed select i, array['alpha'::citext] from generate_series(1, 20) i; \
     insert into within select i, row(i, 'alpha')::named from generate_series(1, 20) i; \
     insert into collated select i, 'alpha' from generate_series(1, 20) i; \
     insert into by_domain select i, 'alpha' from generate_series(1, 20) i; \
     insert into doubles select i, 0 from generate_series(1, 20) i; \
     insert into singles select i, 0 from generate_series(1, 20) i; \
     insert into spans select i, '1 mon' from generate_series(1, 20) i; \
     insert into blanks select i, 'a' from generate_series(1, 20) i; \
     insert into plain select i, 'alpha', 'alpha', i, 'abc', now(), 'a', '{}', array['a'] from generate_series(1, 20) i";

const OTHERS_THAT_ARE_EQUAL: [(&str, &str); 9] = [
    ("folded", "'ALPHA'"),
    ("listed", "array['ALPHA'::citext]"),
    ("within", "row(7, 'ALPHA')::named"),
    ("collated", "'ALPHA'"),
    ("by_domain", "'ALPHA'"),
    ("doubles", "'-0'"),
    ("singles", "'-0'"),
    ("spans", "'30 days'"),
    ("blanks", "'a  '"),
];

#[tokio::test]
async fn server_postgres_regression_values_that_are_equal_and_not_the_same_are_other_content() {
    let server = copied(EQUAL).await;
    let sums = || json!({"checksums": {}});
    assert_eq!(compared(&server, COPY, sums()).await.red(), []);
    for (table, value) in OTHERS_THAT_ARE_EQUAL {
        server.change_in(COPY, &format!("update {table} set v = {value} where id = 7")).await;
        let climbed = compared(&server, COPY, sums()).await;
        assert_eq!(climbed.red(), failed(&["checksums"]), "{table}");
        let observed = &climbed.check("checksums").observed;
        assert!(observed.contains(&format!("public.{table}")), "{table}: {observed}");
        let before = match table {
            "within" => "row(7, 'alpha')::named".to_owned(),
            // All rows held the same.
            _ => format!("(select v from {table} where id = 8)"),
        };
        server.change_in(COPY, &format!("update {table} set v = {before} where id = 7")).await;
    }
    assert_eq!(compared(&server, COPY, sums()).await.red(), []);
    // Where nothing of the kind is in a table, the servers hash it.
    let login = DatabaseLogin { database: COPY.to_owned(), ..server.login() };
    let structure = open(&login).await.unwrap().structure().await.unwrap();
    let alike = structure.tables.iter().filter(|table| table.hashes_alike);
    let alike: Vec<_> = alike.map(|table| table.name.to_string()).collect();
    assert_eq!(alike, ["public.plain"]);
}

/// What a schema can hold besides tables and columns.
const RICH: &str = r#"
create role reader; create role auditor;
create type mood as enum ('good', 'bad'); create type pair as (a int, b text);
create domain positive as int check (value > 0);
create table people (id int generated always as identity primary key, name text not null, alias text collate "C",
  mood mood not null, age positive);
create table kept (id int primary key, note text);
alter table people enable row level security;
create policy own on people for select to reader using (name = current_user);
create function twice(a int) returns int language sql begin atomic select a * 2; end;
create function thrice(a int) returns int language sql as 'select a * 3';
create view good as select id from people where mood = 'good';
create sequence tickets cache 5;
create rule nothing as on delete to kept do instead nothing;
grant select on people to reader; grant update (note) on kept to reader; revoke all on function thrice from public;
insert into people (name, mood, age) select 'p' || i, 'good', i from generate_series(1, 20) i;
insert into kept select i, 'n' || i from generate_series(1, 20) i;
"#;

const CHANGES: [(&str, &str); 17] = [
    ("alter table people disable row level security", "row security public.people is missing"),
    (
        "drop policy own on people; create policy own on people for select to auditor using (name = current_user)",
        "policy roles public.people own is \"permissive for auditor\", not \"permissive for reader\"",
    ),
    (
        "drop policy own on people; create policy own on people as restrictive for select to reader using (name = current_user)",
        "policy roles public.people own is \"restrictive for reader\"",
    ),
    (
        "create or replace function twice(a int) returns int language sql begin atomic select a * 3; end",
        "function clauses public.twice(a integer) has another definition",
    ),
    ("alter function twice security definer", "function clauses public.twice(a integer)"),
    ("alter function thrice set search_path = public", "function clauses public.thrice(a integer)"),
    (
        "alter domain positive drop constraint positive_check",
        "domain public.positive is \"integer\"",
    ),
    ("alter type pair add attribute c int", "composite type public.pair is"),
    ("alter table kept set unlogged", "unlogged table public.kept is not in the reference"),
    (
        "alter table people alter id set generated by default",
        "identity public.people.id is \"by default\", not \"always\"",
    ),
    (
        "alter table people alter alias type text collate pg_catalog.\"default\"",
        "collation public.people.alias is missing",
    ),
    ("revoke select on people from reader", "grants public.people is missing"),
    ("revoke update (note) on kept from reader", "grants public.kept.note is missing"),
    ("alter table kept owner to auditor", "owner public.kept is \"auditor\", not \"admin\""),
    ("alter view good set (security_barrier)", "options public.good is not in the reference"),
    ("alter sequence tickets cycle", "sequence limits public.tickets is"),
    ("grant execute on function thrice to public", "grants public.thrice(a integer) is missing"),
];

#[tokio::test]
async fn server_postgres_regression_no_difference_of_a_schema_is_overlooked() {
    let server = copied(RICH).await;
    let healthy = compared(&server, COPY, json!({"schema": {}, "rows": {}})).await;
    assert_eq!(healthy.red(), []);
    for (number, (change, says)) in CHANGES.iter().enumerate() {
        let name = format!("changed_{number}");
        server.change(&format!("create database {name} template {COPY}")).await;
        server.change_in(&name, change).await;
        let climbed = compared(&server, &name, json!({"schema": {}})).await;
        assert_eq!(climbed.red(), failed(&["schema"]), "{change}");
        let observed = &climbed.check("schema").observed;
        assert!(observed.contains(says), "{change}: {observed}");
    }
}

/// Committed before there was more to hold.
#[tokio::test]
async fn server_postgres_regression_an_old_reference_is_read_and_says_what_it_lacks() {
    let server = copied(RICH).await;
    let (code, written) = fingerprint(&server, &["--rows", "--checksums"]);
    assert_eq!(code, Some(0), "{written}");
    let mut reference: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(reference["redrill_sql_reference"], 3);
    let objects: BTreeMap<String, String> =
        serde_json::from_value(reference["schema"].clone()).unwrap();
    let is_newer = |name: &String| {
        let mut kinds = KINDS_SINCE_FORMAT_2.iter();
        kinds.any(|kind| name.starts_with(&format!("{kind} ")))
    };
    let older: BTreeMap<_, _> = objects.into_iter().filter(|(name, _)| !is_newer(name)).collect();
    reference["redrill_sql_reference"] = json!(1);
    reference["fingerprint"] = json!(digest(&older));
    reference["schema"] = json!(older);
    let file = server.file("reference.json");
    std::fs::write(&file, reference.to_string()).unwrap();
    let rungs = json!({"reference": file, "schema": {}, "rows": {}, "checksums": {}});
    let climbed = climb(&server, COPY, rungs.clone()).await;
    assert_eq!(climbed.red(), []);
    let note = climbed.check("schema").note.clone().unwrap();
    assert!(note.contains("format 1") && note.contains("row security"), "{note}");
    server.change_in(COPY, "alter table kept drop column note").await;
    assert_eq!(climb(&server, COPY, rungs).await.red(), failed(&["checksums", "schema"]));
}

#[tokio::test]
async fn server_postgres_regression_a_lost_column_is_seen_against_a_source_that_is_still_there() {
    let server = source_and_copy(100).await;
    server.change_in(COPY, "drop view recent; alter table orders drop column note").await;
    let climbed = compared(&server, COPY, json!({"checksums": {}})).await;
    assert_eq!(climbed.red(), failed(&["checksums"]));
    let observed = &climbed.check("checksums").observed;
    assert!(observed.contains("public.orders: column note is missing"), "{observed}");
    server.change_in(COPY, "alter table detail_1 drop constraint detail_1_pkey").await;
    let tables = json!({"checksums": {"tables": ["detail_1"]}});
    let observed = compared(&server, COPY, tables).await.check("checksums").observed.clone();
    assert!(observed.contains("its key is (), not (id)"), "{observed}");
    // Asked for by name, and here alone; what is wrong besides stays wrong.
    server.change_in(COPY, "create table newer as select 1 as id").await;
    let named = |tables: &[&str]| json!({"checksums": {"tables": tables}});
    let open = compared(&server, COPY, named(&["detail_2", "newer"])).await;
    assert_eq!(open.red(), inconclusive("checksums"));
    let note = open.check("checksums").note.clone().unwrap();
    assert!(note.contains("public.newer, all keys: is not in the source"), "{note}");
    let wrong = compared(&server, COPY, named(&["orders", "newer"])).await;
    assert_eq!(wrong.red(), failed(&["checksums"]));
}

/// Enums, and what stands for other objects, are numbers within; those are other ones in a logical copy.
#[tokio::test]
async fn server_postgres_regression_a_copy_with_enums_is_healthy_and_its_damage_is_seen() {
    let content = "create type mood as enum ('good', 'bad'); create domain shown as mood; create type pair as (m mood, n int); \
         create table plain (id int primary key, v text); \
         create table moods (id int primary key, m mood, a mood[], d shown, c pair, r regclass); \
         insert into plain select i, 'v' || i from generate_series(1, 50) i; \
         insert into moods select i, 'good', array['good', 'bad']::mood[], 'bad', row('good', i)::pair, 'plain' \
         from generate_series(1, 50) i";
    let server = copied(content).await;
    let healthy = compared(&server, COPY, json!({"checksums": {}})).await;
    assert_eq!(healthy.red(), []);
    assert_eq!(healthy.check("checksums").population, Some(100));
    server.change_in(COPY, "update moods set m = 'bad' where id = 7").await;
    let damaged = compared(&server, COPY, json!({"checksums": {}})).await;
    assert_eq!(damaged.red(), failed(&["checksums"]));
    assert!(damaged.check("checksums").observed.contains("public.moods"));
}

#[tokio::test]
async fn server_postgres_regression_a_sequence_that_was_restarted_ahead_is_not_behind() {
    let server = source_and_copy(20).await;
    let rungs = || json!({"sequences": true});
    for (change, next) in [
        ("alter sequence orders_id_seq restart with 1000", None),
        ("alter sequence orders_id_seq restart with 21", None),
        ("alter sequence orders_id_seq restart with 20", Some("20")),
        ("select setval('orders_id_seq', 19)", Some("20")),
        ("select setval('orders_id_seq', 20)", None),
        ("alter sequence orders_id_seq increment by 10; select setval('orders_id_seq', 11)", None),
    ] {
        server.change_in(COPY, change).await;
        let climbed = climb(&server, COPY, rungs()).await;
        let Some(next) = next else {
            assert_eq!(climbed.red(), [], "{change}");
            continue;
        };
        assert_eq!(climbed.red(), failed(&["sequences"]), "{change}");
        let observed = &climbed.check("sequences").observed;
        let expected = format!("gives {next} next, but public.orders.id holds 20");
        assert!(observed.contains(&expected), "{observed}");
    }
}

fn is_hydrated(read: &Stepped) -> bool {
    let point = |event| serde_json::to_value(event).is_ok_and(|event| event["point"] == "hydrated");
    read.events.iter().any(point)
}

#[tokio::test]
async fn server_postgres_regression_hydrated_is_said_of_nothing_that_was_not_read() {
    let content = "create table events (id int, at int, primary key (id, at)) partition by range (at); \
         create table events_1 partition of events for values from (0) to (100); \
         create table events_2 partition of events for values from (100) to (200) partition by range (id); \
         create table events_2_1 partition of events_2 for values from (0) to (10000); \
         insert into events select i, i % 200 from generate_series(1, 9000) i; \
         create table hidden (id int primary key); insert into hidden select generate_series(1, 1000); \
         create role reader login password 'swordfish'; grant select on events, events_1, events_2, events_2_1 to reader";
    let server = copied(content).await;
    let password = server.file("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let read = async |tables: &[&str]| {
        let with = json!({
            "p95": "30s", "samples": 40, "warm_up": true, "tables": tables,
            "credentials": {"password_file": password, "user": "reader"},
        });
        step(server.folder.path(), "sql.hydrate", connected(&server, COPY, with)).await
    };
    let parts = read(&["events"]).await;
    assert_eq!(parts.red(), []);
    assert!(is_hydrated(&parts));
    assert_eq!(parts.output.as_ref().unwrap()["reads"], 9 * 40);
    let denied = read(&["events", "hidden"]).await;
    assert_eq!(denied.red(), inconclusive("read latency"));
    assert!(!is_hydrated(&denied));
    assert_eq!(denied.output.as_ref().unwrap()["hydrated_after"], Value::Null);
    let note = denied.check("read latency").note.clone().unwrap();
    assert!(note.contains("public.hidden: SQLSTATE 42501"), "{note}");
}

#[tokio::test]
async fn server_postgres_regression_an_index_that_is_not_used_is_damage_and_others_are_named() {
    let server = source_and_copy(10).await;
    server.change_in(COPY, "create index by_sku on lines using hash (sku)").await;
    let climbed = climb(&server, COPY, json!({"inspect": {}})).await;
    assert_eq!(climbed.red(), []);
    let note = climbed.check("tables and indexes").note.clone().unwrap();
    assert!(note.contains("not inspected: index public.by_sku (hash)"), "{note}");
    // As `create index concurrently` leaves it when it comes to no end.
    let invalid =
        "update pg_index set indisvalid = false where indexrelid = 'orders_placed'::regclass";
    server.change_in(COPY, invalid).await;
    let climbed = climb(&server, COPY, json!({"inspect": {"tables": ["orders"]}})).await;
    assert_eq!(climbed.red(), failed(&["tables and indexes"]));
    let observed = &climbed.check("tables and indexes").observed;
    assert!(observed.contains("index public.orders_placed: it is invalid"), "{observed}");
}

#[tokio::test]
async fn server_mariadb_regression_digits_of_floats_and_rows_without_a_key_are_compared() {
    let both = Mariadb::make("digits").await;
    let names = |database: &str, order: &str| {
        format!(
            "create table {database}.prices (id int primary key, f float, d double); \
             insert into {database}.prices values (1, 16777216, 0.1), (2, 1.5, 0.2), (3, null, 3e100); \
             create table {database}.names (n varchar(20), long_text text, f float) collate utf8mb4_general_ci; \
             insert into {database}.names select * from (select 'a' n, repeat('x', 3000) l, 1.1 f \
               union all select 'A', repeat('x', 3000), 1.1 union all select 'A', concat(repeat('x', 3000), 'y'), 1.1 \
               union all select null, 'z', null) q order by {order}"
        )
    };
    both.change(&names(&both.source, "binary n, l")).await;
    both.change(&names(&both.copy, "binary n desc, l desc")).await;
    let climbed = both.climb().await;
    assert_eq!(climbed.red(), []);
    assert_eq!(climbed.check("checksums").population, Some(590 + 3 + 4));
    both.change(&format!("update {}.prices set f = 16777218 where id = 1", both.copy)).await;
    let climbed = both.climb().await;
    assert_eq!(climbed.red(), failed(&["checksums"]));
    assert!(climbed.check("checksums").observed.contains("prices"));
    both.drop_both().await;
}

#[tokio::test]
async fn server_mariadb_regression_no_difference_of_a_schema_is_overlooked() {
    let both = Mariadb::make("differences").await;
    for database in [&both.source, &both.copy] {
        both.change(&format!(
            "create table {database}.made (id int primary key, g int, h int generated always as (g + 1) virtual, \
               n varchar(10) collate utf8mb4_bin) engine=InnoDB collate utf8mb4_general_ci; \
             create procedure {database}.p(in a int) select a; \
             create function {database}.f(a int) returns int deterministic return a + 1; \
             create event {database}.e on schedule every 1 day do delete from made"
        ))
        .await;
    }
    assert_eq!(both.climb().await.red(), []);
    let copy = &both.copy;
    for (change, says) in [
        (
            format!(
                "alter table {copy}.made drop column h, add h int generated always as (g + 2) virtual after g"
            ),
            "generated made.h is",
        ),
        (format!("alter table {copy}.made engine=MyISAM"), "engine made is"),
        (
            format!("alter table {copy}.made modify n varchar(10) collate utf8mb4_unicode_ci"),
            "collation made.n is",
        ),
        (format!("drop event {copy}.e"), "event e is missing"),
        (
            format!("drop procedure {copy}.p; create procedure {copy}.p(in a bigint) select a"),
            "procedure parameter p 1 is",
        ),
        (
            format!(
                "drop function {copy}.f; create function {copy}.f(a int) returns bigint deterministic return a + 1"
            ),
            "function parameter f 0 is",
        ),
    ] {
        both.change(&change).await;
        let climbed = both.climb().await;
        let observed = climbed.check("schema").observed.clone();
        assert_eq!(climbed.check("schema").outcome, FAILED, "{change}");
        assert!(observed.contains(says), "{change}: {observed}");
    }
    both.drop_both().await;
}

/// What the test of enums stands on.
#[tokio::test]
async fn server_postgres_copies_have_other_numbers_for_the_same_enum() {
    let server = copied("create type mood as enum ('good', 'bad'); create table t (m mood)").await;
    let number = async |database: &str| {
        let login = DatabaseLogin { database: database.to_owned(), ..server.login() };
        let mut session = open(&login).await.unwrap();
        value(&mut session, "select oid::bigint from pg_enum where enumlabel = 'bad'").await
    };
    assert_ne!(number(SOURCE).await, number(COPY).await);
}
