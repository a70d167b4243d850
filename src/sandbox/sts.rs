//! The simulated STS.

use super::services::{Call, unknown_action};
use super::wire::{AwsError, Xml};

/// Answers a call to STS.
pub(crate) fn answer(call: Call<'_>) -> Result<Xml, AwsError> {
    Err(unknown_action(call.action()))
}
