//! A run that asks for a signed answer, gone on with in another folder than the one in which it began.

use crate::program::Program;
use crate::resuming::{Started, killed};
use crate::server_support::poll;
use std::process::Stdio;
use std::time::Duration;

const SCENARIO: &str = "\
redrill: 1
name: asked
title: A drill that asks those who may decide
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m }
steps:
  - id: ask
    uses: control.approve
    with: { ask: Go on?, within: 5m, signed_by: approvers }
";

const QUESTION: &str = "runs/asked-0001/approvals/ask.request.json";

/// The answer that was given meanwhile was thrown away, and then nobody could answer: the list was looked for beside the person who
/// went on.
#[test]
fn regression_the_list_of_those_who_may_answer_is_that_of_the_folder_where_the_run_asked() {
    let program = Program::new();
    program.write("asked.yaml", SCENARIO);
    program.write("approvers", "anna ssh-ed25519 AAAA\n");
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    let question = program.bytes(QUESTION);
    std::fs::create_dir(program.path("other")).unwrap();

    let mut resume = program.command(&["resume", "last", "--runs-dir", "../runs"]);
    resume.current_dir(program.path("other"));
    resume.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started::of(&mut resume);
    poll("the question", Duration::from_secs(60), || {
        let journal = program.read("runs/asked-0001/journal.jsonl");
        (journal.matches("approval_requested").count() == 2).then_some(())
    });
    // Its process hears this only while it waits for the answer.
    program.run(&["pause", "last"]).says(0, &[]);
    assert_eq!(program.bytes(QUESTION), question, "it asks the same, until the same time");
}

#[test]
fn regression_a_run_does_not_wait_for_an_answer_that_nobody_could_give() {
    let program = Program::new();
    program.write("asked.yaml", SCENARIO);
    let ran = program.run(&["run", "asked.yaml", "--quiet"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let journal = program.read("runs/asked-0001/journal.jsonl");
    assert!(journal.contains("its file of allowed signers cannot be used"), "{journal}");
    assert!(!program.path(QUESTION).exists());
}
