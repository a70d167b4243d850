//! One short function per verb. `world` is the one place that knows both worlds, the real one and the sandbox.
//!
//! Main function: [`main`]. What a verb prints is made in `render` or beside the verb; nothing in here decides what a run
//! means.

mod actions;
mod answer;
mod check;
mod credentials;
mod estate;
mod etcd;
mod history;
mod iam;
mod identify;
mod interrupt;
mod journal_store;
mod journals;
mod load;
mod orders;
mod organisation;
mod output;
mod plan;
mod preflight;
mod progress;
mod reap;
#[cfg(test)]
mod reap_tests;
mod reaped;
mod refusal;
mod report;
mod resume;
mod run;
mod run_one;
mod run_words;
mod runbook;
mod runs;
mod sandbox;
mod second_person;
mod show;
mod simulated;
mod sql;
mod standing;
mod steer;
mod stopped;
mod the_end;
mod world;

use crate::cli::{Cli, Command};
use crate::error::{ExitCode, Result};
use output::Output;
use serde_json::json;

pub use simulated::sandboxed;

/// Carries out a command.
///
/// # Errors
/// What went wrong, with the exit code that it means.
pub fn main(cli: Cli) -> Result<ExitCode> {
    let output = Output::new(cli.color);
    let in_json = cli.command.answers_in_json();
    let ended = carry_out(cli, output);
    if let (Err(error), true) = (&ended, in_json) {
        // Whoever reads JSON gets JSON; that it could not be written changes nothing about the error.
        let _ = output.json(&json!({ "format": 1, "error": error.as_json() }));
    }
    ended
}

fn carry_out(cli: Cli, output: Output) -> Result<ExitCode> {
    let store = runs::Store::new(cli.runs_dir);
    match cli.command {
        Command::Run(args) => run::run(&args, &store, &output),
        Command::Resume(args) => resume::resume(&args, &store, &output),
        Command::Pause(args) => steer::pause(&args, &store, &output),
        Command::Continue(args) => steer::go_on(&args, &store, &output),
        Command::Abort(args) => steer::abort(&args, &store, &output),
        Command::Reap(args) => reap::reap(&args, &store, &output),
        Command::Check(args) => check::check(&args, &output),
        Command::Plan(args) => plan::plan(&args, &output),
        Command::Iam(args) => iam::iam(&args, &output),
        Command::Preflight(args) => preflight::preflight(&args, &output),
        Command::Runs(args) => show::runs(&args, &store, &output),
        Command::Show(args) => show::show(&args, &store, &output),
        Command::Report(args) => report::report(&args, &store, &output),
        Command::Runbook(args) => runbook::runbook(&args, &store, &output),
        Command::Approve(args) => answer::answer(&args, true, &store, &output),
        Command::Reject(args) => answer::answer(&args, false, &store, &output),
        Command::Actions(args) => actions::actions(&args, &output),
        Command::Schema(_) => check::schema(&output),
        Command::Etcd(command) => etcd::etcd(command, &output),
        Command::Sql(command) => sql::sql(command, &output),
        Command::Sandbox(command) => sandbox::sandbox(command, &output),
        Command::Completions(args) => actions::completions(&args, &output),
    }
}
