use crate::sandbox::estate::{ClusterEstate, ParameterGroupEstate};
use crate::sandbox::rds::model::{
    Content, DEFAULT_SECURITY_GROUP, Instance, Settings, default_option_group,
    default_parameter_group,
};
use crate::sandbox::state::{Place, PlaceKey, State, Timeline, tag_line};
use crate::sandbox::wire::AwsError;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// What can be chosen of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusterSettings {
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) mode: String,
    pub(crate) port: u16,
    pub(crate) database: Option<String>,
    pub(crate) master: String,
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) subnet_group: String,
    pub(crate) security_groups: Vec<String>,
    pub(crate) parameter_group: String,
    pub(crate) backup_retention: u32,
    pub(crate) deletion_protection: bool,
    pub(crate) iam_authentication: bool,
    pub(crate) log_exports: Vec<String>,
    pub(crate) storage_type: String,
    /// The limits of Aurora Serverless v2, in capacity units.
    pub(crate) scaling: Option<(f64, f64)>,
}

impl ClusterSettings {
    pub(crate) fn of(cluster: &ClusterEstate) -> Self {
        let security_groups = match cluster.security_groups.is_empty() {
            true => vec![DEFAULT_SECURITY_GROUP.to_owned()],
            false => cluster.security_groups.clone(),
        };
        let parameter_group = cluster
            .cluster_parameter_group
            .clone()
            .unwrap_or_else(|| default_parameter_group(&cluster.engine, &cluster.version));
        Self {
            engine: cluster.engine.clone(),
            version: cluster.version.clone(),
            mode: "provisioned".to_owned(),
            port: cluster.port,
            database: cluster.database.clone(),
            master: cluster.master.clone(),
            users: cluster.users.clone(),
            subnet_group: cluster.subnet_group.clone(),
            security_groups,
            parameter_group,
            backup_retention: cluster.backup_retention,
            deletion_protection: cluster.deletion_protection,
            iam_authentication: cluster.iam_auth,
            log_exports: cluster.log_exports.clone(),
            storage_type: "aurora".to_owned(),
            scaling: cluster.serverless.map(|limits| (limits.min, limits.max)),
        }
    }

    /// What a member of such a cluster has of it. Class, zone and parameter group are its own.
    pub(super) fn of_member(&self, place: &PlaceKey) -> Settings {
        Settings {
            engine: self.engine.clone(),
            version: self.version.clone(),
            class: String::new(),
            storage: 1,
            storage_type: self.storage_type.clone(),
            iops: None,
            storage_throughput: None,
            multi_az: false,
            port: self.port,
            database: self.database.clone(),
            master: self.master.clone(),
            users: self.users.clone(),
            zone: format!("{}a", place.region),
            subnet_group: self.subnet_group.clone(),
            security_groups: self.security_groups.clone(),
            parameter_group: default_parameter_group(&self.engine, &self.version),
            option_group: default_option_group(&self.engine, &self.version),
            backup_retention: self.backup_retention,
            deletion_protection: false,
            iam_authentication: self.iam_authentication,
            log_exports: self.log_exports.clone(),
            copy_tags_to_snapshot: false,
            publicly_accessible: false,
            auto_minor_version_upgrade: true,
            certificate: "rds-ca-rsa2048-g1".to_owned(),
            monitoring_interval: 0,
            monitoring_role: None,
        }
    }
}

/// A cluster. Its members are among the instances of its place.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    pub(crate) settings: ClusterSettings,
    pub(crate) kms_key: Option<String>,
    pub(crate) resource_id: String,
    /// The twelve digits in the host names of its endpoints.
    pub(crate) endpoint_code: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) content: Content,
    /// How long a new member takes.
    pub(crate) member_takes: Duration,
}

impl Cluster {
    /// The host name at which the member answers that writes.
    pub(crate) fn host(&self, region: &str) -> String {
        format!("{}.cluster-{}.{region}.rds.sandbox.invalid", self.id, self.endpoint_code)
    }

    /// The host name at which members answer that read.
    pub(crate) fn reader_host(&self, region: &str) -> String {
        format!("{}.cluster-ro-{}.{region}.rds.sandbox.invalid", self.id, self.endpoint_code)
    }
}

/// A snapshot of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSnapshot {
    pub(crate) id: String,
    /// `automated`, `manual` or `awsbackup`.
    pub(crate) kind: &'static str,
    pub(crate) cluster: String,
    pub(crate) resource_id: String,
    pub(crate) cluster_created: DateTime<Utc>,
    pub(crate) timeline: Timeline,
    /// When this snapshot was made: for a copy, when the copy was. That of the original is not kept.
    pub(crate) created: DateTime<Utc>,
    pub(crate) settings: ClusterSettings,
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
    pub(crate) restore_takes: Duration,
    pub(crate) member_takes: Duration,
}

