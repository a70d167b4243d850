//! Listing what carries this program's tags, to the last page, and writing the tag that says when it expires.

use super::volume::NAME_TAG;
use crate::action::{
    EXPIRES_TAG, Expiry, Found, Listed, Listing, RUN_TAG, ResourceContext, StepError,
};
use crate::client;
use crate::providers::backups::time_of;
use aws_sdk_ec2::types::{Filter, SnapshotState, Tag, VolumeState};
use chrono::{DateTime, Utc};

/// How many a page may hold: at most 500 for volumes, 1000 for snapshots
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>).
const PAGE: i32 = 500;

/// Every volume of the site.
///
/// # Errors
/// Those of `ec2:DescribeVolumes`.
pub(super) async fn volumes(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let (mut total, mut ours, mut token) = (0, Vec::new(), None);
    loop {
        let request = client.describe_volumes().max_results(PAGE).set_next_token(token.clone());
        let answer = cx.call("ec2:DescribeVolumes", || request.clone().send()).await?;
        for volume in answer.volumes() {
            let Some(id) = volume.volume_id() else { continue };
            if volume.state() == Some(&VolumeState::Deleted) {
                continue;
            }
            total += 1;
            let state = volume.state().map_or("no state", VolumeState::as_str);
            let made = volume.create_time().and_then(time_of);
            ours.extend(own(volume.tags(), id, state).map(|listed| listed.made(made)));
        }
        match next("ec2:DescribeVolumes", token.as_deref(), answer.next_token())? {
            Some(next) => token = Some(next),
            None => return Ok(Listing::Seen { total: Some(total), ours }),
        }
    }
}

/// The account's own snapshots that carry a run's tag. There may be very many others: they are not counted.
///
/// # Errors
/// Those of `ec2:DescribeSnapshots`.
pub(super) async fn snapshots(cx: &ResourceContext) -> Result<Listing, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let tagged = Filter::builder().name("tag-key").values(RUN_TAG).build();
    let (mut ours, mut token) = (Vec::new(), None);
    loop {
        let request = client
            .describe_snapshots()
            .owner_ids("self")
            .filters(tagged.clone())
            .max_results(PAGE)
            .set_next_token(token.clone());
        let answer = cx.call("ec2:DescribeSnapshots", || request.clone().send()).await?;
        for snapshot in answer.snapshots() {
            let Some(id) = snapshot.snapshot_id() else { continue };
            let state = snapshot.state().map_or("no state", SnapshotState::as_str);
            let made = snapshot.start_time().and_then(time_of);
            // Snapshots have no name of their own: the id is what the ledger would hold.
            let listed = Listed::of(pairs(snapshot.tags()), id, id, state);
            ours.extend(listed.map(|listed| listed.made(made)));
        }
        match next("ec2:DescribeSnapshots", token.as_deref(), answer.next_token())? {
            Some(next) => token = Some(next),
            None => return Ok(Listing::Seen { total: None, ours }),
        }
    }
}

/// Writes the tag that says when a volume or snapshot may be removed by anyone.
///
/// # Errors
/// Those of `ec2:CreateTags`.
pub(super) async fn set_expiry(
    cx: &ResourceContext,
    found: Found,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let Found::Ours { id, .. } = found else { return Ok(false) };
    let client = client!(cx.site()?, aws_sdk_ec2);
    let tag = Tag::builder().key(EXPIRES_TAG).value(Expiry::written(expires)).build();
    let request = client.create_tags().resources(id).tags(tag);
    cx.call("ec2:CreateTags", || request.clone().send()).await?;
    Ok(true)
}

/// Tags as key and value.
pub(super) fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
}

/// A volume that names a run: ours by its name's tag as well, else doubtful.
fn own(tags: &[Tag], id: &str, state: &str) -> Option<Listed> {
    let name = pairs(tags).find(|(tag, _)| *tag == NAME_TAG).map(|(_, name)| name);
    let listed = Listed::of(pairs(tags), name.unwrap_or(id), id, state)?;
    let doubt = match name {
        None => Some(format!("it has no tag {NAME_TAG}")),
        Some(_) => listed.doubt,
    };
    Some(Listed { doubt, ..listed })
}

/// Where the next page begins. A token that does not move would be asked for again and again.
fn next(
    operation: &str,
    before: Option<&str>,
    token: Option<&str>,
) -> Result<Option<String>, StepError> {
    let token = token.filter(|token| !token.is_empty());
    if token.is_some() && token == before {
        return Err(StepError::broken(format!("the pages of {operation} do not move on")));
    }
    Ok(token.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag::builder().key(key).value(value).build()
    }

    #[test]
    fn a_volume_that_names_a_run_but_not_itself_is_doubtful() {
        let whole = [tag(RUN_TAG, "run-1"), tag(NAME_TAG, "redrill-run-1-restore")];
        let listed = own(&whole, "vol-1", "available").unwrap();
        assert_eq!((listed.name.as_str(), listed.doubt), ("redrill-run-1-restore", None));
        let renamed = [tag(RUN_TAG, "run-1"), tag(NAME_TAG, "orders")];
        assert!(own(&renamed, "vol-1", "available").unwrap().doubt.is_some());
        let listed = own(&whole[..1], "vol-1", "available").unwrap();
        assert!(listed.doubt.unwrap().contains(NAME_TAG));
        assert_eq!(own(&[tag("Name", "redrill-1")], "vol-1", "available"), None);
    }

    #[test]
    fn a_token_that_does_not_move_is_an_error_and_an_empty_one_is_the_end() {
        assert_eq!(next("op", None, Some("a")).unwrap(), Some("a".to_owned()));
        assert_eq!(next("op", Some("a"), Some("")).unwrap(), None);
        assert!(next("op", Some("a"), Some("a")).is_err());
    }
}
