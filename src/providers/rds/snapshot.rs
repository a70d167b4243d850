use super::restoring::Origin;
use crate::action::{StepContext, StepError};
use crate::client;
use crate::limits::LIST_PAGES;
use crate::providers::backups::{DATABASE_TIME, TimeTag, time_of};
use aws_sdk_rds::types::DbSnapshot;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// A DB snapshot as RDS describes it. Whatever the answer does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) arn: String,
    pub(super) id: String,
    /// The instance that it was taken of.
    pub(super) instance: String,
    /// The identity of that instance: survives renaming, differs when an instance is made again under its name.
    pub(super) resource_id: Option<String>,
    pub(super) status: Option<String>,
    /// `automated`, `manual`, `awsbackup`, `shared`, `public`.
    pub(super) kind: Option<String>,
    pub(super) engine: Option<String>,
    pub(super) engine_version: Option<String>,
    pub(super) encrypted: Option<bool>,
    pub(super) key: Option<String>,
    /// When this snapshot was made (UTC): for a copy, when the copy was asked for.
    pub(super) created: Option<DateTime<Utc>>,
    /// When the first of a chain of copies was made (UTC).
    pub(super) original_created: Option<DateTime<Utc>>,
    /// The newest transaction in it (UTC).
    pub(super) database_time: Option<DateTime<Utc>>,
    /// True when RDS names where it was copied from. It does so for copies across regions and accounts only.
    pub(super) names_its_source: bool,
    /// The account that it belongs to, by its ARN.
    pub(super) owner: Option<String>,
    /// Its tags. RDS does not show those of another account.
    pub(super) tags: BTreeMap<String, String>,
    /// The time of the data that a tag tells, see [`Snapshot::read_time_in`].
    pub(super) tagged: TimeTag,
}

/// A copy made later than this after its original is a copy even where RDS does not name its source.
const SAME_MOMENT: TimeDelta = TimeDelta::seconds(60);

impl Snapshot {
    /// What the answer says. `None` without an identity: such a thing cannot be restored.
    pub(super) fn read(answer: &DbSnapshot) -> Option<Self> {
        let id = answer.db_snapshot_identifier()?.to_owned();
        let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
        let tags = answer.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        let arn = text(answer.db_snapshot_arn()).unwrap_or_else(|| id.clone());
        Some(Self {
            owner: arn.strip_prefix("arn:").and_then(|arn| text(arn.split(':').nth(3))),
            tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            tagged: TimeTag::Absent,
            arn,
            id,
            instance: answer.db_instance_identifier().unwrap_or_default().to_owned(),
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

    /// Takes the time of the data from a tag (RFC 3339), in which it was written down before the loss.
    pub(super) fn read_time_in(&mut self, tag: Option<&str>) {
        self.tagged = TimeTag::read(&self.tags, tag, self.created);
    }

    /// The time of the data in it, and where that is read from. `SnapshotCreateTime` is the copy's own time on a copy
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBSnapshot.html>), so it serves only for
    /// automated snapshots that name no source: RDS does not mark copies within a region, but those are never `automated`.
    pub(super) fn time_of_data(&self) -> Option<(DateTime<Utc>, String)> {
        if let Some(told) = self.told_time() {
            return Some(told);
        }
        if let Some(tagged) = self.tagged.time() {
            return Some(tagged);
        }
        if self.kind.as_deref() == Some("automated") && !self.names_its_source {
            let source = "SnapshotCreateTime of an automated snapshot made here".to_owned();
            return Some((self.created?, source));
        }
        None
    }

    /// The time that RDS itself tells, whatever was copied.
    fn told_time(&self) -> Option<(DateTime<Utc>, String)> {
        let database = self.database_time.map(|time| (time, DATABASE_TIME.to_owned()));
        let original = self.original_created;
        database.or(original.map(|time| (time, "OriginalSnapshotCreateTime".to_owned())))
    }

    /// What is wrong with the tag that tells the time of the data, where it is needed.
    pub(super) fn wrong_tag(&self) -> Option<String> {
        self.tagged.wrong().filter(|_| self.told_time().is_none())
    }

    /// True when somebody took it by a call, as far as can be seen: it is part of no schedule.
    pub(super) fn is_by_hand(&self) -> bool {
        self.kind.as_deref() == Some("manual") && !self.is_copy()
    }

    /// Engine and version.
    pub(super) fn version(&self) -> (Option<&str>, Option<&str>) {
        (self.engine.as_deref(), self.engine_version.as_deref())
    }

    /// What an instance that is restored from it must be like.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            what: "snapshot",
            engine: self.engine.clone(),
            engine_version: self.engine_version.clone(),
            encrypted: self.encrypted,
        }
    }

