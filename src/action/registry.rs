use super::{
    ActionFacts, ByHand, Given, Grant, HandInput, InputProblem, Probe, ResourceKind, StepContext,
    StepError,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// A kind of step, as a provider implements it. One type says all that is known about it, so that execution,
/// documentation, permissions and runbook cannot disagree.
pub trait Action: Send + Sync + 'static {
    /// What a step gives under `with:`. Plain types: references are resolved before. Its JSON Schema, with the doc
    /// comments, is the reference documentation.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// What later steps can refer to, and what `expect:` is checked against.
    type Output: Serialize + JsonSchema;

    /// What is known about it apart from its types.
    fn facts(&self) -> ActionFacts;

    /// Does it. Checks, findings and recovery points go through the context.
    ///
    /// # Errors
    /// A [`StepError`], whose class decides between failed and inconclusive.
    fn run(
        &self,
        context: &StepContext,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// How a person does the same.
    fn by_hand(&self, input: &HandInput) -> ByHand;

    /// What is wrong with an input beyond what its schema says, as far as the input is known: a pure function, nobody is
    /// asked. It decides before the run, when the scenario is checked, and again when the step starts.
    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let _ = given;
        Vec::new()
    }

    /// How many things of a kind that it makes a step makes at a site: more than one where an input asks for them.
    fn how_many(&self, given: &Given, kind: &str) -> usize {
        let _ = (given, kind);
        1
    }

    /// What a step needs of IAM, where and on what: permissions of the facts and of what it makes. What an input does not
    /// ask for is left out.
    fn grants(&self, given: &Given) -> Vec<Grant> {
        let permissions = self.facts().permissions;
        permissions.iter().filter_map(|p| given.grant(permissions, p.action)).collect()
    }

    /// What [`Action::preflight`] reads that the step itself does not.
    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        let _ = given;
        Vec::new()
    }

    /// Looks, before the day of the drill and with calls that only read, at what the input names: is it there, is it
    /// usable? What comes from earlier steps is known only on the day.
    fn preflight(
        &self,
        context: &StepContext,
        given: &Given,
    ) -> impl Future<Output = Vec<Probe>> + Send {
        let _ = (context, given);
        std::future::ready(Vec::new())
    }
}

/// An action without its types.
trait ErasedAction: Send + Sync {
    fn run<'a>(
        &'a self,
        context: &'a StepContext,
        input: Value,
    ) -> BoxFuture<'a, Result<Value, StepError>>;
    fn by_hand(&self, input: &HandInput) -> ByHand;
    fn check_input(&self, given: &Given) -> Vec<InputProblem>;
    fn how_many(&self, given: &Given, kind: &str) -> usize;
    fn grants(&self, given: &Given) -> Vec<Grant>;
    fn preflight_grants(&self, given: &Given) -> Vec<Grant>;
    fn preflight<'a>(
        &'a self,
        context: &'a StepContext,
        given: &'a Given,
    ) -> BoxFuture<'a, Vec<Probe>>;
}

impl<A: Action> ErasedAction for A {
    fn run<'a>(
        &'a self,
        context: &'a StepContext,
        input: Value,
    ) -> BoxFuture<'a, Result<Value, StepError>> {
        Box::pin(async move {
            let scenario = &context.facts.scenario;
            let (step, at) = (context.step.clone(), context.at.clone());
            let given = Given::new(scenario, step, at, input.clone());
            if let Some(problem) = Action::check_input(self, &given).into_iter().next() {
                return Err(problem.into());
            }
            let input = serde_json::from_value(input)
                .map_err(|e| StepError::broken(format!("the resolved input does not fit: {e}")))?;
            let output = Action::run(self, context, input).await?;
            serde_json::to_value(output)
                .map_err(|e| StepError::broken(format!("the output cannot be written: {e}")))
        })
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        Action::by_hand(self, input)
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        Action::check_input(self, given)
    }

    fn how_many(&self, given: &Given, kind: &str) -> usize {
        Action::how_many(self, given, kind)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        Action::grants(self, given)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        Action::preflight_grants(self, given)
    }

    fn preflight<'a>(
        &'a self,
        context: &'a StepContext,
        given: &'a Given,
    ) -> BoxFuture<'a, Vec<Probe>> {
        Box::pin(Action::preflight(self, context, given))
    }
}

