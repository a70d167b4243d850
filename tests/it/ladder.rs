//! The rungs of `sql.check` in rehearsals of the shipped orders-db: every kind of damage turns its check red.

use crate::program::Program;
use crate::rehearsals::{assert_nothing_left, red};
use serde_json::{Value, json};

/// What is red in the shipped estate, with this damage in the copies.
fn rehearsed(damage: &str, answers: &str) -> Vec<String> {
    red(&report(damage, answers))
}

fn report(damage: &str, answers: &str) -> Value {
    let program = Program::new();
    let estate = program.read("scenarios/estates/orders-db.yaml");
    let copies = "lag: 50m }";
    assert_eq!(estate.matches(copies).count(), 1);
    let estate = estate.replace(copies, &format!("lag: 50m, damage: [{damage:?}] }}"));
    let heartbeat = "          heartbeat:";
    assert_eq!(estate.matches(heartbeat).count(), 1);
    let estate = estate.replace(heartbeat, &format!("{answers}{heartbeat}"));
    program.write("estate.yaml", estate);
    program.rehearse("orders-db", &["--estate", "estate.yaml"]).1
}

#[test]
fn damage_of_every_kind_is_named_by_its_check() {
    for (damage, named_by) in [
        (
            "delete from ledger where id in (1, 2)",
            &[
                "check content: checksums failed",
                "check content: row counts failed",
                "step content failed",
            ][..],
        ),
        (
            "update customers set name = 'Babe' where id = 2",
            &["check content: checksums failed", "step content failed"],
        ),
        (
            "alter table orders add column extra text",
            &[
                "check content: checksums failed",
                "check content: schema failed",
                "step content failed",
            ],
        ),
        (
            "update sqlite_sequence set seq = 1 where name = 'orders'",
            &["check data: sequences failed", "step data failed"],
        ),
        ("drop index ledger_order", &["check content: schema failed", "step content failed"]),
    ] {
        assert_eq!(rehearsed(damage, ""), named_by, "{damage}");
    }
}

#[test]
fn a_corrupted_index_is_damage_and_a_missing_extension_is_nothing_seen() {
    let answer = |error: &str| {
        format!(
            "          answers:\n            - sql: select bt_index_check('public.ledger_order')\n              error: {error:?}\n"
        )
    };
    let corrupted =
        answer("SQLSTATE XX002: item order invariant violated for index \"ledger_order\"");
    let red = rehearsed("select 1", &corrupted);
    assert_eq!(red, ["check content: tables and indexes failed", "step content failed"]);
    let missing = answer("SQLSTATE 42883: function bt_index_check(unknown) does not exist");
    let red = rehearsed("select 1", &missing);
    assert_eq!(
        red,
        ["check content: tables and indexes inconclusive", "step content inconclusive"]
    );
}

