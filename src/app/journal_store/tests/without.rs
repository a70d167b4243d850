//! Runs that went on without their store: they only gave back what they had made.

use super::*;
use crate::app::journal_store::{is_of_the_store, leave_out};
use crate::app::stopped::Stopped;

/// There is none.
struct Nowhere;

impl SegmentStore for Nowhere {
    fn put<'a>(&'a mut self, _: u64, _: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_without_its_store_is_in_the_store_once_that_is_taken_over_again() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: false };
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&folder, dying).await.unwrap_err();
    leave_out(&folder).unwrap();
    assert!(folder.store().unwrap().behind);
    let state = scene.drive(&folder, Nowhere).await.unwrap();
    assert_clean(&state, "without the store");
    let on_disk = folder.read("journal.jsonl").unwrap();
    assert_ne!(fetch(&objects).await.unwrap().lines, on_disk);
    take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
    assert_eq!(fetch(&objects).await.unwrap().lines, on_disk);
    assert!(!folder.store().unwrap().behind);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_two_machines_went_on_with_is_not_taken_for_one_journal() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: false };
    let (first, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&first, dying).await.unwrap_err();
    let second = scene.on_another_machine(true).await.unwrap();
    scene.drive(&second, JournalStore::of(objects.clone())).await.unwrap();
    leave_out(&first).unwrap();
    scene.drive(&first, Nowhere).await.unwrap();
    for (deliberately, words) in [(false, "is held by"), (true, "are not one journal")] {
        let how = (deliberately, scene.world.clock.now());
        let refused = take_over(&objects, &first, how).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert!(first.store().unwrap().behind);
    assert_eq!(fetch(&objects).await.unwrap().lines, second.read("journal.jsonl").unwrap());
}

/// The claim came first: it stopped the machine that was at work, and then nothing was said to be done.
#[tokio::test(start_paused = true)]
async fn regression_a_take_over_that_is_refused_claims_nothing() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: false };
    let (first, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&first, dying).await.unwrap_err();
    let second = scene.on_another_machine(true).await.unwrap();
    scene.drive(&second, JournalStore::of(objects.clone())).await.unwrap();
    let (there, stored) = (objects.list("").await.unwrap(), first.store().unwrap());
    let how = (true, scene.world.clock.now());
    let refused = take_over(&objects, &first, how).await.unwrap_err();
    for words in ["are not one journal", "nothing was done"] {
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(objects.list("").await.unwrap(), there);
    assert_eq!(first.store().unwrap(), stored);
}

/// A resume that the limits refused had claimed the run by then.
#[tokio::test(start_paused = true)]
async fn regression_what_the_longer_journal_says_is_known_before_anything_is_claimed() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: true };
    let (first, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&first, dying).await.unwrap_err();
    let here = look(&objects, &first, false).await.unwrap().records;
    assert_eq!(here.len(), journal::read(&first.journal()).unwrap().records.len());
    assert_eq!(RunState::of(&here).unwrap().finished, None);
    // The store is ahead now.
    let second = scene.on_another_machine(true).await.unwrap();
    scene.drive(&second, JournalStore::of(objects.clone())).await.unwrap();
    let (there, stored) = (objects.list("").await.unwrap(), first.store().unwrap());
    let longer = look(&objects, &first, true).await.unwrap().records;
    assert_eq!(RunState::of(&longer).unwrap().finished, Some(Outcome::Passed));
    assert_eq!(objects.list("").await.unwrap(), there);
    assert_eq!(first.store().unwrap(), stored);
    assert_eq!(journal::read(&first.journal()).unwrap().records.len(), here.len());
}

#[tokio::test(start_paused = true)]
async fn regression_who_was_taken_over_is_not_told_to_go_on_with_its_own_folder() {
    let scene = Scene::open(&[]).await;
    let mut first = JournalStore::of(scene.begin().await);
    let mut second = JournalStore::of(scene.objects("ap-northeast-3").await);
    second.put(0, b"two\n").await.unwrap();
    let taken = first.put(0, b"one\n").await.unwrap_err();
    let stopped = Stopped::in_the_middle(&scene.folder("first"), &DriveError::Journal(taken));
    assert!(!stopped.by_store && stopped.error.to_string().contains("has taken this run over"));
    let help = stopped.error.help_text().unwrap();
    let resume = format!("redrill resume {STORE}/{} --take-over", scene.run);
    for words in ["that process goes on with the run", "move ", &resume] {
        assert!(help.contains(words), "no {words:?} in: {help}");
    }
    assert!(!help.contains("resume first"), "{help}");
}

#[tokio::test(start_paused = true)]
async fn only_what_the_store_does_not_do_is_its_failure() {
    let scene = Scene::open(&["s3:PutObject#8=error:AccessDenied:403"]).await;
    let mut first = JournalStore::of(scene.begin().await);
    let mut second = JournalStore::of(scene.objects("ap-northeast-3").await);
    first.put(0, b"one\n").await.unwrap();
    let of_another = second.put(0, b"two\n").await.unwrap_err();
    assert!(!is_of_the_store(&of_another), "{of_another}");
    let denied = first.put(1, b"two\n").await.unwrap_err();
    assert!(is_of_the_store(&denied), "{denied}");
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_of_the_store_are_not_waited_for_when_an_incident_needs_the_capacity() {
    let scene = Scene::open(&["s3:*=expired_credentials:1m..20h"]).await;
    let objects = scene.begin().await;
    scene.world.clock.sleep(std::time::Duration::from_secs(120)).await;
    let began = scene.world.clock.now();
    let waited = || (scene.world.clock.now() - began).num_minutes();
    JournalStore::of(objects.clone()).put(0, b"one\n").await.unwrap_err();
    assert_eq!(waited(), 30);
    let hurried = JournalStore::of(objects.in_a_hurry()).put(0, b"one\n").await.unwrap_err();
    assert!(is_of_the_store(&hurried), "{hurried}");
    assert_eq!(waited(), 30);
}