impl ClusterSnapshot {
    pub(crate) fn arn(&self, place: &PlaceKey) -> String {
        place.arn("rds", &format!("cluster-snapshot:{}", self.id))
    }
}

/// The members of a cluster that are there, in the order in which they were made.
pub(super) fn members_of<'p>(
    place: &'p Place,
    cluster: &str,
    now: DateTime<Utc>,
) -> Vec<&'p Instance> {
    let is_member = |i: &&Instance| i.member.as_ref().is_some_and(|m| m.cluster == cluster);
    let there = place.instances.values().filter(is_member);
    let mut members: Vec<_> = there.filter(|i| i.timeline.state(now).is_some()).collect();
    members.sort_by_key(|i| (i.created, i.id.clone()));
    members
}

/// The member that writes: the first one that was made, as long as nothing is wrong with it.
pub(super) fn writer<'i>(members: &[&'i Instance], now: DateTime<Utc>) -> Option<&'i Instance> {
    let fit = |i: &&&Instance| {
        matches!(i.timeline.state(now), Some("creating" | "available" | "backing-up" | "modifying"))
    };
    members.iter().find(fit).copied()
}

impl State {
    /// The instance that answers at an endpoint of a cluster.
    pub(crate) fn behind_endpoint(
        &self,
        host: &str,
        now: DateTime<Utc>,
    ) -> Option<(&PlaceKey, &Instance)> {
        for (key, place) in &self.places {
            for cluster in place.clusters.values() {
                let members = members_of(place, &cluster.id, now);
                let writer = writer(&members, now);
                if cluster.host(&key.region) == host {
                    return writer.map(|writer| (key, writer));
                }
                if cluster.reader_host(&key.region) == host {
                    let available = |i: &&&Instance| i.timeline.is(now, "available");
                    let reads = |i: &&&Instance| writer.is_none_or(|writer| writer.id != i.id);
                    let reader = members.iter().filter(available).find(reads).copied();
                    return reader.or(writer).map(|reader| (key, reader));
                }
            }
        }
        None
    }

    /// An instance with the storage that it has: a member has that of its cluster.
    pub(crate) fn with_storage(&self, place: &PlaceKey, instance: &Instance) -> Instance {
        let mut instance = instance.clone();
        let member = instance.member.as_ref();
        let cluster =
            member.and_then(|member| self.places.get(place)?.clusters.get(&member.cluster));
        if let Some(cluster) = cluster {
            instance.resource_id.clone_from(&cluster.resource_id);
            instance.content = cluster.content.clone();
        }
        instance
    }
}

/// The cluster parameter group of a name. Those called `default.…` exist for every family.
pub(super) fn cluster_parameter_group(
    state: &State,
    place: &PlaceKey,
    name: &str,
) -> Result<ParameterGroupEstate, AwsError> {
    let spec = state.places.get(place).and_then(|p| p.spec.as_ref());
    let own = spec.and_then(|s| s.cluster_parameter_groups.iter().find(|g| g.name == name));
    if let Some(group) = own {
        return Ok(group.clone());
    }
    match name.strip_prefix("default.") {
        Some(family) => Ok(ParameterGroupEstate {
            name: name.to_owned(),
            family: family.to_owned(),
            parameters: BTreeMap::new(),
        }),
        None => {
            let what = format!("DBClusterParameterGroup not found: {name}");
            Err(AwsError::new(404, "DBClusterParameterGroupNotFound", what))
        }
    }
}

/// Adds what exists here.
pub(crate) fn inventory(
    key: &PlaceKey,
    place: &Place,
    now: DateTime<Utc>,
    all: &mut BTreeMap<String, String>,
) {
    for cluster in place.clusters.values() {
        if let Some(state) = cluster.timeline.state(now) {
            let line = format!("{state}{}", tag_line(&cluster.tags));
            all.insert(key.arn("rds", &format!("cluster:{}", cluster.id)), line);
        }
    }
    for snapshot in place.cluster_snapshots.values() {
        if let Some(state) = snapshot.timeline.state(now) {
            let origin = if snapshot.scheduled { "scheduled " } else { "" };
            let line = format!("{origin}{state}{}", tag_line(&snapshot.tags));
            all.insert(snapshot.arn(key), line);
        }
    }
}
