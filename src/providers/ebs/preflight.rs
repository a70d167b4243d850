//! What can be looked at in EC2 before the day of a drill. Only calls that read, and a dry run.

use super::find_snapshot::{FindSnapshot, FindSnapshotOutput};
use super::snapshot::{Snapshot, describe_snapshot};
use super::volume::{NAME_TAG, named};
use crate::action::{Action, Given, Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::providers::backups::{Newest, key_probe, later, newest_probes};
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

pub(super) async fn find_snapshot(
    action: &FindSnapshot,
    cx: &StepContext,
    given: &Given,
) -> Vec<Probe> {
    let what = match given.text("volume") {
        Some(volume) => format!("snapshots of {volume}"),
        None => "snapshots with the tags of the step".to_owned(),
    };
    let Some(input) = given.input() else { return vec![later(what)] };
    let found = action.run(cx, input).await;
    newest_probes(cx, what, &["ec2:DescribeSnapshots"], found.map(newest)).await
}

pub(super) async fn restore_volume(cx: &StepContext, given: &Given) -> Vec<Probe> {
    let mut probes = vec![name_is_free(cx).await];
    match given.text("snapshot") {
        None => probes.push(later("snapshot to restore")),
        Some(id) => {
            let answer = describe_snapshot(cx, id).await;
            let key = answer.as_ref().ok().and_then(|snapshot| snapshot.key.clone());
            let what = format!("snapshot {id}");
            probes.push(Probe::of(what, &["ec2:DescribeSnapshots"], answer, |s| completed(&s)));
            if let Some(key) = key {
                probes.push(key_probe(cx, &key).await);
            }
        }
    }
    match given.text("availability_zone") {
        None => probes.push(later("availability zone")),
        Some(zone) => {
            probes.push(availability_zone(cx, zone).await);
            probes.push(dry_run(cx, given, zone).await);
        }
    }
    if let Some(key) = given.text("kms_key") {
        probes.push(key_probe(cx, key).await);
    }
    probes
}

/// Looks for a volume of the name that a run would give: there is none, and asking for it is allowed.
async fn name_is_free(cx: &StepContext) -> Probe {
    let answer = named(cx, &cx.name_of_mine(63)).await;
    let judge = |found: Vec<_>| match found.len() {
        0 => ProbeVerdict::works("free, and may be asked for"),
        _ => ProbeVerdict::fails("there is a volume of that name already", "remove it"),
    };
    Probe::of("name of the new volume", &["ec2:DescribeVolumes"], answer, judge)
}

fn newest(found: FindSnapshotOutput) -> Newest {
    let (usable, considered) = (found.usable_snapshots, found.snapshots_considered);
    Newest { id: found.id, at: found.at, usable, considered, key: found.kms_key }
}

fn completed(snapshot: &Snapshot) -> ProbeVerdict {
    if snapshot.archived {
        let action = "bring it back with aws ec2 restore-snapshot-tier (24 to 72 hours)";
        return ProbeVerdict::fails("it is in the archive", action);
    }
    match snapshot.state.as_deref() {
        Some("completed") => ProbeVerdict::works("completed"),
        other => ProbeVerdict::fails(
            format!("it is {}", other.unwrap_or("in no state that EC2 tells")),
            "name another one, or wait until it is completed",
        ),
    }
}

async fn availability_zone(cx: &StepContext, zone: &str) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_ec2);
        let request = client.describe_availability_zones().zone_names(zone);
        let answer = cx.call("ec2:DescribeAvailabilityZones", || request.clone().send()).await;
        let zones = match answer {
            Ok(answer) => answer.availability_zones.unwrap_or_default(),
            // How EC2 says that there is no such zone.
            Err(error) if error.code() == Some("InvalidParameterValue") => Vec::new(),
            Err(error) => return Err(error),
        };
        let state = zones.first().and_then(|zone| zone.state()).map(|s| s.as_str().to_owned());
        Ok::<_, StepError>(state)
    };
    let judge = |state: Option<String>| match state.as_deref() {
        Some("available") => ProbeVerdict::works("available"),
        other => ProbeVerdict::fails(
            format!("it is {}", other.unwrap_or("not in this region")),
            "name a zone of the site's region",
        ),
    };
    let needs = ["ec2:DescribeAvailabilityZones"];
    Probe::of(format!("availability zone {zone}"), &needs, answer.await, judge)
}

/// Asks EC2 whether the role may make the volume, tags included, without making it: the error `DryRunOperation` is the
/// good answer (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>).
async fn dry_run(cx: &StepContext, given: &Given, zone: &str) -> Probe {
    let answer = async {
        let client = client!(cx.site()?, aws_sdk_ec2);
        let tags = cx.tags().into_iter().chain([(NAME_TAG.to_owned(), cx.name_of_mine(63))]);
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Volume)
            .set_tags(Some(tags.collect()))
            .build();
        let snapshot = given.text("snapshot");
        let request = client
            .create_volume()
            .dry_run(true)
            .availability_zone(zone)
            .set_snapshot_id(snapshot.map(str::to_owned))
            .set_size(snapshot.is_none().then_some(1))
            .tag_specifications(tags);
        match cx.call("ec2:CreateVolume", || request.clone().send()).await {
            Err(error) if error.code() == Some("DryRunOperation") => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let judge = |dry| match dry {
        true => ProbeVerdict::works("EC2 would allow it"),
        false => ProbeVerdict::Unknown("the server does not know dry runs".to_owned()),
    };
    let needs = ["ec2:CreateVolume", "ec2:CreateTags"];
    Probe::of("dry run of CreateVolume", &needs, answer.await, judge)
}
