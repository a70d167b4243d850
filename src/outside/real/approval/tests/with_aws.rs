//! Answers by AWS identity, with somebody in the place of STS.

use super::*;
use crate::outside::AllowedPrincipals;
use aws_credential_types::Credentials;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ANNA: &str = "arn:aws:sts::111111111111:assumed-role/commander/anna@example.com";
const BERT: &str = "arn:aws:iam::111111111111:user/bert";
const CARL: &str = "arn:aws:iam::111111111111:user/carl";

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

/// A question of this moment: here time is that of the system.
fn request(minutes: i64) -> ApprovalRequest {
    let deadline = Clock::system().now() + TimeDelta::minutes(minutes);
    ApprovalRequest { deadline, ..super::request(minutes) }
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

    /// Somebody says yes with a key: what they are told, in either case.
    async fn says_yes(&self, request: &ApprovalRequest, key: &str) -> Result<String, String> {
        let endpoint = self.identity.endpoint.as_deref();
        let shown_by = ShownBy::Aws { credentials: credentials(key), endpoint };
        let given = GivenAnswer { approved: true, comment: None, by: "x", shown_by };
        let told = answer_approval(self.folder.path(), &request.step, given).await;
        told.map_err(|e| e.to_string())
    }

    /// Asks in a process that dies while it waits.
    async fn asks_and_dies(&self, request: &ApprovalRequest) -> Request {
        let place = self.place();
        tokio::select! {
            answer = ask(&place, request) => panic!("nobody has answered: {answer:?}"),
            open = self.open_question() => open,
        }
    }

    /// Somebody goes on with the run, by a key: what was answered before, unless it is asked once more.
    async fn gone_on_with(&mut self, request: &ApprovalRequest, key: &str) -> Option<Approval> {
        self.identity.credentials = SharedCredentialsProvider::new(credentials(key));
        let (place, before) = (self.place(), self.open_question().await);
        let request = &ApprovalRequest { told: Some(before.deadline), ..request.clone() };
        let asked_again = async {
            while self.open_question().await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = ask(&place, request) => Some(answer.unwrap()),
            () = asked_again => None,
        }
    }

    fn response(&self) -> Response {
        files::read(&self.files().response).unwrap().unwrap()
    }

    /// Asks until somebody has answered with a key: what the run gets, or what that one is told when it is refused.
    async fn answered(&self, request: &ApprovalRequest, key: &str) -> Result<Approval, String> {
        let place = self.place();
        let mut asking = std::pin::pin!(ask(&place, request));
        let answers = async {
            self.open_question().await;
            self.says_yes(request, key).await
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

/// AWS was asked after people had been told of the question.
#[tokio::test]
async fn regression_who_asks_is_known_before_anybody_is_told_and_is_asked_once() {
    static WAS_ASKED: AtomicBool = AtomicBool::new(false);
    let once =
        |_: &str| if WAS_ASKED.swap(true, Ordering::Relaxed) { Err(503_u16) } else { Ok(BERT) };
    let run = Run::new(&sts(|_| Err(403)).await);
    let error = prepared(&run.place(), asks(true)).await.unwrap_err();
    assert!(matches!(error, OutsideError::Denied(_)), "{error}");
    let run = Run::new(&sts(once).await);
    let request = prepared(&run.place(), asks(true)).await.unwrap();
    let open = run.asks_and_dies(&request).await;
    assert_eq!(open.run_by, request.run_by);
    assert_eq!(open.run_by.unwrap().operator.arn, BERT);
}

/// A yes to a question, signed with a key by whoever does not ask whether it counts.
fn signed_yes(run: &Run, open: &Request, key: &str) -> Answered {
    let sts = open.sts(run.identity.endpoint.as_deref()).unwrap();
    let proof = ApprovalProof { statement: "any".into(), signature: "any".into() };
    let approval = Approval { proof: Some(proof), ..approval(true, "x") };
    let bound_to = open.bound_to(&approval);
    let signed = SignedRequest::new(&sts, &bound_to, &credentials(key), run.clock.now());
    Answered { approval, signed: Some(signed.unwrap()) }
}

/// An answer that stands in the file, signed with a key for what it says, and then changed.
async fn judged_answer(run: &Run, change: impl FnOnce(&mut Answered)) -> Judged {
    let request = wanted(&run.place(), &asks(true)).await.unwrap();
    let open = run.files().open(request).unwrap();
    let mut answered = signed_yes(run, &open, "ANNA");
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

/// The first answer was told to be of the user of the system, whom nobody had verified.
#[tokio::test]
async fn regression_whoever_comes_later_is_told_the_name_that_counts() {
    let run = Run::new(&sts(everybody).await);
    run.asks_and_dies(&asks(true)).await;
    run.says_yes(&asks(true), "ANNA").await.unwrap();
    let told = run.says_yes(&asks(true), "ANNA").await.unwrap_err();
    assert!(told.contains(&format!("was approved already, by {ANNA} at ")), "{told}");
}

/// The keys of three people.
fn everybody(key: &str) -> Result<&'static str, u16> {
    match key {
        "ANNA" => Ok(ANNA),
        "BERT" => Ok(BERT),
        "CARL" => Ok(CARL),
        _ => Err(403),
    }
}

#[tokio::test]
async fn regression_a_yes_of_somebody_whom_aws_knows_counts_for_another_one_who_goes_on() {
    let mut run = Run::new(&sts(everybody).await);
    run.asks_and_dies(&asks(true)).await;
    run.says_yes(&asks(true), "ANNA").await.unwrap();
    let approval = run.gone_on_with(&asks(true), "CARL").await.unwrap();
    assert_eq!((approval.approved, approval.by.as_str()), (true, ANNA));
    assert_eq!(approval.identity.unwrap().access_key_id, "ANNA");
    assert_eq!(run.response().signed, None, "it cannot be used again");
}

#[tokio::test]
async fn a_yes_that_aws_knows_for_that_of_the_one_who_goes_on_does_not_count() {
    let mut run = Run::new(&sts(everybody).await);
    run.asks_and_dies(&asks(true)).await;
    run.says_yes(&asks(true), "ANNA").await.unwrap();
    assert_eq!(run.gone_on_with(&asks(true), "ANNA").await, None);
    assert!(!run.files().response.exists(), "there is room for another one");
    let told = run.says_yes(&asks(true), "ANNA").await.unwrap_err();
    assert!(told.contains("has started the run, who may not answer"), "{told}");
}

#[tokio::test]
async fn regression_a_yes_of_the_one_who_asked_does_not_count_for_another_one_who_goes_on() {
    let region = "eu-west-1".to_owned();
    let allowed = AllowedPrincipals { principals: vec![BERT.to_owned()], region };
    // All of them are one user of the system: only AWS tells them apart.
    let request = ApprovalRequest {
        identified_by: Some(allowed),
        not: vec!["shared".to_owned()],
        ..request(1)
    };
    let mut run = Run::new(&sts(everybody).await);
    let open = run.asks_and_dies(&request).await;
    let told = run.says_yes(&request, "BERT").await.unwrap_err();
    assert!(told.contains("has started the run, who may not answer"), "{told}");
    let yes = signed_yes(&run, &open, "BERT");
    answer::answer_at(run.folder.path(), &open.step, yes, run.clock.now()).unwrap();
    assert_eq!(run.gone_on_with(&request, "CARL").await, None);
    assert!(!run.files().response.exists(), "there is room for another one");
}

/// The question knew the last process only: one later the yes of the one before counted.
#[tokio::test]
async fn regression_a_yes_of_an_earlier_operator_does_not_count_however_many_went_on_since() {
    let region = "eu-west-1".to_owned();
    let principals = vec![BERT.to_owned(), CARL.to_owned()];
    let request = ApprovalRequest {
        identified_by: Some(AllowedPrincipals { principals, region }),
        not: vec!["shared".to_owned()],
        ..request(1)
    };
    let mut run = Run::new(&sts(everybody).await);
    run.asks_and_dies(&request).await;
    assert_eq!(run.gone_on_with(&request, "CARL").await, None);
    let open = run.open_question().await;
    let told = run.says_yes(&request, "BERT").await.unwrap_err();
    assert!(told.contains("has started the run, who may not answer"), "{told}");
    let yes = signed_yes(&run, &open, "BERT");
    answer::answer_at(run.folder.path(), &open.step, yes, run.clock.now()).unwrap();
    assert_eq!(run.gone_on_with(&request, "ANNA").await, None);
    assert!(!run.files().response.exists(), "there is room for another one");
    for earlier in ["BERT", "CARL"] {
        let told = run.says_yes(&request, earlier).await.unwrap_err();
        assert!(told.contains("has started the run, who may not answer"), "{earlier}: {told}");
    }
}

/// Nobody's process had asked in the name of the one who started it.
#[tokio::test]
async fn regression_a_yes_of_whoever_started_the_run_and_never_asked_does_not_count() {
    let region = "eu-west-1".to_owned();
    let principals = vec![ANNA.to_owned(), BERT.to_owned()];
    let request = ApprovalRequest {
        identified_by: Some(AllowedPrincipals { principals, region }),
        not: vec!["shared".to_owned()],
        ran_as: vec![BERT.to_owned(), CARL.to_owned()],
        ..request(1)
    };
    let mut run = Run::new(&sts(everybody).await);
    run.identity.credentials = SharedCredentialsProvider::new(credentials("CARL"));
    let open = run.asks_and_dies(&request).await;
    assert_eq!(open.run_by_before, [RunBy::seen_as(BERT).unwrap()]);
    let told = run.says_yes(&request, "BERT").await.unwrap_err();
    assert!(told.contains("has started the run, who may not answer"), "{told}");
    let approval = run.answered(&request, "ANNA").await.unwrap();
    assert_eq!((approval.approved, approval.by.as_str()), (true, ANNA));
}

#[tokio::test]
async fn regression_an_answer_is_dated_when_it_is_given_whoever_reads_it_when() {
    // When AWS has told who answers, which is after it was begun.
    static VERIFIED: OnceLock<DateTime<Utc>> = OnceLock::new();
    let slow = |key: &str| {
        if key == "ANNA" {
            VERIFIED.get_or_init(|| {
                let asked = Clock::system().now();
                std::iter::repeat_with(|| Clock::system().now()).find(|now| *now > asked).unwrap()
            });
        }
        everybody(key)
    };
    let mut run = Run::new(&sts(slow).await);
    let open = run.asks_and_dies(&asks(true)).await;
    run.says_yes(&asks(true), "ANNA").await.unwrap();
    let given = run.response().at;
    assert!(*VERIFIED.get().unwrap() <= given, "{given}");
    assert!(given <= Clock::system().now(), "{given}");
    // It was in time, and is taken after the deadline.
    run.clock = Clock::simulated(open.deadline + TimeDelta::hours(2));
    let approval = run.gone_on_with(&asks(true), "BERT").await.unwrap();
    assert_eq!((approval.approved, approval.by.as_str()), (true, ANNA));
    assert_eq!(run.response().at, given, "what has taken it leaves it as it was");
    let told = run.says_yes(&asks(true), "ANNA").await.unwrap_err();
    assert!(told.contains("was approved already"), "{told}");
    assert!(told.ends_with(&format!("at {given}")), "{told}");
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
        run_by_before: Vec::new(),
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
