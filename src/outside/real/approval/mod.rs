//! Approvals by files, so that another terminal, or another person on the same machine, can answer.
//!
//! `approvals/<step>.request.json` is the open question, `approvals/<step>.answer.json` the one answer to it: written
//! once, by whoever comes first, never replaced. When the deadline passes, the run itself takes that place, so that
//! nobody can believe to have answered in time.

use super::terminal::Terminal;
use crate::error::Error;
use crate::ids::{Digest, StepId};
use crate::journal::Approval;
use crate::limits;
use crate::outside::{ApprovalRequest, OutsideError};
use crate::time::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
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
    step: StepId,
    text: String,
    /// Until when it can be answered (UTC).
    deadline: DateTime<Utc>,
}

impl Request {
    /// Binds an answer to this question, so that an old answer cannot count for a new one.
    fn digest(&self) -> Digest {
        Digest::of(format!("{}\0{}\0{}", self.step, self.text, self.deadline).as_bytes())
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
            && open.text == request.text
            && open.deadline > now
        {
            return Ok(open);
        }
        if let Some(folder) = self.request.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(&self.response) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let unique = request.digest().short(12);
        let temporary = write_beside(&self.request, &unique, &request)?;
        fs::rename(&temporary, &self.request)?;
        Ok(request)
    }

    /// Gives the answer, if nobody has yet. True when this one counts.
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
    let wanted = Request { step: request.step.clone(), text: request.text.clone(), deadline };
    let open = files.open(wanted, now).map_err(failed)?;
    let mut lines = terminal.ask(&question(&open, run_dir));
    loop {
        if let Some(response) = files.response_to(&open).map_err(failed)? {
            return response.approval.ok_or(OutsideError::NoAnswer);
        }
        let now = clock.now();
        let response = if now >= open.deadline {
            Some(Response { request: open.digest(), at: now, approval: None })
        } else {
            let typed = next_line(&mut lines, clock).await;
            typed.and_then(|line| decision(&line)).map(|approval| Response {
                request: open.digest(),
                at: clock.now(),
                approval: Some(approval),
            })
        };
        if let Some(response) = response {
            // Whoever was first counts: the next look tells.
            files.respond(&response).map_err(failed)?;
        }
    }
}

fn question(open: &Request, run_dir: &Path) -> String {
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
    Some(Approval { approved, by: user(), identified_by: "terminal user".to_owned(), comment })
}

#[expect(
    clippy::disallowed_methods,
    reason = "who sits at the terminal is known to the system only"
)]
fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Answers the open question of a step of a run, for `redrill approve` and `redrill reject`. `by` is who answers, as
/// the system knows them.
///
/// # Errors
/// When the step asks nothing, the deadline has passed, or it has been answered; when the files cannot be used.
pub fn answer_approval(
    run_dir: &Path,
    step: &StepId,
    approved: bool,
    comment: Option<String>,
    by: &str,
) -> crate::error::Result<()> {
    let approval = Approval {
        approved,
        by: by.to_owned(),
        identified_by: "user of the command line".to_owned(),
        comment,
    };
    answer_at(run_dir, step, approval, Clock::system().now())
}

fn answer_at(
    run_dir: &Path,
    step: &StepId,
    approval: Approval,
    now: DateTime<Utc>,
) -> crate::error::Result<()> {
    let failed = |e: io::Error| Error::broken(format!("the approval's files: {e}"));
    let nothing = || Error::bad_input(format!("the step {step} of this run asks for no approval"));
    let files = Files::of(run_dir, step).ok_or_else(nothing)?;
    let request = files.open_request().map_err(failed)?.ok_or_else(nothing)?;
    if let Some(given) = files.response_to(&request).map_err(failed)? {
        return Err(Error::bad_input(already(step, &given)));
    }
    if now >= request.deadline {
        return Err(Error::bad_input(late(step, request.deadline)));
    }
    let response = Response { request: request.digest(), at: now, approval: Some(approval) };
    if files.respond(&response).map_err(failed)? {
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
