use super::choice::{
    Judged, SnapshotType, Standing, Wanted, blemishes, choose, judge, longest_copy_lag,
    nothing_usable, usable_times,
};
use super::snapshot::{Selector, snapshots_of};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, Permission, Phase,
    Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::journal::{Check, Measure, RecoveryPoint};
use crate::providers::backups::{
    KeyCondition, Spacing, age_check, key_check, key_conditions, loss,
};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `aurora.find_snapshot`: the newest usable recovery point of a cluster in the region of the step's site.
pub(super) struct FindSnapshot;

/// What `aurora.find_snapshot` is given: `of`, `tags` or both. Where both are given, both must fit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindSnapshotInput {
    /// The identifier of the cluster whose snapshots are looked for. The cluster itself may be gone.
    #[serde(default)]
    pub(super) of: Option<String>,
    /// Tags that the snapshots must have.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// The tag that holds the time of the data (RFC 3339), recorded before the loss. Needed for copies: RDS forgets the time
    /// of the original.
    #[serde(default)]
    pub(super) time_tag: Option<String>,
    /// Types of snapshots that may be used: `automated`, `manual`, `awsbackup`, `copied`. None named means all.
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
    /// Only snapshots of the cluster with this `DbClusterResourceId`: tells it from an earlier cluster of the same name.
    #[serde(default)]
    pub(super) resource_id: Option<String>,
}

fn a_day() -> HumanDuration {
    HumanDuration(Duration::from_secs(86_400))
}

