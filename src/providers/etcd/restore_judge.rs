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
    /// or of the program.
    pub(super) fn proves_nothing(self, sound: bool) -> bool {
        sound && self == Self::Restoring
    }
}

/// What was answered, and what is known of the snapshot.
#[derive(Debug)]
pub(super) struct Answers {
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

/// How a part went.
pub(super) fn went(part: Part, tried: &Tried, sound: bool, shown: Shown<'_>) -> Check {
    let (name, expected) = (part.name(), part.expected());
    match tried {
        Tried::Done => Check::made(name, expected, expected, true),
        Tried::Refused(said) if part.proves_nothing(sound) => {
            Check::not_made(name, expected, shown(said))
        }
        Tried::Refused(said) => Check::made(name, expected, shown(said), false),
    }
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
        what: format!(
            "{} beside etcd {} does not know --bump-revision and --mark-compacted",
            programs.tool, programs.version
        ),
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

fn hash(answers: &Answers, revision: i64, population: u64, shown: Shown<'_>, judged: &mut Judged) {
    const NAME: &str = "HashKV";
    let expected = format!("that of the snapshot at revision {revision}");
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
        let outcome = |part, sound| went(part, &refused, sound, &str::to_owned).outcome;
        assert_eq!(outcome(Part::Restoring, false), Failed);
        assert_eq!(outcome(Part::Restoring, true), Inconclusive);
        assert_eq!(outcome(Part::Starting, false), Failed);
        assert_eq!(outcome(Part::Starting, true), Failed);
        for part in [Part::Restoring, Part::Starting] {
            assert_eq!(went(part, &Tried::Done, true, &str::to_owned).outcome, Passed);
        }
    }

    #[test]
    fn programs_without_bump_revision_are_a_finding() {
        let programs = TrialPrograms {
            version: "3.4.23".to_owned(),
            tool: "etcdctl".to_owned(),
            knows_bump_revision: false,
        };
        assert_eq!(about(&programs).unwrap().code, "etcd.no_bump_revision");
        assert_eq!(about(&TrialPrograms { knows_bump_revision: true, ..programs }), None);
    }
}
