use super::listing::{KeyHistory, Version};
use crate::ids::Digest;
use chrono::{DateTime, Utc};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// How many versions that look missing, and how many whose content may differ, are looked at again one by one.
pub(super) const LOOKED_AT_AGAIN: usize = 1000;

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) version: Version,
}

/// Which side of the merge is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The key is at the source only.
    Source,
    /// The key is on both sides.
    Both,
    /// The key is at the replica only.
    Replica,
}

/// Decides by the order of the keys' UTF-8 bytes, in which S3 lists (API reference, `ListObjectVersions`). `None` at the end.
pub(super) fn turn(source: Option<&KeyHistory>, replica: Option<&KeyHistory>) -> Option<Turn> {
    Some(match (source, replica) {
        (None, None) => return None,
        (Some(_), None) => Turn::Source,
        (None, Some(_)) => Turn::Replica,
        (Some(ours), Some(theirs)) => match ours.key.cmp(&theirs.key) {
            Ordering::Less => Turn::Source,
            Ordering::Equal => Turn::Both,
            Ordering::Greater => Turn::Replica,
        },
    })
}

/// What the comparison of two listings has shown so far. Needs the same memory however large the buckets are.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Versions written later than this may still be on their way (UTC).
    pub(super) on_their_way_after: DateTime<Utc>,
    /// Versions at the source.
    pub(super) versions: u64,
    /// Those of them that are old enough that they must be at the replica.
    pub(super) due: u64,
    /// Those that both listings describe alike.
    pub(super) same: u64,
    /// Not at the replica.
    pub(super) absent: Oldest,
    /// On both sides, but with another size.
    pub(super) differing: Vec<Seen>,
    /// How many differ in size, those not listed included.
    pub(super) differing_count: u64,
    /// When the oldest of these was written (UTC).
    pub(super) oldest_differing: Option<DateTime<Utc>>,
    /// On both sides with the same size and another ETag: only a closer look can tell.
    pub(super) doubtful: Oldest,
    /// Versions at the replica only.
    pub(super) extra: u64,
    /// Delete markers at the source.
    pub(super) markers: u64,
    /// Delete markers of the source that are not at the replica.
    pub(super) markers_absent: u64,
    /// When the newest version that is the same on both sides was written (UTC).
    pub(super) newest_same: Option<DateTime<Utc>>,
    /// What is looked at closely, chosen by the seed.
    pub(super) sample: Sample,
}

impl Comparison {
    /// Nothing compared yet.
    pub(super) fn new(on_their_way_after: DateTime<Utc>, sample: Sample) -> Self {
        Self {
            on_their_way_after,
            versions: 0,
            due: 0,
            same: 0,
            absent: Oldest::new(LOOKED_AT_AGAIN, on_their_way_after),
            differing: Vec::new(),
            differing_count: 0,
            oldest_differing: None,
            doubtful: Oldest::new(LOOKED_AT_AGAIN, on_their_way_after),
            extra: 0,
            markers: 0,
            markers_absent: 0,
            newest_same: None,
            sample,
        }
    }

    /// Compares what both sides hold of one key; an absent side holds nothing.
    pub(super) fn compare(&mut self, source: Option<&KeyHistory>, replica: Option<&KeyHistory>) {
        let copies: BTreeMap<&str, &Version> = replica
            .into_iter()
            .flat_map(|history| &history.versions)
            .map(|version| (version.id.as_str(), version))
            .collect();
        let copied_markers: BTreeSet<&str> =
            replica.into_iter().flat_map(|history| &history.markers).map(String::as_str).collect();
        let mut found: u64 = 0;
        if let Some(history) = source {
            for version in &history.versions {
                let copy = copies.get(version.id.as_str()).copied();
                found += u64::from(copy.is_some());
                self.compare_version(&history.key, version, copy);
            }
            for marker in &history.markers {
                self.markers += 1;
                self.markers_absent += u64::from(!copied_markers.contains(marker.as_str()));
            }
        }
        self.extra += copies.len() as u64 - found;
    }

