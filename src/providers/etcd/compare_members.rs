use super::fetch::{ObjectInput, download, open_file};
use super::inventory_judge::soundness;
use super::judge::{broken_packing, findings, packing};
use super::live::{self, Members, TlsInput, ten_seconds};
use super::live_by_hand;
use super::live_findings;
use super::live_judge::{self as judge, Answered, Names, Round};
use super::stored::Stored;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Phase,
    Probe, SiteUse, StepContext, StepError,
};
use crate::formats::etcd_snapshot::HexId;
use crate::journal::Check;
use crate::outside::etcd::EtcdListed;
use crate::time::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Compares what the members of a running cluster store, with each other and with a backup.
pub(super) struct CompareMembers;

/// Which members, and which backup, if any: a file or an object, not both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["file", "object"] }))]
pub(super) struct CompareMembersInput {
    /// Client URLs of the members: `https://10.0.0.1:2379`.
    #[schemars(length(min = 1))]
    endpoints: Vec<String>,
    /// Ask also those members that the cluster lists and no endpoint names, at the client URLs that it tells.
    #[serde(default)]
    all_members: bool,
    /// How connections are protected.
    #[serde(default)]
    tls: TlsInput,
    /// How long a member may take to answer (default 10s). It reads its whole database for the hash.
    #[serde(default = "ten_seconds")]
    answer_within: HumanDuration,
    /// The number that the cluster must have, in hexadecimal, as `etcdctl member list -w fields` shows it (there in decimal digits).
    #[serde(default)]
    cluster_id: Option<String>,
    /// Path of a snapshot on this machine that must be what the members store.
    #[serde(default)]
    file: Option<String>,
    /// Such a snapshot in S3, at the site of the step.
    #[serde(default)]
    object: Option<ObjectInput>,
}

/// What the members told.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct CompareMembersOutput {
    /// The number of the cluster, in hexadecimal; nothing when members say different ones.
    cluster_id: Option<String>,
    /// The revision at which the members were compared: the last one that all of them have.
    revision: Option<i64>,
    /// Their hash at it, as `etcdctl endpoint hashkv` shows it; nothing when there is not one of all.
    hash: Option<u32>,
    /// Up to which revision history is compacted; -1 when nothing ever was.
    compact_revision: Option<i64>,
    /// How many voting members the cluster has.
    voting_members: u64,
    /// How many of them told their hash at the revision.
    compared_members: u64,
    /// Names of the members that differ from most others; all of them where there is no majority.
    differing: Vec<String>,
    /// Every member that answered.
    members: Vec<MemberOutput>,
    /// The revision at which the backup ends, if there is a sound one.
    backup_revision: Option<i64>,
}

/// A member.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct MemberOutput {
    /// Its name.
    name: String,
    /// Its number, in hexadecimal.
    id: String,
    /// Where it was asked.
    endpoint: String,
    /// The version of etcd that runs there.
    version: String,
    /// The last revision that it had applied.
    revision: i64,
    /// Bytes of its database file.
    database_size: ByteSize,
    /// Its hash at the revision of the comparison.
    hash: Option<u32>,
}

