//! `redrill preflight` and `redrill iam` as a user meets them, in the estates of the shipped scenarios.

use crate::program::{Program, Ran};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

fn look(program: &Program, scenario: &str, more: &[&str]) -> (i32, Value) {
    let file = format!("scenarios/{scenario}.yaml");
    let ran =
        program.run(&[&["preflight", &file, "--sandbox", "--format", "json"][..], more].concat());
    (ran.code, ran.json())
}

/// Outcome and reason of a check, or of a permission, at a site.
fn check(found: &Value, site: &str, what: &str) -> (String, String) {
    let sites = found["sites"].as_array().unwrap();
    let site = sites.iter().find(|one| one["site"] == site).unwrap_or_else(|| panic!("{found:#}"));
    let all = ["checks", "permissions"].map(|list| site[list].as_array().unwrap().clone()).concat();
    let one = all.iter().find(|one| one["what"].as_str().unwrap().starts_with(what));
    let one = one.unwrap_or_else(|| panic!("no check {what} in {site:#}"));
    let text = |name: &str| one[name].as_str().unwrap().to_owned();
    (text("outcome"), text("why"))
}

#[test]
fn a_sound_estate_has_nothing_that_would_fail_and_says_what_nobody_can_know() {
    let program = Program::new();
    for scenario in
        ["orders-db", "ledger-volume", "uploads-replication", "cluster-state", "k3s-server"]
    {
        let (code, found) = look(&program, scenario, &[]);
        assert_eq!(code, 0, "{scenario}: {found:#}");
        assert_eq!(found["summary"]["failed"], 0, "{scenario}");
        assert_eq!(found["summary"]["not_checked"], 0, "{scenario}: {found:#}");
        assert!(found["summary"]["passed"].as_u64().unwrap() >= 2, "{scenario}");
        assert!(found["summary"]["not_before"].as_u64().unwrap() >= 1, "{scenario}");
        assert!(found["rehearsal"].is_string(), "{scenario}");
    }
    let (_, found) = look(&program, "orders-db", &[]);
    assert_eq!(check(&found, "dr", "snapshots of orders-db").0, "passed");
    assert_eq!(check(&found, "dr", "DB subnet group drill-isolated").0, "passed");
    assert_eq!(check(&found, "dr", "secret orders/readonly").0, "passed");
    assert_eq!(check(&found, "dr", "rds:DescribeDBSnapshots").0, "passed");
    // A permission that was not tried is never one that is there.
    assert_eq!(check(&found, "dr", "rds:RestoreDBInstanceFromDBSnapshot").0, "not_before");
    let (_, found) = look(&program, "ledger-volume", &[]);
    assert_eq!(check(&found, "dr", "ec2:CreateVolume").0, "passed");
    assert_eq!(check(&found, "dr", "ec2:CreateTags").0, "passed");
    assert_eq!(check(&found, "dr", "ec2:DeleteVolume").0, "not_before");
}

#[test]
fn what_would_fail_on_the_day_is_said_before_it_with_what_to_do() {
    let program = Program::new();
    for (scenario, estate, site, what) in [
        ("orders-db", "no-copies", "dr", "snapshots of orders-db"),
        ("orders-db", "key-disabled", "dr", "snapshots of orders-db"),
        ("ledger-volume", "no-copies", "dr", "snapshots with the tags"),
        ("uploads-replication", "versioning-suspended", "dr", "versioning of bucket"),
        ("cluster-state", "missing", "dr", "s3://platform-etcd-dr"),
    ] {
        let (code, found) = look(&program, scenario, &["--estate", estate]);
        assert_eq!(check(&found, site, what).0, "failed", "{estate}");
        assert_eq!(code, 1, "{estate}");
        let file = format!("scenarios/{scenario}.yaml");
        let ran = program.run(&["preflight", &file, "--sandbox", "--estate", estate]);
        assert!(ran.stdout.contains("would fail: ") && ran.stdout.contains("      do: "));
        assert!(ran.stdout.contains("REHEARSAL"), "{}", ran.stdout);
    }
}

