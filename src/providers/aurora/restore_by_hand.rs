use super::fidelity::{CLUSTER_READY, CLUSTER_UNDER_WAY, MEMBER_READY, MEMBER_UNDER_WAY};
use crate::action::{ByHand, HandInput, HandShell, Wait};
use crate::providers::rds::{monitoring_options, retention, vpc_command};
use serde_json::Value;

/// The fields that are read at the end, in the order in which the shell reads them.
const FIELDS: &str = "DBClusterArn,Endpoint,ReaderEndpoint,Port,Engine,EngineVersion,DBClusterMembers[?IsClusterWriter].\
                      DBInstanceIdentifier|[0],length(DBClusterMembers),StorageEncrypted,KmsKeyId,DatabaseName,\
                      MasterUsername";

/// The outputs that these fields are, in the same order.
const OUTPUTS: [&str; 12] = [
    "arn",
    "endpoint",
    "reader_endpoint",
    "port",
    "engine",
    "engine_version",
    "writer",
    "members",
    "encrypted",
    "kms_key",
    "database",
    "master_user",
];

/// How a person restores the snapshot with the AWS CLI.
pub(super) fn from_snapshot(input: &HandInput) -> ByHand {
    let (engine, version) = (input.sets("engine"), input.sets("engine_version"));
    let snapshot = input.sets("snapshot");
    let named = input.word("snapshot").unwrap_or_else(|| "''".to_owned());
    let describe = format!(
        ": \"${{{snapshot}:?}}\" && aws rds describe-db-cluster-snapshots --region {} \\\n    \
         --db-cluster-snapshot-identifier \"${{{snapshot}##*:cluster-snapshot:}}\" \\\n    \
         --query 'DBClusterSnapshots[0].[Engine,EngineVersion]' --output text",
        input.region()
    );
    let look = shell(input).read(HandShell::NAMED, &describe, &["engine", "engine_version"], ":");
    let wanted = input.word("engine_version").unwrap_or_else(|| format!("\"${version}\""));
    let restore = restore_command(
        input,
        "restore-db-cluster-from-snapshot",
        vec![
            format!("--snapshot-identifier \"${snapshot}\""),
            format!("--engine \"${engine}\""),
            format!("--engine-version {wanted}"),
        ],
    );
    restored(input, format!("{snapshot}={named}\n{look}"), &restore)
}

/// How a person restores the cluster to a point in time.
pub(super) fn to_point_in_time(input: &HandInput) -> ByHand {
    let of = input.word("of").unwrap_or_else(|| "''".to_owned());
    let describe = format!(
        "aws rds describe-db-clusters --region {} --db-cluster-identifier {of} \\\n    \
         --query 'DBClusters[0].[Engine,EarliestRestorableTime,LatestRestorableTime]' --output text",
        input.region(),
    );
    let then = format!("echo \"from ${} to ${}\"", input.sets("earliest"), input.sets("latest"));
    let look =
        shell(input).read(HandShell::NAMED, &describe, &["engine", "earliest", "latest"], &then);
    let kind = input.word("restore_type").unwrap_or_else(|| "full-copy".to_owned());
    let when = match input.word("to") {
        Some(to) => format!("--restore-to-time {to}"),
        None => "--use-latest-restorable-time".to_owned(),
    };
    let restore = restore_command(
        input,
        "restore-db-cluster-to-point-in-time",
        vec![
            format!("--source-db-cluster-identifier {of}"),
            format!("--restore-type {kind}"),
            when,
        ],
    );
    restored(input, look, &restore)
}

fn shell(input: &HandInput) -> HandShell<'_> {
    HandShell { input, what: "cluster", verb: "restored", name: "id" }
}

/// The state in which the cluster is there, and still empty.
const EMPTY: &str = "empty";

/// What both ways have in common: the name before, members and waiting after.
fn restored(input: &HandInput, look: String, restore: &str) -> ByHand {
    let (id, endpoint, region) = (input.sets("id"), input.sets("endpoint"), input.region());
    ByHand {
        commands: commands(input, look, restore),
        expected: format!(
            "The cluster goes from creating to available and is still empty; then each instance does. The last line is READY, \
             with the endpoint: ${endpoint} holds the host name of whichever instance writes. It is a new name: clients must \
             be pointed at it."
        ),
        verify: vec![
            format!(
                "aws rds describe-db-clusters --region {region} --db-cluster-identifier \"${id}\" \\\n  --query \
                 'DBClusters[0].[DBSubnetGroup,VpcSecurityGroups[].VpcSecurityGroupId,DBClusterParameterGroup,\
                 DeletionProtection,StorageEncrypted,EngineVersion,DBClusterMembers[].[DBInstanceIdentifier,\
                 IsClusterWriter,PromotionTier,DBClusterParameterGroupStatus]]' --output json"
            ),
            "One instance writes, all others read; each value is as asked for; the security groups are exactly those, not \
             the default one."
                .to_owned(),
            "Available does not mean usable: connect and look at the data next.".to_owned(),
        ],
        if_it_fails: if_it_fails(input),
        remove: vec![remove_command(input)],
        ..ByHand::default()
    }
}

