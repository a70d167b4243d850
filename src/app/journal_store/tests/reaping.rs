//! What a run has left whose machine and disk are gone: found by the journal in its store.

use super::*;
use crate::app::journals::Journals;
use crate::app::output::Output;
use crate::app::reaped::Outcome;
use crate::app::runs::Store;
use crate::aws::GuardPolicy;
use crate::journal::Hold;
use crate::reap::{self, Decision, Gathered, Life, Lookout, PastRun, Removal, RunLock};
use chrono::{DateTime, TimeDelta, Utc};

/// As `redrill reap` was given them.
const OPTIONS: &str = " --store-region ap-northeast-3";

impl Scene {
    /// A run that says that it is on AWS, whose process died after it had made its instance.
    async fn died_in_the_middle() -> Self {
        let mut scene = Self::open(&[]).await;
        scene.kind = WorldKind::Real;
        let store = JournalStore::of(scene.begin().await);
        let died = DiesWhenOwned { store };
        scene.drive(&scene.folder("first"), died).await.unwrap_err();
        scene
    }

    /// The store, under a guard that lets nothing be written.
    async fn read_only(&self) -> Objects {
        let url: StoreUrl = STORE.parse().unwrap();
        let sites = Some(&self.world.sessions);
        let region = Some("ap-northeast-3");
        let secrets = Secrets::default();
        let session = world::store_session(&self.target, sites, &url, region, &secrets).await;
        let session = session.unwrap().under(Arc::new(GuardPolicy::read_only()));
        let clock = self.world.clock.clone();
        Objects::new(session, secrets, url, RunId::new(""), clock, Arc::new(|_| {}))
    }

    async fn journals_at(&self, now: DateTime<Utc>) -> Journals {
        let mut journals = Journals::default();
        journals.store_options = OPTIONS.to_owned();
        journals.read_objects(self.read_only().await, None, &Target::Real, now).await;
        journals
    }

    fn lookout(&self) -> Lookout {
        Lookout {
            registry: self.registry.clone(),
            sessions: self.world.sessions.clone(),
            clock: self.world.clock.clone(),
            outside: self.world.outside.clone(),
            canaries: Vec::new(),
            only: None,
            all: false,
            dry_run: false,
            forbids: Arc::new(|_, _| None),
            progress: Arc::new(|_| {}),
        }
    }

    async fn reaped(&self, past: &[PastRun]) -> (Gathered, Vec<Removal>) {
        let lookout = self.lookout();
        let gathered = reap::gather(&lookout, past).await;
        let mut removals = Vec::new();
        for leftover in gathered.leftovers.iter().filter(|one| one.decision == Decision::Remove) {
            removals.push(reap::remove(&lookout, past, leftover, RunLock::NoJournal).await);
        }
        (gathered, removals)
    }
}

/// The process dies when the store has the record of what was made.
struct DiesWhenOwned {
    store: JournalStore,
}

