//! Telling people what happens: messages at the moments that a scenario's hooks name.

use crate::action::RunFacts;
use crate::ids::StepId;
use crate::journal::{Event, Moment, Outcome, Record};
use crate::outside::{CommandRequest, HttpRequest, Outside, OutsideError, ways_to_prove_for};
use crate::plan::Plan;
use crate::scenario::Hook;
use crate::time::{Clock, RetryPolicy};
use crate::visible::visible;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one try to tell somebody may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A message is worth three tries within about two minutes: an approval that nobody hears of is useless, and a page that comes
/// later than that misleads.
fn patience() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        pause: Duration::from_secs(2).into(),
        longest: Duration::from_secs(15).into(),
    }
}

/// Something that people want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// At which moment.
    pub moment: Moment,
    /// The step that it is about, if one.
    pub step: Option<StepId>,
    /// In a sentence or two. Holds nothing that was read from recovered data, but for what a question takes from outputs of steps.
    pub text: String,
}

impl Message {
    /// What an event means to people who wait, if anything.
    pub(super) fn of(event: &Event, facts: &RunFacts, plan: &Plan) -> Option<Self> {
        let Event::ApprovalRequested { step, text, deadline, .. } = event else {
            return Self::also_late(event, facts);
        };
        let run = &facts.run;
        let ways = plan.step(step).map(|step| ways_to_prove_for(&step.with)).unwrap_or_default();
        // One of them stands in the command: the one that can be copied as it is, where there is a choice.
        let mut ways = ways.into_iter().rev();
        let proof = ways.next().map(|way| format!(" {way}")).unwrap_or_default();
        let or_with = ways.next().map(|way| format!(" (or with {way})")).unwrap_or_default();
        let until = deadline.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let text = format!(
            "{run} waits for an approval until {until}: {}\n\
             redrill approve {run} {step}{proof}, or redrill reject {run} {step}{proof}{or_with}",
            visible(text, &['\n', '\t'])
        );
        Some(Self { moment: Moment::ApprovalNeeded, step: Some(step.clone()), text })
    }

