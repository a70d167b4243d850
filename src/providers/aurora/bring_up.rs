//! From an accepted request for a cluster to a cluster whose members answer: the part that restoring a snapshot and restoring
//! to a point in time have in common.

use super::cluster::{CLUSTERS, ClusterKind, describe_cluster};
use super::fidelity::{
    Expected, Progress, compare, missing, progress_of_cluster, progress_of_member, roles,
};
use super::input::{ClusterOutput, Member, Settings};
use super::instance::{INSTANCES, InstanceKind};
use crate::action::{Latest, Look, StepContext, StepError, WaitPlan, own, own_latest};
use crate::client;
use crate::journal::{ClockPoint, FailureClass};
use crate::providers::rds::{
    Bracket, Monitoring, NetworkOf, closed_in_a_drill, in_the_vpc, moment_of, vpc_before,
    warn_of_network,
};
use aws_sdk_rds::types::{DbCluster, DbInstance, SourceType, Tag};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The wait for a cluster ends here even when the step's own limit is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A look-up right after something was asked for may not see it yet: a look that does not find it says nothing about the
/// backup.
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);

/// Members that are available are in the description of their cluster within this time, or something is wrong with them.
const JOINS_WITHIN: Duration = Duration::from_secs(600);

/// RDS-EVENT-0005
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html>).
const ENDS_THE_MAKING: &[&str] = &["db instance created"];

/// Makes the cluster and its members, waits for all of them, compares them with what was asked for, and tells about them.
///
/// A cluster is available long before its members are, and answers nobody until then. `latest` is the recovery point of a restore
/// that takes the latest data there is.
///
/// # Errors
/// Those of the calls; an error of the recovery that names the member that did not join.
pub(super) async fn bring_up<F>(
    cx: &StepContext,
    settings: &Settings,
    expected: &Expected,
    latest: Option<&Latest>,
    create: impl Fn() -> F,
) -> Result<ClusterOutput, StepError>
where
    F: Future<Output = Result<Option<String>, StepError>>,
{
    vpc_before(cx, settings.vpc.as_deref(), settings.subnet_group.as_deref()).await?;
    warn(cx, settings).await?;
    let name = cx.name_of_mine(63);
    let asked_at = Mutex::new(None);
    let make = || async {
        *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
        Ok(create().await?.unwrap_or_else(|| name.clone()))
    };
    match latest {
        Some(latest) => own_latest(cx, &ClusterKind, name.clone(), latest, make).await?,
        None => own(cx, &ClusterKind, name.clone(), make).await?,
    };
    let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
    let half = settings.expected_duration.0 / 2;
    let (cluster, cluster_ready) = wait_for_cluster(cx, &name, half).await?;
    let names = member_names(cx, settings);
    for (member_name, member) in names.iter().zip(settings.members()) {
        make_member(cx, settings, &cluster, member_name, member).await?;
    }
    let within = settings.joins_within.0;
    let all = names.iter().map(|member| wait_for_member(cx, &name, member, (half, within)));
    let ready = try_join_all(all).await?;
    let cluster = wait_for_all_joined(cx, &name, &names).await?;
    let (at, source) = available_at(cx, &ready).await;
    cx.reached(ClockPoint::ResourceAvailable, at, &source).await?;
    let instances: Vec<DbInstance> = ready.into_iter().map(|ready| ready.instance).collect();
    let checks = compare(settings, expected, &names, &cluster, &instances);
    for check in closed_in_a_drill(cx, settings.publicly_accessible, checks) {
        cx.check(check).await?;
    }
    if let Some(check) = in_the_vpc(settings.vpc.as_deref(), &instances) {
        cx.check(check).await?;
    }
    let mut output = told(name, &cluster);
    output.cluster_after = asked_at.map(|asked| (cluster_ready - asked).into());
    output.available_after = asked_at.map(|asked| (at - asked).into());
    Ok(output)
}

async fn warn(cx: &StepContext, settings: &Settings) -> Result<(), StepError> {
    let network = NetworkOf {
        code: "aurora",
        subnet_group: settings.subnet_group.is_some(),
        security_groups: !settings.security_groups.is_empty(),
        public: settings.publicly_accessible,
    };
    warn_of_network(cx, network).await
}

/// The tags of what the step makes, and those that the scenario asks for.
pub(super) fn tags(cx: &StepContext, settings: &Settings) -> Vec<Tag> {
    let wanted = settings.tags.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = cx.tags().into_iter().chain(wanted);
    all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}

