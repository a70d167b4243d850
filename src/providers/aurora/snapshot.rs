use crate::action::{StepContext, StepError};
use crate::client;
use crate::limits::LIST_PAGES;
use crate::providers::backups::{TimeTag, time_of};
use aws_sdk_rds::types::DbClusterSnapshot;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// A DB cluster snapshot as RDS describes it. Whatever the answer does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) arn: String,
    pub(super) id: String,
    /// The cluster that it was taken of; copies keep it.
    pub(super) cluster: String,
    /// The identity of that cluster: survives renaming, differs when a cluster is made again under its name.
    pub(super) resource_id: Option<String>,
    pub(super) status: Option<String>,
    /// `automated`, `manual`, `awsbackup`, `shared`, `public`.
    pub(super) kind: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) engine_version: Option<String>,
    pub(super) encrypted: Option<bool>,
    pub(super) key: Option<String>,
    /// When this snapshot, or this copy, was made (UTC).
    pub(super) created: Option<DateTime<Utc>>,
    /// True when RDS names the snapshot that it was copied from.
    pub(super) names_its_source: bool,
    /// The account that it belongs to, by its ARN.
    pub(super) owner: Option<String>,
    /// Its tags. RDS does not show those of another account.
    pub(super) tags: BTreeMap<String, String>,
}

/// What a restore calls a snapshot: its id where it is the account's own, its ARN where another account shares it.
pub(super) fn name_for_restore<'s>(snapshot: &'s str, account: Option<&str>) -> &'s str {
    Asked::for_snapshot(snapshot, account).name
}

/// By what snapshots are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) cluster: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The tag in which the time of the data was recorded.
    pub(super) time_tag: Option<String>,
    /// Also those that other accounts share with this one.
    pub(super) shared: bool,
}

impl Selector {
    fn fits(&self, snapshot: &Snapshot) -> bool {
        let of = self.cluster.as_ref();
        let has = |(name, value): (&String, &String)| snapshot.tags.get(name) == Some(value);
        of.is_none_or(|of| of.eq_ignore_ascii_case(&snapshot.cluster)) && self.tags.iter().all(has)
    }
}

impl Snapshot {
    /// What the answer says. `None` without an identity: such a thing cannot be restored.
    pub(super) fn read(answer: &DbClusterSnapshot) -> Option<Self> {
        let id = answer.db_cluster_snapshot_identifier()?.to_owned();
        let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
        let tags = answer.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        let arn = text(answer.db_cluster_snapshot_arn()).unwrap_or_else(|| id.clone());
        Some(Self {
            owner: arn.strip_prefix("arn:").and_then(|arn| text(arn.split(':').nth(3))),
            arn,
            id,
            cluster: answer.db_cluster_identifier().unwrap_or_default().to_owned(),
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
        })
    }

    /// True when it was certainly taken of the cluster itself. Copies are never `automated`; of others RDS should name the
    /// source, which no scenario has to rely on
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBClusterSnapshot.html>).
    fn is_first_hand(&self) -> bool {
        self.kind.as_deref() == Some("automated") && !self.names_its_source
    }

    /// The time of the data in it, and where that is read from: `SnapshotCreateTime` of a first-hand snapshot, else the tag
    /// that recorded it, in RFC 3339. A cluster snapshot has neither `SnapshotDatabaseTime` nor
    /// `OriginalSnapshotCreateTime`: a copy knows only when it was made itself.
    pub(super) fn time_of_data(&self, time_tag: Option<&str>) -> Option<(DateTime<Utc>, String)> {
        if self.is_first_hand() {
            let source = "SnapshotCreateTime of an automated snapshot made here";
            return Some((self.created?, source.to_owned()));
        }
        self.tagged(time_tag).time()
    }

    fn tagged(&self, time_tag: Option<&str>) -> TimeTag {
        TimeTag::read(&self.tags, time_tag, self.created)
    }

    /// What is wrong with the tag that tells the time of the data, where it is needed.
    pub(super) fn wrong_tag(&self, time_tag: Option<&str>) -> Option<String> {
        self.tagged(time_tag).wrong().filter(|_| !self.is_first_hand())
    }

    /// True when somebody took it by a call, as far as can be seen: it is part of no schedule.
    pub(super) fn is_by_hand(&self) -> bool {
        self.kind.as_deref() == Some("manual") && !self.names_its_source
    }

    /// Engine and version.
    pub(super) fn version(&self) -> (Option<&str>, Option<&str>) {
        (self.engine.as_deref(), self.engine_version.as_deref())
    }

    /// From the time of the data until its copy was asked for here; RDS does not say when the copy was complete, so the lag
    /// is at least this. `None` for first-hand snapshots.
    pub(super) fn copy_lag(&self, time_tag: Option<&str>) -> Option<TimeDelta> {
        if self.is_first_hand() {
            return None;
        }
        let (data, _) = self.time_of_data(time_tag)?;
        Some((self.created? - data).max(TimeDelta::zero()))
    }

    /// True when it has this identifier or ARN. An ARN names one snapshot in one region: another region may have one of the
    /// same identifier. RDS keeps identifiers in lower case, whatever was asked for.
    pub(super) fn is_named(&self, name: &str) -> bool {
        if name.starts_with("arn:") && self.arn.starts_with("arn:") {
            return self.arn.eq_ignore_ascii_case(name);
        }
        self.id.eq_ignore_ascii_case(id_of(name))
    }
}

