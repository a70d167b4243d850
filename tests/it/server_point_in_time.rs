//! A restore to the latest time, a copy across regions and a comparison: moto's RDS with real PostgreSQL servers. How moto
//! differs from RDS stands in `tests/servers/moto_with_postgres.py`: no time but the latest, a window without the five
//! minutes between logs, every version of an engine offered.

use crate::moto_operations::{calls_of, expect_calls};
use crate::server_support::{Aws, Drill, Drills, end, poll, succeed, variable};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// The account and the regions of `orders-point-in-time.yaml`.
const ACCOUNT: &str = "210987654327";
const HOME: &str = "eu-west-3";
const DR: &str = "eu-north-1";
const PASSWORD: &str = "swordfish-5";
const LIMIT: Duration = Duration::from_secs(90);

/// The source: an instance with a PostgreSQL in which orders are, and a snapshot of it.
struct Source {
    aws: Aws,
    name: String,
    snapshot: String,
}

impl Source {
    /// `name` is of this test alone.
    fn create(name: &str) -> Self {
        let aws = Aws::assume(ACCOUNT, HOME);
        let name = format!("{name}-{}", std::process::id());
        aws.json(&format!(
            "rds create-db-instance --db-instance-identifier {name} --engine postgres --db-instance-class db.t3.micro \
             --allocated-storage 20 --db-name orders --master-username keeper --master-user-password {PASSWORD} \
             --backup-retention-period 3 --tags Key=system,Value=orders"
        ));
        let port = poll("the source is available", LIMIT, || {
            let instance = described(&aws, &name);
            let available = instance["DBInstanceStatus"] == "available";
            available.then(|| instance["Endpoint"]["Port"].as_u64().unwrap())
        });
        sql(
            port,
            "create table heartbeat (committed_at timestamp(0) not null); \
             create table orders (id int primary key); insert into orders values (1), (2), (3); \
             insert into heartbeat values (now() at time zone 'utc')",
        );
        let snapshot = format!("{name}-taken");
        aws.json(&format!(
            "rds create-db-snapshot --db-instance-identifier {name} --db-snapshot-identifier {snapshot}"
        ));
        let snapshot = poll("the snapshot is available", LIMIT, || {
            let words = format!("rds describe-db-snapshots --db-snapshot-identifier {snapshot}");
            let found = &aws.json(&words)["DBSnapshots"][0];
            let available = found["Status"] == "available";
            available.then(|| found["DBSnapshotArn"].as_str().unwrap().to_owned())
        });
        Self { aws, name, snapshot }
    }

    fn drill(&self, drills: &Drills, more: &[(&str, &str)]) -> Drill {
        let inputs = [("instance", &*self.name), ("snapshot", &*self.snapshot)];
        let inputs: Vec<_> = inputs.iter().chain(more).copied().collect();
        let mut command = drills.run("orders-point-in-time", &inputs);
        Drill::of(&end(command.env("ORDERS_PASSWORD", PASSWORD)))
    }
}

fn described(aws: &Aws, name: &str) -> Value {
    let words = format!("rds describe-db-instances --db-instance-identifier {name}");
    aws.json(&words)["DBInstances"][0].clone()
}

fn sql(port: u64, statement: &str) {
    let psql = format!("{}/psql", variable("REDRILL_TEST_POSTGRES_BIN"));
    let mut command = Command::new(psql);
    command.env("PGPASSWORD", PASSWORD).args(["-X", "-v", "ON_ERROR_STOP=1"]);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "keeper", "-d", "orders"]);
    succeed(command.args(["-c", statement]));
}

#[test]
fn server_the_latest_time_is_restored_compared_and_removed_and_a_copy_is_made_in_another_region() {
    let source = Source::create("latest");
    let drills = Drills::new();
    let drill = source.drill(&drills, &[]);
    assert_eq!(drill.outcome("copy"), "passed", "{:#}", drill.at("/checks"));
    assert_eq!(drill.check("copy", "complete").0, "passed");
    assert_eq!(drill.check("copy", "time of the data").0, "passed");
    assert_eq!(drill.check("backup", "engine version offered").0, "passed");
    assert_eq!(drill.check("restore", "in the restore window").0, "passed");
    assert_eq!(drill.check("restore", "backup_retention"), ("passed".into(), "3".into()));
    assert_eq!(drill.check("data", "every order is there"), ("passed".into(), "3".into()));
    assert_eq!(drill.at("/objectives/rpo/measured_from"), "data");
    // moto copies the tags of the source, RDS does not: it is what was intended all the same.
    for name in ["class", "engine", "engine_version", "backup_retention", "storage"] {
        assert_eq!(drill.check("fidelity", name).0, "passed", "{name}");
    }
    drill.nothing_is_left(2);
    expect_calls("orders-point-in-time", &calls_of(&drills));
    let copies = source.aws.in_region(DR).json("rds describe-db-snapshots --snapshot-type manual");
    assert_eq!(copies["DBSnapshots"], serde_json::json!([]));
}
