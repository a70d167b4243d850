//! One run from its first to its last record, and its reports.

use super::history::History;
use super::identify::Asked;
use super::interrupt::Hurry;
use super::journal_store::{self, JournalStore, Objects, Owner, StoreUrl, Stored, Tell};
use super::organisation::InForce;
use super::output::Output;
use super::progress::Progress;
use super::run::operator;
use super::runs::RunFolder;
use super::stopped::Stopped;
use super::the_end::AtItsEnd;
use super::world::{self, Target};
use crate::action::{Registry, RunFacts};
use crate::engine::{self, Drive, Keep, Opening, Orders, World};
use crate::error::{Error, ExitCode, Result};
use crate::ids::RunId;
use crate::journal::{Event, FORMAT, Hold, Journal, RunState};
use crate::plan::Plan;
use crate::render;
use crate::report::{self, EarlierRun, Report};
use crate::time::HumanDuration;
use crate::visible::visible;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::LocalBoxFuture;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Program and version, as they stand in journals.
pub(super) const TOOL: &str = concat!("redrill ", env!("CARGO_PKG_VERSION"));

/// What a run is made of.
pub(super) struct NewRun<'a> {
    pub(super) plan: &'a Plan,
    pub(super) registry: &'a Registry,
    pub(super) target: Target,
    pub(super) folder: RunFolder,
    pub(super) run: RunId,
    pub(super) number: u32,
    pub(super) seed: u64,
    pub(super) operator: String,
    pub(super) keep: Option<HumanDuration>,
    pub(super) orders: Orders,
    pub(super) hurry: Hurry,
    /// Where the journal is kept besides the disk, and the region there.
    pub(super) store: Option<(StoreUrl, Option<String>)>,
    /// The limits of the organisation that it is held to.
    pub(super) limits: InForce,
}

/// How a run is gone on with.
pub(super) struct GoingOn<'a> {
    /// The lock of its journal.
    pub(super) hold: Hold,
    pub(super) orders: Orders,
    pub(super) hurry: Hurry,
    pub(super) limits: &'a InForce,
    /// It only removes what it made: whatever does not answer must not stand in the way of that.
    pub(super) gives_back: bool,
    /// Why its store is left out, if it is.
    pub(super) without_store: Option<String>,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) report: Report,
    pub(super) html: PathBuf,
    /// Why the reports could not be written, if so. The journal holds everything that they are made of.
    pub(super) unwritten: Option<Error>,
    /// Hooks that could not tell anybody of the end.
    pub(super) untold: Vec<String>,
}

impl Ended {
    /// What the terminal shows at the end.
    pub(super) fn summary(&self, output: &Output) -> String {
        let place = self.unwritten.is_none().then_some(&*self.html);
        let mut text = render::terminal(&self.report, output.color, place);
        for line in &self.untold {
            text.push_str(&format!("\n{line}"));
        }
        text
    }

    /// How the process should end: a run whose reports could not be written leaves less behind than it should.
    pub(super) fn exit_code(&self) -> ExitCode {
        let unwritten = self.unwritten.as_ref().map(Error::exit_code);
        ExitCode::worst(std::iter::once(self.report.exit_code()).chain(unwritten))
    }

    /// Says what could not be written, behind the verdict, which is not lost with it.
    pub(super) fn complain(&self, output: &Output) {
        let Some(error) = &self.unwritten else { return };
        output.note(&visible(&format!("error: {error}"), &['\n']));
        if let Some(help) = error.help_text() {
            output.note(&format!("help: {help}"));
        }
    }
}

/// Runs a plan. Blocks until it has ended.
pub(super) fn run(new: NewRun<'_>, progress: &mut Progress, history: &History) -> Result<Ended> {
    let runtime = new.target.runtime()?;
    let folder = new.folder.clone();
    let (plan, registry) = (new.plan, new.registry);
    let observer = &mut *progress;
    let ended = runtime.block_on(async move {
        let world = world::open(new.target.clone(), plan, &new.run, &new.folder).await?;
        let started = world.clock.now();
        // The people of a rehearsal are the estate's, whoever rehearses.
        let operator =
            if new.target.kind().is_rehearsal() { "the operator" } else { &new.operator };
        let operators = vec![operator.to_owned()];
        let mut facts = facts(plan, &new.run, new.seed, started, operators);
        facts.expected = history.expected.clone();
        let mut opening = vec![Opening::now(&world.clock, first_event(&new, &facts))];
        opening.extend(declared(plan).map(|event| Opening::now(&world.clock, event)));
        if !new.target.kind().is_rehearsal() && !plan.sites.is_empty() {
            observer.say("asking each site who we are there");
        }
        opening.extend(Asked::first(&world, plan, &new.limits).identify(observer).await?);
        let store = begin_store(&new, &world, observer).await?;
        let hold =
            Hold::create(&new.folder.journal()).map_err(|e| journal_error(&new.folder, &e))?;
        let lock = hold.share().ok();
        let journal = stored_in(hold.begin(), store.as_ref());
        let told = facts.clone();
        observer.begin(&world.clock, &RunState::default());
        let drive = Drive {
            plan,
            registry: new.registry,
            world: &world,
            facts,
            journal,
            state: RunState::default(),
            opening,
            unheard: Vec::new(),
            keep: Keep::of(plan, new.keep),
            orders: new.orders,
            observer,
        };
        engine::drive(drive).await.map_err(|e| Stopped::in_the_middle(&new.folder, &e))?;
        let (folder, earlier) = (&folder, &*history.earlier);
        let over = AtItsEnd { plan, facts: &told, folder, registry, earlier };
        over.end(&world, store.as_ref(), lock).await
    });
    progress.end();
    ended
}

