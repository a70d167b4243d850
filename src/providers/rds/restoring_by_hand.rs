use super::fidelity::{READY, UNDER_WAY};
use crate::action::{ByHand, HandInput, HandShell, Wait};
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
    by_hand(input, words, &Reached::default())
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
            _ => format!("$(case {word} in (arn:*) echo {arn};; (*) echo {id};; esac) {word}"),
        }
    }));
    words.push(input.word("to").map_or_else(
        || "--use-latest-restorable-time".to_owned(),
        |word| format!("--restore-time {word}"),
    ));
    let mut hand = by_hand(input, words, &reached(input));
    hand.if_it_fails.insert(
        0,
        "The time cannot be restored: take one between EarliestTime and LatestTime of the restore window, or an older \
         snapshot."
            .to_owned(),
    );
    hand
}

/// Commands that note down what a restore reaches: before it is asked for, and afterwards.
#[derive(Default)]
struct Reached {
    before: Option<String>,
    after: Option<String>,
}

/// Up to when the data reaches, as the step tells it. The latest time moves on: what was noted first stays, when the block is
/// pasted again.
fn reached(input: &HandInput) -> Reached {
    let (until, end) = (input.sets("data_until"), input.sets("nothing_after"));
    let earlier = format!(
        "{}=$(jq -rn --arg at \"${until}\" '$at[0:19] + \"Z\" | fromdate - 300 | todate')",
        input.sets("shortly_before")
    );
    if let Some(to) = input.word("to") {
        let noted = format!("{until}={to}; {end}={to}\n{earlier}");
        return Reached { before: Some(noted), after: None };
    }
    let region = input.region();
    let (filter, which) = match (input.word("instance"), input.word("backup")) {
        (Some(instance), _) => {
            (format!("--db-instance-identifier {instance}"), "?Status=='active'")
        }
        (None, backup) => {
            let word = backup.unwrap_or_default();
            let (arn, id) = ("--db-instance-automated-backups-arn", "--dbi-resource-id");
            (format!("$(case {word} in (arn:*) echo {arn};; (*) echo {id};; esac) {word}"), "")
        }
    };
    let look = format!(
        "if [ -n \"${{{until}:-}}\" ]; then echo \"${until}\"; else aws rds describe-db-instance-automated-backups \\\n    \
         --region {region} {filter} \\\n    \
         --query \"DBInstanceAutomatedBackups[{which}].RestoreWindow.LatestTime|[0]\" --output text; fi"
    );
    let then = format!("{earlier}\n    echo \"{until}=${until}   # note this line down as well\"");
    let went = input.sets("went");
    Reached {
        before: Some(shell(input).read(HandShell::NAMED, &look, &["data_until"], &then)),
        after: Some(format!(
            "[ \"${went}\" != {} ] || {end}=${{{end}:-$(jq -rn 'now + 300 | floor | todate')}}",
            HandShell::ASKED
        )),
    }
}

