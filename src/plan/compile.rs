use super::grants::marked;
use super::inputs::inputs;
use super::{Plan, PlannedStep};
use crate::action::{ActionEntry, Given, Phase, Registry};
use crate::error::{Error, Result};
use crate::expectation::{Expectation, ValueKind};
use crate::ids::{Digest, SiteName, StepId};
use crate::limits;
use crate::scenario::expression::{Names, references, resolve, resolve_known_counted};
use crate::scenario::{Disaster, Gate, Scenario, Site, Step, Validators};
use crate::time::{HumanDuration, RetryPolicy};
use petgraph::Direction;
use petgraph::graph::DiGraph;
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::str::FromStr;

/// Version of the format of plans.
const FORMAT: u32 = 1;

/// What a run is for; decides which variables it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunMode {
    /// An isolated copy, removed afterwards.
    #[default]
    Drill,
    /// The real thing.
    Recovery,
}

impl RunMode {
    /// As written in scenarios and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Recovery => "recovery",
        }
    }
}

impl fmt::Display for RunMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drill" => Ok(Self::Drill),
            "recovery" => Ok(Self::Recovery),
            _ => Err(format!("{text:?} is no mode: write drill or recovery")),
        }
    }
}

/// What the command line decides about a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The mode.
    pub mode: RunMode,
    /// Inputs. Text is read by the declared type of the input.
    pub inputs: BTreeMap<String, Value>,
    /// Everything that weakens an objective, a check or the guard, in words.
    pub deviations: Vec<String>,
}

/// The disaster, with every site at a place that is lost: what is lost has no second name.
fn disaster(scenario: &Scenario) -> Disaster {
    let mut disaster = scenario.disaster.clone();
    let by_place = |(name, site): (&SiteName, &Site)| {
        let is_there = |lost: &SiteName| {
            let lost = scenario.sites.get(lost);
            lost.is_some_and(|lost| lost.is_lost_with(site, disaster.kind))
        };
        (!disaster.lost.contains(name) && disaster.lost.iter().any(is_there)).then(|| name.clone())
    };
    let more: Vec<SiteName> = scenario.sites.iter().filter_map(by_place).collect();
    disaster.lost.extend(more);
    disaster
}

/// Makes a plan of a checked scenario: every default filled in, variables, inputs and sites put in, steps in an order in which
/// each comes after those that it needs (else by phase, else as written).
///
/// There are no edges between phases: all prepare steps end before the disaster is declared, and all recover steps that
/// verify steps need are named by them. The engine starts no recover or verify step before the declaration.
///
/// # Errors
/// Inputs that are missing, unknown or of the wrong type, and values that do not fit once they are put in; all of them, one
/// line each.
pub fn compile(
    scenario: &Scenario,
    source_digest: Digest,
    registry: &Registry,
    options: Options,
) -> Result<Plan> {
    let Options { mode, inputs: given, deviations } = options;
    let inputs = inputs(&scenario.inputs, &given).map_err(|problems| refuse(&problems))?;
    let outside = Names::default()
        .with("inputs", object(&inputs))
        .with("sites", serde_json::to_value(&scenario.sites).unwrap_or_default());
    let declared = match mode {
        RunMode::Drill => &scenario.modes.drill.vars,
        RunMode::Recovery => &scenario.modes.recovery.vars,
    };
    let (mut problems, mut size) = (Vec::new(), Size(0));
    let vars = variables(declared, &outside, &mut size, &mut problems);
    let names = outside.with("vars", object(&vars));
    let actions = scenario.steps.iter().map(|step| step.uses.clone()).collect::<BTreeSet<_>>();
    let validators = Validators::of(registry, actions);
    let planner = Planner { registry, names, validators, canaries: &scenario.guard.canaries };
    let mut steps = Vec::new();
    for step in &scenario.steps {
        match planner.step(step, &mut size) {
            Ok(step) => steps.push(step),
            Err(why) => problems.extend(why),
        }
        if size.is_too_large() {
            break;
        }
    }
    if !problems.is_empty() {
        return Err(refuse(&problems));
    }
    Ok(Plan {
        format: FORMAT,
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        about: scenario.about.clone(),
        system: scenario.system.clone(),
        tier: scenario.tier,
        owner: scenario.owner.clone(),
        contacts: scenario.contacts.clone(),
        scenario_digest: source_digest,
        mode: mode.as_str().to_owned(),
        disaster: disaster(scenario),
        sites: scenario.sites.clone(),
        objectives: scenario.objectives.clone(),
        data: scenario.data.clone(),
        guard: scenario.guard.clone(),
        hooks: scenario.hooks.clone(),
        vars,
        inputs,
        steps: in_order(steps)?,
        deviations,
    })
}

