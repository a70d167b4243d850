//! A member that runs.

use super::super::command::{Group, INHERITED, WITH_US, not_started};
use super::answers::last_error_in;
use crate::outside::OutsideError;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How long a member may take to end once it is asked to.
const ENDING: Duration = Duration::from_secs(10);

/// As much of the end of a log as is looked at.
const LOG_BYTES: u64 = 256 << 10;

/// What a member is started with.
pub(super) struct Start<'a> {
    pub(super) etcd: &'a Path,
    /// Where it runs: its sockets lie there.
    pub(super) folder: &'a Path,
    pub(super) name: &'a str,
    pub(super) data: &'a Path,
    pub(super) log: &'a Path,
    pub(super) client: &'a str,
    pub(super) peer: &'a str,
    pub(super) cluster: &'a str,
    /// Bytes that its database may have.
    pub(super) quota: u64,
}

/// A member that runs. It is killed when this is dropped.
pub(super) struct Process {
    /// Dropped first: as long as the child was not waited for, its number is nobody else's.
    group: Group,
    /// Held apart from the child, which would close it while it is waited for: then the shell beside it would kill it.
    pipe: Option<ChildStdin>,
    child: Child,
}

impl Process {
    #[expect(clippy::disallowed_methods, reason = "a few variables are passed on to programs")]
    pub(super) fn start(start: &Start<'_>) -> Result<Self, OutsideError> {
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(start.log);
        let log = log.and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) =
            log.map_err(|e| OutsideError::Failed(format!("the log of a member: {e}")))?;
        let mut command = Command::new("sh");
        command.args(["-c", WITH_US, "redrill"]).arg(start.etcd);
        command.args(["--name", start.name, "--data-dir"]).arg(start.data);
        command.args([
            "--listen-client-urls",
            start.client,
            "--advertise-client-urls",
            start.client,
        ]);
        command.args([
            "--listen-peer-urls",
            start.peer,
            "--initial-advertise-peer-urls",
            start.peer,
        ]);
        command.args([
            "--initial-cluster",
            start.cluster,
            "--initial-cluster-token",
            "redrill-trial",
        ]);
        command.args(["--quota-backend-bytes", &start.quota.to_string(), "--logger", "zap"]);
        command.current_dir(start.folder).env_clear().process_group(0).kill_on_drop(true);
        for inherited in INHERITED {
            if let Ok(value) = std::env::var(inherited) {
                command.env(inherited, value);
            }
        }
        command.stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut child = command.spawn().map_err(|e| not_started("sh", &e))?;
        Ok(Self { group: Group { leader: child.id() }, pipe: child.stdin.take(), child })
    }

    /// How it has ended without being asked to; `None` while it runs.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, OutsideError> {
        let ended = self.child.try_wait();
        ended.map_err(|e| OutsideError::Failed(format!("a member of etcd: {e}")))
    }

    /// Asks it to end, and waits for that; then it is killed.
    pub(super) async fn stop(mut self) {
        if let Some(leader) = self.child.id() {
            let target = leader.to_string();
            let asked = Command::new("kill").args(["-TERM", &target]).status().await;
            if asked.is_ok_and(|status| status.success()) {
                let _killed_below = tokio::time::timeout(ENDING, self.child.wait()).await;
            }
        }
        // The shell beside it ends with its pipe; whatever is left of the group is killed.
        drop(self.group);
        drop(self.pipe);
        let _was_killed = tokio::time::timeout(ENDING, self.child.wait()).await;
    }
}

/// Why a member gave up, by the end of its log.
pub(super) fn last_error(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = OpenOptions::new().read(true).open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut end = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    match read() {
        Ok(bytes) => last_error_in(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("its log cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member that is a shell script.
    fn member(folder: &Path, script: &str) -> Process {
        let etcd = folder.join("etcd");
        // Another process writes it: a file that this one has open for writing cannot be run by anybody.
        let mut writing = std::process::Command::new("sh");
        writing.args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\"; chmod 755 \"$2\"",
            "sh",
            script,
        ]);
        assert!(writing.arg(&etcd).status().unwrap().success());
        let url = "unix://m1:1";
        Process::start(&Start {
            etcd: &etcd,
            folder,
            name: "m1",
            data: folder,
            log: &folder.join("log"),
            client: url,
            peer: url,
            cluster: "m1=unix://m1:1",
            quota: 1,
        })
        .unwrap()
    }

    fn is_running(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn pid_in(file: &Path) -> String {
        for _ in 0..500 {
            if let Ok(pid) = std::fs::read_to_string(file)
                && pid.ends_with('\n')
            {
                return pid.trim().to_owned();
            }
            crate::time::Clock::system().sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not start");
    }

    async fn ends(pid: &str) -> bool {
        for _ in 0..500 {
            if !is_running(pid) {
                return true;
            }
            crate::time::Clock::system().sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn a_member_ends_when_it_is_asked_when_it_is_dropped_and_when_the_pipe_is_closed() {
        for way in ["asked", "dropped", "pipe"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            let script = format!("echo $$ > {}; exec tail -f /dev/null", file.display());
            let mut process = member(folder.path(), &script);
            let pid = pid_in(&file).await;
            assert!(is_running(&pid) && process.ended().unwrap().is_none());
            match way {
                "asked" => process.stop().await,
                "dropped" => drop(process),
                _ => {
                    // As when this process is killed, and closes nothing by itself.
                    drop(process.pipe.take());
                    assert!(ends(&pid).await, "{way}");
                    assert!(process.child.wait().await.is_ok());
                }
            }
            assert!(ends(&pid).await, "{way}");
        }
    }

    #[tokio::test]
    async fn a_member_that_gives_up_is_noticed_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let mut process =
            member(folder.path(), "echo '{\"level\":\"fatal\",\"msg\":\"no\"}' >&2; exit 1");
        process.child.wait().await.unwrap();
        assert_eq!(process.ended().unwrap().unwrap().code(), Some(1));
        assert_eq!(last_error(&folder.path().join("log")), "no");
    }

    #[tokio::test]
    async fn regression_a_member_that_was_killed_is_told_from_one_that_gave_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = member(folder.path(), "kill -KILL $$");
        process.child.wait().await.unwrap();
        assert_eq!(process.ended().unwrap().unwrap().code(), None);
    }

    #[tokio::test]
    async fn regression_a_member_runs_in_its_private_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = member(folder.path(), "pwd -P > here");
        process.child.wait().await.unwrap();
        let here = std::fs::read_to_string(folder.path().join("here")).unwrap();
        assert_eq!(Path::new(here.trim()), folder.path().canonicalize().unwrap());
    }
}
