use crate::action::{ByHand, HandInput, HandShell, Wait};

fn shell(input: &HandInput) -> HandShell<'_> {
    HandShell { input, what: "copy", verb: "copied", name: "id" }
}

/// How a person copies the snapshot with the AWS CLI, run for the region that the copy goes to.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let (region, id, arn) = (input.region(), input.sets("id"), input.sets("arn"));
    let describe = |query: &str| {
        format!(
            "aws rds describe-db-snapshots --region {region} --db-snapshot-identifier \"${id}\" \\\n    \
             --query 'DBSnapshots[0].{query}' --output text"
        )
    };
    let earlier = format!(
        "aws rds describe-db-snapshots --region {region} \\\n    \
         --query \"DBSnapshots[?starts_with(DBSnapshotIdentifier,'{}')].DBSnapshotIdentifier\" --output text",
        shell(input).prefix()
    );
    let under_way = ["copying", "creating", "pending"];
    let decide = shell(input).by_status("status", &["available"], &under_way, HandShell::READY);
    let wait = Wait {
        look: &describe("Status"),
        status: "status",
        decide: &decide,
        until: "available",
        pause: 30,
        goes_on: false,
    };
    ByHand {
        commands: vec![
            shell(input).name(&earlier, &["arn"]),
            shell(input).ask(HandShell::NAMED, &copy_command(input), Some("DBSnapshotAlreadyExists")),
            shell(input).wait(HandShell::ASKED, &wait),
            shell(input).read(HandShell::READY, &describe("DBSnapshotArn"), &["arn"], ":"),
            shell(input).end(&format!("${arn}")),
        ],
        expected: format!(
            "The status goes from creating or copying to available. The last line is READY, with the ARN of the copy, which is \
             in ${arn}."
        ),
        verify: vec![
            describe("[Encrypted,KmsKeyId,SnapshotDatabaseTime,OriginalSnapshotCreateTime]"),
            "The key is one of this region; the times are those of the original, not of the copy.".to_owned(),
        ],
        if_it_fails: vec![
            "NOT READY: UNKNOWN is not failed: the copy may be under way. Correct what keeps AWS from answering (credentials, \
             network, throttling) and paste the block again."
                .to_owned(),
            format!(
                "The shell is gone: this step names what it makes {}…; the block lists what an earlier attempt has made, and \
                 makes nothing beside it until {id} is set.",
                shell(input).prefix()
            ),
            "KMSKeyNotAccessibleFault: name an enabled key of this region, and see that the policies of both keys let your role in."
                .to_owned(),
            "SnapshotQuotaExceeded, or more than 20 copies under way to this region: wait, or delete old copies.".to_owned(),
            "The original cannot be found: automated snapshots go with their instance; take the newest copy that is here.".to_owned(),
        ],
        remove: vec![shell(input).only_mine(&format!(
            "aws rds delete-db-snapshot --region {region} --db-snapshot-identifier \"${id}\" \\\n  \
             --query DBSnapshot.Status --output text"
        ))],
            ..ByHand::default()
        }
}

fn copy_command(input: &HandInput) -> String {
    let snapshot = input.word("snapshot").unwrap_or_else(|| "''".to_owned());
    let mut copy = vec![
        format!("aws rds copy-db-snapshot --region {}", input.region()),
        format!("--source-db-snapshot-identifier {snapshot}"),
        format!("--target-db-snapshot-identifier \"${}\"", input.sets("id")),
        // The CLI signs a URL for it where the partition needs one.
        format!("--source-region \"$(printf '%s' {snapshot} | cut -d: -f4)\""),
    ];
    copy.extend(input.word("kms_key").map(|key| format!("--kms-key-id {key}")));
    copy.extend(input.word("option_group").map(|group| format!("--option-group-name {group}")));
    copy.push("--query DBSnapshot.Status --output text".to_owned());
    copy.join(" \\\n    ")
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
            "--source-db-snapshot-identifier \"${POINT_ARN:?}\"",
            "--source-region \"$(printf '%s' \"${POINT_ARN:?}\" | cut -d: -f4)\"",
            "--kms-key-id alias/orders-dr",
        ] {
            assert!(copy.contains(part), "{part} is missing in\n{copy}");
        }
        assert!(hand.commands[3].contains("read -r COPY_ARN <<EOF"));
    }
}
