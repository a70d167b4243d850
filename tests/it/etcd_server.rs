//! Real etcds for tests: started on loopback with an empty folder, and ended with the test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The versions of etcd under test, each with the variable that names the folder of its programs.
pub(crate) const VERSIONS: [&str; 2] = ["REDRILL_TEST_ETCD_BIN_34", "REDRILL_TEST_ETCD_BIN_35"];

/// The programs of one version of etcd.
pub(crate) struct Programs(pub(crate) PathBuf);

impl Programs {
    #[expect(clippy::disallowed_methods, reason = "tests/run says here where it put etcd")]
    pub(crate) fn named_by(variable: &str) -> Self {
        let folder = std::env::var(variable).unwrap_or_else(|_| {
            panic!("{variable} must name the folder that holds etcd and etcdctl: see tests/run")
        });
        Self(PathBuf::from(folder))
    }

    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> Output {
        let program = self.0.join("etcdctl");
        let mut command = Command::new(&program);
        command.env("ETCDCTL_API", "3").args(arguments);
        command.output().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
    }
}

/// A running etcd of one member with an empty folder of its own. Killed when dropped.
pub(crate) struct Etcd {
    pub(crate) process: Child,
    pub(crate) client: SocketAddr,
    /// Where it tells whether it is ready.
    health: SocketAddr,
    arguments: Vec<String>,
    pub(crate) folder: TempDir,
}

