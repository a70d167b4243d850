use super::*;
use crate::journal::WorldKind;

#[test]
fn regression_a_plan_that_another_version_wrote_is_not_called_changed() {
    let root = tempfile::tempdir().unwrap();
    let (_, folder) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
    let contents = journal::read(&folder.journal()).unwrap();
    let mut state = folder.fold(&contents.records).unwrap();
    let text = "{ \"of\": \"another \\\" version\\\\\",\n  \"list\": [ 1, 2 ] }";
    folder.write("plan.json", text.as_bytes()).unwrap();
    let changed = folder.plan(&state).unwrap_err().to_string();
    assert!(changed.contains("one of them was changed"), "{changed}");
    let compact = "{\"of\":\"another \\\" version\\\\\",\"list\":[1,2]}";
    state.head.as_mut().unwrap().plan = Digest::of(compact.as_bytes());
    let other = folder.plan(&state).unwrap_err().to_string();
    assert!(other.contains("is a plan of test, which redrill"), "{other}");
}

#[test]
fn runs_of_a_scenario_are_numbered_without_gaps() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    for expected in 1..=3 {
        let (id, number, _) = store.begin("orders-db", 7).unwrap();
        assert_eq!(number, expected);
        assert!(id.as_str().starts_with(&format!("orders-db-000{expected}-")), "{id}");
    }
    assert_eq!(store.begin("orders", 7).unwrap().1, 1, "another scenario with the same beginning");
    assert_eq!(store.earlier("orders-db", 3).unwrap().len(), 2);
    assert!(store.find("nothing").is_err());
}

#[test]
fn a_run_is_found_by_its_whole_id_and_another_one_of_that_number_is_not_taken_for_it() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    let (run, folder) = started(&store, WorldKind::Real);
    for name in [run.as_str(), "orders-db-0001", "last"] {
        assert_eq!(store.find(name).unwrap().path, folder.path, "{name}");
    }
    let error = store.find("orders-db-0001-000000").map(|folder| folder.path).unwrap_err();
    assert!(error.to_string().contains(run.as_str()), "{error}");
}

/// Another folder with the journal of a run.
fn copied(folder: &RunFolder, name: &str) -> RunFolder {
    let copy = RunFolder { path: folder.path.with_file_name(name) };
    fs::create_dir(&copy.path).unwrap();
    fs::copy(folder.journal(), copy.journal()).unwrap();
    copy
}

#[test]
fn regression_a_copy_of_a_folder_is_not_the_run_that_is_meant() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    let (run, folder) = started(&store, WorldKind::Real);
    let copy = copied(&folder, "orders-db-0001.bak");
    let whole = RunFolder { path: folder.path.with_file_name(run.as_str()) };
    assert!(folder.is_named_after(&run) && whole.is_named_after(&run));
    assert!(!copy.is_named_after(&run));
    assert_eq!(store.find("last").unwrap().path, folder.path);
    let refused = store.is_a_copy(&copy, &run);
    assert!(refused.to_string().contains("it is a copy, or was renamed"), "{refused}");
    let there = format!("the run is in {}", folder.path.display());
    assert_eq!(refused.help_text(), Some(there.as_str()));
    // The folder itself was renamed.
    fs::remove_dir_all(&folder.path).unwrap();
    let refused = store.find("last").map(|found| found.path).unwrap_err();
    assert_eq!(refused.exit_code(), crate::error::ExitCode::Refused);
    let again = refused.help_text().unwrap();
    let rename = format!("mv {} {}", copy.path.display(), folder.path.display());
    assert!(again.ends_with(&rename), "{again}");
}

#[test]
fn regression_a_run_is_called_by_its_own_name_whatever_leads_to_it() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().join("runs"));
    let (_, folder) = started(&store, WorldKind::Real);
    fs::create_dir(folder.path.join("approvals")).unwrap();
    let link = root.path().join("current");
    std::os::unix::fs::symlink(&folder.path, &link).unwrap();
    for path in [folder.path.join("approvals/.."), link] {
        let found = store.find(&path.to_string_lossy()).unwrap();
        assert_eq!((found.name(), &found.path), ("orders-db-0001".to_owned(), &folder.path));
    }
}

