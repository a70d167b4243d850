use super::{Limit, Limits};
use crate::ids::SiteName;
use crate::plan::Plan;
use crate::scenario::{Guard, Scenario, Site};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a scenario asks for, as far as limits are about it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `drill` or `recovery`; nothing where it is not decided yet.
    pub mode: Option<&'a str>,
    /// All its sites, also those that it only reads or loses.
    pub sites: &'a BTreeMap<SiteName, Site>,
    /// What it allows itself.
    pub guard: &'a Guard,
}

impl<'a> Asked<'a> {
    /// What a plan asks for.
    pub fn by(plan: &'a Plan) -> Self {
        Self { mode: Some(&plan.mode), sites: &plan.sites, guard: &plan.guard }
    }

    /// What a scenario asks for in any mode.
    pub fn by_scenario(scenario: &'a Scenario) -> Self {
        Self { mode: None, sites: &scenario.sites, guard: &scenario.guard }
    }
}

/// A limit, and what goes beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exceeded {
    /// The key of the limit: `accounts`.
    pub limit: &'static str,
    /// The file of the limit.
    pub file: String,
    /// Where its key stands, from 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What goes beyond it, and what is allowed.
    pub what: String,
}

impl fmt::Display for Exceeded {
    /// `limits.yaml:3:1: regions: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, file, line, column, what } = self;
        write!(f, "{file}:{line}:{column}: {limit}: {what}")
    }
}

impl Limits {
    /// Everything that goes beyond a limit; nothing when the scenario may be run. Pure.
    ///
    /// What the guard of the scenario allows is compared, not what its steps will need: the guard is what holds the run. A site
    /// without an account is judged when STS has named it, by [`Limits::account`].
    pub fn exceeded(&self, asked: Asked<'_>) -> Vec<Exceeded> {
        let mut found = Vec::new();
        for (name, site) in asked.sites {
            found.extend(site.account.as_deref().and_then(|account| self.account(name, account)));
            found.extend(self.region(name, &site.region));
        }
        if let Some(limit) = &self.max_duration
            && asked.guard.max_duration > limit.value
        {
            let (asked, most) = (asked.guard.max_duration, limit.value);
            let unless = written(asked == Guard::default().max_duration);
            let what =
                format!("guard.max_duration of the scenario is {asked}{unless}; at most {most}");
            found.push(self.by("max_duration", limit, what));
        }
        if let Some(limit) = &self.max_resources
            && asked.guard.max_resources > limit.value
        {
            let (asked, most) = (asked.guard.max_resources, limit.value);
            let unless = written(asked == Guard::default().max_resources);
            let what =
                format!("guard.max_resources of the scenario is {asked}{unless}; at most {most}");
            found.push(self.by("max_resources", limit, what));
        }
        if let (Some(limit), Some(mode)) = (&self.modes, asked.mode)
            && !limit.value.contains(mode)
        {
            let what = format!("the mode is {mode}; allowed: {}", list(&limit.value));
            found.push(self.by("modes", limit, what));
        }
        found
    }

    /// What speaks against an account that a scenario names for a site, or that has answered there.
    pub fn account(&self, site: &SiteName, account: &str) -> Option<Exceeded> {
        let limit = self.accounts.as_ref().filter(|limit| !limit.value.contains(account))?;
        let what =
            format!("the site {site} is in account {account}; allowed: {}", list(&limit.value));
        Some(self.by("accounts", limit, what))
    }

    /// What speaks against the region of a site.
    pub fn region(&self, site: &SiteName, region: &str) -> Option<Exceeded> {
        let limit = self.regions.as_ref().filter(|limit| !limit.value.contains(region))?;
        let what = format!("the site {site} is in {region}; allowed: {}", list(&limit.value));
        Some(self.by("regions", limit, what))
    }

    fn by<T>(&self, name: &'static str, limit: &Limit<T>, what: String) -> Exceeded {
        let (line, column) = (limit.line, limit.column);
        Exceeded { limit: name, file: self.file.clone(), line, column, what }
    }
}

/// A default surprises whoever never wrote it.
fn written(is_default: bool) -> &'static str {
    if is_default { " (so it is where it is not written)" } else { "" }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