#[test]
fn a_group_that_is_not_there_would_fail() {
    let program = Program::new();
    let text = std::fs::read_to_string(program.path("scenarios/orders-db.yaml")).unwrap();
    let text = text.replace("subnets: drill-isolated", "subnets: not-there");
    program.write("drills/orders-db.yaml", text);
    let estate = "scenarios/estates/orders-db.yaml";
    let ran = program.run(&[
        "preflight",
        "drills/orders-db.yaml",
        "--sandbox",
        "--estate",
        estate,
        "--format",
        "json",
    ]);
    assert_eq!(check(&ran.json(), "dr", "DB subnet group not-there").0, "failed");
    assert_eq!(ran.code, 1);
}

#[test]
fn a_permission_that_is_denied_fails_if_the_drill_needs_it_and_is_not_checked_if_only_preflight_does()
 {
    let program = Program::new();
    let denied = |call: &str| format!("{call}=error:AccessDenied:403");
    let fault = denied("rds:DescribeDBSnapshots");
    let (code, found) = look(&program, "orders-db", &["--fault", &fault]);
    assert_eq!(check(&found, "dr", "rds:DescribeDBSnapshots").0, "failed");
    assert_eq!(code, 1);
    let fault = denied("rds:DescribeDBParameterGroups");
    let (code, found) = look(&program, "orders-db", &["--fault", &fault]);
    let (outcome, why) = check(&found, "dr", "DB parameter group");
    assert_eq!(outcome, "not_checked");
    assert!(why.contains("AccessDenied"), "{why}");
    assert_eq!(code, 2);
    let fault = "ec2:CreateVolume=error:UnauthorizedOperation:403";
    let (code, found) = look(&program, "ledger-volume", &["--fault", fault]);
    assert_eq!(check(&found, "dr", "ec2:CreateVolume").0, "failed");
    assert_eq!(code, 1);
}

#[test]
fn regression_a_version_that_may_not_be_asked_for_is_not_passed_for_used() {
    let program = Program::new();
    let fault = "rds:DescribeDBEngineVersions=error:AccessDenied:403";
    for (scenario, snapshots) in [
        ("orders-db", "rds:DescribeDBSnapshots"),
        ("payments-aurora", "rds:DescribeDBClusterSnapshots"),
        ("orders-db-point-in-time", "rds:DescribeDBInstanceAutomatedBackups"),
    ] {
        let (_, sound) = look(&program, scenario, &[]);
        assert_eq!(check(&sound, "dr", "engine version ").0, "passed", "{scenario}");
        assert_eq!(check(&sound, "dr", "rds:DescribeDBEngineVersions").0, "passed");
        let (code, found) = look(&program, scenario, &["--fault", fault]);
        assert_eq!(check(&found, "dr", "engine version ").0, "failed", "{scenario}");
        assert_eq!(check(&found, "dr", "rds:DescribeDBEngineVersions").0, "failed", "{scenario}");
        assert_eq!(check(&found, "dr", snapshots).0, "passed", "{scenario}");
        assert_eq!(code, 1, "{scenario}");
    }
}

#[test]
fn regression_what_no_look_has_asked_for_is_not_passed_for_used() {
    let program = Program::new();
    // Without a snapshot there is no version to ask for.
    let (_, found) = look(&program, "orders-db", &["--estate", "no-copies"]);
    assert_eq!(check(&found, "dr", "rds:DescribeDBSnapshots").0, "passed");
    assert_eq!(check(&found, "dr", "rds:DescribeDBEngineVersions").0, "not_before");
    // Without an instance there are no parameters of it.
    let text = program.read("scenarios/orders-db.yaml");
    let wrong = text.replacen("{ instance: orders-db }", "{ instance: orders-dbx }", 1);
    assert!(wrong != text);
    program.write("drills/orders-db.yaml", wrong);
    let estate = ["--estate", "scenarios/estates/orders-db.yaml", "--format", "json"];
    let ran =
        program.run(&[&["preflight", "drills/orders-db.yaml", "--sandbox"][..], &estate].concat());
    let found = ran.json();
    assert_eq!(check(&found, "primary", "instance orders-dbx").0, "failed");
    assert_eq!(check(&found, "primary", "rds:DescribeDBInstances").0, "passed");
    assert_eq!(check(&found, "primary", "rds:DescribeDBParameters").0, "not_checked");
}

