//! Describing clusters and cluster parameter groups.

use super::cluster_not_found;
use super::model::{Cluster, cluster_parameter_group};
use super::xml::cluster as write;
use crate::sandbox::rds::ask::{filters, paged, passes};
use crate::sandbox::rds::groups::set_by_hand;
use crate::sandbox::rds::model::default_parameter_group;
use crate::sandbox::rds::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::wire::{AwsError, Xml};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::collections::BTreeSet;

pub(super) fn clusters(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let known = ["clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine"];
    let filters = filters(params, &known)?;
    let prefix = call.place.arn("rds", "cluster:");
    let wanted = params.get("DBClusterIdentifier").map(|n| n.strip_prefix(&prefix).unwrap_or(n));
    let view = View { state: call.state, place: &call.place, now: call.now };
    let place = view.state.places.get(&call.place);
    let found: Vec<_> = place
        .iter()
        .flat_map(|p| p.clusters.values())
        .filter(|c| c.timeline.state(call.now).is_some() && call.sees(c.created))
        .filter(|c| wanted.is_none_or(|w| w.eq_ignore_ascii_case(&c.id)))
        .filter(|c| passes(&filters, "db-cluster-id", &c.id))
        .filter(|c| passes(&filters, "db-cluster-resource-id", &c.resource_id))
        .filter(|c| passes(&filters, "engine", &c.settings.engine))
        .filter(|_| !filters.contains_key("domain") && !filters.contains_key("clone-group-id"))
        .map(|c| (c.id.clone(), c))
        .collect();
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return Err(cluster_not_found(wanted));
    }
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBClusters", "DBCluster", page.items, |x, c| write(&view, x, c));
    Ok(x)
}

/// The span to which a cluster can be restored. Aurora backs up continuously; that its latest time lags by up to five
/// minutes is from <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-pitr.html>.
pub(super) fn restore_window(
    cluster: &Cluster,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let days = i64::from(cluster.settings.backup_retention);
    if days == 0 || !cluster.timeline.is(now, "available") {
        return None;
    }
    let latest = (now - TimeDelta::minutes(2)).duration_trunc(TimeDelta::minutes(1)).ok()?;
    let from = cluster.timeline.enters("available").unwrap_or(cluster.created);
    let earliest = (latest - TimeDelta::days(days)).max(from);
    (earliest <= latest).then_some((earliest, latest))
}

pub(super) fn parameter_groups(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    filters(params, &[])?;
    let place = call.state.places.get(&call.place);
    let names: BTreeSet<String> = match params.get("DBClusterParameterGroupName") {
        Some(name) => BTreeSet::from([name.to_owned()]),
        None => {
            let spec = place.iter().filter_map(|p| p.spec.as_ref());
            let own = spec.flat_map(|s| &s.cluster_parameter_groups).map(|g| g.name.clone());
            let clusters = place.iter().flat_map(|p| p.clusters.values());
            let used =
                clusters.map(|c| default_parameter_group(&c.settings.engine, &c.settings.version));
            own.chain(used).collect()
        }
    };
    let mut all = Vec::new();
    for name in names {
        all.push((name.clone(), cluster_parameter_group(call.state, &call.place, &name)?));
    }
    let page = paged(params, all)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBClusterParameterGroups", "DBClusterParameterGroup", page.items, |x, group| {
        let arn = call.place.arn("rds", &format!("cluster-pg:{}", group.name));
        x.text("DBClusterParameterGroupName", &group.name)
            .text("DBParameterGroupFamily", &group.family)
            .text("Description", &group.name)
            .text("DBClusterParameterGroupArn", arn);
    });
    Ok(x)
}

/// Unlike other calls, this one calls a missing group as those of instances are called
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusterParameters.html>).
pub(super) fn parameters(call: Call<'_>) -> Result<Xml, AwsError> {
    let name = call.params().need("DBClusterParameterGroupName")?;
    let group = cluster_parameter_group(call.state, &call.place, name).map_err(|_| {
        let what = format!("DBClusterParameterGroup not found: {name}");
        AwsError::new(404, "DBParameterGroupNotFound", what)
    })?;
    set_by_hand(&call, &group)
}
