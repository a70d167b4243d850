//! Runs with a store that are ended: from another machine, and where the store does not answer.

use crate::program::{Program, Ran};
use crate::resuming::{AT_A_SITE, Started, killed, served, served_at, with_account};
use crate::server_support::poll;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

const STORE: &[&str] = &["--store", "s3://drill-evidence/x", "--store-region", "ap-northeast-3"];

/// Nothing of the store answers any more. A run that lives asks the same address.
const BROKEN: &[&str] = &["--fault", "s3:*=error:AccessDenied:403"];

/// A drill that makes a file, and then asks.
fn scenario(more: &str) -> String {
    let makes = "\
steps:
  - id: make
    at: dr
    uses: exec.run
    phase: recover
    with: { argv: [touch, made], effect: own, find: [test, -e, made], undo: [rm, -f, made] }
";
    let asks =
        AT_A_SITE.replace("steps:\n", makes).replace("{ id: ask,", "{ id: ask, needs: [make],");
    asks.replace("steps:\n", &format!("{more}steps:\n"))
}

/// The drill in an estate at an address.
struct Drill {
    program: Program,
    served: Option<Started>,
    url: String,
}

impl Drill {
    fn new(more: &str) -> Self {
        let program = Program::new();
        program.write("asked.yaml", scenario(more));
        let (served, url) = served(&program);
        Self { program, served: Some(served), url }
    }

    fn begin(&self) -> Command {
        let run = ["run", "asked.yaml", "--quiet", "--endpoint-url", &self.url];
        with_account(self.program.command(&[&run, STORE].concat()), "222222222222")
    }

    fn killed_while_it_asks(&self) {
        killed(&self.program, self.begin());
        assert!(self.made());
    }

    /// Another estate takes the place of the first, in which calls fail like this; its bucket is empty.
    fn served_anew(&mut self, faults: &[&str]) {
        drop(self.served.take());
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        self.served = Some(served_at(&self.program, address, faults).0);
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        let command = self.program.command(arguments);
        Ran::of(with_account(command, "222222222222").output().unwrap())
    }

    fn made(&self) -> bool {
        self.program.path("made").exists()
    }

    /// The run's address in the store.
    fn address(&self) -> String {
        let journal = self.program.read("runs/asked-0001/journal.jsonl");
        let first: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        format!("s3://drill-evidence/x/{}", first["event"]["run"].as_str().unwrap())
    }

    /// As another machine, whose runs folder is another one.
    fn elsewhere(&self, verb: &str, more: &[&str]) -> Ran {
        let address = self.address();
        let there = [verb, &address, "--runs-dir", "elsewhere", "--endpoint-url", &self.url];
        self.ran(&[&there[..], &STORE[2..], more].concat())
    }
}

