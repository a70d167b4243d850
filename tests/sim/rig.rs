//! One run, over as many processes as it takes.

use super::disk::{Death, Disk};
use super::disturbance::{Cancel, Disturbance, Extent, Kill};
use super::subject::Subject;
use super::watch::{RUN, Seen, Watch};
use redrill::action::{Registry, RunFacts};
use redrill::app::sandboxed;
use redrill::aws::GuardPolicy;
use redrill::engine::{
    Drive, DriveError, Due, Keep, Opening, Order, Orders, World, drive, unheard,
};
use redrill::ids::{RunId, SiteName};
use redrill::journal::{Event, FORMAT, Journal, ReadError, RunState, WorldKind, read_bytes};
use redrill::plan::Plan;
use redrill::report::{self, Report};
use redrill::sandbox;
use redrill::time::{Clock, HumanDuration};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// More processes than any disturbance needs.
const MOST_PROCESSES: usize = 12;

/// What exists: names, and what can be said of each in a line.
pub(crate) type Inventory = BTreeMap<String, String>;

/// What may still arrive after the end of a run does so within this time.
const AFTERWARDS: Duration = Duration::from_secs(3 * 3600);

/// What a run left behind, for the oracle.
pub(crate) struct Ran {
    pub(crate) bytes: Vec<u8>,
    pub(crate) report: Option<Report>,
    /// The estate at the end of the run and some hours later, each as it is and as it would be without the run.
    pub(crate) estates: Vec<(Inventory, Inventory)>,
    pub(crate) requests: Vec<Seen>,
    /// Somebody wanted what was made to stay.
    pub(crate) kept: bool,
    /// Where processes died: the kinds of events in the write, or the operation.
    pub(crate) deaths: Vec<String>,
    pub(crate) extent: Extent,
    /// What went wrong with the run as such, and what the watch has seen.
    pub(crate) wrong: Vec<String>,
}

/// Runs a subject to its end.
pub(crate) fn run(subject: &Subject, disturbance: &Disturbance, registry: &Registry) -> Ran {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        // Inside of the runtime: a clock made outside of it would start at the time of the real one.
        Ok(runtime) => {
            runtime.block_on(async { Rig::new(subject, disturbance, registry).run().await })
        }
        Err(why) => panic!("no runtime: {why}"),
    }
}

struct Rig<'a> {
    subject: &'a Subject,
    disturbance: &'a Disturbance,
    registry: &'a Registry,
    clock: Clock,
    world: sandbox::World,
    twin: sandbox::World,
    disk: Disk,
    watch: Watch,
    writes: usize,
    records: usize,
    deaths: Vec<String>,
    wrong: Vec<String>,
}

/// The journal as a process finds it.
struct Opened {
    journal: Journal,
    state: RunState,
    opening: Vec<Event>,
    unheard: Vec<Due>,
}

enum Ended {
    Over,
    Died(String),
    Stopped(DriveError),
}

impl<'a> Rig<'a> {
    fn new(subject: &'a Subject, disturbance: &'a Disturbance, registry: &'a Registry) -> Self {
        let clock = Clock::simulated(subject.estate.now);
        let open = |faults| sandbox::World::open(subject.estate.clone(), clock.clone(), faults);
        let (world, twin) = (open(disturbance.faults.clone()), open(Vec::new()));
        let disk = Disk::default();
        let places = places(&subject.plan, &world);
        let lost = subject.plan.disaster.lost.iter().filter_map(|site| places.get(site)).cloned();
        let (worlds, twice) = ((world.clone(), twin.clone()), disturbance.twice);
        let cancel_at = match disturbance.cancel {
            Some(Cancel::AtChange(nth)) => Some(nth),
            _ => None,
        };
        let watch = Watch::new(worlds, disk.clone(), lost.collect(), twice, cancel_at);
        let (deaths, wrong) = (Vec::new(), Vec::new());
        Self {
            subject,
            disturbance,
            registry,
            clock,
            world,
            twin,
            disk,
            watch,
            writes: 0,
            records: 0,
            deaths,
            wrong,
        }
    }

    async fn run(mut self) -> Ran {
        for number in 0..MOST_PROCESSES {
            match self.process(number).await {
                Ended::Over => return self.over().await,
                Ended::Died(at) => self.deaths.push(at),
                Ended::Stopped(why) => {
                    self.wrong.push(format!("the engine stopped: {why}"));
                    return self.over().await;
                }
            }
            self.clock.sleep(self.disturbance.gap).await;
        }
        self.wrong.push("the run does not end".to_owned());
        self.over().await
    }

