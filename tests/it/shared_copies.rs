//! A snapshot that another account shares, under that account's key: it is found to be copied, copied under a key of one's own,
//! restored from the copy, and the copy is removed again.

use crate::program::{Program, listed};
use crate::rehearsals::{assert_nothing_left, red};
use serde_json::Value;

const SCENARIO: &str = r#"
redrill: 1
name: shared-copy
title: A snapshot that another account shares, copied and restored
system: orders
owner: sre
disaster: { kind: region_loss, lost: [primary] }
sites:
  primary: { account: "111111111111", region: ap-northeast-1 }
  vault: { account: "222222222222", region: ap-northeast-1 }
  dr: { account: "222222222222", region: ap-northeast-3 }
objectives:
  rto: { target: 4h, authority: "BIA §1" }
  rpo: { target: 26h, authority: "BIA §1" }
data: { class: internal }
guard: { write: [dr], max_resources: 3 }
steps:
  - id: original
    phase: prepare
    at: vault
    uses: rds.find_snapshot
    with: { of: orders-db, shared: true, to_copy: true, types: [shared] }
  - id: copy
    at: dr
    uses: rds.copy_snapshot
    with: { snapshot: "{{steps.original.arn}}", kms_key: alias/orders-dr }
  - id: found
    at: dr
    uses: rds.find_snapshot
    with: { of: orders-db, own_copy: "{{steps.copy.id}}" }
  - id: restored
    at: dr
    uses: rds.restore_snapshot
    with:
      snapshot: "{{steps.found.arn}}"
      class: db.r6g.large
      subnet_group: drill-isolated
      security_groups: [sg-drill]
  - id: data
    at: dr
    gate: acceptance
    uses: sql.check
    with:
      endpoint: "{{steps.restored.endpoint}}"
      port: "{{steps.restored.port}}"
      database: orders
      credentials: { secret: orders/readonly }
      watermark: select max(committed_at) from heartbeat
      queries: [{ name: orders, sql: select count(*) from orders, expect: "> 0" }]
"#;

const ESTATE: &str = r#"
estate: 1
title: A shared snapshot
now: 2026-11-20T02:00:00Z
seed: 3
accounts: { "111111111111": {}, "222222222222": {} }
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: alias/orders }]
    databases:
      - id: orders-db
        engine: postgres
        version: "16.4"
        class: db.r6g.4xlarge
        storage: 400
        kms_key: alias/orders
        database: orders
        users: { postgres: m, drill_readonly: sandbox-readonly }
        data:
          sql:
            - create table orders (id integer primary key)
            - insert into orders values (1), (2)
          heartbeat: { table: heartbeat, column: committed_at, every: 1m }
        snapshots:
          - { id: for-the-vault, age: 5h, shared_with: ["222222222222"] }
  - account: "222222222222"
    region: ap-northeast-1
  - account: "222222222222"
    region: ap-northeast-3
    kms_keys: [{ id: alias/orders-dr, state: enabled }]
    secrets:
      - { name: orders/readonly, value: { username: drill_readonly, password: sandbox-readonly } }
    security_groups: [{ id: sg-drill, vpc: vpc-drill }]
    subnet_groups:
      - name: drill-isolated
        vpc: vpc-drill
        subnets: [{ id: subnet-drill-a, zone: ap-northeast-3a }, { id: subnet-drill-b, zone: ap-northeast-3b }]
"#;

fn rehearse(scenario: &str) -> (i32, Value) {
    let program = Program::new();
    program.write("shared.yaml", scenario);
    program.write("estate.yaml", ESTATE);
    let arguments = ["run", "shared.yaml", "--sandbox", "--estate", "estate.yaml", "--quiet"];
    let ran = program.run(&[&arguments[..], &["--format", "json"]].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    (ran.code, ran.json()["runs"][0]["report"].clone())
}

#[test]
fn a_shared_encrypted_snapshot_is_copied_and_the_copy_restored() {
    let (code, report) = rehearse(SCENARIO);
    assert_eq!((code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);
    let kind = |made: &Value| Some(made["key"]["kind"].as_str().unwrap().to_owned());
    assert_eq!(listed(&report["resources"], kind), ["rds.db_instance", "rds.db_snapshot"]);
    assert_nothing_left(&report);
}

/// RDS restores nothing from it, and the step that looks for what to restore says what to do.
#[test]
fn without_a_copy_a_shared_encrypted_snapshot_is_no_recovery_point() {
    let (code, report) = rehearse(&SCENARIO.replace(", to_copy: true", ""));
    assert_eq!(code, 1, "{:#}", report["verdict"]);
    let action = report["findings"][0]["finding"]["action"].as_str().unwrap();
    assert!(action.contains("to_copy: true"), "{action}");
}
