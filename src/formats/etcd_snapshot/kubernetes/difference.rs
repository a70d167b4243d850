use super::inventory::{Inventory, full_name};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How much a count may change: by so many percent or so many objects, whichever allows more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Percent of the earlier count.
    #[serde(default)]
    pub percent: u32,
    /// Objects.
    #[serde(default)]
    pub objects: u64,
}

impl Tolerance {
    fn allows(self, expected: u64, observed: u64) -> bool {
        let percent = u128::from(expected) * u128::from(self.percent) / 100;
        u128::from(expected.abs_diff(observed)) <= percent.max(u128::from(self.objects))
    }
}

/// How much may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerances {
    /// What holds for resources that are not named.
    #[serde(default)]
    pub default: Tolerance,
    /// What holds for a resource by its full name, such as `pods` or `certificates.cert-manager.io`.
    #[serde(default)]
    pub resources: BTreeMap<String, Tolerance>,
    /// Resources that are not compared, such as `events`.
    #[serde(default)]
    pub ignored: BTreeSet<String>,
}

/// What became of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// There were some, there are none.
    Gone,
    /// There are fewer.
    Fewer,
    /// There are more.
    More,
    /// There were none.
    New,
}

/// A count that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The full name of the resource.
    pub resource: String,
    /// The namespace, empty for objects of the whole cluster; `None` for the resource as a whole.
    pub namespace: Option<String>,
    /// What became of it.
    pub kind: ChangeKind,
    /// The earlier count.
    pub expected: u64,
    /// The count now.
    pub observed: u64,
    /// Whether the tolerance allows it.
    pub tolerated: bool,
}

/// Something else that should not be between two backups of a cluster, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The later backup ends at an earlier revision: it is older, of another cluster, or the cluster was restored in between.
    RevisionWentBack {
        /// The revision of the earlier backup.
        before: i64,
        /// That of the later one.
        now: i64,
    },
    /// Both end at the same revision, though a cluster with nodes changes every few seconds: a backup of nothing new.
    RevisionStoodStill {
        /// The revision of both.
        revision: i64,
    },
    /// More secrets than before are stored without encryption.
    MorePlainSecrets {
        /// How many there were.
        before: u64,
        /// How many there are.
        now: u64,
    },
    /// Secrets are encrypted with a key that was not in use before: whoever restores needs it as well.
    NewKey {
        /// Provider, version and name.
        key: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RevisionWentBack { before, now } => write!(
                f,
                "the revision went back from {before} to {now}: an older backup, another cluster, or one that was restored in between"
            ),
            Self::RevisionStoodStill { revision } => {
                write!(f, "both end at revision {revision}: the later backup should have gone on")
            }
            Self::MorePlainSecrets { before, now } => {
                write!(f, "{now} secrets are stored without encryption; {before} were before")
            }
            Self::NewKey { key } => {
                write!(
                    f,
                    "secrets are encrypted with {key}, which was not in use before: a restore needs it"
                )
            }
        }
    }
}

/// What lies between two inventories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How many counts were compared: those of either inventory.
    pub compared: u64,
    /// How many of them the earlier inventory has. With 0, nothing says what should be there.
    pub counted_before: u64,
    /// The counts that changed, by resource and namespace.
    pub changes: Vec<Change>,
    /// What else should not be.
    pub warnings: Vec<Warning>,
}

impl Difference {
    /// Whether everything that was compared is as it was, within the tolerances. Says nothing when [`Difference::counted_before`] is 0.
    pub fn within_tolerances(&self) -> bool {
        self.changes.iter().all(|change| change.tolerated)
    }
}

