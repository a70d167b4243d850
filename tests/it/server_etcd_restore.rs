//! Against real etcds: a snapshot is restored into etcds of the step's own, compared with its origin, and leaves nothing.

use crate::etcd_server::{Etcd, Programs, VERSIONS};
use crate::program::Program;
use crate::reap::Started;
use crate::server_databases::{Events, Stepped, context, outcomes, step};
use crate::server_support::{repository, variable};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use redrill::action::Found;
use redrill::journal::{Event, FailureClass, Outcome};
use redrill::time::Clock;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const NAMED: &str = "/registry/configmaps/shop/number-7";

/// An etcd with some history, of which some is compacted.
fn lived() -> Vec<(Programs, Etcd)> {
    let start = |variable: &&str| {
        let programs = Programs::named_by(variable);
        let etcd = Etcd::start(&programs);
        for round in 0..3 {
            for number in 0..40 {
                let key = format!("/registry/configmaps/shop/number-{number}");
                etcd.put(&[json!({ "key": BASE64.encode(key), "value": BASE64.encode(format!("round {round}")) })]);
            }
            if round == 1 {
                etcd.call("/v3/kv/compaction", &json!({ "revision": 60, "physical": true }));
            }
        }
        let gone = BASE64.encode("/registry/configmaps/shop/number-3");
        etcd.call("/v3/kv/deleterange", &json!({ "key": gone }));
        (programs, etcd)
    };
    VERSIONS.iter().map(start).collect()
}

/// The input of a step that restores the snapshot in this folder, and works there.
fn restoring(folder: &TempDir, programs: &Programs, members: u32) -> Value {
    json!({
        "file": folder.path().join("snapshot.db"), "folder": folder.path(), "programs": programs.0,
        "members": members, "keys": [NAMED],
    })
}

fn stored(snapshot: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("snapshot.db"), snapshot).unwrap();
    folder
}

/// Processes whose command names this folder.
fn running_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| {
        let command = fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    commands.filter(|command| command.contains(folder)).collect()
}

/// Sockets for clients in folders that runs have made in this one.
fn client_sockets(folder: &Path) -> usize {
    let inside = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let all = inside(folder).into_iter().flat_map(|own| inside(&own));
    all.filter(|path| path.to_string_lossy().ends_with(".client:1")).count()
}

/// How many etcds run in this folder, and the lines of the system's list of TCP sockets on which they listen.
/// <https://docs.kernel.org/networking/proc_net_tcp.html>: the fourth column is the state (0A: it listens), the tenth the inode.
fn listening_ports(folder: &Path) -> (usize, Vec<String>) {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap());
    let listening: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
        .collect();
    let (mut etcds, mut found) = (0, Vec::new());
    for process in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if name != "etcd\n" || !command.contains(folder.to_str().unwrap()) {
            continue;
        }
        etcds += 1;
        for descriptor in fs::read_dir(process.path().join("fd")).unwrap().filter_map(Result::ok) {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[").and_then(|inode| inode.strip_suffix(']'));
            let of_it = |line: &&&str| inode.is_some() && line.split_whitespace().nth(9) == inode;
            found.extend(listening.iter().filter(of_it).map(|line| (*line).to_owned()));
        }
    }
    (etcds, found)
}

/// Waits until nothing runs in this folder.
async fn all_are_killed(folder: &Path) {
    let mut looks = 0;
    while !running_in(folder).is_empty() {
        looks += 1;
        assert!(looks < 500, "members outlive the step: {:?}", running_in(folder));
        Clock::system().sleep(Duration::from_millis(10)).await;
    }
}

/// The checks that did not pass, of a step that gave an error.
fn red(tried: &Stepped) -> Vec<(&str, Outcome)> {
    outcomes(&tried.events).into_iter().filter(|(_, outcome)| *outcome != Outcome::Passed).collect()
}

