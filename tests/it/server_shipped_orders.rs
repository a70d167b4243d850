//! The shipped orders-db scenario and its runbook, as they are, against moto with a real PostgreSQL behind it.

use crate::server_shipped::{dr, finding, key, primary};
use crate::server_support::{
    Aws, Drill, Drills, end, moto, poll, repository, succeed, variable, without_aws_configuration,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const KEEPER: &str = "swordfish-4";
const READER: &str = "read-only-4";

const CONTENT: &str = "create table heartbeat (committed_at timestamptz not null); \
     create table customers (id int primary key); \
     create table orders (id int primary key, customer_id int not null); \
     create table ledger (id int primary key, debit int not null, credit int not null); \
     insert into heartbeat values (now()); insert into customers values (1), (2); \
     insert into orders values (1, 1), (2, 2), (3, 1); insert into ledger values (1, 70, 0), (2, 0, 70); \
     create role orders_readonly login password 'read-only-4'; grant select on all tables in schema public to orders_readonly;";

fn sql(port: u64, statement: &str) -> String {
    let psql = format!("{}/psql", variable("REDRILL_TEST_POSTGRES_BIN"));
    let mut command = Command::new(psql);
    command.env("PGPASSWORD", KEEPER).args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "keeper", "-d", "orders"]);
    succeed(command.args(["-c", statement])).trim().to_owned()
}

/// Production: the instance, its copies of a week in the DR region, and what the DR region has ready.
struct Production {
    primary: Aws,
    dr: Aws,
    port: u64,
    key: String,
}

impl Production {
    fn make() -> Self {
        let (primary, dr) = (primary(), dr());
        for aws in [&primary, &dr] {
            aws.json(
                "rds create-db-parameter-group --db-parameter-group-name orders-postgres16 \
                 --db-parameter-group-family postgres16 --description orders",
            );
        }
        let subnets = dr.json("ec2 describe-subnets");
        let subnets = subnets["Subnets"].as_array().unwrap().iter();
        let subnets: Vec<_> = subnets.map(|one| one["SubnetId"].as_str().unwrap()).collect();
        for name in ["drill-isolated", "prod-dr"] {
            dr.json(&format!(
                "rds create-db-subnet-group --db-subnet-group-name {name} --db-subnet-group-description {name} \
                 --subnet-ids {}",
                subnets.join(" ")
            ));
        }
        let login = format!("{{\"username\":\"orders_readonly\",\"password\":\"{READER}\"}}");
        let secret = ["secretsmanager", "create-secret", "--name", "orders/readonly"];
        dr.json_of(&[&secret[..], &["--secret-string", &login]].concat());
        let home_key = key(&primary);
        primary.json(&format!(
            "rds create-db-instance --db-instance-identifier orders-db --engine postgres --multi-az \
             --storage-encrypted --kms-key-id {home_key} --tags Key=system,Value=orders Key=tier,Value=1 \
             --db-instance-class db.r6g.4xlarge --allocated-storage 100 --backup-retention-period 7 --db-name orders \
             --db-parameter-group-name orders-postgres16 --master-username keeper --master-user-password {KEEPER}"
        ));
        let port = poll("the source is available", LIMIT, || {
            let answer =
                primary.json("rds describe-db-instances --db-instance-identifier orders-db");
            let instance = &answer["DBInstances"][0];
            let available = instance["DBInstanceStatus"] == "available";
            available.then(|| instance["Endpoint"]["Port"].as_u64().unwrap())
        });
        let key = key(&dr);
        dr.json(&format!("kms create-alias --alias-name alias/orders-dr --target-key-id {key}"));
        Self { primary, dr, port, key }
    }

    /// Takes a snapshot, shares it, and copies it to the DR region as that of so many days ago.
    fn copy(&self, name: &str, days: &[u32]) {
        self.primary.json(&format!(
            "rds create-db-snapshot --db-instance-identifier orders-db --db-snapshot-identifier {name}"
        ));
        let arn = available(&self.primary, name);
        self.primary.json(&format!(
            "rds modify-db-snapshot-attribute --db-snapshot-identifier {name} --attribute-name restore \
             --values-to-add 222222222222"
        ));
        for day in days {
            // A minute of room, so that the oldest is not a moment too young.
            let age = if *day == 0 { 0 } else { day * 86_400 + 60 };
            self.dr.json(&format!(
                "rds copy-db-snapshot --source-region ap-northeast-1 --source-db-snapshot-identifier {arn} \
                 --target-db-snapshot-identifier {name}-{day} --kms-key-id {} --tags Key=moto-age,Value={age}",
                self.key
            ));
            available(&self.dr, &format!("{name}-{day}"));
        }
    }
}

