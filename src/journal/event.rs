use super::facts::{
    Approval, CallSeen, Check, ClockPoint, Failure, Finding, Inventory, InventoryTime, LimitsFile,
    Moment, Outcome, RecoveryPoint, ResourceKey, StepResult, Wait, WorldKind,
};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the journal format that this program writes.
pub const FORMAT: u32 = 1;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Position, from 0 without gaps.
    pub seq: u64,
    /// When it was recorded (UTC), for people.
    pub at: DateTime<Utc>,
    /// Monotonic milliseconds since the process that recorded it began, for measures. After a resume it starts again.
    pub elapsed_ms: u64,
    /// Digest of the line before, all zeroes for the first.
    pub prev: Digest,
    /// What happened.
    pub event: Event,
}

/// What happened. The only event type: live progress, resuming and reports all read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first record of a journal.
    RunStarted {
        /// Version of the journal format.
        format: u32,
        /// The run.
        run: RunId,
        /// The how-manieth run of this scenario in this `runs` folder, from 1.
        number: u32,
        /// Name of the scenario.
        scenario: String,
        /// Digest of the plan, which stands beside the journal.
        plan: Digest,
        /// Digest of the scenario file as it was.
        scenario_digest: Digest,
        /// `drill` or `recovery`.
        mode: String,
        /// Real services or a rehearsal.
        world: WorldKind,
        /// Program and version.
        tool: String,
        /// Who started it, as the system knows them.
        operator: String,
        /// Seed of everything that looks random.
        seed: u64,
        /// When resources of this run may be removed by anyone (UTC).
        expires: DateTime<Utc>,
        /// How long resources are kept on the operator's word, instead of being removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<HumanDuration>,
        /// Everything that weakens an objective, a check or the guard.
        deviations: Vec<String>,
        /// The files with limits of the organisation that the run is held to; none for a rehearsal.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        limits: Vec<LimitsFile>,
    },
    /// A site answered who we are there.
    SiteIdentified {
        /// The site.
        site: SiteName,
        /// The account that answered.
        account: String,
        /// The region.
        region: String,
        /// The ARN of the identity used.
        identity: String,
    },
    /// The disaster is declared: from here on the lost sites are not to be called.
    DisasterDeclared {
        /// `region_loss`, `corruption`, …
        kind: String,
        /// The sites that are lost.
        lost: Vec<SiteName>,
    },
    /// A step begins an attempt.
    StepStarted {
        /// The step.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// Its input, references resolved.
        input: Value,
    },
    /// An attempt failed and there will be another.
    AttemptFailed {
        /// The step.
        step: StepId,
        /// Which attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// Not before this time (UTC).
        retry_at: DateTime<Utc>,
    },
    /// A check was made, or could not be made.
    Checked {
        /// The step.
        step: StepId,
        /// The check.
        check: Check,
    },
    /// Something that a person should act on.
    Found {
        /// The step.
        step: StepId,
        /// The finding.
        finding: Finding,
    },
    /// A wait came to its end.
    Waited {
        /// The step.
        step: StepId,
        /// The wait and its bracket.
        wait: Wait,
    },
    /// The credentials of a site have expired: what needs them waits until they are renewed.
    CredentialsExpired {
        /// The step that noticed it, and asks until they work again.
        step: StepId,
        /// The site.
        site: SiteName,
        /// What the service or the source of the credentials said.
        message: String,
    },
    /// The waiting for credentials is over.
    CredentialsWaited {
        /// The step that asked.
        step: StepId,
        /// The site.
        site: SiteName,
        /// False when they were given up.
        renewed: bool,
        /// How long they were waited for, in milliseconds.
        waited_ms: u64,
    },
    /// A recovery point was found or proven.
    RecoveryPointSeen {
        /// The step.
        step: StepId,
        /// The point.
        point: RecoveryPoint,
    },
    /// A moment of the recovery was reached.
    Reached {
        /// The step.
        step: StepId,
        /// Which one.
        point: ClockPoint,
        /// When (UTC): the service's own time where it gives one.
        at: DateTime<Utc>,
        /// Who says so: `polled`, `RDS event`.
        source: String,
    },
    /// A resource is about to be made. On disk before the call.
    ResourceIntended {
        /// The step.
        step: StepId,
        /// What it will be called.
        key: ResourceKey,
    },
    /// A resource was made, or found to have been made by us.
    ResourceOwned {
        /// What it was intended as.
        key: ResourceKey,
        /// What the service calls it: an ARN or an id.
        id: String,
    },
    /// A resource is gone: a look-up said so.
    ResourceReleased {
        /// What it was intended as.
        key: ResourceKey,
        /// `deleted`, `never made`, `already gone`.
        how: String,
        /// The calls that were made to find that out, and to remove it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<CallSeen>,
    },
    /// A resource could not be removed, or is kept on purpose.
    ResourceLeft {
        /// What it was intended as.
        key: ResourceKey,
        /// Why.
        why: String,
        /// True when the operator asked for it.
        kept: bool,
        /// The command that deletes it by hand.
        command: String,
        /// The calls that were made for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<CallSeen>,
    },
    /// What the run can make was listed where it can make it: before the first step, and after everything was released.
    InventoryTaken {
        /// Before or after.
        when: InventoryTime,
        /// What each listing has shown.
        seen: Vec<Inventory>,
    },
    /// A step asks a person.
    ApprovalRequested {
        /// The step.
        step: StepId,
        /// What is asked.
        text: String,
        /// Until when (UTC).
        deadline: DateTime<Utc>,
        /// The file of those who may sign the answer, by its whole path. None in a rehearsal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed_by: Option<String>,
    },
    /// A person answered.
    ApprovalGiven {
        /// The step.
        step: StepId,
        /// The decision.
        approval: Approval,
    },
    /// Somebody was told, or could not be.
    Notified {
        /// Of what.
        moment: Moment,
        /// The step that it is about, if one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// How: `POST to the URL in PAGER_URL`, `page-sre`.
        how: String,
        /// Why nobody was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// A step came to its end.
    StepFinished {
        /// The step.
        step: StepId,
        /// How.
        result: StepResult,
    },
    /// A step is not going to be run.
    StepLeftOut {
        /// The step.
        step: StepId,
        /// `skipped` or `not_run`.
        outcome: Outcome,
        /// Why.
        why: String,
    },
    /// A person, or a limit, ended the run early. Releasing follows.
    CancelRequested {
        /// Who or what.
        by: String,
        /// True when a real incident needs the capacity: nothing is kept, and everything is removed at once.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        incident: bool,
    },
    /// A person halted the run: what runs goes on, nothing more is started or removed.
    RunPaused {
        /// Who.
        by: String,
    },
    /// A person let the run go on.
    RunContinued {
        /// Who.
        by: String,
    },
    /// Steps are over; what was made is being removed.
    ReleaseStarted,
    /// A process took over the run.
    RunResumed {
        /// Bytes of a torn last line that were dropped.
        torn_bytes: u64,
        /// Time since the last record.
        gap_ms: u64,
        /// Who went on with it, as the system knows them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<String>,
        /// Program and version that went on with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool: Option<String>,
        /// The files with limits of the organisation that it went on under; none when it only gives back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        limits: Vec<LimitsFile>,
        /// Why it went on without its store, if it did: it only gives back then, and the store's journal ends earlier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        without_store: Option<String>,
    },
    /// The last record.
    RunFinished {
        /// The outcome of the steps; objectives and leftovers are judged in the report.
        outcome: Outcome,
    },
}

#[cfg(test)]
impl Event {
    /// Another process goes on after so long.
    pub(crate) fn resumed(gap_ms: u64) -> Self {
        Self::RunResumed {
            torn_bytes: 0,
            gap_ms,
            operator: None,
            tool: None,
            limits: Vec::new(),
            without_store: None,
        }
    }
}

impl Event {
    /// The step that a record is about. Credentials are also waited for by inventories and while resources are removed, which
    /// are no steps of the plan.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::StepStarted { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::Checked { step, .. }
            | Self::Found { step, .. }
            | Self::Waited { step, .. }
            | Self::RecoveryPointSeen { step, .. }
            | Self::Reached { step, .. }
            | Self::ResourceIntended { step, .. }
            | Self::ApprovalRequested { step, .. }
            | Self::ApprovalGiven { step, .. }
            | Self::StepFinished { step, .. }
            | Self::StepLeftOut { step, .. } => Some(step),
            _ => None,
        }
    }
}
