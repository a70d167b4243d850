use super::{Plan, PlannedStep, StepGrant, given, grants};
use crate::action::{Effect, Phase, Registry, ResourceKind};
use crate::ids::{Digest, SiteName, StepId};
use crate::limits;
use crate::scenario::{Gate, each_text, names_a_site_to_write};
use crate::time::HumanDuration;
use crate::visible::visible;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What a plan comes to, for reading before it is run. Nothing is called for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outline {
    /// Name of the scenario.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// `drill` or `recovery`.
    pub mode: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// Kind of the disaster.
    pub disaster: String,
    /// Sites that are lost; nothing is called there after the declaration.
    pub lost: Vec<SiteName>,
    /// The phases that have steps, in order. The disaster is declared after `prepare`.
    pub phases: Vec<PhaseOutline>,
    /// Kinds of resources that are made, each with how many; what is not `kept` is released at the end.
    pub creates: BTreeMap<String, usize>,
    /// Those of them that stay: what a recovery brings back. What serves a check only (canaries, schemas, folders) never does.
    pub kept: BTreeSet<String>,
    /// Steps at which a person is asked.
    pub asks: Vec<StepId>,
    /// Steps that change something outside which the run cannot undo.
    pub external: Vec<StepId>,
    /// IAM actions that are needed, by site; those for releasing included.
    pub permissions: BTreeMap<SiteName, BTreeSet<String>>,
    /// The steps whose limits add up to the longest time.
    pub critical_path: Vec<StepId>,
    /// The longest that the steps can take if every one uses up its limit. Releasing comes on top.
    pub longest: HumanDuration,
    /// The same from the declaration of the disaster to the last acceptance gate; `None` without one.
    pub longest_to_acceptance: Option<HumanDuration>,
    /// Everything that weakens an objective, a check or the guard.
    pub deviations: Vec<String>,
}

/// A phase of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseOutline {
    /// Which one.
    pub phase: Phase,
    /// Its steps in groups. Those of a group do not need each other and run at the same time.
    pub groups: Vec<Vec<StepOutline>>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepOutline {
    /// Its name.
    pub id: StepId,
    /// What it is for.
    pub title: String,
    /// The action.
    pub uses: String,
    /// Where it happens.
    pub at: Option<SiteName>,
    /// What it needs.
    pub needs: BTreeSet<StepId>,
    /// Its input, as far as it is known before the run: which instance, bucket or key is read. What comes from an earlier step
    /// stands there as it is written.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub with: Value,
    /// What it makes will be called so; `…` stands for the number of the run and six digits. Long names are shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    /// The longest it may take.
    pub timeout: HumanDuration,
    /// Set for a watch: how often it looks while the others are under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<HumanDuration>,
    /// What it decides.
    pub gate: Option<Gate>,
    /// Kinds of resources that it makes; none for a step that only reads.
    pub creates: Vec<String>,
    /// What it changes.
    pub effect: Effect,
    /// It asks a person.
    pub asks: bool,
    /// It can be left out: the condition, as written.
    pub when: Option<Value>,
    /// The run can pass without it.
    pub optional: bool,
    /// It is not run: in a recovery its site is lost, or that of a step that it needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_reach: bool,
}

/// As the engine releases at the end of a run without `--keep`.
fn is_kept(plan: &Plan, kind: &str, registry: &Registry) -> bool {
    let serves_a_check = |kind: &Arc<dyn ResourceKind>| kind.is_canary() || kind.is_temporary();
    !plan.is_drill() && !registry.resource_kind(kind).is_some_and(serves_a_check)
}

