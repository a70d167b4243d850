use super::listing;
use crate::action::{
    Fetched, Found, HandInput, Listing, Permission, RUN_TAG, ResourceContext, ResourceKind,
    SharedLook, StepError, WaitPlan, removal,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use aws_sdk_ec2::types::{Filter, Volume, VolumeState};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

/// The tag that holds the deterministic name: EC2 gives the id.
pub(super) const NAME_TAG: &str = "redrill:name";

/// An EBS volume that a restore has made.
pub(super) struct VolumeKind;

/// The volume of that id at the step's site; `None` when there is none.
///
/// # Errors
/// Those of `ec2:DescribeVolumes`, except that there is no such volume.
pub(super) async fn describe_volume(
    cx: &ResourceContext,
    id: &str,
) -> Result<Option<Volume>, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.describe_volumes().volume_ids(id);
    let answer = cx.call("ec2:DescribeVolumes", || request.clone().send()).await;
    match answer {
        Ok(answer) => {
            let mut volumes = answer.volumes.unwrap_or_default().into_iter();
            Ok(volumes.find(|v| v.volume_id() == Some(id)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// At most so many pages are read.
const MOST_PAGES: usize = 100;
/// For waiting: volumes by their ids, two hundred in one call, which is the most that a filter takes
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html>). As a filter, an id that is not there is
/// simply not in the answer; named as `VolumeIds`, one missing volume fails the whole call.
pub(super) const VOLUMES: SharedLook<Volume> =
    SharedLook { operation: "ec2:DescribeVolumes", page: 200, fetch: describe_volumes };

/// The state of what is not deleted yet.
fn state_of(seen: &Volume) -> Option<&str> {
    match seen.state() {
        Some(VolumeState::Deleted) => None,
        state => Some(state.map_or("no state", VolumeState::as_str)),
    }
}

fn describe_volumes(cx: &ResourceContext, ids: Vec<String>) -> Fetched<'_, Volume> {
    Box::pin(async move {
        let client = client!(cx.site()?, aws_sdk_ec2);
        let filter = Filter::builder().name("volume-id").set_values(Some(ids)).build();
        let first = client.describe_volumes().filters(filter).max_results(1000);
        let mut found = BTreeMap::new();
        let mut token = None;
        loop {
            let request = first.clone().set_next_token(token);
            let answer = cx.call("ec2:DescribeVolumes", || request.clone().send()).await?;
            let next = answer.next_token().filter(|next| !next.is_empty()).map(str::to_owned);
            let volumes = answer.volumes.unwrap_or_default().into_iter();
            let by_id = volumes.filter_map(|v| Some((v.volume_id()?.to_owned(), v)));
            found.extend(by_id);
            match next {
                None => return Ok(found),
                next => token = next,
            }
        }
    })
}

/// The volumes of this run that carry the name in their tag.
pub(super) async fn named(cx: &ResourceContext, name: &str) -> Result<Vec<Volume>, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let filter = |name: &str, value: &str| {
        Filter::builder().name(format!("tag:{name}")).values(value).build()
    };
    let run = cx.facts.run.as_str();
    let first =
        client.describe_volumes().filters(filter(RUN_TAG, run)).filters(filter(NAME_TAG, name));
    // Looked at again here: a server that does not know a filter may answer with everything.
    let ours = |volume: &Volume| {
        tag_of(volume, RUN_TAG) == Some(run) && tag_of(volume, NAME_TAG) == Some(name)
    };
    let mut found = Vec::new();
    let mut token = None;
    // EC2 filters after it has cut the list into pages: the first one may be empty.
    for _ in 0..MOST_PAGES {
        let request = first.clone().set_next_token(token.clone());
        let answer = cx.call("ec2:DescribeVolumes", || request.clone().send()).await?;
        token = answer.next_token().filter(|next| !next.is_empty()).map(str::to_owned);
        found.extend(answer.volumes.unwrap_or_default().into_iter().filter(ours));
        if token.is_none() {
            return Ok(found);
        }
    }
    Err(StepError::broken(format!("the list of volumes did not end after {MOST_PAGES} pages")))
}

fn tag_of<'v>(volume: &'v Volume, name: &str) -> Option<&'v str> {
    volume.tags().iter().find(|tag| tag.key() == Some(name)).and_then(|tag| tag.value())
}

/// Whether a volume is of this run and this name.
fn judged(run: &str, name: &str, volume: &Volume) -> Found {
    if volume.state() == Some(&VolumeState::Deleted) {
        return Found::Gone;
    }
    let Some(id) = volume.volume_id() else { return Found::Gone };
    let state = volume.state().map_or("no state", VolumeState::as_str).to_owned();
    let expected = [(RUN_TAG, run), (NAME_TAG, name)];
    Found::by_tags(listing::pairs(volume.tags()), &expected, id.to_owned(), state)
}

