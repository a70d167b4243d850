//! What the answers of members mean. `HashKV` is made to be equal between versions of etcd: what newer ones keep and older ones
//! do not (a deletion right at the compaction) is left out of it by both
//! (<https://github.com/etcd-io/etcd/blob/main/server/storage/mvcc/hash.go>). So members of different versions are compared as
//! others are, and versions are named.

use crate::formats::etcd_snapshot::{ClusterFacts, HashKv, HexId, NoHashKv};
use crate::journal::Check;
use crate::outside::etcd::{EtcdHash, EtcdListed, EtcdStatus};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const EVERY_MEMBER: &str = "every member";
pub(super) const ONE_CLUSTER: &str = "one cluster";
pub(super) const SAME_DATA: &str = "same data";
pub(super) const RECORDED: &str = "recorded members";
pub(super) const BACKUP: &str = "backup";

/// A member that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) endpoint: String,
    pub(super) status: EtcdStatus,
}

/// An endpoint that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) endpoint: String,
    pub(super) why: String,
}

/// What a member said when it was asked for its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hashed {
    Hash(EtcdHash),
    /// History before a later revision, or up to this one, is gone there.
    Compacted,
    /// It is behind that revision.
    Future,
    Unknown(String),
}

impl Hashed {
    pub(super) fn hash(&self) -> Option<EtcdHash> {
        match self {
            Self::Hash(hash) => Some(*hash),
            _ => None,
        }
    }
}

/// All voting members that answered, asked for the hash at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) revision: i64,
    pub(super) answers: Vec<(Answered, Hashed)>,
}

impl Round {
    /// False while asking again may tell more: a compaction was under way, or some are behind.
    pub(super) fn is_settled(&self) -> bool {
        let compactions: BTreeSet<_> = self.hashes().map(|hash| hash.compact_revision).collect();
        let refused: BTreeSet<_> =
            self.answers.iter().map(|(_, hashed)| hashed.hash().is_none()).collect();
        compactions.len() <= 1 && refused.len() <= 1
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = EtcdHash> + '_ {
        self.answers.iter().filter_map(|(_, hashed)| hashed.hash())
    }

    pub(super) fn hash_of(&self, member: u64) -> Option<EtcdHash> {
        let found = self.answers.iter().find(|(answered, _)| answered.status.member == member);
        found.and_then(|(_, hashed)| hashed.hash())
    }
}

/// The names of members, from what they list.
pub(super) struct Names<'l>(pub(super) &'l [EtcdListed]);

impl Names<'_> {
    pub(super) fn of(&self, member: u64) -> String {
        let listed = self.0.iter().find(|listed| listed.member == member);
        match listed {
            Some(listed) if !listed.name.is_empty() => listed.name.clone(),
            _ => HexId(member).to_string(),
        }
    }

    pub(super) fn all(&self, members: impl IntoIterator<Item = u64>) -> String {
        let names: Vec<String> = members.into_iter().map(|member| self.of(member)).collect();
        names.join(", ")
    }

    fn voting(&self) -> impl Iterator<Item = &EtcdListed> {
        self.0.iter().filter(|listed| !listed.learner)
    }

    pub(super) fn votes(&self) -> usize {
        self.voting().count()
    }
}

/// Whether every voting member that the cluster lists has answered, and every endpoint that was named.
pub(super) fn every_member(
    answered: &[Answered],
    silent: &[Silent],
    listed: &Result<Vec<EtcdListed>, String>,
) -> Check {
    const EXPECTED: &str = "an answer of each that the cluster lists";
    let listed = match listed {
        Ok(listed) => listed,
        Err(why) => {
            let reasons = silent.iter().map(|s| format!("{}: {}", s.endpoint, s.why));
            let why = std::iter::once(why.clone()).chain(reasons).collect::<Vec<_>>().join("; ");
            return Check::not_made(EVERY_MEMBER, EXPECTED, why);
        }
    };
    let names = Names(listed);
    let has_answered =
        |member: u64| answered.iter().any(|answered| answered.status.member == member);
    let mut missing: Vec<String> = Vec::new();
    for member in names.voting().filter(|listed| !has_answered(listed.member)) {
        let at = silent.iter().find(|s| member.client_urls.contains(&s.endpoint));
        let why = at.map_or_else(
            || "was not asked at any endpoint that answered".to_owned(),
            |s| s.why.clone(),
        );
        missing.push(format!("{}: {why}", names.of(member.member)));
    }
    let is_listed =
        |s: &&Silent| listed.iter().any(|listed| listed.client_urls.contains(&s.endpoint));
    missing.extend(
        silent.iter().filter(|s| !is_listed(s)).map(|s| format!("{}: {}", s.endpoint, s.why)),
    );
    if !missing.is_empty() {
        return Check::not_made(EVERY_MEMBER, EXPECTED, missing.join("; "));
    }
    let votes = names.votes();
    let said = |a: &Answered| format!("{} ({})", names.of(a.status.member), a.status.version);
    let who: Vec<String> = answered.iter().map(said).collect();
    let learners = listed.len() - votes;
    let observed = match learners {
        0 => who.join(", "),
        _ => format!("{}; {learners} without a vote, which tell no hash", who.join(", ")),
    };
    Check::made(EVERY_MEMBER, EXPECTED, observed, true).over(votes as u64)
}

