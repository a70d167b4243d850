//! What a step of `etcd.inventory` gives.

use super::inventory_judge::Shown;
use crate::formats::etcd_snapshot::kubernetes::Inventory;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many names an output lists.
const LISTED: usize = 500;

/// What a step of `etcd.inventory` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Counted {
    /// The revision of the last change.
    revision: i64,
    /// Keys that exist, of whatever kind.
    keys: u64,
    /// Objects of Kubernetes among them.
    objects: u64,
    /// Objects by resource: `pods`, `certificates.cert-manager.io`. At most 500 are listed, as in the other lists.
    resources: BTreeMap<String, u64>,
    /// Objects by API group, as it stands in their keys: `built-in` for the first resources of Kubernetes, whatever group they
    /// are in now.
    groups: BTreeMap<String, u64>,
    /// Objects by namespace; under the empty name those of the whole cluster.
    namespaces: BTreeMap<String, u64>,
    /// Objects of custom resources, by full name.
    custom_resources: BTreeMap<String, u64>,
    /// Objects for whose resource the snapshot holds no definition, by full name: no API server can serve them.
    undefined: BTreeMap<String, u64>,
    /// How many names the lists leave out.
    not_listed: u64,
    /// How many secrets there are.
    secrets: u64,
    /// How many of them are not encrypted at rest.
    plain_secrets: u64,
    /// Earlier values of secrets, deleted ones too, that are not encrypted.
    plain_in_history: u64,
    /// With which keys something is encrypted, and how many objects: provider, version, name, such as `aescbc:v1:key1`.
    encryption_keys: BTreeMap<String, u64>,
    /// Whether the data is there from which servers of k3s and RKE2 start, and not empty.
    bootstrap: bool,
    /// The newest time that any object says of itself (UTC): the snapshot was taken after it.
    newest: Option<DateTime<Utc>>,
}

/// With which keys anything is encrypted, and how many objects.
pub(super) fn encryption_keys(inventory: &Inventory) -> BTreeMap<String, u64> {
    let mut keys = BTreeMap::new();
    for (key, objects) in inventory.resources.iter().flat_map(|one| &one.stored.encrypted) {
        *keys.entry(key.clone()).or_default() += objects;
    }
    keys
}

/// The outputs of an inventory.
pub(super) fn observed(inventory: &Inventory, shown: Shown<'_>) -> Counted {
    let (mut resources, mut groups) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
    let (mut namespaces, mut custom_resources) = (BTreeMap::<String, u64>::new(), BTreeMap::new());
    for one in &inventory.resources {
        let group = if one.group.is_empty() { "built-in" } else { &one.group };
        *groups.entry(group.to_owned()).or_default() += one.objects;
        for (namespace, objects) in &one.namespaces {
            let name = if namespace.is_empty() { String::new() } else { shown(namespace) };
            *namespaces.entry(name).or_default() += objects;
        }
        if one.custom {
            custom_resources.insert(one.full_name(), one.objects);
        }
        resources.insert(one.full_name(), one.objects);
    }
    let mut not_listed = 0;
    let mut first = |mut all: BTreeMap<String, u64>| {
        not_listed += all.len().saturating_sub(LISTED) as u64;
        while all.len() > LISTED {
            all.pop_last();
        }
        all
    };
    Counted {
        revision: inventory.revision,
        keys: inventory.keys,
        objects: inventory.objects,
        resources: first(resources),
        groups: first(groups),
        namespaces: first(namespaces),
        custom_resources: first(custom_resources),
        undefined: first(inventory.undefined.clone()),
        secrets: inventory.secrets.secrets,
        plain_secrets: inventory.secrets.plain,
        plain_in_history: inventory.secrets.plain_in_history,
        encryption_keys: first(encryption_keys(inventory)),
        bootstrap: inventory.bootstrap_keys > inventory.bootstrap_empty,
        newest: inventory.newest.as_ref().map(|newest| newest.at),
        not_listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::etcd_snapshot::kubernetes::take_inventory;

    const REAL: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn real() -> Inventory {
        take_inventory(REAL, REAL.len() as u64, &[]).unwrap().unwrap()
    }

    #[test]
    fn namespaces_are_written_down_only_as_far_as_they_may_be() {
        let withheld = observed(&real(), &|_| "withheld".to_owned());
        let names: Vec<&str> = withheld.namespaces.keys().map(String::as_str).collect();
        assert!(names.iter().all(|name| name.is_empty() || *name == "withheld"), "{names:?}");
        let shown = observed(&real(), &str::to_owned);
        assert_eq!(shown.namespaces.values().sum::<u64>(), shown.objects);
        assert_eq!(shown.resources.values().sum::<u64>(), shown.objects);
        assert_eq!(shown.groups.values().sum::<u64>(), shown.objects);
    }
}
