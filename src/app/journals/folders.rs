//! Which folder of the runs folder is that of a run, and the lock on its journal.

use super::{Journals, is_whole};
use crate::app::orders;
use crate::app::runs::{RunFolder, Store};
use crate::error::{Error, Result};
use crate::ids::RunId;
use crate::journal::{self, Event};
use crate::limits;
use crate::reap::RunLock;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};

impl Journals {
    /// The run that a person means: by its folder, `last`, or an id of which there is no journal here.
    pub(in crate::app) fn run_named(&self, name: &str, store: &Store) -> Result<RunId> {
        let folder = match store.find(name) {
            Ok(folder) => folder,
            // It means a folder, and no tag has its name, unless that is a whole id: a run that was fetched has its folder so.
            Err(error) if name == "last" || is_folder_alone(name, store) => return Err(error),
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
    pub(in crate::app) async fn lock(&self, run: &RunId) -> RunLock {
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
        let (said, name) = (folder.lacks_its_journal()?, folder.name());
        let may_go = match name == run.as_str() {
            true => "if it was only being fetched: its store has the run".to_owned(),
            false => format!("if it is not that of {run}"),
        };
        Some(format!("{name}: {said}; put it back, or move the folder away {may_go}"))
    }

    fn is_as_read(&self, folder: &RunFolder) -> bool {
        let read = self.lengths.get(&folder.path);
        read.is_some() && length_of(folder).ok().as_ref() == read
    }
}

fn is_folder_alone(name: &str, store: &Store) -> bool {
    store.root().join(name).is_dir() && !is_whole(&RunId::new(name))
}

fn length_of(folder: &RunFolder) -> io::Result<u64> {
    Ok(fs::metadata(folder.journal())?.len())
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
pub(in crate::app) fn begun(folder: &RunFolder) -> Option<RunId> {
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
