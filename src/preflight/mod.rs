//! What a look before the day of a drill means: pure, from probes to checks, permissions and an exit code.
//!
//! Main function: [`judge`], which gives a [`Preflight`]. The looks themselves are made by actions
//! ([`crate::action::Action::preflight`]); nothing in here calls anything. A look that could not be made is never good
//! news.

mod judge;
mod model;

pub use judge::{Looked, SiteIdentity, judge};
pub use model::{Outcome, Preflight, PreflightCheck, SitePreflight, Summary};
