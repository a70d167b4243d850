use super::world::Keep;
use crate::action::{Found, Look, ResourceKind, StepContext, StepError, WaitPlan};
use crate::journal::{FailureClass, Holding, ResourceKey};
use crate::time::{HumanDuration, RetryPolicy};
use std::time::Duration;

/// How the removal of a resource ended.
pub(super) enum Released {
    /// A look-up said that it is gone.
    Gone(&'static str),
    /// It is still there, or nobody can say.
    Left { why: String, kept: bool, command: String },
}

/// How long a resource may take to vanish after its removal was asked for.
const VANISHES_WITHIN: Duration = Duration::from_secs(45 * 60);

/// AWS's look-ups are eventually consistent: "not there" right after a call may only mean "not seen yet".
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(15);

/// Finds a resource, removes it and waits until a look-up says that it is gone.
pub(super) async fn release(
    context: &StepContext,
    kind: Option<&dyn ResourceKind>,
    key: &ResourceKey,
    holding: &Holding,
    keep: Keep,
) -> Released {
    let Some(kind) = kind else {
        let why = format!("this version does not know the kind {}", key.kind);
        return Released::Left { why, kept: false, command: String::new() };
    };
    let id = match holding {
        Holding::Owned { id, .. } => Some(id.as_str()),
        _ => None,
    };
    let region = context.site().map(|s| s.place().region.clone()).unwrap_or_default();
    let command = kind.command(key, id, &region);
    let mut schedule = patience().schedule(context.facts.seed, &format!("release/{key}"));
    loop {
        let error = match release_once(context, kind, key, id, keep).await {
            Ok(Ok(how)) => return Released::Gone(how),
            Ok(Err(kept)) => return Released::Left { why: kept, kept: true, command },
            Err(error) => error,
        };
        context.progress(&format!("removing {key}: {error}"));
        let pause = schedule.next_pause().filter(|_| may_pass_in_time(&error));
        let Some(pause) = pause else {
            return Released::Left { why: error.to_string(), kept: false, command };
        };
        context.clock.sleep(pause).await;
    }
}

/// Removal is tried for about ten minutes: what is in a state in which it cannot be removed now may leave it.
fn patience() -> RetryPolicy {
    RetryPolicy {
        attempts: 12,
        pause: Duration::from_secs(5).into(),
        longest: Duration::from_secs(90).into(),
    }
}

fn may_pass_in_time(error: &StepError) -> bool {
    let refused = [FailureClass::Refused, FailureClass::Denied, FailureClass::NotRehearsed];
    !refused.contains(&error.class()) && error.class() != FailureClass::TimedOut
}

/// `Ok(Ok(how))`: gone. `Ok(Err(why))`: kept on purpose.
async fn release_once(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    id: Option<&str>,
    keep: Keep,
) -> Result<Result<&'static str, String>, StepError> {
    let mut found = kind.find(context, key, id).await?;
    if found == Found::Gone {
        // It may have been made a moment ago, with or without an answer: look-ups may lag behind.
        context.clock.sleep(SECOND_LOOK_AFTER).await;
        found = kind.find(context, key, id).await?;
    }
    let found = match found {
        Found::Gone if id.is_some() => return Ok(Ok("already gone")),
        Found::Gone => return Ok(Ok("never made")),
        Found::Foreign { why } if id.is_some() => {
            return Err(StepError::broken(format!("it is not ours any more: {why}")));
        }
        // The name was taken by somebody else before we came; nothing of ours was made.
        Found::Foreign { .. } => return Ok(Ok("never made")),
        Found::Ours { id, .. } => id,
    };
    match keep {
        Keep::For(duration) => {
            return Ok(Err(format!("kept for {} on the operator's word", HumanDuration(duration))));
        }
        Keep::Recovered if !kind.is_canary() => {
            return Ok(Err(
                "kept: mode recovery removes nothing of what it brought back".to_owned()
            ));
        }
        Keep::Recovered | Keep::Nothing => {}
    }
    kind.remove(context, key, &found).await?;
    let plan = WaitPlan::new(format!("{key} gone"), Duration::from_secs(300), VANISHES_WITHIN);
    let found = found.as_str();
    context
        .wait(&plan, || async move {
            Ok(match kind.find(context, key, Some(found)).await? {
                Found::Gone => Look::Ready(()),
                Found::Ours { state, .. } => Look::NotYet(state),
                Found::Foreign { why } => {
                    return Err(StepError::broken(format!("it is not ours any more: {why}")));
                }
            })
        })
        .await?;
    Ok(Ok("deleted"))
}