/// Compares the inventory of a backup with that of an earlier one, resource by resource and namespace by namespace.
pub fn compare(before: &Inventory, now: &Inventory, tolerances: &Tolerances) -> Difference {
    let (expected, observed) = (counts(before), counts(now));
    let mut difference = Difference { warnings: warnings(before, now), ..Difference::default() };
    let all: BTreeSet<&Place> = expected.keys().chain(observed.keys()).collect();
    for place in all {
        let (resource, namespace) = place;
        if tolerances.ignored.contains(resource) {
            continue;
        }
        let count = |counts: &BTreeMap<Place, u64>| counts.get(place).copied().unwrap_or(0);
        let (expected, observed) = (count(&expected), count(&observed));
        difference.compared += u64::from(expected > 0 || observed > 0);
        difference.counted_before += u64::from(expected > 0);
        let kind = match (expected, observed) {
            (expected, observed) if expected == observed => continue,
            (_, 0) => ChangeKind::Gone,
            (0, _) => ChangeKind::New,
            (expected, observed) if observed < expected => ChangeKind::Fewer,
            _ => ChangeKind::More,
        };
        let tolerance = tolerances.resources.get(resource).unwrap_or(&tolerances.default);
        difference.changes.push(Change {
            resource: resource.clone(),
            namespace: namespace.clone(),
            kind,
            expected,
            observed,
            tolerated: tolerance.allows(expected, observed),
        });
    }
    difference
}

/// A resource, and a namespace or all of them.
type Place = (String, Option<String>);

fn counts(inventory: &Inventory) -> BTreeMap<Place, u64> {
    let mut counts = BTreeMap::new();
    for count in &inventory.resources {
        let name = full_name(&count.group, &count.resource);
        for (namespace, objects) in &count.namespaces {
            counts.insert((name.clone(), Some(namespace.clone())), *objects);
        }
        counts.insert((name, None), count.objects);
    }
    counts
}