/// What `aurora.find_snapshot` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct FindSnapshotOutput {
    /// The ARN of the chosen snapshot.
    pub(super) arn: String,
    /// Its identifier.
    pub(super) id: String,
    /// The time of the newest data in it (UTC); absent when nobody knows.
    pub(super) at: Option<DateTime<Utc>>,
    /// Where that time comes from: `SnapshotCreateTime …` or `tag …`.
    pub(super) source: Option<String>,
    /// How old the data is now.
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
    /// The identity (`DbClusterResourceId`) of the cluster that it was taken of.
    pub(super) resource_id: Option<String>,
    /// How many snapshots fit the selectors in this region.
    pub(super) snapshots_considered: u64,
    /// How many of these could be restored: available, key not known to be unusable, time of data known.
    pub(super) usable_snapshots: u64,
    /// How far back the usable snapshots reach: the age of the oldest.
    pub(super) retention: Option<HumanDuration>,
    /// The longest time without a recovery point, up to now (or `not_after`). Absent with fewer than two of them.
    pub(super) worst_gap: Option<HumanDuration>,
    /// The longest time from the data until its copy was made in this region; absent when none is a copy.
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
            name: "aurora.find_snapshot",
            title: "Find the newest usable snapshot of the cluster",
            about: "Lists the account's cluster snapshots in the region of the step's site that fit `of` and `tags` \
                    (automated, manual, AWS Backup's, copies) and chooses the one with the newest data that is available \
                    and whose key is enabled. The cluster is never asked: it may be gone.\n\nRDS keeps no time of the \
                    original on a copy of a cluster snapshot. `SnapshotCreateTime` counts only for automated snapshots \
                    that name no source; for everything else the time comes from the tag `time_tag`, recorded before the \
                    loss, or it is not known and the step inconclusive. Measure it from the data then. That a key is \
                    enabled does not prove that its policy allows the restore: only restoring does.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(300),
            effect: Effect::None,
            creates: &[],
            permissions: &[
                Permission { action: "rds:DescribeDBClusterSnapshots", why: "list the snapshots" },
                Permission { action: "kms:DescribeKey", why: "see whether their keys are enabled" },
            ],
            checks: &[
                ("usable recovery point", "at least one snapshot can be restored here"),
                ("time of the data", "the age of the data in the chosen snapshot is known"),
                ("encryption key", "the key of the chosen snapshot exists and is enabled here"),
                ("age", "the data is not older than max_age"),
            ],
            populations: &[
                ("worst_gap", "usable_snapshots"),
                ("retention", "usable_snapshots"),
                ("copy_lag", "usable_snapshots"),
                ("worst_case", "usable_snapshots"),
            ],
            proves: &[Proof::RecoveryPointOfBackup],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, without databases"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindSnapshotInput,
    ) -> Result<FindSnapshotOutput, StepError> {
        if input.of.is_none() && input.tags.is_empty() {
            return Err(StepError::broken("neither of: nor tags: says which snapshots are meant"));
        }
        let now = cx.clock.now();
        let until = input.not_after.map_or(now, |limit| limit.min(now));
        let selector = Selector { cluster: input.of, tags: input.tags, time_tag: input.time_tag };
        let snapshots = snapshots_of(cx, &selector).await?;
        let wanted = Wanted {
            types: input.types,
            not_after: until,
            resource_id: input.resource_id,
            time_tag: selector.time_tag,
        };
        let keys = snapshots.iter().filter_map(|s| s.key.clone()).collect();
        let keys = key_conditions(cx, keys).await?;
        let judged = judge(&snapshots, &keys, &wanted);
        let Some(chosen) = choose(&judged) else {
            let check = Check::made("usable recovery point", ">= 1", "0", false);
            cx.check(check.over(count(judged.len()))).await?;
            let finding = nothing_usable(&judged, until);
            let error = StepError::recovery(finding.what.clone()).help(finding.action.clone());
            cx.finding(finding).await?;
            return Err(error);
        };
        let spacing = Spacing::of(usable_times(&judged), until);
        let output = told(chosen, &judged, &spacing, now);
        for check in checks(&output, chosen, &keys, input.max_age) {
            cx.check(check).await?;
        }
        let schedule = TimeDelta::from_std(input.schedule.0).unwrap_or(TimeDelta::MAX);
        for finding in blemishes(&judged, &spacing, schedule) {
            cx.finding(finding).await?;
        }
        if let Some(point) = recovery_point(&output) {
            cx.recovery_point(point).await?;
        }
        Ok(output)
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

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn told(
    chosen: &Judged<'_>,
    judged: &[Judged<'_>],
    spacing: &Spacing,
    now: DateTime<Utc>,
) -> FindSnapshotOutput {
    let snapshot = chosen.snapshot;
    let (at, source) = match &chosen.standing {
        Standing::Usable { at, source } => (Some(*at), Some(source.clone())),
        _ => (None, None),
    };
    let worst_gap = spacing.worst_gap().map(|gap| gap.length());
    let copy_lag = longest_copy_lag(judged);
    FindSnapshotOutput {
        arn: snapshot.arn.clone(),
        id: snapshot.id.clone(),
        at,
        source,
        age: at.map(|at| loss(now - at)),
        kind: snapshot.kind.clone(),
        encrypted: snapshot.encrypted,
        key_usable: chosen.key_usable,
        kms_key: snapshot.key.clone(),
        engine: snapshot.engine.clone(),
        engine_version: snapshot.engine_version.clone(),
        resource_id: snapshot.resource_id.clone(),
        snapshots_considered: count(judged.len()),
        usable_snapshots: count(usable_times(judged).len()),
        retention: spacing.oldest().map(|oldest| HumanDuration::from(now - oldest).rounded_down()),
        worst_gap: worst_gap.map(loss),
        copy_lag: copy_lag.map(loss),
        worst_case: worst_gap.map(|gap| loss(gap + copy_lag.unwrap_or_default())),
        in_region_since: snapshot.created,
    }
}

fn checks(
    output: &FindSnapshotOutput,
    chosen: &Judged<'_>,
    keys: &BTreeMap<String, KeyCondition>,
    max_age: Option<HumanDuration>,
) -> Vec<Check> {
    let mut checks = vec![usable_check(output), time_check(output)];
    let key = chosen.snapshot.key.as_ref().and_then(|key| keys.get(key));
    checks.extend(key_check("RDS", output.encrypted, key));
    checks.extend(age_check(max_age, output.age));
    checks
}

fn usable_check(output: &FindSnapshotOutput) -> Check {
    let (usable, considered) = (output.usable_snapshots, output.snapshots_considered);
    if usable == 0 {
        let why = "snapshots are available, but the time of their data is not known";
        return Check::not_made("usable recovery point", ">= 1", why).over(considered);
    }
    Check::made("usable recovery point", ">= 1", usable.to_string(), true).over(considered)
}

fn time_check(output: &FindSnapshotOutput) -> Check {
    let name = "time of the data";
    match (output.at, &output.source) {
        (Some(at), Some(source)) => {
            Check::made(name, "known", format!("{} ({source})", at.to_rfc3339()), true)
        }
        _ => {
            Check::not_made(name, "known", "a copy has its own time only, and no tag tells another")
        }
    }
}

fn recovery_point(output: &FindSnapshotOutput) -> Option<RecoveryPoint> {
    Some(RecoveryPoint {
        at: output.at?,
        source: output.source.clone()?,
        measure: Measure::Backup,
        identity: output.arn.clone(),
        worst_case: output.worst_case,
    })
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Snapshot;
    use super::*;
    use crate::journal::Outcome;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn copy(hours: i64) -> Snapshot {
        Snapshot {
            arn: format!("arn:{hours}"),
            id: format!("s{hours}"),
            status: Some("available".to_owned()),
            kind: Some("manual".to_owned()),
            created: Some(at(hours + 2)),
            names_its_source: true,
            encrypted: Some(true),
            key: Some("key".to_owned()),
            tags: BTreeMap::from([("data-time".to_owned(), at(hours).to_rfc3339())]),
            ..Snapshot::default()
        }
    }

    fn outcome_of(
        snapshots: &[Snapshot],
        key: KeyCondition,
        max_age: Option<HumanDuration>,
    ) -> (FindSnapshotOutput, BTreeMap<String, Outcome>) {
        let keys = BTreeMap::from([("key".to_owned(), key)]);
        let time_tag = Some("data-time".to_owned());
        let wanted = Wanted { types: Vec::new(), not_after: at(100), resource_id: None, time_tag };
        let judged = judge(snapshots, &keys, &wanted);
        let chosen = choose(&judged).unwrap();
        let spacing = Spacing::of(usable_times(&judged), at(100));
        let output = told(chosen, &judged, &spacing, at(100));
        let checks = checks(&output, chosen, &keys, max_age);
        (output, checks.into_iter().map(|c| (c.name, c.outcome)).collect())
    }

    #[test]
    fn gap_lag_and_worst_case_are_those_of_the_copies_here() {
        let (output, checks) =
            outcome_of(&[copy(10), copy(34), copy(80)], KeyCondition::Usable, None);
        let hours = |hours: u64| Some(HumanDuration(Duration::from_secs(hours * 3600)));
        assert_eq!((output.at, output.age), (Some(at(80)), hours(20)));
        assert_eq!((output.worst_gap, output.copy_lag), (hours(46), hours(2)));
        assert_eq!((output.worst_case, output.retention), (hours(48), hours(90)));
        assert_eq!((output.usable_snapshots, output.in_region_since), (3, Some(at(82))));
        assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
        assert_eq!(recovery_point(&output).unwrap().worst_case, hours(48));
    }

    #[test]
    fn one_recovery_point_has_no_worst_gap() {
        let (output, _) = outcome_of(&[copy(10)], KeyCondition::Usable, None);
        assert_eq!((output.worst_gap, output.worst_case), (None, None));
    }

    #[test]
    fn what_is_not_known_is_inconclusive_and_gives_no_recovery_point() {
        let undated = Snapshot { tags: BTreeMap::new(), ..copy(10) };
        let limit = Some(a_day());
        let (output, checks) =
            outcome_of(&[undated], KeyCondition::Unknown("denied".into()), limit);
        assert!(checks.values().all(|o| *o == Outcome::Inconclusive), "{checks:?}");
        assert_eq!(checks.len(), 4);
        assert_eq!((output.key_usable, output.at), (None, None));
        assert_eq!(recovery_point(&output), None);
    }

    #[test]
    fn data_older_than_allowed_and_a_key_that_is_off_fail() {
        let (_, checks) = outcome_of(&[copy(10)], KeyCondition::Usable, Some(a_day()));
        assert_eq!(checks["age"], Outcome::Failed);
    }
}
