//! What will happen: a checked graph of steps, every limit set, every reference known to resolve. Pure.
//!
//! Main type: [`Plan`]; main function: [`compile`]. A plan is immutable, and its digest stands in every journal, runbook and
//! report.

mod compile;
mod grants;
mod inputs;
mod model;
mod view;

#[cfg(test)]
mod tests;

pub use compile::{Options, RunMode, compile};
pub use grants::{StepGrant, given, grants};
pub use model::{Plan, PlannedStep, is_external};
pub use view::{Outline, PhaseOutline, StepOutline, latest_ends, made_at, outline};