fn warnings(before: &Inventory, now: &Inventory) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if now.revision < before.revision {
        warnings.push(Warning::RevisionWentBack { before: before.revision, now: now.revision });
    } else if now.revision == before.revision {
        warnings.push(Warning::RevisionStoodStill { revision: now.revision });
    }
    if now.secrets.plain > before.secrets.plain {
        let (before, now) = (before.secrets.plain, now.secrets.plain);
        warnings.push(Warning::MorePlainSecrets { before, now });
    }
    let new = now.secrets.keys.keys().filter(|key| !before.secrets.keys.contains_key(*key));
    warnings.extend(new.map(|key| Warning::NewKey { key: key.clone() }));
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::inventory::{ResourceCount, SecretsAtRest, Stored};
    use super::*;

    fn inventory(revision: i64, counts: &[(&str, &[(&str, u64)])]) -> Inventory {
        let resources: Vec<ResourceCount> = counts
            .iter()
            .map(|(resource, namespaces)| ResourceCount {
                group: String::new(),
                resource: (*resource).to_owned(),
                custom: false,
                objects: namespaces.iter().map(|(_, objects)| objects).sum(),
                namespaces: namespaces.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
                stored: Stored::default(),
            })
            .collect();
        Inventory {
            revision,
            keys: 0,
            objects: 0,
            resources,
            other_keys: 0,
            bootstrap_keys: 0,
            bootstrap_empty: 0,
            secrets: SecretsAtRest::default(),
            undefined: BTreeMap::new(),
            newest: None,
            heartbeat: None,
            named: BTreeMap::new(),
            named_unreadable: Default::default(),
            not_listed: 0,
        }
    }

    fn kinds(difference: &Difference) -> Vec<(&str, Option<&str>, ChangeKind, bool)> {
        let all = difference.changes.iter();
        all.map(|change| {
            let namespace = change.namespace.as_deref();
            (change.resource.as_str(), namespace, change.kind, change.tolerated)
        })
        .collect()
    }

    #[test]
    fn what_changed_is_told_by_resource_and_namespace() {
        use ChangeKind::{Fewer, Gone, More, New};
        let before = inventory(10, &[("pods", &[("a", 50), ("b", 50)]), ("secrets", &[("a", 2)])]);
        let now = inventory(20, &[("pods", &[("a", 100), ("c", 1)])]);
        let found = compare(&before, &now, &Tolerances::default());
        let expected = [
            ("pods", None, More, false),
            ("pods", Some("a"), More, false),
            ("pods", Some("b"), Gone, false),
            ("pods", Some("c"), New, false),
            ("secrets", None, Gone, false),
            ("secrets", Some("a"), Gone, false),
        ];
        assert_eq!(kinds(&found), expected);
        let numbers = (found.compared, found.counted_before);
        assert_eq!((numbers, found.within_tolerances()), ((6, 5), false));
        let fewer = compare(&now, &before, &Tolerances::default());
        assert!(kinds(&fewer).contains(&("pods", Some("a"), Fewer, false)));
    }

    #[test]
    fn tolerances_allow_the_greater_of_percent_and_objects() {
        let before = inventory(10, &[("pods", &[("a", 100)])]);
        let tolerated = |now: u64, tolerance: Tolerance, name: &str| {
            let now = inventory(20, &[("pods", &[("a", now)])]);
            let resources = BTreeMap::from([(name.to_owned(), tolerance)]);
            let tolerances = Tolerances { resources, ..Tolerances::default() };
            compare(&before, &now, &tolerances).within_tolerances()
        };
        let ten = Tolerance { percent: 10, objects: 3 };
        assert!(tolerated(90, ten, "pods") && tolerated(110, ten, "pods"));
        assert!(!tolerated(89, ten, "pods") && !tolerated(111, ten, "pods"));
        assert!(!tolerated(99, ten, "secrets"), "the tolerance of another resource");
        assert!(tolerated(50, Tolerance { percent: 0, objects: 50 }, "pods"));
        assert!(Tolerance { percent: u32::MAX, objects: 0 }.allows(u64::MAX, 0));
    }

    #[test]
    fn what_is_ignored_is_not_compared_and_an_empty_inventory_compares_nothing() {
        let before = inventory(10, &[("events", &[("a", 100)])]);
        let tolerances =
            Tolerances { ignored: BTreeSet::from(["events".to_owned()]), ..Tolerances::default() };
        let found = compare(&before, &inventory(20, &[]), &tolerances);
        assert_eq!(found, Difference::default());
        let new = compare(&inventory(1, &[]), &before, &Tolerances::default());
        assert_eq!((new.compared, new.counted_before), (2, 0));
    }

    #[test]
    fn regression_no_more_counts_change_than_are_compared() {
        let before = inventory(10, &[("pods", &[("a", 1)])]);
        let now = inventory(20, &[("pods", &[("b", 1), ("c", 1)]), ("secrets", &[("a", 1)])]);
        let found = compare(&before, &now, &Tolerances::default());
        assert_eq!((found.compared, found.counted_before, found.changes.len()), (6, 2, 6));
        let none = inventory(20, &[("pods", &[("a", 0)])]);
        let found = compare(&none, &none, &Tolerances::default());
        assert_eq!((found.compared, found.changes.len()), (0, 0), "of nothing there is no count");
    }

    #[test]
    fn what_should_not_be_between_two_backups_is_told() {
        let secrets = |plain, key: &str| {
            let keys = BTreeMap::from([(key.to_owned(), 1)]);
            SecretsAtRest { secrets: 9, plain, keys, plain_in_history: 0 }
        };
        let before = Inventory { secrets: secrets(0, "aescbc:v1:old"), ..inventory(10, &[]) };
        let now = Inventory { secrets: secrets(2, "aescbc:v1:new"), ..inventory(9, &[]) };
        let expected = [
            Warning::RevisionWentBack { before: 10, now: 9 },
            Warning::MorePlainSecrets { before: 0, now: 2 },
            Warning::NewKey { key: "aescbc:v1:new".to_owned() },
        ];
        assert_eq!(compare(&before, &now, &Tolerances::default()).warnings, expected);
        let still = compare(&before, &before, &Tolerances::default()).warnings;
        assert_eq!(still, [Warning::RevisionStoodStill { revision: 10 }]);
    }
}
