use crate::action::{ByHand, HandInput, HandShell, Wait};
use crate::time::HumanDuration;

/// A day in seconds: RDS counts retention in days.
const DAY: u64 = 86_400;

/// How a person promotes the replica with the AWS CLI.
pub(super) fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let instance = input.word("instance").unwrap_or_else(|| "''".to_owned());
    let describe = |query: &str| {
        format!(
            "aws rds describe-db-instances --region {region} --db-instance-identifier {instance} \\\n    \
             --query 'DBInstances[0].{query}' --output text"
        )
    };
    let retention = input.value("backup_retention").and_then(|v| v.as_str()?.parse().ok());
    let retention = retention.map_or_else(String::new, |kept: HumanDuration| {
        format!(" \\\n    --backup-retention-period {}", kept.0.as_secs() / DAY)
    });
    let shell = HandShell { input, what: "replica", verb: "promoted", name: "id" };
    let (went, source, endpoint) =
        (input.sets("went"), input.sets("replica_of"), input.sets("endpoint"));
    let (named, asked, ready) = (HandShell::NAMED, HandShell::ASKED, HandShell::READY);
    let promote = format!(
        "aws rds promote-read-replica --region {region} --db-instance-identifier {instance}{retention} \\\n    \
         --query DBInstance.DBInstanceStatus --output text"
    );
    // Promoting what is no replica any more is refused: it was promoted before, perhaps by this very block.
    let found = format!(
        "if [ \"${source}\" = None ]; then {went}={asked}; echo 'it is no replica any more: not promoted again'; fi"
    );
    // The source goes first, the status follows: modifying, rebooting, available.
    let decide = format!(
        "case \"${source}\" in\n      None*available) {went}={ready};;\n      *failed*|*incompatible*) \
         {went}=\"stopped: it has ended in ${source}\";;\n    esac"
    );
    let wait = Wait {
        look: &describe("[ReadReplicaSourceDBInstanceIdentifier,DBInstanceStatus]"),
        status: "replica_of",
        decide: &decide,
        until: "promoted",
        pause: 15,
        goes_on: false,
    };
    ByHand {
        commands: vec![
            format!("unset {endpoint}; {went}={named}"),
            shell.read(
                named,
                &describe("ReadReplicaSourceDBInstanceIdentifier"),
                &["replica_of"],
                &found,
            ),
            shell.ask(named, &promote, None),
            shell.wait(asked, &wait),
            shell.read(ready, &describe("Endpoint.Address"), &["endpoint"], ":"),
            shell.end(&format!("${endpoint}")),
        ],
        expected: "It is modifying and then rebooting for some minutes; then it names no source any more. The last line is \
                   READY, with the endpoint, which stays the same."
            .to_owned(),
        verify: vec![
            "Write a row and read it back. Automated backups are on, and a first one is under way.".to_owned(),
        ],
        if_it_fails: vec![
            "NOT READY: UNKNOWN is not failed: the promotion may be under way. Correct what keeps AWS from answering and paste the \
             block again: what is no replica any more is not promoted again."
                .to_owned(),
            "InvalidDBInstanceState: the replica is backing up or being changed; wait, and promote it then.".to_owned(),
            "The source must not come back as a second primary: keep clients away from it.".to_owned(),
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
    fn by_hand_it_is_waited_for_until_it_names_no_source() {
        let with = json!({ "instance": "orders-replica", "backup_retention": "7d" });
        let hand = by_hand(&HandInput::new("promote", Some("eu-west-1"), with, BTreeMap::new()));
        let block = hand.commands.join("\n");
        assert!(block.contains("--backup-retention-period 7"), "{block}");
        assert!(block.contains("None*available) PROMOTE_WENT=ready;;"), "{block}");
    }
}
