//! Snapshots of volumes.

use super::ask::{Filters, dry_run, invalid, paged, specified_tags, tag_set};
use super::model::EbsSnapshot;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State, Timeline};
use crate::sandbox::wire::{AwsError, Xml, timestamp};
use chrono::{DateTime, Utc};
use std::time::Duration;

const COPY_TAKES: Duration = Duration::from_secs(10 * 60);

/// After this long it turns out that a key cannot be used.
pub(super) const KEY_FAILS: Duration = Duration::from_secs(5);

const FILTERS: [&str; 8] = [
    "description",
    "encrypted",
    "owner-id",
    "progress",
    "snapshot-id",
    "start-time",
    "status",
    "volume-id",
];

pub(super) fn not_found(id: &str) -> AwsError {
    let what = format!("The snapshot '{id}' does not exist.");
    AwsError::new(400, "InvalidSnapshot.NotFound", what)
}

/// The snapshots that `here` can see: its own, and those that others share with it.
fn visible<'a>(
    state: &'a State,
    here: &'a PlaceKey,
    now: DateTime<Utc>,
) -> impl Iterator<Item = (&'a PlaceKey, &'a EbsSnapshot)> {
    let in_region = state.places.iter().filter(|(owner, _)| owner.region == here.region);
    in_region
        .flat_map(|(owner, place)| place.ebs_snapshots.values().map(move |s| (owner, s)))
        .filter(move |(_, s)| s.timeline.state(now).is_some())
        .filter(move |(owner, s)| *owner == here || s.shared_with.contains(&here.account))
}

/// The snapshot of an id, if `here` can see it.
pub(super) fn find<'a>(
    state: &'a State,
    here: &'a PlaceKey,
    id: &str,
    now: DateTime<Utc>,
) -> Option<&'a EbsSnapshot> {
    visible(state, here, now).find(|(_, s)| s.id == id).map(|(_, s)| s)
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = Filters::read(params, &FILTERS)?;
    dry_run(params)?;
    let (ids, owners) = (params.list("SnapshotId"), params.list("Owner"));
    let (here, now) = (&call.place, call.now);
    for id in &ids {
        if find(call.state, here, id, now).is_none() {
            return Err(not_found(id));
        }
    }
    let owned = |owner: &PlaceKey| {
        owners.is_empty()
            || owners.contains(&owner.account)
            || (owner == here && owners.iter().any(|o| o == "self"))
    };
    let found: Vec<_> = visible(call.state, here, now)
        .filter(|(owner, s)| owned(owner) && (ids.is_empty() || ids.contains(&s.id)))
        .filter(|(owner, s)| filters.pass(&s.tags, |name| value(owner, s, now, name)))
        .map(|(owner, s)| (s.id.clone(), (owner, s)))
        .collect();
    let page = paged(params, found, !ids.is_empty())?;
    let mut x = Xml::new();
    x.list("snapshotSet", "item", page.items, |x, (owner, s)| write(x, owner, s, now));
    x.maybe("nextToken", page.next);
    Ok(x)
}

fn value(owner: &PlaceKey, s: &EbsSnapshot, now: DateTime<Utc>, filter: &str) -> Option<String> {
    Some(match filter {
        "description" => s.description.clone(),
        "encrypted" => s.kms_key.is_some().to_string(),
        "owner-id" => owner.account.clone(),
        "progress" => format!("{}%", s.timeline.percent(now)),
        "snapshot-id" => s.id.clone(),
        "start-time" => timestamp(s.started),
        "status" => s.timeline.state(now)?.to_owned(),
        "volume-id" => s.volume.clone(),
        _ => return None,
    })
}

fn write(x: &mut Xml, owner: &PlaceKey, s: &EbsSnapshot, now: DateTime<Utc>) {
    let status = s.timeline.state(now).unwrap_or("pending");
    x.text("snapshotId", &s.id)
        .text("volumeId", &s.volume)
        .text("status", status)
        .maybe("statusMessage", (status == "error").then_some("Given key ID is not accessible"))
        .text("startTime", timestamp(s.started))
        .maybe(
            "completionTime",
            s.timeline.enters("completed").filter(|t| *t <= now).map(timestamp),
        )
        .text("progress", format!("{}%", s.timeline.percent(now)))
        .text("ownerId", &owner.account)
        .text("volumeSize", s.size)
        .text("description", &s.description)
        .text("encrypted", s.kms_key.is_some())
        .maybe("kmsKeyId", s.kms_key.as_ref())
        .text("storageTier", "standard");
    tag_set(x, &s.tags);
}

