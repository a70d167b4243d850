//! A report as text, for the templates: every value formatted, every optional value there or null.

use super::format::{
    count, counted, duration, margin, moment, objective_class, outcome_class, sign, time_of_day,
    verdict_class,
};
use crate::journal::{Measure, Outcome, WorldKind};
use crate::report::{
    CheckReport, DecidedBy, EarlierRun, InventoryLine, InventoryReport, LevelReport,
    ObjectiveOutcome, PointReport, PointSeen, Report, ResourceReport, Standstill, StepReport,
    TimeReport, Verdict,
};
use crate::scenario::Gate;
use crate::visible::visible;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Everything of a report, formatted; what is hidden in values is made visible, so that they cannot look like others.
pub(super) fn view(report: &Report) -> Value {
    let mut view = formatted(report);
    show_hidden(&mut view);
    view
}

fn show_hidden(value: &mut Value) {
    match value {
        Value::String(text) => *text = visible(text, &['\n', '\t']),
        Value::Array(items) => items.iter_mut().for_each(show_hidden),
        Value::Object(fields) => fields.values_mut().for_each(show_hidden),
        _ => {}
    }
}

fn formatted(report: &Report) -> Value {
    let run = &report.run;
    let started = run.started;
    json!({
        "verdict": verdict(report),
        "rules": rules(report),
        "exit": { "code": report.exit.code, "left_behind": report.exit.left_behind,
            "left": counted(report.exit.left_behind as u64, "resource", "resources"),
            "cancelled_by": report.exit.cancelled_by, "incident": report.exit.incident, "unfinished": report.exit.unfinished,
            "refused": report.exit.refused },
        "run": { "id": run.id, "number": run.number, "mode": run.mode, "world": world(&run.world),
            "tool": run.tool, "operator": run.operator, "seed": run.seed.to_string(),
            "started": moment(run.started), "ended": moment(run.ended),
            "duration": duration(run.duration), "resumed": counted(run.resumed.into(), "time", "times"),
            "standstills": run.standstills.iter().map(standstill).collect::<Vec<_>>(),
            "expires": moment(run.expires), "records": run.records,
            "journal": run.journal, "plan": run.plan, "scenario": run.scenario, "limits": run.limits },
        "scenario": scenario(report),
        "sites": sites(report),
        "objectives": objectives(report),
        "depth": super::depth::view(report),
        "clock": clock(report),
        "points": points(report),
        "steps": report.timeline.steps.iter().map(|entry| step(report, entry)).collect::<Vec<_>>(),
        "critical_path": report.timeline.critical_path,
        "checks": report.checks.iter().map(|entry| check(entry, started)).collect::<Vec<_>>(),
        "findings": findings(report),
        "without_findings": without_findings(report),
        "inventory": inventory(&report.inventory),
        "resources": report.resources.iter().map(resource).collect::<Vec<_>>(),
        "approvals": approvals(report),
        "calls": calls(report),
        "deviations": report.deviations,
        "omissions": report.omissions.iter()
            .map(|omission| json!({ "what": omission.what, "why": omission.why })).collect::<Vec<_>>(),
        "history": report.history.iter().map(earlier).collect::<Vec<_>>(),
    })
}

fn verdict(report: &Report) -> Value {
    let verdict = &report.verdict;
    let class = verdict_class(verdict.outcome);
    // What is no evidence does not wear the colours of a verdict.
    let shade = if verdict.notice.is_some() { "sim" } else { class };
    let said = match report.exit.cancelled_by {
        Some(_) => format!("cancelled, {}", verdict.outcome.as_str()),
        None => verdict.outcome.as_str().to_owned(),
    };
    let word = match (&verdict.notice, report.rehearsal) {
        (Some(_), true) => format!("Rehearsal {said}"),
        (Some(_), false) => format!("Not AWS: {said}"),
        (None, _) => sentence(&said).trim_end_matches('.').to_owned(),
    };
    let outcomes = report.objectives.outcomes();
    let outcomes = outcomes.iter().map(|(name, outcome)| format!("{name} {outcome}"));
    json!({ "class": shade, "sign": sign(class), "word": word, "text": verdict.text,
        "rehearsal": report.rehearsal, "notice": verdict.notice, "reasons": verdict.reasons(),
        "objectives": outcomes.collect::<Vec<_>>() })
}

