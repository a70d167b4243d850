//! What comes before and after a run: plan, runbook, lists, reports, resumption, and several runs at once.

use crate::program::{Program, Ran, listed, repository};
use crate::rehearsals::yaml_files;
use serde_json::json;
use std::collections::BTreeSet;

fn reports(program: &Program, run: &str) -> Vec<Vec<u8>> {
    let names = ["report.html", "report.md", "report.json", "junit.xml"];
    names.iter().map(|name| program.bytes(&format!("runs/{run}/{name}"))).collect()
}

#[test]
fn resuming_a_finished_rehearsal_writes_the_same_reports_again() {
    let program = Program::new();
    let (_, report) = program.rehearse("orders-db", &["--estate", "unbalanced"]);
    let before =
        (reports(&program, "orders-db-0001"), program.bytes("runs/orders-db-0001/journal.jsonl"));
    for name in ["report.html", "report.md", "report.json", "junit.xml"] {
        std::fs::remove_file(program.path(&format!("runs/orders-db-0001/{name}"))).unwrap();
    }
    let ran = program.run(&["resume", "last", "--format", "json"]);
    assert_eq!((ran.code, ran.json()), (1, report));
    let after =
        (reports(&program, "orders-db-0001"), program.bytes("runs/orders-db-0001/journal.jsonl"));
    assert!(before == after);
}

#[test]
fn regression_the_command_that_writes_the_reports_again_finds_the_folder_of_the_runs() {
    let program = Program::new();
    let elsewhere = ["--runs-dir", "elsewhere"];
    program.rehearse("ledger-volume", &elsewhere);
    let html = program.path("elsewhere/ledger-volume-0001/report.html");
    std::fs::remove_file(&html).unwrap();
    std::fs::create_dir(&html).unwrap();
    let again = program.run(&[&["resume", "last"][..], &elsewhere].concat());
    again.says(2, &["report.html", "redrill report ledger-volume-0001 --runs-dir elsewhere"]);
}

#[test]
fn regression_a_scenario_without_runs_is_not_told_that_there_are_no_runs() {
    let program = Program::new();
    program.run(&["runs", "nosuch"]).says(0, &["there are no runs yet"]);
    program.rehearse("ledger-volume", &[]);
    let ran = program.run(&["runs", "nosuch"]);
    ran.says(0, &["there is no run of nosuch", "there are runs of ledger-volume"]);
    assert!(!ran.stderr.contains("no runs yet") && ran.stdout.is_empty(), "{}", ran.stderr);
    program.write("runs/nosuch-0001/journal.jsonl", "{}\n");
    program.run(&["runs", "nosuch"]).says(0, &["one run cannot be read"]);
}

