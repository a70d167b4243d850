//! The configuration of a cluster and its members, as far as another cluster can be compared with it. Reading it.

use super::cluster::describe_cluster;
use super::config_items::ClusterItem;
use super::instance::describe_instances;
use crate::action::{StepContext, StepError};
use crate::client;
use crate::journal::Finding;
use crate::providers::backups::time_of;
use crate::providers::rds::{
    Config, Origin, Told, changed_parameters, changed_parameters_by, monitoring, not_in_force,
    security_groups_of, sorted,
};
use crate::time::HumanDuration;
use aws_sdk_rds::types::{DbCluster, DbInstance};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The configuration of a cluster and its members. What is absent is not intended, or RDS did not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterConfig {
    /// When it was captured (UTC). Absent in what a person wrote.
    pub(super) captured_at: Option<DateTime<Utc>>,
    /// The ARN of the cluster that it was captured from. Absent in what a person wrote. Not compared.
    pub(super) arn: Option<String>,
    /// The identity (`DbClusterResourceId`) of that cluster. As above.
    pub(super) resource_id: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// Whether its members are in several zones.
    pub(super) multi_az: Option<bool>,
    /// How many members read: all but the one that writes.
    pub(super) readers: Option<u64>,
    /// The instance classes of its members, the writer's among them.
    pub(super) classes: Option<Vec<String>>,
    /// The places of its members in the order in which they take over the writing.
    pub(super) tiers: Option<Vec<i32>>,
    /// The limits of Aurora Serverless v2, in capacity units: `0.5 to 16`.
    pub(super) capacity: Option<String>,
    /// The storage type: `aurora` or `aurora-iopt1`.
    pub(super) storage_type: Option<String>,
    /// Whether the storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key of the storage: its ARN, as RDS tells it. Keys differ from region to region.
    pub(super) kms_key: Option<String>,
    /// The VPC of its members.
    pub(super) vpc: Option<String>,
    /// The DB subnet group.
    pub(super) subnet_group: Option<String>,
    /// The VPC security groups, exactly these.
    pub(super) security_groups: Option<Vec<String>>,
    /// Whether a member has an address that can be reached from outside its VPC.
    pub(super) publicly_accessible: Option<bool>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The cluster parameter group.
    pub(super) cluster_parameter_group: Option<String>,
    /// The parameters of that group that differ from the engine's default, with their values.
    pub(super) cluster_parameters: Option<BTreeMap<String, String>>,
    /// The parameter groups of its members, each once.
    pub(super) instance_parameter_groups: Option<Vec<String>>,
    /// The parameters of these groups that differ from the engine's default, with their values; those of several groups as
    /// `group: value`.
    pub(super) instance_parameters: Option<BTreeMap<String, String>>,
    /// Whether it is protected from deletion.
    pub(super) deletion_protection: Option<bool>,
    /// How long automated backups are kept.
    pub(super) backup_retention: Option<HumanDuration>,
    /// Whether IAM database authentication is on.
    pub(super) iam_auth: Option<bool>,
    /// The authorities of the server certificates of its members, each once.
    pub(super) cas: Option<Vec<String>>,
    /// The times between two looks of Enhanced Monitoring at its members, each once; zero when it is off.
    pub(super) monitoring: Option<Vec<HumanDuration>>,
    /// The logs that are sent to CloudWatch, exactly these.
    pub(super) log_exports: Option<Vec<String>>,
    /// Tags of the cluster that must be there; others may be.
    pub(super) tags: Option<BTreeMap<String, String>>,
}

const DAY: u64 = 86_400;

impl Config for ClusterConfig {
    type Item = ClusterItem;

    fn origin(&self) -> Origin<'_> {
        Origin {
            captured_at: self.captured_at,
            arn: self.arn.as_deref(),
            resource_id: self.resource_id.as_deref(),
        }
    }

    fn kms_key(&self) -> Option<&str> {
        self.kms_key.as_deref()
    }
}

