//! Reaping in the sandbox: runs that end in every way, and what is found and removed afterwards in the same estate.

mod found;
mod inventories;
mod kept;
mod removed;

use super::world::{self, Target};
use crate::action::{
    Found, Listing, Permission, Registry, ResourceContext, ResourceKind, RunFacts, StepError,
};
use crate::engine::{self, Drive, Keep, Observer, Opening, World};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{
    Event, FORMAT, Inventory, InventoryTime, Journal, Record, ResourceKey, RunState, Sink,
    WorldKind, read_bytes,
};
use crate::outside::fake::FakeOutside;
use crate::plan::{self, Plan, RunMode};
use crate::providers;
use crate::reap::{self, Decision, Gathered, Leftover, Lookout, PastRun, Removal, RunLock, ToldBy};
use crate::report::{self, Report, Verdict};
use crate::sandbox::{Estate, Fault};
use crate::scenario;
use crate::time::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

const HOUR: Duration = Duration::from_secs(3600);

/// An estate that outlives the runs in it.
struct Trial {
    world: World,
    plan: Plan,
    registry: Registry,
    bytes: Bytes,
    mode: RunMode,
}

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Sink for Bytes {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
}

/// How a run ends.
#[derive(Clone, Copy)]
enum End {
    ByItself,
    /// The process dies when this is on disk.
    Killed(fn(&Event) -> bool),
    /// A person ends it when this is on disk.
    Cancelled(fn(&Event) -> bool),
}

struct Watching {
    at: fn(&Event) -> bool,
    then: Arc<Notify>,
}

impl Observer for Watching {
    fn recorded(&mut self, record: &Record) {
        if (self.at)(&record.event) {
            self.then.notify_one();
        }
    }
    fn progress(&mut self, _: &StepId, _: &str) {}
}

fn owned(event: &Event) -> bool {
    matches!(event, Event::ResourceOwned { .. })
}

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

impl Trial {
    async fn new(name: &str, faults: &[&str]) -> Self {
        Self::edited(name, |scenario| scenario, |estate| estate, faults).await
    }

    /// The shipped restore to a point in time without its write: all that it makes can be listed.
    async fn all_listed(faults: &[&str]) -> Self {
        Self::edited("orders-db-point-in-time", without_write, |estate| estate, faults).await
    }

