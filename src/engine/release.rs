use super::world::Keep;
use crate::action::{
    EXPIRES_TAG, Expiry, Found, Look, ResourceKind, StepContext, StepError, WaitPlan,
};
use crate::journal::{Event, Failure, FailureClass, Holding, ResourceKey};
use crate::time::{HumanDuration, RetryPolicy};
use chrono::TimeDelta;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How the removal of a resource ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// A look-up said that it is gone; how, in words.
    Gone(&'static str),
    /// It is still there, or nobody can say.
    Left {
        /// Why.
        why: String,
        /// True when it stays on purpose.
        kept: bool,
        /// True when the guard, or a lost site, stopped a call.
        refused: bool,
        /// True when the service denied it to the role.
        denied: bool,
        /// The command that deletes it by hand.
        command: String,
    },
}

/// How long a resource may take to vanish after its removal was asked for.
const VANISHES_WITHIN: Duration = Duration::from_secs(45 * 60);

/// The longest that the removal of one resource can take, all attempts together: after that it is left, and said so.
pub const LONGEST_REMOVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// How long removal is tried again while the way to the service is down, or the thing is busy with something else: the
/// network may be gone for an hour, and an instance that is being restored cannot be changed before it is there.
const GIVES_UP_AFTER: Duration = Duration::from_secs(75 * 60);

/// When something is still there, and not going either, its removal is asked for once more: the first answer may not have been
/// that of the service.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// AWS's look-ups are eventually consistent: "not there" right after a call may only mean "not seen yet". The call may still be on
/// its way besides, when its run was cancelled. The pauses before further looks; two minutes in all.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
const LOOKED_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_secs(15), Duration::from_secs(45), Duration::from_secs(60)];

/// Stands in place of the command that deletes something, where that would delete what another run has claimed. A shell does nothing
/// with it.
pub const LOOK_FIRST: &str =
    "# delete nothing before a person has looked whose it is: another run has claimed it";

/// Finds a resource, removes it and waits until a look-up says that it is gone. Works with nothing but its key.
pub async fn release(
    context: &StepContext,
    kind: Option<&dyn ResourceKind>,
    key: &ResourceKey,
    holding: &Holding,
    keep: Keep,
) -> Released {
    let Some(kind) = kind else {
        let why = format!("this version does not know the kind {}", key.kind);
        return stays(why, false, String::new());
    };
    let id = match holding {
        Holding::Owned { id, .. } => Some(id.as_str()),
        _ => None,
    };
    let region = context.site().map(|s| s.place().region.clone()).unwrap_or_default();
    let command = kind.command(key, id, &region);
    let mut schedule = patience().schedule(context.facts.seed, &format!("release/{key}"));
    let began = context.clock.elapsed();
    loop {
        let left = (began + LONGEST_REMOVAL).saturating_sub(context.clock.elapsed());
        let released = tokio::select! {
            biased;
            released = release_once(context, kind, key, id, keep) => released,
            () = context.clock.sleep(left) => {
                let limit = HumanDuration(LONGEST_REMOVAL);
                Err(StepError::timed_out(format!("it could not be removed within {limit}")))
            }
        };
        let error = match released {
            Ok(Ended::Gone(how)) => return Released::Gone(how),
            Ok(Ended::Kept(why)) => return stays(why, true, command),
            Ok(Ended::Unknown(why)) => return stays(why, false, command),
            Ok(Ended::Claimed(why)) => {
                let why = format!("it is not ours any more: {why}");
                return stays(why, false, LOOK_FIRST.to_owned());
            }
            Err(error) => error,
        };
        context.progress(&format!("removing {key}: {error}"));
        let spent = context.clock.elapsed().saturating_sub(began);
        let passing = error.class().may_pass() && spent < GIVES_UP_AFTER;
        let pause = schedule.next_pause().or(passing.then_some(PAUSE_AT_LAST));
        let Some(pause) = pause.filter(|_| may_pass_in_time(&error)) else {
            let refused = error.class() == FailureClass::Refused;
            let denied = error.class() == FailureClass::Denied;
            let why = match error.into_failure() {
                Failure { message, help: Some(help), .. } => format!("{message} ({help})"),
                Failure { message, .. } => message,
            };
            return Released::Left { why, kept: false, refused, denied, command };
        };
        context.clock.sleep(pause).await;
    }
}

/// It stays, and nobody has refused or denied its removal.
fn stays(why: String, kept: bool, command: String) -> Released {
    Released::Left { why, kept, refused: false, denied: false, command }
}

/// Between later attempts at what may still pass.
const PAUSE_AT_LAST: Duration = Duration::from_secs(90);

/// Whatever went wrong, removal is tried for about ten minutes: what cannot be removed now may be removable then.
fn patience() -> RetryPolicy {
    RetryPolicy {
        attempts: 12,
        pause: Duration::from_secs(5).into(),
        longest: Duration::from_secs(90).into(),
    }
}

fn may_pass_in_time(error: &StepError) -> bool {
    let refused = [
        FailureClass::Refused,
        FailureClass::Denied,
        FailureClass::NotRehearsed,
        // They were waited for already.
        FailureClass::CredentialsExpired,
    ];
    !refused.contains(&error.class()) && error.class() != FailureClass::TimedOut
}

