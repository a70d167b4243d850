use crate::action::{ByHand, HandInput};
use crate::providers::backups::{Choosing, key_state, lost_by_it};
use crate::providers::rds::{VERSION_GONE, to_restore, version_state};
use serde_json::Value;

/// The fields that are listed after the time of the data, in the order in which the shell reads them.
const FIELDS: &str = "DBClusterSnapshotArn,DBClusterSnapshotIdentifier,StorageEncrypted,KmsKeyId,Engine,EngineVersion,\
                      DbClusterResourceId,SnapshotType,SnapshotCreateTime";

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
    let of = input.word("of").map(|of| format!(" --db-cluster-identifier {of}"));
    let of = of.unwrap_or_default();
    let query =
        format!("DBClusterSnapshots[?{}].[{},{FIELDS}]", wanted(input), time_of_data(input));
    let query = query.replace('"', "\\\"");
    let describe = |kind: &str| {
        format!(
            "aws rds describe-db-cluster-snapshots --region {region}{of}{kind} \\\n  --query \"{query}\" --output text"
        )
    };
    let mut lists = vec![describe(""), describe(" --snapshot-type awsbackup")];
    if is_shared(input) {
        let query = to_restore(input, &query, "StorageEncrypted");
        // Clusters of other accounts cannot be asked for by their name.
        lists.push(format!(
            "aws rds describe-db-cluster-snapshots --region {region} --snapshot-type shared --include-shared \\\n  --query \"{query}\" --output text"
        ));
    }
    let (arn, at) = (input.sets("arn"), input.sets("at"));
    let choosing = Choosing {
        input,
        what: "snapshots",
        about: "time of the data, ARN, id, encrypted, key, engine, version, cluster, type, in this region since; oldest first",
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
             snapshots stay in the region of their cluster."
                .to_owned(),
            format!(
                "A time of None: the snapshot is a copy and carries no tag with the time of its data; SnapshotCreateTime is \
                 the time of the copy. Such a snapshot is chosen only when there is no other: set {arn} to its ARN, and look \
                 at max() of a table with times after restoring."
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

fn is_shared(input: &HandInput) -> bool {
    input.value("shared").and_then(Value::as_bool) == Some(true)
}

/// `SnapshotCreateTime` of automated snapshots that name no source; else the tag, where the scenario names one. A blank after
/// `!`, or an interactive bash would look for it in its history.
fn time_of_data(input: &HandInput) -> String {
    const FIRST_HAND: &str = "SnapshotType=='automated' && ! SourceDBClusterSnapshotArn";
    let tag = input.value("time_tag").and_then(Value::as_str);
    let tag = tag.map(|tag| format!(" || (TagList[?Key=={}]|[0].Value)", text(tag)));
    format!("({FIRST_HAND} && SnapshotCreateTime){}", tag.unwrap_or_default())
}

/// A text as JMESPath writes it. Inside double quotes of the shell a variable is filled in here as well.
fn text(value: &str) -> String {
    let word = HandInput::quote(value);
    let bare = word.trim_matches(['"', '\'']);
    if word.starts_with('"') {
        format!("'{bare}'")
    } else {
        format!("'{}'", value.replace('\'', "\\'"))
    }
}

/// Which snapshots the step wants, as a condition of JMESPath inside double quotes of the shell.
fn wanted(input: &HandInput) -> String {
    let mut conditions = vec!["Status=='available'".to_owned()];
    let tags = input.value("tags").and_then(Value::as_object).into_iter().flatten();
    conditions.extend(tags.filter_map(|(name, value)| {
        Some(format!("TagList[?Key=={} && Value=={}]", text(name), text(value.as_str()?)))
    }));
    let types = input.value("types").and_then(Value::as_array).into_iter().flatten();
    let types = types.filter_map(Value::as_str).map(|kind| match kind {
        "copied" => "SourceDBClusterSnapshotArn".to_owned(),
        // Which account owns a snapshot stands in its ARN.
        "shared" => format!(
            "! contains(DBClusterSnapshotArn,':{}:')",
            "$(aws sts get-caller-identity --query Account --output text)"
        ),
        kind => format!("SnapshotType=='{kind}'"),
    });
    let types: Vec<_> = types.collect();
    if !types.is_empty() {
        conditions.push(format!("({})", types.join(" || ")));
    }
    if let Some(of) = input.value("of").and_then(Value::as_str).filter(|_| is_shared(input)) {
        conditions.push(format!("DBClusterIdentifier=={}", text(of)));
    }
    if let Some(id) = input.value("resource_id").and_then(Value::as_str) {
        conditions.push(format!("DbClusterResourceId=={}", text(id)));
    }
    conditions.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn of(with: Value) -> ByHand {
        by_hand(&HandInput::new("point", Some("eu-west-1"), with, BTreeMap::new()))
    }

    #[test]
    fn the_variables_that_later_steps_use_are_set_in_the_order_of_the_fields() {
        let hand = of(json!({ "of": "payments", "not_after": "2026-11-22T00:00:00Z" }));
        assert_eq!(FIELDS.split(',').count() + 1, OUTPUTS.len());
        assert!(
            hand.commands[0].contains("--region eu-west-1 --db-cluster-identifier payments \\")
        );
        assert!(hand.commands[0].contains("read -r POINT_AT POINT_ARN POINT_ID "));
        assert!(hand.commands[0].contains("awk -v limit=2026-11-22T00:00:00Z"));
        assert!(hand.commands[0].contains("--key-id \"$POINT_KMS_KEY\""));
    }

    #[test]
    fn by_hand_the_same_snapshots_are_wanted_as_by_the_step() {
        let list = |with| of(with).commands[0].clone();
        let all = list(json!({ "of": "payments" }));
        let time =
            "(SnapshotType=='automated' && ! SourceDBClusterSnapshotArn && SnapshotCreateTime)";
        assert!(
            all.contains(&format!("[?Status=='available'].[{time},DBClusterSnapshotArn")),
            "{all}"
        );
        let id = HandInput::variable_mark("config", "resource_id");
        let some = list(json!({
            "tags": { "app": "payments" }, "types": ["manual", "copied"], "resource_id": id,
            "time_tag": "data-time",
        }));
        let condition = "[?Status=='available' && TagList[?Key=='app' && Value=='payments'] && (SnapshotType=='manual' || \
                         SourceDBClusterSnapshotArn) && DbClusterResourceId=='${CONFIG_RESOURCE_ID:?}'].[";
        assert!(some.contains(condition), "{some}");
        assert!(
            some.contains(&format!("[{time} || (TagList[?Key=='data-time']|[0].Value),")),
            "{some}"
        );
        assert!(!some.contains("--db-cluster-identifier"), "{some}");
    }

    #[test]
    fn what_other_accounts_share_is_listed_for_the_cluster_alone() {
        let list = |with| of(with).commands[0].clone();
        let shared = list(json!({ "of": "payments", "shared": true, "types": ["shared"] }));
        assert!(shared.contains("--snapshot-type shared --include-shared"), "{shared}");
        assert!(shared.contains("DBClusterIdentifier=='payments'"), "{shared}");
        assert!(shared.contains("! contains(DBClusterSnapshotArn,':$(aws sts"), "{shared}");
        let own = list(json!({ "of": "payments" }));
        assert!(!own.contains("--include-shared"), "{own}");
        assert!(own.contains("describe-db-engine-versions --region eu-west-1"), "{own}");
    }
}
