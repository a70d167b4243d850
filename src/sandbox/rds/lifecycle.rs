//! Restoring, modifying and deleting instances.

use super::ask::{check_identifier, combination, instance_not_found, invalid, snapshot_not_found};
use super::groups::{parameter_group, subnet_group_vpc};
use super::model::{
    Content, DEFAULT_SECURITY_GROUP, Instance, RdsEvent, Settings, default_option_group,
    default_parameter_group, family,
};
use super::xml::View;
use super::{engine_versions, snapshots};
use crate::sandbox::services::Call;
use crate::sandbox::state::{PlaceKey, State, Timeline};
use crate::sandbox::wire::{AwsError, Params, Xml};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after ModifyDBInstance an instance that still says `available` begins to change.
const MODIFY_STARTS: Duration = Duration::from_secs(30);
const MODIFY_TAKES: Duration = Duration::from_secs(5 * 60);
const DELETE_TAKES: Duration = Duration::from_secs(4 * 60);
const FINAL_SNAPSHOT_TAKES: Duration = Duration::from_secs(5 * 60);

pub(super) fn restore(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let id = params.need("DBInstanceIdentifier")?.to_lowercase();
    check_identifier("DBInstanceIdentifier", &id, 63)?;
    let name = params.need("DBSnapshotIdentifier")?;
    if call.here().instances.contains_key(&id) {
        return Err(AwsError::new(400, "DBInstanceAlreadyExists", "DB instance already exists"));
    }
    let snapshot = snapshots::find(call.state, &call.place, name, call.now)
        .filter(|(owner, _)| owner.region == call.place.region)
        .map(|(_, snapshot)| snapshot.clone())
        .ok_or_else(|| snapshot_not_found(name))?;
    if !snapshot.timeline.is(call.now, "available") {
        let state = snapshot.timeline.state(call.now).unwrap_or("creating");
        let what = format!("Cannot restore from snapshot {name}: it is in state {state}.");
        return Err(AwsError::new(400, "InvalidDBSnapshotState", what));
    }
    if let Some(key) = &snapshot.kms_key {
        let usable = call.state.find_key(&call.place, key).is_some_and(|k| k.usable());
        if !usable {
            return Err(super::ask::key_not_accessible("source snapshot", key));
        }
    }
    let origin = Origin {
        settings: snapshot.settings,
        kms_key: snapshot.kms_key,
        content: snapshot.content,
        announced: format!("Restored from snapshot {}", snapshot.id),
    };
    bring_back(call, id, origin)
}

/// What an instance is restored from.
pub(super) struct Origin {
    pub(super) settings: Settings,
    pub(super) kms_key: Option<String>,
    pub(super) content: Content,
    /// The message of the event that tells the end of the restore.
    pub(super) announced: String,
}

/// Makes the instance that a restore asks for.
pub(super) fn bring_back(mut call: Call<'_>, id: String, origin: Origin) -> Result<Xml, AwsError> {
    let params = call.params();
    engine_versions::offered(&call, &origin.settings.engine, &origin.settings.version)?;
    let settings = restored_settings(call.state, &call.place, params, &origin.settings)?;
    let tags = super::ask::tags(params)?;
    let instance = Instance { tags, ..new_instance(&mut call, id, settings, &origin) };
    announce(&mut call, &instance, origin.announced);
    call.here().instances.insert(instance.id.clone(), instance.clone());
    Ok(one_instance(&call, &instance))
}

/// What the restored instance is like: as the original, except for what the call says; and what neither says has the
/// defaults of the service, not those of the lost original.
fn restored_settings(
    state: &State,
    place: &PlaceKey,
    params: &Params,
    original: &Settings,
) -> Result<Settings, AwsError> {
    let (engine, version) = (&original.engine, &original.version);
    let subnet_group = params.get("DBSubnetGroupName").unwrap_or("default").to_owned();
    let mut settings = Settings {
        subnet_group,
        multi_az: false,
        zone: format!("{}a", place.region),
        security_groups: vec![DEFAULT_SECURITY_GROUP.to_owned()],
        parameter_group: default_parameter_group(engine, version),
        option_group: default_option_group(engine, version),
        deletion_protection: false,
        iam_authentication: false,
        log_exports: Vec::new(),
        copy_tags_to_snapshot: false,
        publicly_accessible: false,
        monitoring_interval: 0,
        monitoring_role: None,
        ..original.clone()
    };
    if let Some(zone) = params.get("AvailabilityZone") {
        if params.flag("MultiAZ") == Some(true) {
            let what =
                "Requesting a specific availability zone is not valid for Multi-AZ instances.";
            return Err(combination(what));
        }
        settings.zone = zone.to_owned();
    }
    choose(state, place, params, &mut settings)?;
    let logs = params.list("EnableCloudwatchLogsExports.member");
    settings.log_exports.extend(logs);
    Ok(settings)
}

