//! Clusters that are restored from a snapshot and to a point in time, with `--fault` and with what was never made where they are
//! restored: what stays is told apart from what passes, the member that is meant is named, and nothing is made twice or left.

use crate::faults::{calls, step};
use crate::program::Program;
use crate::rehearsals::{assert_nothing_left, red};
use serde_json::Value;

/// For the estate of `payments-aurora`: the cluster is restored beside itself.
const POINT_IN_TIME: &str = r#"
redrill: 1
name: payments-earlier
title: Payments cluster, restored beside the damaged one to an earlier time
owner: tests
disaster: { kind: corruption }
sites:
  home: { account: "111111111111", region: ap-northeast-1, role: redrill-drill }
  dr: { account: "222222222222", region: ap-northeast-3, role: redrill-drill }
objectives:
  rto: { target: 4h, authority: test, from: declared }
  rpo: { target: 24h, authority: test, measure: data }
guard: { write: [home], ttl: 12h, max_duration: 8h, max_resources: 3 }
steps:
  - id: restore
    at: home
    uses: aurora.restore_cluster_point_in_time
    timeout: 4h
    with:
      of: payments
      to: 2026-11-20T01:00:00Z
      writer: { class: db.r6g.large, tier: 0 }
      readers: [{ class: db.r6g.xlarge, tier: 1 }]
      subnet_group: prod
      security_groups: [sg-payments]
      cluster_parameter_group: payments-cluster
      instance_parameter_group: payments-instance
  - id: data
    phase: verify
    gate: acceptance
    uses: sql.check
    with:
      endpoint: "{{steps.restore.endpoint}}"
      port: "{{steps.restore.port}}"
      database: payments
      credentials: { secret: payments/readonly, at: dr }
      watermark: select max(committed_at) from heartbeat
      queries:
        - { name: payments are there, sql: select count(*) from payments, expect: ">= 4" }
"#;

/// How a cluster is restored.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As the shipped scenario does.
    Snapshot,
    PointInTime,
}

const WAYS: [Way; 2] = [Way::Snapshot, Way::PointInTime];

/// In faults: the call that asks for the cluster.
const RESTORE: &str = "RESTORE";

impl Way {
    fn scenario(self) -> String {
        match self {
            Self::Snapshot => Program::new().read("scenarios/payments-aurora.yaml"),
            Self::PointInTime => POINT_IN_TIME.to_owned(),
        }
    }

    fn call(self) -> &'static str {
        match self {
            Self::Snapshot => "rds:RestoreDBClusterFromSnapshot",
            Self::PointInTime => "rds:RestoreDBClusterToPointInTime",
        }
    }

    /// Where it is restored.
    fn region(self) -> &'static str {
        match self {
            Self::Snapshot => "ap-northeast-3",
            Self::PointInTime => "ap-northeast-1",
        }
    }

    /// What is red when the restore ended like this and nothing else was wrong.
    fn red(self, outcome: &str) -> Vec<String> {
        let waiting: &[&str] = match self {
            Self::Snapshot => &["content", "data", "fidelity", "hydrated", "reader", "write"],
            Self::PointInTime => &["data"],
        };
        let not_run = waiting.iter().map(|step| format!("step {step} not_run"));
        let mut red: Vec<String> = not_run.chain([format!("step restore {outcome}")]).collect();
        red.sort();
        red
    }

    fn rehearse(self, faults: &[&str]) -> Rehearsed {
        self.rehearse_as(&self.scenario(), faults)
    }

    fn rehearse_as(self, scenario: &str, faults: &[&str]) -> Rehearsed {
        let program = Program::new();
        program.write("aurora.yaml", scenario);
        let fault = |fault: &&str| format!("--fault={}", fault.replace(RESTORE, self.call()));
        let faults: Vec<String> = faults.iter().map(fault).collect();
        let fixed = ["run", "aurora.yaml", "--sandbox", "--format", "json", "--quiet"];
        let estate = ["--estate", "scenarios/estates/payments-aurora.yaml"];
        let arguments = fixed.into_iter().chain(estate).chain(faults.iter().map(String::as_str));
        let ran = program.run(&arguments.collect::<Vec<_>>());
        assert!(ran.stdout.starts_with('{'), "{self:?} {faults:?}: {}", ran.stderr);
        let report = ran.json()["runs"][0]["report"].clone();
        Rehearsed { way: self, program, code: ran.code, report }
    }
}

/// A rehearsal that has ended.
struct Rehearsed {
    way: Way,
    program: Program,
    code: i32,
    report: Value,
}

