use super::history::History;
use super::interrupt::Interrupts;
use super::journal_store::{self, Objects, StoreUrl, Stored};
use super::organisation::InForce;
use super::output::Output;
use super::progress::Progress;
use super::run_one::{self, Ended, GoingOn};
use super::runs::{RunFolder, Store};
use super::second_person;
use super::world::{self, Target};
use crate::cli::{Format, ResumeArgs};
use crate::engine::Order;
use crate::error::{Error, ExitCode, Result};
use crate::ids::RunId;
use crate::journal::{self, Hold, RunHead, RunState, WorldKind};
use crate::organisation::Asked;
use crate::providers;
use crate::time::Clock;
use std::sync::Arc;
use tokio::sync::watch;

/// `redrill resume`
pub(super) fn resume(args: &ResumeArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let limits = InForce::of(&args.limits, output)?;
    let folder = match journal_store::run_at(&args.run) {
        Some(there) => fetched(args, there?, store, output)?,
        None => store.find(&args.run)?,
    };
    let ended = go_on_with(args, &folder, (None, &limits), store, output)?;
    show(&ended, args.format, output)
}

/// Prints how a run ended.
pub(super) fn show(ended: &Ended, format: Format, output: &Output) -> Result<ExitCode> {
    match format {
        Format::Json => output.json(&ended.report)?,
        Format::Text => output.print(&ended.summary(output))?,
    }
    ended.complain(output);
    Ok(ended.exit_code())
}

/// Goes on with a run whose process ended early; with an order, that comes before everything else. A run that only gives back is
/// held to no limit of the organisation: what it made goes away, wherever it is.
pub(super) fn go_on_with(
    args: &ResumeArgs,
    folder: &RunFolder,
    (order, limits): (Option<Order>, &InForce),
    store: &Store,
    output: &Output,
) -> Result<Ended> {
    // Held from here to the end: whoever gives an order meanwhile sees that a process is at work, and gives it to this one.
    let hold = Hold::take(&folder.journal()).map_err(|e| folder.refused(&e))?;
    let hold = hold.ok_or_else(|| folder.refused(&"another process is working on this run"))?;
    let contents = journal::read(&folder.journal()).map_err(|e| folder.refused(&e))?;
    let state = folder.fold(&contents.records)?;
    let head =
        state.head.clone().ok_or_else(|| folder.refused(&"it does not start with a start"))?;
    let target = target(args.endpoint_url.as_deref(), &head, state.finished.is_some())?;
    let plan = folder.plan(&state)?;
    let gives_back = only_gives_back(&state, order.as_ref());
    let limits = if gives_back { InForce::default() } else { limits.clone() };
    limits.hold(head.run.as_str(), Asked::by(&plan)).map_err(|refusal| {
        let gives_back = format!("redrill abort {} removes what it made", folder.name());
        refusal.help(gives_back)
    })?;
    let interrupts = Interrupts::default();
    let orders = interrupts.subscribe(folder, order);
    if state.finished.is_none() && folder.has_store() {
        take_over(args, &target, folder, &head, output)?;
    }
    if state.finished.is_none() && !gives_back {
        // The journal of the store may tell of answers that this folder did not know of.
        second_person::hold(folder, &plan, &super::run::operator())?;
    }
    if let (Some(by), None, false) = (&state.paused, &state.finished, gives_back) {
        output.note(&format!(
            "{by} has halted this run: it starts nothing before redrill continue {}",
            folder.name()
        ));
    }
    let mut progress = Progress::new(&plan, *output, false, false);
    let history = History::before(store, &plan, head.number, &head.world)?;
    let (done, watching) = watch::channel(false);
    std::thread::scope(|scope| {
        scope.spawn(|| super::run::listen_until(&interrupts, watching, output));
        let registry = providers::registry();
        let how = GoingOn { hold, orders, limits: &limits, gives_back };
        let ended = run_one::resume(folder, &registry, target, &mut progress, how, &history);
        done.send_replace(true);
        ended
    })
}

/// Whether going on with a run only removes what it made, or only writes its reports: that is held to no limits.
fn only_gives_back(state: &RunState, order: Option<&Order>) -> bool {
    let is_ended = matches!(order, Some(Order::Cancel { .. }));
    is_ended || state.cancelled.is_some() || state.releasing || state.finished.is_some()
}

