use super::by_hand;
use super::fetch::{ObjectInput, Snapshot};
use super::judge;
use super::notes;
use super::snapshot_output::{self, MemberOutput};
use super::snapshot_time::{self, Times};
use super::source::{self, Platform, Seen, Source, compute, look};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::formats::etcd_snapshot::kubernetes::take_inventory;
use crate::formats::etcd_snapshot::{HexId, Inspection, Soundness, Trailer};
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Verifies a stored etcd snapshot without starting an etcd.
pub(super) struct VerifySnapshot;

/// Which snapshot: a file or an object, not both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "not" = { "required": ["file", "object"] },
    "anyOf" = [
        { "required": ["file"], "description": "file: PATH" },
        { "required": ["object"], "description": "object: { bucket, key }" },
        {
            "required": ["platform"],
            "properties": { "platform": { "const": "eks" } },
            "description": "platform: eks"
        }
    ]
))]
pub(super) struct VerifySnapshotInput {
    /// Path of a snapshot on this machine.
    #[serde(default)]
    file: Option<String>,
    /// A snapshot in S3, at the site of the step.
    #[serde(default)]
    object: Option<ObjectInput>,
    /// Who runs etcd. On `eks` nobody can take a snapshot, so the step fails and says what to do instead. On `k3s` and `rke2` the runbook
    /// says how these restore it.
    #[serde(default)]
    platform: Platform,
    /// When the snapshot was taken (UTC), from the backup job. Without it the object's metadata `snapshot-time` counts. When
    /// this copy was stored says nothing about its data.
    #[serde(default)]
    taken_at: Option<DateTime<Utc>>,
}

/// What the snapshot holds. Numbers are left out where damage kept them from being known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct VerifySnapshotOutput {
    /// Bytes of the snapshot, its SHA-256 included, without what it is packed in.
    size: ByteSize,
    /// What it is packed in: `gzip`, `zlib`, `zip` or `zstd`.
    packing: Option<String>,
    /// The revision of the last change.
    revision: Option<i64>,
    /// Entries of all buckets, older revisions included: TOTAL KEYS of `etcdctl snapshot status` up to 3.5.
    total_keys: Option<u64>,
    /// Keys that exist at the revision: TOTAL KEYS of `etcdutl snapshot status` from 3.6.
    live_keys: Option<u64>,
    /// HASH of `etcdctl snapshot status`, in hexadecimal. It differs between members at the same revision.
    hash: Option<String>,
    /// SHA-256 of the content, when it is the one at the end of the file.
    sha256: Option<String>,
    /// Bytes of a page.
    page_size: Option<u32>,
    /// How many places are damaged.
    damaged_places: u64,
    /// When the object version, or the file, was written (UTC). Not when the snapshot was taken: that was before.
    modified_at: Option<DateTime<Utc>>,
    /// When the snapshot was taken (UTC), as well as it is known: where nothing states it, the time of the newest lease in it, which is a
    /// lower bound. Nothing when it is not known, when the content contradicts it, or when the snapshot is not sound.
    taken_at: Option<DateTime<Utc>>,
    /// The newest time that any object in it says of itself (UTC): the snapshot was taken after it.
    newest: Option<DateTime<Utc>>,
    /// How long ago that was. The value to put an expectation on.
    age: Option<HumanDuration>,
    /// The version of the object that was read.
    version_id: Option<String>,
    /// The number of the cluster, in hexadecimal, unless members were added since it was made; nothing where some were removed.
    cluster_id: Option<String>,
    /// The members that it records. A restore makes new ones; these say whose backup it is.
    members: Vec<MemberOutput>,
    /// Whether etcd asks for users and passwords; nothing when the snapshot does not say.
    auth_enabled: Option<bool>,
    /// The alarms that stand in it: kind, and the number of the member in hexadecimal.
    alarms: Vec<String>,
    /// Whether a compaction had begun and not ended.
    compaction_in_flight: Option<bool>,
}

