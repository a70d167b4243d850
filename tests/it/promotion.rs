//! A read replica in the DR region is promoted when its source is lost: by a recovery, after a second person's yes, and by
//! nothing else.

use crate::program::{Program, Ran};
use crate::rehearsals::red;
use serde_json::Value;

const SCENARIO: &str = r#"
redrill: 1
name: promote
title: Orders, promoted in the DR region
owner: tests
disaster: { kind: region_loss, lost: [home] }
sites:
  home: { account: "111111111111", region: ap-northeast-1 }
  dr: { account: "111111111111", region: ap-northeast-3 }
objectives: { rto: { target: 1h, from: declared }, rpo: { target: 10m, measure: data } }
guard: { write: [dr], external: [promote] }
steps:
  - id: decide
    uses: control.approve
    with: { ask: "Promote the replica? That cannot be undone.", second_person: true }
  - id: promote
    at: dr
    uses: rds.promote_replica
    needs: [decide]
    with: { instance: orders-replica, effect: external, backup_retention: 7d }
  - id: data
    phase: verify
    gate: acceptance
    uses: sql.check
    with:
      endpoint: "{{steps.promote.endpoint}}"
      port: "{{steps.promote.port}}"
      database: orders
      credentials: { secret: reader, at: dr }
      watermark: select max(at) from beats
      queries: [{ name: orders are there, sql: select count(*) from orders, expect: ">= 2" }]
"#;

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {} }
places:
  - account: "111111111111"
    region: ap-northeast-1
    databases:
      - id: orders-db
        database: orders
        users: { reader: sandbox-reader }
        data:
          sql: [create table orders (id integer), "insert into orders values (1), (2)"]
          heartbeat: { table: beats, column: at, every: 1m }
  - account: "111111111111"
    region: ap-northeast-3
    secrets: [{ name: reader, value: { username: reader, password: sandbox-reader } }]
    databases:
      - id: orders-replica
        database: orders
        users: { reader: sandbox-reader }
        replica_of: { id: orders-db, region: ap-northeast-1, lag: 4m }
answers: { approvals: { decide: { approved: true, by: hanako } } }
"#;

fn run(mode: &str, scenario: &str, estate: &str) -> (i32, Value) {
    let program = Program::new();
    program.write("promote.yaml", scenario);
    program.write("estate.yaml", estate);
    let arguments = ["run", "promote.yaml", "--mode", mode, "--sandbox", "--estate", "estate.yaml"];
    let ran: Ran = program.run(&[&arguments[..], &["--format", "json", "--quiet"]].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    (ran.code, ran.json()["runs"][0]["report"].clone())
}

#[test]
fn a_recovery_promotes_the_replica_with_what_it_had_received_and_removes_nothing() {
    let (code, report) = run("recovery", SCENARIO, ESTATE);
    assert_eq!((code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);
    // The source was lost when the disaster was declared; four minutes of it had not arrived.
    assert_eq!(report["objectives"]["rpo"]["newest"], "2026-11-22T09:56:00Z");
    let resources = report["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 1, "{resources:#?}");
    assert_eq!(resources[0]["key"]["kind"], "rds.promoted_replica", "{resources:#?}");
    assert_ne!(resources[0]["state"], "released");
}

#[test]
fn a_drill_refuses_and_changes_nothing() {
    let (code, report) = run("drill", SCENARIO, ESTATE);
    assert_eq!(code, 2);
    assert_eq!(red(&report), ["step data not_run", "step promote inconclusive"]);
    assert_eq!(report["resources"].as_array().unwrap().len(), 0);
}

#[test]
fn without_a_second_persons_yes_nothing_is_promoted() {
    let own = ESTATE.replace("by: hanako", "by: the operator");
    let (code, report) = run("recovery", SCENARIO, &own);
    assert_eq!(code, 1);
    assert_eq!(red(&report), ["step data not_run", "step decide failed", "step promote not_run"]);
}

#[test]
fn a_promotion_outside_of_the_guard_is_refused_before_anything_happens() {
    for (from, to, code) in [
        (", external: [promote]", "", "RD606"),
        (", second_person: true", "", "RD607"),
        ("effect: external, ", "", "effect"),
    ] {
        let program = Program::new();
        program.write("promote.yaml", SCENARIO.replace(from, to));
        let checked = program.run(&["check", "promote.yaml"]);
        assert_eq!(checked.code, 3, "{from}: {}", checked.stdout);
        assert!(checked.stdout.contains(code), "{}", checked.stdout);
    }
}
