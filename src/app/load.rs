//! From files and arguments to plans: every error of every file is found before anything happens.

use super::output::Output;
use super::runs::read_text;
use crate::action::Registry;
use crate::cli::ScenarioArgs;
use crate::error::{Error, Result};
use crate::plan::{self, Plan, RunMode};
use crate::scenario::{self, Diagnostic, Loaded};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Scenario files, and those of folders (without their sub-folders), by name.
pub(super) fn scenario_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path)
            .map_err(|e| Error::bad_input(format!("{} cannot be read: {e}", path.display())))?;
        let mut inside: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .collect();
        inside.sort();
        if inside.is_empty() {
            return Err(Error::bad_input(format!("there is no scenario in {}", path.display())));
        }
        files.extend(inside);
    }
    Ok(files)
}

/// Names of scenarios so far, by folder, and the files that have them.
#[derive(Default)]
pub(super) struct Names(BTreeMap<(PathBuf, String), PathBuf>);

impl Names {
    /// Says of a scenario that a file of the same folder has its name already.
    pub(super) fn hold(&mut self, path: &Path, loaded: &mut Loaded) {
        // What a shell hands over by a pipe lies in no folder.
        let Some(scenario) = loaded.scenario.as_ref().filter(|_| path.is_file()) else { return };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let place = (real(folder.unwrap_or(Path::new("."))), scenario.name.clone());
        let first = self.0.entry(place).or_insert_with(|| path.to_owned());
        // A file that is given twice, or has a link beside it, is one scenario.
        if real(first) != real(path) {
            loaded.shares_its_name_with(first);
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A scenario that is sound, and its text as it was.
pub(super) struct Ready {
    pub(super) path: PathBuf,
    pub(super) plan: Plan,
    pub(super) text: String,
}

/// Reads, checks and compiles scenarios. All that is wrong is printed; then nothing is run.
pub(super) fn plans(
    paths: &[PathBuf],
    registry: &Registry,
    mode: RunMode,
    values: &ScenarioArgs,
    output: &Output,
) -> Result<Vec<Ready>> {
    let given = given(values)?;
    let mut ready = Vec::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    let mut shown = String::new();
    let mut names = Names::default();
    for path in scenario_files(paths)? {
        let mut loaded = scenario::load(&path, registry);
        names.hold(&path, &mut loaded);
        shown.push_str(&loaded.render(output.color_errors));
        wrong.extend(loaded.diagnostics.iter().filter(|d| d.is_error()).cloned());
        let Some(scenario) = loaded.scenario.filter(|_| wrong.is_empty()) else { continue };
        let options = plan::Options {
            mode,
            inputs: given.for_scenario(&scenario.inputs, paths.len() > 1),
            deviations: Vec::new(),
        };
        let plan = plan::compile(&scenario, loaded.source.digest(), registry, options)
            .map_err(|e| named(&path, &e))?;
        ready.push(Ready { path, plan, text: loaded.source.text.clone() });
    }
    if !shown.is_empty() {
        output.note(&shown);
    }
    let said = match wrong.len() {
        0 => return Ok(ready),
        1 => "there is 1 error; nothing was run".to_owned(),
        n => format!("there are {n} errors; nothing was run"),
    };
    let found = wrong.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
    Err(Error::bad_input(said).because_of(found))
}

/// The error of a compilation, with the file before it.
fn named(path: &Path, error: &Error) -> Error {
    let named = Error::bad_input(format!("{}: {error}", path.display()));
    match error.help_text() {
        Some(help) => named.help(help),
        None => named,
    }
}

/// Values given on the command line.
struct Given(BTreeMap<String, Value>);

impl Given {
    /// With several scenarios, each takes the values that it declares; with one, an unknown name is an error of the
    /// compiler's.
    fn for_scenario<T>(
        &self,
        declared: &BTreeMap<String, T>,
        several: bool,
    ) -> BTreeMap<String, Value> {
        let takes = |name: &String| !several || declared.contains_key(name);
        self.0.iter().filter(|(name, _)| takes(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }
}

fn given(values: &ScenarioArgs) -> Result<Given> {
    let mut given = match &values.inputs {
        None => BTreeMap::new(),
        Some(path) => {
            let text = read_text(path)?;
            serde_saphyr::from_str(&text).map_err(|e| {
                Error::bad_input(format!("{} cannot be read: {e}", path.display()))
                    .help("write names and values: `instance: orders-db`")
            })?
        }
    };
    given.extend(values.set.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))));
    Ok(Given(given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::testing::{GOOD, registry};
    use std::process::Command;

    #[test]
    fn regression_two_scenarios_of_one_folder_do_not_share_a_name() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("elsewhere")).unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["a.yaml", "b.yaml", "elsewhere/a.yaml"] {
            std::fs::write(path(name), GOOD).unwrap();
        }
        std::fs::write(path("c.yaml"), GOOD.replacen("name: orders-db", "name: other", 1)).unwrap();
        std::os::unix::fs::symlink(path("a.yaml"), path("link.yaml")).unwrap();
        let mut names = Names::default();
        let mut held = |name: &str| {
            let mut loaded = scenario::load(&path(name), &registry());
            names.hold(&path(name), &mut loaded);
            loaded
        };
        for name in ["a.yaml", "a.yaml", "c.yaml", "link.yaml", "elsewhere/a.yaml"] {
            let loaded = held(name);
            assert!(loaded.scenario.is_some(), "{name}: {:?}", loaded.diagnostics);
        }
        let loaded = held("b.yaml");
        assert!(loaded.scenario.is_none() && loaded.has_errors());
        let [found] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
        assert_eq!((found.code, found.line, found.column), ("RD013", 2, 7));
        assert!(found.message.ends_with("/a.yaml is named orders-db, too"), "{}", found.message);
        assert!(found.file.ends_with("/b.yaml"), "{}", found.file);
    }

    /// As a shell hands them over: `redrill check <(…) <(…)`.
    #[test]
    fn regression_what_is_no_file_lies_in_no_folder_and_may_share_its_name() {
        let root = tempfile::tempdir().unwrap();
        let mut names = Names::default();
        let mut held = |name: &str| {
            let source = scenario::Source::new(name, GOOD);
            let mut loaded = scenario::load_text(source, &registry());
            names.hold(&root.path().join(name), &mut loaded);
            loaded
        };
        for pipe in ["63", "62"] {
            let path = root.path().join(pipe);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
        std::fs::write(root.path().join("a.yaml"), GOOD).unwrap();
        for name in ["63", "62", "a.yaml", "63"] {
            let loaded = held(name);
            assert!(loaded.scenario.is_some(), "{name}: {:?}", loaded.diagnostics);
        }
    }
}
