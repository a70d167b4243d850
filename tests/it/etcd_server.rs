//! Real etcds for tests: started on loopback with an empty folder, and ended with the test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
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
    pub(crate) folder: TempDir,
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
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let process = Command::new(programs.0.join("etcd"))
            .args(["--name", "n1", "--initial-cluster", &format!("n1={peer_url}")])
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut etcd = Self { process, client, folder };
        etcd.becomes_ready().then_some(etcd)
    }

    #[expect(clippy::disallowed_methods, reason = "waits for a real process")]
    fn becomes_ready(&mut self) -> bool {
        for _ in 0..300 {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let health = self.request("GET", "/health", "").unwrap_or_default();
            if health.contains(r#""health":"true""#) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.client)?;
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

fn free_ports() -> (SocketAddr, SocketAddr) {
    let [one, other] =
        [0, 0].map(|any_port| TcpListener::bind((Ipv4Addr::LOCALHOST, any_port)).unwrap());
    (one.local_addr().unwrap(), other.local_addr().unwrap())
}
