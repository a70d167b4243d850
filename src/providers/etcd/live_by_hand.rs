//! How people compare the members of a running etcd with its own tools.

use super::by_hand::fetch;
use crate::action::{ByHand, HandInput};
use serde_json::Value;

/// How a person compares the members, and the backup with them.
pub(super) fn compare_members(input: &HandInput) -> ByHand {
    let with_backup = input.value("file").is_some() || input.value("object").is_some();
    let mut commands = vec![compare(input)];
    let mut expected =
        "Members: the same. One line for each member, all with the same two numbers.".to_owned();
    if with_backup {
        commands.extend([fetch(input), backup(input)]);
        expected.push_str(" Backup: shown, with the hash and the compact revision of the members.");
    }
    ByHand {
        commands,
        expected,
        verify: vec![
            "Which version each member runs, who leads, and whether one reports an alarm:"
                .to_owned(),
            format!(
                "{0} endpoint status{1} --write-out table\n{0} alarm list",
                etcdctl(input),
                whole(input)
            ),
        ],
        if_it_fails: if_it_fails(with_backup),
        needs: needs(with_backup),
        ..ByHand::default()
    }
}

/// etcdctl with the endpoints and certificates of the step.
pub(super) fn etcdctl(input: &HandInput) -> String {
    let endpoints = match input.value("endpoints") {
        Some(Value::Array(all)) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            HandInput::quote(&all.join(","))
        }
        _ => input.word("endpoints").or_else(|| input.word("endpoint")).unwrap_or_default(),
    };
    let files = [("ca", "--cacert"), ("certificate", "--cert"), ("key", "--key")];
    let files = files.map(|(name, option)| {
        let file = input.word(&format!("tls.{name}"));
        file.map(|file| format!(" {option} {file}")).unwrap_or_default()
    });
    format!("ETCDCTL_API=3 etcdctl --endpoints {endpoints}{}", files.concat())
}

/// The option by which etcdctl asks every member that the cluster lists.
fn whole(input: &HandInput) -> &'static str {
    match input.value("all_members").and_then(Value::as_bool) {
        Some(true) => " --cluster",
        _ => "",
    }
}

fn compare(input: &HandInput) -> String {
    let names = ["revision", "votes", "hashes", "told", "kinds", "members"].map(|n| input.sets(n));
    let [revision, votes, hashes, told, kinds, went] = names;
    let (etcdctl, whole) = (etcdctl(input), whole(input));
    format!(
        "{went}='UNKNOWN: no member was asked'; {told}=; {kinds}=\n\
         {revision}=$({etcdctl} endpoint status{whole} --write-out json | jq '[.[].Status.header.revision] | min')\n\
         {votes}=$({etcdctl} member list --write-out json | jq '[.members[] | select(.isLearner | not)] | length')\n\
         case \"${revision}${votes}\" in\n  \
         ''|*[!0-9]*) {went}='UNKNOWN: no member told its revision or the list of members, as is said above';;\n  \
         *) {hashes}=$({etcdctl} endpoint hashkv{whole} --rev \"${revision}\" --write-out json)\n    \
         printf '%s\\n' \"${hashes}\" | jq -r '.[] | \"\\(.Endpoint)  hash \\(.HashKV.hash)  compacted up to \\(.HashKV.compact_revision)\"'\n    \
         {told}=$(printf '%s\\n' \"${hashes}\" | jq length)\n    \
         {kinds}=$(printf '%s\\n' \"${hashes}\" | jq '[.[].HashKV | [.hash, .compact_revision]] | unique | length')\n    \
         if [ \"${{{told}:-0}}\" -lt \"${votes}\" ]; then {went}=\"UNKNOWN: ${{{told}:-0}} of ${votes} voting members told a hash\"\n    \
         elif [ \"${votes}\" -lt 2 ]; then {went}='UNKNOWN: there is one member, and nothing to compare it with'\n    \
         elif [ \"${kinds}\" = 1 ]; then {went}='the same'\n    \
         else {went}='DIFFERENT, as is shown above'; fi;;\n\
         esac\n\
         echo \"Members: ${went}\"\n[ \"${went}\" = 'the same' ]"
    )
}

fn backup(input: &HandInput) -> String {
    let names = ["file", "went", "last", "backup"].map(|name| input.sets(name));
    let [file, went, last, backup] = names;
    let (etcdctl, whole) = (etcdctl(input), whole(input));
    format!(
        "{backup}='UNKNOWN: there is no snapshot to compare'\n\
         if [ \"${went}\" = fetched ] && [ -s \"${file}\" ]; then\n  \
         {last}=$(etcdutl snapshot status \"${file}\" --write-out json | jq .revision)\n  \
         case \"${last}\" in\n    \
         ''|*[!0-9]*) {backup}='UNKNOWN: etcdutl could not read the snapshot, as is said above';;\n    \
         *) if etcdutl hashkv \"${file}\" --write-out table &&\n         \
         {etcdctl} endpoint hashkv{whole} --rev \"${last}\" --write-out table; then {backup}=shown\n       \
         else {backup}='UNKNOWN: one of both could not be shown, as is said above'; fi;;\n  \
         esac\nfi\n\
         echo \"Backup: ${backup}\"\n[ \"${backup}\" = shown ]"
    )
}

