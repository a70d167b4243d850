//! The loop that makes it happen.
//!
//! Main entry: [`drive`]. It is the only writer of the journal: it stages events, commits them in one go, and only then
//! carries out what follows. What to do next is not decided here (`decide`).

mod endings;
mod learn_again;
mod orders;
mod requests;
mod steps;

use self::learn_again::learn_again;
use super::attempt::Attempt;
use super::conceal::conceal;
use super::decide::{Move, decide, only_watches_are_left};
use super::hooks::{Due, Message, tell};
use super::recorder::{Request, SharedState, look};
use super::release::Released;
use super::world::{Keep, Observer, Orders, World};
use crate::action::{Registry, RunFacts, StepError};
use crate::aws::{CallLog, RunLimits};
use crate::ids::StepId;
use crate::journal::{
    Event, Impossible, Inventory, InventoryTime, Journal, Record, ResourceKey, RunState, StepState,
};
use crate::outside::{Concealing, Outside, Secrets};
use crate::plan::{Plan, PlannedStep};
use crate::time::Clock;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Everything that a run needs.
pub struct Drive<'a> {
    /// What will happen.
    pub plan: &'a Plan,
    /// The actions.
    pub registry: &'a Registry,
    /// Where it happens.
    pub world: &'a World,
    /// What steps may know about the run.
    pub facts: RunFacts,
    /// Where it is written down.
    pub journal: Journal,
    /// What has happened already; the default for a new run.
    pub state: RunState,
    /// The first events to write: the start of the run, or its resumption.
    pub opening: Vec<Opening>,
    /// What people were to hear of from an earlier process, and may not have heard; see [`super::unheard`].
    pub unheard: Vec<Due>,
    /// What happens to resources at the end.
    pub keep: Keep,
    /// What people and signals tell it.
    pub orders: Orders,
    /// Sees it.
    pub observer: &'a mut dyn Observer,
}

/// An event that happened before the engine began, and when: it was not written down until all of the opening was known.
pub struct Opening {
    at: DateTime<Utc>,
    elapsed: Duration,
    event: Event,
}

impl Opening {
    /// An event of this moment.
    pub fn now(clock: &Clock, event: Event) -> Self {
        Self { at: clock.now(), elapsed: clock.elapsed(), event }
    }
}

/// Why a run could not go on. Nothing was done after the last record.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal cannot be written, so nothing may be done.
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] std::io::Error),
    /// Nothing is under way and nothing follows: a bug.
    #[error("nothing is under way and nothing follows: this is a bug of redrill")]
    Stuck,
    /// An event cannot follow those before it: a bug, or a journal that was put together by hand.
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// Runs a plan to its end, or goes on with a run. Returns the final state.
///
/// # Errors
/// When the journal cannot be written. The run can be resumed.
pub async fn drive(drive: Drive<'_>) -> Result<RunState, DriveError> {
    let policy = drive.world.policy.clone();
    let limits = RunLimits {
        run: drive.facts.run.clone(),
        write: drive.plan.guard.write.clone(),
        canaries: drive.plan.guard.canaries.clone(),
    };
    // What an earlier process wrote is on disk.
    policy.begin_run(limits, drive.state.ledger.clone());
    let ended = run_to_its_end(drive).await;
    policy.end_run();
    ended
}

async fn run_to_its_end(drive: Drive<'_>) -> Result<RunState, DriveError> {
    let (requests, incoming) = mpsc::unbounded_channel();
    let outside = Arc::new(Concealing::new(drive.world.outside.clone()));
    let before = (drive.plan, &drive.facts, &drive.state);
    learn_again(&*drive.world.outside, &outside.secrets(), drive.registry, before);
    let mut run = Loop {
        plan: drive.plan,
        registry: drive.registry,
        world: drive.world,
        secrets: outside.secrets(),
        outside,
        facts: Arc::new(drive.facts),
        journal: drive.journal,
        state: Arc::new(Mutex::new(drive.state)),
        keep: drive.keep,
        observer: drive.observer,
        requests,
        incoming,
        tasks: JoinSet::new(),
        notices: JoinSet::new(),
        under_way: Vec::new(),
        watches_over: watch::Sender::new(false),
        calls: BTreeMap::new(),
        removal_calls: BTreeMap::new(),
        written: Vec::new(),
        acknowledge: Vec::new(),
    };
    let mut orders = drive.orders;
    for Opening { at, elapsed, event } in drive.opening {
        run.stage_at(at, elapsed, event)?;
    }
    run.reopen();
    drive.unheard.into_iter().for_each(|due| run.send(due));
    // An order that is there already comes before anything is started.
    while let Ok(order) = orders.try_recv() {
        run.obey(order)?;
    }
    loop {
        let wake = run.turn().await?;
        if look(&run.state, |state| state.finished.is_some()) {
            return Ok(look(&run.state, Clone::clone));
        }
        let is_halted = look(&run.state, |state| state.paused.is_some());
        if wake.is_none() && run.under_way.is_empty() && run.notices.is_empty() && !is_halted {
            return Err(DriveError::Stuck);
        }
        run.wait(&mut orders, wake).await?;
    }
}

