mod gone_on_with;
mod with_aws;

use super::*;
use crate::ids::{RunId, StepId};
use crate::journal::{ApprovalProof, ApproverIdentity};
use crate::limits;
use crate::outside::is_same_person;
use chrono::TimeDelta;
use std::fs;
use std::future::Future;

fn request(minutes: i64) -> ApprovalRequest {
    ApprovalRequest {
        run: RunId::new("orders-0001-abcdef"),
        plan: Digest::of(b"plan"),
        signed_by: None,
        signed_before: None,
        identified_by: None,
        not: Vec::new(),
        run_by: None,
        ran_as: Vec::new(),
        step: StepId::new("cut-over"),
        text: "Cut over?".to_owned(),
        deadline: start() + TimeDelta::minutes(minutes),
        told: None,
    }
}

/// Whose signature counts for a question, when it can be asked.
async fn signers_of(
    run_dir: &Path,
    request: ApprovalRequest,
) -> Result<Option<String>, OutsideError> {
    let (clock, terminal, secrets) = (clock(), Terminal::scripted(false), Secrets::default());
    let place =
        Place { run_dir, clock: &clock, terminal: &terminal, identity: None, secrets: &secrets };
    prepared(&place, request).await.map(|request| request.signed_by)
}

fn approval(approved: bool, by: &str) -> Approval {
    let identified_by = "user of the command line".into();
    Approval { approved, by: by.into(), identified_by, comment: None, proof: None, identity: None }
}

/// Asks, while `meanwhile` happens beside it.
async fn asked_while<T>(
    folder: &Path,
    clock: &Clock,
    terminal: &Terminal,
    meanwhile: impl Future<Output = T>,
) -> (Result<Approval, OutsideError>, T) {
    let request = request(30);
    tokio::join!(asked(folder, clock, terminal, &request), meanwhile)
}

/// An answer that nothing proves.
fn given(
    path: &Path,
    step: &StepId,
    approval: Approval,
    now: DateTime<Utc>,
) -> crate::error::Result<()> {
    answer::answer_at(path, step, Answered { approval, signed: None }, now)
}

/// Until when the question is open that a process has asked which has died: in a run the journal tells it.
fn told(folder: &Path, step: &StepId) -> Option<DateTime<Utc>> {
    Files::of(folder, step).unwrap().open_request().unwrap().map(|open| open.deadline)
}

/// Asks as a run that has no AWS, for as long from now on as the request gives from the start, or until the time that was told before.
async fn asked(
    folder: &Path,
    clock: &Clock,
    terminal: &Terminal,
    request: &ApprovalRequest,
) -> Result<Approval, OutsideError> {
    let anew = clock.now() + (request.deadline - start());
    let told = told(folder, &request.step);
    let deadline = told.filter(|told| *told > clock.now()).unwrap_or(anew);
    let request = ApprovalRequest { deadline, told, ..request.clone() };
    let secrets = Secrets::default();
    ask(&Place { run_dir: folder, clock, terminal, identity: None, secrets: &secrets }, &request)
        .await
}

fn start() -> DateTime<Utc> {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn clock() -> Clock {
    Clock::simulated(start())
}

#[tokio::test(start_paused = true)]
async fn another_terminal_can_answer_once() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let path = folder.path();
    let early = given(path, &step, approval(true, "early"), clock.now()).unwrap_err();
    assert!(early.to_string().contains("asks for no approval"));
    let (answer, ()) = asked_while(path, &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(60)).await;
        given(path, &step, approval(false, "anna"), clock.now()).unwrap();
        let second = given(path, &step, approval(true, "bert"), clock.now()).unwrap_err();
        assert!(second.to_string().contains("rejected already, by anna"), "{second}");
    })
    .await;
    assert_eq!(answer.unwrap(), approval(false, "anna"));
    let files = fs::read_dir(path.join("approvals")).unwrap().count();
    assert_eq!(files, 2, "no temporary files are left");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_question_does_not_stand_in_the_way() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let path = folder.path();
    let leave_old_answer = || {
        let old =
            Response { request: Digest::of(b"old"), at: clock.now(), approval: None, signed: None };
        let content = serde_json::to_vec(&old).unwrap();
        fs::write(path.join("approvals").join("cut-over.answer.json"), content).unwrap();
    };
    let (answer, ()) = asked_while(path, &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(60)).await;
        leave_old_answer();
        given(path, &step, approval(true, "anna"), clock.now()).unwrap();
    })
    .await;
    assert_eq!(answer.unwrap(), approval(true, "anna"));
    fs::remove_dir_all(path.join("approvals")).unwrap();
    let (answer, ()) = asked_while(path, &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(60)).await;
        leave_old_answer();
    })
    .await;
    assert_eq!(answer, Err(OutsideError::NoAnswer), "the deadline ends it, too");
}