/// Fetches a run from its store into a folder of its own, unless it is there already.
fn fetched(
    args: &ResumeArgs,
    (url, run): (StoreUrl, RunId),
    store: &Store,
    output: &Output,
) -> Result<RunFolder> {
    let target = match &args.endpoint_url {
        Some(url) => Target::Endpoint(url.clone()),
        None => Target::Real,
    };
    if let Some(folder) = here_already(store, &run) {
        return Ok(folder);
    }
    let stored = Stored {
        url: url.to_string(),
        region: args.store_region.clone(),
        owner: None,
        token: String::new(),
    };
    let fetched = target.runtime()?.block_on(async {
        let objects = objects(&target, &stored, &run, output).await?;
        journal_store::fetch(&objects).await
    })?;
    let folder = store.adopt(&run)?;
    folder.write("plan.json", &fetched.plan)?;
    folder.write("scenario.yaml", &fetched.scenario)?;
    folder.write_store(&stored)?;
    folder.write("journal.jsonl", &fetched.lines)?;
    output.note(&format!("fetched {} from {url}", folder.path.display()));
    Ok(folder)
}

/// The folder of exactly this run, when this machine has it: another run may have the same number.
fn here_already(store: &Store, run: &RunId) -> Option<RunFolder> {
    let folder = store.find(run.as_str()).ok().filter(RunFolder::has_store)?;
    let contents = journal::read(&folder.journal()).ok()?;
    let head = folder.fold(&contents.records).ok()?.head?;
    (head.run == *run).then_some(folder)
}

/// Claims the run in its store, and brings the two journals to one. The journal of the folder must be held.
fn take_over(
    args: &ResumeArgs,
    target: &Target,
    folder: &RunFolder,
    head: &RunHead,
    output: &Output,
) -> Result<()> {
    let mut stored = folder.store()?;
    if let Some(region) = &args.store_region {
        stored.region = Some(region.clone());
        folder.write_store(&stored)?;
    }
    target.runtime()?.block_on(async {
        let objects = objects(target, &stored, &head.run, output).await?;
        let how = (args.take_over, Clock::system().now());
        journal_store::take_over(&objects, folder, &head.run, how).await
    })
}

async fn objects(
    target: &Target,
    stored: &Stored,
    run: &RunId,
    output: &Output,
) -> Result<Objects> {
    let url: StoreUrl = stored.url.parse()?;
    let session = world::store_session(target, None, &url, stored.region.as_deref()).await?;
    let output = *output;
    let tell = Arc::new(move |text: &str| output.note(text));
    Ok(Objects::new(session, url, run.clone(), Clock::system(), tell))
}

/// The world that the run was in. An estate ended with its process: a rehearsal cannot be gone on with.
fn target(endpoint_url: Option<&str>, head: &RunHead, finished: bool) -> Result<Target> {
    match (&head.world, endpoint_url) {
        // What was begun on AWS and ended elsewhere would be called evidence of a recovery on AWS.
        (WorldKind::Real, Some(url)) => Err(Error::refused(format!(
            "{} runs on AWS, and cannot be gone on with at {url}; nothing was done",
            head.run
        ))
        .help("leave --endpoint-url out")),
        (WorldKind::Endpoint { .. }, Some(url)) => Ok(Target::Endpoint(url.to_owned())),
        (WorldKind::Real, None) => Ok(Target::Real),
        (WorldKind::Endpoint { url }, None) => Ok(Target::Endpoint(url.clone())),
        // Nothing is called for a run that is over; its reports are written again.
        (WorldKind::Rehearsal { .. }, _) if finished => Ok(Target::Real),
        (WorldKind::Rehearsal { .. }, _) => Err(Error::bad_input(format!(
            "{} was a rehearsal: its estate ended with the process, so there is nothing to go on with",
            head.run
        ))
        .help("run it again with --sandbox; nothing of it is left anywhere")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn a_run_that_only_gives_back_is_told_from_one_that_goes_on() {
        let cancel = Order::Cancel { by: "operator".to_owned(), incident: false };
        let (pause, by) = (Order::Pause { by: "operator".to_owned() }, "a watch".to_owned());
        let goes_on = RunState::default();
        assert!(!only_gives_back(&goes_on, None) && !only_gives_back(&goes_on, Some(&pause)));
        assert!(only_gives_back(&goes_on, Some(&cancel)));
        for state in [
            RunState { cancelled: Some(by), ..RunState::default() },
            RunState { releasing: true, ..RunState::default() },
            RunState { finished: Some(Outcome::Passed), ..RunState::default() },
        ] {
            assert!(only_gives_back(&state, None), "{state:?}");
        }
    }
}
