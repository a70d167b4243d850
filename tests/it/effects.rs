//! What programs have made is looked for and undone where it was made, whoever goes on with the run, and from wherever.

use crate::program::{Program, Ran};
use crate::resuming::{AT_A_SITE, Started, killed, served, with_account};
use crate::server_support::poll;
use redrill::journal::{Event, Journal, read_bytes};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A drill whose program makes something in the folder in which it runs.
fn making(script: &str) -> String {
    let make = format!(
        "steps:
  - id: make
    at: dr
    phase: verify
    uses: exec.run
    with: {{ argv: [sh, -c, \"{script}\"], effect: own, find: [test, -e, made], undo: [rm, -f, made] }}
"
    );
    let text = AT_A_SITE.replace("steps:\n", &make);
    text.replace("{ id: ask,", "{ id: ask, needs: [make], phase: verify,")
}

/// A command, given in another folder.
fn from(program: &Program, folder: &Path, arguments: &[&str]) -> Command {
    let runs = program.path("runs").display().to_string();
    let mut command = program.command(&[arguments, &["--runs-dir", &runs]].concat());
    command.current_dir(folder);
    with_account(command, "222222222222")
}

fn end(mut command: Command) -> Ran {
    Ran::of(command.output().unwrap())
}

fn nothing_in(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn regression_what_a_program_made_is_undone_from_any_folder_and_is_not_called_gone_before() {
    let (program, elsewhere) = (Program::new(), tempfile::tempdir().unwrap());
    let (_served, url) = served(&program);
    program.write("asked.yaml", making("touch made"));
    let folder = program.path("");
    let run = ["run", "asked.yaml", "--quiet", "--endpoint-url", &url];
    killed(&program, from(&program, &folder, &run));
    assert!(program.path("made").exists());
    end(from(&program, elsewhere.path(), &["abort", "last"])).says(130, &[]);
    assert!(!program.path("made").exists(), "it was left");
    let journal = program.read("runs/asked-0001/journal.jsonl");
    let released = journal.lines().find(|line| line.contains("resource_released")).unwrap();
    assert!(released.contains("\"how\":\"deleted\""), "{released}");
    assert!(nothing_in(elsewhere.path()));
}

/// Kills the run while its program is at work, once this file is there.
fn killed_in_the_program(program: &Program, file: &str, url: &str) {
    let run = ["run", "asked.yaml", "--quiet", "--endpoint-url", url];
    let mut run = from(program, &program.path(""), &run);
    let quiet = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Started(quiet.spawn().unwrap());
    poll(file, LIMIT, || program.path(file).exists().then_some(()));
}

/// The drill, without a question at its end.
fn unattended(script: &str) -> String {
    let text = making(script);
    let question = text.find("  - { id: ask").unwrap();
    format!("{}    gate: acceptance\n", &text[..question])
}

#[test]
fn regression_a_program_that_died_in_another_folder_is_not_run_again_beside_what_it_made() {
    let (program, elsewhere) = (Program::new(), tempfile::tempdir().unwrap());
    let (_served, url) = served(&program);
    program.write("asked.yaml", unattended("echo once >> times; touch made; exec sleep 300"));
    killed_in_the_program(&program, "made", &url);
    let ended = end(from(&program, elsewhere.path(), &["resume", "last"]));
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(program.read("times"), "once\n");
    assert!(!program.path("made").exists(), "it was left");
    assert!(nothing_in(elsewhere.path()));
}

#[test]
fn regression_a_program_that_made_nothing_yet_is_run_again_in_its_own_folder() {
    let (program, elsewhere) = (Program::new(), tempfile::tempdir().unwrap());
    let (_served, url) = served(&program);
    let script = "echo once >> times; test $(wc -l < times) -gt 1 || exec sleep 300; touch made";
    program.write("asked.yaml", unattended(script));
    killed_in_the_program(&program, "times", &url);
    let ended = end(from(&program, elsewhere.path(), &["resume", "last"]));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(program.read("times"), "once\nonce\n");
    assert!(!program.path("made").exists(), "it was left");
    assert!(nothing_in(elsewhere.path()));
}

#[test]
fn regression_what_was_made_in_a_folder_that_is_not_there_is_left_behind_with_the_command() {
    let program = Program::new();
    let (_served, url) = served(&program);
    program.write("asked.yaml", making("touch made"));
    program.write("folder/empty", "");
    let (folder, file) = (program.path("folder"), program.path("asked.yaml").display().to_string());
    killed(&program, from(&program, &folder, &["run", &file, "--quiet", "--endpoint-url", &url]));
    std::fs::rename(&folder, program.path("moved")).unwrap();
    let ended = end(from(&program, &program.path(""), &["abort", "last"]));
    assert_eq!(ended.code, 130, "{}{}", ended.stdout, ended.stderr);
    let report = program.read("runs/asked-0001/report.md");
    let folder = folder.canonicalize().unwrap_or(folder);
    let command = format!("cd {} && rm -f made", folder.display());
    assert!(report.contains(&command) && report.contains("is not there any more"), "{report}");
    assert!(program.path("moved/made").exists());
}

/// Writes the journal anew, as if another machine had.
fn as_of_another_machine(program: &Program) {
    let path = program.path("runs/asked-0001/journal.jsonl");
    let records = read_bytes(&std::fs::read(&path).unwrap()).unwrap().records;
    std::fs::remove_file(&path).unwrap();
    let mut journal = Journal::create(&path).unwrap();
    let machine = "\\\"machine\\\":\\\"";
    for record in records {
        let text = serde_json::to_string(&record.event).unwrap();
        let text = text.replace(machine, &format!("{machine}another-than-"));
        let event: Event = serde_json::from_str(&text).unwrap();
        let elapsed = Duration::from_millis(record.elapsed_ms);
        journal.stage(record.at, elapsed, event).unwrap();
    }
    journal.commit().unwrap();
    assert!(program.read("runs/asked-0001/journal.jsonl").contains("another-than-"));
}

#[test]
fn regression_what_was_made_on_another_machine_is_left_behind_with_the_command_and_not_made_twice()
{
    let program = Program::new();
    let (_served, url) = served(&program);
    program.write("asked.yaml", unattended("echo once >> times; touch made; exec sleep 300"));
    killed_in_the_program(&program, "made", &url);
    as_of_another_machine(&program);
    let ended = end(from(&program, &program.path(""), &["resume", "last"]));
    assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(program.read("times"), "once\n");
    assert!(program.path("made").exists(), "what is here may be somebody else's");
    let report = program.read("runs/asked-0001/report.md");
    for words in ["nothing is made twice", "rm -f made    # on the machine another-than-"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let journal = program.read("runs/asked-0001/journal.jsonl");
    assert!(!journal.contains("already gone") && !journal.contains("resource_released"));
}
