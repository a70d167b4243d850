use crate::journal::{Failure, FailureClass};
use crate::outside::OutsideError;
use std::fmt;

/// Why a step could not go on. What it left behind is not said here: the ledger knows.
#[derive(Clone, Debug, PartialEq)]
pub struct StepError(Box<Failure>);

impl StepError {
    fn new(class: FailureClass, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Failure { class, code: None, message, help: None }))
    }

    /// The recovery does not work: no usable backup, a restore that ends in an error state. The step fails.
    pub fn recovery(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Recovery, message)
    }

    /// The tool could not do its work. The step is inconclusive.
    pub fn broken(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Broken, message)
    }

    /// Permission or credentials are missing. The step is inconclusive.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Denied, message)
    }

    /// Credentials that worked have expired and were not renewed in time. The step is inconclusive.
    pub fn credentials_expired(message: impl Into<String>) -> Self {
        Self::new(FailureClass::CredentialsExpired, message).help(
            "renew the credentials (aws sso login, or however you get them), then run it again",
        )
    }

    /// Something failed for a moment. The step may be tried again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, message)
    }

    /// A limit was reached.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(FailureClass::TimedOut, message)
    }

    /// A person said no.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Rejected, message)
    }

    /// Adds to the message what became of it.
    #[must_use]
    pub fn noting(mut self, what: &str) -> Self {
        self.0.message = format!("{}; {what}", self.0.message);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The kind.
    pub fn class(&self) -> FailureClass {
        self.0.class
    }

    /// The error code of the service, where there is one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// As it is written to the journal.
    pub fn into_failure(self) -> Failure {
        *self.0
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

impl From<OutsideError> for StepError {
    fn from(error: OutsideError) -> Self {
        let class = match &error {
            OutsideError::NotRehearsed(_) => FailureClass::NotRehearsed,
            OutsideError::Unreachable(_) => FailureClass::Transient,
            OutsideError::Denied(_) => FailureClass::Denied,
            OutsideError::Failed(_) | OutsideError::NoAnswer => FailureClass::Broken,
        };
        Self::new(class, error.to_string())
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for StepError {}
