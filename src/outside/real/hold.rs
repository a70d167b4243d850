//! Programs that may not write: held to their word by Landlock, where the kernel offers it.
//!
//! Landlock lets a thread give up rights for itself and all processes that it starts, without privileges
//! (<https://docs.kernel.org/userspace-api/landlock.html>). A thread of its own gives them up and starts the program; this process
//! keeps them. What Landlock does not know is not held: owners, modes and times of files, network, and calls to devices.

use super::command::not_started;
use crate::outside::{Held, Holding, OutsideError};
use std::path::{Path, PathBuf};
use tokio::process::{Child, Command};

/// A program that was started, whether it is held, and the folder that it may write to as long as it runs.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) held: Held,
    /// Removed when dropped.
    pub(super) scratch: tempfile::TempDir,
}

/// Files that are no files: what is written there changes nothing.
const HARMLESS: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"];

/// Starts a program that can write to nothing but a temporary folder of its own (`TMPDIR`) and what it may.
///
/// # Errors
/// When it cannot be started, or must be held and cannot be.
pub(super) fn start(
    mut command: Command,
    holding: &Holding,
    home: Option<&str>,
) -> Result<Started, OutsideError> {
    let failed = |e: std::io::Error| OutsideError::Failed(format!("no temporary folder: {e}"));
    let scratch = tempfile::tempdir().map_err(failed)?;
    if !command.as_std().get_envs().any(|(name, _)| name == "TMPDIR") {
        command.env("TMPDIR", scratch.path());
    }
    let mut may_write = vec![scratch.path().to_owned()];
    may_write.extend(holding.may_write.iter().map(|path| expanded(path, home)));
    let harmless = HARMLESS.iter().map(PathBuf::from).filter(|path| path.exists());
    may_write.extend(harmless);
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let runtime = tokio::runtime::Handle::current();
    let start = move || {
        let _entered = runtime.enter();
        let held = match restrict_this_thread(&may_write)? {
            Held::Not(why) if holding.required => {
                let text =
                    format!("{name} is not run: it could not be held to effect: none: {why}");
                return Err(OutsideError::Failed(text));
            }
            held => held,
        };
        let child = command.spawn().map_err(|e| not_started(&name, &e))?;
        Ok((child, held))
    };
    // Only this thread, which ends here, gives up its rights, and with it what it starts.
    let started = std::thread::scope(|scope| scope.spawn(start).join());
    let gone = |_| OutsideError::Failed("the program could not be started".to_owned());
    let (child, held) = started.map_err(gone)??;
    Ok(Started { child, held, scratch })
}

