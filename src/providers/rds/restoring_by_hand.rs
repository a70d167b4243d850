use super::fidelity::{READY, UNDER_WAY};
use crate::action::{ByHand, HandInput};
use crate::time::HumanDuration;
use serde_json::Value;

/// The fields that are read at the end, in the order in which the shell reads them.
const FIELDS: &str = "DBInstanceArn,Endpoint.Address,Endpoint.Port,Engine,EngineVersion,DBInstanceClass,MultiAZ,\
                      StorageEncrypted,DBName,MasterUsername";

/// The outputs that these fields are, in the same order.
const OUTPUTS: [&str; 10] = [
    "arn",
    "endpoint",
    "port",
    "engine",
    "engine_version",
    "class",
    "multi_az",
    "encrypted",
    "database",
    "master_user",
];

/// How a person restores the snapshot with the AWS CLI.
pub(super) fn of_snapshot(input: &HandInput) -> ByHand {
    let mut words = vec![
        format!("aws rds restore-db-instance-from-db-snapshot --region {}", input.region()),
        format!("--db-instance-identifier \"${}\"", input.sets("id")),
    ];
    words.extend(input.word("snapshot").map(|word| format!("--db-snapshot-identifier {word}")));
    by_hand(input, words)
}

/// How a person restores to a point in time with the AWS CLI.
pub(super) fn to_a_time(input: &HandInput) -> ByHand {
    let mut words = vec![
        format!("aws rds restore-db-instance-to-point-in-time --region {}", input.region()),
        format!("--target-db-instance-identifier \"${}\"", input.sets("id")),
    ];
    words.extend(
        input.word("instance").map(|word| format!("--source-db-instance-identifier {word}")),
    );
    words.extend(input.word("backup").map(|word| {
        let (arn, id) = ("--source-db-instance-automated-backups-arn", "--source-dbi-resource-id");
        match input.value("backup").and_then(Value::as_str) {
            Some(text) if text.starts_with("arn:") => format!("{arn} {word}"),
            Some(text) if text.starts_with("db-") => format!("{id} {word}"),
            _ => format!("$(case {word} in arn:*) echo {arn};; *) echo {id};; esac) {word}"),
        }
    }));
    words.push(input.word("to").map_or_else(
        || "--use-latest-restorable-time".to_owned(),
        |word| format!("--restore-time {word}"),
    ));
    let mut hand = by_hand(input, words);
    hand.if_it_fails.insert(
        0,
        "The time cannot be restored: take one between EarliestTime and LatestTime of the restore window, or an older \
         snapshot."
            .to_owned(),
    );
    hand
}

fn by_hand(input: &HandInput, call: Vec<String>) -> ByHand {
    let (id, status, endpoint) = (input.sets("id"), input.sets("status"), input.sets("endpoint"));
    let first = [vpc_command(input), Some(name_command(input))];
    let then = [restore_command(input, call), wait_command(input)];
    let last = [monitoring_command(input), Some(read_command(input))];
    let commands = first.into_iter().flatten().chain(then).chain(last.into_iter().flatten());
    ByHand {
        commands: commands.collect(),
        expected: format!(
            "The status goes from creating over backing-up to available, and ${endpoint} holds a host name. It is a new \
             name: clients must be pointed at it."
        ),
        verify: vec![
            format!(
                "aws rds describe-db-instances --region {} --db-instance-identifier \"${id}\" \\\n  --query \
                 'DBInstances[0].[DBInstanceClass,MultiAZ,DBSubnetGroup.DBSubnetGroupName,VpcSecurityGroups[].\
                 VpcSecurityGroupId,DBParameterGroups[].[DBParameterGroupName,ParameterApplyStatus],\
                 PubliclyAccessible,StorageEncrypted]' --output json",
                input.region()
            ),
            "Each value is as asked for; the security groups are exactly those, not the default one.".to_owned(),
            "Available does not mean usable: connect and look at the data next. First reads are slow, because blocks are \
             loaded from the snapshot when they are first touched."
                .to_owned(),
        ],
        if_it_fails: vec![
            "DBInstanceAlreadyExists: an earlier attempt has made it; do not restore again, go on with waiting.".to_owned(),
            "InsufficientDBInstanceCapacity: take another class or a subnet group with more zones.".to_owned(),
            "KMSKeyNotAccessibleFault: the key is disabled, or your role may not use it (kms:CreateGrant, kms:DescribeKey)."
                .to_owned(),
            format!(
                "${status} is incompatible-network, incompatible-parameters, incompatible-restore or failed: it will not get \
                 better by waiting. Read aws rds describe-events --region {} --source-type db-instance \
                 --source-identifier \"${id}\" --duration 120, delete the instance, correct the cause and restore again.",
                input.region()
            ),
        ],
    }
}