/// Whether all that answered are members of one cluster, and of that which was named.
pub(super) fn one_cluster(answered: &[Answered], named: Option<u64>) -> Check {
    let expected = named.map_or_else(|| "one number of all".to_owned(), |id| HexId(id).to_string());
    let ids: BTreeSet<u64> = answered.iter().map(|answered| answered.status.cluster).collect();
    if ids.is_empty() {
        return Check::not_made(ONE_CLUSTER, expected, "no member answered");
    }
    let holds = ids.len() == 1 && named.is_none_or(|named| ids.contains(&named));
    let of = |id: &u64| {
        let those = answered.iter().filter(|answered| answered.status.cluster == *id);
        let those: Vec<&str> = those.map(|answered| answered.endpoint.as_str()).collect();
        format!("{} ({})", HexId(*id), those.join(", "))
    };
    let observed: Vec<String> = ids.iter().map(of).collect();
    Check::made(ONE_CLUSTER, expected, observed.join("; "), holds)
}

/// Members whose hash is not that of most of those with the same compaction; all of them where there is no majority.
pub(super) fn differing(round: &Round) -> Vec<u64> {
    let mut groups: BTreeMap<i64, BTreeMap<u32, Vec<u64>>> = BTreeMap::new();
    for (answered, hashed) in &round.answers {
        if let Some(hash) = hashed.hash() {
            let group = groups.entry(hash.compact_revision).or_default();
            group.entry(hash.hash).or_default().push(answered.status.member);
        }
    }
    let mut differing = Vec::new();
    for group in groups.into_values().filter(|group| group.len() > 1) {
        let all: usize = group.values().map(Vec::len).sum();
        let most = group.iter().find(|(_, members)| members.len() * 2 > all).map(|(hash, _)| *hash);
        let others = group.into_iter().filter(|(hash, _)| Some(*hash) != most);
        differing.extend(others.flat_map(|(_, members)| members));
    }
    differing.sort_unstable();
    differing
}

/// Whether every voting member stores the same. A cluster of one has nobody to be compared with.
pub(super) fn same_data(round: &Round, names: &Names<'_>) -> Check {
    let expected = format!("one hash of all at revision {}", round.revision);
    let differing = differing(round);
    if !differing.is_empty() {
        return Check::made(SAME_DATA, expected, hashes(round, names), false);
    }
    let unclear: Vec<String> = round
        .answers
        .iter()
        .filter_map(|(answered, hashed)| {
            Some(format!("{}: {}", names.of(answered.status.member), why(hashed)?))
        })
        .collect();
    let compactions: BTreeSet<i64> = round.hashes().map(|hash| hash.compact_revision).collect();
    let count = round.hashes().count();
    if !unclear.is_empty() {
        Check::not_made(SAME_DATA, expected, unclear.join("; "))
    } else if compactions.len() > 1 {
        let why =
            format!("compacted up to different revisions, also when asked again: {compactions:?}");
        Check::not_made(SAME_DATA, expected, why)
    } else if count < names.votes() {
        let why = format!("{count} of {} voting members told a hash", names.votes());
        Check::not_made(SAME_DATA, expected, why)
    } else if count < 2 {
        Check::not_made(SAME_DATA, expected, "there is one member: nothing to compare it with")
    } else {
        Check::made(SAME_DATA, expected, hashes(round, names), true).over(count as u64)
    }
}

fn why(hashed: &Hashed) -> Option<String> {
    match hashed {
        Hashed::Hash(_) => None,
        Hashed::Compacted => Some("has compacted that revision".to_owned()),
        Hashed::Future => Some("is still behind that revision".to_owned()),
        Hashed::Unknown(why) => Some(why.clone()),
    }
}

/// `n1, n2: 3924699373; n3: 17`
pub(super) fn hashes(round: &Round, names: &Names<'_>) -> String {
    let mut by_hash: BTreeMap<(i64, u32), Vec<u64>> = BTreeMap::new();
    for (answered, hashed) in &round.answers {
        if let Some(hash) = hashed.hash() {
            by_hash
                .entry((hash.compact_revision, hash.hash))
                .or_default()
                .push(answered.status.member);
        }
    }
    let said =
        by_hash.into_iter().map(|((_, hash), members)| format!("{}: {hash}", names.all(members)));
    said.collect::<Vec<_>>().join("; ")
}

