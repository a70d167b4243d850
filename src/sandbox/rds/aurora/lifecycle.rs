//! Modifying and deleting clusters.

use super::model::{Cluster, members_of};
use super::xml::cluster as write;
use super::{cluster_not_found, wrong_state};
use crate::sandbox::rds::RdsEvent;
use crate::sandbox::rds::ask::{combination, invalid};
use crate::sandbox::rds::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Xml};
use std::time::Duration;

const DELETE_TAKES: Duration = Duration::from_secs(2 * 60);

pub(super) fn one_cluster(call: &Call<'_>, cluster: &Cluster) -> Xml {
    let view = View { state: call.state, place: &call.place, now: call.now };
    let mut x = Xml::new();
    x.nest("DBCluster", |x| write(&view, x, cluster));
    x
}

fn existing(call: &mut Call<'_>) -> Result<Cluster, AwsError> {
    let id = call.params().need("DBClusterIdentifier")?.to_lowercase();
    let now = call.now;
    let found = call.here().clusters.get(&id).filter(|c| c.timeline.state(now).is_some());
    found.cloned().ok_or_else(|| cluster_not_found(&id))
}

pub(super) fn modify(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let mut cluster = existing(&mut call)?;
    let state = cluster.timeline.state(call.now).unwrap_or("creating");
    if state != "available" {
        return Err(wrong_state(format!("DBCluster {} is in state {state}.", cluster.id)));
    }
    let Some(protected) = params.flag("DeletionProtection") else {
        return Err(invalid(
            "Only DeletionProtection of a cluster can be modified in the sandbox.",
        ));
    };
    cluster.settings.deletion_protection = protected;
    call.here().clusters.insert(cluster.id.clone(), cluster.clone());
    Ok(one_cluster(&call, &cluster))
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let mut cluster = existing(&mut call)?;
    let now = call.now;
    if cluster.timeline.is(now, "deleting") {
        return Err(wrong_state(format!("DBCluster {} is already being deleted.", cluster.id)));
    }
    if cluster.settings.deletion_protection {
        let what =
            "Cannot delete protected Cluster, please disable deletion protection and try again.";
        return Err(combination(what));
    }
    if params.flag("SkipFinalSnapshot") != Some(true) {
        return Err(combination(
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        ));
    }
    let members = members_of(call.here(), &cluster.id, now);
    if members.iter().any(|member| !member.timeline.is(now, "deleting")) {
        return Err(wrong_state(
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        ));
    }
    // It is there for as long as one of its members.
    let last = members.iter().map(|member| member.timeline.settles()).max().unwrap_or(now);
    let takes = (last - now).to_std().unwrap_or_default() + DELETE_TAKES;
    let timeline = Timeline::begin(now, "deleting").then(takes, Timeline::GONE);
    cluster.timeline = call.marked(timeline, "deleting");
    let end = cluster.timeline.enters(Timeline::GONE);
    let (id, resource) = (cluster.id.clone(), cluster.resource_id.clone());
    let here = call.here();
    here.rds_events.retain(|e| e.source != id || e.date <= now);
    if let Some(end) = end {
        for snapshot in here.cluster_snapshots.values_mut() {
            if snapshot.kind == "automated" && snapshot.resource_id == resource {
                snapshot.expires = Some(end);
            }
        }
        here.rds_events.push(RdsEvent {
            date: end,
            source_type: "db-cluster",
            source: id,
            category: "deletion",
            message: "DB cluster deleted".to_owned(),
        });
    }
    here.clusters.insert(cluster.id.clone(), cluster.clone());
    Ok(one_cluster(&call, &cluster))
}
