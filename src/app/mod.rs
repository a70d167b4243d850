//! One short function per verb. `world` is the one place that knows both worlds, the real one and the sandbox.
//!
//! Main function: [`main`]. What a verb prints is made in `render` or beside the verb; nothing in here decides what a run
//! means.

mod actions;
mod answer;
mod check;
mod estate;
mod interrupt;
mod load;
mod output;
mod plan;
mod progress;
mod report;
mod resume;
mod run;
mod run_one;
mod runbook;
mod runs;
mod sandbox;
mod show;
mod world;

use crate::cli::{Cli, Command};
use crate::error::{ExitCode, Result};
use output::Output;

pub use world::sandboxed;

/// Carries out a command.
///
/// # Errors
/// What went wrong, with the exit code that it means.
pub fn main(cli: Cli) -> Result<ExitCode> {
    let output = Output::new(cli.color);
    let store = runs::Store::new(cli.runs_dir);
    match cli.command {
        Command::Run(args) => run::run(&args, &store, &output),
        Command::Resume(args) => resume::resume(&args, &store, &output),
        Command::Check(args) => check::check(&args, &output),
        Command::Plan(args) => plan::plan(&args, &output),
        Command::Runs(args) => show::runs(&args, &store, &output),
        Command::Show(args) => show::show(&args, &store, &output),
        Command::Report(args) => report::report(&args, &store, &output),
        Command::Runbook(args) => runbook::runbook(&args, &store, &output),
        Command::Approve(args) => answer::answer(&args, true, &store, &output),
        Command::Reject(args) => answer::answer(&args, false, &store, &output),
        Command::Actions(args) => actions::actions(&args, &output),
        Command::Schema(_) => check::schema(&output),
        Command::Sandbox(command) => sandbox::sandbox(command, &output),
        Command::Completions(args) => actions::completions(&args, &output),
    }
}
