//! The sandbox on a TCP port, judged by boto3 and the AWS CLI: clients that know nothing of how it is made.

use crate::server_support::{Drills, Ended, Started, end, repository, succeed, variable};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Six hundred times faster than real time: a restore takes seconds.
const SPEED: &str = "600";

/// A served estate, which ends with its test.
pub(crate) struct Sandbox {
    _process: Started,
    url: String,
}

impl Sandbox {
    pub(crate) fn serve(estate: &str) -> Self {
        let mut command = Drills::new().program();
        command.current_dir(repository(""));
        command.args(["sandbox", "serve", "--listen", "127.0.0.1:0", "--speed", SPEED]);
        command.arg("--estate").arg(repository(estate));
        let mut process = Started::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let line = process.line_with("http://");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Self { url: url.to_owned(), _process: process }
    }
}

fn conformance() -> Command {
    let mut command = Command::new(variable("REDRILL_TEST_PYTHON"));
    command.arg(repository("tests/servers/sandbox_conformance.py"));
    command
}

#[test]
fn server_boto3_finds_that_the_sandbox_behaves_as_aws_documents() {
    let sandbox = Sandbox::serve("tests/servers/conformance_estate.yaml");
    let ended = end(conformance().arg(&sandbox.url));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // It ends with 0 only when it has called what it lists.
    assert!(ended.stderr.contains("Ran ") && !ended.stderr.contains("Ran 0 "), "{}", ended.stderr);
}

#[test]
fn server_boto3_calls_every_operation_that_the_sandbox_claims_to_simulate() {
    let pairs = |text: &str| -> BTreeSet<(String, String)> {
        let words = text.lines().map(|line| line.split_whitespace().map(str::to_owned));
        words.filter_map(|mut words| Some((words.next()?, words.next()?))).collect()
    };
    let claimed = pairs(&succeed(Drills::new().program().args(["sandbox", "operations"])));
    let called = pairs(&succeed(conformance().arg("--list")));
    assert!(claimed.len() > 20, "{claimed:?}");
    let unproven: Vec<_> = claimed.difference(&called).collect();
    assert!(unproven.is_empty(), "claimed and never called: {unproven:?}");
    let unclaimed: Vec<_> = called.difference(&claimed).collect();
    assert!(unclaimed.is_empty(), "called and not listed: {unclaimed:?}");
}

/// A program on PATH that stands before another.
fn wrapper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The section of a runbook that is about `step`: from its heading to the next.
fn section<'r>(runbook: &'r str, step: &str) -> &'r str {
    let mark = format!("- [ ] **{step}** ");
    let of_step = |section: &&str| section.contains(&mark);
    runbook.split("\n### ").find(of_step).unwrap_or_else(|| panic!("no section of {step}"))
}

/// The fenced blocks of `sh` in a part of a runbook.
fn blocks(part: &str) -> Vec<&str> {
    let opened = part.split("```sh\n").skip(1);
    opened.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The commands of the runbook for these steps, each with the credentials of the account that its section names.
pub(crate) fn script(runbook: &str, steps: &[&str]) -> String {
    let mut script = String::from("set -eu\n");
    for step in steps {
        let section = section(runbook, step);
        let account = section.split("account ").nth(1).and_then(|rest| rest.get(..12));
        let account = account.unwrap_or("222222222222");
        script.push_str(&format!("export AWS_ACCESS_KEY_ID=SANDBOX{account}\n"));
        // What stands behind it has gaps that a responder fills.
        let commands = blocks(section.split("**If it fails:**").next().unwrap());
        assert!(!commands.is_empty(), "no commands for {step}");
        commands.iter().for_each(|block| script.push_str(block));
    }
    script
}

pub(crate) struct Responder {
    drills: Drills,
    path: PathBuf,
}

impl Responder {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        let drills = Drills::new();
        let path = drills.path("programs");
        std::fs::create_dir(&path).unwrap();
        let aws = variable("REDRILL_TEST_AWS_CLI");
        wrapper(&path, "aws", &format!("exec '{aws}' --endpoint-url {} \"$@\"", sandbox.url));
        // The estate's time runs faster, and so do pauses.
        wrapper(&path, "sleep", "exec /bin/sleep 0.1");
        Self { drills, path }
    }

    /// What the script says; it must end well.
    fn shell(&self, script: &str) -> String {
        let ended = self.end(script);
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stderr, ended.stdout);
        ended.stdout
    }

    /// A program on the responder's path that stands before another.
    pub(crate) fn replace(&self, name: &str, script: &str) {
        wrapper(&self.path, name, script);
    }

    /// How a new shell ends that is given a script.
    pub(crate) fn end(&self, script: &str) -> Ended {
        let mut command = Command::new("/bin/sh");
        command.current_dir(self.drills.path("")).args(["-c", script]).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path.display()));
        command.env("AWS_SECRET_ACCESS_KEY", "sandbox").env("AWS_CONFIG_FILE", "/nonexistent");
        command.env("HOME", self.drills.path(""));
        end(&mut command)
    }
}

