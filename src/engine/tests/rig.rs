//! A run under construction, in a world of the tests' own, with steps that read like a scenario.

use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Found, HandInput, Look, Permission, Phase,
    Registry, ResourceContext, ResourceKind, RunFacts, SiteUse, StepContext, StepError, WaitPlan,
    own,
};
use crate::aws::{GuardPolicy, Place, SiteSession};
use crate::engine::{Drive, DriveError, Due, Keep, Opening, Order, World, drive, unheard};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{
    Check, Event, FORMAT, Journal, Outcome, Record, ResourceKey, RunState, Sink, WorldKind,
    read_bytes,
};
use crate::outside::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseLogin, DatabaseSession,
    HttpReply, HttpRequest, Outside, OutsideError, Secret,
};
use crate::plan::{Plan, PlannedStep};
use crate::scenario::{DataClass, Disaster, DisasterKind, Guard, Objectives, OnFailure, Site};
use crate::time::{Clock, RetryPolicy};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What exists in the tests' world, and how it misbehaves.
#[derive(Clone, Default)]
pub(super) struct Estate(pub(super) Arc<Mutex<EstateState>>);

#[derive(Default)]
pub(super) struct EstateState {
    pub(super) things: BTreeSet<String>,
    pub(super) log: Vec<String>,
    pub(super) cannot_delete: bool,
    /// How many removals are answered well and do nothing.
    pub(super) deaf_removals: u32,
    /// How long a thing is still seen after it was removed.
    pub(super) seconds_to_vanish: u64,
    /// How many look-ups still do not see what is there.
    pub(super) late_looks: u32,
    /// Where it is given, what is removed is waited for together with others; how the looks at it alone fail after that, the last first.
    pub(super) last_looks: Option<Vec<StepError>>,
    pub(super) failures_left: BTreeMap<String, u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    seconds: u64,
    #[serde(default)]
    end: String,
    #[serde(default)]
    make: bool,
    /// A copy of what it makes is to come by itself, and has not come yet.
    #[serde(default)]
    copied: bool,
    #[serde(default)]
    lose_reply: bool,
    /// It waits for something that is ready so many seconds after the run's start, whatever happens to processes.
    #[serde(default)]
    ready_after: Option<i64>,
    /// From then on, in seconds after the start of the process, the work fails.
    #[serde(default)]
    red_after: Option<u64>,
    /// A check falls short before the work begins.
    #[serde(default)]
    falls_short: bool,
    /// What fails at first does so for credentials that have run out.
    #[serde(default)]
    expired: bool,
    /// The name of a check that it makes itself, when nothing fails.
    #[serde(default)]
    checks: Option<String>,
    #[serde(default)]
    value: i64,
    #[serde(default)]
    #[expect(dead_code, reason = "the engine reads it")]
    effect: String,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    value: i64,
    population: u64,
}

/// Works under a name.
struct Work(Estate, &'static str);

impl Action for Work {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: self.1,
            title: "Work",
            about: "",
            phase: Phase::Recover,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3600),
            effect: Effect::Own,
            creates: &["test.thing"],
            permissions: &[],
            checks: &[],
            populations: &[("value", "population")],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        self.0.0.lock().unwrap().log.push(format!("start {}", context.step));
        if input.make {
            let name = context.name_of_mine(63);
            if input.copied {
                let site = context.site()?.place().site.clone();
                let key = ResourceKey { kind: "test.thing".into(), name: copy_of(&name), site };
                let step = context.step.clone();
                context.recorder.record(Event::ResourceIntended { step, key }).await?;
            }
            own(context, &Thing(self.0.clone()), name.clone(), || async {
                self.0.0.lock().unwrap().things.insert(name.clone());
                if input.lose_reply {
                    return Err(StepError::transient("no answer in time"));
                }
                Ok(format!("id-of-{name}"))
            })
            .await?;
        }
        if input.falls_short {
            context.check(Check::made("light", "green", "red", false)).await?;
        }
        context.clock.sleep(Duration::from_secs(input.seconds)).await;
        if let Some(seconds) = input.ready_after {
            let ready = began() + TimeDelta::seconds(seconds);
            let plan = WaitPlan::new("thing ready", Duration::from_secs(60), HOUR);
            let look = || async {
                let is_ready = context.clock.now() >= ready;
                Ok(if is_ready { Look::Ready(()) } else { Look::NotYet("creating".to_owned()) })
            };
            context.wait(&plan, look).await?;
        }
        if input.red_after.is_some_and(|red| context.clock.elapsed().as_secs() >= red) {
            return Err(StepError::recovery("the light is red"));
        }
        let left = self.0.0.lock().unwrap().failures_left.get(context.step.as_str()).copied();
        if let Some(left) = left.filter(|left| *left > 0) {
            self.0.0.lock().unwrap().failures_left.insert(context.step.to_string(), left - 1);
            if input.expired {
                let (step, site) = (context.step.clone(), context.site()?.place().site.clone());
                let message = "not with these".to_owned();
                let event = Event::CredentialsExpired { step, site, message };
                context.recorder.record(event).await?;
                return Err(StepError::credentials_expired("not with these"));
            }
            return Err(StepError::transient("not this time"));
        }
        if let Some(name) = &input.checks {
            context.check(Check::made(name, "seen", "seen", true)).await?;
        }
        match input.end.as_str() {
            "fail" => Err(StepError::recovery("a bad backup")),
            "break" => Err(StepError::broken("a broken tool")),
            "panic" => panic!("on purpose"),
            "nothing" => Ok(Output { value: input.value, population: 0 }),
            _ => Ok(Output { value: input.value, population: 1 }),
        }
    }

    fn by_hand(&self, _: &HandInput) -> ByHand {
        ByHand::default()
    }
}

