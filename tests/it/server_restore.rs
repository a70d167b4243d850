//! A real restore: moto's RDS with real PostgreSQL servers, and `sql.check` against what came back.

use crate::moto_operations::{calls_of, expect_calls};
use crate::server_support::{Aws, Drill, Drills, Started, end, poll, succeed, variable};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, raw_sql};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The account and the region of `orders-restored.yaml`.
const ACCOUNT: &str = "210987654321";
const REGION: &str = "eu-west-3";
const PASSWORD: &str = "swordfish-3";
const LIMIT: Duration = Duration::from_secs(90);

const TABLES: &str = "create table heartbeat (committed_at timestamp(0) not null); \
     create table orders (id int primary key); \
     create table ledger (id int primary key, debit int not null, credit int not null); \
     insert into orders values (1), (2), (3); \
     insert into ledger values (1, 100, 0), (2, 0, 100);";

/// The source: an RDS instance of moto's, with a PostgreSQL in which orders are.
struct Source {
    aws: Aws,
    name: String,
    port: u64,
}

impl Source {
    /// `name` is of this test alone.
    fn create(name: &str) -> Self {
        let aws = Aws::assume(ACCOUNT, REGION);
        let name = format!("{name}-{}", std::process::id());
        aws.json(&format!(
            "rds create-db-instance --db-instance-identifier {name} --engine postgres --db-instance-class db.t3.micro \
             --allocated-storage 20 --db-name orders --master-username keeper --master-user-password {PASSWORD}"
        ));
        let port = poll("the source is available", LIMIT, || {
            let instance = &describe(&aws, &name)["DBInstances"][0];
            let available = instance["DBInstanceStatus"] == "available";
            available.then(|| instance["Endpoint"]["Port"].as_u64().unwrap())
        });
        let source = Self { aws, name, port };
        source.sql(TABLES);
        source.sql("insert into heartbeat values (now() at time zone 'utc')");
        source
    }

    fn sql(&self, statement: &str) -> String {
        let psql = format!("{}/psql", variable("REDRILL_TEST_POSTGRES_BIN"));
        let mut command = Command::new(psql);
        command.env("PGPASSWORD", PASSWORD).args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-U", "keeper", "-d", "orders", "-c", statement]);
        succeed(&mut command).trim().to_owned()
    }

    /// Takes a snapshot, and waits until it is there.
    fn snapshot(&self, suffix: &str) {
        let (name, snapshot) = (&self.name, format!("{}-{suffix}", self.name));
        self.aws.json(&format!(
            "rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {snapshot}"
        ));
        poll("the snapshot is available", LIMIT, || {
            let words = format!("rds describe-db-snapshots --db-snapshot-identifier {snapshot}");
            (self.aws.json(&words)["DBSnapshots"][0]["Status"] == "available").then_some(())
        });
    }

    /// The newest heartbeat, as the report writes times.
    fn newest(&self) -> String {
        self.sql(
            "select to_char(max(committed_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from heartbeat",
        )
    }

    /// Somebody forgot the condition.
    fn damage(&self) {
        self.sql("delete from orders; delete from heartbeat");
        assert_eq!(self.sql("select count(*) from orders"), "0");
    }
}

fn describe(aws: &Aws, name: &str) -> Value {
    aws.json(&format!("rds describe-db-instances --db-instance-identifier {name}"))
}

fn drill_of(drills: &Drills, source: &Source) -> Command {
    let mut command = drills.run("orders-restored", &[("instance", &source.name)]);
    command.env("ORDERS_PASSWORD", PASSWORD);
    command
}

const RUN: &str = "orders-restored-0001";

/// What the journal says of the restored instance: its name and its port.
fn restored(drills: &Drills, run: &str) -> (String, u16) {
    let journal = drills.journal(run);
    let finished = journal
        .iter()
        .map(|record| &record["event"])
        .find(|event| event["type"] == "step_finished" && event["step"] == "restore");
    let output = &finished.unwrap()["result"]["output"];
    let port = output["port"].as_u64().unwrap();
    (output["id"].as_str().unwrap().to_owned(), port.try_into().unwrap())
}

