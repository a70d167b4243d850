use super::*;
use crate::ids::{SiteName, StepId};
use crate::journal::{Approval, FailureClass, Outcome};
use crate::outside::fake::{FakeOutside, context};
use chrono::{DateTime, Utc};
use std::sync::Arc;

fn answered(answer: Result<bool, OutsideError>) -> FakeOutside {
    let outside = FakeOutside::default();
    outside.approvals.lock().unwrap().push_back(answer.map(approval));
    outside
}

fn approval(approved: bool) -> Approval {
    Approval {
        approved,
        by: "anna".into(),
        identified_by: "test".into(),
        comment: Some("looked at it".into()),
        proof: None,
        identity: None,
    }
}

fn input() -> Input {
    serde_json::from_str(r#"{"ask": "Cut over?", "within": "10m"}"#).unwrap()
}

#[tokio::test(start_paused = true)]
async fn question_and_answer_are_in_the_journal() {
    let (context, _, recorder) = context(answered(Ok(true)));
    let output = Approve.run(&context, input()).await.unwrap();
    assert_eq!(output.approved_by, "anna");
    let events = recorder.events();
    assert!(matches!(&events[0], Event::ApprovalRequested { text, deadline, .. }
        if text == "Cut over?" && deadline.to_rfc3339() == "2026-11-22T03:10:00+00:00"));
    assert!(matches!(&events[1], Event::ApprovalGiven { approval, .. } if approval.approved));
}

/// What was signed differed from the journal by as long as its record took to be written.
#[tokio::test(start_paused = true)]
async fn regression_a_person_is_asked_until_the_time_that_stands_in_the_journal() {
    let told: DateTime<Utc> = "2026-11-22T03:10:00Z".parse().unwrap();
    // At once, while the question of an attempt before still stands, and after its time.
    for (minutes, until) in
        [(None, told), (Some(4), told), (Some(30), told + TimeDelta::minutes(30))]
    {
        let outside = answered(Ok(true));
        if minutes.is_some() {
            outside.approvals.lock().unwrap().push_front(Err(OutsideError::NoAnswer));
        }
        let (context, outside, recorder) = context(outside);
        if let Some(minutes) = minutes {
            Approve.run(&context, input()).await.unwrap_err();
            context.clock.sleep(Duration::from_secs(minutes * 60)).await;
        }
        Approve.run(&context, input()).await.unwrap();
        let asked = outside.approvals_seen.lock().unwrap().last().cloned().unwrap();
        assert_eq!((asked.deadline, asked.told), (until, minutes.map(|_| told)));
        let mut written = recorder.events().into_iter().filter_map(|event| match event {
            Event::ApprovalRequested { deadline, .. } => Some(deadline),
            _ => None,
        });
        assert_eq!(written.next_back(), Some(until));
    }
}

/// It was taken from the file of the question, which others can write.
#[tokio::test(start_paused = true)]
async fn regression_the_journal_says_whose_signature_counts_in_whichever_folder_it_is_gone_on_with()
{
    let outside = FakeOutside { signers_in: Some("/srv/drills"), ..answered(Ok(true)) };
    outside.approvals.lock().unwrap().push_front(Err(OutsideError::NoAnswer));
    let (mut context, _, recorder) = context(outside);
    let asks = || Input { signed_by: Some("approvers".to_owned()), ..input() };
    Approve.run(&context, asks()).await.unwrap_err();
    let elsewhere = FakeOutside { signers_in: Some("/tmp"), ..answered(Ok(true)) };
    let elsewhere = Arc::new(elsewhere);
    context.outside = elsewhere.clone();
    Approve.run(&context, asks()).await.unwrap();
    let asked = elsewhere.approvals_seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(asked.signed_by.as_deref(), Some("/srv/drills/approvers"));
    let signers = recorder.events().into_iter().filter_map(|event| match event {
        Event::ApprovalRequested { signed_by, .. } => Some(signed_by.unwrap()),
        _ => None,
    });
    assert_eq!(signers.collect::<Vec<_>>(), ["/srv/drills/approvers"; 2]);
}

/// It ended the run, which nobody could go on with any more.
#[tokio::test(start_paused = true)]
async fn regression_where_the_file_of_the_journal_is_missing_the_steps_own_words_say_which_it_is() {
    let outside = FakeOutside { signers_in: Some("/srv/drills"), ..answered(Ok(true)) };
    outside.approvals.lock().unwrap().push_front(Err(OutsideError::NoAnswer));
    let (mut context, ..) = context(outside);
    let asks = || Input { signed_by: Some("approvers".to_owned()), ..input() };
    Approve.run(&context, asks()).await.unwrap_err();
    let other_machine = Arc::new(FakeOutside {
        signers_in: Some("/home/rescue"),
        missing: Some("/srv/drills/approvers"),
        ..answered(Ok(true))
    });
    context.outside = other_machine.clone();
    Approve.run(&context, asks()).await.unwrap();
    let asked = other_machine.approvals_seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(asked.signed_by.as_deref(), Some("/home/rescue/approvers"));
}

/// A hook told people of it, at the moment at which the step ended.
#[tokio::test(start_paused = true)]
async fn regression_a_question_that_nobody_could_answer_is_not_written_down() {
    let (context, outside, recorder) = context(answered(Ok(true)));
    let asks = Input { signed_by: Some("approvers".to_owned()), ..input() };
    let error = Approve.run(&context, asks).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Inconclusive);
    assert!(error.to_string().contains("nobody could answer"), "{error}");
    assert!(recorder.events().is_empty());
    assert!(outside.approvals_seen.lock().unwrap().is_empty());
}

