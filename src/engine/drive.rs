use super::attempt::{Attempt, result_of, result_of_failure, run_once};
use super::conceal::conceal;
use super::decide::{Move, decide, only_watches_are_left};
use super::hooks::{Message, tell};
use super::inputs::{self, Ready};
use super::inventory;
use super::recorder::{Request, SharedState, ToLoop, look};
use super::release::{Released, release};
use super::watch::keep_watch;
use super::world::{Keep, Observer, Order, Orders, World};
use crate::action::{Registry, RunFacts, StepContext, StepError};
use crate::aws::{CallLog, RunLimits, lies_in};
use crate::ids::{SiteName, StepId};
use crate::journal::{
    Event, Failure, FailureClass, Holding, Impossible, Inventory, InventoryTime, Journal, Outcome,
    Record, ResourceKey, RunState, StepResult, StepState,
};
use crate::outside::{Concealing, Outside, Secrets};
use crate::plan::{Plan, PlannedStep};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
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
    pub opening: Vec<Event>,
    /// What happens to resources at the end.
    pub keep: Keep,
    /// What people and signals tell it.
    pub orders: Orders,
    /// Sees it.
    pub observer: &'a mut dyn Observer,
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
        written: Vec::new(),
        acknowledge: Vec::new(),
    };
    let mut orders = drive.orders;
    run.reopen();
    for event in drive.opening {
        run.stage(event)?;
    }
    // An order that is there already comes before anything is started.
    if orders.has_changed().unwrap_or(false)
        && let Some(order) = orders.borrow_and_update().clone()
    {
        run.obey(order)?;
    }
    loop {
        let wake = run.turn().await?;
        if look(&run.state, |state| state.finished.is_some()) {
            return Ok(look(&run.state, Clone::clone));
        }
        if wake.is_none() && run.under_way.is_empty() && run.notices.is_empty() {
            return Err(DriveError::Stuck);
        }
        run.wait(&mut orders, wake).await?;
    }
}

/// How long expired credentials of a site are waited for while resources are removed, all of them together. After that
/// they are named as left behind.
const CREDENTIALS_WHILE_RELEASING: Duration = Duration::from_secs(30 * 60);

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
    Release(ResourceKey, Released),
    Inventory(InventoryTime, Vec<Inventory>),
}

/// Something to do once everything staged is on disk.
enum Effect {
    Run { step: Box<PlannedStep>, input: serde_json::Value, since: DateTime<Utc> },
    Lose,
    Regain,
}

