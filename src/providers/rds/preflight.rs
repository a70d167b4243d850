//! What can be looked at in RDS before the day of a drill. Only calls that read.

use super::automated_backup::AutomatedBackup;
use super::capture_config::{CaptureConfig, CaptureConfigOutput};
use super::config_diff::Config;
use super::db_instance::describe_instance;
use super::describing::describe_snapshot;
use super::engine_versions::version_probe;
use super::find_automated_backup::FindAutomatedBackup;
use super::find_snapshot::FindSnapshot;
use super::finding::probes_of;
use super::network::in_another_vpc;
use super::quotas::{quotas, storage};
use super::restore_point_in_time::{RestorePointInTimeInput, source_of};
use crate::action::{Action, Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::providers::backups::{key_probe, later};
use crate::providers::earlier::EarlierRun;
use chrono::{DateTime, Utc};
use serde_json::Value;

pub(super) async fn capture_config(
    action: &CaptureConfig,
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let what = format!("instance {}", given.text("instance").unwrap_or("that is captured"));
    let Some(input) = given.input() else { return vec![later(what)] };
    let needs = ["rds:DescribeDBInstances", "rds:DescribeDBParameters"];
    let answer = action.run(cx, input).await;
    let judge = |seen: CaptureConfigOutput| match seen.parameters_changed {
        Some(changed) => ProbeVerdict::works(format!("there, {changed} changed parameters")),
        None => ProbeVerdict::Unknown("its parameter group could not be read".to_owned()),
    };
    vec![Probe::of(what, &needs, answer, judge)]
}

/// Of a comparison with a configuration that is a `C`.
pub(in crate::providers) async fn compare_config<C: Config>(
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let mut probes = vec![Probe::not_before("configuration to compare", "nothing is restored yet")];
    probes.extend(EarlierRun::preflight::<C>(cx, given));
    if let Some(key) = given.text("instead.kms_key") {
        probes.push(key_probe(cx, key).await);
    }
    probes
}

pub(super) async fn copy_snapshot(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let why = "the original is in another region, and RDS fetches it on the day";
    let mut probes = vec![Probe::not_before("snapshot to copy", why)];
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
    let what = format!("snapshots of {}", given.text("of").unwrap_or("the instance"));
    let Some(input) = given.input() else { return vec![later(what)] };
    let found = action.run(cx, input).await;
    probes_of(cx, what, "rds:DescribeDBSnapshots", found).await
}

pub(super) async fn find_automated_backup(
    action: &FindAutomatedBackup,
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let what = format!("automated backups of {}", given.text("of").unwrap_or("the instance"));
    let Some(input) = given.input() else { return vec![later(what)] };
    let found = action.run(cx, input).await;
    let more = found.as_ref().ok().map(|found| {
        let version = (found.engine.clone(), found.engine_version.clone());
        (found.kms_key.clone(), version)
    });
    let needs = ["rds:DescribeDBInstanceAutomatedBackups"];
    let mut probes = vec![Probe::of(what, &needs, found, |found| {
        ProbeVerdict::works(format!(
            "{} of {} can be restored, up to {}",
            found.usable_backups, found.backups_considered, found.at
        ))
    })];
    if let Some((key, (engine, version))) = more {
        if let Some(key) = key {
            probes.push(key_probe(cx, &key).await);
        }
        probes.push(version_probe(cx, engine.as_deref(), version.as_deref()).await);
    }
    probes
}

pub(super) async fn restore_snapshot(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = vec![name_is_free(cx).await];
    match given.text("snapshot") {
        None => probes.push(later("snapshot to restore")),
        Some(id) => probes.extend(snapshot(cx, id).await),
    }
    probes.extend(of_every_restore(cx, given).await);
    probes
}

pub(super) async fn restore_point_in_time(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = vec![name_is_free(cx).await];
    match given.input::<RestorePointInTimeInput>() {
        None => probes.push(later("automated backup to restore from")),
        Some(input) => {
            let needs = ["rds:DescribeDBInstanceAutomatedBackups"];
            let found = source_of(cx, &input).await;
            let what = "automated backup to restore from";
            let judge = |backup: AutomatedBackup| restorable(&backup, input.to);
            probes.push(Probe::of(what, &needs, found, judge));
        }
    }
    probes.extend(of_every_restore(cx, given).await);
    probes
}

/// Whether a backup can be restored, to the time that the step names if it names one.
fn restorable(backup: &AutomatedBackup, to: Option<DateTime<Utc>>) -> ProbeVerdict {
    let window = backup.window();
    if !backup.can_be_restored() {
        let action = "see whether automated backups are on, and complete";
        return ProbeVerdict::fails(format!("restore window {window}"), action);
    }
    let Some(to) = to.filter(|to| backup.takes(*to) == Some(false)) else {
        return ProbeVerdict::works(format!("restorable from {window}"));
    };
    let is_past = backup.earliest.is_some_and(|first| to < first);
    // The backups of an instance that was deleted reach no further than they do now.
    if is_past || backup.status.as_deref() == Some("retained") {
        let why = format!("{} cannot be restored: the restore window is {window}", to.to_rfc3339());
        return ProbeVerdict::fails(why, "take a time within the window, or an older snapshot");
    }
    let why = format!("{} is not in the restore window yet, which is {window}", to.to_rfc3339());
    ProbeVerdict::NotBefore(why)
}

async fn of_every_restore(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = network(cx, given).await;
    match given.text("parameter_group") {
        Some(name) => probes.push(parameter_group(cx, name).await),
        None if given.has("parameter_group") => probes.push(later("DB parameter group")),
        None => {}
    }
    if let Some(name) = given.text("option_group") {
        let why = "option groups are not asked for: the restore refuses one that is not there";
        probes.push(Probe::not_before(format!("option group {name}"), why));
    }
    probes.push(quotas(cx, given).await);
    probes.push(storage());
    probes
}

/// Looks for an instance of the name that a run would give: there is none, and asking for it is allowed.
async fn name_is_free(cx: &StepContext) -> Probe {
    let name = cx.name_of_mine(63);
    let answer = describe_instance(cx, &name).await;
    let judge = |found: Option<_>| match found {
        None => ProbeVerdict::works("free, and may be asked for"),
        Some(_) => ProbeVerdict::fails(
            format!("there is an instance {name} already"),
            "see whose it is, and remove it",
        ),
    };
    Probe::of("name of the new instance", &["rds:DescribeDBInstances"], answer, judge)
}

async fn snapshot(cx: &StepContext, id: &str) -> Vec<Probe> {
    let answer = describe_snapshot(cx, id).await;
    let key = answer.as_ref().ok().and_then(|snapshot| snapshot.key.clone());
    let judge = |snapshot: super::snapshot::Snapshot| match snapshot.status.as_deref() {
        Some("available") => ProbeVerdict::works("available"),
        other => ProbeVerdict::fails(
            format!("it is {}", other.unwrap_or("in no status that RDS tells")),
            "name another one, or wait until it is available",
        ),
    };
    let mut probes =
        vec![Probe::of(format!("snapshot {id}"), &["rds:DescribeDBSnapshots"], answer, judge)];
    if let Some(key) = key {
        probes.push(key_probe(cx, &key).await);
    }
    probes
}

/// The network in which instances are restored, also those of clusters: its groups are there, and in the VPC of the step. A step
/// that names none goes where its subnet group is.
pub(in crate::providers) async fn network(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut vpc = given.text("vpc").map(str::to_owned);
    match given.text("subnet_group") {
        Some(name) => {
            let found = vpc_of_subnets(cx, name).await;
            let of_group = found.as_ref().ok().and_then(|found| found.first()?.clone());
            let needs = ["rds:DescribeDBSubnetGroups"];
            let what = format!("subnet group {name}");
            let judge =
                |found: Vec<Option<String>>| where_it_must_be(&what, &found, vpc.as_deref());
            probes.push(Probe::of(format!("DB {what}"), &needs, found, judge));
            vpc = vpc.or(of_group);
        }
        None if given.has("subnet_group") => probes.push(later("DB subnet group")),
        None => {}
    }
    for id in given.texts("security_groups") {
        let found = vpc_of_security_group(cx, id).await;
        let needs = ["ec2:DescribeSecurityGroups"];
        let what = format!("security group {id}");
        let judge = |found: Vec<Option<String>>| where_it_must_be(&what, &found, vpc.as_deref());
        probes.push(Probe::of(what.clone(), &needs, found, judge));
    }
    if given.comes_later("security_groups") {
        probes.push(later("security groups"));
    }
    if cx.facts.is_drill && given.known("publicly_accessible") == Some(&Value::Bool(true)) {
        let why =
            "the step asks for one, and the check publicly_accessible never passes in a drill";
        let verdict = ProbeVerdict::fails(why, "leave out publicly_accessible: in mode drill");
        probes.push(Probe::new("address that can be reached from outside", verdict));
    }
    probes
}

/// The VPCs of the subnet groups of that name, as far as RDS says them: none or one.
async fn vpc_of_subnets(cx: &StepContext, name: &str) -> Result<Vec<Option<String>>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_subnet_groups().db_subnet_group_name(name);
    let answer = cx.call("rds:DescribeDBSubnetGroups", || request.clone().send()).await?;
    let vpcs = answer.db_subnet_groups().iter().map(|group| group.vpc_id().map(str::to_owned));
    Ok(vpcs.collect())
}

