//! A read replica against moto: promoted by a recovery that a second person has approved, and by nothing else. In moto a replica is
//! there at once, has no database behind it (MySQL: of PostgreSQL it makes none here), goes on being named by its source after it was
//! promoted, takes every promotion of what is no replica for done, and says no event of it. That a promoted one names no source any more
//! is what `tests/servers` adds: moto forgets it.

use crate::moto_operations::{calls_of, expect_calls};
use crate::server_support::{Aws, Drill, Drills, Ended, end, poll, succeed};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const HOME: &str = "eu-west-3";
const DR: &str = "eu-north-1";
const ACCOUNT: &str = "210987654341";

/// A source, and a replica of it in the other region.
struct Replicated {
    home: Aws,
    dr: Aws,
    source: String,
    replica: String,
}

impl Replicated {
    fn create(name: &str) -> Self {
        let home = Aws::assume(ACCOUNT, HOME);
        let dr = home.in_region(DR);
        let (source, replica) = (name.to_owned(), format!("{name}-replica"));
        let made = home.json(&format!(
            "rds create-db-instance --db-instance-identifier {source} --engine mysql --db-instance-class db.r6g.large \
             --allocated-storage 20 --master-username keeper --master-user-password not-a-real-password \
             --backup-retention-period 1"
        ));
        let arn = made["DBInstance"]["DBInstanceArn"].as_str().unwrap();
        dr.json(&format!(
            "rds create-db-instance-read-replica --db-instance-identifier {replica} --source-db-instance-identifier {arn}"
        ));
        Self { home, dr, source, replica }
    }

    /// The replica, as RDS describes it.
    fn described(&self) -> Value {
        let asked = format!("rds describe-db-instances --db-instance-identifier {}", self.replica);
        self.dr.json(&asked)["DBInstances"][0].clone()
    }

    fn is_replica(&self) -> bool {
        self.described()["ReadReplicaSourceDBInstanceIdentifier"].is_string()
    }

    fn run(&self, drills: &Drills, mode: &str) -> Command {
        let mut command = drills.run("replica-promoted", &[("replica", &self.replica)]);
        command.args(["--mode", mode]);
        command
    }
}

/// Runs to the end while somebody answers the question with a key of their own.
fn answered(drills: &Drills, mut command: Command, verb: &str) -> Ended {
    let key = drills.path("hanako");
    let mut make = Command::new("ssh-keygen");
    succeed(make.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&key));
    let public = std::fs::read_to_string(drills.path("hanako.pub")).unwrap();
    std::fs::write(drills.path("approvers"), format!("hanako {public}")).unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| end(&mut command));
        poll("the question is open", Duration::from_secs(60), || {
            let runs = std::fs::read_dir(drills.path("runs")).ok()?;
            let mut runs = runs.filter_map(|run| Some(run.ok()?.path()));
            runs.any(|run| run.join("approvals/decide.request.json").exists()).then_some(())
        });
        let mut answer = drills.program();
        let answer = end(answer.args([verb, "last", "decide", "--sign-with"]).arg(&key));
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        running.join().unwrap()
    })
}

#[test]
fn server_a_recovery_promotes_the_replica_and_leaves_it() {
    let replicated = Replicated::create("orders-promoted");
    assert!(replicated.is_replica());
    let drills = Drills::new();
    let recovery = replicated.run(&drills, "recovery");
    let drill = Drill::of(&answered(&drills, recovery, "approve"));
    drill.expect(0, "passed");
    let (outcome, source) = drill.check("promote", "is a read replica");
    assert_eq!(outcome, "passed");
    assert!(source.contains(&replicated.source), "{source}");
    assert_eq!(drill.check("promote", "stands alone"), ("passed".into(), "no replica".into()));
    assert_eq!(drill.check("promote", "backup_retention"), ("passed".into(), "7 days".into()));
    let promoted = replicated.described();
    assert!(!replicated.is_replica(), "{promoted}");
    assert_eq!(promoted["BackupRetentionPeriod"], 7);
    assert_eq!(drill.at("/resources/0/key/kind"), "rds.promoted_replica");
    assert_eq!(drill.at("/resources").as_array().unwrap().len(), 1);
    expect_calls("replica-promoted", &calls_of(&drills));
    let asked = format!("rds describe-db-instances --db-instance-identifier {}", replicated.source);
    let source = &replicated.home.json(&asked)["DBInstances"][0];
    assert_eq!(source["DBInstanceStatus"], "available", "the lost source is not touched");
    // It is no replica any more.
    let drills = Drills::new();
    let again = replicated.run(&drills, "recovery");
    let again = Drill::of(&answered(&drills, again, "approve"));
    again.expect(1, "failed");
    assert_eq!(again.check("promote", "is a read replica").0, "failed");
}

#[test]
fn server_neither_a_drill_nor_a_no_promotes_a_replica() {
    let replicated = Replicated::create("orders-replicated");
    for (mode, verb, code, promote) in
        [("drill", "approve", 2, "inconclusive"), ("recovery", "reject", 1, "not_run")]
    {
        let drills = Drills::new();
        let command = replicated.run(&drills, mode);
        let drill = Drill::of(&answered(&drills, command, verb));
        assert_eq!((drill.code, drill.outcome("promote").as_str()), (code, promote), "{mode}");
        assert!(replicated.is_replica(), "{mode}");
        assert_eq!(drill.at("/resources").as_array().unwrap().len(), 0, "{mode}");
    }
}