/// What a plan comes to.
pub fn outline(plan: &Plan, registry: &Registry) -> Outline {
    let steps: BTreeMap<&StepId, StepOutline> =
        plan.steps.iter().map(|step| (&step.id, step_outline(plan, step, registry))).collect();
    let mut creates = BTreeMap::new();
    let is_run = |step: &&PlannedStep| steps.get(&step.id).is_some_and(|step| !step.out_of_reach);
    for step in plan.steps.iter().filter(is_run) {
        for made in makes(plan, step, registry) {
            *creates.entry(made.kind).or_insert(0) += made.count;
        }
    }
    let ids = |wanted: &dyn Fn(&StepOutline) -> bool| {
        let of_step = |step: &&PlannedStep| steps.get(&step.id).is_some_and(wanted);
        plan.steps.iter().filter(of_step).map(|step| step.id.clone()).collect()
    };
    // A recovery waits for nothing before it begins.
    let is_before = |step: &PlannedStep| step.phase == Phase::Prepare && plan.is_drill();
    let before = Longest::of(plan, is_before);
    let out_of_reach = plan.out_of_reach();
    let after = Longest::of(plan, |step| !is_before(step) && !out_of_reach.contains(&step.id));
    let acceptance = plan.steps.iter().filter(|step| step.gate == Some(Gate::Acceptance));
    let to_acceptance = acceptance.filter_map(|step| Some(after.ends.get(&step.id)?.0)).max();
    let (prepare, recover) = (before.last(), after.last());
    Outline {
        scenario: plan.name.clone(),
        title: plan.title.clone(),
        mode: plan.mode.clone(),
        plan: plan.digest(),
        disaster: plan.disaster.kind.as_str().to_owned(),
        lost: plan.disaster.lost.clone(),
        asks: ids(&|step| step.asks),
        external: ids(&|step| step.effect == Effect::External),
        kept: creates.keys().filter(|kind| is_kept(plan, kind, registry)).cloned().collect(),
        creates,
        permissions: permissions(plan, registry),
        critical_path: before.path_to(prepare).chain(after.path_to(recover)).cloned().collect(),
        longest: (before.end_of(prepare) + after.end_of(recover)).into(),
        longest_to_acceptance: to_acceptance.map(HumanDuration::from),
        deviations: plan.deviations.clone(),
        phases: phases(plan, &steps),
    }
}

/// What a step makes at a site.
struct Made {
    kind: String,
    at: Option<SiteName>,
    count: usize,
}

/// What a step makes: at its own site, and at each other that its input names for that.
fn makes(plan: &Plan, step: &PlannedStep, registry: &Registry) -> Vec<Made> {
    let Some(action) = registry.get(&step.uses) else { return Vec::new() };
    let mut others = Vec::new();
    each_text(&step.with, &action.input, &mut |name, schema| {
        others.extend(names_a_site_to_write(schema).then(|| SiteName::new(name)));
    });
    let sites = || std::iter::once(step.at.clone()).chain(others.iter().cloned().map(Some));
    let of_kind = |kind: &String| {
        let count = action.how_many(&given(plan, step), kind);
        sites().map(|at| Made { kind: kind.clone(), at, count }).collect::<Vec<_>>()
    };
    step.creates.iter().flat_map(of_kind).collect()
}

/// How many things of each kind the whole run makes at the place of a site: there, and at every site that is or may be in the
/// same account and region.
pub fn made_at(plan: &Plan, registry: &Registry, site: &SiteName) -> BTreeMap<String, u64> {
    let place = plan.sites.get(site);
    let is_there = |at: &SiteName| match (place, plan.sites.get(at)) {
        (Some(place), Some(at)) => place.may_be_at(at),
        _ => at == site,
    };
    let mut all = BTreeMap::new();
    let made = plan.steps.iter().flat_map(|step| makes(plan, step, registry));
    for made in made.filter(|made| made.at.as_ref().is_some_and(is_there)) {
        *all.entry(made.kind).or_insert(0) += u64::try_from(made.count).unwrap_or(u64::MAX);
    }
    all
}

/// How what a step makes at a service is called, see [`crate::action::StepContext::name_of_mine`].
fn names(plan: &Plan, step: &PlannedStep, registry: &Registry) -> Option<String> {
    // What no service holds (the effect of a program) has no such name.
    let is_of_a_service = |kind: &String| {
        registry.resource_kind(kind).is_none_or(|kind| !kind.permissions().is_empty())
    };
    let name = || format!("redrill-{}-…-{}", plan.name, step.id).replace('_', "-");
    step.creates.iter().any(is_of_a_service).then(name)
}

fn step_outline(plan: &Plan, step: &PlannedStep, registry: &Registry) -> StepOutline {
    let facts = registry.get(&step.uses).map(|action| &action.facts);
    StepOutline {
        id: step.id.clone(),
        title: step.title.clone(),
        uses: step.uses.clone(),
        at: step.at.clone(),
        needs: step.needs.clone(),
        with: step.with.clone(),
        names: names(plan, step, registry),
        timeout: step.timeout,
        watch: step.watch,
        gate: step.gate,
        creates: step.creates.clone(),
        effect: facts.map_or(Effect::None, |facts| {
            facts.effect_of(step.with.get("effect").and_then(Value::as_str))
        }),
        asks: step.asks_a_person(),
        when: step.when.clone(),
        optional: !step.required,
        out_of_reach: plan.out_of_reach().contains(&step.id),
    }
}

