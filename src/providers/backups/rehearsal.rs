//! For tests: a step at a site of a sandbox estate, whose events are kept in memory.

use crate::action::{Registry, ResourceKind, RunFacts, StepContext, StepError};
use crate::aws::{CallLog, GuardPolicy, RunLimits};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Event, Ledger, Outcome, ResourceKey};
use crate::outside::{self, Outside, OutsideError};
use crate::providers::stand::{Memory, facts, session};
use crate::sandbox::{Estate, World};
use crate::time::Clock;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The site at which the steps of these tests happen.
const SITE: &str = "dr";

/// Nothing is outside.
struct Nowhere;

impl Outside for Nowhere {
    fn command<'a>(
        &'a self,
        _: &'a outside::CommandRequest,
    ) -> BoxFuture<'a, Result<outside::CommandReply, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn http<'a>(
        &'a self,
        _: &'a outside::HttpRequest,
    ) -> BoxFuture<'a, Result<outside::HttpReply, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn database<'a>(
        &'a self,
        _: &'a outside::DatabaseLogin,
    ) -> BoxFuture<'a, Result<Box<dyn outside::DatabaseSession>, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn approval<'a>(
        &'a self,
        _: &'a outside::ApprovalRequest,
    ) -> BoxFuture<'a, Result<crate::journal::Approval, OutsideError>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }

    fn environment(&self, _: &str) -> Result<outside::Secret, OutsideError> {
        Err(OutsideError::NoAnswer)
    }

    fn file(&self, _: &str, _: u64) -> Result<Vec<u8>, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
}

/// A step in a sandbox.
pub(in crate::providers) struct Rehearsal {
    pub(in crate::providers) world: World,
    pub(in crate::providers) cx: StepContext,
    memory: Arc<Memory>,
    policy: Arc<GuardPolicy>,
    registry: Registry,
}

impl Rehearsal {
    /// A step at a place of an estate that is written in YAML; `faults` as on a command line.
    pub(in crate::providers) fn at(
        estate: &str,
        account: &str,
        region: &str,
        faults: &[&str],
    ) -> Self {
        let estate = Estate::read("estate.yaml", estate).unwrap();
        let clock = Clock::simulated(estate.now);
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let world = World::open(estate, clock.clone(), faults);
        let limits = RunLimits {
            run: RunId::new("orders-0001-test"),
            write: vec![SiteName::new(SITE)],
            canaries: Vec::new(),
        };
        let policy = Arc::new(GuardPolicy::of_run(limits, Ledger::default()));
        let session = session(&world, &clock, &policy, (SITE, account, region));
        let memory = Arc::new(Memory::new(policy.clone()));
        let cx = StepContext {
            facts: Arc::new(facts("orders-0001-test", "orders", &clock)),
            step: StepId::new("restore"),
            at: Some(SiteName::new(SITE)),
            clock,
            outside: Arc::new(Nowhere),
            sessions: Arc::new(BTreeMap::from([session])),
            recorder: memory.clone(),
            calls: CallLog::default(),
        };
        Self { world, cx, memory, policy, registry: crate::providers::registry() }
    }

    /// The same step of a scenario with one more site.
    pub(in crate::providers) fn with_site(
        mut self,
        site: &str,
        account: &str,
        region: &str,
    ) -> Self {
        let more = session(&self.world, &self.cx.clock, &self.policy, (site, account, region));
        let all = (*self.cx.sessions).clone().into_iter().chain([more]);
        self.cx.sessions = Arc::new(all.collect());
        self
    }

    /// Declares the disaster.
    pub(in crate::providers) fn declare(&self) {
        self.memory.declare(self.cx.clock.now());
    }

    /// The same step in mode `recovery`.
    pub(in crate::providers) fn in_recovery(mut self) -> Self {
        let facts = RunFacts { is_drill: false, ..(*self.cx.facts).clone() };
        self.cx.facts = Arc::new(facts);
        self
    }

    /// Runs an action.
    pub(in crate::providers) async fn run(
        &self,
        action: &str,
        input: Value,
    ) -> Result<Value, StepError> {
        self.registry.get(action).unwrap().run(&self.cx, input).await
    }

    /// The outcomes of the checks so far, by name.
    pub(in crate::providers) fn checks(&self) -> BTreeMap<String, Outcome> {
        self.memory.checks().into_iter().map(|check| (check.name, check.outcome)).collect()
    }

    /// The codes of the findings so far.
    pub(in crate::providers) fn findings(&self) -> Vec<String> {
        self.memory.findings()
    }

    /// Everything that was recorded so far.
    pub(in crate::providers) fn events(&self) -> Vec<Event> {
        self.memory.events()
    }

    /// What the ledger holds: key, and the id where it is known.
    pub(in crate::providers) fn ledger(&self) -> BTreeMap<ResourceKey, Option<String>> {
        let mut ledger = BTreeMap::new();
        for event in self.events() {
            match event {
                Event::ResourceIntended { key, .. } => _ = ledger.insert(key, None),
                Event::ResourceOwned { key, id } => _ = ledger.insert(key, Some(id)),
                _ => {}
            }
        }
        ledger
    }

    /// How a kind of resource is found and removed.
    pub(in crate::providers) fn kind(&self, kind: &str) -> Arc<dyn ResourceKind> {
        self.registry.resource_kind(kind).unwrap().clone()
    }
}
