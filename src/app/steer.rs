use super::orders;
use super::output::Output;
use super::resume;
use super::run::operator;
use super::run_one::report_of;
use super::runs::{RunFolder, Store};
use crate::cli::{AbortArgs, Format, ResumeArgs, SteerArgs};
use crate::engine::{LONGEST_REMOVAL, Order};
use crate::error::{Error, ExitCode, Result};
use crate::providers;
use crate::time::{Clock, HumanDuration};
use serde_json::json;
use std::time::Duration;

/// `redrill pause`
pub(super) fn pause(args: &SteerArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    orders::give(&folder, Order::Pause { by: operator() })?;
    output.print(&format!(
        "{} starts and removes nothing more; what runs goes on, and so does the clock of the RTO.\n\
         redrill continue {0} lets it go on, redrill abort {0} ends it",
        folder.name()
    ))?;
    Ok(ExitCode::Passed)
}

/// `redrill continue`
pub(super) fn go_on(args: &SteerArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    orders::give(&folder, Order::Continue { by: operator() })?;
    output.print(&format!("{} goes on", folder.name()))?;
    Ok(ExitCode::Passed)
}

/// `redrill abort`: through the process of the run, or in its place when it is gone. Returns when the run is over.
pub(super) fn abort(args: &AbortArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let order = Order::Cancel { by: operator(), incident: args.incident };
    let limit = HumanDuration(LONGEST_REMOVAL);
    output.note(&format!(
        "ending {}: each removal is given up after {limit}, and then said to be left behind{}",
        folder.name(),
        if args.incident { "; everything is removed at once" } else { "" }
    ));
    if !orders::is_at_work(&folder)? {
        if folder.load()?.state.finished.is_some() {
            return Err(Error::bad_input(format!("{} is over", folder.name()))
                .help("redrill show RUN tells what it left behind"));
        }
        let resume = ResumeArgs {
            run: args.run.clone(),
            endpoint_url: args.endpoint_url.clone(),
            store_region: None,
            take_over: false,
            format: args.format,
        };
        let ended = resume::go_on_with(&resume, &folder, Some(order), store, output)?;
        return resume::show(&ended, args.format, output);
    }
    orders::give(&folder, order)?;
    wait_for_its_end(&folder)?;
    let report = report_of(&folder, &providers::registry(), &[])?;
    match args.format {
        Format::Json => output.json(&json!({
            "format": 1, "run": folder.name(), "verdict": report.verdict.outcome,
            "left_behind": report.exit.left_behind, "unfinished": report.exit.unfinished,
        }))?,
        Format::Text => output.print(&format!(
            "{} is over: {}, {} left behind",
            folder.name(),
            report.verdict.text,
            match report.exit.left_behind {
                0 => "nothing".to_owned(),
                left => format!("{left} resources"),
            }
        ))?,
    }
    Ok(report.exit_code())
}

/// The process of the run holds the journal's lock until it is over.
fn wait_for_its_end(folder: &RunFolder) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let clock = Clock::system();
        while orders::is_at_work(folder)? {
            clock.sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    })
}
