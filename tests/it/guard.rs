//! What the guard does to a whole run: exit codes, and what is in the report.

use crate::program::{Program, Ran};
use serde_json::Value;

const SCENARIO: &str = r#"
redrill: 1
name: switch
title: Traffic, switched to the DR region
owner: tests
disaster: { kind: corruption }
sites: { dr: { account: "222222222222", region: ap-northeast-3 } }
objectives: { rto: { target: 1h, from: declared } }
guard: { external: [switch] }
steps:
  - id: decide
    uses: control.approve
    with: { ask: "Switch the traffic?", second_person: true }
  - id: switch
    uses: exec.run
    needs: [decide]
    with: { argv: [switch-traffic, dr], effect: external }
  - id: answers
    phase: verify
    gate: acceptance
    needs: [switch]
    uses: exec.run
    with: { argv: [ask-service], effect: none }
"#;

fn rehearsed(approved_by: &str) -> (i32, Value) {
    let estate = format!(
        "estate: 1\nnow: 2026-11-22T10:00:00Z\naccounts: {{ \"222222222222\": {{}} }}\nplaces:\n  - {{ account: \
         \"222222222222\", region: ap-northeast-3 }}\nanswers:\n  approvals: {{ decide: {{ approved: true, by: \
         {approved_by} }} }}\n  commands: {{ switch: {{ status: 0 }}, answers: {{ status: 0 }} }}\n"
    );
    let program = Program::new();
    program.write("switch.yaml", SCENARIO);
    program.write("estate.yaml", estate);
    let ran = program.run(&[
        "run",
        "switch.yaml",
        "--sandbox",
        "--estate",
        "estate.yaml",
        "--format",
        "json",
        "--quiet",
    ]);
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    (ran.code, ran.json()["runs"][0]["report"].clone())
}

fn outcomes(report: &Value) -> Vec<String> {
    let steps = report["timeline"]["steps"].as_array().unwrap().iter();
    let shown = |text: &Value| text.as_str().unwrap().to_owned();
    steps.map(|step| format!("{} {}", shown(&step["id"]), shown(&step["outcome"]))).collect()
}

#[test]
fn what_cannot_be_undone_is_done_after_a_second_persons_yes() {
    let (code, report) = rehearsed("hanako");
    assert_eq!(outcomes(&report), ["decide passed", "switch passed", "answers passed"]);
    assert_eq!(code, 0);
}

#[test]
fn what_cannot_be_undone_is_not_done_after_the_operators_own_yes() {
    let (code, report) = rehearsed("the operator");
    assert_eq!(outcomes(&report), ["decide failed", "switch not_run", "answers not_run"]);
    assert_eq!(code, 1);
}

#[test]
fn without_a_second_person_the_scenario_is_refused_before_anything_happens() {
    let program = Program::new();
    program.write("switch.yaml", SCENARIO.replace(", second_person: true", ""));
    let checked = program.run(&["check", "switch.yaml"]);
    assert_eq!(checked.code, 3, "{}", checked.stderr);
    assert!(checked.stdout.contains("RD607"), "{}", checked.stdout);
}

#[test]
fn a_run_does_not_go_elsewhere_than_to_aws_unseen() {
    let program = Program::new();
    let mut command = program.command(&["run", "scenarios/orders-db.yaml", "--quiet"]);
    // Nothing listens there; nothing is to be called.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let ran = Ran::of(command.output().unwrap());
    ran.says(4, &["AWS_ENDPOINT_URL", "--endpoint-url"]);
}
