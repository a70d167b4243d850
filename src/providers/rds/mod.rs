//! Amazon RDS: capturing what a snapshot does not know, finding a recovery point, restoring it as a new instance.
//!
//! Main types: `CaptureConfig`, `FindSnapshot`, `RestoreSnapshot` (actions) and `DbInstanceKind`,
//! `DbSnapshotKind` (what runs leave behind). Decisions are functions over plain data in `snapshot`, `choice` and `fidelity`. Aurora clusters do
//! not belong in here: their snapshots are another API and restoring one makes no instance.

mod capture_config;
mod choice;
mod db_instance;
mod db_snapshot;
mod fidelity;
mod find_snapshot;
mod find_snapshot_by_hand;
mod grants;
mod listing;
mod preflight;
#[cfg(test)]
mod rehearsals;
mod restore_snapshot;
mod restore_snapshot_by_hand;
mod snapshot;

use crate::action::Registry;
use capture_config::CaptureConfig;
use db_instance::DbInstanceKind;
use db_snapshot::DbSnapshotKind;
use find_snapshot::FindSnapshot;
use restore_snapshot::RestoreSnapshot;

/// Adds what this program knows about RDS.
pub fn register(registry: &mut Registry) {
    registry.action(CaptureConfig);
    registry.action(FindSnapshot);
    registry.action(RestoreSnapshot);
    registry.resource(DbInstanceKind);
    registry.resource(DbSnapshotKind);
}
