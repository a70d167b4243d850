use super::history::History;
use super::interrupt::Interrupts;
use super::journal_store::{self, Objects, StoreUrl, Stored};
use super::journals::{in_words, is_same_world};
use super::orders;
use super::organisation::InForce;
use super::output::Output;
use super::progress::Progress;
use super::run_one::{self, Ended, GoingOn};
use super::run_words::found_by_tags;
use super::runs::{RunFolder, Store};
use super::second_person;
use super::stopped::Stopped;
use super::world::{self, Target};
use crate::cli::{Format, InStoreArgs, ResumeArgs};
use crate::engine::Order;
use crate::error::{Error, ExitCode, Result};
use crate::ids::RunId;
use crate::journal::{self, Record, RunHead, RunState, WorldKind};
use crate::organisation::Asked;
use crate::outside::Secrets;
use crate::plan::Plan;
use crate::providers;
use crate::time::Clock;
use std::cell::Cell;
use std::sync::Arc;
use tokio::sync::watch;

/// Where and how a run is gone on with.
#[derive(Clone)]
pub(super) struct Way<'a> {
    /// The address of a test server, if one is named.
    pub(super) endpoint_url: Option<&'a str>,
    pub(super) in_store: &'a InStoreArgs,
    /// Why its store is left out, if it is.
    pub(super) without_store: Option<String>,
    /// Somebody needs what it has made: credentials of the store are not waited for.
    pub(super) in_a_hurry: bool,
}

impl<'a> Way<'a> {
    /// As the command line has it.
    pub(super) fn of(
        endpoint_url: Option<&'a str>,
        in_store: &'a InStoreArgs,
        in_a_hurry: bool,
    ) -> Self {
        let without_store = in_store.without_store.then(|| "--without-store was given".to_owned());
        Self { endpoint_url, in_store, without_store, in_a_hurry }
    }
}

/// `redrill resume`
pub(super) fn resume(args: &ResumeArgs, store: &Store, output: &Output) -> Result<ExitCode> {
    let limits = InForce::of(&args.limits, output)?;
    let way = Way::of(args.endpoint_url.as_deref(), &args.in_store, false);
    let folder = folder_of(&args.run, &way, store, output)?;
    let ended = go_on_with(&way, &folder, (None, &limits), store, output)?;
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
    way: &Way<'_>,
    folder: &RunFolder,
    (order, limits): (Option<Order>, &InForce),
    store: &Store,
    output: &Output,
) -> Result<Ended, Stopped> {
    // Held from here to the end: whoever gives an order meanwhile sees that a process is at work, and gives it to this one.
    let hold = orders::hold(folder)?;
    let hold = hold.ok_or_else(|| folder.refused(&"another process is working on this run"))?;
    // What was left for an earlier process does not count, and its giver sees that this one goes on; what comes from now on is for it.
    orders::take(&folder.path);
    let state = folder.fold(&records_of(folder)?)?;
    let head =
        state.head.clone().ok_or_else(|| folder.refused(&"it does not start with a start"))?;
    if state.finished.is_none() && !folder.is_named_after(&head.run) {
        return Err(store.is_a_copy(folder, &head.run).into());
    }
    let target = target(way.endpoint_url, (&head.run, &head.world), state.finished.is_some())?;
    let plan = folder.plan(&state)?;
    let interrupts = Interrupts::default();
    let orders = interrupts.subscribe(folder, order.clone());
    let hurry = interrupts.hurry(folder);
    let order = order.as_ref();
    let judge = Judge {
        folder,
        head: &head,
        plan: &plan,
        target: &target,
        order,
        limits,
        judged: Cell::default(),
    };
    let without_store = match folder.has_store() {
        true => in_its_store(way, &judge, &state, output)?,
        false => None,
    };
    // The journal of the store may tell of answers, and of an end, that this folder did not know of.
    let records = records_of(folder)?;
    judge.hold(&records)?;
    let state = folder.fold(&records)?;
    let gives_back = only_gives_back(&state, order);
    let limits = if gives_back { InForce::default() } else { limits.clone() };
    if let (Some(by), None, false) = (&state.paused, &state.finished, gives_back) {
        output.note(&format!(
            "{by} has halted this run: it starts nothing before {}",
            folder.command("continue")
        ));
    }
    let mut progress = Progress::new(&plan, *output, false, false);
    if let Some(Order::Cancel { incident, .. }) = order {
        progress.say_with_next_record(orders::ending(folder, *incident));
    }
    let history = History::before(store, &plan, head.number, &head.world)?;
    let (done, watching) = watch::channel(false);
    std::thread::scope(|scope| {
        // A panic drops it, which ends the listening, too.
        let done = done;
        scope.spawn(|| super::run::listen_until(&interrupts, watching, output));
        let registry = providers::registry();
        let how = GoingOn { hold, orders, hurry, limits: &limits, gives_back, without_store };
        let ended = run_one::resume(folder, &registry, target, &mut progress, how, &history);
        done.send_replace(true);
        ended
    })
}