/// The variables of a mode, as far as they are not too large.
fn variables(
    declared: &BTreeMap<String, Value>,
    outside: &Names,
    size: &mut Size,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Value> {
    let mut vars = BTreeMap::new();
    for (name, value) in declared {
        let value = resolve(value, outside).map_err(|error| error.to_string());
        let value = value.and_then(|value| size.grown(limits::json_bytes(&value)).map(|()| value));
        match value {
            Ok(value) => {
                vars.insert(name.clone(), value);
            }
            Err(why) => problems.push(format!("variable {name}: {why}")),
        }
        if size.is_too_large() {
            break;
        }
    }
    vars
}

/// The bytes of a plan's variables and of what expressions have put into its steps. One step has a limit of its own, but there are
/// thousands.
struct Size(usize);

impl Size {
    fn grown(&mut self, bytes: usize) -> Result<(), String> {
        self.0 = self.0.saturating_add(bytes);
        if self.is_too_large() {
            let most = limits::in_units(limits::PLAN_VALUES_BYTES as u64);
            let what = format!(
                "up to here, variables and steps have more than {most} with expressions replaced"
            );
            return Err(format!("[RD002] {what}: let fewer expressions stand for a long text"));
        }
        Ok(())
    }

    fn is_too_large(&self) -> bool {
        self.0 > limits::PLAN_VALUES_BYTES
    }
}

fn refuse(problems: &[String]) -> Error {
    let cut = |problem: &String| limits::cut(problem.clone(), limits::DIAGNOSTIC_BYTES);
    let problems: Vec<String> = problems.iter().map(cut).collect();
    Error::bad_input(format!("the scenario cannot be planned:\n  {}", problems.join("\n  ")))
        .help("redrill check shows what the scenario declares")
}

fn object(values: &BTreeMap<String, Value>) -> Value {
    Value::Object(values.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Fills in steps.
struct Planner<'a> {
    registry: &'a Registry,
    names: Names,
    validators: Validators,
    canaries: &'a [String],
}

impl Planner<'_> {
    fn step(&self, step: &Step, size: &mut Size) -> Result<PlannedStep, Vec<String>> {
        let id = &step.id;
        let action = self
            .registry
            .get(&step.uses)
            .ok_or_else(|| vec![format!("step {id}: there is no action {}", step.uses)])?;
        let mut known = |value: &Value| {
            let known = resolve_known_counted(value, &self.names).map_err(|e| e.to_string());
            let known = known.and_then(|(value, bytes)| size.grown(bytes).map(|()| value));
            known.map_err(|why| vec![format!("step {id}: {why}")])
        };
        // A step that gives nothing gives no input, not nothing as its input.
        let written = if step.with.is_null() { &Value::Object(Map::new()) } else { &step.with };
        let with = known(written)?;
        let timeout = step.timeout.unwrap_or_else(|| action.facts.timeout.into());
        self.check_input(step, action, &with, timeout)?;
        let when = step.when.as_ref().map(known).transpose()?;
        let expect = self.expectations(step, action, size)?;
        let (mut needs, mut may_be_skipped) =
            (step.needs.iter().cloned().collect::<BTreeSet<StepId>>(), BTreeSet::new());
        for value in [&with].into_iter().chain(&when) {
            for reference in references(value) {
                let Some(needed) = reference.step().map(StepId::new) else { continue };
                let group = if reference.may_be_missing { &mut may_be_skipped } else { &mut needs };
                group.insert(needed);
            }
        }
        may_be_skipped.retain(|step| !needs.contains(step));
        needs.extend(may_be_skipped.iter().cloned());
        let facts = &action.facts;
        let phase = step.phase.unwrap_or(facts.phase);
        let creates = facts.creates_of(with.get("effect").and_then(Value::as_str));
        let creates = creates.iter().map(|kind| (*kind).to_owned()).collect();
        Ok(PlannedStep {
            id: id.clone(),
            title: step.title.clone().unwrap_or_else(|| facts.title.to_owned()),
            at: step.at.clone(),
            uses: step.uses.clone(),
            with,
            needs,
            may_be_skipped,
            phase,
            gate: step
                .gate
                .or((phase == Phase::Verify && step.watch.is_none()).then_some(Gate::Assurance)),
            timeout,
            retry: step.retry.clone().unwrap_or_else(RetryPolicy::once),
            on_failure: step.on_failure,
            when,
            // A watch that falls short cancels the run, which then cannot pass; that is all it decides.
            required: step.required && step.watch.is_none(),
            expect,
            creates,
            watch: step.watch,
        })
    }

    /// What is wrong with an input once variables and inputs are put in.
    fn check_input(
        &self,
        step: &Step,
        action: &ActionEntry,
        with: &Value,
        timeout: HumanDuration,
    ) -> Result<(), Vec<String>> {
        let id = &step.id;
        let problems = self.validators.check(&step.uses, with);
        if !problems.is_empty() {
            let lines = problems.into_iter().map(|problem| {
                let expected = problem.expected.map(|e| format!("; expected {e}"));
                format!("step {id}: {}{}", problem.message, expected.unwrap_or_default())
            });
            return Err(lines.collect());
        }
        let given = Given::new("", id.clone(), step.at.clone(), marked(with));
        let given = given.in_time(timeout).with_canaries(self.canaries.iter().cloned());
        let lines: Vec<String> = action
            .check_input(&given)
            .iter()
            .map(|problem| {
                let help = problem.help.as_ref().map(|help| format!(" ({help})"));
                format!("[RD223] step {id}: {problem}{}", help.unwrap_or_default())
            })
            .collect();
        if lines.is_empty() { Ok(()) } else { Err(lines) }
    }

    /// What is expected is known before the run.
    fn expectations(
        &self,
        step: &Step,
        action: &ActionEntry,
        size: &mut Size,
    ) -> Result<BTreeMap<String, Value>, Vec<String>> {
        let id = &step.id;
        let mut expect = BTreeMap::new();
        for (output, value) in &step.expect {
            let value = resolve(value, &self.names).map_err(|error| error.to_string());
            let value =
                value.and_then(|value| size.grown(limits::json_bytes(&value)).map(|()| value));
            let value = value.map_err(|why| vec![format!("step {id}: {why}")])?;
            // Inputs that the checker did not know yet are known now.
            let kind = action.output_field(output).map_or(ValueKind::Any, ValueKind::of_schema);
            if let Err(why) = Expectation::parse(&value, kind) {
                return Err(vec![format!("step {id}: expectation of {output}: {why}")]);
            }
            expect.insert(output.clone(), value);
        }
        Ok(expect)
    }
}

/// Each step after those that it needs; among those that could be next, by phase and then as written.
fn in_order(steps: Vec<PlannedStep>) -> Result<Vec<PlannedStep>> {
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..steps.len()).map(|index| graph.add_node(index)).collect();
    let by_id: BTreeMap<&StepId, usize> =
        steps.iter().enumerate().map(|(index, step)| (&step.id, index)).collect();
    for (index, step) in steps.iter().enumerate() {
        for need in &step.needs {
            let needed = by_id.get(need).ok_or_else(|| {
                Error::bad_input(format!("step {} needs {need}, which there is not", step.id))
            })?;
            graph.add_edge(nodes[*needed], nodes[index], ());
        }
    }
    let rank = |index: usize| Reverse((steps[index].phase, index));
    let mut waiting: Vec<usize> = nodes
        .iter()
        .map(|node| graph.neighbors_directed(*node, Direction::Incoming).count())
        .collect();
    let free = |index: &usize| waiting[*index] == 0;
    let mut ready: BinaryHeap<_> = (0..steps.len()).filter(free).map(rank).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse((_, index))) = ready.pop() {
        order.push(index);
        for next in graph.neighbors(nodes[index]).map(|node| graph[node]) {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(rank(next));
            }
        }
    }
    if order.len() < steps.len() {
        return Err(Error::bad_input("some steps wait for each other"));
    }
    let mut steps: Vec<Option<PlannedStep>> = steps.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| steps[index].take()).collect())
}