/// Applies what a restoring or modifying call chooses, and checks that it exists and fits.
fn choose(
    state: &State,
    place: &PlaceKey,
    params: &Params,
    settings: &mut Settings,
) -> Result<(), AwsError> {
    let text = |name: &str, to: &mut String| {
        if let Some(value) = params.get(name) {
            value.clone_into(to);
        }
    };
    let flag = |name: &str, to: &mut bool| *to = params.flag(name).unwrap_or(*to);
    text("DBInstanceClass", &mut settings.class);
    text("StorageType", &mut settings.storage_type);
    text("DBParameterGroupName", &mut settings.parameter_group);
    text("OptionGroupName", &mut settings.option_group);
    text("EngineVersion", &mut settings.version);
    text("CACertificateIdentifier", &mut settings.certificate);
    flag("MultiAZ", &mut settings.multi_az);
    flag("DeletionProtection", &mut settings.deletion_protection);
    flag("EnableIAMDatabaseAuthentication", &mut settings.iam_authentication);
    flag("CopyTagsToSnapshot", &mut settings.copy_tags_to_snapshot);
    flag("PubliclyAccessible", &mut settings.publicly_accessible);
    flag("AutoMinorVersionUpgrade", &mut settings.auto_minor_version_upgrade);
    for name in ["Port", "DBPortNumber"] {
        settings.port = params.number(name)?.unwrap_or(settings.port);
    }
    settings.iops = params.number("Iops")?.or(settings.iops);
    settings.storage_throughput =
        params.number("StorageThroughput")?.or(settings.storage_throughput);
    monitoring(params, settings)?;
    settings.backup_retention =
        params.number("BackupRetentionPeriod")?.unwrap_or(settings.backup_retention);
    if settings.backup_retention > 35 {
        return Err(invalid("The backup retention period must be between 0 and 35."));
    }
    if let Some(storage) = params.number::<u32>("AllocatedStorage")? {
        if storage < settings.storage {
            return Err(invalid("Requested storage must not be smaller than the current storage."));
        }
        settings.storage = storage;
    }
    let groups = params.list("VpcSecurityGroupIds.VpcSecurityGroupId");
    if !groups.is_empty() {
        settings.security_groups = groups;
    }
    check_network(state, place, settings)?;
    let group = parameter_group(state, place, &settings.parameter_group)?;
    let needed = family(&settings.engine, &settings.version);
    if group.family != needed {
        return Err(combination(format!(
            "The Parameter Group {} with DBParameterGroupFamily {} cannot be used for this instance. Please use a Parameter Group with DBParameterGroupFamily {needed}",
            group.name, group.family
        )));
    }
    Ok(())
}

/// Enhanced Monitoring needs a role: "If MonitoringInterval is set to a value other than 0, then you must also supply a
/// MonitoringRoleArn value" (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html>).
pub(super) fn monitoring(params: &Params, settings: &mut Settings) -> Result<(), AwsError> {
    settings.monitoring_interval =
        params.number("MonitoringInterval")?.unwrap_or(settings.monitoring_interval);
    if let Some(role) = params.get("MonitoringRoleArn") {
        settings.monitoring_role = Some(role.to_owned());
    }
    if settings.monitoring_interval > 0 && settings.monitoring_role.is_none() {
        return Err(combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        ));
    }
    Ok(())
}

pub(super) fn check_network(
    state: &State,
    place: &PlaceKey,
    settings: &Settings,
) -> Result<(), AwsError> {
    let vpc = subnet_group_vpc(state, place, &settings.subnet_group)?;
    let spec = state.places.get(place).and_then(|p| p.spec.as_ref());
    for group in &settings.security_groups {
        if group == DEFAULT_SECURITY_GROUP {
            // Named by nobody, it stands for the default group of whichever VPC it is.
            continue;
        }
        let known = spec.and_then(|s| s.security_groups.iter().find(|g| &g.id == group));
        let Some(known) = known else {
            return Err(invalid(format!("Invalid security group , groupId= {group}, groupName=.")));
        };
        if known.vpc != vpc {
            let what = "The DB instance and EC2 security group are in different VPCs.";
            return Err(AwsError::new(400, "InvalidVPCNetworkStateFault", what));
        }
    }
    Ok(())
}

