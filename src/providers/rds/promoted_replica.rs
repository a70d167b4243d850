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
    if !is_promoted(source, status) {
        return Ok(Found::Gone);
    }
    let id = instance.db_instance_arn().unwrap_or(name).to_owned();
    Ok(Found::Ours { id, state: status.to_owned() })
}

/// Whether a promotion is under way or done. While it is under way, the instance still names its source, is changed, and is started
/// again; in any other status (backing up, storage optimization, …) a replica is a replica, and a promotion of it was refused.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.Promote.html>
fn is_promoted(source: Option<&str>, status: &str) -> bool {
    source.is_none_or(str::is_empty) || matches!(status, "modifying" | "rebooting")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_promotion_that_was_refused_is_not_under_way() {
        let replica = |status| is_promoted(Some("orders-db"), status);
        for status in [
            "available",
            "backing-up",
            "storage-optimization",
            "storage-initialization",
            "configuring-enhanced-monitoring",
            "stopped",
            "no status",
        ] {
            assert!(!replica(status), "{status}");
        }
        assert!(replica("modifying") && replica("rebooting"));
        assert!(is_promoted(None, "available") && is_promoted(Some(""), "backing-up"));
    }
}
