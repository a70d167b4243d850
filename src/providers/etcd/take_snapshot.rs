use super::before;
use super::judge;
use super::live::{TlsInput, is_exposed, login, problems, ten_seconds};
use super::live_findings::exposed;
use super::live_judge::same_as_member;
use super::live_snapshot::{self as arriving, Taken};
use super::notes;
use super::own_object::{self, SnapshotPlace};
use super::take_by_hand;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError,
};
use crate::formats::etcd_snapshot::{HexId, Soundness};
use crate::journal::{Finding, Severity};
use crate::outside::etcd::{EtcdMember, EtcdStatus};
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Takes a snapshot of a running member, verifies it, and stores it.
pub(super) struct TakeSnapshot;

/// Of which member, and where it goes: a file or an object.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "not" = { "required": ["file", "object"] },
    "anyOf" = [
        { "required": ["file"], "description": "file: PATH" },
        { "required": ["object"], "description": "object: { bucket }" }
    ]
))]
pub(super) struct TakeSnapshotInput {
    /// The client URL of one member: `https://10.0.0.1:2379`.
    endpoint: String,
    /// How the connection is protected.
    #[serde(default)]
    tls: TlsInput,
    /// How long the member may take to answer, and to send each piece (default 10s).
    #[serde(default = "ten_seconds")]
    answer_within: HumanDuration,
    /// Path of a new file on this machine. It stays there after the run. A rehearsal writes none.
    #[serde(default)]
    file: Option<String>,
    /// A new object at the site of the step, which is removed at the end of the run.
    #[serde(default)]
    object: Option<SnapshotPlace>,
}

/// What was stored.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct TakeSnapshotOutput {
    /// Bytes, the SHA-256 at its end included.
    size: ByteSize,
    /// The revision of the last change in it.
    revision: Option<i64>,
    /// HASH of `etcdctl snapshot status`, in hexadecimal. It differs between members at the same revision.
    hash: Option<String>,
    /// The hash on which members agree, at its last revision, as `etcdctl endpoint hashkv` shows it.
    hash_kv: Option<u32>,
    /// Keys that exist at the revision.
    live_keys: Option<u64>,
    /// SHA-256 of the whole file.
    sha256: String,
    /// Just before the member was asked (UTC): what was written by then is in it.
    taken_at: DateTime<Utc>,
    /// The number of the member, in hexadecimal.
    member_id: String,
    /// The number of the cluster, in hexadecimal.
    cluster_id: String,
    /// The version of etcd that runs there.
    version: String,
    /// The file, if it went into one.
    file: Option<String>,
    /// The bucket, if it went into one.
    bucket: Option<String>,
    /// The key of the object.
    key: Option<String>,
    /// The version of the object, where the bucket has versions.
    version_id: Option<String>,
}

impl Action for TakeSnapshot {
    type Input = TakeSnapshotInput;
    type Output = TakeSnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "etcd.take_snapshot",
            title: "Take a snapshot of a running etcd, verify it, and store it",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3600),
            effect: Effect::Own,
            creates: &[own_object::KIND],
            permissions: PERMISSIONS,
            checks: CHECKS,
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["etcd 3.4 and 3.5, into a file, and into a bucket of moto"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: TakeSnapshotInput,
    ) -> Result<TakeSnapshotOutput, StepError> {
        let place = input.file.as_deref().map(|path| arriving::place(context, path)).transpose()?;
        let login = login(context, &input.endpoint, &input.tls, input.answer_within);
        let mut member = context.outside.etcd(&login).await?;
        let status = member.status().await?;
        if is_exposed(&input.endpoint) {
            context.finding(exposed(std::slice::from_ref(&input.endpoint))).await?;
        }
        if status.learner {
            return Err(StepError::broken(format!(
                "{} is a learner, which gives no snapshot",
                input.endpoint
            ))
            .help("name a member that votes: etcdctl member list shows which"));
        }
        if input.object.is_some() {
            own_object::room_for(snapshot_bytes(&status))?;
        }
        let taken_at = context.clock.now();
        let taken = arriving::take(context, member.as_mut(), place).await?;
        let hash_kv = verify(context, member.as_mut(), &status, &taken).await?;
        let output = output(&taken, &status, taken_at, hash_kv);
        match (input.file, input.object) {
            (Some(path), _) => {
                taken.keep(context, stays(&path)).await?;
                Ok(TakeSnapshotOutput { file: Some(path), ..output })
            }
            (None, Some(place)) => {
                let stored = own_object::put(context, &place, &taken, taken_at).await?;
                let (bucket, key) = (Some(place.bucket), Some(stored.key));
                Ok(TakeSnapshotOutput { bucket, key, version_id: stored.version_id, ..output })
            }
            (None, None) => Err(StepError::broken("give either file: or object:")),
        }
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let url = given.text("endpoint").map(|url| ("endpoint".to_owned(), url));
        let mut all = problems(given, &url.into_iter().collect::<Vec<_>>());
        all.extend(super::source::problems(given));
        all.extend(own_object::outside_of_the_guard(given));
        all
    }

    /// A file is no resource of the run.
    fn how_many(&self, given: &Given, _: &str) -> usize {
        usize::from(given.has("object"))
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        own_object::grants(given, PERMISSIONS)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        let mut probes = before::members(context, given).await;
        if given.has("object") {
            probes.push(Probe::not_before(
                "writing the snapshot",
                "it can be tried only by doing it",
            ));
        }
        probes
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        take_by_hand::take_snapshot(input)
    }
}