/// Waits until a snapshot is there, and gives its ARN.
fn available(aws: &Aws, name: &str) -> String {
    poll("the snapshot is available", LIMIT, || {
        let words = format!("rds describe-db-snapshots --db-snapshot-identifier {name}");
        let answer = aws.json(&words);
        let snapshot = &answer["DBSnapshots"][0];
        let available = snapshot["Status"] == "available";
        available.then(|| snapshot["DBSnapshotArn"].as_str().unwrap().to_owned())
    })
}

/// The folder that the operator works in has the bundle of certificates.
fn with_bundle() -> Drills {
    let drills = Drills::new();
    let bundle = drills.path("global-bundle.pem");
    fs::copy(variable("REDRILL_TEST_AUTHORITY"), bundle).unwrap();
    drills
}

/// The scenario as it is shipped, but for the port: each of these servers has one of its own, RDS keeps that of the backup.
fn drill(drills: &Drills) -> Drill {
    let shipped = fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    let vary = "vary: [class, multi_az, deletion_protection, vpc";
    assert_eq!(shipped.matches(vary).count(), 1);
    let scenario = drills.path("orders-db.yaml");
    fs::write(&scenario, shipped.replace(vary, &format!("{vary}, port"))).unwrap();
    let mut command = drills.program();
    command.arg("run").arg(scenario).args(["--quiet", "--format", "json", "--endpoint-url"]);
    Drill::of(&end(command.arg(moto())))
}

