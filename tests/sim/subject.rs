//! What is drilled: a plan and the estate to drill it in.

use super::model::Draft;
use redrill::action::Registry;
use redrill::plan::{Options, Plan, RunMode, compile};
use redrill::sandbox::Estate;
use redrill::scenario::{Source, load_text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A plan and its estate.
#[derive(Clone)]
pub(crate) struct Subject {
    /// The scenario and the estate: `orders-db/orders-db.stale`, `generated 4711`.
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) estate: Estate,
    /// What the generator knows of its steps; none for scenarios written by people.
    pub(crate) drafts: Option<Vec<Draft>>,
}

impl Subject {
    /// Reads, checks and compiles texts, as the program does.
    pub(crate) fn read(
        name: &str,
        scenario: &str,
        (estate_path, estate): (&str, &str),
        mode: RunMode,
        registry: &Registry,
    ) -> Result<Self, String> {
        let loaded = load_text(Source::new("scenario.yaml", scenario), registry);
        if loaded.has_errors() {
            return Err(format!("{name}: {}", loaded.render(false)));
        }
        let scenario = loaded.scenario.ok_or_else(|| format!("{name}: no scenario"))?;
        let options = Options { mode, inputs: BTreeMap::new(), deviations: Vec::new() };
        let plan = compile(&scenario, loaded.source.digest(), registry, options)
            .map_err(|e| format!("{name}: {e}"))?;
        let estate = Estate::read(estate_path, estate).map_err(|e| format!("{name}: {e}"))?;
        Ok(Self { name: name.to_owned(), plan, estate, drafts: None })
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

/// The shipped scenarios, each in each of its estates; the healthy one comes first.
pub(crate) fn shipped(registry: &Registry) -> Vec<Subject> {
    in_every_estate(RunMode::Drill, registry)
}

/// The same as recoveries: nothing is prepared before the loss, the lost sites are silent from the beginning, and what was brought
/// back stays.
pub(crate) fn recoveries(registry: &Registry) -> Vec<Subject> {
    in_every_estate(RunMode::Recovery, registry)
}

fn in_every_estate(mode: RunMode, registry: &Registry) -> Vec<Subject> {
    let mut all = Vec::new();
    for scenario in yaml_files(&folder()) {
        let name = scenario.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&scenario).unwrap_or_default();
        let mut estates = yaml_files(&folder().join("estates"));
        estates.retain(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            file.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'))
        });
        estates.sort_by_key(|path| path.file_name().unwrap_or_default().len());
        for path in estates {
            let estate = std::fs::read_to_string(&path).unwrap_or_default();
            let mut title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if mode == RunMode::Recovery {
                title += " (recovery)";
            }
            let path = path.display().to_string();
            match Subject::read(&title, &text, (&path, &estate), mode, registry) {
                Ok(subject) => all.push(subject),
                Err(why) => panic!("{why}"),
            }
        }
    }
    assert!(all.len() >= 4, "the shipped scenarios were not found");
    all
}

/// The shipped scenarios in their healthy estates only.
pub(crate) fn shipped_healthy(registry: &Registry) -> Vec<Subject> {
    let mut all = shipped(registry);
    all.retain(|subject| subject.name == subject.plan.name);
    all
}
