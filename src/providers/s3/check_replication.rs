use super::bucket::{Bucket, Head};
use super::by_hand;
use super::compare::{Comparison, Sample, Seen, Turn, turn};
use super::judge::{Content, Facts, same_content};
use super::listing::Lister;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::ids::SiteName;
use crate::journal::{Measure, RecoveryPoint};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Compares a bucket with its replica, version by version.
pub(super) struct CheckReplication;

/// Two buckets and how strictly they are compared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckReplicationInput {
    /// The bucket that is replicated, at the site of the step.
    source: String,
    /// The bucket that holds the replicas.
    replica: String,
    /// The site of the replica bucket.
    #[schemars(extend("format" = "redrill-site"))]
    replica_at: SiteName,
    /// Only keys that begin with it are compared. Without it all are.
    #[serde(default)]
    prefix: String,
    /// A version younger than this may still be on its way.
    #[serde(default = "fifteen_minutes")]
    grace: HumanDuration,
    /// How many versions are looked at more closely (type, metadata, checksums, status), chosen by the run's seed.
    #[serde(default = "twenty")]
    #[schemars(range(max = 1000))]
    sample: u32,
    /// How many versions and delete markers are listed at most on each side. Beyond it the check is inconclusive.
    #[serde(default = "five_million")]
    #[schemars(range(min = 1))]
    max_versions: u64,
}

fn fifteen_minutes() -> HumanDuration {
    Duration::from_secs(900).into()
}

fn twenty() -> u32 {
    20
}

fn five_million() -> u64 {
    5_000_000
}

/// What the comparison has shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct CheckReplicationOutput {
    /// Versions at the source that were compared: the population of all counts below.
    versions_compared: u64,
    /// Versions older than the grace that are not at the replica.
    missing: u64,
    /// Those of them whose replication has failed.
    missing_failed: u64,
    /// Those of them whose replication is still to be done.
    missing_pending: u64,
    /// Those of them that no rule ever took up: older than the rule, or not covered by it.
    missing_never_replicated: u64,
    /// Versions younger than the grace that are not at the replica yet.
    lagging: u64,
    /// Versions whose content at the replica is another.
    differing: u64,
    /// Versions whose content could not be compared: different ETags that are no MD5, no checksum in common.
    inconclusive: u64,
    /// Versions at the replica that the source does not have: normal, since permanent deletions are not replicated.
    extra: u64,
    /// Delete markers of the source that the replica does not have.
    delete_markers_missing: u64,
    /// Age of the oldest missing version; nothing when none is missing.
    oldest_missing_age: Option<HumanDuration>,
    /// How far the replica was behind when the comparison began: the age of the oldest version that is not there, young ones
    /// included; 0s when all are there; nothing when that is not known. The value to put an expectation on.
    behind: Option<HumanDuration>,
    /// When the newest version that is the same on both sides was written (UTC).
    newest_replicated: Option<DateTime<Utc>>,
    /// Whether an enabled rule replicates the whole prefix to the replica bucket. Nothing when a rule selects by tags.
    rule_enabled: Option<bool>,
    /// Versioning of the source bucket: `Enabled`, `Suspended` or `never enabled`.
    versioning_source: String,
    /// Versioning of the replica bucket.
    versioning_replica: String,
    /// Whether the rule replicates delete markers that people make. Nothing without such a rule.
    delete_markers_replicated: Option<bool>,
    /// How many versions were looked at more closely.
    sampled: u64,
}

