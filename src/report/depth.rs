//! How deep a recovery was verified: the rungs of a ladder that were shown by checks which passed. Pure.

use super::fold::{Fold, effective};
use super::ladders::{Besides, Early, LADDERS, Ladder, Named, Part, Proof, Rung};
use crate::action::Phase;
use crate::journal::{Check, Outcome};
use crate::plan::{Plan, PlannedStep};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How deep the recovery of one kind of service was verified, by a ladder whose rungs each ask for more than those below.
///
/// A part of a rung is shown by a check that was made over something and passed, and by nothing else; where several steps made it,
/// all must have passed. It tells kinds of services apart, not single databases or volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DepthReport {
    /// Which ladder: `rds`, `etcd`, `ebs` or `s3`.
    pub ladder: String,
    /// What it is about: `databases of RDS and Aurora`.
    pub service: String,
    /// The highest rung that was reached with all below it: `R4`. Absent when the lowest one was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
    /// What that means, in words.
    pub meaning: String,
    /// Rungs that were reached although one below them was not.
    pub above_a_gap: Vec<String>,
    /// What is missing for the rung behind `reached`; empty at the top.
    pub missing: Vec<String>,
    /// All rungs, from the lowest.
    pub rungs: Vec<RungReport>,
}

/// One rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RungReport {
    /// `R4`.
    pub rung: String,
    /// What it means, in words.
    pub meaning: String,
    /// Whether every part of it was shown.
    pub reached: bool,
    /// What has to be shown for it.
    pub parts: Vec<PartReport>,
}

/// One thing that has to be shown for a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartReport {
    /// What.
    pub what: String,
    /// Passed: it was shown. Failed or inconclusive: a check of it went so. Not run: no check of it was made.
    pub outcome: Outcome,
    /// The checks that say so; or those by which it would be shown.
    pub how: String,
    /// Positions of the journal records of these checks.
    pub evidence: Vec<u64>,
}

/// The ladders of all services of which the plan has a step that can show something.
pub(super) fn depth(plan: &Plan, fold: &Fold<'_>) -> Vec<DepthReport> {
    let concerns = |ladder: &&Ladder| {
        let mut proofs = ladder.rungs.iter().flat_map(|rung| rung.parts).flat_map(|p| p.proofs);
        proofs.any(|proof| plan.steps.iter().any(|step| step.uses == proof.action))
    };
    LADDERS.iter().filter(concerns).map(|ladder| climbed(ladder, plan, fold)).collect()
}

fn climbed(ladder: &Ladder, plan: &Plan, fold: &Fold<'_>) -> DepthReport {
    let rungs: Vec<_> = ladder.rungs.iter().map(|rung| rung_report(rung, plan, fold)).collect();
    let without_gap = rungs.iter().take_while(|rung| rung.reached).count();
    let highest = without_gap.checked_sub(1).and_then(|index| rungs.get(index));
    let next = rungs.get(without_gap);
    let above = rungs.iter().skip(without_gap).filter(|rung| rung.reached);
    DepthReport {
        ladder: ladder.id.to_owned(),
        service: ladder.service.to_owned(),
        reached: highest.map(|rung| rung.rung.clone()),
        meaning: highest.map_or_else(
            || "not even the lowest rung was reached".to_owned(),
            |rung| rung.meaning.clone(),
        ),
        above_a_gap: above.map(|rung| rung.rung.clone()).collect(),
        missing: next.into_iter().flat_map(missing_for).collect(),
        rungs,
    }
}

fn missing_for(rung: &RungReport) -> impl Iterator<Item = String> {
    let open = rung.parts.iter().filter(|part| part.outcome != Outcome::Passed);
    open.map(|part| format!("{}: {}", part.what, part.how))
}

fn rung_report(rung: &Rung, plan: &Plan, fold: &Fold<'_>) -> RungReport {
    let parts = rung.parts.iter().filter_map(|part| {
        let report = part_report(part, plan, fold);
        (!part.where_asked || report.outcome != Outcome::NotRun).then_some(report)
    });
    let parts: Vec<_> = parts.collect();
    RungReport {
        rung: rung.name.to_owned(),
        meaning: rung.meaning.to_owned(),
        reached: !parts.is_empty() && parts.iter().all(|part| part.outcome == Outcome::Passed),
        parts,
    }
}

/// A check that says something of a part.
struct Said {
    outcome: Outcome,
    /// `schema in step content`.
    which: String,
    evidence: Vec<u64>,
}

fn part_report(part: &Part, plan: &Plan, fold: &Fold<'_>) -> PartReport {
    let said = part.proofs.iter().flat_map(|proof| said_by(proof, part, plan, fold));
    let said: Vec<Said> = said.collect();
    let outcome = Outcome::worst(said.iter().map(|said| said.outcome)).unwrap_or(Outcome::NotRun);
    let decisive: Vec<&Said> = said.iter().filter(|said| said.outcome == outcome).collect();
    let which = decisive.iter().map(|said| said.which.as_str()).collect::<Vec<_>>().join(", ");
    let how = match outcome {
        Outcome::Passed => which,
        Outcome::NotRun | Outcome::Skipped => nobody_looked(part.proofs, plan),
        outcome => format!("{outcome}: {which}"),
    };
    let mut evidence: Vec<u64> =
        decisive.iter().flat_map(|said| said.evidence.iter().copied()).collect();
    evidence.sort_unstable();
    evidence.dedup();
    PartReport { what: part.what.to_owned(), outcome, how, evidence }
}

