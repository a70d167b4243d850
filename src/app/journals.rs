//! What `redrill reap` knows of earlier runs: the journals of the runs folder, and those of a store.

use super::journal_store::{self, InStore, Objects, Owner, StoreUrl};
use super::output::Output;
use super::runs::{RunFolder, Store};
use super::world::{self, Target};
use crate::aws::GuardPolicy;
use crate::error::{Error, Result};
use crate::ids::RunId;
use crate::journal::{self, Hold, ReadError, Record, RunState, WorldKind};
use crate::plan::Plan;
use crate::reap::{Life, NotAsked, PastRun, RunLock};
use crate::scenario::Site;
use crate::time::Clock;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
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
    /// Runs that were made in another world: a rehearsal's estate ended with its process.
    elsewhere: BTreeMap<RunId, String>,
    /// How many records of a run are known.
    records: BTreeMap<RunId, usize>,
    /// The store, and who held each of its runs when it was read.
    store: Option<(Objects, BTreeMap<RunId, Owner>)>,
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
        let mut journals = Self::default();
        match store.all() {
            Ok(folders) => folders.iter().for_each(|folder| journals.take(folder, target)),
            Err(error) => journals.not_read("the runs folder", &error.to_string()),
        }
        journals
    }

    fn not_read(&mut self, place: &str, why: &str) {
        let what = "its journal".to_owned();
        self.unread.push(NotAsked { place: place.to_owned(), what, why: why.to_owned() });
    }

    fn take(&mut self, folder: &RunFolder, target: &Target) {
        if !folder.journal().exists() {
            return;
        }
        let at_work = match Hold::take(&folder.journal()) {
            Ok(hold) => hold.is_none(),
            Err(error) => return self.not_read(&folder.name(), &error.to_string()),
        };
        let stored = match journal::read(&folder.journal()) {
            Err(ReadError::Empty) => return,
            _ => folder.load(),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return self.not_read(&folder.name(), &error.to_string()),
        };
        if let Some(head) = stored.state.head.as_ref() {
            self.folders.insert(head.run.clone(), folder.clone());
        }
        let read = (&stored.plan, &stored.contents.records[..], &stored.state);
        self.add(read, at_work, target);
    }

    /// Takes a run, unless more is known of it already. What a second journal of it says of its life counts all the same.
    fn add(
        &mut self,
        (plan, records, state): (&Plan, &[Record], &RunState),
        at_work: bool,
        target: &Target,
    ) {
        let Some(head) = state.head.as_ref() else { return };
        if head.world.is_rehearsal() || head.world != target.kind() {
            self.elsewhere.insert(head.run.clone(), in_words(&head.world));
            return;
        }
        let Some(mut past) = PastRun::of(plan, records, state, at_work) else { return };
        let known = self.past.iter_mut().find(|known| known.run == past.run);
        let longer = records.len() > self.records.get(&past.run).copied().unwrap_or(0);
        match known {
            Some(known) if longer => {
                if known.life == Life::AtWork {
                    past.life = Life::AtWork;
                }
                *known = past.clone();
            }
            Some(_) => return,
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
        let session = world::store_session(target, None, &url, store.region).await?;
        let session = session.under(Arc::new(GuardPolicy::read_only()));
        let output = *output;
        let tell = Arc::new(move |text: &str| output.note(text));
        let nobody = RunId::new("");
        let objects = Objects::new(session, url, nobody, Clock::system(), tell);
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
        let mut owners = BTreeMap::new();
        match runs {
            Err(error) => self.unread.push(NotAsked {
                place: objects.place(),
                what: "its journals".to_owned(),
                why: error.to_string(),
            }),
            Ok(runs) => {
                objects.say(&format!("reading {} runs in {}", runs.len(), objects.place()));
                for run in runs {
                    match journal_store::past(&objects.of_run(run.clone())).await {
                        Ok(Some(past)) => {
                            self.add_stored(&past, &objects.place(), (target, now));
                            owners.insert(run, past.owner);
                        }
                        Ok(None) if only.is_some() && self.is_unknown(&run) => {
                            self.not_read(run.as_str(), "neither here nor in the store is one");
                        }
                        Ok(None) => {}
                        Err(error) => self.not_read(run.as_str(), &error.to_string()),
                    }
                }
            }
        }
        self.store = Some((objects, owners));
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
        self.add((&stored.plan, &stored.records, &stored.state), false, target);
        let Some(run) = stored.state.head.as_ref().map(|head| &head.run) else { return };
        let Some(until) = stored.may_live_until().filter(|until| now < *until) else { return };
        let Some(known) = self.past.iter_mut().find(|past| past.run == *run) else { return };
        if known.life == Life::Unfinished && !stored.owner.is_of(self.folders.get(run)) {
            known.life = Life::MayBeAtWork;
            let (owner, until) = (&stored.owner, until.to_rfc3339_opts(SecondsFormat::Secs, true));
            self.notes.push(format!(
                "{run}: {owner} may be working on it, so what it made stays until {until}; when that is dead, redrill abort \
                 {place}/{run} --take-over gives it back now, redrill resume {place}/{run} --take-over goes on with it"
            ));
        }
    }

    /// True when another process has claimed the run in its store since that was read.
    ///
    /// # Errors
    /// When the store does not say.
    pub(super) async fn was_taken_over(&self, run: &RunId) -> Result<bool> {
        let Some((objects, owners)) = &self.store else { return Ok(false) };
        let Some(seen) = owners.get(run) else { return Ok(false) };
        let now = Owner::last(&objects.of_run(run.clone())).await?;
        Ok(now.as_ref() != Some(seen))
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
        let Ok(folder) = store.find(name) else { return Ok(RunId::new(name)) };
        let of_folder = self.folders.iter().find(|(_, known)| known.path == folder.path);
        let Some((run, _)) = of_folder else {
            let what = format!("the journal of {name} cannot be read");
            return Err(Error::broken(what).help(format!("redrill show {name} says why")));
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

    pub(super) fn lock(&self, run: &RunId) -> RunLock {
        let Some(folder) = self.folders.get(run) else { return RunLock::NoJournal };
        match Hold::take(&folder.journal()) {
            Ok(Some(hold)) => RunLock::Held(hold),
            Ok(None) => RunLock::AtWork,
            Err(error) => RunLock::Unknown(error.to_string()),
        }
    }
}

fn in_words(world: &WorldKind) -> String {
    match world {
        WorldKind::Real => "made in AWS".to_owned(),
        WorldKind::Endpoint { url } => format!("made against {url}"),
        WorldKind::Rehearsal { .. } => "a rehearsal".to_owned(),
    }
}
