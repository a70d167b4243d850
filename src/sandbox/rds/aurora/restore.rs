//! Making clusters from snapshots and from the log of changes. Neither makes members.

use super::cluster_snapshot_not_found;
use super::describe::restore_window;
use super::lifecycle::one_cluster;
use super::model::{Cluster, ClusterSettings, cluster_parameter_group};
use super::{cluster_not_found, snapshots, wrong_state};
use crate::sandbox::rds::RdsEvent;
use crate::sandbox::rds::ask::{
    check_identifier, combination, invalid, key_not_accessible, tags as tags_of,
};
use crate::sandbox::rds::engine_versions::offered;
use crate::sandbox::rds::lifecycle::check_network;
use crate::sandbox::rds::model::{
    Content, DEFAULT_SECURITY_GROUP, default_parameter_group, family,
};
use crate::sandbox::services::Call;
use crate::sandbox::state::Timeline;
use crate::sandbox::wire::{AwsError, Params, Xml};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What a new cluster is made from.
struct Origin {
    settings: ClusterSettings,
    content: Content,
    key: Option<String>,
    restore_takes: Duration,
    member_takes: Duration,
    /// What the event says when it is there.
    message: String,
}

pub(super) fn from_snapshot(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = new_id(&mut call)?;
    let name = params.need("SnapshotIdentifier")?;
    let snapshot = snapshots::find(call.state, &call.place, name, call.now)
        .filter(|(owner, _)| owner.region == call.place.region)
        .map(|(_, snapshot)| snapshot.clone())
        .ok_or_else(|| cluster_snapshot_not_found(name))?;
    if !snapshot.timeline.is(call.now, "available") {
        let state = snapshot.timeline.state(call.now).unwrap_or("creating");
        let what = format!("Cannot restore from snapshot {name}: it is in state {state}.");
        return Err(AwsError::new(400, "InvalidDBClusterSnapshotStateFault", what));
    }
    let engine = params.need("Engine")?;
    if engine != snapshot.settings.engine {
        let what = format!(
            "The engine {engine} does not fit the snapshot's {}.",
            snapshot.settings.engine
        );
        return Err(invalid(what));
    }
    let origin = Origin {
        message: format!("Restored from snapshot {}", snapshot.id),
        settings: snapshot.settings,
        content: snapshot.content,
        key: snapshot.kms_key,
        restore_takes: snapshot.restore_takes,
        member_takes: snapshot.member_takes,
    };
    make(&mut call, id, origin)
}

pub(super) fn to_point_in_time(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = new_id(&mut call)?;
    let now = call.now;
    let name = params.get("SourceDBClusterIdentifier");
    let resource = params.get("SourceDbClusterResourceId");
    let wanted = name.or(resource).unwrap_or_default().to_owned();
    let source = call.here().clusters.values().find(|c| match name {
        Some(name) => c.id.eq_ignore_ascii_case(name),
        None => Some(c.resource_id.as_str()) == resource,
    });
    let source = source.filter(|c| c.timeline.state(now).is_some()).cloned();
    let source = source.ok_or_else(|| cluster_not_found(&wanted))?;
    if !source.timeline.is(now, "available") {
        return Err(wrong_state(format!("DBCluster {} is not available.", source.id)));
    }
    let time = wanted_time(params, &source, now)?;
    let mut content = source.content.clone();
    content.as_of = Some(content.as_of.map_or(time, |as_of| as_of.min(time)));
    let origin = Origin {
        message: format!("Restored from DB cluster {} to {}", source.id, time.to_rfc3339()),
        // The port is the engine's, not the source's.
        settings: ClusterSettings {
            port: default_port(&source.settings.engine),
            ..source.settings
        },
        restore_takes: source.content.origin.restore_takes.0,
        member_takes: source.member_takes,
        content,
        key: source.kms_key,
    };
    make(&mut call, id, origin)
}

fn default_port(engine: &str) -> u16 {
    if engine.contains("mysql") { 3306 } else { 5432 }
}

