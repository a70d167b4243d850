use super::journal_store::StoreUrl;
use super::load;
use super::output::Output;
use crate::action::Registry;
use crate::cli::{Format, IamArgs, IamDocument, TrustKind};
use crate::error::{Error, ExitCode, Result};
use crate::iam::{self, Access, RoleAccess, StorePlace, Trust, Wanted};
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
    let only = args.site.as_deref().map(|site| known_site(plan, site)).transpose()?;
    let trust = trust(args)?;
    if let Some(runner) = &args.runner {
        Trust::Principal(runner.clone()).checked()?;
    }
    let runner = args.runner.as_deref();
    let wanted = Wanted { site: only.as_ref(), trust: trust.as_ref(), runner };
    let access = iam::access(plan, &grants, wanted)?;
    let Some(url) = &args.store else { return Ok(access) };
    let store = store_place(plan, runner, url)?;
    Ok(match args.reap {
        true => access.reading_journals_in(&store),
        false => access.keeping_journals_in(&store),
    })
}

fn known_site(plan: &Plan, site: &str) -> Result<SiteName> {
    let site = SiteName::new(site);
    if plan.sites.contains_key(&site) {
        return Ok(site);
    }
    let known: Vec<&str> = plan.sites.keys().map(SiteName::as_str).collect();
    Err(Error::bad_input(format!("the scenario has no site {site}"))
        .help(format!("its sites are: {}", known.join(", "))))
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
        IamDocument::Policy => only_one(access, |role| role.policy.as_ref())?.ok_or_else(|| {
            absent(
                "no step needs anything of AWS there",
                "a role that the site names is assumed all the same: print --document trust for it",
            )
        }),
        IamDocument::Trust => only_one(access, |role| role.trust.as_ref())?.ok_or_else(|| {
            match access.roles.iter().any(|role| role.role.is_some()) {
                true => absent(
                    "nobody is named who may assume the role",
                    "name the runner with --runner ARN",
                ),
                false => absent(
                    "no role is assumed there",
                    "who may start redrill is said by --document runner-trust --trust",
                ),
            }
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

/// The document of the only role that has one, if any has.
fn only_one(access: &Access, of: fn(&RoleAccess) -> Option<&Value>) -> Result<Option<&Value>> {
    let having: Vec<&RoleAccess> = access.roles.iter().filter(|role| of(role).is_some()).collect();
    if let [] | [_] = having.as_slice() {
        return Ok(having.first().and_then(|role| of(role)));
    }
    let sites = having.iter().flat_map(|role| &role.sites).map(SiteName::as_str);
    let sites: Vec<&str> = sites.collect();
    Err(Error::bad_input("there are several roles, and one document was asked for")
        .help(format!("choose a site with --site: {}", sites.join(", "))))
}
