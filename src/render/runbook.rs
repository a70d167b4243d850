use super::RenderError;
use super::by_hand::{Hands, parts, plain, prose};
use super::format::{duration, moment};
use super::markdown::{escape, render};
use super::shell::{CodeSpan, fenced, is_command, unmark};
use crate::action::{Effect, Phase, Registry};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::Outcome;
use crate::plan::{Plan, PlannedStep, grants, latest_ends};
use crate::report::Report;
use crate::scenario::{Gate, RtoFrom, Site};
use crate::time::HumanDuration;
use crate::visible::visible;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PAGE: &str = include_str!("../../runbooks/templates/runbook.md.hbs");

/// What a runbook says of the last drill of its scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastDrill {
    /// The run.
    pub run: RunId,
    /// When it ended (UTC).
    pub ended: DateTime<Utc>,
    /// Its verdict, as it must be quoted.
    pub verdict: String,
    /// Digest of the scenario file that was drilled: another one makes the runbook unproven.
    pub scenario: Digest,
    /// How long each step took that passed: how long others ran says nothing about how long it takes.
    pub took: BTreeMap<StepId, HumanDuration>,
}

impl LastDrill {
    /// From the report of the drill.
    pub fn of(report: &Report) -> Self {
        let steps = report.timeline.steps.iter();
        Self {
            run: report.run.id.clone(),
            ended: report.run.ended,
            verdict: report.verdict.text.clone(),
            scenario: report.run.scenario,
            took: steps
                .filter(|step| step.outcome == Outcome::Passed)
                .filter_map(|step| Some((step.id.clone(), step.duration?)))
                .collect(),
        }
    }
}

/// A runbook for people: Markdown, with commands for a POSIX shell that build on each other.
///
/// `plan` is the plan of mode `recovery`; `drill_vars` are the variables of mode `drill`, so that the runbook can say what
/// drills do not exercise.
///
/// # Errors
/// A [`RenderError`] when an expression of the plan cannot be read, or an action is not known.
pub fn runbook(
    plan: &Plan,
    drill_vars: &BTreeMap<String, Value>,
    registry: &Registry,
) -> Result<String, RenderError> {
    write(plan, drill_vars, registry, None)
}

/// As [`runbook`], with the verdict and the durations of the last drill; called stale when the scenario has changed since.
///
/// # Errors
/// As [`runbook`].
pub fn runbook_after(
    plan: &Plan,
    drill_vars: &BTreeMap<String, Value>,
    registry: &Registry,
    last_drill: &LastDrill,
) -> Result<String, RenderError> {
    write(plan, drill_vars, registry, Some(last_drill))
}

fn write(
    plan: &Plan,
    drill_vars: &BTreeMap<String, Value>,
    registry: &Registry,
    last_drill: Option<&LastDrill>,
) -> Result<String, RenderError> {
    let hands = Hands::of(plan, registry)?;
    let mut writer = Writer {
        plan,
        registry,
        last_drill,
        assumed: assumed(plan),
        ends: latest_ends(plan),
        at: None,
        hands: &hands,
    };
    let mut phases = Vec::new();
    for (phase, title, about) in [
        (
            Phase::Prepare,
            "Before a disaster",
            "Do this while everything still works, and again after every change. What these steps note down must be kept where the disaster cannot reach it.",
        ),
        (
            Phase::Recover,
            "Recover",
            "The clock runs. Each sum of limits below is that of the longest chain of steps that need each other, and begins with the time that is assumed for detection and decision. Steps that do not need each other are done at the same time by different people: one person alone takes longer.",
        ),
        (
            Phase::Verify,
            "Verify",
            "The service may be used once every acceptance gate below has passed.",
        ),
    ] {
        let steps = plan.steps.iter().enumerate().filter(|(_, step)| step.phase == phase);
        let steps = steps.map(|(index, step)| writer.step(index + 1, step));
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        if !steps.is_empty() {
            phases.push(json!({ "title": title, "about": about, "steps": steps }));
        }
    }
    let view = json!({
        "title": escape(&plan.title), "name": escape(&plan.name), "mode": escape(&plan.mode),
        "is_recovery": !plan.is_drill(), "plan": plan.digest(), "scenario": plan.scenario_digest,
        "about": plan.about.as_deref().map(str::trim), "system": plan.system.as_deref().map(escape),
        "tier": plan.tier.map(|tier| tier.to_string()), "owner": escape(&plan.owner),
        "contacts": pairs(plan.contacts.iter().map(|(role, address)| (role.clone(), address.clone()))),
        "disaster": plan.disaster.kind.as_str().replace('_', " "),
        "lost": plan.disaster.lost.iter().map(|site| escape(site.as_str())).collect::<Vec<_>>().join(", "),
        "data_class": escape(&plan.data.class),
        "objectives": objectives(plan), "sites": sites(plan, registry), "tools": hands.tools(), "needs": hands.needs(),
        "inputs": values(&plan.inputs), "vars": variables(plan, drill_vars),
        "parts": phases, "made": hands.made(registry, false), "served": hands.made(registry, true), "last_drill": drilled(plan, last_drill),
        "log": plan.steps.iter().map(|step| escape(step.id.as_str())).collect::<Vec<_>>(),
    });
    // Quoted words hold nothing hidden. Where something still does, a command that is wrong is better than one that nobody can read.
    render("runbook", PAGE, &view).map(|page| visible(&page, &['\n', '\t']))
}

