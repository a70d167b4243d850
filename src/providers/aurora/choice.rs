//! How a choice among the snapshots of clusters is told. How one is chosen is the same for instances and clusters.

use crate::providers::backups::Words;
use crate::providers::rds::Sought;

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

/// How the snapshots of clusters are spoken of.
pub(super) fn words(sought: &Sought) -> Words {
    let of = sought.words("clusters");
    Words {
        code: "aurora",
        service: "RDS",
        thing: format!("cluster snapshot of {of}"),
        things: format!("cluster snapshots of {of}"),
        ready: "available",
        failed: "look into the RDS events of those that failed",
        none_here: if sought.shared {
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
    fn regression_what_was_looked_for_is_named_by_its_value() {
        let tags = [("app".to_owned(), "payments".to_owned())].into();
        let sought = Sought { of: Some("payments".into()), tags, ..Sought::default() };
        let found = words(&sought);
        assert_eq!(found.thing, "cluster snapshot of payments with the tags app=payments");
        assert_eq!(found.things, "cluster snapshots of payments with the tags app=payments");
    }

    #[test]
    fn where_nothing_is_found_shared_snapshots_are_named_as_what_to_try() {
        let words = |shared| words(&Sought { shared, ..Sought::default() });
        assert!(words(false).none_here.ends_with("shared: true"));
        assert!(!words(true).none_here.contains("shared"));
    }
}
