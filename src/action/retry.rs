use super::{StepContext, StepError};
use crate::time::RetryPolicy;
use std::future::Future;
use std::time::Duration;

/// How calls are tried again: five attempts over about half a minute.
fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 5,
        pause: Duration::from_secs(1).into(),
        longest: Duration::from_secs(20).into(),
    }
}

/// The one retry layer for calls. Only what may pass is tried again.
pub(super) async fn with_retries<T, F>(
    context: &StepContext,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StepError>
where
    F: Future<Output = Result<T, StepError>>,
{
    let mut schedule = policy().schedule(context.facts.seed, &format!("{}/{what}", context.step));
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !error.class().may_pass() {
            return Err(error);
        }
        let Some(pause) = schedule.next_pause() else { return Err(error) };
        context.progress(&format!("{what}: {error}; again in {:.1} s", pause.as_secs_f64()));
        context.clock.sleep(pause).await;
    }
}