/// The same of a security group.
async fn vpc_of_security_group(
    cx: &StepContext,
    id: &str,
) -> Result<Vec<Option<String>>, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.describe_security_groups().group_ids(id);
    let answer = cx.call("ec2:DescribeSecurityGroups", || request.clone().send()).await?;
    let vpcs = answer.security_groups().iter().map(|group| group.vpc_id().map(str::to_owned));
    Ok(vpcs.collect())
}

/// What is to be thought of a group that was looked for: `found` are the VPCs of those that were found.
fn where_it_must_be(what: &str, found: &[Option<String>], vpc: Option<&str>) -> ProbeVerdict {
    let (Some(found), Some(vpc)) = (found.first(), vpc) else { return there(found.len()) };
    let Some(found) = found else {
        return ProbeVerdict::Unknown(format!("AWS does not say in which VPC the {what} is"));
    };
    match in_another_vpc(what, found, vpc) {
        Some(why) => {
            let action = "name one of that VPC, or correct vpc: or subnet_group:";
            ProbeVerdict::fails(why, action)
        }
        None => ProbeVerdict::works(format!("there, in {vpc}")),
    }
}

async fn parameter_group(cx: &StepContext, name: &str) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client.describe_db_parameter_groups().db_parameter_group_name(name);
        let answer = cx.call("rds:DescribeDBParameterGroups", || request.clone().send()).await?;
        Ok::<_, StepError>(answer.db_parameter_groups().len())
    };
    let needs = ["rds:DescribeDBParameterGroups"];
    Probe::of(format!("DB parameter group {name}"), &needs, answer.await, there)
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
    use crate::ids::{SiteName, StepId};
    use crate::providers::backups::rehearsal::Rehearsal;
    use aws_sdk_rds::types::{DbInstanceAutomatedBackup, RestoreWindow};
    use serde_json::json;

    const ESTATE: &str = r#"
