//! What RDS says of the snapshots of clusters.

use crate::action::{StepContext, StepError};
use crate::client;
use crate::limits::LIST_PAGES;
use crate::providers::backups::time_of;
use crate::providers::rds::{Asked, Snapshot, Sought, owner_of};
use aws_sdk_rds::types::DbClusterSnapshot;
use std::collections::BTreeMap;

/// What a restore calls a snapshot: its id where it is the account's own, its ARN where another account shares it.
pub(super) fn name_for_restore<'s>(snapshot: &'s str, account: Option<&str>) -> &'s str {
    Asked::for_snapshot(snapshot, account).name
}

/// What the answer says. `None` without an identity: such a thing cannot be restored.
fn read(answer: &DbClusterSnapshot) -> Option<Snapshot> {
    let id = answer.db_cluster_snapshot_identifier()?.to_owned();
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    let tags = answer.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
    let arn = text(answer.db_cluster_snapshot_arn()).unwrap_or_else(|| id.clone());
    Some(Snapshot {
        owner: owner_of(&arn),
        arn,
        id,
        of: answer.db_cluster_identifier().unwrap_or_default().to_owned(),
        resource_id: text(answer.db_cluster_resource_id()),
        status: text(answer.status()),
        kind: text(answer.snapshot_type()),
        engine: text(answer.engine()),
        engine_version: text(answer.engine_version()),
        encrypted: answer.storage_encrypted(),
        // Only what is encrypted has one, whatever an answer says.
        key: text(answer.kms_key_id()).filter(|_| answer.storage_encrypted() != Some(false)),
        created: answer.snapshot_create_time().and_then(time_of),
        names_its_source: text(answer.source_db_cluster_snapshot_arn()).is_some(),
        tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..Snapshot::default()
    })
}

/// Every snapshot at the step's site that fits, those of AWS Backup included, ordered by ARN. The cluster itself is not
/// asked: it may be gone.
pub(super) async fn snapshots_of(
    cx: &StepContext,
    sought: &Sought,
) -> Result<Vec<Snapshot>, StepError> {
    let mut found = BTreeMap::new();
    for kind in sought.kinds() {
        sought.choose(page_through(cx, sought, kind).await?, &mut found);
    }
    Ok(found.into_values().collect())
}

async fn page_through(
    cx: &StepContext,
    sought: &Sought,
    kind: Option<&str>,
) -> Result<Vec<Snapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let is_shared = kind == Some("shared");
    let first = client
        .describe_db_cluster_snapshots()
        // Clusters of other accounts cannot be asked for: those snapshots are chosen from the answer.
        .set_db_cluster_identifier(sought.of.clone().filter(|_| !is_shared))
        .set_snapshot_type(kind.map(str::to_owned))
        .set_include_shared(is_shared.then_some(true))
        .max_records(100);
    let mut found = Vec::new();
    let mut marker = None;
    for _ in 0..LIST_PAGES {
        let request = first.clone().set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBClusterSnapshots", || request.clone().send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            // Some servers say so instead of answering with an empty list; in the middle of a list there must not be an end.
            Err(error)
                if error.code() == Some("DBClusterSnapshotNotFoundFault") && marker.is_none() =>
            {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        found.extend(answer.db_cluster_snapshots().iter().filter_map(read));
        match answer.marker().filter(|next| !next.is_empty()) {
            None => return Ok(found),
            Some(next) => marker = Some(next.to_owned()),
        }
    }
    Err(StepError::broken(format!("the list of snapshots did not end after {LIST_PAGES} pages")))
}

/// One snapshot by id or ARN.
///
/// # Errors
/// [`crate::journal::FailureClass::NotFound`] when it is not there, among others.
pub(super) async fn describe_snapshot(
    cx: &StepContext,
    snapshot: &str,
) -> Result<Snapshot, StepError> {
    let site = cx.site()?;
    let client = client!(site, aws_sdk_rds);
    let asked = Asked::for_snapshot(snapshot, site.place().account.as_deref());
    let request = client
        .describe_db_cluster_snapshots()
        .db_cluster_snapshot_identifier(asked.name)
        .set_snapshot_type(asked.kind.map(str::to_owned))
        .set_include_shared(asked.shared.then_some(true));
    let answer = cx.call("rds:DescribeDBClusterSnapshots", || request.clone().send()).await?;
    let found = answer.db_cluster_snapshots().iter().filter_map(read);
    let mut found: Vec<_> = found.filter(|s| s.is_named(snapshot)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            Err(StepError::broken(format!("RDS describes several snapshots named {snapshot}")))
        }
        (None, _) => {
            Err(StepError::recovery(format!("there is no cluster snapshot {snapshot} here"))
                .help("check the id, the region of the step's site and the account"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::Tag;

    #[test]
    fn an_answer_is_read_as_it_is() {
        assert_eq!(read(&DbClusterSnapshot::builder().build()), None);
        let answer = DbClusterSnapshot::builder()
            .db_cluster_snapshot_identifier("a")
            .source_db_cluster_snapshot_arn("")
            .tag_list(Tag::builder().key("k").value("v").build());
        let found = read(&answer.build()).unwrap();
        assert_eq!((found.arn.as_str(), found.names_its_source), ("a", false));
        assert_eq!((found.encrypted, found.tags.len()), (None, 1));
        let key = |encrypted| {
            let answer = DbClusterSnapshot::builder().db_cluster_snapshot_identifier("a");
            let answer = answer.kms_key_id("key").set_storage_encrypted(encrypted).build();
            read(&answer).unwrap().key
        };
        assert_eq!((key(Some(true)), key(None)), (Some("key".into()), Some("key".into())));
        assert_eq!(key(Some(false)), None, "there is nothing to decrypt");
    }
}
