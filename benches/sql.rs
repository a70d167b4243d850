//! What comparing a restored PostgreSQL with its source costs: ordered checksums of a narrow table on both sides, beside
//! `COPY … TO STDOUT | sha256sum` of one of them, and the whole ladder over a database of 20 tables and a million rows.
//!
//! `cargo bench --bench sql`. It starts a PostgreSQL of its own on loopback, from `REDRILL_TEST_POSTGRES_BIN` or the newest
//! under `/usr/lib/postgresql`, and stops it. Nothing in here asserts a time.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::panic, reason = "a benchmark whose subject is wrong ends")]
#![expect(clippy::disallowed_methods, reason = "measures real time, and finds the servers")]

use futures_util::future::BoxFuture;
use redrill::action::{Recorder, RunFacts, StepContext, StepError};
use redrill::aws::{CallLog, GuardPolicy, Place, SiteSession};
use redrill::ids::{Digest, RunId, SiteName, StepId};
use redrill::journal::{Check, Event, Outcome, ResourceKey};
use redrill::outside::real::RealOutside;
use redrill::providers;
use redrill::time::Clock;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROWS: u32 = 3_000_000;
const ROUNDS: u32 = 3;

const NARROW: &str = "create table narrow (id int primary key, account int not null, amount int not null, \
     at timestamptz not null); insert into narrow select i, i::bigint * 7919 % 100000, i::bigint * 31 % 10007, \
     timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, $ROWS) i";

const TWENTY_TABLES: &str = include_str!("../tests/servers/twenty_tables.sql");

/// A PostgreSQL of our own, stopped when dropped.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let programs = std::env::var("REDRILL_TEST_POSTGRES_BIN").map(PathBuf::from);
        let programs = programs.unwrap_or_else(|_| newest());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder: tempfile::tempdir().unwrap(), programs, port };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let data = server.data();
        run(server.program("initdb").args([
            "--username=admin",
            "--auth=trust",
            "--no-sync",
            "-D",
            &data,
        ]));
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c autovacuum=off \
             -c shared_buffers=512MB -c max_wal_size=4GB"
        );
        let log = server.folder.path().join("log").display().to_string();
        run(server
            .program("pg_ctl")
            .args(["-D", &data, "-l", &log, "-w", "-o", &options, "start"]));
        server
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").stdout(Stdio::null());
        command
    }

    async fn connection(&self, database: &str) -> PgConnection {
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("admin")
            .database(database);
        PgConnection::connect_with(&options).await.unwrap()
    }

    async fn change(&self, database: &str, sql: &str) {
        let mut connection = self.connection(database).await;
        raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// A source, and a copy of it.
    async fn pair(&self, name: &str, content: &str) {
        self.change("postgres", &format!("create database {name}")).await;
        self.change(name, content).await;
        self.change(name, "vacuum analyze").await;
        self.change("postgres", &format!("create database {name}_restored template {name}")).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _stopped =
            self.program("pg_ctl").args(["-D", &data, "-m", "immediate", "-w", "stop"]).output();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

fn newest() -> PathBuf {
    let mut all: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap_or_else(|e| panic!("no PostgreSQL: {e}"))
        .map(|entry| entry.unwrap().path().join("bin"))
        .collect();
    all.sort();
    all.pop().unwrap()
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// Keeps the checks.
#[derive(Default)]
struct Checks(Mutex<Vec<Check>>);

impl Recorder for Checks {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        if let Event::Checked { check, .. } = event {
            self.0.lock().unwrap().push(check);
        }
        Box::pin(async { Ok(()) })
    }

    fn holds(&self, _key: &ResourceKey) -> bool {
        false
    }

    fn progress(&self, _step: &StepId, _text: &str) {}
}

fn connection(server: &Server, database: &str, password: &Path) -> Value {
    json!({
        "endpoint": "127.0.0.1", "port": server.port, "tls": "off", "database": database,
        "statement_timeout": "10m", "credentials": {"password_file": password, "user": "admin"},
    })
}

/// Runs `sql.check` of the copy against its source; every check must pass.
async fn check(server: &Server, name: &str, rungs: Value) -> Vec<Check> {
    let password = server.folder.path().join("password");
    std::fs::write(&password, "unused").unwrap();
    let mut source = connection(server, name, &password);
    source["at"] = json!("home");
    let mut with = connection(server, &format!("{name}_restored"), &password);
    with["source"] = source;
    with.as_object_mut().unwrap().extend(rungs.as_object().unwrap().clone());
    let (recorder, now) = (Arc::new(Checks::default()), Clock::system().now());
    let facts = RunFacts {
        run: RunId::new("bench-0001"),
        scenario: "bench".to_owned(),
        plan: Digest::of(b"plan"),
        seed: 1,
        expires: now + chrono::TimeDelta::hours(12),
        started: now,
        operators: vec!["bench".to_owned()],
        withhold_data: false,
        is_drill: true,
        expected: Default::default(),
    };
    let home = SiteName::new("home");
    let place = Place { site: home.clone(), account: None, region: "eu-west-3".to_owned() };
    let config = aws_types::SdkConfig::builder().build();
    let session = SiteSession::new(place, &config, Arc::new(GuardPolicy::default()));
    let context = StepContext {
        facts: Arc::new(facts),
        step: StepId::new("data"),
        at: Some(home.clone()),
        clock: Clock::system(),
        outside: Arc::new(RealOutside::new(server.folder.path())),
        sessions: Arc::new(BTreeMap::from([(home, session)])),
        recorder: recorder.clone(),
        calls: CallLog::default(),
    };
    let registry = providers::registry();
    registry.get("sql.check").unwrap().run(&context, with).await.unwrap();
    let checks = recorder.0.lock().unwrap().clone();
    for made in &checks {
        assert!(made.outcome == Outcome::Passed, "{made:?}");
    }
    checks
}

/// The shortest of some rounds.
async fn best<F: Future<Output = ()>>(mut once: impl FnMut() -> F) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        once().await;
        shortest = shortest.min(began.elapsed());
    }
    shortest
}

