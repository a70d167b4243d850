//! The shipped scenarios of EBS, S3 and etcd as they are, against moto. The test is the rest of the world: backup jobs,
//! copies, the application, the recovery host, the people.

use crate::server_databases::free_port;
use crate::server_support::{
    Aws, Drill, Drills, Started, end, moto, poll, repository, succeed, variable,
    without_aws_configuration,
};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The sites of the shipped scenarios.
pub(crate) fn primary() -> Aws {
    Aws::assume("111111111111", "ap-northeast-1")
}

/// The site that takes over.
pub(crate) fn dr() -> Aws {
    Aws::assume("222222222222", "ap-northeast-3")
}

/// Makes a key of KMS, and gives its id.
pub(crate) fn key(aws: &Aws) -> String {
    aws.json("kms create-key")["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// The code of the drill's first finding of this name.
pub(crate) fn finding<'d>(drill: &'d Drill, code: &str) -> &'d Value {
    let findings = drill.at("/findings").as_array().unwrap();
    let found = findings.iter().find(|one| one.to_string().contains(&format!("\"{code}\"")));
    found.unwrap_or_else(|| panic!("no finding {code} in {findings:#?}"))
}

/// The host that checks file systems: a program on PATH, with a real file system for whatever volume it is given.
struct RecoveryHost {
    folder: PathBuf,
    image: PathBuf,
}

impl RecoveryHost {
    fn set_up(drills: &Drills) -> Self {
        let host = Self { folder: drills.path("programs"), image: drills.path("ledger.img") };
        fs::create_dir(&host.folder).unwrap();
        let program = host.folder.join("ledger-recovery-host");
        // The last word is the volume: it must have a name. `-p` of the real one would repair; -n never does.
        let script = "case \"$4\" in vol-*) ;; *) echo \"no volume: $4\" >&2; exit 8;; esac\n";
        let check = format!("exec \"$1\" \"$2\" \"$3\" '{}'", host.image.display());
        let path = "PATH=/usr/sbin:/sbin:$PATH";
        fs::write(&program, format!("#!/bin/sh\n{path}\n{script}{check}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&host.image, vec![0; 1 << 20]).unwrap();
        let mut format = Command::new("/usr/sbin/mkfs.ext4");
        succeed(format.args(["-q", "-F", "-L", "ledger"]).arg(&host.image));
        host
    }

    /// What a torn copy looks like: the inode tables are gone.
    fn damage(&self) {
        let mut content = fs::read(&self.image).unwrap();
        content[8 << 10..64 << 10].fill(0xA5);
        fs::write(&self.image, content).unwrap();
    }

    fn drill(&self, drills: &Drills) -> Drill {
        let mut command = drills.run_shipped("ledger-volume");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.folder.display()));
        Drill::of(&end(&mut command))
    }
}

/// The time so many hours ago, as the backup job writes it.
fn hours_ago(hours: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "moto lives in real time")]
    let now = chrono::Utc::now();
    let then = now - chrono::TimeDelta::minutes(hours * 60 + 1);
    then.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A snapshot of the ledger's volume.
fn snapshot_of_ledger() -> String {
    let source = Aws::assume("222222222222", "ap-northeast-1");
    let volume = source.json("ec2 create-volume --size 8 --availability-zone ap-northeast-1a");
    let volume = volume["VolumeId"].as_str().unwrap();
    let snapshot = source.json(&format!("ec2 create-snapshot --volume-id {volume}"));
    snapshot["SnapshotId"].as_str().unwrap().to_owned()
}

/// A copy in the DR region, made so many hours ago by the backup job, which writes down the time of the data.
fn copied_ledger(dr: &Aws, original: &str, hours: i64, key: &str) -> String {
    let (time, age) = (hours_ago(hours), hours * 3600);
    let tags = format!(
        "{{Key=app,Value=ledger}},{{Key=data-time,Value={time}}},{{Key=moto-age,Value={age}}}"
    );
    let copy = dr.json(&format!(
        "ec2 copy-snapshot --source-region ap-northeast-1 --source-snapshot-id {original} --encrypted --kms-key-id {key} \
         --tag-specifications ResourceType=snapshot,Tags=[{tags}]"
    ));
    copy["SnapshotId"].as_str().unwrap().to_owned()
}

