//! What the program answers: to people, and to programs that read its JSON.

use crate::program::{Program, repository, this_user};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;

const RUN: [&str; 4] = ["run", "scenarios/orders-db.yaml", "--sandbox", "--quiet"];

/// The records of the last run whose event is of a type.
fn events(program: &Program, kind: &str) -> Vec<Value> {
    let journal = program.read("runs/orders-db-0001/journal.jsonl");
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = records.map(|record| record["event"].clone());
    events.filter(|event| event["type"] == kind).collect()
}

#[test]
fn regression_a_file_that_cannot_be_read_does_not_hide_the_others() {
    let program = Program::new();
    program.write("drills/a.yaml", [0xff, 0xfe, 0, 1]);
    program.write("drills/b.yaml", "redrill: 1\nname: [\n");
    std::os::unix::fs::symlink("nowhere", program.path("drills/c.yaml")).unwrap();
    let ran = program.run(&["check", "drills", "--format", "json"]);
    let answer = ran.json();
    assert_eq!((ran.code, &answer["files"], &answer["errors"]), (3, &json!(3), &json!(3)));
    let found = answer["diagnostics"].as_array().unwrap();
    let found: Vec<_> = found.iter().map(|one| (&one["file"], &one["code"])).collect();
    assert_eq!(
        json!(found),
        json!([["drills/a.yaml", "RD012"], ["drills/b.yaml", "RD001"], ["drills/c.yaml", "RD012"]])
    );
    let text = program.run(&["check", "drills"]);
    for words in ["it is not UTF-8 text", "unclosed bracket", "drills/c.yaml cannot be read"] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
}

#[test]
fn regression_errors_are_json_where_json_was_asked_for() {
    let program = Program::new();
    program.write("broken.yaml", "redrill: 1\nname: [\n");
    let json = ["--format", "json"];
    for (verb, words) in [
        (&["show", "nosuch"][..], "there is no run"),
        (&["abort", "nosuch"], "there is no run"),
        (&["resume", "nosuch"], "there is no run"),
        (&["report", "nosuch"], "there is no run"),
        (&["actions", "nosuch"], "there is no action"),
        (&["check", "empty"], "cannot be read"),
    ] {
        let ran = program.run(&[verb, &json[..]].concat());
        assert_eq!(ran.code, 3, "{verb:?}: {}", ran.stderr);
        let said = ran.json().to_string();
        assert!(said.contains(words), "{verb:?}: {said}");
    }
    for verb in ["run", "plan", "iam", "preflight"] {
        let ran = program.run(&[&[verb, "broken.yaml"][..], &json[..]].concat());
        let error = &ran.json()["error"];
        assert_eq!((ran.code, &error["exit_code"]), (3, &json!(3)), "{verb}");
        assert_eq!(error["diagnostics"][0]["code"], "RD001", "{verb}: {error}");
        assert_eq!(error["diagnostics"][0]["line"], 2, "{verb}: {error}");
    }
}

#[test]
fn the_operations_of_the_sandbox_can_be_read_by_programs() {
    let answer = Program::new().run(&["sandbox", "operations", "--format", "json"]).json();
    let named = |operation: &Value| operation["operation"] == "DescribeDBInstances";
    let found = answer["operations"].as_array().unwrap().iter().find(|one| named(one)).unwrap();
    assert_eq!(found["service"], "rds");
    assert!(found["fidelity"].as_str().unwrap().contains("By id"));
}

#[test]
fn every_command_has_examples() {
    let program = Program::new();
    for command in [
        "run",
        "resume",
        "pause",
        "continue",
        "abort",
        "reap",
        "check",
        "plan",
        "iam",
        "preflight",
        "runs",
        "show",
        "report",
        "runbook",
        "approve",
        "reject",
        "actions",
        "schema",
        "sandbox",
        "sandbox serve",
        "sandbox operations",
        "completions",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = program.run(&words).stdout;
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("  redrill {command}")), "{command}: {help}");
    }
}