/// Whether the members are those that the snapshot records.
pub(super) fn recorded(facts: Option<&ClusterFacts>, listed: &[EtcdListed]) -> Check {
    let Some(facts) = facts.filter(|facts| !facts.members.is_empty()) else {
        return Check::not_made(
            RECORDED,
            "those of the snapshot",
            "the snapshot records no members that can be read",
        );
    };
    let then: BTreeSet<u64> = facts.members.iter().map(|member| member.id.0).collect();
    let now: BTreeSet<u64> = listed.iter().map(|listed| listed.member).collect();
    let shown = |ids: &BTreeSet<u64>| {
        let ids: Vec<String> = ids.iter().map(|id| HexId(*id).to_string()).collect();
        ids.join(", ")
    };
    let (expected, observed) = (shown(&then), shown(&now));
    if then == now {
        Check::made(RECORDED, expected, observed, true).over(now.len() as u64)
    } else if now.is_empty() {
        Check::not_made(RECORDED, expected, "no member told who belongs to the cluster")
    } else if then.is_disjoint(&now) {
        Check::made(RECORDED, expected, observed, false)
            .note("a snapshot of another cluster, or from before this one was restored")
    } else {
        let why = format!("members were replaced since the snapshot was taken; now: {observed}");
        Check::not_made(RECORDED, expected, why)
    }
}

/// Whether the snapshot holds what most members hold at its revision. `of_snapshot` is its hash for each compaction.
pub(super) fn backup(
    round: &Round,
    of_snapshot: &BTreeMap<i64, Result<HashKv, NoHashKv>>,
    names: &Names<'_>,
) -> Check {
    let expected = format!("the hash of the members at revision {}, its last", round.revision);
    let (mut same, mut different, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
    for (answered, hashed) in &round.answers {
        let member = answered.status.member;
        match hashed {
            Hashed::Hash(hash) => match of_snapshot.get(&hash.compact_revision) {
                Some(Ok(own)) if own.hash == hash.hash => same.push(member),
                Some(Ok(_)) => different.push(member),
                Some(Err(why)) => unclear.push(format!("{}: {why}", names.of(member))),
                None => unclear.push(format!("{}: not computed", names.of(member))),
            },
            // The cluster has never come as far as its backup.
            Hashed::Future => different.push(member),
            Hashed::Compacted => unclear.push(format!(
                "{} has compacted that revision: compare within minutes after the backup (an API server of Kubernetes lets \
                 compact every five)",
                names.of(member)
            )),
            Hashed::Unknown(why) => unclear.push(format!("{}: {why}", names.of(member))),
        }
    }
    let mut observed = Vec::new();
    if !same.is_empty() {
        observed.push(format!("as {}", names.all(same.iter().copied())));
    }
    if !different.is_empty() {
        observed.push(format!("not as {}{}", names.all(different.iter().copied()), behind(round)));
    }
    let observed = observed.join("; ");
    let votes = names.votes();
    if same.len() * 2 > votes {
        Check::made(BACKUP, expected, observed, true).over(same.len() as u64)
    } else if different.len() * 2 > votes {
        Check::made(BACKUP, expected, observed, false)
    } else {
        let unclear = if unclear.is_empty() {
            "no majority of the members agrees".to_owned()
        } else {
            unclear.join("; ")
        };
        let why = if observed.is_empty() { unclear } else { format!("{observed}; {unclear}") };
        Check::not_made(BACKUP, expected, why)
    }
}

fn behind(round: &Round) -> String {
    let all = round.answers.iter().all(|(_, hashed)| *hashed == Hashed::Future);
    let last = round.answers.iter().map(|(answered, _)| answered.status.revision).max();
    match last {
        Some(last) if all => format!(", which are at revision {last}, before it"),
        _ => String::new(),
    }
}

/// Whether a snapshot that was just taken is what its member stores.
pub(super) fn same_as_member(
    revision: i64,
    here: &Result<HashKv, NoHashKv>,
    there: &Hashed,
) -> Check {
    const NAME: &str = "as the member";
    let expected = format!("the hash of the member at revision {revision}");
    match (here, there) {
        (Ok(here), Hashed::Hash(there)) if here.compact_revision == there.compact_revision => {
            let observed = format!("{}; the member: {}", here.hash, there.hash);
            Check::made(NAME, expected, observed, here.hash == there.hash)
        }
        (Err(why), _) => Check::not_made(NAME, expected, why.to_string()),
        (_, there) => {
            let compacted = || "the member has compacted history meanwhile".to_owned();
            Check::not_made(NAME, expected, why(there).unwrap_or_else(compacted))
        }
    }
}