/// What the journal in the folder of the run says now.
fn records_of(folder: &RunFolder) -> Result<Vec<Record>> {
    let contents = journal::read(&folder.journal()).map_err(|e| folder.unreadable(&e))?;
    Ok(contents.records)
}

/// What decides whether somebody may go on with a run.
struct Judge<'a> {
    folder: &'a RunFolder,
    head: &'a RunHead,
    plan: &'a Plan,
    target: &'a Target,
    order: Option<&'a Order>,
    limits: &'a InForce,
    /// How many records the journal had that nothing was found against.
    judged: Cell<Option<usize>>,
}

impl Judge<'_> {
    /// Refuses what goes beyond a limit, or would be done on the word of who goes on, by what a journal of the run says. Where that only
    /// gives back, nothing is refused.
    fn hold(&self, records: &[Record]) -> Result<()> {
        // Whoever ends a run is not kept from it by what its journal says.
        if is_ended_by(self.order) || self.judged.get() == Some(records.len()) {
            return Ok(());
        }
        let state = self.folder.fold(records)?;
        if !only_gives_back(&state, self.order) {
            self.may_go_on(records, &state)?;
        }
        self.judged.set(Some(records.len()));
        Ok(())
    }

    fn may_go_on(&self, records: &[Record], state: &RunState) -> Result<()> {
        let held = self.limits.hold(self.head.run.as_str(), Asked::by(self.plan));
        held.map_err(|refusal| {
            refusal.help(format!("{} removes what it made", self.folder.command("abort")))
        })?;
        let identity = self.target.identity(&self.plan.sites)?;
        let goes_on = second_person::GoesOn { user: super::run::operator(), identity };
        second_person::hold(self.folder, self.plan, (records, state), &goes_on)
    }
}

/// Whether going on with a run only removes what it made, or only writes its reports: that is held to no limits.
fn only_gives_back(state: &RunState, order: Option<&Order>) -> bool {
    is_ended_by(order) || state.cancelled.is_some() || state.releasing || state.finished.is_some()
}

fn is_ended_by(order: Option<&Order>) -> bool {
    matches!(order, Some(Order::Cancel { .. }))
}

/// Takes the run over in its store, or leaves the store out: why, is given then. A run that is over needs its store for nothing,
/// which is brought up to the end if it can be.
fn in_its_store(
    way: &Way<'_>,
    judge: &Judge<'_>,
    state: &RunState,
    output: &Output,
) -> Result<Option<String>, Stopped> {
    let &Judge { folder, head, target, order, .. } = judge;
    if state.finished.is_some() {
        if way.without_store.is_none() && !head.world.is_rehearsal() {
            let at_once = Way { in_a_hurry: true, ..way.clone() };
            complete_store(&at_once, target, folder, head, output);
        }
        return Ok(None);
    }
    let Some(why) = &way.without_store else {
        let may = |records: &[Record]| judge.hold(records);
        return take_over(way, target, folder, (head, &may), output).map(|()| None);
    };
    if !only_gives_back(state, order) {
        let refused = format!(
            "{} would go on with its drill, and does so in its store only: another machine could do the same; nothing was done",
            folder.name()
        );
        return Err(Error::refused(refused).help(folder.without_store()).into());
    }
    journal_store::leave_out(folder)?;
    output.note(&format!(
        "the store is left out ({why}): what the journal in {} tells is removed",
        folder.path.display()
    ));
    Ok(Some(why.clone()))
}

