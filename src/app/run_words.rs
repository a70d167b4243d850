//! What is said of a run: how it is gone on with, and what finds what it made.

use super::journals;
use super::refusal::MAKE_ROOM;
use super::runs::{DEFAULT_RUNS_DIR, RunFolder};
use crate::action::HandInput;
use crate::error::Error;
use crate::ids::RunId;
use crate::journal::{self, ReadError};
use std::path::Path;

impl RunFolder {
    /// How a run that has not ended is gone on with: by a command that finds its folder, too, or not at all.
    pub(super) fn go_on(&self) -> String {
        if self.is_rehearsal() {
            return "it was a rehearsal, which ended with its process: run it again".to_owned();
        }
        format!("go on with: {}", self.command("resume"))
    }

    /// What is said of a run that has stopped in the middle, or before its first record, to whoever comes to it later.
    pub(super) fn stopped(&self) -> String {
        if matches!(self.journal().try_exists(), Ok(true))
            && self.has_no_record()
            && self.has_store()
        {
            let (name, otherwise) = (self.name(), self.found_otherwise());
            return format!(
                "the journal of {name} is empty, and its store may tell more: {otherwise}"
            );
        }
        self.stopped_now()
    }

    /// As [`Self::stopped`], by the process of the run itself: where its disk has no record, its store has none, since the disk comes
    /// first.
    pub(super) fn stopped_now(&self) -> String {
        let is_gone = |path: &Path| matches!(path.try_exists(), Ok(false));
        if is_gone(&self.path) {
            return format!(
                "{} is not there any more, and what was made until then may still be there: put its folder back, and {}; {}",
                self.journal().display(),
                self.go_on(),
                found_by_tags(None)
            );
        }
        // The plan lies there before the journal: whoever took it away may have taken the journal, too.
        if is_gone(&self.journal()) && is_gone(&self.path.join("plan.json")) {
            return format!(
                "{} has neither journal nor plan: either it had not begun, and has done nothing, or they were taken away; {}",
                self.path.display(),
                found_by_tags(None)
            );
        }
        if is_gone(&self.journal()) {
            return self.without_journal();
        }
        if self.has_no_record() {
            return format!("{} had not begun, and has done nothing: run it again", self.name());
        }
        if self.is_rehearsal() {
            return format!("nothing is left of it: {}", self.go_on());
        }
        format!("what was made until then may still be there; {}", self.go_on())
    }

    /// As [`Self::stopped_now`], where the disk took no more: whoever goes on without room stops in the same way. What was not written
    /// whole is a torn line, and nothing was done because of it.
    pub(super) fn stopped_on_a_full_disk(&self) -> String {
        if self.is_rehearsal() || journal::read(&self.journal()).is_err() {
            return self.stopped_now();
        }
        format!(
            "what was made until then may still be there, and the journal is whole: {MAKE_ROOM}; then {} goes on with it, and {} ends \
             it and removes what it made",
            self.command("resume"),
            self.command("abort")
        )
    }

    /// True when there surely is no record of the run: nothing is done before the first one. What a sick disk does not show may
    /// well be there.
    pub(super) fn has_no_record(&self) -> bool {
        match self.journal().try_exists() {
            Ok(false) => !self.has_begun(),
            Ok(true) => matches!(journal::read(&self.journal()), Err(ReadError::Empty)),
            Err(_) => false,
        }
    }

    /// True when something lies there that comes after the first record only. Without it nobody can tell a folder whose journal was
    /// taken away from one whose run has not begun.
    pub(super) fn has_begun(&self) -> bool {
        ["approvals", "report.json"].iter().any(|name| self.path.join(name).exists())
    }

    /// What is said of a folder with a plan, and without a journal.
    fn without_journal(&self) -> String {
        let (name, tags) = (self.name(), found_by_tags(None));
        match self.has_begun() {
            true => format!(
                "the journal of {name} is not there any more, and what was made until then may still be there: put it back, and {}; \
                 {tags}",
                self.go_on()
            ),
            false => format!(
                "{name} had not begun, and has done nothing, unless its journal was taken away: put it back then, else run it \
                 again; {tags}"
            ),
        }
    }

