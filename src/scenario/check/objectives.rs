use super::context::{Context, StepView, field, words};
use crate::action::{Phase, Proof};
use crate::expectation::{Expectation, ValueKind};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::source::Node;
use crate::scenario::suggest::nearest;
use crate::time::HumanDuration;
use serde_json::Value;
use std::collections::BTreeSet;

/// Objectives: the steps can measure them, and the declared schedule can meet them.
pub(super) fn check(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let Some(entry) = context.root.entry("objectives") else { return };
    let objectives = &entry.value;
    if ["rto", "rpo", "rlo"].iter().all(|name| objectives.get(name).is_none()) {
        let diagnostic = context.at("RD404", entry.key_span.clone(), "there is no objective");
        found.push(diagnostic.help("state a target under rto or rpo, and where it comes from"));
    }
    check_rto(context, objectives, found);
    check_rpo(context, objectives, found);
    for proven_by in words(objectives.get("rlo").and_then(|rlo| rlo.get("proven_by"))) {
        let Some((_, step)) = context.step(proven_by.text) else {
            let message = format!("there is no step {}", proven_by.text);
            let diagnostic = context.at("RD403", proven_by.span, message);
            found.push(match nearest(proven_by.text, context.step_ids()) {
                Some(near) => diagnostic.help(format!("did you mean {near}?")),
                None => diagnostic,
            });
            continue;
        };
        let why = match step.phase {
            Some(Phase::Prepare) => "runs before the disaster",
            _ if step.watch.is_some() => "is a watch",
            _ => continue,
        };
        let message = format!("{} {why}, so it proves nothing that was recovered", step.name());
        found.push(context.at("RD403", proven_by.span, message).help("name verify steps"));
    }
    // Where a need leads nowhere, nobody can say what waits for what.
    let unclear =
        |code: &str| code.starts_with("RD1") || code.starts_with("RD2") || code == "RD403";
    if !found.iter().any(|other| unclear(other.code)) {
        check_apart(context, objectives, found);
        check_within_reach(context, found);
    }
}

/// In mode `recovery` a lost site is not called: what is recovered, and what accepts it, must do without.
fn check_within_reach(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let is_beyond = |step: &StepView<'_>| {
        step.phase == Some(Phase::Prepare)
            && step.at.as_ref().is_some_and(|at| context.is_lost(at.text))
    };
    for (index, step) in context.steps.iter().enumerate() {
        let is_gate = step.gate.as_ref().is_some_and(|gate| gate.text == "acceptance");
        let recovers = step.required && step.phase == Some(Phase::Recover);
        let Some(id) = step.id.as_ref().filter(|_| is_gate || recovers) else { continue };
        let before = context.upstream([index]);
        let needed = before.iter().filter_map(|need| context.steps.get(*need));
        let Some(needed) = needed.filter(|need| is_beyond(need)).find_map(|need| need.id.as_ref())
        else {
            continue;
        };
        let message =
            format!("{} needs {}, for which it is too late in a recovery", id.text, needed.text);
        found.push(context.at("RD408", id.span.clone(), message).help(format!(
            "give it another value for then: \"{{{{default steps.{}.… inputs.…}}}}\"",
            needed.text
        )));
    }
}

fn check_rto(context: &Context<'_>, objectives: &Node, found: &mut Vec<Diagnostic>) {
    let Some(rto) = objectives.entry("rto") else { return };
    if let Some(target) = rto.value.get("target")
        && let Some(written) = target.text()
        && written.parse::<HumanDuration>().is_ok_and(|target| target.0.is_zero())
    {
        let message = format!("the RTO is {written}, in which nothing can be recovered");
        found.push(context.at("RD009", target.span.clone(), message).expected("more than 0s"));
    }
    let is_acceptance =
        |step: &StepView<'_>| step.gate.as_ref().is_some_and(|gate| gate.text == "acceptance");
    if !context.steps.iter().any(is_acceptance) {
        found.push(
            context.at("RD401", rto.key_span.clone(), "no step ends the clock of the RTO").help(
                "add gate: acceptance to the verify step after which the service may be used",
            ),
        );
    }
}

/// What proves the recovery waits for all of it; only what follows the proof may come later.
fn check_apart(context: &Context<'_>, objectives: &Node, found: &mut Vec<Diagnostic>) {
    let is_gate = |step: &StepView<'_>| step.gate.as_ref().is_some_and(|g| g.text == "acceptance");
    let gates = (0..context.steps.len()).filter(|index| is_gate(&context.steps[*index]));
    let named = words(objectives.get("rlo").and_then(|rlo| rlo.get("proven_by")));
    let named = named.iter().filter_map(|word| context.step(word.text)).map(|(index, _)| index);
    let rto = objectives.entry("rto").map(|_| ("no acceptance gate", gates.collect::<Vec<_>>()));
    let rlo = ("no step of rlo.proven_by", named.collect::<Vec<_>>());
    let mut told = BTreeSet::new();
    for (who, proofs) in rto.into_iter().chain([rlo]).filter(|(_, proofs)| !proofs.is_empty()) {
        let before = context.upstream(proofs.iter().copied());
        for (index, step) in context.steps.iter().enumerate() {
            let recovers = step.required
                && step.phase == Some(Phase::Recover)
                && step.watch.is_none()
                && !before.contains(&index);
            let follows = || context.upstream([index]).iter().any(|i| proofs.contains(i));
            let Some(id) = step.id.as_ref().filter(|_| recovers && !follows()) else { continue };
            if told.insert(index) {
                let message = format!("{who} waits for {}, a part of the recovery", id.text);
                found.push(context.at("RD406", id.span.clone(), message).help(
                    "name it in needs: of the step that proves it, or write required: false",
                ));
            }
        }
    }
}

