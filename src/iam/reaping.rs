use super::table::{Level, iam_action};
use crate::action::{Given, Grant, Limit, Reach, Registry, ResourceKind};
use crate::ids::{SiteName, StepId};
use crate::plan::{Plan, StepGrant};
use serde_json::{Value, json};

/// What `redrill reap` needs at the sites of a plan: to list whatever any drill can make, and to remove it where it has expired.
pub fn reaping(plan: &Plan, registry: &Registry) -> Vec<StepGrant> {
    let mut all = Vec::new();
    for site in plan.sites.keys() {
        for kind in registry.resource_kinds().filter(|kind| kind.reach() == Reach::Service) {
            match kind.is_canary() {
                true => {
                    for place in &plan.guard.canaries {
                        all.extend(of_canaries(plan, site, &**kind, place));
                    }
                }
                false => all.extend(of_kind(plan, site, &**kind)),
            }
        }
    }
    all.into_iter().map(|grant| StepGrant { grant, step: step() }).collect()
}

/// It is no step of the plan, and is named like one.
fn step() -> StepId {
    StepId::new("reap")
}

fn given(plan: &Plan, site: &SiteName, with: Value) -> Given {
    Given::new(&plan.name, step(), Some(site.clone()), with)
}

/// By its tags, of whichever scenario it is. RDS has the names that runs give, EC2 ids.
fn of_kind(plan: &Plan, site: &SiteName, kind: &dyn ResourceKind) -> Vec<Grant> {
    let (given, permissions) = (given(plan, site, json!({})), kind.permissions());
    let grants = permissions.iter().filter_map(|permission| {
        let known = iam_action(permission.action)?;
        let grant = given.grant(permissions, permission.action)?.limited(Limit::AnyScenario);
        match known.level {
            Level::Write if permission.action.starts_with("rds:") => {
                let named = |grant: Grant, of: &super::ResourceType| grant.on(of.kind, "redrill-*");
                Some(known.resources.iter().fold(grant, named))
            }
            Level::Read | Level::Write => Some(grant),
            // Until when a thing is kept is written by its run.
            Level::Tag => None,
        }
    });
    grants.collect()
}

/// In a place of `guard.canaries`: `bucket/prefix`.
fn of_canaries(plan: &Plan, site: &SiteName, kind: &dyn ResourceKind, place: &str) -> Vec<Grant> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let given = given(plan, site, json!({ "bucket": bucket, "prefix": prefix }));
    let (bucket, prefix) = (given.pattern("bucket"), given.pattern("prefix"));
    let permissions = kind.permissions();
    let grants = permissions.iter().filter_map(|permission| {
        let known = iam_action(permission.action)?;
        let grant = given.grant(permissions, permission.action)?;
        let of_objects = known.resources.iter().any(|of| of.kind == "object");
        Some(match permission.action {
            "s3:ListBucketVersions" => {
                grant.on("bucket", &bucket).limited(Limit::Prefixes(vec![prefix.clone()]))
            }
            _ if of_objects => grant.on("object", format!("{bucket}/{prefix}*redrill-*")),
            _ => grant.on("bucket", &bucket),
        })
    });
    grants.collect()
}
