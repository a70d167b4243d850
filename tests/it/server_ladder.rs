//! The rungs of `sql.check` against real servers: a database of 20 tables, a logical copy of it that plays the restored
//! side, and every kind of damage done to the copy.

use crate::server_databases::{PASSWORD, Postgres, Stepped, connected, mariadb, open, step, value};
use redrill::journal::{FailureClass, Outcome};
use redrill::outside::{DatabaseLogin, SqlValue};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, raw_sql};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const SOURCE: &str = "orders";
pub(crate) const COPY: &str = "restored";
pub(crate) const FAILED: Outcome = Outcome::Failed;
pub(crate) const INCONCLUSIVE: Outcome = Outcome::Inconclusive;

/// Twenty tables with keys of every kind; `rows` in each of the larger ones. The same rows and seed give the same content.
pub(crate) fn generated(sql: &str, rows: u32, seed: u32) -> String {
    let sql = sql.replace("$ROWS", &rows.to_string()).replace("$SEED", &seed.to_string());
    sql.replace("$FEW", &(rows / 10 + 1).to_string())
}

pub(crate) const TWENTY_TABLES: &str = include_str!("../servers/twenty_tables.sql");
pub(crate) const SEED: u32 = 20_261_122;

/// A source and a logical copy of it, in one server.
pub(crate) async fn source_and_copy(rows: u32) -> Postgres {
    let server = Postgres::start("-c autovacuum=off", |_| {});
    server.change(&format!("create database {SOURCE}")).await;
    server.change(&format!("create database {COPY}")).await;
    server.change_in(SOURCE, &generated(TWENTY_TABLES, rows, SEED)).await;
    copy(&server);
    server
}

/// `pg_dump` and `psql`: what came back is written anew, page by page.
pub(crate) fn copy(server: &Postgres) {
    let port = server.port.to_string();
    let with_login = |mut command: Command| {
        command.env("PGPASSWORD", PASSWORD).env("PGPORT", &port);
        command.args(["-h", "localhost", "-U", "admin"]);
        command
    };
    let mut dump = with_login(server.program("pg_dump"));
    let mut dump = dump.arg(SOURCE).stdout(Stdio::piped()).spawn().unwrap();
    let mut load = with_login(server.program("psql"));
    load.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", COPY]).stdout(Stdio::null());
    let loaded = load.stdin(dump.stdout.take().unwrap()).status().unwrap();
    assert!(loaded.success() && dump.wait().unwrap().success());
}

/// Every rung, compared with the living source: rows are hashed by the servers.
pub(crate) fn every_rung(server: &Postgres) -> Value {
    json!({
        "source": connected(server, SOURCE, json!({"at": "home"})),
        "version": "~ ^[0-9]+", "settings": {"server_encoding": "= UTF8"},
        "schema": {}, "rows": {}, "checksums": {}, "sequences": true, "inspect": {},
        "watermark": "select max(committed_at) from heartbeat",
        "point_in_time": {
            "before": "select count(*) from heartbeat where committed_at <= '2026-11-22 03:00:00+00'",
            "after": "select count(*) from heartbeat where committed_at > '2026-11-22 03:00:00+00'",
        },
        "queries": [{
            "name": "no order without a customer",
            "sql": "select count(*) from orders where customer_id not in (select id from customers)",
            "expect": "= 0", "population": "select count(*) from orders",
        }],
    })
}

pub(crate) async fn climb(server: &Postgres, database: &str, rungs: Value) -> Stepped {
    step(server.folder.path(), "sql.check", connected(server, database, rungs)).await
}

#[tokio::test]
async fn server_postgres_a_logical_copy_passes_every_rung() {
    let server = source_and_copy(500).await;
    let climbed = climb(&server, COPY, every_rung(&server)).await;
    assert_eq!(climbed.red(), []);
    let rows = climbed.check("row counts");
    let sums = climbed.check("checksums");
    // 14 tables of 500 rows, two of 51, 200 countries, 300 lines of a log, one heartbeat, and an empty archive.
    assert_eq!(rows.population, Some(14 * 500 + 2 * 51 + 200 + 300 + 1));
    assert_eq!(sums.population, rows.population);
    assert!(sums.note.as_ref().is_some_and(|note| note.contains("public.archive")), "{sums:?}");
    assert!(climbed.check("schema").population.unwrap() > 80);
    assert_eq!(climbed.check("sequences").population, Some(14));
    assert!(climbed.check("tables and indexes").population.unwrap() > 35);
}