impl Rehearsed {
    /// Everything is green, and the cluster and its two members are gone again, and the schema that was written to.
    #[track_caller]
    fn passes(&self) {
        assert_eq!((self.code, red(&self.report)), (0, Vec::new()), "{:?}", self.way);
        self.leaves_nothing_of(match self.way {
            Way::Snapshot => 4,
            Way::PointInTime => 3,
        });
    }

    /// The restore ends like this and says these words, nothing else is wrong, and so many things that it asked for are gone.
    #[track_caller]
    fn ends(&self, outcome: &str, made: usize, words: &[&str]) {
        let restore = step(&self.report, "restore");
        let code = if outcome == "failed" { 1 } else { 2 };
        let ended = (self.code, red(&self.report));
        assert_eq!(ended, (code, self.way.red(outcome)), "{:?} {restore}", self.way);
        let text = |name: &str| restore[name].as_str().unwrap_or_default();
        let said = format!("{}\n{}", text("why"), text("help"));
        for word in words {
            assert!(said.contains(word), "{:?}: no {word:?} in: {said}", self.way);
        }
        self.leaves_nothing_of(made);
    }

    #[track_caller]
    fn leaves_nothing_of(&self, made: usize) {
        let resources = &self.report["resources"];
        assert_eq!(resources.as_array().unwrap().len(), made, "{:?}: {resources}", self.way);
        assert_nothing_left(&self.report);
    }

    /// How often the journal says this of things of this kind.
    fn events(&self, event: &str, kind: &str) -> usize {
        let files = self.program.files_of_runs();
        let journal = files.iter().find(|file| file.ends_with("/journal.jsonl")).unwrap();
        let (event, kind) = (format!("\"type\":\"{event}\""), format!("\"kind\":\"{kind}\""));
        let journal = self.program.read(journal);
        journal.lines().filter(|line| line.contains(&event) && line.contains(&kind)).count()
    }
}

#[test]
fn a_member_without_capacity_for_its_class_fails_the_restore_and_is_named() {
    for (way, member, made, named) in [
        (Way::Snapshot, "", 2, "-restore-1 of the class db.r6g.large"),
        (Way::Snapshot, "#2", 3, "-restore-2 of the class db.r6g.large"),
        (Way::PointInTime, "", 2, "-restore-1 of the class db.r6g.large"),
        (Way::PointInTime, "#2", 3, "-restore-2 of the class db.r6g.xlarge"),
    ] {
        let fault = format!("rds:CreateDBInstance{member}=error:InsufficientDBInstanceCapacity");
        let words = ["InsufficientDBInstanceCapacity", "the instance redrill-", named, "zones"];
        way.rehearse(&[&fault]).ends("failed", made, &words);
    }
}

#[test]
fn regression_a_region_without_room_for_a_cluster_fails_the_restore_although_rds_says_403() {
    for way in WAYS {
        for (code, help) in [
            ("InsufficientDBClusterCapacityFault", "ask for another class"),
            ("DBClusterQuotaExceededFault", "have the quota raised"),
        ] {
            let fault = format!("{RESTORE}=error:{code}:403");
            way.rehearse(&[&fault]).ends("failed", 1, &[way.call(), code, help]);
        }
    }
}

#[test]
fn a_cluster_snapshot_that_is_deleted_between_finding_and_restoring_fails_the_restore() {
    let fault = format!("{RESTORE}=error:DBClusterSnapshotNotFoundFault:404");
    let words = [Way::Snapshot.call(), "DBClusterSnapshotNotFoundFault"];
    Way::Snapshot.rehearse(&[&fault]).ends("failed", 1, &words);
}

/// The scenario with another name of a group: nobody made one of this name.
fn never_made(scenario: &str, input: &str, name: &str) -> String {
    let written = format!("{input}: {name}\n");
    assert_eq!(scenario.matches(&written).count(), 1, "{written}");
    scenario.replace(&written, &format!("{input}: never-made\n"))
}

#[test]
fn parameter_groups_that_were_never_made_fail_the_restore() {
    for way in WAYS {
        for (input, name, made, code) in [
            ("cluster_parameter_group", "payments-cluster", 1, "DBClusterParameterGroupNotFound"),
            ("instance_parameter_group", "payments-instance", 2, "DBParameterGroupNotFound"),
        ] {
            let scenario = never_made(&way.scenario(), input, name);
            way.rehearse_as(&scenario, &[]).ends("failed", made, &[code, "never-made"]);
        }
    }
}