#[test]
fn a_watermark_that_is_too_old_misses_the_objective_and_none_at_all_is_no_answer() {
    let objective = |damage: &str| {
        let report = report(damage, "");
        report["objectives"]["rpo"]["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(objective("select 1"), "met");
    assert_eq!(objective("update heartbeat set committed_at = '2026-11-18T00:00:00Z'"), "missed");
    let red = rehearsed("delete from heartbeat", "");
    assert_eq!(red, ["check data: newest data inconclusive", "step data inconclusive"]);
}

/// The shipped scenario with a change, in the shipped estate, whose storage loads within two hours.
fn deeper(change: (&str, &str)) -> (Program, Value) {
    let program = Program::new();
    let scenario = program.read("scenarios/orders-db.yaml");
    assert_eq!(scenario.matches(change.0).count(), 1, "{}", change.0);
    program.write("orders-db.yaml", scenario.replace(change.0, change.1));
    let arguments = ["--sandbox", "--format", "json", "--quiet"];
    let estate = ["--estate", "scenarios/estates/orders-db.yaml"];
    let ran = program.run(&[&["run", "orders-db.yaml"][..], &arguments, &estate].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    let report = ran.json()["runs"][0]["report"].clone();
    (program, report)
}

#[test]
fn reads_are_slow_until_the_storage_is_loaded_and_a_write_leaves_nothing() {
    let (program, report) = deeper(("within: 3h", "within: 3h"));
    assert_eq!(red(&report), Vec::<String>::new());
    assert_nothing_left(&report);
    let journal = program.read("runs/orders-db-0001/journal.jsonl");
    let events: Vec<Value> =
        journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |kind: &str, field: &str, value: &str| {
        let is = |record: &&Value| {
            record["event"]["type"] == kind && record["event"][field].as_str() == Some(value)
        };
        events.iter().find(is).unwrap_or_else(|| panic!("no {kind} with {field} {value}"))
    };
    found("reached", "point", "hydrated");
    let output = &found("step_finished", "step", "hydrated")["event"]["result"]["output"];
    assert_eq!(
        (&output["first"]["p95_us"], &output["last"]["p95_us"]),
        (&json!(35_000), &json!(1_000))
    );
    // Of the two hours, the restore takes 24 minutes, and the last twentieth may be slow: a look every five minutes.
    assert_eq!(output["rounds"], 20, "{output}");
    let released: Vec<_> =
        events.iter().filter(|record| record["event"]["type"] == "resource_released").collect();
    assert_eq!(released.len(), 2);
    assert_eq!(released[0]["event"]["key"]["kind"], "sql.schema");
}

#[test]
fn reading_everything_makes_reads_fast_earlier() {
    let (program, report) = deeper(("within: 3h", "within: 3h\n      warm_up: true"));
    assert_eq!(red(&report), Vec::<String>::new());
    let journal = program.read("runs/orders-db-0001/journal.jsonl");
    assert!(journal.contains("\"point\":\"hydrated\""));
    assert!(journal.contains("\"rounds\":9"), "nine rounds: one before each part, and the last");
}

#[test]
fn reads_that_stay_slow_fail_and_a_login_that_is_refused_writes_nothing() {
    let (_, report) = deeper(("within: 3h", "within: 10m"));
    assert_eq!(red(&report), ["check hydrated: read latency failed", "step hydrated failed"]);
    assert_nothing_left(&report);
    let (_, report) = deeper(("      effect: own", "      user: nobody\n      effect: own"));
    assert_eq!(red(&report), ["step write inconclusive"]);
    assert_nothing_left(&report);
}

#[test]
fn regression_a_restored_database_compared_with_itself_is_never_green() {
    let again = r#"  - id: again
    phase: verify
    uses: sql.capture_reference
    with:
      endpoint: "{{steps.restore.endpoint}}"
      database: orders
      credentials: { secret: orders/readonly, at: dr }
      rows: { tables: [customers, orders, ledger] }
      checksums: { tables: [customers, orders, ledger] }

  - id: content
"#;
    let program = Program::new();
    let scenario = program.read("scenarios/orders-db.yaml");
    let scenario = scenario.replace("  - id: content\n", again);
    let scenario = scenario.replace("steps.baseline.reference", "steps.again.reference");
    program.write("orders-db.yaml", scenario);
    let arguments = ["--sandbox", "--format", "json", "--quiet"];
    let estate = ["--estate", "scenarios/estates/orders-db.yaml"];
    let ran = program.run(&[&["run", "orders-db.yaml"][..], &arguments, &estate].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    let expected = [
        "check content: checksums inconclusive",
        "check content: row counts inconclusive",
        "check content: schema inconclusive",
        "step content inconclusive",
    ];
    assert_eq!(red(&ran.json()["runs"][0]["report"]), expected);

    let source = "source:\n        at: dr\n        endpoint: \"{{steps.restore.endpoint}}\"\n        database: orders\n        \
                  credentials: { secret: orders/readonly, at: dr }";
    let reference = "reference: \"{{default steps.baseline.reference null}}\"\n      earlier: { journal: \"{{inputs.last_drill}}\", step: \
                     baseline }\n      reference_of: { database: orders }\n      max_age: \"{{vars.config_age}}\"";
    let (_, report) = deeper((reference, source));
    assert_eq!(red(&report), ["step content inconclusive"]);
}

#[test]
fn regression_a_login_whose_secret_is_not_there_fails_and_the_rest_is_checked() {
    let logins = "logins: [{ name: the application, credentials: { secret: orders/nowhere, at: dr } }]\n      inspect: {}";
    let (_, report) = deeper(("inspect: {}", logins));
    assert_eq!(
        red(&report),
        ["check content: login the application failed", "step content failed"]
    );
    let checks = report.to_string();
    assert!(checks.contains("tables and indexes"), "{checks}");
}

#[test]
fn regression_a_reference_without_a_table_that_was_named_does_not_pass() {
    let named = "rows: { tables: [customers, orders, ledger] }";
    let (_, report) = deeper((named, "rows: { tables: [customers, orders, ledger, heartbeet] }"));
    let red = red(&report);
    for expected in ["check baseline: reference inconclusive", "step baseline inconclusive"] {
        assert!(red.iter().any(|line| line == expected), "{red:?}");
    }
    assert!(report["checks"].to_string().contains("heartbeet"), "{}", report["checks"]);
}

#[test]
fn regression_a_table_that_is_on_neither_side_does_not_let_a_comparison_with_the_source_pass() {
    let program = Program::new();
    let mut scenario = program.read("scenarios/orders-db.yaml");
    let checksums = "tolerance: 5% }\n      checksums:\n        tables: [customers, orders, ledger";
    let with_more = format!("{checksums}MORE");
    for (part, instead) in [
        ("disaster: { kind: region_loss, lost: [primary] }", "disaster: { kind: corruption }"),
        (
            "reference: \"{{default steps.baseline.reference null}}\"\n      earlier: { journal: \"{{inputs.last_drill}}\", step: \
             baseline }\n      reference_of: { database: orders }\n      max_age: \"{{vars.config_age}}\"",
            "source:\n        at: primary\n        endpoint: \"{{steps.config.endpoint}}\"\n        port: \"{{steps.config.port}}\"\n        \
             database: orders\n        credentials: { secret: orders/readonly, at: primary }",
        ),
        (checksums, with_more.as_str()),
    ] {
        assert_eq!(scenario.matches(part).count(), 1, "{part}");
        scenario = scenario.replace(part, instead);
    }
    let open = ["check content: checksums inconclusive", "step content inconclusive"];
    for (more, code, expected) in [("", 0, &open[..0]), (", heartbeet", 2, &open[..])] {
        program.write("orders-db.yaml", scenario.replace("MORE", more));
        let arguments = ["--sandbox", "--format", "json", "--quiet"];
        let estate = ["--estate", "scenarios/estates/orders-db.yaml"];
        let ran = program.run(&[&["run", "orders-db.yaml"][..], &arguments, &estate].concat());
        assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
        let report = ran.json()["runs"][0]["report"].clone();
        assert_eq!(red(&report), expected, "{:#}", report["checks"]);
        assert_eq!(ran.code, code, "{:#}", report["verdict"]);
    }
}

#[test]
fn regression_tables_that_the_reference_does_not_hold_are_named_and_nothing_turns_red() {
    let named = "rows: { tables: [customers, orders, ledger], tolerance: 5% }";
    let (_, report) = deeper((named, "rows: { tolerance: 5% }"));
    assert_eq!(red(&report), Vec::<String>::new());
    let checks = report["checks"].as_array().unwrap();
    let rows = checks.iter().find(|made| made["check"]["name"] == "row counts").unwrap();
    let note = rows["check"]["note"].as_str().unwrap();
    assert!(note.contains("not compared") && note.contains("heartbeat"), "{note}");
}
