//! The guard's table: every operation that the program may use, and whether it changes anything. What is not in it is refused.

/// What an operation does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// It only reads.
    Reads,
    /// It makes, changes or deletes something.
    Changes,
}

use OperationKind::{Changes, Reads};

/// IAM prefix, the service's name in the SDK's metadata, and its operations.
type ServiceOperations = (&'static str, &'static str, &'static [(&'static str, OperationKind)]);

/// All operations that the guard knows, by service.
pub const OPERATIONS: &[ServiceOperations] = &[
    (
        "rds",
        "RDS",
        &[
            ("AddTagsToResource", Changes),
            ("CopyDBSnapshot", Changes),
            ("DeleteDBInstance", Changes),
            ("DeleteDBSnapshot", Changes),
            ("DescribeAccountAttributes", Reads),
            ("DescribeDBInstanceAutomatedBackups", Reads),
            ("DescribeDBInstances", Reads),
            ("DescribeDBParameterGroups", Reads),
            ("DescribeDBParameters", Reads),
            ("DescribeDBSnapshots", Reads),
            ("DescribeDBSubnetGroups", Reads),
            ("DescribeEvents", Reads),
            ("ListTagsForResource", Reads),
            ("ModifyDBInstance", Changes),
            ("RestoreDBInstanceFromDBSnapshot", Changes),
        ],
    ),
    (
        "ec2",
        "EC2",
        &[
            ("CopySnapshot", Changes),
            ("CreateTags", Changes),
            ("CreateVolume", Changes),
            ("DeleteSnapshot", Changes),
            ("DeleteVolume", Changes),
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
            ("DeleteObject", Changes),
            ("DeleteObjects", Changes),
            ("GetBucketLocation", Reads),
            ("GetBucketReplication", Reads),
            ("GetBucketVersioning", Reads),
            ("GetObject", Reads),
            ("HeadBucket", Reads),
            ("HeadObject", Reads),
            ("ListObjectVersions", Reads),
            ("ListObjectsV2", Reads),
            ("PutObject", Changes),
        ],
    ),
    ("sts", "STS", &[("AssumeRole", Reads), ("GetCallerIdentity", Reads)]),
    ("kms", "KMS", &[("DescribeKey", Reads)]),
    ("secretsmanager", "Secrets Manager", &[("GetSecretValue", Reads)]),
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
