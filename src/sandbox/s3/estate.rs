use crate::sandbox::estate::AccountId;
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

/// A bucket of the estate: its configuration and the objects that it holds when the estate opens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BucketEstate {
    /// The bucket's name, unique in the whole estate as it is in AWS.
    pub name: String,
    /// Whether the bucket keeps versions. Replication needs `enabled` on both sides.
    pub versioning: Versioning,
    /// Replication rules. For each destination the matching rule with the highest priority decides.
    pub replication: Vec<ReplicationEstate>,
    /// Default encryption with a KMS key. Without it the bucket uses SSE-S3, and ETags are MD5 digests.
    pub kms: Option<BucketKms>,
    /// Other accounts that may read the bucket (a bucket policy). Everyone else gets `AccessDenied`.
    pub readers: Vec<AccountId>,
    /// Objects that exist when the estate opens, in any order. The same key at several times makes versions.
    pub objects: Vec<ObjectEstate>,
}

/// A bucket together with the place where it lives.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedBucket {
    /// Owner: twelve digits.
    pub account: String,
    /// Region of the bucket, such as `ap-northeast-1`.
    pub region: String,
    /// What is in it.
    pub bucket: BucketEstate,
}

/// The versioning state of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    /// Never switched on: each write replaces the object, each delete removes it.
    #[default]
    Off,
    /// Every write makes a version, every plain delete a delete marker.
    Enabled,
    /// Older versions stay; new writes replace the version whose id is `null`.
    Suspended,
}

/// Default encryption of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketKms {
    /// ARN or id of the KMS key.
    pub key: String,
    /// `false`: the key is disabled. Reading or writing encrypted objects then fails with `KMS.DisabledException`.
    #[serde(default = "yes")]
    pub usable: bool,
}

fn yes() -> bool {
    true
}

/// A replication rule of a bucket, with the faults that it may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationEstate {
    /// The rule's id. Default: `rule-1`, `rule-2`, …
    #[serde(default)]
    pub id: Option<String>,
    /// Where the replicas go.
    pub to: ReplicationTarget,
    /// Only keys that start with this text are replicated.
    #[serde(default)]
    pub prefix: String,
    /// Where several rules name the same destination, the highest number decides. Default: the rule's place in the list.
    #[serde(default)]
    pub priority: Option<i32>,
    /// Time between a write and the appearance of its replica. Default: one minute.
    #[serde(default = "default_lag")]
    pub lag: HumanDuration,
    /// Whether delete markers are replicated. Deletions of a version never are.
    #[serde(default)]
    pub delete_markers: bool,
    /// Whether the rule is switched on.
    #[serde(default)]
    pub status: RuleStatus,
    /// The KMS key for replicas. Without it, objects encrypted with a KMS key are not replicated.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// When the rule was made. Older objects are not replicated. Default: before all objects.
    #[serde(default)]
    pub since: Option<Moment>,
    /// Fault: nothing is replicated although the rule says so; every object stays `PENDING`.
    #[serde(default)]
    pub stalled: bool,
    /// Fault: nothing written after this moment is replicated; those objects stay `PENDING`.
    #[serde(default)]
    pub stalled_since: Option<Moment>,
    /// Fault: objects whose keys start with one of these texts end as `FAILED`.
    #[serde(default)]
    pub failing: Vec<String>,
}

fn default_lag() -> HumanDuration {
    super::replication::DEFAULT_LAG
}

/// The destination of a replication rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationTarget {
    /// Name of the destination bucket. If the estate has no such bucket, replication ends as `FAILED`.
    pub bucket: String,
    /// Owner of the destination. Default: as the estate says. Checked if given.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// Region of the destination. Default: as the estate says. Checked if given.
    #[serde(default)]
    pub region: Option<String>,
}

/// Whether a replication rule is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleStatus {
    /// The rule is applied.
    #[default]
    Enabled,
    /// The rule is listed but does nothing.
    Disabled,
}

