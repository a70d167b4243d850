use super::cluster::write_expiry;
use crate::action::{
    Found, HandInput, Listing, Permission, ResourceContext, ResourceKind, StepError, removal,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use crate::providers::rds::judged;
use aws_sdk_rds::types::DbClusterSnapshot;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

/// A manual cluster snapshot that carries a run's tags: a copy that a run made, or one that inherited the tags of a run's
/// cluster.
pub(super) struct ClusterSnapshotKind;

async fn describe(
    cx: &ResourceContext,
    name: &str,
) -> Result<Option<DbClusterSnapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name);
    match cx.call("rds:DescribeDBClusterSnapshots", || request.clone().send()).await {
        Ok(answer) => {
            let mut snapshots = answer.db_cluster_snapshots.unwrap_or_default().into_iter();
            let same = |id: &str| id.eq_ignore_ascii_case(name);
            Ok(snapshots.find(|s| s.db_cluster_snapshot_identifier().is_some_and(same)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn find(cx: &ResourceContext, name: &str) -> Result<Found, StepError> {
    let Some(snapshot) = describe(cx, name).await? else { return Ok(Found::Gone) };
    let arn = snapshot.db_cluster_snapshot_arn().unwrap_or(name).to_owned();
    let state = snapshot.status().unwrap_or("no status").to_owned();
    Ok(judged(cx.facts.run.as_str(), snapshot.tag_list(), arn, state))
}

async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    if !find(cx, name).await?.is_to_be_removed()? {
        return Ok(());
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.delete_db_cluster_snapshot().db_cluster_snapshot_identifier(name);
    let answer = cx.call("rds:DeleteDBClusterSnapshot", || request.clone().send()).await;
    removal(answer, "InvalidDBClusterSnapshotStateFault")
}

impl ResourceKind for ClusterSnapshotKind {
    fn kind(&self) -> &'static str {
        "aurora.cluster_snapshot"
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
        Box::pin(async move {
            match find(context, &key.name).await? {
                Found::Ours { id, .. } => write_expiry(context, id, expires).await,
                _ => Ok(false),
            }
        })
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        // In a runbook both are placeholders, in which a shell would see redirections.
        let (name, region) = (HandInput::quote(&key.name), HandInput::quote(region));
        format!(
            "aws rds delete-db-cluster-snapshot --region {region} --db-cluster-snapshot-identifier {name}"
        )
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "rds:DescribeDBClusterSnapshots", why: "find what the run made" },
            Permission { action: "rds:AddTagsToResource", why: "say until when it is kept" },
            Permission { action: "rds:DeleteDBClusterSnapshot", why: "remove what the run made" },
        ]
    }
}
