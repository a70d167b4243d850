//! Alarms of CloudWatch as stop conditions: what goes off while a drill is under way ends it, and what cannot be told never
//! passes.

use crate::program::{Program, Ran};
use crate::rehearsals::{assert_nothing_left, red};
use serde_json::Value;

const SCENARIO: &str = r#"
redrill: 1
name: orders
title: Orders, restored beside production
owner: tests
disaster: { kind: corruption }
sites:
  home: { account: "111111111111", region: eu-west-1 }
objectives: { rto: { target: 2h, from: declared } }
guard: { write: [home] }
steps:
  - id: production_is_quiet
    at: home
    uses: cloudwatch.check_alarms
    watch: 1m
    with: { alarms: [orders-errors, orders-any] }
  - id: point
    at: home
    uses: rds.find_snapshot
    with: { of: orders-db }
  - id: restore
    phase: verify
    gate: acceptance
    at: home
    uses: rds.restore_snapshot
    with:
      snapshot: "{{steps.point.arn}}"
      class: db.r6g.large
      subnet_group: drill
      security_groups: [sg-drill]
"#;

/// Restoring takes eighteen minutes.
const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {} }
places:
  - account: "111111111111"
    region: eu-west-1
    alarms:
      - { name: orders-errors }
      - { name: orders-any, kind: composite }
    subnet_groups: [{ name: drill, vpc: vpc-drill, subnets: [{ id: subnet-1, zone: eu-west-1a }] }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }]
    databases:
      - { id: orders-db, restore_takes: 18m, schedule: { every: 12h, keep: 3d } }
"#;

