use super::choice::{
    Judged, Standing, blemishes, choose, judge, longest_copy_lag, nothing_usable, usable_times,
};
use super::snapshot::{Selector, snapshots_of};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::journal::{Check, Measure, RecoveryPoint};
use crate::providers::backups::{
    KeyCondition, Spacing, age_check, key_check, key_conditions, loss,
};
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, TimeDelta, Utc};
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
    /// How old the data is now.
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
    /// The longest time without a recovery point, up to now (or `not_after`). Absent with fewer than two of them.
    pub(super) worst_gap: Option<HumanDuration>,
    /// The longest time from the data until its copy was complete here; absent when none is a copy.
    pub(super) copy_lag: Option<HumanDuration>,
    /// The longest loss that this allows: worst gap and copy lag together.
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
            proves: &[Proof::RecoveryPointOfBackup],
            exercised: Exercised { sandbox: true, servers: &["moto 5.2.5"], aws: None },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: FindSnapshotInput,
    ) -> Result<FindSnapshotOutput, StepError> {
        let now = cx.clock.now();
        let until = input.not_after.map_or(now, |limit| limit.min(now));
        let selector =
            Selector { volume: input.volume, tags: input.tags, time_tag: input.time_tag };
        let snapshots = snapshots_of(cx, &selector).await?;
        let keys = snapshots.iter().filter_map(|s| s.key.clone()).collect();
        let keys = key_conditions(cx, keys).await?;
        let judged = judge(&snapshots, &keys, &selector, until);
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

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let by_tags = match given.known("tags") {
            Some(tags) => tags.as_object().is_some_and(|tags| !tags.is_empty()),
            None => given.has("tags"),
        };
        let unclear = !given.has("volume") && !by_tags;
        let problem = InputProblem::new("", "nothing says which snapshots are meant")
            .help("give volume: or tags:");
        let times =
            ["schedule", "max_age"].into_iter().filter_map(|p| InputProblem::no_time(given, p));
        let empty = InputProblem::empty(given, "volume");
        unclear.then_some(problem).into_iter().chain(empty).chain(times).collect()
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
        id: snapshot.id.clone(),
        at,
        source,
        age: at.map(|at| loss(now - at)),
        volume: snapshot.volume.clone(),
        size: snapshot.size,
        encrypted: snapshot.encrypted,
        key_usable: chosen.key_usable,
        kms_key: snapshot.key.clone(),
        snapshots_considered: count(judged.len()),
        usable_snapshots: count(usable_times(judged).len()),
        retention: spacing.oldest().map(|oldest| HumanDuration::from(now - oldest).rounded_down()),
        worst_gap: worst_gap.map(loss),
        copy_lag: copy_lag.map(loss),
        worst_case: worst_gap.map(|gap| loss(gap + copy_lag.unwrap_or_default())),
        in_region_since: snapshot.completed,
    }
}

fn checks(
    output: &FindSnapshotOutput,
    chosen: &Judged<'_>,
    keys: &BTreeMap<String, KeyCondition>,
    max_age: Option<HumanDuration>,
) -> Vec<Check> {
    let (name, usable) = ("usable recovery point", output.usable_snapshots);
    let usable = match usable {
        0 => Check::not_made(name, ">= 1", "the time of the data is not known of any snapshot"),
        _ => Check::made(name, ">= 1", usable.to_string(), true),
    };
    let (name, expected) = ("time of the data", "known");
    let time = match (output.at, &output.source) {
        (Some(at), Some(source)) => {
            Check::made(name, expected, format!("{} ({source})", at.to_rfc3339()), true)
        }
        _ => Check::not_made(name, expected, "neither StartTime nor a tag tells it"),
    };
    let mut checks = vec![usable.over(output.snapshots_considered), time];
    checks.extend(key_check(
        "EC2",
        output.encrypted,
        chosen.snapshot.key.as_ref().and_then(|key| keys.get(key)),
    ));
    checks.extend(age_check(max_age, output.age));
    checks
}

fn recovery_point(output: &FindSnapshotOutput) -> Option<RecoveryPoint> {
    Some(RecoveryPoint {
        at: output.at?,
        source: output.source.clone()?,
        measure: Measure::Backup,
        identity: output.id.clone(),
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

    /// A copy whose original was begun at `hours`, complete here three hours later.
    fn copy(hours: i64) -> Snapshot {
        Snapshot {
            id: format!("snap-{hours}"),
            volume: Some("vol-ffffffffffffffff".to_owned()),
            state: Some("completed".to_owned()),
            started: Some(at(hours + 1)),
            completed: Some(at(hours + 3)),
            encrypted: Some(false),
            tags: BTreeMap::from([("data-time".to_owned(), at(hours).to_rfc3339())]),
            ..Snapshot::default()
        }
    }

    fn outcome_of(
        snapshots: &[Snapshot],
        time_tag: Option<&str>,
    ) -> (FindSnapshotOutput, BTreeMap<String, Outcome>) {
        let selector = Selector { time_tag: time_tag.map(str::to_owned), ..Selector::default() };
        let judged = judge(snapshots, &BTreeMap::new(), &selector, at(100));
        let chosen = choose(&judged).unwrap();
        let spacing = Spacing::of(usable_times(&judged), at(100));
        let output = told(chosen, &judged, &spacing, at(100));
        let checks = checks(&output, chosen, &BTreeMap::new(), Some(a_day()));
        (output, checks.into_iter().map(|c| (c.name, c.outcome)).collect())
    }

    #[test]
    fn copies_are_as_old_as_their_tag_says() {
        let hours = |hours: u64| Some(HumanDuration(Duration::from_secs(hours * 3600)));
        let (output, checks) = outcome_of(&[copy(30), copy(80)], Some("data-time"));
        assert_eq!((output.at, output.age), (Some(at(80)), hours(20)));
        assert_eq!((output.worst_gap, output.copy_lag), (hours(50), hours(3)));
        assert_eq!((output.worst_case, output.in_region_since), (hours(53), Some(at(83))));
        assert!(checks.values().all(|outcome| *outcome == Outcome::Passed), "{checks:?}");
        assert_eq!(recovery_point(&output).unwrap().source, "tag data-time");
    }

    #[test]
    fn copies_without_the_tag_are_inconclusive_and_give_no_recovery_point() {
        let (output, checks) = outcome_of(&[copy(80)], None);
        assert!(checks.values().all(|o| *o == Outcome::Inconclusive), "{checks:?}");
        assert_eq!((checks.len(), output.usable_snapshots), (3, 0));
        assert_eq!(recovery_point(&output), None);
    }

    #[test]
    fn data_older_than_allowed_fails() {
        let (_, checks) = outcome_of(&[copy(10)], Some("data-time"));
        assert_eq!(checks["age"], Outcome::Failed);
    }
}