fn if_it_fails(input: &HandInput) -> Vec<String> {
    let (id, region) = (input.sets("id"), input.region());
    vec![
        "NOT READY: UNKNOWN is not failed: cluster and instances may be coming up. Correct what keeps AWS from answering \
         (credentials, network, throttling) and paste the block again."
            .to_owned(),
        format!(
            "The shell is gone: this step names what it makes {}…; the block lists what an earlier attempt has made, and \
             makes nothing beside it until {id} is set.",
            shell(input).prefix()
        ),
        "InsufficientDBInstanceCapacity: take another class or another zone for that instance, and paste the block again: \
         what is there already stays."
            .to_owned(),
        "KMSKeyNotAccessibleFault: the key is disabled, or your role may not use it (kms:CreateGrant, kms:DescribeKey)."
            .to_owned(),
        format!(
            "An instance is incompatible-network, incompatible-parameters or failed: it will not join by waiting. Read `aws \
             rds describe-events --region {region} --source-type db-instance --duration 120`, delete that instance, correct \
             the cause, and paste the block again once it is gone. The cluster need not be restored again."
        ),
    ]
}

fn commands(input: &HandInput, look: String, restore: &str) -> Vec<String> {
    let (shell, region, id) = (shell(input), input.region(), input.sets("id"));
    let earlier = format!(
        "aws rds describe-db-clusters --region {region} \\\n    \
         --query \"DBClusters[?starts_with(DBClusterIdentifier,'{}')].DBClusterIdentifier\" --output text",
        shell.prefix()
    );
    let describe = |query: &str| {
        format!(
            "aws rds describe-db-clusters --region {region} --db-cluster-identifier \"${id}\" \\\n    \
             --query 'DBClusters[0].{query}' --output text"
        )
    };
    let decide = shell.by_status("status", &CLUSTER_READY, &CLUSTER_UNDER_WAY, EMPTY);
    let wait = Wait {
        look: &describe("Status"),
        status: "status",
        decide: &decide,
        until: "available",
        pause: 30,
        goes_on: false,
    };
    let forgotten: Vec<_> = OUTPUTS.iter().copied().chain(["snapshot"]).collect();
    let mut commands = vec![shell.name(&earlier, &forgotten), look];
    commands.extend(vpc_command(&shell));
    commands.push(shell.ask(HandShell::NAMED, restore, Some("DBClusterAlreadyExists")));
    commands.push(shell.wait(HandShell::ASKED, &wait));
    commands.extend(member_commands(input));
    commands.push(wait_for_members(input));
    let fields = describe(&format!("[{FIELDS}]"));
    commands.push(shell.read(HandShell::READY, &fields, &OUTPUTS, ":"));
    let end = format!("${id}, ${}:${}", input.sets("endpoint"), input.sets("port"));
    commands.push(shell.end(&end));
    commands
}

/// A cluster can be deleted once each of its instances is being deleted.
fn remove_command(input: &HandInput) -> String {
    let (region, id, member) = (input.region(), input.sets("id"), input.sets("member"));
    shell(input).only_mine(&format!(
        "for {member} in $(aws rds describe-db-instances --region {region} --filters \"Name=db-cluster-id,Values=${id}\" \\\n  \
         --query 'DBInstances[].DBInstanceIdentifier' --output text); do\n  \
         aws rds delete-db-instance --region {region} --db-instance-identifier \"${member}\" --skip-final-snapshot \\\n    \
         --query DBInstance.DBInstanceStatus --output text\ndone\n\
         aws rds modify-db-cluster --region {region} --db-cluster-identifier \"${id}\" --no-deletion-protection \
         --apply-immediately \\\n  --query DBCluster.Status --output text\n\
         # refused while an instance is there that is not being deleted: paste it again then\n\
         aws rds delete-db-cluster --region {region} --db-cluster-identifier \"${id}\" --skip-final-snapshot \\\n  \
         --query DBCluster.Status --output text"
    ))
}

