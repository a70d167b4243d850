//! Copies of a run's folder beside it.

use super::*;
use crate::app::journals::Journals;
use crate::app::runs::Store;
use crate::journal::Hold;
use crate::reap::{Life, RunLock};

impl Scene {
    /// A run whose process died, in the folder of its name, with a copy beside it.
    async fn died_and_copied_to(copy: &str) -> (Self, RunFolder) {
        let mut scene = Self::open(&[]).await;
        scene.kind = WorldKind::Real;
        let store = JournalStore::of(scene.begin().await);
        let dying = Dying { store, writes: Arc::default(), at: 9, written: false };
        scene.drive(&scene.folder("first"), dying).await.unwrap_err();
        let (folder, copy) = (scene.folder("orders-db-0001"), scene.folder(copy));
        std::fs::rename(scene.folder("first").path, &folder.path).unwrap();
        std::fs::create_dir(&copy.path).unwrap();
        for name in ["journal.jsonl", "plan.json"] {
            std::fs::copy(folder.path.join(name), copy.path.join(name)).unwrap();
        }
        (scene, folder)
    }
}

#[tokio::test(start_paused = true)]
async fn regression_the_lock_of_a_run_is_the_one_in_the_folder_with_its_name() {
    let (scene, folder) = Scene::died_and_copied_to("orders-db-0001.bak").await;
    let runs = Store::new(scene.disk.path().to_owned());
    let journals = Journals::read(&runs, &Target::Real);
    let alive = Hold::take(&folder.journal()).unwrap();
    assert!(alive.is_some() && matches!(journals.lock(&scene.run).await, RunLock::AtWork));
    for name in ["orders-db-0001", "orders-db-0001.bak", "last"] {
        assert_eq!(journals.run_named(name, &runs).unwrap(), scene.run, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_run_with_a_copy_is_at_work_when_its_process_is() {
    let (scene, folder) = Scene::died_and_copied_to("a-copy").await;
    let alive = Hold::take(&folder.journal()).unwrap();
    let journals = Journals::read(&Store::new(scene.disk.path().to_owned()), &Target::Real);
    let lives: Vec<Life> = journals.past.iter().map(|past| past.life).collect();
    assert_eq!((alive.is_some(), lives.as_slice()), (true, [Life::AtWork].as_slice()));
}
