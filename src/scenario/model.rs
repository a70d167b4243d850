use crate::action::Phase;
use crate::ids::{SiteName, StepId};
use crate::journal::{Measure, Moment};
use crate::outside::Given;
use crate::time::{HumanDuration, RetryPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A disaster and how to come back from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the language: 1.
    #[schemars(range(min = 1, max = 1))]
    pub redrill: u32,
    /// Short name, unique in the organisation: lower-case letters, digits and hyphens.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,39}$"))]
    pub name: String,
    /// One line that says what is recovered, where and from what.
    pub title: String,
    /// What it is for, and what it leaves out: Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The system that is recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tier of the system in the business impact analysis, 0 or 1 being the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// The team that owns scenario and system.
    pub owner: String,
    /// Who is reached how in an incident: role and address, for the runbook.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contacts: BTreeMap<String, String>,
    /// What is lost.
    pub disaster: Disaster,
    /// Named places.
    #[serde(default)]
    pub sites: BTreeMap<SiteName, Site>,
    /// Targets.
    pub objectives: Objectives,
    /// What kind of data is recovered.
    #[serde(default)]
    pub data: DataClass,
    /// Limits of what a run may do.
    #[serde(default)]
    pub guard: Guard,
    /// Who is told what happens in a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub hooks: Vec<Hook>,
    /// Variables of the modes `drill` and `recovery`, for `{{vars.…}}`.
    #[serde(default)]
    pub modes: Modes,
    /// Values given at the start of a run, for `{{inputs.…}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputDeclaration>,
    /// The steps.
    #[schemars(length(min = 1, max = 2000))]
    pub steps: Vec<Step>,
}

/// What is lost, and when that is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disaster {
    /// What kind of disaster.
    pub kind: DisasterKind,
    /// Sites that may not be used any more once it is declared.
    #[serde(default)]
    pub lost: Vec<SiteName>,
}

/// Kinds of disaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisasterKind {
    /// A whole region cannot be reached: every site in it is lost.
    RegionLoss,
    /// Data is there and wrong.
    Corruption,
    /// Data or resources were deleted.
    Deletion,
    /// Data was encrypted by an attacker.
    Ransomware,
}

impl DisasterKind {
    /// As written in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RegionLoss => "region_loss",
            Self::Corruption => "corruption",
            Self::Deletion => "deletion",
            Self::Ransomware => "ransomware",
        }
    }
}

/// An account, a region and a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The 12-digit account that must answer there. Without it any account is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account: Option<String>,
    /// The region: `ap-northeast-3`.
    pub region: String,
    /// Name or ARN of the role that is assumed. Without it the credentials of the environment are used as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Site {
    /// True when a disaster of this kind at this site takes the other one with it: the same account and region under another
    /// name or role, and in the loss of a region everything in it. A site without an account may be in any.
    pub fn is_lost_with(&self, other: &Self, kind: DisasterKind) -> bool {
        let in_the_region = self.region == other.region && kind == DisasterKind::RegionLoss;
        in_the_region || self.may_be_at(other)
    }

    /// True for the same account and region, whatever name or role leads there. A site without an account may be in any.
    pub fn may_be_at(&self, other: &Self) -> bool {
        let same_account = match (&self.account, &other.account) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.region == other.region && same_account
    }
}

/// The targets that a run is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    /// Recovery time objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<RecoveryTimeObjective>,
    /// Recovery point objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<RecoveryPointObjective>,
    /// Recovery level objective: what the service can do afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rlo: Option<RecoveryLevelObjective>,
}

/// How long recovery may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryTimeObjective {
    /// The longest time allowed.
    pub target: HumanDuration,
    /// Where the number comes from: the document and its section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Where the clock starts. It ends with the last `acceptance` gate.
    #[serde(default)]
    pub from: RtoFrom,
    /// Times that a drill cannot measure, taken as given and labelled so.
    #[serde(default)]
    pub assume: Assumptions,
}

/// Where the clock of the RTO starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RtoFrom {
    /// When the disaster happens: detection and decision count.
    Occurred,
    /// When it is noticed: the decision counts.
    #[default]
    Detected,
    /// When it is declared.
    Declared,
}

/// Times that are assumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// From the disaster to its detection.
    #[serde(default)]
    pub detect: HumanDuration,
    /// From detection to the decision to recover.
    #[serde(default)]
    pub decide: HumanDuration,
}

/// How much data may be lost, as time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryPointObjective {
    /// The longest loss allowed.
    pub target: HumanDuration,
    /// Where the number comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Whether the recovered data must say it, or the backup's description is enough.
    #[serde(default = "measured_from_data")]
    pub measure: Measure,
}

fn measured_from_data() -> Measure {
    Measure::Data
}

/// What the service can do after recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryLevelObjective {
    /// In one or two sentences.
    pub target: String,
    /// The steps whose passing proves it.
    #[schemars(length(min = 1))]
    pub proven_by: Vec<StepId>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// What kind of data is recovered; decides what may be written down of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataClass {
    /// `public` and `internal`: observed values are written down. Every other class (`confidential`, `personal`,
    /// `cardholder`, …): they are withheld when they are written.
    #[serde(default = "internal")]
    pub class: String,
}

