//! Databases, asked in SQL: whether they answer, what they hold, and up to which moment.
//!
//! Main type: [`SqlCheck`]. It changes nothing. Connections are made by [`crate::outside`]; nothing of a driver
//! belongs here.

mod before;
mod by_hand;
mod check;
mod credentials;
mod input;
mod judge;
mod problems;
mod statement;
#[cfg(test)]
mod tests;

pub use check::{Output, SqlCheck};
pub use credentials::Credentials;
pub use input::{Input, QueryInput, TlsInput};

use crate::action::Registry;

/// Adds what this provider knows.
pub(super) fn register(registry: &mut Registry) {
    registry.action(SqlCheck);
}
