//! Amazon EBS: finding a recovery point of a volume and restoring it as a new volume.
//!
//! Main types: `FindSnapshot`, `RestoreVolume` (actions) and `VolumeKind`, `SnapshotKind` (what runs leave
//! behind).
//! Decisions are functions over plain data in `snapshot`, `choice` and `fidelity`. What is inside of a volume does not
//! belong in here.

mod by_hand;
mod choice;
mod ebs_snapshot;
mod fidelity;
mod find_snapshot;
mod grants;
mod listing;
mod preflight;
#[cfg(test)]
mod rehearsals;
mod restore_volume;
mod snapshot;
mod volume;

use crate::action::Registry;
use ebs_snapshot::SnapshotKind;
use find_snapshot::FindSnapshot;
use restore_volume::RestoreVolume;
use volume::VolumeKind;

/// Adds what this program knows about EBS.
pub fn register(registry: &mut Registry) {
    registry.action(FindSnapshot);
    registry.action(RestoreVolume);
    registry.resource(VolumeKind);
    registry.resource(SnapshotKind);
}