#[test]
fn a_run_can_be_listed_shown_and_reported_in_every_format() {
    let program = Program::new();
    program.rehearse("ledger-volume", &["--estate", "damaged"]);
    let stored = reports(&program, "ledger-volume-0001");
    let shown = program.run(&["show", "last"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for words in ["run_started", "disaster_declared", "resource_intended", "verdict: failed"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let records = program.run(&["show", "ledger-volume-0001", "--format", "json"]).json();
    let lines = program.read("runs/ledger-volume-0001/journal.jsonl").lines().count();
    assert_eq!(records["records"].as_array().unwrap().len(), lines);
    assert_eq!(records["torn_bytes"], 0);

    let runs = program.run(&["runs", "--format", "json"]).json();
    let wanted = json!([{
        "run": "ledger-volume-0001", "scenario": "ledger-volume", "started": "2026-11-20T02:00:00Z",
        "verdict": "failed", "rehearsal": true,
    }]);
    assert_eq!(runs["runs"], wanted);
    assert!(program.run(&["runs"]).stdout.contains("rehearsal"));
    assert_eq!(program.run(&["runs", "orders-db", "--format", "json"]).json()["runs"], json!([]));

    for (format, bytes) in ["html", "markdown", "json", "junit"].iter().zip(&stored) {
        let Ran { code, stdout, .. } = program.run(&["report", "last", "--format", format]);
        assert_eq!(code, 1, "the code of the run");
        let trimmed = String::from_utf8_lossy(bytes);
        assert_eq!(stdout.trim_end(), trimmed.trim_end(), "{format}");
    }
}

#[test]
fn the_plan_shows_every_step_before_and_after_the_disaster() {
    let program = Program::new();
    for scenario in yaml_files("scenarios") {
        let file = format!("scenarios/{scenario}.yaml");
        let text = program.run(&["plan", &file]);
        assert_eq!(text.code, 0, "{}", text.stderr);
        assert!(text.stdout.contains("region_loss is declared"), "{}", text.stdout);
        let outline = program.run(&["plan", &file, "--format", "json"]).json();
        let written = outline.to_string();
        let scenario = std::fs::read_to_string(repository(&file)).unwrap();
        let ids = scenario.lines().filter_map(|line| line.strip_prefix("  - id: "));
        for id in ids {
            assert!(text.stdout.contains(&format!(" {id}: ")), "{id}: {}", text.stdout);
            assert!(written.contains(&format!("\"{id}\"")), "{id}: {written}");
        }
    }
    assert!(program.files_of_runs().is_empty(), "a plan calls and writes nothing");
}

#[test]
fn a_runbook_can_be_written_to_a_file_or_to_the_terminal() {
    let program = Program::new();
    program.rehearse("orders-db", &[]);
    let shown = program.run(&["runbook", "scenarios/orders-db.yaml"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("aws rds restore-db-instance-from-db-snapshot"));
    assert!(!shown.stdout.contains("orders-db-0001"), "a rehearsal is no drill to quote");
    let written = program.run(&["runbook", "scenarios/orders-db.yaml", "--output", "runbook.md"]);
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert_eq!(program.read("runbook.md").trim_end(), shown.stdout.trim_end());
}

#[test]
fn a_folder_of_scenarios_gives_one_summary_and_the_worst_exit_code() {
    let program = Program::new();
    let all = ["run", "scenarios", "--sandbox", "--jobs", "4", "--format", "json", "--quiet"];
    let ran = program.run(&all);
    let summary = ran.json();
    let names = listed(&summary["runs"], |run| {
        assert_eq!(run["report"]["verdict"]["outcome"], "passed", "{}", run["scenario"]);
        run["scenario"].as_str().map(str::to_owned)
    });
    assert_eq!(BTreeSet::from_iter(names), yaml_files("scenarios"));
    assert_eq!((ran.code, &summary["exit_code"]), (0, &json!(0)));

    // One of them is refused a key, another fails, the others pass.
    let faults = ["--fault", "kms:DescribeKey=error:AccessDeniedException:403", "--fault"];
    let failing = ["s3:GetObject=error:NoSuchKey:404"];
    let ran = program.run(&[&all[..], &faults, &failing].concat());
    let outcomes = listed(&ran.json()["runs"], |run| {
        run["report"]["verdict"]["outcome"].as_str().map(str::to_owned)
    });
    assert!(outcomes.contains(&"failed".to_owned()), "{outcomes:?}");
    assert!(outcomes.contains(&"inconclusive".to_owned()), "{outcomes:?}");
    assert_eq!(ran.code, 1, "failed is worse than inconclusive");

    let text = program.run(&["run", "scenarios", "--sandbox", "--quiet"]);
    assert!(text.stdout.contains("All together:"), "{}", text.stdout);
    assert_eq!(
        program.run(&["runs", "--format", "json"]).json()["runs"].as_array().unwrap().len(),
        3 * yaml_files("scenarios").len()
    );
}

#[test]
fn attempts_are_numbered_and_later_reports_list_the_earlier_ones() {
    let program = Program::new();
    program.rehearse("cluster-state", &["--estate", "flipped"]);
    let (_, second) = program.rehearse("cluster-state", &[]);
    assert_eq!(second["run"]["number"], 2);
    let text = second.to_string();
    assert!(text.contains("cluster-state-0001"), "{text}");
}

#[test]
fn resources_that_are_kept_on_purpose_are_a_deviation() {
    let program = Program::new();
    let (code, report) = program.rehearse("orders-db", &["--keep", "2h"]);
    assert_eq!((code, &report["resources"][0]["state"]), (0, &json!("kept")));
    let deviations = report["deviations"].to_string();
    assert!(deviations.contains("--keep 2h"), "{deviations}");
}