/// The key for something new: the one that the call names, or the account's default key.
pub(super) struct KeyChoice {
    pub(super) arn: String,
    /// "AWS authenticates the KMS key asynchronously. Therefore, if you specify an ID, alias, or ARN that is not
    /// valid, the action can appear to complete, but eventually fails" (API references of CreateVolume, CopySnapshot).
    pub(super) usable: bool,
}

pub(super) fn choose_key(call: &Call<'_>, name: Option<&str>) -> KeyChoice {
    let name = name.unwrap_or("alias/aws/ebs");
    match call.state.find_key(&call.place, name) {
        Some(key) => KeyChoice { usable: key.usable(), arn: key.arn },
        None => KeyChoice { usable: false, arn: name.to_owned() },
    }
}

pub(super) fn copy(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let from = PlaceKey::new(&call.place.account, params.need("SourceRegion")?);
    let id = params.need("SourceSnapshotId")?;
    if call.state.lost.contains_key(&from) {
        let what = format!("{} cannot be reached.", from.region);
        return Err(AwsError::new(503, "Unavailable", what));
    }
    let source = find(call.state, &from, id, call.now).cloned().ok_or_else(|| not_found(id))?;
    if !source.timeline.is(call.now, "completed") {
        let what = format!("Snapshot {id} is not 'completed'.");
        return Err(AwsError::new(400, "IncorrectState", what));
    }
    let encrypted = source.kms_key.is_some() || params.flag("Encrypted") == Some(true);
    if !encrypted && params.get("KmsKeyId").is_some() {
        let what = "KmsKeyId needs Encrypted to be true.";
        return Err(AwsError::new(400, "InvalidParameterDependency", what));
    }
    let old = source.kms_key.as_ref().map(|key| call.state.find_key(&from, key));
    let source_readable = old.is_none_or(|key| key.is_some_and(|k| k.usable()));
    let key = encrypted.then(|| choose_key(&call, params.get("KmsKeyId")));
    let usable = source_readable && key.as_ref().is_none_or(|k| k.usable);
    let tags = specified_tags(params, "snapshot")?;
    dry_run(params)?;
    let default = format!("[Copied {id} from {}]", from.region);
    let timeline = match usable {
        true => Timeline::begin(call.now, "pending").then(COPY_TAKES, "completed"),
        false => Timeline::begin(call.now, "pending").then(KEY_FAILS, "error"),
    };
    let copy = EbsSnapshot {
        id: format!("snap-{}", call.state.fresh_digits("snapshot", 17)),
        volume: EbsSnapshot::ARBITRARY_VOLUME.to_owned(),
        started: call.now,
        timeline: call.marked(timeline, "error"),
        kms_key: key.map(|k| k.arn),
        description: params.get("Description").map_or(default, str::to_owned),
        tags,
        shared_with: Vec::new(),
        expires: None,
        scheduled: false,
        source_place: Some(from),
        ..source
    };
    let mut x = Xml::new();
    x.text("snapshotId", &copy.id);
    tag_set(&mut x, &copy.tags);
    call.here().ebs_snapshots.insert(copy.id.clone(), copy);
    Ok(x)
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = params.need("SnapshotId")?;
    if !id.starts_with("snap-") {
        return Err(invalid(format!("Value ({id}) for parameter snapshotId is invalid.")));
    }
    let now = call.now;
    let known = call.here().ebs_snapshots.get(id).is_some_and(|s| s.timeline.state(now).is_some());
    if !known {
        return Err(not_found(id));
    }
    dry_run(params)?;
    call.here().ebs_snapshots.remove(id);
    let mut x = Xml::new();
    x.text("return", true);
    Ok(x)
}
