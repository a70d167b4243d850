//! Amazon Aurora: capturing what a snapshot does not know, finding a recovery point of a cluster, and restoring it as a new
//! cluster with the members that it needs.
//!
//! Main types: `CaptureConfig`, `CompareConfig`, `CopySnapshot`, `FindSnapshot`, `RestoreCluster`, `RestoreClusterPointInTime` (actions) and `ClusterKind`, `InstanceKind`
//! (what runs leave behind). Decisions are functions over plain data in `snapshot`, `choice` and `fidelity`. DB instances
//! that belong to no cluster are another provider's.

mod bring_up;
mod capture_config;
mod choice;
mod cluster;
mod cluster_snapshot;
mod compare_config;
mod config;
mod config_by_hand;
mod config_items;
#[cfg(test)]
mod config_rehearsals;
mod copy_snapshot;
mod copy_snapshot_by_hand;
#[cfg(test)]
mod copy_snapshot_rehearsals;
mod fidelity;
mod find_snapshot;
mod find_snapshot_by_hand;
mod grants;
mod input;
mod instance;
mod listing;
mod preflight;
#[cfg(test)]
mod recovery_point_rehearsals;
#[cfg(test)]
mod rehearsals;
mod restore_by_hand;
mod restore_cluster;
mod restore_cluster_point_in_time;
mod snapshot;

use crate::action::Registry;
use capture_config::CaptureConfig;
use cluster::ClusterKind;
use cluster_snapshot::ClusterSnapshotKind;
use compare_config::CompareConfig;
use copy_snapshot::CopySnapshot;
use find_snapshot::FindSnapshot;
use instance::InstanceKind;
use restore_cluster::RestoreCluster;
use restore_cluster_point_in_time::RestoreClusterPointInTime;

/// Adds what this program knows about Aurora.
pub fn register(registry: &mut Registry) {
    registry.action(CaptureConfig);
    registry.action(CompareConfig);
    registry.action(CopySnapshot);
    registry.action(FindSnapshot);
    registry.action(RestoreCluster);
    registry.action(RestoreClusterPointInTime);
    registry.resource(ClusterKind);
    registry.resource(ClusterSnapshotKind);
    registry.resource(InstanceKind);
}
