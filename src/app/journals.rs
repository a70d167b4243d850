//! What `redrill reap` knows of earlier runs: the journals of the runs folder, and those of a store.

use super::journal_store::{self, InStore, Objects, Owner, StoreUrl};
use super::orders;
use super::output::Output;
use super::runs::{RunFolder, Store};
use super::world::{self, Target};
use crate::action::HandInput;
use crate::aws::GuardPolicy;
use crate::error::{Error, Result};
use crate::ids::RunId;
use crate::journal::{self, Event, ReadError, Record, RunState, WorldKind};
use crate::limits;
use crate::outside::Secrets;
use crate::plan::Plan;
use crate::reap::{Life, NotAsked, PastRun, RunLock, Sought};
use crate::scenario::Site;
use crate::time::Clock;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often is looked, during a removal, whether somebody has taken the run over in its store.
const LOOKS_EVERY: Duration = Duration::from_secs(60);

/// The journals that belong to the world that is looked at.
#[derive(Default)]
pub(super) struct Journals {
    /// What they say.
    pub(super) past: Vec<PastRun>,
    /// Run, its sites, and where its canaries may be.
    pub(super) places: Vec<(RunId, Vec<Site>, Vec<String>)>,
    /// What could not be read.
    pub(super) unread: Vec<NotAsked>,
    /// What the reader should know.
    pub(super) notes: Vec<String>,
    folders: BTreeMap<RunId, RunFolder>,
    /// The runs folder: runs may have begun there since it was read.
    runs: Option<Store>,
    /// How long each journal of the runs folder was when it was read.
    lengths: BTreeMap<PathBuf, u64>,
    /// Runs that were made in another world: a rehearsal's estate ended with its process.
    elsewhere: BTreeMap<RunId, String>,
    /// How many records of a run are known.
    records: BTreeMap<RunId, usize>,
    /// How the store was named besides its address, as options of a command.
    pub(super) store_options: String,
    /// The store, and who held each of its runs when it was read; `None` where that could not be read.
    store: Option<(Objects, BTreeMap<RunId, Option<Owner>>)>,
}

/// Where a journal comes from.
#[derive(Clone, Copy)]
struct Origin {
    /// From a store, in which others may write.
    of_store: bool,
    /// A process of this machine holds it.
    at_work: bool,
}

/// Where more journals are.
pub(super) struct InS3<'a> {
    /// `s3://bucket/prefix`.
    pub(super) url: &'a str,
    /// Its region, if it was given.
    pub(super) region: Option<&'a str>,
}

impl Journals {
    pub(super) fn read(store: &Store, target: &Target) -> Self {
        let mut journals = Self { runs: Some(store.clone()), ..Self::default() };
        match store.all() {
            Ok(mut folders) => {
                // The machine's own come first: what was only fetched counts as far as they do not say otherwise.
                folders.sort_by_cached_key(is_only_fetched);
                folders.iter().for_each(|folder| journals.take(folder, target));
            }
            Err(error) => journals.not_read("the runs folder", &error.to_string()),
        }
        journals
    }

    fn not_read(&mut self, place: &str, why: &str) {
        let what = Sought::One("its journal".to_owned());
        self.unread.push(NotAsked { place: place.to_owned(), what, why: why.to_owned() });
    }

