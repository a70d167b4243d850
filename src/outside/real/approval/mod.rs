//! Approvals by files, so that another terminal, or another person on the same machine, can answer.
//!
//! `approvals/<step>.request.json` is the open question, `approvals/<step>.answer.json` the one answer to it: written
//! once, by whoever comes first, never replaced. When the deadline passes, the run itself takes that place, so that
//! nobody can believe to have answered in time.

mod answer;
mod files;
mod request;
mod signature;
mod signers;
mod sts;

pub use answer::{GivenAnswer, ShownBy, answer_approval};

use super::terminal::Terminal;
use crate::ids::{Digest, RunId, StepId};
use crate::journal::Approval;
use crate::outside::{
    AllowedPrincipals, ApprovalRequest, OutsideError, RunBy, Secrets, UNKNOWN_USER,
};
use crate::time::Clock;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use chrono::{DateTime, TimeDelta, Utc};
use files::{Files, Response};
use request::{Answered, Request};
use signature::Unverified;
use std::io;
use std::path::Path;
use std::time::Duration;
use sts::{SignedRequest, Sts};
use tokio::sync::broadcast;

/// How often the answer is looked for.
const POLL: Duration = Duration::from_millis(300);

/// How long until STS is asked again about an answer, when it could not be asked.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What a run shows AWS: for knowing whether somebody else answers.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// Those that it was started with, before any role.
    pub credentials: SharedCredentialsProvider,
    /// ARNs of the roles of its sites.
    pub roles: Vec<String>,
    /// The address that was given with `--endpoint-url`.
    pub endpoint: Option<String>,
}

impl RunIdentity {
    /// Who has started the run, as STS says.
    async fn verified(&self, request: &ApprovalRequest) -> Result<Option<RunBy>, OutsideError> {
        let allowed = request.identified_by.as_ref().filter(|_| !request.not.is_empty());
        let Some(allowed) = allowed else { return Ok(None) };
        self.at_work(&request.run, &allowed.region, &request.step).await.map(Some)
    }

    /// Who is at work on a run, as the STS of a region says. `step` is the question that this is asked for.
    ///
    /// # Errors
    /// [`OutsideError::Denied`] when AWS does not know it, [`OutsideError::Unreachable`] when it cannot be asked now.
    pub async fn at_work(
        &self,
        run: &RunId,
        region: &str,
        step: &StepId,
    ) -> Result<RunBy, OutsideError> {
        let unknown = |why: String| {
            let text = format!("second_person: who runs this is not known to AWS: {why}");
            OutsideError::Denied(text)
        };
        let sts = Sts::at(region, self.endpoint.as_deref()).map_err(unknown)?;
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|e| unknown(e.to_string()))?;
        // Bound to something that is no statement of an answer.
        let bound_to = Digest::of(format!("who is at work on {run}").as_bytes());
        let now = Clock::system().now();
        let signed = SignedRequest::new(&sts, &bound_to, &credentials, now).map_err(unknown)?;
        match sts::who_signed(&sts, step, &bound_to, &signed).await {
            Ok(verified) => Ok(RunBy { operator: verified.principal, roles: self.roles.clone() }),
            Err(Unverified::Invalid(why)) => Err(unknown(why)),
            Err(Unverified::NotNow(why)) => Err(OutsideError::Unreachable(why)),
            Err(Unverified::Unknown(error)) => Err(error),
        }
    }
}

/// Where people answer, and what is needed to know who does.
pub(super) struct Place<'a> {
    pub(super) run_dir: &'a Path,
    pub(super) clock: &'a Clock,
    pub(super) terminal: &'a Terminal,
    pub(super) identity: Option<&'a RunIdentity>,
    pub(super) secrets: &'a Secrets,
}

/// Opens a question and waits for its answer: from another process, or from the terminal.
pub(super) async fn ask(
    place: &Place<'_>,
    request: &ApprovalRequest,
) -> Result<Approval, OutsideError> {
    let Some(files) = Files::of(place.run_dir, &request.step) else {
        let text = format!("the step name {:?} cannot be a file name", request.step.as_str());
        return Err(OutsideError::Failed(text));
    };
    let now = place.clock.now();
    let wanted = wanted(place, request, now).await?;
    let open = files.open(wanted, now).map_err(|e| failed(&e))?;
    let mut lines = place.terminal.ask(&question(&open, place.run_dir));
    loop {
        let response = files.response_to(&open).map_err(|e| failed(&e))?;
        let cannot_be_verified = match response {
            None => None,
            Some(response) => match judged(place, &files, &open, response).await? {
                Judged::Counts(approval) => return Ok(*approval),
                Judged::DoesNotCount => None,
                Judged::NotNow(why) => Some(why),
            },
        };
        let now = place.clock.now();
        let response = if let Some(why) = &cannot_be_verified {
            if now >= open.deadline {
                return Err(OutsideError::Unreachable(format!("an answer is not verified: {why}")));
            }
            place.clock.sleep(LOOK_AGAIN).await;
            None
        } else if now >= open.deadline {
            Some(Response { request: open.digest(), at: now, approval: None, signed: None })
        } else {
            let typed = next_line(&mut lines, place.clock).await;
            let typed = typed.filter(|_| !open.wants_proof());
            typed.and_then(|line| decision(&line)).map(|approval| Response {
                request: open.digest(),
                at: place.clock.now(),
                approval: Some(approval),
                signed: None,
            })
        };
        if let Some(response) = response {
            // Whoever was first counts: the next look tells.
            files.respond_to(&open, &response).map_err(|e| failed(&e))?;
        }
    }
}

