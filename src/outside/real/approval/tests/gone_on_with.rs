//! Questions that another process, in another folder or at another moment, goes on with; and what is too large to be one.

use super::*;

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

/// Opens a question as a process does that was started in the folder of `signers`.
fn opened_there(files: &Files, request: &ApprovalRequest, signers: &str) -> Request {
    let question = unopened(request, files).unwrap();
    files.open(Request { signed_by: Some(signers.to_owned()), ..question }).unwrap()
}

/// The signers of the question that is wanted now.
async fn signers_of(folder: &Path, request: &ApprovalRequest) -> Result<String, OutsideError> {
    let (clock, terminal, secrets) = (clock(), Terminal::scripted(false), Secrets::default());
    let place = Place {
        run_dir: folder,
        clock: &clock,
        terminal: &terminal,
        identity: None,
        secrets: &secrets,
    };
    let files = Files::of(folder, &request.step).unwrap();
    wanted(&place, request, &files).await.map(|question| question.signed_by.unwrap())
}

#[tokio::test(start_paused = true)]
async fn regression_a_question_keeps_its_signers_when_it_is_gone_on_with_in_another_folder() {
    let (folder, clock, (_team, signers)) = (tempfile::tempdir().unwrap(), clock(), team());
    let (path, files) =
        (folder.path(), Files::of(folder.path(), &StepId::new("cut-over")).unwrap());
    let open = opened_there(&files, &signed_question(), &signers);
    let said = Response {
        request: open.digest(),
        at: clock.now(),
        approval: Some(approval(true, "anna")),
        signed: None,
    };
    assert!(files.respond_to(&open, &said).unwrap());
    for file in ["approvers", "./approvers", signers.as_str()] {
        let request = ApprovalRequest { signed_by: Some(file.to_owned()), ..signed_question() };
        assert_eq!(signers_of(path, &request).await.as_deref(), Ok(signers.as_str()), "{file}");
        assert_eq!(open_until(path, &clock, &request), Some(open.deadline), "{file}");
        let again = files.open(unopened(&request, &files).unwrap()).unwrap();
        assert_eq!(again, open);
        assert_eq!(files.response_to(&open).unwrap().as_ref(), Some(&said), "nobody is asked anew");
    }
}

#[test]
fn another_question_or_another_list_takes_no_signers_over() {
    let (folder, (_team, signers)) = (tempfile::tempdir().unwrap(), team());
    let files = Files::of(folder.path(), &StepId::new("cut-over")).unwrap();
    opened_there(&files, &signed_question(), &signers);
    let here = std::path::absolute("approvers").unwrap();
    let others = [
        ApprovalRequest { text: "Delete it?".to_owned(), ..signed_question() },
        ApprovalRequest { run: RunId::new("orders-0002-abcdef"), ..signed_question() },
        ApprovalRequest { plan: Digest::of(b"another plan"), ..signed_question() },
        ApprovalRequest { signed_by: Some("others".to_owned()), ..signed_question() },
        ApprovalRequest { signed_by: Some("provers".to_owned()), ..signed_question() },
    ];
    for other in others {
        let named = unopened(&other, &files).unwrap().signed_by.unwrap();
        assert_eq!(Path::new(&named).parent(), here.parent(), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_question_that_nobody_could_answer_is_not_asked() {
    let (folder, (team, signers)) = (tempfile::tempdir().unwrap(), team());
    let names = |file: &str| ApprovalRequest { signed_by: Some(file.to_owned()), ..request(30) };
    let missing = team.path().join("missing").display().to_string();
    for file in [missing.as_str(), team.path().to_str().unwrap()] {
        let (request, terminal) = (names(file), Terminal::scripted(false));
        let refused = asked(folder.path(), &clock(), &terminal, &request).await;
        let Err(OutsideError::Failed(why)) = refused else { panic!("{file} was taken") };
        assert!(why.contains("nobody could answer cut-over"), "{why}");
        assert!(why.contains(file), "{why}");
        assert!(!folder.path().join("approvals").exists());
    }
    assert_eq!(signers_of(folder.path(), &names(&signers)).await, Ok(signers.clone()));
    // Where principals of AWS may answer, too, somebody can.
    let region = "eu-west-1".to_owned();
    let allowed = AllowedPrincipals { principals: vec!["arn:aws:iam::1:user/a".into()], region };
    let either = ApprovalRequest { identified_by: Some(allowed), ..names(&missing) };
    let refused = signers_of(folder.path(), &either).await.unwrap_err();
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
    let folder = tempfile::tempdir().unwrap();
    let files = Files::of(folder.path(), &StepId::new("cut-over")).unwrap();
    let written = format!(
        "{{\"run\":\"orders-0001-abcdef\",\"plan\":{},\"step\":\"cut-over\",\"text\":\"Cut over?\",\
         \"deadline\":\"2026-11-22T00:30:00.002Z\",\"signed_by\":\"/srv/drills/approvers\"}}",
        serde_json::to_string(&Digest::of(b"plan")).unwrap()
    );
    fs::create_dir_all(files.folder()).unwrap();
    fs::write(folder.path().join("approvals/cut-over.request.json"), written).unwrap();
    let wanted = unopened(&signed_question(), &files).unwrap();
    let standing = files.standing(&wanted).unwrap().unwrap();
    assert_eq!(standing.deadline.to_rfc3339(), "2026-11-22T00:30:00.002+00:00");
    assert_eq!(wanted.signed_by.as_deref(), Some("/srv/drills/approvers"));
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
    assert_eq!(fs::read_dir(folder.path().join("approvals")).unwrap().count(), 0);
}
