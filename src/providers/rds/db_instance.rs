use super::log_groups::log_groups;
use crate::action::{
    Beside, EXPIRES_TAG, Expiry, Fetched, Found, HandInput, Listing, Permission, RUN_TAG,
    ResourceContext, ResourceKind, SharedLook, StepError, WaitPlan,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use aws_sdk_rds::types::{DbInstance, Filter, Tag};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;

/// A DB instance that a restore has made.
pub(super) struct DbInstanceKind;

/// The instance of that name at the step's site; `None` when there is none.
///
/// # Errors
/// Those of `rds:DescribeDBInstances`, except that there is no such instance.
pub(super) async fn describe_instance(
    cx: &ResourceContext,
    name: &str,
) -> Result<Option<DbInstance>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_instances().db_instance_identifier(name);
    let answer = cx.call("rds:DescribeDBInstances", || request.clone().send()).await;
    match answer {
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

/// For waiting: instances by their identifiers (lower case, as RDS keeps them), a hundred in one call. As a filter, an
/// identifier that is not there is simply not in the answer
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html>).
pub(super) const INSTANCES: SharedLook<DbInstance> =
    SharedLook { operation: "rds:DescribeDBInstances", page: 100, fetch: describe_instances };

fn state_of(seen: &DbInstance) -> Option<&str> {
    Some(seen.db_instance_status().unwrap_or("no status"))
}

fn describe_instances(cx: &ResourceContext, names: Vec<String>) -> Fetched<'_, DbInstance> {
    Box::pin(async move {
        let client = client!(cx.site()?, aws_sdk_rds);
        let filter = Filter::builder().name("db-instance-id").set_values(Some(names)).build();
        let first = client.describe_db_instances().filters(filter).max_records(100);
        let mut found = BTreeMap::new();
        let mut marker = None;
        loop {
            let request = first.clone().set_marker(marker);
            let answer = cx.call("rds:DescribeDBInstances", || request.clone().send()).await?;
            let id = |i: &DbInstance| i.db_instance_identifier().map(str::to_ascii_lowercase);
            let next = answer.marker().filter(|next| !next.is_empty()).map(str::to_owned);
            let instances = answer.db_instances.unwrap_or_default().into_iter();
            found.extend(instances.filter_map(|instance| Some((id(&instance)?, instance))));
            match next {
                None => return Ok(found),
                next => marker = next,
            }
        }
    })
}

/// Whether something of RDS with these tags is of this run.
pub(in crate::providers) fn judged(run: &str, tags: &[Tag], arn: String, state: String) -> Found {
    let tags = tags.iter().filter_map(|tag| tag.key().zip(tag.value()));
    Found::by_tags(tags, &[(RUN_TAG, run)], arn, state)
}

/// Writes on something of RDS until when it is kept.
///
/// # Errors
/// Those of `rds:AddTagsToResource`.
pub(super) async fn write_expiry(
    cx: &ResourceContext,
    found: Found,
    expires: DateTime<Utc>,
) -> Result<bool, StepError> {
    let Found::Ours { id, .. } = found else { return Ok(false) };
    let client = client!(cx.site()?, aws_sdk_rds);
    let tag = Tag::builder().key(EXPIRES_TAG).value(Expiry::written(expires)).build();
    let request = client.add_tags_to_resource().resource_name(id).tags(tag);
    cx.call("rds:AddTagsToResource", || request.clone().send()).await?;
    Ok(true)
}

