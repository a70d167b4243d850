//! An etcd of one's own on loopback, made of a snapshot by etcd's own programs.

mod answers;
mod process;

use super::{command, program};
use crate::outside::trial::{MemberHash, TrialEtcd, TrialPrograms, TrialRequest, Tried};
use crate::outside::{Answer, CommandReply, CommandRequest, OutsideError, Secret};
use crate::time::Clock;
use answers::{count_of, hashes_of, last_word, version_of};
use process::{Process, Start};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program of etcd may take that only asks.
const ASKING: Duration = Duration::from_secs(60);
/// How long restoring may take; the step's own limit is shorter.
const RESTORING: Duration = Duration::from_secs(24 * 60 * 60);
/// How often members are looked at until they answer.
const PAUSE: Duration = Duration::from_millis(250);
/// How much of what a program says is kept.
const OUTPUT: usize = 64 << 10;

/// Finds the programs. Nothing is started but what asks them for their versions.
pub(super) async fn open(
    request: &TrialRequest,
    clock: &Clock,
) -> Result<Box<dyn TrialEtcd>, OutsideError> {
    let path = request.programs.as_deref();
    let etcd = program::find("etcd", path)?;
    let etcdctl = program::find("etcdctl", path)?;
    // From 3.5 on, etcdutl restores; etcdctl of 3.6 does not any more.
    let tool = program::find("etcdutl", path).unwrap_or_else(|_| etcdctl.clone());
    let mut trial = Trial {
        request: request.clone(),
        clock: clock.clone(),
        about: TrialPrograms {
            version: String::new(),
            tool: file_name(&tool),
            knows_bump_revision: false,
        },
        etcd,
        etcdctl,
        tool,
        members: Vec::new(),
    };
    let version = trial.run(&trial.etcd, &["--version"], ASKING).await?;
    trial.about.version = version_of(&version.stdout).ok_or_else(|| {
        OutsideError::Failed(format!("{} does not say its version", trial.etcd.display()))
    })?;
    let help = trial.run(&trial.tool, &["snapshot", "restore", "--help"], ASKING).await?;
    if help.status != Some(0) {
        let text = format!("{} does not run: {}", trial.tool.display(), last_word(&help.stderr));
        return Err(OutsideError::Failed(text));
    }
    trial.about.knows_bump_revision =
        [&help.stdout, &help.stderr].iter().any(|text| text.contains("--bump-revision"));
    Ok(Box::new(trial))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

struct Trial {
    request: TrialRequest,
    clock: Clock,
    about: TrialPrograms,
    etcd: PathBuf,
    etcdctl: PathBuf,
    tool: PathBuf,
    members: Vec<Member>,
}

struct Member {
    name: String,
    data: PathBuf,
    log: PathBuf,
    /// The URL at which clients ask it.
    client: String,
    /// The URL at which the other members find it.
    peer: String,
    process: Option<Process>,
}

impl Trial {
    async fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<CommandReply, OutsideError> {
        let program = program.to_string_lossy().into_owned();
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        command::run(&CommandRequest {
            step: self.request.step.clone(),
            argv: std::iter::once(program).chain(arguments).collect(),
            // Without it, etcdctl of 3.3 speaks version 2.
            environment: BTreeMap::from([("ETCDCTL_API".to_owned(), Secret::new("3"))]),
            stdin: None,
            timeout,
            output_limit: OUTPUT,
            hold: None,
        })
        .await
    }

    /// Asks with etcdctl.
    async fn ask(&self, endpoints: &str, words: &[&str]) -> Result<String, OutsideError> {
        let words = [&["--endpoints", endpoints, "--write-out", "json"], words].concat();
        let reply = self.run(&self.etcdctl, &words, ASKING).await?;
        if reply.status == Some(0) {
            return Ok(reply.stdout);
        }
        Err(OutsideError::Failed(format!("etcdctl: {}", last_word(&reply.stderr))))
    }

    fn endpoints(&self) -> String {
        let all: Vec<&str> = self.members.iter().map(|member| member.client.as_str()).collect();
        all.join(",")
    }

    /// `m1=http://127.0.0.1:40001,…`
    fn cluster(&self) -> String {
        let member = |member: &Member| format!("{}={}", member.name, member.peer);
        self.members.iter().map(member).collect::<Vec<_>>().join(",")
    }

    /// Names, folders and free ports of the members. Another process may take a port before etcd does: that is told then.
    fn place_members(&mut self) -> Result<(), OutsideError> {
        let failed =
            |e: io::Error| OutsideError::Failed(format!("no port is free on loopback: {e}"));
        let mut held = Vec::new();
        let mut url = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            held.push(listener);
            Ok::<_, OutsideError>(format!("http://{address}"))
        };
        let folder = Path::new(&self.request.folder.path);
        let mut members = Vec::new();
        for number in 1..=self.request.members {
            let name = format!("m{number}");
            members.push(Member {
                data: folder.join(&name),
                log: folder.join(format!("{name}.log")),
                client: url()?,
                peer: url()?,
                process: None,
                name,
            });
        }
        self.members = members;
        Ok(())
    }

    async fn restored(&mut self) -> Result<Tried, OutsideError> {
        self.place_members()?;
        let copy = Path::new(&self.request.folder.path).join("snapshot.db");
        copied(&self.request, copy.clone()).await?;
        let (cluster, copy_path) = (self.cluster(), copy.to_string_lossy().into_owned());
        for member in &self.members {
            let data = member.data.to_string_lossy();
            let words = [
                "snapshot",
                "restore",
                &copy_path,
                "--data-dir",
                &data,
                "--name",
                &member.name,
                "--initial-cluster",
                &cluster,
                "--initial-advertise-peer-urls",
                &member.peer,
                "--initial-cluster-token",
                "redrill-trial",
            ];
            let reply = self.run(&self.tool, &words, RESTORING).await?;
            if reply.status != Some(0) {
                return Ok(Tried::Refused(last_word(&reply.stderr)));
            }
        }
        std::fs::remove_file(copy)
            .map_err(|e| OutsideError::Failed(format!("the copy of the snapshot stays: {e}")))?;
        Ok(Tried::Done)
    }

    async fn started(&mut self) -> Result<Tried, OutsideError> {
        let cluster = self.cluster();
        let quota = self.request.length.saturating_mul(2).max(8 << 30);
        for member in &mut self.members {
            member.process = Some(Process::start(&Start {
                etcd: &self.etcd,
                name: &member.name,
                data: &member.data,
                log: &member.log,
                client: &member.client,
                peer: &member.peer,
                cluster: &cluster,
                quota,
            })?);
        }
        let began = self.clock.elapsed();
        let mut waiting: Vec<usize> = (0..self.members.len()).collect();
        while !waiting.is_empty() {
            if let Some(ended) = self.first_that_ended()? {
                return ended;
            }
            let mut still = Vec::new();
            for index in waiting {
                if !self.answers(&self.members[index].client).await {
                    still.push(index);
                }
            }
            waiting = still;
            if waiting.is_empty() {
                break;
            }
            if self.clock.elapsed().saturating_sub(began) > self.request.ready_within {
                let names: Vec<&str> =
                    waiting.iter().map(|index| self.members[*index].name.as_str()).collect();
                let log = process::last_error(&self.members[waiting[0]].log);
                let within = crate::time::HumanDuration(self.request.ready_within);
                return Ok(Tried::Refused(format!(
                    "{} did not answer within {within}: {log}",
                    names.join(", ")
                )));
            }
            self.clock.sleep(PAUSE).await;
        }
        // What has answered may have been something else at that port.
        match self.first_that_ended()? {
            Some(ended) => ended,
            None => Ok(Tried::Done),
        }
    }

    /// A read to which a majority has to agree; there need be no such key.
    async fn answers(&self, client: &str) -> bool {
        let words =
            ["--endpoints", client, "--command-timeout", "2s", "get", "redrill", "--keys-only"];
        let reply = self.run(&self.etcdctl, &words, ASKING).await;
        reply.is_ok_and(|reply| reply.status == Some(0))
    }

    /// What it means that a member has ended by itself.
    fn first_that_ended(&mut self) -> Result<Option<Result<Tried, OutsideError>>, OutsideError> {
        for member in &mut self.members {
            let Some(process) = &mut member.process else { continue };
            if !process.has_ended()? {
                continue;
            }
            let said = process::last_error(&member.log);
            let name = &member.name;
            if said.contains("address already in use") {
                let text = format!("{name} did not start: another program took its port: {said}");
                return Ok(Some(Err(OutsideError::Unreachable(text))));
            }
            return Ok(Some(Ok(Tried::Refused(format!("{name} ended: {said}")))));
        }
        Ok(None)
    }
}