#[test]
fn server_the_shipped_ledger_volume_passes_and_fails_where_it_should() {
    let (dr, original) = (dr(), snapshot_of_ledger());
    let key = key(&dr);
    let copies = [19, 13, 7, 1].map(|hours| copied_ledger(&dr, &original, hours, &key));
    let drills = Drills::new();
    let host = RecoveryHost::set_up(&drills);
    let drill = host.drill(&drills);
    drill.expect(0, "passed");
    assert_eq!(drill.check("restore", "snapshot").1, copies[3]);
    assert_eq!(drill.check("point", "encryption key"), ("passed".into(), "enabled".into()));
    assert_eq!(drill.outcome("file_system"), "passed");
    assert_eq!(drill.at("/objectives/rpo/outcome"), "met");
    drill.nothing_is_left(1);

    host.damage();
    let damaged = host.drill(&drills);
    damaged.expect(1, "failed");
    assert_eq!(damaged.outcome("restore"), "passed");
    assert_eq!(damaged.outcome("file_system"), "failed");
    damaged.nothing_is_left(1);

    // The key of the copies: everything is there, and nothing can be read.
    dr.json(&format!("kms disable-key --key-id {key}"));
    let locked = host.drill(&drills);
    locked.expect(1, "failed");
    finding(&locked, "ebs.no_usable_recovery_point");
    assert_eq!(locked.outcome("restore"), "not_run");
    locked.nothing_is_left(0);
}

/// What the scenarios ask by HTTPS, served under its real names: see `tests/servers/applications.py`.
pub(crate) struct Applications {
    _process: Started,
    address: String,
    authority: PathBuf,
}

impl Applications {
    pub(crate) fn start(drills: &Drills, aws: &Aws, arguments: &[&str]) -> Self {
        let authority = drills.path("applications.pem");
        let mut command = Command::new(variable("REDRILL_TEST_PYTHON"));
        without_aws_configuration(&mut command);
        command.envs(aws.environment()).stderr(Stdio::piped());
        command.arg(repository("tests/servers/applications.py")).args(arguments);
        command.args(["--endpoint-url", &moto(), "--authority"]).arg(&authority);
        let mut process = Started::start(&mut command);
        let line = process.line_with("http://");
        let address = line.rsplit(' ').next().unwrap().to_owned();
        Self { _process: process, address, authority }
    }

    /// So that this command finds them.
    pub(crate) fn reached_by<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("HTTPS_PROXY", &self.address).env("SSL_CERT_FILE", &self.authority);
        command.env_remove("SSL_CERT_DIR").env("NO_PROXY", "127.0.0.1")
    }
}

const UPLOADS: &str = "uploads-prod";
const REPLICA: &str = "uploads-prod-dr";

/// The buckets of the scenario; `follow` has moto do what the rule says.
fn make_buckets(primary: &Aws, dr: &Aws) {
    for (aws, bucket, region) in
        [(primary, UPLOADS, "ap-northeast-1"), (dr, REPLICA, "ap-northeast-3")]
    {
        aws.json(&format!(
            "s3api create-bucket --bucket {bucket} --create-bucket-configuration LocationConstraint={region}"
        ));
        aws.json(&format!(
            "s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
        ));
    }
    let rule = json!({
        "Role": "arn:aws:iam::111111111111:role/replication",
        "Rules": [{
            "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": { "Prefix": "" },
            "DeleteMarkerReplication": { "Status": "Disabled" },
            "Destination": { "Bucket": format!("arn:aws:s3:::{REPLICA}"), "Account": "222222222222" },
        }],
    });
    let put = ["s3api", "put-bucket-replication", "--bucket", UPLOADS];
    let rule = rule.to_string();
    primary.json_of(&[&put[..], &["--replication-configuration", &rule]].concat());
}

/// An object that was written so long ago.
fn upload(primary: &Aws, drills: &Drills, key: &str, seconds_ago: u32) {
    let file = drills.path("upload");
    fs::write(&file, key).unwrap();
    primary.json(&format!(
        "s3api put-object --bucket {UPLOADS} --key {key} --body {} --metadata moto-age={seconds_ago}",
        file.display()
    ));
}

