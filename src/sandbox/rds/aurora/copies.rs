//! Copying and deleting snapshots of clusters.

use super::model::ClusterSnapshot;
use super::xml::snapshot as write;
use super::{cluster_snapshot_not_found, snapshots};
use crate::sandbox::rds::ask::{check_identifier, combination, tags};
use crate::sandbox::rds::copies::copied_key;
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Xml};
use std::time::Duration;

/// How long a copy takes.
const COPY_TAKES: Duration = Duration::from_secs(15 * 60);

fn wrong_state(what: String) -> AwsError {
    AwsError::new(400, "InvalidDBClusterSnapshotStateFault", what)
}

pub(super) fn copy(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let source_name = params.need("SourceDBClusterSnapshotIdentifier")?;
    let target = params.need("TargetDBClusterSnapshotIdentifier")?.to_lowercase();
    check_identifier("TargetDBClusterSnapshotIdentifier", &target, 63)?;
    let (source_place, source) = snapshots::find(call.state, &call.place, source_name, call.now)
        .map(|(owner, snapshot)| (owner, snapshot.clone()))
        .ok_or_else(|| cluster_snapshot_not_found(source_name))?;
    if call.state.lost.contains_key(&source_place) {
        let what = format!("{} cannot be reached.", source_place.region);
        return Err(AwsError::new(503, "ServiceUnavailable", what));
    }
    if call.here().cluster_snapshots.contains_key(&target) {
        let what = format!(
            "Cannot create the cluster snapshot because one with the identifier {target} already exists."
        );
        return Err(AwsError::new(400, "DBClusterSnapshotAlreadyExistsFault", what));
    }
    if !source.timeline.is(call.now, "available") {
        let what = format!("The source cluster snapshot {source_name} is not available.");
        return Err(wrong_state(what));
    }
    // Unlike a snapshot of an instance, one of a cluster is not encrypted by copying it
    // (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBClusterSnapshot.html>).
    if source.kms_key.is_none() && params.get("KmsKeyId").is_some() {
        let what = format!("KmsKeyId is given, and {source_name} is not encrypted.");
        return Err(combination(what));
    }
    let kms_key = copied_key(&call, source.kms_key.as_ref(), &source_place)?;
    let timeline = Timeline::begin(call.now, "copying").then(COPY_TAKES, "available");
    let timeline = call.marked(timeline, "failed");
    let mut own_tags = match params.flag("CopyTags") {
        Some(true) => source.tags.clone(),
        _ => Default::default(),
    };
    own_tags.extend(tags(params)?);
    let copy = ClusterSnapshot {
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
    call.here().cluster_snapshots.insert(copy.id.clone(), copy.clone());
    Ok(one_snapshot(&call, &copy))
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params().need("DBClusterSnapshotIdentifier")?;
    let now = call.now;
    let known = call.here().cluster_snapshots.get(name);
    let known = known.filter(|s| s.timeline.state(now).is_some()).cloned();
    let snapshot = known.ok_or_else(|| cluster_snapshot_not_found(name))?;
    let state = snapshot.timeline.state(now).unwrap_or("creating");
    if snapshot.kind == "automated" {
        return Err(wrong_state("Automated snapshots cannot be deleted.".to_owned()));
    }
    if !matches!(state, "available" | "failed") {
        return Err(wrong_state(format!("The snapshot {name} is in state {state}.")));
    }
    call.here().cluster_snapshots.remove(name);
    let arn = snapshot.arn(&call.place);
    for place in call.state.places.values_mut() {
        for copy in place.cluster_snapshots.values_mut() {
            if copy.source_arn.as_ref() == Some(&arn) && copy.timeline.is(now, "copying") {
                copy.timeline = Timeline::begin(now, "failed");
            }
        }
    }
    let mut gone = snapshot;
    gone.timeline = Timeline::begin(now, "deleted");
    Ok(one_snapshot(&call, &gone))
}

fn one_snapshot(call: &Call<'_>, snapshot: &ClusterSnapshot) -> Xml {
    let mut x = Xml::new();
    x.nest("DBClusterSnapshot", |x| write(x, snapshot, &call.place, call.now));
    x
}