    fn take(&mut self, folder: &RunFolder, target: &Target) {
        // Before it is read: what is written from here on is seen as a change.
        match fs::metadata(folder.journal()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.lacks_its_journal(folder);
            }
            // Whoever opens a pipe waits until somebody writes.
            Ok(found) if !found.is_file() => return self.not_read(&folder.name(), "it is no file"),
            Ok(found) => {
                self.lengths.insert(folder.path.clone(), found.len());
            }
            // Whoever opens it hears the same.
            Err(_) => {}
        }
        let at_work = match orders::is_at_work(folder) {
            Ok(at_work) => at_work,
            Err(error) => return self.not_read(&folder.name(), &error.to_string()),
        };
        let stored = match journal::read(&folder.journal()) {
            // Without a store nothing was done before the first record. Where there is one, the disk may have lost what was there.
            Err(ReadError::Empty) if at_work || !folder.has_store() => return,
            _ => folder.load(),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return self.not_read(&folder.name(), &error.to_string()),
        };
        if let Some(head) = stored.state.head.as_ref() {
            // The process of a run holds the lock in the folder that bears its name, and not that of a copy.
            let is_known = self.folders.contains_key(&head.run);
            if !is_known || folder.is_named_after(&head.run) {
                self.folders.insert(head.run.clone(), folder.clone());
            }
        }
        let read = (&stored.plan, &stored.contents.records[..], &stored.state);
        let origin = Origin { of_store: is_only_fetched(folder), at_work };
        self.add(read, origin, target);
    }

    /// Takes a run, unless more is known of it already. What a second journal of it says of its life counts all the same, and what a
    /// journal here names is known here, however much longer that of the store is.
    fn add(
        &mut self,
        (plan, records, state): (&Plan, &[Record], &RunState),
        origin: Origin,
        target: &Target,
    ) {
        let Some(head) = state.head.as_ref() else { return };
        if head.world.is_rehearsal() || !is_same_world(&head.world, &target.kind()) {
            self.elsewhere.insert(head.run.clone(), in_words(&head.world));
            return;
        }
        let Some(mut past) = PastRun::of(plan, records, state, origin.at_work) else { return };
        let known = self.past.iter_mut().find(|known| known.run == past.run);
        if origin.of_store {
            past = past.of_store(known.as_deref());
        }
        let longer = records.len() > self.records.get(&past.run).copied().unwrap_or(0);
        match known {
            Some(known) if longer => {
                if known.life == Life::AtWork {
                    past.life = Life::AtWork;
                }
                *known = past.clone();
            }
            Some(known) => {
                if past.life == Life::AtWork {
                    known.life = Life::AtWork;
                }
                return;
            }
            None => {
                let sites = plan.sites.values().cloned().collect();
                self.places.push((past.run.clone(), sites, plan.guard.canaries.clone()));
                self.past.push(past.clone());
            }
        }
        self.records.insert(past.run, records.len());
    }

    /// Reads the runs of a store, or the one that is asked for. What cannot be read is said, and does not stop the others. The
    /// guard lets nothing be written there.
    ///
    /// # Errors
    /// When the store's address is none, or its region is not known.
    pub(super) async fn read_store(
        &mut self,
        store: &InS3<'_>,
        only: Option<&RunId>,
        target: &Target,
        output: &Output,
    ) -> Result<()> {
        let url: StoreUrl = store.url.parse()?;
        let secrets = Secrets::default();
        let session = world::store_session(target, None, &url, store.region, &secrets).await?;
        let session = session.under(Arc::new(GuardPolicy::read_only()));
        self.store_options = store_options(store.region, target);
        let output = *output;
        let tell = Arc::new(move |text: &str| output.note(text));
        let nobody = RunId::new("");
        let objects = Objects::new(session, secrets, url, nobody, Clock::system(), tell);
        self.read_objects(objects, only, target, Clock::system().now()).await;
        Ok(())
    }

    /// As [`Self::read_store`], of a store that is open.
    pub(super) async fn read_objects(
        &mut self,
        objects: Objects,
        only: Option<&RunId>,
        target: &Target,
        now: DateTime<Utc>,
    ) {
        let runs = match only {
            Some(only) => Ok(vec![only.clone()]),
            None => journal_store::runs(&objects).await,
        };
        let runs = match runs {
            Ok(runs) => runs,
            Err(error) => {
                let what = Sought::One("its journals".to_owned());
                let place = objects.place();
                return self.unread.push(NotAsked { place, what, why: error.to_string() });
            }
        };
        objects.say(&format!("reading {} runs in {}", runs.len(), objects.place()));
        let mut owners = BTreeMap::new();
        for run in runs {
            match journal_store::past(&objects.of_run(run.clone())).await {
                Ok(Some(past)) => {
                    self.add_stored(&past, &objects.place(), (target, now));
                    owners.insert(run, Some(past.owner));
                }
                Ok(None) if only.is_some() && self.is_unknown(&run) => {
                    self.not_read(run.as_str(), "neither here nor in the store is one");
                }
                Ok(None) => {}
                Err(error) => {
                    self.not_read(run.as_str(), &error.to_string());
                    owners.insert(run, None);
                }
            }
        }
        self.store = Some((objects, owners));
    }

    /// Says of the run that is meant when nothing tells of it: what was mistyped, or is not the whole id, finds nothing, too.
    pub(super) fn note_if_unknown(&mut self, run: &RunId) {
        let is_said = self.unread.iter().any(|one| one.place == run.as_str());
        if !self.is_unknown(run) || is_said {
            return;
        }
        match is_whole(run) {
            true => self.notes.push(format!(
                "{run}: no journal that could be read tells of it, so only what has it in its tags is found"
            )),
            false => self.not_read(
                run.as_str(),
                "no journal tells of it, and it is no whole run id, as tags have it",
            ),
        }
    }

    /// What only a journal names that was surely taken away, no tags find.
    fn lacks_its_journal(&mut self, folder: &RunFolder) {
        let Some(said) = folder.lacks_its_journal() else { return };
        match folder.has_begun() {
            true => self.not_read(&folder.name(), &said),
            false => self.notes.push(said),
        }
    }

    fn is_unknown(&self, run: &RunId) -> bool {
        !self.past.iter().any(|past| past.run == *run)
    }

    fn add_stored(
        &mut self,
        stored: &InStore,
        place: &str,
        (target, now): (&Target, DateTime<Utc>),
    ) {
        let origin = Origin { of_store: true, at_work: false };
        self.add((&stored.plan, &stored.records, &stored.state), origin, target);
        let Some(run) = stored.state.head.as_ref().map(|head| &head.run) else { return };
        let Some(until) = stored.may_live_until().filter(|until| now < *until) else { return };
        let Some(known) = self.past.iter_mut().find(|past| past.run == *run) else { return };
        if known.life == Life::Unfinished && !stored.owner.is_of(self.folders.get(run)) {
            known.life = Life::MayBeAtWork;
            let (owner, until) = (&stored.owner, until.to_rfc3339_opts(SecondsFormat::Secs, true));
            let there = format!("{place}/{run} --take-over{}", self.store_options);
            self.notes.push(format!(
                "{run}: {owner} may be working on it, so what it made stays until {until}; when that is dead, redrill abort \
                 {there} gives it back now, redrill resume {there} goes on with it"
            ));
        }
    }

    /// True when another process has claimed the run in its store since that was read. Of what could not be read then, only the
    /// tags tell.
    ///
    /// # Errors
    /// When the store does not say.
    pub(super) async fn was_taken_over(&self, run: &RunId) -> Result<bool> {
        let Some((objects, owners)) = &self.store else { return Ok(false) };
        let seen = match owners.get(run) {
            Some(None) => return Ok(false),
            Some(Some(owner)) => Some(owner),
            None => None,
        };
        let now = Owner::last(&objects.of_run(run.clone())).await?;
        Ok(now.as_ref() != seen)
    }

    /// Returns when another process has claimed the run in its store. What the store does not say now, it may say the next time.
    pub(super) async fn taken_over(&self, run: &RunId, clock: &Clock) {
        if self.store.is_none() {
            return std::future::pending().await;
        }
        loop {
            clock.sleep(LOOKS_EVERY).await;
            if matches!(self.was_taken_over(run).await, Ok(true)) {
                return;
            }
        }
    }

    /// The run that a person means: by its folder, `last`, or an id of which there is no journal here.
    pub(super) fn run_named(&self, name: &str, store: &Store) -> Result<RunId> {
        let folder = match store.find(name) {
            Ok(folder) => folder,
            // It means a folder: no run is called so, in no tag.
            Err(error) if name == "last" || store.root().join(name).is_dir() => return Err(error),
            Err(_) => return Ok(RunId::new(name)),
        };
        // Who means a copy means its run.
        let copied = begun(&folder).filter(|run| !folder.is_named_after(run));
        let is_it = |run: &RunId, known: &RunFolder| {
            known.path == folder.path || copied.as_ref() == Some(run)
        };
        let of_folder = self.folders.iter().find(|(run, known)| is_it(run, known));
        let Some((run, _)) = of_folder else {
            let what = format!("the journal of {name} cannot be read");
            let why = format!("{} says why", folder.command("show"));
            return Err(Error::broken(what).help(why));
        };
        match self.elsewhere.get(run) {
            None => Ok(run.clone()),
            Some(world) => Err(Error::bad_input(format!(
                "{name} was {world}, and this looks elsewhere"
            ))
            .help(
                "nothing is left of a rehearsal; for a test server, name it with --endpoint-url",
            )),
        }
    }

    /// The lock of a run's journal, as long as that is what it was when it was read.
    pub(super) async fn lock(&self, run: &RunId) -> RunLock {
        let folder = match self.folder_of(run) {
            Ok(Some(folder)) => folder,
            Ok(None) => match self.journal_taken_away(run) {
                Some(why) => return RunLock::Unknown(why),
                None => return RunLock::NoJournal,
            },
            Err(error) => return RunLock::Unknown(error.to_string()),
        };
        match orders::held(&folder).await {
            Ok(Some(hold)) if self.is_as_read(&folder) => RunLock::Held(hold),
            Ok(Some(_)) => RunLock::Changed,
            Ok(None) => RunLock::AtWork,
            Err(error) => RunLock::Unknown(error.to_string()),
        }
    }

    /// The folder of a run: also of one that has begun since the journals were read, or whose journal could not be read.
    fn folder_of(&self, run: &RunId) -> Result<Option<RunFolder>> {
        let known = self.folders.get(run);
        if let Some(folder) = known.filter(|folder| folder.is_named_after(run)) {
            return Ok(Some(folder.clone()));
        }
        let Some(runs) = &self.runs else { return Ok(known.cloned()) };
        let all = runs.all()?.into_iter().filter(|folder| is_of(folder, run));
        let (named, others): (Vec<_>, Vec<_>) = all.partition(|folder| folder.is_named_after(run));
        let any = named.into_iter().next().or_else(|| known.cloned());
        Ok(any.or_else(|| others.into_iter().next()))
    }

    /// What is said of a run that has made something, when its folder has a plan and no journal: a process may go on writing to that,
    /// wherever it is now.
    fn journal_taken_away(&self, run: &RunId) -> Option<String> {
        let folders = self.runs.as_ref()?.all().ok()?;
        let folder = folders.into_iter().find(|folder| folder.is_named_after(run))?;
        let said = folder.lacks_its_journal()?;
        Some(format!("{said}; put it back, or move the folder away if it is not that of {run}"))
    }

    fn is_as_read(&self, folder: &RunFolder) -> bool {
        let read = self.lengths.get(&folder.path);
        read.is_some() && length_of(folder).ok().as_ref() == read
    }
}

