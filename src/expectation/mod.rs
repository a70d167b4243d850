//! What a scenario expects of a value: `<= 26h`, `= 0`, `1..10`, `~ ^db\.r6g`, `true`.
//!
//! Main type: [`Expectation`]. It knows values, not where they come from.

mod decimal;
mod parse;

pub use decimal::Decimal;
pub use parse::{Expectation, ValueKind, pattern};
