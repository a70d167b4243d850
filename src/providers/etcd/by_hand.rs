use super::fetch::TIME_MARK;
use crate::action::{ByHand, HandInput};

/// How a person verifies a snapshot: the SHA-256 at its end by hand, the structure with etcd's own tool.
pub(super) fn verify_snapshot(input: &HandInput) -> ByHand {
    if input.value("platform").and_then(|platform| platform.as_str()) == Some("eks") {
        return on_eks();
    }
    let file = input.sets("file");
    ByHand {
        commands: vec![fetch(input), judge(input)],
        expected: "SHA-256: the same. The table shows the revision and number of keys that the backup job recorded."
            .to_owned(),
        verify: vec![
            "Do not trust the table alone: etcdutl snapshot status never reads the SHA-256 and shows a snapshot with \
             changed values as good; on a file that was cut it crashes."
                .to_owned(),
            "If there is time, restore it into an empty folder, which does check the SHA-256:".to_owned(),
            format!("etcdutl snapshot restore \"${{{file}:?}}\" --data-dir \"$(mktemp -d)/restored\""),
        ],
        if_it_fails: vec![
            "UNKNOWN: the snapshot was not fetched, which says nothing about it. Correct the cause and paste the block again."
                .to_owned(),
            "NO SHA-256 at its end: a copy of a member's database, a packed file, or a file that was cut. Unpack it, \
             or take an older snapshot."
                .to_owned(),
            "DIFFERENT: the file was changed after it was written. Take the snapshot before it; do not use \
             --skip-hash-check unless there is nothing else."
                .to_owned(),
        ],
        needs: vec![
            "On every host of the control plane that is restored: root, etcdutl of the version of the snapshot's etcd (etcdctl up \
             to 3.4), and a way to bring a file there"
                .to_owned(),
            "On new hosts also etcd's own configuration (names, URLs, certificates), and the encryption configuration of the API \
             server where secrets are encrypted at rest: a snapshot holds neither"
                .to_owned(),
        ],
        sections: super::restore_by_hand::sections(input),
        ..ByHand::default()
    }
}

/// One file for all attempts, which holds every secret of the cluster.
fn fetch(input: &HandInput) -> String {
    let (file, went) = (input.sets("file"), input.sets("went"));
    let (Some(bucket), Some(key)) = (input.word("object.bucket"), input.word("object.key")) else {
        let named = input.word("file").unwrap_or_else(|| "snapshot.db".to_owned());
        return format!("{file}={named}; {went}=fetched");
    };
    let version = input.word("object.version_id").map(|id| format!(" --version-id {id}"));
    format!(
        "umask 077; {file}=${{{file}:-$(mktemp)}}; {went}=fetched\n\
         aws s3api get-object --region {} --bucket {bucket} --key {key}{} \"${file}\" \\\n  \
         --query '[LastModified,VersionId,Metadata.\"{TIME_MARK}\"]' || {went}='UNKNOWN: not fetched, as is said above'",
        input.region(),
        version.unwrap_or_default()
    )
}

/// Whole pages of 512 bytes, and 32 bytes of SHA-256 behind them.
fn judge(input: &HandInput) -> String {
    let names = ["file", "went", "size", "sum", "wanted"].map(|output| input.sets(output));
    let [file, went, size, sum, wanted] = names;
    format!(
        "if [ \"${went}\" = fetched ]; then\n  \
         {size}=$(wc -c < \"${file}\")\n  \
         {sum}=$(head -c \"$(({size} - 32))\" \"${file}\" | sha256sum | cut -d ' ' -f 1)\n  \
         {wanted}=$(tail -c 32 \"${file}\" | od -An -v -tx1 | tr -d ' \\n')\n  \
         if [ \"$(({size} % 512))\" -ne 32 ]; then {went}='NO SHA-256 at its end'\n  \
         elif [ \"${sum}\" = \"${wanted}\" ]; then {went}='the same'\n  \
         else {went}=\"DIFFERENT: ${sum} of the file, ${wanted} at its end\"; fi\n  \
         etcdutl snapshot status \"${file}\" --write-out table\nfi\n\
         echo \"SHA-256: ${went}\"\n[ \"${went}\" = 'the same' ]"
    )
}

fn on_eks() -> ByHand {
    ByHand {
        commands: vec!["velero backup get".to_owned()],
        expected: "A recent backup of the cluster's objects, Completed. Amazon EKS gives no access to etcd."
            .to_owned(),
        verify: vec!["velero backup describe NAME --details".to_owned()],
        if_it_fails: vec![
            "Create a new cluster from code and let GitOps (Argo CD, Flux) bring its objects back; restore volumes \
             from their own snapshots."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_commands_fetch_the_version_that_was_named() {
        let with =
            json!({ "object": { "bucket": "backups", "key": "a b.db", "version_id": "v1" } });
        let input = HandInput::new("snapshot", Some("ap-northeast-3"), with, BTreeMap::new());
        let commands = verify_snapshot(&input).commands.join("\n");
        assert!(
            commands.contains("--key 'a b.db' --version-id v1 \"$SNAPSHOT_FILE\""),
            "{commands}"
        );
        assert!(commands.contains("--region ap-northeast-3"), "{commands}");
    }

    /// A file of so many pages with a digest behind them, judged by the commands.
    fn judged(content: &[u8], digest: &[u8]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a file.db");
        std::fs::write(&path, [content, digest].concat()).unwrap();
        let with = json!({ "file": path.to_str().unwrap() });
        let hand = verify_snapshot(&HandInput::new("snapshot", None, with, BTreeMap::new()));
        let script = format!("set -u\netcdutl() {{ :; }}\n{}", hand.commands.join("\n"));
        let ended = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        (String::from_utf8(ended.stdout).unwrap(), ended.status.success())
    }

    #[test]
    fn the_commands_tell_a_whole_snapshot_from_others() {
        use sha2::Digest as _;
        let content = [7_u8; 1024];
        let digest = sha2::Sha256::digest(content);
        assert_eq!(judged(&content, &digest), ("SHA-256: the same\n".to_owned(), true));
        let (said, passed) = judged(&[8_u8; 1024], &digest);
        assert!(said.contains("SHA-256: DIFFERENT: ") && !passed, "{said}");
        let (said, passed) = judged(&content, b"");
        assert!(said.contains("SHA-256: NO SHA-256 at its end") && !passed, "{said}");
    }

    #[test]
    fn on_eks_nobody_is_sent_to_a_snapshot() {
        let input = HandInput::new("s", None, json!({ "platform": "eks" }), BTreeMap::new());
        assert!(verify_snapshot(&input).commands.iter().all(|c| !c.contains("etcdutl")));
    }
}
