//! Programs that a scenario names: its own checks and tools.
//!
//! Main types: [`ExecRun`], and [`ExecEffect`] for what a program made. How processes are started belongs to
//! [`crate::outside`].

mod before;
mod effect;
mod input;
#[cfg(test)]
mod place_tests;
mod run;
#[cfg(test)]
mod tests;

pub use effect::ExecEffect;
pub use input::{Hold, Input, Parse};
pub use run::{ExecRun, Output};

use crate::action::Registry;

/// Adds what this provider knows.
pub(super) fn register(registry: &mut Registry) {
    registry.action(ExecRun);
    registry.resource(ExecEffect);
}