/// Groups of steps: each as early as the steps of its own phase that it needs allow.
fn phases(plan: &Plan, outlines: &BTreeMap<&StepId, StepOutline>) -> Vec<PhaseOutline> {
    let mut levels: BTreeMap<&StepId, (Phase, usize)> = BTreeMap::new();
    let mut phases: BTreeMap<Phase, Vec<Vec<StepOutline>>> = BTreeMap::new();
    for step in &plan.steps {
        let needed = step.needs.iter().filter_map(|need| levels.get(need));
        let same_phase = needed.filter(|(phase, _)| *phase == step.phase);
        let level = same_phase.map(|(_, level)| level + 1).max().unwrap_or_default();
        levels.insert(&step.id, (step.phase, level));
        let groups = phases.entry(step.phase).or_default();
        if groups.len() <= level {
            groups.resize_with(level + 1, Vec::new);
        }
        groups[level].extend(outlines.get(&step.id).cloned());
    }
    phases.into_iter().map(|(phase, groups)| PhaseOutline { phase, groups }).collect()
}

/// IAM actions by site.
fn permissions(plan: &Plan, registry: &Registry) -> BTreeMap<SiteName, BTreeSet<String>> {
    let mut found: BTreeMap<SiteName, BTreeSet<String>> = BTreeMap::new();
    for StepGrant { grant, .. } in grants(plan, registry) {
        found.entry(grant.site).or_default().insert(grant.action.to_owned());
    }
    found
}

/// When each step ends at the latest, from the declaration of the disaster on: if all use up their limits, and those that do
/// not need each other run at the same time. Steps of phase `prepare` and watches are not among them.
pub fn latest_ends(plan: &Plan) -> BTreeMap<StepId, HumanDuration> {
    let ends = Longest::of(plan, |step| step.phase != Phase::Prepare).ends;
    ends.into_iter().map(|(id, (end, _))| (id.clone(), end.into())).collect()
}

/// The latest end of each step if all use up their limits, and the step that it waits for longest.
struct Longest<'a> {
    ends: BTreeMap<&'a StepId, (Duration, Option<&'a StepId>)>,
}

impl<'a> Longest<'a> {
    fn of(plan: &'a Plan, included: impl Fn(&PlannedStep) -> bool) -> Self {
        let mut ends: BTreeMap<&StepId, (Duration, Option<&StepId>)> = BTreeMap::new();
        let ends_by_itself = |step: &&PlannedStep| step.watch.is_none() && included(step);
        for step in plan.steps.iter().filter(ends_by_itself) {
            let known = step.needs.iter().filter_map(|need| ends.get_key_value(need));
            let last = known.max_by_key(|(_, (end, _))| *end);
            let start = last.map_or(Duration::ZERO, |(_, (end, _))| *end);
            ends.insert(&step.id, (start.saturating_add(step.timeout.0), last.map(|(id, _)| *id)));
        }
        Self { ends }
    }

    fn last(&self) -> Option<&'a StepId> {
        self.ends.iter().max_by_key(|(_, (end, _))| *end).map(|(id, _)| *id)
    }

    fn end_of(&self, step: Option<&StepId>) -> Duration {
        step.and_then(|step| self.ends.get(step)).map_or(Duration::ZERO, |(end, _)| *end)
    }

    fn path_to(&self, step: Option<&'a StepId>) -> impl Iterator<Item = &'a StepId> {
        let before = |step: &&'a StepId| self.ends.get(*step).and_then(|(_, before)| *before);
        let mut path: Vec<_> = std::iter::successors(step, before).collect();
        path.reverse();
        path.into_iter()
    }
}

