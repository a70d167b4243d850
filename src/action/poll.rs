//! One look-up for many waits: what waits for things of one kind at one site asks for all of them in one call.
//!
//! Main type: [`SharedLook`], used through [`StepContext::wait_together`]. There is no task of its own: whoever is due first
//! asks for everybody, and its step is the one whose calls are counted.

use super::wait::Progress;
use super::{Look, StepContext, StepError, WaitPlan};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// How things of one kind are looked up, many in one call.
pub struct SharedLook<T> {
    /// The operation, as in IAM. All waits of a site that name the same one share their look-ups, so they must be of the
    /// same type.
    pub operation: &'static str,
    /// How many things are asked for at a time: a page of the service.
    pub page: usize,
    /// Asks for things by id. What the service does not know is not in the answer.
    pub fetch: for<'a> fn(&'a StepContext, Vec<String>) -> Fetched<'a, T>,
}

/// What a shared look-up gives: the things that are there, by the id they were asked for with.
pub type Fetched<'a, T> = BoxFuture<'a, Result<BTreeMap<String, T>, StepError>>;

/// Whoever asks first waits this long before it does: what is asked for at the same moment goes into the same call.
const GATHERING: Duration = Duration::from_millis(10);

impl StepContext {
    /// As [`StepContext::wait`], with look-ups that are shared with all other waits at the site that use the same
    /// `operation`. `judge` is given what was found (`None` when the service does not know it) and when it was asked for
    /// (UTC).
    ///
    /// A look for one wait serves every wait that has room on its page, so that any number of waits cost the calls of the
    /// most eager one, page by page.
    ///
    /// # Errors
    /// The error of a look that stays, or of `judge`; at the limit as [`StepContext::wait`].
    pub async fn wait_together<T, U>(
        &self,
        plan: &WaitPlan,
        shared: &SharedLook<T>,
        id: &str,
        mut judge: impl FnMut(Option<T>, DateTime<Utc>) -> Result<Look<U>, StepError>,
    ) -> Result<U, StepError>
    where
        T: Clone + Send + 'static,
    {
        let desk = self.site()?.one_of::<Desk<T>>(shared.operation).ok_or_else(|| {
            StepError::broken(format!("{} is shared by waits of two kinds", shared.operation))
        })?;
        let plan = &self.as_remembered(plan);
        let mut place = desk.queue(id);
        let mut progress = Progress::begin(self);
        let mut due = desk.first_look(self, plan, place.ticket);
        loop {
            let seen = place.look(self, shared, due).await;
            let pause = match seen.found {
                Ok(found) => match judge(found, seen.asked)? {
                    Look::Ready(value) => return progress.ready(self, plan, value).await,
                    Look::NotYet(state) => progress.not_yet(self, plan, seen.asked, &state)?,
                },
                Err(error) => progress.unseen(self, plan, seen.asked, error)?,
            };
            due = self.clock.elapsed() + pause;
        }
    }

    /// Waits together with others until the service does not know a thing any more, or `state` says of it that it is gone (`None`).
    /// As long as it is there, `stands` is given its state, and may end the wait.
    ///
    /// # Errors
    /// Those of [`StepContext::wait_together`], and of `stands`.
    pub async fn vanish_together<T>(
        &self,
        plan: &WaitPlan,
        shared: &SharedLook<T>,
        id: &str,
        state: fn(&T) -> Option<&str>,
        stands: &(dyn Fn(&str) -> Result<(), StepError> + Sync),
    ) -> Result<(), StepError>
    where
        T: Clone + Send + 'static,
    {
        let judge = |seen: Option<T>, _| match seen.as_ref().and_then(state) {
            None => Ok(Look::Ready(())),
            Some(state) => stands(state).map(|()| Look::NotYet(state.to_owned())),
        };
        self.wait_together(plan, shared, id, judge).await
    }

    fn heard<T>(&self, seen: Seen<T>) -> Seen<T> {
        if seen.found.is_ok() {
            self.calls.answered();
        }
        seen
    }
}

/// Where the waits of one kind at one site queue.
struct Desk<T> {
    queue: Mutex<Queue<T>>,
    /// Told whenever nobody asks any more.
    idle: Notify,
}

