use super::db_instance::{judged, write_expiry};
use crate::action::{
    Found, HandInput, Listing, Permission, ResourceContext, ResourceKind, StepError, removal,
};
use crate::client;
use crate::journal::{FailureClass, ResourceKey};
use aws_sdk_rds::types::DbSnapshot;
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
    let arn = snapshot.db_snapshot_arn().unwrap_or(name).to_owned();
    let state = snapshot.status().unwrap_or("no status").to_owned();
    Ok(judged(cx.facts.run.as_str(), snapshot.tag_list(), arn, state))
}

async fn remove(cx: &ResourceContext, name: &str) -> Result<(), StepError> {
    if !find(cx, name).await?.is_to_be_removed()? {
        return Ok(());
    }
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.delete_db_snapshot().db_snapshot_identifier(name);
    let answer = cx.call("rds:DeleteDBSnapshot", || request.clone().send()).await;
    removal(answer, "InvalidDBSnapshotState")
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
        Box::pin(
            async move { write_expiry(context, find(context, &key.name).await?, expires).await },
        )
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, region: &str) -> String {
        let (name, region) = (HandInput::quote(&key.name), HandInput::quote(region));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SiteName;

    #[test]
    fn regression_the_command_is_pasted_as_it_stands() {
        let (kind, site) = ("rds.db_snapshot".to_owned(), SiteName::new("dr"));
        let key = ResourceKey { kind, name: "<name>".to_owned(), site };
        assert_eq!(
            DbSnapshotKind.command(&key, None, "<region>"),
            "aws rds delete-db-snapshot --region '<region>' --db-snapshot-identifier '<name>'"
        );
    }
}
