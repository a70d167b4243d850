use super::fetch::TIME_MARK;
use crate::action::{ByHand, HandInput};

/// How a person verifies a snapshot: the SHA-256 at its end by hand, the structure with etcd's own tool.
pub(super) fn verify_snapshot(input: &HandInput) -> ByHand {
    if input.value("platform").and_then(|platform| platform.as_str()) == Some("eks") {
        return on_eks();
    }
    let mut commands = Vec::new();
    if let (Some(bucket), Some(key)) = (input.word("object.bucket"), input.word("object.key")) {
        let region = input.region();
        let version = input
            .word("object.version_id")
            .map(|id| format!(" --version-id {id}"))
            .unwrap_or_default();
        commands.push("umask 077; FILE=$(mktemp)".to_owned());
        commands.push(format!(
            "aws s3api get-object --region {region} --bucket {bucket} --key {key}{version} \"$FILE\" \
             --query '[LastModified,VersionId,Metadata.\"{TIME_MARK}\"]'"
        ));
    } else {
        let file = input.word("file").unwrap_or_else(|| "snapshot.db".to_owned());
        commands.push(format!("FILE={file}"));
    }
    commands.extend(
        [
            "SIZE=$(wc -c < \"$FILE\"); echo $((SIZE % 512))",
            "head -c $((SIZE - 32)) \"$FILE\" | sha256sum | cut -d ' ' -f 1",
            "tail -c 32 \"$FILE\" | od -An -v -tx1 | tr -d ' \\n'; echo",
            "etcdutl snapshot status \"$FILE\" --write-out table",
        ]
        .map(str::to_owned),
    );
    ByHand {
        commands,
        expected: "The first number is 32: there is a SHA-256 at the end. The next two lines are the same. The table \
                   shows the revision and number of keys that the backup job recorded."
            .to_owned(),
        verify: vec![
            "Do not trust the table alone: etcdutl snapshot status never reads the SHA-256 and shows a snapshot with \
             changed values as good; on a file that was cut it crashes."
                .to_owned(),
            "If there is time, restore it into an empty folder, which does check the SHA-256: etcdutl snapshot \
             restore \"$FILE\" --data-dir \"$(mktemp -d)/restored\""
                .to_owned(),
        ],
        if_it_fails: vec![
            "Another number than 32: a copy of a member's database, a packed file, or a file that was cut. Unpack it, \
             or take an older snapshot."
                .to_owned(),
            "Different digests: the file was changed after it was written. Take the snapshot before it; do not use \
             --skip-hash-check unless there is nothing else."
                .to_owned(),
            "Remove the temporary copy afterwards: it holds every secret of the cluster. rm -f \"$FILE\""
                .to_owned(),
        ],
    }
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
        assert!(commands.contains("--key 'a b.db' --version-id v1 \"$FILE\""), "{commands}");
        assert!(commands.contains("--region ap-northeast-3"), "{commands}");
    }

    #[test]
    fn on_eks_nobody_is_sent_to_a_snapshot() {
        let input = HandInput::new("s", None, json!({ "platform": "eks" }), BTreeMap::new());
        assert!(verify_snapshot(&input).commands.iter().all(|c| !c.contains("etcdutl")));
    }
}