#[tokio::test(start_paused = true)]
async fn regression_the_operators_own_yes_leaves_the_question_to_a_second_person() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let path = folder.path();
    let request = ApprovalRequest { not: vec!["bert".into()], ..request(30) };
    let terminal = Terminal::scripted(false);
    let (answer, ()) = tokio::join!(asked(path, &clock, &terminal, &request), async {
        clock.sleep(Duration::from_secs(60)).await;
        let mine =
            GivenAnswer { approved: true, comment: None, by: "bert", shown_by: ShownBy::Name };
        let refused = answer_approval(path, &step, mine).await.unwrap_err();
        assert!(refused.to_string().contains("bert is an operator of the run"), "{refused}");
        // Nor when it is put there by hand.
        given(path, &step, approval(true, "bert"), clock.now()).unwrap();
        clock.sleep(Duration::from_secs(60)).await;
        given(path, &step, approval(true, "anna"), clock.now()).unwrap();
    });
    assert_eq!(answer.unwrap(), approval(true, "anna"));
    // Anybody may say no.
    fs::remove_dir_all(path.join("approvals")).unwrap();
    let (answer, ()) = tokio::join!(asked(path, &clock, &terminal, &request), async {
        clock.sleep(Duration::from_secs(60)).await;
        given(path, &step, approval(false, "bert"), clock.now()).unwrap();
    });
    assert_eq!(answer.unwrap(), approval(false, "bert"));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_nobody_can_answer() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let (answer, ()) =
        asked_while(folder.path(), &clock, &Terminal::scripted(false), async {}).await;
    assert_eq!(answer, Err(OutsideError::NoAnswer));
    assert!(clock.elapsed() >= Duration::from_secs(1800));
    let late = given(folder.path(), &step, approval(true, "late"), clock.now()).unwrap_err();
    assert!(late.to_string().contains("until"), "{late}");
    // Even with a clock that is behind: the run has taken the place of the answer.
    let early_clock = "2026-11-22T00:00:01Z".parse().unwrap();
    assert!(given(folder.path(), &step, approval(true, "late"), early_clock).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_resumed_run_finds_the_answer_that_came_meanwhile() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let terminal = Terminal::scripted(false);
    let request = request(30);
    // The first process dies while it waits.
    let first = tokio::time::timeout(
        Duration::from_secs(5),
        asked(folder.path(), &clock, &terminal, &request),
    );
    assert!(first.await.is_err());
    given(folder.path(), &step, approval(true, "anna"), clock.now()).unwrap();
    let second = asked(folder.path(), &clock, &terminal, &request).await.unwrap();
    assert_eq!(second.by, "anna");
}

