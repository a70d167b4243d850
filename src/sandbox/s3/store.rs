use super::content::Content;
use super::estate::{BucketKms, ReplicationFate, Versioning};
use super::replication::{Copy, CopyOutcome, ReplicationState, Rule, rules_for};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version id that S3 gives where it keeps no versions.
pub(super) const NULL_VERSION: &str = "null";

/// An account and a region: what is lost together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) region: String,
}

/// All buckets of the estate. Every question about it names the time at which it is asked.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) buckets: BTreeMap<String, Bucket>,
    /// Multipart uploads that are neither completed nor aborted, by their ids.
    pub(super) uploads: BTreeMap<String, PendingUpload>,
    lost: BTreeMap<Place, DateTime<Utc>>,
    seed: u64,
    written: u64,
}

#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) place: Place,
    pub(super) created: DateTime<Utc>,
    pub(super) versioning: Versioning,
    pub(super) rules: Vec<Rule>,
    pub(super) kms: Option<BucketKms>,
    pub(super) readers: Vec<String>,
    keys: BTreeMap<String, Vec<Version>>,
}

/// One version of a key, or a delete marker.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) modified: DateTime<Utc>,
    pub(super) payload: Payload,
    origin: Origin,
    /// The place in the sequence of all writes: orders versions of the same second.
    sequence: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Payload {
    Object(Arc<Object>),
    DeleteMarker,
}

#[derive(Clone, Debug)]
enum Origin {
    Written { copies: Vec<Copy> },
    Replica { source: Place, due: DateTime<Utc> },
}

/// A multipart upload under way.
#[derive(Debug)]
pub(super) struct PendingUpload {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Everything but the content.
    pub(super) object: Object,
    pub(super) parts: BTreeMap<i32, Bytes>,
}

/// The content of a version and what travels with it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) content: Arc<Content>,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The KMS key that encrypts it; without one it is SSE-S3.
    pub(super) kms_key: Option<String>,
    /// A checksum that the writer gave; without one S3 adds CRC-64/NVME.
    pub(super) checksum: Option<GivenChecksum>,
}

/// A checksum in base64, as in `x-amz-checksum-crc32`.
#[derive(Clone, Debug)]
pub(super) enum GivenChecksum {
    Crc32(String),
    Crc32c(String),
    Crc64Nvme(String),
    Sha1(String),
    Sha256(String),
}

impl Object {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content: Arc::new(content),
            content_type: None,
            content_encoding: None,
            content_disposition: None,
            cache_control: None,
            metadata: BTreeMap::new(),
            tags: BTreeMap::new(),
            kms_key: None,
            checksum: None,
        }
    }

    /// The ETag without quotes: the MD5 of the content, except under a KMS key, where S3 promises no relation to the content
    /// (`API_Object.html`, `ETag`).
    pub(super) fn etag(&self) -> String {
        let plain = self.content.md5();
        let Some(key) = &self.kms_key else { return plain.to_etag() };
        let mut hash = Sha256::new();
        hash.update(plain.digest);
        hash.update(key);
        hex::encode(&hash.finalize()[..16])
    }

    fn copied(&self, kms_key: Option<String>, damaged: bool) -> Self {
        let content =
            if damaged { Arc::new(self.content.damaged()) } else { Arc::clone(&self.content) };
        let checksum = if damaged { None } else { self.checksum.clone() };
        Self { content, kms_key, checksum, ..self.clone() }
    }
}

impl Version {
    /// Whether a replication rule applied when it was written.
    pub(super) fn is_replicated(&self) -> bool {
        matches!(&self.origin, Origin::Written { copies } if !copies.is_empty())
    }

    pub(super) fn object(&self) -> Option<&Arc<Object>> {
        match &self.payload {
            Payload::Object(object) => Some(object),
            Payload::DeleteMarker => None,
        }
    }
}

impl Bucket {
    pub(super) fn new(place: Place, created: DateTime<Utc>) -> Self {
        Self {
            place,
            created,
            versioning: Versioning::Off,
            rules: Vec::new(),
            kms: None,
            readers: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Keys in the order of their UTF-8 bytes, with all stored versions, oldest first.
    pub(super) fn keys_from<'a>(
        &'a self,
        first: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Vec<Version>)> + use<'a> {
        self.keys.range::<str, _>((std::ops::Bound::Included(first), std::ops::Bound::Unbounded))
    }

