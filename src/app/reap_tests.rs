//! Reaping in the sandbox: runs that end in every way, and what is found and removed afterwards in the same estate.

use super::world::{self, Target};
use crate::action::{
    Found, Listing, Permission, Registry, ResourceContext, ResourceKind, RunFacts, StepError,
};
use crate::engine::{self, Drive, Keep, Observer, World};
use crate::ids::{Digest, RunId, StepId};
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
use tokio::sync::{Notify, watch};

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
        }
    }

    async fn run(&self, end: End, keep: Option<HumanDuration>) -> RunState {
        let started = self.world.clock.now();
        let expires = started + TimeDelta::from_std(self.plan.guard.ttl.0).unwrap();
        let facts = RunFacts {
            operator: "operator".to_owned(),
            run: self.run_id(),
            scenario: self.plan.name.clone(),
            plan: self.plan.digest(),
            seed: 7,
            expires,
            started,
            withhold_data: false,
            is_drill: self.plan.is_drill(),
        };
        let then = Arc::new(Notify::new());
        let (stop, orders) = watch::channel(None);
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
            opening: vec![self.opening(keep, expires)],
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
                stop.send_replace(Some(engine::Order::Cancel { by, incident: false }));
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
            removals.push(reap::remove(&lookout, past, leftover, &|_| RunLock::NoJournal).await);
        }
        (gathered, removals)
    }

    /// Every name of a kind at a site, whoever made it.
    async fn listing(&self, kind: &str, site: &str) -> (Option<u64>, usize) {
        let kind = self.registry.resource_kind(kind).unwrap();
        let context = crate::action::StepContext {
            at: Some(crate::ids::SiteName::new(site)),
            ..self.context()
        };
        match kind.list(&context, None).await.unwrap() {
            Listing::Seen { total, ours } => (total, ours.len()),
            other => panic!("{other:?}"),
        }
    }

    fn context(&self) -> ResourceContext {
        let facts = RunFacts {
            operator: "operator".to_owned(),
            run: self.run_id(),
            scenario: String::new(),
            plan: Digest::ZERO,
            seed: 0,
            expires: self.world.clock.now(),
            started: self.world.clock.now(),
            withhold_data: false,
            is_drill: true,
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

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_is_found_by_its_journal_alone_and_removed_once_it_has_expired() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let listed = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    trial.registry.resource(Unlisted(listed));
    let past = trial.past(false);

    let (before, removals) = trial.reap(&past).await;
    assert_eq!(before.leftovers.len(), 1, "{before:?}");
    assert_eq!(before.leftovers[0].told_by, ToldBy::Journal);
    let resumable = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("resume"));
    assert!(resumable(&before.leftovers[0].decision) && removals.is_empty());
    assert!(before.notes.iter().any(|note| note.contains("rds.db_instance: this version cannot")));

    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&past).await;
    assert_eq!((found.leftovers.len(), removals), (1, vec![gone("deleted")]));
    let (again, removals) = trial.reap(&past).await;
    assert!(again.leftovers.is_empty() && removals.is_empty(), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_left_is_found_by_its_tags_when_the_journal_is_lost() {
    let trial = Trial::new("ledger-volume", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let (early, removals) = trial.reap(&[]).await;
    assert_eq!(early.leftovers[0].decision, Decision::Stay("not expired".into()));
    assert!(removals.is_empty());
    trial.wait(7 * HOUR).await;
    let before = trial.listing("ebs.volume", "dr").await;
    let (found, removals) = trial.reap(&[]).await;
    let leftover = &found.leftovers[0];
    assert_eq!((leftover.told_by, leftover.key.kind.as_str()), (ToldBy::Tags, "ebs.volume"));
    assert_eq!(leftover.scenario.as_deref(), Some("ledger-volume"));
    assert_eq!(leftover.run, trial.run_id());
    assert_eq!(removals, [gone("deleted")]);
    let after = trial.listing("ebs.volume", "dr").await;
    assert_eq!((before.1, after.1), (1, 0));
    assert_eq!(before.0, after.0.map(|total| total + 1), "one volume, and no other");
    assert!(trial.reap(&[]).await.0.leftovers.is_empty());
}

fn second_member_owned(event: &Event) -> bool {
    let is_second = |key: &ResourceKey| key.kind == "aurora.instance" && key.name.ends_with("-2");
    matches!(event, Event::ResourceOwned { key, .. } if is_second(key))
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_removed_after_its_members_however_it_is_found() {
    // An instance that never leaves `creating` has no time at which it was made.
    for fault in ["rds:CreateDBInstance#2=slow:1s", "rds:CreateDBInstance=stuck"] {
        for journal in [true, false] {
            let trial = Trial::new("payments-aurora", &[fault]).await;
            trial.run(End::Killed(second_member_owned), None).await;
            let past = if journal { trial.past(false) } else { Vec::new() };
            trial.wait(13 * HOUR).await;
            let (found, removals) = trial.reap(&past).await;
            let kinds: Vec<_> = found.leftovers.iter().map(|l| l.key.kind.as_str()).collect();
            assert_eq!(kinds, ["aurora.instance", "aurora.instance", "aurora.cluster"]);
            assert_eq!(removals, [gone("deleted"), gone("deleted"), gone("deleted")]);
            assert_eq!(trial.listing("aurora.instance", "dr").await, (Some(0), 0));
            assert_eq!(trial.listing("aurora.cluster", "dr").await, (Some(0), 0));
            assert_eq!(trial.listing("aurora.cluster", "primary").await, (Some(1), 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn things_of_others_are_not_even_listed_whatever_they_are_called() {
    let things = [
        database("redrill-orders-db-0001-abcdef-restore", "owner: somebody"),
        database("redrill-orders-db-0002-abcdef-restore", &format!("run: r, {EXPIRED}")),
        database("orders-db-2", "\"redrill:scenario\": orders-db"),
        database("expired", &format!("\"redrill:run\": other-0003-aaaaaa, {EXPIRED}")),
    ];
    let estate = |text| in_dr(text, "databases:", &things.concat());
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!(names(&found), BTreeSet::from(["expired"]));
    assert_eq!(removals, [gone("deleted")]);
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(3), 0));
    assert_eq!(trial.listing("rds.db_instance", "primary").await, (Some(1), 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_run_at_work_is_touched_even_when_it_has_expired() {
    let trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let past = trial.past(true);
    let (found, removals) = trial.reap(&past).await;
    assert_eq!(found.leftovers[0].told_by, ToldBy::Both);
    let at_work = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("working"));
    assert!(at_work(&found.leftovers[0].decision) && removals.is_empty(), "{found:?}");
    // A process that takes the run over while others are being removed is noticed, too.
    let past = trial.past(false);
    let lookout = trial.lookout();
    let found = reap::gather(&lookout, &past).await;
    let taken = reap::remove(&lookout, &past, &found.leftovers[0], &|_| RunLock::AtWork).await;
    assert_eq!(taken, Removal::RunAtWork);
    assert_eq!(trial.listing("rds.db_instance", "dr").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_cannot_be_asked_is_said_and_stops_nobody() {
    let expired = database("expired", &format!("\"redrill:run\": other-0003-aaaaaa, {EXPIRED}"));
    let estate = |text| in_dr(text, "databases:", &expired);
    let faults = ["rds:*@ap-northeast-1=error:AccessDenied:403"];
    let trial = Trial::edited("orders-db", |s| s, estate, &faults).await;
    let (found, removals) = trial.reap(&[]).await;
    let said: Vec<_> =
        found.not_asked.iter().map(|n| (n.place.as_str(), n.what.as_str())).collect();
    let kinds = ["aurora.cluster", "aurora.instance", "rds.db_instance", "rds.db_snapshot"];
    assert_eq!(said, kinds.map(|kind| ("primary", kind)));
    assert_eq!(removals, [gone("deleted")]);

    let faults = ["sts:GetCallerIdentity@ap-northeast-3=error:ExpiredToken:403"];
    let trial = Trial::edited("orders-db", |s| s, |e| e, &faults).await;
    let (found, _) = trial.reap(&[]).await;
    assert_eq!(found.not_asked.len(), 1, "{found:?}");
    assert_eq!(found.not_asked[0].place, "dr");
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read() {
    let mut databases = String::new();
    let mut volumes = String::new();
    for n in 0..130 {
        let tags = match n % 50 {
            49 => format!("\"redrill:run\": r-0001-aaaaaa, {EXPIRED}"),
            _ => "app: x".to_owned(),
        };
        databases.push_str(&database(&format!("db-{n:03}"), &tags));
    }
    for n in 0..1100 {
        let tags = match n % 500 {
            499 => format!("\"redrill:run\": r-0001-aaaaaa, \"redrill:name\": v-{n}, {EXPIRED}"),
            _ => "app: x".to_owned(),
        };
        volumes.push_str(&format!(
            "      - {{ id: vol-{n:017}, size: 1, zone: ap-northeast-3a, tags: {{ {tags} }} }}\n"
        ));
    }
    let estate = |text| in_dr(in_dr(text, "databases:", &databases), "volumes:", &volumes);
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(130), 2));
    assert_eq!(trial.listing("ebs.volume", "dr").await, (Some(1100), 2));
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!(names(&found), BTreeSet::from(["db-049", "db-099", "v-499", "v-999"]));
    assert!(removals.iter().all(|removal| *removal == gone("deleted")), "{removals:?}");
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(128), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_says_until_when_and_is_removed_after_that() {
    for name in ["orders-db", "ledger-volume"] {
        let trial = Trial::new(name, &[]).await;
        let keep = HumanDuration(2 * HOUR);
        let state = trial.run(End::ByItself, Some(keep)).await;
        assert!(state.finished.is_some());
        let report = trial.report();
        assert_eq!(report.exit.left_behind, 0);
        assert!(report.deviations.iter().any(|d| d.contains("kept on purpose")), "{name}");
        let how = report.resources[0].how.clone().unwrap();
        assert!(how.contains("until 2026-11-20T0"), "{how}");
        assert!(report.inventory.claim.contains("known to have left"), "{:?}", report.inventory);

        let past = trial.past(false);
        let (early, removals) = trial.reap(&past).await;
        let leftover = &early.leftovers[0];
        assert_eq!(leftover.decision, Decision::Stay("not expired".into()), "{name}");
        assert_eq!((leftover.told_by, removals.len()), (ToldBy::Both, 0));
        // By its own tag, too: somebody without the journal would keep it as long, and no longer.
        let (by_tags, _) = trial.reap(&[]).await;
        let crate::action::Expiry::At(until) = by_tags.leftovers[0].expires else { panic!() };
        let left = until - trial.world.clock.now();
        assert!(left <= TimeDelta::hours(2) && left > TimeDelta::minutes(110), "{name}: {left}");

        trial.wait(2 * HOUR).await;
        let (_, removals) = trial.reap(&past).await;
        assert_eq!(removals, [gone("deleted")], "{name}");
        assert!(trial.reap(&past).await.0.leftovers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_thing_whose_tag_could_not_be_moved_is_kept_all_the_same() {
    let faults = ["rds:AddTagsToResource=error:AccessDenied:403"];
    let trial = Trial::new("orders-db", &faults).await;
    trial.run(End::ByItself, Some(HumanDuration(20 * HOUR))).await;
    let how = trial.report().resources[0].how.clone().unwrap();
    assert!(how.contains("could not be changed") && how.contains("2026-11-20T14:00:00Z"), "{how}");
    trial.wait(14 * HOUR).await;
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!(found.leftovers[0].decision, Decision::Stay("not expired".into()));
    assert!(removals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_brought_back_is_never_removed() {
    let trial = Trial::in_recovery("orders-db").await;
    assert_eq!(trial.mode, RunMode::Recovery);
    trial.run(End::ByItself, None).await;
    trial.wait(1000 * HOUR).await;
    for past in [trial.past(false), Vec::new()] {
        let lookout = Lookout { all: true, ..trial.lookout() };
        let found = reap::gather(&lookout, &past).await;
        let stays = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("recovery"));
        assert!(stays(&found.leftovers[0].decision), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn canaries_of_a_killed_run_are_found_in_the_named_places_and_removed_with_all_versions() {
    let trial = Trial::new("uploads-replication", &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&[]).await;
    assert!(found.not_asked.is_empty(), "{:?}", found.not_asked);
    let buckets: BTreeSet<&str> =
        names(&found).iter().map(|name| name.split('/').next().unwrap()).collect();
    assert_eq!(buckets, BTreeSet::from(["uploads-prod", "uploads-prod-dr"]), "and its replica");
    assert!(!removals.is_empty() && removals.iter().all(|removal| *removal == gone("deleted")));
    assert!(trial.reap(&trial.past(false)).await.0.leftovers.is_empty());

    let elsewhere = Lookout { canaries: vec!["no-such-bucket/x/".into()], ..trial.lookout() };
    let found = reap::gather(&elsewhere, &[]).await;
    assert_eq!(found.not_asked.len(), 1);
    assert_eq!(found.not_asked[0].place, "no-such-bucket/x/");
}

#[tokio::test(start_paused = true)]
async fn protection_from_deletion_is_switched_off_on_what_is_ours_alone() {
    let protected = |id: &str, tags: &str| {
        format!("      - {{ id: {id}, deletion_protection: true, tags: {{ {tags} }} }}\n")
    };
    let things = [
        protected("ours", &format!("\"redrill:run\": r-0001-aaaaaa, {EXPIRED}")),
        protected("theirs", "app: x"),
    ];
    let estate = |text| in_dr(text, "databases:", &things.concat());
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!((names(&found), removals), (BTreeSet::from(["ours"]), vec![gone("deleted")]));
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(1), 0));
    // No final snapshot was taken: the estate had no manual one here, and has none now.
    assert_eq!(trial.listing("rds.db_snapshot", "dr").await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_protected_instance_that_is_still_being_made_is_waited_for_and_removed() {
    let protect = |text: String| text.replace("protected: false", "protected: true");
    let trial = Trial::edited("orders-db", protect, |e| e, &[]).await;
    let state = trial.run(End::Cancelled(owned), None).await;
    assert!(state.ledger.left_behind().is_empty(), "{:?}", state.ledger.all());
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(0), 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_is_left_with_its_reason_and_command() {
    let faults = ["rds:DeleteDBInstance=error:AccessDenied:403"];
    let trial = Trial::new("orders-db", &faults).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&[]).await;
    assert!(matches!(&removals[0], Removal::Left { refused: false, .. }), "{removals:?}");
    assert!(
        found.leftovers[0].command.contains("aws rds delete-db-instance --region ap-northeast-3")
    );
}

#[tokio::test(start_paused = true)]
async fn removal_outlasts_an_hour_without_a_way_to_the_service() {
    // About as many attempts as fit into an hour of waiting between them, once the retries within a call are used up.
    let trial = Trial::new("orders-db", &["rds:DeleteDBInstance<50=reset"]).await;
    let state = trial.run(End::ByItself, None).await;
    assert!(state.ledger.left_behind().is_empty(), "{:?}", state.ledger.all());
}

#[tokio::test(start_paused = true)]
async fn the_inventory_shows_that_nothing_is_left_over() {
    let trial = Trial::new("orders-db", &[]).await;
    trial.run(End::ByItself, None).await;
    let taken = trial.inventories();
    let dr = |when| {
        let seen: &Vec<Inventory> = &taken[&when];
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((seen[0].kind.as_str(), seen[0].site.as_str()), ("rds.db_instance", "dr"));
        (seen[0].total, seen[0].ours.len())
    };
    assert_eq!(dr(InventoryTime::Before), (Some(0), 0));
    assert_eq!(dr(InventoryTime::After), (Some(0), 0));
    let report = trial.report();
    assert!(report.inventory.verified);
    assert!(report.inventory.claim.starts_with("Nothing of this run is left"));
}

#[tokio::test(start_paused = true)]
async fn a_denied_inventory_is_not_verified_and_no_failure() {
    // The first listing, before the steps; and every one at the end is the last call but those of the release.
    let mut trial = Trial::new("orders-db", &[]).await;
    let listed = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    trial.registry.resource(Unlisted(listed));
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert_eq!(report.verdict.outcome, Verdict::Passed, "{:?}", report.verdict.reasons());
    assert!(!report.inventory.verified);
    assert!(report.inventory.claim.starts_with("Not verified by inventory: rds.db_instance at dr"));
    assert!(report.omissions.iter().any(|o| o.what == "that nothing is left over"));
    assert_eq!(report.exit_code().number(), 0);

    let faults = ["rds:DescribeDBInstances@ap-northeast-3#1=error:AccessDenied:403"];
    let trial = Trial::new("orders-db", &faults).await;
    trial.run(End::ByItself, None).await;
    let before = &trial.inventories()[&InventoryTime::Before][0];
    assert!(
        before.not_listed.as_deref().is_some_and(|why| why.contains("AccessDenied")),
        "{before:?}"
    );
    let report = trial.report();
    assert_eq!(report.verdict.outcome, Verdict::Passed);
    assert!(report.inventory.verified, "what counts is the listing of the end");
    assert!(report.inventory.lines[0].said.contains("not known before"));
}

#[tokio::test(start_paused = true)]
async fn what_only_the_inventory_shows_is_left_behind() {
    // Somebody gave another instance the tags of this run: the ledger knows nothing of it.
    let stray = "\"redrill:run\": orders-db-0001-abcdef";
    let estate = |text| in_dr(text, "databases:", &database("stray", stray));
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert_eq!(report.exit.left_behind, 1);
    assert_eq!(report.exit_code().number(), 5);
    assert!(report.inventory.claim.contains("stray"), "{}", report.inventory.claim);
    assert!(report.verdict.reasons().iter().any(|why| why.contains("by inventory")));
}

#[tokio::test(start_paused = true)]
async fn a_journal_from_before_inventories_still_gives_a_report_that_says_so() {
    let trial = Trial::new("orders-db", &[]).await;
    trial.run(End::ByItself, None).await;
    let records = trial.records();
    let events = records.iter().filter(|r| !matches!(r.event, Event::InventoryTaken { .. }));
    let bytes = Bytes::default();
    let mut journal = Journal::new(bytes.clone());
    for record in events {
        let elapsed = Duration::from_millis(record.elapsed_ms);
        journal.stage(record.at, elapsed, record.event.clone()).unwrap();
        journal.commit().unwrap();
    }
    let old = read_bytes(&bytes.0.lock().unwrap()).unwrap().records;
    assert!(RunState::of(&old).unwrap().finished.is_some());
    let report = report::report(&trial.plan, &old, &[], &trial.registry).unwrap();
    assert!(report.inventory.claim.contains("holds no listing"), "{}", report.inventory.claim);
    assert_eq!(report.verdict.outcome, Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn effects_of_programs_are_found_and_undone_by_the_journal_alone() {
    let trial = Trial::new("orders-db", &[]).await;
    let run = trial.run_id();
    let name = serde_json::json!({
        "run": run, "step": "load", "find": ["find-it"], "undo": ["undo-it"],
    });
    let thing = reap::PastThing {
        kind: "exec.effect".into(),
        name: name.to_string(),
        account: Some("222222222222".into()),
        region: "ap-northeast-3".into(),
        id: Some("load".into()),
        kept_until: None,
    };
    let past = [PastRun {
        run,
        scenario: "orders-db".into(),
        expires: trial.world.clock.now(),
        recovery: false,
        life: reap::Life::Finished,
        withholds_data: false,
        things: vec![thing.clone()],
    }];
    // Looking, looking again before undoing, undoing, and looking whether it is gone.
    let outside = FakeOutside::default()
        .with_command(0, "")
        .with_command(0, "")
        .with_command(0, "")
        .with_command(1, "");
    let outside = Arc::new(outside);
    let lookout = Lookout { outside: outside.clone(), ..trial.lookout() };
    let found = reap::gather(&lookout, &past).await;
    assert_eq!(found.leftovers.len(), 1, "{found:?}");
    let removed = reap::remove(&lookout, &past, &found.leftovers[0], &|_| RunLock::NoJournal).await;
    assert_eq!(removed, gone("deleted"));
    let programs: Vec<String> =
        outside.commands_seen.lock().unwrap().iter().map(|c| c.argv[0].clone()).collect();
    assert_eq!(programs, ["find-it", "find-it", "undo-it", "find-it"]);

    // At a place that nobody named it is not looked for, and that is said.
    let mut elsewhere = past.to_vec();
    elsewhere[0].things = vec![reap::PastThing { region: "eu-west-1".into(), ..thing }];
    let found = reap::gather(&trial.lookout(), &elsewhere).await;
    assert!(found.leftovers.is_empty());
    assert!(found.notes.iter().any(|note| note.contains("222222222222/eu-west-1")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_during_its_first_inventory_still_takes_the_last() {
    let trial = Trial::new("orders-db", &[]).await;
    let start = |event: &Event| matches!(event, Event::RunStarted { .. });
    let state = trial.run(End::Cancelled(start), None).await;
    assert!(state.finished.is_some());
    assert_eq!(state.inventories, BTreeSet::from([InventoryTime::After]));
    let report = trial.report();
    assert!(report.inventory.verified);
    assert_eq!(report.inventory.lines[0].said, "not known before, 0 after, none of this run");
}

#[tokio::test(start_paused = true)]
async fn places_of_canaries_are_listed_where_they_are() {
    let trial = Trial::new("uploads-replication", &[]).await;
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert!(report.inventory.verified, "{:?}", report.inventory);
    let lines = report.inventory.lines.iter();
    let lines: Vec<_> =
        lines.map(|line| (line.place.as_deref().unwrap(), line.site.as_str())).collect();
    assert_eq!(
        lines,
        [("uploads-prod-dr/redrill-canary/", "dr"), ("uploads-prod/redrill-canary/", "primary"),]
    );
}
