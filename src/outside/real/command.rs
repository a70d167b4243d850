use super::{hold, program};
use crate::outside::{CommandReply, CommandRequest, Held, OutsideError, Secret};
use crate::time::HumanDuration;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

/// What a program inherits; everything else it must be given.
pub(super) const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// For programs that must not outlive this process, however that ends: a shell beside the program reads the pipe that this process
/// holds, and kills the group when it is closed.
pub(super) const WITH_US: &str =
    "exec 3<&0; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";

/// How long output is read after the program has ended, in case its children hold the pipes.
const AFTER_END: Duration = Duration::from_secs(1);

/// Runs a program in a process group of its own, which is killed as a whole when it takes too long or is given up.
pub(super) async fn run(request: &CommandRequest) -> Result<CommandReply, OutsideError> {
    let name = request.argv.first().map_or("", String::as_str).to_owned();
    let (child, held, _scratch) = spawn(request, &name)?;
    let reply = ends(child, request, &name).await?;
    Ok(CommandReply { held, ..reply })
}

/// The same, of a program without input, which is killed also when this process is.
pub(super) async fn run_with_us(request: &CommandRequest) -> Result<CommandReply, OutsideError> {
    let name = request.argv.first().map_or("", String::as_str).to_owned();
    // The shell would only say that it ended with 127.
    let path = request.environment.get("PATH").map(Secret::reveal);
    program::find(&name, path, request.folder.as_deref())?;
    let beside = ["sh", "-c", WITH_US, "redrill"].map(str::to_owned);
    let argv = beside.into_iter().chain(request.argv.iter().cloned()).collect();
    // Nothing is written to it, but it is a pipe that stays open.
    let request = CommandRequest { argv, stdin: Some(String::new()), ..request.clone() };
    let (mut child, _, _scratch) = spawn(&request, "sh")?;
    let pipe = child.stdin.take();
    let reply = ends(child, &request, &name).await;
    // What is left of the group is the shell that reads it.
    drop(pipe);
    reply
}

/// Waits until it ends.
async fn ends(
    mut child: Child,
    request: &CommandRequest,
    name: &str,
) -> Result<CommandReply, OutsideError> {
    let mut group = Group { leader: child.id() };
    let finished = tokio::time::timeout(request.timeout, finish(&mut child, request)).await;
    match finished {
        Ok(reply) => {
            let reply = reply.map_err(|e| OutsideError::Failed(format!("{name}: {e}")))?;
            group.leader = None;
            Ok(reply)
        }
        Err(_) => {
            drop(group);
            let limit = HumanDuration(request.timeout);
            let text =
                format!("{name} did not end within {limit}; it and its children were killed");
            Err(OutsideError::Unreachable(text))
        }
    }
}

/// The program, whether it is held, and the folder that is its own as long as it runs.
type Started = (Child, Option<Held>, Option<tempfile::TempDir>);

#[expect(clippy::disallowed_methods, reason = "a few variables are passed on to programs")]
fn spawn(request: &CommandRequest, name: &str) -> Result<Started, OutsideError> {
    let mut command = Command::new(name);
    command.args(request.argv.iter().skip(1)).env_clear().process_group(0).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if request.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    for inherited in INHERITED {
        if let Ok(value) = std::env::var(inherited) {
            command.env(inherited, value);
        }
    }
    if let Some(folder) = &request.folder {
        if !folder.is_dir() {
            // The system would say of the program that it is not there.
            let text =
                format!("{name} cannot be run in {}: there is no such folder", folder.display());
            return Err(OutsideError::Failed(text));
        }
        command.current_dir(folder);
    }
    for (name, value) in &request.environment {
        command.env(name, value.reveal());
    }
    let Some(holding) = &request.hold else {
        return Ok((command.spawn().map_err(|e| not_started(name, &e))?, None, None));
    };
    let home = std::env::var("HOME").ok();
    let started = hold::start(command, holding, home.as_deref())?;
    Ok((started.child, Some(started.held), Some(started.scratch)))
}