    /// True when it has this identifier or ARN. An ARN names one snapshot in one region: another region may have one of the
    /// same identifier. RDS keeps identifiers in lower case, whatever was asked for.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let wanted = if name.starts_with("arn:") && self.arn.starts_with("arn:") {
            return self.arn.eq_ignore_ascii_case(name);
        } else {
            name.split_once(":snapshot:").map_or(name, |(_, id)| id)
        };
        self.id.eq_ignore_ascii_case(wanted)
    }

    /// True when it is a copy of another snapshot, as far as can be seen.
    pub(super) fn is_copy(&self) -> bool {
        let later = self.created.zip(self.original_created);
        self.names_its_source || later.is_some_and(|(copy, first)| copy - first > SAME_MOMENT)
    }

    /// From the time of the data until its copy was asked for here; RDS does not say when the copy was complete, so the
    /// lag is at least this. `None` for what is not a copy.
    pub(super) fn copy_lag(&self) -> Option<TimeDelta> {
        let (data, _) = self.time_of_data()?;
        self.is_copy().then_some(self.created? - data)
    }
}

/// Which snapshots are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Sought {
    /// Of this instance.
    pub(super) of: Option<String>,
    /// With all of these tags.
    pub(super) tags: BTreeMap<String, String>,
    /// Also those that other accounts share with this one.
    pub(super) shared: bool,
    /// The tag in which the time of the data may stand.
    pub(super) time_tag: Option<String>,
}

impl Sought {
    fn fits(&self, snapshot: &Snapshot) -> bool {
        let of_it = |name: &String| snapshot.instance.eq_ignore_ascii_case(name);
        self.of.as_ref().is_none_or(of_it)
            && self.tags.iter().all(|(name, value)| snapshot.tags.get(name) == Some(value))
    }

    /// What is looked for, in words.
    pub(super) fn words(&self) -> String {
        let tags = self.tags.iter().map(|(name, value)| format!("{name}={value}"));
        let tags = tags.collect::<Vec<_>>().join(", ");
        match &self.of {
            Some(name) if tags.is_empty() => name.clone(),
            Some(name) => format!("{name} with the tags {tags}"),
            None => format!("instances with the tags {tags}"),
        }
    }
}

