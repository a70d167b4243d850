//! What etcd's programs say, as text and as JSON. Pure.

use crate::outside::trial::MemberHash;
use serde_json::Value;
use std::collections::BTreeMap;

/// As much of a complaint as is kept.
const COMPLAINT: usize = 300;

/// `3.4.23` of `etcd Version: 3.4.23`, the first line of `etcd --version`.
pub(super) fn version_of(said: &str) -> Option<String> {
    let line = said.lines().find_map(|line| line.strip_prefix("etcd Version:"))?;
    Some(line.trim().to_owned()).filter(|version| !version.is_empty())
}

/// Whether the program that says this of `snapshot restore` knows `--bump-revision` and `--mark-compacted`: neither is of use without
/// the other. No list of versions tells it: both came with 3.6, and were brought back to 3.5.10 and 3.4.27.
/// <https://github.com/etcd-io/etcd/pull/16029>, <https://github.com/etcd-io/etcd/pull/16165>
pub(super) fn knows_bump_revision(help: &str) -> bool {
    let options: Vec<&str> = help.split(|c: char| c.is_whitespace() || "=[".contains(c)).collect();
    ["--bump-revision", "--mark-compacted"].iter().all(|option| options.contains(option))
}

/// The last line that says what went wrong; before it, programs of etcd write a log.
pub(super) fn last_word(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find(|line| line.starts_with("Error"));
    let line = error.or(lines.last()).copied().unwrap_or("nothing was said");
    line.chars().take(COMPLAINT).collect()
}

/// What marks a line of a log in which etcd, or the runtime of Go, gives up.
const BAD: [&str; 5] = [
    "\"level\":\"fatal\"",
    "\"level\":\"panic\"",
    "\"level\":\"error\"",
    "panic: ",
    "fatal error: ",
];

/// What a machine lacks, as Go says it.
/// <https://cs.opensource.google/go/go/+/refs/tags/go1.22.0:src/syscall/zerrors_linux_amd64.go> (`errors`),
/// <https://cs.opensource.google/go/go/+/refs/tags/go1.22.0:src/runtime/mem_linux.go> (`out of memory`)
const LACKING: [&str; 8] = [
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
    "input/output error",
    "permission denied",
    "too many open files",
    "cannot allocate memory",
    "out of memory",
];

/// Why the end of a program says nothing of the snapshot; `None` when it may. A program of etcd that gives up by itself ends with
/// a status: a signal comes from outside.
pub(super) fn of_the_machine(by_signal: bool, said: &str) -> Option<&'static str> {
    if by_signal {
        return Some("it was killed, as the system does when memory is short");
    }
    LACKING.into_iter().find(|words| said.contains(words))
}

/// Whether a member is up and answers nobody without a name: authentication was enabled in the cluster of the snapshot.
/// <https://github.com/etcd-io/etcd/blob/v3.5.21/server/auth/store.go> (`ErrUserEmpty`)
pub(super) fn asks_for_a_password(said: &str) -> bool {
    said.contains("user name is empty")
}

/// The last line of a log in which etcd gives up. etcd 3.4 and later write JSON, or text where they are told to.
pub(super) fn last_error_in(log: &str) -> String {
    let is_bad = |line: &&str| BAD.iter().any(|word| line.contains(word));
    let bad = log.lines().rev().find(is_bad);
    let Some(line) = bad.or_else(|| log.lines().rev().find(|line| !line.trim().is_empty())) else {
        return "its log is empty".to_owned();
    };
    let fields = serde_json::from_str::<BTreeMap<String, Value>>(line).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let said = match (text("msg"), text("error")) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message.to_owned(),
        _ => line.to_owned(),
    };
    said.chars().take(COMPLAINT).collect()
}

/// What `etcdctl endpoint hashkv --write-out json` says, for every one of these endpoints, each with the name of its member;
/// `None` when one is missing.
pub(super) fn hashes_of(said: &str, names: &BTreeMap<&str, &str>) -> Option<Vec<MemberHash>> {
    let answers: Vec<Value> = serde_json::from_str(said).ok()?;
    let of = |(endpoint, member): (&&str, &&str)| {
        let answer = answers.iter().find(|answer| answer["Endpoint"] == **endpoint)?;
        let answer = answer["HashKV"].as_object()?;
        // What is 0 is left out of the JSON.
        let number = |name: &str| answer.get(name).map_or(Some(0), Value::as_i64);
        Some(MemberHash {
            member: (*member).to_owned(),
            hash: u32::try_from(number("hash")?).ok()?,
            compact_revision: number("compact_revision")?,
            revision: answer.get("header")?.get("revision").map_or(Some(0), Value::as_i64)?,
        })
    };
    let mut all: Vec<MemberHash> = names.iter().map(of).collect::<Option<_>>()?;
    all.sort_by(|one, other| one.member.cmp(&other.member));
    Some(all)
}

/// Whether a member refuses a revision because it has thrown history away up to it.
/// <https://github.com/etcd-io/etcd/blob/v3.5.21/api/v3rpc/rpctypes/error.go> (`ErrGRPCCompacted`)
pub(super) fn is_compacted(said: &str) -> bool {
    said.contains("required revision has been compacted")
}