#[test]
fn regression_a_folder_that_was_moved_is_the_run_that_a_link_with_its_name_leads_to() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().join("runs"));
    let (run, folder) = started(&store, WorldKind::Real);
    let moved = root.path().join("moved-away");
    fs::rename(&folder.path, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &folder.path).unwrap();
    for name in ["orders-db-0001", run.as_str(), "last", &folder.path.to_string_lossy()] {
        let found = store.find_itself(name).unwrap();
        assert_eq!(found.path, folder.path, "{name}");
        assert!(found.is_named_after(&run), "{name}");
    }
    let refused = store.find_itself(&moved.to_string_lossy()).map(|found| found.path);
    let refused = refused.unwrap_err();
    let there = format!("the run is in {}", folder.path.display());
    assert_eq!(refused.help_text(), Some(there.as_str()));
}

#[test]
fn regression_a_copy_of_the_folder_of_a_run_takes_neither_orders_nor_answers() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    let (_, folder) = started(&store, WorldKind::Real);
    copied(&folder, "orders-db-0001.bak");
    let refused = store.find_itself("orders-db-0001.bak").map(|found| found.path).unwrap_err();
    assert_eq!(refused.exit_code(), crate::error::ExitCode::Refused);
    let there = format!("the run is in {}", folder.path.display());
    assert_eq!(refused.help_text(), Some(there.as_str()));
    assert_eq!(store.find_itself("orders-db-0001").unwrap().path, folder.path);
    // Of a run that is over nobody hears anything, in whatever folder it is.
    let (mut journal, _) = journal::Journal::reopen(&folder.journal()).unwrap();
    let finished = Event::RunFinished { outcome: journal::Outcome::Passed };
    journal.stage(chrono::DateTime::UNIX_EPOCH, std::time::Duration::ZERO, finished).unwrap();
    journal.commit().unwrap();
    let copy = copied(&folder, "orders-db-0001.old");
    assert_eq!(store.find_itself("orders-db-0001.old").unwrap().path, copy.path);
    // Nor does a journal that cannot be read keep anybody away.
    fs::write(copy.journal(), b"rubbish\n").unwrap();
    assert_eq!(store.find_itself("orders-db-0001.old").unwrap().path, copy.path);
}

#[test]
fn regression_there_is_no_number_behind_the_last_one() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().to_owned());
    fs::create_dir(root.path().join("orders-db-4294967295")).unwrap();
    let error = store.begin("orders-db", 7).map(|(run, ..)| run).unwrap_err();
    assert!(error.to_string().contains("has the last number"), "{error}");
    assert_eq!(store.begin("orders", 7).unwrap().1, 1);
}

#[test]
fn regression_a_plan_that_is_missing_or_was_changed_tells_how_what_was_made_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (run, folder) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
    let helped = |words: &str| {
        let error = folder.load().map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        error.help_text().unwrap().to_owned()
    };
    let tags = format!("redrill reap --site REGION=ACCOUNT/ROLE --run {run} --all --dry-run");
    assert!(helped("plan.json cannot be read").contains(&tags));
    let stored = crate::app::journal_store::Stored {
        url: "s3://drills/x".to_owned(),
        region: None,
        owner: None,
        token: String::new(),
        pending: None,
        behind: false,
    };
    folder.write_store(&stored).unwrap();
    let resume = format!("redrill resume s3://drills/x/{run}, or abort; what runs have made");
    assert!(helped("plan.json cannot be read").contains(&resume));
    folder.write("plan.json", b"{}").unwrap();
    assert!(helped("one of them was changed").contains(&resume));
    fs::write(folder.journal(), b"").unwrap();
    let store = helped("what the run has done, its store may tell");
    assert!(store.contains("s3://drills/x/RUN (its id begins with orders-db-0001)"), "{store}");
}

/// The first run of a scenario, whose journal says only that it began.
pub(in crate::app) fn started(store: &Store, world: WorldKind) -> (RunId, RunFolder) {
    let (run, number, folder) = store.begin("orders-db", 7).unwrap();
    let mut journal = journal::Journal::create(&folder.journal()).unwrap();
    let started = Event::RunStarted {
        format: journal::FORMAT,
        run: run.clone(),
        number,
        scenario: "orders-db".to_owned(),
        plan: Digest::ZERO,
        scenario_digest: Digest::ZERO,
        mode: "drill".to_owned(),
        world,
        tool: "test".to_owned(),
        operator: "operator".to_owned(),
        seed: 7,
        expires: chrono::DateTime::UNIX_EPOCH,
        keep: None,
        deviations: Vec::new(),
        limits: Vec::new(),
    };
    journal.stage(chrono::DateTime::UNIX_EPOCH, std::time::Duration::ZERO, started).unwrap();
    journal.commit().unwrap();
    (run, folder)
}
