use super::fetch::TIME_MARK;
use crate::formats::etcd_snapshot::{
    Completeness, Damage, Inspection, MetaState, Soundness, Trailer, Truncated,
};
use crate::formats::packed::Unpacked;
use crate::journal::{Check, Finding, Measure, RecoveryPoint, Severity};
use chrono::{DateTime, SecondsFormat, Utc};

/// How many places of damage become findings; of the rest the number.
const FINDINGS: usize = 10;

/// The checks that an inspection makes. One that damage made impossible is inconclusive; the one that found the damage fails.
pub(super) fn checks(inspection: &Inspection) -> Vec<Check> {
    if let Some(Damage::Packed(packing)) = inspection.damage.first() {
        let why = format!("the file is packed with {packing}: nothing inside was looked at");
        return ["trailing SHA-256", "meta pages", "complete", "structure"]
            .map(|name| Check::not_made(name, "as etcd writes it", why.as_str()))
            .to_vec();
    }
    vec![trailer(inspection), metas(inspection), complete(inspection), structure(inspection)]
}

/// The check of what the snapshot is packed in, if it is.
pub(super) fn packing(unpacked: &Unpacked) -> Option<Check> {
    const EXPECTED: &str = "ends where it should, with its checksum";
    let packing = unpacked.packing?;
    let observed = match unpacked.fault {
        None => format!("{packing}, {} bytes packed", unpacked.packed_bytes),
        Some(fault) => format!("{packing}: {fault}"),
    };
    Some(Check::made("packing", EXPECTED, observed, unpacked.fault.is_none()))
}

/// What is wrong with the packing.
pub(super) fn broken_packing(unpacked: &Unpacked) -> Option<Finding> {
    let (packing, fault) = (unpacked.packing?, unpacked.fault?);
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
    let bad: Vec<String> = inspection
        .metas
        .iter()
        .enumerate()
        .filter_map(|(index, state)| match state {
            MetaState::Valid { .. } => None,
            MetaState::Damaged(fault) => Some(format!("meta page {index}: {fault}")),
        })
        .collect();
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
    if inspection.entries.is_none() {
        return Check::not_made(NAME, EXPECTED, "the pages could not be read");
    }
    let holds = unlisted == 0;
    Check::made(NAME, EXPECTED, format!("as expected, with {population} live keys"), holds)
        .over(population)
}

fn is_structural(damage: &Damage) -> bool {
    matches!(
        damage,
        Damage::Page { .. }
            | Damage::FreePageInUse { .. }
            | Damage::Bucket { .. }
            | Damage::NoKeyBucket
            | Damage::Revision { .. }
            | Damage::Record { .. }
            | Damage::LeaseMissing { .. }
            | Damage::CorruptAlarm { .. }
    )
}

/// What a person should act on: each damage, the first ones by name.
pub(super) fn findings(inspection: &Inspection) -> Vec<Finding> {
    let packed = matches!(inspection.damage.first(), Some(Damage::Packed(_)));
    let finding = |what: String| {
        Finding {
        severity: if packed { Severity::Warning } else { Severity::Critical },
        code: if packed { "etcd.snapshot_packed" } else { "etcd.snapshot_damaged" }.to_owned(),
        what,
        why: if packed {
            "an archive that was cut looks like a backup until it is unpacked"
        } else {
            "a cluster restored from it would lack data, hold wrong data, or not start"
        }
        .to_owned(),
        action: if packed {
            "unpack it and verify what is inside"
        } else {
            "take a new snapshot with etcdctl snapshot save, verify it before it replaces the last good \
             one, and find out where this one was changed: at the member, on the way, or in storage"
        }
        .to_owned(),
    }
    };
    let mut findings: Vec<Finding> =
        inspection.damage.iter().take(FINDINGS).map(|damage| finding(damage.to_string())).collect();
    let listed = inspection.damage.len() as u64;
    let more = (listed + inspection.damage_not_listed).saturating_sub(findings.len() as u64);
    if more > 0 {
        findings.push(finding(format!("{more} more places are damaged")));
    }
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

/// Every damage: listed and not.
pub(super) fn damaged_places(inspection: &Inspection) -> u64 {
    inspection.damage.len() as u64 + inspection.damage_not_listed
}

/// What is known about when a snapshot was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// From the scenario (UTC).
    pub(super) stated: Option<DateTime<Utc>>,
    /// From the object's metadata, as written there.
    pub(super) marked: Option<String>,
    /// When the object version or the file was written (UTC).
    pub(super) modified: Option<DateTime<Utc>>,
}

