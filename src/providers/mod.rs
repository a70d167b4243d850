//! One folder per service: everything that this program knows about it (actions, kinds of resources, runbook words).
//!
//! Providers never use each other, nor the engine.

pub mod control;
pub mod exec;
pub mod http;
pub mod sql;

use crate::action::Registry;

/// All that there is.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    control::register(&mut registry);
    exec::register(&mut registry);
    http::register(&mut registry);
    sql::register(&mut registry);
    registry
}