fn length_of(folder: &RunFolder) -> io::Result<u64> {
    Ok(fs::metadata(folder.journal())?.len())
}

/// True when the folder has what was fetched from a store, and the run was not taken over from there: others may have written it.
fn is_only_fetched(folder: &RunFolder) -> bool {
    let claimed =
        || folder.store().is_ok_and(|stored| stored.owner.is_some() || !stored.token.is_empty());
    folder.has_store() && !claimed()
}

/// True when the folder has the journal of this run, or one that does not say whose it is, in a folder of the run's name.
fn is_of(folder: &RunFolder, run: &RunId) -> bool {
    if matches!(folder.journal().try_exists(), Ok(false)) {
        return false;
    }
    match begun(folder) {
        Some(begun) => begun == *run,
        None => folder.is_named_after(run),
    }
}

/// The run that the first record names, whatever follows it.
pub(super) fn begun(folder: &RunFolder) -> Option<RunId> {
    // Whoever opens a pipe waits until somebody writes.
    fs::metadata(folder.journal()).ok().filter(fs::Metadata::is_file)?;
    let file = BufReader::new(File::open(folder.journal()).ok()?);
    let mut line = Vec::new();
    file.take(limits::RECORD_BYTES as u64).read_until(b'\n', &mut line).ok()?;
    match journal::read_bytes(&line).ok()?.records.into_iter().next()?.event {
        Event::RunStarted { run, .. } => Some(run),
        _ => None,
    }
}