impl Action for CheckReplication {
    type Input = CheckReplicationInput;
    type Output = CheckReplicationOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "s3.check_replication",
            title: "Compare a bucket with its replica, version by version",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: Duration::from_secs(4 * 3600),
            effect: Effect::None,
            creates: &[],
            permissions: PERMISSIONS,
            checks: CHECKS,
            populations: &[
                ("missing", "versions_compared"),
                ("missing_failed", "versions_compared"),
                ("missing_pending", "versions_compared"),
                ("missing_never_replicated", "versions_compared"),
                ("lagging", "versions_compared"),
                ("differing", "versions_compared"),
                ("inconclusive", "versions_compared"),
                ("behind", "versions_compared"),
            ],
            proves: &[Proof::RecoveryPointOfBackup { kept_at: "replica_at", unless: None }],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, replication played by the test"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        context: &StepContext,
        input: CheckReplicationInput,
    ) -> Result<CheckReplicationOutput, StepError> {
        let source = Bucket::at(&context.site()?, &input.source);
        let replica = Bucket::at(&context.site_named(&input.replica_at)?, &input.replica);
        let pair = Pair { context, source, replica };
        let mut facts = pair.settings(&input).await?;
        let (comparison, complete) = pair.compare(&input, facts.began).await?;
        facts.complete = complete;
        let seen = pair.look_again(comparison, &mut facts).await?;
        pair.report(&facts, seen.oldest_key.as_deref()).await?;
        Ok(output(&facts, seen.newest_same))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        ["source", "replica"]
            .into_iter()
            .filter_map(|path| InputProblem::empty(given, path))
            .collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::check_replication(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::check_replication(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand::check_replication(input)
    }
}

const ABOUT: &str = "\
Lists all versions of both buckets, merges the listings and compares by key, version id, size and ETag. What looks \
missing is looked at again at the end, with its replication status; what has another ETag is compared by checksum.

Checks the region of both buckets, versioning, that an enabled rule covers the whole prefix, that every version older \
than the grace is at the replica, that sizes and contents agree, and a sample more closely. Delete markers and versions \
that only the replica has are counted and reported, not judged: permanent deletions are never replicated.

The recovery point is the time at which the oldest version that is not at the replica was written, or the beginning of \
the source's listing when all are there. It does not read objects: that the replica's key of KMS can be used is proven \
by s3.replicate_canary. It needs the source, so it runs before the disaster.";

const PERMISSIONS: &[Permission] = &[
    Permission { action: "s3:GetBucketLocation", why: "the regions of the buckets" },
    Permission { action: "s3:GetBucketVersioning", why: "whether versions are kept" },
    Permission { action: "s3:GetReplicationConfiguration", why: "the replication rules" },
    Permission { action: "s3:ListBucketVersions", why: "what both buckets hold" },
    Permission { action: "s3:ListBucket", why: "to tell missing objects from forbidden ones" },
    Permission { action: "s3:GetObject", why: "status and checksums of single versions" },
    Permission { action: "s3:GetObjectVersion", why: "status and checksums of single versions" },
    // "If you enable checksum mode and the object is … encrypted with an AWS KMS key, you must have permission to use the
    // kms:Decrypt action to retrieve the checksum" (API reference, `HeadObject`).
    Permission {
        action: "kms:Decrypt",
        why: "checksums, where a bucket is encrypted with SSE-KMS",
    },
];

const CHECKS: &[(&str, &str)] = &[
    ("region of the source", "the bucket is in the region of its site"),
    ("region of the replica", "the bucket is in the region of its site"),
    ("versioning of the source", "versioning is enabled"),
    ("versioning of the replica", "versioning is enabled"),
    ("replication rule", "an enabled rule replicates the whole prefix to the replica bucket"),
    ("versions at the replica", "every version older than the grace is there"),
    ("content", "size and ETag, or a checksum, agree for every version on both sides"),
    ("sample", "chosen versions have status REPLICA and the same type, metadata and checksums"),
];

/// The two buckets during a run of the action.
struct Pair<'a> {
    context: &'a StepContext,
    source: Bucket,
    replica: Bucket,
}

/// What looking again leaves to be said.
struct LookedAgain {
    oldest_key: Option<String>,
    newest_same: Option<DateTime<Utc>>,
}

