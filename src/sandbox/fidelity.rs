//! What is simulated, and how far.

/// An operation that the sandbox simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The service, as in signatures: `rds`.
    pub service: &'static str,
    /// The operation.
    pub name: &'static str,
    /// What is simulated and what is not.
    pub fidelity: &'static str,
}

const fn operation(service: &'static str, name: &'static str, fidelity: &'static str) -> Operation {
    Operation { service, name, fidelity }
}

/// Every operation that the sandbox simulates, those of S3 included.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    FIDELITY.iter().chain(super::s3::FIDELITY)
}

/// Every operation that the sandbox simulates, besides those of [`crate::sandbox::s3::FIDELITY`].
pub const FIDELITY: &[Operation] = &[
    operation(
        "rds",
        "DescribeDBInstances",
        "By id, ARN and filters; pages of 20 to 100. No endpoint while creating; pending changes are shown.",
    ),
    operation(
        "rds",
        "DescribeDBSnapshots",
        "By id, ARN, instance, type and filters; shared snapshots; pages. A copy carries its own SnapshotCreateTime, and the original's OriginalSnapshotCreateTime and SnapshotDatabaseTime. Times are absent while creating, and where the estate says that RDS does not tell them. No public snapshots and of AWS Backup those that the estate lists.",
    ),
    operation(
        "rds",
        "DescribeDBInstanceAutomatedBackups",
        "Active backups, those that the estate replicates here, and those retained of deleted instances, with their restore windows. The window of an active one ends at the last full five minutes, that of a replicated one `lag` earlier, and no later than the loss or the deletion of its instance. Replication itself is not started or stopped by calls.",
    ),
    operation(
        "rds",
        "RestoreDBInstanceFromDBSnapshot",
        "Single-AZ, default parameter group, default security group and no deletion protection unless the call says otherwise. Checks snapshot, key, subnet group, security groups, parameter group and its family. Ends `available` after `restore_takes`, the last fifth of it `backing-up`. Not: further automated snapshots after the first, capacity and quotas (use faults), option groups, licences, domains; a snapshot shared by another account is readable only with a key of this place.",
    ),
    operation(
        "rds",
        "RestoreDBInstanceToPointInTime",
        "From an instance here, by its DbiResourceId (retained backups too), or from an automated backup by ARN; to a time in the restore window or to its end. The rest as in RestoreDBInstanceFromDBSnapshot, `restore_takes` included: replaying logs takes no time of its own. The codes of refusals of a time and of a version that is gone are guesses.",
    ),
    operation(
        "rds",
        "DescribeDBEngineVersions",
        "Every version of postgres, mysql, mariadb and Aurora's engines that is asked for by name, except those in `engine_versions_gone`; without a version, those in use here. No upgrade targets.",
    ),
    operation(
        "rds",
        "PromoteReadReplica",
        "Says `available` for 20 seconds more, then `modifying` for four minutes; then it is no replica any more, and holds what it had received. Read replicas are those of the estate, also of a source in another region; none are created by calls.",
    ),
    operation(
        "rds",
        "ModifyDBInstance",
        "Says `available` for 30 seconds more, then `modifying` for five minutes; values change at the end. Deletion protection, security groups and log exports change at once. Without ApplyImmediately other changes stay pending. Not: renaming, upgrades of the engine as such.",
    ),
    operation(
        "rds",
        "DeleteDBInstance",
        "Four minutes of `deleting`, more with a final snapshot; the rules of SkipFinalSnapshot; deletion protection; automated snapshots go with it. Without a final snapshot an instance can be deleted in any state. A member of a cluster has no final snapshot; another one writes then.",
    ),
    operation(
        "rds",
        "DescribeDBClusters",
        "Clusters of Aurora, by id, ARN and filters; pages. Members are listed from when they are asked for. EarliestRestorableTime and LatestRestorableTime while available. No Multi-AZ DB clusters, no global databases, no custom endpoints, no failover.",
    ),
    operation(
        "rds",
        "DescribeDBClusterSnapshots",
        "By id, ARN, cluster, type and filters; shared snapshots; pages. A copy carries its own SnapshotCreateTime and names its source; the time of the original is not told. Times are absent while creating. None of AWS Backup, none public.",
    ),
    operation(
        "rds",
        "DescribeDBClusterParameterGroups",
        "The estate's groups and the default groups in use.",
    ),
    operation(
        "rds",
        "DescribeDBClusterParameters",
        "Parameters set by hand only; engine defaults are not listed.",
    ),
    operation(
        "rds",
        "RestoreDBClusterFromSnapshot",
        "A cluster without members. Default subnet group, security group and cluster parameter group, no deletion protection, no IAM authentication and no log exports unless the call says otherwise; port and backup retention are the snapshot's. Checks snapshot, key, engine, subnet group, security groups, cluster parameter group and its family. `available` after `restore_takes`. Not: without EngineVersion AWS takes the default version of the engine, the sandbox that of the snapshot; upgrades; restoring a DB snapshot; capacity and quotas (use faults).",
    ),
    operation(
        "rds",
        "RestoreDBClusterToPointInTime",
        "Of a cluster that is there, to a time, to the latest one, or as a clone of now; the rules of RestoreType and RestoreToTime, which lies before the latest. Else as from a snapshot, and the port is the default of the engine. Not: retained backups of deleted clusters, clones in other accounts, the sharing of storage.",
    ),
    operation(
        "rds",
        "CreateDBInstance",
        "Members of clusters only: the cluster must be available and of the same engine; parameter group and family; certificate authority and Enhanced Monitoring; `db.serverless` needs a scaling configuration. The first member that was asked for writes. `available` after `instance_takes`, all members at the same time. Not: orderable classes, zones without subnets, capacity (use faults).",
    ),
    operation(
        "rds",
        "ModifyDBCluster",
        "Deletion protection only, at once; the cluster must be available.",
    ),
    operation(
        "rds",
        "DeleteDBCluster",
        "Refused while a member is not being deleted, and under deletion protection; only with SkipFinalSnapshot. Goes two minutes after its last member; automated snapshots go with it. In any other state it can be deleted.",
    ),
    operation(
        "rds",
        "CopyDBSnapshot",
        "Between regions and accounts; keys of the destination; refuses when the source's place is lost, fails when the source is deleted meanwhile. Takes `copy_takes`. Not: quotas, option groups, presigned URLs (ignored).",
    ),
    operation(
        "rds",
        "CopyDBClusterSnapshot",
        "As CopyDBSnapshot, in a quarter of an hour; refuses a key for what is not encrypted. The copy knows only its own time. Not: events.",
    ),
    operation(
        "rds",
        "DeleteDBClusterSnapshot",
        "Manual snapshots that are available or failed, at once.",
    ),
    operation("rds", "DeleteDBSnapshot", "Manual snapshots that are available or failed, at once."),
    operation(
        "rds",
        "AddTagsToResource",
        "Instances, clusters and snapshots. No limit on the number of tags.",
    ),
    operation("rds", "ListTagsForResource", "Instances, clusters and snapshots."),
    operation(
        "rds",
        "DescribeAccountAttributes",
        "The quotas DBInstances, DBClusters, ManualSnapshots and ManualClusterSnapshots only, with AWS's defaults of 40 and 100. They do not limit restores (use faults).",
    ),
    operation(
        "rds",
        "DescribeEvents",
        "Restores, backups and deletions since the simulation began; the last hour unless asked for more. Real events may be missing or out of order; these never are.",
    ),
    operation(
        "rds",
        "DescribeDBParameters",
        "Parameters set by hand only; engine defaults are not listed.",
    ),
    operation(
        "rds",
        "DescribeDBParameterGroups",
        "The estate's groups and the default groups in use.",
    ),
    operation(
        "rds",
        "DescribeDBSubnetGroups",
        "The estate's groups. `default` exists when asked for by name.",
    ),
    operation(
        "ec2",
        "DescribeSnapshots",
        "By id, owner and filters with wildcards; shared snapshots; pages of 5 to 1000, everything without MaxResults. No public snapshots, no archive tier.",
    ),
    operation("ec2", "DescribeVolumes", "By id and filters; pages."),
    operation(
        "ec2",
        "CreateVolume",
        "From a snapshot or empty; keys; ClientToken; DryRun. A key that cannot be used shows as in AWS: the call succeeds and the volume vanishes. `available` after 15 seconds, whatever the size: hydration is not simulated. Zones a, b and c of the region.",
    ),
    operation("ec2", "DeleteVolume", "Refuses attached volumes. Gone after 20 seconds; DryRun."),
    operation("ec2", "CreateTags", "Volumes and snapshots; DryRun."),
    operation("ec2", "DescribeTags", "Volumes, snapshots and security groups; pages."),
    operation(
        "ec2",
        "CopySnapshot",
        "Between regions of an account; an encrypted original gives an encrypted copy; ten minutes; DryRun. A key that cannot be used shows as in AWS: the call succeeds and the snapshot ends in `error`. The operation has no client token.",
    ),
    operation("ec2", "DeleteSnapshot", "At once; DryRun. Not: snapshots in use by an image."),
    operation("ec2", "DescribeSecurityGroups", "By id, name and filters; no rules."),
    operation("ec2", "DescribeAvailabilityZones", "Three zones in every region."),
    operation(
        "kms",
        "DescribeKey",
        "By id, ARN and alias; states; denied keys. No key policies or grants: a key is usable or not, and another account may ask for one with which a snapshot is encrypted that is shared with it.",
    ),
    operation("sts", "GetCallerIdentity", "The user of the account or the assumed role."),
    operation(
        "sts",
        "AssumeRole",
        "Roles that the estate names. Sessions end: 15 minutes to 12 hours. No policies, no MFA.",
    ),
    operation(
        "secretsmanager",
        "GetSecretValue",
        "By name and ARN, current version only; denied secrets; keys that cannot be used.",
    ),
    operation(
        "cloudwatch",
        "DescribeAlarms",
        "Metric and composite alarms by name, prefix, type and state; pages. Their states are those of the estate and change when it says so: no metrics, no rules, no actions, no log alarms. By RPC v2 CBOR, as the SDK for Rust asks, and by JSON, as the AWS CLI does; not by the query protocol of older clients.",
    ),
];