fn assert_nothing_is_left(folder: &TempDir) {
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["snapshot.db"]);
    assert_eq!(running_in(folder.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn server_etcd_a_snapshot_is_restored_with_one_and_three_members_and_is_equal() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let (keys, revision) = etcd.count();
        let rev = revision.to_string();
        let origin = etcd.ask(&programs, &["endpoint", "hashkv", "--rev", &rev]);
        let origin = origin[0]["HashKV"]["hash"].as_u64().unwrap();
        for members in [1, 3] {
            let tried =
                step(folder.path(), "etcd.restore", restoring(&folder, &programs, members)).await;
            assert_eq!(tried.red(), []);
            let output = tried.output.as_ref().unwrap();
            assert_eq!((&output["keys"], &output["revision"]), (&json!(keys), &json!(revision)));
            assert_eq!(output["hash_kv"], format!("{origin:x}"), "{output}");
            assert_eq!(output["members"], members);
            assert_nothing_is_left(&folder);
            let events: Vec<Value> =
                tried.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
            let position =
                |kind: &str| events.iter().position(|event| event["type"] == kind).unwrap();
            assert!(position("resource_intended") < position("resource_owned"));
            assert!(position("resource_owned") < position("resource_released"));
            assert!(!serde_json::to_string(&events).unwrap().contains("round 2"));
        }
    }
}

#[tokio::test]
async fn server_etcd_what_is_damaged_or_has_no_digest_is_refused_and_leaves_nothing() {
    for (programs, etcd) in lived() {
        let good = etcd.snapshot(&programs);
        let at = good.windows(7).position(|some| some == b"round 2").unwrap();
        let mut changed = good.clone();
        changed[at] ^= 1;
        let folder = stored(&changed);
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
        assert_eq!(tried.output.as_ref().unwrap_err().class(), FailureClass::Recovery);
        assert_eq!(red(&tried), [("sound snapshot", Outcome::Failed)]);
        assert!(!tried.events.iter().any(|event| matches!(event, Event::ResourceIntended { .. })));
        assert_nothing_is_left(&folder);

        // Nothing is wrong with it as far as it can be read; etcd's own program asks for the digest.
        let folder = stored(&good[..good.len() - 32]);
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
        let error = tried.output.as_ref().unwrap_err();
        assert_eq!(error.class(), FailureClass::Recovery, "{error}");
        assert!(error.to_string().contains("hash"), "{error}");
        let wanted = [("restored", Outcome::Failed), ("sound snapshot", Outcome::Inconclusive)];
        assert_eq!(red(&tried), wanted);
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_a_restore_that_is_given_up_kills_its_members_and_is_removed_by_its_ledger() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let events = Arc::new(Events::default());
        let context = context(folder.path(), events.clone());
        let registry = redrill::providers::registry();
        let action = registry.get("etcd.restore").unwrap();
        let with = restoring(&folder, &programs, 3);
        let until_they_run = async {
            while running_in(folder.path())
                .iter()
                .filter(|one| one.contains("--listen-peer-urls"))
                .count()
                < 3
            {
                Clock::system().sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            biased;
            () = until_they_run => {}
            ended = action.run(&context, with) => panic!("it ended before its members were seen: {ended:?}"),
        }
        all_are_killed(folder.path()).await;
        let intended = events.0.lock().unwrap().iter().find_map(|event| match event {
            Event::ResourceIntended { key, .. } => Some(key.clone()),
            _ => None,
        });
        let key = intended.unwrap();
        let kind = registry.resource_kind(&key.kind).unwrap();
        let Found::Ours { id, .. } = kind.find(&context, &key, None).await.unwrap() else {
            panic!("the folder was not found")
        };
        assert_eq!(
            fs::metadata(&id)
                .map(|about| std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777)
                .unwrap(),
            0o700
        );
        assert!(kind.command(&key, None, "").starts_with("rm -rf -- "));
        kind.remove(&context, &key, &id).await.unwrap();
        assert_eq!(kind.find(&context, &key, None).await.unwrap(), Found::Gone);
        assert_nothing_is_left(&folder);
    }
}

/// etcd's programs, of which etcdctl goes on after HashKV only when this key is gone.
fn slow_programs(programs: &Programs, key: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["etcd", "etcdutl"].into_iter().filter(|name| programs.0.join(name).exists()) {
        std::os::unix::fs::symlink(programs.0.join(name), folder.path().join(name)).unwrap();
    }
    // Its first word is --endpoints.
    let script = format!(
        "#!/bin/sh\nreal={}\ncase \"$*\" in\n*hashkv*) \"$real\" \"$@\" || exit\n\
         until said=$(\"$real\" --endpoints \"$2\" get --keys-only {key}) && [ -z \"$said\" ]; do :; done;;\n\
         *) exec \"$real\" \"$@\";;\nesac\n",
        programs.0.join("etcdctl").display(),
    );
    // Another process writes it: a file that this one has open for writing cannot be run by anybody.
    let written = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script])
        .arg(folder.path().join("etcdctl"))
        .status();
    assert!(written.unwrap().success());
    folder
}

