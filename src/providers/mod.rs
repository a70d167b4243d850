//! One folder per service: everything that this program knows about it (actions, kinds of resources, runbook words).
//!
//! Providers never use each other, nor the engine.

mod backups;
pub mod ebs;
pub mod rds;

use crate::action::Registry;

/// All that there is.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    ebs::register(&mut registry);
    rds::register(&mut registry);
    registry
}
