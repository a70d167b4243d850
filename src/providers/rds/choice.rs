//! Which snapshots of an instance or a cluster are wanted, and what keeps one from serving: pure. How one is chosen is the same for all
//! services: [`Candidates`](crate::providers::backups::Candidates).

use super::engine_versions::Offers;
use super::snapshot::{Snapshot, Sought};
use crate::providers::backups::{Backup, Obstacle, Seen, Words, is_of_a_drill};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::providers) enum SnapshotType {
    /// Taken by the schedule of the instance or cluster.
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
            Self::Copied => snapshot.is_copy(),
            Self::Shared => is_foreign(snapshot, account),
        }
    }
}

fn is_foreign(snapshot: &Snapshot, account: Option<&str>) -> bool {
    snapshot.owner.as_deref().zip(account).is_some_and(|(owner, account)| owner != account)
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Of which types; none named means all.
    pub(super) types: Vec<SnapshotType>,
    /// Only snapshots of the instance or cluster with this identity.
    pub(super) resource_id: Option<String>,
    /// The account of the site: snapshots of others are shared ones.
    pub(super) account: Option<String>,
    /// Which versions of engines are offered here.
    pub(super) offers: Offers,
    /// A snapshot that a drill made and that is wanted nevertheless.
    pub(super) own_copy: Option<String>,
    /// A recovery takes whatever is there.
    pub(super) is_drill: bool,
    /// It is copied before it is restored.
    pub(super) to_copy: bool,
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
                .or_else(|| self.must_be_copied(snapshot).then_some(Obstacle::OnlyToBeCopied))
        } else {
            Some(Obstacle::NotWanted)
        };
        Seen {
            obstacle,
            time: snapshot.time_of_data(),
            copy_lag: snapshot.copy_lag(),
            copy_complete: false,
            wrong_tag: snapshot.wrong_tag(),
            by_hand: snapshot.is_by_hand(),
            of_a_drill,
        }
    }
}

impl Wanted {
    /// RDS restores nothing from a snapshot that is both shared and encrypted.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html>; of clusters:
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-restore-snapshot.html>
    fn must_be_copied(&self, snapshot: &Snapshot) -> bool {
        let accounts = snapshot.owner.as_ref().zip(self.account.as_ref());
        let is_shared = accounts.is_some_and(|(owner, account)| owner != account);
        is_shared && snapshot.encrypted == Some(true) && !self.to_copy
    }
}

/// Statuses that every snapshot of RDS passes through.
const PASSING_STATUSES: [&str; 3] = ["copying", "creating", "deleting"];

/// What the status of a snapshot keeps it from.
fn not_available(status: Option<&str>) -> Option<Obstacle> {
    let state = status.unwrap_or("no status");
    let passing = PASSING_STATUSES.contains(&state);
    (state != "available").then(|| Obstacle::NotReady { state: state.to_owned(), passing })
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
            "automated snapshots stay in the region of their instance: copy them here before the loss (a copy rule in AWS Backup, \
             replicated automated backups, or copy-db-snapshot on a schedule), and check the name in of:",
            $($more)?
        )
    };
}

/// How the snapshots of instances are spoken of.
pub(super) fn words(sought: &Sought) -> Words {
    let of = sought.words("instances");
    Words {
        code: "rds",
        service: "RDS",
        thing: format!("snapshot of {of}"),
        things: format!("snapshots of {of}"),
        ready: "available",
        failed: "look into the RDS events of those that failed",
        none_here: if sought.shared {
            none_here!()
        } else {
            none_here!("; snapshots that another account shares are found with shared: true")
        },
        version_gone: "upgrade the source, so that new snapshots can be restored here; try by hand what RDS makes of an old one",
        no_time: "RDS tells no time that survives copying, and no tag tells one",
        tell_time: "measure it from the restored data, with a watermark query over a heartbeat table; or record it in a tag before \
                    the loss, and name that in time_tag:",
        sources: Some(("instances", "DbiResourceId")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(snapshot: &Snapshot, types: &[SnapshotType], account: &str) -> Option<Obstacle> {
        let account = Some(account.to_owned());
        Wanted { types: types.to_vec(), account, ..Wanted::default() }.look(snapshot).obstacle
    }

    fn available() -> Snapshot {
        Snapshot {
            status: Some("available".into()),
            kind: Some("automated".into()),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_another_account_owns_is_shared() {
        let shared = Snapshot { owner: Some("222222222222".into()), ..available() };
        let wanted = [SnapshotType::Shared];
        assert_eq!(seen(&shared, &wanted, "111111111111"), None);
        assert_eq!(seen(&shared, &wanted, "222222222222"), Some(Obstacle::NotWanted));
    }

    #[test]
    fn other_types_and_other_instances_are_not_wanted() {
        let automated = available();
        assert_eq!(seen(&automated, &[], "1"), None);
        assert_eq!(seen(&automated, &[SnapshotType::Automated], "1"), None);
        for other in [SnapshotType::Manual, SnapshotType::Awsbackup, SnapshotType::Copied] {
            assert_eq!(seen(&automated, &[other], "1"), Some(Obstacle::NotWanted), "{other:?}");
        }
        let earlier = Wanted { resource_id: Some("db-OTHER".into()), ..Wanted::default() };
        assert_eq!(earlier.look(&automated).obstacle, Some(Obstacle::NotWanted));
    }

    #[test]
    fn regression_where_nothing_is_found_shared_snapshots_are_named_as_what_to_try() {
        let words = |shared| words(&Sought { shared, ..Sought::default() });
        assert!(words(false).none_here.ends_with("shared: true"));
        assert!(!words(true).none_here.contains("shared"));
    }

    #[test]
    fn what_is_copied_or_taken_by_a_schedule_is_not_taken_by_hand() {
        let by_hand = |snapshot: Snapshot| Wanted::default().look(&snapshot).by_hand;
        let manual = Snapshot { kind: Some("manual".into()), ..available() };
        assert!(by_hand(manual.clone()) && !by_hand(available()));
        assert!(!by_hand(Snapshot { names_its_source: true, ..manual.clone() }));
        assert!(!by_hand(Snapshot { kind: Some("awsbackup".into()), ..manual }));
    }

    #[test]
    fn only_available_can_serve_and_statuses_on_the_way_need_nobody() {
        let passing = |status| match not_available(status) {
            Some(Obstacle::NotReady { passing, .. }) => Some(passing),
            _ => None,
        };
        assert_eq!(passing(Some("available")), None);
        for status in ["creating", "copying", "deleting"] {
            assert_eq!(passing(Some(status)), Some(true), "{status}");
        }
        for status in [Some("failed"), Some("incompatible-restore"), None] {
            assert_eq!(passing(status), Some(false), "{status:?}");
        }
    }
}
