//! Snapshots of an etcd that is later than all that this reader knows: what is not as those write it is no damage there.

use super::damage::{Damage, DamageLog};
use super::fault::{OwnBucket, RecordFault, RevisionFault};
use super::note::Note;
use super::records::ClusterFacts;

/// The last version of etcd whose tables this reader knows: major and minor.
const KNOWN: (u64, u64) = (3, 6);

/// Takes what may come from new fields out of the damage of a snapshot that says itself that a later etcd has written it. Nothing, where
/// anything else is damaged: then the file was changed.
pub(super) fn not_understood(facts: Option<&ClusterFacts>, log: &mut DamageLog) -> Option<Note> {
    let is_later = facts.is_some_and(is_later);
    let may_be_new = |damage: &Damage| may_be_new(damage, &log.listed);
    if !is_later || log.not_listed > 0 || !log.listed.iter().all(may_be_new) {
        return None;
    }
    let count = std::mem::take(&mut log.listed).len() as u64;
    (count > 0).then_some(Note::NotUnderstood { count })
}

fn is_later(facts: &ClusterFacts) -> bool {
    let versions = [&facts.cluster_version, &facts.storage_version];
    versions.into_iter().flatten().any(|version| {
        let mut numbers = version.split('.').map(str::parse::<u64>);
        let found = (numbers.next(), numbers.next());
        matches!(found, (Some(Ok(major)), Some(Ok(minor))) if (major, minor) > KNOWN)
    })
}

/// Whether it may be that an etcd writes more than those before it.
fn may_be_new(damage: &Damage, all: &[Damage]) -> bool {
    match damage {
        Damage::Record { fault, .. } => {
            matches!(fault, RecordFault::Format | RecordFault::Unknown)
        }
        Damage::Revision { fault, .. } => matches!(fault, RevisionFault::Field { .. }),
        // A user who cannot be read is not known to be root either.
        Damage::AuthWithoutRoot => {
            all.iter().any(|one| matches!(one, Damage::Record { bucket: OwnBucket::AuthUsers, .. }))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiny_writer::{self as tiny, Snapshot};
    use super::super::{Inspection, Soundness, inspect};
    use super::*;

    /// A snapshot of a cluster of this version in which stands an alarm of a kind that no etcd up to 3.6 has.
    fn of_version(version: &str) -> Snapshot {
        let key = tiny::inline_bucket(b"key", &[tiny::change(b'a', 2, 2, 1)]);
        let said = [tiny::entry(b"clusterVersion", version.as_bytes())];
        let alarm = [tiny::entry(b"\x08\x05\x10\x03", b"")];
        Snapshot::with_buckets(vec![
            tiny::inline_bucket(b"alarm", &alarm),
            tiny::inline_bucket(b"cluster", &said),
            key,
        ])
    }

    fn look(bytes: &[u8]) -> Inspection {
        inspect(bytes, bytes.len() as u64).unwrap()
    }

    #[test]
    fn regression_what_a_later_etcd_may_write_is_not_judged_and_no_damage() {
        for version in ["3.7.0", "3.10.0", "4.0.0"] {
            let found = look(&of_version(version).sealed());
            assert_eq!(found.damage, [], "{version}");
            assert_eq!(found.notes, [Note::NotUnderstood { count: 1 }], "{version}");
            let soundness = found.soundness();
            assert!(
                matches!(soundness, Soundness::Unproven(why) if why[0].contains("later than 3.6"))
            );
        }
        for version in ["3.4.0", "3.6.0"] {
            assert_eq!(look(&of_version(version).sealed()).soundness(), Soundness::Damaged);
        }
    }

    #[test]
    fn of_a_later_etcd_too_what_was_changed_is_damage() {
        let mut bytes = of_version("3.7.0").sealed();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        let found = look(&bytes);
        assert_eq!(found.soundness(), Soundness::Damaged);
        assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
    }
}
