//! The facts that events carry.

use crate::ids::{Digest, SiteName};
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// How a check, a step or a run ended. Ordered from best to worst for [`Outcome::worst`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Verified, and as expected.
    Passed,
    /// Left out on purpose (`when:` was false).
    Skipped,
    /// Not reached: the run ended before, or a rehearsal had no answer for it.
    NotRun,
    /// Could not be verified, or verified nothing.
    Inconclusive,
    /// Verified, and not as expected.
    Failed,
}

impl Outcome {
    /// The worst of several. `None` when there are none: no outcome is never a pass.
    pub fn worst(outcomes: impl IntoIterator<Item = Self>) -> Option<Self> {
        outcomes.into_iter().max()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::NotRun => "not run",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        })
    }
}

/// In which world a run took place. It is in the first record of every journal and on every page of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorldKind {
    /// Real services.
    Real,
    /// Another endpoint than AWS's own, such as a test server.
    Endpoint {
        /// The address given with `--endpoint-url`.
        url: String,
    },
    /// The sandbox: simulated, never evidence of recovery.
    Rehearsal {
        /// The title of the estate.
        estate: String,
    },
}

impl WorldKind {
    /// True only where services were simulated in this process.
    pub fn is_rehearsal(&self) -> bool {
        matches!(self, Self::Rehearsal { .. })
    }
}

/// A file with limits of the organisation, as it was when a run was held to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsFile {
    /// The file, as it was named.
    pub file: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// One assertion, with what was expected and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What is asserted, in a few words: `worst gap`, `ledger balances`.
    pub name: String,
    /// What was expected, as text: `<= 26h`.
    pub expected: String,
    /// What was seen, as text; withheld when the data class forbids it.
    pub observed: String,
    /// Passed, failed or inconclusive.
    pub outcome: Outcome,
    /// For aggregates: over how many things it was taken. Zero makes the check inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub population: Option<u64>,
    /// Why it is inconclusive, or what the reader should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check {
    /// A check that was made: passed when `holds`, else failed.
    pub fn made(
        name: impl Into<String>,
        expected: impl Into<String>,
        observed: impl Into<String>,
        holds: bool,
    ) -> Self {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
        Self {
            name: name.into(),
            expected: expected.into(),
            observed: observed.into(),
            outcome,
            population: None,
            note: None,
        }
    }

    /// A check that could not be made.
    pub fn not_made(
        name: impl Into<String>,
        expected: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            expected: expected.into(),
            observed: "nothing".to_owned(),
            outcome: Outcome::Inconclusive,
            population: None,
            note: Some(why.into()),
        }
    }

    /// Says over how many things an aggregate was taken. Over none it proves nothing: a pass becomes inconclusive.
    #[must_use]
    pub fn over(mut self, population: u64) -> Self {
        self.population = Some(population);
        if population == 0 && self.outcome == Outcome::Passed {
            self.outcome = Outcome::Inconclusive;
            self.note = Some("taken over nothing: an empty population proves nothing".to_owned());
        }
        self
    }

    /// Adds what the reader should know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// How much a finding matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Should be looked at before the next drill.
    Warning,
    /// Recovery would fall short because of it.
    Serious,
    /// Recovery would not be possible.
    Critical,
}

/// Something that a person should act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable word for this kind of finding, for filters and trends: `rds.no_usable_recovery_point`.
    pub code: String,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub action: String,
}

/// Why something of the tool or of a service did not work: data, so that it can be read after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of failure it is; decides whether it is tried again and what it means for the verdict.
    pub class: FailureClass,
    /// The error code of the service, where there is one: `DBSnapshotNotFound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Kinds of failure.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The service asked for fewer calls. Tried again.
    Throttled,
    /// The service, or the way to it, failed for a moment. Tried again.
    Transient,
    /// Permission or credentials are missing: a broken tool, so inconclusive.
    Denied,
    /// Credentials that worked have expired: waited for, and inconclusive when they are not renewed in time.
    CredentialsExpired,
    /// Something of that name exists already: ours if a look-up says so, else in the way.
    AlreadyExists,
    /// The thing asked for does not exist.
    NotFound,
    /// The recovery itself does not work: a bad backup, a wrong restore. The step fails.
    Recovery,
    /// It took longer than the limit.
    TimedOut,
    /// The guard or a lost site stopped the call.
    Refused,
    /// A rehearsal has no answer for it; the step counts as not run.
    NotRehearsed,
    /// A person said no.
    Rejected,
    /// Anything else that the tool could not do.
    Broken,
}

