//! PostgreSQL servers that a test starts and stops, the MariaDB of `REDRILL_TEST_MARIADB`, and steps run against them.

use redrill::action::{Recorder, RunFacts, StepContext, StepError};
use redrill::aws::{CallLog, GuardPolicy, Place, SiteSession};
use redrill::ids::{Digest, RunId, SiteName, StepId};
use redrill::journal::{Event, Outcome, ResourceKey};
use redrill::outside::real::RealOutside;
use redrill::outside::{
    DatabaseEngine, DatabaseLogin, DatabaseSession, Outside, OutsideError, Secret, SqlValue, Tls,
};
use redrill::providers;
use redrill::time::Clock;
use sqlx::{AssertSqlSafe, Connection, raw_sql};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const PASSWORD: &str = "swordfish 'quoted'";

#[expect(clippy::disallowed_methods, reason = "tests/run says here where the servers are")]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A PostgreSQL server on loopback, stopped when dropped.
pub(crate) struct Postgres {
    pub(crate) folder: tempfile::TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
    user: Option<&'static str>,
}

impl Postgres {
    /// `settings` are options of the server, such as `-c ssl=on`.
    pub(crate) fn start(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        let id = Command::new("id").arg("-u").output().unwrap();
        // PostgreSQL refuses to run as root.
        let user = (String::from_utf8_lossy(&id.stdout).trim() == "0").then_some("postgres");
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            programs: PathBuf::from(variable("REDRILL_TEST_POSTGRES_BIN")),
            port: 0,
            user,
        };
        std::fs::write(server.file("password"), PASSWORD).unwrap();
        prepare(server.folder.path());
        if let Some(user) = user {
            run(Command::new("chown").args(["-R", user]).arg(server.folder.path()));
        }
        let (data, password) =
            (server.file("data"), format!("--pwfile={}", server.file("password")));
        run(server
            .program("initdb")
            .args(["--username=admin", "--auth=scram-sha-256", "--no-sync"])
            .args([&password, "-D", &data]));
        for _ in 0..5 {
            server.port = free_port();
            match server.try_boot(settings) {
                // Somebody else took the port meanwhile.
                Err(log) if log.contains("Address already in use") => {}
                booted => {
                    booted.unwrap();
                    return server;
                }
            }
        }
        panic!("five free ports were taken before the server was");
    }

    pub(crate) fn boot(&self, settings: &str) {
        self.try_boot(settings).unwrap();
    }

    /// # Errors
    /// With the server's log.
    fn try_boot(&self, settings: &str) -> Result<(), String> {
        let (port, data, log) = (self.port, self.file("data"), self.file("log"));
        let options = format!(
            "-p {port} -c listen_addresses=localhost -c unix_socket_directories='' -c fsync=off {settings}"
        );
        let mut start = self.program("pg_ctl");
        start.args(["-D", &data, "-l", &log, "-w", "-o", &options, "start"]);
        // The server inherits what is not closed, and would hold a pipe open.
        let status = start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let booted = status.success().then_some(());
        booted.ok_or_else(|| std::fs::read_to_string(log).unwrap_or_default())
    }

    pub(crate) fn stop(&self) {
        let data = self.file("data");
        run(self.program("pg_ctl").args(["-D", &data, "-m", "fast", "-w", "stop"]));
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        command.current_dir("/");
        command
    }

    pub(crate) fn login(&self) -> DatabaseLogin {
        DatabaseLogin { port: self.port, ..login(DatabaseEngine::Postgres) }
    }

    /// Changes something, on a connection that may.
    pub(crate) async fn change(&self, sql: &str) {
        self.change_in("postgres", sql).await;
    }

    /// The same, in another database of the server.
    pub(crate) async fn change_in(&self, database: &str, sql: &str) {
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host("localhost")
            .port(self.port)
            .username("admin")
            .password(PASSWORD)
            .database(database);
        let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.file("data");
        let mut stop = self.program("pg_ctl");
        let _stopped = stop.args(["-D", &data, "-m", "immediate", "-w", "stop"]).output();
    }
}

pub(crate) fn login(engine: DatabaseEngine) -> DatabaseLogin {
    DatabaseLogin {
        step: StepId::new("data"),
        engine,
        host: "localhost".to_owned(),
        port: 0,
        user: "admin".to_owned(),
        password: Secret::new(PASSWORD),
        database: "postgres".to_owned(),
        tls: Tls::Off,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(20),
    }
}

pub(crate) async fn open(login: &DatabaseLogin) -> Result<Box<dyn DatabaseSession>, OutsideError> {
    RealOutside::new("unused").database(login).await
}

pub(crate) async fn value(session: &mut Box<dyn DatabaseSession>, sql: &str) -> SqlValue {
    let rows = session.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.single().unwrap().clone()
}

pub(crate) fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}

