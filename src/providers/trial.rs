//! For tests of providers: one step against an estate, with what it recorded.

use super::stand::{Memory, facts, session};
use crate::action::{Found, StepContext, StepError};
use crate::aws::{CallLog, GuardPolicy, RunLimits, SiteSession};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Check, Event, Ledger, Outcome, RecoveryPoint, ResourceKey};
use crate::sandbox::{Estate, EstateOutside, World};
use crate::time::Clock;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The accounts and regions of the sites `primary` and `dr`.
pub(super) const SITES: [(&str, &str, &str); 2] =
    [("primary", "111111111111", "ap-northeast-1"), ("dr", "222222222222", "ap-northeast-3")];

/// One step in a world.
pub(super) struct Trial {
    pub(super) world: World,
    pub(super) context: StepContext,
    pub(super) memory: Arc<Memory>,
    policy: Arc<GuardPolicy>,
}

impl Trial {
    /// Opens a world whose places hold these buckets (YAML), and stands at the site `at`.
    pub(super) fn with_buckets(primary: &str, dr: &str, at: &str) -> Self {
        Self::with_faults(primary, dr, at, &[])
    }

    /// The same, with calls that go wrong.
    pub(super) fn with_faults(primary: &str, dr: &str, at: &str, faults: &[&str]) -> Self {
        Self::open(primary, dr, at, faults, "")
    }

    /// Stands at the site `dr`, which holds these buckets, in an estate with these `answers:` (YAML).
    pub(super) fn with_answers(dr: &str, answers: &str) -> Self {
        Self::open("[]", dr, "dr", &[], answers)
    }

    fn open(primary: &str, dr: &str, at: &str, faults: &[&str], answers: &str) -> Self {
        let place = |(_, account, region): (&str, &str, &str), buckets: &str| {
            format!("  - {{ account: \"{account}\", region: {region}, buckets: {buckets} }}\n")
        };
        let accounts = "accounts: { \"111111111111\": {}, \"222222222222\": {} }";
        let text = format!(
            "estate: 1\nnow: 2026-11-20T02:00:00Z\nseed: 7\n{accounts}\nplaces:\n{}{}{answers}",
            place(SITES[0], primary),
            place(SITES[1], dr),
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/estates/trial.yaml");
        let estate = Estate::read(path, &text).unwrap();
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let clock = Clock::simulated(estate.now);
        let world = World::open(estate, clock.clone(), faults);
        let limits = RunLimits {
            run: RunId::new("uploads-0001-3fa9"),
            write: SITES.iter().map(|(site, ..)| SiteName::new(*site)).collect(),
            canaries: ["uploads", "uploads-dr"].map(|b| format!("{b}/redrill-canary/")).to_vec(),
        };
        let policy = Arc::new(GuardPolicy::of_run(limits, Ledger::default()));
        let sessions: BTreeMap<SiteName, SiteSession> =
            SITES.iter().map(|site| session(&world, &clock, &policy, *site)).collect();
        let memory = Arc::new(Memory::new(policy.clone()));
        let context = StepContext {
            facts: Arc::new(facts("uploads-0001-3fa9", "uploads", &clock)),
            step: StepId::new("probe"),
            at: Some(SiteName::new(at)),
            clock,
            outside: Arc::new(EstateOutside::new(world.clone())),
            sessions: Arc::new(sessions),
            recorder: memory.clone(),
            calls: CallLog::default(),
        };
        Self { world, context, memory, policy }
    }

    /// Runs an action as the engine does.
    pub(super) async fn run(&self, action: &str, input: Value) -> Result<Value, StepError> {
        let registry = super::registry();
        registry.get(action).unwrap().run(&self.context, input).await
    }

    /// From now on nothing at this site may be called.
    pub(super) fn lose(&self, site: &str) {
        self.policy.set_lost(&[SiteName::new(site)]);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.memory.events()
    }

    /// The checks, by name.
    pub(super) fn checks(&self) -> BTreeMap<String, Check> {
        let checks = self.memory.checks().into_iter();
        checks.map(|check| (check.name.clone(), check)).collect()
    }

    /// Names of the checks that did not pass, with their outcome.
    pub(super) fn not_passed(&self) -> Vec<(String, Outcome)> {
        let checks = self.checks().into_iter().map(|(name, check)| (name, check.outcome));
        checks.filter(|(_, outcome)| *outcome != Outcome::Passed).collect()
    }

    /// The codes of the findings.
    pub(super) fn findings(&self) -> Vec<String> {
        self.memory.findings()
    }

    /// The recovery point, if one was recorded.
    pub(super) fn recovery_point(&self) -> Option<RecoveryPoint> {
        self.events().into_iter().find_map(|event| match event {
            Event::RecoveryPointSeen { point, .. } => Some(point),
            _ => None,
        })
    }

    /// What was intended, in that order.
    pub(super) fn intended(&self) -> Vec<ResourceKey> {
        self.memory.intended()
    }

    /// Looks a resource up.
    pub(super) async fn find(&self, key: &ResourceKey) -> Found {
        let registry = super::registry();
        let kind = registry.resource_kind(&key.kind).unwrap();
        kind.find(&self.context, key, None).await.unwrap()
    }

    /// Releases everything as the engine does: the newest first, until a look-up says that it is gone.
    pub(super) async fn release(&self) {
        let registry = super::registry();
        for key in self.intended().iter().rev() {
            let kind = registry.resource_kind(&key.kind).unwrap();
            if let Found::Ours { id, .. } = self.find(key).await {
                kind.remove(&self.context, key, &id).await.unwrap();
            }
            assert_eq!(self.find(key).await, Found::Gone, "{key}");
        }
    }
}
