//! The simulated Aurora: clusters, their members and their snapshots. Members are DB instances that share the storage of
//! their cluster.
//!
//! Main types: [`Cluster`], [`ClusterSnapshot`].

mod copies;
mod describe;
mod history;
mod lifecycle;
mod members;
mod model;
mod restore;
mod snapshots;
mod xml;

pub(crate) use model::{Cluster, ClusterSnapshot, inventory};

use crate::sandbox::services::{Call, unknown_action};
use crate::sandbox::wire::{AwsError, Xml};

/// Answers a call to RDS that is about clusters.
pub(super) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    match call.action() {
        "DescribeDBClusters" => describe::clusters(call),
        "DescribeDBClusterParameterGroups" => describe::parameter_groups(call),
        "DescribeDBClusterParameters" => describe::parameters(call),
        "DescribeDBClusterSnapshots" => snapshots::describe(call),
        "RestoreDBClusterFromSnapshot" => restore::from_snapshot(call),
        "RestoreDBClusterToPointInTime" => restore::to_point_in_time(call),
        "CopyDBClusterSnapshot" => copies::copy(call),
        "DeleteDBClusterSnapshot" => copies::delete(call),
        "CreateDBInstance" => members::create(call),
        "ModifyDBCluster" => lifecycle::modify(call),
        "DeleteDBCluster" => lifecycle::delete(call),
        other => Err(unknown_action(other)),
    }
}

pub(super) fn cluster_not_found(id: &str) -> AwsError {
    AwsError::new(404, "DBClusterNotFoundFault", format!("DBCluster {id} not found."))
}

pub(super) fn cluster_snapshot_not_found(id: &str) -> AwsError {
    let what = format!("DBClusterSnapshot {id} not found.");
    AwsError::new(404, "DBClusterSnapshotNotFoundFault", what)
}

fn wrong_state(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidDBClusterStateFault", what)
}
