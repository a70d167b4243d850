//! Listing what carries this program's tags, to the last page.

use crate::action::{Listed, Listing, ResourceContext, StepError};
use crate::client;
use crate::providers::backups::time_of;
use aws_sdk_rds::types::{DbInstance, Tag};

/// Names that this program gives begin like this: only for such a thing without tags are tags asked for separately.
const OWN_NAMES: &str = "redrill-";

/// Every instance of the site.
///
/// # Errors
/// Those of `rds:DescribeDBInstances` and `rds:ListTagsForResource`.
pub(super) async fn instances(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let (mut total, mut ours, mut marker) = (0, Vec::new(), None);
    loop {
        let request = client.describe_db_instances().set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBInstances", || request.clone().send()).await?;
        // Members of clusters are another kind of resource.
        let alone = |i: &&DbInstance| i.db_cluster_identifier().is_none();
        for instance in answer.db_instances().iter().filter(alone) {
            total += 1;
            ours.extend(own_instance(cx, instance).await?);
        }
        match next("rds:DescribeDBInstances", marker.as_deref(), answer.marker())? {
            Some(next) => marker = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

async fn own_instance(
    cx: &ResourceContext,
    instance: &DbInstance,
) -> Result<Option<Listed>, StepError> {
    let Some(name) = instance.db_instance_identifier() else { return Ok(None) };
    let arn = instance.db_instance_arn().unwrap_or(name);
    let mut tags = instance.tag_list().to_vec();
    if tags.is_empty() && name.starts_with(OWN_NAMES) && instance.db_instance_arn().is_some() {
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client.list_tags_for_resource().resource_name(arn);
        let answer = cx.call("rds:ListTagsForResource", || request.clone().send()).await?;
        tags.extend(answer.tag_list().iter().cloned());
    }
    let state = instance.db_instance_status().unwrap_or("no status");
    let made = instance.instance_create_time().and_then(time_of);
    Ok(Listed::of(pairs(&tags), name, arn, state).map(|listed| listed.made(made)))
}

/// The manual snapshots of the site. Automated ones go with their instance.
///
/// # Errors
/// Those of `rds:DescribeDBSnapshots`.
pub(super) async fn snapshots(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let (mut total, mut ours, mut marker) = (0, Vec::new(), None);
    loop {
        let request =
            client.describe_db_snapshots().snapshot_type("manual").set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBSnapshots", || request.clone().send()).await?;
        for snapshot in answer.db_snapshots() {
            total += 1;
            let Some(name) = snapshot.db_snapshot_identifier() else { continue };
            let arn = snapshot.db_snapshot_arn().unwrap_or(name);
            let state = snapshot.status().unwrap_or("no status");
            let made = snapshot.snapshot_create_time().and_then(time_of);
            let listed = Listed::of(pairs(snapshot.tag_list()), name, arn, state);
            ours.extend(listed.map(|listed| listed.made(made)));
        }
        match next("rds:DescribeDBSnapshots", marker.as_deref(), answer.marker())? {
            Some(next) => marker = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
}

/// Where the next page begins. A marker that does not move would be asked for again and again.
fn next(
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
