//! Which snapshots of a cluster are wanted, and what keeps one from serving: pure. How one is chosen is the same for all
//! services: [`Candidates`](crate::providers::backups::Candidates).

use super::snapshot::Snapshot;
use crate::providers::backups::{Backup, Obstacle, Seen, Words, is_of_a_drill};
use crate::providers::rds::{Offers, not_available};
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
    /// Shared by another account.
    Shared,
}

impl SnapshotType {
    fn fits(self, snapshot: &Snapshot, account: Option<&str>) -> bool {
        let kind = snapshot.kind.as_deref();
        match self {
            Self::Automated => kind == Some("automated"),
            Self::Manual => kind == Some("manual"),
            Self::Awsbackup => kind == Some("awsbackup"),
            Self::Copied => snapshot.names_its_source,
            Self::Shared => {
                let owner = snapshot.owner.as_deref();
                owner.zip(account).is_some_and(|(owner, account)| owner != account)
            }
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
    /// The account of the site: snapshots of others are shared ones.
    pub(super) account: Option<String>,
    /// Which versions of engines are offered here.
    pub(super) offers: Offers,
    /// A snapshot that a drill made and that is wanted nevertheless.
    pub(super) own_copy: Option<String>,
    /// A recovery takes whatever is there.
    pub(super) is_drill: bool,
}

impl Wanted {
    /// What RDS says of a snapshot.
    pub(super) fn look(&self, snapshot: &Snapshot) -> Seen {
        let account = self.account.as_deref();
        let type_fits =
            self.types.is_empty() || self.types.iter().any(|kind| kind.fits(snapshot, account));
        let identity_fits = self.resource_id.is_none() || self.resource_id == snapshot.resource_id;
        let of_a_drill = is_of_a_drill(&snapshot.tags);
        let named = self.own_copy.as_ref().is_some_and(|name| snapshot.is_named(name));
        let obstacle = if of_a_drill && self.is_drill && !named {
            Some(Obstacle::OfADrill)
        } else if type_fits && identity_fits {
            let (engine, version) = snapshot.version();
            not_available(snapshot.status.as_deref())
                .or_else(|| self.offers.obstacle(engine, version))
        } else {
            Some(Obstacle::NotWanted)
        };
        let time_tag = self.time_tag.as_deref();
        Seen {
            obstacle,
            time: snapshot.time_of_data(time_tag),
            copy_lag: snapshot.copy_lag(time_tag),
            wrong_tag: snapshot.wrong_tag(time_tag),
            by_hand: snapshot.is_by_hand(),
            of_a_drill,
        }
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

/// What to do so that there is a snapshot.
macro_rules! none_here {
    ($($more:literal)?) => {
        concat!(
            "automated snapshots stay in the region of their cluster: copy them here before the loss (a copy rule in AWS Backup, \
             or copy-db-cluster-snapshot on a schedule), and check of: and tags: of the step",
            $($more)?
        )
    };
}

/// How the snapshots of clusters are spoken of, with those that other accounts share or not.
pub(super) fn words(shared: bool) -> Words {
    Words {
        code: "aurora",
        service: "RDS",
        thing: "cluster snapshot that fits of: and tags:".to_owned(),
        things: "cluster snapshots".to_owned(),
        ready: "available",
        failed: "look into the RDS events of those that failed",
        none_here: if shared {
            none_here!()
        } else {
            none_here!("; snapshots that another account shares are found with shared: true")
        },
        version_gone: "upgrade the source, so that new snapshots can be restored here; restore an old one with another \
                       engine_version:, naming it in snapshot:",
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
        for other in [
            SnapshotType::Manual,
            SnapshotType::Awsbackup,
            SnapshotType::Copied,
            SnapshotType::Shared,
        ] {
            assert_eq!(of(other), Some(Obstacle::NotWanted), "{other:?}");
        }
        let shared = Snapshot { owner: Some("222222222222".into()), ..automated.clone() };
        let account = Some("111111111111".to_owned());
        let wanted = Wanted { types: vec![SnapshotType::Shared], account, ..Wanted::default() };
        assert_eq!(wanted.look(&shared).obstacle, None, "another account owns it");
        let earlier = Wanted { resource_id: Some("cluster-OTHER".into()), ..Wanted::default() };
        assert_eq!(obstacle(earlier), Some(Obstacle::NotWanted));
    }
}
