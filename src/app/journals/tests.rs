use super::*;
use crate::app::runs::tests::started;
use crate::journal::{Event, Hold, Journal, WorldKind};
use crate::reap::RunLock;
use std::fs::File;
use std::process::Command;
use std::sync::mpsc;

fn folder_of_runs() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    (root, store)
}

#[test]
fn regression_an_address_that_is_written_differently_is_the_same_world() {
    let at = |url: &str| WorldKind::Endpoint { url: url.to_owned() };
    let one = at("http://test.example:5000");
    for same in ["http://test.example:5000/", "HTTP://Test.Example:5000"] {
        assert!(is_same_world(&one, &at(same)), "{same}");
    }
    assert!(is_same_world(&at("https://test.example/x"), &at("https://test.example:443/x/")));
    for other in
        ["http://test.example:5001", "https://test.example:5000", "http://test.example:5000/x"]
    {
        assert!(!is_same_world(&one, &at(other)), "{other}");
    }
    assert!(!is_same_world(&one, &WorldKind::Real));
    assert!(is_same_world(&WorldKind::Real, &WorldKind::Real));
}

#[test]
fn regression_a_run_in_the_store_is_told_with_what_the_store_needs_to_be_found() {
    let endpoint = Target::Endpoint("http://127.0.0.1:5000".to_owned());
    let options = " --store-region eu-west-1 --endpoint-url http://127.0.0.1:5000";
    assert_eq!(store_options(Some("eu-west-1"), &endpoint), options);
    assert_eq!(store_options(None, &Target::Real), "");
}

#[tokio::test(start_paused = true)]
async fn regression_a_run_that_began_after_the_journals_were_read_is_not_without_one() {
    let (_root, store) = folder_of_runs();
    let journals = Journals::read(&store, &Target::Real);
    let (run, folder) = started(&store, WorldKind::Real);
    assert!(matches!(journals.lock(&run).await, RunLock::Changed));
    let living = Hold::take(&folder.journal()).unwrap();
    assert!(living.is_some() && matches!(journals.lock(&run).await, RunLock::AtWork));
    let other = RunId::new("orders-db-0001-000000");
    assert!(matches!(journals.lock(&other).await, RunLock::NoJournal), "of the same number");
    // Its first record is not there yet: whose it is, only the folder says.
    let path = store.root().join("orders-db-0002");
    fs::create_dir(&path).unwrap();
    let _begins = Journal::create(&path.join("journal.jsonl")).unwrap();
    assert!(matches!(journals.lock(&RunId::new("orders-db-0002-77aa01")).await, RunLock::AtWork));
}

/// Who looks has a share of the lock for a moment.
#[tokio::test(start_paused = true)]
async fn regression_who_only_looks_at_a_run_is_not_at_work_on_it() {
    let (_root, store) = folder_of_runs();
    let (run, folder) = started(&store, WorldKind::Real);
    let empty = RunFolder { path: store.root().join("orders-db-0002") };
    fs::create_dir(&empty.path).unwrap();
    fs::write(empty.journal(), b"").unwrap();
    fs::write(empty.path.join("store.json"), b"{}").unwrap();
    let look = |folder: &RunFolder| {
        let looks = File::open(folder.journal()).unwrap();
        looks.try_lock_shared().unwrap();
        looks
    };
    let (looks, looks_at_empty) = (look(&folder), look(&empty));
    let journals = Journals::read(&store, &Target::Real);
    let unread: Vec<&str> = journals.unread.iter().map(|one| one.place.as_str()).collect();
    assert!(unread.contains(&"orders-db-0002"), "its store may tell more: {unread:?}");
    drop(looks_at_empty);
    let (lock, ()) = tokio::join!(journals.lock(&run), async { drop(looks) });
    assert!(matches!(lock, RunLock::Held(_)));
}

#[tokio::test(start_paused = true)]
async fn regression_nothing_is_removed_of_a_run_whose_journal_was_taken_out_of_its_folder() {
    let (root, store) = folder_of_runs();
    let (run, folder) = started(&store, WorldKind::Real);
    folder.write("plan.json", b"{}").unwrap();
    let away = root.path().join("journal.jsonl");
    fs::rename(folder.journal(), &away).unwrap();
    let journals = Journals::read(&store, &Target::Real);
    assert!(journals.notes[0].contains("its journal was taken away"), "{:?}", journals.notes);
    let named = journals.run_named("orders-db-0001", &store).unwrap_err();
    assert!(named.to_string().contains("its journal was taken away"), "{named}");
    let RunLock::Unknown(why) = journals.lock(&run).await else { panic!("it may be at work") };
    assert!(why.contains("orders-db-0001") && why.contains("move the folder away"), "{why}");
    let other = RunId::new("orders-db-0002-77aa01");
    assert!(matches!(journals.lock(&other).await, RunLock::NoJournal));
    // A question was asked: it had begun, and what only its journal named is not known.
    fs::create_dir(folder.path.join("approvals")).unwrap();
    let journals = Journals::read(&store, &Target::Real);
    assert_eq!(journals.unread[0].place, "orders-db-0001");
    assert_eq!(journals.notes, Vec::<String>::new());
}

