//! Finding and describing snapshots.

use super::ask::{combination, filters, invalid, paged, passes, snapshot_not_found};
use super::model::DbSnapshot;
use super::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State};
use crate::sandbox::wire::{AwsError, Xml};
use chrono::{DateTime, Utc};

/// The snapshot that an id or an ARN names, seen from `place`: one's own, or one that another account shares in the
/// same region.
pub(super) fn find<'a>(
    state: &'a State,
    place: &PlaceKey,
    name: &str,
    now: DateTime<Utc>,
) -> Option<(PlaceKey, &'a DbSnapshot)> {
    let (owner, id) = match name.strip_prefix("arn:aws:rds:") {
        None => (place.clone(), name),
        Some(rest) => {
            let mut parts = rest.splitn(3, ':');
            let (region, account) = (parts.next()?, parts.next()?);
            (PlaceKey::new(account, region), parts.next()?.strip_prefix("snapshot:")?)
        }
    };
    let snapshot = state.places.get(&owner)?.db_snapshots.get(id)?;
    snapshot.timeline.state(now)?;
    let visible = owner.account == place.account || snapshot.shared_with.contains(&place.account);
    visible.then_some((owner, snapshot))
}

pub(super) fn describe(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let known = ["db-instance-id", "db-snapshot-id", "dbi-resource-id", "snapshot-type", "engine"];
    let filters = filters(params, &known)?;
    let kind = params.get("SnapshotType");
    if !matches!(kind, None | Some("automated" | "manual" | "shared" | "public" | "awsbackup")) {
        return Err(invalid(format!("Invalid snapshot type: {}", kind.unwrap_or_default())));
    }
    let (instance, name) = (params.get("DBInstanceIdentifier"), params.get("DBSnapshotIdentifier"));
    let resource = params.get("DbiResourceId");
    let shared = kind == Some("shared") || params.flag("IncludeShared") == Some(true);
    let named = match name {
        None => None,
        Some(name) => {
            let found = find(call.state, &call.place, name, call.now)
                .filter(|(owner, _)| owner.region == call.place.region);
            Some(found.ok_or_else(|| snapshot_not_found(name))?)
        }
    };
    if name.is_some() && instance.is_some() {
        let what = "DBInstanceIdentifier and DBSnapshotIdentifier cannot be used together.";
        return Err(combination(what));
    }
    let candidates = match named {
        Some(one) => vec![one],
        None => visible(call.state, &call.place, shared),
    };
    let found: Vec<_> = candidates
        .into_iter()
        .filter(|(_, s)| s.timeline.state(call.now).is_some())
        .filter(|(owner, s)| match kind {
            None => true,
            Some("shared") => owner.account != call.place.account,
            Some(kind) => s.kind == kind && owner.account == call.place.account,
        })
        .filter(|(_, s)| instance.is_none_or(|i| i.eq_ignore_ascii_case(&s.instance)))
        .filter(|(_, s)| resource.is_none_or(|r| r == s.resource_id))
        .filter(|(_, s)| passes(&filters, "db-instance-id", &s.instance))
        .filter(|(owner, s)| {
            passes(&filters, "db-snapshot-id", &s.id)
                || passes(&filters, "db-snapshot-id", &s.arn(owner))
        })
        .filter(|(_, s)| passes(&filters, "dbi-resource-id", &s.resource_id))
        .filter(|(_, s)| passes(&filters, "snapshot-type", s.kind))
        .filter(|(_, s)| passes(&filters, "engine", &s.settings.engine))
        .map(|(owner, s)| (s.arn(&owner), (owner, s)))
        .collect();
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBSnapshots", "DBSnapshot", page.items, |x, (owner, s)| {
        View { state: call.state, place: &owner, now: call.now }.snapshot(x, s);
    });
    Ok(x)
}

fn visible<'a>(state: &'a State, here: &PlaceKey, shared: bool) -> Vec<(PlaceKey, &'a DbSnapshot)> {
    let mut all = Vec::new();
    for (owner, place) in state.places.iter().filter(|(owner, _)| owner.region == here.region) {
        for snapshot in place.db_snapshots.values() {
            let own = owner == here;
            if own || (shared && snapshot.shared_with.contains(&here.account)) {
                all.push((owner.clone(), snapshot));
            }
        }
    }
    all
}