fn world(world: &WorldKind) -> String {
    match world {
        WorldKind::Real => "real services".to_owned(),
        WorldKind::Endpoint { url } => format!("services at {url}"),
        WorldKind::Rehearsal { estate } => format!("rehearsal in the estate {estate}"),
    }
}

pub(super) fn evidence(records: &[u64]) -> String {
    let records: Vec<_> = records.iter().map(|seq| format!("#{seq}")).collect();
    records.join(" ")
}

fn rules(report: &Report) -> Vec<Value> {
    let rule = report.verdict.rules.iter().map(|rule| {
        let class = verdict_class(rule.effect);
        let word = if rule.holds { "holds" } else { rule.effect.as_str() };
        json!({ "statement": rule.statement, "holds": rule.holds, "class": class,
            "sign": sign(class), "word": word, "because": rule.because,
            "evidence": evidence(&rule.evidence) })
    });
    rule.collect()
}

fn scenario(report: &Report) -> Value {
    let scenario = &report.scenario;
    let contacts = scenario.contacts.iter();
    json!({ "name": scenario.name, "title": scenario.title, "about": scenario.about,
        "system": scenario.system, "tier": scenario.tier.map(|tier| tier.to_string()), "owner": scenario.owner,
        "disaster": scenario.disaster.replace('_', " "),
        "lost": scenario.lost.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        "data_class": scenario.data_class,
        "contacts": contacts.map(|(role, address)| json!({ "role": role, "address": address })).collect::<Vec<_>>() })
}

fn sites(report: &Report) -> Vec<Value> {
    let site = report.sites.iter().map(|site| {
        json!({ "site": site.site, "region": site.region, "planned": site.planned_account,
            "account": site.account, "identity": site.identity, "lost": site.lost })
    });
    site.collect()
}

fn objectives(report: &Report) -> Vec<Value> {
    let objectives = &report.objectives;
    let time = objectives.rto.as_ref().map(recovery_time);
    let point = objectives.rpo.as_ref().map(recovery_point);
    let level = objectives.rlo.as_ref().map(recovery_level);
    [time, point, level].into_iter().flatten().collect()
}

/// What all objectives have; `notes` and `evidence` differ.
fn objective(short: &str, name: &str, outcome: ObjectiveOutcome, authority: Option<&str>) -> Value {
    let class = objective_class(outcome);
    json!({ "short": short, "name": name, "outcome": outcome.to_string(), "class": class,
        "sign": sign(class), "authority": authority, "margin": null, "actual": null })
}

fn standstill(still: &Standstill) -> Value {
    json!({ "why": still.why, "began": moment(still.began), "duration": duration(still.duration),
        "evidence": still.evidence })
}

fn recovery_time(rto: &TimeReport) -> Value {
    let mut notes = Vec::new();
    if let Some(measured) = rto.measured {
        let mut parts = vec![format!("{} measured", duration(measured))];
        let assumed = rto.assumed.iter();
        parts.extend(
            assumed.map(|part| format!("{} assumed {}", duration(part.duration), part.what)),
        );
        notes.push(format!("{}.", parts.join(" + ")));
        if !rto.waiting_for_people.0.is_zero() {
            notes.push(format!(
                "{} of the measured time was spent waiting for people.",
                duration(rto.waiting_for_people)
            ));
        }
        if let Some(unattended) = rto.unattended {
            notes.push(format!(
                "During {} of it no process of the run was at work; that time counts.",
                duration(unattended)
            ));
        }
        if !rto.waiting_for_credentials.is_zero() {
            notes.push(format!(
                "{} of the measured time was spent waiting for expired credentials.",
                duration(rto.waiting_for_credentials)
            ));
        }
        if !rto.uncertainty.0.is_zero() {
            notes.push(format!(
                "It may be up to {} shorter: that far apart the service was looked at.",
                duration(rto.uncertainty)
            ));
        }
        if let Some(lower_bound) = &rto.lower_bound {
            notes.push(format!("Lower bound: {lower_bound}."));
        }
    }
    notes.extend(rto.why.iter().map(|why| format!("Not measured: {why}.")));
    let mut value = objective("RTO", "Recovery time", rto.outcome, rto.authority.as_deref());
    value["target"] = duration(rto.target).into();
    value["actual"] = rto.actual.map(duration).into();
    value["margin"] = rto.margin.map(margin).into();
    value["definition"] = rto.definition.clone().into();
    value["notes"] = notes.into();
    value["evidence"] = evidence(&rto.evidence).into();
    value
}

