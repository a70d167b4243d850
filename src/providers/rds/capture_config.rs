use super::config::{DbConfig, changed_parameters, options_of, security_groups_of, sorted};
use super::db_instance::describe_instance;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::journal::{Check, Finding, Severity};
use crate::time::{ByteSize, HumanDuration};
use aws_sdk_rds::types::DbInstance;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `rds.capture_config`: writes down what a snapshot does not know about its instance.
pub(super) struct CaptureConfig;

/// What `rds.capture_config` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureConfigInput {
    /// The identifier of the instance.
    pub(super) instance: String,
}

/// What `rds.capture_config` tells. What RDS does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct CaptureConfigOutput {
    /// The identifier of the instance.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: Option<String>,
    /// Its identity (`DbiResourceId`), which differs from an earlier or later instance of the same name.
    pub(super) resource_id: Option<String>,
    /// Its status.
    pub(super) status: Option<String>,
    /// The instance class.
    pub(super) class: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// Whether it has a standby in another zone.
    pub(super) multi_az: Option<bool>,
    /// The storage type: `gp3`, `io2`.
    pub(super) storage_type: Option<String>,
    /// The size of the storage, in bytes.
    pub(super) storage: Option<ByteSize>,
    /// Provisioned I/O operations per second.
    pub(super) iops: Option<i32>,
    /// The DB subnet group.
    pub(super) subnet_group: Option<String>,
    /// The VPC security groups, sorted.
    pub(super) security_groups: Vec<String>,
    /// The DB parameter group.
    pub(super) parameter_group: Option<String>,
    /// How many parameters of that group differ from the engine's default; absent when the group could not be read.
    pub(super) parameters_changed: Option<u64>,
    /// These parameters with their values.
    pub(super) parameters: Option<BTreeMap<String, String>>,
    /// The option group.
    pub(super) option_group: Option<String>,
    /// The host name at which it is connected to.
    pub(super) endpoint: Option<String>,
    /// The port.
    pub(super) port: Option<i32>,
    /// Whether it is protected from deletion.
    pub(super) deletion_protection: Option<bool>,
    /// Whether IAM database authentication is on.
    pub(super) iam_auth: Option<bool>,
    /// Whether it has an address that can be reached from outside its VPC.
    pub(super) publicly_accessible: Option<bool>,
    /// How long automated backups are kept; zero means that there are none.
    pub(super) backup_retention: Option<HumanDuration>,
    /// Whether the storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key of the storage.
    pub(super) kms_key: Option<String>,
    /// The CA of its server certificate.
    pub(super) ca: Option<String>,
    /// The logs that are sent to CloudWatch, sorted.
    pub(super) log_exports: Vec<String>,
    /// Its tags.
    pub(super) tags: BTreeMap<String, String>,
    /// Provisioned throughput of the storage, in MiB per second.
    pub(super) storage_throughput: Option<i32>,
    /// The time between two looks of Enhanced Monitoring; zero when it is off.
    pub(super) monitoring: Option<HumanDuration>,
    /// When this was captured (UTC).
    pub(super) captured_at: DateTime<Utc>,
    /// All of it that another instance can be compared with, dated: `intended:` of `rds.compare_config`.
    pub(super) config: DbConfig,
}

