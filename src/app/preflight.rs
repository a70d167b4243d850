//! `redrill preflight`: looks before the day of a drill, with calls that only read.

use super::journal_store::{self, Objects, StoreUrl};
use super::organisation::InForce;
use super::output::Output;
use super::runs::RunFolder;
use super::world::{self, Target};
use super::{estate, load, run_one};
use crate::action::{
    ActionEntry, Given, Grant, Probe, ProbeVerdict, Recorder, Registry, RunFacts, StepContext,
    StepError,
};
use crate::aws::{CallLog, SiteSession, failure_of};
use crate::cli::{Format, PreflightArgs};
use crate::client;
use crate::engine::{World, look_at_hooks};
use crate::error::{ExitCode, Result};
use crate::iam::{Level, iam_action, never_called};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Event, ResourceKey, WorldKind};
use crate::organisation::Asked;
use crate::outside::{Concealing, Secrets, UNKNOWN_USER};
use crate::plan::{self, Plan, PlannedStep};
use crate::preflight::{Looked, Preflight, SiteIdentity, judge};
use crate::providers;
use crate::render;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// `redrill preflight`
pub(super) fn preflight(args: &PreflightArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let limits = InForce::of(&args.limits, output)?;
    let paths = [args.scenario.clone()];
    let mut codes = Vec::new();
    for ready in load::plans(&paths, &registry, args.values.mode(), &args.values, output)? {
        let target = target(args, &ready)?;
        let limits = held(&limits, &ready, &target, output)?;
        let looked = look(args, &ready.plan, &registry, target, (&limits, output))?;
        let (found, is_forbidden) = looked;
        match args.format {
            Format::Json => output.json(&found)?,
            Format::Text => output.print(&render::preflight(&found))?,
        }
        // As a run there is refused.
        codes.push(if is_forbidden { ExitCode::Refused } else { found.exit_code() });
    }
    Ok(ExitCode::worst(codes))
}

fn target(args: &PreflightArgs, ready: &load::Ready) -> Result<Target> {
    if let Some(url) = &args.target.endpoint_url {
        return Ok(Target::Endpoint(url.clone()));
    }
    if !args.target.sandbox {
        return Ok(Target::Real);
    }
    let path = estate::path_for(&ready.path, &ready.plan.name, args.target.estate.as_deref())?;
    let estate = Box::new(estate::read(&path)?);
    Ok(Target::Sandbox { estate, faults: estate::faults(&args.target.faults)? })
}

/// The limits that the looks are held to: none in the sandbox, which then says what would be refused elsewhere.
fn held(
    limits: &InForce,
    ready: &load::Ready,
    target: &Target,
    output: &Output,
) -> Result<InForce> {
    let (name, asked) = (ready.path.display().to_string(), Asked::by(&ready.plan));
    if target.kind().is_rehearsal() {
        limits.tell(&name, asked, output);
        return Ok(InForce::default());
    }
    limits.hold(&name, asked)?;
    Ok(limits.clone())
}

/// What was seen, and whether the limits forbid an account that has answered.
fn look(
    args: &PreflightArgs,
    plan: &Plan,
    registry: &Registry,
    target: Target,
    (limits, output): (&InForce, &Output),
) -> Result<(Preflight, bool)> {
    let estate = match target.kind() {
        WorldKind::Rehearsal { estate } => Some(estate),
        _ => None,
    };
    let runtime = target.runtime()?;
    runtime.block_on(async {
        let run = RunId::new(format!("{}-preflight", plan.name));
        // Nothing is written: approvals, which need the folder, are not asked for.
        let folder = RunFolder { path: PathBuf::new() };
        let mut world = world::open(target.clone(), plan, &run, &folder).await?;
        world.outside = Arc::new(Concealing::new(world.outside));
        let (identities, is_forbidden) = identities(&world, limits).await;
        // Where we are somebody else, nothing more is asked.
        let known = |site: &SiteName| {
            identities.get(site).is_some_and(|i| matches!(i.verdict, ProbeVerdict::Works(_)))
        };
        let sessions = world.sessions.iter().filter(|(site, _)| known(site));
        world.sessions =
            Arc::new(sessions.map(|(site, session)| (site.clone(), session.clone())).collect());
        let facts = Arc::new(run_one::facts(
            plan,
            &run,
            0,
            world.clock.now(),
            vec![UNKNOWN_USER.to_owned()],
        ));
        let store = try_store(args, plan, (&target, &world), &run, output).await?;
        let beside: Vec<Probe> =
            store.into_iter().chain(look_at_hooks(&*world.outside, &plan.hooks)).collect();
        let mut looked = Vec::new();
        for step in &plan.steps {
            let Some(action) = registry.get(&step.uses) else { continue };
            looked.extend(look_at((plan, registry), &world, &facts, step, action).await);
        }
        let grants = plan::grants(plan, registry);
        let mut found = judge(plan, &grants, &identities, (&looked, &beside), estate);
        conceal(&world.outside.secrets(), &mut found);
        Ok((found, is_forbidden))
    })
}

