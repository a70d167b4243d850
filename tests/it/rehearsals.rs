//! The shipped scenarios, rehearsed by the program in every estate that is shipped with them: what must be red is red,
//! and nothing else is. And the commands that come after a run.

use crate::program::{Program, Ran, listed, repository};
use redrill::time::Clock;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// An estate, the exit code of a rehearsal in it, and everything that must not be green: steps, checks and findings.
struct Case {
    estate: &'static str,
    exit: i32,
    red: &'static [&'static str],
}

const fn case(estate: &'static str, exit: i32, red: &'static [&'static str]) -> Case {
    Case { estate, exit, red }
}

const CASES: &[Case] = &[
    case("orders-db", 0, &[]),
    case(
        "orders-db.empty",
        2,
        &["check data: ledger balances inconclusive", "step data inconclusive"],
    ),
    case(
        "orders-db.key-disabled",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: rds.no_usable_recovery_point",
            "step data not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case(
        "orders-db.no-copies",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: rds.no_usable_recovery_point",
            "step data not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case("orders-db.single-az", 1, &["check config: multi_az failed", "step config failed"]),
    case(
        "orders-db.stale",
        1,
        &[
            "check point: worst_gap failed",
            "finding point: rds.schedule_missed",
            "step point failed",
        ],
    ),
    case("orders-db.stuck", 1, &["step data not_run", "step restore failed"]),
    case("orders-db.unbalanced", 1, &["check data: ledger balances failed", "step data failed"]),
    case("uploads-replication", 0, &[]),
    case(
        "uploads-replication.failing-prefix",
        1,
        &[
            "check replicas: behind failed",
            "check replicas: missing failed",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.replication_failed",
            "step replicas failed",
        ],
    ),
    case("uploads-replication.not-answered", 2, &["step serving not_run"]),
    case(
        "uploads-replication.not-serving",
        1,
        &["check serving: body failed", "check serving: status failed", "step serving failed"],
    ),
    case(
        "uploads-replication.rule-disabled",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: content inconclusive",
            "check replicas: missing failed",
            "check replicas: replication rule failed",
            "check replicas: sample inconclusive",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.delete_markers_differ",
            "finding replicas: s3.never_replicated",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case(
        "uploads-replication.stalled",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: missing failed",
            "check replicas: versions at the replica failed",
            "finding replicas: s3.replication_stalled",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case(
        "uploads-replication.versioning-suspended",
        1,
        &[
            "check canary: canary at the replica failed",
            "check replicas: behind failed",
            "check replicas: content inconclusive",
            "check replicas: missing failed",
            "check replicas: sample inconclusive",
            "check replicas: versioning of the replica failed",
            "check replicas: versions at the replica failed",
            "finding canary: s3.replication_failed",
            "finding replicas: s3.delete_markers_differ",
            "finding replicas: s3.replication_failed",
            "step canary failed",
            "step replicas failed",
        ],
    ),
    case("ledger-volume", 0, &[]),
    case(
        "ledger-volume.damaged",
        1,
        &["check file_system: exit status failed", "step file_system failed"],
    ),
    case(
        "ledger-volume.gap",
        1,
        &[
            "check point: worst_gap failed",
            "finding point: ebs.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "ledger-volume.key-disabled",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: ebs.no_usable_recovery_point",
            "step file_system not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case(
        "ledger-volume.no-copies",
        1,
        &[
            "check point: usable recovery point failed",
            "finding point: ebs.no_usable_recovery_point",
            "step file_system not_run",
            "step point failed",
            "step restore not_run",
        ],
    ),
    case(
        "ledger-volume.stale",
        1,
        &[
            "check point: age failed",
            "check point: worst_gap failed",
            "finding point: ebs.schedule_missed",
            "step point failed",
        ],
    ),
    case(
        "ledger-volume.untagged",
        2,
        &[
            "check point: age inconclusive",
            "check point: retention inconclusive",
            "check point: time of the data inconclusive",
            "check point: usable recovery point inconclusive",
            "check point: worst_gap inconclusive",
            "finding point: ebs.time_of_data_unknown",
            "step point inconclusive",
        ],
    ),
    case("cluster-state", 0, &[]),
    case(
        "cluster-state.empty",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: complete failed",
            "check snapshot: live_keys inconclusive",
            "check snapshot: meta pages failed",
            "check snapshot: structure inconclusive",
            "check snapshot: trailing SHA-256 inconclusive",
            "finding snapshot: etcd.snapshot_damaged",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
        ],
    ),
    case(
        "cluster-state.flipped",
        1,
        &[
            "check snapshot: age inconclusive",
            "check snapshot: trailing SHA-256 failed",
            "finding snapshot: etcd.snapshot_damaged",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
        ],
    ),
    case(
        "cluster-state.missing",
        1,
        &["step ready not_run", "step restored not_run", "step snapshot failed"],
    ),
    case(
        "cluster-state.not-ready",
        1,
        &["check ready: body failed", "check ready: status failed", "step ready failed"],
    ),
    case("cluster-state.not-restored", 1, &["step ready not_run", "step restored failed"]),
    case(
        "cluster-state.stale",
        1,
        &[
            "check snapshot: age failed",
            "step ready not_run",
            "step restored not_run",
            "step snapshot failed",
        ],
    ),
];

/// What of a report is not green, in the words of the table above.
fn red(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let step = |step: &Value| {
        let outcome = text(&step["outcome"]);
        (outcome != "passed").then(|| format!("step {} {outcome}", text(&step["id"])))
    };
    let check = |made: &Value| {
        let (name, outcome) = (text(&made["check"]["name"]), text(&made["check"]["outcome"]));
        (outcome != "passed").then(|| format!("check {}: {name} {outcome}", text(&made["step"])))
    };
    let finding = |found: &Value| {
        let code = text(&found["finding"]["code"]);
        Some(format!("finding {}: {code}", text(&found["step"])))
    };
    let mut all = listed(&report["timeline"]["steps"], step);
    all.extend(listed(&report["checks"], check));
    all.extend(listed(&report["findings"], finding));
    all.sort();
    all
}

fn calls(report: &Value, operation: &str) -> (u64, u64) {
    let all = report["calls"].as_array().unwrap();
    let of = all.iter().filter(|call| call["operation"] == operation);
    of.fold((0, 0), |(made, failed), call| {
        (made + call["count"].as_u64().unwrap(), failed + call["failed"].as_u64().unwrap())
    })
}

fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let steps = report["timeline"]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap()
}

/// Nothing that the run made is there any more, and nothing of it was kept.
fn assert_nothing_left(report: &Value) {
    assert_eq!(report["exit"]["left_behind"], 0);
    for resource in report["resources"].as_array().unwrap() {
        assert_eq!(resource["state"], "released", "{resource}");
    }
}

fn scenario_of(estate: &str) -> &str {
    estate.split('.').next().unwrap()
}

fn assert_table_of(scenario: &str) {
    let program = Program::new();
    let cases = CASES.iter().filter(|case| scenario_of(case.estate) == scenario);
    for (number, case) in (1..).zip(cases) {
        let file = format!("scenarios/estates/{}.yaml", case.estate);
        let (code, report) = program.rehearse(scenario, &["--estate", &file]);
        assert_eq!(red(&report), case.red, "{}", case.estate);
        assert_eq!(code, case.exit, "{}", case.estate);
        let verdict = ["passed", "failed", "inconclusive"][usize::try_from(case.exit).unwrap()];
        assert_eq!(report["verdict"]["outcome"], verdict, "{}", case.estate);
        assert_eq!(report["exit"]["unfinished"], false, "{}", case.estate);
        assert_nothing_left(&report);
        assert_says_rehearsal(&program, &format!("{scenario}-{number:04}"), &report);
    }
}

/// Every page of every report says that it was a rehearsal.
fn assert_says_rehearsal(program: &Program, run: &str, report: &Value) {
    assert_eq!(report["rehearsal"], true);
    assert_eq!(report["run"]["world"]["kind"], "rehearsal");
    let page = |name: &str| program.read(&format!("runs/{run}/{name}"));
    let written: Value = serde_json::from_str(&page("report.json")).unwrap();
    assert_eq!(&written, report);
    let notice = report["verdict"]["notice"].as_str().unwrap();
    assert!(notice.contains("nothing in here is evidence of recovery"), "{notice}");
    for name in ["report.html", "report.md"] {
        assert!(page(name).contains("REHEARSAL"), "{name} of {run}");
    }
    let verdict = report["verdict"]["text"].as_str().unwrap();
    assert!(verdict.starts_with("rehearsal: ") && page("junit.xml").contains(verdict), "{verdict}");
}

#[test]
fn orders_db_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("orders-db");
}

#[test]
fn uploads_replication_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("uploads-replication");
}

#[test]
fn ledger_volume_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("ledger-volume");
}

