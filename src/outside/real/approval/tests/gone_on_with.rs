//! Questions that another process, in another folder or at another moment, goes on with; and what is too large to be one.

use super::*;
use crate::outside::AllowedPrincipals;

/// A question whose answer must be signed, by those in `approvers`.
fn signed_question() -> ApprovalRequest {
    ApprovalRequest { signed_by: Some("approvers".to_owned()), ..request(30) }
}

/// A folder of scenarios with its list of signers, and that list's path.
fn team() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("approvers");
    fs::write(&path, "anna ssh-ed25519 AAAA\n").unwrap();
    (folder, path.display().to_string())
}

/// A question that somebody else has written into the run's folder, with a yes to it.
fn planted(folder: &Path, question: &Request, at: DateTime<Utc>) -> Files {
    let files = Files::of(folder, &question.step).unwrap();
    files.open(question.clone()).unwrap();
    let approval = Some(approval(true, "mallory"));
    let said = Response { request: question.digest(), at, approval, signed: None };
    assert!(files.respond_to(question, &said).unwrap());
    files
}

/// Its list of signers and its deadline were taken over.
#[tokio::test(start_paused = true)]
async fn regression_a_planted_question_does_not_say_whose_signature_counts_or_until_when() {
    let (folder, clock, (_team, signers)) = (tempfile::tempdir().unwrap(), clock(), team());
    let (_evil, theirs) = team();
    let request = ApprovalRequest { signed_by: Some(signers.clone()), ..signed_question() };
    let far = Request {
        deadline: request.deadline + TimeDelta::days(300),
        signed_by: Some(theirs),
        ..unopened(None, &request).unwrap()
    };
    let (terminal, secrets) = (Terminal::scripted(false), Secrets::default());
    let (run_dir, identity) = (folder.path(), None);
    let place = Place { run_dir, clock: &clock, terminal: &terminal, identity, secrets: &secrets };
    // Before the first process asks, and while none is there.
    for told in [None, Some(request.deadline)] {
        let files = planted(folder.path(), &far, clock.now());
        let request = ApprovalRequest { told, ..request.clone() };
        let asking = tokio::time::timeout(Duration::from_secs(5), ask(&place, &request));
        assert!(asking.await.is_err(), "nobody has answered");
        let open = files.open_request().unwrap().unwrap();
        assert_eq!(open.signed_by.as_deref(), Some(signers.as_str()));
        assert_eq!(open.deadline, request.deadline);
        assert!(!files.response.exists());
    }
}

/// Where a name is enough, the answer to a planted question counted until its time.
#[tokio::test(start_paused = true)]
async fn regression_what_was_said_after_the_time_that_stands_in_the_journal_does_not_count() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let request = ApprovalRequest { told: Some(start()), ..request(30) };
    let far = request.deadline + TimeDelta::days(300);
    let far = Request { deadline: far, ..unopened(None, &request).unwrap() };
    let files = planted(folder.path(), &far, start());
    assert_eq!(files.said_in_time(&far, start()).unwrap(), None);
    assert!(files.said_in_time(&far, request.deadline).unwrap().is_some());
    let (terminal, secrets) = (Terminal::scripted(false), Secrets::default());
    let (run_dir, identity) = (folder.path(), None);
    let place = Place { run_dir, clock: &clock, terminal: &terminal, identity, secrets: &secrets };
    assert_eq!(ask(&place, &request).await, Err(OutsideError::NoAnswer));
}

#[tokio::test(start_paused = true)]
async fn regression_a_question_that_nobody_could_answer_is_not_asked() {
    let (folder, (team, signers)) = (tempfile::tempdir().unwrap(), team());
    let names = |file: &str| ApprovalRequest { signed_by: Some(file.to_owned()), ..request(30) };
    let missing = team.path().join("missing").display().to_string();
    let empty = team.path().join("empty").display().to_string();
    fs::write(&empty, "# anna and bert: to be added\n\n").unwrap();
    for file in [missing.as_str(), team.path().to_str().unwrap(), empty.as_str()] {
        let (request, terminal) = (names(file), Terminal::scripted(false));
        let refused = asked(folder.path(), &clock(), &terminal, &request).await;
        let Err(OutsideError::Failed(why)) = refused else { panic!("{file} was taken") };
        assert!(why.contains("nobody could answer cut-over"), "{why}");
        assert!(why.contains(file), "{why}");
        assert!(signers_of(folder.path(), request).await.is_err(), "before anybody is told");
        assert!(!folder.path().join("approvals").exists());
    }
    let usable = signers_of(folder.path(), names(&signers)).await;
    assert_eq!(usable, Ok(Some(signers.clone())));
    // As the journal names it, where that may be on this machine.
    let after =
        |before: &str| ApprovalRequest { signed_before: Some(before.to_owned()), ..names(&empty) };
    let as_before = signers_of(folder.path(), after(&signers)).await;
    assert_eq!(as_before, Ok(Some(signers)));
    let own = signers_of(folder.path(), after(&missing)).await.unwrap_err();
    assert!(own.to_string().contains(&empty), "{own}");
    // Where principals of AWS may answer, too, somebody can.
    let region = "eu-west-1".to_owned();
    let allowed = AllowedPrincipals { principals: vec!["arn:aws:iam::1:user/a".into()], region };
    let either = ApprovalRequest { identified_by: Some(allowed), ..names(&missing) };
    let refused = signers_of(folder.path(), either).await.unwrap_err();
    assert!(!refused.to_string().contains("nobody could answer"), "{refused}");
}