#[test]
fn server_the_commands_of_the_runbook_restore_the_database() {
    let sandbox = Sandbox::serve("scenarios/estates/orders-db.yaml");
    let responder = Responder::new(&sandbox);
    let mut generate = responder.drills.program();
    let runbook = succeed(generate.arg("runbook").arg(repository("scenarios/orders-db.yaml")));
    let commands = script(&runbook, &["config", "point", "restore"]);
    assert!(commands.contains("restore-db-instance-from-db-snapshot"), "{commands}");
    let said = responder.shell(&format!(
        "{commands}\nprintf 'NAMES %s %s %s\\n' \"$RESTORE_ID\" \"$RESTORE_ENDPOINT\" \"$CONFIG_CLASS\""
    ));
    let names = said.lines().find_map(|line| line.strip_prefix("NAMES ")).unwrap();
    let [name, endpoint, class] = names.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{names}");
    };
    assert_eq!(class, "db.r6g.4xlarge", "what the first step noted down");
    let found = responder.shell(&format!(
        "AWS_ACCESS_KEY_ID=SANDBOX222222222222 aws rds describe-db-instances --region ap-northeast-3 \
         --db-instance-identifier {name} --output text --query 'DBInstances[0].[DBInstanceStatus,\
         Endpoint.Address,DBInstanceClass,MultiAZ,DBSubnetGroup.DBSubnetGroupName,\
         VpcSecurityGroups[0].VpcSecurityGroupId]'"
    ));
    let found: Vec<_> = found.split_whitespace().collect();
    assert_eq!(found, ["available", endpoint, "db.r6g.4xlarge", "True", "prod-dr", "sg-orders"]);
}

#[test]
fn server_the_commands_of_the_runbook_restore_the_cluster_and_its_instances() {
    let sandbox = Sandbox::serve("scenarios/estates/payments-aurora.yaml");
    let responder = Responder::new(&sandbox);
    let mut generate = responder.drills.program();
    let runbook =
        succeed(generate.arg("runbook").arg(repository("scenarios/payments-aurora.yaml")));
    let commands = script(&runbook, &["point", "restore"]);
    assert!(commands.contains("restore-db-cluster-from-snapshot"), "{commands}");
    let said = responder.shell(&format!(
        "{commands}\nprintf 'NAMES %s %s %s %s\\n' \"$RESTORE_ID\" \"$RESTORE_ENDPOINT\" \"$RESTORE_WRITER\" \
         \"$RESTORE_MEMBERS\""
    ));
    let names = said.lines().find_map(|line| line.strip_prefix("NAMES ")).unwrap();
    let [name, endpoint, writer, members] = names.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{names}");
    };
    assert_eq!((writer, members), (&*format!("{name}-1"), "2"));
    let ask = |question: &str| {
        let answer = responder.shell(&format!(
            "AWS_ACCESS_KEY_ID=SANDBOX222222222222 aws rds {question} --region ap-northeast-3 --output text"
        ));
        answer.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let cluster = ask(&format!(
        "describe-db-clusters --db-cluster-identifier {name} --query 'DBClusters[0].[Status,Endpoint,DBSubnetGroup,\
         VpcSecurityGroups[0].VpcSecurityGroupId,DBClusterParameterGroup,DeletionProtection,\
         IAMDatabaseAuthenticationEnabled,EnabledCloudwatchLogsExports[0]]'"
    ));
    let wanted = [
        "available",
        endpoint,
        "prod-dr",
        "sg-payments",
        "payments-cluster",
        "True",
        "True",
        "postgresql",
    ];
    assert_eq!(cluster, wanted);
    let instances = ask(&format!(
        "describe-db-instances --filters Name=db-cluster-id,Values={name} --query \
         'DBInstances[].[DBInstanceStatus,DBInstanceClass,PromotionTier,DBParameterGroups[0].DBParameterGroupName]'"
    ));
    let member =
        |tier: &str| ["available", "db.r6g.4xlarge", tier, "payments-instance"].map(str::to_owned);
    assert_eq!(instances, [member("0"), member("1")].concat());
}
