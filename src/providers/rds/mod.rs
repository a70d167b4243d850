//! Amazon RDS: capturing what a snapshot does not know, finding a recovery point, restoring it as a new instance.
//!
//! Main types: `CaptureConfig`, `CompareConfig`, `CopySnapshot`, `FindSnapshot`, `FindAutomatedBackup`, `PromoteReplica`, `RestoreSnapshot`, `RestorePointInTime` (actions) and
//! `DbInstanceKind`, `DbSnapshotKind`, `PromotedReplicaKind` (what runs leave behind). What restores have in common is in `wishes` (parameters) and
//! `restoring`. Decisions are functions over plain data in `snapshot`, `choice`, `backup_choice` and `fidelity`. Aurora clusters do
//! not belong in here: their snapshots are another API and restoring one makes no instance.

mod automated_backup;
mod backup_choice;
mod capture_config;
mod choice;
mod compare_config;
mod compare_config_by_hand;
mod comparing;
mod config;
mod config_diff;
#[cfg(test)]
mod config_diff_tests;
mod config_items;
mod config_origin;
#[cfg(test)]
mod config_rehearsals;
mod copy_snapshot;
mod copy_snapshot_by_hand;
mod copying;
mod db_instance;
mod db_snapshot;
mod describing;
mod engine_versions;
mod events;
mod fidelity;
mod find_automated_backup;
mod find_automated_backup_by_hand;
mod find_snapshot;
mod find_snapshot_by_hand;
mod finding;
mod grants;
mod intended;
mod listing;
mod log_groups;
mod monitoring;
mod network;
#[cfg(test)]
mod point_in_time_rehearsals;
mod preflight;
mod promote_replica;
mod promote_replica_by_hand;
mod promoted_replica;
mod quotas;
#[cfg(test)]
mod recovery_point_rehearsals;
#[cfg(test)]
mod rehearsals;
mod restore_point_in_time;
mod restore_snapshot;
mod restoring;
mod restoring_by_hand;
mod snapshot;
mod wishes;

use crate::action::Registry;
use capture_config::CaptureConfig;
use compare_config::CompareConfig;
pub(super) use compare_config_by_hand::of_the_terms;
pub(super) use comparing::{CompareConfigOutput, FoundConfig, Wanted, intended, judge, problems};
pub(super) use config::{
    changed_parameters, changed_parameters_by, monitoring, not_in_force, security_group_to_come,
    security_groups_of, sorted,
};
pub(super) use config_diff::{Config, Item, Kind, Known, Origin, known};
pub(super) use config_origin::Told;
use copy_snapshot::CopySnapshot;
pub(super) use copy_snapshot_by_hand::{Words as CopyWords, of_words as copied_by_hand};
pub(super) use copying::{
    CopySnapshotOutput, arn_of_key, checks_of_a_copy, key_of_original, on_key_of_original,
    original_in_policy, refuse_what_is_lost, refuse_what_needs_presigning, region_of, tags_of_copy,
    wait_until_complete,
};
use db_instance::DbInstanceKind;
pub(super) use db_instance::judged;
use db_snapshot::DbSnapshotKind;
pub(super) use events::{Bracket, moment_of};
use find_automated_backup::FindAutomatedBackup;
use find_snapshot::FindSnapshot;
pub(super) use find_snapshot_by_hand::{VERSION_GONE, to_restore, version_state};
pub(super) use finding::{FindSnapshotInput, FindSnapshotOutput, probes_of};
pub(super) use grants::{on_keys_of_found, on_restored};
pub(super) use log_groups::log_groups;
pub(super) use network::{NetworkOf, closed_in_a_drill, in_the_vpc, vpc_before, warn_of_network};
pub(super) use preflight::{
    compare_config as preflight_of_comparison, network as preflight_of_network,
};
use promote_replica::PromoteReplica;
use promoted_replica::PromotedReplicaKind;
pub(super) use quotas::quotas;
use restore_point_in_time::RestorePointInTime;
use restore_snapshot::RestoreSnapshot;
pub(super) use restoring_by_hand::{monitoring_options, retention, vpc_command};
pub(super) use snapshot::{Asked, Snapshot, Sought, owner_of};
pub(super) use wishes::{Monitoring, in_days, monitoring_problem, retention_problem};

/// Adds what this program knows about RDS.
pub fn register(registry: &mut Registry) {
    registry.action(CaptureConfig);
    registry.action(CompareConfig);
    registry.action(CopySnapshot);
    registry.action(FindAutomatedBackup);
    registry.action(FindSnapshot);
    registry.action(PromoteReplica);
    registry.action(RestorePointInTime);
    registry.action(RestoreSnapshot);
    registry.resource(DbInstanceKind);
    registry.resource(DbSnapshotKind);
    registry.resource(PromotedReplicaKind);
}