impl Action for CompareMembers {
    type Input = CompareMembersInput;
    type Output = CompareMembersOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "etcd.compare_members",
            title: "Compare what the members of a running etcd store, and a backup with it",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(1800),
            effect: Effect::None,
            creates: &[],
            permissions: super::verify_snapshot::PERMISSIONS,
            checks: CHECKS,
            populations: &[("hash", "compared_members")],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &[
                    "etcd 3.4 and 3.5, clusters of one and three, TLS with client certificates",
                ],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: CompareMembersInput,
    ) -> Result<CompareMembersOutput, StepError> {
        let logins: Vec<_> = input
            .endpoints
            .iter()
            .map(|endpoint| live::login(context, endpoint, &input.tls, input.answer_within))
            .collect();
        let mut members = Members::reach(context, &logins, input.all_members).await?;
        let exposed: Vec<String> =
            input.endpoints.iter().filter(|url| live::is_exposed(url)).cloned().collect();
        if !exposed.is_empty() {
            context.finding(live_findings::exposed(&exposed)).await?;
        }
        let named = input.cluster_id.as_deref().and_then(read_id);
        let answered = members.answered();
        let every = judge::every_member(&answered, &members.silent, &members.listed);
        for check in [every, judge::one_cluster(&answered, named)] {
            context.check(check).await?;
        }
        let listed = members.listed.clone().unwrap_or_default();
        let names = Names(&listed);
        let round = compare(context, &mut members, &answered, &names).await?;
        let stored = backup_of(context, &input).await?;
        // A cluster of one has nobody to be compared with but its backup.
        if stored.is_none() || names.votes() != 1 {
            context.check(same_data(round.as_ref(), &names)).await?;
        }
        for finding in live_findings::findings(&answered, round.as_ref(), &names) {
            context.finding(finding).await?;
        }
        let backup_revision = match &stored {
            Some(stored) => compare_backup(context, &mut members, stored, &listed).await?,
            None => None,
        };
        Ok(output(&answered, round.as_ref(), &listed, backup_revision))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let url = |n| Some((format!("endpoints/{n}"), given.text(&format!("endpoints.{n}"))?));
        let urls: Vec<_> = (0..given.count("endpoints")).filter_map(url).collect();
        let mut problems = live::problems(given, &urls);
        if let Some(id) = given.text("cluster_id").filter(|id| read_id(id).is_none()) {
            let problem = InputProblem::at(
                "cluster_id",
                format!("cluster_id: {id} is not the number of a cluster"),
            );
            problems.push(problem.expected("hexadecimal digits, 16 at most"));
        }
        problems.extend(super::source::problems(given));
        problems
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::before::grants(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        let mut probes = super::before::members(context, given).await;
        probes.extend(super::before::preflight(context, given).await);
        probes
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        live_by_hand::compare_members(input)
    }
}

const ABOUT: &str = "\
Asks every member over gRPC (`Maintenance.HashKV`, `Status`, `Cluster.MemberList`; nothing that changes anything) for the hash \
of all its keys, their whole history included, up to the last revision that all of them have, and compares the hashes. A member \
that stores other data than the others is named. etcd itself compares members only where `--experimental-initial-corrupt-check` or \
the periodic check is switched on, and cannot in a cluster of one.

With a backup (`file` or `object`) it computes the same hash from the stored snapshot, without an etcd, and compares it with what \
the members answer at the snapshot's last revision: equal means that the backup holds what the cluster held then, every change of \
every key. A snapshot that is damaged, or whose SHA-256 is missing, is compared with nothing: etcdctl refuses to restore it, too. \
Members can tell it only until they compact that revision; an API server of Kubernetes lets compact every five minutes. After \
that the check is inconclusive: run it right after the backup.

A member that does not answer makes the step inconclusive, never passed. Learners have no vote and tell no hash. Of members that are \
asked with the wrong certificate or name nothing is believed. Users and passwords of etcd's own are not supported: a client \
certificate is.";

const CHECKS: &[(&str, &str)] = &[
    (judge::EVERY_MEMBER, "each voting member that the cluster lists has answered"),
    (judge::ONE_CLUSTER, "all are members of one cluster, and of that which was named"),
    (judge::SAME_DATA, "all have one hash at one revision"),
    ("packing", "with a backup: what it is packed in ends where it should, with its checksum"),
    (
        "sound snapshot",
        "with a backup: it is what etcd wrote, its SHA-256 included, with data in it",
    ),
    (judge::RECORDED, "with a backup: the members are those that it records"),
    (judge::BACKUP, "with a backup: most members have its hash at its last revision"),
];

fn read_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// Asks for hashes at the last revision that all who vote have.
async fn compare(
    context: &StepContext,
    members: &mut Members,
    answered: &[Answered],
    names: &Names<'_>,
) -> Result<Option<Round>, StepError> {
    let voting = answered.iter().filter(|answered| !answered.status.learner);
    let Some(revision) = voting.map(|answered| answered.status.revision).min() else {
        return Ok(None);
    };
    context.progress(&format!(
        "asking {} members for their hash at revision {revision}",
        names.votes()
    ));
    Ok(Some(members.hashes(context, revision).await))
}

