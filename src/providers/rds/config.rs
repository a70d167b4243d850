//! The configuration of an instance, as far as another instance can be compared with it. Reading it.

use crate::action::{StepContext, StepError};
use crate::client;
use crate::journal::{FailureClass, Finding, Severity};
use crate::limits::LIST_PAGES;
use crate::time::{ByteSize, HumanDuration};
use aws_sdk_rds::types::{
    DbInstance, OptionGroupMembership, Parameter, VpcSecurityGroupMembership,
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// The configuration of an instance. What is absent is not intended, or RDS did not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::providers) struct DbConfig {
    /// When it was captured (UTC). Absent in what a person wrote.
    pub(in crate::providers) captured_at: Option<DateTime<Utc>>,
    /// The ARN of the instance that it was captured from. Absent in what a person wrote. Not compared.
    pub(in crate::providers) arn: Option<String>,
    /// The identity (`DbiResourceId`) of that instance. As above.
    pub(super) resource_id: Option<String>,
    /// The instance class.
    pub(super) class: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// Whether it has a standby in another zone.
    pub(super) multi_az: Option<bool>,
    /// The storage type.
    pub(super) storage_type: Option<String>,
    /// The size of the storage, in bytes.
    pub(super) storage: Option<ByteSize>,
    /// Provisioned I/O operations per second.
    pub(super) iops: Option<i32>,
    /// Provisioned throughput of the storage, in MiB per second.
    pub(super) storage_throughput: Option<i32>,
    /// Whether the storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key of the storage: its ARN, as RDS tells it. Keys differ from region to region.
    pub(super) kms_key: Option<String>,
    /// The VPC.
    pub(super) vpc: Option<String>,
    /// The DB subnet group.
    pub(super) subnet_group: Option<String>,
    /// The VPC security groups, exactly these.
    pub(super) security_groups: Option<Vec<String>>,
    /// Whether it has an address that can be reached from outside its VPC.
    pub(super) publicly_accessible: Option<bool>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The DB parameter group.
    pub(super) parameter_group: Option<String>,
    /// The parameters that differ from the engine's default, with their values.
    pub(super) parameters: Option<BTreeMap<String, String>>,
    /// The option group.
    pub(super) option_group: Option<String>,
    /// Whether it is protected from deletion.
    pub(super) deletion_protection: Option<bool>,
    /// How long automated backups are kept; zero means that there are none.
    pub(super) backup_retention: Option<HumanDuration>,
    /// Whether IAM database authentication is on.
    pub(super) iam_auth: Option<bool>,
    /// The authority of its server certificate.
    pub(super) ca: Option<String>,
    /// The time between two looks of Enhanced Monitoring; zero when it is off.
    pub(super) monitoring: Option<HumanDuration>,
    /// The logs that are sent to CloudWatch, exactly these.
    pub(super) log_exports: Option<Vec<String>>,
    /// Tags that must be there; others may be.
    pub(super) tags: Option<BTreeMap<String, String>>,
}

const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;

