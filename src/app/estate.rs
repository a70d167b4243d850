use super::runs::read_text;
use crate::error::{Error, Result};
use crate::sandbox::{Estate, Fault};
use std::path::{Path, PathBuf};

/// The estate file of a rehearsal: the one that was named, or the one that lies beside the scenario.
pub(super) fn path_for(scenario: &Path, name: &str, wanted: Option<&str>) -> Result<PathBuf> {
    let folder = scenario.parent().unwrap_or(Path::new("")).join("estates");
    let candidates = match wanted {
        None => vec![folder.join(format!("{name}.yaml"))],
        Some(wanted) => vec![PathBuf::from(wanted), folder.join(format!("{name}.{wanted}.yaml"))],
    };
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let tried: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
    let known = variants(&folder, name);
    let error = Error::bad_input(format!(
        "there is no estate to rehearse {name} in: tried {}",
        tried.join(" and ")
    ));
    Err(error.help(if known.is_empty() {
        "write one (docs/guide.md shows how), and name it with --estate FILE".to_owned()
    } else {
        format!("there are these: {}", known.join(", "))
    }))
}

/// The variants that lie beside a scenario's estate.
fn variants(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names
        .filter_map(|file| {
            let rest = file.strip_prefix(name)?.strip_suffix(".yaml")?.to_owned();
            rest.strip_prefix('.').map(str::to_owned)
        })
        .collect();
    found.sort();
    found
}

/// Faults as they were written on the command line.
pub(super) fn faults(written: &[String]) -> Result<Vec<Fault>> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|why| Error::bad_input(format!("the fault {text:?} cannot be read: {why}")))
    };
    written.iter().map(parse).collect()
}

/// Reads an estate.
pub(super) fn read(path: &Path) -> Result<Estate> {
    Estate::read(&path.display().to_string(), &read_text(path)?)
}