fn failed(error: &io::Error) -> OutsideError {
    OutsideError::Failed(format!("the approval's files: {error}"))
}

/// The question as it is to be opened.
async fn wanted(
    place: &Place<'_>,
    request: &ApprovalRequest,
    now: DateTime<Utc>,
) -> Result<Request, OutsideError> {
    let timeout = TimeDelta::from_std(request.timeout).unwrap_or(TimeDelta::days(3650));
    let absolute = |file: &String| {
        let path = std::path::absolute(file).map_err(|e| failed(&e));
        path.map(|path| path.to_string_lossy().into_owned())
    };
    let allowed = request.identified_by.as_ref();
    if let Some(pattern) = allowed.and_then(AllowedPrincipals::unusable) {
        let text = format!("{pattern:?} is no ARN of a principal in one account");
        return Err(OutsideError::Failed(text));
    }
    let run_by = match (allowed, place.identity) {
        (None, _) => None,
        (Some(_), None) => {
            return Err(OutsideError::Failed("this run has no AWS to ask".to_owned()));
        }
        (Some(_), Some(identity)) => identity.verified(request).await?,
    };
    Ok(Request {
        run: request.run.clone(),
        plan: request.plan,
        step: request.step.clone(),
        text: request.text.clone(),
        deadline: now + timeout,
        signed_by: request.signed_by.as_ref().map(absolute).transpose()?,
        identified_by: request.identified_by.clone(),
        not: request.not.clone(),
        run_by,
    })
}

/// What an answer is worth.
enum Judged {
    Counts(Box<Approval>),
    /// It has made room for another one.
    DoesNotCount,
    /// It may count: STS cannot be asked now.
    NotNow(String),
}

async fn judged(
    place: &Place<'_>,
    files: &Files,
    open: &Request,
    response: Response,
) -> Result<Judged, OutsideError> {
    let approval = response.approval.clone().ok_or(OutsideError::NoAnswer)?;
    if let Some(signed) = &response.signed {
        signed.conceal(place.secrets);
    }
    let answered = Answered { approval, signed: response.signed.clone() };
    let endpoint = place.identity.and_then(|identity| identity.endpoint.as_deref());
    match open.verified(&answered, endpoint).await {
        Ok(approval) => {
            files.forget_signature(&response).map_err(|e| failed(&e))?;
            Ok(Judged::Counts(Box::new(approval)))
        }
        Err(Unverified::Unknown(error)) => Err(error),
        Err(Unverified::NotNow(why)) => Ok(Judged::NotNow(why)),
        Err(Unverified::Invalid(why)) => {
            Terminal::show(&format!("An answer to {} does not count: {why}.", open.step));
            files.discard_response().map_err(|e| failed(&e))?;
            Ok(Judged::DoesNotCount)
        }
    }
}

fn question(open: &Request, run_dir: &Path) -> String {
    if open.wants_proof() {
        let by_key =
            open.signed_by.iter().map(|signers| (format!("one of {signers}"), "--sign-with KEY"));
        let by_aws = open
            .identified_by
            .iter()
            .map(|allowed| (allowed.principals.join(" or "), "--with-aws-identity"));
        let (who, how): (Vec<String>, Vec<&str>) = by_key.chain(by_aws).unzip();
        return format!(
            "\n{}: {}\nThe answer must be signed by {}{}: redrill approve {run} {} {} (or\n\
             redrill reject), for the run in {}, before {}.",
            open.step,
            open.text,
            who.join(" or "),
            if open.not.is_empty() { "" } else { ", not by the operator of this run" },
            open.step,
            how.join(" or "),
            run_dir.display(),
            open.deadline.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            run = open.run,
        );
    }
    let how = match open.not.join(" and ") {
        nobody if nobody.is_empty() => "Type \"approve\" or \"reject\", with a comment if you like, or answer from another terminal\n(redrill \
                 approve, or redrill reject,"
            .to_owned(),
        operators => format!(
            "Another person than {operators} must approve (redrill approve, or redrill reject,\nwhich can be typed here, too,"
        ),
    };
    format!(
        "\n{}: {}\n{how} for the run in {}) before {}.",
        open.step,
        open.text,
        run_dir.display(),
        open.deadline.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )
}

/// The next line typed, or `None` after one poll interval.
async fn next_line(
    lines: &mut Option<broadcast::Receiver<String>>,
    clock: &Clock,
) -> Option<String> {
    let Some(receiver) = lines else {
        clock.sleep(POLL).await;
        return None;
    };
    tokio::select! {
        biased;
        line = receiver.recv() => match line {
            Ok(line) => Some(line),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => {
                *lines = None;
                None
            }
        },
        () = clock.sleep(POLL) => None,
    }
}

/// Reads `approve` or `reject`, and a comment. Whole words only: nothing is approved by accident.
fn decision(line: &str) -> Option<Approval> {
    let line = line.trim();
    let (word, comment) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let approved = match word {
        "approve" => true,
        "reject" => false,
        "" => return None,
        _ => {
            Terminal::show("Please type \"approve\" or \"reject\".");
            return None;
        }
    };
    let comment = Some(comment.trim().to_owned()).filter(|comment| !comment.is_empty());
    let identified_by = "terminal user".to_owned();
    Some(Approval { approved, by: user(), identified_by, comment, proof: None, identity: None })
}

fn user() -> String {
    super::this_user().unwrap_or_else(|| UNKNOWN_USER.to_owned())
}

#[cfg(test)]
mod tests;
