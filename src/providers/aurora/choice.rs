//! Which snapshots of a cluster are wanted, and what keeps one from serving: pure. How one is chosen is the same for all
//! services: [`Candidates`](crate::providers::backups::Candidates).

use super::snapshot::Snapshot;
use crate::providers::backups::{Backup, Obstacle, Seen, Words};
use crate::providers::rds::not_available;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SnapshotType {
    /// Taken by the schedule of the cluster.
    Automated,
    /// Taken by a call.
    Manual,
    /// Taken by AWS Backup.
    Awsbackup,
    /// Copied from another snapshot, as far as RDS says so.
    Copied,
}

impl SnapshotType {
    fn fits(self, snapshot: &Snapshot) -> bool {
        let kind = snapshot.kind.as_deref();
        match self {
            Self::Automated => kind == Some("automated"),
            Self::Manual => kind == Some("manual"),
            Self::Awsbackup => kind == Some("awsbackup"),
            Self::Copied => snapshot.names_its_source,
        }
    }
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Of which types; none named means all.
    pub(super) types: Vec<SnapshotType>,
    /// Only snapshots of the cluster with this identity.
    pub(super) resource_id: Option<String>,
    /// The tag in which the time of the data was recorded.
    pub(super) time_tag: Option<String>,
}

impl Wanted {
    /// What RDS says of a snapshot.
    pub(super) fn look(&self, snapshot: &Snapshot) -> Seen {
        let type_fits = self.types.is_empty() || self.types.iter().any(|kind| kind.fits(snapshot));
        let identity_fits = self.resource_id.is_none() || self.resource_id == snapshot.resource_id;
        let obstacle = if type_fits && identity_fits {
            not_available(snapshot.status.as_deref())
        } else {
            Some(Obstacle::NotWanted)
        };
        let time_tag = self.time_tag.as_deref();
        let time = snapshot.time_of_data(time_tag);
        Seen { obstacle, time, copy_lag: snapshot.copy_lag(time_tag) }
    }
}

impl Backup for Snapshot {
    fn id(&self) -> &str {
        &self.id
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn made(&self) -> Option<DateTime<Utc>> {
        self.created
    }

    fn encrypted(&self) -> Option<bool> {
        self.encrypted
    }

    fn taken_of(&self) -> Option<&str> {
        self.resource_id.as_deref()
    }
}

/// How the snapshots of clusters are spoken of.
pub(super) fn words() -> Words {
    Words {
        code: "aurora",
        service: "RDS",
        thing: "cluster snapshot that fits of: and tags:".to_owned(),
        things: "cluster snapshots".to_owned(),
        ready: "available",
        failed: "look into the RDS events of those that failed",
        none_here: "automated snapshots stay in the region of their cluster: copy them here before the loss (a copy rule in AWS \
                    Backup, or copy-db-cluster-snapshot on a schedule), and check of: and tags: of the step",
        no_time: "a copy has its own time only, and no tag tells another",
        tell_time: "record the time of the original in a tag of the copy, and name it in time_tag:; or measure it from the \
                    restored data, with a watermark query over a heartbeat table",
        sources: Some(("clusters", "DbClusterResourceId")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_types_and_other_clusters_are_not_wanted() {
        let automated = Snapshot {
            status: Some("available".into()),
            kind: Some("automated".into()),
            ..Snapshot::default()
        };
        let obstacle = |wanted: Wanted| wanted.look(&automated).obstacle;
        let of = |kind| obstacle(Wanted { types: vec![kind], ..Wanted::default() });
        assert_eq!((obstacle(Wanted::default()), of(SnapshotType::Automated)), (None, None));
        for other in [SnapshotType::Manual, SnapshotType::Awsbackup, SnapshotType::Copied] {
            assert_eq!(of(other), Some(Obstacle::NotWanted), "{other:?}");
        }
        let earlier = Wanted { resource_id: Some("cluster-OTHER".into()), ..Wanted::default() };
        assert_eq!(obstacle(earlier), Some(Obstacle::NotWanted));
    }
}
