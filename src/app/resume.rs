use super::interrupt::Interrupts;
use super::output::Output;
use super::progress::Progress;
use super::report::earlier_runs;
use super::run_one::{self, Ended};
use super::runs::{RunFolder, Store};
use super::world::Target;
use crate::cli::{Format, ResumeArgs};
use crate::engine::Order;
use crate::error::{Error, ExitCode, Result};
use crate::journal::{self, RunHead, WorldKind};
use crate::providers;
use tokio::sync::watch;

/// `redrill resume`
pub(super) fn resume(args: &ResumeArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let ended = take_over(&folder, args.endpoint_url.as_deref(), None, store, output)?;
    show(&ended, args.format, output)
}

/// Prints how a run ended.
pub(super) fn show(ended: &Ended, format: Format, output: &Output) -> Result<ExitCode> {
    match format {
        Format::Json => output.json(&ended.report)?,
        Format::Text => output.print(&ended.summary(output))?,
    }
    Ok(ended.report.exit_code())
}

/// Goes on with a run whose process ended early; with an order, that comes before everything else.
pub(super) fn take_over(
    folder: &RunFolder,
    endpoint_url: Option<&str>,
    order: Option<Order>,
    store: &Store,
    output: &Output,
) -> Result<Ended> {
    let contents = journal::read(&folder.journal()).map_err(|e| folder.refused(&e))?;
    let state = folder.fold(&contents.records)?;
    let head =
        state.head.clone().ok_or_else(|| folder.refused(&"it does not start with a start"))?;
    let target = target(endpoint_url, &head, state.finished.is_some())?;
    if let (Some(by), None, None) = (&state.paused, &state.finished, &order) {
        output.note(&format!(
            "{by} has halted this run: it starts nothing before redrill continue {}",
            folder.name()
        ));
    }
    let plan = folder.plan()?;
    let mut progress = Progress::new(&plan, *output, false, false);
    let earlier = earlier_runs(store, &plan.name, head.number)?;
    let interrupts = Interrupts::default();
    let (done, watching) = watch::channel(false);
    let orders = interrupts.subscribe(folder, order);
    std::thread::scope(|scope| {
        scope.spawn(|| super::run::listen_until(&interrupts, watching, store, output));
        let registry = providers::registry();
        let ended = run_one::resume(folder, &registry, target, &mut progress, orders, &earlier);
        done.send_replace(true);
        ended
    })
}

/// The world that the run was in. An estate ended with its process: a rehearsal cannot be gone on with.
fn target(endpoint_url: Option<&str>, head: &RunHead, finished: bool) -> Result<Target> {
    match (&head.world, endpoint_url) {
        (_, Some(url)) => Ok(Target::Endpoint(url.to_owned())),
        (WorldKind::Real, None) => Ok(Target::Real),
        (WorldKind::Endpoint { url }, None) => Ok(Target::Endpoint(url.clone())),
        // Nothing is called for a run that is over; its reports are written again.
        (WorldKind::Rehearsal { .. }, None) if finished => Ok(Target::Real),
        (WorldKind::Rehearsal { .. }, None) => Err(Error::bad_input(format!(
            "{} was a rehearsal: its estate ended with the process, so there is nothing to go on with",
            head.run
        ))
        .help("run it again with --sandbox; nothing of it is left anywhere")),
    }
}