impl FailureClass {
    /// True when another attempt may succeed.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient)
    }

    /// What a step that ended in this failure counts as.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Recovery | Self::NotFound | Self::TimedOut | Self::Rejected => Outcome::Failed,
            Self::NotRehearsed => Outcome::NotRun,
            Self::Throttled
            | Self::Transient
            | Self::Denied
            | Self::CredentialsExpired
            | Self::AlreadyExists
            | Self::Refused
            | Self::Broken => Outcome::Inconclusive,
        }
    }
}

/// A point in time up to which data was recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPoint {
    /// The time of the newest data in it (UTC): of the data, not of the copy.
    pub at: DateTime<Utc>,
    /// Where that time comes from: `SnapshotDatabaseTime`, `max(committed_at) from heartbeat`.
    pub source: String,
    /// Whether the data itself or the backup's description says so.
    pub measure: Measure,
    /// What it is: an ARN, a key, a revision.
    pub identity: String,
    /// The longest loss that the schedule allows (longest gap, duration and copy lag together), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<HumanDuration>,
    /// Until when data in it can be newer than `at`, where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_newer_than: Option<NewestPossible>,
    /// The site that holds it, where that is not the one of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<SiteName>,
    /// True for a copy that is written on and on until the loss, such as a replica: what is known is how far it was behind when it was
    /// looked at, and that is counted, not the time that has passed since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
}

impl RecoveryPoint {
    /// The latest time (UTC) of which data in it can be for certain.
    pub fn newest(&self) -> DateTime<Utc> {
        let certain = self.not_newer_than.filter(|newest| newest.certain);
        certain.map_or(self.at, |newest| newest.at.max(self.at))
    }

    /// True when a later word about the same point says everything that this one says, and how new its data can be.
    pub fn is_completed_by(&self, later: &Self) -> bool {
        later.not_newer_than.is_some() && Self { not_newer_than: None, ..later.clone() } == *self
    }
}

/// The latest time that data in a recovery point can have, where that is later than the time of the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewestPossible {
    /// That time (UTC).
    pub at: DateTime<Utc>,
    /// True when data until then can be in it. False when nobody can say whether it can: then such data is neither right nor
    /// wrong.
    pub certain: bool,
}

/// What a recovery point's time was read from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The recovered data itself.
    Data,
    /// What the service says about the backup.
    Backup,
}

/// Moments of a recovery. Which pair an objective uses is printed in the report.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ClockPoint {
    /// The restored thing is said to be available by its service.
    ResourceAvailable,
    /// A first query or read of the restored data succeeded.
    DataReadable,
    /// Restored storage is loaded.
    Hydrated,
    /// Traffic goes to the restored side.
    CutOver,
}

/// A wait, and the bracket of polls between which it ended: the event lies between the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// What was waited for: `instance available`.
    pub what: String,
    /// When it was last seen not ready (UTC); `None` when the first look found it ready.
    pub last_not_ready: Option<DateTime<Utc>>,
    /// When it was first seen ready (UTC).
    pub first_ready: DateTime<Utc>,
    /// How often it was looked at.
    pub polls: u32,
}

/// Calls of one operation made by a step: enough to find them in CloudTrail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallSeen {
    /// Service and operation as in IAM: `rds:DescribeDBInstances`.
    pub operation: String,
    /// The site that was called.
    pub site: SiteName,
    /// How often it was called, retries included.
    pub count: u32,
    /// How many of these did not succeed.
    pub failed: u32,
    /// The request id of the last call, where the service gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request_id: Option<String>,
}

/// What a resource is called before it exists: enough to find it after a crash.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct ResourceKey {
    /// The kind, as registered: `rds.db_instance`.
    pub kind: String,
    /// The deterministic name (or client token, where the service gives the id).
    pub name: String,
    /// The site that it is made in.
    pub site: SiteName,
}

/// What people know a thing by whose name in the ledger is a JSON object with all that its removal needs.
const KNOWN_BY: [&str; 3] = ["schema", "folder", "step"];

impl ResourceKey {
    /// The name for people. Most kinds have no other one.
    pub fn short_name(&self) -> Cow<'_, str> {
        let Some(object) = serde_json::from_str::<Value>(&self.name).ok().filter(Value::is_object)
        else {
            return Cow::Borrowed(&self.name);
        };
        let known = KNOWN_BY.iter().find_map(|field| Some((field, object.get(field)?.as_str()?)));
        known.map_or(Cow::Borrowed(&self.name), |(field, name)| match *field {
            "step" => Cow::Owned(format!("of the step {name}")),
            _ => Cow::Owned(name.to_owned()),
        })
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.kind, self.short_name(), self.site)
    }
}

