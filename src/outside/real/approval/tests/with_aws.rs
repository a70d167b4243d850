//! Answers by AWS identity, with somebody in the place of STS.

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
            let key = request.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
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
        not: second_person.then(|| "bert".to_owned()).into_iter().collect(),
        ..request(1)
    }
}

/// A run that was started by Bert, whose STS is at an address.
struct Run {
    folder: tempfile::TempDir,
    clock: Clock,
    terminal: Terminal,
    identity: RunIdentity,
    secrets: Secrets,
}

impl Run {
    fn new(url: &str) -> Self {
        let identity = RunIdentity {
            credentials: SharedCredentialsProvider::new(credentials("BERT")),
            roles: vec![],
            endpoint: Some(url.to_owned()),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Clock::system(),
            terminal: Terminal::scripted(false),
            identity,
            secrets: Secrets::default(),
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            run_dir: self.folder.path(),
            clock: &self.clock,
            terminal: &self.terminal,
            identity: Some(&self.identity),
            secrets: &self.secrets,
        }
    }

    fn files(&self) -> Files {
        Files::of(self.folder.path(), &StepId::new("cut-over")).unwrap()
    }

    async fn open_question(&self) -> Request {
        loop {
            if let Some(open) = self.files().open_request().unwrap() {
                return open;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Asks until somebody has answered with a key: what the run gets, or what that one is told when it is refused.
    async fn answered(&self, request: &ApprovalRequest, key: &str) -> Result<Approval, String> {
        let place = self.place();
        let mut asking = std::pin::pin!(ask(&place, request));
        let answers = async {
            self.open_question().await;
            let endpoint = self.identity.endpoint.as_deref();
            let shown_by = ShownBy::Aws { credentials: credentials(key), endpoint };
            let given = GivenAnswer { approved: true, comment: None, by: "x", shown_by };
            let told = answer_approval(self.folder.path(), &request.step, given).await;
            told.map_err(|e| e.to_string())
        };
        let told = tokio::select! {
            told = answers => told?,
            approval = &mut asking => return Ok(approval.unwrap()),
        };
        let approval = asking.await.unwrap();
        assert_eq!(approval.by, told);
        Ok(approval)
    }
}

#[tokio::test]
async fn an_answer_counts_for_the_one_whom_sts_names_and_the_signature_does_not_stay() {
    let run = Run::new(&sts(|key| if key == "ANNA" { Ok(ANNA) } else { Ok(BERT) }).await);
    let approval = run.answered(&asks(true), "ANNA").await.unwrap();
    assert_eq!(
        (approval.by.as_str(), approval.identified_by.as_str()),
        (ANNA, "AWS STS in eu-west-1")
    );
    let identity = approval.identity.unwrap();
    assert_eq!(identity.access_key_id, "ANNA");
    assert_eq!(identity.request_id.as_deref(), Some("r-1"));
    let statement = identity.statement;
    assert!(statement.contains("step: cut-over") && statement.contains("answer: approve"));
    let left = fs::read_to_string(run.files().response).unwrap();
    assert!(!left.contains("session-token") && !left.contains("signature"), "{left}");
    assert!(left.contains("\"approved\": true"));
    let said = run.secrets.conceal("with session-token-of-ANNA");
    assert_eq!(said, "with <secret>", "what the run has read is known as a secret");
}

#[tokio::test]
async fn who_is_not_allowed_and_who_started_the_run_are_refused() {
    const EVE: &str = "arn:aws:iam::111111111111:user/eve";
    let run = Run::new(&sts(|key| if key == "EVE" { Ok(EVE) } else { Ok(BERT) }).await);
    let told = run.answered(&asks(false), "EVE").await.unwrap_err();
    assert!(told.contains("user/eve is none of the principals who may answer"), "{told}");
    let run = Run::new(&sts(|_| Ok(ANNA)).await);
    let told = run.answered(&asks(true), "ANNA").await.unwrap_err();
    assert!(told.contains("has started the run, who may not answer"), "{told}");
}

#[tokio::test]
async fn what_sts_does_not_verify_does_not_count() {
    let run = Run::new(&sts(|key| if key == "ANNA" { Err(403) } else { Ok(BERT) }).await);
    let told = run.answered(&asks(true), "ANNA").await.unwrap_err();
    assert!(told.contains("SignatureDoesNotMatch"), "{told}");
    assert!(!run.files().response.exists(), "nothing was written");
}

#[tokio::test]
async fn nobody_is_asked_when_the_run_cannot_know_who_started_it() {
    let run = Run::new(&sts(|_| Err(403)).await);
    let error = ask(&run.place(), &asks(true)).await.unwrap_err();
    let OutsideError::Denied(text) = &error else { panic!("{error}") };
    assert!(text.contains("not known to AWS"), "{text}");
    assert!(!run.folder.path().join("approvals").exists());
}

/// An answer that stands in the file, signed with a key for what it says, and then changed.
async fn judged_answer(run: &Run, change: impl FnOnce(&mut Answered)) -> Judged {
    let request = wanted(&run.place(), &asks(true), run.clock.now()).await.unwrap();
    let open = run.files().open(request).unwrap();
    let sts = open.sts(run.identity.endpoint.as_deref()).unwrap();
    let proof = ApprovalProof { statement: "any".into(), signature: "any".into() };
    let approval = Approval { proof: Some(proof), ..approval(true, "x") };
    let bound_to = open.bound_to(&approval);
    let signed = SignedRequest::new(&sts, &bound_to, &credentials("ANNA"), run.clock.now());
    let mut answered = Answered { approval, signed: Some(signed.unwrap()) };
    change(&mut answered);
    answer::answer_at(run.folder.path(), &open.step, answered, run.clock.now()).unwrap();
    let response = run.files().response_to(&open).unwrap().unwrap();
    judged(&run.place(), &run.files(), &open, response).await.unwrap()
}

#[tokio::test]
async fn an_answer_that_sts_cannot_verify_now_is_kept_and_is_no_approval() {
    let run = Run::new(&sts(|key| if key == "ANNA" { Err(503) } else { Ok(BERT) }).await);
    assert!(
        matches!(judged_answer(&run, |_| {}).await, Judged::NotNow(why) if why.contains("STS"))
    );
    let metadata = fs::metadata(run.files().response).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    assert_eq!(mode & 0o777, 0o600, "only the run may read it");
}

#[tokio::test]
async fn an_answer_without_its_signature_makes_room_for_another_one() {
    let run = Run::new(&sts(|key| if key == "ANNA" { Ok(ANNA) } else { Ok(BERT) }).await);
    let Judged::Counts(counted) = judged_answer(&run, |_| {}).await else { panic!("it counts") };
    assert_eq!(counted.proof, None, "regression: what nobody has verified is not taken over");
    let again = run.files().open_request().unwrap().unwrap();
    let used = run.files().response_to(&again).unwrap().unwrap();
    assert!(used.signed.is_none());
    let judged = judged(&run.place(), &run.files(), &again, used).await.unwrap();
    assert!(matches!(judged, Judged::DoesNotCount), "a run that was resumed asks again");
    assert!(!run.files().response.exists());
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
        not: Vec::new(),
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
