use super::AccountId;
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An EBS volume and its snapshots.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeEstate {
    /// Its id, such as `vol-0aaaaaaaaaaaaaaa1`.
    pub id: String,
    /// Its size in GiB.
    #[serde(default = "default_size")]
    pub size: u32,
    /// Its availability zone; the region's first one when left out.
    #[serde(default)]
    pub zone: Option<String>,
    /// Its type.
    #[serde(default = "default_type")]
    pub volume_type: String,
    /// The key that encrypts it; without one it is not encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// The instance it is attached to.
    #[serde(default)]
    pub attached_to: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Snapshots taken at regular intervals.
    #[serde(default)]
    pub schedule: Option<VolumeSnapshotSchedule>,
    /// Snapshots that someone made by hand.
    #[serde(default)]
    pub snapshots: Vec<ManualVolumeSnapshot>,
}

fn default_size() -> u32 {
    8
}
fn default_type() -> String {
    "gp3".into()
}
fn default_takes() -> HumanDuration {
    Duration::from_secs(5 * 60).into()
}
fn yes() -> bool {
    true
}

/// When snapshots of a volume are taken, and where they are copied.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeSnapshotSchedule {
    /// The time between two snapshots.
    pub every: HumanDuration,
    /// How long after the multiple of `every` (counted from midnight UTC) it starts.
    #[serde(default)]
    pub at: HumanDuration,
    /// How long a snapshot is kept.
    pub keep: HumanDuration,
    /// How long taking one lasts.
    #[serde(default = "default_takes")]
    pub takes: HumanDuration,
    /// Snapshots that were not taken: 1 is the newest before the estate's `now`, 2 the one before it.
    #[serde(default)]
    pub skipped: Vec<u32>,
    /// Tags that the schedule puts on each snapshot.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Puts the volume's tags on each snapshot, too.
    #[serde(default = "yes")]
    pub copy_tags: bool,
    /// The tag into which each snapshot's time is written (UTC), as a backup job may do: copies that keep the tags then
    /// still know the time of their data.
    #[serde(default)]
    pub time_tag: Option<String>,
    /// The copies made of each.
    #[serde(default)]
    pub copies: Option<VolumeSnapshotCopies>,
}

/// Copies of a volume's snapshots in another region or account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeSnapshotCopies {
    /// The account that holds the copies; the same one when left out.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// The region that holds the copies.
    pub region: String,
    /// The key there that encrypts them. Needed when the volume is encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// How long after the original was finished the copy is completed.
    #[serde(default)]
    pub lag: HumanDuration,
    /// How long a copy is kept; as long as the original when left out.
    #[serde(default)]
    pub keep: Option<HumanDuration>,
    /// Copies that were not made, counted as `skipped` is.
    #[serde(default)]
    pub skipped: Vec<u32>,
    /// Puts the original's tags on each copy.
    #[serde(default)]
    pub copy_tags: bool,
}

/// A snapshot that someone made by hand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualVolumeSnapshot {
    /// Its id, such as `snap-0aaaaaaaaaaaaaaa1`.
    pub id: String,
    /// How long before the estate's `now` it was taken.
    pub age: HumanDuration,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Accounts that may make volumes from it.
    #[serde(default)]
    pub shared_with: Vec<AccountId>,
}
