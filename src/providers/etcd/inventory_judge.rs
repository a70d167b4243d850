//! From an inventory to checks and findings. Pure.

use super::bootstrap::{self, WantedBootstrap};
use super::counts::{WantedCount, counted};
use super::inventory_output::encryption_keys;
use crate::formats::etcd_snapshot::kubernetes::{
    Change, ChangeKind, Inventory, KeptInventory, Tolerances, Warning, compare,
};
use crate::formats::etcd_snapshot::{Inspection, Soundness};
use crate::journal::{Check, Finding, Severity};

/// How many changes become findings.
const FINDINGS: usize = 10;

/// What must be in a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) counts: Vec<WantedCount>,
    /// Objects, as they are called in checks, and the keys under one of which each must be.
    pub(super) exist: Vec<(String, Vec<String>)>,
    pub(super) baseline: Option<(KeptInventory, Tolerances)>,
    /// The snapshot must end at a later revision than the baseline.
    pub(super) moved_on: bool,
    pub(super) secrets_encrypted: bool,
    pub(super) recovery_kit: Option<Vec<String>>,
    pub(super) bootstrap: WantedBootstrap,
}

impl Wanted {
    /// Keys that are looked for while the snapshot is counted.
    pub(super) fn keys(&self) -> Vec<String> {
        let named = self.exist.iter().flat_map(|(_, keys)| keys.clone());
        let counted = self.counts.iter().flat_map(WantedCount::definitions);
        named.chain(counted).chain(self.bootstrap.names.iter().flatten().cloned()).collect()
    }
}

/// The check that the snapshot may be counted at all.
pub(super) fn soundness(inspection: &Inspection) -> Check {
    const NAME: &str = "sound snapshot";
    const EXPECTED: &str = "what etcd wrote, with data in it";
    match inspection.soundness() {
        Soundness::Sound => Check::made(NAME, EXPECTED, EXPECTED, true),
        Soundness::Unproven(reasons) => Check::not_made(NAME, EXPECTED, reasons.join("; ")),
        Soundness::Foreign(foreign) => Check::not_made(NAME, EXPECTED, foreign.what()),
        Soundness::Damaged => {
            let first = inspection.damage.first().map(ToString::to_string);
            Check::made(NAME, EXPECTED, first.unwrap_or_else(|| "damaged".to_owned()), false)
        }
    }
}

/// What an inventory means.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) checks: Vec<Check>,
    pub(super) findings: Vec<Finding>,
}

/// Names of namespaces are data: what may be written down of one.
pub(super) type Shown<'a> = &'a dyn Fn(&str) -> String;

/// Judges an inventory. Whatever is counted in a snapshot without objects is inconclusive.
pub(super) fn judged(wanted: &Wanted, inventory: &Inventory, shown: Shown<'_>) -> Judged {
    let mut judged = Judged::default();
    let objects = inventory.objects;
    let some = if objects == 0 {
        Check::not_made(
            "objects of Kubernetes",
            "some",
            match inventory.other_keys {
                0 => "there are none: nothing of a cluster was verified".to_owned(),
                other => format!(
                    "there are none under /registry/, /kubernetes.io/ or /openshift.io/, and {other} keys elsewhere: nothing of a \
                     cluster was verified. Objects of an API server with another --etcd-prefix are not found"
                ),
            },
        )
    } else {
        Check::made("objects of Kubernetes", "some", objects.to_string(), true)
    };
    judged.checks.push(some.over(objects));
    judged.checks.extend(wanted.counts.iter().map(|count| counted(count, inventory)));
    readable(inventory, &mut judged);
    for (name, keys) in &wanted.exist {
        let found = keys.iter().any(|key| inventory.has_readable(key));
        let observed = match keys.iter().any(|key| inventory.named_unreadable.contains(key)) {
            _ if found => "there",
            true => "there, and no API server can read it",
            false => "not there",
        };
        let check = Check::made(format!("{name} exists"), "there", observed, found);
        judged.checks.push(if objects == 0 { unfounded(check) } else { check });
    }
    if let Some((baseline, tolerances)) = &wanted.baseline {
        against(wanted, baseline, tolerances, inventory, shown, &mut judged);
    }
    encryption(wanted, inventory, &mut judged);
    judged.findings.extend(inventory.undefined.iter().take(FINDINGS).map(|(resource, objects)| {
        Finding {
            severity: Severity::Warning,
            code: "etcd.custom_resource_undefined".to_owned(),
            what: format!("{objects} objects of {resource}, for which there is no definition"),
            why: "an API server that starts from this snapshot cannot serve them".to_owned(),
            action:
                "find out whether the definition was deleted before its objects; keep it in git"
                    .to_owned(),
        }
    }));
    bootstrap::judge(&wanted.bootstrap, inventory, &mut judged);
    judged
}

