use crate::action::{ByHand, HandInput};
use crate::providers::backups::{Choosing, key_state, lost_by_it};

/// The fields that are listed, in the order in which the shell reads them.
const FIELDS: &str = "RestoreWindow.EarliestTime,RestoreWindow.LatestTime,not_null(DBInstanceAutomatedBackupsArn,DbiResourceId),\
                      DbiResourceId,Status,Region,Encrypted,KmsKeyId,Engine,EngineVersion";

/// The outputs that these fields are, in the same order.
const OUTPUTS: [&str; 10] = [
    "earliest",
    "latest",
    "backup",
    "resource_id",
    "status",
    "source_region",
    "encrypted",
    "kms_key",
    "engine",
    "engine_version",
];

/// How a person finds the automated backup with the AWS CLI. The CLI pages by itself.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let (backup, latest) = (input.sets("backup"), input.sets("latest"));
    let (engine, version) = (input.sets("engine"), input.sets("engine_version"));
    // What begins after the wanted time cannot be restored to it; of the rest, the one that reaches the latest time.
    let list = format!(
        "aws rds describe-db-instance-automated-backups --region {region} \\\n  \
         --query \"DBInstanceAutomatedBackups[?{}].[{FIELDS}]\" --output text",
        wanted(input)
    );
    let offered = format!(
        "aws rds describe-db-engine-versions --region {region} --engine \"${engine}\" --engine-version \"${version}\" \\\n  \
         --query 'DBEngineVersions[].Status' --output text || echo 'UNKNOWN whether its version is offered' >&2"
    );
    let choosing = Choosing {
        input,
        what: "automated backups",
        about: "restorable from, restorable to, by what it is restored, identity, status, region, encrypted, key, engine, version",
        lists: &[list],
        sort: "sort -k 2",
        outputs: &OUTPUTS,
        chosen: "backup",
        then: &format!("echo \"${backup} up to ${latest}\"\n{}\n{offered}", key_state(input)),
    };
    ByHand {
        commands: vec![choosing.command()],
        expected: format!(
            "One line, or one for each instance that had this name; a time of a few minutes ago in ${latest}, by what it is \
             restored in ${backup}; Enabled for its key; available for its version."
        ),
        verify: lost_by_it(input, "latest", "committed"),
        if_it_fails: vec![
            "An empty list: automated backups are not replicated to this region. Look for copied snapshots (rds.find_snapshot).".to_owned(),
            format!("A time in ${latest} that is hours old: the replication had stopped before the loss. Compare with the newest snapshot."),
            "The key is not Enabled: enable it (`aws kms enable-key`) or cancel its deletion (`aws kms cancel-key-deletion`); \
             without the key the backups cannot be read."
                .to_owned(),
            "No status for the version: RDS does not offer it here any more. Ask AWS Support, and restore a snapshot with a newer one."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

/// Which backups the step wants, as a condition of JMESPath inside double quotes of the shell.
fn wanted(input: &HandInput) -> String {
    let text = |name: &str| {
        let word = input.word(name)?;
        Some(word.trim_matches(['"', '\'']).to_owned())
    };
    let mut conditions =
        vec![format!("DBInstanceIdentifier=='{}'", text("of").unwrap_or_default())];
    conditions.extend(text("resource_id").map(|id| format!("DbiResourceId=='{id}'")));
    conditions.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_variables_that_later_steps_use_are_set_in_the_order_of_the_fields() {
        let with = json!({
            "of": "orders-db", "not_after": "2026-11-22T00:00:00Z",
            "resource_id": HandInput::variable_mark("config", "resource_id"),
        });
        let hand = by_hand(&HandInput::new("backup", Some("eu-west-1"), with, BTreeMap::new()));
        assert_eq!(FIELDS.matches(',').count(), OUTPUTS.len(), "not_null() has one comma itself");
        let list = &hand.commands[0];
        assert!(
            list.contains(
                "[?DBInstanceIdentifier=='orders-db' && DbiResourceId=='${CONFIG_RESOURCE_ID:?}']"
            ),
            "{list}"
        );
        assert!(hand.commands[0].contains("read -r BACKUP_EARLIEST BACKUP_LATEST BACKUP_BACKUP "));
        assert!(hand.commands[0].contains("awk -v limit=2026-11-22T00:00:00Z"));
        assert!(hand.commands[0].contains("--engine \"$BACKUP_ENGINE\""));
    }
}