#[test]
fn regression_the_permission_of_the_call_that_was_denied_is_blamed_and_no_other() {
    let program = Program::new();
    let fault = "rds:DescribeDBClusterParameters=error:AccessDenied:403";
    let (code, found) = look(&program, "payments-aurora", &["--fault", fault]);
    let (outcome, why) = check(&found, "primary", "cluster payments");
    assert_eq!(outcome, "failed");
    assert!(why.starts_with("rds:DescribeDBClusterParameters: AccessDenied"), "{why}");
    for (action, outcome) in [
        ("rds:DescribeDBClusters", "passed"),
        ("rds:DescribeDBInstances", "passed"),
        ("rds:DescribeDBClusterParameters", "failed"),
        ("rds:DescribeDBParameters", "not_checked"),
    ] {
        assert_eq!(check(&found, "primary", action).0, outcome, "{action}");
    }
    assert_eq!(code, 1);
}

#[test]
fn what_could_not_be_asked_is_never_passed() {
    let program = Program::new();
    let fault = "secretsmanager:GetSecretValue=server_error";
    let (code, found) = look(&program, "orders-db", &["--fault", fault]);
    assert_eq!(check(&found, "dr", "secret orders/readonly").0, "not_checked");
    assert_eq!(check(&found, "dr", "secretsmanager:GetSecretValue").0, "not_checked");
    assert_eq!(code, 2);
}

#[test]
fn nothing_is_changed_by_looking() {
    // The guard of preflight refuses every call that changes something; a dry run of EC2 is the one exception.
    let program = Program::new();
    let (_, found) = look(&program, "ledger-volume", &[]);
    assert_eq!(check(&found, "dr", "dry run of CreateVolume").1, "EC2 would allow it");
    assert!(program.files_of_runs().is_empty(), "{:?}", program.files_of_runs());
}

