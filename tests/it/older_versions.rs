//! Runs that an earlier version began: this one reports on them and goes on with them, or refuses them by name and version.
//!
//! `frozen/` holds what such a version wrote; it is never written anew. Where the form of a journal or plan must change, the old
//! folder stays and this test says what becomes of it.

use crate::program::{Program, repository};
use chrono::{DateTime, Utc};
use redrill::action::RunFacts;
use redrill::app::sandboxed;
use redrill::aws::GuardPolicy;
use redrill::engine::{Drive, Keep, Observer, Opening, drive};
use redrill::ids::StepId;
use redrill::journal::{Event, Journal, Outcome, Record, RunState, read_bytes};
use redrill::plan::Plan;
use redrill::providers;
use redrill::sandbox::{Estate, World};
use redrill::time::Clock;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A drill of 29 November 2026, from before runs were resumed with the account, the operator and the version in the journal.
const FROZEN: &str = "tests/it/frozen/orders-db";

fn frozen(file: &str) -> Vec<u8> {
    fs::read(repository(&format!("{FROZEN}/{file}"))).unwrap()
}

/// The first so many records.
fn cut(records: usize) -> Vec<u8> {
    let journal = frozen("journal.jsonl");
    let lines = journal.split_inclusive(|byte| *byte == b'\n').take(records);
    lines.flatten().copied().collect()
}

/// A world in which the drill goes on, and one in which it never was.
struct Scene {
    plan: Plan,
    clock: Clock,
    world: World,
    twin: World,
}

/// What a record is about, and how often it was said by then.
type About = (String, usize);

fn abouts(records: &[Record]) -> Vec<About> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut about = |event: &Event| {
        let event = serde_json::to_value(event).unwrap();
        let parts = ["type", "step", "key", "when"].map(|part| event[part].to_string());
        let what = parts.join(" ");
        let times = seen.entry(what.clone()).or_default();
        *times += 1;
        (what, *times)
    };
    records.iter().map(|record| about(&record.event)).collect()
}

/// The process that is to die once it has written this.
struct Mortal {
    written: Vec<Record>,
    dies_after: About,
    dead: Arc<Notify>,
}

impl Observer for Mortal {
    fn recorded(&mut self, record: &Record) {
        self.written.push(record.clone());
        if abouts(&self.written).last() == Some(&self.dies_after) {
            self.dead.notify_one();
        }
    }

    fn progress(&mut self, _: &StepId, _: &str) {}
}

impl Scene {
    fn at(now: DateTime<Utc>) -> Self {
        let plan: Plan = serde_json::from_slice(&frozen("plan.json")).unwrap();
        let text = String::from_utf8(frozen("estate.yaml")).unwrap();
        let mut estate = Estate::read("estate.yaml", &text).unwrap();
        estate.now = now;
        let clock = Clock::simulated(estate.now);
        let world = World::open(estate.clone(), clock.clone(), vec![]);
        let twin = World::open(estate, clock.clone(), vec![]);
        Self { plan, clock, world, twin }
    }