fn recovery_point(rpo: &PointReport) -> Value {
    let mut notes = Vec::new();
    if let (Some(of_the_day), Some(decided_by)) = (rpo.of_the_day, rpo.decided_by) {
        let decides = match decided_by {
            DecidedBy::Day => "the loss of the day decides",
            DecidedBy::Schedule => "the schedule decides",
        };
        let worst = rpo.worst_case.map_or_else(|| "not known".to_owned(), duration);
        notes.push(format!(
            "{} on the day, worst case of the schedule {worst}: {decides}.",
            duration(of_the_day)
        ));
    }
    if let (Some(newest), Some(source)) = (rpo.newest, &rpo.source) {
        let from = rpo.measured_from.map_or("", measure);
        notes.push(format!("Newest data {}, by {source} ({from}).", moment(newest)));
    }
    notes.extend(rpo.notes.iter().map(|note| sentence(note)));
    notes.extend(rpo.why.iter().map(|why| format!("Not measured: {why}.")));
    let mut value = objective("RPO", "Recovery point", rpo.outcome, rpo.authority.as_deref());
    value["target"] = duration(rpo.target).into();
    value["actual"] = rpo.actual.map(duration).into();
    value["margin"] = rpo.margin.map(margin).into();
    value["definition"] = rpo.definition.clone().into();
    value["notes"] = notes.into();
    value["evidence"] = evidence(&rpo.evidence).into();
    value
}

fn recovery_level(rlo: &LevelReport) -> Value {
    let proofs = rlo.proven_by.iter().map(|proof| format!("{} {}", proof.step, proof.outcome));
    let proofs = proofs.collect::<Vec<_>>().join(", ");
    let mut notes = vec![format!("Proof: {proofs}.")];
    notes.extend(rlo.why.iter().map(|why| sentence(why)));
    let mut value = objective("RLO", "Recovery level", rlo.outcome, rlo.authority.as_deref());
    value["target"] = rlo.target.clone().into();
    value["definition"] = rlo.definition.clone().into();
    value["notes"] = notes.into();
    value["evidence"] = evidence(&rlo.evidence).into();
    value
}

/// A text as a sentence. A name that it begins with (an address, an ARN, a parameter) is left as it is.
pub(super) fn sentence(text: &str) -> String {
    let first_word = text.split(' ').next().unwrap_or_default().trim_end_matches([':', '.']);
    if first_word.contains(['@', ':', '_', '/', '.', '=']) {
        return with_a_full_stop(text.to_owned());
    }
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    with_a_full_stop(first.chain(letters).collect())
}

fn with_a_full_stop(mut text: String) -> String {
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// Why a step ended as it did, as a sentence. Whoever answered it is written as they are known.
fn reason(report: &Report, step: &StepReport, why: &str) -> String {
    let mut answers = report.approvals.iter().filter(|asked| asked.step == step.id);
    let begins_with_a_name = answers.any(|asked| {
        let by = asked.approval.as_ref().map(|answer| answer.by.as_str());
        by.and_then(|by| why.strip_prefix(by)).is_some_and(|rest| rest.starts_with(' '))
    });
    if begins_with_a_name { with_a_full_stop(why.to_owned()) } else { sentence(why) }
}

fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::Data => "read from the data",
        Measure::Backup => "as the backup is described",
    }
}

fn clock(report: &Report) -> Vec<Value> {
    let entry = report.clock.iter().map(|entry| {
        json!({ "name": entry.moment.as_str(), "at": moment(entry.at),
            "since": entry.since_declared.map(duration), "step": entry.step,
            "source": entry.source, "evidence": evidence(&entry.evidence) })
    });
    entry.collect()
}

fn points(report: &Report) -> Vec<Value> {
    let seen = report.recovery_points.iter().map(|seen| {
        json!({ "step": seen.step, "at": moment(seen.point.at), "source": seen.point.source,
            "measure": measure(seen.point.measure), "identity": seen.point.identity,
            "worst_case": seen.point.worst_case.map(duration), "outcome": outcome(seen.outcome),
            "counts": counts(report, seen),
            "evidence": evidence(&seen.evidence) })
    });
    seen.collect()
}

