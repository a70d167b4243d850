//! What can go wrong with the tool itself, and the exit codes.
//!
//! Main types: [`Error`], [`ExitCode`]. A bad backup is not an error but a finding: it lives in the journal and in the
//! report.

use serde_json::{Value, json};
use std::fmt;

/// How the process ends. Where several apply, the order of precedence is refused, bad input, cancelled, failed,
/// left behind, inconclusive, passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Everything was verified and every objective met.
    Passed,
    /// An objective was missed or a verification failed.
    Failed,
    /// Something could not be verified, or the tool could not do its work.
    Inconclusive,
    /// The scenario or the command line is wrong. Nothing has happened.
    BadInput,
    /// The guard refused a call.
    Refused,
    /// Resources were left behind.
    LeftBehind,
    /// Cancelled by a person.
    Cancelled,
}

impl ExitCode {
    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Inconclusive => 2,
            Self::BadInput => 3,
            Self::Refused => 4,
            Self::LeftBehind => 5,
            Self::Cancelled => 130,
        }
    }

    /// The one that decides when several apply.
    pub fn worst(codes: impl IntoIterator<Item = Self>) -> Self {
        const ORDER: [ExitCode; 7] = [
            ExitCode::Refused,
            ExitCode::BadInput,
            ExitCode::Cancelled,
            ExitCode::Failed,
            ExitCode::LeftBehind,
            ExitCode::Inconclusive,
            ExitCode::Passed,
        ];
        let rank = |code: &Self| ORDER.iter().position(|c| c == code);
        codes.into_iter().min_by_key(rank).unwrap_or(Self::Inconclusive)
    }
}

/// An error of the tool or of its input: what happened, why, and what to do. Printed once, by `main`.
#[derive(Debug)]
pub struct Error {
    code: ExitCode,
    message: String,
    help: Option<String>,
    found: Vec<Value>,
}

impl Error {
    /// The scenario, another file or the command line is wrong.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { code: ExitCode::BadInput, message: message.into(), help: None, found: Vec::new() }
    }

    /// The tool could not do its work: the disk is full, a service cannot be reached.
    pub fn broken(message: impl Into<String>) -> Self {
        Self {
            code: ExitCode::Inconclusive,
            message: message.into(),
            help: None,
            found: Vec::new(),
        }
    }

    /// A person ended it before it had begun.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Cancelled, message: message.into(), help: None, found: Vec::new() }
    }

    /// A rule of safety forbids it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Refused, message: message.into(), help: None, found: Vec::new() }
    }

    /// Adds what the person can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what was found one by one, for programs.
    #[must_use]
    pub fn because_of(mut self, found: Vec<Value>) -> Self {
        self.found = found;
        self
    }

    /// As programs read it: message, help, exit code, and what was found one by one.
    pub fn as_json(&self) -> Value {
        let Self { message, help, found, code } = self;
        let mut error = json!({ "message": message, "exit_code": code.number() });
        if let Some(help) = help {
            error["help"] = json!(help);
        }
        if !found.is_empty() {
            error["diagnostics"] = json!(found);
        }
        error
    }

    /// How the process should end because of it.
    pub fn exit_code(&self) -> ExitCode {
        self.code
    }

    /// What the person can do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What is said of a bug that ended a step or the program. A message that was put together at that moment is not shown:
/// it may hold data or a secret.
pub fn of_panic(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    let message = message.unwrap_or("the message is not shown, since it may hold data");
    format!("error: this is a bug of redrill, at {place}: {message}")
}

/// The result of most functions that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::ExitCode::{self, *};
    use serde_json::json;

    #[test]
    fn an_error_has_a_form_for_programs() {
        let error = super::Error::bad_input("no run").help("redrill runs");
        let wanted = json!({ "message": "no run", "help": "redrill runs", "exit_code": 3 });
        assert_eq!(error.as_json(), wanted);
    }

    #[test]
    fn the_gravest_exit_code_wins() {
        assert_eq!(ExitCode::worst([Passed, Inconclusive, LeftBehind]), LeftBehind);
        assert_eq!(ExitCode::worst([Failed, LeftBehind]), Failed);
        assert_eq!(ExitCode::worst([Failed, Refused]), Refused);
        assert_eq!(ExitCode::worst([]), Inconclusive);
    }
}
