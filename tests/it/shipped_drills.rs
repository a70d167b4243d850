//! What the shipped scenarios keep apart from production when they are drills.

use crate::program::Program;
use crate::rehearsals::red;
use serde_json::{Value, json};

/// What the step `restore` of a rehearsal was given.
fn given_to_restore(scenario: &str, mode: &[&str]) -> Value {
    let program = Program::new();
    let (_, report) = program.rehearse(scenario, mode);
    if mode.is_empty() {
        assert_eq!(red(&report), Vec::<String>::new(), "{scenario}");
    }
    let journal = program.read(&format!("runs/{scenario}-0001/journal.jsonl"));
    let mut events = journal.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["event"].clone()
    });
    let restore =
        events.find(|event| event["type"] == "step_started" && event["step"] == "restore");
    restore.unwrap_or_else(|| panic!("{scenario} restores nothing: {journal}"))["input"].clone()
}

#[test]
fn regression_no_drill_gives_its_copy_the_tags_of_production_or_leaves_its_network_open() {
    for (scenario, system) in [
        ("orders-db", "orders"),
        ("orders-db-point-in-time", "orders"),
        ("payments-aurora", "payments"),
    ] {
        let drill = given_to_restore(scenario, &[]);
        assert_eq!(
            (&drill["tags"], &drill["vpc"]),
            (&json!({}), &json!("vpc-drill")),
            "{scenario}"
        );
        let recovery = given_to_restore(scenario, &["--mode", "recovery"]);
        let tags = json!({ "system": system, "tier": "1" });
        assert_eq!((&recovery["tags"], &recovery["vpc"]), (&tags, &json!("vpc-dr")), "{scenario}");
    }
}
