//! What a run means: verdict, objectives, timeline, findings, and what was not verified. Pure.
//!
//! Main types: [`Report`], made by [`report()`] from plan, journal and earlier runs. Every number in it cites the journal
//! records it came from, and it is compared with the journal before anybody sees it. Nothing in here reads a file, asks
//! for the time or knows how a report looks.

mod beside;
mod build;
mod critical;
mod depth;
#[cfg(test)]
mod depth_tests;
mod fold;
mod inventory;
mod ladders;
mod model;
mod objectives;
mod omissions;
mod outcome;
mod parts;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
mod selfcheck;
mod tables;
#[cfg(test)]
mod tests;

pub use build::{ReportError, journal_digest, report, schema};
pub use depth::{DepthReport, PartReport, RungReport};
pub use model::{
    ExitReport, Report, Rule, RunReport, ScenarioReport, Standstill, Verdict, VerdictReport,
};
pub use outcome::{
    Assumed, DecidedBy, LevelReport, Margin, ObjectiveOutcome, ObjectivesReport, PointReport,
    StepOutcome, TimeReport,
};
pub use parts::{
    ApprovalReport, AttemptReport, CallReport, CheckReport, ClockMoment, EarlierRun, FindingReport,
    InventoryLine, InventoryReport, Moment, Omission, OmissionKind, PointSeen, ResourceReport,
    ResourceState, SiteReport, StepReport, Timeline,
};
