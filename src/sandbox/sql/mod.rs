//! The contents of simulated databases, in SQLite.
//!
//! Main types: [`DatabaseLogin`], [`Rows`]. SQLite is asked in memory only, and learns neither the real time nor
//! anything of the file system.

mod contents;
mod dialect;
mod hydration;
mod ladder;
mod own_schema;
mod query;
mod structure;

pub(crate) use contents::{Databases, try_out};
pub(crate) use query::Contents;
pub use query::{DatabaseLogin, QueryRefused, Rows, SqlValue};
