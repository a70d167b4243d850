//! The limits of the organisation: which files say them, and what is held to them.

use super::output::Output;
use crate::cli::LimitsArgs;
use crate::error::{Error, Result};
use crate::ids::SiteName;
use crate::journal::LimitsFile;
use crate::limits::{FILE_BYTES, read_file};
use crate::organisation::{Asked, Exceeded, Limits};
use crate::scenario::{self, Source};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable by which whoever sets up the machine names a file, whatever is given on the command line.
const VARIABLE: &str = "REDRILL_LIMITS";

/// The limits that are in force. Where there are several files, all of them hold.
#[derive(Clone, Debug, Default)]
pub(super) struct InForce(Vec<Limits>);

impl InForce {
    /// Reads the files that environment and command line name.
    ///
    /// # Errors
    /// A file that cannot be read or has errors: it is never taken for no limits.
    pub(super) fn of(args: &LimitsArgs, output: &Output) -> Result<Self> {
        Self::named(std::env::var_os(VARIABLE), &args.limits, output)
    }

    fn named(variable: Option<OsString>, files: &[PathBuf], output: &Output) -> Result<Self> {
        if variable.as_ref().is_some_and(|name| name.is_empty()) {
            return Err(Error::bad_input(format!("{VARIABLE} is set and names no file"))
                .help("let it name the file with the limits, or unset it"));
        }
        let from_environment = variable.map(PathBuf::from);
        let mut in_force = Self::default();
        for file in from_environment.iter().chain(files) {
            let by = if Some(file) == from_environment.as_ref() { VARIABLE } else { "--limits" };
            in_force.0.push(read(file, by, output)?);
        }
        Ok(in_force)
    }

    /// Everything that goes beyond any of the limits.
    pub(super) fn exceeded(&self, asked: Asked<'_>) -> Vec<Exceeded> {
        self.0.iter().flat_map(|limits| limits.exceeded(asked)).collect()
    }

    /// Refuses what goes beyond a limit. `name` is that of the scenario's file, or of the run.
    ///
    /// # Errors
    /// A refusal that names every limit and what exceeds it.
    pub(super) fn hold(&self, name: &str, asked: Asked<'_>) -> Result<()> {
        let exceeded = self.exceeded(asked);
        if exceeded.is_empty() {
            return Ok(());
        }
        let found = exceeded.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
        let what = format!("{name} goes beyond the limits of the organisation; nothing was run");
        Err(Error::refused(format!("{what}:{}", in_lines(&exceeded))).because_of(found).help(
            "change the scenario (for its guard, write what it needs), or ask whoever keeps the limits",
        ))
    }

    /// Says of a rehearsal, which touches nothing and so is held to nothing, what would be refused elsewhere.
    pub(super) fn tell(&self, name: &str, asked: Asked<'_>, output: &Output) {
        let exceeded = self.exceeded(asked);
        if !exceeded.is_empty() {
            output.note(&format!(
                "note: a rehearsal is not held to the limits of the organisation; outside of the sandbox {name} would be \
                 refused:{}",
                in_lines(&exceeded)
            ));
        }
    }

    /// Refuses an account that has answered at a site. `nothing` says what has happened until then.
    ///
    /// # Errors
    /// A refusal when a list of accounts does not name it.
    pub(super) fn hold_account(&self, site: &SiteName, account: &str, nothing: &str) -> Result<()> {
        match self.account(site, account) {
            None => Ok(()),
            Some(exceeded) => Err(Error::refused(format!(
                "the limits of the organisation do not allow the account that answers; {nothing}:\n  {exceeded}"
            ))
            .help("take the right profile or role, or ask whoever keeps the limits")),
        }
    }

    /// What speaks against an account at a site.
    pub(super) fn account(&self, site: &SiteName, account: &str) -> Option<Exceeded> {
        self.0.iter().find_map(|limits| limits.account(site, account))
    }

    /// What speaks against a region at a site.
    pub(super) fn region(&self, site: &SiteName, region: &str) -> Option<Exceeded> {
        self.0.iter().find_map(|limits| limits.region(site, region))
    }

    /// As they stand in the journal of a run.
    pub(super) fn as_recorded(&self) -> Vec<LimitsFile> {
        self.0.iter().map(Limits::as_recorded).collect()
    }
}

fn in_lines(exceeded: &[Exceeded]) -> String {
    exceeded.iter().map(|one| format!("\n  {one}")).collect()
}

/// `by` is what names the file.
fn read(path: &Path, by: &str, output: &Output) -> Result<Limits> {
    let shown = path.display().to_string();
    let cannot = |why: String| {
        Error::bad_input(format!(
            "{shown}, which {by} names, cannot be read: {why}; nothing was run"
        ))
        .help("without its limits nothing is run: let it name a file that can be read")
    };
    let bytes = read_file(path, FILE_BYTES).map_err(|e| cannot(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8 text".to_owned()))?;
    let source = Source::new(shown.clone(), text);
    Limits::read(&source).map_err(|found| {
        output.note(&scenario::render(&source, &found, output.color_errors));
        let found: Vec<_> = found.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
        Error::bad_input(format!("the limits in {shown} cannot be used; nothing was run"))
            .because_of(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ColorChoice;
    use crate::error::ExitCode;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.yaml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn named(variable: Option<&Path>, files: &[PathBuf]) -> Result<InForce> {
        let variable = variable.map(|path| path.as_os_str().to_owned());
        InForce::named(variable, files, &Output::new(ColorChoice::Never))
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_never_no_limits() {
        let (folder, broken) = written("redrill_limits: 1\nacounts: []\n");
        let absent = folder.path().join("absent.yaml");
        for path in [&absent, &broken, &folder.path().to_owned()] {
            let by_variable = named(Some(path), &[]).unwrap_err();
            let by_option = named(None, std::slice::from_ref(path)).unwrap_err();
            assert_eq!(by_variable.exit_code(), ExitCode::BadInput, "{by_variable}");
            assert_eq!(by_option.exit_code(), ExitCode::BadInput, "{by_option}");
        }
        let empty = named(Some(Path::new("")), &[]).unwrap_err();
        assert!(empty.to_string().contains("names no file"), "{empty}");
    }

    #[test]
    fn the_file_of_the_command_line_does_not_replace_that_of_the_environment() {
        let (_one, narrow) = written("redrill_limits: 1\nregions: [eu-west-1]\n");
        let (_other, wide) = written("redrill_limits: 1\nregions: [eu-west-1, us-east-1]\n");
        let both = named(Some(&narrow), &[wide]).unwrap();
        let site = SiteName::new("dr");
        assert_eq!(both.region(&site, "eu-west-1"), None);
        assert!(both.region(&site, "us-east-1").is_some());
        assert_eq!(both.as_recorded().len(), 2);
    }

    #[test]
    fn without_any_file_nothing_is_limited_and_nothing_is_recorded() {
        let none = named(None, &[]).unwrap();
        assert_eq!(none.account(&SiteName::new("dr"), "111111111111"), None);
        assert!(none.as_recorded().is_empty());
    }
}
