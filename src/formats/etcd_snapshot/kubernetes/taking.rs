use super::super::bbolt::{EntrySink, Place};
use super::super::damage::DamageLog;
use super::super::keys::{complete_layout, walk_keys};
use super::super::mvcc::{ByKey, KeyMark, KeyValue, Revision, read_compaction};
use super::inventory::{
    Inventory, NewestTime, ResourceCount, SecretsAtRest, Stored, TimeSource, full_name,
};
use super::key::{Key, ObjectKey};
use super::value::{Encoding, newest_time};
use crate::formats::ReadAt;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;

/// How many different combinations of resource, namespace and encoding are told apart.
const GROUPS: usize = 200_000;
/// How many definitions of custom resources are remembered.
const DEFINITIONS: usize = 20_000;
/// How many bytes a part of a key may have; Kubernetes allows 253.
const PART_BYTES: usize = 512;

/// Why there is no [`Inventory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoInventory {
    /// Not all revisions can be read: see the damage of [`super::super::inspect`]. A count over a part would be a lie.
    Damaged,
}

impl fmt::Display for NoInventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not all revisions can be read, and a part is not counted")
    }
}

/// Counts what a snapshot of `length` bytes holds. `named` are keys that are looked for, such as
/// `/registry/deployments/shop/web`.
///
/// Reads the bucket `key` once. Memory: some 17 to 34 bytes per living key.
///
/// # Errors
/// When the file cannot be read. A snapshot that is not good is [`NoInventory`].
pub fn take_inventory<R: ReadAt + ?Sized>(
    file: &R,
    length: u64,
    named: &[String],
) -> io::Result<Result<Inventory, NoInventory>> {
    let Some(layout) = complete_layout(file, length)? else {
        return Ok(Err(NoInventory::Damaged));
    };
    let mut taker = Taker { readable: true, ..Taker::default() };
    taker.named = named.iter().map(|name| (name.clone(), None)).collect();
    if !walk_keys(file, layout, &mut taker)? || !taker.readable {
        return Ok(Err(NoInventory::Damaged));
    }
    // The last changes may have been deletions that a compaction has thrown away.
    let compacted = read_compaction(file, layout)?.finished;
    taker.revision = taker.revision.max(compacted.unwrap_or(0));
    Ok(Ok(taker.finish()))
}

/// What a living key counts as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Group {
    group: String,
    resource: String,
    namespace: String,
    encoding: Encoding,
}

/// The same by its number in the list of groups, so that it takes little for each key.
#[derive(Clone, Copy)]
enum Class {
    Group(u32),
    Bootstrap { empty: bool },
    Other,
    NotListed,
}

#[derive(Default)]
struct Taker {
    readable: bool,
    revision: i64,
    groups: Vec<Group>,
    /// The number of each group, by what it consists of: to look one up takes no memory.
    numbers: HashMap<KeyMark, u32>,
    live: ByKey<Class>,
    definitions: BTreeSet<String>,
    named: BTreeMap<String, Option<i64>>,
    named_unreadable: BTreeSet<String>,
    plain_secret_changes: u64,
    newest: Option<NewestTime>,
    heartbeat: Option<NewestTime>,
}

impl EntrySink for Taker {
    fn entry(&mut self, _: Place, key: &[u8], value: &[u8], _: &mut DamageLog) {
        let (Some(revision), Some(stored)) = (Revision::parse(key), KeyValue::parse(value)) else {
            self.readable = false;
            return;
        };
        self.revision = revision.number.main;
        // The mark of `--bump-revision` names no key.
        let Some(name) = stored.key.filter(|name| !name.is_empty()) else { return };
        let parsed = Key::parse(name);
        let alive = (!revision.deleted).then_some(self.revision);
        if let Ok(name) = std::str::from_utf8(name)
            && let Some(asked) = self.named.get_mut(name)
        {
            *asked = alive;
            self.named_unreadable.remove(name);
            let is_object = alive.is_some() && matches!(parsed, Key::Object(_));
            if is_object && Encoding::of(stored.value) == Encoding::Other {
                self.named_unreadable.insert(name.to_owned());
            }
        }
        if let Key::Object(object) = parsed {
            self.note_definition(object, !revision.deleted);
        }
        if revision.deleted {
            self.live.remove(KeyMark::of(name));
            return;
        }
        let class = match parsed {
            Key::Object(object) => self.object(object, stored.value),
            Key::Bootstrap => Class::Bootstrap { empty: stored.value.is_empty() },
            Key::Other => Class::Other,
        };
        self.live.insert(KeyMark::of(name), class);
    }
}

