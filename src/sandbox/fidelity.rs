//! What is simulated, and how far.

/// An operation that the sandbox simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The service, as in signatures: `rds`.
    pub service: &'static str,
    /// The operation.
    pub name: &'static str,
    /// What is simulated and what is not.
    pub fidelity: &'static str,
}

/// Every operation that the sandbox simulates, besides those of S3.
pub const FIDELITY: &[Operation] = &[];