/// When an inventory was taken.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum InventoryTime {
    /// Before the first step.
    Before,
    /// After everything was released.
    After,
}

/// What a listing of one kind at one site has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// The kind, as registered: `rds.db_instance`.
    pub kind: String,
    /// The site that was asked.
    pub site: SiteName,
    /// For kinds that are listed place by place: which one, `bucket/prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How many of the kind are there, whoever made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Those that carry this run's tags.
    #[serde(default)]
    pub ours: Vec<InventoryItem>,
    /// Why nothing was seen: then nothing is known either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_listed: Option<String>,
}

/// One thing of this run in an inventory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct InventoryItem {
    /// As the ledger names it.
    pub name: String,
    /// What the service calls it.
    pub id: String,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepResult {
    /// The outcome of the step: the worst of its checks and of its own work.
    pub outcome: Outcome,
    /// The declared output, when the action came to its end.
    #[serde(default)]
    pub output: Value,
    /// Why it is not passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The calls it made.
    #[serde(default)]
    pub calls: Vec<CallSeen>,
}

/// A moment of a run that people may want to hear of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The run has started.
    Started,
    /// A step waits for a person's approval.
    ApprovalNeeded,
    /// A step failed or was inconclusive.
    Failed,
    /// Something that the run made could not be removed.
    Leftover,
    /// The run is over and its report is written.
    Finished,
}

impl Moment {
    /// As written in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ApprovalNeeded => "approval_needed",
            Self::Failed => "failed",
            Self::Leftover => "leftover",
            Self::Finished => "finished",
        }
    }
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// True for approved, false for rejected.
    pub approved: bool,
    /// Who decided, as the system knows them.
    pub by: String,
    /// How the person was identified: `terminal user`, `answers of the estate`.
    pub identified_by: String,
    /// What they wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The signature that was verified, when one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ApprovalProof>,
    /// What STS said about who answered, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ApproverIdentity>,
}

/// A signed decision: anyone can verify it again with `ssh-keygen -Y verify -n approval@redrill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalProof {
    /// The text that was signed, to the byte.
    pub statement: String,
    /// The signature, as `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// Who approved, as STS has said when it verified the approver's signature over the decision. The signed request itself is
/// not kept: for some minutes, whoever has it could say to be the approver. The request's id, the access key and the
/// digest in the user agent stand in the CloudTrail of the approver's account, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApproverIdentity {
    /// The text whose SHA-256 digest was in the signed request, to the byte.
    pub statement: String,
    /// The ARN of `sts:GetCallerIdentity`.
    pub arn: String,
    /// The account of the approver.
    pub account: String,
    /// The unique id of the approver.
    pub user_id: String,
    /// The access key that signed. Not secret.
    pub access_key_id: String,
    /// When it was signed, by the approver's clock (UTC). STS refuses what is older than some minutes.
    pub signed_at: DateTime<Utc>,
    /// The region whose STS was asked.
    pub region: String,
    /// STS's id of the request in which the run asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ledger_holds_as_an_object_is_called_by_what_people_know_of_it() {
        let shown = |name: &str| {
            let (kind, site) = ("kind".to_owned(), SiteName::new("dr"));
            ResourceKey { kind, name: name.to_owned(), site }.to_string()
        };
        assert_eq!(shown("redrill-1"), "kind redrill-1 at dr");
        assert_eq!(shown(r#"{"run":"r","folder":"/tmp/x"}"#), "kind /tmp/x at dr");
        assert_eq!(shown(r#"{"schema":"s","connection":{}}"#), "kind s at dr");
        assert_eq!(shown(r#"{"step":"make","undo":["rm"]}"#), "kind of the step make at dr");
        assert_eq!(shown(r#"{"undo":["rm"]}"#), r#"kind {"undo":["rm"]} at dr"#);
    }

    #[test]
    fn a_check_over_nothing_never_passes() {
        assert_eq!(Check::made("orphans", "= 0", "0", true).over(0).outcome, Outcome::Inconclusive);
        assert_eq!(Check::made("orphans", "= 0", "0", true).over(1).outcome, Outcome::Passed);
        assert_eq!(Check::made("orphans", "= 0", "3", false).over(0).outcome, Outcome::Failed);
    }

    #[test]
    fn no_outcomes_are_not_a_pass() {
        assert_eq!(Outcome::worst([]), None);
        assert_eq!(
            Outcome::worst([Outcome::Passed, Outcome::Inconclusive]),
            Some(Outcome::Inconclusive)
        );
    }
}
