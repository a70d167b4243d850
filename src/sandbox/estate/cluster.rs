use super::{
    AccountId, DatabaseData, DatabaseEstate, ManualSnapshot, ReplicatedSnapshots, SnapshotSchedule,
};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A cluster of Aurora, its members, its backups and its data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterEstate {
    /// The cluster identifier, such as `payments`.
    pub id: String,
    /// The engine: `aurora-postgresql` or `aurora-mysql`.
    #[serde(default = "default_engine")]
    pub engine: String,
    /// The engine's version, such as `16.4`.
    #[serde(default = "default_version")]
    pub version: String,
    /// The key that encrypts the storage; without one it is not encrypted.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// The TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The name of the database in the engine.
    #[serde(default)]
    pub database: Option<String>,
    /// The first user.
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
    /// The cluster parameter group; the default one of the engine when left out.
    #[serde(default)]
    pub cluster_parameter_group: Option<String>,
    /// The parameter group of its members; the default one of the engine when left out.
    #[serde(default)]
    pub instance_parameter_group: Option<String>,
    /// The limits of Aurora Serverless v2, which members of the class `db.serverless` need.
    #[serde(default)]
    pub serverless: Option<ServerlessEstate>,
    /// The cluster's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How many days automated backups are kept.
    #[serde(default = "default_retention")]
    pub backup_retention: u32,
    /// Refuses to be deleted.
    #[serde(default)]
    pub deletion_protection: bool,
    /// Whether IAM database authentication is on.
    #[serde(default)]
    pub iam_auth: bool,
    /// The logs that are sent to CloudWatch.
    #[serde(default)]
    pub log_exports: Vec<String>,
    /// Its members; the first one writes.
    #[serde(default)]
    pub instances: Vec<MemberEstate>,
    /// How long after the request a cluster restored from one of its backups is available, still without members.
    #[serde(default = "default_restore")]
    pub restore_takes: HumanDuration,
    /// How long after the request a member of such a cluster is available.
    #[serde(default = "default_member")]
    pub instance_takes: HumanDuration,
    /// Automated snapshots.
    #[serde(default)]
    pub schedule: Option<ClusterSnapshotSchedule>,
    /// Snapshots that someone made by hand.
    #[serde(default)]
    pub snapshots: Vec<ManualSnapshot>,
    /// What is in it.
    #[serde(default)]
    pub data: DatabaseData,
}

/// The limits of Aurora Serverless v2, in capacity units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerlessEstate {
    /// The fewest.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// A member of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberEstate {
    /// The instance identifier.
    pub id: String,
    /// The instance class.
    #[serde(default = "default_class")]
    pub class: String,
    /// Its place in the order in which members take over: 0 is the first, 15 the last.
    #[serde(default = "default_tier")]
    pub tier: u32,
    /// Its availability zone; the first one of the region when left out.
    #[serde(default)]
    pub zone: Option<String>,
}

/// When automated snapshots of a cluster are taken, and where they are copied.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSnapshotSchedule {
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
    pub copies: Option<ClusterSnapshotCopies>,
    /// What is wrong with the content: SQL that is run after restoring any of these snapshots.
    #[serde(default)]
    pub damage: Vec<String>,
}

/// Copies of a cluster's automated snapshots in another region or account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSnapshotCopies {
    /// The account that holds the copies; the same one when left out.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// The region that holds the copies.
    pub region: String,
    /// The key there that encrypts them. Needed when the cluster is encrypted.
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
    /// The tag into which the copying job writes the time of the original (UTC): a copy has its own time only.
    #[serde(default)]
    pub time_tag: Option<String>,
    /// What is wrong with the content of the copies alone.
    #[serde(default)]
    pub damage: Vec<String>,
}

fn default_engine() -> String {
    "aurora-postgresql".into()
}
fn default_version() -> String {
    "16.4".into()
}
fn default_class() -> String {
    "db.t4g.medium".into()
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
fn default_retention() -> u32 {
    7
}
fn default_tier() -> u32 {
    1
}
fn default_restore() -> HumanDuration {
    Duration::from_secs(10 * 60).into()
}
fn default_member() -> HumanDuration {
    Duration::from_secs(8 * 60).into()
}
fn default_takes() -> HumanDuration {
    Duration::from_secs(5 * 60).into()
}

impl ClusterEstate {
    /// The cluster's storage and data, as one says them of an instance: whatever builds the contents of databases knows
    /// no clusters.
    pub fn as_database(&self) -> DatabaseEstate {
        DatabaseEstate {
            id: self.id.clone(),
            engine: self.engine.clone(),
            version: self.version.clone(),
            class: self.instances.first().map_or_else(default_class, |member| member.class.clone()),
            storage: 1,
            storage_type: "aurora".to_owned(),
            iops: None,
            storage_throughput: None,
            multi_az: false,
            kms_key: self.kms_key.clone(),
            port: self.port,
            database: self.database.clone(),
            master: self.master.clone(),
            users: self.users.clone(),
            subnet_group: self.subnet_group.clone(),
            security_groups: self.security_groups.clone(),
            parameter_group: self.instance_parameter_group.clone(),
            log_exports: Vec::new(),
            iam_auth: self.iam_auth,
            monitoring_interval: 0,
            ca: super::database::default_authority(),
            tags: self.tags.clone(),
            backup_retention: self.backup_retention,
            deletion_protection: false,
            restore_takes: self.restore_takes,
            copy_takes: HumanDuration::default(),
            schedule: self.schedule.as_ref().map(as_schedule),
            snapshots: self.snapshots.clone(),
            hydration: None,
            untold: Vec::new(),
            replicated_backups: None,
            deleted: None,
            replica_of: None,
            data: self.data.clone(),
        }
    }
}

fn as_schedule(schedule: &ClusterSnapshotSchedule) -> SnapshotSchedule {
    SnapshotSchedule {
        every: schedule.every,
        at: schedule.at,
        keep: schedule.keep,
        takes: schedule.takes,
        skipped: schedule.skipped.clone(),
        damage: schedule.damage.clone(),
        copies: schedule.copies.as_ref().map(|copies| ReplicatedSnapshots {
            account: copies.account.clone(),
            region: copies.region.clone(),
            kms_key: copies.kms_key.clone(),
            lag: copies.lag,
            keep: copies.keep,
            skipped: copies.skipped.clone(),
            tags: copies.tags.clone(),
            time_tag: copies.time_tag.clone(),
            damage: copies.damage.clone(),
        }),
    }
}
