//! What people get wrong, and what is wrong around the program: each ends with the documented exit code, says what is
//! wrong in words that help, and has done nothing.

use crate::program::{Program, Ran, repository};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

/// The orders-db scenario with something replaced.
fn scenario_with(program: &Program, from: &str, to: &str) {
    let text = std::fs::read_to_string(repository("scenarios/orders-db.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    program.write("changed/orders-db.yaml", text.replace(from, to));
    let estate = std::fs::read(repository("scenarios/estates/orders-db.yaml")).unwrap();
    program.write("changed/estates/orders-db.yaml", estate);
}

const CHANGED: &[&str] = &["run", "changed/orders-db.yaml", "--sandbox", "--quiet"];

/// Runs the changed scenario, which must be refused with these words before anything exists.
#[track_caller]
fn assert_scenario_refused(from: &str, to: &str, words: &[&str]) {
    let program = Program::new();
    scenario_with(&program, from, to);
    program.run(CHANGED).says(3, words);
    assert!(!program.path("runs").exists());
}

/// Arguments to `run` that must be refused with these words before anything exists.
#[track_caller]
fn assert_arguments_refused(arguments: &[&str], words: &[&str]) {
    let program = Program::new();
    let fixed = ["run", "scenarios/orders-db.yaml", "--sandbox", "--quiet"];
    program.run(&[&fixed[..], arguments].concat()).says(3, words);
    assert!(!program.path("runs").exists());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let program = Program::new();
    for verb in [
        &["run", "nothing.yaml", "--sandbox"][..],
        &["plan", "nothing.yaml"],
        &["runbook", "nothing.yaml"],
    ] {
        program.run(verb).says(3, &["nothing.yaml cannot be read", "No such file"]);
    }
    let checked = program.run(&["check", "nothing.yaml"]);
    assert_eq!(checked.code, 3);
    assert!(checked.stdout.contains("No such file"), "{}", checked.stdout);
    std::fs::create_dir(program.path("empty")).unwrap();
    program.run(&["run", "empty", "--sandbox"]).says(3, &["there is no scenario in empty"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn regression_the_exit_code_tells_also_where_the_error_cannot_be_written() {
    let program = Program::new();
    for arguments in [&["show", "nothing"][..], &["no-such-command"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = program.command(arguments).stderr(full).status().unwrap();
        assert_eq!(ended.code(), Some(3), "{arguments:?}");
    }
}

#[test]
fn invalid_yaml_is_named_with_its_line_and_column() {
    let program = Program::new();
    program.write("broken.yaml", "redrill: 1\nname: [\n");
    let words = ["RD001", "broken.yaml:2:7", "unclosed bracket", "nothing was run"];
    program.run(&["run", "broken.yaml", "--sandbox"]).says(3, &words);
    program.write("binary.yaml", [0xff, 0xfe, 0, 1, 2]);
    program.run(&["run", "binary.yaml", "--sandbox"]).says(3, &["binary.yaml"]);
    program.write("nothing.yaml", "");
    program.run(&["run", "nothing.yaml", "--sandbox"]).says(3, &["nothing.yaml"]);
    assert!(!program.path("runs").exists());
}

/// Checks what stands in standard input, which is a pipe, by this name.
#[cfg(target_os = "linux")]
fn checked_from_a_pipe(program: &Program, name: &str, text: &str) -> Ran {
    let mut command = program.command(&["check", name]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // Whoever does not read it has ended, and what was said tells why.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn regression_a_pipe_is_read_where_it_is_named_and_not_waited_for_among_scenarios() {
    let program = Program::new();
    let text = program.read("scenarios/orders-db.yaml");
    for name in ["/proc/self/fd/0", "/dev/fd/0", "/dev/stdin"] {
        let ran = checked_from_a_pipe(&program, name, &text);
        assert_eq!(ran.code, 0, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("0 errors") && ran.stdout.contains("in 1 scenario"), "{name}");
        let ran = checked_from_a_pipe(&program, name, "redrill: 1\nname: [\n");
        assert_eq!(ran.code, 3, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("RD001") && ran.stdout.contains(name), "{}", ran.stdout);
    }
    program.write("drills/orders-db.yaml", &text);
    let pipe = program.path("drills/pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for named in ["drills", "drills/pipe.yaml"] {
        let ran = program.run(&["check", named]);
        assert_eq!(ran.code, 3, "{named}: {}{}", ran.stdout, ran.stderr);
        let told = "drills/pipe.yaml cannot be read: it is a pipe or a device, and no file";
        assert!(ran.stdout.contains("RD012") && ran.stdout.contains(told), "{}", ran.stdout);
    }
}

#[test]
fn a_wrong_unit_is_named_with_the_units_that_there_are() {
    let words = ["RD007", "26 parsecs", "expected a duration", "90s, 15m, 4h"];
    assert_scenario_refused("target: 26h", "target: 26 parsecs", &words);
}

#[test]
fn an_unknown_action_and_an_unknown_input_come_with_a_suggestion() {
    let words = ["RD202", "rds.find_snapshots", "did you mean rds.find_snapshot?"];
    assert_scenario_refused("uses: rds.find_snapshot", "uses: rds.find_snapshots", &words);
    let words = ["RD221", "rds.find_snapshot has no input off", "did you mean of?"];
    assert_scenario_refused("with: { of: orders-db }", "with: { off: orders-db }", &words);
}

#[test]
fn a_misspelt_guard_is_no_guard_and_is_refused() {
    assert_scenario_refused("guard: {", "gaurd: {", &["RD003", "gaurd"]);
}

#[test]
fn a_step_that_writes_outside_the_guard_is_refused() {
    assert_scenario_refused("write: [dr]", "write: []", &["RD601", "dr"]);
}

#[test]
fn a_step_that_writes_into_a_database_that_is_not_the_runs_is_refused() {
    let endpoint = "uses: sql.try_write\n    with:\n      endpoint: \"{{steps.restore.endpoint}}\"";
    let production = endpoint.replace("{{steps.restore.endpoint}}", "orders.example.com");
    let words = ["RD613", "orders.example.com", "guard.databases"];
    assert_scenario_refused(endpoint, &production, &words);
}

#[test]
fn every_error_of_every_file_is_found_before_any_run_begins() {
    let program = Program::new();
    scenario_with(&program, "target: 26h", "target: 26 parsecs");
    let both = ["run", "scenarios/orders-db.yaml", "changed/orders-db.yaml", "--sandbox"];
    program.run(&both).says(3, &["RD007", "nothing was run"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn an_unknown_estate_comes_with_those_that_there_are() {
    let words = ["no estate to rehearse orders-db in", "orders-db.no-such.yaml", "no-copies"];
    assert_arguments_refused(&["--estate", "no-such"], &words);
    assert_arguments_refused(&["--estate", "some/where.yaml"], &["some/where.yaml"]);
    let program = Program::new();
    let text = std::fs::read(repository("scenarios/orders-db.yaml")).unwrap();
    program.write("alone/orders-db.yaml", text);
    let ran = program.run(&["run", "alone/orders-db.yaml", "--sandbox"]);
    ran.says(3, &["no estate to rehearse orders-db in", "--estate FILE"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn a_mistake_in_an_estate_is_named_with_its_place() {
    let program = Program::new();
    scenario_with(&program, "target: 26h", "target: 26h");
    let estate = program.read("changed/estates/orders-db.yaml");
    program
        .write("changed/estates/orders-db.yaml", estate.replace("restore_takes", "restore_lasts"));
    program.run(CHANGED).says(3, &["changed/estates/orders-db.yaml:", "restore_lasts"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn a_wrong_fault_comes_with_an_example() {
    assert_arguments_refused(
        &["--fault", "rds=stuck"],
        &["is not a fault", "service:Operation", "=throttle"],
    );
    assert_arguments_refused(&["--fault", "rds:X=explode"], &["there is no such effect"]);
}

#[test]
fn a_wrong_value_of_an_input_is_refused() {
    assert_arguments_refused(&["--set", "nothing=1"], &["RD703", "has no input nothing"]);
    assert_arguments_refused(&["--set", "nothing"], &["write NAME=VALUE"]);
    assert_arguments_refused(&["--inputs", "no.yaml"], &["no.yaml cannot be read"]);
    assert_arguments_refused(&["--seed", "x"], &["--seed"]);
    assert_arguments_refused(&["--keep", "2 parsecs"], &["--keep", "2 parsecs"]);
    assert_arguments_refused(&["--mode", "panic"], &["--mode", "drill, recovery"]);
    let program = Program::new();
    scenario_with(&program, "\ninputs:\n", "\ninputs:\n  days: { type: number, default: 3 }\n");
    let ran = program.run(&[CHANGED, &["--set", "days=many"]].concat());
    ran.says(3, &["RD702", "days"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn options_that_need_or_exclude_each_other_are_refused() {
    let program = Program::new();
    let scenario = "scenarios/orders-db.yaml";
    let ran = program.run(&["run", scenario, "--estate", "no-copies"]);
    ran.says(3, &["--sandbox"]);
    let both = ["run", scenario, "--sandbox", "--endpoint-url", "http://127.0.0.1:9"];
    program.run(&both).says(3, &["--endpoint-url"]);
    program.run(&["frobnicate"]).says(3, &["frobnicate"]);
    assert!(!program.path("runs").exists());
}

/// One site, one read-only step, no role.
const SMALL: &str = r#"redrill: 1
name: small
title: Is there a snapshot?
owner: tests
disaster: { kind: deletion, lost: [] }
sites: { dr: { account: "222222222222", region: ap-northeast-3 } }
objectives: { rpo: { target: 26h, measure: backup } }
steps:
  - { id: point, at: dr, uses: rds.find_snapshot, with: { of: orders-db } }
"#;

/// Runs the small scenario against an endpoint, with credentials or none.
fn run_against(endpoint: &str, scenario: &str, key: Option<&str>) -> (Program, Ran) {
    let program = Program::new();
    program.write("small.yaml", scenario);
    let mut command =
        program.command(&["run", "small.yaml", "--quiet", "--endpoint-url", endpoint]);
    if let Some(key) = key {
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "sandbox");
    }
    let ran = Ran::of(command.output().unwrap());
    (program, ran)
}

/// Nothing was written, so that there is no run.
#[track_caller]
fn assert_no_run(program: &Program) {
    assert_eq!(program.files_of_runs(), Vec::<String>::new());
    assert_eq!(program.run(&["runs", "--format", "json"]).json()["runs"], serde_json::json!([]));
}

/// An address on loopback where nothing listens: the port was free a moment ago.
fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn missing_credentials_are_said_with_what_was_tried() {
    let (program, ran) = run_against(&closed_address(), SMALL, None);
    ran.says(
        2,
        &["the site dr", "no credentials found", "Environment", "nothing has happened yet"],
    );
    assert_no_run(&program);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_said() {
    let (program, ran) = run_against(&closed_address(), SMALL, Some("SANDBOX222222222222"));
    ran.says(
        2,
        &[
            "the site dr cannot be reached",
            "Connection refused",
            "endpoint",
            "nothing has happened yet",
        ],
    );
    assert_no_run(&program);
}

/// A server that reads a request and answers it with these bytes, whatever it was.
fn server_of_rubbish(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        }
    });
    format!("http://{address}")
}

#[test]
fn a_server_that_answers_rubbish_is_no_account() {
    let answers: [&'static [u8]; 4] = [
        b"220 mail.example.com ESMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 22\r\n\r\n<html>It works!</html>",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n\xff\xfe\x00\x01",
        b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ];
    for answer in answers {
        let address = server_of_rubbish(answer);
        let (program, ran) = run_against(&address, SMALL, Some("SANDBOX222222222222"));
        let shown = String::from_utf8_lossy(answer);
        assert!([2, 4].contains(&ran.code), "{shown}: {}", ran.stderr);
        assert!(ran.stderr.contains("the site dr"), "{shown}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{shown}: {}", ran.stderr);
        assert_no_run(&program);
    }
}

/// `redrill sandbox serve`, stopped when dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start() -> Self {
        let program = Program::new();
        let estate = repository("scenarios/estates/orders-db.yaml");
        let estate = estate.to_str().unwrap();
        let arguments = ["sandbox", "serve", "--estate", estate, "--listen", "127.0.0.1:0"];
        let mut command = program.command(&arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn another_account_than_that_of_the_scenario_is_refused() {
    let served = Served::start();
    let other = SMALL.replace("222222222222", "333333333333");
    let (program, ran) = run_against(&served.address, &other, Some("SANDBOX222222222222"));
    ran.says(4, &["333333333333", "222222222222", "nothing has happened"]);
    assert_no_run(&program);

    // The same server and credentials with the right account: the refusal was for the account alone.
    let (program, ran) = run_against(&served.address, SMALL, Some("SANDBOX222222222222"));
    assert!(program.path("runs/small-0001/journal.jsonl").exists(), "{}", ran.stderr);
    let report: serde_json::Value =
        serde_json::from_str(&program.read("runs/small-0001/report.json")).unwrap();
    assert_eq!(report["rehearsal"], false);
    let text = report["verdict"]["text"].as_str().unwrap();
    assert!(text.to_lowercase().contains("not evidence of recovery on aws"), "{text}");
}

#[test]
fn an_account_that_the_estate_does_not_have_is_said() {
    let program = Program::new();
    scenario_with(&program, "222222222222", "333333333333");
    program
        .run(CHANGED)
        .says(2, &["the site dr", "has no account 333333333333", "nothing has happened yet"]);
    assert_no_run(&program);
}

#[test]
fn a_folder_of_runs_that_cannot_be_made_is_said_before_anything_happens() {
    let program = Program::new();
    program.write("in-the-way", "a file");
    for folder in ["in-the-way", "in-the-way/runs", "/dev/full", "/proc/nowhere"] {
        let arguments = ["--runs-dir", folder, "run", "scenarios/orders-db.yaml", "--sandbox"];
        program.run(&arguments).says(2, &[folder, "cannot be made", "--runs-dir"]);
    }
    assert_eq!(program.read("in-the-way"), "a file");
}

/// Runs the orders-db rehearsal with no file allowed to grow beyond so many blocks of 512 bytes, as on a full disk.
fn run_with_full_disk(program: &Program, scenario: &str, blocks: u32) -> Ran {
    // Without the trap, the signal would end the process before the program sees the error.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let file = format!("scenarios/{scenario}.yaml");
    let run = ["run", &file, "--sandbox", "--quiet"];
    let arguments = [&["-c", &script, env!("CARGO_BIN_EXE_redrill")][..], &run].concat();
    Ran::of(program.wrapped("sh", &arguments).output().unwrap())
}

/// How many blocks of 512 bytes a file of a whole run takes.
fn blocks_of(scenario: &str, file: &str) -> u32 {
    let program = Program::new();
    assert_eq!(program.rehearse(scenario, &[]).0, 0);
    u32::try_from(program.bytes(&format!("runs/{scenario}-0001/{file}")).len() / 512).unwrap()
}

#[test]
fn a_disk_that_is_full_at_the_start_ends_the_run_before_it_begins() {
    let program = Program::new();
    run_with_full_disk(&program, "orders-db", 4)
        .says(2, &["cannot be written", "runs/orders-db-0001"]);
    assert_no_run(&program);
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_says_how_to_go_on() {
    let program = Program::new();
    // The plan fits, the journal does not.
    let (plan, journal) =
        (blocks_of("orders-db", "plan.json"), blocks_of("orders-db", "journal.jsonl"));
    assert!(plan + 4 < journal);
    let ran = run_with_full_disk(&program, "orders-db", plan.midpoint(journal));
    ran.says(2, &["the journal cannot be written", "run it again"]);
    let shown = program.run(&["show", "last"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("the run has not ended"), "{}", shown.stdout);
    // What is on the disk verifies, and the run does not count as ended.
    let rows = program.run(&["runs", "--format", "json"]).json();
    assert_eq!(rows["runs"][0]["verdict"], "unfinished", "{rows}");
}

#[test]
fn a_disk_that_is_too_full_for_the_report_leaves_the_journal_whole() {
    let program = Program::new();
    // The journal fits, the report does not.
    let scenario = "ledger-volume";
    let (journal, report) =
        (blocks_of(scenario, "journal.jsonl"), blocks_of(scenario, "report.html"));
    assert!(journal + 4 < report);
    let blocks = journal.midpoint(report);
    run_with_full_disk(&program, scenario, blocks).says(2, &["report", "cannot be written"]);
    let ran = program.run(&["report", "last", "--format", "json"]);
    assert_eq!((ran.code, &ran.json()["verdict"]["outcome"]), (0, &"passed".into()));
}

const JOURNAL: &str = "runs/orders-db-0001/journal.jsonl";

/// A finished rehearsal whose journal was changed afterwards.
fn with_journal(change: impl Fn(Vec<u8>) -> Vec<u8>) -> Program {
    let program = Program::new();
    program.rehearse("orders-db", &[]);
    let changed = change(program.bytes(JOURNAL));
    program.write(JOURNAL, changed);
    program
}

/// Where a line of the journal starts, counted from 0 as records are.
fn start_of(journal: &[u8], line: usize) -> usize {
    let lines = journal.split_inclusive(|byte| *byte == b'\n');
    lines.take(line).map(<[u8]>::len).sum()
}

#[test]
fn a_journal_that_was_cut_is_no_finished_run() {
    let program = with_journal(|journal| {
        let made = String::from_utf8_lossy(&journal)
            .lines()
            .position(|line| line.contains("\"type\":\"resource_owned\""))
            .unwrap();
        let torn = start_of(&journal, made + 1) + 70;
        journal[..torn].to_vec()
    });
    let shown = program.run(&["show", "last"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for words in ["a torn last line of 70 bytes was left out", "it was a rehearsal", "run it again"]
    {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let before = program.bytes(JOURNAL);
    program.run(&["resume", "last"]).says(3, &["was a rehearsal", "run it again with --sandbox"]);
    assert_eq!(program.bytes(JOURNAL), before);
    let ran = program.run(&["report", "last", "--format", "json"]);
    let report = ran.json();
    assert_eq!(
        (&report["exit"]["unfinished"], &report["verdict"]["outcome"]),
        (&true.into(), &"inconclusive".into())
    );
    assert_eq!(
        (ran.code, &report["exit"]["left_behind"]),
        (5, &1.into()),
        "made, and never seen to be gone"
    );
}

/// Everything that reads the run refuses it with these words, and the reports that were there stay as they were.
#[track_caller]
fn assert_run_refused(program: &Program, words: &[&str]) {
    let report = program.bytes("runs/orders-db-0001/report.html");
    for verb in ["show", "resume", "report"] {
        program.run(&[verb, "orders-db-0001"]).says(2, words);
    }
    assert!(report == program.bytes("runs/orders-db-0001/report.html"));
    let rows = program.run(&["runs", "--format", "json"]).json();
    assert_eq!(rows["runs"][0]["verdict"], "unreadable", "{rows}");
}

#[test]
fn a_changed_byte_of_a_journal_is_refused_with_the_number_of_the_record() {
    for record in [0, 12, 30] {
        let program = with_journal(|mut journal| {
            let place = start_of(&journal, record) + 60;
            journal[place] ^= 1;
            journal
        });
        let words = [JOURNAL, &format!("record {record} of the journal")[..]];
        assert_run_refused(&program, &words);
    }
}

#[test]
fn a_record_that_was_taken_out_of_a_journal_is_noticed() {
    let program = with_journal(|journal| {
        let (start, end) = (start_of(&journal, 12), start_of(&journal, 13));
        [&journal[..start], &journal[end..]].concat()
    });
    assert_run_refused(&program, &["record 12 of the journal", "one is missing or was changed"]);
}

#[test]
fn an_empty_journal_is_a_run_that_never_began() {
    let program = with_journal(|_| Vec::new());
    assert_run_refused(&program, &["the journal is empty"]);
}

#[test]
fn a_plan_that_was_changed_afterwards_is_refused() {
    let program = Program::new();
    program.rehearse("orders-db", &[]);
    let plan = program.read("runs/orders-db-0001/plan.json");
    let changed = plan.replace("db.r6g.large", "db.t4g.micro");
    assert_ne!(plan, changed);
    program.write("runs/orders-db-0001/plan.json", changed);
    assert_run_refused(&program, &["plan.json is not the plan that the journal names"]);
    program.write("runs/orders-db-0001/plan.json", "{}");
    assert_run_refused(&program, &["plan.json is not the plan that the journal names"]);
}

#[test]
fn an_earlier_run_that_cannot_be_read_is_listed_and_does_not_stop_the_next() {
    let program = with_journal(|mut journal| {
        journal[100] ^= 1;
        journal
    });
    let (code, report) = program.rehearse("orders-db", &[]);
    assert_eq!((code, &report["run"]["number"]), (0, &2.into()));
    let history = report["history"].to_string();
    assert!(history.contains("orders-db-0001") && history.contains("record 0"), "{history}");
}

#[test]
fn a_run_that_does_not_exist_is_said_with_where_to_look() {
    let program = Program::new();
    program.run(&["show", "last"]).says(3, &["there is no run under runs"]);
    for verb in ["show", "resume", "report"] {
        program
            .run(&[verb, "orders-db-0009"])
            .says(3, &["no run \"orders-db-0009\"", "redrill runs"]);
    }
}
