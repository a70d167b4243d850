use super::key::places_of;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a snapshot holds at its last revision. Can be kept as JSON, and be compared with that of a later backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The revision of the last change, or of the compaction that has thrown that change away.
    pub revision: i64,
    /// Keys that exist, of whatever kind.
    pub keys: u64,
    /// Objects of Kubernetes among them. With none, nothing can be said of a cluster.
    pub objects: u64,
    /// The objects by resource, ordered by group and resource.
    pub resources: Vec<ResourceCount>,
    /// Keys that are no objects: of other programs, and the API server's own book-keeping.
    pub other_keys: u64,
    /// Entries `/bootstrap/…` of k3s and RKE2: the authorities of the cluster, encrypted with the server token. Where there are
    /// any, a restore needs that token.
    pub bootstrap_keys: u64,
    /// Those among them that are empty: a server makes one before it writes what belongs there.
    #[serde(default)]
    pub bootstrap_empty: u64,
    /// Secrets as they are stored, now and in the revisions before.
    pub secrets: SecretsAtRest,
    /// Objects of groups that are no part of Kubernetes and for which there is no definition, by full name of the resource: no
    /// API server can serve them.
    pub undefined: BTreeMap<String, u64>,
    /// The newest time that any object says of itself. The snapshot was taken after it, as far as that object's clock was right.
    pub newest: Option<NewestTime>,
    /// The newest time of a lease that is renewed every few seconds, of a node or of a leader among the controllers: a running cluster
    /// was backed up within seconds of it.
    #[serde(default)]
    pub heartbeat: Option<NewestTime>,
    /// The keys that were asked for, with the revision of their last change; nothing where there is no such key.
    pub named: BTreeMap<String, Option<i64>>,
    /// Those among them whose value is gone, or begins as no API server stores an object: it cannot read them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named_unreadable: BTreeSet<String>,
    /// Objects that are not in `resources`, because there were too many different ones. Always 0 for real clusters.
    pub not_listed: u64,
}

impl Inventory {
    /// Objects without a value, or with one that begins as no API server stores an object, by full name of the resource. An API server
    /// that meets one of them cannot even list its resource.
    pub fn unreadable(&self) -> impl Iterator<Item = (String, u64)> {
        let all = self.resources.iter().filter(|one| one.stored.other > 0);
        all.map(|one| (one.full_name(), one.stored.other))
    }

    /// Whether there is an object under this key, of which [`Self::named`] was asked, and an API server can read it.
    pub fn has_readable(&self, key: &str) -> bool {
        self.named.get(key).is_some_and(Option::is_some) && !self.named_unreadable.contains(key)
    }
}

/// The objects of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceCount {
    /// The API group as it stands in the key: empty for the first resources of Kubernetes, whatever group they are in now.
    pub group: String,
    /// The resource, in the plural.
    pub resource: String,
    /// Whether the snapshot holds a definition for it (`CustomResourceDefinition`).
    pub custom: bool,
    /// How many objects there are.
    pub objects: u64,
    /// How many in each namespace; under the empty name those of the whole cluster.
    pub namespaces: BTreeMap<String, u64>,
    /// How they are stored.
    pub stored: Stored,
}

impl ResourceCount {
    /// Whether it is meant by a name, as [`super::keys_of`] takes it: `deployments.apps` are kept as `deployments`.
    pub fn is_called(&self, name: &str) -> bool {
        places_of(name).contains(&(self.group.as_str(), self.resource.as_str()))
    }

    /// `certificates.cert-manager.io`, or `pods`.
    pub fn full_name(&self) -> String {
        full_name(&self.group, &self.resource)
    }
}

pub(super) fn full_name(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// How many objects are stored how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// As Protocol Buffers.
    pub protobuf: u64,
    /// As JSON: custom resources are.
    pub json: u64,
    /// As CBOR.
    pub cbor: u64,
    /// In a way that is none of these, or not at all: no API server can read them.
    pub other: u64,
    /// Encrypted at rest, by provider, version and name of the key, such as `aescbc:v1:key1`. Each of these keys is needed
    /// after a restore.
    pub encrypted: BTreeMap<String, u64>,
}

/// How secrets are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsAtRest {
    /// How many secrets there are.
    pub secrets: u64,
    /// How many of them are not encrypted.
    pub plain: u64,
    /// By which keys the others are encrypted: provider, version, name.
    pub keys: BTreeMap<String, u64>,
    /// Earlier revisions of secrets, deleted ones too, that still stand in the file without encryption.
    pub plain_in_history: u64,
}

/// The newest time in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestTime {
    /// The time (UTC).
    pub at: DateTime<Utc>,
    /// What it is the time of.
    pub source: TimeSource,
    /// The resource of the object, such as `leases`.
    pub resource: String,
    /// The revision in which it stands.
    pub revision: i64,
}

/// What a time is the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// `metadata.creationTimestamp`, by the API server's clock.
    Created,
    /// `metadata.managedFields[].time`, by the API server's clock.
    Changed,
    /// `spec.renewTime` of a lease, by the clock of its holder: nodes renew theirs every ten seconds.
    Renewed,
}