#[tokio::test]
async fn server_etcd_regression_keys_whose_lease_runs_out_meanwhile_are_not_missed() {
    const KEY: &str = "/registry/masterleases/10.0.0.1";
    for (programs, etcd) in lived() {
        let lease = etcd.call("/v3/lease/grant", &json!({ "TTL": 4 }))["ID"].clone();
        etcd.put(&[
            json!({ "key": BASE64.encode(KEY), "value": BASE64.encode("host"), "lease": lease }),
        ]);
        let (keys, revision) = etcd.count();
        let folder = stored(&etcd.snapshot(&programs));
        let slow = slow_programs(&programs, KEY);
        let mut with = restoring(&folder, &Programs(slow.path().to_owned()), 1);
        with["keys"] = json!([NAMED, KEY]);
        let tried = step(folder.path(), "etcd.restore", with).await;
        assert_eq!(tried.red(), []);
        let output = tried.output.as_ref().unwrap();
        assert_eq!((&output["keys"], &output["revision"]), (&json!(keys), &json!(revision)));
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_regression_one_that_asks_for_a_password_is_inconclusive() {
    for (programs, etcd) in lived() {
        let run = |words: &[&str]| {
            let endpoint = etcd.client.to_string();
            let done = programs.etcdctl(&[&["--endpoints", endpoint.as_str()], words].concat());
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        run(&["user", "add", "root:pass"]);
        run(&["user", "grant-role", "root", "root"]);
        run(&["auth", "enable"]);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("snapshot.db");
        run(&["--user", "root:pass", "snapshot", "save", file.to_str().unwrap()]);
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
        let error = tried.output.as_ref().unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken, "{error}");
        assert!(error.to_string().contains("asks for a password"), "{error}");
        assert_eq!(red(&tried), [("members answer", Outcome::Inconclusive)]);
        assert!(!tried.events.iter().any(|event| matches!(event, Event::Found { .. })
            && format!("{event:?}").contains("not_restorable")));
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_regression_a_member_that_is_killed_is_no_bad_snapshot() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let killed = slow_programs(&programs, NAMED);
        fs::remove_file(killed.path().join("etcd")).unwrap();
        // It is killed when it is to serve, as where memory is short.
        let script = format!(
            "case \"$*\" in *--data-dir*) kill -KILL $$;; *) exec {} \"$@\";; esac",
            programs.0.join("etcd").display()
        );
        let written = std::process::Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"",
                "sh",
                &script,
            ])
            .arg(killed.path().join("etcd"))
            .status();
        assert!(written.unwrap().success());
        let with = restoring(&folder, &Programs(killed.path().to_owned()), 1);
        let tried = step(folder.path(), "etcd.restore", with).await;
        let error = tried.output.as_ref().unwrap_err();
        assert_eq!(error.class(), FailureClass::Broken, "{error}");
        assert!(error.to_string().contains("it was killed"), "{error}");
        assert_eq!(red(&tried), [("members answer", Outcome::Inconclusive)]);
        assert_nothing_is_left(&folder);
    }
}

#[tokio::test]
async fn server_etcd_regression_members_listen_on_no_port() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let events = Arc::new(Events::default());
        let context = context(folder.path(), events.clone());
        let registry = redrill::providers::registry();
        let action = registry.get("etcd.restore").unwrap();
        let with = restoring(&folder, &programs, 3);
        let until_they_listen = async {
            while client_sockets(folder.path()) < 3 {
                Clock::system().sleep(Duration::from_millis(2)).await;
            }
            listening_ports(folder.path())
        };
        tokio::select! {
            biased;
            ports = until_they_listen => assert_eq!(ports, (3, Vec::new())),
            ended = action.run(&context, with) => panic!("it ended before its members listened: {ended:?}"),
        }
        all_are_killed(folder.path()).await;
    }
}

#[tokio::test]
async fn server_etcd_without_its_programs_nothing_is_said_of_the_snapshot() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let nowhere = Programs(folder.path().join("nowhere"));
        let tried = step(folder.path(), "etcd.restore", restoring(&folder, &nowhere, 1)).await;
        assert_eq!(red(&tried), []);
        let failure = tried.output.unwrap_err().into_failure();
        assert_eq!(failure.class, FailureClass::Broken);
        assert!(failure.message.contains("there is no program \"etcd\""), "{}", failure.message);
        assert!(failure.help.unwrap().contains("etcd-server"));
        assert_nothing_is_left(&folder);
    }
}