fn pairs(pairs: impl Iterator<Item = (String, String)>) -> Vec<Value> {
    pairs.map(|(name, value)| json!({ "name": escape(&name), "value": escape(&value) })).collect()
}

/// What the scenario expects of a step, as code: people also read runbooks as plain text, where `&lt;` helps nobody.
fn demands(step: &PlannedStep) -> Vec<Value> {
    let demand = |(name, value): (&String, &Value)| json!({ "name": escape(name), "value": CodeSpan(&plain(value)).to_string() });
    step.expect.iter().map(demand).collect()
}

fn values(values: &BTreeMap<String, Value>) -> Vec<Value> {
    pairs(values.iter().map(|(name, value)| (name.clone(), plain(value))))
}

fn variables(plan: &Plan, drill_vars: &BTreeMap<String, Value>) -> Vec<Value> {
    let row = |(name, value): (&String, &Value)| {
        let drilled = drill_vars.get(name);
        let differs = drilled != Some(value);
        json!({ "name": escape(name), "value": escape(&plain(value)), "differs": differs,
            "drilled": escape(&drilled.map_or_else(|| "nothing".to_owned(), plain)) })
    };
    plan.vars.iter().map(row).collect()
}

fn objectives(plan: &Plan) -> Vec<Value> {
    let mut rows = Vec::new();
    let authority = |authority: &Option<String>| {
        escape(authority.as_deref().unwrap_or("not said in the scenario"))
    };
    let objectives = &plan.objectives;
    if let Some(rto) = &objectives.rto {
        let target = format!("{} to the last acceptance gate", duration(rto.target));
        rows.push(
            json!({ "name": "RTO", "target": target, "authority": authority(&rto.authority) }),
        );
    }
    if let Some(rpo) = &objectives.rpo {
        let target = format!("at most {} of data lost", duration(rpo.target));
        rows.push(
            json!({ "name": "RPO", "target": target, "authority": authority(&rpo.authority) }),
        );
    }
    if let Some(rlo) = &objectives.rlo {
        let target = escape(&rlo.target);
        rows.push(
            json!({ "name": "RLO", "target": target, "authority": authority(&rlo.authority) }),
        );
    }
    rows
}

fn sites(plan: &Plan, registry: &Registry) -> Vec<Value> {
    // Those of the policies that `redrill iam` writes: a step may need some at other sites than its own.
    let all = grants(plan, registry);
    let row = |(name, site): (&SiteName, &Site)| {
        let mut permissions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for grant in all.iter().map(|of_step| &of_step.grant).filter(|grant| grant.site == *name) {
            permissions.entry(grant.action).or_default().insert(grant.why);
        }
        let permissions = permissions.into_iter().map(|(action, why)| {
            let why = why.into_iter().collect::<Vec<_>>().join("; ");
            json!({ "action": action, "why": escape(&why) })
        });
        json!({ "name": escape(name.as_str()), "region": escape(&site.region),
            "account": site.account.as_deref().map(escape), "role": site.role.as_deref().map(escape),
            "lost": plan.disaster.lost.contains(name), "permissions": permissions.collect::<Vec<_>>() })
    };
    plan.sites.iter().map(row).collect()
}

