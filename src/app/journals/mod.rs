//! What `redrill reap` knows of earlier runs: the journals of the runs folder, and those of a store.
//!
//! Main type: [`Journals`]. Which folder is that of a run, and its lock while things are removed, are in [`folders`]; whether two runs
//! were made in one world is in [`worlds`]. What is decided by all of it belongs to `reap`.

mod folders;
#[cfg(test)]
mod tests;
mod worlds;

pub(super) use folders::begun;
pub(super) use worlds::{in_words, is_same_world};

use super::journal_store::{self, InStore, Objects, Owner, StoreUrl};
use super::orders;
use super::output::Output;
use super::runs::{RunFolder, Store};
use super::world::{self, Target};
use crate::action::HandInput;
use crate::aws::GuardPolicy;
use crate::error::Result;
use crate::ids::RunId;
use crate::journal::{self, ReadError, Record, RunState};
use crate::outside::Secrets;
use crate::plan::Plan;
use crate::reap::{Life, NotAsked, PastRun, Sought};
use crate::scenario::Site;
use crate::time::Clock;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::fs;
use std::io;
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
            true => {
                let why = "it was taken away: put it back, or move the folder away";
                self.not_read(&folder.name(), why);
            }
            false => self.notes.push(format!("{}: {said}", folder.name())),
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
}

/// True when the folder has what was fetched from a store, and the run was not taken over from there: others may have written it.
fn is_only_fetched(folder: &RunFolder) -> bool {
    let claimed =
        || folder.store().is_ok_and(|stored| stored.owner.is_some() || !stored.token.is_empty());
    folder.has_store() && !claimed()
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

/// Whether this is the id of a run and not the name of its folder, or a path to it: six hexadecimal digits come last.
fn is_whole(run: &RunId) -> bool {
    let last = run.as_str().rsplit('-').next().unwrap_or_default();
    let ends = last.len() == 6 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    ends && !run.as_str().contains(std::path::is_separator)
}