/// What would have to be looked at, by the actions of the scenario where one of them can.
fn nobody_looked(proofs: &[Proof], plan: &Plan) -> String {
    let steps = |proof: &&Proof| plan.steps.iter().filter(|step| step.uses == proof.action).count();
    let early = |proof: &&Proof| {
        let of_action = plan.steps.iter().filter(|step| step.uses == proof.action);
        of_action.filter(|step| step.phase == Phase::Prepare).count()
    };
    let used: Vec<_> =
        proofs.iter().filter(|proof| steps(proof) > early(proof)).map(named).collect();
    if !used.is_empty() {
        return format!("not looked at by {}", used.join(", "));
    }
    let early: Vec<_> = proofs.iter().filter(|proof| early(proof) > 0).map(named).collect();
    if !early.is_empty() {
        return format!("not looked at after the loss by {}", early.join(", "));
    }
    let others: Vec<_> = proofs.iter().map(named).collect();
    match others.as_slice() {
        [] => "no action of this program shows it".to_owned(),
        some => format!("no step looks at it; it takes {}", some.join(" or ")),
    }
}

fn named(proof: &Proof) -> String {
    let (Named::Its(what) | Named::Each(what) | Named::EachAs(_, what)) = proof.check;
    format!("{} ({what})", proof.action)
}

/// What the steps of an action say by the checks of their last attempts.
fn said_by(proof: &Proof, part: &Part, plan: &Plan, fold: &Fold<'_>) -> Vec<Said> {
    let is_lost =
        |step: &PlannedStep| step.at.as_ref().is_none_or(|site| plan.disaster.lost.contains(site));
    let counts = |step: &&PlannedStep| match proof.early {
        Early::Always => true,
        Early::WhereNothingIsLost => step.phase != Phase::Prepare || !is_lost(step),
        Early::Never => step.phase != Phase::Prepare,
    };
    let of_action = plan.steps.iter().filter(|step| step.uses == proof.action);
    of_action.filter(counts).flat_map(|step| said_in(proof, part, step, fold)).collect()
}

/// Where a check may only take away (`besides`, `where_asked`), whatever is called so counts; where it shows something, only what the
/// action itself has made.
fn said_in(proof: &Proof, part: &Part, step: &PlannedStep, fold: &Fold<'_>) -> Vec<Said> {
    let others = fold.last_checks(&step.id).filter(|(_, check)| match proof.besides {
        Besides::Nothing => false,
        Besides::Also(names) => names.contains(&check.name.as_str()),
        Besides::All => true,
    });
    let others: Vec<_> = others.collect();
    let worst = Outcome::worst(others.iter().map(|(_, check)| effective(check)));
    let meant = fold.last_checks(&step.id).filter(|(_, check)| match proof.check {
        Named::Its(name) if part.where_asked => check.name == name,
        Named::Its(name) => is_its_own(check, step, name),
        Named::Each(input) => names(step, input).any(|name| name == check.name),
        Named::EachAs(word, input) => {
            names(step, input).any(|name| check.name == format!("{word} {name}"))
        }
    });
    let said = meant.map(|(mark, check)| {
        let outcome = Outcome::worst([Some(effective(check)), worst].into_iter().flatten())
            .unwrap_or(Outcome::NotRun);
        let mut which = match check.population {
            Some(population) => format!("{} in step {}, over {population}", check.name, step.id),
            None => format!("{} in step {}", check.name, step.id),
        };
        let mut evidence = vec![mark.seq];
        // Those that are named one by one and took it away; of all of a step, the step tells.
        if outcome != effective(check) && matches!(proof.besides, Besides::Also(_)) {
            let took_away = others.iter().filter(|(_, other)| effective(other) == outcome);
            let (names, seqs): (Vec<&str>, Vec<u64>) =
                took_away.map(|(mark, other)| (other.name.as_str(), mark.seq)).unzip();
            which.push_str(&format!(", because of {}", names.join(", ")));
            evidence.extend(seqs);
        }
        Said { outcome, which, evidence }
    });
    said.collect()
}

/// Whether the action itself has made a check. Those that a scenario names, and those of its expectations, could be called the
/// same and mean something else.
fn is_its_own(check: &Check, step: &PlannedStep, name: &str) -> bool {
    let named_by_scenario = LISTS.iter().any(|input| names(step, input).any(|given| given == name));
    check.name == name && !named_by_scenario && !step.expect.contains_key(name)
}

/// Inputs whose items give their names to checks.
const LISTS: [&str; 1] = ["queries"];

fn names<'a>(step: &'a PlannedStep, input: &str) -> impl Iterator<Item = &'a str> {
    let items = step.with.get(input).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.get("name")?.as_str())
}
