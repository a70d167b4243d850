use super::choice::{SnapshotType, Wanted, words};
use super::engine_versions::{Offer, Offers, named};
use super::snapshot::{Snapshot, Sought, snapshots};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::providers::backups::{
    Candidates, KeyCondition, Summary, Wish, count, keys_of, search_problems,
};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `rds.find_snapshot`: the newest usable recovery point of an instance in the region of the step's site.
pub(super) struct FindSnapshot;

/// What `rds.find_snapshot` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindSnapshotInput {
    /// The identifier of the instance whose snapshots are looked for. The instance itself may be gone. Either this or `tags`,
    /// or both.
    #[serde(default)]
    pub(super) of: Option<String>,
    /// Tags that the snapshots must carry, all of them. RDS shows no tags of snapshots that other accounts share.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// Whether snapshots that other accounts share with this one are looked for, too.
    #[serde(default)]
    pub(super) shared: bool,
    /// The tag in which the time of the data was written down before the loss (RFC 3339), for snapshots of which RDS does not
    /// tell it.
    #[serde(default)]
    pub(super) time_tag: Option<String>,
    /// Types of snapshots that may be used: `automated`, `manual`, `awsbackup`, `copied`, `shared`. None named means all.
    #[serde(default)]
    pub(super) types: Vec<SnapshotType>,
    /// The data must not be newer than this (UTC): the moment before a corruption. Without it, the present.
    #[serde(default)]
    pub(super) not_after: Option<DateTime<Utc>>,
    /// The oldest that the data may be; an older recovery point fails the check `age`.
    #[serde(default)]
    pub(super) max_age: Option<HumanDuration>,
    /// How often a recovery point is due here; a gap longer than one and a half of it is a finding.
    #[serde(default = "a_day")]
    pub(super) schedule: HumanDuration,
    /// Only snapshots of the instance with this `DbiResourceId`: tells it from an earlier instance of the same name.
    #[serde(default)]
    pub(super) resource_id: Option<String>,
    /// A snapshot that a drill made and that may be chosen all the same, by its identifier or ARN: the copy that an earlier step
    /// of this run has made. Other snapshots that drills made are left out of a drill, and none of them counts for gaps, lags and
    /// retention.
    #[serde(default)]
    pub(super) own_copy: Option<String>,
}

fn a_day() -> HumanDuration {
    HumanDuration(Duration::from_secs(86_400))
}

/// What `rds.find_snapshot` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct FindSnapshotOutput {
    /// The ARN of the chosen snapshot.
    pub(super) arn: String,
    /// Its identifier.
    pub(super) id: String,
    /// The time of the newest data in it (UTC); absent when RDS does not tell.
    pub(super) at: Option<DateTime<Utc>>,
    /// Where that time comes from: `SnapshotDatabaseTime`, `OriginalSnapshotCreateTime`, …
    pub(super) source: Option<String>,
    /// How old the data was when the disaster was declared; now, where none was.
    pub(super) age: Option<HumanDuration>,
    /// `automated`, `manual` or `awsbackup`.
    pub(super) kind: Option<String>,
    /// Whether it is encrypted.
    pub(super) encrypted: Option<bool>,
    /// Whether its KMS key exists and is enabled here; absent when it is not encrypted or that could not be found out.
    pub(super) key_usable: Option<bool>,
    /// The KMS key.
    pub(super) kms_key: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// The identity (`DbiResourceId`) of the instance that it was taken of.
    pub(super) resource_id: Option<String>,
    /// Whether RDS still offers that version here; absent when that could not be found out.
    pub(super) version_offered: Option<bool>,
    /// The account that it belongs to.
    pub(super) owner: Option<String>,
    /// How many of the usable snapshots are copies.
    pub(super) copies: u64,
    /// How many snapshots of the instance were found in this region.
    pub(super) snapshots_considered: u64,
    /// How many of these could be restored: available, key not known to be unusable, version offered, time of data known.
    pub(super) usable_snapshots: u64,
    /// How far back the usable snapshots reach: the age of the oldest. Those taken by hand do not count beside others.
    pub(super) retention: Option<HumanDuration>,
    /// The longest time without a recovery point, up to the declaration of the disaster, else to now (or to `not_after`). Absent with fewer than two of them.
    pub(super) worst_gap: Option<HumanDuration>,
    /// The longest time from the data to the start of its copy into this region; absent when none is a copy.
    pub(super) copy_lag: Option<HumanDuration>,
    /// The longest loss that this allows: worst gap and copy lag together.
    pub(super) worst_case: Option<HumanDuration>,
    /// Since when the chosen snapshot is in this region (UTC): its `SnapshotCreateTime`.
    pub(super) in_region_since: Option<DateTime<Utc>>,
}