/// The largest resident size of this process since it was last asked, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    kilobytes / 1024
}

/// `psql` and `sha256sum`, as people would.
fn by_hand(server: &Server) {
    let mut psql = Command::new(server.programs.join("psql"));
    psql.args([
        "-X",
        "-q",
        "-h",
        "127.0.0.1",
        "-U",
        "admin",
        "-d",
        "narrow",
        "-p",
        &server.port.to_string(),
    ]);
    psql.args(["-c", "copy (select * from narrow order by id) to stdout"]);
    let mut psql = psql.stdout(Stdio::piped()).spawn().unwrap();
    let mut sum = Command::new("sha256sum");
    let summed = sum.stdin(psql.stdout.take().unwrap()).stdout(Stdio::null()).status().unwrap();
    assert!(summed.success() && psql.wait().unwrap().success());
}

fn rate(took: Duration) -> f64 {
    f64::from(ROWS) / took.as_secs_f64() / 1e6
}

async fn narrow(server: &Server) {
    server.pair("narrow", &NARROW.replace("$ROWS", &ROWS.to_string())).await;
    let hand = best(|| async { by_hand(server) }).await;
    println!(
        "{ROWS} narrow rows, COPY … TO STDOUT | sha256sum, one side: {hand:.2?} ({:.2} M rows/s)",
        rate(hand)
    );
    for (name, checksums) in
        [("hashed by the servers", json!({})), ("exact: text in order", json!({"exact": true}))]
    {
        compared(server, name, &checksums, hand).await;
    }
}

async fn compared(server: &Server, name: &str, checksums: &Value, hand: Duration) {
    peak_memory();
    let ours = best(|| async {
        drop(check(server, "narrow", json!({"checksums": checksums})).await);
    })
    .await;
    let memory = peak_memory();
    println!(
        "sql.check, checksums of both sides, {name}: {ours:.2?} ({:.2} M rows/s of each side); ratio {:.2}; at most {memory} MiB",
        rate(ours),
        ours.as_secs_f64() / hand.as_secs_f64()
    );
}

async fn ladder(server: &Server) {
    // 14 tables have as many rows as asked for.
    let content = TWENTY_TABLES.replace("$FEW", "7143").replace("$ROWS", "71429");
    let content = content.replace("$SEED", "20261122");
    server.pair("orders", &content).await;
    let rungs = json!({
        "version": "~ ^[0-9]+", "schema": {}, "rows": {}, "checksums": {}, "sequences": true, "inspect": {},
        "watermark": "select max(committed_at) from heartbeat",
        "queries": [{
            "name": "no order without a customer",
            "sql": "select count(*) from orders where customer_id not in (select id from customers)",
            "expect": "= 0", "population": "select count(*) from orders",
        }],
    });
    let mut rows = None;
    let took = best(|| async {
        drop(check(server, "orders", rungs.clone()).await);
    })
    .await;
    for made in check(server, "orders", rungs.clone()).await {
        if made.name == "row counts" {
            rows = made.population;
        }
    }
    println!("the whole ladder, 20 tables, {} rows: {took:.2?}", rows.unwrap());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start();
        narrow(&server).await;
        ladder(&server).await;
    });
}
