//! etcd: whether a stored snapshot can be trusted, without starting an etcd.
//!
//! Main type: `VerifySnapshot` (action). What a snapshot file holds is read by `formats::etcd_snapshot`; `judge` turns that
//! into checks, findings and a recovery point. Restoring a cluster, and anything that talks to one, does not belong in here.

mod before;
mod by_hand;
mod fetch;
mod judge;
mod restore_by_hand;
#[cfg(test)]
mod tests;
mod verify_snapshot;

use crate::action::Registry;
use verify_snapshot::VerifySnapshot;

/// Adds what this program knows about etcd.
pub fn register(registry: &mut Registry) {
    registry.action(VerifySnapshot);
}
