//! What the operator wrote: the scenario language, version 1.
//!
//! Main type: [`Scenario`]. Reading, positions, the published schema and the checks that need no network live here;
//! nothing in here resolves references to a run or calls anything.

mod model;

pub use model::{
    Assumptions, DataClass, Disaster, DisasterKind, Gate, Guard, InputDeclaration, InputKind, Mode,
    Modes, Objectives, OnFailure, RecoveryLevelObjective, RecoveryPointObjective,
    RecoveryTimeObjective, RtoFrom, Scenario, Site, Step,
};