impl Action for FindSnapshot {
    type Input = FindSnapshotInput;
    type Output = FindSnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.find_snapshot",
            title: "Find the newest usable snapshot of the instance",
            about: "Lists every snapshot of the instance in the region of the step's site (automated, manual, AWS Backup's, \
                    copies) and chooses the one with the newest data that is available and whose key is enabled. The \
                    source instance is never asked: it may be gone.\n\nThe time of a snapshot is the time of its data \
                    (`SnapshotDatabaseTime`, else `OriginalSnapshotCreateTime`, else what a tag says that was written \
                    before the loss), never the time of a copy. Gap and retention are judged without the snapshots \
                    that somebody took by hand, unless there are no others. Aurora cluster snapshots are not looked \
                    for. That a key is enabled does not prove that its policy allows the restore: only restoring does.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "rds:DescribeDBSnapshots", why: "list the snapshots" },
                Permission {
                    action: "rds:DescribeDBEngineVersions",
                    why: "see whether the engine version is still offered",
                },
                Permission { action: "kms:DescribeKey", why: "see whether their keys are enabled" },
            ],
            checks: &[
                ("usable recovery point", "at least one snapshot can be restored here"),
                ("time of the data", "RDS says how old the data in the chosen snapshot is"),
                ("encryption key", "the key of the chosen snapshot exists and is enabled here"),
                ("engine version offered", "RDS still offers the version of the engine here"),
                ("age", "the data is not older than max_age"),
            ],
            populations: &[
                ("copies", "usable_snapshots"),
                ("worst_gap", "usable_snapshots"),
                ("retention", "usable_snapshots"),
                ("copy_lag", "usable_snapshots"),
                ("worst_case", "usable_snapshots"),
            ],
            proves: &[Proof::RecoveryPointOfBackup],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5 with PostgreSQL 15"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindSnapshotInput,
    ) -> Result<FindSnapshotOutput, StepError> {
        let wish =
            Wish { not_after: input.not_after, max_age: input.max_age, schedule: input.schedule };
        let sought = Sought {
            of: input.of,
            tags: input.tags,
            shared: input.shared,
            time_tag: input.time_tag,
        };
        let words = words(&sought.words(), sought.shared);
        let snapshots = snapshots(cx, &sought).await?;
        let offers = Offers::of(cx, snapshots.iter().map(Snapshot::version).collect()).await?;
        let wanted = Wanted {
            types: input.types,
            resource_id: input.resource_id,
            account: cx.site()?.place().account.clone(),
            offers,
            own_copy: input.own_copy,
            is_drill: cx.facts.is_drill,
        };
        let keys = keys_of(cx, &snapshots).await?;
        let candidates = Candidates::judge(&snapshots, &keys, wish.until(cx), |s| wanted.look(s));
        let chosen = candidates.chosen(cx, &words).await?;
        let (engine, version) = chosen.backup.version();
        let offer = wanted.offers.get(engine, version);
        let summary = candidates.summary(chosen, cx.until_the_loss(), wish.interval());
        let offered = vec![offer.check(&named(engine, version))];
        let identity = &chosen.backup.arn;
        candidates.write_down(cx, &words, &wish, (chosen, &summary), (identity, offered)).await?;
        let copies = candidates.usable().filter(|judged| judged.backup.is_copy()).count();
        let key_usable = chosen.key.and_then(KeyCondition::usable);
        Ok(told(chosen.backup, key_usable, &offer, count(copies), summary))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        search_problems(given, "of")
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::find_snapshot(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::find_snapshot(self, context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::find_snapshot_by_hand::by_hand(input)
    }
}

fn told(
    snapshot: &Snapshot,
    key_usable: Option<bool>,
    offer: &Offer,
    copies: u64,
    summary: Summary,
) -> FindSnapshotOutput {
    FindSnapshotOutput {
        arn: snapshot.arn.clone(),
        id: snapshot.id.clone(),
        at: summary.at,
        source: summary.source,
        age: summary.age,
        kind: snapshot.kind.clone(),
        encrypted: snapshot.encrypted,
        key_usable,
        kms_key: snapshot.key.clone(),
        engine: snapshot.engine.clone(),
        engine_version: snapshot.engine_version.clone(),
        resource_id: snapshot.resource_id.clone(),
        version_offered: offer.known(),
        owner: snapshot.owner.clone(),
        copies,
        snapshots_considered: summary.considered,
        usable_snapshots: summary.usable,
        retention: summary.retention,
        worst_gap: summary.worst_gap,
        copy_lag: summary.copy_lag,
        worst_case: summary.worst_case,
        in_region_since: snapshot.created,
    }
}
