use crate::action::{StepContext, StepError};
use crate::client;
use crate::limits::LIST_PAGES;
use crate::providers::backups::{TimeTag, time_of};
use crate::time::ByteSize;
use aws_sdk_ec2::types::{Filter, Snapshot as Answer, StorageTier};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// An EBS snapshot as EC2 describes it. Whatever the answer does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) id: String,
    /// The volume that it was taken of; an arbitrary id on copies.
    pub(super) volume: Option<String>,
    pub(super) state: Option<String>,
    pub(super) state_message: Option<String>,
    pub(super) description: Option<String>,
    pub(super) encrypted: Option<bool>,
    pub(super) key: Option<String>,
    /// The size of the volume.
    pub(super) size: Option<ByteSize>,
    /// When this snapshot, or this copy, was begun (UTC).
    pub(super) started: Option<DateTime<Utc>>,
    /// When it was complete (UTC).
    pub(super) completed: Option<DateTime<Utc>>,
    /// True when it must be brought back from the archive first, which takes one to three days.
    pub(super) archived: bool,
    /// True when EC2 says that it was copied (it does so only for newer copies).
    pub(super) says_copied: bool,
    pub(super) tags: BTreeMap<String, String>,
}

/// By what snapshots are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) volume: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The tag in which the time of the data was recorded.
    pub(super) time_tag: Option<String>,
}

impl Selector {
    /// What is looked for, in words: `volume vol-0abc with app=ledger`.
    pub(super) fn words(&self) -> String {
        let volume =
            self.volume.as_ref().map_or("any volume".to_owned(), |v| format!("volume {v}"));
        let tags: Vec<String> =
            self.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if tags.is_empty() { volume } else { format!("{volume} with {}", tags.join(", ")) }
    }

    fn fits(&self, snapshot: &Snapshot) -> bool {
        let volume_fits = self.volume.is_none() || self.volume == snapshot.volume;
        let has = |(name, value): (&String, &String)| snapshot.tags.get(name) == Some(value);
        volume_fits && self.tags.iter().all(has)
    }
}

const GIB: u64 = 1 << 30;

/// A size that EC2 tells in GiB.
pub(super) fn gibibytes(size: Option<i32>) -> Option<ByteSize> {
    size.and_then(|size| u64::try_from(size).ok()).map(|size| ByteSize(size * GIB))
}

