//! Limits of the organisation: what is refused before the first call, what is told, and what is left in the evidence.

use crate::program::{Program, Ran};
use crate::resuming::{AT_A_SITE, killed, killed_after, served, with_account};
use serde_json::Value;

/// Nobody listens there: whoever calls is told so with another exit code.
const NOBODY: [&str; 2] = ["--endpoint-url", "http://127.0.0.1:1"];
const ORDERS: &str = "scenarios/orders-db.yaml";
const NARROW: &str = "redrill_limits: 1\nregions: [eu-west-1]\nmax_resources: 0\n";

fn with(program: &Program, limits: &str, arguments: &[&str]) -> Ran {
    program.write("limits.yaml", limits);
    program.run(&[arguments, &["--limits", "limits.yaml"]].concat())
}

#[test]
fn a_scenario_beyond_a_limit_is_refused_before_the_first_call_with_the_place_of_the_limit() {
    let program = Program::new();
    for verb in ["run", "preflight"] {
        let ran = with(&program, NARROW, &[&[verb, ORDERS][..], &NOBODY].concat());
        let region =
            "limits.yaml:2:1: regions: the site dr is in ap-northeast-3; allowed: eu-west-1";
        let resources = "limits.yaml:3:1: max_resources: guard.max_resources of the scenario is";
        ran.says(4, &[ORDERS, "nothing was run", region, resources]);
    }
    assert!(program.files_of_runs().is_empty(), "{:?}", program.files_of_runs());
    // The same call without a limit gets as far as the address where nobody listens.
    program.run(&[&["run", ORDERS][..], &NOBODY].concat()).says(2, &["cannot be reached"]);
}

#[test]
fn check_and_plan_refuse_it_too_and_tell_programs_which_limit() {
    let program = Program::new();
    with(&program, NARROW, &["plan", ORDERS]).says(4, &["limits.yaml:2:1: regions"]);
    let checked = with(&program, NARROW, &["check", ORDERS, "--format", "json"]);
    assert_eq!(checked.code, 4, "{}", checked.stdout);
    let beyond = checked.json()["beyond_limits"].as_array().unwrap().clone();
    assert_eq!(beyond.len(), 3, "{beyond:?}");
    assert_eq!((&beyond[2]["limit"], &beyond[2]["line"]), (&"max_resources".into(), &3.into()));
    let wide = "redrill_limits: 1\nregions: [ap-northeast-1, ap-northeast-3]\nmax_resources: 10\n";
    assert_eq!(with(&program, wide, &["check", ORDERS]).code, 0);
    assert_eq!(with(&program, wide, &["plan", ORDERS]).code, 0);
    // Which mode is run is not decided yet when a scenario is checked, and it is when it is planned.
    let drills = "redrill_limits: 1\nmodes: [drill]\n";
    assert_eq!(with(&program, drills, &["check", ORDERS]).code, 0);
    let recovery = ["plan", ORDERS, "--mode", "recovery"];
    with(&program, drills, &recovery).says(4, &["the mode is recovery; allowed: drill"]);
}

#[test]
fn a_variable_that_names_no_readable_file_is_an_error_for_every_verb_that_is_held() {
    let program = Program::new();
    for arguments in [
        &["run", ORDERS, "--sandbox"][..],
        &["resume", "last"],
        &["plan", ORDERS],
        &["check", ORDERS],
        &["preflight", ORDERS, "--sandbox"],
        &["reap", ORDERS, "--sandbox"],
    ] {
        let mut command = program.command(arguments);
        let ran = Ran::of(command.env("REDRILL_LIMITS", "absent.yaml").output().unwrap());
        ran.says(
            3,
            &["absent.yaml, which REDRILL_LIMITS names, cannot be read", "nothing was run"],
        );
    }
    let wrong = with(&program, "redrill_limits: 1\nregoins: [eu-west-1]\n", &["check", ORDERS]);
    wrong.says(3, &["limits.yaml:2:1", "unknown key regoins", "did you mean regions?"]);
}

#[test]
fn a_limit_on_the_command_line_does_not_widen_that_of_the_environment() {
    let program = Program::new();
    program.write("narrow.yaml", NARROW);
    program.write("wide.yaml", "redrill_limits: 1\n");
    let arguments = [&["run", ORDERS, "--limits", "wide.yaml"][..], &NOBODY].concat();
    let mut command = program.command(&arguments);
    let ran = Ran::of(command.env("REDRILL_LIMITS", "narrow.yaml").output().unwrap());
    ran.says(4, &["narrow.yaml:2:1: regions"]);
}

#[test]
fn a_rehearsal_is_held_to_nothing_and_says_what_would_be_refused_elsewhere() {
    let program = Program::new();
    let ran = with(&program, NARROW, &["run", ORDERS, "--sandbox", "--quiet"]);
    ran.says(0, &["a rehearsal is not held to the limits", "limits.yaml:2:1: regions"]);
    let journal = program.read("runs/orders-db-0001/journal.jsonl");
    assert!(!journal.lines().next().unwrap().contains("limits.yaml"), "{journal}");
}

/// What is recorded of limits in the first record of a run.
fn recorded(program: &Program, run: &str) -> Value {
    let journal = program.read(&format!("runs/{run}/journal.jsonl"));
    let first: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    first["event"]["limits"].clone()
}

