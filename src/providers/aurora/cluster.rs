use crate::action::{
    Beside, EXPIRES_TAG, Expiry, Fetched, Found, HandInput, Listing, Permission, ResourceContext,
    ResourceKind, SharedLook, StepError, WaitPlan,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use crate::providers::rds::{judged, log_groups};
use aws_sdk_rds::types::{DbCluster, Filter, Tag};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;

/// An Aurora cluster that a restore has made. Its members are resources of their own, made after it and removed before it.
pub(super) struct ClusterKind;

/// The cluster of that name at the step's site; `None` when there is none.
///
/// # Errors
/// Those of `rds:DescribeDBClusters`, except that there is no such cluster.
pub(super) async fn describe_cluster(
    cx: &ResourceContext,
    name: &str,
) -> Result<Option<DbCluster>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_clusters().db_cluster_identifier(name);
    match cx.call("rds:DescribeDBClusters", || request.clone().send()).await {
        Ok(answer) => {
            let mut clusters = answer.db_clusters.unwrap_or_default().into_iter();
            // RDS keeps identifiers in lower case, whatever was asked for.
            let same = |id: &str| id.eq_ignore_ascii_case(name);
            Ok(clusters.find(|c| c.db_cluster_identifier().is_some_and(same)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// For waiting: clusters by their identifiers (lower case, as RDS keeps them), a hundred in one call. As a filter, an
/// identifier that is not there is simply not in the answer
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusters.html>).
pub(super) const CLUSTERS: SharedLook<DbCluster> =
    SharedLook { operation: "rds:DescribeDBClusters", page: 100, fetch: describe_clusters };

fn state_of(seen: &DbCluster) -> Option<&str> {
    Some(seen.status().unwrap_or("no status"))
}

fn describe_clusters(cx: &ResourceContext, names: Vec<String>) -> Fetched<'_, DbCluster> {
    Box::pin(async move {
        let client = client!(cx.site()?, aws_sdk_rds);
        let filter = Filter::builder().name("db-cluster-id").set_values(Some(names)).build();
        let first = client.describe_db_clusters().filters(filter).max_records(100);
        let mut found = BTreeMap::new();
        let mut marker: Option<String> = None;
        loop {
            let request = first.clone().set_marker(marker.clone());
            let answer = cx.call("rds:DescribeDBClusters", || request.clone().send()).await?;
            let next =
                super::listing::next("rds:DescribeDBClusters", marker.as_deref(), answer.marker())?;
            let id = |c: &DbCluster| c.db_cluster_identifier().map(str::to_ascii_lowercase);
            let clusters = answer.db_clusters.unwrap_or_default().into_iter();
            found.extend(clusters.filter_map(|cluster| Some((id(&cluster)?, cluster))));
            match next {
                None => return Ok(found),
                next => marker = next,
            }
        }
    })
}

/// The tags of something, asked for by its ARN: not every description brings them along.
pub(super) async fn tags_of(cx: &ResourceContext, arn: &str) -> Result<Vec<Tag>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.list_tags_for_resource().resource_name(arn);
    let answer = cx.call("rds:ListTagsForResource", || request.clone().send()).await?;
    Ok(answer.tag_list.unwrap_or_default())
}

/// Writes on something of the run, by its ARN, when it may be removed by anyone (UTC).
pub(super) async fn write_expiry(
    cx: &ResourceContext,
    arn: String,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let tag = Tag::builder().key(EXPIRES_TAG).value(Expiry::written(expires)).build();
    let request = client.add_tags_to_resource().resource_name(arn).tags(tag);
    cx.call("rds:AddTagsToResource", || request.clone().send()).await?;
    Ok(true)
}

async fn find(cx: &ResourceContext, name: &str) -> Result<(Found, Option<DbCluster>), StepError> {
    let Some(cluster) = describe_cluster(cx, name).await? else { return Ok((Found::Gone, None)) };
    let arn = cluster.db_cluster_arn().unwrap_or(name).to_owned();
    let state = cluster.status().unwrap_or("no status").to_owned();
    let run = cx.facts.run.as_str();
    let mut tags = cluster.tag_list().to_vec();
    if tags.is_empty() && cluster.db_cluster_arn().is_some() {
        tags = tags_of(cx, &arn).await?;
    }
    Ok((judged(run, &tags, arn, state), Some(cluster)))
}

async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    let cluster = match find(cx, name).await? {
        (Found::Ours { state, .. }, Some(cluster)) if state != "deleting" => cluster,
        (Found::Foreign { why, .. }, _) => {
            return Err(StepError::broken(format!("the cluster {name} is not of this run: {why}")));
        }
        _ => return Ok(()),
    };
    let client = client!(cx.site()?, aws_sdk_rds);
    if cluster.deletion_protection() == Some(true) {
        let request = client
            .modify_db_cluster()
            .db_cluster_identifier(name)
            .deletion_protection(false)
            .apply_immediately(true);
        let answer = cx.call("rds:ModifyDBCluster", || request.clone().send()).await;
        answer.map_err(|error| later(name, error))?;
    }
    let request = client
        .delete_db_cluster()
        .db_cluster_identifier(name)
        .skip_final_snapshot(true)
        .delete_automated_backups(true);
    match cx.call("rds:DeleteDBCluster", || request.clone().send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        // An earlier attempt whose answer was lost has already asked for it.
        Err(error) if is_busy(&error) => {
            let now = describe_cluster(cx, name).await?;
            let status = now.as_ref().and_then(DbCluster::status);
            if now.is_none() || status == Some("deleting") {
                Ok(())
            } else {
                Err(later(name, error))
            }
        }
        Err(error) => Err(error),
    }
}

fn is_busy(error: &StepError) -> bool {
    error.code() == Some("InvalidDBClusterStateFault")
}

/// A cluster that is being made or changed, or that still has members, cannot be deleted: both pass with time
/// (InvalidDBClusterStateFault:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_DeleteCluster.html>).
fn later(name: &str, error: StepError) -> StepError {
    if is_busy(&error) {
        return StepError::transient(format!("the cluster {name} is busy: {error}"));
    }
    error
}

async fn set_expiry(
    cx: &ResourceContext,
    name: &str,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let (Found::Ours { id, .. }, _) = find(cx, name).await? else { return Ok(false) };
    write_expiry(cx, id, expires).await
}

impl ResourceKind for ClusterKind {
    fn kind(&self) -> &'static str {
        "aurora.cluster"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move { Ok(find(context, &key.name).await?.0) })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(remove(context, &key.name))
    }

    fn vanishes<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
        plan: &'a WaitPlan,
        stands: &'a (dyn Fn(&str) -> Result<(), StepError> + Sync),
    ) -> Option<BoxFuture<'a, Result<(), StepError>>> {
        Some(Box::pin(async move {
            let id = key.name.to_ascii_lowercase();
            context.vanish_together(plan, &CLUSTERS, &id, state_of, stands).await
        }))
    }

    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(super::listing::clusters(context))
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
        // In a runbook both are placeholders, in which a shell would see redirections.
        let (name, region) = (HandInput::quote(&key.name), HandInput::quote(region));
        format!(
            "aws rds modify-db-cluster --region {region} --db-cluster-identifier {name} --no-deletion-protection \
             --apply-immediately; aws rds delete-db-cluster --region {region} --db-cluster-identifier {name} \
             --skip-final-snapshot   # once none of its instances is left"
        )
    }

    fn holds_others(&self) -> bool {
        true
    }

    fn beside(&self, key: &ResourceKey, input: &Value, region: &str) -> Vec<Beside> {
        log_groups("cluster", &key.name, input, region)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "rds:DescribeDBClusters", why: "find what the run made" },
            Permission { action: "rds:ListTagsForResource", why: "see that it is of this run" },
            Permission { action: "rds:AddTagsToResource", why: "say until when it is kept" },
            Permission { action: "rds:ModifyDBCluster", why: "turn off deletion protection" },
            Permission { action: "rds:DeleteDBCluster", why: "remove what the run made" },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn the_command_deletes_exactly_that_cluster() {
        let key = ResourceKey {
            kind: "aurora.cluster".into(),
            name: "<name>".into(),
            site: SiteName::new("dr"),
        };
        let command = ClusterKind.command(&key, None, "eu-west-1");
        let deletes = "delete-db-cluster --region eu-west-1 --db-cluster-identifier '<name>' --skip-final-snapshot";
        assert!(command.contains(deletes), "{command}");
    }
}