/// In a recovery the disaster has happened before the command: its clock begins with the run, not when the sites have answered.
fn declared(plan: &Plan) -> Option<Event> {
    let disaster = &plan.disaster;
    let kind = disaster.kind.as_str().to_owned();
    (!plan.is_drill()).then(|| Event::DisasterDeclared { kind, lost: disaster.lost.clone() })
}

/// Prepares the store, if there is to be one. Before the first record: a store that does not serve means that nothing has
/// happened.
async fn begin_store(
    new: &NewRun<'_>,
    world: &World,
    progress: &Progress,
) -> Result<Option<Objects>> {
    let Some((url, region)) = &new.store else { return Ok(None) };
    let sites = Some(&world.sessions);
    let (region, secrets) = (region.as_deref(), world.outside.secrets());
    let session = world::store_session(&new.target, sites, url, region, &secrets).await?;
    let region = Some(session.place().region.clone());
    let (run, clock, tell) = (new.run.clone(), world.clock.clone(), progress.notes());
    let objects =
        Objects::new(session, secrets, url.clone(), run, clock, tell).until(new.hurry.clone());
    let owner = Owner::this_process(&new.run, 0, world.clock.now());
    let (number, token) = (Some(owner.number), owner.token.clone());
    journal_store::begin(&objects, new.plan, &new.folder, owner).await?;
    let (url, pending) = (url.to_string(), None);
    let stored = Stored { url, region, owner: number, token, pending, behind: false };
    new.folder.write_store(&stored)?;
    Ok(Some(objects))
}

fn stored_in(journal: Journal, store: Option<&Objects>) -> Journal {
    match store {
        Some(objects) => journal.with_store(JournalStore::of(objects.clone())),
        None => journal,
    }
}

/// The store of a run that is gone on with, which this process has taken over.
async fn open_store(
    folder: &RunFolder,
    target: &Target,
    (run, world): (&RunId, &World),
    tell: Tell,
) -> Result<Option<Objects>> {
    if !folder.has_store() {
        return Ok(None);
    }
    let stored = folder.store()?;
    let url: StoreUrl = stored.url.parse()?;
    let sites = Some(&world.sessions);
    let (region, secrets) = (stored.region.as_deref(), world.outside.secrets());
    let session = world::store_session(target, sites, &url, region, &secrets).await?;
    let clock = world.clock.clone();
    Ok(Some(Objects::new(session, secrets, url, run.clone(), clock, tell)))
}

pub(super) fn facts(
    plan: &Plan,
    run: &RunId,
    seed: u64,
    started: DateTime<Utc>,
    operators: Vec<String>,
) -> RunFacts {
    let ttl = TimeDelta::from_std(plan.guard.ttl.0).unwrap_or(TimeDelta::zero());
    RunFacts {
        run: run.clone(),
        scenario: plan.name.clone(),
        plan: plan.digest(),
        seed,
        expires: started + ttl,
        started,
        operators,
        withhold_data: plan.data.withholds(),
        is_drill: plan.is_drill(),
        expected: Default::default(),
    }
}

fn first_event(new: &NewRun<'_>, facts: &RunFacts) -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: new.run.clone(),
        number: new.number,
        scenario: new.plan.name.clone(),
        plan: facts.plan,
        scenario_digest: new.plan.scenario_digest,
        mode: new.plan.mode.clone(),
        world: new.target.kind(),
        tool: TOOL.to_owned(),
        operator: new.operator.clone(),
        seed: new.seed,
        expires: facts.expires,
        keep: new.keep,
        deviations: new.plan.deviations.clone(),
        limits: new.limits.as_recorded(),
    }
}

/// What is left to do of a run that was over before.
async fn end_again(over: &AtItsEnd<'_>, target: &Target, tell: Tell) -> Result<Ended> {
    let (folder, run) = (over.folder, &over.facts.run);
    let open = move || -> LocalBoxFuture<'_, Result<(World, Option<Objects>)>> {
        Box::pin(async move {
            let world = world::open(target.clone(), over.plan, run, folder).await?;
            let store = open_store(folder, target, (run, &world), tell).await;
            Ok((world, store.ok().flatten()))
        })
    };
    over.end_again(open).await
}

