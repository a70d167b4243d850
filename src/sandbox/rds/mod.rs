//! The simulated RDS: database instances, their snapshots, and what a restore refers to.
//!
//! Main types: [`Instance`], [`DbSnapshot`]; for Aurora [`Cluster`], [`ClusterSnapshot`].

mod ask;
mod aurora;
mod automated_backups;
mod copies;
mod describe;
mod engine_versions;
mod groups;
mod lifecycle;
mod model;
mod point_in_time;
mod replicas;
mod snapshots;
mod tags;
mod xml;

pub(crate) use aurora::{Cluster, ClusterSnapshot, inventory as inventory_of_clusters};
pub(crate) use automated_backups::AutomatedBackup;
pub(crate) use model::{Content, DEFAULT_VPC, DbSnapshot, Instance, RdsEvent, Settings, inventory};

use super::services::Call;
use super::wire::{AwsError, Xml};

/// Answers a call to RDS.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    match call.action() {
        "DescribeDBInstances" => describe::instances(call),
        "DescribeDBSnapshots" => snapshots::describe(call),
        "DescribeDBInstanceAutomatedBackups" => automated_backups::describe(call),
        "DescribeAccountAttributes" => describe::account_attributes(call),
        "DescribeDBEngineVersions" => engine_versions::describe(call),
        "DescribeEvents" => describe::events(call),
        "DescribeDBParameters" => groups::parameters(call),
        "DescribeDBParameterGroups" => groups::parameter_groups(call),
        "DescribeDBSubnetGroups" => groups::subnet_groups(call),
        "RestoreDBInstanceFromDBSnapshot" => lifecycle::restore(call),
        "RestoreDBInstanceToPointInTime" => point_in_time::restore(call),
        "PromoteReadReplica" => replicas::promote(call),
        "ModifyDBInstance" => lifecycle::modify(call),
        "DeleteDBInstance" => lifecycle::delete(call),
        "CopyDBSnapshot" => copies::copy(call),
        "DeleteDBSnapshot" => copies::delete(call),
        "AddTagsToResource" => tags::add(call),
        "ListTagsForResource" => tags::list(call),
        _ => aurora::answer(call),
    }
}