/// What it means that a program could not be started.
pub(super) fn not_started(name: &str, error: &std::io::Error) -> OutsideError {
    match error.kind() {
        // A name with a slash is not looked for in the PATH.
        std::io::ErrorKind::NotFound if name.contains('/') => {
            OutsideError::Failed(format!("there is no file {name:?} that can be run"))
        }
        std::io::ErrorKind::NotFound => {
            OutsideError::Failed(format!("there is no program {name:?} in the PATH"))
        }
        std::io::ErrorKind::PermissionDenied => {
            OutsideError::Denied(format!("{name:?} may not be run: {error}"))
        }
        _ => OutsideError::Failed(format!("{name:?} could not be started: {error}")),
    }
}

async fn finish(child: &mut Child, request: &CommandRequest) -> std::io::Result<CommandReply> {
    let limit = request.output_limit;
    let (mut stdout, mut stderr) = (Kept::new(limit), Kept::new(limit));
    let (out, err, input) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
    let status = {
        let talking = async {
            tokio::join!(
                feed(input, request.stdin.as_deref()),
                stdout.read_from(out),
                stderr.read_from(err)
            )
        };
        let mut talking = std::pin::pin!(talking);
        let mut done = false;
        let status = loop {
            tokio::select! {
                biased;
                _ = &mut talking, if !done => done = true,
                status = child.wait() => break status?,
            }
        };
        if !done {
            // Whatever was written before the end arrives at once; a child left in the background may hold on.
            let _held_open = tokio::time::timeout(AFTER_END, talking).await;
        }
        status
    };
    let truncated = stdout.cut || stderr.cut;
    let text = |kept: Kept| String::from_utf8_lossy(&kept.bytes).into_owned();
    Ok(CommandReply {
        status: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
        truncated,
        held: None,
    })
}

/// Programs may end without reading their input.
async fn feed(input: Option<ChildStdin>, text: Option<&str>) {
    if let (Some(mut input), Some(text)) = (input, text) {
        let _not_read = input.write_all(text.as_bytes()).await;
        let _not_read = input.shutdown().await;
    }
}

/// The beginning of a stream. The rest is read and dropped, so that the program is not held up.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, cut: false }
    }

    async fn read_from(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let keep = count.min(self.limit - self.bytes.len());
            self.bytes.extend_from_slice(&buffer[..keep]);
            self.cut |= keep < count;
        }
    }
}