struct Loop<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    world: &'a World,
    outside: Arc<dyn Outside>,
    secrets: Secrets,
    facts: Arc<RunFacts>,
    journal: Journal,
    state: SharedState,
    keep: Keep,
    observer: &'a mut dyn Observer,
    requests: mpsc::UnboundedSender<Request>,
    incoming: mpsc::UnboundedReceiver<Request>,
    tasks: JoinSet<Ended>,
    /// Messages on their way to people; they outlive a cancelled step. Each ends with its record.
    notices: JoinSet<Event>,
    /// Steps and releases that have a task in this process.
    under_way: Vec<UnderWay>,
    /// Told when nothing but watches is left.
    watches_over: watch::Sender<bool>,
    /// The calls of each step, all its attempts together.
    calls: BTreeMap<StepId, CallLog>,
    /// The calls of the removal of each resource.
    removal_calls: BTreeMap<ResourceKey, CallLog>,
    /// Records that are staged and not yet on disk.
    written: Vec<Record>,
    acknowledge: Vec<oneshot::Sender<Result<(), StepError>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum UnderWay {
    Step(StepId),
    Release(ResourceKey),
    Inventory,
}

enum Ended {
    Step(StepId, Attempt, CallLog),
    Release(ResourceKey, Released, CallLog),
    /// Which one, whether it began in an incident, and what it has seen.
    Inventory(InventoryTime, bool, Vec<Inventory>),
}

/// Something to do once everything staged is on disk.
enum Effect {
    Run { step: Box<PlannedStep>, input: serde_json::Value, since: DateTime<Utc> },
    Lose,
    Regain,
}

