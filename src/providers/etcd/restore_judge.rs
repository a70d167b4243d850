//! From what a restored etcd answers to checks and findings. Pure.

use crate::formats::etcd_snapshot::{HashKv, NoHashKv};
use crate::journal::{Check, Finding, Severity};
use crate::outside::OutsideError;
use crate::outside::trial::{MemberHash, TrialPrograms, Tried};
use std::collections::BTreeMap;

/// A part of the trial that can go well or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// etcd's own program restores the members.
    Restoring,
    /// The members start.
    Starting,
}

impl Part {
    /// How its check is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Restoring => "restored",
            Self::Starting => "members answer",
        }
    }

    /// What is expected of it.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Restoring => "for every member, with the digest verified",
            Self::Starting => "every member, to a read to which a majority agrees",
        }
    }

    /// Whether a refusal says nothing of the snapshot. A sound one reads well here: that it is not restored says more of the machine
    /// or of the program. That a member does not start from it may be for its programs, where they are of another version.
    pub(super) fn proves_nothing(self, sound: bool, other_version: bool) -> bool {
        match self {
            Self::Restoring => sound,
            Self::Starting => other_version,
        }
    }
}

/// Whether the revision was to be moved forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    /// It was not asked for.
    NotAsked,
    /// The programs cannot, as is said here: the snapshot was restored as it is.
    NotKnown(String),
    /// To this revision, by so many.
    To(i64, u64),
}

impl Forward {
    /// What the programs will do of what is asked of them, with a snapshot whose last entry has this revision.
    pub(super) fn of(asked: Option<u64>, programs: &TrialPrograms, last: i64) -> Self {
        match asked {
            None => Self::NotAsked,
            Some(_) if !programs.knows_bump_revision => Self::NotKnown(unknown(programs)),
            Some(by) => Self::To(last.saturating_add_unsigned(by), by),
        }
    }

    /// The revision at which the members are asked, where that of the snapshot is another one.
    pub(super) fn to(&self) -> Option<(i64, u64)> {
        match self {
            Self::To(revision, by) => Some((*revision, *by)),
            _ => None,
        }
    }
}

/// That the programs have no way to move a revision forward.
fn unknown(programs: &TrialPrograms) -> String {
    format!(
        "{} beside etcd {} does not know --bump-revision and --mark-compacted",
        programs.tool, programs.version
    )
}

/// What was answered, and what is known of the snapshot.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) forward: Forward,
    pub(super) hashes: Result<Vec<MemberHash>, OutsideError>,
    /// What is computed from the snapshot, by the revision up to which history is thrown away.
    pub(super) expected: BTreeMap<i64, Result<HashKv, NoHashKv>>,
    pub(super) count: Result<u64, OutsideError>,
    pub(super) live_keys: Option<u64>,
    pub(super) named: Vec<(String, Result<u64, OutsideError>)>,
}

/// What the answers mean.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) checks: Vec<Check>,
    pub(super) findings: Vec<Finding>,
    /// The number on which all members agree, and which is that of the snapshot.
    pub(super) agreed: Option<u32>,
}

/// What the programs say may name what is in the snapshot: how much of it may be written down.
type Shown<'a> = &'a dyn Fn(&str) -> String;

/// How a part went. `versions` names those of the programs and of the snapshot, where they differ.
pub(super) fn went(
    part: Part,
    tried: &Tried,
    sound: bool,
    versions: Option<&str>,
    shown: Shown<'_>,
) -> Check {
    let (name, expected) = (part.name(), part.expected());
    match tried {
        Tried::Done => Check::made(name, expected, expected, true),
        Tried::Refused(said) if part.proves_nothing(sound, versions.is_some()) => {
            Check::not_made(name, expected, refused(&shown(said), versions))
        }
        Tried::Refused(said) => Check::made(name, expected, shown(said), false),
    }
}

/// What was said, and both versions where they differ.
pub(super) fn refused(said: &str, versions: Option<&str>) -> String {
    versions.map_or_else(|| said.to_owned(), |versions| format!("{said}; {versions}"))
}

/// A snapshot from which nothing starts.
pub(super) fn not_restorable(name: &str, said: &str) -> Finding {
    Finding {
        severity: Severity::Critical,
        code: "etcd.snapshot_not_restorable".to_owned(),
        what: format!("{name}: no: {said}"),
        why: "a cluster cannot be brought back from this snapshot with these programs".to_owned(),
        action: "try the snapshot before it, and programs of the version of the cluster's etcd; find out what the backup job does"
            .to_owned(),
    }
}

