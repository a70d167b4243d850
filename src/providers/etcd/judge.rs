use crate::formats::etcd_snapshot::{
    Completeness, Damage, Foreign, Inspection, MetaState, Soundness, Trailer, Truncated,
};
use crate::formats::packed::Unpacked;
use crate::journal::{Check, Finding, Severity};

/// How many places of damage become findings; of the rest the number.
const FINDINGS: usize = 10;

/// The checks that an inspection makes. One that damage made impossible is inconclusive; the one that found the damage fails.
pub(super) fn checks(inspection: &Inspection) -> Vec<Check> {
    let unread = match inspection.damage.first() {
        Some(Damage::Packed(packing)) => {
            Some(format!("the file is packed with {packing}: nothing inside was looked at"))
        }
        Some(Damage::NotASnapshot(foreign)) => Some(foreign.what().to_owned()),
        _ => None,
    };
    if let Some(why) = unread {
        return ["trailing SHA-256", "meta pages", "complete", "structure"]
            .map(|name| Check::not_made(name, "as etcd writes it", why.as_str()))
            .to_vec();
    }
    vec![trailer(inspection), metas(inspection), complete(inspection), structure(inspection)]
}

/// The check of what the snapshot is packed in, if it is. What this program cannot unpack is not checked.
pub(super) fn packing(unpacked: &Unpacked) -> Option<Check> {
    const EXPECTED: &str = "ends where it should, with its checksum";
    let packing = unpacked.packing?;
    let observed = match unpacked.fault {
        None => format!("{packing}, {} bytes packed", unpacked.packed_bytes),
        Some(fault) => format!("{packing}: {fault}"),
    };
    if unpacked.fault.is_some_and(|fault| !fault.is_damage()) {
        return Some(Check::not_made("packing", EXPECTED, observed));
    }
    Some(Check::made("packing", EXPECTED, observed, unpacked.fault.is_none()))
}

/// What is wrong with the packing, where it is damaged.
pub(super) fn broken_packing(unpacked: &Unpacked) -> Option<Finding> {
    let (packing, fault) = (unpacked.packing?, unpacked.fault.filter(|fault| fault.is_damage())?);
    Some(Finding {
        severity: Severity::Critical,
        code: "etcd.snapshot_packing_damaged".to_owned(),
        what: format!("the {packing} around the snapshot: {fault}"),
        why: "what can be unpacked is not all of the backup, or not what was backed up".to_owned(),
        action: "take a new snapshot; find out whether the upload broke off, and let the backup job verify what it has \
                 stored"
            .to_owned(),
    })
}

fn trailer(inspection: &Inspection) -> Check {
    const NAME: &str = "trailing SHA-256";
    const EXPECTED: &str = "that of the content";
    match inspection.trailer {
        Trailer::Matches { sha256 } => Check::made(NAME, EXPECTED, sha256.to_string(), true),
        Trailer::Differs { expected, found } => {
            let observed = format!("the file carries {expected}, its content has {found}");
            Check::made(NAME, EXPECTED, observed, false)
        }
        Trailer::Missing => Check::not_made(
            NAME,
            EXPECTED,
            "the file has none: a copy of a member's database, or cut off; changed values cannot be noticed",
        ),
    }
}

fn metas(inspection: &Inspection) -> Check {
    let states = inspection.metas.iter().enumerate();
    let bad = states.filter_map(|(index, state)| match state {
        MetaState::Valid { .. } => None,
        MetaState::Damaged(fault) => Some(format!("meta page {index}: {fault}")),
    });
    let contradiction = inspection.damage.iter().filter_map(|damage| match damage {
        Damage::MetasDiffer { .. } => Some(damage.to_string()),
        _ => None,
    });
    let bad: Vec<String> = bad.chain(contradiction).collect();
    let observed = if bad.is_empty() { "both valid".to_owned() } else { bad.join("; ") };
    Check::made("meta pages", "both valid", observed, bad.is_empty())
}

fn complete(inspection: &Inspection) -> Check {
    const NAME: &str = "complete";
    const EXPECTED: &str = "all pages are there";
    match inspection.complete {
        Completeness::Complete => Check::made(NAME, EXPECTED, EXPECTED, true),
        Completeness::Truncated(Truncated { need_bytes, have_bytes }) => {
            let observed = format!("{have_bytes} of {need_bytes} bytes are there");
            Check::made(NAME, EXPECTED, observed, false)
        }
        Completeness::Unknown if inspection.size_bytes == 0 => {
            Check::made(NAME, EXPECTED, "the file is empty", false)
        }
        Completeness::Unknown => Check::not_made(
            NAME,
            EXPECTED,
            "neither meta page is usable, so that nobody knows how long the database is",
        ),
    }
}

