//! Instances and snapshots as RDS writes them.

use super::model::{DbSnapshot, Instance, Settings};
use crate::sandbox::estate::{SnapshotTime, SubnetGroupEstate};
use crate::sandbox::state::{PlaceKey, State, later};
use crate::sandbox::wire::{Xml, timestamp};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the elements of an answer are written from.
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) place: &'a PlaceKey,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn tag_list(x: &mut Xml, name: &str, tags: &BTreeMap<String, String>) {
    x.list(name, "Tag", tags, |x, (key, value)| {
        x.text("Key", key).text("Value", value);
    });
}

impl View<'_> {
    pub(super) fn instance(&self, x: &mut Xml, instance: &Instance) {
        let settings = &instance.settings;
        let status = instance.timeline.state(self.now).unwrap_or("creating");
        x.text("DBInstanceIdentifier", &instance.id)
            .text("DBInstanceClass", &settings.class)
            .text("Engine", &settings.engine)
            .text("DBInstanceStatus", status)
            .text("MasterUsername", &settings.master)
            .maybe("DBName", settings.database.as_ref());
        if let Some(member) = &instance.member {
            x.text("DBClusterIdentifier", &member.cluster).text("PromotionTier", member.tier);
        }
        if !matches!(status, "creating" | "incompatible-restore" | "incompatible-network") {
            x.nest("Endpoint", |x| {
                x.text("Address", instance.host(&self.place.region)).text("Port", settings.port);
            });
            x.text("InstanceCreateTime", timestamp(instance.created));
        }
        x.text("AllocatedStorage", settings.storage)
            .text("PreferredBackupWindow", "03:00-03:30")
            .text("BackupRetentionPeriod", settings.backup_retention);
        self.attachments(x, settings);
        x.text("PreferredMaintenanceWindow", "sun:18:00-sun:18:30");
        pending(x, instance);
        x.maybe("ReadReplicaSourceDBInstanceIdentifier", instance.replica_of.as_ref());
        if let Some(time) = self.latest_restorable(instance) {
            x.text("LatestRestorableTime", timestamp(time));
        }
        self.options(x, settings);
        x.text("DbInstancePort", 0)
            .text("StorageEncrypted", instance.kms_key.is_some())
            .maybe("KmsKeyId", instance.kms_key.as_ref())
            .text("DbiResourceId", &instance.resource_id)
            .text("DBInstanceArn", self.place.arn("rds", &format!("db:{}", instance.id)));
        tag_list(x, "TagList", &instance.tags);
    }

    fn attachments(&self, x: &mut Xml, settings: &Settings) {
        let groups = &settings.security_groups;
        x.list("VpcSecurityGroups", "VpcSecurityGroupMembership", groups, |x, group| {
            x.text("VpcSecurityGroupId", group).text("Status", "active");
        });
        x.list("DBParameterGroups", "DBParameterGroup", [&settings.parameter_group], |x, group| {
            x.text("DBParameterGroupName", group).text("ParameterApplyStatus", "in-sync");
        });
        x.text("AvailabilityZone", &settings.zone);
        x.nest("DBSubnetGroup", |x| self.subnet_group(x, &settings.subnet_group));
    }

    fn options(&self, x: &mut Xml, settings: &Settings) {
        x.text("MultiAZ", settings.multi_az)
            .text("EngineVersion", &settings.version)
            .text("AutoMinorVersionUpgrade", settings.auto_minor_version_upgrade)
            .text("LicenseModel", license(&settings.engine))
            .maybe("Iops", settings.iops)
            .maybe("StorageThroughput", settings.storage_throughput);
        let group = [&settings.option_group];
        x.list("OptionGroupMemberships", "OptionGroupMembership", group, |x, group| {
            x.text("OptionGroupName", group).text("Status", "in-sync");
        });
        x.text("PubliclyAccessible", settings.publicly_accessible)
            .text("StorageType", &settings.storage_type)
            .text("CACertificateIdentifier", &settings.certificate)
            .text("CopyTagsToSnapshot", settings.copy_tags_to_snapshot)
            .text("MonitoringInterval", settings.monitoring_interval)
            .maybe("MonitoringRoleArn", settings.monitoring_role.as_ref())
            .text("IAMDatabaseAuthenticationEnabled", settings.iam_authentication)
            .text("PerformanceInsightsEnabled", false)
            .text("DeletionProtection", settings.deletion_protection);
        x.nest("EnabledCloudwatchLogsExports", |x| {
            for log in &settings.log_exports {
                x.text("member", log);
            }
        });
    }

    /// The content of a `DBSubnetGroup` element.
    pub(super) fn subnet_group(&self, x: &mut Xml, name: &str) {
        let spec = self.state.places.get(self.place).and_then(|p| p.spec.as_ref());
        let known = spec.and_then(|s| s.subnet_groups.iter().find(|g| g.name == name));
        let nothing = SubnetGroupEstate {
            name: name.to_owned(),
            vpc: super::DEFAULT_VPC.to_owned(),
            subnets: Vec::new(),
        };
        let group = known.unwrap_or(&nothing);
        x.text("DBSubnetGroupName", &group.name)
            .text("DBSubnetGroupDescription", &group.name)
            .text("VpcId", &group.vpc)
            .text("SubnetGroupStatus", "Complete")
            .list("Subnets", "Subnet", &group.subnets, |x, subnet| {
                x.text("SubnetIdentifier", &subnet.id)
                    .nest("SubnetAvailabilityZone", |x| {
                        x.text("Name", &subnet.zone);
                    })
                    .text("SubnetStatus", "Active");
            })
            .text("DBSubnetGroupArn", self.place.arn("rds", &format!("subgrp:{}", group.name)));
    }

    /// "Within the last 5 minutes" while automated backups are on: the last full five minutes.
    pub(super) fn latest_restorable(&self, instance: &Instance) -> Option<DateTime<Utc>> {
        if instance.settings.backup_retention == 0 {
            return None;
        }
        let five = TimeDelta::minutes(5);
        let first = instance.timeline.enters("backing-up").unwrap_or(instance.created);
        let until = match instance.timeline.state(self.now)? {
            "available" | "modifying" => self.now,
            _ => return None,
        };
        until.checked_sub_signed(five)?.duration_trunc(five).ok().filter(|t| *t >= first)
    }

    pub(super) fn snapshot(&self, x: &mut Xml, snapshot: &DbSnapshot) {
        let settings = &snapshot.settings;
        let status = snapshot.timeline.state(self.now).unwrap_or("creating");
        let done = status != "creating";
        let source_region = snapshot.source_place.as_ref().map(|p| &p.region);
        x.text("DBSnapshotIdentifier", &snapshot.id)
            .text("DBInstanceIdentifier", &snapshot.instance)
            .maybe("SnapshotCreateTime", done.then(|| timestamp(snapshot.created)))
            .text("Engine", &settings.engine)
            .text("AllocatedStorage", settings.storage)
            .text("Status", status)
            .text("Port", settings.port)
            .text("AvailabilityZone", &settings.zone)
            .text("VpcId", &snapshot.vpc)
            .text("InstanceCreateTime", timestamp(snapshot.instance_created))
            .text("MasterUsername", &settings.master)
            .text("EngineVersion", &settings.version)
            .text("LicenseModel", license(&settings.engine))
            .text("SnapshotType", snapshot.kind)
            .maybe("Iops", settings.iops)
            .maybe("StorageThroughput", settings.storage_throughput)
            .text("OptionGroupName", &settings.option_group)
            .text("PercentProgress", snapshot.timeline.percent(self.now))
            .maybe("SourceRegion", source_region)
            .maybe("SourceDBSnapshotIdentifier", snapshot.source_arn.as_ref())
            .text("StorageType", &settings.storage_type)
            .text("Encrypted", snapshot.kms_key.is_some())
            .text("BackupRetentionPeriod", settings.backup_retention)
            .maybe("KmsKeyId", snapshot.kms_key.as_ref())
            .text("DBSnapshotArn", snapshot.arn(self.place))
            .text("IAMDatabaseAuthenticationEnabled", settings.iam_authentication)
            .text("DbiResourceId", &snapshot.resource_id);
        tag_list(x, "TagList", &snapshot.tags);
        x.text("SnapshotTarget", "region");
        if done || snapshot.source_arn.is_some() {
            let told = |time| !snapshot.content.origin.untold.contains(&time);
            let original = told(SnapshotTime::OriginalSnapshotCreateTime);
            let original = original.then(|| timestamp(snapshot.original_created));
            let of_data = snapshot.content.as_of;
            let of_data = of_data.filter(|_| told(SnapshotTime::SnapshotDatabaseTime));
            x.maybe("OriginalSnapshotCreateTime", original)
                .maybe("SnapshotDatabaseTime", of_data.map(timestamp));
        }
    }

    /// The span to which an automated backup can be restored.
    pub(super) fn restore_window(
        &self,
        instance: &Instance,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let latest = self.latest_restorable(instance)?;
        let days = u64::from(instance.settings.backup_retention);
        let reach = TimeDelta::from_std(Duration::from_secs(days * 86_400)).ok()?;
        Some((
            latest.checked_sub_signed(reach)?.max(later(instance.created, Duration::ZERO)),
            latest,
        ))
    }
}