/// Brings the store of a run that is over up to its end: the last write may have reached only the disk.
fn complete_store(
    way: &Way<'_>,
    target: &Target,
    folder: &RunFolder,
    head: &RunHead,
    output: &Output,
) {
    let is_behind = folder.store().is_ok_and(|stored| stored.behind);
    let completed = || -> Result<bool> {
        if !is_behind && !ends_earlier(way, target, folder, head, output)? {
            return Ok(false);
        }
        take_over(way, target, folder, (head, &|_| Ok(())), output)?;
        Ok(true)
    };
    match completed() {
        Ok(false) => {}
        Ok(true) => output.note("the journal in the store now goes to the end of the run"),
        Err(error) => {
            let ends = if is_behind { "still ends" } else { "may end" };
            output.note(&format!("the journal in the store {ends} earlier: {error}"));
        }
    }
}

/// Whether the store has less than the folder.
fn ends_earlier(
    way: &Way<'_>,
    target: &Target,
    folder: &RunFolder,
    head: &RunHead,
    output: &Output,
) -> Result<bool> {
    let stored = remembered(way, folder)?;
    target.runtime()?.block_on(async {
        let objects = objects(target, &stored, &head.run, (way, output)).await?;
        journal_store::ends_earlier(&objects, folder).await
    })
}

/// The folder of a run that is named by its address in a store, or as [`Store::find`] finds it.
pub(super) fn folder_of(
    name: &str,
    way: &Way<'_>,
    store: &Store,
    output: &Output,
) -> Result<RunFolder> {
    match journal_store::run_at(name) {
        Some(there) => fetched(way, there?, store, output),
        None => store.find(name),
    }
}

/// Fetches a run from its store into a folder of its own, unless it is there already.
fn fetched(
    way: &Way<'_>,
    (url, run): (StoreUrl, RunId),
    store: &Store,
    output: &Output,
) -> Result<RunFolder> {
    let target = match way.endpoint_url {
        Some(url) => Target::Endpoint(url.to_owned()),
        None => Target::Real,
    };
    if let Some(folder) = here_already(store, &run) {
        return Ok(folder);
    }
    if way.without_store.is_some() {
        let nowhere = format!("no journal of {run} is here, and without its store there is none");
        return Err(Error::bad_input(nowhere).help(found_by_tags(Some(&run))));
    }
    let stored = Stored {
        url: url.to_string(),
        region: way.in_store.store_region.clone(),
        owner: None,
        token: String::new(),
        pending: None,
        behind: false,
    };
    let fetched = target.runtime()?.block_on(async {
        let objects = objects(&target, &stored, &run, (way, output)).await?;
        journal_store::fetch(&objects).await
    });
    let fetched = fetched.map_err(|error| match error.exit_code() {
        ExitCode::Inconclusive => {
            let help = error.help_text().map(|help| format!("{help}; ")).unwrap_or_default();
            error.help(format!("{help}{}", found_by_tags(Some(&run))))
        }
        _ => error,
    })?;
    let folder = store.adopt(&run)?;
    if folder.put_down(&fetched, &stored)? {
        output.note(&format!("fetched {} from {url}", folder.path.display()));
        return Ok(folder);
    }
    // Another process of this machine has fetched it meanwhile.
    here_already(store, &run).ok_or_else(|| {
        let there = "it is there, and is no journal of this run that can be read, with its store";
        folder.refused(&there).help("move its folder away: the store has the run")
    })
}

/// The folder of exactly this run, when this machine has it: another run may have the same number.
fn here_already(store: &Store, run: &RunId) -> Option<RunFolder> {
    let folder = store.find(run.as_str()).ok().filter(RunFolder::has_store)?;
    let contents = journal::read(&folder.journal()).ok()?;
    let head = folder.fold(&contents.records).ok()?.head?;
    (head.run == *run).then_some(folder)
}

/// Whether somebody may go on with a run, by its journal.
type May<'a> = dyn Fn(&[Record]) -> Result<()> + 'a;