#[test]
fn server_the_shipped_uploads_replication_passes_and_fails_where_it_should() {
    let (primary, dr) = (primary(), dr());
    make_buckets(&primary, &dr);
    let replicates = |yes: bool| {
        let tags = if yes { "{Key=moto-replicates,Value=yes}" } else { "" };
        primary.json(&format!(
            "s3api put-bucket-tagging --bucket {UPLOADS} --tagging TagSet=[{tags}]"
        ));
    };
    let drills = Drills::new();
    let application = ["--uploads", REPLICA];
    let applications = Applications::start(&drills, &dr, &application);
    let drill = || {
        let mut command = drills.run_shipped("uploads-replication");
        Drill::of(&end(applications.reached_by(&mut command)))
    };
    replicates(true);
    for day in 1..=5 {
        upload(&primary, &drills, &format!("2026/{day}.jpg"), day * 86_400);
    }
    let healthy = drill();
    healthy.expect(0, "passed");
    assert_eq!(healthy.check("replicas", "versions at the replica").0, "passed");
    assert_eq!(healthy.check("canary", "canary at the replica").0, "passed");
    assert_eq!(healthy.outcome("serving"), "passed");
    healthy.nothing_is_left(2);

    // One upload that was missed, two hours ago; everything newer arrives.
    replicates(false);
    upload(&primary, &drills, "2026/missed.jpg", 7_200);
    replicates(true);
    let behind = drill();
    behind.expect(1, "failed");
    assert_eq!(behind.check("replicas", "versions at the replica").0, "failed");
    assert_eq!(behind.outcome("canary"), "passed");
    assert_eq!(behind.outcome("serving"), "passed");
    // What a failed comparison has seen does not count as a recovery point.
    assert_eq!(behind.at("/objectives/rpo/outcome"), "not_measured");
    behind.nothing_is_left(2);
}

/// A free port on loopback.
/// An etcd of one member over a data folder.
pub(crate) fn etcd(folder: &str, drills: &Drills) -> (Started, String) {
    let (client, peer) = (free_port(), free_port());
    let (url, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut command = etcd_program("etcd");
    command.args(["--name", "default", "--data-dir"]).arg(drills.path(folder));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    command.args(["--listen-peer-urls", &peer]).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Started::start(&mut command);
    poll("etcd is healthy", Duration::from_secs(60), || {
        let mut look = etcd_program("etcdctl");
        (end(look.args(["--endpoints", &url, "endpoint", "health"])).code == Some(0)).then_some(())
    });
    (process, url)
}

pub(crate) fn etcd_program(name: &str) -> Command {
    let mut command = Command::new(format!("{}/{name}", variable("REDRILL_TEST_ETCD_BIN_35")));
    command.env("ETCDCTL_API", "3");
    command
}

/// An object as an API server may store it: in JSON.
const OBJECT: &str = "{}";

/// The control plane's etcd, its snapshot where the DR region keeps it, and the people who restore from it.
struct Cluster<'d> {
    drills: &'d Drills,
    dr: Aws,
}

