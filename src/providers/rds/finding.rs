//! A search for the newest usable snapshot of an instance or a cluster.

use super::choice::{SnapshotType, Wanted};
use super::engine_versions::{Offer, Offers, named, version_probe};
use super::snapshot::{Snapshot, Sought};
use crate::action::{Probe, StepContext, StepError};
use crate::providers::backups::{
    Candidates, KeyCondition, Newest, Summary, Wish, Words, count, keys_of, newest_probes,
};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a search for the snapshot of an instance or a cluster is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::providers) struct FindSnapshotInput {
    /// The identifier of the instance or cluster whose snapshots are looked for. It may be gone itself. Either this or `tags`, or
    /// both.
    #[serde(default)]
    pub(in crate::providers) of: Option<String>,
    /// Tags that the snapshots must carry, all of them. RDS shows no tags of snapshots that other accounts share.
    #[serde(default)]
    pub(in crate::providers) tags: BTreeMap<String, String>,
    /// Whether snapshots that other accounts share with this one are looked for, too.
    #[serde(default)]
    pub(in crate::providers) shared: bool,
    /// The tag in which the time of the data was written down before the loss (RFC 3339), for snapshots of which RDS does not
    /// tell it, such as copies of cluster snapshots.
    #[serde(default)]
    pub(in crate::providers) time_tag: Option<String>,
    /// What is found is copied (`rds.copy_snapshot`, `aurora.copy_snapshot`) before it is restored (default false): then those
    /// count as well that another account shares and that are encrypted, from which RDS restores nothing.
    #[serde(default)]
    pub(in crate::providers) to_copy: bool,
    /// Types of snapshots that may be used: `automated`, `manual`, `awsbackup`, `copied`, `shared`. None named means all.
    #[serde(default)]
    pub(in crate::providers) types: Vec<SnapshotType>,
    /// The data must not be newer than this (UTC): the moment before a corruption. Without it, the present.
    #[serde(default)]
    pub(in crate::providers) not_after: Option<DateTime<Utc>>,
    /// The oldest that the data may be; an older recovery point fails the check `age`.
    #[serde(default)]
    pub(in crate::providers) max_age: Option<HumanDuration>,
    /// How often a recovery point is due here; a gap longer than one and a half of it is a finding.
    #[serde(default = "a_day")]
    pub(in crate::providers) schedule: HumanDuration,
    /// How long a copy takes from its beginning until it is complete, as you have seen it. RDS does not tell: without it, the worst
    /// case ends where the copy began, and the check says so.
    #[serde(default)]
    pub(in crate::providers) copy_takes: Option<HumanDuration>,
    /// Only snapshots of the instance or cluster with this `DbiResourceId` or `DbClusterResourceId`: tells it from an earlier one
    /// of the same name.
    #[serde(default)]
    pub(in crate::providers) resource_id: Option<String>,
    /// A snapshot that a drill made and that may be chosen all the same, by its identifier or ARN: the copy that an earlier step
    /// of this run has made. Other snapshots that drills made are left out of a drill, and none of them counts for gaps, lags and
    /// retention.
    #[serde(default)]
    pub(in crate::providers) own_copy: Option<String>,
}

fn a_day() -> HumanDuration {
    HumanDuration(Duration::from_secs(86_400))
}

