//! What was there before and after: the ledger says what the run knows of, listings say what is there.

use super::beside::Stays;
use super::fold::Fold;
use super::parts::{InventoryLine, InventoryReport, ResourceReport, ResourceState};
use crate::action::Registry;
use crate::ids::SiteName;
use crate::journal::{Inventory, InventoryTime, Outcome, ResourceKey};
use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Kind, site, place.
type Target<'a> = (&'a str, &'a SiteName, Option<&'a str>);

/// The inventories of a run, compared with each other and with its ledger.
pub(super) fn inventory(
    plan: &Plan,
    registry: &Registry,
    fold: &Fold<'_>,
    (resources, stays): (&[ResourceReport], &[Stays]),
) -> InventoryReport {
    let before = by_target(fold, InventoryTime::Before);
    let after = by_target(fold, InventoryTime::After);
    let taken = fold.inventories.contains_key(&InventoryTime::After);
    if !taken && !plan.steps.iter().any(|step| !step.creates.is_empty()) {
        let claim = "No step makes anything, so nothing had to be listed.".to_owned();
        return InventoryReport { claim, verified: true, lines: Vec::new() };
    }
    let seen: BTreeSet<Target<'_>> = before.keys().chain(after.keys()).copied().collect();
    let missing = not_listed(plan, registry, &seen);
    let targets: BTreeSet<Target<'_>> = seen.into_iter().chain(missing).collect();
    let lines: Vec<InventoryLine> = targets
        .into_iter()
        .map(|target| {
            let (before, after) = (before.get(&target).copied(), after.get(&target).copied());
            line(target, before, after, resources)
        })
        .collect();
    let all_passed = lines.iter().all(|line| line.outcome == Outcome::Passed);
    let verified = taken && !lines.is_empty() && all_passed && stays.is_empty();
    InventoryReport { claim: claim(&lines, taken, stays), verified, lines }
}

/// Where the plan's steps can make something and no inventory looked. A canary's place is at whichever site it is.
fn not_listed<'a>(
    plan: &'a Plan,
    registry: &Registry,
    seen: &BTreeSet<Target<'_>>,
) -> Vec<Target<'a>> {
    let mut missing = Vec::new();
    for step in &plan.steps {
        for kind in &step.creates {
            if registry.resource_kind(kind).is_some_and(|known| known.is_canary()) {
                let site = plan.guard.write.first().or(step.at.as_ref());
                let was_listed =
                    |place: &str| seen.iter().any(|(of, _, at)| of == kind && *at == Some(place));
                let places = plan.guard.canaries.iter().filter(|place| !was_listed(place));
                missing.extend(
                    places.filter_map(|place| Some((kind.as_str(), site?, Some(place.as_str())))),
                );
            } else if let Some(site) = &step.at
                && !seen.contains(&(kind.as_str(), site, None))
            {
                missing.push((kind.as_str(), site, None));
            }
        }
    }
    missing
}

/// Things that an inventory shows and that the ledger takes to be gone: left behind, and nobody knew. Each once, also when
/// two of the places that were listed lie within each other.
pub(super) fn unexpected(lines: &[InventoryLine]) -> BTreeSet<ResourceKey> {
    let of_line = |line: &InventoryLine| {
        let key = |name: &String| ResourceKey {
            kind: line.kind.clone(),
            name: name.clone(),
            site: line.site.clone(),
        };
        line.unexpected.iter().map(key).collect::<Vec<_>>()
    };
    lines.iter().flat_map(of_line).collect()
}

fn by_target<'a>(fold: &Fold<'a>, when: InventoryTime) -> BTreeMap<Target<'a>, &'a Inventory> {
    let seen = fold.inventories.get(&when).map_or(&[][..], |(_, seen)| seen);
    seen.iter().map(|one| ((one.kind.as_str(), &one.site, one.place.as_deref()), one)).collect()
}

