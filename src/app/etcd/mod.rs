//! `redrill etcd …`: a snapshot in somebody's hands, without a scenario, a cluster or a network.
//!
//! Main entry: [`etcd`]. What is judged is judged by [`crate::formats`]; in here it is opened and told.

mod decrypt;
mod diff;
mod inventory;
mod open;
mod verify;

use super::output::Output;
use crate::cli::EtcdCommand;
use crate::error::{Error, ExitCode, Result};

/// `redrill etcd …`
pub(super) fn etcd(command: EtcdCommand, output: &Output) -> Result<ExitCode> {
    match command {
        EtcdCommand::Verify(args) => verify::verify(&args, output),
        EtcdCommand::Inventory(args) => inventory::inventory(&args, output),
        EtcdCommand::Diff(args) => diff::diff(&args, output),
    }
}

/// A line of two columns.
fn row(name: &str, value: &str) -> String {
    format!("  {name:<14}{value}\n")
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::broken(format!("{} cannot be read: {error}", path.display()))
}