impl TrialEtcd for Trial {
    fn programs(&self) -> &TrialPrograms {
        &self.about
    }

    fn restore(&mut self) -> Answer<'_, Tried> {
        Box::pin(self.restored())
    }

    fn start(&mut self) -> Answer<'_, Tried> {
        Box::pin(self.started())
    }

    fn hash_kv(&mut self, revision: i64) -> Answer<'_, Vec<MemberHash>> {
        Box::pin(async move {
            let revision = revision.to_string();
            let words = ["endpoint", "hashkv", "--rev", revision.as_str()];
            let said = self.ask(&self.endpoints(), &words).await?;
            let names = self.members.iter().map(|m| (m.client.as_str(), m.name.as_str()));
            hashes_of(&said, &names.collect()).ok_or_else(|| {
                OutsideError::Failed(
                    "etcdctl endpoint hashkv gives no number of every member".to_owned(),
                )
            })
        })
    }

    fn count<'a>(&'a mut self, key: Option<&'a str>) -> Answer<'a, u64> {
        Box::pin(async move {
            // etcdctl 3.4 has no --count-only; etcd counts all of them, also where it shows one.
            let words = match key {
                Some(key) => vec!["get", "--keys-only", "--", key],
                None => vec!["get", "--keys-only", "--limit", "1", "--prefix", ""],
            };
            let said = self.ask(&self.endpoints(), &words).await?;
            count_of(&said)
                .ok_or_else(|| OutsideError::Failed("etcdctl get gives no count".to_owned()))
        })
    }

    fn stop(&mut self) -> Answer<'_, ()> {
        Box::pin(async move {
            for process in self.members.iter_mut().filter_map(|member| member.process.take()) {
                process.stop().await;
            }
            Ok(())
        })
    }
}

/// A private copy for etcd's programs, which want a path. On a thread of its own: it may be gigabytes.
async fn copied(request: &TrialRequest, to: PathBuf) -> Result<(), OutsideError> {
    let snapshot = request.snapshot.clone();
    let copy = move || -> io::Result<u64> {
        let mut from: &File = &snapshot;
        from.seek(SeekFrom::Start(0))?;
        let mut into = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut from, &mut into)
    };
    let failed = |why: String| {
        OutsideError::Failed(format!("the snapshot cannot be copied for etcd's programs: {why}"))
    };
    let bytes = tokio::task::spawn_blocking(copy).await.map_err(|e| failed(e.to_string()))?;
    match bytes.map_err(|e| failed(e.to_string()))? {
        bytes if bytes == request.length => Ok(()),
        bytes => Err(failed(format!("{bytes} of {} bytes were copied", request.length))),
    }
}
