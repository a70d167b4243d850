//! The built program, the AWS CLI and processes that end with their test: for the tests against real servers.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An environment variable that `tests/run` sets.
#[expect(clippy::disallowed_methods, reason = "tests/run says here where the servers are")]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

/// A path of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Looks until there is something, at most for `limit`.
#[expect(clippy::disallowed_methods, reason = "servers and processes live in real time")]
pub(crate) fn poll<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command that must succeed, and gives its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let ended = end(command);
    assert_eq!(ended.code, Some(0), "{command:?}: {}\n{}", ended.stderr, ended.stdout);
    ended.stdout
}

/// A process that is killed when its test ends, however it does.
pub(crate) struct Started(Child);

impl Started {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// The first line of standard error that holds `text`; the process must have been given a pipe for it.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let lines = BufReader::new(self.0.stderr.as_mut().unwrap()).lines();
        let found = lines.map_while(Result::ok).find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("the process ended before it said {text:?}"))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A folder of runs, and the program against moto.
pub(crate) struct Drills {
    folder: tempfile::TempDir,
}

impl Drills {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The program, with nothing of the user's AWS configuration.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redrill"));
        command.arg("--runs-dir").arg(self.path("runs")).current_dir(self.folder.path());
        without_aws_configuration(&mut command);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// `redrill run` of one of the scenarios beside these tests, against moto.
    pub(crate) fn run(&self, scenario: &str, inputs: &[(&str, &str)]) -> Command {
        self.run_file(&format!("tests/it/scenarios/{scenario}.yaml"), inputs, &moto())
    }

    /// As [`Self::run`], against another address.
    pub(crate) fn run_at(&self, scenario: &str, inputs: &[(&str, &str)], url: &str) -> Command {
        self.run_file(&format!("tests/it/scenarios/{scenario}.yaml"), inputs, url)
    }

    /// `redrill run` of a scenario as it is shipped, against moto.
    pub(crate) fn run_shipped(&self, scenario: &str) -> Command {
        self.run_file(&format!("scenarios/{scenario}.yaml"), &[], &moto())
    }

    fn run_file(&self, path: &str, inputs: &[(&str, &str)], url: &str) -> Command {
        let mut command = self.program();
        command.arg("run").arg(repository(path));
        command.args(["--quiet", "--format", "json", "--endpoint-url", url]);
        for (name, value) in inputs {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        command
    }

    /// The records of a run's journal, without a last line that is not complete.
    pub(crate) fn journal(&self, run: &str) -> Vec<Value> {
        let path = self.path("runs").join(run).join("journal.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Where moto listens.
pub(crate) fn moto() -> String {
    variable("REDRILL_TEST_MOTO")
}

pub(crate) fn without_aws_configuration(command: &mut Command) {
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"] {
        command.env_remove(name);
    }
    for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(name, "/nonexistent");
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
}

/// What a drill said at its end: exit code and report.
pub(crate) struct Drill {
    pub(crate) code: i32,
    pub(crate) report: Value,
}

impl Drill {
    pub(crate) fn of(ended: &Ended) -> Self {
        let said: Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|e| panic!("{e}\n{}\n{}", ended.stdout, ended.stderr));
        let report = said.pointer("/runs/0/report").cloned().unwrap_or(said);
        Self { code: ended.code.unwrap(), report }
    }

    /// A value of the report, by JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.report.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Asserts exit code and verdict; shows why when it is another.
    pub(crate) fn expect(&self, code: i32, verdict: &str) {
        let rules = self.at("/verdict/rules");
        let steps = self.at("/timeline/steps");
        assert_eq!(self.at("/verdict/outcome"), verdict, "{rules:#}\n{steps:#}");
        assert_eq!(self.code, code, "{rules:#}");
    }

    /// The outcome of a step.
    pub(crate) fn outcome(&self, step: &str) -> String {
        let steps = self.at("/timeline/steps").as_array().unwrap();
        let found = steps.iter().find(|one| one["id"] == step);
        found.and_then(|one| one["outcome"].as_str()).unwrap_or("no such step").to_owned()
    }

    /// Outcome and observation of a check.
    pub(crate) fn check(&self, step: &str, name: &str) -> (String, String) {
        let checks = self.at("/checks").as_array().unwrap();
        let found = checks.iter().find(|one| one["step"] == step && one["check"]["name"] == name);
        let check = found.unwrap_or_else(|| panic!("no check {name} of {step} in {checks:#?}"));
        let text = |field: &str| check["check"][field].as_str().unwrap_or_default().to_owned();
        (text("outcome"), text("observed"))
    }

    /// Asserts that the ledger is settled: as many resources as said, all of them gone.
    pub(crate) fn nothing_is_left(&self, made: usize) {
        let resources = self.at("/resources").as_array().unwrap();
        assert_eq!(resources.len(), made, "{resources:#?}");
        assert!(resources.iter().all(|one| one["state"] == "released"), "{resources:#?}");
    }
}

/// The AWS command line interface in an account of moto's, as the role that the scenarios assume.
pub(crate) struct Aws {
    environment: Vec<(&'static str, String)>,
    region: &'static str,
}

impl Aws {
    pub(crate) fn assume(account: &str, region: &'static str) -> Self {
        let key = |value: &str| value.to_owned();
        let base = vec![("AWS_ACCESS_KEY_ID", key("test")), ("AWS_SECRET_ACCESS_KEY", key("test"))];
        let nobody = Self { environment: base, region };
        let role = format!("arn:aws:iam::{account}:role/redrill-drill");
        let answer = nobody
            .json(&format!("sts assume-role --role-session-name preparing --role-arn {role}"));
        let of = |name: &str| answer["Credentials"][name].as_str().unwrap().to_owned();
        let environment = vec![
            ("AWS_ACCESS_KEY_ID", of("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", of("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", of("SessionToken")),
        ];
        Self { environment, region }
    }

    /// What a process of this account needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let region = ("AWS_DEFAULT_REGION", self.region.to_owned());
        self.environment.iter().cloned().chain([region]).collect()
    }

    /// The same account in another region.
    pub(crate) fn in_region(&self, region: &'static str) -> Self {
        Self { environment: self.environment.clone(), region }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(variable("REDRILL_TEST_AWS_CLI"));
        without_aws_configuration(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["--endpoint-url", &moto(), "--region", self.region, "--output", "json"]);
        command.args(words);
        command
    }

    /// The answer to a command without blanks in its words.
    pub(crate) fn json(&self, words: &str) -> Value {
        self.json_of(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// The answer to a command.
    pub(crate) fn json_of(&self, words: &[&str]) -> Value {
        let text = succeed(&mut self.command(words));
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// What a command that must fail says.
    pub(crate) fn refusal(&self, words: &str) -> String {
        let ended = end(&mut self.command(&words.split_whitespace().collect::<Vec<_>>()));
        assert_ne!(ended.code, Some(0), "{words}: {}", ended.stdout);
        ended.stderr
    }
}