impl Loop<'_> {
    /// What is lost is lost: after a resumption, and when a recovery begins.
    fn reopen(&mut self) {
        let (declared, releasing) =
            look(&self.state, |state| (state.disaster.is_some(), state.releasing));
        if declared {
            self.lose(!releasing);
        }
    }

    /// Decides until nothing follows any more, makes it durable in one go, and then carries it out. Returns when to look again
    /// at the latest.
    async fn turn(&mut self) -> Result<Option<DateTime<Utc>>, DriveError> {
        let mut effects = Vec::new();
        let mut wake;
        self.restart_orphans(&mut effects)?;
        loop {
            wake = None;
            let now = self.world.clock.now();
            let moves = look(&self.state, |state| decide(self.plan, state, now));
            let mut changed = false;
            for next in moves {
                match next {
                    // After the last record nothing can be written down, so messages are waited for; those about what is
                    // staged here are sent once it is on disk.
                    Move::Finish { .. } if self.has_messages_to_send() => wake = Some(now),
                    Move::Finish { .. } if !self.notices.is_empty() => {}
                    Move::WaitUntil(time) => {
                        wake = Some(wake.map_or(time, |w: DateTime<Utc>| w.min(time)))
                    }
                    other => {
                        self.take(other, &mut effects)?;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        self.commit().await?;
        for effect in effects {
            self.carry_out(effect);
        }
        if look(&self.state, |state| only_watches_are_left(self.plan, state)) {
            self.watches_over.send_replace(true);
        }
        while self.release_next() {}
        self.take_inventory();
        Ok(wake)
    }

    fn take(&mut self, next: Move, effects: &mut Vec<Effect>) -> Result<(), DriveError> {
        match next {
            Move::Start { step, attempt } => self.start(&step, attempt, effects),
            Move::LeaveOut { step, outcome, why } => {
                self.stage(Event::StepLeftOut { step, outcome, why })
            }
            Move::DeclareDisaster => {
                effects.push(Effect::Lose);
                let disaster = &self.plan.disaster;
                let kind = disaster.kind.as_str().to_owned();
                self.stage(Event::DisasterDeclared { kind, lost: disaster.lost.clone() })
            }
            Move::Cancel { why } => self.cancel(why, false),
            Move::Release => {
                effects.push(Effect::Regain);
                self.stage(Event::ReleaseStarted)
            }
            Move::Finish { outcome } => self.stage(Event::RunFinished { outcome }),
            Move::WaitUntil(_) => Ok(()),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Lose => self.lose(true),
            Effect::Regain => self.lose(false),
            // It may have been cancelled in the same turn.
            Effect::Run { step, input, since } if self.is_running(&step.id) => {
                self.spawn_step(*step, input, since);
            }
            Effect::Run { .. } => {}
        }
    }

    /// Whether the journal says that a step is under way.
    fn is_running(&self, step: &StepId) -> bool {
        let running =
            |state: &RunState| matches!(state.steps.get(step), Some(StepState::Running { .. }));
        look(&self.state, running)
    }

    /// Waits until a step asks for something, a task ends, an order comes, or it is time to look again.
    async fn wait(
        &mut self,
        orders: &mut Orders,
        wake: Option<DateTime<Utc>>,
    ) -> Result<(), DriveError> {
        let clock = &self.world.clock;
        let pause = wake.map(|time| (time - clock.now()).to_std().unwrap_or(Duration::ZERO));
        let order = tokio::select! {
            biased;
            Some(request) = self.incoming.recv() => { self.answer(request)?; None }
            Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                if let Ok(ended) = ended { self.ended(ended)?; }
                None
            }
            Some(order) = orders.recv() => Some(order),
            Some(told) = self.notices.join_next(), if !self.notices.is_empty() => {
                if let Ok(event) = told { self.stage(event)?; }
                None
            }
            () = clock.sleep(pause.unwrap_or_default()), if pause.is_some() => None,
        };
        if let Some(order) = order {
            self.obey(order)?;
        }
        // Everything else that is asked for at this moment goes into the same write.
        while let Ok(request) = self.incoming.try_recv() {
            self.answer(request)?;
        }
        Ok(())
    }

    /// Whether people want to hear of something that is not on disk yet.
    fn has_messages_to_send(&self) -> bool {
        let wanted = |record: &Record| Message::of(&record.event, &self.facts, self.plan);
        let mut messages = self.written.iter().filter_map(wanted);
        messages.any(|m| self.plan.hooks.iter().any(|hook| hook.on.contains(&m.moment)))
    }

    /// Sends what people want to hear of on its way.
    fn tell_people(&mut self, event: &Event) {
        if self.plan.hooks.is_empty() {
            return;
        }
        let plan = self.plan;
        let Some(message) = Message::of(event, &self.facts, plan) else { return };
        for hook in plan.hooks.iter().filter(|hook| hook.on.contains(&message.moment)) {
            self.send(Due { hook: hook.clone(), message: message.clone() });
        }
    }

    /// Sends one message on its way. How that went is written down when it is known.
    fn send(&mut self, due: Due) {
        let (outside, facts) = (self.outside.clone(), self.facts.clone());
        let clock = self.world.clock.clone();
        self.notices.spawn(async move {
            let problem = tell(&*outside, &clock, &due, &facts).await.err();
            let Due { hook, message: Message { moment, step, .. } } = due;
            Event::Notified { moment, step, how: hook.describe(), problem }
        });
    }

    /// Numbers, chains and applies an event. It is not on disk before the next commit, and nothing is done before that.
    fn stage(&mut self, event: Event) -> Result<(), DriveError> {
        let clock = &self.world.clock;
        self.stage_at(clock.now(), clock.elapsed(), event)
    }

    fn stage_at(
        &mut self,
        at: DateTime<Utc>,
        elapsed: Duration,
        event: Event,
    ) -> Result<(), DriveError> {
        let event = conceal(&self.secrets, event);
        let record = self.journal.stage(at, elapsed, event)?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).apply(&record)?;
        self.written.push(record);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), DriveError> {
        self.journal.commit_everywhere().await?;
        // Only now may the guard count what was intended.
        for record in &self.written {
            self.world.policy.on_disk(&record.event);
        }
        for on_disk in self.acknowledge.drain(..) {
            // The step may have been cancelled meanwhile.
            let _ = on_disk.send(Ok(()));
        }
        for record in std::mem::take(&mut self.written) {
            self.observer.recorded(&record);
            self.tell_people(&record.event);
        }
        Ok(())
    }
}
