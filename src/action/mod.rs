//! The contract of a step: what an action declares, how it runs, and what it may use while it does.
//!
//! Main types: [`Action`] (typed, what providers implement), [`ActionEntry`] (erased, what plan, engine, runbook and
//! documentation use), [`StepContext`] (an action's only powers), [`ResourceKind`] (how one kind of created thing is
//! found and removed), [`Registry`]. No service names belong in here.

mod beside;
mod context;
mod error;
mod expected;
mod facts;
mod grant;
mod hand_shell;
mod input_problem;
mod latest;
mod poll;
mod preflight;
mod registry;
mod resource;
mod retry;
mod runbook;
mod wait;

pub use beside::Beside;
pub(crate) use context::Naming;
pub use context::{Recorder, RunFacts, Sessions, StepContext};
pub use error::StepError;
pub use expected::ExpectedTimes;
pub use facts::{ActionFacts, Effect, Exercised, Permission, Phase, Proof, SiteUse};
pub use grant::{Given, Grant, Limit, Target};
pub use hand_shell::{HandShell, Wait};
pub use input_problem::InputProblem;
pub use latest::{Latest, own_latest};
pub use poll::{Fetched, SharedLook};
pub use preflight::{Probe, ProbeVerdict};
pub use registry::{Action, ActionEntry, Registry};
pub use resource::{
    EXPIRES_TAG, Expiry, Found, Listed, Listing, NEVER, RUN_TAG, Reach, ResourceContext,
    ResourceKind, own, removal,
};
pub use runbook::{ByHand, HandInput, HandSection};
pub use wait::{Look, WaitPlan};