impl ClusterConfig {
    /// What RDS says of a cluster and of all of its members, their parameters apart.
    pub(super) fn of(
        cluster: &DbCluster,
        members: &[DbInstance],
        captured_at: Option<DateTime<Utc>>,
    ) -> Self {
        let days = cluster.backup_retention_period().and_then(|days| u64::try_from(days).ok());
        let groups = security_groups_of(cluster.vpc_security_groups());
        let groups = sorted(groups.filter_map(|group| group.vpc_security_group_id()));
        let tags = cluster.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        let logs = cluster.enabled_cloudwatch_logs_exports().iter().map(String::as_str);
        Self {
            captured_at,
            arn: text(cluster.db_cluster_arn()),
            resource_id: text(cluster.db_cluster_resource_id()),
            engine: text(cluster.engine()),
            engine_version: text(cluster.engine_version()),
            multi_az: cluster.multi_az(),
            readers: readers(cluster),
            tiers: Some(tiers(cluster)),
            capacity: capacity(cluster),
            // RDS does not return the standard type:
            // https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html
            storage_type: Some(text(cluster.storage_type()).unwrap_or_else(|| "aurora".to_owned())),
            encrypted: cluster.storage_encrypted(),
            kms_key: text(cluster.kms_key_id()),
            subnet_group: text(cluster.db_subnet_group()),
            security_groups: (!groups.is_empty()).then_some(groups),
            port: cluster.port(),
            cluster_parameter_group: text(cluster.db_cluster_parameter_group()),
            deletion_protection: cluster.deletion_protection(),
            backup_retention: days.map(|days| HumanDuration(Duration::from_secs(days * DAY))),
            iam_auth: cluster.iam_database_authentication_enabled(),
            // RDS leaves out empty lists.
            log_exports: Some(sorted(logs)),
            tags: Some(tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            ..Self::of_members(members)
        }
    }

    /// What is of the members. Of a member that RDS does not describe in full, nothing is claimed.
    fn of_members(members: &[DbInstance]) -> Self {
        let vpcs = each(members, |m| m.db_subnet_group().and_then(|group| group.vpc_id()));
        let public: Option<Vec<bool>> = members.iter().map(|m| m.publicly_accessible()).collect();
        let watched: Option<BTreeSet<HumanDuration>> = members.iter().map(monitoring).collect();
        let classes = members.iter().map(|member| text(member.db_instance_class()));
        let mut classes: Option<Vec<String>> = classes.collect();
        if let Some(classes) = &mut classes {
            classes.sort_unstable();
        }
        let some = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
        Self {
            classes,
            vpc: vpcs.filter(|vpcs| vpcs.len() == 1).and_then(|mut vpcs| vpcs.pop()),
            publicly_accessible: public
                .filter(|all| !all.is_empty())
                .map(|all| all.into_iter().any(|public| public)),
            instance_parameter_groups: some(each(members, |m| {
                m.db_parameter_groups().first().and_then(|group| group.db_parameter_group_name())
            })),
            cas: some(each(members, |m| m.ca_certificate_identifier())),
            monitoring: watched.filter(|all| !all.is_empty()).map(|all| all.into_iter().collect()),
            ..Self::default()
        }
    }
}

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// What the members say, each once and in order; `None` when one of them does not say it.
fn each<'m>(
    members: &'m [DbInstance],
    of: impl Fn(&'m DbInstance) -> Option<&'m str>,
) -> Option<Vec<String>> {
    let all: Option<BTreeSet<String>> = members.iter().map(|member| text(of(member))).collect();
    all.map(|all| all.into_iter().collect())
}

fn readers(cluster: &DbCluster) -> Option<u64> {
    let members = cluster.db_cluster_members();
    members.iter().find(|member| member.is_cluster_writer() == Some(true))?;
    u64::try_from(members.len() - 1).ok()
}

fn tiers(cluster: &DbCluster) -> Vec<i32> {
    let members = cluster.db_cluster_members().iter();
    let mut tiers: Vec<i32> = members.filter_map(|member| member.promotion_tier()).collect();
    tiers.sort_unstable();
    tiers
}

fn capacity(cluster: &DbCluster) -> Option<String> {
    let limits = cluster.serverless_v2_scaling_configuration()?;
    let (min, max) = limits.min_capacity().zip(limits.max_capacity())?;
    Some(format!("{min} to {max}"))
}

/// The names of the members, as the cluster lists them.
fn member_names(cluster: &DbCluster) -> Vec<String> {
    let members = cluster.db_cluster_members().iter();
    members.filter_map(|member| member.db_instance_identifier()).map(str::to_lowercase).collect()
}

/// What was read of a cluster.
pub(super) struct Read {
    pub(super) cluster: DbCluster,
    /// With the parameters that could be read.
    pub(super) config: ClusterConfig,
    pub(super) told: Told,
    /// Why parameters could not be read, if so.
    pub(super) unread: Vec<String>,
    /// Groups whose parameters the servers do not run with: of the cluster, and of members.
    pub(super) not_in_force: [Vec<Finding>; 2],
}

/// What is said of groups whose parameters the servers do not run with.
fn out_of_force(cluster: &DbCluster, members: &[DbInstance]) -> [Vec<Finding>; 2] {
    let group = cluster.db_cluster_parameter_group().unwrap_or_default();
    let of_cluster = cluster.db_cluster_members().iter().filter_map(|member| {
        let name = member.db_instance_identifier().unwrap_or_default();
        let status = member.db_cluster_parameter_group_status();
        not_in_force("aurora", &format!("{group} of {name}"), status)
    });
    let of_members = members.iter().filter_map(|member| {
        let group = member.db_parameter_groups().first()?;
        let of = group.db_parameter_group_name().unwrap_or_default();
        let name = member.db_instance_identifier().unwrap_or_default();
        not_in_force("aurora", &format!("{of} of {name}"), group.parameter_apply_status())
    });
    [of_cluster.collect(), of_members.collect()]
}

/// Reads a cluster, its members and its parameters.
///
/// # Errors
/// Those of the calls; an error of the recovery when there is no such cluster or a member is not described.
pub(super) async fn read(
    cx: &StepContext,
    name: &str,
    captured_at: Option<DateTime<Utc>>,
) -> Result<Read, StepError> {
    let cluster = describe_cluster(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no cluster {name} here"))
            .help("check the name, and the account and region of the step's site")
    })?;
    let names = member_names(&cluster);
    let members = match names.is_empty() {
        // As a filter, no name would mean every instance.
        true => BTreeMap::new(),
        false => describe_instances(cx, names.clone()).await?,
    };
    if let Some(missing) = names.iter().find(|name| !members.contains_key(*name)) {
        return Err(StepError::transient(format!(
            "the cluster {name} names the member {missing}, and RDS does not describe it"
        )));
    }
    let members: Vec<DbInstance> = members.into_values().collect();
    let mut config = ClusterConfig::of(&cluster, &members, captured_at);
    let unread = read_parameters(cx, &mut config).await?;
    let told = Told {
        arn: config.arn.clone(),
        resource_id: config.resource_id.clone(),
        made: cluster.cluster_create_time().and_then(time_of),
    };
    let not_in_force = out_of_force(&cluster, &members);
    Ok(Read { cluster, config, told, unread, not_in_force })
}