/// Goes on with a run from its journal.
pub(super) fn resume(
    folder: &RunFolder,
    registry: &Registry,
    target: Target,
    progress: &mut Progress,
    GoingOn { hold, orders, hurry, limits, gives_back, without_store }: GoingOn<'_>,
    history: &History,
) -> Result<Ended, Stopped> {
    let lock = hold.share().ok();
    let (journal, contents) = hold.reopen().map_err(|e| folder.unreadable(&e))?;
    let state = folder.fold(&contents.records)?;
    let plan = folder.plan(&state)?;
    let no_start = || folder.refused(&"it does not start");
    let head = state.head.clone().ok_or_else(no_start)?;
    let runtime = target.runtime()?;
    let earlier = &*history.earlier;
    if state.finished.is_some() {
        drop((journal, lock));
        let operators = state.operators.iter().cloned().collect();
        let facts = facts(&plan, &head.run, head.seed, head.started, operators);
        let over = AtItsEnd { plan: &plan, facts: &facts, folder, registry, earlier };
        return Ok(runtime.block_on(end_again(&over, &target, progress.notes()))?);
    }
    let observer = &mut *progress;
    let ended = runtime.block_on(async {
        let world = world::open(target.clone(), &plan, &head.run, folder).await?;
        let store = match &without_store {
            Some(_) => None,
            None => open_store(folder, &target, (&head.run, &world), observer.notes())
                .await
                .map(|store| store.map(|store| store.until(hurry)))
                .map_err(|e| Stopped::in_store(e, folder))?,
        };
        let journal = stored_in(journal, store.as_ref());
        tell_of_torn_line(observer, contents.torn_bytes);
        let gap = state.last_at.map_or(TimeDelta::zero(), |last| world.clock.now() - last);
        let gap_ms = u64::try_from(gap.num_milliseconds()).unwrap_or(0);
        let resumed = Event::RunResumed {
            torn_bytes: contents.torn_bytes,
            gap_ms,
            operator: Some(operator()),
            tool: Some(TOOL.to_owned()),
            limits: limits.as_recorded(),
            without_store,
        };
        let mut opening = vec![Opening::now(&world.clock, resumed)];
        let asked = Asked { world: &world, plan: &plan, before: Some(&state), limits, gives_back };
        opening.extend(asked.identify(observer).await?);
        let operators: BTreeSet<String> =
            state.operators.iter().cloned().chain([operator()]).collect();
        let operators = operators.into_iter().collect();
        let mut facts = facts(&plan, &head.run, head.seed, head.started, operators);
        facts.expires = head.expires;
        facts.plan = head.plan;
        facts.expected = history.expected.clone();
        let told = facts.clone();
        observer.begin(&world.clock, &state);
        let unheard = engine::unheard(&contents.records, &plan.hooks, &facts);
        let drive = Drive {
            plan: &plan,
            registry,
            world: &world,
            facts,
            journal,
            state,
            opening,
            unheard,
            keep: Keep::of(&plan, head.keep),
            orders,
            observer,
        };
        engine::drive(drive).await.map_err(|e| Stopped::in_the_middle(folder, &e))?;
        let over = AtItsEnd { plan: &plan, facts: &told, folder, registry, earlier };
        Ok(over.end(&world, store.as_ref(), lock).await?)
    });
    progress.end();
    ended
}

/// Says that a torn last line is dropped, once that is so: the first record takes its place.
fn tell_of_torn_line(progress: &mut Progress, bytes: u64) {
    if bytes > 0 {
        progress.say_with_next_record(format!(
            "the journal ended in a torn line of {bytes} bytes, which is dropped: nothing was done because of it"
        ));
    }
}

fn journal_error(folder: &RunFolder, error: &std::io::Error) -> Error {
    Error::broken(format!(
        "{} cannot be written: {error}; nothing was done",
        folder.journal().display()
    ))
    .help("choose another place with --runs-dir, or free some space")
}

/// Writes the reports of a run from its journal alone.
pub(super) fn write_reports(
    folder: &RunFolder,
    registry: &Registry,
    earlier: &[EarlierRun],
) -> Result<Ended> {
    let report = report_of(folder, registry, earlier)?;
    let written = write_all(folder, &report).map_err(|error| {
        let report = folder.command("report");
        let again = format!("the verdict stands; free some space, then: {report}");
        error.help(again)
    });
    let html = folder.path.join("report.html");
    Ok(Ended { report, html, unwritten: written.err(), untold: Vec::new() })
}

fn write_all(folder: &RunFolder, report: &Report) -> Result<()> {
    folder.write("report.html", &render::html(report)?)?;
    folder.write("report.md", &render::markdown(report)?)?;
    folder.write("report.json", &render::json(report)?)?;
    folder.write("junit.xml", &render::junit(report)?)?;
    Ok(())
}

/// What a run means, from its journal alone.
pub(super) fn report_of(
    folder: &RunFolder,
    registry: &Registry,
    earlier: &[EarlierRun],
) -> Result<Report> {
    let stored = folder.load()?;
    report::report(&stored.plan, &stored.contents.records, earlier, registry)
        .map_err(|e| Error::broken(format!("{}: {e}", folder.path.display())))
}