    fn insert(&mut self, key: &str, version: Version) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        let order = |v: &Version| (v.modified, v.sequence);
        let at = versions.partition_point(|other| order(other) <= order(&version));
        versions.insert(at, version);
    }

    fn remove(&mut self, key: &str, doomed: impl Fn(&Version) -> bool) -> Vec<Version> {
        let Some(versions) = self.keys.get_mut(key) else { return Vec::new() };
        let (removed, kept) = std::mem::take(versions).into_iter().partition(doomed);
        *versions = kept;
        if versions.is_empty() {
            self.keys.remove(key);
        }
        removed
    }
}

impl Store {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            buckets: BTreeMap::new(),
            uploads: BTreeMap::new(),
            lost: BTreeMap::new(),
            seed,
            written: 0,
        }
    }

    /// From `now` on nothing leaves or reaches this place.
    pub(super) fn lose(&mut self, place: Place, now: DateTime<Utc>) {
        self.lost.entry(place).or_insert(now);
    }

    /// Whether somebody who looks into `bucket` at `now` sees this version.
    pub(super) fn is_visible(
        &self,
        bucket: &Bucket,
        version: &Version,
        now: DateTime<Utc>,
    ) -> bool {
        match &version.origin {
            Origin::Written { .. } => version.modified <= now,
            Origin::Replica { source, due } => self.arrived(*due, source, &bucket.place, now),
        }
    }

    /// The visible versions of a key, newest first.
    pub(super) fn versions<'a>(
        &'a self,
        bucket: &'a Bucket,
        versions: &'a [Version],
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &'a Version> {
        versions.iter().rev().filter(move |version| self.is_visible(bucket, version, now))
    }

    /// The newest visible version of a key (perhaps a delete marker), or the one with this id.
    pub(super) fn find<'a>(
        &'a self,
        bucket: &'a Bucket,
        key: &str,
        id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Option<&'a Version> {
        let versions = bucket.keys.get(key)?;
        self.versions(bucket, versions, now).find(|version| id.is_none_or(|id| version.id == id))
    }

    fn arrived(
        &self,
        due: DateTime<Utc>,
        source: &Place,
        destination: &Place,
        now: DateTime<Utc>,
    ) -> bool {
        let before_loss = |place| self.lost.get(place).is_none_or(|lost| due <= *lost);
        due <= now && before_loss(source) && before_loss(destination)
    }

    /// The replication status of a version as HEAD shows it; `None` where no rule applied. With several destinations
    /// it is FAILED if one failed and COMPLETED only when all succeeded (S3 user guide, `replication-status.html`).
    pub(super) fn replication_state(
        &self,
        bucket: &Bucket,
        version: &Version,
        now: DateTime<Utc>,
    ) -> Option<ReplicationState> {
        let copies = match &version.origin {
            Origin::Replica { .. } => return Some(ReplicationState::Replica),
            Origin::Written { copies } => copies,
        };
        let state_of = |copy: &Copy| match copy.outcome {
            CopyOutcome::Fails if copy.due <= now => ReplicationState::Failed,
            CopyOutcome::Arrives if self.copy_arrived(bucket, copy, now) => {
                ReplicationState::Completed
            }
            _ => ReplicationState::Pending,
        };
        copies.iter().map(state_of).max()
    }

    fn copy_arrived(&self, source: &Bucket, copy: &Copy, now: DateTime<Utc>) -> bool {
        let destination = self.buckets.get(&copy.destination);
        destination.is_some_and(|d| self.arrived(copy.due, &source.place, &d.place, now))
    }

    /// Writes an object and schedules its replicas. The bucket must exist. Returns the version.
    pub(super) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
        at: DateTime<Utc>,
        fate: ReplicationFate,
    ) -> Option<Version> {
        self.write(bucket, key, Payload::Object(Arc::new(object)), at, fate)
    }

    /// Deletes a key without naming a version: a delete marker where versions are kept.
    pub(super) fn delete(&mut self, bucket: &str, key: &str, at: DateTime<Utc>) -> Option<Version> {
        if self.buckets.get(bucket)?.versioning == Versioning::Off {
            let doomed = |version: &Version| version.modified <= at;
            self.buckets.get_mut(bucket)?.remove(key, doomed);
            return None;
        }
        self.write(bucket, key, Payload::DeleteMarker, at, ReplicationFate::ByRule)
    }

    fn write(
        &mut self,
        bucket: &str,
        key: &str,
        payload: Payload,
        at: DateTime<Utc>,
        fate: ReplicationFate,
    ) -> Option<Version> {
        self.written += 1;
        let sequence = self.written;
        let source = self.buckets.get(bucket)?;
        let keeps_versions = source.versioning == Versioning::Enabled;
        let id = if keeps_versions { self.version_id(sequence) } else { NULL_VERSION.to_owned() };
        let mut version = Version {
            id,
            modified: at,
            payload,
            origin: Origin::Written { copies: Vec::new() },
            sequence,
        };
        if keeps_versions {
            let copies = self.replicate(bucket, key, &version, fate);
            version.origin = Origin::Written { copies };
        }
        let bucket = self.buckets.get_mut(bucket)?;
        if !keeps_versions {
            bucket.remove(key, |other| other.id == NULL_VERSION && other.modified <= at);
        }
        bucket.insert(key, version.clone());
        Some(version)
    }

    /// Puts the replicas into their buckets, to be seen when they are due, and says what becomes of them.
    fn replicate(
        &mut self,
        bucket: &str,
        key: &str,
        version: &Version,
        fate: ReplicationFate,
    ) -> Vec<Copy> {
        let Some(source) = self.buckets.get(bucket) else { return Vec::new() };
        if fate == ReplicationFate::Never {
            return Vec::new();
        }
        let place = source.place.clone();
        let rules: Vec<Rule> =
            rules_for(&source.rules, key, version).into_iter().cloned().collect();
        let mut copies = Vec::new();
        for rule in rules {
            let destination = self.buckets.get_mut(&rule.destination);
            let usable = destination.filter(|d| d.versioning == Versioning::Enabled);
            let copy = rule.copy(key, version.modified, usable.is_some(), fate);
            if let (Some(destination), CopyOutcome::Arrives) = (usable, copy.outcome)
                && fate != ReplicationFate::Missing
            {
                let damaged = fate == ReplicationFate::Differs;
                let replica = replica_of(version, &rule, destination, place.clone(), damaged);
                destination.insert(key, replica);
            }
            copies.push(copy);
        }
        copies
    }

    /// Removes one version for good. Replicas that have not arrived yet never will; those that have stay.
    pub(super) fn delete_version(
        &mut self,
        bucket: &str,
        key: &str,
        id: &str,
        now: DateTime<Utc>,
    ) -> Option<Version> {
        let removed = self.buckets.get_mut(bucket)?.remove(key, |version| version.id == id);
        for version in &removed {
            let Origin::Written { copies } = &version.origin else { continue };
            for copy in copies.iter().filter(|copy| copy.due > now) {
                if let Some(destination) = self.buckets.get_mut(&copy.destination) {
                    destination.remove(key, |other| other.id == id);
                }
            }
        }
        removed.into_iter().next()
    }

    /// Begins a multipart upload. Returns its id.
    pub(super) fn begin_upload(&mut self, upload: PendingUpload) -> String {
        self.written += 1;
        let id = self.version_id(self.written);
        self.uploads.insert(id.clone(), upload);
        id
    }

    /// 32 characters that need no escaping in a URL. S3 promises only "opaque, URL-ready, at most 1,024 bytes".
    fn version_id(&self, sequence: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(b"s3 version");
        hash.update(self.seed.to_le_bytes());
        hash.update(sequence.to_le_bytes());
        URL_SAFE_NO_PAD.encode(&hash.finalize()[..24]).replace('-', ".")
    }
}

/// A replica keeps version id, time and metadata of its source (S3 user guide, `replication.html`).
fn replica_of(
    version: &Version,
    rule: &Rule,
    destination: &Bucket,
    source: Place,
    damaged: bool,
) -> Version {
    let own_key = || destination.kms.as_ref().map(|kms| kms.key.clone());
    let payload = match &version.payload {
        Payload::DeleteMarker => Payload::DeleteMarker,
        Payload::Object(object) => {
            let kms_key = rule.kms_key.clone().or_else(own_key);
            Payload::Object(Arc::new(object.copied(kms_key, damaged)))
        }
    };
    let origin = Origin::Replica { source, due: version.modified + rule.lag };
    Version { payload, origin, ..version.clone() }
}
