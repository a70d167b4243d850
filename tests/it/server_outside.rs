//! The real world outside: a PostgreSQL that the tests start from `REDRILL_TEST_POSTGRES_BIN`, the MariaDB of
//! `REDRILL_TEST_MARIADB`, and an HTTPS server of `openssl`.

use crate::server_databases::{
    PASSWORD, Postgres, certificates, check, mariadb, open, outcomes, text, value,
};
use redrill::ids::StepId;
use redrill::journal::{Event, Outcome};
use redrill::outside::real::RealOutside;
use redrill::outside::{
    DatabaseLogin, DatabaseSession, HttpRequest, Outside, OutsideError, Secret, SqlValue, Tls,
};
use redrill::time::Clock;
use sqlx::{Connection, raw_sql};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn time(text: &str) -> SqlValue {
    SqlValue::Time(text.parse().unwrap())
}

/// Asserts that the server refused it, with this code in its words.
async fn refused(session: &mut Box<dyn DatabaseSession>, sql: &str, code: &str) {
    match session.query(sql).await {
        Err(OutsideError::Failed(why)) => assert!(why.contains(code), "{sql}: {why}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn server_postgres_values_keep_their_type_and_every_digit() {
    let server = Postgres::start("-c timezone=Asia/Tokyo", |_| {});
    server
        .change("ALTER ROLE admin SET timezone = 'America/New_York'; ALTER ROLE admin SET datestyle = 'SQL, DMY'; \
                 CREATE TYPE mood AS ENUM ('good')")
        .await;
    let mut session = open(&server.login()).await.unwrap();
    for (sql, expected) in [
        ("select 1::int2", SqlValue::Integer(1)),
        ("select 9223372036854775807", SqlValue::Integer(i64::MAX)),
        ("select count(*) from pg_class where false", SqlValue::Integer(0)),
        ("select 0.10::numeric(10, 2)", text("0.10")),
        ("select 12345678901234567890.123456789", text("12345678901234567890.123456789")),
        ("select sum(x) from (values (1), (2)) v (x)", SqlValue::Integer(3)),
        ("select sum(x) from (values (1::bigint), (2)) v (x)", text("3")),
        ("select 1.5::float8", SqlValue::Float(1.5)),
        ("select 2 > 1", SqlValue::Bool(true)),
        ("select null::int", SqlValue::Null),
        ("select '復旧'", text("復旧")),
        ("select 'good'::mood", text("good")),
        ("select timestamptz '2026-11-22 12:00:00.25+09'", time("2026-11-22T03:00:00.25Z")),
        ("select timestamp '2026-11-22 03:00:00'", time("2026-11-22T03:00:00Z")),
        ("select timestamptz 'infinity'", text("infinity")),
        ("select date '2026-11-22'", text("2026-11-22")),
        ("select '{\"a\": 1}'::jsonb", text("{\"a\": 1}")),
        ("select array[1, 2]", text("{1,2}")),
        ("select '\\x00ff'::bytea", text("\\x00ff")),
        ("show transaction_read_only", text("on")),
    ] {
        assert_eq!(value(&mut session, sql).await, expected, "{sql}");
    }
    let rows = session.query("select 1 as a, 'x' as b union all select 2, null").await.unwrap();
    assert_eq!(rows.columns, ["a", "b"]);
    assert_eq!(rows.rows[1], [SqlValue::Integer(2), SqlValue::Null]);
    assert!(session.query("select 1 where false").await.unwrap().single().is_none());
}

#[tokio::test]
async fn server_postgres_nothing_can_be_changed() {
    let server = Postgres::start("", |_| {});
    server.change("CREATE TABLE t (a int); CREATE SEQUENCE s; INSERT INTO t VALUES (1)").await;
    let mut session = open(&server.login()).await.unwrap();
    const READ_ONLY: &str = "SQLSTATE 25006";
    refused(&mut session, "insert into t values (2)", READ_ONLY).await;
    refused(
        &mut session,
        "with x as (delete from t returning a) select count(*) from x",
        READ_ONLY,
    )
    .await;
    refused(&mut session, "create table u (a int)", READ_ONLY).await;
    refused(&mut session, "select nextval('s')", READ_ONLY).await;
    refused(&mut session, "drop table t", READ_ONLY).await;
    // Several statements, by which one could leave the transaction, are refused before any of them runs.
    refused(&mut session, "commit; insert into t values (2)", "SQLSTATE 42601").await;
    refused(&mut session, "select 1; rollback; delete from t", "SQLSTATE 42601").await;
    // Once read-only, a transaction stays so, in functions too.
    const STAYS: &str = "SQLSTATE 25001";
    refused(&mut session, "set transaction read write", STAYS).await;
    refused(&mut session, "select set_config('transaction_read_only', 'off', true)", STAYS).await;
    let block = "do $$ begin set transaction read write; delete from t; end $$";
    refused(&mut session, block, STAYS).await;
    refused(&mut session, "do $$ begin commit; delete from t; end $$", "SQLSTATE 2D000").await;
    // Settings of one query do not open the next one.
    for way_out in [
        "set default_transaction_read_only = off",
        "select set_config('default_transaction_read_only', 'off', false)",
        "set session characteristics as transaction read write",
        "commit",
    ] {
        session.query(way_out).await.unwrap();
        refused(&mut session, "delete from t", READ_ONLY).await;
    }
    assert_eq!(value(&mut session, "select count(*) from t").await, SqlValue::Integer(1));
}

#[tokio::test]
async fn server_postgres_statements_and_answers_have_limits() {
    let server = Postgres::start("", |_| {});
    let mut login = server.login();
    login.statement_timeout = Duration::from_millis(400);
    let mut session = open(&login).await.unwrap();
    let clock = Clock::system();
    refused(&mut session, "select pg_sleep(30)", "SQLSTATE 57014").await;
    session.query("set statement_timeout = 0").await.unwrap();
    refused(&mut session, "select pg_sleep(30)", "SQLSTATE 57014").await;
    assert!(clock.elapsed() < Duration::from_secs(10));
    let rows = session.query("select generate_series(1, 1000)").await.unwrap();
    assert_eq!(rows.rows.len(), 1000);
    refused(&mut session, "select generate_series(1, 1001)", "more than 1000 rows").await;
    let given_up = session.query("select 1").await;
    assert!(matches!(given_up, Err(OutsideError::Unreachable(_))), "{given_up:?}");
}

#[tokio::test]
async fn server_postgres_why_one_is_not_let_in_is_told_apart() {
    let server = Postgres::start("", |_| {});
    let why = async |change: &dyn Fn(&mut DatabaseLogin)| {
        let mut login = server.login();
        change(&mut login);
        match open(&login).await {
            Ok(_) => panic!("{login:?} was let in"),
            Err(error) => {
                assert!(!error.to_string().contains("hunter2"));
                error
            }
        }
    };
    let wrong = why(&|login| login.password = Secret::new("hunter2")).await;
    assert!(matches!(wrong, OutsideError::Denied(_)), "{wrong:?}");
    let unknown = why(&|login| login.user = "nobody".to_owned()).await;
    assert!(matches!(unknown, OutsideError::Denied(_)), "{unknown:?}");
    let missing = why(&|login| login.database = "missing".to_owned()).await;
    assert!(matches!(&missing, OutsideError::Failed(why) if why.contains("3D000")), "{missing:?}");
    let refused = why(&|login| login.port = 1).await;
    assert!(matches!(refused, OutsideError::Unreachable(_)), "{refused:?}");
    for tls in [Tls::Verify, Tls::Encrypt] {
        let plain = why(&|login| login.tls = tls.clone()).await;
        assert!(matches!(&plain, OutsideError::Failed(why) if why.contains("TLS")), "{plain:?}");
    }
}

#[tokio::test]
async fn server_postgres_certificates_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let copy = |to: &Path| {
        for name in ["server.pem", "server.key"] {
            std::fs::copy(folder.path().join(name), to.join(name)).unwrap();
        }
    };
    // Relative to the data folder.
    let server = Postgres::start(
        "-c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key",
        copy,
    );
    let authority = folder.path().join("ca.pem").to_str().unwrap().to_owned();
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let another = other.path().join("ca.pem").to_str().unwrap().to_owned();
    let encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    for (tls, host, is_encrypted) in [
        (Tls::VerifyWith(authority.clone()), "localhost", true),
        (Tls::Encrypt, "127.0.0.1", true),
        (Tls::Off, "localhost", false),
    ] {
        let mut session =
            open(&DatabaseLogin { tls, host: host.to_owned(), ..server.login() }).await.unwrap();
        assert_eq!(value(&mut session, encrypted).await, SqlValue::Bool(is_encrypted));
    }
    for (tls, host) in [
        (Tls::Verify, "localhost"),
        (Tls::VerifyWith(another), "localhost"),
        (Tls::VerifyWith(authority), "127.0.0.1"),
        (Tls::VerifyWith("/nowhere/ca.pem".to_owned()), "localhost"),
        (Tls::VerifyWith(server.file("server.key")), "localhost"),
    ] {
        let login = DatabaseLogin { tls, host: host.to_owned(), ..server.login() };
        let Err(error) = open(&login).await else { panic!("{login:?} was let in") };
        assert!(matches!(error, OutsideError::Failed(_)), "{login:?}: {error:?}");
    }
}

#[tokio::test]
async fn server_mariadb_values_keep_their_type_and_every_digit() {
    let (login, _) = mariadb();
    let mut session = open(&login).await.unwrap();
    for (sql, expected) in [
        ("select 1", SqlValue::Integer(1)),
        ("select count(*) from information_schema.tables where false", SqlValue::Integer(0)),
        ("select cast(18446744073709551615 as unsigned)", text("18446744073709551615")),
        ("select cast('0.10' as decimal(10, 2))", text("0.10")),
        ("select 12345678901234567890.123456789", text("12345678901234567890.123456789")),
        ("select sum(x) from (select 1 as x union all select 2) v", text("3")),
        ("select cast(1.5 as double)", SqlValue::Float(1.5)),
        ("select 2 > 1", SqlValue::Integer(1)),
        ("select null", SqlValue::Null),
        ("select '復旧'", text("復旧")),
        ("select timestamp '2026-11-22 03:00:00.25'", time("2026-11-22T03:00:00.25Z")),
        ("select from_unixtime(1795316400)", time("2026-11-22T03:00:00Z")),
        ("select date '2026-11-22'", text("2026-11-22")),
        ("select x'00ff'", text("\\x00ff")),
        ("select @@session.time_zone", text("+00:00")),
    ] {
        assert_eq!(value(&mut session, sql).await, expected, "{sql}");
    }
    assert!(session.query("select 1 from dual where false").await.unwrap().single().is_none());
}

#[tokio::test]
async fn server_mariadb_nothing_can_be_changed_and_statements_have_limits() {
    let (mut login, url) = mariadb();
    let mut owner = sqlx::MySqlConnection::connect(&url).await.unwrap();
    let setup = "CREATE OR REPLACE TABLE redrill_read_only (a int) ENGINE = InnoDB; \
                 INSERT INTO redrill_read_only VALUES (1); \
                 CREATE OR REPLACE FUNCTION redrill_deletes() RETURNS int \
                 BEGIN DELETE FROM redrill_read_only; RETURN 1; END";
    raw_sql(setup).execute(&mut owner).await.unwrap();
    login.statement_timeout = Duration::from_millis(500);
    let mut session = open(&login).await.unwrap();
    const READ_ONLY: &str = "error 1792";
    refused(&mut session, "insert into redrill_read_only values (2)", "only statements that read")
        .await;
    refused(&mut session, "drop table redrill_read_only", "only statements that read").await;
    refused(&mut session, "truncate redrill_read_only", "only statements that read").await;
    refused(&mut session, "select 1; delete from redrill_read_only", "error 1064").await;
    // What could leave the transaction from within is not sent.
    for way_out in [
        "set session transaction read write",
        "commit",
        "call redrill_writes()",
        "begin not atomic commit; set session transaction read write; delete from redrill_read_only; end",
        "/*!50000 call redrill_writes() */",
    ] {
        refused(&mut session, way_out, "only statements that read").await;
    }
    refused(&mut session, "delete from redrill_read_only", "only statements that read").await;
    let function = "select redrill_deletes()";
    refused(&mut session, function, READ_ONLY).await;
    let clock = Clock::system();
    refused(&mut session, "select sleep(30)", "error 1969").await;
    assert!(clock.elapsed() < Duration::from_secs(10));
    let count = value(&mut session, "select count(*) from redrill_read_only").await;
    assert_eq!(count, SqlValue::Integer(1));
    refused(&mut session, "select seq from seq_1_to_1001", "more than 1000 rows").await;
    raw_sql("DROP TABLE redrill_read_only; DROP FUNCTION redrill_deletes")
        .execute(&mut owner)
        .await
        .unwrap();
}

#[tokio::test]
async fn server_mariadb_why_one_is_not_let_in_is_told_apart() {
    let (login, _) = mariadb();
    let wrong = DatabaseLogin { password: Secret::new("hunter2"), ..login.clone() };
    let missing = DatabaseLogin { database: "redrill_missing".to_owned(), ..login.clone() };
    let refused = DatabaseLogin { port: 1, ..login.clone() };
    let plain = DatabaseLogin { tls: Tls::Verify, ..login };
    let why = async |login: &DatabaseLogin| open(login).await.err().unwrap();
    assert!(matches!(why(&wrong).await, OutsideError::Denied(_)));
    let missing = why(&missing).await;
    assert!(matches!(&missing, OutsideError::Failed(why) if why.contains("1049")), "{missing:?}");
    assert!(matches!(why(&refused).await, OutsideError::Unreachable(_)));
    assert!(matches!(why(&plain).await, OutsideError::Failed(why) if why.contains("TLS")));
}

#[tokio::test]
async fn server_postgres_sql_check_judges_real_data() {
    let server = Postgres::start("", |_| {});
    server
        .change(
            "CREATE TABLE ledger (debit numeric, credit numeric); CREATE TABLE empty (a int); \
                 INSERT INTO ledger VALUES (10.10, 0), (0, 10.10); \
                 CREATE TABLE heartbeat (committed_at timestamptz); \
                 INSERT INTO heartbeat VALUES ('2026-01-02 03:04:05+00')",
        )
        .await;
    let query = |name: &str, sql: &str, population: &str| serde_json::json!({"name": name, "sql": sql, "expect": "= 0", "population": population});
    let (output, events) = check(&server, serde_json::json!({
        "watermark": "select max(committed_at) from heartbeat",
        "queries": [
            query("balances", "select sum(debit - credit) from ledger", "select count(*) from ledger"),
            query("rows", "select count(*) from ledger", "select count(*) from ledger"),
            query("orphans", "select count(*) from empty", "select count(*) from empty"),
            query("missing", "select count(*) from missing", "select count(*) from ledger"),
            query("no row", "select 0 where false", "select count(*) from ledger"),
        ]
    }))
    .await;
    assert_eq!(
        outcomes(&events),
        BTreeMap::from([
            ("database answers", Outcome::Passed),
            ("newest data", Outcome::Passed),
            ("balances", Outcome::Passed),
            ("rows", Outcome::Failed),
            ("orphans", Outcome::Inconclusive),
            ("missing", Outcome::Inconclusive),
            ("no row", Outcome::Inconclusive),
        ])
    );
    assert_eq!(output["newest_data"], "2026-01-02T03:04:05Z");
    assert_eq!(output["queries_passed"], 1);
    assert!(output["server_version"].as_str().is_some_and(|version| !version.is_empty()));
    assert!(output["connected_to"].as_str().unwrap().ends_with("(for orders.test:5432)"));
    assert!(!serde_json::to_string(&events).unwrap().contains(PASSWORD));
}

/// Damages the pages of a table on disk, as a broken storage would: the check must turn red.
#[tokio::test]
async fn server_postgres_damaged_pages_fail_the_check() {
    let server = Postgres::start("", |_| {});
    server.change("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a; CHECKPOINT").await;
    let mut session = open(&server.login()).await.unwrap();
    let SqlValue::Text(path) = value(&mut session, "select pg_relation_filepath('t')").await else {
        panic!("no path")
    };
    drop(session);
    server.stop();
    let table = Path::new(&server.file("data")).join(path);
    let mut pages = std::fs::read(&table).unwrap();
    // The page header, behind its LSN and checksum: flags, lower, upper and special (bufpage.h, PageHeaderData).
    pages[10..18].fill(0xff);
    std::fs::write(&table, pages).unwrap();
    server.boot("");
    let queries = serde_json::json!({"queries": [
        {"name": "rows", "sql": "select count(*) from t", "expect": "= 1000"}
    ]});
    let (_, events) = check(&server, queries).await;
    assert_eq!(outcomes(&events)["rows"], Outcome::Failed);
}

#[tokio::test]
async fn server_postgres_a_database_that_is_down_is_waited_for() {
    let server = Postgres::start("", |_| {});
    server.stop();
    let clock = Clock::system();
    let who =
        serde_json::json!({"name": "who", "sql": "select current_user::text", "expect": "~ ."});
    let queries = serde_json::json!({"ready_within": "1m", "queries": [who]});
    let ((output, events), ()) = tokio::join!(check(&server, queries), async {
        clock.sleep(Duration::from_secs(1)).await;
        server.boot("");
    });
    assert_eq!(outcomes(&events)["database answers"], Outcome::Passed);
    let polls = events.iter().find_map(|event| match event {
        Event::Waited { wait, .. } => Some(wait.polls),
        _ => None,
    });
    assert!(polls.unwrap() > 1);
    assert!(output["readable_after"].is_string());
}

/// An HTTPS server with a certificate of our own authority, killed when dropped.
struct Https(std::process::Child);

impl Drop for Https {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn server_https_certificates_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-www", "-cert", "server.pem", "-key", "server.key", "-accept"]);
    openssl.arg(port.to_string()).current_dir(folder.path());
    openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Https(openssl.spawn().unwrap());
    let request = HttpRequest {
        step: StepId::new("health"),
        method: "GET".to_owned(),
        url: format!("https://localhost:{port}/"),
        headers: BTreeMap::new(),
        body: None,
        timeout: Duration::from_secs(5),
        body_limit: 1000,
    };
    let (outside, clock) = (RealOutside::new("unused"), Clock::system());
    let error = loop {
        match outside.http(&request).await {
            Err(OutsideError::Unreachable(_)) if clock.elapsed() < Duration::from_secs(10) => {
                clock.sleep(Duration::from_millis(100)).await;
            }
            other => break other,
        }
    };
    assert!(matches!(&error, Err(OutsideError::Failed(_))), "{error:?}");
}
