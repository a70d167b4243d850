use super::depth::DepthReport;
use super::outcome::ObjectivesReport;
use super::parts::{
    ApprovalReport, CallReport, CheckReport, ClockMoment, EarlierRun, FindingReport,
    InventoryReport, Omission, PointSeen, ResourceReport, SiteReport, Timeline,
};
use crate::error::ExitCode;
use crate::ids::{Digest, RunId, SiteName};
use crate::journal::{LimitsFile, WorldKind};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run means. A pure function of plan, journal and earlier runs.
///
/// Times are UTC. Durations are text such as `2h 14m 3s`. `evidence` holds the positions (`seq`) of the journal records
/// that a statement rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this format: 1.
    pub format: u32,
    /// The verdict, and every rule that led to it.
    pub verdict: VerdictReport,
    /// True when services were simulated: never evidence of recovery.
    pub rehearsal: bool,
    /// How the process ended, and each thing that has an exit code of its own.
    pub exit: ExitReport,
    /// The run.
    pub run: RunReport,
    /// What was rehearsed.
    pub scenario: ScenarioReport,
    /// The sites, and who answered there.
    pub sites: Vec<SiteReport>,
    /// Targets and what was measured against them.
    pub objectives: ObjectivesReport,
    /// How deep the recovery was verified, for each kind of service that it is about.
    #[serde(default)]
    pub depth: Vec<DepthReport>,
    /// Moments of the recovery, in order of time.
    pub clock: Vec<ClockMoment>,
    /// Points in time up to which data was found or proven recovered.
    pub recovery_points: Vec<PointSeen>,
    /// The steps as they ran.
    pub timeline: Timeline,
    /// Every assertion, in the order in which it was made.
    pub checks: Vec<CheckReport>,
    /// What a person should act on, gravest first.
    pub findings: Vec<FindingReport>,
    /// Everything that the run intended to make, and what became of it.
    pub resources: Vec<ResourceReport>,
    /// What was there before the first step and after the last release, by listing it.
    #[serde(default)]
    pub inventory: InventoryReport,
    /// Where a person was asked.
    pub approvals: Vec<ApprovalReport>,
    /// Calls of services, by operation and site.
    pub calls: Vec<CallReport>,
    /// Everything that weakens an objective, a check or the guard.
    pub deviations: Vec<String>,
    /// What was not done or not verified.
    pub omissions: Vec<Omission>,
    /// Earlier runs of the scenario that were handed in, by number: failed and cancelled ones included.
    pub history: Vec<EarlierRun>,
}

impl Report {
    /// How the process should end because of this report.
    pub fn exit_code(&self) -> ExitCode {
        let codes = [
            (!self.exit.refused.is_empty(), ExitCode::Refused),
            (self.exit.cancelled_by.is_some(), ExitCode::Cancelled),
            (self.verdict.outcome == Verdict::Failed, ExitCode::Failed),
            (self.exit.left_behind > 0, ExitCode::LeftBehind),
            (self.verdict.outcome == Verdict::Inconclusive, ExitCode::Inconclusive),
            (self.verdict.outcome == Verdict::Passed, ExitCode::Passed),
        ];
        ExitCode::worst(codes.into_iter().filter(|(applies, _)| *applies).map(|(_, code)| code))
    }
}

/// What a run proved.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was verified and every objective met.
    Passed,
    /// Something could not be verified.
    Inconclusive,
    /// An objective was missed, or a verification failed.
    Failed,
}

impl Verdict {
    /// As people say it: `passed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }
}

/// The verdict, in words, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReport {
    /// Passed, failed or inconclusive.
    pub outcome: Verdict,
    /// The verdict as it must be quoted: a rehearsal says that it is one.
    pub text: String,
    /// Said on every page when the run is not evidence: it was a rehearsal, or did not run against AWS's own endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Every rule, also those that hold. The verdict is the worst of their effects.
    pub rules: Vec<Rule>,
}

impl VerdictReport {
    /// Why the run did not pass: each reason of each rule that does not hold, the gravest rules first.
    pub fn reasons(&self) -> Vec<&str> {
        let mut broken: Vec<&Rule> = self.rules.iter().filter(|rule| !rule.holds).collect();
        broken.sort_by_key(|rule| std::cmp::Reverse(rule.effect));
        broken.iter().flat_map(|rule| rule.because.iter().map(String::as_str)).collect()
    }
}

/// One rule of the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// A stable word for it: `steps`.
    pub id: String,
    /// What must be so for a run to pass.
    pub statement: String,
    /// Whether it is.
    pub holds: bool,
    /// The best verdict that the rule leaves possible.
    pub effect: Verdict,
    /// Why it does not hold.
    pub because: Vec<String>,
    /// Positions of the journal records that say so.
    pub evidence: Vec<u64>,
}

/// How the process ended, and each thing that has an exit code of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExitReport {
    /// The exit code: 0 passed, 1 failed, 2 inconclusive, 4 refused, 5 left behind, 130 cancelled.
    pub code: u8,
    /// The verdict alone.
    pub verdict: Verdict,
    /// How many resources were left behind, those kept on purpose not counted; those that only an inventory shows are.
    pub left_behind: usize,
    /// Who or what ended the run early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
    /// True when somebody said that a real incident needs the capacity: `redrill abort --incident`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incident: bool,
    /// True when the journal has no last record: the process ended, or is still at work.
    pub unfinished: bool,
    /// Calls that the guard refused: step and message.
    pub refused: Vec<String>,
}

/// The run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Its name.
    pub id: RunId,
    /// The how-manieth run of the scenario, from 1.
    pub number: u32,
    /// `drill` or `recovery`.
    pub mode: String,
    /// Real services, another endpoint, or a rehearsal.
    pub world: WorldKind,
    /// Program and version.
    pub tool: String,
    /// Who started it, as the system knows them.
    pub operator: String,
    /// Seed of everything that looks random.
    pub seed: u64,
    /// When it started (UTC).
    pub started: DateTime<Utc>,
    /// When its last record was written (UTC).
    pub ended: DateTime<Utc>,
    /// From the first to the last record.
    pub duration: HumanDuration,
    /// How often another process took it over.
    pub resumed: u32,
    /// Stretches in which the run stood still, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standstills: Vec<Standstill>,
    /// When its resources may be removed by anyone (UTC).
    pub expires: DateTime<Utc>,
    /// How many records its journal has.
    pub records: u64,
    /// Digest of the last line of the journal: it holds, through the chain, all lines before.
    pub journal: Digest,
    /// Digest of the plan.
    pub plan: Digest,
    /// Digest of the scenario file.
    pub scenario: Digest,
    /// The files with limits of the organisation that it was held to, when it began and whenever it was gone on with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitsFile>,
}

/// A stretch in which a run stood still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standstill {
    /// Why: no process was at work, or somebody halted the run.
    pub why: String,
    /// When it began (UTC).
    pub began: DateTime<Utc>,
    /// How long it lasted.
    pub duration: HumanDuration,
    /// Positions of the journal records that say so.
    pub evidence: Vec<u64>,
}

/// What was rehearsed, as the plan says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioReport {
    /// Short name.
    pub name: String,
    /// Title.
    pub title: String,
    /// What it is for: Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// The owner.
    pub owner: String,
    /// Contacts: role and address.
    pub contacts: BTreeMap<String, String>,
    /// The kind of disaster: `region_loss`.
    pub disaster: String,
    /// The sites that are lost in it.
    pub lost: Vec<SiteName>,
    /// Class of the data; decides what may be written down of it.
    pub data_class: String,
}