    /// What whoever lists the runs hears of a folder with a plan and without a journal; `None` for any other.
    pub(super) fn lacks_its_journal(&self) -> Option<String> {
        let (journal, plan) = (self.journal(), self.path.join("plan.json"));
        let is_so = matches!((journal.try_exists(), plan.try_exists()), (Ok(false), Ok(true)));
        is_so.then(|| match self.has_begun() {
            true => "its journal was taken away".to_owned(),
            false => "there is a plan and no journal: the run is being begun, or its journal was taken away"
                .to_owned(),
        })
    }

    /// What is said where its store does not do its part.
    pub(super) fn without_store(&self) -> String {
        format!(
            "when the store does not come back: {} --without-store ends the run and removes what it made, by the journal on this \
             disk alone",
            self.command("abort")
        )
    }

    /// A command of redrill about this run, which finds its folder.
    pub(super) fn command(&self, what: &str) -> String {
        let command = format!("redrill {what} {}", HandInput::quote(&self.name()));
        let folder = match self.path.parent() {
            Some(root) if root == Path::new(DEFAULT_RUNS_DIR) => return command,
            Some(root) if !root.as_os_str().is_empty() => root,
            _ => Path::new("."),
        };
        format!("{command} --runs-dir {}", HandInput::quote(&folder.to_string_lossy()))
    }

    /// The journal cannot be read.
    pub(super) fn unreadable(&self, why: &ReadError) -> Error {
        let error = self.refused(why);
        match why {
            ReadError::OtherFormat { .. } => error.help("use the version that began the run"),
            ReadError::NotARecord { .. } | ReadError::Broken { .. } | ReadError::TooLarge => {
                error.help(self.found_otherwise())
            }
            ReadError::Empty if self.has_store() => {
                let journal = self.journal();
                let text = "the journal is empty: what the run has done, its store may tell";
                Error::broken(format!("{}: {text}", journal.display())).help(self.found_otherwise())
            }
            ReadError::Io(_) | ReadError::Unwritable(_) | ReadError::Empty => error,
        }
    }

    /// What is done where the folder does not tell what its run made: its store has a copy, if it has one, and the tags tell it, too.
    pub(super) fn found_otherwise(&self) -> String {
        let run = journals::begun(self);
        let by_tags = found_by_tags(run.as_ref());
        let Some(stored) = self.has_store().then(|| self.store().ok()).flatten() else {
            return by_tags;
        };
        let place = match &run {
            Some(run) => format!("{}/{run}", stored.url),
            None => format!("{}/RUN (its id begins with {})", stored.url, self.name()),
        };
        format!(
            "its store has it, too: move {} away, then redrill resume {place}, or abort; {by_tags}",
            self.path.display()
        )
    }

    /// There is a folder, and no journal in it.
    pub(super) fn not_begun(&self) -> Error {
        let place = self.path.display();
        if self.has_begun() {
            return Error::broken(format!(
                "{place} has a run that has begun, and its journal was taken away"
            ))
            .help(self.without_journal());
        }
        Error::bad_input(format!(
            "a run is being begun in {place}, or its journal was taken away: it is not there"
        ))
        .help(format!(
            "a run that is being begun has made nothing: wait until its sites have answered, or end its process; a journal that was taken \
             away is put back; when neither is so, nothing was done, and the folder can be removed; {}",
            found_by_tags(None)
        ))
    }
}