    fn compare_version(&mut self, key: &str, version: &Version, copy: Option<&Version>) {
        self.versions += 1;
        self.due += u64::from(version.modified <= self.on_their_way_after);
        let seen = || Seen { key: key.to_owned(), version: version.clone() };
        match copy {
            None => self.absent.add(seen()),
            Some(copy) if copy.size != version.size => self.add_differing(seen()),
            Some(copy) if copy.etag != version.etag || copy.etag.is_empty() => {
                self.doubtful.add(seen());
            }
            Some(_) => self.add_same(seen()),
        }
    }

    /// The version is the same on both sides, by its listing or after a closer look.
    pub(super) fn add_same(&mut self, seen: Seen) {
        self.same += 1;
        self.newest_same = self.newest_same.max(Some(seen.version.modified));
        self.sample.offer(seen);
    }

    /// The content differs.
    pub(super) fn add_differing(&mut self, seen: Seen) {
        let modified = seen.version.modified;
        self.differing_count += 1;
        self.oldest_differing =
            Some(self.oldest_differing.map_or(modified, |old| old.min(modified)));
        if self.differing.len() < LOOKED_AT_AGAIN {
            self.differing.push(seen);
        }
    }
}

/// The oldest of many versions; of the others only how many there are.
#[derive(Debug)]
pub(super) struct Oldest {
    limit: usize,
    on_their_way_after: DateTime<Utc>,
    kept: BTreeMap<(DateTime<Utc>, String, String), Version>,
    /// How many more there are, written before the limit of what may be on its way.
    pub(super) more_due: u64,
    /// How many more there are, written after it.
    pub(super) more_young: u64,
}

impl Oldest {
    fn new(limit: usize, on_their_way_after: DateTime<Utc>) -> Self {
        Self { limit, on_their_way_after, kept: BTreeMap::new(), more_due: 0, more_young: 0 }
    }

    fn add(&mut self, seen: Seen) {
        let Seen { key, version } = seen;
        self.kept.insert((version.modified, key, version.id.clone()), version);
        if self.kept.len() > self.limit
            && let Some(((modified, _, _), _)) = self.kept.pop_last()
        {
            if modified <= self.on_their_way_after {
                self.more_due += 1;
            } else {
                self.more_young += 1;
            }
        }
    }

    /// Takes out those that were kept, oldest first.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().map(|((_, key, _), version)| Seen { key, version }).collect()
    }
}

/// Chooses some of many by the seed alone: the same ones whatever order they come in.
#[derive(Debug)]
pub(super) struct Sample {
    size: usize,
    seed: u64,
    chosen: BTreeMap<Digest, Seen>,
}

impl Sample {
    /// A sample of at most `size`.
    pub(super) fn new(size: usize, seed: u64) -> Self {
        Self { size, seed, chosen: BTreeMap::new() }
    }

    fn offer(&mut self, seen: Seen) {
        let drawn = format!("{}\0{}\0{}", self.seed, seen.key, seen.version.id);
        self.chosen.insert(Digest::of(drawn.as_bytes()), seen);
        if self.chosen.len() > self.size {
            self.chosen.pop_last();
        }
    }