impl Taker {
    fn note_definition(&mut self, object: ObjectKey<'_>, alive: bool) {
        if object.resource != "customresourcedefinitions" || object.name.len() > PART_BYTES {
            return;
        }
        if !alive {
            self.definitions.remove(object.name);
        } else if self.definitions.len() < DEFINITIONS {
            self.definitions.insert(object.name.to_owned());
        }
    }

    fn object(&mut self, object: ObjectKey<'_>, value: &[u8]) -> Class {
        let ObjectKey { group, resource, namespace, .. } = object;
        if let Some((at, source)) = newest_time(value) {
            let named = || NewestTime {
                at,
                source,
                resource: shortened_name(group, resource),
                revision: self.revision,
            };
            let is_newer = |than: &Option<NewestTime>| than.as_ref().is_none_or(|one| one.at < at);
            if is_newer(&self.newest) {
                self.newest = Some(named());
            }
            if is_heartbeat(object, source) && is_newer(&self.heartbeat) {
                self.heartbeat = Some(named());
            }
        }
        let encoding = Encoding::of(value);
        let is_plain = !matches!(encoding, Encoding::Encrypted(_));
        self.plain_secret_changes += u64::from(is_secret(group, resource) && is_plain);
        if [group, resource, namespace].iter().any(|part| part.len() > PART_BYTES) {
            return Class::NotListed;
        }
        let mark = KeyMark::of_all(&(group, resource, namespace, &encoding));
        let next = self.groups.len();
        match (self.numbers.get(&mark), u32::try_from(next)) {
            (Some(number), _) => Class::Group(*number),
            (None, Ok(number)) if next < GROUPS => {
                let [group, resource, namespace] = [group, resource, namespace].map(str::to_owned);
                self.groups.push(Group { group, resource, namespace, encoding });
                self.numbers.insert(mark, number);
                Class::Group(number)
            }
            _ => Class::NotListed,
        }
    }

    fn finish(self) -> Inventory {
        let mut inventory = Inventory {
            revision: self.revision,
            keys: self.live.len() as u64,
            objects: 0,
            resources: Vec::new(),
            other_keys: 0,
            bootstrap_keys: 0,
            bootstrap_empty: 0,
            secrets: SecretsAtRest::default(),
            undefined: BTreeMap::new(),
            newest: self.newest,
            heartbeat: self.heartbeat,
            named: self.named,
            named_unreadable: self.named_unreadable,
            not_listed: 0,
        };
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for class in self.live.values() {
            match class {
                Class::Group(number) => *counts.entry(*number).or_default() += 1,
                Class::Bootstrap { empty } => {
                    inventory.bootstrap_keys += 1;
                    inventory.bootstrap_empty += u64::from(*empty);
                }
                Class::Other => inventory.other_keys += 1,
                Class::NotListed => inventory.not_listed += 1,
            }
        }
        let numbered = (0_u32..).zip(self.groups);
        let counted = numbered.filter_map(|(number, group)| Some((group, *counts.get(&number)?)));
        let groups: BTreeMap<Group, u64> = counted.collect();
        inventory.objects = groups.values().sum::<u64>() + inventory.not_listed;
        inventory.resources = by_resource(groups, &self.definitions);
        summarize(&mut inventory, self.plain_secret_changes);
        inventory
    }
}

/// Whether a time is that of a lease which is renewed every few seconds as long as the cluster runs: those of nodes
/// (<https://kubernetes.io/docs/concepts/architecture/leases/>), and those of controllers and API servers in `kube-system`.
fn is_heartbeat(object: ObjectKey<'_>, source: TimeSource) -> bool {
    let ObjectKey { group, resource, namespace, .. } = object;
    group.is_empty()
        && resource == "leases"
        && matches!(namespace, "kube-node-lease" | "kube-system")
        && source != TimeSource::Created
}

fn is_secret(group: &str, resource: &str) -> bool {
    group.is_empty() && resource == "secrets"
}

/// The full name of a resource, as much of it as is written down.
pub(super) fn shortened_name(group: &str, resource: &str) -> String {
    full_name(group, resource).chars().take(PART_BYTES).collect()
}