fn copy_of(name: &str) -> String {
    format!("{name}-copy")
}

struct Thing(Estate);

impl ResourceKind for Thing {
    fn kind(&self) -> &'static str {
        "test.thing"
    }

    fn find<'a>(
        &'a self,
        _: &'a ResourceContext,
        key: &'a ResourceKey,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        let mut estate = self.0.0.lock().unwrap();
        let late = estate.late_looks > 0;
        estate.late_looks = estate.late_looks.saturating_sub(1);
        let there = !late && estate.things.contains(&key.name);
        let unseen = estate.last_looks.as_mut().filter(|_| !there).and_then(Vec::pop);
        let ours = Found::Ours { id: format!("id-of-{}", key.name), state: "there".to_owned() };
        let found = if there { ours } else { Found::Gone };
        Box::pin(async move { unseen.map_or(Ok(found), Err) })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let seconds = {
                let mut estate = self.0.0.lock().unwrap();
                estate.log.push(format!("remove {}", key.name));
                if estate.cannot_delete {
                    return Err(StepError::denied("no permission to delete"));
                }
                if estate.deaf_removals > 0 {
                    estate.deaf_removals -= 1;
                    return Ok(());
                }
                estate.seconds_to_vanish
            };
            context.clock.sleep(Duration::from_secs(seconds)).await;
            self.0.0.lock().unwrap().things.remove(&key.name);
            Ok(())
        })
    }

    fn vanishes<'a>(
        &'a self,
        _: &'a ResourceContext,
        _: &'a ResourceKey,
        _: &'a str,
        _: &'a WaitPlan,
        _: &'a (dyn Fn(&str) -> Result<(), StepError> + Sync),
    ) -> Option<BoxFuture<'a, Result<(), StepError>>> {
        self.0.0.lock().unwrap().last_looks.as_ref()?;
        Some(Box::pin(async { Ok(()) }))
    }

    fn command(&self, key: &ResourceKey, _: Option<&str>, _: &str) -> String {
        format!("remove-thing {}", key.name)
    }

    fn is_copy_of(&self, key: &ResourceKey, other: &ResourceKey) -> bool {
        key.name == copy_of(&other.name)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[]
    }
}

/// Nothing is outside.
pub(super) struct Nowhere;

impl Outside for Nowhere {
    fn command<'a>(&'a self, _: &'a CommandRequest) -> Answer<'a, CommandReply> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn http<'a>(&'a self, _: &'a HttpRequest) -> Answer<'a, HttpReply> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn database<'a>(&'a self, _: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn approval<'a>(&'a self, _: &'a ApprovalRequest) -> Answer<'a, crate::journal::Approval> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn environment(&self, _: &str) -> Result<Secret, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
    fn file(&self, _: &str, _: u64) -> Result<Vec<u8>, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
}

/// A journal's bytes, and after how many writes the disk is full.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) bytes: Arc<Mutex<Vec<u8>>>,
    pub(super) writes: Arc<Mutex<usize>>,
    pub(super) full_after: Option<usize>,
}

impl Sink for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut writes = self.writes.lock().unwrap();
        if self.full_after.is_some_and(|limit| *writes >= limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *writes += 1;
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
}

