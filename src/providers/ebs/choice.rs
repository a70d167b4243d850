//! What keeps a snapshot of a volume from serving: pure. How one is chosen is the same for all services:
//! [`Candidates`](crate::providers::backups::Candidates).

use super::snapshot::{Selector, Snapshot};
use crate::providers::backups::{Backup, Obstacle, Seen, Words};
use chrono::{DateTime, Utc};

/// What EC2 says of a snapshot.
pub(super) fn look(snapshot: &Snapshot, selector: &Selector) -> Seen {
    let obstacle = not_completed(snapshot).or(snapshot.archived.then_some(Obstacle::Archived));
    Seen {
        obstacle,
        time: snapshot.time_of_data(selector),
        copy_lag: snapshot.copy_lag(selector),
        copy_complete: snapshot.completed.is_some(),
        wrong_tag: snapshot.wrong_tag(selector),
        by_hand: false,
        of_a_drill: false,
    }
}

fn not_completed(snapshot: &Snapshot) -> Option<Obstacle> {
    let state = snapshot.state.as_deref().unwrap_or("no state");
    let why = snapshot.state_message.as_deref();
    (state != "completed").then(|| Obstacle::NotReady {
        state: why.map_or_else(|| state.to_owned(), |why| format!("{state}: {why}")),
        passing: state == "pending",
    })
}

impl Backup for Snapshot {
    fn id(&self) -> &str {
        &self.id
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn made(&self) -> Option<DateTime<Utc>> {
        self.started
    }

    fn encrypted(&self) -> Option<bool> {
        self.encrypted
    }
}

/// How the snapshots of volumes are spoken of.
pub(super) fn words(selector: &Selector) -> Words {
    let of = selector.words();
    Words {
        code: "ebs",
        service: "EC2",
        thing: format!("snapshot of {of}"),
        things: format!("snapshots of {of}"),
        ready: "completed",
        failed: "read the state message of those that failed; a copy in error mostly lacks permission on its key",
        none_here: "snapshots stay in their region: copy them here before the loss (Data Lifecycle Manager or AWS Backup), and \
                    select the copies by tags, since they do not keep the id of the volume",
        version_gone: "what is in a volume has no version for EC2",
        no_time: "only a snapshot that is known to be of the volume itself tells the time of its data: a copy has its own, and \
                  no tag tells another",
        tell_time: "record the time of the original in a tag that is copied along, and name it in time_tag:",
        sources: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_reaches_to_its_end_only_where_ec2_tells_when_that_was() {
        let complete = |completed| {
            let snapshot = Snapshot { completed, ..Snapshot::default() };
            look(&snapshot, &Selector::default()).copy_complete
        };
        assert!(complete(Some(DateTime::UNIX_EPOCH)));
        assert!(!complete(None));
    }

    #[test]
    fn only_what_is_completed_and_not_archived_can_serve() {
        let obstacle = |state: Option<&str>, message: Option<&str>, archived| {
            let (state, state_message) = (state.map(str::to_owned), message.map(str::to_owned));
            let snapshot = Snapshot { state, state_message, archived, ..Snapshot::default() };
            look(&snapshot, &Selector::default()).obstacle
        };
        let not_ready =
            |state: &str, passing| Some(Obstacle::NotReady { state: state.to_owned(), passing });
        assert_eq!(obstacle(Some("completed"), None, false), None);
        assert_eq!(obstacle(Some("completed"), None, true), Some(Obstacle::Archived));
        assert_eq!(obstacle(Some("pending"), None, false), not_ready("pending", true));
        assert_eq!(obstacle(None, None, false), not_ready("no state", false));
        let why = "Given key ID is not accessible";
        let failed = not_ready("error: Given key ID is not accessible", false);
        assert_eq!(obstacle(Some("error"), Some(why), false), failed);
    }
}
