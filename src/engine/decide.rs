use super::inventory;
use crate::action::Phase;
use crate::ids::StepId;
use crate::journal::{Outcome, RunState, StepState};
use crate::plan::{Plan, PlannedStep};
use crate::scenario::OnFailure;
use chrono::{DateTime, TimeDelta, Utc};

/// Something to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// Start an attempt at a step.
    Start {
        /// The step.
        step: StepId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Note that a step is not run.
    LeaveOut {
        /// The step.
        step: StepId,
        /// `skipped` or `not_run`.
        outcome: Outcome,
        /// Why.
        why: String,
    },
    /// Everything before the disaster is done, or it has happened already: declare it.
    DeclareDisaster,
    /// A limit of the guard is reached: end the run early.
    Cancel {
        /// Which limit.
        why: String,
    },
    /// No step is to come: remove what was made.
    Release,
    /// Nothing is left to do.
    Finish {
        /// The outcome of the steps.
        outcome: Outcome,
    },
    /// Nothing to do before this time, unless something happens.
    WaitUntil(DateTime<Utc>),
}

/// What to do next. Pure: the same plan, state and time give the same moves.
///
/// In a drill, prepare steps run first. When all of them have ended well enough, the disaster is declared; then the others run
/// as soon as their needs are met. In a recovery the disaster has happened: it is declared at once, and what can still be
/// prepared is prepared beside the rest, except that a person who is asked before it begins is waited for. A failed step whose
/// `on_failure` is `stop` ends the starting of steps, as does a cancelled run; what runs may end. Then comes releasing, then
/// the end. While an inventory is to be taken, before the first step and after the last release, nothing else is done.
pub fn decide(plan: &Plan, state: &RunState, now: DateTime<Utc>) -> Vec<Move> {
    if state.finished.is_some() {
        return Vec::new();
    }
    if state.releasing {
        let over = state.ledger.outstanding().is_empty() && inventory::due(plan, state).is_none();
        return match over {
            true => vec![Move::Finish { outcome: outcome_of_steps(plan, state) }],
            false => Vec::new(),
        };
    }
    let deadline = deadline(plan, state);
    if let (None, Some((deadline, why))) = (&state.cancelled, &deadline)
        && now >= *deadline
    {
        return vec![Move::Cancel { why: why.clone() }];
    }
    let deadline = deadline.map(|(deadline, _)| deadline);
    if let (None, Some(name)) = (&state.cancelled, &state.of_another_run) {
        let why = format!(
            "{name} carries the tags of this run, which has made nothing yet: another run has the same id"
        );
        return vec![Move::Cancel { why }];
    }
    if let (None, Some(why)) = (&state.cancelled, red_watch(plan, state)) {
        return vec![Move::Cancel { why }];
    }
    if state.paused.is_some() {
        let limit = deadline.filter(|_| state.cancelled.is_none());
        return limit.map(Move::WaitUntil).into_iter().collect();
    }
    if state.disaster.is_none() && state.cancelled.is_none() && !plan.is_drill() {
        return vec![Move::DeclareDisaster];
    }
    if inventory::due(plan, state).is_some() {
        return Vec::new();
    }
    let mut moves = next_steps(plan, state, now);
    if moves.is_empty() && state.over == plan.steps.len() {
        return vec![Move::Release];
    }
    if !moves.iter().any(|m| !matches!(m, Move::WaitUntil(_)))
        && state.running > 0
        && let Some(deadline) = deadline
    {
        moves.push(Move::WaitUntil(deadline));
    }
    moves
}

/// When the run is cancelled, and why then. Time without a process does not count for its length, and what a drill has made expires
/// all the same: from then on `redrill reap` may remove it anywhere, and nothing may rest on it any more.
fn deadline(plan: &Plan, state: &RunState) -> Option<(DateTime<Utc>, String)> {
    let head = state.head.as_ref()?;
    let limit = TimeDelta::from_std(plan.guard.max_duration.0).ok()?.checked_add(&state.idle)?;
    let longest = head.started.checked_add_signed(limit)?;
    if plan.is_drill() && head.expires < longest {
        let why = format!(
            "what the run makes expires {} after its start (guard.ttl), and the time without a process counts for that",
            plan.guard.ttl
        );
        return Some((head.expires, why));
    }
    Some((longest, format!("guard.max_duration of {} is over", plan.guard.max_duration)))
}

/// Why a watch ends the run, if one does: it fell short, or nobody can tell.
fn red_watch(plan: &Plan, state: &RunState) -> Option<String> {
    let is_watch = |id: &&StepId| plan.step(id).is_some_and(|step| step.watch.is_some());
    let id = state.fell_short.iter().find(is_watch)?;
    Some(format!("the watch {id} {}", ended_as(state.outcome(id)?)))
}

/// True when nothing is under way or to come but watches: they may end.
pub(super) fn only_watches_are_left(plan: &Plan, state: &RunState) -> bool {
    let runs =
        |step: &&PlannedStep| matches!(state.steps.get(&step.id), Some(StepState::Running { .. }));
    state.over + state.running == plan.steps.len()
        && plan.steps.iter().filter(runs).all(|step| step.watch.is_some())
}

