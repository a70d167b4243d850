use crate::sandbox::state::{Place, PlaceKey, Timeline, tag_line};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// A volume.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) size: u32,
    pub(crate) zone: String,
    pub(crate) kind: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) kms_key: Option<String>,
    pub(crate) from_snapshot: Option<String>,
    pub(crate) attached_to: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A snapshot of a volume.
#[derive(Clone, Debug)]
pub(crate) struct EbsSnapshot {
    pub(crate) id: String,
    /// The volume; [`EbsSnapshot::ARBITRARY_VOLUME`] for copies.
    pub(crate) volume: String,
    pub(crate) size: u32,
    pub(crate) started: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    pub(crate) kms_key: Option<String>,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) shared_with: Vec<String>,
    /// When the schedule that made it takes it away.
    pub(crate) expires: Option<DateTime<Utc>>,
    /// Made by a schedule, not by a call.
    pub(crate) scheduled: bool,
    /// Where the original of a copy is.
    pub(crate) source_place: Option<PlaceKey>,
}

impl EbsSnapshot {
    /// "Snapshots created by CopySnapshot have an arbitrary volume ID that should not be used for any purpose":
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html>.
    pub(crate) const ARBITRARY_VOLUME: &'static str = "vol-ffffffffffffffff";
}

/// Adds what exists here.
pub(crate) fn inventory(
    key: &PlaceKey,
    place: &Place,
    now: DateTime<Utc>,
    all: &mut BTreeMap<String, String>,
) {
    for volume in place.volumes.values() {
        if let Some(state) = volume.timeline.state(now) {
            let line = format!("{state}{}", tag_line(&volume.tags));
            all.insert(key.arn("ec2", &format!("volume/{}", volume.id)), line);
        }
    }
    for snapshot in place.ebs_snapshots.values() {
        if let Some(state) = snapshot.timeline.state(now) {
            let origin = if snapshot.scheduled { "scheduled " } else { "" };
            let line = format!("{origin}{state}{}", tag_line(&snapshot.tags));
            all.insert(key.arn("ec2", &format!("snapshot/{}", snapshot.id)), line);
        }
    }
}