/// A path, with the home folder for `~/` at its beginning.
fn expanded(path: &str, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// From now on this thread, and what it starts, writes only where it may.
///
/// # Errors
/// When a path that may be written to is not there.
#[cfg(target_os = "linux")]
fn restrict_this_thread(may_write: &[PathBuf]) -> Result<Held, OutsideError> {
    use landlock::{
        ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
        RulesetCreatedAttr, RulesetStatus,
    };
    // The first version that knows truncate(2): without it a program could empty files.
    let writing = AccessFs::from_write(ABI::V3);
    let handled = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(writing)
        .and_then(Ruleset::create);
    let mut rules = match handled {
        Ok(rules) => rules.set_compatibility(CompatLevel::BestEffort),
        Err(e) => {
            return Ok(Held::Not(format!(
                "this kernel does not offer Landlock with truncate ({e})"
            )));
        }
    };
    for path in may_write {
        let failed =
            |why: String| OutsideError::Failed(format!("may_write: {}: {why}", path.display()));
        let open = PathFd::new(path).map_err(|e| failed(e.to_string()))?;
        // Of a file, only writing and truncating are rights.
        let rights = if path.is_dir() { writing } else { writing & AccessFs::from_file(ABI::V3) };
        rules =
            rules.add_rule(PathBeneath::new(open, rights)).map_err(|e| failed(e.to_string()))?;
    }
    match rules.restrict_self() {
        Ok(status) if status.ruleset == RulesetStatus::FullyEnforced => {
            Ok(Held::By("Landlock".to_owned()))
        }
        Ok(_) => Ok(Held::Not("Landlock is only partly enforced".to_owned())),
        Err(e) => Ok(Held::Not(format!("Landlock cannot be used: {e}"))),
    }
}

#[cfg(not(target_os = "linux"))]
fn restrict_this_thread(_may_write: &[PathBuf]) -> Result<Held, OutsideError> {
    Ok(Held::Not("only Linux has Landlock".to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::ids::StepId;
    use crate::outside::real::command::run;
    use crate::outside::{CommandReply, CommandRequest, Held, Holding, OutsideError};
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// Runs a shell script that must not write; with what it may write to.
    async fn script(
        text: &str,
        may_write: &[&str],
        required: bool,
    ) -> Result<CommandReply, OutsideError> {
        let may_write = may_write.iter().map(|&path| path.to_owned()).collect();
        let request = CommandRequest {
            step: StepId::new("step"),
            argv: ["sh", "-c", text].map(str::to_owned).to_vec(),
            environment: BTreeMap::new(),
            stdin: None,
            timeout: Duration::from_secs(30),
            output_limit: 4000,
            folder: None,
            hold: Some(Holding { required, may_write }),
            ends_with_us: false,
        };
        run(&request).await
    }

    /// Whether this kernel can; when it cannot, the tests look that this is said, and that nothing that must be held runs.
    async fn is_held_here() -> bool {
        match script("true", &[], false).await.unwrap().held {
            Some(Held::By(what)) => {
                assert_eq!(what, "Landlock");
                true
            }
            Some(Held::Not(why)) => {
                assert!(why.contains("Landlock"), "{why}");
                let required = script("true", &[], true).await.unwrap_err();
                assert!(required.to_string().contains("could not be held"), "{required}");
                false
            }
            None => panic!("it is not said whether the program was held"),
        }
    }

    #[tokio::test]
    async fn a_program_that_must_not_write_cannot() {
        if !is_held_here().await {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "content").unwrap();
        let path = there.display();
        for writing in [
            format!("echo more >> '{path}'"),
            format!(": > '{path}'"),
            format!("truncate -s 0 '{path}'"),
            format!("rm '{path}'"),
            format!("mv '{path}' '{path}.old'"),
            format!("mkdir '{path}.d'"),
            format!("touch '{path}.new'"),
            format!("ln -s x '{path}.link'"),
            format!("mkfifo '{path}.pipe'"),
            format!("(sh -c \"sh -c 'echo deep > {path}.deep'\")"),
        ] {
            let reply = script(&writing, &[], true).await.unwrap();
            assert_ne!(reply.status, Some(0), "{writing}");
            assert!(reply.stderr.to_lowercase().contains("denied"), "{writing}: {}", reply.stderr);
        }
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "content");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn reading_pipes_and_a_folder_of_its_own_work() {
        let looks = "cat /etc/hostname > /dev/null; echo a | cat; echo b > \"$TMPDIR/b\"; cat \"$TMPDIR/b\"; echo \"$TMPDIR\"";
        let reply = script(looks, &[], false).await.unwrap();
        let lines: Vec<&str> = reply.stdout.lines().collect();
        assert_eq!((reply.status, &lines[..2]), (Some(0), &["a", "b"][..]), "{}", reply.stderr);
        assert!(!std::path::Path::new(lines[2]).exists(), "its folder is left behind");
    }

    #[tokio::test]
    async fn what_may_be_written_to_can_be_and_this_process_keeps_its_rights() {
        if !is_held_here().await {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (cache, other) = (folder.path().join("cache"), folder.path().join("other"));
        std::fs::create_dir(&cache).unwrap();
        let text = format!("echo 1 > '{}/1'; echo 2 > '{}'", cache.display(), other.display());
        let reply = script(&text, &[cache.to_str().unwrap()], true).await.unwrap();
        assert_ne!(reply.status, Some(0));
        assert!(cache.join("1").exists() && !other.exists());
        std::fs::write(&other, "by this process").unwrap();
        let missing = script("true", &["/nowhere/at/all"], true).await.unwrap_err();
        assert!(missing.to_string().contains("may_write: /nowhere/at/all"), "{missing}");
    }

    #[test]
    fn the_home_folder_is_written_short() {
        let path = |path: &str| super::expanded(path, Some("/home/anna")).display().to_string();
        assert_eq!(path("~/.cache/x"), "/home/anna/.cache/x");
        assert_eq!(path("/var/~/x"), "/var/~/x");
    }
}
