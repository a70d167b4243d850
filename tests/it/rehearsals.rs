//! The shipped scenarios, rehearsed by the program in every estate that is shipped with them: what must be red is red,
//! and nothing else is. The same seed gives the same run, and hours of waiting take no time.

use crate::program::{Program, listed, repository};
use redrill::time::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a rehearsal in an estate comes to.
#[derive(Deserialize)]
struct Case {
    /// The exit code.
    exit: i32,
    /// Everything that must not be green: steps, checks and findings.
    red: Vec<String>,
}

/// The shipped estates by name.
fn cases() -> BTreeMap<String, Case> {
    serde_json::from_str(include_str!("rehearsals.json")).unwrap()
}

/// What of a report is not green, in the words of `rehearsals.json`.
pub(crate) fn red(report: &Value) -> Vec<String> {
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

/// Nothing that the run made is there any more, and nothing of it was kept.
pub(crate) fn assert_nothing_left(report: &Value) {
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
    let cases = cases();
    let cases = cases.iter().filter(|(estate, _)| scenario_of(estate) == scenario);
    for (number, (estate, case)) in (1..).zip(cases) {
        let file = format!("scenarios/estates/{estate}.yaml");
        let (code, report) = program.rehearse(scenario, &["--estate", &file]);
        assert_eq!(red(&report), case.red, "{estate}");
        assert_eq!(code, case.exit, "{estate}");
        let verdict = ["passed", "failed", "inconclusive"][usize::try_from(case.exit).unwrap()];
        assert_eq!(report["verdict"]["outcome"], verdict, "{estate}");
        assert_eq!(report["exit"]["unfinished"], false, "{estate}");
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
fn orders_db_point_in_time_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("orders-db-point-in-time");
}

#[test]
fn uploads_replication_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("uploads-replication");
}

#[test]
fn payments_aurora_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("payments-aurora");
}

#[test]
fn data_that_stands_still_misses_the_objective_although_every_check_is_green() {
    let (_, report) = Program::new().rehearse("payments-aurora", &["--estate", "old-data"]);
    let rpo = &report["objectives"]["rpo"];
    assert_eq!(
        (&rpo["outcome"], &rpo["measured_from"]),
        (&json!("missed"), &json!("data")),
        "{rpo}"
    );
    let (_, report) = Program::new().rehearse("payments-aurora", &[]);
    assert_eq!(report["objectives"]["rpo"]["outcome"], "met");
}

#[test]
fn an_instance_that_does_not_join_is_named_in_the_report() {
    for (estate, words) in [("never-joins", "-2 did not join"), ("incompatible", "-1 did not join")]
    {
        let (_, report) = Program::new().rehearse("payments-aurora", &["--estate", estate]);
        let steps = report["timeline"]["steps"].as_array().unwrap();
        let restore = steps.iter().find(|step| step["id"] == "restore").unwrap().to_string();
        assert!(
            restore.contains(words) && restore.contains("redrill-payments-aurora"),
            "{restore}"
        );
    }
}

#[test]
fn ledger_volume_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("ledger-volume");
}

#[test]
fn cluster_state_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("cluster-state");
}

#[test]
fn k3s_server_is_red_exactly_where_its_estates_are_wrong() {
    assert_table_of("k3s-server");
}

#[test]
fn each_broken_estate_of_k3s_says_in_words_what_is_wrong() {
    for (estate, words) in [
        ("missing", "check output of step newest: expected ~ ^[0-9]{10}"),
        ("cut", "zip: it ends before its end: the upload or the write broke off"),
        ("sqlite", "this is a database of SQLite, and no snapshot of etcd"),
        ("yesterday", "expected <= 2h, observed 1d 1h"),
        ("other-cluster", "the server token of the recovery kit is not the one"),
        ("no-bootstrap", "it is empty: a server had begun to write it, and not ended"),
        ("no-namespace", "gone: deployments in shop, 2 before, 0 now"),
        ("wrong-key", "aescbc:v1:aescbckey of the file does not decrypt it"),
        ("wrong-token", "snapshots from before need the old one"),
        ("no-etcd", "there is no program \\\"etcd\\\" in the PATH"),
        ("not-restored", "k3s ends with an error of its certificates"),
        ("not-serving", "lost"),
    ] {
        let (_, report) = Program::new().rehearse("k3s-server", &["--estate", estate]);
        let text = report.to_string();
        assert!(text.contains(words), "{estate}: {words} is not in {text}");
        assert!(!text.contains("not-a-real-token"), "{estate}: {text}");
    }
}

/// The names of the YAML files of a folder of the repository, without the ending.
pub(crate) fn yaml_files(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect()
}