fn by_hand(input: &HandInput, call: Vec<String>, reached: &Reached) -> ByHand {
    let (id, status, endpoint) = (input.sets("id"), input.sets("status"), input.sets("endpoint"));
    let region = input.region();
    let shell = shell(input);
    ByHand {
        commands: commands(input, call, reached),
        expected: format!(
            "The status goes from creating over backing-up to available. The last line is READY, with the name of the \
             instance and its endpoint, which is in ${endpoint}. It is a new name: clients must be pointed at it."
        ),
        verify: vec![
            format!(
                "aws rds describe-db-instances --region {region} --db-instance-identifier \"${id}\" \\\n  --query \
                 'DBInstances[0].[DBInstanceClass,MultiAZ,DBSubnetGroup.DBSubnetGroupName,VpcSecurityGroups[].\
                 VpcSecurityGroupId,DBParameterGroups[].[DBParameterGroupName,ParameterApplyStatus],\
                 PubliclyAccessible,StorageEncrypted]' --output json"
            ),
            "Each value is as asked for; the security groups are exactly those, not the default one.".to_owned(),
            "Available does not mean usable: connect and look at the data next. First reads are slow, because blocks are \
             loaded from the snapshot when they are first touched."
                .to_owned(),
        ],
        if_it_fails: vec![
            "NOT READY: UNKNOWN is not failed: the instance may be coming up. Correct what keeps AWS from answering \
             (credentials, network, throttling) and paste the block again."
                .to_owned(),
            format!(
                "The shell is gone: this step names what it makes {}…; the block lists what an earlier attempt has made, \
                 and makes nothing beside it until {id} is set.",
                shell.prefix()
            ),
            "InsufficientDBInstanceCapacity: take another class or a subnet group with more zones.".to_owned(),
            "KMSKeyNotAccessibleFault: the key is disabled, or your role may not use it (kms:CreateGrant, kms:DescribeKey)."
                .to_owned(),
            format!(
                "${status} is incompatible-network, incompatible-parameters, incompatible-restore or failed: it will not get \
                 better by waiting. Read `aws rds describe-events --region {region} --source-type db-instance \
                 --source-identifier \"${id}\" --duration 120`, remove the instance (under Afterwards), correct the cause, \
                 and paste the block again once it is gone."
            ),
        ],
        remove: vec![remove_command(input)],
        ..ByHand::default()
    }
}

fn shell(input: &HandInput) -> HandShell<'_> {
    HandShell { input, what: "instance", verb: "restored", name: "id" }
}

/// The CLI's own `wait` gives up after 30 minutes; this one at the limit of the step, and at once when it can only fail.
fn commands(input: &HandInput, call: Vec<String>, reached: &Reached) -> Vec<String> {
    let (shell, region, id) = (shell(input), input.region(), input.sets("id"));
    let earlier = format!(
        "aws rds describe-db-instances --region {region} \\\n    \
         --query \"DBInstances[?starts_with(DBInstanceIdentifier,'{}')].DBInstanceIdentifier\" --output text",
        shell.prefix()
    );
    let describe = |query: &str| {
        format!(
            "aws rds describe-db-instances --region {region} --db-instance-identifier \"${id}\" \\\n    \
             --query 'DBInstances[0].{query}' --output text"
        )
    };
    let decide = shell.by_status("status", &READY, &UNDER_WAY, HandShell::READY);
    let wait = Wait {
        look: &describe("DBInstanceStatus"),
        status: "status",
        decide: &decide,
        until: "available",
        pause: 30,
        goes_on: false,
    };
    let then = monitoring_command(input).unwrap_or_else(|| ":".to_owned());
    let read = shell.read(HandShell::READY, &describe(&format!("[{FIELDS}]")), &OUTPUTS, &then);
    let end = format!("${id}, ${}:${}", input.sets("endpoint"), input.sets("port"));
    let mut commands = vec![shell.name(&earlier, &OUTPUTS)];
    commands.extend(vpc_command(&shell));
    commands.extend(reached.before.clone());
    commands.push(shell.ask(
        HandShell::NAMED,
        &restore_command(input, call),
        Some("DBInstanceAlreadyExists"),
    ));
    commands.extend(reached.after.clone());
    commands.extend([shell.wait(HandShell::ASKED, &wait), read, shell.end(&end)]);
    commands
}

fn remove_command(input: &HandInput) -> String {
    let (region, id) = (input.region(), input.sets("id"));
    shell(input).only_mine(&format!(
        "aws rds modify-db-instance --region {region} --db-instance-identifier \"${id}\" --no-deletion-protection \
         --apply-immediately --query DBInstance.DBInstanceStatus --output text\n\
         aws rds delete-db-instance --region {region} --db-instance-identifier \"${id}\" --skip-final-snapshot \
         --delete-automated-backups --query DBInstance.DBInstanceStatus --output text"
    ))
}

