//! The guard's table: every operation that the program may use, and whether it changes anything. What is not in it is refused.

use super::rules::{self, ChangeRule};
use std::fmt;

/// What an operation does to the world.
#[derive(Clone, Copy)]
pub enum OperationKind {
    /// It only reads.
    Reads,
    /// It makes, changes or deletes what the rule reads off the call.
    Changes(&'static ChangeRule),
}

impl fmt::Debug for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reads => "Reads",
            Self::Changes(_) => "Changes",
        })
    }
}

use OperationKind::{Changes, Reads};

/// IAM prefix, the service's name in the SDK's metadata, and its operations.
type ServiceOperations = (&'static str, &'static str, &'static [(&'static str, OperationKind)]);

/// All operations that the guard knows, by service.
pub static OPERATIONS: &[ServiceOperations] = &[
    (
        "rds",
        "RDS",
        &[
            ("AddTagsToResource", Changes(&rules::ADD_TAGS_TO_RESOURCE)),
            ("CopyDBClusterSnapshot", Changes(&rules::COPY_DB_CLUSTER_SNAPSHOT)),
            ("CopyDBSnapshot", Changes(&rules::COPY_DB_SNAPSHOT)),
            ("CreateDBInstance", Changes(&rules::CREATE_DB_INSTANCE)),
            ("DeleteDBCluster", Changes(&rules::DELETE_DB_CLUSTER)),
            ("DeleteDBClusterSnapshot", Changes(&rules::DELETE_DB_CLUSTER_SNAPSHOT)),
            ("DeleteDBInstance", Changes(&rules::DELETE_DB_INSTANCE)),
            ("DeleteDBSnapshot", Changes(&rules::DELETE_DB_SNAPSHOT)),
            ("DescribeAccountAttributes", Reads),
            ("DescribeDBClusterParameterGroups", Reads),
            ("DescribeDBClusterParameters", Reads),
            ("DescribeDBClusterSnapshots", Reads),
            ("DescribeDBClusters", Reads),
            ("DescribeDBEngineVersions", Reads),
            ("DescribeDBInstanceAutomatedBackups", Reads),
            ("DescribeDBInstances", Reads),
            ("DescribeDBParameterGroups", Reads),
            ("DescribeDBParameters", Reads),
            ("DescribeDBSnapshots", Reads),
            ("DescribeDBSubnetGroups", Reads),
            ("DescribeEvents", Reads),
            ("ListTagsForResource", Reads),
            ("ModifyDBCluster", Changes(&rules::MODIFY_DB_CLUSTER)),
            ("ModifyDBInstance", Changes(&rules::MODIFY_DB_INSTANCE)),
            ("PromoteReadReplica", Changes(&rules::PROMOTE_READ_REPLICA)),
            ("RestoreDBClusterFromSnapshot", Changes(&rules::RESTORE_DB_CLUSTER_FROM_SNAPSHOT)),
            ("RestoreDBClusterToPointInTime", Changes(&rules::RESTORE_DB_CLUSTER_TO_POINT_IN_TIME)),
            (
                "RestoreDBInstanceFromDBSnapshot",
                Changes(&rules::RESTORE_DB_INSTANCE_FROM_DB_SNAPSHOT),
            ),
            (
                "RestoreDBInstanceToPointInTime",
                Changes(&rules::RESTORE_DB_INSTANCE_TO_POINT_IN_TIME),
            ),
        ],
    ),
    (
        "ec2",
        "EC2",
        &[
            ("CopySnapshot", Changes(&rules::COPY_SNAPSHOT)),
            ("CreateTags", Changes(&rules::CREATE_TAGS)),
            ("CreateVolume", Changes(&rules::CREATE_VOLUME)),
            ("DeleteSnapshot", Changes(&rules::DELETE_SNAPSHOT)),
            ("DeleteVolume", Changes(&rules::DELETE_VOLUME)),
            ("DescribeAvailabilityZones", Reads),
            ("DescribeSecurityGroups", Reads),
            ("DescribeSnapshots", Reads),
            ("DescribeTags", Reads),
            ("DescribeVolumes", Reads),
        ],
    ),
    (
        "s3",
        "S3",
        &[
            ("DeleteObject", Changes(&rules::DELETE_OBJECT)),
            ("DeleteObjects", Changes(&rules::DELETE_OBJECTS)),
            ("GetBucketLocation", Reads),
            ("GetBucketReplication", Reads),
            ("GetBucketVersioning", Reads),
            ("GetObject", Reads),
            ("HeadBucket", Reads),
            ("HeadObject", Reads),
            ("ListObjectVersions", Reads),
            ("ListObjectsV2", Reads),
            ("PutObject", Changes(&rules::PUT_OBJECT)),
        ],
    ),
    ("sts", "STS", &[("AssumeRole", Reads), ("GetCallerIdentity", Reads)]),
    ("kms", "KMS", &[("DescribeKey", Reads)]),
    ("secretsmanager", "Secrets Manager", &[("GetSecretValue", Reads)]),
    ("cloudwatch", "CloudWatch", &[("DescribeAlarms", Reads)]),
];

/// The IAM prefix of a service (as named in the SDK's metadata) and what the operation does; `None` when the table does
/// not know it.
pub fn kind_of(service: &str, operation: &str) -> (String, Option<OperationKind>) {
    let Some((prefix, _, operations)) = OPERATIONS.iter().find(|(_, name, _)| *name == service)
    else {
        return (service.to_lowercase(), None);
    };
    let kind = operations.iter().find(|(name, _)| *name == operation).map(|(_, kind)| *kind);
    ((*prefix).to_owned(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_nothing_twice() {
        for (prefix, _, operations) in OPERATIONS {
            assert!(operations.is_sorted_by(|a, b| a.0 < b.0), "{prefix}");
        }
    }
}