#[test]
fn every_shipped_estate_is_rehearsed_and_says_what_it_is() {
    let cases = cases();
    let listed: BTreeSet<String> = cases.keys().cloned().collect();
    assert_eq!(listed, yaml_files("scenarios/estates"));
    for scenario in yaml_files("scenarios") {
        let of = |exit: i32| {
            let is_one = |(estate, case): &(&String, &Case)| {
                scenario_of(estate) == scenario && case.exit == exit
            };
            cases.iter().filter(is_one).count()
        };
        let scenario_cases = [of(0), of(1) + of(2)];
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
fn regression_a_service_that_never_answers_says_nothing_about_the_backup() {
    let program = Program::new();
    let scenario = repository("scenarios/orders-db.yaml").display().to_string();
    let silent = "--fault=rds:DescribeDBInstances@ap-northeast-1=lost_reply";
    let ran = program.run(&["run", &scenario, "--sandbox", silent, "--quiet"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("no call was answered"), "{}", ran.stdout);
}

#[test]
fn regression_a_recovery_begins_at_once_whatever_the_lost_region_does() {
    // It answers who we are, and then nothing else: the worst that a region can do.
    let half_dead = "--fault=rds:*@ap-northeast-1=lost_reply";
    let down = "--fault=*@ap-northeast-1=server_error";
    let tried = [("orders-db", half_dead), ("orders-db", down), ("payments-aurora", down)];
    for (scenario, down) in tried {
        let program = Program::new();
        let arguments = ["--mode", "recovery", down];
        let (code, report) = program.rehearse(scenario, &arguments);
        let outcome = |step: &str| {
            let steps = report["timeline"]["steps"].as_array().unwrap();
            let found = steps.iter().find(|s| s["id"] == step);
            found.map(|step| step["outcome"].as_str().unwrap().to_owned())
        };
        assert_eq!(outcome("restore").as_deref(), Some("passed"), "{scenario}");
        assert!(outcome("config").is_none_or(|outcome| outcome == "not_run"), "{scenario}");
        let steps = report["timeline"]["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["at"] != "primary" || step["outcome"] == "not_run"));
        let healthy = Program::new().rehearse(scenario, &["--mode", "recovery"]).1;
        let measured = |report: &Value| report["objectives"]["rto"]["measured"].clone();
        assert!(measured(&report).is_string(), "{scenario}");
        assert_eq!(measured(&report), measured(&healthy), "{scenario}: nothing waited for it");
        // Nothing was captured in this run, and no earlier one is named.
        assert_eq!(code, 2, "{scenario}");
    }
}

#[test]
fn a_drill_does_not_begin_while_a_site_that_is_to_be_lost_does_not_say_who_we_are() {
    let program = Program::new();
    let file = repository("scenarios/orders-db.yaml").display().to_string();
    let ran = program.run(&["run", &file, "--sandbox", "--fault=*@ap-northeast-1=server_error"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("nothing has happened yet"), "{}", ran.stderr);
}

#[test]
fn regression_a_restore_outlives_minutes_of_throttled_looks() {
    let program = Program::new();
    let throttled = "--fault=rds:DescribeDBInstances@ap-northeast-3<40=throttle";
    let (code, _) = program.rehearse("orders-db", &[throttled]);
    assert_eq!(code, 0);
}

#[test]
fn regression_a_restore_that_is_stuck_says_in_which_state_it_was_seen_last() {
    let program = Program::new();
    let (code, report) = program.rehearse("orders-db", &["--estate", "stuck"]);
    assert_eq!(code, 1);
    assert!(report.to_string().contains("last seen: creating"), "{report}");
}

#[test]
fn regression_a_lost_region_cannot_be_read_under_another_name() {
    let program = Program::new();
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    let site = "  primary: ";
    assert!(text.contains(site) && text.contains("    at: dr\n    uses: rds.find_snapshot"));
    let line = text.lines().find(|line| line.starts_with(site)).unwrap();
    let alias = line.replacen("primary:", "alias:", 1);
    let text = text.replacen(line, &format!("{line}\n{alias}"), 1);
    let text =
        text.replacen("    at: dr\n    uses: rds.find", "    at: alias\n    uses: rds.find", 1);
    program.write("alias.yaml", text);
    let ran = program.run(&["check", "alias.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("RD210"), "{}", ran.stdout);
}

#[test]
fn regression_a_role_that_the_estate_does_not_know_is_refused_before_anything_happens() {
    let program = Program::new();
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    assert!(text.contains("role: redrill-drill"));
    program.write("role.yaml", text.replace("role: redrill-drill", "role: no-such-role"));
    let estate = repository("scenarios/estates/orders-db.yaml").display().to_string();
    let ran = program.run(&["run", "role.yaml", "--sandbox", "--estate", &estate]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for said in
        ["the site dr cannot be reached", "has no role no-such-role", "nothing has happened"]
    {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}