impl DbConfig {
    /// What RDS says of an instance, its parameters apart.
    pub(super) fn of(instance: &DbInstance, captured_at: Option<DateTime<Utc>>) -> Self {
        let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
        let network = instance.db_subnet_group();
        let groups = sorted(
            security_groups_of(instance.vpc_security_groups())
                .filter_map(|g| g.vpc_security_group_id()),
        );
        let logs = instance.enabled_cloudwatch_logs_exports().iter().map(String::as_str);
        let tags = instance.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        let parameters = instance.db_parameter_groups().first();
        let options = options_of(instance);
        let days = instance.backup_retention_period().and_then(|days| u64::try_from(days).ok());
        let gibibytes = instance.allocated_storage().and_then(|size| u64::try_from(size).ok());
        Self {
            captured_at,
            arn: text(instance.db_instance_arn()),
            resource_id: text(instance.dbi_resource_id()),
            class: text(instance.db_instance_class()),
            engine: text(instance.engine()),
            engine_version: text(instance.engine_version()),
            multi_az: instance.multi_az(),
            storage_type: text(instance.storage_type()),
            storage: gibibytes.map(|size| ByteSize(size * GIB)),
            iops: instance.iops(),
            storage_throughput: instance.storage_throughput(),
            encrypted: instance.storage_encrypted(),
            kms_key: text(instance.kms_key_id()),
            vpc: text(network.and_then(|group| group.vpc_id())),
            subnet_group: text(network.and_then(|group| group.db_subnet_group_name())),
            security_groups: (!groups.is_empty()).then_some(groups),
            publicly_accessible: instance.publicly_accessible(),
            port: instance.endpoint().and_then(|endpoint| endpoint.port()),
            parameter_group: text(parameters.and_then(|g| g.db_parameter_group_name())),
            parameters: None,
            option_group: text(options.and_then(|g| g.option_group_name())),
            deletion_protection: instance.deletion_protection(),
            backup_retention: days.map(|days| HumanDuration(Duration::from_secs(days * DAY))),
            iam_auth: instance.iam_database_authentication_enabled(),
            ca: text(instance.ca_certificate_identifier()),
            monitoring: monitoring(instance),
            // RDS leaves out empty lists.
            log_exports: Some(sorted(logs)),
            tags: Some(tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        }
    }
}

/// Whether a membership of a group is being ended.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_OptionGroupMembership.html>
fn ends(status: Option<&str>) -> bool {
    matches!(status, Some("pending-removal" | "pending-maintenance-removal" | "removing"))
}

/// The option group of an instance: while it is changed, there are two, of which one goes.
pub(super) fn options_of(instance: &DbInstance) -> Option<&OptionGroupMembership> {
    instance.option_group_memberships().iter().find(|group| !ends(group.status()))
}

/// The security groups of an instance or cluster, without those that go.
pub(in crate::providers) fn security_groups_of(
    groups: &[VpcSecurityGroupMembership],
) -> impl Iterator<Item = &VpcSecurityGroupMembership> {
    groups.iter().filter(|group| !ends(group.status()))
}

/// A security group that does not protect the instance or cluster yet, with its status.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_VpcSecurityGroupMembership.html>
pub(in crate::providers) fn security_group_to_come(
    groups: &[VpcSecurityGroupMembership],
) -> Option<String> {
    security_groups_of(groups).find_map(|group| {
        let status = group.status().filter(|status| *status != "active")?;
        Some(format!("{} is {status}", group.vpc_security_group_id().unwrap_or("a group")))
    })
}

/// What is said where an option group is not in force, or nobody knows.
pub(super) fn options_not_in_force(group: &str, status: Option<&str>) -> Option<Finding> {
    let status = match status {
        Some("in-sync") => return None,
        Some(other) => other,
        None => "in a state that RDS does not tell",
    };
    Some(Finding {
        severity: Severity::Serious,
        code: "rds.options_not_in_force".to_owned(),
        what: format!("the option group {group} is {status}"),
        why: "features of the engine may be missing, or there still, so that it was not compared".to_owned(),
        action: "wait, or apply it at once (modify-db-instance --apply-immediately), and compare once more".to_owned(),
    })
}

/// The time between two looks of Enhanced Monitoring.
pub(in crate::providers) fn monitoring(instance: &DbInstance) -> Option<HumanDuration> {
    let seconds = instance.monitoring_interval().and_then(|s| u64::try_from(s).ok())?;
    Some(HumanDuration(Duration::from_secs(seconds)))
}

/// Texts in order.
pub(in crate::providers) fn sorted<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut values: Vec<_> = values.map(str::to_owned).collect();
    values.sort_unstable();
    values
}

/// What is said where a server does not run with the parameters of its group, or nobody knows: RDS applies static ones when it is
/// started the next time.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBParameterGroupStatus.html>
pub(in crate::providers) fn not_in_force(
    service: &str,
    group: &str,
    status: Option<&str>,
) -> Option<Finding> {
    let status = match status {
        Some("in-sync") => return None,
        Some(other) => other,
        None => "in a state that RDS does not tell",
    };
    Some(Finding {
        severity: Severity::Serious,
        code: format!("{service}.parameters_not_in_force"),
        what: format!("the parameter group {group} is {status}"),
        why: "the server may run with other values than the group has, so that they were not compared".to_owned(),
        action: "start it again before it takes traffic (reboot-db-instance), and compare once more".to_owned(),
    })
}

/// The parameters of a group that somebody has set (source `user`), or why they cannot be read: the group is not there.
///
/// # Errors
/// Those of `rds:DescribeDBParameters`, except that there is no such group.
pub(in crate::providers) async fn changed_parameters(
    cx: &StepContext,
    group: &str,
) -> Result<Result<BTreeMap<String, String>, String>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let first = client
        .describe_db_parameters()
        .db_parameter_group_name(group)
        .source("user")
        .max_records(100);
    let page = |marker| {
        let request = first.clone().set_marker(marker);
        async move {
            let answer = cx.call("rds:DescribeDBParameters", || request.clone().send()).await?;
            let next = answer.marker().map(str::to_owned);
            Ok((answer.parameters.unwrap_or_default(), next))
        }
    };
    changed_parameters_by(group, page).await
}

/// The same, by a call that gives a page of parameters from a marker on, and the next marker.
///
/// # Errors
/// Those of the call, except that there is no such group; and when the pages do not end.
pub(in crate::providers) async fn changed_parameters_by<F>(
    group: &str,
    page: impl Fn(Option<String>) -> F,
) -> Result<Result<BTreeMap<String, String>, String>, StepError>
where
    F: Future<Output = Result<(Vec<Parameter>, Option<String>), StepError>>,
{
    let mut found = BTreeMap::new();
    let mut marker = None;
    for _ in 0..LIST_PAGES {
        let (parameters, next) = match page(marker.clone()).await {
            Ok(answer) => answer,
            Err(error) if error.class() == FailureClass::NotFound => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        for parameter in parameters {
            if let Some((name, value)) = parameter.parameter_name.zip(parameter.parameter_value) {
                found.insert(name, value);
            }
        }
        match next.filter(|next| !next.is_empty()) {
            None => return Ok(Ok(found)),
            next => marker = next,
        }
    }
    Err(StepError::broken(format!(
        "the parameters of {group} did not end after {LIST_PAGES} pages"
    )))
}
