//! Who a second person is, when somebody else goes on with a run: whoever has approved it is its operator then.

use crate::program::{Program, Ran, this_user};
use crate::resuming::Started;
use crate::server_support::poll;
use redrill::ids::StepId;
use redrill::journal::{Event, Journal, read};
use redrill::outside::real::{GivenAnswer, ShownBy, answer_approval};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

const SCENARIO: &str = "\
redrill: 1
name: switched
title: A drill that changes what cannot be undone
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m, external: [switch] }
steps:
  - id: ask
    uses: control.approve
    with: { ask: Switch?, within: 5m, second_person: true }
  - id: look
    uses: control.approve
    needs: [ask]
    with: { ask: Does it look well?, within: 5m }
  - id: switch
    uses: exec.run
    needs: [look]
    with: { argv: [touch, switched], effect: external }
";

const LIMIT: Duration = Duration::from_secs(60);

/// A run of Bert's that Zoe has approved as the second person, and whose process died before it switched.
struct Died(Program);

impl Died {
    fn started() -> (Self, Started) {
        let died = Self(Program::new());
        died.0.write("switched.yaml", SCENARIO);
        let mut run = died.0.command(&["run", "switched.yaml", "--quiet"]);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Started::of(&mut run);
        (died, process)
    }

    fn new() -> Self {
        let (died, process) = Self::started();
        died.says_yes("ask", "zoe");
        died.asks("look");
        drop(process);
        died
    }

    fn folder(&self) -> PathBuf {
        self.0.path("runs/switched-0001")
    }

    fn asks(&self, step: &str) {
        let question = self.folder().join(format!("approvals/{step}.request.json"));
        poll("the question", LIMIT, || question.exists().then_some(()));
    }

    fn says_yes(&self, step: &str, by: &str) {
        self.says(step, by, true);
    }

    fn says(&self, step: &str, by: &str, approved: bool) {
        self.asks(step);
        let given = GivenAnswer { approved, comment: None, by, shown_by: ShownBy::Name };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (folder, step) = (self.folder(), StepId::new(step));
        runtime.block_on(answer_approval(&folder, &step, given)).unwrap();
    }

    /// The same run, begun and approved by others: a machine has one user in a test.
    fn as_if(&self, begun_by: &str, approved_by: &str) {
        let path = self.folder().join("journal.jsonl");
        let contents = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut journal = Journal::create(&path).unwrap();
        for mut record in contents.records {
            match &mut record.event {
                Event::RunStarted { operator, .. } => begun_by.clone_into(operator),
                Event::ApprovalGiven { approval, .. } => approved_by.clone_into(&mut approval.by),
                _ => {}
            }
            let elapsed = Duration::from_millis(record.elapsed_ms);
            journal.stage(record.at, elapsed, record.event).unwrap();
        }
        journal.commit().unwrap();
    }

    fn is_switched(&self) -> bool {
        self.0.path("switched").exists()
    }
}

#[test]
fn regression_who_has_approved_a_run_and_takes_it_over_does_not_switch_on_their_own_word() {
    let died = Died::new();
    died.as_if("bert", &this_user());
    let before = died.0.bytes("runs/switched-0001/journal.jsonl");
    let own = format!("{} has approved ask as the second person", this_user());
    let refused = died.0.run(&["resume", "last"]);
    refused.says(4, &[&own, "would now do", "nothing was done", "let somebody else go on with it"]);
    assert_eq!(died.0.bytes("runs/switched-0001/journal.jsonl"), before);
    // Whoever it is may give back what it made.
    died.0.run(&["abort", "last"]).says(130, &[]);
    assert!(!died.is_switched());
}

#[test]
fn regression_a_no_that_was_said_while_no_process_was_there_counts_whoever_goes_on() {
    let (died, process) = Died::started();
    died.asks("ask");
    drop(process);
    died.says("ask", "zoe", false);
    died.as_if("bert", "zoe");
    died.0.run(&["resume", "last"]).says(1, &[]);
    let journal = died.0.read("runs/switched-0001/journal.jsonl");
    assert!(journal.contains("\"approved\":false,\"by\":\"zoe\""), "{journal}");
    assert!(!died.is_switched());
}

#[test]
fn a_third_person_goes_on_with_what_the_second_has_approved() {
    let died = Died::new();
    died.as_if("bert", "zoe");
    let mut resume = died.0.command(&["resume", "last"]);
    let resumed = std::thread::scope(|scope| {
        let resumed = scope.spawn(|| Ran::of(resume.stdin(Stdio::null()).output().unwrap()));
        died.says_yes("look", "anybody");
        resumed.join().unwrap()
    });
    assert_eq!(resumed.code, 0, "{}{}", resumed.stdout, resumed.stderr);
    assert!(died.is_switched());
}

#[test]
fn regression_the_environment_does_not_make_an_operator_a_second_person() {
    let program = Program::new();
    program.write("switched.yaml", SCENARIO);
    let mut run = program.command(&["run", "switched.yaml", "--quiet"]);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started::of(&mut run);
    let question = program.path("runs/switched-0001/approvals/ask.request.json");
    poll("the question", LIMIT, || question.exists().then_some(()));
    let mut approve = program.command(&["approve", "last", "ask"]);
    approve.env("USER", "anna").env("LOGNAME", "anna");
    let answered = Ran::of(approve.output().unwrap());
    answered.says(3, &[&format!("{} is an operator of the run", this_user())]);
}

#[test]
fn regression_what_belongs_to_a_run_is_shared_with_the_group_of_a_folder_that_is_set_up_for_one() {
    let program = Program::new();
    let mode =
        |name: &str| std::fs::metadata(program.path(name)).unwrap().permissions().mode() & 0o7777;
    let rehearsed = |umask: &str| {
        let run =
            format!("umask {umask}; exec \"$0\" run scenarios/orders-db.yaml --sandbox --quiet");
        let mut shell = program.wrapped("sh", &["-c", &run, env!("CARGO_BIN_EXE_redrill")]);
        Ran::of(shell.output().unwrap()).says(0, &[]);
    };
    rehearsed("022");
    for file in ["journal.jsonl", "plan.json", "report.html"] {
        assert_eq!(mode(&format!("runs/orders-db-0001/{file}")), 0o600, "{file}");
    }
    let shared = std::fs::Permissions::from_mode(0o2770);
    std::fs::set_permissions(program.path("runs"), shared).unwrap();
    rehearsed("007");
    assert_eq!(mode("runs/orders-db-0002"), 0o2770);
    for file in ["journal.jsonl", "plan.json", "report.html"] {
        assert_eq!(mode(&format!("runs/orders-db-0002/{file}")), 0o660, "{file}");
    }
    rehearsed("027");
    assert_eq!(mode("runs/orders-db-0003/journal.jsonl"), 0o640, "it may be looked at");
}