/// The names of the members, the writer's first. Room is left for a number of two digits.
fn member_names(cx: &StepContext, settings: &Settings) -> Vec<String> {
    let begins = cx.name_of_mine(60);
    (1..=settings.members().count()).map(|number| format!("{begins}-{number}")).collect()
}

/// A cluster, and when a look first found it available (UTC).
async fn wait_for_cluster(
    cx: &StepContext,
    name: &str,
    expected: Duration,
) -> Result<(DbCluster, DateTime<Utc>), StepError> {
    let plan = WaitPlan::new("cluster available", expected, LONGEST_WAIT);
    let began = cx.clock.elapsed();
    let judge = |cluster: Option<DbCluster>, _| {
        let Some(cluster) = cluster else { return not_there(cx, began, "cluster", name) };
        let status = cluster.status().unwrap_or("no status").to_owned();
        match progress_of_cluster(&status) {
            Progress::Ready => Ok(Look::Ready(cluster)),
            Progress::UnderWay => Ok(Look::NotYet(status)),
            Progress::Ended => Err(StepError::recovery(format!(
                "the restore of the cluster {name} ended in the status {status}"
            ))
            .help(help_for(&status))),
        }
    };
    let cluster = cx.wait_together(&plan, &CLUSTERS, name, judge).await?;
    Ok((cluster, cx.clock.now()))
}

fn not_there<T>(
    cx: &StepContext,
    began: Duration,
    what: &str,
    name: &str,
) -> Result<Look<T>, StepError> {
    if cx.clock.elapsed().saturating_sub(began) < MAY_BE_INVISIBLE {
        return Ok(Look::NotYet("not visible yet".to_owned()));
    }
    let message = format!("the {what} {name} disappeared while it was being restored");
    Err(StepError::recovery(message))
}

fn help_for(status: &str) -> &'static str {
    match status {
        "incompatible-network" => "check the subnet group: free addresses, zones, VPC",
        "incompatible-parameters" => {
            "check the parameter groups against the engine version and class"
        }
        "insufficient-capacity" => "ask for another class or other zones",
        "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable" => "check the KMS key and its policy",
        _ => "look into the RDS events of the cluster and of its instances",
    }
}

async fn make_member(
    cx: &StepContext,
    settings: &Settings,
    cluster: &DbCluster,
    name: &str,
    member: &Member,
) -> Result<(), StepError> {
    let of = cluster.db_cluster_identifier().unwrap_or_default();
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client
        .create_db_instance()
        .db_instance_identifier(name)
        .db_cluster_identifier(of)
        .set_engine(cluster.engine().map(str::to_owned))
        .db_instance_class(&member.class)
        .set_promotion_tier(member.tier.map(i32::from))
        .set_availability_zone(member.zone.clone())
        .set_db_parameter_group_name(settings.instance_parameter_group.clone())
        .publicly_accessible(settings.publicly_accessible)
        .set_ca_certificate_identifier(settings.ca.clone())
        .set_monitoring_interval(settings.monitoring.as_ref().map(Monitoring::seconds))
        .set_monitoring_role_arn(settings.monitoring.as_ref().map(|m| m.role.clone()))
        .set_tags(Some(tags(cx, settings)));
    let create = || async {
        let answer = cx.call("rds:CreateDBInstance", || request.clone().send()).await?;
        let arn = answer.db_instance().and_then(DbInstance::db_instance_arn);
        Ok(arn.unwrap_or(name).to_owned())
    };
    let made = own(cx, &InstanceKind, name.to_owned(), create).await;
    let meant = format!("it was to be the instance {name} of the class {}", member.class);
    made.map(drop).map_err(|error| error.noting(&meant))
}

/// A member that is ready, and the bracket of looks in which it became so (UTC).
struct Ready {
    name: String,
    instance: DbInstance,
    last_not_ready: Option<DateTime<Utc>>,
    first_ready: DateTime<Utc>,
}