fn name_command(input: &HandInput) -> String {
    let id = input.sets("id");
    format!(
        "{id}=restored-{}-$(date -u +%Y%m%d-%H%M)   # the name of the new instance; keep it for a second attempt",
        input.slug()
    )
}

/// In which VPC the subnet group is, where the step names one.
fn vpc_command(input: &HandInput) -> Option<String> {
    let (vpc, group) = (input.word("vpc")?, input.word("subnet_group")?);
    Some(format!(
        "[ \"$(aws rds describe-db-subnet-groups --region {} --db-subnet-group-name {group} \\\n  \
         --query 'DBSubnetGroups[0].VpcId' --output text)\" = {vpc} ] || echo 'the subnet group is in another VPC: stop' >&2",
        input.region()
    ))
}

/// No restore can ask for monitoring.
fn monitoring_command(input: &HandInput) -> Option<String> {
    let role = input.word("monitoring.role")?;
    let every = input.value("monitoring.every")?;
    let seconds = duration(every).map_or_else(
        || input.word("monitoring.every").unwrap_or_default(),
        |every| every.0.as_secs().to_string(),
    );
    Some(format!(
        "aws rds modify-db-instance --region {} --db-instance-identifier \"${}\" --apply-immediately \\\n  \
         --monitoring-interval {seconds} --monitoring-role-arn {role} --query DBInstance.DBInstanceStatus --output text",
        input.region(),
        input.sets("id")
    ))
}

fn duration(value: &Value) -> Option<HumanDuration> {
    value.as_str()?.parse().ok()
}

/// RDS counts the retention in days; a variable of an earlier step holds them already.
fn retention(input: &HandInput) -> Option<String> {
    let days = |value: &Value| Some((duration(value)?.0.as_secs() / 86_400).to_string());
    let days = days(input.value("backup_retention")?).or_else(|| input.word("backup_retention"))?;
    Some(format!("--backup-retention-period {days}"))
}

fn restore_command(input: &HandInput, mut words: Vec<String>) -> String {
    let options = [
        ("class", "--db-instance-class"),
        ("subnet_group", "--db-subnet-group-name"),
        ("parameter_group", "--db-parameter-group-name"),
        ("option_group", "--option-group-name"),
        ("storage_type", "--storage-type"),
        ("iops", "--iops"),
        ("storage_throughput", "--storage-throughput"),
        ("ca", "--ca-certificate-identifier"),
        ("port", "--port"),
    ];
    for (name, option) in options {
        words.extend(input.word(name).map(|word| format!("{option} {word}")));
    }
    let groups = input.words("security_groups").filter(|words| !words.is_empty());
    words.extend(groups.map(|groups| format!("--vpc-security-group-ids {groups}")));
    let logs = input.words("log_exports").filter(|words| !words.is_empty());
    words.extend(logs.map(|logs| format!("--enable-cloudwatch-logs-exports {logs}")));
    words.extend(retention(input));
    words.push(flag(input, "multi_az", "multi-az"));
    words.push(flag(input, "publicly_accessible", "publicly-accessible"));
    words.push(flag(input, "deletion_protection", "deletion-protection"));
    if input.value("iam_auth").is_some() {
        words.push(flag(input, "iam_auth", "enable-iam-database-authentication"));
    }
    if let Some(Value::Object(tags)) =
        input.value("tags").filter(|tags| tags.as_object().is_some_and(|t| !t.is_empty()))
    {
        let tag = |(name, value): (&String, &Value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            HandInput::quote(&format!("Key={name},Value={value}"))
        };
        words.push(format!("--tags {}", tags.iter().map(tag).collect::<Vec<_>>().join(" ")));
    }
    words.push("--query DBInstance.DBInstanceStatus --output text".to_owned());
    words.join(" \\\n  ")
}

/// `--name` or `--no-name`; chosen by the shell where the value comes from an earlier step.
fn flag(input: &HandInput, name: &str, option: &str) -> String {
    match input.value(name) {
        None | Some(Value::Bool(false)) => format!("--no-{option}"),
        Some(Value::Bool(true)) => format!("--{option}"),
        Some(_) => {
            let word = input.word(name).unwrap_or_default();
            format!("$(case {word} in true|True) echo --{option};; *) echo --no-{option};; esac)")
        }
    }
}

/// The CLI's own `wait` gives up after 30 minutes; this one after four hours, and at once when it can only fail.
fn wait_command(input: &HandInput) -> String {
    let (id, status, region) = (input.sets("id"), input.sets("status"), input.region());
    let (ready, under_way) = (READY.join("|"), UNDER_WAY.join("|"));
    format!(
        "n=0; {status}=\nwhile [ $n -lt 480 ]; do\n  \
         {status}=$(aws rds describe-db-instances --region {region} --db-instance-identifier \"${id}\" \\\n    \
         --query 'DBInstances[0].DBInstanceStatus' --output text)\n  \
         echo \"$(date -u +%FT%TZ) ${status}\"\n  \
         case \"${status}\" in\n    \
         {ready}) break;;\n    \
         {under_way}|'') sleep 30;;\n    \
         *) echo \"the restore has ended in ${status}\" >&2; break;;\n  esac\n  n=$((n + 1))\ndone"
    )
}

