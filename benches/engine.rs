//! What the program itself costs, beside the disk that it waits for: engine and journal for each step, a rehearsal as a
//! whole, and the check of a large scenario.
//!
//! `cargo bench --bench engine`. Before the measurements of criterion stands one line that compares a run of a thousand
//! steps with `fdatasync` alone, measured in the same run on the same file system: the temporary folder, so set `TMPDIR`
//! to a disk (on tmpfs, `fdatasync` does nothing). Nothing in here asserts a time.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]
#![expect(clippy::print_stderr, reason = "the comparison is the result")]
#![expect(
    clippy::disallowed_methods,
    reason = "measures real time, also where the runtime's is paused"
)]

use criterion::{BatchSize, Criterion, Throughput};
use redrill::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, HandInput, Phase, Registry, RunFacts, SiteUse,
    StepContext, StepError,
};
use redrill::aws::GuardPolicy;
use redrill::engine::{Drive, Keep, Opening, World, drive};
use redrill::ids::{Digest, RunId};
use redrill::journal::{Event, FORMAT, Journal, Outcome, RunState, Sink, WorldKind};
use redrill::plan::{Options, Plan, RunMode, compile};
use redrill::providers;
use redrill::sandbox::{self, Estate, EstateOutside};
use redrill::scenario::{Source, load_text};
use redrill::time::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const STEPS: usize = 1_000;

/// An action that does nothing.
struct Nothing;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoInput {}

#[derive(Serialize, JsonSchema)]
struct NoOutput {}

impl Action for Nothing {
    type Input = NoInput;
    type Output = NoOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "bench.nothing",
            title: "Do nothing",
            about: "For measurements.",
            phase: Phase::Recover,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(60),
            effect: Effect::None,
            creates: &[],
            permissions: &[],
            checks: &[],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: false, servers: &[], aws: None },
        }
    }

    async fn run(&self, _: &StepContext, _: NoInput) -> Result<NoOutput, StepError> {
        Ok(NoOutput {})
    }

    fn by_hand(&self, _: &HandInput) -> ByHand {
        ByHand::default()
    }
}

const HEAD: &str = "redrill: 1\nname: bench\ntitle: A long scenario\nowner: nobody\n\
                    disaster: { kind: deletion, lost: [] }\n\
                    sites: { dr: { account: '222222222222', region: ap-northeast-3 } }\n";

/// Steps that do nothing, each of which needs the one before.
fn chain(steps: usize) -> (Plan, Registry) {
    let mut registry = Registry::default();
    registry.action(Nothing);
    let mut text = format!(
        "{HEAD}objectives: {{ rlo: {{ target: all done, proven_by: [s{}] }} }}\nsteps:\n",
        steps - 1
    );
    for n in 0..steps {
        let needs = n.checked_sub(1).map_or(String::new(), |n| format!(", needs: [s{n}]"));
        writeln!(text, "  - {{ id: s{n}, uses: bench.nothing{needs} }}").unwrap();
    }
    let loaded = load_text(Source::new("bench.yaml", text), &registry);
    assert!(!loaded.has_errors(), "{}", loaded.render(false));
    let options = Options { mode: RunMode::Drill, inputs: BTreeMap::new(), deviations: Vec::new() };
    let plan = compile(&loaded.scenario.unwrap(), Digest::ZERO, &registry, options).unwrap();
    (plan, registry)
}

fn world() -> World {
    let text = "estate: 1\nnow: 2026-11-20T02:00:00Z\naccounts: {}\n";
    let estate = Estate::read("bench.yaml", text).unwrap();
    let clock = Clock::simulated(estate.now);
    let simulated = sandbox::World::open(estate, clock.clone(), Vec::new());
    World {
        clock,
        outside: Arc::new(EstateOutside::new(simulated)),
        sessions: Arc::new(BTreeMap::new()),
        policy: Arc::new(GuardPolicy::default()),
        on_loss: Arc::new(|_, _| {}),
    }
}

fn start(plan: &Plan, facts: &RunFacts) -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: facts.run.clone(),
        number: 1,
        scenario: plan.name.clone(),
        plan: facts.plan,
        scenario_digest: plan.scenario_digest,
        mode: plan.mode.clone(),
        world: WorldKind::Rehearsal { estate: "bench".to_owned() },
        tool: "bench".to_owned(),
        operator: "bench".to_owned(),
        seed: facts.seed,
        expires: facts.expires,
        keep: None,
        deviations: Vec::new(),
        limits: Vec::new(),
    }
}

/// Runs the plan to its end, which must be a pass.
fn run(plan: &Plan, registry: &Registry, journal: Journal) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let state = runtime.block_on(async {
        let world = world();
        let facts = RunFacts {
            run: RunId::new("bench-0001-abcdef"),
            scenario: plan.name.clone(),
            plan: plan.digest(),
            seed: 1,
            expires: world.clock.now() + chrono::TimeDelta::hours(12),
            started: world.clock.now(),
            operators: vec!["operator".to_owned()],
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        let (_sender, orders) = tokio::sync::mpsc::unbounded_channel();
        drive(Drive {
            plan,
            registry,
            world: &world,
            opening: vec![Opening::now(&world.clock, start(plan, &facts))],
            unheard: Vec::new(),
            facts,
            journal,
            state: RunState::default(),
            keep: Keep::Nothing,
            orders,
            observer: &mut (),
        })
        .await
        .unwrap()
    });
    assert_eq!(state.finished, Some(Outcome::Passed));
}

/// What went to the disk, and how long that took.
#[derive(Clone, Copy, Default)]
struct Writes {
    count: u32,
    bytes: usize,
    took: Duration,
}

