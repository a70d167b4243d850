//! The shipped runbooks, as a responder pastes them: block by block, into a shell that knows nothing, with an API that fails.

use crate::server_support::repository;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A block of a runbook, and where it stands.
struct Block {
    place: String,
    text: String,
}

fn runbooks() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository("runbooks")).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let mut pages: Vec<_> = pages.collect();
    pages.sort();
    pages
}

fn blocks(page: &Path) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in fs::read_to_string(page).unwrap().lines().enumerate() {
        match line {
            "```sh" => {
                let place = format!("{}:{}", page.display(), number + 1);
                blocks.push(Block { place, text: String::new() });
                inside = true;
            }
            "```" => inside = false,
            line if inside => blocks.last_mut().unwrap().text.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    blocks
}

fn every_block() -> Vec<Block> {
    let blocks: Vec<_> = runbooks().iter().flat_map(|page| blocks(page)).collect();
    assert!(blocks.len() >= 40, "only {} blocks were found", blocks.len());
    blocks
}

/// Runs text in a shell with nothing of the tests' own environment; both streams together, and the exit status.
fn run(shell: &str, script: &str, folder: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(shell);
    command.arg("-c").arg(format!("exec 2>&1\n{script}")).current_dir(folder).env_clear();
    let ended = command.env("PATH", "/usr/bin:/bin").output().unwrap();
    (String::from_utf8_lossy(&ended.stdout).into_owned(), ended.status.code())
}

#[test]
fn every_block_of_the_runbooks_is_whole_in_bash_and_in_sh() {
    for block in every_block() {
        for shell in ["bash", "sh"] {
            let read = Command::new(shell).args(["-n", "-c", &block.text]).output().unwrap();
            let said = String::from_utf8_lossy(&read.stderr);
            assert!(read.status.success() && said.is_empty(), "{shell}, {}: {said}", block.place);
        }
    }
}

#[test]
fn no_block_of_the_runbooks_has_a_gap_or_text_that_an_interactive_bash_replaces() {
    // `'<name>'` and `<name>`, but neither `<<EOF` nor `< file`.
    let gap = regex::Regex::new(r"<[A-Za-z][^>\n<]*>").unwrap();
    // An exclamation mark before a word is looked for in the history, also between double quotes.
    let history = regex::Regex::new(r"![A-Za-z(]").unwrap();
    for Block { place, text } in every_block() {
        assert!(!gap.is_match(&text), "{place}: {text}");
        assert!(!history.is_match(&text), "{place}: {text}");
    }
}

/// An `aws` that is not answered, and programs that must not be reached without it.
const DEAD: &str = "aws() { echo called >> calls; echo 'Could not connect to the endpoint URL' >&2; return 255; }\n\
                    psql() { echo \"REACHED psql $*\"; }; pg_dump() { echo REACHED pg_dump; }\n\
                    etcdutl() { echo REACHED etcdutl; }; sleep() { echo slept >> sleeps; }\n";

/// How often something was written down.
fn count(folder: &Path, file: &str) -> usize {
    fs::read_to_string(folder.join(file)).unwrap_or_default().lines().count()
}

#[test]
fn with_an_api_that_does_not_answer_no_block_passes_or_goes_on_for_long() {
    let mut tried = 0;
    for Block { place, text } in every_block().into_iter().filter(|b| b.text.contains("aws ")) {
        for options in ["set -u", "set +u"] {
            let folder = tempfile::tempdir().unwrap();
            let script = format!("{DEAD}{options}\n{text}");
            let (said, _) = run("bash", &script, folder.path());
            let passes = |line: &str| line.starts_with("READY: ") || line.starts_with("REACHED");
            assert!(!said.lines().any(passes), "{place}: {said}");
            assert!(count(folder.path(), "calls") <= 6, "{place}: {said}");
            assert!(count(folder.path(), "sleeps") <= 3, "{place}: {said}");
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
}

/// The block of a runbook that makes something: it keeps a name.
fn making(runbook: &str) -> Block {
    let page = repository(&format!("runbooks/{runbook}.md"));
    let makes = |block: &Block| block.text.contains("Pasted again, this");
    blocks(&page).into_iter().find(makes).unwrap_or_else(|| panic!("{runbook} makes nothing"))
}

#[test]
fn an_api_that_stops_answering_while_it_is_waited_for_leaves_it_unknown() {
    for runbook in ["orders-db", "orders-db-point-in-time", "payments-aurora", "ledger-volume"] {
        let folder = tempfile::tempdir().unwrap();
        // Taken, and never answered again. The volume is looked for before it is made; a subnet group is looked up.
        let aws = "aws() { case \"$2\" in restore-*) echo creating;; create-volume) echo vol-1;;\n\
                   describe-volumes) case \"$*\" in *Filters*|*filters*) ;; *) return 255;; esac;;\n\
                   describe-db-subnet-groups) echo vpc-dr;; describe-db-cluster-snapshots) echo aurora-postgresql 16.4;;\n\
                   describe-db-instance-automated-backups) echo 2026-11-20T01:55:00+00:00;;\n\
                   *) case \"$*\" in *starts_with*) ;; *) echo looked >> looks; return 255;; esac;; esac; }\n\
                   sleep() { echo slept >> sleeps; }; jq() { echo 2026-11-20T01:50:00Z; }\n\
                   POINT_ARN=a POINT_ID=a BACKUP_BACKUP=db-A\n";
        let block = making(runbook).text;
        let (said, code) = run("bash", &format!("set -u\n{aws}{block}"), folder.path());
        assert_eq!(code, Some(1), "{runbook}: {said}");
        assert!(said.contains("NOT READY: UNKNOWN: three looks in a row"), "{runbook}: {said}");
        assert_eq!(count(folder.path(), "sleeps"), 2, "{runbook}: {said}");
    }
}

#[test]
fn a_query_is_never_asked_of_the_host_of_an_earlier_step() {
    let page = repository("runbooks/orders-db.md");
    let ask =
        |block: &&Block| block.text.contains("RESTORE_ENDPOINT:?") && block.text.contains("psql");
    let found = blocks(&page);
    let asking: Vec<_> = found.iter().filter(ask).collect();
    assert_eq!(asking.len(), 4);
    for block in asking {
        // As baseline leaves it, and with answers of AWS: but nothing is restored. Line by line, as an interactive shell reads.
        let script = format!(
            "export PGHOST=production PGUSER=keeper\naws() {{ echo '{{\"password\":\"p\",\"username\":\"u\"}}'; }}\n\
             jq() {{ echo j; }}\npsql() {{ echo \"REACHED $PGHOST\"; }}\npg_dump() {{ echo REACHED; }}\n{}",
            block.text
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("typed"), script).unwrap();
        let (said, _) = run("bash", "bash --norc -i < typed", folder.path());
        // The shell shows what is typed; what a program says stands at the beginning of a line.
        let reached = said.lines().any(|line| line.starts_with("REACHED"));
        assert!(!reached, "{}: {said}", block.place);
        assert!(said.contains("RESTORE_ENDPOINT") && said.contains("exit status "), "{said}");
        assert!(!said.contains("exit status 0"), "{said}");
    }
}

#[test]
fn what_is_done_at_the_replica_stands_behind_the_name_of_its_site_which_has_the_permissions() {
    let page = fs::read_to_string(repository("runbooks/uploads-replication.md")).unwrap();
    let mut sides = 0;
    for (opens, _) in page.match_indices("```sh\n") {
        let (before, block) = page.split_at(opens);
        let block = block[6..].split("```").next().unwrap();
        for (bucket, site) in [("uploads-prod ", "primary"), ("uploads-prod-dr ", "dr")] {
            if !block.contains(&format!("--bucket {bucket}")) {
                continue;
            }
            // The last line that names credentials says which ones.
            let said =
                before.lines().rfind(|line| line.contains("redentials of ")).unwrap_or_default();
            assert!(said.contains(&format!("redentials of {site}")), "{bucket}: {said}\n{block}");
            sides += 1;
        }
    }
    assert!(sides >= 10, "{sides}");
    let dr = page.split("### Site dr").nth(1).unwrap().split("### ").next().unwrap();
    for action in ["s3:ListBucketVersions", "s3:GetObject", "s3:DeleteObjectVersion", "kms:Decrypt"]
    {
        assert!(dr.contains(&format!("| `{action}` |")), "{action}: {dr}");
    }
    assert!(!dr.contains("s3:PutObject"), "{dr}");
}

#[test]
fn no_runbook_tells_to_keep_a_password_or_the_region_that_is_lost() {
    for Block { place, text } in every_block() {
        assert!(
            !text.contains("echo \"DB_SECRET=") && !text.contains("echo \"AWS_REGION="),
            "{place}"
        );
    }
    let page = fs::read_to_string(repository("runbooks/orders-db.md")).unwrap();
    assert!(page.contains("Keep the files before.sql, before.rows, before.sums where"), "{page}");
}
