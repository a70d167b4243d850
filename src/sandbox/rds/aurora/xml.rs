//! Clusters and their snapshots as RDS writes them.

use super::describe::restore_window;
use super::model::{Cluster, ClusterSnapshot, members_of, writer};
use crate::sandbox::rds::xml::{View, license, tag_list};
use crate::sandbox::state::PlaceKey;
use crate::sandbox::wire::{Xml, timestamp};
use chrono::{DateTime, Utc};

/// The content of a `DBCluster` element.
pub(super) fn cluster(view: &View<'_>, x: &mut Xml, cluster: &Cluster) {
    let settings = &cluster.settings;
    let region = &view.place.region;
    x.text("AllocatedStorage", 1)
        .text("BackupRetentionPeriod", settings.backup_retention)
        .maybe("DatabaseName", settings.database.as_ref())
        .text("DBClusterIdentifier", &cluster.id)
        .text("DBClusterParameterGroup", &settings.parameter_group)
        .text("DBSubnetGroup", &settings.subnet_group)
        .text("Status", cluster.timeline.state(view.now).unwrap_or("creating"))
        .text("Endpoint", cluster.host(region))
        .text("ReaderEndpoint", cluster.reader_host(region))
        .text("Engine", &settings.engine)
        .text("EngineVersion", &settings.version)
        .text("EngineMode", &settings.mode)
        .text("Port", settings.port)
        .text("MasterUsername", &settings.master);
    if let Some((earliest, latest)) = restore_window(cluster, view.now) {
        x.text("EarliestRestorableTime", timestamp(earliest))
            .text("LatestRestorableTime", timestamp(latest));
    }
    members(view, x, cluster);
    let groups = &settings.security_groups;
    x.list("VpcSecurityGroups", "VpcSecurityGroupMembership", groups, |x, group| {
        x.text("VpcSecurityGroupId", group).text("Status", "active");
    });
    x.text("StorageEncrypted", cluster.kms_key.is_some())
        .maybe("KmsKeyId", cluster.kms_key.as_ref())
        .text("DbClusterResourceId", &cluster.resource_id)
        .text("DBClusterArn", view.place.arn("rds", &format!("cluster:{}", cluster.id)))
        .text("IAMDatabaseAuthenticationEnabled", settings.iam_authentication)
        .text("ClusterCreateTime", timestamp(cluster.created));
    x.nest("EnabledCloudwatchLogsExports", |x| {
        for log in &settings.log_exports {
            x.text("member", log);
        }
    });
    if let Some((min, max)) = settings.scaling {
        x.nest("ServerlessV2ScalingConfiguration", |x| {
            x.text("MinCapacity", min).text("MaxCapacity", max);
        });
    }
    x.text("StorageType", &settings.storage_type)
        .text("DeletionProtection", settings.deletion_protection)
        .text("CopyTagsToSnapshot", false);
    tag_list(x, "TagList", &cluster.tags);
}

fn members(view: &View<'_>, x: &mut Xml, cluster: &Cluster) {
    let place = view.state.places.get(view.place);
    let members = place.map(|p| members_of(p, &cluster.id, view.now)).unwrap_or_default();
    let writes = writer(&members, view.now).map(|writer| writer.id.clone());
    let zones: std::collections::BTreeSet<_> =
        members.iter().map(|member| &member.settings.zone).collect();
    x.text("MultiAZ", zones.len() > 1);
    x.list("DBClusterMembers", "DBClusterMember", &members, |x, member| {
        x.text("DBInstanceIdentifier", &member.id)
            .text("IsClusterWriter", writes.as_ref() == Some(&member.id))
            .text("DBClusterParameterGroupStatus", "in-sync")
            .maybe("PromotionTier", member.member.as_ref().map(|m| m.tier));
    });
}

/// The content of a `DBClusterSnapshot` element.
pub(super) fn snapshot(
    x: &mut Xml,
    snapshot: &ClusterSnapshot,
    owner: &PlaceKey,
    now: DateTime<Utc>,
) {
    let settings = &snapshot.settings;
    let status = snapshot.timeline.state(now).unwrap_or("creating");
    x.text("DBClusterSnapshotIdentifier", &snapshot.id)
        .text("DBClusterIdentifier", &snapshot.cluster)
        .maybe("SnapshotCreateTime", (status != "creating").then(|| timestamp(snapshot.created)))
        .text("Engine", &settings.engine)
        .text("EngineMode", &settings.mode)
        .text("AllocatedStorage", 1)
        .text("Status", status)
        .text("Port", settings.port)
        .text("VpcId", &snapshot.vpc)
        .text("ClusterCreateTime", timestamp(snapshot.cluster_created))
        .text("MasterUsername", &settings.master)
        .text("EngineVersion", &settings.version)
        .text("LicenseModel", license(&settings.engine))
        .text("SnapshotType", snapshot.kind)
        .text("PercentProgress", snapshot.timeline.percent(now))
        .text("StorageEncrypted", snapshot.kms_key.is_some())
        .maybe("KmsKeyId", snapshot.kms_key.as_ref())
        .text("DBClusterSnapshotArn", snapshot.arn(owner))
        .maybe("SourceDBClusterSnapshotArn", snapshot.source_arn.as_ref())
        .text("IAMDatabaseAuthenticationEnabled", settings.iam_authentication)
        .text("StorageType", &settings.storage_type)
        .text("DbClusterResourceId", &snapshot.resource_id);
    tag_list(x, "TagList", &snapshot.tags);
}