/// One kind of damage, and the checks that name it.
struct Damage {
    sql: &'static str,
    named_by: &'static [(&'static str, Outcome)],
    /// In the observation of the last of them.
    says: &'static str,
}

const DAMAGES: &[Damage] = &[
    Damage {
        sql: "delete from lines where order_id = 7",
        named_by: &[("checksums", FAILED), ("row counts", FAILED)],
        says: "public.lines has 497 instead of 500",
    },
    Damage {
        sql: "update detail_7 set amount = amount + 1 where id = 321",
        named_by: &[("checksums", FAILED)],
        says: "public.detail_7, keys from 300 to before 350: other content in 50 rows",
    },
    Damage {
        sql: "update tokens set raw = set_byte(raw, 3, (get_byte(raw, 3) + 1) % 256) where payload->>'n' = '9'",
        named_by: &[("checksums", FAILED)],
        says: "public.tokens",
    },
    Damage {
        sql: "update log set what = null where what = 'line 200'",
        named_by: &[("checksums", FAILED)],
        says: "public.log, all keys: other content in 300 rows",
    },
    Damage {
        sql: "select setval('orders_id_seq', 10)",
        named_by: &[("sequences", FAILED)],
        says: "public.orders_id_seq gives 11 next, but public.orders.id holds 500",
    },
    Damage {
        sql: "truncate countries",
        named_by: &[("checksums", FAILED), ("row counts", FAILED)],
        says: "public.countries has 0 instead of 200",
    },
    Damage {
        sql: "drop table archive",
        named_by: &[("checksums", FAILED), ("schema", FAILED)],
        says: "column public.archive.id is missing",
    },
    Damage {
        sql: "alter table orders add column extra int",
        named_by: &[("checksums", FAILED), ("schema", FAILED)],
        says: "column public.orders.extra is not in the reference",
    },
    Damage {
        sql: "drop index orders_placed; create index orders_placed on orders (placed)",
        named_by: &[("schema", FAILED)],
        says: "index public.orders orders_placed is \"btree (placed)\", not \"btree (placed) WHERE",
    },
    Damage {
        sql: "create or replace function doubled(a int) returns int language sql immutable as 'select a * 3'",
        named_by: &[("schema", FAILED)],
        says: "function public.doubled(a integer) has another definition",
    },
    Damage {
        sql: "alter table orders drop constraint orders_total_check",
        named_by: &[("schema", FAILED)],
        says: "check public.orders orders_total_check is missing",
    },
    Damage {
        sql: "update heartbeat set committed_at = now() + interval '9 hours'",
        named_by: &[
            ("newest data", INCONCLUSIVE),
            ("no row from after the point", FAILED),
            ("row from before the point", FAILED),
            ("checksums", FAILED),
        ],
        says: "public.heartbeat",
    },
    Damage {
        sql: "update heartbeat set committed_at = '2026-11-22 03:00:01+00'",
        named_by: &[
            ("no row from after the point", FAILED),
            ("row from before the point", FAILED),
            ("checksums", FAILED),
        ],
        says: "public.heartbeat",
    },
    Damage {
        sql: "insert into heartbeat values ('2026-11-22 03:00:01+00')",
        named_by: &[
            ("checksums", FAILED),
            ("row counts", FAILED),
            ("no row from after the point", FAILED),
        ],
        says: "1",
    },
    Damage {
        sql: "alter table orders drop constraint orders_customer_id_fkey; delete from customers where id = 5",
        named_by: &[
            ("checksums", FAILED),
            ("row counts", FAILED),
            ("schema", FAILED),
            ("no order without a customer", FAILED),
        ],
        says: "10",
    },
];

