//! How many objects of a resource there must be. Pure.

use super::inventory_judge::unfounded;
use crate::expectation::Expectation;
use crate::formats::etcd_snapshot::kubernetes::{Inventory, keys_of};
use crate::journal::{Check, Outcome};
use serde_json::Value;

/// How many of the resources that are there are named.
const LISTED: usize = 20;

/// The resources that an API server of Kubernetes has by itself, as they stand in keys of etcd:
/// <https://kubernetes.io/docs/reference/kubernetes-api/>. That of a custom one is known by its definition.
const OF_KUBERNETES: &str = "
    apiservices.apiregistration.k8s.io certificatesigningrequests clusterrolebindings clusterroles clustertrustbundles configmaps
    controllerrevisions cronjobs csidrivers csinodes csistoragecapacities customresourcedefinitions.apiextensions.k8s.io daemonsets
    deployments deviceclasses endpoints endpointslices events flowschemas horizontalpodautoscalers ingressclasses ingresses ipaddresses
    jobs leasecandidates leases limitranges mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations
    namespaces networkpolicies nodes persistentvolumeclaims persistentvolumes podcertificaterequests poddisruptionbudgets pods
    podtemplates priorityclasses prioritylevelconfigurations replicasets replicationcontrollers resourceclaims resourceclaimtemplates
    resourcequotas resourceslices rolebindings roles runtimeclasses secrets serviceaccounts servicecidrs services statefulsets
    storageclasses storageversionmigrations storageversions validatingadmissionpolicies validatingadmissionpolicybindings
    validatingwebhookconfigurations volumeattachments volumeattributesclasses
";

/// How many objects of a resource there must be.
#[derive(Clone, Debug)]
pub(super) struct WantedCount {
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) expected: Expectation,
}

impl WantedCount {
    /// Where its definition is, if it is a custom resource: keys that must be looked for.
    pub(super) fn definitions(&self) -> Vec<String> {
        if !self.resource.contains('.') {
            return Vec::new();
        }
        keys_of("customresourcedefinitions.apiextensions.k8s.io", "", &self.resource)
    }

    /// Whether there is such a resource, even if none of it is there.
    fn is_known(&self, inventory: &Inventory) -> bool {
        let is_defined = |key: &String| inventory.named.get(key).is_some_and(Option::is_some);
        OF_KUBERNETES.split_whitespace().any(|known| known == self.resource)
            || inventory.resources.iter().any(|one| one.is_called(&self.resource))
            || self.definitions().iter().any(is_defined)
    }
}

const NONE_OF_THAT_NAME: &str =
    "no objects of that name: write it as redrill etcd inventory shows it";

/// Compares a count with what is expected.
pub(super) fn counted(count: &WantedCount, inventory: &Inventory) -> Check {
    let name = match &count.namespace {
        None => count.resource.clone(),
        Some(namespace) => format!("{} in {namespace}", count.resource),
    };
    let of = inventory.resources.iter().filter(|one| one.is_called(&count.resource));
    let objects: u64 = of
        .map(|one| match &count.namespace {
            None => one.objects,
            Some(namespace) => one.namespaces.get(namespace).copied().unwrap_or(0),
        })
        .sum();
    let judge =
        |objects: u64| count.expected.judge(&name, &Value::from(objects), objects.to_string());
    let check = judge(objects);
    if inventory.objects == 0 {
        return unfounded(check);
    }
    let passes = |check: &Check| check.outcome == Outcome::Passed;
    if objects > 0 || !passes(&check) {
        return check.over(inventory.objects);
    }
    // Under a name that is written wrong, none is there either: only who means none, of something that there can be, is told that
    // there is none.
    if !count.is_known(inventory) {
        return Check::not_made(check.name, check.expected, unknown(&count.resource, inventory));
    }
    if passes(&judge(1)) {
        return Check::not_made(check.name, check.expected, NONE_OF_THAT_NAME);
    }
    check.over(inventory.objects)
}

