use crate::action::{ByHand, HandInput};
use crate::providers::rds::{CopyWords, copied_by_hand};

const OF_CLUSTERS: CopyWords = CopyWords {
    option: "db-cluster-snapshot",
    field: "DBClusterSnapshot",
    exists: "DBClusterSnapshotAlreadyExistsFault",
    looked_at: "[StorageEncrypted,KmsKeyId,SnapshotCreateTime,TagList]",
    seen: "The key is one of this region. SnapshotCreateTime is that of the copy: how old its data is, only the tag says.",
};

/// How a person copies the cluster snapshot with the AWS CLI, run for the region that the copy goes to.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let time = input.word("data_time").zip(input.word("time_tag"));
    let tags = time.map(|(time, tag)| format!("Key={tag},Value={time}"));
    copied_by_hand(input, &OF_CLUSTERS, tags.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_copy_carries_the_time_of_its_data() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "arn"), "kms_key": "alias/payments-dr",
            "data_time": HandInput::variable_mark("point", "at"), "time_tag": "data-time",
        });
        let hand = by_hand(&HandInput::new("copy", Some("eu-west-1"), with, BTreeMap::new()));
        for part in [
            "copy-db-cluster-snapshot --region eu-west-1",
            "--source-db-cluster-snapshot-identifier \"${POINT_ARN:?}\"",
            "--kms-key-id alias/payments-dr",
            "--tags Key=data-time,Value=\"${POINT_AT:?}\"",
        ] {
            assert!(hand.commands[1].contains(part), "{part} is missing in\n{}", hand.commands[1]);
        }
        assert!(hand.commands[3].contains("DBClusterSnapshots[0].DBClusterSnapshotArn"));
    }
}
