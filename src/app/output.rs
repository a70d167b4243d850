use crate::cli::ColorChoice;
use crate::error::{Error, Result};
use std::io::{IsTerminal, Write};

/// Standard output and standard error, and whether they take colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Colour on standard output.
    pub(super) color: bool,
    /// Colour on standard error.
    pub(super) color_errors: bool,
    /// Standard error is a terminal: live progress can be drawn.
    pub(super) live: bool,
}

impl Output {
    pub(super) fn new(choice: ColorChoice) -> Self {
        let wanted = |terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && no_color_is_unset(),
        };
        let live = std::io::stderr().is_terminal();
        Self { color: wanted(std::io::stdout().is_terminal()), color_errors: wanted(live), live }
    }

    /// Writes to standard output. A reader that went away (`| head`) is no error.
    pub(super) fn print(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        match out.write_all(text.as_bytes()).and_then(|()| out.write_all(newline.as_bytes())) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::broken(format!("standard output cannot be written: {e}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a line to standard error. Nobody to read it is no error.
    #[expect(clippy::unused_self, reason = "the counterpart of print")]
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Writes a value as JSON.
    pub(super) fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::broken(format!("the answer cannot be written as JSON: {e}")))?;
        self.print(&text)
    }
}

/// <https://no-color.org>: set and not empty means no colour.
#[expect(clippy::disallowed_methods, reason = "the environment is read in app/ and outside/ only")]
fn no_color_is_unset() -> bool {
    std::env::var("NO_COLOR").unwrap_or_default().is_empty()
}