    /// Takes out the chosen ones.
    pub(super) fn take(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.chosen).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000 + seconds, 0).unwrap()
    }

    fn version(id: &str, seconds: i64, size: u64, etag: &str) -> Version {
        Version { id: id.into(), modified: time(seconds), size, etag: etag.into() }
    }

    fn history(key: &str, versions: Vec<Version>, markers: &[&str]) -> KeyHistory {
        let markers = markers.iter().map(|id| (*id).to_owned()).collect();
        KeyHistory { key: key.into(), versions, markers }
    }

    fn comparison() -> Comparison {
        Comparison::new(time(100), Sample::new(5, 1))
    }

    #[test]
    fn versions_are_told_apart_by_id_size_and_etag() {
        let ours = history(
            "k",
            vec![
                version("same", 1, 5, "e"),
                version("cut", 2, 5, "e"),
                version("parts", 3, 5, "e-2"),
                version("gone", 4, 5, "e"),
                version("young", 200, 5, "e"),
            ],
            &["m1", "m2"],
        );
        let theirs = history(
            "k",
            vec![
                version("same", 1, 5, "e"),
                version("cut", 2, 4, "e"),
                version("parts", 3, 5, "f-3"),
                version("only there", 9, 5, "e"),
            ],
            &["m1"],
        );
        let mut found = comparison();
        found.compare(Some(&ours), Some(&theirs));
        assert_eq!((found.versions, found.due, found.same), (5, 4, 1));
        assert_eq!((found.differing_count, found.extra), (1, 1));
        assert_eq!((found.markers, found.markers_absent), (2, 1));
        assert_eq!(found.oldest_differing, Some(time(2)));
        assert_eq!(found.newest_same, Some(time(1)));
        let ids = |seen: Vec<Seen>| seen.into_iter().map(|s| s.version.id).collect::<Vec<_>>();
        assert_eq!(ids(found.absent.take()), ["gone", "young"]);
        assert_eq!(ids(found.doubtful.take()), ["parts"]);
        assert_eq!(ids(found.sample.take()), ["same"]);
    }

    #[test]
    fn an_absent_etag_proves_nothing() {
        let side = history("k", vec![version("1", 1, 5, "")], &[]);
        let mut found = comparison();
        found.compare(Some(&side), Some(&side));
        assert_eq!((found.same, found.doubtful.take().len()), (0, 1));
    }

    #[test]
    fn only_the_oldest_are_kept_and_the_rest_is_counted() {
        let mut oldest = Oldest::new(2, time(100));
        for (id, seconds) in [("c", 3), ("young", 300), ("a", 1), ("b", 2)] {
            oldest.add(Seen { key: "k".into(), version: version(id, seconds, 1, "e") });
        }
        assert_eq!((oldest.more_due, oldest.more_young), (1, 1));
        let kept: Vec<_> = oldest.take().into_iter().map(|seen| seen.version.id).collect();
        assert_eq!(kept, ["a", "b"]);
    }

    type Listed = BTreeMap<String, BTreeSet<u8>>;

    fn histories(listed: &Listed) -> Vec<KeyHistory> {
        let versions = |ids: &BTreeSet<u8>| {
            ids.iter().rev().map(|id| version(&id.to_string(), i64::from(*id), 1, "e")).collect()
        };
        listed.iter().map(|(key, ids)| history(key, versions(ids), &[])).collect()
    }

    fn merge(source: &Listed, replica: &Listed) -> Comparison {
        let (ours, theirs) = (histories(source), histories(replica));
        let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
        let mut found = comparison();
        while let Some(turn) = turn(ours.peek().copied(), theirs.peek().copied()) {
            match turn {
                Turn::Source => found.compare(ours.next(), None),
                Turn::Both => found.compare(ours.next(), theirs.next()),
                Turn::Replica => found.compare(None, theirs.next()),
            }
        }
        found
    }

    fn listed() -> impl Strategy<Value = Listed> {
        let ids = proptest::collection::btree_set(0..6_u8, 1..4);
        proptest::collection::btree_map("[ab/é\u{1F600}\u{FFFD}]{1,3}", ids, 0..10)
    }

    proptest! {
        #[test]
        fn the_merge_finds_what_set_differences_find(source in listed(), replica in listed()) {
            let pairs = |side: &Listed| -> BTreeSet<(String, u8)> {
                side.iter().flat_map(|(key, ids)| ids.iter().map(|id| (key.clone(), *id))).collect()
            };
            let (ours, theirs) = (pairs(&source), pairs(&replica));
            let mut found = merge(&source, &replica);
            prop_assert_eq!(found.versions, ours.len() as u64);
            prop_assert_eq!(found.same, ours.intersection(&theirs).count() as u64);
            prop_assert_eq!(found.extra, theirs.difference(&ours).count() as u64);
            let absent: BTreeSet<(String, u8)> = found
                .absent
                .take()
                .into_iter()
                .map(|seen| (seen.key, seen.version.id.parse().unwrap()))
                .collect();
            prop_assert_eq!(absent, ours.difference(&theirs).cloned().collect::<BTreeSet<_>>());
        }

        #[test]
        fn a_bucket_is_its_own_complete_replica(side in listed()) {
            let mut found = merge(&side, &side);
            prop_assert_eq!(found.same, found.versions);
            prop_assert_eq!((found.extra, found.absent.take().len()), (0, 0));
        }
    }
}
