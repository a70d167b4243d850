//! Approvals by files, so that another terminal, or another person on the same machine, can answer.
//!
//! `approvals/<step>.request.json` is the open question, `approvals/<step>.answer.json` the one answer to it: written
//! once, by whoever comes first, never replaced. When the deadline passes, the run itself takes that place, so that
//! nobody can believe to have answered in time.

mod signature;

use super::terminal::Terminal;
use crate::error::Error;
use crate::ids::{Digest, RunId, StepId};
use crate::journal::{Approval, ApprovalProof};
use crate::limits;
use crate::outside::{ApprovalRequest, OutsideError, UNKNOWN_USER, is_same_person};
use crate::time::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use signature::Unverified;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::broadcast;

/// How often the answer is looked for.
const POLL: Duration = Duration::from_millis(300);

/// The open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    run: RunId,
    plan: Digest,
    step: StepId,
    text: String,
    /// Until when it can be answered (UTC).
    deadline: DateTime<Utc>,
    /// The file of allowed signers, absolute, when the answer must be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// Who may not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not: Option<String>,
}

impl Request {
    /// Binds an answer to this question, so that an old answer cannot count for a new one.
    fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The same question, perhaps with another deadline.
    fn asks_the_same(&self, other: &Self) -> bool {
        *self == Self { deadline: self.deadline, ..other.clone() }
    }

    /// What was signed, which must be this very answer to this very question.
    fn proof_of<'a>(&self, approval: &'a Approval) -> Result<&'a ApprovalProof, String> {
        let proof = approval.proof.as_ref().ok_or("it is not signed")?;
        let comment = approval.comment.as_deref();
        if proof.statement == signature::statement(self, approval.approved, comment) {
            Ok(proof)
        } else {
            Err("something else was signed".to_owned())
        }
    }

    /// An answer as it counts: who it is from, verified where the question asks for it.
    async fn verified(&self, approval: Approval) -> Result<Approval, Unverified> {
        let Some(allowed) = &self.signed_by else { return Ok(approval) };
        let proof = self.proof_of(&approval).map_err(Unverified::Invalid)?;
        let signer = signature::verify(self, allowed, proof).await?;
        if self.not.as_deref().is_some_and(|not| is_same_person(not, &signer.principal)) {
            let text =
                format!("{} is the operator of the run, who may not answer", signer.principal);
            return Err(Unverified::Invalid(text));
        }
        let identified_by = format!("SSH key {} of the allowed signers in {allowed}", signer.key);
        Ok(Approval { by: signer.principal, identified_by, ..approval })
    }
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Response {
    request: Digest,
    /// When (UTC).
    at: DateTime<Utc>,
    /// `None` when the deadline passed.
    approval: Option<Approval>,
}

/// The two files of a step.
struct Files {
    request: PathBuf,
    response: PathBuf,
}

