use crate::action::Phase;
use crate::ids::{Digest, SiteName, StepId};
use crate::scenario::expression::Names;
use crate::scenario::{DataClass, Disaster, Gate, Guard, Hook, Objectives, OnFailure, Site};
use crate::time::{HumanDuration, RetryPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A scenario made ready for one mode and one set of inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Version of this format: 1.
    pub format: u32,
    /// Name of the scenario.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it is for: Markdown.
    pub about: Option<String>,
    /// The system.
    pub system: Option<String>,
    /// Its tier.
    pub tier: Option<u32>,
    /// The owner.
    pub owner: String,
    /// Contacts: role and address.
    pub contacts: BTreeMap<String, String>,
    /// Digest of the scenario file.
    pub scenario_digest: Digest,
    /// `drill` or `recovery`.
    pub mode: String,
    /// The disaster.
    pub disaster: Disaster,
    /// The sites.
    pub sites: BTreeMap<SiteName, Site>,
    /// The targets.
    pub objectives: Objectives,
    /// The data class.
    pub data: DataClass,
    /// The limits.
    pub guard: Guard,
    /// Who is told what happens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// The variables of the mode.
    pub vars: BTreeMap<String, Value>,
    /// The inputs, defaults filled in.
    pub inputs: BTreeMap<String, Value>,
    /// The steps, each after those that it needs.
    pub steps: Vec<PlannedStep>,
    /// Everything on the command line that weakens an objective, a check or the guard.
    pub deviations: Vec<String>,
}

/// A step, every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Its name.
    pub id: StepId,
    /// What it is for.
    pub title: String,
    /// Where it happens.
    pub at: Option<SiteName>,
    /// The action.
    pub uses: String,
    /// The input: `{{vars.…}}` and `{{inputs.…}}` are resolved, references to steps still stand.
    pub with: Value,
    /// Steps that must have passed before: written ones and those that references imply.
    pub needs: BTreeSet<StepId>,
    /// Those of them that may be left out on purpose: only `default` refers to them, which says what to take then.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_be_skipped: BTreeSet<StepId>,
    /// The part of the drill.
    pub phase: Phase,
    /// What it decides.
    pub gate: Option<Gate>,
    /// The longest it may take, all attempts together.
    pub timeout: HumanDuration,
    /// How often it is tried.
    pub retry: RetryPolicy,
    /// What its failure means for the others.
    pub on_failure: OnFailure,
    /// It is left out unless this resolves to true.
    pub when: Option<Value>,
    /// Whether the run can pass without it.
    pub required: bool,
    /// What its outputs should be.
    pub expect: BTreeMap<String, Value>,
    /// Kinds of resources that it makes.
    pub creates: Vec<String>,
    /// Set for a watch: how often it looks while the others are under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<HumanDuration>,
}

impl PlannedStep {
    /// True when it declares that it changes what the run cannot undo.
    pub fn has_external_effect(&self) -> bool {
        is_external(&self.with)
    }
}

/// True for an input of a step that declares an external effect.
pub fn is_external(input: &Value) -> bool {
    input.get("effect").and_then(Value::as_str) == Some("external")
}

impl Plan {
    /// The digest of everything in it.
    pub fn digest(&self) -> Digest {
        // Ordered maps throughout, so the same plan gives the same bytes; serialising plain data cannot fail.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// A step by name.
    pub fn step(&self, id: &StepId) -> Option<&PlannedStep> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// Steps and everything that they wait for, directly or through others.
    pub fn upstream<'a>(
        &'a self,
        of: impl IntoIterator<Item = &'a StepId>,
    ) -> BTreeSet<&'a StepId> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&StepId> = of.into_iter().collect();
        while let Some(id) = open.pop() {
            if let Some(step) = self.step(id).filter(|step| all.insert(&step.id)) {
                // What may be skipped proves nothing of what it waited for.
                open.extend(step.needs.difference(&step.may_be_skipped));
            }
        }
        all
    }

    /// Required parts of the recovery that none of some steps waits for, and that do not wait for one of them: these steps
    /// say nothing about them.
    pub fn recovery_apart_from(&self, proofs: &[&StepId]) -> Vec<&PlannedStep> {
        let before = self.upstream(proofs.iter().copied());
        let apart = |step: &&PlannedStep| {
            let follows = || {
                let upstream = self.upstream([&step.id]);
                proofs.iter().any(|proof| upstream.contains(*proof))
            };
            step.required
                && step.phase == Phase::Recover
                && step.watch.is_none()
                && !before.contains(&step.id)
                && !follows()
        };
        self.steps.iter().filter(apart).collect()
    }

    /// What expressions in it can refer to besides steps and the run: variables, inputs, sites. Whoever resolves the
    /// rest (`steps`, `run`) adds to it, because an expression can mix both.
    pub fn names(&self) -> Names {
        let object = |values: &BTreeMap<String, Value>| {
            Value::Object(
                values.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            )
        };
        Names::default()
            .with("vars", object(&self.vars))
            .with("inputs", object(&self.inputs))
            .with("sites", serde_json::to_value(&self.sites).unwrap_or_default())
    }

    /// True for mode `drill`.
    pub fn is_drill(&self) -> bool {
        self.mode == "drill"
    }

    /// True for what can be prepared only before the disaster: in a recovery it has happened, and a lost site is not called.
    pub fn is_out_of_reach(&self, step: &PlannedStep) -> bool {
        let lost = step.at.as_ref().is_some_and(|at| self.disaster.lost.contains(at));
        lost && step.phase == Phase::Prepare && !self.is_drill()
    }

    /// True for a step without which the run cannot pass. In a recovery a step that is out of reach is none where a required step needs
    /// it, directly or through others: that one is made with what an earlier run has given, or is not, and so answers for both.
    pub fn requires(&self, step: &PlannedStep) -> bool {
        step.required && !(self.is_out_of_reach(step) && self.is_answered_for(step))
    }

    fn is_answered_for(&self, step: &PlannedStep) -> bool {
        let mut answered = BTreeSet::new();
        // A step stands behind those that it needs.
        for other in self.steps.iter().rev().filter(|other| other.required) {
            if !self.is_out_of_reach(other) || answered.contains(&other.id) {
                answered.extend(&other.needs);
            }
        }
        answered.contains(&step.id)
    }

    /// Steps that are out of reach, and those that need them: none of them is run.
    pub fn out_of_reach(&self) -> BTreeSet<&StepId> {
        let mut found = BTreeSet::new();
        // A step stands behind those that it needs.
        for step in &self.steps {
            let needs = |need: &StepId| found.contains(need) && !step.may_be_skipped.contains(need);
            if self.is_out_of_reach(step) || step.needs.iter().any(needs) {
                found.insert(&step.id);
            }
        }
        found
    }
}

/// The action that asks a person. Time spent waiting for one is human time.
const ASKS_A_PERSON: &str = "control.approve";

impl PlannedStep {
    /// True when the step is a question to a person.
    pub fn asks_a_person(&self) -> bool {
        self.uses == ASKS_A_PERSON
    }
}