fn same_data(round: Option<&Round>, names: &Names<'_>) -> Check {
    match round {
        Some(round) => judge::same_data(round, names),
        None => Check::not_made(judge::SAME_DATA, "one hash of all", "no voting member answered"),
    }
}

async fn backup_of(
    context: &StepContext,
    input: &CompareMembersInput,
) -> Result<Option<Stored>, StepError> {
    let snapshot = match (&input.file, &input.object) {
        (Some(path), _) => open_file(path)?,
        (None, Some(object)) => download(context, object).await?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Stored::read(context, snapshot).await?))
}

/// Compares the members with the backup. Gives the revision at which it ends.
async fn compare_backup(
    context: &StepContext,
    members: &mut Members,
    stored: &Stored,
    listed: &[EtcdListed],
) -> Result<Option<i64>, StepError> {
    const EXPECTED: &str = "the hash of the members at its last revision";
    let inspection = &stored.inspection;
    let packing = stored.unpacked.as_ref().and_then(packing);
    for check in packing.into_iter().chain([soundness(inspection)]) {
        context.check(check).await?;
    }
    let broken = stored.unpacked.as_ref().and_then(broken_packing);
    let shown = |key: &str| context.data(key);
    for finding in broken.into_iter().chain(findings(inspection, &shown)) {
        context.finding(finding).await?;
    }
    context.check(judge::recorded(inspection.cluster.as_ref(), listed)).await?;
    let revision = match stored.comparable() {
        Ok(revision) => revision,
        Err(why) => {
            context.check(Check::not_made(judge::BACKUP, EXPECTED, why)).await?;
            return Ok(None);
        }
    };
    let round = members.hashes(context, revision).await;
    let compactions = round.answers.iter().filter_map(|(_, hashed)| hashed.hash());
    let compactions = compactions.map(|hash| hash.compact_revision);
    let of_snapshot = stored.hashes(context, revision, compactions).await?;
    context.check(judge::backup(&round, &of_snapshot, &Names(listed))).await?;
    Ok(Some(revision))
}

fn output(
    answered: &[Answered],
    round: Option<&Round>,
    listed: &[EtcdListed],
    backup_revision: Option<i64>,
) -> CompareMembersOutput {
    let names = Names(listed);
    let hash_of = |member| round.and_then(|round| round.hash_of(member));
    let hashes: Vec<_> = answered.iter().filter_map(|a| hash_of(a.status.member)).collect();
    let one =
        |all: Vec<i64>| all.first().copied().filter(|first| all.iter().all(|one| one == first));
    let of_all = one(hashes.iter().map(|hash| i64::from(hash.hash)).collect());
    let cluster = answered.first().map(|first| first.status.cluster);
    let cluster = cluster.filter(|id| answered.iter().all(|one| one.status.cluster == *id));
    let member = |answered: &Answered| MemberOutput {
        name: names.of(answered.status.member),
        id: HexId(answered.status.member).to_string(),
        endpoint: answered.endpoint.clone(),
        version: answered.status.version.clone(),
        revision: answered.status.revision,
        database_size: ByteSize(answered.status.database_bytes),
        hash: hash_of(answered.status.member).map(|hash| hash.hash),
    };
    let differing = round.map(judge::differing).unwrap_or_default();
    CompareMembersOutput {
        cluster_id: cluster.map(|id| HexId(id).to_string()),
        revision: round.map(|round| round.revision),
        hash: of_all.and_then(|hash| u32::try_from(hash).ok()),
        compact_revision: one(hashes.iter().map(|hash| hash.compact_revision).collect()),
        voting_members: names.votes() as u64,
        compared_members: hashes.len() as u64,
        differing: differing.into_iter().map(|member| names.of(member)).collect(),
        members: answered.iter().map(member).collect(),
        backup_revision,
    }
}
