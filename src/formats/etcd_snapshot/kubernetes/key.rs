/// Where API servers keep their objects: Kubernetes, and the two of OpenShift.
const PREFIXES: [&str; 3] = ["/registry/", "/kubernetes.io/", "/openshift.io/"];

/// What a key says of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectKey<'key> {
    /// The API group, where the key names it: of custom resources and of built-in ones that came late.
    pub(super) group: &'key str,
    /// The resource, in the plural.
    pub(super) resource: &'key str,
    /// The namespace; empty for objects of the whole cluster.
    pub(super) namespace: &'key str,
    pub(super) name: &'key str,
}

/// Which kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'key> {
    Object(ObjectKey<'key>),
    /// The data from which further servers of k3s and RKE2 start, encrypted with the server token
    /// (`pkg/cluster/storage.go` of github.com/k3s-io/k3s).
    Bootstrap,
    /// Of something else than an API server, or its own book-keeping.
    Other,
}

impl<'key> Key<'key> {
    pub(super) fn parse(key: &'key [u8]) -> Self {
        let Ok(text) = std::str::from_utf8(key) else { return Self::Other };
        if text.starts_with("/bootstrap/") {
            return Self::Bootstrap;
        }
        let Some(path) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) else {
            return Self::Other;
        };
        object(path).map_or(Self::Other, Self::Object)
    }
}

fn object(path: &str) -> Option<ObjectKey<'_>> {
    let (first, rest) = path.split_once('/')?;
    let (group, resource, rest) = match (first, rest.split_once('/')) {
        // Groups have a dot in them, resources never.
        (group, Some((resource, rest))) if group.contains('.') => (group, resource, rest),
        ("services", Some(("specs", rest))) => ("", "services", rest),
        ("services", Some(("endpoints", rest))) => ("", "endpoints", rest),
        ("minions", _) => ("", "nodes", rest),
        ("controllers", _) => ("", "replicationcontrollers", rest),
        ("ingress", _) => ("", "ingresses", rest),
        // Which addresses and ports are taken: one entry, no object.
        ("ranges", _) => return None,
        (resource, _) => ("", resource, rest),
    };
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    let named = !resource.is_empty() && !name.is_empty();
    named.then_some(ObjectKey { group, resource, namespace, name })
}

/// Under which groups and resources an API server may keep a resource with this full name.
///
/// Groups of Kubernetes' first resources do not stand in the key, later ones do: where the name does not tell, both are given.
pub(super) fn places_of(name: &str) -> Vec<(&str, &str)> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    let mut places = Vec::new();
    if group.contains('.') {
        places.push((group, resource));
    }
    if !group.contains('.') || group.ends_with(".k8s.io") {
        places.push(("", resource));
    }
    places
}

/// Every key under which an API server may keep an object, by the full name of its resource (`deployments`,
/// `deployments.apps`, `certificates.cert-manager.io`), its namespace (empty for objects of the whole cluster) and its name.
pub fn keys_of(resource: &str, namespace: &str, name: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for (group, resource) in places_of(resource) {
        if !group.is_empty() {
            folders.push(format!("{group}/{resource}"));
            continue;
        }
        folders.push(resource.to_owned());
        folders.extend(
            match resource {
                "services" => Some("services/specs"),
                "endpoints" => Some("services/endpoints"),
                "nodes" => Some("minions"),
                "replicationcontrollers" => Some("controllers"),
                "ingresses" => Some("ingress"),
                _ => None,
            }
            .map(str::to_owned),
        );
    }
    let object = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    let in_folder = |prefix: &str| {
        let paths: Vec<_> = folders.iter().map(|f| format!("{prefix}{f}/{object}")).collect();
        paths
    };
    PREFIXES.iter().flat_map(|prefix| in_folder(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_under_every_key_that_it_may_have() {
        for (resource, namespace, name, key) in [
            ("deployments", "shop", "web", "/registry/deployments/shop/web"),
            ("deployments.apps", "shop", "web", "/registry/deployments/shop/web"),
            ("nodes", "", "node-a", "/registry/minions/node-a"),
            ("services", "shop", "web", "/registry/services/specs/shop/web"),
            ("ingresses.networking.k8s.io", "shop", "web", "/registry/ingress/shop/web"),
            ("routes", "shop", "web", "/openshift.io/routes/shop/web"),
            (
                "certificates.cert-manager.io",
                "shop",
                "tls",
                "/registry/cert-manager.io/certificates/shop/tls",
            ),
            (
                "customresourcedefinitions.apiextensions.k8s.io",
                "",
                "certificates.cert-manager.io",
                "/registry/apiextensions.k8s.io/customresourcedefinitions/certificates.cert-manager.io",
            ),
        ] {
            let keys = keys_of(resource, namespace, name);
            assert!(keys.iter().any(|one| one == key), "{key} is not in {keys:?}");
            for key in &keys {
                let parsed = Key::parse(key.as_bytes());
                let same =
                    matches!(parsed, Key::Object(o) if o.name == name && o.namespace == namespace);
                assert!(same, "{key} is read as {parsed:?}");
            }
        }
    }

    fn parts(key: &str) -> Option<[&str; 4]> {
        match Key::parse(key.as_bytes()) {
            Key::Object(ObjectKey { group, resource, namespace, name }) => {
                Some([group, resource, namespace, name])
            }
            _ => None,
        }
    }

    #[test]
    fn keys_are_read_as_api_servers_write_them() {
        for (key, expected) in [
            ("/registry/pods/shop/web-1", ["", "pods", "shop", "web-1"]),
            ("/registry/namespaces/shop", ["", "namespaces", "", "shop"]),
            ("/registry/minions/node-a", ["", "nodes", "", "node-a"]),
            ("/registry/services/specs/shop/web", ["", "services", "shop", "web"]),
            ("/registry/services/endpoints/shop/web", ["", "endpoints", "shop", "web"]),
            ("/registry/clusterroles/system:node", ["", "clusterroles", "", "system:node"]),
            (
                "/registry/cert-manager.io/certificates/shop/tls",
                ["cert-manager.io", "certificates", "shop", "tls"],
            ),
            (
                "/registry/apiextensions.k8s.io/customresourcedefinitions/certificates.cert-manager.io",
                [
                    "apiextensions.k8s.io",
                    "customresourcedefinitions",
                    "",
                    "certificates.cert-manager.io",
                ],
            ),
            ("/kubernetes.io/secrets/shop/db", ["", "secrets", "shop", "db"]),
            ("/openshift.io/routes/shop/web", ["", "routes", "shop", "web"]),
        ] {
            assert_eq!(parts(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn keys_of_something_else_are_not_taken_for_objects() {
        for key in [
            "compact_rev_key",
            "/registry/",
            "/registry/health",
            "/registry/ranges/serviceips",
            "/registry/pods/",
            "/registry/pods/ns/",
            "/calico/v1/x",
            "",
            "/registry/cert-manager.io/",
        ] {
            assert_eq!(Key::parse(key.as_bytes()), Key::Other, "{key}");
        }
        assert_eq!(Key::parse(b"/registry/pods/\xff/x"), Key::Other);
        assert_eq!(Key::parse(b"/bootstrap/2f3a"), Key::Bootstrap);
    }
}