impl SegmentStore for DiesWhenOwned {
    fn put<'a>(&'a mut self, first: u64, lines: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.store.put(first, lines).await?;
            match std::str::from_utf8(lines).unwrap().contains("resource_owned") {
                true => Err(io::Error::other("the process died")),
                false => Ok(()),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_left_whose_disk_is_gone_is_removed_by_its_store_and_nothing_is_written_there()
 {
    let scene = Scene::died_in_the_middle().await;
    // The disk is gone: nothing but the store knows of the run.
    let objects = scene.objects("ap-northeast-3").await;
    let before = objects.list("").await.unwrap();
    let began = Owner::last(&objects).await.unwrap().unwrap().since;
    let limit = TimeDelta::from_std(scene.plan.guard.max_duration.0).unwrap();

    let alive = scene.journals_at(began + limit + TimeDelta::minutes(119)).await;
    assert_eq!(alive.past[0].life, Life::MayBeAtWork, "{:?}", alive.unread);
    assert_eq!(alive.past[0].things.len(), 1);
    let resume = format!("redrill resume {STORE}/{} --take-over{OPTIONS}", scene.run);
    assert!(alive.notes.len() == 1 && alive.notes[0].contains(&resume), "{:?}", alive.notes);
    scene.world.clock.sleep(std::time::Duration::from_secs(20 * 3600)).await;
    let (found, removals) = scene.reaped(&alive.past).await;
    assert!(
        matches!(&found.leftovers[0].decision, Decision::Stay(why) if why.contains("may be working"))
    );
    assert!(removals.is_empty());

    let dead = scene.journals_at(scene.world.clock.now()).await;
    assert_eq!((dead.past[0].life, dead.notes.len()), (Life::Unfinished, 0));
    assert_eq!(dead.places[0].1.len(), scene.plan.sites.len(), "its sites are known");
    let (found, removals) = scene.reaped(&dead.past).await;
    assert_eq!(found.leftovers[0].told_by, reap::ToldBy::Both);
    assert_eq!(removals, [Removal::Gone("deleted".to_owned())]);
    assert!(scene.reaped(&dead.past).await.0.leftovers.is_empty(), "the estate is as before");
    assert_eq!(objects.list("").await.unwrap(), before);
    let refused = scene.read_only().await.of_run(scene.run.clone()).create("x", b"x").await;
    assert!(refused.unwrap_err().to_string().contains("refused"));
}

#[tokio::test(start_paused = true)]
async fn regression_what_only_a_store_says_is_not_told_by_this_machine() {
    let scene = Scene::died_in_the_middle().await;
    let now = scene.world.clock.now();
    assert!(!scene.journals_at(now).await.past[0].things[0].told_here);
    let mut both = Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    both.read_objects(scene.read_only().await, None, &Target::Real, now).await;
    assert!(both.past[0].things[0].told_here);
}

#[tokio::test(start_paused = true)]
async fn regression_what_was_fetched_and_never_taken_over_is_not_told_by_this_machine() {
    let scene = Scene::died_in_the_middle().await;
    std::fs::remove_dir_all(scene.folder("first").path).unwrap();
    // Another process holds the run: nothing is done, and what was fetched stays.
    assert!(scene.on_another_machine(false).await.is_err());
    let read = || Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    let fetched = read();
    assert!(!fetched.past[0].things[0].told_here, "{:?}", fetched.unread);
    let held = Hold::take(&scene.folder("second").journal()).unwrap();
    assert!(held.is_some() && read().past[0].life == Life::AtWork);
    drop(held);
    scene.on_another_machine(true).await.unwrap();
    assert!(read().past[0].things[0].told_here);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_taken_over_since_its_journal_was_read_is_left_alone() {
    let scene = Scene::died_in_the_middle().await;
    let now = scene.world.clock.now();
    let journals = scene.journals_at(now).await;
    assert!(!journals.was_taken_over(&scene.run).await.unwrap());
    let objects = scene.objects("ap-northeast-3").await;
    let next = Owner::this_process(&scene.run, 1, now);
    assert_eq!(next.claim(&objects).await.unwrap(), Created::New);
    assert!(journals.was_taken_over(&scene.run).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn regression_a_removal_stops_when_somebody_takes_the_run_over_while_it_lasts() {
    let scene = Scene::died_in_the_middle().await;
    scene.world.clock.sleep(std::time::Duration::from_secs(20 * 3600)).await;
    let journals = scene.journals_at(scene.world.clock.now()).await;
    let lookout = scene.lookout();
    let mut gathered = reap::gather(&lookout, &journals.past).await;
    let doomed = &mut gathered.leftovers[0];
    assert_eq!(doomed.decision, Decision::Remove);
    let objects = scene.objects("ap-northeast-3").await;
    let claim = async {
        // The removal is under way by then, which takes minutes.
        scene.world.clock.sleep(std::time::Duration::from_secs(1)).await;
        let next = Owner::this_process(&scene.run, 1, scene.world.clock.now());
        assert_eq!(next.claim(&objects).await.unwrap(), Created::New);
    };
    let output = Output::new(crate::cli::ColorChoice::Never);
    let (outcome, ()) =
        tokio::join!(crate::app::reap::remove(&lookout, &journals, doomed, &output), claim);
    assert!(matches!(&outcome, Outcome::Stays(why) if why.contains("taken its run over")));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said_and_what_is_no_run_is_passed_over() {
    let scene = Scene::died_in_the_middle().await;
    let objects = scene.objects("ap-northeast-3").await;
    let other = |run: &str| objects.of_run(RunId::new(run));
    let journal = objects.read("journal/0000000000.jsonl").await.unwrap().unwrap();
    // A segment is missing, a run stands under another's name, there is no plan, and something that is none of ours.
    other("a-gap").create("journal/0000000003.jsonl", &journal).await.unwrap();
    other("a-copy").create("journal/0000000000.jsonl", &journal).await.unwrap();
    for name in ["plan.json", "owner/0000.json"] {
        let bytes = objects.read(name).await.unwrap().unwrap();
        other("a-copy").create(name, &bytes).await.unwrap();
    }
    other("no-plan").create("journal/0000000000.jsonl", &journal).await.unwrap();
    other("notes").create("readme.txt", b"of somebody else").await.unwrap();
    let journals = scene.journals_at(scene.world.clock.now()).await;
    assert_eq!(journals.past.len(), 1);
    let unread: Vec<(&str, &str)> =
        journals.unread.iter().map(|one| (one.place.as_str(), one.why.as_str())).collect();
    let expected =
        [("a-copy", "is that of the run"), ("a-gap", "is missing"), ("no-plan", "no plan.json")];
    assert_eq!(unread.len(), expected.len(), "{unread:?}");
    for ((place, why), (wanted, words)) in unread.iter().zip(expected) {
        assert!(*place == wanted && why.contains(words), "{place}: {why}");
    }
    // One that is asked for and nowhere there is not passed over.
    let (mut one, absent) = (Journals::default(), RunId::new("orders-db-0009-000000"));
    let store = scene.read_only().await;
    one.read_objects(store, Some(&absent), &Target::Real, scene.world.clock.now()).await;
    assert!(one.unread[0].why.contains("neither here nor in the store"), "{:?}", one.unread);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
    let scene = Scene::open(&["s3:ListObjectsV2=error:AccessDenied:403"]).await;
    let journals = scene.journals_at(scene.world.clock.now()).await;
    assert_eq!(journals.unread.len(), 1);
    assert_eq!(journals.unread[0].place, STORE);
}

/// What becomes of the first thing that is to be removed.
async fn outcome_of(lookout: &Lookout, journals: &Journals, gathered: &Gathered) -> Outcome {
    assert_eq!(gathered.leftovers[0].decision, Decision::Remove);
    let output = Output::new(crate::cli::ColorChoice::Never);
    crate::app::reap::remove(lookout, journals, &mut gathered.leftovers[0].clone(), &output).await
}

#[tokio::test(start_paused = true)]
async fn regression_what_a_run_has_made_that_began_after_the_journals_were_read_stays() {
    let mut scene = Scene::open(&[]).await;
    scene.kind = WorldKind::Real;
    let of_disk = Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    let of_store = scene.journals_at(scene.world.clock.now()).await;
    let store = JournalStore::of(scene.begin().await);
    let folder = scene.folder("first");
    scene.drive(&folder, DiesWhenOwned { store }).await.unwrap_err();
    // Known by its tags only, and not expired.
    let lookout = Lookout { all: true, ..scene.lookout() };
    let gathered = reap::gather(&lookout, &[]).await;
    let alive = Hold::take(&folder.journal()).unwrap();
    assert!(alive.is_some());
    for journals in [&of_disk, &of_store] {
        let outcome = outcome_of(&lookout, journals, &gathered).await;
        let taken = matches!(&outcome, Outcome::Stays(why) if why.contains("taken its run over"));
        assert!(taken, "{outcome:?}");
    }
    drop(alive);
    let outcome = outcome_of(&lookout, &of_disk, &gathered).await;
    assert!(matches!(&outcome, Outcome::Stays(why) if why.contains("run redrill reap again")));
    assert_eq!(reap::gather(&lookout, &[]).await.leftovers.len(), gathered.leftovers.len());
}

#[tokio::test(start_paused = true)]
async fn regression_what_a_run_has_that_was_gone_on_with_after_its_journal_was_read_stays() {
    let scene = Scene::died_in_the_middle().await;
    scene.world.clock.sleep(std::time::Duration::from_secs(20 * 3600)).await;
    let journals = Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    assert_eq!(journals.past[0].life, Life::Unfinished, "{:?}", journals.unread);
    let lookout = scene.lookout();
    let gathered = reap::gather(&lookout, &journals.past).await;
    let (mut journal, _) = Journal::reopen(&scene.folder("first").journal()).unwrap();
    let since = Event::CancelRequested { by: "operator".to_owned(), incident: false };
    journal.stage(scene.world.clock.now(), std::time::Duration::ZERO, since).unwrap();
    journal.commit().unwrap();
    drop(journal);
    let outcome = outcome_of(&lookout, &journals, &gathered).await;
    assert!(matches!(&outcome, Outcome::Stays(why) if why.contains("run redrill reap again")));
    // Read again, it is removed: the run has expired.
    let journals = Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    let gathered = reap::gather(&lookout, &journals.past).await;
    assert!(matches!(outcome_of(&lookout, &journals, &gathered).await, Outcome::Gone(_)));
}
