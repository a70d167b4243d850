//! Runs that an earlier version began: this one reports on them and goes on with them, or refuses them by name and version.
//!
//! `frozen/` holds what such a version wrote; it is never written anew. Where the form of a journal or plan must change, the old
//! folder stays and this test says what becomes of it.

use crate::program::{Program, repository};
use redrill::action::RunFacts;
use redrill::app::sandboxed;
use redrill::aws::GuardPolicy;
use redrill::engine::{Drive, Keep, Opening, drive};
use redrill::journal::{Event, Journal, Outcome, RunState, read_bytes};
use redrill::plan::Plan;
use redrill::providers;
use redrill::sandbox::{Estate, World};
use redrill::time::Clock;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

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

/// Goes on with the drill from its first so many records, in a world in which it has made nothing yet. Gives how it ended, and
/// whether the world is as it would be without it.
fn go_on_from(records: usize) -> (RunState, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let plan: Plan = serde_json::from_slice(&frozen("plan.json")).unwrap();
        let text = String::from_utf8(frozen("estate.yaml")).unwrap();
        let mut estate = Estate::read("estate.yaml", &text).unwrap();
        let contents = read_bytes(&cut(records)).unwrap();
        let state = RunState::of(&contents.records).unwrap();
        let head = state.head.clone().unwrap();
        estate.now = state.last_at.unwrap();
        let clock = Clock::simulated(estate.now);
        let (world, twin) = (
            World::open(estate.clone(), clock.clone(), vec![]),
            World::open(estate, clock.clone(), vec![]),
        );
        let policy = Arc::new(GuardPolicy::read_only());
        let session = sandboxed(&world, world.connector(), &plan.sites, clock.clone(), policy);
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
        let resumed = Event::RunResumed {
            torn_bytes: 0,
            gap_ms: 0,
            operator: None,
            tool: None,
            limits: Vec::new(),
        };
        let (_ending, orders) = tokio::sync::mpsc::unbounded_channel();
        let (registry, mut nobody) = (providers::registry(), ());
        let ended = drive(Drive {
            plan: &plan,
            registry: &registry,
            world: &session,
            facts,
            journal: Journal::after(Vec::new(), &contents),
            state,
            opening: vec![Opening::now(&clock, resumed)],
            unheard: Vec::new(),
            keep: Keep::Nothing,
            orders,
            observer: &mut nobody,
        });
        let ended = ended.await.unwrap();
        clock.sleep(Duration::from_secs(3600)).await;
        (ended, world.inventory() == twin.inventory())
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
