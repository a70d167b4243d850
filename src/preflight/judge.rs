use super::model::{Outcome, Preflight, PreflightCheck, SitePreflight, Summary};
use crate::action::{Probe, ProbeVerdict};
use crate::iam::{Asked, Level, actions_of, iam_action, never_called};
use crate::ids::{SiteName, StepId};
use crate::journal::CallSeen;
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
    /// What all looks of the step together have called.
    pub calls: Vec<CallSeen>,
}

/// Who we are at a site.
#[derive(Clone, Debug)]
pub struct SiteIdentity {
    /// The look at it: works only when it is the account that the scenario names.
    pub verdict: ProbeVerdict,
    /// The ARN.
    pub arn: Option<String>,
}

/// What the looks mean: those of the steps, and those beside them, at hooks and at the journal's store. `estate` is the title of the sandbox's estate, if it was no real account.
pub fn judge(
    plan: &Plan,
    grants: &[StepGrant],
    identities: &BTreeMap<SiteName, SiteIdentity>,
    (looked, beside): (&[Looked], &[Probe]),
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
        // Store and hooks are at no site: they are reached as who starts the program.
        for probe in beside.iter().filter(|_| site.is_none()) {
            merge(&mut checks, check_of_no_step(probe));
        }
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

fn check_of_no_step(probe: &Probe) -> PreflightCheck {
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

/// A permission is there when a call that needs it was let through. One that no look has asked for is not known.
fn permission(action: &str, here: &[&Looked]) -> (Outcome, String) {
    let users = here.iter().filter(|looked| looked.probe.permissions.contains(&action));
    let said: Vec<(&str, Said)> =
        users.map(|looked| (looked.probe.what.as_str(), said(looked, action))).collect();
    for (wanted, outcome, words) in [
        (Said::Denied, Outcome::Failed, "denied"),
        (Said::Used, Outcome::Passed, "used"),
        (Said::NotAsked, Outcome::NotChecked, "not asked"),
        (Said::NoAnswer, Outcome::NotChecked, "no answer"),
    ] {
        if let Some((what, _)) = said.iter().find(|(_, said)| *said == wanted) {
            return (outcome, format!("{words}: {what}"));
        }
    }
    let why = match iam_action(action).map(|known| (known.asked, known.level)) {
        Some((Asked::Besides(when), _)) => when,
        Some((_, Level::Write | Level::Tag)) => "it can be tried only by doing it",
        _ => "no look needs it: it is used on what is not there yet",
    };
    (Outcome::NotBefore, why.to_owned())
}

/// What a look says of one of the permissions that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// A call that needs it was let through.
    Used,
    /// The look ended for want of it.
    Denied,
    /// The look ended before the call, or had no use for it.
    NotAsked,
    /// Nothing was answered that tells.
    NoAnswer,
}

fn said(looked: &Looked, action: &str) -> Said {
    let Looked { probe, calls, .. } = looked;
    if refused(probe) == Some(action) {
        return Said::Denied;
    }
    let here = calls.iter().filter(|call| Some(&call.site) == site_of(looked));
    let wanted = |call: &&CallSeen| {
        let needed = actions_of(&call.operation);
        probe.permissions.iter().any(|permission| needed.contains(permission))
    };
    let own: Vec<&CallSeen> = here.filter(wanted).collect();
    let needing = own.iter().filter(|call| actions_of(&call.operation).contains(&action));
    let succeeded: Vec<bool> = needing.map(|call| call.failed < call.count).collect();
    // The one call of the look has said that there is no such thing, or that it would do it: that is an answer, too.
    let answered = match &probe.verdict {
        ProbeVerdict::Works(_) => own.len() == 1,
        ProbeVerdict::Fails { .. } => own.len() == 1 && is_read(action),
        _ => false,
    };
    let is_besides = never_called(action);
    match &probe.verdict {
        _ if succeeded.contains(&true) => Said::Used,
        _ if answered && !succeeded.is_empty() => Said::Used,
        // AWS has asked for it at that call: else it would not have answered so.
        ProbeVerdict::Works(_) if answered && is_besides => Said::Used,
        ProbeVerdict::Unknown(_) => Said::NoAnswer,
        _ if succeeded.is_empty() => Said::NotAsked,
        _ => Said::NoAnswer,
    }
}

/// What changes something may be refused for its parameters before it is asked whether it is allowed.
fn is_read(action: &str) -> bool {
    iam_action(action).is_some_and(|known| known.level == Level::Read)
}

/// The permission for want of which a look ended. What AWS says begins with the call; where that names none of the look's
/// permissions, it was the first of them: that of the look's own call.
fn refused(probe: &Probe) -> Option<&'static str> {
    let ProbeVerdict::Denied(why) = &probe.verdict else { return None };
    let operation = why.split(": ").next().unwrap_or_default();
    let needed = actions_of(operation);
    let named = probe.permissions.iter().copied().find(|known| needed.contains(known));
    named.or_else(|| probe.permissions.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: [&str; 3] =
        ["rds:DescribeDBClusters", "rds:DescribeDBClusterParameters", "rds:DescribeDBParameters"];

    /// A look that has made these calls: how often, and how often in vain.
    fn looked(verdict: ProbeVerdict, calls: &[(&str, u32, u32)]) -> Looked {
        let seen = |(operation, count, failed): &(&str, u32, u32)| CallSeen {
            operation: (*operation).to_owned(),
            site: SiteName::new("primary"),
            count: *count,
            failed: *failed,
            last_request_id: None,
        };
        let mut probe = Probe::new("cluster payments", verdict);
        probe.permissions = NEEDS.to_vec();
        let calls = calls.iter().map(seen).collect();
        Looked { step: StepId::new("config"), at: Some(SiteName::new("primary")), probe, calls }
    }

    fn outcomes(looked: &Looked) -> [Outcome; 3] {
        NEEDS.map(|action| permission(action, &[looked]).0)
    }

    #[test]
    fn regression_what_hooks_need_is_looked_at_once_and_at_no_site() {
        let plan = crate::report::samples::plan();
        let missing = ProbeVerdict::fails("there is no program page-sre", "install it");
        let probe = Probe::new("hook page-sre: program page-sre", missing);
        let beside = [probe.clone(), probe];
        let found = judge(&plan, &[], &BTreeMap::new(), (&[], &beside), None);
        let [site] = found.sites.as_slice() else { panic!("{found:#?}") };
        assert_eq!((&site.site, site.checks.len()), (&None, 1));
        assert_eq!(found.exit_code(), crate::error::ExitCode::Failed);
    }

    #[test]
    fn regression_the_permission_of_the_call_that_was_denied_is_blamed() {
        let why = "rds:DescribeDBClusterParameters: AccessDenied: no".to_owned();
        let calls = [("rds:DescribeDBClusters", 1, 0), ("rds:DescribeDBClusterParameters", 1, 1)];
        let denied = looked(ProbeVerdict::Denied(why.clone()), &calls);
        assert_eq!(outcomes(&denied), [Outcome::Passed, Outcome::Failed, Outcome::NotChecked]);
        // Also where nobody has noted the calls.
        let mut silent = denied.clone();
        silent.calls.clear();
        assert_eq!(outcomes(&silent), [Outcome::NotChecked, Outcome::Failed, Outcome::NotChecked]);
        silent.probe.verdict = ProbeVerdict::Denied("no credentials".to_owned());
        assert_eq!(outcomes(&silent)[0], Outcome::Failed);
        // What another look has used is there.
        let sound = looked(ProbeVerdict::works("there"), &[("rds:DescribeDBParameters", 1, 0)]);
        assert_eq!(permission(NEEDS[2], &[&denied, &sound]).0, Outcome::Passed);
    }

    #[test]
    fn regression_only_what_was_answered_counts_as_used() {
        let gone = ProbeVerdict::fails("there is no cluster payments here", "check the name");
        let calls = [("rds:DescribeDBClusters", 1, 1)];
        let [first, others @ ..] = outcomes(&looked(gone.clone(), &calls));
        assert_eq!((first, others), (Outcome::Passed, [Outcome::NotChecked; 2]));
        // Of several calls in vain nobody knows which was a denial that the look went past.
        let calls = [("rds:DescribeDBClusters", 1, 1), ("rds:DescribeDBParameters", 1, 1)];
        assert_eq!(outcomes(&looked(gone, &calls)), [Outcome::NotChecked; 3]);
        let unknown = looked(ProbeVerdict::Unknown("later".to_owned()), &[]);
        assert_eq!(permission(NEEDS[0], &[&unknown]).1, "no answer: cluster payments");
        let retried = [("rds:DescribeDBClusters", 3, 2)];
        let unknown = looked(ProbeVerdict::Unknown("later".to_owned()), &retried);
        assert_eq!(outcomes(&unknown)[0], Outcome::Passed);
    }

    #[test]
    fn regression_a_look_vouches_for_no_permission_that_nobody_has_seen_it_use() {
        for verdict in [ProbeVerdict::works("there"), ProbeVerdict::fails("gone", "make it")] {
            let silent = looked(verdict.clone(), &[]);
            let said = NEEDS.map(|action| permission(action, &[&silent]));
            let not_asked = (Outcome::NotChecked, "not asked: cluster payments".to_owned());
            assert!(said.iter().all(|one| *one == not_asked), "{said:?}");
            // What was called at another site, or for another look of the step, says nothing here.
            let mut elsewhere = looked(verdict.clone(), &[(NEEDS[0], 1, 0)]);
            elsewhere.at = Some(SiteName::new("dr"));
            assert_eq!(outcomes(&elsewhere), [Outcome::NotChecked; 3]);
            let other = looked(verdict.clone(), &[("rds:DescribeEvents", 1, 0)]);
            assert_eq!(outcomes(&other), [Outcome::NotChecked; 3]);
            let [asked, others @ ..] = outcomes(&looked(verdict, &[(NEEDS[0], 1, 0)]));
            assert_eq!((asked, others), (Outcome::Passed, [Outcome::NotChecked; 2]));
        }
    }

    #[test]
    fn regression_what_aws_asks_for_besides_a_call_is_there_only_where_that_call_had_the_good_answer()
     {
        let of = |verdict: ProbeVerdict, call: &str, needs: [&'static str; 2]| {
            let mut looked = looked(verdict, &[(call, 1, 1)]);
            looked.probe.permissions = needs.to_vec();
            needs.map(|action| permission(action, &[&looked]).0)
        };
        let (works, fails) = (ProbeVerdict::works("as wished"), ProbeVerdict::fails("no", "mend"));
        let (passed, open) = (Outcome::Passed, Outcome::NotChecked);
        // A dry run, which is answered by an error; and one that ends at a snapshot that is not there.
        let dry_run =
            |verdict| of(verdict, "ec2:CreateVolume", ["ec2:CreateVolume", "ec2:CreateTags"]);
        assert_eq!(dry_run(works.clone()), [passed, passed]);
        assert_eq!(dry_run(fails), [open, open]);
        // "Not found" in place of "denied" is said only to who may list.
        let canary = |verdict| of(verdict, "s3:HeadObject", ["s3:GetObject", "s3:ListBucket"]);
        assert_eq!(canary(works), [passed, passed]);
        assert_eq!(canary(ProbeVerdict::Unknown("later".to_owned())), [open, open]);
    }
}
