//! Finding and describing snapshots of clusters.

use super::cluster_snapshot_not_found;
use super::model::ClusterSnapshot;
use super::xml::snapshot as write;
use crate::sandbox::rds::ask::{combination, filters, invalid, paged, passes};
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State};
use crate::sandbox::wire::{AwsError, Xml};
use chrono::{DateTime, Utc};

/// The snapshot that an id or an ARN names, seen from `place`: one's own, or one that another account shares in the same
/// region.
pub(super) fn find<'a>(
    state: &'a State,
    place: &PlaceKey,
    name: &str,
    now: DateTime<Utc>,
) -> Option<(PlaceKey, &'a ClusterSnapshot)> {
    let (owner, id) = match name.strip_prefix("arn:aws:rds:") {
        None => (place.clone(), name),
        Some(rest) => {
            let mut parts = rest.splitn(3, ':');
            let (region, account) = (parts.next()?, parts.next()?);
            (PlaceKey::new(account, region), parts.next()?.strip_prefix("cluster-snapshot:")?)
        }
    };
    let snapshot = state.places.get(&owner)?.cluster_snapshots.get(id)?;
    snapshot.timeline.state(now)?;
    let visible = owner.account == place.account || snapshot.shared_with.contains(&place.account);
    visible.then_some((owner, snapshot))
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let known = ["db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine"];
    let filters = filters(params, &known)?;
    let kind = params.get("SnapshotType");
    if !matches!(kind, None | Some("automated" | "manual" | "shared" | "public" | "awsbackup")) {
        return Err(invalid(format!("Invalid snapshot type: {}", kind.unwrap_or_default())));
    }
    let cluster = params.get("DBClusterIdentifier");
    let resource = params.get("DbClusterResourceId");
    let name = params.get("DBClusterSnapshotIdentifier");
    if name.is_some() && cluster.is_some() {
        let what = "DBClusterIdentifier and DBClusterSnapshotIdentifier cannot be used together.";
        return Err(combination(what));
    }
    let shared = kind == Some("shared") || params.flag("IncludeShared") == Some(true);
    let candidates = match name {
        None => visible(call.state, &call.place, shared),
        Some(name) => {
            let found = find(call.state, &call.place, name, call.now)
                .filter(|(owner, _)| owner.region == call.place.region);
            vec![found.ok_or_else(|| cluster_snapshot_not_found(name))?]
        }
    };
    let found: Vec<_> = candidates
        .into_iter()
        .filter(|(_, s)| s.timeline.state(call.now).is_some())
        .filter(|(owner, s)| match kind {
            None => true,
            Some("shared") => owner.account != call.place.account,
            Some(kind) => s.kind == kind && owner.account == call.place.account,
        })
        .filter(|(_, s)| cluster.is_none_or(|c| c.eq_ignore_ascii_case(&s.cluster)))
        .filter(|(_, s)| resource.is_none_or(|r| r == s.resource_id))
        .filter(|(_, s)| passes(&filters, "db-cluster-id", &s.cluster))
        .filter(|(owner, s)| {
            passes(&filters, "db-cluster-snapshot-id", &s.id)
                || passes(&filters, "db-cluster-snapshot-id", &s.arn(owner))
        })
        .filter(|(_, s)| passes(&filters, "snapshot-type", s.kind))
        .filter(|(_, s)| passes(&filters, "engine", &s.settings.engine))
        .map(|(owner, s)| (s.arn(&owner), (owner, s)))
        .collect();
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBClusterSnapshots", "DBClusterSnapshot", page.items, |x, (owner, s)| {
        write(x, s, &owner, call.now);
    });
    Ok(x)
}

fn visible<'a>(
    state: &'a State,
    here: &PlaceKey,
    shared: bool,
) -> Vec<(PlaceKey, &'a ClusterSnapshot)> {
    let mut all = Vec::new();
    for (owner, place) in state.places.iter().filter(|(owner, _)| owner.region == here.region) {
        for snapshot in place.cluster_snapshots.values() {
            let own = owner == here;
            if own || (shared && snapshot.shared_with.contains(&here.account)) {
                all.push((owner.clone(), snapshot));
            }
        }
    }
    all
}