fn by_resource(groups: BTreeMap<Group, u64>, definitions: &BTreeSet<String>) -> Vec<ResourceCount> {
    let mut resources: BTreeMap<(String, String), ResourceCount> = BTreeMap::new();
    for (Group { group, resource, namespace, encoding }, objects) in groups {
        let key = (group, resource);
        let count = resources.entry(key).or_insert_with_key(|(group, resource)| ResourceCount {
            group: group.clone(),
            resource: resource.clone(),
            custom: definitions.contains(&full_name(group, resource)),
            objects: 0,
            namespaces: BTreeMap::new(),
            stored: Stored::default(),
        });
        count.objects += objects;
        *count.namespaces.entry(namespace).or_default() += objects;
        *match encoding {
            Encoding::Protobuf => &mut count.stored.protobuf,
            Encoding::Json => &mut count.stored.json,
            Encoding::Cbor => &mut count.stored.cbor,
            Encoding::Encrypted(key) => count.stored.encrypted.entry(key).or_default(),
            Encoding::Other => &mut count.stored.other,
        } += objects;
    }
    resources.into_values().collect()
}

/// What follows from the counts.
fn summarize(inventory: &mut Inventory, plain_secret_changes: u64) {
    for count in &inventory.resources {
        // Groups of Kubernetes itself end like this, and have no definitions.
        if count.group.contains('.') && !count.custom && !count.group.ends_with(".k8s.io") {
            inventory.undefined.insert(count.full_name(), count.objects);
        }
        if is_secret(&count.group, &count.resource) {
            let encrypted: u64 = count.stored.encrypted.values().sum();
            let plain = count.objects - encrypted;
            inventory.secrets = SecretsAtRest {
                secrets: count.objects,
                plain,
                keys: count.stored.encrypted.clone(),
                plain_in_history: 0,
            };
        }
    }
    let now = inventory.secrets.plain;
    inventory.secrets.plain_in_history = plain_secret_changes.saturating_sub(now);
}

#[cfg(test)]
mod tests {
    use super::super::super::tiny_writer::{self as tiny, Snapshot};
    use super::*;

    const REAL: &[u8] =
        include_bytes!("../../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn take(bytes: &[u8], named: &[&str]) -> Result<Inventory, NoInventory> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        take_inventory(bytes, bytes.len() as u64, &named).unwrap()
    }

    /// A snapshot with one change after another: key and value, without a value a deletion.
    fn snapshot(changes: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let entries: Vec<_> = (2..)
            .zip(changes)
            .map(|(main, (key, value))| tiny::change_of(key.as_bytes(), main, *value))
            .collect();
        Snapshot::with_entries(&entries).sealed()
    }