fn internal() -> String {
    "internal".to_owned()
}

impl Default for DataClass {
    fn default() -> Self {
        Self { class: internal() }
    }
}

impl DataClass {
    /// True when observed values must not be written down.
    pub fn withholds(&self) -> bool {
        !matches!(self.class.as_str(), "public" | "internal")
    }
}

/// Limits of what a run may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Sites at which it may make things. A step that makes something elsewhere is an error.
    #[serde(default)]
    pub write: Vec<SiteName>,
    /// How long after its start a run's resources may be removed by anyone.
    #[serde(default = "twelve_hours")]
    pub ttl: HumanDuration,
    /// After this time the run is cancelled and released.
    #[serde(default = "six_hours")]
    pub max_duration: HumanDuration,
    /// How many resources it may make.
    #[serde(default = "ten")]
    pub max_resources: u32,
    /// Buckets, with an optional prefix, in which canary objects may be written: `uploads-prod/redrill-canary/`.
    #[serde(default)]
    pub canaries: Vec<String>,
    /// Hosts (or `host:port`) of databases that the run does not make and may write into all the same (`sql.try_write`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Steps that may change what the run cannot undo (`effect: external`). Each must need a `control.approve` step with
    /// `second_person: true`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<StepId>,
}

fn twelve_hours() -> HumanDuration {
    Duration::from_secs(12 * 3600).into()
}

fn six_hours() -> HumanDuration {
    Duration::from_secs(6 * 3600).into()
}

fn ten() -> u32 {
    10
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            write: Vec::new(),
            ttl: twelve_hours(),
            max_duration: six_hours(),
            max_resources: ten(),
            canaries: Vec::new(),
            databases: Vec::new(),
            external: Vec::new(),
        }
    }
}

/// Tells people what happens: by a program, or by a message to a URL. Whether it worked is written down, and never decides
/// about the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["post"] }, { "required": ["run"] }]))]
pub struct Hook {
    /// At which moments.
    #[schemars(length(min = 1))]
    pub on: BTreeSet<Moment>,
    /// Sends the message as JSON (`text`, `moment`, `run`, `scenario`, `step`) by POST to this URL, as incoming webhooks of
    /// chats take it. A URL that lets whoever knows it write is a secret: name the variable that holds it, `{from_env: …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Given>,
    /// Runs this program, without a shell, with the same JSON on standard input and the moment in `REDRILL_MOMENT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub run: Option<Vec<String>>,
}

impl Hook {
    /// How it tells, without anything secret.
    pub fn describe(&self) -> String {
        match (&self.run, &self.post) {
            (Some(argv), _) => argv.first().cloned().unwrap_or_default(),
            (None, Some(Given::Text(url))) => {
                let host = url.split('/').nth(2).unwrap_or("nowhere");
                format!("POST to {host}")
            }
            (None, Some(url)) => {
                format!("POST to the URL in {}", url.variable().unwrap_or_default())
            }
            (None, None) => "nothing".to_owned(),
        }
    }
}

/// Variables by mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Modes {
    /// An isolated, perhaps smaller copy, removed afterwards.
    #[serde(default)]
    pub drill: Mode,
    /// The real thing: what the runbook is written for.
    #[serde(default)]
    pub recovery: Mode,
}

/// The variables of one mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// Name and value; both modes declare the same names.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
}

/// A value that is given at the start of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputDeclaration {
    /// What kind of value.
    #[serde(rename = "type", default)]
    pub kind: InputKind,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Taken when none is given; without it the input must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// Kinds of input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Text.
    #[default]
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A duration.
    Duration,
    /// A list of texts.
    List,
}

/// One unit of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Short name, unique in the scenario; references use it.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,39}$"))]
    pub id: StepId,
    /// What it is for, in one line; without it the action's own words are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The site at which it happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<SiteName>,
    /// The action: `rds.restore_snapshot`.
    pub uses: String,
    /// The input of the action.
    #[serde(default)]
    pub with: Value,
    /// Steps that must have ended well before. References imply them.
    #[serde(default)]
    pub needs: Vec<StepId>,
    /// The part of the drill it belongs to; without it, that of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Of a verify step: whether the service may be used once it has passed (`acceptance`, which ends the RTO's clock), or
    /// whether it looks deeper (`assurance`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// The longest it may take, all attempts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// How often it is tried again as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What its failure means for steps that do not need it.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// It is left out unless this is true: `{{inputs.with_canary}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Value>,
    /// Whether the run can pass without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// Makes it a watch: it looks this often while the other steps are under way, and a last time after them. When it
    /// falls short, or cannot look, the run is cancelled and what it made is removed. For actions that change nothing:
    /// an HTTP check of production, a program that asks for the state of an alarm. The time limit is that of one look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<HumanDuration>,
    /// What its outputs should be: `worst_gap: "<= 26h"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect: BTreeMap<String, Value>,
}

fn yes() -> bool {
    true
}

/// What a verify step decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The service may be used: ends the clock of the RTO.
    Acceptance,
    /// Deeper checks: they decide the verdict, not the RTO.
    Assurance,
}

/// What the failure of a step means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// No further step is started; releasing follows.
    #[default]
    Stop,
    /// Steps that do not need it go on. The verdict is the same.
    Continue,
}
