use crate::journal::{CallSeen, Check, Event, Failure, Finding, StepResult};
use crate::limits;
use crate::outside::Secrets;

/// An event as it may be written down: texts that come from outside lose the secrets that are known, and what is too
/// long. What the run is controlled by (names, times, outcomes, the keys of the ledger) stays as it is.
pub(super) fn conceal(secrets: &Secrets, mut event: Event) -> Event {
    let text = |text: &mut String| *text = limits::cut(secrets.conceal(text), limits::TEXT_BYTES);
    match &mut event {
        Event::SiteIdentified { account, identity, .. } => {
            text(account);
            text(identity);
        }
        Event::StepStarted { input, .. } => secrets.conceal_value(input),
        Event::AttemptFailed { failure: one, .. } => failure(one, &text),
        Event::Checked { check: one, .. } => check(one, &text),
        Event::Found { finding: one, .. } => finding(one, &text),
        Event::Waited { wait, .. } => text(&mut wait.what),
        Event::RecoveryPointSeen { point, .. } => {
            text(&mut point.source);
            text(&mut point.identity);
        }
        Event::Reached { source, .. } => text(source),
        Event::ResourceReleased { how, calls: seen, .. } => {
            text(how);
            calls(seen, &text);
        }
        Event::ResourceLeft { why, command, calls: seen, .. } => {
            text(why);
            calls(seen, &text);
            *command = secrets.conceal(command);
        }
        Event::ApprovalRequested { text: asked, signed_by, .. } => {
            text(asked);
            signed_by.iter_mut().for_each(|file| *file = secrets.conceal(file));
        }
        Event::ApprovalGiven { approval, .. } => {
            text(&mut approval.by);
            approval.comment.iter_mut().for_each(&text);
        }
        Event::StepFinished { result, .. } => finished(result, secrets, &text),
        Event::StepLeftOut { why, .. } => text(why),
        Event::CancelRequested { by, .. }
        | Event::RunPaused { by }
        | Event::RunContinued { by } => text(by),
        Event::Notified { how, problem, .. } => {
            text(how);
            problem.iter_mut().for_each(text);
        }
        Event::CredentialsExpired { message, .. } => text(message),
        Event::RunResumed { without_store, .. } => without_store.iter_mut().for_each(text),
        Event::InventoryTaken { seen, .. } => {
            seen.iter_mut().filter_map(|one| one.not_listed.as_mut()).for_each(text);
        }
        // Made of nothing but names, times and numbers, or what releasing needs as it is.
        _ => {}
    }
    event
}

fn failure(failure: &mut Failure, text: &impl Fn(&mut String)) {
    text(&mut failure.message);
    failure.code.iter_mut().for_each(text);
    failure.help.iter_mut().for_each(text);
}

fn check(check: &mut Check, text: &impl Fn(&mut String)) {
    text(&mut check.name);
    text(&mut check.expected);
    text(&mut check.observed);
    check.note.iter_mut().for_each(text);
}

fn finding(finding: &mut Finding, text: &impl Fn(&mut String)) {
    text(&mut finding.what);
    text(&mut finding.why);
    text(&mut finding.action);
}

fn finished(result: &mut StepResult, secrets: &Secrets, text: &impl Fn(&mut String)) {
    secrets.conceal_value(&mut result.output);
    if let Some(one) = &mut result.failure {
        failure(one, text);
    }
    calls(&mut result.calls, text);
}

fn calls(seen: &mut [CallSeen], text: &impl Fn(&mut String)) {
    seen.iter_mut().filter_map(|call| call.last_request_id.as_mut()).for_each(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::Secret;

    #[test]
    fn regression_why_a_store_is_left_out_is_written_without_secrets() {
        let secrets = Secrets::default();
        secrets.learn(&Secret::new("IQoJb3JpZ2luX2VjEXAMPLE"));
        let mut resumed = Event::resumed(7);
        if let Event::RunResumed { without_store, .. } = &mut resumed {
            *without_store = Some("token IQoJb3JpZ2luX2VjEXAMPLE is not allowed here".to_owned());
        }
        let written = serde_json::to_value(conceal(&secrets, resumed)).unwrap();
        assert_eq!(written["without_store"], "token <secret> is not allowed here");
    }

    #[test]
    fn where_those_who_may_sign_are_listed_is_written_whole_and_without_secrets() {
        let secrets = Secrets::default();
        secrets.learn(&Secret::new("IQoJb3JpZ2luX2VjEXAMPLE"));
        let long = "/srv".repeat(limits::TEXT_BYTES);
        for (file, expected) in
            [(long.as_str(), long.as_str()), ("/IQoJb3JpZ2luX2VjEXAMPLE/a", "/<secret>/a")]
        {
            let asked = Event::ApprovalRequested {
                step: crate::ids::StepId::new("ask"),
                text: "Go on?".to_owned(),
                deadline: chrono::DateTime::UNIX_EPOCH,
                signed_by: Some(file.to_owned()),
            };
            let written = serde_json::to_value(conceal(&secrets, asked)).unwrap();
            assert_eq!(written["signed_by"], expected);
        }
    }
}