/// The time to which it is restored.
fn wanted_time(
    params: &Params,
    source: &Cluster,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, AwsError> {
    let latest = params.flag("UseLatestRestorableTime") == Some(true);
    let clone = match params.get("RestoreType") {
        None | Some("full-copy") => false,
        Some("copy-on-write") => true,
        Some(other) => return Err(invalid(format!("Invalid restore type: {other}"))),
    };
    let Some((first, last)) = restore_window(source, now) else {
        let what = format!("DBCluster {} has no automated backups.", source.id);
        return Err(AwsError::new(400, "InvalidRestoreFault", what));
    };
    match params.get("RestoreToTime") {
        Some(_) if latest => {
            Err(combination("RestoreToTime cannot be specified with UseLatestRestorableTime."))
        }
        Some(_) if clone => {
            Err(combination("RestoreToTime cannot be specified when RestoreType is copy-on-write."))
        }
        None if !latest => {
            Err(combination("Either RestoreToTime or UseLatestRestorableTime must be specified."))
        }
        // A clone is of what is there now.
        None if clone => Ok(now),
        None => Ok(last),
        Some(text) => {
            let time = DateTime::parse_from_rfc3339(text).map(|t| t.to_utc());
            let time = time.map_err(|_| invalid(format!("Invalid restore time: {text}")))?;
            if (first..last).contains(&time) {
                return Ok(time);
            }
            let what = format!(
                "The specified time {text} is not between {} and {}.",
                first.to_rfc3339(),
                last.to_rfc3339()
            );
            Err(AwsError::new(400, "InvalidRestoreFault", what))
        }
    }
}

fn new_id(call: &mut Call<'_>) -> Result<String, AwsError> {
    let id = call.params().need("DBClusterIdentifier")?.to_lowercase();
    check_identifier("DBClusterIdentifier", &id, 63)?;
    if call.here().clusters.contains_key(&id) {
        let what = "DB Cluster already exists";
        return Err(AwsError::new(400, "DBClusterAlreadyExistsFault", what));
    }
    Ok(id)
}

/// The key of the new cluster: the one asked for, else that of the origin. Both must be usable.
fn key_of(call: &Call<'_>, own: Option<String>) -> Result<Option<String>, AwsError> {
    let usable = |name: &str| call.state.find_key(&call.place, name).filter(|key| key.usable());
    if let Some(own) = &own
        && usable(own).is_none()
    {
        return Err(key_not_accessible("source snapshot", own));
    }
    match call.params().get("KmsKeyId") {
        None => Ok(own),
        Some(name) => {
            let key = usable(name).ok_or_else(|| key_not_accessible("target", name))?;
            Ok(Some(key.arn))
        }
    }
}

fn make(call: &mut Call<'_>, id: String, origin: Origin) -> Result<Xml, AwsError> {
    let params = call.params();
    let kms_key = key_of(call, origin.key)?;
    let settings = chosen(call, params, origin.settings)?;
    let tags = tags_of(params)?;
    let timeline = Timeline::begin(call.now, "creating").then(origin.restore_takes, "available");
    let code = format!("endpoint/{}/{}", call.place.account, call.place.region);
    let cluster = Cluster {
        id,
        created: call.now,
        timeline: call.marked(timeline, "inaccessible-encryption-credentials"),
        settings,
        kms_key,
        resource_id: format!("cluster-{}", call.state.fresh_digits("db", 26).to_uppercase()),
        endpoint_code: call.state.digits(&code, 12),
        tags,
        content: origin.content,
        member_takes: origin.member_takes,
    };
    if let Some(date) = cluster.timeline.enters("available") {
        call.here().rds_events.push(RdsEvent {
            date,
            source_type: "db-cluster",
            source: cluster.id.clone(),
            category: "creation",
            message: origin.message,
        });
    }
    call.here().clusters.insert(cluster.id.clone(), cluster.clone());
    Ok(one_cluster(call, &cluster))
}

/// What the new cluster is like: as its origin, except for what the call says; and what neither says has the defaults of
/// the service, not those of the lost original.
fn chosen(
    call: &Call<'_>,
    params: &Params,
    origin: ClusterSettings,
) -> Result<ClusterSettings, AwsError> {
    let text = |name: &str| params.get(name).map(str::to_owned);
    let version = text("EngineVersion").unwrap_or(origin.version);
    let groups = params.list("VpcSecurityGroupIds.VpcSecurityGroupId");
    let scaling = (
        params.number("ServerlessV2ScalingConfiguration.MinCapacity")?,
        params.number("ServerlessV2ScalingConfiguration.MaxCapacity")?,
    );
    let kept: Option<u32> = params.number("BackupRetentionPeriod")?;
    if kept.is_some_and(|days| !(1..=35).contains(&days)) {
        return Err(invalid("The backup retention period must be between 1 and 35."));
    }
    let settings = ClusterSettings {
        backup_retention: kept.unwrap_or(origin.backup_retention),
        mode: text("EngineMode").unwrap_or_else(|| "provisioned".to_owned()),
        port: params.number("Port")?.unwrap_or(origin.port),
        subnet_group: text("DBSubnetGroupName").unwrap_or_else(|| "default".to_owned()),
        security_groups: match groups.is_empty() {
            true => vec![DEFAULT_SECURITY_GROUP.to_owned()],
            false => groups,
        },
        parameter_group: text("DBClusterParameterGroupName")
            .unwrap_or_else(|| default_parameter_group(&origin.engine, &version)),
        deletion_protection: params.flag("DeletionProtection").unwrap_or(false),
        iam_authentication: params.flag("EnableIAMDatabaseAuthentication").unwrap_or(false),
        log_exports: params.list("EnableCloudwatchLogsExports.member"),
        storage_type: text("StorageType").unwrap_or_else(|| "aurora".to_owned()),
        scaling: scaling.0.zip(scaling.1),
        version,
        ..origin
    };
    offered(call, &settings.engine, &settings.version)?;
    check_network(call.state, &call.place, &settings.of_member(&call.place))?;
    let group = cluster_parameter_group(call.state, &call.place, &settings.parameter_group)?;
    let needed = family(&settings.engine, &settings.version);
    if group.family != needed {
        return Err(combination(format!(
            "The Parameter Group {} with DBParameterGroupFamily {} cannot be used for this cluster. Please use a Parameter Group with DBParameterGroupFamily {needed}",
            group.name, group.family
        )));
    }
    Ok(settings)
}
