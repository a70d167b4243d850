//! Tools that need no scenario: snapshots of etcd, databases, the sandbox, completions.

use super::{Format, name_and_value};
use crate::time::HumanDuration;
use clap::{ArgGroup, Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `redrill sql …`
#[derive(Debug, Subcommand)]
pub enum SqlCommand {
    /// Take down how a database is built and, if asked for, what it holds, as a file that `sql.check` compares with.
    Fingerprint(FingerprintArgs),
}

/// `redrill sql fingerprint`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("password").args(["password_env", "password_file"]).required(true),
    group = ArgGroup::new("taken").args(["rows", "checksums"]).multiple(true),
    after_help = "It only reads. The password is never given on the command line: name the variable or the file that holds it.\n\n\
                        Examples:\n  redrill sql fingerprint --url postgres://ro@db.example.com/orders --ca global-bundle.pem \\\n    \
                        --password-env DB_PASSWORD > references/orders.json\n  \
                        redrill sql fingerprint --url mysql://ro@127.0.0.1:3306/orders --tls off --password-file secret \\\n    \
                        --rows --checksums --table orders --table ledger"
)]
pub struct FingerprintArgs {
    /// The database: `postgres://USER@HOST:PORT/DATABASE`, or `mysql://…` for MySQL and MariaDB; the port may be left out.
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The environment variable that holds the password; or give --password-file.
    #[arg(long, value_name = "NAME")]
    pub password_env: Option<String>,
    /// The file that holds the password and nothing else; or give --password-env.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<String>,
    /// How the connection is protected. `encrypt` does not verify who answers; `off` is for loopback and tunnels.
    #[arg(long, value_parser = ["verify", "encrypt", "off"], default_value = "verify")]
    pub tls: String,
    /// Certificate authorities besides the public ones, as a PEM file. RDS needs it: global-bundle.pem.
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    pub ca: Option<String>,
    /// Counts the rows of tables.
    #[arg(long)]
    pub rows: bool,
    /// Takes ordered checksums of ranges of keys.
    #[arg(long)]
    pub checksums: bool,
    /// A table for --rows and --checksums; may be repeated. All tables without it; one that is not there is an error.
    #[arg(long = "table", value_name = "TABLE", requires = "taken")]
    pub tables: Vec<String>,
    /// A condition in SQL on the rows of a table whose checksums are taken; may be repeated, once for each table.
    #[arg(long = "only", value_name = "TABLE=CONDITION", value_parser = name_and_value, requires = "checksums")]
    pub only: Vec<(String, String)>,
    /// Into how many ranges of keys a table is cut at most.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub ranges: u32,
    /// Leaves keys out of the file: ranges stand on round numbers, or there is one.
    #[arg(long)]
    pub without_keys: bool,
    /// How long one statement may take.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub statement_timeout: HumanDuration,
}

/// `redrill etcd …`
#[derive(Debug, Subcommand)]
pub enum EtcdCommand {
    /// Say whether a snapshot can be trusted, without restoring it.
    Verify(EtcdVerifyArgs),
    /// Count what the snapshot of a Kubernetes cluster holds.
    Inventory(EtcdInventoryArgs),
    /// Compare what two snapshots hold, or a snapshot with an inventory that was kept.
    Diff(EtcdDiffArgs),
}

/// `redrill etcd verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Read whole: the SHA-256 at the end, both meta pages, every page, every revision. Packed files (gzip, zlib, zip, \
                        zstd) are unpacked as they are read. Exit codes: 0 sound, 1 damaged, 2 not proven.\n\n\
                        Examples:\n  redrill etcd verify snapshot.db\n  \
                        aws s3 cp s3://backups/etcd.backup.gz - | redrill etcd verify -\n  \
                        redrill etcd verify snapshot.db --revision 52000 --compacted 48000   # HashKV of a live member"
)]
pub struct EtcdVerifyArgs {
    /// The snapshot; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Computes HashKV, too: the number on which the members of a cluster agree. It takes another look at the file.
    #[arg(long)]
    pub hash_kv: bool,
    /// The revision at which HashKV is computed, as `etcdctl endpoint hashkv --rev` does. Without it, the last one.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<i64>,
    /// The compact revision that the member shows with its HashKV, when it has compacted since the snapshot.
    #[arg(long, value_name = "REVISION")]
    pub compacted: Option<i64>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// As `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

impl EtcdVerifyArgs {
    /// How the answer is written.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// `redrill etcd inventory`
#[derive(Debug, Args)]
#[command(
    after_help = "No value of any object is shown. Exit codes: 0 counted, 1 damaged, a key that was asked for is missing, or \
                        the secret is not decrypted, 2 no objects, or not known whether the secret is decrypted.\n\n\
                        Examples:\n  redrill etcd inventory snapshot.db --namespaces\n  \
                        redrill etcd inventory snapshot.db --key /registry/deployments/payments/api\n  \
                        redrill etcd inventory snapshot.db --decrypt payments/api --encryption-config encryption.yaml\n  \
                        redrill etcd inventory snapshot.db --format json > baseline.json"
)]
pub struct EtcdInventoryArgs {
    /// The snapshot; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A key that must be there; may be repeated.
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// A secret that must be decrypted by the keys of --encryption-config. Its value is not shown.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "encryption_config")]
    pub decrypt: Option<String>,
    /// The file that the API server is given with --encryption-provider-config.
    #[arg(long, value_name = "FILE", requires = "decrypt")]
    pub encryption_config: Option<PathBuf>,
    /// Counts by namespace, too.
    #[arg(long)]
    pub namespaces: bool,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill etcd diff`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 as before, within the tolerance, 1 not so, or gone back to an earlier revision, 2 nothing to compare.\n\n\
                        Examples:\n  redrill etcd diff monday.db tuesday.db --tolerance 5 --ignore events\n  \
                        redrill etcd diff baseline.json snapshot.db"
)]
pub struct EtcdDiffArgs {
    /// The earlier snapshot, or its inventory as JSON.
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The later one.
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How many percent a count may differ.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..100))]
    pub tolerance: u32,
    /// A resource that is not compared, such as `events`; may be repeated.
    #[arg(long, value_name = "RESOURCE")]
    pub ignore: Vec<String>,
    /// The later one must end at a later revision: at the same one it holds nothing new. At an earlier one it fails in any case.
    #[arg(long)]
    pub moved_on: bool,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill sandbox …`
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Serve an estate over HTTP, for the AWS CLI, boto3 and Terraform.
    Serve(ServeArgs),
    /// List the operations that the sandbox simulates, and how faithfully.
    Operations(OperationsArgs),
}

/// `redrill sandbox operations`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  redrill sandbox operations\n  redrill sandbox operations --format json"
)]
pub struct OperationsArgs {
    /// How the list is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `redrill sandbox serve`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  redrill sandbox serve --estate scenarios/estates/orders-db.yaml --listen 127.0.0.1:4600\n  \
                        AWS_ACCESS_KEY_ID=SANDBOX222222222222 AWS_SECRET_ACCESS_KEY=sandbox \\\n    \
                        aws --endpoint-url http://127.0.0.1:4600 --region ap-northeast-3 rds describe-db-snapshots"
)]
pub struct ServeArgs {
    /// The estate file.
    #[arg(long, value_name = "FILE")]
    pub estate: PathBuf,
    /// The address to listen on: loopback only. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4600")]
    pub listen: SocketAddr,
    /// How many times faster than real time the estate's clock runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub speed: u32,
    /// Adds a fault to the estate; may be repeated.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
}

/// `redrill completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  redrill completions bash > ~/.local/share/bash-completion/completions/redrill"
)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
