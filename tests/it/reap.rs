//! `redrill reap` as people use it: what it looks at, what it prints, how it ends.

use crate::program::{Program, Ran, listed, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A place with one expired instance of a run, one that has not expired, and things of others with similar names.
const LEFTOVERS: &str = r#"estate: 1
title: What three drills left behind
now: 2026-11-20T02:00:00Z
accounts: { "111111111111": {}, "222222222222": { roles: [redrill-drill] } }
places:
  - account: "222222222222"
    region: ap-northeast-3
    databases:
      - id: redrill-orders-db-0007-3fa9c1-restore
        tags: { "redrill:run": orders-db-0007-3fa9c1, "redrill:scenario": orders-db, "redrill:expires": "2026-11-18T14:00:00Z" }
      - id: redrill-orders-db-0008-77aa01-restore
        tags: { "redrill:run": orders-db-0008-77aa01, "redrill:scenario": orders-db, "redrill:expires": "2026-11-20T14:00:00Z" }
      - { id: redrill-orders-db-0007-3fa9c1-restore2, tags: { owner: somebody } }
      - { id: orders-db, deletion_protection: true }
    volumes:
      - id: vol-0aaaaaaaaaaaaaaa1
        size: 10
        zone: ap-northeast-3a
        tags: { "redrill:run": ledger-volume-0002-9d0c11, "redrill:name": redrill-ledger-volume-0002-9d0c11-restore, "redrill:expires": "2026-11-01T00:00:00Z" }
"#;

const SITE: [&str; 4] =
    ["--sandbox", "--estate", "leftovers.yaml", "--site=ap-northeast-3=222222222222/redrill-drill"];

fn program() -> Program {
    let program = Program::new();
    program.write("leftovers.yaml", LEFTOVERS);
    program
}

fn reap(program: &Program, arguments: &[&str]) -> (i32, Value) {
    let ran = program.run(&[&["reap", "--format", "json"], &SITE[..], arguments].concat());
    assert!(ran.stdout.starts_with('{'), "{}", ran.stderr);
    assert_eq!(ran.json()["exit_code"], ran.code);
    (ran.code, ran.json())
}

fn outcomes(result: &Value) -> Vec<String> {
    listed(&result["found"], |one| {
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        Some(format!("{} {}", text("run"), text("outcome")))
    })
}

#[test]
fn a_dry_run_removes_nothing_and_says_what_would_be_removed() {
    let (code, result) = reap(&program(), &["--dry-run"]);
    let wanted = [
        "ledger-volume-0002-9d0c11 would_be_removed",
        "orders-db-0007-3fa9c1 would_be_removed",
        "orders-db-0008-77aa01 stays",
    ];
    assert_eq!((code, outcomes(&result)), (0, wanted.map(str::to_owned).to_vec()));
}

#[test]
fn what_has_expired_is_removed_and_the_rest_is_shown() {
    let (code, result) = reap(&program(), &[]);
    let wanted = [
        "ledger-volume-0002-9d0c11 removed",
        "orders-db-0007-3fa9c1 removed",
        "orders-db-0008-77aa01 stays",
    ];
    assert_eq!((code, outcomes(&result)), (0, wanted.map(str::to_owned).to_vec()));
    let (_, result) = reap(&program(), &["--run", "orders-db-0007-3fa9c1"]);
    assert_eq!(outcomes(&result), ["orders-db-0007-3fa9c1 removed"]);
}

#[test]
fn what_has_not_expired_is_removed_only_on_the_operators_confirmed_word() {
    let program = program();
    let all = [&["reap", "--all"], &SITE[..]].concat();
    program.run(&all).says(3, &["--all removes what has not expired", "--all --yes"]);
    let (code, result) = reap(&program, &["--all", "--yes", "--run", "orders-db-0008-77aa01"]);
    assert_eq!((code, outcomes(&result)), (0, vec!["orders-db-0008-77aa01 removed".to_owned()]));
}

#[test]
fn what_cannot_be_removed_gives_its_own_exit_code_and_the_command() {
    let denied = ["--fault", "rds:DeleteDBInstance=error:AccessDenied:403"];
    let ran = program().run(&[&["reap"], &SITE[..], &denied].concat());
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    for words in [
        "STILL THERE",
        "aws rds delete-db-instance --region ap-northeast-3 --db-instance-identifier redrill-orders-db-0007-3fa9c1-restore ",
        "1 removed, 1 not touched, 1 still there",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
}

#[test]
fn a_site_that_cannot_be_asked_is_never_reported_as_empty() {
    let program = program();
    let wrong = ["--site", "ap-northeast-1=333333333333"];
    let (code, result) = reap(&program, &wrong);
    assert_eq!(code, 2);
    assert_eq!(result["not_asked"][0]["place"], "333333333333/ap-northeast-1");
    assert!(outcomes(&result).contains(&"orders-db-0007-3fa9c1 removed".to_owned()));

    let denied = ["--fault", "*=error:AccessDenied:403"];
    let ran = program.run(&[&["reap"], &SITE[..], &denied].concat());
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("Could not be asked"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("nothing of redrill's is left"), "{}", ran.stdout);
}

#[test]
fn regression_the_second_role_of_a_place_is_used_and_the_first_one_said() {
    let program = program();
    let site = |role: &str| format!("--site=ap-northeast-3=222222222222/{role}");
    let (first, second) = (site("nosuch"), site("redrill-drill"));
    let estate = ["reap", "--format", "json", "--sandbox", "--estate", "leftovers.yaml"];
    let ran = program.run(&[&estate[..], &[first.as_str(), second.as_str()][..]].concat());
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let result = ran.json();
    assert_eq!(result["not_asked"][0]["place"], "222222222222/ap-northeast-3");
    assert!(result["not_asked"][0]["why"].as_str().unwrap().contains("nosuch"), "{}", ran.stdout);
    assert_eq!(result["not_asked"].as_array().unwrap().len(), 1);
    assert!(outcomes(&result).contains(&"orders-db-0007-3fa9c1 removed".to_owned()));
    // Where both may ask, everything is found once.
    let both = program
        .run(&[&estate[..], &["--site=ap-northeast-3=222222222222", second.as_str()][..]].concat());
    assert_eq!((both.code, outcomes(&both.json()).len()), (0, 3), "{}", both.stdout);
}

#[test]
fn regression_what_has_a_runs_tags_and_another_name_is_left_to_a_person() {
    let program = program();
    let tags = r#"tags: { "redrill:run": orders-db-0007-3fa9c1, "redrill:step": restore, "redrill:expires": "2026-11-18T14:00:00Z" }"#;
    let kept = [
        "keep-redrill-orders-db-0007-3fa9c1-evidence",
        "redrill-orders-db-0007-3fa9c1-restore-evidence",
    ];
    let things: String =
        kept.iter().map(|id| format!("      - {{ id: {id}, {tags} }}\n")).collect();
    let estate = LEFTOVERS.replace("    databases:\n", &format!("    databases:\n{things}"));
    program.write("leftovers.yaml", &estate);
    let (code, result) = reap(&program, &["--run", "orders-db-0007-3fa9c1"]);
    let mut outcomes = outcomes(&result);
    outcomes.sort();
    let wanted = ["removed", "still_there", "still_there"];
    assert_eq!(outcomes, wanted.map(|outcome| format!("orders-db-0007-3fa9c1 {outcome}")));
    assert_eq!(code, 5);
}

#[test]
fn an_empty_place_is_said_to_be_empty() {
    let program = Program::new();
    let ran = program.run(&["reap", "--sandbox", "scenarios/orders-db.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("nothing of redrill's is left; looked at"), "{}", ran.stdout);
    assert!(ran.stdout.contains("note: exec.effect: effects of programs carry no tags"));
}

#[test]
fn somewhere_must_be_looked() {
    let program = program();
    program.run(&["reap"]).says(3, &["there is no site to look at", "--site"]);
    program.run(&["reap", "--sandbox"]).says(3, &["there is no estate"]);
    program.run(&["reap", "--site", "nowhere=1"]).says(3, &["twelve digits"]);
    program.run(&["reap", "--yes"]).says(3, &["--all"]);
    program.rehearse("orders-db", &[]);
    program.run(&["reap", "--run", "last", "--site", "x"]).says(3, &["was a rehearsal"]);
    program.run(&["reap", "leftovers.yaml"]).says(3, &["has errors"]);
}

#[test]
fn a_journal_that_cannot_be_read_is_said() {
    let program = program();
    program.write("runs/orders-db-0007/journal.jsonl", "{}\n");
    let (code, result) = reap(&program, &[]);
    assert_eq!(code, 2);
    assert_eq!(result["not_asked"][0]["place"], "orders-db-0007");
    assert!(outcomes(&result).contains(&"ledger-volume-0002-9d0c11 removed".to_owned()));
}

#[test]
fn regression_a_journal_that_cannot_be_read_is_said_when_nothing_else_names_a_site() {
    let program = Program::new();
    program.write("runs/orders-db-0007/journal.jsonl", "{}\n");
    program.run(&["reap"]).says(2, &["nothing was looked at", "orders-db-0007", "--site"]);
}

#[test]
fn regression_an_empty_journal_is_said_where_its_store_may_tell_more() {
    let program = program();
    program.write("runs/orders-db-0007/journal.jsonl", "");
    let (code, result) = reap(&program, &["--dry-run"]);
    assert_eq!((code, result["not_asked"].as_array().unwrap().len()), (0, 0), "{result}");
    let stored = r#"{ "url": "s3://drills/x", "region": null, "owner": 0, "token": "ab" }"#;
    program.write("runs/orders-db-0007/store.json", stored);
    let (code, result) = reap(&program, &["--dry-run"]);
    let unread = &result["not_asked"][0];
    assert!(code == 2 && unread["place"] == "orders-db-0007", "{result}");
    assert!(unread["why"].as_str().unwrap().contains("its store may tell"), "{unread}");
}

/// A process that ends with its test, and the lines that it writes to standard error.
pub(crate) struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Started {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn line_with(&mut self, words: &str) -> String {
        let mut before = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(words) {
                return line;
            }
            before.push(line);
        }
        panic!("it ended without {words:?}: {before:#?}");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The caller who assumes the roles of the sites in a served estate.
fn with_credentials(mut command: Command) -> Command {
    command.env("AWS_ACCESS_KEY_ID", "SANDBOX000000000000").env("AWS_SECRET_ACCESS_KEY", "sandbox");
    command
}

#[test]
fn what_a_process_has_made_is_safe_while_it_lives_and_found_by_its_journal_after_it_was_killed() {
    let program = Program::new();
    let estate = "scenarios/estates/orders-db.yaml";
    let serve = ["sandbox", "serve", "--estate", estate, "--listen", "127.0.0.1:0"];
    let mut served = Started::start(program.command(&serve));
    let line = served.line_with("http://");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let file = repository("scenarios/orders-db.yaml").display().to_string();
    let run = program.command(&["run", &file, "--endpoint-url", url]);
    let mut run = Started::start(with_credentials(run));
    run.line_with("made ");

    let reap = |arguments: &[&str]| {
        // Also what has not expired: only the lock of the journal protects what the run has made.
        let fixed = ["reap", "--all", "--dry-run", "--format", "json", "--endpoint-url", url];
        let command = program.command(&[&fixed[..], arguments].concat());
        Ran::of(with_credentials(command).output().unwrap())
    };
    // Its sites are those of the journals.
    let alive = reap(&[]);
    assert_eq!(alive.code, 0, "{}{}", alive.stdout, alive.stderr);
    let found = &alive.json()["found"][0];
    assert_eq!(found["outcome"], "stays");
    assert_eq!(found["why"], "a process is working on its run");
    assert_eq!(found["known_by"], "tags and journal");

    run.kill();
    for arguments in [&[][..], &["--run", "last"]] {
        let after = reap(arguments);
        assert_eq!(after.code, 0, "{}{}", after.stdout, after.stderr);
        let why = after.json()["found"][0]["why"].clone();
        assert!(why.as_str().unwrap().contains("its run can go on"), "{}", after.stdout);
    }
    // Without the journal the tags are enough.
    std::fs::rename(program.path("runs"), program.path("lost")).unwrap();
    let after = reap(&[&file]);
    assert_eq!(after.json()["found"][0]["known_by"], "tags", "{}", after.stdout);
    assert_eq!(after.json()["found"][0]["outcome"], "would_be_removed");
}

/// The orders database at its sites, of which only the restored instance matters.
const RESTORED: &str = "\
redrill: 1
name: restored
title: A copy of the orders database
owner: tests
disaster: { kind: corruption }
sites: { dr: { account: \"222222222222\", region: ap-northeast-3 } }
objectives: {}
guard: { write: [dr], max_resources: 1 }
steps:
  - { id: point, at: dr, uses: rds.find_snapshot, with: { of: orders-db } }
  - id: copy
    at: dr
    uses: rds.restore_snapshot
    with:
      snapshot: \"{{steps.point.arn}}\"
      class: db.r6g.large
      subnet_group: drill-isolated
      security_groups: [sg-drill]
      expected_duration: 1s
";

#[test]
fn what_runs_have_left_whose_disk_is_gone_is_found_and_removed_by_the_store_alone() {
    let program = Program::new();
    let estate = program.read("scenarios/estates/orders-db.yaml");
    program.write("estate.yaml", format!("{estate}    buckets: [{{ name: drill-evidence }}]\n"));
    program.write("restored.yaml", RESTORED);
    let listen = ["--listen", "127.0.0.1:0", "--speed", "3600"];
    let serve = [&["sandbox", "serve", "--estate", "estate.yaml"][..], &listen].concat();
    let mut served = Started::start(program.command(&serve));
    let line = served.line_with("http://");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let store = ["--store", "s3://drill-evidence/drills", "--store-region", "ap-northeast-3"];
    let at = ["--endpoint-url", url];
    let command = |arguments: &[&str]| {
        let command = program.command(&[arguments, &store, &at].concat());
        crate::resuming::with_account(command, "222222222222")
    };
    // One run is over and keeps its instance; the process of another is killed.
    let kept = ["run", "restored.yaml", "--quiet", "--format", "json", "--keep", "1ms"];
    let ran = Ran::of(command(&kept).output().unwrap());
    let resources = ran.json()["runs"][0]["report"]["resources"].clone();
    assert_eq!(resources[0]["state"], "kept", "{}{}", ran.stdout, ran.stderr);
    let mut killed = Started::start(command(&["run", "restored.yaml"]));
    killed.line_with("made ");
    killed.kill();
    std::fs::remove_dir_all(program.path("runs")).unwrap();

    let reap = |more: &[&str]| {
        Ran::of(command(&[&["reap", "--format", "json"][..], more].concat()).output().unwrap())
    };
    let outcomes = |ran: &Ran| {
        let found = ran.json()["found"].clone();
        listed(&found, |one| {
            let text = |name: &str| one[name].as_str().map(str::to_owned);
            Some(format!("{} {} {}", &text("run")?[..13], text("known_by")?, text("outcome")?))
        })
    };
    // Its sites are those of the journals in the store.
    let first = reap(&["--dry-run"]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let of_both =
        ["restored-0001 tags and journal would_be_removed", "restored-0002 tags and journal stays"];
    assert_eq!(outcomes(&first), of_both);
    assert!(first.stdout.contains("may be working on its run"), "{}", first.stdout);
    let removed = reap(&[]);
    assert_eq!(removed.code, 0, "{}{}", removed.stdout, removed.stderr);
    let of_both =
        ["restored-0001 tags and journal removed", "restored-0002 tags and journal stays"];
    assert_eq!(outcomes(&removed), of_both);
    assert_eq!(outcomes(&reap(&[])), of_both[1..]);
    // Only what is asked for is read, and what is not there is said.
    let absent = reap(&["--run", "restored-0009-000000", "--site", "ap-northeast-3"]);
    assert_eq!(absent.code, 2, "{}{}", absent.stdout, absent.stderr);
}

#[test]
fn reap_says_when_a_store_cannot_be_what_is_meant() {
    let program = program();
    let asked = |arguments: &[&str]| program.run(&[&["reap"][..], arguments].concat());
    asked(&["--run", "s3://drills/x/orders-db-0007-3fa9c1"]).says(3, &["--store", "--run RUN"]);
    asked(&["--store", "drills"]).says(3, &["does not begin with s3://"]);
    asked(&["--store", "s3://drills", "--sandbox"]).says(3, &["--sandbox"]);
}
