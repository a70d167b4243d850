use super::AccountId;
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A database instance of RDS, its backups and its data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseEstate {
    /// The instance identifier, such as `orders-db`.
    pub id: String,
    /// The engine, such as `postgres`.
    #[serde(default = "default_engine")]
    pub engine: String,
    /// The engine's version, such as `16.4`.
    #[serde(default = "default_version")]
    pub version: String,
    /// The instance class.
    #[serde(default = "default_class")]
    pub class: String,
    /// The size of the storage in GiB.
    #[serde(default = "default_storage")]
    pub storage: u32,
    /// The type of the storage.
    #[serde(default = "default_storage_type")]
    pub storage_type: String,
    /// Provisioned input and output operations a second.
    #[serde(default)]
    pub iops: Option<u32>,
    /// Provisioned throughput of the storage in MiB a second.
    #[serde(default)]
    pub storage_throughput: Option<u32>,
    /// A standby in another zone.
    #[serde(default)]
    pub multi_az: bool,
    /// The key that encrypts the storage; without one it is not encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// The TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The name of the database in the engine.
    #[serde(default)]
    pub database: Option<String>,
    /// The first user, whose password ModifyDBInstance changes.
    #[serde(default = "default_master")]
    pub master: String,
    /// Users and their passwords. Never real ones.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
    /// The subnet group; `default` when left out.
    #[serde(default = "default_group")]
    pub subnet_group: String,
    /// The security groups; that of the default VPC when left out.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// The parameter group; the default one of the engine when left out.
    #[serde(default)]
    pub parameter_group: Option<String>,
    /// The logs that are sent to CloudWatch.
    #[serde(default)]
    pub log_exports: Vec<String>,
    /// Whether IAM database authentication is on.
    #[serde(default)]
    pub iam_auth: bool,
    /// The seconds between two looks of Enhanced Monitoring; 0 when it is off.
    #[serde(default)]
    pub monitoring_interval: u32,
    /// The authority of its server certificate.
    #[serde(default = "default_authority")]
    pub ca: String,
    /// The instance's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How many days automated backups are kept.
    #[serde(default = "default_retention")]
    pub backup_retention: u32,
    /// Refuses to be deleted.
    #[serde(default)]
    pub deletion_protection: bool,
    /// How long after the request an instance restored from one of its snapshots is available.
    #[serde(default = "default_restore")]
    pub restore_takes: HumanDuration,
    /// How long a copy made by CopyDBSnapshot takes.
    #[serde(default = "default_copy")]
    pub copy_takes: HumanDuration,
    /// How the storage of instances restored from its snapshots loads; as if it were loaded at once when left out.
    #[serde(default)]
    pub hydration: Option<Hydration>,
    /// Automated snapshots.
    #[serde(default)]
    pub schedule: Option<SnapshotSchedule>,
    /// Snapshots that someone made by hand.
    #[serde(default)]
    pub snapshots: Vec<ManualSnapshot>,
    /// The times that RDS does not tell of its snapshots and of their copies.
    #[serde(default)]
    pub untold: Vec<SnapshotTime>,
    /// Its automated backups, replicated to another region.
    #[serde(default)]
    pub replicated_backups: Option<ReplicatedBackups>,
    /// How long before the estate's `now` the instance was deleted. Its automated backups were retained then.
    #[serde(default)]
    pub deleted: Option<HumanDuration>,
    /// The database of this estate that it is a read replica of; its data are those of that one.
    #[serde(default)]
    pub replica_of: Option<ReplicaSource>,
    /// What is in it.
    #[serde(default)]
    pub data: DatabaseData,
}

fn default_engine() -> String {
    "postgres".into()
}
fn default_version() -> String {
    "16.4".into()
}
fn default_class() -> String {
    "db.t4g.medium".into()
}
fn default_storage() -> u32 {
    20
}
fn default_storage_type() -> String {
    "gp3".into()
}
fn default_port() -> u16 {
    5432
}
fn default_master() -> String {
    "postgres".into()
}
fn default_group() -> String {
    "default".into()
}
pub(super) fn default_authority() -> String {
    "rds-ca-rsa2048-g1".into()
}
fn default_retention() -> u32 {
    7
}
fn default_restore() -> HumanDuration {
    Duration::from_secs(12 * 60).into()
}
fn default_copy() -> HumanDuration {
    Duration::from_secs(10 * 60).into()
}

/// Restored storage loads its blocks in the background, in their order, from the request on; blocks that are read before are
/// loaded at once, slowly.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hydration {
    /// How long loading everything takes in the background.
    pub takes: HumanDuration,
    /// How long the first read of a block takes that is not loaded.
    pub cold: HumanDuration,
    /// How long reading a table as a whole takes.
    pub warm_up: HumanDuration,
}

/// A time of the data that RDS may or may not tell of a snapshot, named as in its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotTime {
    /// That of the newest transaction.
    SnapshotDatabaseTime,
    /// When the first of a chain of copies was made.
    OriginalSnapshotCreateTime,
}

