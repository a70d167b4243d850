//! What RDS says of the snapshots of instances.

use super::snapshot::{Asked, Snapshot, Sought, owner_of};
use crate::action::{StepContext, StepError};
use crate::client;
use crate::limits::LIST_PAGES;
use crate::providers::backups::{TimeTag, time_of};
use aws_sdk_rds::types::DbSnapshot;
use std::collections::BTreeMap;

/// What the answer says. `None` without an identity: such a thing cannot be restored.
fn read(answer: &DbSnapshot) -> Option<Snapshot> {
    let id = answer.db_snapshot_identifier()?.to_owned();
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    let tags = answer.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
    let arn = text(answer.db_snapshot_arn()).unwrap_or_else(|| id.clone());
    Some(Snapshot {
        owner: owner_of(&arn),
        tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        tagged: TimeTag::Absent,
        arn,
        id,
        of: answer.db_instance_identifier().unwrap_or_default().to_owned(),
        resource_id: text(answer.dbi_resource_id()),
        status: text(answer.status()),
        kind: text(answer.snapshot_type()),
        engine: text(answer.engine()),
        engine_version: text(answer.engine_version()),
        encrypted: answer.encrypted(),
        key: text(answer.kms_key_id()),
        created: answer.snapshot_create_time().and_then(time_of),
        original_created: answer.original_snapshot_create_time().and_then(time_of),
        database_time: answer.snapshot_database_time().and_then(time_of),
        names_its_source: text(answer.source_region()).is_some()
            || text(answer.source_db_snapshot_identifier()).is_some(),
    })
}

/// Every snapshot that is looked for in the region of the step's site, those of AWS Backup included, ordered by ARN. The
/// instance itself is not asked: it may be gone.
pub(super) async fn snapshots(
    cx: &StepContext,
    sought: &Sought,
) -> Result<Vec<Snapshot>, StepError> {
    let mut found = BTreeMap::new();
    for kind in sought.kinds() {
        sought.choose(page_through(cx, sought.of.as_deref(), kind).await?, &mut found);
    }
    Ok(found.into_values().collect())
}

async fn page_through(
    cx: &StepContext,
    instance: Option<&str>,
    kind: Option<&str>,
) -> Result<Vec<Snapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let is_shared = kind == Some("shared");
    let first = client
        .describe_db_snapshots()
        // Instances of other accounts cannot be asked for: those snapshots are chosen from the answer.
        .set_db_instance_identifier(instance.filter(|_| !is_shared).map(str::to_owned))
        .set_snapshot_type(kind.map(str::to_owned))
        .set_include_shared(is_shared.then_some(true))
        .max_records(100);
    let mut found = Vec::new();
    let mut marker = None;
    for _ in 0..LIST_PAGES {
        let request = first.clone().set_marker(marker.clone());
        let answer = cx.call("rds:DescribeDBSnapshots", || request.clone().send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            // Some servers say so instead of answering with an empty list. That the instance is not there says nothing
            // about its snapshots, and in the middle of a list there must not be an end.
            Err(error) if error.code() == Some("DBSnapshotNotFound") && marker.is_none() => {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        found.extend(answer.db_snapshots().iter().filter_map(read));
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
        .describe_db_snapshots()
        .db_snapshot_identifier(asked.name)
        .set_snapshot_type(asked.kind.map(str::to_owned))
        .set_include_shared(asked.shared.then_some(true));
    let answer = cx.call("rds:DescribeDBSnapshots", || request.clone().send()).await?;
    let found = answer.db_snapshots().iter().filter_map(read);
    let mut found: Vec<_> = found.filter(|s| s.is_named(snapshot)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => {
            Err(StepError::broken(format!("RDS describes several snapshots named {snapshot}")))
        }
        (None, _) => Err(StepError::recovery(format!("there is no snapshot {snapshot} here"))
            .help("check the id, the region of the step's site and the account")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_an_identity_is_no_snapshot_and_empty_text_is_no_value() {
        assert_eq!(read(&DbSnapshot::builder().build()), None);
        let answer = DbSnapshot::builder().db_snapshot_identifier("a").source_region("").build();
        let read = read(&answer).unwrap();
        assert_eq!((read.arn.as_str(), read.names_its_source), ("a", false));
        assert_eq!(read.encrypted, None);
    }
}