fn if_it_fails(with_backup: bool) -> Vec<String> {
    let mut all = vec![
        "UNKNOWN: who was not asked may be the one that differs. Correct what is said and paste the block again.",
        "DIFFERENT in what is compacted only: a compaction was under way. Wait a minute and paste the block again.",
        "DIFFERENT hashes: the member whose hash no other has is the wrong one; take no backup from it. Remove it from the cluster and \
         let it join again with an empty folder: https://etcd.io/docs/latest/op-guide/data_corruption/. With two members \
         nobody can tell which is right: compare both with the last backup.",
    ];
    if with_backup {
        all.push(
            "Backup: `required revision has been compacted`: it is too late to compare this one. Take a new snapshot and compare it within \
             minutes.",
        );
        all.push(
            "Backup: the same compact revision and another hash: the snapshot is not what the cluster stores. Take a new one \
             from a member that agrees with the others.",
        );
    }
    all.into_iter().map(str::to_owned).collect()
}

fn needs(with_backup: bool) -> Vec<String> {
    let mut all = vec![
        "On a host that reaches the client URLs of all members: etcdctl, jq, and the files of the cluster's authority and of a client certificate"
            .to_owned(),
    ];
    if with_backup {
        all.push("etcdutl 3.6 or newer, which computes the hash of a stored snapshot".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn of(with: Value) -> ByHand {
        compare_members(&HandInput::new("members", Some("ap-northeast-3"), with, BTreeMap::new()))
    }

    const MEMBERS: &str = r#"{"members":[{"ID":1},{"ID":2},{"ID":3,"isLearner":true}]}"#;

    /// What the first block says, and whether it ends well, when etcdctl answers so.
    fn judged(status: &str, hashes: &str) -> Vec<(String, bool)> {
        let hand = of(json!({ "endpoints": ["http://a:1", "http://b:1"] }));
        let script = format!(
            "set -u\netcdctl() {{ case \"$*\" in *' status '*) echo '{status}';; *'member list'*) echo '{MEMBERS}';; \
             *) echo '{hashes}';; esac; }}\n{}",
            hand.commands[0].replace("ETCDCTL_API=3 etcdctl", "etcdctl")
        );
        let ended = ["sh", "bash"].map(|shell| {
            let ended = std::process::Command::new(shell).arg("-c").arg(&script).output().unwrap();
            (String::from_utf8(ended.stdout).unwrap(), ended.status.success())
        });
        ended.to_vec()
    }

    fn hash(endpoint: &str, hash: u32) -> String {
        format!(r#"{{"Endpoint":"{endpoint}","HashKV":{{"hash":{hash},"compact_revision":-1}}}}"#)
    }

    const STATUS: &str =
        r#"[{"Status":{"header":{"revision":9}}},{"Status":{"header":{"revision":8}}}]"#;

    #[test]
    fn the_commands_tell_members_that_agree_from_others() {
        let same = format!("[{},{}]", hash("a", 7), hash("b", 7));
        for (said, well) in judged(STATUS, &same) {
            assert!(said.ends_with("Members: the same\n") && well, "{said}");
        }
        let other = format!("[{},{}]", hash("a", 7), hash("b", 8));
        for (said, well) in judged(STATUS, &other) {
            assert!(said.contains("Members: DIFFERENT") && !well, "{said}");
        }
    }

    #[test]
    fn the_commands_never_end_well_when_a_member_was_not_heard() {
        for (said, well) in judged(STATUS, &format!("[{}]", hash("a", 7))) {
            assert!(said.contains("UNKNOWN: 1 of 2 voting members") && !well, "{said}");
        }
        for (said, well) in judged("", "").into_iter().chain(judged("[]", "[]")) {
            assert!(said.contains("Members: UNKNOWN") && !well, "{said}");
        }
    }

    #[test]
    fn certificates_and_the_backup_are_in_the_commands() {
        let hand = of(json!({
            "endpoints": ["https://a:1"], "all_members": true, "file": "a b.db",
            "tls": { "ca": "ca.crt", "certificate": "c.crt", "key": "c.key" },
        }));
        let commands = hand.commands.join("\n");
        for part in [
            "--endpoints https://a:1 --cacert ca.crt --cert c.crt --key c.key ",
            "endpoint hashkv --cluster --rev ",
            "MEMBERS_FILE='a b.db'",
            "etcdutl hashkv \"$MEMBERS_FILE\"",
        ] {
            assert!(commands.contains(part), "{part} is missing in {commands}");
        }
    }
}