/// Whether a recovery point counts, and for what: its time, and the worst case of its schedule.
fn counts(report: &Report, seen: &PointSeen) -> String {
    let decides = report.objectives.rpo.as_ref().is_some_and(|rpo| {
        let is_the_worst =
            seen.point.worst_case.is_some() && seen.point.worst_case == rpo.worst_case;
        rpo.decided_by == Some(DecidedBy::Schedule) && is_the_worst
    });
    match (&seen.does_not_count, decides) {
        (None, false) => "yes".to_owned(),
        (None, true) => "yes, and its worst case decides".to_owned(),
        (Some(why), false) => format!("no: {why}"),
        (Some(why), true) => format!("its worst case decides; its time does not count: {why}"),
    }
}

pub(super) fn outcome(outcome: Outcome) -> Value {
    let class = outcome_class(outcome);
    json!({ "class": class, "sign": sign(class), "word": outcome.to_string() })
}

fn step(report: &Report, step: &StepReport) -> Value {
    let started = report.run.started;
    let gate = step.gate.map(|gate| match gate {
        Gate::Acceptance => "acceptance",
        Gate::Assurance => "assurance",
    });
    let mut notes: Vec<String> = step.why.iter().map(|why| reason(report, step, why)).collect();
    notes.extend(
        step.help.iter().map(|help| format!("What to do: {}.", help.trim_end_matches('.'))),
    );
    for attempt in &step.attempts {
        if let Some(failure) = &attempt.failure {
            notes.push(format!("Attempt {} failed: {}.", attempt.number, failure.message));
        }
    }
    for wait in &step.waits {
        let bracket = wait.last_not_ready.map_or_else(String::new, |last| {
            format!(", not yet at {}", time_of_day(last, started))
        });
        let ready = time_of_day(wait.first_ready, started);
        notes.push(format!(
            "Waited for {}: ready at {ready}{bracket}, {}.",
            wait.what,
            counted(wait.polls.into(), "look", "looks")
        ));
    }
    if !step.waiting_for_people.0.is_zero() {
        notes.push(format!("Waited {} for a person.", duration(step.waiting_for_people)));
    }
    if !step.waiting_for_credentials.is_zero() {
        let waited = duration(step.waiting_for_credentials);
        notes.push(format!("Waited {waited} for expired credentials."));
    }
    json!({ "id": step.id, "title": step.title, "uses": step.uses, "at": step.at,
        "phase": step.phase.as_str(), "gate": gate, "required": step.required,
        "outcome": outcome(step.outcome), "started": step.started.map(|at| time_of_day(at, started)),
        "ended": step.ended.map(|at| time_of_day(at, started)), "duration": step.duration.map(duration),
        "limit": duration(step.limit), "critical": step.critical, "attempts": step.attempts.len(),
        "notes": notes, "evidence": evidence(&step.evidence) })
}

fn check(check: &CheckReport, started: DateTime<Utc>) -> Value {
    let seen = &check.check;
    let mut notes: Vec<String> = seen.note.iter().map(|note| sentence(note)).collect();
    if check.superseded {
        notes.push(format!("Attempt {}: made again later, does not count.", check.attempt));
    }
    if !check.required {
        notes.push("Not required.".to_owned());
    }
    json!({ "step": check.step, "name": seen.name, "expected": seen.expected, "observed": seen.observed,
        "population": seen.population.map(count), "outcome": outcome(seen.outcome),
        "superseded": check.superseded, "notes": notes, "at": time_of_day(check.at, started),
        "evidence": evidence(&check.evidence) })
}

fn findings(report: &Report) -> Vec<Value> {
    let entry = report.findings.iter().map(|entry| {
        let finding = &entry.finding;
        let severity = format!("{:?}", finding.severity).to_lowercase();
        let class = match severity.as_str() {
            "critical" | "serious" => "fail",
            "warning" => "open",
            _ => "none",
        };
        json!({ "severity": severity, "class": class, "code": finding.code,
            "what": finding.what, "why": sentence(&finding.why), "action": sentence(&finding.action),
            "step": entry.step, "evidence": evidence(&entry.evidence) })
    });
    entry.collect()
}

