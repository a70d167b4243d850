//! Amazon S3: whether a replica bucket holds what its source holds, and how fast replication is.
//!
//! Main types: `CheckReplication`, `ReplicateCanary` (actions) and `CanaryObjectKind` (what a canary leaves behind).
//! Decisions are functions over plain data: `rules` (does a rule cover the prefix), `compare` (the merge of two listings)
//! and `judge` (checks, findings, recovery point). Restoring data from S3 does not belong in here.

mod bucket;
mod by_hand;
mod canary_object;
mod check_replication;
mod compare;
mod grants;
mod judge;
mod listing;
mod preflight;
mod replicate_canary;
mod rules;
#[cfg(test)]
mod tests;

use crate::action::Registry;
use canary_object::CanaryObjectKind;
use check_replication::CheckReplication;
use replicate_canary::ReplicateCanary;

/// Adds what this program knows about S3.
pub fn register(registry: &mut Registry) {
    registry.action(CheckReplication);
    registry.action(ReplicateCanary);
    registry.resource(CanaryObjectKind);
}
