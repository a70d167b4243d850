//! A run that is under way, steered from another terminal: halted, gone on with, ended. It asks a person and runs a
//! program, so it needs no AWS.

use crate::program::{Program, Ran, this_user};
use crate::server_support::poll;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCENARIO: &str = "\
redrill: 1
name: steered
title: A drill that asks, and then works
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m }
steps:
  - id: ask
    uses: control.approve
    with: { ask: Go on?, within: 5m }
  - id: work
    uses: exec.run
    needs: [ask]
    with: { argv: [\"true\"], effect: none }
";

const LIMIT: Duration = Duration::from_secs(60);

/// The drill, which waits for the answer of a person.
struct Waiting {
    program: Program,
    process: Child,
}

impl Waiting {
    fn started() -> Self {
        Self::started_by(|program, arguments| program.command(arguments))
    }

    fn started_by(start: impl FnOnce(&Program, &[&str]) -> Command) -> Self {
        Self::started_with(SCENARIO, start)
    }

    fn started_with(scenario: &str, start: impl FnOnce(&Program, &[&str]) -> Command) -> Self {
        let program = Program::new();
        program.write("steered.yaml", scenario);
        let process = in_quiet(start(&program, &["run", "steered.yaml", "--quiet"]));
        let question = program.path("runs/steered-0001/approvals/ask.request.json");
        let waiting = Self { program, process };
        poll("the question", LIMIT, || question.exists().then_some(()));
        waiting
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn halt_its_process(&self) {
        self.signal("-STOP");
        let status = format!("/proc/{}/status", self.process.id());
        poll("the halt of the process", LIMIT, || {
            std::fs::read_to_string(&status).unwrap().contains("T (stopped)").then_some(())
        });
    }

    /// The file of an order, once it lies there.
    fn order(&self) -> PathBuf {
        let folder = self.program.path("runs/steered-0001");
        poll("the order", LIMIT, || {
            let mut names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            names.find(|path| path.to_string_lossy().contains("/order-"))
        })
    }

    fn code(&mut self) -> i32 {
        self.process.wait().unwrap().code().unwrap()
    }

    /// Types of the records, those of steps with the step.
    fn records(&self) -> Vec<String> {
        let journal = self.program.read("runs/steered-0001/journal.jsonl");
        let records = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let named = records.map(|record| {
            let event = &record["event"];
            let step = event["step"].as_str().map(|step| format!(" {step}")).unwrap_or_default();
            format!("{}{step}", event["type"].as_str().unwrap())
        });
        named.collect()
    }

    fn position(&self, record: &str) -> usize {
        let records = self.records();
        let found = records.iter().position(|r| r == record);
        found.unwrap_or_else(|| panic!("no {record} in {records:#?}"))
    }
}

/// Starts a command whose output nobody reads.
fn in_quiet(mut command: Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
fn a_halted_run_starts_nothing_more_until_it_goes_on() {
    let mut waiting = Waiting::started();
    waiting.program.run(&["pause", "last"]).says(0, &[]);
    waiting.program.run(&["approve", "last", "ask"]).says(0, &[]);
    poll("the end of the question", LIMIT, || {
        waiting.records().contains(&"step_finished ask".to_owned()).then_some(())
    });
    waiting.program.run(&["continue", "last"]).says(0, &[]);
    waiting.code();
    let order = ["run_paused", "step_finished ask", "run_continued", "step_started work"];
    let places = order.map(|record| waiting.position(record));
    assert!(places.is_sorted(), "{:#?}", waiting.records());
    let report = waiting.program.read("runs/steered-0001/report.json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["run"]["standstills"][0]["why"], format!("halted by {}", this_user()));
    let over = waiting.program.run(&["pause", "last"]);
    over.says(3, &["steered-0001 is over", "tells what it left behind"]);
    assert!(!over.stderr.contains("resume"), "{}", over.stderr);
}

#[test]
fn regression_whoever_looks_at_a_living_run_is_told_what_it_waits_for() {
    let mut waiting = Waiting::started();
    let stands = |waiting: &Waiting| {
        let listed = waiting.program.run(&["runs", "--format", "json"]).json();
        assert_eq!(listed["runs"][0]["verdict"], "unfinished", "{listed}");
        listed["runs"][0]["stands"].as_str().unwrap().to_owned()
    };
    let shown = waiting.program.run(&["show", "last"]).stdout;
    for words in [
        "the run has not ended: its process is at work",
        "ask asks \"Go on?\" and waits until ",
        "redrill approve steered-0001 ask (or redrill reject) answers",
    ] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert_eq!(stands(&waiting), "asks");
    let reported = waiting.program.run(&["report", "last"]).stdout;
    for said in [&shown, &reported] {
        assert!(!said.contains("redrill resume"), "it would be refused: {said}");
    }
    waiting.program.run(&["pause", "last"]).says(0, &[]);
    let shown = waiting.program.run(&["show", "last"]).stdout;
    let halted = format!("halted by {}: redrill continue steered-0001 lets it go on", this_user());
    assert!(shown.contains(&halted), "{shown}");
    assert_eq!(stands(&waiting), "halted");
    assert!(waiting.program.run(&["runs"]).stdout.contains(" halted "));
    waiting.process.kill().unwrap();
    waiting.process.wait().unwrap();
    assert_eq!(stands(&waiting), "stopped");
    let shown = waiting.program.run(&["show", "last"]).stdout;
    assert!(shown.contains("go on with: redrill resume steered-0001"), "{shown}");
}

#[test]
fn regression_whoever_has_ended_a_run_finds_its_report_written() {
    let mut waiting = Waiting::started();
    let unfinished = |waiting: &Waiting| {
        let report = waiting.program.read("runs/steered-0001/report.json");
        let report: Value = serde_json::from_str(&report).unwrap();
        report["exit"]["unfinished"].as_bool().unwrap()
    };
    waiting.program.run(&["report", "last"]);
    assert!(unfinished(&waiting), "it was written while the run was at work");
    waiting.program.run(&["abort", "last", "--incident"]).says(130, &[]);
    assert!(!unfinished(&waiting), "that of before is still there");
    assert_eq!(waiting.code(), 130);
}

#[test]
fn regression_an_answer_that_is_too_long_to_be_read_is_refused_and_another_one_counts() {
    let mut waiting = Waiting::started();
    let long = "x".repeat(70_000);
    let refused = waiting.program.run(&["reject", "last", "ask", "--comment", &long]);
    refused.says(3, &["the comment has 70000 bytes", "nothing was answered"]);
    let no = waiting.program.run(&["reject", "last", "ask", "--comment", "wrong region"]);
    no.says(0, &[]);
    assert_eq!(waiting.code(), 1, "a no is a no");
    assert!(waiting.program.read("runs/steered-0001/journal.jsonl").contains("wrong region"));
}

#[test]
fn regression_a_question_that_is_over_is_said_to_be_over_whoever_answers() {
    // The run waits for the answer of another person than its operator, who asks all the same.
    let asked = SCENARIO.replace("within: 5m", "within: 5m, second_person: true");
    let mut waiting =
        Waiting::started_with(&asked, |program, arguments| program.command(arguments));
    waiting.program.run(&["abort", "last"]).says(130, &[]);
    waiting.code();
    let late = waiting.program.run(&["approve", "last", "ask"]);
    late.says(3, &["steered-0001 is over", "asks nothing any more"]);
    assert!(!late.stderr.contains("operator"), "{}", late.stderr);
}

#[test]
fn regression_a_question_that_was_answered_is_said_to_be_answered() {
    let mut waiting = Waiting::started();
    waiting.program.run(&["pause", "last"]).says(0, &[]);
    waiting.program.run(&["reject", "last", "ask"]).says(0, &[]);
    poll("the end of the question", LIMIT, || {
        waiting.records().contains(&"step_finished ask".to_owned()).then_some(())
    });
    let again = waiting.program.run(&["approve", "last", "ask"]);
    let answered = format!("the step ask was answered already: rejected by {}", this_user());
    again.says(3, &[&answered]);
    waiting.program.run(&["abort", "last"]).says(130, &[]);
    waiting.code();
}

#[test]
fn regression_the_command_that_resumes_names_the_folder_of_the_runs() {
    let mut waiting = Waiting::started();
    waiting.process.kill().unwrap();
    waiting.process.wait().unwrap();
    std::fs::rename(waiting.program.path("runs"), waiting.program.path("elsewhere")).unwrap();
    let shown = waiting.program.run(&["show", "last", "--runs-dir", "elsewhere"]);
    let command = "go on with: redrill resume steered-0001 --runs-dir elsewhere\n";
    assert!(shown.stdout.contains(command), "{}", shown.stdout);
}

#[test]
fn a_run_that_is_aborted_from_another_terminal_releases_and_reports() {
    let mut waiting = Waiting::started();
    let aborted = waiting.program.run(&["abort", "last"]);
    aborted.says(130, &["each removal is given up after 2h"]);
    assert!(aborted.stdout.contains("is over"), "{}", aborted.stdout);
    assert_eq!(waiting.code(), 130);
    waiting.position("run_finished");
    assert!(!waiting.records().contains(&"step_started work".to_owned()));
    waiting.program.run(&["abort", "last"]).says(3, &["is over"]);
}

#[test]
fn regression_a_second_process_takes_no_order_away_from_the_one_at_work() {
    let mut waiting = Waiting::started();
    waiting.halt_its_process();
    let order = waiting.program.path("runs/steered-0001/order-1-1.json");
    std::fs::write(&order, r#"{"order":"cancel","by":"anna","incident":false}"#).unwrap();
    let second = waiting.program.run(&["resume", "last"]);
    second.says(2, &["another process is working on this run"]);
    assert!(order.exists(), "the order was taken by the wrong process");
    waiting.signal("-CONT");
    assert_eq!(waiting.code(), 130);
    assert!(waiting.program.read("runs/steered-0001/journal.jsonl").contains("anna"));
}

/// Root gives an order to the run of somebody else: its process took the file away, and could not read it.
#[test]
fn regression_the_process_of_a_run_can_read_an_order_whatever_the_umask_of_its_giver() {
    let mut waiting = Waiting::started();
    waiting.halt_its_process();
    let script = "umask 077; exec \"$0\" abort last --incident";
    let script = ["-c", script, env!("CARGO_BIN_EXE_redrill")];
    let abort = waiting.program.wrapped("sh", &script);
    let mut abort = in_quiet(abort);
    let order = waiting.order();
    let mode = std::fs::metadata(&order).unwrap().permissions().mode() & 0o777;
    waiting.signal("-CONT");
    assert_eq!(mode, 0o644);
    assert_eq!(abort.wait().unwrap().code(), Some(130));
    assert_eq!(waiting.code(), 130);
}

/// The order lies in the folder when the process is killed, and whoever resumes the run throws it away: it was for an earlier process.
#[test]
fn regression_an_incident_is_heard_by_whoever_resumes_a_run_whose_process_died_without_hearing_it()
{
    let mut waiting = Waiting::started();
    waiting.halt_its_process();
    let mut abort = in_quiet(waiting.program.command(&["abort", "last", "--incident"]));
    waiting.order();
    waiting.process.kill().unwrap();
    waiting.process.wait().unwrap();
    waiting.process = in_quiet(waiting.program.command(&["resume", "last"]));
    assert_eq!(abort.wait().unwrap().code(), Some(130));
    assert_eq!(waiting.code(), 130);
    let order = ["run_resumed", "cancel_requested", "run_finished"];
    let places = order.map(|record| waiting.position(record));
    assert!(places.is_sorted(), "{:#?}", waiting.records());
    assert!(!waiting.records().contains(&"step_started work".to_owned()));
    let journal = waiting.program.read("runs/steered-0001/journal.jsonl");
    assert!(journal.contains("\"incident\":true"), "{journal}");
}

#[test]
fn regression_a_copy_of_the_folder_of_a_living_run_is_not_taken_for_it() {
    let mut waiting = Waiting::started();
    let copy = ["-r", "runs/steered-0001", "runs/steered-0001.bak"];
    assert!(waiting.program.wrapped("cp", &copy).status().unwrap().success());
    let refused = waiting.program.run(&["abort", "steered-0001.bak", "--incident"]);
    refused.says(4, &["it is a copy, or was renamed", "the run is in runs/steered-0001"]);
    for arguments in [
        &["pause", "steered-0001.bak"][..],
        &["continue", "steered-0001.bak"],
        &["approve", "steered-0001.bak", "ask"],
        &["reject", "steered-0001.bak", "ask"],
    ] {
        let refused = waiting.program.run(arguments);
        refused.says(4, &["it is a copy, or was renamed", "the run is in runs/steered-0001"]);
    }
    let answer = waiting.program.path("runs/steered-0001.bak/approvals/ask.answer.json");
    assert!(!answer.exists(), "it would not be heard");
    let copied = waiting.program.read("runs/steered-0001.bak/journal.jsonl");
    assert!(!copied.contains("run_resumed"), "{copied}");
    // The journal of the copy was written last.
    waiting.program.run(&["abort", "last", "--incident"]).says(130, &["ending steered-0001:"]);
    assert_eq!(waiting.code(), 130);
}

#[test]
fn regression_a_run_is_called_by_its_name_from_within_its_folder() {
    let mut waiting = Waiting::started();
    waiting.process.kill().unwrap();
    waiting.process.wait().unwrap();
    let within = |arguments: &[&str]| {
        let mut command = waiting.program.command(arguments);
        let folder = waiting.program.path("runs/steered-0001");
        Ran::of(command.current_dir(folder).output().unwrap())
    };
    let shown = within(&["show", "."]).stdout;
    let command = "go on with: redrill resume steered-0001 --runs-dir /";
    assert!(shown.contains(command), "{shown}");
    let ended = within(&["abort", "."]);
    ended.says(130, &["ending steered-0001:"]);
    within(&["abort", "."]).says(3, &["steered-0001 is over"]);
}

#[test]
fn a_run_whose_process_died_is_aborted_in_its_place() {
    let mut waiting = Waiting::started();
    waiting.process.kill().unwrap();
    waiting.process.wait().unwrap();
    let aborted = waiting.program.run(&["abort", "last", "--incident"]);
    aborted.says(130, &["everything is removed at once"]);
    let records = waiting.records();
    let asked = records.iter().filter(|record| *record == "step_started ask").count();
    assert_eq!(asked, 1, "nothing is started again only to be cancelled: {records:#?}");
    let order = ["run_resumed", "cancel_requested", "run_finished"];
    assert!(order.map(|record| waiting.position(record)).is_sorted(), "{records:#?}");
}

#[test]
fn a_run_releases_and_reports_when_it_is_interrupted_terminated_or_hung_up() {
    for (signal, by) in [
        ("-INT", "^C at the terminal"),
        ("-TERM", "the signal to terminate"),
        ("-HUP", "the terminal, which was closed"),
    ] {
        // Whoever tests under nohup has it ignored.
        let plain = |program: &Program, arguments: &[&str]| {
            let whole = ["--default-signal=HUP", env!("CARGO_BIN_EXE_redrill")];
            program.wrapped("env", &[&whole, arguments].concat())
        };
        let mut waiting = Waiting::started_by(plain);
        waiting.signal(signal);
        assert_eq!(waiting.code(), 130, "{signal}");
        waiting.position("run_finished");
        let journal = waiting.program.read("runs/steered-0001/journal.jsonl");
        assert!(journal.contains(by), "{signal}: {journal}");
    }
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let nohup = |program: &Program, arguments: &[&str]| {
        program.wrapped("nohup", &[&[env!("CARGO_BIN_EXE_redrill")], arguments].concat())
    };
    let mut waiting = Waiting::started_by(nohup);
    waiting.signal("-HUP");
    waiting.program.run(&["approve", "last", "ask"]).says(0, &[]);
    assert_eq!(waiting.code(), 0);
    assert!(!waiting.records().contains(&"cancel_requested".to_owned()));
}

#[test]
fn regression_after_an_interrupt_no_further_scenario_is_begun() {
    let mut waiting = Waiting::started_by(|program, arguments| {
        program.write("other.yaml", SCENARIO.replace("name: steered", "name: other"));
        program.command(&[arguments, &["other.yaml", "--jobs", "1"]].concat())
    });
    waiting.signal("-INT");
    assert_eq!(waiting.code(), 130);
    waiting.position("run_finished");
    assert!(!waiting.program.path("runs/other-0001").exists());
}