impl Cluster<'_> {
    /// Starts an etcd with so many keys, and puts a snapshot of it where the scenario looks for one, and its inventory.
    fn save(&self, keys: usize) -> (Started, String) {
        let folder = format!("first-{keys}");
        let (process, url) = etcd(&folder, self.drills);
        for number in 0..keys {
            let key = format!("/registry/pods/default/pod-{number}");
            succeed(etcd_program("etcdctl").args(["--endpoints", &url, "put", &key, OBJECT]));
        }
        for (key, value) in [
            ("/registry/pods/payments/api-1", OBJECT),
            ("/registry/pods/payments/api-2", OBJECT),
            ("/registry/pods/payments/api-3", OBJECT),
            ("/registry/deployments/payments/api", OBJECT),
            ("/registry/secrets/payments/api", "k8s:enc:aescbc:v1:key1:not-a-real-secret"),
        ] {
            succeed(etcd_program("etcdctl").args(["--endpoints", &url, "put", key, value]));
        }
        let file = self.snapshot();
        let taken = succeed(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]));
        let mut save = etcd_program("etcdctl");
        succeed(save.args(["--endpoints", &url, "snapshot", "save"]).arg(&file));
        self.dr.json(&format!(
            "s3api put-object --bucket platform-etcd-dr --key cluster-state/latest.db --body {} --metadata snapshot-time={}",
            file.display(),
            taken.trim()
        ));
        let mut inventory = self.drills.program();
        let kept = succeed(inventory.args(["etcd", "inventory", "--format", "json"]).arg(&file));
        fs::create_dir_all(self.drills.path("baselines")).unwrap();
        fs::write(self.drills.path("baselines/cluster-state.json"), kept).unwrap();
        (process, url)
    }

    fn snapshot(&self) -> PathBuf {
        self.drills.path("latest.db")
    }

    /// What the runbook leaves to people: restore a member from the snapshot, start it.
    fn restore(&self) -> (Started, String) {
        let mut restore = etcd_program("etcdutl");
        restore.args(["snapshot", "restore"]).arg(self.snapshot());
        succeed(restore.arg("--data-dir").arg(self.drills.path("restored")));
        etcd("restored", self.drills)
    }

    fn answer(&self, verb: &str) {
        let mut command = self.drills.program();
        command.args([verb, "last", "restored", "--comment", "by the night-shift"]);
        poll("the question can be answered", Duration::from_secs(60), || {
            (end(&mut command).code == Some(0)).then_some(())
        });
    }
}

#[test]
fn server_the_shipped_cluster_state_waits_for_people_who_restore_a_real_etcd() {
    let drills = Drills::new();
    let cluster = Cluster { drills: &drills, dr: dr() };
    cluster.dr.json(
        "s3api create-bucket --bucket platform-etcd-dr --create-bucket-configuration LocationConstraint=ap-northeast-3",
    );
    primary().json(
        "s3api create-bucket --bucket platform-etcd --create-bucket-configuration LocationConstraint=ap-northeast-1",
    );
    let (_running, url) = cluster.save(30);
    let address = drills.path("etcd-address");
    let address = address.to_str().unwrap();
    let applications = Applications::start(&drills, &cluster.dr, &["--etcd", address]);
    let run = |url: &str, people: &dyn Fn() -> Option<Started>| {
        let mut command = drills.run_shipped("cluster-state");
        for input in ["member", "members"] {
            command.arg("--set").arg(format!("{input}={url}"));
        }
        let programs = variable("REDRILL_TEST_ETCD_BIN_35");
        command.env("PATH", format!("{programs}:{}", variable("PATH")));
        applications.reached_by(&mut command);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| end(&mut command));
            let _what_they_started = people();
            Drill::of(&running.join().unwrap())
        })
    };
    let restored = run(&url, &|| {
        let (process, url) = cluster.restore();
        fs::write(address, url).unwrap();
        cluster.answer("approve");
        // It has to live until the drill has looked.
        poll("the drill is over", Duration::from_secs(120), || {
            drills.path("runs/cluster-state-0001/report.json").exists().then_some(())
        });
        Some(process)
    });
    restored.expect(0, "passed");
    for step in ["taken", "members", "snapshot", "objects", "trial", "ready"] {
        assert_eq!(restored.outcome(step), "passed", "{step}");
    }
    // This version of etcd does not know how.
    assert_eq!(restored.check("forward", "moved forward").0, "inconclusive");
    restored.nothing_is_left(3);
    assert!(restored.report.to_string().contains("night-shift"));

    let rejected = run(&url, &|| {
        cluster.answer("reject");
        None
    });
    rejected.expect(1, "failed");
    assert_eq!(rejected.outcome("restored"), "failed");
    assert_eq!(rejected.outcome("ready"), "not_run");

    // Too few keys for this cluster: nobody is asked.
    let (_running, url) = cluster.save(3);
    let empty = run(&url, &|| None);
    empty.expect(1, "failed");
    assert_eq!(empty.outcome("snapshot"), "failed");
    assert_eq!(empty.outcome("restored"), "not_run");
}
