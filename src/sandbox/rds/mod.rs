//! The simulated RDS: database instances, their snapshots, and what a restore refers to.
//!
//! Main types: [`Instance`], [`DbSnapshot`].

mod model;

pub(crate) use model::{Content, DEFAULT_VPC, DbSnapshot, Instance, RdsEvent, Settings, inventory};

use super::services::{Call, unknown_action};
use super::wire::{AwsError, Xml};

/// Answers a call to RDS.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    Err(unknown_action(call.action()))
}
