use super::orders;
use super::organisation::InForce;
use super::output::Output;
use super::resume::{self, Way};
use super::run::operator;
use super::run_one::report_of;
use super::runs::{RunFolder, Store};
use crate::cli::{AbortArgs, Format, SteerArgs};
use crate::engine::Order;
use crate::error::{Error, ExitCode, Result};
use crate::journal::{self, Event, Record, RunState};
use crate::providers;
use crate::time::Clock;
use serde_json::json;
use std::time::Duration;

/// `redrill pause`
pub(super) fn pause(args: &SteerArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find_itself(&args.run)?;
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
    let folder = store.find_itself(&args.run)?;
    if orders::is_at_work(&folder)? {
        let state = folder.load()?.state;
        if state.paused.is_none() && state.finished.is_none() {
            return Err(Error::bad_input(format!("nobody has halted {}", folder.name())));
        }
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
    if !orders::is_at_work(&folder)? && folder.load()?.state.finished.is_some() {
        return Err(orders::is_over(&folder));
    }
    loop {
        let was_at_work = ended_by_its_process(&folder, &order, output)?;
        if folder.load()?.state.finished.is_some() {
            return show_its_end(&folder, args.format, output);
        }
        if was_at_work {
            let name = folder.name();
            output
                .note(&format!("the process of {name} has died meanwhile: going on in its place"));
        }
        match abort_in_its_place(args, (&folder, &way), order.clone(), store, output) {
            // Another process was faster: it is to end the run, then.
            Err(_) if orders::is_at_work(&folder)? => {}
            ended => return ended,
        }
    }
}

/// Tells how a run ended that its own process has ended.
fn show_its_end(folder: &RunFolder, format: Format, output: &Output) -> Result<ExitCode> {
    let report = report_of(folder, &providers::registry(), &[])?;
    match format {
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
                1 => "1 resource".to_owned(),
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

/// Has the process of a run end it, and waits until none is at work any more; true when there was one. A process may die with the order
/// in its hands, and another one go on with the run and never hear of it: that one is given the order, too.
fn ended_by_its_process(folder: &RunFolder, order: &Order, output: &Output) -> Result<bool> {
    let mut was_at_work = false;
    while orders::is_at_work(folder)? {
        if was_at_work {
            let name = folder.name();
            output.note(&format!("another process goes on with {name}: it is told to end it, too"));
        }
        was_at_work = true;
        // A journal that cannot be read keeps nobody from giving the order; to give it twice does no harm.
        let before = standing(folder).map_or(0, |(_, resumptions)| resumptions);
        let is_over = || standing(folder).is_ok_and(|(state, _)| state.finished.is_some());
        match orders::give(folder, order.clone()) {
            // The run has come to its end, or its process has died, before the order was taken.
            Err(_) if !orders::is_at_work(folder)? || is_over() => {}
            given => {
                given?;
                let incident = matches!(order, Order::Cancel { incident: true, .. });
                output.note(&orders::ending(folder, incident));
            }
        }
        wait_for_its_end(folder, (order, before), output)?;
    }
    Ok(was_at_work)
}

/// The process of the run holds the journal's lock until it is over. Returns earlier when another one has gone on with the run, and
/// has not heard the order: `before` is how often one had done so when it was given.
fn wait_for_its_end(
    folder: &RunFolder,
    (order, before): (&Order, usize),
    output: &Output,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Error::broken(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let clock = Clock::system();
        let (mut is_heard, mut is_told, since) = (false, false, clock.elapsed());
        while orders::is_at_work(folder)? {
            if !is_heard {
                let (state, resumptions) = standing(folder).unwrap_or_default();
                is_heard = has_heard(&state, order);
                if !is_heard && resumptions > before {
                    return Ok(());
                }
                let waited = clock.elapsed().saturating_sub(since);
                if !is_heard && !is_told && waited >= RECORDED_WITHIN {
                    output.note(&unheard(folder, &state));
                    is_told = true;
                }
            }
            clock.sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    })
}

/// Whether a run ends as it was told to, by its journal: then whoever goes on with it does so, too.
fn has_heard(state: &RunState, order: &Order) -> bool {
    let ends = match order {
        Order::Cancel { incident: true, .. } => state.incident,
        _ => state.cancelled.is_some() || state.releasing && state.paused.is_none(),
    };
    ends || state.finished.is_some()
}

/// Where a run stands, by its journal alone, and how often a process has gone on with it.
fn standing(folder: &RunFolder) -> Result<(RunState, usize)> {
    let contents = journal::read(&folder.journal()).map_err(|e| folder.unreadable(&e))?;
    let state = folder.fold(&contents.records)?;
    let is_resumption = |record: &&Record| matches!(record.event, Event::RunResumed { .. });
    Ok((state, contents.records.iter().filter(is_resumption).count()))
}

fn unheard(folder: &RunFolder, state: &RunState) -> String {
    let store = match folder.has_store() {
        true => {
            "; where its store does not answer, end that process, and then abort the run with --without-store"
        }
        false => "",
    };
    format!("{}; waiting for its end{store}", why_not(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn regression_a_run_that_was_cancelled_has_not_heard_of_an_incident() {
        let end = |incident| Order::Cancel { by: "anna".to_owned(), incident };
        let nothing = RunState::default();
        let cancelled = RunState { cancelled: Some("ben".to_owned()), ..RunState::default() };
        let urgent = RunState { incident: true, ..cancelled.clone() };
        let releasing = RunState { releasing: true, ..RunState::default() };
        let halted = RunState { paused: Some("ben".to_owned()), ..releasing.clone() };
        let over = RunState { finished: Some(Outcome::Passed), ..RunState::default() };
        let heard = |incident| {
            [&nothing, &cancelled, &urgent, &releasing, &halted, &over]
                .map(|state| has_heard(state, &end(incident)))
        };
        assert_eq!(heard(false), [false, true, true, true, false, true]);
        assert_eq!(heard(true), [false, false, true, false, false, true]);
    }
}
