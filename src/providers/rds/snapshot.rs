//! Snapshots of RDS, of instances and clusters alike: what is known of one, and which are looked for. Pure.

use super::restoring::Origin;
use crate::providers::backups::{DATABASE_TIME, TimeTag};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// A snapshot of an instance or of a cluster, as RDS describes it. Whatever the answer does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::providers) struct Snapshot {
    pub(in crate::providers) arn: String,
    pub(in crate::providers) id: String,
    /// The instance or cluster that it was taken of; copies keep it.
    pub(in crate::providers) of: String,
    /// Its identity: survives renaming, differs when an instance or cluster is made again under the name.
    pub(in crate::providers) resource_id: Option<String>,
    pub(in crate::providers) status: Option<String>,
    /// `automated`, `manual`, `awsbackup`, `shared`, `public`.
    pub(in crate::providers) kind: Option<String>,
    pub(in crate::providers) engine: Option<String>,
    pub(in crate::providers) engine_version: Option<String>,
    pub(in crate::providers) encrypted: Option<bool>,
    pub(in crate::providers) key: Option<String>,
    /// When this snapshot was made (UTC): for a copy, when the copy was asked for.
    pub(in crate::providers) created: Option<DateTime<Utc>>,
    /// When the first of a chain of copies was made (UTC). RDS does not keep it for clusters.
    pub(in crate::providers) original_created: Option<DateTime<Utc>>,
    /// The newest transaction in it (UTC). RDS does not keep it for clusters.
    pub(in crate::providers) database_time: Option<DateTime<Utc>>,
    /// True when RDS names where it was copied from. Of instances it does so for copies across regions and accounts only.
    pub(in crate::providers) names_its_source: bool,
    /// The account that it belongs to, by its ARN.
    pub(in crate::providers) owner: Option<String>,
    /// Its tags. RDS does not show those of another account.
    pub(in crate::providers) tags: BTreeMap<String, String>,
    /// The time of the data that a tag tells, see [`Snapshot::read_time_in`].
    pub(in crate::providers) tagged: TimeTag,
}

/// A copy made later than this after its original is a copy even where RDS does not name its source.
const SAME_MOMENT: TimeDelta = TimeDelta::seconds(60);

impl Snapshot {
    /// Takes the time of the data from a tag (RFC 3339), in which it was written down before the loss.
    pub(in crate::providers) fn read_time_in(&mut self, tag: Option<&str>) {
        self.tagged = TimeTag::read(&self.tags, tag, self.created);
    }

    /// The time of the data in it, and where that is read from. `SnapshotCreateTime` is the copy's own time on a copy
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBSnapshot.html>), so it serves only for
    /// snapshots that are certainly no copies. A cluster snapshot has neither `SnapshotDatabaseTime` nor
    /// `OriginalSnapshotCreateTime` (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBClusterSnapshot.html>).
    pub(in crate::providers) fn time_of_data(&self) -> Option<(DateTime<Utc>, String)> {
        if let Some(told) = self.told_time() {
            return Some(told);
        }
        if self.is_first_hand() {
            let source = "SnapshotCreateTime of an automated snapshot made here";
            return Some((self.created?, source.to_owned()));
        }
        self.tagged.time()
    }

    /// The time that RDS itself tells, whatever was copied.
    fn told_time(&self) -> Option<(DateTime<Utc>, String)> {
        let database = self.database_time.map(|time| (time, DATABASE_TIME.to_owned()));
        let original = self.original_created;
        database.or(original.map(|time| (time, "OriginalSnapshotCreateTime".to_owned())))
    }

    /// True when it was certainly taken of the original itself. RDS does not mark every copy, but copies are never `automated`
    /// within a region, and elsewhere they name their source.
    fn is_first_hand(&self) -> bool {
        self.kind.as_deref() == Some("automated") && !self.names_its_source
    }

    /// What is wrong with the tag that tells the time of the data, where it is needed.
    pub(in crate::providers) fn wrong_tag(&self) -> Option<String> {
        self.tagged.wrong().filter(|_| self.told_time().is_none() && !self.is_first_hand())
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
    pub(in crate::providers) fn is_named(&self, name: &str) -> bool {
        if name.starts_with("arn:") && self.arn.starts_with("arn:") {
            return self.arn.eq_ignore_ascii_case(name);
        }
        self.id.eq_ignore_ascii_case(id_of(name))
    }

    /// True when it is a copy of another snapshot, as far as can be seen.
    pub(super) fn is_copy(&self) -> bool {
        let later = self.created.zip(self.original_created);
        self.names_its_source || later.is_some_and(|(copy, first)| copy - first > SAME_MOMENT)
    }

    /// From the time of the data until its copy was asked for here; RDS does not say when the copy was complete, so the
    /// lag is at least this. `None` for what is not a copy. What has its time from a tag counts as one: only copies need it.
    pub(super) fn copy_lag(&self) -> Option<TimeDelta> {
        let (data, _) = self.time_of_data()?;
        let by_tag = self.told_time().is_none() && !self.is_first_hand();
        (by_tag || self.is_copy()).then_some((self.created? - data).max(TimeDelta::zero()))
    }
}