#[tokio::test]
async fn server_postgres_every_kind_of_damage_is_named_by_its_checks() {
    let server = source_and_copy(500).await;
    for (number, damage) in DAMAGES.iter().enumerate() {
        let name = format!("damaged_{number}");
        server.change(&format!("create database {name} template {COPY}")).await;
        server.change_in(&name, damage.sql).await;
        let climbed = climb(&server, &name, every_rung(&server)).await;
        let mut expected: Vec<_> =
            damage.named_by.iter().map(|(name, outcome)| ((*name).to_owned(), *outcome)).collect();
        expected.sort();
        assert_eq!(climbed.red(), expected, "{}", damage.sql);
        let (last, _) = damage.named_by[damage.named_by.len() - 1];
        let observed = &climbed.check(last).observed;
        assert!(observed.contains(damage.says), "{}: {observed}", damage.sql);
        server.change(&format!("drop database {name}")).await;
    }
}

/// As text, what is equal and not the same differs, too.
#[tokio::test]
async fn server_postgres_exact_checksums_see_every_damage_and_other_digits() {
    let server = source_and_copy(500).await;
    let rungs = |exact: bool| {
        let source = connected(&server, SOURCE, json!({"at": "home"}));
        json!({"source": source, "checksums": {"exact": exact}})
    };
    for exact in [true, false] {
        assert_eq!(climb(&server, COPY, rungs(exact)).await.red(), []);
        let sums = climb(&server, COPY, rungs(exact)).await.check("checksums").population;
        assert_eq!(sums, Some(14 * 500 + 2 * 51 + 200 + 300 + 1));
    }
    let digits = "alter table tokens disable trigger all; \
                  update tokens set payload = jsonb_build_object('n', '7.0'::numeric) where payload->>'n' = '7'";
    server.change_in(COPY, digits).await;
    assert_eq!(climb(&server, COPY, rungs(false)).await.red(), []);
    assert_eq!(climb(&server, COPY, rungs(true)).await.red(), [("checksums".to_owned(), FAILED)]);
    // A type without a hash function is read as text.
    for database in [SOURCE, COPY] {
        server
            .change_in(database, "alter table countries add column shape json default '[1]'")
            .await;
    }
    server.change_in(COPY, "update countries set shape = '[1 ]' where code = 'BA'").await;
    let red = climb(&server, COPY, rungs(false)).await;
    assert_eq!(red.red(), [("checksums".to_owned(), FAILED)]);
    assert!(red.check("checksums").observed.contains("public.countries"));
}

/// Writes into a file of a stopped server, as a broken storage would.
pub(crate) async fn corrupted(server: &Postgres, relation: &str, write: impl FnOnce(&mut [u8])) {
    corrupted_in(server, COPY, relation, write).await;
}

/// The same, in another database of the server.
pub(crate) async fn corrupted_in(
    server: &Postgres,
    database: &str,
    relation: &str,
    write: impl FnOnce(&mut [u8]),
) {
    server.change_in(database, "checkpoint").await;
    let login = DatabaseLogin { database: database.to_owned(), ..server.login() };
    let mut session = open(&login).await.unwrap();
    let asked = format!("select pg_relation_filepath('{relation}')");
    let SqlValue::Text(path) = value(&mut session, &asked).await else { panic!("no path") };
    drop(session);
    server.stop();
    let file = Path::new(&server.file("data")).join(path);
    let mut bytes = std::fs::read(&file).unwrap();
    write(&mut bytes);
    std::fs::write(&file, bytes).unwrap();
    server.boot("-c autovacuum=off");
}

/// The first two items of a leaf page of a B-tree change places: no query of a whole table sees it.
pub(crate) fn swap_two_items(index: &mut [u8]) {
    // Page 0 is the meta page. Line pointers of 4 bytes follow the header of 24; the first of a leaf that is not the
    // rightmost is its high key. https://www.postgresql.org/docs/15/storage-page-layout.html
    const PAGE: usize = 8192;
    let pointers = PAGE + 24;
    for byte in 0..4 {
        index.swap(pointers + 4 + byte, pointers + 8 + byte);
    }
}