fn arguments(name: &str, client: SocketAddr, peer: SocketAddr, all: &str) -> Vec<String> {
    let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
    let arguments = [
        ["--name", name],
        ["--initial-cluster", all],
        ["--listen-client-urls", &client],
        ["--advertise-client-urls", &client],
        ["--listen-peer-urls", &peer],
        ["--initial-advertise-peer-urls", &peer],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

fn spawn(programs: &Programs, folder: &TempDir, arguments: &[String]) -> Child {
    Command::new(programs.0.join("etcd"))
        .args(arguments)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .stdout(Stdio::null())
        .stderr(File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Etcd {
    pub(crate) fn start(programs: &Programs) -> Self {
        // Another process may take a free port before etcd does.
        for _ in 0..5 {
            if let Some(etcd) = Self::start_in(programs, TempDir::new().unwrap()) {
                return etcd;
            }
        }
        panic!("etcd did not start, five times");
    }

    /// An etcd that `etcdctl snapshot restore` made.
    pub(crate) fn restored(programs: &Programs, snapshot: &[u8]) -> Self {
        for _ in 0..5 {
            let folder = TempDir::new().unwrap();
            let (file, data) = (folder.path().join("snapshot.db"), folder.path().join("data"));
            std::fs::write(&file, snapshot).unwrap();
            let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
            let done = programs.etcdctl(&["snapshot", "restore", file, "--data-dir", data]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            if let Some(etcd) = Self::start_in(programs, folder) {
                return etcd;
            }
        }
        panic!("the restored etcd did not start, five times");
    }

    fn start_in(programs: &Programs, folder: TempDir) -> Option<Self> {
        let (client, peer) = free_ports();
        let all = format!("n1=http://{peer}");
        let mut etcd =
            Self::begin(programs, folder, client, client, &arguments("n1", client, peer, &all));
        etcd.becomes_ready().then_some(etcd)
    }

    /// Starts a member, which is not ready yet.
    fn begin(
        programs: &Programs,
        folder: TempDir,
        client: SocketAddr,
        health: SocketAddr,
        arguments: &[String],
    ) -> Self {
        let process = spawn(programs, &folder, arguments);
        Self { process, client, health, arguments: arguments.to_vec(), folder }
    }

    /// Three members of one cluster: `n1`, `n2` and `n3`.
    pub(crate) fn cluster_of_three(programs: &Programs) -> Vec<Self> {
        for _ in 0..5 {
            let ports: Vec<_> = (1..=3).map(|n| (format!("n{n}"), free_ports())).collect();
            let all: Vec<String> =
                ports.iter().map(|(name, (_, peer))| format!("{name}=http://{peer}")).collect();
            let begin = |(name, (client, peer)): &(String, (SocketAddr, SocketAddr))| {
                let arguments = arguments(name, *client, *peer, &all.join(","));
                Self::begin(programs, TempDir::new().unwrap(), *client, *client, &arguments)
            };
            let mut members: Vec<Self> = ports.iter().map(begin).collect();
            if members.iter_mut().all(Self::becomes_ready) {
                return members;
            }
        }
        panic!("a cluster of three did not start, five times");
    }

    /// A member that speaks TLS with the certificates in a folder, and wants one of its clients.
    pub(crate) fn with_tls(programs: &Programs, certificates: &Path) -> Self {
        for _ in 0..5 {
            let ((client, peer), (health, _)) = (free_ports(), free_ports());
            let mut arguments = arguments("n1", client, peer, &format!("n1=http://{peer}"));
            arguments.iter_mut().for_each(|a| {
                *a = a.replace(&format!("http://{client}"), &format!("https://{client}"))
            });
            let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
            arguments.extend([
                format!("--cert-file={}", file("server.pem")),
                format!("--key-file={}", file("server.key")),
                format!("--trusted-ca-file={}", file("ca.pem")),
                "--client-cert-auth".to_owned(),
                // The one place that tells in plain HTTP whether it is ready.
                format!("--listen-metrics-urls=http://{health}"),
            ]);
            let mut etcd =
                Self::begin(programs, TempDir::new().unwrap(), client, health, &arguments);
            if etcd.becomes_ready() {
                return etcd;
            }
        }
        panic!("etcd did not start with TLS, five times");
    }

    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts a member again that was stopped.
    pub(crate) fn start_again(&mut self, programs: &Programs) {
        self.process = spawn(programs, &self.folder, &self.arguments);
        assert!(
            self.becomes_ready(),
            "{}",
            std::fs::read_to_string(self.folder.path().join("log")).unwrap()
        );
    }

    #[expect(clippy::disallowed_methods, reason = "waits for a real process")]
    fn becomes_ready(&mut self) -> bool {
        for _ in 0..300 {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let health = request_to(self.health, "GET", "/health", "").unwrap_or_default();
            if health.contains(r#""health":"true""#) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        request_to(self.client, method, path, body)
    }

    /// A call to the JSON gateway.
    pub(crate) fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.request("POST", path, &body.to_string()).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    pub(crate) fn put(&self, entries: &[Value]) {
        for some in entries.chunks(100) {
            let puts: Vec<Value> = some.iter().map(|put| json!({ "request_put": put })).collect();
            self.call("/v3/kv/txn", &json!({ "success": puts }));
        }
    }

    /// What etcdctl of the same version prints as JSON.
    pub(crate) fn ask(&self, programs: &Programs, arguments: &[&str]) -> Value {
        let endpoint = self.client.to_string();
        let output =
            programs.etcdctl(&[&["--endpoints", &endpoint, "-w", "json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `etcdctl snapshot save` writes.
    pub(crate) fn snapshot(&self, programs: &Programs) -> Vec<u8> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("snapshot.db");
        let endpoint = self.client.to_string();
        let arguments = ["--endpoints", &endpoint, "snapshot", "save", path.to_str().unwrap()];
        let saved = programs.etcdctl(&arguments);
        assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
        std::fs::read(path).unwrap()
    }

    /// How many keys there are, and the revision, as the server says.
    pub(crate) fn count(&self) -> (u64, i64) {
        let everything = json!({ "key": BASE64.encode(b"\0"), "range_end": BASE64.encode(b"\0"),
                                 "count_only": true });
        let answer = self.call("/v3/kv/range", &everything);
        let number = |value: &Value| value.as_str().unwrap().parse::<i64>().unwrap();
        (number(&answer["count"]).unsigned_abs(), number(&answer["header"]["revision"]))
    }
}

fn request_to(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.lines().next().is_some_and(|status| status.contains(" 200 ")) {
        return Err(io::Error::other(format!("{method} {path}: {answer}")));
    }
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok(body.unwrap_or_default())
}

fn free_ports() -> (SocketAddr, SocketAddr) {
    let [one, other] =
        [0, 0].map(|any_port| TcpListener::bind((Ipv4Addr::LOCALHOST, any_port)).unwrap());
    (one.local_addr().unwrap(), other.local_addr().unwrap())
}