#[test]
fn regression_the_calls_that_remove_a_resource_are_recorded() {
    let program = Program::new();
    assert_eq!(program.run(&RUN).code, 0);
    let released = events(&program, "resource_released");
    let calls = released.iter().filter_map(|event| event["calls"].as_array()).flatten();
    let mut deletes = calls.filter(|call| call["operation"] == "rds:DeleteDBInstance");
    let delete = deletes.next().unwrap();
    let id = delete["last_request_id"].as_str().unwrap();
    let report: Value =
        serde_json::from_str(&program.read("runs/orders-db-0001/report.json")).unwrap();
    let calls = report["calls"].as_array().unwrap();
    let delete = calls.iter().find(|call| call["operation"] == "rds:DeleteDBInstance").unwrap();
    assert_eq!((&delete["last_request_id"], &delete["steps"]), (&json!(id), &json!(["restore"])));
    assert_eq!(delete["removing"], delete["count"]);
    assert!(program.read("runs/orders-db-0001/report.html").contains(id));
}

#[test]
fn regression_a_verdict_is_told_although_the_report_cannot_be_written() {
    let program = Program::new();
    assert_eq!(program.run(&RUN).code, 0);
    std::fs::remove_file(program.path("runs/orders-db-0001/report.html")).unwrap();
    // A folder in its place: what a full disk does to the file, for every user.
    std::fs::create_dir_all(program.path("runs/orders-db-0001/report.html/in-the-way")).unwrap();
    for verb in ["report", "resume"] {
        let ran = program.run(&[verb, "last"]);
        let words = [
            "report.html cannot be written",
            "the verdict stands",
            "redrill report orders-db-0001",
        ];
        ran.says(2, &words);
        assert!(ran.stdout.contains("REHEARSAL: PASSED"), "{verb}: {}", ran.stdout);
        assert!(!ran.stdout.contains("open it in a browser"), "{verb}: {}", ran.stdout);
    }
}

#[test]
fn regression_a_scenario_that_was_changed_after_the_run_is_told() {
    let program = Program::new();
    assert_eq!(program.run(&RUN).code, 0);
    let unchanged = program.run(&["report", "last"]);
    assert!(!unchanged.stderr.contains("scenario.yaml"), "{}", unchanged.stderr);
    program.write("runs/orders-db-0001/scenario.yaml", "redrill: 1\n");
    for verb in ["report", "show"] {
        program.run(&[verb, "last"]).says(0, &["scenario.yaml was changed after the run"]);
    }
    std::fs::remove_file(program.path("runs/orders-db-0001/scenario.yaml")).unwrap();
    program.run(&["report", "last"]).says(0, &["scenario.yaml cannot be read"]);
}

#[test]
fn regression_the_operator_is_known_without_an_environment() {
    let program = Program::new();
    let mut command = program.command(&RUN);
    let ran = command.env_remove("USER").env_remove("LOGNAME").output().unwrap();
    assert!(ran.status.success());
    let operator = events(&program, "run_started")[0]["operator"].as_str().unwrap().to_owned();
    let uid = std::fs::metadata("/proc/self").unwrap().uid().to_string();
    let name = Some(this_user()).filter(|name| name != "tester");
    assert_eq!(operator, name.unwrap_or_else(|| format!("uid {uid}")));
}

#[test]
fn regression_an_endpoint_that_is_no_address_is_called_so() {
    let program = Program::new();
    for wrong in ["nonsense", "ftp://localhost", "localhost:4566"] {
        let words = ["--endpoint-url", "that is not an address", "http://HOST:PORT"];
        let ran = ["run", "scenarios/orders-db.yaml", "--endpoint-url", wrong];
        program.run(&ran).says(3, &words);
    }
    assert!(!program.path("runs").exists());
}

#[test]
fn regression_another_version_of_the_language_is_told_from_this_one() {
    let program = Program::new();
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    program.write("new.yaml", text.replace("redrill: 1", "redrill: 2"));
    let ran = program.run(&["check", "new.yaml"]);
    assert!(ran.stdout.contains("reads version 1 of the language"), "{}", ran.stdout);
}

#[test]
fn a_plan_says_what_is_read_and_how_what_is_made_will_be_called() {
    let program = Program::new();
    let text = program.run(&["plan", "scenarios/orders-db.yaml"]).stdout;
    for words in ["of: orders-db", "named redrill-orders-db-…-restore"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(program.run(&RUN).code, 0);
    let intended = events(&program, "resource_intended");
    let name = intended[0]["key"]["name"].as_str().unwrap();
    assert!(name.starts_with("redrill-orders-db-") && name.ends_with("-restore"), "{name}");
}
