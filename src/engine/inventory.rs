//! Listing what a run can make where it can make it, before the first step and after everything was released.
//!
//! The ledger says what the run knows of; an inventory says what is there. A listing that could not be made is written
//! down as that: it is never an empty one, and never a failure of the drill.

use crate::action::{Listed, Listing, Registry, StepContext, StepError};
use crate::ids::SiteName;
use crate::journal::{
    Holding, Inventory, InventoryItem, InventoryTime, Ledger, ResourceKey, RunState,
};
use crate::plan::Plan;
use std::collections::BTreeSet;
use std::time::Duration;

/// One listing may take so long.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a thing that was seen to be gone may still be listed before that is believed: listings lag behind look-ups.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
const LATE_LISTINGS: u32 = 4;
const NEXT_LISTING_AFTER: Duration = Duration::from_secs(15);

/// Which inventory is to be taken now, if any. Pure.
///
/// A run that makes nothing needs none. Once a step has begun it is too late for the one before. A recovery spends no time on it:
/// it begins with the declaration.
pub(super) fn due(plan: &Plan, state: &RunState) -> Option<InventoryTime> {
    if !plan.steps.iter().any(|step| !step.creates.is_empty()) {
        return None;
    }
    let untouched = state.steps.is_empty() && state.disaster.is_none();
    let when = if state.releasing {
        Some(InventoryTime::After).filter(|_| state.ledger.outstanding().is_empty())
    } else {
        Some(InventoryTime::Before).filter(|_| untouched && state.cancelled.is_none())
    };
    when.filter(|when| !state.inventories.contains(when))
}

/// What is listed where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A kind at a site.
    Site { kind: String, site: SiteName },
    /// A kind of canaries, at whichever of these sites the place is.
    Place { kind: String, place: String, sites: Vec<SiteName> },
}

/// Everything that the plan's steps can make, and where.
pub(super) fn targets(plan: &Plan, registry: &Registry) -> Vec<Target> {
    let mut targets = BTreeSet::new();
    for step in &plan.steps {
        for kind in &step.creates {
            if registry.resource_kind(kind).is_some_and(|known| known.is_canary()) {
                targets.extend(plan.guard.canaries.iter().map(|place| Target::Place {
                    kind: kind.clone(),
                    place: place.clone(),
                    sites: plan.guard.write.clone(),
                }));
            } else if let Some(site) = &step.at {
                targets.insert(Target::Site { kind: kind.clone(), site: site.clone() });
            }
        }
    }
    targets.into_iter().collect()
}

/// Takes an inventory. `contexts` makes the powers for a site; `ledger` says what is expected to be gone.
pub(super) async fn take(
    targets: &[Target],
    registry: &Registry,
    ledger: &Ledger,
    contexts: impl Fn(&SiteName) -> StepContext,
) -> Vec<Inventory> {
    let mut seen = Vec::new();
    for target in targets {
        seen.push(match target {
            Target::Site { kind, site } => {
                list(registry, kind, None, &contexts(site), ledger).await.unwrap_or_else(|| {
                    let why = "the place is not at this site";
                    not_listed(kind, site.clone(), None, why)
                })
            }
            Target::Place { kind, place, sites } => {
                list_place(registry, kind, place, sites, ledger, &contexts).await
            }
        });
    }
    seen
}

/// A place is at one of the sites: the answer of that one counts, and what the others said does not.
async fn list_place(
    registry: &Registry,
    kind: &str,
    place: &str,
    sites: &[SiteName],
    ledger: &Ledger,
    contexts: &impl Fn(&SiteName) -> StepContext,
) -> Inventory {
    let mut whys = Vec::new();
    for site in sites {
        let Some(found) = list(registry, kind, Some(place), &contexts(site), ledger).await else {
            continue;
        };
        match &found.not_listed {
            None => return found,
            Some(why) => whys.push(format!("at {site}: {why}")),
        }
    }
    if whys.is_empty() {
        whys.push("it is at none of the sites of guard.write".to_owned());
    }
    let site = sites.first().cloned().unwrap_or_else(|| SiteName::new("nowhere"));
    not_listed(kind, site, Some(place), &whys.join("; "))
}

fn not_listed(kind: &str, site: SiteName, place: Option<&str>, why: &str) -> Inventory {
    Inventory {
        kind: kind.to_owned(),
        site,
        place: place.map(str::to_owned),
        total: None,
        ours: Vec::new(),
        not_listed: Some(why.to_owned()),
    }
}

/// `None`: the place is not at the context's site.
async fn list(
    registry: &Registry,
    kind: &str,
    place: Option<&str>,
    context: &StepContext,
    ledger: &Ledger,
) -> Option<Inventory> {
    let site = context.at.clone().unwrap_or_else(|| SiteName::new("nowhere"));
    let mut late = 0;
    loop {
        let (total, ours) = match list_once(registry, kind, place, context).await {
            Ok(Listing::Seen { total, ours }) => (total, ours),
            Ok(Listing::Elsewhere) => return None,
            Ok(Listing::Impossible(why)) => return Some(not_listed(kind, site, place, why)),
            Err(error) => return Some(not_listed(kind, site, place, &error.to_string())),
        };
        let of_run = |listed: &Listed| listed.run == context.facts.run;
        let ours: Vec<InventoryItem> = ours
            .into_iter()
            .filter(of_run)
            .map(|listed| InventoryItem { name: listed.name, id: listed.id })
            .collect();
        let lags = |item: &InventoryItem| {
            let key =
                ResourceKey { kind: kind.to_owned(), name: item.name.clone(), site: site.clone() };
            matches!(ledger.get(&key), Some(Holding::Released { .. }))
        };
        if late < LATE_LISTINGS && ours.iter().any(lags) {
            late += 1;
            context.clock.sleep(NEXT_LISTING_AFTER).await;
            continue;
        }
        let place = place.map(str::to_owned);
        let kind = kind.to_owned();
        return Some(Inventory { kind, site, place, total, ours, not_listed: None });
    }
}

async fn list_once(
    registry: &Registry,
    kind: &str,
    place: Option<&str>,
    context: &StepContext,
) -> Result<Listing, StepError> {
    let Some(kind) = registry.resource_kind(kind) else {
        return Ok(Listing::Impossible("this version does not know the kind"));
    };
    tokio::select! {
        biased;
        listing = kind.list(context, place) => listing,
        () = context.clock.sleep(LIMIT) => {
            Err(StepError::timed_out("the listing took longer than 2m"))
        }
    }
}
