//! The estate file: what the sandbox simulates, as the author of a scenario writes it.
//!
//! Main type: [`Estate`], read by [`Estate::read`]. Plain data and its checks only: what becomes of it while time
//! passes belongs to the world.

mod alarm;
mod check_clusters;
mod cluster;
mod database;
mod place;
mod read;
mod schedule;
mod volume;

pub use alarm::{AlarmEstate, AlarmKind, AlarmState, AlarmTurn};
pub use cluster::{
    ClusterEstate, ClusterSnapshotCopies, ClusterSnapshotSchedule, MemberEstate, ServerlessEstate,
};
pub use database::{
    CannedAnswer, DatabaseData, DatabaseEstate, Heartbeat, Hydration, ManualSnapshot,
    ReplicaSource, ReplicatedBackups, ReplicatedSnapshots, SnapshotSchedule, SnapshotTime, TakenBy,
};
pub use place::{
    AccountEstate, KmsKeyEstate, KmsKeyState, ParameterGroupEstate, PlaceEstate, SecretEstate,
    SecurityGroupEstate, SubnetEstate, SubnetGroupEstate,
};
pub(crate) use schedule::Cadence;
pub use volume::{
    ManualVolumeSnapshot, VolumeEstate, VolumeSnapshotCopies, VolumeSnapshotSchedule,
};

use super::fault::Fault;
use super::s3::{BucketEstate, PlacedBucket};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the sandbox simulates. Written in YAML; see `scenarios/estates/`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estate {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub estate: u32,
    /// What this estate is, in a few words.
    #[serde(default)]
    pub title: String,
    /// The time in UTC at which the simulation starts. Backups of the retention window before it exist already.
    #[schemars(with = "String")]
    pub now: DateTime<Utc>,
    /// Decides every identifier that the simulated services make up.
    #[serde(default)]
    pub seed: u64,
    /// How long the simulated services take to answer a call. More than nothing, so that time passes even for a
    /// caller that never waits.
    #[serde(default = "default_latency")]
    pub latency: HumanDuration,
    /// The accounts that exist.
    pub accounts: BTreeMap<AccountId, AccountEstate>,
    /// What exists in which account and region. A region that is not named is empty.
    #[serde(default)]
    pub places: Vec<PlaceEstate>,
    /// What commands, real hosts and people answer in a rehearsal.
    #[serde(default)]
    pub answers: super::answers::Answers,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// The folder of the estate file, where the paths of its buckets' files start.
    #[serde(skip)]
    pub directory: PathBuf,
}

impl Estate {
    pub(crate) fn has_account(&self, account: &str) -> bool {
        AccountId::new(account).is_ok_and(|id| self.accounts.contains_key(&id))
    }

    /// Whether the account lists the role.
    pub(crate) fn knows_role(&self, account: &str, role: &str) -> bool {
        let listed = AccountId::new(account).ok().and_then(|id| self.accounts.get(&id));
        listed.is_some_and(|account| account.roles.iter().any(|known| known == role))
    }

    /// The buckets with the places where they are.
    pub(crate) fn placed_buckets(&self) -> Vec<PlacedBucket> {
        let of_place = |place: &PlaceEstate| {
            let (account, region) = (place.account.to_string(), place.region.clone());
            let placed = move |bucket: &BucketEstate| PlacedBucket {
                account: account.clone(),
                region: region.clone(),
                bucket: bucket.clone(),
            };
            place.buckets.iter().map(placed).collect::<Vec<_>>()
        };
        self.places.iter().flat_map(of_place).collect()
    }
}

fn default_latency() -> HumanDuration {
    Duration::from_millis(20).into()
}

/// The twelve digits of an AWS account. In YAML, with or without quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9]{12}$"))]
pub struct AccountId(String);

impl AccountId {
    /// The account of the caller who assumes roles in the others. Real AWS has no such account.
    pub const CALLER: &'static str = "000000000000";

    /// Reads twelve digits.
    ///
    /// # Errors
    /// Anything else, in words for the author of the file.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not an AWS account: write its twelve digits in quotes"))
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = AccountId;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the twelve digits of an AWS account")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AccountId, E> {
                AccountId::new(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<AccountId, E> {
                AccountId::new(format!("{number:012}")).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<AccountId, E> {
                AccountId::new(format!("{number:012}")).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Digits)
    }
}
