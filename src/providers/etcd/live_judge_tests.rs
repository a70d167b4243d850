use super::live_findings::findings;
use super::live_judge::*;
use crate::formats::etcd_snapshot::{ClusterFacts, HashKv, HexId, Member, NoHashKv};
use crate::journal::Outcome::{self, Failed, Inconclusive, Passed};
use crate::outside::etcd::{EtcdHash, EtcdListed, EtcdStatus};
use std::collections::BTreeMap;

fn listed(members: &[u64]) -> Vec<EtcdListed> {
    let of = |member: &u64| EtcdListed {
        member: *member,
        name: format!("n{member}"),
        client_urls: vec![format!("http://n{member}:2379")],
        learner: false,
    };
    members.iter().map(of).collect()
}

fn answered(member: u64) -> Answered {
    let status = EtcdStatus {
        cluster: 5,
        member,
        revision: 37,
        version: "3.5.9".into(),
        ..EtcdStatus::default()
    };
    Answered { endpoint: format!("http://n{member}:2379"), status }
}

fn hash(hash: u32) -> Hashed {
    compacted(hash, -1)
}

fn compacted(hash: u32, compact_revision: i64) -> Hashed {
    Hashed::Hash(EtcdHash { member_revision: 37, compact_revision, hash })
}

/// Members 1, 2, … with these answers.
fn round(answers: Vec<Hashed>) -> Round {
    let answers = (1..).zip(answers).map(|(member, hashed)| (answered(member), hashed));
    Round { revision: 37, answers: answers.collect() }
}

fn judged(answers: Vec<Hashed>, members: &[u64]) -> (Outcome, Vec<u64>) {
    let (round, listed) = (round(answers), listed(members));
    (same_data(&round, &Names(&listed)).outcome, differing(&round))
}

#[test]
fn members_with_one_hash_agree_and_one_that_differs_is_named() {
    assert_eq!(judged(vec![hash(7), hash(7), hash(7)], &[1, 2, 3]), (Passed, vec![]));
    assert_eq!(judged(vec![hash(7), hash(8), hash(7)], &[1, 2, 3]), (Failed, vec![2]));
    let (round, listed) = (round(vec![hash(7), hash(8), hash(7)]), listed(&[1, 2, 3]));
    let check = same_data(&round, &Names(&listed));
    assert_eq!(check.observed, "n1, n3: 7; n2: 8");
    let findings = findings(&[], Some(&round), &Names(&listed));
    assert_eq!(findings[0].code, "etcd.members_differ");
    assert!(findings[0].what.starts_with("n2 stores other data"), "{}", findings[0].what);
}

#[test]
fn without_a_majority_nobody_is_called_right() {
    assert_eq!(judged(vec![hash(7), hash(8)], &[1, 2]), (Failed, vec![1, 2]));
    let three = vec![hash(7), hash(8), hash(9)];
    assert_eq!(judged(three.clone(), &[1, 2, 3]), (Failed, vec![1, 2, 3]));
    let (round, listed) = (round(three), listed(&[1, 2, 3]));
    let findings = findings(&[], Some(&round), &Names(&listed));
    assert!(findings[0].what.contains("no majority"), "{}", findings[0].what);
}

#[test]
fn a_member_that_told_no_hash_is_never_among_those_that_agree() {
    for silent in [Hashed::Compacted, Hashed::Future, Hashed::Unknown("gone".into())] {
        assert_eq!(judged(vec![hash(7), hash(7), silent], &[1, 2, 3]), (Inconclusive, vec![]));
    }
    assert_eq!(judged(vec![hash(7), hash(7)], &[1, 2, 3]).0, Inconclusive);
    assert_eq!(judged(vec![], &[1, 2, 3]).0, Inconclusive);
    assert_eq!(judged(vec![], &[]).0, Inconclusive);
    // What two say is wrong, whatever a third would have said.
    let unknown = Hashed::Unknown("gone".into());
    assert_eq!(judged(vec![hash(7), hash(8), unknown], &[1, 2, 3]).0, Failed);
}

