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

use super::terminal::{Prompt, Terminal, Typed};
use crate::ids::{Digest, RunId, StepId};
use crate::journal::Approval;
use crate::limits;
use crate::outside::{
    ApprovalRequest, OutsideError, RunBy, Secrets, UNKNOWN_USER, read_file, ways_to_prove,
};
use crate::time::Clock;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use chrono::{DateTime, Utc};
use files::{Files, Response};
use request::{AT_THE_TERMINAL, Answered, Request};
use signature::Unverified;
use std::io;
use std::path::Path;
use std::time::Duration;
use sts::{SignedRequest, Sts};

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
    let files = files_of(place.run_dir, &request.step)?;
    let mut wanted = wanted(place, request).await?;
    // What stands there and is not in the journal was not asked by this run.
    if let Some(told) = request.told
        && let Some(standing) = files.standing(&wanted).map_err(|e| failed(&e))?
    {
        wanted = wanted.after(&standing);
        if let Some(said) = said_in_time(place, &files, (&standing, told), &wanted).await? {
            return Ok(said);
        }
    }
    let open = files.open(wanted).map_err(|e| failed(&e))?;
    let typing_counts = !open.wants_proof();
    let mut prompt = place.terminal.ask(&open.step, &question(&open, place.run_dir), typing_counts);
    loop {
        if let Some(response) = files.response_to(&open).map_err(|e| failed(&e))? {
            match judged(place, &files, &open, response).await? {
                Judged::Counts(approval) => return Ok(*approval),
                Judged::DoesNotCount => {}
                Judged::NotNow(why) => {
                    look_again(place, open.deadline, &why).await?;
                    continue;
                }
            }
        }
        let approval = if place.clock.now() >= open.deadline {
            None
        } else {
            let approval = typed(&mut prompt, place.clock).await;
            if approval.is_none() {
                continue;
            }
            approval
        };
        let (request, at) = (open.digest(), place.clock.now());
        // Whoever was first counts: the next look tells.
        files
            .respond_to(&open, &Response { request, at, approval, signed: None })
            .map_err(|e| failed(&e))?;
    }
}

fn files_of(run_dir: &Path, step: &StepId) -> Result<Files, OutsideError> {
    let text = || format!("the step name {:?} cannot be a file name", step.as_str());
    Files::of(run_dir, step).ok_or_else(|| OutsideError::Failed(text()))
}

/// What a person has said in time to the same question of a process that has died: a no as it is, a yes when it is neither of those
/// who run the drill now nor of those who ran it then.
async fn said_in_time(
    place: &Place<'_>,
    files: &Files,
    (standing, told): (&Request, DateTime<Utc>),
    wanted: &Request,
) -> Result<Option<Approval>, OutsideError> {
    let now_asked = Request { deadline: standing.deadline, ..wanted.clone() };
    while let Some(response) = files.said_in_time(standing, told).map_err(|e| failed(&e))? {
        match judged(place, files, &now_asked, response).await? {
            Judged::Counts(approval) => return Ok(Some(*approval)),
            Judged::DoesNotCount => {}
            Judged::NotNow(why) => look_again(place, wanted.deadline, &why).await?,
        }
    }
    Ok(None)
}

/// Waits until STS can be asked again about an answer.
async fn look_again(
    place: &Place<'_>,
    deadline: DateTime<Utc>,
    why: &str,
) -> Result<(), OutsideError> {
    if place.clock.now() >= deadline {
        return Err(OutsideError::Unreachable(format!("an answer is not verified: {why}")));
    }
    place.clock.sleep(LOOK_AGAIN).await;
    Ok(())
}

/// A question that can be asked: see [`crate::outside::Outside::prepared`].
///
/// # Errors
/// When nobody could answer, or AWS does not say who asks.
pub(super) async fn prepared(
    place: &Place<'_>,
    request: ApprovalRequest,
) -> Result<ApprovalRequest, OutsideError> {
    files_of(place.run_dir, &request.step)?;
    // On another machine it may lie elsewhere: there the step's own words say where, as they did when it was asked first.
    let surely_missing = |file: &String| matches!(Path::new(file).try_exists(), Ok(false));
    let before = request.signed_before.clone().filter(|file| !surely_missing(file));
    let signed_by = before.or_else(|| request.signed_by.clone());
    let request = ApprovalRequest { signed_by, ..request };
    let Request { signed_by, run_by, .. } = wanted(place, &request).await?;
    Ok(ApprovalRequest { signed_by, run_by, ..request })
}

