//! Answers from another process: `redrill approve` and `redrill reject`.

use super::files::{Files, Response};
use super::request::{AT_THE_COMMAND_LINE, Answered, Request};
use super::signature::{self, Unverified};
use super::sts::SignedRequest;
use crate::error::Error;
use crate::ids::StepId;
use crate::journal::Approval;
use crate::outside::real::barred;
use crate::time::Clock;
use aws_credential_types::Credentials;
use chrono::{DateTime, Utc};
use std::io;
use std::path::Path;

/// An answer, for `redrill approve` and `redrill reject`.
#[derive(Clone, Debug)]
pub struct GivenAnswer<'a> {
    /// The decision.
    pub approved: bool,
    /// What is written with it.
    pub comment: Option<String>,
    /// Who answers, as the system knows them.
    pub by: &'a str,
    /// What shows who that is.
    pub shown_by: ShownBy<'a>,
}

/// What shows who answers.
#[derive(Clone, Debug)]
pub enum ShownBy<'a> {
    /// Nothing but the name.
    Name,
    /// This SSH key, which signs the answer: a private key, or the public one of a key that an agent holds.
    Key(&'a Path),
    /// These credentials, which sign a request to STS, and the address at which STS is asked instead of AWS's own.
    Aws {
        /// Of the one who answers.
        credentials: Credentials,
        /// As the run was given it with `--endpoint-url`.
        endpoint: Option<&'a str>,
    },
}

/// Answers the open question of a step of a run; returns by whom, as it will count. A signature is verified before the answer is
/// given.
///
/// # Errors
/// When the step asks nothing, the deadline has passed, or it has been answered; when it must be signed and is not, or
/// not by somebody who may answer; when the files cannot be used.
pub async fn answer_approval(
    run_dir: &Path,
    step: &StepId,
    given: GivenAnswer<'_>,
) -> crate::error::Result<String> {
    let request = open_request(run_dir, step)?;
    let now = Clock::system().now();
    let mut answered = Answered {
        approval: Approval {
            approved: given.approved,
            by: given.by.to_owned(),
            identified_by: AT_THE_COMMAND_LINE.to_owned(),
            comment: given.comment,
            proof: None,
            identity: None,
        },
        signed: None,
    };
    let mut endpoint = None;
    match given.shown_by {
        ShownBy::Name if request.wants_proof() => return Err(unproven(&request)),
        ShownBy::Name => {}
        ShownBy::Key(key) => {
            let signed = signature::sign(key, request.statement_of(&answered.approval));
            let signed = signed.map_err(|e| Error::broken(format!("not signed: {e}")))?;
            answered.approval.proof = Some(signed);
        }
        ShownBy::Aws { credentials, endpoint: address } => {
            endpoint = address;
            let bound_to = request.bound_to(&answered.approval);
            let sts = request.sts(endpoint).map_err(|why| {
                Error::bad_input(format!("{step} cannot be answered by AWS credentials: {why}"))
            })?;
            let signed = SignedRequest::new(&sts, &bound_to, &credentials, now);
            let signed = signed.map_err(|why| Error::broken(format!("not signed: {why}")))?;
            answered.signed = Some(signed);
        }
    }
    // The run verifies it again; here it is so that whoever answers hears of a mistake.
    match request.verified(&answered, endpoint).await {
        Err(Unverified::Invalid(why)) => {
            Err(Error::bad_input(format!("the answer to {step} would not count: {why}")))
        }
        Err(Unverified::Unknown(error)) => Err(Error::broken(error.to_string())),
        Err(Unverified::NotNow(why)) => Err(Error::broken(format!("STS cannot be asked: {why}"))
            .help("answer again when it can; nothing was written")),
        // Not when it was begun: keys may ask for a pass phrase, and the deadline may have passed meanwhile.
        Ok(approval) => {
            // Whoever comes later is told this name.
            answered.approval.by.clone_from(&approval.by);
            answer_at(run_dir, step, answered, Clock::system().now()).map(|()| approval.by)
        }
    }
}

fn unproven(request: &Request) -> Error {
    let with_key = "--sign-with KEY: your private key, or the public one of a key in your agent";
    let with_aws = "--with-aws-identity, which shows by your AWS credentials who you are";
    let help = match (&request.signed_by, &request.identified_by) {
        (Some(_), Some(_)) => format!("add {with_key}; or {with_aws}"),
        (None, _) => format!("add {with_aws}"),
        (Some(_), None) => format!("add {with_key}"),
    };
    Error::bad_input(format!("the answer to {} must be signed", request.step)).help(help)
}

fn open_request(run_dir: &Path, step: &StepId) -> crate::error::Result<Request> {
    let nothing = || Error::bad_input(format!("the step {step} of this run asks for no approval"));
    let files = Files::of(run_dir, step).ok_or_else(nothing)?;
    files.open_request().map_err(|e| failed(&files, &e))?.ok_or_else(nothing)
}

/// Questions and answers are files: who may not read or write them is told how people share them.
fn failed(files: &Files, error: &io::Error) -> Error {
    let text = format!("the answer cannot be given in {}: {error}", files.folder().display());
    if error.kind() == io::ErrorKind::InvalidInput {
        return Error::bad_input(text).help("say it with a shorter comment");
    }
    match barred(files.folder(), error) {
        Some(help) => Error::broken(text).help(help),
        None => Error::broken(text),
    }
}

pub(super) fn answer_at(
    run_dir: &Path,
    step: &StepId,
    answered: Answered,
    now: DateTime<Utc>,
) -> crate::error::Result<()> {
    let nothing = || Error::bad_input(format!("the step {step} of this run asks for no approval"));
    let request = open_request(run_dir, step)?;
    let files = Files::of(run_dir, step).ok_or_else(nothing)?;
    let failed = |e: io::Error| failed(&files, &e);
    if let Some(given) = files.response_to(&request).map_err(failed)? {
        return Err(Error::bad_input(already(step, &given)));
    }
    if now >= request.deadline {
        return Err(Error::bad_input(late(step, request.deadline)));
    }
    let Answered { approval, signed } = answered;
    let response =
        Response { request: request.digest(), at: now, approval: Some(approval), signed };
    if files.respond_to(&request, &response).map_err(failed)? {
        return Ok(());
    }
    let given = files.response_to(&request).map_err(failed)?;
    Err(Error::bad_input(given.map_or_else(|| late(step, request.deadline), |g| already(step, &g))))
}

fn late(step: &StepId, deadline: DateTime<Utc>) -> String {
    format!("the step {step} could be answered until {deadline} only")
}

fn already(step: &StepId, response: &Response) -> String {
    match &response.approval {
        Some(given) => {
            let word = if given.approved { "approved" } else { "rejected" };
            format!("the step {step} was {word} already, by {} at {}", given.by, response.at)
        }
        None => late(step, response.at),
    }
}
