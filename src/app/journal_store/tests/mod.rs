//! Runs whose process dies around a write of the store, gone on with by another machine, in one simulated estate.

use super::{Created, JournalStore, Objects, Owner, StoreUrl, Stored, begin, claim, fetch, look};
use crate::action::{Registry, RunFacts};
use crate::app::runs::RunFolder;
use crate::app::world::{self, Target};
use crate::engine::{self, Drive, DriveError, Keep, Opening, World};
use crate::ids::{Digest, RunId};
use crate::journal::{
    self, Event, FORMAT, Holding, Journal, Outcome, RunState, SegmentStore, WorldKind,
};
use crate::outside::Secrets;
use crate::plan::{Options, Plan, RunMode, compile};
use crate::providers;
use crate::sandbox::Estate;
use crate::scenario::{Source, load_text};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod copies;
mod edges;
mod reaping;
mod wire;
mod without;

const STORE: &str = "s3://drill-evidence/redrill";

/// A plan, its world with a bucket for journals, and the run.
struct Scene {
    plan: Plan,
    registry: Registry,
    target: Target,
    world: World,
    run: RunId,
    disk: tempfile::TempDir,
    /// As the journal has it: nobody looks for what a rehearsal has left.
    kind: WorldKind,
}

fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

impl Scene {
    async fn open(faults: &[&str]) -> Self {
        Self::with_bucket_at(None, faults).await
    }

    /// The bucket is in the region of the last place of the estate, or before it in that of `region`.
    async fn with_bucket_at(region: Option<&str>, faults: &[&str]) -> Self {
        let registry = providers::registry();
        let text = repository("scenarios/orders-db.yaml");
        let loaded = load_text(Source::new("orders-db.yaml", text.clone()), &registry);
        let options =
            Options { mode: RunMode::Drill, inputs: BTreeMap::new(), deviations: Vec::new() };
        let plan = compile(&loaded.scenario.unwrap(), Digest::ZERO, &registry, options).unwrap();
        let estate = repository("scenarios/estates/orders-db.yaml");
        let mut estate = Estate::read("scenarios/estates/orders-db.yaml", &estate).unwrap();
        let region = region.unwrap_or("ap-northeast-3");
        let place = estate.places.iter_mut().find(|place| place.region == region).unwrap();
        let name = "drill-evidence".to_owned();
        place.buckets.push(crate::sandbox::BucketEstate { name, ..Default::default() });
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let target = Target::Sandbox { estate: Box::new(estate), faults };
        let (run, disk) = (RunId::new("orders-db-0001-ab12cd"), tempfile::tempdir().unwrap());
        let folder = RunFolder { path: disk.path().join("first") };
        std::fs::create_dir(&folder.path).unwrap();
        folder.write("plan.json", &serde_json::to_vec(&plan).unwrap()).unwrap();
        folder.write("scenario.yaml", text.as_bytes()).unwrap();
        let world = world::open(target.clone(), &plan, &run, &folder).await.unwrap();
        let kind = WorldKind::Rehearsal { estate: "test".into() };
        Self { plan, registry, target, world, run, disk, kind }
    }

    fn folder(&self, name: &str) -> RunFolder {
        RunFolder { path: self.disk.path().join(name) }
    }

    async fn objects(&self, region: &str) -> Objects {
        let url: StoreUrl = STORE.parse().unwrap();
        let sites = Some(&self.world.sessions);
        let secrets = Secrets::default();
        let session = world::store_session(&self.target, sites, &url, Some(region), &secrets);
        let (session, clock) = (session.await.unwrap(), self.world.clock.clone());
        Objects::new(session, secrets, url, self.run.clone(), clock, Arc::new(|_| {}))
    }

    /// Begins the run in the store, as the first machine.
    async fn begin(&self) -> Objects {
        let objects = self.objects("ap-northeast-3").await;
        let owner = Owner::this_process(&self.run, 0, self.world.clock.now());
        let (url, region) = (STORE.to_owned(), Some("ap-northeast-3".to_owned()));
        let token = owner.token.clone();
        let stored = Stored { url, region, owner: Some(0), token, pending: None, behind: false };
        begin(&objects, &self.plan, &self.folder("first"), owner).await.unwrap();
        self.folder("first").write_store(&stored).unwrap();
        objects
    }

