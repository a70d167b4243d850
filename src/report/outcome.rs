//! What was measured against the objectives.

use crate::ids::StepId;
use crate::journal::{Measure, Outcome};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The objectives that the scenario declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectivesReport {
    /// Recovery time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<TimeReport>,
    /// Recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<PointReport>,
    /// Recovery level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rlo: Option<LevelReport>,
}

impl ObjectivesReport {
    /// Name and outcome of each declared objective.
    pub fn outcomes(&self) -> Vec<(&'static str, ObjectiveOutcome)> {
        let time = self.rto.as_ref().map(|rto| ("RTO", rto.outcome));
        let point = self.rpo.as_ref().map(|rpo| ("RPO", rpo.outcome));
        let level = self.rlo.as_ref().map(|rlo| ("RLO", rlo.outcome));
        [time, point, level].into_iter().flatten().collect()
    }
}

/// Whether an objective was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveOutcome {
    /// Measured, and within the target.
    Met,
    /// Measured, and beyond the target.
    Missed,
    /// Not measured: neither met nor missed.
    NotMeasured,
}

impl fmt::Display for ObjectiveOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
        })
    }
}

/// The distance between target and measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Margin {
    /// True when the measured value lies beyond the target.
    pub over: bool,
    /// How far it lies from the target.
    pub by: HumanDuration,
}

impl Margin {
    /// The margin of a measured value. A value equal to the target is within it.
    pub fn between(target: HumanDuration, measured: HumanDuration) -> Self {
        let over = measured > target;
        let by = measured.0.abs_diff(target.0).into();
        Self { over, by }
    }
}

/// A time that a drill cannot measure and that the scenario gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assumed {
    /// What it stands for: `decision to recover`.
    pub what: String,
    /// How long.
    pub duration: HumanDuration,
}

/// Recovery time: objective and actual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeReport {
    /// The longest time allowed.
    pub target: HumanDuration,
    /// Where the target comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Which two moments the actual lies between, and what of it is assumed.
    pub definition: String,
    /// Met, missed or not measured.
    pub outcome: ObjectiveOutcome,
    /// Why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The recovery time actual: `measured` and everything `assumed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<HumanDuration>,
    /// What the clock of the run measured: from the declaration to the last acceptance gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<HumanDuration>,
    /// What the scenario gives because a drill cannot measure it.
    pub assumed: Vec<Assumed>,
    /// Part of `measured` during which the run waited for a person.
    pub waiting_for_people: HumanDuration,
    /// Part of `measured` during which no process of the run was at work, if there was such a time. It counts; where it
    /// alone decides between met and missed, the objective was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattended: Option<HumanDuration>,
    /// Part of `measured` during which the run waited for expired credentials to be renewed.
    #[serde(default, skip_serializing_if = "HumanDuration::is_zero")]
    pub waiting_for_credentials: HumanDuration,
    /// The distance to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The actual may be shorter by up to this much: waits on the critical path ended somewhere between two polls.
    pub uncertainty: HumanDuration,
    /// Said when the actual is a lower bound of the real thing: nothing was cut over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound: Option<String>,
    /// The steps that had to be accepted.
    pub gates: Vec<StepId>,
    /// Positions of the journal records that it was measured from.
    pub evidence: Vec<u64>,
}

/// What decides whether the recovery point objective was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The loss at the time of the drill.
    Day,
    /// The longest loss that the schedule allows.
    Schedule,
}

/// Recovery point: objective and actual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointReport {
    /// The longest loss allowed.
    pub target: HumanDuration,
    /// Where the target comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What was subtracted from what.
    pub definition: String,
    /// What the objective demands as a source.
    pub required: Measure,
    /// Met, missed or not measured.
    pub outcome: ObjectiveOutcome,
    /// Why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The value that decides: the worse of `of_the_day` and `worst_case`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<HumanDuration>,
    /// Which of the two it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<DecidedBy>,
    /// The loss, had the disaster happened when it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_the_day: Option<HumanDuration>,
    /// The longest loss that the schedule allows, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<HumanDuration>,
    /// The time of the newest data proven recovered (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<DateTime<Utc>>,
    /// Where that time was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What kind of source that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_from: Option<Measure>,
    /// The distance to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// Positions of the journal records that it was measured from.
    pub evidence: Vec<u64>,
}

/// A step and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepOutcome {
    /// The step.
    pub step: StepId,
    /// How it ended: `not_run` when nothing says that it did.
    pub outcome: Outcome,
}

/// Recovery level: objective and proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelReport {
    /// What the service can do afterwards.
    pub target: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What counts as proof.
    pub definition: String,
    /// The steps whose passing proves it, and how each ended.
    pub proven_by: Vec<StepOutcome>,
    /// Met, missed or not measured.
    pub outcome: ObjectiveOutcome,
    /// Why it was missed or not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Positions of the journal records that say so.
    pub evidence: Vec<u64>,
}
