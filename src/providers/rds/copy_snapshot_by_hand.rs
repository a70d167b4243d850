use crate::action::{ByHand, HandInput};

/// How a person copies the snapshot with the AWS CLI, run for the region that the copy goes to.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let snapshot = input.word("snapshot").unwrap_or_else(|| "'<snapshot ARN>'".to_owned());
    let (id, arn, status) = (input.sets("id"), input.sets("arn"), input.sets("status"));
    let mut copy = vec![
        format!("aws rds copy-db-snapshot --region {region}"),
        format!("--source-db-snapshot-identifier {snapshot}"),
        format!("--target-db-snapshot-identifier \"${id}\""),
        // The CLI signs a URL for it where the partition needs one.
        format!("--source-region \"$(printf '%s' {snapshot} | cut -d: -f4)\""),
    ];
    copy.extend(input.word("kms_key").map(|key| format!("--kms-key-id {key}")));
    copy.extend(input.word("option_group").map(|group| format!("--option-group-name {group}")));
    copy.push("--query DBSnapshot.Status --output text".to_owned());
    let describe = |query: &str| {
        format!(
            "aws rds describe-db-snapshots --region {region} --db-snapshot-identifier \"${id}\" \\\n    \
             --query 'DBSnapshots[0].{query}' --output text"
        )
    };
    ByHand {
        commands: vec![
            format!("{id}=copied-{}-$(date -u +%Y%m%d-%H%M)   # the name of the copy", input.slug()),
            copy.join(" \\\n  "),
            format!(
                "n=0; {status}=\nwhile [ $n -lt 720 ]; do\n  {status}=$({})\n  echo \"$(date -u +%FT%TZ) ${status}\"\n  \
                 case \"${status}\" in\n    available) break;;\n    copying|creating|pending|'') sleep 30;;\n    \
                 *) echo \"the copy has ended in ${status}\" >&2; break;;\n  esac\n  n=$((n + 1))\ndone",
                describe("Status")
            ),
            format!("{arn}=$({})", describe("DBSnapshotArn")),
        ],
        expected: format!("The status goes from creating or copying to available; the ARN of the copy in ${arn}."),
        verify: vec![
            describe("[Encrypted,KmsKeyId,SnapshotDatabaseTime,OriginalSnapshotCreateTime]"),
            "The key is one of this region; the times are those of the original, not of the copy.".to_owned(),
        ],
        if_it_fails: vec![
            "KMSKeyNotAccessibleFault: name an enabled key of this region, and see that the policies of both keys let your role in."
                .to_owned(),
            "SnapshotQuotaExceeded, or more than 20 copies under way to this region: wait, or delete old copies.".to_owned(),
            "The original cannot be found: automated snapshots go with their instance; take the newest copy that is here.".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_copy_is_made_for_the_region_that_it_goes_to_under_its_key() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "arn"), "kms_key": "alias/orders-dr",
        });
        let hand = by_hand(&HandInput::new("copy", Some("eu-west-1"), with, BTreeMap::new()));
        let copy = &hand.commands[1];
        for part in [
            "copy-db-snapshot --region eu-west-1",
            "--source-db-snapshot-identifier \"${POINT_ARN}\"",
            "--source-region \"$(printf '%s' \"${POINT_ARN}\" | cut -d: -f4)\"",
            "--kms-key-id alias/orders-dr",
        ] {
            assert!(copy.contains(part), "{part} is missing in\n{copy}");
        }
        assert!(hand.commands[3].starts_with("COPY_ARN=$("));
    }
}