    /// One process, which goes on from these lines.
    async fn go_on(&self, lines: &[u8], observer: &mut dyn Observer) -> RunState {
        let contents = read_bytes(lines).unwrap();
        let state = RunState::of(&contents.records).unwrap();
        let head = state.head.clone().unwrap();
        let policy = Arc::new(GuardPolicy::read_only());
        let (plan, clock) = (&self.plan, &self.clock);
        let wire = self.world.connector();
        let sites = (&plan.sites, "redrill-older");
        let session = sandboxed(&self.world, wire, sites, clock.clone(), policy).unwrap();
        let facts = RunFacts {
            operators: state.operators.iter().cloned().collect(),
            run: head.run.clone(),
            scenario: plan.name.clone(),
            plan: head.plan,
            seed: head.seed,
            expires: head.expires,
            started: head.started,
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        let (torn_bytes, gap_ms) = (0, 0);
        let resumed = Event::RunResumed {
            torn_bytes,
            gap_ms,
            operator: None,
            tool: None,
            limits: Vec::new(),
            without_store: None,
        };
        let (_ending, orders) = tokio::sync::mpsc::unbounded_channel();
        let registry = providers::registry();
        let ended = drive(Drive {
            plan,
            registry: &registry,
            world: &session,
            facts,
            journal: Journal::after(Vec::new(), &contents),
            state,
            opening: vec![Opening::now(clock, resumed)],
            unheard: Vec::new(),
            keep: Keep::Nothing,
            orders,
            observer,
        });
        ended.await.unwrap()
    }

    /// Goes on to the end. Gives how it ended, and whether the world is then as it would be without the drill.
    async fn end(&self, lines: &[u8]) -> (RunState, bool) {
        let ended = self.go_on(lines, &mut ()).await;
        self.clock.sleep(Duration::from_secs(3600)).await;
        (ended, self.world.inventory() == self.twin.inventory())
    }
}

fn in_simulated_time<T>(what: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(what)
}

/// Goes on with the drill from its first so many records, in a world in which it has made nothing yet.
fn go_on_from(records: usize) -> (RunState, bool) {
    let lines = cut(records);
    let last = read_bytes(&lines).unwrap().records.last().unwrap().at;
    in_simulated_time(async { Scene::at(last).end(&lines).await })
}

/// Goes on with the drill from its first so many records, in a world in which it has done what they say. `None` when this version
/// writes no such record.
fn go_on_from_what_was_made(records: usize) -> Option<(RunState, bool)> {
    let lines = cut(records);
    let so_far = read_bytes(&lines).unwrap().records;
    let dead = Arc::new(Notify::new());
    let dies_after = abouts(&so_far).pop().unwrap();
    in_simulated_time(async {
        let scene = Scene::at(so_far[0].at);
        let mut mortal = Mortal { written: so_far[..1].to_vec(), dies_after, dead: dead.clone() };
        let begun = cut(1);
        tokio::select! {
            biased;
            () = dead.notified() => {}
            _ = scene.go_on(&begun, &mut mortal) => return None,
        }
        Some(scene.end(&lines).await)
    })
}

#[test]
fn a_drill_that_an_earlier_version_began_is_gone_on_with_from_every_record_before_it_made_something()
 {
    let records = read_bytes(&frozen("journal.jsonl")).unwrap().records;
    let made = |event: &Event| matches!(event, Event::ResourceOwned { .. });
    let made = records.iter().position(|record| made(&record.event)).unwrap();
    assert!(made > 10, "{made}");
    for records in 1..=made {
        let (ended, untouched) = go_on_from(records);
        assert_eq!(ended.finished, Some(Outcome::Passed), "from record {records}");
        assert!(untouched, "something is left, from record {records}");
    }
}

#[test]
fn a_drill_that_an_earlier_version_began_is_gone_on_with_from_what_it_has_made() {
    let all = read_bytes(&frozen("journal.jsonl")).unwrap().records;
    let is_made = |event: &Event| matches!(event, Event::ResourceOwned { .. });
    let made = all.iter().position(|record| is_made(&record.event)).unwrap();
    let mut tried = Vec::new();
    for records in made + 1..all.len() {
        let Some((ended, untouched)) = go_on_from_what_was_made(records) else { continue };
        assert_eq!(ended.finished, Some(Outcome::Passed), "from record {records}");
        assert!(untouched, "something is left, from record {records}");
        tried.push(records);
    }
    // Those of what was made and found gone are surely among them.
    let told = |record: &Record| {
        let must = matches!(
            record.event,
            Event::ReleaseStarted | Event::ResourceOwned { .. } | Event::ResourceReleased { .. }
        );
        !must || record.seq < made as u64 || tried.contains(&(record.seq as usize + 1))
    };
    assert!(all[..all.len() - 1].iter().all(told), "{tried:?}");
    assert!(tried.len() > (all.len() - made) / 2, "{} of {}", tried.len(), all.len() - made);
}

#[test]
fn a_drill_of_an_earlier_version_is_reported_with_its_verdict() {
    let program = Program::new();
    for file in ["journal.jsonl", "plan.json", "scenario.yaml"] {
        program.write(&format!("runs/orders-db-0001/{file}"), frozen(file));
    }
    program.run(&["report", "orders-db-0001"]).says(0, &[]);
    let report = program.read("runs/orders-db-0001/report.json");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["verdict"]["outcome"], "passed");
    assert_eq!(report["exit"]["left_behind"], 0);
}
