use super::codes;
use super::source::Source;
use crate::limits;
use crate::visible::visible;
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The scenario cannot be used.
    Error,
    /// It can be used, and somebody should look.
    Warning,
}

/// Something wrong with a scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// `RD207`: see `docs/errors.md`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are meant, on the first line.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The same place in bytes, for drawing it.
    #[serde(skip)]
    pub(super) span: Range<usize>,
}

impl Diagnostic {
    /// Something at a place of a source. The severity is that of the code.
    pub fn new(
        code: &'static str,
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let (line, column) = source.position(span.start);
        let span = first_line_of(&source.text, span);
        Self {
            code,
            severity: codes::severity(code),
            file: source.file.clone(),
            line,
            column,
            length: source.text[span.clone()].chars().count().max(1),
            message: message.into(),
            expected: None,
            help: None,
            span,
        }
    }

    /// Says what was expected there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Cuts what quotes more than anybody reads.
    pub(super) fn cut(&mut self) {
        let texts = [Some(&mut self.message), self.expected.as_mut(), self.help.as_mut()];
        for text in texts.into_iter().flatten() {
            *text = limits::cut(std::mem::take(text), limits::DIAGNOSTIC_BYTES);
        }
    }

    /// True when the scenario cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    /// One line, as compilers write it: `file:line:column: error[RD003]: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        let Self { line, column, code, .. } = self;
        let (file, message) = (visible(&self.file, &[]), visible(&self.message, &['\n']));
        write!(f, "{file}:{line}:{column}: {severity}[{code}]: {message}")
    }
}

/// A place that goes over several lines is marked on its first one.
fn first_line_of(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..start + text[start..end].trim_end().len()
}
