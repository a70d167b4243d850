//! A run that asks for a signed answer, gone on with in another folder than the one in which it began; and what others write into its
//! folder meanwhile.

use crate::program::{Program, Ran};
use crate::resuming::{Started, killed};
use crate::server_support::poll;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
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

/// The same, after another question that anybody may answer.
const LATER: &str = "\
redrill: 1
name: asked
title: A drill that asks those who may decide, later
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m }
steps:
  - id: first
    uses: control.approve
    with: { ask: Begin?, within: 5m }
  - id: ask
    uses: control.approve
    needs: [first]
    with: { ask: Go on?, within: 5m, signed_by: approvers }
";

const QUESTION: &str = "runs/asked-0001/approvals/ask.request.json";
const FIRST: &str = "runs/asked-0001/approvals/first.request.json";
const JOURNAL: &str = "runs/asked-0001/journal.jsonl";
const LIMIT: Duration = Duration::from_secs(60);

/// Goes on with the run in another folder.
fn resumed_elsewhere(program: &Program) -> Command {
    std::fs::create_dir(program.path("other")).unwrap();
    let mut resume = program.command(&["resume", "last", "--runs-dir", "../runs"]);
    resume.current_dir(program.path("other")).stdin(Stdio::null());
    resume
}

/// Nobody could answer: the list was looked for beside the person who went on.
#[test]
fn regression_the_list_of_those_who_may_answer_is_that_of_the_folder_where_the_run_asked() {
    let program = Program::new();
    program.write("asked.yaml", SCENARIO);
    program.write("approvers", "anna ssh-ed25519 AAAA\n");
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    let question = program.bytes(QUESTION);

    let mut resume = resumed_elsewhere(&program);
    let _process = Started::of(resume.stdout(Stdio::null()).stderr(Stdio::null()));
    poll("the question", LIMIT, || {
        (program.read(JOURNAL).matches("approval_requested").count() == 2).then_some(())
    });
    // Its process hears this only while it waits for the answer.
    program.run(&["pause", "last"]).says(0, &[]);
    assert_eq!(program.bytes(QUESTION), question, "it asks the same, until the same time");
    let signers = json!(program.path("approvers")).to_string();
    let written = program.read(JOURNAL).matches(&format!("\"signed_by\":{signers}")).count();
    assert_eq!(written, 2, "each question says whose signature counts");
}

/// The answer was thrown away.
#[test]
fn server_openssh_regression_what_was_signed_while_no_process_was_there_counts_in_another_folder() {
    let program = Program::new();
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f"]).arg(program.path("anna"));
    assert!(make.status().expect("ssh-keygen, of openssh-client").success());
    program.write("approvers", format!("anna {}", program.read("anna.pub")));
    program.write("asked.yaml", SCENARIO);
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    program.run(&["approve", "last", "ask", "--sign-with", "anna"]).says(0, &[]);

    let resumed = Ran::of(resumed_elsewhere(&program).output().unwrap());
    // The step has passed; a run that looks at nothing proves nothing.
    assert_eq!(resumed.code, 2, "{}{}", resumed.stdout, resumed.stderr);
    assert!(resumed.stdout.contains("no required check was made"), "{}", resumed.stdout);
    let journal = program.read(JOURNAL);
    assert!(journal.contains("\"approved\":true,\"by\":\"anna\""), "{journal}");
}

/// Whoever may write into the folder of a run at work said by that whose signature counts, and until when.
#[test]
fn regression_a_question_that_was_there_before_the_step_asked_chooses_nobody() {
    let program = Program::new();
    program.write("asked.yaml", LATER);
    program.write("approvers", "anna ssh-ed25519 AAAA\n");
    program.write("evil/approvers", "mallory ssh-ed25519 AAAA\n");
    let mut run = program.command(&["run", "asked.yaml", "--quiet"]);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started::of(&mut run);
    poll("the first question", LIMIT, || program.path(FIRST).exists().then_some(()));
    let mut planted: Value = serde_json::from_slice(&program.bytes(FIRST)).unwrap();
    planted["step"] = json!("ask");
    planted["text"] = json!("Go on?");
    planted["deadline"] = json!("2126-11-22T00:00:00Z");
    planted["signed_by"] = json!(program.path("evil/approvers"));
    let planted = planted.to_string();
    program.write(QUESTION, &planted);

    program.run(&["approve", "last", "first"]).says(0, &[]);
    let asked = poll("the second question", LIMIT, || {
        Some(program.read(QUESTION)).filter(|asked| *asked != planted)
    });
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["signed_by"], json!(program.path("approvers")));
    assert!(asked["deadline"].as_str().unwrap() < "2126", "{asked}");
}

#[test]
fn regression_a_run_does_not_wait_for_an_answer_that_nobody_could_give() {
    for nobody in [None, Some("# to be written\n")] {
        let program = Program::new();
        program.write("asked.yaml", SCENARIO);
        if let Some(nobody) = nobody {
            program.write("approvers", nobody);
        }
        let ran = program.run(&["run", "asked.yaml", "--quiet"]);
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        let journal = program.read(JOURNAL);
        assert!(journal.contains("its file of allowed signers cannot be used"), "{journal}");
        assert!(!journal.contains("approval_requested"), "people would be told of it: {journal}");
        assert!(!program.path(QUESTION).exists());
    }
}