/// Hooks told people of it, and then the step ended.
#[tokio::test(start_paused = true)]
async fn regression_a_question_is_not_written_down_while_aws_does_not_say_who_asks() {
    let outside = FakeOutside { sts_is_silent: true, ..answered(Ok(true)) };
    let (mut context, silent, recorder) = context(outside);
    let error = Approve.run(&context, input()).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Inconclusive);
    assert!(recorder.events().is_empty());
    assert!(silent.approvals_seen.lock().unwrap().is_empty());
    // Another attempt asks, once AWS says it.
    context.outside = Arc::new(answered(Ok(true)));
    Approve.run(&context, input()).await.unwrap();
    assert_eq!(recorder.events().len(), 2, "asked once, answered once");
}

/// People were told half an hour, and the step ended before.
#[test]
fn regression_the_usual_wait_is_held_to_the_limit_of_the_step() {
    let problems = |with: serde_json::Value, limit: &str| {
        let given = Given::new("orders", StepId::new("ask"), None, with);
        Approve.check_input(&given.in_time(limit.parse().unwrap()))
    };
    let found = problems(serde_json::json!({ "ask": "Cut over?" }), "10m");
    let told = "within is 30m where it is not given, the step ends after 10m";
    assert_eq!(found.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), [told]);
    assert!(problems(serde_json::json!({ "ask": "Cut over?" }), "1d").is_empty());
    let written = serde_json::json!({ "ask": "Cut over?", "within": "10m" });
    assert!(problems(written, "10m").is_empty());
}