/// The check that an API server can read what is there, as far as the first bytes of each object tell.
fn readable(inventory: &Inventory, judged: &mut Judged) {
    let unreadable: Vec<(String, u64)> = inventory.unreadable().collect();
    let observed = match unreadable.iter().map(|(_, objects)| objects).sum() {
        0_u64 => "all".to_owned(),
        objects => format!("all but {objects}"),
    };
    let check = Check::made("objects readable", "all", observed, unreadable.is_empty());
    judged.checks.push(match inventory.objects {
        0 => unfounded(check),
        objects => check.over(objects),
    });
    judged.findings.extend(unreadable.into_iter().take(FINDINGS).map(|(resource, objects)| Finding {
        severity: Severity::Critical,
        code: "etcd.objects_unreadable".to_owned(),
        what: format!("{objects} objects of {resource} have no value, or one that begins as no API server stores an object"),
        why: "an API server that is started from this snapshot cannot read them, and fails to list their resource".to_owned(),
        action: "look at these keys in the living cluster; if they are good there, take a new snapshot and find out what changed this one"
            .to_owned(),
    }));
}

/// What was seen of no cluster at all proves nothing either way.
pub(super) fn unfounded(check: Check) -> Check {
    Check::not_made(check.name, check.expected, "the snapshot holds no objects of Kubernetes")
}

/// The check that the backup is not older than the baseline.
fn moved_on(wanted: &Wanted, baseline: &KeptInventory, inventory: &Inventory) -> Check {
    let (before, now) = (baseline.inventory.revision, inventory.revision);
    let (sign, holds) = if wanted.moved_on { (">", now > before) } else { (">=", now >= before) };
    let expected = format!("{sign} {before}, that of the baseline");
    let check = Check::made("revision", expected, now.to_string(), holds);
    if inventory.objects == 0 { unfounded(check) } else { check }
}

fn against(
    wanted: &Wanted,
    baseline: &KeptInventory,
    tolerances: &Tolerances,
    inventory: &Inventory,
    shown: Shown<'_>,
    judged: &mut Judged,
) {
    const EXPECTED: &str = "its counts, within the tolerances";
    let difference = compare(&baseline.inventory, inventory, tolerances);
    let beyond: Vec<&Change> = difference.changes.iter().filter(|c| !c.tolerated).collect();
    let observed = format!(
        "{} counts compared, {} changed, {} more than tolerated",
        difference.compared,
        difference.changes.len(),
        beyond.len()
    );
    judged.checks.push(moved_on(wanted, baseline, inventory));
    let mut check = match inventory.objects {
        0 => Check::not_made("baseline", EXPECTED, "the snapshot holds no objects of Kubernetes"),
        _ => Check::made("baseline", EXPECTED, observed, beyond.is_empty())
            .over(if difference.counted_before == 0 { 0 } else { difference.compared }),
    };
    if !baseline.unproven.is_empty() {
        check = check
            .note(format!("the baseline itself is not proven: {}", baseline.unproven.join("; ")));
    }
    judged.checks.push(check);
    for change in beyond.iter().take(FINDINGS) {
        judged.findings.push(differs(line(change, shown)));
    }
    if let Some(more) = beyond.len().checked_sub(FINDINGS).filter(|more| *more > 0) {
        judged
            .findings
            .push(differs(format!("{more} more counts changed by more than is tolerated")));
    }
    judged.findings.extend(difference.warnings.iter().map(|warning| Finding {
        severity: match warning {
            Warning::RevisionWentBack { .. } => Severity::Serious,
            _ => Severity::Warning,
        },
        code: "etcd.baseline_warning".to_owned(),
        what: warning.to_string(),
        why: "between two backups of a cluster, one after the other, this should not be".to_owned(),
        action: "find out which of both backups is of which cluster and time".to_owned(),
    }));
}