struct Queue<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    next_ticket: u64,
    somebody_asks: bool,
}

struct Waiting<T> {
    id: String,
    /// When it wants its next look, on the run's clock; `None` while it thinks about the last one.
    due: Option<Duration>,
    /// It has seen nothing yet: any look takes it along.
    fresh: bool,
    answers: mpsc::UnboundedSender<Seen<T>>,
}

/// What a look has shown to one wait.
struct Seen<T> {
    asked: DateTime<Utc>,
    found: Result<Option<T>, StepError>,
}

impl<T> Default for Desk<T> {
    fn default() -> Self {
        let queue = Queue { waiting: BTreeMap::new(), next_ticket: 0, somebody_asks: false };
        Self { queue: Mutex::new(queue), idle: Notify::new() }
    }
}

impl<T: Clone> Desk<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, id: &str) -> Place<'_, T> {
        let (sender, answers) = mpsc::unbounded_channel();
        let mut queue = self.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        let waiting = Waiting { id: id.to_owned(), due: None, fresh: true, answers: sender };
        queue.waiting.insert(ticket, waiting);
        Place { desk: self, ticket, answers }
    }

    /// Who is alone looks at once. Who comes to a queue is taken along by its next look, or looks after the shortest
    /// pause: a hundred that come one after another do not cost a hundred calls.
    fn first_look(&self, context: &StepContext, plan: &WaitPlan, ticket: u64) -> Duration {
        let alone = self.lock().waiting.keys().all(|other| *other == ticket);
        let pause = if alone { Duration::ZERO } else { plan.shortest };
        context.clock.elapsed() + pause
    }

    /// Takes the turn to ask, unless somebody has it.
    fn lead(&self) -> Option<Leading<'_, T>> {
        let mut queue = self.lock();
        if queue.somebody_asks {
            return None;
        }
        queue.somebody_asks = true;
        Some(Leading(self))
    }
}

impl<T> Queue<T> {
    /// Who is asked for now, page by page: all that are due or fresh, and on the last page, which costs the same call,
    /// those that come next.
    fn pages(&self, now: Duration, page: usize) -> Vec<Vec<u64>> {
        let is_due = |w: &Waiting<T>| w.fresh || w.due.is_some_and(|due| due <= now);
        let due = self.waiting.iter().filter(|(_, w)| is_due(w)).map(|(ticket, _)| *ticket);
        let mut asked: Vec<u64> = due.collect();
        let mut later: Vec<(Duration, u64)> = self
            .waiting
            .iter()
            .filter(|(_, w)| !is_due(w))
            .filter_map(|(ticket, w)| Some((w.due?, *ticket)))
            .collect();
        later.sort_unstable();
        let page = page.max(1);
        let room = asked.len().next_multiple_of(page) - asked.len();
        asked.extend(later.into_iter().take(room).map(|(_, ticket)| ticket));
        asked.chunks(page).map(<[u64]>::to_vec).collect()
    }
}

/// The place of one wait in the queue, until it is dropped.
struct Place<'d, T: Clone> {
    desk: &'d Desk<T>,
    ticket: u64,
    answers: mpsc::UnboundedReceiver<Seen<T>>,
}

impl<T: Clone> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.desk.lock().waiting.remove(&self.ticket);
    }
}

impl<T: Clone + Send + 'static> Place<'_, T> {
    /// The next look: somebody else's, when that comes first, or one's own when it is due.
    async fn look(
        &mut self,
        context: &StepContext,
        shared: &SharedLook<T>,
        due: Duration,
    ) -> Seen<T> {
        if let Some(waiting) = self.desk.lock().waiting.get_mut(&self.ticket) {
            waiting.due = Some(due);
        }
        loop {
            let pause = due.saturating_sub(context.clock.elapsed());
            tokio::select! {
                biased;
                Some(seen) = self.answers.recv() => return context.heard(seen),
                () = context.clock.sleep(pause) => {}
            }
            let mut idle = pin!(self.desk.idle.notified());
            idle.as_mut().enable();
            match self.desk.lead() {
                // One's own answer is among those that it gives.
                Some(leading) => leading.ask(context, shared).await,
                None => {
                    // The call is another step's. That it hangs must be known here, too: at the step's limit, nothing was
                    // seen then.
                    context.calls.asks(context.clock.elapsed());
                    tokio::select! {
                        biased;
                        Some(seen) = self.answers.recv() => return context.heard(seen),
                        () = idle => {}
                    }
                }
            }
        }
    }
}

