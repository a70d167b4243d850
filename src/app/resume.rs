use super::interrupt::Interrupts;
use super::output::Output;
use super::progress::Progress;
use super::report::earlier_runs;
use super::run_one;
use super::runs::Store;
use super::world::Target;
use crate::cli::{Format, ResumeArgs};
use crate::error::{Error, ExitCode, Result};
use crate::journal::{self, RunHead, WorldKind};
use crate::providers;
use tokio::sync::watch;

/// `redrill resume`
pub(super) fn resume(args: &ResumeArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let folder = store.find(&args.run)?;
    let contents = journal::read(&folder.journal()).map_err(|e| folder.refused(&e))?;
    let state = folder.fold(&contents.records)?;
    let head =
        state.head.clone().ok_or_else(|| folder.refused(&"it does not start with a start"))?;
    let target = target(args, &head, state.finished.is_some())?;
    let plan = folder.plan()?;
    let mut progress = Progress::new(&plan, *output, false, false);
    let earlier = earlier_runs(store, &plan.name, head.number)?;
    let interrupts = Interrupts::new();
    let (done, watching) = watch::channel(false);
    let interrupt = interrupts.subscribe();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| super::run::listen_until(&interrupts, watching, store, output));
        let registry = providers::registry();
        let ended = run_one::resume(&folder, &registry, target, &mut progress, interrupt, &earlier);
        done.send_replace(true);
        ended
    })?;
    match args.format {
        Format::Json => output.json(&ended.report)?,
        Format::Text => output.print(&ended.summary(output))?,
    }
    Ok(ended.report.exit_code())
}

/// The world that the run was in. An estate ended with its process: a rehearsal cannot be gone on with.
fn target(args: &ResumeArgs, head: &RunHead, finished: bool) -> Result<Target> {
    match (&head.world, &args.endpoint_url) {
        (_, Some(url)) => Ok(Target::Endpoint(url.clone())),
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
