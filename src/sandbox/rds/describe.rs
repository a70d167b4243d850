//! Describing instances, automated backups and events.

use super::ask::{filters, instance_not_found, invalid, paged, passes};
use super::xml::View;
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Params, Xml, timestamp};
use chrono::{DateTime, TimeDelta, Utc};

pub(super) fn instances(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let known = ["db-cluster-id", "db-instance-id", "dbi-resource-id", "engine", "domain"];
    let filters = filters(params, &known)?;
    let wanted = params.get("DBInstanceIdentifier").map(|name| instance_id(&call, name));
    let view = View { state: call.state, place: &call.place, now: call.now };
    let place = view.state.places.get(&call.place);
    let found: Vec<_> = place
        .iter()
        .flat_map(|p| p.instances.values())
        .filter(|i| i.timeline.state(call.now).is_some() && call.sees(i.created))
        .filter(|i| wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(&i.id)))
        .filter(|i| passes(&filters, "db-instance-id", &i.id))
        .filter(|i| passes(&filters, "dbi-resource-id", &i.resource_id))
        .filter(|i| passes(&filters, "engine", &i.settings.engine))
        .filter(|_| !filters.contains_key("domain"))
        .filter(|i| match &i.member {
            None => !filters.contains_key("db-cluster-id"),
            Some(member) => passes(&filters, "db-cluster-id", &member.cluster),
        })
        .map(|i| (i.id.clone(), i))
        .collect();
    if let (Some(wanted), true) = (&wanted, found.is_empty()) {
        return Err(instance_not_found(wanted));
    }
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("DBInstances", "DBInstance", page.items, |x, i| view.instance(x, i));
    Ok(x)
}

/// An instance's id from its id or ARN.
fn instance_id(call: &Call<'_>, name: &str) -> String {
    name.strip_prefix(&call.place.arn("rds", "db:")).unwrap_or(name).to_owned()
}

/// How many DB instances, and how many clusters, an account may have in a region unless it has asked for more
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html>).
const MOST: usize = 40;

/// How many manual snapshots of instances, and how many of clusters (the same page).
const MOST_SNAPSHOTS: usize = 100;

pub(super) fn account_attributes(call: Call<'_>) -> Result<Xml, AwsError> {
    let place = call.state.places.get(&call.place);
    let instances = place.iter().flat_map(|p| p.instances.values());
    let used = instances.filter(|i| i.timeline.state(call.now).is_some()).count();
    let clusters = place.iter().flat_map(|p| p.clusters.values());
    let clusters = clusters.filter(|c| c.timeline.state(call.now).is_some()).count();
    let snapshots = place.iter().flat_map(|p| p.db_snapshots.values());
    let is_manual =
        |kind: &str, timeline: &Timeline| kind == "manual" && timeline.state(call.now).is_some();
    let snapshots = snapshots.filter(|s| is_manual(s.kind, &s.timeline)).count();
    let of_clusters = place.iter().flat_map(|p| p.cluster_snapshots.values());
    let of_clusters = of_clusters.filter(|s| is_manual(s.kind, &s.timeline)).count();
    let quotas = [
        ("DBInstances", used, MOST),
        ("DBClusters", clusters, MOST),
        ("ManualSnapshots", snapshots, MOST_SNAPSHOTS),
        ("ManualClusterSnapshots", of_clusters, MOST_SNAPSHOTS),
    ];
    let mut x = Xml::new();
    x.list("AccountQuotas", "AccountQuota", quotas, |x, (name, used, most)| {
        x.text("AccountQuotaName", name).text("Used", used).text("Max", most);
    });
    Ok(x)
}

/// RDS keeps events for 14 days and tells those of the last hour unless asked for more:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeEvents.html>.
pub(super) fn events(call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let (source, source_type) = (params.get("SourceIdentifier"), params.get("SourceType"));
    if source.is_some() && source_type.is_none() {
        let what = "SourceType must be specified when SourceIdentifier is specified.";
        return Err(super::ask::combination(what));
    }
    let minutes = params.number::<u32>("Duration")?.unwrap_or(60);
    let end = time(params, "EndTime")?.unwrap_or(call.now);
    let start = match time(params, "StartTime")? {
        Some(start) => start,
        None => end - TimeDelta::minutes(i64::from(minutes)),
    };
    let oldest = call.now - TimeDelta::days(14);
    let categories = params.list("EventCategories.EventCategory");
    let place = call.state.places.get(&call.place);
    let found: Vec<_> = place
        .iter()
        .flat_map(|p| p.rds_events.iter().enumerate())
        .filter(|(_, e)| e.date <= call.now && e.date >= oldest)
        .filter(|(_, e)| e.date >= start && e.date <= end)
        .filter(|(_, e)| source.is_none_or(|s| s == e.source))
        .filter(|(_, e)| source_type.is_none_or(|s| s == e.source_type))
        .filter(|(_, e)| categories.is_empty() || categories.iter().any(|c| c == e.category))
        .map(|(i, e)| (format!("{}/{i:08}", timestamp(e.date)), e))
        .collect();
    let page = paged(params, found)?;
    let mut x = Xml::new();
    x.maybe("Marker", page.next);
    x.list("Events", "Event", page.items, |x, e| {
        let kind = match e.source_type {
            "db-snapshot" => "snapshot",
            "db-cluster" => "cluster",
            _ => "db",
        };
        x.text("SourceIdentifier", &e.source)
            .text("SourceType", e.source_type)
            .text("Message", &e.message)
            .nest("EventCategories", |x| {
                x.text("EventCategory", e.category);
            })
            .text("Date", timestamp(e.date))
            .text("SourceArn", call.place.arn("rds", &format!("{kind}:{}", e.source)));
    });
    Ok(x)
}

pub(super) fn time(params: &Params, name: &str) -> Result<Option<DateTime<Utc>>, AwsError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let read = DateTime::parse_from_rfc3339(text);
    read.map(|t| Some(t.to_utc())).map_err(|_| invalid(format!("Invalid value {text} for {name}.")))
}
