//! Listing what carries this program's tags, to the last page.

use super::cluster::tags_of;
use crate::action::{Listed, Listing, Naming, ResourceContext, StepError};
use crate::client;
use crate::providers::backups::time_of;
use aws_sdk_rds::types::Tag;

/// Names that this program gives begin like this: only for such a thing without tags are tags asked for separately.
const OWN_NAMES: &str = "redrill-";

/// Every cluster of the site.
///
/// # Errors
/// Those of `rds:DescribeDBClusters` and `rds:ListTagsForResource`.
pub(super) async fn clusters(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let (mut total, mut ours, mut marker) = (0, Vec::new(), None);
    loop {
        let request = client.describe_db_clusters().set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBClusters", || request.clone().send()).await?;
        for cluster in answer.db_clusters() {
            total += 1;
            let Some(name) = cluster.db_cluster_identifier() else { continue };
            let tags = known_tags(cx, name, cluster.db_cluster_arn(), cluster.tag_list()).await?;
            let arn = cluster.db_cluster_arn().unwrap_or(name);
            let made = cluster.cluster_create_time().and_then(time_of);
            let listed =
                Listed::of(pairs(&tags), name, arn, cluster.status().unwrap_or("no status"));
            ours.extend(listed.map(|listed| listed.made(made)));
        }
        match next("rds:DescribeDBClusters", marker.as_deref(), answer.marker())? {
            Some(next) => marker = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

/// Every member of a cluster of the site. Other DB instances are listed as what they are.
///
/// # Errors
/// Those of `rds:DescribeDBInstances` and `rds:ListTagsForResource`.
pub(super) async fn instances(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let (mut total, mut ours, mut marker) = (0, Vec::new(), None);
    loop {
        let request = client.describe_db_instances().set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBInstances", || request.clone().send()).await?;
        for instance in answer.db_instances() {
            if instance.db_cluster_identifier().is_none() {
                continue;
            }
            total += 1;
            let Some(name) = instance.db_instance_identifier() else { continue };
            let tags =
                known_tags(cx, name, instance.db_instance_arn(), instance.tag_list()).await?;
            let arn = instance.db_instance_arn().unwrap_or(name);
            let state = instance.db_instance_status().unwrap_or("no status");
            let made = instance.instance_create_time().and_then(time_of);
            let listed = Listed::named(Naming::Numbered, pairs(&tags), name, arn, state);
            ours.extend(listed.map(|listed| listed.made(made)));
        }
        match next("rds:DescribeDBInstances", marker.as_deref(), answer.marker())? {
            Some(next) => marker = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

/// Every manual cluster snapshot of the site.
///
/// # Errors
/// Those of `rds:DescribeDBClusterSnapshots`.
pub(super) async fn snapshots(cx: &ResourceContext) -> Result<Listing, StepError> {
    const OPERATION: &str = "rds:DescribeDBClusterSnapshots";
    let client = client!(cx.site()?, aws_sdk_rds);
    let (mut total, mut ours, mut marker) = (0, Vec::new(), None);
    loop {
        let request = client
            .describe_db_cluster_snapshots()
            .snapshot_type("manual")
            .set_marker(marker.clone());
        let answer = cx.call(OPERATION, || request.clone().send()).await?;
        for snapshot in answer.db_cluster_snapshots() {
            total += 1;
            let Some(name) = snapshot.db_cluster_snapshot_identifier() else { continue };
            let arn = snapshot.db_cluster_snapshot_arn().unwrap_or(name);
            let state = snapshot.status().unwrap_or("no status");
            let made = snapshot.snapshot_create_time().and_then(time_of);
            let listed = Listed::of(pairs(snapshot.tag_list()), name, arn, state);
            ours.extend(listed.map(|listed| listed.made(made)));
        }
        match next(OPERATION, marker.as_deref(), answer.marker())? {
            Some(next) => marker = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

async fn known_tags(
    cx: &ResourceContext,
    name: &str,
    arn: Option<&str>,
    told: &[Tag],
) -> Result<Vec<Tag>, StepError> {
    match arn {
        Some(arn) if told.is_empty() && name.starts_with(OWN_NAMES) => tags_of(cx, arn).await,
        _ => Ok(told.to_vec()),
    }
}

fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
}

/// Where the next page begins. A marker that does not move would be asked for again and again.
pub(super) fn next(
    operation: &str,
    before: Option<&str>,
    marker: Option<&str>,
) -> Result<Option<String>, StepError> {
    let marker = marker.filter(|marker| !marker.is_empty());
    if marker.is_some() && marker == before {
        return Err(StepError::broken(format!("the pages of {operation} do not move on")));
    }
    Ok(marker.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_does_not_move_is_an_error_and_an_empty_one_is_the_end() {
        assert_eq!(next("op", None, Some("a")).unwrap(), Some("a".to_owned()));
        assert_eq!(next("op", Some("a"), Some("")).unwrap(), None);
        assert_eq!(next("op", Some("a"), None).unwrap(), None);
        assert!(next("op", Some("a"), Some("a")).is_err());
    }
}