/// A file that is written as the journal's own, and measured.
struct Measured {
    file: File,
    writes: Arc<Mutex<Writes>>,
}

impl Sink for Measured {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let began = Instant::now();
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        let mut writes = self.writes.lock().unwrap();
        writes.count += 1;
        writes.bytes += bytes.len();
        writes.took += began.elapsed();
        Ok(())
    }
}

/// As many writes of the same size as a run makes, and nothing else.
fn fdatasync_alone(folder: &Path, writes: Writes) -> Duration {
    let bytes = vec![b'x'; writes.bytes / writes.count as usize];
    let mut file = File::create(folder.join("alone")).unwrap();
    let began = Instant::now();
    for _ in 0..writes.count {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
    }
    began.elapsed()
}

/// One run of a thousand steps, split into what the disk took and what this program took.
fn compare_with_fdatasync(plan: &Plan, registry: &Registry) {
    let folder = tempfile::tempdir().unwrap();
    let writes = Arc::new(Mutex::new(Writes::default()));
    let file = File::create(folder.path().join("journal")).unwrap();
    let journal = Journal::new(Measured { file, writes: writes.clone() });
    let began = Instant::now();
    run(plan, registry, journal);
    let total = began.elapsed();
    let writes = *writes.lock().unwrap();
    let alone = fdatasync_alone(folder.path(), writes);
    let own = total.saturating_sub(writes.took);
    eprintln!(
        "{STEPS} steps: {total:.1?}; {count} writes of {bytes} bytes on average, which took {took:.1?} of it; \
         the rest is {own:.1?}, {each:.1?} for each step. \
         The same writes alone: {alone:.1?}. Ratio {ratio:.2}",
        count = writes.count,
        bytes = writes.bytes / writes.count as usize,
        took = writes.took,
        each = own / u32::try_from(STEPS).unwrap(),
        ratio = total.as_secs_f64() / alone.as_secs_f64(),
    );
}

fn a_thousand_steps(criterion: &mut Criterion) {
    let (plan, registry) = chain(STEPS);
    compare_with_fdatasync(&plan, &registry);
    let mut group = criterion.benchmark_group("a thousand chained steps");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(STEPS as u64));
    group.bench_function("journal in a file", |bencher| {
        let journal = || {
            let folder = tempfile::tempdir().unwrap();
            let journal = Journal::create(&folder.path().join("journal.jsonl")).unwrap();
            (folder, journal)
        };
        let run_it = |(folder, journal)| {
            run(&plan, &registry, journal);
            folder
        };
        bencher.iter_batched(journal, run_it, BatchSize::PerIteration);
    });
    group.bench_function("journal in memory", |bencher| {
        let journal = || Journal::new(Vec::new());
        bencher.iter_batched(journal, |j| run(&plan, &registry, j), BatchSize::PerIteration);
    });
    group.finish();
}

/// Beside the same with a thousand: whether the cost of a step grows with the number of steps.
fn a_hundred_steps(criterion: &mut Criterion) {
    let (plan, registry) = chain(100);
    let mut group = criterion.benchmark_group("a hundred chained steps");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(100));
    group.bench_function("journal in memory", |bencher| {
        let journal = || Journal::new(Vec::new());
        bencher.iter_batched(journal, |j| run(&plan, &registry, j), BatchSize::PerIteration);
    });
    group.finish();
}

fn rehearsal(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/orders-db.yaml");
    let mut group = criterion.benchmark_group("rehearsal");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("orders-db, the whole program", |bencher| {
        // A new folder each time: a run that has earlier ones reads them.
        let runs = || tempfile::tempdir_in(folder.path()).unwrap();
        let rehearse = |runs: tempfile::TempDir| {
            let program = Command::new(env!("CARGO_BIN_EXE_redrill"))
                .args(["run", "--sandbox", "--quiet", "--runs-dir"])
                .arg(runs.path())
                .arg(&scenario)
                .output()
                .unwrap();
            assert!(program.status.success());
            runs
        };
        bencher.iter_batched(runs, rehearse, BatchSize::PerIteration);
    });
    group.finish();
}

/// Pairs of steps with references and expectations, as scenarios have them.
fn scenario_of_200_steps() -> String {
    let mut text = format!(
        "{HEAD}objectives: {{ rpo: {{ target: 26h, measure: backup }} }}\n\
         guard: {{ write: [dr], max_resources: 100 }}\nsteps:\n"
    );
    for n in 0..100 {
        writeln!(
            text,
            "  - id: point{n}\n    at: dr\n    uses: rds.find_snapshot\n    with: {{ of: db-{n} }}\n    \
             expect: {{ worst_gap: \"<= 26h\", retention: \">= 6d\", key_usable: true }}\n  - id: restore{n}\n    \
             at: dr\n    uses: rds.restore_snapshot\n    timeout: 3h\n    with:\n      \
             snapshot: \"{{{{steps.point{n}.arn}}}}\"\n      class: db.r6g.large\n      subnet_group: drill\n      \
             security_groups: [sg-drill]\n      multi_az: false"
        )
        .unwrap();
    }
    text
}

fn check(criterion: &mut Criterion) {
    let registry = providers::registry();
    let text = scenario_of_200_steps();
    let loaded = load_text(Source::new("bench.yaml", text.as_str()), &registry);
    assert!(!loaded.has_errors(), "{}", loaded.render(false));
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(200));
    group.bench_function("a scenario of 200 steps", |bencher| {
        bencher.iter(|| load_text(Source::new("bench.yaml", text.as_str()), &registry));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    a_hundred_steps(&mut criterion);
    a_thousand_steps(&mut criterion);
    rehearsal(&mut criterion);
    check(&mut criterion);
    criterion.final_summary();
}