fn line(
    (kind, site, place): Target<'_>,
    before: Option<&Inventory>,
    after: Option<&Inventory>,
    resources: &[ResourceReport],
) -> InventoryLine {
    let known_to_be_left = |name: &str| {
        resources.iter().any(|resource| {
            resource.key.kind == kind
                && resource.key.name == name
                && resource.state != ResourceState::Released
        })
    };
    let ours: Vec<String> =
        after.map_or(&[][..], |after| &after.ours).iter().map(|item| item.name.clone()).collect();
    let unexpected: Vec<String> =
        ours.iter().filter(|name| !known_to_be_left(name)).cloned().collect();
    let count = |seen: Option<&Inventory>| match seen {
        Some(Inventory { total: Some(total), .. }) => total.to_string(),
        Some(Inventory { not_listed: None, .. }) => "not counted".to_owned(),
        _ => "not known".to_owned(),
    };
    let counts = format!("{} before, {} after", count(before), count(after));
    let (outcome, said) = match after {
        None => (Outcome::Inconclusive, "not verified: it was not listed at the end".to_owned()),
        Some(Inventory { not_listed: Some(why), .. }) => {
            (Outcome::Inconclusive, format!("not verified: {why}"))
        }
        Some(_) if !unexpected.is_empty() => {
            (Outcome::Failed, format!("{counts}; still there: {}", unexpected.join(", ")))
        }
        Some(_) if !ours.is_empty() => (
            Outcome::Passed,
            format!("{counts}; of this run what is known to be left: {}", ours.join(", ")),
        ),
        Some(_) => (Outcome::Passed, format!("{counts}, none of this run")),
    };
    InventoryLine {
        kind: kind.to_owned(),
        site: site.clone(),
        place: place.map(str::to_owned),
        before: before.and_then(|seen| seen.total),
        after: after.and_then(|seen| seen.total),
        ours,
        unexpected,
        said,
        outcome,
    }
}

fn claim(lines: &[InventoryLine], taken: bool, stays: &[Stays]) -> String {
    if !taken {
        return "Not verified by inventory: the journal holds no listing of the end.".to_owned();
    }
    let in_words = |line: &InventoryLine| match &line.place {
        Some(place) => format!("{} in {place}", line.kind),
        None => format!("{} at {}", line.kind, line.site),
    };
    let of = |outcome: Outcome| lines.iter().filter(move |line| line.outcome == outcome);
    let left: Vec<&str> =
        of(Outcome::Failed).flat_map(|line| &line.unexpected).map(String::as_str).collect();
    if !left.is_empty() {
        return format!("Left over, and taken to be gone: {}.", left.join(", "));
    }
    let unknown: Vec<String> = of(Outcome::Inconclusive).map(in_words).collect();
    if lines.is_empty() {
        return "Not verified by inventory: nothing was listed.".to_owned();
    }
    if !unknown.is_empty() {
        return format!("Not verified by inventory: {}.", unknown.join("; "));
    }
    let known: Vec<&str> = lines.iter().flat_map(|line| &line.ours).map(String::as_str).collect();
    let all = "every kind that it can make was listed wherever it can make it";
    let made = match (known.is_empty(), stays.is_empty()) {
        (true, true) => format!("Nothing of this run is left: {all}."),
        (true, false) => format!("Nothing that this run has made itself is left: {all}."),
        (false, _) => {
            let known = known.join(", ");
            format!("Of this run only what it is known to have left is there: {known}.")
        }
    };
    let beside: Vec<&str> = stays.iter().map(Stays::what).collect();
    match beside.is_empty() {
        true => made,
        false => {
            format!("{made} Not listed, and kept beside it by a service: {}.", beside.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn what_the_plan_can_make_and_no_inventory_has_listed_is_named() {
        let plan = samples::plan();
        let dr = SiteName::new("dr");
        let seen = BTreeSet::from([("rds.db_instance", &dr, None)]);
        let registry = samples::registry();
        assert_eq!(not_listed(&plan, &registry, &seen), []);
        let missing = not_listed(&plan, &registry, &BTreeSet::new());
        assert_eq!(missing, [("rds.db_instance", &dr, None)]);
        let unseen = line(missing[0], None, None, &[]);
        assert_eq!(unseen.outcome, Outcome::Inconclusive);
        assert!(!claim(&[unseen], true, &[]).contains("every kind that it can make was listed"));
    }

    #[test]
    fn a_canary_must_be_listed_in_every_place_where_it_may_be() {
        let mut plan = samples::plan();
        plan.steps[2].creates = vec!["s3.canary_object".to_owned()];
        plan.steps[3].creates.clear();
        plan.guard.canaries = vec!["a/x/".to_owned(), "b/x/".to_owned()];
        let (dr, primary) = (SiteName::new("dr"), SiteName::new("primary"));
        plan.guard.write = vec![dr.clone()];
        let registry = crate::providers::registry();
        let seen = BTreeSet::from([("s3.canary_object", &primary, Some("a/x/"))]);
        let missing = not_listed(&plan, &registry, &seen);
        assert_eq!(missing, [("s3.canary_object", &dr, Some("b/x/"))]);
    }
}