fn new_instance(call: &mut Call<'_>, id: String, settings: Settings, origin: &Origin) -> Instance {
    let takes = origin.content.origin.restore_takes.0;
    let begin = Timeline::begin(call.now, "creating");
    // The first automated backup is part of the time until the instance can be used.
    let timeline = match settings.backup_retention {
        0 => begin.then(takes, "available"),
        _ => begin.then(takes - takes / 5, "backing-up").then(takes / 5, "available"),
    };
    let name = format!("endpoint/{}/{}", call.place.account, call.place.region);
    Instance {
        id,
        created: call.now,
        timeline: call.marked(timeline, "incompatible-restore"),
        settings,
        pending: None,
        kms_key: origin.kms_key.clone(),
        resource_id: format!("db-{}", call.state.fresh_digits("db", 26).to_uppercase()),
        endpoint_code: call.state.digits(&name, 12),
        tags: BTreeMap::new(),
        replica_of: None,
        promoted: None,
        content: origin.content.clone(),
        member: None,
    }
}

/// What follows from a restore in time: events, and the first automated snapshot.
fn announce(call: &mut Call<'_>, instance: &Instance, announced: String) {
    let event = |date, category, message: String| RdsEvent {
        date,
        source_type: "db-instance",
        source: instance.id.clone(),
        category,
        message,
    };
    if let Some(date) = instance.timeline.enters("available") {
        call.here().rds_events.push(event(date, "restoration", announced));
    }
    let (Some(begun), Some(done)) =
        (instance.timeline.enters("backing-up"), instance.timeline.enters("available"))
    else {
        return;
    };
    let messages = [(begun, "Backing up DB instance"), (done, "Finished DB Instance backup")];
    for (date, message) in messages {
        call.here().rds_events.push(event(date, "backup", message.to_owned()));
    }
    let place = call.place.clone();
    let id = format!("rds:{}-{}", instance.id, begun.format("%Y-%m-%d-%H-%M"));
    let mut first = call.state.snapshot_of(&place, instance, id, begun);
    first.timeline = first.timeline.then((done - begun).to_std().unwrap_or_default(), "available");
    call.here().db_snapshots.insert(first.id.clone(), first);
}

pub(super) fn one_instance(call: &Call<'_>, instance: &Instance) -> Xml {
    let view = View { state: call.state, place: &call.place, now: call.now };
    let mut x = Xml::new();
    x.nest("DBInstance", |x| view.instance(x, instance));
    x
}

pub(super) fn existing(call: &mut Call<'_>) -> Result<Instance, AwsError> {
    let id = call.params().need("DBInstanceIdentifier")?.to_lowercase();
    let now = call.now;
    let found = call.here().instances.get(&id).filter(|i| i.timeline.state(now).is_some());
    found.cloned().ok_or_else(|| instance_not_found(&id))
}

pub(super) fn wrong_state(what: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidDBInstanceState", what)
}

pub(super) fn modify(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let mut instance = existing(&mut call)?;
    let state = instance.timeline.state(call.now).unwrap_or("creating");
    if state != "available" {
        let what = format!("Database instance is not in available state: it is in state {state}.");
        return Err(wrong_state(what));
    }
    if params.get("NewDBInstanceIdentifier").is_some() {
        return Err(invalid("NewDBInstanceIdentifier is not simulated."));
    }
    let mut next = instance.settings.clone();
    choose(call.state, &call.place, params, &mut next)?;
    if let Some(group) = params.get("DBSubnetGroupName") {
        group.clone_into(&mut next.subnet_group);
        check_network(call.state, &call.place, &next)?;
    }
    let logs = "CloudwatchLogsExportConfiguration";
    let off = params.list(&format!("{logs}.DisableLogTypes.member"));
    next.log_exports.retain(|log| !off.contains(log));
    next.log_exports.extend(params.list(&format!("{logs}.EnableLogTypes.member")));
    if let Some(password) = params.get("MasterUserPassword") {
        next.users.insert(next.master.clone(), password.to_owned());
    }
    apply_at_once(&mut instance.settings, &next);
    if instance.settings != next {
        let immediately = params.flag("ApplyImmediately") == Some(true);
        let password = params.get("MasterUserPassword").is_some();
        if immediately || password {
            let timeline = Timeline::begin(call.now, "available")
                .then(MODIFY_STARTS, "modifying")
                .then(MODIFY_TAKES, "available");
            instance.timeline = call.marked(timeline, "incompatible-parameters");
            let done = instance.timeline.settles();
            instance.pending = Some((done, next));
        } else {
            // The maintenance window: a drill does not live to see it.
            instance.pending = Some((DateTime::<Utc>::MAX_UTC, next));
        }
    }
    call.here().instances.insert(instance.id.clone(), instance.clone());
    Ok(one_instance(&call, &instance))
}

