use super::journal_store::StoreUrl;
use super::load;
use super::output::Output;
use crate::action::Registry;
use crate::cli::{Format, IamArgs, IamDocument, TrustKind};
use crate::error::{Error, ExitCode, Result};
use crate::iam::{self, Access, RoleAccess, StorePlace, Trust};
use crate::ids::SiteName;
use crate::partition::Partition;
use crate::plan::{self, Plan, StepGrant};
use crate::providers;
use crate::render;
use serde_json::Value;

/// `redrill iam`
pub(super) fn iam(args: &IamArgs, output: &Output) -> Result<ExitCode> {
    let registry = providers::registry();
    let paths = [args.scenario.clone()];
    for ready in load::plans(&paths, &registry, args.values.mode(), &args.values, output)? {
        let access = access(args, &ready.plan, &registry)?;
        if let Some(document) = args.document {
            output.json(one_document(&access, document)?)?;
            continue;
        }
        match args.format {
            Format::Json => output.json(&access)?,
            Format::Text => output.print(&render::iam(&access))?,
        }
    }
    Ok(ExitCode::Passed)
}

fn access(args: &IamArgs, plan: &Plan, registry: &Registry) -> Result<Access> {
    let mut grants = match args.reap {
        true => iam::reaping(plan, registry),
        false => plan::grants(plan, registry),
    };
    if args.preflight {
        grants.extend(preflight_grants(plan, registry));
    }
    if let Some(site) = &args.site {
        let site = SiteName::new(site);
        if !plan.sites.contains_key(&site) {
            let known: Vec<&str> = plan.sites.keys().map(SiteName::as_str).collect();
            return Err(Error::bad_input(format!("the scenario has no site {site}"))
                .help(format!("its sites are: {}", known.join(", "))));
        }
        grants.retain(|needed| needed.grant.site == site);
    }
    let trust = trust(args)?;
    if let Some(runner) = &args.runner {
        Trust::Principal(runner.clone()).checked()?;
    }
    let access = iam::access(plan, &grants, trust.as_ref(), args.runner.as_deref())?;
    let Some(url) = &args.store else { return Ok(access) };
    let store = store_place(plan, args.runner.as_deref(), url)?;
    Ok(match args.reap {
        true => access.reading_journals_in(&store),
        false => access.keeping_journals_in(&store),
    })
}

/// The store is in the partition of the identity that starts the program, else in that of the sites.
fn store_place(plan: &Plan, runner: Option<&str>, url: &str) -> Result<StorePlace> {
    let StoreUrl { bucket, prefix } = url.parse()?;
    let of_runner = runner.and_then(|arn| Partition::named(arn.split(':').nth(1)?));
    let of_sites = || plan.sites.values().next().map(|site| Partition::of(&site.region));
    let partition = of_runner.or_else(of_sites).unwrap_or(Partition::of("")).name;
    Ok(StorePlace { partition, bucket, prefix })
}

fn preflight_grants(plan: &Plan, registry: &Registry) -> Vec<StepGrant> {
    let of_step = |step| {
        let given = plan::given(plan, step);
        let grants = registry.get(&step.uses).map(|action| action.preflight_grants(&given));
        let grants = grants.unwrap_or_default().into_iter();
        grants.map(|grant| StepGrant { grant, step: step.id.clone() }).collect::<Vec<_>>()
    };
    plan.steps.iter().flat_map(of_step).collect()
}

/// Who may start the program. What it needs besides is asked for by the parser.
fn trust(args: &IamArgs) -> Result<Option<Trust>> {
    let subject = args.subject.clone().unwrap_or_default();
    let trust = args.trust.map(|kind| match kind {
        TrustKind::Account => Trust::Principal(args.principal.clone().unwrap_or_default()),
        TrustKind::Irsa => {
            Trust::Irsa { provider: args.oidc_provider.clone().unwrap_or_default(), subject }
        }
        TrustKind::Github => Trust::GitHub { subject },
    });
    trust.map(Trust::checked).transpose()
}

/// One document alone, as IAM takes it.
fn one_document(access: &Access, document: IamDocument) -> Result<&Value> {
    let absent = |what: &str, help: &str| Error::bad_input(what.to_owned()).help(help.to_owned());
    match document {
        IamDocument::Policy => Ok(&one_role(access)?.policy),
        IamDocument::Trust => one_role(access)?.trust.as_ref().ok_or_else(|| {
            absent("nobody is named who may assume the role", "name the runner with --runner ARN")
        }),
        IamDocument::RunnerPolicy => access.runner.policy.as_ref().ok_or_else(|| {
            absent(
                "no site names a role, so there is none to assume",
                "print the policy instead, or name a store with --store",
            )
        }),
        IamDocument::RunnerTrust => access
            .runner
            .trust
            .as_ref()
            .ok_or_else(|| absent("nobody is named who starts redrill", "say it with --trust")),
    }
}

fn one_role(access: &Access) -> Result<&RoleAccess> {
    match access.roles.as_slice() {
        [only] => Ok(only),
        [] => Err(Error::bad_input("the scenario needs nothing of AWS there")),
        several => {
            let sites = several.iter().flat_map(|role| &role.sites);
            let sites: Vec<&str> = sites.map(SiteName::as_str).collect();
            Err(Error::bad_input("there are several roles, and one document was asked for")
                .help(format!("choose a site with --site: {}", sites.join(", "))))
        }
    }
}