    /// With changed texts of the shipped scenario and its estate.
    async fn edited(
        name: &str,
        scenario: impl FnOnce(String) -> String,
        estate: impl FnOnce(String) -> String,
        faults: &[&str],
    ) -> Self {
        let registry = providers::registry();
        let text_of_scenario = scenario(text(&format!("scenarios/{name}.yaml")));
        let source = scenario::Source::new(format!("{name}.yaml"), text_of_scenario);
        let loaded = scenario::load_text(source, &registry);
        let read = loaded.scenario.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let mode = RunMode::Drill;
        let options = plan::Options { mode, inputs: BTreeMap::new(), deviations: Vec::new() };
        let plan = plan::compile(&read, loaded.source.digest(), &registry, options).unwrap();
        let path = format!("{}/scenarios/estates/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let estate =
            Estate::read(&path, &estate(text(&format!("scenarios/estates/{name}.yaml")))).unwrap();
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let target = Target::Sandbox { estate: Box::new(estate), faults };
        let world =
            world::open_sites(target, &plan.sites, "test", Path::new("nowhere")).await.unwrap();
        Self { world, plan, registry, bytes: Bytes::default(), mode }
    }

    async fn in_recovery(name: &str) -> Self {
        let mut trial = Self::new(name, &[]).await;
        trial.plan.mode = "recovery".to_owned();
        trial.mode = RunMode::Recovery;
        trial
    }

    fn run_id(&self) -> RunId {
        RunId::new(format!("{}-0001-abcdef", self.plan.name))
    }

    fn opening(&self, keep: Option<HumanDuration>, expires: DateTime<Utc>) -> Event {
        Event::RunStarted {
            format: FORMAT,
            run: self.run_id(),
            number: 1,
            scenario: self.plan.name.clone(),
            plan: self.plan.digest(),
            scenario_digest: Digest::ZERO,
            mode: self.plan.mode.clone(),
            world: WorldKind::Real,
            tool: "test".to_owned(),
            operator: "test".to_owned(),
            seed: 7,
            expires,
            keep,
            deviations: Vec::new(),
            limits: Vec::new(),
        }
    }

    async fn run(&self, end: End, keep: Option<HumanDuration>) -> RunState {
        let started = self.world.clock.now();
        let expires = started + TimeDelta::from_std(self.plan.guard.ttl.0).unwrap();
        let facts = RunFacts {
            operators: vec!["operator".to_owned()],
            run: self.run_id(),
            scenario: self.plan.name.clone(),
            plan: self.plan.digest(),
            seed: 7,
            expires,
            started,
            withhold_data: false,
            is_drill: self.plan.is_drill(),
            expected: Default::default(),
        };
        let then = Arc::new(Notify::new());
        let (stop, orders) = mpsc::unbounded_channel();
        let at = match end {
            End::ByItself => |_: &Event| false,
            End::Killed(at) | End::Cancelled(at) => at,
        };
        let mut observer = Watching { at, then: then.clone() };
        let driving = engine::drive(Drive {
            plan: &self.plan,
            registry: &self.registry,
            world: &self.world,
            facts,
            journal: Journal::new(self.bytes.clone()),
            state: RunState::default(),
            opening: vec![Opening::now(&self.world.clock, self.opening(keep, expires))],
            unheard: Vec::new(),
            keep: Keep::of(&self.plan, keep),
            orders,
            observer: &mut observer,
        });
        let mut driving = Box::pin(driving);
        let ended = tokio::select! {
            biased;
            () = then.notified() => None,
            ended = &mut driving => Some(ended),
        };
        match (ended, end) {
            (Some(ended), _) => drop(ended.unwrap()),
            (None, End::Cancelled(_)) => {
                let by = "test".to_owned();
                stop.send(engine::Order::Cancel { by, incident: false }).unwrap();
                driving.await.unwrap();
            }
            (None, _) => {
                drop(driving);
                // The sites of a dead run are not lost to others.
                self.world.policy.set_lost(&[]);
                (self.world.on_loss)(&self.plan.disaster.lost, false);
            }
        }
        RunState::of(&self.records()).unwrap()
    }

    fn records(&self) -> Vec<Record> {
        read_bytes(&self.bytes.0.lock().unwrap()).unwrap().records
    }

    fn report(&self) -> Report {
        report::report(&self.plan, &self.records(), &[], &self.registry).unwrap()
    }

    /// What its journal says of the run.
    fn past(&self, at_work: bool) -> Vec<PastRun> {
        let records = self.records();
        let state = RunState::of(&records).unwrap();
        PastRun::of(&self.plan, &records, &state, at_work).into_iter().collect()
    }

    fn lookout(&self) -> Lookout {
        Lookout {
            registry: self.registry.clone(),
            sessions: self.world.sessions.clone(),
            clock: self.world.clock.clone(),
            outside: self.world.outside.clone(),
            canaries: self.plan.guard.canaries.clone(),
            only: None,
            all: false,
            dry_run: false,
            forbids: Arc::new(|_, _| None),
            progress: Arc::new(|_| {}),
        }
    }

    async fn wait(&self, duration: Duration) {
        self.world.clock.sleep(duration).await;
    }

    /// Looks, removes what is to be removed, and gives what became of it.
    async fn reap(&self, past: &[PastRun]) -> (Gathered, Vec<Removal>) {
        let lookout = self.lookout();
        let gathered = reap::gather(&lookout, past).await;
        let mut removals = Vec::new();
        for leftover in doomed(&gathered) {
            removals.push(reap::remove(&lookout, past, leftover, RunLock::NoJournal).await);
        }
        (gathered, removals)
    }

    /// Every name of a kind at a site, whoever made it.
    async fn listing(&self, kind: &str, site: &str) -> (Option<u64>, usize) {
        let kind = self.registry.resource_kind(kind).unwrap();
        let context =
            crate::action::StepContext { at: Some(SiteName::new(site)), ..self.context() };
        match kind.list(&context, None).await.unwrap() {
            Listing::Seen { total, ours } => (total, ours.len()),
            other => panic!("{other:?}"),
        }
    }

    fn context(&self) -> ResourceContext {
        let facts = RunFacts {
            operators: vec!["operator".to_owned()],
            run: self.run_id(),
            scenario: String::new(),
            plan: Digest::ZERO,
            seed: 0,
            expires: self.world.clock.now(),
            started: self.world.clock.now(),
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        ResourceContext {
            facts: Arc::new(facts),
            step: StepId::new("test"),
            at: None,
            clock: self.world.clock.clone(),
            outside: self.world.outside.clone(),
            sessions: self.world.sessions.clone(),
            recorder: Arc::new(Deaf),
            calls: crate::aws::CallLog::default(),
        }
    }

    fn inventories(&self) -> BTreeMap<InventoryTime, Vec<Inventory>> {
        let events = self.records().into_iter();
        let taken = events.filter_map(|record| match record.event {
            Event::InventoryTaken { when, seen } => Some((when, seen)),
            _ => None,
        });
        taken.collect()
    }
}

struct Deaf;

impl crate::action::Recorder for Deaf {
    fn record(&self, _: Event) -> BoxFuture<'_, Result<(), StepError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn holds(&self, _: &ResourceKey) -> bool {
        false
    }
    fn progress(&self, _: &StepId, _: &str) {}
}

fn doomed(gathered: &Gathered) -> impl Iterator<Item = &Leftover> {
    gathered.leftovers.iter().filter(|leftover| leftover.decision == Decision::Remove)
}

fn names(gathered: &Gathered) -> BTreeSet<&str> {
    gathered.leftovers.iter().map(|leftover| leftover.key.name.as_str()).collect()
}

fn gone(how: &str) -> Removal {
    Removal::Gone(how.to_owned())
}

/// The restore to a point in time without the step that writes: a schema in a database carries no tags.
fn without_write(scenario: String) -> String {
    let proof = "proven_by: [data, write, fidelity]";
    assert!(scenario.contains(proof));
    let step = "\n  # A database that answers and takes no writes";
    let (before, rest) = scenario.split_once(step).unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    format!("{before}\n{after}").replace(proof, "proven_by: [data, fidelity]")
}

/// Puts further things under a key of the DR place of an estate.
fn in_dr(estate: String, key: &str, things: &str) -> String {
    assert!(!estate.split("222222222222\"\n    region").nth(1).unwrap().contains(key));
    estate.replace(
        "    region: ap-northeast-3\n",
        &format!("    region: ap-northeast-3\n    {key}\n{things}"),
    )
}

fn database(id: &str, tags: &str) -> String {
    format!("      - {{ id: {id}, tags: {{ {tags} }} }}\n")
}

const EXPIRED: &str = "\"redrill:expires\": \"2026-11-19T02:00:00Z\"";

/// A kind that cannot be listed: only journals know of its things.
struct Unlisted(Arc<dyn ResourceKind>);

/// A kind whose things are seen in this way.
struct Seen(Arc<dyn ResourceKind>, Found);

impl ResourceKind for Seen {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn find<'a>(
        &'a self,
        _: &'a ResourceContext,
        _: &'a ResourceKey,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(std::future::ready(Ok(self.1.clone())))
    }
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        self.0.remove(context, key, id)
    }
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        self.0.command(key, id, region)
    }
    fn permissions(&self) -> &'static [Permission] {
        self.0.permissions()
    }
}