#[test]
fn regression_a_pipe_in_the_place_of_a_journal_is_said_and_not_waited_for() {
    let (_root, store) = folder_of_runs();
    let path = store.root().join("orders-db-0001");
    fs::create_dir(&path).unwrap();
    let made = Command::new("mkfifo").arg(path.join("journal.jsonl")).status().unwrap();
    assert!(made.success());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let journals = Journals::read(&store, &Target::Real);
        let said: Vec<String> = journals.unread.iter().map(|one| one.why.clone()).collect();
        sender.send((said, begun(&RunFolder { path })))
    });
    let said = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(said, (vec!["it is no file".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn regression_a_run_that_is_not_here_is_not_said_to_have_left_nothing() {
    let (_root, store) = folder_of_runs();
    let mut journals = Journals::read(&store, &Target::Real);
    let last = journals.run_named("last", &store).unwrap_err();
    assert!(last.to_string().contains("there is no run"), "{last}");
    let mistyped = journals.run_named("orders-bd-0001", &store).unwrap();
    journals.note_if_unknown(&mistyped);
    assert_eq!(journals.unread[0].place, "orders-bd-0001", "{:?}", journals.unread);
    // What is said of it already is not said again.
    journals.note_if_unknown(&mistyped);
    assert_eq!(journals.unread.len(), 1);
    // What was fetched and never came to a journal lies in a folder of the whole id, by which its tags are found.
    let fetched = store.root().join("orders-db-0003-77aa01");
    fs::create_dir(&fetched).unwrap();
    assert!(journals.run_named("orders-db-0003-77aa01", &store).is_ok());
    let by_path = journals.run_named(fetched.to_str().unwrap(), &store).unwrap_err();
    assert!(by_path.to_string().contains("there is no run"), "no tag has a path: {by_path}");
    let run = RunId::new("orders-db-0003-77aa01");
    assert!(matches!(journals.lock(&run).await, RunLock::NoJournal));
    fs::write(fetched.join("plan.json"), b"{}").unwrap();
    let RunLock::Unknown(why) = journals.lock(&run).await else { panic!("it may be at work") };
    assert!(why.contains("its store has the run"), "{why}");
    fs::create_dir(store.root().join("orders-db-0003")).unwrap();
    assert!(journals.run_named("orders-db-0003", &store).is_err());
    // A run of another machine may have nothing any more.
    journals.note_if_unknown(&RunId::new("orders-db-0002-77aa01"));
    assert!(journals.notes[0].contains("orders-db-0002-77aa01"), "{:?}", journals.notes);
    assert_eq!(journals.unread.len(), 1);
}

#[test]
fn regression_the_command_that_says_why_a_journal_cannot_be_read_finds_its_folder() {
    let (_root, store) = folder_of_runs();
    started(&store, WorldKind::Real);
    let error = Journals::read(&store, &Target::Real).run_named("last", &store).unwrap_err();
    let show = format!("redrill show orders-db-0001 --runs-dir {}", store.root().display());
    assert!(error.help_text().unwrap().starts_with(&show), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn regression_a_journal_that_has_grown_since_it_was_read_is_seen_to_have_changed() {
    let (_root, store) = folder_of_runs();
    let (run, folder) = started(&store, WorldKind::Real);
    let journals = Journals::read(&store, &Target::Real);
    assert_eq!(journals.unread.len(), 1, "its plan is missing: its tags decide");
    assert!(matches!(journals.lock(&run).await, RunLock::Held(_)));
    let (mut journal, _) = Journal::reopen(&folder.journal()).unwrap();
    assert!(matches!(journals.lock(&run).await, RunLock::AtWork), "nobody could read it");
    let kept = Event::CancelRequested { by: "operator".to_owned(), incident: false };
    journal.stage(DateTime::UNIX_EPOCH, Duration::ZERO, kept).unwrap();
    journal.commit().unwrap();
    drop(journal);
    assert!(matches!(journals.lock(&run).await, RunLock::Changed));
}