estate: 1
title: networks
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-3
    subnet_groups: [{ name: drill, vpc: vpc-drill }, { name: prod, vpc: vpc-prod }]
    security_groups: [{ id: sg-drill, vpc: vpc-drill }, { id: sg-prod, vpc: vpc-prod }]
"#;

    fn drill() -> Rehearsal {
        Rehearsal::at(ESTATE, "111111111111", "ap-northeast-3", &[])
    }

    async fn looks(drill: &Rehearsal, with: Value) -> Vec<ProbeVerdict> {
        let given = Given::new("orders", StepId::new("restore"), Some(SiteName::new("dr")), with);
        network(&drill.cx, &given).await.into_iter().map(|probe| probe.verdict).collect()
    }

    fn elsewhere(what: &str, wanted: &str) -> ProbeVerdict {
        ProbeVerdict::fails(
            format!("the {what} is in vpc-prod and not in {wanted}"),
            "name one of that VPC, or correct vpc: or subnet_group:",
        )
    }

    #[tokio::test(start_paused = true)]
    async fn regression_groups_in_another_vpc_than_that_of_the_step_would_fail() {
        let drill = drill();
        let groups = |vpc: Option<&str>, subnets: &str, security: &str| json!({ "vpc": vpc, "subnet_group": subnets, "security_groups": [security] });
        let there = ProbeVerdict::works("there, in vpc-drill");
        let sound = groups(Some("vpc-drill"), "drill", "sg-drill");
        assert_eq!(looks(&drill, sound).await, [there.clone(), there]);
        let wrong = groups(Some("vpc-drill"), "prod", "sg-prod");
        let subnets = elsewhere("subnet group prod", "vpc-drill");
        let security = elsewhere("security group sg-prod", "vpc-drill");
        assert_eq!(looks(&drill, wrong).await, [subnets, security.clone()]);
        // RDS refuses the groups of two VPCs, whichever the step wants.
        let apart = groups(None, "drill", "sg-prod");
        assert_eq!(looks(&drill, apart).await, [ProbeVerdict::works("there"), security]);
        let unsaid = where_it_must_be("subnet group x", &[None], Some("vpc-drill"));
        assert!(matches!(unsaid, ProbeVerdict::Unknown(_)), "{unsaid:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_public_address_would_fail_in_a_drill_and_in_no_recovery() {
        let public = || json!({ "publicly_accessible": true });
        let found = looks(&drill(), public()).await;
        assert!(matches!(found.as_slice(), [ProbeVerdict::Fails { .. }]), "{found:?}");
        assert_eq!(looks(&drill(), json!({ "publicly_accessible": false })).await, []);
        assert_eq!(looks(&drill().in_recovery(), public()).await, []);
    }

    #[test]
    fn regression_a_time_that_the_backups_do_not_reach_would_fail() {
        let time = aws_smithy_types::DateTime::from_secs;
        let backup = |status: &str| {
            let window = RestoreWindow::builder().earliest_time(time(1000)).latest_time(time(2000));
            let answer = DbInstanceAutomatedBackup::builder()
                .db_instance_identifier("orders-db")
                .dbi_resource_id("db-A")
                .status(status)
                .restore_window(window.build());
            AutomatedBackup::read(&answer.build()).unwrap()
        };
        let at =
            |status, seconds| restorable(&backup(status), DateTime::from_timestamp(seconds, 0));
        assert!(matches!(restorable(&backup("active"), None), ProbeVerdict::Works(_)));
        assert!(matches!(at("active", 1000), ProbeVerdict::Works(_)));
        assert!(matches!(at("active", 999), ProbeVerdict::Fails { .. }));
        assert!(matches!(at("active", 2000), ProbeVerdict::NotBefore(_)), "it moves on");
        assert!(matches!(at("retained", 2000), ProbeVerdict::Fails { .. }), "it does not");
        assert!(matches!(at("creating", 1500), ProbeVerdict::Fails { .. }));
    }
}