impl Loop<'_> {
    /// After a resumption: what is lost is lost.
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
                    // After the last record nothing can be written down, so messages are waited for.
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

    fn start(
        &mut self,
        id: &StepId,
        attempt: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriveError> {
        let Some(step) = self.plan.step(id).cloned() else { return Ok(()) };
        match look(&self.state, |s| inputs::ready(self.plan, &self.facts, s, &step, attempt)) {
            Ready::Skip(why) => {
                let outcome = Outcome::Skipped;
                self.stage(Event::StepLeftOut { step: id.clone(), outcome, why })
            }
            Ready::Cannot(why) => {
                let input = serde_json::Value::Null;
                self.stage(Event::StepStarted { step: id.clone(), attempt, input })?;
                let result = result_of_failure(StepError::broken(why), &[]);
                self.stage(Event::StepFinished { step: id.clone(), result })
            }
            Ready::Run(input) => {
                let event = Event::StepStarted { step: id.clone(), attempt, input: input.clone() };
                self.stage(event)?;
                let since = look(&self.state, |state| match state.steps.get(id) {
                    Some(StepState::Running { since, .. }) => *since,
                    _ => self.world.clock.now(),
                });
                self.under_way.push(UnderWay::Step(id.clone()));
                effects.push(Effect::Run { step: Box::new(step), input, since });
                Ok(())
            }
        }
    }

    /// Steps that were running when an earlier process died start again; what they made is found in the ledger.
    fn restart_orphans(&mut self, effects: &mut Vec<Effect>) -> Result<(), DriveError> {
        let orphans: Vec<(StepId, u32)> = look(&self.state, |state| {
            let running = state.steps.iter().filter_map(|(id, step)| match step {
                StepState::Running { attempt, .. } => Some((id.clone(), *attempt)),
                _ => None,
            });
            running
                .filter(|(id, _)| !self.under_way.contains(&UnderWay::Step(id.clone())))
                .collect()
        });
        for (step, attempt) in orphans {
            self.start(&step, attempt + 1, effects)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Lose => self.lose(true),
            Effect::Regain => self.lose(false),
            Effect::Run { step, input, since } => self.spawn_step(*step, input, since),
        }
    }

    /// The exercise of the loss begins or ends: while resources are being removed, every site may be used again.
    fn lose(&self, begins: bool) {
        let lost = &self.plan.disaster.lost;
        self.world.policy.set_lost(if begins { lost } else { &[] });
        if !begins {
            // Steps have limits of their own; releasing has none, and must come to its end.
            for session in self.world.sessions.values() {
                session.credentials().limit_patience(CREDENTIALS_WHILE_RELEASING);
            }
        }
        (self.world.on_loss)(lost, begins);
    }

    fn spawn_step(&mut self, step: PlannedStep, input: serde_json::Value, since: DateTime<Utc>) {
        let Some(action) = self.registry.get(&step.uses).cloned() else {
            // Plans are checked against the registry; this one comes from another version.
            let error = StepError::broken(format!("there is no action {}", step.uses));
            let ended = Ended::Step(step.id.clone(), Attempt::Failed(error), CallLog::default());
            self.tasks.spawn(async move { ended });
            return;
        };
        let calls = self.calls.entry(step.id.clone()).or_default().clone();
        let context = self.context(step.id.clone(), step.at.clone(), calls.clone());
        let spent = (self.world.clock.now() - since).to_std().unwrap_or_default();
        let left = step.timeout.0.saturating_sub(spent);
        let id = step.id.clone();
        let over = self.watches_over.subscribe();
        self.tasks.spawn(async move {
            let work = async move {
                match step.watch {
                    Some(every) => keep_watch(context, step, action, input, every.0, over).await,
                    None => run_once(context, step, action, input, left).await,
                }
            };
            let attempt = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                Attempt::Failed(StepError::broken("the action panicked: this is a bug of redrill"))
            });
            Ended::Step(id, attempt, calls)
        });
    }

    fn context(&self, step: StepId, at: Option<SiteName>, calls: CallLog) -> StepContext {
        let limit = self.plan.step(&step).map_or(Duration::MAX, |step| step.timeout.0);
        self.context_within(limit, step, at, calls)
    }

    fn context_within(
        &self,
        limit: Duration,
        step: StepId,
        at: Option<SiteName>,
        calls: CallLog,
    ) -> StepContext {
        let (requests, state) = (self.requests.clone(), self.state.clone());
        let recorder = ToLoop { requests, state, limit };
        StepContext {
            facts: self.facts.clone(),
            step,
            at,
            clock: self.world.clock.clone(),
            outside: self.outside.clone(),
            sessions: self.world.sessions.clone(),
            recorder: Arc::new(recorder),
            calls,
        }
    }

    /// Starts the removal of the newest resource that may still be there: one at a time, or all at once when an incident
    /// needs the capacity. True when there may be another one to start.
    fn release_next(&mut self) -> bool {
        let busy = |key: &ResourceKey| self.under_way.contains(&UnderWay::Release(key.clone()));
        let one_runs = self.under_way.iter().any(|u| matches!(u, UnderWay::Release(_)));
        let (next, incident) = look(&self.state, |state| {
            let outstanding = state.ledger.outstanding();
            let mut free = outstanding.into_iter().filter(|(key, _)| !busy(key));
            let next = free.next().filter(|_| state.releasing && (state.incident || !one_runs));
            (next.map(|(key, holding)| (key.clone(), holding.clone())), state.incident)
        });
        let Some((key, holding)) = next else { return false };
        let step = match &holding {
            Holding::Intended { step } | Holding::Owned { step, .. } => step.clone(),
            Holding::Released { .. } | Holding::Left { .. } => return false,
        };
        let kind = self.registry.resource_kind(&key.kind).cloned();
        // What a step made is removed, however long ago the step should have ended.
        let no_limit = Duration::MAX;
        let site = Some(key.site.clone());
        let context = self.context_within(no_limit, step, site, CallLog::default());
        let keep = if incident { self.keep.in_an_incident() } else { self.keep };
        self.under_way.push(UnderWay::Release(key.clone()));
        self.tasks.spawn(async move {
            let released = release(&context, kind.as_deref(), &key, &holding, keep).await;
            Ended::Release(key, released)
        });
        true
    }

    /// Starts the inventory that is due, if one is.
    fn take_inventory(&mut self) {
        let due = look(&self.state, |state| inventory::due(self.plan, state));
        let Some(when) = due.filter(|_| !self.under_way.contains(&UnderWay::Inventory)) else {
            return;
        };
        let ledger = look(&self.state, |state| state.ledger.clone());
        let targets = inventory::targets(self.plan, self.registry);
        let registry = self.registry.clone();
        let step = StepId::new("inventory");
        let template = self.context(step, None, CallLog::default());
        self.under_way.push(UnderWay::Inventory);
        self.tasks.spawn(async move {
            let at = |site: &SiteName| StepContext { at: Some(site.clone()), ..template.clone() };
            let taken = inventory::take(&targets, &registry, &ledger, at);
            let seen = AssertUnwindSafe(taken).catch_unwind().await;
            // Nothing was seen, so nothing is claimed.
            Ended::Inventory(when, seen.unwrap_or_default())
        });
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
            Ok(()) = orders.changed() => orders.borrow_and_update().clone(),
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

    fn answer(&mut self, request: Request) -> Result<(), DriveError> {
        match request {
            Request::Progress(step, text) => {
                self.observer.progress(&step, &self.secrets.conceal(&text));
            }
            Request::Record(event, on_disk) => match self.permit(&event) {
                Err(error) => drop(on_disk.send(Err(error))),
                Ok(()) => {
                    self.stage(*event)?;
                    self.acknowledge.push(on_disk);
                }
            },
        }
        Ok(())
    }

    /// Whether a step may write this: limits of the guard, and nothing from a step that is over.
    fn permit(&self, event: &Event) -> Result<(), StepError> {
        let refused = |message: String| {
            Err(Failure { class: FailureClass::Refused, code: None, message, help: None }.into())
        };
        match event {
            Event::ResourceIntended { key, .. } => {
                let guard = &self.plan.guard;
                let made = look(&self.state, |state| state.ledger.len());
                if !guard.write.contains(&key.site) {
                    return refused(format!(
                        "{key} was not made: guard.write does not name {}",
                        key.site
                    ));
                }
                let kind = self.registry.resource_kind(&key.kind);
                let named = |place: &String| lies_in(&key.name, place);
                if kind.is_some_and(|kind| kind.is_canary()) && !guard.canaries.iter().any(named) {
                    return refused(format!(
                        "{key} was not made: guard.canaries does not name its place"
                    ));
                }
                if made >= guard.max_resources as usize {
                    let limit = guard.max_resources;
                    return refused(format!("{key} was not made: guard.max_resources is {limit}"));
                }
                Ok(())
            }
            Event::Checked { step, .. } => {
                let running = look(&self.state, |state| {
                    matches!(state.steps.get(step), Some(StepState::Running { .. }))
                });
                if running { Ok(()) } else { Err(StepError::broken("the step is over")) }
            }
            _ => Ok(()),
        }
    }

    fn ended(&mut self, ended: Ended) -> Result<(), DriveError> {
        match ended {
            Ended::Step(step, attempt, calls) => {
                self.under_way.retain(|u| *u != UnderWay::Step(step.clone()));
                self.step_ended(step, attempt, &calls)
            }
            Ended::Release(key, released) => {
                self.under_way.retain(|u| *u != UnderWay::Release(key.clone()));
                let event = match released {
                    Released::Gone(how) => Event::ResourceReleased { key, how: how.to_owned() },
                    Released::Left { why, kept, command, .. } => {
                        Event::ResourceLeft { key, why, kept, command }
                    }
                };
                self.stage(event)
            }
            Ended::Inventory(when, seen) => {
                self.under_way.retain(|u| *u != UnderWay::Inventory);
                self.stage(Event::InventoryTaken { when, seen })
            }
        }
    }

    fn step_ended(
        &mut self,
        step: StepId,
        attempt: Attempt,
        calls: &CallLog,
    ) -> Result<(), DriveError> {
        let state = look(&self.state, |state| state.steps.get(&step).cloned());
        let Some(StepState::Running { attempt: number, since, checks: earlier, .. }) = state else {
            // It was cancelled, and its end is written down already.
            return Ok(());
        };
        let mut result = match attempt {
            Attempt::Done { output, checks } => {
                for check in &checks {
                    self.stage(Event::Checked { step: step.clone(), check: check.clone() })?;
                }
                result_of(output, &[earlier, checks].concat())
            }
            Attempt::Failed(error) => {
                if let Some(retry_at) = self.retry_at(&step, &error, since) {
                    let failure = error.into_failure();
                    let event = Event::AttemptFailed { step, attempt: number, failure, retry_at };
                    return self.stage(event);
                }
                result_of_failure(error, &earlier)
            }
        };
        result.calls = calls.seen();
        self.stage(Event::StepFinished { step, result })
    }

    /// When a failed attempt is followed by another one: only for what may pass, within the policy and the time limit.
    fn retry_at(
        &self,
        id: &StepId,
        error: &StepError,
        since: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let step = self.plan.step(id)?;
        let failed = look(&self.state, |state| state.failed_attempts.get(id).copied());
        let attempts = failed.unwrap_or(0) + 1;
        // A watch has its own patience.
        if !error.class().may_pass() || step.watch.is_some() {
            return None;
        }
        let mut schedule = step.retry.schedule(self.facts.seed, id.as_str());
        let pause = (0..attempts).map(|_| schedule.next_pause()).last()??;
        let retry_at = self.world.clock.now() + pause;
        (retry_at < since + step.timeout.0).then_some(retry_at)
    }

    /// Does as told, as far as it still means anything.
    fn obey(&mut self, order: Order) -> Result<(), DriveError> {
        let (over, urgent, paused) = look(&self.state, |state| {
            (state.cancelled.is_some() || state.releasing, state.incident, state.paused.is_some())
        });
        match order {
            Order::Cancel { by, incident } if !over => self.cancel(by, incident),
            Order::Cancel { by, incident: true } if !urgent => {
                self.stage(Event::CancelRequested { by, incident: true })
            }
            Order::Pause { by } if !over && !paused => self.stage(Event::RunPaused { by }),
            Order::Continue { by } if paused => self.stage(Event::RunContinued { by }),
            Order::Cancel { .. } | Order::Pause { .. } | Order::Continue { .. } => Ok(()),
        }
    }

    /// Ends the run early: what runs is stopped, releasing follows.
    fn cancel(&mut self, by: String, incident: bool) -> Result<(), DriveError> {
        self.tasks.abort_all();
        self.under_way.retain(|u| matches!(u, UnderWay::Release(_)));
        self.stage(Event::CancelRequested { by: by.clone(), incident })?;
        let running: Vec<StepId> = look(&self.state, |state| {
            let running = state.steps.iter();
            let running = running.filter(|(_, s)| matches!(s, StepState::Running { .. }));
            running.map(|(id, _)| id.clone()).collect()
        });
        for step in running {
            let error = StepError::broken(format!("the run was cancelled: {by}"));
            let result =
                StepResult { outcome: Outcome::Inconclusive, ..result_of_failure(error, &[]) };
            self.stage(Event::StepFinished { step, result })?;
        }
        Ok(())
    }

    /// Sends what people want to hear of on its way.
    fn tell_people(&mut self, event: &Event) {
        if self.plan.hooks.is_empty() {
            return;
        }
        let Some(message) = Message::of(event, &self.facts) else { return };
        for hook in self.plan.hooks.iter().filter(|hook| hook.on.contains(&message.moment)) {
            let (hook, message) = (hook.clone(), message.clone());
            let (outside, facts) = (self.world.outside.clone(), self.facts.clone());
            self.notices.spawn(async move {
                let problem = tell(&*outside, &hook, &message, &facts).await.err();
                let Message { moment, step, .. } = message;
                Event::Notified { moment, step, how: hook.describe(), problem }
            });
        }
    }

    /// Numbers, chains and applies an event. It is not on disk before the next commit, and nothing is done before that.
    fn stage(&mut self, event: Event) -> Result<(), DriveError> {
        let event = conceal(&self.secrets, event);
        let clock = &self.world.clock;
        let record = self.journal.stage(clock.now(), clock.elapsed(), event)?;
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
