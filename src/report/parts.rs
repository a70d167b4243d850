//! The lists of a report: steps, checks, findings, resources, calls, and what was left out.

use super::model::Verdict;
use crate::action::{Phase, Registry};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{
    Approval, Check, Event, Failure, Finding, Outcome, Record, RecoveryPoint, ResourceKey, Wait,
    WorldKind,
};
use crate::plan::Plan;
use crate::scenario::Gate;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where steps ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteReport {
    /// The site.
    pub site: SiteName,
    /// The region that the plan names.
    pub region: String,
    /// The account that the plan demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_account: Option<String>,
    /// The account that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The ARN of the identity that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// True when the disaster takes it away.
    pub lost: bool,
}

/// Moments that a report knows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The disaster happens. In a drill this is the moment of the declaration.
    Occurred,
    /// It is noticed. In a drill this is the moment of the declaration.
    Detected,
    /// It is declared, and recovery is decided.
    Declared,
    /// The first step after the declaration began.
    FirstAction,
    /// A restored thing is said to be available by its service.
    ResourceAvailable,
    /// A first query or read of the restored data succeeded.
    DataReadable,
    /// The last acceptance gate passed.
    Accepted,
    /// The last assurance gate passed.
    Assured,
    /// Restored storage is loaded.
    Hydrated,
    /// Traffic goes to the restored side.
    CutOver,
    /// The last resource of the run is gone.
    Released,
}

impl Moment {
    /// As people say it: `data readable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Occurred => "occurred",
            Self::Detected => "detected",
            Self::Declared => "declared",
            Self::FirstAction => "first action",
            Self::ResourceAvailable => "resource available",
            Self::DataReadable => "data readable",
            Self::Accepted => "accepted",
            Self::Assured => "assured",
            Self::Hydrated => "hydrated",
            Self::CutOver => "cut over",
            Self::Released => "released",
        }
    }
}

/// A moment of the recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockMoment {
    /// Which one.
    pub moment: Moment,
    /// When (UTC): the service's own time where it gives one.
    pub at: DateTime<Utc>,
    /// Time since the declaration. `None` for what came before, and where nothing was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_declared: Option<HumanDuration>,
    /// The step that reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Who says so: `journal`, `polled`, `RDS event`, `taken as the declaration`.
    pub source: String,
    /// Positions of the journal records that say so.
    pub evidence: Vec<u64>,
}

/// A recovery point that a step found or proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointSeen {
    /// The step.
    pub step: StepId,
    /// How that step ended: only points of passed steps count.
    pub outcome: Outcome,
    /// Why its time is no proof of the recovery point objective; absent where it counts. The worst case of the schedule
    /// counts in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does_not_count: Option<String>,
    /// The point.
    pub point: RecoveryPoint,
    /// Position of the journal record.
    pub evidence: Vec<u64>,
}

/// The steps as they ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// The steps in the order of the plan.
    pub steps: Vec<StepReport>,
    /// The chain of steps, each of which held up the next, that ends at the last acceptance gate: what would have to be
    /// faster for the recovery to be faster.
    pub critical_path: Vec<StepId>,
}

/// One step as it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The step.
    pub id: StepId,
    /// What it is for.
    pub title: String,
    /// The action.
    pub uses: String,
    /// Where it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<SiteName>,
    /// The part of the drill.
    pub phase: Phase,
    /// What it decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Whether the run can pass without it.
    pub required: bool,
    /// How it ended: the worst of its result and its checks.
    pub outcome: Outcome,
    /// Why it was left out, or why it is not passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it, where its failure says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// When its first attempt began (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<DateTime<Utc>>,
    /// When it ended (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime<Utc>>,
    /// From the first record of the run to its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<HumanDuration>,
    /// How long it took, all attempts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<HumanDuration>,
    /// Its time limit.
    pub limit: HumanDuration,
    /// True when it lies on the critical path.
    pub critical: bool,
    /// Steps that had to end before.
    pub needs: Vec<StepId>,
    /// Its attempts.
    pub attempts: Vec<AttemptReport>,
    /// What it waited for.
    pub waits: Vec<Wait>,
    /// How long it waited for a person.
    pub waiting_for_people: HumanDuration,
    /// How long it waited for expired credentials to be renewed.
    #[serde(default, skip_serializing_if = "HumanDuration::is_zero")]
    pub waiting_for_credentials: HumanDuration,
    /// Positions of the journal records of its beginning and end.
    pub evidence: Vec<u64>,
}

/// One attempt of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptReport {
    /// From 1.
    pub number: u32,
    /// When it began (UTC).
    pub started: DateTime<Utc>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One assertion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// The step that made it.
    pub step: StepId,
    /// In which attempt.
    pub attempt: u32,
    /// True when a later attempt made the step's checks again: it is shown, and does not count.
    pub superseded: bool,
    /// Whether the run can pass without it.
    pub required: bool,
    /// The assertion with what was expected and observed.
    pub check: Check,
    /// When (UTC).
    pub at: DateTime<Utc>,
    /// Position of the journal record.
    pub evidence: Vec<u64>,
}

/// Something that a person should act on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingReport {
    /// The step that found it.
    pub step: StepId,
    /// What was found.
    pub finding: Finding,
    /// When (UTC).
    pub at: DateTime<Utc>,
    /// Position of the journal record.
    pub evidence: Vec<u64>,
}