/// An etcd whose whole history is compacted: one ends with a change, the other with a deletion, of which nothing is left.
fn compacted_whole(programs: &Programs) -> [Etcd; 2] {
    [false, true].map(|ends_with_a_deletion| {
        let etcd = Etcd::start(programs);
        for number in 0..20 {
            let key = format!("/registry/configmaps/shop/number-{number}");
            etcd.put(&[json!({ "key": BASE64.encode(key), "value": BASE64.encode("x") })]);
        }
        if ends_with_a_deletion {
            let gone = BASE64.encode("/registry/configmaps/shop/number-19");
            etcd.call("/v3/kv/deleterange", &json!({ "key": gone }));
        }
        let (_, revision) = etcd.count();
        etcd.call("/v3/kv/compaction", &json!({ "revision": revision, "physical": true }));
        etcd
    })
}

#[tokio::test]
async fn server_etcd_regression_a_snapshot_whose_whole_history_is_compacted_is_compared() {
    for programs in VERSIONS.map(Programs::named_by) {
        for etcd in compacted_whole(&programs) {
            let folder = stored(&etcd.snapshot(&programs));
            let (keys, revision) = etcd.count();
            let origin = etcd.ask(&programs, &["endpoint", "hashkv", "--rev", "0"]);
            let origin = origin[0]["HashKV"]["hash"].as_u64().unwrap();
            let tried = step(folder.path(), "etcd.restore", restoring(&folder, &programs, 1)).await;
            assert_eq!(tried.red(), []);
            let output = tried.output.as_ref().unwrap();
            assert_eq!((&output["keys"], &output["revision"]), (&json!(keys), &json!(revision)));
            assert_eq!(output["hash_kv"], format!("{origin:x}"), "{output}");
            assert_nothing_is_left(&folder);
        }
    }
}

/// The program that restores, of a version of etcd.
fn restoring_program(programs: &Programs) -> &'static str {
    if programs.0.join("etcdutl").exists() { "etcdutl" } else { "etcdctl" }
}

/// Whether that program says itself that it knows how to move a revision forward.
fn says_it_knows(programs: &Programs) -> bool {
    let mut command = std::process::Command::new(programs.0.join(restoring_program(programs)));
    let said = command.env("ETCDCTL_API", "3").args(["snapshot", "restore", "--help"]).output();
    let said = said.unwrap();
    let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    text.contains("--bump-revision") && text.contains("--mark-compacted")
}

const FORWARD: u64 = 1_000_000_000;

#[tokio::test]
async fn server_etcd_whether_a_revision_is_moved_forward_follows_from_what_the_program_says() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let mut with = restoring(&folder, &programs, 1);
        with["bump_revision"] = json!(FORWARD);
        let tried = step(folder.path(), "etcd.restore", with).await;
        let output = tried.output.as_ref().unwrap();
        let knows = says_it_knows(&programs);
        assert_eq!(output["knows_bump_revision"], knows);
        let found = format!("{:?}", tried.events).contains("etcd.no_bump_revision");
        assert_eq!(found, !knows);
        if knows {
            assert_eq!(red(&tried), []);
        } else {
            let unproven =
                ["history compacted", "moved forward"].map(|name| (name, Outcome::Inconclusive));
            assert_eq!(red(&tried), unproven);
            assert_eq!((&output["moved_to"], output["hash_kv"].is_string()), (&Value::Null, true));
        }
        assert_nothing_is_left(&folder);
    }
}

/// etcd's programs, of which the one that restores does what later versions do: no package for this system has one of those. Etcd itself is
/// the real one, and so is what it makes of the database that it is given.
fn programs_that_move_forward(programs: &Programs) -> TempDir {
    let folder = TempDir::new().unwrap();
    let tool = restoring_program(programs);
    for name in ["etcd", "etcdctl", "etcdutl"].into_iter().filter(|name| *name != tool) {
        let real = programs.0.join(name);
        if real.exists() {
            std::os::unix::fs::symlink(real, folder.path().join(name)).unwrap();
        }
    }
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*'snapshot restore'*) exec {} {} {real} \"$@\";;\n*) exec {real} \"$@\";;\nesac\n",
        variable("REDRILL_TEST_PYTHON"),
        repository("tests/servers/etcdutl_with_bump_revision.py").display(),
        real = programs.0.join(tool).display(),
    );
    let written = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script])
        .arg(folder.path().join(tool))
        .status();
    assert!(written.unwrap().success());
    folder
}