/// A run under construction: steps read like the scenario would.
#[derive(Clone)]
pub(super) struct Rig {
    pub(super) plan: Plan,
    pub(super) estate: Estate,
    pub(super) disk: Disk,
    pub(super) keep: Keep,
    /// What people say, and after how many seconds.
    pub(super) orders: Vec<(u64, Order)>,
    pub(super) state: RunState,
    /// How long no process ran, in seconds, when the run is resumed.
    pub(super) gap: u64,
}

pub(super) struct Ran {
    pub(super) result: Result<RunState, DriveError>,
    pub(super) records: Vec<Record>,
    pub(super) estate: Estate,
    pub(super) seconds: u64,
}

pub(super) fn step(id: &str, with: Value) -> PlannedStep {
    PlannedStep {
        id: StepId::new(id),
        title: id.to_owned(),
        at: Some(SiteName::new("dr")),
        uses: "test.work".to_owned(),
        with,
        needs: BTreeSet::new(),
        may_be_skipped: BTreeSet::new(),
        phase: Phase::Recover,
        gate: None,
        timeout: Duration::from_secs(3600).into(),
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Stop,
        when: None,
        required: true,
        expect: BTreeMap::new(),
        creates: vec!["test.thing".to_owned()],
        watch: None,
    }
}

impl PlannedStep {
    pub(super) fn needs(mut self, other: &str) -> Self {
        self.needs.insert(StepId::new(other));
        self
    }
    pub(super) fn prepare(mut self) -> Self {
        self.phase = Phase::Prepare;
        self
    }
    pub(super) fn going_on(mut self) -> Self {
        self.on_failure = OnFailure::Continue;
        self
    }
    pub(super) fn expecting(mut self, name: &str, expectation: &str) -> Self {
        self.expect.insert(name.to_owned(), json!(expectation));
        self
    }
    pub(super) fn within(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds).into();
        self
    }
    pub(super) fn watching(mut self, seconds: u64) -> Self {
        self.watch = Some(Duration::from_secs(seconds).into());
        self.required = false;
        self
    }
    pub(super) fn when(mut self, value: Value) -> Self {
        self.when = Some(value);
        self
    }
}

pub(super) fn rig(steps: Vec<PlannedStep>) -> Rig {
    let site = Site { account: None, region: "xx-test-1".to_owned(), role: None };
    let plan = Plan {
        format: 1,
        name: "test".to_owned(),
        title: "Test".to_owned(),
        about: None,
        system: None,
        tier: None,
        owner: "tests".to_owned(),
        contacts: BTreeMap::new(),
        scenario_digest: Digest::ZERO,
        mode: "drill".to_owned(),
        disaster: Disaster { kind: DisasterKind::RegionLoss, lost: Vec::new() },
        sites: [(SiteName::new("dr"), site)].into(),
        objectives: Objectives { rto: None, rpo: None, rlo: None },
        data: DataClass::default(),
        guard: Guard { write: vec![SiteName::new("dr")], ..Guard::default() },
        hooks: Vec::new(),
        vars: BTreeMap::new(),
        inputs: BTreeMap::new(),
        steps,
        deviations: Vec::new(),
    };
    Rig {
        plan,
        estate: Estate::default(),
        disk: Disk::default(),
        keep: Keep::Nothing,
        orders: Vec::new(),
        state: RunState::default(),
        gap: 0,
    }
}

impl Rig {
    /// The same run in another process, which finds the journal up to a record, `gap` seconds after it.
    pub(super) fn after(mut self, records: &[Record], gap: u64) -> Self {
        let mut journal = Journal::new(self.disk.clone());
        for record in records {
            let elapsed = Duration::from_millis(record.elapsed_ms);
            journal.stage(record.at, elapsed, record.event.clone()).unwrap();
        }
        journal.commit().unwrap();
        self.state = RunState::of(records).unwrap();
        self.gap = gap;
        // What the journal says was intended may exist: the reply could have been lost.
        for (key, _) in self.state.ledger.outstanding() {
            self.estate.0.lock().unwrap().things.insert(key.name.clone());
        }
        self
    }

    pub(super) fn fails_at_first(self, step: &str, times: u32) -> Self {
        self.estate.0.lock().unwrap().failures_left.insert(step.to_owned(), times);
        self
    }

    fn unheard(&self, facts: &RunFacts) -> Vec<Due> {
        let before = read_bytes(&self.disk.bytes.lock().unwrap());
        let records = before.map(|contents| contents.records).unwrap_or_default();
        unheard(&records, &self.plan.hooks, facts)
    }

    pub(super) fn run(self) -> Ran {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(self.run_inside())
    }

