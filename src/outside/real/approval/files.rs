//! The two files of a question: the open question, and the one answer to it.

use super::request::Request;
use super::sts::SignedRequest;
use crate::ids::{Digest, StepId};
use crate::journal::{Approval, share_as_its_folder};
use crate::limits;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Questions, and answers that hold no secret: for all, as far as the umask allows.
const FOR_ALL: u32 = 0o666;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Response {
    pub(super) request: Digest,
    /// When (UTC).
    pub(super) at: DateTime<Utc>,
    /// `None` when the deadline passed.
    pub(super) approval: Option<Approval>,
    /// By which STS tells who answered. It is taken out as soon as it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<SignedRequest>,
}

/// The two files of a step.
pub(super) struct Files {
    request: PathBuf,
    pub(super) response: PathBuf,
}

impl Files {
    /// `None` when the step's name cannot be part of a file name: names come from the command line, too.
    pub(super) fn of(run_dir: &Path, step: &StepId) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = step.as_str();
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return None;
        }
        let folder = run_dir.join("approvals");
        let file = |kind: &str| folder.join(format!("{name}.{kind}.json"));
        Some(Self { request: file("request"), response: file("answer") })
    }

    /// Where both of them are.
    pub(super) fn folder(&self) -> &Path {
        self.request.parent().unwrap_or(&self.request)
    }

    pub(super) fn open_request(&self) -> io::Result<Option<Request>> {
        read(&self.request)
    }

    /// The answer to `request`, if it is there.
    pub(super) fn response_to(&self, request: &Request) -> io::Result<Option<Response>> {
        let response = read::<Response>(&self.response)?;
        Ok(response.filter(|response| response.request == request.digest()))
    }

    /// The question that stands here, when it asks the same: that of a process that has died, most of all.
    pub(super) fn standing(&self, wanted: &Request) -> io::Result<Option<Request>> {
        Ok(self.open_request()?.filter(|standing| standing.asks_the_same(wanted)))
    }

    /// What a person has said to a question before its deadline, and before the one that they were `told`.
    pub(super) fn said_in_time(
        &self,
        question: &Request,
        told: DateTime<Utc>,
    ) -> io::Result<Option<Response>> {
        let response = match self.response_to(question) {
            // It was left for another user, who went on before.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
            response => response?,
        };
        let until = question.deadline.min(told);
        Ok(response.filter(|said| said.approval.is_some() && said.at < until))
    }

    /// Opens a question, unless this very one is open already.
    pub(super) fn open(&self, request: Request) -> io::Result<Request> {
        if self.open_request()?.is_some_and(|open| open == request) {
            return Ok(request);
        }
        fs::create_dir_all(self.folder())?;
        self.discard_response()?;
        let unique = request.digest().short(12);
        let temporary = write_beside(&self.request, &unique, &request, FOR_ALL)?;
        fs::rename(&temporary, &self.request)?;
        Ok(request)
    }

    /// Takes an answer away that does not count, or belongs to no open question, so that another one can be given.
    pub(super) fn discard_response(&self) -> io::Result<()> {
        match fs::remove_file(&self.response) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Gives the answer to this question, if nobody has yet. True when this one counts. An answer to an earlier question,
    /// written while this one was opened, would stand in the way for ever: it is removed.
    pub(super) fn respond_to(&self, request: &Request, response: &Response) -> io::Result<bool> {
        if self.respond(response)? {
            return Ok(true);
        }
        if self.response_to(request)?.is_some() {
            return Ok(false);
        }
        self.discard_response()?;
        self.respond(response)
    }

    /// Takes the signed request out of the answer that it belongs to: from now on nobody can use it.
    pub(super) fn forget_signature(&self, response: &Response) -> io::Result<()> {
        if response.signed.is_none() {
            return Ok(());
        }
        let bare = Response { signed: None, ..response.clone() };
        let temporary = write_beside(&self.response, "answered", &bare, FOR_ALL)?;
        fs::rename(temporary, &self.response)
    }

    /// A file that only the user of the run can read, or, when that is another one, the group of the question's file.
    fn write_for_the_run_only(&self, unique: &str, response: &Response) -> io::Result<PathBuf> {
        let asks = fs::metadata(&self.request)?;
        let temporary = write_beside(&self.response, unique, response, 0o600)?;
        if fs::metadata(&temporary)?.uid() == asks.uid() {
            return Ok(temporary);
        }
        let shared = std::os::unix::fs::chown(&temporary, None, Some(asks.gid()))
            .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o640)));
        shared.map(|()| temporary.clone()).map_err(|e| {
            // What nobody may read is of no use.
            let _removed = fs::remove_file(&temporary);
            let text = format!(
                "the user of the run could not read the answer: be of the group of {} ({e})",
                self.request.display()
            );
            io::Error::new(e.kind(), text)
        })
    }

    /// Writes the answer, if there is none. True when this one stands there now.
    fn respond(&self, response: &Response) -> io::Result<bool> {
        let mark = Digest::of(format!("{}{:?}", std::process::id(), response).as_bytes());
        let temporary = match &response.signed {
            None => write_beside(&self.response, &mark.short(12), response, FOR_ALL)?,
            Some(_) => self.write_for_the_run_only(&mark.short(12), response)?,
        };
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

pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match limits::read_file(path, limits::APPROVAL_BYTES) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a file of this content holds.
///
/// # Errors
/// When nobody would read it.
pub(super) fn written(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(content)?;
    text.push(b'\n');
    if text.len() as u64 > limits::APPROVAL_BYTES {
        let most = limits::APPROVAL_BYTES;
        let why = format!("it would have {} bytes, and the most is {most}", text.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(text)
}

fn write_beside(
    path: &Path,
    unique: &str,
    content: &impl Serialize,
    mode: u32,
) -> io::Result<PathBuf> {
    let text = written(content)?;
    let temporary = path.with_extension(format!("{unique}.new"));
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(mode).open(&temporary)?;
    if let Some(folder) = path.parent().filter(|_| mode == FOR_ALL) {
        // Whatever the umask of the one who answers: the run must be able to read it.
        share_as_its_folder(&file, folder)?;
    }
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(temporary)
}