impl Snapshot {
    /// What the answer says. `None` without an id: such a thing cannot be restored.
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
        let tags = answer.tags().iter().filter_map(|tag| tag.key().zip(tag.value()));
        Some(Self {
            id: answer.snapshot_id()?.to_owned(),
            volume: text(answer.volume_id()),
            state: text(answer.state().map(|state| state.as_str())),
            state_message: text(answer.state_message()),
            description: text(answer.description()),
            encrypted: answer.encrypted(),
            key: text(answer.kms_key_id()),
            size: gibibytes(answer.volume_size()),
            started: answer.start_time().and_then(time_of),
            completed: answer.completion_time().and_then(time_of),
            archived: answer.storage_tier() == Some(&StorageTier::Archive),
            says_copied: answer.transfer_type().is_some(),
            tags: tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    /// True when it is known to be a first-hand snapshot of the volume that is asked for. A copy has "an arbitrary
    /// volume ID" (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html>), so only a match with a
    /// volume that the scenario names rules a copy out: no other field does, since `TransferType` is missing on older
    /// copies and a description can say anything.
    fn is_first_hand(&self, selector: &Selector) -> bool {
        let described_as_copy =
            self.description.as_deref().is_some_and(|text| text.contains("Copied snap-"));
        selector.volume.is_some()
            && selector.volume == self.volume
            && !self.says_copied
            && !described_as_copy
    }

    /// The time of the data in it, and where that is read from: `StartTime` of a first-hand snapshot (it holds what had
    /// been written when it was begun), else the tag that recorded it, in RFC 3339. EC2 itself forgets the time of the
    /// original when a snapshot is copied.
    pub(super) fn time_of_data(&self, selector: &Selector) -> Option<(DateTime<Utc>, String)> {
        if self.is_first_hand(selector) {
            return Some((self.started?, "StartTime of a snapshot that is no copy".to_owned()));
        }
        self.tagged(selector).time()
    }

    fn tagged(&self, selector: &Selector) -> TimeTag {
        TimeTag::read(&self.tags, selector.time_tag.as_deref(), self.started)
    }

    /// What is wrong with the tag that tells the time of the data, where it is needed.
    pub(super) fn wrong_tag(&self, selector: &Selector) -> Option<String> {
        self.tagged(selector).wrong().filter(|_| !self.is_first_hand(selector))
    }

    /// From the time of the data until its copy was complete here. `None` for first-hand snapshots.
    pub(super) fn copy_lag(&self, selector: &Selector) -> Option<TimeDelta> {
        if self.is_first_hand(selector) {
            return None;
        }
        let (data, _) = self.time_of_data(selector)?;
        Some(self.completed.or(self.started)? - data)
    }
}

/// Every own snapshot at the step's site that fits, ordered by id. The volume itself is not asked: it may be gone.
pub(super) async fn snapshots_of(
    cx: &StepContext,
    selector: &Selector,
) -> Result<Vec<Snapshot>, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let filter = |name: String, value: &str| Filter::builder().name(name).values(value).build();
    let volume = selector.volume.iter().map(|volume| filter("volume-id".to_owned(), volume));
    let tags = selector.tags.iter().map(|(name, value)| filter(format!("tag:{name}"), value));
    let filters = volume.chain(tags).collect();
    let first =
        client.describe_snapshots().owner_ids("self").set_filters(Some(filters)).max_results(1000);
    let mut found = BTreeMap::new();
    let mut token = None;
    for _ in 0..LIST_PAGES {
        let request = first.clone().set_next_token(token.clone());
        let answer = cx.call("ec2:DescribeSnapshots", || request.clone().send()).await?;
        let snapshots = answer.snapshots().iter().filter_map(Snapshot::read);
        // Looked at again here: a server that does not know a filter may answer with everything.
        let fitting = snapshots.filter(|snapshot| selector.fits(snapshot));
        found.extend(fitting.map(|snapshot| (snapshot.id.clone(), snapshot)));
        match answer.next_token().filter(|next| !next.is_empty()) {
            None => return Ok(found.into_values().collect()),
            Some(next) => token = Some(next.to_owned()),
        }
    }
    Err(StepError::broken(format!("the list of snapshots did not end after {LIST_PAGES} pages")))
}

/// One snapshot by id.
///
/// # Errors
/// Those of `ec2:DescribeSnapshots`; an error of the recovery when it is not there.
pub(super) async fn describe_snapshot(cx: &StepContext, id: &str) -> Result<Snapshot, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let request = client.describe_snapshots().snapshot_ids(id);
    let answer = cx.call("ec2:DescribeSnapshots", || request.clone().send()).await?;
    let found = answer.snapshots().iter().filter_map(Snapshot::read).find(|s| s.id == id);
    found.ok_or_else(|| {
        StepError::recovery(format!("there is no snapshot {id} here"))
            .help("check the id, the region of the step's site and the account")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Tag, TransferType};

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn of_volume(volume: &str) -> Selector {
        Selector {
            volume: Some(volume.to_owned()),
            time_tag: Some("data-time".into()),
            ..Selector::default()
        }
    }

    fn snapshot(volume: &str) -> Snapshot {
        Snapshot {
            id: "snap-1".into(),
            volume: Some(volume.into()),
            started: Some(at(30)),
            completed: Some(at(31)),
            tags: BTreeMap::from([("data-time".to_owned(), "1970-01-02T00:00:00Z".to_owned())]),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_start_time_serves_only_for_the_volume_that_the_scenario_names() {
        let first_hand = snapshot("vol-1");
        let (time, source) = first_hand.time_of_data(&of_volume("vol-1")).unwrap();
        assert_eq!((time, source.starts_with("StartTime")), (at(30), true));
        assert_eq!(first_hand.copy_lag(&of_volume("vol-1")), None);
        let by_tags = Selector { volume: None, ..of_volume("vol-1") };
        let (time, source) = first_hand.time_of_data(&by_tags).unwrap();
        assert_eq!((time, source.as_str()), (at(24), "tag data-time"));
        assert_eq!(first_hand.copy_lag(&by_tags), Some(TimeDelta::hours(7)));
    }

    #[test]
    fn a_copy_never_has_the_time_of_the_copy() {
        let without_tag = |snapshot: Snapshot| Snapshot { tags: BTreeMap::new(), ..snapshot };
        let says_so = Snapshot { says_copied: true, ..snapshot("vol-1") };
        let described = Snapshot {
            description: Some("[Copied snap-0a from eu-west-1]".into()),
            ..snapshot("vol-1")
        };
        let elsewhere = snapshot("vol-ffffffffffffffff");
        for copy in [says_so, described, elsewhere] {
            assert_eq!(copy.time_of_data(&of_volume("vol-1")).unwrap().0, at(24));
            assert_eq!(without_tag(copy).time_of_data(&of_volume("vol-1")), None);
        }
    }

    #[test]
    fn a_tag_that_is_no_time_tells_nothing() {
        let mut copy = snapshot("vol-2");
        for text in ["yesterday", "", "2026-11-22", "1760000000"] {
            copy.tags.insert("data-time".into(), text.into());
            assert_eq!(copy.time_of_data(&of_volume("vol-1")), None, "{text}");
        }
    }

    #[test]
    fn a_tag_later_than_the_snapshot_tells_nothing() {
        let mut copy = snapshot("vol-2");
        // Begun at hour 30, that is 06:00Z; the tag's author wrote local time and called it UTC.
        copy.tags.insert("data-time".into(), "1970-01-02T14:00:00Z".into());
        assert_eq!(copy.time_of_data(&of_volume("vol-1")), None);
        copy.tags.insert("data-time".into(), "1970-01-02T14:00:00+09:00".into());
        assert_eq!(copy.time_of_data(&of_volume("vol-1")).unwrap().0, at(29));
    }

    #[test]
    fn only_what_fits_every_selector_is_considered() {
        let mut selector = of_volume("vol-1");
        selector.tags.insert("app".into(), "orders".into());
        assert!(!selector.fits(&snapshot("vol-1")));
        let mut tagged = snapshot("vol-1");
        tagged.tags.insert("app".into(), "orders".into());
        assert!(selector.fits(&tagged));
        tagged.volume = None;
        assert!(!selector.fits(&tagged));
    }

    #[test]
    fn an_answer_is_read_as_it_is() {
        let answer = Answer::builder()
            .snapshot_id("snap-1")
            .volume_size(8)
            .transfer_type(TransferType::Standard)
            .storage_tier(StorageTier::Archive)
            .tags(Tag::builder().key("a").value("b").build())
            .build();
        let read = Snapshot::read(&answer).unwrap();
        assert_eq!(
            (read.size, read.says_copied, read.archived),
            (Some(ByteSize(8 << 30)), true, true)
        );
        assert_eq!((read.state, read.encrypted, read.started), (None, None, None));
        assert_eq!(Snapshot::read(&Answer::builder().build()), None);
    }
}
