use crate::action::{
    EXPIRES_TAG, Expiry, Found, Listing, Permission, RUN_TAG, ResourceContext, ResourceKind,
    StepError,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use aws_sdk_rds::types::{DbSnapshot, Tag};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

/// A manual DB snapshot that carries a run's tags: a copy that a run made, or one that inherited the tags of a run's
/// instance.
pub(super) struct DbSnapshotKind;

async fn describe(cx: &ResourceContext, name: &str) -> Result<Option<DbSnapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_snapshots().db_snapshot_identifier(name);
    match cx.call("rds:DescribeDBSnapshots", || request.clone().send()).await {
        Ok(answer) => {
            let mut snapshots = answer.db_snapshots.unwrap_or_default().into_iter();
            let same = |id: &str| id.eq_ignore_ascii_case(name);
            Ok(snapshots.find(|s| s.db_snapshot_identifier().is_some_and(same)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn find(cx: &ResourceContext, name: &str) -> Result<Found, StepError> {
    let Some(snapshot) = describe(cx, name).await? else { return Ok(Found::Gone) };
    let tags = snapshot.tag_list();
    let run = tags.iter().find(|tag| tag.key() == Some(RUN_TAG)).and_then(Tag::value);
    Ok(match run {
        Some(run) if run == cx.facts.run.as_str() => Found::Ours {
            id: snapshot.db_snapshot_arn().unwrap_or(name).to_owned(),
            state: snapshot.status().unwrap_or("no status").to_owned(),
        },
        Some(run) => Found::Foreign { why: format!("it has the tag {RUN_TAG}={run}") },
        None => Found::Foreign { why: format!("it has no tag {RUN_TAG}") },
    })
}

async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    match find(cx, name).await? {
        Found::Gone => return Ok(()),
        Found::Ours { state, .. } if state == "deleting" => return Ok(()),
        Found::Ours { .. } => {}
        Found::Foreign { why } => {
            return Err(StepError::broken(format!(
                "the snapshot {name} is not of this run: {why}"
            )));
        }
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.delete_db_snapshot().db_snapshot_identifier(name);
    match cx.call("rds:DeleteDBSnapshot", || request.clone().send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        Err(error) if error.code() == Some("InvalidDBSnapshotState") => {
            Err(StepError::transient(format!("the snapshot {name} is busy: {error}")))
        }
        Err(error) => Err(error),
    }
}

async fn set_expiry(
    cx: &ResourceContext,
    name: &str,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let Found::Ours { id, .. } = find(cx, name).await? else { return Ok(false) };
    let client = client!(cx.site()?, aws_sdk_rds);
    let tag = Tag::builder().key(EXPIRES_TAG).value(Expiry::written(expires)).build();
    let request = client.add_tags_to_resource().resource_name(id).tags(tag);
    cx.call("rds:AddTagsToResource", || request.clone().send()).await?;
    Ok(true)
}

impl ResourceKind for DbSnapshotKind {
    fn kind(&self) -> &'static str {
        "rds.db_snapshot"
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
        Box::pin(super::listing::snapshots(context))
    }

    fn set_expiry<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
        expires: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, StepError>> {
        Box::pin(set_expiry(context, &key.name, expires))
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        let name = &key.name;
        format!("aws rds delete-db-snapshot --region {region} --db-snapshot-identifier {name}")
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "rds:DescribeDBSnapshots", why: "find what the run made" },
            Permission { action: "rds:AddTagsToResource", why: "say until when it is kept" },
            Permission { action: "rds:DeleteDBSnapshot", why: "remove what the run made" },
        ]
    }
}
