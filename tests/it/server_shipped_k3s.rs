//! The shipped scenario of k3s as it is, against moto and real etcds. The test is the rest of the world: k3s, which puts its zipped
//! snapshots into S3, the recovery kit, and the people who restore the server.

use crate::server_shipped::{Applications, dr, etcd, etcd_program};
use crate::server_support::{
    Drill, Drills, Started, end, moto, poll, repository, succeed, variable,
};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const CLUSTER: &str = "a-server-of-k3s";
const TOKEN: &str = "K10ab12::server:not-a-real-token-of-shop";

/// A lease as a controller writes it, renewed at this time: what a scenario without a stated time is measured by.
/// <https://github.com/kubernetes/api/blob/master/coordination/v1/generated.proto>
fn lease(name: &str, renewed: u64) -> Vec<u8> {
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(((number & 127) as u8) | 128);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }
    let field = |tag: u8, content: &[u8]| {
        [&[(tag << 3) | 2][..], &varint(content.len() as u64), content].concat()
    };
    let kind = [field(1, b"coordination.k8s.io/v1"), field(2, b"Lease")].concat();
    let metadata = [field(1, name.as_bytes()), field(3, b"kube-system")].concat();
    let time = [&[8][..], &varint(renewed)].concat();
    let spec = [field(1, name.as_bytes()), vec![0x10, 40], field(4, &time)].concat();
    let object = [field(1, &metadata), field(2, &spec)].concat();
    [&b"k8s\0"[..], &field(1, &kind), &field(2, &object)].concat()
}

fn seconds_since_1970() -> u64 {
    succeed(Command::new("date").arg("+%s")).trim().parse().unwrap()
}

/// Packs a file as k3s does, or unpacks one.
fn python(script: &str, arguments: &[&PathBuf]) {
    succeed(Command::new(variable("REDRILL_TEST_PYTHON")).args(["-c", script]).args(arguments));
}

/// k3s: its etcd, with the content of the shipped snapshot and a lease that was renewed just now. Its snapshot goes into S3.
fn k3s(drills: &Drills) -> Started {
    let shipped = repository("scenarios/estates/files/k3s-server.snapshot.zip");
    let (snapshot, packed) = (drills.path("shipped.db"), drills.path("snapshot.zip"));
    python(
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); open(sys.argv[2], 'wb').write(z.read(z.namelist()[0]))",
        &[&shipped, &snapshot],
    );
    let mut restore = etcd_program("etcdutl");
    restore.args(["snapshot", "restore"]).arg(&snapshot);
    succeed(restore.arg("--data-dir").arg(drills.path(CLUSTER)));
    let (process, url) = etcd(CLUSTER, drills);
    let now = seconds_since_1970();
    let mut put = etcd_program("etcdctl");
    put.args(["--endpoints", &url, "put", "/registry/leases/kube-system/kube-scheduler"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    put.stdin.take().unwrap().write_all(&lease("kube-scheduler", now)).unwrap();
    assert!(put.wait().unwrap().success());
    let saved = drills.path("saved.db");
    let mut save = etcd_program("etcdctl");
    succeed(save.args(["--endpoints", &url, "snapshot", "save"]).arg(&saved));
    python(
        "import sys, zipfile; zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED).write(sys.argv[1], 'snapshot')",
        &[&saved, &packed],
    );
    for older in [7200, 0] {
        dr().json(&format!(
            "s3api put-object --bucket edge-etcd-dr --key k3s/etcd-snapshot-k3s-server-{}.zip --body {}",
            now - older,
            packed.display()
        ));
    }
    process
}

/// The programs of the machine of the drill: etcd, and an AWS CLI that reaches moto as the role of the DR region.
fn programs(drills: &Drills) -> String {
    let folder = drills.path("programs");
    fs::create_dir(&folder).unwrap();
    let environment = dr().environment();
    let exported = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
    let script = format!(
        "#!/bin/sh\n{}exec '{}' --endpoint-url {} \"$@\"\n",
        exported.collect::<String>(),
        variable("REDRILL_TEST_AWS_CLI"),
        moto()
    );
    let aws = folder.join("aws");
    fs::write(&aws, script).unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}:/usr/bin:/bin", folder.display(), variable("REDRILL_TEST_ETCD_BIN_35"))
}

fn recovery_kit(drills: &Drills, token: &str) {
    let kit = drills.path("recovery-kit");
    fs::create_dir_all(&kit).unwrap();
    for name in ["inventory.json", "encryption-config.json"] {
        let kept = repository(&format!("scenarios/estates/files/k3s-server.{name}"));
        fs::copy(kept, kit.join(name)).unwrap();
    }
    fs::write(kit.join("token"), format!("{token}\n")).unwrap();
}

#[test]
fn server_the_shipped_k3s_server_is_restored_by_people_whose_token_fits() {
    let drills = Drills::new();
    dr().json("s3api create-bucket --bucket edge-etcd-dr --create-bucket-configuration LocationConstraint=ap-northeast-3");
    let _running = k3s(&drills);
    let (path, address) = (programs(&drills), drills.path("etcd-address"));
    let applications = Applications::start(&drills, &dr(), &["--etcd", address.to_str().unwrap()]);
    let run = |people: &dyn Fn() -> Option<Started>| {
        let mut command = drills.run_shipped("k3s-server");
        applications.reached_by(command.env("PATH", &path));
        std::thread::scope(|scope| {
            let running = scope.spawn(|| end(&mut command));
            let _what_they_started = people();
            Drill::of(&running.join().unwrap())
        })
    };
    recovery_kit(&drills, TOKEN);
    let restored = run(&|| {
        let mut restore = etcd_program("etcdutl");
        restore.args(["snapshot", "restore"]).arg(drills.path("saved.db"));
        succeed(restore.arg("--data-dir").arg(drills.path("restored")));
        let (process, url) = etcd("restored", &drills);
        fs::write(&address, url).unwrap();
        let mut answer = drills.program();
        answer.args(["approve", "last", "restored"]);
        poll("the question can be answered", Duration::from_secs(60), || {
            (end(&mut answer).code == Some(0)).then_some(())
        });
        // It has to live until the drill has looked.
        poll("the drill is over", Duration::from_secs(120), || {
            drills.path("runs/k3s-server-0001/report.json").exists().then_some(())
        });
        Some(process)
    });
    restored.expect(0, "passed");
    for step in ["newest", "snapshot", "objects", "trial", "restored", "ready", "shop"] {
        assert_eq!(restored.outcome(step), "passed", "{step}");
    }
    for name in ["bootstrap data", "server token", "secret shop/api decrypts", "baseline"] {
        assert_eq!(restored.check("objects", name).0, "passed", "{name}");
    }
    assert!(!restored.report.to_string().contains("not-a-real-token"));
    restored.nothing_is_left(1);

    recovery_kit(&drills, "K10ab12::server:another-token-of-the-shop");
    let refused = run(&|| None);
    refused.expect(1, "failed");
    assert_eq!(refused.check("objects", "server token").0, "failed");
    assert_eq!(refused.outcome("restored"), "not_run");
}