/// When automated snapshots are taken, and where they are copied.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSchedule {
    /// The time between two snapshots.
    pub every: HumanDuration,
    /// How long after the multiple of `every` (counted from midnight UTC) it starts.
    #[serde(default)]
    pub at: HumanDuration,
    /// How long a snapshot is kept.
    pub keep: HumanDuration,
    /// How long taking one lasts.
    #[serde(default = "default_takes")]
    pub takes: HumanDuration,
    /// Snapshots that were not taken: 1 is the newest before the estate's `now`, 2 the one before it.
    #[serde(default)]
    pub skipped: Vec<u32>,
    /// The copies made of each.
    #[serde(default)]
    pub copies: Option<ReplicatedSnapshots>,
    /// What is wrong with the content: SQL that is run after restoring any of these snapshots.
    #[serde(default)]
    pub damage: Vec<String>,
}

fn default_takes() -> HumanDuration {
    Duration::from_secs(5 * 60).into()
}

/// Copies of automated snapshots in another region or account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicatedSnapshots {
    /// The account that holds the copies; the same one when left out.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// The region that holds the copies.
    pub region: String,
    /// The key there that encrypts them. Needed when the database is encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// How long after the original was finished the copy is available.
    #[serde(default)]
    pub lag: HumanDuration,
    /// How long a copy is kept; as long as the original when left out.
    #[serde(default)]
    pub keep: Option<HumanDuration>,
    /// Copies that were not made, counted as `skipped` is.
    #[serde(default)]
    pub skipped: Vec<u32>,
    /// Tags that the copying job puts on each copy.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The tag into which the copying job writes the time of the original (UTC).
    #[serde(default)]
    pub time_tag: Option<String>,
    /// What is wrong with the content of the copies alone.
    #[serde(default)]
    pub damage: Vec<String>,
}

/// What a read replica is a replica of.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSource {
    /// The identifier of the source.
    pub id: String,
    /// The region of the source in the same account; that of the replica when left out.
    #[serde(default)]
    pub region: Option<String>,
    /// How far the replica is behind.
    #[serde(default)]
    pub lag: HumanDuration,
}

/// Automated backups that RDS replicates: base snapshots and transaction logs, so that a point in time can be restored.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicatedBackups {
    /// The region to which they are replicated, in the same account.
    pub region: String,
    /// The key there that encrypts them. Needed when the database is encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// How far the replicated transaction logs are behind.
    #[serde(default = "default_log_lag")]
    pub lag: HumanDuration,
    /// How long they are kept.
    #[serde(default = "default_log_keep")]
    pub keep: HumanDuration,
    /// How long before the estate's `now` the replication stopped without a word.
    #[serde(default)]
    pub stalled: Option<HumanDuration>,
    /// What is wrong with the content: SQL that is run after restoring from them.
    #[serde(default)]
    pub damage: Vec<String>,
}

fn default_log_lag() -> HumanDuration {
    Duration::from_secs(5 * 60).into()
}
fn default_log_keep() -> HumanDuration {
    Duration::from_secs(7 * 86_400).into()
}

/// A snapshot that someone made by hand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualSnapshot {
    /// Its identifier.
    pub id: String,
    /// How long before the estate's `now` it was taken.
    pub age: HumanDuration,
    /// Who took it.
    #[serde(default)]
    pub taken_by: TakenBy,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Accounts that may restore it.
    #[serde(default)]
    pub shared_with: Vec<AccountId>,
    /// What is wrong with its content: SQL that is run after restoring it.
    #[serde(default)]
    pub damage: Vec<String>,
}

/// Who takes snapshots besides the schedule of the instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakenBy {
    /// A person or a program, by a call.
    #[default]
    Manual,
    /// AWS Backup; its identifiers begin with `awsbackup:`.
    Awsbackup,
}

impl TakenBy {
    /// The type of the snapshot as RDS writes it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Awsbackup => "awsbackup",
        }
    }
}

/// What is in a database. It is held in SQLite: SQL that SQLite does not know needs a canned answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseData {
    /// Statements that create and fill it. SQLite's dialect.
    #[serde(default)]
    pub sql: Vec<String>,
    /// A row that an application writes at regular intervals.
    #[serde(default)]
    pub heartbeat: Option<Heartbeat>,
    /// Answers to SQL that SQLite cannot run, compared as text after folding white space.
    #[serde(default)]
    pub answers: Vec<CannedAnswer>,
}

/// A row written at each multiple of `every` since midnight UTC. The newest hundred exist. The table is created
/// unless `sql` has done so.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The table.
    pub table: String,
    /// The column that holds the time of the beat, as RFC 3339 text in UTC.
    pub column: String,
    /// The time between two beats.
    pub every: HumanDuration,
}

/// The answer to one SQL text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CannedAnswer {
    /// The text.
    pub sql: String,
    /// The names of the columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows: lists of numbers, texts, booleans and nulls.
    #[serde(default)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// The database's error message instead of rows.
    #[serde(default)]
    pub error: Option<String>,
}
