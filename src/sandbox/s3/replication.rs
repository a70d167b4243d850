use super::estate::{ReplicationEstate, ReplicationFate, RuleStatus};
use super::store::{Payload, Version};
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// The lag of rules that do not say: "most objects replicate within 15 minutes" is the service's promise, a minute is common.
pub(super) const DEFAULT_LAG: HumanDuration = HumanDuration(Duration::from_secs(60));

/// A replication rule as it is applied.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) destination: String,
    /// The owner as the configuration names it.
    pub(super) destination_account: Option<String>,
    pub(super) prefix: String,
    pub(super) priority: i32,
    pub(super) lag: TimeDelta,
    pub(super) delete_markers: bool,
    pub(super) enabled: bool,
    pub(super) kms_key: Option<String>,
    /// Older writes are not replicated.
    pub(super) since: DateTime<Utc>,
    /// Fault: writes from this time on stay pending.
    pub(super) stalled_since: Option<DateTime<Utc>>,
    /// Fault: keys with these prefixes fail.
    pub(super) failing: Vec<String>,
}

/// What becomes of one replica.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) destination: String,
    /// When it appears, or when its failure is noticed.
    pub(super) due: DateTime<Utc>,
    pub(super) outcome: CopyOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyOutcome {
    Arrives,
    Fails,
    StaysPending,
}

/// The values of `x-amz-replication-status`, the one that decides among several destinations last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReplicationState {
    Replica,
    Completed,
    Pending,
    Failed,
}

impl ReplicationState {
    /// As in the header.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "REPLICA",
            Self::Completed => "COMPLETED",
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
        }
    }
}

impl Rule {
    /// The rule of an estate. `index` is its place in the list, `start` the estate's start.
    pub(super) fn from_estate(
        rule: &ReplicationEstate,
        index: usize,
        start: DateTime<Utc>,
    ) -> Self {
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let stalled_since = if rule.stalled {
            Some(DateTime::<Utc>::MIN_UTC)
        } else {
            rule.stalled_since.map(|moment| moment.resolve(start))
        };
        Self {
            id: rule.id.clone().unwrap_or_else(|| format!("rule-{number}")),
            destination: rule.to.bucket.clone(),
            destination_account: rule.to.account.as_ref().map(ToString::to_string),
            prefix: rule.prefix.clone(),
            priority: rule.priority.unwrap_or(number),
            lag: TimeDelta::from_std(rule.lag.0).unwrap_or(TimeDelta::zero()),
            delete_markers: rule.delete_markers,
            enabled: rule.status == RuleStatus::Enabled,
            kms_key: rule.kms_key.clone(),
            since: rule.since.map_or(DateTime::<Utc>::MIN_UTC, |moment| moment.resolve(start)),
            stalled_since,
            failing: rule.failing.clone(),
        }
    }

    fn covers(&self, key: &str, version: &Version) -> bool {
        self.enabled && key.starts_with(&self.prefix) && version.modified >= self.since
    }

    /// Delete markers and objects under a KMS key are replicated only if the rule says so
    /// (S3 user guide, `replication-what-is-isnot-replicated.html`).
    fn replicates(&self, payload: &Payload) -> bool {
        match payload {
            Payload::DeleteMarker => self.delete_markers,
            Payload::Object(object) => object.kms_key.is_none() || self.kms_key.is_some(),
        }
    }

    /// What becomes of the replica of something written at `at`, if the destination can take it.
    pub(super) fn copy(
        &self,
        key: &str,
        at: DateTime<Utc>,
        destination_usable: bool,
        fate: ReplicationFate,
    ) -> Copy {
        let fails = !destination_usable || self.failing.iter().any(|p| key.starts_with(p));
        let stalled = self.stalled_since.is_some_and(|since| at >= since);
        let outcome = match fate {
            ReplicationFate::Pending => CopyOutcome::StaysPending,
            ReplicationFate::Failed => CopyOutcome::Fails,
            _ if stalled => CopyOutcome::StaysPending,
            _ if fails => CopyOutcome::Fails,
            _ => CopyOutcome::Arrives,
        };
        Copy { destination: self.destination.clone(), due: at + self.lag, outcome }
    }
}

/// The rules by which a version is replicated. For each destination the rule with the highest priority decides.
pub(super) fn rules_for<'a>(rules: &'a [Rule], key: &str, version: &Version) -> Vec<&'a Rule> {
    let mut deciding: BTreeMap<&str, &Rule> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.covers(key, version)) {
        let chosen = deciding.entry(&rule.destination).or_insert(rule);
        if rule.priority > chosen.priority {
            *chosen = rule;
        }
    }
    deciding.into_values().filter(|rule| rule.replicates(&version.payload)).collect()
}