#[tokio::test]
async fn server_postgres_a_corrupted_index_is_found_although_every_row_is_there() {
    let server = source_and_copy(500).await;
    corrupted(&server, "detail_3_pkey", swap_two_items).await;
    let climbed = climb(&server, COPY, every_rung(&server)).await;
    assert_eq!(climbed.red(), [("tables and indexes".to_owned(), FAILED)]);
    let observed = &climbed.check("tables and indexes").observed;
    assert!(observed.contains("index public.detail_3_pkey: SQLSTATE XX002"), "{observed}");
}

#[tokio::test]
async fn server_postgres_a_broken_page_fails_what_reads_it_and_stops_nothing_else() {
    let server = source_and_copy(500).await;
    // Flags, lower, upper and special of the page header.
    corrupted(&server, "detail_3", |bytes| bytes[10..18].fill(0xff)).await;
    let climbed = climb(&server, COPY, every_rung(&server)).await;
    let red = climbed.red();
    for name in ["checksums", "row counts", "tables and indexes"] {
        assert!(red.contains(&(name.to_owned(), FAILED)), "{name}: {red:?}");
        assert!(climbed.check(name).observed.contains("XX001"), "{:?}", climbed.check(name));
    }
    assert_eq!(climbed.check("no order without a customer").outcome, Outcome::Passed);
}

#[tokio::test]
async fn server_postgres_what_cannot_be_inspected_is_inconclusive_with_the_way_out() {
    let server = source_and_copy(10).await;
    server.change_in(COPY, "drop extension amcheck").await;
    let climbed = climb(&server, COPY, json!({"inspect": {}})).await;
    assert_eq!(climbed.red(), [("tables and indexes".to_owned(), INCONCLUSIVE)]);
    let note = climbed.check("tables and indexes").note.clone().unwrap();
    assert!(note.contains("create extension amcheck"), "{note}");
    // With the extension, but without the right to use it.
    let reader = "create extension amcheck; create role reader login password 'swordfish'; \
                  grant select on all tables in schema public to reader; grant usage on schema public to reader";
    server.change_in(COPY, reader).await;
    let password = server.file("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let with = json!({
        "inspect": {"tables": ["detail_1"]}, "credentials": {"password_file": password, "user": "reader"}
    });
    let climbed = climb(&server, COPY, with).await;
    assert_eq!(climbed.red(), [("tables and indexes".to_owned(), INCONCLUSIVE)]);
    let note = climbed.check("tables and indexes").note.clone().unwrap();
    assert!(note.contains("SQLSTATE 42501"), "{note}");
}

#[tokio::test]
async fn server_postgres_a_reference_in_a_file_is_what_the_program_writes_and_the_check_reads() {
    let server = source_and_copy(100).await;
    let written = fingerprint(&server, &["--rows", "--checksums", "--ranges", "4"]);
    assert_eq!(written.0, Some(0), "{}", written.1);
    let file = server.file("orders.json");
    std::fs::write(&file, &written.1).unwrap();
    let rungs =
        json!({"reference": file, "schema": {}, "rows": {}, "checksums": {"sample": "50%"}});
    let climbed = climb(&server, COPY, rungs.clone()).await;
    assert_eq!(climbed.red(), []);
    server.change_in(COPY, "update detail_9 set amount = amount + 1").await;
    assert_eq!(climb(&server, COPY, rungs.clone()).await.red(), [("checksums".to_owned(), FAILED)]);
    // Something that was edited by hand, and something that is not there.
    std::fs::write(&file, written.1.replace("\"integer not null\"", "\"bigint not null\""))
        .unwrap();
    let climbed = climb(&server, COPY, rungs).await;
    let error = climbed.output.unwrap_err();
    assert!(error.to_string().contains("it was edited"), "{error}");
    let climbed = climb(&server, COPY, json!({"reference": "nowhere.json", "schema": {}})).await;
    assert_eq!(climbed.output.unwrap_err().class(), FailureClass::Broken);
}

