//! A run whose process has died, and who may go on with it, and where.

use crate::program::{Program, Ran, this_user};
use crate::server_support::poll;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ESTATE: &str = "\
estate: 1
now: 2026-11-20T02:00:00Z
accounts: { \"111111111111\": {}, \"222222222222\": {} }
places:
  - { account: \"222222222222\", region: ap-northeast-3, buckets: [{ name: drill-evidence }] }
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
pub(crate) struct Started(pub(crate) Child);

impl Started {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Started {
    pub(crate) fn new(process: Child) -> Self {
        Self(process)
    }
}

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

/// Starts a process that goes on with the drill, and kills it when its journal has this word so many times.
pub(crate) fn killed_after(program: &Program, mut command: Command, (word, times): (&str, usize)) {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started(quiet.spawn().unwrap());
    poll(word, LIMIT, || {
        let journal = program.read("runs/asked-0001/journal.jsonl");
        (journal.matches(word).count() >= times).then_some(())
    });
}

/// An estate at an address, until the test ends.
pub(crate) fn served(program: &Program) -> (Started, String) {
    served_at(program, "127.0.0.1:0", &[])
}

pub(crate) fn served_at(program: &Program, address: &str, faults: &[&str]) -> (Started, String) {
    program.write("estate.yaml", ESTATE);
    let serve = ["sandbox", "serve", "--estate", "estate.yaml", "--listen", address];
    let serve = [&serve, faults].concat();
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
    // As if it had died while it wrote: the line stays until somebody goes on, who says how long it was.
    let mut before = program.bytes("runs/asked-0001/journal.jsonl");
    before.extend([b'x'; 20]);
    program.write("runs/asked-0001/journal.jsonl", &before);

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
    let operator = format!("\"operator\":\"{}\",\"tool\":\"redrill ", this_user());
    assert!(resumed.contains(&operator) && resumed.contains("\"torn_bytes\":20,"), "{resumed}");
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

#[test]
fn regression_what_has_begun_at_a_test_server_does_not_end_at_another_one() {
    let program = Program::new();
    let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
    let (at, other) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    killed(&program, program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", at]));
    let before = program.bytes("runs/asked-0001/journal.jsonl");
    for what in ["resume", "abort"] {
        let elsewhere = program.run(&[what, "last", "--endpoint-url", other]);
        elsewhere.says(3, &["was made against http://127.0.0.1:1", other, "nothing was done"]);
    }
    assert_eq!(program.bytes("runs/asked-0001/journal.jsonl"), before, "nothing was written");
    program.run(&["abort", "last", "--endpoint-url", "http://127.0.0.1:1/"]).says(130, &[]);
    let runs = program.run(&["runs"]).stdout;
    assert!(runs.contains(" cancelled ") && !runs.contains("inconclusive"), "{runs}");
}

#[test]
fn regression_the_deadline_that_is_told_after_a_resume_is_that_of_the_open_question() {
    let program = Program::new();
    let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    killed_after(&program, program.command(&["resume", "last"]), ("\"approval_requested\"", 2));
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let question = read(&program.read("runs/asked-0001/approvals/ask.request.json"));
    let journal = program.read("runs/asked-0001/journal.jsonl");
    let mut asked = journal.lines().filter(|line| line.contains("\"approval_requested\""));
    let told = read(asked.next_back().unwrap());
    assert_eq!(told["event"]["deadline"], question["deadline"]);
    program.run(&["abort", "last"]).says(130, &[]);
}

#[test]
fn regression_two_runs_outside_of_a_rehearsal_never_have_one_id_whatever_seed_they_are_given() {
    let id = || {
        let program = Program::new();
        let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
        program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
        killed(&program, program.command(&["run", "asked.yaml", "--quiet", "--seed", "7"]));
        let journal = program.read("runs/asked-0001/journal.jsonl");
        let first: serde_json::Value =
            serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        assert_eq!(first["event"]["seed"], 7);
        first["event"]["run"].as_str().unwrap().to_owned()
    };
    let (one, other) = (id(), id());
    assert!(one.starts_with("asked-0001-") && other.starts_with("asked-0001-"), "{one} {other}");
    assert_ne!(one, other);
}

#[test]
fn regression_a_recovery_that_goes_on_asks_no_site_that_is_lost() {
    let program = Program::new();
    let (_served, url) = served(&program);
    let sites = "sites: { dr: { region: ap-northeast-3 }, primary: { account: \"111111111111\", region: ap-northeast-1 } }";
    let lost = AT_A_SITE
        .replace("sites: { dr: { region: ap-northeast-3 } }", sites)
        .replace("{ kind: corruption }", "{ kind: region_loss, lost: [primary] }");
    program.write("asked.yaml", lost);
    // These credentials are of another account than the lost site's: asked, it would answer so, and the run be refused.
    let as_dr = |arguments: &[&str]| with_account(program.command(arguments), "222222222222");
    let run = ["run", "asked.yaml", "--quiet", "--endpoint-url", &url];
    Ran::of(as_dr(&run).output().unwrap())
        .says(4, &["the site primary must be account 111111111111"]);
    killed(&program, as_dr(&[&run[..], &["--mode", "recovery"]].concat()));
    killed_after(&program, as_dr(&["resume", "last"]), ("\"site\":\"dr\"", 2));
    let journal = program.read("runs/asked-0001/journal.jsonl");
    let (_, resumed) = journal.split_once("run_resumed").unwrap();
    assert!(resumed.contains("\"site\":\"dr\""), "{resumed}");
    assert!(!journal.contains("\"site\":\"primary\""), "{journal}");
    Ran::of(as_dr(&["abort", "last"]).output().unwrap()).says(130, &[]);
}

/// Takes one message as a chat would, and gives it.
fn one_message(listener: std::net::TcpListener) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !String::from_utf8_lossy(&request).ends_with('}') {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "the request ended early");
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    })
}

#[test]
fn regression_an_end_that_nobody_heard_of_is_told_by_whoever_resumes_the_run_and_then_no_more() {
    let program = Program::new();
    let hooked = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    let hooks = "hooks: [{ on: [finished], post: { from_env: DRILL_CHANNEL } }]\nsteps:";
    program.write("asked.yaml", hooked.replace(", write: [dr]", "").replace("steps:", hooks));
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    let nobody = "nobody was told of the end by POST to the URL in DRILL_CHANNEL";
    // Still nobody at the second time, and still not taken for told.
    for verb in ["abort", "resume"] {
        let untold = program.run(&[verb, "last"]);
        assert_eq!(untold.code, 130);
        assert!(untold.stdout.contains(nobody), "{verb}: {}", untold.stdout);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let channel = format!("http://{}/", listener.local_addr().unwrap());
    let heard = one_message(listener);
    let resume = || {
        Ran::of(
            program.command(&["resume", "last"]).env("DRILL_CHANNEL", &channel).output().unwrap(),
        )
    };
    let told = resume();
    told.says(130, &[]);
    assert!(!told.stdout.contains(nobody), "{}", told.stdout);
    let message = heard.join().unwrap();
    assert!(message.contains("\"moment\":\"finished\""), "{message}");
    // Nobody listens any more: were it told again, it would say so.
    assert!(!resume().stdout.contains(nobody));
}

#[test]
fn regression_a_site_that_does_not_answer_keeps_nobody_from_giving_back_what_is_at_the_others() {
    let program = Program::new();
    program.write("asked.yaml", AT_A_SITE);
    let (serving, url) = served(&program);
    let run = program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", &url]);
    killed(&program, with_account(run, "222222222222"));
    drop(serving);
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let silent = ["--fault", "sts:GetCallerIdentity=error:InternalFailure:500"];
    let (_served, _) = served_at(&program, address, &silent);
    let end = |arguments: &[&str]| {
        Ran::of(with_account(program.command(arguments), "222222222222").output().unwrap())
    };
    let before = program.bytes("runs/asked-0001/journal.jsonl");
    end(&["resume", "last"]).says(2, &["the site dr cannot be reached", "nothing was done"]);
    assert_eq!(program.bytes("runs/asked-0001/journal.jsonl"), before, "nothing was written");
    end(&["abort", "last", "--incident"]).says(130, &["the site dr does not answer"]);
}

#[test]
fn a_site_that_answers_at_the_third_time_is_no_reason_to_refuse_a_run() {
    // The second ends the connection in order, which the SDK's client does not call an error of input or output.
    for fault in ["error:InternalFailure:500", "reset"] {
        let program = Program::new();
        program.write("asked.yaml", AT_A_SITE);
        let twice = format!("sts:GetCallerIdentity<2={fault}");
        let (_served, url) = served_at(&program, "127.0.0.1:0", &["--fault", &twice]);
        let run = program.command(&["run", "asked.yaml", "--quiet", "--endpoint-url", &url]);
        killed(&program, with_account(run, "222222222222"));
        assert!(program.read("runs/asked-0001/journal.jsonl").contains("site_identified"));
    }
}
