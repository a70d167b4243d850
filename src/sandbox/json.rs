//! The simulated KMS and Secrets Manager.

use super::services::{Call, unknown_action};
use super::wire::{AwsError, Service};
use serde_json::Value;

/// Answers a call to KMS or Secrets Manager.
pub(crate) fn answer(_service: Service, call: Call<'_>) -> Result<Value, AwsError> {
    Err(unknown_action(call.action()))
}