/// The blocks of `sh` in a part of a runbook.
fn blocks(part: &str) -> Vec<&str> {
    let opened = part.split("```sh\n").skip(1);
    opened.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// A responder with the AWS CLI, jq, psql and the runbook: each block is pasted as it stands, into one shell, with the
/// credentials of the account that its section names.
fn follow(runbook: &str, production: &Production, drills: &Drills) -> String {
    let (before, recovery) = runbook.split_once("## Before a disaster").unwrap();
    let (recovery, afterwards) = recovery.split_once("## Afterwards").unwrap();
    let mut script = String::from("set -e\n");
    blocks(before).iter().for_each(|block| script.push_str(block));
    for section in recovery.split("\n### ").skip(1) {
        let aws = match section.split("account ").nth(1).and_then(|rest| rest.get(..12)) {
            Some("111111111111") => &production.primary,
            _ => &production.dr,
        };
        for (name, value) in aws.environment() {
            script.push_str(&format!("export {name}='{value}'\n"));
        }
        blocks(section).iter().for_each(|block| script.push_str(block));
    }
    // Giving the recovery up: the name is the only thing that is filled in.
    script.push_str("echo \"RESTORED $RESTORE_ID $RESTORE_PORT\"\n");
    let remove = blocks(afterwards).concat();
    assert_eq!(remove.matches("'<name>'").count(), 2, "{remove}");
    script.push_str(&remove.replace("'<name>'", "\"$RESTORE_ID\""));
    let path = drills.path("programs");
    fs::create_dir(&path).unwrap();
    wrap(
        &path,
        "aws",
        &format!("exec '{}' --endpoint-url {} \"$@\"", variable("REDRILL_TEST_AWS_CLI"), moto()),
    );
    wrap(&path, "psql", &format!("exec '{}/psql' \"$@\"", variable("REDRILL_TEST_POSTGRES_BIN")));
    wrap(&path, "sleep", "exec /bin/sleep 1");
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().current_dir(drills.path("")).args(["-c", &script]);
    without_aws_configuration(&mut shell);
    shell.env("PATH", format!("{}:/usr/bin:/bin", path.display())).env("HOME", drills.path(""));
    succeed(&mut shell)
}

/// A program on PATH that stands before another.
fn wrap(folder: &std::path::Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn passes_as_shipped(production: &Production, drills: &Drills) {
    let passed = drill(drills);
    passed.expect(0, "passed");
    assert_eq!(passed.outcome("config"), "passed");
    assert_eq!(passed.check("point", "encryption key"), ("passed".into(), "enabled".into()));
    assert_eq!(passed.check("restore", "subnet_group").1, "drill-isolated");
    assert_eq!(passed.check("restore", "security_groups").0, "passed");
    assert_eq!(passed.check("restore", "parameter_group").1, "orders-postgres16");
    assert_eq!(passed.check("data", "ledger balances"), ("passed".into(), "0".into()));
    assert_eq!(passed.check("data", "every order has a customer"), ("passed".into(), "0".into()));
    assert_eq!(passed.check("fidelity", "kms_key").0, "passed");
    assert_eq!(passed.at("/objectives/rpo/measured_from"), "data");
    assert_eq!(passed.at("/objectives/rto/outcome"), "met");
    passed.nothing_is_left(1);
    let journal = serde_json::to_string(&drills.journal("orders-db-0001")).unwrap();
    assert!(!journal.contains(READER), "the password stands in the journal");
    let instances = production.dr.json("rds describe-db-instances");
    assert_eq!(instances["DBInstances"].as_array().map(Vec::len), Some(0), "{instances}");
}

/// The commands that people would paste at 03:00, all of them, from the first to giving it up.
fn the_runbook_works(production: &Production, drills: &Drills) {
    let runbook = fs::read_to_string(repository("runbooks/orders-db.md")).unwrap();
    let said = follow(&runbook, production, drills);
    let restored = said.lines().find_map(|line| line.strip_prefix("RESTORED ")).unwrap();
    let (name, port) = restored.split_once(' ').unwrap();
    assert_ne!(port, production.port.to_string());
    // In the order of the commands: it answers, the newest data, then each query behind its population.
    let lines: Vec<_> = said.lines().skip_while(|line| *line != "1").take(6).collect();
    let newest =
        sql(production.port, "set timezone = 'UTC'; select max(committed_at) from heartbeat");
    assert_eq!(lines, ["1", &newest, "2", "0", "3", "0"], "{said}");
    poll("the instance is gone", LIMIT, || {
        let words = format!("rds describe-db-instances --db-instance-identifier {name}");
        let answer = production.dr.json("rds describe-db-instances");
        answer["DBInstances"].as_array().unwrap().is_empty().then_some(words)
    });
}

#[test]
fn server_the_shipped_orders_db_and_its_runbook_recover_a_real_postgresql() {
    let production = Production::make();
    sql(production.port, CONTENT);
    production.copy("week", &[6, 5, 4, 3, 2, 1]);
    production.copy("today", &[0]);
    let drills = with_bundle();
    passes_as_shipped(&production, &drills);
    the_runbook_works(&production, &drills);

    // Somebody has booked one side only, and the copies of that are as fresh as those before.
    sql(
        production.port,
        "insert into ledger values (3, 5, 0); insert into heartbeat values (now())",
    );
    production.copy("unbalanced", &[0]);
    let unbalanced = drill(&drills);
    unbalanced.expect(1, "failed");
    assert_eq!(unbalanced.check("data", "ledger balances"), ("failed".into(), "5".into()));
    unbalanced.nothing_is_left(1);

    // The key of the copies is disabled: all snapshots are there, and none can be restored.
    production.dr.json(&format!("kms disable-key --key-id {}", production.key));
    let locked = drill(&drills);
    locked.expect(1, "failed");
    finding(&locked, "rds.no_usable_recovery_point");
    assert_eq!(locked.outcome("restore"), "not_run");
    locked.nothing_is_left(0);

    // Who answers is not who the bundle vouches for: nothing is sent to it.
    production.dr.json(&format!("kms enable-key --key-id {}", production.key));
    let other = Drills::new();
    let mut authority = Command::new(variable("REDRILL_TEST_PYTHON"));
    authority.current_dir(repository("tests/servers"));
    authority.args(["-c", "from authority import Authority; print(Authority().certificate)"]);
    fs::write(other.path("global-bundle.pem"), succeed(&mut authority)).unwrap();
    let unknown = drill(&other);
    unknown.expect(2, "inconclusive");
    assert_ne!(unknown.outcome("data"), "passed");
    unknown.nothing_is_left(1);
}
