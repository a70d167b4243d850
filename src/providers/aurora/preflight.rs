//! What can be looked at in Aurora before the day of a drill. Only calls that read.

use super::capture_config::{CaptureConfig, CaptureConfigOutput, PERMISSIONS};
use super::cluster::describe_cluster;
use super::find_snapshot::FindSnapshot;
use super::snapshot::describe_snapshot;
use crate::action::{Action, Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::providers::backups::{key_probe, time_of};
use crate::providers::rds::{Snapshot, preflight_of_network, probes_of, quotas};
use aws_sdk_rds::types::DbCluster;
use chrono::{DateTime, Utc};

pub(super) async fn capture_config(
    action: &CaptureConfig,
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let what = format!("cluster {}", given.text("cluster").unwrap_or("that is captured"));
    let Some(input) = given.input() else { return vec![later(what)] };
    let needs = PERMISSIONS.map(|permission| permission.action);
    let answer = action.run(cx, input).await;
    let judge = |seen: CaptureConfigOutput| match seen.parameters_changed {
        Some(changed) => ProbeVerdict::works(format!("there, {changed} changed parameters")),
        None => ProbeVerdict::Unknown("its parameter groups could not be read".to_owned()),
    };
    vec![Probe::of(what, &needs, answer, judge)]
}

pub(super) async fn copy_snapshot(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let why = "the original may be in another region, and RDS fetches it on the day";
    let mut probes = vec![Probe::not_before("cluster snapshot to copy", why)];
    match given.text("kms_key") {
        Some(key) => probes.push(key_probe(cx, key).await),
        None if given.has("kms_key") => probes.push(later("KMS key of the copy")),
        None => {}
    }
    probes.push(quotas(cx, given).await);
    probes
}

pub(super) async fn find_snapshot(
    action: &FindSnapshot,
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let what = format!("snapshots of {}", given.text("of").unwrap_or("the cluster"));
    let Some(input) = given.input() else { return vec![later(what)] };
    let found = action.run(cx, input).await;
    probes_of(cx, what, "rds:DescribeDBClusterSnapshots", found).await
}

pub(super) async fn restore_cluster(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = vec![name_is_free(cx).await];
    match given.text("snapshot") {
        None => probes.push(later("cluster snapshot to restore")),
        Some(id) => probes.extend(snapshot(cx, id).await),
    }
    probes.extend(of_every_cluster(cx, given).await);
    probes
}

pub(super) async fn restore_point_in_time(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = vec![name_is_free(cx).await];
    match given.text("of") {
        None => probes.push(later("cluster to restore from")),
        Some(name) => {
            let answer = describe_cluster(cx, name).await;
            let what = format!("cluster {name} to restore from");
            let to = given.text("to").and_then(|to| to.parse().ok());
            let judge = |found| restorable(found, to);
            probes.push(Probe::of(what, &["rds:DescribeDBClusters"], answer, judge));
        }
    }
    probes.extend(of_every_cluster(cx, given).await);
    probes
}

/// Whether a cluster can be restored, to the time that the step names if it names one.
fn restorable(found: Option<DbCluster>, to: Option<DateTime<Utc>>) -> ProbeVerdict {
    let Some(cluster) = found else {
        return ProbeVerdict::fails(
            "it is not there",
            "correct its name, account or region; a cluster that is gone is restored from a snapshot",
        );
    };
    let Some(latest) = cluster.latest_restorable_time() else {
        let why = "RDS does not say to which times it can be restored";
        return ProbeVerdict::Unknown(why.to_owned());
    };
    let earliest = cluster.earliest_restorable_time().and_then(time_of);
    if let Some((to, earliest)) = to.zip(earliest).filter(|(to, earliest)| to < earliest) {
        let (to, earliest) = (to.to_rfc3339(), earliest.to_rfc3339());
        return ProbeVerdict::fails(
            format!("{to} cannot be restored: the restorable times begin at {earliest}"),
            "take a later time, or an older snapshot",
        );
    }
    match to.filter(|to| time_of(latest).is_some_and(|latest| latest <= *to)) {
        Some(to) => ProbeVerdict::NotBefore(format!(
            "{} cannot be restored yet: the latest time is {latest}",
            to.to_rfc3339()
        )),
        None => ProbeVerdict::works(format!("can be restored up to {latest}")),
    }
}

async fn of_every_cluster(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = preflight_of_network(cx, given).await;
    for (input, group) in [
        ("cluster_parameter_group", Group::ClusterParameters),
        ("instance_parameter_group", Group::InstanceParameters),
    ] {
        match given.text(input) {
            Some(name) => probes.push(group.probe(cx, name).await),
            None if given.has(input) => probes.push(later(group.words())),
            None => {}
        }
    }
    if let Some(key) = given.text("kms_key") {
        probes.push(key_probe(cx, key).await);
    }
    probes.push(quotas(cx, given).await);
    probes
}

/// Looks for a cluster of the name that a run would give: there is none, and asking for it is allowed.
async fn name_is_free(cx: &StepContext) -> Probe {
    let name = cx.name_of_mine(63);
    let answer = describe_cluster(cx, &name).await;
    let judge = |found: Option<_>| match found {
        None => ProbeVerdict::works("free, and may be asked for"),
        Some(_) => ProbeVerdict::fails(
            format!("there is a cluster {name} already"),
            "see whose it is, and remove it",
        ),
    };
    Probe::of("name of the new cluster", &["rds:DescribeDBClusters"], answer, judge)
}

fn later(what: impl Into<String>) -> Probe {
    Probe::not_before(what, "an earlier step tells it")
}

async fn snapshot(cx: &StepContext, id: &str) -> Vec<Probe> {
    let answer = describe_snapshot(cx, id).await;
    let key = answer.as_ref().ok().and_then(|snapshot| snapshot.key.clone());
    let judge = |snapshot: Snapshot| match snapshot.status.as_deref() {
        Some("available") => ProbeVerdict::works("available"),
        other => ProbeVerdict::fails(
            format!("it is {}", other.unwrap_or("in no status that RDS tells")),
            "name another one, or wait until it is available",
        ),
    };
    let needs = ["rds:DescribeDBClusterSnapshots"];
    let mut probes = vec![Probe::of(format!("cluster snapshot {id}"), &needs, answer, judge)];
    if let Some(key) = key {
        probes.push(key_probe(cx, &key).await);
    }
    probes
}

/// A kind of group of parameters that a cluster refers to.
#[derive(Clone, Copy)]
enum Group {
    ClusterParameters,
    InstanceParameters,
}

impl Group {
    fn words(self) -> &'static str {
        match self {
            Self::ClusterParameters => "cluster parameter group",
            Self::InstanceParameters => "DB parameter group",
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::ClusterParameters => "rds:DescribeDBClusterParameterGroups",
            Self::InstanceParameters => "rds:DescribeDBParameterGroups",
        }
    }

    async fn probe(self, cx: &StepContext, name: &str) -> Probe {
        let answer = self.count(cx, name).await;
        Probe::of(format!("{} {name}", self.words()), &[self.operation()], answer, there)
    }

    async fn count(self, cx: &StepContext, name: &str) -> Result<usize, StepError> {
        let client = client!(cx.site()?, aws_sdk_rds);
        let operation = self.operation();
        Ok(match self {
            Self::ClusterParameters => {
                let request = client.describe_db_cluster_parameter_groups();
                let request = request.db_cluster_parameter_group_name(name);
                let answer = cx.call(operation, || request.clone().send()).await?;
                answer.db_cluster_parameter_groups().len()
            }
            Self::InstanceParameters => {
                let request = client.describe_db_parameter_groups().db_parameter_group_name(name);
                cx.call(operation, || request.clone().send()).await?.db_parameter_groups().len()
            }
        })
    }
}