#[tokio::test(start_paused = true)]
async fn whom_the_sites_have_seen_is_told_apart_from_whoever_answers() {
    let (context, outside, recorder) = context(answered(Ok(true)));
    let seen = Event::SiteIdentified {
        site: SiteName::new("dr"),
        account: "111111111111".into(),
        region: "ap-northeast-3".into(),
        identity: "arn:aws:iam::111111111111:user/bert".into(),
    };
    context.recorder.record(seen).await.unwrap();
    Approve.run(&context, Input { second_person: true, ..input() }).await.unwrap();
    let asked = outside.approvals_seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(asked.ran_as, ["arn:aws:iam::111111111111:user/bert"]);
    assert_eq!(recorder.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_no_fails_the_step_and_is_in_the_journal() {
    let (context, _, recorder) = context(answered(Ok(false)));
    let error = Approve.run(&context, input()).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Failed);
    assert!(error.to_string().contains("anna rejected it: looked at it"));
    let last = recorder.events().pop().unwrap();
    assert!(matches!(last, Event::ApprovalGiven { approval, .. } if !approval.approved));
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_approval() {
    let (context, _, _) = context(answered(Err(OutsideError::NoAnswer)));
    let error = Approve.run(&context, input()).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Inconclusive);
    assert!(error.to_string().contains("nobody answered within 10m"));
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_without_an_answer_is_not_run() {
    let (context, _, _) = context(FakeOutside::default());
    let error = Approve.run(&context, input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::NotRehearsed);
}

#[tokio::test(start_paused = true)]
async fn a_second_person_is_not_the_one_who_runs_the_drill() {
    let run = async |operators: &[&str]| {
        let (mut context, ..) = context(answered(Ok(true)));
        let operators = operators.iter().map(|name| (*name).to_owned()).collect();
        let facts = crate::action::RunFacts { operators, ..(*context.facts).clone() };
        context.facts = Arc::new(facts);
        Approve.run(&context, Input { second_person: true, ..input() }).await
    };
    assert_eq!(run(&["bert"]).await.unwrap().approved_by, "anna");
    let error = run(&["Anna"]).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Failed);
    assert!(error.to_string().contains("anna runs this drill and cannot approve it"));
    let error = run(&["bert", "anna"]).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Failed, "she has taken the run over");
    let error = run(&[UNKNOWN_USER]).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Inconclusive, "not known is not another");
}

#[tokio::test(start_paused = true)]
async fn whom_aws_has_told_apart_needs_no_name_of_the_system() {
    let outside = answered(Ok(true));
    if let Some(Ok(approval)) = outside.approvals.lock().unwrap().front_mut() {
        approval.by = "arn:aws:iam::111111111111:user/anna".into();
        approval.identity = Some(crate::journal::ApproverIdentity {
            statement: String::new(),
            arn: approval.by.clone(),
            account: "111111111111".into(),
            user_id: "AIDA".into(),
            access_key_id: "AKIA".into(),
            signed_at: "2026-11-22T03:00:00Z".parse().unwrap(),
            region: "eu-west-1".into(),
            request_id: None,
        });
    }
    let (mut context, ..) = context(outside);
    let facts = crate::action::RunFacts {
        operators: vec![UNKNOWN_USER.to_owned()],
        ..(*context.facts).clone()
    };
    context.facts = Arc::new(facts);
    let input = Input { second_person: true, ..input() };
    assert!(Approve.run(&context, input).await.is_ok());
}

/// The process dies between the answer and the end of the step.
#[tokio::test(start_paused = true)]
async fn regression_a_person_who_has_answered_is_not_asked_again() {
    for (said, outcome) in [(true, None), (false, Some(Outcome::Failed))] {
        let (context, outside, recorder) = context(answered(Ok(said)));
        let first = Approve.run(&context, input()).await;
        let resumed = Approve.run(&context, input()).await;
        assert!(outside.approvals.lock().unwrap().is_empty(), "one answer was enough");
        assert_eq!(recorder.events().len(), 2, "asked once, answered once");
        assert_eq!(resumed.as_ref().err().map(|e| e.class().outcome()), outcome);
        assert_eq!(first.is_ok(), resumed.is_ok());
        if let Ok(output) = resumed {
            assert_eq!(output.waited.0, Duration::from_secs(90), "as long as the answer took");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_after_their_own_yes_is_asked_for_somebody_elses() {
    let outside = answered(Ok(true));
    let somebody_else = Approval { by: "hanako".into(), ..approval(true) };
    outside.approvals.lock().unwrap().push_back(Ok(somebody_else));
    let (mut context, _, recorder) = context(outside);
    let asks = || Input { second_person: true, ..input() };
    assert_eq!(Approve.run(&context, asks()).await.unwrap().approved_by, "anna");
    Arc::make_mut(&mut context.facts).operators.push("anna".to_owned());
    assert_eq!(Approve.run(&context, asks()).await.unwrap().approved_by, "hanako");
    assert_eq!(recorder.events().len(), 4);
}