/// Asserts that neither RDS nor the machine knows the restored instance any more.
fn is_gone(drills: &Drills, run: &str, source: &Source) {
    let (name, port) = restored(drills, run);
    let words = format!("rds describe-db-instances --db-instance-identifier {name}");
    assert!(source.aws.refusal(&words).contains("DBInstanceNotFound"));
    let answer = TcpStream::connect(("127.0.0.1", port)).map(|_| "a connection");
    assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

/// What a passed drill of `source` says.
fn passed_with(drill: &Drill, newest: &str) {
    drill.expect(0, "passed");
    assert_eq!(drill.check("data", "every order is there"), ("passed".into(), "3".into()));
    assert_eq!(drill.check("data", "ledger balances"), ("passed".into(), "0".into()));
    assert_eq!(drill.at("/objectives/rpo/measured_from"), "data");
    assert_eq!(drill.at("/objectives/rpo/newest"), newest);
    assert_eq!(drill.at("/objectives/rpo/outcome"), "met");
    assert_eq!(drill.at("/objectives/rto/outcome"), "met");
    assert_eq!(drill.at("/rehearsal"), false);
    assert_eq!(drill.at("/run/world/kind"), "endpoint");
    assert_eq!(drill.at("/run/world/url"), variable("REDRILL_TEST_MOTO").as_str());
    drill.nothing_is_left(1);
}

#[test]
fn server_rows_that_the_source_has_lost_are_found_in_the_restored_database() {
    let source = Source::create("orders");
    let newest = source.newest();
    source.snapshot("before");
    source.damage();
    let drills = Drills::new();
    let ended = end(&mut drill_of(&drills, &source));
    let drill = Drill::of(&ended);
    passed_with(&drill, &newest);
    let text = drill.at("/verdict/text").as_str().unwrap();
    assert!(
        text.starts_with("passed, against") && text.ends_with("not evidence of recovery on AWS")
    );
    assert!(drill.at("/verdict/notice").as_str().unwrap().starts_with("NOT AWS"));
    is_gone(&drills, RUN, &source);
    expect_calls("orders-restored", &calls_of(&drills));
    // What the drill was given never stands anywhere.
    for file in ["journal.jsonl", "report.json", "report.html", "report.md", "plan.json"] {
        let text = std::fs::read_to_string(drills.path("runs").join(RUN).join(file)).unwrap();
        assert!(!text.contains(PASSWORD), "the password stands in {file}");
    }
    // The source is as it was: nothing but the restored copy was touched.
    assert_eq!(
        describe(&source.aws, &source.name)["DBInstances"][0]["DBInstanceStatus"],
        "available"
    );
    assert_eq!(source.sql("select count(*) from orders"), "0");
}

#[test]
fn server_a_snapshot_taken_after_the_damage_fails_at_the_query() {
    let source = Source::create("orders-late");
    source.sql("delete from orders");
    source.snapshot("after");
    let drills = Drills::new();
    let drill = Drill::of(&end(&mut drill_of(&drills, &source)));
    drill.expect(1, "failed");
    assert_eq!(drill.outcome("restore"), "passed");
    assert_eq!(drill.outcome("data"), "failed");
    assert_eq!(drill.check("data", "every order is there"), ("failed".into(), "0".into()));
    assert_eq!(drill.check("data", "ledger balances").0, "passed");
    drill.nothing_is_left(1);
    is_gone(&drills, RUN, &source);
}

#[test]
fn server_a_drill_that_was_killed_in_the_restore_goes_on_and_restores_once() {
    let source = Source::create("orders-killed");
    let newest = source.newest();
    source.snapshot("before");
    source.damage();
    let drills = Drills::new();
    let mut command = drill_of(&drills, &source);
    let mut program = Started::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    poll("the instance is asked for", LIMIT, || {
        assert!(program.is_running(), "the program ended by itself");
        let journal = drills.journal(RUN);
        journal.iter().any(|one| one["event"]["type"] == "resource_owned").then_some(())
    });
    program.kill();
    let before = drills.journal(RUN);
    assert!(
        before
            .iter()
            .all(|one| one["event"]["type"] != "step_finished" || one["event"]["step"] == "point")
    );
    let mut resume = drills.program();
    resume.args(["resume", "last", "--format", "json"]).env("ORDERS_PASSWORD", PASSWORD);
    let drill = Drill::of(&end(&mut resume));
    passed_with(&drill, &newest);
    assert_eq!(drill.at("/run/resumed"), 1);
    // The name is the same and nothing was asked for again.
    let journal = drills.journal(RUN);
    let again = journal[before.len()..].iter().map(Value::to_string);
    let again: Vec<_> = again.filter(|one| one.contains("rds:RestoreDBInstance")).collect();
    assert!(again.is_empty(), "{again:#?}");
    is_gone(&drills, RUN, &source);
}

#[test]
fn server_a_drill_whose_machine_died_goes_on_elsewhere_from_its_store() {
    let source = Source::create("orders-moved");
    let newest = source.newest();
    source.snapshot("before");
    source.damage();
    let bucket = "redrill-test-journals";
    source.aws.json(&format!(
        "s3api create-bucket --bucket {bucket} --create-bucket-configuration LocationConstraint={REGION}"
    ));
    let place = format!("s3://{bucket}/drills");
    let drills = Drills::new();
    let mut command = drill_of(&drills, &source);
    command.args(["--store", &place, "--store-region", REGION]);
    let mut program = Started::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    poll("the instance is asked for", LIMIT, || {
        assert!(program.is_running(), "the program ended by itself");
        let journal = drills.journal(RUN);
        journal.iter().any(|one| one["event"]["type"] == "resource_owned").then_some(())
    });
    program.kill();
    let run = drills.journal(RUN)[0]["event"]["run"].as_str().unwrap().to_owned();
    // The machine is gone, and its disk with it.
    drop(drills);
    let elsewhere = Drills::new();
    let resume = |more: &[&str]| {
        let mut resume = elsewhere.program();
        resume.args(["resume", &format!("{place}/{run}"), "--format", "json"]);
        resume.args(["--store-region", REGION, "--endpoint-url", &variable("REDRILL_TEST_MOTO")]);
        end(resume.args(more).env("ORDERS_PASSWORD", PASSWORD))
    };
    let refused = resume(&[]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("--take-over"), "{}", refused.stderr);
    let drill = Drill::of(&resume(&["--take-over"]));
    passed_with(&drill, &newest);
    drill.nothing_is_left(1);
    // Folder and store hold the same journal: its segments, put together.
    let here = std::fs::read(elsewhere.path("runs").join(&run).join("journal.jsonl")).unwrap();
    let listed = source
        .aws
        .json(&format!("s3api list-objects-v2 --bucket {bucket} --prefix drills/{run}/journal/"));
    let segments = listed["Contents"].as_array().unwrap();
    let sizes = segments.iter().map(|one| one["Size"].as_u64().unwrap());
    assert_eq!(sizes.sum::<u64>(), here.len() as u64);
    is_gone(&elsewhere, &run, &source);
}

/// A database of its own in the MariaDB of `tests/run`.
struct Tunnelled {
    url: String,
    name: String,
}

impl Tunnelled {
    async fn create() -> Self {
        let url = variable("REDRILL_TEST_MARIADB");
        let database = Self { url, name: format!("orders_{}", std::process::id()) };
        database.change(&format!("create database {}", database.name)).await;
        database
    }

    async fn change(&self, sql: &str) {
        let mut connection = sqlx::MySqlConnection::connect(&self.url).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn server_the_same_queries_reach_mariadb_through_a_tunnel() {
    let database = Tunnelled::create().await;
    let tables = TABLES.replace("timestamp(0)", "datetime");
    database.change(&format!("use {}; {tables}", database.name)).await;
    database
        .change(&format!("insert into {}.heartbeat values (utc_timestamp())", database.name))
        .await;
    let (login, place) = database.url.strip_prefix("mysql://").unwrap().rsplit_once('@').unwrap();
    let (password, address) = (login.split_once(':').unwrap().1, place.split_once('/').unwrap().0);
    let drills = Drills::new();
    let inputs = [("connect", address), ("database", &database.name)];
    let drill = |drills: &Drills| {
        let mut command = drills.run("orders-connected", &inputs);
        Drill::of(&end(command.env("ORDERS_PASSWORD", password)))
    };
    let first = drill(&drills);
    first.expect(0, "passed");
    assert_eq!(first.check("data", "every order is there"), ("passed".into(), "3".into()));
    let journal = drills.journal("orders-connected-0001");
    let journal = serde_json::to_string(&journal).unwrap();
    assert!(journal.contains(&format!("{address} (for orders.example.invalid:3306)")));
    assert!(!journal.contains(password));
    database.change(&format!("delete from {}.ledger", database.name)).await;
    let empty = drill(&drills);
    empty.expect(2, "inconclusive");
    assert_eq!(empty.check("data", "ledger balances").0, "inconclusive");
    database.change(&format!("drop database {}", database.name)).await;
}