    /// Another machine, which has nothing: fetches the run and takes it over.
    async fn on_another_machine(&self, deliberately: bool) -> crate::error::Result<RunFolder> {
        let objects = self.objects("ap-northeast-3").await;
        let fetched = fetch(&objects).await?;
        let folder = self.folder("second");
        std::fs::create_dir_all(&folder.path).unwrap();
        folder.write("plan.json", &fetched.plan)?;
        folder.write("scenario.yaml", &fetched.scenario)?;
        folder.write("journal.jsonl", &fetched.lines)?;
        let (url, region) = (STORE.to_owned(), Some("ap-northeast-3".to_owned()));
        folder.write_store(&Stored {
            url,
            region,
            owner: None,
            token: String::new(),
            pending: None,
            behind: false,
        })?;
        take_over(&objects, &folder, (deliberately, self.world.clock.now())).await?;
        Ok(folder)
    }

    async fn drive(
        &self,
        folder: &RunFolder,
        store: impl SegmentStore + 'static,
    ) -> Result<RunState, DriveError> {
        let path = folder.journal();
        let clock = &self.world.clock;
        let mut facts = RunFacts {
            operators: vec!["operator".to_owned()],
            run: self.run.clone(),
            scenario: self.plan.name.clone(),
            plan: self.plan.digest(),
            seed: 7,
            expires: clock.now() + chrono::TimeDelta::hours(12),
            started: clock.now(),
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        let (journal, state, opening) = if path.exists() {
            let (journal, contents) = Journal::reopen(&path).unwrap();
            let state = RunState::of(&contents.records).unwrap();
            facts.started = state.head.as_ref().unwrap().started;
            (journal, state, Event::resumed(0))
        } else {
            let start = Event::RunStarted {
                format: FORMAT,
                run: self.run.clone(),
                number: 1,
                scenario: self.plan.name.clone(),
                plan: facts.plan,
                scenario_digest: self.plan.scenario_digest,
                mode: self.plan.mode.clone(),
                world: self.kind.clone(),
                tool: "test".into(),
                operator: "test".into(),
                seed: 7,
                expires: facts.expires,
                keep: None,
                deviations: Vec::new(),
                limits: Vec::new(),
            };
            (Journal::create(&path).unwrap(), RunState::default(), start)
        };
        let (_keep_alive, orders) = tokio::sync::mpsc::unbounded_channel();
        engine::drive(Drive {
            plan: &self.plan,
            registry: &self.registry,
            world: &self.world,
            facts,
            journal: journal.with_store(store),
            state,
            opening: vec![Opening::now(&self.world.clock, opening)],
            unheard: Vec::new(),
            keep: Keep::Nothing,
            orders,
            observer: &mut (),
        })
        .await
    }
}

/// The process dies at the n-th write: before it, or after it and before anybody learns of it.
struct Dying {
    store: JournalStore,
    writes: Arc<AtomicUsize>,
    at: usize,
    written: bool,
}

impl SegmentStore for Dying {
    fn put<'a>(&'a mut self, first: u64, lines: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let dies = self.writes.fetch_add(1, Ordering::SeqCst) == self.at;
            if !dies || self.written {
                self.store.put(first, lines).await?;
            }
            if dies { Err(io::Error::other("the process died")) } else { Ok(()) }
        })
    }
}

async fn take_over(
    objects: &Objects,
    folder: &RunFolder,
    (deliberately, now): (bool, chrono::DateTime<chrono::Utc>),
) -> crate::error::Result<()> {
    let claimable = look(objects, folder, deliberately).await?;
    claim(objects, folder, claimable, now).await
}