/// By hand: `copy (select …) to stdout | sha256sum`.
#[tokio::test]
async fn server_postgres_a_checksum_is_what_people_get_with_psql_and_sha256sum() {
    let server = source_and_copy(100).await;
    let only = [
        "--checksums",
        "--ranges",
        "1",
        "--table",
        "tokens",
        "--only",
        "tokens=payload->>'n' < '5'",
    ];
    let (_, reference) = fingerprint(&server, &only);
    let reference: Value = serde_json::from_str(&reference).unwrap();
    let digest = &reference["tables"]["public.tokens"]["ranges"][0]["digest"];
    let mut by_hand = server.program("psql");
    by_hand.env("PGPASSWORD", PASSWORD).env("PGPORT", server.port.to_string());
    by_hand.args(["-X", "-q", "-h", "localhost", "-U", "admin", "-d", SOURCE, "-c"]);
    by_hand.arg("copy (select * from tokens where payload->>'n' < '5' order by id) to stdout");
    let said = by_hand.output().unwrap();
    let expected = redrill::ids::Digest::of(&said.stdout).to_string();
    assert!(!said.stdout.is_empty());
    assert_eq!(digest, &json!(expected));
}

/// `redrill sql fingerprint` of the source: exit code and output.
pub(crate) fn fingerprint(server: &Postgres, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redrill"));
    let url = format!("postgres://admin@localhost:{}/{SOURCE}", server.port);
    command.args(["sql", "fingerprint", "--tls", "off", "--url", &url, "--password-env", "WORD"]);
    let ended = command.args(more).env("WORD", PASSWORD).output().unwrap();
    let text = if ended.status.success() { ended.stdout } else { ended.stderr };
    (ended.status.code(), String::from_utf8(text).unwrap())
}

/// Reads so slowly that something can happen in the meantime.
const SLOWLY: &str = "pg_sleep(0.05) is not null";

fn slow_checksums() -> Value {
    json!({"tables": ["detail_1"], "only": {"detail_1": SLOWLY}, "ranges": 1})
}

/// A check that reads slowly, and what is done to the process that serves it.
async fn disturbed(server: &Postgres, limit: &str, disturb: impl AsyncFnOnce(i64)) -> Stepped {
    let rungs = json!({
        "source": connected(server, SOURCE, json!({"at": "home", "statement_timeout": "2m"})),
        "statement_timeout": limit, "checksums": slow_checksums(),
    });
    let serving = async {
        let mut session = open(&server.login()).await.unwrap();
        let sql = format!(
            "select pid::bigint from pg_stat_activity where datname = '{COPY}' and query like '%pg_sleep%' \
             and state = 'active'"
        );
        loop {
            let rows = session.query(&sql).await.unwrap();
            if let Some(SqlValue::Integer(pid)) = rows.single() {
                break disturb(*pid).await;
            }
        }
    };
    tokio::join!(climb(server, COPY, rungs), serving).0
}

#[tokio::test]
async fn server_postgres_a_connection_that_is_lost_in_the_middle_ends_the_step_and_may_be_tried_again()
 {
    let server = source_and_copy(400).await;
    let lost = disturbed(&server, "2m", async |pid| {
        server.change(&format!("select pg_terminate_backend({pid})")).await;
    })
    .await;
    let error = lost.output.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient, "{error}");
    let said = ["57P01", "closed the connection"];
    assert!(said.iter().any(|said| error.to_string().contains(said)), "{error}");
}

#[tokio::test]
async fn server_postgres_a_server_that_hangs_is_given_up_at_the_limit() {
    let server = source_and_copy(400).await;
    let signal = |pid: i64, name: &str| {
        let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
        assert!(sent.success());
    };
    let mut stopped = None;
    let hung = disturbed(&server, "3s", async |pid| {
        signal(pid, "-STOP");
        stopped = Some(pid);
    })
    .await;
    signal(stopped.unwrap(), "-CONT");
    let error = hung.output.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient, "{error}");
    assert!(error.to_string().contains("did not answer within"), "{error}");
}

