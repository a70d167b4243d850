//! The folder of runs: `<id>/journal.jsonl`, the plan, the scenario as it was, and the reports.

use super::journals;
use super::refusal::{cannot_be, no_such_run};
use super::run_one::TOOL;
use super::run_words::found_by_tags;
use crate::action::HandInput;
use crate::error::{Error, Result};
use crate::ids::{Digest, RunId};
use crate::journal::{self, Contents, Event, Record, RunHead, RunState};
use crate::limits;
use crate::outside::real::barred;
use crate::plan::Plan;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where runs are when nobody says otherwise, as the command line has it.
pub(super) const DEFAULT_RUNS_DIR: &str = "runs";

/// All runs.
#[derive(Clone, Debug)]
pub(super) struct Store {
    root: PathBuf,
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub(super) struct RunFolder {
    pub(super) path: PathBuf,
}

/// A run as it was read back.
pub(super) struct Stored {
    pub(super) folder: RunFolder,
    pub(super) plan: Plan,
    pub(super) contents: Contents,
    pub(super) state: RunState,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of all runs.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder of the next run of a scenario. Making it takes its number, so two processes never share one.
    /// The id has a few more digits, since another machine may have a run of that number, too.
    pub(super) fn begin(&self, scenario: &str, seed: u64) -> Result<(RunId, u32, RunFolder)> {
        fs::create_dir_all(&self.root).map_err(|e| self.cannot("be made", &e))?;
        let mut number = self.numbers(scenario)?.last().map_or(0, |(last, _)| *last);
        loop {
            number = number.checked_add(1).ok_or_else(|| self.no_number_is_left(scenario))?;
            let name = format!("{scenario}-{number:04}");
            let path = self.root.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    self.keep_names().map_err(|e| self.cannot("be written", &e))?;
                    let digits = Digest::of(format!("{seed}/{name}").as_bytes()).short(6);
                    return Ok((
                        RunId::new(format!("{name}-{digits}")),
                        number,
                        RunFolder { path },
                    ));
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(self.cannot("be written", &e)),
            }
        }
    }

    fn no_number_is_left(&self, scenario: &str) -> Error {
        let last = self.root.join(format!("{scenario}-{}", u32::MAX));
        Error::bad_input(format!("{} has the last number that a run can have", last.display()))
            .help("move that folder away, or choose another place with --runs-dir")
    }