/// How one attempt at a removal ended that need not be made again.
enum Ended {
    /// It is gone; how, in words.
    Gone(&'static str),
    /// It stays on purpose.
    Kept(String),
    /// Nobody can say here whether it is there, however often it is looked for.
    Unknown(String),
    /// It names another run now: it must not be touched.
    Claimed(String),
}

async fn release_once(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    id: Option<&str>,
    keep: Keep,
) -> Result<Ended, StepError> {
    let mut found = kind.find(context, key, id).await?;
    for pause in LOOKED_AGAIN_AFTER {
        if found != Found::Gone {
            break;
        }
        context.progress(&format!("{key} is not there: looking again, it may not be seen yet"));
        context.clock.sleep(pause).await;
        found = kind.find(context, key, id).await?;
    }
    let found = match found {
        Found::Gone if id.is_some() => return Ok(Ended::Gone("already gone")),
        Found::Gone => return Ok(Ended::Gone("never made")),
        Found::Unknown { why } => return Ok(Ended::Unknown(why)),
        Found::Foreign { why, claimed: true } if id.is_some() => return Ok(Ended::Claimed(why)),
        Found::Foreign { why, .. } if id.is_some() => {
            return Err(StepError::broken(format!("it is not ours any more: {why}")));
        }
        // The name was taken by somebody else before we came; nothing of ours was made.
        Found::Foreign { .. } => return Ok(Ended::Gone("never made")),
        Found::Ours { id, .. } => id,
    };
    if id.is_none() {
        // Its answer was lost. The guard lets only what the ledger knows by its id be removed.
        let owned = Event::ResourceOwned { key: key.clone(), id: found.clone() };
        context.recorder.record(owned).await?;
    }
    match keep {
        // A copy of a backup is not what was brought back.
        _ if kind.is_temporary() => {}
        Keep::For(duration) => {
            return Ok(Ended::Kept(kept(context, kind, key, &found, duration).await));
        }
        Keep::Recovered if !kind.is_canary() => {
            let why = "kept: mode recovery removes nothing of what it brought back";
            return Ok(Ended::Kept(why.to_owned()));
        }
        Keep::Recovered | Keep::Nothing => {}
    }
    kind.remove(context, key, &found).await?;
    until_gone(context, kind, key, &found).await
}

/// Waits until a look-up says that it is gone, or that this cannot be known.
async fn until_gone(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    id: &str,
) -> Result<Ended, StepError> {
    let plan = WaitPlan::new(format!("{key} gone"), Duration::from_secs(300), VANISHES_WITHIN);
    let began = context.clock.elapsed();
    let is_late = || context.clock.elapsed().saturating_sub(began) >= ASKED_AGAIN_AFTER;
    if is_out_of_sight(context, kind, key, id, &plan, &is_late).await? {
        match kind.find(context, key, Some(id)).await {
            Ok(Found::Gone) => return Ok(Ended::Gone("deleted")),
            Err(error) if !error.class().may_pass() => return Err(error),
            // What passes is borne by the wait for it alone.
            _ => {}
        }
    }
    let (is_late, asked_again) = (&is_late, &AtomicBool::new(false));
    let look = || async move {
        let found = kind.find(context, key, Some(id)).await?;
        let is_going = found.is_going();
        Ok(match found {
            Found::Gone => Look::Ready(Ended::Gone("deleted")),
            Found::Unknown { why } => {
                Look::Ready(Ended::Unknown(format!("its removal was asked for; {why}")))
            }
            Found::Ours { state, .. } => {
                if is_late() && !is_going && !asked_again.swap(true, Ordering::Relaxed) {
                    kind.remove(context, key, id).await?;
                }
                Look::NotYet(state)
            }
            Found::Foreign { why, claimed: true } => Look::Ready(Ended::Claimed(why)),
            Found::Foreign { why, .. } => {
                return Err(StepError::broken(format!("it is not ours any more: {why}")));
            }
        })
    };
    context.wait(&plan, look).await
}

/// Waits together with all others that are being removed at the site, where the kind of thing allows it: true once it is not seen
/// any more, false when it has to be looked at by itself.
async fn is_out_of_sight(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    id: &str,
    plan: &WaitPlan,
    is_late: &(dyn Fn() -> bool + Sync),
) -> Result<bool, StepError> {
    let stays = AtomicBool::new(false);
    let stands = |state: &str| {
        let is_going = Found::Ours { id: id.to_owned(), state: state.to_owned() }.is_going();
        if is_going || !is_late() {
            return Ok(());
        }
        stays.store(true, Ordering::Relaxed);
        Err(StepError::transient(format!("{key} is {state}, though its removal was asked for")))
    };
    let Some(vanishes) = kind.vanishes(context, key, id, plan, &stands) else { return Ok(false) };
    match vanishes.await {
        Ok(()) => Ok(true),
        Err(_) if stays.load(Ordering::Relaxed) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes on a thing that is kept when it may be removed by anyone. Says until when, and whether the thing says so, too.
async fn kept(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    id: &str,
    duration: Duration,
) -> String {
    let said = format!("kept for {} on the operator's word", HumanDuration(duration));
    let length = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let Some(until) = context.clock.now().checked_add_signed(length) else { return said };
    let said = format!("{said}, until {}", Expiry::written(until));
    let tagged = Expiry::written(context.facts.expires);
    match kind.set_expiry(context, key, id, until).await {
        Ok(true) => said,
        Ok(false) => format!("{said}; written on it is {tagged}"),
        Err(error) => {
            format!(
                "{said}; its tag {EXPIRES_TAG} still says {tagged}: it could not be changed: {error}"
            )
        }
    }
}
