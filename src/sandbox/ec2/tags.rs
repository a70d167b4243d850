//! Tags of volumes, snapshots and security groups.

use super::ask::{Filters, dry_run, paged, tags};
use super::{snapshots, volumes};
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use std::collections::BTreeMap;

const FILTERS: [&str; 4] = ["key", "resource-id", "resource-type", "value"];

pub(super) fn create(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let ids = params.list("ResourceId");
    let new = tags(params)?;
    let here = call.here();
    for id in &ids {
        if id.starts_with("snap-") && !here.ebs_snapshots.contains_key(id) {
            return Err(snapshots::not_found(id));
        }
        if id.starts_with("vol-") && !here.volumes.contains_key(id) {
            return Err(volumes::volume_not_found(id));
        }
        if !id.starts_with("snap-") && !id.starts_with("vol-") {
            let what = format!("The ID '{id}' is not valid, or its tags are not simulated.");
            return Err(AwsError::new(400, "InvalidID", what));
        }
    }
    dry_run(params)?;
    for id in &ids {
        if let Some(snapshot) = here.ebs_snapshots.get_mut(id) {
            snapshot.tags.extend(new.clone());
        }
        if let Some(volume) = here.volumes.get_mut(id) {
            volume.tags.extend(new.clone());
        }
    }
    let mut x = Xml::new();
    x.text("return", true);
    Ok(x)
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let filters = Filters::read(params, &FILTERS)?;
    dry_run(params)?;
    let now = call.now;
    let mut all: Vec<(&str, &str, &BTreeMap<String, String>)> = Vec::new();
    if let Some(place) = call.state.places.get(&call.place) {
        let snapshots = place.ebs_snapshots.values().filter(|s| s.timeline.state(now).is_some());
        all.extend(snapshots.map(|s| (s.id.as_str(), "snapshot", &s.tags)));
        let volumes = place.volumes.values().filter(|v| v.timeline.state(now).is_some());
        all.extend(volumes.map(|v| (v.id.as_str(), "volume", &v.tags)));
        let groups = place.spec.iter().flat_map(|s| &s.security_groups);
        all.extend(groups.map(|g| (g.id.as_str(), "security-group", &g.tags)));
    }
    let mut found = Vec::new();
    for (id, kind, tags) in all {
        for (key, value) in tags {
            let own = BTreeMap::from([(key.clone(), value.clone())]);
            let named = |filter: &str| {
                Some(match filter {
                    "key" => key.clone(),
                    "value" => value.clone(),
                    "resource-id" => id.to_owned(),
                    "resource-type" => kind.to_owned(),
                    _ => return None,
                })
            };
            if filters.pass(&own, named) {
                found.push((format!("{id}/{key}"), (id, kind, key, value)));
            }
        }
    }
    let page = paged(params, found, false)?;
    let mut x = Xml::new();
    x.list("tagSet", "item", page.items, |x, (id, kind, key, value)| {
        x.text("resourceId", id).text("resourceType", kind).text("key", key).text("value", value);
    });
    x.maybe("nextToken", page.next);
    Ok(x)
}
