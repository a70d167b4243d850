use super::listing;
use crate::action::{
    Found, HandInput, Listing, Permission, RUN_TAG, ResourceContext, ResourceKind, StepError,
    removal,
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
    let state = snapshot.state().map_or("no state", SnapshotState::as_str).to_owned();
    let expected = [(RUN_TAG, cx.facts.run.as_str())];
    Ok(Found::by_tags(listing::pairs(snapshot.tags()), &expected, id.to_owned(), state))
}

async fn remove(cx: &ResourceContext, id: &str) -> Result<(), StepError> {
    if !find(cx, id).await?.is_to_be_removed()? {
        return Ok(());
    }
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.delete_snapshot().snapshot_id(id);
    match cx.call("ec2:DeleteSnapshot", || request.clone().send()).await {
        Err(error) if error.code() == Some("InvalidSnapshot.InUse") => {
            Err(error.help("an image uses it: deregister the image, then run redrill reap"))
        }
        answer => removal(answer, "IncorrectState"),
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
            listing::set_expiry(context, find(context, &key.name).await?, expires).await
        })
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        let (id, region) = (HandInput::quote(&key.name), HandInput::quote(region));
        format!("aws ec2 delete-snapshot --region {region} --snapshot-id {id}")
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "ec2:DescribeSnapshots", why: "find what the run made" },
            Permission { action: "ec2:CreateTags", why: "say until when it is kept" },
            Permission { action: "ec2:DeleteSnapshot", why: "remove what the run made" },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn regression_the_command_is_pasted_as_it_stands() {
        let (kind, site) = ("ebs.snapshot".to_owned(), SiteName::new("dr"));
        let key = ResourceKey { kind, name: "<id>".to_owned(), site };
        assert_eq!(
            SnapshotKind.command(&key, None, "<region>"),
            "aws ec2 delete-snapshot --region '<region>' --snapshot-id '<id>'"
        );
    }
}
