//! Signed answers: SSH signatures, made and verified by OpenSSH itself, whose rules for allowed signers people know.

use super::request::Request;
use crate::journal::ApprovalProof;
use crate::outside::real::command;
use crate::outside::{CommandRequest, OutsideError};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Keeps signatures that were made for something else from counting here.
const NAMESPACE: &str = "approval@redrill";

/// Who signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// As the file of allowed signers calls them.
    pub(super) principal: String,
    /// The key's fingerprint.
    pub(super) key: String,
}

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
    let unknown =
        |e: io::Error| Unverified::Unknown(OutsideError::Failed(format!("{allowed}: {e}")));
    std::fs::File::open(allowed).map_err(unknown)?;
    let mut file = tempfile::NamedTempFile::new().map_err(unknown)?;
    file.write_all(proof.signature.as_bytes()).map_err(unknown)?;
    let signature = file.path().display().to_string();
    let find = ["-Y", "find-principals", "-s", &signature, "-f", allowed];
    let (found, principals) = ssh_keygen(request, &find, None).await?;
    // The first line; a key may stand for several names, and any of them has its consent.
    let principal = principals.lines().next().unwrap_or_default().trim().to_owned();
    if !found || principal.is_empty() {
        let text = format!("it is signed by none of the allowed signers in {allowed}");
        return Err(Unverified::Invalid(text));
    }
    let verify =
        ["-Y", "verify", "-n", NAMESPACE, "-I", &principal, "-s", &signature, "-f", allowed];
    let (valid, said) = ssh_keygen(request, &verify, Some(proof.statement.clone())).await?;
    if !valid {
        let text =
            format!("the signature of {principal} is not one of this answer: {}", said.trim());
        return Err(Unverified::Invalid(text));
    }
    let key = said.split_whitespace().find(|word| word.starts_with("SHA256:"));
    Ok(Signer { principal, key: key.unwrap_or("unknown key").to_owned() })
}

/// Whether it succeeded, and what it said.
async fn ssh_keygen(
    request: &Request,
    arguments: &[&str],
    stdin: Option<String>,
) -> Result<(bool, String), Unverified> {
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
    let reply = command::run(&command).await.map_err(Unverified::Unknown)?;
    Ok((reply.status == Some(0), format!("{}{}", reply.stdout, reply.stderr)))
}