fn structure(inspection: &Inspection) -> Check {
    const NAME: &str = "structure";
    const EXPECTED: &str = "every page and every revision as etcd writes them";
    let faults = inspection.damage.iter().filter(|damage| is_structural(damage)).count() as u64;
    let unlisted = inspection.damage_not_listed;
    let population = inspection.live_keys.unwrap_or(0);
    if faults > 0 {
        let observed = format!("{} faults", faults + unlisted);
        return Check::made(NAME, EXPECTED, observed, false);
    }
    if inspection.is_not_understood() {
        let why = "a later etcd than 3.6 has written it, and more than this program knows";
        return Check::not_made(NAME, EXPECTED, why);
    }
    if inspection.entries.is_none() {
        return Check::not_made(NAME, EXPECTED, "the pages could not be read");
    }
    if let Some(why) = in_doubt(inspection) {
        return Check::not_made(NAME, EXPECTED, why).over(population);
    }
    let holds = unlisted == 0;
    Check::made(NAME, EXPECTED, format!("as expected, with {population} live keys"), holds)
        .over(population)
}

/// Why nothing says that what could be read is as etcd writes it. A digest that is missing has a check of its own.
fn in_doubt(inspection: &Inspection) -> Option<String> {
    match inspection.soundness() {
        Soundness::Unproven(reasons) if matches!(inspection.trailer, Trailer::Matches { .. }) => {
            Some(reasons.join("; "))
        }
        _ => None,
    }
}

/// Whatever no other check tells.
fn is_structural(damage: &Damage) -> bool {
    !matches!(
        damage,
        Damage::Empty
            | Damage::Packed(_)
            | Damage::NotASnapshot(_)
            | Damage::NoUsableMeta
            | Damage::Meta { .. }
            | Damage::MetasDiffer { .. }
            | Damage::TrailerDiffers { .. }
            | Damage::Truncated { .. }
    )
}

/// Names of keys are data: what may be written down of one.
pub(super) type Shown<'a> = &'a dyn Fn(&str) -> String;

/// What a person should act on: each damage, the first ones by name, and with the key that it belongs to.
pub(super) fn findings(inspection: &Inspection, shown: Shown<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        inspection.damage.iter().take(FINDINGS).map(|damage| of_damage(damage, shown)).collect();
    let listed = inspection.damage.len() as u64;
    let more = (listed + inspection.damage_not_listed).saturating_sub(findings.len() as u64);
    if more > 0 {
        findings.push(damaged(format!("{more} more places are damaged")));
    }
    findings.extend(inspection.lost_revisions.iter().take(FINDINGS).map(|lost| Finding {
        severity: Severity::Critical,
        code: "etcd.snapshot_revisions_lost".to_owned(),
        what: lost.to_string(),
        why: "whatever was changed in these revisions and not again later is missing after a restore"
            .to_owned(),
        action: "take an older snapshot from before the first of these revisions, or make up for what was written in them"
            .to_owned(),
    }));
    if let Soundness::Unproven(reasons) = inspection.soundness() {
        findings.extend(reasons.into_iter().map(|reason| Finding {
            severity: Severity::Serious,
            code: "etcd.snapshot_unproven".to_owned(),
            what: reason.to_owned(),
            why: "nothing was found wrong, but nothing proves that it is right either".to_owned(),
            action: "back up with etcdctl snapshot save, which appends a SHA-256, and keep the file \
                     as it is"
                .to_owned(),
        }));
    }
    findings
}

fn of_damage(damage: &Damage, shown: Shown<'_>) -> Finding {
    match damage {
        Damage::Packed(_) => Finding {
            severity: Severity::Warning,
            code: "etcd.snapshot_packed".to_owned(),
            what: damage.to_string(),
            why: "an archive that was cut looks like a backup until it is unpacked".to_owned(),
            action: "unpack it and verify what is inside".to_owned(),
        },
        Damage::NotASnapshot(foreign) => Finding {
            severity: Severity::Serious,
            code: code_of(*foreign).to_owned(),
            what: foreign.what().to_owned(),
            why: "it may be a sound backup; nothing of it is proven, and no etcd is restored from it as it is"
                .to_owned(),
            action: foreign.help().to_owned(),
        },
        _ => damaged(match damage.key() {
            None => damage.to_string(),
            Some(key) => format!("{damage}; key {}", shown(key.as_str())),
        }),
    }
}