/// The recovery point of a sound snapshot, with findings about how far its time can be trusted.
///
/// A snapshot carries no time. Sound are a time that the scenario or the object's metadata gives, if it is not later than
/// the upload. `LastModified` says when this copy was stored: after the snapshot by the duration of the upload, or by years
/// when an old one was copied again. A file's own time says as little. Neither is used: from them no loss can be measured.
pub(super) fn recovery_point(
    times: &Times,
    identity: &str,
) -> (Option<RecoveryPoint>, Vec<Finding>) {
    let point = |at, source: String| RecoveryPoint {
        at,
        source,
        measure: Measure::Backup,
        identity: identity.to_owned(),
        worst_case: None,
        not_newer_than: None,
        kept_at: None,
    };
    let mut findings = Vec::new();
    let marked = times.marked.as_deref().map(DateTime::parse_from_rfc3339);
    if let Some(Err(_)) = marked {
        let what = format!("the object's metadata {TIME_MARK} is not a time as in RFC 3339");
        findings.push(uncertain(Severity::Warning, what));
    }
    let marked = marked.and_then(Result::ok).map(|time| time.to_utc());
    let mark = format!("metadata {TIME_MARK} of the object");
    let given = times.stated.map(|at| (at, "taken_at of the scenario".to_owned()));
    if let Some((at, source)) = given.or(marked.map(|at| (at, mark))) {
        // LastModified has whole seconds.
        let later = times.modified.is_some_and(|m| at.timestamp() > m.timestamp());
        if !later {
            return (Some(point(at, source)), findings);
        }
        let what = format!("{source} is later than the time at which the snapshot was stored");
        findings.push(uncertain(Severity::Serious, what));
        return (None, findings);
    }
    let what = match times.modified {
        Some(at) => format!(
            "nothing says when the snapshot was taken; this copy was stored at {}",
            at.to_rfc3339_opts(SecondsFormat::Secs, true)
        ),
        None => "nothing says when the snapshot was taken".to_owned(),
    };
    findings.push(uncertain(Severity::Warning, what));
    (None, findings)
}

fn uncertain(severity: Severity, what: String) -> Finding {
    Finding {
        severity,
        code: "etcd.snapshot_time_uncertain".to_owned(),
        what,
        why: "the loss of data is measured from that time".to_owned(),
        action: format!(
            "let the backup job note the time before it takes the snapshot, and upload with metadata {TIME_MARK}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::etcd_snapshot::inspect;
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
    fn a_real_snapshot_passes_every_check() {
        assert_eq!(outcomes(REAL), [Passed; 4]);
        assert_eq!(findings(&look(REAL)), []);
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
        assert_eq!(findings(&look(&packed))[0].code, "etcd.snapshot_packed");
        let rubbish = vec![7; 5000];
        assert!(outcomes(&rubbish).iter().all(|outcome| *outcome != Passed));
    }

    #[test]
    fn findings_are_bounded_and_name_the_place() {
        let mut zeroed = REAL.to_vec();
        let page = look(REAL).page_size.unwrap() as usize;
        let end = zeroed.len() - 32;
        zeroed[2 * page..end].fill(0);
        let findings = findings(&look(&zeroed));
        assert!(findings.len() <= FINDINGS + 1);
        assert!(findings.iter().any(|finding| finding.what.contains("page")));
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_most_trustworthy_time_is_used() {
        let all = Times {
            stated: Some(time(1)),
            marked: Some(time(2).to_rfc3339()),
            modified: Some(time(9)),
        };
        let at = |times: &Times| recovery_point(times, "x").0.map(|point| point.at);
        assert_eq!(at(&all), Some(time(1)));
        let marked = Times { stated: None, ..all.clone() };
        assert_eq!(at(&marked), Some(time(2)));
    }

    #[test]
    fn the_time_at_which_a_copy_was_stored_is_not_the_time_of_its_data() {
        let stored = Times { modified: Some(time(9)), ..Times::default() };
        let (point, findings) = recovery_point(&stored, "x");
        assert_eq!((point, findings[0].severity), (None, Severity::Warning));
        let unreadable = Times { marked: Some("yesterday".into()), ..stored };
        let (point, findings) = recovery_point(&unreadable, "x");
        assert_eq!((point, findings.len()), (None, 2));
    }

    #[test]
    fn a_time_that_cannot_be_right_is_no_recovery_point() {
        let late = Times { stated: Some(time(10)), modified: Some(time(9)), ..Times::default() };
        assert_eq!(recovery_point(&late, "x").0, None);
        let file = Times { modified: Some(time(9)), ..Times::default() };
        let (point, findings) = recovery_point(&file, "x");
        assert_eq!((point, findings.len()), (None, 1));
    }
}