#[tokio::test]
async fn server_postgres_a_statement_beyond_its_limit_leaves_its_check_open_and_the_next_ones_go_on()
 {
    let server = source_and_copy(100).await;
    let rungs = json!({
        "source": connected(&server, SOURCE, json!({"at": "home", "statement_timeout": "2m"})),
        "statement_timeout": "1s",
        "checksums": slow_checksums(), "sequences": true,
    });
    let climbed = climb(&server, COPY, rungs).await;
    assert_eq!(climbed.red(), [("checksums".to_owned(), INCONCLUSIVE)]);
    let note = climbed.check("checksums").note.clone().unwrap();
    assert!(note.contains("SQLSTATE 57014"), "{note}");
}

/// Something listens and says nothing.
#[tokio::test]
async fn server_silence_is_waited_for_and_given_up_as_a_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "swordfish").unwrap();
    let with = json!({
        "endpoint": "localhost", "port": silent.local_addr().unwrap().port(), "tls": "off", "database": "orders",
        "credentials": {"password_file": password, "user": "ro"}, "ready_within": "1s",
    });
    let error = step(folder.path(), "sql.check", with).await.output.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut, "{error}");
}

#[tokio::test]
async fn server_postgres_conditions_of_a_scenario_stay_within_their_select() {
    let server = source_and_copy(10).await;
    for only in [
        "true) to stdout; delete from detail_1; --",
        "true); delete from detail_1; --",
        "true; delete from detail_1",
    ] {
        let rungs = json!({
            "source": connected(&server, SOURCE, json!({"at": "home"})),
            "checksums": {"tables": ["detail_1"], "only": {"detail_1": only}},
        });
        let climbed = climb(&server, COPY, rungs).await;
        assert_eq!(climbed.red(), [("checksums".to_owned(), INCONCLUSIVE)], "{only}");
    }
    let login = DatabaseLogin { database: COPY.to_owned(), ..server.login() };
    let mut session = open(&login).await.unwrap();
    let count = value(&mut session, "select count(*) from detail_1").await;
    assert_eq!(count, SqlValue::Integer(10));
}

/// What is split or hidden is neither left out nor taken for less.
#[tokio::test]
async fn server_postgres_partitions_are_looked_into_and_hidden_rows_are_no_answer() {
    let server = Postgres::start("", |_| {});
    server.change(&format!("create database {SOURCE}")).await;
    let content = "create extension amcheck; create table events (id int, at int, primary key (id, at)) partition by range (at); \
         create table events_1 partition of events for values from (0) to (100); \
         create table events_2 partition of events for values from (100) to (200); \
         insert into events select i, i % 200 from generate_series(1, 400) i";
    server.change_in(SOURCE, content).await;
    server.change(&format!("create database {COPY} template {SOURCE}")).await;
    let rungs = || {
        json!({
            "source": connected(&server, SOURCE, json!({"at": "home"})),
            "schema": {}, "rows": {}, "checksums": {}, "inspect": {},
        })
    };
    let climbed = climb(&server, COPY, rungs()).await;
    assert_eq!(climbed.red(), []);
    assert_eq!(climbed.check("row counts").population, Some(400));
    // Two tables and their indexes.
    assert_eq!(climbed.check("tables and indexes").population, Some(4));
    server.change_in(COPY, "alter table events detach partition events_2").await;
    let red: Vec<_> = climb(&server, COPY, rungs()).await.red();
    let failed = |name: &str| (name.to_owned(), FAILED);
    assert_eq!(red, [failed("checksums"), failed("row counts"), failed("schema")]);

    let hidden = "create role reader login password 'swordfish'; alter table events enable row level security; \
                  grant select on all tables in schema public to reader; create policy few on events using (id < 10)";
    server.change_in(SOURCE, hidden).await;
    let password = server.file("reader-password");
    std::fs::write(&password, "swordfish").unwrap();
    let reference = write(&server, &fingerprint(&server, &["--rows"]).1);
    let with = json!({
        "reference": reference, "rows": {"tables": ["events"]},
        "credentials": {"password_file": password, "user": "reader"},
    });
    let climbed = climb(&server, SOURCE, with).await;
    assert_eq!(climbed.red(), [("row counts".to_owned(), INCONCLUSIVE)]);
    let note = climbed.check("row counts").note.clone().unwrap();
    assert!(note.contains("row-level security"), "{note}");
}

