//! etcd: whether a stored snapshot can be trusted, what it holds, and whether an etcd starts from it.
//!
//! Main types: `VerifySnapshot` and `TakeInventory`, which start no etcd, and `Restore`, which starts one of its own on loopback
//! (actions). What a snapshot file holds is read by `formats::etcd_snapshot`; `judge`, `inventory_judge` and `restore_judge` turn
//! answers into checks, findings and a recovery point; how etcd's programs are run belongs to `outside`. Restoring the cluster
//! itself does not belong in here.

mod before;
mod by_hand;
mod fetch;
mod inventory;
mod inventory_judge;
mod inventory_output;
#[cfg(test)]
mod inventory_rehearsals;
mod judge;
mod restore;
mod restore_by_hand;
mod restore_judge;
#[cfg(test)]
mod restore_rehearsals;
mod source;
#[cfg(test)]
mod tests;
mod trial_by_hand;
mod trial_folder;
mod verify_snapshot;

use crate::action::Registry;
use inventory::TakeInventory;
use restore::Restore;
use trial_folder::TrialFolder;
use verify_snapshot::VerifySnapshot;

/// Adds what this program knows about etcd.
pub fn register(registry: &mut Registry) {
    registry.action(VerifySnapshot);
    registry.action(TakeInventory);
    registry.action(Restore);
    registry.resource(TrialFolder);
}