fn there(count: usize) -> ProbeVerdict {
    match count {
        0 => ProbeVerdict::fails(
            "it is not there",
            "make it, or correct its name, account or region in the scenario",
        ),
        _ => ProbeVerdict::works("there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_not_there_fails_and_one_without_times_is_unknown() {
        assert!(matches!(restorable(None, None), ProbeVerdict::Fails { .. }));
        let cluster = DbCluster::builder();
        assert!(matches!(
            restorable(Some(cluster.clone().build()), None),
            ProbeVerdict::Unknown(_)
        ));
        let time = aws_smithy_types::DateTime::from_secs(0);
        let cluster = cluster.latest_restorable_time(time).build();
        assert!(matches!(restorable(Some(cluster), None), ProbeVerdict::Works(_)));
    }

    #[test]
    fn regression_a_time_that_the_cluster_no_longer_reaches_would_fail() {
        let time = aws_smithy_types::DateTime::from_secs;
        let cluster = DbCluster::builder()
            .earliest_restorable_time(time(1000))
            .latest_restorable_time(time(2000))
            .build();
        let at = |seconds| restorable(Some(cluster.clone()), DateTime::from_timestamp(seconds, 0));
        assert!(matches!(at(999), ProbeVerdict::Fails { .. }), "{:?}", at(999));
        assert!(matches!(at(1000), ProbeVerdict::Works(_)), "{:?}", at(1000));
        assert!(matches!(at(2000), ProbeVerdict::NotBefore(_)), "{:?}", at(2000));
    }
}