#[test]
fn a_subnet_group_that_was_never_made_fails_the_restore() {
    // A step that says in which VPC it must be looks first, and asks for nothing.
    for (way, input, name, made, call) in [
        (Way::Snapshot, "subnets", "drill-isolated", 0, "rds:DescribeDBSubnetGroups"),
        (Way::PointInTime, "subnet_group", "prod", 1, "rds:RestoreDBClusterToPointInTime"),
    ] {
        let scenario = never_made(&way.scenario(), input, name);
        let words = [call, "DBSubnetGroupNotFoundFault", "never-made"];
        way.rehearse_as(&scenario, &[]).ends("failed", made, &words);
    }
}

#[test]
fn throttling_of_every_call_of_a_restore_is_waited_out() {
    for way in WAYS {
        let once = [
            way.call(),
            "rds:CreateDBInstance",
            "rds:DescribeEvents",
            "rds:DeleteDBInstance",
            "rds:DeleteDBCluster",
        ];
        let of_snapshots = [
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBEngineVersions",
            "rds:DescribeDBSubnetGroups",
            "kms:DescribeKey",
        ];
        let more: &[&str] = match way {
            Way::Snapshot => &of_snapshots,
            Way::PointInTime => &[],
        };
        let once = once.iter().chain(more).map(|call| (*call, 4));
        // The first five of these are made, and given up, by the inventory before the first step.
        let looks = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"].map(|call| (call, 9));
        let all: Vec<(&str, u32)> = once.chain(looks).collect();
        let fault =
            |(call, times): &(&str, u32)| format!("{call}@{}<{times}=throttle", way.region());
        let faults: Vec<String> = all.iter().map(fault).collect();
        let rehearsed = way.rehearse(&faults.iter().map(String::as_str).collect::<Vec<_>>());
        rehearsed.passes();
        for (call, _) in all {
            let (made, failed) = calls(&rehearsed.report, call);
            assert!(failed >= 4 && made > failed, "{way:?}: {call} {made} {failed}");
        }
    }
}

#[test]
fn a_service_that_stays_busy_or_broken_is_inconclusive() {
    for way in WAYS {
        for (effect, words) in [("throttle", "Throttling"), ("server_error", "InternalFailure")] {
            for (call, made) in [(way.call(), 1), ("rds:CreateDBInstance", 2)] {
                let fault = format!("{call}={effect}");
                way.rehearse(&[&fault]).ends("inconclusive", made, &[call, words]);
            }
        }
    }
}

#[test]
fn a_cluster_that_never_becomes_available_or_ends_unusable_fails_and_is_removed() {
    for way in WAYS {
        let stuck = ["limit of", "cluster available was waited for, last seen: creating"];
        way.rehearse(&["RESTORE=stuck"]).ends("failed", 1, &stuck);
        let broken = ["ended in the status inaccessible-encryption-credentials", "KMS key"];
        way.rehearse(&["RESTORE=broken"]).ends("failed", 1, &broken);
    }
}

#[test]
fn a_member_that_never_becomes_available_fails_the_restore_and_is_named() {
    for way in WAYS {
        for member in ["1", "2"] {
            let named = format!("-restore-{member} did not join the cluster redrill-");
            let stuck =
                [named.as_str(), "took longer than 1h 30m; last seen: creating", "RDS events"];
            let fault = format!("rds:CreateDBInstance#{member}=stuck");
            way.rehearse(&[&fault]).ends("failed", 3, &stuck);
            let broken =
                [named.as_str(), "ended in the status incompatible-network", "subnet group"];
            let fault = format!("rds:CreateDBInstance#{member}=broken");
            way.rehearse(&[&fault]).ends("failed", 3, &broken);
        }
    }
}

#[test]
fn a_cluster_and_members_whose_replies_were_lost_are_adopted_and_not_made_twice() {
    for way in WAYS {
        for lost in [
            &["RESTORE#1=lost_reply"][..],
            &["rds:CreateDBInstance#1=lost_reply"],
            &["rds:CreateDBInstance#2=lost_reply"],
            // None of them is ever answered.
            &["RESTORE=lost_reply", "rds:CreateDBInstance=lost_reply"],
        ] {
            let rehearsed = way.rehearse(lost);
            rehearsed.passes();
            for event in ["resource_intended", "resource_owned", "resource_released"] {
                let of = |kind: &str| rehearsed.events(event, kind);
                let told = (of("aurora.cluster"), of("aurora.instance"));
                assert_eq!(told, (1, 2), "{way:?} {lost:?}: {event}");
            }
        }
    }
}
