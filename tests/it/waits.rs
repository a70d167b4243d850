//! Waits of many steps at the same time: what they cost on the wire.

use crate::program::Program;
use serde_json::Value;
use std::fmt::Write as _;

/// A drill that restores the newest snapshot so many times at once.
fn restores(program: &Program, count: usize) -> Value {
    let mut text = String::from(
        "redrill: 1
name: many
title: Many restores at once
owner: payments-sre
disaster: { kind: region_loss, lost: [primary] }
sites:
  primary: { account: \"111111111111\", region: ap-northeast-1 }
  dr: { account: \"222222222222\", region: ap-northeast-3 }
objectives:
  rto: { target: 24h, from: declared }
guard: { write: [dr], ttl: 96h, max_duration: 72h, max_resources: 500 }
steps:
  - { id: point, at: dr, uses: rds.find_snapshot, with: { of: orders-db } }
",
    );
    for n in 0..count {
        writeln!(
            text,
            "  - {{ id: restore-{n}, at: dr, uses: rds.restore_snapshot, phase: verify, gate: acceptance, with: {{ snapshot: \"{{{{steps.point.arn}}}}\", \
             class: db.r6g.large, subnet_group: drill-isolated, security_groups: [sg-drill] }} }}"
        )
        .unwrap();
    }
    program.write(&format!("many-{count}.yaml"), text);
    let file = format!("many-{count}.yaml");
    let fixed = ["run", &file, "--sandbox", "--estate", "scenarios/estates/orders-db.yaml"];
    let ran = program.run(&[&fixed[..], &["--keep", "1h", "--format", "json", "--quiet"]].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    let report = ran.json()["runs"][0]["report"].clone();
    for step in report["timeline"]["steps"].as_array().unwrap() {
        assert_eq!(step["outcome"], "passed", "{step}");
    }
    report
}

/// How often an operation was called by a run.
fn calls(report: &Value, operation: &str) -> u64 {
    let calls = report["calls"].as_array().unwrap().iter();
    let of = calls.filter(|call| call["operation"] == operation);
    of.map(|call| call["count"].as_u64().unwrap()).sum()
}

#[test]
fn two_hundred_restores_that_wait_cost_the_look_ups_of_one_page_by_page() {
    let program = Program::new();
    let one = calls(&restores(&program, 1), "rds:DescribeDBInstances");
    assert!(one > 5, "{one}");
    // In a folder of its own: what a wait took in an earlier run would be expected.
    let report = restores(&Program::new(), 200);
    assert_eq!(calls(&report, "rds:RestoreDBInstanceFromDBSnapshot"), 200);
    // Each is looked up once more when it is kept, and its tags are read.
    let kept = 2;
    assert_eq!(calls(&report, "rds:DescribeDBInstances"), 2 * (one - kept) + 200 * kept);
}