fn differs(what: String) -> Finding {
    Finding {
        severity: Severity::Serious,
        code: "etcd.differs_from_baseline".to_owned(),
        what,
        why: "a backup that lost objects restores a cluster that lacks them; one of another cluster restores that one".to_owned(),
        action: "compare with the living cluster; if the change is meant, write the baseline anew".to_owned(),
    }
}

fn line(change: &Change, shown: Shown<'_>) -> String {
    let word = match change.kind {
        ChangeKind::Gone => "gone",
        ChangeKind::Fewer => "fewer",
        ChangeKind::More => "more",
        ChangeKind::New => "new",
    };
    let place = match change.namespace.as_deref() {
        None => String::new(),
        Some("") => " of the whole cluster".to_owned(),
        Some(namespace) => format!(" in {}", shown(namespace)),
    };
    format!(
        "{word}: {}{place}, {} before, {} now",
        change.resource, change.expected, change.observed
    )
}

fn encryption(wanted: &Wanted, inventory: &Inventory, judged: &mut Judged) {
    let at_rest = &inventory.secrets;
    if wanted.secrets_encrypted {
        let observed = format!("{} of {} are not", at_rest.plain, at_rest.secrets);
        let check = Check::made("secrets encrypted", "all", observed, at_rest.plain == 0);
        judged.checks.push(check.over(at_rest.secrets));
        if at_rest.plain > 0 {
            let what = format!(
                "{} of {} secrets are not encrypted at rest",
                at_rest.plain, at_rest.secrets
            );
            judged.findings.push(not_encrypted(Severity::Serious, what));
        }
        if at_rest.plain_in_history > 0 {
            let what =
                format!("{} earlier values of secrets are not encrypted", at_rest.plain_in_history);
            judged.findings.push(not_encrypted(Severity::Warning, what));
        }
    }
    let used = encryption_keys(inventory);
    let Some(kit) = &wanted.recovery_kit else {
        judged.findings.extend(used.keys().map(|key| Finding {
            severity: Severity::Note,
            code: "etcd.encryption_key_needed".to_owned(),
            what: format!("objects are encrypted with {key}, and the scenario does not say whether the recovery kit holds it"),
            why: "without that key, what it encrypts is lost in a restore".to_owned(),
            action: "name the keys of the recovery kit in recovery_kit".to_owned(),
        }));
        return;
    };
    let bare = |key: &str| key.rsplit(':').next().unwrap_or_default().to_owned();
    // A name alone says which key only where no other provider has one of the same name.
    let is_its_own = |name: &str| used.keys().filter(|key| bare(key) == name).count() == 1;
    let is_there = |key: &str| {
        let name = bare(key);
        kit.iter().any(|one| one == key || (*one == name && is_its_own(&name)))
    };
    let missing: Vec<&String> = used.keys().filter(|key| !is_there(key)).collect();
    let ambiguous = missing.iter().any(|key| kit.contains(&bare(key)));
    let observed = match missing.as_slice() {
        [] => format!("{} keys, all there", used.len()),
        missing if ambiguous => format!(
            "not told apart by their names alone: {}; write provider, version and name",
            missing.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
        ),
        missing => format!(
            "missing: {}",
            missing.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
        ),
    };
    let check = Check::made(
        "encryption keys in the recovery kit",
        "all that are in use",
        observed,
        missing.is_empty(),
    );
    judged.checks.push(check.over(used.len() as u64));
    judged.findings.extend(missing.into_iter().map(|key| Finding {
        severity: Severity::Critical,
        code: "etcd.encryption_key_not_in_kit".to_owned(),
        what: format!("{} objects are encrypted with {key}, which the recovery kit does not hold", used[key]),
        why: "without that key they are lost: the API server cannot read them, and fails to list their resource".to_owned(),
        action: "put the key into the recovery kit, outside of the cluster, and test it there".to_owned(),
    }));
}