/// Claims the run in its store, and brings the two journals to one. The journal of the folder must be held. What `may` refuses, by
/// what the longer one of them says, is not claimed: the run stays whose it is.
fn take_over(
    way: &Way<'_>,
    target: &Target,
    folder: &RunFolder,
    (head, may): (&RunHead, &May<'_>),
    output: &Output,
) -> Result<(), Stopped> {
    let in_store = |error: Error| Stopped::in_store(error, folder);
    let runtime = target.runtime().map_err(in_store)?;
    let looked = runtime.block_on(async {
        let stored = remembered(way, folder)?;
        let objects = objects(target, &stored, &head.run, (way, output)).await?;
        let claimable = journal_store::look(&objects, folder, way.in_store.take_over).await?;
        Ok::<_, Error>((objects, claimable))
    });
    let (objects, claimable) = looked.map_err(in_store)?;
    // Not within the runtime: who goes on may have to be asked for at AWS, in another one.
    may(&claimable.records)?;
    let claimed = runtime.block_on(async {
        journal_store::claim(&objects, folder, claimable, Clock::system().now()).await
    });
    claimed.map_err(in_store)
}

/// What the folder remembers of its store, with the region that was given now.
fn remembered(way: &Way<'_>, folder: &RunFolder) -> Result<Stored> {
    let mut stored = folder.store()?;
    if let Some(region) = &way.in_store.store_region {
        stored.region = Some(region.clone());
        folder.write_store(&stored)?;
    }
    Ok(stored)
}

async fn objects(
    target: &Target,
    stored: &Stored,
    run: &RunId,
    (way, output): (&Way<'_>, &Output),
) -> Result<Objects> {
    let url: StoreUrl = stored.url.parse()?;
    let (region, secrets) = (stored.region.as_deref(), Secrets::default());
    let session = world::store_session(target, None, &url, region, &secrets).await?;
    let output = *output;
    let tell = Arc::new(move |text: &str| output.note(text));
    let objects = Objects::new(session, secrets, url, run.clone(), Clock::system(), tell);
    Ok(if way.in_a_hurry { objects.in_a_hurry() } else { objects })
}

/// The world that the run was in. An estate ended with its process: a rehearsal cannot be gone on with.
fn target(
    endpoint_url: Option<&str>,
    (run, world): (&RunId, &WorldKind),
    finished: bool,
) -> Result<Target> {
    match (world, endpoint_url) {
        // What was begun on AWS and ended elsewhere would be called evidence of a recovery on AWS.
        (WorldKind::Real, Some(url)) => Err(Error::refused(format!(
            "{run} runs on AWS, and cannot be gone on with at {url}; nothing was done"
        ))
        .help("leave --endpoint-url out")),
        // Elsewhere, all that the run has made would look as if it were gone.
        (WorldKind::Endpoint { .. }, Some(url)) if !is_at(world, url) => {
            Err(Error::bad_input(format!(
                "{run} was {}, and cannot be gone on with at {url}; nothing was done",
                in_words(world)
            ))
            .help("leave --endpoint-url out: the journal names the address"))
        }
        (WorldKind::Real, None) => Ok(Target::Real),
        (WorldKind::Endpoint { url }, _) => Ok(Target::Endpoint(url.clone())),
        // Nothing is called for a run that is over; its reports are written again.
        (WorldKind::Rehearsal { .. }, _) if finished => Ok(Target::Real),
        (WorldKind::Rehearsal { .. }, _) => Err(Error::bad_input(format!(
            "{run} was a rehearsal: its estate ended with the process, so there is nothing to go on with"
        ))
        .help("run it again with --sandbox; nothing of it is left anywhere")),
    }
}

fn is_at(world: &WorldKind, url: &str) -> bool {
    is_same_world(world, &WorldKind::Endpoint { url: url.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    /// Whatever the run had made there was then said to be gone.
    #[test]
    fn regression_a_run_at_one_address_is_not_ended_at_another_one() {
        let run = RunId::new("orders-db-0001-77aa01");
        let at = "http://127.0.0.1:5000";
        let world = WorldKind::Endpoint { url: at.to_owned() };
        for finished in [false, true] {
            let refused = target(Some("http://127.0.0.1:5001"), (&run, &world), finished);
            let refused = refused.unwrap_err();
            assert_eq!(refused.exit_code(), ExitCode::BadInput);
            let said = refused.to_string();
            assert!(said.contains(at) && said.contains("http://127.0.0.1:5001"), "{said}");
            for same in [None, Some(at), Some("http://127.0.0.1:5000/")] {
                let there = target(same, (&run, &world), finished).unwrap();
                assert_eq!(there.kind(), world, "{same:?}");
            }
        }
        let refused = target(Some(at), (&run, &WorldKind::Real), false).unwrap_err();
        assert_eq!(refused.exit_code(), ExitCode::Refused);
    }

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