fn unknown(resource: &str, inventory: &Inventory) -> String {
    let names = inventory.resources.iter().map(|one| one.full_name());
    let there: Vec<String> = names.take(LISTED).collect();
    let more = inventory.resources.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "{resource} is no resource of Kubernetes, and the snapshot has no definition of it: write it in the plural, as in {}{more}",
        there.join(", ")
    )
}

#[cfg(test)]
pub(super) fn wanted_count(resource: &str, namespace: Option<&str>, expected: &str) -> WantedCount {
    use crate::expectation::ValueKind;
    let expected = Expectation::parse(&Value::from(expected), ValueKind::Number).unwrap();
    let (resource, namespace) = (resource.to_owned(), namespace.map(str::to_owned));
    WantedCount { resource, namespace, expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::etcd_snapshot::kubernetes::take_inventory;
    use crate::journal::Outcome::{Failed, Inconclusive, Passed};

    const REAL: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn real() -> Inventory {
        take_inventory(REAL, REAL.len() as u64, &[]).unwrap().unwrap()
    }

    fn outcome(
        resource: &str,
        namespace: Option<&str>,
        expected: &str,
        inventory: &Inventory,
    ) -> Outcome {
        counted(&wanted_count(resource, namespace, expected), inventory).outcome
    }

    #[test]
    fn counts_are_compared_and_can_fall_short() {
        let inventory = real();
        let one = inventory.resources.iter().find(|one| !one.namespaces.contains_key("")).unwrap();
        let (namespace, there) = one.namespaces.first_key_value().unwrap();
        let name = one.full_name();
        assert_eq!(outcome(&name, None, &format!("= {}", one.objects), &inventory), Passed);
        assert_eq!(outcome(&name, None, &format!("> {}", one.objects), &inventory), Failed);
        let exactly = format!("= {there}");
        assert_eq!(outcome(&name, Some(namespace), &exactly, &inventory), Passed);
        assert_eq!(outcome("unheard-of", None, ">= 1", &inventory), Failed);
    }

    #[test]
    fn regression_that_there_is_not_too_much_of_a_name_that_is_not_there_proves_nothing() {
        let inventory = real();
        let one = inventory.resources.iter().find(|one| !one.namespaces.contains_key("")).unwrap();
        for at_most in ["<= 500", "0..500", "!= 3"] {
            assert_eq!(outcome("ingresses", None, at_most, &inventory), Inconclusive);
            let inside = outcome(&one.full_name(), Some("unheard-of"), at_most, &inventory);
            assert_eq!(inside, Inconclusive, "{at_most}");
        }
        for none in ["= 0", "< 1", "<= 0"] {
            assert_eq!(outcome("ingresses", None, none, &inventory), Passed, "{none}");
            let inside = outcome(&one.full_name(), Some("unheard-of"), none, &inventory);
            assert_eq!(inside, Passed, "{none}");
        }
        let note = counted(&wanted_count("ingresses", None, "<= 500"), &inventory).note;
        assert_eq!(note.as_deref(), Some(NONE_OF_THAT_NAME));
    }

    #[test]
    fn regression_that_there_is_none_of_a_resource_that_nobody_knows_proves_nothing() {
        let mut inventory = real();
        for none in ["= 0", "< 1", "<= 0", "<= 500", "0..500"] {
            for resource in ["pod", "deployments.apps", "certificates.cert-manager.io"] {
                let check = counted(&wanted_count(resource, None, none), &inventory);
                assert_eq!(check.outcome, Inconclusive, "{resource} {none}");
                let note = check.note.unwrap();
                assert!(
                    note.contains("write it in the plural, as in configmaps, deployments"),
                    "{note}"
                );
            }
        }
        // With its definition it is known, and there may be none of it.
        let defined = wanted_count("certificates.cert-manager.io", None, "= 0");
        inventory.named.insert(defined.definitions()[0].clone(), Some(3));
        assert_eq!(counted(&defined, &inventory).outcome, Passed);
        // A definition that was looked for and is not there is none.
        inventory.named.insert(defined.definitions()[0].clone(), None);
        assert_eq!(counted(&defined, &inventory).outcome, Inconclusive);
    }
}