/// The journal's record is on disk, and perhaps in a store, before the question is opened.
#[tokio::test(start_paused = true)]
async fn regression_a_question_is_open_until_the_time_that_stands_in_the_journal() {
    let (folder, clock, terminal) =
        (tempfile::tempdir().unwrap(), clock(), Terminal::scripted(false));
    let (request, secrets) = (request(30), Secrets::default());
    clock.sleep(Duration::from_millis(2500)).await;
    let place = Place {
        run_dir: folder.path(),
        clock: &clock,
        terminal: &terminal,
        identity: None,
        secrets: &secrets,
    };
    let answers = async {
        clock.sleep(Duration::from_secs(1)).await;
        let files = Files::of(folder.path(), &request.step).unwrap();
        let open = files.open_request().unwrap().unwrap();
        given(folder.path(), &request.step, approval(true, "anna"), clock.now()).unwrap();
        open
    };
    let (answer, open) = tokio::join!(ask(&place, &request), answers);
    assert_eq!(answer, Ok(approval(true, "anna")));
    assert_eq!(open.deadline, request.deadline);
    let signed = open.statement_of(&approval(true, "anna"));
    assert!(signed.contains("deadline: 2026-11-22T00:30:00.000Z\n"), "{signed}");
}

/// One whose deadline is another than the journal's is the same question.
#[test]
fn regression_an_open_question_of_an_earlier_version_is_understood() {
    let (folder, (_team, signers)) = (tempfile::tempdir().unwrap(), team());
    let files = Files::of(folder.path(), &StepId::new("cut-over")).unwrap();
    let written = format!(
        "{{\"run\":\"orders-0001-abcdef\",\"plan\":{},\"step\":\"cut-over\",\"text\":\"Cut over?\",\
         \"deadline\":\"2026-11-22T00:30:00.002Z\",\"signed_by\":{}}}",
        serde_json::to_string(&Digest::of(b"plan")).unwrap(),
        serde_json::to_string(&signers).unwrap()
    );
    fs::create_dir_all(files.folder()).unwrap();
    fs::write(folder.path().join("approvals/cut-over.request.json"), written).unwrap();
    let wanted = unopened(None, &ApprovalRequest { signed_by: Some(signers), ..request(30) });
    let standing = files.standing(&wanted.unwrap()).unwrap().unwrap();
    assert_eq!(standing.deadline.to_rfc3339(), "2026-11-22T00:30:00.002+00:00");
}

#[tokio::test(start_paused = true)]
async fn regression_an_answer_that_the_run_could_not_read_is_not_given() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (path, step) = (folder.path(), StepId::new("cut-over"));
    let most = usize::try_from(limits::APPROVAL_BYTES).unwrap();
    let (answer, ()) = asked_while(path, &clock, &Terminal::scripted(false), async {
        clock.sleep(Duration::from_secs(60)).await;
        let long = Approval { comment: Some("x".repeat(most)), ..approval(false, "anna") };
        let refused = given(path, &step, long, clock.now()).unwrap_err();
        assert!(refused.to_string().contains("the most is 65536"), "{refused}");
        assert!(refused.help_text().unwrap().contains("shorter comment"), "{refused:?}");
        given(path, &step, approval(false, "bert"), clock.now()).unwrap();
    })
    .await;
    assert_eq!(answer, Ok(approval(false, "bert")), "there was room for another one");
    let left = fs::read_dir(path.join("approvals")).unwrap().count();
    assert_eq!(left, 2, "question and answer, and nothing that was begun");
}

#[tokio::test(start_paused = true)]
async fn regression_a_question_that_nobody_could_read_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let most = usize::try_from(limits::APPROVAL_BYTES).unwrap();
    let long = ApprovalRequest { text: "x".repeat(most), ..request(30) };
    let terminal = Terminal::scripted(false);
    let refused = asked(folder.path(), &clock(), &terminal, &long).await.unwrap_err();
    assert!(refused.to_string().contains("the most is 65536"), "{refused}");
    assert!(signers_of(folder.path(), long).await.is_err(), "before anybody is told");
    assert!(!folder.path().join("approvals").exists());
}
