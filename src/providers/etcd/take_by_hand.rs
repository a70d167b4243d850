//! How people take a snapshot of a running etcd.

use super::by_hand::judge;
use super::fetch::TIME_MARK;
use super::live_by_hand::etcdctl;
use crate::action::{ByHand, HandInput};

/// How a person takes, verifies and stores a snapshot.
pub(super) fn take_snapshot(input: &HandInput) -> ByHand {
    let into_bucket = input.value("object").is_some();
    let mut commands = vec![save(input), judge(input)];
    let mut remove = Vec::new();
    if into_bucket {
        commands.push(store(input));
        remove = vec![
            "Every version of the object, and the file, once the snapshot is not needed any more:"
                .to_owned(),
            discard(input),
        ];
    }
    let stored = if into_bucket { " Stored: yes." } else { "" };
    ByHand {
        commands,
        expected: format!("SHA-256: the same. Table: shown.{stored}"),
        verify: vec![
            "Compare the snapshot with what the members store, within minutes: as is said for etcd.compare_members.".to_owned(),
            format!("{} endpoint status --write-out table", etcdctl(input)),
        ],
        if_it_fails: [
            "UNKNOWN: no snapshot was taken, or it was not looked at. A member without a leader, or a learner, gives none: ask another one.",
            "DIFFERENT, or NO SHA-256: it broke off or was changed on the way. Remove the file and take it again; do not store it.",
        ]
        .map(str::to_owned)
        .into(),
        needs: vec![
            "On a host that reaches the member: etcdctl, etcdutl, and the files of the cluster's authority and of a client certificate"
                .to_owned(),
        ],
        remove,
        ..ByHand::default()
    }
}

/// Never over another file: an attempt that went wrong leaves one to be looked at.
fn save(input: &HandInput) -> String {
    let [file, went, taken] = ["file", "went", "taken"].map(|name| input.sets(name));
    let wanted = input.word("file").unwrap_or_else(|| "$(mktemp -d)/snapshot.db".to_owned());
    format!(
        "umask 077; {file}=${{{file}:-{wanted}}}; {went}='UNKNOWN: no snapshot was taken'\n\
         echo \"{file}=${file}   # note this line down: it will hold every secret of the cluster\"\n\
         if [ -e \"${file}\" ]; then {went}=\"UNKNOWN: ${file} is there already: remove it, or set {file} to another name\"\n\
         else\n  {taken}=$(date -u +%Y-%m-%dT%H:%M:%SZ)\n  \
         if {} snapshot save \"${file}\"; then {went}=fetched; fi\nfi",
        etcdctl(input)
    )
}

fn key(input: &HandInput) -> String {
    let prefix = input.word("object.prefix").unwrap_or_else(|| "redrill-canary/".to_owned());
    let key = input.sets("key");
    format!("{key}=${{{key}:-{prefix}redrill-by-hand-{}}}", input.slug())
}

fn store(input: &HandInput) -> String {
    let names = ["file", "went", "taken", "key", "stored"].map(|name| input.sets(name));
    let [file, went, taken, key_name, stored] = names;
    let bucket = input.word("object.bucket").unwrap_or_default();
    format!(
        "{}; {stored}='NO: only a snapshot whose SHA-256 is the same is stored'\n\
         if [ \"${{{went}:-}}\" = 'the same' ]; then\n  \
         if aws s3 cp --region {} --only-show-errors \"${file}\" s3://{bucket}/\"${key_name}\" \\\n    \
         --metadata \"{TIME_MARK}=${taken}\"; then {stored}=yes\n  \
         else {stored}='UNKNOWN: it was not answered, as is said above; paste this block again'; fi\nfi\n\
         echo \"Stored: ${stored}\"\n[ \"${stored}\" = yes ]",
        key(input),
        input.region()
    )
}

fn discard(input: &HandInput) -> String {
    let [file, key_name, versions, version] =
        ["file", "key", "versions", "version"].map(|name| input.sets(name));
    let (region, bucket) = (input.region(), input.word("object.bucket").unwrap_or_default());
    format!(
        "{}; rm -f \"${{{file}:-}}\"\n\
         if {versions}=$(aws s3api list-object-versions --region {region} --bucket {bucket} --prefix \"${key_name}\" \\\n    \
         --query '[Versions,DeleteMarkers][][].VersionId' --output text); then\n  \
         for {version} in ${versions}; do\n    \
         [ \"${version}\" = None ] || aws s3api delete-object --region {region} --bucket {bucket} --key \"${key_name}\" \\\n      \
         --version-id \"${version}\"\n  done\n\
         else echo 'LEFT: its versions could not be listed, as is said above' >&2; false; fi",
        key(input)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn of(with: Value) -> ByHand {
        take_snapshot(&HandInput::new("take", Some("ap-northeast-3"), with, BTreeMap::new()))
    }

    /// Runs the blocks of a step that stores its snapshot, in `sh` and `bash`, with etcdctl saving so.
    fn run(folder: &Path, save: &str) -> Vec<(String, bool)> {
        let with = json!({ "endpoint": "http://a:1", "object": { "bucket": "backups" } });
        let commands = of(with).commands.join("\n").replace("ETCDCTL_API=3 etcdctl", "etcdctl");
        let ended = ["sh", "bash"].map(|shell| {
            let file = folder.join(shell);
            let script = format!(
                "set -u\nexec 2>&1\netcdctl() {{ {save} }}\netcdutl() {{ :; }}\naws() {{ echo \"aws $*\"; }}\n\
                 TAKE_FILE={}\n{commands}",
                file.display()
            );
            let ended = std::process::Command::new(shell).arg("-c").arg(script).output().unwrap();
            (String::from_utf8(ended.stdout).unwrap(), ended.status.success())
        });
        ended.to_vec()
    }

    #[test]
    fn by_hand_a_whole_snapshot_is_stored_with_its_time_and_a_torn_one_is_not() {
        use sha2::Digest as _;
        let folder = tempfile::tempdir().unwrap();
        let content = [7_u8; 1024];
        let whole = folder.path().join("whole");
        std::fs::write(&whole, [&content[..], &sha2::Sha256::digest(content)].concat()).unwrap();
        for (said, well) in run(folder.path(), &format!("cp {} \"$5\";", whole.display())) {
            assert!(well && said.contains("Stored: yes"), "{said}");
            assert!(said.contains("s3://backups/redrill-canary/redrill-by-hand-"), "{said}");
            assert!(said.contains("--metadata snapshot-time=2"), "{said}");
        }
        // The files are there by now: nothing is overwritten, and nothing is stored.
        for (said, well) in run(folder.path(), "echo overwritten;") {
            assert!(
                !well && said.contains("is there already") && !said.contains("overwritten"),
                "{said}"
            );
            assert!(!said.contains("aws s3"), "{said}");
        }
        let torn = tempfile::tempdir().unwrap();
        for (said, well) in run(torn.path(), "head -c 1024 /dev/zero > \"$5\";") {
            assert!(!well && said.contains("Stored: NO") && !said.contains("aws s3"), "{said}");
        }
    }

    #[test]
    fn by_hand_a_file_is_taken_under_the_name_that_was_asked_for() {
        let hand = of(json!({ "endpoint": "http://a:1", "file": "a b.db" }));
        assert!(
            hand.commands[0].contains("TAKE_FILE=${TAKE_FILE:-'a b.db'}"),
            "{:?}",
            hand.commands
        );
        assert_eq!((hand.commands.len(), hand.remove.len()), (2, 0));
    }
}