#[test]
fn a_cluster_of_one_agrees_with_nobody() {
    assert_eq!(judged(vec![hash(7)], &[1]).0, Inconclusive);
}

#[test]
fn hashes_of_different_compactions_are_not_compared() {
    let under_way = vec![compacted(7, 10), compacted(8, 20), compacted(8, 20)];
    assert!(!round(under_way.clone()).is_settled());
    assert_eq!(judged(under_way, &[1, 2, 3]), (Inconclusive, vec![]));
    let wrong = vec![compacted(7, 10), compacted(8, 20), compacted(9, 20)];
    assert_eq!(judged(wrong, &[1, 2, 3]), (Failed, vec![2, 3]));
    assert!(round(vec![hash(7), hash(8)]).is_settled());
    assert!(!round(vec![hash(7), Hashed::Future]).is_settled());
    assert!(round(vec![Hashed::Compacted, Hashed::Compacted]).is_settled());
}

fn silent(member: u64) -> Silent {
    Silent { endpoint: format!("http://n{member}:2379"), why: "no route".into() }
}

#[test]
fn every_voting_member_must_have_answered() {
    let all = Ok(listed(&[1, 2]));
    let check = every_member(&[answered(1), answered(2)], &[], &all);
    assert_eq!((check.outcome, check.population), (Passed, Some(2)));
    assert_eq!(check.observed, "n1 (3.5.9), n2 (3.5.9)");
    let check = every_member(&[answered(1)], &[silent(2)], &all);
    assert_eq!((check.outcome, check.note.as_deref()), (Inconclusive, Some("n2: no route")));
    let check = every_member(&[answered(1)], &[], &all);
    assert!(check.outcome == Inconclusive && check.note.unwrap().starts_with("n2: was not asked"));
    // An endpoint that was named and is no member that is known.
    let check = every_member(&[answered(1), answered(2)], &[silent(9)], &all);
    assert!(
        check.outcome == Inconclusive && check.note.unwrap().contains("http://n9:2379: no route")
    );
    let check = every_member(&[], &[silent(1)], &Err("no member answered".into()));
    assert_eq!(check.outcome, Inconclusive);
}

#[test]
fn learners_need_not_answer_and_a_cluster_of_learners_proves_nothing() {
    let mut all = listed(&[1, 2]);
    all[1].learner = true;
    let check = every_member(&[answered(1)], &[], &Ok(all.clone()));
    assert!(check.outcome == Passed && check.observed.contains("1 without a vote"), "{check:?}");
    all[0].learner = true;
    assert_eq!(every_member(&[answered(1)], &[], &Ok(all)).outcome, Inconclusive);
}

#[test]
fn members_of_two_clusters_or_of_another_one_are_found() {
    let mut stranger = answered(2);
    stranger.status.cluster = 6;
    assert_eq!(one_cluster(&[answered(1)], None).outcome, Passed);
    assert_eq!(one_cluster(&[answered(1)], Some(5)).outcome, Passed);
    assert_eq!(one_cluster(&[answered(1)], Some(6)).outcome, Failed);
    let check = one_cluster(&[answered(1), stranger], None);
    assert_eq!(check.outcome, Failed);
    assert_eq!(check.observed, "5 (http://n1:2379); 6 (http://n2:2379)");
    assert_eq!(one_cluster(&[], Some(5)).outcome, Inconclusive);
}

fn facts(members: &[u64]) -> ClusterFacts {
    let of = |id: &u64| Member {
        id: HexId(*id),
        name: String::new(),
        peer_urls: Vec::new(),
        learner: false,
    };
    ClusterFacts { members: members.iter().map(of).collect(), ..ClusterFacts::default() }
}

#[test]
fn a_backup_of_another_cluster_is_found_and_a_replaced_member_is_said() {
    let of = |then: &[u64], now: &[u64]| recorded(Some(&facts(then)), &listed(now)).outcome;
    assert_eq!(of(&[1, 2], &[1, 2]), Passed);
    assert_eq!(of(&[1, 2], &[1, 3]), Inconclusive);
    assert_eq!(of(&[1, 2], &[3, 4]), Failed);
    assert_eq!(of(&[1, 2], &[]), Inconclusive);
    assert_eq!(of(&[], &[1]), Inconclusive);
    assert_eq!(recorded(None, &listed(&[1])).outcome, Inconclusive);
}