impl Pair<'_> {
    async fn settings(&self, input: &CheckReplicationInput) -> Result<Facts, StepError> {
        let (context, source, replica) = (self.context, &self.source, &self.replica);
        let regions = [
            (source.site_region.clone(), source.region(context).await?),
            (replica.site_region.clone(), replica.region(context).await?),
        ];
        Ok(Facts {
            regions,
            versioning_source: source.versioning(context).await?,
            versioning_replica: replica.versioning(context).await?,
            rules: source.rules(context).await?,
            source: input.source.clone(),
            replica: input.replica.clone(),
            prefix: input.prefix.clone(),
            grace: input.grace,
            max_versions: input.max_versions,
            sample_asked: input.sample,
            // Before the first page: whatever was written before this moment is in the listing.
            began: context.clock.now(),
            ..Facts::default()
        })
    }

    /// Merges both listings. False when the limit was reached before the end.
    async fn compare(
        &self,
        input: &CheckReplicationInput,
        began: DateTime<Utc>,
    ) -> Result<(Comparison, bool), StepError> {
        let grace = TimeDelta::from_std(input.grace.0).unwrap_or(TimeDelta::MAX);
        let young = began.checked_sub_signed(grace).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let size = usize::try_from(input.sample).unwrap_or(usize::MAX);
        let mut comparison = Comparison::new(young, Sample::new(size, self.context.facts.seed));
        let lister = |bucket| Lister::new(self.context, bucket, &input.prefix);
        let (mut ours, mut theirs) = (lister(&self.source), lister(&self.replica));
        // The source first: what replication brings while the replica is listed does no harm.
        let mut left = ours.next().await?;
        let mut right = theirs.next().await?;
        while let Some(turn) = turn(left.as_ref(), right.as_ref()) {
            match turn {
                Turn::Source => comparison.compare(left.as_ref(), None),
                Turn::Both => comparison.compare(left.as_ref(), right.as_ref()),
                Turn::Replica => comparison.compare(None, right.as_ref()),
            }
            if ours.entries.max(theirs.entries) > input.max_versions {
                return Ok((comparison, false));
            }
            if turn != Turn::Replica {
                left = ours.next().await?;
            }
            if turn != Turn::Source {
                right = theirs.next().await?;
            }
        }
        Ok((comparison, true))
    }

    /// Settles what the listings alone cannot: neither is of one moment, and ETags are not always of the content.
    async fn look_again(
        &self,
        mut comparison: Comparison,
        facts: &mut Facts,
    ) -> Result<LookedAgain, StepError> {
        for seen in comparison.doubtful.take() {
            match self.compare_content(&seen).await? {
                Content::Same => comparison.add_same(seen),
                Content::Different => comparison.add_differing(seen),
                Content::Unknown => facts.inconclusive += 1,
            }
        }
        facts.inconclusive += comparison.doubtful.more_due + comparison.doubtful.more_young;
        let oldest_key = self.settle_absent(&mut comparison, facts).await?;
        facts.compared = comparison.versions;
        facts.due = comparison.due;
        facts.same = comparison.same;
        facts.differing = comparison.differing_count;
        facts.extra = comparison.extra;
        facts.markers = comparison.markers;
        facts.markers_absent = comparison.markers_absent;
        facts.oldest_not_there = earlier(facts.oldest_not_there, comparison.oldest_differing);
        for seen in comparison.sample.take() {
            let id = Some(seen.version.id.as_str());
            // Deleted for good since it was listed: nothing to compare any more.
            let Some(ours) = self.source.head(self.context, &seen.key, id).await? else { continue };
            let theirs = self.replica.head(self.context, &seen.key, id).await?;
            facts.sampled += 1;
            facts.sample_faults.extend(fault_in_sample(&ours, theirs.as_ref()));
        }
        Ok(LookedAgain { oldest_key, newest_same: comparison.newest_same })
    }

    /// Looks again at what the replica's listing did not have. Gives the key of the oldest version that is missing.
    async fn settle_absent(
        &self,
        comparison: &mut Comparison,
        facts: &mut Facts,
    ) -> Result<Option<String>, StepError> {
        facts.missing.not_asked = comparison.absent.more_due;
        facts.lagging = comparison.absent.more_young;
        let mut oldest_key = None;
        let kept = comparison.absent.take();
        // Those that were only counted are not older than the youngest of those that were kept.
        let bound = kept.last().map(|seen| seen.version.modified);
        if comparison.absent.more_due + comparison.absent.more_young > 0 {
            facts.oldest_not_there = bound;
        }
        if comparison.absent.more_due > 0 {
            facts.oldest_missing = bound;
        }
        for seen in kept {
            let Seen { key, version } = &seen;
            let id = Some(version.id.as_str());
            let arrived = self.replica.head(self.context, key, id).await?;
            let Some(head) = self.source.head(self.context, key, id).await? else {
                // Deleted for good since it was listed: nothing to recover any more.
                continue;
            };
            if let Some(arrived) = arrived {
                match same_content(&head.content, &arrived.content) {
                    Content::Same => comparison.add_same(seen),
                    Content::Different => comparison.add_differing(seen),
                    Content::Unknown => facts.inconclusive += 1,
                }
                continue;
            }
            facts.oldest_not_there = earlier(facts.oldest_not_there, Some(version.modified));
            if version.modified > comparison.on_their_way_after {
                facts.lagging += 1;
                continue;
            }
            facts.missing.count(head.source_status());
            facts.oldest_missing = earlier(facts.oldest_missing, Some(version.modified));
            oldest_key.get_or_insert_with(|| key.clone());
        }
        Ok(oldest_key)
    }

    async fn compare_content(&self, seen: &Seen) -> Result<Content, StepError> {
        let id = Some(seen.version.id.as_str());
        let ours = self.source.head(self.context, &seen.key, id).await?;
        let theirs = self.replica.head(self.context, &seen.key, id).await?;
        Ok(match (ours, theirs) {
            (Some(ours), Some(theirs)) => same_content(&ours.content, &theirs.content),
            _ => Content::Unknown,
        })
    }

    async fn report(&self, facts: &Facts, oldest_key: Option<&str>) -> Result<(), StepError> {
        for check in facts.checks() {
            self.context.check(check).await?;
        }
        let oldest = oldest_key.map(|key| self.context.data(key));
        for finding in facts.findings(oldest.as_deref()) {
            self.context.finding(finding).await?;
        }
        if let Some((at, source)) = facts.proven_up_to() {
            let point = RecoveryPoint {
                at,
                source: source.to_owned(),
                measure: Measure::Backup,
                identity: format!("s3://{}/{}", facts.replica, facts.prefix),
                worst_case: None,
                not_newer_than: None,
                kept_at: Some(self.replica.site.clone()),
                goes_on: true,
            };
            self.context.recovery_point(point).await?;
        }
        Ok(())
    }
}

