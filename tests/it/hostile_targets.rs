//! What hostile bytes are thrown at: each function takes any bytes, and must come back, in short time and with little
//! memory, without a panic. `hostile_inputs.rs` calls them with seeds and changed seeds in every test run; `fuzz/` gives them
//! to a fuzzer. So nothing in here may need anything but redrill, serde_json, tokio and chrono.

use redrill::action::Registry;
use redrill::expectation::{Expectation, ValueKind};
use redrill::formats::etcd_snapshot;
use redrill::formats::packed::unpack;
use redrill::ids::{Digest, StepId};
use redrill::journal::{Journal, Record, RunState, Sink, read_bytes};
use redrill::outside::{Secret, Secrets};
use redrill::plan::{self, Options, Plan, RunMode};
use redrill::render;
use redrill::report::{self, EarlierRun};
use redrill::sandbox::{Estate, World, serve_connection};
use redrill::scenario::expression::{Names, Template, resolve, resolve_known};
use redrill::scenario::{self, Source};
use redrill::time::{Clock, HumanDuration};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A target.
pub(crate) type Target = fn(&[u8]);

/// All of them, with the names of their folders of seeds.
pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("scenario", scenario),
    ("journal", journal),
    ("expression", expression),
    ("etcd_snapshot", snapshot),
    ("estate", estate),
    ("sandbox_http", sandbox_http),
    ("words", words),
];

const ORDERS: &str = include_str!("../../scenarios/orders-db.yaml");
const ORDERS_ESTATE: &str = include_str!("../../scenarios/estates/uploads-replication.yaml");

static REGISTRY: LazyLock<Registry> = LazyLock::new(redrill::providers::registry);
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    plan_of(ORDERS, RunMode::Drill).unwrap_or_else(|| unreachable!("the shipped scenario is sound"))
});

fn plan_of(text: &str, mode: RunMode) -> Option<Plan> {
    let loaded = scenario::load_text(Source::new("hostile.yaml", text), &REGISTRY);
    assert!(loaded.scenario.is_some() || loaded.has_errors(), "neither a scenario nor an error");
    // What is shown of an error must be able to be shown, too.
    let _shown = loaded.render(true);
    let options = Options { mode, ..Options::default() };
    plan::compile(loaded.scenario.as_ref()?, loaded.source.digest(), &REGISTRY, options).ok()
}

/// A scenario, as text: read, checked, compiled in both modes, written as a runbook.
pub(crate) fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for mode in [RunMode::Drill, RunMode::Recovery] {
        let Some(plan) = plan_of(text, mode) else { continue };
        let _outline = plan::outline(&plan, &REGISTRY);
        let _runbook = render::runbook(&plan, &BTreeMap::new(), &REGISTRY);
        let json = serde_json::to_vec(&plan).unwrap_or_default();
        let again: Plan = serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again.digest(), plan.digest(), "a plan that is not read as it was written");
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Sink for Shared {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }
}

/// A journal: once as it is, and once with its lines taken as records that are numbered and chained again, so that what lies
/// behind the digests is reached.
pub(crate) fn journal(bytes: &[u8]) {
    if let Ok(contents) = read_bytes(bytes) {
        let _folded = RunState::of(&contents.records);
    }
    let shared = Shared::default();
    let mut journal = Journal::new(shared.clone());
    for line in bytes.split(|byte| *byte == b'\n').take(200) {
        if let Ok(Record { at, elapsed_ms, event, .. }) = serde_json::from_slice(line) {
            // A record that is too long is refused, and the others go on.
            let _too_long = journal.stage(at, Duration::from_millis(elapsed_ms), event);
        }
    }
    if journal.commit().is_err() {
        return;
    }
    let written = shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(contents) = read_bytes(&written) else { return };
    let Ok(_state) = RunState::of(&contents.records) else { return };
    let earlier = vec![EarlierRun::of(&PLAN, &contents.records)];
    let Ok(report) = report::report(&PLAN, &contents.records, &earlier, &REGISTRY) else { return };
    let _written = (render::html(&report), render::markdown(&report), render::junit(&report));
    let _written =
        (render::json(&report), render::terminal(&report, true, Some(Path::new("r.html"))));
    let _code = report.exit_code();
}