const ABOUT: &str = "\
Reads the database of one member over gRPC (`Maintenance.Snapshot`, which changes nothing there) into a private temporary file, \
verifies it as `etcd.verify_snapshot` does, compares its hash with the one that the member itself computes, and only then stores it. \
A snapshot that breaks off or was changed on the way is stored nowhere.

An object goes under the prefix, which `guard.canaries` must name, with a key of the run's own and the metadata `snapshot-time`; at \
the end of the run all versions of it are removed (it is one of the run's canary objects). One call writes it, so that a \
snapshot of more than 5 GiB is refused as soon as the member says its size, before anything is read of it. A \
file is made anew with mode 0600, never over another one, and stays: it holds every secret of the cluster. Until it is whole it \
stands beside as `.redrill-RUN-STEP.unfinished`; what a run that was killed has left under that name is removed when it is resumed. \
`redrill reap` does not find it: look in the folder of the file.

It measures no objective: a snapshot that the drill takes says nothing about those that the backup job takes.";

const CHECKS: &[(&str, &str)] = &[
    ("trailing SHA-256", "the digest at the end of the file is that of its content"),
    ("meta pages", "both meta pages are valid"),
    ("complete", "the file is as long as the database in it"),
    ("structure", "every page and every revision is as etcd writes them"),
    ("as the member", "its hash at its last revision is the one that the member computes"),
];

const PERMISSIONS: &[Permission] = &[
    Permission { action: "s3:PutObject", why: "to write the snapshot" },
    Permission {
        action: "kms:GenerateDataKey",
        why: "to write, where the bucket is encrypted with SSE-KMS",
    },
    Permission { action: "s3:ListBucketVersions", why: "to find every version of it" },
    Permission { action: "s3:GetBucketLocation", why: "to look for it where the bucket is" },
    Permission { action: "s3:GetObject", why: "to read which run it belongs to" },
    Permission { action: "s3:GetObjectVersion", why: "to read which run a version belongs to" },
    Permission { action: "s3:DeleteObjectVersion", why: "to remove every version of it" },
];

/// How long a snapshot of the member is, if it took one now: its database, of which it says the size, and the SHA-256 at its end.
/// <https://github.com/etcd-io/etcd/blob/main/server/etcdserver/api/v3rpc/maintenance.go>
fn snapshot_bytes(status: &EtcdStatus) -> u64 {
    status.database_bytes.saturating_add(32)
}

/// Looks at what has arrived, and asks the member whether it is what it stores. Gives the hash.
async fn verify(
    context: &StepContext,
    member: &mut dyn EtcdMember,
    status: &EtcdStatus,
    taken: &Taken,
) -> Result<Option<u32>, StepError> {
    let inspection = &taken.inspection;
    for check in judge::checks(inspection) {
        context.check(check).await?;
    }
    let shown = |key: &str| context.data(key);
    for finding in judge::findings(inspection, &shown).into_iter().chain(notes::notes(inspection)) {
        context.finding(finding).await?;
    }
    match inspection.soundness() {
        Soundness::Sound => {}
        Soundness::Unproven(reasons) => {
            let why = reasons.join("; ");
            let text =
                format!("what has arrived is not proven to be sound, and was not stored: {why}");
            return Err(StepError::broken(text));
        }
        Soundness::Damaged | Soundness::Foreign(_) => {
            let text = "what has arrived is no sound snapshot: it was not stored";
            return Err(StepError::recovery(text));
        }
    }
    let revision = inspection.current_revision().unwrap_or_default().max(1);
    let there = super::live::hashed(member, status, revision).await;
    let compacted = there.hash().map(|hash| hash.compact_revision);
    let here = taken.hash_at(context, revision, compacted).await?;
    let check = same_as_member(revision, &here, &there);
    let differs = check.outcome == crate::journal::Outcome::Failed;
    context.check(check).await?;
    if differs {
        return Err(StepError::recovery(
            "the snapshot is not what the member stores: it was not stored",
        ));
    }
    Ok(here.ok().map(|hash| hash.hash))
}

fn stays(path: &str) -> Finding {
    Finding {
        severity: Severity::Note,
        code: "etcd.snapshot_file_stays".to_owned(),
        what: format!("{path} stays after the run"),
        why: "it holds every secret of the cluster".to_owned(),
        action: "remove it when it is not needed any more".to_owned(),
    }
}

fn output(
    taken: &Taken,
    status: &EtcdStatus,
    taken_at: DateTime<Utc>,
    hash_kv: Option<u32>,
) -> TakeSnapshotOutput {
    let inspection = &taken.inspection;
    TakeSnapshotOutput {
        size: ByteSize(taken.length),
        revision: inspection.revision,
        hash: inspection.hash.map(|hash| format!("{hash:x}")),
        hash_kv,
        live_keys: inspection.live_keys,
        sha256: hex::encode(taken.sha256),
        taken_at,
        member_id: HexId(status.member).to_string(),
        cluster_id: HexId(status.cluster).to_string(),
        version: status.version.clone(),
        file: None,
        bucket: None,
        key: None,
        version_id: None,
    }
}
