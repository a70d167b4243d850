//! The restore blocks of the shipped runbooks, pasted twice, in two shells, and against a region that is gone; and a member of
//! a real etcd, restored as the runbook says.

use crate::server_sandbox::{Responder, Sandbox, script};
use crate::server_support::{Drills, Ended, Started, end, poll, repository, variable};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What one scenario makes, and how it is counted.
struct Making {
    scenario: &'static str,
    /// The account in which it is made.
    account: &'static str,
    /// The variable that holds its name.
    name: &'static str,
    /// Prints the names of all that the step has made, a word each.
    list: &'static str,
}

const MAKING: [Making; 4] = [
    Making {
        scenario: "orders-db",
        account: "222222222222",
        name: "RESTORE_ID",
        list: "rds describe-db-instances --query \
               \"DBInstances[?starts_with(DBInstanceIdentifier,'restored-orders-db-restore-')].DBInstanceIdentifier\"",
    },
    Making {
        scenario: "orders-db-point-in-time",
        account: "111111111111",
        name: "RESTORE_ID",
        list: "rds describe-db-instances --query \"DBInstances[?starts_with(DBInstanceIdentifier,\
               'restored-orders-db-point-in-time-restore-')].DBInstanceIdentifier\"",
    },
    Making {
        scenario: "payments-aurora",
        account: "222222222222",
        name: "RESTORE_ID",
        list: "rds describe-db-clusters --query \
               \"DBClusters[?starts_with(DBClusterIdentifier,'restored-')].DBClusterIdentifier\"",
    },
    Making {
        scenario: "ledger-volume",
        account: "222222222222",
        name: "RESTORE_TOKEN",
        list: "ec2 describe-volumes --filters 'Name=tag:restored-as,Values=*' --query 'Volumes[].VolumeId'",
    },
];

/// A clock of which each look is a minute later: two pastes never fall into the same one.
const LATER: &str = "n=$(cat minutes 2>/dev/null || echo 0); echo $((n + 1)) > minutes\n\
                     exec /bin/date -d \"now + $n minutes\" \"$@\"";

fn names(responder: &Responder, making: &Making) -> Vec<String> {
    let (account, list) = (making.account, making.list);
    let ended = responder.end(&format!(
        "AWS_ACCESS_KEY_ID=SANDBOX{account} aws {list} --region ap-northeast-3 --output text"
    ));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout.split_whitespace().map(str::to_owned).collect()
}

