//! What IAM asks for: the one table. Resource types and condition keys are those of the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>,
//! pages `list_amazonrds`, `list_amazonec2`, `list_amazons3`, `list_awskeymanagementservice`, `list_awssecretsmanager`, `list_amazoncloudwatch`, `list_amazonrdsiamauthentication`,
//! `list_awssecuritytokenservice`).

/// What an IAM action lets one do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Look.
    Read,
    /// Make, change, delete.
    Write,
    /// Put tags on something.
    Tag,
}

/// What tells what the program makes from everything else: its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// AWS cannot ask for tags there, or there are none to ask for.
    None,
    /// The call must carry the tags (`aws:RequestTag`).
    InRequest,
    /// The call must carry the tags, and be a part of this creating call (`ec2:CreateAction`).
    WhenCreating(&'static str),
    /// The resource must have the tags (`aws:ResourceTag`).
    OnResource,
    /// The resource must have the tags, and no other tag may be written than the one that says when it expires (`aws:TagKeys`).
    Expiry,
}

/// A type of resource to which an IAM action can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// As in the reference: `db`.
    pub kind: &'static str,
    /// What tags can be asked for there. EC2 evaluates a call once for each resource, each with its own keys.
    pub tags: Tags,
}

/// An IAM action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IamAction {
    /// `rds:DescribeDBSnapshots`
    pub name: &'static str,
    /// What it lets one do.
    pub level: Level,
    /// The types of resources to which it can be limited; none where only `*` is possible.
    pub resources: &'static [ResourceType],
    /// When AWS asks for it.
    pub asked: Asked,
}

/// When AWS asks for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// At a call of the program: see [`actions_of`].
    AtCall,
    /// Besides another call, so that it is never seen as a call itself; the text says when.
    Besides(&'static str),
}

use Asked::{AtCall, Besides};
use Level::{Read, Tag, Write};
use Tags::{Expiry, InRequest, OnResource, WhenCreating};

const fn on(kind: &'static str) -> ResourceType {
    ResourceType { kind, tags: Tags::None }
}

const fn tagged(kind: &'static str, tags: Tags) -> ResourceType {
    ResourceType { kind, tags }
}

const fn action(
    name: &'static str,
    level: Level,
    resources: &'static [ResourceType],
    asked: Asked,
) -> IamAction {
    IamAction { name, level, resources, asked }
}

const KEY: &[ResourceType] = &[on("key")];
const BUCKET: &[ResourceType] = &[on("bucket")];
const OBJECT: &[ResourceType] = &[on("object")];

