use super::listing;
use crate::action::{
    Found, Listing, Permission, RUN_TAG, ResourceContext, ResourceKind, StepError,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use aws_sdk_ec2::types::{Snapshot, SnapshotState};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

/// An EBS snapshot that carries a run's tags: a copy that a run made, or one that inherited the tags of a run's volume.
/// It is named by its id.
pub(super) struct SnapshotKind;

async fn describe(cx: &ResourceContext, id: &str) -> Result<Option<Snapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.describe_snapshots().snapshot_ids(id);
    match cx.call("ec2:DescribeSnapshots", || request.clone().send()).await {
        Ok(answer) => {
            let mut snapshots = answer.snapshots.unwrap_or_default().into_iter();
            Ok(snapshots.find(|snapshot| snapshot.snapshot_id() == Some(id)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn find(cx: &ResourceContext, id: &str) -> Result<Found, StepError> {
    let Some(snapshot) = describe(cx, id).await? else { return Ok(Found::Gone) };
    let tag = snapshot.tags().iter().find(|tag| tag.key() == Some(RUN_TAG));
    Ok(match tag.and_then(|tag| tag.value()) {
        Some(run) if run == cx.facts.run.as_str() => Found::Ours {
            id: id.to_owned(),
            state: snapshot.state().map_or("no state", SnapshotState::as_str).to_owned(),
        },
        Some(run) => Found::Foreign { why: format!("{id} has the tag {RUN_TAG}={run}") },
        None => Found::Foreign { why: format!("{id} has no tag {RUN_TAG}") },
    })
}

async fn remove(cx: &ResourceContext, id: &str) -> Result<(), StepError> {
    match find(cx, id).await? {
        Found::Gone => return Ok(()),
        Found::Ours { .. } => {}
        Found::Foreign { why } => {
            return Err(StepError::broken(format!("the snapshot is not of this run: {why}")));
        }
    }
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.delete_snapshot().snapshot_id(id);
    match cx.call("ec2:DeleteSnapshot", || request.clone().send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        Err(error) if error.code() == Some("InvalidSnapshot.InUse") => {
            Err(error.help("an image uses it: deregister the image, then run redrill reap"))
        }
        Err(error) => Err(error),
    }
}

impl ResourceKind for SnapshotKind {
    fn kind(&self) -> &'static str {
        "ebs.snapshot"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(find(context, &key.name))
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(remove(context, &key.name))
    }

    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(listing::snapshots(context))
    }

    fn set_expiry<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
        expires: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, StepError>> {
        Box::pin(async move {
            match find(context, &key.name).await? {
                Found::Ours { id, .. } => listing::set_expiry(context, &id, expires).await,
                Found::Gone | Found::Foreign { .. } => Ok(false),
            }
        })
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        format!("aws ec2 delete-snapshot --region {region} --snapshot-id {}", key.name)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "ec2:DescribeSnapshots", why: "find what the run made" },
            Permission { action: "ec2:CreateTags", why: "say until when it is kept" },
            Permission { action: "ec2:DeleteSnapshot", why: "remove what the run made" },
        ]
    }
}