/// The count in what `etcdctl get --write-out json` says, which is that of all keys, whatever the limit; without keys it is left out.
/// <https://etcd.io/docs/latest/dev-guide/api_reference_v3/> (`RangeResponse`)
pub(super) fn count_of(said: &str) -> Option<u64> {
    let answer: Value = serde_json::from_str(said).ok()?;
    answer.get("header")?;
    answer.get("count").map_or(Some(0), Value::as_u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_counts_and_complaints_are_read() {
        let said = "etcd Version: 3.4.23\nGit SHA: Not provided\n";
        assert_eq!(version_of(said).as_deref(), Some("3.4.23"));
        assert_eq!(version_of("unknown flag"), None);
        assert_eq!(
            count_of(r#"{"header":{"revision":37},"kvs":[{"key":"YQ=="}],"more":true,"count":28}"#),
            Some(28)
        );
        assert_eq!(count_of(r#"{"header":{"revision":1}}"#), Some(0));
        assert_eq!(count_of("{}"), None);
        let complaint =
            "{\"level\":\"info\",\"msg\":\"restoring\"}\nError: expected sha256 [1], got [2]\n";
        assert_eq!(last_word(complaint), "Error: expected sha256 [1], got [2]");
        assert_eq!(last_word(""), "nothing was said");
    }

    /// As etcdutl 3.6 and etcdctl 3.4.27 write it, and what does not know both options.
    #[test]
    fn whether_revisions_can_be_moved_forward_is_what_the_program_says() {
        let etcdutl = "Usage:\n  etcdutl snapshot restore <filename> --data-dir {output dir} [options] [flags]\n\nFlags:\n      \
                       --bump-revision uint                   How much to increase the latest revision after restore\n      \
                       --data-dir string                      Path to the output data directory\n      \
                       --mark-compacted                       Mark the latest revision after restore as the point of scheduled compaction";
        let etcdctl = "OPTIONS:\n      --bump-revision=0\t\t\tHow much to increase\n      --mark-compacted[=false]\t\t\tMark";
        assert!(knows_bump_revision(etcdutl) && knows_bump_revision(etcdctl));
        for other in [
            etcdutl.replace("--mark-compacted ", ""),
            etcdutl.replace("--bump-revision uint", ""),
            etcdutl.replace("--bump-revision", "--bump-revisions"),
            String::new(),
        ] {
            assert!(!knows_bump_revision(&other), "{other}");
        }
    }

    #[test]
    fn every_member_has_its_number_or_there_is_none() {
        let names = BTreeMap::from([("http://127.0.0.1:2", "m1"), ("http://127.0.0.1:1", "m2")]);
        let said = r#"[{"Endpoint":"http://127.0.0.1:1","HashKV":{"header":{"revision":9},"hash":7,"compact_revision":-1}},
                       {"Endpoint":"http://127.0.0.1:2","HashKV":{"header":{},"hash":4000000000}}]"#;
        let hashes = hashes_of(said, &names).unwrap();
        assert_eq!(
            (hashes[0].member.as_str(), hashes[0].hash, hashes[0].compact_revision),
            ("m1", 4_000_000_000, 0)
        );
        assert_eq!(
            (hashes[1].member.as_str(), hashes[1].hash, hashes[1].compact_revision),
            ("m2", 7, -1)
        );
        assert_eq!((hashes[0].revision, hashes[1].revision), (0, 9));
        assert!(is_compacted("Error: etcdserver: mvcc: required revision has been compacted"));
        assert!(!is_compacted("Error: etcdserver: mvcc: required revision is a future revision"));
        assert_eq!(hashes_of("[]", &names), None);
        assert_eq!(hashes_of(&said.replace(":2\"", ":3\""), &names), None);
    }

    #[test]
    fn regression_what_the_machine_did_is_not_put_down_to_the_snapshot() {
        let full = "{\"level\":\"fatal\",\"msg\":\"failed to save\",\"error\":\"write m1/wal: no space left on device\"}";
        assert_eq!(of_the_machine(false, &last_error_in(full)), Some("no space left on device"));
        let memory = "fatal error: runtime: out of memory\n\nruntime stack:\nruntime.throw(0x1)\n";
        assert_eq!(of_the_machine(false, &last_error_in(memory)), Some("out of memory"));
        assert!(of_the_machine(true, "serving").is_some_and(|why| why.contains("was killed")));
        assert_eq!(of_the_machine(false, "Error: expected sha256 [1], got [2]"), None);
        assert!(asks_for_a_password("Error: etcdserver: user name is empty"));
        assert!(!asks_for_a_password("Error: context deadline exceeded"));
    }

    #[test]
    fn of_a_log_only_the_reason_is_told() {
        let log = "{\"level\":\"fatal\",\"msg\":\"discovery failed\",\"error\":\"bind: address already in use\"}\nlast\n";
        assert_eq!(last_error_in(log), "discovery failed: bind: address already in use");
        assert_eq!(last_error_in("one\ntwo\n"), "two");
        assert_eq!(last_error_in(""), "its log is empty");
    }
}