#[test]
fn one_document_is_printed_as_iam_takes_it_or_what_is_missing_is_said() {
    let program = Program::new();
    let iam =
        |more: &[&str]| program.run(&[&["iam", "scenarios/orders-db.yaml"][..], more].concat());
    let ran = iam(&["--site", "dr", "--document", "policy"]);
    let policy = ran.json();
    assert_eq!(policy["Version"], "2012-10-17");
    assert!(policy["Statement"].as_array().unwrap().len() >= 5);
    iam(&["--document", "policy"]).says(3, &["several roles", "--site"]);
    iam(&["--site", "moon"]).says(3, &["no site moon", "dr, primary"]);
    iam(&["--site", "dr", "--document", "trust"]).says(3, &["--runner"]);
    iam(&["--trust", "irsa"]).says(3, &["--oidc-provider"]);
    iam(&["--trust", "github", "--subject", "main"]).says(3, &["repo:OWNER/NAME"]);
    iam(&["--trust", "github", "--subject", "repo:*"]).says(3, &["repo:OWNER/NAME"]);
    let pods = ["--oidc-provider", "oidc.example.com/id/1", "--subject"];
    let wide = [&["--trust", "irsa"][..], &pods, &["system:serviceaccount:*:*"]].concat();
    iam(&wide).says(3, &["system:serviceaccount:NAMESPACE:NAME"]);
    iam(&["--trust", "account", "--principal", "12"]).says(3, &["twelve digits"]);
    iam(&["--site", "dr", "--runner", "12"]).says(3, &["twelve digits"]);
    let ran = iam(&["--preflight", "--site", "dr", "--format", "json"]);
    assert!(ran.stdout.contains("rds:DescribeAccountAttributes"), "{}", ran.stdout);
    let ran = iam(&["--reap", "--site", "dr", "--document", "policy"]);
    for action in ["ec2:DescribeVolumes", "rds:DescribeDBClusters", "rds:DeleteDBSnapshot"] {
        assert!(ran.stdout.contains(action), "{action}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("rds:Restore"), "{}", ran.stdout);
    let ran = iam(&[]);
    assert!(!ran.stdout.contains("rds:DescribeAccountAttributes"));
    assert!(ran.stdout.contains("restore: restore [RdsWrite"), "{}", ran.stdout);
}

#[test]
fn regression_what_this_machine_lacks_is_found_before_the_day() {
    let program = Program::new();
    let scenario = |tool: &str| {
        format!(
            "redrill: 1\nname: local\ntitle: A drill that needs this machine\nowner: tests\n\
             disaster: {{ kind: corruption }}\nobjectives: {{}}\nguard: {{ max_duration: 10m }}\nsteps:\n  \
             - id: data\n    uses: sql.check\n    with: {{ endpoint: 127.0.0.1, database: orders, user: ro, tls: {{ ca: rds.pem }}, \
             credentials: {{ password_file: pass }}, queries: [{{ name: rows, sql: select n from rows, expect: \"== 1\" }}] }}\n  \
             - id: smoke\n    uses: exec.run\n    with: {{ argv: [\"{tool}\"], effect: none }}\n"
        )
    };
    program.write("local.yaml", scenario("./smoke-test"));
    let look = || program.run(&["preflight", "local.yaml"]);
    let ran = look();
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for words in ["certificate authorities rds.pem", "the file pass", "program ./smoke-test"] {
        let line = ran.stdout.lines().find(|line| line.contains(words));
        assert!(line.is_some_and(|line| line.contains("would fail")), "{words}: {}", ran.stdout);
    }
    program.write("pass", "hunter2");
    program.write("rds.pem", "-----BEGIN CERTIFICATE-----\n");
    program.write("local.yaml", scenario("sh"));
    let ran = look();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// A look with a store in the DR region of the estate, and what came out of it.
fn look_at_store(program: &Program, more: &[&str]) -> (i32, Value) {
    let estate = program.read("scenarios/estates/orders-db.yaml");
    program.write("estate.yaml", format!("{estate}    buckets: [{{ name: drill-evidence }}]\n"));
    let fixed = ["preflight", "scenarios/orders-db.yaml", "--sandbox", "--estate", "estate.yaml"];
    let store = ["--store-region", "ap-northeast-3", "--format", "json"];
    let ran = program.run(&[&fixed[..], &store, more].concat());
    let found = ran.json();
    let nowhere = found["sites"].as_array().unwrap().iter().find(|one| one["site"].is_null());
    let checks = nowhere.map(|one| one["checks"].as_array().unwrap().clone()).unwrap_or_default();
    let is_store = |one: &&Value| one["what"].as_str().unwrap().starts_with("journal store s3://");
    (ran.code, checks.iter().find(is_store).cloned().unwrap_or_default())
}

#[test]
fn the_store_of_a_run_is_tried_as_the_run_will_use_it() {
    let program = Program::new();
    let store = ["--store", "s3://drill-evidence/redrill"];
    let (code, found) = look_at_store(&program, &store);
    assert_eq!((code, &found["outcome"]), (0, &"passed".into()), "{found:#}");
    let words = found["why"].as_str().unwrap();
    assert!(words.contains("the second write refused, read and listed"), "{words}");
    for (more, code, outcome, why) in [
        (&["--fault", "s3:PutObject=error:AccessDenied:403"][..], 1, "failed", "AccessDenied"),
        (&["--fault", "s3:ListObjectsV2=error:AccessDenied:403"], 2, "not_checked", "AccessDenied"),
        (
            &["--fault", "s3:GetBucketLocation=error:InternalError:500"],
            2,
            "not_checked",
            "InternalError",
        ),
    ] {
        let (exit, found) = look_at_store(&program, &[&store, more].concat());
        assert_eq!((exit, &found["outcome"]), (code, &outcome.into()), "{more:?}: {found:#}");
        assert!(found["why"].as_str().unwrap().contains(why), "{more:?}: {found:#}");
    }
    let (code, found) = look_at_store(&program, &["--store", "s3://no-such-bucket/redrill"]);
    assert_eq!((code, &found["outcome"]), (1, &"failed".into()), "{found:#}");
    // Without a store none is tried.
    assert!(program.run(&["preflight", "scenarios/orders-db.yaml", "--sandbox"]).code == 0);
}

#[test]
fn a_store_that_would_be_lost_fails_before_the_day() {
    let program = Program::new();
    let estate = program.read("scenarios/estates/orders-db.yaml");
    // The first place of the estate is the one that is lost.
    let dr = "  - account: \"222222222222\"";
    assert!(estate.contains(dr), "{estate}");
    let with = format!("    buckets: [{{ name: drill-evidence }}]\n{dr}");
    program.write("estate.yaml", estate.replacen(dr, &with, 1));
    let ran = program.run(&[
        "preflight",
        "scenarios/orders-db.yaml",
        "--sandbox",
        "--estate",
        "estate.yaml",
        "--store",
        "s3://drill-evidence/redrill",
        "--store-region",
        "ap-northeast-1",
    ]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let line = ran.stdout.lines().find(|line| line.contains("journal store")).unwrap();
    assert!(line.contains("the region of the site primary"), "{line}");
}

#[test]
fn quotas_are_told_once_for_all_that_the_run_makes() {
    let program = Program::new();
    let scenario = program.read("scenarios/orders-db.yaml");
    // Two restores of the same snapshot: each alone has room.
    let from = scenario.find("  - id: restore\n").unwrap();
    let to = from + 5 + scenario[from + 5..].find("\n  - id: ").unwrap() + 1;
    let twice =
        scenario[from..to].replacen("- id: restore", "- id: restore_again\n    required: false", 1);
    let edited = format!("{}{twice}{}", &scenario[..to], &scenario[to..]);
    let edited = edited.replace("max_resources: 2", "max_resources: 3");
    program.write("twice.yaml", edited);
    let ran = program.run(&[
        "preflight",
        "twice.yaml",
        "--sandbox",
        "--estate",
        "scenarios/estates/orders-db.yaml",
    ]);
    let lines: Vec<_> = ran.stdout.lines().filter(|line| line.contains("quotas of RDS")).collect();
    assert_eq!(lines.len(), 1, "{}{}", ran.stdout, ran.stderr);
    assert!(lines[0].contains("DBInstances") && lines[0].contains("the run makes 2"), "{lines:?}");
    assert!(lines[0].contains("restore, restore_again"), "{lines:?}");
}

const ASKS: &str = "\
redrill: 1
name: asks
title: A drill that asks those who may sign, and tells people
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m }
hooks:
  - { on: [approval_needed], run: [./page-lead] }
  - { on: [approval_needed, failed], post: { from_env: DRILL_CHANNEL_URL } }
steps:
  - id: decide
    uses: control.approve
    with: { ask: Go on?, within: 5m, signed_by: approvers }
";

/// What is looked at on this machine, with no AWS to ask.
#[test]
fn regression_signers_and_hooks_that_are_not_there_are_missed_before_the_day() {
    let program = Program::new();
    program.write("asks.yaml", ASKS);
    let looks = [
        "hook ./page-lead: program ./page-lead",
        "hook POST to the URL in DRILL_CHANNEL_URL: environment variable DRILL_CHANNEL_URL",
        "file of allowed signers approvers",
    ];
    let ran = program.run(&["preflight", "asks.yaml", "--format", "json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let found = ran.json();
    let checks = found["sites"][0]["checks"].as_array().unwrap().clone();
    assert!(found["sites"][0]["site"].is_null(), "{found:#}");
    for look in looks {
        let check = checks.iter().find(|check| check["what"] == look);
        assert_eq!(
            check.map(|check| &check["outcome"]),
            Some(&"failed".into()),
            "{look}: {found:#}"
        );
    }
    program.write("page-lead", "#!/bin/sh\n");
    std::fs::set_permissions(program.path("page-lead"), Permissions::from_mode(0o755)).unwrap();
    program.write("approvers", "anna@example.com ssh-ed25519 AAAA\n");
    let mut again = program.command(&["preflight", "asks.yaml"]);
    again.env("DRILL_CHANNEL_URL", "https://hooks.example/T0/hunter2");
    let ran = Ran::of(again.output().unwrap());
    for look in looks {
        assert!(ran.stdout.contains(&format!("  ✓ {look}: ")), "{}{}", ran.stdout, ran.stderr);
    }
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
    assert!(program.files_of_runs().is_empty(), "nothing is asked, and nobody is told");
}