/// Every IAM action that an action or a kind of resource of this program needs, and those of preflight, by name.
pub const IAM_ACTIONS: &[IamAction] = &[
    // Composite alarms are told only to who may ask for all
    // (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).
    action("cloudwatch:DescribeAlarms", Read, &[], AtCall),
    action(
        "ec2:CreateTags",
        Tag,
        &[
            tagged("volume", WhenCreating("CreateVolume")),
            tagged("volume", Expiry),
            tagged("snapshot", Expiry),
        ],
        Besides("EC2 asks for it when CreateVolume carries tags, and where something is kept"),
    ),
    action("ec2:CreateVolume", Write, &[tagged("volume", InRequest), on("snapshot")], AtCall),
    action("ec2:DeleteSnapshot", Write, &[tagged("snapshot", OnResource)], AtCall),
    action("ec2:DeleteVolume", Write, &[tagged("volume", OnResource)], AtCall),
    action("ec2:DescribeAvailabilityZones", Read, &[], AtCall),
    action("ec2:DescribeSecurityGroups", Read, &[], AtCall),
    action("ec2:DescribeSnapshots", Read, &[], AtCall),
    action("ec2:DescribeVolumes", Read, &[], AtCall),
    action(
        "iam:PassRole",
        Write,
        &[on("role")],
        Besides("RDS asks IAM for it when an instance gets a role for Enhanced Monitoring"),
    ),
    action(
        "kms:CreateGrant",
        Write,
        KEY,
        Besides("RDS and EC2 ask KMS for it when a restore or a copy is encrypted"),
    ),
    action(
        "kms:Decrypt",
        Read,
        KEY,
        Besides("EC2, RDS, S3 and Secrets Manager ask KMS for it when they read what is encrypted"),
    ),
    action("kms:DescribeKey", Read, KEY, AtCall),
    action(
        "kms:GenerateDataKey",
        Write,
        KEY,
        Besides("S3 asks KMS for it when an object is written to a bucket with SSE-KMS"),
    ),
    action(
        "kms:GenerateDataKeyWithoutPlaintext",
        Write,
        KEY,
        Besides("EC2 asks KMS for it when it makes an encrypted volume"),
    ),
    action(
        "kms:ReEncryptFrom",
        Write,
        KEY,
        Besides("EC2 asks KMS for it when a volume gets another key than its snapshot"),
    ),
    action(
        "kms:ReEncryptTo",
        Write,
        KEY,
        Besides("EC2 asks KMS for it when a volume gets another key than its snapshot"),
    ),
    action(
        "rds-db:connect",
        Read,
        &[on("db-user")],
        Besides("RDS asks for it when a user of a database logs in with a token"),
    ),
    action(
        "rds:AddTagsToResource",
        Tag,
        &[
            tagged("cluster", InRequest),
            tagged("cluster-snapshot", InRequest),
            tagged("db", InRequest),
            tagged("snapshot", InRequest),
            tagged("cluster", Expiry),
            tagged("cluster-snapshot", Expiry),
            tagged("db", Expiry),
            tagged("snapshot", Expiry),
        ],
        Besides(
            "RDS asks for it when a restore or a copy carries tags, and where something is kept",
        ),
    ),
    action("rds:CopyDBClusterSnapshot", Write, &[tagged("cluster-snapshot", InRequest)], AtCall),
    action(
        "rds:CopyDBSnapshot",
        Write,
        &[tagged("og", InRequest), tagged("snapshot", InRequest)],
        AtCall,
    ),
    action(
        "rds:CreateDBInstance",
        Write,
        &[
            tagged("cluster", InRequest),
            tagged("db", InRequest),
            tagged("og", InRequest),
            tagged("pg", InRequest),
            tagged("subgrp", InRequest),
        ],
        AtCall,
    ),
    action("rds:DeleteDBCluster", Write, &[tagged("cluster", OnResource)], AtCall),
    action("rds:DeleteDBClusterSnapshot", Write, &[tagged("cluster-snapshot", OnResource)], AtCall),
    action("rds:DeleteDBInstance", Write, &[tagged("db", OnResource)], AtCall),
    action("rds:DeleteDBSnapshot", Write, &[tagged("snapshot", OnResource)], AtCall),
    action("rds:DescribeAccountAttributes", Read, &[], AtCall),
    action("rds:DescribeDBClusterParameterGroups", Read, &[on("cluster-pg")], AtCall),
    action("rds:DescribeDBClusterParameters", Read, &[on("cluster-pg")], AtCall),
    action(
        "rds:DescribeDBClusterSnapshots",
        Read,
        &[on("cluster"), on("cluster-snapshot")],
        AtCall,
    ),
    action("rds:DescribeDBClusters", Read, &[on("cluster")], AtCall),
    action("rds:DescribeDBEngineVersions", Read, &[], AtCall),
    action("rds:DescribeDBInstanceAutomatedBackups", Read, &[on("db")], AtCall),
    action("rds:DescribeDBInstances", Read, &[on("db")], AtCall),
    action("rds:DescribeDBParameterGroups", Read, &[on("pg")], AtCall),
    action("rds:DescribeDBParameters", Read, &[on("pg")], AtCall),
    action("rds:DescribeDBSnapshots", Read, &[on("db"), on("snapshot")], AtCall),
    action("rds:DescribeDBSubnetGroups", Read, &[on("subgrp")], AtCall),
    action("rds:DescribeEvents", Read, &[], AtCall),
    action("rds:ListTagsForResource", Read, &[on("cluster"), on("db")], AtCall),
    action("rds:ModifyDBCluster", Write, &[tagged("cluster", OnResource)], AtCall),
    action("rds:ModifyDBInstance", Write, &[tagged("db", OnResource)], AtCall),
    // The replica is not of the run's making, so that it has none of its tags.
    action("rds:PromoteReadReplica", Write, &[on("db")], AtCall),
    action(
        "rds:RestoreDBClusterFromSnapshot",
        Write,
        &[
            tagged("cluster", InRequest),
            tagged("cluster-pg", InRequest),
            tagged("cluster-snapshot", InRequest),
            tagged("og", InRequest),
            tagged("subgrp", InRequest),
        ],
        AtCall,
    ),
    action(
        "rds:RestoreDBClusterToPointInTime",
        Write,
        &[
            tagged("cluster", InRequest),
            tagged("cluster-pg", InRequest),
            tagged("og", InRequest),
            tagged("subgrp", InRequest),
        ],
        AtCall,
    ),
    action(
        "rds:RestoreDBInstanceFromDBSnapshot",
        Write,
        &[
            tagged("db", InRequest),
            tagged("og", InRequest),
            tagged("pg", InRequest),
            tagged("snapshot", InRequest),
            tagged("subgrp", InRequest),
        ],
        AtCall,
    ),
    action(
        "rds:RestoreDBInstanceToPointInTime",
        Write,
        &[
            tagged("db", InRequest),
            tagged("og", InRequest),
            tagged("pg", InRequest),
            tagged("subgrp", InRequest),
            on("auto-backup"),
        ],
        AtCall,
    ),
    action("s3:DeleteObjectVersion", Write, OBJECT, AtCall),
    action("s3:GetBucketLocation", Read, BUCKET, AtCall),
    action("s3:GetBucketVersioning", Read, BUCKET, AtCall),
    action("s3:GetObject", Read, OBJECT, AtCall),
    action("s3:GetObjectVersion", Read, OBJECT, AtCall),
    action("s3:GetReplicationConfiguration", Read, BUCKET, AtCall),
    action(
        "s3:ListBucket",
        Read,
        BUCKET,
        Besides("S3 asks for it to say \"not found\" instead of \"denied\" about an object"),
    ),
    action("s3:ListBucketVersions", Read, BUCKET, AtCall),
    action("s3:PutObject", Write, OBJECT, AtCall),
    action("secretsmanager:GetSecretValue", Read, &[on("Secret")], AtCall),
];

/// What is known about an IAM action.
pub fn iam_action(name: &str) -> Option<&'static IamAction> {
    IAM_ACTIONS.iter().find(|action| action.name == name)
}

/// True for an action that AWS asks for without a call of that name.
pub fn never_called(name: &str) -> bool {
    iam_action(name).is_some_and(|action| action.asked != AtCall)
}

/// The IAM actions of which AWS asks for one at a call, as the guard names it (`s3:HeadObject`): several where it depends
/// on the parameters. Most have the name of the call
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html> for those of S3). None for
/// a call that needs no permission.
pub fn actions_of(call: &str) -> Vec<&str> {
    match call {
        "s3:DeleteObject" | "s3:DeleteObjects" => vec!["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "s3:GetBucketReplication" => vec!["s3:GetReplicationConfiguration"],
        "s3:GetObject" | "s3:HeadObject" => vec!["s3:GetObject", "s3:GetObjectVersion"],
        "s3:HeadBucket" | "s3:ListObjectsV2" => vec!["s3:ListBucket"],
        "s3:ListObjectVersions" => vec!["s3:ListBucketVersions"],
        // https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permission is needed.
        "sts:GetCallerIdentity" => Vec::new(),
        other => vec![other],
    }
}
