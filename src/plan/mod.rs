//! What will happen: a checked graph of steps, every limit set, every reference known to resolve. Pure.
//!
//! Main type: [`Plan`]. It is immutable, and its digest stands in every journal, runbook and report.

mod model;

pub use model::{Plan, PlannedStep};