/// An object (one version) of the estate. Its content is exactly one of `text`, `file` and `size`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectEstate {
    /// The key. With `count`, `{n}` in it becomes a six-digit number from 000000.
    pub key: String,
    /// The content as text.
    pub text: Option<String>,
    /// The content from a file, relative to the estate file.
    pub file: Option<String>,
    /// The content is this many pseudo-random bytes. Above 8 MiB the ETag is that of a multipart upload with parts of 8 MiB.
    pub size: Option<ByteSize>,
    /// Chooses the pseudo-random bytes of `size`.
    pub seed: u64,
    /// When it was written. Default: one day before the estate's start.
    pub at: Option<Moment>,
    /// Make this many objects instead of one.
    pub count: Option<u32>,
    /// With `count`: the time between two of them. The last one is written at `at`. Default: all at the same time.
    pub every: Option<HumanDuration>,
    /// The object was deleted (a delete marker where versions are kept) at this moment.
    pub deleted: Option<Moment>,
    /// Content type. Default: `binary/octet-stream`, as S3.
    pub content_type: Option<String>,
    /// Tags of the object.
    pub tags: BTreeMap<String, String>,
    /// User metadata (without `x-amz-meta-`).
    pub metadata: BTreeMap<String, String>,
    /// What replication did with it.
    pub replicated: ReplicationFate,
}

/// What replication did with an object of the estate: as the rules say, or one of the ways in which it goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationFate {
    /// As the rules say.
    #[default]
    ByRule,
    /// Not replicated and without a status, as an object that is older than its rule.
    Never,
    /// `PENDING` for ever.
    Pending,
    /// `FAILED`, no replica.
    Failed,
    /// `COMPLETED`, but there is no replica.
    Missing,
    /// `COMPLETED`, but the replica's content differs (same size).
    Differs,
}

/// A moment in an estate: an age before the estate's start (`6h`), a time after it (`+10m`), or an absolute time in
/// UTC (`2026-11-20T03:00:00Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This long before the estate's start.
    Before(HumanDuration),
    /// This long after the estate's start.
    After(HumanDuration),
    /// At this time.
    At(DateTime<Utc>),
}

impl Moment {
    /// The absolute time, given the estate's start.
    pub fn resolve(self, start: DateTime<Utc>) -> DateTime<Utc> {
        let delta = |d: HumanDuration| TimeDelta::from_std(d.0).unwrap_or(TimeDelta::zero());
        match self {
            Self::Before(age) => start - delta(age),
            Self::After(wait) => start + delta(wait),
            Self::At(time) => time,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(wait) = text.strip_prefix('+') {
            return wait.parse().map(Self::After);
        }
        if let Ok(time) = text.parse::<DateTime<Utc>>() {
            return Ok(Self::At(time));
        }
        text.parse().map(Self::Before).map_err(|_| {
            format!(
                "{text:?} is not a moment: write an age such as 6h, a time after the start such as +10m, \
                 or a time in UTC such as 2026-11-20T03:00:00Z"
            )
        })
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before(age) => write!(f, "{age}"),
            Self::After(wait) => write!(f, "+{wait}"),
            Self::At(time) => {
                f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
            }
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "An age before the estate's start (6h), a time after it (+10m), or a time in UTC (2026-11-20T03:00:00Z)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_what_it_prints() {
        for text in ["6h", "+10m", "2026-11-20T03:00:00Z"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
        assert!("yesterday".parse::<Moment>().unwrap_err().contains("write an age"));
    }

    #[test]
    fn a_bucket_is_read_from_yaml_and_unknown_fields_are_refused() {
        let bucket: BucketEstate = serde_saphyr::from_str(
            "name: orders\nversioning: enabled\nreplication: [{to: {bucket: orders-dr}, lag: 5m, failing: [secret/]}]\n\
             objects: [{key: a, text: hello, at: 2h, replicated: differs}]\n",
        )
        .unwrap();
        assert_eq!(bucket.replication[0].lag.to_string(), "5m");
        assert_eq!(bucket.objects[0].replicated, ReplicationFate::Differs);
        assert!(serde_saphyr::from_str::<BucketEstate>("name: a\nversionning: enabled\n").is_err());
    }
}