/// Reads the parameters of the groups that the configuration names; tells why some could not be read.
async fn read_parameters(
    cx: &StepContext,
    config: &mut ClusterConfig,
) -> Result<Vec<String>, StepError> {
    let mut unread = Vec::new();
    match &config.cluster_parameter_group {
        None => unread.push("RDS names no cluster parameter group".to_owned()),
        Some(group) => match changed_in_cluster_group(cx, group).await? {
            Ok(parameters) => config.cluster_parameters = Some(parameters),
            Err(why) => unread.push(why),
        },
    }
    let Some(groups) = &config.instance_parameter_groups else {
        unread.push("RDS names no parameter group of a member".to_owned());
        return Ok(unread);
    };
    let mut of_groups = BTreeMap::new();
    for group in groups {
        match changed_parameters(cx, group).await? {
            Ok(parameters) => _ = of_groups.insert(group.clone(), parameters),
            Err(why) => unread.push(why),
        }
    }
    if of_groups.len() == groups.len() {
        config.instance_parameters = Some(together(&of_groups));
    }
    Ok(unread)
}

/// The parameters of one group as they are; those of several with the names of the groups that set them.
fn together(groups: &BTreeMap<String, BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (group, parameters) in groups {
        for (name, value) in parameters {
            let said = match groups.len() {
                1 => value.clone(),
                _ => format!("{group}: {value}"),
            };
            all.entry(name.clone()).or_default().push(said);
        }
    }
    all.into_iter().map(|(name, values)| (name, values.join(", "))).collect()
}