async fn find(cx: &ResourceContext, name: &str, id: Option<&str>) -> Result<Found, StepError> {
    let run = cx.facts.run.as_str();
    if let Some(id) = id {
        let volume = describe_volume(cx, id).await?;
        return Ok(volume.map_or(Found::Gone, |volume| judged(run, name, &volume)));
    }
    let mut found: Vec<_> = named(cx, name)
        .await?
        .iter()
        .map(|volume| judged(run, name, volume))
        .filter(|found| *found != Found::Gone)
        .collect();
    match (found.pop(), found.len()) {
        (None, _) => Ok(Found::Gone),
        (Some(one), 0) => Ok(one),
        // The client token forbids it; if it happened all the same, a person must look.
        (Some(_), others) => Err(StepError::broken(format!(
            "{} volumes carry the tag {NAME_TAG}={name}, where one is possible",
            others + 1
        ))),
    }
}

async fn remove(cx: &ResourceContext, name: &str, id: &str) -> Result<(), StepError> {
    if !find(cx, name, Some(id)).await?.is_to_be_removed()? {
        return Ok(());
    }
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.delete_volume().volume_id(id);
    match cx.call("ec2:DeleteVolume", || request.clone().send()).await {
        Err(error) if error.code() == Some("VolumeInUse") => Err(error.help(
            "something has attached it: detach it (aws ec2 detach-volume), then run redrill reap",
        )),
        answer => removal(answer, "IncorrectState"),
    }
}

impl ResourceKind for VolumeKind {
    fn kind(&self) -> &'static str {
        "ebs.volume"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(find(context, &key.name, id))
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(remove(context, &key.name, id))
    }

    fn vanishes<'a>(
        &'a self,
        context: &'a ResourceContext,
        _key: &'a ResourceKey,
        id: &'a str,
        plan: &'a WaitPlan,
        stands: &'a (dyn Fn(&str) -> Result<(), StepError> + Sync),
    ) -> Option<BoxFuture<'a, Result<(), StepError>>> {
        Some(Box::pin(context.vanish_together(plan, &VOLUMES, id, state_of, stands)))
    }

    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(listing::volumes(context))
    }

    fn set_expiry<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
        expires: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, StepError>> {
        Box::pin(async move {
            let found = find(context, &key.name, Some(id)).await?;
            listing::set_expiry(context, found, expires).await
        })
    }

    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        let region = HandInput::quote(region);
        match id {
            Some(id) => {
                format!(
                    "aws ec2 delete-volume --region {region} --volume-id {}",
                    HandInput::quote(id)
                )
            }
            None => format!(
                "aws ec2 describe-volumes --region {region} --filters {} \
                 --query 'Volumes[].VolumeId' --output text | xargs -n 1 aws ec2 delete-volume --region {region} \
                 --volume-id",
                HandInput::quote(&format!("Name=tag:{NAME_TAG},Values={}", key.name))
            ),
        }
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "ec2:DescribeVolumes", why: "find what the run made" },
            Permission { action: "ec2:CreateTags", why: "say until when it is kept" },
            Permission { action: "ec2:DeleteVolume", why: "remove what the run made" },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;
    use aws_sdk_ec2::types::Tag;

    fn volume(tags: &[(&str, &str)], state: VolumeState) -> Volume {
        let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build();
        let tags = tags.iter().map(tag).collect();
        Volume::builder().volume_id("vol-1").set_tags(Some(tags)).state(state).build()
    }

    #[test]
    fn only_a_volume_with_both_tags_is_ours() {
        let found = |tags: &[(&str, &str)]| {
            judged("run-1", "name-1", &volume(tags, VolumeState::Available))
        };
        let ours = found(&[(RUN_TAG, "run-1"), (NAME_TAG, "name-1")]);
        assert_eq!(ours, Found::Ours { id: "vol-1".into(), state: "available".into() });
        for tags in [
            &[(RUN_TAG, "run-2"), (NAME_TAG, "name-1")][..],
            &[(RUN_TAG, "run-1"), (NAME_TAG, "name-2")],
            &[(RUN_TAG, "run-1")],
            &[],
        ] {
            assert!(matches!(found(tags), Found::Foreign { .. }), "{tags:?}");
        }
    }

    #[test]
    fn a_deleted_volume_that_is_still_listed_is_gone() {
        assert_eq!(judged("r", "n", &volume(&[], VolumeState::Deleted)), Found::Gone);
    }

    #[test]
    fn the_command_works_without_the_id() {
        let key = ResourceKey {
            kind: "ebs.volume".into(),
            name: "n-1".into(),
            site: SiteName::new("dr"),
        };
        let by_id = VolumeKind.command(&key, Some("vol-1"), "eu-west-1");
        assert_eq!(by_id, "aws ec2 delete-volume --region eu-west-1 --volume-id vol-1");
        assert!(VolumeKind.command(&key, None, "eu-west-1").contains("Values=n-1 "));
        let unknown = ResourceKey { name: "<name>".into(), ..key };
        let command = VolumeKind.command(&unknown, None, "<region>");
        assert!(command.contains("'Name=tag:redrill:name,Values=<name>'"), "{command}");
        assert!(command.contains("--region '<region>'"), "{command}");
    }
}
