//! Telling people what happens: messages at the moments that a scenario's hooks name.

use crate::action::RunFacts;
use crate::ids::StepId;
use crate::journal::{Event, Moment, Outcome};
use crate::outside::{CommandRequest, HttpRequest, Outside, OutsideError};
use crate::scenario::Hook;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long telling somebody may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Something that people want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// At which moment.
    pub moment: Moment,
    /// The step that it is about, if one.
    pub step: Option<StepId>,
    /// In a sentence or two. Holds nothing that was read from recovered data.
    pub text: String,
}

impl Message {
    /// What a record means to people who wait, if anything.
    pub(super) fn of(event: &Event, facts: &RunFacts) -> Option<Self> {
        let run = &facts.run;
        let message =
            |moment, step: Option<&StepId>, text| Some(Self { moment, step: step.cloned(), text });
        match event {
            Event::RunStarted { mode, operator, .. } => {
                message(Moment::Started, None, format!("{run} ({mode}) was started by {operator}"))
            }
            Event::ApprovalRequested { step, text, deadline } => {
                let until = deadline.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
                let text = format!(
                    "{run} waits for an approval until {until}: {text}\n\
                     redrill approve {run} {step}, or redrill reject {run} {step}"
                );
                message(Moment::ApprovalNeeded, Some(step), text)
            }
            Event::StepFinished { step, result } => match result.outcome {
                Outcome::Failed | Outcome::Inconclusive => {
                    let text = format!("{run}: the step {step} {}", ended_as(result.outcome));
                    message(Moment::Failed, Some(step), text)
                }
                _ => None,
            },
            Event::ResourceLeft { key, kept: false, command, .. } => {
                let text = format!("{run} could not remove {key}. By hand: {command}");
                message(Moment::Leftover, None, text)
            }
            _ => None,
        }
    }
}

fn ended_as(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Failed { "failed" } else { "is inconclusive" }
}

/// Tells one message by one hook. Nothing is told twice, and nothing is tried again: a page that comes late misleads.
///
/// # Errors
/// Why nobody was told, without secrets.
pub async fn tell(
    outside: &dyn Outside,
    hook: &Hook,
    message: &Message,
    facts: &RunFacts,
) -> Result<(), String> {
    let body = json!({
        "text": message.text, "moment": message.moment, "run": facts.run, "scenario": facts.scenario,
        "step": message.step,
    });
    match (&hook.run, &hook.post) {
        (Some(argv), _) => run(outside, argv, body.to_string(), message.moment).await,
        (None, Some(url)) => match url.resolve(outside) {
            Ok(url) => post(outside, url.reveal(), body.to_string()).await,
            Err(error) => Err(error.to_string()),
        },
        (None, None) => Err("the hook says neither run nor post".to_owned()),
    }
}

/// The name under which an estate may answer for hooks.
fn as_step() -> StepId {
    StepId::new("hook")
}

async fn run(
    outside: &dyn Outside,
    argv: &[String],
    body: String,
    moment: Moment,
) -> Result<(), String> {
    let request = CommandRequest {
        step: as_step(),
        argv: argv.to_vec(),
        environment: BTreeMap::from([(
            "REDRILL_MOMENT".to_owned(),
            crate::outside::Secret::new(moment.as_str()),
        )]),
        stdin: Some(body),
        timeout: LIMIT,
        output_limit: 1024,
        folder: None,
        hold: None,
    };
    match outside.command(&request).await {
        Ok(reply) if reply.status == Some(0) => Ok(()),
        Ok(reply) => Err(match reply.status {
            Some(status) => format!("it ended with status {status}"),
            None => "it was killed".to_owned(),
        }),
        Err(error) => Err(why(&error)),
    }
}

async fn post(outside: &dyn Outside, url: &str, body: String) -> Result<(), String> {
    let headers = [("content-type", "application/json")];
    let headers =
        headers.map(|(name, value)| (name.to_owned(), crate::outside::Secret::new(value)));
    let request = HttpRequest {
        step: as_step(),
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: headers.into(),
        body: Some(body),
        timeout: LIMIT,
        body_limit: 0,
    };
    match outside.http(&request).await {
        Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
        Ok(reply) => Err(format!("it answered with status {}", reply.status)),
        Err(error) => Err(why_not_posted(&error).to_owned()),
    }
}

/// In words of our own: those of the error may hold the URL, or what is left of it, and whoever has that can post.
fn why_not_posted(error: &OutsideError) -> &'static str {
    match error {
        OutsideError::NotRehearsed(_) => "a rehearsal tells nobody",
        OutsideError::Unreachable(_) | OutsideError::NoAnswer => {
            "it could not be reached, or did not answer in time"
        }
        OutsideError::Denied(_) => "it was refused",
        OutsideError::Failed(_) => {
            "the request failed: is the URL right, and its certificate good?"
        }
    }
}

fn why(error: &OutsideError) -> String {
    match error {
        OutsideError::NotRehearsed(_) => "a rehearsal tells nobody".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::{FakeOutside, context};

    fn message() -> Message {
        Message {
            moment: Moment::Failed,
            step: Some(StepId::new("data")),
            text: "it failed".into(),
        }
    }

    fn hook(text: &str) -> Hook {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_gets_the_message_on_standard_input() {
        let outside = FakeOutside::default().with_command(0, "").with_command(3, "");
        let (context, outside, _) = context(outside);
        let hook = hook(r#"{"on": ["failed"], "run": ["page-sre"]}"#);
        assert_eq!(tell(&*outside, &hook, &message(), &context.facts).await, Ok(()));
        let second = tell(&*outside, &hook, &message(), &context.facts).await;
        assert_eq!(second, Err("it ended with status 3".to_owned()));
        let seen = outside.commands_seen.lock().unwrap();
        let body: serde_json::Value =
            serde_json::from_str(seen[0].stdin.as_ref().unwrap()).unwrap();
        assert_eq!((&body["text"], &body["moment"]), (&json!("it failed"), &json!("failed")));
        assert_eq!(body["step"], json!("data"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_url_of_a_webhook_is_a_secret() {
        let secret = "https://hooks.example/T0/secret?wait=true";
        let mut outside = FakeOutside::default().with_reply(500, &[], "");
        outside.environment.insert("HOOK".into(), secret.into());
        outside
            .replies
            .lock()
            .unwrap()
            // Errors tell addresses without their query.
            .push_back(Err(OutsideError::Unreachable(
                "https://hooks.example/T0/secret cannot be reached".to_owned(),
            )));
        let (context, outside, _) = context(outside);
        let hook = hook(r#"{"on": ["failed"], "post": {"from_env": "HOOK"}}"#);
        for _ in 0..2 {
            let why = tell(&*outside, &hook, &message(), &context.facts).await.unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        assert_eq!(hook.describe(), "POST to the URL in HOOK");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rehearsal_tells_nobody_and_says_so() {
        let (context, outside, _) = context(FakeOutside::default());
        let hook = hook(r#"{"on": ["failed"], "run": ["page-sre"]}"#);
        let told = tell(&*outside, &hook, &message(), &context.facts).await;
        assert_eq!(told, Err("a rehearsal tells nobody".to_owned()));
    }
}