fn check_rpo(context: &Context<'_>, objectives: &Node, found: &mut Vec<Diagnostic>) {
    let Some(rpo) = objectives.entry("rpo") else { return };
    let from_backup = rpo.value.get("measure").and_then(Node::text) == Some("backup");
    let measures = |step: &StepView<'_>| {
        let proofs = step.action.map(|action| action.facts.proves).unwrap_or_default();
        proofs.iter().any(|proof| match proof {
            Proof::RecoveryPointOfBackup { kept_at, unless } => {
                from_backup && !is_lost_afterwards(context, step, kept_at) && !says(step, *unless)
            }
            // Before the disaster it reads the source.
            Proof::RecoveryPointOfData { when } => {
                step.phase != Some(Phase::Prepare) && gives(step, when)
            }
        })
    };
    if !context.steps.iter().any(measures) {
        let (message, help) = if from_backup {
            (
                "no step finds the recovery point of a backup that is still there after the loss",
                actions_that(context, |proof| matches!(proof, Proof::RecoveryPointOfBackup { .. })),
            )
        } else {
            (
                "no step reads from the recovered data how new it is; a backup's own description is not enough",
                actions_that(context, |proof| matches!(proof, Proof::RecoveryPointOfData { .. })),
            )
        };
        found.push(context.at("RD402", rpo.key_span.clone(), message).help(help));
    }
    check_schedule(context, found);
}

/// What is found at a site before that is lost says nothing about what is there afterwards.
fn is_lost_afterwards(context: &Context<'_>, step: &StepView<'_>, kept_at: &str) -> bool {
    let elsewhere = step.with.and_then(|with| with.get(kept_at)).and_then(Node::text);
    let at = elsewhere.or(step.at.as_ref().map(|at| at.text));
    step.phase == Some(Phase::Prepare) && at.is_some_and(|at| context.is_lost(at))
}

/// Whether an input says just this.
fn says(step: &StepView<'_>, what: Option<(&str, &str)>) -> bool {
    what.is_some_and(|(input, value)| {
        step.with.and_then(|with| with.get(input)).and_then(Node::text) == Some(value)
    })
}

fn gives(step: &StepView<'_>, input: &str) -> bool {
    let node =
        step.with.and_then(|with| input.split('.').try_fold(with, |node, key| node.get(key)));
    input.is_empty() || node.is_some()
}

fn actions_that(context: &Context<'_>, proves: fn(&Proof) -> bool) -> String {
    let names: Vec<String> = context
        .registry
        .actions()
        .filter_map(|action| {
            let proof = action.facts.proves.iter().find(|proof| proves(proof))?;
            Some(match proof {
                Proof::RecoveryPointOfData { when } if !when.is_empty() => {
                    format!("{} with {when}", action.facts.name)
                }
                _ => action.facts.name.to_owned(),
            })
        })
        .collect();
    format!("these can: {}", names.join(", "))
}

/// A daily backup cannot meet an RPO of an hour, whether the scenario says daily or the action's default does.
fn check_schedule(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let target = context.root.get("objectives").and_then(|o| o.get("rpo")?.get("target")?.text());
    let Some(wanted) = target else { return };
    let Ok(target) = wanted.parse::<HumanDuration>() else { return };
    for step in &context.steps {
        let Some(action) = step.action else { continue };
        let of_backup = |proof: &Proof| matches!(proof, Proof::RecoveryPointOfBackup { .. });
        if !action.facts.proves.iter().any(of_backup) {
            continue;
        }
        found.extend(schedule_beyond(context, step, (wanted, target)));
        found.extend(looser_than(context, step, (wanted, target)));
    }
}

fn schedule_beyond(
    context: &Context<'_>,
    step: &StepView<'_>,
    (wanted, target): (&str, HumanDuration),
) -> Option<Diagnostic> {
    let usual = field(&step.action?.input, "schedule")?.get("default").and_then(Value::as_str);
    let given = step.with.and_then(|with| with.get("schedule"));
    let written = given.map_or(usual, Node::text)?;
    if written.parse::<HumanDuration>().ok()? <= target {
        return None;
    }
    let message = format!("a backup every {written} cannot meet an RPO of {wanted}");
    match given {
        Some(node) => Some(context.at("RD405", node.span.clone(), message)),
        None => {
            let message = format!("{message}; that is the schedule of {} by default", step.name());
            let help = "give schedule: with the time between two backups";
            Some(context.at("RD405", step.span(), message).help(help))
        }
    }
}

/// Outputs that say how much would be lost.
const LOSSES: [&str; 4] = ["age", "worst_gap", "worst_case", "behind"];

/// Expectations, and the input `max_age`, by which more may be lost than the objective allows.
fn looser_than(
    context: &Context<'_>,
    step: &StepView<'_>,
    (wanted, target): (&str, HumanDuration),
) -> Vec<Diagnostic> {
    let expected = step.expect.iter().filter(|entry| LOSSES.contains(&entry.key.as_str()));
    let expected = expected.filter_map(|entry| {
        let read = Expectation::parse(&entry.value.to_value(), ValueKind::Duration).ok()?;
        Some((entry.key.as_str(), &entry.value, read.longest()?))
    });
    let max_age = step.with.and_then(|with| with.get("max_age"));
    let max_age = max_age.and_then(|node| Some(("max_age", node, node.text()?.parse().ok()?)));
    let all = expected.chain(max_age).filter(|(_, _, allowed)| *allowed > target);
    all.map(|(name, node, allowed)| {
        let message = format!("{name} of {} may be {allowed}, the RPO is {wanted}", step.name());
        context.at("RD407", node.span.clone(), message).expected(format!("at most {wanted}"))
    })
    .collect()
}
