//! Amazon S3: whether a replica bucket holds what its source holds, and how fast replication is.
//!
//! Main types: [`CheckReplication`], [`ReplicateCanary`] (actions) and [`CanaryObjectKind`] (what a canary leaves behind).
//! Decisions are functions over plain data: `rules` (does a rule cover the prefix), `compare` (the merge of two listings)
//! and `judge` (checks, findings, recovery point). Restoring data from S3 does not belong in here.

mod bucket;
mod by_hand;
mod canary_object;
mod check_replication;
mod compare;
mod judge;
mod listing;
mod replicate_canary;
mod rules;

use crate::action::Registry;
use canary_object::CanaryObjectKind;
use check_replication::CheckReplication;
use chrono::{DateTime, Utc};
use replicate_canary::ReplicateCanary;

/// Adds what this program knows about S3.
pub fn register(registry: &mut Registry) {
    registry.action(CheckReplication);
    registry.action(ReplicateCanary);
    registry.resource(CanaryObjectKind);
}

/// A time of the SDK, in UTC.
fn time_of(time: &aws_sdk_s3::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