    fn count<'all>(inventory: &'all Inventory, name: &str) -> &'all ResourceCount {
        inventory.resources.iter().find(|count| count.full_name() == name).unwrap()
    }

    /// The script in `scenarios/estates/files/README.md` says what was put in.
    #[test]
    fn a_real_snapshot_is_counted_by_resource_and_namespace() {
        let found = take(
            REAL,
            &["/registry/deployments/payments/api", "/registry/configmaps/orders/worker"],
        )
        .unwrap();
        let counts: Vec<(String, u64)> =
            found.resources.iter().map(|count| (count.full_name(), count.objects)).collect();
        let expected = [
            ("configmaps", 2),
            ("deployments", 3),
            ("namespaces", 4),
            ("nodes", 3),
            ("pods", 9),
            ("secrets", 3),
            ("services", 3),
        ];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!((found.keys, found.objects, found.other_keys), (28, 27, 1));
        let orders = [("orders".to_owned(), 6), ("payments".to_owned(), 3)];
        assert_eq!(count(&found, "pods").namespaces, BTreeMap::from(orders));
        assert_eq!(count(&found, "nodes").namespaces, BTreeMap::from([(String::new(), 3)]));
        assert_eq!(count(&found, "pods").stored.json, 9);
        let keys = BTreeMap::from([("aescbc:v1:key1".to_owned(), 3)]);
        let secrets = SecretsAtRest { secrets: 3, plain: 0, keys, plain_in_history: 0 };
        assert_eq!(found.secrets, secrets);
        assert!(found.named["/registry/deployments/payments/api"].is_some());
        assert_eq!(found.named["/registry/configmaps/orders/worker"], None, "it was deleted");
        assert_eq!(found.newest, None, "the objects in it have no times");
    }

    #[test]
    fn secrets_that_are_not_encrypted_are_counted_also_in_history() {
        let encrypted = &b"k8s:enc:secretbox:v1:key2:\x01\x02"[..];
        let bytes = snapshot(&[
            ("/registry/secrets/ns/a", Some(b"k8s\0plain")),
            ("/registry/secrets/ns/b", Some(b"k8s\0plain")),
            ("/registry/secrets/ns/gone", Some(b"k8s\0plain")),
            ("/registry/secrets/ns/a", Some(encrypted)),
            ("/registry/secrets/ns/gone", None),
        ]);
        let secrets = take(&bytes, &[]).unwrap().secrets;
        assert_eq!((secrets.secrets, secrets.plain, secrets.plain_in_history), (2, 1, 2));
        assert_eq!(secrets.keys, BTreeMap::from([("secretbox:v1:key2".to_owned(), 1)]));
    }

    #[test]
    fn custom_resources_are_told_by_their_definitions() {
        let definition =
            "/registry/apiextensions.k8s.io/customresourcedefinitions/certificates.cert-manager.io";
        let bytes = snapshot(&[
            (definition, Some(b"{}")),
            ("/registry/cert-manager.io/certificates/ns/tls", Some(b"{}")),
            ("/registry/example.com/orphans/ns/one", Some(b"{}")),
        ]);
        let found = take(&bytes, &[]).unwrap();
        assert!(count(&found, "certificates.cert-manager.io").custom);
        assert!(!count(&found, "orphans.example.com").custom);
        assert_eq!(found.undefined, BTreeMap::from([("orphans.example.com".to_owned(), 1)]));
    }

    #[test]
    fn regression_an_object_that_no_api_server_can_read_is_told() {
        let (gone, strange) = ("/registry/deployments/ns/gone", "/registry/deployments/ns/strange");
        let (mended, plain) = ("/registry/deployments/ns/mended", "/elsewhere");
        let bytes = snapshot(&[
            (gone, Some(b"{}")),
            (gone, Some(b"k8s")),
            (strange, Some(b"[8s\0")),
            (mended, Some(b"x")),
            (mended, Some(b"k8s\0")),
            ("/registry/deployments/ns/encrypted", Some(b"k8s:enc:kms:v2:vault:x")),
            (plain, Some(b"x")),
        ]);
        let found =
            take(&bytes, &[gone, strange, mended, plain, "/registry/pods/ns/none"]).unwrap();
        let unreadable: Vec<_> = found.unreadable().collect();
        assert_eq!(unreadable, [("deployments".to_owned(), 2)]);
        assert_eq!(found.objects, 4, "they are counted all the same");
        let readable = [gone, strange, mended, plain, "/registry/pods/ns/none"]
            .map(|key| found.has_readable(key));
        assert_eq!(readable, [false, false, true, true, false]);
        assert!(found.named[gone].is_some());
    }

    #[test]
    fn bootstrap_data_and_the_newest_time_are_found() {
        let object = br#"{"metadata":{"creationTimestamp":"2026-01-02T03:04:05Z"}}"#;
        let bytes = snapshot(&[
            ("/bootstrap/2f3a", Some(b"sealed")),
            ("/bootstrap/4c1d", Some(b"")),
            ("/registry/example.com/things/ns/one", Some(object)),
            ("/registry/pods/ns/one", Some(b"{}")),
        ]);
        let found = take(&bytes, &[]).unwrap();
        assert_eq!((found.bootstrap_keys, found.bootstrap_empty), (2, 1));
        let newest = found.newest.unwrap();
        assert_eq!(newest.at.to_rfc3339(), "2026-01-02T03:04:05+00:00");
        assert_eq!((newest.source, newest.revision), (TimeSource::Created, 4));
        assert_eq!(newest.resource, "things.example.com");
    }

    #[test]
    fn a_damaged_snapshot_is_not_counted() {
        let mut zeroed = Snapshot::typical();
        zeroed.page(tiny::FIRST_LEAF).fill(0);
        assert_eq!(take(&zeroed.sealed(), &[]), Err(NoInventory::Damaged));
        assert_eq!(take(&REAL[..9000], &[]), Err(NoInventory::Damaged));
        assert_eq!(take(b"", &[]), Err(NoInventory::Damaged));
    }

    /// Nobody shall find a secret in an inventory, however the snapshot is made.
    #[test]
    fn no_value_is_in_an_inventory() {
        let bytes = snapshot(&[
            ("/registry/secrets/ns/a", Some(b"k8s:enc:aescbc:v1:hunter2")),
            ("/registry/secrets/ns/b", Some(b"k8s:enc:aescbc:v1:key:hunter2")),
            ("/registry/secrets/ns/c", Some(b"hunter2")),
            ("/registry/secrets/ns/d", Some(br#"{"metadata":{"creationTimestamp":"hunter2"}}"#)),
        ]);
        let text = serde_json::to_string(&take(&bytes, &[]).unwrap()).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let again: Inventory = serde_json::from_str(&text).unwrap();
        assert_eq!(again, take(&bytes, &[]).unwrap());
    }
}
