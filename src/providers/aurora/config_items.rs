//! What is compared of a cluster, and how much a difference matters.

use crate::journal::Severity;
use crate::providers::rds::{Item, Kind, Known, known};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClusterItem {
    Engine,
    EngineVersion,
    MultiAz,
    Readers,
    Classes,
    Tiers,
    Capacity,
    StorageType,
    Encrypted,
    KmsKey,
    Vpc,
    SubnetGroup,
    SecurityGroups,
    PubliclyAccessible,
    Port,
    ClusterParameterGroup,
    ClusterParameters,
    InstanceParameterGroups,
    InstanceParameters,
    DeletionProtection,
    BackupRetention,
    IamAuth,
    Cas,
    Monitoring,
    LogExports,
    Tags,
}

use ClusterItem::{
    BackupRetention, Capacity, Cas, Classes, ClusterParameterGroup, ClusterParameters,
    DeletionProtection, Encrypted, Engine, EngineVersion, IamAuth, InstanceParameterGroups,
    InstanceParameters, KmsKey, LogExports, Monitoring, MultiAz, Port, PubliclyAccessible, Readers,
    SecurityGroups, StorageType, SubnetGroup, Tags, Tiers, Vpc,
};
use Severity::{Critical, Serious, Warning};

/// Everything that is compared of a cluster.
const ITEMS: [Known<ClusterItem>; 26] = [
    known(Engine, "engine", Critical, "applications speak to another database").never_tolerated(),
    known(EngineVersion, "engine_version", Serious, "applications were not tested against it")
        .kind(Kind::Version),
    known(MultiAz, "multi_az", Serious, "the failure of one zone takes it down"),
    known(
        Readers,
        "readers",
        Serious,
        "nobody takes over at once when the writer fails, and reads have less room",
    )
    .countable(),
    known(Classes, "classes", Serious, "its members may not carry the load of production")
        .kind(Kind::Bag),
    known(Tiers, "tiers", Warning, "another member than intended takes over the writing")
        .kind(Kind::Bag),
    known(Capacity, "capacity", Serious, "it may not carry the load of production, or cost more")
        .may_be_nothing(),
    known(StorageType, "storage_type", Warning, "its reads and writes cost otherwise"),
    known(Encrypted, "encrypted", Critical, "data at rest is not protected as the policy demands")
        .never_tolerated(),
    known(KmsKey, "kms_key", Serious, "others than intended can decrypt it, or take it away")
        .may_be_nothing(),
    known(Vpc, "vpc", Critical, "it is in a network where it is not expected").never_tolerated(),
    known(SubnetGroup, "subnet_group", Serious, "it is in subnets where it is not expected")
        .kind(Kind::LowerCase),
    known(SecurityGroups, "security_groups", Critical, "clients cannot reach it, or others can")
        .kind(Kind::Set),
    known(PubliclyAccessible, "publicly_accessible", Critical, "it can be reached from outside")
        .never_tolerated(),
    known(Port, "port", Serious, "clients and security groups expect another port"),
    known(
        ClusterParameterGroup,
        "cluster_parameter_group",
        Serious,
        "later changes of its parameters go elsewhere",
    )
    .kind(Kind::LowerCase),
    known(
        ClusterParameters,
        "cluster_parameters",
        Serious,
        "the cluster behaves differently from the original",
    )
    .kind(Kind::Parameters),
    known(
        InstanceParameterGroups,
        "instance_parameter_groups",
        Serious,
        "later changes of its parameters go elsewhere",
    )
    .kind(Kind::Set),
    known(
        InstanceParameters,
        "instance_parameters",
        Serious,
        "its members behave differently from the original",
    )
    .kind(Kind::Parameters),
    known(DeletionProtection, "deletion_protection", Serious, "one call deletes it"),
    known(BackupRetention, "backup_retention", Serious, "the next disaster finds fewer backups")
        .countable(),
    known(IamAuth, "iam_auth", Serious, "who logs in by IAM cannot, or suddenly can"),
    known(Cas, "cas", Warning, "clients that trust one authority only cannot connect")
        .kind(Kind::Set),
    known(Monitoring, "monitoring", Warning, "trouble after the recovery is seen later")
        .kind(Kind::Set),
    known(LogExports, "log_exports", Warning, "its logs are missing where they are looked for")
        .kind(Kind::Set),
    known(Tags, "tags", Warning, "costs, backups and permissions go by tags").kind(Kind::Tags),
];

impl Item for ClusterItem {
    const ALL: &'static [Known<Self>] = &ITEMS;
    const OF: &'static str = "cluster";
    const SERVICE: &'static str = "aurora";
}

/// The checks that a comparison can make, for the reference.
pub(super) const CHECKS: &[(&str, &str)] = &[
    ("items compared", "at least one item could be compared"),
    crate::providers::earlier::CHECK,
    ("source of the intended configuration", "it was captured of the original that source names"),
    (
        "origin of the intended configuration",
        "it was captured from another cluster, before this one was made",
    ),
    ("age of the intended configuration", "it is not older than max_age"),
    ("engine", "the engine is the intended one"),
    ("engine_version", "its version is the intended one"),
    ("multi_az", "its members are in several zones exactly when intended"),
    ("readers", "as many members read as intended"),
    ("classes", "the instance classes of the members are the intended ones"),
    ("tiers", "the order of taking over is the intended one"),
    ("capacity", "the limits of Serverless v2 are the intended ones"),
    ("storage_type", "the storage type is the intended one"),
    ("encrypted", "the storage is encrypted exactly when intended"),
    ("kms_key", "the key is the intended one"),
    ("vpc", "the VPC is the intended one"),
    ("subnet_group", "the subnet group is the intended one"),
    ("security_groups", "the security groups are exactly the intended ones"),
    ("publicly_accessible", "a member can be reached from outside exactly when intended"),
    ("port", "the port is the intended one"),
    ("cluster_parameter_group", "the cluster parameter group is the intended one"),
    (
        "cluster_parameters",
        "the parameters of the cluster that differ from the engine's default are the intended ones",
    ),
    ("instance_parameter_groups", "the parameter groups of the members are the intended ones"),
    (
        "instance_parameters",
        "the parameters of the members that differ from the engine's default are the intended ones",
    ),
    ("deletion_protection", "deletion protection is as intended"),
    ("backup_retention", "automated backups are kept as long as intended"),
    ("iam_auth", "IAM database authentication is as intended"),
    ("cas", "the authorities of the server certificates are the intended ones"),
    ("monitoring", "Enhanced Monitoring looks as often as intended"),
    ("log_exports", "the logs sent to CloudWatch are exactly the intended ones"),
    ("tags", "every intended tag is there"),
];
