use super::expect::judge_outputs;
use crate::action::{ActionEntry, StepContext, StepError};
use crate::journal::{Check, Finding, Outcome, Severity, StepResult};
use crate::limits;
use crate::plan::PlannedStep;
use crate::time::HumanDuration;
use serde_json::Value;
use std::time::Duration;

/// How one attempt at a step ended.
pub(super) enum Attempt {
    /// The action came to its end; its outputs are judged by these checks, still to be written down.
    Done { output: Value, checks: Vec<Check> },
    /// It did not.
    Failed(StepError),
}

/// Runs the action of a step once, within what is left of its time limit.
pub(super) async fn run_once(
    context: StepContext,
    step: PlannedStep,
    action: ActionEntry,
    input: Value,
    left: Duration,
) -> Attempt {
    let before = context.waited_for_credentials();
    let ended = tokio::select! {
        biased;
        ended = action.run(&context, input) => ended,
        () = context.clock.sleep(left) => {
            Err(over(&context, step.timeout.0, before))
        }
    };
    if context.outside.secrets().tell_of_short() {
        // That it could not be written down ends the run elsewhere.
        let _not_written = context.finding(short_secret()).await;
    }
    match ended {
        Ok(output) => match within_limit(&output) {
            Ok(()) => {
                let checks = judge_outputs(&step, &action, &output);
                Attempt::Done { output, checks }
            }
            Err(error) => Attempt::Failed(error),
        },
        Err(error) => Attempt::Failed(error),
    }
}

/// A secret of a few characters stands anywhere by chance, and without its letters nothing could be read.
fn short_secret() -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "secrets.too_short".to_owned(),
        what: "A secret that the run uses has fewer than four characters".to_owned(),
        why: "It protects nothing, and it is not taken out of what is written down: it may stand in journal and reports"
            .to_owned(),
        action: "Use a longer one".to_owned(),
    }
}

/// After so long without an answer, a step that ends at its limit says nothing about what it asked for.
const NO_ANSWER: Duration = Duration::from_secs(60);

/// The step's limit is over. Where no call was answered any more, nothing was seen. Where part of the time went into
/// waiting for credentials, that says nothing about the recovery.
fn over(context: &StepContext, limit: Duration, waited_before: Duration) -> StepError {
    let now = context.clock.elapsed();
    let silence = context.calls.unanswered_since().map(|since| now.saturating_sub(since));
    if let Some(silence) = silence.filter(|silence| *silence >= NO_ANSWER.min(limit / 2)) {
        let (limit, silence) =
            (HumanDuration(limit), HumanDuration(Duration::from_secs(silence.as_secs())));
        return StepError::transient(format!(
            "the step's limit of {limit} is over, and for {silence} no call was answered"
        ));
    }
    let look = context.calls.last_look();
    let blind = look.as_ref().and_then(|look| Some(now.saturating_sub(look.blind_since?)));
    let seen = look.map_or_else(String::new, |look| {
        let state = look.state.as_deref().unwrap_or("nothing");
        format!("; {} was waited for, last seen: {state}", look.what)
    });
    if let Some(blind) = blind.filter(|blind| *blind >= NO_ANSWER.min(limit / 2)) {
        let (limit, blind) =
            (HumanDuration(limit), HumanDuration(Duration::from_secs(blind.as_secs())));
        return StepError::transient(format!(
            "the step's limit of {limit} is over, and for {blind} all looks failed{seen}"
        ));
    }
    let limit = HumanDuration(limit);
    let waited = context.waited_for_credentials().saturating_sub(waited_before);
    if waited.is_zero() {
        return StepError::timed_out(format!("the step's limit of {limit} is over{seen}"));
    }
    let waited = HumanDuration(Duration::from_secs(waited.as_secs()));
    StepError::credentials_expired(format!(
        "the step's limit of {limit} is over; it waited {waited} of it for expired credentials"
    ))
}

/// The output goes into the journal, and into the memory of all that follows.
fn within_limit(output: &Value) -> Result<(), StepError> {
    match output.to_string().len() {
        0..=limits::OUTPUT_BYTES => Ok(()),
        bytes => Err(StepError::broken(format!(
            "the step's output has {bytes} bytes of JSON; the most is 1 MiB"
        ))),
    }
}

/// The result of a step whose action came to its end: the worst of its checks; without any check, that it did its work.
pub(super) fn result_of(output: Value, checks: &[Check]) -> StepResult {
    let outcome = Outcome::worst(checks.iter().map(|c| c.outcome)).unwrap_or(Outcome::Passed);
    StepResult { outcome, output, failure: None, calls: Vec::new() }
}

/// The result of a step whose action failed for good: what the failure means, or worse if a check had failed before.
pub(super) fn result_of_failure(error: StepError, checks: &[Check]) -> StepResult {
    let failure = error.into_failure();
    let checks = checks.iter().map(|c| c.outcome);
    let outcome = Outcome::worst(checks.chain([failure.class.outcome()]))
        .filter(|outcome| *outcome != Outcome::Passed)
        .unwrap_or(Outcome::Inconclusive);
    StepResult { outcome, output: Value::Null, failure: Some(failure), calls: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_above_the_limit_makes_the_step_inconclusive() {
        let of = |bytes: usize| Value::from("x".repeat(bytes - 2));
        assert!(within_limit(&of(limits::OUTPUT_BYTES)).is_ok());
        let error = within_limit(&of(limits::OUTPUT_BYTES + 1)).unwrap_err();
        assert!(error.to_string().contains("1048577 bytes"), "{error}");
        assert_eq!(result_of_failure(error, &[]).outcome, Outcome::Inconclusive);
    }
}