fn read_command(input: &HandInput) -> String {
    let (id, endpoint, port) = (input.sets("id"), input.sets("endpoint"), input.sets("port"));
    let variables: Vec<_> = OUTPUTS.iter().map(|output| input.sets(output)).collect();
    format!(
        "read -r {} <<EOF\n$(aws rds describe-db-instances --region {} --db-instance-identifier \"${id}\" \\\n  \
         --query 'DBInstances[0].[{FIELDS}]' --output text)\nEOF\necho \"${endpoint}:${port}\"",
        variables.join(" "),
        input.region()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_command_says_everything_that_the_step_says() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "arn"), "class": "db.r6g.large", "subnet_group": "prod-dr",
            "security_groups": ["sg-1", "sg-2"], "multi_az": true, "port": 5433, "iam_auth": true,
            "deletion_protection": HandInput::variable_mark("config", "deletion_protection"),
            "tags": { "team": "a b" },
        });
        let input = HandInput::new("restore", Some("eu-west-1"), with, BTreeMap::new());
        let of_snapshot = |input: &HandInput| {
            let commands = of_snapshot(input).commands;
            commands.into_iter().find(|c| c.starts_with("aws rds restore-")).unwrap()
        };
        let command = of_snapshot(&input);
        for part in [
            "--db-instance-identifier \"$RESTORE_ID\"",
            "--db-snapshot-identifier \"${POINT_ARN}\"",
            "--vpc-security-group-ids sg-1 sg-2",
            "--multi-az",
            "--no-publicly-accessible",
            "--enable-iam-database-authentication",
            "--port 5433",
            "case \"${CONFIG_DELETION_PROTECTION}\" in",
            "--tags 'Key=team,Value=a b'",
        ] {
            assert!(command.contains(part), "{part} is missing in\n{command}");
        }
        let of_a_step =
            json!({ "security_groups": HandInput::variable_mark("config", "security_groups") });
        let input_of_a_step = HandInput::new("restore", None, of_a_step, BTreeMap::new());
        let command = of_snapshot(&input_of_a_step);
        assert!(
            command.contains("--vpc-security-group-ids ${CONFIG_SECURITY_GROUPS} "),
            "{command}"
        );
        assert_eq!(FIELDS.split(',').count(), OUTPUTS.len());
        assert!(read_command(&input).contains("read -r RESTORE_ARN RESTORE_ENDPOINT RESTORE_PORT"));
        assert!(wait_command(&input).contains("-lt 480"));
    }

    #[test]
    fn a_point_in_time_is_restored_by_hand_as_by_the_step() {
        let command = |with| {
            let input = HandInput::new("restore", Some("eu-west-1"), with, BTreeMap::new());
            to_a_time(&input).commands.join("\n")
        };
        let arn = "arn:aws:rds:eu-west-1:111111111111:auto-backup:ab-1";
        let replicated = command(json!({
            "backup": arn, "vpc": "vpc-drill", "subnet_group": "drill", "backup_retention": "7d",
            "log_exports": ["postgresql", "upgrade"], "ca": "rds-ca-rsa2048-g1", "storage_throughput": 500,
            "monitoring": { "every": "1m", "role": "arn:aws:iam::111111111111:role/m" },
        }));
        for part in [
            "[ \"$(aws rds describe-db-subnet-groups --region eu-west-1 --db-subnet-group-name drill",
            "= vpc-drill ]",
            "--target-db-instance-identifier \"$RESTORE_ID\"",
            "--source-db-instance-automated-backups-arn arn:aws:rds:eu-west-1:111111111111:auto-backup:ab-1",
            "--use-latest-restorable-time",
            "--backup-retention-period 7",
            "--enable-cloudwatch-logs-exports postgresql upgrade",
            "--storage-throughput 500",
            "--monitoring-interval 60 --monitoring-role-arn arn:aws:iam::111111111111:role/m",
        ] {
            assert!(replicated.contains(part), "{part} is missing in\n{replicated}");
        }
        let to = json!({ "instance": "orders-db", "to": "2026-11-20T01:00:00Z" });
        let living = command(to);
        assert!(living.contains("--source-db-instance-identifier orders-db"), "{living}");
        assert!(living.contains("--restore-time 2026-11-20T01:00:00Z"), "{living}");
        let found = command(json!({ "backup": HandInput::variable_mark("backup", "backup") }));
        let by_shell = "$(case \"${BACKUP_BACKUP}\" in arn:*) echo --source-db-instance-automated-backups-arn;; \
                        *) echo --source-dbi-resource-id;; esac) \"${BACKUP_BACKUP}\"";
        assert!(found.contains(by_shell), "{found}");
    }
}
