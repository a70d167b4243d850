//! An etcd of one's own, made of a snapshot by etcd's own programs. It listens on sockets in its private folder, and on no port: on
//! loopback, every user of the machine could read what is in it.

mod answers;
mod process;

use super::{command, program};
use crate::outside::trial::{TrialEtcd, TrialHashes, TrialPrograms, TrialRequest, Tried};
use crate::outside::{Answer, CommandReply, CommandRequest, OutsideError, Secret};
use crate::time::Clock;
use answers::{
    asks_for_a_password, count_of, hashes_of, is_compacted, knows_bump_revision, last_word,
    of_the_machine, version_of,
};
use process::{Process, Start};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
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
    let etcd = find("etcd", path)?;
    let etcdctl = find("etcdctl", path)?;
    // From 3.5 on, etcdutl restores; etcdctl of 3.6 does not any more.
    let tool = find("etcdutl", path).unwrap_or_else(|_| etcdctl.clone());
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
        [&help.stdout, &help.stderr].iter().any(|text| knows_bump_revision(text));
    Ok(Box::new(trial))
}

/// Where a program is, seen from anywhere: it is run in the etcd's folder.
fn find(name: &str, path: Option<&str>) -> Result<PathBuf, OutsideError> {
    let found = program::find(name, path, None)?;
    std::path::absolute(&found)
        .map_err(|e| OutsideError::Failed(format!("{}: {e}", found.display())))
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
        command::run(&self.command(program, arguments, timeout)).await
    }

    fn command(&self, program: &Path, arguments: &[&str], timeout: Duration) -> CommandRequest {
        let program = program.to_string_lossy().into_owned();
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        CommandRequest {
            step: self.request.step.clone(),
            argv: std::iter::once(program).chain(arguments).collect(),
            // Without it, etcdctl of 3.3 speaks version 2.
            environment: BTreeMap::from([("ETCDCTL_API".to_owned(), Secret::new("3"))]),
            stdin: None,
            timeout,
            output_limit: OUTPUT,
            folder: Some(self.request.folder.path.clone().into()),
            hold: None,
            ends_with_us: false,
        }
    }

    /// What etcdctl answers, or complains of.
    async fn say(&self, endpoints: &str, words: &[&str]) -> Result<CommandReply, OutsideError> {
        let words = [&["--endpoints", endpoints, "--write-out", "json"], words].concat();
        self.run(&self.etcdctl, &words, ASKING).await
    }

    /// Asks with etcdctl.
    async fn ask(&self, endpoints: &str, words: &[&str]) -> Result<String, OutsideError> {
        let reply = self.say(endpoints, words).await?;
        if reply.status == Some(0) {
            return Ok(reply.stdout);
        }
        Err(OutsideError::Failed(format!("etcdctl: {}", last_word(&reply.stderr))))
    }

    fn endpoints(&self) -> String {
        let all: Vec<&str> = self.members.iter().map(|member| member.client.as_str()).collect();
        all.join(",")
    }

    /// `m1=unix://m1.peer:1,…`
    fn cluster(&self) -> String {
        let member = |member: &Member| format!("{}={}", member.name, member.peer);
        self.members.iter().map(member).collect::<Vec<_>>().join(",")
    }

    /// Names, folders and sockets of the members. The sockets are named without their folder: programs run in it, and paths of
    /// sockets are short (`sun_path` of <https://man7.org/linux/man-pages/man7/unix.7.html>). The address is the name of the file.
    fn place_members(&mut self) {
        let folder = Path::new(&self.request.folder.path);
        let member = |number: u32| {
            let name = format!("m{number}");
            Member {
                data: folder.join(&name),
                log: folder.join(format!("{name}.log")),
                client: format!("unix://{name}.client:1"),
                peer: format!("unix://{name}.peer:1"),
                process: None,
                name,
            }
        };
        self.members = (1..=self.request.members).map(member).collect();
    }

    async fn restored(&mut self) -> Result<Tried, OutsideError> {
        self.place_members();
        let copy = Path::new(&self.request.folder.path).join("snapshot.db");
        copied(&self.request, copy.clone()).await?;
        let (cluster, copy_path) = (self.cluster(), copy.to_string_lossy().into_owned());
        let forward = self.request.forward_with(&self.about).map(|by| by.to_string());
        for member in &self.members {
            let data = member.data.to_string_lossy();
            let mut words = vec![
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
            if let Some(by) = &forward {
                words.extend(["--bump-revision", by, "--mark-compacted"]);
            }
            // It holds a copy of the cluster, and may take long: it does not go on when this process is killed.
            let reply = command::run_with_us(&self.command(&self.tool, &words, RESTORING)).await?;
            if reply.status != Some(0) {
                let said = last_word(&reply.stderr);
                return match of_the_machine(reply.status.is_none(), &said) {
                    Some(why) => {
                        let (tool, name) = (&self.about.tool, &member.name);
                        Err(OutsideError::Failed(format!("{tool} did not restore {name}: {why}")))
                    }
                    None => Ok(Tried::Refused(said)),
                };
            }
        }
        std::fs::remove_file(copy)
            .map_err(|e| OutsideError::Failed(format!("the copy of the snapshot stays: {e}")))?;
        Ok(Tried::Done)
    }

    async fn started(&mut self) -> Result<Tried, OutsideError> {
        let cluster = self.cluster();
        let folder = Path::new(&self.request.folder.path);
        let quota = self.request.length.saturating_mul(2).max(8 << 30);
        for member in &mut self.members {
            member.process = Some(Process::start(&Start {
                etcd: &self.etcd,
                folder,
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
                if !self.answers(&self.members[index].client).await? {
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
        // A member that has answered may have ended since.
        match self.first_that_ended()? {
            Some(ended) => ended,
            None => Ok(Tried::Done),
        }
    }

    /// A read to which a majority has to agree; there need be no such key.
    async fn answers(&self, client: &str) -> Result<bool, OutsideError> {
        let words =
            ["--endpoints", client, "--command-timeout", "2s", "get", "redrill", "--keys-only"];
        match self.run(&self.etcdctl, &words, ASKING).await {
            Ok(reply) if reply.status == Some(0) => Ok(true),
            Ok(reply) if asks_for_a_password(&reply.stderr) => Err(OutsideError::Failed(
                "the restored etcd asks for a password: authentication is enabled in the snapshot"
                    .to_owned(),
            )),
            _ => Ok(false),
        }
    }

    /// What it means that a member has ended by itself.
    fn first_that_ended(&mut self) -> Result<Option<Result<Tried, OutsideError>>, OutsideError> {
        for member in &mut self.members {
            let Some(process) = &mut member.process else { continue };
            let Some(status) = process.ended()? else { continue };
            let said = process::last_error(&member.log);
            let name = &member.name;
            return Ok(Some(match of_the_machine(status.code().is_none(), &said) {
                Some(why) => Err(OutsideError::Failed(format!("{name} ended: {why}"))),
                None => Ok(Tried::Refused(format!("{name} ended: {said}"))),
            }));
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

    fn hash_kv(&mut self, revision: i64) -> Answer<'_, TrialHashes> {
        Box::pin(async move {
            let revision = revision.to_string();
            let words = ["endpoint", "hashkv", "--rev", revision.as_str()];
            let reply = self.say(&self.endpoints(), &words).await?;
            if reply.status != Some(0) && is_compacted(&reply.stderr) {
                return Ok(TrialHashes::Compacted);
            }
            if reply.status != Some(0) {
                let text = format!("etcdctl: {}", last_word(&reply.stderr));
                return Err(OutsideError::Failed(text));
            }
            let names = self.members.iter().map(|m| (m.client.as_str(), m.name.as_str()));
            hashes_of(&reply.stdout, &names.collect()).map(TrialHashes::All).ok_or_else(|| {
                OutsideError::Failed(
                    "etcdctl endpoint hashkv gives no number of every member".to_owned(),
                )
            })
        })
    }

    fn count<'a>(&'a mut self, key: Option<&'a str>, revision: i64) -> Answer<'a, u64> {
        Box::pin(async move {
            let revision = revision.to_string();
            let mut words = vec!["get", "--keys-only", "--rev", revision.as_str()];
            // etcdctl 3.4 has no --count-only; etcd counts all of them, also where it shows one.
            words.extend(match key {
                Some(key) => vec!["--", key],
                None => vec!["--limit", "1", "--prefix", ""],
            });
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
