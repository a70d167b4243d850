use super::{AccountId, AlarmEstate, ClusterEstate, DatabaseEstate, VolumeEstate};
use crate::sandbox::s3::BucketEstate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountEstate {
    /// The roles that the caller may assume here. Any other is refused.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What exists in one region of one account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceEstate {
    /// The account.
    pub account: AccountId,
    /// The region, such as `ap-northeast-1`.
    pub region: String,
    /// Keys of KMS. The keys that AWS manages (`alias/aws/rds` and so on) exist by themselves.
    #[serde(default)]
    pub kms_keys: Vec<KmsKeyEstate>,
    /// Secrets of Secrets Manager.
    #[serde(default)]
    pub secrets: Vec<SecretEstate>,
    /// Subnet groups of RDS. `default` exists by itself, in the default VPC.
    #[serde(default)]
    pub subnet_groups: Vec<SubnetGroupEstate>,
    /// Security groups of EC2. The one of the default VPC exists by itself.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupEstate>,
    /// Parameter groups of RDS. The default ones exist by themselves.
    #[serde(default)]
    pub parameter_groups: Vec<ParameterGroupEstate>,
    /// Versions of database engines that RDS does not offer here any more: `postgres 13.3`.
    #[serde(default)]
    pub engine_versions_gone: Vec<String>,
    /// Cluster parameter groups of Aurora. The default ones exist by themselves.
    #[serde(default)]
    pub cluster_parameter_groups: Vec<ParameterGroupEstate>,
    /// Clusters of Aurora.
    #[serde(default)]
    pub clusters: Vec<ClusterEstate>,
    /// Database instances.
    #[serde(default)]
    pub databases: Vec<DatabaseEstate>,
    /// EBS volumes.
    #[serde(default)]
    pub volumes: Vec<VolumeEstate>,
    /// S3 buckets.
    #[serde(default)]
    pub buckets: Vec<BucketEstate>,
    /// Alarms of CloudWatch.
    #[serde(default)]
    pub alarms: Vec<AlarmEstate>,
}

/// A key of KMS.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KmsKeyEstate {
    /// The id of the key, or an alias that starts with `alias/`. Other parts of the estate name it by this.
    pub id: String,
    /// Whether it can be used.
    #[serde(default)]
    pub state: KmsKeyState,
    /// True when the caller's role may not use it.
    #[serde(default)]
    pub denied: bool,
}

/// The states of a key: <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KmsKeyState {
    /// It can be used.
    #[default]
    Enabled,
    /// Someone switched it off.
    Disabled,
    /// It will be deleted.
    PendingDeletion,
    /// Its key material has been taken away.
    Unavailable,
}

impl KmsKeyState {
    /// The state as KMS writes it.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::Unavailable => "Unavailable",
        }
    }
}

/// A secret.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretEstate {
    /// Its name, such as `orders/readonly`.
    pub name: String,
    /// Its value: text, or an object that is served as JSON text. Never a real secret.
    pub value: serde_json::Value,
    /// The key that encrypts it. A key that cannot be used makes the secret unreadable.
    #[serde(default)]
    pub kms_key: Option<String>,
    /// True when the caller's role may not read it.
    #[serde(default)]
    pub denied: bool,
}

/// A subnet group of RDS.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetGroupEstate {
    /// Its name.
    pub name: String,
    /// The VPC of all its subnets.
    pub vpc: String,
    /// Its subnets.
    #[serde(default)]
    pub subnets: Vec<SubnetEstate>,
}

/// A subnet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetEstate {
    /// Its id, such as `subnet-0a`.
    pub id: String,
    /// Its availability zone, such as `ap-northeast-3a`.
    pub zone: String,
}

/// A security group of EC2.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupEstate {
    /// Its id, such as `sg-orders`.
    pub id: String,
    /// Its name; the id when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The VPC it belongs to.
    pub vpc: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A parameter group of RDS.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroupEstate {
    /// Its name.
    pub name: String,
    /// The family, such as `postgres16`.
    pub family: String,
    /// The parameters that were set by hand.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}
