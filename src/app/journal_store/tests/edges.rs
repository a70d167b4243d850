//! Runs that were cut off at an edge: before their first segment, before their last one, within a claim, within a fetch.

use super::*;
use crate::app::journal_store::ends_earlier;
use crate::app::journal_store::resume::Fetched;
use crate::journal::Hold;

#[tokio::test(start_paused = true)]
async fn regression_a_run_whose_first_segment_did_not_reach_the_store_is_gone_on_with() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 0, written: false };
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&folder, dying).await.unwrap_err();
    let nothing = fetch(&objects).await.map(|_| ()).unwrap_err();
    assert!(nothing.to_string().contains("there is no journal at"), "{nothing}");
    take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
    let on_disk = folder.read("journal.jsonl").unwrap();
    assert_eq!(fetch(&objects).await.unwrap().lines, on_disk);
    let state = scene.drive(&folder, JournalStore::of(objects)).await.unwrap();
    assert_clean(&state, "after its first segment was lost");
}

#[tokio::test(start_paused = true)]
async fn regression_a_last_record_that_is_only_on_the_disk_is_missed_in_the_store_and_completed() {
    let scene = Scene::open(&[]).await;
    let writes = Arc::new(AtomicUsize::new(0));
    let store = JournalStore::of(scene.begin().await);
    let whole = Dying { store, writes: writes.clone(), at: usize::MAX, written: true };
    scene.drive(&scene.folder("first"), whole).await.unwrap();
    let objects = scene.objects("ap-northeast-3").await;
    assert!(!ends_earlier(&objects, &scene.folder("first")).await.unwrap());

    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let last = writes.load(Ordering::SeqCst) - 1;
    let dying = Dying { store, writes: Arc::default(), at: last, written: false };
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&folder, dying).await.unwrap_err();
    let records = journal::read(&folder.journal()).unwrap().records;
    assert_eq!(RunState::of(&records).unwrap().finished, Some(Outcome::Passed));
    assert!(!folder.store().unwrap().behind, "nobody could write that down");
    assert!(ends_earlier(&objects, &folder).await.unwrap());
    take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
    assert!(!ends_earlier(&objects, &folder).await.unwrap());
    assert_eq!(fetch(&objects).await.unwrap().lines, folder.read("journal.jsonl").unwrap());
}

#[tokio::test(start_paused = true)]
async fn regression_a_claim_whose_process_was_killed_before_it_wrote_it_down_is_that_of_its_folder()
{
    // The claim, the self-test and two files come first; then the self-test of the second claim, and that claim.
    let scene = Scene::open(&["s3:PutObject#8=error:AccessDenied:403"]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 0, written: false };
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&folder, dying).await.unwrap_err();
    let now = scene.world.clock.now();
    let denied = take_over(&objects, &folder, (false, now)).await.unwrap_err();
    assert!(denied.to_string().contains("owner/0001.json"), "{denied}");
    assert_eq!(folder.store().unwrap().owner, Some(0));
    // It has arrived all the same, and the process is gone.
    let claim = Owner::this_process(&scene.run, 1, now);
    assert_eq!(claim.claim(&objects).await.unwrap(), Created::New);
    assert!(claim.is_of(Some(&folder)));
    take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
    let stored = folder.store().unwrap();
    assert_eq!((stored.owner, stored.pending), (Some(2), None));
}

/// It was cut off while the store was taken over, before anybody had come so far as to write that it was.
#[tokio::test(start_paused = true)]
async fn regression_a_torn_line_is_told_by_whoever_goes_on_also_when_the_store_is_ahead() {
    let scene = Scene::open(&[]).await;
    let store = JournalStore::of(scene.begin().await);
    let dying = Dying { store, writes: Arc::default(), at: 9, written: true };
    let (folder, objects) = (scene.folder("first"), scene.objects("ap-northeast-3").await);
    scene.drive(&folder, dying).await.unwrap_err();
    let whole = folder.read("journal.jsonl").unwrap();
    assert_eq!(fetch(&objects).await.unwrap().lines, whole);
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    std::fs::write(folder.journal(), [&whole[..last], &[b'x'; 20]].concat()).unwrap();
    // The second process finds what the first one found, which went no further.
    for _ in 0..2 {
        take_over(&objects, &folder, (false, scene.world.clock.now())).await.unwrap();
        assert!(folder.read("journal.jsonl").unwrap().starts_with(&whole));
        assert_eq!(journal::read(&folder.journal()).unwrap().torn_bytes, 20);
    }
    let state = scene.drive(&folder, JournalStore::of(objects.clone())).await.unwrap();
    assert_clean(&state, "behind a torn line");
    assert_eq!(fetch(&objects).await.unwrap().lines, folder.read("journal.jsonl").unwrap());
}

#[test]
fn regression_a_journal_that_is_at_work_is_not_replaced_by_one_that_was_fetched() {
    let disk = tempfile::tempdir().unwrap();
    let folder = RunFolder { path: disk.path().to_owned() };
    let (lines, plan) = (b"{}\n".to_vec(), b"{}".to_vec());
    let fetched = Fetched { lines, plan, scenario: Vec::new() };
    let (url, token) = (STORE.to_owned(), String::new());
    let fresh = Stored { url, region: None, owner: None, token, pending: None, behind: false };
    assert!(folder.put_down(&fetched, &fresh).unwrap());
    // Another process goes on with the run.
    let at_work = Hold::take(&folder.journal()).unwrap();
    let claimed = Stored { owner: Some(1), token: "ours".to_owned(), ..fresh.clone() };
    folder.write_store(&claimed).unwrap();
    assert!(at_work.is_some() && !folder.put_down(&fetched, &fresh).unwrap());
    for name in ["journal.jsonl", "store.json"] {
        assert!(!folder.write_once(name, b"another one").unwrap(), "{name}");
    }
    assert_eq!(folder.store().unwrap(), claimed);
    assert_eq!(folder.read("journal.jsonl").unwrap(), fetched.lines);
    assert!(Hold::take(&folder.journal()).unwrap().is_none(), "the lock is that of the journal");
}
