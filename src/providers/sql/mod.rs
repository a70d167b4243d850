//! Databases, asked in SQL: whether they answer, what they hold, and up to which moment.
//!
//! Main type: [`SqlCheck`]. Connections are made by [`crate::outside`], which answers the rungs of a check for each kind
//! of server; nothing of a driver belongs here.

mod asking;
mod before;
mod by_hand;
mod by_hand_ladder;
mod capture_reference;
mod check;
mod checksums;
mod comparing;
mod connection;
mod counted;
mod credentials;
mod hydrate;
mod hydrating;
mod input;
mod judge;
mod newest;
mod origin;
mod own_schema;
mod parentheses;
mod percent;
mod problems;
mod proving;
mod recent;
mod reference;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod regressions_of_nothing;
mod rows;
mod schema;
mod selecting;
mod soundness;
mod statement;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
mod try_write;
mod vacuous;

pub use capture_reference::{CaptureReference, CaptureReferenceInput, CaptureReferenceOutput};
pub use check::{Output, SqlCheck};
pub use checksums::ChecksumsInput;
pub use connection::TlsInput;
pub use credentials::Credentials;
pub use hydrate::{Hydrate, HydrateInput, HydrateOutput, Latency};
pub use input::{Input, LoginInput, PointInput, QueryInput, SourceInput};
pub use origin::ReferenceOf;
pub use own_schema::OwnSchemaKind;
pub use percent::Percent;
pub use reference::{
    RangeReference, Reference, ReferenceInput, TableReference, Wanted, take as take_reference,
};
pub use rows::RowsInput;
pub use schema::SchemaInput;
pub use soundness::InspectInput;
pub use tables::Tables;
pub use try_write::{TryWrite, TryWriteInput, TryWriteOutput};

use crate::action::Registry;

/// Adds what this provider knows.
pub(super) fn register(registry: &mut Registry) {
    registry.action(CaptureReference);
    registry.action(Hydrate);
    registry.action(SqlCheck);
    registry.action(TryWrite);
    registry.resource(OwnSchemaKind);
}