/// An action as the rest of the program sees it.
#[derive(Clone)]
pub struct ActionEntry {
    /// What is known about it.
    pub facts: ActionFacts,
    /// JSON Schema (draft 7) of its input, plain types.
    pub input: Arc<Value>,
    /// JSON Schema (draft 7) of its output.
    pub output: Arc<Value>,
    erased: Arc<dyn ErasedAction>,
}

impl ActionEntry {
    /// Runs it with an input whose references are resolved.
    ///
    /// # Errors
    /// Those of the action; [`crate::journal::FailureClass::Broken`] when the input does not fit its schema, or cannot work.
    pub async fn run(&self, context: &StepContext, input: Value) -> Result<Value, StepError> {
        self.erased.run(context, input).await
    }

    /// How a person does the same.
    pub fn by_hand(&self, input: &HandInput) -> ByHand {
        self.erased.by_hand(input)
    }

    /// What is wrong with an input, as far as it is known.
    pub fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        self.erased.check_input(given)
    }

    /// How many things of a kind that it makes a step makes at a site.
    pub fn how_many(&self, given: &Given, kind: &str) -> usize {
        self.erased.how_many(given, kind)
    }

    /// What a step needs of IAM, where and on what.
    pub fn grants(&self, given: &Given) -> Vec<Grant> {
        self.erased.grants(given)
    }

    /// What looking before the day of the drill reads that the step itself does not.
    pub fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        self.erased.preflight_grants(given)
    }

    /// Looks before the day of the drill at what the input names.
    pub async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        self.erased.preflight(context, given).await
    }

    /// The schema of one output, by name.
    pub fn output_field(&self, name: &str) -> Option<&Value> {
        self.output.get("properties")?.get(name)
    }
}

/// All actions and kinds of resources.
#[derive(Clone, Default)]
pub struct Registry {
    actions: BTreeMap<&'static str, ActionEntry>,
    resources: BTreeMap<&'static str, Arc<dyn ResourceKind>>,
    derived: Derived,
}

/// What was worked out of the actions, by type.
type Derived = Arc<Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>>;

impl Registry {
    /// Adds an action.
    pub fn action<A: Action>(&mut self, action: A) {
        let facts = action.facts();
        let input = Arc::new(schema_of::<A::Input>());
        let output = Arc::new(schema_of::<A::Output>());
        let entry = ActionEntry { input, output, erased: Arc::new(action), facts };
        self.actions.insert(entry.facts.name, entry);
        self.derived = Derived::default();
    }

    /// What `make` works out of the actions, once for each type: schemas and their validators are dear.
    pub(crate) fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        let known = derived.get(&TypeId::of::<T>()).cloned();
        if let Some(Ok(known)) = known.map(Arc::downcast::<T>) {
            return known;
        }
        let made = Arc::new(make(self));
        derived.insert(TypeId::of::<T>(), made.clone());
        made
    }

    /// Adds a kind of resource.
    pub fn resource(&mut self, kind: impl ResourceKind + 'static) {
        self.resources.insert(kind.kind(), Arc::new(kind));
    }

    /// An action by name.
    pub fn get(&self, name: &str) -> Option<&ActionEntry> {
        self.actions.get(name)
    }

    /// All actions, by name.
    pub fn actions(&self) -> impl Iterator<Item = &ActionEntry> {
        self.actions.values()
    }

    /// A kind of resource by name.
    pub fn resource_kind(&self, kind: &str) -> Option<&Arc<dyn ResourceKind>> {
        self.resources.get(kind)
    }

    /// All kinds of resources, by name.
    pub fn resource_kinds(&self) -> impl Iterator<Item = &Arc<dyn ResourceKind>> {
        self.resources.values()
    }
}

/// Draft 7, which `yaml-language-server` understands best, with everything in place of references.
fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    remove_nulls(&mut schema);
    schema
}

/// An optional field is left out in YAML, not written as null: `Option`'s null only spoils the error messages.
fn remove_nulls(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        Value::Object(object) => {
            object.values_mut().for_each(remove_nulls);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
        }
        _ => {}
    }
}