/// What a change takes over without an interval of `modifying`.
fn apply_at_once(now: &mut Settings, next: &Settings) {
    now.deletion_protection = next.deletion_protection;
    now.copy_tags_to_snapshot = next.copy_tags_to_snapshot;
    now.auto_minor_version_upgrade = next.auto_minor_version_upgrade;
    now.security_groups.clone_from(&next.security_groups);
    now.log_exports.clone_from(&next.log_exports);
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Xml, AwsError> {
    let params = call.params();
    let mut instance = existing(&mut call)?;
    let id = instance.id.clone();
    let state = instance.timeline.state(call.now).unwrap_or("creating");
    if state == "deleting" {
        return Err(wrong_state(format!("Instance {id} is already being deleted.")));
    }
    if instance.settings.deletion_protection {
        let what = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
        return Err(combination(what));
    }
    if instance.member.is_some() && params.get("FinalDBSnapshotIdentifier").is_some() {
        let what =
            "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance.";
        return Err(combination(what));
    }
    let skip = params.flag("SkipFinalSnapshot") == Some(true) || instance.member.is_some();
    let mut takes = DELETE_TAKES;
    match params.get("FinalDBSnapshotIdentifier") {
        None if !skip => {
            let what =
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err(combination(what));
        }
        Some(_) if skip => {
            let what = "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.";
            return Err(combination(what));
        }
        None => {}
        Some(name) => {
            if state != "available" {
                let what =
                    format!("Instance {id} is not currently available: it is in state {state}.");
                return Err(wrong_state(what));
            }
            final_snapshot(&mut call, &instance, name)?;
            takes += FINAL_SNAPSHOT_TAKES;
        }
    }
    let timeline = Timeline::begin(call.now, "deleting").then(takes, Timeline::GONE);
    instance.timeline = call.marked(timeline, "failed");
    instance.pending = None;
    let end = instance.timeline.enters(Timeline::GONE);
    let now = call.now;
    let resource = instance.resource_id.clone();
    let keep_backups = params.flag("DeleteAutomatedBackups") == Some(false);
    call.state.instance_deleted(&call.place, &instance, keep_backups, now);
    let here = call.here();
    here.rds_events.retain(|e| e.source != id || e.date <= now);
    here.db_snapshots.retain(|_, s| s.resource_id != resource || s.timeline.state(now).is_some());
    if let Some(end) = end {
        for snapshot in here.db_snapshots.values_mut().filter(|s| s.resource_id == resource) {
            if snapshot.kind == "automated" && !keep_backups {
                snapshot.expires = Some(end);
            }
        }
        here.rds_events.push(RdsEvent {
            date: end,
            source_type: "db-instance",
            source: id,
            category: "deletion",
            message: "DB instance deleted".to_owned(),
        });
    }
    here.instances.insert(instance.id.clone(), instance.clone());
    Ok(one_instance(&call, &instance))
}

fn final_snapshot(call: &mut Call<'_>, instance: &Instance, name: &str) -> Result<(), AwsError> {
    check_identifier("FinalDBSnapshotIdentifier", name, 255)?;
    if call.here().db_snapshots.contains_key(name) {
        let what = format!(
            "Cannot create the snapshot because a snapshot with the identifier {name} already exists."
        );
        return Err(AwsError::new(400, "DBSnapshotAlreadyExists", what));
    }
    let (place, now) = (call.place.clone(), call.now);
    let mut last = call.state.snapshot_of(&place, instance, name.to_owned(), now);
    last.kind = "manual";
    last.timeline = last.timeline.then(FINAL_SNAPSHOT_TAKES, "available");
    if instance.settings.copy_tags_to_snapshot {
        last.tags.clone_from(&instance.tags);
    }
    call.here().db_snapshots.insert(last.id.clone(), last);
    Ok(())
}
