//! How people start a throw-away etcd from a snapshot, and ask it: to count what is in it, or to see that it can be restored.

use super::by_hand::{fetch, none_there};
use super::restore_by_hand::forward;
use crate::action::{ByHand, HandInput, HandSection};

/// Where it listens, and where members would find it: sockets in the folder, in which it runs, and no port, so that no other user
/// of the machine can ask it. They are named without the folder, since paths of sockets are short.
const CLIENT: &str = "unix://trial.client:1";
const PEER: &str = "unix://trial.peer:1";

/// How a person counts what a snapshot holds.
pub(super) fn inventory(input: &HandInput) -> ByHand {
    let ask = "etcdctl --endpoints \"$at\" get / --prefix --keys-only > \"$folder/keys\"\n\
               awk -F / 'NF > 2 { n[$3]++ } END { for (r in n) print n[r], r }' \"$folder/keys\" | sort -rn\n\
               [ -s \"$folder/keys\" ]";
    let wanted = ["counts", "exist", "recovery_kit"]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", input.value(name)?)))
        .collect::<Vec<_>>();
    let wanted = if wanted.is_empty() {
        "Compare with the list of an earlier snapshot.".to_owned()
    } else {
        format!("Expected, as in the scenario: {}.", wanted.join("; "))
    };
    let mut by_hand = ByHand {
        expected: format!("Trial: done. A list of resources, each with its number of objects. {wanted}"),
        verify: vec![
            "With which keys secrets are encrypted, and how many with each. Where all are, the numbers add up to that of secrets; the \
             recovery kit must hold every one of these keys:"
                .to_owned(),
            trial(
                input,
                "etcdctl --endpoints \"$at\" get /registry/secrets/ --prefix --print-value-only > \"$folder/values\"\n\
                 grep -a -o -E 'k8s:enc:[a-z]+:v[0-9]+:[^:]+' \"$folder/values\" | sort | uniq -c\n\
                 [ -s \"$folder/values\" ]",
            ),
        ],
        ..by_trial(input, ask)
    };
    by_hand.verify.extend(decrypting(input));
    by_hand.verify.extend(token(input));
    by_hand
}

/// How a person sees that the server token of the recovery kit is the right one: the entry is named after it.
fn token(input: &HandInput) -> Vec<String> {
    let Some(file) = input.word("server_token") else { return Vec::new() };
    let name = input.sets("bootstrap");
    let ask = format!(
        "etcdctl --endpoints \"$at\" get /bootstrap/ --prefix --keys-only > \"$folder/bootstrap\"\n\
         if grep -q -x \"/bootstrap/${name}\" \"$folder/bootstrap\"; then echo 'TOKEN: the same'; else echo 'NOT THE TOKEN' >&2; false; fi"
    );
    vec![
        "That the server token of the recovery kit is the one with which the bootstrap data is encrypted: its name is made of it. NOT \
         THE TOKEN: take that of the time of the snapshot, or it is a snapshot of another cluster:"
            .to_owned(),
        format!(
            "{name}=$(sed -n '1{{s/^K10[^:]*::[^:]*://;p;}}' {file} | tr -d '\\r\\n' | sha256sum | cut -c 1-12)\n{}",
            trial(input, &ask)
        ),
    ]
}

/// How a person sees that the keys of the recovery kit are the right ones: what an API server reads with them is.
fn decrypting(input: &HandInput) -> Vec<String> {
    let words = ["namespace", "name", "encryption_config"]
        .map(|field| input.word(&format!("decrypt.{field}")));
    let [Some(namespace), Some(name), Some(config)] = words else { return Vec::new() };
    let file = input.sets("file");
    vec![
        "That its keys are the right ones, and not only named alike: with this program, which decrypts the secret and shows nothing of \
         it:"
            .to_owned(),
        format!("redrill etcd inventory \"${{{file}:?}}\" --decrypt {namespace}/{name} --encryption-config {config}"),
        format!(
            "Without this program only an API server can tell: start that of the restored cluster with --encryption-provider-config \
             {config}. This then says NOT READ where the key is a wrong one:"
        ),
        format!(
            "kubectl get secret {name} --namespace {namespace} --output name || {{ echo 'NOT READ' >&2; false; }}"
        ),
    ]
}

/// How a person sees that a snapshot can be restored.
pub(super) fn restore(input: &HandInput) -> ByHand {
    let ask = "etcdctl --endpoints \"$at\" endpoint status --write-out table\n\
               etcdctl --endpoints \"$at\" endpoint hashkv --write-out table\n\
               etcdctl --endpoints \"$at\" get '' --prefix --keys-only > \"$folder/keys\"\n\
               echo \"keys: $(grep -c . \"$folder/keys\")\"\n\
               [ -s \"$folder/keys\" ]";
    ByHand {
        expected: "Trial: done. The revision and the number of keys are those that the backup job recorded, and not 0."
            .to_owned(),
        ..by_trial(input, ask)
    }
}

