use super::model::{Outcome, Preflight, PreflightCheck, SitePreflight, Summary};
use crate::action::{Probe, ProbeVerdict};
use crate::iam::{Asked, Level, iam_action};
use crate::ids::{SiteName, StepId};
use crate::plan::{Plan, StepGrant};
use std::collections::{BTreeMap, BTreeSet};

/// A look that a step has made.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The step.
    pub step: StepId,
    /// Its site.
    pub at: Option<SiteName>,
    /// The look.
    pub probe: Probe,
}

/// Who we are at a site.
#[derive(Clone, Debug)]
pub struct SiteIdentity {
    /// The look at it: works only when it is the account that the scenario names.
    pub verdict: ProbeVerdict,
    /// The ARN.
    pub arn: Option<String>,
}

/// What the looks mean: those of the steps, and the one at the journal's store, if there was one. `estate` is the title of the sandbox's estate, if it was no real account.
pub fn judge(
    plan: &Plan,
    grants: &[StepGrant],
    identities: &BTreeMap<SiteName, SiteIdentity>,
    (looked, store): (&[Looked], Option<&Probe>),
    estate: Option<String>,
) -> Preflight {
    let needed = |site: Option<&SiteName>, action: &str| {
        grants.iter().any(|g| g.grant.action == action && Some(&g.grant.site) == site)
    };
    let mut sites: Vec<SitePreflight> = Vec::new();
    let names = plan.sites.keys().map(Some).chain([None]);
    for site in names {
        let identity = site.and_then(|site| identities.get(site));
        let here: Vec<&Looked> = looked.iter().filter(|l| site_of(l) == site).collect();
        let mut checks: Vec<PreflightCheck> = identity.map(identity_check).into_iter().collect();
        // The store is at no site: it is reached as the identity that starts the program.
        checks.extend(store.filter(|_| site.is_none()).map(check_of_store));
        for looked in &here {
            merge(&mut checks, check(looked, |action| needed(site, action)));
        }
        let permissions = permissions(site, grants, &here, identity);
        if checks.is_empty() && permissions.is_empty() {
            continue;
        }
        sites.push(SitePreflight {
            site: site.cloned(),
            region: site.and_then(|site| plan.sites.get(site)).map(|site| site.region.clone()),
            identity: identity.and_then(|identity| identity.arn.clone()),
            checks,
            permissions,
        });
    }
    let all = sites.iter().flat_map(|site| site.checks.iter().chain(&site.permissions));
    Preflight {
        scenario: plan.name.clone(),
        mode: plan.mode.clone(),
        plan: plan.digest(),
        rehearsal: estate,
        summary: Summary::of(all),
        sites,
    }
}

fn site_of(looked: &Looked) -> Option<&SiteName> {
    looked.probe.site.as_ref().or(looked.at.as_ref())
}

fn check_of_store(probe: &Probe) -> PreflightCheck {
    let (outcome, why, action) = read(&probe.verdict, true);
    PreflightCheck { what: probe.what.clone(), outcome, why, action, steps: BTreeSet::new() }
}

fn identity_check(identity: &SiteIdentity) -> PreflightCheck {
    let (outcome, why, action) = read(&identity.verdict, true);
    let what = "identity".to_owned();
    PreflightCheck { what, outcome, why, action, steps: BTreeSet::new() }
}

/// What several steps look at in the same way is said once.
fn merge(checks: &mut Vec<PreflightCheck>, new: PreflightCheck) {
    let same = |known: &&mut PreflightCheck| {
        known.what == new.what && known.outcome == new.outcome && known.why == new.why
    };
    match checks.iter_mut().find(same) {
        Some(known) => known.steps.extend(new.steps),
        None => checks.push(new),
    }
}

fn check(looked: &Looked, needed: impl Fn(&str) -> bool) -> PreflightCheck {
    let probe = &looked.probe;
    let drill_needs_it = probe.permissions.iter().all(|action| needed(action));
    let (outcome, why, action) = read(&probe.verdict, drill_needs_it);
    let steps = BTreeSet::from([looked.step.clone()]);
    PreflightCheck { what: probe.what.clone(), outcome, why, action, steps }
}

/// A look that is denied is the drill's failure only where the drill itself needs the permission.
fn read(verdict: &ProbeVerdict, drill_needs_it: bool) -> (Outcome, String, Option<String>) {
    let policy = "give the role the policy that redrill iam prints".to_owned();
    let own = "redrill iam --preflight prints a policy that allows this look, too".to_owned();
    match verdict {
        ProbeVerdict::Works(seen) => (Outcome::Passed, seen.clone(), None),
        ProbeVerdict::Fails { why, action } => (Outcome::Failed, why.clone(), Some(action.clone())),
        ProbeVerdict::Denied(why) if drill_needs_it => (Outcome::Failed, why.clone(), Some(policy)),
        ProbeVerdict::Denied(why) => (Outcome::NotChecked, why.clone(), Some(own)),
        ProbeVerdict::Unknown(why) => (Outcome::NotChecked, why.clone(), None),
        ProbeVerdict::NotBefore(why) => (Outcome::NotBefore, why.clone(), None),
    }
}

fn permissions(
    site: Option<&SiteName>,
    grants: &[StepGrant],
    here: &[&Looked],
    identity: Option<&SiteIdentity>,
) -> Vec<PreflightCheck> {
    let mut steps: BTreeMap<&str, BTreeSet<StepId>> = BTreeMap::new();
    for needed in grants.iter().filter(|g| Some(&g.grant.site) == site) {
        steps.entry(needed.grant.action).or_default().insert(needed.step.clone());
    }
    let known = identity.is_some_and(|i| matches!(i.verdict, ProbeVerdict::Works(_)));
    let made = steps.into_iter().map(|(action, steps)| {
        let (outcome, why) = match known {
            true => permission(action, here),
            false => (Outcome::NotChecked, "it is not known who we are there".to_owned()),
        };
        let help = (outcome == Outcome::Failed)
            .then(|| "give the role the policy that redrill iam prints".to_owned());
        PreflightCheck { what: action.to_owned(), outcome, why, action: help, steps }
    });
    made.collect()
}

/// A permission is there when a call that needs it was let through. One that no look uses is not known.
fn permission(action: &str, here: &[&Looked]) -> (Outcome, String) {
    let uses = |looked: &&&Looked| looked.probe.permissions.contains(&action);
    let answers: Vec<_> = here
        .iter()
        .filter(uses)
        .map(|looked| (&looked.probe.what, looked.probe.verdict.was_allowed()))
        .collect();
    let denied = |looked: &&&Looked| looked.probe.verdict.was_allowed() == Some(false);
    if let Some(looked) = here.iter().filter(uses).find(denied) {
        // A look that uses several does not say which one is missing: the first is the call's own.
        let what = &looked.probe.what;
        return match looked.probe.permissions.first() == Some(&action) {
            true => (Outcome::Failed, format!("denied: {what}")),
            false => (Outcome::NotChecked, format!("not reached: {what} was denied")),
        };
    }
    if let Some((what, _)) = answers.iter().find(|(_, allowed)| *allowed == Some(true)) {
        return (Outcome::Passed, format!("used: {what}"));
    }
    if let Some((what, _)) = answers.first() {
        return (Outcome::NotChecked, format!("no answer: {what}"));
    }
    let why = match iam_action(action).map(|known| (known.asked, known.level)) {
        Some((Asked::Besides(when), _)) => when,
        Some((_, Level::Write | Level::Tag)) => "it can be tried only by doing it",
        _ => "no look needs it: it is used on what is not there yet",
    };
    (Outcome::NotBefore, why.to_owned())
}