/// Every snapshot that is looked for in the region of the step's site, those of AWS Backup included, ordered by ARN. The
/// instance itself is not asked: it may be gone.
pub(super) async fn snapshots(
    cx: &StepContext,
    sought: &Sought,
) -> Result<Vec<Snapshot>, StepError> {
    let mut found = BTreeMap::new();
    // Without a type RDS promises automated and manual ones only; AWS Backup's are a type of their own, and shared ones, too.
    let shared = sought.shared.then_some(Some("shared"));
    for kind in [None, Some("awsbackup")].into_iter().chain(shared) {
        for mut snapshot in page_through(cx, sought.of.as_deref(), kind).await? {
            snapshot.read_time_in(sought.time_tag.as_deref());
            if sought.fits(&snapshot) {
                found.insert(snapshot.arn.clone(), snapshot);
            }
        }
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
        found.extend(answer.db_snapshots().iter().filter_map(Snapshot::read));
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
    let found = answer.db_snapshots().iter().filter_map(Snapshot::read);
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

/// How RDS wants to be asked about one snapshot: by its id in this account, with the type where the id's prefix needs it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html>), by its ARN when it is
/// another account's.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    name: &'a str,
    id: &'a str,
    kind: Option<&'static str>,
    shared: bool,
}

impl<'a> Asked<'a> {
    fn for_snapshot(snapshot: &'a str, account: Option<&str>) -> Self {
        let id = snapshot.split_once(":snapshot:").map_or(snapshot, |(_, id)| id);
        let owner = snapshot.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
        if owner.zip(account).is_some_and(|(owner, account)| owner != account) {
            return Self { name: snapshot, id, kind: None, shared: true };
        }
        let kind = if id.starts_with("rds:") {
            Some("automated")
        } else if id.starts_with("awsbackup:") {
            Some("awsbackup")
        } else {
            None
        };
        Self { name: id, id, kind, shared: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Option<DateTime<Utc>> {
        Some(DateTime::UNIX_EPOCH + TimeDelta::hours(hours))
    }

    fn told(hours: i64, source: &str) -> Option<(DateTime<Utc>, String)> {
        Some((at(hours)?, source.to_owned()))
    }

    #[test]
    fn the_time_of_a_copy_is_the_time_of_its_data_and_never_the_time_of_the_copy() {
        let mut copy = Snapshot {
            kind: Some("manual".into()),
            created: at(30),
            original_created: at(24),
            database_time: at(23),
            names_its_source: true,
            ..Snapshot::default()
        };
        assert_eq!(copy.time_of_data(), told(23, "SnapshotDatabaseTime"));
        assert_eq!(copy.copy_lag(), Some(TimeDelta::hours(7)));
        copy.database_time = None;
        assert_eq!(copy.time_of_data(), told(24, "OriginalSnapshotCreateTime"));
        copy.original_created = None;
        assert_eq!(copy.time_of_data(), None);
        copy.kind = Some("automated".into());
        assert_eq!(copy.time_of_data(), None, "an automated copy from another region");
    }

    #[test]
    fn the_creation_time_serves_only_where_a_copy_is_ruled_out() {
        let mut snapshot = Snapshot { created: at(5), ..Snapshot::default() };
        for (kind, expected) in [("automated", at(5)), ("manual", None), ("awsbackup", None)] {
            snapshot.kind = Some(kind.into());
            assert_eq!(snapshot.time_of_data().map(|(time, _)| time), expected, "{kind}");
        }
        snapshot.kind = None;
        assert_eq!(snapshot.time_of_data(), None);
    }

    #[test]
    fn a_copy_within_the_region_is_recognised_by_its_times() {
        let times = |created, original| Snapshot {
            created: at(created),
            original_created: at(original),
            ..Snapshot::default()
        };
        assert!(!times(24, 24).is_copy());
        assert_eq!(times(24, 24).copy_lag(), None);
        assert!(times(25, 24).is_copy());
        assert_eq!(times(25, 24).copy_lag(), Some(TimeDelta::hours(1)));
    }

    #[test]
    fn a_tag_tells_the_time_of_the_data_only_where_rds_does_not() {
        let tags = BTreeMap::from([("taken".to_owned(), "1970-01-01T05:00:00+01:00".to_owned())]);
        let mut snapshot = Snapshot { tags, created: at(90), ..Snapshot::default() };
        snapshot.read_time_in(Some("other"));
        assert_eq!(snapshot.time_of_data(), None);
        snapshot.read_time_in(Some("taken"));
        assert_eq!(snapshot.time_of_data(), told(4, "tag taken"));
        snapshot.original_created = at(3);
        assert_eq!(snapshot.time_of_data().unwrap().1, "OriginalSnapshotCreateTime");
        snapshot.tags.insert("taken".to_owned(), "yesterday".to_owned());
        snapshot.read_time_in(Some("taken"));
        assert_eq!(snapshot.tagged.time(), None);
    }

    #[test]
    fn regression_a_tag_later_than_its_snapshot_does_not_make_it_the_newest() {
        let tags = BTreeMap::from([("taken".to_owned(), "1970-01-09T00:00:00Z".to_owned())]);
        let mut snapshot = Snapshot { tags, created: at(24), ..Snapshot::default() };
        snapshot.read_time_in(Some("taken"));
        assert_eq!(snapshot.time_of_data(), None);
        assert!(snapshot.wrong_tag().unwrap().contains("is later than"));
        let automated = Snapshot { kind: Some("automated".into()), ..snapshot.clone() };
        assert_eq!(automated.time_of_data().map(|(time, _)| time), at(24));
        snapshot.database_time = at(23);
        assert_eq!(
            (snapshot.time_of_data(), snapshot.wrong_tag()),
            (told(23, "SnapshotDatabaseTime"), None)
        );
    }

    #[test]
    fn a_copy_made_twenty_hours_after_its_original_is_as_old_as_the_original() {
        let copy = Snapshot {
            kind: Some("manual".into()),
            created: at(44),
            original_created: at(24),
            names_its_source: true,
            ..Snapshot::default()
        };
        assert_eq!(copy.time_of_data(), told(24, "OriginalSnapshotCreateTime"));
        assert_eq!(copy.copy_lag(), Some(TimeDelta::hours(20)));
    }

    #[test]
    fn snapshots_are_sought_by_instance_by_tags_or_by_both() {
        let tagged = |name: &str| BTreeMap::from([("system".to_owned(), name.to_owned())]);
        let snapshot = Snapshot {
            instance: "Orders-db".into(),
            tags: tagged("orders"),
            ..Snapshot::default()
        };
        let fits = |of: Option<&str>, tags| {
            Sought { of: of.map(str::to_owned), tags, ..Sought::default() }.fits(&snapshot)
        };
        assert!(fits(Some("orders-db"), BTreeMap::new()) && fits(None, tagged("orders")));
        assert!(fits(Some("orders-db"), tagged("orders")));
        assert!(!fits(Some("orders"), tagged("orders")) && !fits(None, tagged("ledger")));
    }

    #[test]
    fn snapshots_are_asked_for_as_the_api_wants_it() {
        let arn = "arn:aws:rds:eu-west-1:111111111111:snapshot:rds:orders-2026-11-22-03-05";
        let own = Asked::for_snapshot(arn, Some("111111111111"));
        assert_eq!(own.name, "rds:orders-2026-11-22-03-05");
        assert_eq!((own.kind, own.shared), (Some("automated"), false));
        let other = Asked::for_snapshot(arn, Some("222222222222"));
        assert_eq!((other.name, other.shared), (arn, true));
        let manual = Asked::for_snapshot("before-release", None);
        assert_eq!((manual.name, manual.kind, manual.shared), ("before-release", None, false));
        assert_eq!(Asked::for_snapshot("awsbackup:job-1", None).kind, Some("awsbackup"));
    }

    #[test]
    fn an_arn_of_another_region_is_not_the_snapshot_of_that_name_here() {
        let here = Snapshot {
            id: "nightly".into(),
            arn: "arn:aws:rds:ap-northeast-3:111111111111:snapshot:nightly".into(),
            ..Snapshot::default()
        };
        assert!(here.is_named("nightly") && here.is_named("Nightly") && here.is_named(&here.arn));
        assert!(!here.is_named("arn:aws:rds:ap-northeast-1:111111111111:snapshot:nightly"));
        assert!(!here.is_named("nightly-2"));
    }

    #[test]
    fn an_answer_without_an_identity_is_no_snapshot_and_empty_text_is_no_value() {
        assert_eq!(Snapshot::read(&DbSnapshot::builder().build()), None);
        let answer = DbSnapshot::builder().db_snapshot_identifier("a").source_region("").build();
        let read = Snapshot::read(&answer).unwrap();
        assert_eq!((read.arn.as_str(), read.names_its_source), ("a", false));
        assert_eq!(read.encrypted, None);
    }
}