impl Action for VerifySnapshot {
    type Input = VerifySnapshotInput;
    type Output = VerifySnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "etcd.verify_snapshot",
            title: "Verify a stored etcd snapshot without starting an etcd",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3600),
            effect: Effect::None,
            creates: &[],
            permissions: PERMISSIONS,
            checks: CHECKS,
            populations: &[],
            proves: &[Proof::RecoveryPointOfBackup { kept_at: "", unless: None }],
            exercised: Exercised {
                sandbox: true,
                servers: &["snapshots made by etcd 3.4 and 3.5"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: VerifySnapshotInput,
    ) -> Result<VerifySnapshotOutput, StepError> {
        let source = Source {
            file: input.file.as_deref(),
            object: input.object.as_ref(),
            platform: input.platform,
        };
        let snapshot = source.open(context).await?;
        let seen = look(context, &snapshot).await?;
        let Seen { inspection, unpacked, .. } = &seen;
        let packing = unpacked.as_ref().and_then(judge::packing);
        for check in packing.into_iter().chain(judge::checks(inspection)) {
            context.check(check).await?;
        }
        let broken = unpacked.as_ref().and_then(judge::broken_packing);
        let is_whole = broken.is_none();
        let shown = |key: &str| context.data(key);
        let findings =
            judge::findings(inspection, &shown).into_iter().chain(notes::notes(inspection));
        for finding in broken.into_iter().chain(findings) {
            context.finding(finding).await?;
        }
        let time = if is_whole && inspection.soundness() == Soundness::Sound {
            record_point(context, &snapshot, &seen, input.taken_at).await?
        } else {
            Known::default()
        };
        Ok(output(context.until_the_loss(), snapshot, &seen, time))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        source::problems(given)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::before::preflight(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand::verify_snapshot(input)
    }
}

const ABOUT: &str = "\
Reads the whole file as etcd would: the SHA-256 at its end, both meta pages, every page that can be reached, the order \
of keys, and every revision. `snapshot status` never reads that SHA-256, shows a snapshot with a changed value as good, \
and crashes on one that was cut. The numbers are those that `snapshot status` would show.

A snapshot holds every secret of a cluster: an object is copied to a temporary file that has no name and is gone with \
the process, and no key or value is written down.

It does not start an etcd, and does not decrypt Kubernetes secrets. What is packed (gzip, zlib, zip, zstd, recognised by its content) is unpacked into a file \
of the same kind; an archive that was cut or changed is a damaged snapshot. One that cannot be unpacked here (encrypted, packed twice, a window of zstd above \
32 MiB) is inconclusive. The snapshot carries no time: give `taken_at`, or upload it with the metadata `snapshot-time`; \
otherwise no loss of data can be measured from it. `LastModified` is the time of this copy, which may be of an old snapshot.

That time is held against the content. Nodes and controllers of Kubernetes renew leases every few seconds: where the newest lease is more than ten \
minutes older than the stated time, an old snapshot was given a new time, and the check fails; where an object says a later one (five minutes are \
allowed for clocks), or it was stored before, the check is inconclusive, and there is no recovery point. Where nothing is stated, the newest lease is taken for a lower bound, and called that. In a snapshot \
without such leases, what is stated is believed.";

pub(super) const PERMISSIONS: &[Permission] = &[
    Permission { action: "s3:GetObject", why: "to read the snapshot" },
    Permission { action: "s3:GetObjectVersion", why: "to read a certain version of the snapshot" },
    Permission { action: "s3:ListBucket", why: "to tell a missing snapshot from a forbidden one" },
    Permission {
        action: "kms:Decrypt",
        why: "to read it, where the bucket is encrypted with SSE-KMS",
    },
];

const CHECKS: &[(&str, &str)] = &[
    ("packing", "what the snapshot is packed in ends where it should, with its checksum"),
    ("trailing SHA-256", "the digest at the end of the file is that of its content"),
    ("meta pages", "both meta pages are valid"),
    ("complete", "the file is as long as the database in it"),
    ("structure", "every page and every revision is as etcd writes them"),
    (
        snapshot_time::CHECK,
        "where there are leases of nodes or controllers, and a time is stated: they were renewed shortly before it; inconclusive where \
         anything contradicts that time",
    ),
];

/// What is known of the time of a snapshot (UTC).
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    taken_at: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
}

/// Writes down the recovery point of a sound snapshot, and what makes its time uncertain.
async fn record_point(
    context: &StepContext,
    snapshot: &Snapshot,
    seen: &Seen,
    stated: Option<DateTime<Utc>>,
) -> Result<Known, StepError> {
    let (content, length) = (seen.content.clone(), seen.length);
    let inventory = compute(context, move || take_inventory(&*content, length, &[])).await?;
    let inventory = inventory.map_err(|why| StepError::broken(why.to_string()))?;
    let (marked, modified) = (snapshot.marked_time.clone(), snapshot.modified);
    let times = Times { stated, marked, modified, ..Times::default() }.seen_in(&inventory);
    let judged = snapshot_time::recovery_point(&times, &snapshot.identity);
    if let Some(check) = judged.check {
        context.check(check).await?;
    }
    for finding in judged.findings {
        context.finding(finding).await?;
    }
    let taken_at = judged.point.as_ref().map(|point| point.at);
    if let Some(point) = judged.point {
        context.recovery_point(point).await?;
    }
    Ok(Known { taken_at, newest: times.newest.map(|newest| newest.at) })
}

fn output(
    now: DateTime<Utc>,
    snapshot: Snapshot,
    seen: &Seen,
    time: Known,
) -> VerifySnapshotOutput {
    let inspection = &seen.inspection;
    let cluster = inspection.cluster.as_ref();
    VerifySnapshotOutput {
        size: ByteSize(inspection.size_bytes),
        packing: seen.unpacked.and_then(|unpacked| unpacked.packing).map(|p| p.to_string()),
        revision: inspection.revision,
        total_keys: inspection.entries,
        live_keys: inspection.live_keys,
        hash: inspection.hash.map(|hash| format!("{hash:x}")),
        sha256: sha256(inspection),
        page_size: inspection.page_size,
        damaged_places: judge::damaged_places(inspection),
        modified_at: snapshot.modified,
        taken_at: time.taken_at,
        newest: time.newest,
        age: time.taken_at.map(|at| HumanDuration::from(now - at).rounded_up()),
        version_id: snapshot.version,
        cluster_id: cluster
            .and_then(|facts| facts.cluster_id_of_first_members())
            .map(|id: HexId| id.to_string()),
        members: cluster.map(snapshot_output::members).unwrap_or_default(),
        auth_enabled: cluster.and_then(|facts| facts.auth.enabled),
        alarms: cluster.map(snapshot_output::alarms).unwrap_or_default(),
        compaction_in_flight: cluster.map(|facts| facts.compaction.in_flight()),
    }
}

fn sha256(inspection: &Inspection) -> Option<String> {
    match inspection.trailer {
        Trailer::Matches { sha256 } => Some(sha256.to_string()),
        Trailer::Differs { .. } | Trailer::Missing => None,
    }
}