/// In which VPC the subnet group is, where the step names one. In another one nothing is restored.
pub(in crate::providers) fn vpc_command(shell: &HandShell<'_>) -> Option<String> {
    let input = shell.input;
    let (vpc, group) = (input.word("vpc")?, input.word("subnet_group")?);
    let look = format!(
        "aws rds describe-db-subnet-groups --region {} --db-subnet-group-name {group} \\\n    \
         --query 'DBSubnetGroups[0].VpcId' --output text",
        input.region()
    );
    let (went, found) = (input.sets("went"), input.sets("vpc"));
    let then = format!(
        "[ \"${found}\" = {vpc} ] || {went}=\"stopped: the subnet group is in ${found}, and not in the VPC that is meant: \
         nothing was asked for\""
    );
    Some(shell.read(HandShell::NAMED, &look, &["vpc"], &then))
}

/// No restore can ask for monitoring.
fn monitoring_command(input: &HandInput) -> Option<String> {
    let options = monitoring_options(input)?;
    Some(format!(
        "aws rds modify-db-instance --region {} --db-instance-identifier \"${}\" --apply-immediately \\\n  \
         {options} --query DBInstance.DBInstanceStatus --output text || \
         echo 'Enhanced Monitoring could not be turned on' >&2",
        input.region(),
        input.sets("id")
    ))
}

/// Enhanced Monitoring in options of the AWS CLI.
pub(in crate::providers) fn monitoring_options(input: &HandInput) -> Option<String> {
    let role = input.word("monitoring.role")?;
    let every = input.value("monitoring.every")?;
    let seconds = duration(every).map_or_else(
        || input.word("monitoring.every").unwrap_or_default(),
        |every| every.0.as_secs().to_string(),
    );
    Some(format!("--monitoring-interval {seconds} --monitoring-role-arn {role}"))
}

fn duration(value: &Value) -> Option<HumanDuration> {
    value.as_str()?.parse().ok()
}

/// RDS counts the retention in days; a variable of an earlier step holds them already.
pub(in crate::providers) fn retention(input: &HandInput) -> Option<String> {
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
            format!("$(case {word} in (true|True) echo --{option};; (*) echo --no-{option};; esac)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::Duration;

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
            commands.into_iter().find(|c| c.contains("aws rds restore-")).unwrap()
        };
        let command = of_snapshot(&input);
        for part in [
            "--db-instance-identifier \"$RESTORE_ID\"",
            "--db-snapshot-identifier \"${POINT_ARN:?}\"",
            "--vpc-security-group-ids sg-1 sg-2",
            "--multi-az",
            "--no-publicly-accessible",
            "--enable-iam-database-authentication",
            "--port 5433",
            "case \"${CONFIG_DELETION_PROTECTION:?}\" in",
            "--tags 'Key=team,Value=a b'",
        ] {
            assert!(command.contains(part), "{part} is missing in\n{command}");
        }
        let of_a_step =
            json!({ "security_groups": HandInput::variable_mark("config", "security_groups") });
        let input_of_a_step = HandInput::new("restore", None, of_a_step, BTreeMap::new());
        let command = of_snapshot(&input_of_a_step);
        assert!(
            command.contains("--vpc-security-group-ids ${CONFIG_SECURITY_GROUPS:?} "),
            "{command}"
        );
        assert_eq!(FIELDS.split(',').count(), OUTPUTS.len());
        let whole = super::of_snapshot(&input.at_most(Duration::from_secs(3600).into())).commands;
        let whole = whole.join("\n");
        assert!(whole.contains("read -r RESTORE_ARN RESTORE_ENDPOINT RESTORE_PORT"), "{whole}");
        assert!(whole.contains("[ \"$n\" -lt 112 ]"), "3600 s, at 32 s a look: {whole}");
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
            "aws rds describe-db-subnet-groups --region eu-west-1 --db-subnet-group-name drill",
            "[ \"$RESTORE_VPC\" = vpc-drill ] || RESTORE_WENT=\"stopped:",
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
        let by_shell = "$(case \"${BACKUP_BACKUP:?}\" in (arn:*) echo --source-db-instance-automated-backups-arn;; \
                        (*) echo --source-dbi-resource-id;; esac) \"${BACKUP_BACKUP:?}\"";
        assert!(found.contains(by_shell), "{found}");
    }
}