fn own(hash: u32) -> BTreeMap<i64, Result<HashKv, NoHashKv>> {
    BTreeMap::from([(-1, Ok(HashKv { revision: 37, compact_revision: -1, hash }))])
}

fn compared(answers: Vec<Hashed>, own: &BTreeMap<i64, Result<HashKv, NoHashKv>>) -> Outcome {
    backup(&round(answers), own, &Names(&listed(&[1, 2, 3]))).outcome
}

#[test]
fn a_backup_is_what_most_members_hold_or_it_is_not() {
    assert_eq!(compared(vec![hash(7), hash(7), hash(7)], &own(7)), Passed);
    assert_eq!(compared(vec![hash(7), hash(7), hash(8)], &own(7)), Passed);
    assert_eq!(compared(vec![hash(7), hash(7), hash(8)], &own(8)), Failed);
    assert_eq!(compared(vec![hash(7), hash(7), hash(7)], &own(8)), Failed);
    assert_eq!(compared(vec![hash(7), hash(8), hash(9)], &own(7)), Failed);
}

#[test]
fn a_backup_whose_revision_is_compacted_is_neither_right_nor_wrong() {
    let gone = vec![Hashed::Compacted, Hashed::Compacted, Hashed::Compacted];
    let check = backup(&round(gone.clone()), &own(7), &Names(&listed(&[1, 2, 3])));
    assert_eq!(check.outcome, Inconclusive);
    assert!(check.note.unwrap().contains("within minutes"), "says what to do");
    let some = vec![hash(7), Hashed::Compacted, Hashed::Unknown("no route".into())];
    assert_eq!(compared(some, &own(7)), Inconclusive, "one of three is no majority");
    assert_eq!(compared(vec![], &own(7)), Inconclusive);
    let damaged = BTreeMap::from([(-1, Err(NoHashKv::Damaged))]);
    assert_eq!(compared(vec![hash(7), hash(7), hash(7)], &damaged), Inconclusive);
    assert_eq!(compared(vec![hash(7), hash(7), hash(7)], &BTreeMap::new()), Inconclusive);
}

#[test]
fn a_cluster_that_never_came_as_far_as_its_backup_is_not_the_backup() {
    let behind = vec![Hashed::Future, Hashed::Future, Hashed::Future];
    let check = backup(&round(behind), &own(7), &Names(&listed(&[1, 2, 3])));
    assert_eq!(check.outcome, Failed);
    assert!(check.observed.contains("are at revision 37"), "{}", check.observed);
}

#[test]
fn alarms_of_members_become_findings() {
    let mut member = answered(1);
    member.status.errors = vec!["memberID:1 alarm:CORRUPT".into(), "alarm:NOSPACE".into()];
    let listed = listed(&[1]);
    let findings = findings(&[member], None, &Names(&listed));
    let codes: Vec<_> = findings.iter().map(|f| (f.code.as_str(), f.severity)).collect();
    use crate::journal::Severity::{Critical, Serious};
    assert_eq!(codes, [("etcd.member_reports", Critical), ("etcd.member_reports", Serious)]);
}

#[test]
fn a_snapshot_is_what_its_member_stores_or_nobody_knows() {
    let here = HashKv { revision: 37, compact_revision: -1, hash: 7 };
    let of = |there| same_as_member(37, &Ok(here), &there).outcome;
    assert_eq!(of(hash(7)), Passed);
    assert_eq!(of(hash(8)), Failed);
    assert_eq!(of(compacted(7, 10)), Inconclusive);
    assert_eq!(of(Hashed::Unknown("gone".into())), Inconclusive);
    let damaged = same_as_member(37, &Err(NoHashKv::Damaged), &hash(7));
    assert_eq!(damaged.outcome, Inconclusive);
}