fn pasted_again(making: &Making) {
    let sandbox = Sandbox::serve(&format!("scenarios/estates/{}.yaml", making.scenario));
    let responder = Responder::new(&sandbox);
    responder.replace("date", LATER);
    let page = repository(&format!("runbooks/{}.md", making.scenario));
    let runbook = fs::read_to_string(page).unwrap();
    let find = if runbook.contains("**backup** began") { "backup" } else { "point" };
    let commands = script(&runbook, &[find, "restore"]);
    let name = making.name;

    // Twice in one shell, more than a minute apart.
    let said = responder.end(&format!("{commands}\n{commands}\necho \"NAME ${name}\""));
    assert_eq!(said.code, Some(0), "{}\n{}", said.stderr, said.stdout);
    assert_eq!(said.stdout.matches("READY: ").count(), 2, "{}", said.stdout);
    let made = names(&responder, making);
    assert_eq!(made.len(), 1, "{made:?}");
    let kept = said.stdout.lines().find_map(|line| line.strip_prefix("NAME ")).unwrap();

    // In a new shell, without the name: it says what there is, and makes nothing.
    let lost = responder.end(&commands);
    assert_eq!(lost.code, Some(1), "{}\n{}", lost.stderr, lost.stdout);
    assert!(
        lost.stderr.contains(&format!("an earlier attempt has made {kept}")),
        "{}",
        lost.stderr
    );
    assert_eq!(names(&responder, making), made);

    // With the line that was noted down it goes on with what is there.
    let note = said.stdout.lines().find(|line| line.starts_with(&format!("{name}="))).unwrap();
    let found = responder.end(&format!("{note}\n{commands}"));
    assert_eq!(found.code, Some(0), "{}\n{}", found.stderr, found.stdout);
    assert!(found.stdout.contains("is there already"), "{}", found.stdout);
    assert_eq!(names(&responder, making), made);

    // The region is gone: nobody can know, and that is said.
    responder.replace("aws", "echo 'Could not connect to the endpoint URL' >&2; exit 255");
    let restore = script(&runbook, &["restore"]);
    let gone =
        responder.end(&format!("{note}\nPOINT_ARN=a POINT_ID=a BACKUP_BACKUP=db-A\n{restore}"));
    assert_ne!(gone.code, Some(0), "{}", gone.stdout);
    assert!(
        gone.stderr.contains("NOT READY: ") && gone.stderr.contains("UNKNOWN"),
        "{}",
        gone.stderr
    );
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_database() {
    pasted_again(&MAKING[0]);
    pasted_again(&MAKING[1]);
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_cluster() {
    pasted_again(&MAKING[2]);
}

#[test]
fn server_the_restore_block_pasted_twice_makes_one_volume() {
    pasted_again(&MAKING[3]);
}

/// One member of etcd 3.5 on loopback, which ends when it is dropped.
struct Member {
    _process: Started,
    client: String,
}

impl Member {
    fn start(folder: &Path, name: &str, peer: &str) -> Self {
        let client = format!("http://{}", free_address());
        let mut command = etcd_program("etcd");
        command.args(["--name", name, "--initial-cluster", &format!("{name}={peer}")]);
        command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.arg("--data-dir").arg(folder.join("data"));
        let process = Started::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let member = Self { _process: process, client };
        let healthy = || (member.end(&["endpoint", "health"]).code == Some(0)).then_some(());
        poll("etcd is healthy", Duration::from_secs(60), healthy);
        member
    }

    fn end(&self, words: &[&str]) -> Ended {
        end(etcd_program("etcdctl").args(["--endpoints", &self.client]).args(words))
    }

    fn succeed(&self, words: &[&str]) -> String {
        let ended = self.end(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        ended.stdout
    }
}

fn etcd_program(name: &str) -> Command {
    let mut command = Command::new(format!("{}/{name}", variable("REDRILL_TEST_ETCD_BIN_35")));
    command.env("ETCDCTL_API", "3");
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn server_the_block_of_the_runbook_restores_a_member_of_a_real_etcd() {
    let drills = Drills::new();
    let (folder, peer) = (drills.path(""), format!("http://{}", free_address()));
    let snapshot = drills.path("snapshot.db");
    let before = Member::start(&folder, "default", &peer);
    before.succeed(&["put", "state", "of the snapshot"]);
    before.succeed(&["snapshot", "save", snapshot.to_str().unwrap()]);
    before.succeed(&["put", "state", "after the snapshot"]);
    drop(before);

    let page = fs::read_to_string(repository("runbooks/cluster-state.md")).unwrap();
    let restores = |block: &&str| block.contains("echo \"RESTORED $SNAPSHOT_MEMBER");
    let mut opened = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = opened.find(restores).unwrap();
    // Other tests run members of theirs on this machine.
    let script = format!(
        "set -u\npgrep() {{ return 1; }}\nSNAPSHOT_HOST=$(hostname) SNAPSHOT_MEMBER=etcd-1 SNAPSHOT_PEER_URL={peer}\n\
         SNAPSHOT_MEMBERS=etcd-1={peer} SNAPSHOT_TOKEN=new SNAPSHOT_DATA=data SNAPSHOT_COPY=snapshot.db\n{block}{block}"
    );
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().current_dir(&folder).arg("-c").arg(script);
    let programs = variable("REDRILL_TEST_ETCD_BIN_35");
    let said = end(shell.env("PATH", format!("{programs}:/usr/bin:/bin")));
    assert_eq!(
        said.stdout.matches("RESTORED etcd-1 into data\nexit status 0").count(),
        2,
        "{said:?}"
    );

    let restored = Member::start(&folder, "etcd-1", &peer);
    assert_eq!(restored.succeed(&["get", "state"]), "state\nof the snapshot\n");
}

#[test]
fn server_the_trial_of_the_runbook_starts_a_real_etcd_on_no_port_and_leaves_nothing() {
    let page = fs::read_to_string(repository("runbooks/cluster-state.md")).unwrap();
    let mut opened = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = opened.find(|block| block.contains("TRIAL_FOLDER=${TRIAL_FOLDER:-")).unwrap();
    assert!(!block.contains("http://") && block.contains("unix://"), "{block}");
    for version in ["REDRILL_TEST_ETCD_BIN_34", "REDRILL_TEST_ETCD_BIN_35"] {
        for shell in ["sh", "bash"] {
            let drills = Drills::new();
            let folder = drills.path("");
            let snapshot = repository("scenarios/estates/files/cluster-state.snapshot.db");
            fs::copy(snapshot, folder.join("snapshot.db")).unwrap();
            // It is there already: nothing is fetched. Pasted twice, the second time begins anew.
            let script = format!("set -u\naws() {{ :; }}\nTRIAL_FILE=snapshot.db\n{block}{block}");
            let mut command = Command::new(shell);
            command.env_clear().current_dir(&folder).env("TMPDIR", &folder).arg("-c").arg(script);
            let path = format!("{}:/usr/bin:/bin", variable(version));
            let said = end(command.env("PATH", path));
            assert_eq!(said.code, Some(0), "{version} {shell}: {said:?}");
            assert_eq!(said.stdout.matches("keys: 28").count(), 2, "{said:?}");
            assert_eq!(said.stdout.matches("244891235").count(), 2, "HashKV: {said:?}");
            assert_eq!(said.stdout.matches("Trial: done").count(), 2, "{said:?}");
            let left: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["snapshot.db"]);
        }
    }
}
