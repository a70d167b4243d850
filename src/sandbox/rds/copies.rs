//! Copying and deleting snapshots.

use super::ask::{check_identifier, invalid, key_not_accessible, snapshot_not_found, tags};
use super::model::{DbSnapshot, RdsEvent};
use super::snapshots;
use super::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, Timeline};
use crate::sandbox::wire::{AwsError, Xml};

pub(super) fn copy(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let source_name = params.need("SourceDBSnapshotIdentifier")?;
    let target = params.need("TargetDBSnapshotIdentifier")?.to_lowercase();
    check_identifier("TargetDBSnapshotIdentifier", &target, 255)?;
    let (source_place, source) = snapshots::find(call.state, &call.place, source_name, call.now)
        .map(|(owner, snapshot)| (owner, snapshot.clone()))
        .ok_or_else(|| snapshot_not_found(source_name))?;
    if call.state.lost.contains_key(&source_place) {
        let what = format!("{} cannot be reached.", source_place.region);
        return Err(AwsError::new(503, "ServiceUnavailable", what));
    }
    if call.here().db_snapshots.contains_key(&target) {
        let what = format!(
            "Cannot create the snapshot because a snapshot with the identifier {target} already exists."
        );
        return Err(AwsError::new(400, "DBSnapshotAlreadyExists", what));
    }
    if !source.timeline.is(call.now, "available") {
        let what = format!("The source snapshot {source_name} is not available.");
        return Err(AwsError::new(400, "InvalidDBSnapshotState", what));
    }
    let kms_key = copied_key(&call, source.kms_key.as_ref(), &source_place)?;
    let takes = source.content.origin.copy_takes.0;
    let timeline = Timeline::begin(call.now, "creating").then(takes, "available");
    let timeline = call.marked(timeline, "failed");
    let mut own_tags = match params.flag("CopyTags") {
        Some(true) => source.tags.clone(),
        _ => Default::default(),
    };
    own_tags.extend(tags(params)?);
    let copy = DbSnapshot {
        id: target,
        kind: "manual",
        created: call.now,
        timeline,
        kms_key,
        tags: own_tags,
        shared_with: Vec::new(),
        source_arn: Some(source.arn(&source_place)),
        source_place: Some(source_place),
        expires: None,
        scheduled: false,
        ..source
    };
    if let Some(date) = copy.timeline.enters("available") {
        let from = copy.source_place.as_ref().map_or_else(String::new, |p| p.region.clone());
        call.here().rds_events.push(RdsEvent {
            date,
            source_type: "db-snapshot",
            source: copy.id.clone(),
            category: "notification",
            message: format!("Finished copy of snapshot {} from region {from}", copy.id),
        });
    }
    call.here().db_snapshots.insert(copy.id.clone(), copy.clone());
    Ok(one_snapshot(&call, &copy))
}

/// The key of the copy. Keys do not leave their region, and a snapshot under the key that AWS manages does not leave
/// its account: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html>.
pub(super) fn copied_key(
    call: &Call<'_>,
    source: Option<&String>,
    from: &PlaceKey,
) -> Result<Option<String>, AwsError> {
    let asked = call.params().get("KmsKeyId");
    if let Some(old) = source {
        let key = call.state.find_key(from, old);
        let managed = key.as_ref().is_some_and(|k| k.managed_by_aws);
        if !key.is_some_and(|k| k.usable()) || (managed && from.account != call.place.account) {
            return Err(key_not_accessible("source snapshot", old));
        }
        if asked.is_none() && *from == call.place {
            return Ok(Some(old.clone()));
        }
    }
    let Some(name) = asked else {
        if source.is_none() {
            return Ok(None);
        }
        return Err(match from.region == call.place.region {
            true => key_not_accessible("target", "None"),
            false => invalid("Must specify new KMS key for cross region encrypted snapshot copy."),
        });
    };
    let key = call.state.find_key(&call.place, name).filter(|k| k.usable());
    key.map(|k| Some(k.arn)).ok_or_else(|| key_not_accessible("target", name))
}

fn one_snapshot(call: &Call<'_>, snapshot: &DbSnapshot) -> Xml {
    let view = View { state: call.state, place: &call.place, now: call.now };
    let mut x = Xml::new();
    x.nest("DBSnapshot", |x| view.snapshot(x, snapshot));
    x
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params().need("DBSnapshotIdentifier")?;
    let now = call.now;
    let known = call.here().db_snapshots.get(name).filter(|s| s.timeline.state(now).is_some());
    let snapshot = known.cloned().ok_or_else(|| snapshot_not_found(name))?;
    let state = snapshot.timeline.state(now).unwrap_or("creating");
    if snapshot.kind == "automated" || !matches!(state, "available" | "failed") {
        let what = match snapshot.kind {
            "automated" => "Automated snapshots cannot be deleted.".to_owned(),
            _ => format!("The snapshot {name} is in state {state}."),
        };
        return Err(AwsError::new(400, "InvalidDBSnapshotState", what));
    }
    call.here().db_snapshots.remove(name);
    // "If you delete a source snapshot before the target snapshot becomes available, the snapshot copy might fail."
    let arn = snapshot.arn(&call.place);
    for place in call.state.places.values_mut() {
        for copy in place.db_snapshots.values_mut() {
            if copy.source_arn.as_ref() == Some(&arn) && copy.timeline.is(now, "creating") {
                copy.timeline = Timeline::begin(now, "failed");
            }
        }
    }
    let mut gone = snapshot;
    gone.timeline = Timeline::begin(now, "deleted");
    Ok(one_snapshot(&call, &gone))
}