fn by_trial(input: &HandInput, ask: &str) -> ByHand {
    let mut if_it_fails = none_there(input);
    if_it_fails.extend(
        [
            "UNKNOWN: nothing was tried: the snapshot was not fetched, or a program is not there. Correct the cause and paste the \
             block again.",
            "NOT RESTORED: `sha256` in what is said above: the file was changed after it was written; take the snapshot before it. \
             `missing hash`: it is no snapshot of etcdctl, or was cut.",
            "NOT STARTED: read the file log in the folder; an etcd older than that of the snapshot does not start from it.",
        ]
        .map(str::to_owned),
    );
    ByHand {
        commands: vec![fetch(input), trial(input, ask)],
        if_it_fails,
        needs: vec![
            "On the host of this shell: etcd, etcdctl and (from 3.5 on) etcdutl, of the version of the snapshot's etcd, and twice \
             the room of the snapshot"
                .to_owned(),
        ],
        sections: vec![removing(input)],
        ..ByHand::default()
    }
}

/// Restores into a folder with a name, starts an etcd there, asks, stops it, and removes the folder.
fn trial(input: &HandInput, ask: &str) -> String {
    let names = ["file", "trial", "folder"].map(|output| input.sets(output));
    let [file, trial, folder] = names;
    let asked = input.value("bump_revision").and_then(serde_json::Value::as_u64);
    let (before, forward) = match asked {
        // shellcheck is told that these are two options, or none.
        Some(revisions) => (
            format!("{}\n# shellcheck disable=SC2086 # two options, or none\n", forward(revisions)),
            " $forward",
        ),
        None => (String::new(), ""),
    };
    format!(
        "umask 077; {trial}='UNKNOWN: there is no snapshot to try, or no etcd'\n\
         if [ -s \"${{{file}:-}}\" ] && command -v etcd >/dev/null && command -v etcdctl >/dev/null; then\n  \
         {folder}=${{{folder}:-$(mktemp -d)}}\n  \
         echo \"{folder}=${folder}   # note this line down: it will hold every secret of the cluster, until it is removed\"\n  \
         (\n\
         set -u; export ETCDCTL_API=3; at={CLIENT}; folder=${folder}\n\
         if command -v etcdutl >/dev/null; then tool=etcdutl; else tool=etcdctl; fi\n\
         rm -rf \"${{folder:?}}/data\"\n\
         {before}$tool snapshot restore \"${file}\" --data-dir \"$folder/data\"{forward} --name trial \\\n  \
         --initial-cluster trial={PEER} --initial-advertise-peer-urls {PEER} || exit 10\n\
         cd \"$folder\" || exit 11\n\
         etcd --name trial --data-dir \"$folder/data\" --listen-client-urls $at --advertise-client-urls $at \\\n  \
         --listen-peer-urls {PEER} --initial-advertise-peer-urls {PEER} \\\n  \
         --initial-cluster trial={PEER} >\"$folder/log\" 2>&1 &\n\
         etcd=$!\n\
         trap 'kill $etcd 2>/dev/null; wait $etcd 2>/dev/null' EXIT\n\
         n=0\n\
         until etcdctl --endpoints $at --command-timeout 2s get health --keys-only >/dev/null 2>&1; do\n  \
         n=$((n + 1)); {{ [ $n -lt 60 ] && kill -0 $etcd 2>/dev/null; }} || exit 11\n  sleep 1\n\
         done\n\
         kill -0 $etcd 2>/dev/null || exit 11\n\
         {ask}\n\
         )\n  \
         case $? in\n    \
         0) {trial}=done;;\n    \
         10) {trial}='NOT RESTORED, as is said above';;\n    \
         11) {trial}=\"NOT STARTED: $(tail -n 1 \"${folder}/log\" 2>/dev/null)\";;\n    \
         *) {trial}='NOT ANSWERED, as is said above';;\n  esac\n  \
         rm -rf \"${{{folder}:?}}\" || {trial}=\"LEFT: ${folder} holds every secret of the cluster: remove it\"\nfi\n\
         echo \"Trial: ${trial}\"\n[ \"${trial}\" = done ]"
    )
}