/// What should be known of the programs before they are needed.
pub(super) fn about(programs: &TrialPrograms) -> Option<Finding> {
    (!programs.knows_bump_revision).then(|| Finding {
        severity: Severity::Warning,
        code: "etcd.no_bump_revision".to_owned(),
        what: unknown(programs),
        why: "a restore goes back in time: without these options, controllers and kubelets go on with what they remember, and do \
              not notice what is missing"
            .to_owned(),
        action: "restore with etcdctl 3.4.27, etcdutl 3.5.10 or later, or restart everything that reads from the API server"
            .to_owned(),
    })
}

/// Judges the answers of a restored etcd.
pub(super) fn judged(answers: &Answers, revision: i64, shown: Shown<'_>) -> Judged {
    let mut judged = Judged::default();
    let population = answers.live_keys.unwrap_or(0);
    judged.checks.extend(moved(answers, shown));
    hash(answers, revision, population, shown, &mut judged);
    let expected =
        answers.live_keys.map_or_else(|| "as in the snapshot".to_owned(), |n| n.to_string());
    judged.checks.push(match (&answers.count, answers.live_keys) {
        (Err(error), _) => Check::not_made("keys", expected, shown(&error.to_string())),
        (_, None) => {
            Check::not_made("keys", expected, "the keys of the snapshot could not be counted")
        }
        (Ok(count), Some(keys)) => {
            Check::made("keys", expected, count.to_string(), *count == keys).over(*count)
        }
    });
    for (key, count) in &answers.named {
        let name = format!("key {key}");
        judged.checks.push(match count {
            Err(error) => Check::not_made(name, "there", shown(&error.to_string())),
            Ok(count) => Check::made(
                name,
                "there",
                if *count == 1 { "there" } else { "not there" },
                *count == 1,
            ),
        });
    }
    judged
}

/// Whether every member is where the restore should have moved it, and calls everything before that compacted. One that has gone on
/// since, as when a lease runs out, still says up to where it has compacted.
fn moved(answers: &Answers, shown: Shown<'_>) -> Vec<Check> {
    const NAMES: [&str; 2] = ["moved forward", "history compacted"];
    let (to, by) = match &answers.forward {
        Forward::NotAsked => return Vec::new(),
        Forward::NotKnown(why) => {
            return NAMES.map(|name| Check::not_made(name, "as asked for", why)).into();
        }
        Forward::To(to, by) => (*to, *by),
    };
    let expected = [
        format!("every member at revision {to}, {by} behind the last of the snapshot"),
        format!("every member, up to revision {to}: who has seen an older one must list again"),
    ];
    let made = |name,
                expected: &String,
                holds: &dyn Fn(&MemberHash) -> bool,
                said: &dyn Fn(&MemberHash) -> i64| {
        match &answers.hashes {
            Err(error) => Check::not_made(name, expected, shown(&error.to_string())),
            Ok(hashes) if hashes.is_empty() => Check::not_made(name, expected, "no member told"),
            Ok(hashes) => {
                let each = hashes.iter().map(|one| format!("{} {}", one.member, said(one)));
                let observed = each.collect::<Vec<_>>().join(", ");
                Check::made(name, expected, observed, hashes.iter().all(holds))
            }
        }
    };
    let is_there =
        |one: &MemberHash| one.revision == to || (one.revision > to && one.compact_revision == to);
    vec![
        made(NAMES[0], &expected[0], &is_there, &|one| one.revision),
        made(NAMES[1], &expected[1], &|one| one.compact_revision == to, &|one| {
            one.compact_revision
        }),
    ]
}