    /// What an event means also to those who hear of it from a later process. That one asks by itself what is still open.
    fn also_late(event: &Event, facts: &RunFacts) -> Option<Self> {
        let run = &facts.run;
        let message =
            |moment, step: Option<&StepId>, text| Some(Self { moment, step: step.cloned(), text });
        match event {
            Event::RunStarted { mode, operator, .. } => {
                message(Moment::Started, None, format!("{run} ({mode}) was started by {operator}"))
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

/// A message, and the hook by which it is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// By which hook.
    pub hook: Hook,
    /// What.
    pub message: Message,
}

/// What people were to hear of, and did not hear or may not have heard: nobody could be reached, or the process ended before it
/// wrote down that they were told. Of several messages about the same all are told again, since nobody knows which. An approval
/// that is still open is asked for anew by its step.
pub fn unheard(records: &[Record], hooks: &[Hook], facts: &RunFacts) -> Vec<Due> {
    let mut waiting: Vec<Due> = Vec::new();
    // Moment, step and way; how often one process has told it of what waits.
    let mut told: BTreeMap<(Moment, Option<StepId>, String), usize> = BTreeMap::new();
    for record in records {
        match &record.event {
            // This process tells all of it anew: what the one before has told must not count for another message.
            Event::RunResumed { .. } => told.clear(),
            Event::Notified { problem: Some(_), .. } => {}
            Event::Notified { moment, step, how, .. } => {
                let is_it = |due: &Due| {
                    let about = &due.message;
                    (about.moment, &about.step) == (*moment, step) && due.hook.describe() == *how
                };
                let times = told.entry((*moment, step.clone(), how.clone())).or_default();
                *times += 1;
                if *times >= waiting.iter().filter(|due| is_it(due)).count() {
                    waiting.retain(|due| !is_it(due));
                    *times = 0;
                }
            }
            _ => waiting.extend(late(record, hooks, facts)),
        }
    }
    waiting
}

/// What a record means to people who hear of it from a later process.
fn late(record: &Record, hooks: &[Hook], facts: &RunFacts) -> Vec<Due> {
    let Some(mut message) = Message::also_late(&record.event, facts) else { return Vec::new() };
    let at = record.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    message.text += &format!(
        "\nThis was at {at}; you hear of it late, or again, since redrill was interrupted."
    );
    let wanted = hooks.iter().filter(|hook| hook.on.contains(&message.moment));
    wanted.map(|hook| Due { hook: hook.clone(), message: message.clone() }).collect()
}

/// Why nobody was told by one try.
struct NotTold {
    why: String,
    /// Another try may succeed.
    may_pass: bool,
}

/// Tells one message by one hook, in a few tries. Whoever hears of it twice (an answer was lost) is better off than who does
/// not hear of it.
///
/// # Errors
/// Why nobody was told, without secrets.
pub async fn tell(
    outside: &dyn Outside,
    clock: &Clock,
    due: &Due,
    facts: &RunFacts,
) -> Result<(), String> {
    let Due { hook, message } = due;
    let step = message.step.as_ref().map_or("", StepId::as_str);
    let what = format!("hook/{}/{step}", message.moment.as_str());
    let mut schedule = patience().schedule(facts.seed, &what);
    let mut tries = 1;
    loop {
        let Err(not) = tell_once(outside, hook, message, facts).await else { return Ok(()) };
        let Some(pause) = schedule.next_pause().filter(|_| not.may_pass) else {
            return Err(if tries > 1 { format!("{} ({tries} tries)", not.why) } else { not.why });
        };
        clock.sleep(pause).await;
        tries += 1;
    }
}

async fn tell_once(
    outside: &dyn Outside,
    hook: &Hook,
    message: &Message,
    facts: &RunFacts,
) -> Result<(), NotTold> {
    let for_good = |why: String| NotTold { why, may_pass: false };
    let body = json!({
        "text": message.text, "moment": message.moment, "run": facts.run, "scenario": facts.scenario,
        "step": message.step,
    });
    match (&hook.run, &hook.post) {
        (Some(argv), _) => run(outside, argv, body.to_string(), message.moment).await,
        (None, Some(url)) => match url.resolve(outside) {
            Ok(url) => post(outside, url.reveal(), body.to_string()).await,
            Err(error) => Err(for_good(error.to_string())),
        },
        (None, None) => Err(for_good("the hook says neither run nor post".to_owned())),
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
) -> Result<(), NotTold> {
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
        ends_with_us: false,
    };
    match outside.command(&request).await {
        Ok(reply) if reply.status == Some(0) => Ok(()),
        Ok(reply) => {
            let why = match reply.status {
                Some(status) => format!("it ended with status {status}"),
                None => "it was killed".to_owned(),
            };
            Err(NotTold { why, may_pass: true })
        }
        Err(error) => Err(NotTold { why: why(&error), may_pass: may_pass(&error) }),
    }
}

async fn post(outside: &dyn Outside, url: &str, body: String) -> Result<(), NotTold> {
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
        Ok(reply) => Err(NotTold {
            why: format!("it answered with status {}", reply.status),
            may_pass: reply.status == 429 || reply.status >= 500,
        }),
        Err(error) => {
            Err(NotTold { why: why_not_posted(&error).to_owned(), may_pass: may_pass(&error) })
        }
    }
}

fn may_pass(error: &OutsideError) -> bool {
    matches!(error, OutsideError::Unreachable(_) | OutsideError::NoAnswer)
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
    use crate::ids::{Digest, SiteName};
    use crate::journal::ResourceKey;
    use crate::outside::fake::{FakeOutside, context};
    use crate::report::samples;

    fn message() -> Message {
        Message {
            moment: Moment::Failed,
            step: Some(StepId::new("data")),
            text: "it failed".into(),
        }
    }

    fn due(hook: &str) -> Due {
        Due { hook: serde_json::from_str(hook).unwrap(), message: message() }
    }

    async fn told(context: &crate::action::StepContext, due: &Due) -> Result<(), String> {
        tell(&*context.outside, &context.clock, due, &context.facts).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_gets_the_message_on_standard_input() {
        let (context, outside, _) = context(FakeOutside::default().with_command(0, ""));
        let due = due(r#"{"on": ["failed"], "run": ["page-sre"]}"#);
        assert_eq!(told(&context, &due).await, Ok(()));
        let seen = outside.commands_seen.lock().unwrap();
        let body: serde_json::Value =
            serde_json::from_str(seen[0].stdin.as_ref().unwrap()).unwrap();
        assert_eq!((&body["text"], &body["moment"]), (&json!("it failed"), &json!("failed")));
        assert_eq!(body["step"], json!("data"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_arrive_is_tried_again_and_given_up_after_three_tries() {
        let fake = FakeOutside::default().with_command(3, "").with_command(0, "");
        let (context, outside, _) =
            context(fake.with_command(1, "").with_command(1, "").with_command(2, ""));
        let due = due(r#"{"on": ["failed"], "run": ["page-sre"]}"#);
        assert_eq!(told(&context, &due).await, Ok(()));
        assert_eq!(outside.commands_seen.lock().unwrap().len(), 2);
        let gave_up = told(&context, &due).await;
        assert_eq!(gave_up, Err("it ended with status 2 (3 tries)".to_owned()));
        assert!(
            context.clock.elapsed() < Duration::from_secs(30),
            "a page that comes late misleads"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_that_says_no_is_not_asked_again() {
        let fake = FakeOutside::default().with_reply(503, &[], "").with_reply(404, &[], "");
        let (context, outside, _) = context(fake);
        let due = due(r#"{"on": ["failed"], "post": "https://hooks.example/x"}"#);
        let why = told(&context, &due).await;
        assert_eq!(why, Err("it answered with status 404 (2 tries)".to_owned()));
        assert_eq!(outside.requests_seen.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_url_of_a_webhook_is_a_secret() {
        let secret = "https://hooks.example/T0/secret?wait=true";
        let mut outside = FakeOutside::default().with_reply(400, &[], "");
        outside.environment.insert("HOOK".into(), secret.into());
        // Errors tell addresses without their query.
        let error =
            || OutsideError::Unreachable("https://hooks.example/T0/secret is not there".to_owned());
        for _ in 0..3 {
            outside.replies.lock().unwrap().push_back(Err(error()));
        }
        let (context, ..) = context(outside);
        let due = due(r#"{"on": ["failed"], "post": {"from_env": "HOOK"}}"#);
        for _ in 0..2 {
            let why = told(&context, &due).await.unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        assert_eq!(due.hook.describe(), "POST to the URL in HOOK");
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_question_that_must_be_signed_is_told_with_the_command_that_counts() {
        let (context, ..) = context(FakeOutside::default());
        let mut plan = samples::plan();
        let asked = Event::ApprovalRequested {
            step: StepId::new("approve"),
            text: "Restore \u{202e}it?".to_owned(),
            deadline: "2026-11-22T03:00:00Z".parse().unwrap(),
            signed_by: None,
        };
        let run = &context.facts.run;
        for (with, proof, or_with) in [
            (json!({ "ask": "Restore it?", "signed_by": null }), "", ""),
            (json!({ "signed_by": "approvers" }), " --sign-with KEY", ""),
            (json!({ "identified_by": { "region": "eu-west-1" } }), " --with-aws-identity", ""),
            (
                json!({ "signed_by": "approvers", "identified_by": {} }),
                " --with-aws-identity",
                " (or with --sign-with KEY)",
            ),
        ] {
            plan.steps.iter_mut().find(|step| step.id.as_str() == "approve").unwrap().with = with;
            let told = Message::of(&asked, &context.facts, &plan).unwrap();
            assert_eq!(told.moment, Moment::ApprovalNeeded);
            let command = format!(
                "redrill approve {run} approve{proof}, or redrill reject {run} approve{proof}{or_with}"
            );
            assert_eq!(told.text.lines().nth(1), Some(command.as_str()));
            assert!(told.text.contains("Restore \\u{202e}it?"), "{}", told.text);
        }
        assert_eq!(Message::also_late(&asked, &context.facts), None, "it is asked anew");
    }

    fn left(name: &str) -> Event {
        Event::ResourceLeft {
            key: ResourceKey {
                kind: "test.thing".to_owned(),
                site: SiteName::new("dr"),
                name: name.to_owned(),
            },
            why: "no permission".to_owned(),
            kept: false,
            command: format!("remove-thing {name}"),
            calls: Vec::new(),
        }
    }

    fn paged(problem: Option<&str>) -> Event {
        let problem = problem.map(str::to_owned);
        Event::Notified { moment: Moment::Leftover, step: None, how: "page".to_owned(), problem }
    }

    /// What the next process tells of leftovers: the commands.
    fn still_to_tell(events: &[Event], facts: &RunFacts) -> Vec<String> {
        let at = "2026-11-22T03:00:00Z".parse().unwrap();
        let record = |(seq, event): (u64, &Event)| Record {
            seq,
            at,
            elapsed_ms: 0,
            prev: Digest::ZERO,
            event: event.clone(),
        };
        let records: Vec<Record> = (0..).zip(events).map(record).collect();
        let hook = serde_json::from_str(r#"{"on": ["leftover"], "run": ["page"]}"#).unwrap();
        let due = unheard(&records, &[hook], facts);
        let command = |due: &Due| {
            let text = due.message.text.lines().next().unwrap();
            text.rsplit(' ').next().unwrap().to_owned()
        };
        due.iter().map(command).collect()
    }

    /// Three were left, two of them told; the next process told all three, which counted for the fourth.
    #[tokio::test(start_paused = true)]
    async fn regression_a_message_that_is_told_again_does_not_count_for_another_one() {
        let (context, ..) = context(FakeOutside::default());
        let mut events = vec![left("a"), left("b"), left("c"), paged(None), paged(None)];
        assert_eq!(still_to_tell(&events, &context.facts), ["a", "b", "c"]);
        events.extend([Event::resumed(0), paged(None), paged(None), paged(None)]);
        assert!(still_to_tell(&events, &context.facts).is_empty());
        events.push(left("d"));
        assert_eq!(still_to_tell(&events, &context.facts), ["d"]);
        events.extend([Event::resumed(0), left("e"), paged(None)]);
        assert_eq!(still_to_tell(&events, &context.facts), ["d", "e"]);
        events.push(paged(None));
        assert!(still_to_tell(&events, &context.facts).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_could_be_told_is_told_by_the_next_process() {
        let (context, ..) = context(FakeOutside::default());
        let mut events = vec![left("a"), paged(Some("nobody is there")), left("b"), paged(None)];
        assert_eq!(still_to_tell(&events, &context.facts), ["a", "b"]);
        events.extend([Event::resumed(0), paged(None), paged(None)]);
        assert!(still_to_tell(&events, &context.facts).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rehearsal_tells_nobody_and_says_so() {
        let (context, ..) = context(FakeOutside::default());
        let due = due(r#"{"on": ["failed"], "run": ["page-sre"]}"#);
        assert_eq!(told(&context, &due).await, Err("a rehearsal tells nobody".to_owned()));
    }
}
