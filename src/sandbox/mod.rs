//! A simulated AWS estate behind the real SDK clients: for trying the program without an account, for testing
//! scenarios, and for testing the runner itself.
//!
//! Main types: [`Estate`] (what exists, as written) and [`World`] (the same in motion). An estate's truth is for the
//! world alone: actions and the engine see what the SDK's clients see. Not a general emulator of AWS: it simulates
//! the time, life cycle, replication and failure of what drills touch, and [`FIDELITY`] says how far.

mod answers;
mod cbor;
mod cloudwatch;
mod connector;
mod ec2;
pub mod estate;
mod etcd;
mod fault;
mod fault_table;
mod fidelity;
mod files;
mod history;
mod json;
mod keys;
mod page;
mod rds;
pub mod s3;
mod serve;
mod services;
mod sql;
mod state;
mod sts;
mod trial;
mod wire;
mod world;

pub use answers::{Answers, ApprovalAnswer, CommandAnswer, EstateOutside, HttpAnswer};
pub use estate::Estate;
pub use etcd::EtcdAnswer;
pub use fault::{Fault, FaultEffect, FaultError};
pub use fidelity::{FIDELITY, Operation, operations};
pub use files::{FileAnswer, KeptFile};
#[cfg(test)]
pub(crate) use s3::BucketEstate;
pub use serve::{Reach, Server, serve, serve_connection};
pub use sql::{DatabaseLogin, QueryRefused, Rows, SqlValue};
pub use trial::TrialAnswer;
pub use wire::{ConnectionFailure, Reply};
pub use world::{CONNECT_TIMEOUT, READ_TIMEOUT, World, endpoint};

#[cfg(test)]
mod tests;