/// How many checks are named where there is no finding.
const NAMED: usize = 10;

/// What is said where no step reported a finding: that there is nothing to do, only of a run that passed.
fn without_findings(report: &Report) -> String {
    if report.verdict.outcome == Verdict::Passed {
        return "Nothing was found that a person should act on.".to_owned();
    }
    let open = report.checks.iter().filter(|check| {
        let held = matches!(check.check.outcome, Outcome::Passed | Outcome::Skipped);
        check.required && !check.superseded && !held
    });
    let name = |check: &CheckReport| {
        format!("check {} of step {} ({})", check.check.name, check.step, check.check.outcome)
    };
    let mut open: Vec<String> = open.map(name).collect();
    if open.is_empty() {
        open = report.verdict.reasons().into_iter().map(str::to_owned).collect();
    }
    let more = open.len().saturating_sub(NAMED);
    open.truncate(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!(
        "No step reported a finding, but the run did not pass. Act on: {}{more}.",
        open.join("; ")
    )
}

fn inventory(inventory: &InventoryReport) -> Value {
    let number = |count: Option<u64>| count.map(|count| count.to_string());
    let line = |line: &InventoryLine| {
        json!({ "kind": line.kind, "site": line.site, "place": line.place, "before": number(line.before),
            "after": number(line.after), "ours": line.ours.len(), "said": line.said,
            "outcome": outcome(line.outcome) })
    };
    json!({ "claim": inventory.claim, "verified": inventory.verified,
        "lines": inventory.lines.iter().map(line).collect::<Vec<_>>() })
}

fn resource(resource: &ResourceReport) -> Value {
    let class = if resource.state.is_left_behind() { "fail" } else { "pass" };
    json!({ "kind": resource.key.kind, "name": resource.key.short_name(), "site": resource.key.site,
        "id": resource.id, "step": resource.step, "state": resource.state.as_str(), "class": class,
        "sign": sign(class), "left": resource.state.is_left_behind(), "how": resource.how,
        "command": resource.command, "evidence": evidence(&resource.evidence) })
}

fn approvals(report: &Report) -> Vec<Value> {
    let entry = report.approvals.iter().map(|entry| {
        let answer = entry.approval.as_ref();
        json!({ "step": entry.step, "text": entry.text, "asked": moment(entry.asked),
            "deadline": moment(entry.deadline), "answered": entry.answered.map(moment),
            "waited": entry.waited.map(duration),
            "answer": answer.map_or("no answer", |a| if a.approved { "approved" } else { "rejected" }),
            "by": answer.map(|a| &a.by), "identified_by": answer.map(|a| &a.identified_by),
            "comment": answer.and_then(|a| a.comment.as_ref()), "evidence": evidence(&entry.evidence) })
    });
    entry.collect()
}

fn calls(report: &Report) -> Vec<Value> {
    let call = report.calls.iter().map(|call| {
        let steps: Vec<_> = call.steps.iter().map(ToString::to_string).collect();
        json!({ "operation": call.operation, "site": call.site, "count": count(call.count),
            "failed": count(call.failed), "request_id": call.last_request_id,
            "removing": (call.removing > 0).then(|| count(call.removing)),
            "steps": steps.join(", ") })
    });
    call.collect()
}

fn earlier(run: &EarlierRun) -> Value {
    let verdict = run.verdict.map_or("none", verdict_class);
    // What is no evidence does not wear the colours of a verdict.
    let class = if run.world == Some(WorldKind::Real) { verdict } else { "none" };
    let unended = if run.unreadable.is_some() { "unreadable" } else { "never came to an end" };
    let mut word = run.verdict.map_or(unended, Verdict::as_str).to_owned();
    if run.cancelled {
        word.push_str(", cancelled");
    }
    match &run.world {
        Some(WorldKind::Rehearsal { .. }) => word = format!("rehearsal: {word}"),
        Some(WorldKind::Endpoint { .. }) => word = format!("not AWS: {word}"),
        Some(WorldKind::Real) | None => {}
    }
    json!({ "number": run.number, "run": run.run, "started": run.started.map(moment), "class": class,
        "sign": sign(verdict), "word": word, "world": run.world.as_ref().map(world), "why": run.unreadable })
}
