//! The simulated EC2: volumes, their snapshots, tags, and what little of networks a restore asks about.
//!
//! Main types: [`Volume`], [`EbsSnapshot`].

mod model;

pub(crate) use model::{EbsSnapshot, Volume, inventory};

use super::services::{Call, unknown_action};
use super::wire::{AwsError, Xml};

/// Answers a call to EC2.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    Err(unknown_action(call.action()))
}