fn id_of(name: &str) -> &str {
    name.split_once(":cluster-snapshot:").map_or(name, |(_, id)| id)
}

/// Every snapshot at the step's site that fits, those of AWS Backup included, ordered by ARN. The cluster itself is not
/// asked: it may be gone.
pub(super) async fn snapshots_of(
    cx: &StepContext,
    selector: &Selector,
) -> Result<Vec<Snapshot>, StepError> {
    let mut found = BTreeMap::new();
    // Without a type RDS promises automated and manual ones only; AWS Backup's are a type of their own, and shared ones, too.
    let shared = selector.shared.then_some(Some("shared"));
    for kind in [None, Some("awsbackup")].into_iter().chain(shared) {
        for snapshot in page_through(cx, selector, kind).await? {
            // RDS knows no filter by tags.
            if selector.fits(&snapshot) {
                found.insert(snapshot.arn.clone(), snapshot);
            }
        }
    }
    Ok(found.into_values().collect())
}

async fn page_through(
    cx: &StepContext,
    selector: &Selector,
    kind: Option<&str>,
) -> Result<Vec<Snapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let is_shared = kind == Some("shared");
    let first = client
        .describe_db_cluster_snapshots()
        // Clusters of other accounts cannot be asked for: those snapshots are chosen from the answer.
        .set_db_cluster_identifier(selector.cluster.clone().filter(|_| !is_shared))
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
        found.extend(answer.db_cluster_snapshots().iter().filter_map(Snapshot::read));
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
    let found = answer.db_cluster_snapshots().iter().filter_map(Snapshot::read);
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

/// How RDS wants to be asked about one snapshot: by its id in this account, with the type where the id's prefix needs it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusterSnapshots.html>), by its ARN when it is
/// another account's.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    name: &'a str,
    kind: Option<&'static str>,
    shared: bool,
}