/// Types of the records of a journal.
fn types(journal: &str) -> Vec<String> {
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| record["event"]["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn regression_another_machine_ends_a_run_by_its_address_and_starts_nothing_before() {
    let drill = Drill::new("");
    drill.killed_while_it_asks();
    let held = drill.elsewhere("abort", &[]);
    held.says(4, &["is held by process", "nothing was done", "then add --take-over"]);
    assert!(drill.made());
    let ended = drill.elsewhere("abort", &["--take-over", "--incident"]);
    ended.says(130, &["everything is removed at once"]);
    assert!(!drill.made());
    let run = drill.address().rsplit('/').next().unwrap().to_owned();
    let journal = drill.program.read(&format!("elsewhere/{run}/journal.jsonl"));
    let before = types(&drill.program.read("runs/asked-0001/journal.jsonl"));
    let after = types(&journal);
    assert_eq!(after[..before.len()], before);
    let after = &after[before.len()..];
    assert_eq!(after.first().unwrap(), "run_resumed");
    assert_eq!(after.last().unwrap(), "run_finished");
    assert!(after.contains(&"cancel_requested".to_owned()), "{after:?}");
    assert!(!after.contains(&"step_started".to_owned()), "{after:?}");
    drill.elsewhere("abort", &["--take-over"]).says(3, &["is over", "--runs-dir elsewhere"]);
    let paused = drill.ran(&["pause", &drill.address()]);
    paused.says(3, &["takes no address in a store", "redrill abort"]);
}

#[test]
fn regression_a_store_that_does_not_answer_keeps_nobody_from_giving_back() {
    let mut drill = Drill::new("");
    drill.killed_while_it_asks();
    drill.served_anew(BROKEN);
    let before = drill.program.bytes("runs/asked-0001/journal.jsonl");
    for verb in ["abort", "resume"] {
        let command = "redrill abort asked-0001 --without-store";
        drill.ran(&[verb, "last"]).says(2, &["s3://drill-evidence/x", "AccessDenied", command]);
    }
    // Going on with the drill is for whoever holds it in the store.
    let goes_on = drill.ran(&["resume", "last", "--without-store"]);
    goes_on.says(4, &["another machine could do the same", "nothing was done"]);
    assert_eq!(drill.program.bytes("runs/asked-0001/journal.jsonl"), before);
    assert!(drill.made());

    let ended = drill.ran(&["abort", "last", "--without-store"]);
    ended.says(130, &["the store is left out (--without-store was given)"]);
    assert!(!drill.made());
    let report = drill.program.read("runs/asked-0001/report.json");
    let report: Value = serde_json::from_str(&report).unwrap();
    let omissions = report["omissions"].as_array().unwrap();
    let kept = |one: &&Value| one["what"] == "keeping the journal in its store until the end";
    let why = &omissions.iter().find(kept).unwrap()["why"];
    assert!(why.as_str().unwrap().contains("on its disk alone"), "{why}");
    let again = drill.ran(&["resume", "last"]);
    again.says(130, &["the journal in the store still ends earlier"]);
}

#[test]
fn regression_an_incident_waits_for_no_store_and_the_process_whose_store_is_gone_says_what_to_do() {
    the_store_fails_while_the_run_lives(BROKEN, "AccessDenied");
}

#[test]
fn regression_an_incident_does_not_wait_for_the_credentials_of_the_store() {
    let expired = ["--fault", "s3:*=error:ExpiredToken:400"];
    the_store_fails_while_the_run_lives(&expired, "ExpiredToken");
}

fn the_store_fails_while_the_run_lives(fault: &[&str], why: &str) {
    let mut drill = Drill::new("");
    let mut run = drill.begin();
    let quiet = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let run = quiet.spawn().unwrap();
    let question = drill.program.path("runs/asked-0001/approvals/ask.request.json");
    poll("the question", LIMIT, || question.exists().then_some(()));
    drill.served_anew(fault);
    let ended = drill.ran(&["abort", "last", "--incident"]);
    ended.says(130, &["the store is left out (", why]);
    assert!(!drill.made());
    let stopped = Ran::of(run.wait_with_output().unwrap());
    let command = "redrill abort asked-0001 --without-store";
    stopped.says(2, &["the run stopped: the journal cannot be written: the store:", command]);
    let journal = drill.program.read("runs/asked-0001/journal.jsonl");
    let resumed = journal.lines().find(|line| line.contains("run_resumed")).unwrap();
    assert!(resumed.contains("\"without_store\":\"") && resumed.contains(why), "{resumed}");
}

#[test]
fn regression_an_end_that_was_told_on_one_machine_is_not_told_again_on_another() {
    let hooks = "hooks: [{ on: [finished], run: [sh, -c, \"echo told >> told\"] }]\n";
    let drill = Drill::new(hooks);
    drill.killed_while_it_asks();
    drill.ran(&["abort", "last"]).says(130, &[]);
    assert_eq!(drill.program.read("told"), "told\n");
    drill.elsewhere("resume", &[]).says(130, &["fetched "]);
    assert_eq!(drill.program.read("told"), "told\n");
}

#[test]
fn regression_a_run_that_another_machine_has_ended_is_held_to_no_limit_when_it_is_taken_over() {
    let drill = Drill::new("");
    drill.killed_while_it_asks();
    drill.elsewhere("abort", &["--take-over"]).says(130, &[]);
    drill.program.write("limits.yaml", "redrill_limits: 1\nregions: [eu-west-1]\n");
    drill.ran(&["resume", "last", "--take-over", "--limits", "limits.yaml"]).says(130, &[]);
    let run = drill.address().rsplit('/').next().unwrap().to_owned();
    let there = drill.program.read(&format!("elsewhere/{run}/journal.jsonl"));
    assert_eq!(drill.program.read("runs/asked-0001/journal.jsonl"), there);
}

/// It had claimed the run before it was refused, and the machine on which the run began was refused then, too.
#[test]
fn regression_a_resume_that_the_limits_refuse_leaves_the_run_to_whoever_holds_it() {
    let drill = Drill::new("");
    drill.killed_while_it_asks();
    drill.program.write("limits.yaml", "redrill_limits: 1\nregions: [eu-west-1]\n");
    let more = ["--take-over", "--limits", "limits.yaml"];
    let refused = drill.elsewhere("resume", &more);
    refused.says(4, &["goes beyond the limits of the organisation", "nothing was run"]);
    assert!(drill.made());
    drill.ran(&["abort", "last"]).says(130, &[]);
    assert!(!drill.made());
}

#[test]
fn regression_a_run_whose_sites_have_not_answered_yet_is_not_said_to_be_nowhere() {
    let mut drill = Drill::new("");
    drill.served_anew(&["--fault", "sts:GetCallerIdentity=slow:10m"]);
    let mut run = drill.begin();
    let quiet = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _run = Started::new(quiet.spawn().unwrap());
    let plan = drill.program.path("runs/asked-0001/plan.json");
    poll("the folder", LIMIT, || plan.exists().then_some(()));
    for arguments in [["abort", "last"], ["show", "asked-0001"]] {
        drill.ran(&arguments).says(3, &["a run is being begun in runs/asked-0001"]);
    }
}
