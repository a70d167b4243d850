//! Files that scenarios name, in a rehearsal: what the estate says of them, and never those of this machine.

use crate::error::{Error, Result};
use crate::limits;
use crate::outside::{OutsideError, read_file};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file holds that a scenario names.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileAnswer {
    /// This.
    Text(String),
    /// What stands in another one.
    Kept(KeptFile),
}

/// A file beside the estate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptFile {
    /// Its path, which starts at the estate file.
    pub file: String,
}

impl FileAnswer {
    /// What it holds, up to a limit.
    pub(super) fn bytes(
        &self,
        directory: &Path,
        limit: u64,
    ) -> std::result::Result<Vec<u8>, OutsideError> {
        let large =
            |what: &str| OutsideError::Failed(format!("{what} is larger than {limit} bytes"));
        match self {
            Self::Text(text) if text.len() as u64 > limit => Err(large("it")),
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Kept(kept) => read_file(&directory.join(&kept.file).to_string_lossy(), limit),
        }
    }
}

/// Whether every file is there that stands in for one of a scenario.
pub(super) fn check(files: &BTreeMap<String, FileAnswer>, directory: &Path) -> Result<()> {
    for (name, answer) in files {
        answer
            .bytes(directory, limits::ESTATE_OBJECT_BYTES)
            .map_err(|e| Error::bad_input(format!("answers.files.{name}: {e}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Estate;

    /// An estate in a folder with a kept inventory, whose scenario's file is this.
    fn estate(answer: &str) -> crate::error::Result<Estate> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kept.json"), "{}").unwrap();
        let name = folder.path().join("estate.yaml");
        let text = format!(
            "estate: 1\nnow: 2026-11-20T02:00:00Z\naccounts: {{}}\nplaces: []\nanswers: {{ files: {{ baseline.json: {answer} }} }}\n"
        );
        let read = Estate::read(name.to_str().unwrap(), &text)?;
        let bytes = read.answers.files["baseline.json"].bytes(folder.path(), 2).unwrap();
        assert_eq!(bytes, b"{}");
        let error = read.answers.files["baseline.json"].bytes(folder.path(), 1).unwrap_err();
        assert!(error.to_string().contains("larger than 1 bytes"), "{error}");
        Ok(read)
    }

    #[test]
    fn a_file_is_a_text_or_stands_beside_the_estate() {
        for answer in ["'{}'", "{ file: kept.json }"] {
            estate(answer).unwrap();
        }
        for (answer, words) in [
            ("{ file: absent.json }", "answers.files.baseline.json: "),
            ("{ path: kept.json }", "FileAnswer"),
        ] {
            let error = estate(answer).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