/// Asks in a process that dies while it waits.
async fn asked_and_died(folder: &Path, clock: &Clock, request: &ApprovalRequest) {
    let terminal = Terminal::scripted(false);
    let asking = asked(folder, clock, &terminal, request);
    assert!(tokio::time::timeout(Duration::from_secs(5), asking).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn regression_an_answer_in_time_counts_for_a_run_that_is_resumed_after_the_deadline() {
    for approved in [false, true] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
        let (path, step) = (folder.path(), StepId::new("cut-over"));
        let terminal = Terminal::scripted(false);
        asked_and_died(path, &clock, &request(30)).await;
        let mut said = approval(approved, "anna");
        said.comment = Some("wrong region".to_owned());
        given(path, &step, said.clone(), clock.now()).unwrap();
        clock.sleep(Duration::from_secs(2 * 60 * 60)).await;
        assert_eq!(asked(path, &clock, &terminal, &request(30)).await, Ok(said));
    }
}

#[tokio::test(start_paused = true)]
async fn regression_who_goes_on_with_a_run_does_not_take_an_answer_away() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (path, step) = (folder.path(), StepId::new("cut-over"));
    let terminal = Terminal::scripted(false);
    let by = |not: &[&str]| {
        let not = not.iter().map(|name| (*name).to_owned()).collect();
        ApprovalRequest { not, ..request(30) }
    };
    for (approved, who) in [(false, "bert"), (true, "anna")] {
        asked_and_died(path, &clock, &by(&["bert"])).await;
        given(path, &step, approval(approved, who), clock.now()).unwrap();
        let answer = asked(path, &clock, &terminal, &by(&["bert", "carl"])).await;
        assert_eq!(answer, Ok(approval(approved, who)));
        fs::remove_dir_all(path.join("approvals")).unwrap();
    }
    // The yes of the one who goes on does not count any more, and somebody else has as long as they were told.
    asked_and_died(path, &clock, &by(&["bert"])).await;
    let deadline = told(path, &step).unwrap();
    given(path, &step, approval(true, "carl"), clock.now()).unwrap();
    let request = by(&["bert", "carl"]);
    let (answer, ()) = tokio::join!(asked(path, &clock, &terminal, &request), async {
        clock.sleep(Duration::from_secs(60)).await;
        let open = Files::of(path, &step).unwrap().open_request().unwrap().unwrap();
        assert_eq!((open.deadline, open.not.len()), (deadline, 2));
        given(path, &step, approval(true, "anna"), clock.now()).unwrap();
    });
    assert_eq!(answer, Ok(approval(true, "anna")));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_too_late_or_to_something_else_is_no_answer_after_a_resume() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (path, step) = (folder.path(), StepId::new("cut-over"));
    let terminal = Terminal::scripted(false);
    asked_and_died(path, &clock, &request(30)).await;
    let files = Files::of(path, &step).unwrap();
    let open = files.open_request().unwrap().unwrap();
    let approval = Some(approval(true, "anna"));
    let late = Response {
        request: open.digest(),
        at: open.deadline,
        approval: approval.clone(),
        signed: None,
    };
    let other = Response { request: Digest::of(b"other"), at: clock.now(), approval, signed: None };
    clock.sleep(Duration::from_secs(2 * 60 * 60)).await;
    for response in [late, other] {
        assert!(files.respond_to(&open, &response).unwrap());
        let answer = asked(path, &clock, &terminal, &request(30)).await;
        assert_eq!(answer, Err(OutsideError::NoAnswer));
        // The run that was resumed has ended its own question.
        files.discard_response().unwrap();
        fs::write(path.join("approvals/cut-over.request.json"), serde_json::to_vec(&open).unwrap())
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_question_is_open_after_a_resume_until_the_time_that_was_told() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let path = folder.path();
    let told = clock.now() + TimeDelta::minutes(30);
    asked_and_died(path, &clock, &request(30)).await;
    clock.sleep(Duration::from_secs(10 * 60)).await;
    let terminal = Terminal::scripted(false);
    assert_eq!(asked(path, &clock, &terminal, &request(30)).await, Err(OutsideError::NoAnswer));
    let late = clock.now() - told;
    assert!(late >= TimeDelta::zero() && late < TimeDelta::seconds(1), "{late}");
}

#[tokio::test(start_paused = true)]
async fn regression_what_a_file_says_of_its_proof_is_not_taken_over() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let path = folder.path();
    let made_up = Approval {
        identified_by: "SSH key SHA256:AAAAmadeup of the allowed signers in approvers".to_owned(),
        proof: Some(ApprovalProof { statement: "any".to_owned(), signature: "any".to_owned() }),
        ..approval(true, "anna")
    };
    let (answer, ()) = asked_while(path, &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(60)).await;
        given(path, &step, made_up, clock.now()).unwrap();
    })
    .await;
    assert_eq!(answer, Ok(approval(true, "anna")));
}

