//! What is said when a run whose process has died is gone on with, or ended, and when that is refused.

use crate::program::Program;
use crate::resuming::{AT_A_SITE, killed};

const JOURNAL: &str = "runs/asked-0001/journal.jsonl";

/// A drill that asked a person, and whose process was killed then. It has no site, and so needs no AWS.
fn killed_while_it_asked() -> Program {
    let program = Program::new();
    let nowhere = AT_A_SITE.replace("sites: { dr: { region: ap-northeast-3 } }\n", "");
    program.write("asked.yaml", nowhere.replace(", write: [dr]", ""));
    killed(&program, program.command(&["run", "asked.yaml", "--quiet"]));
    program
}

/// Only the record had it.
#[test]
fn regression_a_torn_line_that_is_dropped_is_said_on_the_terminal_and_in_the_reports() {
    let program = killed_while_it_asked();
    let torn = [&program.bytes(JOURNAL)[..], b"{\"seq\":99,\"at\":\"2026"].concat();
    program.write(JOURNAL, &torn);
    let words = "the journal ended in a torn line of 20 bytes";
    let refused = program.run(&["abort", "last", "--endpoint-url", "http://127.0.0.1:1"]);
    refused.says(4, &["nothing was done"]);
    assert!(!refused.stderr.contains(words), "it stays: {}", refused.stderr);
    program.run(&["abort", "last"]).says(130, &[words, "which is dropped"]);
    for report in ["report.md", "report.html", "report.json"] {
        let text = program.read(&format!("runs/asked-0001/{report}"));
        assert!(text.contains("a torn line of 20 bytes"), "{report}: {text}");
    }
}

#[test]
fn regression_a_run_that_may_not_be_ended_is_not_said_to_be_ending() {
    let program = killed_while_it_asked();
    let refused = |run: &str, code: i32, words: &[&str]| {
        let refused = program.run(&["abort", run, "--incident"]);
        refused.says(code, words);
        assert!(!refused.stderr.contains("ending "), "{}", refused.stderr);
        assert!(!refused.stderr.contains("at once"), "{}", refused.stderr);
    };
    for name in ["journal.jsonl", "plan.json"] {
        let original = program.bytes(&format!("runs/asked-0001/{name}"));
        program.write(&format!("runs/asked-0001.bak/{name}"), original);
    }
    refused("asked-0001.bak", 4, &["it is a copy, or was renamed"]);
    // The last line feed was changed.
    let whole = program.bytes(JOURNAL);
    program.write(JOURNAL, [&whole[..whole.len() - 1], b" "].concat());
    let last = whole.iter().filter(|byte| **byte == b'\n').count() - 1;
    let changed = format!("record {last} of the journal");
    refused("asked-0001", 2, &[changed.as_str(), "it was changed"]);
    program.write(JOURNAL, &whole);
    let ended = program.run(&["abort", "asked-0001", "--incident"]);
    ended.says(130, &["ending asked-0001: each removal", "everything is removed at once"]);
    refused("asked-0001", 3, &["asked-0001 is over"]);
}