    /// Makes the names of new folders durable: a run's, and that of the folder of runs, which may have been made for it.
    fn keep_names(&self) -> std::io::Result<()> {
        File::open(&self.root)?.sync_all()?;
        let parent = self.root.parent().filter(|parent| !parent.as_os_str().is_empty());
        // It may be closed to this user, or of a system that knows no such thing: then nothing was made in it either.
        let _ = File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all());
        Ok(())
    }

    /// The folder for a run of another machine, named by its whole id: it is none of the numbered runs of this one.
    pub(super) fn adopt(&self, run: &RunId) -> Result<RunFolder> {
        let path = self.root.join(run.as_str());
        let made = fs::create_dir_all(&path).and_then(|()| self.keep_names());
        made.map_err(|e| self.cannot("be written", &e))?;
        Ok(RunFolder { path })
    }

    /// Numbers and folders of a scenario's runs, the oldest first.
    fn numbers(&self, scenario: &str) -> Result<Vec<(u32, RunFolder)>> {
        let all = self.all()?;
        let mut of_scenario: Vec<(u32, RunFolder)> = all
            .into_iter()
            .filter_map(|folder| Some((number_of(&folder.name(), scenario)?, folder)))
            .collect();
        of_scenario.sort_by_key(|(number, _)| *number);
        Ok(of_scenario)
    }

    /// All folders of runs, by name.
    pub(super) fn all(&self) -> Result<Vec<RunFolder>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.cannot("be read", &e)),
        };
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| self.cannot("be read", &e))?.path();
            if path.is_dir() {
                folders.push(RunFolder { path });
            }
        }
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(folders)
    }

    /// The runs of a scenario before a number, the oldest first. Those whose journal cannot be read are given as errors.
    pub(super) fn earlier(&self, scenario: &str, number: u32) -> Result<Vec<(u32, RunFolder)>> {
        Ok(self.numbers(scenario)?.into_iter().filter(|(n, _)| *n < number).collect())
    }

    /// Finds a run by its id, its folder, or `last` (the one whose journal was written last).
    pub(super) fn find(&self, name: &str) -> Result<RunFolder> {
        if name == "last" {
            return self.newest();
        }
        if name.starts_with("s3://") {
            let address =
                "this command takes no address in a store: it is about a run whose folder is here";
            return Err(Error::bad_input(address).help(
                "redrill resume and redrill abort take s3://BUCKET/PREFIX/RUN; what they fetch is in the runs folder then",
            ));
        }
        let there = |path: PathBuf| {
            let folder = Some(RunFolder { path }).filter(|folder| folder.journal().is_file());
            folder.map(|folder| self.by_its_name(folder))
        };
        if let Some(folder) = there(self.root.join(name)) {
            return Ok(folder);
        }
        let numbered = name.rsplit_once('-').and_then(|(folder, _)| there(self.root.join(folder)));
        if let Some(folder) = numbered {
            // Another machine, or a folder that was cleared since, may have had a run of the same number.
            return match folder.run() {
                Some(run) if run.as_str() != name => Err(Error::bad_input(format!(
                    "the run in {} is {run}, not {name}",
                    folder.path.display()
                ))
                .help("redrill runs lists the runs that are here")),
                _ => Ok(folder),
            };
        }
        let begun = self.begun(name).or_else(|| self.begun(name.rsplit_once('-')?.0));
        there(PathBuf::from(name)).ok_or_else(|| match begun {
            Some(folder) => folder.not_begun(),
            None => {
                let text = format!("there is no run {name:?} under {}", self.root.display());
                let short = name.rsplit_once('-').map_or(name, |(folder, _)| folder);
                let looked_at = [self.root.join(name), self.root.join(short), PathBuf::from(name)];
                no_such_run(text, &looked_at.map(|path| RunFolder { path }.journal()))
            }
        })
    }

    /// As [`Self::find`], for who wants something of the process of the run: that would hear nothing in a copy of its folder.
    pub(super) fn find_itself(&self, name: &str) -> Result<RunFolder> {
        let folder = self.find(name)?;
        // A journal that cannot be read keeps nobody from steering or answering.
        let contents = journal::read(&folder.journal()).ok();
        let state = contents.and_then(|contents| RunState::of(&contents.records).ok());
        let Some(RunState { head: Some(head), finished: None, .. }) = state else {
            return Ok(folder);
        };
        match folder.is_named_after(&head.run) {
            true => Ok(folder),
            false => Err(self.is_a_copy(&folder, &head.run)),
        }
    }

    /// The folder of a run without a journal: its name has a number. What this user may not look into may well have one.
    fn begun(&self, name: &str) -> Option<RunFolder> {
        let (scenario, number) = name.rsplit_once('-')?;
        let is_one = number.parse::<u32>().is_ok() && !scenario.contains('/');
        let folder = RunFolder { path: self.root.join(name) };
        let is_there = folder.journal().try_exists().is_ok() && folder.path.is_dir();
        Some(folder).filter(|_| is_one && is_there)
    }

    /// A folder by its own name, where `.` or a link leads to it. A link with the name of the run is as good: the folder was moved.
    fn by_its_name(&self, folder: RunFolder) -> RunFolder {
        if journals::begun(&folder).is_some_and(|run| folder.is_named_after(&run)) {
            return folder;
        }
        let Ok(real) = fs::canonicalize(&folder.path) else { return folder };
        let other = real.file_name().filter(|name| folder.path.file_name() != Some(*name));
        let Some(name) = other else { return folder };
        let is_here =
            fs::canonicalize(&self.root).is_ok_and(|root| real.parent() == Some(root.as_path()));
        RunFolder { path: if is_here { self.root.join(name) } else { real } }
    }

    /// The run whose journal was written last. A copy of a run's folder is none: nobody works on the run there.
    fn newest(&self) -> Result<RunFolder> {
        let written = |folder: &RunFolder| {
            let journal = fs::metadata(folder.journal()).ok().filter(fs::Metadata::is_file)?;
            journal.modified().ok().map(|time| (time, folder.name()))
        };
        let all = self.all()?;
        let mut newest: Vec<_> =
            all.iter().filter_map(|folder| Some((written(folder)?, folder))).collect();
        newest.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut copies = Vec::new();
        for (_, folder) in newest {
            match journals::begun(folder) {
                Some(run) if !folder.is_named_after(&run) => copies.push((folder, run)),
                _ => return Ok(folder.clone()),
            }
        }
        if let Some((folder, run)) = copies.first() {
            return Err(self.is_a_copy(folder, run));
        }
        Err(match all.iter().rev().find_map(|f| self.begun(&f.name())) {
            Some(begun) => begun.not_begun(),
            None => {
                let journals: Vec<PathBuf> = all.iter().map(RunFolder::journal).collect();
                no_such_run(format!("there is no run under {}", self.root.display()), &journals)
            }
        })
    }

    /// What is said of a folder that is not named after its run: the process of the run holds the lock of the journal in another
    /// one.
    pub(super) fn is_a_copy(&self, folder: &RunFolder, run: &RunId) -> Error {
        let place = folder.path.display();
        let text = format!(
            "{place} has the run {run}, but not its name: it is a copy, or was renamed; nothing was done"
        );
        let short = run.as_str().rsplit_once('-').map_or(run.as_str(), |(short, _)| short);
        let right = folder.path.with_file_name(short);
        let quote = |path: &Path| HandInput::quote(&path.to_string_lossy());
        let help = match self.find(run.as_str()) {
            Ok(there) if there.is_named_after(run) => {
                format!("the run is in {}", there.path.display())
            }
            _ => format!(
                "if it was renamed, give it its name again: mv {} {}",
                quote(&folder.path),
                quote(&right)
            ),
        };
        Error::refused(text).help(help)
    }

    fn cannot(&self, what: &str, error: &std::io::Error) -> Error {
        let help = barred(&self.root, error)
            .unwrap_or_else(|| "choose another one with --runs-dir, or free some space".to_owned());
        Error::broken(format!("the folder {} cannot {what}: {error}", self.root.display()))
            .help(help)
    }
}