fn next_steps(plan: &Plan, state: &RunState, now: DateTime<Utc>) -> Vec<Move> {
    if let Some(why) = stopped(plan, state) {
        return leave_out_waiting(plan, state, &why);
    }
    let preparing = |step: &&PlannedStep| step.phase == Phase::Prepare;
    let open = |step: &PlannedStep| step.watch.is_none() && state.outcome(&step.id).is_none();
    let mut moves: Vec<Move> = Vec::new();
    if state.disaster.is_none() {
        let prepare = plan.steps.iter().filter(preparing);
        moves.extend(prepare.filter_map(|step| next_of(plan, state, step, now)));
        if moves.is_empty() && !plan.steps.iter().filter(preparing).any(open) {
            moves.push(Move::DeclareDisaster);
        }
        return moves;
    }
    // Only in a recovery can a question from before the disaster be open after its declaration.
    let asks = |step: &&PlannedStep| preparing(step) && step.asks_a_person();
    let is_asked = plan.steps.iter().filter(asks).any(open);
    let may_start = plan.steps.iter().filter(|step| !is_asked || preparing(step));
    moves.extend(may_start.filter_map(|step| next_of(plan, state, step, now)));
    moves
}

/// Why no further step is started, if so.
fn stopped(plan: &Plan, state: &RunState) -> Option<String> {
    if let Some(by) = &state.cancelled {
        return Some(format!("the run was cancelled: {by}"));
    }
    let stops = |id: &&StepId| {
        let step = plan.step(id);
        step.is_some_and(|s| s.on_failure == OnFailure::Stop && !is_too_late(plan, s))
    };
    // What was never asked was not answered with yes.
    let unasked = |step: &&PlannedStep| {
        let is_not_run = || state.outcome(&step.id) == Some(Outcome::NotRun);
        step.phase == Phase::Prepare && step.asks_a_person() && is_not_run()
    };
    let unasked = plan.steps.iter().filter(unasked).map(|step| &step.id);
    let id = state.fell_short.iter().chain(unasked).find(stops)?;
    Some(format!("the step {id} {}", ended_as(state.outcome(id)?)))
}

/// In a recovery, what is prepared should have been prepared before: whether it can still be had or not, the recovery goes on.
/// The word of a person is another matter.
fn is_too_late(plan: &Plan, step: &PlannedStep) -> bool {
    step.phase == Phase::Prepare && !plan.is_drill() && !step.asks_a_person()
}

fn ended_as(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Inconclusive => "was inconclusive",
        Outcome::Skipped => "was skipped",
        Outcome::NotRun => "was not run",
    }
}

fn leave_out_waiting(plan: &Plan, state: &RunState, why: &str) -> Vec<Move> {
    let waiting = |step: &&PlannedStep| match state.steps.get(&step.id) {
        None | Some(StepState::Retrying { .. }) => true,
        Some(_) => false,
    };
    let leave_out = |step: &PlannedStep| Move::LeaveOut {
        step: step.id.clone(),
        outcome: Outcome::NotRun,
        why: why.to_owned(),
    };
    plan.steps.iter().filter(waiting).map(leave_out).collect()
}

fn next_of(plan: &Plan, state: &RunState, step: &PlannedStep, now: DateTime<Utc>) -> Option<Move> {
    let start = |attempt| Some(Move::Start { step: step.id.clone(), attempt });
    match state.steps.get(&step.id) {
        Some(StepState::Retrying { attempts, retry_at, .. }) if *retry_at <= now => {
            start(attempts + 1)
        }
        Some(StepState::Retrying { retry_at, .. }) => Some(Move::WaitUntil(*retry_at)),
        Some(_) => None,
        None if plan.is_out_of_reach(step) => {
            let why = "its site is lost: this can be prepared only before the disaster".to_owned();
            Some(Move::LeaveOut { step: step.id.clone(), outcome: Outcome::NotRun, why })
        }
        None => match needs_of(plan, state, step) {
            Needs::Met => start(1),
            Needs::Open => None,
            Needs::NeverMet(outcome, why) => {
                Some(Move::LeaveOut { step: step.id.clone(), outcome, why })
            }
        },
    }
}

fn is_out_of_reach(plan: &Plan, step: &StepId) -> bool {
    plan.step(step).is_some_and(|step| plan.is_out_of_reach(step))
}

enum Needs {
    Met,
    Open,
    NeverMet(Outcome, String),
}

fn needs_of(plan: &Plan, state: &RunState, step: &PlannedStep) -> Needs {
    let mut open = false;
    for need in &step.needs {
        match state.steps.get(need) {
            Some(StepState::Done(result)) if result.outcome == Outcome::Passed => {}
            // It fell short of what was expected, but did its work, and the scenario says to go on: its output stands.
            Some(StepState::Done(result))
                if result.failure.is_none()
                    && plan.step(need).is_some_and(|n| n.on_failure == OnFailure::Continue) => {}
            Some(StepState::Done(result)) => {
                let why = format!("it needs {need}, which {}", ended_as(result.outcome));
                return Needs::NeverMet(Outcome::NotRun, why);
            }
            // The step says what to take instead of the output of one that is left out on purpose.
            Some(StepState::LeftOut { outcome, .. })
                if step.may_be_skipped.contains(need)
                    && (*outcome == Outcome::Skipped || is_out_of_reach(plan, need)) => {}
            Some(StepState::LeftOut { outcome, .. }) => {
                let why = format!("it needs {need}, which {}", ended_as(*outcome));
                return Needs::NeverMet(*outcome, why);
            }
            _ => open = true,
        }
    }
    if open { Needs::Open } else { Needs::Met }
}

/// The outcome of the required steps: the worst, where a required step that did not run makes it inconclusive.
fn outcome_of_steps(plan: &Plan, state: &RunState) -> Outcome {
    let required = plan.steps.iter().filter(|step| plan.requires(step));
    let outcomes = required.map(|step| match state.outcome(&step.id) {
        Some(outcome @ (Outcome::Passed | Outcome::Failed)) => outcome,
        _ => Outcome::Inconclusive,
    });
    Outcome::worst(outcomes).unwrap_or(Outcome::Inconclusive)
}
