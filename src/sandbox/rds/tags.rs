//! Tags of instances, clusters and their snapshots.

use super::ask::{instance_not_found, invalid, snapshot_not_found, tags};
use super::aurora::{cluster_not_found, cluster_snapshot_not_found};
use super::xml::tag_list;
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use std::collections::BTreeMap;

/// The tags of the resource that `ResourceName`, an ARN, names.
fn tags_of<'a>(call: &'a mut Call<'_>) -> Result<&'a mut BTreeMap<String, String>, AwsError> {
    let name = call.params().need("ResourceName")?;
    let now = call.now;
    let prefix = call.place.arn("rds", "");
    let Some(resource) = name.strip_prefix(&prefix) else {
        return Err(invalid(format!("{name} is not an ARN of this account and region.")));
    };
    let here = call.here();
    if let Some(id) = resource.strip_prefix("db:") {
        let found = here.instances.get_mut(id).filter(|i| i.timeline.state(now).is_some());
        return found.map(|i| &mut i.tags).ok_or_else(|| instance_not_found(id));
    }
    if let Some(id) = resource.strip_prefix("cluster:") {
        let found = here.clusters.get_mut(id).filter(|c| c.timeline.state(now).is_some());
        return found.map(|c| &mut c.tags).ok_or_else(|| cluster_not_found(id));
    }
    if let Some(id) = resource.strip_prefix("cluster-snapshot:") {
        let found = here.cluster_snapshots.get_mut(id);
        let found = found.filter(|s| s.timeline.state(now).is_some());
        return found.map(|s| &mut s.tags).ok_or_else(|| cluster_snapshot_not_found(id));
    }
    if let Some(id) = resource.strip_prefix("snapshot:") {
        let found = here.db_snapshots.get_mut(id).filter(|s| s.timeline.state(now).is_some());
        return found.map(|s| &mut s.tags).ok_or_else(|| snapshot_not_found(id));
    }
    Err(invalid(format!("Tags of {name} are not simulated.")))
}

pub(super) fn add(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let new = tags(call.params())?;
    tags_of(&mut call)?.extend(new);
    Ok(Xml::new())
}

pub(super) fn list(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let mut x = Xml::new();
    tag_list(&mut x, "TagList", tags_of(&mut call)?);
    Ok(x)
}