/// The number in the name of a run's folder, when it is one of the scenario's.
fn number_of(name: &str, scenario: &str) -> Option<u32> {
    name.strip_prefix(scenario)?.strip_prefix('-')?.parse().ok()
}

impl RunFolder {
    /// The folder's name: scenario and number.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Whether the folder bears the name of this run: its id, or that without the digits at the end. A copy does not.
    pub(super) fn is_named_after(&self, run: &RunId) -> bool {
        let (name, whole) = (self.name(), run.as_str());
        whole == name || whole.rsplit_once('-').is_some_and(|(short, _)| short == name)
    }

    /// Without a record nothing was done: the folder, and with it the number, is given back.
    pub(super) fn forget_if_nothing_happened(&self) {
        if self.has_no_record() {
            // An empty folder that stays is only untidy.
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    /// The run that the first record names; `None` when it cannot be read, which whoever reads the journal is told.
    fn run(&self) -> Option<RunId> {
        match self.started()? {
            Event::RunStarted { run, .. } => Some(run),
            _ => None,
        }
    }

    fn started(&self) -> Option<Event> {
        let contents = journal::read(&self.journal()).ok()?;
        contents.records.into_iter().next().map(|record| record.event)
    }

    /// True when the first record says so; what cannot be read may have made something.
    pub(super) fn is_rehearsal(&self) -> bool {
        matches!(self.started(), Some(Event::RunStarted { world, .. }) if world.is_rehearsal())
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// Writes a file beside the journal, whole or not at all.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path.join(name);
        let cannot = |e: &std::io::Error| cannot_be("written", &path, &self.path, e);
        let file = self.unnamed(bytes).map_err(|e| cannot(&e))?;
        file.persist(&path).map_err(|e| cannot(&e.error))?;
        Ok(path)
    }

    /// As [`Self::write`], unless the file is there: false then, and it stays as it is.
    pub(super) fn write_once(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let path = self.path.join(name);
        let cannot = |e: &std::io::Error| cannot_be("written", &path, &self.path, e);
        let file = self.unnamed(bytes).map_err(|e| cannot(&e))?;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(true),
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(cannot(&e.error)),
        }
    }

    fn unnamed(&self, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        journal::share_as_its_folder(file.as_file(), &self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// Reads a file beside the journal, or the journal itself.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|e| cannot_be("read", &path, &path, &e))
    }

    /// The plan beside the journal, which must be the one that the journal names: as it was written, whatever this version
    /// would write.
    pub(super) fn plan(&self, state: &RunState) -> Result<Plan> {
        let path = self.path.join("plan.json");
        let text = limits::read_file(&path, limits::PLAN_BYTES).map_err(|e| {
            let error = cannot_be("read", &path, &path, &e);
            // Who may not read it has been told whose it is.
            let is_told = error.help_text().is_some();
            if is_told { error } else { error.help(self.found_otherwise()) }
        })?;
        let plan = plan_of(&text, state, &self.path.display().to_string());
        plan.map_err(|error| match &state.head {
            Some(head) if !names(head, &text) => error.help(self.found_otherwise()),
            _ => error,
        })
    }

    /// Reads and verifies the journal, and the plan that it names.
    pub(super) fn load(&self) -> Result<Stored> {
        let contents = journal::read(&self.journal()).map_err(|e| self.unreadable(&e))?;
        let state = self.fold(&contents.records)?;
        let plan = self.plan(&state)?;
        Ok(Stored { folder: self.clone(), plan, contents, state })
    }

    /// What is said when the scenario beside the journal is not the one of the run: it is no part of the evidence then.
    pub(super) fn scenario_differs(&self, plan: &Plan) -> Option<String> {
        let path = self.path.join("scenario.yaml");
        let what = match limits::read_file(&path, limits::FILE_BYTES) {
            Ok(text) if Digest::of(&text) == plan.scenario_digest => return None,
            Ok(_) => {
                "was changed after the run: its digest is not the one in the journal".to_owned()
            }
            Err(error) => format!(
                "cannot be read ({error}), so it cannot be compared with the digest in the journal"
            ),
        };
        Some(format!(
            "warning: {} {what}; the plan and the report are those of the run all the same",
            path.display()
        ))
    }

    pub(super) fn fold(&self, records: &[Record]) -> Result<RunState> {
        RunState::of(records).map_err(|e| self.refused(&e).help(self.found_otherwise()))
    }
}

/// The plan that a journal names, from what lies beside it at `place`.
pub(super) fn plan_of(text: &[u8], state: &RunState, place: &str) -> Result<Plan> {
    let no_start = || Error::broken(format!("{place}: the journal does not start"));
    let head = state.head.as_ref().ok_or_else(no_start)?;
    if !names(head, text) {
        return Err(Error::broken(format!(
            "{place}: plan.json is not the plan that the journal names: one of them was changed"
        ))
        .help(found_by_tags(None)));
    }
    serde_json::from_slice(text).map_err(|e| {
        let tool = &head.tool;
        Error::broken(format!(
            "{place}/plan.json is a plan of {tool}, which {TOOL} cannot read: {e}"
        ))
        .help("use the version that began the run")
    })
}

/// Whether this is the plan that a journal names.
fn names(head: &RunHead, plan: &[u8]) -> bool {
    head.plan == Digest::of(&compact(plan))
}

/// JSON without the space between its parts.
fn compact(json: &[u8]) -> Vec<u8> {
    let (mut in_text, mut is_escaped) = (false, false);
    let keep = |byte: &u8| {
        let is_space = !in_text && byte.is_ascii_whitespace();
        in_text ^= *byte == b'"' && !is_escaped;
        is_escaped = in_text && *byte == b'\\' && !is_escaped;
        !is_space
    };
    json.iter().copied().filter(keep).collect()
}

/// Reads a file that a person named, at most 16 MiB.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let cannot = |why: &str| Error::bad_input(format!("{} cannot be read: {why}", path.display()));
    let bytes = limits::read_file(path, limits::FILE_BYTES).map_err(|e| cannot(&e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8 text"))
}

#[cfg(test)]
pub(super) mod tests;