/// What a search for a snapshot tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(in crate::providers) struct FindSnapshotOutput {
    /// The ARN of the chosen snapshot.
    pub(in crate::providers) arn: String,
    /// Its identifier.
    pub(in crate::providers) id: String,
    /// The time of the newest data in it (UTC); absent when RDS does not tell.
    pub(in crate::providers) at: Option<DateTime<Utc>>,
    /// Where that time comes from: `SnapshotDatabaseTime`, `OriginalSnapshotCreateTime`, `tag …`, …
    pub(in crate::providers) source: Option<String>,
    /// How old the data was when the disaster was declared; now, where none was.
    pub(in crate::providers) age: Option<HumanDuration>,
    /// `automated`, `manual` or `awsbackup`.
    pub(in crate::providers) kind: Option<String>,
    /// Whether it is encrypted.
    pub(in crate::providers) encrypted: Option<bool>,
    /// Whether its KMS key exists and is enabled here; absent when it is not encrypted or that could not be found out.
    pub(in crate::providers) key_usable: Option<bool>,
    /// The KMS key.
    pub(in crate::providers) kms_key: Option<String>,
    /// The database engine.
    pub(in crate::providers) engine: Option<String>,
    /// Its version.
    pub(in crate::providers) engine_version: Option<String>,
    /// The identity (`DbiResourceId`, `DbClusterResourceId`) of what it was taken of.
    pub(in crate::providers) resource_id: Option<String>,
    /// Whether RDS still offers that version here; absent when that could not be found out.
    pub(in crate::providers) version_offered: Option<bool>,
    /// The account that it belongs to.
    pub(in crate::providers) owner: Option<String>,
    /// How many of the usable snapshots are copies.
    pub(in crate::providers) copies: u64,
    /// How many snapshots that are looked for were found in this region.
    pub(in crate::providers) snapshots_considered: u64,
    /// How many of these could be restored: available, key not known to be unusable, version offered, time of data known.
    pub(in crate::providers) usable_snapshots: u64,
    /// How far back the usable snapshots reach: the age of the oldest. Those taken by hand do not count beside others.
    pub(in crate::providers) retention: Option<HumanDuration>,
    /// The longest time without a recovery point, up to the declaration of the disaster, else to now (or to `not_after`). Absent with fewer than two of them.
    pub(in crate::providers) worst_gap: Option<HumanDuration>,
    /// The longest time from the data to the start of its copy into this region; absent when none is a copy.
    pub(in crate::providers) copy_lag: Option<HumanDuration>,
    /// The longest loss that this allows: worst gap, copy lag and `copy_takes` together.
    pub(in crate::providers) worst_case: Option<HumanDuration>,
    /// Since when the chosen snapshot is in this region (UTC): its `SnapshotCreateTime`.
    pub(in crate::providers) in_region_since: Option<DateTime<Utc>>,
}

impl FindSnapshotInput {
    /// Which snapshots are looked for.
    pub(in crate::providers) fn sought(&self) -> Sought {
        Sought {
            of: self.of.clone(),
            tags: self.tags.clone(),
            shared: self.shared,
            time_tag: self.time_tag.clone(),
        }
    }

    /// Chooses the newest that can be restored here, and writes down what was found.
    ///
    /// # Errors
    /// There is none, or RDS or KMS did not answer.
    pub(in crate::providers) async fn chosen(
        self,
        cx: &StepContext,
        snapshots: &[Snapshot],
        words: &Words,
    ) -> Result<FindSnapshotOutput, StepError> {
        let wish =
            Wish { not_after: self.not_after, max_age: self.max_age, schedule: self.schedule };
        let offers = Offers::of(cx, snapshots.iter().map(Snapshot::version).collect()).await?;
        let wanted = Wanted {
            types: self.types,
            resource_id: self.resource_id,
            account: cx.site()?.place().account.clone(),
            offers,
            own_copy: self.own_copy,
            is_drill: cx.facts.is_drill,
            to_copy: self.to_copy,
        };
        let keys = keys_of(cx, snapshots).await?;
        let candidates = Candidates::judge(snapshots, &keys, wish.until(cx), |s| wanted.look(s));
        let chosen = candidates.chosen(cx, words).await?;
        let (engine, version) = chosen.backup.version();
        let offer = wanted.offers.get(engine, version);
        let summary = candidates.summary(chosen, cx.until_the_loss(), wish.interval());
        let summary = summary.with_copying(self.copy_takes);
        let offered = vec![offer.check(&named(engine, version))];
        let identity = &chosen.backup.arn;
        candidates.write_down(cx, words, &wish, (chosen, &summary), (identity, offered)).await?;
        let copies = candidates.usable().filter(|judged| judged.backup.is_copy()).count();
        let key_usable = chosen.key.and_then(KeyCondition::usable);
        Ok(told(chosen.backup, key_usable, &offer, count(copies), summary))
    }
}

/// What a search has found, as it is looked at before the day of a drill: the snapshot, its key and its version. `what` names the
/// snapshots that were looked for, `needs` the permission to list them.
pub(in crate::providers) async fn probes_of(
    cx: &StepContext,
    what: String,
    needs: &'static str,
    found: Result<FindSnapshotOutput, StepError>,
) -> Vec<Probe> {
    let version = found.as_ref().ok();
    let version = version.map(|found| (found.engine.clone(), found.engine_version.clone()));
    let newest = found.map(|found| {
        let (usable, considered) = (found.usable_snapshots, found.snapshots_considered);
        Newest { id: found.id, at: found.at, usable, considered, key: found.kms_key }
    });
    let mut probes = newest_probes(cx, what, &[needs], newest).await;
    if let Some((engine, version)) = version {
        probes.push(version_probe(cx, engine.as_deref(), version.as_deref()).await);
    }
    probes
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