/// What is wrong with a chosen version at the replica, in words that hold no data.
fn fault_in_sample(ours: &Head, theirs: Option<&Head>) -> Option<String> {
    let Some(theirs) = theirs else { return Some("gone from the replica".to_owned()) };
    let status = theirs.replication.as_deref().unwrap_or("none");
    if status != "REPLICA" {
        Some(format!("replication status {status}"))
    } else if same_content(&ours.content, &theirs.content) == Content::Different {
        Some("content".to_owned())
    } else if ours.content_type != theirs.content_type {
        Some("content type".to_owned())
    } else if ours.metadata != theirs.metadata {
        Some("user metadata".to_owned())
    } else {
        None
    }
}

fn earlier(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    a.into_iter().chain(b).min()
}

fn output(facts: &Facts, newest_replicated: Option<DateTime<Utc>>) -> CheckReplicationOutput {
    let age = |time: DateTime<Utc>| HumanDuration::from(facts.began - time).rounded_up();
    let by_tags = facts.rules.iter().any(|rule| rule.enabled && rule.by_tags);
    let rule = facts.rule();
    CheckReplicationOutput {
        versions_compared: facts.compared,
        missing: facts.missing.total(),
        missing_failed: facts.missing.failed,
        missing_pending: facts.missing.pending,
        missing_never_replicated: facts.missing.never + facts.missing.replica,
        lagging: facts.lagging,
        differing: facts.differing,
        inconclusive: facts.inconclusive,
        extra: facts.extra,
        delete_markers_missing: facts.markers_absent,
        oldest_missing_age: facts.oldest_missing.map(age),
        behind: facts.proven_up_to().map(|(at, _)| age(at)),
        newest_replicated,
        rule_enabled: (rule.is_some() || !by_tags).then_some(rule.is_some()),
        versioning_source: facts.versioning_source.clone(),
        versioning_replica: facts.versioning_replica.clone(),
        delete_markers_replicated: rule.map(|rule| rule.delete_markers),
        sampled: facts.sampled,
    }
}
