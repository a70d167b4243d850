//! What happened: the run's events, in order. Everything else about a run is a pure function of them.
//!
//! Main types: [`Event`], [`Record`], [`Journal`], [`RunState`], [`Ledger`]. Everything that is stored lives here; nothing
//! in here calls a service or asks for the time. The format is described in `docs/journal-format.md`.

mod event;
mod facts;
mod ledger;
mod log;
mod mode;
mod read;
mod state;
mod waits;

pub use event::{Event, FORMAT, Record};
pub use facts::{
    Approval, ApprovalProof, ApproverIdentity, CallSeen, Check, ClockPoint, Failure, FailureClass,
    Finding, Inventory, InventoryItem, InventoryTime, LimitsFile, Measure, Moment, NewestPossible,
    Outcome, RecoveryPoint, ResourceKey, Severity, StepResult, Wait, WorldKind,
};
pub use ledger::{Holding, Ledger};
pub use log::{Hold, Journal, SegmentStore, Sink, digest_of};
pub use mode::share_as_its_folder;
pub use read::{Contents, ReadError, read, read_bytes};
pub use state::{Impossible, Question, RunHead, RunState, StepState};
pub use waits::{StepWait, waits};
