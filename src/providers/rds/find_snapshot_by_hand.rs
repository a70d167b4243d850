use crate::action::{ByHand, HandInput};

/// The fields that are listed, in the order in which the shell reads them.
const FIELDS: &str = "not_null(SnapshotDatabaseTime,OriginalSnapshotCreateTime),DBSnapshotArn,DBSnapshotIdentifier,\
                      Encrypted,KmsKeyId,Engine,EngineVersion,DbiResourceId,SnapshotType,SnapshotCreateTime";

/// The outputs that these fields are, in the same order.
const OUTPUTS: [&str; 10] = [
    "at",
    "arn",
    "id",
    "encrypted",
    "kms_key",
    "engine",
    "engine_version",
    "resource_id",
    "kind",
    "in_region_since",
];

/// How a person finds the recovery point with the AWS CLI. The CLI pages by itself.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let of = input.word("of").unwrap_or_else(|| "'<instance>'".to_owned());
    let list = input.sets("list");
    let query = format!("DBSnapshots[?Status=='available'].[{FIELDS}]");
    let describe = |kind: &str| {
        format!(
            "aws rds describe-db-snapshots --region {region} --db-instance-identifier {of}{kind} \\\n  --query \"{query}\" --output text"
        )
    };
    let limit = input.word("not_after").map_or_else(
        || "awk '$1 != \"None\"'".to_owned(),
        |limit| format!("awk -v limit={limit} '$1 != \"None\" && $1 <= limit'"),
    );
    let variables: Vec<_> = OUTPUTS.iter().map(|output| input.sets(output)).collect();
    let (arn, at, key) = (input.sets("arn"), input.sets("at"), input.sets("kms_key"));
    ByHand {
        commands: vec![
            format!(
                "# time of the data, ARN, id, encrypted, key, engine, version, instance, type, in this region since; oldest first\n\
                 {list}=$({{ {}\n{}; }} | sort -u)\nprintf '%s\\n' \"${list}\"",
                describe(""),
                describe(" --snapshot-type awsbackup"),
            ),
            format!(
                "read -r {} <<EOF\n$(printf '%s\\n' \"${list}\" | {limit} | tail -n 1)\nEOF\n\
                 echo \"${at} ${arn}\"",
                variables.join(" ")
            ),
            format!(
                "[ \"${key}\" = None ] || aws kms describe-key --region {region} --key-id \"${key}\" \\\n  \
                 --query KeyMetadata.KeyState --output text"
            ),
        ],
        expected: format!(
            "A list with one snapshot for each interval of the schedule, the newest last; its ARN in ${arn}, the time of its \
             data in ${at}; Enabled for its key."
        ),
        verify: vec![
            format!(
                "Everything that was committed after ${at} is lost by restoring this snapshot: say so to who decides."
            ),
            "Look at the times in the list: a missing interval is a backup or a copy that did not happen.".to_owned(),
        ],
        if_it_fails: vec![
            "An empty list: there is no copy in this region. Look in the other regions and in the backup account; automated \
             snapshots stay in the region of their instance."
                .to_owned(),
            "A time of None: RDS does not know how old the data is; look at max() of a table with times after restoring."
                .to_owned(),
            "The key is not Enabled: enable it (aws kms enable-key) or cancel its deletion (aws kms cancel-key-deletion); \
             without the key the snapshot cannot be read."
                .to_owned(),
            "The snapshot is copying or creating: wait for it, or take the one before it.".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_variables_that_later_steps_use_are_set_in_the_order_of_the_fields() {
        let with = json!({ "of": "orders-db", "not_after": "2026-11-22T00:00:00Z" });
        let hand = by_hand(&HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new()));
        assert_eq!(FIELDS.matches(',').count(), OUTPUTS.len(), "not_null() has one comma itself");
        assert!(hand.commands[0].contains("--region eu-west-1 --db-instance-identifier orders-db"));
        assert!(hand.commands[1].starts_with("read -r POINT_AT POINT_ARN POINT_ID "));
        assert!(hand.commands[1].contains("awk -v limit=2026-11-22T00:00:00Z"));
        assert!(hand.commands[2].contains("--key-id \"$POINT_KMS_KEY\""));
    }
}
