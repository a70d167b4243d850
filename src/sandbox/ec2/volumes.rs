//! Volumes.

use super::ask::{Filters, dry_run, invalid, paged, specified_tags, tag_set};
use super::model::Volume;
use super::snapshots::{KEY_FAILS, choose_key, find, not_found};
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Params, Xml, timestamp};
use chrono::{DateTime, Utc};
use std::time::Duration;

const CREATE_TAKES: Duration = Duration::from_secs(15);
const DELETE_TAKES: Duration = Duration::from_secs(20);

const FILTERS: [&str; 8] = [
    "attachment.instance-id",
    "availability-zone",
    "encrypted",
    "size",
    "snapshot-id",
    "status",
    "volume-id",
    "volume-type",
];

pub(super) fn volume_not_found(id: &str) -> AwsError {
    let what = format!("The volume '{id}' does not exist.");
    AwsError::new(400, "InvalidVolume.NotFound", what)
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = Filters::read(params, &FILTERS)?;
    dry_run(params)?;
    let (ids, now) = (params.list("VolumeId"), call.now);
    let volumes = call.state.places.get(&call.place).map(|p| &p.volumes);
    let alive = |v: &&Volume| v.timeline.state(now).is_some() && call.sees(v.created);
    for id in &ids {
        if volumes.and_then(|v| v.get(id)).filter(alive).is_none() {
            return Err(volume_not_found(id));
        }
    }
    let found: Vec<_> = volumes
        .iter()
        .flat_map(|v| v.values())
        .filter(alive)
        .filter(|v| ids.is_empty() || ids.contains(&v.id))
        .filter(|v| filters.pass(&v.tags, |name| value(v, now, name)))
        .map(|v| (v.id.clone(), v))
        .collect();
    let page = paged(params, found, !ids.is_empty())?;
    let mut x = Xml::new();
    x.list("volumeSet", "item", page.items, |x, v| write(x, v, now));
    x.maybe("nextToken", page.next);
    Ok(x)
}

fn value(v: &Volume, now: DateTime<Utc>, filter: &str) -> Option<String> {
    Some(match filter {
        "attachment.instance-id" => v.attached_to.clone()?,
        "availability-zone" => v.zone.clone(),
        "encrypted" => v.kms_key.is_some().to_string(),
        "size" => v.size.to_string(),
        "snapshot-id" => v.from_snapshot.clone()?,
        "status" => v.timeline.state(now)?.to_owned(),
        "volume-id" => v.id.clone(),
        "volume-type" => v.kind.clone(),
        _ => return None,
    })
}

fn write(x: &mut Xml, v: &Volume, now: DateTime<Utc>) {
    x.text("volumeId", &v.id)
        .text("size", v.size)
        .text("snapshotId", v.from_snapshot.as_deref().unwrap_or_default())
        .text("availabilityZone", &v.zone)
        .text("status", v.timeline.state(now).unwrap_or("creating"))
        .text("createTime", timestamp(v.created))
        .list("attachmentSet", "item", &v.attached_to, |x, instance| {
            x.text("volumeId", &v.id)
                .text("instanceId", instance)
                .text("device", "/dev/sdf")
                .text("status", "attached")
                .text("attachTime", timestamp(v.created))
                .text("deleteOnTermination", false);
        })
        .text("volumeType", &v.kind)
        .maybe("iops", v.iops)
        .maybe("throughput", v.throughput)
        .text("encrypted", v.kms_key.is_some())
        .maybe("kmsKeyId", v.kms_key.as_ref())
        .text("multiAttachEnabled", false);
    tag_set(x, &v.tags);
}

/// The parameters that decide whether a second call with the same client token asks for the same thing.
fn fingerprint(params: &Params) -> String {
    let names = [
        "AvailabilityZone",
        "SnapshotId",
        "Size",
        "VolumeType",
        "KmsKeyId",
        "Encrypted",
        "Iops",
        "Throughput",
    ];
    names.map(|name| params.get(name).unwrap_or_default()).join("/")
}

