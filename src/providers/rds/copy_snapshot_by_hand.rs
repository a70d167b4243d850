use crate::action::{ByHand, HandInput, HandShell, Wait};
use serde_json::Value;

fn shell(input: &HandInput) -> HandShell<'_> {
    HandShell { input, what: "copy", verb: "copied", name: "id" }
}

/// What a kind of snapshot is called in the commands and answers of the AWS CLI.
pub(in crate::providers) struct Words {
    /// In commands and options: `db-snapshot`.
    pub(in crate::providers) option: &'static str,
    /// In answers: `DBSnapshot`.
    pub(in crate::providers) field: &'static str,
    /// The error when there is one of that name.
    pub(in crate::providers) exists: &'static str,
    /// The fields of the answer that are looked at afterwards.
    pub(in crate::providers) looked_at: &'static str,
    /// What to see in them.
    pub(in crate::providers) seen: &'static str,
}

const OF_INSTANCES: Words = Words {
    option: "db-snapshot",
    field: "DBSnapshot",
    exists: "DBSnapshotAlreadyExists",
    looked_at: "[Encrypted,KmsKeyId,SnapshotDatabaseTime,OriginalSnapshotCreateTime]",
    seen: "The key is one of this region; the times are those of the original, not of the copy.",
};

/// How a person copies the snapshot with the AWS CLI, run for the region that the copy goes to.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    of_words(input, &OF_INSTANCES, &[])
}

/// The same for any kind of snapshot, with tags for the copy.
pub(in crate::providers) fn of_words(input: &HandInput, words: &Words, tags: &[String]) -> ByHand {
    let Words { option, field, .. } = words;
    let (region, id, arn) = (input.region(), input.sets("id"), input.sets("arn"));
    let describe = |query: &str| {
        format!(
            "aws rds describe-{option}s --region {region} --{option}-identifier \"${id}\" \\\n    \
             --query '{field}s[0].{query}' --output text"
        )
    };
    let earlier = format!(
        "aws rds describe-{option}s --region {region} \\\n    \
         --query \"{field}s[?starts_with({field}Identifier,'{}')].{field}Identifier\" --output text",
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
            shell(input).ask(HandShell::NAMED, &copy_command(input, words, tags), Some(words.exists)),
            shell(input).wait(HandShell::ASKED, &wait),
            shell(input).read(HandShell::READY, &describe(&format!("{field}Arn")), &["arn"], ":"),
            shell(input).end(&format!("${arn}")),
        ],
        expected: format!(
            "The status goes from creating or copying to available. The last line is READY, with the ARN of the copy, which is \
             in ${arn}."
        ),
        verify: vec![
            describe(words.looked_at),
            words.seen.to_owned(),
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
            "aws rds delete-{option} --region {region} --{option}-identifier \"${id}\" \\\n  \
             --query {field}.Status --output text"
        ))],
            ..ByHand::default()
        }
}

fn copy_command(input: &HandInput, words: &Words, tags: &[String]) -> String {
    let Words { option, field, .. } = words;
    let snapshot = input.word("snapshot").unwrap_or_else(|| "''".to_owned());
    let mut copy = vec![
        format!("aws rds copy-{option} --region {}", input.region()),
        format!("--source-{option}-identifier {snapshot}"),
        format!("--target-{option}-identifier \"${}\"", input.sets("id")),
    ];
    // What is no ARN is in the same region. The CLI signs a URL for the other one where the partition needs it.
    if snapshot.contains("arn:") || snapshot.contains("${") {
        copy.push(format!("--source-region \"$(printf '%s' {snapshot} | cut -d: -f4)\""));
    }
    copy.extend(input.word("kms_key").map(|key| format!("--kms-key-id {key}")));
    copy.extend(input.word("option_group").map(|group| format!("--option-group-name {group}")));
    let written = input.value("tags").and_then(Value::as_object).into_iter().flatten();
    let written = written.map(|(name, value)| {
        HandInput::quote(&format!("Key={name},Value={}", value.as_str().unwrap_or_default()))
    });
    let tags: Vec<String> = written.chain(tags.iter().cloned()).collect();
    if !tags.is_empty() {
        copy.push(format!("--tags {}", tags.join(" ")));
    }
    copy.push(format!("--query {field}.Status --output text"));
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

    #[test]
    fn regression_a_copy_by_hand_carries_the_tags_and_names_no_region_that_is_none() {
        let with = json!({ "snapshot": "nightly", "tags": { "team": "a b" } });
        let hand = by_hand(&HandInput::new("copy", Some("eu-west-1"), with, BTreeMap::new()));
        let copy = &hand.commands[1];
        assert!(copy.contains("--tags 'Key=team,Value=a b'"), "{copy}");
        assert!(!copy.contains("--source-region"), "{copy}");
    }
}