/// Options by which a later command finds the store as well as this one.
fn store_options(region: Option<&str>, target: &Target) -> String {
    let region = region.map(|region| format!(" --store-region {}", HandInput::quote(region)));
    let endpoint = match target {
        Target::Endpoint(url) => Some(format!(" --endpoint-url {}", HandInput::quote(url))),
        Target::Real | Target::Sandbox { .. } => None,
    };
    region.into_iter().chain(endpoint).collect()
}

/// Whether this is the id of a run and not the name of its folder: six hexadecimal digits come last.
fn is_whole(run: &RunId) -> bool {
    let last = run.as_str().rsplit('-').next().unwrap_or_default();
    last.len() == 6 && last.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether what was made in one of these worlds is seen in the other one.
pub(super) fn is_same_world(one: &WorldKind, other: &WorldKind) -> bool {
    match (one, other) {
        (WorldKind::Endpoint { url: one }, WorldKind::Endpoint { url: other }) => {
            one == other || address(one).is_some_and(|one| address(other) == Some(one))
        }
        _ => one == other,
    }
}

/// What an address says, however it is written: the case of the host, the port that goes without saying and a slash at the end are no
/// difference.
fn address(url: &str) -> Option<(String, String, Option<u16>, String)> {
    let url = reqwest::Url::parse(url).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default(), path))
}

pub(super) fn in_words(world: &WorldKind) -> String {
    match world {
        WorldKind::Real => "made in AWS".to_owned(),
        WorldKind::Endpoint { url } => format!("made against {url}"),
        WorldKind::Rehearsal { .. } => "a rehearsal".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::tests::started;
    use crate::journal::{Hold, Journal};
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
        assert!(matches!(
            journals.lock(&RunId::new("orders-db-0002-77aa01")).await,
            RunLock::AtWork
        ));
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

    #[test]
    fn regression_a_run_that_is_not_here_is_not_said_to_have_left_nothing() {
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
}
