mod with_aws;

use super::*;
use crate::ids::{RunId, StepId};
use crate::journal::{ApprovalProof, ApproverIdentity};
use crate::limits;
use crate::outside::is_same_person;
use std::fs;
use std::future::Future;

fn request(minutes: u64) -> ApprovalRequest {
    ApprovalRequest {
        run: RunId::new("orders-0001-abcdef"),
        plan: Digest::of(b"plan"),
        signed_by: None,
        identified_by: None,
        not: Vec::new(),
        step: StepId::new("cut-over"),
        text: "Cut over?".to_owned(),
        timeout: Duration::from_secs(minutes * 60),
    }
}

fn approval(approved: bool, by: &str) -> Approval {
    let identified_by = "test".into();
    Approval { approved, by: by.into(), identified_by, comment: None, proof: None, identity: None }
}

/// Asks, while `meanwhile` happens beside it.
async fn asked_while<T>(
    folder: &Path,
    clock: &Clock,
    lines: Option<broadcast::Sender<String>>,
    meanwhile: impl Future<Output = T>,
) -> (Result<Approval, OutsideError>, T) {
    let terminal = Terminal::scripted(lines);
    let request = request(30);
    tokio::join!(asked(folder, clock, &terminal, &request), meanwhile)
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

/// Asks as a run that has no AWS.
async fn asked(
    folder: &Path,
    clock: &Clock,
    terminal: &Terminal,
    request: &ApprovalRequest,
) -> Result<Approval, OutsideError> {
    let secrets = Secrets::default();
    ask(&Place { run_dir: folder, clock, terminal, identity: None, secrets: &secrets }, request)
        .await
}

fn clock() -> Clock {
    Clock::simulated("2026-11-22T00:00:00Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn another_terminal_can_answer_once() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let path = folder.path();
    let early = given(path, &step, approval(true, "early"), clock.now()).unwrap_err();
    assert!(early.to_string().contains("asks for no approval"));
    let (answer, ()) = asked_while(path, &clock, None, async {
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
    let (answer, ()) = asked_while(path, &clock, None, async {
        clock.sleep(Duration::from_secs(60)).await;
        leave_old_answer();
        given(path, &step, approval(true, "anna"), clock.now()).unwrap();
    })
    .await;
    assert_eq!(answer.unwrap(), approval(true, "anna"));
    fs::remove_dir_all(path.join("approvals")).unwrap();
    let (answer, ()) = asked_while(path, &clock, None, async {
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
    let terminal = Terminal::scripted(None);
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
    let (answer, ()) = asked_while(folder.path(), &clock, None, async {}).await;
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
    let terminal = Terminal::scripted(None);
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

#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_count_for_a_new_question() {
    let (folder, clock, step) = (tempfile::tempdir().unwrap(), clock(), StepId::new("cut-over"));
    let terminal = Terminal::scripted(None);
    let (answer, ()) = asked_while(folder.path(), &clock, None, async {
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
    let (sender, _keep) = broadcast::channel(16);
    let (answer, ()) = asked_while(folder.path(), &clock, Some(sender.clone()), async {
        clock.sleep(Duration::from_secs(1)).await;
        for line in ["", "a", "approved", "reject  looks wrong "] {
            sender.send(line.to_owned()).unwrap();
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
