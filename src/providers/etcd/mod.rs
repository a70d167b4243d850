//! etcd: whether a stored snapshot can be trusted, what it holds, and whether an etcd starts from it; whether the members of a
//! running one agree.
//!
//! Main types (actions): `VerifySnapshot` and `TakeInventory`, which start no etcd, `Restore`, which starts one of its own,
//! `CompareMembers` and `TakeSnapshot`. What a snapshot file holds is read by `formats::etcd_snapshot`; `judge`, `inventory_judge`,
//! `restore_judge` and `live_judge` turn that, and what members answer, into checks, findings and a recovery point. Members of a
//! cluster are only asked, through `outside::etcd`; how an etcd of the step's own is run belongs to `outside::trial`. Changing a
//! running cluster, and restoring it, does not belong in here.

mod before;
mod bootstrap;
mod by_hand;
mod compare_members;
mod counts;
mod decrypt;
#[cfg(test)]
mod decrypt_rehearsals;
mod fetch;
mod inventory;
mod inventory_judge;
mod inventory_output;
#[cfg(test)]
mod inventory_rehearsals;
mod judge;
mod k3s_by_hand;
mod live;
mod live_by_hand;
mod live_findings;
mod live_judge;
#[cfg(test)]
mod live_judge_tests;
mod live_snapshot;
#[cfg(test)]
mod live_tests;
mod notes;
mod own_object;
mod restore;
mod restore_answers;
mod restore_by_hand;
mod restore_judge;
#[cfg(test)]
mod restore_rehearsals;
mod restore_version;
mod snapshot_output;
mod snapshot_time;
mod source;
mod stored;
mod take_by_hand;
mod take_snapshot;
#[cfg(test)]
mod tests;
mod trial_by_hand;
mod trial_folder;
mod unfinished;
mod verify_snapshot;

use crate::action::Registry;
use compare_members::CompareMembers;
use inventory::TakeInventory;
use restore::Restore;
use take_snapshot::TakeSnapshot;
use trial_folder::TrialFolder;
use verify_snapshot::VerifySnapshot;

/// Adds what this program knows about etcd.
pub fn register(registry: &mut Registry) {
    registry.action(VerifySnapshot);
    registry.action(TakeInventory);
    registry.action(Restore);
    registry.resource(TrialFolder);
    registry.action(CompareMembers);
    registry.action(TakeSnapshot);
}