/// A service, or somebody in its place, may repeat what it was called with.
fn conceal(secrets: &Secrets, found: &mut Preflight) {
    for site in &mut found.sites {
        let checks = site.checks.iter_mut().chain(&mut site.permissions);
        let texts = checks
            .flat_map(|check| [Some(&mut check.what), Some(&mut check.why), check.action.as_mut()]);
        for text in texts.chain([site.identity.as_mut()]).flatten() {
            *text = secrets.conceal(text);
        }
    }
}

/// What a run with `--store` would find, if it is asked for. The guard lets nothing be written but objects below the store's
/// own prefix.
async fn try_store(
    args: &PreflightArgs,
    plan: &Plan,
    (target, world): (&Target, &World),
    run: &RunId,
    output: &Output,
) -> Result<Option<Probe>> {
    let Some(url) = &args.store else { return Ok(None) };
    let url: StoreUrl = url.parse()?;
    let sites = Some(&world.sessions);
    let (region, secrets) = (args.store_region.as_deref(), world.outside.secrets());
    let session = world::store_session(target, sites, &url, region, &secrets).await?;
    let (what, clock, output) = (format!("journal store {url}"), world.clock.clone(), *output);
    let tell = Arc::new(move |text: &str| output.note(text));
    let objects = Objects::new(session, secrets, url, run.clone(), clock, tell);
    let verdict = tokio::select! {
        biased;
        verdict = journal_store::try_out(&objects, plan, world.clock.now()) => verdict,
        () = world.clock.sleep(LONGEST) => ProbeVerdict::Unknown("no answer within 5 minutes".to_owned()),
    };
    Ok(Some(Probe::new(what, verdict)))
}

/// Who we are at each site, and whether that is the account that the scenario names; and whether the limits forbid one of them.
async fn identities(world: &World, limits: &InForce) -> (BTreeMap<SiteName, SiteIdentity>, bool) {
    let (mut found, mut is_forbidden) = (BTreeMap::new(), false);
    for (site, session) in world.sessions.iter() {
        let mut identity = identity(session).await;
        if let Some(account) = &identity.account
            && let Some(exceeded) = limits.account(site, account)
        {
            let help = "take the right profile or role, or ask whoever keeps the limits of the organisation";
            identity.found.verdict = ProbeVerdict::fails(exceeded.to_string(), help);
            is_forbidden = true;
        }
        found.insert(site.clone(), identity.found);
    }
    (found, is_forbidden)
}

/// Who has answered, and in which account.
struct Answered {
    found: SiteIdentity,
    account: Option<String>,
}

async fn identity(session: &SiteSession) -> Answered {
    let client = client!(session, aws_sdk_sts);
    let answer = match client.get_caller_identity().send().await {
        Ok(answer) => answer,
        Err(error) => {
            let failure = failure_of("sts:GetCallerIdentity", &error);
            let help = "check profile, role, region and endpoint";
            let verdict = ProbeVerdict::fails(failure.message, help);
            return Answered { found: SiteIdentity { verdict, arn: None }, account: None };
        }
    };
    let arn = answer.arn().map(str::to_owned);
    let account = answer.account().filter(|account| !account.is_empty()).map(str::to_owned);
    let verdict = of_account(account.as_deref(), session.place().account.as_deref());
    Answered { found: SiteIdentity { verdict, arn }, account }
}

fn of_account(account: Option<&str>, wanted: Option<&str>) -> ProbeVerdict {
    match (account, wanted) {
        (None, _) => ProbeVerdict::Unknown("STS does not say in which account we are".to_owned()),
        (Some(account), Some(wanted)) if wanted != account => ProbeVerdict::fails(
            format!("the credentials are those of account {account}, not of {wanted}"),
            "take the right profile, or name the role that is to be assumed in the scenario's sites",
        ),
        (Some(account), Some(_)) => {
            ProbeVerdict::works(format!("account {account}, as the scenario says"))
        }
        (Some(account), None) => {
            ProbeVerdict::works(format!("account {account}; the scenario takes any"))
        }
    }
}

/// All the looks of one step, or at the store, together may take this long.
const LONGEST: Duration = Duration::from_secs(300);