impl<'a> Asked<'a> {
    fn for_snapshot(snapshot: &'a str, account: Option<&str>) -> Self {
        let id = id_of(snapshot);
        let owner = snapshot.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
        if owner.zip(account).is_some_and(|(owner, account)| owner != account) {
            return Self { name: snapshot, kind: None, shared: true };
        }
        let kind = if id.starts_with("rds:") {
            Some("automated")
        } else if id.starts_with("awsbackup:") {
            Some("awsbackup")
        } else {
            None
        };
        Self { name: id, kind, shared: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::Tag;

    fn at(hours: i64) -> Option<DateTime<Utc>> {
        Some(DateTime::UNIX_EPOCH + TimeDelta::hours(hours))
    }

    fn copy() -> Snapshot {
        Snapshot {
            id: "copy".into(),
            cluster: "payments".into(),
            kind: Some("manual".into()),
            created: at(30),
            names_its_source: true,
            tags: BTreeMap::from([("data-time".to_owned(), "1970-01-02T00:00:00Z".to_owned())]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_time_of_a_copy_is_that_of_its_tag_and_never_the_time_of_the_copy() {
        let (time, source) = copy().time_of_data(Some("data-time")).unwrap();
        assert_eq!((Some(time), source.as_str()), (at(24), "tag data-time"));
        assert_eq!(copy().copy_lag(Some("data-time")), Some(TimeDelta::hours(6)));
        assert_eq!(copy().time_of_data(None), None);
        assert_eq!(copy().time_of_data(Some("other")), None);
        let quiet = Snapshot { names_its_source: false, ..copy() };
        assert_eq!(quiet.time_of_data(None), None, "a manual snapshot may be a copy");
        let copied = Snapshot { kind: Some("automated".into()), ..copy() };
        assert_eq!(copied.time_of_data(None), None, "it names its source");
    }

    #[test]
    fn the_creation_time_serves_only_where_a_copy_is_ruled_out() {
        let first = Snapshot { names_its_source: false, ..copy() };
        for (kind, known) in [("automated", true), ("manual", false), ("awsbackup", false)] {
            let snapshot = Snapshot { kind: Some(kind.into()), ..first.clone() };
            assert_eq!(snapshot.time_of_data(None).is_some(), known, "{kind}");
        }
        let snapshot = Snapshot { kind: Some("automated".into()), ..first };
        assert_eq!(snapshot.time_of_data(None).map(|(time, _)| time), at(30));
        assert_eq!(snapshot.copy_lag(None), None);
    }

    #[test]
    fn a_tag_that_is_no_time_or_later_than_the_snapshot_tells_nothing() {
        let mut wrong = copy();
        for text in ["yesterday", "", "1970-01-02", "1970-01-02T14:00:00Z"] {
            wrong.tags.insert("data-time".into(), text.into());
            assert_eq!(wrong.time_of_data(Some("data-time")), None, "{text}");
        }
        wrong.tags.insert("data-time".into(), "1970-01-02T14:00:00+09:00".into());
        assert_eq!(wrong.time_of_data(Some("data-time")).map(|(time, _)| Some(time)), Some(at(29)));
    }

    #[test]
    fn only_what_fits_every_selector_is_considered() {
        let by_cluster = Selector { cluster: Some("Payments".into()), ..Selector::default() };
        assert!(by_cluster.fits(&copy()));
        let tags = BTreeMap::from([("app".to_owned(), "payments".to_owned())]);
        let by_both = Selector { tags: tags.clone(), ..by_cluster.clone() };
        assert!(!by_both.fits(&copy()));
        let tagged = Snapshot { tags, cluster: "other".into(), ..copy() };
        assert!(!by_both.fits(&tagged));
        assert!(Selector { cluster: None, ..by_both }.fits(&tagged));
    }

    #[test]
    fn snapshots_are_asked_for_as_the_api_wants_it() {
        let arn =
            "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:rds:payments-2026-11-22-03-05";
        let own = Asked::for_snapshot(arn, Some("111111111111"));
        assert_eq!(own.name, "rds:payments-2026-11-22-03-05");
        assert_eq!((own.kind, own.shared), (Some("automated"), false));
        let other = Asked::for_snapshot(arn, Some("222222222222"));
        assert_eq!((other.name, other.shared), (arn, true));
        assert_eq!(Asked::for_snapshot("awsbackup:job-1", None).kind, Some("awsbackup"));
    }

    #[test]
    fn an_arn_of_another_region_is_not_the_snapshot_of_that_name_here() {
        let arn = "arn:aws:rds:ap-northeast-3:111111111111:cluster-snapshot:nightly";
        let here = Snapshot { id: "nightly".into(), arn: arn.into(), ..Snapshot::default() };
        assert!(here.is_named("Nightly") && here.is_named(arn));
        assert!(!here.is_named("arn:aws:rds:ap-northeast-1:111111111111:cluster-snapshot:nightly"));
    }

    #[test]
    fn an_answer_is_read_as_it_is() {
        assert_eq!(Snapshot::read(&DbClusterSnapshot::builder().build()), None);
        let answer = DbClusterSnapshot::builder()
            .db_cluster_snapshot_identifier("a")
            .source_db_cluster_snapshot_arn("")
            .tag_list(Tag::builder().key("k").value("v").build());
        let read = Snapshot::read(&answer.build()).unwrap();
        assert_eq!((read.arn.as_str(), read.names_its_source), ("a", false));
        assert_eq!((read.encrypted, read.tags.len()), (None, 1));
        let key = |encrypted| {
            let answer = DbClusterSnapshot::builder().db_cluster_snapshot_identifier("a");
            let answer = answer.kms_key_id("key").set_storage_encrypted(encrypted).build();
            Snapshot::read(&answer).unwrap().key
        };
        assert_eq!((key(Some(true)), key(None)), (Some("key".into()), Some("key".into())));
        assert_eq!(key(Some(false)), None, "there is nothing to decrypt");
    }
}
