//! HTTP endpoints of recovered services: whether they answer as they should.
//!
//! Main type: [`HttpCheck`]. It sends nothing that changes something. The client belongs to [`crate::outside`].

mod check;
mod input;
#[cfg(test)]
mod tests;

pub use check::{HttpCheck, Output};
pub use input::{Input, Method};

use crate::action::Registry;

/// Adds what this provider knows.
pub(super) fn register(registry: &mut Registry) {
    registry.action(HttpCheck);
}
