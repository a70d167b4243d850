//! What a step tells of the cluster that a snapshot is of.

use crate::formats::etcd_snapshot::{AlarmKind, ClusterFacts};
use schemars::JsonSchema;
use serde::Serialize;

/// A member that a snapshot records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct MemberOutput {
    /// Its name; empty when it had not started yet.
    name: String,
    /// Its number, in hexadecimal.
    id: String,
    /// Where the other members reached it.
    peer_urls: Vec<String>,
    /// Whether it only listened, without a vote.
    learner: bool,
}

/// The members, in the order of their numbers.
pub(super) fn members(facts: &ClusterFacts) -> Vec<MemberOutput> {
    let member = |member: &crate::formats::etcd_snapshot::Member| MemberOutput {
        name: member.name.clone(),
        id: member.id.to_string(),
        peer_urls: member.peer_urls.clone(),
        learner: member.learner,
    };
    facts.members.iter().map(member).collect()
}

/// The alarms, as `etcdctl alarm list` names them.
pub(super) fn alarms(facts: &ClusterFacts) -> Vec<String> {
    let alarm = |alarm: &crate::formats::etcd_snapshot::Alarm| {
        let kind = match alarm.kind {
            AlarmKind::NoSpace => "NOSPACE",
            AlarmKind::Corrupt => "CORRUPT",
        };
        format!("{kind} {}", alarm.member)
    };
    facts.alarms.iter().map(alarm).collect()
}