fn run(scenario: &str, estate: &str, more: &[&str]) -> (Ran, Value) {
    let program = Program::new();
    program.write("orders.yaml", scenario);
    program.write("estate.yaml", estate);
    let fixed = ["run", "orders.yaml", "--sandbox", "--estate", "estate.yaml"];
    let ran = program.run(&[&fixed[..], &["--format", "json", "--quiet"], more].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    let report = ran.json()["runs"][0]["report"].clone();
    (ran, report)
}

/// The estate with this said of the alarm `orders-errors`.
fn with(state: &str) -> String {
    ESTATE.replace("{ name: orders-errors }", &format!("{{ name: orders-errors, {state} }}"))
}

#[test]
fn a_drill_whose_alarms_stay_quiet_passes_and_has_looked() {
    let (ran, report) = run(SCENARIO, ESTATE, &[]);
    assert_eq!((ran.code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);
    let checks = report["checks"].as_array().unwrap();
    let of_watch = checks.iter().filter(|made| made["step"] == "production_is_quiet");
    assert_eq!(of_watch.count(), 4, "two alarms at the first look and at the last one");
    assert_nothing_left(&report);
}

#[test]
fn an_alarm_that_goes_off_in_the_middle_cancels_the_drill_and_all_of_it_is_removed() {
    let goes_off = "turns: [{ after: 9m, to: alarm, reason: 7 errors were above 5 }]";
    let (ran, report) = run(SCENARIO, &with(goes_off), &[]);
    assert_eq!(ran.code, 130, "{:#}", report["verdict"]);
    let red = red(&report);
    for what in [
        "check production_is_quiet: alarm orders-errors failed",
        "finding production_is_quiet: cloudwatch.alarm",
        "step production_is_quiet failed",
    ] {
        assert!(red.iter().any(|one| one == what), "{what}: {red:#?}");
    }
    let text = report.to_string();
    assert!(text.contains("the watch production_is_quiet failed"), "{text}");
    assert!(text.contains("ALARM since 2026-11-22T10:09:00Z: 7 errors were above 5"), "{text}");
    let made = report["resources"].as_array().unwrap();
    assert_eq!(made.len(), 1, "the restore was under way: {made:#?}");
    assert_nothing_left(&report);
}

#[test]
fn an_alarm_that_is_red_at_the_start_ends_the_drill_before_much_has_happened() {
    let (ran, report) = run(SCENARIO, &with("state: alarm"), &[]);
    assert_eq!(ran.code, 130, "{:#}", report["verdict"]);
    assert!(red(&report).contains(&"step production_is_quiet failed".to_owned()));
    assert_nothing_left(&report);
}

#[test]
fn an_alarm_without_data_is_looked_at_as_often_as_the_watch_may_fail_and_then_ends_the_drill() {
    let patient = SCENARIO.replace("watch: 1m\n", "watch: 1m\n    retry: { attempts: 4 }\n");
    // Three looks without data, and then it is well again.
    let short = "turns: [{ after: 5m 30s, to: insufficient_data }, { after: 8m 30s, to: ok }]";
    let (ran, report) = run(&patient, &with(short), &[]);
    assert_eq!((ran.code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);

    let long = "turns: [{ after: 5m 30s, to: insufficient_data }]";
    let (ran, report) = run(&patient, &with(long), &[]);
    assert_eq!(ran.code, 130, "{:#}", report["verdict"]);
    let red = red(&report);
    assert!(red.contains(&"step production_is_quiet inconclusive".to_owned()), "{red:#?}");
    let check = "check production_is_quiet: alarm orders-errors inconclusive".to_owned();
    assert!(red.contains(&check), "{red:#?}");
    assert_nothing_left(&report);
}

/// The alarm as a step of its own, after the restore.
fn as_a_step(alarms: &str) -> String {
    let step = format!(
        "  - id: alarms\n    phase: verify\n    at: home\n    needs: [restore]\n    uses: cloudwatch.check_alarms\n    \
         with: {{ alarms: [{alarms}] }}\n"
    );
    let begin = SCENARIO.find("  - id: production_is_quiet").unwrap();
    let end = SCENARIO.find("  - id: point").unwrap();
    format!("{}{}{step}", &SCENARIO[..begin], &SCENARIO[end..])
}

#[test]
fn as_a_step_only_ok_passes() {
    for (state, code, outcome) in [
        ("state: ok", 0, None),
        ("state: alarm", 1, Some("step alarms failed")),
        ("state: insufficient_data", 2, Some("step alarms inconclusive")),
    ] {
        let (ran, report) = run(&as_a_step("orders-errors, orders-any"), &with(state), &[]);
        assert_eq!(ran.code, code, "{state}: {:#}", report["verdict"]);
        let red = red(&report);
        assert_eq!(red.iter().find(|one| one.starts_with("step")).map(String::as_str), outcome);
        assert_nothing_left(&report);
    }
}

#[test]
fn an_alarm_that_is_not_there_is_named_and_never_passes() {
    for scenario in [as_a_step("orders-errors, Orders-Any"), SCENARIO.replace("-any]", "-all]")] {
        let (ran, report) = run(&scenario, ESTATE, &[]);
        let watched = scenario.contains("watch: 1m");
        assert_eq!(ran.code, if watched { 130 } else { 2 }, "{:#}", report["verdict"]);
        let name = if watched { "orders-all" } else { "Orders-Any" };
        let text = report.to_string();
        assert!(text.contains(&format!("in eu-west-1: {name}")), "{text}");
        assert_nothing_left(&report);
    }
}

#[test]
fn an_alarm_that_cannot_be_asked_for_ends_a_watched_drill_as_inconclusive() {
    let denied = "cloudwatch:DescribeAlarms=error:AccessDenied:403";
    let (ran, report) = run(SCENARIO, ESTATE, &["--fault", denied]);
    assert_eq!(ran.code, 130, "{:#}", report["verdict"]);
    assert!(red(&report).contains(&"step production_is_quiet inconclusive".to_owned()));
    let busy = "cloudwatch:DescribeAlarms<2=throttle";
    let (ran, report) = run(SCENARIO, ESTATE, &["--fault", busy]);
    assert_eq!((ran.code, red(&report)), (0, Vec::new()), "{:#}", report["verdict"]);
}

#[test]
fn an_alarm_of_a_lost_site_is_no_stop_condition() {
    let lost = SCENARIO
        .replace("{ kind: corruption }", "{ kind: region_loss, lost: [gone] }")
        .replace(
            "sites:\n",
            "sites:\n  gone: { account: \"111111111111\", region: eu-central-1 }\n",
        )
        .replace("    at: home\n    uses: cloudwatch", "    at: gone\n    uses: cloudwatch");
    let program = Program::new();
    program.write("orders.yaml", lost);
    let checked = program.run(&["check", "orders.yaml"]);
    assert_eq!(checked.code, 3, "{}", checked.stdout);
    assert!(checked.stdout.contains("production_is_quiet"), "{}", checked.stdout);
}

#[test]
fn wrong_names_are_found_by_check_with_their_place() {
    let program = Program::new();
    program.write("orders.yaml", SCENARIO.replace("orders-any]", "orders-errors]"));
    let checked = program.run(&["check", "orders.yaml"]);
    assert_eq!(checked.code, 3, "{}", checked.stdout);
    assert!(checked.stdout.contains("orders-errors is given twice"), "{}", checked.stdout);
    assert!(checked.stdout.contains("orders.yaml:16:"), "{}", checked.stdout);
}

#[test]
fn preflight_and_iam_know_what_the_alarms_need() {
    let program = Program::new();
    program.write("orders.yaml", SCENARIO);
    program.write("estate.yaml", with("state: alarm"));
    let look = ["preflight", "orders.yaml", "--sandbox", "--estate", "estate.yaml"];
    let ran = program.run(&look);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("orders-errors is ALARM"), "{}", ran.stdout);
    let ran = program.run(&["iam", "orders.yaml", "--site", "home", "--document", "policy"]);
    let policy = ran.json();
    let statements = policy["Statement"].as_array().unwrap();
    let of_alarms = statements.iter().find(|one| one["Sid"] == "CloudWatchRead");
    let of_alarms = of_alarms.unwrap_or_else(|| panic!("{policy:#}"));
    assert_eq!(of_alarms["Action"], serde_json::json!(["cloudwatch:DescribeAlarms"]));
    // Composite alarms are told only to who may ask for all.
    assert_eq!(of_alarms["Resource"], serde_json::json!(["*"]));
    let region = &of_alarms["Condition"]["StringEquals"]["aws:RequestedRegion"];
    assert_eq!(region, "eu-west-1");
}
