//! Up to which moment the loss is counted: the time that people take after the disaster is none of the backup's.

use crate::program::Program;
use crate::rehearsals::red;
use serde_json::json;

#[test]
fn regression_half_an_hour_of_deciding_is_not_charged_to_a_healthy_backup() {
    let program = Program::new();
    let scenario = program.read("scenarios/orders-db-point-in-time.yaml");
    let find = "  - id: backup\n    at: dr\n";
    assert_eq!(scenario.matches(find).count(), 1);
    let decide = "  - id: decide\n    uses: control.approve\n    with: { ask: \"Recover?\", within: 1h }\n\n";
    let asked = format!("{decide}{find}    needs: [decide]\n");
    program.write("orders-db-point-in-time.yaml", scenario.replace(find, &asked));
    let estate = program.read("scenarios/estates/orders-db-point-in-time.yaml");
    assert!(!estate.contains("\nanswers:"));
    let answer = "answers: { approvals: { decide: { approved: true, by: hanako, after: 30m } } }\n";
    program.write("estate.yaml", format!("{estate}\n{answer}"));
    let arguments = ["--sandbox", "--format", "json", "--quiet", "--estate", "estate.yaml"];
    let ran = program.run(&[&["run", "orders-db-point-in-time.yaml"][..], &arguments].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    let report = ran.json()["runs"][0]["report"].clone();
    assert_eq!((ran.code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);
    assert_eq!(report["objectives"]["rto"]["waiting_for_people"], "30m");
    let rpo = &report["objectives"]["rpo"];
    // Five minutes behind when it was lost, five until the next log, and the steps before the declaration.
    assert_eq!((&rpo["outcome"], &rpo["worst_case"]), (&json!("met"), &json!("10m 1s")), "{rpo}");
}
