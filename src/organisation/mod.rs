//! What the organisation allows, whatever a scenario says: a small file that the author of a scenario cannot widen.
//!
//! Main type: [`Limits`]; main functions: [`Limits::read`], [`Limits::exceeded`]. Pure: nothing in here reads a file or calls
//! anything. Limits are compared with what a scenario declares; that a run keeps to what it declares is the guard's affair.

mod judge;
mod read;
#[cfg(test)]
mod tests;

pub use judge::{Asked, Exceeded};

use crate::ids::Digest;
use crate::journal::LimitsFile;
use crate::time::HumanDuration;
use std::collections::BTreeSet;

/// The limits of one file. What is `None` is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    file: String,
    digest: Digest,
    accounts: Option<Limit<BTreeSet<String>>>,
    regions: Option<Limit<BTreeSet<String>>>,
    max_duration: Option<Limit<HumanDuration>>,
    max_resources: Option<Limit<u32>>,
    modes: Option<Limit<BTreeSet<String>>>,
}

/// One limit, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit<T> {
    /// Of its key, from 1; the column in characters.
    line: usize,
    column: usize,
    value: T,
}

impl Limits {
    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// As it stands in the journal of a run.
    pub fn as_recorded(&self) -> LimitsFile {
        LimitsFile { file: self.file.clone(), digest: self.digest }
    }
}