pub(super) fn create(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let now = call.now;
    let token = params.get("ClientToken").map(|t| ("CreateVolume".to_owned(), t.to_owned()));
    let same = fingerprint(params);
    if let Some((id, before)) = token.as_ref().and_then(|t| call.here().tokens.get(t)).cloned() {
        if before != same {
            let what = "The client token was used before with other parameters.";
            return Err(AwsError::new(400, "IdempotentParameterMismatch", what));
        }
        let volume = call.here().volumes.get(&id).ok_or_else(|| volume_not_found(&id))?;
        let mut x = Xml::new();
        write(&mut x, volume, now);
        return Ok(x);
    }
    let volume = new_volume(&mut call)?;
    dry_run(params)?;
    if let Some(token) = token {
        call.here().tokens.insert(token, (volume.id.clone(), same));
    }
    let mut x = Xml::new();
    write(&mut x, &volume, now);
    call.here().volumes.insert(volume.id.clone(), volume);
    Ok(x)
}

fn new_volume(call: &mut Call<'_>) -> Result<Volume, AwsError> {
    let params = call.params();
    let zone = params.need("AvailabilityZone")?.to_owned();
    let letter = zone.strip_prefix(&call.place.region);
    if !matches!(letter, Some("a" | "b" | "c")) {
        let what = format!("The zone '{zone}' does not exist.");
        return Err(AwsError::new(400, "InvalidZone.NotFound", what));
    }
    let snapshot = match params.get("SnapshotId") {
        None => None,
        Some(id) => {
            let found = find(call.state, &call.place, id, call.now).cloned();
            Some(found.ok_or_else(|| not_found(id))?)
        }
    };
    if let Some(s) = snapshot.as_ref().filter(|s| !s.timeline.is(call.now, "completed")) {
        let what = format!("Snapshot {} is not 'completed'.", s.id);
        return Err(AwsError::new(400, "IncorrectState", what));
    }
    let smallest = snapshot.as_ref().map(|s| s.size);
    let size = params.number::<u32>("Size")?.or(smallest).ok_or_else(|| {
        AwsError::new(
            400,
            "MissingParameter",
            "The request must contain the parameter size or snapshotId",
        )
    })?;
    if smallest.is_some_and(|smallest| size < smallest) {
        return Err(invalid(format!("Volume of {size}GiB is smaller than the snapshot.")));
    }
    let old_key = snapshot.as_ref().and_then(|s| s.kms_key.as_deref());
    let source_readable = old_key.is_none_or(|key| choose_key(call, Some(key)).usable);
    let encrypted = old_key.is_some() || params.flag("Encrypted") == Some(true);
    let key = encrypted.then(|| choose_key(call, params.get("KmsKeyId").or(old_key)));
    let usable = source_readable && key.as_ref().is_none_or(|k| k.usable);
    let kind = params.get("VolumeType").unwrap_or("gp2").to_owned();
    let begin = Timeline::begin(call.now, "creating");
    let timeline = match usable {
        true => begin.then(CREATE_TAKES, "available"),
        false => begin.then(KEY_FAILS, Timeline::GONE),
    };
    Ok(Volume {
        id: format!("vol-{}", call.state.fresh_digits("volume", 17)),
        size,
        zone,
        iops: params.number("Iops")?.or((kind == "gp3").then_some(3000)),
        throughput: params.number("Throughput")?.or((kind == "gp3").then_some(125)),
        kind,
        kms_key: key.map(|k| k.arn),
        from_snapshot: snapshot.map(|s| s.id),
        attached_to: None,
        created: call.now,
        timeline: call.marked(timeline, "error"),
        tags: specified_tags(params, "volume")?,
    })
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = params.need("VolumeId")?;
    let now = call.now;
    let known = call.here().volumes.get(id).filter(|v| v.timeline.state(now).is_some());
    let volume = known.ok_or_else(|| volume_not_found(id))?;
    if let Some(instance) = &volume.attached_to {
        let what = format!("Volume {id} is currently attached to {instance}");
        return Err(AwsError::new(400, "VolumeInUse", what));
    }
    let state = volume.timeline.state(now).unwrap_or("creating");
    if !matches!(state, "available" | "error") {
        let what = format!("The volume '{id}' is in state {state}.");
        return Err(AwsError::new(400, "IncorrectState", what));
    }
    dry_run(params)?;
    let timeline = Timeline::begin(now, "deleting").then(DELETE_TAKES, Timeline::GONE);
    let timeline = call.marked(timeline, "error");
    if let Some(volume) = call.here().volumes.get_mut(id) {
        volume.timeline = timeline;
    }
    let mut x = Xml::new();
    x.text("return", true);
    Ok(x)
}
