//! Expressions in scenarios: `{{steps.point.arn}}`, `{{concat vars.name "-restored"}}`.
//!
//! Main types: [`Template`] (a text that has been read), [`Reference`] (what it refers to), [`Scope`] (what references
//! stand for) and its usual implementation [`Names`]. The one type rule: *a scalar that is exactly one `{{…}}` keeps the type
//! of what it refers to; anything longer is text, and a list, a mapping or nothing inside it is an error; a missing
//! value is always an error; a text that comes out of an expression is never read as one again; nothing is HTML-escaped.*
//!
//! Handlebars reads the syntax; of what it understands only paths and the helpers of [`HELPERS`] are accepted, because
//! blocks, partials and decorators can hide a missing value, or recurse without end.

mod evaluate;
mod helpers;
mod template;

pub(crate) use evaluate::resolve_known_counted;
pub use evaluate::{Found, Names, Scope, resolve, resolve_known};
pub use helpers::{HELPERS, HelperFacts};
pub use template::{ExpressionError, Reference, Template, references};
