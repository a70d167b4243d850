use crate::sandbox::estate::DatabaseEstate;
use crate::sandbox::state::{Place, PlaceKey, Timeline, tag_line};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The data of an instance or of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The database of the estate that it comes from.
    pub(crate) origin: Arc<DatabaseEstate>,
    /// Where that database is, to tell databases of the same name apart.
    pub(crate) home: PlaceKey,
    /// The time of its newest transaction; none for the living database.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// What went wrong with it on the way: SQL.
    pub(crate) damage: Vec<String>,
}

/// What can be chosen of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) class: String,
    pub(crate) storage: u32,
    pub(crate) storage_type: String,
    pub(crate) iops: Option<u32>,
    /// MiB a second.
    pub(crate) storage_throughput: Option<u32>,
    pub(crate) multi_az: bool,
    pub(crate) port: u16,
    pub(crate) database: Option<String>,
    pub(crate) master: String,
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) zone: String,
    pub(crate) subnet_group: String,
    pub(crate) security_groups: Vec<String>,
    pub(crate) parameter_group: String,
    pub(crate) option_group: String,
    pub(crate) backup_retention: u32,
    pub(crate) deletion_protection: bool,
    pub(crate) iam_authentication: bool,
    pub(crate) log_exports: Vec<String>,
    pub(crate) copy_tags_to_snapshot: bool,
    pub(crate) publicly_accessible: bool,
    pub(crate) auto_minor_version_upgrade: bool,
    pub(crate) certificate: String,
    /// The seconds between two looks of Enhanced Monitoring; 0 when it is off.
    pub(crate) monitoring_interval: u32,
    pub(crate) monitoring_role: Option<String>,
}

impl Settings {
    pub(crate) fn of(database: &DatabaseEstate, place: &PlaceKey) -> Self {
        let groups = match database.security_groups.is_empty() {
            true => vec![DEFAULT_SECURITY_GROUP.to_owned()],
            false => database.security_groups.clone(),
        };
        let parameter_group = database
            .parameter_group
            .clone()
            .unwrap_or_else(|| default_parameter_group(&database.engine, &database.version));
        Self {
            engine: database.engine.clone(),
            version: database.version.clone(),
            class: database.class.clone(),
            storage: database.storage,
            storage_type: database.storage_type.clone(),
            iops: database.iops,
            storage_throughput: database.storage_throughput,
            multi_az: database.multi_az,
            port: database.port,
            database: database.database.clone(),
            master: database.master.clone(),
            users: database.users.clone(),
            zone: format!("{}a", place.region),
            subnet_group: database.subnet_group.clone(),
            security_groups: groups,
            parameter_group,
            option_group: default_option_group(&database.engine, &database.version),
            backup_retention: database.backup_retention,
            deletion_protection: database.deletion_protection,
            iam_authentication: database.iam_auth,
            log_exports: database.log_exports.clone(),
            copy_tags_to_snapshot: false,
            publicly_accessible: false,
            auto_minor_version_upgrade: true,
            certificate: database.ca.clone(),
            monitoring_interval: database.monitoring_interval,
            monitoring_role: (database.monitoring_interval > 0)
                .then(|| format!("arn:aws:iam::{}:role/rds-monitoring", place.account)),
        }
    }
}

/// The security group of the default VPC, which is what an instance gets when none is named.
pub(crate) const DEFAULT_SECURITY_GROUP: &str = "sg-default";

/// The default VPC.
pub(crate) const DEFAULT_VPC: &str = "vpc-default";

/// The family of parameter groups that fits an engine: `postgres16`, `mysql8.0`.
pub(crate) fn family(engine: &str, version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    match (engine, &parts[..]) {
        ("postgres" | "aurora-postgresql", [major, ..]) => format!("{engine}{major}"),
        ("mysql" | "mariadb" | "aurora-mysql", [major, minor, ..]) => {
            format!("{engine}{major}.{minor}")
        }
        (_, [major, ..]) if engine.starts_with("oracle") => format!("{engine}-{major}"),
        (_, [major, ..]) if engine.starts_with("sqlserver") => format!("{engine}-{major}.0"),
        _ => format!("{engine}{version}"),
    }
}

pub(crate) fn default_parameter_group(engine: &str, version: &str) -> String {
    format!("default.{}", family(engine, version))
}