fn failed(error: &io::Error) -> OutsideError {
    OutsideError::Failed(format!("the approval's files: {error}"))
}

/// The question as it is to be opened.
async fn wanted(place: &Place<'_>, request: &ApprovalRequest) -> Result<Request, OutsideError> {
    let question = unopened(place.identity, request)?;
    let run_by = match (&request.run_by, place.identity) {
        (Some(known), _) => Some(known.clone()),
        (None, Some(identity)) => identity.verified(request).await?,
        (None, None) => None,
    };
    let question = Request { run_by, ..question }.not_of(&request.ran_as);
    files::written(&question).map_err(|e| failed(&e))?;
    Ok(question)
}

/// A question that nobody could answer is not asked.
fn usable(step: &StepId, signers: &str) -> Result<(), OutsideError> {
    let unusable = |why: OutsideError| {
        let text = format!(
            "nobody could answer {step}: its file of allowed signers cannot be used: {why}"
        );
        OutsideError::Failed(text)
    };
    signers_in(signers).map_err(unusable)?;
    Ok(())
}

/// How many lines a file of allowed signers has: see [`crate::outside::Outside::signers`].
///
/// # Errors
/// When it cannot be read, or nobody stands in it.
pub(super) fn signers_in(file: &str) -> Result<usize, OutsideError> {
    read_file(file, limits::FILE_BYTES)?;
    let lines = signers::lines(file).map_err(|e| OutsideError::Failed(format!("{file}: {e}")))?;
    if lines.is_empty() {
        return Err(OutsideError::Failed(format!("{file}: nobody stands in it")));
    }
    Ok(lines.len())
}

/// The question, as far as AWS need not be asked for it.
///
/// # Errors
/// When nobody could answer it.
fn unopened(
    identity: Option<&RunIdentity>,
    request: &ApprovalRequest,
) -> Result<Request, OutsideError> {
    let whole = |file: &String| {
        let path = std::path::absolute(file).map_err(|e| failed(&e));
        path.map(|path| path.to_string_lossy().into_owned())
    };
    let question = Request {
        run: request.run.clone(),
        plan: request.plan,
        step: request.step.clone(),
        text: request.text.clone(),
        deadline: request.deadline,
        signed_by: request.signed_by.as_ref().map(whole).transpose()?,
        identified_by: request.identified_by.clone(),
        not: request.not.clone(),
        run_by: None,
        run_by_before: Vec::new(),
    };
    match (&question.signed_by, &question.identified_by) {
        (Some(signers), None) => usable(&question.step, signers)?,
        (_, Some(_)) if identity.is_none() => {
            return Err(OutsideError::Failed("this run has no AWS to ask".to_owned()));
        }
        (_, Some(allowed)) => {
            if let Some(pattern) = allowed.unusable() {
                let text = format!("{pattern:?} is no ARN of a principal in one account");
                return Err(OutsideError::Failed(text));
            }
        }
        (None, None) => {}
    }
    Ok(question)
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
        let by_key = open.signed_by.iter().map(|signers| format!("one of {signers}"));
        let by_aws = open.identified_by.iter().map(|allowed| allowed.principals.join(" or "));
        let who: Vec<String> = by_key.chain(by_aws).collect();
        let how = ways_to_prove(open.signed_by.is_some(), open.identified_by.is_some());
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

/// What was typed, or `None` after one poll interval.
async fn typed(prompt: &mut Option<Prompt>, clock: &Clock) -> Option<Approval> {
    let Some(prompt) = prompt else {
        clock.sleep(POLL).await;
        return None;
    };
    let Typed { approved, comment } = tokio::select! {
        biased;
        typed = prompt.typed() => typed,
        () = clock.sleep(POLL) => return None,
    };
    let identified_by = AT_THE_TERMINAL.to_owned();
    Some(Approval { approved, by: user(), identified_by, comment, proof: None, identity: None })
}

fn user() -> String {
    super::this_user().unwrap_or_else(|| UNKNOWN_USER.to_owned())
}

#[cfg(test)]
mod tests;
