//! A run whose process has died, and who may go on with it, and where.

use crate::program::{Program, Ran};
use crate::server_support::poll;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ESTATE: &str = "\
estate: 1
now: 2026-11-20T02:00:00Z
accounts: { \"111111111111\": {}, \"222222222222\": {} }
places:
  - { account: \"222222222222\", region: ap-northeast-3 }
";

/// A drill at a site of which it says the region only.
pub(crate) const AT_A_SITE: &str = "\
redrill: 1
name: asked
title: A drill that asks a person
owner: tests
sites: { dr: { region: ap-northeast-3 } }
disaster: { kind: corruption }
objectives: {}
guard: { max_duration: 10m, write: [dr] }
steps:
  - { id: ask, uses: control.approve, with: { ask: Go on?, within: 5m } }
";

const LIMIT: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub(crate) struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn with_account(mut command: Command, account: &str) -> Command {
    let key = format!("SANDBOX{account}");
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "sandbox");
    command
}

/// Starts the drill, waits until it asks, and kills it.
pub(crate) fn killed(program: &Program, mut command: Command) {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started(quiet.spawn().unwrap());
    let question = program.path("runs/asked-0001/approvals/ask.request.json");
    poll("the question", LIMIT, || question.exists().then_some(()));
}

/// An estate at an address, until the test ends.
pub(crate) fn served(program: &Program) -> (Started, String) {
    program.write("estate.yaml", ESTATE);
    let serve = ["sandbox", "serve", "--estate", "estate.yaml", "--listen", "127.0.0.1:0"];
    let mut served = Started(program.command(&serve).stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(served.0.stderr.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    });
    (served, url.unwrap())
}

#[test]
fn regression_a_program_with_an_effect_of_its_own_does_not_outlive_a_killed_drill() {
    let program = Program::new();
    let (_served, url) = served(&program);
    let makes = "  - id: make
    at: dr
    uses: exec.run
    with:
      argv: [sh, -c, \"echo $$ > pid.new && mv pid.new pid && exec sleep 300\"]
      effect: own
      find: [test, -e, made]
      undo: [rm, -f, made]
";
    let steps = AT_A_SITE.find("  - { id: ask").unwrap();
    program.write("asked.yaml", format!("{}{makes}", &AT_A_SITE[..steps]));
    let run = program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", &url]);
    let mut run = with_account(run, "222222222222");
    let quiet = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Started(quiet.spawn().unwrap());
    let pid = poll("the program", LIMIT, || {
        program.path("pid").exists().then(|| program.read("pid").trim().to_owned())
    });
    let proc = std::path::Path::new("/proc").join(pid);
    assert!(proc.exists());
    drop(process);
    poll("the end of the program", LIMIT, || (!proc.exists()).then_some(()));
}

#[test]
fn regression_a_run_is_not_gone_on_with_in_another_account() {
    let program = Program::new();
    program.write("asked.yaml", AT_A_SITE);
    let (_served, url) = served(&program);
    let run = program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", &url]);
    killed(&program, with_account(run, "222222222222"));
    let before = program.bytes("runs/asked-0001/journal.jsonl");

    let end = |what: &[&str], account: &str| {
        let command = program.command(&[what, &["last"]].concat());
        Ran::of(with_account(command, account).output().unwrap())
    };
    for what in ["resume", "abort"] {
        let words =
            ["the site dr must be account 222222222222", "111111111111", "nothing was done"];
        end(&[what], "111111111111").says(4, &words);
    }
    assert_eq!(program.bytes("runs/asked-0001/journal.jsonl"), before, "nothing was written");
    end(&["abort"], "222222222222").says(130, &[]);
    let journal = program.read("runs/asked-0001/journal.jsonl");
    let resumed = journal.lines().find(|line| line.contains("run_resumed")).unwrap();
    assert!(resumed.contains("\"operator\":\"tester\",\"tool\":\"redrill "), "{resumed}");
}

#[test]
fn regression_what_has_begun_on_aws_does_not_end_elsewhere() {
    let program = Program::new();
    let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
    let run = program.command(&["run", "asked.yaml", "--quiet"]);
    killed(&program, run);
    for what in ["resume", "abort"] {
        let elsewhere = program.run(&[what, "last", "--endpoint-url", "http://127.0.0.1:1"]);
        elsewhere.says(4, &["runs on AWS", "cannot be gone on with at http://127.0.0.1:1"]);
    }
    program.run(&["abort", "last"]).says(130, &[]);
}