fn drilled(plan: &Plan, last: Option<&LastDrill>) -> Value {
    last.map_or(Value::Null, |last| {
        json!({ "run": escape(last.run.as_str()), "ended": moment(last.ended),
            "verdict": escape(&last.verdict), "stale": last.scenario != plan.scenario_digest })
    })
}

/// Times that pass before the first step.
fn assumed(plan: &Plan) -> Duration {
    plan.objectives.rto.as_ref().map_or(Duration::ZERO, |rto| match rto.from {
        RtoFrom::Occurred => rto.assume.detect.0 + rto.assume.decide.0,
        RtoFrom::Detected => rto.assume.decide.0,
        RtoFrom::Declared => Duration::ZERO,
    })
}

/// What is carried from step to step.
struct Writer<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    last_drill: Option<&'a LastDrill>,
    /// The time that passes before the first step.
    assumed: Duration,
    /// When each step ends at the latest, from the first one on.
    ends: BTreeMap<StepId, HumanDuration>,
    /// The site of the step before.
    at: Option<&'a SiteName>,
    hands: &'a Hands<'a>,
}

impl<'a> Writer<'a> {
    fn step(&mut self, number: usize, step: &'a PlannedStep) -> Result<Value, RenderError> {
        let entry = self.registry.get(&step.uses).zip(self.hands.at(number - 1));
        let (entry, by_hand) = entry.ok_or_else(|| {
            RenderError::new("runbook", format!("step {}: no action {}", step.id, step.uses))
        })?;
        let budget = self.ends.get(&step.id).map(|end| self.assumed.saturating_add(end.0));
        let rto = self.plan.objectives.rto.as_ref().map(|rto| rto.target);
        let moved = step.at.as_ref().filter(|at| self.at != Some(*at));
        if step.at.is_some() {
            self.at = step.at.as_ref();
        }
        // It may end with the credentials of another site, so that the next step says which ones it wants.
        if by_hand.then.iter().any(|part| is_command(part)) {
            self.at = None;
        }
        let site = step.at.as_ref().and_then(|site| Some((site, self.plan.sites.get(site)?)));
        let took = self.last_drill.and_then(|last| last.took.get(&step.id));
        let sections = by_hand.sections.iter().map(|section| {
            json!({ "title": prose(&unmark(&section.title)), "parts": parts(&section.parts) })
        });
        let title = if step.title.is_empty() { entry.facts.title } else { step.title.as_str() };
        Ok(json!({
            "number": number, "id": escape(step.id.as_str()), "title": escape(title), "uses": escape(&step.uses),
            "site": site.map(|(name, site)| json!({ "name": escape(name.as_str()), "region": escape(&site.region),
                "account": site.account.as_deref().map(escape), "moved": moved.is_some(),
                "lost": self.plan.disaster.lost.contains(name) })),
            "watch": step.watch.map(duration),
            "limit": duration(step.timeout), "budget": budget.map(|budget| duration(budget.into())),
            "beyond": rto.zip(budget).is_some_and(|(rto, budget)| budget > rto.0),
            "rto": rto.map(duration), "took": took.map(|took| duration(*took)),
            "needs": step.needs.iter().map(|need| escape(need.as_str())).collect::<Vec<_>>().join(", "),
            "when": step.when.as_ref().map(|when| CodeSpan(&plain(when)).to_string()), "required": step.required,
            "gate": step.gate.map(|gate| match gate { Gate::Acceptance => "acceptance", Gate::Assurance => "assurance" }),
            "acceptance": step.gate == Some(Gate::Acceptance),
            "approval": step.uses == "control.approve", "external": entry.facts.effect == Effect::External || step.has_external_effect(),
            "block": (!by_hand.commands.is_empty()).then(|| fenced(&by_hand.commands)),
            "work_out": self.hands.work_out(number - 1), "fill_in": self.hands.fill_in(number - 1),
            "keep": self.hands.keep(number - 1), "then": parts(&by_hand.then), "expected": prose(&unmark(&by_hand.expected)),
            "expect": demands(step),
            "verify": parts(&by_hand.verify), "sections": sections.collect::<Vec<_>>(),
            "if_it_fails": parts(&by_hand.if_it_fails),
        }))
    }
}
