//! One folder per service: everything that this program knows about it (actions, kinds of resources, runbook words).
//!
//! Providers never use each other, nor the engine.

pub mod aurora;
mod backups;
pub mod cloudwatch;
pub mod control;
mod earlier;
pub mod ebs;
pub mod etcd;
pub mod exec;
pub mod http;
pub mod rds;
pub mod s3;
pub mod sql;
#[cfg(test)]
mod stand;
#[cfg(test)]
mod trial;

use crate::action::Registry;

/// All that there is.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    aurora::register(&mut registry);
    cloudwatch::register(&mut registry);
    control::register(&mut registry);
    ebs::register(&mut registry);
    etcd::register(&mut registry);
    exec::register(&mut registry);
    http::register(&mut registry);
    rds::register(&mut registry);
    s3::register(&mut registry);
    sql::register(&mut registry);
    registry
}