    async fn over(self) -> Ran {
        let lasted = self.clock.elapsed();
        let mut estates = vec![(self.world.inventory(), self.twin.inventory())];
        self.clock.sleep(AFTERWARDS).await;
        estates.push((self.world.inventory(), self.twin.inventory()));
        let (requests, seen) = self.watch.result();
        let mut wrong = self.wrong;
        wrong.extend(seen);
        let bytes = self.disk.bytes();
        let report = match read_bytes(&bytes) {
            Ok(contents) => {
                report::report(&self.subject.plan, &contents.records, &[], self.registry)
                    .map_err(|why| wrong.push(format!("there is no report: {why}")))
                    .ok()
            }
            Err(why) => {
                wrong.push(format!("the journal does not verify: {why}"));
                None
            }
        };
        let extent = Extent {
            writes: self.writes,
            records: self.records,
            requests: requests.len(),
            changes: requests.iter().filter(|request| request.changes).count(),
            lasted,
        };
        let kept = self.disturbance.keep.is_some();
        Ran { bytes, report, estates, requests, kept, deaths: self.deaths, extent, wrong }
    }

    /// One process, from its start to its end or death.
    async fn process(&mut self, number: usize) -> Ended {
        let kill = self.arm(number);
        let Opened { journal, state, opening, unheard } = match self.open() {
            Ok(opened) => opened,
            Err(why) => {
                self.wrong.push(why);
                return Ended::Over;
            }
        };
        if state.finished.is_some() {
            return Ended::Over;
        }
        let world = self.compose();
        let started = state.head.as_ref().map_or(world.clock.now(), |head| head.started);
        let (sender, orders): (_, Orders) = mpsc::unbounded_channel();
        let plan = &self.subject.plan;
        let mut nobody = ();
        let run = drive(Drive {
            plan,
            registry: self.registry,
            world: &world,
            facts: facts(plan, started),
            journal,
            state,
            opening: opening.into_iter().map(|event| Opening::now(&world.clock, event)).collect(),
            unheard,
            keep: Keep::of(plan, self.disturbance.keep.map(HumanDuration)),
            orders,
            observer: &mut nobody,
        });
        let moment = match kill {
            Some(Kill::Moment(after)) => Some(after),
            _ => None,
        };
        let ended = tokio::select! {
            biased;
            () = self.watch.died.notified() => None,
            () = world.clock.sleep(moment.unwrap_or_default()), if moment.is_some() => None,
            () = self.people(&world.clock, &sender, number) => None,
            ended = run => Some(ended),
        };
        self.writes += self.disk.appends();
        self.records += self.disk.records();
        match (ended, kill) {
            (Some(Ok(_)), _) => Ended::Over,
            (Some(Err(why)), _) if self.disk.died_in().is_none() => Ended::Stopped(why),
            (_, kill) => Ended::Died(self.place_of_death(kill)),
        }
    }

    /// What people order of the process of this number. Never ends.
    async fn people(&self, clock: &Clock, sender: &mpsc::UnboundedSender<Order>, number: usize) {
        let by = || "a person of the simulation".to_owned();
        // Nobody takes it when the run is over.
        let order = |order| drop(sender.send(order));
        let incident = self.disturbance.incident;
        let cancel = self.disturbance.cancel.filter(|_| number == 0);
        let cancelling = async {
            match cancel {
                None => std::future::pending().await,
                Some(Cancel::After(time)) => clock.sleep(time).await,
                Some(Cancel::AtChange(_)) => self.watch.cancelled.notified().await,
            }
            order(Order::Cancel { by: by(), incident });
        };
        let halting = async {
            let Some(pause) = self.disturbance.pause else { return };
            if number == 0 {
                clock.sleep(pause.after).await;
                order(Order::Pause { by: by() });
            }
            clock.sleep(pause.length).await;
            order(match pause.ends_the_run {
                None => Order::Continue { by: by() },
                Some(incident) => Order::Cancel { by: by(), incident },
            });
        };
        tokio::join!(cancelling, halting);
        std::future::pending::<()>().await;
    }

    /// Sets the trap for the process of this number.
    fn arm(&self, number: usize) -> Option<Kill> {
        let kill = self.disturbance.kills.get(number).copied();
        self.disk.begin_process(match kill {
            Some(Kill::Write(death)) => Some(death),
            _ => None,
        });
        self.watch.begin_process(match kill {
            Some(Kill::Request(death)) => Some(death),
            _ => None,
        });
        kill
    }

    fn place_of_death(&self, kill: Option<Kill>) -> String {
        match kill {
            Some(Kill::Write(death)) => {
                let kinds = self.disk.died_in().unwrap_or_default();
                let place = match death {
                    Death::Write(_, written) => written.name(),
                    Death::Record(_) | Death::After(_) => "write cut after a record",
                };
                format!("{place}: {}", kinds.join(" "))
            }
            Some(Kill::Request(death)) => {
                let when = if death.after { "after the request" } else { "before the request" };
                format!("{when}: {}", self.watch.died_at().unwrap_or_default())
            }
            _ => "at a moment".to_owned(),
        }
    }