async fn look_at(
    (plan, registry): (&Plan, &Registry),
    world: &World,
    facts: &Arc<RunFacts>,
    step: &PlannedStep,
    action: &ActionEntry,
) -> Vec<Looked> {
    let made = step.at.as_ref().map(|site| plan::made_at(plan, registry, site));
    let given: Given = plan::given(plan, step).in_a_run_that_makes(made.unwrap_or_default());
    let calls = CallLog::default();
    let looked = |probes: Vec<Probe>| -> Vec<Looked> {
        let calls = calls.seen();
        let of_step = |probe| Looked {
            step: step.id.clone(),
            at: step.at.clone(),
            probe,
            calls: calls.clone(),
        };
        probes.into_iter().map(of_step).collect()
    };
    if let Some(site) = step.at.as_ref().filter(|site| !world.sessions.contains_key(*site)) {
        let why = format!("the identity at {site} is not known or not the right one");
        return looked(not_looked(step, &action.grants(&given), &why));
    }
    let context = StepContext {
        facts: facts.clone(),
        step: step.id.clone(),
        at: step.at.clone(),
        clock: world.clock.clone(),
        outside: world.outside.clone(),
        sessions: world.sessions.clone(),
        recorder: Arc::new(NothingIsMade),
        calls: calls.clone(),
    };
    let probes = tokio::select! {
        biased;
        probes = action.preflight(&context, &given) => probes,
        () = world.clock.sleep(LONGEST) => {
            not_looked(step, &action.grants(&given), "no answer within 5 minutes")
        }
    };
    if probes.is_empty() {
        let why = "nothing of it can be looked at before";
        return looked(vec![Probe::not_before(named(step), why)]);
    }
    looked(probes)
}

fn named(step: &PlannedStep) -> String {
    format!("step {} ({})", step.id, step.uses)
}

/// The looks of a step that were not made, or not to their end: nothing is known of what they would have asked for, at whichever
/// site.
fn not_looked(step: &PlannedStep, grants: &[Grant], why: &str) -> Vec<Probe> {
    let mut sites = BTreeMap::from([(step.at.clone(), Vec::new())]);
    for grant in grants.iter().filter(|grant| can_be_asked(grant.action)) {
        sites.entry(Some(grant.site.clone())).or_default().push(grant.action);
    }
    let probes = sites.into_iter().map(|(site, permissions)| {
        let verdict = ProbeVerdict::Unknown(why.to_owned());
        Probe { permissions, ..Probe::new(named(step), verdict).at(site) }
    });
    probes.collect()
}

/// Whether a look could have used it: a call that only reads.
fn can_be_asked(action: &str) -> bool {
    iam_action(action).is_some_and(|known| known.level == Level::Read && !never_called(action))
}

/// Takes what actions write down while they look, and refuses that anything is made.
struct NothingIsMade;

impl Recorder for NothingIsMade {
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>> {
        let makes = matches!(event, Event::ResourceIntended { .. } | Event::ResourceOwned { .. });
        let answer = match makes {
            true => Err(StepError::broken("preflight makes nothing: this is a bug of redrill")),
            false => Ok(()),
        };
        Box::pin(std::future::ready(answer))
    }

    fn holds(&self, _: &ResourceKey) -> bool {
        false
    }

    fn progress(&self, _: &StepId, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Options, RunMode};
    use crate::scenario;
    use std::path::Path;

    /// What is left open of the first step with this action in a shipped scenario.
    fn left_open(scenario: &str, uses: &str) -> Vec<Probe> {
        let path = format!("scenarios/{scenario}.yaml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let registry = providers::registry();
        let loaded = scenario::load(&path, &registry);
        let options = Options { mode: RunMode::Drill, ..Options::default() };
        let digest = loaded.source.digest();
        let plan = plan::compile(&loaded.scenario.unwrap(), digest, &registry, options).unwrap();
        let step = plan.steps.iter().find(|step| step.uses == uses).unwrap();
        let grants = registry.get(uses).unwrap().grants(&plan::given(&plan, step));
        not_looked(step, &grants, "no answer")
    }

    #[test]
    fn regression_an_identity_without_an_account_is_not_known() {
        let (one, other) = (Some("111111111111"), Some("222222222222"));
        assert!(matches!(of_account(one, one), ProbeVerdict::Works(_)));
        assert!(matches!(of_account(one, None), ProbeVerdict::Works(_)));
        assert!(matches!(of_account(one, other), ProbeVerdict::Fails { .. }));
        for wanted in [one, None] {
            assert!(matches!(of_account(None, wanted), ProbeVerdict::Unknown(_)));
        }
    }

    #[test]
    fn regression_what_looks_that_were_broken_off_would_have_asked_for_is_not_known() {
        let probes = left_open("orders-db", "rds.restore_snapshot");
        let [probe] = probes.as_slice() else { panic!("{probes:#?}") };
        assert_eq!(probe.verdict, ProbeVerdict::Unknown("no answer".to_owned()));
        assert!(probe.permissions.contains(&"rds:DescribeDBInstances"), "{probe:?}");
        for tried_only_by_doing in ["rds:RestoreDBInstanceFromDBSnapshot", "kms:CreateGrant"] {
            assert!(!probe.permissions.contains(&tried_only_by_doing), "{probe:?}");
        }
        // At the other site of the step, too.
        let probes = left_open("uploads-replication", "s3.check_replication");
        let sites: Vec<_> = probes.iter().flat_map(|probe| &probe.site).collect();
        assert_eq!(sites, [&SiteName::new("dr"), &SiteName::new("primary")]);
        let reads = |probe: &Probe| probe.permissions.contains(&"s3:GetBucketVersioning");
        assert!(probes.iter().all(reads), "{probes:#?}");
    }
}