    async fn run_inside(self) -> Ran {
        let last = self.state.last_at.unwrap_or_else(began);
        let clock = Clock::simulated(last + Duration::from_secs(self.gap));
        let policy = Arc::new(GuardPolicy::default());
        let place =
            Place { site: SiteName::new("dr"), account: None, region: "xx-test-1".to_owned() };
        let session =
            SiteSession::new(place, &aws_types::SdkConfig::builder().build(), policy.clone());
        let world = World {
            clock: clock.clone(),
            outside: Arc::new(Nowhere),
            sessions: Arc::new([(SiteName::new("dr"), session)].into()),
            policy,
            on_loss: Arc::new(|_, _| {}),
        };
        let registry = registry(&self.estate);
        let (sender, orders) = tokio::sync::mpsc::unbounded_channel();
        let (first, later): (Vec<_>, Vec<_>) =
            self.orders.iter().cloned().partition(|(after, _)| *after == 0);
        first.into_iter().for_each(|(_, order)| sender.send(order).unwrap());
        let at = clock.clone();
        tokio::spawn(async move {
            for (after, order) in later {
                at.sleep(Duration::from_secs(after).saturating_sub(at.elapsed())).await;
                sender.send(order).unwrap();
            }
            // The sender lives as long as the run.
            std::future::pending::<()>().await;
        });
        let facts = RunFacts {
            run: RunId::new("test-0001-abcdef"),
            scenario: "test".to_owned(),
            plan: self.plan.digest(),
            seed: 1,
            expires: clock.now() + TimeDelta::days(2),
            started: clock.now(),
            operators: vec!["operator".to_owned()],
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        let opening = match self.state.head {
            None => start(&self.plan, &facts),
            Some(_) => Event::resumed(self.gap * 1000),
        };
        let before = read_bytes(&self.disk.bytes.lock().unwrap());
        let unheard = self.unheard(&facts);
        let journal = match before {
            Ok(contents) => Journal::after(self.disk.clone(), &contents),
            Err(_) => Journal::new(self.disk.clone()),
        };
        let result = drive(Drive {
            plan: &self.plan,
            registry: &registry,
            world: &world,
            facts,
            journal,
            state: self.state,
            opening: vec![Opening::now(&world.clock, opening)],
            unheard,
            keep: self.keep,
            orders,
            observer: &mut (),
        })
        .await;
        let bytes = self.disk.bytes.lock().unwrap().clone();
        let records = read_bytes(&bytes).map(|c| c.records).unwrap_or_default();
        Ran { result, records, estate: self.estate, seconds: clock.elapsed().as_secs() }
    }
}

/// Work under its own name, and under that of a question to a person.
fn registry(estate: &Estate) -> Registry {
    let mut registry = Registry::default();
    registry.action(Work(estate.clone(), "test.work"));
    registry.action(Work(estate.clone(), "control.approve"));
    registry.resource(Thing(estate.clone()));
    registry
}

const HOUR: Duration = Duration::from_secs(3600);

/// When the tests' runs begin.
fn began() -> DateTime<Utc> {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

pub(super) fn start(plan: &Plan, facts: &RunFacts) -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: facts.run.clone(),
        number: 1,
        scenario: plan.name.clone(),
        plan: facts.plan,
        scenario_digest: Digest::ZERO,
        mode: plan.mode.clone(),
        world: WorldKind::Rehearsal { estate: "test".to_owned() },
        tool: "test".to_owned(),
        operator: "test".to_owned(),
        seed: facts.seed,
        expires: facts.expires,
        keep: None,
        deviations: Vec::new(),
        limits: Vec::new(),
    }
}

impl Ran {
    pub(super) fn state(&self) -> &RunState {
        self.result.as_ref().unwrap()
    }
    pub(super) fn outcome(&self, step: &str) -> Outcome {
        self.state().outcome(&StepId::new(step)).unwrap()
    }
    pub(super) fn log(&self) -> Vec<String> {
        self.estate.0.lock().unwrap().log.clone()
    }
    pub(super) fn left(&self) -> usize {
        self.estate.0.lock().unwrap().things.len()
    }
}

pub(super) fn cancel() -> Order {
    Order::Cancel { by: "a test".to_owned(), incident: false }
}

pub(super) fn lasting(seconds: u64) -> Value {
    json!({ "seconds": seconds })
}

pub(super) fn making() -> Value {
    json!({ "make": true, "seconds": 10 })
}

pub(super) fn ending(end: &str) -> Value {
    json!({ "end": end })
}