/// Source and copy in MariaDB, with names of this test alone.
pub(crate) struct Mariadb {
    pub(crate) login: DatabaseLogin,
    url: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) source: String,
    pub(crate) copy: String,
}

impl Mariadb {
    pub(crate) async fn make(name: &str) -> Self {
        let (login, url) = mariadb();
        let (source, copy) = (format!("redrill_{name}_source"), format!("redrill_{name}_copy"));
        let made = Self { login, url, folder: tempfile::tempdir().unwrap(), source, copy };
        let (from, to) = (&made.source, &made.copy);
        for database in [from, to] {
            made.change(&format!("create or replace database {database}")).await;
            made.change(&format!(
                "create table {database}.customers (id int auto_increment primary key, name varchar(40) not null unique); \
                 create table {database}.orders (id bigint auto_increment primary key, customer_id int not null, \
                   total decimal(12, 2) not null check (total >= 0), note text, key by_customer (customer_id), \
                   foreign key (customer_id) references customers (id)); \
                 create table {database}.codes (code varchar(8) primary key, raw varbinary(16)); \
                 create view {database}.recent as select id, total from {database}.orders where id > 10"
            ))
            .await;
        }
        made.change(&format!(
            "insert into {from}.customers (name) select concat('customer ', seq) from seq_1_to_50; \
             insert into {from}.orders (customer_id, total, note) select 1 + seq % 50, seq * 7919 % 100000 / 100, \
               if(seq % 3 = 0, null, concat('a\\\\tb', seq)) from seq_1_to_500; \
             insert into {from}.codes select concat('c', seq), unhex(md5(seq)) from seq_1_to_40; \
             insert into {to}.customers select * from {from}.customers; insert into {to}.orders select * from {from}.orders; \
             insert into {to}.codes select * from {from}.codes order by raw"
        ))
        .await;
        made
    }

    pub(crate) async fn change(&self, sql: &str) {
        let mut owner = sqlx::MySqlConnection::connect(&self.url).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut owner).await.unwrap();
    }

    pub(crate) fn connected(&self, database: &str, more: Value) -> Value {
        let password = self.folder.path().join("password");
        std::fs::write(&password, self.login.password.reveal()).unwrap();
        let mut with = json!({
            "endpoint": self.login.host, "port": self.login.port, "engine": "mysql", "tls": "off", "database": database,
            "credentials": {"password_file": password, "user": self.login.user},
        });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    }

    pub(crate) async fn climb(&self) -> Stepped {
        let rungs = json!({
            "source": self.connected(&self.source, json!({"at": "home"})),
            "version": "~ MariaDB", "settings": {"character_set_server": "~ ^(utf8mb4|latin1)$"},
            "schema": {}, "rows": {}, "checksums": {"ranges": 8}, "sequences": true, "inspect": {},
        });
        step(self.folder.path(), "sql.check", self.connected(&self.copy, rungs)).await
    }

    pub(crate) async fn drop_both(&self) {
        self.change(&format!("drop database {}; drop database {}", self.source, self.copy)).await;
    }
}