pub(crate) fn default_option_group(engine: &str, version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    match (engine, &parts[..]) {
        ("mysql" | "mariadb" | "aurora-mysql", [major, minor, ..]) => {
            format!("default:{engine}-{major}-{minor}")
        }
        (_, [major, ..]) => format!("default:{engine}-{major}"),
        _ => format!("default:{engine}"),
    }
}

/// A database instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    pub(crate) settings: Settings,
    /// Settings that take effect later.
    pub(crate) pending: Option<(DateTime<Utc>, Settings)>,
    pub(crate) kms_key: Option<String>,
    pub(crate) resource_id: String,
    /// The twelve digits in the host name of its endpoint.
    pub(crate) endpoint_code: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// The instance that it is a read replica of: its identifier, in another region its ARN.
    pub(crate) replica_of: Option<String>,
    /// When its promotion is done: it is a replica no more.
    pub(crate) promoted: Option<DateTime<Utc>>,
    pub(crate) content: Content,
    /// Of which cluster it is a member. Its data is the cluster's.
    pub(crate) member: Option<Membership>,
}

/// An instance's place in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) cluster: String,
    pub(crate) tier: u32,
}

impl Instance {
    /// A replica receives nothing any more: it holds what had come until then.
    pub(crate) fn cut_off(&mut self, lag: std::time::Duration, now: DateTime<Utc>) {
        let behind = chrono::TimeDelta::from_std(lag).unwrap_or_default();
        let until = now - behind;
        self.content.as_of = Some(self.content.as_of.map_or(until, |as_of| as_of.min(until)));
    }

    /// The host name of the endpoint.
    pub(crate) fn host(&self, region: &str) -> String {
        format!("{}.{}.{region}.rds.sandbox.invalid", self.id, self.endpoint_code)
    }
}

/// A snapshot of a database instance.
#[derive(Clone, Debug)]
pub(crate) struct DbSnapshot {
    pub(crate) id: String,
    /// `automated`, `manual` or `awsbackup`.
    pub(crate) kind: &'static str,
    pub(crate) instance: String,
    pub(crate) resource_id: String,
    pub(crate) instance_created: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    /// When this snapshot was made: for a copy, when the copy was.
    pub(crate) created: DateTime<Utc>,
    pub(crate) original_created: DateTime<Utc>,
    pub(crate) settings: Settings,
    pub(crate) vpc: String,
    pub(crate) kms_key: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) shared_with: Vec<String>,
    /// The ARN of the original of a copy.
    pub(crate) source_arn: Option<String>,
    /// Where the original of a copy is.
    pub(crate) source_place: Option<PlaceKey>,
    /// When the schedule that made it takes it away.
    pub(crate) expires: Option<DateTime<Utc>>,
    /// Made by a schedule, not by a call.
    pub(crate) scheduled: bool,
    pub(crate) content: Content,
}

impl DbSnapshot {
    pub(crate) fn arn(&self, place: &PlaceKey) -> String {
        place.arn("rds", &format!("snapshot:{}", self.id))
    }
}

/// Something that DescribeEvents tells.
#[derive(Clone, Debug)]
pub(crate) struct RdsEvent {
    pub(crate) date: DateTime<Utc>,
    /// `db-instance`, `db-cluster` or `db-snapshot`.
    pub(crate) source_type: &'static str,
    pub(crate) source: String,
    pub(crate) category: &'static str,
    pub(crate) message: String,
}

/// Adds what exists here.
pub(crate) fn inventory(
    key: &PlaceKey,
    place: &Place,
    now: DateTime<Utc>,
    all: &mut BTreeMap<String, String>,
) {
    for instance in place.instances.values() {
        if let Some(state) = instance.timeline.state(now) {
            let line = format!("{state}{}", tag_line(&instance.tags));
            all.insert(key.arn("rds", &format!("db:{}", instance.id)), line);
        }
    }
    for snapshot in place.db_snapshots.values() {
        if let Some(state) = snapshot.timeline.state(now) {
            let origin = if snapshot.scheduled { "scheduled " } else { "" };
            let line = format!("{origin}{state}{}", tag_line(&snapshot.tags));
            all.insert(snapshot.arn(key), line);
        }
    }
}
