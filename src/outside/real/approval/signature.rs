//! Signed answers: SSH signatures, made and verified by OpenSSH itself, whose rules for allowed signers people know.

use super::request::Request;
use super::signers::{self, Signer};
use crate::journal::ApprovalProof;
use crate::outside::real::command;
use crate::outside::{CommandReply, CommandRequest, OutsideError};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Keeps signatures that were made for something else from counting here.
const NAMESPACE: &str = "approval@redrill";

/// Why an answer does not count, or cannot be judged.
#[derive(Debug)]
pub(super) enum Unverified {
    /// It is not signed by somebody who may answer. Another answer may be.
    Invalid(String),
    /// Nobody can tell now, and perhaps in a while: STS does not answer.
    NotNow(String),
    /// Nobody can tell: no OpenSSH, no file of allowed signers.
    Unknown(OutsideError),
}

/// What is signed: everything that the decision is about.
pub(super) fn statement(request: &Request, approved: bool, comment: Option<&str>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "redrill approval 1\nrun: {}\nplan: {}\nstep: {}\nquestion: {}\ndeadline: {}\nanswer: {}\ncomment: {}\n",
        request.run,
        request.plan,
        request.step,
        quoted(&request.text),
        request.deadline.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        if approved { "approve" } else { "reject" },
        quoted(comment.unwrap_or_default()),
    )
}

/// Signs with a key file; with a public key, by the agent that holds the private one. A pass phrase is asked for at the
/// terminal.
///
/// # Errors
/// When `ssh-keygen` cannot be run, or cannot sign.
pub(super) fn sign(key: &Path, statement: String) -> io::Result<ApprovalProof> {
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(statement.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let signature = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || signature.is_empty() {
        return Err(io::Error::other(format!("ssh-keygen could not sign with {}", key.display())));
    }
    Ok(ApprovalProof { statement, signature })
}

/// Verifies that one of the allowed signers has signed a statement.
///
/// # Errors
/// See [`Unverified`].
pub(super) async fn verify(
    request: &Request,
    allowed: &str,
    proof: &ApprovalProof,
) -> Result<Signer, Unverified> {
    let unknown = |e: io::Error| unusable(allowed, &e);
    std::fs::File::open(allowed).map_err(unknown)?;
    let mut file = tempfile::NamedTempFile::new().map_err(unknown)?;
    file.write_all(proof.signature.as_bytes()).map_err(unknown)?;
    let signature = file.path().display().to_string();
    if principals_in(request, allowed, &signature).await?.is_empty() {
        let text = format!("it is signed by none of the allowed signers in {allowed}");
        return Err(Unverified::Invalid(text));
    }
    let Found { given, names } = all_principals(request, allowed, &signature).await?;
    let (mut principals, mut key, mut refusal) = (Vec::new(), None, String::new());
    for principal in given {
        let verify =
            ["-Y", "verify", "-n", NAMESPACE, "-I", &principal, "-s", &signature, "-f", allowed];
        let said = ssh_keygen(request, &verify, Some(proof.statement.clone())).await?;
        let text = format!("{}{}", said.stdout, said.stderr);
        if said.status == Some(0) {
            let shown = text.split_whitespace().find(|word| word.starts_with("SHA256:"));
            key = key.or_else(|| shown.map(str::to_owned));
            principals.push(principal);
        } else if refusal.is_empty() {
            refusal = format!("{principal} is not one of this answer: {}", text.trim());
        }
    }
    if principals.is_empty() {
        return Err(Unverified::Invalid(format!("the signature of {refusal}")));
    }
    Ok(Signer { principals, names, key: key.unwrap_or_else(|| "unknown key".to_owned()) })
}

/// What the lines of a file of allowed signers say of the key that signed.
#[derive(Default)]
struct Found {
    /// Principals of lines that are good today, in the order of the file.
    given: Vec<String>,
    /// Names of all lines.
    names: Vec<String>,
}

/// Asks OpenSSH line by line: of a whole file it tells only the first line that has the key.
async fn all_principals(
    request: &Request,
    allowed: &str,
    signature: &str,
) -> Result<Found, Unverified> {
    let mut found = Found::default();
    for line in signers::lines(allowed).map_err(|e| unusable(allowed, &e))? {
        for principal in principals_of(request, &line, signature).await? {
            add(&mut found.given, &principal);
            add(&mut found.names, &principal);
        }
        let Some(line) = signers::without_its_time(&line) else { continue };
        for principal in principals_of(request, &line, signature).await? {
            add(&mut found.names, &principal);
        }
    }
    found.names.retain(|name| !signers::is_pattern(name));
    Ok(found)
}

fn add(all: &mut Vec<String>, one: &str) {
    if !all.iter().any(|known| known == one) {
        all.push(one.to_owned());
    }
}

/// The principals that one line gives the key of a signature.
async fn principals_of(
    request: &Request,
    line: &str,
    signature: &str,
) -> Result<Vec<String>, Unverified> {
    let unknown = |e: io::Error| unusable("a line of the allowed signers", &e);
    let mut file = tempfile::NamedTempFile::new().map_err(unknown)?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(unknown)?;
    principals_in(request, &file.path().display().to_string(), signature).await
}

/// The principals of the first line of a file that has the key of a signature.
async fn principals_in(
    request: &Request,
    file: &str,
    signature: &str,
) -> Result<Vec<String>, Unverified> {
    let find = ["-Y", "find-principals", "-s", signature, "-f", file];
    let reply = ssh_keygen(request, &find, None).await?;
    if reply.status != Some(0) {
        return Ok(Vec::new());
    }
    let principals = reply.stdout.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(principals.map(str::to_owned).collect())
}

fn unusable(allowed: &str, error: &io::Error) -> Unverified {
    Unverified::Unknown(OutsideError::Failed(format!("{allowed}: {error}")))
}

async fn ssh_keygen(
    request: &Request,
    arguments: &[&str],
    stdin: Option<String>,
) -> Result<CommandReply, Unverified> {
    let argv = std::iter::once(&"ssh-keygen").chain(arguments).map(|word| (*word).to_owned());
    let command = CommandRequest {
        step: request.step.clone(),
        argv: argv.collect(),
        environment: BTreeMap::new(),
        stdin,
        timeout: Duration::from_secs(30),
        output_limit: 16 * 1024,
        folder: None,
        hold: None,
        ends_with_us: false,
    };
    command::run(&command).await.map_err(Unverified::Unknown)
}
