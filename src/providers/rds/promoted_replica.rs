use super::db_instance::describe_instance;
use crate::action::{Found, Listing, Permission, ResourceContext, ResourceKind, StepError};
use crate::journal::ResourceKey;
use futures_util::future::BoxFuture;

/// The promotion of a read replica: in the ledger before it is asked for, so that the guard lets it pass and a resumed run finds
/// it. The instance is not of the run's making, and no run removes it.
pub(super) struct PromotedReplicaKind;

/// Whether it was promoted, as far as can be seen.
///
/// # Errors
/// Those of `rds:DescribeDBInstances`.
pub(super) async fn find(cx: &ResourceContext, name: &str) -> Result<Found, StepError> {
    let Some(instance) = describe_instance(cx, name).await? else { return Ok(Found::Gone) };
    let source = instance.read_replica_source_db_instance_identifier();
    let status = instance.db_instance_status().unwrap_or("no status");
    // A replica that is available has not been promoted, as far as can be seen.
    if source.is_some_and(|source| !source.is_empty()) && status == "available" {
        return Ok(Found::Gone);
    }
    let id = instance.db_instance_arn().unwrap_or(name).to_owned();
    Ok(Found::Ours { id, state: status.to_owned() })
}

impl ResourceKind for PromotedReplicaKind {
    fn kind(&self) -> &'static str {
        "rds.promoted_replica"
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
        _context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        let what =
            format!("the promoted replica {} is production now: no run removes it", key.name);
        Box::pin(std::future::ready(Err(StepError::broken(what))))
    }

    fn list<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        // A promotion writes no tags, so that nothing of this kind can carry those of a run.
        Box::pin(std::future::ready(Ok(Listing::Seen { total: None, ours: Vec::new() })))
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, _region: &str) -> String {
        format!(": nothing to remove, {} is production now", key.name)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[Permission { action: "rds:DescribeDBInstances", why: "see whether it was promoted" }]
    }
}
