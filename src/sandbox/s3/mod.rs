//! The sandbox's S3: buckets, versions and replication that follow the estate's clock.
//!
//! Main type: [`S3State`]. The protocol (parsing, signatures, aws-chunked bodies, XML) is the `s3s` crate's; what a bucket
//! *is* lives here. Nothing runs in the background: whether a replica has arrived is computed from the time at which
//! somebody looks. Requests to a place that is lost must be refused before they come here, as connections are.

mod buckets;
mod content;
mod convert;
mod estate;
mod listing;
mod multipart;
mod objects;
mod pages;
mod replication;
mod route;
mod seeding;
mod service;
mod state;
mod store;
mod upload;

#[cfg(test)]
mod tests;

pub use estate::{
    BucketEstate, BucketKms, Moment, ObjectEstate, PlacedBucket, ReplicationEstate,
    ReplicationFate, ReplicationTarget, RuleStatus, Versioning,
};
pub use route::{FIDELITY, operation_name};
pub use seeding::check;
pub use state::S3State;
