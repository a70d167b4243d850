//! How a person captures and compares the configuration of a cluster with the AWS CLI.

use crate::action::{ByHand, HandInput};
use crate::providers::rds::of_the_terms;

/// The outputs that one line of the CLI gives, with their paths in its answer.
const READ: [(&str, &str); 16] = [
    ("id", "DBClusterIdentifier"),
    ("arn", "DBClusterArn"),
    ("resource_id", "DbClusterResourceId"),
    ("status", "Status"),
    ("endpoint", "Endpoint"),
    ("reader_endpoint", "ReaderEndpoint"),
    ("port", "Port"),
    ("engine", "Engine"),
    ("engine_version", "EngineVersion"),
    ("multi_az", "MultiAZ"),
    ("encrypted", "StorageEncrypted"),
    ("kms_key", "KmsKeyId"),
    ("subnet_group", "DBSubnetGroup"),
    ("cluster_parameter_group", "DBClusterParameterGroup"),
    ("deletion_protection", "DeletionProtection"),
    // In days, as the calls of RDS take it.
    ("backup_retention", "BackupRetentionPeriod"),
];

fn describe(input: &HandInput) -> String {
    let cluster = input.word("cluster").unwrap_or_else(|| "''".to_owned());
    format!(
        "aws rds describe-db-clusters --region {} --db-cluster-identifier {cluster}",
        input.region()
    )
}

/// The members in full, and the parameters that somebody has set, in the groups that the variable and RDS name.
fn members_and_parameters(input: &HandInput, group: &str) -> [String; 3] {
    let region = input.region();
    let cluster = input.word("cluster").unwrap_or_else(|| "''".to_owned());
    let set =
        "--source user \\\n  --query 'Parameters[].[ParameterName,ParameterValue]' --output text";
    let members = format!(
        "aws rds describe-db-instances --region {region} --filters Name=db-cluster-id,Values={cluster}"
    );
    [
        format!("{members} --output json   # the members"),
        format!(
            "aws rds describe-db-cluster-parameters --region {region} \\\n  \
             --db-cluster-parameter-group-name \"${{{group}:?}}\" {set}"
        ),
        format!(
            "for group in $({members} \\\n  \
             --query 'DBInstances[].DBParameterGroups[].DBParameterGroupName' --output text | tr '\\t' '\\n' | sort -u); do\n  \
             echo \"of $group:\"; aws rds describe-db-parameters --region {region} --db-parameter-group-name \"$group\" {set}\n\
             done"
        ),
    ]
}

pub(super) fn capture(input: &HandInput) -> ByHand {
    let describe = describe(input);
    let variables: Vec<_> = READ.iter().map(|(output, _)| input.sets(output)).collect();
    let variables = variables.join(" ");
    let paths: Vec<_> = READ.iter().map(|(_, path)| *path).collect();
    let (groups, group) = (input.sets("security_groups"), input.sets("cluster_parameter_group"));
    let seen = input.sets("seen");
    let [members, of_cluster, of_members] = members_and_parameters(input, &group);
    ByHand {
        commands: vec![
            format!(
                "unset {variables} {groups}\n\
                 if {seen}=$({describe} \\\n  --query 'DBClusters[0].[{}]' --output text); then\n  \
                 read -r {variables} <<EOF\n${seen}\nEOF\n  \
                 {groups}=$({describe} \\\n    --query 'DBClusters[0].VpcSecurityGroups[].VpcSecurityGroupId' --output text)\n  \
                 {describe} --output json   # keep the answers outside this region\n\
                 else\n  \
                 echo 'UNKNOWN: the cluster could not be described, as is said above; nothing is noted down' >&2\n\
                 fi\n[ -n \"${{{group}:-}}\" ]",
                paths.join(",")
            ),
            members,
            of_cluster,
            of_members,
        ],
        expected: "The configuration of the cluster and of each member, and the parameters that differ from the engine's default."
            .to_owned(),
        verify: vec![
            "Compare it with the policy: readers, zones, backup retention, protection, encryption.".to_owned(),
        ],
        if_it_fails: vec![
            "The cluster is already gone: take the values from the report of the last drill, or from the code that made the \
             cluster."
                .to_owned(),
        ],
        ..ByHand::default()
    }
}

pub(super) fn compare(input: &HandInput) -> ByHand {
    let describe = describe(input);
    let group = input.sets("cluster_parameter_group");
    let [members, of_cluster, of_members] = members_and_parameters(input, &group);
    let mut verify = vec![
        "One instance writes, all others read; the VPC is that of each member's subnet group. Compare each value with the \
         configuration that was captured before the disaster (the answers that were kept, or the report of the last drill)."
            .to_owned(),
    ];
    verify.extend(of_the_terms(input));
    ByHand {
        commands: vec![
            format!("{describe} --output json"),
            members,
            format!(
                "{group}=$({describe} \\\n  --query 'DBClusters[0].DBClusterParameterGroup' --output text)"
            ),
            of_cluster,
            of_members,
        ],
        expected: "The configuration of the restored cluster and of each member, and the parameters that differ from the engine's \
                   default."
            .to_owned(),
        verify,
        if_it_fails: vec![
            "Correct what differs with `aws rds modify-db-cluster --apply-immediately`, and with `aws rds modify-db-instance` for \
             a member; add a missing reader with `aws rds create-db-instance`. Encryption and its key cannot be changed any \
             more: restore again from a copy with the right key."
                .to_owned(),
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
    fn members_are_asked_for_by_their_cluster_and_each_variable_is_read_from_its_path() {
        let with = json!({ "cluster": "payments" });
        let input = HandInput::new("config", Some("eu-west-1"), with, BTreeMap::new());
        let hand = capture(&input);
        assert!(hand.commands[0].contains("read -r CONFIG_ID CONFIG_ARN CONFIG_RESOURCE_ID "));
        assert!(hand.commands[0].contains("DBClusterIdentifier,DBClusterArn,DbClusterResourceId,"));
        assert!(hand.commands[1].contains("Name=db-cluster-id,Values=payments "), "{hand:?}");
        assert!(hand.commands[2].contains("\"${CONFIG_CLUSTER_PARAMETER_GROUP:?}\""));
    }

    #[test]
    fn what_differs_on_purpose_and_where_the_configuration_comes_from_is_said() {
        let with = json!({
            "cluster": HandInput::variable_mark("restore", "id"),
            "earlier": { "journal": "/evidence/payments-0007/journal.jsonl", "step": "config" },
            "source": { "id": "payments" }, "max_age": "8d", "vary": ["classes"],
        });
        let input = HandInput::new("fidelity", Some("eu-west-1"), with, BTreeMap::new());
        let hand = compare(&input);
        assert!(hand.commands[0].contains("--db-cluster-identifier \"${RESTORE_ID:?}\""));
        let verify = hand.verify.join("\n");
        for part in ["/evidence/payments-0007/journal.jsonl", "8d", "payments", "classes"] {
            assert!(verify.contains(part), "{part} in {verify}");
        }
    }
}