    /// What `redrill run` and `redrill resume` do with the journal before the first turn.
    fn open(&self) -> Result<Opened, String> {
        let bytes = self.disk.bytes();
        let contents = match read_bytes(&bytes) {
            Ok(contents) => contents,
            Err(ReadError::Empty) => {
                self.disk.set(&[]);
                let started = self.clock.now();
                let (plan, lost) = (&self.subject.plan, self.subject.plan.disaster.lost.clone());
                let mut opening = vec![start(plan, &facts(plan, started))];
                if !plan.is_drill() {
                    let kind = plan.disaster.kind.as_str().to_owned();
                    opening.push(Event::DisasterDeclared { kind, lost });
                }
                let (journal, state) = (Journal::new(self.disk.clone()), RunState::default());
                return Ok(Opened { journal, state, opening, unheard: Vec::new() });
            }
            Err(why) => return Err(format!("the journal cannot be read again: {why}")),
        };
        let good = bytes.len() - usize::try_from(contents.torn_bytes).unwrap_or(0);
        self.disk.set(&bytes[..good]);
        let state = RunState::of(&contents.records).map_err(|why| why.to_string())?;
        let gap = state.last_at.map_or(0, |last| (self.clock.now() - last).num_milliseconds());
        let gap_ms = u64::try_from(gap).unwrap_or(0);
        let resumed = Event::RunResumed {
            torn_bytes: contents.torn_bytes,
            gap_ms,
            operator: None,
            tool: None,
            limits: Vec::new(),
            without_store: None,
        };
        let (plan, journal) = (&self.subject.plan, Journal::after(self.disk.clone(), &contents));
        let unheard = unheard(&contents.records, &plan.hooks, &facts(plan, self.clock.now()));
        Ok(Opened { journal, state, opening: vec![resumed], unheard })
    }

    /// The world of one process: its own clock and policy, the estate that was there before.
    fn compose(&self) -> World {
        let plan = &self.subject.plan;
        let policy = Arc::new(GuardPolicy::default());
        let clock = Clock::simulated(self.clock.now());
        let sites = (&plan.sites, RUN);
        let world = sandboxed(&self.world, self.watch.client(), sites, clock, policy);
        let mut world = world.unwrap_or_else(|why| panic!("no world: {why}"));
        let places = places(plan, &self.twin);
        for (site, (account, _)) in &places {
            world.sessions.get(site).into_iter().for_each(|session| session.pin_account(account));
        }
        // A region is not really down: a process that goes on with a run, and does not know of the loss, can call it.
        for (account, region) in places.values().filter(|_| !self.deaths.is_empty()) {
            self.world.regain(account, region);
        }
        let (twin, first) = (self.twin.clone(), world.on_loss.clone());
        world.on_loss = Arc::new(move |sites, lost| {
            first(sites, lost);
            for (account, region) in
                sites.iter().filter_map(|site| places.get(site)).filter(|_| lost)
            {
                twin.lose(account, region);
            }
        });
        world
    }
}

/// Account and region of the sites.
fn places(plan: &Plan, world: &sandbox::World) -> BTreeMap<SiteName, (String, String)> {
    let place = |(name, site): (&SiteName, &redrill::scenario::Site)| {
        let account = site.account.clone();
        let account = account.unwrap_or_else(|| world.some_account(&site.region));
        (name.clone(), (account, site.region.clone()))
    };
    plan.sites.iter().map(place).collect()
}

const SEED: u64 = 7;

fn facts(plan: &Plan, started: chrono::DateTime<chrono::Utc>) -> RunFacts {
    RunFacts {
        operators: vec!["operator".to_owned()],
        run: RunId::new(RUN),
        scenario: plan.name.clone(),
        plan: plan.digest(),
        seed: SEED,
        expires: started + plan.guard.ttl.0,
        started,
        withhold_data: plan.data.withholds(),
        is_drill: plan.is_drill(),
        expected: Default::default(),
    }
}

fn start(plan: &Plan, facts: &RunFacts) -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: facts.run.clone(),
        number: 1,
        scenario: plan.name.clone(),
        plan: facts.plan,
        scenario_digest: plan.scenario_digest,
        mode: plan.mode.clone(),
        world: WorldKind::Rehearsal { estate: "simulated".to_owned() },
        tool: "simulation".to_owned(),
        operator: "simulation".to_owned(),
        seed: facts.seed,
        expires: facts.expires,
        keep: None,
        deviations: Vec::new(),
        limits: Vec::new(),
    }
}