/// How what a run made is found where no journal tells it.
pub(super) fn found_by_tags(run: Option<&RunId>) -> String {
    let run = run.map(|run| format!(" --run {run}")).unwrap_or_default();
    format!(
        "what runs have made carries their tags: redrill reap --site REGION=ACCOUNT/ROLE{run} --all --dry-run finds it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::{Store, tests::started};
    use crate::journal::WorldKind;
    use std::path::PathBuf;

    #[test]
    fn regression_the_command_that_resumes_finds_the_folder_of_the_runs() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("of the team"));
        let (_, folder) = started(&store, WorldKind::Real);
        let command =
            format!("redrill resume orders-db-0001 --runs-dir '{}'", store.root().display());
        assert!(folder.go_on().ends_with(&command), "{}", folder.go_on());
        assert!(folder.stopped().ends_with(&command), "{}", folder.stopped());
        assert!(folder.stopped().contains("may still be there"), "{}", folder.stopped());
        // The folder that is looked into by itself need not be named.
        let usual = RunFolder { path: Path::new(DEFAULT_RUNS_DIR).join("orders-db-0001") };
        assert_eq!(usual.command("resume"), "redrill resume orders-db-0001");
        let beside = RunFolder { path: PathBuf::from("orders-db-0001") };
        assert_eq!(beside.command("resume"), "redrill resume orders-db-0001 --runs-dir .");
    }

    #[test]
    fn regression_nobody_is_told_to_resume_a_rehearsal() {
        let root = tempfile::tempdir().unwrap();
        let estate = "estate".to_owned();
        let (_, folder) =
            started(&Store::new(root.path().to_owned()), WorldKind::Rehearsal { estate });
        for said in [folder.go_on(), folder.stopped()] {
            assert!(said.contains("run it again"), "{said}");
            assert!(!said.contains("resume") && !said.contains("may still be there"), "{said}");
        }
    }

    #[test]
    fn regression_a_run_that_is_being_begun_is_not_said_to_be_nowhere_and_need_not_be_resumed() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (_, _, folder) = store.begin("orders-db", 7).unwrap();
        folder.write("plan.json", b"{}").unwrap();
        for name in ["last", "orders-db-0001", "orders-db-0001-ab12cd"] {
            let error = store.find(name).map(|folder| folder.path).unwrap_err();
            assert!(error.to_string().contains("a run is being begun in"), "{name}: {error}");
        }
        assert!(folder.stopped().contains("has done nothing"), "{}", folder.stopped());
        assert!(!folder.stopped().contains("resume"), "{}", folder.stopped());
        let nowhere = store.find("orders-db-0002").map(|folder| folder.path).unwrap_err();
        assert!(nowhere.to_string().contains("there is no run"), "{nowhere}");
    }

    #[test]
    fn regression_only_a_run_that_surely_has_no_record_is_said_to_have_done_nothing_and_forgotten()
    {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (_, _, full) = store.begin("orders-db", 7).unwrap();
        full.write("plan.json", b"{}").unwrap();
        // The disk was full before the first record was there.
        for torn in [&b""[..], b"{\"seq\":0,"] {
            std::fs::write(full.journal(), torn).unwrap();
            for said in [full.stopped(), full.stopped_now()] {
                assert!(said.contains("has done nothing") && !said.contains("resume"), "{said}");
            }
        }
        full.forget_if_nothing_happened();
        assert!(!full.path.exists());
        let (_, begun) = started(&store, WorldKind::Real);
        assert_eq!(begun.path, full.path, "its number was given back");
        let (_, _, sick) = store.begin("orders-db", 7).unwrap();
        // Whoever looks at it gets an error, and not that it is not there.
        std::os::unix::fs::symlink("journal.jsonl", sick.journal()).unwrap();
        for folder in [begun, sick] {
            assert!(folder.stopped().contains("may still be there"), "{}", folder.stopped());
            folder.forget_if_nothing_happened();
            assert!(folder.path.exists(), "{}", folder.name());
        }
    }

    #[test]
    fn regression_a_run_whose_folder_was_moved_away_is_not_said_to_have_done_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (_, folder) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        std::fs::rename(&folder.path, root.path().join("moved")).unwrap();
        let said = folder.stopped();
        for words in ["is not there any more", "may still be there", "redrill reap --site"] {
            assert!(said.contains(words), "no {words:?} in: {said}");
        }
        assert!(!said.contains("done nothing"), "{said}");
    }

    #[test]
    fn regression_a_run_whose_folder_is_still_empty_is_not_said_to_have_made_something() {
        let root = tempfile::tempdir().unwrap();
        let (_, _, begun) = Store::new(root.path().to_owned()).begin("orders-db", 7).unwrap();
        let said = begun.stopped();
        assert!(said.contains("either it had not begun, and has done nothing"), "{said}");
        assert!(said.contains("redrill reap --site") && !said.contains("any more"), "{said}");
    }

    /// The process goes on, and writes to the file wherever it was moved to.
    #[test]
    fn regression_a_run_whose_journal_alone_was_moved_away_is_not_said_to_have_surely_done_nothing()
    {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (_, folder) = started(&store, WorldKind::Real);
        folder.write("plan.json", b"{}").unwrap();
        assert_eq!(folder.lacks_its_journal(), None);
        std::fs::rename(folder.journal(), root.path().join("moved.jsonl")).unwrap();
        // As a run that is being begun.
        let found = || store.find("orders-db-0001").map(|folder| folder.path).unwrap_err();
        let listed = folder.lacks_its_journal().unwrap();
        let said = [folder.stopped(), folder.stopped_now(), found().to_string(), listed];
        for said in said {
            assert!(said.contains("its journal was taken away"), "{said}");
        }
        assert!(found().help_text().unwrap().contains("redrill reap --site"), "{:?}", found());
        // A question was asked: that is behind the first record.
        std::fs::create_dir(folder.path.join("approvals")).unwrap();
        assert_eq!(found().exit_code(), crate::error::ExitCode::Inconclusive);
        assert!(found().to_string().contains("its journal was taken away"), "{}", found());
        for said in [folder.stopped(), folder.stopped_now()] {
            assert!(
                said.contains("may still be there") && !said.contains("done nothing"),
                "{said}"
            );
        }
        folder.forget_if_nothing_happened();
        assert!(folder.path.join("plan.json").exists());
    }

    /// The disk has lost what the journal said.
    #[test]
    fn regression_an_empty_journal_with_a_store_is_said_to_be_one_and_not_to_have_done_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (_, _, folder) = Store::new(root.path().to_owned()).begin("orders-db", 7).unwrap();
        let stored = r#"{ "url": "s3://drills/x", "region": null, "owner": 0, "token": "ab" }"#;
        for (name, text) in [("plan.json", "{}"), ("store.json", stored), ("journal.jsonl", "")] {
            std::fs::write(folder.path.join(name), text).unwrap();
        }
        let said = folder.stopped();
        for words in ["is empty", "redrill resume s3://drills/x/RUN", "redrill reap --site"] {
            assert!(said.contains(words), "no {words:?} in: {said}");
        }
        assert!(!said.contains("done nothing"), "{said}");
        // Its own process knows that nothing was written.
        assert!(folder.stopped_now().contains("has done nothing"), "{}", folder.stopped_now());
    }

    #[test]
    fn regression_a_journal_that_does_not_verify_tells_how_to_find_what_was_made() {
        let root = tempfile::tempdir().unwrap();
        let (_, folder) = started(&Store::new(root.path().to_owned()), WorldKind::Real);
        let text = std::fs::read_to_string(folder.journal()).unwrap();
        std::fs::write(folder.journal(), text.replace("operator", "operat0r")).unwrap();
        let error = folder.load().map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("record 0"), "{error}");
        assert!(error.help_text().unwrap().contains("redrill reap --site"), "{error:?}");
        assert!(journal::read(&folder.journal()).is_err());
    }

    #[test]
    fn an_address_of_a_store_is_no_name_of_a_run_here() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let error = store.find("s3://drills/x/orders-db-0001-ab12cd").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("address in a store"), "{error}");
        assert!(error.help_text().unwrap().contains("redrill abort"), "{error:?}");
    }
}
