use super::orders;
use super::organisation::InForce;
use super::output::Output;
use super::resume::{self, Way};
use super::run::operator;
use super::run_one::report_of;
use super::runs::{RunFolder, Store};
use crate::cli::{AbortArgs, Format, SteerArgs};
use crate::engine::{LONGEST_REMOVAL, Order};
use crate::error::{Error, ExitCode, Result};
use crate::journal::RunState;
use crate::providers;
use crate::time::{Clock, HumanDuration};
use serde_json::json;
use std::time::Duration;

/// `redrill pause`
pub(super) fn pause(args: &SteerArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let state = steered(&folder, Order::Pause { by: operator() }, |state| state.paused.is_some())?;
    if state.paused.is_none() {
        return Err(Error::bad_input(format!(
            "{} does not halt: {}",
            folder.name(),
            why_not(&state)
        )));
    }
    output.print(&format!(
        "{} starts and removes nothing more; what runs goes on, and so does the clock of the RTO.\n\
         {} lets it go on, {} ends it",
        folder.name(),
        folder.command("continue"),
        folder.command("abort")
    ))?;
    Ok(ExitCode::Passed)
}

/// `redrill continue`
pub(super) fn go_on(args: &SteerArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    if orders::is_at_work(&folder)? && folder.load()?.state.paused.is_none() {
        return Err(Error::bad_input(format!("nobody has halted {}", folder.name())));
    }
    let state =
        steered(&folder, Order::Continue { by: operator() }, |state| state.paused.is_none())?;
    if state.paused.is_some() && state.finished.is_none() {
        let why = why_not(&state);
        return Err(Error::bad_input(format!("{} does not go on: {why}", folder.name())));
    }
    output.print(&format!("{} goes on", folder.name()))?;
    Ok(ExitCode::Passed)
}

/// Gives an order, and waits for its record: what has only been taken may come too late.
fn steered(
    folder: &RunFolder,
    order: Order,
    is_done: impl Fn(&RunState) -> bool,
) -> Result<RunState> {
    orders::give(folder, order)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let clock = Clock::system();
        let mut left = RECORDED_WITHIN;
        loop {
            let state = folder.load()?.state;
            if is_done(&state) || state.finished.is_some() || left.is_zero() {
                return Ok(state);
            }
            clock.sleep(orders::LOOK).await;
            left = left.saturating_sub(orders::LOOK);
        }
    })
}

/// How long an order that was taken may take until it stands in the journal.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

fn why_not(state: &RunState) -> &'static str {
    match state {
        RunState { finished: Some(_), .. } => "it is over",
        RunState { incident: true, .. } => "an incident needs its capacity",
        _ => "its process has not written the order down; redrill show tells how it stands",
    }
}

/// `redrill abort`: through the process of the run, or in its place when it is gone. Returns when the run is over.
pub(super) fn abort(args: &AbortArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let way = Way::of(args.endpoint_url.as_deref(), &args.in_store, args.incident);
    let folder = resume::folder_of(&args.run, &way, store, output)?;
    let order = Order::Cancel { by: operator(), incident: args.incident };
    let limit = HumanDuration(LONGEST_REMOVAL);
    output.note(&format!(
        "ending {}: each removal is given up after {limit}, and then said to be left behind{}",
        folder.name(),
        if args.incident { "; everything is removed at once" } else { "" }
    ));
    if !orders::is_at_work(&folder)? {
        if folder.load()?.state.finished.is_some() {
            return Err(Error::bad_input(format!("{} is over", folder.name())).help(format!(
                "{} tells what it left behind; {} --all --yes removes what was kept",
                folder.command("show"),
                folder.command("reap --run")
            )));
        }
        return abort_in_its_place(args, (&folder, &way), order, store, output);
    }
    let taken = steered(&folder, order.clone(), |state| {
        state.cancelled.is_some() || state.releasing && state.paused.is_none()
    })?;
    if taken.cancelled.is_none() && !taken.releasing && taken.finished.is_none() {
        let store = match folder.has_store() {
            true => {
                "; where its store does not answer, end that process, and then abort the run with --without-store"
            }
            false => "",
        };
        output.note(&format!("{}; waiting for its end{store}", why_not(&taken)));
    }
    wait_for_its_end(&folder)?;
    if folder.load()?.state.finished.is_none() {
        output.note(&format!(
            "the process of {} has died meanwhile: going on in its place",
            folder.name()
        ));
        return abort_in_its_place(args, (&folder, &way), order, store, output);
    }
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

/// Ends a run whose process is gone. An incident waits for no store: what the run made is removed without it, and that is said.
fn abort_in_its_place(
    args: &AbortArgs,
    (folder, way): (&RunFolder, &Way<'_>),
    order: Order,
    store: &Store,
    output: &Output,
) -> Result<ExitCode> {
    // Giving back is held to no limit of the organisation.
    let limits = InForce::default();
    let go_on = |way: &Way<'_>| {
        resume::go_on_with(way, folder, (Some(order.clone()), &limits), store, output)
    };
    let ended = match go_on(way) {
        Err(stopped) if args.incident && stopped.by_store && way.without_store.is_none() => {
            go_on(&Way { without_store: Some(stopped.error.to_string()), ..way.clone() })
        }
        ended => ended,
    }?;
    resume::show(&ended, args.format, output)
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