/// A text with expressions: read, resolved at once and in two steps, which must agree.
pub(crate) fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(template) = Template::parse(text) {
        let _parts = (template.references().len(), template.whole_call(), template.is_whole());
    }
    let early =
        Names::default().with("vars", json!({ "name": "a{{b}}\"\\", "n": 1, "o": [null, {}] }));
    let mut late = early.clone().with("inputs", json!({ "x": "{{vars.name}}" }));
    late.add_step(&StepId::new("s"), json!({ "out": "x\ny", "list": [1, 2.5, "z"] }));
    let value = json!({ "text": text, "list": [text] });
    let at_once = resolve(&value, &late);
    if let Ok(known) = resolve_known(&value, &early) {
        assert_eq!(resolve(&known, &late).ok(), at_once.ok(), "{text:?}");
    }
}

/// A snapshot of etcd.
pub(crate) fn snapshot(bytes: &[u8]) {
    // More than is there, too: a file may be shorter than what was said of it.
    for length in [bytes.len() as u64, bytes.len() as u64 + 4096] {
        if let Ok(inspection) = etcd_snapshot::inspect(bytes, length) {
            let _judged = (inspection.soundness(), inspection.database_bytes());
            let json = serde_json::to_vec(&inspection).unwrap_or_default();
            assert!(!json.is_empty(), "an inspection that cannot be written");
        }
        for (at, compacted) in [(None, None), (Some(7), Some(3))] {
            let _hash = etcd_snapshot::hash_kv(bytes, length, at, compacted);
        }
        if let Ok(Ok(found)) = etcd_snapshot::kubernetes::take_inventory(bytes, length, &[]) {
            let same = etcd_snapshot::kubernetes::compare(&found, &found, &Default::default());
            assert!(same.changes.is_empty(), "an inventory that differs from itself");
        }
    }
    let mut unpacked = Vec::new();
    let done = unpack(bytes, &mut unpacked, 1 << 20);
    assert_eq!(done.map(|done| done.bytes).ok(), Some(unpacked.len() as u64));
}

/// An estate: read, opened, listed.
pub(crate) fn estate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A folder that does not exist: no file of this machine may be read.
    let Ok(estate) = Estate::read("/nonexistent/estate.yaml", text) else { return };
    paused(async {
        let clock = Clock::simulated(estate.now);
        let world = World::open(estate, clock.clone(), Vec::new());
        let _first = world.inventory();
        clock.sleep(Duration::from_secs(3600)).await;
        let _later = world.inventory();
    });
}

/// What somebody sends to the port of the sandbox.
pub(crate) fn sandbox_http(bytes: &[u8]) {
    let Ok(estate) = Estate::read("/nonexistent/estate.yaml", ORDERS_ESTATE) else { return };
    paused(async {
        let world = World::open(estate.clone(), Clock::simulated(estate.now), Vec::new());
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let bytes = bytes.to_vec();
        let talking = async move {
            // The server may have closed the connection before it has heard everything.
            let _closed = client.write_all(&bytes).await;
            let _closed = client.shutdown().await;
            let mut answer = Vec::new();
            let _closed = client.read_to_end(&mut answer).await;
        };
        tokio::join!(serve_connection(world, server), talking);
    });
}

/// Small texts that people write, and what is searched for secrets.
pub(crate) fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (first, rest) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(duration) = first.parse::<HumanDuration>() {
        let shown = duration.to_string();
        assert_eq!(shown.parse::<HumanDuration>(), Ok(duration), "{shown}");
    }
    for kind in [ValueKind::Duration, ValueKind::Size, ValueKind::Any] {
        if let Ok(expectation) = Expectation::parse(&Value::from(first), kind) {
            let number = rest.parse::<f64>().map_or(Value::Null, Value::from);
            for observed in [Value::from(rest), number, json!([rest]), json!(i64::MIN)] {
                let _check = expectation.judge("name", &observed, rest);
            }
        }
    }
    let secrets = Secrets::default();
    secrets.learn(&Secret::new(first));
    let concealed = secrets.conceal(rest);
    assert!(
        first.chars().count() < 4
            || "<secret>".contains(first)
            || !concealed.contains(first)
            || may_meet(first)
    );
    let _cut = secrets.conceal_beginning(rest);
    let _digest = Digest::of(bytes).short(12);
}

/// A secret that ends and begins like what stands in its place, such as `>a<`, can come together again around it.
fn may_meet(secret: &str) -> bool {
    secret.contains(['<', '>'])
        || "<secret>".split("").any(|part| !part.is_empty() && secret.contains(part))
}

/// Runs where time does not pass while anything is done, and jumps when nothing is.
fn paused(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    if let Ok(runtime) = runtime.enable_time().start_paused(true).build() {
        runtime.block_on(work);
    }
}