fn code_of(foreign: Foreign) -> &'static str {
    if foreign.is_packing() { "etcd.snapshot_not_unpacked" } else { "etcd.not_a_snapshot" }
}

fn damaged(what: String) -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "etcd.snapshot_damaged".to_owned(),
        what,
        why: "a cluster restored from it would lack data, hold wrong data, or not start".to_owned(),
        action:
            "take a new snapshot with etcdctl snapshot save, verify it before it replaces the last good \
             one, and find out where this one was changed: at the member, on the way, or in storage"
                .to_owned(),
    }
}

/// Every damage: listed and not.
pub(super) fn damaged_places(inspection: &Inspection) -> u64 {
    inspection.damage.len() as u64 + inspection.damage_not_listed
}

#[cfg(test)]
mod tests {
    use super::super::notes::notes;
    use super::*;
    use crate::formats::etcd_snapshot::museum;
    use crate::formats::etcd_snapshot::tiny_writer::{self as tiny, Snapshot};
    use crate::formats::etcd_snapshot::{LostRevisions, Note, RevisionNumber, inspect};
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};

    const REAL: &[u8] =
        include_bytes!("../../../scenarios/estates/files/cluster-state.snapshot.db");

    fn look(bytes: &[u8]) -> Inspection {
        inspect(bytes, bytes.len() as u64).unwrap()
    }

    /// Outcomes of trailer, meta pages, complete and structure.
    fn outcomes(bytes: &[u8]) -> [Outcome; 4] {
        let outcomes: Vec<_> = checks(&look(bytes)).iter().map(|check| check.outcome).collect();
        outcomes.try_into().unwrap()
    }

    #[test]
    fn regression_whatever_is_damaged_passes_not_every_check() {
        for (name, bytes) in museum::exhibits() {
            let seen = look(&bytes);
            assert_ne!(seen.soundness(), Soundness::Sound, "{name}");
            assert!(checks(&seen).iter().any(|check| check.outcome != Passed), "{name}");
        }
    }

    #[test]
    fn a_real_snapshot_passes_every_check() {
        assert_eq!(outcomes(REAL), [Passed; 4]);
        assert_eq!(findings(&look(REAL), &str::to_owned), []);
        assert_eq!(notes(&look(REAL)), []);
    }

    #[test]
    fn regression_leases_that_are_stored_nowhere_leave_the_structure_unproven() {
        let orphaned = Snapshot::with_entries(&[tiny::put(2), tiny::leased(b'b', 3, 7)]).sealed();
        assert_eq!(outcomes(&orphaned), [Passed, Passed, Passed, Inconclusive]);
        let sealed = Snapshot::typical().sealed();
        assert_eq!(outcomes(&sealed), [Passed; 4]);
        // That nobody vouches for the content is told by a check of its own.
        let copied = &sealed[..sealed.len() - 32];
        assert_eq!(outcomes(copied), [Inconclusive, Passed, Passed, Passed]);
    }

    #[test]
    fn every_check_can_fail() {
        let changed = |at: usize| {
            let mut bytes = REAL.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        let page = look(REAL).page_size.unwrap() as usize;
        let trailer_only = changed(REAL.len() - 1);
        assert_eq!(outcomes(&trailer_only), [Failed, Passed, Passed, Passed]);
        let second_meta = changed(page + 20);
        assert_eq!(outcomes(&second_meta), [Failed, Failed, Passed, Passed]);
        let body = &REAL[..REAL.len() - 32 - page];
        assert_eq!(outcomes(body), [Inconclusive, Passed, Failed, Inconclusive]);
        let mut zeroed = REAL.to_vec();
        let end = zeroed.len() - 32;
        zeroed[2 * page..end].fill(0);
        let [_, _, _, structure] = outcomes(&zeroed);
        assert_eq!(structure, Failed);
    }

    #[test]
    fn what_cannot_be_read_never_passes() {
        let [trailer, metas, complete, structure] = outcomes(b"");
        assert_eq!(
            (trailer, metas, complete, structure),
            (Inconclusive, Failed, Failed, Inconclusive)
        );
        let packed = [&[0x1F, 0x8B, 8, 0][..], &[0; 400]].concat();
        assert_eq!(outcomes(&packed), [Inconclusive; 4]);
        assert_eq!(findings(&look(&packed), &str::to_owned)[0].code, "etcd.snapshot_packed");
        let rubbish = vec![7; 5000];
        assert!(outcomes(&rubbish).iter().all(|outcome| *outcome != Passed));
    }

    #[test]
    fn findings_are_bounded_and_name_the_place() {
        let mut zeroed = REAL.to_vec();
        let page = look(REAL).page_size.unwrap() as usize;
        let end = zeroed.len() - 32;
        zeroed[2 * page..end].fill(0);
        let findings = findings(&look(&zeroed), &str::to_owned);
        assert!(findings.len() <= 2 * FINDINGS + 1);
        assert!(findings.iter().any(|finding| finding.what.contains("page")));
    }

    #[test]
    fn regression_every_note_is_a_finding() {
        let member = crate::formats::etcd_snapshot::HexId(5);
        let all = [
            (Note::NoSpaceAlarm { member }, Severity::Serious),
            (Note::LeasesMissing { leases: 1, first: member, keys: 2 }, Severity::Serious),
            (Note::AuthEnabled { users: 1 }, Severity::Warning),
            (Note::AuthNotSaid { users: 1 }, Severity::Warning),
            (Note::CompactedBeyond { last: 2, to: 9 }, Severity::Serious),
            (Note::LongerThanNeeded { bytes: 4096 }, Severity::Warning),
            (Note::CompactionInFlight { to: 9 }, Severity::Note),
            (Note::RevisionBumped, Severity::Note),
            (Note::UnknownEntries { count: 1 }, Severity::Warning),
            (Note::UnknownBuckets { count: 1 }, Severity::Note),
            (Note::NotUnderstood { count: 1 }, Severity::Serious),
        ];
        let inspection = Inspection { notes: all.map(|(note, _)| note).to_vec(), ..look(REAL) };
        let found = notes(&inspection);
        assert_eq!(found.len(), all.len());
        for (finding, (note, severity)) in found.iter().zip(all) {
            assert_eq!((finding.severity, &finding.what), (severity, &note.to_string()));
        }
    }

    #[test]
    fn regression_damage_names_the_key_as_far_as_it_may_be_written_down() {
        let mut changed = REAL.to_vec();
        let name = b"/registry/namespaces/orders";
        let places: Vec<usize> =
            (0..changed.len()).filter(|at| changed[*at..].starts_with(name)).collect();
        for at in places {
            // Behind the name of the key: the revision of its making, the tag of that of its change, and that one.
            let revision = at + name.len() + 3;
            assert_eq!(changed[revision - 1], 0x18);
            changed[revision] ^= 1;
        }
        let found = findings(&look(&changed), &|key| key.replace("orders", "concealed"));
        let of_it = found.iter().find(|finding| finding.what.contains("; key "));
        assert!(of_it.unwrap().what.ends_with("; key /registry/namespaces/concealed"), "{found:?}");
    }

    #[test]
    fn regression_lost_revisions_are_a_finding() {
        let number = |main| Some(RevisionNumber { main, sub: 0 });
        let lost = LostRevisions { page: 3, from: number(11), before: number(21) };
        let inspection = Inspection { lost_revisions: vec![lost], ..look(REAL) };
        let found = findings(&inspection, &str::to_owned);
        assert_eq!(found[0].code, "etcd.snapshot_revisions_lost");
        assert_eq!(
            found[0].what,
            "page 3 held the changes from revision 11 up to that before revision 21: they are lost"
        );
        let all = LostRevisions { from: None, before: None, ..lost };
        assert_eq!(
            all.to_string(),
            "page 3 held the changes from the first one up to the last one: they are lost"
        );
    }

    #[test]
    fn regression_a_backup_of_another_kind_is_not_called_damaged() {
        let sqlite = [&b"SQLite format 3\0"[..], &[0; 5000]].concat();
        assert_eq!(outcomes(&sqlite), [Inconclusive; 4]);
        let found = findings(&look(&sqlite), &str::to_owned);
        assert_eq!(
            found.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(),
            ["etcd.not_a_snapshot"]
        );
    }
}
