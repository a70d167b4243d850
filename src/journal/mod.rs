//! What happened: the run's events, in order. Everything else about a run is a pure function of them.
//!
//! Main types: [`Event`], [`Record`], [`RunState`], [`Ledger`]. Everything that is stored lives here; nothing in here
//! calls a service or asks for the time.

mod event;
mod facts;

pub use event::{Event, Record};
pub use facts::{
    Approval, CallSeen, Check, ClockPoint, Failure, FailureClass, Finding, Measure, Outcome,
    RecoveryPoint, ResourceKey, Severity, StepResult, Wait, WorldKind,
};