/// Kills the group when dropped, unless its leader has ended by itself. A group can only be signalled by system calls
/// that are `unsafe` in Rust, or by the `kill` program.
pub(super) struct Group {
    pub(super) leader: Option<u32>,
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        let target = format!("-{leader}");
        let mut kill = std::process::Command::new("kill");
        kill.args(["-KILL", "--", &target]).stdin(Stdio::null());
        let quiet = |command: &mut std::process::Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).status()
        };
        if quiet(&mut kill).is_err() {
            // No such program: every POSIX shell has it built in.
            let mut shell = std::process::Command::new("sh");
            let _killed_alone = quiet(shell.args(["-c", "kill -KILL \"$1\"", "sh", &target]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::Secret;
    use std::collections::BTreeMap;

    fn request(argv: &[&str]) -> CommandRequest {
        CommandRequest {
            step: StepId::new("step"),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::new(),
            stdin: None,
            timeout: Duration::from_secs(10),
            output_limit: 1000,
            folder: None,
            hold: None,
            ends_with_us: false,
        }
    }

    #[tokio::test]
    async fn arguments_are_not_read_by_a_shell() {
        let reply = run(&request(&["printf", "%s|", "$HOME", "a b", "`id`"])).await.unwrap();
        assert_eq!((reply.status, reply.stdout.as_str()), (Some(0), "$HOME|a b|`id`|"));
        assert!(!reply.truncated);
    }

    #[tokio::test]
    async fn the_environment_holds_only_what_was_declared() {
        let mut request = request(&["env"]);
        request.environment.insert("TOKEN".into(), Secret::new("abc"));
        let reply = run(&request).await.unwrap();
        let names = reply.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0));
        for name in names {
            assert!(INHERITED.contains(&name) || name == "TOKEN", "{name}");
        }
        assert!(reply.stdout.contains("TOKEN=abc"));
    }

    #[tokio::test]
    async fn a_program_runs_in_the_folder_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let request =
            CommandRequest { folder: Some(folder.path().into()), ..request(&["pwd", "-P"]) };
        let said = run(&request).await.unwrap().stdout;
        assert_eq!(std::path::Path::new(said.trim()), folder.path().canonicalize().unwrap());
        let said = run_with_us(&request).await.unwrap().stdout;
        assert_eq!(std::path::Path::new(said.trim()), folder.path().canonicalize().unwrap());
        // Without it, nothing is said of the program.
        drop(folder);
        let error = run(&request).await.unwrap_err().to_string();
        assert!(error.contains("there is no such folder"), "{error}");
    }

    #[tokio::test]
    async fn regression_a_program_beside_a_folder_is_looked_for_in_that_folder() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("make-it");
        std::fs::write(&script, "#!/bin/sh\necho made\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let request =
            CommandRequest { folder: Some(folder.path().into()), ..request(&["./make-it"]) };
        assert_eq!(run_with_us(&request).await.unwrap().stdout, "made\n");
        let elsewhere = tempfile::tempdir().unwrap();
        let request = CommandRequest { folder: Some(elsewhere.path().into()), ..request };
        assert!(run_with_us(&request).await.is_err());
    }

    #[tokio::test]
    async fn input_is_given_and_output_is_cut_at_the_limit() {
        let mut request = request(&["cat"]);
        request.stdin = Some("x".repeat(300_000));
        let reply = run(&request).await.unwrap();
        assert_eq!((reply.stdout.len(), reply.truncated), (1000, true));
    }

    #[tokio::test]
    async fn how_a_program_ends_is_told_apart() {
        let status = |reply: CommandReply| reply.status;
        assert_eq!(status(run(&request(&["sh", "-c", "exit 3"])).await.unwrap()), Some(3));
        assert_eq!(status(run(&request(&["sh", "-c", "kill -9 $$"])).await.unwrap()), None);
        let missing = run(&request(&["redrill-no-such-program"])).await.unwrap_err();
        assert!(matches!(missing, OutsideError::Failed(text) if text.contains("no program")));
    }

    #[tokio::test]
    async fn a_program_that_ends_with_us_answers_as_any_other() {
        let reads = request(&["sh", "-c", "cat; echo out; echo err >&2; exit 3"]);
        let reply = run_with_us(&reads).await.unwrap();
        let said = (reply.status, reply.stdout.as_str(), reply.stderr.as_str());
        assert_eq!(said, (Some(3), "out\n", "err\n"));
        let missing = run_with_us(&request(&["redrill-no-such-program"])).await.unwrap_err();
        assert!(matches!(missing, OutsideError::Failed(text) if text.contains("no program")));
        let mut slow = request(&["sleep", "300"]);
        slow.timeout = Duration::from_millis(300);
        let error = run_with_us(&slow).await.unwrap_err();
        assert!(
            matches!(error, OutsideError::Unreachable(text) if text.starts_with("sleep did not end"))
        );
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > '{}'; wait", pid_file.display());
        let mut request = request(&["sh", "-c", &script]);
        request.timeout = Duration::from_secs(1);
        let error = run(&request).await.unwrap_err();
        assert!(matches!(error, OutsideError::Unreachable(text) if text.contains("killed")));
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..50 {
            if !is_alive() {
                return;
            }
            crate::time::Clock::system().sleep(Duration::from_millis(20)).await;
        }
        panic!("the grandchild is still alive");
    }

    #[tokio::test]
    async fn a_program_that_is_given_up_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("(sleep 2; touch '{}') & sleep 300", mark.display());
        let request = request(&["sh", "-c", &script]);
        let given_up = tokio::time::timeout(Duration::from_millis(500), run(&request)).await;
        assert!(given_up.is_err());
        crate::time::Clock::system().sleep(Duration::from_secs(3)).await;
        assert!(!mark.exists(), "the child went on");
    }

    #[tokio::test]
    async fn a_child_in_the_background_does_not_hold_up_the_answer() {
        let mut request = request(&["sh", "-c", "echo started; sleep 5 &"]);
        request.timeout = Duration::from_secs(4);
        assert_eq!(run(&request).await.unwrap().stdout, "started\n");
    }
}
