//! Reading a scenario and finding everything that is wrong with it, in one go and without a network.
//!
//! Main functions: [`load`], [`load_text`]. Three layers, each of which reports all that it finds: the YAML (one error at most),
//! its shape (the published schema), its meaning (the files beside this one). Every layer works on the tree with
//! positions and is content with less than a whole scenario, so that one mistake does not hide another.

mod certificates;
mod context;
mod databases;
mod expectations;
mod guard;
mod inputs;
mod needs;
mod objectives;
mod references;
mod shape;
mod sizes;
mod steps;
mod values;
mod watches;

#[cfg(test)]
mod tests;

pub(crate) use context::{each_text, names_a_site_to_write};
pub(crate) use values::{Validators, is_of_kind};

use super::diagnostic::Diagnostic;
use super::model::Scenario;
use super::source::{Kind, Node, Source};
use crate::action::Registry;
use crate::limits;
use context::Context;
use serde::Deserialize;
use std::io;
use std::path::Path;

/// A scenario that has been read, with everything that was found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The text.
    pub source: Source,
    /// The scenario; `None` when there are errors.
    pub scenario: Option<Scenario>,
    /// Errors and warnings, by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// True when the scenario cannot be used.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Says that another file of the folder has this name as well: runs of both would be numbered as those of one scenario.
    pub fn shares_its_name_with(&mut self, other: &Path) {
        let Some(scenario) = self.scenario.take() else { return };
        let root = Node::parse(&self.source).ok();
        let name = root.as_ref().and_then(|root| root.get("name"));
        let span = name.map_or(0..0, |name| name.span.clone());
        let message = format!("{} is named {}, too", other.display(), scenario.name);
        let mut error = Diagnostic::new("RD013", &self.source, span, message)
            .help("give one of them another name, or move it to another folder");
        error.cut();
        self.diagnostics.push(error);
        sort(&mut self.diagnostics);
    }

    /// Everything found, drawn for a terminal.
    pub fn render(&self, colour: bool) -> String {
        super::render(&self.source, &self.diagnostics, colour)
    }
}

/// Reads and checks a file. That it cannot be read is found like everything else, so that one file does not hide others.
pub fn load(path: &Path, registry: &Registry) -> Loaded {
    let shown = path.display().to_string();
    // One byte more is enough to see that it is too large: that is a finding with a code and a place.
    let read = read(path);
    let read = read.map_err(|error| format!("{shown} cannot be read: {error}")).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| format!("{shown} cannot be read: it is not UTF-8 text"))
    });
    match read {
        Ok(text) => load_text(Source::new(shown, text), registry),
        Err(why) => {
            let source = Source::new(shown, String::new());
            let diagnostics = vec![Diagnostic::new("RD012", &source, 0..0, why)];
            Loaded { source, scenario: None, diagnostics }
        }
    }
}

/// The bytes of a file. A pipe or a device that lies among files is waited for until somebody writes to it, perhaps for ever; those
/// under `/dev` and among the open files of this process (`/dev/stdin`, a shell's `<(…)`) are named on purpose.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = path.metadata()?;
    let is_named = ["/dev", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder));
    if !found.is_file() && !found.is_dir() && !is_named {
        return Err(io::Error::other("it is a pipe or a device, and no file"));
    }
    limits::read_file(path, limits::FILE_BYTES)
}

/// Checks a text.
pub fn load_text(source: Source, registry: &Registry) -> Loaded {
    let mut loaded = checked(source, registry);
    loaded.diagnostics.iter_mut().for_each(Diagnostic::cut);
    loaded
}

fn checked(source: Source, registry: &Registry) -> Loaded {
    let root = match Node::parse(&source) {
        Ok(root) => root,
        Err(error) => return Loaded { source, scenario: None, diagnostics: vec![*error] },
    };
    if let Some(steps) = root.get("steps")
        && let Kind::List(items) = &steps.kind
        && items.len() > limits::SCENARIO_STEPS
    {
        let message = format!("there are {} steps: the most is 2000", items.len());
        let error = Diagnostic::new("RD002", &source, steps.span.clone(), message);
        return Loaded { source, scenario: None, diagnostics: vec![error] };
    }
    let mut diagnostics = shape::check(&source, &root, registry);
    if diagnostics.len() > limits::SCENARIO_ERRORS {
        // It is no scenario at all, and what it means need not be looked for.
        shorten(&source, &mut diagnostics);
        return Loaded { source, scenario: None, diagnostics };
    }
    let context = Context::new(&source, &root, registry);
    steps::check(&context, &mut diagnostics);
    references::check(&context, &mut diagnostics);
    needs::check(&context, &mut diagnostics);
    if let Some(error) = sizes::too_large(&context) {
        diagnostics.push(error);
        sort(&mut diagnostics);
        shorten(&source, &mut diagnostics);
        return Loaded { source, scenario: None, diagnostics };
    }
    values::check(&context, &mut diagnostics);
    inputs::check(&context, &mut diagnostics);
    expectations::check(&context, &mut diagnostics);
    objectives::check(&context, &mut diagnostics);
    guard::check(&context, &mut diagnostics);
    databases::check(&context, &mut diagnostics);
    certificates::check(&context, &mut diagnostics);
    watches::check(&context, &mut diagnostics);
    let mut scenario = None;
    if !diagnostics.iter().any(Diagnostic::is_error) {
        match Scenario::deserialize(root.to_value()) {
            Ok(read) => scenario = Some(read),
            // The schema is made from the same types, so this is a hole in it, and still better an error than a panic.
            Err(error) => {
                diagnostics.push(Diagnostic::new("RD011", &source, 0..0, error.to_string()))
            }
        }
    }
    sort(&mut diagnostics);
    shorten(&source, &mut diagnostics);
    Loaded { source, scenario, diagnostics }
}

/// By place, each once.
fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (a.line, a.column, a.code, &a.message).cmp(&(b.line, b.column, b.code, &b.message))
    });
    diagnostics.dedup();
}

/// Keeps as many errors as anybody reads. Warnings are few, and are kept while there are no errors.
fn shorten(source: &Source, diagnostics: &mut Vec<Diagnostic>) {
    let is_too_long = diagnostics.len() > limits::SCENARIO_ERRORS;
    if !is_too_long || !diagnostics.iter().any(Diagnostic::is_error) {
        return;
    }
    diagnostics.retain(Diagnostic::is_error);
    if diagnostics.len() > limits::SCENARIO_ERRORS {
        diagnostics.truncate(limits::SCENARIO_ERRORS);
        let message = "there are more errors than these: correct these first";
        diagnostics.push(Diagnostic::new("RD002", source, 0..0, message));
    }
}
