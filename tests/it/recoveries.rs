//! The shipped scenarios in mode `recovery`, with what the journal of an earlier drill tells and without.

use crate::program::Program;
use crate::rehearsals::red;
use serde_json::Value;

/// Scenarios that compare with what their source was like, and what of it they take from an earlier run.
const SHIPPED: [(&str, usize); 3] =
    [("orders-db", 2), ("orders-db-point-in-time", 2), ("payments-aurora", 2)];

/// The journal of the only run in the folder.
fn journal_of(program: &Program) -> String {
    let files = program.files_of_runs();
    let journals: Vec<_> = files.iter().filter(|file| file.ends_with("/journal.jsonl")).collect();
    assert_eq!(journals.len(), 1, "{files:?}");
    journals[0].clone()
}

fn recovered(program: &Program, scenario: &str, journal: &str) -> (i32, Value) {
    let last_drill = format!("last_drill={journal}");
    program.rehearse(scenario, &["--mode", "recovery", "--set", &last_drill])
}

/// The checks that say from which run something comes.
fn evidence(report: &Value) -> Vec<&Value> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|of| &of["check"]).filter(|c| c["name"] == "evidence of the earlier run").collect()
}

#[test]
fn a_recovery_passes_with_what_the_journal_of_the_last_drill_holds() {
    for (scenario, taken) in SHIPPED {
        let program = Program::new();
        let (code, drill) = program.rehearse(scenario, &[]);
        assert_eq!((code, evidence(&drill).len()), (0, 0), "{scenario}: {:?}", red(&drill));
        let run = drill["run"]["id"].as_str().unwrap();
        let (code, report) = recovered(&program, scenario, &journal_of(&program));
        let unprepared =
            |line: &String| line == "step config not_run" || line == "step baseline not_run";
        let red: Vec<_> = red(&report).into_iter().filter(|line| !unprepared(line)).collect();
        assert_eq!((code, red), (0, Vec::new()), "{scenario}: {:#}", report["verdict"]);
        let evidence = evidence(&report);
        assert_eq!(evidence.len(), taken, "{scenario}");
        for check in evidence {
            assert!(check["observed"].as_str().unwrap().contains(run), "{check}");
        }
    }
}

#[test]
fn a_recovery_without_an_earlier_drill_is_inconclusive_and_says_what_to_give() {
    for (scenario, _) in SHIPPED {
        let program = Program::new();
        let (code, report) = program.rehearse(scenario, &["--mode", "recovery"]);
        assert_eq!(code, 2, "{scenario}: {:#}", report["verdict"]);
        let open = red(&report);
        assert!(open.contains(&"step fidelity inconclusive".to_owned()), "{scenario}: {open:?}");
        let text = report.to_string();
        assert!(text.contains("earlier.journal is empty"), "{scenario}: {text}");
        let said = program.run(&["report", "last", "--format", "markdown"]);
        assert!(said.stdout.contains("earlier.journal is empty"), "{scenario}: {}", said.stdout);
    }
}

#[test]
fn without_a_reference_the_rungs_that_need_none_are_climbed_all_the_same() {
    let program = Program::new();
    let (_, report) = program.rehearse("orders-db", &["--mode", "recovery"]);
    let checks = report["checks"].as_array().unwrap().iter();
    let of_content = checks.filter(|check| check["step"] == "content");
    let outcome = |name: &str| {
        let mut found = of_content.clone().map(|of| &of["check"]).filter(|c| c["name"] == name);
        found.next().map(|check| check["outcome"].as_str().unwrap().to_owned())
    };
    for name in ["schema", "row counts", "checksums"] {
        assert_eq!(outcome(name).as_deref(), Some("inconclusive"), "{name}");
    }
    assert_eq!(outcome("tables and indexes").as_deref(), Some("passed"));
}

#[test]
fn a_journal_that_was_changed_is_no_evidence() {
    let program = Program::new();
    program.rehearse("orders-db", &[]);
    let journal = program.read(&journal_of(&program));
    assert!(journal.contains("\"multi_az\":true"));
    program.write("changed.jsonl", journal.replace("\"multi_az\":true", "\"multi_az\":false"));
    let (code, report) = recovered(&program, "orders-db", "changed.jsonl");
    assert_eq!(code, 2);
    assert!(report.to_string().contains("does not verify"), "{:#}", report["verdict"]);
    let (code, report) = recovered(&program, "orders-db", "nowhere.jsonl");
    assert_eq!(code, 2);
    assert!(report.to_string().contains("nowhere.jsonl"), "{:#}", report["verdict"]);
}

#[test]
fn only_what_the_last_drill_knew_turns_a_recovery_with_changed_data_red() {
    let program = Program::new();
    program.rehearse("orders-db", &[]);
    let last_drill = format!("last_drill={}", journal_of(&program));
    // Whatever the scenario asks of the data still holds.
    let estate = program.read("scenarios/estates/orders-db.yaml");
    assert!(estate.contains("(2, 'Baba')"));
    program.write("changed.yaml", estate.replace("(2, 'Baba')", "(2, 'Ueda')"));
    let unaware = ["--mode", "recovery", "--estate", "changed.yaml"];
    let (code, report) = program.rehearse("orders-db", &unaware);
    assert_eq!(code, 2, "{:#}", report["verdict"]);
    let aware = [&unaware[..], &["--set", &last_drill]].concat();
    let (code, report) = program.rehearse("orders-db", &aware);
    assert_eq!(code, 1, "{:#}", report["verdict"]);
    assert!(red(&report).contains(&"step content failed".to_owned()), "{:?}", red(&report));
}

#[test]
fn a_drill_captures_by_itself_whatever_an_input_names() {
    let program = Program::new();
    let (code, drill) = program.rehearse("orders-db", &["--set", "last_drill=nowhere.jsonl"]);
    assert_eq!((code, evidence(&drill).len()), (0, 0));
}

/// What serves a check goes at the end of a recovery as well, and what needs a lost site is not made.
#[test]
fn regression_a_plan_says_of_a_recovery_what_stays_and_nothing_else() {
    let program = Program::new();
    for (scenario, made, kept) in [
        ("orders-db", &["rds.db_instance", "sql.schema"][..], &["rds.db_instance"][..]),
        ("uploads-replication", &[], &[]),
        ("ledger-volume", &["ebs.volume"], &["ebs.volume"]),
    ] {
        let file = format!("scenarios/{scenario}.yaml");
        let outline =
            program.run(&["plan", &file, "--mode", "recovery", "--format", "json"]).json();
        let creates: Vec<&String> = outline["creates"].as_object().unwrap().keys().collect();
        assert_eq!(creates, made, "{scenario}");
        assert_eq!(outline["kept"], serde_json::json!(kept), "{scenario}");
        let drill = program.run(&["plan", &file, "--format", "json"]).json();
        assert_eq!(drill["kept"], serde_json::json!([]), "{scenario}");
    }
    let text = program.run(&["plan", "scenarios/orders-db.yaml", "--mode", "recovery"]).stdout;
    assert!(text.contains("makes 1 × sql.schema, released at the end"), "{text}");
}