/// What became of a resource.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// Gone: a look-up said so.
    Released,
    /// Left on purpose.
    Kept,
    /// It could not be removed.
    Left,
    /// It was made, and nothing says that it is gone.
    Owned,
    /// It was about to be made, and nothing says whether it was.
    Intended,
}

impl ResourceState {
    /// True when somebody has to look after it.
    pub fn is_left_behind(self) -> bool {
        matches!(self, Self::Left | Self::Owned | Self::Intended)
    }

    /// As people say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Kept => "kept on purpose",
            Self::Left => "left behind",
            Self::Owned => "made, not released",
            Self::Intended => "intended, fate unknown",
        }
    }
}

/// A resource of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceReport {
    /// What it is called.
    pub key: ResourceKey,
    /// What the service calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The step that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What became of it.
    pub state: ResourceState,
    /// How it was released, or why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The command that deletes it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Positions of the journal records about it.
    pub evidence: Vec<u64>,
}

/// What was there before the first step and after the last release, by listing it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryReport {
    /// What the listings show, in one sentence.
    pub claim: String,
    /// True when everything that the run can make was listed at the end wherever it can make it, and nothing of the run
    /// was there but what is known to be left. False is not "something is left": then nobody looked, or could.
    pub verified: bool,
    /// One for each kind and site.
    pub lines: Vec<InventoryLine>,
}

/// One kind at one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryLine {
    /// The kind: `rds.db_instance`.
    pub kind: String,
    /// The site that was asked.
    pub site: SiteName,
    /// The bucket and prefix, for kinds that are listed place by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How many there were before the first step, whoever made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many there were after everything was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Things of this run that were there afterwards: names.
    pub ours: Vec<String>,
    /// Those among them that are neither kept on purpose nor known to be left: nobody expected them.
    pub unexpected: Vec<String>,
    /// What this shows, in words.
    pub said: String,
    /// Passed: nothing unexpected was there. Failed: something was. Inconclusive: it was not listed.
    pub outcome: Outcome,
}

/// Where a person was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalReport {
    /// The step that asked.
    pub step: StepId,
    /// What was asked.
    pub text: String,
    /// When (UTC).
    pub asked: DateTime<Utc>,
    /// Until when an answer was waited for (UTC).
    pub deadline: DateTime<Utc>,
    /// When it was answered (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<DateTime<Utc>>,
    /// How long the run waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<HumanDuration>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Positions of the journal records.
    pub evidence: Vec<u64>,
}

/// Calls of one operation at one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallReport {
    /// Service and operation as in IAM: `rds:DescribeDBInstances`.
    pub operation: String,
    /// The site that was called.
    pub site: SiteName,
    /// How often it was called, retries included.
    pub count: u64,
    /// How many of these did not succeed.
    pub failed: u64,
    /// How many of these were made to remove what the run had made.
    #[serde(default, skip_serializing_if = "is_none")]
    pub removing: u64,
    /// The request id of the last call, where the service gave one: CloudTrail finds it by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request_id: Option<String>,
    /// The steps that called it.
    pub steps: Vec<StepId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Why something is missing from the proof.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OmissionKind {
    /// The run, or the proof as a whole.
    Run,
    /// An objective without a measure.
    Objective,
    /// A step that was left out.
    Step,
    /// A check that could not be made, or was made over nothing.
    Check,
    /// Something that this kind of run cannot show.
    Scope,
    /// An action that was never exercised on real AWS.
    Action,
    /// An earlier run whose journal is missing.
    History,
}

/// Something that was not done or not verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Omission {
    /// What kind of thing is missing.
    pub kind: OmissionKind,
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// An earlier run of the same scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierRun {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub run: RunId,
    /// When it started (UTC), where that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<DateTime<Utc>>,
    /// Its verdict. `None` when it never came to an end, or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Real services, another endpoint, or a rehearsal, where that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<WorldKind>,
    /// True when it was ended early.
    pub cancelled: bool,
    /// Why nothing can be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl EarlierRun {
    /// A run from its plan and its journal, judged as the report judges.
    pub fn of(plan: &Plan, records: &[Record]) -> Self {
        match super::report(plan, records, &[], &Registry::default()) {
            Ok(report) => Self {
                number: report.run.number,
                run: report.run.id,
                started: Some(report.run.started),
                verdict: (!report.exit.unfinished).then_some(report.verdict.outcome),
                world: Some(report.run.world),
                cancelled: report.exit.cancelled_by.is_some(),
                unreadable: None,
            },
            Err(error) => {
                let head = records.first().map(|record| &record.event);
                let (number, run) = match head {
                    Some(Event::RunStarted { number, run, .. }) => (*number, run.as_str()),
                    _ => (0, "unknown"),
                };
                Self::unreadable(number, run, &error.to_string())
            }
        }
    }

    /// A run of which the journal cannot be read, or proves nothing.
    pub fn unreadable(number: u32, run: &str, why: &str) -> Self {
        Self {
            number,
            run: RunId::new(run),
            started: None,
            verdict: None,
            world: None,
            cancelled: false,
            unreadable: Some(why.to_owned()),
        }
    }
}