fn pending(x: &mut Xml, instance: &Instance) {
    let (Some((_, next)), now) = (&instance.pending, &instance.settings) else {
        x.nest("PendingModifiedValues", |_| {});
        return;
    };
    let password = next.users.get(&next.master) != now.users.get(&now.master);
    x.nest("PendingModifiedValues", |x| {
        x.maybe("DBInstanceClass", changed(&now.class, &next.class))
            .maybe("AllocatedStorage", changed(&now.storage, &next.storage))
            .maybe("MasterUserPassword", password.then_some("****"))
            .maybe("Port", changed(&now.port, &next.port))
            .maybe("BackupRetentionPeriod", changed(&now.backup_retention, &next.backup_retention))
            .maybe("MultiAZ", changed(&now.multi_az, &next.multi_az))
            .maybe("EngineVersion", changed(&now.version, &next.version))
            .maybe("Iops", next.iops.filter(|_| now.iops != next.iops))
            .maybe("StorageType", changed(&now.storage_type, &next.storage_type));
    });
}

fn changed<'a, T: PartialEq>(now: &T, next: &'a T) -> Option<&'a T> {
    (now != next).then_some(next)
}

/// The licence model of an engine.
pub(super) fn license(engine: &str) -> &'static str {
    match engine {
        "postgres" | "aurora-postgresql" => "postgresql-license",
        "mysql" | "mariadb" => "general-public-license",
        _ => "license-included",
    }
}