#[tokio::test]
async fn server_mariadb_a_logical_copy_passes_every_rung_and_damage_is_named() {
    let both = Mariadb::make("ladder").await;
    let climbed = both.climb().await;
    assert_eq!(climbed.red(), []);
    assert_eq!(climbed.check("checksums").population, Some(590));
    assert_eq!(climbed.check("sequences").population, Some(2));
    assert_eq!(climbed.check("tables and indexes").population, Some(3));
    let copy = &both.copy;
    for (damage, repair, named_by) in [
        (
            format!("update {copy}.orders set note = 'a' where id = 7"),
            format!("update {copy}.orders set note = concat('a\\\\tb', 7) where id = 7"),
            vec!["checksums"],
        ),
        (
            format!("update {copy}.codes set raw = x'00' where code = 'c7'"),
            format!("update {copy}.codes set raw = unhex(md5(7)) where code = 'c7'"),
            vec!["checksums"],
        ),
        (
            format!(
                "create table {copy}.kept as select * from {copy}.codes where code > 'c2'; delete from {copy}.codes where code > 'c2'"
            ),
            format!("insert into {copy}.codes select * from {copy}.kept; drop table {copy}.kept"),
            vec!["checksums", "row counts", "schema"],
        ),
        (
            format!(
                "alter table {copy}.orders drop key by_customer, add key by_customer (customer_id, total)"
            ),
            format!(
                "alter table {copy}.orders drop key by_customer, add key by_customer (customer_id)"
            ),
            vec!["schema"],
        ),
        (
            format!(
                "create or replace view {copy}.recent as select id, total from {copy}.orders where id > 11"
            ),
            format!(
                "create or replace view {copy}.recent as select id, total from {copy}.orders where id > 10"
            ),
            vec!["schema"],
        ),
    ] {
        both.change(&damage).await;
        let climbed = both.climb().await;
        let red: Vec<_> = climbed.red().into_iter().map(|(name, _)| name).collect();
        assert_eq!(red, named_by, "{damage}");
        both.change(&repair).await;
    }
    assert_eq!(both.climb().await.red(), []);
    both.drop_both().await;
}

/// A statement that is stopped at its limit, and a connection that is lost.
#[tokio::test]
async fn server_mariadb_limits_and_lost_connections_are_told_apart() {
    let both = Mariadb::make("limits").await;
    let rungs = |limit: &str| {
        let source = json!({"at": "home", "statement_timeout": "2m"});
        json!({
            "source": both.connected(&both.source, source), "statement_timeout": limit,
            "checksums": {"tables": ["orders"], "only": {"orders": "sleep(0.05) = 0"}, "ranges": 1},
            "sequences": true,
        })
    };
    let with = both.connected(&both.copy, rungs("2s"));
    let climbed = step(both.folder.path(), "sql.check", with).await;
    assert_eq!(climbed.red(), [("checksums".to_owned(), INCONCLUSIVE)]);
    let with = both.connected(&both.copy, rungs("2m"));
    let kill = async {
        let mut owner = sqlx::MySqlConnection::connect(&both.url).await.unwrap();
        let sql = format!(
            "select id from information_schema.processlist where db = '{}' and info like 'select%sleep%'",
            both.copy
        );
        loop {
            let found: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql.as_str()))
                .fetch_optional(&mut owner)
                .await
                .unwrap();
            if let Some(id) = found {
                break both.change(&format!("kill connection {id}")).await;
            }
        }
    };
    let (climbed, ()) = tokio::join!(step(both.folder.path(), "sql.check", with), kill);
    let error = climbed.output.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient, "{error}");
    both.drop_both().await;
}

#[tokio::test]
async fn server_postgres_a_reference_may_leave_keys_out() {
    let server = source_and_copy(100).await;
    let args = ["--checksums", "--without-keys", "--table", "countries", "--table", "detail_1"];
    let (code, text) = fingerprint(&server, &args);
    assert_eq!(code, Some(0), "{text}");
    let reference: Value = serde_json::from_str(&text).unwrap();
    let ranges = |table: &str| reference["tables"][table]["ranges"].as_array().unwrap().clone();
    assert_eq!(ranges("public.countries").len(), 1);
    let keys: Vec<_> = ranges("public.detail_1")
        .iter()
        .filter_map(|range| range["keys"]["from"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(keys, ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]);
    let checksums = json!({"tables": ["countries", "detail_1"]});
    let rungs = json!({"reference": write(&server, &text), "checksums": checksums});
    assert_eq!(climb(&server, COPY, rungs).await.red(), []);
}

fn write(server: &Postgres, text: &str) -> String {
    let file = server.file("reference.json");
    std::fs::write(&file, text).unwrap();
    file
}