impl Action for CaptureConfig {
    type Input = CaptureConfigInput;
    type Output = CaptureConfigOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.capture_config",
            title: "Capture the configuration of the instance",
            about: "Writes down, before the disaster, what a snapshot does not know about its instance: class, zones, \
                    storage, groups, changed parameters, port, protection, backup retention, key, CA and tags. Say under \
                    `expect:` what the policy demands of it (`multi_az: true`, `backup_retention: \">= 7d\"`).\n\nAfter \
                    the disaster the instance is gone, so later steps take their values from here or from the scenario.",
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "rds:DescribeDBInstances", why: "read the configuration" },
                Permission { action: "rds:DescribeDBParameters", why: "read changed parameters" },
            ],
            checks: &[("parameters read", "the parameter group of the instance could be read")],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5 with PostgreSQL 15"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: CaptureConfigInput,
    ) -> Result<CaptureConfigOutput, StepError> {
        let instance = describe_instance(cx, &input.instance).await?.ok_or_else(|| {
            StepError::recovery(format!("there is no instance {} here", input.instance))
                .help("check the name, and the account and region of the step's site")
        })?;
        let mut captured = captured(&input.instance, &instance, cx.clock.now());
        let read = match &captured.parameter_group {
            Some(group) => changed_parameters(cx, group).await?,
            None => Err("RDS names no parameter group of the instance".to_owned()),
        };
        let name = "parameters read";
        match read {
            Ok(parameters) => {
                let count = parameters.len();
                captured.parameters_changed = Some(u64::try_from(count).unwrap_or(u64::MAX));
                captured.parameters = Some(parameters);
                cx.check(Check::made(name, "readable", format!("{count} changed"), true)).await?;
            }
            Err(why) => cx.check(Check::not_made(name, "readable", why)).await?,
        }
        captured.config.parameters.clone_from(&captured.parameters);
        if captured.backup_retention == Some(HumanDuration::default()) {
            cx.finding(no_backups(&input.instance)).await?;
        }
        Ok(captured)
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        InputProblem::empty(given, "instance").into_iter().collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::capture_config(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::capture_config(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand(input)
    }
}

fn no_backups(instance: &str) -> Finding {
    Finding {
        severity: Severity::Serious,
        code: "rds.automated_backups_off".to_owned(),
        what: format!("automated backups of {instance} are off"),
        why: "without them it cannot be restored to a point in time, and nothing makes snapshots by itself"
            .to_owned(),
        action: "set a backup retention period of at least what the policy demands".to_owned(),
    }
}

const GIB: u64 = 1 << 30;

fn captured(id: &str, instance: &DbInstance, now: DateTime<Utc>) -> CaptureConfigOutput {
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    let groups = security_groups_of(instance.vpc_security_groups());
    let groups = groups.filter_map(|g| g.vpc_security_group_id());
    let tags = instance.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
    let parameter_group = instance.db_parameter_groups().first();
    let option_group = options_of(instance);
    let endpoint = instance.endpoint();
    let days = instance.backup_retention_period().and_then(|days| u64::try_from(days).ok());
    let gibibytes = instance.allocated_storage().and_then(|size| u64::try_from(size).ok());
    CaptureConfigOutput {
        id: id.to_owned(),
        arn: text(instance.db_instance_arn()),
        resource_id: text(instance.dbi_resource_id()),
        status: text(instance.db_instance_status()),
        class: text(instance.db_instance_class()),
        engine: text(instance.engine()),
        engine_version: text(instance.engine_version()),
        multi_az: instance.multi_az(),
        storage_type: text(instance.storage_type()),
        storage: gibibytes.map(|size| ByteSize(size * GIB)),
        iops: instance.iops(),
        subnet_group: text(instance.db_subnet_group().and_then(|g| g.db_subnet_group_name())),
        security_groups: sorted(groups),
        parameter_group: text(parameter_group.and_then(|g| g.db_parameter_group_name())),
        parameters_changed: None,
        parameters: None,
        option_group: text(option_group.and_then(|g| g.option_group_name())),
        endpoint: text(endpoint.and_then(|e| e.address())),
        port: endpoint.and_then(|e| e.port()),
        deletion_protection: instance.deletion_protection(),
        iam_auth: instance.iam_database_authentication_enabled(),
        publicly_accessible: instance.publicly_accessible(),
        backup_retention: days.map(|days| HumanDuration(Duration::from_secs(days * 86_400))),
        encrypted: instance.storage_encrypted(),
        kms_key: text(instance.kms_key_id()),
        ca: text(instance.ca_certificate_identifier()),
        log_exports: sorted(instance.enabled_cloudwatch_logs_exports().iter().map(String::as_str)),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        storage_throughput: instance.storage_throughput(),
        monitoring: super::config::monitoring(instance),
        captured_at: now,
        config: DbConfig::of(instance, Some(now)),
    }
}

/// The outputs that one line of the CLI gives, with their paths in its answer.
const READ: [(&str, &str); 23] = [
    ("id", "DBInstanceIdentifier"),
    ("arn", "DBInstanceArn"),
    ("resource_id", "DbiResourceId"),
    ("status", "DBInstanceStatus"),
    ("class", "DBInstanceClass"),
    ("engine", "Engine"),
    ("engine_version", "EngineVersion"),
    ("multi_az", "MultiAZ"),
    ("storage_type", "StorageType"),
    ("iops", "Iops"),
    ("subnet_group", "DBSubnetGroup.DBSubnetGroupName"),
    ("parameter_group", "DBParameterGroups[0].DBParameterGroupName"),
    ("option_group", "OptionGroupMemberships[0].OptionGroupName"),
    ("endpoint", "Endpoint.Address"),
    ("port", "Endpoint.Port"),
    ("deletion_protection", "DeletionProtection"),
    ("iam_auth", "IAMDatabaseAuthenticationEnabled"),
    ("kms_key", "KmsKeyId"),
    ("ca", "CACertificateIdentifier"),
    ("encrypted", "StorageEncrypted"),
    ("publicly_accessible", "PubliclyAccessible"),
    ("storage_throughput", "StorageThroughput"),
    // In days, as the calls of RDS take it.
    ("backup_retention", "BackupRetentionPeriod"),
];

fn by_hand(input: &HandInput) -> ByHand {
    let region = input.region();
    let instance = input.word("instance").unwrap_or_else(|| "''".to_owned());
    let describe = format!(
        "aws rds describe-db-instances --region {region} --db-instance-identifier {instance}"
    );
    let variables: Vec<_> = READ.iter().map(|(output, _)| input.sets(output)).collect();
    let variables = variables.join(" ");
    let paths: Vec<_> = READ.iter().map(|(_, path)| *path).collect();
    let (groups, group) = (input.sets("security_groups"), input.sets("parameter_group"));
    let seen = input.sets("seen");
    ByHand {
        commands: vec![format!(
            "unset {variables} {groups}\n\
             if {seen}=$({describe} \\\n  --query 'DBInstances[0].[{}]' --output text); then\n  \
             read -r {variables} <<EOF\n${seen}\nEOF\n  \
             {groups}=$({describe} \\\n    --query 'DBInstances[0].VpcSecurityGroups[].VpcSecurityGroupId' --output text)\n  \
             {describe} --output json   # keep the answer outside this region\n  \
             aws rds describe-db-parameters --region {region} --db-parameter-group-name \"${group}\" --source user \\\n    \
             --query 'Parameters[].[ParameterName,ParameterValue]' --output text\n\
             else\n  \
             echo 'UNKNOWN: the instance could not be described, as is said above; nothing is noted down' >&2\n\
             fi\n[ -n \"${{{group}:-}}\" ]",
            paths.join(",")
        )],
        expected: "The configuration of the instance and the parameters that differ from the engine's default."
            .to_owned(),
        verify: vec![
            "Compare it with the policy: zones, backup retention, protection, encryption.".to_owned(),
        ],
        if_it_fails: vec![
            "The instance is already gone: take the values from the report of the last drill, or from the code that made \
             the instance."
                .to_owned(),
        ],
            ..ByHand::default()
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::{Tag, VpcSecurityGroupMembership};
    use serde_json::json;

    #[test]
    fn what_rds_does_not_say_is_absent_and_never_a_default() {
        let nothing = captured("a", &DbInstance::builder().build(), DateTime::UNIX_EPOCH);
        let config = DbConfig {
            captured_at: Some(DateTime::UNIX_EPOCH),
            log_exports: Some(Vec::new()),
            tags: Some(BTreeMap::new()),
            ..DbConfig::default()
        };
        assert_eq!(nothing, CaptureConfigOutput { id: "a".into(), config, ..Default::default() });
        let json = serde_json::to_value(nothing).unwrap();
        for field in ["multi_az", "backup_retention", "deletion_protection", "parameters_changed"] {
            assert!(json[field].is_null(), "{field}");
        }
    }

    #[test]
    fn units_are_those_of_the_scenario_language() {
        let group =
            |id: &str| VpcSecurityGroupMembership::builder().vpc_security_group_id(id).build();
        let instance = DbInstance::builder()
            .allocated_storage(20)
            .backup_retention_period(7)
            .vpc_security_groups(group("sg-2"))
            .vpc_security_groups(group("sg-1"))
            .tag_list(Tag::builder().key("team").value("a").build())
            .build();
        let captured = captured("a", &instance, DateTime::UNIX_EPOCH);
        assert_eq!(captured.storage, Some(ByteSize(20 << 30)));
        assert_eq!(serde_json::to_value(captured.backup_retention).unwrap(), json!("7d"));
        assert_eq!(captured.security_groups, ["sg-1", "sg-2"]);
        assert_eq!(captured.tags["team"], "a");
    }

    #[test]
    fn automated_backups_that_are_off_are_a_retention_of_zero() {
        let instance = DbInstance::builder().backup_retention_period(0).build();
        let captured = captured("a", &instance, DateTime::UNIX_EPOCH);
        assert_eq!(captured.backup_retention, Some(HumanDuration::default()));
    }

    #[test]
    fn each_variable_is_read_from_its_own_path() {
        let input = HandInput::new(
            "config",
            Some("eu-west-1"),
            json!({ "instance": "orders" }),
            BTreeMap::new(),
        );
        let hand = by_hand(&input);
        assert!(hand.commands[0].contains("read -r CONFIG_ID CONFIG_ARN "));
        assert!(hand.commands[0].contains("Iops,DBSubnetGroup.DBSubnetGroupName,"));
        assert!(hand.commands[0].contains("CONFIG_SECURITY_GROUPS=$("));
    }
}