async fn wait_for_member(
    cx: &StepContext,
    cluster: &str,
    name: &str,
    (expected, limit): (Duration, Duration),
) -> Result<Ready, StepError> {
    let plan = WaitPlan::new(format!("instance {name} available"), expected, limit);
    let mut last_not_ready = None;
    let began = cx.clock.elapsed();
    let judge = |instance: Option<DbInstance>, asked| {
        let Some(instance) = instance else { return not_there(cx, began, "instance", name) };
        let status = instance.db_instance_status().unwrap_or("no status").to_owned();
        match progress_of_member(&status) {
            Progress::Ready => Ok(Look::Ready(instance)),
            Progress::UnderWay => {
                last_not_ready = Some(asked);
                Ok(Look::NotYet(status))
            }
            Progress::Ended => Err(StepError::recovery(format!(
                "the instance {name} did not join the cluster {cluster}: it ended in the status {status}"
            ))
            .help(help_for(&status))),
        }
    };
    let instance = cx.wait_together(&plan, &INSTANCES, name, judge).await;
    let instance = instance.map_err(|error| match error.class() {
        FailureClass::TimedOut => {
            let what = format!("the instance {name} did not join the cluster {cluster}: {error}");
            StepError::timed_out(what).help("look into the RDS events of the instance")
        }
        _ => error,
    })?;
    Ok(Ready { name: name.to_owned(), instance, last_not_ready, first_ready: cx.clock.now() })
}

/// The cluster, once every member is in its description and one of them writes.
async fn wait_for_all_joined(
    cx: &StepContext,
    name: &str,
    names: &[String],
) -> Result<DbCluster, StepError> {
    let plan = WaitPlan::new("all instances joined", Duration::ZERO, JOINS_WITHIN);
    cx.wait(&plan, || async move {
        let Some(cluster) = describe_cluster(cx, name).await? else {
            let what = format!("the cluster {name} disappeared while its members were made");
            return Err(StepError::recovery(what));
        };
        let missing = missing(names, &cluster);
        Ok(if !missing.is_empty() {
            Look::NotYet(format!("{} did not join the cluster {name}", missing.join(", ")))
        } else if roles(&cluster).writers.is_empty() {
            Look::NotYet(format!("no member of the cluster {name} writes"))
        } else {
            Look::Ready(cluster)
        })
    })
    .await
}

/// When the last member became available: the time of an RDS event where one lies in its bracket of looks, else the look
/// that found it ready. Events are told on a best-effort basis
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/working-with-events.html>), so that they only refine.
async fn available_at(cx: &StepContext, ready: &[Ready]) -> (DateTime<Utc>, String) {
    let Some(last) = ready.iter().max_by_key(|ready| ready.first_ready) else {
        return (cx.clock.now(), "polled".to_owned());
    };
    let bracket = Bracket { from: last.last_not_ready, until: last.first_ready };
    moment_of(cx, SourceType::DbInstance, &last.name, bracket, ENDS_THE_MAKING).await
}

fn told(id: String, cluster: &DbCluster) -> ClusterOutput {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let roles = roles(cluster);
    ClusterOutput {
        id,
        arn: text(cluster.db_cluster_arn()),
        endpoint: text(cluster.endpoint()),
        // RDS tells one of every cluster: without readers the writer would answer there.
        reader_endpoint: text(cluster.reader_endpoint()).filter(|_| !roles.readers.is_empty()),
        port: cluster.port(),
        engine: text(cluster.engine()),
        engine_version: text(cluster.engine_version()),
        writer: text(roles.writers.first().copied()),
        readers: roles.readers.iter().map(|name| (*name).to_owned()).collect(),
        members: u64::try_from(cluster.db_cluster_members().len()).unwrap_or(u64::MAX),
        encrypted: cluster.storage_encrypted(),
        kms_key: text(cluster.kms_key_id()),
        database: text(cluster.database_name()),
        master_user: text(cluster.master_username()),
        cluster_after: None,
        available_after: None,
        status: text(cluster.status()).unwrap_or_else(|| "no status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rds_does_not_say_is_absent_in_the_output() {
        let output = told("x".into(), &DbCluster::builder().build());
        assert_eq!((output.endpoint, output.writer, output.members), (None, None, 0));
        assert_eq!(output.status, "no status");
    }

    #[test]
    fn regression_a_cluster_without_readers_has_no_endpoint_of_readers() {
        let member = |name: &str, writes: bool| {
            let member = aws_sdk_rds::types::DbClusterMember::builder();
            member.db_instance_identifier(name).is_cluster_writer(writes).build()
        };
        let endpoint = |members: Vec<_>| {
            let cluster = DbCluster::builder().reader_endpoint("ro");
            told("x".into(), &cluster.set_db_cluster_members(Some(members)).build()).reader_endpoint
        };
        assert_eq!(endpoint(vec![member("a", true)]), None);
        assert_eq!(endpoint(vec![member("a", true), member("b", false)]), Some("ro".into()));
    }

    #[test]
    fn every_end_that_is_known_comes_with_something_to_do() {
        for status in ["incompatible-network", "incompatible-parameters", "insufficient-capacity"] {
            assert_ne!(help_for(status), help_for("never-seen"), "{status}");
        }
    }
}
