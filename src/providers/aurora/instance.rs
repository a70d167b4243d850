use super::cluster::{tags_of, write_expiry};
use crate::action::{
    Fetched, Found, HandInput, Listing, Permission, ResourceContext, ResourceKind, SharedLook,
    StepError, WaitPlan,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use crate::providers::rds::judged;
use aws_sdk_rds::types::{DbInstance, Filter};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

/// A member of a cluster that a restore has made: a DB instance without data of its own.
pub(super) struct InstanceKind;

/// The instance of that name at the step's site; `None` when there is none.
pub(super) async fn describe_instance(
    cx: &ResourceContext,
    name: &str,
) -> Result<Option<DbInstance>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_instances().db_instance_identifier(name);
    match cx.call("rds:DescribeDBInstances", || request.clone().send()).await {
        Ok(answer) => {
            let mut instances = answer.db_instances.unwrap_or_default().into_iter();
            // RDS keeps identifiers in lower case, whatever was asked for.
            let same = |id: &str| id.eq_ignore_ascii_case(name);
            Ok(instances.find(|i| i.db_instance_identifier().is_some_and(same)))
        }
        Err(error) if error.class() == FailureClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// For waiting: instances by their identifiers, a hundred in one call. Waits for instances that belong to no cluster use the
/// same operation and the same type, so that all share their looks.
pub(super) const INSTANCES: SharedLook<DbInstance> =
    SharedLook { operation: "rds:DescribeDBInstances", page: 100, fetch: describe_instances };

fn state_of(seen: &DbInstance) -> Option<&str> {
    Some(seen.db_instance_status().unwrap_or("no status"))
}

pub(super) fn describe_instances(
    cx: &ResourceContext,
    names: Vec<String>,
) -> Fetched<'_, DbInstance> {
    Box::pin(async move {
        let client = client!(cx.site()?, aws_sdk_rds);
        let filter = Filter::builder().name("db-instance-id").set_values(Some(names)).build();
        let first = client.describe_db_instances().filters(filter).max_records(100);
        let mut found = BTreeMap::new();
        let mut marker: Option<String> = None;
        loop {
            let request = first.clone().set_marker(marker.clone());
            let answer = cx.call("rds:DescribeDBInstances", || request.clone().send()).await?;
            let next = super::listing::next(
                "rds:DescribeDBInstances",
                marker.as_deref(),
                answer.marker(),
            )?;
            let id = |i: &DbInstance| i.db_instance_identifier().map(str::to_ascii_lowercase);
            let instances = answer.db_instances.unwrap_or_default().into_iter();
            found.extend(instances.filter_map(|instance| Some((id(&instance)?, instance))));
            match next {
                None => return Ok(found),
                next => marker = next,
            }
        }
    })
}

async fn find(cx: &ResourceContext, name: &str) -> Result<Found, StepError> {
    let Some(instance) = describe_instance(cx, name).await? else { return Ok(Found::Gone) };
    let arn = instance.db_instance_arn().unwrap_or(name).to_owned();
    let state = instance.db_instance_status().unwrap_or("no status").to_owned();
    let mut tags = instance.tag_list().to_vec();
    if tags.is_empty() && instance.db_instance_arn().is_some() {
        tags = tags_of(cx, &arn).await?;
    }
    Ok(judged(cx.facts.run.as_str(), &tags, arn, state))
}

/// Members can be deleted whatever the deletion protection of their cluster says, and have neither a final snapshot nor
/// backups of their own (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_DeleteCluster.html>).
async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    match find(cx, name).await? {
        Found::Gone => return Ok(()),
        Found::Ours { state, .. } if state == "deleting" => return Ok(()),
        Found::Ours { .. } => {}
        Found::Foreign { why, .. } | Found::Unknown { why } => {
            return Err(StepError::broken(format!(
                "the instance {name} is not of this run: {why}"
            )));
        }
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request =
        client.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true);
    match cx.call("rds:DeleteDBInstance", || request.clone().send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        // An earlier attempt whose answer was lost has already asked for it; or something passes with time.
        Err(error) if is_busy(&error) => {
            let now = describe_instance(cx, name).await?;
            let status = now.as_ref().and_then(DbInstance::db_instance_status);
            if now.is_none() || status == Some("deleting") {
                return Ok(());
            }
            Err(StepError::transient(format!("the instance {name} is busy: {error}")))
        }
        Err(error) => Err(error),
    }
}

fn is_busy(error: &StepError) -> bool {
    matches!(error.code(), Some("InvalidDBInstanceState" | "InvalidDBClusterStateFault"))
}

async fn set_expiry(
    cx: &ResourceContext,
    name: &str,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let Found::Ours { id, .. } = find(cx, name).await? else { return Ok(false) };
    write_expiry(cx, id, expires).await
}

/// The kind, as it stands in journals.
pub(super) const KIND: &str = "aurora.instance";

impl ResourceKind for InstanceKind {
    fn kind(&self) -> &'static str {
        KIND
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
            context.vanish_together(plan, &INSTANCES, &id, state_of, stands).await
        }))
    }

    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(super::listing::instances(context))
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
            "aws rds delete-db-instance --region {region} --db-instance-identifier {name} --skip-final-snapshot"
        )
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "rds:DescribeDBInstances", why: "find what the run made" },
            Permission { action: "rds:ListTagsForResource", why: "see that it is of this run" },
            Permission { action: "rds:AddTagsToResource", why: "say until when it is kept" },
            Permission { action: "rds:DeleteDBInstance", why: "remove what the run made" },
        ]
    }
}