/// Everything that was made is gone, and nothing was made twice.
fn assert_clean(state: &RunState, case: &str) {
    assert_eq!(state.finished, Some(Outcome::Passed), "{case}");
    assert_eq!(state.ledger.len(), 2, "an instance and a schema in it: {case}");
    for (key, holding) in state.ledger.all() {
        assert!(matches!(holding, Holding::Released { .. }), "{case}: {key}: {holding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_machine_goes_on_wherever_the_first_one_died() {
    let scene = Scene::open(&[]).await;
    let writes = Arc::new(AtomicUsize::new(0));
    let store = JournalStore::of(scene.begin().await);
    let whole = Dying { store, writes: writes.clone(), at: usize::MAX, written: true };
    let state = scene.drive(&scene.folder("first"), whole).await.unwrap();
    assert_clean(&state, "uninterrupted");
    let all = writes.load(Ordering::SeqCst);
    assert!(all > 15, "{all}");
    for (at, written) in (1..all).step_by(9).flat_map(|at| [(at, false), (at, true)]) {
        let case = format!("dies at write {at} of {all}, written: {written}");
        let scene = Scene::open(&[]).await;
        let store = JournalStore::of(scene.begin().await);
        let dying = Dying { store, writes: Arc::default(), at, written };
        scene.drive(&scene.folder("first"), dying).await.unwrap_err();
        // Not by accident: the first machine may only be cut off.
        let refused = scene.on_another_machine(false).await.err().unwrap();
        assert!(refused.to_string().contains("is held by"), "{case}: {refused}");
        let folder = scene.on_another_machine(true).await.unwrap();
        let store = JournalStore::of(scene.objects("ap-northeast-3").await);
        let state = scene.drive(&folder, store).await.unwrap();
        assert_clean(&state, &case);
        // Disk and store hold the same journal, and it verifies.
        let there = fetch(&scene.objects("ap-northeast-3").await).await.unwrap().lines;
        assert_eq!(there, folder.read("journal.jsonl").unwrap(), "{case}");
        assert_eq!(
            RunState::of(&journal::read_bytes(&there).unwrap().records).unwrap().over,
            scene.plan.steps.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_machine_goes_on_without_being_asked_and_brings_the_store_up_to_its_disk() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: false };
    scene.drive(&scene.folder("first"), dying).await.unwrap_err();
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    let before = fetch(&objects).await.unwrap().lines;
    let on_disk = folder.read("journal.jsonl").unwrap();
    assert!(on_disk.len() > before.len() && on_disk.starts_with(&before));
    take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
    assert_eq!(fetch(&objects).await.unwrap().lines, on_disk);
    let state = scene.drive(&folder, JournalStore::of(objects)).await.unwrap();
    assert_clean(&state, "resumed");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_write_the_same_segment_one_is_stopped() {
    let scene = Scene::open(&[]).await;
    let mut first = JournalStore::of(scene.begin().await);
    let mut second = JournalStore::of(scene.objects("ap-northeast-3").await);
    first.put(0, b"one\n").await.unwrap();
    // Written again by the same process, its answer lost: no conflict.
    first.put(0, b"one\n").await.unwrap();
    let error = second.put(0, b"two\n").await.unwrap_err().to_string();
    assert!(error.contains("another process has taken this run over"), "{error}");
    // And only one can take a run over at a time.
    let claim = |host: &str| {
        let mut claim = Owner::this_process(&scene.run, 1, scene.world.clock.now());
        claim.host = host.to_owned();
        claim
    };
    let objects = scene.objects("ap-northeast-3").await;
    assert_eq!(claim("a").claim(&objects).await.unwrap(), Created::New);
    assert_eq!(claim("b").claim(&objects).await.unwrap(), Created::Exists);
    assert_eq!(Owner::last(&objects).await.unwrap().unwrap().host, "a");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_throttling_and_expired_credentials_of_the_store_are_got_over() {
    let faults = [
        "s3:PutObject#9=lost_reply",
        "s3:PutObject#12=throttle",
        "s3:*=expired_credentials:6m..16m",
    ];
    let scene = Scene::open(&faults).await;
    let store = JournalStore::of(scene.begin().await);
    let state = scene.drive(&scene.folder("first"), store).await.unwrap();
    assert_clean(&state, "with faults of the store");
}

#[tokio::test(start_paused = true)]
async fn when_the_store_cannot_be_written_nothing_is_done() {
    // The claim, the self-test and two files come first; then the journal. From its fourth write on nothing is written.
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 0, written: false };
    let error = scene.drive(&scene.folder("first"), dying).await.unwrap_err();
    assert!(error.to_string().contains("the journal cannot be written"), "{error}");
    let calls = |folder: &RunFolder| {
        let contents = journal::read(&folder.journal()).unwrap();
        let started = |record: &&journal::Record| {
            matches!(record.event, Event::Checked { .. } | Event::StepFinished { .. })
        };
        contents.records.iter().filter(started).count()
    };
    assert_eq!(calls(&scene.folder("first")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_in_a_region_that_is_lost_is_refused() {
    let scene = Scene::with_bucket_at(Some("ap-northeast-1"), &[]).await;
    let objects = scene.objects("ap-northeast-1").await;
    let owner = Owner::this_process(&scene.run, 0, scene.world.clock.now());
    let refused = begin(&objects, &scene.plan, &scene.folder("first"), owner).await.unwrap_err();
    assert!(refused.to_string().contains("the region of the site primary"), "{refused}");
    assert!(objects.list("").await.unwrap().is_empty());
}
