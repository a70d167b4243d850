use super::objects::{Created, Objects};
use super::owner::Owner;
use super::place::Stored;
use super::{honours_conditions, segment, self_test};
use crate::app::runs::RunFolder;
use crate::error::{Error, Result};
use crate::journal::{self, Record};
use chrono::{DateTime, Utc};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

/// A run as it is in the store.
pub(in crate::app) struct Fetched {
    /// The lines of its journal.
    pub(in crate::app) lines: Vec<u8>,
    /// The plan, as it was written.
    pub(in crate::app) plan: Vec<u8>,
    /// The scenario, as it was.
    pub(in crate::app) scenario: Vec<u8>,
}

/// Reads a run from the store and verifies its journal.
///
/// # Errors
/// When something is missing, or does not verify.
pub(in crate::app) async fn fetch(objects: &Objects) -> Result<Fetched> {
    let (lines, _) = segments(objects).await?;
    let none = |what: String| {
        Error::bad_input(format!("there is no {what}"))
            .help("check the address: s3://BUCKET/PREFIX/RUN, with the whole id of the run")
    };
    if lines.is_empty() {
        return Err(none(format!("journal at {}", objects.shown("journal"))));
    }
    let missing = |name: &str| none(objects.shown(name));
    let plan = objects.read("plan.json").await?.ok_or_else(|| missing("plan.json"))?;
    let scenario = objects.read("scenario.yaml").await?.ok_or_else(|| missing("scenario.yaml"))?;
    Ok(Fetched { lines, plan, scenario })
}

/// All lines of the journal, and what they say; none where no segment has arrived.
pub(super) async fn segments(objects: &Objects) -> Result<(Vec<u8>, Vec<Record>)> {
    let names = objects.list("journal/").await?;
    let mut lines = Vec::new();
    let mut records = 0;
    for name in &names {
        let shown = objects.shown(name);
        if *name != segment(records) {
            return Err(Error::broken(format!(
                "{shown} does not follow: the segment that begins with record {records} is missing"
            )));
        }
        let bytes = objects.read(name).await?;
        let bytes = bytes.ok_or_else(|| Error::broken(format!("{shown} is gone")))?;
        if bytes.last() != Some(&b'\n') {
            return Err(Error::broken(format!("{shown} does not end with a whole line")));
        }
        records += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        lines.extend(bytes);
    }
    if lines.is_empty() {
        return Ok((lines, Vec::new()));
    }
    let contents = journal::read_bytes(&lines).map_err(|error| {
        Error::broken(format!("the journal at {}: {error}", objects.shown("journal")))
    })?;
    Ok((lines, contents.records))
}

/// A run that this folder may claim. Nothing has been changed yet.
pub(in crate::app) struct Claimable {
    stored: Stored,
    /// That of the claim.
    number: u32,
    /// What the longer one of the two journals says.
    pub(in crate::app) records: Vec<Record>,
}

/// Looks whether a run that is in the store can be taken over. Nothing is written: whoever is refused has changed nothing.
///
/// # Errors
/// A refusal when another process holds it (unless `deliberately`), or when the two journals are not one.
pub(in crate::app) async fn look(
    objects: &Objects,
    folder: &RunFolder,
    deliberately: bool,
) -> Result<Claimable> {
    let run = objects.run();
    let mut stored = folder.store()?;
    let holder = Owner::last(objects).await?.ok_or_else(|| {
        Error::broken(format!("nobody has ever claimed {}", objects.shown("owner")))
    })?;
    if stored.claimed(&holder) {
        (stored.owner, stored.token) = (Some(holder.number), holder.token.clone());
    } else if !deliberately {
        return Err(Error::refused(format!("the run {run} is held by {holder}; nothing was done"))
            .help(
                "make sure that this process is dead (two of them would make things twice), then add --take-over",
            ));
    }
    let records = longer_journal(objects, folder).await?;
    Ok(Claimable { stored, number: holder.number + 1, records })
}

/// Takes a run over: claims it, and brings folder and store to the same journal. The folder's journal must not be in use.
///
/// # Errors
/// A refusal when another process has claimed or written it meanwhile.
pub(in crate::app) async fn claim(
    objects: &Objects,
    folder: &RunFolder,
    claimable: Claimable,
    now: DateTime<Utc>,
) -> Result<()> {
    let (run, Claimable { mut stored, number, .. }) = (objects.run(), claimable);
    honours_conditions(objects, &self_test(number)).await?;
    let claim = Owner::this_process(run, number, now);
    // Whoever resumes the run after this process was killed finds a claim of this folder, whether it arrived or not.
    stored.pending = Some(claim.token.clone());
    folder.write_store(&stored)?;
    if claim.claim(objects).await? == Created::Exists {
        return Err(Error::refused(format!(
            "the run {run} was taken over by another process at this moment; nothing was done"
        )));
    }
    stored.owner = Some(number);
    stored.token = claim.token;
    stored.pending = None;
    folder.write_store(&stored)?;
    // After the claim: what the former holder wrote until now counts. What it writes from now on collides with ours.
    same_journal(objects, folder).await?;
    if stored.behind {
        stored.behind = false;
        folder.write_store(&stored)?;
    }
    Ok(())
}

