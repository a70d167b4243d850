use crate::action::{ByHand, HandInput};
use crate::providers::backups::{Choosing, key_state, lost_by_it};
use serde_json::Value;

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
    let of =
        input.word("of").map_or_else(String::new, |of| format!(" --db-instance-identifier {of}"));
    let query = format!("DBSnapshots[?{}].[{FIELDS}]", wanted(input));
    let describe = |kind: &str| {
        format!(
            "aws rds describe-db-snapshots --region {region}{of}{kind} \\\n  --query \"{query}\" --output text"
        )
    };
    let mut lists = vec![describe(""), describe(" --snapshot-type awsbackup")];
    if input.value("shared").and_then(Value::as_bool) == Some(true) {
        let query = to_restore(input, &query, "Encrypted");
        lists.push(format!(
            "aws rds describe-db-snapshots --region {region} --snapshot-type shared --include-shared \\\n  --query \"{query}\" --output text"
        ));
    }
    let (arn, at) = (input.sets("arn"), input.sets("at"));
    let choosing = Choosing {
        input,
        what: "snapshots",
        about: "time of the data, ARN, id, encrypted, key, engine, version, instance, type, in this region since; oldest first",
        lists: &lists,
        sort: "sort -u",
        outputs: &OUTPUTS,
        chosen: "arn",
        then: &format!("echo \"${at} ${arn}\"\n{}\n{}", key_state(input), version_state(input)),
    };
    ByHand {
        commands: vec![choosing.command()],
        expected: format!(
            "A list with one snapshot for each interval of the schedule, the newest last; its ARN in ${arn}, the time of its \
             data in ${at}; Enabled for its key, and its version, which is offered here."
        ),
        verify: [
            lost_by_it(input, "at", "committed"),
            vec!["Look at the times in the list: a missing interval is a backup or a copy that did not happen.".to_owned()],
        ]
        .concat(),
        if_it_fails: vec![
            "An empty list: there is no copy in this region. Look in the other regions and in the backup account; automated \
             snapshots stay in the region of their instance."
                .to_owned(),
            format!(
                "A time of None: RDS does not know how old the data is. Such a snapshot is chosen only when there is no other: \
                 set {arn} to its ARN, and look at max() of a table with times after restoring."
            ),
            "The key is not Enabled: enable it (`aws kms enable-key`) or cancel its deletion (`aws kms cancel-key-deletion`); \
             without the key the snapshot cannot be read."
                .to_owned(),
            VERSION_GONE.to_owned(),
            "The snapshot is copying or creating: wait for it, or take the one before it.".to_owned(),
        ],
            ..ByHand::default()
        }
}

/// The query of shared snapshots, without those from which RDS restores nothing unless they are copied before.
pub(in crate::providers) fn to_restore(input: &HandInput, query: &str, encrypted: &str) -> String {
    match input.value("to_copy").and_then(Value::as_bool) {
        Some(true) => query.to_owned(),
        _ => query.replacen("[?", &format!("[?! {encrypted} && "), 1),
    }
}

/// What to do when RDS offers the version no more.
pub(in crate::providers) const VERSION_GONE: &str = "None in place of a version: RDS does not offer it here any more, and restores nothing of it. Take a snapshot of a later \
     version, or one that was upgraded.";

/// Says whether the engine version of the chosen one is offered here: its number, or None.
pub(in crate::providers) fn version_state(input: &HandInput) -> String {
    let (engine, version) = (input.sets("engine"), input.sets("engine_version"));
    format!(
        "aws rds describe-db-engine-versions --region {} --engine \"${engine}\" --engine-version \"${version}\" \\\n  \
         --query 'DBEngineVersions[0].EngineVersion' --output text || echo 'UNKNOWN whether its version is offered' >&2",
        input.region()
    )
}

/// Which snapshots the step wants, as a condition of JMESPath inside double quotes of the shell.
fn wanted(input: &HandInput) -> String {
    let mut conditions = vec!["Status=='available'".to_owned()];
    let types = input.value("types").and_then(Value::as_array).into_iter().flatten();
    let types = types.filter_map(Value::as_str).map(|kind| match kind {
        // RDS names the source of copies across regions and accounts only.
        "copied" => "SourceDBSnapshotIdentifier".to_owned(),
        // Which account owns a snapshot stands in its ARN.
        "shared" => format!(
            "! contains(DBSnapshotArn,':{}:')",
            "$(aws sts get-caller-identity --query Account --output text)"
        ),
        kind => format!("SnapshotType=='{kind}'"),
    });
    let types: Vec<_> = types.collect();
    if !types.is_empty() {
        conditions.push(format!("({})", types.join(" || ")));
    }
    if input.value("shared").and_then(Value::as_bool) == Some(true)
        && let Some(of) = input.word("of")
    {
        conditions.push(format!("DBInstanceIdentifier=='{}'", of.trim_matches(['"', '\''])));
    }
    let tags = input.value("tags").and_then(Value::as_object);
    for (name, value) in tags.into_iter().flatten() {
        let value = HandInput::quote(value.as_str().unwrap_or_default());
        let value = value.trim_matches(['"', '\'']);
        conditions.push(format!("TagList[?Key=='{name}' && Value=='{value}']"));
    }
    if let Some(id) = input.word("resource_id") {
        // The shell fills in a variable here as well; identities hold nothing that it would take for something else.
        conditions.push(format!("DbiResourceId=='{}'", id.trim_matches(['"', '\''])));
    }
    conditions.join(" && ")
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
        assert!(hand.commands[0].contains("read -r POINT_AT POINT_ARN POINT_ID "));
        assert!(hand.commands[0].contains("awk -v limit=2026-11-22T00:00:00Z"));
        assert!(hand.commands[0].contains("--key-id \"$POINT_KMS_KEY\""));
    }

    #[test]
    fn by_hand_snapshots_are_found_by_tags_and_those_of_other_accounts_too() {
        let with = json!({ "of": "orders-db", "tags": { "system": "orders" }, "shared": true });
        let hand = by_hand(&HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new()));
        let list = &hand.commands[0];
        assert!(list.contains("--snapshot-type shared --include-shared"), "{list}");
        let wanted =
            "DBInstanceIdentifier=='orders-db' && TagList[?Key=='system' && Value=='orders']";
        assert!(list.contains(wanted), "{list}");
    }

    #[test]
    fn by_hand_the_same_snapshots_are_wanted_as_by_the_step() {
        let list = |with| {
            by_hand(&HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new())).commands[0]
                .clone()
        };
        let all = list(json!({ "of": "orders-db" }));
        assert!(all.contains("DBSnapshots[?Status=='available'].["), "{all}");
        let id = HandInput::variable_mark("config", "resource_id");
        let some = list(json!({ "of": "a", "types": ["manual", "copied"], "resource_id": id }));
        let condition = "[?Status=='available' && (SnapshotType=='manual' || SourceDBSnapshotIdentifier) && \
                         DbiResourceId=='${CONFIG_RESOURCE_ID:?}'].[";
        assert!(some.contains(condition), "{some}");
    }
}
