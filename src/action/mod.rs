//! The contract of a step: what an action declares, how it runs, and what it may use while it does.
//!
//! Main types: [`Action`] (typed, what providers implement), [`ActionEntry`] (erased, what plan, engine, runbook and
//! documentation use), [`StepContext`] (an action's only powers), [`ResourceKind`] (how one kind of created thing is
//! found and removed), [`Registry`]. No service names belong in here.

mod context;
mod error;
mod facts;
mod poll;
mod registry;
mod resource;
mod retry;
mod runbook;
mod wait;

pub use context::{Recorder, RunFacts, Sessions, StepContext};
pub use error::StepError;
pub use facts::{ActionFacts, Effect, Exercised, Permission, Phase, Proof, SiteUse};
pub use poll::{Fetched, SharedLook};
pub use registry::{Action, ActionEntry, Registry};
pub use resource::{Found, ResourceContext, ResourceKind, own};
pub use runbook::{ByHand, HandInput};
pub use wait::{Look, WaitPlan};
