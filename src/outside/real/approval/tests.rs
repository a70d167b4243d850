use super::*;
use crate::limits;
use std::fs;
use std::future::Future;

fn request(minutes: u64) -> ApprovalRequest {
    ApprovalRequest {
        run: RunId::new("orders-0001-abcdef"),
        plan: Digest::of(b"plan"),
        signed_by: None,
        identified_by: None,
        not: None,
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
        not: None,
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

mod with_aws {
    use super::*;
    use aws_credential_types::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const ANNA: &str = "arn:aws:sts::111111111111:assumed-role/commander/anna@example.com";
    const BERT: &str = "arn:aws:iam::111111111111:user/bert";

    /// Somebody in the place of STS: answers every request with the name that `who` has for its access key, or an error.
    async fn sts(who: fn(&str) -> Result<&'static str, u16>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = String::new();
                while !request.ends_with("Version=2011-06-15") {
                    let mut buffer = vec![0; 4096];
                    let Ok(count @ 1..) = socket.read(&mut buffer).await else { break };
                    request.push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
                let key =
                    request.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
                let (status, body) = match who(key.unwrap_or_default()) {
                    Ok(arn) => (
                        200,
                        format!(
                            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>id-{arn}</UserId>\
                             <Account>111111111111</Account></GetCallerIdentityResult><ResponseMetadata>\
                             <RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
                        ),
                    ),
                    Err(status) => (status, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>".to_owned()),
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _gone = socket.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    fn credentials(key: &str) -> Credentials {
        Credentials::new(key, "secret", Some(format!("session-token-of-{key}")), None, "test")
    }

    fn asks(second_person: bool) -> ApprovalRequest {
        let allowed = AllowedPrincipals {
            principals: vec!["arn:aws:sts::111111111111:assumed-role/commander/*".to_owned()],
            region: "eu-west-1".to_owned(),
        };
        ApprovalRequest {
            identified_by: Some(allowed),
            not: second_person.then(|| "bert".to_owned()),
            timeout: Duration::from_secs(2),
            ..request(1)
        }
    }

    /// What the run gets, what whoever answers with a key is told, and the folder.
    async fn answered(
        url: &str,
        request: &ApprovalRequest,
        key: &str,
    ) -> (Result<Approval, OutsideError>, Result<String, String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let (clock, terminal, secrets) =
            (Clock::system(), Terminal::scripted(None), Secrets::default());
        let identity = RunIdentity {
            credentials: SharedCredentialsProvider::new(credentials("BERT")),
            roles: vec![],
            endpoint: Some(url.to_owned()),
        };
        let place = Place {
            run_dir: folder.path(),
            clock: &clock,
            terminal: &terminal,
            identity: Some(&identity),
            secrets: &secrets,
        };
        let answers = async {
            while !folder.path().join("approvals/cut-over.request.json").exists() {
                tokio::task::yield_now().await;
            }
            let shown_by = ShownBy::Aws { credentials: credentials(key), endpoint: Some(url) };
            let given = GivenAnswer { approved: true, comment: None, by: "x", shown_by };
            answer_approval(folder.path(), &request.step, given).await.map_err(|e| e.to_string())
        };
        let (approval, told) = tokio::join!(ask(&place, request), answers);
        assert!(
            told.is_err() || !secrets.is_empty(),
            "signature and token are not known as secrets"
        );
        (approval, told, folder)
    }

    #[tokio::test]
    async fn an_answer_counts_for_the_one_whom_sts_names_and_the_signature_does_not_stay() {
        let url = sts(|key| if key == "ANNA" { Ok(ANNA) } else { Ok(BERT) }).await;
        let (approval, told, folder) = answered(&url, &asks(true), "ANNA").await;
        let approval = approval.unwrap();
        assert_eq!((approval.by.as_str(), told.as_deref()), (ANNA, Ok(ANNA)));
        assert_eq!(approval.identified_by, "AWS STS in eu-west-1");
        let identity = approval.identity.unwrap();
        assert_eq!(
            (identity.access_key_id.as_str(), identity.request_id.as_deref()),
            ("ANNA", Some("r-1"))
        );
        assert!(
            identity.statement.contains("step: cut-over")
                && identity.statement.contains("answer: approve")
        );
        let left =
            fs::read_to_string(folder.path().join("approvals/cut-over.answer.json")).unwrap();
        assert!(!left.contains("session-token") && !left.contains("signature"), "{left}");
        assert!(left.contains("\"approved\": true"));
    }

    #[tokio::test]
    async fn who_is_not_allowed_and_who_started_the_run_are_refused() {
        let url =
            sts(
                |key| {
                    if key == "EVE" { Ok("arn:aws:iam::111111111111:user/eve") } else { Ok(BERT) }
                },
            )
            .await;
        let (approval, told, _) = answered(&url, &asks(false), "EVE").await;
        assert_eq!(approval, Err(OutsideError::NoAnswer));
        assert!(told.unwrap_err().contains("user/eve is none of the principals who may answer"));
        let url = sts(|_| Ok(ANNA)).await;
        let (approval, told, _) = answered(&url, &asks(true), "ANNA").await;
        assert_eq!(approval, Err(OutsideError::NoAnswer));
        assert!(told.unwrap_err().contains("has started the run, who may not answer"));
    }

    #[tokio::test]
    async fn what_sts_does_not_verify_does_not_count() {
        let url = sts(|key| if key == "ANNA" { Err(403) } else { Ok(BERT) }).await;
        let (approval, told, _) = answered(&url, &asks(true), "ANNA").await;
        assert_eq!(approval, Err(OutsideError::NoAnswer));
        assert!(told.unwrap_err().contains("SignatureDoesNotMatch"));
    }

    #[tokio::test]
    async fn nobody_is_asked_when_the_run_cannot_know_who_started_it() {
        let url = sts(|_| Err(403)).await;
        let folder = tempfile::tempdir().unwrap();
        let (clock, terminal, secrets) =
            (Clock::system(), Terminal::scripted(None), Secrets::default());
        let identity = RunIdentity {
            credentials: SharedCredentialsProvider::new(credentials("BERT")),
            roles: vec![],
            endpoint: Some(url),
        };
        let place = Place {
            run_dir: folder.path(),
            clock: &clock,
            terminal: &terminal,
            identity: Some(&identity),
            secrets: &secrets,
        };
        let error = ask(&place, &asks(true)).await.unwrap_err();
        assert!(
            matches!(&error, OutsideError::Denied(text) if text.contains("not known to AWS")),
            "{error}"
        );
        assert!(!folder.path().join("approvals").exists());
    }

    #[tokio::test]
    async fn an_answer_that_sts_cannot_verify_now_is_kept_until_the_deadline_and_is_no_approval() {
        let url = sts(|key| if key == "ANNA" { Err(503) } else { Ok(BERT) }).await;
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let files = Files::of(folder.path(), &StepId::new("cut-over")).unwrap();
        let (terminal, secrets) = (Terminal::scripted(None), Secrets::default());
        let identity = RunIdentity {
            credentials: SharedCredentialsProvider::new(credentials("BERT")),
            roles: vec![],
            endpoint: Some(url.clone()),
        };
        let place = Place {
            run_dir: folder.path(),
            clock: &clock,
            terminal: &terminal,
            identity: Some(&identity),
            secrets: &secrets,
        };
        let answers = async {
            let open = loop {
                if let Some(open) = files.open_request().unwrap() {
                    break open;
                }
                tokio::task::yield_now().await;
            };
            let sts = open.sts(Some(&url)).unwrap();
            let approval = approval(true, "x");
            let bound_to = open.bound_to(&approval);
            let signed = SignedRequest::new(&sts, &bound_to, &credentials("ANNA"), clock.now());
            let answered = Answered { approval, signed: Some(signed.unwrap()) };
            answer::answer_at(folder.path(), &open.step, answered, clock.now()).unwrap();
        };
        let request = asks(true);
        let (approval, ()) = tokio::join!(ask(&place, &request), answers);
        assert!(
            matches!(&approval, Err(OutsideError::Unreachable(text)) if text.contains("not verified")),
            "{approval:?}"
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(&files.response).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "only the run may read it");
    }

    #[tokio::test(start_paused = true)]
    async fn without_proof_and_at_the_terminal_nobody_is_identified() {
        let url = sts(|_| Ok(BERT)).await;
        let request = asks(false);
        let folder = tempfile::tempdir().unwrap();
        let open = Request {
            run: request.run,
            plan: request.plan,
            step: request.step,
            text: request.text,
            deadline: "2026-11-22T00:30:00Z".parse().unwrap(),
            signed_by: None,
            identified_by: request.identified_by,
            not: None,
            run_by: None,
        };
        let bare = Answered { approval: approval(true, "anna"), signed: None };
        let error = open.verified(&bare, Some(&url)).await.unwrap_err();
        assert!(matches!(error, Unverified::Invalid(text) if text == "it is not signed"));
        let claims = ApproverIdentity {
            statement: open.statement_of(&bare.approval),
            arn: ANNA.into(),
            account: "111111111111".into(),
            user_id: "id".into(),
            access_key_id: "ANNA".into(),
            signed_at: "2026-11-22T00:00:00Z".parse().unwrap(),
            region: "eu-west-1".into(),
            request_id: None,
        };
        let claimed = Approval { identity: Some(claims), ..approval(true, ANNA) };
        let claimed = Answered { approval: claimed, signed: None };
        assert!(open.verified(&claimed, Some(&url)).await.is_err(), "a claim is no proof");
        assert!(question(&open, folder.path()).contains("--with-aws-identity"));
    }
}