/// Remembers that the run goes on without its store. What the folder says of the store may be the very thing that is broken.
///
/// # Errors
/// When that cannot be written.
pub(in crate::app) fn leave_out(folder: &RunFolder) -> Result<()> {
    match folder.store() {
        Ok(stored) => folder.write_store(&Stored { behind: true, ..stored }),
        Err(_) => Ok(()),
    }
}

/// True when the journal of the folder has more than the one in the store.
///
/// # Errors
/// When one of them cannot be read.
pub(in crate::app) async fn ends_earlier(objects: &Objects, folder: &RunFolder) -> Result<bool> {
    let (there, _) = segments(objects).await?;
    Ok(there.len() < whole_lines(&folder.read("journal.jsonl")?).len())
}

/// The bytes of a journal without its torn last line.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)]
}

/// What the longer one of the journals of folder and store says, which must be the same as far as both go.
async fn longer_journal(objects: &Objects, folder: &RunFolder) -> Result<Vec<Record>> {
    let (there, records) = segments(objects).await?;
    let bytes = folder.read("journal.jsonl")?;
    let here = whole_lines(&bytes);
    if there.starts_with(here) {
        return Ok(records);
    }
    if !here.starts_with(&there) {
        return Err(two_journals(objects, folder, "nothing was done"));
    }
    let contents = journal::read_bytes(here).map_err(|error| folder.refused(&error))?;
    Ok(contents.records)
}

/// One of the two journals may be ahead of the other: the disk by a write that did not reach the store, the store by what
/// another machine has done. The shorter one is completed.
async fn same_journal(objects: &Objects, folder: &RunFolder) -> Result<()> {
    let (there, records) = segments(objects).await?;
    let bytes = folder.read("journal.jsonl")?;
    let here = whole_lines(&bytes);
    if let Some(rest) = here.strip_prefix(there.as_slice()) {
        if rest.is_empty() {
            return Ok(());
        }
        journal::read_bytes(here).map_err(|error| folder.refused(&error))?;
        let name = segment(records.len() as u64);
        return match objects.create(&name, rest).await? {
            Created::New => Ok(()),
            Created::Exists => Err(Error::refused(format!(
                "{} was written at this moment: another process works on this run",
                objects.shown(&name)
            ))),
        };
    }
    if let Some(rest) = there.strip_prefix(here) {
        return complete(folder, &bytes, rest);
    }
    Err(two_journals(objects, folder, "another process has written at this moment"))
}

fn two_journals(objects: &Objects, folder: &RunFolder, so: &str) -> Error {
    Error::refused(format!(
        "{} and {} are not one journal: they differ before their ends; {so}",
        folder.journal().display(),
        objects.shown("journal")
    ))
    .help(
        "the store decides: move the folder away and resume from the store's address; what only this folder's journal tells is \
         removed first by redrill abort with --without-store",
    )
}

/// Puts what the store has behind the whole lines of the folder's journal. A torn end stays behind that: the next record takes its
/// place, and says how long it was. In place: the file is locked by this process.
fn complete(folder: &RunFolder, here: &[u8], rest: &[u8]) -> Result<()> {
    let path = folder.journal();
    let whole = whole_lines(here).len();
    let written = File::options().write(true).open(&path).and_then(|mut file| {
        if whole < here.len() {
            // As in a commit: of a write over the torn line, a power cut could leave a line that is a mixture of both.
            file.set_len(whole as u64)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::Start(whole as u64))?;
        file.write_all(&[rest, &here[whole..]].concat())?;
        file.sync_all()
    });
    written.map_err(|e| Error::broken(format!("{} cannot be written: {e}", path.display())))
}

impl RunFolder {
    /// What the folder remembers of its store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::app) fn store(&self) -> Result<Stored> {
        let bytes = self.read("store.json")?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let path = self.path.join("store.json");
            Error::broken(format!("{} cannot be understood: {e}", path.display()))
        })
    }

    /// True when the run is in a store, too.
    pub(in crate::app) fn has_store(&self) -> bool {
        // What a sick disk does not show may well be there.
        !matches!(self.path.join("store.json").try_exists(), Ok(false))
    }

    /// Remembers the store.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::app) fn write_store(&self, stored: &Stored) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(stored)
            .map_err(|e| Error::broken(format!("store.json cannot be written: {e}")))?;
        self.write("store.json", &bytes).map(|_| ())
    }

    /// Puts down what was fetched from the store, the journal last. False, and nothing is changed, when there is a journal
    /// already: another process may hold its lock, and have claimed the run in the store.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::app) fn put_down(&self, fetched: &Fetched, stored: &Stored) -> Result<bool> {
        let remembered = serde_json::to_vec_pretty(stored)
            .map_err(|e| Error::broken(format!("store.json cannot be written: {e}")))?;
        if !matches!(self.journal().try_exists(), Ok(false)) {
            return Ok(false);
        }
        self.write("plan.json", &fetched.plan)?;
        self.write("scenario.yaml", &fetched.scenario)?;
        self.write_once("store.json", &remembered)?;
        self.write_once("journal.jsonl", &fetched.lines)
    }
}