#[tokio::test(start_paused = true)]
async fn regression_what_is_typed_answers_one_question_of_two() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (path, terminal) = (folder.path(), Terminal::scripted(true));
    let page = ApprovalRequest { step: StepId::new("page"), ..request(30) };
    let switch = ApprovalRequest { step: StepId::new("switch"), ..request(30) };
    let typing = async {
        clock.sleep(Duration::from_secs(1)).await;
        for line in ["approve yes, that is fine", "approve page it may", "reject switch not yet"] {
            terminal.types(line);
            clock.sleep(Duration::from_secs(1)).await;
        }
    };
    let (page, switch, ()) = tokio::join!(
        asked(path, &clock, &terminal, &page),
        asked(path, &clock, &terminal, &switch),
        typing
    );
    let told = |answer: Result<Approval, OutsideError>| {
        answer.map(|approval| (approval.approved, approval.comment.unwrap_or_default()))
    };
    assert_eq!(told(page), Ok((true, "it may".to_owned())));
    assert_eq!(told(switch), Ok((false, "not yet".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_count_for_a_new_question() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let terminal = Terminal::scripted(false);
    let (answer, ()) = asked_while(folder.path(), &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(1)).await;
        given(folder.path(), &step, approval(true, "anna"), clock.now()).unwrap();
    })
    .await;
    assert!(answer.unwrap().approved);
    let mut other = request(30);
    other.text = "Delete the old database?".to_owned();
    let unanswered = asked(folder.path(), &clock, &terminal, &other).await;
    assert_eq!(unanswered, Err(OutsideError::NoAnswer));
}

#[tokio::test(start_paused = true)]
async fn the_person_at_the_terminal_answers_with_a_whole_word() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let terminal = Terminal::scripted(true);
    let (answer, ()) = asked_while(folder.path(), &clock, &terminal, async {
        clock.sleep(Duration::from_secs(1)).await;
        for line in ["", "a", "approved", "reject  looks wrong "] {
            terminal.types(line);
        }
    })
    .await;
    let answer = answer.unwrap();
    assert!(!answer.approved);
    assert_eq!(answer.comment.as_deref(), Some("looks wrong"));
    assert_eq!(answer.identified_by, "terminal user");
}

#[test]
fn names_from_the_command_line_do_not_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../evil", "", ".", "a/b"] {
        assert!(Files::of(folder.path(), &StepId::new(name)).is_none(), "{name}");
    }
}

#[test]
fn a_signature_is_for_its_own_run_plan_question_decision_and_comment_only() {
    let asked = Request {
        run: RunId::new("orders-0001-abcdef"),
        plan: Digest::of(b"plan"),
        step: StepId::new("cut-over"),
        text: "Cut over?".to_owned(),
        deadline: "2026-11-22T00:30:00Z".parse().unwrap(),
        signed_by: Some("signers".to_owned()),
        identified_by: None,
        not: Vec::new(),
        run_by: None,
        run_by_before: Vec::new(),
    };
    let proof = ApprovalProof {
        statement: signature::statement(&asked, true, Some("looked at it")),
        signature: "judged elsewhere".to_owned(),
    };
    let comment = Some("looked at it".to_owned());
    let signed = Approval { comment, proof: Some(proof), ..approval(true, "anna") };
    assert!(asked.proof_of(&signed).is_ok());
    assert_eq!(asked.proof_of(&approval(true, "anna")).unwrap_err(), "it is not signed");
    let other_run = Request { run: RunId::new("orders-0002-abcdef"), ..asked.clone() };
    let other_plan = Request { plan: Digest::of(b"another plan"), ..asked.clone() };
    let other_text = Request { text: "Delete it?".to_owned(), ..asked.clone() };
    for question in [other_run, other_plan, other_text] {
        assert!(question.proof_of(&signed).is_err(), "{question:?}");
    }
    let no = Approval { approved: false, ..signed.clone() };
    let more = Approval { comment: Some("and more".into()), ..signed };
    for answer in [no, more] {
        assert!(asked.proof_of(&answer).is_err(), "{answer:?}");
    }
}

#[test]
fn the_operator_is_recognised_among_the_principals() {
    for principal in ["anna", "Anna", "anna@example.com"] {
        assert!(is_same_person("anna", principal), "{principal}");
    }
    assert!(!is_same_person("anna", "bert@anna.example.com"));
}

#[test]
fn an_answer_above_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer.json");
    let bytes = usize::try_from(limits::APPROVAL_BYTES).unwrap() + 1;
    fs::write(&path, " ".repeat(bytes)).unwrap();
    let error = files::read::<Response>(&path).unwrap_err();
    assert!(error.to_string().contains("larger than 64 KiB"), "{error}");
}