/// The turn to ask for everybody, until it is dropped: a step that is stopped meanwhile leaves it to the next.
struct Leading<'d, T: Clone>(&'d Desk<T>);

impl<T: Clone> Drop for Leading<'_, T> {
    fn drop(&mut self) {
        self.0.lock().somebody_asks = false;
        self.0.idle.notify_waiters();
    }
}

impl<T: Clone + Send + 'static> Leading<'_, T> {
    async fn ask(&self, context: &StepContext, shared: &SharedLook<T>) {
        context.clock.sleep(GATHERING).await;
        let pages = self.0.lock().pages(context.clock.elapsed(), shared.page);
        for tickets in pages {
            let ids: BTreeSet<String> = {
                let queue = self.0.lock();
                let waiting = tickets.iter().filter_map(|ticket| queue.waiting.get(ticket));
                waiting.map(|waiting| waiting.id.clone()).collect()
            };
            if ids.is_empty() {
                continue;
            }
            // The moment before the call: what it reports was true no earlier and no later than the call itself.
            let asked = context.clock.now();
            let found = (shared.fetch)(context, ids.into_iter().collect()).await;
            self.tell(&tickets, asked, &found, context.clock.elapsed());
        }
    }

    /// Gives everybody what concerns them. An error concerns those that were due: the others only had room on the page.
    fn tell(
        &self,
        tickets: &[u64],
        asked: DateTime<Utc>,
        found: &Result<BTreeMap<String, T>, StepError>,
        now: Duration,
    ) {
        let mut queue = self.0.lock();
        for ticket in tickets {
            let Some(waiting) = queue.waiting.get_mut(ticket) else { continue };
            let is_due = waiting.fresh || waiting.due.is_some_and(|due| due <= now);
            let found = match found {
                Ok(all) => Ok(all.get(&waiting.id).cloned()),
                Err(error) if is_due => Err(error.clone()),
                Err(_) => continue,
            };
            waiting.due = None;
            waiting.fresh = false;
            // Who has gone meanwhile does not need it.
            let _ = waiting.answers.send(Seen { asked, found });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::CallLog;
    use crate::ids::StepId;
    use crate::journal::{Event, FailureClass};
    use crate::outside::fake::{FakeOutside, context};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Each thing is ready at the second that its id names; `never` makes every look of its page fail, `hang` leaves it without an
    /// answer.
    fn fetch(context: &StepContext, ids: Vec<String>) -> Fetched<'_, bool> {
        Box::pin(async move {
            CALLS.with(|calls| calls.fetch_add(1, Ordering::SeqCst));
            context.clock.sleep(Duration::from_millis(100)).await;
            if ids.iter().any(|id| id == "hang") {
                std::future::pending::<()>().await;
            }
            if ids.iter().any(|id| id == "never") {
                return Err(StepError::denied("no permission"));
            }
            let ready = |id: &String| {
                let second: u64 = id.split('-').next_back()?.parse().ok()?;
                Some((id.clone(), context.clock.elapsed() >= Duration::from_secs(second)))
            };
            Ok(ids.iter().filter_map(ready).collect())
        })
    }

    thread_local! {
        /// The tests' runtimes have one thread each.
        static CALLS: AtomicU32 = const { AtomicU32::new(0) };
    }

    const LOOK: SharedLook<bool> =
        SharedLook { operation: "test:DescribeThings", page: 100, fetch };

    fn plan(seconds: u64) -> WaitPlan {
        WaitPlan::new("ready", Duration::from_secs(seconds), Duration::from_secs(3600))
    }

    async fn wait(context: StepContext, id: String, expected: u64) -> Result<(), StepError> {
        let judge = |found: Option<bool>, _| match found {
            Some(true) => Ok(Look::Ready(())),
            Some(false) => Ok(Look::NotYet("creating".to_owned())),
            None => Err(StepError::recovery("it disappeared")),
        };
        context.wait_together(&plan(expected), &LOOK, &id, judge).await
    }

    fn of_step(context: &StepContext, name: &str) -> StepContext {
        StepContext { step: StepId::new(name), ..context.clone() }
    }

    /// How many calls so many waits make together that begin at the same moment.
    async fn calls_of(waits: usize) -> u32 {
        let (context, _, _) = context(FakeOutside::default());
        CALLS.with(|calls| calls.store(0, Ordering::SeqCst));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..waits {
            let context = of_step(&context, &format!("step-{n}"));
            tasks.spawn(wait(context, format!("thing-{n}-600"), 600));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        CALLS.with(|calls| calls.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_waits_cost_the_calls_of_one_page_by_page() {
        let one = calls_of(1).await;
        assert!(one > 10, "{one}");
        assert_eq!(calls_of(100).await, one);
        assert_eq!(calls_of(200).await, 2 * one);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_begin_one_after_another_soon_share_their_looks() {
        let one = calls_of(1).await;
        let (context, _, _) = context(FakeOutside::default());
        CALLS.with(|calls| calls.store(0, Ordering::SeqCst));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50_u64 {
            let context = of_step(&context, &format!("step-{n}"));
            tasks.spawn(async move {
                context.clock.sleep(Duration::from_millis(150 * n)).await;
                wait(context, format!("thing-{n}-600"), 600).await
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        let calls = CALLS.with(|calls| calls.load(Ordering::SeqCst));
        assert!(calls < 2 * one, "{calls} calls, {one} of a single wait");
    }

    #[tokio::test(start_paused = true)]
    async fn the_bracket_is_that_of_the_look_that_found_it_whoever_asked() {
        let (context, _, recorder) = context(FakeOutside::default());
        let first = wait(of_step(&context, "eager"), "a-60".to_owned(), 60);
        let second = wait(of_step(&context, "patient"), "b-60".to_owned(), 3000);
        let (first, second) = tokio::join!(first, second);
        first.unwrap();
        second.unwrap();
        let brackets = recorder.events().into_iter().filter_map(|event| match event {
            Event::Waited { wait, .. } => Some((wait.last_not_ready.unwrap(), wait.first_ready)),
            _ => None,
        });
        let brackets: Vec<_> = brackets.collect();
        assert_eq!(brackets.len(), 2);
        // Alone, the patient one would have looked every half minute only.
        assert_eq!(brackets[0], brackets[1]);
        assert!((brackets[0].1 - brackets[0].0).num_seconds() < 10);
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_who_asks_is_stopped_another_asks() {
        let (context, _, _) = context(FakeOutside::default());
        let asking = tokio::spawn(wait(of_step(&context, "stopped"), "a-60".to_owned(), 60));
        context.clock.sleep(Duration::from_millis(50)).await;
        let other = tokio::spawn(wait(of_step(&context, "other"), "b-60".to_owned(), 60));
        context.clock.sleep(Duration::from_millis(20)).await;
        asking.abort();
        other.await.unwrap().unwrap();
        assert!(context.clock.elapsed() < Duration::from_secs(70));
    }

    #[tokio::test(start_paused = true)]
    async fn regression_who_follows_a_look_that_hangs_knows_that_nothing_is_answered() {
        let (context, _, _) = context(FakeOutside::default());
        let asking = tokio::spawn(wait(of_step(&context, "leader"), "hang".to_owned(), 60));
        context.clock.sleep(Duration::from_secs(1)).await;
        let follower = StepContext { calls: CallLog::default(), ..of_step(&context, "follower") };
        let calls = follower.calls.clone();
        let following = tokio::spawn(wait(follower, "b-60".to_owned(), 60));
        context.clock.sleep(Duration::from_secs(300)).await;
        let silent_since = calls.unanswered_since().unwrap();
        assert!(context.clock.elapsed() - silent_since > Duration::from_secs(200));
        // Once somebody is answered, so is the other.
        asking.abort();
        following.await.unwrap().unwrap();
        assert_eq!(calls.unanswered_since(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_never_taken_for_not_yet() {
        let (context, _, _) = context(FakeOutside::default());
        let error = wait(context.clone(), "never".to_owned(), 60).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Denied);
        let gone = wait(context, "unknown".to_owned(), 60).await.unwrap_err();
        assert_eq!(gone.class(), FailureClass::Recovery);
    }
}