fn hash(answers: &Answers, revision: i64, population: u64, shown: Shown<'_>, judged: &mut Judged) {
    const NAME: &str = "HashKV";
    let expected = match answers.forward.to() {
        None => format!("that of the snapshot at revision {revision}"),
        Some((to, _)) => {
            format!("that of the snapshot's keys at revision {to}, without its history")
        }
    };
    let hashes = match &answers.hashes {
        Ok(hashes) if !hashes.is_empty() => hashes,
        Ok(_) => {
            judged.checks.push(Check::not_made(NAME, expected, "no member gave one"));
            return;
        }
        Err(error) => {
            judged.checks.push(Check::not_made(NAME, expected, shown(&error.to_string())));
            return;
        }
    };
    let mut differ = Vec::new();
    for member in hashes {
        match answers.expected.get(&member.compact_revision) {
            Some(Ok(own)) if own.hash == member.hash => {}
            Some(Ok(own)) => differ.push(format!(
                "{} has {:x}, the snapshot {:x}",
                member.member, member.hash, own.hash
            )),
            Some(Err(why)) => {
                judged.checks.push(Check::not_made(NAME, expected, why.to_string()));
                return;
            }
            None => {
                judged.checks.push(Check::not_made(
                    NAME,
                    expected,
                    "it was not computed from the snapshot",
                ));
                return;
            }
        }
    }
    let first = hashes[0].hash;
    let agree = hashes.iter().all(|member| member.hash == first);
    let observed = if differ.is_empty() {
        format!("{first:x} of {} of {}", hashes.len(), hashes.len())
    } else {
        differ.join("; ")
    };
    judged.checks.push(Check::made(NAME, expected, observed, differ.is_empty()).over(population));
    judged.agreed = Some(first).filter(|_| differ.is_empty() && agree);
    judged.findings.extend(differ.into_iter().map(|what| Finding {
        severity: Severity::Critical,
        code: "etcd.restored_differs".to_owned(),
        what,
        why: "the restored etcd does not hold what the snapshot holds".to_owned(),
        action: "do not put it into service: restore again, with other programs and on another machine".to_owned(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};

    fn member(member: &str, hash: u32) -> MemberHash {
        MemberHash { member: member.to_owned(), hash, compact_revision: -1, revision: 37 }
    }

    /// An etcd that answers as it should, of a snapshot with 28 keys.
    fn good() -> Answers {
        let own = HashKv { revision: 37, compact_revision: -1, hash: 7 };
        Answers {
            forward: Forward::NotAsked,
            hashes: Ok(vec![member("m1", 7), member("m2", 7)]),
            expected: BTreeMap::from([(-1, Ok(own))]),
            count: Ok(28),
            live_keys: Some(28),
            named: vec![("/registry/namespaces/payments".to_owned(), Ok(1))],
        }
    }

    /// HashKV, keys, and the named key.
    fn outcomes(answers: &Answers) -> Vec<Outcome> {
        let judged = judged(answers, 37, &str::to_owned);
        judged.checks.iter().map(|check| check.outcome).collect()
    }

    #[test]
    fn an_etcd_that_holds_what_the_snapshot_holds_passes() {
        assert_eq!(outcomes(&good()), [Passed; 3]);
        let judged = judged(&good(), 37, &str::to_owned);
        assert_eq!((judged.agreed, judged.findings.len()), (Some(7), 0));
    }

    #[test]
    fn every_check_can_fail() {
        let one = Answers { hashes: Ok(vec![member("m1", 7), member("m2", 8)]), ..good() };
        assert_eq!(outcomes(&one), [Failed, Passed, Passed]);
        let judged = judged(&one, 37, &str::to_owned);
        assert_eq!(judged.agreed, None);
        assert_eq!(judged.findings[0].code, "etcd.restored_differs");
        let fewer = Answers { count: Ok(27), ..good() };
        assert_eq!(outcomes(&fewer), [Passed, Failed, Passed]);
        let without = Answers { named: vec![("x".to_owned(), Ok(0))], ..good() };
        assert_eq!(outcomes(&without), [Passed, Passed, Failed]);
    }

    #[test]
    fn what_was_not_answered_or_is_empty_never_passes() {
        let down = || OutsideError::Failed("etcdctl: no".to_owned());
        let silent = Answers {
            hashes: Err(down()),
            count: Err(down()),
            named: vec![("x".to_owned(), Err(down()))],
            ..good()
        };
        assert_eq!(outcomes(&silent), [Inconclusive; 3]);
        let nobody = Answers { hashes: Ok(Vec::new()), ..good() };
        assert_eq!(outcomes(&nobody)[0], Inconclusive);
        let empty = Answers { count: Ok(0), live_keys: Some(0), ..good() };
        assert_eq!(outcomes(&empty)[..2], [Inconclusive; 2]);
        let unknown = Answers { expected: BTreeMap::new(), ..good() };
        assert_eq!(outcomes(&unknown)[0], Inconclusive);
        let behind = BTreeMap::from([(-1, Err(NoHashKv::Compacted { compact_revision: 9 }))]);
        assert_eq!(outcomes(&Answers { expected: behind, ..good() })[0], Inconclusive);
    }

    #[test]
    fn a_refused_snapshot_fails_unless_it_reads_well_here() {
        let refused = Tried::Refused("Error: expected sha256".to_owned());
        let outcome = |part, sound| went(part, &refused, sound, None, &str::to_owned).outcome;
        assert_eq!(outcome(Part::Restoring, false), Failed);
        assert_eq!(outcome(Part::Restoring, true), Inconclusive);
        assert_eq!(outcome(Part::Starting, false), Failed);
        assert_eq!(outcome(Part::Starting, true), Failed);
        for part in [Part::Restoring, Part::Starting] {
            let done = went(part, &Tried::Done, true, Some("others"), &str::to_owned);
            assert_eq!(done.outcome, Passed);
        }
    }

    #[test]
    fn regression_a_member_of_another_version_that_does_not_start_says_nothing_of_the_snapshot() {
        let versions = "the programs are of etcd 3.6.4, the snapshot of cluster version 3.4.0";
        let refused = Tried::Refused("m1 ended: missing confstate information".to_owned());
        for sound in [true, false] {
            let check = went(Part::Starting, &refused, sound, Some(versions), &str::to_owned);
            assert_eq!(check.outcome, Inconclusive);
            let said = format!("{} {:?}", check.observed, check.note);
            assert!(said.contains(versions) && said.contains("confstate"), "{check:?}");
        }
        // A snapshot that is not sound, and that the program does not restore, is no matter of versions.
        let check = went(Part::Restoring, &refused, false, Some(versions), &str::to_owned);
        assert_eq!(check.outcome, Failed);
    }

    fn programs(knows_bump_revision: bool) -> TrialPrograms {
        let (version, tool) = ("3.4.23".to_owned(), "etcdctl".to_owned());
        TrialPrograms { version, tool, knows_bump_revision }
    }

    #[test]
    fn programs_without_bump_revision_are_a_finding() {
        let finding = about(&programs(false)).unwrap();
        assert_eq!(finding.code, "etcd.no_bump_revision");
        assert!(
            finding.what.starts_with("etcdctl beside etcd 3.4.23 does not know --bump-revision")
        );
        assert_eq!(about(&programs(true)), None);
    }

    /// The same etcd, moved forward by 1000, whose members answer so.
    fn forward(members: [MemberHash; 2]) -> Answers {
        let own = HashKv { revision: 1037, compact_revision: 1037, hash: 9 };
        Answers {
            forward: Forward::of(Some(1000), &programs(true), 37),
            hashes: Ok(members.into()),
            expected: BTreeMap::from([(1037, Ok(own))]),
            ..good()
        }
    }

    fn at(member: &str, revision: i64, compact_revision: i64, hash: u32) -> MemberHash {
        MemberHash { member: member.to_owned(), hash, compact_revision, revision }
    }

    /// Moved forward, history compacted, HashKV.
    fn three(answers: &Answers) -> Vec<Outcome> {
        outcomes(answers)[..3].to_vec()
    }

    #[test]
    fn members_that_were_moved_forward_are_compared_with_what_a_compaction_leaves() {
        let good = || at("m1", 1037, 1037, 9);
        assert_eq!(outcomes(&forward([good(), at("m2", 1037, 1037, 9)])), [Passed; 5]);
        // A lease has run out, and a member was asked for the hash before that.
        assert_eq!(three(&forward([good(), at("m2", 1038, 1037, 9)])), [Passed; 3]);
        assert_eq!(three(&forward([good(), at("m2", 1037, 1037, 8)])), [Passed, Passed, Failed]);
        let elsewhere = [Failed, Failed, Inconclusive];
        assert_eq!(three(&forward([good(), at("m2", 37, -1, 7)])), elsewhere);
        assert_eq!(three(&forward([good(), at("m2", 2037, 2037, 9)])), elsewhere);
        let unmarked = [Passed, Failed, Inconclusive];
        assert_eq!(three(&forward([good(), at("m2", 1037, -1, 9)])), unmarked);
    }

    #[test]
    fn what_the_programs_cannot_do_or_no_member_tells_is_not_proven() {
        let silent = Answers {
            hashes: Err(OutsideError::Failed("etcdctl: no".to_owned())),
            ..forward([at("m1", 1037, 1037, 9), at("m2", 1037, 1037, 9)])
        };
        assert_eq!(three(&silent), [Inconclusive; 3]);
        assert_eq!(three(&Answers { hashes: Ok(Vec::new()), ..silent }), [Inconclusive; 3]);
        let old = Forward::of(Some(1000), &programs(false), 37);
        let restored_as_it_is = Answers { forward: old, ..good() };
        assert_eq!(three(&restored_as_it_is), [Inconclusive, Inconclusive, Passed]);
    }
}