#[test]
fn cluster_state_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("cluster-state");
}

fn yaml_files(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect()
}

#[test]
fn every_shipped_estate_is_rehearsed_and_says_what_it_is() {
    let listed: BTreeSet<String> = CASES.iter().map(|case| case.estate.to_owned()).collect();
    assert_eq!(listed, yaml_files("scenarios/estates"));
    for scenario in yaml_files("scenarios") {
        let of = |exit: i32| {
            CASES
                .iter()
                .filter(move |c| scenario_of(c.estate) == scenario && c.exit == exit)
                .count()
        };
        let scenario_cases = [of.clone()(0), of.clone()(1) + of(2)];
        assert!(scenario_cases[0] >= 1 && scenario_cases[1] >= 2, "{scenario_cases:?}");
    }
    for estate in listed {
        let text = std::fs::read_to_string(repository(&format!("scenarios/estates/{estate}.yaml")));
        let name = scenario_of(&estate).to_owned();
        let start = format!("# An estate to rehearse ../{name}.yaml in: ");
        assert!(text.unwrap().starts_with(&start), "{estate}");
    }
}

#[test]
fn every_shipped_scenario_passes_the_check_without_warnings() {
    let program = Program::new();
    let ran = program.run(&["check", "scenarios", "--format", "json"]);
    let found = ran.json();
    assert_eq!(found["files"], yaml_files("scenarios").len());
    assert_eq!((&found["errors"], &found["warnings"]), (&json!(0), &json!(0)), "{found}");
    assert_eq!(ran.code, 0);
    for scenario in yaml_files("scenarios") {
        let text = std::fs::read_to_string(repository(&format!("scenarios/{scenario}.yaml")));
        let first = text.unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first, "# yaml-language-server: $schema=../docs/schema/scenario.json");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_byte_for_byte() {
    for scenario in yaml_files("scenarios") {
        let journal = |arguments: &[&str]| {
            let program = Program::new();
            program.rehearse(&scenario, arguments);
            program.bytes(&format!("runs/{scenario}-0001/journal.jsonl"))
        };
        let first = journal(&[]);
        assert!(first.len() > 1000);
        assert!(first == journal(&[]), "{scenario}");
        assert!(first != journal(&["--seed", "7"]), "{scenario}: the seed decides nothing");
    }
}

#[test]
fn hours_of_waiting_are_simulated() {
    let program = Program::new();
    let clock = Clock::system();
    let (_, report) = program.rehearse("orders-db", &["--estate", "stuck"]);
    let took = clock.elapsed();
    assert!(report["run"]["duration"].as_str().unwrap().starts_with("3h"), "{}", report["run"]);
    assert!(took < Duration::from_secs(120), "{took:?} of real time");
}

#[test]
fn throttling_through_the_restore_is_waited_out() {
    let program = Program::new();
    let fault = "rds:RestoreDBInstanceFromDBSnapshot<2=throttle";
    let (code, report) = program.rehearse("orders-db", &["--fault", fault]);
    assert_eq!((code, red(&report)), (0, Vec::new()));
    assert_eq!(calls(&report, "rds:RestoreDBInstanceFromDBSnapshot"), (3, 2));
    let everywhere = "rds:*@ap-northeast-3<4=throttle";
    let (code, report) = program.rehearse("orders-db", &["--fault", everywhere]);
    assert_eq!((code, red(&report)), (0, Vec::new()), "{}", report["calls"]);
    assert_nothing_left(&report);
}

#[test]
fn a_restore_whose_reply_was_lost_is_adopted_and_not_made_twice() {
    let program = Program::new();
    let fault = "rds:RestoreDBInstanceFromDBSnapshot#1=lost_reply";
    let (code, report) = program.rehearse("orders-db", &["--fault", fault]);
    assert_eq!((code, red(&report)), (0, Vec::new()));
    // The one call had its effect, although it failed for us. No other one was made.
    assert_eq!(calls(&report, "rds:RestoreDBInstanceFromDBSnapshot"), (1, 1));
    let journal = program.read("runs/orders-db-0001/journal.jsonl");
    for (event, times) in
        [("resource_intended", 1), ("resource_owned", 1), ("resource_released", 1)]
    {
        let wanted = format!("\"type\":\"{event}\"");
        assert_eq!(journal.matches(&wanted).count(), times, "{event}");
    }
    assert_nothing_left(&report);
}

#[test]
fn server_errors_that_pass_are_retried_and_those_that_stay_are_inconclusive() {
    let program = Program::new();
    let passing = ["--fault", "rds:DescribeDBSnapshots<2=server_error"];
    let (code, report) = program.rehearse("orders-db", &passing);
    assert_eq!((code, red(&report)), (0, Vec::new()));
    assert_eq!(calls(&report, "rds:DescribeDBSnapshots").1, 2);

    let staying = ["--fault", "rds:RestoreDBInstanceFromDBSnapshot=server_error"];
    let (code, report) = program.rehearse("orders-db", &staying);
    assert_eq!(red(&report), ["step data not_run", "step restore inconclusive"]);
    assert_eq!(code, 2, "a broken service says nothing about the backup");
    let why = step(&report, "restore")["why"].as_str().unwrap();
    assert!(why.contains("rds:RestoreDBInstanceFromDBSnapshot"), "{why}");
    assert_nothing_left(&report);
}

#[test]
fn a_restore_that_is_stuck_or_ends_broken_fails_and_is_removed() {
    let program = Program::new();
    for (effect, words) in [("stuck", "limit of 3h"), ("broken", "incompatible-restore")] {
        let fault = format!("rds:RestoreDBInstanceFromDBSnapshot={effect}");
        let (code, report) = program.rehearse("orders-db", &["--fault", &fault]);
        assert_eq!(
            (code, red(&report)),
            (1, vec!["step data not_run".into(), "step restore failed".into()])
        );
        let why = step(&report, "restore")["why"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
        assert_eq!(report["resources"].as_array().unwrap().len(), 1);
        assert_nothing_left(&report);
    }
}

#[test]
fn a_key_that_nobody_lets_us_look_at_is_inconclusive() {
    let fault = "kms:DescribeKey=error:AccessDeniedException:403";
    let (code, report) = Program::new().rehearse("orders-db", &["--fault", fault]);
    let red = red(&report);
    assert!(red.contains(&"check point: encryption key inconclusive".to_owned()), "{red:?}");
    assert!(!red.iter().any(|line| line.contains("failed")), "{red:?}");
    assert_eq!(code, 2);
}

#[test]
fn what_cannot_be_removed_is_named_with_the_command_and_changes_the_exit_code() {
    let program = Program::new();
    let fault = "rds:DeleteDBInstance=error:AccessDenied:403";
    let (code, report) = program.rehearse("orders-db", &["--fault", fault]);
    assert_eq!((code, &report["exit"]["left_behind"]), (5, &json!(1)));
    let left = &report["resources"][0];
    assert_eq!(left["state"], "left");
    let command = left["command"].as_str().unwrap();
    assert!(command.contains("aws rds delete-db-instance --region ap-northeast-3"), "{command}");
    assert!(command.contains(left["key"]["name"].as_str().unwrap()), "{command}");
    let html = program.read("runs/orders-db-0001/report.html");
    assert!(html.contains("delete-db-instance"));
}

#[test]
fn a_canary_whose_removal_is_refused_is_left_and_said() {
    let fault = "s3:DeleteObject*=error:AccessDenied:403";
    let (code, report) = Program::new().rehearse("uploads-replication", &["--fault", fault]);
    assert_eq!(code, 5, "{}", report["verdict"]);
    assert!(report["exit"]["left_behind"].as_u64().unwrap() >= 1, "{}", report["resources"]);
}

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
        12
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