async fn find(cx: &ResourceContext, name: &str) -> Result<(Found, Option<DbInstance>), StepError> {
    let Some(instance) = describe_instance(cx, name).await? else { return Ok((Found::Gone, None)) };
    let arn = instance.db_instance_arn().unwrap_or(name).to_owned();
    let state = instance.db_instance_status().unwrap_or("no status").to_owned();
    let run = cx.facts.run.as_str();
    if !instance.tag_list().is_empty() || instance.db_instance_arn().is_none() {
        return Ok((judged(run, instance.tag_list(), arn, state), Some(instance)));
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.list_tags_for_resource().resource_name(&arn);
    let answer = cx.call("rds:ListTagsForResource", || request.clone().send()).await?;
    Ok((judged(run, answer.tag_list(), arn, state), Some(instance)))
}

async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    let (found, instance) = find(cx, name).await?;
    let Some(instance) = instance.filter(|_| found != Found::Gone) else { return Ok(()) };
    if !found.is_to_be_removed()? {
        return Ok(());
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    if instance.deletion_protection() == Some(true) {
        let request = client
            .modify_db_instance()
            .db_instance_identifier(name)
            .deletion_protection(false)
            .apply_immediately(true);
        let answer = cx.call("rds:ModifyDBInstance", || request.clone().send()).await;
        answer.map_err(|error| later(name, error))?;
    }
    let request = client
        .delete_db_instance()
        .db_instance_identifier(name)
        .skip_final_snapshot(true)
        .delete_automated_backups(true);
    let answer = cx.call("rds:DeleteDBInstance", || request.clone().send()).await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        // An earlier attempt whose answer was lost has already asked for it.
        Err(error) if error.code() == Some("InvalidDBInstanceState") => {
            let now = describe_instance(cx, name).await?;
            let status = now.as_ref().and_then(DbInstance::db_instance_status);
            if now.is_none() || status == Some("deleting") {
                Ok(())
            } else {
                Err(later(name, error))
            }
        }
        Err(error) => Err(error),
    }
}

/// An instance that is being made or changed can be neither changed nor, sometimes, deleted: that passes with time.
/// "The DB instance isn't in a valid state" (InvalidDBInstanceState):
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html>
fn later(name: &str, error: StepError) -> StepError {
    if error.code() == Some("InvalidDBInstanceState") {
        return StepError::transient(format!("the instance {name} is busy: {error}"));
    }
    error
}

impl ResourceKind for DbInstanceKind {
    fn kind(&self) -> &'static str {
        "rds.db_instance"
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
        Box::pin(
            async move { write_expiry(context, find(context, &key.name).await?.0, expires).await },
        )
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        // In a runbook both are placeholders, in which a shell would see redirections.
        let (name, region) = (HandInput::quote(&key.name), HandInput::quote(region));
        format!(
            "aws rds modify-db-instance --region {region} --db-instance-identifier {name} --no-deletion-protection \
             --apply-immediately; aws rds delete-db-instance --region {region} --db-instance-identifier {name} \
             --skip-final-snapshot --delete-automated-backups"
        )
    }

    fn beside(&self, key: &ResourceKey, input: &Value, region: &str) -> Vec<Beside> {
        log_groups("instance", &key.name, input, region)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[
            Permission { action: "rds:DescribeDBInstances", why: "find what the run made" },
            Permission { action: "rds:ListTagsForResource", why: "see that it is of this run" },
            Permission { action: "rds:AddTagsToResource", why: "say until when it is kept" },
            Permission { action: "rds:ModifyDBInstance", why: "turn off deletion protection" },
            Permission { action: "rds:DeleteDBInstance", why: "remove what the run made" },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn only_an_instance_with_the_tag_of_this_run_is_ours() {
        let found = |key: &str, value: &str| {
            let tag = Tag::builder().key(key).value(value).build();
            judged("run-1", &[tag], "arn".into(), "available".into())
        };
        assert!(matches!(found(RUN_TAG, "run-1"), Found::Ours { .. }));
        assert!(matches!(found(RUN_TAG, "run-2"), Found::Foreign { .. }));
        assert!(matches!(found("run", "run-1"), Found::Foreign { .. }));
    }

    #[test]
    fn the_command_deletes_exactly_that_instance() {
        let key = ResourceKey {
            kind: "rds.db_instance".into(),
            name: "redrill-orders-1".into(),
            site: SiteName::new("dr"),
        };
        let command = DbInstanceKind.command(&key, None, "eu-west-1");
        assert!(command.contains("delete-db-instance --region eu-west-1"));
        assert!(command.contains("--db-instance-identifier redrill-orders-1"));
        let unknown = ResourceKey { name: "<name>".into(), ..key };
        let command = DbInstanceKind.command(&unknown, None, "<region>");
        assert!(command.contains("--region '<region>' --db-instance-identifier '<name>'"));
    }
}
