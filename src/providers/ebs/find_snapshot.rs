use super::choice::{look, words};
use super::snapshot::{Selector, Snapshot, snapshots_of};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::providers::backups::{
    Candidates, KeyCondition, Summary, Wish, keys_of, search_problems,
};
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `ebs.find_snapshot`: the newest usable recovery point of a volume in the region of the step's site.
pub(super) struct FindSnapshot;

/// What `ebs.find_snapshot` is given: `volume`, `tags` or both. Where both are given, both must fit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindSnapshotInput {
    /// The volume whose snapshots are looked for. Copies do not keep it: find those by tags.
    #[serde(default)]
    pub(super) volume: Option<String>,
    /// Tags that the snapshots must have.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// The tag that holds the time of the data (RFC 3339), recorded before the loss. Needed for copies: EC2 forgets the
    /// time of the original.
    #[serde(default)]
    pub(super) time_tag: Option<String>,
    /// The data must not be newer than this (UTC): the moment before a corruption. Without it, the present.
    #[serde(default)]
    pub(super) not_after: Option<DateTime<Utc>>,
    /// The oldest that the data may be; an older recovery point fails the check `age`.
    #[serde(default)]
    pub(super) max_age: Option<HumanDuration>,
    /// How often a recovery point is due here; a gap longer than one and a half of it is a finding.
    #[serde(default = "a_day")]
    pub(super) schedule: HumanDuration,
    /// How long a copy takes from its beginning until it is complete, as you have seen it: for copies of which EC2 does not tell
    /// when they were complete. Without it, the worst case ends where these began, and the check says so.
    #[serde(default)]
    pub(super) copy_takes: Option<HumanDuration>,
}

fn a_day() -> HumanDuration {
    HumanDuration(Duration::from_secs(86_400))
}

/// What `ebs.find_snapshot` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct FindSnapshotOutput {
    /// The id of the chosen snapshot.
    pub(super) id: String,
    /// The time of the newest data in it (UTC); absent when nobody knows.
    pub(super) at: Option<DateTime<Utc>>,
    /// Where that time comes from: `StartTime …` or `tag …`.
    pub(super) source: Option<String>,
    /// How old the data was when the disaster was declared; now, where none was.
    pub(super) age: Option<HumanDuration>,
    /// The volume that it names; an arbitrary id on copies.
    pub(super) volume: Option<String>,
    /// The size of that volume, in bytes.
    pub(super) size: Option<ByteSize>,
    /// Whether it is encrypted.
    pub(super) encrypted: Option<bool>,
    /// Whether its KMS key exists and is enabled here; absent when it is not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
    /// The KMS key.
    pub(super) kms_key: Option<String>,
    /// How many snapshots fit the selectors in this region.
    pub(super) snapshots_considered: u64,
    /// How many of these could be restored at once: completed, not archived, key not known to be unusable, time of data
    /// known.
    pub(super) usable_snapshots: u64,
    /// How far back the usable snapshots reach: the age of the oldest.
    pub(super) retention: Option<HumanDuration>,
    /// The longest time without a recovery point, up to the declaration of the disaster, else to now (or to `not_after`). Absent with fewer than two of them.
    pub(super) worst_gap: Option<HumanDuration>,
    /// The longest time from the data until its copy was complete here, or had begun, where EC2 tells no more; absent when none is
    /// a copy.
    pub(super) copy_lag: Option<HumanDuration>,
    /// The longest loss that this allows: worst gap, copy lag and, where it counts, `copy_takes` together.
    pub(super) worst_case: Option<HumanDuration>,
    /// Since when the chosen snapshot is complete in this region (UTC).
    pub(super) in_region_since: Option<DateTime<Utc>>,
}

impl Action for FindSnapshot {
    type Input = FindSnapshotInput;
    type Output = FindSnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "ebs.find_snapshot",
            title: "Find the newest usable snapshot of the volume",
            about: "Lists the account's own snapshots in the region of the step's site that fit `volume` and `tags`, and \
                    chooses the one with the newest data that is completed, not archived and whose key is enabled. The \
                    volume is never asked: it may be gone.\n\nEC2 keeps no time of the original on a copy. `StartTime` \
                    counts only for snapshots of the very volume that the step names; for everything else the time comes \
                    from the tag `time_tag`, recorded before the loss, or it is not known and the step inconclusive. \
                    Measure it from the data then.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "ec2:DescribeSnapshots", why: "list the snapshots" },
                Permission { action: "kms:DescribeKey", why: "see whether their keys are enabled" },
            ],
            checks: &[
                ("usable recovery point", "at least one snapshot can be restored here"),
                ("time of the data", "it is known how old the data in the chosen snapshot is"),
                ("encryption key", "the key of the chosen snapshot exists and is enabled here"),
                ("age", "the data is not older than max_age"),
            ],
            populations: &[
                ("worst_gap", "usable_snapshots"),
                ("retention", "usable_snapshots"),
                ("copy_lag", "usable_snapshots"),
                ("worst_case", "usable_snapshots"),
            ],
            proves: &[Proof::RecoveryPointOfBackup { kept_at: "", unless: None }],
            exercised: Exercised { sandbox: true, servers: &["moto 5.2.5"], aws: None },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindSnapshotInput,
    ) -> Result<FindSnapshotOutput, StepError> {
        let wish =
            Wish { not_after: input.not_after, max_age: input.max_age, schedule: input.schedule };
        let selector =
            Selector { volume: input.volume, tags: input.tags, time_tag: input.time_tag };
        let words = words(&selector);
        let snapshots = snapshots_of(cx, &selector).await?;
        let keys = keys_of(cx, &snapshots).await?;
        let candidates =
            Candidates::judge(&snapshots, &keys, wish.until(cx), |s| look(s, &selector));
        let chosen = candidates.chosen(cx, &words).await?;
        let summary = candidates.summary(chosen, cx.until_the_loss(), wish.interval());
        let summary = summary.with_copying(input.copy_takes);
        let identity = (chosen.backup.id.as_str(), Vec::new());
        candidates.write_down(cx, &words, &wish, (chosen, &summary), identity).await?;
        Ok(told(chosen.backup, chosen.key.and_then(KeyCondition::usable), summary))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        search_problems(given, "volume")
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::find_snapshot(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::find_snapshot(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::by_hand::find_snapshot(input)
    }
}

fn told(snapshot: &Snapshot, key_usable: Option<bool>, summary: Summary) -> FindSnapshotOutput {
    FindSnapshotOutput {
        id: snapshot.id.clone(),
        at: summary.at,
        source: summary.source,
        age: summary.age,
        volume: snapshot.volume.clone(),
        size: snapshot.size,
        encrypted: snapshot.encrypted,
        key_usable,
        kms_key: snapshot.key.clone(),
        snapshots_considered: summary.considered,
        usable_snapshots: summary.usable,
        retention: summary.retention,
        worst_gap: summary.worst_gap,
        copy_lag: summary.copy_lag,
        worst_case: summary.worst_case,
        in_region_since: snapshot.completed,
    }
}
