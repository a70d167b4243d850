use crate::error::ExitCode;
use crate::ids::{Digest, SiteName, StepId};
use serde::Serialize;
use std::collections::BTreeSet;

/// What is known before the day of a drill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preflight {
    /// Name of the scenario.
    pub scenario: String,
    /// `drill` or `recovery`.
    pub mode: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// The estate, when it was looked at in the sandbox: then it says nothing about real accounts.
    pub rehearsal: Option<String>,
    /// How many checks came out how.
    pub summary: Summary,
    /// The sites, by name; what happens at no site comes last.
    pub sites: Vec<SitePreflight>,
}

/// How many checks came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As the drill needs it.
    pub passed: usize,
    /// The drill would fail there.
    pub failed: usize,
    /// Could have been found out, and was not.
    pub not_checked: usize,
    /// Nobody can know before the day.
    pub not_before: usize,
}

/// What is known about a site.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SitePreflight {
    /// Its name; nothing for what happens at no site.
    pub site: Option<SiteName>,
    /// The region.
    pub region: Option<String>,
    /// Who we are there: an ARN.
    pub identity: Option<String>,
    /// What was looked at, in the order of the steps.
    pub checks: Vec<PreflightCheck>,
    /// The permissions that the drill needs there, by name.
    pub permissions: Vec<PreflightCheck>,
}

/// One look, or one permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreflightCheck {
    /// What was looked at; for a permission, the IAM action.
    pub what: String,
    /// What came out.
    pub outcome: Outcome,
    /// What was seen, or why it is not known.
    pub why: String,
    /// What to do about it.
    pub action: Option<String>,
    /// The steps that need it.
    pub steps: BTreeSet<StepId>,
}

/// What came out of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as the drill needs it.
    Passed,
    /// The drill would fail there.
    Failed,
    /// It could have been found out, and was not: no answer, or no permission to ask.
    NotChecked,
    /// It is known only on the day, or can be tried only by doing it.
    NotBefore,
}

impl Preflight {
    /// Failed before not checked before passed. What nobody can know before the day does not count.
    pub fn exit_code(&self) -> ExitCode {
        if self.summary.failed > 0 {
            ExitCode::Failed
        } else if self.summary.not_checked > 0 || self.summary.passed == 0 {
            // Nothing that was looked at is no good news either.
            ExitCode::Inconclusive
        } else {
            ExitCode::Passed
        }
    }
}

impl Summary {
    /// Counts some checks.
    pub fn of<'a>(checks: impl Iterator<Item = &'a PreflightCheck>) -> Self {
        let mut summary = Self::default();
        for check in checks {
            *match check.outcome {
                Outcome::Passed => &mut summary.passed,
                Outcome::Failed => &mut summary.failed,
                Outcome::NotChecked => &mut summary.not_checked,
                Outcome::NotBefore => &mut summary.not_before,
            } += 1;
        }
        summary
    }
}