/// A certificate authority, `ca.pem`, and a certificate of it for `localhost` only.
pub(crate) fn certificates(folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem",
    ] {
        run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    }
    run(Command::new("chmod").args(["600", "server.key"]).current_dir(folder));
}

pub(crate) fn mariadb() -> (DatabaseLogin, String) {
    let url = variable("REDRILL_TEST_MARIADB");
    let parsed = reqwest::Url::parse(&url).unwrap();
    let login = DatabaseLogin {
        host: parsed.host_str().unwrap().to_owned(),
        port: parsed.port().unwrap(),
        user: parsed.username().to_owned(),
        password: Secret::new(parsed.password().unwrap()),
        database: parsed.path().trim_start_matches('/').to_owned(),
        ..login(DatabaseEngine::Mysql)
    };
    (login, url)
}

/// Keeps events.
#[derive(Default)]
pub(crate) struct Events(pub(crate) Mutex<Vec<Event>>);

impl Recorder for Events {
    fn record(&self, event: Event) -> futures_util::future::BoxFuture<'_, Result<(), StepError>> {
        self.0.lock().unwrap().push(event);
        Box::pin(async { Ok(()) })
    }

    fn holds(&self, _key: &ResourceKey) -> bool {
        false
    }

    fn progress(&self, _step: &StepId, _text: &str) {}
}

/// What a step gave, and what it wrote down.
pub(crate) struct Stepped {
    pub(crate) output: Result<serde_json::Value, StepError>,
    pub(crate) events: Vec<Event>,
}

impl Stepped {
    /// The check of this name.
    pub(crate) fn check(&self, name: &str) -> &redrill::journal::Check {
        let found = self.events.iter().find_map(|event| match event {
            Event::Checked { check, .. } if check.name == name => Some(check),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no check {name}: {:?} {:?}", self.output, self.events))
    }

    /// The names of the checks that did not pass, with how they ended.
    pub(crate) fn red(&self) -> Vec<(String, Outcome)> {
        assert!(self.output.is_ok(), "{:?}", self.output);
        let all = outcomes(&self.events).into_iter();
        let red = all.filter(|(_, outcome)| *outcome != Outcome::Passed);
        red.map(|(name, outcome)| (name.to_owned(), outcome)).collect()
    }
}

/// Runs one step against the real world.
pub(crate) async fn step(folder: &Path, action: &str, with: serde_json::Value) -> Stepped {
    let recorder = Arc::new(Events::default());
    let context = context(folder, recorder.clone());
    let registry = providers::registry();
    let output = registry.get(action).unwrap().run(&context, with).await;
    let events = recorder.0.lock().unwrap().clone();
    Stepped { output, events }
}

/// A step in the real world, at the site `home`, which is not lost.
pub(crate) fn context(folder: &Path, recorder: Arc<Events>) -> StepContext {
    let now = Clock::system().now();
    let facts = RunFacts {
        run: RunId::new("orders-0001"),
        scenario: "orders".to_owned(),
        plan: Digest::of(b"plan"),
        seed: 1,
        expires: now + chrono::TimeDelta::hours(12),
        started: now,
        operators: vec!["operator".to_owned()],
        withhold_data: false,
        is_drill: true,
        expected: Default::default(),
    };
    let home = SiteName::new("home");
    let place = Place { site: home.clone(), account: None, region: "eu-west-3".to_owned() };
    let config = aws_types::SdkConfig::builder().build();
    let session = SiteSession::new(place, &config, Arc::new(GuardPolicy::default()));
    StepContext {
        facts: Arc::new(facts),
        step: StepId::new("data"),
        at: Some(home.clone()),
        clock: Clock::system(),
        outside: Arc::new(RealOutside::new(folder)),
        sessions: Arc::new(BTreeMap::from([(home, session)])),
        recorder,
        calls: CallLog::default(),
    }
}

/// The connection of a step with a server of ours, and further input.
pub(crate) fn connected(
    server: &Postgres,
    database: &str,
    more: serde_json::Value,
) -> serde_json::Value {
    let password = server.folder.path().join("step-password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let mut with = serde_json::json!({
        "endpoint": "orders.test", "connect": format!("localhost:{}", server.port), "tls": "off",
        "database": database, "credentials": {"password_file": password, "user": "admin"},
    });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with
}

pub(crate) async fn check(
    server: &Postgres,
    input: serde_json::Value,
) -> (serde_json::Value, Vec<Event>) {
    let with = connected(server, "postgres", input);
    let stepped = step(server.folder.path(), "sql.check", with).await;
    (stepped.output.unwrap(), stepped.events)
}

pub(crate) fn outcomes(events: &[Event]) -> BTreeMap<&str, Outcome> {
    let checks = events.iter().filter_map(|event| match event {
        Event::Checked { check, .. } => Some((check.name.as_str(), check.outcome)),
        _ => None,
    });
    checks.collect()
}
