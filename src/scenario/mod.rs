//! What the operator wrote: the scenario language, version 1.
//!
//! Main type: [`Scenario`]; main function: [`load`]. Reading, positions, the published [`schema`], the expressions and the checks
//! that need no network live here; nothing in here resolves references to a run or calls anything.

mod check;
mod codes;
mod diagnostic;
mod editor;
pub mod expression;
#[cfg(test)]
mod fresh;
mod model;
mod render;
mod schema;
mod source;
mod suggest;
#[cfg(test)]
pub(crate) mod testing;

pub use check::{Loaded, load, load_text};
pub(crate) use check::{Validators, each_text, is_of_kind, names_a_site_to_write};
pub use codes::{CODES, CodeFacts, code_facts, errors_markdown};
pub use diagnostic::{Diagnostic, Severity};
pub use model::{
    Assumptions, DataClass, Disaster, DisasterKind, Gate, Guard, Hook, InputDeclaration, InputKind,
    Mode, Modes, Objectives, OnFailure, RecoveryLevelObjective, RecoveryPointObjective,
    RecoveryTimeObjective, RtoFrom, Scenario, Site, Step,
};
pub use render::render;
pub use schema::schema;
pub use source::Source;
pub(crate) use source::{Kind, Node};
pub(crate) use suggest::nearest;
