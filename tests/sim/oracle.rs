//! The judge of a run. It reads the journal as text, the estate before and after, and the requests that were seen on the
//! wire; it uses nothing of the engine, of the ledger or of the journal's own reader.
//!
//! Main functions: [`judge`] for one run, [`compare`] for a disturbed run beside the undisturbed one.

use super::disturbance::Disturbance;
use super::model::{LONGEST, allowed};
use super::rig::Ran;
use super::story::{Story, chain};
use super::subject::Subject;
use super::watch::RUN;
use redrill::journal::Outcome;
use redrill::report::{Report, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that is wrong with a run by itself.
pub(crate) fn judge(subject: &Subject, ran: &Ran) -> Vec<String> {
    let mut wrong = ran.wrong.clone();
    let events = match chain(&ran.bytes) {
        Ok(events) => events,
        Err(why) => {
            wrong.push(why);
            return wrong;
        }
    };
    let story = Story::of(&events, &mut wrong);
    order(subject, &events, &mut wrong);
    steps(subject, &story, &mut wrong);
    asked(&events, &mut wrong);
    resources(&story, ran, subject.plan.is_drill(), &mut wrong);
    if !subject.plan.hooks.is_empty() {
        heard(&events, &mut wrong);
    }
    inventories(&story, &events, &mut wrong);
    match &ran.report {
        Some(report) => reported(subject, &story, report, &mut wrong),
        None => wrong.push("there is no report".to_owned()),
    }
    wrong
}

/// The verdict of a run that has a report.
pub(crate) fn verdict(ran: &Ran) -> Option<Verdict> {
    ran.report.as_ref().map(|report| report.verdict.outcome)
}

/// The verdicts that the reference model allows; none for scenarios written by people.
fn modelled(subject: &Subject) -> Option<BTreeSet<Verdict>> {
    let cut_short = subject.plan.guard.max_duration.to_string() != LONGEST;
    subject.drafts.as_deref().map(|drafts| allowed(drafts, cut_short))
}

/// Whether an undisturbed run ended as the reference model says.
pub(crate) fn as_modelled(subject: &Subject, ran: &Ran) -> Vec<String> {
    let (Some(allowed), Some(verdict)) = (modelled(subject), verdict(ran)) else {
        return Vec::new();
    };
    if allowed.contains(&verdict) {
        return Vec::new();
    }
    vec![format!("the run {}, and the model allows {allowed:?}", verdict.as_str())]
}

/// Estates with data that is wrong for a recovery to about the moment at which the run begins, and right for one hours later.
const WRONG_AT_A_MOMENT: [&str; 2] =
    ["orders-db-point-in-time.written-since", "orders-db-point-in-time.too-early"];

/// Whether a disturbed run ended as it may, beside the undisturbed one.
pub(crate) fn compare(
    subject: &Subject,
    calm: &Ran,
    ran: &Ran,
    disturbance: &Disturbance,
) -> Vec<String> {
    let (Some(before), Some(after)) = (&calm.report, &ran.report) else { return Vec::new() };
    let (was, is) = (before.verdict.outcome, after.verdict.outcome);
    let several = modelled(subject).filter(|all| all.len() > 1);
    if several.is_some_and(|all| all.contains(&is)) || was == is {
        return Vec::new();
    }
    // What is first seen after a gap may have been ready in time: nobody can say that it was not.
    let slow = subject.drafts.iter().flatten().any(|draft| draft.too_short.is_some());
    if slow && !ran.deaths.is_empty() && !disturbance.seen_late {
        return Vec::new();
    }
    // Nor of what nobody has answered for when the limit of its step came.
    if is == Verdict::Inconclusive
        && !disturbance.faults.is_empty()
        && unseen_at_limit(subject, after)
    {
        return Vec::new();
    }
    let idle = disturbance.gap.max(disturbance.pause.map_or(Duration::ZERO, |pause| pause.length));
    let hours_later = subject.drafts.is_none() && idle > Duration::from_secs(60);
    let is_past = |estate: &&str| subject.name.contains(*estate);
    if is == Verdict::Passed && hours_later && WRONG_AT_A_MOMENT.iter().any(is_past) {
        return Vec::new();
    }
    let text = format!("undisturbed the run {}, disturbed it {}", was.as_str(), is.as_str());
    let reasons = after.verdict.reasons().join("; ");
    // Time that was really lost counts: an objective of time may be missed because of it.
    let late = |report: &Report| report.objectives.rto.as_ref().and_then(|rto| rto.actual);
    if is == Verdict::Failed && late(after) > late(before) && only_late(after) {
        return Vec::new();
    }
    if disturbance.mild || is == Verdict::Passed {
        return vec![format!("{text}: {reasons}")];
    }
    // Written by people, with narrow limits: after hours without the program, or in which it is halted, backups are hours older.
    if is == Verdict::Failed && !hours_later && !may_fail(disturbance) {
        return vec![format!("{text}, because of a broken tool: {reasons}")];
    }
    Vec::new()
}

/// Whether a step whose limit is too short ran until that limit, and ended without a look at what it waited for.
fn unseen_at_limit(subject: &Subject, report: &Report) -> bool {
    let limits = subject.drafts.iter().flatten();
    let mut limits = limits.filter_map(|draft| Some((draft.id.as_str(), draft.too_short?)));
    limits.any(|(id, limit)| {
        let ended = report.timeline.steps.iter().find(|step| step.id.as_str() == id);
        ended.is_some_and(|step| {
            let lasted = step.duration.is_some_and(|all| all.0.as_secs() + LAST_LOOK >= limit);
            step.outcome == Outcome::Inconclusive && lasted
        })
    })
}

/// Seconds before its limit in which a step makes its last look at the latest.
const LAST_LOOK: u64 = 60;

fn only_late(report: &Report) -> bool {
    let broken = report.verdict.rules.iter().filter(|rule| !rule.holds);
    let failing: Vec<&str> =
        broken.filter(|r| r.effect == Verdict::Failed).map(|rule| rule.id.as_str()).collect();
    failing == ["objectives"]
}

/// Answers that take long make a recovery take long, which is a failed recovery beyond its limit.
fn may_fail(disturbance: &Disturbance) -> bool {
    disturbance.faults.iter().any(|fault| fault.nth.is_none() && fault.to_string().contains("slow"))
}

/// The kinds of things that the step which makes them removes again by itself.
const REMOVED_BY_ITS_STEP: [&str; 2] = ["sql.schema", "etcd.trial_folder"];

/// Nothing begins before it may: needs, the declaration of the disaster, the end of what failed.
fn order(subject: &Subject, events: &[Value], wrong: &mut Vec<String>) {
    let mut over: BTreeSet<&str> = BTreeSet::new();
    let mut begun: BTreeSet<&str> = BTreeSet::new();
    let (mut declared, mut stopped, mut releasing) = (false, None, false);
    let (mut cancelled, mut red) = (false, None);
    let (mut halted, mut urgent) = (false, false);
    for event in events {
        let id = event["step"].as_str().unwrap_or_default();
        let step = subject.plan.steps.iter().find(|step| step.id.as_str() == id);
        match event["type"].as_str().unwrap_or_default() {
            "disaster_declared" => declared = true,
            "run_paused" => halted = true,
            "run_continued" => halted = false,
            "cancel_requested" => {
                cancelled = true;
                urgent |= event["incident"] == true;
            }
            "release_started" => releasing = true,
            "resource_released"
                if REMOVED_BY_ITS_STEP.iter().any(|kind| event["key"]["kind"] == *kind) => {}
            "resource_released" | "resource_left" if !releasing => {
                wrong.push("a resource was removed before the steps were over".to_owned());
            }
            "step_started" => {
                if halted && !urgent {
                    wrong.push(format!("step {id} began while the run was halted"));
                }
                if cancelled {
                    wrong.push(format!("step {id} began after the run was cancelled"));
                }
                let Some(step) = step else { continue };
                for need in step.needs.iter().filter(|need| !over.contains(need.as_str())) {
                    wrong.push(format!("step {id} began before {need} was over"));
                }
                let prepares = step.phase == redrill::action::Phase::Prepare;
                // A watch goes on beyond the declaration, also in another process.
                let goes_on = step.watch.is_some() && begun.contains(id);
                if prepares == declared && !goes_on {
                    wrong.push(format!("step {id} began on the wrong side of the disaster"));
                }
                if let Some(stop) = stopped.filter(|_| !begun.contains(id)) {
                    wrong.push(format!("step {id} began after {stop} had stopped the run"));
                }
                begun.insert(id);
            }
            "step_finished" => {
                over.insert(id);
                let short = event["result"]["outcome"] != "passed"
                    && event["result"]["outcome"] != "not_run";
                let stops =
                    step.is_some_and(|s| s.on_failure == redrill::scenario::OnFailure::Stop);
                if short && stops && stopped.is_none() {
                    stopped = Some(id);
                }
                if short && step.is_some_and(|step| step.watch.is_some()) {
                    red = Some(id);
                }
            }
            "step_left_out" => drop(over.insert(id)),
            _ => {}
        }
    }
    if let Some(id) = red.filter(|_| !cancelled) {
        wrong.push(format!("the watch {id} turned red, and the run went on"));
    }
}

/// Nobody who has answered is asked again, whichever process dies, unless the attempt that asked has failed.
fn asked(events: &[Value], wrong: &mut Vec<String>) {
    let mut answered: BTreeSet<&str> = BTreeSet::new();
    for event in events {
        let id = event["step"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "approval_given" => drop(answered.insert(id)),
            "attempt_failed" => drop(answered.remove(id)),
            "approval_requested" if answered.contains(id) => {
                wrong.push(format!("step {id} was answered, and asks again"));
            }
            _ => {}
        }
    }
}

/// Every step has an end, and none passed without having been looked at.
fn steps(subject: &Subject, story: &Story, wrong: &mut Vec<String>) {
    for step in &subject.plan.steps {
        let id = step.id.as_str();
        let Some(outcome) = story.outcomes.get(id) else {
            wrong.push(format!("step {id} has no end"));
            continue;
        };
        if outcome != "passed" {
            continue;
        }
        if story.failures.contains(id) {
            wrong.push(format!("step {id} passed, with a failure"));
        }
        let checks = story.checks.get(id).cloned().unwrap_or_default();
        for check in &checks {
            let (name, observed) = (&check["name"], check["observed"].as_str().unwrap_or_default());
            if check["outcome"] != "passed" {
                wrong.push(format!("step {id} passed, and its check {name} did not"));
            }
            if observed.is_empty() || observed == "nothing" || check["population"] == 0 {
                wrong.push(format!("the check {name} of step {id} passed without an observation"));
            }
        }
        for name in step.expect.keys() {
            if !checks.iter().any(|check| check["name"] == name.as_str()) {
                wrong.push(format!("step {id} passed, and {name} was not looked at"));
            }
        }
        for need in &step.needs {
            let before = story.outcomes.get(need.as_str()).map(String::as_str);
            let worked = !story.failures.contains(need.as_str());
            let usable = matches!(before, Some("failed" | "inconclusive")) && worked;
            if before != Some("passed") && !usable {
                wrong.push(format!("step {id} passed, and {need} before it did not"));
            }
        }
    }
}

/// What is never kept.
const TEMPORARY: [&str; 2] = ["etcd.trial_folder", "sql.schema"];

/// Messages about the same, of which some wait to be heard.
#[derive(Default)]
struct Messages {
    waiting: usize,
    /// How many of those the process that is at work has told, and how many it could not tell.
    told: usize,
    untold: usize,
}

/// People were told, or it is written down why not. A process that goes on tells anew what it does not know to be heard, and what
/// it tells counts for that and nothing else. Of approvals it asks again, if the run still wants to know: what a dead process
/// asked need not have been told.
pub(crate) fn heard(events: &[Value], wrong: &mut Vec<String>) {
    let mut all: BTreeMap<(&str, &str), Messages> = BTreeMap::new();
    for event in events {
        let step = event["step"].as_str().unwrap_or_default();
        let moment = match event["type"].as_str().unwrap_or_default() {
            "run_started" => "started",
            "approval_requested" => ASKED,
            "step_finished" => match event["result"]["outcome"].as_str() {
                Some("failed" | "inconclusive") => "failed",
                _ => continue,
            },
            "resource_left" if event["kept"] == false => "leftover",
            "run_resumed" => {
                all.retain(|(moment, _), _| *moment != ASKED);
                all.values_mut().for_each(|of| (of.told, of.untold) = (0, 0));
                continue;
            }
            "notified" => {
                let moment = event["moment"].as_str().unwrap_or_default();
                let of = all.entry((moment, step)).or_default();
                match event["problem"].is_null() {
                    true => of.told += 1,
                    false => of.untold += 1,
                }
                if of.told >= of.waiting {
                    *of = Messages::default();
                }
                continue;
            }
            _ => continue,
        };
        all.entry((moment, step)).or_default().waiting += 1;
    }
    for ((moment, step), of) in all {
        let missing = of.waiting.saturating_sub(of.told + of.untold);
        if missing > 0 {
            wrong.push(format!("{missing} times nobody was told: {moment} {step}"));
        }
    }
}

/// The moment of a question to a person.
const ASKED: &str = "approval_needed";

/// Before the first step and after the release everything was listed; where nothing is left, no listing shows anything of the
/// run.
fn inventories(story: &Story, events: &[Value], wrong: &mut Vec<String>) {
    let of = |when: &str| {
        let taken = |event: &&Value| event["type"] == "inventory_taken" && event["when"] == when;
        events.iter().rfind(taken).and_then(|event| event["seen"].as_array())
    };
    let (before, after) = (of("before"), of("after"));
    // A recovery, and a run that is ended at once, have none before.
    if before.is_some_and(|before| after.is_none_or(|after| before.len() != after.len())) {
        wrong.push("the inventories before and after are not of the same places".to_owned());
    }
    for seen in after.into_iter().flatten() {
        for item in seen["ours"].as_array().into_iter().flatten() {
            let name = item["name"].as_str().unwrap_or_default();
            if !story.left().iter().any(|(left, _)| left == name) {
                wrong.push(format!("{name} is in the last inventory, and not said to be left"));
            }
        }
    }
}

/// The estate is as it would have been without the run, but for what the journal says is left.
fn resources(story: &Story, ran: &Ran, is_drill: bool, wrong: &mut Vec<String>) {
    let mut expected: Vec<&String> = story.intended.iter().collect();
    expected.reverse();
    let mut ended: Vec<&String> = story.ended.iter().map(|(name, _)| name).collect();
    if story.urgent {
        // All at once.
        expected.sort();
        ended.sort();
    }
    if expected != ended {
        wrong
            .push(format!("released in another order than the reverse: {ended:?} of {expected:?}"));
    }
    let mut unexplained: BTreeSet<&String> =
        story.left().into_iter().map(|(name, _)| name).collect();
    for (thing, line, before) in ran.estates.iter().flat_map(|(after, untouched)| {
        after.iter().map(|(thing, line)| (thing, line, untouched.get(thing)))
    }) {
        match before {
            Some(before) if before == line => {}
            Some(before) => wrong.push(format!("{thing} was changed: {before} → {line}")),
            None => {
                let names =
                    |name: &&String| thing.contains(name.as_str()) || line.contains(name.as_str());
                // The name of a cluster begins those of its instances.
                let explained = story.left().into_iter().map(|(name, _)| name).filter(names);
                match explained.max_by_key(|name| name.len()) {
                    Some(name) => drop(unexplained.remove(name)),
                    None => wrong.push(format!("{thing} is left over: {line}")),
                }
            }
        }
    }
    for (after, untouched) in &ran.estates {
        for thing in untouched.keys().filter(|thing| !after.contains_key(*thing)) {
            wrong.push(format!("{thing} is gone"));
        }
    }
    let removed = |event: &Value| event["type"] == "resource_released" && event["how"] == "deleted";
    for (name, event) in story.ended.iter().filter(|(_, event)| !is_drill && removed(event)) {
        let canary = event["key"]["kind"] == "s3.canary_object";
        if !canary && !TEMPORARY.iter().any(|kind| event["key"]["kind"] == *kind) {
            wrong.push(format!("{name} was brought back, and removed at the end"));
        }
    }
    for (name, event) in story.left().into_iter().filter(|(_, event)| event["kept"] != false) {
        let temporary = TEMPORARY.iter().any(|kind| event["key"]["kind"] == *kind);
        if (is_drill && !ran.kept) || temporary {
            wrong.push(format!("{name} is said to be kept on purpose, and nobody asked for it"));
        }
        // Whether the copy of what is kept will ever come, nobody knows at the end of the run.
        let may_come = event["why"].as_str().is_some_and(|why| why.contains("may still be copied"));
        if unexplained.remove(name) && !may_come {
            wrong.push(format!("{name} is said to be kept, and is not there"));
        }
    }
    // What could not be looked up may be gone all the same; saying so is no mistake.
    for name in unexplained {
        let why = story.left().into_iter().find(|(left, _)| left == name);
        let command =
            why.map(|(_, event)| event["command"].as_str().unwrap_or_default().to_owned());
        if command.is_none_or(|command| command.is_empty()) {
            wrong.push(format!("{name} is said to be left, without a command"));
        }
    }
    made_once(ran, wrong);
}

/// No thing is made twice, and none is deleted that was not made.
fn made_once(ran: &Ran, wrong: &mut Vec<String>) {
    let mut volumes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut instances: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in &ran.requests {
        if let Some(id) = &seen.made {
            volumes.entry(&seen.target).or_default().insert(id);
        }
        let answered = seen.status == Some(200);
        let makes = [
            "rds:RestoreDBInstanceFromDBSnapshot",
            "rds:RestoreDBInstanceToPointInTime",
            "rds:RestoreDBClusterFromSnapshot",
            "rds:RestoreDBClusterToPointInTime",
            "rds:CreateDBInstance",
            "rds:CopyDBClusterSnapshot",
            "rds:CopyDBSnapshot",
        ];
        if answered && makes.contains(&seen.operation.as_str()) {
            *instances.entry(&seen.target).or_default() += 1;
        }
    }
    for (token, ids) in volumes.iter().filter(|(_, ids)| ids.len() > 1) {
        wrong.push(format!("{token} was made {} times", ids.len()));
    }
    for (name, times) in instances.iter().filter(|(_, times)| **times > 1) {
        wrong.push(format!("{name} was made {times} times"));
    }
    let strange = |line: &&String| line.contains("redrill:run=") && !line.contains(RUN);
    for line in ran.estates.iter().flat_map(|(after, _)| after.values()).filter(strange) {
        wrong.push(format!("something has the tag of another run: {line}"));
    }
}

/// The report says what the journal says.
fn reported(subject: &Subject, story: &Story, report: &Report, wrong: &mut Vec<String>) {
    let left = story.left().iter().filter(|(_, event)| event["kept"] == false).count();
    if report.exit.left_behind != left {
        wrong
            .push(format!("{left} left in the journal, {} in the report", report.exit.left_behind));
    }
    let mut worst = Verdict::Passed;
    for step in &subject.plan.steps {
        let outcome = story.outcomes.get(step.id.as_str()).map_or("", String::as_str);
        let told = report.timeline.steps.iter().find(|told| told.id == step.id);
        let told = told.map(|told| told.outcome.to_string().replace(' ', "_"));
        if told.as_deref() != Some(outcome) {
            wrong
                .push(format!("step {} {outcome} in the journal, {told:?} in the report", step.id));
        }
        let effect = match outcome {
            "passed" => Verdict::Passed,
            "failed" => Verdict::Failed,
            _ => Verdict::Inconclusive,
        };
        if step.required {
            worst = worst.max(effect);
        }
    }
    let at_the_end = match worst {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Inconclusive => "inconclusive",
    };
    if story.at_the_end != at_the_end {
        wrong.push(format!("the last record says {}, the steps {at_the_end}", story.at_the_end));
    }
    if story.cancelled || left > 0 {
        worst = worst.max(Verdict::Inconclusive);
    }
    let objectives = report.objectives.outcomes();
    let missed = objectives.iter().any(|(_, outcome)| outcome.to_string() == "missed");
    let unmeasured = objectives.iter().any(|(_, outcome)| outcome.to_string() == "not measured");
    if missed {
        worst = worst.max(Verdict::Failed);
    }
    if unmeasured {
        worst = worst.max(Verdict::Inconclusive);
    }
    if report.verdict.outcome != worst {
        let is = report.verdict.outcome.as_str();
        wrong.push(format!("the journal's verdict is {}, the report's {is}", worst.as_str()));
    }
    let code = match () {
        () if !report.exit.refused.is_empty() => 4,
        () if story.cancelled => 130,
        () if worst == Verdict::Failed => 1,
        () if left > 0 => 5,
        () if worst == Verdict::Inconclusive => 2,
        () => 0,
    };
    if report.exit.code != code {
        wrong.push(format!("exit code {} instead of {code}", report.exit.code));
    }
}
