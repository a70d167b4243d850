//! Whether a snapshot is tried with programs of its own version of etcd. Pure.
//!
//! A member starts from data of its own minor version, and from that of the one before; more is not supported, and fails
//! (<https://etcd.io/docs/v3.6/upgrades/upgrading-etcd/>). From the data of a later one it does not start
//! (<https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md>).

use crate::formats::etcd_snapshot::ClusterFacts;
use crate::journal::{Finding, Severity};
use crate::outside::trial::TrialPrograms;

/// What to do where a snapshot was tried with programs of another version.
pub(super) const HELP: &str = "install the programs of the version that the snapshot names (releases: https://github.com/etcd-io/etcd/releases), \
                               name their folder in programs:, and restore again";

/// Both versions, where the minor version of the programs is another one than that which the snapshot names, of its cluster or of the
/// layout of its data. Nothing where either is not known.
pub(super) fn other_version(
    programs: &TrialPrograms,
    facts: Option<&ClusterFacts>,
) -> Option<String> {
    let (own, facts) = (minor(&programs.version)?, facts?);
    let named =
        [("cluster", &facts.cluster_version), ("storage", &facts.storage_version)].into_iter();
    let others = named.filter_map(|(what, version)| {
        let version = version.as_deref()?;
        (minor(version)? != own).then(|| format!("{what} version {version}"))
    });
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| {
        format!(
            "the programs are of etcd {}, the snapshot of {}",
            programs.version,
            others.join(" and ")
        )
    })
}

/// `3.5.21` is of 3.5.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What should be known before anybody relies on how the trial went. `versions` names both.
pub(super) fn finding(versions: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "etcd.other_version".to_owned(),
        what: versions,
        why: "etcd starts from data of its own minor version or of the one before: how it goes with these programs does not show how it \
              goes with those of the cluster"
            .to_owned(),
        action: HELP.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(version: &str) -> TrialPrograms {
        let (version, tool) = (version.to_owned(), "etcdutl".to_owned());
        TrialPrograms { version, tool, knows_bump_revision: true }
    }

    fn of(cluster: Option<&str>, storage: Option<&str>) -> ClusterFacts {
        let (cluster_version, storage_version) =
            (cluster.map(str::to_owned), storage.map(str::to_owned));
        ClusterFacts { cluster_version, storage_version, ..ClusterFacts::default() }
    }

    #[test]
    fn programs_of_another_minor_version_are_told_with_both_versions() {
        let told = |own: &str, facts: &ClusterFacts| other_version(&programs(own), Some(facts));
        let snapshot = of(Some("3.5.0"), None);
        assert_eq!(told("3.5.21", &snapshot), None, "patches do not count");
        for own in ["3.4.23", "3.6.4", "4.5.0", "v3.6.0-rc.1"] {
            let words =
                format!("the programs are of etcd {own}, the snapshot of cluster version 3.5.0");
            assert_eq!(told(own, &snapshot), Some(words));
        }
        let newer = of(Some("3.6.0"), Some("3.6.0"));
        assert_eq!(told("3.6.4", &newer), None);
        let words = told("3.5.21", &newer).unwrap();
        assert!(words.ends_with("cluster version 3.6.0 and storage version 3.6.0"), "{words}");
        // On the way to an earlier version, the layout of the data is ahead of the cluster, or behind it.
        let between = of(Some("3.6.0"), Some("3.5.0"));
        let words = told("3.6.4", &between).unwrap();
        assert!(words.ends_with("the snapshot of storage version 3.5.0"), "{words}");
    }

    #[test]
    fn versions_that_nobody_knows_do_not_differ() {
        let facts = of(Some("3.5.0"), None);
        for own in ["", "3", "main", "3.x"] {
            assert_eq!(other_version(&programs(own), Some(&facts)), None, "{own}");
        }
        assert_eq!(other_version(&programs("3.6.4"), Some(&of(None, None))), None);
        assert_eq!(other_version(&programs("3.6.4"), None), None);
    }

    #[test]
    fn the_finding_warns_with_both_versions_and_says_what_to_do() {
        let versions = other_version(&programs("3.6.4"), Some(&of(Some("3.4.0"), None))).unwrap();
        let finding = finding(versions.clone());
        assert_eq!((finding.severity, finding.what), (Severity::Warning, versions));
        assert!(finding.action.contains("programs:"), "{}", finding.action);
    }
}
