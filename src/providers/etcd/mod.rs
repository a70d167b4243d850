//! etcd: whether a stored snapshot can be trusted, without starting an etcd; whether the members of a running one agree.
//!
//! Main types: `VerifySnapshot`, `CompareMembers`, `TakeSnapshot` (actions). What a snapshot file holds is read by `formats::etcd_snapshot`;
//! `judge` and `live_judge` turn that, and what members answer, into checks, findings and a recovery point. Members are only
//! asked, through `outside::etcd`: changing a running cluster does not belong in here.

mod before;
mod by_hand;
mod compare_members;
mod fetch;
mod judge;
mod live;
mod live_by_hand;
mod live_findings;
mod live_judge;
#[cfg(test)]
mod live_judge_tests;
mod live_snapshot;
#[cfg(test)]
mod live_tests;
mod own_object;
mod restore_by_hand;
mod stored;
mod take_by_hand;
mod take_snapshot;
#[cfg(test)]
mod tests;
mod verify_snapshot;

use crate::action::Registry;
use compare_members::CompareMembers;
use take_snapshot::TakeSnapshot;
use verify_snapshot::VerifySnapshot;

/// Adds what this program knows about etcd.
pub fn register(registry: &mut Registry) {
    registry.action(VerifySnapshot);
    registry.action(CompareMembers);
    registry.action(TakeSnapshot);
}