impl Files {
    /// `None` when the step's name cannot be part of a file name: names come from the command line, too.
    fn of(run_dir: &Path, step: &StepId) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = step.as_str();
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return None;
        }
        let folder = run_dir.join("approvals");
        let file = |kind: &str| folder.join(format!("{name}.{kind}.json"));
        Some(Self { request: file("request"), response: file("answer") })
    }

    fn open_request(&self) -> io::Result<Option<Request>> {
        read(&self.request)
    }

    /// The answer to `request`, if it is there.
    fn response_to(&self, request: &Request) -> io::Result<Option<Response>> {
        let response = read::<Response>(&self.response)?;
        Ok(response.filter(|response| response.request == request.digest()))
    }

    /// Opens a question, unless the same one is open already: then a run that was resumed keeps its deadline and an
    /// answer that came meanwhile.
    fn open(&self, request: Request, now: DateTime<Utc>) -> io::Result<Request> {
        if let Some(open) = self.open_request()?
            && open.asks_the_same(&request)
            && open.deadline > now
        {
            return Ok(open);
        }
        if let Some(folder) = self.request.parent() {
            fs::create_dir_all(folder)?;
        }
        self.discard_response()?;
        let unique = request.digest().short(12);
        let temporary = write_beside(&self.request, &unique, &request)?;
        fs::rename(&temporary, &self.request)?;
        Ok(request)
    }

    /// Takes an answer away that does not count, or belongs to no open question, so that another one can be given.
    fn discard_response(&self) -> io::Result<()> {
        match fs::remove_file(&self.response) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Gives the answer to this question, if nobody has yet. True when this one counts. An answer to an earlier question,
    /// written while this one was opened, would stand in the way for ever: it is removed.
    fn respond_to(&self, request: &Request, response: &Response) -> io::Result<bool> {
        if self.respond(response)? {
            return Ok(true);
        }
        if self.response_to(request)?.is_some() {
            return Ok(false);
        }
        self.discard_response()?;
        self.respond(response)
    }

    /// Writes the answer, if there is none. True when this one stands there now.
    fn respond(&self, response: &Response) -> io::Result<bool> {
        let mark = Digest::of(format!("{}{:?}", std::process::id(), response).as_bytes());
        let temporary = write_beside(&self.response, &mark.short(12), response)?;
        // A hard link appears with its whole content or not at all, and never replaces a file.
        let linked = fs::hard_link(&temporary, &self.response);
        fs::remove_file(&temporary)?;
        match linked {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match limits::read_file(path, limits::APPROVAL_BYTES) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn write_beside(path: &Path, unique: &str, content: &impl Serialize) -> io::Result<PathBuf> {
    let temporary = path.with_extension(format!("{unique}.new"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(temporary)
}

/// Opens a question and waits for its answer: from another process, or from the terminal.
pub(super) async fn ask(
    run_dir: &Path,
    clock: &Clock,
    terminal: &Terminal,
    request: &ApprovalRequest,
) -> Result<Approval, OutsideError> {
    let failed = |e: io::Error| OutsideError::Failed(format!("the approval's files: {e}"));
    let Some(files) = Files::of(run_dir, &request.step) else {
        let text = format!("the step name {:?} cannot be a file name", request.step.as_str());
        return Err(OutsideError::Failed(text));
    };
    let now = clock.now();
    let timeout = TimeDelta::from_std(request.timeout).unwrap_or(TimeDelta::days(3650));
    let deadline = now + timeout;
    let signed_by = match &request.signed_by {
        Some(file) => {
            Some(std::path::absolute(file).map_err(failed)?.to_string_lossy().into_owned())
        }
        None => None,
    };
    let wanted = Request {
        run: request.run.clone(),
        plan: request.plan,
        step: request.step.clone(),
        text: request.text.clone(),
        deadline,
        signed_by,
        not: request.not.clone(),
    };
    let open = files.open(wanted, now).map_err(failed)?;
    let mut lines = terminal.ask(&question(&open, run_dir));
    loop {
        if let Some(response) = files.response_to(&open).map_err(failed)? {
            let approval = response.approval.ok_or(OutsideError::NoAnswer)?;
            match open.verified(approval).await {
                Ok(approval) => return Ok(approval),
                Err(Unverified::Unknown(error)) => return Err(error),
                Err(Unverified::Invalid(why)) => {
                    Terminal::show(&format!("An answer to {} does not count: {why}.", open.step));
                    files.discard_response().map_err(failed)?;
                }
            }
        }
        let now = clock.now();
        let response = if now >= open.deadline {
            Some(Response { request: open.digest(), at: now, approval: None })
        } else {
            let typed = next_line(&mut lines, clock).await;
            let typed = typed.filter(|_| open.signed_by.is_none());
            typed.and_then(|line| decision(&line)).map(|approval| Response {
                request: open.digest(),
                at: clock.now(),
                approval: Some(approval),
            })
        };
        if let Some(response) = response {
            // Whoever was first counts: the next look tells.
            files.respond_to(&open, &response).map_err(failed)?;
        }
    }
}

fn question(open: &Request, run_dir: &Path) -> String {
    if let Some(signers) = &open.signed_by {
        return format!(
            "\n{}: {}\nThe answer must be signed by one of {signers}{}: redrill approve {run} {} --sign-with KEY (or\n\
             redrill reject), for the run in {}, before {}.",
            open.step,
            open.text,
            if open.not.is_some() { ", not by the operator of this run" } else { "" },
            open.step,
            run_dir.display(),
            open.deadline.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            run = open.run,
        );
    }
    format!(
        "\n{}: {}\nType \"approve\" or \"reject\", with a comment if you like, or answer from another terminal\n\
         (redrill approve, or redrill reject, for the run in {}) before {}.",
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
    Some(Approval { approved, by: user(), identified_by, comment, proof: None })
}

fn user() -> String {
    super::this_user().unwrap_or_else(|| UNKNOWN_USER.to_owned())
}

/// An answer, for `redrill approve` and `redrill reject`.
#[derive(Clone, Debug)]
pub struct GivenAnswer<'a> {
    /// The decision.
    pub approved: bool,
    /// What is written with it.
    pub comment: Option<String>,
    /// Who answers, as the system knows them.
    pub by: &'a str,
    /// The key that signs it: a private key, or the public one of a key that an agent holds.
    pub key: Option<&'a Path>,
}

/// Answers the open question of a step of a run. A signature is verified before the answer is given.
///
/// # Errors
/// When the step asks nothing, the deadline has passed, or it has been answered; when it must be signed and is not, or
/// not by somebody who may answer; when the files cannot be used.
pub async fn answer_approval(
    run_dir: &Path,
    step: &StepId,
    given: GivenAnswer<'_>,
) -> crate::error::Result<()> {
    let mut approval = Approval {
        approved: given.approved,
        by: given.by.to_owned(),
        identified_by: "user of the command line".to_owned(),
        comment: given.comment,
        proof: None,
    };
    let request = open_request(run_dir, step)?;
    match (&request.signed_by, given.key) {
        (Some(_), None) => {
            return Err(Error::bad_input(format!("the answer to {step} must be signed")).help(
                "add --sign-with KEY: your private key, or the public one of a key in your agent",
            ));
        }
        (_, Some(key)) => {
            let text = signature::statement(&request, given.approved, approval.comment.as_deref());
            let signed = signature::sign(key, text);
            approval.proof = Some(signed.map_err(|e| Error::broken(format!("not signed: {e}")))?);
        }
        (None, None) => {}
    }
    // The run verifies it again; here it is so that whoever answers hears of a mistake.
    match request.verified(approval.clone()).await {
        Err(Unverified::Invalid(why)) => {
            Err(Error::bad_input(format!("the answer to {step} would not count: {why}")))
        }
        Err(Unverified::Unknown(error)) => Err(Error::broken(error.to_string())),
        Ok(_) => answer_at(run_dir, step, approval, Clock::system().now()),
    }
}

fn open_request(run_dir: &Path, step: &StepId) -> crate::error::Result<Request> {
    let failed = |e: io::Error| Error::broken(format!("the approval's files: {e}"));
    let nothing = || Error::bad_input(format!("the step {step} of this run asks for no approval"));
    let files = Files::of(run_dir, step).ok_or_else(nothing)?;
    files.open_request().map_err(failed)?.ok_or_else(nothing)
}

fn answer_at(
    run_dir: &Path,
    step: &StepId,
    approval: Approval,
    now: DateTime<Utc>,
) -> crate::error::Result<()> {
    let failed = |e: io::Error| Error::broken(format!("the approval's files: {e}"));
    let nothing = || Error::bad_input(format!("the step {step} of this run asks for no approval"));
    let request = open_request(run_dir, step)?;
    let files = Files::of(run_dir, step).ok_or_else(nothing)?;
    if let Some(given) = files.response_to(&request).map_err(failed)? {
        return Err(Error::bad_input(already(step, &given)));
    }
    if now >= request.deadline {
        return Err(Error::bad_input(late(step, request.deadline)));
    }
    let response = Response { request: request.digest(), at: now, approval: Some(approval) };
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

#[cfg(test)]
mod tests;