/// A file that was there before the step is not the step's to remove.
fn removing(input: &HandInput) -> HandSection {
    let (file, folder) = (input.sets("file"), input.sets("folder"));
    let fetched = input.value("object").is_some();
    let copy = if fetched { format!("\"${{{file}:?}}\" ") } else { String::new() };
    HandSection {
        title: "Always, when this step is done".to_owned(),
        parts: vec![
            "Copies hold every secret of the cluster: remove them. In a new shell, first paste the lines that were noted down."
                .to_owned(),
            format!(
                "if rm -rf {copy}${{{folder}:+\"${folder}\"}}; then echo REMOVED; else echo 'LEFT, as is said above' >&2; false; fi"
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    fn of_file() -> HandInput {
        HandInput::new("snapshot", None, json!({ "file": "good.db" }), BTreeMap::new())
    }

    /// Pastes the step, in a folder where these stand for etcd's programs.
    fn pasted(folder: &Path, programs: &str) -> (String, Option<i32>) {
        std::fs::write(folder.join("good.db"), "x").unwrap();
        let text = restore(&of_file()).commands.join("\n");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("set -u\nexec 2>&1\n{programs}\n{text}"));
        let ended = command.current_dir(folder).env("TMPDIR", folder).output().unwrap();
        (String::from_utf8(ended.stdout).unwrap(), ended.status.code())
    }

    const WORKING: &str = "etcd() { exec tail -f /dev/null; }\netcdctl() { echo /registry/x; }\netcdutl() { mkdir -p \"$5\"; }";

    #[test]
    fn the_trial_asks_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (said, code) = pasted(folder.path(), WORKING);
        assert!(code == Some(0) && said.contains("Trial: done"), "{said}");
        let noted = said.lines().find_map(|line| line.strip_prefix("SNAPSHOT_FOLDER="));
        let noted = noted.and_then(|line| line.split_whitespace().next()).unwrap();
        assert!(!Path::new(noted).exists(), "{said}");
    }

    #[test]
    fn the_revision_is_moved_forward_as_the_scenario_asks_and_the_program_knows() {
        let with = json!({ "file": "good.db", "bump_revision": 5000 });
        let text = restore(&HandInput::new("snapshot", None, with, BTreeMap::new())).commands;
        for (help, asked) in [
            ("--bump-revision --mark-compacted", "--bump-revision 5000 --mark-compacted"),
            ("", ""),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("good.db"), "x").unwrap();
            let etcdutl = format!(
                "etcdutl() {{ case \"$*\" in *--help*) echo '{help}';; *) echo \"$*\" > asked; mkdir -p \"$5\";; esac; }}"
            );
            let (etcd, _) = WORKING.split_once("\netcdutl").unwrap();
            let script = format!("set -u\nexec 2>&1\n{etcd}\n{etcdutl}\n{}", text.join("\n"));
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).current_dir(folder.path()).env("TMPDIR", folder.path());
            let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
            assert!(said.contains("Trial: done"), "{said}");
            let given = std::fs::read_to_string(folder.path().join("asked")).unwrap();
            assert!(given.contains(&format!("/data {asked}").trim_end().to_owned()), "{given}");
            assert_eq!(given.contains("--bump-revision"), !asked.is_empty(), "{given}");
            assert_eq!(said.contains("knows no --bump-revision"), asked.is_empty(), "{said}");
        }
    }

    #[test]
    fn the_token_of_the_recovery_kit_is_told_from_another_one() {
        let with = json!({ "file": "good.db", "server_token": "token" });
        let hand = inventory(&HandInput::new("objects", None, with, BTreeMap::new()));
        let block = hand.verify.last().unwrap();
        // `printf %s swordfish | sha256sum`
        let working = WORKING.replace("/registry/x", "/bootstrap/b9f195c5cc7e");
        for (token, said) in [
            ("swordfish", "TOKEN: the same"),
            ("K10ab12::server:swordfish\n", "TOKEN: the same"),
            ("other", "NOT THE TOKEN"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("good.db"), "x").unwrap();
            std::fs::write(folder.path().join("token"), token).unwrap();
            let script = format!("set -u\nexec 2>&1\n{working}\nOBJECTS_FILE=good.db\n{block}");
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).current_dir(folder.path()).env("TMPDIR", folder.path());
            let ended = command.output().unwrap();
            let text = String::from_utf8(ended.stdout).unwrap();
            assert!(text.contains(said), "{text}");
            assert_eq!(ended.status.success(), said.starts_with("TOKEN"), "{text}");
        }
    }

    #[test]
    fn what_goes_wrong_is_told_apart_and_never_done() {
        for (programs, said) in [
            (WORKING.replace("mkdir -p \"$5\"", "return 1"), "Trial: NOT RESTORED"),
            (
                WORKING
                    .replace("echo /registry/x", "return 1")
                    .replace("exec tail -f /dev/null", "return 1"),
                "Trial: NOT STARTED",
            ),
            (
                WORKING
                    .replace("echo /registry/x", "case \"$*\" in *health*) ;; *) return 1;; esac"),
                "Trial: NOT ANSWERED",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (text, code) = pasted(folder.path(), &programs);
            assert!(code == Some(1) && text.contains(said), "{said}: {text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let (text, code) = pasted(folder.path(), "PATH=/nonexistent");
        assert!(code == Some(1) && text.contains("Trial: UNKNOWN"), "{text}");
    }
}