fn not_encrypted(severity: Severity, what: String) -> Finding {
    Finding {
        severity,
        code: "etcd.secrets_not_encrypted".to_owned(),
        what,
        why: "whoever can read the snapshot, or any copy of it, has them".to_owned(),
        action: "write every secret anew with the encrypting provider first in the API server's configuration, and compact"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::wanted_count;
    use super::*;
    use crate::formats::etcd_snapshot::inspect;
    use crate::formats::etcd_snapshot::kubernetes::{
        ResourceCount, SecretsAtRest, Tolerance, take_inventory,
    };
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
    use std::collections::BTreeMap;

    const REAL: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn real() -> Inventory {
        take_inventory(REAL, REAL.len() as u64, &[]).unwrap().unwrap()
    }

    /// A snapshot in which only etcd's own keys are.
    fn without_objects() -> Inventory {
        Inventory { objects: 0, resources: Vec::new(), secrets: SecretsAtRest::default(), ..real() }
    }

    /// Four secrets, of which so many are encrypted with this key.
    fn with_secrets(encrypted: u64, key: &str) -> Inventory {
        let mut inventory = real();
        inventory.resources.retain(|one| one.resource != "secrets");
        let mut secrets = ResourceCount {
            group: String::new(),
            resource: "secrets".to_owned(),
            custom: false,
            objects: 4,
            namespaces: BTreeMap::from([("shop".to_owned(), 4)]),
            stored: Default::default(),
        };
        if encrypted > 0 {
            secrets.stored.encrypted.insert(key.to_owned(), encrypted);
        }
        inventory.secrets = SecretsAtRest {
            secrets: 4,
            plain: 4 - encrypted,
            keys: secrets.stored.encrypted.clone(),
            plain_in_history: 0,
        };
        inventory.resources.push(secrets);
        inventory
    }

    fn outcome(wanted: &Wanted, inventory: &Inventory, name: &str) -> Outcome {
        let judged = judged(wanted, inventory, &str::to_owned);
        judged.checks.iter().find(|check| check.name == name).unwrap().outcome
    }

    fn baseline_of(wanted: &Wanted, inventory: &Inventory) -> Check {
        let checks = judged(wanted, inventory, &str::to_owned).checks;
        checks.into_iter().find(|check| check.name == "baseline").unwrap()
    }

    /// A backup in which a namespace is new: its counts are compared, too.
    #[test]
    fn regression_the_baseline_never_tells_of_more_changes_than_counts() {
        let now = real();
        let mut before = real();
        before.resources.truncate(1);
        let baseline = Some((KeptInventory::new(before, Vec::new()), Tolerances::default()));
        let check = baseline_of(&Wanted { baseline, ..Wanted::default() }, &now);
        let numbers: Vec<u64> =
            check.observed.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(numbers[0] > numbers[1] && numbers[1] > 0, "{check:?}");
        assert_eq!((check.outcome, check.population), (Failed, Some(numbers[0])));
    }

    fn codes(wanted: &Wanted, inventory: &Inventory) -> Vec<String> {
        judged(wanted, inventory, &str::to_owned).findings.into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn a_snapshot_without_objects_passes_no_check() {
        let empty = without_objects();
        let baseline = KeptInventory::new(real(), Vec::new());
        let wanted = Wanted {
            exist: vec![(
                "pods shop/web exists".to_owned(),
                vec!["/registry/pods/shop/web".to_owned()],
            )],
            baseline: Some((baseline, Tolerances::default())),
            secrets_encrypted: true,
            recovery_kit: Some(vec!["key1".to_owned()]),
            counts: vec![wanted_count("pods", None, "= 0")],
            ..Wanted::default()
        };
        let judged = judged(&wanted, &empty, &str::to_owned);
        assert_eq!(judged.checks.len(), 8);
        assert!(judged.checks.iter().all(|check| check.outcome == Inconclusive), "{judged:?}");
    }

    #[test]
    fn a_named_object_is_there_or_the_check_fails() {
        let key = "/registry/pods/shop/web".to_owned();
        let wanted = Wanted {
            exist: vec![("pods shop/web".to_owned(), vec![key.clone()])],
            ..Wanted::default()
        };
        let mut inventory = real();
        inventory.named.insert(key.clone(), Some(7));
        assert_eq!(outcome(&wanted, &inventory, "pods shop/web exists"), Passed);
        inventory.named_unreadable.insert(key.clone());
        let gone = outcome(&wanted, &inventory, "pods shop/web exists");
        assert_eq!(gone, Failed, "its value is gone");
        inventory.named_unreadable.clear();
        inventory.named.insert(key, None);
        assert_eq!(outcome(&wanted, &inventory, "pods shop/web exists"), Failed);
    }

    #[test]
    fn a_baseline_with_more_objects_fails_and_its_difference_is_a_finding() {
        let now = real();
        let mut before = real();
        before.revision -= 1;
        let same = Wanted {
            baseline: Some((KeptInventory::new(before.clone(), Vec::new()), Tolerances::default())),
            ..Wanted::default()
        };
        assert_eq!(outcome(&same, &now, "baseline"), Passed);
        let place = before.resources[0].namespaces.first_entry().unwrap();
        *place.into_mut() += 5;
        before.resources[0].objects += 5;
        let lost = Wanted {
            baseline: Some((KeptInventory::new(before.clone(), Vec::new()), Tolerances::default())),
            ..Wanted::default()
        };
        assert_eq!(outcome(&lost, &now, "baseline"), Failed);
        assert!(codes(&lost, &now).contains(&"etcd.differs_from_baseline".to_owned()));
        let tolerances =
            Tolerances { default: Tolerance { percent: 0, objects: 5 }, ..Tolerances::default() };
        let tolerated = Wanted {
            baseline: Some((KeptInventory::new(before, Vec::new()), tolerances)),
            ..Wanted::default()
        };
        assert_eq!(outcome(&tolerated, &now, "baseline"), Passed);
        let nothing = Wanted {
            baseline: Some((
                KeptInventory::new(without_objects(), Vec::new()),
                Tolerances::default(),
            )),
            ..Wanted::default()
        };
        assert_eq!(outcome(&nothing, &now, "baseline"), Failed, "everything in it is new");
        let any = Tolerance { percent: 0, objects: u64::MAX };
        let any = Tolerances { default: any, ..Tolerances::default() };
        let kept = KeptInventory::new(without_objects(), Vec::new());
        let nothing = Wanted { baseline: Some((kept, any)), ..Wanted::default() };
        let check = baseline_of(&nothing, &now);
        assert_eq!(check.population, Some(0), "nothing says what should be there");
    }

    #[test]
    fn regression_a_backup_that_went_back_or_stood_still_fails_against_its_baseline() {
        let now = real();
        let against = |revision: i64, moved_on: bool| {
            let before = Inventory { revision, ..real() };
            let baseline = Some((KeptInventory::new(before, Vec::new()), Tolerances::default()));
            outcome(&Wanted { baseline, moved_on, ..Wanted::default() }, &now, "revision")
        };
        assert_eq!(against(now.revision - 1, true), Passed);
        assert_eq!(against(now.revision, false), Passed);
        assert_eq!(against(now.revision, true), Failed);
        assert_eq!(against(now.revision + 1, false), Failed);
    }

    #[test]
    fn regression_counts_and_names_are_found_under_the_same_aliases() {
        let inventory = real();
        let counts = |name: &str, expected: &str| {
            let counts = vec![wanted_count(name, None, expected)];
            Wanted { counts, ..Wanted::default() }
        };
        for name in ["deployments", "deployments.apps"] {
            assert_eq!(outcome(&counts(name, "= 3"), &inventory, name), Passed, "{name}");
        }
        let other = "deployments.example.com";
        assert_eq!(outcome(&counts(other, ">= 1"), &inventory, other), Failed);
    }

    #[test]
    fn regression_keys_under_another_prefix_are_hinted_at() {
        let judged = judged(&Wanted::default(), &without_objects(), &str::to_owned);
        let note = judged.checks[0].note.as_deref().unwrap();
        assert!(note.contains("--etcd-prefix"), "{note}");
    }

    #[test]
    fn regression_the_bare_name_of_a_key_stands_for_no_two_keys() {
        const NAME: &str = "encryption keys in the recovery kit";
        let mut inventory = with_secrets(4, "aescbc:v1:key1");
        let secrets = inventory.resources.last_mut().unwrap();
        secrets.stored.encrypted.insert("secretbox:v1:key1".to_owned(), 1);
        let kit = |keys: &[&str]| Wanted {
            recovery_kit: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
            ..Wanted::default()
        };
        assert_eq!(outcome(&kit(&["key1"]), &inventory, NAME), Failed);
        assert_eq!(outcome(&kit(&["key1", "aescbc:v1:key1"]), &inventory, NAME), Failed);
        assert_eq!(
            outcome(&kit(&["aescbc:v1:key1", "secretbox:v1:key1"]), &inventory, NAME),
            Passed
        );
    }

    #[test]
    fn secrets_that_must_be_encrypted_are_all_looked_at() {
        let wanted = Wanted { secrets_encrypted: true, ..Wanted::default() };
        let all = with_secrets(4, "aescbc:v1:key1");
        assert_eq!(outcome(&wanted, &all, "secrets encrypted"), Passed);
        let some = with_secrets(3, "aescbc:v1:key1");
        assert_eq!(outcome(&wanted, &some, "secrets encrypted"), Failed);
        assert!(codes(&wanted, &some).contains(&"etcd.secrets_not_encrypted".to_owned()));
    }

    #[test]
    fn regression_objects_that_no_api_server_can_read_fail() {
        const NAME: &str = "objects readable";
        let mut inventory = real();
        assert_eq!(outcome(&Wanted::default(), &inventory, NAME), Passed);
        inventory.resources[0].stored.other = 1;
        assert_eq!(outcome(&Wanted::default(), &inventory, NAME), Failed);
        let codes = codes(&Wanted::default(), &inventory);
        assert!(codes.contains(&"etcd.objects_unreadable".to_owned()), "{codes:?}");
    }

    #[test]
    fn a_key_that_the_recovery_kit_lacks_is_critical() {
        let inventory = with_secrets(4, "aescbc:v1:key1");
        let kit = |keys: &[&str]| Wanted {
            recovery_kit: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
            ..Wanted::default()
        };
        const NAME: &str = "encryption keys in the recovery kit";
        assert_eq!(outcome(&kit(&["aescbc:v1:key1"]), &inventory, NAME), Passed);
        assert_eq!(outcome(&kit(&["key1", "key2"]), &inventory, NAME), Passed);
        assert_eq!(outcome(&kit(&["key2"]), &inventory, NAME), Failed);
        assert!(
            codes(&kit(&[]), &inventory).contains(&"etcd.encryption_key_not_in_kit".to_owned())
        );
        assert_eq!(outcome(&kit(&["key1"]), &with_secrets(0, ""), NAME), Inconclusive);
        assert!(
            codes(&Wanted::default(), &inventory)
                .contains(&"etcd.encryption_key_needed".to_owned())
        );
    }

    #[test]
    fn a_damaged_snapshot_is_not_sound_and_one_without_a_digest_is_not_proven() {
        let outcome =
            |bytes: &[u8]| soundness(&inspect(bytes, bytes.len() as u64).unwrap()).outcome;
        assert_eq!(outcome(REAL), Passed);
        assert_eq!(outcome(&REAL[..REAL.len() - 32]), Inconclusive);
        let mut changed = REAL.to_vec();
        changed[15_820] ^= 1;
        assert_eq!(outcome(&changed), Failed);
    }
}
