//! What can be looked at in RDS before the day of a drill. Only calls that read.

use super::capture_config::{CaptureConfig, CaptureConfigOutput};
use super::config_diff::Config;
use super::db_instance::describe_instance;
use super::describing::describe_snapshot;
use super::engine_versions::version_probe;
use super::find_automated_backup::FindAutomatedBackup;
use super::find_snapshot::FindSnapshot;
use super::finding::probes_of;
use super::quotas::{quotas, storage};
use super::restore_point_in_time::{RestorePointInTimeInput, source_of};
use crate::action::{Action, Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::providers::backups::{key_probe, later};
use crate::providers::earlier::EarlierRun;

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
            probes.push(Probe::of(what, &needs, found, |backup| {
                if backup.can_be_restored() {
                    ProbeVerdict::works(format!("restorable from {}", backup.window()))
                } else {
                    ProbeVerdict::fails(
                        format!("restore window {}", backup.window()),
                        "see whether automated backups are on, and complete",
                    )
                }
            }));
        }
    }
    probes.extend(of_every_restore(cx, given).await);
    probes
}

async fn of_every_restore(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (input, kind) in
        [("subnet_group", "DB subnet group"), ("parameter_group", "DB parameter group")]
    {
        match given.text(input) {
            Some(name) => probes.push(group(cx, kind, name).await),
            None if given.has(input) => probes.push(later(kind)),
            None => {}
        }
    }
    for id in given.texts("security_groups") {
        probes.push(security_group(cx, id).await);
    }
    if given.comes_later("security_groups") {
        probes.push(later("security groups"));
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

async fn group(cx: &StepContext, kind: &str, name: &str) -> Probe {
    let subnets = kind == "DB subnet group";
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_rds);
        let found = if subnets {
            let request = client.describe_db_subnet_groups().db_subnet_group_name(name);
            let answer = cx.call("rds:DescribeDBSubnetGroups", || request.clone().send()).await?;
            answer.db_subnet_groups().len()
        } else {
            let request = client.describe_db_parameter_groups().db_parameter_group_name(name);
            let answer =
                cx.call("rds:DescribeDBParameterGroups", || request.clone().send()).await?;
            answer.db_parameter_groups().len()
        };
        Ok::<_, StepError>(found)
    };
    let needs =
        if subnets { "rds:DescribeDBSubnetGroups" } else { "rds:DescribeDBParameterGroups" };
    Probe::of(format!("{kind} {name}"), &[needs], answer.await, there)
}

async fn security_group(cx: &StepContext, id: &str) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_ec2);
        let request = client.describe_security_groups().group_ids(id);
        let answer = cx.call("ec2:DescribeSecurityGroups", || request.clone().send()).await?;
        Ok::<_, StepError>(answer.security_groups().len())
    };
    let needs = ["ec2:DescribeSecurityGroups"];
    Probe::of(format!("security group {id}"), &needs, answer.await, there)
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
