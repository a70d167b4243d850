//! The simulated EC2: volumes, their snapshots, tags, and what little of networks a restore asks about.
//!
//! Main types: [`Volume`], [`EbsSnapshot`].

mod ask;
mod model;
mod network;
mod snapshots;
mod tags;
mod volumes;

pub(crate) use model::{EbsSnapshot, Volume, inventory};

use super::services::{Call, unknown_action};
use super::wire::{AwsError, Xml};

/// Answers a call to EC2.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    match call.action() {
        "DescribeSnapshots" => snapshots::describe(call),
        "CopySnapshot" => snapshots::copy(call),
        "DeleteSnapshot" => snapshots::delete(call),
        "DescribeVolumes" => volumes::describe(call),
        "CreateVolume" => volumes::create(call),
        "DeleteVolume" => volumes::delete(call),
        "CreateTags" => tags::create(call),
        "DescribeTags" => tags::describe(call),
        "DescribeSecurityGroups" => network::security_groups(call),
        "DescribeAvailabilityZones" => network::availability_zones(call),
        other => Err(unknown_action(other)),
    }
}