fn restore_command(input: &HandInput, command: &str, from: Vec<String>) -> String {
    let id = input.sets("id");
    let mut words = vec![
        format!("aws rds {command} --region {}", input.region()),
        format!("--db-cluster-identifier \"${id}\""),
    ];
    words.extend(from);
    let options = [
        ("subnet_group", "--db-subnet-group-name"),
        ("cluster_parameter_group", "--db-cluster-parameter-group-name"),
        ("port", "--port"),
        ("kms_key", "--kms-key-id"),
        ("engine_mode", "--engine-mode"),
        ("storage_type", "--storage-type"),
    ];
    for (name, option) in options {
        words.extend(input.word(name).map(|word| format!("{option} {word}")));
    }
    let lists = [
        ("security_groups", "--vpc-security-group-ids"),
        ("log_exports", "--enable-cloudwatch-logs-exports"),
    ];
    for (name, option) in lists {
        let list = input.words(name).filter(|words| !words.is_empty());
        words.extend(list.map(|list| format!("{option} {list}")));
    }
    words.extend(retention(input));
    if let (Some(min), Some(max)) = (input.word("serverless.min"), input.word("serverless.max")) {
        let option = "--serverless-v2-scaling-configuration";
        words.push(format!("{option} MinCapacity={min},MaxCapacity={max}"));
    }
    words.push(flag(input, "deletion_protection", "deletion-protection"));
    if input.value("iam_auth").is_some() {
        words.push(flag(input, "iam_auth", "enable-iam-database-authentication"));
    }
    words.extend(tags(input));
    words.push("--query DBCluster.Status --output text".to_owned());
    words.join(" \\\n  ")
}

fn tags(input: &HandInput) -> Option<String> {
    let tags = input.value("tags")?.as_object().filter(|tags| !tags.is_empty())?;
    let tag = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        HandInput::quote(&format!("Key={name},Value={value}"))
    };
    Some(format!("--tags {}", tags.iter().map(tag).collect::<Vec<_>>().join(" ")))
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

/// One command for each member, the writer's first: the first instance of a cluster is the one that writes.
fn member_commands(input: &HandInput) -> Vec<String> {
    let readers = input.value("readers").and_then(Value::as_array).map_or(0, Vec::len);
    let readers = (0..readers).map(|nth| (format!("readers.{nth}"), nth + 2));
    let mut commands: Vec<String> = std::iter::once(("writer".to_owned(), 1))
        .chain(readers)
        .map(|(path, number)| {
            // Each instance only when the one before was taken.
            let from = if number == 1 { EMPTY } else { HandShell::ASKED };
            member_command(input, &path, number, from)
        })
        .collect();
    if let Some(Value::String(_)) = input.value("readers") {
        commands.push(
            "# an earlier step says which readers are made: repeat the command for each, with another number at the end \
             of its name"
                .to_owned(),
        );
    }
    commands
}

fn member_command(input: &HandInput, path: &str, number: usize, from: &str) -> String {
    let (id, engine) = (input.sets("id"), input.sets("engine"));
    // A path of names does not lead into a list.
    let member = match path.split_once('.') {
        None => input.value(path).cloned(),
        Some((list, nth)) => {
            let nth = nth.parse::<usize>().ok();
            nth.and_then(|nth| input.value(list)?.get(nth).cloned())
        }
    };
    let member = member.unwrap_or_default();
    let word = |name: &str| match member.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(HandInput::quote(text)),
        other => Some(other.to_string()),
    };
    let mut words = vec![
        format!("aws rds create-db-instance --region {}", input.region()),
        format!("--db-instance-identifier \"${id}-{number}\" --db-cluster-identifier \"${id}\""),
        format!("--engine \"${engine}\""),
    ];
    for (name, option) in [
        ("class", "--db-instance-class"),
        ("tier", "--promotion-tier"),
        ("zone", "--availability-zone"),
    ] {
        words.extend(word(name).map(|word| format!("{option} {word}")));
    }
    let group = input.word("instance_parameter_group");
    words.extend(group.map(|group| format!("--db-parameter-group-name {group}")));
    words.extend(input.word("ca").map(|ca| format!("--ca-certificate-identifier {ca}")));
    words.extend(monitoring_options(input));
    words.push(flag(input, "publicly_accessible", "publicly-accessible"));
    words.extend(tags(input));
    words.push("--query DBInstance.DBInstanceStatus --output text".to_owned());
    let command = words.join(" \\\n  ");
    HandShell { what: "instance", ..shell(input) }.ask(
        from,
        &command,
        Some("DBInstanceAlreadyExists"),
    )
}