async fn changed_in_cluster_group(
    cx: &StepContext,
    group: &str,
) -> Result<Result<BTreeMap<String, String>, String>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let first = client
        .describe_db_cluster_parameters()
        .db_cluster_parameter_group_name(group)
        .source("user")
        .max_records(100);
    let page = |marker| {
        let request = first.clone().set_marker(marker);
        async move {
            let operation = "rds:DescribeDBClusterParameters";
            let answer = cx.call(operation, || request.clone().send()).await?;
            let next = answer.marker().map(str::to_owned);
            Ok((answer.parameters.unwrap_or_default(), next))
        }
    };
    changed_parameters_by(group, page).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::{DbClusterMember, DbParameterGroupStatus};

    fn member(class: &str, group: &str) -> DbInstance {
        let group = DbParameterGroupStatus::builder().db_parameter_group_name(group).build();
        DbInstance::builder()
            .db_instance_class(class)
            .db_parameter_groups(group)
            .publicly_accessible(false)
            .monitoring_interval(60)
            .ca_certificate_identifier("rds-ca-rsa2048-g1")
            .build()
    }

    #[test]
    fn regression_parameters_that_a_member_does_not_run_with_are_told() {
        let of = |cluster: &str, own: &str| {
            let member = DbClusterMember::builder()
                .db_instance_identifier("a")
                .db_cluster_parameter_group_status(cluster)
                .build();
            let cluster = DbCluster::builder().db_cluster_members(member).build();
            let group = DbParameterGroupStatus::builder().parameter_apply_status(own).build();
            let member = DbInstance::builder().db_parameter_groups(group).build();
            out_of_force(&cluster, &[member]).map(|found| found.len())
        };
        assert_eq!(of("in-sync", "in-sync"), [0, 0]);
        assert_eq!(of("pending-reboot", "in-sync"), [1, 0]);
        assert_eq!(of("in-sync", "applying"), [0, 1]);
    }

    #[test]
    fn members_are_told_together_and_what_one_does_not_say_is_not_claimed() {
        let members = [member("db.r6g.xlarge", "b"), member("db.r6g.large", "a")];
        let config = ClusterConfig::of_members(&members);
        assert_eq!(config.classes.unwrap(), ["db.r6g.large", "db.r6g.xlarge"]);
        assert_eq!(config.instance_parameter_groups.unwrap(), ["a", "b"]);
        assert_eq!(config.cas.unwrap(), ["rds-ca-rsa2048-g1"]);
        assert_eq!(config.publicly_accessible, Some(false));
        let silent = [member("db.r6g.large", "a"), DbInstance::builder().build()];
        let config = ClusterConfig::of_members(&silent);
        assert_eq!((config.classes, config.cas, config.publicly_accessible), (None, None, None));
        let nobody = ClusterConfig::of_members(&[]);
        assert_eq!((nobody.classes, nobody.cas), (Some(Vec::new()), None));
    }

    #[test]
    fn readers_are_counted_only_beside_a_writer() {
        let member = |writes| DbClusterMember::builder().is_cluster_writer(writes).build();
        let cluster = |members: &[bool]| {
            let members = members.iter().map(|writes| member(*writes)).collect();
            DbCluster::builder().set_db_cluster_members(Some(members)).build()
        };
        assert_eq!(readers(&cluster(&[true, false, false])), Some(2));
        assert_eq!(readers(&cluster(&[true])), Some(0));
        assert_eq!((readers(&cluster(&[false])), readers(&cluster(&[]))), (None, None));
    }

    #[test]
    fn the_standard_storage_type_is_the_one_that_is_not_said() {
        let config = ClusterConfig::of(&DbCluster::builder().build(), &[], None);
        assert_eq!(config.storage_type.as_deref(), Some("aurora"));
    }

    #[test]
    fn parameters_of_several_groups_say_which_group_sets_them() {
        let of = |value: &str| BTreeMap::from([("work_mem".to_owned(), value.to_owned())]);
        let one = BTreeMap::from([("a".to_owned(), of("64"))]);
        assert_eq!(together(&one)["work_mem"], "64");
        let two = BTreeMap::from([("a".to_owned(), of("64")), ("b".to_owned(), of("4"))]);
        assert_eq!(together(&two)["work_mem"], "a: 64, b: 4");
    }
}