impl Outline {
    /// The outline as text for a terminal: what happens where, in which order, what it may make and what it needs. Whoever wrote
    /// the scenario cannot write over it.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail, here and below.
        let title = one_line(&self.title);
        let _ = writeln!(text, "{} ({}): {title}", self.scenario, self.mode);
        let _ = writeln!(text, "plan {}", self.plan);
        for deviation in &self.deviations {
            let _ = writeln!(text, "deviation: {}", one_line(deviation));
        }
        let prepares = self.phases.iter().any(|phase| phase.phase == Phase::Prepare);
        let is_prepared = prepares && self.mode == "drill";
        if !is_prepared {
            self.render_disaster(&mut text);
        }
        for phase in &self.phases {
            let _ = writeln!(text, "\n{}", phase.phase.as_str());
            for group in &phase.groups {
                for (index, step) in group.iter().enumerate() {
                    let parallel = group.len() > 1 && index > 0;
                    step.render(if parallel { "∥" } else { "·" }, &mut text);
                }
            }
            if phase.phase == Phase::Prepare && is_prepared {
                self.render_disaster(&mut text);
            }
        }
        self.render_sums(&mut text);
        visible(&text, &['\n'])
    }

    fn render_disaster(&self, text: &mut String) {
        let lost: Vec<&str> = self.lost.iter().map(SiteName::as_str).collect();
        let lost = if lost.is_empty() { "no site".to_owned() } else { lost.join(", ") };
        let _ = writeln!(text, "\n⚡ {} is declared; lost: {lost}", self.disaster);
    }

    fn render_sums(&self, text: &mut String) {
        let _ = writeln!(text);
        for (kind, number) in &self.creates {
            let after = if self.kept.contains(kind) { "kept" } else { "released at the end" };
            let _ = writeln!(text, "makes {number} × {kind}, {after}");
        }
        if self.creates.is_empty() {
            let _ = writeln!(text, "makes nothing");
        }
        for (what, steps) in [("asks a person", &self.asks), ("cannot be undone", &self.external)] {
            if !steps.is_empty() {
                let names: Vec<&str> = steps.iter().map(StepId::as_str).collect();
                let _ = writeln!(text, "{what}: {}", names.join(", "));
            }
        }
        let path: Vec<&str> = self.critical_path.iter().map(StepId::as_str).collect();
        let _ = writeln!(text, "at most {} ({})", self.longest, path.join(" → "));
        if let Some(longest) = self.longest_to_acceptance {
            let _ = writeln!(text, "at most {longest} from the declaration to acceptance");
        }
        for (site, actions) in &self.permissions {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            let _ = writeln!(text, "permissions at {site}: {}", actions.join(", "));
        }
    }
}

impl StepOutline {
    fn render(&self, mark: &str, text: &mut String) {
        let place = self.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        let _ = writeln!(text, "  {mark} {}: {}", self.id, one_line(&self.title));
        let mut words = vec![format!("{}{place}", self.uses)];
        words.push(match self.watch {
            Some(every) => format!("watches every {every}, and cancels the run when it turns red"),
            None => format!("at most {}", self.timeout),
        });
        match self.gate {
            Some(Gate::Acceptance) => words.push("acceptance".to_owned()),
            Some(Gate::Assurance) => words.push("assurance".to_owned()),
            None => {}
        }
        match (self.creates.is_empty(), self.effect) {
            (false, _) => words.push(format!("makes {}", self.creates.join(", "))),
            (true, Effect::None) => words.push("reads only".to_owned()),
            (true, Effect::Own) => words.push("makes things that are released".to_owned()),
            (true, Effect::External) => words.push("cannot be undone".to_owned()),
        }
        if self.asks {
            words.push("asks a person".to_owned());
        }
        if let Some(when) = &self.when {
            let shown = when.as_str().map_or_else(|| when.to_string(), str::to_owned);
            words.push(format!("only when {}", one_line(&shown)));
        }
        if self.optional {
            words.push("not required".to_owned());
        }
        if self.out_of_reach {
            words.push("not run in a recovery: it would need a site that is lost".to_owned());
        }
        let needs: Vec<&str> = self.needs.iter().map(StepId::as_str).collect();
        if !needs.is_empty() {
            words.push(format!("after {}", needs.join(", ")));
        }
        let _ = writeln!(text, "      {}", words.join("; "));
        let fields = self.with.as_object().into_iter().flatten();
        let fields: Vec<String> =
            fields.map(|(name, value)| format!("{name}: {}", brief(value))).collect();
        if !fields.is_empty() {
            let _ = writeln!(text, "      with {}", fields.join("; "));
        }
        if let Some(names) = &self.names {
            let _ = writeln!(text, "      named {names}");
        }
    }
}

/// How much of a value is shown in a line.
const BRIEF: usize = 100;

/// A value on one line, and not all of a long one.
fn brief(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    limits::cut(one_line(&text), BRIEF)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