#[tokio::test]
async fn server_etcd_a_snapshot_that_is_moved_forward_is_equal_in_all_that_its_compaction_leaves() {
    for (programs, etcd) in lived() {
        let (keys, revision) = etcd.count();
        let folder = stored(&etcd.snapshot(&programs));
        let forward = programs_that_move_forward(&programs);
        for members in [1, 3] {
            let mut with = restoring(&folder, &Programs(forward.path().to_owned()), members);
            with["bump_revision"] = json!(FORWARD);
            let tried = step(folder.path(), "etcd.restore", with).await;
            assert_eq!(red(&tried), [], "{:?}", tried.events);
            let output = tried.output.as_ref().unwrap();
            assert_eq!(output["moved_to"], revision + 1_000_000_000);
            assert_eq!((&output["keys"], &output["revision"]), (&json!(keys), &json!(revision)));
            assert_eq!(
                (&output["knows_bump_revision"], output["hash_kv"].is_string()),
                (&json!(true), true)
            );
            assert!(!format!("{:?}", tried.events).contains("etcd.no_bump_revision"));
            assert_nothing_is_left(&folder);
        }
    }
}

/// A drill whose only step restores the snapshot in this folder, with these programs.
fn killed_scenario(folder: &Path, programs: &Path) -> String {
    let with =
        json!({ "file": folder.join("snapshot.db"), "folder": folder, "programs": programs });
    let step = json!({ "id": "trial", "at": "dr", "phase": "verify", "gate": "acceptance", "uses": "etcd.restore", "with": with });
    let site =
        json!({ "account": "222222222222", "region": "ap-northeast-3", "role": "redrill-drill" });
    json!({
        "redrill": 1, "name": "killed", "title": "A restore that is killed", "owner": "tests",
        "disaster": { "kind": "deletion", "lost": [] }, "sites": { "dr": site },
        "objectives": { "rto": { "target": "1h" } }, "guard": { "write": ["dr"] }, "steps": [step],
    })
    .to_string()
}

/// A program that never ends in place of the one that restores.
fn stuck_programs(programs: &Programs) -> TempDir {
    let folder = TempDir::new().unwrap();
    let tool = restoring_program(programs);
    for name in ["etcd", "etcdctl", "etcdutl"].into_iter().filter(|name| *name != tool) {
        let real = programs.0.join(name);
        if real.exists() {
            std::os::unix::fs::symlink(real, folder.path().join(name)).unwrap();
        }
    }
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--help*) exec {} \"$@\";;\n*restore*) exec tail -f /dev/null \"$3\";;\n*) exec {} \"$@\";;\nesac\n",
        programs.0.join(tool).display(),
        programs.0.join(tool).display(),
    );
    let written = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script])
        .arg(folder.path().join(tool))
        .status();
    assert!(written.unwrap().success());
    folder
}

#[tokio::test]
async fn server_etcd_regression_a_restoring_program_does_not_outlive_a_killed_run() {
    for (programs, etcd) in lived() {
        let folder = stored(&etcd.snapshot(&programs));
        let stuck = stuck_programs(&programs);
        let program = Program::new();
        program.write("killed.yaml", killed_scenario(folder.path(), stuck.path()));
        let serve = ["sandbox", "serve", "--estate", "scenarios/estates/cluster-state.yaml"];
        let mut served =
            Started::start(program.command(&[&serve[..], &["--listen", "127.0.0.1:0"]].concat()));
        let line = served.line_with("http://");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let mut run = program.command(&["run", "killed.yaml", "--endpoint-url", url]);
        run.env("AWS_ACCESS_KEY_ID", "SANDBOX000000000000").env("AWS_SECRET_ACCESS_KEY", "sandbox");
        let mut run =
            run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Also the shells beside it name the folder; what is looked for is the program itself.
        let restoring = || {
            let all = running_in(folder.path());
            all.into_iter().any(|command| command.starts_with("tail -f /dev/null"))
        };
        let mut looks = 0;
        while !restoring() {
            looks += 1;
            let ended = run.try_wait().unwrap();
            if ended.is_some() || looks > 3000 {
                let said = run.wait_with_output().unwrap();
                panic!(
                    "{}{}",
                    String::from_utf8_lossy(&said.stdout),
                    String::from_utf8_lossy(&said.stderr)
                );
            }
            Clock::system().sleep(Duration::from_millis(10)).await;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        all_are_killed(folder.path()).await;
    }
}