/// The account in an ARN.
pub(in crate::providers) fn owner_of(arn: &str) -> Option<String> {
    let owner = arn.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
    owner.filter(|owner| !owner.is_empty()).map(str::to_owned)
}

/// The identifier in the ARN of a snapshot of an instance or of a cluster; what is no ARN is one itself.
fn id_of(name: &str) -> &str {
    let parts = [":cluster-snapshot:", ":snapshot:"].iter();
    let mut ids = parts.filter_map(|part| Some(name.split_once(part)?.1));
    ids.next().unwrap_or(name)
}

/// How RDS wants to be asked about one snapshot: by its id in this account, with the type where the id's prefix needs it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html>), by its ARN when it is
/// another account's. Snapshots of clusters are no different.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::providers) struct Asked<'a> {
    pub(in crate::providers) name: &'a str,
    pub(in crate::providers) kind: Option<&'static str>,
    pub(in crate::providers) shared: bool,
}

impl<'a> Asked<'a> {
    pub(in crate::providers) fn for_snapshot(snapshot: &'a str, account: Option<&str>) -> Self {
        let id = id_of(snapshot);
        let owner = owner_of(snapshot);
        if owner.as_deref().zip(account).is_some_and(|(owner, account)| owner != account) {
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

/// Which snapshots are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::providers) struct Sought {
    /// Of this instance or cluster.
    pub(in crate::providers) of: Option<String>,
    /// With all of these tags.
    pub(in crate::providers) tags: BTreeMap<String, String>,
    /// Also those that other accounts share with this one.
    pub(in crate::providers) shared: bool,
    /// The tag in which the time of the data may stand.
    pub(in crate::providers) time_tag: Option<String>,
}

impl Sought {
    /// The types that RDS must be asked for. Without one it promises automated and manual snapshots only; AWS Backup's are a type of
    /// their own, and shared ones, too.
    pub(in crate::providers) fn kinds(&self) -> impl Iterator<Item = Option<&'static str>> {
        let shared = self.shared.then_some(Some("shared"));
        [None, Some("awsbackup")].into_iter().chain(shared)
    }

    /// Adds those of the answer that are looked for, by ARN. RDS knows no filter by tags.
    pub(in crate::providers) fn choose(
        &self,
        answer: Vec<Snapshot>,
        found: &mut BTreeMap<String, Snapshot>,
    ) {
        for mut snapshot in answer.into_iter().filter(|snapshot| self.fits(snapshot)) {
            snapshot.read_time_in(self.time_tag.as_deref());
            found.insert(snapshot.arn.clone(), snapshot);
        }
    }

    fn fits(&self, snapshot: &Snapshot) -> bool {
        let of_it = |name: &String| snapshot.of.eq_ignore_ascii_case(name);
        self.of.as_ref().is_none_or(of_it)
            && self.tags.iter().all(|(name, value)| snapshot.tags.get(name) == Some(value))
    }

    /// What is looked for, in words: `orders-db with the tags tier=1`; `sources` are the instances or clusters.
    pub(in crate::providers) fn words(&self, sources: &str) -> String {
        let tags = self.tags.iter().map(|(name, value)| format!("{name}={value}"));
        let tags = tags.collect::<Vec<_>>().join(", ");
        match &self.of {
            Some(name) if tags.is_empty() => name.clone(),
            Some(name) => format!("{name} with the tags {tags}"),
            None => format!("{sources} with the tags {tags}"),
        }
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

    /// A copy of a cluster's snapshot, whose time stands in a tag, with the time read from there.
    fn tagged_copy(text: &str) -> Snapshot {
        let mut copy = Snapshot {
            id: "copy".into(),
            of: "payments".into(),
            kind: Some("manual".into()),
            created: at(30),
            names_its_source: true,
            tags: BTreeMap::from([("data-time".to_owned(), text.to_owned())]),
            ..Snapshot::default()
        };
        copy.read_time_in(Some("data-time"));
        copy
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
    fn the_time_of_a_copied_cluster_snapshot_is_that_of_its_tag() {
        let mut copy = tagged_copy("1970-01-02T00:00:00Z");
        assert_eq!(copy.time_of_data(), told(24, "tag data-time"));
        assert_eq!(copy.copy_lag(), Some(TimeDelta::hours(6)));
        let quiet = Snapshot { names_its_source: false, ..copy.clone() };
        assert_eq!(quiet.copy_lag(), Some(TimeDelta::hours(6)), "only a copy needs the tag");
        copy.read_time_in(Some("other"));
        assert_eq!(copy.time_of_data(), None);
        let quiet = Snapshot { names_its_source: false, ..copy.clone() };
        assert_eq!(quiet.time_of_data(), None, "a manual snapshot may be a copy");
        let copied = Snapshot { kind: Some("automated".into()), ..copy };
        assert_eq!(copied.time_of_data(), None, "it names its source");
    }

    #[test]
    fn a_first_hand_snapshot_needs_no_tag_and_is_no_copy() {
        let tagged = tagged_copy("1970-01-02T00:00:00Z");
        let first = Snapshot { names_its_source: false, kind: Some("automated".into()), ..tagged };
        assert_eq!(first.time_of_data().map(|(time, _)| time), at(30));
        assert_eq!((first.copy_lag(), first.wrong_tag()), (None, None));
    }

    #[test]
    fn a_tag_that_is_no_time_or_later_than_the_snapshot_tells_nothing() {
        for text in ["yesterday", "", "1970-01-02", "1970-01-02T14:00:00Z"] {
            assert_eq!(tagged_copy(text).time_of_data(), None, "{text}");
        }
        let copy = tagged_copy("1970-01-02T14:00:00+09:00");
        assert_eq!(copy.time_of_data().map(|(time, _)| Some(time)), Some(at(29)));
    }

    #[test]
    fn snapshots_are_sought_by_name_by_tags_or_by_both() {
        let tagged = |name: &str| BTreeMap::from([("system".to_owned(), name.to_owned())]);
        let snapshot =
            Snapshot { of: "Orders-db".into(), tags: tagged("orders"), ..Snapshot::default() };
        let sought = |of: Option<&str>, tags| Sought {
            of: of.map(str::to_owned),
            tags,
            ..Sought::default()
        };
        let fits = |of, tags| sought(of, tags).fits(&snapshot);
        assert!(fits(Some("orders-db"), BTreeMap::new()) && fits(None, tagged("orders")));
        assert!(fits(Some("orders-db"), tagged("orders")));
        assert!(!fits(Some("orders"), tagged("orders")) && !fits(None, tagged("ledger")));
        let words = |of, tags| sought(of, tags).words("clusters");
        assert_eq!(words(Some("orders-db"), BTreeMap::new()), "orders-db");
        let both = words(Some("orders-db"), tagged("orders"));
        assert_eq!(both, "orders-db with the tags system=orders");
        assert_eq!(words(None, tagged("orders")), "clusters with the tags system=orders");
    }

    #[test]
    fn snapshots_are_asked_for_as_the_api_wants_it() {
        for of in ["snapshot", "cluster-snapshot"] {
            let arn =
                format!("arn:aws:rds:eu-west-1:111111111111:{of}:rds:orders-2026-11-22-03-05");
            let own = Asked::for_snapshot(&arn, Some("111111111111"));
            assert_eq!(own.name, "rds:orders-2026-11-22-03-05");
            assert_eq!((own.kind, own.shared), (Some("automated"), false));
            let other = Asked::for_snapshot(&arn, Some("222222222222"));
            assert_eq!((other.name, other.shared), (arn.as_str(), true));
        }
        let manual = Asked::for_snapshot("before-release", None);
        assert_eq!((manual.name, manual.kind, manual.shared), ("before-release", None, false));
        assert_eq!(Asked::for_snapshot("awsbackup:job-1", None).kind, Some("awsbackup"));
    }

    #[test]
    fn an_arn_of_another_region_is_not_the_snapshot_of_that_name_here() {
        for of in ["snapshot", "cluster-snapshot"] {
            let arn = |region: &str| format!("arn:aws:rds:{region}:111111111111:{of}:nightly");
            let here = Snapshot {
                id: "nightly".into(),
                arn: arn("ap-northeast-3"),
                ..Snapshot::default()
            };
            assert!(here.is_named("nightly") && here.is_named("Nightly"));
            assert!(here.is_named(&here.arn) && !here.is_named(&arn("ap-northeast-1")));
            assert!(!here.is_named("nightly-2"));
        }
    }
}
