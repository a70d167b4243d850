//! What is compared of an instance, and how much a difference matters.

use super::config::DbConfig;
use super::config_diff::{Config, Item, Kind, Known, Origin, known};
use crate::journal::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(in crate::providers) enum DbItem {
    Class,
    Engine,
    EngineVersion,
    MultiAz,
    StorageType,
    Storage,
    Iops,
    StorageThroughput,
    Encrypted,
    KmsKey,
    Vpc,
    SubnetGroup,
    SecurityGroups,
    PubliclyAccessible,
    Port,
    ParameterGroup,
    Parameters,
    OptionGroup,
    DeletionProtection,
    BackupRetention,
    IamAuth,
    Ca,
    Monitoring,
    LogExports,
    Tags,
}

use DbItem::{
    BackupRetention, Ca, Class, DeletionProtection, Encrypted, Engine, EngineVersion, IamAuth,
    Iops, KmsKey, LogExports, Monitoring, MultiAz, OptionGroup, ParameterGroup, Parameters, Port,
    PubliclyAccessible, SecurityGroups, Storage, StorageThroughput, StorageType, SubnetGroup, Tags,
    Vpc,
};
use Severity::{Critical, Serious, Warning};

/// Everything that is compared of an instance.
const ITEMS: [Known<DbItem>; 25] = [
    known(Class, "class", Serious, "it may not carry the load of production"),
    known(Engine, "engine", Critical, "applications speak to another database").never_tolerated(),
    known(EngineVersion, "engine_version", Serious, "applications were not tested against it")
        .kind(Kind::Version),
    known(MultiAz, "multi_az", Serious, "the failure of one zone takes it down"),
    known(StorageType, "storage_type", Warning, "it reads and writes at another speed"),
    known(Storage, "storage", Serious, "it may run full sooner").kind(Kind::Bytes).countable(),
    known(Iops, "iops", Warning, "it reads and writes at another speed")
        .may_be_nothing()
        .countable(),
    known(StorageThroughput, "storage_throughput", Warning, "it reads and writes at another speed")
        .may_be_nothing()
        .countable(),
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
        ParameterGroup,
        "parameter_group",
        Serious,
        "later changes of its parameters go elsewhere",
    )
    .kind(Kind::LowerCase),
    known(Parameters, "parameters", Serious, "the database behaves differently from the original")
        .kind(Kind::Parameters),
    known(OptionGroup, "option_group", Serious, "features of the engine are missing, or too many")
        .kind(Kind::LowerCase),
    known(DeletionProtection, "deletion_protection", Serious, "one call deletes it"),
    known(BackupRetention, "backup_retention", Serious, "the next disaster finds fewer backups")
        .countable(),
    known(IamAuth, "iam_auth", Serious, "who logs in by IAM cannot, or suddenly can"),
    known(Ca, "ca", Warning, "clients that trust one authority only cannot connect"),
    known(Monitoring, "monitoring", Warning, "trouble after the recovery is seen later")
        .countable(),
    known(LogExports, "log_exports", Warning, "its logs are missing where they are looked for")
        .kind(Kind::Set),
    known(Tags, "tags", Warning, "costs, backups and permissions go by tags").kind(Kind::Tags),
];

impl Item for DbItem {
    const ALL: &'static [Known<Self>] = &ITEMS;
    const OF: &'static str = "instance";
    const SERVICE: &'static str = "rds";
}

impl Config for DbConfig {
    type Item = DbItem;

    fn origin(&self) -> Origin<'_> {
        Origin {
            captured_at: self.captured_at,
            arn: self.arn.as_deref(),
            resource_id: self.resource_id.as_deref(),
        }
    }

    fn kms_key(&self) -> Option<&str> {
        self.kms_key.as_deref()
    }
}

/// The checks that a comparison can make, for the reference.
pub(super) const CHECKS: &[(&str, &str)] = &[
    ("items compared", "at least one item could be compared"),
    crate::providers::earlier::CHECK,
    ("source of the intended configuration", "it was captured of the original that source names"),
    (
        "origin of the intended configuration",
        "it was captured from another instance, before this one was made",
    ),
    ("age of the intended configuration", "it is not older than max_age"),
    ("class", "the instance class is the intended one"),
    ("engine", "the engine is the intended one"),
    ("engine_version", "its version is the intended one"),
    ("multi_az", "a standby exists exactly when intended"),
    ("storage_type", "the storage type is the intended one"),
    ("storage", "the storage has the intended size"),
    ("iops", "the provisioned I/O is the intended one"),
    ("storage_throughput", "the provisioned throughput is the intended one"),
    ("encrypted", "the storage is encrypted exactly when intended"),
    ("kms_key", "the key is the intended one"),
    ("vpc", "the VPC is the intended one"),
    ("subnet_group", "the subnet group is the intended one"),
    ("security_groups", "the security groups are exactly the intended ones"),
    ("publicly_accessible", "it can be reached from outside exactly when intended"),
    ("port", "the port is the intended one"),
    ("parameter_group", "the parameter group is the intended one"),
    ("parameters", "the parameters that differ from the engine's default are the intended ones"),
    (
        "option_group",
        "the option group has the intended name, and is in force; its options are not compared",
    ),
    ("deletion_protection", "deletion protection is as intended"),
    ("backup_retention", "automated backups are kept as long as intended"),
    ("iam_auth", "IAM database authentication is as intended"),
    ("ca", "the authority of the server certificate is the intended one"),
    ("monitoring", "Enhanced Monitoring looks as often as intended"),
    ("log_exports", "the logs sent to CloudWatch are exactly the intended ones"),
    ("tags", "every intended tag is there"),
];
