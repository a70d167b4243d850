//! How reports and runbooks read: pure functions from data to text, the same bytes for the same input.
//!
//! Main functions: [`html`], [`markdown`], [`json`], [`junit`], [`terminal`] for a [`crate::report::Report`], and
//! [`runbook()`] for a plan; [`iam()`] and [`preflight()`] for what is asked before a drill. Nothing in here judges, measures, or reads a file or a clock; no other module uses
//! handlebars for output.

mod actions;
mod by_hand;
mod depth;
mod format;
mod html;
mod iam;
mod json;
mod junit;
mod markdown;
mod preflight;
mod runbook;
mod shell;
mod svg;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

pub use actions::{action_json, action_text, actions_json, actions_markdown};
pub use html::html;
pub use iam::iam;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use preflight::preflight;
pub use runbook::{LastDrill, runbook, runbook_after};
pub use terminal::terminal;

/// A template or a format did not take the data. The templates are part of the program and tested: this is a mistake in
/// the program, not in the input.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the {what}: {why}")]
pub struct RenderError {
    what: &'static str,
    why: String,
}

impl RenderError {
    fn new(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }
}

impl From<RenderError> for crate::error::Error {
    fn from(error: RenderError) -> Self {
        Self::broken(error.to_string())
    }
}