#[test]
fn regression_an_account_that_the_scenario_leaves_open_is_held_to_the_list_when_it_answers() {
    let program = Program::new();
    let (_served, url) = served(&program);
    program.write("asked.yaml", AT_A_SITE);
    program.write("limits.yaml", "redrill_limits: 1\naccounts: ['111111111111']\n");
    let held = ["asked.yaml", "--limits", "limits.yaml", "--endpoint-url", &url];
    let end = |verb: &str, account: &str| {
        let command = program.command(&[&[verb][..], &held].concat());
        Ran::of(with_account(command, account).output().unwrap())
    };
    let words = [
        "limits.yaml:2:1: accounts: the site dr is in account 222222222222",
        "nothing has happened",
    ];
    end("run", "222222222222").says(4, &words);
    assert!(program.files_of_runs().is_empty(), "{:?}", program.files_of_runs());
    let looked = end("preflight", "222222222222");
    assert_eq!(looked.code, 4, "as of the run: {}{}", looked.stdout, looked.stderr);
    assert!(looked.stdout.contains(words[0]), "{}", looked.stdout);
    // In the one that is allowed it runs, and what it was held to is in the evidence.
    let run = program.command(&[&["run"][..], &held].concat());
    killed(&program, with_account(run, "111111111111"));
    let digest = redrill::ids::Digest::of(&program.bytes("limits.yaml"));
    let limits = recorded(&program, "asked-0001");
    assert_eq!(limits, serde_json::json!([{ "file": "limits.yaml", "digest": digest }]));
    let abort = program.command(&["abort", "last"]);
    Ran::of(with_account(abort, "111111111111").output().unwrap()).says(130, &[]);
    let report = program.read("runs/asked-0001/report.md");
    let line = format!("Held to the limits of the organisation: limits.yaml, `{digest}`");
    assert!(report.contains(&line), "{report}");
}

#[test]
fn going_on_is_held_to_the_limits_of_that_moment_and_giving_back_to_none() {
    let program = Program::new();
    let (_served, url) = served(&program);
    program.write("asked.yaml", AT_A_SITE);
    let run = program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", &url]);
    killed(&program, with_account(run, "222222222222"));
    let end = |arguments: &[&str]| {
        let mut command = with_account(program.command(arguments), "222222222222");
        Ran::of(command.env("REDRILL_LIMITS", "limits.yaml").output().unwrap())
    };
    let before = program.bytes("runs/asked-0001/journal.jsonl");
    for (limits, why) in [
        (NARROW, "limits.yaml:2:1: regions: the site dr is in ap-northeast-3"),
        ("redrill_limits: 1\naccounts: ['111111111111']\n", "limits.yaml:2:1: accounts"),
    ] {
        program.write("limits.yaml", limits);
        end(&["resume", "last"]).says(4, &[why]);
        assert_eq!(program.bytes("runs/asked-0001/journal.jsonl"), before, "nothing was written");
    }
    // Under limits that allow it, it goes on, and they are in the evidence.
    program.write("limits.yaml", "redrill_limits: 1\naccounts: ['222222222222']\n");
    let digest = redrill::ids::Digest::of(&program.bytes("limits.yaml"));
    let mut resume = with_account(program.command(&["resume", "last"]), "222222222222");
    resume.env("REDRILL_LIMITS", "limits.yaml");
    killed_after(&program, resume, ("run_resumed", 1));
    let resumed = program.read("runs/asked-0001/journal.jsonl");
    let resumed = resumed.lines().find(|line| line.contains("run_resumed")).unwrap();
    assert!(resumed.contains(&digest.to_string()), "{resumed}");
    // Not even a file that cannot be read stops what gives back.
    std::fs::remove_file(program.path("limits.yaml")).unwrap();
    end(&["abort", "last"]).says(130, &[]);
    let report = program.read("runs/asked-0001/report.md");
    let line = format!("Held to the limits of the organisation: limits.yaml, `{digest}`");
    assert!(report.contains(&line), "{report}");
}

#[test]
fn reap_looks_only_where_it_is_allowed_and_says_where_it_did_not() {
    let program = Program::new();
    let (_served, url) = served(&program);
    let reap = |account: &str, sites: &[&str]| {
        let fixed = ["reap", "--limits", "limits.yaml", "--endpoint-url", &url, "--format", "json"];
        let sites = sites.iter().flat_map(|site| ["--site", site]);
        let arguments: Vec<&str> = fixed.into_iter().chain(sites).collect();
        Ran::of(with_account(program.command(&arguments), account).output().unwrap())
    };
    program.write(
        "limits.yaml",
        "redrill_limits: 1\naccounts: ['222222222222']\nregions: [ap-northeast-3]\n",
    );
    let one = reap("222222222222", &["ap-northeast-3"]);
    assert_eq!(one.json()["not_asked"], serde_json::json!([]), "{}", one.stdout);
    let both = reap("222222222222", &["ap-northeast-3", "us-east-1"]);
    assert_eq!(both.code, 2, "{}", both.stdout);
    assert_eq!(both.json()["sites"], serde_json::json!(["ap-northeast-3"]));
    let why = both.json()["not_asked"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("limits.yaml:3:1: regions"), "{why}");
    let stranger = reap("111111111111", &["ap-northeast-3"]);
    assert_eq!(stranger.code, 2, "{}", stranger.stdout);
    assert!(stranger.stdout.contains("limits.yaml:2:1: accounts"), "{}", stranger.stdout);
    reap("222222222222", &["us-east-1"]).says(4, &["allow no site to look at"]);
}