/// Until each instance is ready, in what is left of the limit of the step.
fn wait_for_members(input: &HandInput) -> String {
    let (id, seen, went) = (input.sets("id"), input.sets("instances"), input.sets("went"));
    let look = format!(
        "aws rds describe-db-instances --region {} --filters \"Name=db-cluster-id,Values=${id}\" \\\n    \
         --query 'DBInstances[].[DBInstanceIdentifier,DBInstanceStatus]' --output text",
        input.region()
    );
    let is = |statuses: &[&str]| format!("'[[:space:]]({})$'", statuses.join("|"));
    let known: Vec<_> = MEMBER_READY.iter().chain(&MEMBER_UNDER_WAY).copied().collect();
    // `grep -v` finds a line that is none of these.
    let decide = format!(
        "if printf '%s\\n' \"${seen}\" | grep -Evq {}; then\n      \
         {went}='stopped: an instance has ended in another status than available, which does not pass by waiting'\n    \
         elif ! printf '%s\\n' \"${seen}\" | grep -Evq {}; then {went}={}; fi",
        is(&known),
        is(&MEMBER_READY),
        HandShell::READY
    );
    let wait = Wait {
        look: &look,
        status: "instances",
        decide: &decide,
        until: "complete",
        pause: 30,
        goes_on: true,
    };
    shell(input).wait(HandShell::ASKED, &wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn hand(with: Value) -> HandInput {
        HandInput::new("restore", Some("eu-west-1"), with, BTreeMap::new())
    }

    fn all(hand: &ByHand) -> String {
        hand.commands.join("\n")
    }

    #[test]
    fn the_commands_say_everything_that_the_step_says() {
        let with = json!({
            "snapshot": HandInput::variable_mark("point", "arn"),
            "writer": { "class": "db.r6g.large", "tier": 0, "zone": "eu-west-1a" },
            "readers": [{ "class": "db.r6g.xlarge", "tier": 1 }, { "class": "db.serverless" }],
            "subnet_group": "prod-dr", "security_groups": ["sg-1", "sg-2"], "port": 5433, "iam_auth": true,
            "cluster_parameter_group": "payments", "instance_parameter_group": "payments-instance",
            "log_exports": ["postgresql"], "kms_key": "alias/dr", "serverless": { "min": 0.5, "max": 8 },
            "deletion_protection": HandInput::variable_mark("config", "deletion_protection"),
            "tags": { "team": "a b" }, "backup_retention": "7d", "ca": "rds-ca-rsa2048-g1",
            "monitoring": { "every": "1m", "role": "arn:aws:iam::111111111111:role/m" },
        });
        let commands = all(&from_snapshot(&hand(with)));
        for part in [
            "RESTORE_SNAPSHOT=\"${POINT_ARN:?}\"",
            "--db-cluster-snapshot-identifier \"${RESTORE_SNAPSHOT##*:cluster-snapshot:}\"",
            "--snapshot-identifier \"$RESTORE_SNAPSHOT\"",
            "--engine-version \"$RESTORE_ENGINE_VERSION\"",
            "--db-subnet-group-name prod-dr",
            "--vpc-security-group-ids sg-1 sg-2",
            "--db-cluster-parameter-group-name payments",
            "--enable-cloudwatch-logs-exports postgresql",
            "--serverless-v2-scaling-configuration MinCapacity=0.5,MaxCapacity=8",
            "--kms-key-id alias/dr",
            "--port 5433",
            "--enable-iam-database-authentication",
            "case \"${CONFIG_DELETION_PROTECTION:?}\" in",
            "--db-instance-identifier \"$RESTORE_ID-1\" --db-cluster-identifier \"$RESTORE_ID\"",
            "--db-instance-class db.r6g.large \\\n  --promotion-tier 0 \\\n  --availability-zone eu-west-1a",
            "--db-instance-identifier \"$RESTORE_ID-3\"",
            "--db-instance-class db.serverless",
            "--db-parameter-group-name payments-instance",
            "--no-publicly-accessible",
            "--backup-retention-period 7",
            "--ca-certificate-identifier rds-ca-rsa2048-g1",
            "--monitoring-interval 60 --monitoring-role-arn arn:aws:iam::111111111111:role/m",
            "--tags 'Key=team,Value=a b'",
            "read -r RESTORE_ARN RESTORE_ENDPOINT RESTORE_READER_ENDPOINT RESTORE_PORT",
            "[ \"$n\" -lt 112 ]",
        ] {
            assert!(commands.contains(part), "{part} is missing in\n{commands}");
        }
    }

    #[test]
    fn the_variables_are_as_many_as_the_fields() {
        assert_eq!(FIELDS.split(',').count(), OUTPUTS.len());
    }

    #[test]
    fn a_point_in_time_is_the_one_of_the_step_or_the_latest() {
        let with = json!({ "of": "payments", "writer": { "class": "c" } });
        let commands = all(&to_point_in_time(&hand(with)));
        assert!(commands.contains("--use-latest-restorable-time"), "{commands}");
        assert!(commands.contains("--restore-type full-copy"), "{commands}");
        let with = json!({
            "of": "payments", "writer": { "class": "c" }, "to": "2026-11-22T00:00:00Z",
            "readers": HandInput::variable_mark("config", "readers"),
        });
        let commands = all(&to_point_in_time(&hand(with)));
        assert!(commands.contains("--restore-to-time 2026-11-22T00:00:00Z"), "{commands}");
        assert!(commands.contains("# an earlier step says which readers are made"), "{commands}");
    }
}