/// A kind of which the role of a site may see and do nothing.
struct Denied(Arc<dyn ResourceKind>, &'static str);

impl Denied {
    fn asked_at(&self, context: &ResourceContext) -> Result<(), StepError> {
        match &context.at {
            Some(at) if at.as_str() == self.1 => Err(StepError::denied("not with this role")),
            _ => Ok(()),
        }
    }
}

impl ResourceKind for Denied {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move {
            self.asked_at(context)?;
            self.0.find(context, key, id).await
        })
    }
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            self.asked_at(context)?;
            self.0.remove(context, key, id).await
        })
    }
    fn list<'a>(
        &'a self,
        context: &'a ResourceContext,
        place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(async move {
            self.asked_at(context)?;
            self.0.list(context, place).await
        })
    }
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        self.0.command(key, id, region)
    }
    fn permissions(&self) -> &'static [Permission] {
        self.0.permissions()
    }
}

/// A kind whose things nobody can remove, and the sites at which that was tried.
struct Stuck(Arc<dyn ResourceKind>, Arc<Mutex<BTreeSet<SiteName>>>);

impl ResourceKind for Stuck {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        self.0.find(context, key, id)
    }
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        _: &'a ResourceKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        self.1.lock().unwrap().extend(context.at.clone());
        Box::pin(std::future::ready(Err(StepError::broken("undo ended with 3"))))
    }
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        self.0.command(key, id, region)
    }
    fn permissions(&self) -> &'static [Permission] {
        self.0.permissions()
    }
}

impl ResourceKind for Unlisted {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        self.0.find(context, key, id)
    }
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        self.0.remove(context, key, id)
    }
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        self.0.command(key, id, region)
    }
    fn permissions(&self) -> &'static [Permission] {
        self.0.permissions()
    }
}
