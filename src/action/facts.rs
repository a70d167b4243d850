use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Part of a drill. Ordered as they run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the disaster: canaries, baselines, captured configuration.
    Prepare,
    /// Bringing it back.
    Recover,
    /// Proving that it is back.
    Verify,
}

impl Phase {
    /// As written in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Recover => "recover",
            Self::Verify => "verify",
        }
    }
}

/// Everything that is known about an action apart from its types: for checking, planning, documentation, runbooks and
/// permissions.
#[derive(Clone, Debug)]
pub struct ActionFacts {
    /// `service.verb_object`: `rds.restore_snapshot`.
    pub name: &'static str,
    /// The intent in one line, imperative, for runbooks and lists: `Restore the snapshot as a new instance`.
    pub title: &'static str,
    /// What it does, what it checks by itself, what it does not: Markdown, a few short paragraphs.
    pub about: &'static str,
    /// The phase of a step that does not say.
    pub phase: Phase,
    /// Whether a step needs `at:`.
    pub site: SiteUse,
    /// The time limit of a step that does not say.
    pub timeout: Duration,
    /// What it changes.
    pub effect: Effect,
    /// Kinds of resources it makes: `rds.db_instance`.
    pub creates: &'static [&'static str],
    /// What it is allowed to do, least privilege.
    pub permissions: &'static [Permission],
    /// Checks that it makes by itself: name and meaning.
    pub checks: &'static [(&'static str, &'static str)],
    /// Outputs that are aggregates, each with the output that holds its population.
    pub populations: &'static [(&'static str, &'static str)],
    /// Which objectives a step of this action can measure.
    pub proves: &'static [Proof],
    /// Against what it has been exercised.
    pub exercised: Exercised,
}

impl ActionFacts {
    /// What a step changes whose input declares this `effect:`; what the action can change, where the input says nothing.
    pub fn effect_of(&self, declared: Option<&str>) -> Effect {
        match declared {
            Some("none") => Effect::None,
            Some("own") => Effect::Own,
            Some("external") => Effect::External,
            _ => self.effect,
        }
    }

    /// Kinds of resources that such a step makes: none when it declares that it changes nothing, or only what the run
    /// cannot undo.
    pub fn creates_of(&self, declared: Option<&str>) -> &'static [&'static str] {
        if self.effect_of(declared) == Effect::Own { self.creates } else { &[] }
    }
}

/// Whether a step of an action happens at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteUse {
    /// `at:` must be there.
    Required,
    /// `at:` may be there.
    Optional,
    /// `at:` means nothing.
    None,
}

/// What an action changes outside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    None,
    /// It makes things, which the ledger holds and the run removes.
    Own,
    /// It changes something that the run cannot undo.
    External,
}

/// One IAM action that is needed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// As in IAM: `rds:DescribeDBSnapshots`.
    pub action: &'static str,
    /// What it is needed for, in a few words.
    pub why: &'static str,
}

/// What a step of an action can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// RPO from the backup's description. Which input names the site where the backup is; empty: it is at that of the step.
    RecoveryPointOfBackup {
        /// The input that names the site: `replica_at`.
        kept_at: &'static str,
        /// The input, and what it says, where what the step works on is no backup: `restore_type: copy-on-write`.
        unless: Option<(&'static str, &'static str)>,
    },
    /// RPO from the recovered data itself. Which input must be there for it: `watermark`.
    RecoveryPointOfData {
        /// The input that makes the step measure it.
        when: &'static str,
    },
}

/// Against what an action has been exercised by tests, so that nobody takes one for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exercised {
    /// In the sandbox.
    pub sandbox: bool,
    /// Against real servers on loopback: `moto 5.2.5 with PostgreSQL 15`.
    pub servers: &'static [&'static str],
    /// Against real AWS, on this day.
    pub aws: Option<NaiveDate>,
}
